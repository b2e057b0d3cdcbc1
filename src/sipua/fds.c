/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of Sofia's own descriptors, and what the overrides know of the moment. An override acts only on what is
 * in here: c-ares, hiredis and our own sockets pass through untouched.
 */
#include "sipua/priv.h"
#include "sipua/guard/guard.h"

#include <dlfcn.h>
#include <stdlib.h>

unsigned long sipua_guard_hits[SIPUA_OVERRIDES_COUNT];
bool sipua_guard_passed;
_Thread_local bool sipua_loop_thread;
struct sipua_guard_now sipua_now = { .fd = -1, .reading = -1, .udp_read = -1, .bio_fd = -1, .wrote = -1 };

static struct sipua_fd *table;
static size_t size;

void *sipua_guard_real(const char *name)
{
	void *p = dlsym(RTLD_NEXT, name);

	if (!p)
		base_log(BASE_ERROR, "guard", "missing function=%s", name);
	must(p);
	return p;
}

struct sipua_fd *sipua_fd_get(int fd)
{
	if (fd < 0 || (size_t)fd >= size || table[fd].kind == SIPUA_FD_NONE)
		return NULL;
	return &table[fd];
}

int sipua_fd_of_listener(const struct sipua *ua, unsigned listener)
{
	for (size_t i = 0; i < size; i++)
		if ((table[i].kind == SIPUA_FD_UDP || table[i].kind == SIPUA_FD_LISTEN) && table[i].ua == ua && table[i].listener == listener)
			return (int)i;
	return -1;
}

struct sipua_fd *sipua_fd_set(int fd, enum sipua_fd_kind kind, struct sipua *ua, unsigned listener)
{
	if (fd < 0)
		return NULL;
	if ((size_t)fd >= size) {
		size_t n = size ? size : 64;
		struct sipua_fd *more;
		while (n <= (size_t)fd)
			n *= 2;
		more = realloc(table, n * sizeof(*more));
		if (!more)
			return NULL;
		memset(more + size, 0, (n - size) * sizeof(*more));
		table = more;
		size = n;
	}
	sipua_fd_clear(fd);
	table[fd] = (struct sipua_fd){ .kind = kind, .ua = ua, .listener = listener };
	return &table[fd];
}

void sipua_fd_sending(int fd)
{
	const struct sipua_fd *f = sipua_fd_get(fd);

	if (f && f->kind == SIPUA_FD_CONN)
		sipua_now.wrote = fd;
	if (f && f->kind == SIPUA_FD_CONN && f->ua && !f->ua->closing && f->ua->handlers.sending)
		f->ua->handlers.sending(f->ua->arg);
}

static void free_conn(struct sipua_conn *c)
{
	list_del(&c->link);
	c->ua->figures.connections--;
	sipua_trace_gone(c);
	free(c->raw);
	free(c);
}

void sipua_fd_clear(int fd)
{
	struct sipua_fd *f = sipua_fd_get(fd);

	if (!f)
		return;
	if (f->conn)
		free_conn(f->conn);
	memset(f, 0, sizeof(*f));
}

bool sipua_listener_of(const tport_t *tp, struct sipua **ret_ua, unsigned *ret_listener)
{
	const tport_t *primary = tp ? tport_parent(tp) : NULL;

	for (struct list_node *i = sipua_agents.next; primary && i != &sipua_agents; i = i->next) {
		struct sipua *ua = container_of(i, struct sipua, link);
		for (unsigned n = 0; n < ua->n; n++)
			if (ua->tp[n].primary == primary) {
				*ret_ua = ua;
				*ret_listener = n;
				return true;
			}
	}
	return false;
}
