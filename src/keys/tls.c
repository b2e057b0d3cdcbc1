/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS contexts of a profile, from PEM in memory: one for the server side, one for the client side. TLS 1.2 and up,
 * AEAD suites with forward secrecy (RFC 9325). Opens no connection and no file; names are checked where a connection is made.
 */
#include "postern/keys.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>

#define CHAIN_MAX 16
#define ANCHORS_MAX 1024
#define VERIFY_DEPTH 8
#define WHY 256

struct keys_tls {
	SSL_CTX *server, *client;
};

/* what every context of ours has; session tickets off: a resumed session would outlive a reload of the certificates */
static SSL_CTX *new_ctx(const SSL_METHOD *method, int min_version)
{
	SSL_CTX *c = SSL_CTX_new(method);

	if (!c)
		return NULL;
	SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_TICKET |
		SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(c, 0);
	SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_verify_depth(c, VERIFY_DEPTH);
	if (SSL_CTX_set_min_proto_version(c, min_version == 1 ? TLS1_3_VERSION : TLS1_2_VERSION) != 1 ||
	    SSL_CTX_set_cipher_list(c, "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:!aNULL:!eNULL") != 1) {
		SSL_CTX_free(c);
		return NULL;
	}
	return c;
}

static int fail(char *why, const char *what)
{
	unsigned long e = ERR_peek_last_error();
	const char *reason = e ? ERR_reason_error_string(e) : NULL;

	snprintf(why, WHY, "%s%s%s", what, reason ? ": " : "", reason ? reason : "");
	ERR_clear_error();
	return ERR_CONFIG;
}

static BIO *open_pem(struct slice s)
{
	return s.p && s.n && s.n < (1u << 24) ? BIO_new_mem_buf(s.p, (int)s.n) : NULL;
}

/* never asks a terminal for a passphrase */
static int no_passphrase(char *buf, int size, int rw, void *arg)
{
	(void)buf;
	(void)size;
	(void)rw;
	(void)arg;
	return 0;
}

static int load_chain(SSL_CTX *c, struct slice pem, char *why)
{
	BIO *b = open_pem(pem);
	X509 *x = b ? PEM_read_bio_X509(b, NULL, no_passphrase, NULL) : NULL;
	int err = 0, n = 0;

	if (!x)
		err = fail(why, "no certificate in the PEM");
	else if (X509_cmp_time(X509_get0_notAfter(x), NULL) < 0)
		err = fail(why, "the certificate has expired");
	else if (SSL_CTX_use_certificate(c, x) != 1)
		err = fail(why, "the certificate cannot be used");
	X509_free(x);
	while (!err && n++ < CHAIN_MAX && (x = PEM_read_bio_X509(b, NULL, no_passphrase, NULL))) {
		if (SSL_CTX_add1_chain_cert(c, x) != 1)
			err = fail(why, "a certificate of the chain cannot be used");
		X509_free(x);
	}
	BIO_free(b);
	ERR_clear_error(); /* the end of the PEM is an error to OpenSSL */
	return err;
}

static int load_key(SSL_CTX *c, struct slice pem, char *why)
{
	BIO *b = open_pem(pem);
	EVP_PKEY *k = b ? PEM_read_bio_PrivateKey(b, NULL, no_passphrase, NULL) : NULL;
	int err = 0;

	ERR_clear_error();
	if (!k)
		err = fail(why, "no private key in the PEM (one with a passphrase cannot be read)");
	else if (SSL_CTX_use_PrivateKey(c, k) != 1 || SSL_CTX_check_private_key(c) != 1)
		err = fail(why, "the private key does not fit the certificate");
	EVP_PKEY_free(k);
	BIO_free(b);
	return err;
}

static int load_anchors(SSL_CTX *c, struct slice pem, char *why)
{
	X509_STORE *store = SSL_CTX_get_cert_store(c);
	BIO *b = open_pem(pem);
	X509 *x;
	int n = 0;

	while (b && n < ANCHORS_MAX && (x = PEM_read_bio_X509(b, NULL, no_passphrase, NULL))) {
		n += X509_STORE_add_cert(store, x) == 1;
		SSL_CTX_add_client_CA(c, x); /* named to clients that are asked for a certificate */
		X509_free(x);
	}
	BIO_free(b);
	ERR_clear_error();
	return n ? 0 : fail(why, "no certificate in the PEM of the trust anchors");
}

static int load(SSL_CTX *c, const struct keys_pem *pem, char *why)
{
	int err = 0;

	if (pem->certificate.n)
		err = load_chain(c, pem->certificate, why);
	if (!err && pem->certificate.n)
		err = load_key(c, pem->key, why);
	if (!err && pem->ca.n)
		err = load_anchors(c, pem->ca, why);
	return err;
}

static int server_mode(int verify)
{
	switch (verify) {
	case KEYS_VERIFY_REQUIRED:
		return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	case KEYS_VERIFY_OPTIONAL:
		return SSL_VERIFY_PEER;
	default:
		return SSL_VERIFY_NONE;
	}
}

static void destroy(void *obj)
{
	struct keys_tls *t = obj;

	SSL_CTX_free(t->server);
	SSL_CTX_free(t->client);
}

int keys_tls_new(const struct keys_tls_conf *conf, const struct keys_pem *pem, char why[static WHY], struct keys_tls **ret)
{
	struct keys_tls *t = base_new(sizeof(*t), destroy);
	int err = 0;

	why[0] = 0;
	if (!t)
		return -ENOMEM;
	t->server = new_ctx(TLS_server_method(), conf->min_version);
	t->client = new_ctx(TLS_client_method(), conf->min_version);
	if (!t->server || !t->client)
		err = -ENOMEM;
	if (!err && server_mode(conf->verify) != SSL_VERIFY_NONE && !pem->ca.n)
		err = fail(why, "verification of clients needs trust anchors (ca)");
	if (!err)
		err = load(t->server, pem, why);
	if (!err)
		err = load(t->client, pem, why);
	if (!err && !pem->ca.n)
		SSL_CTX_set_default_verify_paths(t->client);
	if (err) {
		base_unref(t);
		return err;
	}
	SSL_CTX_set_verify(t->server, server_mode(conf->verify), NULL);
	/* towards trunks the check is required unless the profile says none */
	SSL_CTX_set_verify(t->client, conf->verify == KEYS_VERIFY_NONE ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
	*ret = t;
	return 0;
}

struct ssl_ctx_st *keys_tls_server(struct keys_tls *t) { return t->server; }
struct ssl_ctx_st *keys_tls_client(struct keys_tls *t) { return t->client; }

int keys_tls_default(struct keys_tls **ret)
{
	struct keys_tls_conf conf = { .id = "default", .verify = KEYS_VERIFY_UNSET };
	struct keys_pem pem = { 0 };
	char why[WHY];

	return keys_tls_new(&conf, &pem, why, ret);
}

void keys_tls_swap(struct keys_tls *t, struct keys_tls *other)
{
	struct keys_tls had = *t;

	*t = *other;
	*other = had;
}
