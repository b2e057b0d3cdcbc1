/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes back for the INVITE of a call: 1xx, 2xx, failures, CANCEL, ACK, no answer (RFC 3261 13 and 9, RFC 3264; RFC 6337 patterns 1 and 2).
 * An offer in INVITE: the callee's 2xx is acknowledged at once. An offerless INVITE: the callee's ACK waits for the caller's, which holds the answer.
 */
#include <stdio.h>

#include "call/b2b.h"

/** A response for the caller with what may cross of the callee's. NULL where memory is short. */
static struct sipua_msg *response_for(struct call_exchange *x, int status, const struct wire_sip *resp, struct slice sdp)
{
	struct slice phrase = resp ? wire_sip_phrase(resp) : (struct slice){ NULL, 0 };
	struct sipua_msg *msg;
	char buf[128];
	int err;

	slice_copy(buf, sizeof buf, phrase);
	if (sipua_msg_response(x->srv, status, phrase.n ? buf : NULL, &msg))
		return NULL;
	err = resp ? call_headers_cross(msg, resp, x->from) : 0;
	if (!err)
		err = call_headers_ours(msg, x->from);
	if (!err && status >= 200 && status < 300)
		err = call_timer_accept(x->from, msg, sipua_srv_sip(x->srv));
	if (!err)
		err = call_headers_contact(msg, x->from);
	if (!err)
		err = call_body_put(msg, resp, sdp, x->from);
	if (!err)
		return msg;
	sipua_msg_free(msg);
	return NULL;
}

/** The callee's SDP is the answer to the caller's offer: make the caller's text of it, and media. 0 or a status. */
static int take_answer(struct call_exchange *x, struct slice body)
{
	struct slice text;
	int status;

	if (call_text_set(&x->answer_in, body))
		return 500;
	status = call_sdp_for(x->from, body, true, &text);
	if (!status && call_text_set(&x->answer_out, text))
		status = 500;
	if (status)
		return status;
	if (call_text_set(&x->from->sdp_out, text))
		return 500;
	x->answered = true;
	return call_exchange_commit(x) ? 500 : 0;
}

static void on_no_answer(void *arg)
{
	struct call *c = arg;

	if (c->x)
		call_exchange_refuse(c->x, 480, NULL, NULL);
	call_end(c, "no-answer", "postern", 480, NULL, NULL);
}

static void first_response(struct call_exchange *x, int status)
{
	struct call *c = x->call;

	if (call_hunt_heard(x, status))
		loop_timer_start(c->eng->p.loop, &c->no_answer, x->to->trunk->conf->no_answer * 1000, on_no_answer, c);
}

/** Offerless INVITE: the callee's offer goes to the caller, its ACK waits. */
static int pass_offer(struct call_exchange *x, const struct wire_sip *resp)
{
	struct slice text;
	int status = call_body_is_sdp(resp) ? call_sdp_check(call_body_sdp(resp)) : 488;

	if (!status && call_text_set(&x->offer_in, call_body_sdp(resp)))
		status = 500;
	if (!status)
		status = call_sdp_for(x->from, call_body_sdp(resp), false, &text);
	if (!status && (call_text_set(&x->offer_out, text) || call_text_set(&x->to->sdp_in, call_body_sdp(resp)) || call_text_set(&x->from->sdp_out, text)))
		status = 500;
	return status;
}

/** The caller cannot be asked: the callee's offer is answered by us. False: it cannot be, the call is gone. */
static bool answer_ours(struct call_exchange *x, const struct wire_sip *resp)
{
	int status = call_ours_answer(x, resp);

	if (!status)
		status = call_reliable_settle(x, (struct slice){ x->to->sdp_out.p, x->to->sdp_out.n });
	if (status)
		call_end(x->call, "media", "postern", status, NULL, NULL);
	return !status;
}

/** What the callee answered is an offer for a caller who gets this response reliably; once. */
static bool present_early(struct call_exchange *x, const struct wire_sip *resp)
{
	if (x->presented || call_ours_heard(x, resp) || !call_reliable_wished(x, resp) || call_ours_present(x))
		return false;
	x->presented = true;
	return true;
}

/** The 2xx of a callee that has its offer/answer with us. 0 or a status. */
static int ours_success(struct call_exchange *x, const struct wire_sip *resp)
{
	int status = call_ours_heard(x, resp);

	return status ? status : call_ours_present(x);
}

/** Description of a provisional response, for the caller. False: the call is gone. */
static bool early_sdp(struct call_exchange *x, const struct wire_sip *resp, bool offer, struct slice *ret)
{
	*ret = (struct slice){ NULL, 0 };
	if (offer && !call_reliable_can(sipua_srv_sip(x->srv)))
		return answer_ours(x, resp);
	if ((offer && !pass_offer(x, resp)) || (x->ours && present_early(x, resp)))
		*ret = (struct slice){ x->offer_out.p, x->offer_out.n };
	else if (x->has_offer && !x->updated && call_body_is_sdp(resp) && !take_answer(x, call_body_sdp(resp)))
		*ret = (struct slice){ x->answer_out.p, x->answer_out.n };
	return true;
}

static void on_provisional(struct call_exchange *x, int status, const struct wire_sip *resp)
{
	struct call *c = x->call;
	struct sipua_msg *msg;
	struct slice sdp;
	bool offer;
	int err;

	first_response(x, status);
	if (status == 100)
		return;
	call_leg_allow(x->to, resp);
	err = sipua_dialog_establish(x->to->dialog, resp);
	if ((err && err != ERR_PROTO) || !call_reliable_heard(x, resp, &offer))
		return; /* a 1xx without a tag makes no dialog, and is shown all the same */
	if (!early_sdp(x, resp, offer, &sdp))
		return;
	if (!c->ringing_ms) {
		c->ringing_ms = base_wall_ms();
		base_observe_ms(HISTOGRAM_POST_DIAL, c->ringing_ms - c->start_ms);
	}
	if (sdp.n || c->state == CALL_SETUP) {
		c->state = CALL_EARLY;
		if (!sdp.n)
			call_store_ringing(c->eng->store, c->slot); /* that is all that is new */
		else if (call_persist(c))
			return;
	}
	msg = response_for(x, status, resp, sdp);
	if (msg)
		call_reliable_provisional(x, msg, resp);
}

/** 2xx that cannot be used: the callee gets ACK and BYE, the caller a refusal. */
static void answer_failed(struct call_exchange *x, int status)
{
	struct call *c = x->call;

	sipua_cli_ack(x->cli, NULL);
	x->to->confirmed = true;
	call_exchange_refuse(x, status, NULL, NULL);
	call_end(c, "media", "postern", status, NULL, NULL);
}

static void call_is_up(struct call *c)
{
	loop_timer_stop(&c->no_answer);
	c->state = CALL_UP;
	c->status = 200;
	c->answer_ms = base_wall_ms();
	if (!c->ringing_ms)
		base_observe_ms(HISTOGRAM_POST_DIAL, c->answer_ms - c->start_ms);
	base_observe_ms(HISTOGRAM_ANSWER, c->answer_ms - c->start_ms);
	base_count(COUNTER_CALLS_ANSWERED);
}

struct sipua_msg *call_answer_make(struct call_exchange *x, int status, const struct wire_sip *resp)
{
	call_is_up(x->call);
	x->from->confirmed = true;
	return response_for(x, status, resp, x->has_offer ? (struct slice){ x->answer_out.p, x->answer_out.n } :
		(struct slice){ x->offer_out.p, x->answered || x->presented ? 0 : x->offer_out.n });
}

static void on_success(struct call_exchange *x, const struct wire_sip *resp)
{
	struct call *c = x->call;
	struct sipua_msg *msg;
	int status = 0;

	call_hunt_heard(x, wire_sip_status(resp));
	call_hunt_note(c, wire_sip_status(resp), "answered");
	call_hunt_end(c);
	call_leg_allow(x->to, resp);
	call_identity_take(x->to, resp, true);
	call_timer_accepted(x->to, resp);
	if (sipua_dialog_establish(x->to->dialog, resp)) {
		answer_failed(x, 502);
		return;
	}
	x->to->confirmed = true;
	if (x->ours) {
		status = x->answered ? 0 : ours_success(x, resp);
	} else if (!x->has_offer && !x->answered) {
		status = pass_offer(x, resp);
		x->state = CALL_X_ACK; /* its answer is in the caller's */
	} else if (!x->has_offer)
		status = 0; /* offer and answer went in a reliable 18x and its PRACK */
	else if (call_body_is_sdp(resp) && !x->updated)
		status = take_answer(x, call_body_sdp(resp));
	else if (!x->answered)
		status = 488;
	if (status) {
		answer_failed(x, status);
		return;
	}
	msg = call_answer_make(x, wire_sip_status(resp), resp);
	/* the record first: an engine that dies behind the ACK leaves a call that its successor knows */
	if (!msg || call_persist(c)) {
		sipua_msg_free(msg);
		sipua_cli_ack(x->cli, NULL);
		call_exchange_refuse(x, 503, NULL, NULL);
		call_end(c, "resources", "postern", 503, NULL, NULL);
		return;
	}
	if (x->state != CALL_X_ACK) {
		sipua_cli_ack(x->cli, NULL);
		sipua_cli_free(x->cli);
		x->cli = NULL;
	}
	call_reliable_final(x, msg);
}

static void on_failure(struct call_exchange *x, int status, const struct wire_sip *resp)
{
	struct call *c = x->call;
	char phrase[128];

	if (status == 422 && resp && call_timer_again(x->to, resp) && !call_setup_again(x))
		return;
	if (call_hunt_failed(x, &status, resp))
		return;
	if (status == 422 && !call_timer_relayed(c)) {
		call_exchange_refuse(x, 500, NULL, NULL); /* a matter of the callee's leg alone */
		call_finish(c, "rejected", "callee", 500);
		return;
	}
	slice_copy(phrase, sizeof phrase, resp ? wire_sip_phrase(resp) : (struct slice){ NULL, 0 });
	call_exchange_refuse(x, status, resp && phrase[0] ? phrase : NULL, resp);
	call_finish(c, resp ? "rejected" : "unreachable", resp ? "callee" : "postern", status);
}

static void invite_response(void *arg, struct sipua_cli *cli, int status, const struct wire_sip *sip)
{
	struct call_exchange *x = arg;

	if (x->state != CALL_X_SENT)
		return; /* a further 2xx of a fork: sipua ends it when the transaction is freed */
	if (status < 200)
		on_provisional(x, status, sip);
	else if (status < 300 && sip)
		on_success(x, sip);
	else
		on_failure(x, status, sip);
}

const struct sipua_cli_ops call_invite_cli_ops = { .response = invite_response };

static void invite_cancel(void *arg, struct sipua_srv *s, const struct wire_sip *sip)
{
	struct call_exchange *x = arg;

	call_exchange_refuse(x, 487, NULL, NULL);
	call_end(x->call, "canceled", "caller", 487, NULL, sip);
}

const struct sipua_srv_ops call_invite_srv_ops = { .ack = call_exchange_ack, .cancel = invite_cancel };
