/* SPDX-License-Identifier: Apache-2.0 */
/* What is found as a secret in messages: credentials and SDP keys, however they are written; and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "postern/wire.h"

static const struct { const char *in, *out; } rows[] = {
	{ "Authorization: Digest username=\"u\", response=\"abc\"\r\nX: y", "Authorization: Digest ****************************\r\nX: y" },
	{ "Proxy-Authorization : Basic dXNlcjpw\r\n", "Proxy-Authorization : Basic ********\r\n" },
	{ "AUTHORIZATION:token\r\n", "AUTHORIZATION:*****\r\n" },
	{ "Authorization: Digest a=b,\r\n response=c\r\nVia: x", "Authorization: Digest *****************\r\nVia: x" },
	{ "WWW-Authenticate: Digest nonce=\"n\"\r\n", "WWW-Authenticate: Digest nonce=\"n\"\r\n" },
	{ "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:abcd|2^20\r\na=x:1", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:*********\r\na=x:1" },
	{ "a=x\ra=CRYPTO:2  SUITE\tInLine:k;inline:l\ra=y", "a=x\ra=CRYPTO:2  SUITE\tInLine:**********\ra=y" },
	{ "a=crypto:1 S what:key", "a=crypto:1 S ********" },
	{ "a=crypto:1 S\r\na=rtpmap:0 PCMU/8000", "a=crypto:***\r\na=rtpmap:0 PCMU/8000" }, /* something is missing: all of it */
	{ "a=crypto:1 inline:KEY\r\n", "a=crypto:************\r\n" }, { "a=crypto:inline:KEY", "a=crypto:**********" }, { "a=key-mgmt:AQAF\r\n", "a=key-mgmt:****\r\n" },
	{ "a=key-mgmt:mikey AQAF\r\n", "a=key-mgmt:mikey*****\r\n" },
	{ "v=0\r\nk=clear:abc\r\nt=0 0", "v=0\r\nk=*********\r\nt=0 0" },
	{ "k=base64:a\nm=audio\nk=prompt\na=crypto:1 S inline:z", "k=********\nm=audio\nk=******\na=crypto:1 S inline:*" },
	{ "a=fmtp:96 stack=1\r\no=- 1 1 IN IP4 k=v", "a=fmtp:96 stack=1\r\no=- 1 1 IN IP4 k=*" },
	{ "", "" },
};

static void stars(const char *in, char *out, size_t max)
{
	struct slice hide[64];
	size_t n = wire_secrets_find(slice_str(in), hide, max);

	slice_copy(out, 1024, slice_str(in));
	for (size_t i = 0; i < n; i++) {
		if (i)
			assert_true(hide[i].p >= hide[i - 1].p + hide[i - 1].n);
		memset(out + (hide[i].p - in), '*', hide[i].n);
	}
}

static void found(void **state)
{
	char out[1024];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		stars(rows[i].in, out, 64);
		assert_string_equal(out, rows[i].out);
	}
}

/* more than fit: nothing behind the last one can be read */
static void full(void **state)
{
	char in[1024], out[1024];
	struct text t = text_on(in, sizeof in);

	for (unsigned i = 0; i < 20; i++)
		text_add(&t, "a=crypto:%u S inline:SECRET%u\r\n", i, i);
	stars(in, out, 4);
	assert_null(strstr(out, "SECRET"));
	assert_true(strncmp(out, "a=crypto:0 S inline:*******\r\na=crypto:1", 38) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(found), cmocka_unit_test(full) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
