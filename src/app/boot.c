/* SPDX-License-Identifier: Apache-2.0 */
/*
 * app/boot: print and parse the bodies of the boot messages. Pure: memory only.
 */
#include "app/boot.h"

const char *app_role_name(enum app_role role)
{
	static const char *const name[] = { "engine", "media", "admin" };

	must((unsigned)role < ARRAY_LEN(name));
	return name[role];
}

static int done(const struct writer *w)
{
	return w->bad ? ERR_TRUNCATED : (int)wr_len(w);
}

static void tags_print(struct writer *w, const uint8_t *tag, uint32_t n)
{
	wr_u32(w, n);
	wr_bytes(w, tag, n);
}

static void tags_parse(struct reader *r, uint8_t *tag, uint32_t max, uint32_t *ret_n)
{
	struct slice s = rd_slice(r);

	if (r->bad || s.n > max) {
		r->bad = true;
		return;
	}
	memcpy(tag, s.p, s.n);
	*ret_n = (uint32_t)s.n;
	for (size_t i = 0; i < s.n; i++)
		if (tag[i] >= APP_FD_TAGS)
			r->bad = true;
}

int app_setup_print(const struct app_setup *s, void *buf, size_t size)
{
	struct writer w = writer_on(buf, size);

	wr_u8(&w, (uint8_t)s->level);
	wr_u32(&w, s->max_calls);
	wr_u32(&w, s->connections);
	wr_u32(&w, s->sockets);
	wr_u32(&w, s->socket_room);
	wr_u32(&w, s->shared_hosts);
	wr_u32(&w, s->workers);
	wr_slice(&w, s->token_hash);
	tags_print(&w, s->tag, s->ntags);
	wr_bytes(&w, s->number, s->ntags);
	return done(&w);
}

int app_setup_parse(struct slice body, struct app_setup *ret)
{
	struct reader r = reader_on(body.p, body.n);
	struct app_setup s = { 0 };
	struct slice number;

	s.level = rd_u8(&r);
	s.max_calls = rd_u32(&r);
	s.connections = rd_u32(&r);
	s.sockets = rd_u32(&r);
	s.socket_room = rd_u32(&r);
	s.shared_hosts = rd_u32(&r);
	s.workers = rd_u32(&r);
	s.token_hash = rd_slice(&r);
	tags_parse(&r, s.tag, APP_BOOT_FDS, &s.ntags);
	number = rd_bytes(&r, s.ntags);
	if (!r.bad)
		memcpy(s.number, number.p, number.n);
	if (r.bad || r.p != r.end || s.level > BASE_DEBUG || s.socket_room < s.sockets || s.socket_room > 1u << 20)
		return ERR_PROTO;
	*ret = s;
	return 0;
}

int app_go_print(const struct app_go *g, void *buf, size_t size)
{
	struct writer w = writer_on(buf, size);

	wr_u8(&w, g->draining);
	tags_print(&w, g->tag, g->ntags);
	return done(&w);
}

int app_go_parse(struct slice body, struct app_go *ret)
{
	struct reader r = reader_on(body.p, body.n);
	struct app_go g = { 0 };

	g.draining = rd_u8(&r);
	tags_parse(&r, g.tag, APP_FD_TAGS, &g.ntags);
	if (r.bad || r.p != r.end)
		return ERR_PROTO;
	*ret = g;
	return 0;
}

int app_health_print(const struct app_health *h, void *buf, size_t size)
{
	struct writer w = writer_on(buf, size);

	wr_slice(&w, h->status);
	wr_u32(&w, h->n);
	for (uint32_t i = 0; i < h->n; i++) {
		wr_slice(&w, h->row[i].role);
		wr_u32(&w, h->row[i].pid);
		wr_u32(&w, h->row[i].restarts);
		wr_u64(&w, h->row[i].since_ms);
	}
	return done(&w);
}

int app_health_parse(struct slice body, struct app_health *ret)
{
	struct reader r = reader_on(body.p, body.n);
	struct app_health h = { 0 };

	h.status = rd_slice(&r);
	h.n = rd_u32(&r);
	if (r.bad || h.n > ARRAY_LEN(h.row))
		return ERR_PROTO;
	for (uint32_t i = 0; i < h.n; i++) {
		h.row[i].role = rd_slice(&r);
		h.row[i].pid = rd_u32(&r);
		h.row[i].restarts = rd_u32(&r);
		h.row[i].since_ms = rd_u64(&r);
	}
	if (r.bad || r.p != r.end)
		return ERR_PROTO;
	*ret = h;
	return 0;
}

void app_terms_put(struct writer *w, const struct app_terms *t)
{
	wr_slice(w, t->user);
	wr_slice(w, t->comment);
	wr_u8(w, t->step);
	wr_u64(w, t->previous);
	wr_u64(w, t->deadline_ms);
}

void app_terms_take(struct reader *r, struct app_terms *ret)
{
	ret->user = rd_slice(r);
	ret->comment = rd_slice(r);
	ret->step = rd_u8(r);
	ret->previous = rd_u64(r);
	ret->deadline_ms = rd_u64(r);
}

int app_apply_print(const struct app_apply *a, void *buf, size_t size)
{
	struct writer w = writer_on(buf, size);

	wr_u32(&w, a->id);
	wr_u64(&w, a->base);
	wr_u8(&w, a->dry_run);
	app_terms_put(&w, &a->terms);
	return done(&w);
}

int app_apply_parse(struct slice body, struct app_apply *ret)
{
	struct reader r = reader_on(body.p, body.n);
	struct app_apply a = { 0 };

	a.id = rd_u32(&r);
	a.base = rd_u64(&r);
	a.dry_run = rd_u8(&r);
	app_terms_take(&r, &a.terms);
	if (r.bad || r.p != r.end)
		return ERR_PROTO;
	*ret = a;
	return 0;
}

int app_prepare_print(const struct app_prepare *p, void *buf, size_t size)
{
	struct writer w = writer_on(buf, size);

	wr_u32(&w, p->transaction);
	wr_slice(&w, p->listener);
	wr_slice(&w, p->realm);
	wr_slice(&w, p->fresh);
	wr_u8(&w, p->more);
	return done(&w);
}

int app_prepare_parse(struct slice body, struct app_prepare *ret)
{
	struct reader r = reader_on(body.p, body.n);
	struct app_prepare p = { 0 };

	p.transaction = rd_u32(&r);
	p.listener = rd_slice(&r);
	p.realm = rd_slice(&r);
	p.fresh = rd_slice(&r);
	p.more = rd_u8(&r);
	if (r.bad || r.p != r.end || p.realm.n % sizeof(uint16_t) || p.more > 1)
		return ERR_PROTO;
	*ret = p;
	return 0;
}
