/* SPDX-License-Identifier: Apache-2.0 */
/* SDP: what is taken and what is refused (RFC 8866), directions and holds (RFC 3264), what we print for the other side. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "postern/wire.h"

static struct wire_sdp sdp, again;
static char out[WIRE_SDP_BYTES];

#define HEAD "v=0\r\no=alice 1 2 IN IP4 192.0.2.1\r\ns=x\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"

static void assert_slice(struct slice s, const char *want)
{
	if (s.n != strlen(want) || (s.n && memcmp(s.p, want, s.n)))
		fail_msg("got '%.*s', want '%s'", (int)s.n, s.p, want);
}

static void parse_ok(const char *text)
{
	int err = wire_sdp_parse(slice_str(text), &sdp);

	if (err)
		fail_msg("%d for: %s", err, text);
}

static const char *print_at(const struct wire_sdp_place *place)
{
	const struct wire_sdp_edit e = { .o_user = "postern", .o_id = 7, .o_version = 9, .o_addr = "233.252.0.7", .place = place };
	int n = wire_sdp_print(&sdp, &e, out, sizeof(out));

	assert_true(n > 0);
	assert_int_equal(strlen(out), n);
	assert_int_equal(wire_sdp_parse((struct slice){ out, (size_t)n }, &again), 0);
	assert_int_equal(again.nmedia, sdp.nmedia);
	return out;
}

static void whole_description(void **state)
{
	uint64_t pts[2];

	parse_ok("v=0\r\no=John Doe 11 22 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 192.0.2.1/127\r\nb=AS:64\r\nt=0 0\r\na=sendonly\r\n"
		"m=audio 4000 RTP/AVP 0 8 101 \r\na=rtpmap:101 telephone-event/8000\r\na=rtcp:4100 IN IP4 192.0.2.9\r\na=ptime:20\r\n"
		"m=video 5000/2 RTP/AVPF 96\r\nc=IN IP6 2001:db8::1\r\na=recvonly\r\na=rtcp-mux\r\n"
		"m=image 6000 udptl t38\r\n");
	assert_slice(sdp.o_user, "John Doe");
	assert_slice(sdp.o_id, "11");
	assert_slice(sdp.o_version, "22");
	assert_slice(sdp.o_addr, "198.51.100.1");
	assert_slice(sdp.conn, "192.0.2.1");
	assert_int_equal(sdp.nmedia, 3);
	assert_int_equal(sdp.nsession, 6);
	assert_slice(sdp.media[0].formats, "0 8 101");
	assert_slice(sdp.media[0].conn, "192.0.2.1");
	assert_int_equal(sdp.media[0].rtcp_port, 4100);
	assert_slice(sdp.media[0].rtcp_addr, "192.0.2.9");
	assert_int_equal(sdp.media[0].dir, WIRE_SENDONLY);
	assert_true(sdp.media[0].dir_given);
	assert_slice(wire_sdp_attr(&sdp, 0, "ptime"), "20");
	assert_null(wire_sdp_attr(&sdp, 1, "ptime").p);
	assert_null(wire_sdp_attr(&sdp, 9, "ptime").p);
	assert_non_null(wire_sdp_attr(&sdp, -1, "sendonly").p);
	wire_sdp_pts(&sdp.media[0], pts);
	assert_true(pts[0] == ((1ull << 0) | (1ull << 8)) && pts[1] == 1ull << (101 - 64));
	assert_int_equal(sdp.media[1].nports, 2);
	assert_true(sdp.media[1].conn6 && sdp.media[1].rtcp_mux && sdp.media[1].rtp);
	assert_int_equal(sdp.media[1].dir, WIRE_RECVONLY);
	assert_false(sdp.media[2].rtp);
	wire_sdp_pts(&sdp.media[2], pts);
	assert_true(!pts[0] && !pts[1]);
}

static void lenient(void **state)
{
	static const char *const ok[] = {
		"v=0\nm=audio 4000 RTP/AVP 0\nc=IN IP4 192.0.2.1\n",
		"v=0\ro=- 1 1 IN IP4 192.0.2.1\rm=audio 4000 RTP/AVP 0\rc=IN IP4 192.0.2.1\r",
		HEAD "m=audio 4000 RTP/AVP 0\r\n\r\n",
		HEAD "m=audio  4000   RTP/AVP \t 0  \r\nq=?\r\na=\r\n",
		HEAD "a=sendrecv\r\na=sendrecv\r\nm=audio 0 RTP/AVP 0",
		HEAD "m=application 9 UDP/BFCP\r\n",
		"v=0\r\no=- 1\r\ns=\r\nc=ATM NSAP 47.0091\r\nm=audio 4000 RTP/AVP 0\r\n",
		HEAD "m=audio 4000 rtp/avp 0\r\nc=IN IP4 media.example.com\r\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(ok); i++) {
		parse_ok(ok[i]);
		assert_int_equal(sdp.nmedia, 1);
	}
	parse_ok(ok[6]);
	assert_int_equal(sdp.media[0].conn.n, 0);
}

static void strict(void **state)
{
	static const struct { const char *text; int err; } bad[] = {
		{ "", ERR_TRUNCATED }, { "\r\n", ERR_TRUNCATED }, { "o=- 1 1 IN IP4 192.0.2.1\r\n", ERR_PROTO }, { "v=1\r\n", ERR_PROTO },
		{ "v=0\r\nv=0\r\n", ERR_PROTO }, { "v=0\r\nhello\r\n", ERR_PROTO }, { "v=0\r\nA=x\r\n", ERR_PROTO },
		{ HEAD "m=audio RTP/AVP 0\r\n", ERR_PROTO }, { HEAD "m=audio 65536 RTP/AVP 0\r\n", ERR_PROTO },
		{ HEAD "m=audio -1 RTP/AVP 0\r\n", ERR_PROTO }, { HEAD "m=audio 4000/0 RTP/AVP 0\r\n", ERR_PROTO },
		{ HEAD "m=audio 4000/ RTP/AVP 0\r\n", ERR_PROTO }, { HEAD "m=audio 4000\r\n", ERR_PROTO },
		{ HEAD "c=IN IP4 192.0.2.2\r\n", ERR_PROTO }, { HEAD "o=- 1 1 IN IP4 192.0.2.1\r\n", ERR_PROTO },
		{ HEAD "m=audio 4000 RTP/AVP 0\r\no=- 1 1 IN IP4 192.0.2.1\r\n", ERR_PROTO },
		{ HEAD "m=audio 4000 RTP/AVP 0\r\nc=IN IP4 2001:db8::1\r\n", ERR_PROTO },
		{ HEAD "m=audio 4000 RTP/AVP 0\r\nc=IN IP6 192.0.2.1\r\n", ERR_PROTO },
		{ HEAD "m=audio 4000 RTP/AVP 0\r\nc=IN IP9 192.0.2.1\r\n", ERR_PROTO },
		{ HEAD "m=audio 4000 RTP/AVP 0\r\nc=IN IP4\r\n", ERR_PROTO },
		{ HEAD "m=audio 4000 RTP/AVP 0\r\nc=IN IP4 192.0.2.1;x\r\n", ERR_PROTO },
		{ HEAD "m=audio 4000 RTP/AVP 0\r\na=sendonly\r\na=recvonly\r\n", ERR_PROTO },
		{ HEAD "m=audio 4000 RTP/AVP 0\r\na=rtcp:none\r\n", ERR_PROTO },
	};
	static char big[WIRE_SDP_BYTES + 2];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (wire_sdp_parse(slice_str(bad[i].text), &sdp) != bad[i].err)
			fail_msg("case %zu", i);
	assert_int_equal(wire_sdp_parse((struct slice){ "v=0\r\n\0", 6 }, &sdp), ERR_PROTO);
	memset(big, '\n', sizeof(big));
	assert_int_equal(wire_sdp_parse((struct slice){ big, WIRE_SDP_BYTES + 1 }, &sdp), ERR_FULL);
	n = (size_t)snprintf(big, sizeof(big), "v=0\n");
	for (int i = 0; i < WIRE_SDP_LINES + 1; i++)
		n += (size_t)snprintf(big + n, sizeof(big) - n, "a=x\n");
	assert_int_equal(wire_sdp_parse((struct slice){ big, n }, &sdp), ERR_FULL);
	assert_int_equal(wire_sdp_parse((struct slice){ big, n - 4 }, &sdp), 0);
	n = (size_t)snprintf(big, sizeof(big), "v=0\n");
	for (int i = 0; i < WIRE_SDP_MEDIA + 1; i++)
		n += (size_t)snprintf(big + n, sizeof(big) - n, "m=audio 1 RTP/AVP 0\n");
	assert_int_equal(wire_sdp_parse((struct slice){ big, n }, &sdp), ERR_FULL);
}

static void directions(void **state)
{
	static const struct { const char *conn, *attr; enum wire_dir want; } t[] = {
		{ "IP4 192.0.2.1", "x", WIRE_SENDRECV }, { "IP4 0.0.0.0", "x", WIRE_SENDONLY }, { "IP4 0.0.0.0", "recvonly", WIRE_INACTIVE },
		{ "IP6 ::", "sendrecv", WIRE_SENDONLY }, { "IP6 hold.invalid", "sendrecv", WIRE_SENDONLY }, { "IP4 192.0.2.1", "INACTIVE", WIRE_INACTIVE },
	};
	char text[256];

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		snprintf(text, sizeof(text), "v=0\nm=audio 4000 RTP/AVP 0\nc=IN %s\na=%s\n", t[i].conn, t[i].attr);
		parse_ok(text);
		assert_int_equal(wire_sdp_direction(&sdp, &sdp.media[0]), t[i].want);
	}
	assert_int_equal(wire_dir_reverse(WIRE_SENDONLY), WIRE_RECVONLY);
	assert_int_equal(wire_dir_reverse(WIRE_RECVONLY), WIRE_SENDONLY);
	assert_int_equal(wire_dir_reverse(WIRE_INACTIVE), WIRE_INACTIVE);
	assert_int_equal(wire_dir_reverse(WIRE_SENDRECV), WIRE_SENDRECV);
	assert_string_equal(wire_dir_name(WIRE_RECVONLY), "recvonly");
}

static void printed(void **state)
{
	const struct wire_sdp_place place[] = {
		{ .addr = "233.252.0.8", .port = 30000, .dir = -1 },
		{ .addr = "2001:db8::8", .ipv6 = true, .port = 30002, .rtcp_mux = true, .dir = WIRE_INACTIVE },
		{ .addr = NULL },
	};

	parse_ok("v=0\r\no=alice 1 2 IN IP4 192.0.2.1\r\ns=secret\r\ni=inside\r\nu=http://192.0.2.1/\r\ne=a@192.0.2.1\r\np=1\r\n"
		"c=IN IP4 192.0.2.1\r\nb=CT:128\r\nt=2 3\r\nr=7d 1h 0 25h\r\nk=clear:x\r\na=group:BUNDLE 0 1\r\na=group:LS 0 1\r\na=ice-lite\r\n"
		"m=audio 4000 RTP/AVP 0 101\r\ni=mic\r\nb=AS:64\r\na=mid:0\r\na=rtpmap:0 PCMU/8000\r\na=candidate:1 1 UDP 1 192.0.2.1 4000 typ host\r\n"
		"a=rtcp:4001 IN IP4 192.0.2.1\r\na=sendrecv\r\na=fmtp:101 0-15\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\na=x-any:to 192.0.2.1:9\r\n"
		"m=video 5000 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 profile-level-id=42e01f\r\na=source-filter: incl IN IP4 * 192.0.2.1\r\n"
		"m=image 6000 udptl t38\r\na=T38FaxVersion:0\r\n");
	assert_string_equal(print_at(place),
		"v=0\r\no=postern 7 9 IN IP4 233.252.0.7\r\ns=-\r\nc=IN IP4 233.252.0.8\r\nb=CT:128\r\nt=2 3\r\nr=7d 1h 0 25h\r\na=group:LS 0 1\r\n"
		"m=audio 30000 RTP/AVP 0 101\r\nc=IN IP4 233.252.0.8\r\nb=AS:64\r\na=mid:0\r\na=rtpmap:0 PCMU/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\n"
		"m=video 30002 RTP/AVP 96\r\nc=IN IP6 2001:db8::8\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 profile-level-id=42e01f\r\na=inactive\r\na=rtcp-mux\r\n"
		"m=image 0 udptl t38\r\n");
}

static void printed_short(void **state)
{
	const struct wire_sdp_place place = { .addr = "233.252.0.8", .port = 30000, .dir = -1 };
	const struct wire_sdp_edit e = { .o_user = "postern", .o_addr = "233.252.0.7", .place = &place };
	int n;

	parse_ok("v=0\nm=audio 4000 RTP/AVP 0\n");
	n = wire_sdp_print(&sdp, &e, out, sizeof(out));
	assert_true(n > 0);
	assert_string_equal(out, "v=0\r\no=postern 0 0 IN IP4 233.252.0.7\r\ns=-\r\nc=IN IP4 233.252.0.8\r\nt=0 0\r\n"
		"m=audio 30000 RTP/AVP 0\r\nc=IN IP4 233.252.0.8\r\n");
	for (int size = 0; size <= n; size++)
		assert_int_equal(wire_sdp_print(&sdp, &e, out, (size_t)size), ERR_TRUNCATED);
	assert_int_equal(wire_sdp_print(&sdp, &e, out, (size_t)n + 1), n);
}

static bool keep_all(int m, struct slice name, struct slice value)
{
	return true;
}

static void caller_keeps(void **state)
{
	const struct wire_sdp_place place = { .addr = "233.252.0.8", .port = 30000, .dir = WIRE_SENDONLY };
	const struct wire_sdp_edit e = { .o_user = "postern", .o_addr = "233.252.0.7", .place = &place, .keep = keep_all };

	parse_ok("v=0\nm=audio 4000 RTP/AVP 0\na=rtcp:1\na=rtcp-mux\na=recvonly\na=crypto:1 x\n");
	assert_true(wire_sdp_print(&sdp, &e, out, sizeof(out)) > 0);
	assert_non_null(strstr(out, "c=IN IP4 233.252.0.8\r\na=crypto:1 x\r\na=sendonly\r\n"));
	assert_null(strstr(out, "rtcp"));
}

static void crossing(void **state)
{
	static const struct { const char *name, *value; bool want; } t[] = {
		{ "rtpmap", "0 PCMU/8000", true }, { "ICE-ufrag", "x", false }, { "Candidate", "x", false }, { "rtcp-fb", "96 nack", true },
		{ "rtcp-xr", "voip-metrics", true }, { "rtcp", "1", false }, { "ssrc", "1 cname:a@b", true }, { "ssrc", "1 cname:a@10.1.2.3", false },
		{ "extmap", "1 urn:ietf:params:rtp-hdrext:ssrc-audio-level", true }, { "fmtp", "96 a=1.2.3", true }, { "fmtp", "x::ba", true },
		{ "x", "2001:db8::1", false }, { "x", "[2001:db8::1]:4000", false }, { "x", "10.0.0.1.", false }, { "x", "sip:10.0.0.1:5060", false },
		{ "x", "1.2.3.4.5", true }, { "x", "::", false }, { "T38FaxUdpEC", "t38UDPRedundancy", true }, { "mid", "0", true },
		{ "group", "BUNDLE 0", false }, { "group", "LS 0", true }, { "maxptime", "", true }, { "zrtp-hash", "1.10 abcdef", true },
		{ "x", "2001:db8::1:", false }, { "x", "1:2:3", true }, { "x", "::ffff:10.0.0.1", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		if (wire_sdp_attr_crosses(0, slice_str(t[i].name), slice_str(t[i].value)) != t[i].want)
			fail_msg("%s:%s", t[i].name, t[i].value);
}

static void same_session(void **state)
{
	struct slice a = SLICE("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n");

	assert_true(wire_sdp_same_session(a, SLICE("v=0\r\no=- 1 2 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n")));
	assert_true(wire_sdp_same_session(a, SLICE("v=0\ns=-\nt=0 0")));
	assert_false(wire_sdp_same_session(a, SLICE("v=0\r\no=- 1 2 IN IP4 192.0.2.1\r\ns=-\r\n")));
	assert_false(wire_sdp_same_session(SLICE("v=0\r\ns=-\r\n"), a));
	assert_false(wire_sdp_same_session(a, SLICE("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=x\r\nt=0 0\r\n")));
	assert_true(wire_sdp_same_session(SLICE(""), (struct slice){ NULL, 0 }));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_description), cmocka_unit_test(lenient), cmocka_unit_test(strict), cmocka_unit_test(directions),
		cmocka_unit_test(printed), cmocka_unit_test(printed_short), cmocka_unit_test(caller_keeps), cmocka_unit_test(crossing),
		cmocka_unit_test(same_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
