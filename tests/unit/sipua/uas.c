/* SPDX-License-Identifier: Apache-2.0 */
/* Server side over real sockets: RFC 3261 sections 8.2, 12, 13.3, 9.2, 17.2. Time is the fake clock's. */
#include "unit/sipua/rig.h"

static void call_up(struct rig *r, struct peer *p, struct sipua_dialog **d)
{
	struct sipua_msg *m;

	peer_request(r, p, "INVITE", "c1", "", 10, "i1", "Record-Route: <sip:127.0.0.1:9;lr>\r\n", "v=0\r\n");
	peer_expect(r, p, "SIP/2.0 100 ");
	assert_string_equal(peer_header(p, "To"), peer_header(p, "To"));
	assert_null(strstr(peer_header(p, "To"), "tag="));
	assert_non_null(r->srv);
	assert_int_equal(sipua_dialog_new_uas(r->srv, &rig_dialog_ops, r, d), 0);
	assert_int_equal(sipua_srv_reply(r->srv, 180, NULL), 0);
	peer_expect(r, p, "SIP/2.0 180 Ringing");
	assert_non_null(strstr(peer_header(p, "To"), "tag="));
	assert_int_equal(sipua_msg_response(r->srv, 200, NULL, &m), 0);
	assert_int_equal(sipua_msg_add(m, "Contact", slice_str(sipua_contact(r->ua, 0))), 0);
	assert_int_equal(sipua_msg_body(m, SLICE("application/sdp"), SLICE("v=0\r\n")), 0);
	assert_int_equal(sipua_srv_send(r->srv, m), 0);
	sipua_dialog_confirm(*d);
	peer_expect(r, p, "SIP/2.0 200 OK");
	assert_int_equal(r->sendings, 0); /* a datagram waits for the turn's end */
	assert_string_equal(peer_header(p, "Server"), "Rig/1");
	assert_string_equal(peer_header(p, "Content-Type"), "application/sdp");
	assert_string_equal(peer_header(p, "Record-Route"), "<sip:127.0.0.1:9;lr>");
}

static const char *tag_of(const struct peer *p)
{
	static char tag[64];
	const char *t = strstr(peer_header(p, "To"), "tag=");

	assert_non_null(t);
	snprintf(tag, sizeof(tag), "%s", t + 4);
	return tag;
}

static void answered_and_ended(void **state)
{
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0);
	struct sipua_dialog *d;
	struct sipua_figures f;
	char tag[64];

	(void)state;
	call_up(r, p, &d);
	snprintf(tag, sizeof(tag), "%s", tag_of(p));
	assert_int_equal(strlen(tag), 32);
	peer_request(r, p, "ACK", "c1", tag, 10, "a1", NULL, NULL);
	assert_int_equal(r->acks, 1);
	sipua_srv_free(r->srv);
	r->srv = NULL;
	peer_expect_none(r, p, 5);
	peer_request(r, p, "ACK", "c1", tag, 10, "a1", NULL, NULL);
	assert_int_equal(r->acks, 1);
	peer_request(r, p, "BYE", "c1", tag, 11, "b1", NULL, NULL);
	assert_int_equal(r->dialog_requests, 1);
	assert_string_equal(r->dialog_method, "BYE");
	assert_int_equal(sipua_srv_reply(r->dsrv, 200, NULL), 0);
	peer_expect(r, p, "SIP/2.0 200 OK");
	peer_request(r, p, "BYE", "c1", tag, 11, "b1", NULL, NULL); /* repeated: the same answer, no event */
	peer_expect(r, p, "SIP/2.0 200 OK");
	assert_int_equal(r->dialog_requests, 1);
	peer_request(r, p, "INFO", "c1", tag, 9, "x1", NULL, NULL); /* out of order */
	peer_expect(r, p, "SIP/2.0 500 ");
	assert_int_equal(r->dialog_requests, 1);
	sipua_dialog_free(d);
	sipua_srv_free(r->dsrv);
	r->dsrv = NULL;
	sipua_figures(r->ua, &f);
	assert_int_equal(f.srv + f.cli + f.dialogs, 0);
	rig_advance(r, 40000);
	peer_free(p);
	rig_free(r);
}

static void repeated_until_ack(void **state)
{
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0);
	struct sipua_dialog *d;

	(void)state;
	call_up(r, p, &d);
	rig_advance(r, 550);
	peer_expect(r, p, "SIP/2.0 200 OK");
	rig_advance(r, 1050);
	peer_expect(r, p, "SIP/2.0 200 OK");
	rig_advance(r, 29000);
	assert_int_equal(r->acks_missing, 0);
	rig_advance(r, 3000);
	assert_int_equal(r->acks_missing, 1);
	assert_int_equal(r->acks, 0);
	while (peer_recv(r, p, 3))
		;
	rig_advance(r, 5000);
	peer_expect_none(r, p, 3);
	sipua_dialog_free(d);
	peer_free(p);
	rig_free(r);
}

static void cancelled(void **state)
{
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0);

	(void)state;
	peer_request(r, p, "INVITE", "c2", "", 1, "i2", NULL, NULL);
	peer_expect(r, p, "SIP/2.0 100 ");
	peer_request(r, p, "CANCEL", "c2", "", 1, "i2", NULL, NULL);
	peer_expect(r, p, "SIP/2.0 200 ");
	assert_int_equal(r->cancels, 1);
	assert_int_equal(sipua_srv_reply(r->srv, 487, NULL), 0);
	peer_expect(r, p, "SIP/2.0 487 ");
	peer_request(r, p, "CANCEL", "c2", "", 1, "i2", NULL, NULL);
	assert_int_equal(r->cancels, 1);
	peer_request(r, p, "ACK", "c2", tag_of(p), 1, "i2", NULL, NULL);
	assert_int_equal(r->acks, 0);
	assert_int_equal(sipua_srv_reply(r->srv, 200, NULL), ERR_WRONGSTATE);
	assert_int_equal(sipua_srv_reply(r->srv, 180, NULL), ERR_WRONGSTATE);
	peer_free(p);
	rig_free(r);
}

static void freed_unanswered(void **state)
{
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0);

	(void)state;
	peer_request(r, p, "INVITE", "c3", "", 1, "i3", NULL, NULL);
	peer_expect(r, p, "SIP/2.0 100 ");
	sipua_srv_free(r->srv);
	r->srv = NULL;
	peer_expect(r, p, "SIP/2.0 500 ");
	peer_free(p);
	rig_free(r);
}

static void merged(void **state)
{
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0);

	(void)state;
	peer_request(r, p, "INVITE", "c4", "", 1, "i4", NULL, NULL);
	assert_false(r->merged);
	peer_request(r, p, "INVITE", "c4", "", 1, "i4b", NULL, NULL);
	assert_int_equal(r->requests, 2);
	assert_true(r->merged);
	peer_free(p);
	rig_free(r);
}

static void without_transaction(void **state)
{
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0);

	(void)state;
	r->mode = RIG_REPLY;
	r->reply = 503;
	peer_request(r, p, "INVITE", "c5", "", 1, "i5", NULL, NULL);
	peer_expect(r, p, "SIP/2.0 503 ");
	assert_string_equal(peer_header(p, "Retry-After"), "5");
	assert_string_equal(peer_header(p, "Server"), "Rig/1");
	assert_int_equal(strlen(tag_of(p)), 16);
	peer_request(r, p, "ACK", "c5", tag_of(p), 1, "i5", NULL, NULL);
	peer_expect_none(r, p, 5);
	assert_int_equal(r->requests, 1);
	peer_request(r, p, "CANCEL", "c5", "", 1, "nothing", NULL, NULL);
	peer_expect(r, p, "SIP/2.0 481 ");
	assert_int_equal(r->requests, 1);
	r->reply = 481;
	peer_request(r, p, "BYE", "c5", "unknown", 2, "b5", NULL, NULL);
	peer_expect(r, p, "SIP/2.0 481 ");
	r->mode = RIG_IGNORE; /* as good as dropped */
	peer_request(r, p, "OPTIONS", "c5", "", 3, "o5", NULL, NULL);
	peer_expect_none(r, p, 5);
	peer_free(p);
	rig_free(r);
}

static void header_injection(void **state)
{
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0);
	struct sipua_msg *m;

	(void)state;
	peer_request(r, p, "OPTIONS", "c6", "", 1, "o6", NULL, NULL);
	assert_int_equal(sipua_msg_response(r->srv, 200, "Fine", &m), 0);
	assert_int_equal(sipua_msg_add(m, "X-A", SLICE("a\r\nX-B: b")), ERR_PROTO);
	assert_int_equal(sipua_msg_add(m, "X-A", SLICE("a\nX-B: b")), ERR_PROTO);
	assert_int_equal(sipua_msg_add(m, "X A", SLICE("a")), ERR_PROTO);
	assert_int_equal(sipua_msg_add(m, "", SLICE("a")), ERR_PROTO);
	assert_int_equal(sipua_msg_add(m, "X-A", SLICE("one")), 0);
	assert_int_equal(sipua_msg_add(m, "X-A", SLICE("two")), 0);
	assert_int_equal(sipua_srv_send(r->srv, m), 0);
	peer_expect(r, p, "SIP/2.0 200 Fine");
	assert_non_null(strstr(p->got, "X-A: one\r\nX-A: two\r\n"));
	peer_free(p);
	rig_free(r);
}

static struct { struct peer *p; unsigned hooks, early; } order;

/* media commands are flushed by a hook like this one: SIP may not have left before it */
static void hook(void *arg)
{
	struct rig *r = arg;
	char c;

	order.hooks++;
	if (r->requests == 1 && order.p && recv(order.p->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) > 0 && order.hooks == 1)
		order.early++;
}

static void leaves_after_the_hooks(void **state)
{
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0);

	(void)state;
	r->mode = RIG_REPLY;
	r->reply = 404;
	assert_int_equal(loop_at_turn_end(r->loop, hook, r), 0);
	order.p = p;
	peer_request(r, p, "OPTIONS", "h", "", 1, "h", NULL, NULL);
	peer_expect(r, p, "SIP/2.0 404 ");
	assert_int_equal(order.early, 0);
	assert_true(order.hooks > 0);
	peer_free(p);
	rig_free(r);
}

/* more at once than one recvmmsg or one turn takes */
static void burst(void **state)
{
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0);
	char at[56], text[512];
	unsigned answers = 0;

	(void)state;
	r->mode = RIG_REPLY;
	r->reply = 404;
	base_addr_print(&p->addr, at);
	for (unsigned i = 0; i < 150; i++) {
		int n = i % 10 == 9 ? 0 : snprintf(text, sizeof(text), "OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKb%u\r\n"
			"From: <sip:a@x>;tag=1\r\nTo: <sip:b@x>\r\nCall-ID: b%u\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n", at, i, i);
		sendto(p->fd, text, (size_t)n, 0, &p->ua.sa, base_addr_len(&p->ua)); /* every tenth is empty */
	}
	while (answers < 135 && peer_recv(r, p, 200))
		answers++;
	assert_int_equal(answers, 135);
	assert_int_equal(r->requests, 135);
	peer_free(p);
	rig_free(r);
}

/* the n-th allocation of ours fails: errors go up, nothing is left behind, the agent goes on */
static void memory_short(void **state)
{
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0);

	(void)state;
	r->mode = RIG_ACCEPT;
	for (long n = 1; n < 12; n++) {
		struct sipua_dest dest = rig_dest(r, p, 0);
		struct sipua_dialog *a = NULL, *b = NULL;
		struct sipua_msg *m = NULL;
		struct sipua_cli *c = NULL;
		struct sipua_dialog_state st;
		char branch[32];
		snprintf(branch, sizeof(branch), "m%ld", n);
		base_alloc_fail_after(n);
		r->may_fail = true;
		peer_request(r, p, "INVITE", branch, "", 1, branch, NULL, NULL);
		if (r->srv && sipua_dialog_new_uas(r->srv, &rig_dialog_ops, r, &a) == 0)
			sipua_dialog_get(a, &st);
		if (sipua_dialog_new_uac(r->ua, SLICE("<sip:a@x>"), SLICE("<sip:b@x>"), &dest, NULL, NULL, &b) == 0 &&
		    sipua_msg_request(b, SLICE("OPTIONS"), "sip:b@x", 70, &m) == 0)
			sipua_cli_send(b, m, &dest, &rig_cli_ops, r, &c);
		base_alloc_fail_after(0);
		sipua_cli_free(c);
		sipua_dialog_free(a);
		sipua_dialog_free(b);
		sipua_srv_free(r->srv);
		r->srv = NULL;
	}
	rig_advance(r, 40000);
	while (peer_recv(r, p, 2))
		;
	peer_request(r, p, "OPTIONS", "still", "", 1, "still", NULL, NULL);
	assert_non_null(r->srv);
	peer_free(p);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answered_and_ended), cmocka_unit_test(repeated_until_ack), cmocka_unit_test(cancelled),
		cmocka_unit_test(freed_unanswered), cmocka_unit_test(merged), cmocka_unit_test(without_transaction),
		cmocka_unit_test(header_injection), cmocka_unit_test(memory_short),
		cmocka_unit_test(leaves_after_the_hooks), cmocka_unit_test(burst),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
