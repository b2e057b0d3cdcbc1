/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reliable provisional responses (RFC 3262), ended on each leg: a callee's is acknowledged with PRACK whatever the caller can do; the caller gets its own,
 * with our RSeq, where it requires them, or supports them and the callee's was one. One waits for its PRACK at a time, further ones queue; a 2xx waits
 * where a description is unacknowledged. An offer of the callee goes to the caller, whose PRACK holds the answer, and ours to the callee then too.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "call/b2b.h"

#define T1_MS     500
#define T1X64_MS  32000
#define QUEUE_MAX 8
#define FORKS_MAX 8

struct call_reliable {
	struct call_exchange *x;
	uint32_t rseq;                 /* that we used last; 0: none */
	struct sipua_msg *sent;        /* waits for PRACK, kept for repeats */
	bool sent_sdp;
	int64_t wait_ms, waited_ms;
	struct loop_timer timer;
	struct sipua_msg *queue[QUEUE_MAX];
	unsigned nqueue;
	struct sipua_msg *final;       /* 2xx that waits */
	struct { uint32_t tag, rseq; } fork[FORKS_MAX]; /* early dialogs of the callee, and their last RSeq */
	unsigned nforks;
	uint32_t owed;                 /* RSeq of the callee's offer: PRACK with the answer */
};

static bool lists(const struct wire_sip *sip, const char *header, const char *tag)
{
	char buf[256];
	struct slice v = wire_sip_header(sip, header, buf, sizeof buf);
	size_t i, n;

	for (i = 0; v.p && i < v.n; i += n + 1) {
		for (n = 0; i + n < v.n && !strchr(", \t", v.p[i + n]); n++)
			;
		if (slice_eq_nocase((struct slice){ v.p + i, n }, slice_str(tag)))
			return true;
	}
	return false;
}

bool call_reliable_can(const struct wire_sip *invite)
{
	return lists(invite, "Supported", "100rel") || lists(invite, "Require", "100rel");
}

static struct call_reliable *reliable_of(struct call_exchange *x)
{
	struct call_reliable *r = x->reliable;

	if (r)
		return r;
	r = base_alloc(sizeof *r);
	if (!r)
		return NULL;
	memset(r, 0, sizeof *r);
	r->x = x;
	x->reliable = r;
	return r;
}

void call_reliable_free(struct call_reliable *r)
{
	unsigned i;

	if (!r)
		return;
	loop_timer_stop(&r->timer);
	sipua_msg_free(r->sent);
	sipua_msg_free(r->final);
	for (i = 0; i < r->nqueue; i++)
		sipua_msg_free(r->queue[i]);
	free(r);
}

/* ---- towards the caller ---- */

static void on_silence(void *arg);

static void sent_done(struct call_reliable *r)
{
	loop_timer_stop(&r->timer);
	sipua_msg_free(r->sent);
	r->sent = NULL;
}

static void send_next(struct call_reliable *r)
{
	struct sipua_msg *msg;
	unsigned i;

	if (r->sent || !r->nqueue)
		return;
	msg = r->queue[0];
	for (i = 1; i < r->nqueue; i++)
		r->queue[i - 1] = r->queue[i];
	r->nqueue--;
	if (!r->rseq)
		r->rseq = base_random_below(0x3fffffff);
	r->rseq++;
	if (sipua_msg_reliable(msg, r->rseq) || !(r->sent = sipua_msg_dup(msg))) {
		sipua_msg_free(msg);
		return;
	}
	r->sent_sdp = wire_sip_body(sipua_msg_sip(msg)).n != 0;
	r->wait_ms = T1_MS;
	r->waited_ms = 0;
	sipua_srv_send(r->x->srv, msg);
	loop_timer_start(r->x->call->eng->p.loop, &r->timer, r->wait_ms, on_silence, r);
}

static void on_silence(void *arg)
{
	struct call_reliable *r = arg;
	struct call_exchange *x = r->x;
	struct sipua_msg *again;

	if (sipua_srv_status(x->srv) >= 200) {
		sent_done(r);
		return;
	}
	r->waited_ms += r->wait_ms;
	if (r->waited_ms >= T1X64_MS) {
		struct call *c = x->call;

		call_exchange_refuse(x, 504, NULL, NULL);
		call_end(c, "no-prack", "postern", 504, NULL, NULL);
		return;
	}
	again = sipua_msg_dup(r->sent);
	if (again)
		sipua_srv_send(x->srv, again);
	r->wait_ms *= 2;
	if (r->wait_ms > T1X64_MS - r->waited_ms)
		r->wait_ms = T1X64_MS - r->waited_ms;
	loop_timer_start(x->call->eng->p.loop, &r->timer, r->wait_ms, on_silence, r);
}

bool call_reliable_wished(const struct call_exchange *x, const struct wire_sip *resp)
{
	const struct wire_sip *invite = sipua_srv_sip(x->srv);

	return lists(invite, "Require", "100rel") || (call_reliable_can(invite) && lists(resp, "Require", "100rel"));
}

void call_reliable_provisional(struct call_exchange *x, struct sipua_msg *msg, const struct wire_sip *resp)
{
	struct call_reliable *r = call_reliable_wished(x, resp) ? reliable_of(x) : NULL;

	if (!r) {
		sipua_srv_send(x->srv, msg);
	} else if (r->nqueue == QUEUE_MAX) {
		base_count(COUNTER_RELIABLE_CUT);
		sipua_msg_free(msg);
	} else {
		r->queue[r->nqueue++] = msg;
		send_next(r);
	}
}

/** No more provisional ones: what waits for PRACK still may be acknowledged. */
static void final_send(struct call_exchange *x, struct sipua_msg *msg)
{
	struct call_reliable *r = x->reliable;

	if (r && r->sent) {
		x->from->rack_rseq = r->rseq;
		x->from->rack_cseq = wire_sip_cseq(sipua_srv_sip(x->srv));
		sent_done(r);
	}
	sipua_srv_send(x->srv, msg);
}

/** Is a description unacknowledged? Then a 2xx has to wait (RFC 3262 section 3). */
static bool sdp_waits(const struct call_reliable *r)
{
	bool sdp = r->sent && r->sent_sdp;
	unsigned i;

	for (i = 0; i < r->nqueue; i++)
		sdp |= wire_sip_body(sipua_msg_sip(r->queue[i])).n != 0;
	return sdp;
}

void call_reliable_final(struct call_exchange *x, struct sipua_msg *msg)
{
	struct call_reliable *r = x->reliable;

	if (r && !r->final && sdp_waits(r))
		r->final = msg;
	else
		final_send(x, msg);
}

/* ---- PRACK of the caller ---- */

static bool rack_read(const struct wire_sip *sip, uint32_t *rseq, uint32_t *cseq)
{
	char buf[96], method[32];
	struct slice v = wire_sip_header(sip, "RAck", buf, sizeof buf);
	char text[96];

	if (!v.p || !slice_copy(text, sizeof text, v))
		return false;
	return sscanf(text, "%10u %10u %31s", rseq, cseq, method) == 3 && !strcmp(method, "INVITE");
}

static void prack_reply(struct sipua_srv *srv, int status)
{
	sipua_srv_reply(srv, status, NULL);
	sipua_srv_free(srv);
}

static int prack_callee(struct call_exchange *x, uint32_t rseq, struct slice sdp);

/** The answer to the callee's offer. 0 or a status. */
static int take_answer(struct call_reliable *r, const struct wire_sip *sip)
{
	struct call_exchange *x = r->x;
	struct slice text, body = call_body_sdp(sip);
	int status;

	if (x->presented && !x->answered && body.n) {
		status = call_ours_agree(x, body);
		return status ? status : call_persist(x->call) ? 500 : 0;
	}
	if (!body.n)
		return 0; /* it may come in a later PRACK of a later response, or never: the timer of the callee ends that */
	if (!r->owed)
		return 488;
	status = call_text_set(&x->answer_in, body) ? 500 : call_sdp_for(x->to, body, true, &text);
	if (!status && call_text_set(&x->answer_out, text))
		status = 500;
	if (!status)
		status = prack_callee(x, r->owed, (struct slice){ x->answer_out.p, x->answer_out.n });
	if (status)
		return status;
	r->owed = 0;
	x->answered = true;
	call_exchange_commit(x);
	return call_persist(x->call) ? 500 : 0;
}

/** The next one leaves, or the 2xx that waited for the last. */
static void go_on(struct call_reliable *r)
{
	struct sipua_msg *final = r->final;

	send_next(r);
	if (!final || sdp_waits(r))
		return;
	r->final = NULL;
	final_send(r->x, final);
}

/** For a response that a 2xx has overtaken; once. */
static bool is_late(struct call_leg *leg, uint32_t rseq, uint32_t cseq)
{
	bool late = rseq && rseq == leg->rack_rseq && cseq == leg->rack_cseq;

	if (late)
		leg->rack_rseq = 0;
	return late;
}

/** What it acknowledges held the answer, or came after it: a description is an offer then (RFC 3262 section 5). */
static bool is_new_offer(const struct call_reliable *r, const struct wire_sip *sip)
{
	return r->x->answered && !r->owed && call_body_is_sdp(sip);
}

void call_reliable_prack(struct call_leg *leg, struct sipua_srv *srv)
{
	struct call_exchange *x = leg->call->x;
	struct call_reliable *r = x && x->from == leg && x->srv ? x->reliable : NULL;
	const struct wire_sip *sip = sipua_srv_sip(srv);
	uint32_t rseq = 0, cseq = 0;
	int status;

	if (!rack_read(sip, &rseq, &cseq)) {
		prack_reply(srv, 400);
		return;
	}
	if (!r || !r->sent || rseq != r->rseq || cseq != wire_sip_cseq(sipua_srv_sip(x->srv))) {
		prack_reply(srv, is_late(leg, rseq, cseq) ? 200 : 481);
		return;
	}
	sent_done(r);
	if (is_new_offer(r, sip)) {
		call_mid_session(leg, srv, WIRE_UPDATE);
	} else {
		status = take_answer(r, sip);
		prack_reply(srv, status ? status : 200);
	}
	go_on(r);
}

/* ---- towards the callee ---- */

static void prack_response(void *arg, struct sipua_cli *cli, int status, const struct wire_sip *sip)
{
	if (status >= 200)
		sipua_cli_free(cli);
}

static const struct sipua_cli_ops prack_ops = { .response = prack_response };

/** 0 or a status. */
static int prack_callee(struct call_exchange *x, uint32_t rseq, struct slice sdp)
{
	struct sipua_msg *msg;
	struct sipua_cli *cli;
	char rack[64];

	if (sipua_msg_request(x->to->dialog, SLICE("PRACK"), NULL, 70, &msg))
		return 500;
	snprintf(rack, sizeof rack, "%u %u INVITE", rseq, sipua_cli_cseq(x->cli));
	if (sipua_msg_add(msg, "RAck", slice_str(rack)) || (sdp.n && sipua_msg_body(msg, SLICE("application/sdp"), sdp))) {
		sipua_msg_free(msg);
		return 500;
	}
	return sipua_cli_send(x->to->dialog, msg, NULL, &prack_ops, NULL, &cli) ? 500 : 0;
}

/** Is it the next of its early dialog? Repeats and those that a lost one precedes are not (RFC 3262 section 4). */
static bool in_order(struct call_reliable *r, const struct wire_sip *resp, uint32_t rseq)
{
	struct wire_addr to;
	uint32_t tag;
	unsigned i;

	wire_sip_to(resp, &to);
	tag = base_hash_bytes(to.tag.p, to.tag.n, 0);
	for (i = 0; i < r->nforks; i++)
		if (r->fork[i].tag == tag) {
			if (rseq != r->fork[i].rseq + 1)
				return false;
			r->fork[i].rseq = rseq;
			return true;
		}
	if (r->nforks == FORKS_MAX)
		return false;
	r->fork[r->nforks].tag = tag;
	r->fork[r->nforks++].rseq = rseq;
	return true;
}

int call_reliable_settle(struct call_exchange *x, struct slice answer)
{
	uint32_t rseq = x->reliable->owed;

	x->reliable->owed = 0;
	return prack_callee(x, rseq, answer);
}

void call_reliable_restart(struct call_exchange *x)
{
	if (!x->reliable)
		return;
	x->reliable->owed = 0;
	x->reliable->nforks = 0;
}

bool call_reliable_heard(struct call_exchange *x, const struct wire_sip *resp, bool *ret_offer)
{
	char buf[32];
	struct slice v = wire_sip_header(resp, "RSeq", buf, sizeof buf);
	struct call_reliable *r;
	uint64_t rseq;

	*ret_offer = false;
	if (!v.p || !lists(resp, "Require", "100rel"))
		return true;
	r = reliable_of(x);
	if (!r || slice_u64(v, UINT32_MAX, &rseq) || !rseq || !in_order(r, resp, (uint32_t)rseq))
		return false;
	if (!x->has_offer && !x->local_answer && !x->ours && !x->answered && !r->owed && call_body_is_sdp(resp)) {
		*ret_offer = true;
		r->owed = (uint32_t)rseq;
		return true;
	}
	prack_callee(x, (uint32_t)rseq, (struct slice){ NULL, 0 });
	return true;
}
