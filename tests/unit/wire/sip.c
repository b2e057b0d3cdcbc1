/* SPDX-License-Identifier: Apache-2.0 */
/* Views of a message that Sofia parsed, in both of its ways of parsing: in place and from a copy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include <sofia-sip/msg_addr.h>
#include <sofia-sip/msg_header.h>
#include <sofia-sip/sip.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_parser.h>

#include "postern/wire.h"

static const char invite[] =
	"INVITE sip:+4930%20123;x=1:pw@example.com:5070;user=phone?Subject=hi SIP/2.0\r\n"
	"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa;rport,\r\n SIP/2.0/TCP 192.0.2.2;branch=z9hG4bKb\r\n"
	"v: SIP/2.0/UDP 192.0.2.3;branch=z9hG4bKc\r\n"
	"Route: <sip:p1.example.com;lr>, <sip:p2.example.com;lr>\r\n"
	"Max-Forwards: 70\r\n"
	"f: \"A \\\"B\\\"\" <sip:alice@example.com>;tag=abc;x=y\r\n"
	"To: Bob <tel:+1234;phone-context=example.com>\r\n"
	"i: call-1@host\r\n"
	"CSeq: 42 INVITE\r\n"
	"m: \"C\" <sip:alice@[2001:db8::1]:5062;transport=tcp>;q=0.5, <sip:second@example.com>\r\n"
	"Allow: INVITE, ACK,\r\n\tUPDATE\r\n"
	"Allow: PRACK, FROB\r\n"
	"k: timer, 100rel\r\n"
	"Require: precondition, x-new, y-new\r\n"
	"User-Agent: Phone  1.0 (a;b)\r\n"
	"X-Folded: one\r\n two\r\n\tthree\r\n"
	"X-Empty:\r\n"
	"y: eyJhbGciOi;info=<https://example.com/c>\r\n"
	"P-Asserted-Identity: \"A\" <sip:+1@example.com>, <tel:+1>\r\n"
	"Session-Expires: 1800 ; refresher = uac\r\n"
	"c: application/sdp ; charset=utf-8\r\n"
	"l: 5\r\n"
	"\r\n"
	"v=0\r\n";

static const char response[] =
	"SIP/2.0 180 Ringing there\r\n"
	"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa\r\n"
	"From: <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>;tag=2\r\nCall-ID: c\r\nCSeq: 7 SUBSCRIBE\r\nContact: *\r\n\r\n";

static const int modes[] = { 0, MSG_DO_EXTRACT_COPY };

static msg_t *parse(const char *text, size_t n, int flags)
{
	msg_t *m = msg_make(sip_default_mclass(), flags, text, (ssize_t)n);

	assert_non_null(m);
	assert_non_null(sip_object(m));
	return m;
}

static const struct wire_sip *view(msg_t *m)
{
	return (const struct wire_sip *)(const void *)sip_object(m);
}

static void assert_slice(struct slice s, const char *want)
{
	if (s.n != strlen(want) || (s.n && memcmp(s.p, want, s.n)))
		fail_msg("got '%.*s', want '%s'", (int)s.n, s.p, want);
}

static void check_addresses(const struct wire_sip *v)
{
	struct wire_uri u;
	struct wire_addr a;

	wire_sip_ruri(v, &u);
	assert_slice(u.scheme, "sip");
	assert_slice(u.user, "+4930%20123;x=1");
	assert_slice(u.password, "pw");
	assert_slice(u.host, "example.com");
	assert_slice(u.port, "5070");
	assert_slice(u.params, "user=phone");
	assert_slice(u.headers, "Subject=hi");
	wire_sip_from(v, &a);
	assert_slice(a.display, "A \\\"B\\\"");
	assert_slice(a.uri.user, "alice");
	assert_slice(a.tag, "abc");
	wire_sip_to(v, &a);
	assert_slice(a.display, "Bob");
	assert_slice(a.uri.scheme, "tel");
	assert_slice(a.uri.user, "+1234");
	assert_slice(a.uri.host, "");
	assert_slice(a.uri.params, "phone-context=example.com");
	assert_slice(a.tag, "");
	assert_true(wire_sip_contact(v, &a));
	assert_slice(a.display, "C");
	assert_slice(a.uri.host, "[2001:db8::1]");
	assert_slice(a.uri.port, "5062");
	assert_slice(a.uri.params, "transport=tcp");
}

static void request_views(void **state)
{
	const char *const known[] = { "precondition", "timer", NULL };
	char buf[64];
	bool has;

	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		msg_t *m = parse(invite, sizeof(invite) - 1, modes[i]);
		const struct wire_sip *v = view(m);

		assert_true(wire_sip_is_request(v));
		assert_int_equal(wire_sip_method(v), WIRE_INVITE);
		assert_int_equal(wire_sip_status(v), 0);
		assert_int_equal(wire_sip_cseq(v), 42);
		assert_slice(wire_sip_call_id(v), "call-1@host");
		check_addresses(v);
		assert_slice(wire_sip_body(v), "v=0\r\n");
		assert_slice(wire_sip_content_type(v), "application/sdp");
		assert_int_equal(wire_sip_max_forwards(v), 70);
		assert_int_equal(wire_sip_allow(v, &has), 1u << WIRE_INVITE | 1u << WIRE_ACK | 1u << WIRE_UPDATE | 1u << WIRE_PRACK);
		assert_true(has);
		assert_true(wire_sip_supported(v, "100REL"));
		assert_true(wire_sip_supported(v, "x-new"));
		assert_false(wire_sip_supported(v, "replaces"));
		assert_slice(wire_sip_unknown_required(v, known, buf, sizeof(buf)), "x-new, y-new");
		msg_destroy(m);
	}
}

static void response_views(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		msg_t *m = parse(response, sizeof(response) - 1, modes[i]);
		const struct wire_sip *v = view(m);
		const char *const none[] = { NULL };
		struct wire_addr a;
		struct wire_uri u;
		char buf[64];
		bool has;

		assert_false(wire_sip_is_request(v));
		assert_int_equal(wire_sip_status(v), 180);
		assert_slice(wire_sip_phrase(v), "Ringing there");
		assert_int_equal(wire_sip_method(v), WIRE_SUBSCRIBE);
		assert_int_equal(wire_sip_cseq(v), 7);
		assert_false(wire_sip_contact(v, &a));
		assert_int_equal(wire_sip_max_forwards(v), -1);
		assert_int_equal(wire_sip_allow(v, &has), 0);
		assert_false(has);
		assert_int_equal(wire_sip_body(v).n, 0);
		assert_int_equal(wire_sip_content_type(v).n, 0);
		assert_int_equal(wire_sip_unknown_required(v, none, buf, sizeof(buf)).n, 0);
		wire_sip_ruri(v, &u);
		assert_null(u.host.p);
		msg_destroy(m);
	}
}

/* in message order; a second text where the parse in place leaves only the class's own form */
static const struct { const char *name, *value, *other; } wanted[] = {
	{ "Via", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa;rport", NULL },
	{ "Via", "SIP/2.0/TCP 192.0.2.2;branch=z9hG4bKb", NULL },
	{ "Via", "SIP/2.0/UDP 192.0.2.3;branch=z9hG4bKc", NULL },
	{ "Route", "<sip:p1.example.com;lr>", NULL },
	{ "Route", "<sip:p2.example.com;lr>", NULL },
	{ "Max-Forwards", "70", NULL },
	{ "From", "\"A \\\"B\\\"\" <sip:alice@example.com>;tag=abc;x=y", NULL },
	{ "To", "Bob <tel:+1234;phone-context=example.com>", NULL },
	{ "Call-ID", "call-1@host", NULL },
	{ "CSeq", "42 INVITE", NULL },
	{ "Contact", "\"C\" <sip:alice@[2001:db8::1]:5062;transport=tcp>;q=0.5", NULL },
	{ "Contact", "<sip:second@example.com>", NULL },
	{ "Allow", "INVITE, ACK, UPDATE", "INVITE, ACK, UPDATE, PRACK, FROB" },
	{ "Allow", "PRACK, FROB", NULL },
	{ "Supported", "timer, 100rel", NULL },
	{ "Require", "precondition, x-new, y-new", NULL },
	{ "User-Agent", "Phone  1.0 (a;b)", NULL },
	{ "X-Folded", "one two three", NULL },
	{ "X-Empty", "", NULL },
	{ "Identity", "eyJhbGciOi;info=<https://example.com/c>", NULL },
	{ "P-Asserted-Identity", "\"A\" <sip:+1@example.com>, <tel:+1>", NULL },
	{ "Session-Expires", "1800 ; refresher = uac", "1800;refresher=uac" },
	{ "Content-Type", "application/sdp ; charset=utf-8", "application/sdp;charset=utf-8" },
	{ "Content-Length", "5", NULL },
};

static void headers_in_order(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		msg_t *m = parse(invite, sizeof(invite) - 1, modes[i]);
		struct wire_headers it;
		struct wire_header h;
		size_t w = 0;

		wire_sip_headers(view(m), &it);
		for (; wire_headers_next(&it, &h); w++) {
			const char *want;

			assert_true(w < ARRAY_LEN(wanted));
			want = !modes[i] && wanted[w].other ? wanted[w].other : wanted[w].value;
			assert_slice(h.name, wanted[w].name);
			assert_slice(h.value, want);
			if (!modes[i] && slice_eq(h.name, SLICE("Allow")))
				w++; /* parsed in place, several lines of a list are one */
		}
		assert_int_equal(w, ARRAY_LEN(wanted));
		msg_destroy(m);
	}
}

static void header_by_name(void **state)
{
	char buf[128];

	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		msg_t *m = parse(invite, sizeof(invite) - 1, modes[i]);
		const struct wire_sip *v = view(m);

		assert_slice(wire_sip_header(v, "identity", buf, sizeof(buf)), "eyJhbGciOi;info=<https://example.com/c>");
		assert_slice(wire_sip_header(v, "y", buf, sizeof(buf)), "eyJhbGciOi;info=<https://example.com/c>");
		assert_slice(wire_sip_header(v, "V", buf, sizeof(buf)), "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa;rport");
		assert_slice(wire_sip_header(v, "x-folded", buf, sizeof(buf)), "one two three");
		assert_slice(wire_sip_header(v, "call-id", buf, sizeof(buf)), "call-1@host");
		assert_null(wire_sip_header(v, "X-None", buf, sizeof(buf)).p);
		assert_null(wire_sip_header(v, "z", buf, sizeof(buf)).p);
		assert_null(wire_sip_header(v, "", buf, sizeof(buf)).p);
		assert_null(wire_sip_header(v, "X-Folded", buf, 5).p);
		msg_destroy(m);
	}
}

/* a value that the buffer cannot hold is not cut: it is carried by its header object, from which sipua makes a copy */
static void too_long_and_opaque(void **state)
{
	static char text[12000], copy[8000];
	size_t n = (size_t)snprintf(text, sizeof(text), "%.*sX-Long: ", (int)(sizeof(response) - 3), response);
	struct wire_headers it;
	struct wire_header h;
	int seen = 0;
	msg_t *m;

	memset(text + n, 'x', 5000);
	n += 5000;
	n += (size_t)snprintf(text + n, sizeof(text) - n, "\r\nX-Fold: ");
	memset(text + n, 'y', 5000);
	memcpy(text + n + 100, "\r\n ", 3);
	n += 5000;
	n += (size_t)snprintf(text + n, sizeof(text) - n, "\r\n\r\n");
	m = parse(text, n, 0);
	wire_sip_headers(view(m), &it);
	while (wire_headers_next(&it, &h)) {
		if (slice_eq(h.name, SLICE("X-Long"))) {
			assert_int_equal(h.value.n, 5000); /* one string of Sofia's: as long as it is */
			seen++;
		}
		if (slice_eq(h.name, SLICE("X-Fold"))) {
			msg_header_t *dup = msg_header_dup_one(NULL, h.opaque);

			assert_null(h.value.p);
			assert_non_null(dup);
			assert_true(msg_header_field_e(copy, sizeof(copy), dup, 0) >= 4990);
			su_free(NULL, dup);
			seen++;
		}
	}
	assert_int_equal(seen, 2);
	msg_destroy(m);
}

static void unfolding(void **state)
{
	struct slice plain = SLICE("a  b"), v;
	char buf[8];

	assert_ptr_equal(wire_unfold(plain, buf, 0).p, plain.p);
	assert_slice(wire_unfold(SLICE("A\r\n \t B"), buf, sizeof(buf)), "A B");
	assert_slice(wire_unfold(SLICE("12345\n\n 7"), buf, sizeof(buf)), "12345 7");
	assert_null(wire_unfold(SLICE("1234567\n 9"), buf, sizeof(buf)).p);
	v = wire_unfold((struct slice){ NULL, 0 }, buf, sizeof(buf));
	assert_true(!v.p && !v.n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(request_views), cmocka_unit_test(response_views), cmocka_unit_test(headers_in_order),
		cmocka_unit_test(header_by_name), cmocka_unit_test(unfolding), cmocka_unit_test(too_long_and_opaque),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
