/* SPDX-License-Identifier: Apache-2.0 */
/* SRTP: vectors, all suites, rollover with loss and reorder, replay, restart on the same state, sources that begin anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "postern/keys.h"
#include "unit/keys/srtp_vectors.h"

struct packet { _Alignas(8) uint8_t p[512]; uint32_t n; };

static struct pair {
	struct keys_srtp_state tx, rx;
	struct keys_srtp *a, *b;
	uint8_t key[KEYS_SRTP_MAX];
	enum keys_suite suite;
} pair;

static void unhex(const char *hex, uint8_t *out, uint32_t *n)
{
	for (*n = 0; hex[2 * *n]; (*n)++) {
		unsigned v;

		assert_int_equal(sscanf(hex + 2 * *n, "%2x", &v), 1);
		out[*n] = (uint8_t)v;
	}
}

static void pair_restart(bool tx, bool rx)
{
	if (tx) {
		keys_srtp_free(pair.a);
		assert_int_equal(keys_srtp_new(pair.suite, pair.key, true, &pair.tx, &pair.a), 0);
	}
	if (rx) {
		keys_srtp_free(pair.b);
		assert_int_equal(keys_srtp_new(pair.suite, pair.key, false, &pair.rx, &pair.b), 0);
	}
}

static void pair_begin(enum keys_suite suite)
{
	keys_srtp_free(pair.a);
	keys_srtp_free(pair.b);
	memset(&pair, 0, sizeof(pair));
	pair.suite = suite;
	keys_srtp_random(suite, pair.key);
	pair_restart(true, true);
}

static int start(void **state)
{
	(void)state;
	return keys_srtp_start();
}

static int teardown(void **state)
{
	(void)state;
	keys_srtp_free(pair.a);
	keys_srtp_free(pair.b);
	memset(&pair, 0, sizeof(pair));
	return 0;
}

static void rtp_make(struct packet *k, uint16_t seq, uint32_t ssrc)
{
	memset(k->p, 0x55, sizeof(k->p));
	k->p[0] = 0x80;
	k->p[1] = 0;
	k->p[2] = (uint8_t)(seq >> 8);
	k->p[3] = (uint8_t)seq;
	memset(k->p + 8, 0, 3);
	k->p[11] = (uint8_t)ssrc;
	k->n = 172;
}

static int protect(struct packet *k, uint16_t seq, uint32_t ssrc)
{
	rtp_make(k, seq, ssrc);
	return keys_srtp_protect(pair.a, k->p, &k->n);
}

static int unprotect(const struct packet *k)
{
	struct packet c = *k;
	bool newer;
	int err = keys_srtp_unprotect(pair.b, c.p, &c.n, &newer);

	if (!err)
		assert_true(c.n == 172 && c.p[100] == 0x55);
	return err;
}

static void vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vector_sets); i++) {
		const struct vector_set *v = &vector_sets[i];
		struct packet got, plain, wire;
		uint32_t n;
		bool newer;

		pair_begin(keys_suite_of(slice_str(v->suite)));
		unhex(v->key, pair.key, &n);
		assert_int_equal(n, keys_suite_bytes(pair.suite));
		pair_restart(true, true);
		for (size_t k = 0; k < ARRAY_LEN(v->rtp) && v->rtp[k].plain; k++) {
			unhex(v->rtp[k].plain, plain.p, &plain.n);
			unhex(v->rtp[k].wire, wire.p, &wire.n);
			got = plain;
			assert_int_equal(keys_srtp_protect(pair.a, got.p, &got.n), 0);
			assert_int_equal(got.n, wire.n);
			assert_memory_equal(got.p, wire.p, wire.n);
			assert_int_equal(keys_srtp_unprotect(pair.b, got.p, &got.n, &newer), 0);
			assert_true(newer && got.n == plain.n);
			assert_memory_equal(got.p, plain.p, plain.n);
			assert_int_equal(keys_srtp_unprotect(pair.b, wire.p, &wire.n, &newer), ERR_EXISTS);
		}
		for (size_t k = 0; k < ARRAY_LEN(v->rtcp) && v->rtcp[k].plain; k++) {
			unhex(v->rtcp[k].plain, plain.p, &plain.n);
			unhex(v->rtcp[k].wire, wire.p, &wire.n);
			got = plain;
			assert_int_equal(keys_srtp_protect_rtcp(pair.a, got.p, &got.n), 0);
			assert_int_equal(got.n, wire.n);
			assert_memory_equal(got.p, wire.p, wire.n);
			assert_int_equal(keys_srtp_unprotect_rtcp(pair.b, got.p, &got.n), 0);
			assert_int_equal(got.n, plain.n);
			assert_memory_equal(got.p, plain.p, plain.n);
			assert_int_equal(keys_srtp_unprotect_rtcp(pair.b, wire.p, &wire.n), ERR_EXISTS);
		}
	}
}

/* ROC 0 to 2 with loss and reorder around the wraps, in every suite */
static void rollover(void **state)
{
	(void)state;
	for (int suite = 1; suite < KEYS_SUITES; suite++) {
		struct packet k, late;
		uint32_t seq;

		pair_begin((enum keys_suite)suite);
		for (seq = 65000; seq < 65000 + 2 * 65536; seq += seq % 65536 > 400 && seq % 65536 < 64800 ? 500 : 1) {
			if (seq % 7 == 0)
				continue; /* lost */
			assert_int_equal(protect(&k, (uint16_t)seq, 1), 0);
			if (seq % 65536 == 65535) {
				late = k;
				continue;
			}
			assert_int_equal(unprotect(&k), 0);
			if (seq % 65536 == 3 && seq > 65536)
				assert_int_equal(unprotect(&late), 0);
		}
		assert_int_equal(pair.rx.line[0].index >> 16 & 0xffffffff, 2);
	}
}

static void refuses(void **state)
{
	(void)state;
	for (int suite = 1; suite < KEYS_SUITES; suite++) {
		struct packet k, bad;
		struct keys_srtp_state before;

		pair_begin((enum keys_suite)suite);
		for (uint16_t seq = 10; seq < 20; seq++) {
			assert_int_equal(protect(&k, seq, 1), 0);
			assert_int_equal(unprotect(&k), 0);
		}
		assert_int_equal(unprotect(&k), ERR_EXISTS);
		assert_int_equal(protect(&bad, 19, 1), ERR_EXISTS);    /* the same index again */
		assert_int_equal(protect(&k, 20, 1), 0);
		before = pair.rx;
		for (uint32_t at = 12; at < k.n; at += 13) {
			bad = k;
			bad.p[at] ^= 1;
			assert_int_equal(unprotect(&bad), ERR_REFUSED);
		}
		bad = k;
		bad.p[11] = 9;                                          /* another SSRC, which is not authentic */
		assert_int_equal(unprotect(&bad), ERR_REFUSED);
		assert_memory_equal(&before, &pair.rx, sizeof(before));
		rtp_make(&bad, 21, 1);
		assert_int_not_equal(unprotect(&bad), 0);              /* plain */
		bad.n = 11;
		assert_int_not_equal(unprotect(&bad), 0);
		bad.n = 14;
		assert_int_not_equal(unprotect(&bad), 0);
		assert_int_equal(unprotect(&k), 0);
	}
}

static void several_ssrcs(void **state)
{
	struct packet k;

	(void)state;
	pair_begin(KEYS_AEAD_AES_128_GCM);
	for (uint32_t round = 0; round < 3; round++)
		for (uint32_t ssrc = 1; ssrc <= KEYS_SRTP_SSRCS; ssrc++) {
			assert_int_equal(protect(&k, (uint16_t)(100 + round), ssrc), 0);
			assert_int_equal(unprotect(&k), 0);
			assert_int_equal(unprotect(&k), ERR_EXISTS);
		}
	/* a fifth takes the place of the one unused longest */
	assert_int_equal(protect(&k, 1, 5), 0);
	assert_int_equal(unprotect(&k), 0);
	assert_false(keys_srtp_knows(pair.b, 1));
	assert_true(keys_srtp_knows(pair.b, 2) && keys_srtp_knows(pair.b, 5));
}

/* Both ends start anew on their state in the second cycle: nothing is used twice, nothing is taken twice, and it goes on. */
static void restart(void **state)
{
	(void)state;
	for (int suite = 1; suite < KEYS_SUITES; suite++) {
		struct packet k, old;

		pair_begin((enum keys_suite)suite);
		for (uint32_t seq = 65500; seq < 65600; seq++) {
			assert_int_equal(protect(&k, (uint16_t)seq, 1), 0);
			if (seq == 65590)
				old = k;
			assert_int_equal(unprotect(&k), 0);
		}
		pair_restart(true, true);
		assert_int_equal(unprotect(&old), ERR_EXISTS);
		assert_int_equal(protect(&k, (uint16_t)65599, 1), ERR_EXISTS);
		assert_int_equal(protect(&k, (uint16_t)65590, 1), ERR_EXISTS);
		for (uint32_t seq = 65601; seq < 65700; seq++) {
			assert_int_equal(protect(&k, (uint16_t)seq, 1), 0);
			assert_int_equal(unprotect(&k), 0);
		}
		assert_int_equal(unprotect(&old), ERR_EXISTS);
		assert_int_equal(protect(&k, (uint16_t)65599, 1), ERR_EXISTS);
		/* again, right before the next wrap */
		assert_int_equal(protect(&k, 30000, 1), 0);
		assert_int_equal(unprotect(&k), 0);
		assert_int_equal(protect(&k, 60000, 1), 0);
		assert_int_equal(unprotect(&k), 0);
		pair_restart(true, true);
		assert_int_equal(protect(&k, 5, 1), 0);
		assert_int_equal(unprotect(&k), 0);
		assert_int_equal(pair.tx.line[0].index & 0xffffffffffff, 2u << 16 | 5);
	}
}

static uint32_t rtcp_index(const struct packet *k)
{
	const uint8_t *p = k->p + k->n - 4 - (strstr(keys_suite_name(pair.suite), "SHA1") ? 10 : 0);

	return ((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]) & 0x7fffffff;
}

static int report(struct packet *k)
{
	memset(k->p, 0, sizeof(k->p));
	k->p[0] = 0x80;
	k->p[1] = 200;
	k->p[3] = 6;
	k->p[7] = 1;
	k->n = 28;
	return keys_srtp_protect_rtcp(pair.a, k->p, &k->n);
}

static void rtcp(void **state)
{
	(void)state;
	for (int suite = 1; suite < KEYS_SUITES; suite++) {
		struct packet k, c, first;
		uint32_t last = 0;

		pair_begin((enum keys_suite)suite);
		for (int i = 0; i < 100; i++) {
			if (i % 30 == 29)
				pair_restart(true, i > 50);
			assert_int_equal(report(&k), 0);
			assert_true(rtcp_index(&k) > last);
			last = rtcp_index(&k);
			c = k;
			if (!i)
				first = k;
			assert_int_equal(keys_srtp_unprotect_rtcp(pair.b, c.p, &c.n), 0);
			assert_true(c.n == 28 && c.p[1] == 200);
			c = k;
			assert_int_equal(keys_srtp_unprotect_rtcp(pair.b, c.p, &c.n), ERR_EXISTS);
		}
		pair_restart(false, true);
		c = first;
		assert_int_equal(keys_srtp_unprotect_rtcp(pair.b, c.p, &c.n), ERR_EXISTS);
		/* E = 0, too short, plain */
		assert_int_equal(report(&k), 0);
		c = k;
		c.p[c.n - 4 - (strstr(keys_suite_name(pair.suite), "SHA1") ? 10 : 0)] &= 0x7f;
		assert_int_equal(keys_srtp_unprotect_rtcp(pair.b, c.p, &c.n), ERR_REFUSED);
		for (c = k, c.n = 0; c.n < k.n; c.n++) {
			struct packet d = c;

			assert_int_not_equal(keys_srtp_unprotect_rtcp(pair.b, d.p, &d.n), 0);
		}
		assert_int_equal(keys_srtp_unprotect_rtcp(pair.b, k.p, &k.n), 0);
		/* RTP beside it, also after a restart that hears RTCP first in another cycle */
		assert_int_equal(protect(&k, 65530, 1), 0);
		assert_int_equal(unprotect(&k), 0);
		assert_int_equal(protect(&k, 2, 1), 0);
		assert_int_equal(unprotect(&k), 0);
		pair_restart(true, true);
		assert_int_equal(report(&k), 0);
		assert_int_equal(keys_srtp_unprotect_rtcp(pair.b, k.p, &k.n), 0);
		assert_int_equal(protect(&k, 3, 1), 0);
		assert_int_equal(unprotect(&k), 0);
		assert_int_equal(pair.rx.line[0].index & 0xffffffffffff, 1u << 16 | 3);
	}
}

/* A plain source that begins anew with its SSRC, far behind or close: it is heard again, under indices of its own. */
static void begins_anew(void **state)
{
	static const uint16_t to[] = { 1000, 40990, 60000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(to); i++) {
		struct packet k;
		uint64_t high;
		int refused = 0;

		pair_begin(KEYS_AES_CM_128_SHA1_80);
		for (uint16_t seq = 40950; seq < 41000; seq++) {
			assert_int_equal(protect(&k, seq, 1), 0);
			assert_int_equal(unprotect(&k), 0);
		}
		high = pair.tx.line[0].index;
		for (uint16_t seq = to[i]; seq < to[i] + 40; seq++) {
			if (protect(&k, seq, 1))
				refused++;
			else
				assert_int_equal(unprotect(&k), 0);
		}
		assert_in_range(refused, 0, 17);
		assert_true(pair.tx.line[0].index > high);
	}
}

static void names(void **state)
{
	(void)state;
	assert_int_equal(keys_suite_of(SLICE("aes_cm_128_hmac_sha1_80")), KEYS_AES_CM_128_SHA1_80);
	assert_int_equal(keys_suite_of(SLICE("F8_128_HMAC_SHA1_80")), KEYS_SUITE_NONE);
	assert_int_equal(keys_suite_of(SLICE("")), KEYS_SUITE_NONE);
	assert_int_equal(keys_suite_bytes(KEYS_SUITE_NONE), 0);
	assert_null(keys_suite_name(KEYS_SUITES));
	assert_int_equal(keys_suite_bytes(KEYS_AES_256_CM_SHA1_80), KEYS_SRTP_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(vectors, teardown), cmocka_unit_test_teardown(rollover, teardown), cmocka_unit_test_teardown(refuses, teardown),
		cmocka_unit_test_teardown(several_ssrcs, teardown), cmocka_unit_test_teardown(restart, teardown), cmocka_unit_test_teardown(rtcp, teardown),
		cmocka_unit_test_teardown(begins_anew, teardown), cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
