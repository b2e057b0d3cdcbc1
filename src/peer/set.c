/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compile a document into the set that matching and routing work on. The document was checked; what can fail here is memory.
 * Targets with a host name stay without an address here; what they resolve to is the plane's.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "peer/peer.h"
#include "postern/conf.h"
#include "postern/wire.h"

#define NO_REALM UINT_MAX      /* of a listener that is no more: it fits no trunk */

static void set_destroy(void *obj)
{
	struct peer_set *s = obj;
	unsigned i, j;

	peer_routes_free(s);
	peer_groups_free(s);
	for (i = 0; s->trunk && i < s->ntrunks; i++) {
		peer_conds_free(s->trunk[i].cond, s->trunk[i].nconds);
		for (j = 0; s->trunk[i].targets && j < s->trunk[i].pub.ntargets; j++)
			free((void *)(uintptr_t)s->trunk[i].targets[j].host);
		free(s->trunk[i].targets);
	}
	free(s->trunk);
	if (s->trunk_ids.bucket)
		base_hash_fini(&s->trunk_ids);
	peer_sources_free(&s->sources);
	free(s->listener_realm);
	free((void *)(uintptr_t)s->listener);
	free((void *)(uintptr_t)s->realm);
	base_unref((void *)(uintptr_t)s->doc);
}

static const char *inherit(const char *trunk, const char *realm, const char *sys)
{
	return trunk ? trunk : realm ? realm : sys ? sys : "default";
}

static unsigned realm_index(const struct peer_set *s, const char *id)
{
	size_t i;

	for (i = 0; i < s->nrealms; i++)
		if (s->realm[i] && !strcmp(s->realm[i]->id, id))
			return (unsigned)i;
	return 0;
}

int peer_target_listener(const struct peer_set *s, const struct peer_trunk *t, const struct peer_target *g)
{
	size_t i;

	for (i = 0; i < s->nlisteners; i++) {
		const struct peer_listener_conf *l = s->listener[i];
		bool v6 = l && strchr(l->address, ':') != NULL;

		if (!l || l->transport != g->transport || s->listener_realm[i] != t->realm)
			continue;
		if (g->addr.sa.sa_family && v6 != (g->addr.sa.sa_family == AF_INET6))
			continue;
		if (!t->conf->listener || !strcmp(t->conf->listener, l->id))
			return (int)i;
	}
	return -1;
}

/** Transport that a URI names; -1: DNS is asked for it (RFC 3263 section 4.1). */
static int uri_transport(const struct wire_uri *u, bool numeric)
{
	struct slice tp = wire_param(u->params, "transport");

	if (slice_eq_nocase(tp, SLICE("tls")) || (slice_eq_nocase(u->scheme, SLICE("sips")) && (numeric || tp.n || u->port.n)))
		return 2;
	if (tp.n || numeric || u->port.n)
		return slice_eq_nocase(tp, SLICE("tcp")) ? 1 : 0;
	return -1;
}

/** host[:port] as it stood in the URI; borrowed from it where there are no parameters, so a copy. */
static char *uri_hostport(const struct wire_uri *u)
{
	char buf[300];
	struct text t = text_on(buf, sizeof buf);

	text_slice(&t, u->host);
	if (u->port.n) {
		text_add(&t, ":");
		text_slice(&t, u->port);
	}
	return t.cut ? NULL : base_dup(text_get(&t));
}

static int target_set(const struct peer_set *s, const struct peer_trunk_x *t, const char *uri, const char *via, struct peer_target *g)
{
	struct wire_uri u, w;
	uint64_t port = 0;
	int err = wire_uri_parse(slice_str(uri), &u);

	if (!err)
		err = wire_uri_parse(slice_str(via ? via : uri), &w);
	if (err)
		return ERR_CONFIG;
	g->uri = uri;
	g->via = via ? via : uri;
	g->host = uri_hostport(&u);
	if (!g->host)
		return -ENOMEM;
	if (w.port.n && slice_u64(w.port, 65535, &port))
		return ERR_CONFIG;
	g->sips = slice_eq_nocase(u.scheme, SLICE("sips"));
	if (base_addr_parse(w.host, 0, &g->addr))
		g->addr.sa.sa_family = AF_UNSPEC;
	g->transport = uri_transport(&w, g->addr.sa.sa_family != AF_UNSPEC);
	if (g->addr.sa.sa_family)
		base_addr_set_port(&g->addr, port ? (uint16_t)port : g->transport == 2 ? 5061 : 5060);
	g->listener = peer_target_listener(s, &t->pub, g);
	return 0;
}

static int trunk_targets(const struct peer_set *s, struct peer_trunk_x *t)
{
	const struct peer_trunk_conf *c = t->pub.conf;
	const struct peer_target_conf *tc = c->targets.v;
	const char *const *proxy = c->outbound_proxy.v;
	size_t i, n = c->targets.n, ways = c->outbound_proxy.n ? c->outbound_proxy.n : 1;
	int err = 0;

	t->targets = calloc(n * ways + 1, sizeof *t->targets);
	if (!t->targets)
		return -ENOMEM;
	for (i = 0; !err && i < n * ways; i++) {
		err = target_set(s, t, tc[i / ways].uri, c->outbound_proxy.n ? proxy[i % ways] : NULL, &t->targets[i]);
		t->targets[i].rank = (uint16_t)i;
		t->targets[i].priority = (uint16_t)(i + 1);
		t->pub.ntargets++;
	}
	t->pub.target = t->targets;
	return err;
}

static int trunk_set(struct peer_set *s, struct peer_trunk_x *t, const struct peer_trunk_conf *c, unsigned index)
{
	const struct peer_realm_conf *r;
	int err;

	t->pub.conf = c;
	t->pub.index = index;
	t->pub.realm = realm_index(s, c->realm);
	r = s->realm[t->pub.realm];
	t->pub.media = inherit(c->common.media, r->common.media, s->system->common.media);
	t->pub.mid_call = inherit(c->common.mid_call, r->common.mid_call, s->system->common.mid_call);
	t->pub.session_timer = inherit(c->common.session_timer, r->common.session_timer, s->system->common.session_timer);
	err = trunk_targets(s, t);
	if (!err)
		err = peer_cond_add(t->cond, &t->nconds, c->match.to_host, offsetof(struct peer_view, to_host));
	if (!err)
		err = peer_cond_add(t->cond, &t->nconds, c->match.from_host, offsetof(struct peer_view, from_host));
	if (!err)
		err = peer_cond_add(t->cond, &t->nconds, c->match.to_user, offsetof(struct peer_view, to_user));
	if (!err)
		err = peer_cond_add(t->cond, &t->nconds, c->match.tls_subject, offsetof(struct peer_view, tls_subjects));
	return err;
}

/** Objects by their numbers, with holes where a number is nobody's. NULL: no memory. */
static const void **by_number(const void *const *obj, size_t n, const uint8_t *number8, const uint16_t *number16, size_t *ret_n)
{
	const void **v;
	size_t i, most = 0;

	for (i = 0; i < n; i++) {
		size_t at = number8 ? number8[i] : number16 ? number16[i] : i;

		if (at >= most)
			most = at + 1;
	}
	v = calloc(most + 1, sizeof *v);
	for (i = 0; v && i < n; i++)
		v[number8 ? number8[i] : number16 ? number16[i] : i] = obj[i];
	*ret_n = v ? most : 0;
	return v;
}

static int build(struct peer_set *s, const struct peer_numbers *numbers)
{
	const void *const *obj;
	size_t i, n;
	int err = 0;

	obj = conf_objects(s->doc, &peer_schema_system, &n);
	if (!n)
		return ERR_CONFIG;
	s->system = obj[0];
	obj = conf_objects(s->doc, &peer_schema_realms, &n);
	s->realm = (const struct peer_realm_conf *const *)by_number(obj, n, NULL, numbers->realm, &s->nrealms);
	obj = conf_objects(s->doc, &peer_schema_listeners, &n);
	s->listener = (const struct peer_listener_conf *const *)by_number(obj, n, numbers->listener, NULL, &s->nlisteners);
	s->listener_realm = calloc(s->nlisteners + 1, sizeof *s->listener_realm);
	obj = conf_objects(s->doc, &peer_schema_trunks, &n);
	s->trunk = calloc(n + 1, sizeof *s->trunk);
	if (!s->realm || !s->listener || !s->listener_realm || !s->trunk)
		return -ENOMEM;
	err = base_hash_init(&s->trunk_ids, 64);
	for (i = 0; i < s->nlisteners; i++)
		s->listener_realm[i] = s->listener[i] ? realm_index(s, s->listener[i]->realm) : NO_REALM;
	for (i = 0; !err && i < n; i++) {
		s->ntrunks++;
		err = trunk_set(s, &s->trunk[i], obj[i], (unsigned)i);
		base_hash_add(&s->trunk_ids, &s->trunk[i].id, peer_id_key(s->trunk[i].pub.conf->id));
	}
	if (!err)
		err = peer_groups_build(s);
	if (!err)
		err = peer_sources_build(s, NULL, NULL, &s->sources);
	if (!err)
		err = peer_routes_build(s);
	return err;
}

int peer_set_new_numbered(const struct conf_doc *doc, const struct peer_numbers *numbers, struct peer_set **ret)
{
	struct peer_set *s = base_new(sizeof *s, set_destroy);
	int err;

	if (!s)
		return -ENOMEM;
	s->doc = base_ref((void *)(uintptr_t)doc);
	err = build(s, numbers);
	if (err)
		base_unref(s);
	else
		*ret = s;
	return err;
}

int peer_set_new(const struct conf_doc *doc, struct peer_set **ret)
{
	return peer_set_new_numbered(doc, &(struct peer_numbers){ NULL, NULL }, ret);
}

const struct conf_doc *peer_set_doc(const struct peer_set *s) { return s->doc; }
const struct peer_system_conf *peer_system(const struct peer_set *s) { return s->system; }
unsigned peer_trunk_count(const struct peer_set *s) { return s->ntrunks; }
const struct peer_trunk *peer_trunk_at(const struct peer_set *s, unsigned i) { return i < s->ntrunks ? &s->trunk[i].pub : NULL; }
unsigned peer_realm_count(const struct peer_set *s) { return (unsigned)s->nrealms; }
const struct peer_realm_conf *peer_realm_at(const struct peer_set *s, unsigned i) { return i < s->nrealms ? s->realm[i] : NULL; }
unsigned peer_listener_count(const struct peer_set *s) { return (unsigned)s->nlisteners; }
const struct peer_listener_conf *peer_listener_at(const struct peer_set *s, unsigned i) { return i < s->nlisteners ? s->listener[i] : NULL; }
unsigned peer_listener_realm(const struct peer_set *s, unsigned listener) { return listener < s->nlisteners ? s->listener_realm[listener] : NO_REALM; }

uint32_t peer_id_key(const char *id) { return base_hash_bytes(id, strlen(id), 0); }

const struct peer_trunk *peer_trunk_find(const struct peer_set *s, const char *id)
{
	uint32_t key = peer_id_key(id);
	struct hash_node *n;

	for (n = base_hash_find(&s->trunk_ids, key); n; n = n->next) {
		const struct peer_trunk_x *t = container_of(n, struct peer_trunk_x, id);

		if (n->key == key && !strcmp(t->pub.conf->id, id))
			return &t->pub;
	}
	return NULL;
}
