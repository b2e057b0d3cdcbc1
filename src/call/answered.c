/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a peer answers to an offer inside the dialog (design.md section 6, 'What crosses'): where it asks for more than the offer did it is a change like
 * a request's, by the profile of its own leg. What that relays rides in the answer that the other peer waits for, else in a request of ours.
 */
#include "call/b2b.h"

#define ALL_LINE (1u << CALL_CODEC | 1u << CALL_OTHER | 1u << CALL_ADD | 1u << CALL_REMOVE | 1u << CALL_FAX)

static struct wire_sdp said, offered;

static struct slice text_of(const struct call_text *t) { return (struct slice){ t->p ? t->p : "", t->n }; }

/** What of the peer the other leg is to see: what our offer asked for as it is answered, the rest as the profile says. ch becomes that. */
static void mix(struct call_change *ch, const struct call_verdict *v, const unsigned *asked)
{
	unsigned i;

	ch->all = v->relayed;
	for (i = 0; i < WIRE_SDP_MEDIA; i++) {
		ch->line[i] = (ch->line[i] & v->relayed) | (asked[i] & ALL_LINE);
		ch->all |= ch->line[i];
	}
}

/** The peer's model after this: texts and directions of the exchange, which its commit makes the leg's. 0 or a status. */
static int model_of(struct call_exchange *x, struct call_leg *leg, const struct call_change *ch, const struct call_verdict *v)
{
	struct slice text;
	int status = call_shown_offer(leg, &said, ch, ch->all, v->shown_dir, &text);

	memcpy(x->to_want, v->want_dir, sizeof x->to_want);
	memcpy(x->to_shown, v->shown_dir, sizeof x->to_shown);
	return status ? status : call_text_set(&x->to_view, text) ? 500 : 0;
}

int call_answered_carry(struct call_exchange *x)
{
	struct call_leg *leg = x->to;
	struct call_verdict v;
	struct call_change ch;
	struct slice text;
	int status = call_exchange_secure(x, leg, text_of(&x->answer_in));

	if (!status && wire_sdp_parse(text_of(&x->answer_in), &said))
		status = 502;
	if (status)
		return status;
	call_decide_answer(leg, WIRE_INVITE, &said, text_of(&x->offer_out), &ch, &v);
	mix(&ch, &v, x->line);
	status = model_of(x, leg, &ch, &v);
	if (!status && wire_sdp_parse(text_of(&x->offer_in), &offered))
		status = 500;
	if (!status)
		status = call_shown_carry(leg, text_of(&x->to_view), &offered, x->to_shown, &text);
	return status ? status : call_exchange_make(x, x->from, text, true, &x->answer_out);
}

int call_answered_offer(struct call_exchange *x)
{
	static const struct call_change none;
	struct call_leg *leg = x->to;
	struct call_change ch = none;
	struct call_verdict v;
	unsigned i;
	int status = call_persist_room(leg, text_of(&x->offer_in)) ? call_sdp_check(text_of(&x->offer_in)) : 513;

	if (!status)
		status = call_sdp_secure(leg, text_of(&x->offer_in), false);
	if (!status && wire_sdp_parse(text_of(&x->offer_in), &said))
		status = 488;
	if (status)
		return status;
	call_decide_offer(leg, &said, &ch, &v);
	for (i = 0; i < WIRE_SDP_MEDIA; i++)
		x->line[i] = ALL_LINE & ~(1u << CALL_ADD | 1u << CALL_REMOVE | 1u << CALL_FAX);
	if (!call_decide_relays(leg, WIRE_INVITE, CALL_CODEC))
		memset(x->line, 0, sizeof x->line);
	mix(&ch, &v, x->line);
	status = model_of(x, leg, &ch, &v);
	return status ? status : call_exchange_make(x, x->from, text_of(&x->to_view), false, &x->offer_out);
}

int call_answered_ack(struct call_exchange *x)
{
	struct call_leg *leg = x->from;
	struct call_verdict v;
	struct call_change ch;
	struct slice text;
	int status = call_exchange_secure(x, leg, text_of(&x->answer_in));

	if (!status && (wire_sdp_parse(text_of(&x->answer_in), &said) || wire_sdp_parse(text_of(&x->offer_in), &offered)))
		status = 488;
	if (status)
		return status;
	call_decide_answer(leg, WIRE_INVITE, &said, text_of(&x->offer_out), &ch, &v);
	mix(&ch, &v, x->line);
	status = call_shown_offer(leg, &said, &ch, ch.all, v.shown_dir, &text);
	if (!status && call_text_set(&x->view, text))
		status = 500;
	memcpy(x->want_dir, v.want_dir, sizeof x->want_dir);
	memcpy(x->shown_dir, v.shown_dir, sizeof x->shown_dir);
	if (!status)
		status = call_shown_carry(leg, text_of(&x->view), &offered, x->shown_dir, &text);
	return status ? status : call_exchange_make(x, x->to, text, true, &x->answer_out);
}

/** To be shown to the other leg as soon as it is free. */
static void show(struct call_leg *leg, const struct call_change *ch, const struct call_verdict *v)
{
	struct slice text;

	if (call_shown_offer(leg, &said, ch, v->relayed, v->shown_dir, &text) || call_text_set(&leg->goal, text))
		return;
	memcpy(leg->goal_dir, v->shown_dir, sizeof leg->goal_dir);
	call_own_add(call_other(leg), CALL_OWN_SHOW);
}

int call_answered_here(struct call_leg *leg, enum wire_method m, struct slice answer, struct slice offer)
{
	struct call_verdict v;
	struct call_change ch;
	int status = wire_sdp_parse(answer, &said) ? 488 : 0;

	if (status)
		return status;
	call_decide_answer(leg, m, &said, offer, &ch, &v);
	if (v.purposes)
		call_decision_note(leg, m, &v);
	if (v.relay)
		show(leg, &ch, &v);
	memcpy(leg->want_dir, v.want_dir, sizeof leg->want_dir);
	if (call_text_set(&leg->sdp_in, answer) || call_text_set(&leg->sdp_out, offer))
		return 500;
	leg->was_offer = false;
	call_media_apply(leg->call);
	return 0;
}
