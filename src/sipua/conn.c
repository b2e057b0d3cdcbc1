/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP and TLS connections as the guard sees them: caps, and the watch over silent and idle ones, which the library
 * never closes. Closing is `shutdown`: the library then sees the end of the stream and tidies up by itself.
 */
#include "sipua/priv.h"
#include "sipua/guard/guard.h"

#include <stdlib.h>

#define RAW_KEPT_MS 10000      /* room for pieces of messages, where none waits */

static struct list_node conns = { &conns, &conns };

struct sipua_conn *sipua_conn_new(struct sipua_fd *f, int fd, const union base_addr *peer, bool incoming)
{
	struct sipua_conn *c = base_alloc(sizeof(*c));

	if (!c)
		return NULL;
	memset(c, 0, sizeof(*c));
	c->fd = fd;
	c->ua = f->ua;
	c->listener = f->listener;
	c->incoming = incoming;
	c->tls = f->ua->lst[f->listener].transport == SIPUA_TLS;
	c->peer = *peer;
	c->since = c->last = base_mono_now();
	list_add_tail(&conns, &c->link);
	f->ua->figures.connections++;
	f->conn = c;
	return c;
}

bool sipua_conn_admit(struct sipua *ua, const union base_addr *source)
{
	unsigned n = 0;

	if (ua->caps.connections && ua->figures.connections >= ua->caps.connections) {
		base_count(COUNTER_SIP_CONN_CAP);
		return false;
	}
	if (!ua->caps.connections_per_source)
		return true;
	for (struct list_node *i = conns.next; i != &conns; i = i->next) {
		struct sipua_conn *c = container_of(i, struct sipua_conn, link);
		n += c->ua == ua && c->incoming && base_addr_same_host(&c->peer, source);
	}
	if (n < ua->caps.connections_per_source)
		return true;
	base_count(COUNTER_SIP_CONN_SOURCE_CAP);
	return false;
}

struct sipua_conn *sipua_conn_of_tport(const tport_t *tp)
{
	struct sipua_fd *f = sipua_fd_get(sipua_now.reading);

	if (f && f->conn && f->conn->tport == tp)
		return f->conn;
	for (struct list_node *i = conns.next; i != &conns; i = i->next) {
		struct sipua_conn *c = container_of(i, struct sipua_conn, link);
		if (c->tport == tp)
			return c;
	}
	return NULL;
}

static bool used_by_dialog(struct sipua *ua, const struct sipua_conn *c)
{
	for (struct list_node *i = ua->dialogs.next; c->tport && i != &ua->dialogs; i = i->next)
		if (container_of(i, struct sipua_dialog, link)->flow == c->tport)
			return true;
	return false;
}

static void watch_one(struct sipua *ua, struct sipua_conn *c, struct mono now)
{
	bool mute = c->incoming ? !c->messages : c->tls && !c->handshaken;

	if (c->raw && !c->nraw && mono_ms_since(now, c->last) >= RAW_KEPT_MS) {
		free(c->raw);
		c->raw = NULL;
		c->raw_size = 0;
	}
	if (ua->caps.handshake_s && mute && mono_ms_since(now, c->since) >= ua->caps.handshake_s * 1000LL) {
		base_count(COUNTER_SIP_CONN_SILENT);
		shutdown(c->fd, SHUT_RDWR);
		c->since = now;
		return;
	}
	if (!ua->caps.idle_s || mono_ms_since(now, c->last) < ua->caps.idle_s * 1000LL)
		return;
	c->last = now;
	if (used_by_dialog(ua, c))
		return;
	base_count(COUNTER_SIP_CONN_IDLE);
	shutdown(c->fd, SHUT_RDWR);
}

void sipua_conn_watch(struct sipua *ua)
{
	struct mono now = base_mono_now();

	for (struct list_node *i = conns.next; i != &conns; i = i->next) {
		struct sipua_conn *c = container_of(i, struct sipua_conn, link);
		if (c->ua == ua)
			watch_one(ua, c, now);
	}
}

void sipua_conns_used(const struct sipua *ua, bool ret[SIPUA_LISTENERS])
{
	for (struct list_node *i = conns.next; i != &conns; i = i->next) {
		const struct sipua_conn *c = container_of(i, struct sipua_conn, link);
		if (c->ua == ua)
			ret[c->listener] = true;
	}
}

void sipua_conns_drop(struct sipua *ua)
{
	struct list_node *i = conns.next;

	while (i != &conns) {
		struct sipua_conn *c = container_of(i, struct sipua_conn, link);
		i = i->next;
		if (c->ua == ua)
			sipua_fd_clear(c->fd);
	}
}
