/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests outside of any dialog that are no calls: MESSAGE, OPTIONS for a user, SUBSCRIBE, PUBLISH, NOTIFY, INFO, REFER. They go by route from target to
 * target like a call (RFC 3261 16, design.md section 8); a subscription that one of them makes stays until it expires (RFC 6665).
 * Each is a call without media and record, in no list of calls, and has no CDR.
 */
#include <stdlib.h>

#include "call/b2b.h"
#include "call/police.h"

#define GRACE_MS 32000
#define REFER_S  180             /* implicit subscription (RFC 3515 2.4.4); its NOTIFYs say when it is over */
#define EXPIRES_S 3600

struct apart {
	struct call call;              /* first: legs lead here */
	struct list_node node;         /* in engine->aparts */
	struct sipua_srv *srv;
	struct sipua_cli *cli;
	enum wire_method method;
	struct peer_plan plan;
	const struct peer_way *way;
	int64_t sent_ms;
	int last;                      /* final status that a target sent last */
	struct loop_timer timer;
	struct loop_timer silent;      /* for the target's first response */
};

static int64_t now_ms(void) { return base_mono_now().us / 1000; }

static void apart_destroy(void *obj)
{
	struct apart *a = obj;
	struct list_node *n;
	unsigned i;

	loop_timer_stop(&a->timer);
	loop_timer_stop(&a->silent);
	while ((n = a->call.others.next) != &a->call.others)
		call_exchange_free(container_of(n, struct call_exchange, node));
	sipua_srv_free(a->srv);
	sipua_cli_free(a->cli);
	for (i = 0; i < 2; i++)
		sipua_dialog_free(a->call.leg[i].dialog);
	list_del(&a->node);
	a->call.eng->naparts--;
	base_unref(a->call.peers);
}

static struct apart *apart_new(struct call_engine *e)
{
	struct apart *a = base_new(sizeof *a, apart_destroy);
	unsigned i;

	if (!a)
		return NULL;
	a->call.eng = e;
	a->call.peers = base_ref(e->p.peers);
	a->call.slot = CALL_NO_SLOT;
	a->call.apart = true;
	list_init(&a->call.others);
	for (i = 0; i < 2; i++)
		a->call.leg[i].call = &a->call;
	list_add_tail(&e->aparts, &a->node);
	e->naparts++;
	return a;
}

void call_apart_end(struct call_engine *e)
{
	while (e->aparts.next && !list_empty(&e->aparts))
		base_unref(container_of(e->aparts.next, struct apart, node));
}

/* ---- what it leaves behind ---- */

static bool makes_dialog(enum wire_method m) { return m == WIRE_SUBSCRIBE || m == WIRE_REFER; }

static void on_expired(void *arg)
{
	base_unref(arg);
}

static void keep_for(struct apart *a, int64_t s)
{
	loop_timer_start(a->call.eng->p.loop, &a->timer, s * 1000 + GRACE_MS, on_expired, a);
}

static int64_t expires_of(const struct wire_sip *sip, int64_t otherwise)
{
	char buf[32];
	struct slice v = wire_sip_header(sip, "Expires", buf, sizeof buf);
	uint64_t s;

	return v.n && !slice_u64(v, 86400 * 7, &s) ? (int64_t)s : otherwise;
}

static bool is_terminated(const struct wire_sip *sip)
{
	char buf[128];
	struct slice v = wire_sip_header(sip, "Subscription-State", buf, sizeof buf);

	return v.n >= 10 && slice_eq_nocase((struct slice){ v.p, 10 }, SLICE("terminated"));
}

void call_apart_heard(struct call *c, enum wire_method method, int status, const struct wire_sip *sip)
{
	struct apart *a = container_of(c, struct apart, call);

	if (method == WIRE_SUBSCRIBE && status < 300 && sip)
		keep_for(a, expires_of(sip, EXPIRES_S));
	else if (status == 481 || status == 408)
		keep_for(a, 0);
}

static void dialog_request(void *arg, struct sipua_dialog *d, struct sipua_srv *srv)
{
	struct call_leg *leg = arg;
	enum wire_method m = wire_sip_method(sipua_srv_sip(srv));
	struct apart *a = container_of(leg->call, struct apart, call);

	if (m == WIRE_INVITE || m == WIRE_BYE || m == WIRE_UPDATE || m == WIRE_PRACK) {
		sipua_srv_reply(srv, m == WIRE_INVITE ? 488 : 481, NULL);
		sipua_srv_free(srv);
		return;
	}
	if (m == WIRE_NOTIFY && is_terminated(sipua_srv_sip(srv)))
		keep_for(a, 0);
	call_relay_request(leg, srv);
}

static const struct sipua_dialog_ops apart_dialog_ops = { .request = dialog_request };

/* ---- its way ---- */

static void try_next(struct apart *a);

/** The requester's answer. */
static void answer(struct apart *a, int status, const struct wire_sip *resp)
{
	struct call_leg *from = &a->call.leg[0];
	struct sipua_msg *msg;

	if (!sipua_msg_response(a->srv, status, NULL, &msg)) {
		if (!resp && status == 503)
			sipua_msg_add(msg, "Retry-After", SLICE("5"));
		if (resp && call_relay_fill(msg, resp, from)) {
			sipua_msg_free(msg);
			sipua_srv_reply(a->srv, 500, NULL);
		} else {
			if (status == 405)
				call_headers_ours(msg, from);
			sipua_srv_send(a->srv, msg);
		}
	}
	if (status >= 300 || !makes_dialog(a->method)) {
		base_unref(a);
		return;
	}
	sipua_srv_free(a->srv);
	a->srv = NULL;
	sipua_cli_free(a->cli);
	a->cli = NULL;
	keep_for(a, a->method == WIRE_REFER ? REFER_S : expires_of(resp, EXPIRES_S));
}

static void apart_response(void *arg, struct sipua_cli *cli, int status, const struct wire_sip *sip)
{
	struct apart *a = arg;
	struct call_leg *to = &a->call.leg[1];

	loop_timer_stop(&a->silent);
	if (status < 200)
		return;
	peer_report(a->call.eng->plane, a->way->trunk, &a->way->target, status, !sip, sip ? call_hunt_retry_after(sip) : -1, a->sent_ms);
	if (sip && status < 300) {
		sipua_dialog_establish(to->dialog, sip);
		answer(a, status, sip);
		return;
	}
	if (sip)
		a->last = status;
	if (!sip || peer_way_goes_on(a->way, status)) {
		if (!peer_plan_last(a->call.eng->plane, &a->plan)) {
			try_next(a);
			return;
		}
	}
	/* RFC 4320: a 408 would come too late */
	answer(a, sip ? status : status == 408 ? 504 : status, sip);
}

static void on_silence(void *arg)
{
	struct apart *a = arg;

	if (peer_plan_last(a->call.eng->plane, &a->plan))
		return; /* those behind it are over their limits by now: it has 64*T1 */
	peer_report(a->call.eng->plane, a->way->trunk, &a->way->target, 408, true, -1, a->sent_ms);
	try_next(a);
}

static const struct sipua_cli_ops apart_cli_ops = { .response = apart_response };

static int send_request(struct apart *a, const struct wire_sip *sip)
{
	struct call_leg *to = &a->call.leg[1];
	int mf = wire_sip_max_forwards(sip), err;
	struct call_addresses adr;
	struct sipua_dest dest;
	struct sipua_msg *msg;
	char name[256];

	if (call_setup_addresses(to, &to->target, sip, &adr))
		return ERR_FULL;
	peer_target_dest(a->call.eng->plane, to->trunk, &to->target, name, &dest);
	err = sipua_dialog_new_uac(a->call.eng->ua, slice_str(adr.from), slice_str(adr.to), &dest, &apart_dialog_ops, to, &to->dialog);
	if (err)
		return err;
	call_setup_dialog(to);
	err = sipua_msg_request(to->dialog, wire_sip_method_name(sip), adr.ruri, mf < 0 || mf > 70 ? 69 : mf - 1, &msg);
	if (err)
		return err;
	err = call_relay_fill(msg, sip, to);
	if (err) {
		sipua_msg_free(msg);
		return err;
	}
	a->sent_ms = now_ms();
	return sipua_cli_send(to->dialog, msg, &dest, &apart_cli_ops, a, &a->cli);
}

static void try_next(struct apart *a)
{
	struct call_leg *to = &a->call.leg[1];

	while ((a->way = peer_plan_next(a->call.eng->plane, &a->plan)) != NULL) {
		sipua_cli_free(a->cli);
		a->cli = NULL;
		sipua_dialog_free(to->dialog);
		to->dialog = NULL;
		to->trunk = a->way->trunk;
		to->target = a->way->target;
		to->listener = (unsigned)a->way->target.listener;
		to->transport = (uint8_t)a->way->target.transport;
		to->source = a->way->target.addr;
		if (!send_request(a, sipua_srv_sip(a->srv))) {
			if (!peer_plan_last(a->call.eng->plane, &a->plan))
				loop_timer_start(a->call.eng->p.loop, &a->silent, peer_try_ms(a->way->trunk), on_silence, a);
			return;
		}
		peer_report(a->call.eng->plane, a->way->trunk, &a->way->target, 503, true, -1, now_ms());
	}
	answer(a, a->last ? a->last : 503, NULL);
}

void call_apart_request(struct call_engine *e, struct sipua_in *in, const struct peer_trunk *from)
{
	const struct wire_sip *sip = sipua_in_sip(in);
	const struct sipua_path *path = sipua_in_path(in);
	struct peer_dest dest;
	struct peer_view v;
	struct apart *a;
	struct call_leg *leg;

	call_view_fill(&v, sip, path);
	if (call_front_route(e, in, from, &v, &dest)) {
		base_count(COUNTER_REJECT_ROUTE);
		sipua_in_reply(in, 404, NULL, NULL);
		return;
	}
	a = apart_new(e);
	if (!a) {
		sipua_in_reply(in, 500, NULL, NULL);
		return;
	}
	a->method = wire_sip_method(sip);
	leg = &a->call.leg[0];
	leg->trunk = from;
	leg->listener = path->listener;
	leg->transport = (uint8_t)path->transport;
	leg->source = path->source;
	peer_plan(e->plane, &dest, &a->plan);
	if (sipua_in_accept(in, NULL, NULL, &a->srv)) {
		base_unref(a);
		return;
	}
	if (makes_dialog(a->method) && sipua_dialog_new_uas(a->srv, &apart_dialog_ops, leg, &leg->dialog))
		answer(a, 500, NULL);
	else
		try_next(a);
}
