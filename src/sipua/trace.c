/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes into the message ring (base/trace.c), as it was on the wire. Datagrams are there as the kernel gave or takes them; of a stream the bytes
 * that were read are kept until a message of them was delivered. A message that comes is not written at once: it waits until a transaction or
 * dialog of ours knew it, or one was made of it; what we turn away without a transaction leaves no trace, and so no flood of strangers washes the ring.
 */
#include "config.h"
#include "sipua/priv.h"
#include "sipua/guard/guard.h"
#include "postern/wire.h"

#include <stdlib.h>
#include <strings.h>
#include <sys/uio.h>

#define HIDE_MAX  32           /* secrets of a message that are told apart */
#define RAW_FIRST 4096
#define RAW_SLACK 8192         /* of a stream beyond the largest message */
#define PIECES    64

static struct base_trace *ring;
static uint64_t seed;

/* the message that is being delivered */
static struct {
	bool waits, front;
	struct base_trace_head head;
	struct slice raw;
	bool suspect;
	size_t body;
	struct sipua_conn *conn;   /* of a stream: `used` bytes of it are this message's */
	size_t used;
} now;

void sipua_trace(struct base_trace *t)
{
	ring = t;
	seed = t ? base_trace_seed(t) : 0;
	now.waits = false;
}

/* ---- what is kept ---- */

static bool is_known_dialog(struct sipua *ua, const char *call_id)
{
	uint32_t key = base_hash_bytes(call_id, strlen(call_id), sipua_hash_seed);
	struct hash_node *n = base_hash_find(&ua->by_callid, key);

	for (; n; n = n->next) {
		struct sipua_dialog *d = container_of(n, struct sipua_dialog, by_callid);

		if (n->key == key && d->confirmed && strcmp(d->call_id->i_id, call_id) == 0)
			return true;
	}
	return false;
}

/** Messages about calls: keep-alives and registrations would wash them away. Those that do not parse count where their dialog is known. */
static bool is_kept(struct sipua *ua, const msg_t *msg, const sip_t *sip)
{
	if (!sip->sip_call_id)
		return false;
	if (!msg_has_error(msg) && sip->sip_cseq && sip->sip_cseq->cs_method != sip_method_options && sip->sip_cseq->cs_method != sip_method_register)
		return true;
	return is_known_dialog(ua, sip->sip_call_id->i_id);
}

/* ---- secrets ---- */

static bool is_credentials(const sip_t *sip)
{
	if (sip->sip_authorization || sip->sip_proxy_authorization || sip->sip_error)
		return true;
	for (const sip_unknown_t *u = sip->sip_unknown; u; u = u->un_next) {
		size_t n = u->un_name ? strlen(u->un_name) : 0;

		if (n >= 13 && strcasecmp(u->un_name + n - 13, "Authorization") == 0)
			return true;
	}
	return false;
}

/** Must the head be looked through? Most messages are known to hold no credentials. */
static bool is_suspect(const msg_t *msg, const sip_t *sip)
{
	return msg_has_error(msg) || is_credentials(sip);
}

/** Bytes of the head, up to and with the empty line; 0: it is not there. */
static size_t head_bytes(struct slice s)
{
	const char *p = s.p, *end = s.p + s.n;

	while ((p = memchr(p, '\n', (size_t)(end - p)))) {
		p++;
		if (p < end && *p == '\n')
			return (size_t)(p + 1 - s.p);
		if (p + 1 < end && p[0] == '\r' && p[1] == '\n')
			return (size_t)(p + 2 - s.p);
	}
	return 0;
}

static size_t body_bytes(const sip_t *sip)
{
	return sip->sip_payload ? sip->sip_payload->pl_len : 0;
}

/** Where to look: in the body alone, where the message ends with one of that length. */
static void put(const struct base_trace_head *head, struct slice raw, bool suspect, size_t body)
{
	bool whole = suspect || head_bytes(raw) + body != raw.n; /* the first empty line, not just any */
	struct slice look = whole ? raw : (struct slice){ raw.p + raw.n - body, body }, hide[HIDE_MAX];

	base_trace_put(ring, head, raw, hide, wire_secrets_find(look, hide, HIDE_MAX));
}

/* ---- streams ---- */

void sipua_trace_feed(int fd, const struct iovec *iov, size_t n)
{
	struct sipua_fd *f = sipua_fd_get(fd);
	struct sipua_conn *c = f ? f->conn : NULL;
	size_t most, room;
	char *more;

	if (!ring || !c)
		return;
	most = (f->ua->caps.message_bytes ? f->ua->caps.message_bytes : BASE_TRACE_MESSAGE) + RAW_SLACK;
	if (c->nraw + n > c->raw_size) {
		for (room = RAW_FIRST; room < c->nraw + n; room *= 2)
			;
		more = room <= 2 * most ? realloc(c->raw, room) : NULL;
		if (!more) {
			base_count(COUNTER_TRACE_MISSED);
			c->nraw = 0;
			return;
		}
		c->raw = more;
		c->raw_size = room;
	}
	for (; n; iov++) {
		size_t part = iov->iov_len < n ? iov->iov_len : n;

		memcpy(c->raw + c->nraw, iov->iov_base, part);
		c->nraw += part;
		n -= part;
	}
}

static bool begins_with(struct slice s, const char *word)
{
	size_t n = word ? strlen(word) : 0;

	return n && s.n > n && memcmp(s.p, word, n) == 0 && s.p[n] == ' ';
}

/** The message that is delivered is the first in what was read, behind keep-alives. */
static bool stream_message(struct sipua_conn *c, const msg_t *msg, const sip_t *sip)
{
	struct slice raw = { c->raw, c->nraw };
	size_t head, body = body_bytes(sip);

	while (raw.n && (*raw.p == '\r' || *raw.p == '\n'))
		raw = (struct slice){ raw.p + 1, raw.n - 1 };
	head = head_bytes(raw);
	now.conn = c;
	now.used = c->nraw; /* where we are lost it begins anew */
	if (msg_has_error(msg) || !head || head + body > raw.n ||
	    !(sip->sip_request ? begins_with(raw, sip->sip_request->rq_method_name) : sip->sip_status && begins_with(raw, "SIP/2.0"))) {
		base_count(COUNTER_TRACE_MISSED);
		return false;
	}
	raw.n = head + body;
	now.raw = raw;
	now.used = (size_t)(raw.p + raw.n - c->raw);
	return true;
}

static const union base_addr *conn_local(struct sipua_conn *c)
{
	socklen_t len = sizeof(c->local);

	if (!c->local.sa.sa_family && getsockname(c->fd, &c->local.sa, &len) < 0)
		c->local = c->ua->lst[c->listener].addr;
	return &c->local;
}

/* ---- messages that come ---- */

static void from_su(const su_sockaddr_t *su, union base_addr *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (su->su_family == AF_INET6)
		memcpy(&ret->in6, su, sizeof(ret->in6));
	else
		memcpy(&ret->in, su, sizeof(ret->in));
}

static struct base_trace_head head_of(const struct sipua *ua, unsigned listener, const char *call_id, unsigned flags)
{
	return (struct base_trace_head){ .time_us = base_wall_us(), .key = base_trace_key(seed, slice_str(call_id)), .transport = (uint8_t)ua->lst[listener].transport,
		.flags = (uint8_t)flags, .local = ua->lst[listener].addr };
}

void sipua_trace_arrived(tport_t *tp, msg_t *msg)
{
	const sip_t *sip = ring ? sip_object(msg) : NULL;
	struct sipua_fd *f = sipua_fd_get(sipua_now.reading);
	bool whole;

	now.waits = now.front = false;
	now.conn = NULL;
	if (!sip || !f || !f->ua)
		return;
	if (f->conn) {
		whole = stream_message(f->conn, msg, sip);
	} else {
		now.raw = sipua_udp_taken();
		whole = f->kind == SIPUA_FD_UDP;
	}
	if (!whole || !is_kept(f->ua, msg, sip))
		return;
	now.waits = true;
	now.suspect = is_suspect(msg, sip);
	now.body = body_bytes(sip);
	now.head = head_of(f->ua, f->listener, sip->sip_call_id->i_id, 0);
	from_su(msg_addr(msg), &now.head.peer);
	if (f->conn)
		now.head.local = *conn_local(f->conn);
}

void sipua_trace_front(void)
{
	now.front = true;
}

void sipua_trace_take(void)
{
	if (!now.waits)
		return;
	now.waits = false;
	put(&now.head, now.raw, now.suspect, now.body);
}

void sipua_trace_gone(const struct sipua_conn *c)
{
	if (now.conn != c)
		return;
	if (!now.front)
		sipua_trace_take();
	now.waits = false;
	now.conn = NULL;
}

void sipua_trace_done(void)
{
	struct sipua_conn *c = now.conn;

	if (!now.front)
		sipua_trace_take();
	now.waits = false;
	now.conn = NULL;
	if (!c)
		return;
	c->nraw -= now.used;
	if (c->nraw)
		memmove(c->raw, c->raw + now.used, c->nraw);
}

/* ---- messages that go ---- */

/** A message that waits goes before what it brought about; an answer without a transaction to one that is not kept is not kept either. */
static bool goes(uint32_t key)
{
	if (now.waits && !now.front)
		sipua_trace_take();
	return !now.waits || now.head.key != key;
}

static bool is_sent_kept(struct sipua *ua, const sip_t *sip)
{
	const sip_cseq_t *cs = sip->sip_cseq;

	if (!sip->sip_call_id || !cs)
		return false;
	return (cs->cs_method != sip_method_options && cs->cs_method != sip_method_register) || is_known_dialog(ua, sip->sip_call_id->i_id);
}

/** What a stream was given, in one piece. */
static struct slice gathered(msg_t *msg)
{
	static char buf[BASE_TRACE_MESSAGE];
	msg_iovec_t iov[PIECES];
	size_t n = msg_iovec(msg, iov, PIECES), used = 0;

	for (size_t i = 0; i < n && i < PIECES; i++) {
		size_t part = iov[i].siv_len < sizeof(buf) - used ? iov[i].siv_len : sizeof(buf) - used;

		memcpy(buf + used, iov[i].siv_base, part);
		used += part;
	}
	return (struct slice){ buf, used };
}

static void sent_by_stream(struct sipua *ua, unsigned listener, msg_t *msg, const sip_t *sip)
{
	struct sipua_fd *f = sipua_fd_get(sipua_now.wrote);
	bool queued = !f || !f->conn || sipua_now.opened;
	struct base_trace_head head = head_of(ua, listener, sip->sip_call_id->i_id, BASE_TRACE_OUT | (queued ? BASE_TRACE_QUEUED : 0));

	if (!goes(head.key))
		return;
	from_su(msg_addr(msg), &head.peer);
	if (f && f->conn)
		head.local = *conn_local(f->conn);
	put(&head, gathered(msg), is_suspect(msg, sip), body_bytes(sip));
}

static void sent_by_datagram(struct sipua *ua, unsigned listener, const struct sipua_sent *d, const char *call_id, bool suspect, size_t body)
{
	struct base_trace_head head = head_of(ua, listener, call_id, BASE_TRACE_OUT);

	if (!goes(head.key))
		return;
	memcpy(&head.peer, d->to, d->to_len < sizeof(head.peer) ? d->to_len : sizeof(head.peer));
	put(&head, (struct slice){ (const char *)d->bytes, d->len }, suspect, body);
}

void sipua_trace_sent(tport_t *tp, msg_t *msg, const struct sipua_sent *d)
{
	const sip_t *sip = ring && msg ? sip_object(msg) : NULL;
	const struct sipua_fd *f = d && d->len ? sipua_fd_get(d->fd) : NULL;
	struct sipua *ua;
	unsigned listener;

	if (!sip)
		return;
	if (f && f->ua) {
		ua = f->ua;
		listener = f->listener;
	} else if (!sipua_listener_of(tp, &ua, &listener)) {
		return;
	}
	if (!is_sent_kept(ua, sip))
		return;
	if (f)
		sent_by_datagram(ua, listener, d, sip->sip_call_id->i_id, is_suspect(msg, sip), body_bytes(sip));
	else
		sent_by_stream(ua, listener, msg, sip);
}

void sipua_trace_answered(const struct sipua_sent *d, const sip_t *request)
{
	const struct sipua_fd *f = d->len ? sipua_fd_get(d->fd) : NULL;

	if (!ring || !f || !f->ua)
		return;
	sipua_trace_take();
	sent_by_datagram(f->ua, f->listener, d, request->sip_call_id->i_id, true, 0);
}

void sipua_trace_resent(const struct sipua_sent *d, struct slice call_id)
{
	const struct sipua_fd *f = d->len ? sipua_fd_get(d->fd) : NULL;
	char id[512];

	if (ring && f && f->ua && slice_copy(id, sizeof id, call_id))
		sent_by_datagram(f->ua, f->listener, d, id, true, 0);
}
