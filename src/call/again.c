/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A 2xx of ours whose ACK has not come, over an engine's death (RFC 3261 13.3.1.4; design.md section 11): the datagram lies in `secrets`, which the
 * engine alone maps, since its description may have keys; from the moment before it leaves until its ACK. Whoever finds one there after a start repeats
 * it, T1 doubling up to T2, until the ACK comes; after 64*T1 the call ends. Over TCP and TLS nothing is kept: their connections die with the engine.
 */
#include <stdlib.h>

#include "call/b2b.h"
#include "postern/keys.h"

#define T1_MS    500
#define T2_MS    4000
#define T1X64_MS 32000

/** What the ACK brings besides: nothing, the answer that the callee's ACK waits for, the answer to an offer that the callee has agreed on. */
enum brings { BRINGS_NOTHING, BRINGS_CALLEES, BRINGS_OURS };

struct call_again {
	struct call_leg *leg;
	struct loop_timer timer;
	int64_t wait_ms, waited_ms;
	struct sipua_dest to;
	uint32_t cseq;
	uint8_t brings;
	size_t n;
	char bytes[];
};

static unsigned index_of(const struct call_leg *l) { return l == &l->call->leg[1]; }

static void forget(struct call_leg *l)
{
	if (l->answer_slot != CALL_NO_SLOT)
		call_store_del(l->call->eng->secrets, l->answer_slot);
	l->answer_slot = CALL_NO_SLOT;
}

static enum brings brings_of(const struct call_leg *l)
{
	const struct call_exchange *x = l->call->x;

	if (!x || !x->initial || x->from != l || x->answered || x->has_offer)
		return BRINGS_NOTHING;
	return x->ours ? BRINGS_OURS : x->state == CALL_X_ACK ? BRINGS_CALLEES : BRINGS_NOTHING;
}

void call_again_answered(void *arg, uint32_t cseq, struct slice datagram, const struct sipua_dest *to)
{
	struct call_leg *l = arg;
	struct call *c = l->call;
	struct call_record r = { .serial = c->serial, .state = CALL_ANSWERED };
	struct call_record_leg *k = &r.leg[index_of(l)];

	if (!datagram.n) {
		forget(l);
		return;
	}
	if (!c->eng->secrets || c->slot == CALL_NO_SLOT)
		return;
	memcpy(r.id, c->id, sizeof r.id);
	k->sdp_sent = datagram;
	k->cseq_remote = cseq;
	k->listener = (uint16_t)to->listener;
	k->source = to->addr;
	k->offer_state = (uint8_t)brings_of(l);
	if (l->answer_slot == CALL_NO_SLOT && call_store_add(c->eng->secrets, &l->answer_slot))
		return; /* its successor cannot repeat it: the caller gives up, as if the datagram were lost for good */
	if (call_store_put(c->eng->secrets, l->answer_slot, &r))
		forget(l);
}

/* ---- in the next engine ---- */

static void on_silence(void *arg)
{
	struct call_again *a = arg;
	struct call_leg *l = a->leg;

	a->waited_ms += a->wait_ms;
	if (a->waited_ms >= T1X64_MS) {
		if (a->brings == BRINGS_CALLEES)
			sipua_dialog_ack_give(call_other(l)->dialog, (struct slice){ "", 0 });
		call_end(l->call, "no-ack", "postern", 408, NULL, NULL);
		return;
	}
	sipua_resend(l->call->eng->ua, &a->to, sipua_dialog_call_id(l->dialog), (struct slice){ a->bytes, a->n });
	base_count(COUNTER_CALL_ANSWERS_AGAIN);
	a->wait_ms = a->wait_ms * 2 < T2_MS ? a->wait_ms * 2 : T2_MS;
	if (a->wait_ms > T1X64_MS - a->waited_ms)
		a->wait_ms = T1X64_MS - a->waited_ms;
	loop_timer_start(l->call->eng->p.loop, &a->timer, a->wait_ms, on_silence, a);
}

void call_again_start(struct call_leg *l, uint32_t slot)
{
	static uint8_t buf[CALL_RECORD_MAX];
	struct call_engine *e = l->call->eng;
	const struct call_record_leg *k;
	struct call_record r;
	struct call_again *a;

	l->answer_slot = slot;
	if (!l->dialog || call_store_read(e->p.secrets_mem, e->p.secrets_bytes, slot, buf, &r) || r.state != CALL_ANSWERED)
		goto out;
	k = &r.leg[index_of(l)];
	a = base_alloc(sizeof *a + k->sdp_sent.n);
	if (!a)
		goto out;
	*a = (struct call_again){ .leg = l, .wait_ms = T1_MS, .cseq = k->cseq_remote, .brings = k->offer_state, .n = k->sdp_sent.n,
		.to = { .listener = k->listener, .transport = SIPUA_UDP, .addr = k->source } };
	memcpy(a->bytes, k->sdp_sent.p, k->sdp_sent.n);
	l->again = a;
	if (a->brings == BRINGS_CALLEES && call_other(l)->dialog)
		sipua_dialog_ack_waits(call_other(l)->dialog);
	/* the ACK may lie in the socket: a while for it first */
	loop_timer_start(e->p.loop, &a->timer, a->wait_ms, on_silence, a);
out:
	keys_wipe(buf, sizeof buf);
}

void call_again_stop(struct call_leg *l)
{
	struct call_again *a = l->again;

	forget(l);
	if (!a)
		return;
	l->again = NULL;
	loop_timer_stop(&a->timer);
	keys_wipe(a->bytes, a->n);
	free(a);
	call_mid_kick(call_other(l));
}

/** The answer to the callee's offer: it is in the ACK that the callee's 2xx gets when it comes again. 0 or a status. */
static int carry(struct call_leg *l, struct slice answer)
{
	struct call_leg *to = call_other(l);
	struct call_exchange *x = call_exchange_new(l, to, NULL, WIRE_INVITE);
	struct slice text;
	int status = 500;

	if (!x)
		return status;
	l->call->x = x;
	if (!call_text_set(&x->offer_in, (struct slice){ to->sdp_in.p, to->sdp_in.n }) && !call_text_set(&x->offer_out, (struct slice){ l->sdp_out.p, l->sdp_out.n }) &&
	    !call_text_set(&x->answer_in, answer))
		status = call_sdp_for(to, answer, true, &text);
	if (!status && (call_text_set(&x->answer_out, text) || call_exchange_commit(x) ||
	    sipua_dialog_ack_give(to->dialog, (struct slice){ x->answer_out.p, x->answer_out.n })))
		status = 500;
	call_exchange_free(x);
	return status;
}

/** 0 or a status. */
static int take(struct call_leg *l, enum brings what, const struct wire_sip *sip)
{
	struct slice body = call_body_sdp(sip);
	int status;

	if (what == BRINGS_NOTHING)
		return 0;
	if (!call_body_is_sdp(sip))
		return 488;
	status = call_sdp_check(body);
	if (!status && what == BRINGS_CALLEES)
		status = carry(l, body);
	else if (!status && call_text_set(&l->sdp_in, body))
		status = 500;
	if (!status) {
		call_media_apply(l->call);
		call_persist(l->call);
	}
	return status;
}

bool call_again_ack(void *arg, uint32_t cseq, const struct wire_sip *sip)
{
	struct call_leg *l = arg;
	enum brings what;
	int status;

	if (!l->again || l->again->cseq != cseq)
		return false;
	what = l->again->brings;
	call_again_stop(l);
	status = take(l, what, sip);
	if (status) {
		if (what == BRINGS_CALLEES)
			sipua_dialog_ack_give(call_other(l)->dialog, (struct slice){ "", 0 });
		call_end(l->call, "media", "postern", status, NULL, NULL);
	}
	return true;
}
