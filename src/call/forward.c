/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A re-INVITE or UPDATE that goes on to the other leg: a re-INVITE as re-INVITE, an UPDATE as UPDATE where the other side's live Allow lists it, else as
 * re-INVITE (design.md section 6, 'Relaying'; RFC 3261 14, RFC 3311, RFC 6141, RFC 6337). A failure goes back to the requester and both sessions stay as
 * they were. What is to be shown is shown.c's, what an answer brings answered.c's; the ACK of an offerless one holds the answer for both.
 */
#include "call/b2b.h"

#define UPDATE_AS_INVITE_MS 20000

static const struct sipua_srv_ops forward_srv_ops;
static const struct sipua_cli_ops forward_cli_ops;

static struct slice text_of(const struct call_text *t) { return (struct slice){ t->p ? t->p : "", t->n }; }

static bool is_invite(const struct call_exchange *x) { return x->method == WIRE_INVITE || x->as_invite; }

/* ---- out ---- */

/** Our last description there again: the UPDATE has none. 0 or a status. */
static int repeat_last(struct call_exchange *x)
{
	struct slice text;
	int status = call_sdp_again(x->to, &text);

	x->local_answer = true;
	return status ? status : call_text_set(&x->offer_out, text) ? 500 : 0;
}

/** What the other leg is to be shown of an offer. 0 or a status. */
static int offer_make(struct call_exchange *x, const struct call_verdict *v, const struct wire_sdp *now, const struct call_change *ch)
{
	struct slice text;
	int status;
	unsigned i;

	x->has_offer = true;
	x->relayed = v->relayed;
	for (i = 0; i < WIRE_SDP_MEDIA; i++)
		x->line[i] = ch->line[i] & v->relayed;
	memcpy(x->want_dir, v->want_dir, sizeof x->want_dir);
	memcpy(x->shown_dir, v->shown_dir, sizeof x->shown_dir);
	status = call_shown_offer(x->from, now, ch, v->relayed, v->shown_dir, &text);
	if (!status && (call_text_set(&x->offer_in, now->text) || call_text_set(&x->view, text)))
		status = 500;
	return status ? status : call_exchange_make(x, x->to, text_of(&x->view), false, &x->offer_out);
}

/** 0 or the status that refuses the request. */
static int send_on(struct call_exchange *x, const struct sipua_dest *dest)
{
	const struct wire_sip *sip = sipua_srv_sip(x->srv);
	enum wire_method m = x->as_invite ? WIRE_INVITE : x->method;
	int mf = wire_sip_max_forwards(sip);
	struct sipua_msg *msg;
	bool before = x->to->no_reliable;
	int err;

	if (sipua_msg_request(x->to->dialog, slice_str(wire_method_name(m)), NULL, mf < 0 || mf > 70 ? 69 : mf - 1, &msg))
		return 500;
	/* an offer in a reliable response would need the requester's PRACK */
	x->to->no_reliable = m == WIRE_INVITE && !x->has_offer && !x->local_answer;
	err = call_headers_fill(msg, sip, x->to, true, text_of(&x->offer_out));
	x->to->no_reliable = before;
	if (err || call_timer_forward(x->to, msg, sip)) {
		sipua_msg_free(msg);
		return 500;
	}
	return sipua_cli_send(x->to->dialog, msg, dest, &forward_cli_ops, x, &x->cli) ? 500 : 0;
}

/** Send it once more, in place of the one that was answered or not. False: it could not be sent, the old one stays. */
static bool send_again(struct call_exchange *x, const struct sipua_dest *dest)
{
	struct sipua_cli *old = x->cli;

	x->cli = NULL;
	if (send_on(x, dest)) {
		x->cli = old;
		return false;
	}
	sipua_cli_free(old);
	return true;
}

/** The call's target says nothing: once more, through the next target of its trunk. False: there is none. */
static bool send_elsewhere(struct call_exchange *x)
{
	struct sipua_dest dest;
	char name[256];

	if (x->elsewhere || !x->srv || !call_hunt_elsewhere(x->to, name, &dest))
		return false;
	x->elsewhere = true;
	return send_again(x, &dest);
}

static void on_silence(void *arg)
{
	struct call_exchange *x = arg;

	if (x->state == CALL_X_SENT && x->cli && !sipua_cli_status(x->cli))
		send_elsewhere(x);
}

static void on_late(void *arg)
{
	struct call_exchange *x = arg;

	call_exchange_refuse(x, 504, NULL, NULL);
	x->canceled = true;
	sipua_cli_cancel(x->cli, NULL);
}

static void watch(struct call_exchange *x)
{
	struct loop *l = x->call->eng->p.loop;

	if (x->as_invite)
		loop_timer_start(l, &x->timer, UPDATE_AS_INVITE_MS, on_late, x);
	if (call_hunt_has_other(x->to))
		loop_timer_start(l, &x->silent, peer_try_ms(x->to->trunk), on_silence, x);
}

/** The headers whose change crosses are shown from now on; what fails takes that back. */
static void identity_show(struct call_exchange *x, const struct wire_sip *sip)
{
	memcpy(x->identity_before, x->from->identity[1], sizeof x->identity_before);
	if (x->relayed & 1u << CALL_IDENTITY)
		call_identity_take(x->from, sip, true);
}

static int start(struct call_exchange *x, const struct call_verdict *v, const struct wire_sdp *now, const struct call_change *ch)
{
	const struct wire_sip *sip = sipua_srv_sip(x->srv);
	int status = wire_sip_max_forwards(sip) == 0 ? 483 : 0;

	x->relayed = v->relayed;
	memcpy(x->identity_was, x->from->identity[0], sizeof x->identity_was);
	identity_show(x, sip);
	if (!status && now)
		status = offer_make(x, v, now, ch);
	else if (!status && x->as_invite)
		status = repeat_last(x);
	return status ? status : send_on(x, NULL);
}

/** Nothing of it counts: what was noted for it is as before. */
static void forget(struct call_exchange *x)
{
	memcpy(x->from->identity[1], x->identity_before, sizeof x->identity_before);
	memcpy(x->from->identity[0], x->identity_was, sizeof x->identity_was);
}

void call_forward(struct call_leg *leg, struct sipua_srv *srv, enum wire_method m, const struct call_verdict *v, const struct wire_sdp *now,
	const struct call_change *ch)
{
	struct call_leg *to = call_other(leg);
	struct call *c = leg->call;
	bool early = c->state < CALL_UP, as_invite = m == WIRE_UPDATE && !early && !(to->allow & 1u << WIRE_UPDATE);
	bool offers = m == WIRE_INVITE || now || as_invite;
	struct call_exchange *x;
	int status;

	if (offers && ((c->x && !early) || call_exchange_busy(to) >= 400)) {
		base_count(COUNTER_MIDCALL_GLARE);
		call_mid_refuse(srv, 491);
		return;
	}
	x = call_exchange_new(leg, to, srv, m);
	if (!x) {
		call_mid_refuse(srv, 500);
		return;
	}
	x->as_invite = as_invite;
	x->offers = offers;
	if (offers && !early) {
		c->x = x;
	} else if (!call_exchange_beside(x)) {
		x->srv = NULL;
		call_exchange_free(x);
		call_mid_refuse(srv, 500);
		return;
	}
	sipua_srv_bind(srv, &forward_srv_ops, x);
	status = start(x, v, now, ch);
	if (!status) {
		watch(x);
		return;
	}
	forget(x);
	call_exchange_refuse(x, status, NULL, NULL);
	call_exchange_free(x);
}

/* ---- answers ---- */

/** Both sides agree: what the requester wants is now what the other was shown, and the other way round. */
static int commit(struct call_exchange *x)
{
	struct call_leg *from = x->from, *to = x->to;

	if (call_text_set(&from->sdp_in, text_of(&x->offer_in)) || call_text_set(&from->sdp_out, text_of(&x->answer_out)) ||
		call_text_set(&to->sdp_in, text_of(&x->answer_in)) || call_text_set(&to->sdp_out, text_of(&x->offer_out)) ||
		call_text_set(&from->view, text_of(&x->view)) || call_text_set(&to->view, text_of(&x->to_view)))
		return ERR_FULL;
	memcpy(from->want_dir, x->want_dir, sizeof from->want_dir);
	memcpy(from->shown_dir, x->shown_dir, sizeof from->shown_dir);
	memcpy(to->want_dir, x->to_want, sizeof to->want_dir);
	memcpy(to->shown_dir, x->to_shown, sizeof to->shown_dir);
	from->was_offer = true;
	to->was_offer = false;
	call_own_shown(from); /* a request of ours that waited to show this is not wanted any more */
	call_exchange_updated(x->call);
	call_media_apply(x->call);
	return 0;
}

/** The description of a 2xx, or the one of a reliable 1xx before it. */
static struct slice body_of(const struct call_exchange *x, const struct wire_sip *resp)
{
	return call_body_is_sdp(resp) ? call_body_sdp(resp) : text_of(&x->answer_in);
}

/** The answer (or offer) of a response, for the requester. 0 or a status. */
static int take(struct call_exchange *x, const struct wire_sip *resp)
{
	struct slice body = body_of(x, resp);

	if (!body.n)
		return x->has_offer || is_invite(x) ? 488 : 0;
	if (x->local_answer)
		return call_answered_here(x->to, WIRE_INVITE, body, text_of(&x->offer_out));
	if (x->has_offer)
		return call_text_set(&x->answer_in, body) ? 500 : call_answered_carry(x);
	if (x->method != WIRE_INVITE)
		return 0;
	return call_text_set(&x->offer_in, body) ? 500 : call_answered_offer(x);
}

static struct sipua_msg *response_for(struct call_exchange *x, const struct wire_sip *resp, struct slice sdp)
{
	struct sipua_msg *msg;

	if (sipua_msg_response(x->srv, wire_sip_status(resp), NULL, &msg))
		return NULL;
	if (!call_headers_fill(msg, resp, x->from, true, sdp))
		return msg;
	sipua_msg_free(msg);
	return NULL;
}

static int reply_success(struct call_exchange *x, const struct wire_sip *resp)
{
	const struct call_text *t = x->has_offer ? &x->answer_out : &x->offer_out;
	struct sipua_msg *msg = response_for(x, resp, (struct slice){ t->p, x->has_offer || x->method == WIRE_INVITE ? t->n : 0 });
	int err = msg ? call_timer_accept(x->from, msg, sipua_srv_sip(x->srv)) : ERR_FULL;

	if (err) {
		sipua_msg_free(msg);
		return err;
	}
	call_persist(x->call);
	return sipua_srv_send(x->srv, msg);
}

/** The 2xx came too late or cannot be used: the requester is refused, the peer gets back what was in force. */
static void failed(struct call_exchange *x, int status)
{
	struct call_leg *to = x->to;
	bool invite = is_invite(x);

	forget(x);
	call_exchange_refuse(x, status, NULL, NULL);
	call_exchange_free(x);
	if (invite)
		call_own_add(to, CALL_OWN_UNDO);
}

static void on_success(struct call_exchange *x, const struct wire_sip *resp)
{
	bool late = !x->srv || sipua_srv_status(x->srv) >= 200;
	int status;

	loop_timer_stop(&x->timer);
	call_leg_allow(x->to, resp);
	if (x->call->state == CALL_UP)
		call_timer_accepted(x->to, resp);
	sipua_dialog_refresh_target(x->to->dialog, resp);
	status = late ? 487 : take(x, resp);
	if (is_invite(x) && (status || x->has_offer || x->local_answer))
		sipua_cli_ack(x->cli, NULL);
	if (status) {
		failed(x, status);
		return;
	}
	if (x->has_offer)
		commit(x);
	call_identity_take(x->from, sipua_srv_sip(x->srv), x->relayed & 1u << CALL_IDENTITY);
	call_identity_take(x->to, resp, call_decide_relays(x->to, x->method, CALL_IDENTITY));
	sipua_dialog_refresh_target(x->from->dialog, sipua_srv_sip(x->srv));
	reply_success(x, resp);
	if (x->method == WIRE_INVITE)
		x->state = x->has_offer ? CALL_X_DONE : CALL_X_ACK; /* until its ACK */
	else
		call_exchange_free(x);
}

/** A 405, 501 or 504 to our UPDATE: the same as re-INVITE. False: it cannot be. */
static bool by_invite(struct call_exchange *x, int status)
{
	struct call *c = x->call;

	if (x->method != WIRE_UPDATE || x->as_invite || c->state != CALL_UP || (status != 405 && status != 501 && status != 504))
		return false;
	if (c->x != x) {
		if (c->x || call_exchange_busy(x->to) >= 400)
			return false;
		call_exchange_front(x);
	}
	x->as_invite = x->offers = true;
	if ((!x->has_offer && repeat_last(x)) || !send_again(x, NULL))
		return false;
	watch(x);
	return true;
}

/** A failure that is no answer for the requester: the same goes out once more. */
static bool tried_again(struct call_exchange *x, int status, const struct wire_sip *resp)
{
	if (!resp || x->canceled)
		return false;
	return by_invite(x, status) || (status == 422 && call_timer_again(x->to, resp) && send_again(x, NULL));
}

static void on_failure(struct call_exchange *x, int status, const struct wire_sip *resp)
{
	struct call *c = x->call;
	struct call_leg *to = x->to;
	bool gone = status == 481 || status == 408, changed = x->changed && !x->srv_changed;
	char phrase[128];

	if (resp)
		call_leg_allow(to, resp);
	if (tried_again(x, status, resp))
		return;
	if (status == 422 && !call_timer_relayed(c)) {
		status = 500; /* a matter of that leg alone */
		resp = NULL;
	}
	if (resp)
		call_hunt_said(to, status, resp);
	slice_copy(phrase, sizeof phrase, resp ? wire_sip_phrase(resp) : (struct slice){ NULL, 0 });
	forget(x);
	call_exchange_refuse(x, status, phrase[0] ? phrase : NULL, resp);
	call_exchange_free(x);
	if (gone) {
		to->over = true; /* the dialog is no more there */
		call_end(c, "dialog-lost", "postern", status, to, NULL);
	} else if (changed) {
		call_own_add(to, CALL_OWN_UNDO);
	}
}

/** A reliable 1xx with the answer makes it effective (RFC 6141 section 3.3); on the requester's leg where that gets it reliably too. */
static struct slice answer_early(struct call_exchange *x, const struct wire_sip *resp)
{
	char buf[32];

	if (!wire_sip_header(resp, "RSeq", buf, sizeof buf).p || !call_body_is_sdp(resp) || x->changed || take(x, resp))
		return (struct slice){ NULL, 0 };
	if (x->local_answer)
		return call_text_set(&x->answer_in, call_body_sdp(resp)), (struct slice){ NULL, 0 };
	x->changed = true;
	if (x->method != WIRE_INVITE || !call_reliable_can(sipua_srv_sip(x->srv)))
		return (struct slice){ NULL, 0 };
	x->srv_changed = true;
	commit(x);
	call_persist(x->call);
	return text_of(&x->answer_out);
}

static void on_provisional(struct call_exchange *x, const struct wire_sip *resp)
{
	struct slice sdp = { NULL, 0 };
	struct sipua_msg *msg;
	bool offer;

	if (wire_sip_status(resp) == 100 || !is_invite(x) || !call_reliable_heard(x, resp, &offer))
		return;
	call_leg_allow(x->to, resp);
	if (x->has_offer || x->local_answer)
		sdp = answer_early(x, resp);
	if (x->method != WIRE_INVITE || !x->srv || sipua_srv_status(x->srv) >= 200)
		return;
	msg = response_for(x, resp, sdp);
	if (msg)
		call_reliable_provisional(x, msg, resp);
}

static void forward_response(void *arg, struct sipua_cli *cli, int status, const struct wire_sip *sip)
{
	struct call_exchange *x = arg;

	if (x->state != CALL_X_SENT)
		return;
	if (status < 200 && sip)
		on_provisional(x, sip);
	else if (status >= 200 && status < 300 && sip)
		on_success(x, sip);
	else if (status >= 300 && (sip || x->canceled || !send_elsewhere(x)))
		on_failure(x, status, sip);
}

static const struct sipua_cli_ops forward_cli_ops = { .response = forward_response };

/* ---- the ACK of an offerless re-INVITE ---- */

/** Offer and answer are known on both legs. */
static void commit_ack(struct call_exchange *x)
{
	struct call_leg *from = x->from, *to = x->to;

	if (call_text_set(&to->sdp_in, text_of(&x->offer_in)) || call_text_set(&to->sdp_out, text_of(&x->answer_out)) ||
		call_text_set(&from->sdp_in, text_of(&x->answer_in)) || call_text_set(&from->sdp_out, text_of(&x->offer_out)) ||
		call_text_set(&from->view, text_of(&x->view)) || call_text_set(&to->view, text_of(&x->to_view)))
		return;
	memcpy(from->want_dir, x->want_dir, sizeof from->want_dir);
	memcpy(from->shown_dir, x->shown_dir, sizeof from->shown_dir);
	memcpy(to->want_dir, x->to_want, sizeof to->want_dir);
	memcpy(to->shown_dir, x->to_shown, sizeof to->shown_dir);
	from->was_offer = false;
	to->was_offer = true;
	call_own_shown(from);
	call_media_apply(x->call);
}

/** The peer's offer is answered with what it was told before: the requester's ACK holds nothing of use. */
static int ack_local(struct call_exchange *x)
{
	static struct wire_sdp was, now;
	struct slice text;
	int status = wire_sdp_parse(text_of(&x->to->sdp_in), &was) || wire_sdp_parse(text_of(&x->offer_in), &now) ? 488 : 0;

	if (!status)
		status = call_shown_answer(x->to, &was, &now, &text);
	if (!status)
		status = call_exchange_make(x, x->to, text, true, &x->answer_out);
	if (!status && (call_text_set(&x->to->sdp_in, text_of(&x->offer_in)) || call_text_set(&x->to->sdp_out, text_of(&x->answer_out))))
		status = 500;
	if (status)
		return status;
	x->to->was_offer = true;
	call_media_apply(x->call);
	return 0;
}

static void ack_answer(struct call_exchange *x, const struct wire_sip *sip)
{
	struct sipua_msg *msg = NULL;
	struct call *c = x->call;
	int status = call_body_is_sdp(sip) ? 0 : 488;

	if (!status && call_text_set(&x->answer_in, call_body_sdp(sip)))
		status = 500;
	if (!status)
		status = call_answered_ack(x);
	if (!status) {
		commit_ack(x);
	} else {
		base_count(COUNTER_MIDCALL_OWN_FAILED);
		call_decision_note(x->from, WIRE_INVITE, &(struct call_verdict){ .status = status, .reason = "no-answer-in-ack" });
		status = ack_local(x);
	}
	if (!status && !sipua_msg_request(x->to->dialog, SLICE("ACK"), NULL, 70, &msg) && sipua_msg_body(msg, SLICE("application/sdp"), text_of(&x->answer_out))) {
		sipua_msg_free(msg);
		msg = NULL;
	}
	call_persist(c);
	sipua_cli_ack(x->cli, msg);
	call_exchange_free(x);
	if (status || !msg)
		call_end(c, "media", "postern", 488, NULL, NULL);
}

static void forward_ack(void *arg, struct sipua_srv *s, const struct wire_sip *sip)
{
	struct call_exchange *x = arg;

	if (!sip) {
		if (x->state == CALL_X_ACK)
			sipua_cli_ack(x->cli, NULL);
		call_end(x->call, "no-ack", "postern", 408, NULL, NULL);
	} else if (x->state == CALL_X_ACK) {
		ack_answer(x, sip);
	} else {
		call_exchange_free(x);
	}
}

static void forward_cancel(void *arg, struct sipua_srv *s, const struct wire_sip *sip)
{
	struct call_exchange *x = arg;

	call_exchange_refuse(x, 487, NULL, NULL);
	x->canceled = true;
	sipua_cli_cancel(x->cli, NULL); /* its final comes; a 2xx that crosses is undone */
}

static const struct sipua_srv_ops forward_srv_ops = { .ack = forward_ack, .cancel = forward_cancel };
