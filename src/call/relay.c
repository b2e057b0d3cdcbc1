/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that carry no offer and no answer: INFO, MESSAGE, NOTIFY, REFER, SUBSCRIBE, OPTIONS and methods that we do not know, inside a call's dialogs
 * (RFC 6086, 3428, 6665, 3515, 3261 11). What a request says of dialogs (Refer-To, Replaces) is said anew for the other leg's: transfer.c.
 * The same outside of dialogs is apart.c's.
 */
#include <errno.h>
#include <stdlib.h>

#include "call/b2b.h"

/** What is known of a method; unknown ones cross where both peers allow them. */
static const struct { enum wire_method method; bool crosses, contact, ends; } methods[] = {
	{ WIRE_INFO, true, false, true },
	{ WIRE_OPTIONS, true, false, true },
	{ WIRE_MESSAGE, true, false, true },
	{ WIRE_NOTIFY, true, true, false },
	{ WIRE_SUBSCRIBE, true, true, false },
	{ WIRE_REFER, true, true, false },
	{ WIRE_PUBLISH, false, false, false },
};

static bool method_contact(enum wire_method m)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(methods); i++)
		if (methods[i].method == m)
			return methods[i].contact;
	return false;
}

/** Does a 481 say that the call's dialog is gone, and not a subscription in it (RFC 5057)? */
static bool method_ends(enum wire_method m)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(methods); i++)
		if (methods[i].method == m)
			return methods[i].ends;
	return false;
}

static bool may_cross(const struct call_leg *leg, const struct call_leg *to, const struct wire_sip *sip)
{
	enum wire_method m = wire_sip_method(sip);
	size_t i;

	/* a method that policies took from Allow on a leg is not sent there */
	if (m != WIRE_UNKNOWN && to->dialog && sipua_dialog_stripped(to->dialog) & 1u << m)
		return false;
	if (m == WIRE_UNKNOWN)
		return call_leg_allows(leg, wire_sip_method_name(sip)) && call_leg_allows(to, wire_sip_method_name(sip));
	for (i = 0; i < ARRAY_LEN(methods); i++)
		if (methods[i].method == m)
			return methods[i].crosses;
	return false;
}

int call_relay_fill(struct sipua_msg *msg, const struct wire_sip *sip, const struct call_leg *to)
{
	enum wire_method m = wire_sip_method(sip);
	int status = wire_sip_status(sip), err = call_headers_cross(msg, sip, to);

	if (!err && method_contact(m) && status < 300)
		err = call_headers_contact(msg, to);
	if (!err && ((m == WIRE_OPTIONS && status) || method_contact(m)) && status < 300)
		err = call_headers_ours(msg, to);
	if (!err && m == WIRE_REFER && !status)
		err = call_transfer_add(msg, sip, to);
	return err ? err : call_body_put(msg, sip, (struct slice){ NULL, 0 }, to);
}

/* ---- inside a dialog ---- */

static void on_final(struct call_exchange *x, int status, const struct wire_sip *sip)
{
	struct call *c = x->call;
	struct call_leg *to = x->to;
	bool gone = !c->apart && method_ends(x->method) && (status == 481 || (!sip && status == 408));
	struct sipua_msg *msg;

	if (!sip || sipua_msg_response(x->srv, status, NULL, &msg)) {
		call_exchange_refuse(x, status, NULL, NULL);
	} else if (call_relay_fill(msg, sip, x->from)) {
		sipua_msg_free(msg);
		call_exchange_refuse(x, 500, NULL, NULL);
	} else {
		if (status == 405)
			call_headers_ours(msg, x->from);
		sipua_srv_send(x->srv, msg);
	}
	if (c->apart)
		call_apart_heard(c, x->method, status, sip);
	call_exchange_free(x);
	if (gone) {
		to->over = true;
		call_end(c, "dialog-lost", "postern", status, to, NULL);
	}
}

static void relay_response(void *arg, struct sipua_cli *cli, int status, const struct wire_sip *sip)
{
	struct call_exchange *x = arg;

	if (status < 200)
		return;
	if (sip)
		call_leg_allow(x->to, sip);
	on_final(x, status, sip);
}

static const struct sipua_cli_ops relay_cli_ops = { .response = relay_response };

static int relay_send(struct call_exchange *x, const struct wire_sip *sip)
{
	int mf = wire_sip_max_forwards(sip);
	struct sipua_msg *msg;

	if (sipua_msg_request(x->to->dialog, wire_sip_method_name(sip), NULL, mf < 0 || mf > 70 ? 69 : mf - 1, &msg))
		return 500;
	if (call_relay_fill(msg, sip, x->to)) {
		sipua_msg_free(msg);
		return 500;
	}
	return sipua_cli_send(x->to->dialog, msg, NULL, &relay_cli_ops, x, &x->cli) ? 500 : 0;
}

static int refused(const struct call_leg *leg, const struct call_leg *to, const struct wire_sip *sip)
{
	if (wire_sip_max_forwards(sip) == 0)
		return 483;
	if (wire_sip_method(sip) == WIRE_REFER && leg->trunk->conf->refer == 1)
		return 603;
	if (!may_cross(leg, to, sip))
		return 405;
	if (to == &to->call->leg[0] && to->call->state == CALL_SETUP && !to->call->apart)
		return 500; /* the caller has seen no more than 100: he has no dialog that it could be of (RFC 3261 12.1) */
	return to->dialog && sipua_dialog_has_peer(to->dialog) ? 0 : 480;
}

void call_relay_request(struct call_leg *leg, struct sipua_srv *srv)
{
	const struct wire_sip *sip = sipua_srv_sip(srv);
	struct call_leg *to = call_other(leg);
	struct call_exchange *x;
	int status;

	if (call_digits_info(leg, srv))
		return;
	x = call_exchange_new(leg, to, srv, wire_sip_method(sip));
	if (!x) {
		sipua_srv_reply(srv, 500, NULL);
		sipua_srv_free(srv);
		return;
	}
	if (!call_exchange_beside(x)) {
		x->srv = NULL;
		call_exchange_free(x);
		call_mid_refuse(srv, 500);
		return;
	}
	status = refused(leg, to, sip);
	if (status == 405)
		base_count(COUNTER_REJECT_METHOD);
	if (!status)
		status = relay_send(x, sip);
	if (!status)
		return;
	call_exchange_refuse(x, status, NULL, NULL);
	call_exchange_free(x);
}
