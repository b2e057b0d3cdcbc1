/* SPDX-License-Identifier: Apache-2.0 */
/* Policies on Sofia's messages over real sockets: both hooks, what the agent makes of edits, shadows, and what a hook costs. */
#include <time.h>

#include "postern/rule.h"
#include "unit/sipua/rig.h"

static struct rule_chain *chain_of(const char *text, bool shadow, bool builtin)
{
	struct rule_load how = { .file = "t", .shadow = shadow }, own = { .file = "b" };
	struct rule_errors *errs = rule_errors_new();
	struct rule_set *s = NULL, *b = NULL;
	struct rule_chain *c = NULL;

	assert_int_equal(rule_set_load(slice_str(text), &how, errs, &s), 0);
	if (builtin)
		assert_int_equal(rule_set_load(rule_builtin_text(), &own, errs, &b), 0);
	assert_int_equal(rule_chain_new(&s, 1, b, &c), 0);
	base_unref(s);
	base_unref(b);
	base_unref(errs);
	return c;
}

static struct sipua_policy *policy_of(const char *text, bool shadow)
{
	struct rule_chain *c = chain_of(text, shadow, false);
	struct sipua_policy *p;

	assert_int_equal(sipua_policy_new("trunk-x", &p), 0);
	sipua_policy_set(p, "realm-x", c);
	base_unref(c);
	return p;
}

static const char *tag_of(const struct peer *p)
{
	static char tag[64];
	const char *t = strstr(peer_header(p, "To"), "tag=");

	assert_non_null(t);
	snprintf(tag, sizeof(tag), "%s", t + 4);
	return tag;
}

/** Our answer, with what a call puts there. */
static void answer(struct rig *r, int status, const char *allow, const char *sdp)
{
	struct sipua_msg *m;

	assert_int_equal(sipua_msg_response(r->srv, status, NULL, &m), 0);
	assert_int_equal(sipua_msg_add(m, "Contact", slice_str(sipua_contact(r->ua, 0))), 0);
	assert_int_equal(sipua_msg_add(m, "Allow", slice_str(allow)), 0);
	assert_int_equal(sipua_msg_add(m, "Supported", SLICE("timer")), 0);
	assert_int_equal(sipua_msg_add(m, "Supported", SLICE("100rel, replaces")), 0);
	assert_int_equal(sipua_msg_add(m, "Session-Expires", SLICE("1800;refresher=uac")), 0);
	assert_int_equal(sipua_msg_add(m, "Require", SLICE("timer")), 0);
	assert_int_equal(sipua_msg_body(m, SLICE("application/sdp"), slice_str(sdp)), 0);
	assert_int_equal(sipua_srv_send(r->srv, m), 0);
}

#define SDP "v=0\r\no=- 7 %s IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 8\r\na=%s\r\n"

static void up(struct rig *r, struct peer *p, struct sipua_dialog **d, const char *more)
{
	char sdp[512];

	peer_request(r, p, "INVITE", "c1", "", 10, "i1", more, NULL);
	peer_expect(r, p, "SIP/2.0 100 ");
	assert_int_equal(sipua_dialog_new_uas(r->srv, &rig_dialog_ops, r, d), 0);
	sipua_dialog_police(*d, r->policy, NULL);
	snprintf(sdp, sizeof(sdp), SDP, "5", "sendrecv");
	answer(r, 200, "INVITE, ACK, BYE, CANCEL, UPDATE, INFO", sdp);
	sipua_dialog_confirm(*d);
	peer_expect(r, p, "SIP/2.0 200 ");
}

static void down(struct rig *r, struct peer *p, struct sipua_dialog *d)
{
	sipua_dialog_free(d);
	base_unref(r->policy);
	rig_advance(r, 40000);
	peer_free(p);
	rig_free(r);
}

/** What is sent: list on several lines, the timer goes with `timer`, our Allow is what is enforced. */
static void sent(void **state)
{
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0);
	struct sipua_dialog *d;
	char tag[64];

	(void)state;
	r->policy = policy_of("policy p on send response {\n remove supported[\"timer\"]\n remove allow[\"UPDATE\"]\n set header[\"X-Out\"] \"${dst.trunk}/${dst.realm}\"\n}\n", false);
	up(r, p, &d, NULL);
	assert_string_equal(peer_header(p, "X-Out"), "trunk-x/realm-x");
	assert_string_equal(peer_header(p, "Session-Expires"), "");
	assert_string_equal(peer_header(p, "Require"), "");
	assert_null(strstr(p->got, "timer"));
	assert_non_null(strstr(peer_header(p, "Supported"), "100rel"));
	assert_null(strstr(peer_header(p, "Allow"), "UPDATE"));
	assert_true(r->policed & SIPUA_POLICED_ALLOW && r->policed & SIPUA_POLICED_TIMER && r->policed & SIPUA_POLICED_NOTES);
	assert_true(sipua_dialog_no_timer(d));
	assert_int_equal(sipua_dialog_stripped(d), 1u << WIRE_UPDATE);
	snprintf(tag, sizeof(tag), "%s", tag_of(p));
	peer_request(r, p, "ACK", "c1", tag, 10, "a1", NULL, NULL);
	peer_request(r, p, "UPDATE", "c1", tag, 11, "u1", NULL, NULL);
	peer_expect(r, p, "SIP/2.0 405 ");
	assert_null(strstr(peer_header(p, "Allow"), "UPDATE"));
	assert_non_null(strstr(peer_header(p, "Allow"), "INFO"));
	assert_int_equal(r->dialog_requests, 0);
	down(r, p, d);
}

/** The trunk's policies went while the dialog stands: what was taken from what the peer allows is still not in our answers. */
static void gone(void **state)
{
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0);
	struct sipua_dialog *d;
	char tag[64];

	(void)state;
	r->policy = policy_of("policy p on receive request {\n remove allow[\"UPDATE\"]\n}\n", false);
	up(r, p, &d, "Allow: INVITE, ACK, BYE, CANCEL, UPDATE\r\n");
	snprintf(tag, sizeof(tag), "%s", tag_of(p));
	peer_request(r, p, "ACK", "c1", tag, 10, "a1", NULL, NULL);
	for (unsigned i = 0; i < 2; i++) {
		struct sipua_msg *m;

		if (i)
			sipua_dialog_police(d, NULL, NULL);
		else
			sipua_policy_set(r->policy, "realm-x", NULL);
		peer_request(r, p, "INFO", "c1", tag, 11 + 12 * i, i ? "u2" : "u1", NULL, NULL);
		assert_int_equal(r->dialog_requests, 1 + i);
		assert_int_equal(sipua_msg_response(r->dsrv, 200, NULL, &m), 0);
		assert_int_equal(sipua_msg_add(m, "Allow", SLICE("INVITE, ACK, BYE, CANCEL, UPDATE, INFO")), 0);
		assert_int_equal(sipua_srv_send(r->dsrv, m), 0);
		peer_expect(r, p, "SIP/2.0 200 ");
		assert_null(strstr(peer_header(p, "Allow"), "UPDATE"));
		assert_non_null(strstr(peer_header(p, "Allow"), "INFO"));
		peer_request(r, p, "UPDATE", "c1", tag, 12 + 12 * i, i ? "u4" : "u3", NULL, NULL);
		peer_expect(r, p, "SIP/2.0 405 ");
	}
	down(r, p, d);
}

/** What is received: the reader sees the edited copy, the answer is made for what came; what was taken from its Allow is not in ours. */
static void received(void **state)
{
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0);
	struct sipua_dialog *d;
	char buf[64];

	(void)state;
	r->policy = policy_of("policy p on receive request {\n remove allow[\"UPDATE\"]\n set subject \"${from.user}\", remove header[\"X-*\"], set call.var[\"v\"] \"1\", tag t\n}\n", false);
	up(r, p, &d, "Allow: INVITE, ACK, BYE, CANCEL, UPDATE\r\nX-One: 1\r\nX-Two: 2\r\n");
	assert_null(wire_sip_header(sipua_srv_sip(r->srv), "X-One", buf, sizeof(buf)).p);
	assert_true(wire_sip_header(sipua_srv_sip(r->srv), "Subject", buf, sizeof(buf)).n > 0);
	assert_null(strstr(peer_header(p, "Allow"), "UPDATE"));
	assert_int_equal(sipua_dialog_stripped(d), 1u << WIRE_UPDATE);
	assert_true(r->policed & SIPUA_POLICED_ALLOW);
	struct sipua_note n;
	unsigned kinds = 0;
	for (unsigned i = 0; sipua_notes_get(sipua_dialog_notes(d), i, &n); i++)
		kinds |= 1u << n.kind;
	assert_int_equal(kinds, 1u << SIPUA_NOTE_VAR | 1u << SIPUA_NOTE_TAG | 1u << SIPUA_NOTE_FIRED);
	peer_request(r, p, "ACK", "c1", tag_of(p), 10, "a1", NULL, NULL);
	down(r, p, d);
}

/** The version goes up by one where, and only where, what leaves is another description. */
static void versions(void **state)
{
	static const struct { const char *version, *line; unsigned long long want; } steps[] = {
		{ "5", "x-drop:1", 5 }, { "6", "x-drop:2", 5 }, { "7", "ptime:30", 6 }, { "8", "ptime:30", 6 }, { "8", "x-drop:3", 7 },
	};
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0);
	struct sipua_dest dest = rig_dest(r, p, 0);
	struct sipua_dialog *d;
	unsigned long long v = 0;

	(void)state;
	/* where what changed does not leave, the peer sees no change */
	r->policy = policy_of("policy p on send request {\n remove sdp.audio.attribute[\"x-drop\"]\n}\n", false);
	assert_int_equal(sipua_dialog_new_uac(r->ua, SLICE("<sip:a@x>"), SLICE("<sip:b@x>"), &dest, &rig_dialog_ops, r, &d), 0);
	sipua_dialog_police(d, r->policy, NULL);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		struct sipua_msg *m;
		struct sipua_cli *c;
		char sdp[512];

		snprintf(sdp, sizeof(sdp), SDP, steps[i].version, steps[i].line);
		assert_int_equal(sipua_msg_request(d, SLICE("INFO"), "sip:b@x", 70, &m), 0);
		assert_int_equal(sipua_msg_body(m, SLICE("application/sdp"), slice_str(sdp)), 0);
		assert_int_equal(sipua_cli_send(d, m, &dest, &rig_cli_ops, r, &c), 0);
		peer_expect(r, p, "INFO ");
		assert_int_equal(sscanf(strstr(p->got, "o=- 7 "), "o=- 7 %llu", &v), 1);
		assert_int_equal(v, steps[i].want);
		peer_answer(r, p, 200, "t", NULL);
		sipua_cli_free(c);
	}
	down(r, p, d);
}

/** Verdicts outside of dialogs are answered without a transaction; a shadow's are not. */
static void verdicts(void **state)
{
	static const char text[] = "policy p on receive request {\n when ruri.user == \"x\" then reject 603 \"No Way\"\n drop\n}\n";
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0);

	(void)state;
	r->mode = RIG_REPLY;
	r->reply = 480;
	r->policy = policy_of("policy p on receive request {\n when subject == \"a\" then reject 603 \"No Way\"\n when subject == \"b\" then redirect \"sip:new@x\"\n when subject == \"c\" then drop\n}\n", false);
	peer_request(r, p, "OPTIONS", "c1", "", 1, "b1", "Subject: a\r\n", NULL);
	peer_expect(r, p, "SIP/2.0 603 No Way");
	peer_request(r, p, "OPTIONS", "c2", "", 1, "b2", "Subject: b\r\n", NULL);
	peer_expect(r, p, "SIP/2.0 302 ");
	assert_string_equal(peer_header(p, "Contact"), "<sip:new@x>");
	peer_request(r, p, "OPTIONS", "c3", "", 1, "b3", "Subject: c\r\n", NULL);
	peer_expect_none(r, p, 5);
	base_unref(r->policy);
	r->policy = policy_of(text, true);
	peer_request(r, p, "OPTIONS", "c4", "", 1, "b4", NULL, NULL);
	peer_expect(r, p, "SIP/2.0 480 ");
	base_unref(r->policy);
	peer_free(p);
	rig_free(r);
}

/* ---- what it costs: CPU time of the process, the peer's share is the same for all ---- */
static double cost(struct rig *r, struct peer *p, unsigned rounds)
{
	char text[1400];
	struct timespec a, b;
	unsigned i;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	for (i = 0; i < rounds; i++) {
		int n = snprintf(text, sizeof(text), "OPTIONS sip:b@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%u;branch=z9hG4bK%u\r\nMax-Forwards: 70\r\n"
			"From: \"Kim Roe\" <sip:0307654321@pbx.example>;tag=%u\r\nTo: <sip:b@127.0.0.1>\r\nCall-ID: %u@x\r\nCSeq: 1 OPTIONS\r\nContact: <sip:a@127.0.0.1>\r\n"
			"Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE\r\nSupported: timer, 100rel\r\nUser-Agent: Phone/7.1\r\nContent-Length: 0\r\n\r\n", base_addr_port(&p->addr), i, i, i);

		sendto(p->fd, text, (size_t)n, 0, &p->ua.sa, base_addr_len(&p->ua));
		while (recv(p->fd, p->got, sizeof(p->got), 0) < 0)
			loop_turn(r->loop, 0);
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	return ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / 1e3 / rounds;
}

static void rules_print(char *text, size_t size, unsigned n)
{
	struct text t = text_on(text, size);

	text_add(&t, "policy p on receive any {\n");
	for (unsigned i = 0; i < n; i++)
		text_add(&t, i % 3 == 0 ? " when from.user == \"%u\" then tag t\n" : i % 3 == 1 ? " when has header[\"X-%u\"] then tag t\n" : " when user-agent ~ \"^x%u\" then tag t\n", i);
	text_add(&t, "}\n");
}

static void costs(void **state)
{
	static const unsigned sizes[] = { 10, 100, 1000 };
	static char text[80000];
	struct rig *r = rig_udp();
	struct peer *p = peer_udp(r, 0);
	struct rule_chain *c;
	double none, v;

	(void)state;
	r->mode = RIG_REPLY;
	r->reply = 480;
	cost(r, p, 2000);
	none = cost(r, p, 4000);
	print_message("a request and its stateless answer: %.2f us\n", none);
	assert_int_equal(sipua_policy_new("t", &r->policy), 0);
	c = chain_of("", false, true);
	sipua_policy_set(r->policy, "r", c);
	base_unref(c);
	v = cost(r, p, 4000);
	print_message("the builtin policies alone: %+.2f us\n", v - none);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		rules_print(text, sizeof(text), sizes[i]);
		c = chain_of(text, false, false);
		sipua_policy_set(r->policy, "r", c);
		base_unref(c);
		v = cost(r, p, 2000);
		print_message("%u rules that do not match: %+.2f us\n", sizes[i], v - none);
		assert_true(v - none < 10.0 * sizes[i]); /* a wall, not a figure */
	}
	base_unref(r->policy);
	peer_free(p);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sent), cmocka_unit_test(gone), cmocka_unit_test(received), cmocka_unit_test(versions), cmocka_unit_test(verdicts), cmocka_unit_test(costs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
