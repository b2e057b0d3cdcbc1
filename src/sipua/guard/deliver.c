/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tport_base_deliver: the front door. Every message, good or bad, passes here before nta sees it.
 * maddr is taken out of every Via: a response that follows it to where nothing can be sent is kept by nta as failed,
 * and the ACK then aborts the process (nta.c:6105), two packets in all. Here also: what is counted per message, and the
 * transport that a message came by, for those who ask while it is handled; and a 2xx to an INVITE goes to its user at once: nta would keep the
 * transaction with both messages for timer D (RFC 3261 17.1.1.2 ends it with the 2xx).
 * The topmost Via of a request gets what the answer's is to say: `keep` its interval (RFC 6223), and a private address that is not the source has
 * asked for rport by being one (RFC 3581: behind a NAT the Via's port is nobody's).
 */
#include "sipua/priv.h"
#include "sipua/guard/guard.h"

extern void tport_base_deliver(tport_t *self, msg_t *msg, su_time_t now);
SIPUA_REAL(tp_magic_t *, tport_magic, (tport_t const *self))
SIPUA_REAL(void, tport_base_deliver, (tport_t *self, msg_t *msg, su_time_t now))

static void count(const msg_t *msg, const sip_t *sip)
{
	base_count(COUNTER_SIP_RX);
	if (!sip)
		return;
	if (sip->sip_status && sip->sip_status->st_status >= 100 && sip->sip_status->st_status < 700)
		base_count((enum base_counter)(COUNTER_SIP_RSP_IN_1XX + sip->sip_status->st_status / 100 - 1));
	if (sip->sip_flags & MSG_FLG_TOOLARGE)
		base_count(COUNTER_SIP_TOO_LARGE);
	else if (msg_has_error(msg) || sip->sip_error)
		base_count(COUNTER_SIP_BAD);
}

static void strip_maddr(sip_t *sip)
{
	for (sip_via_t *v = sip->sip_via; v; v = v->v_next)
		if (v->v_maddr) {
			base_count(COUNTER_SIP_VIA_MADDR);
			msg_header_remove_param(v->v_common, "maddr");
		}
}

#define KEEP_UDP "keep=30"
#define KEEP_STREAM "keep=120"           /* seconds (RFC 5626 4.4.1) */

static void answer_keep(const msg_t *msg, const sip_t *sip)
{
	sip_via_t *v = sip->sip_via;
	const char *keep = msg_params_find(v->v_params, "keep");

	if (!keep || *keep || (sip->sip_to && sip->sip_to->a_tag))
		return; /* agreed when the dialog is made */
	msg_header_replace_param(msg_home((msg_t *)(uintptr_t)msg), v->v_common, v->v_protocol && strcasecmp(v->v_protocol, sip_transport_udp) ? KEEP_STREAM : KEEP_UDP);
}

static void add_rport(msg_t *msg, sip_via_t *v)
{
	union base_addr host;

	if (v->v_rport || !sipua_is_private(v->v_host) || base_addr_parse(slice_str(v->v_host), 0, &host))
		return;
	if (base_addr_same_host(&host, (const union base_addr *)msg_addr(msg)))
		return;
	msg_header_replace_param(msg_home(msg), v->v_common, "rport");
}

static void fit_via(msg_t *msg, sip_t *sip)
{
	if (!sip->sip_via)
		return;
	if (msg_params_find(sip->sip_via->v_params, "keep"))
		answer_keep(msg, sip);
	add_rport(msg, sip->sip_via);
}

static void note_connection(tport_t *self)
{
	struct sipua_fd *f = sipua_fd_get(sipua_now.reading);

	if (!f || !f->conn || !tport_is_secondary(self))
		return;
	f->conn->tport = self;
	f->conn->messages++;
	f->conn->amid = false;
	f->conn->last = base_mono_now();
}

/* a sound 2xx of an INVITE, for one Via alone */
static bool is_2xx(const msg_t *msg, const sip_t *sip)
{
	return sip && sip->sip_status && sip->sip_status->st_status / 100 == 2 && !msg_has_error(msg) && !sip->sip_error &&
		sip->sip_via && !sip->sip_via->v_next && sip->sip_cseq && sip->sip_cseq->cs_method == sip_method_invite && sip->sip_from &&
		sip->sip_to && sip->sip_to->a_tag && sip->sip_call_id;
}

/* what ends the client transaction of an INVITE need not be kept by it for another 32 s */
static bool take_2xx(tport_t *self, msg_t *msg, const sip_t *sip)
{
	struct sipua *ua;
	unsigned listener;

	return is_2xx(msg, sip) && sipua_listener_of(self, &ua, &listener) && !ua->closing && sipua_cli_take_2xx(ua, msg, sip);
}

/*
 * The Via of a transport. The library makes those of all listeners anew with each listener that comes, frees the old ones, and tells the
 * listeners alone: their connections would go on with what is freed. So a connection has its listener's, always.
 */
tp_magic_t *tport_magic(tport_t const *self)
{
	SIPUA_HIT(tport_magic);
	return real_tport_magic(self && tport_is_secondary(self) ? tport_parent(self) : self);
}

void tport_base_deliver(tport_t *self, msg_t *msg, su_time_t now)
{
	sip_t *sip = sip_object(msg);

	SIPUA_HIT(tport_base_deliver);
	count(msg, sip);
	if (sip && sip->sip_request) {
		strip_maddr(sip);
		fit_via(msg, sip);
	}
	note_connection(self);
	tport_set_magic(self, tport_magic(self)); /* the delivery hands on the field itself */
	sipua_now.deliver_tport = self;
	sipua_now.deliver_msg = msg;
	sipua_trace_arrived(self, msg);
	if (take_2xx(self, msg, sip))
		msg_destroy(msg);
	else
		real_tport_base_deliver(self, msg, now);
	sipua_trace_done();
	sipua_now.deliver_tport = NULL;
	sipua_now.deliver_msg = NULL;
}
