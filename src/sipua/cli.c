/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Client transactions (RFC 3261 sections 8.1, 9.1, 13.2, 17.1). nta retransmits; here is what it must not be asked:
 * CANCEL before a provisional response, dropping an INVITE that is under way, forgetting the INVITE before its ACK.
 * Later 2xx of other forks are ended with ACK and BYE (13.2.2.4).
 */
#include "sipua/police.h"
#include "sipua/guard/guard.h"

#include <stdio.h>
#include <stdlib.h>

void sipua_branch_new(char branch[static SIPUA_BRANCH_SIZE])
{
	memcpy(branch, "z9hG4bK", 7);
	base_random_token(branch + 7, 33);
}

uint32_t sipua_cli_cseq(const struct sipua_cli *c) { return c->cseq; }
int sipua_cli_status(const struct sipua_cli *c) { return c->status; }

static uint32_t branch_key(const char *branch)
{
	return base_hash_bytes(branch, strlen(branch), sipua_hash_seed);
}

static void destroy(struct sipua_cli *c)
{
	loop_timer_stop(&c->give_up);
	if (c->orq)
		nta_outgoing_destroy(c->orq);
	if (c->invite)
		base_hash_del(&c->ua->by_branch, &c->by_branch);
	list_del(&c->link);
	c->ua->figures.cli--;
	base_unref(c->dialog);
	if (c->copy)
		msg_destroy(c->copy);
	if (c->again)
		msg_destroy(c->again);
	free(c->reason);
	free(c);
}

/* ---- CANCEL ---- */

/* RFC 3261 9.1: no final answer within 64*T1 after CANCEL means that it is over */
static void give_up(void *arg)
{
	struct sipua_cli *c = arg;

	if (c->zombie) {
		if (c->ua->handlers.cancel_unanswered && !c->ua->closing)
			c->ua->handlers.cancel_unanswered(c->ua->arg, &c->dialog->dest, base_mono_now().us / 1000 - SIPUA_T1X64_MS);
		destroy(c);
		return;
	}
	c->status = 408;
	if (c->ops)
		c->ops->response(c->arg, c, 408, NULL);
}

static void do_cancel(struct sipua_cli *c)
{
	c->cancelled = true;
	nta_outgoing_tcancel(c->orq, NULL, NULL, TAG_IF(c->reason, SIPTAG_HEADER_STR(c->reason)), TAG_END());
	loop_timer_start(c->ua->loop, &c->give_up, SIPUA_T1X64_MS, give_up, c);
}

int sipua_cli_cancel(struct sipua_cli *c, const struct sipua_text *extra)
{
	char buf[1024];
	struct text t = text_on(buf, sizeof(buf));

	if (!c->invite || c->status >= 200)
		return ERR_WRONGSTATE;
	if (c->wish_cancel)
		return 0;
	c->wish_cancel = true;
	for (; extra && extra->name; extra++)
		text_add(&t, "%s%s: %.*s", t.n ? "\r\n" : "", extra->name, (int)extra->value.n, extra->value.p);
	if (t.n && !t.cut)
		c->reason = base_dup(text_get(&t));
	if (c->status >= 100)
		do_cancel(c);
	return 0;
}

/* ---- responses ---- */

/* of a re-INVITE the ACK alone: the session that it is part of goes on, or is ended by its owner */
static void end_unwanted(struct sipua_cli *c, msg_t *msg, const sip_t *sip)
{
	struct sipua_path path;

	if (c->in_dialog) {
		sipua_dialog_ack(c->dialog, c->cseq, NULL);
		return;
	}
	sipua_path_of(c->ua, msg, sipua_delivering(c->ua, msg), &path);
	sipua_ack_bye(c->ua, sip, &path);
}

/* the same where only nta has the message */
static void end_unwanted_orq(struct sipua_cli *c, const sip_t *sip)
{
	msg_t *msg = nta_outgoing_getresponse(c->orq);

	if (!msg)
		return;
	end_unwanted(c, msg, sip);
	msg_destroy(msg);
}

/* an INVITE that its user has left: nothing may stay open at the peer */
static void zombie_response(struct sipua_cli *c, int status, const sip_t *sip)
{
	if (status < 200)
		return;
	if (status < 300 && sip)
		end_unwanted_orq(c, sip);
	destroy(c);
}

static void note_flow(struct sipua_cli *c)
{
	tport_t *tp = (tport_t *)(uintptr_t)sipua_now.deliver_tport;

	if (tp && !c->large && tport_is_secondary(tp))
		sipua_dialog_flow(c->dialog, tp);
}

/* after the final answer: a late provisional one; forks come another way. A 2xx after we gave up is still a call at the peer. */
static void late_response(struct sipua_cli *c, int status, const sip_t *sip)
{
	if (sip && c->invite && c->status >= 300 && status >= 200 && status < 300)
		end_unwanted_orq(c, sip);
}

/* the response as policies left it, for its reader; false: they dropped it. msg is borrowed */
static bool police(struct sipua_cli *c, msg_t *msg, const sip_t **sip, int *status)
{
	bool forms = c->invite && !c->in_dialog;
	struct sipua_heard w = { .policy = c->dialog->policy, .notes = &c->dialog->notes, .out = !c->dialog->uas,
		.dialog = forms ? RULE_INITIAL : c->in_dialog ? RULE_MID : RULE_OUTSIDE };
	struct rule_result res;
	struct sipua_path path;
	tport_t *tp;
	msg_t *copy;

	if (!msg || *status <= 100 || !sipua_police_hears(c->dialog->policy, false, w.dialog))
		return true;
	tp = sipua_delivering(c->ua, msg);
	if (tp) {
		sipua_path_of(c->ua, msg, tp, &path);
		w.path = &path;
	}
	sipua_police_received(&w, msg, &copy, &res);
	sipua_police_heard(c->dialog, *sip, copy ? sip_object(copy) : NULL);
	if (copy) {
		if (c->copy)
			msg_destroy(c->copy);
		c->copy = copy;
		*sip = sip_object(copy);
		*status = (*sip)->sip_status->st_status;
	}
	base_count_n(COUNTER_RULE_DROP, res.verdict == RULE_DROP);
	return res.verdict != RULE_DROP || *status >= 200;
}

/* the same where only nta has the message */
static bool police_orq(struct sipua_cli *c, const sip_t **sip, int *status)
{
	enum rule_dialog dialog = c->in_dialog ? RULE_MID : RULE_INITIAL;
	msg_t *msg = *sip && sipua_police_hears(c->dialog->policy, false, dialog) ? nta_outgoing_getresponse(c->orq) : NULL;
	bool on = police(c, msg, sip, status);

	if (msg)
		msg_destroy(msg);
	return on;
}

/* RFC 3261 18.1.1: too large for UDP, and TCP cannot be had there: UDP after all */
static bool by_udp_then(struct sipua_cli *c)
{
	msg_t *msg = c->large && c->again && !c->wish_cancel && !c->zombie && c->status < 100 ? msg_dup(c->again) : NULL;
	sip_t *sip = msg ? sip_object(msg) : NULL;

	if (!sip)
		return false;
	c->udp_only = true;
	base_count(COUNTER_SIP_LARGE_BY_UDP);
	if (c->dialog->login)
		sipua_auth_known(c->dialog, msg, sip);
	return sipua_cli_resend(c, msg, sip);
}

static bool is_tried_again(struct sipua_cli *c, int status, const sip_t *sip)
{
	if (!sip)
		return status == 503 && by_udp_then(c);
	return (status == 401 || status == 407) && sipua_auth_again(c, sip);
}

static void take_response(struct sipua_cli *c, int status, const sip_t *sip)
{
	if (is_tried_again(c, status, sip))
		return;
	c->status = status;
	if (sip && status > 100)
		note_flow(c);
	if (status >= 200)
		loop_timer_stop(&c->give_up);
	else if (c->wish_cancel && !c->cancelled)
		do_cancel(c);
	if (c->zombie)
		zombie_response(c, status, sip);
	else if (c->ops && police_orq(c, &sip, &status))
		c->ops->response(c->arg, c, status, sipua_wire(sip));
}

static int response(struct sipua_cli *c, nta_outgoing_t *orq, const sip_t *sip)
{
	int status = sip ? sip->sip_status->st_status : 408;

	if (c->orq && orq != c->orq)
		return 0;
	if (sip && nta_sip_is_internal(sip))
		sip = NULL; /* 408 for silence, 503 for what could not be sent */
	if (c->status >= 200)
		late_response(c, status, sip);
	else
		take_response(c, status, sip);
	return 0;
}

static struct sipua_cli *by_branch(struct sipua *ua, const sip_t *sip)
{
	const char *branch = sip->sip_via ? sip->sip_via->v_branch : NULL;
	struct hash_node *n;
	uint32_t key;

	if (!branch)
		return NULL;
	key = branch_key(branch);
	for (n = base_hash_find(&ua->by_branch, key); n; n = n->next) {
		struct sipua_cli *c = container_of(n, struct sipua_cli, by_branch);
		if (n->key == key && strcasecmp(c->branch, branch) == 0)
			return c;
	}
	return NULL;
}

/* a 2xx that comes again: the first one's ACK was lost, or has not been made yet */
static bool again_2xx(struct sipua *ua, const struct sipua_cli *c, const sip_t *sip)
{
	struct sipua_dialog *d = sipua_dialog_of_2xx(ua, sip);

	if (!d)
		return false;
	base_count(COUNTER_SIP_2XX_AGAIN);
	if ((!c || c->acked) && !d->ack_waits)
		sipua_dialog_ack(d, sip->sip_cseq->cs_seq, NULL);
	return true;
}

bool sipua_cli_take_2xx(struct sipua *ua, msg_t *msg, const sip_t *sip)
{
	struct sipua_cli *c = by_branch(ua, sip);
	nta_outgoing_t *orq;

	if (c && c->cancelled)
		return false; /* nta waits for the answer to CANCEL as well */
	if (!c || c->status >= 200)
		return again_2xx(ua, c, sip);
	if (!c->orq || c->orq == (void *)-1)
		return false;
	orq = c->orq;
	c->orq = NULL;
	nta_outgoing_destroy(orq); /* not completed: it is gone at once, with its messages */
	c->status = sip->sip_status->st_status;
	note_flow(c);
	loop_timer_stop(&c->give_up);
	if (c->zombie) {
		end_unwanted(c, msg, sip);
		destroy(c);
	} else if (c->ops) {
		int status = c->status;

		police(c, msg, &sip, &status);
		c->ops->response(c->arg, c, status, sipua_wire(sip));
	}
	return true;
}

void sipua_fork_2xx(struct sipua *ua, msg_t *msg)
{
	const sip_t *sip = sip_object(msg);
	tport_t *tp = sipua_delivering(ua, msg);
	struct sipua_path path;

	base_count(COUNTER_SIP_FORK_2XX);
	if (!tp || ua->closing)
		return;
	sipua_path_of(ua, msg, tp, &path);
	if (!by_branch(ua, sip) && ua->handlers.stray_2xx && ua->handlers.stray_2xx(ua->arg, sipua_wire(sip), &path))
		return;
	sipua_ack_bye(ua, sip, &path);
}

/* ---- sending ---- */

static struct sipua_cli *make(struct sipua_dialog *d, const struct sipua_msg *m, const struct sipua_cli_ops *ops, void *arg)
{
	struct sipua_cli *c = base_alloc(sizeof(*c));

	if (!c)
		return NULL;
	memset(c, 0, sizeof(*c));
	c->ua = d->ua;
	c->dialog = base_ref(d);
	c->ops = ops;
	c->arg = arg;
	c->invite = m->sip->sip_request->rq_method == sip_method_invite;
	c->in_dialog = m->sip->sip_to->a_tag != NULL;
	sipua_branch_new(c->branch);
	list_add_tail(&d->ua->clis, &c->link);
	d->ua->figures.cli++;
	if (c->invite)
		base_hash_add(&d->ua->by_branch, &c->by_branch, branch_key(c->branch));
	return c;
}

static nta_outgoing_t *send_msg(struct sipua *ua, nta_response_f *cb, struct sipua_cli *c, msg_t *msg, const char *branch,
	const struct sipua_way *way)
{
	nta_outgoing_t *orq;

	if (way->conn)
		orq = nta_outgoing_mcreate(ua->nta, cb, c, NULL, msg, NTATAG_BRANCH_KEY(branch), NTATAG_TPORT(way->conn), TAG_END());
	else
		orq = nta_outgoing_mcreate(ua->nta, cb, c, (const url_string_t *)&way->url, msg, NTATAG_BRANCH_KEY(branch),
			TPTAG_IDENT(way->ident), TAG_END());
	if (!orq)
		msg_destroy(msg);
	return orq;
}

bool sipua_cli_resend(struct sipua_cli *c, msg_t *msg, sip_t *sip)
{
	struct sipua_dialog *d = c->dialog;
	struct sipua_msg m = { .ua = c->ua, .msg = msg, .sip = sip };
	nta_outgoing_t *old = c->orq;
	struct sipua_way way;

	if (sipua_way_of(d, c->in_dialog ? NULL : &d->dest, &way) || sipua_msg_finish(&m, d->cseq_local + 1)) {
		msg_destroy(msg);
		return false;
	}
	if (!c->udp_only)
		sipua_way_for(d, msg, &way);
	c->large = way.large;
	c->cseq = ++d->cseq_local;
	c->status = 0;
	if (c->invite)
		base_hash_del(&c->ua->by_branch, &c->by_branch);
	sipua_branch_new(c->branch);
	if (c->invite)
		base_hash_add(&c->ua->by_branch, &c->by_branch, branch_key(c->branch));
	c->orq = NULL; /* what the old one may say while it goes is nobody's */
	nta_outgoing_destroy(old);
	c->orq = send_msg(c->ua, response, c, msg, c->branch, &way);
	return c->orq != NULL;
}

/* policies, and a copy for a second try; false: they dropped it */
static bool prepare(struct sipua_cli *c, struct sipua_msg *m)
{
	if (!sipua_police_request(c->dialog, m))
		return false;
	if (c->dialog->login || c->dialog->udp_max)
		c->again = msg_dup(m->msg);
	return true;
}

/* ---- what policies dropped on its way out: its user gets a 403 of ours, and no target is thought to be dead ---- */

static msg_t *refusal(struct sipua_cli *c, const sip_t *request)
{
	msg_t *msg = nta_msg_create(c->ua->nta, 0);
	sip_t *sip = msg ? sip_object(msg) : NULL;
	const sip_request_t *rq = request->sip_request;

	if (sip && sip_add_dup(msg, sip, (sip_header_t *)request->sip_from) >= 0 && sip_add_dup(msg, sip, (sip_header_t *)request->sip_to) >= 0 &&
	    sip_add_dup(msg, sip, (sip_header_t *)request->sip_call_id) >= 0 &&
	    msg_header_insert(msg, (msg_pub_t *)sip, (msg_header_t *)sip_cseq_create(msg_home(msg), c->dialog->cseq_local, rq->rq_method, rq->rq_method_name)) >= 0 &&
	    msg_header_insert(msg, (msg_pub_t *)sip, (msg_header_t *)sip_status_create(msg_home(msg), SIP_403_FORBIDDEN, NULL)) >= 0)
		return msg;
	if (msg)
		msg_destroy(msg);
	return NULL;
}

static void dropped(void *arg)
{
	struct sipua_cli *c = arg;

	c->status = 403;
	if (c->zombie)
		destroy(c);
	else if (c->ops)
		c->ops->response(c->arg, c, 403, sipua_wire(sip_object(c->copy)));
}

static int drop(struct sipua_cli *c, struct sipua_msg *m, struct sipua_cli **ret)
{
	c->copy = refusal(c, m->sip);
	sipua_msg_free(m);
	if (!c->copy) {
		destroy(c);
		return -ENOMEM;
	}
	loop_timer_start(c->ua->loop, &c->give_up, 0, dropped, c);
	*ret = c;
	return 0;
}

/* what is no challenge's and fits is not kept for a second try */
static void keep_large(struct sipua_cli *c, bool large)
{
	c->large = large;
	if (large || c->dialog->login || !c->again)
		return;
	msg_destroy(c->again);
	c->again = NULL;
}

int sipua_cli_send(struct sipua_dialog *d, struct sipua_msg *m, const struct sipua_dest *dest, const struct sipua_cli_ops *ops, void *arg,
	struct sipua_cli **ret)
{
	struct sipua_way way;
	struct sipua_cli *c = NULL;
	int err = m->dialog == d && m->sip->sip_request->rq_method != sip_method_ack ? 0 : ERR_WRONGSTATE;
	msg_t *msg;

	if (!err)
		err = sipua_way_of(d, dest, &way);
	if (!err && !(c = make(d, m, ops, arg)))
		err = -ENOMEM;
	if (!err && !prepare(c, m))
		return drop(c, m, ret);
	if (!err)
		err = sipua_msg_finish(m, d->cseq_local + 1);
	if (err && c)
		destroy(c);
	if (err) {
		sipua_msg_free(m);
		return err;
	}
	msg = m->msg;
	if (d->login)
		sipua_auth_known(d, msg, m->sip);
	sipua_way_for(d, msg, &way);
	keep_large(c, way.large);
	m->msg = NULL;
	sipua_msg_free(m);
	c->cseq = ++d->cseq_local;
	c->orq = send_msg(d->ua, response, c, msg, c->branch, &way);
	if (!c->orq) {
		destroy(c);
		return ERR_PROTO;
	}
	*ret = c;
	return 0;
}

int sipua_cli_ack(struct sipua_cli *c, struct sipua_msg *m)
{
	int err = ERR_WRONGSTATE;

	if (c->invite && !c->acked && c->status >= 200 && c->status < 300)
		err = sipua_dialog_ack(c->dialog, c->cseq, m);
	else
		sipua_msg_free(m);
	c->acked |= !err;
	return err;
}

void sipua_cli_free(struct sipua_cli *c)
{
	if (!c)
		return;
	c->ops = NULL;
	if (c->invite && c->status >= 200 && c->status < 300 && !c->acked && !c->ua->closing) {
		struct sipua_msg *bye;
		struct sipua_cli *cli;
		if (sipua_dialog_ack(c->dialog, c->cseq, NULL) == 0 && !c->in_dialog && sipua_msg_request(c->dialog, SLICE("BYE"), NULL, 70, &bye) == 0 &&
		    sipua_cli_send(c->dialog, bye, NULL, NULL, NULL, &cli) == 0)
			sipua_cli_free(cli);
	}
	if (!c->invite || c->status >= 200 || c->zombie || c->ua->closing) {
		destroy(c);
		return;
	}
	c->zombie = true;
	sipua_cli_cancel(c, NULL);
}
