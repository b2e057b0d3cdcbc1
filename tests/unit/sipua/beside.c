/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is not Sofia's passes through the guard untouched: a c-ares query, a plain connect, epoll and a TLS handshake
 * of our own, all beside a live agent.
 */
#include "unit/sipua/rig.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "sipua/guard/guard.h"
#include "unit/keys/pki.h"

/* ---- c-ares against a name server of ours ---- */

static int dns_port;
static int server;
static char answer[20];

static void on_answer(void *arg, int status, int timeouts, struct hostent *h)
{
	(void)timeouts;
	*(int *)arg = status;
	if (status == ARES_SUCCESS)
		snprintf(answer, sizeof(answer), "%u.%u.%u.%u", (uint8_t)h->h_addr_list[0][0], (uint8_t)h->h_addr_list[0][1],
			(uint8_t)h->h_addr_list[0][2], (uint8_t)h->h_addr_list[0][3]);
}

static void serve_dns(void)
{
	uint8_t q[512];
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	ssize_t n = recvfrom(server, q, sizeof(q) - 16, MSG_DONTWAIT, (struct sockaddr *)&from, &len);
	static const uint8_t rr[] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 55 };

	if (n < 12)
		return;
	q[2] = 0x81;
	q[3] = 0x80;
	q[7] = 1;
	memcpy(q + n, rr, sizeof(rr));
	sendto(server, q, (size_t)n + sizeof(rr), 0, (struct sockaddr *)&from, len);
}

static void query(void **state)
{
	struct rig *r = rig_udp();
	struct ares_options o = { .flags = ARES_FLAG_NOALIASES, .timeout = 1000, .tries = 2, .lookups = (char[]){ "b" } };
	union base_addr a;
	socklen_t len = sizeof(a);
	ares_channel ch;
	char csv[40];
	int status = -1;

	(void)state;
	base_addr_parse(SLICE("127.0.0.1"), 0, &a);
	server = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(bind(server, &a.sa, sizeof(a.in)), 0);
	getsockname(server, &a.sa, &len);
	dns_port = base_addr_port(&a);
	assert_int_equal(ares_library_init(ARES_LIB_INIT_ALL), ARES_SUCCESS);
	assert_int_equal(ares_init_options(&ch, &o, ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS), ARES_SUCCESS);
	snprintf(csv, sizeof(csv), "127.0.0.1:%d", dns_port);
	assert_int_equal(ares_set_servers_ports_csv(ch, csv), ARES_SUCCESS);
	ares_gethostbyname(ch, "sip.example.com", AF_INET, on_answer, &status);
	for (int i = 0; i < 500 && status == -1; i++) {
		ares_socket_t socks[ARES_GETSOCK_MAXNUM];
		int bits = ares_getsock(ch, socks, ARES_GETSOCK_MAXNUM);
		serve_dns();
		if (ARES_GETSOCK_READABLE(bits, 0))
			ares_process_fd(ch, socks[0], ARES_SOCKET_BAD);
		loop_turn(r->loop, 1);
	}
	assert_int_equal(status, ARES_SUCCESS);
	assert_string_equal(answer, "192.0.2.55");
	ares_destroy(ch);
	ares_library_cleanup();
	close(server);
	rig_free(r);
}

/* ---- sockets, epoll ---- */

static void plain_sockets(void **state)
{
	struct rig *r = rig_udp();
	unsigned long accepted = sipua_guard_hits[SIPUA_O_accept], connected = sipua_guard_hits[SIPUA_O_connect];
	int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), s, ep = epoll_create1(0);
	struct epoll_event ev = { .events = EPOLLIN }, got;
	union base_addr a;
	socklen_t len = sizeof(a);

	(void)state;
	base_addr_parse(SLICE("127.0.0.1"), 0, &a);
	assert_int_equal(bind(l, &a.sa, sizeof(a.in)), 0);
	listen(l, 1);
	getsockname(l, &a.sa, &len);
	assert_int_equal(connect(c, &a.sa, sizeof(a.in)), 0);
	s = accept(l, NULL, NULL);
	assert_true(s >= 0);
	epoll_ctl(ep, EPOLL_CTL_ADD, s, &ev);
	assert_int_equal(epoll_wait(ep, &got, 1, 0), 0);
	assert_int_equal(write(c, "x", 1), 1);
	assert_int_equal(epoll_wait(ep, &got, 1, 1000), 1);
	assert_int_equal(sipua_guard_hits[SIPUA_O_accept], accepted);
	assert_int_equal(sipua_guard_hits[SIPUA_O_connect], connected);
	close(ep);
	close(s);
	close(c);
	close(l);
	rig_free(r);
}

/* ---- a handshake of our own, DTLS too would go this way ---- */

static void own_tls(void **state)
{
	struct rig *r = rig_udp();
	unsigned long before = sipua_guard_hits[SIPUA_O_SSL_new] + sipua_guard_hits[SIPUA_O_SSL_accept] + sipua_guard_hits[SIPUA_O_SSL_connect] +
		sipua_guard_hits[SIPUA_O_SSL_read] + sipua_guard_hits[SIPUA_O_BIO_free] + sipua_guard_hits[SIPUA_O_SSL_get1_peer_certificate];
	struct pki_pem ca, own;
	struct keys_tls *tls;
	SSL *a, *b;
	BIO *ba, *bb;
	X509 *x;
	char buf[8];

	(void)state;
	pki_issue("ca", NULL, 10, NULL, &ca);
	pki_issue("own", "DNS:own.example", 10, &ca, &own);
	tls = pki_tls(&own, &ca, KEYS_VERIFY_REQUIRED, 0);
	a = SSL_new(keys_tls_client(tls));
	b = SSL_new(keys_tls_server(tls));
	assert_int_equal(BIO_new_bio_pair(&ba, 0, &bb, 0), 1);
	SSL_set_bio(a, ba, ba);
	SSL_set_bio(b, bb, bb);
	SSL_set1_host(a, "own.example");
	for (int i = 0; i < 10 && !(SSL_is_init_finished(a) && SSL_is_init_finished(b)); i++) {
		SSL_connect(a);
		SSL_accept(b);
	}
	assert_true(SSL_is_init_finished(a) && SSL_is_init_finished(b));
	assert_int_equal(SSL_write(a, "hello", 5), 5);
	assert_int_equal(SSL_read(b, buf, sizeof(buf)), 5);
	x = SSL_get1_peer_certificate(b);
	assert_non_null(x);
	X509_free(x);
	SSL_shutdown(a);
	SSL_free(a);
	SSL_free(b);
	assert_int_equal(sipua_guard_hits[SIPUA_O_SSL_new] + sipua_guard_hits[SIPUA_O_SSL_accept] + sipua_guard_hits[SIPUA_O_SSL_connect] +
		sipua_guard_hits[SIPUA_O_SSL_read] + sipua_guard_hits[SIPUA_O_BIO_free] + sipua_guard_hits[SIPUA_O_SSL_get1_peer_certificate], before);
	base_unref(tls);
	rig_free(r);
	pki_free(&ca);
	pki_free(&own);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(query), cmocka_unit_test(plain_sockets), cmocka_unit_test(own_tls) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
