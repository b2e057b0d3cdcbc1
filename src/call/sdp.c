/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptions and their media: what a peer said becomes what the other is shown, with our addresses; then both descriptions become
 * the wants of the slots. Order of m-lines is kept; a line that we cannot carry stands with port 0 (RFC 3264 section 6).
 * Transports and keys of RTP are crypto.c's.
 */
#include <errno.h>
#include <stdlib.h>

#include "call/b2b.h"
#include "postern/keys.h"

#define O_USER "postern"
#define HOST_MAX 256

/* the engine is one thread: parsed descriptions and printed text live here until the next use */
static struct wire_sdp parsed[2];
static char printed[WIRE_SDP_BYTES + 4096];

int call_text_set(struct call_text *t, struct slice s)
{
	char *p = NULL;

	if (s.n) {
		p = base_dup(s);
		if (!p)
			return -ENOMEM;
	}
	if (t->p)
		keys_wipe(t->p, t->n); /* it may hold keys */
	free(t->p);
	t->p = p;
	t->n = s.n;
	t->keys = CALL_TEXT_UNSEEN;
	return 0;
}

void call_text_clear(struct call_text *t)
{
	if (t->p)
		keys_wipe(t->p, t->n);
	free(t->p);
	*t = (struct call_text){ 0 };
}

static struct slice text_of(const struct call_text *t) { return (struct slice){ t->p ? t->p : "", t->n }; }

/* ---- which m-lines we carry ---- */
enum carry { CARRY_RTP, CARRY_UDPTL, CARRY_NOT, CARRY_FORBIDDEN };

static enum carry carry_of(const struct wire_sdp_media *m)
{
	static const char *const rtp[] = { "RTP/AVP", "RTP/AVPF", "RTP/SAVP", "RTP/SAVPF" };

	for (size_t i = 0; i < ARRAY_LEN(rtp); i++)
		if (slice_eq_nocase(m->proto, slice_str(rtp[i])))
			return CARRY_RTP;
	if (slice_eq_nocase(m->proto, SLICE("udptl")))
		return CARRY_UDPTL;
	return m->rtp ? CARRY_FORBIDDEN : CARRY_NOT;
}

static bool stream_used(const struct wire_sdp_media *m, unsigned i)
{
	return i < CALL_STREAMS && m->port && carry_of(m) <= CARRY_UDPTL;
}

int call_sdp_check(struct slice body)
{
	const struct wire_sdp *s = &parsed[0];
	unsigned i, used = 0, live = 0;

	if (wire_sdp_parse(body, &parsed[0]))
		return 400;
	for (i = 0; i < s->nmedia; i++) {
		live += s->media[i].port != 0;
		used += stream_used(&s->media[i], i);
		if (s->media[i].port && carry_of(&s->media[i]) == CARRY_FORBIDDEN)
			return 488;
	}
	return live && !used ? 488 : 0;
}

/* ---- ports ---- */
static bool realm_has(const struct call_leg *l, int family)
{
	const struct peer_realm_conf *r = peer_realm_at(l->call->peers, l->trunk->realm);

	return family == AF_INET6 ? r->ports.address6 != NULL : r->ports.address != NULL;
}

/** A port for stream i of this leg in that family; one that is there already serves. */
static int port_make(struct call_leg *l, unsigned i, int family)
{
	struct call *c = l->call;
	struct call_stream *s = &l->stream[i];
	struct media_client *mc = c->eng->p.media;
	const struct call_stream *mate = &call_other(l)->stream[i];
	int lane, err;

	if (media_ref_ok(s->ref) && s->addr.sa.sa_family == family)
		return 0;
	if (!realm_has(l, family))
		return 488;
	if (media_ref_ok(s->ref))
		media_port_close(mc, s->ref);
	s->ref = (struct media_ref){ 0, 0 };
	lane = media_ref_ok(mate->ref) ? media_port_lane(mc, mate->ref) : media_ref_ok(c->leg[0].stream[0].ref) ? media_port_lane(mc, c->leg[0].stream[0].ref) : -1;
	err = media_port_take(mc, l->trunk->realm, family, lane, &s->ref, &s->addr);
	if (err)
		return err == ERR_NOPORT ? 503 : 500;
	if (i >= l->nstreams)
		l->nstreams = (uint8_t)(i + 1);
	return 0;
}

/** Family that stream i of this leg should have: as its peer's description says, else as its signalling, as far as the realm has it. */
static int family_for(const struct call_leg *l, const struct wire_sdp *peer, unsigned i, bool answer)
{
	int f = l->source.sa.sa_family;

	if (answer && peer && i < peer->nmedia && peer->media[i].conn.n)
		return peer->media[i].conn6 ? AF_INET6 : AF_INET;
	if (media_ref_ok(l->stream[i].ref))
		return l->stream[i].addr.sa.sa_family;
	if (!realm_has(l, f))
		f = f == AF_INET6 ? AF_INET : AF_INET6;
	return f;
}

/* ---- printing ---- */
/** Our address as the leg's peer sees it: the realm's `advertise`, else the address itself. */
static void place_set(const struct call_leg *l, unsigned i, struct wire_sdp_place *p, char host[static 48])
{
	const struct peer_realm_conf *r = peer_realm_at(l->call->peers, l->trunk->realm);
	const struct call_stream *s = &l->stream[i];
	bool v6 = s->addr.sa.sa_family == AF_INET6;
	const char *adv = v6 ? r->ports.advertise6 : r->ports.advertise;

	p->addr = adv ? adv : base_addr_host(&s->addr, false, host);
	p->ipv6 = v6;
	p->port = base_addr_port(&s->addr);
	p->rtcp_mux = s->mux;
	p->dir = -1;
}

uint64_t call_sdp_mark(struct slice text)
{
	const char *o = text.n > 5 && !memcmp(text.p, "v=0\r\no=", 7) ? text.p + 5 : NULL, *end = o ? memchr(o, '\n', text.n - 5) : NULL;
	size_t skip = end ? (size_t)(end - text.p) : 0;

	return (uint64_t)base_hash_bytes(text.p + skip, text.n - skip, 1) << 32 | base_hash_bytes(text.p + skip, text.n - skip, 0x9e3779b9);
}

bool call_sdp_around(const struct call *c)
{
	return !c->leg[0].media->anchor && c->leg[1].media && !c->leg[1].media->anchor;
}

static int print(struct call_leg *to, const struct wire_sdp *s, const struct wire_sdp_place *place, struct slice *ret)
{
	char own[48];
	struct wire_sdp_edit e = { .o_user = O_USER, .place = place, .around = call_sdp_around(to->call) };
	uint64_t mark;
	unsigned i;
	int n;

	for (i = 0; i < s->nmedia && !e.o_addr && !e.around; i++)
		if (place[i].addr) {
			e.o_addr = place[i].addr;
			e.o_ipv6 = place[i].ipv6;
		}
	if (!e.o_addr) {
		const struct sipua_listener *l = sipua_listener_at(to->call->eng->ua, to->listener);

		e.o_addr = base_addr_host(&l->addr, false, own);
		e.o_ipv6 = l->addr.sa.sa_family == AF_INET6;
	}
	if (!to->o_id) {
		base_random(&to->o_id, sizeof to->o_id);
		to->o_id = (to->o_id >> 2) | 1; /* fits the signed 62 bits that some peers keep */
	}
	e.o_id = to->o_id;
	e.o_version = to->o_version ? to->o_version : 1;
	n = wire_sdp_print(s, &e, printed, sizeof printed);
	if (n < 0)
		return 500;
	mark = call_sdp_mark((struct slice){ printed, (size_t)n });
	/* the version rises where the session differs from the one shown last (design.md section 6) */
	if (to->o_version && mark != to->shown) {
		e.o_version = to->o_version + 1;
		n = wire_sdp_print(s, &e, printed, sizeof printed);
		if (n < 0)
			return 500;
	}
	to->o_version = e.o_version;
	to->shown = mark;
	*ret = (struct slice){ printed, (size_t)n };
	return 0;
}

/** Did the peer of this leg offer rtcp-mux on line i, and may we take it? */
static bool mux_ok(const struct call_leg *l, const struct wire_sdp *peer, unsigned i)
{
	return l->media->rtcp_mux != 2 && peer && i < peer->nmedia && peer->media[i].rtcp_mux;
}

static int transport_check(const struct call_leg *from, const struct wire_sdp *s, unsigned i, bool answer)
{
	if (carry_of(&s->media[i]) != CARRY_RTP || call_sdp_around(from->call))
		return 0;
	return answer ? call_crypto_answer_check(from, s, i) : call_crypto_check(from, s, i);
}

/** Is line i one that the other leg is shown with a port of ours? In an answer only what was offered. */
static bool line_shown(const struct wire_sdp *s, unsigned i, bool answer, const struct wire_sdp *peer)
{
	return stream_used(&s->media[i], i) && (!answer || (peer && i < peer->nmedia && peer->media[i].port));
}

int call_sdp_secure(const struct call_leg *from, struct slice body, bool answer)
{
	const struct wire_sdp *s = &parsed[0];
	unsigned i;
	int status = 0;

	if (wire_sdp_parse(body, &parsed[0]))
		return answer ? 502 : 400;
	for (i = 0; !status && i < s->nmedia; i++)
		if (stream_used(&s->media[i], i))
			status = transport_check(from, s, i, answer);
	return status;
}

/** Media goes past us: line i with the address that its peer gave. */
static int place_around(struct call_leg *to, const struct wire_sdp *s, unsigned i, struct wire_sdp_place *p, char host[static HOST_MAX])
{
	const struct wire_sdp_media *m = &s->media[i];

	if (!m->conn.n || !slice_copy(host, HOST_MAX, m->conn))
		return 488;
	p->addr = host;
	p->ipv6 = m->conn6;
	p->port = m->port;
	p->dir = -1;
	if (i >= to->nstreams)
		to->nstreams = (uint8_t)(i + 1);
	return 0;
}

int call_sdp_family(const struct call_leg *from, struct slice body)
{
	const struct wire_sdp *s = &parsed[0];
	unsigned i;

	if (wire_sdp_parse(body, &parsed[0]))
		return 400;
	for (i = 0; i < s->nmedia && !call_sdp_around(from->call); i++)
		if (stream_used(&s->media[i], i) && s->media[i].conn.n && !realm_has(from, s->media[i].conn6 ? AF_INET6 : AF_INET))
			return 488;
	return 0;
}

int call_sdp_again(struct call_leg *l, struct slice *ret)
{
	struct slice text = text_of(&l->sdp_out);
	uint64_t mark = call_sdp_mark(text), version;
	struct text t = text_on(printed, sizeof printed);
	const char *end = text.p + text.n;

	if (wire_sdp_parse(text, &parsed[0]) || slice_u64(parsed[0].o_version, UINT64_MAX, &version))
		return 500;
	if (mark != l->shown) {
		l->o_version++;
		l->shown = mark;
	}
	*ret = text;
	if (version == l->o_version)
		return 0;
	text_slice(&t, (struct slice){ text.p, (size_t)(parsed[0].o_version.p - text.p) });
	text_add(&t, "%llu", (unsigned long long)l->o_version);
	text_slice(&t, (struct slice){ parsed[0].o_version.p + parsed[0].o_version.n, (size_t)(end - parsed[0].o_version.p) - parsed[0].o_version.n });
	*ret = text_get(&t);
	return t.cut ? 500 : 0;
}

/** Our address and port on line i. 0 or a status. */
static int place_make(struct call_leg *to, const struct wire_sdp *s, unsigned i, bool answer, const struct wire_sdp *peer, struct wire_sdp_place *p,
	char host[static HOST_MAX])
{
	int status = port_make(to, i, family_for(to, peer, i, answer));

	if (status)
		return status;
	if (answer)
		to->stream[i].mux = mux_ok(to, peer, i);
	place_set(to, i, p, host);
	p->rtcp_mux |= !answer && to->media->rtcp_mux == 1 && s->media[i].rtp; /* `require` offers it */
	return 0;
}

static uint32_t clock_of(const struct wire_sdp *s, int m);

/** Keys and telephone-event of line i as `to` is shown them; keys: room for lines of ours, formats: for those that are listed. */
static void rtp_place(struct call_leg *to, struct wire_sdp *s, unsigned i, const struct wire_sdp *offer, struct wire_sdp_place *p, char *keys, size_t size,
	struct text *formats)
{
	struct text more;

	call_crypto_place(to, &s->media[i], offer, i, p, keys, size);
	more = text_on(keys + p->attrs.n, size - p->attrs.n);
	call_telephone_place(to, s, i, offer, clock_of(s, (int)i), formats, &more);
	if (!more.cut)
		p->attrs = (struct slice){ keys, p->attrs.n + more.n };
}

/** All of line i of our own: address, port, keys. 0 or a status. */
static int line_place(struct call_leg *to, struct wire_sdp *s, unsigned i, bool answer, const struct wire_sdp *peer, struct wire_sdp_place *p, struct text *room)
{
	static char hosts[WIRE_SDP_MEDIA][HOST_MAX], keys[CALL_STREAMS][1280];
	int status;

	if (call_sdp_around(to->call))
		return place_around(to, s, i, p, hosts[i]);
	status = place_make(to, s, i, answer, peer, p, hosts[i]);
	if (!status && carry_of(&s->media[i]) == CARRY_RTP)
		rtp_place(to, s, i, answer ? peer : NULL, p, keys[i], sizeof keys[i], room);
	return status;
}

static int make(struct call_leg *to, struct slice body, bool answer, bool check, struct slice *ret)
{
	static char formats[CALL_STREAMS * 512];
	struct text room = text_on(formats, sizeof formats);
	struct wire_sdp_place place[WIRE_SDP_MEDIA] = { 0 };
	const struct call_text *own = to->call->x ? (answer ? &to->call->x->offer_in : &to->sdp_in) : &to->sdp_in;
	const struct wire_sdp *peer = NULL;
	struct wire_sdp *s = &parsed[0];
	unsigned i;
	int status;

	if (wire_sdp_parse(body, &parsed[0]))
		return answer ? 502 : 400;
	if (own->n && !wire_sdp_parse(text_of(own), &parsed[1]))
		peer = &parsed[1];
	for (i = 0; i < s->nmedia; i++) {
		if (!line_shown(s, i, answer, peer))
			continue;
		status = check ? transport_check(call_other(to), s, i, answer) : 0;
		if (!status)
			status = line_place(to, s, i, answer, peer, &place[i], &room);
		if (status)
			return status;
	}
	return print(to, s, place, ret);
}

int call_sdp_make(struct call_leg *to, struct slice body, bool answer, struct slice *ret)
{
	return make(to, body, answer, false, ret);
}

int call_sdp_for(struct call_leg *to, struct slice body, bool answer, struct slice *ret)
{
	return make(to, body, answer, true, ret);
}

/* ---- wants ---- */
static void remote_set(union base_addr *a, struct slice host, uint16_t port)
{
	if (!port || base_addr_parse(host, port, a) || base_addr_is_any(a))
		a->sa.sa_family = AF_UNSPEC;
}

static uint32_t clock_of(const struct wire_sdp *s, int m)
{
	struct slice v = wire_sdp_attr(s, m, "rtpmap"), f = s->media[m].formats;
	const char *sp = memchr(f.p, ' ', f.n), *slash;
	uint64_t hz;
	size_t n;

	if (sp)
		f.n = (size_t)(sp - f.p);
	if (!v.p || v.n <= f.n || memcmp(v.p, f.p, f.n) || v.p[f.n] != ' ')
		return 8000;
	slash = memchr(v.p, '/', v.n);
	if (!slash)
		return 8000;
	for (n = 0, slash++; slash + n < v.p + v.n && slash[n] >= '0' && slash[n] <= '9'; n++)
		;
	return slice_u64((struct slice){ slash, n }, 384000, &hz) || !hz ? 8000 : (uint32_t)hz;
}

/** May the peer not fall silent there? A hold takes as long as it takes, whoever may send; a stream that goes one way from the beginning is none. */
static bool watched(const struct call_leg *l, unsigned i, enum wire_dir dir, enum wire_dir other)
{
	const struct call_leg *o = call_other((struct call_leg *)(uintptr_t)l);

	if (!(dir & WIRE_SENDONLY) || !(other & WIRE_RECVONLY))
		return false;
	return (dir == WIRE_SENDRECV && other == WIRE_SENDRECV) || (dir == (enum wire_dir)l->first_dir[i] && other == (enum wire_dir)o->first_dir[i]);
}

/** What this leg's slot of line i should do: `in` is what its peer said, `other` what the other peer said. */
static void want_set(const struct call_leg *l, unsigned i, const struct wire_sdp *in, const struct wire_sdp *other, struct media_want *w)
{
	const struct wire_sdp_media *m = &in->media[i], *o = &other->media[i];
	enum wire_dir dir = wire_sdp_direction(in, m);
	uint64_t pts[2];

	w->peer = call_other((struct call_leg *)(uintptr_t)l)->stream[i].ref;
	if (!m->port || !o->port)
		return; /* removed: nothing flows, nothing is watched */
	remote_set(&w->remote, m->conn, m->port);
	if (l->stream[i].mux)
		w->remote_rtcp = w->remote;
	else
		remote_set(&w->remote_rtcp, m->rtcp_addr.n ? m->rtcp_addr : m->conn, m->rtcp_port ? m->rtcp_port : (uint16_t)(m->port + 1));
	w->flags = (dir & WIRE_SENDONLY ? MEDIA_RX : 0u) | (dir & WIRE_RECVONLY ? MEDIA_TX : 0u) | (l->stream[i].mux ? MEDIA_MUX : 0u) |
		(l->media->latch == 1 ? MEDIA_STRICT : 0u);
	w->clock_hz = clock_of(in, (int)i);
	if (carry_of(m) == CARRY_UDPTL) {
		w->flags |= MEDIA_RAW;
		return;
	}
	/* a peer may send what either side listed, and comfort noise (RFC 3389) */
	wire_sdp_pts(m, w->pts);
	wire_sdp_pts(o, pts);
	w->pts[0] |= pts[0] | 1u << 13;
	w->pts[1] |= pts[1];
	call_renumber(l, in, other, i, w);
	call_telephone_want(l, in, other, i, w);
	if (l->media->inactivity && watched(l, i, dir, wire_sdp_direction(other, o))) {
		w->flags |= MEDIA_WATCH;
		w->inactivity_s = (uint32_t)l->media->inactivity;
	}
}

void call_media_apply(struct call *c)
{
	const struct wire_sdp *s[2] = { &parsed[0], &parsed[1] };
	unsigned i, k;

	for (k = 0; k < 2; k++)
		if (!c->leg[k].sdp_in.n || wire_sdp_parse(text_of(&c->leg[k].sdp_in), &parsed[k]))
			return;
	for (i = 0; i < CALL_STREAMS && i < s[0]->nmedia && i < s[1]->nmedia; i++)
		for (k = 0; k < 2; k++) {
			struct media_want w = { 0 };
			struct media_key key[2] = { 0 };

			if (!media_ref_ok(c->leg[k].stream[i].ref))
				continue;
			want_set(&c->leg[k], i, s[k], s[!k], &w);
			if (w.flags && !(w.flags & MEDIA_RAW) && !call_crypto_keys(&c->leg[k], s[k], i, w.suite, key))
				w.flags &= ~(unsigned)(MEDIA_RX | MEDIA_TX); /* never plain where keys were promised */
			if (media_want_srtp(c->eng->p.media, c->leg[k].stream[i].ref, &w, key))
				base_count(COUNTER_MEDIA_WANT_FAILED);
			keys_wipe(key, sizeof key);
		}
}

void call_media_release(struct call *c)
{
	unsigned i, k;

	for (k = 0; k < 2; k++) {
		for (i = 0; i < c->leg[k].nstreams; i++)
			if (media_ref_ok(c->leg[k].stream[i].ref))
				media_port_close(c->eng->p.media, c->leg[k].stream[i].ref);
		c->leg[k].nstreams = 0;
	}
}
