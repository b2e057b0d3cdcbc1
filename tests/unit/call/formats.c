/* SPDX-License-Identifier: Apache-2.0 */
/* Payload types between the legs: renumbering, telephone-event where one leg has INFO, and digits in bodies of INFO. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "call/b2b.h"

#define HEAD "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
#define AUDIO(list) HEAD "m=audio 4000 RTP/AVP " list "\r\n"
#define OPUS(pt) "a=rtpmap:" pt " opus/48000/2\r\n"
#define EVENT(pt, hz) "a=rtpmap:" pt " telephone-event/" hz "\r\na=fmtp:" pt " 0-15\r\n"

enum { AUTO, RFC4733, INFO };
static struct media_profile_conf profile[2];
static struct call call;
static struct wire_sdp a, b;

static void legs(int dtmf_a, int dtmf_b, const char *in_a, const char *in_b)
{
	memset(&call, 0, sizeof(call));
	for (int k = 0; k < 2; k++) {
		profile[k] = (struct media_profile_conf){ .dtmf = k ? dtmf_b : dtmf_a, .anchor = true };
		call.leg[k].call = &call;
		call.leg[k].media = &profile[k];
	}
	assert_int_equal(wire_sdp_parse(slice_str(in_a), &a), 0);
	assert_int_equal(wire_sdp_parse(slice_str(in_b), &b), 0);
}

static int mapped(const struct media_want *w, unsigned pt)
{
	for (unsigned i = 0; i < w->npt; i++)
		if (w->pt[i].from == pt)
			return w->pt[i].to;
	return (int)pt;
}

static void renumber(void **state)
{
	struct media_want w = { 0 };

	(void)state;
	/* the peers have numbers of their own for the same formats */
	legs(AUTO, AUTO, AUDIO("0 97 96") OPUS("97") EVENT("96", "48000"), AUDIO("109 100") OPUS("109") EVENT("100", "48000"));
	call_renumber(&call.leg[0], &a, &b, 0, &w);
	assert_int_equal(mapped(&w, 97), 109);
	assert_int_equal(mapped(&w, 96), 100);
	assert_int_equal(mapped(&w, 0), 0);
	memset(&w, 0, sizeof w);
	call_renumber(&call.leg[1], &b, &a, 0, &w);
	assert_int_equal(mapped(&w, 109), 97);
	/* numbers that are alike: nothing to do */
	memset(&w, 0, sizeof w);
	legs(AUTO, AUTO, AUDIO("0 101") EVENT("101", "8000"), AUDIO("0 101") EVENT("101", "8000"));
	call_renumber(&call.leg[0], &a, &b, 0, &w);
	assert_int_equal(w.npt, 0);
	/* crossed: 96 and 97 mean the other's 97 and 96 */
	legs(AUTO, AUTO, AUDIO("96 97") OPUS("96") EVENT("97", "48000"), AUDIO("97 96") OPUS("97") EVENT("96", "48000"));
	call_renumber(&call.leg[0], &a, &b, 0, &w);
	assert_int_equal(mapped(&w, 96), 97);
	assert_int_equal(mapped(&w, 97), 96);
	/* a format that the other side lacks keeps its number; another clock is another format */
	memset(&w, 0, sizeof w);
	legs(AUTO, AUTO, AUDIO("96 97") OPUS("96") EVENT("97", "48000"), AUDIO("98 99") OPUS("98") EVENT("99", "8000"));
	call_renumber(&call.leg[0], &a, &b, 0, &w);
	assert_int_equal(mapped(&w, 96), 98);
	assert_int_equal(mapped(&w, 97), 97);
	/* an encoding name has no case, one channel is none said */
	memset(&w, 0, sizeof w);
	legs(AUTO, AUTO, AUDIO("96") "a=rtpmap:96 AMR/8000/1\r\n", AUDIO("99") "a=rtpmap:99 amr/8000\r\n");
	call_renumber(&call.leg[0], &a, &b, 0, &w);
	assert_int_equal(mapped(&w, 96), 99);
}

static void telephone_pt(void **state)
{
	uint32_t hz = 0;

	(void)state;
	legs(AUTO, AUTO, AUDIO("0 101 102") EVENT("101", "8000") EVENT("102", "48000"), AUDIO("0 101"));
	assert_int_equal(call_telephone_pt(&a, 0, 8000, &hz), 101);
	assert_int_equal(call_telephone_pt(&a, 0, 48000, &hz), 102);
	assert_int_equal(hz, 48000);
	assert_int_equal(call_telephone_pt(&a, 0, 16000, &hz), 101); /* the first, where no clock fits */
	assert_int_equal(call_telephone_pt(&b, 0, 8000, &hz), -1);   /* a number without a name */
	legs(AUTO, AUTO, AUDIO("0") EVENT("101", "8000"), AUDIO("0 101") "a=rtpmap:101 TELEPHONE-EVENT/8000\r\n");
	assert_int_equal(call_telephone_pt(&a, 0, 8000, &hz), -1);   /* not on the m-line */
	assert_int_equal(call_telephone_pt(&b, 0, 8000, &hz), 101);
}

/* What leg k is shown on a line: its formats and our further lines. */
static const char *shown(unsigned k, struct wire_sdp *s, const struct wire_sdp *offer)
{
	static char out[512];
	char formats[256], attrs[256];
	struct text room = text_on(formats, sizeof formats), more = text_on(attrs, sizeof attrs);

	call_telephone_place(&call.leg[k], s, 0, offer, 8000, &room, &more);
	snprintf(out, sizeof out, "%.*s%s%.*s", (int)s->media[0].formats.n, s->media[0].formats.p, more.n ? "|" : "", (int)more.n, more.n ? more.p : "");
	return out;
}

static void telephone_place(void **state)
{
	(void)state;
	/* a leg of INFO is not shown it, its attributes neither */
	legs(AUTO, INFO, AUDIO("0 101 8") EVENT("101", "8000"), AUDIO("0"));
	assert_string_equal(shown(1, &a, NULL), "0 8");
	for (unsigned i = a.media[0].first; i < (unsigned)a.media[0].first + a.media[0].nlines; i++)
		assert_int_not_equal(a.line[i].type, 'a');
	/* alone on its line it stays: a line without formats is none */
	legs(AUTO, INFO, AUDIO("101") EVENT("101", "8000"), AUDIO("0"));
	assert_string_equal(shown(1, &a, NULL), "101");
	/* its other side is answered it, under the number of its offer, and only if it offered it */
	legs(AUTO, INFO, AUDIO("0 96") EVENT("96", "8000"), AUDIO("0"));
	assert_string_equal(shown(0, &b, &a), "0 96|a=rtpmap:96 telephone-event/8000\r\na=fmtp:96 0-16\r\n");
	legs(AUTO, INFO, AUDIO("0 8"), AUDIO("0"));
	assert_string_equal(shown(0, &b, &a), "0");
	/* and is offered it under a free number */
	legs(INFO, AUTO, AUDIO("0 101") "a=rtpmap:101 speex/8000\r\n", AUDIO("0"));
	assert_string_equal(shown(1, &a, NULL), "0 101 96|a=rtpmap:96 telephone-event/8000\r\na=fmtp:96 0-16\r\n");
	/* legs alike: as it came */
	legs(AUTO, RFC4733, AUDIO("0 101") EVENT("101", "8000"), AUDIO("0"));
	assert_string_equal(shown(1, &a, NULL), "0 101");
}

static void telephone_want(void **state)
{
	struct media_want w = { .clock_hz = 8000 };

	(void)state;
	legs(AUTO, AUTO, AUDIO("0 101") EVENT("101", "8000"), AUDIO("0 96") EVENT("96", "8000"));
	call.leg[0].stream[0].digit.serial = 7;
	call_telephone_want(&call.leg[0], &a, &b, 0, &w);
	assert_int_equal(w.events, 1u << 5 | 1u << 0);
	assert_int_equal(w.flags & MEDIA_EVENTS_END, 0);
	assert_int_equal(w.digit_pt, 96);
	assert_int_equal(w.digit.serial, 7);
	/* towards a leg of INFO they end here; of such a leg none is taken */
	legs(AUTO, INFO, AUDIO("0 101") EVENT("101", "8000"), AUDIO("0"));
	memset(&w, 0, sizeof w);
	call_telephone_want(&call.leg[0], &a, &b, 0, &w);
	assert_int_equal(w.events, 1u << 5);
	assert_int_equal(w.flags, MEDIA_EVENTS_END);
	assert_int_equal(w.digit_hz, 0);
	memset(&w, 0, sizeof w);
	w.pts[1] = 1ull << (101 - 64);
	call_telephone_want(&call.leg[1], &b, &a, 0, &w);
	assert_int_equal(w.events, 0);
	assert_int_equal(w.pts[1], 0);
	assert_int_equal(w.digit_pt, 101);
	/* a number that means a codec here and an event there is a codec here */
	legs(AUTO, AUTO, AUDIO("101") OPUS("101"), AUDIO("0 101") EVENT("101", "8000"));
	memset(&w, 0, sizeof w);
	call_telephone_want(&call.leg[0], &a, &b, 0, &w);
	assert_int_equal(w.events, 0);
}

static void digits(void **state)
{
	static const struct { const char *body; int event; unsigned ms; } v[] = {
		{ "Signal=5\r\nDuration=200\r\n", 5, 200 }, { "Signal= 0\nDuration= 100", 0, 100 }, { "signal=#\r\n", 11, 160 }, { "Duration=80\r\nSignal=*\r\n", 10, 80 },
		{ "Signal=10\r\n", 10, 160 }, { "Signal=11\r\n", 11, 160 }, { "Signal=16\r\n", 16, 160 }, { "Signal=17\r\n", -1, 160 }, { "Signal:D\r\n", 15, 160 },
		{ "7", 7, 160 }, { " 7 \r\n", 7, 160 }, { "a", 12, 160 }, { "!", 16, 160 }, { "", -1, 160 }, { "Signal=\r\n", -1, 160 }, { "55", -1, 160 }, { "E", -1, 160 },
		{ "Signal=5\r\nDuration=x\r\n", 5, 160 }, { "Signal=5\r\nDuration=99999999999\r\n", 5, 160 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		unsigned ms;
		int event = call_digits_parse(slice_str(v[i].body), &ms);

		if (event != v[i].event || ms != v[i].ms)
			fail_msg("vector %zu: %d of %u ms", i, event, ms);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(renumber), cmocka_unit_test(telephone_pt), cmocka_unit_test(telephone_place), cmocka_unit_test(telephone_want), cmocka_unit_test(digits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
