/* SPDX-License-Identifier: Apache-2.0 */
/* SRTP in the relay: any pairing, what may latch, re-keying, restart of the process, keys that go with their wants; MOS. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "media/relay.h"
#include "media/table.h"

#define SLOTS 4
#define GEN 7

/* a phone with SRTP of its own */
struct phone { union base_addr addr; enum keys_suite suite; struct media_key rx, tx; struct keys_srtp_state rs, ts; struct keys_srtp *in, *out; };

static struct bed {
	struct media_map_entry map[SLOTS];
	struct media_header header;
	struct media_slot *slots;
	struct media_slot_keys *keys;
	struct media_table *table;
	struct media_flow *flows;
	struct media_own *own;
	struct media_relay relay;
	struct phone phone[2];
	uint64_t seq;
	int64_t now_us;
	struct media_out out;
	uint32_t n;
	_Alignas(64) uint8_t packet[512];
} bed;

static union base_addr addr(const char *host, uint16_t port)
{
	union base_addr a;

	assert_int_equal(base_addr_parse(slice_str(host), port, &a), 0);
	return a;
}

static void relay_up(void)
{
	media_relay_fini(&bed.relay);
	free(bed.flows);
	bed.flows = aligned_alloc(64, SLOTS * sizeof(*bed.flows));
	memset(bed.flows, 0, SLOTS * sizeof(*bed.flows));
	bed.relay = (struct media_relay){ .flows = bed.flows, .slots = bed.slots, .map = bed.map, .nslots = SLOTS, .workers = 1, .own = bed.own, .keys = bed.keys };
	media_relay_init(&bed.relay);
}

static void table_up(void)
{
	media_table_free(bed.table);
	assert_int_equal(media_table_new(&bed.header, bed.slots, SLOTS, &bed.table), 0);
	media_table_keys(bed.table, bed.keys);
}

/* The phone's side of a slot; a suite of 0 is plain. New keys where `fresh`. */
static void phone_set(unsigned k, enum keys_suite suite, bool fresh)
{
	struct phone *p = &bed.phone[k];

	if (fresh || suite != p->suite) {
		p->suite = suite;
		keys_srtp_free(p->in);
		keys_srtp_free(p->out);
		p->in = p->out = NULL;
		if (suite) {
			keys_srtp_random(suite, p->rx.key);
			keys_srtp_random(suite, p->tx.key);
			assert_int_equal(keys_srtp_new(suite, p->rx.key, false, &p->rs, &p->in), 0);
			assert_int_equal(keys_srtp_new(suite, p->tx.key, true, &p->ts, &p->out), 0);
		}
	}
}

static void want_op(unsigned slot, enum media_op op, uint32_t flags)
{
	uint8_t body[MEDIA_CMD_MAX];
	struct writer w = writer_on(body, sizeof(body));
	struct phone *p = &bed.phone[slot];
	struct media_cmd c = { .seq = ++bed.seq, .op = op, .ref = { slot, GEN }, .key = { p->tx, p->rx } };

	c.want.peer = (struct media_ref){ !slot, GEN };
	c.want.remote = c.want.remote_rtcp = p->addr;
	base_addr_set_port(&c.want.remote_rtcp, (uint16_t)(base_addr_port(&p->addr) + 1));
	c.want.flags = flags;
	c.want.pts[0] = 1;
	c.want.suite[0] = c.want.suite[1] = (uint8_t)p->suite;
	media_cmd_print(&w, &c);
	assert_false(w.bad);
	media_table_apply(bed.table, (struct slice){ (char *)body, wr_len(&w) }, bed.now_us);
}

static void want(unsigned slot) { want_op(slot, MEDIA_OP_WANT, MEDIA_RX | MEDIA_TX); }

static int setup(void **state)
{
	(void)state;
	memset(&bed, 0, sizeof(bed));
	assert_int_equal(keys_srtp_start(), 0);
	bed.slots = aligned_alloc(64, SLOTS * sizeof(*bed.slots));
	memset(bed.slots, 0, SLOTS * sizeof(*bed.slots));
	bed.keys = calloc(SLOTS, sizeof(*bed.keys));
	for (int i = 0; i < SLOTS; i++)
		bed.map[i] = (struct media_map_entry){ .addr = addr("127.0.0.1", (uint16_t)(20000 + 2 * i)), .ok = 1 };
	assert_int_equal(media_own_new(bed.map, SLOTS, &bed.own), 0);
	bed.now_us = 1000000000;
	bed.phone[0].addr = addr("192.0.2.1", 4000);
	bed.phone[1].addr = addr("198.51.100.1", 6000);
	table_up();
	relay_up();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	media_relay_fini(&bed.relay);
	for (int k = 0; k < 2; k++) {
		keys_srtp_free(bed.phone[k].in);
		keys_srtp_free(bed.phone[k].out);
	}
	media_table_free(bed.table);
	media_own_free(bed.own);
	free(bed.slots);
	free(bed.keys);
	free(bed.flows);
	return 0;
}

static void make(uint32_t ssrc, uint16_t seq)
{
	memset(bed.packet, 0x55, sizeof(bed.packet));
	bed.packet[0] = 0x80;
	bed.packet[1] = 0;
	bed.packet[2] = (uint8_t)(seq >> 8);
	bed.packet[3] = (uint8_t)seq;
	memset(bed.packet + 4, 0, 8);
	bed.packet[11] = (uint8_t)ssrc;
	bed.n = 172;
}

static bool give_from(unsigned slot, const union base_addr *from, bool rtcp)
{
	struct media_in in = { .slot = slot, .rtcp = rtcp, .p = bed.packet, .n = bed.n, .from = *from };

	bed.now_us += 20000;
	media_relay_batch(&bed.relay, bed.now_us);
	return media_relay_packet(&bed.relay, &in, &bed.out);
}

/* A packet of phone k arrives at the other one as it was. */
static bool crosses(unsigned k, uint32_t ssrc, uint16_t seq)
{
	struct phone *from = &bed.phone[k], *to = &bed.phone[!k];
	uint32_t n;
	bool newer;

	make(ssrc, seq);
	if (from->out)
		assert_int_equal(keys_srtp_protect(from->out, bed.packet, &bed.n), 0);
	if (!give_from(k, &from->addr, false))
		return false;
	n = bed.out.n;
	if (to->in)
		assert_int_equal(keys_srtp_unprotect(to->in, bed.packet, &n, &newer), 0);
	assert_true(n == 172 && bed.packet[100] == 0x55 && bed.packet[11] == ssrc);
	return true;
}

static bool report_crosses(unsigned k)
{
	struct phone *from = &bed.phone[k], *to = &bed.phone[!k];
	union base_addr a = from->addr;
	uint32_t n;

	memset(bed.packet, 0, sizeof(bed.packet));
	bed.packet[0] = 0x80;
	bed.packet[1] = 200;
	bed.packet[3] = 6;
	bed.packet[7] = 1;
	bed.n = 28;
	base_addr_set_port(&a, (uint16_t)(base_addr_port(&a) + 1));
	if (from->out)
		assert_int_equal(keys_srtp_protect_rtcp(from->out, bed.packet, &bed.n), 0);
	if (!give_from(k, &a, true))
		return false;
	n = bed.out.n;
	if (to->in)
		assert_int_equal(keys_srtp_unprotect_rtcp(to->in, bed.packet, &n), 0);
	assert_true(n == 28 && bed.packet[1] == 200);
	return true;
}

static void pairings(void **state)
{
	(void)state;
	for (int a = 0; a < KEYS_SUITES; a++)
		for (int b = 0; b < KEYS_SUITES; b += 2) {
			phone_set(0, (enum keys_suite)a, true);
			phone_set(1, (enum keys_suite)b, true);
			want(0);
			want(1);
			for (uint16_t seq = 65530; seq != 5; seq++) {
				assert_true(crosses(0, (uint32_t)(1 + 16 * a + b), seq));
				assert_true(crosses(1, (uint32_t)(129 + 16 * a + b) & 0xff, seq));
			}
			assert_true(report_crosses(0));
			assert_true(report_crosses(1));
		}
}

static void only_authentic(void **state)
{
	union base_addr thief = addr("203.0.113.1", 9000), moved = addr("203.0.113.7", 9002);

	(void)state;
	phone_set(0, KEYS_AEAD_AES_128_GCM, true);
	phone_set(1, KEYS_SUITE_NONE, true);
	want(0);
	want(1);
	/* nothing of a stranger latches, before and after the phone comes: garbage, and what it heard of the phone */
	for (uint16_t i = 0; i < 10; i++) {
		make(1, i);
		bed.n = 188;
		assert_false(give_from(0, &thief, false));
	}
	assert_true(crosses(0, 1, 100));
	make(1, 101);
	keys_srtp_protect(bed.phone[0].out, bed.packet, &bed.n);
	assert_true(give_from(0, &bed.phone[0].addr, false));
	make(1, 101);
	bed.phone[0].ts = (struct keys_srtp_state){ 0 };
	assert_false(give_from(0, &thief, false));
	make(1, 102);
	assert_false(give_from(0, &bed.phone[0].addr, false)); /* plain */
	assert_true(bed.slots[0].dropped_auth >= 12);
	assert_true(crosses(1, 2, 1));
	assert_true(base_addr_eq(bed.out.to, &bed.phone[0].addr));
	/* the phone itself may move at once */
	make(1, 103);
	assert_int_equal(keys_srtp_protect(bed.phone[0].out, bed.packet, &bed.n), 0);
	assert_true(give_from(0, &moved, false));
	assert_true(crosses(1, 2, 2));
	assert_true(base_addr_eq(bed.out.to, &moved));
}

static void rekey(void **state)
{
	struct phone old;

	(void)state;
	phone_set(0, KEYS_AES_CM_128_SHA1_80, true);
	phone_set(1, KEYS_SUITE_NONE, true);
	want(0);
	want(1);
	for (uint16_t seq = 65530; seq != 10; seq++)
		assert_true(crosses(0, 1, seq));
	/* the same again changes nothing */
	want(0);
	assert_true(crosses(0, 1, 10));
	assert_true(crosses(1, 2, 10));
	/* a new key: the old one serves until the first packet under the new; the rollover counter goes on */
	old = bed.phone[0];
	bed.phone[0].in = bed.phone[0].out = NULL;
	phone_set(0, KEYS_AES_CM_128_SHA1_80, true);
	want(0);
	make(1, 11);
	assert_int_equal(keys_srtp_protect(old.out, bed.packet, &bed.n), 0);
	assert_true(give_from(0, &bed.phone[0].addr, false));
	assert_true(crosses(0, 1, 12));
	assert_int_equal(bed.slots[0].srtp_rx.state.line[0].index & 0xffffffffffff, 1u << 16 | 12);
	make(1, 13);
	assert_int_equal(keys_srtp_protect(old.out, bed.packet, &bed.n), 0);
	assert_false(give_from(0, &bed.phone[0].addr, false));
	assert_true(crosses(1, 2, 11));
	keys_srtp_free(old.in);
	keys_srtp_free(old.out);
	/* another key from another address: it begins at 0 */
	memset(&bed.phone[0].ts, 0, sizeof(bed.phone[0].ts));
	bed.phone[0].addr = addr("192.0.2.2", 4000);
	phone_set(0, KEYS_AES_CM_128_SHA1_80, true);
	want(0);
	assert_true(crosses(0, 1, 14));
	assert_int_equal(bed.slots[0].srtp_rx.state.line[0].index & 0xffffffffffff, 14);
	/* the former key is over after 2 s */
	old = bed.phone[0];
	bed.phone[0].in = bed.phone[0].out = NULL;
	phone_set(0, KEYS_AES_CM_128_SHA1_80, true);
	want(0);
	make(1, 15);
	keys_srtp_protect(old.out, bed.packet, &bed.n);
	assert_true(give_from(0, &bed.phone[0].addr, false));
	bed.now_us += MEDIA_REKEY_US;
	make(1, 16);
	keys_srtp_protect(old.out, bed.packet, &bed.n);
	assert_false(give_from(0, &bed.phone[0].addr, false));
	keys_srtp_free(old.in);
	keys_srtp_free(old.out);
}

/* The process dies and another takes up the memory: the streams go on, no index is used twice (the phones refuse those). */
static void restart(void **state)
{
	uint64_t sent = 0;

	(void)state;
	phone_set(0, KEYS_AEAD_AES_256_GCM, true);
	phone_set(1, KEYS_AES_CM_128_SHA1_32, true);
	want(0);
	want(1);
	for (uint32_t seq = 65000; seq < 66500; seq++) {
		if (seq % 100 == 50) {
			relay_up();
			table_up();
		}
		assert_true(crosses(0, 1, (uint16_t)seq));
		assert_true(crosses(1, 2, (uint16_t)(seq + 7)));
		if (seq % 30 == 0) {
			assert_true(report_crosses(0));
			assert_true(report_crosses(1));
		}
		assert_true((bed.slots[1].srtp_tx.state.line[0].index & 0xffffffffffff) > sent || !sent);
		sent = bed.slots[1].srtp_tx.state.line[0].index & 0xffffffffffff;
	}
	relay_up();
	make(1, (uint16_t)66499); /* a repeated number of the other side is not encrypted again */
	assert_int_equal(keys_srtp_protect(bed.phone[0].out, bed.packet, &bed.n), ERR_EXISTS);
}

static bool zero(const void *p, size_t n)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < n; i++)
		if (b[i])
			return false;
	return true;
}

static void keys_are_forgotten(void **state)
{
	(void)state;
	phone_set(0, KEYS_AEAD_AES_128_GCM, true);
	want(0);
	want(1);
	assert_true(crosses(0, 1, 1));
	for (int b = 0; b < 2; b++)
		assert_int_equal(zero(&bed.keys[0].dir[b][0].key, sizeof(struct media_key)), b != (int)(bed.slots[0].version & 1));
	want_op(0, MEDIA_OP_CLOSE, 0);
	for (int b = 0; b < 2; b++)
		for (int d = 0; d < 2; d++)
			assert_true(zero(&bed.keys[0].dir[b][d].key, sizeof(struct media_key)));
	assert_non_null(bed.flows[0].srtp);
	bed.relay.now_us += 2000000;
	media_relay_sweep(&bed.relay);
	assert_null(bed.flows[0].srtp);
	/* the memory that others read never had a key */
	assert_false(zero(&bed.phone[0].rx, 28));
	for (size_t i = 0; i + 28 <= SLOTS * sizeof(*bed.slots); i++)
		assert_true(memcmp((uint8_t *)bed.slots + i, bed.phone[0].rx.key, 28) && memcmp((uint8_t *)bed.slots + i, bed.phone[0].tx.key, 28));
	/* without a place for keys a wish for SRTP is refused, never served plain */
	media_table_keys(bed.table, NULL);
	want(1);
	phone_set(1, KEYS_AEAD_AES_128_GCM, true);
	want(1);
	assert_int_equal(bed.slots[1].want[bed.slots[1].version & 1].want.suite[0], 0);
}

static void mos(void **state)
{
	(void)state;
	/* worked examples of the formulas */
	assert_true(fabs(media_mos(0, 20, 0, 4.3) - 4.40) < 0.01);
	assert_true(fabs(media_mos(1, 20, 0, 4.3) - 3.81) < 0.03);
	assert_true(fabs(media_mos(5, 20, 0, 25.1) - 3.90) < 0.03);
	assert_true(fabs(media_mos(2, 250, 0, 25.1) - 3.70) < 0.03);
	assert_true(media_mos(100, 5000, 11, 19) <= 1.0);
}

/* ---- what attackers cost ---- */

static int64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

enum kind { GOOD, STRANGER, STRANGER_SSRCS, FORGED, FORGED_SSRCS, OTHER_FORMAT, NOISE, KINDS };

/* One packet of a kind, and how long the relay worked on it. A flood comes at 10,000/s, the stream at 50. */
static int64_t costs_ns(enum kind kind, uint16_t k)
{
	static union base_addr stranger;
	struct media_in in = { .slot = 0, .p = bed.packet, .from = bed.phone[0].addr };
	int64_t start;
	bool sent;

	make(1, k);
	if (kind == STRANGER_SSRCS || kind == FORGED_SSRCS)
		memcpy(bed.packet + 9, &k, sizeof(k));
	if (kind == OTHER_FORMAT)
		bed.packet[1] = 77;
	if (kind == NOISE)
		bed.packet[0] = 0x11;
	if (kind == STRANGER || kind == STRANGER_SSRCS) {
		stranger = addr("203.0.113.7", 4000);
		in.from = stranger;
	}
	if (kind == GOOD)
		assert_int_equal(keys_srtp_protect(bed.phone[0].out, bed.packet, &bed.n), 0);
	in.n = bed.n;
	bed.now_us += kind == GOOD ? 20000 : 100;
	media_relay_batch(&bed.relay, bed.now_us);
	start = cpu_ns();
	sent = media_relay_packet(&bed.relay, &in, &bed.out);
	start = cpu_ns() - start;
	assert_int_equal(sent, kind == GOOD);
	return start;
}

/* Whatever is thrown at an SRTP stream costs less than a good packet of it, on average of a flood. */
static void garbage_is_cheap(void **state)
{
	int64_t sum[KINDS] = { 0 };

	(void)state;
	phone_set(0, KEYS_AES_CM_128_SHA1_80, true);
	phone_set(1, KEYS_AES_CM_128_SHA1_80, true);
	want(0);
	want(1);
	for (uint16_t k = 1; k <= 3000; k++)
		sum[GOOD] += costs_ns(GOOD, k);
	for (int kind = GOOD + 1; kind < KINDS; kind++)
		for (uint16_t k = 3001; k <= 6000; k++)
			sum[kind] += costs_ns((enum kind)kind, k);
	for (int kind = GOOD + 1; kind < KINDS; kind++)
		if (sum[kind] >= sum[GOOD])
			fail_msg("kind %d: %lld ns a packet, a good one %lld", kind, (long long)(sum[kind] / 3000), (long long)(sum[GOOD] / 3000));
	assert_true(costs_ns(GOOD, 3001) > 0); /* and the stream goes on */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(pairings, setup, teardown), cmocka_unit_test_setup_teardown(only_authentic, setup, teardown),
		cmocka_unit_test_setup_teardown(rekey, setup, teardown), cmocka_unit_test_setup_teardown(restart, setup, teardown),
		cmocka_unit_test_setup_teardown(keys_are_forgotten, setup, teardown), cmocka_unit_test(mos), cmocka_unit_test_setup_teardown(garbage_is_cheap, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
