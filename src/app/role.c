/* SPDX-License-Identifier: Apache-2.0 */
/*
 * app/role: boot of a role, table-driven by message type. The supervisor is trusted, but a message that does not parse is a
 * broken invariant: the role ends with 70 and its successor tries anew.
 */
#include "config.h"

#include "app/role.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/seccomp.h"
#include "app/spawn.h"
#include "postern/conf.h"
#include "postern/ctl.h"
#include "postern/media.h"

#define EXIT_INTERNAL 70
#define CHAN_FD_MAX 65536

void app_role_end(struct role *r, int exit_code)
{
	r->exit_code = exit_code;
	loop_stop(r->loop);
}

static void fail(struct role *r, const char *what, int err)
{
	base_log(BASE_ERROR, "boot", "%s error=\"%s\"", what, base_strerror(err));
	app_role_end(r, EXIT_INTERNAL);
}

void app_role_tell(struct role *r, uint16_t type, struct slice body)
{
	int err = loop_chan_send(r->super, type, 0, body, NULL, 0);

	if (err)
		fail(r, "the supervisor cannot be told", err);
}

void *app_role_region(const struct loop_shm *m, enum loop_region id, size_t *ret_bytes)
{
	size_t n = 0;
	void *p = loop_shm_region(m, id, &n);

	must(p);
	if (ret_bytes)
		*ret_bytes = n;
	return p;
}

int app_role_take_chan(struct role *r, enum app_fd_tag tag)
{
	int fd = r->chan[tag];

	r->chan[tag] = -1;
	return fd;
}

/* ---- SETUP ---- */

static int map_memory(struct role *r, enum app_fd_tag tag, int fd)
{
	/* who writes what: design.md section 1; a read-only descriptor cannot be mapped otherwise */
	static const struct { size_t at; bool writable[APP_ROLES]; } row[] = {
		[APP_FD_CALLS] = { offsetof(struct role, calls), { [APP_ENGINE] = true } },
		[APP_FD_STREAMS] = { offsetof(struct role, streams), { [APP_MEDIA] = true } },
		[APP_FD_ADMIN] = { offsetof(struct role, admin), { [APP_ADMIN] = true } },
		[APP_FD_RECORDS] = { offsetof(struct role, records), { [APP_ENGINE] = true, [APP_ADMIN] = true } },
		[APP_FD_EVENTS] = { offsetof(struct role, events), { [APP_ENGINE] = true, [APP_ADMIN] = true } },
		[APP_FD_KEYS] = { offsetof(struct role, keys), { [APP_MEDIA] = true } },
		[APP_FD_SECRETS] = { offsetof(struct role, secrets), { [APP_ENGINE] = true } },
		[APP_FD_WISHES] = { offsetof(struct role, wishes), { [APP_ENGINE] = true, [APP_MEDIA] = true } },
	};

	return loop_shm_map(fd, row[tag].writable[r->id], (struct loop_shm *)(void *)((char *)r + row[tag].at));
}

static int take_map(struct role *r, int fd)
{
	int err = loop_blob_map(fd, &r->map_blob);

	if (!err)
		err = media_map_parse(r->map_blob, &r->map, &r->nmap);
	return err;
}

static void unmap(struct slice *blob)
{
	if (blob->p)
		munmap((void *)(uintptr_t)blob->p, blob->n);
	*blob = (struct slice){ NULL, 0 };
}

/* The ports of the next revision; nothing where they are those of this one. */
static int take_next_map(struct role *r, int fd)
{
	const struct media_map_entry *e;
	uint32_t n;
	int err = loop_blob_map(fd, &r->next_map);

	if (!err)
		err = media_map_parse(r->next_map, &e, &n);
	if (err || slice_eq(r->next_map, r->map_blob))
		unmap(&r->next_map);
	return err;
}

/* True where the ports are others now; *ret_old is to be unmapped when nobody looks at it any more. */
static bool map_commit(struct role *r, struct slice *ret_old)
{
	*ret_old = r->next_map.p ? r->map_blob : (struct slice){ NULL, 0 };
	if (!r->next_map.p)
		return false;
	r->map_blob = r->next_map;
	r->next_map = (struct slice){ NULL, 0 };
	must(media_map_parse(r->map_blob, &r->map, &r->nmap) == 0);
	return true;
}

static int take_setup_fd(struct role *r, struct loop_msg *m, size_t i)
{
	switch (r->setup.tag[i]) {
	case APP_FD_MAP:
		return take_map(r, m->fds[i]);
	case APP_FD_LISTENER:
		r->listener[r->setup.number[i]] = loop_msg_take_fd(m, i);
		return 0;
	case APP_FD_HTTP:
		r->http = loop_msg_take_fd(m, i);
		return 0;
	case APP_FD_CONTROL:
		r->control = loop_msg_take_fd(m, i);
		return 0;
	case APP_FD_CALLS: case APP_FD_STREAMS: case APP_FD_ADMIN: case APP_FD_RECORDS: case APP_FD_EVENTS:
	case APP_FD_KEYS: case APP_FD_SECRETS: case APP_FD_WISHES:
		return map_memory(r, r->setup.tag[i], m->fds[i]);
	default:
		return ERR_PROTO;
	}
}

static int on_setup(struct role *r, struct loop_msg *m)
{
	int err = r->set_up ? ERR_WRONGSTATE : app_setup_parse(m->body, &r->setup);

	if (err || r->setup.ntags != m->nfds)
		return err ? err : ERR_PROTO;
	base_log_init(app_role_name(r->id), r->setup.level);
	r->token_hash = base_dup(r->setup.token_hash);
	r->media = malloc(sizeof(int) * (r->setup.socket_room + 1));
	if (!r->token_hash || !r->media)
		return -ENOMEM;
	memset(r->media, 0xff, sizeof(int) * (r->setup.socket_room + 1));
	for (size_t i = 0; i < m->nfds && !err; i++)
		err = take_setup_fd(r, m, i);
	r->set_up = true;
	return err ? err : r->ops->init(r);
}

static int on_sockets(struct role *r, struct loop_msg *m)
{
	struct reader rd = reader_on(m->body.p, m->body.n);
	uint32_t n = rd_u32(&rd);

	if (rd.bad || n != m->nfds || !r->set_up)
		return ERR_PROTO;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t place = rd_u32(&rd);

		if (rd.bad || place >= r->setup.socket_room || r->media[place] >= 0)
			return ERR_PROTO;
		r->media[place] = loop_msg_take_fd(m, i);
		r->media_taken++;
	}
	app_role_tell(r, APP_BOOT_TAKEN, SLICE(""));
	return 0;
}

/* ---- revisions ---- */

static void revision_fini(struct app_revision *v)
{
	v->bundle = base_unref(v->bundle);
	v->doc = base_unref(v->doc);
	app_layout_fini(&v->layout);
}

static int load_next(struct role *r, int fd, char why[static 256])
{
	struct slice wire;
	struct conf_errors *errs = NULL;
	int err = loop_blob_map(fd, &wire);

	if (err)
		return err;
	err = app_bundle_parse(wire, &r->next.bundle);
	munmap((void *)wire.p, wire.n);
	if (!err)
		err = conf_errors_new(&errs);
	if (!err)
		err = conf_parse(r->next.bundle->document, ctl_schema, errs, &r->next.doc);
	if (err == ERR_CONFIG) {
		struct text t = text_on(why, 256);
		const struct conf_note *note;
		size_t i = 0;

		while ((note = conf_errors_at(errs, i)) && note->warning)
			i++;
		text_add(&t, "%s: %s", note ? note->pointer : "", note ? note->message : "");
	}
	base_unref(errs);
	return err ? err : r->ops->prepare(r, why);
}

static void close_listener(struct role *r, size_t number)
{
	if (r->listener[number] >= 0)
		close(r->listener[number]);
	r->listener[number] = -1;
}

/* Those that the revision has no more are closed here; the agent has its own copies. */
static void close_listeners(struct role *r, const struct app_layout *keep)
{
	for (size_t i = 0; i < APP_LISTENERS; i++)
		if (!app_layout_has(keep, i))
			close_listener(r, i);
}

static int take_layout(struct role *r, const struct app_prepare *p, struct loop_msg *m)
{
	struct app_layout *l = &r->next.layout;

	l->realm = malloc(p->realm.n + 1);
	if (!l->realm)
		return -ENOMEM;
	memcpy(l->realm, p->realm.p, p->realm.n);
	l->nrealms = p->realm.n / sizeof(*l->realm);
	memcpy(l->listener, p->listener.p, p->listener.n);
	l->nlisteners = p->listener.n;
	for (size_t i = 0; i < p->fresh.n; i++) {
		size_t number = (uint8_t)p->fresh.p[i];

		close_listener(r, number);
		r->listener[number] = loop_msg_take_fd(m, 1 + i);
	}
	return 0;
}

static void http_drop(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* True where it is another socket now. */
static bool http_commit(struct role *r)
{
	struct stat was, is;
	bool moved;

	if (r->next_http < 0)
		return false;
	moved = fstat(r->http, &was) < 0 || fstat(r->next_http, &is) < 0 || was.st_ino != is.st_ino;
	http_drop(&r->http);
	r->http = r->next_http;
	r->next_http = -1;
	return moved;
}

static int on_prepare(struct role *r, struct loop_msg *m)
{
	struct app_prepare p;
	char why[256] = "";
	uint8_t buf[320];
	struct writer w = writer_on(buf, sizeof(buf));
	int err;

	if (app_prepare_parse(m->body, &p) || m->nfds != 1 + p.fresh.n + p.more || p.listener.n > APP_LISTENERS || !r->set_up || r->transaction)
		return ERR_PROTO;
	err = take_layout(r, &p, m);
	if (!err && p.more && r->id != APP_ADMIN)
		err = take_next_map(r, m->fds[m->nfds - 1]);
	else if (!err && p.more)
		r->next_http = loop_msg_take_fd(m, m->nfds - 1);
	if (!err)
		err = load_next(r, m->fds[0], why);
	if (err) {
		revision_fini(&r->next);
		unmap(&r->next_map);
		http_drop(&r->next_http);
	} else {
		r->transaction = p.transaction;
	}
	wr_u32(&w, p.transaction);
	wr_u32(&w, (uint32_t)err);
	wr_slice(&w, slice_str(why[0] ? why : base_strerror(err)));
	app_role_tell(r, APP_BOOT_PREPARED, (struct slice){ (char *)buf, wr_len(&w) });
	return 0;
}

static int on_commit(struct role *r, struct loop_msg *m)
{
	struct reader rd = reader_on(m->body.p, m->body.n);
	uint32_t transaction = rd_u32(&rd);
	struct app_revision old = r->now;
	struct slice old_map;
	uint8_t body[4];
	struct writer w = writer_on(body, sizeof(body));

	if (transaction != r->transaction || transaction == 0)
		return ERR_PROTO;
	r->now = r->next;
	r->next = (struct app_revision){ 0 };
	r->now.bundle->revision = rd_u64(&rd);
	r->transaction = 0;
	r->new_map = map_commit(r, &old_map);
	r->new_http = http_commit(r);
	r->ops->commit(r);
	unmap(&old_map);
	close_listeners(r, &r->now.layout);
	revision_fini(&old);
	wr_u32(&w, transaction);
	app_role_tell(r, APP_BOOT_COMMITTED, (struct slice){ (char *)body, 4 });
	return rd.bad ? ERR_PROTO : 0;
}

/* Media sockets of a revision that is given up. */
static void drop_sockets(struct role *r)
{
	for (uint32_t i = 2 * r->nmap; !r->setup.shared_hosts && i < r->setup.socket_room && r->media[i] >= 0; i++) {
		close(r->media[i]);
		r->media[i] = -1;
		r->media_taken--;
	}
}

static int on_abort(struct role *r, struct loop_msg *m)
{
	struct reader rd = reader_on(m->body.p, m->body.n);

	drop_sockets(r);
	if (rd_u32(&rd) != r->transaction || !r->transaction)
		return 0; /* it was this role that refused */
	r->ops->abort(r);
	close_listeners(r, &r->now.layout);
	revision_fini(&r->next);
	unmap(&r->next_map);
	http_drop(&r->next_http);
	r->transaction = 0;
	return 0;
}

/* ---- GO, STOP ---- */

static void bind_counters(struct role *r)
{
	const struct loop_shm *own[] = { &r->calls, &r->streams, &r->admin };

	base_counters_bind(app_role_region(own[r->id], REGION_COUNTERS, NULL));
}

static int on_go(struct role *r, struct loop_msg *m)
{
	struct app_go go;
	int err = app_go_parse(m->body, &go);

	if (err || go.ntags != m->nfds || !r->now.doc || r->serving)
		return err ? err : ERR_PROTO;
	for (uint32_t i = 0; i < go.ntags; i++)
		r->chan[go.tag[i]] = loop_msg_take_fd(m, i);
	r->draining = go.draining;
	memcpy(r->argv[1], "serve", 5); /* "spare" no longer: for whoever reads the process list */
	bind_counters(r);
	err = r->ops->go(r);
	if (err)
		return err;
	r->serving = true;
	app_role_tell(r, APP_BOOT_SERVING, SLICE(""));
	return 0;
}

static int on_stop(struct role *r, struct loop_msg *m)
{
	r->stopping = true;
	if (r->serving)
		r->ops->stop(r);
	else
		app_role_end(r, 0);
	return 0;
}

static int on_other(struct role *r, struct loop_msg *m)
{
	r->ops->message(r, m);
	return 0;
}

static void on_message(void *arg, struct loop_msg *m)
{
	static int (*const handler[])(struct role *, struct loop_msg *) = {
		[APP_BOOT_SETUP] = on_setup,     [APP_BOOT_SOCKETS] = on_sockets, [APP_BOOT_PREPARE] = on_prepare,
		[APP_BOOT_COMMIT] = on_commit,   [APP_BOOT_ABORT] = on_abort,     [APP_BOOT_GO] = on_go,
		[APP_BOOT_STORE] = on_other,     [APP_BOOT_HEALTH] = on_other,    [APP_BOOT_DRAIN] = on_other,
		[APP_BOOT_STOP] = on_stop,       [APP_BOOT_APPLIED] = on_other,
	};
	struct role *r = arg;
	int err;

	if (!m) {
		app_role_end(r, r->stopping ? 0 : EXIT_INTERNAL); /* the supervisor is gone */
		return;
	}
	if (m->type >= ARRAY_LEN(handler) || !handler[m->type])
		err = ERR_PROTO;
	else
		err = handler[m->type](r, m);
	if (err)
		fail(r, "a boot message failed", err);
}

/*
 * The channel becomes the highest descriptor: a dying process's files are released from the last to the first, and the
 * supervisor shall see the channel end before the kernel takes an epoll set of thousands of sockets apart.
 */
static int high_channel(void)
{
	struct rlimit rl = { 1024, 1024 };
	int fd;

	getrlimit(RLIMIT_NOFILE, &rl);
	fd = fcntl(APP_CHAN_FD, F_DUPFD_CLOEXEC, rl.rlim_cur < CHAN_FD_MAX ? (int)rl.rlim_cur - 1 : CHAN_FD_MAX - 1);
	if (fd < 0)
		return APP_CHAN_FD;
	close(APP_CHAN_FD);
	return fd;
}

int app_role_main(const struct role_ops *ops, int argc, char **argv)
{
	static struct role role; /* for the life of the process */
	struct role *r = &role;
	int err;

	r->ops = ops;
	r->id = ops->id;
	r->argv = argv;
	r->http = r->next_http = r->control = -1;
	memset(r->chan, 0xff, sizeof(r->chan));
	memset(r->listener, 0xff, sizeof(r->listener));
	base_log_init(app_role_name(ops->id), BASE_INFO);
	if (argc != 2 || strcmp(argv[1], "spare") != 0) {
		base_log(BASE_ERROR, "boot", "this program is started by posternd");
		return 1;
	}
	app_spawn_settle();
	prctl(PR_SET_NAME, argv[0], 0, 0, 0);
	err = app_seccomp_load(ops->id);
	if (!err)
		err = loop_new(&r->loop);
	if (!err)
		err = loop_chan_open(r->loop, high_channel(), on_message, r, &r->super);
	if (err) {
		base_log(BASE_ERROR, "boot", "cannot start error=\"%s\"", base_strerror(err));
		return EXIT_INTERNAL;
	}
	loop_run(r->loop);
	return r->exit_code;
}
