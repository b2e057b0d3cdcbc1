/* SPDX-License-Identifier: Apache-2.0 */
/* URIs, name-addr and parameters from text (RFC 3261 section 19.1, 20.10; RFC 4475 and 5118 examples; RFC 3966). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "postern/wire.h"

static void assert_slice(struct slice s, const char *want)
{
	if (s.n != strlen(want) || (s.n && memcmp(s.p, want, s.n)))
		fail_msg("got '%.*s', want '%s'", (int)s.n, s.p, want);
}

static void uris(void **state)
{
	static const struct { const char *text, *scheme, *user, *password, *host, *port, *params, *headers; } t[] = {
		{ "sip:example.com", "sip", "", "", "example.com", "", "", "" },
		{ "SIPS:a%20b:p%40@h-1.example_x.:5061;transport=tls;lr?X=a&b=c", "SIPS", "a%20b", "p%40", "h-1.example_x.", "5061", "transport=tls;lr", "X=a&b=c" },
		{ "sip:user;par=u%40example.net@example.com", "sip", "user;par=u%40example.net", "", "example.com", "", "", "" },
		{ "sip:a?b/c@192.0.2.1", "sip", "a?b/c", "", "192.0.2.1", "", "", "" },
		{ "sip:*31#0123@h", "sip", "*31#0123", "", "h", "", "", "" },
		{ "sip:x@[2001:db8::10]", "sip", "x", "", "[2001:db8::10]", "", "", "" },
		{ "sip:[2001:db8::10:5070]:5080;a", "sip", "", "", "[2001:db8::10:5070]", "5080", "a", "" },
		{ "tel:+1-201-555-0123;phone-context=example.com", "tel", "+1-201-555-0123", "", "", "", "phone-context=example.com", "" },
		{ "urn:service:sos", "urn", "service:sos", "", "", "", "", "" },
		{ "sip:h?", "sip", "", "", "h", "", "", "" },
	};
	struct wire_uri u;

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		assert_int_equal(wire_uri_parse(slice_str(t[i].text), &u), 0);
		assert_slice(u.scheme, t[i].scheme);
		assert_slice(u.user, t[i].user);
		assert_slice(u.password, t[i].password);
		assert_slice(u.host, t[i].host);
		assert_slice(u.port, t[i].port);
		assert_slice(u.params, t[i].params);
		assert_slice(u.headers, t[i].headers);
	}
}

static void bad_uris(void **state)
{
	static const char *const t[] = {
		"", ":", "sip", "sip:", "sip:@h", "sip:a@", "sip:a@b@c", "sip:h:", "sip:h:0", "sip:h:65536", "sip:h:5060x", "sip:[::1", "sip:[::g]", "sip:[]",
		"sip:[192.0.2.1]", "sip:[::1]x", "sip:a b@h", "sip:a%2@h", "sip:a%zz@h", "sip:a@h%", "sip:\"a\"@h", "sip:<a@h", "1sip:h", "sip:h\n", "tel:", "tel:;x",
		"sip:2001:db8::1", "s p:h", "sip::5060", "sip:;lr",
	};
	struct wire_uri u;

	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		if (wire_uri_parse(slice_str(t[i]), &u) != ERR_PROTO)
			fail_msg("taken: %s", t[i]);
	assert_int_equal(wire_uri_parse((struct slice){ "sip:a\0b@h", 9 }, &u), ERR_PROTO);
	assert_int_equal(wire_uri_parse((struct slice){ NULL, 0 }, &u), ERR_PROTO);
}

static void addrs(void **state)
{
	static const struct { const char *text, *display, *user, *host, *tag, *params, *uri_params; } t[] = {
		{ "sip:a@h", "", "a", "h", "", "", "" },
		{ "sip:a@h;tag=88;x=\"a;tag=b\"", "", "a", "h", "88", "tag=88;x=\"a;tag=b\"", "" },
		{ "<sip:a@h;lr>;tag=88", "", "a", "h", "88", "tag=88", "lr" },
		{ " \"A \\\"B\\\" <c>\" <sip:a@h> ; x ; TAG = 99 ", "A \\\"B\\\" <c>", "a", "h", "99", " x ; TAG = 99", "" },
		{ "Alice  B\t<sip:a@h?Subject=x>", "Alice  B", "a", "h", "", "", "" },
		{ "\"\"<tel:911>", "", "911", "", "", "", "" },
		{ "caller<sip:caller@example.com>;tag=323", "caller", "caller", "example.com", "323", "tag=323", "" },
	};
	struct wire_addr a;

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		assert_int_equal(wire_addr_parse(slice_str(t[i].text), &a), 0);
		assert_slice(a.display, t[i].display);
		assert_slice(a.uri.user, t[i].user);
		assert_slice(a.uri.host, t[i].host);
		assert_slice(a.tag, t[i].tag);
		assert_slice(a.params, t[i].params);
		assert_slice(a.uri.params, t[i].uri_params);
	}
}

static void bad_addrs(void **state)
{
	static const char *const t[] = {
		"", " ", "\"A <sip:a@h>", "\"A\" sip:a@h", "A\"B <sip:a@h>", "<sip:a@h", "<sip:a@h>x", "<>", "*", "sip:a@h?x=y", "<sip:a@h>;x=\"y", "\"", "\"\\\"<sip:a@h>",
		"<sip:a@h>;=x",
	};
	struct wire_addr a;

	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		if (wire_addr_parse(slice_str(t[i]), &a) != ERR_PROTO)
			fail_msg("taken: %s", t[i]);
}

static void params(void **state)
{
	struct slice p = SLICE("a=1;B; c = \"x;y\\\";z\" ;d=;e=last");

	assert_slice(wire_param(p, "A"), "1");
	assert_slice(wire_param(p, "b"), "");
	assert_non_null(wire_param(p, "b").p);
	assert_slice(wire_param(p, "c"), "\"x;y\\\";z\"");
	assert_slice(wire_param(p, "d"), "");
	assert_slice(wire_param(p, "e"), "last");
	assert_null(wire_param(p, "y").p);
	assert_null(wire_param((struct slice){ NULL, 0 }, "y").p);
	assert_null(wire_param(SLICE(";;"), "y").p);
}

static void methods(void **state)
{
	for (int i = 1; i < WIRE_METHODS; i++)
		assert_int_equal(wire_method_of(slice_str(wire_method_name((enum wire_method)i))), i);
	assert_int_equal(wire_method_of(SLICE("invite")), WIRE_UNKNOWN);
	assert_int_equal(wire_method_of(SLICE("")), WIRE_UNKNOWN);
	assert_string_equal(wire_method_name(WIRE_METHODS), "");
	assert_int_equal(wire_methods_parse(SLICE("INVITE,ACK , XYZ,\tUPDATE,")), 1u << WIRE_INVITE | 1u << WIRE_ACK | 1u << WIRE_UPDATE);
	assert_int_equal(wire_methods_parse(SLICE("")), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(uris), cmocka_unit_test(bad_uris), cmocka_unit_test(addrs), cmocka_unit_test(bad_addrs),
		cmocka_unit_test(params), cmocka_unit_test(methods),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
