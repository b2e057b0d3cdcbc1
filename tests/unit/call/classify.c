/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a request changes: pairs of descriptions and the purposes of the second (design.md section 6, the table).
 * A description is the base with lines put in place of others, so that a pair says what differs and nothing else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "call/classify.h"

#define SESSION(o, c) "v=0\r\no=" o "\r\ns=-\r\n" c "t=0 0\r\n"
#define HEAD SESSION("a 1 1 IN IP4 192.0.2.1", "c=IN IP4 192.0.2.1\r\n")
#define MAPS "a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n"
#define AUDIO "m=audio 4000 RTP/AVP 0 8 101\r\n" MAPS "a=ptime:20\r\na=sendrecv\r\n"
#define BASE HEAD AUDIO
#define VIDEO "m=video 5000 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
#define NO_VIDEO "m=video 0 RTP/AVP 96\r\n"
#define FAX "m=image 6000 udptl t38\r\na=T38FaxVersion:0\r\na=T38FaxMaxBuffer:72\r\n"
#define SRTP(key) "m=audio 4000 RTP/SAVP 0 8 101\r\n" MAPS "a=ptime:20\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" key "\r\n"

#define B(p) (1u << CALL_##p)
enum { OFFER, ANSWER };
static const struct pair { const char *what; int last; const char *ours, *was, *now; unsigned want; } pairs[] = {
	{ "the same again", OFFER, BASE, BASE, BASE, 0 },
	{ "another o= version", OFFER, BASE, BASE, SESSION("a 1 2 IN IP4 192.0.2.1", "c=IN IP4 192.0.2.1\r\n") AUDIO, 0 },
	{ "another o= address and session name", OFFER, BASE, BASE, "v=0\r\no=b 9 9 IN IP4 192.0.2.77\r\ns=x\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n" AUDIO, 0 },
	{ "attributes in another order", OFFER, BASE, BASE, HEAD "m=audio 4000 RTP/AVP 0 8 101\r\na=sendrecv\r\na=ptime:20\r\n" MAPS, 0 },
	{ "c= of the line, not of the session", OFFER, BASE, BASE, SESSION("a 1 1 IN IP4 192.0.2.1", "") "m=audio 4000 RTP/AVP 0 8 101\r\nc=IN IP4 192.0.2.1\r\n" MAPS
		"a=ptime:20\r\na=sendrecv\r\n", 0 },
	{ "sendrecv not said", OFFER, BASE, BASE, HEAD "m=audio 4000 RTP/AVP 0 8 101\r\n" MAPS "a=ptime:20\r\n", 0 },
	{ "an unknown session attribute", OFFER, BASE, BASE, HEAD "a=x-tool:1\r\n" AUDIO, 0 },
	{ "ssrc", OFFER, BASE, BASE, BASE "a=ssrc:77 cname:x\r\n", 0 },
	{ "msid", OFFER, BASE, BASE, BASE "a=msid:a b\r\n", 0 },
	{ "static types without rtpmap", OFFER, BASE, BASE, HEAD "m=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\n", 0 },
	{ "one channel said", OFFER, BASE, BASE, HEAD "m=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000/1\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
		"a=fmtp:101 0-16\r\na=ptime:20\r\n", 0 },
	{ "a format that was never agreed goes", OFFER, HEAD "m=audio 4000 RTP/AVP 0 101\r\n" MAPS, BASE,
		HEAD "m=audio 4000 RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\n", 0 },
	{ "the full list again after an answer", ANSWER, BASE, HEAD "m=audio 4000 RTP/AVP 0 101\r\n" MAPS "a=ptime:20\r\n",
		HEAD "m=audio 4000 RTP/AVP 9 0 8 101\r\n" MAPS "a=ptime:20\r\n", 0 },
	{ "another order after an answer", ANSWER, BASE, HEAD "m=audio 4000 RTP/AVP 8 0 101\r\n" MAPS "a=ptime:20\r\n", BASE, 0 },
	{ "another order after an offer", OFFER, BASE, BASE, HEAD "m=audio 4000 RTP/AVP 8 0 101\r\n" MAPS "a=ptime:20\r\n", B(CODEC) },
	{ "an agreed format goes", OFFER, BASE, BASE, HEAD "m=audio 4000 RTP/AVP 8 101\r\n" MAPS "a=ptime:20\r\n", B(CODEC) },
	{ "another clock", OFFER, BASE, BASE, HEAD "m=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
		"a=rtpmap:101 telephone-event/16000\r\na=fmtp:101 0-16\r\na=ptime:20\r\n", B(CODEC) },
	{ "another fmtp", OFFER, BASE, BASE, HEAD "m=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\n", B(CODEC) },
	{ "another payload type", OFFER, BASE, BASE, HEAD "m=audio 4000 RTP/AVP 0 8 96\r\na=rtpmap:96 telephone-event/8000\r\na=fmtp:96 0-16\r\na=ptime:20\r\n", B(CODEC) },
	{ "ptime", OFFER, BASE, BASE, HEAD "m=audio 4000 RTP/AVP 0 8 101\r\n" MAPS "a=ptime:30\r\n", B(CODEC) },
	{ "hold: sendonly", OFFER, BASE, BASE, HEAD "m=audio 4000 RTP/AVP 0 8 101\r\n" MAPS "a=ptime:20\r\na=sendonly\r\n", B(HOLD) },
	{ "hold: inactive for the session", OFFER, BASE, BASE, HEAD "a=inactive\r\nm=audio 4000 RTP/AVP 0 8 101\r\n" MAPS "a=ptime:20\r\n", B(HOLD) },
	{ "hold by c=0.0.0.0", OFFER, BASE, BASE, SESSION("a 1 2 IN IP4 192.0.2.1", "c=IN IP4 0.0.0.0\r\n") AUDIO, B(HOLD) },
	{ "resume after c=0.0.0.0", OFFER, BASE, SESSION("a 1 2 IN IP4 192.0.2.1", "c=IN IP4 0.0.0.0\r\n") AUDIO, BASE, B(HOLD) },
	{ "the same hold said the other way", OFFER, BASE, SESSION("a 1 2 IN IP4 192.0.2.1", "c=IN IP4 0.0.0.0\r\n") AUDIO,
		HEAD "m=audio 4000 RTP/AVP 0 8 101\r\n" MAPS "a=ptime:20\r\na=sendonly\r\n", 0 },
	{ "another port", OFFER, BASE, BASE, HEAD "m=audio 4002 RTP/AVP 0 8 101\r\n" MAPS "a=ptime:20\r\n", B(ADDRESS) },
	{ "another address", OFFER, BASE, BASE, SESSION("a 1 2 IN IP4 192.0.2.9", "c=IN IP4 192.0.2.9\r\n") AUDIO, B(ADDRESS) },
	{ "an address of the other family", OFFER, BASE, BASE, SESSION("a 1 2 IN IP4 192.0.2.9", "c=IN IP6 2001:db8::9\r\n") AUDIO, B(ADDRESS) },
	{ "a=rtcp", OFFER, BASE, BASE, BASE "a=rtcp:4009\r\n", B(ADDRESS) },
	{ "moved and held", OFFER, BASE, BASE, HEAD "m=audio 4002 RTP/AVP 0 8 101\r\n" MAPS "a=ptime:20\r\na=sendonly\r\n", B(ADDRESS) | B(HOLD) },
	{ "a stream comes", OFFER, BASE, BASE, BASE VIDEO, B(ADD) },
	{ "a stream comes back", OFFER, BASE NO_VIDEO, BASE NO_VIDEO, BASE VIDEO, B(ADD) },
	{ "a refused stream is offered on", OFFER, BASE NO_VIDEO, BASE VIDEO, BASE VIDEO, 0 },
	{ "a refused stream is given up", OFFER, BASE NO_VIDEO, BASE VIDEO, BASE NO_VIDEO, 0 },
	{ "the peer offers what it had refused", ANSWER, BASE VIDEO, BASE NO_VIDEO, BASE VIDEO, B(ADD) },
	{ "a stream goes", OFFER, BASE VIDEO, BASE VIDEO, BASE NO_VIDEO, B(REMOVE) },
	{ "a stream of another kind in its place", OFFER, BASE VIDEO, BASE VIDEO, BASE "m=application 5000 UDP/BFCP *\r\n", B(ADD) | B(REMOVE) },
	{ "fax in place of audio", OFFER, BASE, BASE, HEAD FAX, B(FAX) },
	{ "fax beside audio", OFFER, BASE, BASE, BASE FAX, B(FAX) },
	{ "fax goes", OFFER, HEAD FAX, HEAD FAX, BASE, B(FAX) },
	{ "the same fax", OFFER, HEAD FAX, HEAD FAX, HEAD FAX, 0 },
	{ "T.38 attributes", OFFER, HEAD FAX, HEAD FAX, HEAD "m=image 6000 udptl t38\r\na=T38FaxVersion:3\r\na=T38FaxMaxBuffer:72\r\n", B(FAX) },
	{ "another key", OFFER, HEAD SRTP("aaaa"), HEAD SRTP("aaaa"), HEAD SRTP("bbbb"), B(KEYS) },
	{ "the same key", OFFER, HEAD SRTP("aaaa"), HEAD SRTP("aaaa"), HEAD SRTP("aaaa"), 0 },
	{ "another profile", OFFER, BASE, BASE, HEAD SRTP("aaaa"), B(KEYS) },
	{ "a fingerprint for the session", OFFER, BASE, BASE, HEAD "a=fingerprint:sha-256 AA\r\n" AUDIO, B(KEYS) },
	{ "a new ICE generation", OFFER, BASE "a=ice-ufrag:a\r\n", BASE "a=ice-ufrag:a\r\n", BASE "a=ice-ufrag:b\r\n", B(KEYS) },
	{ "maxptime", OFFER, BASE, BASE, BASE "a=maxptime:40\r\n", B(OTHER) },
	{ "bandwidth of the session", OFFER, BASE, BASE, SESSION("a 1 1 IN IP4 192.0.2.1", "c=IN IP4 192.0.2.1\r\nb=AS:64\r\n") AUDIO, B(OTHER) },
	{ "bandwidth of the line", OFFER, BASE, BASE, HEAD "m=audio 4000 RTP/AVP 0 8 101\r\nb=AS:64\r\n" MAPS "a=ptime:20\r\n", B(OTHER) },
	{ "feedback for a format that was not agreed", OFFER, BASE VIDEO, BASE VIDEO, BASE VIDEO "a=rtcp-fb:99 nack\r\n", 0 },
	{ "feedback for one that was", OFFER, BASE VIDEO, BASE VIDEO, BASE VIDEO "a=rtcp-fb:96 nack\r\n", B(OTHER) },
};

static struct wire_sdp ours, was, now;

static void names(unsigned set, char *buf, size_t size)
{
	struct text t = text_on(buf, size);

	for (unsigned p = 0; p < CALL_ALL_PURPOSES; p++)
		if (set & 1u << p)
			text_add(&t, " %s", call_purpose_name((enum call_purpose)p));
}

static void table(void **state)
{
	struct call_change ch;
	char got[128], want[128];
	unsigned bad = 0;

	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		const struct pair *p = &pairs[i];

		assert_int_equal(wire_sdp_parse(slice_str(p->ours), &ours), 0);
		assert_int_equal(wire_sdp_parse(slice_str(p->was), &was), 0);
		assert_int_equal(wire_sdp_parse(slice_str(p->now), &now), 0);
		call_classify(&was, p->last == OFFER, &ours, &now, &ch);
		if (ch.all == p->want)
			continue;
		names(ch.all, got, sizeof got);
		names(p->want, want, sizeof want);
		print_message("%s: got%s, want%s\n", p->what, got, want);
		bad++;
	}
	assert_int_equal(bad, 0);
}

/** Every pair both ways, each description against itself: nothing but what is said changes, and a line's changes are the whole's. */
static void same_is_refresh(void **state)
{
	struct call_change ch;

	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		const char *const text[] = { pairs[i].was, pairs[i].now, pairs[i].ours };

		for (size_t k = 0; k < ARRAY_LEN(text); k++) {
			unsigned lines = 0;

			assert_int_equal(wire_sdp_parse(slice_str(text[k]), &was), 0);
			assert_int_equal(wire_sdp_parse(slice_str(text[k]), &now), 0);
			call_classify(&was, true, &now, &now, &ch);
			assert_int_equal(ch.all, 0);
			assert_int_equal(wire_sdp_parse(slice_str(text[(k + 1) % 3]), &now), 0);
			call_classify(&was, true, &was, &now, &ch);
			for (unsigned m = 0; m < WIRE_SDP_MEDIA; m++)
				lines |= ch.line[m];
			assert_int_equal(lines & ~ch.all, 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(table), cmocka_unit_test(same_is_refresh) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
