/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a certificate says of itself, for people: subject, names, times, fingerprint (RFC 5280). Checks nothing.
 */
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <time.h>

#include "postern/keys.h"

static void name_put(const X509_NAME *name, char *buf, size_t size)
{
	BIO *b = BIO_new(BIO_s_mem());
	int n = 0;

	if (b && X509_NAME_print_ex(b, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0)
		n = BIO_read(b, buf, (int)size - 1);
	buf[n > 0 ? n : 0] = 0;
	BIO_free(b);
}

static void one_name(const GENERAL_NAME *g, struct text *t)
{
	int type;
	const ASN1_STRING *v = GENERAL_NAME_get0_value(g, &type);
	const char *tag = type == GEN_DNS ? "DNS" : type == GEN_URI ? "URI" : type == GEN_EMAIL ? "email" : NULL;
	const unsigned char *p = type == GEN_IPADD || tag ? ASN1_STRING_get0_data(v) : NULL;
	union base_addr a = { 0 };
	char host[48];

	if (tag) {
		text_add(t, "%s%s:%.*s", t->n ? ", " : "", tag, ASN1_STRING_length(v), (const char *)p);
	} else if (p && ASN1_STRING_length(v) == 4) {
		a.in.sin_family = AF_INET;
		memcpy(&a.in.sin_addr, p, 4);
		text_add(t, "%sIP:%s", t->n ? ", " : "", base_addr_host(&a, false, host));
	} else if (p && ASN1_STRING_length(v) == 16) {
		a.in6.sin6_family = AF_INET6;
		memcpy(&a.in6.sin6_addr, p, 16);
		text_add(t, "%sIP:%s", t->n ? ", " : "", base_addr_host(&a, false, host));
	}
}

static void names_put(X509 *x, char *buf, size_t size)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	struct text t = text_on(buf, size);

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
		one_name(sk_GENERAL_NAME_value(names, i), &t);
	GENERAL_NAMES_free(names);
}

static int64_t time_ms(const ASN1_TIME *at)
{
	struct tm tm;

	return ASN1_TIME_to_tm(at, &tm) == 1 ? (int64_t)timegm(&tm) * 1000 : 0;
}

static void fingerprint_put(const X509 *x, char *buf, size_t size)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	struct text t = text_on(buf, size);

	if (X509_digest(x, EVP_sha256(), md, &n) != 1)
		return;
	for (unsigned i = 0; i < n; i++)
		text_add(&t, "%s%02X", i ? ":" : "", md[i]);
}

int keys_certificate_get(struct slice pem, struct keys_certificate *ret)
{
	BIO *b = pem.n && pem.n < (1u << 24) ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
	X509 *x = b ? PEM_read_bio_X509(b, NULL, NULL, NULL) : NULL;
	EVP_PKEY *key;

	BIO_free(b);
	ERR_clear_error();
	if (!x)
		return ERR_CONFIG;
	memset(ret, 0, sizeof(*ret));
	name_put(X509_get_subject_name(x), ret->subject, sizeof(ret->subject));
	name_put(X509_get_issuer_name(x), ret->issuer, sizeof(ret->issuer));
	names_put(x, ret->names, sizeof(ret->names));
	fingerprint_put(x, ret->fingerprint, sizeof(ret->fingerprint));
	ret->not_before_ms = time_ms(X509_get0_notBefore(x));
	ret->not_after_ms = time_ms(X509_get0_notAfter(x));
	key = X509_get0_pubkey(x);
	if (key)
		snprintf(ret->key, sizeof(ret->key), "%s %d", EVP_PKEY_get0_type_name(key) ? EVP_PKEY_get0_type_name(key) : "", EVP_PKEY_get_bits(key));
	X509_free(x);
	ERR_clear_error();
	return 0;
}
