/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Index of routes, so that a call looks at few of many thousands: by the trunk that it comes from and by the literal text that the number must begin
 * with, as far as to_user's expression says so. What the index leaves out cannot match; what it gives is still evaluated in order.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "peer/peer.h"

#define ANY UINT32_MAX                 /* a route that names no trunk */

/** One (trunk, prefix) and the routes that have it: a run in `list`. */
struct peer_route_key {
	struct hash_node node;
	uint32_t trunk;
	struct slice prefix;
	unsigned first, n;
};

struct entry { uint32_t trunk; struct slice prefix; unsigned route; };

/** Behind a character class that begins at p; its first ] stands for itself. */
static const char *class_end(const char *p)
{
	p += p[1] == '^' ? 2 : 1;
	for (p += *p == ']'; *p && *p != ']'; p++)
		p += *p == '\\' && p[1];
	return p;
}

/** Can the expression begin otherwise than its first characters say? So it is with a `|` outside of groups and classes. */
static bool has_branches(const char *p)
{
	unsigned depth = 0;

	for (; *p && (*p != '|' || depth); p += *p != 0) {
		if (*p == '\\')
			p += p[1] != 0;
		else if (*p == '[')
			p = class_end(p);
		else if (*p == '(')
			depth++;
		else if (*p == ')' && depth)
			depth--;
	}
	return *p == '|';
}

/** One literal character at the head of p: its byte, and what it takes; 0: it is something else. */
static unsigned literal(const char *p, char *ret)
{
	bool escaped = *p == '\\';

	*ret = escaped ? p[1] : *p;
	if (escaped)
		return *ret && !isalnum((unsigned char)*ret) && (unsigned char)*ret < 128 ? 2 : 0;
	return *p && !strchr("^$.[|()?*+{", *p) ? 1 : 0;
}

unsigned peer_route_prefix(const char *re, char buf[static PEER_PREFIX])
{
	unsigned n = 0, took;

	if (!re || *re != '^' || strstr(re, "\\Q") || has_branches(re))
		return 0;
	for (re++; n < PEER_PREFIX && (took = literal(re, &buf[n])) != 0; n++) {
		re += took;
		if (*re && strchr("?*{", *re))
			break; /* the character need not be there */
		if (*re == '+')
			return n + 1;
	}
	return n;
}

static uint32_t key_of(uint32_t trunk, struct slice prefix)
{
	return base_hash_bytes(prefix.p, prefix.n, trunk * 0x9e3779b1u);
}

static int by_key(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int c;

	if (x->trunk != y->trunk)
		return x->trunk < y->trunk ? -1 : 1;
	if (x->prefix.n != y->prefix.n)
		return x->prefix.n < y->prefix.n ? -1 : 1;
	c = x->prefix.n ? memcmp(x->prefix.p, y->prefix.p, x->prefix.n) : 0;
	return c ? c : x->route < y->route ? -1 : x->route > y->route;
}

static size_t entries_fill(const struct peer_set *s, struct entry *e)
{
	size_t n = 0;
	unsigned i, k;

	for (i = 0; i < s->nroutes; i++) {
		const struct peer_route_x *r = &s->route[i];
		struct slice prefix = { r->prefix, r->nprefix };

		if (!r->conf->from.n)
			e[n++] = (struct entry){ ANY, prefix, i };
		for (k = 0; k < r->nfrom; k++)
			e[n++] = (struct entry){ r->from[k]->index, prefix, i };
	}
	return n;
}

static void keys_fill(struct peer_route_index *x, const struct entry *e, size_t n)
{
	struct peer_route_key *k = NULL;
	size_t i;

	for (i = 0; i < n; i++) {
		x->list[i] = e[i].route;
		if (!k || k->trunk != e[i].trunk || !slice_eq(k->prefix, e[i].prefix)) {
			k = &x->key[x->nkeys++];
			*k = (struct peer_route_key){ .trunk = e[i].trunk, .prefix = e[i].prefix, .first = (unsigned)i };
			base_hash_add(&x->hash, &k->node, key_of(k->trunk, k->prefix));
			x->lengths |= 1u << k->prefix.n;
		}
		k->n++;
	}
}

int peer_route_index_build(struct peer_set *s)
{
	struct peer_route_index *x = &s->route_index;
	struct entry *e;
	size_t n = 0;
	unsigned i;
	int err;

	for (i = 0; i < s->nroutes; i++)
		n += s->route[i].nfrom + 1;
	e = calloc(n + 1, sizeof *e);
	x->list = calloc(n + 1, sizeof *x->list);
	x->key = calloc(n + 1, sizeof *x->key);
	err = e && x->list && x->key ? base_hash_init(&x->hash, 64) : -ENOMEM;
	if (!err) {
		n = entries_fill(s, e);
		qsort(e, n, sizeof *e, by_key);
		keys_fill(x, e, n);
	}
	free(e);
	return err;
}

void peer_route_index_free(struct peer_set *s)
{
	struct peer_route_index *x = &s->route_index;

	if (x->hash.bucket)
		base_hash_fini(&x->hash);
	free(x->list);
	free(x->key);
}

static const struct peer_route_key *key_find(const struct peer_route_index *x, uint32_t trunk, struct slice prefix)
{
	uint32_t key = key_of(trunk, prefix);
	struct hash_node *n;

	for (n = base_hash_find(&x->hash, key); n; n = n->next) {
		const struct peer_route_key *k = container_of(n, struct peer_route_key, node);

		if (n->key == key && k->trunk == trunk && slice_eq(k->prefix, prefix))
			return k;
	}
	return NULL;
}

static void runs_of(const struct peer_route_index *x, uint32_t trunk, struct slice user, struct peer_route_walk *w)
{
	unsigned len;

	for (len = 0; len <= PEER_PREFIX && len <= user.n; len++) {
		const struct peer_route_key *k = x->lengths & 1u << len ? key_find(x, trunk, (struct slice){ user.p, len }) : NULL;

		if (k) {
			w->at[w->n] = &x->list[k->first];
			w->end[w->n++] = &x->list[k->first + k->n];
		}
	}
}

void peer_route_walk(const struct peer_set *s, const struct peer_trunk *from, struct slice user, struct peer_route_walk *ret)
{
	ret->n = 0;
	runs_of(&s->route_index, from->index, user, ret);
	runs_of(&s->route_index, ANY, user, ret);
}

bool peer_route_walk_next(struct peer_route_walk *w, unsigned *ret)
{
	unsigned i, best = w->n;

	for (i = 0; i < w->n; i++)
		if (w->at[i] < w->end[i] && (best == w->n || *w->at[i] < *w->at[best]))
			best = i;
	if (best == w->n)
		return false;
	*ret = *w->at[best]++;
	return true;
}
