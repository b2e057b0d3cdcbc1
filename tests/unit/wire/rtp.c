/* SPDX-License-Identifier: Apache-2.0 */
/* RTP header checks and the walk over compound RTCP (RFC 3550 section 5.1, 6.1, appendix A.1). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "postern/wire.h"

static void plain_packet(void **state)
{
	const uint8_t p[] = { 0x80, 0x88, 0x12, 0x34, 0, 0, 1, 0x40, 0xde, 0xad, 0xbe, 0xef, 1, 2, 3 };
	struct wire_rtp r;

	assert_int_equal(wire_rtp_parse(p, sizeof(p), &r), 0);
	assert_int_equal(r.pt, 8);
	assert_true(r.marker);
	assert_int_equal(r.seq, 0x1234);
	assert_int_equal(r.ts, 0x140);
	assert_int_equal(r.ssrc, 0xdeadbeef);
	assert_int_equal(r.header, 12);
	assert_int_equal(r.payload, 3);
	assert_int_equal(wire_rtp_parse(p, 12, &r), 0);
	assert_int_equal(r.payload, 0);
	for (size_t n = 0; n < 12; n++)
		assert_int_equal(wire_rtp_parse(p, n, &r), ERR_PROTO);
}

static void csrc_extension_padding(void **state)
{
	uint8_t p[12 + 8 + 4 + 4 + 5 + 3] = { 0xb2, 0 };
	struct wire_rtp r;

	p[22] = 0;
	p[23] = 1;
	p[sizeof(p) - 1] = 3;
	assert_int_equal(wire_rtp_parse(p, sizeof(p), &r), 0);
	assert_int_equal(r.header, 28);
	assert_int_equal(r.payload, 5);
	p[sizeof(p) - 1] = 9;
	assert_int_equal(wire_rtp_parse(p, sizeof(p), &r), ERR_PROTO); /* more padding than payload */
	p[sizeof(p) - 1] = 0;
	assert_int_equal(wire_rtp_parse(p, sizeof(p), &r), ERR_PROTO); /* padding of nothing */
	p[sizeof(p) - 1] = 8;
	assert_int_equal(wire_rtp_parse(p, sizeof(p), &r), 0);
	assert_int_equal(r.payload, 0);
	p[23] = 5;
	assert_int_equal(wire_rtp_parse(p, sizeof(p), &r), ERR_PROTO); /* extension beyond the end */
	p[0] = 0x8f;
	assert_int_equal(wire_rtp_parse(p, 40, &r), ERR_PROTO);        /* 15 CSRC beyond the end */
	p[0] = 0x40;
	assert_int_equal(wire_rtp_parse(p, sizeof(p), &r), ERR_PROTO); /* version 1 */
}

static void compound(void **state)
{
	const uint8_t p[] = {
		0x80, 201, 0, 1, 1, 2, 3, 4,                       /* empty RR */
		0x81, 202, 0, 2, 1, 2, 3, 4, 1, 2, 'a', 'b',       /* SDES */
		0xa1, 203, 0, 2, 1, 2, 3, 4, 0, 0, 0, 4,           /* BYE, padded */
	};
	struct wire_rtcp r;
	size_t pos = 0;
	bool bad;

	assert_true(wire_is_rtcp(p, sizeof(p)));
	assert_true(wire_rtcp_next(p, sizeof(p), &pos, &r, &bad));
	assert_int_equal(r.type, 201);
	assert_int_equal(r.ssrc, 0x01020304);
	assert_int_equal(r.len, 0);
	assert_true(wire_rtcp_next(p, sizeof(p), &pos, &r, &bad));
	assert_int_equal(r.type, 202);
	assert_int_equal(r.count, 1);
	assert_int_equal(r.len, 4);
	assert_memory_equal(r.body, "\1\2ab", 4);
	assert_true(wire_rtcp_next(p, sizeof(p), &pos, &r, &bad));
	assert_int_equal(r.type, 203);
	assert_int_equal(r.len, 0);
	assert_false(wire_rtcp_next(p, sizeof(p), &pos, &r, &bad));
	assert_false(bad);
}

static void broken_rtcp(void **state)
{
	static const struct { uint8_t p[12]; size_t n; } t[] = {
		{ { 0x80, 201, 0, 1, 1, 2, 3 }, 7 },                     /* cut */
		{ { 0x40, 201, 0, 1, 1, 2, 3, 4 }, 8 },                  /* version */
		{ { 0xa0, 201, 0, 1, 1, 2, 3, 8 }, 8 },                  /* padding eats the header */
		{ { 0xa0, 201, 0, 2, 1, 2, 3, 4, 0, 0, 0, 3 }, 12 },     /* padding of no whole word */
		{ { 0xa0, 201, 0, 0, 0x80, 201, 0, 1, 1, 2, 3, 4 }, 12 }, /* padding before the last */
		{ { 0x80, 201, 0xff, 0xff, 1, 2, 3, 4 }, 8 },
		{ { 0x80, 201 }, 2 },
	};
	struct wire_rtcp r;
	bool bad;

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		size_t pos = 0;

		assert_false(wire_rtcp_next(t[i].p, t[i].n, &pos, &r, &bad));
		assert_true(bad);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_packet), cmocka_unit_test(csrc_extension_padding), cmocka_unit_test(compound), cmocka_unit_test(broken_rtcp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
