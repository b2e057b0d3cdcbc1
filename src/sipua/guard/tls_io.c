/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SSL_connect, SSL_accept, SSL_read, SSL_write, SSL_shutdown, SSL_get1_peer_certificate: OpenSSL's queue of errors is
 * one for all connections, and the library does not clear it: garbage on the TLS port made the next partial read of
 * another peer look fatal, and its connection was closed. The certificate is checked in the handshake, by OpenSSL
 * alone; the library's own look at it leaks the names, so it sees none.
 */
#include "sipua/priv.h"
#include "sipua/guard/guard.h"
#include "sipua/guard/tls.h"

#include <openssl/err.h>
#include <sys/uio.h>
#include <openssl/x509v3.h>

SIPUA_REAL(int, SSL_connect, (SSL *s))
SIPUA_REAL(int, SSL_accept, (SSL *s))
SIPUA_REAL(int, SSL_read, (SSL *s, void *buf, int n))
SIPUA_REAL(int, SSL_write, (SSL *s, const void *buf, int n))
SIPUA_REAL(int, SSL_shutdown, (SSL *s))
SIPUA_REAL(X509 *, SSL_get1_peer_certificate, (const SSL *s))

static void count_failure(SSL *s, int ret, enum base_counter counter, const char *what)
{
	int e = SSL_get_error(s, ret);
	long verify;
	char text[120];

	if (ret > 0 || e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE)
		return;
	base_count(counter);
	verify = SSL_get_verify_result(s);
	ERR_error_string_n(ERR_peek_error(), text, sizeof(text));
	base_log_limited(BASE_WARN, 5, "tls", "handshake failed side=%s error=\"%s\" certificate=\"%s\"", what,
		ERR_peek_error() ? text : "connection closed", verify == X509_V_OK ? "-" : X509_verify_cert_error_string(verify));
}

/* ---- names of a verified client certificate, for trunks that are matched by them ---- */

static void add_name(struct text *t, const ASN1_STRING *a)
{
	const unsigned char *p = ASN1_STRING_get0_data(a);
	int n = ASN1_STRING_length(a);

	for (int i = 0; i < n; i++)
		if (p[i] <= ' ' || p[i] > '~' || p[i] == ',')
			return; /* no name that could be mistaken for two */
	text_add(t, "%s%.*s", t->n ? "," : "", n, (const char *)p);
}

static void add_alt_names(struct text *t, X509 *cert)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);

	for (int i = 0; names && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
		if (g->type == GEN_DNS)
			add_name(t, g->d.dNSName);
		else if (g->type == GEN_URI)
			add_name(t, g->d.uniformResourceIdentifier);
	}
	GENERAL_NAMES_free(names);
}

static void note_subjects(SSL *s)
{
	struct sipua_fd *f = sipua_fd_get(sipua_tls_fd(s));
	X509 *cert = f && f->conn && SSL_get_verify_mode(s) != SSL_VERIFY_NONE ? real_SSL_get1_peer_certificate(s) : NULL;
	struct text t;
	int at;

	if (!cert)
		return;
	t = text_on(f->conn->subjects, sizeof(f->conn->subjects));
	if (SSL_get_verify_result(s) == X509_V_OK) {
		X509_NAME *subject = X509_get_subject_name(cert);
		add_alt_names(&t, cert);
		at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
		if (at >= 0)
			add_name(&t, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	}
	X509_free(cert);
}

static void note_done(SSL *s)
{
	struct sipua_fd *f = sipua_fd_get(sipua_tls_fd(s));

	if (f && f->conn)
		f->conn->handshaken = true;
}

/* ---- the overrides ---- */

int SSL_connect(SSL *s)
{
	int r;

	if (sipua_tls_fd(s) < 0)
		return real_SSL_connect(s);
	SIPUA_HIT(SSL_connect);
	ERR_clear_error();
	r = real_SSL_connect(s);
	count_failure(s, r, COUNTER_SIP_TLS_FAILED_OUT, "client");
	if (r == 1)
		note_done(s);
	return r;
}

int SSL_accept(SSL *s)
{
	int r;

	if (sipua_tls_fd(s) < 0)
		return real_SSL_accept(s);
	SIPUA_HIT(SSL_accept);
	ERR_clear_error();
	r = real_SSL_accept(s);
	count_failure(s, r, COUNTER_SIP_TLS_FAILED_IN, "server");
	if (r == 1)
		note_subjects(s);
	return r;
}

/* two CRLF between messages are a ping: one is the pong (RFC 5626 4.4.1). The library answers it over TCP alone. */
static void answer_ping(SSL *s, int fd, const char *buf, int n)
{
	struct sipua_fd *f = sipua_fd_get(fd);
	struct sipua_conn *c = f ? f->conn : NULL;
	int i = 0;

	if (!c || n <= 0)
		return;
	while (i < n && (buf[i] == '\r' || buf[i] == '\n'))
		i++;
	if (c->amid || i < n) {
		c->amid = true;
		c->crlf = 0;
		return;
	}
	c->crlf = (uint8_t)(c->crlf + (n < 4 ? n : 4));
	if (c->crlf < 4)
		return;
	c->crlf = 0;
	if (!c->stuck && !c->pong)
		c->pong = real_SSL_write(s, "\r\n", 2) <= 0;
}

int SSL_read(SSL *s, void *buf, int n)
{
	int fd = sipua_tls_fd(s), r;

	if (fd < 0)
		return real_SSL_read(s, buf, n);
	SIPUA_HIT(SSL_read);
	sipua_now.reading = fd;
	ERR_clear_error();
	r = real_SSL_read(s, buf, n);
	if (r > 0)
		sipua_trace_feed(fd, &(struct iovec){ .iov_base = buf, .iov_len = (size_t)r }, (size_t)r);
	answer_ping(s, fd, buf, r);
	return r;
}

/* a write that waits must be repeated as it was before another may be made */
static void note_written(SSL *s, int r)
{
	struct sipua_fd *f = sipua_fd_get(sipua_tls_fd(s));
	int e = r > 0 ? SSL_ERROR_NONE : SSL_get_error(s, r);

	if (f && f->conn)
		f->conn->stuck = e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE;
}

int SSL_write(SSL *s, const void *buf, int n)
{
	struct sipua_fd *f = sipua_fd_get(sipua_tls_fd(s));
	int r = 1;

	if (sipua_tls_fd(s) < 0)
		return real_SSL_write(s, buf, n);
	SIPUA_HIT(SSL_write);
	sipua_fd_sending(sipua_tls_fd(s));
	ERR_clear_error();
	if (f && f->conn && f->conn->pong) { /* OpenSSL would take our bytes for the rest of the pong */
		r = real_SSL_write(s, "\r\n", 2);
		f->conn->pong = r <= 0;
	}
	if (r > 0)
		r = real_SSL_write(s, buf, n);
	note_written(s, r);
	return r;
}

int SSL_shutdown(SSL *s)
{
	int r;

	if (sipua_tls_fd(s) < 0)
		return real_SSL_shutdown(s);
	SIPUA_HIT(SSL_shutdown);
	ERR_clear_error();
	r = real_SSL_shutdown(s);
	ERR_clear_error();
	return r;
}

X509 *SSL_get1_peer_certificate(const SSL *s)
{
	if (sipua_tls_fd(s) < 0)
		return real_SSL_get1_peer_certificate(s);
	SIPUA_HIT(SSL_get1_peer_certificate);
	return NULL;
}
