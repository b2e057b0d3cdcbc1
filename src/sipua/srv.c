/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server transactions (RFC 3261 sections 8.2, 13.3, 17.2). The state machine is nta's; here are its rules that a
 * user must not break: one final answer, no provisional one after it, the transaction kept until the ACK.
 */
#include "sipua/police.h"
#include "sipua/guard/guard.h"

#include <errno.h>
#include <stdlib.h>

const struct wire_sip *sipua_srv_sip(const struct sipua_srv *s) { return sipua_wire(s->copy ? sip_object(s->copy) : s->sip); }
const struct sipua_path *sipua_srv_path(const struct sipua_srv *s) { return &s->path; }
int sipua_srv_status(const struct sipua_srv *s) { return s->status; }

void sipua_srv_bind(struct sipua_srv *s, const struct sipua_srv_ops *ops, void *arg)
{
	s->ops = ops;
	s->arg = arg;
}

/* the ACK as policies left it; NULL: they dropped it, none came */
static const sip_t *police_ack(struct sipua_srv *s, const sip_t *sip)
{
	struct sipua_dialog *d = s->dialog;
	const struct sipua_heard w = { .policy = d ? d->policy : NULL, .notes = d ? &d->notes : NULL, .path = &s->path, .out = d && !d->uas, .dialog = RULE_MID };
	struct rule_result res;
	msg_t *msg;

	if (!sip || !sipua_police_hears(w.policy, true, RULE_MID) || !(msg = nta_incoming_getrequest_ackcancel(s->irq)))
		return sip;
	sipua_police_received(&w, msg, &s->ack_copy, &res);
	msg_destroy(msg);
	if (d->linked)
		sipua_police_heard(d, sip, s->ack_copy ? sip_object(s->ack_copy) : NULL);
	base_count_n(COUNTER_RULE_DROP, res.verdict == RULE_DROP);
	return res.verdict == RULE_DROP ? NULL : s->ack_copy ? sip_object(s->ack_copy) : sip;
}

static void got_ack(struct sipua_srv *s, const sip_t *sip)
{
	if (s->status < 200 || s->status > 299 || s->acked)
		return; /* ACK of a failure is the transaction's own affair */
	s->acked = true;
	if (s->path.transport == SIPUA_UDP)
		sipua_held_tell(s, NULL);
	sip = police_ack(s, sip);
	if (s->ops && s->ops->ack)
		s->ops->ack(s->arg, s, sipua_wire(sip));
}

/* nta tells ACK, CANCEL, and with sip == NULL that no ACK came */
static int ack_cancel(struct sipua_srv *s, nta_incoming_t *irq, const sip_t *sip)
{
	(void)irq;
	if (!sip || sip->sip_request->rq_method == sip_method_ack)
		got_ack(s, sip);
	else if (sip->sip_request->rq_method == sip_method_cancel && s->status < 200 && s->ops && s->ops->cancel)
		s->ops->cancel(s->arg, s, sipua_wire(sip));
	return 0;
}

static int keep_subjects(struct sipua_srv *s)
{
	char *copy;

	if (slice_empty(s->path.tls_subjects))
		return 0;
	copy = su_strndup(msg_home(s->msg), s->path.tls_subjects.p, (isize_t)s->path.tls_subjects.n);
	if (!copy)
		return -ENOMEM;
	s->path.tls_subjects.p = copy;
	return 0;
}

static void enter(struct sipua_srv *s)
{
	struct sipua *ua = s->ua;

	list_add_tail(&ua->srvs, &s->link);
	ua->figures.srv++;
	if (!s->sip->sip_to->a_tag) {
		base_hash_add(&ua->merged, &s->merged, sipua_merge_key(s->sip));
		s->in_merged = true;
	}
}

static bool is_brief(const struct sipua_in *in)
{
	return in->sip->sip_request->rq_method != sip_method_invite && in->path.transport == SIPUA_UDP;
}

static int start_nta(struct sipua_srv *s, tport_t *tport)
{
	/* takes over one reference of the message; s->msg is another */
	s->irq = nta_incoming_create(s->ua->nta, NULL, msg_ref_create(s->msg), s->sip, NTATAG_TPORT(tport), TAG_END());
	if (!s->irq)
		return -ENOMEM;
	if (s->tag[0])
		nta_incoming_tag(s->irq, s->tag);
	if (s->sip->sip_request->rq_method != sip_method_invite)
		return 0;
	nta_incoming_bind(s->irq, ack_cancel, s);
	nta_incoming_treply(s->irq, SIP_100_TRYING, TAG_END());
	s->status = 100;
	return 0;
}

void sipua_srv_settle(struct sipua_srv *s)
{
	s->ua->fresh = NULL;
	if (s->status < 200 && start_nta(s, s->tport))
		base_log_limited(BASE_WARN, 1, "sipua", "a request cannot be answered: no memory");
	s->tport = NULL;
}

static void drop_msgs(struct sipua_srv *s)
{
	msg_destroy(s->msg);
	if (s->copy)
		msg_destroy(s->copy);
	if (s->ack_copy)
		msg_destroy(s->ack_copy);
	base_unref(s->policy);
	base_unref(s->notes);
	base_unref(s->dialog);
}

int sipua_srv_make(struct sipua_in *in, const struct sipua_srv_ops *ops, void *arg, struct sipua_srv **ret)
{
	struct sipua_srv *s = base_alloc(sizeof(*s));

	sipua_trace_take();
	if (!s) {
		sipua_in_reply(in, 500, NULL, NULL);
		return -ENOMEM;
	}
	memset(s, 0, sizeof(*s));
	s->ua = in->ua;
	s->path = in->path;
	sipua_srv_bind(s, ops, arg);
	s->msg = in->msg;
	s->sip = in->sip;
	in->msg = NULL;
	s->copy = in->copy;
	in->copy = NULL;
	s->policy = in->policy ? base_ref(in->policy) : NULL;
	s->notes = in->notes ? base_ref(in->notes) : NULL;
	if (!s->sip->sip_to->a_tag)
		base_random_token(s->tag, sizeof(s->tag));
	if (is_brief(in)) {
		s->tport = in->tport;
		s->ua->fresh = s;
	} else if (start_nta(s, in->tport)) {
		drop_msgs(s);
		free(s);
		return -ENOMEM;
	}
	keep_subjects(s);
	if (tport_is_secondary(in->tport))
		s->flow = tport_ref(in->tport);
	enter(s);
	*ret = s;
	return 0;
}

/* an answer on the spot, without a transaction of nta's: its datagram is kept for retransmissions (answered.c) */
static int send_brief(struct sipua_srv *s, msg_t *msg, int status)
{
	struct sipua_sent sent = { .fd = -1 };
	sip_t *rsip = sip_object(msg);
	int r;

	if (s->tag[0] && (sip_add_dup(msg, rsip, (sip_header_t *)s->sip->sip_to) < 0 || sip_to_tag(msg_home(msg), rsip->sip_to, s->tag) < 0)) {
		msg_destroy(msg);
		return -ENOMEM;
	}
	sipua_now.sent = &sent;
	r = nta_msg_mreply(s->ua->nta, msg, rsip, status, NULL, msg_ref_create(s->msg), TAG_END());
	sipua_now.sent = NULL;
	if (r >= 0)
		sipua_answered_keep(s->ua, s->sip, &sent);
	return r < 0 ? ERR_GONE : 0;
}

/* a 2xx to an INVITE over UDP: its datagram may have to outlive this process */
static int send_held(struct sipua_srv *s, msg_t *msg)
{
	struct sipua_sent sent = { .fd = -1 };
	int r;

	sipua_now.sent = &sent;
	r = nta_incoming_mreply(s->irq, msg);
	sipua_now.sent = NULL;
	sipua_held_tell(s, &sent);
	return r;
}

int sipua_srv_send(struct sipua_srv *s, struct sipua_msg *m)
{
	msg_t *msg = m->msg;
	int status, r;

	if (m->srv != s || s->status >= 200) {
		sipua_msg_free(m);
		return ERR_WRONGSTATE;
	}
	if (!sipua_police_response(s, m)) {
		sipua_msg_free(m);
		return 0;
	}
	status = m->status;
	m->msg = NULL;
	sipua_msg_free(m);
	if (s->ua->fresh == s) {
		if (status >= 200) {
			s->status = status;
			return send_brief(s, msg, status);
		}
		sipua_srv_settle(s);
	}
	if (!s->irq || nta_incoming_complete_response(s->irq, msg, status, NULL, TAG_END()) < 0) {
		msg_destroy(msg);
		return ERR_PROTO;
	}
	s->status = status;
	if (status >= 200 && status < 300 && s->sip->sip_request->rq_method == sip_method_invite && s->path.transport == SIPUA_UDP)
		r = send_held(s, msg);
	else
		r = nta_incoming_mreply(s->irq, msg);
	return r < 0 ? ERR_GONE : 0;
}

int sipua_srv_reply(struct sipua_srv *s, int status, const char *phrase)
{
	struct sipua_msg *m;
	int err = sipua_msg_response(s, status, phrase, &m);

	return err ? err : sipua_srv_send(s, m);
}

void sipua_srv_free(struct sipua_srv *s)
{
	if (!s)
		return;
	if (s->status < 200)
		sipua_srv_reply(s, 500, NULL);
	if (s->ua->fresh == s)
		s->ua->fresh = NULL;
	nta_incoming_destroy(s->irq);
	if (s->in_merged)
		base_hash_del(&s->ua->merged, &s->merged);
	list_del(&s->link);
	s->ua->figures.srv--;
	if (s->flow)
		tport_unref(s->flow);
	drop_msgs(s);
	free(s);
}
