/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routes (design.md section 4): lowest order that matches, of equal ones the first in the document. "registered" has no member yet.
 */
#include <errno.h>
#include <stdlib.h>

#include "peer/peer.h"
#include "postern/conf.h"

static int route_set(struct peer_set *s, struct peer_route_x *r, const struct peer_route_conf *c)
{
	const char *const *from = c->from.v;
	const struct { const char *re; size_t part; } cond[] = {
		{ c->match.to_user, offsetof(struct peer_view, to_user) }, { c->match.to_host, offsetof(struct peer_view, to_host) },
		{ c->match.from_user, offsetof(struct peer_view, from_user) }, { c->match.from_host, offsetof(struct peer_view, from_host) },
		{ c->match.method, offsetof(struct peer_view, method) },
	};
	size_t i;
	int err = 0;

	r->conf = c;
	r->nprefix = peer_route_prefix(c->match.to_user, r->prefix);
	r->from = calloc(c->from.n + 1, sizeof *r->from);
	if (!r->from)
		return -ENOMEM;
	for (i = 0; i < c->from.n; i++) {
		r->from[r->nfrom] = peer_trunk_find(s, from[i]);
		r->nfrom += r->from[r->nfrom] != NULL;
	}
	for (i = 0; !err && i < ARRAY_LEN(cond); i++)
		err = peer_cond_add(r->cond, &r->nconds, cond[i].re, cond[i].part);
	if (!err)
		err = peer_more_build(s, c, &r->more);
	r->dest = (struct peer_dest){ .route = c->id, .trunk = peer_trunk_find(s, c->to), .group = peer_group_find(s, c->to) };
	return err;
}

struct place { const struct peer_route_conf *conf; size_t at; };

/** By order, equal ones as in the document. */
static int by_order(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->conf->order != y->conf->order)
		return x->conf->order < y->conf->order ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

int peer_routes_build(struct peer_set *s)
{
	size_t n, i;
	const void *const *obj = conf_objects(s->doc, &peer_schema_routes, &n);
	struct place *sorted = calloc(n + 1, sizeof *sorted);
	int err = 0;

	s->route = calloc(n + 1, sizeof *s->route);
	if (!sorted || !s->route) {
		err = -ENOMEM;
		goto out;
	}
	for (i = 0; i < n; i++)
		sorted[i] = (struct place){ obj[i], i };
	qsort(sorted, n, sizeof *sorted, by_order);
	for (i = 0; !err && i < n; i++) {
		s->nroutes++;
		err = route_set(s, &s->route[i], sorted[i].conf);
	}
	if (!err)
		err = peer_route_index_build(s);
out:
	free(sorted);
	return err;
}

void peer_routes_free(struct peer_set *s)
{
	unsigned i;

	for (i = 0; s->route && i < s->nroutes; i++) {
		peer_conds_free(s->route[i].cond, s->route[i].nconds);
		peer_more_free(s->route[i].more);
		free(s->route[i].from);
	}
	free(s->route);
	peer_route_index_free(s);
	peer_zones_free(s);
}

int peer_route_told(const struct peer_set *s, const struct peer_trunk *from, const struct peer_view *v, peer_passed_fn *passed, void *arg, struct peer_dest *ret)
{
	struct peer_route_walk w;
	unsigned i;

	peer_route_walk(s, from, v->to_user, &w);
	while (peer_route_walk_next(&w, &i)) {
		const struct peer_route_x *r = &s->route[i];
		const char *why;

		if (!peer_conds_hold(r->cond, r->nconds, v))
			continue;
		why = r->more ? peer_more_misses(r->more, v) : NULL;
		if (why) {
			if (passed)
				passed(arg, r->conf->id, why);
			continue;
		}
		if (!r->dest.trunk && !r->dest.group)
			return ERR_NOTFOUND;
		*ret = r->dest;
		return 0;
	}
	return ERR_NOTFOUND;
}

int peer_route(const struct peer_set *s, const struct peer_trunk *from, const struct peer_view *v, struct peer_dest *ret)
{
	return peer_route_told(s, from, v, NULL, NULL, ret);
}
