/* SPDX-License-Identifier: Apache-2.0 */
/*
 * media/relay: what is done with one packet: whose it is (latch), whether it may pass (format, direction, rate), figures, and where it
 * goes. RTP by RFC 3550, RTCP forwarded unchanged, RTCP on the RTP port by RFC 5761. Plain relay: no SRTP, no renumbering.
 */
#include "media/relay.h"

#include <errno.h>
#include <stdlib.h>

#include "media/seq.h"
#include "postern/wire.h"

#define SWEEP_US 1000000
#define RATE_DEFAULT_PPS 200       /* 4 x 50 */
#define RATE_VIDEO_PPS 2000
#define PT_COMFORT_NOISE 13        /* sent by many who did not negotiate it (RFC 3389) */

/* ---- our own ports ---- */

struct media_own { const struct media_map_entry *map; uint32_t mask; uint32_t cell[]; };

static uint32_t own_hash(const union base_addr *a)
{
	uint32_t port = base_addr_port(a) & ~1u; /* an RTCP port is its RTP port here */

	if (a->sa.sa_family == AF_INET)
		return base_hash_bytes(&a->in.sin_addr, 4, port);
	return base_hash_bytes(&a->in6.sin6_addr, 16, port);
}

int media_own_new(const struct media_map_entry *map, uint32_t nmap, struct media_own **ret)
{
	uint32_t size = 16, i, at;
	struct media_own *o;

	while (size < 2 * nmap)
		size *= 2;
	o = base_alloc(sizeof(*o) + size * sizeof(o->cell[0]));
	if (!o)
		return -ENOMEM;
	memset(o->cell, 0, size * sizeof(o->cell[0]));
	o->map = map;
	o->mask = size - 1;
	for (i = 0; i < nmap; i++) {
		for (at = own_hash(&map[i].addr) & o->mask; o->cell[at]; )
			at = (at + 1) & o->mask;
		o->cell[at] = i + 1;
	}
	*ret = o;
	return 0;
}

void media_own_free(struct media_own *o)
{
	free(o);
}

bool media_own_has(const struct media_own *o, const union base_addr *a)
{
	uint32_t at = own_hash(a) & o->mask;

	for (; o->cell[at]; at = (at + 1) & o->mask) {
		const union base_addr *e = &o->map[o->cell[at] - 1].addr;

		if (base_addr_same_host(e, a) && (uint16_t)(base_addr_port(a) - base_addr_port(e)) <= 1)
			return true;
	}
	return false;
}

static bool own_source(const void *arg, const union base_addr *a)
{
	return media_own_has(arg, a);
}

/* ---- loading what is wanted ---- */

void media_relay_init(struct media_relay *r)
{
	for (uint32_t i = r->index; i < r->nslots; i += r->workers) {
		r->flows[i].s = &r->slots[i];
		r->flows[i].slot = i;
	}
}

bool media_relay_is_open(const struct media_slot *s)
{
	struct media_slot_want w;

	media_slot_take(s, &w);
	return w.gen && w.open;
}

static union base_addr rtcp_target(const struct media_flow *f, const union base_addr *rtp)
{
	union base_addr a = *rtp;

	if (!rtp->sa.sa_family || f->flags & MEDIA_MUX)
		return a;
	if (f->rtcp_learned && base_addr_same_host(&f->rtcp_source, rtp))
		return f->rtcp_source;
	if ((rtp == &f->latch.signalled || f->latch.state == MEDIA_LATCH_SIGNALLED) && f->remote_rtcp.sa.sa_family == rtp->sa.sa_family
		&& media_addr_usable(&f->remote_rtcp))
		return f->remote_rtcp;
	base_addr_set_port(&a, (uint16_t)(base_addr_port(rtp) + 1));
	return a;
}

/* Compute the destinations and show them to readers. */
static void flow_aim(struct media_relay *r, struct media_flow *f)
{
	struct media_slot_addrs a;
	const union base_addr *rtp = media_latch_target(&f->latch);

	f->to[0] = *rtp;
	f->to[1] = rtcp_target(f, rtp);
	memset(&a, 0, sizeof(a));
	a.state = f->latch.state;
	a.signalled = f->latch.signalled;
	a.source = f->latch.source;
	if (f->rtcp_learned)
		a.rtcp_source = f->rtcp_source;
	a.to[0] = f->to[0];
	a.to[1] = f->to[1];
	media_slot_aim(f->s, &a);
	if (r->expect)
		r->expect(r->expect_arg, f->slot, f->to); /* packets come from where they are sent to */
}

/* After a start of the process: go on with the latch that is in memory. */
static void flow_restore(struct media_flow *f)
{
	struct media_slot_addrs a;

	if (!media_slot_addrs_get(f->s, f->gen, &a) || a.state >= MEDIA_LATCH_STATES)
		return;
	f->latch.state = (enum media_latch_state)a.state;
	f->latch.signalled = a.signalled;
	f->latch.source = a.source;
	f->latch.last_us = f->s->last_rtp_us;
	f->rtcp_source = a.rtcp_source;
	f->rtcp_learned = a.rtcp_source.sa.sa_family != 0;
	f->rtcp_source_us = f->s->last_rtcp_us;
}

/* A signalled address that leads back into this call's own ports, or nowhere, is none. */
static bool remote_usable(const struct media_relay *r, const struct media_flow *f, const struct media_want *w)
{
	const union base_addr *own = &r->map[f->slot].addr;

	if (!media_addr_usable(&w->remote) || w->remote.sa.sa_family != own->sa.sa_family || base_addr_eq(&w->remote, own))
		return false;
	return !media_ref_ok(w->peer) || w->peer.slot >= r->nslots || !base_addr_eq(&w->remote, &r->map[w->peer.slot].addr);
}

static void peer_load(struct media_relay *r, struct media_flow *f, struct media_ref peer)
{
	if (f->peer_ref.slot != peer.slot || f->peer_ref.gen != peer.gen)
		f->out_version = 0;
	f->peer_ref = peer;
	f->peer = NULL;
	if (media_ref_ok(peer) && peer.slot < r->nslots && peer.slot % r->workers == r->index)
		f->peer = &r->flows[peer.slot];
}

static void renumber_load(struct media_flow *f, const struct media_want *w)
{
	f->renumber = w->npt > 0;
	if (!f->renumber)
		return;
	for (unsigned i = 0; i < ARRAY_LEN(f->pt_out); i++)
		f->pt_out[i] = (uint8_t)i;
	for (unsigned i = 0; i < w->npt && i < MEDIA_PTS; i++)
		f->pt_out[w->pt[i].from & 127] = w->pt[i].to & 127;
}

static void flow_load(struct media_relay *r, struct media_flow *f)
{
	static const union base_addr nowhere;
	struct media_slot_want sw;
	const struct media_want *w = &sw.want;
	bool first = f->seen == 0;

	f->seen = media_slot_take(f->s, &sw);
	if (f->s->gen != sw.gen) {
		media_slot_reset(f->s, sw.gen);
		memset(&f->latch, 0, sizeof(f->latch));
		f->rtcp_learned = false;
		f->sr_us = 0;
		f->bucket_us = 0;
	}
	if (f->gen != sw.gen || !sw.open) {
		media_srtp_drop(f);
		media_digits_drop(f);
	}
	f->gen = sw.gen;
	f->open = sw.gen && sw.open;
	if (!f->open) { /* the figures stay to be read */
		if (r->expect)
			r->expect(r->expect_arg, f->slot, (union base_addr[2]){ nowhere, nowhere });
		return;
	}
	if (first) {
		flow_restore(f);
		media_digits_restore(r, f);
	}
	f->flags = w->flags;
	f->pts[0] = w->pts[0];
	f->pts[1] = w->pts[1];
	f->any_pt = !(w->pts[0] | w->pts[1]);
	f->pts[0] |= 1ull << PT_COMFORT_NOISE;
	f->events = w->events;
	f->clock_hz = w->clock_hz ? w->clock_hz : 8000;
	f->rate_pps = w->rate_pps ? w->rate_pps : f->clock_hz == 90000 ? RATE_VIDEO_PPS : RATE_DEFAULT_PPS;
	if (!first && memcmp(&f->remote_rtcp, &w->remote_rtcp, sizeof(f->remote_rtcp)))
		f->rtcp_learned = false; /* signalling knows better now */
	f->remote_rtcp = w->remote_rtcp;
	media_srtp_load(r, f, &sw, f->seen);
	renumber_load(f, w);
	peer_load(r, f, w->peer);
	media_latch_signal(&f->latch, remote_usable(r, f, w) ? &w->remote : &nowhere, w->flags & MEDIA_STRICT, sw.since_us);
	flow_aim(r, f);
	media_digits_start(r, f, w);
}

static inline void flow_fresh(struct media_relay *r, struct media_flow *f)
{
	if (__builtin_expect(__atomic_load_n(&f->s->version, __ATOMIC_ACQUIRE) != f->seen, 0))
		flow_load(r, f);
}

/* ---- passing on ---- */

/* The peer belongs to another worker: where it sends to stands in its slot. */
static const union base_addr *foreign_target(struct media_relay *r, const struct media_flow *f, bool rtcp, uint32_t *ret_flags)
{
	struct media_slot *s;
	struct media_slot_want w;
	struct media_slot_addrs a;
	union base_addr *to = &r->spare[r->nspare];

	if (!media_ref_ok(f->peer_ref) || f->peer_ref.slot >= r->nslots || r->nspare == MEDIA_BATCH)
		return NULL;
	s = &r->slots[f->peer_ref.slot];
	media_slot_take(s, &w);
	if (w.gen != f->peer_ref.gen || !w.open)
		return NULL;
	if (media_slot_addrs_get(s, w.gen, &a))
		*to = a.to[rtcp];
	else
		*to = rtcp ? w.want.remote_rtcp : w.want.remote; /* its worker has seen no packet yet */
	if (!media_addr_usable(to))
		return NULL;
	*ret_flags = w.want.flags;
	r->nspare++;
	return to;
}

static void out_load(struct media_relay *r, struct media_flow *f, struct media_slot *s)
{
	struct media_slot_want w;
	uint32_t version = media_slot_take(s, &w);

	media_srtp_load_out(r, f, &w, version);
}

/* As the peer's side knows it: its payload types, its keys. False: it must not leave. */
static inline bool relay_dress(struct media_relay *r, struct media_flow *f, struct media_slot *s, const struct media_in *in, uint32_t *n)
{
	if (__builtin_expect(MEDIA_GET(s->version) != f->out_version, 0))
		out_load(r, f, s);
	if (f->renumber && !in->rtcp && !in->made)
		in->p[1] = (uint8_t)((in->p[1] & 0x80) | f->pt_out[in->p[1] & 127]);
	if (__builtin_expect(!f->tx_secure, 1) || f->flags & MEDIA_RAW || media_srtp_seal(r, f, in->p, n, in->rtcp))
		return true;
	r->unsealed++;
	return false;
}

bool media_relay_pass(struct media_relay *r, struct media_flow *f, const struct media_in *in, struct media_out *out)
{
	struct media_flow *p = f->peer;
	struct media_slot *s;
	uint32_t flags;

	if (__builtin_expect(p != NULL, 1)) {
		flow_fresh(r, p);
		if (!p->open || p->gen != f->peer_ref.gen)
			return false;
		out->to = &p->to[in->rtcp];
		flags = p->flags;
		s = p->s;
		if (!out->to->sa.sa_family)
			return false;
	} else {
		out->to = foreign_target(r, f, in->rtcp, &flags);
		if (!out->to)
			return false;
		s = &r->slots[f->peer_ref.slot];
	}
	if (!in->rtcp && !(flags & MEDIA_TX))
		return false;
	out->p = in->p;
	out->n = in->n;
	if (!relay_dress(r, f, s, in, &out->n))
		return false;
	if (in->rtcp) {
		MEDIA_ADD(s->rtcp_tx, 1);
	} else {
		MEDIA_ADD(s->tx_packets, 1);
		MEDIA_ADD(s->tx_bytes, in->n);
	}
	r->forwarded++;
	out->slot = f->peer_ref.slot;
	out->rtcp = in->rtcp && !(flags & MEDIA_MUX);
	return true;
}

/* ---- RTCP ---- */

static bool rtcp_source_ok(struct media_flow *f, const union base_addr *from, int64_t now_us)
{
	const union base_addr *rtp = f->latch.state >= MEDIA_LATCH_MOVED ? &f->latch.source : &f->latch.signalled;
	bool signalled = f->remote_rtcp.sa.sa_family == from->sa.sa_family && media_addr_same(&f->remote_rtcp, from);
	bool same = f->rtcp_learned && media_addr_same(&f->rtcp_source, from);

	if (f->flags & MEDIA_STRICT && !signalled)
		return false;
	if (!signalled && !(rtp->sa.sa_family && base_addr_same_host(rtp, from)))
		return false;
	return signalled || same || !f->rtcp_learned || now_us - f->rtcp_source_us >= MEDIA_LATCH_RTCP_SILENCE_US;
}

static void rtcp_source_learn(struct media_relay *r, struct media_flow *f, const union base_addr *from)
{
	f->rtcp_source_us = r->now_us;
	if (f->rtcp_learned && media_addr_same(&f->rtcp_source, from))
		return;
	f->rtcp_source = *from;
	f->rtcp_learned = true;
	flow_aim(r, f);
}

/* SRTCP is opened in place; plain passes. */
static bool rtcp_open(struct media_relay *r, struct media_flow *f, struct media_in *in, bool trusted)
{
	bool newer;

	if (!f->rx_secure || f->flags & MEDIA_RAW)
		return true;
	if (media_srtp_open(r, f, in->p, &in->n, true, trusted, &newer))
		return true;
	MEDIA_ADD(f->s->dropped_auth, 1);
	return false;
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void report_blocks(struct media_flow *f, const uint8_t *b, size_t n, unsigned count, int64_t now_us)
{
	for (; count && n >= 24; count--, b += 24, n -= 24) {
		uint32_t lsr = be32(b + 16);
		int64_t rtt;

		if (!lsr || !f->sr_us || lsr != f->sr_ntp)
			continue;
		rtt = media_round_trip_us(now_us, f->sr_us, be32(b + 20));
		if (rtt >= 0)
			MEDIA_SET(f->s->round_trip_us, (uint32_t)rtt);
	}
}

/* Every packet of the compound has sane lengths; round trips are taken from reports that pass. */
static bool rtcp_read(struct media_relay *r, struct media_flow *f, const struct media_in *in)
{
	struct wire_rtcp c;
	size_t pos = 0;
	bool bad;

	while (wire_rtcp_next(in->p, in->n, &pos, &c, &bad)) {
		if (c.type == 200 && c.len >= 20) {
			report_blocks(f, c.body + 20, c.len - 20, c.count, r->now_us);
			if (f->peer) {
				flow_fresh(r, f->peer);
				f->peer->sr_ntp = be32(c.body + 2);
				f->peer->sr_us = r->now_us;
			}
		} else if (c.type == 201) {
			report_blocks(f, c.body, c.len, c.count, r->now_us);
		}
	}
	return !bad;
}

static bool relay_rtcp(struct media_relay *r, struct media_flow *f, const struct media_in *came, struct media_out *out)
{
	struct media_in copy = *came, *in = &copy;
	struct media_slot *s = f->s;

	if (!(f->flags & MEDIA_RAW) && !wire_is_rtcp(in->p, in->n)) {
		MEDIA_ADD(s->dropped_format, 1);
		return false;
	}
	if (!rtcp_source_ok(f, &in->from, r->now_us)) {
		MEDIA_ADD(s->dropped_source, 1);
		return false;
	}
	if (!rtcp_open(r, f, in, f->rtcp_learned && media_addr_same(&f->rtcp_source, &in->from)))
		return false;
	rtcp_source_learn(r, f, &in->from);
	if (!(f->flags & MEDIA_RAW) && !rtcp_read(r, f, in)) {
		MEDIA_ADD(s->dropped_format, 1);
		return false;
	}
	MEDIA_SET(s->last_rtcp_us, r->now_us);
	MEDIA_ADD(s->rtcp_rx, 1);
	if (f->edited || (f->peer && f->peer->edited))
		media_digits_report(f, in->p, in->n);
	return media_relay_pass(r, f, in, out);
}

/* RTCP on the RTP port: its source is the RTP source (RFC 5761). */
static bool relay_muxed(struct media_relay *r, struct media_flow *f, const struct media_in *in, struct media_out *out)
{
	struct media_in rtcp = *in;

	rtcp.rtcp = true;
	if (!media_latch_settled(&f->latch, &in->from) && !media_addr_same(&f->latch.signalled, &in->from)) {
		MEDIA_ADD(f->s->dropped_source, 1);
		return false;
	}
	if (!rtcp_open(r, f, &rtcp, true))
		return false;
	if (!rtcp_read(r, f, &rtcp)) {
		MEDIA_ADD(f->s->dropped_format, 1);
		return false;
	}
	MEDIA_SET(f->s->last_rtcp_us, r->now_us);
	MEDIA_ADD(f->s->rtcp_rx, 1);
	if (f->edited || (f->peer && f->peer->edited))
		media_digits_report(f, rtcp.p, rtcp.n);
	return media_relay_pass(r, f, &rtcp, out);
}

/* ---- RTP ---- */

static bool rate_ok(struct media_flow *f, int64_t now_us)
{
	int64_t full = (int64_t)f->rate_pps * 1000000, gap = now_us - f->bucket_us;

	/* in millionths of a packet: one microsecond earns rate_pps of them */
	f->tokens = gap >= 1000000 ? full : f->tokens + gap * f->rate_pps;
	if (f->tokens > full)
		f->tokens = full;
	f->bucket_us = now_us;
	if (f->tokens < 1000000)
		return false;
	f->tokens -= 1000000;
	return true;
}

static bool rtp_latch(struct media_relay *r, struct media_flow *f, const struct media_in *in, const struct wire_rtp *h, bool proven)
{
	struct media_probe probe = { h->ssrc, h->seq, f->flags & MEDIA_RAW, proven };
	enum media_verdict v = media_latch_packet(&f->latch, &in->from, probe, r->now_us, own_source, r->own);

	if (v == MEDIA_REFUSE) {
		MEDIA_ADD(f->s->dropped_source, 1);
		return false;
	}
	if (v == MEDIA_MOVED) {
		f->rtcp_learned = false;
		r->latched++;
		flow_aim(r, f);
	}
	return true;
}

static bool rtp_plausible(const struct media_flow *f, const struct media_in *in, struct wire_rtp *h)
{
	if (f->flags & MEDIA_RAW) {
		memset(h, 0, sizeof(*h));
		return in->n > 0;
	}
	if (wire_rtp_parse(in->p, in->n, h))
		return false;
	return f->any_pt || f->pts[h->pt >> 6] >> (h->pt & 63) & 1;
}

static inline bool is_event(const struct media_flow *f, const struct wire_rtp *h)
{
	return h->pt >= 96 && f->events >> (h->pt - 96) & 1;
}

/* It is plausible and comes from whom it should. */
static bool rtp_take(struct media_relay *r, struct media_flow *f, const struct media_in *in, const struct wire_rtp *h, struct media_out *out)
{
	struct media_slot *s = f->s;

	MEDIA_SET(s->last_rtp_us, r->now_us);
	if (!(f->flags & MEDIA_RAW))
		media_seq_packet(&s->seq, h->ssrc, h->seq, h->ts, (uint32_t)((uint64_t)r->now_us * f->clock_hz / 1000000));
	if (!(f->flags & MEDIA_RX)) {
		MEDIA_ADD(s->dropped_direction, 1);
		return false;
	}
	MEDIA_ADD(s->rx_packets, 1);
	MEDIA_ADD(s->rx_bytes, in->n);
	if (__builtin_expect(is_event(f, h), 0) && !media_digits_take(r, f, h, in->p + h->header))
		return false;
	if (__builtin_expect(f->edited, 0) && !media_digits_edit(f, h, in->p))
		return false;
	return media_relay_pass(r, f, in, out);
}

/* SRTP: only what authenticates may latch, and is looked at; its padding is encrypted until then. */
static bool relay_srtp(struct media_relay *r, struct media_flow *f, const struct media_in *came, struct media_out *out)
{
	struct media_in in = *came;
	bool settled = media_latch_settled(&f->latch, &in.from), newer = false;
	struct media_slot *s = f->s;
	struct wire_rtp h;
	uint8_t pt;

	if (in.n < 12 || (in.p[0] & 0xc0) != 0x80) {
		MEDIA_ADD(s->dropped_format, 1);
		return false;
	}
	pt = in.p[1] & 0x7f;
	if (!f->any_pt && !(f->pts[pt >> 6] >> (pt & 63) & 1)) {
		MEDIA_ADD(s->dropped_format, 1);
		return false;
	}
	if (settled && !rate_ok(f, r->now_us)) {
		MEDIA_ADD(s->dropped_rate, 1);
		return false;
	}
	if (!media_srtp_open(r, f, in.p, &in.n, false, settled, &newer)) {
		MEDIA_ADD(s->dropped_auth, 1);
		return false;
	}
	if (!rtp_plausible(f, &in, &h)) {
		MEDIA_ADD(s->dropped_format, 1);
		return false;
	}
	if (settled) {
		f->latch.last_us = r->now_us;
		f->latch.ncandidates = 0;
	} else if (!rtp_latch(r, f, &in, &h, newer)) {
		return false;
	}
	return rtp_take(r, f, &in, &h, out);
}

bool media_relay_packet(struct media_relay *r, const struct media_in *in, struct media_out *out)
{
	struct media_flow *f = &r->flows[in->slot];
	struct media_slot *s = f->s;
	struct wire_rtp h;

	flow_fresh(r, f);
	if (!f->open) {
		r->idle++;
		return false;
	}
	if (in->rtcp)
		return relay_rtcp(r, f, in, out);
	if (f->flags & MEDIA_MUX && wire_is_rtcp(in->p, in->n))
		return relay_muxed(r, f, in, out);
	if (f->rx_secure && !(f->flags & MEDIA_RAW))
		return relay_srtp(r, f, in, out);
	if (!rtp_plausible(f, in, &h)) {
		MEDIA_ADD(s->dropped_format, 1);
		return false;
	}
	if (__builtin_expect(media_latch_settled(&f->latch, &in->from), 1)) {
		f->latch.last_us = r->now_us;
		f->latch.ncandidates = 0;
	} else if (!rtp_latch(r, f, in, &h, false)) {
		return false;
	}
	if (!rate_ok(f, r->now_us)) {
		MEDIA_ADD(s->dropped_rate, 1);
		return false;
	}
	return rtp_take(r, f, in, &h, out);
}

/* ---- sessions of slots that are closed ---- */

void media_relay_sweep(struct media_relay *r)
{
	struct list_node *n, *next;

	if (!r->secure.next || r->now_us - r->swept_us < SWEEP_US)
		return;
	r->swept_us = r->now_us;
	for (n = r->secure.next; n != &r->secure; n = next) {
		next = n->next;
		flow_fresh(r, container_of(n, struct media_srtp, node)->flow);
	}
}

void media_relay_touch(struct media_relay *r, uint32_t slot)
{
	if (slot < r->nslots && slot % r->workers == r->index)
		flow_fresh(r, &r->flows[slot]);
}

void media_relay_fini(struct media_relay *r)
{
	for (uint32_t i = r->index; i < r->nslots; i += r->workers)
		media_digits_drop(&r->flows[i]);
	while (r->secure.next && !list_empty(&r->secure))
		media_srtp_drop(container_of(r->secure.next, struct media_srtp, node)->flow);
}
