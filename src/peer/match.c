/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which trunk does a request belong to (design.md section 4): the listener's realm, then the most specific source, narrowed by `match`.
 * Whole addresses lie in a hash table, networks in a short list.
 */
#include <errno.h>
#include <stdlib.h>

#include "peer/peer.h"
#include "postern/conf.h"

uint32_t peer_host_key(const union base_addr *a, unsigned realm)
{
	if (a->sa.sa_family == AF_INET6)
		return base_hash_bytes(&a->in6.sin6_addr, 16, realm);
	return base_hash_bytes(&a->in.sin_addr, 4, realm);
}

static struct peer_source *source_new(struct peer_sources *src, const struct peer_trunk_x *t, int transport)
{
	struct peer_source *p;

	if (src->n == src->cap) {
		unsigned cap = src->cap ? src->cap * 2 : 64;

		p = realloc(src->v, cap * sizeof *p);
		if (!p)
			return NULL;
		src->v = p;
		src->cap = cap;
	}
	p = &src->v[src->n++];
	*p = (struct peer_source){ .trunk = t, .realm = t->pub.realm, .transport = transport };
	return p;
}

static int source_net(struct peer_sources *src, const struct peer_trunk_x *t, const char *cidr)
{
	struct peer_source *p = source_new(src, t, -1);
	struct conf_net net;
	int err = p ? conf_net_parse(cidr, &net) : -ENOMEM;

	if (err)
		return err;
	p->net = net.addr;
	p->bits = net.bits;
	p->port = net.port;
	return 0;
}

static int source_target(struct peer_sources *src, const struct peer_trunk_x *t, const struct peer_target *g)
{
	struct peer_source *p;

	if (!g->addr.sa.sa_family)
		return 0;
	p = source_new(src, t, g->transport);
	if (!p)
		return -ENOMEM;
	p->net = g->addr;
	p->bits = p->net.sa.sa_family == AF_INET6 ? 128 : 32;
	p->port = base_addr_port(&p->net);
	return 0;
}

static int trunk_sources(struct peer_sources *src, const struct peer_trunk_x *t, peer_targets_fn *more, const void *arg)
{
	const char *const *cidr = t->pub.conf->sources.v;
	const struct peer_target *g;
	unsigned i;
	int err = 0;

	for (i = 0; !err && i < t->pub.conf->sources.n; i++)
		err = source_net(src, t, cidr[i]);
	for (i = 0; !err && i < t->pub.ntargets; i++)
		err = source_target(src, t, &t->targets[i]);
	for (i = 0; !err && more && more(arg, &t->pub, i, &g); i++)
		err = source_target(src, t, g);
	return err;
}

static bool whole(const struct peer_source *p)
{
	return p->bits == (p->net.sa.sa_family == AF_INET6 ? 128u : 32u);
}

static bool is_alone(const struct peer_sources *src, const struct peer_source *p)
{
	struct hash_node *n;

	for (n = whole(p) ? base_hash_find(&src->by_host, p->node.key) : NULL; n; n = n->next) {
		const struct peer_source *q = container_of(n, struct peer_source, node);

		if (n->key == p->node.key && q->trunk != p->trunk && q->realm == p->realm && base_addr_same_host(&q->net, &p->net))
			return false;
	}
	return true;
}

int peer_sources_build(const struct peer_set *s, peer_targets_fn *more, const void *arg, struct peer_sources *ret)
{
	struct peer_sources src = { 0 };
	unsigned i;
	int err = base_hash_init(&src.by_host, 256);

	for (i = 0; !err && i < s->ntrunks; i++)
		err = trunk_sources(&src, &s->trunk[i], more, arg);
	if (err) {
		peer_sources_free(&src);
		return err;
	}
	for (i = 0; i < src.n; i++)
		if (whole(&src.v[i]))
			base_hash_add(&src.by_host, &src.v[i].node, peer_host_key(&src.v[i].net, src.v[i].realm));
	for (i = 0; i < src.n; i++)
		src.v[i].alone = is_alone(&src, &src.v[i]);
	*ret = src;
	return 0;
}

void peer_sources_free(struct peer_sources *src)
{
	if (src->by_host.bucket)
		base_hash_fini(&src->by_host);
	free(src->v);
	*src = (struct peer_sources){ 0 };
}

/** How well a source fits, 0 = not at all; more is more specific. */
static unsigned fit(const struct peer_source *p, unsigned realm, int transport, const union base_addr *src, const struct peer_view *v)
{
	bool port_eq = p->port == base_addr_port(src), counts = p->port != 0;

	if (p->realm != realm || !base_addr_in_net(src, &p->net, p->bits))
		return 0;
	if (p->transport >= 0) {
		/* a target: its port says something over UDP alone */
		counts = transport == 0 && port_eq;
		if (transport == 0 && !port_eq && !p->alone)
			return 0;
	} else if (counts && !port_eq) {
		return 0;
	}
	if (!peer_conds_hold(p->trunk->cond, p->trunk->nconds, v))
		return 0;
	return (p->bits + 1) << 8 | (unsigned)counts << 7 | p->trunk->nconds << 2 | (unsigned)(p->transport == transport) << 1 | 1;
}

const struct peer_trunk *peer_sources_match(const struct peer_set *s, const struct peer_sources *src, unsigned listener, int transport,
	const union base_addr *source, const struct peer_view *v)
{
	unsigned realm = peer_listener_realm(s, listener), best = 0, f, i;
	const struct peer_trunk_x *hit = NULL;
	uint32_t key = peer_host_key(source, realm);
	struct hash_node *n;

	for (n = base_hash_find(&src->by_host, key); n; n = n->next) {
		struct peer_source *p = container_of(n, struct peer_source, node);

		f = n->key == key ? fit(p, realm, transport, source, v) : 0;
		if (f > best || (f == best && f && p->trunk->pub.index < hit->pub.index)) {
			best = f;
			hit = p->trunk;
		}
	}
	if (hit)
		return &hit->pub; /* a whole address is more specific than any network */
	for (i = 0; i < src->n; i++) {
		f = whole(&src->v[i]) ? 0 : fit(&src->v[i], realm, transport, source, v);
		if (f > best) {
			best = f;
			hit = src->v[i].trunk;
		}
	}
	return hit ? &hit->pub : NULL;
}

const struct peer_trunk *peer_match(const struct peer_set *s, unsigned listener, int transport, const union base_addr *source, const struct peer_view *v)
{
	return peer_sources_match(s, &s->sources, listener, transport, source, v);
}
