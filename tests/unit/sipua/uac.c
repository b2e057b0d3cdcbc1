/* SPDX-License-Identifier: Apache-2.0 */
/* Client side over real sockets: RFC 3261 sections 8.1, 9.1, 12, 13.2, 17.1; forks, crossings, errors of the network. */
#include "unit/sipua/rig.h"

#include <unistd.h>

static void answered(void **state)
{
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0);
	struct sipua_dialog *d;
	struct sipua_cli *c = rig_invite(r, p, 0, &d), *bye;
	struct sipua_msg *m;
	char invite[4096], ok[64];

	(void)state;
	peer_expect(r, p, "INVITE sip:bob@example.com SIP/2.0\r\n");
	snprintf(invite, sizeof(invite), "%.4000s", p->got);
	assert_string_equal(peer_header(p, "User-Agent"), "Rig/1");
	assert_string_equal(peer_header(p, "Max-Forwards"), "69");
	assert_non_null(strstr(peer_header(p, "From"), "\"Ann\" <sip:ann@example.com>;tag="));
	assert_string_equal(peer_header(p, "To"), "<sip:bob@example.com>");
	assert_int_equal(strlen(peer_header(p, "Call-ID")), 32);
	assert_non_null(strstr(peer_header(p, "Via"), ";branch=z9hG4bK"));
	assert_null(strstr(peer_header(p, "Via"), "maddr"));
	snprintf(ok, sizeof(ok), "%s", peer_header(p, "CSeq"));
	peer_answer_to(r, p, invite, 100, NULL, NULL);
	peer_answer_to(r, p, invite, 180, "one", NULL);
	peer_answer_to(r, p, invite, 183, "two", NULL);
	peer_answer_to(r, p, invite, 200, "two", NULL);
	assert_int_equal(r->responses, 4);
	assert_int_equal(r->status[0], 100);
	assert_int_equal(r->status[1], 180);
	assert_string_equal(r->tag[1], "one");
	assert_int_equal(r->status[2], 183);
	assert_string_equal(r->tag[2], "two");
	assert_int_equal(r->status[3], 200);
	peer_answer_to(r, p, invite, 180, "one", NULL); /* late */
	assert_int_equal(r->responses, 4);
	assert_int_equal(sipua_cli_ack(c, NULL), 0);
	peer_expect(r, p, "ACK sip:bob@127.0.0.1:");
	assert_int_equal(strtoul(peer_header(p, "CSeq"), NULL, 10), strtoul(ok, NULL, 10));
	assert_non_null(strstr(peer_header(p, "To"), "tag=two"));
	peer_answer_to(r, p, invite, 200, "two", NULL); /* repeated, with the INVITE kept */
	peer_expect(r, p, "ACK sip:bob@127.0.0.1:");
	sipua_cli_free(c);
	peer_answer_to(r, p, invite, 200, "two", NULL); /* and without it */
	peer_expect(r, p, "ACK sip:bob@127.0.0.1:");
	assert_int_equal(r->responses, 4);
	assert_int_equal(sipua_msg_request(d, SLICE("BYE"), NULL, 70, &m), 0);
	assert_int_equal(sipua_cli_send(d, m, NULL, &rig_cli_ops, r, &bye), 0);
	peer_expect(r, p, "BYE sip:bob@127.0.0.1:");
	assert_int_equal(strtoul(peer_header(p, "CSeq"), NULL, 10), strtoul(ok, NULL, 10) + 1);
	r->free_on_final = true;
	peer_answer(r, p, 200, NULL, NULL);
	assert_int_equal(r->responses, 5);
	sipua_dialog_free(d);
	rig_advance(r, 40000);
	peer_free(p);
	rig_free(r);
}

static void other_fork_ended(void **state)
{
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0);
	struct sipua_dialog *d;
	struct sipua_cli *c = rig_invite(r, p, 0, &d);
	char invite[4096];

	(void)state;
	peer_expect(r, p, "INVITE ");
	snprintf(invite, sizeof(invite), "%.4000s", p->got);
	peer_answer_to(r, p, invite, 200, "one", NULL);
	assert_int_equal(sipua_cli_ack(c, NULL), 0);
	peer_expect(r, p, "ACK ");
	peer_answer_to(r, p, invite, 200, "two", NULL);
	peer_expect(r, p, "ACK ");
	assert_non_null(strstr(peer_header(p, "To"), "tag=two"));
	peer_expect(r, p, "BYE ");
	assert_non_null(strstr(peer_header(p, "To"), "tag=two"));
	peer_answer(r, p, 200, NULL, NULL);
	assert_int_equal(r->responses, 1);
	sipua_cli_free(c);
	peer_answer_to(r, p, invite, 200, "three", NULL);
	peer_expect(r, p, "ACK ");
	assert_non_null(strstr(peer_header(p, "To"), "tag=three"));
	peer_expect(r, p, "BYE ");
	sipua_dialog_free(d);
	rig_advance(r, 40000);
	peer_free(p);
	rig_free(r);
}

static void cancel_waits_for_1xx(void **state)
{
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0);
	struct sipua_dialog *d;
	struct sipua_cli *c = rig_invite(r, p, 0, &d);
	const struct sipua_text reason[] = { { "Reason", SLICE("SIP;cause=200") }, { 0 } };
	char invite[4096];

	(void)state;
	peer_expect(r, p, "INVITE ");
	snprintf(invite, sizeof(invite), "%.4000s", p->got);
	assert_int_equal(sipua_cli_cancel(c, reason), 0);
	peer_expect_none(r, p, 5);
	peer_answer_to(r, p, invite, 100, NULL, NULL);
	peer_expect(r, p, "CANCEL sip:bob@example.com SIP/2.0");
	assert_string_equal(peer_header(p, "Reason"), "SIP;cause=200");
	peer_answer(r, p, 200, "x", NULL);
	peer_answer_to(r, p, invite, 487, "x", NULL);
	assert_int_equal(r->status[r->responses - 1], 487);
	peer_expect(r, p, "ACK ");
	sipua_cli_free(c);
	sipua_dialog_free(d);
	rig_advance(r, 40000);
	peer_free(p);
	rig_free(r);
}

static void cancel_unanswered_gives_408(void **state)
{
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0);
	struct sipua_dialog *d;
	struct sipua_cli *c = rig_invite(r, p, 0, &d);

	(void)state;
	peer_expect(r, p, "INVITE ");
	peer_answer(r, p, 180, "x", NULL);
	assert_int_equal(sipua_cli_cancel(c, NULL), 0);
	peer_expect(r, p, "CANCEL ");
	peer_answer(r, p, 200, "x", NULL);
	rig_advance(r, 33000);
	assert_int_equal(r->status[r->responses - 1], -408);
	sipua_cli_free(c);
	sipua_dialog_free(d);
	peer_free(p);
	rig_free(r);
}

static void freed_early_then_200(void **state)
{
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0);
	struct sipua_dialog *d;
	struct sipua_cli *c = rig_invite(r, p, 0, &d);
	struct sipua_figures f;
	char invite[4096];

	(void)state;
	peer_expect(r, p, "INVITE ");
	snprintf(invite, sizeof(invite), "%.4000s", p->got);
	peer_answer_to(r, p, invite, 180, "x", NULL);
	sipua_cli_free(c);
	sipua_dialog_free(d);
	peer_expect(r, p, "CANCEL ");
	peer_answer(r, p, 200, "x", NULL);
	peer_answer_to(r, p, invite, 200, "x", NULL);
	peer_expect(r, p, "ACK ");
	peer_expect(r, p, "BYE ");
	peer_answer(r, p, 200, NULL, NULL);
	sipua_figures(r->ua, &f);
	assert_int_equal(f.cli + f.dialogs, 0);
	assert_int_equal(r->responses, 1);
	rig_advance(r, 40000);
	peer_free(p);
	rig_free(r);
}

static void freed_unanswered_then_silence(void **state)
{
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0);
	struct sipua_dialog *d;
	struct sipua_cli *c = rig_invite(r, p, 0, &d);
	struct sipua_figures f;

	(void)state;
	peer_expect(r, p, "INVITE ");
	sipua_cli_free(c);
	sipua_dialog_free(d);
	rig_advance(r, 40000);
	while (peer_recv(r, p, 3))
		assert_int_equal(strncmp(p->got, "INVITE ", 7), 0);
	sipua_figures(r->ua, &f);
	assert_int_equal(f.cli + f.dialogs, 0);
	peer_free(p);
	rig_free(r);
}

static void nobody_answers(void **state)
{
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0);
	struct sipua_dialog *d;
	struct sipua_cli *c = rig_invite(r, p, 0, &d);
	unsigned sent = 0;

	(void)state;
	rig_advance(r, 31000);
	assert_int_equal(r->responses, 0);
	rig_advance(r, 2000);
	assert_int_equal(r->responses, 1);
	assert_int_equal(r->status[0], -408);
	while (peer_recv(r, p, 3))
		sent++;
	assert_int_equal(sent, 7);
	sipua_cli_free(c);
	sipua_dialog_free(d);
	peer_free(p);
	rig_free(r);
}

static void icmp_fails_at_once(void **state)
{
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0), *other = peer_udp(r, 0);
	struct sipua_dialog *d, *d2;
	struct sipua_cli *c, *c2;

	(void)state;
	close(p->fd); /* nobody there */
	p->fd = -1;
	c = rig_invite(r, p, 0, &d);
	c2 = rig_invite(r, other, 0, &d2);
	rig_turns(r, 20);
	assert_int_equal(r->responses, 1);
	assert_int_equal(r->status[0], -503);
	peer_expect(r, other, "INVITE "); /* others are not touched */
	peer_answer(r, other, 486, "x", NULL);
	assert_int_equal(r->status[1], 486);
	sipua_cli_free(c);
	sipua_dialog_free(d);
	sipua_cli_free(c2);
	sipua_dialog_free(d2);
	peer_free(p);
	peer_free(other);
	rig_free(r);
}

/* an error that the kernel tells while sending (here: broadcast without permission) fails the request as well */
static void unsendable_fails_at_once(void **state)
{
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0);
	struct sipua_dialog *d;
	struct sipua_cli *c;

	(void)state;
	base_addr_parse(SLICE("255.255.255.255"), 5060, &p->addr);
	c = rig_invite(r, p, 0, &d);
	rig_turns(r, 20);
	assert_int_equal(r->responses, 1);
	assert_int_equal(r->status[0], -503);
	sipua_cli_free(c);
	sipua_dialog_free(d);
	peer_free(p);
	rig_free(r);
}

static void stray_2xx(void **state)
{
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0);
	char ua[56], text[2048], me[56];

	(void)state;
	base_addr_print(&p->ua, ua);
	base_addr_print(&p->addr, me);
	snprintf(text, sizeof(text), "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKgone\r\nFrom: <sip:a@x>;tag=f\r\nTo: <sip:b@x>;tag=t\r\n"
		"Call-ID: old\r\nCSeq: 7 INVITE\r\nContact: <sip:b@%s>\r\nContent-Length: 0\r\n\r\n", ua, me);
	peer_send(r, p, text, strlen(text));
	assert_int_equal(r->strays, 1);
	peer_expect(r, p, "ACK sip:b@127.0.0.1");
	assert_string_equal(peer_header(p, "CSeq"), "7 ACK");
	peer_expect(r, p, "BYE sip:b@127.0.0.1");
	assert_string_equal(peer_header(p, "CSeq"), "8 BYE");
	peer_answer(r, p, 481, NULL, NULL);
	r->take_strays = true;
	peer_send(r, p, text, strlen(text));
	assert_int_equal(r->strays, 2);
	peer_expect_none(r, p, 5);
	rig_advance(r, 40000);
	peer_free(p);
	rig_free(r);
}

static void restored(void **state)
{
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0), *route = peer_udp(r, 0);
	struct sipua_dialog_state st;
	struct sipua_dialog *d;
	struct sipua_msg *m;
	struct sipua_cli *c;
	char routes[200], target[100], at[56];

	static const char again[] = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKgone\r\nFrom: <sip:bob@x>;tag=me\r\n"
		"To: <sip:ann@y>;tag=ann\r\nCall-ID: c9\r\nCSeq: 40 INVITE\r\nContact: <sip:ann@127.0.0.1>\r\nContent-Length: 0\r\n\r\n";

	(void)state;
	snprintf(routes, sizeof(routes), "<sip:%s;lr>, <sip:p2.example.com;lr>", base_addr_print(&route->addr, at));
	snprintf(target, sizeof(target), "sip:ann@%s;transport=udp", base_addr_print(&p->addr, at));
	st = (struct sipua_dialog_state){ .call_id = SLICE("c9"), .local = SLICE("\"B\" <sip:bob@x>;tag=me"), .remote = SLICE("<sip:ann@y>;tag=ann"),
		.target = slice_str(target), .routes = slice_str(routes), .cseq_local = 41, .cseq_remote = 7,
		.dest = { .listener = 0, .transport = SIPUA_UDP, .addr = p->addr }, .confirmed = true, .uas = true };
	assert_int_equal(sipua_dialog_restore(r->ua, &st, &rig_dialog_ops, r, &d), 0);
	assert_int_equal(sipua_dialog_next_cseq(d), 42);
	assert_int_equal(sipua_msg_request(d, SLICE("UPDATE"), NULL, 70, &m), 0);
	assert_int_equal(sipua_cli_send(d, m, NULL, &rig_cli_ops, r, &c), 0);
	peer_expect(r, route, "UPDATE sip:ann@127.0.0.1:");
	assert_string_equal(peer_header(route, "CSeq"), "42 UPDATE");
	assert_string_equal(peer_header(route, "From"), "\"B\" <sip:bob@x>;tag=me");
	assert_string_equal(peer_header(route, "To"), "<sip:ann@y>;tag=ann");
	peer_answer(r, route, 200, NULL, NULL);
	sipua_cli_free(c);
	peer_request(r, p, "INFO", "c9", "me", 7, "n1", NULL, NULL); /* equal: a retransmission that found us restarted */
	assert_int_equal(r->dialog_requests, 1);
	peer_request(r, p, "INFO", "c9", "me", 6, "n2", NULL, NULL);
	assert_int_equal(r->dialog_requests, 1);
	sipua_dialog_get(d, &st);
	assert_true(slice_eq(st.routes, slice_str(routes)));
	assert_true(slice_eq(st.target, slice_str(target)));
	assert_true(slice_eq(st.local, SLICE("\"B\" <sip:bob@x>;tag=me")));
	assert_int_equal(st.cseq_local, 42);
	assert_int_equal(st.cseq_remote, 7);
	/* a 2xx to an INVITE of the former process comes again: it gets its ACK, the dialog goes on */
	peer_send(r, p, again, strlen(again));
	peer_expect(r, route, "ACK sip:ann@127.0.0.1:");
	assert_string_equal(peer_header(route, "CSeq"), "40 ACK");
	sipua_dialog_free(d);
	peer_free(p);
	peer_free(route);
	rig_free(r);
}

/* neither route nor target is a number: to where the peer's messages came from; a strict router becomes the Request-URI */
static void names_are_not_resolved(void **state)
{
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0);
	struct sipua_dialog_state st = { .call_id = SLICE("c9"), .local = SLICE("<sip:bob@x>;tag=me"), .remote = SLICE("<sip:ann@y>;tag=ann"),
		.target = SLICE("sip:ann@pc.example.com"), .routes = SLICE("<sip:strict.example.com>"), .cseq_local = 1,
		.dest = { .listener = 0, .transport = SIPUA_UDP, .addr = p->addr }, .confirmed = true };
	struct sipua_dialog *d;
	struct sipua_msg *m;
	struct sipua_cli *c;

	(void)state;
	assert_int_equal(sipua_dialog_restore(r->ua, &st, &rig_dialog_ops, r, &d), 0);
	assert_int_equal(sipua_msg_request(d, SLICE("BYE"), NULL, 70, &m), 0);
	assert_int_equal(sipua_cli_send(d, m, NULL, &rig_cli_ops, r, &c), 0);
	peer_expect(r, p, "BYE sip:strict.example.com SIP/2.0");
	assert_string_equal(peer_header(p, "Route"), "<sip:ann@pc.example.com>");
	peer_answer(r, p, 200, NULL, NULL);
	sipua_cli_free(c);
	sipua_dialog_free(d);
	peer_free(p);
	rig_free(r);
}

static struct sipua_cli *send_request(struct rig *r, struct sipua_dialog *d, const char *method, const char *ruri, const struct sipua_dest *dest)
{
	struct sipua_msg *m;
	struct sipua_cli *c;

	assert_int_equal(sipua_msg_request(d, slice_str(method), ruri, 70, &m), 0);
	assert_int_equal(sipua_cli_send(d, m, dest, &rig_cli_ops, r, &c), 0);
	return c;
}

/* RFC 4028 7.4: the same Call-ID and From tag, the next CSeq, no To tag although an early dialog was there */
static void tried_again_after_422(void **state)
{
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0);
	struct sipua_dest dest;
	struct sipua_dialog *d;
	struct sipua_cli *c = rig_invite(r, p, 0, &d);
	char id[100], from[200], invite[4096];
	unsigned long cseq;

	(void)state;
	peer_expect(r, p, "INVITE sip:bob@example.com");
	snprintf(invite, sizeof(invite), "%.4000s", p->got);
	snprintf(id, sizeof(id), "%s", peer_header(p, "Call-ID"));
	snprintf(from, sizeof(from), "%s", peer_header(p, "From"));
	cseq = strtoul(peer_header(p, "CSeq"), NULL, 10);
	peer_answer_to(r, p, invite, 180, "early", "Record-Route: <sip:127.0.0.1:9;lr>\r\n");
	peer_answer_to(r, p, invite, 422, "final", "Min-SE: 1800\r\n");
	peer_expect(r, p, "ACK ");
	sipua_cli_free(c);
	dest = rig_dest(r, p, 0);
	c = send_request(r, d, "INVITE", "sip:bob@example.com", &dest);
	peer_expect(r, p, "INVITE sip:bob@example.com");
	assert_string_equal(peer_header(p, "Call-ID"), id);
	assert_string_equal(peer_header(p, "From"), from);
	assert_string_equal(peer_header(p, "To"), "<sip:bob@example.com>");
	assert_string_equal(peer_header(p, "Route"), "");
	assert_int_equal(strtoul(peer_header(p, "CSeq"), NULL, 10), cseq + 1);
	peer_answer(r, p, 200, "two", NULL);
	assert_int_equal(sipua_cli_ack(c, NULL), 0);
	peer_expect(r, p, "ACK ");
	sipua_cli_free(c);
	sipua_dialog_free(d);
	rig_advance(r, 40000);
	peer_free(p);
	rig_free(r);
}

/* re-INVITE from both sides, with answers of the other dialog's tag left out, and a CANCEL of one */
static void reinvites(void **state)
{
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0);
	struct sipua_dialog *d;
	struct sipua_cli *c = rig_invite(r, p, 0, &d);
	char invite[4096], id[100], tag[100];

	(void)state;
	peer_expect(r, p, "INVITE ");
	snprintf(id, sizeof(id), "%s", peer_header(p, "Call-ID"));
	snprintf(tag, sizeof(tag), "%s", strstr(peer_header(p, "From"), "tag=") + 4);
	peer_answer(r, p, 200, "ann", NULL);
	assert_int_equal(sipua_cli_ack(c, NULL), 0);
	peer_expect(r, p, "ACK ");
	sipua_cli_free(c);
	c = send_request(r, d, "INVITE", NULL, NULL);
	peer_expect(r, p, "INVITE sip:bob@127.0.0.1:");
	snprintf(invite, sizeof(invite), "%.4000s", p->got);
	assert_non_null(strstr(peer_header(p, "To"), "tag=ann"));
	peer_answer_to(r, p, invite, 100, NULL, NULL);
	sipua_cli_cancel(c, NULL);
	peer_expect(r, p, "CANCEL sip:bob@127.0.0.1:");
	peer_answer_to(r, p, invite, 200, NULL, NULL); /* they cross */
	assert_int_equal(r->status[r->responses - 1], 200);
	assert_int_equal(sipua_cli_ack(c, NULL), 0);
	peer_expect(r, p, "ACK ");
	sipua_cli_free(c);
	c = send_request(r, d, "INVITE", NULL, NULL); /* freed under way: no BYE for the session that it is part of */
	peer_expect(r, p, "INVITE ");
	snprintf(invite, sizeof(invite), "%.4000s", p->got);
	peer_answer_to(r, p, invite, 100, NULL, NULL);
	sipua_cli_free(c);
	peer_expect(r, p, "CANCEL ");
	peer_answer_to(r, p, invite, 200, NULL, NULL);
	peer_expect(r, p, "ACK sip:bob@127.0.0.1:");
	rig_advance(r, 450);
	while (peer_recv(r, p, 3))
		assert_int_equal(strncmp(p->got, "CANCEL ", 7), 0);
	peer_request(r, p, "INVITE", id, tag, 100000, "re1", NULL, "v=0\r\n");
	assert_int_equal(r->dialog_requests, 1);
	peer_expect(r, p, "SIP/2.0 100 ");
	assert_int_equal(sipua_srv_reply(r->dsrv, 200, NULL), 0);
	peer_expect(r, p, "SIP/2.0 200 ");
	peer_request(r, p, "ACK", id, tag, 100000, "re1a", NULL, NULL);
	assert_int_equal(r->acks, 1);
	sipua_dialog_free(d);
	rig_advance(r, 40000);
	peer_free(p);
	rig_free(r);
}

/* what call/ relays: headers of a received message, as they are */
static void carried(void **state)
{
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0), *q = peer_udp(r, 0);
	struct sipua_dest dest = rig_dest(r, q, 0);
	struct sipua_dialog *d;
	struct sipua_msg *m;
	struct sipua_cli *c;
	struct wire_headers it;
	struct wire_header h;

	(void)state;
	peer_request(r, p, "MESSAGE", "cc", "", 1, "cc", "X-One: a;b=c\r\nx-one: second\r\nP-Asserted-Identity: \"A\" <sip:a@x>\r\n"
		"Diversion: <sip:d@x>;reason=unknown\r\n", NULL);
	assert_non_null(r->srv);
	assert_int_equal(sipua_dialog_new_uac(r->ua, SLICE("<sip:a@x>"), SLICE("<sip:b@x>"), &dest, NULL, NULL, &d), 0);
	assert_int_equal(sipua_msg_request(d, SLICE("MESSAGE"), "sip:b@x", 70, &m), 0);
	wire_sip_headers(sipua_srv_sip(r->srv), &it);
	while (wire_headers_next(&it, &h))
		if (slice_eq_nocase(h.name, SLICE("X-One")) || slice_eq_nocase(h.name, SLICE("P-Asserted-Identity")) ||
		    slice_eq_nocase(h.name, SLICE("Diversion")))
			assert_int_equal(sipua_msg_carry(m, &h), 0);
	assert_int_equal(sipua_cli_send(d, m, &dest, &rig_cli_ops, r, &c), 0);
	peer_expect(r, q, "MESSAGE sip:b@x");
	assert_non_null(strstr(q->got, "X-One: a;b=c\r\nx-one: second\r\n"));
	assert_string_equal(peer_header(q, "P-Asserted-Identity"), "\"A\" <sip:a@x>");
	assert_string_equal(peer_header(q, "Diversion"), "<sip:d@x>;reason=unknown");
	peer_answer(r, q, 200, "x", NULL);
	sipua_cli_free(c);
	sipua_dialog_free(d);
	peer_free(p);
	peer_free(q);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answered), cmocka_unit_test(other_fork_ended), cmocka_unit_test(cancel_waits_for_1xx),
		cmocka_unit_test(cancel_unanswered_gives_408), cmocka_unit_test(freed_early_then_200),
		cmocka_unit_test(freed_unanswered_then_silence), cmocka_unit_test(nobody_answers), cmocka_unit_test(icmp_fails_at_once),
		cmocka_unit_test(unsendable_fails_at_once), cmocka_unit_test(stray_2xx), cmocka_unit_test(restored),
		cmocka_unit_test(names_are_not_resolved), cmocka_unit_test(tried_again_after_422), cmocka_unit_test(reinvites),
		cmocka_unit_test(carried),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
