/* SPDX-License-Identifier: Apache-2.0 */
/* TLS profiles from PEM: what is taken, what is refused, and in which words; tokens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>

#include "unit/keys/pki.h"

static int try(const struct keys_pem *pem, int verify, char why[static 256])
{
	struct keys_tls_conf conf = { .id = "p", .verify = verify };
	struct keys_tls *t = NULL;
	int err = keys_tls_new(&conf, pem, why, &t);

	base_unref(t);
	return err;
}

static void refusals(void **state)
{
	size_t live = base_live();
	struct pki_pem ca, a, b, old;
	struct keys_pem pem;
	char why[256];

	(void)state;
	pki_issue("ca", NULL, 10, NULL, &ca);
	pki_issue("a", "DNS:a", 10, &ca, &a);
	pki_issue("b", "DNS:b", 10, &ca, &b);
	pki_issue("old", "DNS:old", -1, &ca, &old);
	pem = pki_keys(&a, &ca);
	assert_int_equal(try(&pem, KEYS_VERIFY_REQUIRED, why), 0);
	pem.ca = (struct slice){ 0 };
	assert_int_equal(try(&pem, KEYS_VERIFY_NONE, why), 0);
	assert_int_equal(try(&pem, KEYS_VERIFY_REQUIRED, why), ERR_CONFIG);
	assert_non_null(strstr(why, "trust anchors"));
	pem = pki_keys(&a, &ca);
	pem.key = slice_str(b.key);
	assert_int_equal(try(&pem, KEYS_VERIFY_NONE, why), ERR_CONFIG);
	assert_non_null(strstr(why, "does not fit"));
	pem = pki_keys(&old, &ca);
	assert_int_equal(try(&pem, KEYS_VERIFY_NONE, why), ERR_CONFIG);
	assert_non_null(strstr(why, "expired"));
	pem = pki_keys(&a, &ca);
	pem.certificate = SLICE("rubbish");
	assert_int_equal(try(&pem, KEYS_VERIFY_NONE, why), ERR_CONFIG);
	pem = pki_keys(&a, &ca);
	pem.key = SLICE("rubbish");
	assert_int_equal(try(&pem, KEYS_VERIFY_NONE, why), ERR_CONFIG);
	assert_null(strstr(why, "rubbish"));
	pem = pki_keys(&a, &ca);
	pem.ca = SLICE("rubbish");
	assert_int_equal(try(&pem, KEYS_VERIFY_NONE, why), ERR_CONFIG);
	pki_free(&ca);
	pki_free(&a);
	pki_free(&b);
	pki_free(&old);
	assert_int_equal(base_live(), live);
}

static void modes(void **state)
{
	struct pki_pem ca, a;
	struct keys_tls *t, *u;
	SSL_CTX *s;

	(void)state;
	pki_issue("ca", NULL, 10, NULL, &ca);
	pki_issue("a", "DNS:a", 10, &ca, &a);
	t = pki_tls(&a, &ca, KEYS_VERIFY_UNSET, 0);
	assert_int_equal(SSL_CTX_get_verify_mode(keys_tls_server(t)), SSL_VERIFY_NONE);
	assert_int_equal(SSL_CTX_get_verify_mode(keys_tls_client(t)), SSL_VERIFY_PEER);
	assert_int_equal(SSL_CTX_get_min_proto_version(keys_tls_server(t)), TLS1_2_VERSION);
	u = pki_tls(&a, &ca, KEYS_VERIFY_REQUIRED, 1);
	assert_int_equal(SSL_CTX_get_verify_mode(keys_tls_server(u)), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT);
	assert_int_equal(SSL_CTX_get_min_proto_version(keys_tls_client(u)), TLS1_3_VERSION);
	s = keys_tls_server(t);
	keys_tls_swap(t, u);
	assert_ptr_equal(keys_tls_server(u), s);
	base_unref(t);
	base_unref(u);
	t = pki_tls(&a, &ca, KEYS_VERIFY_OPTIONAL, 0);
	assert_int_equal(SSL_CTX_get_verify_mode(keys_tls_server(t)), SSL_VERIFY_PEER);
	base_unref(t);
	t = pki_tls(&a, &ca, KEYS_VERIFY_NONE, 0);
	assert_int_equal(SSL_CTX_get_verify_mode(keys_tls_client(t)), SSL_VERIFY_NONE);
	base_unref(t);
	assert_int_equal(keys_tls_default(&t), 0);
	assert_int_equal(SSL_CTX_get_verify_mode(keys_tls_client(t)), SSL_VERIFY_PEER);
	base_unref(t);
	pki_free(&ca);
	pki_free(&a);
}

static void tokens(void **state)
{
	char a[44], b[44], hash[65];

	(void)state;
	keys_token_new(a);
	keys_token_new(b);
	assert_int_equal(strlen(a), 43);
	assert_int_equal(strspn(a, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), 43);
	assert_string_not_equal(a, b);
	assert_true(keys_token_eq(slice_str(a), slice_str(a)));
	assert_false(keys_token_eq(slice_str(a), slice_str(b)));
	assert_false(keys_token_eq(slice_str(a), SLICE("")));
	keys_token_hash(SLICE("abc"), hash); /* FIPS 180-2, B.1 */
	assert_string_equal(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(refusals), cmocka_unit_test(modes), cmocka_unit_test(tokens) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
