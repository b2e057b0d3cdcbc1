/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that are answered here (design.md section 6, 'Consuming'; RFC 3264, RFC 3311): the other leg sees nothing of them.
 * An offerless re-INVITE gets our offer; the answer in its ACK is a change like any other, and may have to be shown to the other leg (own.c).
 */
#include <stdio.h>

#include "call/b2b.h"

static struct wire_sdp was, now;

static struct slice text_of(const struct call_text *t) { return (struct slice){ t->p ? t->p : "", t->n }; }

static int parse(const struct call_text *t, struct wire_sdp *ret) { return t->n && !wire_sdp_parse(text_of(t), ret) ? 0 : 488; }

/** Our answer to the offer of the request. 0 or a status. */
static int answer_make(struct call_exchange *x)
{
	struct slice text;
	int status = parse(&x->from->sdp_in, &was);

	if (!status)
		status = parse(&x->offer_in, &now);
	if (!status)
		status = call_shown_answer(x->from, &was, &now, &text);
	return status ? status : call_exchange_make(x, x->from, text, true, &x->answer_out);
}

static int offer_make(struct call_exchange *x)
{
	struct slice text;
	int status = call_shown_invite(x->from, &text);

	return status ? status : call_exchange_make(x, x->from, text, false, &x->offer_out);
}

static int reply(struct call_exchange *x, struct slice sdp)
{
	const struct wire_sip *request = sipua_srv_sip(x->srv);
	struct sipua_msg *msg;
	int err = sipua_msg_response(x->srv, 200, NULL, &msg);

	if (err)
		return err;
	err = call_headers_contact(msg, x->from);
	if (!err)
		err = call_headers_ours(msg, x->from);
	if (!err)
		err = call_timer_accept(x->from, msg, request);
	if (!err && sdp.n)
		err = sipua_msg_body(msg, SLICE("application/sdp"), sdp);
	if (err) {
		sipua_msg_free(msg);
		return err;
	}
	/* what the 2xx makes true is in the record before it is sent */
	call_persist(x->call);
	return sipua_srv_send(x->srv, msg);
}

/** The answer in the ACK: taken, and shown to the other leg where the profile relays what it changes. Without one all stays as it was. */
static void ack_take(struct call_exchange *x, const struct wire_sip *sip)
{
	struct call_leg *leg = x->from;
	int status = call_body_is_sdp(sip) ? call_exchange_secure(x, leg, call_body_sdp(sip)) : 488;

	if (!status)
		status = call_sdp_family(leg, call_body_sdp(sip));
	if (!status)
		status = call_answered_here(leg, WIRE_INVITE, call_body_sdp(sip), text_of(&x->offer_out));
	if (!status)
		return;
	base_count(COUNTER_MIDCALL_OWN_FAILED);
	call_decision_note(leg, WIRE_INVITE, &(struct call_verdict){ .status = status, .reason = "no-answer-in-ack" });
}

static void on_ack(void *arg, struct sipua_srv *s, const struct wire_sip *sip)
{
	struct call_exchange *x = arg;
	struct call *c = x->call;

	if (!sip) {
		call_end(c, "no-ack", "postern", 408, NULL, NULL);
		return;
	}
	if (x->state == CALL_X_ACK)
		ack_take(x, sip);
	call_exchange_free(x);
	call_persist(c);
}

/* a CANCEL comes too late: it is answered already */
static const struct sipua_srv_ops consume_ops = { .ack = on_ack };

static int take_offer(struct call_exchange *x, const uint8_t *want)
{
	struct call_leg *leg = x->from;

	if (call_text_set(&leg->sdp_in, text_of(&x->offer_in)) || call_text_set(&leg->sdp_out, text_of(&x->answer_out)))
		return 500;
	leg->was_offer = true;
	memcpy(leg->want_dir, want, sizeof leg->want_dir);
	call_exchange_updated(x->call);
	call_media_apply(x->call);
	return 0;
}

static int consume(struct call_exchange *x, const struct call_verdict *v)
{
	const struct wire_sip *sip = sipua_srv_sip(x->srv);
	int status = 0;

	x->has_offer = call_body_is_sdp(sip);
	if (x->has_offer) {
		status = call_text_set(&x->offer_in, call_body_sdp(sip)) ? 500 : answer_make(x);
		if (!status)
			status = take_offer(x, v->want_dir);
	} else if (x->method == WIRE_INVITE) {
		status = offer_make(x);
	}
	if (status)
		return status;
	call_identity_take(x->from, sip, false);
	sipua_dialog_refresh_target(x->from->dialog, sip);
	return reply(x, text_of(x->has_offer ? &x->answer_out : &x->offer_out)) ? 500 : 0;
}

void call_consume(struct call_leg *leg, struct sipua_srv *srv, enum wire_method m, const struct call_verdict *v)
{
	struct call_exchange *x = call_exchange_new(leg, call_other(leg), srv, m);
	int status;

	if (!x) {
		call_mid_refuse(srv, 500);
		return;
	}
	x->consumed = true;
	if (!call_exchange_beside(x)) {
		x->srv = NULL;
		call_exchange_free(x);
		call_mid_refuse(srv, 500);
		return;
	}
	sipua_srv_bind(srv, &consume_ops, x);
	status = consume(x, v);
	if (status)
		call_exchange_refuse(x, status, NULL, NULL);
	if (!status && call_timer_passes(sipua_srv_sip(srv), leg))
		call_own_add(call_other(leg), CALL_OWN_REFRESH); /* the other leg's timer is refreshed by whoever refreshes this one's */
	if (status || m != WIRE_INVITE)
		call_exchange_free(x);
	else
		x->state = x->has_offer ? CALL_X_DONE : CALL_X_ACK;
}
