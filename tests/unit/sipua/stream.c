/* SPDX-License-Identifier: Apache-2.0 */
/* TCP, IPv6, advertised names: RFC 3261 section 18, RFC 3581; which connection a request takes; what its failure does. */
#include "unit/sipua/rig.h"

#include <unistd.h>

static struct rig *rig_tcp(const struct sipua_caps *caps)
{
	struct rig *r;

	base_clock_fake(1000000000, 1800000000000);
	r = rig_new();
	rig_listener(r, SIPUA_UDP, "127.0.0.1", NULL, NULL);
	rig_listener(r, SIPUA_TCP, "127.0.0.1", NULL, NULL);
	assert_int_equal(rig_start(r, caps), 0);
	return r;
}

static struct sipua_cli *request(struct rig *r, struct sipua_dialog *d, const char *method)
{
	struct sipua_msg *m;
	struct sipua_cli *c;

	assert_int_equal(sipua_msg_request(d, slice_str(method), NULL, 70, &m), 0);
	assert_int_equal(sipua_cli_send(d, m, NULL, &rig_cli_ops, r, &c), 0);
	return c;
}

static void connection_is_reused(void **state)
{
	struct rig *r = rig_tcp(NULL);
	struct peer *p = peer_connect(r, 1), *back;
	struct sipua_dialog *d;
	struct sipua_cli *c;
	struct sipua_figures f;

	(void)state;
	back = peer_listen(r, 1); /* where the Contact points to */
	peer_request(r, p, "INVITE", "t1", "", 1, "i1", NULL, NULL);
	peer_expect(r, p, "SIP/2.0 100 ");
	assert_int_equal(sipua_dialog_new_uas(r->srv, &rig_dialog_ops, r, &d), 0);
	r->sendings = 0;
	assert_int_equal(sipua_srv_reply(r->srv, 200, NULL), 0);
	assert_int_equal(r->sendings, 1); /* it leaves at once: whoever must be told first was told */
	peer_expect(r, p, "SIP/2.0 200 ");
	c = request(r, d, "INFO"); /* the peer's own connection */
	peer_expect(r, p, "INFO sip:ann@127.0.0.1:");
	peer_answer(r, p, 200, NULL, NULL);
	assert_int_equal(r->status[0], 200);
	sipua_cli_free(c);
	sipua_figures(r->ua, &f);
	assert_int_equal(f.connections, 1);
	/* the connection goes: the next request makes one */
	{
		struct sipua_dialog_state st;
		sipua_dialog_get(d, &st);
		assert_int_equal(st.dest.transport, SIPUA_TCP);
	}
	close(p->fd);
	p->fd = -1;
	rig_turns(r, 10);
	sipua_figures(r->ua, &f);
	assert_int_equal(f.connections, 0);
	sipua_dialog_pin(d, &(struct sipua_dest){ .listener = 1, .transport = SIPUA_TCP, .addr = back->addr });
	c = request(r, d, "INFO");
	peer_accept(r, back);
	peer_expect(r, back, "INFO sip:ann@127.0.0.1:");
	peer_answer(r, back, 200, NULL, NULL);
	assert_int_equal(r->status[1], 200);
	sipua_cli_free(c);
	sipua_dialog_free(d);
	peer_free(p);
	peer_free(back);
	rig_free(r);
}

static void connects_and_calls(void **state)
{
	struct rig *r = rig_tcp(NULL);
	struct peer *p = peer_listen(r, 1);
	struct sipua_dialog *d;
	struct sipua_cli *c = rig_invite(r, p, 1, &d), *bye;

	(void)state;
	peer_accept(r, p);
	peer_expect(r, p, "INVITE ");
	assert_non_null(strstr(peer_header(p, "Via"), "SIP/2.0/TCP 127.0.0.1:"));
	peer_answer(r, p, 180, "x", NULL);
	rig_advance(r, 5000);
	peer_expect_none(r, p, 5); /* no retransmission on a stream */
	{
		char text[2048];
		snprintf(text, sizeof(text), "%.2000s", p->got);
		peer_answer_to(r, p, text, 200, "x", NULL);
	}
	assert_int_equal(r->status[1], 200);
	assert_int_equal(sipua_cli_ack(c, NULL), 0);
	peer_expect(r, p, "ACK ");
	sipua_cli_free(c);
	bye = request(r, d, "BYE");
	peer_expect(r, p, "BYE ");
	peer_answer(r, p, 200, NULL, NULL);
	assert_int_equal(r->status[2], 200);
	sipua_cli_free(bye);
	sipua_dialog_free(d);
	peer_free(p);
	rig_free(r);
}

static void refused_fails_at_once(void **state)
{
	struct rig *r = rig_tcp(NULL);
	struct peer *p = peer_listen(r, 1);
	struct sipua_dialog *d;
	struct sipua_cli *c;

	(void)state;
	close(p->listen_fd);
	p->listen_fd = -1;
	c = rig_invite(r, p, 1, &d);
	rig_turns(r, 10);
	assert_int_equal(r->responses, 1);
	assert_int_equal(r->status[0], -503);
	sipua_cli_free(c);
	sipua_dialog_free(d);
	peer_free(p);
	rig_free(r);
}

static void lost_connection_fails_at_once(void **state)
{
	struct rig *r = rig_tcp(NULL);
	struct peer *p = peer_listen(r, 1);
	struct sipua_dialog *d;
	struct sipua_cli *c = rig_invite(r, p, 1, &d);

	(void)state;
	peer_accept(r, p);
	peer_expect(r, p, "INVITE ");
	close(p->fd);
	p->fd = -1;
	rig_turns(r, 10);
	assert_int_equal(r->responses, 1);
	assert_int_equal(r->status[0], -503);
	sipua_cli_free(c);
	sipua_dialog_free(d);
	peer_free(p);
	rig_free(r);
}

/* the answer to a request whose connection is gone goes to the Via's address, and never fails */
static void answer_after_the_connection(void **state)
{
	struct rig *r = rig_tcp(NULL);
	struct peer *p = peer_connect(r, 1);

	(void)state;
	peer_request(r, p, "INVITE", "t2", "", 1, "i2", NULL, NULL);
	peer_expect(r, p, "SIP/2.0 100 ");
	close(p->fd);
	p->fd = -1;
	rig_turns(r, 10);
	assert_int_equal(sipua_srv_reply(r->srv, 486, NULL), 0);
	rig_turns(r, 10);
	rig_advance(r, 40000);
	peer_free(p);
	rig_free(r);
}

static void ipv6(void **state)
{
	struct rig *r;
	struct peer *p, *t;
	struct sipua_dialog *d;
	struct sipua_cli *c;

	(void)state;
	base_clock_fake(1000000000, 1800000000000);
	r = rig_new();
	rig_listener(r, SIPUA_UDP, "127.0.0.1", NULL, NULL);
	rig_listener(r, SIPUA_UDP, "::1", NULL, NULL);
	rig_listener(r, SIPUA_TCP, "::1", NULL, NULL);
	assert_int_equal(rig_start(r, NULL), 0);
	assert_non_null(strstr(sipua_contact(r->ua, 1), "<sip:[::1]:"));
	p = peer_udp(r, 1);
	peer_request(r, p, "OPTIONS", "v6", "", 1, "o1", NULL, NULL);
	assert_int_equal(sipua_srv_reply(r->srv, 200, NULL), 0);
	peer_expect(r, p, "SIP/2.0 200 ");
	assert_int_equal(sipua_srv_path(r->srv)->listener, 1);
	assert_true(base_addr_eq(&sipua_srv_path(r->srv)->source, &p->addr));
	c = rig_invite(r, p, 1, &d);
	peer_expect(r, p, "INVITE ");
	assert_non_null(strstr(peer_header(p, "Via"), "SIP/2.0/UDP [::1]:"));
	peer_answer(r, p, 486, "x", NULL);
	assert_int_equal(r->status[0], 486);
	sipua_cli_free(c);
	sipua_dialog_free(d);
	t = peer_listen(r, 2);
	c = rig_invite(r, t, 2, &d);
	peer_accept(r, t);
	peer_expect(r, t, "INVITE ");
	assert_non_null(strstr(peer_header(t, "Via"), "SIP/2.0/TCP [::1]:"));
	peer_answer(r, t, 486, "x", NULL);
	assert_int_equal(r->status[1], 486);
	sipua_cli_free(c);
	sipua_dialog_free(d);
	peer_free(p);
	p = peer_udp(r, 1);
	close(p->fd);
	p->fd = -1;
	c = rig_invite(r, p, 1, &d); /* ICMPv6 */
	rig_turns(r, 20);
	assert_int_equal(r->status[2], -503);
	sipua_cli_free(c);
	sipua_dialog_free(d);
	peer_free(p);
	peer_free(t);
	rig_free(r);
}

static void advertised(void **state)
{
	struct rig *r;
	struct peer *p;
	struct sipua_dialog *d;
	struct sipua_cli *c;

	(void)state;
	base_clock_fake(1000000000, 1800000000000);
	r = rig_new();
	rig_listener(r, SIPUA_UDP, "127.0.0.1", "sbc.example.net:5077", NULL);
	assert_int_equal(rig_start(r, NULL), 0);
	assert_string_equal(sipua_advertised(r->ua, 0), "sbc.example.net:5077");
	assert_string_equal(sipua_contact(r->ua, 0), "<sip:sbc.example.net:5077;transport=udp>");
	p = peer_udp(r, 0);
	c = rig_invite(r, p, 0, &d);
	peer_expect(r, p, "INVITE ");
	assert_non_null(strstr(peer_header(p, "Via"), "SIP/2.0/UDP sbc.example.net:5077;"));
	peer_answer(r, p, 486, "x", NULL);
	assert_int_equal(r->status[0], 486);
	sipua_cli_free(c);
	sipua_dialog_free(d);
	peer_free(p);
	rig_free(r);
}

/* two messages and a half in one segment, the rest later */
static void stream_is_cut_anywhere(void **state)
{
	struct rig *r = rig_tcp(NULL);
	struct peer *p = peer_connect(r, 1);
	char at[56], text[4096];
	size_t n = 0;

	(void)state;
	r->mode = RIG_REPLY;
	r->reply = 404;
	base_addr_print(&p->addr, at);
	for (int i = 0; i < 3; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/TCP %s;branch=z9hG4bK%d\r\n"
			"From: <sip:a@x>;tag=1\r\nTo: <sip:b@x>\r\nCall-ID: s%d\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n", at, i, i);
	peer_send(r, p, text, n - 30);
	peer_send(r, p, text + n - 30, 30);
	for (int i = 0; i < 3; i++)
		peer_expect(r, p, "SIP/2.0 404 ");
	assert_int_equal(r->requests, 3);
	peer_free(p);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connection_is_reused), cmocka_unit_test(connects_and_calls), cmocka_unit_test(refused_fails_at_once),
		cmocka_unit_test(lost_connection_fails_at_once), cmocka_unit_test(answer_after_the_connection), cmocka_unit_test(ipv6),
		cmocka_unit_test(advertised), cmocka_unit_test(stream_is_cut_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
