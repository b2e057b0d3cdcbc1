/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a call ends: whoever does not know yet is told once: BYE on a confirmed dialog, CANCEL on an open INVITE, a final status on an open request.
 * The call lives on until its BYEs are answered; its record too, so that an engine restarted in between finds and finishes it.
 */
#include <stdio.h>

#include "call/b2b.h"

static void end_check(struct call *c)
{
	unsigned i;

	for (i = 0; i < 2; i++)
		if (c->leg[i].bye)
			return;
	call_free(c);
}

static bool bye_elsewhere(struct call_leg *leg);

/** Written before the CDR and the BYEs: whoever knows already is not told again by another engine. */
static void ending_persist(const struct call *c)
{
	if (c->slot != CALL_NO_SLOT)
		call_store_ending(c->eng->store, c->slot, (uint8_t)(c->leg[0].over | c->leg[1].over << 1));
}

static void bye_response(void *arg, struct sipua_cli *cli, int status, const struct wire_sip *sip)
{
	struct call_leg *leg = arg;

	loop_timer_stop(&leg->bye_timer);
	if (status < 200 || (!sip && bye_elsewhere(leg)))
		return;
	if (sip)
		call_hunt_said(leg, status, sip);
	leg->over = true;
	leg->bye = NULL;
	ending_persist(leg->call);
	sipua_cli_free(cli);
	end_check(leg->call);
}

static const struct sipua_cli_ops bye_ops = { .response = bye_response };

/** Reason of the BYE: what the other side said, else why we end it. */
static int bye_reason(struct sipua_msg *msg, const struct call_leg *leg, const struct wire_sip *why)
{
	char buf[160];
	struct text t = text_on(buf, sizeof buf);

	if (why)
		return call_headers_cross(msg, why, leg);
	text_add(&t, "SIP;cause=%d;text=\"%s\"", leg->call->bye_cause ? leg->call->bye_cause : leg->call->status >= 300 ? leg->call->status : 480, leg->call->cause);
	return sipua_msg_add(msg, "Reason", text_get(&t));
}

/** Once more, through the next target of the trunk; false: there is none, or it was done. */
static bool bye_elsewhere(struct call_leg *leg)
{
	struct sipua_cli *cli;
	struct sipua_dest dest;
	struct sipua_msg *msg;
	char name[256];

	if (leg->bye_again || !call_hunt_elsewhere(leg, name, &dest) || sipua_msg_request(leg->dialog, SLICE("BYE"), NULL, 70, &msg))
		return false;
	leg->bye_again = true;
	if (sipua_cli_send(leg->dialog, msg, &dest, &bye_ops, leg, &cli))
		return false;
	sipua_cli_free(leg->bye);
	leg->bye = cli;
	return true;
}

static void bye_silent(void *arg)
{
	bye_elsewhere(arg);
}

static void bye_send(struct call_leg *leg, const struct wire_sip *why)
{
	struct sipua_msg *msg;
	int err = sipua_msg_request(leg->dialog, SLICE("BYE"), NULL, 70, &msg);

	if (!err) {
		err = bye_reason(msg, leg, why);
		if (!err && why)
			err = call_body_put(msg, why, (struct slice){ NULL, 0 }, leg);
		if (err)
			sipua_msg_free(msg);
		else
			err = sipua_cli_send(leg->dialog, msg, NULL, &bye_ops, leg, &leg->bye);
	}
	if (err) {
		leg->bye = NULL;
		leg->over = true;
	} else if (call_hunt_has_other(leg)) {
		loop_timer_start(leg->call->eng->p.loop, &leg->bye_timer, peer_try_ms(leg->trunk), bye_silent, leg);
	}
}

static void cancel_open(struct call_exchange *x, const struct wire_sip *why)
{
	char buf[512];
	struct sipua_text extra[] = { { "Reason", { NULL, 0 } }, { NULL, { NULL, 0 } } };

	if (!x->cli || sipua_cli_status(x->cli) >= 200)
		return;
	if (why)
		extra[0].value = wire_sip_header(why, "Reason", buf, sizeof buf);
	sipua_cli_cancel(x->cli, extra[0].value.n ? extra : NULL);
}

void call_end(struct call *c, const char *cause, const char *by, int status, const struct call_leg *told, const struct wire_sip *why)
{
	struct call_exchange *x;
	unsigned i;

	if (c->state == CALL_ENDING)
		return;
	call_replace_abort(c, 487);
	x = c->x;
	loop_timer_stop(&c->no_answer);
	call_hunt_end(c);
	if (c->status < 200 || (x && x->initial && x->srv && sipua_srv_status(x->srv) < 200))
		c->status = status;
	c->cause = cause;
	c->ended_by = by;
	c->end_ms = base_wall_ms();
	c->state = CALL_ENDING;
	ending_persist(c);
	call_cdr(c);
	if (x) {
		call_exchange_refuse(x, x->initial ? status : 487, NULL, NULL);
		cancel_open(x, why);
		call_exchange_free(x);
	}
	for (i = 0; i < 2; i++) {
		struct call_leg *l = &c->leg[i];

		call_again_stop(l);
		call_own_stop(l);
		call_mid_drop(l);
		call_digits_free(l);
		call_timer_stop(l);
		if (l != told && !l->over && l->dialog && l->confirmed)
			bye_send(l, why);
	}
	call_media_release(c);
	call_figures(c, -1);
	base_count(COUNTER_CALLS_ENDED);
	end_check(c);
}

void call_finish(struct call *c, const char *cause, const char *by, int status)
{
	loop_timer_stop(&c->no_answer);
	call_hunt_end(c);
	c->cause = cause;
	c->ended_by = by;
	c->status = status;
	c->end_ms = base_wall_ms();
	c->state = CALL_ENDING;
	call_cdr(c);
	base_count(COUNTER_CALLS_ENDED);
	call_free(c);
}
