/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests inside a dialog: a re-INVITE or UPDATE is classified and decided over (design.md section 6; RFC 3261 14.2, RFC 3311 5.2). What goes on is
 * forward.c's, what is answered here consume.c's, BYE ending.c's, what has no offer/answer relay.c's.
 */
#include <stdio.h>

#include "call/b2b.h"

/* the request in hand */
static struct wire_sdp now, was, ours;
static struct call_change change;

static struct slice text_of(const struct call_text *t) { return (struct slice){ t->p ? t->p : "", t->n }; }

void call_mid_refuse(struct sipua_srv *srv, int status)
{
	struct sipua_msg *msg;

	if (status == 500 && !sipua_msg_response(srv, status, NULL, &msg)) {
		char s[8];

		/* RFC 3261 14.2: a random time of 0 to 10 seconds */
		snprintf(s, sizeof s, "%u", base_random_below(11));
		sipua_msg_add(msg, "Retry-After", slice_str(s));
		sipua_srv_send(srv, msg);
	} else {
		sipua_srv_reply(srv, status, NULL);
	}
	sipua_srv_free(srv);
}

/* ---- in ---- */

/** What the request changes. 0 or the status that refuses it. */
static int classify(struct call_leg *leg, enum wire_method m, const struct wire_sip *sip)
{
	bool identity = call_identity_changed(leg, sip);
	int status = 0;

	memset(&change, 0, sizeof change);
	if (call_body_is_sdp(sip)) {
		status = call_persist_room(leg, call_body_sdp(sip)) ? call_sdp_check(call_body_sdp(sip)) : 513;
		if (!status)
			status = call_sdp_secure(leg, call_body_sdp(sip), false);
		if (!status)
			status = call_sdp_family(leg, call_body_sdp(sip));
		if (!status && (wire_sdp_parse(call_body_sdp(sip), &now) || !leg->sdp_in.n || wire_sdp_parse(text_of(&leg->sdp_in), &was) ||
			!leg->sdp_out.n || wire_sdp_parse(text_of(&leg->sdp_out), &ours)))
			status = 488;
		if (!status)
			call_classify(&was, leg->was_offer, &ours, &now, &change);
	} else {
		change.all = m == WIRE_INVITE ? 1u << CALL_OFFERLESS : 1u << CALL_REFRESH;
	}
	change.all |= identity ? 1u << CALL_IDENTITY : 0;
	return status;
}

/** Too short an interval of the session timer: 422. */
static bool timer_refused(struct call_leg *leg, struct sipua_srv *srv)
{
	uint32_t least = call_timer_small(leg->call->peers, leg->trunk, sipua_srv_sip(srv));
	struct sipua_msg *msg;
	char s[16];

	if (!least)
		return false;
	base_count(COUNTER_TIMER_SMALL);
	snprintf(s, sizeof s, "%u", least);
	if (!sipua_msg_response(srv, 422, NULL, &msg)) {
		sipua_msg_add(msg, "Min-SE", slice_str(s));
		sipua_srv_send(srv, msg);
	}
	sipua_srv_free(srv);
	return true;
}

/** In an early dialog an UPDATE goes on as such alone; without that it is answered here where that can be, else 488. */
static void early(struct call_leg *leg, struct call_verdict *v)
{
	const struct call_leg *to = call_other(leg);

	if (leg->call->state >= CALL_UP || !v->relay || (to->allow & 1u << WIRE_UPDATE && to->dialog && sipua_dialog_has_peer(to->dialog)))
		return;
	v->relay = false;
	v->reason = "early";
	if (v->relayed & 1u << CALL_FAX || change.preconditions || (v->relayed & 1u << CALL_CODEC && !call_shown_can_codec(leg, &now, &change)))
		v->status = 488;
}

/* ---- a request that waits ---- */

static void later_cancel(void *arg, struct sipua_srv *s, const struct wire_sip *sip)
{
	struct call_leg *leg = arg;

	leg->later = NULL;
	call_mid_refuse(s, 487);
}

static const struct sipua_srv_ops later_ops = { .cancel = later_cancel };

static void on_later(void *arg)
{
	struct call_leg *leg = arg;
	struct sipua_srv *srv = leg->later;

	leg->later = NULL;
	if (srv)
		call_mid_session(leg, srv, wire_sip_method(sipua_srv_sip(srv)));
}

void call_mid_kick(struct call_leg *leg)
{
	if (leg->later)
		loop_timer_start(leg->call->eng->p.loop, &leg->later_timer, 0, on_later, leg);
}

void call_mid_drop(struct call_leg *leg)
{
	loop_timer_stop(&leg->later_timer);
	if (leg->later)
		call_mid_refuse(leg->later, 481);
	leg->later = NULL;
}

/** The other peer's 2xx is out, its ACK a moment away: until then the request waits, rather than meet a glare that is none. */
static bool waits(struct call_leg *leg, struct sipua_srv *srv)
{
	if (leg->later || leg->call->state != CALL_UP || !call_exchange_acks(leg))
		return false;
	leg->later = srv;
	sipua_srv_bind(srv, &later_ops, leg);
	return true;
}

/** A re-INVITE or UPDATE. */
void call_mid_session(struct call_leg *leg, struct sipua_srv *srv, enum wire_method m)
{
	const struct wire_sip *sip = sipua_srv_sip(srv);
	bool sdp = call_body_is_sdp(sip);
	int busy = 0, status;
	struct call_verdict v;

	if (m == WIRE_INVITE || sdp) {
		if (waits(leg, srv))
			return;
		busy = leg->later ? 500 : m == WIRE_INVITE ? call_exchange_busy_invite(leg) : call_exchange_busy(leg);
	}
	if (busy >= 400) {
		base_count(COUNTER_MIDCALL_GLARE);
		call_mid_refuse(srv, busy);
		return;
	}
	if (timer_refused(leg, srv))
		return;
	status = classify(leg, m, sip);
	if (status) {
		call_mid_refuse(srv, status);
		return;
	}
	call_decide(leg, m, sdp ? &now : NULL, &change, &v);
	if (!v.status)
		early(leg, &v);
	call_decision_note(leg, m, &v);
	if (v.status)
		call_mid_refuse(srv, v.status);
	else if (v.relay)
		call_forward(leg, srv, m, &v, sdp ? &now : NULL, &change);
	else
		call_consume(leg, srv, m, &v);
}

static void on_bye(struct call_leg *leg, struct sipua_srv *srv)
{
	const struct wire_sip *sip = sipua_srv_sip(srv);
	struct call *c = leg->call;

	/* the record says that it ends before this side hears that it did; c and leg may be gone then */
	leg->over = true;
	if (c->state != CALL_ENDING)
		call_end(c, "normal", leg == &c->leg[0] ? "caller" : "callee", 487, leg, sip);
	sipua_srv_reply(srv, 200, NULL);
	sipua_srv_free(srv);
}

static void dialog_request(void *arg, struct sipua_dialog *d, struct sipua_srv *srv)
{
	struct call_leg *leg = arg;
	const struct wire_sip *sip = sipua_srv_sip(srv);
	enum wire_method m = wire_sip_method(sip);
	char buf[256];
	struct slice bad = wire_sip_unknown_required(sip, call_known_options, buf, sizeof buf);
	struct sipua_msg *msg;

	call_leg_allow(leg, sip);
	if (m == WIRE_BYE) {
		on_bye(leg, srv);
	} else if (leg->call->state == CALL_ENDING) {
		call_mid_refuse(srv, 481);
	} else if (bad.n) {
		if (!sipua_msg_response(srv, 420, NULL, &msg) && !sipua_msg_add(msg, "Unsupported", bad))
			sipua_srv_send(srv, msg);
		sipua_srv_free(srv);
	} else if (m == WIRE_PRACK) {
		call_reliable_prack(leg, srv);
	} else if (leg->call->replace && m != WIRE_INVITE && !(m == WIRE_UPDATE && call_body_is_sdp(sip))) {
		call_mid_refuse(srv, 500); /* who sits on the other leg is open */
	} else if (m == WIRE_INVITE || m == WIRE_UPDATE) {
		call_mid_session(leg, srv, m);
	} else {
		call_relay_request(leg, srv);
	}
}

const struct sipua_dialog_ops call_dialog_ops = { .request = dialog_request, .answered = call_again_answered, .ack = call_again_ack };
