/* SPDX-License-Identifier: Apache-2.0 */
/* SDES in descriptions (RFC 4568): which lines are taken, in whose order, what is agreed, when our key stays, and what others may read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "call/b2b.h"
#include "postern/keys.h"

#define HEAD "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
#define LINE(proto) "m=audio 4000 " proto " 0\r\n"
#define K30 "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"
#define K28 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGw=="
#define CM(tag, rest) "a=crypto:" tag " AES_CM_128_HMAC_SHA1_80 inline:" K30 rest "\r\n"
#define GCM(tag, rest) "a=crypto:" tag " AEAD_AES_128_GCM inline:" K28 rest "\r\n"

static const char *const names[] = { "AEAD_AES_128_GCM", "AES_CM_128_HMAC_SHA1_80" };
static struct media_profile_conf profile;
static struct call call;
static struct wire_sdp sdp;

static struct call_leg *leg_with(enum media_transport transport)
{
	memset(&call, 0, sizeof(call));
	profile = (struct media_profile_conf){ .transport = (int)transport, .suites = { names, 2 }, .anchor = true };
	call.leg[0].call = call.leg[1].call = &call;
	call.leg[0].media = call.leg[1].media = &profile;
	return &call.leg[0];
}

static const struct wire_sdp *parse(const char *text)
{
	assert_int_equal(wire_sdp_parse(slice_str(text), &sdp), 0);
	return &sdp;
}

/* Is an offer with this m-line and these a=crypto taken? */
static void offers(void **state)
{
	static const struct { enum media_transport transport; const char *text; int status; } v[] = {
		{ MEDIA_RTP, LINE("RTP/AVP"), 0 },
		{ MEDIA_RTP, LINE("RTP/SAVP") CM("1", ""), 488 },
		{ MEDIA_SDES, LINE("RTP/AVP"), 488 },
		{ MEDIA_SDES, LINE("RTP/AVP") CM("1", ""), 488 },       /* SAVP alone: never plain instead */
		{ MEDIA_SDES, LINE("RTP/SAVP"), 488 },
		{ MEDIA_SDES, LINE("RTP/SAVP") CM("1", ""), 0 },
		{ MEDIA_SDES, LINE("RTP/SAVPF") CM("1", ""), 0 },
		{ MEDIA_SDES, LINE("RTP/SAVP") CM("1", "|2^31"), 0 },    /* a lifetime */
		{ MEDIA_SDES, LINE("RTP/SAVP") CM("1", "|2^31|1:4"), 488 }, /* an MKI */
		{ MEDIA_SDES, LINE("RTP/SAVP") CM("1", "|1:4"), 488 },
		{ MEDIA_SDES, LINE("RTP/SAVP") CM("1", ";inline:" K30), 488 }, /* two keys */
		{ MEDIA_SDES, LINE("RTP/SAVP") CM("1", " WSH=128"), 0 },
		{ MEDIA_SDES, LINE("RTP/SAVP") CM("1", " -FOO=1"), 0 },  /* may be ignored: section 6.3.7 */
		{ MEDIA_SDES, LINE("RTP/SAVP") CM("1", " UNENCRYPTED_SRTP"), 488 },
		{ MEDIA_SDES, LINE("RTP/SAVP") CM("1", " UNENCRYPTED_SRTCP"), 488 },
		{ MEDIA_SDES, LINE("RTP/SAVP") CM("1", " UNAUTHENTICATED_SRTP"), 488 },
		{ MEDIA_SDES, LINE("RTP/SAVP") CM("1", " KDR=1"), 488 },
		{ MEDIA_SDES, LINE("RTP/SAVP") CM("1", " FEC_ORDER=FEC_SRTP"), 488 },
		{ MEDIA_SDES, LINE("RTP/SAVP") CM("1", " KDR=1") GCM("2", ""), 0 }, /* another line serves */
		{ MEDIA_SDES, LINE("RTP/SAVP") CM("x", ""), 488 },
		{ MEDIA_SDES, LINE("RTP/SAVP") CM("1000000000", ""), 488 }, /* nine digits at most */
		{ MEDIA_SDES, LINE("RTP/SAVP") "a=crypto:1 F8_128_HMAC_SHA1_80 inline:" K30 "\r\n", 488 },
		{ MEDIA_SDES, LINE("RTP/SAVP") "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" K28 "\r\n", 488 }, /* too short */
		{ MEDIA_SDES, LINE("RTP/SAVP") "a=crypto:1 AES_CM_128_HMAC_SHA1_80 uri:" K30 "\r\n", 488 },
		{ MEDIA_SDES, LINE("RTP/SAVP") "a=crypto:1 AES_256_CM_HMAC_SHA1_80 inline:" K30 "\r\n", 488 }, /* not of the profile */
		{ MEDIA_SDES_OPTIONAL, LINE("RTP/AVP"), 0 },
		{ MEDIA_SDES_OPTIONAL, LINE("RTP/AVP") CM("1", ""), 0 },
		{ MEDIA_SDES_OPTIONAL, LINE("RTP/SAVP") CM("1", ""), 0 },
		{ MEDIA_SDES_OPTIONAL, LINE("RTP/SAVP"), 488 },
	};
	char text[2048];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		struct call_leg *l = leg_with(v[i].transport);
		int status;

		snprintf(text, sizeof text, "%s%s", HEAD, v[i].text);
		status = call_crypto_check(l, parse(text), 0);
		if (status != v[i].status)
			fail_msg("vector %zu: %d instead of %d: %s", i, status, v[i].status, v[i].text);
	}
}

static void say(struct call_leg *l, const char *text)
{
	assert_int_equal(call_text_set(&l->sdp_out, slice_str(text)), 0);
}

/* What both descriptions agree on, by tag and suite (section 5.1.3). */
static void agreement(void **state)
{
	static const struct { const char *ours, *theirs; bool ok; int suite; } v[] = {
		{ LINE("RTP/SAVP") GCM("1", "") CM("2", ""), LINE("RTP/SAVP") CM("2", ""), true, KEYS_AES_CM_128_SHA1_80 },
		{ LINE("RTP/SAVP") GCM("1", "") CM("2", ""), LINE("RTP/SAVP") GCM("1", ""), true, KEYS_AEAD_AES_128_GCM },
		{ LINE("RTP/SAVP") GCM("1", "") CM("2", ""), LINE("RTP/SAVP") CM("1", ""), false, 0 }, /* the tag of another suite */
		{ LINE("RTP/SAVP") GCM("1", "") CM("2", ""), LINE("RTP/SAVP") CM("3", ""), false, 0 },
		{ LINE("RTP/SAVP") GCM("1", "") CM("2", ""), LINE("RTP/AVP"), false, 0 },
		{ LINE("RTP/SAVP") CM("1", ""), LINE("RTP/SAVP") GCM("2", "") CM("1", ""), true, KEYS_AES_CM_128_SHA1_80 }, /* we answered */
	};
	char ours[2048], theirs[2048];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		struct call_leg *l = leg_with(MEDIA_SDES);
		struct media_key key[2];
		uint8_t suite[2] = { 9, 9 };
		bool ok;

		snprintf(ours, sizeof ours, "%s%s", HEAD, v[i].ours);
		snprintf(theirs, sizeof theirs, "%s%s", HEAD, v[i].theirs);
		say(l, ours);
		ok = call_crypto_keys(l, parse(theirs), 0, suite, key);
		if (ok != v[i].ok || (ok && (suite[0] != v[i].suite || suite[1] != v[i].suite)))
			fail_msg("vector %zu: %d, suite %u", i, ok, suite[0]);
		assert_int_equal(call_crypto_answer_check(l, &sdp, 0), v[i].ok ? 0 : 488);
		call_text_clear(&l->sdp_out);
	}
}

static struct slice placed(struct call_leg *l, const char *offer, uint16_t port, struct wire_sdp_place *p, char *buf, size_t size)
{
	static struct wire_sdp theirs;
	char text[2048];

	snprintf(text, sizeof text, "%s%s", HEAD, offer ? offer : LINE("RTP/AVP"));
	assert_int_equal(wire_sdp_parse(slice_str(text), &theirs), 0);
	*p = (struct wire_sdp_place){ .addr = "203.0.113.1", .port = port };
	call_crypto_place(l, &theirs.media[0], offer ? &theirs : NULL, 0, p, buf, size);
	return p->attrs;
}

/* As our next description would hold it. */
static void said(struct call_leg *l, const struct wire_sdp_place *p)
{
	char text[4096];

	snprintf(text, sizeof text, "v=0\r\no=- 1 1 IN IP4 203.0.113.1\r\ns=-\r\nc=IN IP4 203.0.113.1\r\nt=0 0\r\nm=audio %u %.*s 0\r\n%.*s", p->port, (int)p->proto.n, p->proto.p,
		(int)p->attrs.n, p->attrs.p);
	say(l, text);
}

/* We offer in the profile's order; the same port keeps its keys, another one has new ones. */
static void our_offer(void **state)
{
	struct call_leg *l = leg_with(MEDIA_SDES);
	struct wire_sdp_place p, q;
	char a[1024], b[1024];
	struct slice first, again;

	(void)state;
	first = placed(l, NULL, 20000, &p, a, sizeof a);
	assert_true(slice_eq(p.proto, SLICE("RTP/SAVP")));
	assert_true(call_text_starts(first, SLICE("a=crypto:1 AEAD_AES_128_GCM inline:")));
	assert_non_null(strstr(a, "a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:"));
	said(l, &p);
	again = placed(l, NULL, 20000, &q, b, sizeof b);
	assert_true(slice_eq(first, again));
	again = placed(l, NULL, 20002, &q, b, sizeof b);
	assert_false(slice_eq(first, again));
	call_text_clear(&l->sdp_out);
	profile.transport = MEDIA_SDES_OPTIONAL;
	again = placed(l, NULL, 20000, &q, b, sizeof b);
	assert_true(slice_eq(q.proto, SLICE("RTP/AVP")) && again.n > 0);
}

/* We answer with the suite of the profile that comes first in it and stands in the offer, its tag, and the offer's transport. */
static void our_answer(void **state)
{
	struct call_leg *l = leg_with(MEDIA_SDES_OPTIONAL);
	struct wire_sdp_place p;
	char a[1024], kept[1024];

	(void)state;
	assert_true(call_text_starts(placed(l, LINE("RTP/SAVP") CM("7", "") GCM("9", ""), 20000, &p, a, sizeof a), SLICE("a=crypto:9 AEAD_AES_128_GCM inline:")));
	assert_true(slice_eq(p.proto, SLICE("RTP/SAVP")));
	said(l, &p);
	snprintf(kept, sizeof kept, "%s", strstr(a, "inline:"));
	/* a new offer with a new key of theirs and another tag: our key stays */
	placed(l, LINE("RTP/SAVP") GCM("3", ""), 20000, &p, a, sizeof a);
	assert_true(call_text_starts(p.attrs, SLICE("a=crypto:3 ")));
	assert_string_equal(strstr(a, "inline:"), kept);
	assert_int_equal(placed(l, LINE("RTP/AVP"), 20000, &p, a, sizeof a).n, 0);
	assert_true(slice_eq(p.proto, SLICE("RTP/AVP")));
	call_text_clear(&l->sdp_out);
}

static void masks(void **state)
{
	static const struct { const char *text, *shown; } v[] = {
		{ "v=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:SECRET|2^20\r\na=x\r\n", "v=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:***\r\na=x\r\n" },
		{ "a=CRYPTO:1 X INLINE:SECRET\r\n", "a=CRYPTO:1 X INLINE:***\r\n" },
		{ "a=crypto:1 X uri:SECRET\r\n", "a=crypto:***\r\n" },
		{ "v=0\r\nk=clear:SECRET\r\n", "v=0\r\nk=***\r\n" },
		{ "a=key-mgmt:mikey SECRET\r\n", "a=key-mgmt:***\r\n" },
		{ "a=crypto:1 X inline:SECRET", "a=crypto:1 X inline:***\r\n" }, /* no end of line */
		{ "a=sendrecv\r\n", "a=sendrecv\r\n" },
	};
	char buf[512];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		struct slice s = call_crypto_mask(slice_str(v[i].text), buf, sizeof buf);

		if (!slice_eq(s, slice_str(v[i].shown)))
			fail_msg("vector %zu: %.*s", i, (int)s.n, s.p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(offers), cmocka_unit_test(agreement), cmocka_unit_test(our_offer), cmocka_unit_test(our_answer), cmocka_unit_test(masks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
