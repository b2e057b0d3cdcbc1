/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two trunks that cannot be told apart are an error (design.md section 4): the same realm, a source or target of the same address, port and
 * transport, and the same `match`. Of a target reached by TCP or TLS the address alone counts, since its requests come from any port.
 * Names are compared as they are written: what resolves alike today may not tomorrow.
 */
#include <stdlib.h>

#include "peer/schema.h"
#include "postern/peer.h"

#define ANY_TRANSPORT 7u
#define BY_DNS        8u  /* a name without port and transport: NAPTR tells */
#define ANY_PORT      1   /* of a name that is reached by TCP or TLS at a port */

struct place {
	struct hash_node node;
	struct conf_net net;           /* of a name: its port alone */
	struct slice name;             /* the host where it is no address, of the document */
	unsigned transports;           /* bits of enum conf_transport, BY_DNS */
	const struct peer_trunk_conf *trunk;
};

struct places { struct place *v; size_t n; struct hash hash; };

static bool text_eq(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static bool match_eq(const struct peer_trunk_conf *a, const struct peer_trunk_conf *b)
{
	return text_eq(a->match.to_host, b->match.to_host) && text_eq(a->match.from_host, b->match.from_host) &&
		text_eq(a->match.to_user, b->match.to_user) && text_eq(a->match.tls_subject, b->match.tls_subject);
}

static bool place_eq(const struct place *a, const struct place *b)
{
	return a->net.bits == b->net.bits && a->net.port == b->net.port && a->transports & b->transports && slice_eq_nocase(a->name, b->name) &&
		(a->name.n || base_addr_same_host(&a->net.addr, &b->net.addr)) && text_eq(a->trunk->realm, b->trunk->realm) && match_eq(a->trunk, b->trunk);
}

static uint32_t place_key(const struct place *p)
{
	uint32_t seed = (uint32_t)p->net.port << 8 | p->net.bits;

	if (p->name.n) {
		for (size_t i = 0; i < p->name.n; i++)
			seed = seed * 31 + ((unsigned char)p->name.p[i] | 0x20u); /* whatever its case */
		return seed;
	}
	if (p->net.addr.sa.sa_family == AF_INET6)
		return base_hash_bytes(&p->net.addr.in6.sin6_addr, 16, seed);
	return base_hash_bytes(&p->net.addr.in.sin_addr, 4, seed);
}

/** The place is taken up; the other trunk where one has it already, else NULL. */
static const struct peer_trunk_conf *place_add(struct places *all, const struct place *of)
{
	struct place *p = &all->v[all->n++];
	struct hash_node *n;
	uint32_t key;

	*p = *of;
	key = place_key(p);
	for (n = base_hash_find(&all->hash, key); n; n = n->next) {
		struct place *q = container_of(n, struct place, node);

		if (n->key == key && q->trunk != p->trunk && place_eq(p, q))
			return q->trunk;
	}
	base_hash_add(&all->hash, &p->node, key);
	return NULL;
}

static bool target_place(const char *text, struct place *ret)
{
	struct conf_uri u;
	const char *why;
	bool tls, stream;

	if (!text || conf_uri_parse(text, &u, &why))
		return false;
	tls = u.sips || u.transport == CONF_TLS;
	stream = tls || u.transport == CONF_TCP;
	ret->transports = 1u << (tls ? CONF_TLS : stream ? CONF_TCP : CONF_UDP);
	if (u.addr.sa.sa_family) {
		ret->net = (struct conf_net){ u.addr, u.addr.sa.sa_family == AF_INET6 ? 128 : 32, stream ? 0 : base_addr_port(&u.addr) };
		return true;
	}
	ret->name = u.host;
	ret->net.port = stream && u.port ? ANY_PORT : u.port;
	if (!stream && !u.port && u.transport == CONF_TRANSPORT_NONE)
		ret->transports = BY_DNS;
	return true;
}

static void trunk_places(const struct conf_doc *doc, struct places *all, const struct peer_trunk_conf *t, struct conf_errors *errs)
{
	const struct peer_target_conf *target = t->targets.v;
	const char *const *source = t->sources.v, *const *proxy = t->outbound_proxy.v;
	const struct peer_trunk_conf *other = NULL;
	size_t i, ways = t->outbound_proxy.n ? t->outbound_proxy.n : t->targets.n;
	struct place p;
	char at[PEER_AT_MOST], buf[56];
	const char *key = NULL;
	struct slice who;

	for (i = 0; !other && i < t->sources.n; i++) {
		key = "sources";
		p = (struct place){ .transports = ANY_TRANSPORT, .trunk = t };
		if (source[i] && !conf_net_parse(source[i], &p.net))
			other = place_add(all, &p);
	}
	for (i = 0; !other && i < ways; i++) {
		key = t->outbound_proxy.n ? "outbound_proxy" : conf_given(doc, &peer_schema_trunks, t, "target") ? "target" : "targets";
		p = (struct place){ .trunk = t };
		if (target_place(t->outbound_proxy.n ? proxy[i] : target[i].uri, &p))
			other = place_add(all, &p);
	}
	if (!other)
		return;
	who = p.name.n ? p.name : slice_str(base_addr_host(&p.net.addr, false, buf));
	conf_error(errs, peer_schema_at(doc, &peer_schema_trunks, t, key, at),
		"requests from %.*s cannot be told apart from those of trunk \"%s\" in the same realm: give one of the two a `match`, or sources with a port",
		(int)who.n, who.p, other->id ? other->id : "?");
}

void peer_schema_check_alike(const struct conf_doc *doc, struct conf_errors *errs)
{
	size_t n, i, most = 0;
	const void *const *obj = conf_objects(doc, &peer_schema_trunks, &n);
	struct places all = { .n = 0 };

	for (i = 0; i < n; i++) {
		const struct peer_trunk_conf *t = obj[i];

		most += t->sources.n + t->targets.n + t->outbound_proxy.n;
	}
	all.v = calloc(most + 1, sizeof *all.v);
	if (!all.v || base_hash_init(&all.hash, 64)) {
		conf_error(errs, "/trunks", "there is no memory to check them");
		free(all.v);
		return;
	}
	for (i = 0; i < n; i++)
		trunk_places(doc, &all, obj[i], errs);
	base_hash_fini(&all.hash);
	free(all.v);
}
