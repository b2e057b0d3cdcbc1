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

static struct peer_source *source_new(struct peer_set *s)
{
	if (s->nsources == s->cap_sources) {
		unsigned cap = s->cap_sources ? s->cap_sources * 2 : 64;
		struct peer_source *p = realloc(s->source, cap * sizeof *p);

		if (!p)
			return NULL;
		s->source = p;
		s->cap_sources = cap;
	}
	memset(&s->source[s->nsources], 0, sizeof *s->source);
	return &s->source[s->nsources++];
}

/** `address[/bits][:port]`, IPv6 with a port in brackets. */
static int cidr_parse(const char *text, struct peer_source *p)
{
	struct slice s = slice_str(text), host = s;
	const char *close = strchr(text, ']'), *slash = strchr(text, '/'), *colon;
	uint64_t bits = 0, port = 0;
	int err;

	if (text[0] == '[' && close) {
		host = (struct slice){ text + 1, (size_t)(close - text - 1) };
		colon = close[1] == ':' ? close + 1 : NULL;
		slash = memchr(host.p, '/', host.n) ? memchr(host.p, '/', host.n) : close[1] == '/' ? close + 1 : NULL;
		if (slash && slash > close)
			colon = strchr(slash, ':');
	} else {
		colon = strchr(text, ':');
		if (colon && strchr(colon + 1, ':'))
			colon = NULL; /* a bare IPv6 address */
	}
	if (slash && slash < host.p + host.n)
		host.n = (size_t)(slash - host.p);
	else if (colon && colon < host.p + host.n)
		host.n = (size_t)(colon - host.p);
	err = base_addr_parse(host, 0, &p->net);
	if (err)
		return err;
	p->bits = p->net.sa.sa_family == AF_INET6 ? 128 : 32;
	if (slash) {
		const char *e = slash + 1 + strspn(slash + 1, "0123456789");

		err = slice_u64((struct slice){ slash + 1, (size_t)(e - slash - 1) }, p->bits, &bits);
		p->bits = (unsigned)bits;
	}
	if (!err && colon)
		err = slice_u64(slice_str(colon + 1), 65535, &port);
	p->port = (uint16_t)port;
	return err;
}

static int trunk_sources(struct peer_set *s, const struct peer_trunk_x *t)
{
	const char *const *cidr = t->pub.conf->sources.v;
	struct peer_source *p;
	size_t i;
	int err = 0;

	for (i = 0; !err && i < t->pub.conf->sources.n; i++) {
		p = source_new(s);
		if (!p)
			return -ENOMEM;
		p->trunk = t;
		p->realm = t->pub.realm;
		p->transport = -1;
		err = cidr_parse(cidr[i], p);
	}
	for (i = 0; !err && i < t->pub.ntargets; i++) {
		if (!t->targets[i].addr.sa.sa_family)
			continue;
		p = source_new(s);
		if (!p)
			return -ENOMEM;
		p->trunk = t;
		p->realm = t->pub.realm;
		p->transport = t->targets[i].transport;
		p->net = t->targets[i].addr;
		p->bits = p->net.sa.sa_family == AF_INET6 ? 128 : 32;
		p->port = base_addr_port(&p->net);
	}
	return err;
}

static bool whole(const struct peer_source *p)
{
	return p->bits == (p->net.sa.sa_family == AF_INET6 ? 128u : 32u);
}

int peer_sources_build(struct peer_set *s)
{
	struct hash_node *n;
	unsigned i;
	int err = 0;

	for (i = 0; !err && i < s->ntrunks; i++)
		err = trunk_sources(s, &s->trunk[i]);
	for (i = 0; !err && i < s->nsources; i++)
		if (whole(&s->source[i]))
			base_hash_add(&s->by_host, &s->source[i].node, peer_host_key(&s->source[i].net, s->source[i].realm));
	for (i = 0; !err && i < s->nsources; i++) {
		struct peer_source *p = &s->source[i];

		p->alone = true;
		for (n = whole(p) ? base_hash_find(&s->by_host, p->node.key) : NULL; n; n = n->next) {
			struct peer_source *q = container_of(n, struct peer_source, node);

			if (q->node.key == p->node.key && q->trunk != p->trunk && q->realm == p->realm && base_addr_same_host(&q->net, &p->net))
				p->alone = false;
		}
	}
	return err;
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

const struct peer_trunk *peer_match(const struct peer_set *s, unsigned listener, int transport, const union base_addr *source, const struct peer_view *v)
{
	unsigned realm = peer_listener_realm(s, listener), best = 0, f, i;
	const struct peer_trunk_x *hit = NULL, *net = NULL;
	uint32_t key = peer_host_key(source, realm);
	struct hash_node *n;

	for (n = base_hash_find(&s->by_host, key); n; n = n->next) {
		struct peer_source *p = container_of(n, struct peer_source, node);

		f = n->key == key ? fit(p, realm, transport, source, v) : 0;
		if (f > best || (f == best && f && p->trunk->pub.index < hit->pub.index)) {
			best = f;
			hit = p->trunk;
		}
	}
	/* a whole address is more specific than any network */
	for (i = 0; !hit && i < s->nsources; i++) {
		if (whole(&s->source[i]))
			continue;
		f = fit(&s->source[i], realm, transport, source, v);
		if (f > best) {
			best = f;
			net = s->source[i].trunk;
		}
	}
	hit = hit ? hit : net;
	return hit ? &hit->pub : NULL;
}
