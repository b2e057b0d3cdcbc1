/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The start-up self-test of the guard. A library that was linked with -Bsymbolic would not call our overrides, silently,
 * and the process would stand unguarded: so an agent of its own says OPTIONS to itself over UDP, TCP and TLS on
 * loopback, and each override must have been called, or (the rare ones) be what the dynamic linker would call.
 */
#include "sipua/priv.h"
#include "sipua/guard/guard.h"

#include <dlfcn.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <unistd.h>

#define LISTENERS 3
#define EXCHANGE_MS 3000

static const struct { const char *name; bool must_hit; } overrides[] = {
#define X(name, must_hit) { #name, must_hit },
	SIPUA_OVERRIDES(X)
#undef X
};

struct exchange {
	struct loop *loop;
	struct sipua *ua;
	struct keys_tls *tls;
	struct sipua_listener lst[LISTENERS];
	unsigned answers;
	int status;
};

/* ---- a certificate for 127.0.0.1, for one second of use ---- */

static int add_ip(X509 *x)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
	int ok = e && X509_add_ext(x, e, -1);

	X509_EXTENSION_free(e);
	return ok;
}

static X509 *make_certificate(EVP_PKEY *key)
{
	X509 *x = X509_new();
	X509_NAME *name = x ? X509_get_subject_name(x) : NULL;

	if (!x)
		return NULL;
	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"self-test", -1, -1, 0);
	X509_set_issuer_name(x, name);
	if (add_ip(x) && X509_sign(x, key, EVP_sha256()))
		return x;
	X509_free(x);
	return NULL;
}

static struct slice pem_of(BIO *b)
{
	char *p = NULL;
	long n = BIO_get_mem_data(b, &p);

	return (struct slice){ p, (size_t)n };
}

static int make_tls(struct keys_tls **ret)
{
	struct keys_tls_conf conf = { .id = "self-test", .verify = KEYS_VERIFY_REQUIRED };
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = key ? make_certificate(key) : NULL;
	BIO *cert = BIO_new(BIO_s_mem()), *priv = BIO_new(BIO_s_mem());
	char why[256];
	int err = -ENOMEM;

	if (x && cert && priv && PEM_write_bio_X509(cert, x) == 1 && PEM_write_bio_PrivateKey(priv, key, NULL, NULL, 0, NULL, NULL) == 1) {
		struct keys_pem pem = { .certificate = pem_of(cert), .key = pem_of(priv), .ca = pem_of(cert) };
		err = keys_tls_new(&conf, &pem, why, ret);
	}
	BIO_free(cert);
	BIO_free(priv);
	X509_free(x);
	EVP_PKEY_free(key);
	return err;
}

/* ---- the exchange ---- */

static void on_request(void *arg, struct sipua_in *in)
{
	struct exchange *x = arg;
	struct sipua_srv *s;

	if (in->path.transport == SIPUA_UDP)
		sipua_in_reply(in, 200, NULL, NULL);
	else if (sipua_in_accept(in, NULL, NULL, &s) == 0) {
		sipua_srv_reply(s, 200, NULL);
		sipua_srv_free(s);
	}
	(void)x;
}

static void on_response(void *arg, struct sipua_cli *c, int status, const struct wire_sip *sip)
{
	struct exchange *x = arg;

	(void)sip;
	if (status < 200)
		return;
	x->status = status;
	x->answers += status == 200;
	sipua_cli_free(c);
}

static int open_listener(struct sipua_listener *l, enum sipua_transport t, struct keys_tls *tls)
{
	socklen_t len = sizeof(l->addr);

	memset(l, 0, sizeof(*l));
	l->id = sipua_transport_name(t);
	l->transport = t;
	l->tls = t == SIPUA_TLS ? tls : NULL;
	base_addr_parse(SLICE("127.0.0.1"), 0, &l->addr);
	l->fd = socket(AF_INET, (t == SIPUA_UDP ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
	if (l->fd < 0 || bind(l->fd, &l->addr.sa, sizeof(l->addr.in)) || getsockname(l->fd, &l->addr.sa, &len))
		return -errno;
	return t == SIPUA_UDP || listen(l->fd, 8) == 0 ? 0 : -errno;
}

static int ask(struct exchange *x, unsigned i)
{
	static const struct sipua_cli_ops ops = { on_response };
	struct sipua_dest dest = { .listener = i, .transport = x->lst[i].transport, .addr = x->lst[i].addr, .tls = x->lst[i].tls };
	struct sipua_dialog *d;
	struct sipua_msg *m;
	struct sipua_cli *c;
	int err = sipua_dialog_new_uac(x->ua, SLICE("<sip:self@127.0.0.1>"), SLICE("<sip:self@127.0.0.1>"), &dest, NULL, NULL, &d);

	if (err)
		return err;
	err = sipua_msg_request(d, SLICE("OPTIONS"), "sip:self@127.0.0.1;lrfoo", 1, &m);
	if (!err)
		err = sipua_cli_send(d, m, &dest, &ops, x, &c);
	sipua_dialog_free(d);
	return err;
}

static int converse(struct exchange *x)
{
	struct mono start = base_mono_now();
	int err = 0;

	for (unsigned i = 0; !err && i < LISTENERS; i++)
		err = ask(x, i);
	while (!err && x->answers < LISTENERS && mono_ms_since(base_mono_now(), start) < EXCHANGE_MS && (!x->status || x->status == 200))
		loop_turn(x->loop, 100);
	return err ? err : x->answers == LISTENERS ? 0 : ERR_WRONGSTATE;
}

static int run(struct exchange *x)
{
	static const struct sipua_handlers handlers = { .request = on_request };
	struct sipua_caps caps = { .message_bytes = 65536, .handshake_s = 5 };
	int err = make_tls(&x->tls);

	for (unsigned i = 0; i < LISTENERS; i++)
		x->lst[i].fd = -1;
	for (unsigned i = 0; !err && i < LISTENERS; i++)
		err = open_listener(&x->lst[i], (enum sipua_transport)i, x->tls);
	if (!err)
		err = loop_new(&x->loop);
	if (!err)
		err = sipua_new(x->loop, x->lst, LISTENERS, "self-test", &caps, &handlers, x, NULL, &x->ua);
	if (!err)
		err = converse(x);
	sipua_free(x->ua);
	if (x->loop)
		loop_free(x->loop);
	for (unsigned i = 0; i < LISTENERS; i++)
		if (x->lst[i].fd >= 0)
			close(x->lst[i].fd);
	base_unref(x->tls);
	return err;
}

/* ---- the verdict ---- */

static const char *not_ours(void)
{
	Dl_info of_program, of_override;

	/* this file is in the program's own image, as the overrides must be; run is any function of it */
	if (!dladdr((void *)(uintptr_t)run, &of_program))
		return "dladdr";
	for (unsigned i = 0; i < ARRAY_LEN(overrides); i++) {
		void *p = dlsym(RTLD_DEFAULT, overrides[i].name);
		if (!p || !dladdr(p, &of_override) || of_override.dli_fbase != of_program.dli_fbase)
			return overrides[i].name;
	}
	return NULL;
}

static const char *not_hit(void)
{
	for (unsigned i = 0; i < ARRAY_LEN(overrides); i++)
		if (overrides[i].must_hit && !sipua_guard_hits[i])
			return overrides[i].name;
	return NULL;
}

int sipua_guard_selftest(char why[static 256])
{
	struct exchange x = { 0 };
	const char *name = not_ours();
	int err;

	why[0] = 0;
	if (name) {
		snprintf(why, 256, "%s is not the program's own", name);
		return ERR_WRONGSTATE;
	}
	sipua_guard_passed = true; /* for the agent of the exchange */
	err = run(&x);
	name = not_hit();
	if (name)
		snprintf(why, 256, "%s was not called by the library", name);
	else if (err)
		snprintf(why, 256, "the exchange failed: %s, %u answers, status %d", base_strerror(err), x.answers, x.status);
	sipua_guard_passed = !name && !err;
	return sipua_guard_passed ? 0 : ERR_WRONGSTATE;
}
