/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Redirection (RFC 3261 8.1.3.4, 21.3) where a trunk says `redirect: follow`: the Contacts of a 3xx by falling q, at most five in a call, no address
 * twice, from listeners of the trunk's realm. A name is looked up when its turn comes (RFC 3263); its best address is tried. A private address that a
 * peer with a public one names is behind its NAT, and is left out. 380 names another service, and is passed on. The rest is hunt.c's.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "call/b2b.h"
#include "postern/conf.h"

#define WAYS_MAX  5
#define HOST_SIZE 272                  /* host[:port] */
#define ADDRESSES 12                   /* of a name, that are looked at */
#define USE_PROXY 305
#define ALTERNATIVE_SERVICE 380

struct contact {
	struct peer_way way;           /* target.addr: family 0 where it is a name */
	char user[256];                /* of the Request-URI */
	char host[HOST_SIZE];          /* as it stood */
	char uri[HOST_SIZE + 32];      /* as shown in the CDR */
	bool phone;
	int q;                         /* thousandths */
};

struct call_redirect {
	struct contact v[WAYS_MAX];    /* those not tried yet are in order */
	unsigned n, at;
	int64_t asked_ms;              /* since when the name at `at` is looked up, 0: is not */
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

/** -1: the URI leaves it open. */
static bool transport_of(const struct wire_uri *u, int *ret)
{
	struct slice v = wire_param(u->params, "transport");
	int t;

	*ret = slice_eq_nocase(u->scheme, SLICE("sips")) ? SIPUA_TLS : -1;
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

/** May a call of this leg go to that address? Its listener is set then. */
static bool is_reached(const struct call_leg *leg, struct peer_target *t)
{
	if (base_addr_is_any(&t->addr))
		return false;
	if (leg->trunk->conf->nat == 0 && base_addr_is_private(&t->addr) && !base_addr_is_private(&leg->source))
		return false;
	t->listener = listener_for(leg, t->transport, t->addr.sa.sa_family);
	return t->listener >= 0 && !is_ours(leg->call->eng, &t->addr, peer_listener_count(leg->call->peers));
}

static bool is_same_user(const char *a, const char *b) { return strcmp(a, b) == 0; }

/** Was this address tried for this user, or will it be? `but`: not counting this one. */
static bool is_known(const struct call *c, const struct peer_target *t, const char *user, const struct contact *but)
{
	const struct call_redirect *r = c->redirect;
	unsigned i;

	for (i = 0; i < r->n; i++)
		if (&r->v[i] != but && base_addr_eq(&r->v[i].way.target.addr, &t->addr) && is_same_user(r->v[i].user, user))
			return true;
	for (i = 0; i < c->ntried && is_same_user(c->to, user); i++)
		if (base_addr_eq(&c->tried[i].addr, &t->addr))
			return true;
	return false;
}

/** The same for a name, by what was said. */
static bool is_known_name(const struct call_redirect *r, const struct contact *n)
{
	unsigned i;

	for (i = 0; i < r->n; i++)
		if (slice_eq_nocase(slice_str(r->v[i].host), slice_str(n->host)) && is_same_user(r->v[i].user, n->user))
			return true;
	return false;
}

/** Host, port, scheme, transport; false: nothing that we could send to. */
static bool read_target(const struct wire_uri *u, struct peer_target *t, uint64_t *ret_port)
{
	*ret_port = 0;
	t->sips = slice_eq_nocase(u->scheme, SLICE("sips"));
	if ((!t->sips && !slice_eq_nocase(u->scheme, SLICE("sip"))) || !transport_of(u, &t->transport) || !u->host.n)
		return false;
	return !u->port.n || (!slice_u64(u->port, 65535, ret_port) && *ret_port);
}

static bool read_uri(const struct wire_uri *u, struct contact *n)
{
	struct peer_target *t = &n->way.target;
	uint64_t port;

	if (!read_target(u, t, &port) || u->host.n + 7 > sizeof n->host)
		return false;
	snprintf(n->host, sizeof n->host, port ? "%.*s:%u" : "%.*s", (int)u->host.n, u->host.p, (unsigned)port);
	if (!base_addr_parse(u->host, (uint16_t)port, &t->addr)) {
		t->transport = t->transport < 0 ? SIPUA_UDP : t->transport;
		base_addr_set_port(&t->addr, port ? (uint16_t)port : t->transport == SIPUA_TLS ? 5061 : 5060);
	}
	snprintf(n->uri, sizeof n->uri, "%s:%s%s%s", t->sips ? "sips" : "sip", n->host, t->transport < 0 ? "" : ";transport=",
		t->transport < 0 ? "" : sipua_transport_name((enum sipua_transport)t->transport));
	n->phone = slice_eq_nocase(wire_param(u->params, "user"), SLICE("phone"));
	return true;
}

static void own_texts(struct contact *n)
{
	n->way.target.host = n->host;
	n->way.target.uri = n->way.target.via = n->uri;
}

/** In, behind those that are no worse and those that were tried. */
static void place(struct call_redirect *r, const struct contact *n)
{
	unsigned i = r->n++;

	for (; i > r->at && r->v[i - 1].q < n->q; i--) {
		r->v[i] = r->v[i - 1];
		own_texts(&r->v[i]);
	}
	r->v[i] = *n;
	own_texts(&r->v[i]);
}

static void add(struct call_redirect *r, const struct call_leg *leg, const struct peer_way *from, struct slice contact, int status)
{
	static struct contact n; /* one thread; large */
	const struct call *c = leg->call;
	struct wire_addr a;

	if (r->n == WAYS_MAX || wire_addr_parse(contact, &a))
		return;
	memset(&n, 0, sizeof n);
	n.way = *from;
	n.way.target = (struct peer_target){ .rank = 0 };
	n.q = q_of(&a);
	if (!read_uri(&a.uri, &n) || !slice_copy(n.user, sizeof n.user, status == USE_PROXY ? slice_str(c->to) : a.uri.user))
		return;
	if (n.way.target.addr.sa.sa_family ? !is_reached(leg, &n.way.target) || is_known(c, &n.way.target, n.user, NULL) : is_known_name(r, &n))
		return;
	place(r, &n);
}

bool call_redirect_take(struct call_leg *leg, const struct peer_way *from, const struct wire_sip *resp)
{
	struct call *c = leg->call;
	int status = wire_sip_status(resp);
	struct wire_headers it;
	struct wire_header h;
	unsigned before;

	if (status < 300 || status > 399 || status == ALTERNATIVE_SERVICE || leg->trunk->conf->redirect != 1)
		return false;
	if (!c->redirect)
		c->redirect = calloc(1, sizeof *c->redirect);
	if (!c->redirect)
		return false;
	before = c->redirect->n;
	wire_sip_headers(resp, &it);
	while (wire_headers_next(&it, &h))
		if (h.value.p && slice_eq_nocase(h.name, SLICE("Contact")))
			add(c->redirect, leg, from, h.value, status);
	if (c->redirect->n > before)
		base_count(COUNTER_REDIRECTS);
	return c->redirect->at < c->redirect->n;
}

bool call_redirect_more(const struct call *c)
{
	return c->redirect && c->redirect->at < c->redirect->n;
}

/** Its best address that is not known yet. @return 1 found, 0 there is none, -1 not known yet */
static int look_up(struct call *c, struct contact *n)
{
	struct call_leg *leg = &c->leg[1];
	struct peer_target got[ADDRESSES];
	int64_t now = base_mono_now().us / 1000, patience = peer_system(c->peers)->dns.timeout * 2000 + 1000;
	int i, count;

	if (n->way.target.addr.sa.sa_family)
		return 1;
	count = peer_look_up(c->eng->plane, n->way.trunk, &n->way.target, got, ADDRESSES);
	if (!c->redirect->asked_ms)
		c->redirect->asked_ms = now;
	if (count < 0 && now - c->redirect->asked_ms < patience)
		return -1;
	c->redirect->asked_ms = 0;
	for (i = 0; i < count; i++) {
		if (!is_reached(leg, &got[i]) || is_known(c, &got[i], n->user, n))
			continue;
		n->way.target = got[i];
		own_texts(n);
		return 1;
	}
	return 0;
}

const struct peer_way *call_redirect_next(struct call *c, bool *ret_wait)
{
	struct call_redirect *r = c->redirect;
	struct contact *n;
	int found;

	*ret_wait = false;
	c->leg[1].redirect_user = NULL;
	while (call_redirect_more(c)) {
		n = &r->v[r->at];
		found = look_up(c, n);
		*ret_wait = found < 0;
		if (found < 0)
			return NULL;
		r->at++;
		if (!found)
			continue;
		c->leg[1].redirect_user = n->user;
		c->leg[1].redirect_phone = n->phone;
		return &n->way;
	}
	return NULL;
}
