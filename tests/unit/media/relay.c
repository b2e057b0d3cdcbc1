/* SPDX-License-Identifier: Apache-2.0 */
/* The relay's decisions on single packets, without sockets: format, direction, latch, hijack, rate, RTCP, restart on the same memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "media/relay.h"
#include "media/table.h"

#define SLOTS 4
#define T0 1000000000ll
#define MS 1000

static struct bed {
	struct media_map_entry map[SLOTS];
	struct media_header header;
	struct media_slot *slots;
	struct media_flow *flows;
	struct media_own *own;
	struct media_relay relay;
	union base_addr a, b;          /* the peers of slots 0 and 1 */
	uint32_t gen;
	int64_t now_us;
	struct media_out out;
	uint8_t packet[256];
} bed;

static union base_addr addr(const char *host, uint16_t port)
{
	union base_addr a;

	assert_int_equal(base_addr_parse(slice_str(host), port, &a), 0);
	return a;
}

static void bed_relay(unsigned workers)
{
	free(bed.flows);
	bed.flows = aligned_alloc(64, SLOTS * sizeof(*bed.flows));
	memset(bed.flows, 0, SLOTS * sizeof(*bed.flows));
	bed.relay = (struct media_relay){ .flows = bed.flows, .slots = bed.slots, .map = bed.map, .nslots = SLOTS, .workers = workers, .own = bed.own };
	for (bed.relay.index = workers - 1; bed.relay.index > 0; bed.relay.index--)
		media_relay_init(&bed.relay);
	media_relay_init(&bed.relay);
	media_relay_batch(&bed.relay, bed.now_us);
}

static void want(uint32_t slot, uint32_t flags, const union base_addr *remote, uint64_t pts)
{
	struct media_slot_want w = { .gen = bed.gen, .open = 1, .since_us = bed.now_us };

	w.want.peer = (struct media_ref){ !slot, bed.gen };
	w.want.flags = flags;
	w.want.remote = *remote;
	w.want.remote_rtcp = *remote;
	base_addr_set_port(&w.want.remote_rtcp, (uint16_t)(base_addr_port(remote) + 1));
	w.want.pts[0] = pts;
	media_slot_put(&bed.slots[slot], &w);
}

static int setup(void **state)
{
	(void)state;
	memset(&bed, 0, sizeof(bed));
	bed.slots = aligned_alloc(64, SLOTS * sizeof(*bed.slots));
	memset(bed.slots, 0, SLOTS * sizeof(*bed.slots));
	for (int i = 0; i < SLOTS; i++)
		bed.map[i] = (struct media_map_entry){ .addr = addr("127.0.0.1", (uint16_t)(20000 + 2 * i)), .ok = 1 };
	assert_int_equal(media_own_new(bed.map, SLOTS, &bed.own), 0);
	bed.now_us = T0;
	bed.gen = 5;
	bed.a = addr("192.0.2.1", 4000);
	bed.b = addr("198.51.100.1", 6000);
	bed_relay(1);
	want(0, MEDIA_RX | MEDIA_TX, &bed.a, 1);
	want(1, MEDIA_RX | MEDIA_TX, &bed.b, 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	media_own_free(bed.own);
	free(bed.slots);
	free(bed.flows);
	return 0;
}

static bool give(uint32_t slot, bool rtcp, const union base_addr *from, uint32_t n)
{
	struct media_in in = { .slot = slot, .rtcp = rtcp, .p = bed.packet, .n = n, .from = *from };

	media_relay_batch(&bed.relay, bed.now_us);
	return media_relay_packet(&bed.relay, &in, &bed.out);
}

static bool rtp(uint32_t slot, const union base_addr *from, uint8_t pt, uint32_t ssrc, uint16_t seq)
{
	memset(bed.packet, 0, sizeof(bed.packet));
	bed.packet[0] = 0x80;
	bed.packet[1] = pt;
	bed.packet[2] = (uint8_t)(seq >> 8);
	bed.packet[3] = (uint8_t)seq;
	bed.packet[11] = (uint8_t)ssrc;
	return give(slot, false, from, 172);
}

static void passes(void **state)
{
	uint32_t n = 0;

	(void)state;
	assert_true(rtp(0, &bed.a, 0, 1, 10));
	assert_true(bed.out.slot == 1 && !bed.out.rtcp && bed.out.n == 172 && base_addr_eq(bed.out.to, &bed.b));
	assert_true(rtp(1, &bed.b, 0, 2, 10));
	assert_true(bed.out.slot == 0 && base_addr_eq(bed.out.to, &bed.a));
	assert_int_equal(bed.slots[0].rx_packets, 1);
	assert_int_equal(bed.slots[1].tx_packets, 1);
	assert_int_equal(bed.slots[1].tx_bytes, 172);
	/* formats: not agreed, no RTP, too short */
	assert_false(rtp(0, &bed.a, 8, 1, 11));
	assert_false(rtp(0, &bed.a, 100, 1, 11));
	bed.packet[0] = 0x40;
	assert_false(give(0, false, &bed.a, 172));
	bed.packet[0] = 0x80;
	assert_false(give(0, false, &bed.a, 11));
	assert_int_equal(bed.slots[0].dropped_format, 4);
	assert_true(rtp(0, &bed.a, 13, 1, 11));        /* comfort noise goes unnamed */
	/* all payload types where none are named */
	want(0, MEDIA_RX | MEDIA_TX, &bed.a, 0);
	assert_true(rtp(0, &bed.a, 100, 1, 12));
	/* an idle port */
	assert_false(rtp(2, &bed.a, 0, 1, 1));
	assert_int_equal(bed.relay.idle, 1);
	/* the peer's generation is another: nothing goes there */
	bed.gen++;
	want(1, MEDIA_RX | MEDIA_TX, &bed.b, 1);
	assert_false(rtp(0, &bed.a, 0, 1, 13));
	assert_int_equal(bed.slots[1].tx_packets, 0);
	for (int i = 0; i < 500; i++)
		n += rtp(1, &bed.b, 0, 2, (uint16_t)(20 + i));
	assert_int_equal(n, 0);
}

static void directions(void **state)
{
	(void)state;
	want(0, MEDIA_TX, &bed.a, 1);
	assert_false(rtp(0, &bed.a, 0, 1, 10));
	assert_int_equal(bed.slots[0].dropped_direction, 1);
	assert_int_equal(bed.slots[0].rx_packets, 0);
	assert_true(rtp(1, &bed.b, 0, 2, 10));
	want(0, MEDIA_RX, &bed.a, 1);
	assert_false(rtp(1, &bed.b, 0, 2, 11));
	assert_int_equal(bed.slots[0].tx_packets, 1);
	assert_true(rtp(0, &bed.a, 0, 1, 11));
	assert_true(bed.slots[0].last_rtp_us == T0);
}

/* Ten sources that are nobody's, each packet another SSRC and sequence. */
static int spray(uint32_t slot, int n)
{
	int through = 0;

	for (int i = 0; i < n; i++) {
		union base_addr from = addr("203.0.113.9", (uint16_t)(1000 + i % 10));

		through += rtp(slot, &from, 0, 50 + base_random_below(100), (uint16_t)base_random_below(65536));
	}
	return through;
}

static void hijack(void **state)
{
	union base_addr nat = addr("203.0.113.77", 31000), moved = addr("203.0.113.77", 31002);
	int through = 0, sprayed = 0;

	(void)state;
	sprayed += spray(0, 50);                       /* before */
	for (int i = 0; i < 400; i++) {                /* during the latch of a phone behind NAT, and after */
		through += rtp(0, &nat, 0, 1, (uint16_t)(100 + i));
		sprayed += spray(0, 10);
		bed.now_us += 20 * MS;
	}
	assert_int_equal(sprayed, 0);
	assert_int_equal(through, 398);                /* the third packet latches */
	assert_true(rtp(1, &bed.b, 0, 2, 1));
	assert_true(base_addr_eq(bed.out.to, &nat));
	assert_int_equal(bed.slots[0].dropped_source, 50 + 4000 + 2);
	/* the phone moves: refused for two seconds, taken after three packets */
	through = 0;
	for (int i = 0; i < 110; i++) {
		bed.now_us += 20 * MS;
		through += rtp(0, &moved, 0, 1, (uint16_t)(500 + i));
	}
	assert_true(through >= 6 && through <= 12);
	/* the signalled address takes it with one packet */
	assert_true(rtp(0, &bed.a, 0, 9, 1));
	assert_false(rtp(0, &moved, 0, 1, 700));
	assert_true(rtp(1, &bed.b, 0, 2, 2));
	assert_true(base_addr_eq(bed.out.to, &bed.a));
}

static void loops(void **state)
{
	union base_addr own = bed.map[1].addr, other = bed.map[2].addr, rtcp = other;

	(void)state;
	base_addr_set_port(&rtcp, (uint16_t)(base_addr_port(&other) + 1));
	assert_true(media_own_has(bed.own, &own) && media_own_has(bed.own, &rtcp) && !media_own_has(bed.own, &bed.a));
	/* a signalled address that is a port of this call: nowhere */
	want(0, MEDIA_RX | MEDIA_TX, &own, 1);
	assert_false(rtp(1, &bed.b, 0, 2, 1));
	/* nor is one of our ports latched */
	for (int i = 0; i < 5; i++)
		assert_false(rtp(0, &other, 0, 1, (uint16_t)i));
}

static void rates(void **state)
{
	int through = 0;

	(void)state;
	for (int i = 0; i < 1000; i++)
		through += rtp(0, &bed.a, 0, 1, (uint16_t)i);
	assert_int_equal(through, 200);                /* the burst of a second */
	assert_int_equal(bed.slots[0].dropped_rate, 800);
	bed.now_us += 100 * MS;
	through = 0;
	for (int i = 0; i < 100; i++)
		through += rtp(0, &bed.a, 0, 1, (uint16_t)(1000 + i));
	assert_int_equal(through, 20);
}

static void put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static uint32_t sender_report(void)
{
	memset(bed.packet, 0, sizeof(bed.packet));
	bed.packet[0] = 0x80;
	bed.packet[1] = 200;
	bed.packet[3] = 6;
	put32(bed.packet + 8, 0xaaaabbbb);
	put32(bed.packet + 12, 0xccccdddd);
	return 28;
}

static uint32_t receiver_report(uint32_t lsr, uint32_t dlsr)
{
	memset(bed.packet, 0, sizeof(bed.packet));
	bed.packet[0] = 0x81;
	bed.packet[1] = 201;
	bed.packet[3] = 7;
	put32(bed.packet + 24, lsr);
	put32(bed.packet + 28, dlsr);
	return 32;
}

static void rtcp_passes(void **state)
{
	union base_addr a1 = addr("192.0.2.1", 4001), b1 = addr("198.51.100.1", 6001), nat = addr("192.0.2.1", 40001), evil = addr("203.0.113.1", 4001);

	(void)state;
	assert_true(give(0, true, &a1, sender_report()));
	assert_true(bed.out.slot == 1 && bed.out.rtcp && base_addr_eq(bed.out.to, &b1));
	/* B answers 150 ms later, of which it held the report for 125 ms: 25 ms of round trip between us and B */
	bed.now_us += 150 * MS;
	assert_true(give(1, true, &b1, receiver_report(0xbbbbcccc, 65536 / 8)));
	assert_int_equal(bed.slots[1].round_trip_us, 25000);
	assert_int_equal(bed.slots[1].rtcp_rx, 1);
	assert_int_equal(bed.slots[0].rtcp_tx, 1);
	/* others, and what is no RTCP */
	assert_false(give(0, true, &evil, receiver_report(0, 0)));
	assert_int_equal(bed.slots[0].dropped_source, 1);
	bed.packet[3] = 200;
	assert_false(give(0, true, &a1, 32));
	assert_false(give(0, true, &a1, 3));
	assert_int_equal(bed.slots[0].dropped_format, 2);
	/* hold stops RTP, RTCP goes on */
	want(0, 0, &bed.a, 1);
	assert_true(give(0, true, &a1, receiver_report(0, 0)));
	/* another port of the same host is learned where the signalled one was silent */
	bed.now_us += 16000 * MS;
	assert_true(give(0, true, &nat, receiver_report(0, 0)));
	assert_true(give(1, true, &b1, receiver_report(0, 0)));
	assert_true(base_addr_eq(bed.out.to, &nat));
	/* signalling moves the stream on the same host: what was learned is forgotten */
	bed.a = addr("192.0.2.1", 5000);
	want(0, MEDIA_RX | MEDIA_TX, &bed.a, 1);
	assert_true(give(1, true, &b1, receiver_report(0, 0)));
	assert_int_equal(base_addr_port(bed.out.to), 5001);
	/* a signalled RTCP address that makes no sense: the port above */
	bed.slots[0].want[bed.slots[0].version & 1].want.remote_rtcp.in.sin_port = 0;
	bed.slots[0].version += 2;
	assert_true(give(1, true, &b1, receiver_report(0, 0)));
	assert_int_equal(base_addr_port(bed.out.to), 5001);
}

static void rtcp_muxed(void **state)
{
	(void)state;
	want(0, MEDIA_RX | MEDIA_TX | MEDIA_MUX, &bed.a, 1);
	assert_true(give(0, false, &bed.a, receiver_report(0, 0)));
	assert_true(bed.out.slot == 1 && bed.out.rtcp && base_addr_port(bed.out.to) == 6001);
	bed.a = addr("198.51.100.1", 6001);
	assert_true(give(1, true, &bed.a, receiver_report(0, 0)));
	assert_true(bed.out.slot == 0 && !bed.out.rtcp && base_addr_port(bed.out.to) == 4000);
}

static void raw(void **state)
{
	(void)state;
	want(0, MEDIA_RX | MEDIA_TX | MEDIA_RAW, &bed.a, 0);
	memset(bed.packet, 7, 64);
	assert_true(give(0, false, &bed.a, 5));
	assert_int_equal(bed.out.n, 5);
	assert_int_equal(bed.slots[0].seq.received, 0);
}

static void restart(void **state)
{
	union base_addr nat = addr("203.0.113.77", 31000);

	(void)state;
	for (int i = 0; i < 5; i++)
		rtp(0, &nat, 0, 1, (uint16_t)i);
	assert_int_equal(bed.slots[0].rx_packets, 3);
	bed_relay(1);                                  /* another process on the same memory */
	assert_true(rtp(1, &bed.b, 0, 2, 1));
	bed_relay(1);
	assert_true(rtp(0, &nat, 0, 1, 5));
	assert_int_equal(bed.slots[0].rx_packets, 4);
	assert_int_equal(bed.slots[0].seq.received, 4);
	assert_false(spray(0, 20));
	assert_true(rtp(1, &bed.b, 0, 2, 2));
	assert_true(base_addr_eq(bed.out.to, &nat));
}

static void two_workers(void **state)
{
	union base_addr nat = addr("203.0.113.77", 31000);

	(void)state;
	bed_relay(2);                                  /* slot 1 is another worker's */
	assert_true(rtp(0, &bed.a, 0, 1, 1));
	assert_true(bed.out.slot == 1 && base_addr_eq(bed.out.to, &bed.b));
	bed.relay.index = 1;
	for (int i = 0; i < 3; i++)
		rtp(1, &nat, 0, 2, (uint16_t)i);
	assert_true(base_addr_eq(bed.out.to, &bed.a));
	bed.relay.index = 0;
	assert_true(rtp(0, &bed.a, 0, 1, 2));
	assert_true(base_addr_eq(bed.out.to, &nat));
	want(1, MEDIA_RX, &bed.b, 1);
	assert_false(rtp(0, &bed.a, 0, 1, 3));
}

/* ---- digits ---- */

static uint16_t digit_hz = 8000;

static void want_digits(uint32_t flags, uint32_t serial, uint8_t event, uint16_t ms)
{
	struct media_slot_want w = { .gen = bed.gen, .open = 1, .since_us = bed.now_us };

	w.want = (struct media_want){ .peer = { 1, bed.gen }, .flags = MEDIA_RX | MEDIA_TX | flags, .remote = bed.a, .pts = { 1, 1ull << (101 - 64) }, .events = 1u << 5,
		.digit = { .serial = serial, .ms = ms, .event = event }, .digit_pt = 96, .digit_hz = digit_hz };
	media_slot_put(&bed.slots[0], &w);
	media_relay_batch(&bed.relay, bed.now_us);
	media_relay_touch(&bed.relay, 0);
}

static unsigned seq_of(const uint8_t *p) { return (unsigned)p[2] << 8 | p[3]; }

static uint32_t word_at(const uint8_t *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]; }

/* The packet of an event that is due now: its sequence and duration; 0: none is. */
static unsigned due(unsigned *ret_duration, bool *ret_end)
{
	struct media_out out[4];

	media_relay_batch(&bed.relay, bed.now_us);
	if (media_digits_due(&bed.relay, out, 4) != 1)
		return 0;
	assert_true(out[0].n == 16 && out[0].slot == 1 && (out[0].p[1] & 127) == 96 && out[0].p[12] == 5);
	*ret_duration = (unsigned)out[0].p[14] << 8 | out[0].p[15];
	*ret_end = out[0].p[13] >> 7;
	return seq_of(out[0].p);
}

/* An event within a stream: one sequence, and reports as each side knows it; also after a restart. */
static void digits_sent(void **state)
{
	static const struct { unsigned duration; bool end; } v[] = { { 160, false }, { 320, false }, { 480, true }, { 480, true }, { 480, true } };
	unsigned duration;
	bool end;

	(void)state;
	for (uint16_t seq = 10; seq < 13; seq++)
		assert_true(rtp(0, &bed.a, 0, 1, seq));
	want_digits(0, 9, 5, 60);
	for (size_t i = 0; i < ARRAY_LEN(v); i++, bed.now_us += 20 * MS) {
		assert_int_equal(due(&duration, &end), 13 + i);
		assert_true(duration == v[i].duration && end == v[i].end);
		assert_int_equal(due(&duration, &end), 0);
		if (i < 2)
			assert_false(rtp(0, &bed.a, 0, 1, (uint16_t)(13 + i)));
	}
	assert_int_equal(media_digits_wait_ms(&bed.relay, bed.now_us), -1);
	media_relay_touch(&bed.relay, 0);
	assert_int_equal(due(&duration, &end), 0); /* the same want plays it once */
	assert_true(rtp(0, &bed.a, 0, 1, 15));
	assert_int_equal(seq_of(bed.out.p), 18);
	assert_true(rtp(0, &bed.a, 0, 2, 500)); /* another stream is left alone */
	assert_int_equal(seq_of(bed.out.p), 500);
	assert_true(rtp(0, &bed.a, 0, 1, 16));
	/* a sender report counts what was sent on, a receiver report what its sender knows */
	memset(bed.packet, 0, sizeof(bed.packet));
	memcpy(bed.packet, (uint8_t[]){ 0x80, 200, 0, 6, 0, 0, 0, 1 }, 8);
	bed.packet[23] = 100;
	bed.a = addr("192.0.2.1", 4001);
	assert_true(give(0, true, &bed.a, 28));
	assert_int_equal(word_at(bed.out.p + 20), 103);
	memset(bed.packet, 0, sizeof(bed.packet));
	memcpy(bed.packet, (uint8_t[]){ 0x81, 201, 0, 7, 0, 0, 0, 9, 0, 0, 0, 1 }, 12);
	bed.packet[17] = 1;
	bed.packet[19] = 19;
	bed.b = addr("198.51.100.1", 6001);
	assert_true(give(1, true, &bed.b, 32));
	assert_int_equal(word_at(bed.out.p + 16), 0x10000 + 16);
	media_relay_fini(&bed.relay);
	bed_relay(1);
	bed.a = addr("192.0.2.1", 4000);
	assert_true(rtp(0, &bed.a, 0, 1, 17));
	assert_int_equal(seq_of(bed.out.p), 20);
	media_relay_fini(&bed.relay);
}

/* the clock is the peer's number: one that no step of an event would ever get along with plays none */
static void digits_of_odd_clocks(void **state)
{
	static const uint16_t odd[] = { 0, 1, 40, 999 };
	unsigned duration;
	bool end;

	(void)state;
	for (uint16_t seq = 10; seq < 13; seq++)
		assert_true(rtp(0, &bed.a, 0, 1, seq));
	for (uint32_t i = 0; i < ARRAY_LEN(odd); i++) {
		digit_hz = odd[i];
		want_digits(0, 20 + i, 5, 60);
		assert_int_equal(due(&duration, &end), 0);
		assert_int_equal(media_digits_wait_ms(&bed.relay, bed.now_us), -1);
	}
	digit_hz = 8000;
	want_digits(0, 30, 5, 60);
	assert_int_equal(due(&duration, &end), 13);
	media_relay_fini(&bed.relay);
}

static bool event(uint16_t seq, uint32_t ts, uint8_t code, bool end, uint16_t duration, bool marker)
{
	memset(bed.packet, 0, sizeof(bed.packet));
	memcpy(bed.packet, (uint8_t[]){ 0x80, (uint8_t)(101 | (marker ? 0x80 : 0)), (uint8_t)(seq >> 8), (uint8_t)seq, (uint8_t)(ts >> 24), (uint8_t)(ts >> 16),
		(uint8_t)(ts >> 8), (uint8_t)ts, 0, 0, 0, 1, code, (uint8_t)(end ? 0x8a : 10), (uint8_t)(duration >> 8), (uint8_t)duration }, 16);
	return give(0, false, &bed.a, 16);
}

static void told(unsigned n, unsigned code, unsigned ms)
{
	assert_int_equal(bed.relay.nheard, n);
	if (n) {
		assert_int_equal(bed.relay.heard[n - 1].event, code);
		assert_int_equal(bed.relay.heard[n - 1].ms, ms);
	}
	bed.relay.nheard = 0;
	bed.now_us += 100 * MS;
}

/* An event is told once: at its end, at the next one, or when nothing more comes. */
static void digits_heard(void **state)
{
	struct media_out out[2];

	(void)state;
	want_digits(0, 0, 0, 0);
	assert_true(event(1, 1000, 5, false, 160, true)); /* relayed too */
	told(0, 0, 0);
	event(2, 1000, 5, true, 800, false);
	told(1, 5, 100);
	event(3, 1000, 5, true, 800, false);
	event(2, 1000, 5, true, 800, false);
	told(0, 0, 0);
	/* its end was lost: the next one tells of it */
	event(4, 3000, 11, false, 400, true);
	event(5, 5000, 11, true, 480, true);
	assert_int_equal(bed.relay.nheard, 1);
	told(1, 11, 50);
	/* nothing more came */
	event(6, 9000, 7, false, 160, true);
	told(0, 0, 0);
	bed.now_us += 200 * MS;
	media_relay_batch(&bed.relay, bed.now_us);
	assert_int_equal(media_digits_due(&bed.relay, out, 2), 0);
	told(1, 7, 20);
	/* a long one in two segments is one */
	event(7, 20000, 1, false, 0xffff, true);
	event(8, 20000 + 0xffff, 1, true, 800, false);
	told(1, 1, (0xffff + 800) / 8);
	/* of an event that is over; too short; no digit; another source's clock */
	event(9, 19000, 1, true, 800, true);
	told(0, 0, 0);
	event(10, 200000, 36, true, 800, true);
	told(0, 0, 0);
	bed.packet[1] = 101;
	assert_true(give(0, false, &bed.a, 14));
	told(0, 0, 0);
	/* at most one in 40 ms: a flood fills nothing */
	for (uint16_t k = 0; k < 40; k++)
		event((uint16_t)(20 + k), 300000 + 100u * k, 3, true, 80, true);
	assert_true(bed.relay.nheard <= 1);
	bed.relay.nheard = 0;
	/* the other leg has none */
	bed.now_us += 1000 * MS;
	want_digits(MEDIA_EVENTS_END, 0, 0, 0);
	assert_false(event(100, 500000, 2, true, 800, true));
	told(1, 2, 100);
	media_relay_fini(&bed.relay);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(passes, setup, teardown), cmocka_unit_test_setup_teardown(directions, setup, teardown),
		cmocka_unit_test_setup_teardown(hijack, setup, teardown), cmocka_unit_test_setup_teardown(loops, setup, teardown),
		cmocka_unit_test_setup_teardown(rates, setup, teardown), cmocka_unit_test_setup_teardown(rtcp_passes, setup, teardown),
		cmocka_unit_test_setup_teardown(rtcp_muxed, setup, teardown), cmocka_unit_test_setup_teardown(raw, setup, teardown),
		cmocka_unit_test_setup_teardown(restart, setup, teardown), cmocka_unit_test_setup_teardown(two_workers, setup, teardown),
		cmocka_unit_test_setup_teardown(digits_sent, setup, teardown), cmocka_unit_test_setup_teardown(digits_of_odd_clocks, setup, teardown), cmocka_unit_test_setup_teardown(digits_heard, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
