/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What would become of a call: its plan as plan.c makes it, then the targets that it leaves out, each with the reason. Made on a plane without works, of
 * its own, over copied states: nothing of it is counted or sent.
 */
#include "peer/plane.h"

#define VISITS 512

struct look {
	struct peer_plane *plane;
	const struct peer_plan *plan;
	struct peer_outlook *v;
	unsigned n, most, visits;
};

static const char *limit_reason(const struct plane_trunk *t)
{
	const struct peer_trunk_conf *c = t->pub->conf;
	uint32_t in = t->live->calls_in, out = t->live->calls_out;

	if (c->limits.max_calls > 0 && in + out >= c->limits.max_calls)
		return "max_calls";
	return c->limits.max_calls_out > 0 && out >= c->limits.max_calls_out ? "max_calls_out" : "max_cps";
}

static const char *wait_reason(const struct peer_live_target *l)
{
	return l->parked ? "parked: behind those that serve" : plane_now() < l->held_ms ? "hold-down: behind those that serve" : "ramp-up: this call's turn is another's";
}

/** Of a way of the plan: is it tried, and why so. */
static void way_reason(struct peer_plane *p, const struct peer_way *w, struct peer_outlook *o)
{
	struct plane_trunk *t = peer_plane_trunk(p, w->trunk);
	struct plane_target *g = t ? peer_plane_target(t, &w->target) : NULL;

	o->tried = t && peer_plan_room(p, w);
	if (!o->tried)
		o->why = t ? limit_reason(t) : "gone";
	else if (w->grade == PEER_CLASS_DOWN)
		o->why = "down, but nothing else is up";
	else
		o->why = w->grade == PEER_CLASS_HELD && g ? wait_reason(g->live) : "up";
}

/** Of a target that the plan leaves out. */
static const char *left_out(const struct plane_target *g)
{
	if (g->pub.listener < 0)
		return "no-listener";
	if (g->live->vanished)
		return "vanished from DNS or the document";
	if (g->trunk->live->drained)
		return "draining";
	if (g->live->health == PEER_DOWN)
		return "down";
	return g->live->health == PEER_RESTING ? "resting" : "beyond the ways that one call tries";
}

static bool planned(const struct look *k, const struct plane_target *g)
{
	unsigned i;

	for (i = 0; i < k->plan->n; i++) {
		const struct peer_way *w = &k->plan->way[i];

		if (w->trunk == g->trunk->pub && w->target.transport == g->pub.transport && base_addr_eq(&w->target.addr, &g->pub.addr) && !strcmp(w->target.uri, g->pub.uri))
			return true;
	}
	return false;
}

static bool shown(const struct look *k, const struct peer_trunk *t)
{
	unsigned i;

	for (i = k->plan->n; i < k->n; i++)
		if (k->v[i].trunk == t)
			return true;
	return false;
}

static void rest_of_trunk(struct look *k, const struct peer_trunk *trunk)
{
	struct plane_trunk *t = peer_plane_trunk(k->plane, trunk);
	unsigned i;

	if (!t || shown(k, trunk))
		return;
	if (!t->ntargets && k->n < k->most)
		k->v[k->n++] = (struct peer_outlook){ .trunk = trunk, .why = "no address is known" };
	for (i = 0; i < t->ntargets && k->n < k->most; i++)
		if (!planned(k, t->target[i]))
			k->v[k->n++] = (struct peer_outlook){ .trunk = trunk, .target = t->target[i]->pub, .why = left_out(t->target[i]) };
}

static void rest_of(struct look *k, const struct peer_trunk *trunk, const struct peer_group *group, unsigned depth)
{
	unsigned i;

	if (trunk)
		rest_of_trunk(k, trunk);
	for (i = 0; group && depth < PEER_DEPTH && i < group->nmembers && k->visits++ < VISITS; i++)
		rest_of(k, group->member[i].trunk, group->member[i].group, depth + 1);
}

unsigned peer_preview(struct peer_plane *p, const struct peer_dest *d, struct peer_outlook *ret, unsigned most)
{
	static struct peer_plan plan; /* one thread, and large */
	struct look k = { .plane = p, .plan = &plan, .v = ret, .most = most };
	unsigned i;

	peer_plan(p, d, &plan);
	for (i = 0; i < plan.n && k.n < most; i++, k.n++) {
		ret[k.n] = (struct peer_outlook){ .trunk = plan.way[i].trunk, .target = plan.way[i].target };
		way_reason(p, &plan.way[i], &ret[k.n]);
	}
	rest_of(&k, d->trunk, d->group, 0);
	return k.n;
}
