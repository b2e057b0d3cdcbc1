/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Redirection (RFC 3261 8.1.3.4, 21.3) where a trunk says `redirect: follow`: the Contacts of a 3xx by falling q, at most five in a call, none twice,
 * from listeners of the trunk's realm. Numeric hosts alone: a name would have to be a target of the trunk. The rest is hunt.c's.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "call/b2b.h"
#include "postern/conf.h"

#define WAYS_MAX 5

struct call_redirect {
	struct peer_way way[WAYS_MAX];
	char user[WAYS_MAX][256];      /* of the Request-URI */
	char host[WAYS_MAX][80];       /* host[:port] */
	char uri[WAYS_MAX][128];       /* as shown in the CDR */
	int q[WAYS_MAX];               /* thousandths; those not tried yet are in order */
	unsigned n, at;
};

void call_redirect_free(struct call *c)
{
	free(c->redirect);
	c->redirect = NULL;
}

static int q_of(const struct wire_addr *a)
{
	struct slice v = wire_param(a->params, "q");
	int q = 0, unit = 1000;
	size_t i;

	if (!v.n)
		return 1000;
	for (i = 0; i < v.n && unit; i++) {
		if (v.p[i] == '.' && i == 1)
			continue;
		if (v.p[i] < '0' || v.p[i] > '9')
			return 0;
		q += (v.p[i] - '0') * unit;
		unit /= 10;
	}
	return q > 1000 ? 1000 : q;
}

static bool transport_of(const struct wire_uri *u, int *ret)
{
	struct slice v = wire_param(u->params, "transport");
	int t;

	*ret = slice_eq_nocase(u->scheme, SLICE("sips")) ? SIPUA_TLS : SIPUA_UDP;
	if (!v.n)
		return true;
	for (t = SIPUA_UDP; t <= SIPUA_TLS; t++)
		if (slice_eq_nocase(v, slice_str(sipua_transport_name((enum sipua_transport)t)))) {
			*ret = *ret == SIPUA_TLS ? SIPUA_TLS : t;
			return true;
		}
	return false;
}

/** A listener of the trunk's realm that can reach it: the present one first. -1: none. */
static int listener_for(const struct call_leg *leg, int transport, int family)
{
	const struct call_engine *e = leg->call->eng;
	unsigned i, n = peer_listener_count(leg->call->peers);
	int found = -1;

	for (i = 0; i < n; i++) {
		const struct sipua_listener *l = sipua_listener_at(e->ua, i);

		if (!l || peer_listener_realm(leg->call->peers, i) != leg->trunk->realm || (int)l->transport != transport || l->addr.sa.sa_family != family)
			continue;
		if (i == leg->listener)
			return (int)i;
		if (found < 0)
			found = (int)i;
	}
	return found;
}

/** One of our own listeners: it would come back. */
static bool is_ours(const struct call_engine *e, const union base_addr *a, unsigned listeners)
{
	unsigned i;

	for (i = 0; i < listeners; i++)
		if (sipua_listener_at(e->ua, i) && base_addr_eq(&sipua_listener_at(e->ua, i)->addr, a))
			return true;
	return false;
}

static bool target_of(const struct call_leg *leg, const struct wire_uri *u, struct peer_target *t)
{
	uint64_t port = 0;

	if (!slice_eq_nocase(u->scheme, SLICE("sip")) && !slice_eq_nocase(u->scheme, SLICE("sips")))
		return false;
	if (!transport_of(u, &t->transport) || (u->port.n && slice_u64(u->port, 65535, &port)))
		return false;
	if (!port)
		port = t->transport == SIPUA_TLS ? 5061 : 5060;
	if (base_addr_parse(u->host, (uint16_t)port, &t->addr) || base_addr_is_any(&t->addr))
		return false;
	t->sips = slice_eq_nocase(u->scheme, SLICE("sips"));
	t->listener = listener_for(leg, t->transport, t->addr.sa.sa_family);
	return t->listener >= 0 && !is_ours(leg->call->eng, &t->addr, peer_listener_count(leg->call->peers));
}

static bool is_known(const struct call_redirect *r, const struct call_leg *leg, const struct peer_target *t, const char *user)
{
	unsigned i;

	for (i = 0; i < r->n; i++)
		if (base_addr_eq(&r->way[i].target.addr, &t->addr) && r->way[i].target.transport == t->transport && !strcmp(r->user[i], user))
			return true;
	/* the one that sent us away */
	return base_addr_eq(&leg->target.addr, &t->addr) && leg->target.transport == t->transport && leg->redirect_user && !strcmp(leg->redirect_user, user);
}

/** Place for a way of this q, behind those that are no worse. Texts move with their ways. */
static unsigned place_for(struct call_redirect *r, int q)
{
	unsigned i = r->n++;

	for (; i > r->at && r->q[i - 1] < q; i--) {
		r->way[i] = r->way[i - 1];
		r->q[i] = r->q[i - 1];
		memcpy(r->user[i], r->user[i - 1], sizeof r->user[i]);
		memcpy(r->host[i], r->host[i - 1], sizeof r->host[i]);
		memcpy(r->uri[i], r->uri[i - 1], sizeof r->uri[i]);
		r->way[i].target.host = r->host[i];
		r->way[i].target.uri = r->way[i].target.via = r->uri[i];
	}
	return i;
}

static void add(struct call_redirect *r, const struct call_leg *leg, const struct peer_way *from, struct slice contact)
{
	struct peer_target t = { .rank = 0 };
	struct wire_addr a;
	char user[256], where[56];
	unsigned i;

	if (r->n == WAYS_MAX || wire_addr_parse(contact, &a) || !target_of(leg, &a.uri, &t))
		return;
	if (!slice_copy(user, sizeof user, a.uri.user) || is_known(r, leg, &t, user))
		return;
	i = place_for(r, q_of(&a));
	r->q[i] = q_of(&a);
	r->way[i] = *from;
	memcpy(r->user[i], user, sizeof user);
	base_addr_print(&t.addr, where);
	slice_copy(r->host[i], sizeof r->host[i], slice_str(where));
	snprintf(r->uri[i], sizeof r->uri[i], "%s:%s;transport=%s", t.sips ? "sips" : "sip", where, sipua_transport_name((enum sipua_transport)t.transport));
	t.host = r->host[i];
	t.uri = t.via = r->uri[i];
	r->way[i].target = t;
}

bool call_redirect_take(struct call_leg *leg, const struct peer_way *from, const struct wire_sip *resp)
{
	struct call *c = leg->call;
	int status = wire_sip_status(resp);
	struct wire_headers it;
	struct wire_header h;
	unsigned before;

	if (status < 300 || status > 399 || leg->trunk->conf->redirect != 1)
		return false;
	if (!c->redirect)
		c->redirect = calloc(1, sizeof *c->redirect);
	if (!c->redirect)
		return false;
	before = c->redirect->n;
	wire_sip_headers(resp, &it);
	while (wire_headers_next(&it, &h))
		if (h.value.p && slice_eq_nocase(h.name, SLICE("Contact")))
			add(c->redirect, leg, from, h.value);
	if (c->redirect->n > before)
		base_count(COUNTER_REDIRECTS);
	return c->redirect->at < c->redirect->n;
}

bool call_redirect_more(const struct call *c)
{
	return c->redirect && c->redirect->at < c->redirect->n;
}

const struct peer_way *call_redirect_next(struct call *c)
{
	struct call_redirect *r = c->redirect;

	c->leg[1].redirect_user = NULL;
	if (!call_redirect_more(c))
		return NULL;
	c->leg[1].redirect_user = r->user[r->at];
	return &r->way[r->at++];
}
