/* SPDX-License-Identifier: Apache-2.0 */
/* Digest: the examples of RFC 2617 3.5 and RFC 7616 3.9.1, what the field sends, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "postern/keys.h"

static const struct keys_digest_request mufasa = { SLICE("Mufasa"), SLICE("Circle of Life"), SLICE("GET"), SLICE("/dir/index.html"), SLICE("") };

static void rfc2617(void **state)
{
	struct keys_digest_request rq = mufasa;
	struct keys_digest ch;
	char hex[65];

	rq.password = SLICE("Circle Of Life");
	assert_int_equal(keys_digest_read(SLICE("Digest realm=\"testrealm@host.com\", qop=\"auth,auth-int\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", "
		"opaque=\"5ccc069c403ebaf9f0171e9517f40e41\""), &ch), 0);
	assert_int_equal(ch.qop, KEYS_QOP_AUTH);
	assert_false(ch.algorithm_given || ch.stale);
	assert_int_equal(keys_digest_response(&ch, &rq, SLICE("0a4f113b"), 1, hex), 0);
	assert_string_equal(hex, "6629fae49393a05397450978507c4ef1");
}

static void rfc7616(void **state)
{
	static const struct { const char *algorithm, *want; } rows[] = {
		{ "MD5", "8ca523f5e9506fed4657c9700eebdbec" },
		{ "SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1" },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		char text[512], hex[65];
		struct text t = text_on(text, sizeof text);
		struct keys_digest ch;

		text_add(&t, "realm=\"http-auth@example.org\",qop=\"auth, auth-int\",algorithm=%s,nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\"",
			rows[i].algorithm);
		assert_int_equal(keys_digest_read(text_get(&t), &ch), 0);
		assert_int_equal(keys_digest_response(&ch, &mufasa, SLICE("f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"), 1, hex), 0);
		assert_string_equal(hex, rows[i].want);
	}
}

static void printed(void **state)
{
	struct keys_digest ch;
	char buf[1024];

	assert_int_equal(keys_digest_read(SLICE("Digest nonce=\"n\", realm=\"a \\\"b\", stale=TRUE, algorithm=sha-256, qop=\"auth-int\", opaque=\"\""), &ch), 0);
	assert_true(ch.stale);
	assert_int_equal(ch.qop, KEYS_QOP_AUTH_INT);
	assert_int_equal(keys_digest_print(&ch, &mufasa, 0x1a, buf, sizeof buf), 0);
	assert_non_null(strstr(buf, "Digest username=\"Mufasa\", realm=\"a \\\"b\", nonce=\"n\", uri=\"/dir/index.html\", response=\""));
	assert_non_null(strstr(buf, "algorithm=SHA-256, cnonce=\""));
	assert_non_null(strstr(buf, "qop=auth-int, nc=0000001a, opaque=\"\""));
	assert_null(strstr(buf, "Circle"));
	assert_int_equal(keys_digest_print(&ch, &mufasa, 1, buf, 60), ERR_FULL);
}

static void refused(void **state)
{
	struct keys_digest ch;

	assert_int_equal(keys_digest_read(SLICE(""), &ch), ERR_PROTO);
	assert_int_equal(keys_digest_read(SLICE("Digest realm=\"r\""), &ch), ERR_PROTO);
	assert_int_equal(keys_digest_read(SLICE("Digest realm=\"r"), &ch), ERR_PROTO);
	assert_int_equal(keys_digest_read(SLICE("Digest nonce=\"n\", algorithm=SHA-512"), &ch), ERR_UNSUPPORTED);
	assert_int_equal(keys_digest_read(SLICE("Digest nonce=\"n\", qop=\"auth-conf\""), &ch), ERR_UNSUPPORTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(rfc2617), cmocka_unit_test(rfc7616), cmocka_unit_test(printed), cmocka_unit_test(refused) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
