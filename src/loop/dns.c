/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS queries by c-ares on the loop: raw answers, by TCP where UDP was truncated, over given servers or those of resolv.conf. That file is looked at again
 * while queries are made: c-ares 1.18 reads it once. No cache, no reading of answers (wire), no hosts file. c-ares is asked for its clock by select's
 * way, so a timer of ours wakes it.
 */
#include <ares.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "loop/private.h"

#define TRIES      2
#define TICK_MS    50                  /* while queries are open: c-ares' own time-outs */
#define UDP_BYTES  1232
#define SERVERS    512
#define LOOK_MS    2000                /* how often the file is looked at */

struct watch { struct list_node node; struct loop_dns *dns; int fd; struct loop_fd *reg; bool write; };

struct loop_dns {
	struct loop *loop;
	ares_channel channel;
	struct list_node watches;
	struct list_node queries;
	struct loop_timer tick;
	const char *file;              /* servers are this one's, NULL: they were given */
	struct stat seen;              /* the file, as it was read */
	struct mono looked;
	int timeout_ms;
	bool inside;                   /* c-ares is at work: its channel must stay */
	bool closing;
};

struct loop_dns_query {
	struct list_node node;
	struct loop_dns *dns;
	loop_dns_cb *cb;               /* NULL: nobody waits any more */
	void *arg;
};

static void process(struct loop_dns *d, ares_socket_t readable, ares_socket_t writable)
{
	d->inside = true;
	ares_process_fd(d->channel, readable, writable);
	d->inside = false;
}

static void on_fd(void *arg)
{
	struct watch *w = arg;
	int fd = w->fd;

	process(w->dns, fd, w->write ? fd : ARES_SOCKET_BAD); /* may free w */
}

static struct watch *watch_of(struct loop_dns *d, int fd)
{
	struct list_node *n;

	for (n = d->watches.next; n != &d->watches; n = n->next) {
		struct watch *w = container_of(n, struct watch, node);

		if (w->fd == fd)
			return w;
	}
	return NULL;
}

static void watch_free(struct watch *w)
{
	loop_fd_del(w->reg);
	list_del(&w->node);
	free(w);
}

/** c-ares tells which of its sockets it wants to hear of. */
static void on_state(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct loop_dns *d = arg;
	struct watch *w = watch_of(d, fd);

	if (!readable && !writable) {
		if (w)
			watch_free(w);
		return;
	}
	if (!w) {
		w = calloc(1, sizeof *w);
		if (!w)
			return; /* the query times out */
		w->dns = d;
		w->fd = fd;
		if (loop_fd_add(d->loop, fd, on_fd, w, &w->reg)) {
			free(w);
			return;
		}
		list_add_tail(&d->watches, &w->node);
	}
	w->write = writable;
	loop_fd_want_write(w->reg, writable);
}

static void on_tick(void *arg)
{
	struct loop_dns *d = arg;

	process(d, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	if (!list_empty(&d->queries))
		loop_timer_start(d->loop, &d->tick, TICK_MS, on_tick, d);
}

static void on_answer(void *arg, int status, int timeouts, unsigned char *answer, int len)
{
	struct loop_dns_query *q = arg;
	bool said = answer && len > 0 && (status == ARES_SUCCESS || status == ARES_ENODATA || status == ARES_ENOTFOUND);

	list_del(&q->node);
	if (q->cb && !q->dns->closing)
		q->cb(q->arg, said ? 0 : ERR_GONE, said ? answer : NULL, said ? (size_t)len : 0);
	free(q);
}

static int channel_new(struct loop_dns *d, ares_channel *ret)
{
	struct ares_options o = { .flags = ARES_FLAG_EDNS | ARES_FLAG_NOALIASES, .ednspsz = UDP_BYTES, .timeout = d->timeout_ms, .tries = TRIES,
		.sock_state_cb = on_state, .sock_state_cb_data = d, .resolvconf_path = (char *)(uintptr_t)d->file };
	int mask = ARES_OPT_FLAGS | ARES_OPT_EDNSPSZ | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB | (d->file ? ARES_OPT_RESOLVCONF : 0);

	d->looked = base_mono_now();
	if (d->file && stat(d->file, &d->seen))
		memset(&d->seen, 0, sizeof d->seen);
	return ares_init_options(ret, &o, mask) == ARES_SUCCESS ? 0 : -ENOMEM;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
		a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/** Has resolv.conf changed? Then its servers are asked from now on; what is open at the old ones fails, and is asked again by whoever wants it. */
static void file_look(struct loop_dns *d)
{
	ares_channel old = d->channel, fresh;
	struct stat now;

	if (!d->file || d->inside || mono_ms_since(base_mono_now(), d->looked) < LOOK_MS)
		return;
	d->looked = base_mono_now();
	if (stat(d->file, &now) || same_file(&now, &d->seen) || channel_new(d, &fresh))
		return;
	d->channel = fresh;
	base_log(BASE_INFO, "dns", "servers are read anew file=%s", d->file);
	d->inside = true;
	ares_destroy(old);
	d->inside = false;
}

int loop_dns_query(struct loop_dns *d, const char *name, uint16_t type, loop_dns_cb *cb, void *arg, struct loop_dns_query **ret)
{
	struct loop_dns_query *q = calloc(1, sizeof *q);

	if (!q)
		return -ENOMEM;
	file_look(d);
	q->dns = d;
	q->cb = cb;
	q->arg = arg;
	list_add_tail(&d->queries, &q->node);
	*ret = q;
	if (!loop_timer_active(&d->tick))
		loop_timer_start(d->loop, &d->tick, TICK_MS, on_tick, d);
	ares_query(d->channel, name, 1, type, on_answer, q); /* may call back at once */
	return 0;
}

void loop_dns_cancel(struct loop_dns_query *q)
{
	if (q)
		q->cb = NULL;
}

static int servers_set(struct loop_dns *d, const char *const *servers, size_t n)
{
	char buf[SERVERS];
	struct text t = text_on(buf, sizeof buf);
	size_t i;

	for (i = 0; i < n; i++)
		text_add(&t, "%s%s", i ? "," : "", servers[i]);
	if (t.cut)
		return ERR_RANGE;
	return !n || ares_set_servers_ports_csv(d->channel, buf) == ARES_SUCCESS ? 0 : ERR_CONFIG;
}

int loop_dns_open(struct loop *l, const char *file, const char *const *servers, size_t n, int timeout_ms, struct loop_dns **ret)
{
	struct loop_dns *d = calloc(1, sizeof *d);
	int err;

	if (!d)
		return -ENOMEM;
	d->loop = l;
	d->file = n ? NULL : file;
	d->timeout_ms = timeout_ms;
	list_init(&d->watches);
	list_init(&d->queries);
	if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS || channel_new(d, &d->channel)) {
		free(d);
		return -ENOMEM;
	}
	err = servers_set(d, servers, n);
	if (err)
		loop_dns_free(d);
	else
		*ret = d;
	return err;
}

int loop_dns_new(struct loop *l, const char *const *servers, size_t n, int timeout_ms, struct loop_dns **ret)
{
	return loop_dns_open(l, "/etc/resolv.conf", servers, n, timeout_ms, ret);
}

void loop_dns_free(struct loop_dns *d)
{
	if (!d)
		return;
	d->closing = true;
	loop_timer_stop(&d->tick);
	ares_destroy(d->channel); /* ends what is open, by on_answer and on_state */
	while (!list_empty(&d->watches))
		watch_free(container_of(d->watches.next, struct watch, node));
	free(d);
}
