/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front door: every message that no transaction took. Requests of known dialogs go to them, the others to the
 * handler, before anything is kept for them. RFC 3261 sections 8.2, 12.2.2, 13.2.2.4, 17.1.3.
 */
#include "sipua/police.h"
#include "sipua/guard/guard.h"

#include <stdio.h>
#include <stdlib.h>

const struct wire_sip *sipua_in_sip(const struct sipua_in *in)
{
	return sipua_wire(in->copy ? sip_object(in->copy) : in->sip);
}

const struct sipua_path *sipua_in_path(const struct sipua_in *in)
{
	return &in->path;
}

void sipua_in_drop(struct sipua_in *in)
{
	if (in->msg)
		msg_destroy(in->msg);
	in->msg = NULL;
}

/* what policies left */
static void forget(struct sipua_in *in)
{
	sipua_in_drop(in);
	if (in->copy)
		msg_destroy(in->copy);
	base_unref(in->notes);
	free(in->route);
}

/* the status line comes first where policies look at the answer */
static int police(struct sipua_in *in, msg_t *reply, sip_t *rsip, int status, const char *phrase)
{
	su_home_t *home = msg_home(reply);
	const char *text = phrase && *phrase ? phrase : sip_status_phrase(status);

	if (!in->policy || status <= 100)
		return status;
	if (msg_header_insert(reply, (msg_pub_t *)rsip, (msg_header_t *)sip_status_create(home, (unsigned)status, su_strdup(home, text ? text : "Unknown"), NULL)) < 0)
		return status;
	return sipua_police_reply(in, reply, rsip);
}

static int add_extra(msg_t *msg, sip_t *sip, const struct sipua_text *extra)
{
	for (; extra && extra->name; extra++) {
		char *line = su_sprintf(msg_home(msg), "%s: %.*s", extra->name, (int)extra->value.n, extra->value.p);
		if (!line || sip_add_tl(msg, sip, SIPTAG_HEADER_STR(line), TAG_END()) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* a To tag of ours, not the library's, whose counter can be guessed */
static int add_tagged_to(msg_t *msg, sip_t *sip, const sip_t *request)
{
	char tag[17];

	if (sip_add_dup(msg, sip, (sip_header_t *)request->sip_to) < 0)
		return -ENOMEM;
	if (sip->sip_to->a_tag)
		return 0;
	base_random_token(tag, sizeof(tag));
	return sip_to_tag(msg_home(msg), sip->sip_to, tag) < 0 ? -ENOMEM : 0;
}

void sipua_in_reply(struct sipua_in *in, int status, const char *phrase, const struct sipua_text *extra)
{
	struct sipua *ua = in->ua;
	msg_t *reply, *msg = in->msg;
	sip_t *rsip;

	if (!msg)
		return;
	in->msg = NULL;
	if (in->sip->sip_request->rq_method == sip_method_ack) {
		msg_destroy(msg);
		return;
	}
	base_count(COUNTER_SIP_STATELESS_REPLIES);
	reply = nta_msg_create(ua->nta, 0);
	if (!reply) {
		msg_destroy(msg);
		return;
	}
	rsip = sip_object(reply);
	if (add_extra(reply, rsip, extra) || (status > 100 && add_tagged_to(reply, rsip, in->sip)) ||
	    (ua->server && sip_add_dup(reply, rsip, (sip_header_t *)ua->server) < 0)) {
		msg_destroy(reply);
		msg_destroy(msg);
		return;
	}
	status = police(in, reply, rsip, status, phrase);
	nta_msg_mreply(ua->nta, reply, rsip, status, rsip->sip_status ? NULL : phrase, msg, TAG_END());
}

/* ---- requests ---- */

/* also where its trunk is gone, and its policies with it: what they made of the dialog holds */
static bool is_policed(const struct sipua_dialog *d)
{
	return d->policy || d->stripped || d->stripped_in;
}

/* receive, in a dialog; false: the request is answered or dropped */
static bool police_mid(struct sipua_in *in, struct sipua_dialog *d)
{
	const struct sipua_heard w = { .policy = d->policy, .notes = &d->notes, .path = &in->path, .out = !d->uas, .dialog = RULE_MID };
	struct sipua_text allow[] = { { "Allow", slice_str(d->allow) }, { NULL, { NULL, 0 } } };
	struct rule_result res;

	in->policy = d->policy;
	sipua_police_received(&w, in->msg, &in->copy, &res);
	if (res.verdict == RULE_REJECT) {
		base_count(COUNTER_RULE_REJECT);
		sipua_in_reply(in, res.status, res.text[0] ? res.text : NULL, NULL);
	} else if (res.verdict == RULE_DROP) {
		base_count(COUNTER_RULE_DROP);
		sipua_in_drop(in);
	} else if (sipua_dialog_refuses(d, in->sip)) {
		base_count(COUNTER_REJECT_METHOD);
		sipua_in_reply(in, 405, NULL, d->allow ? allow : NULL);
	} else if (in->copy || d->notes) {
		sipua_police_heard(d, in->sip, in->copy ? sip_object(in->copy) : NULL);
	}
	return in->msg != NULL;
}

static void to_dialog(struct sipua_in *in, struct sipua_dialog *d)
{
	uint32_t cseq = in->sip->sip_cseq->cs_seq;
	struct sipua_srv *srv;

	sipua_trace_take();
	if (d->cseq_remote && cseq < d->cseq_remote) {
		/* RFC 3261 12.2.2; an equal one is a retransmission that found us restarted */
		base_count(COUNTER_SIP_CSEQ_LOW);
		sipua_in_reply(in, 500, NULL, NULL);
		return;
	}
	if (!d->ops || !d->ops->request) {
		sipua_in_reply(in, 481, NULL, NULL);
		return;
	}
	if (is_policed(d) && !police_mid(in, d)) {
		d->cseq_remote = cseq;
		return;
	}
	if (tport_is_secondary(in->tport))
		sipua_dialog_flow(d, in->tport);
	if (sipua_in_accept(in, NULL, NULL, &srv))
		return;
	if (is_policed(d))
		srv->dialog = base_ref(d);
	d->cseq_remote = cseq;
	if (d->uas && d->dest.transport == srv->path.transport) {
		d->dest.listener = srv->path.listener;
		d->dest.addr = srv->path.source;
	}
	d->ops->request(d->arg, d, srv);
}

/* a request whose transaction is gone: answered over UDP on the spot, or an INVITE that is a call by now */
static bool comes_again(struct sipua *ua, const sip_t *sip, const struct sipua_path *path)
{
	if (sip->sip_request->rq_method != sip_method_invite)
		return path->transport == SIPUA_UDP && sipua_answered_again(ua, sip);
	return !sip->sip_to->a_tag && sipua_dialog_of_invite(ua, sip) && !sipua_in_is_merged(&(struct sipua_in){ .ua = ua, .sip = (sip_t *)(uintptr_t)sip });
}

/* the dialog that a request belongs to, where it may reach it by the listener that it came to */
static struct sipua_dialog *dialog_of(struct sipua *ua, const sip_t *sip, const struct sipua_path *path)
{
	struct sipua_dialog *d = sip->sip_to->a_tag ? sipua_dialog_find(ua, sip) : NULL;

	if (!d || d->dest.listener == path->listener || !ua->handlers.reaches || ua->handlers.reaches(ua->arg, d->dest.listener, path->listener))
		return d;
	base_count(COUNTER_SIP_DIALOG_ELSEWHERE);
	return NULL;
}

/* of a 2xx that a former process sent, of a transaction that is gone, or of a stateless reply */
static void stray_ack(struct sipua *ua, msg_t *msg, const sip_t *sip, const struct sipua_path *path)
{
	if (sipua_held_ack(dialog_of(ua, sip, path), sip))
		sipua_trace_take();
	else
		base_count(COUNTER_SIP_ACK_STRAY);
	msg_destroy(msg);
}

static void request(struct sipua *ua, msg_t *msg, sip_t *sip)
{
	struct sipua_in in = { .ua = ua, .msg = msg, .sip = sip };
	sip_method_t method = sip->sip_request->rq_method;
	struct sipua_dialog *d;

	in.tport = sipua_delivering(ua, msg);
	if (!in.tport || ua->closing) {
		msg_destroy(msg);
		return;
	}
	sipua_path_of(ua, msg, in.tport, &in.path);
	if (method == sip_method_ack) {
		stray_ack(ua, msg, sip, &in.path);
		return;
	}
	if (comes_again(ua, sip, &in.path)) {
		sipua_trace_take();
		msg_destroy(msg);
		return;
	}
	if (method == sip_method_cancel)
		sipua_in_reply(&in, 481, NULL, NULL);
	else if ((d = dialog_of(ua, sip, &in.path)))
		to_dialog(&in, d);
	else if (!ua->tp[in.path.listener].gone)
		ua->handlers.request(ua->arg, &in);
	forget(&in);
	if (ua->fresh)
		sipua_srv_settle(ua->fresh);
}

int sipua_in_accept(struct sipua_in *in, const struct sipua_srv_ops *ops, void *arg, struct sipua_srv **ret)
{
	if (!in->msg)
		return ERR_WRONGSTATE;
	return sipua_srv_make(in, ops, arg, ret);
}

/* ---- merged requests: RFC 3261 8.2.2.2 ---- */

uint32_t sipua_merge_key(const sip_t *sip)
{
	const char *id = sip->sip_call_id->i_id, *tag = sip->sip_from->a_tag;

	return base_hash_bytes(id, strlen(id), base_hash_bytes(tag ? tag : "", tag ? strlen(tag) : 0, sipua_hash_seed ^ sip->sip_cseq->cs_seq));
}

static bool is_same_request(const sip_t *a, const sip_t *b)
{
	const char *ta = a->sip_from->a_tag, *tb = b->sip_from->a_tag;

	return a->sip_cseq->cs_seq == b->sip_cseq->cs_seq && a->sip_cseq->cs_method == b->sip_cseq->cs_method &&
		strcmp(a->sip_call_id->i_id, b->sip_call_id->i_id) == 0 && strcmp(ta ? ta : "", tb ? tb : "") == 0;
}

bool sipua_in_is_merged(const struct sipua_in *in)
{
	uint32_t key = sipua_merge_key(in->sip);
	struct hash_node *n = base_hash_find(&in->ua->merged, key);

	for (; n; n = n->next)
		if (n->key == key && is_same_request(container_of(n, struct sipua_srv, merged)->sip, in->sip))
			return true;
	return false;
}

/* ---- responses that no transaction wants ---- */

/** RFC 3261 18.1.2: the top Via must name us. */
static bool is_ours(const struct sipua *ua, const sip_via_t *v)
{
	uint64_t port = 0;

	if (!v || !v->v_host || (v->v_port && slice_u64(slice_str(v->v_port), 65535, &port)))
		return false;
	for (size_t i = 0; i < ua->n; i++) {
		const struct sipua_tp *tp = &ua->tp[i];
		if (strcasecmp(v->v_host, tp->advertised_host) == 0 && (port ? port : ua->lst[i].transport == SIPUA_TLS ? 5061 : 5060) == tp->advertised_port)
			return true;
	}
	return false;
}

static void response(struct sipua *ua, msg_t *msg, sip_t *sip)
{
	int status = sip->sip_status->st_status;
	tport_t *tp = sipua_delivering(ua, msg);
	struct sipua_path path;

	if (!is_ours(ua, sip->sip_via) || status < 200 || status > 299 || sip->sip_cseq->cs_method != sip_method_invite || !tp || ua->closing) {
		base_count(COUNTER_SIP_RESPONSES_STRAY);
		msg_destroy(msg);
		return;
	}
	sipua_trace_take();
	sipua_path_of(ua, msg, tp, &path);
	base_count(COUNTER_SIP_2XX_STRAY);
	if (!ua->handlers.stray_2xx || !ua->handlers.stray_2xx(ua->arg, sipua_wire(sip), &path))
		sipua_ack_bye(ua, sip, &path);
	msg_destroy(msg);
}

int sipua_front(struct sipua *ua, nta_agent_t *nta, msg_t *msg, sip_t *sip)
{
	(void)nta;
	sipua_trace_front();
	if (sip->sip_request)
		request(ua, msg, sip);
	else
		response(ua, msg, sip);
	return 0;
}
