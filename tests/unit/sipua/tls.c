/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS over real sockets, the peer being OpenSSL alone: certificate and chain per listener, SNI, checks both ways (RFC 5922),
 * client certificates, failures told at once, connections shared by name and profile alone, nothing kept.
 */
#include "unit/sipua/rig.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <unistd.h>

#include "unit/keys/pki.h"

static struct pki_pem ca, other_ca, ours, peers, named, stranger;

static int make_pki(void **state)
{
	(void)state;
	pki_issue("Test CA", NULL, 10, NULL, &ca);
	pki_issue("Other CA", NULL, 10, NULL, &other_ca);
	pki_issue("sbc", "DNS:sbc.example.com,IP:127.0.0.1", 10, &ca, &ours);
	pki_issue("peer", "IP:127.0.0.1", 10, &ca, &peers);
	pki_issue("carrier", "DNS:sip.carrier.example,DNS:*.wild.example", 10, &ca, &named);
	pki_issue("stranger", "IP:127.0.0.1,DNS:sip.carrier.example", 10, &other_ca, &stranger);
	return 0;
}

static int drop_pki(void **state)
{
	(void)state;
	pki_free(&ca);
	pki_free(&other_ca);
	pki_free(&ours);
	pki_free(&peers);
	pki_free(&named);
	pki_free(&stranger);
	return 0;
}

struct tls_peer {
	struct peer *p;
	SSL *ssl;
};

static struct rig *rig_tls(struct keys_tls *tls, const struct sipua_caps *caps)
{
	struct rig *r;

	base_clock_fake(1000000000, 1800000000000);
	r = rig_new();
	rig_listener(r, SIPUA_TLS, "127.0.0.1", NULL, tls);
	assert_int_equal(rig_start(r, caps), 0);
	return r;
}

/* 1: done, -1: failed */
static int handshake(struct rig *r, SSL *ssl)
{
	for (int i = 0; i < 500; i++) {
		int n = SSL_do_handshake(ssl), e = SSL_get_error(ssl, n);
		if (n == 1)
			return 1;
		if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE)
			return -1;
		loop_turn(r->loop, 1);
	}
	return 0;
}

static bool read_text(struct rig *r, SSL *ssl, char *buf, size_t size, int ms)
{
	for (int i = 0; i < ms; i++) {
		int n = SSL_read(ssl, buf, (int)size - 1);
		if (n > 0) {
			buf[n] = 0;
			return true;
		}
		ERR_clear_error();
		loop_turn(r->loop, 1);
	}
	return false;
}

static const char options[] = "OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:9;branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=1\r\n"
	"To: <sip:b@x>\r\nCall-ID: tls\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";

static SSL *client(struct rig *r, struct keys_tls *tls, struct peer **ret)
{
	SSL *ssl = SSL_new(keys_tls_client(tls));

	*ret = peer_connect(r, 0);
	SSL_set_fd(ssl, (*ret)->fd);
	SSL_set_connect_state(ssl);
	return ssl;
}

static void serves(void **state)
{
	struct keys_tls *srv = pki_tls(&ours, &ca, KEYS_VERIFY_NONE, 0), *cli = pki_tls(NULL, &ca, KEYS_VERIFY_REQUIRED, 0);
	struct rig *r = rig_tls(srv, NULL);
	struct peer *p;
	SSL *ssl = client(r, cli, &p);
	char text[4096];

	(void)state;
	SSL_set1_host(ssl, "sbc.example.com");
	r->mode = RIG_REPLY;
	r->reply = 200;
	assert_int_equal(handshake(r, ssl), 1);
	assert_int_equal(SSL_get_verify_result(ssl), X509_V_OK);
	SSL_write(ssl, options, sizeof(options) - 1);
	assert_true(read_text(r, ssl, text, sizeof(text), 500));
	assert_int_equal(strncmp(text, "SIP/2.0 200 ", 12), 0);
	assert_string_equal(r->subjects, "");
	SSL_free(ssl);
	peer_free(p);
	rig_free(r);
	base_unref(cli);
	base_unref(srv);
}

static void client_certificates(void **state)
{
	struct keys_tls *srv = pki_tls(&ours, &ca, KEYS_VERIFY_REQUIRED, 0), *with = pki_tls(&named, &ca, KEYS_VERIFY_REQUIRED, 0),
		*without = pki_tls(NULL, &ca, KEYS_VERIFY_REQUIRED, 0), *foreign = pki_tls(&stranger, &ca, KEYS_VERIFY_REQUIRED, 0);
	struct rig *r = rig_tls(srv, NULL);
	struct peer *p;
	SSL *ssl = client(r, with, &p);
	char text[4096];

	(void)state;
	r->mode = RIG_REPLY;
	r->reply = 200;
	assert_int_equal(handshake(r, ssl), 1);
	SSL_write(ssl, options, sizeof(options) - 1);
	assert_true(read_text(r, ssl, text, sizeof(text), 500));
	assert_string_equal(r->subjects, "sip.carrier.example,*.wild.example,carrier");
	SSL_free(ssl);
	peer_free(p);
	for (int i = 0; i < 2; i++) {
		ssl = client(r, i ? foreign : without, &p);
		handshake(r, ssl);
		SSL_write(ssl, options, sizeof(options) - 1);
		assert_false(read_text(r, ssl, text, sizeof(text), 50));
		assert_int_equal(r->requests, 1);
		SSL_free(ssl);
		peer_free(p);
	}
	rig_free(r);
	base_unref(with);
	base_unref(without);
	base_unref(foreign);
	base_unref(srv);
}

static void optional_certificates(void **state)
{
	struct keys_tls *srv = pki_tls(&ours, &ca, KEYS_VERIFY_OPTIONAL, 0), *with = pki_tls(&named, &ca, KEYS_VERIFY_REQUIRED, 0),
		*without = pki_tls(NULL, &ca, KEYS_VERIFY_REQUIRED, 0);
	struct rig *r = rig_tls(srv, NULL);
	struct peer *p;
	char text[4096];

	(void)state;
	r->mode = RIG_REPLY;
	r->reply = 200;
	for (int i = 0; i < 2; i++) {
		SSL *ssl = client(r, i ? with : without, &p);
		assert_int_equal(handshake(r, ssl), 1);
		SSL_write(ssl, options, sizeof(options) - 1);
		assert_true(read_text(r, ssl, text, sizeof(text), 500));
		assert_string_equal(r->subjects, i ? "sip.carrier.example,*.wild.example,carrier" : "");
		SSL_free(ssl);
		peer_free(p);
	}
	rig_free(r);
	base_unref(with);
	base_unref(without);
	base_unref(srv);
}

/* the whole chain is sent: a peer that knows the root alone can check */
static void chain(void **state)
{
	struct pki_pem middle, leaf, both;
	struct keys_tls *srv, *cli = pki_tls(NULL, &ca, KEYS_VERIFY_REQUIRED, 0);
	struct rig *r;
	struct peer *p;
	SSL *ssl;
	size_t n;

	(void)state;
	pki_issue("CA middle", NULL, 10, &ca, &middle);
	pki_issue("leaf", "DNS:leaf.example", 10, &middle, &leaf);
	n = strlen(leaf.cert) + strlen(middle.cert) + 1;
	both = (struct pki_pem){ malloc(n), leaf.key };
	snprintf(both.cert, n, "%s%s", leaf.cert, middle.cert);
	srv = pki_tls(&both, NULL, KEYS_VERIFY_NONE, 0);
	r = rig_tls(srv, NULL);
	ssl = client(r, cli, &p);
	SSL_set1_host(ssl, "leaf.example");
	assert_int_equal(handshake(r, ssl), 1);
	assert_int_equal(SSL_get_verify_result(ssl), X509_V_OK);
	SSL_free(ssl);
	peer_free(p);
	rig_free(r);
	base_unref(srv);
	base_unref(cli);
	free(both.cert);
	pki_free(&leaf);
	pki_free(&middle);
}

/* ---- outgoing ---- */

struct call {
	struct sipua_dialog *d;
	struct sipua_cli *c;
};

static void start(struct rig *r, struct peer *p, struct keys_tls *tls, const char *name, struct call *ret)
{
	struct sipua_dest dest = { .listener = 0, .transport = SIPUA_TLS, .addr = p->addr, .tls = tls, .tls_name = name };
	struct sipua_msg *m;

	assert_int_equal(sipua_dialog_new_uac(r->ua, SLICE("<sip:a@x>"), SLICE("<sip:b@x>"), &dest, NULL, NULL, &ret->d), 0);
	assert_int_equal(sipua_msg_request(ret->d, SLICE("OPTIONS"), "sip:b@x", 70, &m), 0);
	assert_int_equal(sipua_cli_send(ret->d, m, &dest, &rig_cli_ops, r, &ret->c), 0);
}

static void finish(struct call *c)
{
	sipua_cli_free(c->c);
	sipua_dialog_free(c->d);
}

/* the peer's side of one connection: a server of this certificate. Returns the status that the agent's user got. */
static int serve(struct rig *r, struct peer *p, struct keys_tls *with, char *sni, size_t size, SSL **ret_keep)
{
	SSL *ssl = SSL_new(keys_tls_server(with));
	unsigned had = r->responses;
	char text[4096];
	int ok;

	peer_accept(r, p);
	SSL_set_fd(ssl, p->fd);
	SSL_set_accept_state(ssl);
	ok = handshake(r, ssl);
	snprintf(sni, size, "%s", SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) ? SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) : "");
	if (ok == 1 && read_text(r, ssl, text, sizeof(text), 100)) {
		snprintf(p->got, sizeof(p->got), "%s", text);
		assert_int_equal(strncmp(text, "OPTIONS ", 8), 0);
		assert_non_null(strstr(text, "Via: SIP/2.0/TLS "));
		snprintf(text, sizeof(text), "SIP/2.0 200 OK\r\nVia: %s\r\nFrom: %s\r\nTo: %s;tag=x\r\nCall-ID: %s\r\nCSeq: %s\r\n"
			"Content-Length: 0\r\n\r\n", peer_header(p, "Via"), peer_header(p, "From"), peer_header(p, "To"), peer_header(p, "Call-ID"),
			peer_header(p, "CSeq"));
		SSL_write(ssl, text, (int)strlen(text));
	}
	rig_turns(r, 20);
	if (ret_keep) {
		*ret_keep = ssl;
	} else {
		SSL_free(ssl);
		close(p->fd);
		p->fd = -1;
		rig_turns(r, 5);
	}
	return r->responses > had ? r->status[had] : 0;
}

static void checks_the_peer(void **state)
{
	static const struct { const struct pki_pem *cert; const char *name, *sni; int status; } rows[] = {
		{ &peers, NULL, "", 200 },                                  /* the address is in the certificate */
		{ &named, NULL, "", -503 },                                 /* it is not */
		{ &named, "sip.carrier.example", "sip.carrier.example", 200 },
		{ &named, "a.wild.example", "a.wild.example", 200 },
		{ &named, "sip.other.example", "sip.other.example", -503 },
		{ &peers, "sip.carrier.example", "sip.carrier.example", -503 },
		{ &stranger, NULL, "", -503 },                              /* the right names by the wrong authority */
		{ &stranger, "sip.carrier.example", "sip.carrier.example", -503 },
	};
	struct keys_tls *own = pki_tls(&ours, &ca, KEYS_VERIFY_UNSET, 0);
	struct rig *r = rig_tls(own, NULL);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct keys_tls *theirs = pki_tls(rows[i].cert, &ca, KEYS_VERIFY_NONE, 0);
		struct peer *p = peer_listen(r, 0);
		struct call c;
		char sni[100];
		start(r, p, NULL, rows[i].name, &c);
		assert_int_equal(serve(r, p, theirs, sni, sizeof(sni), NULL), rows[i].status);
		assert_string_equal(sni, rows[i].sni);
		finish(&c);
		peer_free(p);
		base_unref(theirs);
	}
	rig_free(r);
	base_unref(own);
}

/* a trunk's own profile: its client certificate, its authority, its leniency */
static void profile_of_the_trunk(void **state)
{
	struct keys_tls *own = pki_tls(&ours, &ca, KEYS_VERIFY_UNSET, 0), *trunk = pki_tls(&named, &ca, KEYS_VERIFY_REQUIRED, 1),
		*lenient = pki_tls(NULL, NULL, KEYS_VERIFY_NONE, 0), *asks = pki_tls(&peers, &ca, KEYS_VERIFY_REQUIRED, 0),
		*foreign = pki_tls(&stranger, NULL, KEYS_VERIFY_NONE, 0);
	struct rig *r = rig_tls(own, NULL);
	struct peer *p = peer_listen(r, 0);
	struct call c;
	char sni[100];
	SSL *ssl;

	(void)state;
	start(r, p, trunk, NULL, &c);
	assert_int_equal(serve(r, p, asks, sni, sizeof(sni), &ssl), 200);
	assert_string_equal(SSL_get_version(ssl), "TLSv1.3");
	{
		X509 *x = SSL_get1_peer_certificate(ssl);
		assert_non_null(x);
		X509_free(x);
	}
	SSL_free(ssl);
	finish(&c);
	peer_free(p);
	p = peer_listen(r, 0);
	start(r, p, lenient, NULL, &c);
	assert_int_equal(serve(r, p, foreign, sni, sizeof(sni), NULL), 200);
	finish(&c);
	peer_free(p);
	rig_free(r);
	base_unref(own);
	base_unref(trunk);
	base_unref(lenient);
	base_unref(asks);
	base_unref(foreign);
}

/* one connection for the same name and profile, another for another name: a certificate counts for the name it was checked against */
static void shared_by_name(void **state)
{
	struct keys_tls *own = pki_tls(&ours, &ca, KEYS_VERIFY_UNSET, 0), *theirs = pki_tls(&named, &ca, KEYS_VERIFY_NONE, 0);
	struct rig *r = rig_tls(own, NULL);
	struct peer *p = peer_listen(r, 0);
	struct sipua_figures f;
	struct call c, again, other;
	char sni[100], text[4096];
	SSL *ssl, *ssl2;
	int fd;

	(void)state;
	start(r, p, NULL, "sip.carrier.example", &c);
	assert_int_equal(serve(r, p, theirs, sni, sizeof(sni), &ssl), 200);
	start(r, p, NULL, "sip.carrier.example", &again);
	assert_true(read_text(r, ssl, text, sizeof(text), 200));
	sipua_figures(r->ua, &f);
	assert_int_equal(f.connections, 1);
	fd = p->fd;
	p->fd = -1;
	start(r, p, NULL, "b.wild.example", &other);
	assert_int_equal(serve(r, p, theirs, sni, sizeof(sni), &ssl2), 200);
	assert_string_equal(sni, "b.wild.example");
	sipua_figures(r->ua, &f);
	assert_int_equal(f.connections, 2);
	finish(&c);
	finish(&again);
	finish(&other);
	SSL_free(ssl);
	SSL_free(ssl2);
	close(fd);
	peer_free(p);
	rig_turns(r, 5);
	rig_free(r);
	base_unref(own);
	base_unref(theirs);
}

/* connected, and then nothing: the request fails, the connection is not kept for the next one */
static void mute_server(void **state)
{
	struct keys_tls *own = pki_tls(&ours, &ca, KEYS_VERIFY_UNSET, 0);
	struct rig *r = rig_tls(own, NULL);
	struct peer *p = peer_listen(r, 0);
	struct sipua_figures f;
	struct call c;

	(void)state;
	start(r, p, NULL, NULL, &c);
	peer_accept(r, p);
	rig_advance(r, 3000);
	assert_int_equal(r->responses, 0);
	rig_advance(r, 4000);
	rig_turns(r, 5);
	assert_int_equal(r->responses, 1);
	assert_int_equal(r->status[0], -503);
	sipua_figures(r->ua, &f);
	assert_int_equal(f.connections, 0);
	finish(&c);
	peer_free(p);
	rig_free(r);
	base_unref(own);
}

static void no_old_versions(void **state)
{
	struct keys_tls *srv = pki_tls(&ours, &ca, KEYS_VERIFY_NONE, 0);
	struct rig *r = rig_tls(srv, NULL);
	struct peer *p = peer_connect(r, 0);
	SSL_CTX *old = SSL_CTX_new(TLS_client_method());
	SSL *ssl;

	(void)state;
	SSL_CTX_set_security_level(old, 0);
	SSL_CTX_set_min_proto_version(old, TLS1_VERSION);
	SSL_CTX_set_max_proto_version(old, TLS1_1_VERSION);
	ssl = SSL_new(old);
	SSL_set_fd(ssl, p->fd);
	SSL_set_connect_state(ssl);
	assert_int_equal(handshake(r, ssl), -1);
	SSL_free(ssl);
	SSL_CTX_free(old);
	peer_free(p);
	rig_free(r);
	base_unref(srv);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(serves), cmocka_unit_test(client_certificates), cmocka_unit_test(optional_certificates), cmocka_unit_test(chain),
		cmocka_unit_test(checks_the_peer), cmocka_unit_test(profile_of_the_trunk), cmocka_unit_test(shared_by_name),
		cmocka_unit_test(mute_server),
		cmocka_unit_test(no_old_versions),
	};

	return cmocka_run_group_tests(tests, make_pki, drop_pki);
}
