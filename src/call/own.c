/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of our own inside a dialog: the refresh of a session timer, and the re-INVITE that shows one peer what the other wants now.
 * Those of a leg wait in line until no other offer is open there; a 491 is tried again once, after the time of RFC 3261 section 14.1.
 */
#include "call/b2b.h"

static struct slice text_of(const struct call_text *t) { return (struct slice){ t->p ? t->p : "", t->n }; }

static void own_response(void *arg, struct sipua_cli *cli, int status, const struct wire_sip *sip);
static const struct sipua_cli_ops own_ops = { .response = own_response };

/** What is to be sent: the last SDP as it was, or the other peer as it is to be shown. 0 or a status. */
static int own_offer(struct call_exchange *x, bool update)
{
	struct slice text;
	int status;

	if (update)
		return 0;
	if (x->own == CALL_OWN_SHOW && call_text_set(&x->view, text_of(&x->from->goal)))
		return 500;
	if (x->own == CALL_OWN_SHOW)
		return call_exchange_make(x, x->to, text_of(&x->view), false, &x->offer_out);
	status = call_sdp_again(x->to, &text);
	return status ? status : call_text_set(&x->offer_out, text) ? 500 : 0;
}

static int own_send(struct call_exchange *x, bool update)
{
	struct sipua_msg *msg;
	int err = sipua_msg_request(x->to->dialog, update ? SLICE("UPDATE") : SLICE("INVITE"), NULL, 70, &msg);

	if (err)
		return err;
	err = call_headers_contact(msg, x->to);
	if (!err)
		err = call_headers_ours(msg, x->to);
	if (!err)
		err = call_timer_request(x->to, msg);
	if (!err && x->offer_out.n)
		err = sipua_msg_body(msg, SLICE("application/sdp"), text_of(&x->offer_out));
	if (err) {
		sipua_msg_free(msg);
		return err;
	}
	if (x->own == CALL_OWN_REFRESH)
		sipua_msg_repeats(msg);
	return sipua_cli_send(x->to->dialog, msg, NULL, &own_ops, x, &x->cli);
}

/** The first that waits. */
static void own_start(struct call_leg *leg)
{
	enum call_own what = leg->todo & 1u << CALL_OWN_UNDO ? CALL_OWN_UNDO : leg->todo & 1u << CALL_OWN_SHOW ? CALL_OWN_SHOW : CALL_OWN_REFRESH;
	bool update = what == CALL_OWN_REFRESH && !call_timer_by_invite(leg);
	struct call_exchange *x = call_exchange_new(call_other(leg), leg, NULL, update ? WIRE_UPDATE : WIRE_INVITE);

	leg->todo &= ~(1u << what);
	if (!x)
		return;
	x->own = what;
	x->local_answer = true;
	x->offers = !update;
	memcpy(x->shown_dir, x->from->goal_dir, sizeof x->shown_dir);
	call_exchange_beside(x);
	if (own_offer(x, update) || own_send(x, update)) {
		base_count(COUNTER_MIDCALL_OWN_FAILED);
		call_exchange_free(x);
		if (what == CALL_OWN_REFRESH)
			call_timer_failed(leg, 503, NULL);
		return;
	}
	call_persist(leg->call); /* our o= and CSeq */
}

static void on_todo(void *arg)
{
	struct call_leg *leg = arg;

	if (!leg->todo || leg->call->state != CALL_UP || !leg->dialog || call_exchange_busy(leg) || (leg->call->x && leg->call->x->initial))
		return; /* the exchange that is in the way calls again when it is done */
	own_start(leg);
}

void call_own_kick(struct call_leg *leg, int64_t after_ms)
{
	if (leg->todo && leg->call->state == CALL_UP && !(loop_timer_active(&leg->todo_timer) && !after_ms))
		loop_timer_start(leg->call->eng->p.loop, &leg->todo_timer, after_ms, on_todo, leg);
}

void call_own_add(struct call_leg *leg, enum call_own what)
{
	leg->todo |= 1u << what;
	call_own_kick(leg, 0);
}

void call_own_stop(struct call_leg *leg)
{
	leg->todo = 0;
	loop_timer_stop(&leg->todo_timer);
}

unsigned call_own_open(const struct call_leg *leg)
{
	const struct list_node *n;
	unsigned set = leg->todo;

	for (n = leg->call->others.next; n != &leg->call->others; n = n->next) {
		const struct call_exchange *x = container_of(n, struct call_exchange, node);

		if (x->to == leg && !x->srv && x->cli)
			set |= 1u << x->own;
	}
	return set;
}

void call_own_shown(struct call_leg *leg)
{
	call_other(leg)->todo &= ~(1u << CALL_OWN_SHOW);
	call_text_clear(&leg->goal);
}

/** The peer was shown it: unless the other wants something else again by now, that was all. */
static void shown(struct call_exchange *x)
{
	struct call_leg *other = x->from;

	if (!call_text_set(&other->view, text_of(&x->view)))
		memcpy(other->shown_dir, x->shown_dir, sizeof other->shown_dir);
	if (!(x->to->todo & 1u << CALL_OWN_SHOW))
		call_text_clear(&other->goal);
}

/** The peer has what the other one wants. */
static void own_done(struct call_exchange *x, const struct wire_sip *sip)
{
	struct call_leg *leg = x->to;
	struct slice body = call_body_is_sdp(sip) ? call_body_sdp(sip) : text_of(&x->answer_in);

	leg->tries = 0;
	leg->timer.small = 0;
	call_leg_allow(leg, sip);
	sipua_dialog_refresh_target(leg->dialog, sip);
	call_timer_accepted(leg, sip);
	base_count_n(COUNTER_TIMER_REFRESHED, x->own == CALL_OWN_REFRESH);
	if (x->own == CALL_OWN_SHOW)
		shown(x);
	if (!x->offer_out.n || !body.n)
		return;
	if (call_exchange_secure(x, leg, body) || call_answered_here(leg, WIRE_INVITE, body, text_of(&x->offer_out)))
		base_count(COUNTER_MIDCALL_OWN_FAILED);
}

/** Role-based: the owner of the Call-ID waits longer (RFC 3261 section 14.1). */
static int64_t back_off(const struct call_leg *leg)
{
	bool owner = !sipua_dialog_is_uas(leg->dialog);

	return owner ? 2100 + 10 * (int64_t)base_random_below(191) : 10 * (int64_t)base_random_below(201);
}

static void own_failed(struct call_leg *leg, enum call_own what, bool update, int status, const struct wire_sip *sip)
{
	struct call_verdict v = { .status = status, .reason = "own-request-failed" };

	if (status == 491 && !leg->tries++) {
		base_count(COUNTER_MIDCALL_GLARE);
		leg->todo |= 1u << what;
		call_own_kick(leg, back_off(leg));
		return;
	}
	leg->tries = 0;
	if (what == CALL_OWN_REFRESH && update && (status == 405 || status == 501 || status == 504)) {
		leg->update_refused = true;
		call_own_add(leg, CALL_OWN_REFRESH);
		return;
	}
	base_count(COUNTER_MIDCALL_OWN_FAILED);
	if (what == CALL_OWN_SHOW) {
		call_decision_note(leg, WIRE_INVITE, &v);
		call_text_clear(&call_other(leg)->goal); /* both sessions stay as they are */
		call_persist(leg->call);
	}
	if (what == CALL_OWN_REFRESH || status == 481 || (!sip && status == 408))
		call_timer_failed(leg, status, sip);
}

/** A reliable one is acknowledged; its answer counts where the 2xx has none. */
static void own_provisional(struct call_exchange *x, const struct wire_sip *sip)
{
	bool offer;

	if (x->method != WIRE_INVITE || !sip || wire_sip_status(sip) == 100 || !call_reliable_heard(x, sip, &offer))
		return;
	call_leg_allow(x->to, sip);
	if (call_body_is_sdp(sip) && call_text_set(&x->answer_in, call_body_sdp(sip)))
		base_count(COUNTER_MIDCALL_OWN_FAILED);
}

static void own_response(void *arg, struct sipua_cli *cli, int status, const struct wire_sip *sip)
{
	struct call_exchange *x = arg;
	struct call_leg *leg = x->to;
	struct call *c = x->call;
	enum call_own what = x->own;
	bool update = x->method == WIRE_UPDATE;

	if (status < 200) {
		own_provisional(x, sip);
		return;
	}
	if (status < 300 && sip) {
		if (!update)
			sipua_cli_ack(cli, NULL);
		own_done(x, sip);
		call_exchange_free(x);
		call_persist(c);
		return;
	}
	call_exchange_free(x);
	own_failed(leg, what, update, status, sip);
}
