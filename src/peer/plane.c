/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plane: trunks and their resolved targets as they live, over a set that is replaced by revisions. States lie in state memory and are found
 * again by trunk id and by the target's uri, address, port and transport: after a refresh of DNS, a revision, a restart of the engine.
 */
#include <errno.h>
#include <stdlib.h>

#include "peer/plane.h"

#define SOURCES_MS 10                  /* addresses that change together are taken together */

static struct plane_trunk *trunk_by_id(const struct peer_plane *p, const char *id)
{
	const struct peer_trunk *t = peer_trunk_find(p->set, id);

	return t && t->index < p->ntrunks ? &p->trunk[t->index] : NULL;
}

struct plane_trunk *peer_plane_trunk(const struct peer_plane *p, const struct peer_trunk *t)
{
	if (t->index < p->ntrunks && p->trunk[t->index].pub == t)
		return &p->trunk[t->index];
	return trunk_by_id(p, t->conf->id);
}

struct plane_target *peer_plane_target(struct plane_trunk *t, const struct peer_target *g)
{
	unsigned i;

	for (i = 0; i < t->ntargets; i++) {
		const struct peer_target *o = &t->target[i]->pub;

		if (o->transport == g->transport && base_addr_eq(&o->addr, &g->addr) && !strcmp(o->uri, g->uri))
			return t->target[i];
	}
	return NULL;
}

/* ---- targets ---- */

static void live_describe(struct peer_live_target *l, const struct peer_target *g)
{
	char host[48];

	slice_copy(l->uri, sizeof l->uri, slice_str(g->uri));
	slice_copy(l->address, sizeof l->address, slice_str(base_addr_host(&g->addr, false, host)));
	l->port = base_addr_port(&g->addr);
	l->transport = (uint8_t)g->transport;
	l->dns = g->ttl != 0;
	l->ttl = g->ttl;
	l->priority = g->priority;
	l->weight = g->weight;
	l->rank = g->rank;
}

static bool live_is(const struct peer_live_target *a, const struct peer_live_target *b)
{
	return a->port == b->port && a->transport == b->transport && !strncmp(a->address, b->address, sizeof a->address) && !strncmp(a->uri, b->uri, sizeof a->uri);
}

static void target_free(struct plane_target *g)
{
	if (!g)
		return;
	if (g->trunk->plane->p.works)
		g->trunk->plane->p.works->probe_stop(g);
	loop_timer_stop(&g->timer);
	free(g);
}

struct was {
	struct peer_live_target live[PEER_TARGETS];
	struct plane_target *target[PEER_TARGETS]; /* NULL: of a former engine, or taken */
	bool taken[PEER_TARGETS];
	unsigned n;
};

static bool target_place(struct plane_trunk *t, struct plane_target *g, const struct peer_live_target *l)
{
	if (!g) {
		g = calloc(1, sizeof *g);
		if (!g)
			return false;
		g->trunk = t;
	}
	g->live = &t->live->target[t->ntargets];
	if (l != g->live)
		*g->live = *l;
	t->target[t->ntargets++] = g;
	return true;
}

static void target_want(struct plane_trunk *t, struct was *was, const struct peer_target *want)
{
	struct peer_live_target l = { 0 };
	struct plane_target *g = NULL;
	bool known = false;
	unsigned k;

	live_describe(&l, want);
	for (k = 0; k < was->n && !known; k++)
		if (!was->taken[k] && live_is(&was->live[k], &l)) {
			known = was->taken[k] = true;
			l = was->live[k];
			g = was->target[k];
		}
	if (!target_place(t, g, &l))
		return;
	g = t->target[t->ntargets - 1];
	g->pub = *want;
	live_describe(g->live, want);
	g->live->vanished = false;
	if (known)
		peer_health_show(g);
	else
		peer_health_init(g);
	plane_arm(g);
}

/** One that is no longer named: it stays as long as it has calls, and takes none. */
static void target_vanish(struct plane_trunk *t, struct was *was, unsigned k)
{
	if (!was->target[k] || !was->live[k].calls || t->ntargets == PEER_TARGETS || !target_place(t, was->target[k], &was->live[k])) {
		target_free(was->target[k]);
		return;
	}
	t->target[t->ntargets - 1]->live->vanished = true;
	slice_copy(t->target[t->ntargets - 1]->live->reason, sizeof was->live[k].reason, SLICE("vanished"));
	peer_health_show(t->target[t->ntargets - 1]);
	if (t->plane->p.works)
		t->plane->p.works->probe_stop(t->target[t->ntargets - 1]);
}

void peer_targets_set(struct plane_trunk *t, const struct peer_target *want, unsigned n)
{
	struct was was = { .n = t->live->ntargets < PEER_TARGETS ? t->live->ntargets : PEER_TARGETS };
	unsigned i;

	memcpy(was.live, t->live->target, was.n * sizeof was.live[0]);
	memcpy(was.target, t->target, t->ntargets * sizeof t->target[0]);
	t->ntargets = 0;
	for (i = 0; i < n && t->ntargets < PEER_TARGETS; i++)
		target_want(t, &was, &want[i]);
	for (i = 0; i < was.n; i++)
		if (!was.taken[i])
			target_vanish(t, &was, i);
	t->live->ntargets = t->ntargets;
}

/** What the document says itself; those of a former life that names resolved to are kept until DNS speaks. */
static void targets_start(struct plane_trunk *t)
{
	struct peer_target want[PEER_TARGETS];
	unsigned n = 0, i, k;

	for (i = 0; i < t->pub->ntargets && n < PEER_TARGETS; i++) {
		const struct peer_target *c = &t->pub->target[i];

		if (c->addr.sa.sa_family) {
			want[n++] = *c;
			continue;
		}
		t->names = true;
		for (k = 0; k < t->live->ntargets && k < PEER_TARGETS && n < PEER_TARGETS; k++) {
			const struct peer_live_target *l = &t->live->target[k];

			if (!l->dns || l->vanished || strncmp(l->uri, c->uri, sizeof l->uri - 1) || base_addr_parse(slice_str(l->address), l->port, &want[n].addr))
				continue;
			want[n].uri = c->uri;
			want[n].host = c->host;
			want[n].via = c->via;
			want[n].sips = c->sips;
			want[n].transport = l->transport;
			want[n].rank = l->rank;
			want[n].weight = l->weight;
			want[n].priority = l->priority;
			want[n].ttl = l->ttl;
			want[n].listener = peer_target_listener(t->plane->set, t->pub, &want[n]);
			n++;
		}
	}
	peer_targets_set(t, want, n);
}

/* ---- who is who ---- */

static bool more_targets(const void *arg, const struct peer_trunk *t, unsigned i, const struct peer_target **ret)
{
	const struct plane_trunk *pt = peer_plane_trunk(arg, t);

	if (!pt || i >= pt->ntargets)
		return false;
	*ret = &pt->target[i]->pub;
	return true;
}

static void sources_build(void *arg)
{
	struct peer_plane *p = arg;
	struct peer_sources src;

	if (peer_sources_build(p->set, more_targets, p, &src))
		return; /* no memory: the old ones serve on */
	peer_sources_free(&p->sources);
	p->sources = src;
	p->has_sources = true;
}

void peer_sources_changed(struct peer_plane *p)
{
	if (p->p.loop && p->has_sources)
		loop_timer_start(p->p.loop, &p->sources_timer, SOURCES_MS, sources_build, p);
	else
		sources_build(p);
}

const struct peer_trunk *peer_plane_match(const struct peer_plane *p, unsigned listener, int transport, const union base_addr *source, const struct peer_view *v)
{
	return peer_sources_match(p->set, p->has_sources ? &p->sources : &p->set->sources, listener, transport, source, v);
}

/* ---- a set comes and goes ---- */

static void used_free(uint32_t **used, unsigned n)
{
	while (used && n-- > 0)
		free(used[n]);
	free(used);
}

static uint32_t **used_new(const struct peer_set *s)
{
	uint32_t **used = calloc(s->ngroups + 1, sizeof *used);
	unsigned i;

	for (i = 0; used && i < s->ngroups; i++) {
		used[i] = calloc(s->group[i].nmembers + 1, sizeof **used);
		if (!used[i]) {
			used_free(used, i);
			return NULL;
		}
	}
	return used;
}

static void trunks_free(struct plane_trunk *trunk, unsigned n)
{
	unsigned i, k;

	for (i = 0; trunk && i < n; i++) {
		loop_timer_stop(&trunk[i].resolve);
		for (k = 0; k < trunk[i].ntargets; k++)
			target_free(trunk[i].target[k]);
		free(trunk[i].own);
	}
	free(trunk);
}

/** What is known of trunks: copies that are found by id. */
struct known {
	struct hash hash;
	struct known_trunk { struct hash_node node; struct peer_live_trunk live; } *v;
	unsigned n;
};

/** Targets beyond the last are never looked at, and their memory is not touched. */
static void live_copy(struct peer_live_trunk *to, const struct peer_live_trunk *from)
{
	uint32_t n = from->ntargets < PEER_TARGETS ? from->ntargets : PEER_TARGETS;

	memcpy(to, from, offsetof(struct peer_live_trunk, target) + n * sizeof from->target[0]);
	to->ntargets = n;
	to->id[sizeof to->id - 1] = 0;
}

/** Those of the plane, or of a former engine. */
static int known_new(const struct peer_plane *p, struct known *ret)
{
	const struct peer_live *live = p->p.live;
	unsigned n = p->trunk ? p->ntrunks : live && live->n <= live->cap ? live->n : 0;
	int err;

	*ret = (struct known){ .v = calloc(n + 1, sizeof *ret->v) };
	err = ret->v ? base_hash_init(&ret->hash, n + 16) : -ENOMEM;
	for (; !err && ret->n < n; ret->n++) {
		struct known_trunk *k = &ret->v[ret->n];

		live_copy(&k->live, p->trunk ? p->trunk[ret->n].live : &live->trunk[ret->n]);
		base_hash_add(&ret->hash, &k->node, peer_id_key(k->live.id));
	}
	return err;
}

static void known_free(struct known *k)
{
	if (k->hash.bucket)
		base_hash_fini(&k->hash);
	free(k->v);
}

static const struct peer_live_trunk *known_find(const struct known *known, const char *id)
{
	uint32_t key = peer_id_key(id);
	struct hash_node *n;

	for (n = base_hash_find(&known->hash, key); n; n = n->next) {
		const struct known_trunk *k = container_of(n, struct known_trunk, node);

		if (n->key == key && !strcmp(k->live.id, id))
			return &k->live;
	}
	return NULL;
}

/** The trunk's figures at their place for this set: what was known of it by its id, else nothing. */
static int live_place(struct peer_plane *p, struct plane_trunk *t, const struct known *known)
{
	const struct peer_live_trunk *was = known_find(known, t->pub->conf->id);
	struct peer_live *live = p->p.live;
	unsigned index = t->pub->index;

	if (live && index < live->cap) {
		t->live = &live->trunk[index];
	} else {
		t->own = calloc(1, sizeof *t->own);
		if (!t->own)
			return -ENOMEM;
		t->live = t->own;
	}
	if (was)
		live_copy(t->live, was);
	else
		memset(t->live, 0, offsetof(struct peer_live_trunk, target));
	slice_copy(t->live->id, sizeof t->live->id, slice_str(t->pub->conf->id));
	return 0;
}

static int trunks_new(struct peer_plane *p, struct peer_set *set, struct plane_trunk **ret)
{
	unsigned n = set->ntrunks, i;
	struct plane_trunk *trunk = calloc(n + 1, sizeof *trunk);
	struct known known;
	int err = known_new(p, &known);

	if (!trunk)
		err = -ENOMEM;
	for (i = 0; !err && i < n; i++) {
		trunk[i].plane = p;
		trunk[i].pub = &set->trunk[i].pub;
		trunk[i].tokens = (double)trunk[i].pub->conf->limits.max_cps;
		trunk[i].tokens_ms = plane_now();
		err = live_place(p, &trunk[i], &known);
	}
	known_free(&known);
	if (err)
		trunks_free(trunk, n);
	else
		*ret = trunk;
	return err;
}

static int set_take(struct peer_plane *p, struct peer_set *set)
{
	uint32_t **used = used_new(set);
	struct plane_trunk *trunk = NULL;
	unsigned i;
	int err = used ? trunks_new(p, set, &trunk) : -ENOMEM;

	if (err) {
		used_free(used, used ? set->ngroups : 0);
		return err;
	}
	if (p->p.works)
		p->p.works->resolve_stop(p);
	trunks_free(p->trunk, p->ntrunks);
	used_free(p->used, p->set ? p->set->ngroups : 0);
	base_ref(set);
	base_unref(p->set);
	p->set = set;
	p->used = used;
	p->trunk = trunk;
	p->ntrunks = set->ntrunks;
	if (p->p.live)
		p->p.live->n = p->ntrunks < p->p.live->cap ? p->ntrunks : p->p.live->cap;
	for (i = 0; i < p->ntrunks; i++)
		targets_start(&p->trunk[i]);
	p->has_sources = false;
	peer_sources_changed(p);
	return p->p.works ? p->p.works->resolve_start(p) : 0;
}

static void plane_destroy(void *obj)
{
	struct peer_plane *p = obj;

	if (p->p.works)
		p->p.works->resolve_end(p);
	loop_timer_stop(&p->sources_timer);
	trunks_free(p->trunk, p->ntrunks);
	used_free(p->used, p->set ? p->set->ngroups : 0);
	peer_sources_free(&p->sources);
	base_unref(p->set);
}

int peer_plane_new(const struct peer_plane_params *params, struct peer_plane **ret)
{
	struct peer_plane *p = base_new(sizeof *p, plane_destroy);
	size_t head = sizeof(struct peer_live);
	int err;

	if (!p)
		return -ENOMEM;
	p->p = *params;
	if (p->p.live) {
		p->p.live->cap = p->p.live_bytes > head ? (uint32_t)((p->p.live_bytes - head) / sizeof p->p.live->trunk[0]) : 0;
		if (peer_trunk_count(params->peers) > p->p.live->cap && p->p.works)
			base_log(BASE_WARN, "peer", "state memory has no room for all trunks trunks=%u room=%u", peer_trunk_count(params->peers), p->p.live->cap);
	}
	err = set_take(p, params->peers);
	if (err)
		base_unref(p);
	else
		*ret = p;
	return err;
}

void peer_plane_free(struct peer_plane *p) { base_unref(p); }

int peer_plane_set_peers(struct peer_plane *p, struct peer_set *peers)
{
	return peers == p->set ? 0 : set_take(p, peers);
}

void peer_plane_attach(struct peer_plane *p, struct sipua *ua)
{
	unsigned i, k;

	p->ua = ua;
	for (i = 0; i < p->ntrunks; i++)
		for (k = 0; k < p->trunk[i].ntargets; k++)
			plane_arm(p->trunk[i].target[k]);
}

/* ---- limits and figures ---- */

/** Calls begun: of the second that is not over yet, and of the one before it. */
static void rate_count(struct peer_live_rate *r, int64_t now_ms)
{
	int64_t second = now_ms / 1000;

	if (r->second != second) {
		r->before = r->second == second - 1 ? r->now : 0;
		r->now = 0;
		r->second = second;
	}
	r->now++;
}

/** Tokens fill with max_cps a second, and hold one second's worth. */
static double tokens_at(const struct plane_trunk *t, int64_t now_ms)
{
	double max = (double)t->pub->conf->limits.max_cps, have = t->tokens + (double)(now_ms - t->tokens_ms) * max / 1000.0;

	return have < max ? have : max;
}

static bool cps_room(const struct plane_trunk *t) { return t->pub->conf->limits.max_cps == 0 || tokens_at(t, plane_now()) >= 1; }

static void cps_take(struct plane_trunk *t)
{
	int64_t now = plane_now();

	if (t->pub->conf->limits.max_cps > 0) {
		t->tokens = tokens_at(t, now) - 1;
		t->tokens_ms = now;
	}
	rate_count(&t->live->rate, now);
}

static bool over(int64_t max, uint32_t now) { return max > 0 && now >= max; }

bool peer_room_out(const struct plane_trunk *t)
{
	const struct peer_trunk_conf *c = t->pub->conf;

	return !over(c->limits.max_calls, t->live->calls_in + t->live->calls_out) && !over(c->limits.max_calls_out, t->live->calls_out) && cps_room(t);
}

bool peer_room_take(struct plane_trunk *t)
{
	bool room = peer_room_out(t);

	if (room)
		cps_take(t);
	return room;
}

bool peer_admit(struct peer_plane *p, const struct peer_trunk *trunk)
{
	struct plane_trunk *t = peer_plane_trunk(p, trunk);
	const struct peer_trunk_conf *c;

	if (!t)
		return true;
	c = t->pub->conf;
	if (over(c->limits.max_calls, t->live->calls_in + t->live->calls_out) || over(c->limits.max_calls_in, t->live->calls_in) || !cps_room(t))
		return false;
	cps_take(t);
	return true;
}

static void add(uint32_t *figure, int delta)
{
	uint32_t now = *figure;

	__atomic_store_n(figure, delta < 0 && now < (uint32_t)-delta ? 0 : now + (uint32_t)delta, __ATOMIC_RELAXED);
}

/** The last call of one that vanished is over: it is shown no more. */
static void vanished_forget(struct plane_trunk *t)
{
	struct peer_target left[PEER_TARGETS];
	unsigned n = 0, i;

	for (i = 0; i < t->ntargets; i++)
		if (!t->target[i]->live->vanished)
			left[n++] = t->target[i]->pub;
	peer_targets_set(t, left, n);
	peer_sources_changed(t->plane);
}

void peer_calls_add(struct peer_plane *p, const struct peer_trunk *trunk, const struct peer_target *target, int in, int out)
{
	struct plane_trunk *t = peer_plane_trunk(p, trunk);
	struct plane_target *g = t && target ? peer_plane_target(t, target) : NULL;

	if (!t)
		return;
	add(&t->live->calls_in, in);
	add(&t->live->calls_out, out);
	if (g)
		add(&g->live->calls, in + out);
	if (g && out > 0)
		rate_count(&g->live->rate, plane_now());
	if (g && g->live->vanished && !g->live->calls)
		vanished_forget(t);
}

bool peer_other_target(struct peer_plane *p, const struct peer_trunk *trunk, const union base_addr *addr, int transport, struct peer_target *ret)
{
	struct plane_trunk *t = peer_plane_trunk(p, trunk);
	enum peer_class best = PEER_CLASS_NEVER, grade;
	unsigned i;

	for (i = 0; t && i < t->ntargets; i++) {
		struct plane_target *g = t->target[i];

		if (g->pub.listener < 0 || g->live->vanished || (g->pub.transport == transport && base_addr_eq(&g->pub.addr, addr)))
			continue;
		grade = t->live->drained ? PEER_CLASS_HELD : peer_health_grade(g); /* a drain is for new calls */
		if (grade < best) {
			best = grade;
			*ret = g->pub;
		}
	}
	return best < PEER_CLASS_NEVER;
}

bool peer_target_at(struct peer_plane *p, const struct peer_trunk *trunk, const union base_addr *addr, int transport, struct peer_target *ret)
{
	struct plane_trunk *t = peer_plane_trunk(p, trunk);
	unsigned i;

	for (i = 0; t && i < t->ntargets; i++)
		if (t->target[i]->pub.transport == transport && base_addr_eq(&t->target[i]->pub.addr, addr)) {
			*ret = t->target[i]->pub;
			return true;
		}
	return false;
}

/* ---- commands ---- */

int peer_plane_drain(struct peer_plane *p, const char *trunk, bool on)
{
	struct plane_trunk *t = trunk_by_id(p, trunk);
	unsigned i;

	if (!t)
		return ERR_NOTFOUND;
	t->live->drained = on;
	for (i = 0; i < t->ntargets; i++)
		peer_health_show(t->target[i]);
	base_log(BASE_INFO, "peer", "trunk %s trunk=%s", on ? "drains" : "takes calls again", trunk);
	return 0;
}

int peer_plane_probe(struct peer_plane *p, const char *trunk)
{
	struct plane_trunk *t = trunk_by_id(p, trunk);
	unsigned i;

	if (!t)
		return ERR_NOTFOUND;
	for (i = 0; i < t->ntargets && p->p.works; i++)
		p->p.works->probe_now(t->target[i]);
	return 0;
}
