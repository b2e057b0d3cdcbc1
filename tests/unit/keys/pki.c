/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/keys/pki.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

static char *text_of(BIO *b)
{
	char *p = NULL, *copy;
	long n = BIO_get_mem_data(b, &p);

	copy = calloc(1, (size_t)n + 1);
	memcpy(copy, p, (size_t)n);
	BIO_free(b);
	return copy;
}

static void add_ext(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	assert_non_null(e);
	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
}

static X509 *read_cert(const char *pem)
{
	BIO *b = BIO_new_mem_buf(pem, -1);
	X509 *x = PEM_read_bio_X509(b, NULL, NULL, NULL);

	BIO_free(b);
	return x;
}

static EVP_PKEY *read_key(const char *pem)
{
	BIO *b = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *k = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);

	BIO_free(b);
	return k;
}

void pki_issue(const char *cn, const char *san, int days, const struct pki_pem *issuer, struct pki_pem *ret)
{
	static long serial = 1000;
	EVP_PKEY *key = EVP_EC_gen("P-256"), *sign = issuer ? read_key(issuer->key) : key;
	X509 *x = X509_new(), *by = issuer ? read_cert(issuer->cert) : x;
	X509_NAME *name = X509_get_subject_name(x);
	BIO *b;

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
	X509_gmtime_adj(X509_getm_notBefore(x), -86400L * 30);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400L * days);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(by));
	if (!issuer || strncmp(cn, "CA ", 3) == 0)
		add_ext(x, NID_basic_constraints, "critical,CA:TRUE");
	if (san)
		add_ext(x, NID_subject_alt_name, san);
	assert_true(X509_sign(x, sign, EVP_sha256()) > 0);
	b = BIO_new(BIO_s_mem());
	PEM_write_bio_X509(b, x);
	ret->cert = text_of(b);
	b = BIO_new(BIO_s_mem());
	PEM_write_bio_PrivateKey(b, key, NULL, NULL, 0, NULL, NULL);
	ret->key = text_of(b);
	if (issuer) {
		X509_free(by);
		EVP_PKEY_free(sign);
	}
	X509_free(x);
	EVP_PKEY_free(key);
}

void pki_free(struct pki_pem *p)
{
	free(p->cert);
	free(p->key);
}

struct keys_pem pki_keys(const struct pki_pem *own, const struct pki_pem *ca)
{
	return (struct keys_pem){ .certificate = slice_str(own ? own->cert : NULL), .key = slice_str(own ? own->key : NULL),
		.ca = slice_str(ca ? ca->cert : NULL) };
}

struct keys_tls *pki_tls(const struct pki_pem *own, const struct pki_pem *ca, int verify, int min_version)
{
	struct keys_tls_conf conf = { .id = "test", .verify = verify, .min_version = min_version };
	struct keys_pem pem = pki_keys(own, ca);
	struct keys_tls *t = NULL;
	char why[256];

	if (keys_tls_new(&conf, &pem, why, &t))
		print_error("%s\n", why);
	assert_non_null(t);
	return t;
}
