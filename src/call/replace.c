/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An INVITE with Replaces that names one of our legs (RFC 3891): its sender takes the place of that leg's peer, who gets BYE; a leg that still rings
 * is picked up, and its INVITE cancelled. Where the other leg can go on as it is, nothing is sent there; else it gets the newcomer's offer, and the
 * newcomer waits for its answer: until then the one before keeps all that he has, and has it again where that fails.
 * Which leg is named is transfer.c's, a Replaces that is left to the far end crosses like an INVITE (setup.c).
 */
#include <errno.h>
#include <stdlib.h>

#include "call/b2b.h"

#define WAIT_POLL_MS 50
#define WAIT_POLLS 60              /* 3 s for an ACK or an answer that is under way */

struct call_replace {
	struct call_exchange *x;       /* the newcomer's INVITE */
	struct call_leg *leg;          /* that it takes */
	struct call_leg was;           /* what was on it */
};

/* a dialog whose place is taken, until its BYE is answered */
struct leaver { struct list_node node; struct sipua_dialog *dialog; struct sipua_cli *bye; };

static const struct sipua_dialog_ops parked_ops, joining_ops;
static const struct sipua_srv_ops join_srv_ops;

/* the descriptions in hand */
static struct wire_sdp now, theirs;

static struct slice text_of(const struct call_text *t) { return (struct slice){ t->p ? t->p : "", t->n }; }

/* ---- who leaves ---- */

static void leaver_destroy(void *obj)
{
	struct leaver *l = obj;

	list_del(&l->node);
	sipua_cli_free(l->bye);
	sipua_dialog_free(l->dialog);
}

static void leaver_response(void *arg, struct sipua_cli *cli, int status, const struct wire_sip *sip)
{
	(void)cli;
	(void)sip;
	if (status >= 200)
		base_unref(arg);
}

static void leaver_request(void *arg, struct sipua_dialog *d, struct sipua_srv *srv)
{
	(void)arg;
	(void)d;
	sipua_srv_reply(srv, wire_sip_method(sipua_srv_sip(srv)) == WIRE_BYE ? 200 : 481, NULL);
	sipua_srv_free(srv);
}

static const struct sipua_dialog_ops leaver_ops = { .request = leaver_request };
static const struct sipua_cli_ops leaver_cli_ops = { .response = leaver_response };

/** BYE in a dialog that is no leg's any more; it is taken over. */
static void dialog_leaves(struct call_engine *e, struct sipua_dialog *d)
{
	struct leaver *l = base_new(sizeof *l, leaver_destroy);
	struct sipua_msg *msg;

	if (!l) {
		sipua_dialog_free(d);
		return;
	}
	l->dialog = d;
	list_add_tail(&e->leavers, &l->node);
	sipua_dialog_bind(d, &leaver_ops, l);
	if (sipua_msg_request(d, SLICE("BYE"), NULL, 70, &msg)) {
		base_unref(l);
		return;
	}
	if (sipua_msg_add(msg, "Reason", SLICE("SIP;cause=200;text=\"Replaced\"")))
		base_count(COUNTER_HEADER_CUT);
	if (sipua_cli_send(d, msg, NULL, &leaver_cli_ops, l, &l->bye))
		base_unref(l);
}

void call_replace_end(struct call_engine *e)
{
	while (e->leavers.next && !list_empty(&e->leavers))
		base_unref(container_of(e->leavers.next, struct leaver, node));
}

static void ports_close(struct call_leg *l)
{
	unsigned i;

	for (i = 0; i < l->nstreams; i++)
		if (media_ref_ok(l->stream[i].ref))
			media_port_close(l->call->eng->p.media, l->stream[i].ref);
	l->nstreams = 0;
}

static void texts_clear(struct call_leg *l)
{
	call_text_clear(&l->sdp_in);
	call_text_clear(&l->sdp_out);
	call_text_clear(&l->view);
	call_text_clear(&l->goal);
}

/** What was on the leg is done with, but its dialog. */
static void former_done(struct call_leg *was)
{
	ports_close(was);
	texts_clear(was);
	free(was->call_id);
	free(was->ghost);
}

/** Requests of the one before, and to him, that are open: nobody is left who waits. */
static void drop_others(struct call_leg *leg, const struct call_exchange *but)
{
	struct list_node *n, *next;

	for (n = leg->call->others.next; n != &leg->call->others; n = next) {
		struct call_exchange *x = container_of(n, struct call_exchange, node);

		next = n->next;
		if (x != but && (x->from == leg || x->to == leg))
			call_exchange_free(x);
	}
}

/* ---- the seat ---- */

static void seat_fill(struct call_leg *leg, const struct peer_trunk *trunk, struct sipua_srv *srv)
{
	const struct sipua_path *path = sipua_srv_path(srv);
	struct call *c = leg->call;
	struct wire_uri uri;

	call_leg_init(leg, c);
	leg->trunk = trunk;
	leg->media = call_setup_media(c, trunk);
	leg->listener = path->listener;
	leg->transport = (uint8_t)path->transport;
	leg->source = path->source;
	wire_sip_ruri(sipua_srv_sip(srv), &uri);
	leg->sips = slice_eq_nocase(uri.scheme, SLICE("sips"));
	call_leg_allow(leg, sipua_srv_sip(srv));
	call_identity_take(leg, sipua_srv_sip(srv), true);
}

/** The newcomer sits there now; what was is kept. 0 or a status: then all is as it was. */
static int seat_take(struct call_exchange *x, const struct peer_trunk *trunk)
{
	struct call *c = x->call;
	struct call_leg *leg = x->from;
	struct call_replace *r = base_alloc(sizeof *r);

	if (!r)
		return 500;
	loop_timer_stop(&leg->todo_timer);
	loop_timer_stop(&leg->bye_timer);
	loop_timer_stop(&leg->timer.t);
	loop_timer_stop(&leg->later_timer);
	call_digits_free(leg);
	call_again_stop(leg);
	*r = (struct call_replace){ .x = x, .leg = leg, .was = *leg };
	c->replace = r;
	if (r->was.dialog)
		sipua_dialog_bind(r->was.dialog, &parked_ops, r);
	seat_fill(leg, trunk, x->srv);
	if (!sipua_dialog_new_uas(x->srv, &joining_ops, r, &leg->dialog)) {
		call_setup_dialog(leg);
		return 0;
	}
	return 500;
}

/** The one before has his place again; who came is answered by the caller of this. */
static void seat_return(struct call *c)
{
	struct call_replace *r = c->replace;
	struct call_leg *leg = r->leg;

	c->replace = NULL;
	call_own_stop(leg);
	loop_timer_stop(&leg->timer.t);
	call_digits_free(leg);
	ports_close(leg);
	texts_clear(leg);
	sipua_dialog_free(leg->dialog);
	*leg = r->was;
	free(r);
	if (leg->dialog)
		sipua_dialog_bind(leg->dialog, &call_dialog_ops, leg);
	call_media_apply(c);
	if (c->state != CALL_UP)
		return;
	call_timer_restore(leg);
	call_own_kick(leg, 0);
}

/** He hung up while it was open who sits there. True: the call is ended, and may be gone. */
static bool ended_meanwhile(struct call_leg *leg)
{
	struct call *c = leg->call;

	if (!leg->over || c->state == CALL_ENDING)
		return false;
	call_end(c, "normal", leg == &c->leg[0] ? "caller" : "callee", 487, leg, NULL);
	return true;
}

static void figures(struct call_replace *r)
{
	struct call_leg *leg = r->leg;
	struct peer_plane *p = leg->call->eng->plane;

	base_count(COUNTER_CALLS_REPLACED);
	if (leg == &leg->call->leg[1]) {
		call_figures_leg(&r->was, -1);
		call_figures_leg(leg, 1);
	} else if (leg->call->counted) {
		peer_calls_add(p, r->was.trunk, NULL, -1, 0);
		peer_calls_add(p, leg->trunk, NULL, 1, 0);
	}
}

/** For good. */
static void seat_keep(struct call *c)
{
	struct call_replace *r = c->replace;

	c->replace = NULL;
	r->leg->confirmed = true;
	sipua_dialog_bind(r->leg->dialog, &call_dialog_ops, r->leg);
	figures(r);
	drop_others(r->leg, r->x);
	call_other(r->leg)->todo &= ~(1u << CALL_OWN_SHOW);
	if (r->was.dialog && r->was.confirmed && !r->was.over)
		dialog_leaves(c->eng, r->was.dialog);
	else
		sipua_dialog_free(r->was.dialog);
	former_done(&r->was);
	free(r);
	base_log(BASE_INFO, "call", "another party took a leg's place call=%s", c->id);
}

void call_replace_drop(struct call *c)
{
	struct call_replace *r = c->replace;

	if (!r)
		return;
	c->replace = NULL;
	sipua_dialog_free(r->was.dialog);
	former_done(&r->was);
	free(r);
}

void call_replace_abort(struct call *c, int status)
{
	struct call_exchange *x = c->replace ? c->replace->x : NULL;

	if (!x)
		return;
	call_exchange_refuse(x, status, NULL, NULL);
	x->canceled = true;
	if (x->cli)
		sipua_cli_cancel(x->cli, NULL);
	seat_return(c);
}

/** The former peer, while it is open who sits there. */
static void parked_request(void *arg, struct sipua_dialog *d, struct sipua_srv *srv)
{
	struct call_replace *r = arg;

	(void)d;
	if (wire_sip_method(sipua_srv_sip(srv)) != WIRE_BYE) {
		call_mid_refuse(srv, 500);
		return;
	}
	r->was.over = true;
	sipua_srv_reply(srv, 200, NULL);
	sipua_srv_free(srv);
}

/** The newcomer before his answer. */
static void joining_request(void *arg, struct sipua_dialog *d, struct sipua_srv *srv)
{
	struct call_replace *r = arg;
	struct call_leg *leg;

	(void)d;
	if (wire_sip_method(sipua_srv_sip(srv)) != WIRE_BYE) {
		call_mid_refuse(srv, 500);
		return;
	}
	sipua_srv_reply(srv, 200, NULL);
	sipua_srv_free(srv);
	leg = r->leg;
	call_replace_abort(leg->call, 487);
	ended_meanwhile(leg);
}

static const struct sipua_dialog_ops parked_ops = { .request = parked_request }, joining_ops = { .request = joining_request };

/* ---- the newcomer's answer ---- */

static struct sipua_msg *answer_for(struct call_exchange *x, struct slice sdp)
{
	struct sipua_msg *msg;
	int err;

	if (sipua_msg_response(x->srv, 200, NULL, &msg))
		return NULL;
	err = call_headers_contact(msg, x->from);
	if (!err)
		err = call_headers_ours(msg, x->from);
	if (!err)
		err = call_timer_accept(x->from, msg, sipua_srv_sip(x->srv));
	if (!err)
		err = sipua_msg_body(msg, SLICE("application/sdp"), sdp);
	if (!err)
		return msg;
	sipua_msg_free(msg);
	return NULL;
}

/** He has the place: record, 2xx, BYE to the one before. 0 or a status, all but the seat is as it was then. */
static int admit(struct call_exchange *x)
{
	struct call *c = x->call;
	struct call_replace *r = c->replace;
	struct sipua_msg *msg = answer_for(x, text_of(x->has_offer ? &x->answer_out : &x->offer_out));
	int err;

	if (!msg)
		return 500;
	r->leg->confirmed = true;
	c->replace = NULL; /* the record is about the newcomer */
	err = call_persist(c);
	c->replace = r;
	if (err) {
		sipua_msg_free(msg);
		return 503;
	}
	call_media_apply(c);
	sipua_srv_send(x->srv, msg);
	x->state = x->has_offer ? CALL_X_DONE : CALL_X_ACK;
	seat_keep(c);
	return 0;
}

/** The leg as it is now; the other one was told nothing. */
static int leg_settle(struct call_leg *leg, struct slice in, struct slice out, bool offer)
{
	return call_text_set(&leg->sdp_in, in) || call_text_set(&leg->sdp_out, out) || call_shown_settle(leg, offer) ? 500 : 0;
}

/** Our answer to him, of what the other leg's peer has. 0 or a status. */
static int answer_here(struct call_exchange *x)
{
	struct slice text;
	int status;

	theirs.nmedia = theirs.nsession = 0;
	status = call_shown_answer(x->from, &theirs, &now, &text);
	if (!status)
		status = call_exchange_make(x, x->from, text, true, &x->answer_out);
	return status ? status : leg_settle(x->from, text_of(&x->offer_in), text_of(&x->answer_out), true);
}

/** The other leg's peer needs to know nothing. */
static int join_here(struct call_exchange *x)
{
	struct slice text;
	int status;

	x->consumed = true;
	memcpy(x->shown_dir, x->call->replace->was.shown_dir, sizeof x->shown_dir);
	if (x->has_offer) {
		status = answer_here(x);
	} else {
		status = call_shown_invite(x->from, &text);
		if (!status)
			status = call_exchange_make(x, x->from, text, false, &x->offer_out);
	}
	if (!status && !call_exchange_beside(x))
		status = 500;
	return status ? status : admit(x);
}

/* ---- through the other leg ---- */

/** The newcomer is refused. False: the call is gone with it. */
static bool join_failed(struct call_exchange *x, int status, const struct wire_sip *resp)
{
	struct call *c = x->call;
	struct call_leg *leg = x->from, *to = x->to;
	bool seated = c->replace && c->replace->x == x; /* not while it waits behind another one's */
	bool gone = x->cli && (status == 481 || (!resp && status == 408));

	if (status == 491 || (status == 422 && !call_timer_relayed(c))) {
		status = 500; /* a matter of the other leg alone */
		resp = NULL;
	}

	call_exchange_refuse(x, status, NULL, resp);
	call_exchange_free(x);
	if (seated)
		seat_return(c);
	if (ended_meanwhile(leg))
		return false;
	if (!gone)
		return true;
	to->over = true;
	call_end(c, "dialog-lost", "postern", status, to, NULL);
	return false;
}

/** The other leg's answer is the newcomer's. 0 or a status. */
static int join_answer(struct call_exchange *x, const struct wire_sip *resp)
{
	static const uint8_t all[CALL_STREAMS] = { WIRE_SENDRECV, WIRE_SENDRECV, WIRE_SENDRECV, WIRE_SENDRECV, WIRE_SENDRECV, WIRE_SENDRECV, WIRE_SENDRECV, WIRE_SENDRECV };
	struct slice text, body = call_body_is_sdp(resp) ? call_body_sdp(resp) : text_of(&x->answer_in); /* it may have come in a reliable 1xx */
	int status = body.n ? call_sdp_secure(x->to, body, true) : 488;

	if (!status && ((body.p != x->answer_in.p && call_text_set(&x->answer_in, body)) || wire_sdp_parse(text_of(&x->offer_in), &now)))
		status = 500;
	if (!status)
		status = call_shown_carry(x->to, text_of(&x->answer_in), &now, all, &text);
	if (!status)
		status = call_exchange_make(x, x->from, text, true, &x->answer_out);
	return status;
}

static void join_success(struct call_exchange *x, const struct wire_sip *resp)
{
	struct call_leg *leg = x->from;
	int status;

	call_leg_allow(x->to, resp);
	call_timer_accepted(x->to, resp);
	sipua_dialog_refresh_target(x->to->dialog, resp);
	sipua_cli_ack(x->cli, NULL);
	status = x->canceled ? 487 : join_answer(x, resp);
	if (!status && call_exchange_commit(x))
		status = 500;
	if (!status)
		status = admit(x);
	if (!status)
		return;
	/* it was shown a session that there is not */
	sipua_cli_free(x->cli);
	x->cli = NULL;
	if (join_failed(x, status, NULL))
		call_shown_other(leg);
}

static void join_response(void *arg, struct sipua_cli *cli, int status, const struct wire_sip *sip)
{
	struct call_exchange *x = arg;
	bool offer;

	(void)cli;
	if (x->state != CALL_X_SENT)
		return;
	if (status < 200) {
		if (sip && status > 100 && call_reliable_heard(x, sip, &offer) && call_body_is_sdp(sip) && call_text_set(&x->answer_in, call_body_sdp(sip)))
			base_count(COUNTER_MIDCALL_OWN_FAILED);
		return;
	}
	if (status < 300 && sip)
		join_success(x, sip);
	else
		join_failed(x, status, sip);
}

static const struct sipua_cli_ops join_cli_ops = { .response = join_response };

/** His offer goes to the other leg's peer. 0 or a status. */
static int join_through(struct call_exchange *x)
{
	const struct wire_sip *sip = sipua_srv_sip(x->srv);
	int mf = wire_sip_max_forwards(sip), status;
	struct sipua_msg *msg;
	struct slice text;

	x->call->x = x;
	status = call_shown_join(x->to, &now, &text);
	if (!status)
		status = call_exchange_make(x, x->to, text, false, &x->offer_out);
	if (!status && sipua_msg_request(x->to->dialog, SLICE("INVITE"), NULL, mf < 0 || mf > 70 ? 69 : mf - 1, &msg))
		status = 500;
	if (status)
		return status;
	if (call_headers_fill(msg, sip, x->to, true, text_of(&x->offer_out)) || call_timer_request(x->to, msg)) {
		sipua_msg_free(msg);
		return 500;
	}
	return sipua_cli_send(x->to->dialog, msg, NULL, &join_cli_ops, x, &x->cli) ? 500 : 0;
}

/* ---- ACK, CANCEL ---- */

/** The answer to our offer. 0 or a status. */
static int ack_take(struct call_exchange *x, const struct wire_sip *sip)
{
	struct call_leg *leg = x->from;
	int status = call_body_is_sdp(sip) ? call_sdp_secure(leg, call_body_sdp(sip), true) : 488;

	if (!status && (call_text_set(&x->answer_in, call_body_sdp(sip)) || wire_sdp_parse(text_of(&x->answer_in), &now)))
		status = 500;
	if (!status)
		status = leg_settle(leg, text_of(&x->answer_in), text_of(&x->offer_out), false);
	if (status)
		return status;
	call_media_apply(x->call);
	if (!call_shown_fits(leg, &now, x->shown_dir))
		call_shown_other(leg);
	call_persist(x->call);
	return 0;
}

static void join_ack(void *arg, struct sipua_srv *s, const struct wire_sip *sip)
{
	struct call_exchange *x = arg;
	struct call *c = x->call;
	int status = 0;

	(void)s;
	if (!sip) {
		call_end(c, "no-ack", "postern", 408, NULL, NULL);
		return;
	}
	if (x->state == CALL_X_ACK)
		status = ack_take(x, sip);
	call_exchange_free(x);
	if (status)
		call_end(c, "media", "postern", 488, NULL, NULL);
}

static void join_cancel(void *arg, struct sipua_srv *s, const struct wire_sip *sip)
{
	struct call_exchange *x = arg;

	(void)s;
	(void)sip;
	if (loop_timer_active(&x->timer)) {
		join_failed(x, 487, NULL);
		return;
	}
	if (!x->call->replace || x->call->replace->x != x)
		return; /* it is answered */
	call_replace_abort(x->call, 487);
	ended_meanwhile(x->from);
}

static const struct sipua_srv_ops join_srv_ops = { .ack = join_ack, .cancel = join_cancel };

/* ---- a leg that rings ---- */

/** The caller's answer, of what the newcomer offers; one that it has already stays. 0 or a status. */
static int caller_answer(struct call_exchange *x0, struct slice offer)
{
	uint8_t want[CALL_STREAMS];
	struct slice text;
	int status = wire_sdp_parse(text_of(&x0->offer_in), &theirs) ? 500 : 0;

	if (status || x0->answered)
		return status;
	call_shown_wants(&theirs, x0->from->want_dir);
	memcpy(x0->from->shown_dir, x0->from->want_dir, sizeof x0->from->shown_dir);
	call_shown_wants(&now, want);
	status = call_shown_carry(x0->to, offer, &theirs, want, &text);
	if (!status)
		status = call_exchange_make(x0, x0->from, text, true, &x0->answer_out);
	if (!status && call_text_set(&x0->from->sdp_out, text_of(&x0->answer_out)))
		status = 500;
	if (!status)
		x0->from->was_offer = true;
	return status ? status : call_shown_all(x0->from) ? 500 : 0;
}

/** It rings no more there, and the caller hears that it is answered. */
static int pick_up_end(struct call_exchange *x, struct call_exchange *x0)
{
	static const struct sipua_text reason[] = { { "Reason", SLICE("SIP;cause=200;text=\"Call completed elsewhere\"") }, { NULL, { NULL, 0 } } };
	struct call *c = x->call;
	struct sipua_msg *caller;
	bool fits = !x0->answered || call_shown_fits(x->from, &now, c->replace->was.shown_dir);

	call_hunt_note(c, 200, "picked-up");
	call_hunt_end(c);
	x0->answered = true;
	caller = call_answer_make(x0, 200, NULL);
	sipua_cli_cancel(x0->cli, reason);
	sipua_cli_free(x0->cli);
	x0->cli = NULL;
	x0->state = CALL_X_DONE;
	if (!caller || admit(x)) {
		sipua_msg_free(caller);
		call_end(c, "resources", "postern", 503, NULL, NULL);
		return 0;
	}
	call_reliable_final(x0, caller);
	if (!fits)
		call_shown_other(x->from);
	return 0;
}

/** Call pick-up: who rings is cancelled, the newcomer answers the caller. 0 or a status. */
static int pick_up(struct call_exchange *x)
{
	struct call_exchange *x0 = x->call->x;
	int status = x->has_offer && x0->has_offer ? 0 : 488;

	x->consumed = true;
	if (!status)
		status = caller_answer(x0, text_of(&x->offer_in));
	if (!status)
		status = answer_here(x);
	if (!status && !call_exchange_beside(x))
		status = 500;
	return status ? status : pick_up_end(x, x0);
}

/* ---- in ---- */

/** RFC 3891 section 3. */
static int refused(const struct call_leg *leg, bool early_only)
{
	const struct call *c = leg->call;
	bool ringing = leg == &c->leg[1] && !leg->confirmed && c->x && c->x->initial && c->x->cli && sipua_cli_status(c->x->cli) < 200;

	if (c->state == CALL_ENDING)
		return 603;
	if (!leg->confirmed)
		return ringing ? 0 : 481; /* an early dialog that its peer began is nobody's to take */
	return early_only ? 486 : 0;
}

/** An offer is open, or an ACK still to come: one thing after the other. */
static bool is_busy(const struct call_leg *leg)
{
	const struct call *c = leg->call;

	return leg->confirmed && (c->state != CALL_UP || c->x || c->replace || c->leg[0].later || c->leg[1].later || call_exchange_busy(leg) || call_exchange_busy(call_other((struct call_leg *)(uintptr_t)leg)));
}

static void refuse(struct sipua_in *in, int status)
{
	char s[8];
	struct sipua_text retry[] = { { "Retry-After", { s, 0 } }, { NULL, { NULL, 0 } } };
	struct text t = text_on(s, sizeof s);

	text_add(&t, "%u", 1 + base_random_below(4));
	retry[0].value = text_get(&t);
	base_count(COUNTER_REJECT_DIALOG);
	sipua_in_reply(in, status, NULL, status == 500 ? retry : NULL);
}

static int join(struct call_exchange *x, const struct peer_trunk *trunk)
{
	const struct wire_sip *sip = sipua_srv_sip(x->srv);
	bool rings = !x->from->confirmed;
	int status = seat_take(x, trunk);

	if (status || !x->has_offer)
		return status ? status : rings ? 488 : join_here(x);
	status = call_sdp_secure(x->from, call_body_sdp(sip), false);
	if (!status && (call_text_set(&x->offer_in, call_body_sdp(sip)) || wire_sdp_parse(text_of(&x->offer_in), &now)))
		status = 500;
	if (status)
		return status;
	if (rings)
		return pick_up(x);
	return call_shown_fits(x->from, &now, x->call->replace->was.shown_dir) ? join_here(x) : join_through(x);
}

static void join_start(struct call_exchange *x)
{
	int status = join(x, x->trunk);

	if (status)
		join_failed(x, status, NULL);
}

static void on_wait(void *arg)
{
	struct call_exchange *x = arg;
	int status = refused(x->from, false);

	if (!status && is_busy(x->from)) {
		x->waited++;
		status = x->waited < WAIT_POLLS ? -1 : 500;
	}
	if (status < 0)
		loop_timer_start(x->call->eng->p.loop, &x->timer, WAIT_POLL_MS, on_wait, x);
	else if (status)
		join_failed(x, status, NULL);
	else
		join_start(x);
}

void call_replace(struct call_engine *e, struct sipua_in *in, const struct peer_trunk *from, struct call_leg *leg, bool early_only)
{
	const struct wire_sip *sip = sipua_in_sip(in);
	/* the call holds the revision that it began with */
	const struct peer_trunk *trunk = peer_trunk_find(leg->call->peers, from->conf->id);
	int status = refused(leg, early_only);
	struct call_exchange *x;

	if (!status && call_body_is_sdp(sip))
		status = call_sdp_check(call_body_sdp(sip));
	if (!status && (!trunk || sipua_in_path(in)->listener >= peer_listener_count(leg->call->peers)))
		status = 500;
	x = status ? NULL : call_exchange_new(leg, call_other(leg), NULL, WIRE_INVITE);
	if (!x) {
		refuse(in, status ? status : 500);
		return;
	}
	x->has_offer = call_body_is_sdp(sip);
	if (sipua_in_accept(in, &join_srv_ops, x, &x->srv)) {
		call_exchange_free(x);
		return;
	}
	x->trunk = trunk;
	if (!is_busy(leg))
		join_start(x);
	else if (call_exchange_beside(x))
		loop_timer_start(e->p.loop, &x->timer, WAIT_POLL_MS, on_wait, x);
	else
		join_failed(x, 500, NULL);
}
