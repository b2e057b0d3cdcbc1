/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the caller's INVITE to the callee's: trunk and route are known or found, ports are taken, the record is written, the INVITE leaves.
 * Which target it goes to is hunt.c's, what comes back answer.c's (RFC 3261 13, 3264; design.md section 4).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "call/b2b.h"
#include "call/police.h"
#include "postern/conf.h"

const struct media_profile_conf *call_setup_media(const struct call *c, const struct peer_trunk *t)
{
	const struct conf_doc *d = peer_set_doc(c->peers);
	const struct media_profile_conf *m = conf_find(d, &media_schema_profiles, t->media);

	return m ? m : conf_find(d, &media_schema_profiles, "default");
}

static void shown_user(const struct wire_uri *u, struct slice *ret)
{
	*ret = u->user.n ? u->user : u->host;
}

/** Caller's side and what is shown of the call. */
static int leg_a(struct call *c, const struct wire_sip *sip, const struct sipua_path *path, const struct peer_trunk *trunk, const char *route)
{
	struct call_leg *a = &c->leg[0];
	struct wire_addr from;
	struct wire_uri to;
	struct slice f, t;
	char random[13];

	a->trunk = trunk;
	a->media = call_setup_media(c, trunk);
	a->listener = path->listener;
	a->transport = (uint8_t)path->transport;
	a->source = path->source;
	call_leg_allow(a, sip);
	wire_sip_from(sip, &from);
	wire_sip_ruri(sip, &to);
	a->sips = slice_eq_nocase(to.scheme, SLICE("sips"));
	shown_user(&from.uri, &f);
	shown_user(&to, &t);
	c->from = base_dup(f);
	c->to = base_dup(t);
	c->route = base_dup(slice_str(route));
	c->serial = ++c->eng->serial;
	c->start_ms = base_wall_ms();
	/* seconds first: the index of CDRs grows at its end */
	base_random_token(random, sizeof random);
	snprintf(c->id, sizeof c->id, "%08x%s", (unsigned)(c->start_ms / 1000), random);
	return c->from && c->to && c->route ? 0 : -ENOMEM;
}

/* ---- the addresses of the INVITE that goes out ---- */
static struct slice host_only(const char *hostport)
{
	struct slice s = slice_str(hostport);
	const char *colon = s.p[0] == '[' ? strchr(s.p, ']') : s.p;

	colon = colon ? strchr(colon, ':') : NULL;
	if (colon)
		s.n = (size_t)(colon - s.p);
	return s;
}

/** Display name as it stood, with its quotes, and a blank. */
static void add_display(struct text *t, struct slice d)
{
	char buf[512];

	if (d.n) {
		text_add(t, "\"");
		text_slice(t, wire_unfold(d, buf, sizeof buf));
		text_add(t, "\" ");
	}
}

static void add_user_at(struct text *t, const struct wire_uri *u, struct slice host, bool sips)
{
	bool tel = slice_eq_nocase(u->scheme, SLICE("tel"));

	text_add(t, sips ? "sips:" : "sip:");
	text_slice(t, u->user);
	if (u->password.n) {
		text_add(t, ":");
		text_slice(t, u->password);
	}
	if (tel && u->params.n) { /* they are the number's: RFC 3261 19.1.6 */
		text_add(t, ";");
		text_slice(t, u->params);
	}
	if (u->user.n)
		text_add(t, "@");
	text_slice(t, host);
	if (tel || slice_eq_nocase(wire_param(u->params, "user"), SLICE("phone")))
		text_add(t, ";user=phone");
}

static bool is_anonymous(struct slice host)
{
	return host.n >= 17 && slice_eq_nocase((struct slice){ host.p + host.n - 17, 17 }, SLICE("anonymous.invalid"));
}

int call_setup_addresses(const struct call_leg *b, const struct peer_target *t, const struct wire_sip *sip, struct call_addresses *ret)
{
	struct text from = text_on(ret->from, sizeof ret->from), to = text_on(ret->to, sizeof ret->to), ruri = text_on(ret->ruri, sizeof ret->ruri);
	struct wire_addr f, o;
	struct wire_uri r;

	wire_sip_from(sip, &f);
	wire_sip_to(sip, &o);
	wire_sip_ruri(sip, &r);
	add_display(&from, f.display);
	text_add(&from, "<");
	add_user_at(&from, &f.uri, is_anonymous(f.uri.host) ? f.uri.host : call_headers_host(b), false);
	text_add(&from, ">");
	add_display(&to, o.display);
	text_add(&to, "<");
	add_user_at(&to, &o.uri, host_only(t->host), t->sips);
	text_add(&to, ">");
	if (b->redirect_user)
		r = (struct wire_uri){ .user = slice_str(b->redirect_user), .params = b->redirect_phone ? SLICE("user=phone") : SLICE("") };
	add_user_at(&ruri, &r, slice_str(t->host), t->sips);
	return from.cut || to.cut || ruri.cut ? ERR_FULL : 0;
}

void call_setup_dialog(struct call_leg *leg)
{
	const struct peer_trunk_conf *t = leg->trunk->conf;

	if (!leg->dialog)
		return;
	sipua_dialog_police(leg->dialog, call_engine_policy(leg->call->eng, leg->trunk), call_other(leg)->dialog);
	if (!leg->call->apart && !leg->call->notes && sipua_dialog_notes(leg->dialog))
		leg->call->notes = base_ref(sipua_dialog_notes(leg->dialog));
	sipua_dialog_set_nat(leg->dialog, t->nat == 0);
	sipua_dialog_set_udp_max(leg->dialog, t->udp_max < 65535 ? (unsigned)t->udp_max : 0);
	if (t->auth.username && t->auth.password)
		sipua_dialog_set_auth(leg->dialog, &(struct sipua_auth){ t->auth.username, t->auth.password, t->auth.realm });
}

static int dialogs_new(struct call *c, struct sipua_srv *srv, const struct call_addresses *adr, const struct sipua_dest *dest)
{
	struct call_leg *a = &c->leg[0], *b = &c->leg[1];
	int err = a->dialog ? 0 : sipua_dialog_new_uas(srv, &call_dialog_ops, a, &a->dialog);

	if (!err)
		err = sipua_dialog_new_uac(c->eng->ua, slice_str(adr->from), slice_str(adr->to), dest, &call_dialog_ops, b, &b->dialog);
	call_setup_dialog(a);
	call_setup_dialog(b);
	return err;
}

static struct slice text_of(const struct call_text *t) { return (struct slice){ t->p ? t->p : "", t->n }; }

/** The INVITE itself; SDP was made by then. */
static int invite_send(struct call_exchange *x, const struct wire_sip *sip, const struct call_addresses *adr, const struct sipua_dest *dest)
{
	struct sipua_msg *msg;
	int mf = wire_sip_max_forwards(sip), err = sipua_msg_request(x->to->dialog, SLICE("INVITE"), adr->ruri, mf < 0 || mf > 70 ? 69 : mf - 1, &msg);

	if (err)
		return err;
	err = call_headers_cross(msg, sip, x->to);
	if (!err)
		err = call_headers_ours(msg, x->to);
	if (!err)
		err = call_timer_invite(x->to, msg, sip);
	if (!err)
		err = call_headers_contact(msg, x->to);
	if (!err)
		err = call_transfer_replaces(msg, sip, x->to);
	if (!err)
		err = call_body_put(msg, sip, x->ours ? text_of(&x->to->sdp_out) : (struct slice){ x->offer_out.p, x->has_offer ? x->offer_out.n : 0 }, x->to);
	if (err) {
		sipua_msg_free(msg);
		return err;
	}
	return sipua_cli_send(x->to->dialog, msg, dest, &call_invite_cli_ops, x, &x->cli);
}

/** Offer for the callee, and ports on both sides. 0 or the status that refuses. */
static int offer_make(struct call_exchange *x, const struct wire_sip *sip)
{
	struct slice text;
	int status;

	x->has_offer = call_body_is_sdp(sip);
	x->ours = x->presented = x->to->was_offer = false;
	if (!x->has_offer)
		return call_ours_wanted(x) ? call_ours_offer(x) : 0;
	status = call_sdp_check(call_body_sdp(sip));
	if (!status && call_text_set(&x->offer_in, call_body_sdp(sip)))
		status = 500;
	if (!status)
		status = call_sdp_for(x->to, call_body_sdp(sip), false, &text);
	if (!status && call_text_set(&x->offer_out, text))
		status = 500;
	/* what stands in the record and in the list of calls while it rings */
	if (!status && (call_text_set(&x->from->sdp_in, call_body_sdp(sip)) || call_text_set(&x->to->sdp_out, text)))
		status = 500;
	return status;
}

int call_setup_invite(struct call_exchange *x)
{
	struct call *c = x->call;
	const struct peer_target *target = &x->to->target;
	const struct wire_sip *sip = sipua_srv_sip(x->srv);
	struct call_addresses adr;
	struct sipua_dest dest;
	char name[256];
	int status;

	if (call_setup_addresses(x->to, target, sip, &adr))
		return 414;
	call_reliable_restart(x);
	x->updated = false;
	status = offer_make(x, sip);
	if (status)
		return status;
	peer_target_dest(c->eng->plane, x->to->trunk, target, name, &dest);
	if (dialogs_new(c, x->srv, &adr, &dest))
		return 500;
	call_identity_take(x->from, sip, true);
	if (call_persist(c))
		return 503;
	return invite_send(x, sip, &adr, &dest) ? -1 : 0;
}

int call_setup_again(struct call_exchange *x)
{
	const struct wire_sip *sip = sipua_srv_sip(x->srv);
	struct call_addresses adr;
	struct sipua_dest dest;
	char name[256];

	if (call_setup_addresses(x->to, &x->to->target, sip, &adr))
		return ERR_FULL;
	peer_target_dest(x->call->eng->plane, x->to->trunk, &x->to->target, name, &dest);
	sipua_cli_free(x->cli);
	x->cli = NULL;
	return invite_send(x, sip, &adr, &dest);
}

/** A call that has a transaction: from here on every way out answers the caller and leaves a CDR. */
static void setup_start(struct call *c, struct sipua_in *in)
{
	struct call_exchange *x = call_exchange_new(&c->leg[0], &c->leg[1], NULL, WIRE_INVITE);

	if (!x) {
		sipua_in_reply(in, 500, NULL, NULL);
		call_free(c);
		return;
	}
	x->initial = true;
	c->x = x;
	if (sipua_in_accept(in, &call_invite_srv_ops, x, &x->srv)) {
		call_free(c);
		return;
	}
	base_count(COUNTER_CALLS_OFFERED);
	call_hunt_start(x);
}

void call_setup(struct call_engine *e, struct sipua_in *in, const struct peer_trunk *from)
{
	const struct sipua_text retry[] = { { "Retry-After", SLICE("5") }, { NULL, { NULL, 0 } } };
	const struct wire_sip *sip = sipua_in_sip(in);
	struct peer_dest dest;
	struct peer_view v;
	struct call *c;

	call_view_fill(&v, sip, sipua_in_path(in));
	if (call_front_route(e, in, from, &v, &dest)) {
		base_count(COUNTER_REJECT_ROUTE);
		sipua_in_reply(in, 404, NULL, NULL);
		return;
	}
	c = call_new(e, e->p.peers);
	if (!c || call_hunt_new(c, &dest) || !call_hunt_can(c)) {
		base_count(COUNTER_REJECT_TARGETS);
		sipua_in_reply(in, 503, NULL, retry);
		if (c)
			call_free(c);
		return;
	}
	if (leg_a(c, sip, sipua_in_path(in), from, dest.route)) {
		sipua_in_reply(in, 500, NULL, NULL);
		call_free(c);
		return;
	}
	setup_start(c, in);
}
