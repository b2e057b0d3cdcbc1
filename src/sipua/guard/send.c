/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tport_tsend. A response that cannot be sent must look sent, like a lost datagram: nta keeps it as failed otherwise
 * and aborts at the next ACK (nta.c:6105); any local error of sending does it. Where a connection is gone the response
 * goes to the Via's port at the source (RFC 3261 18.2.2) before it is given up.
 * And: nta looks for an open connection by address alone, and would send over TLS what is meant for one name through a
 * connection whose certificate was checked for another; such a request goes back to the primary transport, which checks.
 */
#include "sipua/priv.h"
#include "sipua/guard/guard.h"

#include <sofia-sip/su_tagarg.h>

typedef tport_t *send_f(tport_t *self, msg_t *msg, const tp_name_t *tpn, tag_type_t tag, tag_value_t value, ...);
static send_f *real_tport_tsend;

__attribute__((constructor(101))) static void resolve(void)
{
	real_tport_tsend = (send_f *)sipua_guard_real("tport_tsend");
}

static bool is_for_another(struct sipua *ua, tport_t *self, const tp_name_t *tpn)
{
	const char *canon = tport_name(self)->tpn_canon;

	return sipua_tls_dest_by_canon(ua, tpn->tpn_canon) && (!canon || strcmp(canon, tpn->tpn_canon));
}

static tport_t *choose(tport_t *self, const tp_name_t *tpn)
{
	struct sipua *ua;
	unsigned listener;

	if (!self || !tpn || !tport_is_secondary(self) || !tport_has_tls(self) || !sipua_listener_of(self, &ua, &listener))
		return self;
	return is_for_another(ua, self, tpn) ? tport_parent(self) : self;
}

/* what the connection's port was, rport says; a new one goes to where the peer listens */
static tport_t *send_anew(tport_t *self, msg_t *msg, const tp_name_t *tpn, const sip_t *sip)
{
	const sip_via_t *v = sip->sip_via;
	tp_name_t to = *tpn;

	if (v)
		to.tpn_port = v->v_port && *v->v_port ? v->v_port : tport_has_tls(self) ? "5061" : "5060";
	return real_tport_tsend(tport_parent(self), msg, &to, TAG_END());
}

/* a response on a connection */
static bool may_go_anew(const tport_t *self, const tp_name_t *tpn, const sip_t *sip)
{
	return self && tpn && sip && sip->sip_status && tport_is_secondary(self);
}

static void enter(tport_t *self, const tp_name_t *tpn, struct sipua_sent *sent)
{
	sipua_now.canon = tpn ? tpn->tpn_canon : NULL;
	sipua_now.host = tpn ? tpn->tpn_host : NULL;
	sipua_now.sending = self;
	sipua_now.wrote = -1;
	sipua_now.opened = false;
	if (!sipua_now.sent)
		sipua_now.sent = sent;
}

static void leave(const struct sipua_guard_now *outer, tport_t *by, msg_t *msg, const sip_t *sip)
{
	if (by) {
		base_count(COUNTER_SIP_TX);
		if (sip && sip->sip_status && sip->sip_status->st_status >= 100 && sip->sip_status->st_status < 700)
			base_count((enum base_counter)(COUNTER_SIP_RSP_OUT_1XX + sip->sip_status->st_status / 100 - 1));
		sipua_trace_sent(by, msg, sipua_now.sent);
	}
	sipua_now.sent = outer->sent;
	sipua_now.wrote = outer->wrote;
	sipua_now.opened = outer->opened;
	sipua_now.canon = outer->canon;
	sipua_now.host = outer->host;
	sipua_now.sending = outer->sending;
}

tport_t *tport_tsend(tport_t *self, msg_t *msg, const tp_name_t *tpn, tag_type_t tag, tag_value_t value, ...)
{
	struct sipua_guard_now outer = sipua_now;
	const sip_t *sip = msg ? sip_object(msg) : NULL;
	struct sipua_sent sent = { .fd = -1 };
	tport_t *r;
	ta_list ta;

	SIPUA_HIT(tport_tsend);
	self = choose(self, tpn);
	enter(self, tpn, &sent);
	ta_start(ta, tag, value);
	r = may_go_anew(self, tpn, sip) && !tport_is_clear_to_send(self) ? NULL : real_tport_tsend(self, msg, tpn, ta_tags(ta));
	if (!r && may_go_anew(self, tpn, sip))
		r = send_anew(self, msg, tpn, sip);
	ta_end(ta);
	leave(&outer, r, msg, sip);
	if (r || !self || !sip || !sip->sip_status)
		return r;
	base_count(COUNTER_SIP_RESPONSE_UNSENT);
	return self;
}
