/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ways of a call, best first: targets of a trunk by rank and weight (RFC 2782), members of a group by its strategy, those that are well before
 * those that must wait, and those that are down where there is nothing else. Work is bounded whatever the document says.
 */
#include "peer/plane.h"

#define VISITS 512                     /* groups and trunks looked at for one call */
#define MEMBERS 64

struct walk {
	struct peer_plane *plane;
	struct peer_plan *plan;
	const struct peer_group *group[PEER_DEPTH];
	unsigned ngroups, visits;
	bool down;                     /* those that are down, and no others */
};

/** Index of one of n by weight: more often where it is higher; those of weight 0 hardly ever (RFC 2782). */
static unsigned weighted_pick(const unsigned *weight, unsigned n)
{
	uint32_t sum = 0, at;
	unsigned i;

	for (i = 0; i < n; i++)
		sum += weight[i];
	if (!sum)
		return base_random_below(n);
	at = base_random_below(sum + 1);
	for (i = 0; i < n; i++) {
		if (weight[i] && at <= weight[i])
			return i;
		at -= weight[i] < at ? weight[i] : at;
	}
	return n - 1;
}

/** Put what was picked first, and go on with the rest: idx is ordered by weight at random. */
static void weighted_order(unsigned *idx, unsigned *weight, unsigned n)
{
	unsigned i, k, swap;

	for (i = 0; i + 1 < n; i++) {
		k = i + weighted_pick(weight + i, n - i);
		swap = idx[k];
		idx[k] = idx[i];
		idx[i] = swap;
		swap = weight[k];
		weight[k] = weight[i];
		weight[i] = swap;
	}
}

/** The trunk's targets in the order of this call. */
static void target_order(const struct plane_trunk *t, unsigned idx[static PEER_TARGETS])
{
	unsigned weight[PEER_TARGETS], i, k;

	for (i = 0; i < t->ntargets; i++) {
		idx[i] = i;
		weight[i] = t->target[i]->pub.weight;
	}
	for (i = 0; i < t->ntargets; i = k) {
		for (k = i + 1; k < t->ntargets && t->target[k]->pub.rank == t->target[i]->pub.rank; k++)
			;
		weighted_order(idx + i, weight + i, k - i);
	}
}

static bool has_trunk(const struct peer_plan *plan, const struct peer_trunk *t)
{
	unsigned i;

	for (i = 0; i < plan->n; i++)
		if (plan->way[i].trunk == t)
			return true;
	return false;
}

static void add_trunk(struct walk *w, const struct peer_trunk *trunk)
{
	struct plane_trunk *t = peer_plane_trunk(w->plane, trunk);
	unsigned idx[PEER_TARGETS], i;

	if (!t || w->visits++ > VISITS || has_trunk(w->plan, trunk))
		return;
	if (t->live->resolving)
		w->plan->resolving = true;
	target_order(t, idx);
	for (i = 0; i < t->ntargets && w->plan->n < PEER_WAYS; i++) {
		struct plane_target *g = t->target[idx[i]];
		struct peer_way *way = &w->plan->way[w->plan->n];
		enum peer_class grade = peer_health_grade(g);

		if (grade == PEER_CLASS_NEVER || (grade == PEER_CLASS_DOWN) != w->down)
			continue;
		way->trunk = trunk;
		way->target = g->pub;
		way->grade = grade;
		way->ngroups = w->ngroups;
		memcpy(way->group, w->group, sizeof way->group);
		w->plan->n++;
	}
}

/** Calls of a trunk, or of all trunks of a group; *visits bounds what is looked at where groups hold groups. */
static uint32_t member_calls(const struct peer_plane *p, const struct peer_member *m, unsigned depth, unsigned *visits)
{
	const struct plane_trunk *t = m->trunk ? peer_plane_trunk(p, m->trunk) : NULL;
	uint32_t sum = 0;
	unsigned i;

	if (t)
		return t->live->calls_in + t->live->calls_out;
	for (i = 0; m->group && depth < PEER_DEPTH && i < m->group->nmembers && (*visits)++ < VISITS; i++)
		sum += member_calls(p, &m->group->member[i], depth + 1, visits);
	return sum;
}

/** Sort idx by key, then by when a member was tried last. */
static void order_by(unsigned *idx, unsigned n, const uint32_t *key, const uint32_t *used)
{
	unsigned i, j, v;

	for (i = 1; i < n; i++) {
		v = idx[i];
		for (j = i; j > 0; j--) {
			unsigned u = idx[j - 1];

			if (key[u] < key[v] || (key[u] == key[v] && used[u] <= used[v]))
				break;
			idx[j] = u;
		}
		idx[j] = v;
	}
}

static void member_order(const struct peer_plane *p, const struct peer_group *g, unsigned *idx)
{
	uint32_t key[MEMBERS] = { 0 };
	unsigned weight[MEMBERS], i, k, visits = 0, n = g->nmembers < MEMBERS ? g->nmembers : MEMBERS;

	for (i = 0; i < n; i++) {
		idx[i] = i;
		weight[i] = g->member[i].weight;
		if (g->conf->strategy == 3)
			key[i] = member_calls(p, &g->member[i], 0, &visits);
	}
	for (i = 0; i < n; i = k) {
		for (k = i + 1; k < n && g->member[k].priority == g->member[i].priority; k++)
			;
		if (g->conf->strategy == 2)
			weighted_order(idx + i, weight + i, k - i);
		else if (g->conf->strategy)
			order_by(idx + i, k - i, key, p->used[g->index]);
	}
}

static void add_group(struct walk *w, const struct peer_group *g);

static void add_member(struct walk *w, const struct peer_member *m)
{
	if (m->trunk)
		add_trunk(w, m->trunk);
	else
		add_group(w, m->group);
}

/* groups hold groups: what is open is on the walk's stack, at most PEER_DEPTH deep */
static void add_group(struct walk *w, const struct peer_group *g)
{
	unsigned idx[MEMBERS], i, n = g->nmembers < MEMBERS ? g->nmembers : MEMBERS;

	if (w->ngroups == PEER_DEPTH || w->visits++ > VISITS)
		return;
	w->group[w->ngroups++] = g;
	member_order(w->plane, g, idx);
	for (i = 0; i < n && w->plan->n < PEER_WAYS && w->visits <= VISITS; i++)
		add_member(w, &g->member[idx[i]]);
	w->ngroups--;
}

/** Those that must wait go behind the others; order stays otherwise. */
static void held_last(struct peer_plan *plan)
{
	unsigned i, j;

	for (i = 1; i < plan->n; i++) {
		struct peer_way v = plan->way[i];

		for (j = i; j > 0 && plan->way[j - 1].grade > v.grade; j--)
			plan->way[j] = plan->way[j - 1];
		plan->way[j] = v;
	}
}

static struct plane_target *target_of(const struct peer_plane *p, const struct peer_way *w)
{
	struct plane_trunk *t = peer_plane_trunk(p, w->trunk);

	return t ? peer_plane_target(t, &w->target) : NULL;
}

/**
 * Those that are parked stay so as long as another one serves: of the trunk, or of the groups that the call goes by, which is seen here alone. Where none
 * does any more the present one has failed, and none is parked.
 */
static void settle(struct peer_plane *p, const struct peer_plan *plan)
{
	struct plane_target *g;
	unsigned i;

	for (i = 0; i < plan->n; i++) {
		g = target_of(p, &plan->way[i]);
		if (plan->way[i].grade >= PEER_CLASS_DOWN || (g && peer_health_serves(g)))
			return;
	}
	for (i = 0; i < plan->n; i++) {
		g = target_of(p, &plan->way[i]);
		if (g)
			peer_health_unpark(g);
	}
}

void peer_plan(struct peer_plane *p, const struct peer_dest *d, struct peer_plan *ret)
{
	struct walk w = { .plane = p, .plan = ret };
	const struct peer_member m = { .trunk = d->trunk, .group = d->group };

	ret->n = ret->at = 0;
	ret->holds = NULL;
	ret->resolving = false;
	if (!m.trunk && !m.group)
		return;
	add_member(&w, &m);
	if (!ret->n) {
		w.down = true;
		w.visits = 0;
		add_member(&w, &m);
	}
	held_last(ret);
	settle(p, ret);
}

static void note_used(struct peer_plane *p, const struct peer_way *w)
{
	unsigned i, k;

	p->tick++;
	for (i = 0; i < w->ngroups; i++) {
		const struct peer_group *g = w->group[i];

		if (g->index >= p->set->ngroups || &p->set->group[g->index] != g)
			return; /* of an older revision */
		for (k = 0; k < g->nmembers; k++)
			if (i + 1 < w->ngroups ? g->member[k].group == w->group[i + 1] : g->member[k].trunk == w->trunk)
				p->used[g->index][k] = p->tick;
	}
}

bool peer_plan_room(const struct peer_plane *p, const struct peer_way *w)
{
	const struct plane_trunk *t = peer_plane_trunk(p, w->trunk);

	return t && !t->live->drained && peer_room_out(t);
}

static bool went_down(struct peer_plane *p, const struct peer_way *w)
{
	struct plane_target *g = target_of(p, w);

	return !g || peer_health_grade(g) >= PEER_CLASS_DOWN;
}

/** peer_plan_room for a call that is on its way: at a further target of the same trunk it is no further call. */
static bool room_on(const struct peer_plane *p, const struct peer_plan *plan, const struct peer_way *w)
{
	const struct plane_trunk *t = peer_plane_trunk(p, w->trunk);

	return t && !t->live->drained && (plan->holds == w->trunk || peer_room_out(t));
}

/** Is there a further way that did not go down since the plan was made, and is not over a limit? */
static bool better_follows(struct peer_plane *p, const struct peer_plan *plan)
{
	unsigned i;

	for (i = plan->at; i < plan->n; i++)
		if (!went_down(p, &plan->way[i]) && room_on(p, plan, &plan->way[i]))
			return true;
	return false;
}

const struct peer_way *peer_plan_next(struct peer_plane *p, struct peer_plan *plan)
{
	while (plan->at < plan->n) {
		const struct peer_way *w = &plan->way[plan->at++];
		struct plane_trunk *t = peer_plane_trunk(p, w->trunk);

		/* went down since the plan was made: another first, where there is one */
		if (!t || t->live->drained || (w->grade < PEER_CLASS_DOWN && went_down(p, w) && better_follows(p, plan)))
			continue;
		if (plan->holds != w->trunk && !peer_room_take(t))
			continue;
		plan->holds = w->trunk;
		note_used(p, w);
		return w;
	}
	return NULL;
}

bool peer_plan_last(const struct peer_plane *p, const struct peer_plan *plan)
{
	unsigned i;

	for (i = plan->at; i < plan->n; i++)
		if (room_on(p, plan, &plan->way[i]))
			return false;
	return true;
}

static bool has_way(const struct peer_plan *plan, const struct peer_way *w)
{
	unsigned i;

	for (i = 0; i < plan->n; i++) {
		const struct peer_way *o = &plan->way[i];

		if (o->trunk == w->trunk && o->target.transport == w->target.transport && base_addr_eq(&o->target.addr, &w->target.addr) &&
		    !strcmp(o->target.uri, w->target.uri))
			return true;
	}
	return false;
}

bool peer_plan_more(struct peer_plane *p, const struct peer_dest *d, struct peer_plan *plan)
{
	static struct peer_plan again; /* one thread, and too large for the stack of a callback */
	unsigned i, n = plan->n;

	for (i = 0; i < plan->n; i++)
		if (!went_down(p, &plan->way[i]))
			return false;
	peer_plan(p, d, &again);
	for (i = 0; i < again.n && n < PEER_WAYS; i++)
		if (!has_way(plan, &again.way[i]))
			plan->way[n++] = again.way[i];
	plan->n = n;
	return plan->at < n;
}

static bool has_code(const struct peer_list *l, int status)
{
	const int64_t *v = l->v;
	size_t i;

	for (i = 0; i < l->n; i++)
		if (v[i] == status)
			return true;
	return false;
}

bool peer_way_goes_on(const struct peer_way *w, int status)
{
	unsigned i;

	if (status >= 600 || !has_code(&w->trunk->conf->failover.on_status, status))
		return false;
	for (i = 0; i < w->ngroups; i++)
		if (has_code(&w->group[i]->conf->stop_on, status))
			return false;
	return true;
}

int64_t peer_try_ms(const struct peer_trunk *t)
{
	return (int64_t)(t->conf->failover.try_timeout * 1000.0 * (double)t->conf->failover.tries);
}
