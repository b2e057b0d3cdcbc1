/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request of one leg that goes to the other, and the offer/answer that rides on it. The exchange owns both transactions and the four
 * descriptions; nothing of the legs changes until answer and offer are known (RFC 6337: a refused offer leaves the session as it was).
 */
#include <errno.h>
#include <stdlib.h>

#include "call/b2b.h"

static void exchange_destroy(void *obj)
{
	struct call_exchange *x = obj;

	loop_timer_stop(&x->timer);
	loop_timer_stop(&x->silent);
	if (x->call->x == x)
		x->call->x = NULL;
	if (x->beside)
		x->call->nothers--;
	list_del(&x->node);
	call_mid_kick(x->from);
	call_mid_kick(x->to);
	call_own_kick(x->from, 0);
	call_own_kick(x->to, 0);
	call_reliable_free(x->reliable);
	sipua_srv_free(x->srv);
	sipua_cli_free(x->cli);
	call_text_clear(&x->offer_in);
	call_text_clear(&x->offer_out);
	call_text_clear(&x->answer_in);
	call_text_clear(&x->answer_out);
	call_text_clear(&x->view);
	call_text_clear(&x->to_view);
}

struct call_exchange *call_exchange_new(struct call_leg *from, struct call_leg *to, struct sipua_srv *srv, enum wire_method method)
{
	struct call_exchange *x = base_new(sizeof *x, exchange_destroy);

	if (!x)
		return NULL;
	x->call = from->call;
	x->from = from;
	x->to = to;
	x->srv = srv;
	x->method = method;
	return x;
}

void call_exchange_free(struct call_exchange *x)
{
	base_unref(x);
}

bool call_exchange_beside(struct call_exchange *x)
{
	struct call *c = x->call;

	if (x->beside)
		return true;
	/* requests of ours are few by themselves */
	if (x->srv && c->nothers >= CALL_OTHERS_MAX) {
		base_count(COUNTER_CALL_REQUESTS_CUT);
		base_log_limited(BASE_WARN, 1, "call", "too many requests of a call are open call=%s", c->id);
		return false;
	}
	x->beside = true;
	c->nothers++;
	list_add_tail(&c->others, &x->node);
	return true;
}

void call_exchange_front(struct call_exchange *x)
{
	list_del(&x->node);
	x->call->nothers -= x->beside;
	x->beside = false;
	x->call->x = x;
}

int call_exchange_make(struct call_exchange *x, struct call_leg *to, struct slice body, bool answer, struct call_text *out)
{
	struct call_exchange *other = x->call->x;
	struct slice text;
	int status;

	/* what is made looks into the exchange in hand for the offer */
	x->call->x = x;
	status = call_sdp_make(to, body, answer, &text);
	x->call->x = other;
	return status ? status : call_text_set(out, text) ? 500 : 0;
}

/** Move a text of the exchange into its leg. */
static int text_dup(struct call_text *to, const struct call_text *from)
{
	return from->n ? call_text_set(to, (struct slice){ from->p, from->n }) : 0;
}

int call_exchange_commit(struct call_exchange *x)
{
	/* offer_in is the peer's that offered: `from`, or `to` where the request was offerless */
	struct call_leg *offerer = x->has_offer ? x->from : x->to, *answerer = call_other(offerer);
	int err = text_dup(&offerer->sdp_in, &x->offer_in);

	if (!err)
		err = text_dup(&offerer->sdp_out, &x->answer_out);
	if (!err)
		err = text_dup(&answerer->sdp_in, &x->answer_in);
	if (!err)
		err = text_dup(&answerer->sdp_out, &x->offer_out);
	if (!err) {
		call_shown_reset(offerer, answerer);
		call_media_apply(x->call);
	}
	return err;
}

int call_exchange_secure(struct call_exchange *x, struct call_leg *from, struct slice answer)
{
	struct call_exchange *other = x->call->x;
	int status;

	x->call->x = x;
	status = call_persist_room(from, answer) ? call_sdp_secure(from, answer, true) : 513;
	x->call->x = other;
	return status;
}

/** Of what stands beside the offer/answer in progress. */
static int busy_with(const struct call_exchange *x, const struct call_leg *leg)
{
	if (x->consumed)
		return x->from != leg || x->method != WIRE_INVITE ? 0 : x->state == CALL_X_ACK ? 491 : 1;
	if (x->to == leg && x->offers)
		return 491; /* ours is pending */
	if (x->from == leg && x->offers && x->srv)
		return 500; /* its own is unanswered */
	return x->to == leg && !x->srv ? 1 : 0; /* an UPDATE of ours without SDP */
}

static int busy_beside(const struct call_leg *leg)
{
	const struct call *c = leg->call;
	const struct list_node *n;
	int busy = 0;

	for (n = c->others.next; n != &c->others && busy < 400; n = n->next) {
		int one = busy_with(container_of(n, struct call_exchange, node), leg);

		busy = one ? one : busy;
	}
	return busy;
}

void call_exchange_updated(struct call *c)
{
	struct call_exchange *x = c->x;

	if (!x || !x->initial || !x->answered)
		return;
	x->updated = true;
	if (x->has_offer && call_text_set(&x->answer_out, (struct slice){ x->from->sdp_out.p, x->from->sdp_out.n }))
		base_log_limited(BASE_ERROR, 1, "call", "no memory for an answer call=%s", c->id);
}

static bool ack_due(const struct call_exchange *x, const struct call_leg *leg)
{
	return x && x->from != leg && x->srv && x->method == WIRE_INVITE && x->state != CALL_X_ACK && sipua_srv_status(x->srv) >= 200;
}

bool call_exchange_acks(const struct call_leg *leg)
{
	const struct call *c = leg->call;
	const struct list_node *n;
	bool due = leg->call->leg[leg == &c->leg[0]].again || ack_due(c->x, leg);

	for (n = c->others.next; n != &c->others && !due; n = n->next)
		due = ack_due(container_of(n, struct call_exchange, node), leg);
	return due;
}

int call_exchange_busy(const struct call_leg *leg)
{
	const struct call_exchange *x = leg->call->x;
	bool early = x && x->initial && x->answered;

	if (x && !early && x->to == leg)
		return 491;
	if (x && !early && x->srv && x->from == leg)
		return 500;
	return busy_beside(leg);
}

int call_exchange_busy_invite(const struct call_leg *leg)
{
	const struct call_exchange *x = leg->call->x;

	if (x && x->initial && leg->call->state < CALL_UP)
		return x->from == leg ? 500 : 491;
	return call_exchange_busy(leg);
}

/** What goes with a status of its own. */
static void refuse_extra(const struct call_exchange *x, struct sipua_msg *msg, int status, const struct wire_sip *resp)
{
	if (status == 405 || status == 501)
		call_headers_ours(msg, x->from);
	if (status == 415)
		sipua_msg_add(msg, "Accept", SLICE("application/sdp"));
	if (resp && status == 422)
		call_timer_carry_min(msg, resp);
	if (!resp && (status == 503 || (status == 500 && !x->initial)))
		sipua_msg_add(msg, "Retry-After", SLICE("5"));
}

void call_exchange_refuse(struct call_exchange *x, int status, const char *phrase, const struct wire_sip *resp)
{
	struct sipua_msg *msg;

	if (!x->srv || sipua_srv_status(x->srv) >= 200)
		return;
	if (sipua_msg_response(x->srv, status, phrase, &msg)) {
		sipua_srv_reply(x->srv, status, phrase);
		return;
	}
	if (resp && (call_headers_cross(msg, resp, x->from) || call_body_put(msg, resp, (struct slice){ NULL, 0 }, x->from)))
		base_count(COUNTER_HEADER_CUT);
	refuse_extra(x, msg, status, resp);
	sipua_srv_send(x->srv, msg);
}

/* ---- the ACK of a 2xx that we sent ---- */

/** Our ACK for `to`, with the answer. 0 or a status. */
static int ack_make(struct call_exchange *x, const struct wire_sip *sip, struct sipua_msg **ret)
{
	struct slice text;
	int status = call_body_is_sdp(sip) ? 0 : 488;

	if (!status && call_text_set(&x->answer_in, call_body_sdp(sip)))
		status = 500;
	if (!status)
		status = call_sdp_for(x->to, call_body_sdp(sip), true, &text);
	if (!status && (call_text_set(&x->answer_out, text) || sipua_msg_request(x->to->dialog, SLICE("ACK"), NULL, 70, ret)))
		status = 500;
	if (!status && sipua_msg_body(*ret, SLICE("application/sdp"), (struct slice){ x->answer_out.p, x->answer_out.n })) {
		sipua_msg_free(*ret);
		status = 500;
	}
	return status;
}

/** The answer to the other side's offer: it goes on in our ACK there. */
static void ack_answer(struct call_exchange *x, const struct wire_sip *sip)
{
	struct call *c = x->call;
	struct sipua_msg *msg = NULL;
	int status = ack_make(x, sip, &msg);

	if (!status && call_exchange_commit(x)) {
		sipua_msg_free(msg);
		status = 500;
	}
	/* the record first; where it cannot be written the call is lost with the engine, and with nothing else */
	if (!status)
		call_persist(c);
	sipua_cli_ack(x->cli, status ? NULL : msg);
	if (status)
		call_end(c, "media", "postern", status, NULL, NULL);
	else
		call_exchange_free(x);
}

/** The answer to what the callee has already. */
static void ack_agree(struct call_exchange *x, const struct wire_sip *sip)
{
	struct call *c = x->call;
	int status = call_ours_agree(x, call_body_sdp(sip));

	call_exchange_free(x);
	if (status)
		call_end(c, "media", "postern", status, NULL, NULL);
	else
		call_persist(c);
}

void call_exchange_ack(void *arg, struct sipua_srv *s, const struct wire_sip *sip)
{
	struct call_exchange *x = arg;

	(void)s;
	if (!sip) {
		if (x->state == CALL_X_ACK && !x->ours)
			sipua_cli_ack(x->cli, NULL);
		call_end(x->call, "no-ack", "postern", 408, NULL, NULL);
	} else if (x->ours && !x->answered) {
		ack_agree(x, sip);
	} else if (x->state == CALL_X_ACK) {
		ack_answer(x, sip);
	} else {
		call_exchange_free(x);
	}
}
