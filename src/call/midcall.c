/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests inside a dialog: a re-INVITE or UPDATE is classified and decided over; here it is relayed: a re-INVITE as re-INVITE, an UPDATE as UPDATE
 * where the other side's live Allow lists it, else as re-INVITE (design.md section 6, 'Relaying'; RFC 3261 14, RFC 3311, RFC 6141, RFC 6337).
 * A failure goes back to the requester and both sessions stay as they were. What is answered here is consume.c's, BYE ending.c's.
 */
#include <stdio.h>

#include "call/b2b.h"

#define UPDATE_AS_INVITE_MS 20000

static const struct sipua_srv_ops relay_srv_ops;
static const struct sipua_cli_ops relay_cli_ops;
static const struct sipua_cli_ops undo_cli_ops;

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

/** Text that goes to the other leg: what it is to be shown, or our last one there where the request has none but must have. 0 or a status. */
static int relay_sdp(struct call_exchange *x, const struct wire_sip *sip, const struct call_verdict *v)
{
	struct slice text = { NULL, 0 };
	int status = 0;

	if (call_body_is_sdp(sip)) {
		x->has_offer = true;
		x->relayed = v->relayed;
		memcpy(x->want_dir, v->want_dir, sizeof x->want_dir);
		memcpy(x->shown_dir, v->shown_dir, sizeof x->shown_dir);
		status = call_shown_offer(x->from, &now, &change, v->relayed, v->shown_dir, &text);
		if (!status && (call_text_set(&x->offer_in, call_body_sdp(sip)) || call_text_set(&x->view, text)))
			status = 500;
		if (!status)
			status = call_sdp_make(x->to, text_of(&x->view), false, &text);
	} else if (x->as_invite) {
		x->local_answer = true;
		text = (struct slice){ x->to->sdp_out.p, x->to->sdp_out.n };
	}
	if (!status && text.n && call_text_set(&x->offer_out, text))
		status = 500;
	return status;
}

/** 0 or the status that refuses the request. */
static int relay_send(struct call_exchange *x, const struct wire_sip *sip, const struct sipua_dest *dest)
{
	enum wire_method m = x->as_invite ? WIRE_INVITE : x->method;
	int mf = wire_sip_max_forwards(sip), err;
	struct sipua_msg *msg;

	err = sipua_msg_request(x->to->dialog, slice_str(wire_method_name(m)), NULL, mf < 0 || mf > 70 ? 69 : mf - 1, &msg);
	if (err)
		return 500;
	if (call_headers_fill(msg, sip, x->to, true, text_of(&x->offer_out)) || call_timer_request(x->to, msg)) {
		sipua_msg_free(msg);
		return 500;
	}
	return sipua_cli_send(x->to->dialog, msg, dest, &relay_cli_ops, x, &x->cli) ? 500 : 0;
}

/** The call's target says nothing: once more, through the next target of its trunk. False: there is none. */
static bool relay_elsewhere(struct call_exchange *x)
{
	struct sipua_cli *old = x->cli;
	struct sipua_dest dest;
	char name[256];

	if (x->elsewhere || !x->srv || !call_hunt_elsewhere(x->to, name, &dest))
		return false;
	x->elsewhere = true;
	x->cli = NULL;
	if (relay_send(x, sipua_srv_sip(x->srv), &dest)) {
		x->cli = old;
		return false;
	}
	sipua_cli_free(old);
	return true;
}

static void relay_silent(void *arg)
{
	struct call_exchange *x = arg;

	if (x->state == CALL_X_SENT && x->cli && !sipua_cli_status(x->cli))
		relay_elsewhere(x);
}

static void update_timeout(void *arg)
{
	struct call_exchange *x = arg;

	call_exchange_refuse(x, 504, NULL, NULL);
	x->canceled = true;
	sipua_cli_cancel(x->cli, NULL);
}

static void relay_watch(struct call_exchange *x)
{
	struct loop *l = x->call->eng->p.loop;

	if (x->as_invite)
		loop_timer_start(l, &x->timer, UPDATE_AS_INVITE_MS, update_timeout, x);
	if (call_hunt_has_other(x->to))
		loop_timer_start(l, &x->silent, peer_try_ms(x->to->trunk), relay_silent, x);
}

static void relay(struct call_leg *leg, struct sipua_srv *srv, enum wire_method m, const struct call_verdict *v)
{
	const struct wire_sip *sip = sipua_srv_sip(srv);
	struct call_leg *to = call_other(leg);
	struct call *c = leg->call;
	bool oa = m == WIRE_INVITE || call_body_is_sdp(sip), as_invite = m == WIRE_UPDATE && !(to->allow & 1u << WIRE_UPDATE);
	struct call_exchange *x;
	int status;

	if ((oa || as_invite) && (c->x || call_exchange_busy(to) >= 400)) {
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
	if (oa || as_invite)
		c->x = x;
	else if (!call_exchange_beside(x)) {
		x->srv = NULL;
		call_exchange_free(x);
		call_mid_refuse(srv, 500);
		return;
	}
	sipua_srv_bind(srv, &relay_srv_ops, x);
	status = wire_sip_max_forwards(sip) == 0 ? 483 : relay_sdp(x, sip, v);
	if (!status)
		status = relay_send(x, sip, NULL);
	if (status) {
		call_exchange_refuse(x, status, NULL, NULL);
		call_exchange_free(x);
	} else {
		relay_watch(x);
	}
}

/* ---- answers ---- */

static bool is_invite(const struct call_exchange *x) { return x->method == WIRE_INVITE || x->as_invite; }

/** The peer's offer in a 2xx goes to the requester, who sent none. 0 or a status. */
static int carry_offer(struct call_exchange *x, struct slice body)
{
	struct slice text;
	int status = call_sdp_check(body);

	if (!status && call_text_set(&x->offer_in, body))
		status = 500;
	if (!status)
		status = call_sdp_for(x->from, body, false, &text);
	return status ? status : call_text_set(&x->offer_out, text) ? 500 : 0;
}

/** What the peer answered becomes the requester's answer, as far as that may see it. 0 or a status. */
static int carry_answer(struct call_exchange *x, struct slice body)
{
	struct slice text;
	int status = call_text_set(&x->answer_in, body) ? 500 : call_sdp_secure(x->to, body, true);

	if (!status && (wire_sdp_parse(body, &was) || wire_sdp_parse(text_of(&x->offer_in), &now)))
		status = 502;
	if (status)
		return status;
	call_decide_answer(x->to, x->as_invite ? WIRE_INVITE : x->method, &was, text_of(&x->offer_out));
	status = call_shown_carry(x->to, text_of(&x->answer_in), &now, x->to->shown_dir, &text);
	if (!status)
		status = call_sdp_make(x->from, text, true, &text);
	return status ? status : call_text_set(&x->answer_out, text) ? 500 : 0;
}

/** Both sides agree: what the requester wants is now what the other was shown. */
static int relay_commit(struct call_exchange *x)
{
	struct call_leg *from = x->from, *to = x->to;

	if (call_text_set(&from->sdp_in, text_of(&x->offer_in)) || call_text_set(&from->sdp_out, text_of(&x->answer_out)) ||
		call_text_set(&to->sdp_in, text_of(&x->answer_in)) || call_text_set(&to->sdp_out, text_of(&x->offer_out)) ||
		call_text_set(&from->view, text_of(&x->view)) || call_shown_all(to))
		return ERR_FULL;
	memcpy(from->want_dir, x->want_dir, sizeof from->want_dir);
	memcpy(from->shown_dir, x->shown_dir, sizeof from->shown_dir);
	from->was_offer = true;
	to->was_offer = false;
	call_media_apply(x->call);
	return 0;
}

/** The answer (or offer) of a 2xx for the requester. 0 or a status. */
static int relay_answer(struct call_exchange *x, const struct wire_sip *resp)
{
	if (!call_body_is_sdp(resp))
		return x->has_offer || is_invite(x) ? 488 : 0;
	if (x->local_answer) {
		if (call_text_set(&x->to->sdp_in, call_body_sdp(resp)))
			return 500;
		call_media_apply(x->call);
		return 0;
	}
	if (x->has_offer)
		return carry_answer(x, call_body_sdp(resp));
	return x->method == WIRE_INVITE ? carry_offer(x, call_body_sdp(resp)) : 0;
}

static int reply_success(struct call_exchange *x, const struct wire_sip *resp)
{
	const struct call_text *t = x->has_offer ? &x->answer_out : &x->offer_out;
	struct slice sdp = { t->p, x->has_offer || x->method == WIRE_INVITE ? t->n : 0 };
	struct sipua_msg *msg;
	int err = sipua_msg_response(x->srv, wire_sip_status(resp), NULL, &msg);

	if (err)
		return err;
	err = call_headers_fill(msg, resp, x->from, true, sdp);
	if (!err)
		err = call_timer_accept(x->from, msg, sipua_srv_sip(x->srv));
	if (err) {
		sipua_msg_free(msg);
		return err;
	}
	call_persist(x->call);
	return sipua_srv_send(x->srv, msg);
}

/** A re-INVITE of ours with the description in force: puts back what a 2xx that crossed our CANCEL, or could not be used, has changed. */
static void undo(struct call_leg *leg)
{
	struct call_exchange *x = call_exchange_new(call_other(leg), leg, NULL, WIRE_INVITE);
	struct sipua_msg *msg;
	int err;

	if (!x)
		return;
	x->local_answer = true;
	leg->call->x = x;
	err = sipua_msg_request(leg->dialog, SLICE("INVITE"), NULL, 70, &msg);
	if (err)
		goto out;
	err = call_headers_contact(msg, leg);
	if (!err)
		err = call_headers_ours(msg, leg);
	if (!err)
		err = sipua_msg_body(msg, SLICE("application/sdp"), (struct slice){ leg->sdp_out.p, leg->sdp_out.n });
	if (err)
		sipua_msg_free(msg);
	else
		err = sipua_cli_send(leg->dialog, msg, NULL, &undo_cli_ops, x, &x->cli);
out:
	if (err)
		call_exchange_free(x);
}

static void undo_response(void *arg, struct sipua_cli *cli, int status, const struct wire_sip *sip)
{
	struct call_exchange *x = arg;

	if (status < 200)
		return;
	if (status < 300)
		sipua_cli_ack(cli, NULL);
	if (status < 300 && sip && call_body_is_sdp(sip) && !call_text_set(&x->to->sdp_in, call_body_sdp(sip)))
		call_media_apply(x->call);
	call_persist(x->call);
	call_exchange_free(x);
}

static const struct sipua_cli_ops undo_cli_ops = { .response = undo_response };

/** The 2xx came too late or cannot be used: the requester is refused, the peer gets back what was in force. */
static void relay_failed(struct call_exchange *x, int status)
{
	struct call_leg *to = x->to;
	bool invite = is_invite(x);

	call_exchange_refuse(x, status, NULL, NULL);
	call_exchange_free(x);
	if (invite)
		undo(to);
}

static void on_success(struct call_exchange *x, const struct wire_sip *resp)
{
	bool late = !x->srv || sipua_srv_status(x->srv) >= 200;
	int status;

	loop_timer_stop(&x->timer);
	call_leg_allow(x->to, resp);
	call_identity_changed(x->to, resp);
	call_timer_accepted(x->to, resp);
	sipua_dialog_refresh_target(x->to->dialog, resp);
	status = late ? 487 : relay_answer(x, resp);
	if (is_invite(x) && (status || x->has_offer || x->local_answer))
		sipua_cli_ack(x->cli, NULL);
	if (status) {
		relay_failed(x, status);
		return;
	}
	if (x->has_offer)
		relay_commit(x);
	if (x->method == WIRE_INVITE || x->method == WIRE_UPDATE)
		sipua_dialog_refresh_target(x->from->dialog, sipua_srv_sip(x->srv));
	reply_success(x, resp);
	if (x->method == WIRE_INVITE)
		x->state = x->has_offer ? CALL_X_DONE : CALL_X_ACK; /* until its ACK */
	else
		call_exchange_free(x);
}

static void on_failure(struct call_exchange *x, int status, const struct wire_sip *resp)
{
	struct call *c = x->call;
	struct call_leg *from = x->from, *to = x->to;
	bool gone = status == 481 || (!resp && status == 408);
	char phrase[128];

	slice_copy(phrase, sizeof phrase, resp ? wire_sip_phrase(resp) : (struct slice){ NULL, 0 });
	call_exchange_refuse(x, status, resp && phrase[0] ? phrase : NULL, resp);
	call_exchange_free(x);
	if (gone && from) {
		to->over = true; /* the dialog is no more there */
		call_end(c, "dialog-lost", "postern", status, to, NULL);
	}
}

static void relay_response(void *arg, struct sipua_cli *cli, int status, const struct wire_sip *sip)
{
	struct call_exchange *x = arg;

	if (status < 200 || x->state != CALL_X_SENT)
		return;
	if (status < 300 && sip)
		on_success(x, sip);
	else if (sip || x->canceled || !relay_elsewhere(x))
		on_failure(x, status, sip);
}

static const struct sipua_cli_ops relay_cli_ops = { .response = relay_response };

static void relay_cancel(void *arg, struct sipua_srv *s, const struct wire_sip *sip)
{
	struct call_exchange *x = arg;

	call_exchange_refuse(x, 487, NULL, NULL);
	x->canceled = true;
	sipua_cli_cancel(x->cli, NULL); /* its final comes; a 2xx that crosses is undone */
}

static const struct sipua_srv_ops relay_srv_ops = { .ack = call_exchange_ack, .cancel = relay_cancel };

/* ---- in ---- */

/** What the request changes. 0 or the status that refuses it. */
static int classify(struct call_leg *leg, enum wire_method m, const struct wire_sip *sip)
{
	bool identity = call_identity_changed(leg, sip);
	int status = 0;

	memset(&change, 0, sizeof change);
	if (call_body_is_sdp(sip)) {
		status = call_sdp_check(call_body_sdp(sip));
		if (!status)
			status = call_sdp_secure(leg, call_body_sdp(sip), false);
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

/** Before the call is up nothing can be relayed beside the INVITE: answered here where that can be, else 488. */
static void early(struct call_leg *leg, struct call_verdict *v)
{
	if (leg->call->state >= CALL_UP || !v->relay)
		return;
	v->relay = false;
	v->reason = "early";
	if (v->relayed & 1u << CALL_FAX || (v->relayed & 1u << CALL_CODEC && !call_shown_can_codec(leg, &now, &change)))
		v->status = 488;
}

/** A re-INVITE or UPDATE. */
static void session_request(struct call_leg *leg, struct sipua_srv *srv, enum wire_method m)
{
	const struct wire_sip *sip = sipua_srv_sip(srv);
	bool sdp = call_body_is_sdp(sip);
	int busy = m == WIRE_INVITE || sdp ? call_exchange_busy(leg) : 0, status;
	struct call_verdict v;

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
	call_decide(leg, m, sdp ? &now : NULL, false, &change, &v);
	if (!v.status)
		early(leg, &v);
	call_decision_note(leg, m, &v);
	if (v.status)
		call_mid_refuse(srv, v.status);
	else if (v.relay)
		relay(leg, srv, m, &v);
	else
		call_consume(leg, srv, m, v.want_dir);
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
	} else if (m == WIRE_INVITE || m == WIRE_UPDATE) {
		session_request(leg, srv, m);
	} else {
		call_relay_request(leg, srv);
	}
}

const struct sipua_dialog_ops call_dialog_ops = { .request = dialog_request };
