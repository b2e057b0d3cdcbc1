/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ways to kill or starve the stock library, each reproduced against an agent with the guard. What is printed in
 * guide order: maddr, delayed CANCEL, yield, TLS garbage, TLS leak, long lists, pipelining, names, silence, late 1xx,
 * url_param, descriptors. An abort or a crash of this program is the failure.
 */
#define _GNU_SOURCE
#include "unit/sipua/rig.h"

#include <malloc.h>
#include <openssl/ssl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "unit/keys/pki.h"

static const char *tag_of(const struct peer *p)
{
	static char tag[64];
	const char *t = strstr(peer_header(p, "To"), "tag=");

	assert_non_null(t);
	snprintf(tag, sizeof(tag), "%s", t + 4);
	return tag;
}

static long rss_kb(void)
{
	long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	assert_int_equal(fscanf(f, "%*d %ld", &pages), 1);
	fclose(f);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void send_via(struct rig *r, struct peer *p, const char *method, const char *via_extra, const char *to_tag, const char *extra)
{
	char at[56], text[4096];

	base_addr_print(&p->addr, at);
	snprintf(text, sizeof(text), "%s sip:b@x SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=z9hG4bKm%s\r\nFrom: <sip:a@x>;tag=1\r\n"
		"To: <sip:b@x>%s%s\r\nCall-ID: maddr\r\nCSeq: 1 %s\r\n%sContent-Length: 0\r\n\r\n", method, p->stream ? "TCP" : "UDP", at, via_extra,
		*to_tag ? ";tag=" : "", to_tag, method, extra);
	peer_send(r, p, text, strlen(text));
}

/* 8.1: two packets. The final answer cannot be sent, the ACK meets an assertion. */
static void maddr(void **state)
{
	static const char *const maddrs[] = { ";maddr=0.0.0.1", ";maddr=255.255.255.255", ";maddr=no.such.name", ";maddr=[::ffff:1]", ";maddr=" };
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(maddrs); i++) {
		send_via(r, p, "INVITE", maddrs[i], "", "");
		if (!r->srv)
			continue; /* refused by the parser */
		assert_int_equal(sipua_srv_reply(r->srv, 486, NULL), 0);
		peer_expect(r, p, "SIP/2.0 100 ");
		peer_expect(r, p, "SIP/2.0 486 "); /* to where it came from, not to where it says */
		send_via(r, p, "ACK", maddrs[i], tag_of(p), "");
		sipua_srv_free(r->srv);
		r->srv = NULL;
		rig_advance(r, 70000);
	}
	send_via(r, p, "OPTIONS", ";maddr=no.such.name", "", "Foo\r\n"); /* malformed as well */
	rig_turns(r, 5);
	peer_free(p);
	rig_free(r);
}

/* 8.1 without maddr: any error of sending a response */
static void unsendable_response(void **state)
{
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0);
	char text[2048];

	(void)state;
	/* sent-by of another family, without rport: 18.2.2 would send there */
	snprintf(text, sizeof(text), "INVITE sip:b@x SIP/2.0\r\nVia: SIP/2.0/UDP [2001:db8::1]:5060;branch=z9hG4bKu\r\nFrom: <sip:a@x>;tag=1\r\n"
		"To: <sip:b@x>\r\nCall-ID: un\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n");
	peer_send(r, p, text, strlen(text));
	assert_non_null(r->srv);
	assert_int_equal(sipua_srv_reply(r->srv, 486, NULL), 0);
	snprintf(text, sizeof(text), "ACK sip:b@x SIP/2.0\r\nVia: SIP/2.0/UDP [2001:db8::1]:5060;branch=z9hG4bKu\r\nFrom: <sip:a@x>;tag=1\r\n"
		"To: <sip:b@x>\r\nCall-ID: un\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n");
	peer_send(r, p, text, strlen(text));
	rig_advance(r, 1000);
	peer_send(r, p, text, strlen(text));
	rig_advance(r, 40000);
	peer_free(p);
	rig_free(r);
}

/* 8.2: an answer to a CANCEL that was not sent yet */
static void answer_to_unsent_cancel(void **state)
{
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0);
	struct sipua_dialog *d;
	struct sipua_cli *c = rig_invite(r, p, 0, &d);
	char invite[4096], *cseq;

	(void)state;
	peer_expect(r, p, "INVITE ");
	snprintf(invite, sizeof(invite), "%.4000s", p->got);
	sipua_cli_cancel(c, NULL);
	cseq = strstr(invite, " INVITE\r\n");
	assert_non_null(cseq);
	memcpy(cseq, " CANCEL\r\n", 9);
	peer_answer_to(r, p, invite, 200, "x", NULL);
	peer_answer_to(r, p, invite, 481, "x", NULL);
	memcpy(cseq, " INVITE\r\n", 9);
	peer_answer_to(r, p, invite, 486, "x", NULL);
	assert_int_equal(r->status[r->responses - 1], 486);
	sipua_cli_free(c);
	sipua_dialog_free(d);
	rig_advance(r, 40000);
	peer_free(p);
	rig_free(r);
}

/* 8.3: five retransmissions of ours in one timer run, a packet arriving, while the millisecond clock is in its negative half */
static void yield_in_a_timer_run(void **state)
{
	int64_t wall = 1800000000000;
	struct rig *r;
	struct peer *callee, *caller;
	struct sipua_dialog *d[8];
	struct sipua_cli *c[8];

	(void)state;
	/* milliseconds since 1900, modulo 2^32, with the top bit set */
	while (!((uint32_t)(wall + 2208988800000) & 0x80000000u))
		wall += 86400000;
	base_clock_fake(1000000000, wall);
	r = rig_new();
	rig_listener(r, SIPUA_UDP, "127.0.0.1", NULL, NULL);
	assert_int_equal(rig_start(r, NULL), 0);
	callee = peer_udp(r, 0);
	caller = peer_udp(r, 0);
	peer_request(r, caller, "INVITE", "y", "", 1, "y1", NULL, NULL);
	peer_expect(r, caller, "SIP/2.0 100 ");
	assert_int_equal(sipua_srv_reply(r->srv, 200, NULL), 0); /* waits for its ACK */
	for (int i = 0; i < 8; i++)
		c[i] = rig_invite(r, callee, 0, &d[i]);
	rig_turns(r, 5);
	for (int i = 0; i < 12; i++) {
		char keep[] = "\r\n\r\n";
		base_clock_advance_ms(500);
		sendto(caller->fd, keep, 4, 0, &caller->ua.sa, base_addr_len(&caller->ua));
		peer_request(r, caller, "OPTIONS", "y", "no", 2, "y2", NULL, NULL);
		rig_turns(r, 3);
	}
	assert_int_equal(r->acks_missing, 0); /* 6 s are not 32 */
	for (int i = 0; i < 8; i++) {
		sipua_cli_free(c[i]);
		sipua_dialog_free(d[i]);
	}
	peer_free(callee);
	peer_free(caller);
	rig_free(r);
}

/* ---- TLS ---- */

static struct pki_pem ca, ours;

static struct rig *rig_tls(struct keys_tls **ret_tls, const struct sipua_caps *caps)
{
	struct rig *r;

	pki_issue("ca", NULL, 10, NULL, &ca);
	pki_issue("sbc", "IP:127.0.0.1", 10, &ca, &ours);
	*ret_tls = pki_tls(&ours, &ca, KEYS_VERIFY_NONE, 0);
	base_clock_fake(1000000000, 1800000000000);
	r = rig_new();
	rig_listener(r, SIPUA_TLS, "127.0.0.1", NULL, *ret_tls);
	assert_int_equal(rig_start(r, caps), 0);
	r->mode = RIG_REPLY;
	r->reply = 200;
	return r;
}

static void end_tls(struct rig *r, struct keys_tls *tls)
{
	rig_free(r);
	base_unref(tls);
	pki_free(&ca);
	pki_free(&ours);
}

static SSL *connect_tls(struct rig *r, struct keys_tls *tls, struct peer **ret)
{
	SSL *s = SSL_new(keys_tls_client(tls));

	*ret = peer_connect(r, 0);
	SSL_set_fd(s, (*ret)->fd);
	SSL_set_connect_state(s);
	for (int i = 0; i < 300 && SSL_do_handshake(s) != 1; i++)
		loop_turn(r->loop, 1);
	assert_true(SSL_is_init_finished(s));
	return s;
}

static const char options[] = "OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:9;branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=1\r\n"
	"To: <sip:b@x>\r\nCall-ID: tls\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";

/* 8.4: garbage of a port scan while another peer is in the middle of a record */
static void garbage_on_tls(void **state)
{
	struct keys_tls *tls;
	struct rig *r = rig_tls(&tls, NULL);
	struct peer *good, *bad;
	SSL *s = connect_tls(r, tls, &good);
	BIO *half;
	char record[4096], text[1024];
	int n, got = 0;

	(void)state;
	half = BIO_new(BIO_s_mem()); /* take the record out of the SSL, to send it in two halves */
	SSL_set0_wbio(s, half);
	SSL_write(s, options, sizeof(options) - 1);
	n = BIO_read(half, record, sizeof(record));
	assert_true(n > 100);
	peer_send(r, good, record, 50);
	bad = peer_connect(r, 0);
	peer_send(r, bad, "GET / HTTP/1.0\r\n\r\n garbage garbage garbage", 42);
	rig_turns(r, 5);
	peer_send(r, good, record + 50, 20);
	peer_send(r, good, record + 70, (size_t)n - 70);
	for (int i = 0; i < 300 && (got = SSL_read(s, text, sizeof(text) - 1)) <= 0; i++)
		loop_turn(r->loop, 1);
	assert_true(got > 12);
	assert_int_equal(strncmp(text, "SIP/2.0 200 ", 12), 0);
	SSL_free(s);
	peer_free(good);
	peer_free(bad);
	end_tls(r, tls);
}

/* 8.5: 23 KB with each TLS connection */
static void tls_connections_are_freed(void **state)
{
	struct keys_tls *tls;
	struct rig *r = rig_tls(&tls, NULL);
	struct mallinfo2 at_first = { 0 }, at_last;
	struct sipua_figures f;

	(void)state;
	for (int i = 0; i < 120; i++) {
		struct peer *p;
		SSL *s = connect_tls(r, tls, &p);
		SSL_write(s, options, sizeof(options) - 1);
		rig_turns(r, 1);
		SSL_free(s);
		peer_free(p);
		rig_turns(r, 1);
		if (i == 20) {
			rig_advance(r, 40000);
			at_first = mallinfo2();
		}
	}
	rig_advance(r, 40000);
	at_last = mallinfo2();
	sipua_figures(r->ua, &f);
	assert_int_equal(f.connections, 0);
	if (at_last.uordblks > at_first.uordblks + 200000)
		print_error("%zu bytes for 100 connections\n", at_last.uordblks - at_first.uordblks);
	assert_true(at_last.uordblks < at_first.uordblks + 200000);
	end_tls(r, tls);
}

/* ---- parser and stream ---- */

static struct rig *rig_tcp(const struct sipua_caps *caps)
{
	struct rig *r;

	base_clock_fake(1000000000, 1800000000000);
	r = rig_new();
	rig_listener(r, SIPUA_TCP, "127.0.0.1", NULL, NULL);
	assert_int_equal(rig_start(r, caps), 0);
	return r;
}

/* 8.6: a long comma list costs stack per element: with our cap of 65,536 bytes it fits; above, the message is refused */
static void long_lists(void **state)
{
	static const char *const lists[] = { "Contact", "Route", "Accept", "Reason", "Warning", "Via" };
	struct rig *r = rig_tcp(NULL);
	struct rlimit stack;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_STACK, &stack), 0);
	for (size_t i = 0; i < 2 * ARRAY_LEN(lists); i++) {
		size_t size = i < ARRAY_LEN(lists) ? 60000 : 1000000, n;
		char *text = malloc(size + 1000);
		struct peer *p = peer_connect(r, 0);
		n = (size_t)snprintf(text, 600, "OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK%zu\r\nFrom: <sip:a@x>;tag=1\r\n"
			"To: <sip:b@x>\r\nCall-ID: l%zu\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n%s: a", i, i, lists[i % ARRAY_LEN(lists)]);
		while (n < size)
			n += (size_t)snprintf(text + n, 4, ",a");
		n += (size_t)snprintf(text + n, 8, "\r\n\r\n");
		peer_send(r, p, text, n);
		rig_turns(r, 5);
		peer_free(p);
		free(text);
		sipua_srv_free(r->srv);
		r->srv = NULL;
	}
	rig_free(r);
}

static void datagram_too_large(void **state)
{
	struct sipua_caps caps = { .message_bytes = 4096 };
	struct rig *r;
	struct peer *p;
	char body[8001];

	(void)state;
	base_clock_fake(1000000000, 1800000000000);
	r = rig_new();
	rig_listener(r, SIPUA_UDP, "127.0.0.1", NULL, NULL);
	assert_int_equal(rig_start(r, &caps), 0);
	p = peer_udp(r, 0);
	memset(body, 'x', sizeof(body));
	body[8000] = 0;
	peer_request(r, p, "MESSAGE", "big", "", 1, "big", NULL, body);
	peer_expect(r, p, "SIP/2.0 413 ");
	assert_int_equal(r->requests, 0);
	peer_free(p);
	rig_free(r);
}

/* 8.7: 7 MB of small messages in the socket at once: 5 GB in the stock library */
static void pipelining(void **state)
{
	struct rig *r = rig_tcp(NULL);
	struct peer *p = peer_connect(r, 0);
	long before = rss_kb(), after;
	char one[400];
	size_t n, sent = 0;
	int big = 8 << 20;

	(void)state;
	r->mode = RIG_DROP;
	setsockopt(p->fd, SOL_SOCKET, SO_SNDBUF, &big, sizeof(big));
	n = (size_t)snprintf(one, sizeof(one), "OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=1\r\n"
		"To: <sip:b@x>\r\nCall-ID: tls\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n");
	while (sent < (7u << 20) && send(p->fd, one, n, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)n) /* we do not read meanwhile */
		sent += n;
	for (int i = 0; i < 20000 && r->requests < sent / n; i++)
		loop_turn(r->loop, 0);
	assert_int_equal(r->requests, sent / n);
	after = rss_kb();
	print_message("%zu KB pipelined, %ld KB of memory\n", sent / 1024, after - before);
	assert_true(after - before < 500000); /* 5 GB without the guard; a sanitizer keeps what is freed */
	peer_free(p);
	rig_free(r);
}

/* 8.8: names are never looked up */
static void names(void **state)
{
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0);
	struct timespec t0, t1;

	(void)state;
	r->mode = RIG_REPLY;
	r->reply = 200;
	clock_gettime(CLOCK_MONOTONIC, &t0);
	send_via(r, p, "OPTIONS", ";maddr=host.invalid;received=other.invalid", "", "");
	rig_turns(r, 2);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	assert_true((t1.tv_sec - t0.tv_sec) * 1000 + (t1.tv_nsec - t0.tv_nsec) / 1000000 < 500);
	peer_free(p);
	rig_free(r);
}

/* 8.9: silent connections, and those that stop half way */
static void silence(void **state)
{
	struct sipua_caps caps = { .message_bytes = 65536, .handshake_s = 5, .idle_s = 60 };
	struct keys_tls *tls;
	struct rig *r = rig_tls(&tls, &caps);
	struct peer *silent = peer_connect(r, 0), *half = peer_connect(r, 0), *p;
	struct sipua_figures f;
	SSL *s = connect_tls(r, tls, &p), *quiet;
	struct peer *q;

	(void)state;
	/* deferred accept: the kernel gives a silent one late or never; one byte brings it in */
	peer_send(r, half, "\x16", 1);
	quiet = connect_tls(r, tls, &q);
	SSL_write(s, options, sizeof(options) - 1);
	rig_turns(r, 5);
	sipua_figures(r->ua, &f);
	assert_true(f.connections >= 3);
	rig_advance(r, 8000);
	rig_turns(r, 10);
	sipua_figures(r->ua, &f);
	assert_int_equal(f.connections, 1); /* the one that has spoken */
	rig_advance(r, 62000);
	rig_turns(r, 10);
	sipua_figures(r->ua, &f);
	assert_int_equal(f.connections, 0);
	SSL_free(s);
	SSL_free(quiet);
	peer_free(q);
	peer_free(p);
	peer_free(silent);
	peer_free(half);
	end_tls(r, tls);
}

static void idle_but_used_by_a_dialog(void **state)
{
	struct sipua_caps caps = { .message_bytes = 65536, .handshake_s = 5, .idle_s = 60 };
	struct rig *r = rig_tcp(&caps);
	struct peer *p = peer_connect(r, 0);
	struct sipua_dialog *d;
	struct sipua_figures f;

	(void)state;
	peer_request(r, p, "INVITE", "k", "", 1, "k1", NULL, NULL);
	peer_expect(r, p, "SIP/2.0 100 ");
	assert_int_equal(sipua_dialog_new_uas(r->srv, &rig_dialog_ops, r, &d), 0);
	sipua_srv_free(r->srv);
	r->srv = NULL;
	rig_advance(r, 200000);
	sipua_figures(r->ua, &f);
	assert_int_equal(f.connections, 1);
	sipua_dialog_free(d);
	rig_advance(r, 62000);
	rig_turns(r, 5);
	sipua_figures(r->ua, &f);
	assert_int_equal(f.connections, 0);
	peer_free(p);
	rig_free(r);
}

static void caps_of_connections(void **state)
{
	struct sipua_caps caps = { .message_bytes = 65536, .connections = 5, .connections_per_source = 3, .handshake_s = 5 };
	struct rig *r = rig_tcp(&caps);
	uint64_t refused = base_counters[COUNTER_SIP_CONN_SOURCE_CAP];
	struct peer *p[6];
	struct sipua_figures f;

	(void)state;
	for (int i = 0; i < 6; i++) {
		p[i] = peer_connect(r, 0);
		peer_send(r, p[i], "O", 1);
	}
	for (int i = 0; i < 200 && base_counters[COUNTER_SIP_CONN_SOURCE_CAP] - refused < 3; i++)
		rig_turns(r, 10);
	sipua_figures(r->ua, &f);
	assert_int_equal(f.connections, 3);
	assert_int_equal(base_counters[COUNTER_SIP_CONN_SOURCE_CAP] - refused, 3);
	for (int i = 0; i < 6; i++)
		peer_free(p[i]);
	for (int i = 0; i < 200 && f.connections; i++) {
		rig_turns(r, 10);
		sipua_figures(r->ua, &f);
	}
	assert_int_equal(f.connections, 0);
	rig_free(r);
}

/* 8.10: a provisional answer after the final one */
static void late_provisional(void **state)
{
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0);
	struct sipua_msg *m;

	(void)state;
	peer_request(r, p, "INVITE", "l", "", 1, "l1", NULL, NULL);
	assert_int_equal(sipua_msg_response(r->srv, 183, NULL, &m), 0);
	assert_int_equal(sipua_srv_reply(r->srv, 486, NULL), 0);
	assert_int_equal(sipua_srv_send(r->srv, m), ERR_WRONGSTATE);
	peer_expect(r, p, "SIP/2.0 100 ");
	peer_expect(r, p, "SIP/2.0 486 ");
	peer_expect_none(r, p, 5);
	peer_free(p);
	rig_free(r);
}

/* 8.11: the last parameter begins with the name that is looked for */
static void lr_and_more(void **state)
{
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0);
	struct sipua_dialog *d;
	struct sipua_msg *m;

	(void)state;
	peer_request(r, p, "INVITE", "u", "", 1, "u1", "Record-Route: <sip:x;lrfoo>\r\nRecord-Route: <sip:y;transporty>\r\n", NULL);
	assert_int_equal(sipua_dialog_new_uas(r->srv, &rig_dialog_ops, r, &d), 0);
	assert_int_equal(sipua_msg_request(d, SLICE("BYE"), NULL, 70, &m), 0);
	sipua_msg_free(m);
	sipua_dialog_free(d);
	peer_free(p);
	rig_free(r);
}

/* 8.13: no descriptor left: the connection is refused, the loop does not spin */
static void no_descriptors(void **state)
{
	struct rig *r = rig_tcp(NULL);
	uint64_t refused = base_counters[COUNTER_SIP_CONN_FILES];
	struct peer *warm = peer_connect(r, 0), *p[3];
	struct rlimit had, low;
	int fill[64], n = 0;
	struct sipua_figures f;

	(void)state;
	peer_send(r, warm, "O", 1);
	for (int i = 0; i < 3; i++)
		p[i] = peer_connect(r, 0);
	getrlimit(RLIMIT_NOFILE, &had);
	low = (struct rlimit){ 64, had.rlim_max };
	setrlimit(RLIMIT_NOFILE, &low);
	while (n < 64 && (fill[n] = dup(0)) >= 0)
		n++;
	for (int i = 0; i < 3; i++)
		send(p[i]->fd, "O", 1, 0);
	rig_turns(r, 10);
	setrlimit(RLIMIT_NOFILE, &had);
	while (n > 0)
		close(fill[--n]);
	sipua_figures(r->ua, &f);
	assert_true(base_counters[COUNTER_SIP_CONN_FILES] - refused >= 1);
	assert_true(base_counters[COUNTER_SIP_CONN_FILES] - refused <= 3);
	for (int i = 0; i < 3; i++)
		peer_free(p[i]);
	peer_free(warm);
	rig_turns(r, 5);
	rig_free(r);
}

static void rubbish(void **state)
{
	static const char *const rows[] = { "", "\r\n\r\n", "x", "INVITE", "\x00\x01\x00\x08", "SIP/2.0 200", "INVITE sip:x SIP/2.0\r\n\r\n", "\xff\xfe\xfd",
		"INVITE sip:x SIP/2.0\r\nVia: SIP/2.0/UDP x\r\nCSeq: 99999999999 INVITE\r\n\r\n", "SIP/2.0 999 x\r\nVia: SIP/2.0/UDP x\r\n\r\n",
		"INVITE sip:x SIP/2.0\r\nContact: *\r\nContact: <tel:1>\r\n\r\n" };
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		peer_send(r, p, rows[i], i == 4 ? 4 : strlen(rows[i]));
	while (peer_recv(r, p, 5))
		assert_int_equal(strncmp(p->got, "SIP/2.0 400 ", 12), 0);
	assert_int_equal(r->requests, 0);
	peer_request(r, p, "OPTIONS", "alive", "", 1, "alive", NULL, NULL);
	assert_int_equal(r->requests, 1);
	peer_free(p);
	rig_free(r);
}

static void answer_at_once(void *arg, struct sipua_dialog *d, struct sipua_srv *srv)
{
	struct rig *r = arg;

	(void)d;
	r->dialog_requests++;
	sipua_srv_reply(srv, 200, NULL);
	sipua_srv_free(srv);
}

/* answers are kept for requests that come again, and each repeats the Via of its request: a peer inside a dialog must not fill our memory with them */
static void kept_answers_are_bounded(void **state)
{
	static const struct sipua_dialog_ops ops = { .request = answer_at_once };
	enum { LONG = 50000, TIMES = 2200 };
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0);
	struct sipua_dialog *d;
	uint64_t again = base_counters[COUNTER_SIP_ANSWERED_AGAIN];
	char tag[64], branch[16], *extra = malloc(LONG + 100);
	long before;
	unsigned i;

	(void)state;
	memcpy(extra, "Via: SIP/2.0/UDP x;branch=", 26);
	memset(extra + 26, 'v', LONG);
	memcpy(extra + 26 + LONG, "\r\n", 3);
	peer_request(r, p, "INVITE", "kept", "", 1, "i", NULL, NULL);
	peer_expect(r, p, "SIP/2.0 100 ");
	assert_int_equal(sipua_dialog_new_uas(r->srv, &ops, r, &d), 0);
	assert_int_equal(sipua_srv_reply(r->srv, 200, NULL), 0);
	sipua_dialog_confirm(d);
	peer_expect(r, p, "SIP/2.0 200 ");
	snprintf(tag, sizeof(tag), "%s", tag_of(p));
	before = rss_kb();
	assert_true(before > 0);
	for (i = 0; i < TIMES; i++) {
		snprintf(branch, sizeof(branch), "o%u", i);
		peer_request(r, p, "OPTIONS", "kept", tag, 2 + i, branch, extra, NULL);
		peer_expect(r, p, "SIP/2.0 200 ");
	}
	assert_int_equal(r->dialog_requests, TIMES);
	assert_true(base_counters[COUNTER_SIP_ANSWERED_EARLY] > 0);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* they keep what was freed */
	assert_true(rss_kb() - before < 90 * 1024);
#endif
	/* the latest are there */
	peer_request(r, p, "OPTIONS", "kept", tag, 1 + TIMES, branch, extra, NULL);
	peer_expect(r, p, "SIP/2.0 200 ");
	assert_int_equal(base_counters[COUNTER_SIP_ANSWERED_AGAIN], again + 1);
	free(extra);
	sipua_dialog_free(d);
	peer_free(p);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(maddr), cmocka_unit_test(unsendable_response), cmocka_unit_test(answer_to_unsent_cancel),
		cmocka_unit_test(yield_in_a_timer_run), cmocka_unit_test(garbage_on_tls), cmocka_unit_test(tls_connections_are_freed),
		cmocka_unit_test(long_lists), cmocka_unit_test(datagram_too_large), cmocka_unit_test(pipelining), cmocka_unit_test(names),
		cmocka_unit_test(silence), cmocka_unit_test(idle_but_used_by_a_dialog), cmocka_unit_test(caps_of_connections),
		cmocka_unit_test(late_provisional), cmocka_unit_test(lr_and_more), cmocka_unit_test(no_descriptors), cmocka_unit_test(rubbish),
		cmocka_unit_test(kept_answers_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
