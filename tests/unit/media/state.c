/* SPDX-License-Identifier: Apache-2.0 */
/* Pure parts of media: the latch (every state, every event), sequence and jitter arithmetic, the pool, the codec, the slots, gathering. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "media/cmd.h"
#include "media/latch.h"
#include "media/pool.h"
#include "media/seq.h"
#include "media/slot.h"
#include "media/table.h"
#include "media/worker.h"

#define NO_KEYS { { { 0 } }, { { 0 } } }
#define T0 1000000000ll        /* a monotonic time to begin at, us */

static union base_addr addr(const char *host, uint16_t port)
{
	union base_addr a;

	assert_int_equal(base_addr_parse(slice_str(host), port, &a), 0);
	return a;
}

/* ---- latch ---- */

enum event {
	EV_SIGNALLED,          /* a packet of the signalled address */
	EV_CURRENT,            /* a packet of the latched source that is not the signalled address */
	EV_OTHER,              /* one packet of somebody else */
	EV_OTHER_3,            /* three of them in sequence, the source just heard */
	EV_OTHER_3_SILENT,     /* three of them, the source silent for 2 s */
	EV_OTHER_3_GAPS,       /* three of them out of sequence, after 2 s */
	EV_OTHER_3_OWN,        /* three of them from a port of our own, after 2 s */
	EV_OTHER_3_ANY,        /* from 0.0.0.0, after 2 s */
	EV_CHANGE,             /* signalling names another address */
	EV_CHANGE_CURRENT,     /* signalling names the latched source */
	EV_REPEAT,             /* signalling says the same again */
	EV_STRICT,             /* the same, strict */
	EVENTS
};

static bool own_port(const void *arg, const union base_addr *a)
{
	return base_addr_port(a) == *(const uint16_t *)arg;
}

static struct media_latch latch_in(enum media_latch_state state)
{
	struct media_latch l;
	union base_addr sig = addr("192.0.2.1", 4000), cur = addr("198.51.100.7", 6000);

	memset(&l, 0, sizeof(l));
	media_latch_signal(&l, &sig, false, T0 - 10000000);
	if (state == MEDIA_LATCH_NONE)
		return l;
	l.state = state;
	l.source = state == MEDIA_LATCH_SIGNALLED ? sig : cur;
	l.last_us = T0;
	if (state == MEDIA_LATCH_MOVED)
		l.moved_us = T0;
	return l;
}

static enum media_verdict latch_packets(struct media_latch *l, const union base_addr *from, int n, uint16_t step, int64_t at_us)
{
	static const uint16_t own = 9999;
	enum media_verdict v = MEDIA_REFUSE;

	for (int i = 0; i < n; i++)
		v = media_latch_packet(l, from, (struct media_probe){ 0x1234, (uint16_t)(65534 + i * step), false, false }, at_us + i * 20000, own_port, &own);
	return v;
}

static enum media_verdict latch_event(struct media_latch *l, enum event e)
{
	union base_addr sig = l->signalled, next = addr("192.0.2.9", 4444), other = addr("203.0.113.5", 7000), cur = l->source;
	union base_addr own = addr("203.0.113.5", 9999), any = addr("0.0.0.0", 7000);

	switch (e) {
	case EV_SIGNALLED: return latch_packets(l, &sig, 1, 1, T0 + 20000);
	case EV_CURRENT: return latch_packets(l, &cur, 1, 1, T0 + 20000);
	case EV_OTHER: return latch_packets(l, &other, 1, 1, T0 + 20000);
	case EV_OTHER_3: return latch_packets(l, &other, 3, 1, T0 + 1000);
	case EV_OTHER_3_SILENT: return latch_packets(l, &other, 3, 2, T0 + 2000000);
	case EV_OTHER_3_GAPS: return latch_packets(l, &other, 3, 4, T0 + 2000000);
	case EV_OTHER_3_OWN: return latch_packets(l, &own, 3, 1, T0 + 2000000);
	case EV_OTHER_3_ANY: return latch_packets(l, &any, 3, 1, T0 + 2000000);
	case EV_CHANGE: media_latch_signal(l, &next, false, T0 + 1000); break;
	case EV_CHANGE_CURRENT: media_latch_signal(l, &cur, false, T0 + 1000); break;
	case EV_REPEAT: media_latch_signal(l, &sig, false, T0 + 1000); break;
	case EV_STRICT: media_latch_signal(l, &sig, true, T0 + 1000); break;
	case EVENTS: break;
	}
	return MEDIA_REFUSE;
}

static void latch_table(void **state)
{
	enum { N = MEDIA_LATCH_NONE, M = MEDIA_LATCH_MOVED, S = MEDIA_LATCH_SIGNALLED, L = MEDIA_LATCH_LEARNED, R = MEDIA_REFUSE, A = MEDIA_ACCEPT,
		V = MEDIA_MOVED };
	static const struct { int state, verdict; } want[EVENTS][MEDIA_LATCH_STATES] = {
		/*                       NONE      MOVED     SIGNALLED LEARNED */
		[EV_SIGNALLED] =       { { S, V }, { S, V }, { S, A }, { S, V } },
		[EV_CURRENT] =         { { N, R }, { M, A }, { S, A }, { L, A } },
		[EV_OTHER] =           { { N, R }, { M, R }, { S, R }, { L, R } },
		[EV_OTHER_3] =         { { L, V }, { M, R }, { S, R }, { L, R } },
		[EV_OTHER_3_SILENT] =  { { L, V }, { L, V }, { L, V }, { L, V } },
		[EV_OTHER_3_GAPS] =    { { N, R }, { M, R }, { S, R }, { L, R } },
		[EV_OTHER_3_OWN] =     { { N, R }, { M, R }, { S, R }, { L, R } },
		[EV_OTHER_3_ANY] =     { { N, R }, { M, R }, { S, R }, { L, R } },
		[EV_CHANGE] =          { { N, R }, { M, R }, { M, R }, { M, R } },
		[EV_CHANGE_CURRENT] =  { { N, R }, { M, R }, { S, R }, { S, R } },
		[EV_REPEAT] =          { { N, R }, { M, R }, { S, R }, { L, R } },
		[EV_STRICT] =          { { N, R }, { N, R }, { S, R }, { N, R } },
	};

	(void)state;
	for (int e = 0; e < EVENTS; e++)
		for (int s = 0; s < MEDIA_LATCH_STATES; s++) {
			struct media_latch l = latch_in((enum media_latch_state)s);
			enum media_verdict v;

			if (s == MEDIA_LATCH_NONE && (e == EV_CURRENT || e == EV_CHANGE_CURRENT))
				continue; /* there is no current source */
			v = latch_event(&l, (enum event)e);
			if ((int)l.state != want[e][s].state || (int)v != want[e][s].verdict)
				fail_msg("event %d in state %d: state %d verdict %d", e, s, (int)l.state, (int)v);
		}
}

static void latch_details(void **state)
{
	struct media_latch l = latch_in(MEDIA_LATCH_MOVED);
	union base_addr old = l.source, third = addr("203.0.113.5", 7000), none = { 0 }, sig = l.signalled;

	(void)state;
	/* after a signalled change packets go to the new address at once, the former is heard */
	assert_true(base_addr_eq(media_latch_target(&l), &sig));
	assert_int_equal(latch_packets(&l, &old, 1, 1, T0 + 100000), MEDIA_ACCEPT);
	assert_true(base_addr_eq(media_latch_target(&l), &sig));
	/* five seconds later it is still the former: it is the stream */
	assert_int_equal(latch_packets(&l, &old, 1, 1, T0 + 5000000), MEDIA_MOVED);
	assert_true(base_addr_eq(media_latch_target(&l), &old));
	/* a third one takes over soon after a change once the former is silent */
	l = latch_in(MEDIA_LATCH_MOVED);
	assert_int_equal(latch_packets(&l, &third, 3, 1, T0 + 200000), MEDIA_MOVED);
	assert_true(base_addr_eq(media_latch_target(&l), &third));
	/* packets of the latched source reset candidates */
	l = latch_in(MEDIA_LATCH_LEARNED);
	latch_packets(&l, &third, 2, 1, T0 + 2000000);
	latch_packets(&l, &l.source, 1, 1, T0 + 2100000);
	assert_int_equal(latch_packets(&l, &third, 1, 1, T0 + 2120000), MEDIA_REFUSE);
	/* strict hears the signalled address alone */
	l = latch_in(MEDIA_LATCH_NONE);
	media_latch_signal(&l, &sig, true, T0);
	assert_int_equal(latch_packets(&l, &third, 5, 1, T0), MEDIA_REFUSE);
	assert_int_equal(latch_packets(&l, &sig, 1, 1, T0), MEDIA_MOVED);
	/* nothing signalled yet: three packets latch, nothing goes out before */
	memset(&l, 0, sizeof(l));
	media_latch_signal(&l, &none, false, T0);
	assert_int_equal(media_latch_target(&l)->sa.sa_family, 0);
	assert_int_equal(latch_packets(&l, &third, 3, 1, T0), MEDIA_MOVED);
	assert_true(media_latch_settled(&l, &third));
}

/* ---- sequence, loss, jitter ---- */

static void feed(struct media_seq *q, const int *seq, int n)
{
	for (int i = 0; i < n; i++)
		media_seq_packet(q, 7, (uint16_t)seq[i], (uint32_t)seq[i] * 160, (uint32_t)seq[i] * 160 + 1000);
}

static void seq_vectors(void **state)
{
	static const struct { int n, seq[8]; int64_t lost; uint64_t dup, reorder; } v[] = {
		{ 4, { 10, 11, 12, 13 }, 0, 0, 0 },
		{ 3, { 10, 12, 14 }, 2, 0, 0 },
		{ 4, { 10, 12, 11, 13 }, 0, 0, 1 },
		{ 4, { 10, 11, 11, 12 }, 0, 1, 0 },
		{ 6, { 10, 13, 13, 12, 12, 15 }, 2, 2, 1 },           /* doubles fill no hole */
		{ 4, { 12, 11, 10, 13 }, 0, 0, 2 },                   /* the first that came is not the first that was sent */
		{ 3, { 0, 65535, 1 }, 0, 0, 1 },
		{ 4, { 65534, 65535, 0, 1 }, 0, 0, 0 },
		{ 3, { 65535, 1, 0 }, 0, 0, 1 },
		{ 4, { 10, 20000, 11, 12 }, 0, 0, 0 },                /* a far packet alone changes nothing */
		{ 5, { 10, 11, 30000, 30001, 30002 }, 0, 0, 0 },      /* two in a row begin a new record */
		{ 3, { 10, 3009, 3010 }, 2998, 0, 0 },                /* MAX_DROPOUT is a loss */
		{ 6, { 100, 101, 37, 37, 102, 103 }, 0, 0, 2 },      /* older than the window: late, and not told apart */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		struct media_seq q = { 0 };

		feed(&q, v[i].seq, v[i].n);
		if (media_seq_lost(&q) != v[i].lost || q.duplicated != v[i].dup || q.reordered != v[i].reorder)
			fail_msg("vector %zu: lost %lld dup %llu reorder %llu", i, (long long)media_seq_lost(&q), (unsigned long long)q.duplicated,
				(unsigned long long)q.reordered);
	}
}

static void seq_ssrc(void **state)
{
	struct media_seq q = { 0 };

	(void)state;
	media_seq_packet(&q, 1, 100, 0, 0);
	media_seq_packet(&q, 1, 103, 480, 480);
	assert_int_equal(media_seq_lost(&q), 2);
	media_seq_packet(&q, 2, 5000, 99, 640);
	media_seq_packet(&q, 2, 5002, 419, 960);
	assert_int_equal(media_seq_lost(&q), 3);
	assert_int_equal(q.ssrc, 2);
	assert_int_equal(q.jitter16, 0); /* not over the border of the two */
}

/* RFC 3550 A.8 by hand: transit 0, 16, 0: d = 16, 16: j = 16; j = 16 + 16 - ((16 + 8) >> 4) = 31. */
static void jitter_vector(void **state)
{
	struct media_seq q = { 0 };

	(void)state;
	media_seq_packet(&q, 1, 1, 0, 1000);
	media_seq_packet(&q, 1, 2, 160, 1176);
	assert_int_equal(q.jitter16, 16);
	media_seq_packet(&q, 1, 3, 320, 1320);
	assert_int_equal(q.jitter16, 31);
	media_seq_packet(&q, 1, 4, 320, 1900); /* a repeated timestamp is not fed */
	assert_int_equal(q.jitter16, 31);
	/* the timestamp wraps: no jump */
	memset(&q, 0, sizeof(q));
	media_seq_packet(&q, 1, 1, 0xffffffb0u, 100);
	media_seq_packet(&q, 1, 2, 0x50, 260);
	assert_int_equal(q.jitter16, 0);
}

static void round_trip(void **state)
{
	(void)state;
	/* RFC 3550 figure 2: 6.125 s between, DLSR 5.25 s */
	assert_int_equal(media_round_trip_us(T0 + 11375000, T0, 0x00054000), 6125000);
	assert_int_equal(media_round_trip_us(T0, 0, 0), ERR_RANGE);
	assert_int_equal(media_round_trip_us(T0 + 1000, T0, 65536), ERR_RANGE);
	assert_int_equal(media_round_trip_us(T0 + 11000000, T0, 0), ERR_RANGE);
}

/* ---- pool ---- */

#define PORTS 40

static void pool_map(struct media_map_entry *map)
{
	memset(map, 0, PORTS * sizeof(*map));
	for (int i = 0; i < PORTS; i++)
		map[i] = (struct media_map_entry){ .addr = addr(i < 30 ? "127.0.0.1" : "::1", (uint16_t)(20000 + 2 * i)), .realm = i >= 20 && i < 30, .ok = i != 0 };
}

static void pool_properties(void **state)
{
	struct media_map_entry map[PORTS];
	struct media_pool *p;
	struct mono t = { T0 };
	uint32_t slot, first, seen[PORTS] = { 0 };

	(void)state;
	pool_map(map);
	assert_int_equal(media_pool_new(map, PORTS, &p), 0);
	assert_int_equal(media_pool_lanes(p, 2), 0);
	assert_int_equal(media_pool_count(p, 0, AF_INET), 19);
	assert_int_equal(media_pool_count(p, 1, AF_INET), 10);
	assert_int_equal(media_pool_count(p, 0, AF_INET6), 10);
	assert_int_equal(media_pool_count(p, 1, AF_INET6), 0);
	assert_int_equal(media_pool_count(p, 2, AF_INET), 0);
	assert_int_equal(media_pool_take(p, 2, AF_INET, -1, t, &slot), ERR_NOPORT);
	for (int i = 0; i < 19; i++) {
		assert_int_equal(media_pool_take(p, 0, AF_INET, i < 9 ? 1 : -1, t, &slot), 0);
		assert_true(slot > 0 && slot < 20 && !seen[slot]++);
		if (i < 9)
			assert_int_equal(slot % 2, 1); /* the lane asked for, while it has any */
	}
	assert_int_equal(media_pool_take(p, 0, AF_INET, 0, t, &slot), ERR_NOPORT);
	/* freed ones rest; with nothing else left the oldest is given all the same */
	media_pool_give(p, 5, t);
	t = mono_add_ms(t, 10);
	media_pool_give(p, 7, t);
	assert_int_equal(media_pool_count(p, 0, AF_INET), 2);
	assert_int_equal(media_pool_take(p, 0, AF_INET, 1, t, &first), 0);
	assert_int_equal(first, 5);
	assert_true(media_pool_used(p, 5));
	assert_false(media_pool_used(p, 7));
	media_pool_free(p);
}

static void pool_rest(void **state)
{
	struct media_map_entry map[PORTS];
	struct media_pool *p;
	struct mono t = { T0 };
	uint32_t slot;

	(void)state;
	pool_map(map);
	assert_int_equal(media_pool_new(map, PORTS, &p), 0);
	assert_int_equal(media_pool_claim(p, 25), 0);
	assert_int_equal(media_pool_claim(p, 25), ERR_EXISTS);
	assert_int_equal(media_pool_claim(p, 0), ERR_NOTFOUND);
	assert_int_equal(media_pool_claim(p, PORTS), ERR_NOTFOUND);
	media_pool_give(p, 25, t);
	/* while others are free, 25 is not given */
	for (int i = 0; i < 9; i++) {
		t = mono_add_ms(t, 100);
		assert_int_equal(media_pool_take(p, 1, AF_INET, -1, t, &slot), 0);
		assert_int_not_equal(slot, 25);
	}
	/* with under 10 % free the rest is short */
	t = mono_add_ms(t, 100);
	assert_int_equal(media_pool_take(p, 1, AF_INET, -1, t, &slot), 0);
	assert_int_equal(slot, 25);
	assert_int_equal(media_pool_take(p, 1, AF_INET, -1, t, &slot), ERR_NOPORT);
	/* 30 s later both that were given back are free */
	media_pool_give(p, 25, t);
	media_pool_give(p, 26, t);
	t = mono_add_ms(t, MEDIA_POOL_REST_MS);
	assert_int_equal(media_pool_take(p, 1, AF_INET, -1, t, &slot), 0);
	assert_int_equal(media_pool_take(p, 1, AF_INET, -1, t, &slot), 0);
	media_pool_free(p);
}

/* ---- codec, slots, table ---- */

static struct media_want a_want(void)
{
	struct media_want w = { .peer = { 3, 77 }, .remote = addr("192.0.2.1", 4000), .remote_rtcp = addr("2001:db8::1", 4001),
		.flags = MEDIA_RX | MEDIA_WATCH, .inactivity_s = 5, .pts = { 1, 1ull << 37 }, .clock_hz = 16000, .rate_pps = 9 };

	return w;
}

static void codec(void **state)
{
	uint8_t buf[2 * MEDIA_CMD_MAX];
	struct writer w = writer_on(buf, sizeof(buf));
	struct media_cmd a = { 1ull << 40, MEDIA_OP_WANT, { 2, 5 }, a_want(), NO_KEYS }, b = { 9, MEDIA_OP_CLOSE, { 1, 0 }, { .flags = 0 }, NO_KEYS }, c;
	struct reader r;
	bool bad;

	(void)state;
	media_cmd_print(&w, &a);
	media_cmd_print(&w, &b);
	assert_false(w.bad);
	r = reader_on(buf, wr_len(&w));
	assert_true(media_cmd_next(&r, &c, &bad));
	assert_true(c.seq == a.seq && c.ref.slot == 2 && c.ref.gen == 5 && c.want.peer.gen == 77 && c.want.rate_pps == 9);
	assert_true(base_addr_eq(&c.want.remote, &a.want.remote) && base_addr_eq(&c.want.remote_rtcp, &a.want.remote_rtcp));
	assert_true(media_cmd_next(&r, &c, &bad) && c.op == MEDIA_OP_CLOSE && c.ref.slot == 1);
	assert_false(media_cmd_next(&r, &c, &bad));
	assert_false(bad);
	for (size_t n = 1; n < wr_len(&w); n++) { /* every cut is an error or a border */
		r = reader_on(buf, n);
		while (media_cmd_next(&r, &c, &bad))
			;
		assert_true(bad || n == wr_len(&w) - 17);
	}
}

static void apply(struct media_table *t, struct media_cmd c, int64_t now_us)
{
	uint8_t buf[MEDIA_CMD_MAX];
	struct writer w = writer_on(buf, sizeof(buf));

	media_cmd_print(&w, &c);
	media_table_apply(t, (struct slice){ (char *)buf, wr_len(&w) }, now_us);
}

/* Slot 1 is open, with generation 101. */
static void other_sizes(struct media_header *h, struct media_slot *s)
{
	struct media_slot_want w;
	struct media_table *t;

	h->nslots = 3;
	assert_int_equal(media_table_new(h, s, 4, &t), 0); /* ports of a new revision: those before stay as they are */
	media_slot_take(&s[1], &w);
	assert_true(w.open && w.gen == 101 && h->nslots == 4);
	media_table_free(t);
	h->magic = 1;
	assert_int_equal(media_table_new(h, s, 3, &t), 0); /* memory of somebody else */
	media_slot_take(&s[1], &w);
	assert_true(!w.open && !w.gen && h->applied == 0);
	media_table_free(t);
}

static void table_rules(void **state)
{
	struct media_header h = { 0 };
	struct media_slot *s = aligned_alloc(64, 4 * sizeof(*s));
	struct media_slot_want w;
	struct media_table *t;
	struct media_ref silent[4];
	uint64_t stale = base_counters[COUNTER_MEDIA_CMD_STALE];

	(void)state;
	assert_int_equal(media_table_new(&h, s, 4, &t), 0);
	apply(t, (struct media_cmd){ 10, MEDIA_OP_WANT, { 1, 100 }, a_want(), NO_KEYS }, T0);
	assert_int_equal(h.applied, 10);
	media_slot_take(&s[1], &w);
	assert_true(w.open && w.gen == 100 && w.since_us == T0);
	/* again: nothing changes, not even the time */
	apply(t, (struct media_cmd){ 11, MEDIA_OP_WANT, { 1, 100 }, a_want(), NO_KEYS }, T0 + 5);
	assert_int_equal(media_slot_take(&s[1], &w), 1);
	assert_true(w.since_us == T0 && h.applied == 11);
	/* an older generation is refused, a newer one is not */
	apply(t, (struct media_cmd){ 12, MEDIA_OP_WANT, { 1, 99 }, a_want(), NO_KEYS }, T0);
	apply(t, (struct media_cmd){ 13, MEDIA_OP_CLOSE, { 1, 99 }, { .flags = 0 }, NO_KEYS }, T0);
	assert_int_equal(base_counters[COUNTER_MEDIA_CMD_STALE] - stale, 2);
	assert_int_equal(media_table_watched(t), 1);
	/* silence is told once, and again to a new listener */
	assert_int_equal(media_table_silent(t, T0 + 4999999, silent, 4), 0);
	assert_int_equal(media_table_silent(t, T0 + 5000000, silent, 4), 1);
	assert_true(silent[0].slot == 1 && silent[0].gen == 100);
	media_table_told(t, silent[0]);
	assert_int_equal(media_table_silent(t, T0 + 9000000, silent, 4), 0);
	media_table_forget_told(t);
	assert_int_equal(media_table_silent(t, T0 + 9000000, silent, 4), 1);
	media_table_told(t, silent[0]);
	/* a new process on the same memory goes on */
	media_table_free(t);
	assert_int_equal(media_table_new(&h, s, 4, &t), 0);
	assert_int_equal(h.applied, 13);
	assert_int_equal(media_table_watched(t), 1);
	/* closed, and closed again; a late wish of the dead call is refused */
	apply(t, (struct media_cmd){ 14, MEDIA_OP_CLOSE, { 1, 100 }, { .flags = 0 }, NO_KEYS }, T0);
	apply(t, (struct media_cmd){ 15, MEDIA_OP_CLOSE, { 1, 0 }, { .flags = 0 }, NO_KEYS }, T0);
	apply(t, (struct media_cmd){ 16, MEDIA_OP_WANT, { 1, 100 }, a_want(), NO_KEYS }, T0);
	media_slot_take(&s[1], &w);
	assert_true(!w.open && w.gen == 100);
	assert_int_equal(media_table_watched(t), 0);
	apply(t, (struct media_cmd){ 17, MEDIA_OP_WANT, { 1, 101 }, a_want(), NO_KEYS }, T0);
	media_slot_take(&s[1], &w);
	assert_true(w.open && w.gen == 101);
	/* slots that are not there */
	apply(t, (struct media_cmd){ 18, MEDIA_OP_WANT, { 4, 1 }, a_want(), NO_KEYS }, T0);
	media_table_free(t);
	other_sizes(&h, s);
	free(s);
}

static void map_blob(void **state)
{
	struct media_map_entry map[PORTS];
	const struct media_map_entry *e;
	struct slice blob;
	uint32_t n;

	(void)state;
	pool_map(map);
	assert_int_equal(media_map_print(map, PORTS, &blob), 0);
	assert_int_equal(media_map_parse(blob, &e, &n), 0);
	assert_int_equal(n, PORTS);
	assert_true(base_addr_eq(&e[33].addr, &map[33].addr) && e[25].realm == 1 && !e[0].ok);
	assert_int_equal(media_map_parse((struct slice){ blob.p, blob.n - 1 }, &e, &n), ERR_TRUNCATED);
	assert_int_equal(media_map_parse((struct slice){ blob.p, 3 }, &e, &n), ERR_TRUNCATED);
	((char *)(uintptr_t)blob.p)[0] ^= 1;
	assert_int_equal(media_map_parse(blob, &e, &n), ERR_PROTO);
	free((void *)(uintptr_t)blob.p);
}

static void usable(void **state)
{
	static const char *const bad[] = { "0.0.0.0", "0.1.2.3", "224.0.0.1", "239.1.1.1", "255.255.255.255", "::", "ff02::1" };
	union base_addr a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		a = addr(bad[i], 5000);
		if (media_addr_usable(&a))
			fail_msg("%s", bad[i]);
	}
	a = addr("192.0.2.1", 0);
	assert_false(media_addr_usable(&a));
	a = addr("192.0.2.1", 1);
	assert_true(media_addr_usable(&a));
	a = addr("2001:db8::1", 1);
	assert_true(media_addr_usable(&a));
}

/* One second of traffic in batches of `per`; returns in how many of them it slept. */
static int gather_second(struct media_gather *g, int64_t *t, unsigned pps, unsigned per, bool full)
{
	int slept = 0;

	for (unsigned i = 0; i < pps / per; i++) {
		*t += 1000000ll * per / pps;
		slept += media_gather_next(g, *t, per, full);
	}
	return slept;
}

static void gathering(void **state)
{
	struct media_gather g = { .allowed = true };
	int64_t t = T0;

	(void)state;
	gather_second(&g, &t, 50000, 2, false);
	assert_true(gather_second(&g, &t, 50000, 2, false) > 20000);   /* single packets at a high rate: pays */
	assert_int_equal(gather_second(&g, &t, 50000, 2, true), 0);    /* never on a full batch */
	gather_second(&g, &t, 50000, 10, false);
	gather_second(&g, &t, 50000, 10, false);
	assert_int_equal(gather_second(&g, &t, 50000, 10, false), 0);  /* batches come by themselves */
	gather_second(&g, &t, 5000, 1, false);
	gather_second(&g, &t, 5000, 1, false);
	assert_int_equal(gather_second(&g, &t, 5000, 1, false), 0);    /* a low rate */
	g = (struct media_gather){ .allowed = false };
	gather_second(&g, &t, 50000, 1, false);
	assert_int_equal(gather_second(&g, &t, 50000, 1, false), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(latch_table), cmocka_unit_test(latch_details), cmocka_unit_test(seq_vectors), cmocka_unit_test(seq_ssrc),
		cmocka_unit_test(jitter_vector), cmocka_unit_test(round_trip), cmocka_unit_test(pool_properties), cmocka_unit_test(pool_rest),
		cmocka_unit_test(codec), cmocka_unit_test(table_rules), cmocka_unit_test(map_blob), cmocka_unit_test(usable), cmocka_unit_test(gathering),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
