/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The call record as bytes: printed by the engine, parsed by its successor and by admin.
 * Fixed order, little-endian, lengths first. A reader takes nothing on trust: every index and length is checked,
 * and what a newer version adds behind stands in `extra`.
 */
#include "postern/call.h"

#define RECORD_VERSION 4

const char *call_state_name(enum call_state s)
{
	static const char *const names[CALL_STATES] = { "setup", "early", "answered", "up", "ending" };

	return (unsigned)s < CALL_STATES ? names[s] : "?";
}

static void put_addr(struct writer *w, const union base_addr *a)
{
	int f = a->sa.sa_family;

	wr_u8(w, f == AF_INET ? 4 : f == AF_INET6 ? 6 : 0);
	wr_u16(w, base_addr_port(a));
	if (f == AF_INET)
		wr_bytes(w, &a->in.sin_addr, 4);
	else if (f == AF_INET6)
		wr_bytes(w, &a->in6.sin6_addr, 16);
}

static void get_addr(struct reader *r, union base_addr *a)
{
	uint8_t f = rd_u8(r);
	uint16_t port = rd_u16(r);
	struct slice b;

	memset(a, 0, sizeof *a);
	if (f == 4) {
		b = rd_bytes(r, 4);
		a->in.sin_family = AF_INET;
		if (!r->bad)
			memcpy(&a->in.sin_addr, b.p, 4);
	} else if (f == 6) {
		b = rd_bytes(r, 16);
		a->in6.sin6_family = AF_INET6;
		if (!r->bad)
			memcpy(&a->in6.sin6_addr, b.p, 16);
	} else if (f != 0) {
		r->bad = true;
	}
	if (f)
		base_addr_set_port(a, port);
}

static void put_leg(struct writer *w, const struct call_record_leg *l)
{
	const struct slice text[] = { l->trunk, l->realm, l->call_id, l->local, l->remote, l->target, l->routes, l->sdp_in, l->sdp_out, l->tls_name, l->tls,
		l->view, l->identity, l->our_allow, l->sdp_sent, l->goal };
	size_t i;

	for (i = 0; i < ARRAY_LEN(text); i++)
		wr_slice(w, text[i]);
	wr_u64(w, l->sdp_id);
	wr_u64(w, l->sdp_version);
	wr_u64(w, l->sdp_shown);
	wr_u32(w, l->cseq_local);
	wr_u32(w, l->cseq_remote);
	wr_u32(w, l->allow);
	wr_u8(w, l->allow_seen);
	wr_u8(w, l->confirmed);
	wr_u16(w, l->listener);
	wr_u8(w, l->transport);
	wr_u8(w, l->uas);
	put_addr(w, &l->source);
	wr_u8(w, l->offer_state);
	wr_u8(w, l->timer_flags);
	wr_u32(w, l->dirs);
	wr_u32(w, l->goal_dirs);
	wr_u8(w, l->timer_role);
	wr_u32(w, l->timer_s);
	wr_u64(w, (uint64_t)l->timer_deadline_ms);
	wr_u8(w, l->no_timer);
	wr_u32(w, l->stripped);
	wr_u32(w, l->stripped_in);
	wr_u8(w, l->nstreams);
	for (i = 0; i < l->nstreams && i < CALL_STREAMS; i++) {
		wr_u32(w, l->stream[i].slot);
		wr_u32(w, l->stream[i].gen);
		wr_u8(w, l->stream[i].mux);
	}
}

static void get_leg(struct reader *r, struct call_record_leg *l)
{
	struct slice *const text[] = { &l->trunk, &l->realm, &l->call_id, &l->local, &l->remote, &l->target, &l->routes, &l->sdp_in, &l->sdp_out, &l->tls_name, &l->tls,
		&l->view, &l->identity, &l->our_allow, &l->sdp_sent, &l->goal };
	size_t i;

	for (i = 0; i < ARRAY_LEN(text); i++)
		*text[i] = rd_slice(r);
	l->sdp_id = rd_u64(r);
	l->sdp_version = rd_u64(r);
	l->sdp_shown = rd_u64(r);
	l->cseq_local = rd_u32(r);
	l->cseq_remote = rd_u32(r);
	l->allow = rd_u32(r);
	l->allow_seen = rd_u8(r);
	l->confirmed = rd_u8(r);
	l->listener = rd_u16(r);
	l->transport = rd_u8(r);
	l->uas = rd_u8(r);
	get_addr(r, &l->source);
	l->offer_state = rd_u8(r);
	l->timer_flags = rd_u8(r);
	l->dirs = rd_u32(r);
	l->goal_dirs = rd_u32(r);
	l->timer_role = rd_u8(r);
	l->timer_s = rd_u32(r);
	l->timer_deadline_ms = (int64_t)rd_u64(r);
	l->no_timer = rd_u8(r);
	l->stripped = rd_u32(r);
	l->stripped_in = rd_u32(r);
	l->nstreams = rd_u8(r);
	if (l->nstreams > CALL_STREAMS)
		r->bad = true;
	for (i = 0; !r->bad && i < l->nstreams; i++) {
		l->stream[i].slot = rd_u32(r);
		l->stream[i].gen = rd_u32(r);
		l->stream[i].mux = rd_u8(r);
	}
}

/* ---- what policies noted ---- */
enum { NOTE_SEND = 1, NOTE_OUT = 2, NOTE_REQUEST = 4 };

void call_note_print(struct writer *w, const struct call_note *n)
{
	wr_u8(w, n->kind);
	wr_slice(w, n->name);
	if (n->kind == CALL_NOTE_VAR)
		wr_slice(w, n->value);
	if (n->kind != CALL_NOTE_FIRED)
		return;
	wr_u8(w, (uint8_t)((n->send ? NOTE_SEND : 0) | (n->out ? NOTE_OUT : 0) | (n->request ? NOTE_REQUEST : 0)));
	wr_u32(w, n->line);
	wr_u32(w, n->count);
	wr_u64(w, (uint64_t)n->first_ms);
	wr_u64(w, (uint64_t)n->last_ms);
}

bool call_note_next(struct slice *rest, struct call_note *ret)
{
	struct reader r = reader_on(rest->p, rest->n);
	uint8_t flags;

	if (!rest->n)
		return false;
	*ret = (struct call_note){ .kind = rd_u8(&r), .name = rd_slice(&r) };
	if (ret->kind == CALL_NOTE_VAR)
		ret->value = rd_slice(&r);
	if (ret->kind == CALL_NOTE_FIRED) {
		flags = rd_u8(&r);
		ret->send = flags & NOTE_SEND;
		ret->out = flags & NOTE_OUT;
		ret->request = flags & NOTE_REQUEST;
		ret->line = rd_u32(&r);
		ret->count = rd_u32(&r);
		ret->first_ms = (int64_t)rd_u64(&r);
		ret->last_ms = (int64_t)rd_u64(&r);
	}
	if (r.bad || ret->kind < CALL_NOTE_VAR || ret->kind > CALL_NOTE_FIRED)
		return false;
	*rest = (struct slice){ (const char *)r.p, (size_t)(r.end - r.p) };
	return true;
}

void call_record_try_put(struct writer *w, const struct call_record_try *y)
{
	wr_u64(w, (uint64_t)y->start_ms);
	wr_u16(w, y->status);
	put_addr(w, &y->addr);
	wr_slice(w, y->uri);
	wr_slice(w, y->trunk);
	wr_slice(w, y->outcome);
	wr_slice(w, y->call_id);
}

bool call_record_try_next(struct reader *r, struct call_record_try *ret)
{
	struct call_record_try y;

	if (r->bad || r->p == r->end)
		return false;
	y.start_ms = (int64_t)rd_u64(r);
	y.status = rd_u16(r);
	get_addr(r, &y.addr);
	y.uri = rd_slice(r);
	y.trunk = rd_slice(r);
	y.outcome = rd_slice(r);
	y.call_id = rd_slice(r);
	if (r->bad)
		return false;
	*ret = y;
	return true;
}

int call_record_print(const struct call_record *r, void *buf, size_t size, size_t *ret_len)
{
	struct writer w = writer_on(buf, size);
	size_t i;

	if (r->leg[0].nstreams > CALL_STREAMS || r->leg[1].nstreams > CALL_STREAMS)
		return ERR_RANGE;
	wr_u16(&w, RECORD_VERSION);
	wr_bytes(&w, r->id, sizeof r->id);
	wr_u64(&w, r->serial);
	wr_u8(&w, r->state);
	wr_slice(&w, r->from);
	wr_slice(&w, r->to);
	wr_slice(&w, r->route);
	wr_u64(&w, (uint64_t)r->start_ms);
	wr_u64(&w, (uint64_t)r->ringing_ms);
	wr_u64(&w, (uint64_t)r->answer_ms);
	for (i = 0; i < 2; i++)
		put_leg(&w, &r->leg[i]);
	wr_slice(&w, r->vars);
	wr_slice(&w, r->decisions);
	wr_slice(&w, r->tried);
	wr_slice(&w, r->extra);
	if (w.bad)
		return ERR_TRUNCATED;
	*ret_len = wr_len(&w);
	return 0;
}

int call_record_parse(const void *buf, size_t n, struct call_record *ret)
{
	struct reader r = reader_on(buf, n);
	struct call_record c = { 0 };
	struct slice id;
	size_t i;

	if (rd_u16(&r) < RECORD_VERSION)
		return ERR_TORN;
	id = rd_bytes(&r, sizeof c.id);
	if (r.bad || !memchr(id.p, 0, id.n) || !id.p[0])
		return ERR_TORN;
	memcpy(c.id, id.p, sizeof c.id);
	c.serial = rd_u64(&r);
	c.state = rd_u8(&r);
	c.from = rd_slice(&r);
	c.to = rd_slice(&r);
	c.route = rd_slice(&r);
	c.start_ms = (int64_t)rd_u64(&r);
	c.ringing_ms = (int64_t)rd_u64(&r);
	c.answer_ms = (int64_t)rd_u64(&r);
	for (i = 0; i < 2; i++)
		get_leg(&r, &c.leg[i]);
	c.vars = rd_slice(&r);
	c.decisions = rd_slice(&r);
	c.tried = rd_slice(&r);
	c.extra = rd_slice(&r);
	if (r.bad || c.state >= CALL_STATES)
		return ERR_TORN;
	*ret = c;
	return 0;
}
