/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Health of targets (design.md section 8): what takes one down, what brings it back, and when calls go there again. One view for probes and traffic.
 * All of it lies in state memory, deadlines by the monotonic clock, so that the next engine goes on with it.
 */
#include "peer/plane.h"

#define FLAP_MS   600000               /* down again within this: hold_down doubles */
#define FLAPS_MAX 6
#define FAILED500 3

static const struct peer_trunk_conf *conf_of(const struct plane_target *g) { return g->trunk->pub->conf; }

static void reason_set(struct plane_target *g, const char *reason)
{
	slice_copy(g->live->reason, sizeof g->live->reason, slice_str(reason));
}

void peer_health_show(struct plane_target *g)
{
	struct peer_live_target *l = g->live;

	if (g->pub.listener < 0 && !l->vanished) {
		l->state = PEER_DOWN;
		reason_set(g, "no-listener");
	} else {
		if (!l->vanished && (!strcmp(l->reason, "no-listener") || !strcmp(l->reason, "vanished")))
			reason_set(g, "back");
		l->state = g->trunk->live->drained || l->vanished ? PEER_DRAINING : l->health;
	}
}

static void turn(struct plane_target *g, enum peer_state health, const char *reason)
{
	struct peer_live_target *l = g->live;
	char at[56];

	if (l->health != health)
		l->since_ms = base_wall_ms();
	if (l->health != health && g->trunk->plane->p.works)
		base_log_limited(BASE_INFO, 20, "peer", "target %s trunk=%s uri=%s address=%s reason=\"%s\"", peer_state_name(health),
			g->trunk->pub->conf->id, g->pub.uri, base_addr_print(&g->pub.addr, at), reason);
	l->health = (uint8_t)health;
	reason_set(g, reason);
	peer_health_show(g);
}

void peer_health_init(struct plane_target *g)
{
	g->live->health = PEER_UP;
	g->live->since_ms = base_wall_ms();
	reason_set(g, "new");
	peer_health_show(g);
}

static void counters_clear(struct peer_live_target *l)
{
	l->silent = l->failed500 = l->probe_bad = l->probe_good = 0;
}

static void go_down(struct plane_target *g, const char *reason)
{
	struct peer_live_target *l = g->live;

	if (l->health == PEER_DOWN)
		return;
	if (l->health != PEER_RESTING)
		l->flaps = l->up_ms && plane_now() - l->up_ms < FLAP_MS ? (uint16_t)(l->flaps < FLAPS_MAX ? l->flaps + 1 : FLAPS_MAX) : 0;
	if (g->trunk->plane->p.works)
		base_count(COUNTER_TARGET_DOWN);
	counters_clear(l);
	l->held_ms = l->ramp_ms = 0;
	l->parked = false;
	turn(g, PEER_DOWN, reason);
	plane_arm(g);
}

static void go_rest(struct plane_target *g, int64_t seconds)
{
	go_down(g, "503");
	g->live->rest_ms = plane_now() + seconds * 1000;
	turn(g, PEER_RESTING, "retry-after");
	plane_arm(g);
}

/** hold: it was found well without a call; better ones wait then before they take calls. */
static void come_up(struct plane_target *g, const char *reason, bool hold)
{
	const struct peer_trunk_conf *c = conf_of(g);
	struct peer_live_target *l = g->live;
	int64_t now = plane_now();

	if (g->trunk->plane->p.works)
		base_count(COUNTER_TARGET_UP);
	counters_clear(l);
	l->up_ms = now;
	l->held_ms = hold ? now + (c->failback.hold_down * 1000 << l->flaps) : 0;
	l->ramp_ms = hold ? l->held_ms + c->failback.ramp_up * 1000 : 0;
	l->parked = hold && c->failback.mode == 1;
	turn(g, PEER_UP, l->parked ? "parked" : l->held_ms > now ? "hold-down" : reason);
	plane_arm(g);
}

int64_t peer_health_due(struct plane_target *g)
{
	struct peer_live_target *l = g->live;
	int64_t now = plane_now();

	if (l->health == PEER_RESTING && now >= l->rest_ms)
		come_up(g, "rested", true);
	if (l->health == PEER_UP && l->held_ms && now >= l->held_ms) {
		l->held_ms = 0;
		if (!l->parked)
			turn(g, PEER_UP, "answers");
	}
	return l->health == PEER_RESTING ? l->rest_ms : l->health == PEER_UP ? l->held_ms : 0;
}

enum peer_class peer_health_grade(struct plane_target *g)
{
	struct peer_live_target *l = g->live;
	int64_t now = plane_now(), ramp = conf_of(g)->failback.ramp_up * 1000;

	if (g->trunk->live->drained || l->vanished || g->pub.listener < 0)
		return PEER_CLASS_NEVER;
	peer_health_due(g);
	if (l->health == PEER_DOWN || l->health == PEER_RESTING)
		return PEER_CLASS_DOWN;
	if (l->parked || now < l->held_ms)
		return PEER_CLASS_HELD;
	if (now < l->ramp_ms && ramp > 0 && base_random_below(1000) >= 1000 * (ramp - (l->ramp_ms - now)) / ramp)
		return PEER_CLASS_HELD;
	return PEER_CLASS_GOOD;
}

static void probe_good(struct plane_target *g)
{
	struct peer_live_target *l = g->live;

	l->probe_bad = 0;
	l->probe_good++;
	if (l->health == PEER_DOWN && l->probe_good >= conf_of(g)->probe.up_after)
		come_up(g, "answers", true);
	else if (l->health == PEER_SUSPECT && ((!l->silent && !l->failed500) || l->probe_good >= conf_of(g)->probe.up_after))
		turn(g, PEER_UP, "answers");
}

void peer_health_probed(struct plane_target *g, bool good, bool unreachable, const char *reason)
{
	const struct peer_trunk_conf *c = conf_of(g);
	struct peer_live_target *l = g->live;

	if (l->health == PEER_RESTING)
		return; /* until its time is over nothing wakes it */
	if (good) {
		l->heard_ms = plane_now();
		probe_good(g);
		return;
	}
	l->probe_good = 0;
	l->probe_bad++;
	if (unreachable || l->probe_bad >= c->probe.down_after)
		go_down(g, reason);
	else if (l->health == PEER_UP)
		turn(g, PEER_SUSPECT, reason);
}

static void silent(struct plane_target *g)
{
	struct peer_live_target *l = g->live;

	l->silent++;
	if (l->silent >= conf_of(g)->failover.down_after)
		go_down(g, "no-answer");
	else if (l->health == PEER_UP)
		turn(g, PEER_SUSPECT, "no-answer");
}

static void failed500(struct plane_target *g)
{
	struct peer_live_target *l = g->live;

	l->silent = 0;
	if (++l->failed500 >= FAILED500)
		go_down(g, "500");
	else if (l->health == PEER_UP)
		turn(g, PEER_SUSPECT, "500");
}

/** It answered. A 100 says that it hears us, and nothing of what becomes of the request: it does not end a row of 500. */
static void well(struct plane_target *g, bool heard_alone)
{
	struct peer_live_target *l = g->live;
	bool fails = heard_alone && l->failed500;

	l->silent = 0;
	if (l->health != PEER_UP && !(l->health == PEER_SUSPECT && fails))
		come_up(g, "answers", false);
	if (!fails)
		l->failed500 = 0;
}

bool peer_health_serves(const struct plane_target *g)
{
	return (g->live->health == PEER_UP || g->live->health == PEER_SUSPECT) && !g->live->parked && plane_now() >= g->live->held_ms;
}

void peer_health_unpark(struct plane_target *g)
{
	if (!g->live->parked)
		return;
	g->live->parked = false;
	turn(g, (enum peer_state)g->live->health, plane_now() < g->live->held_ms ? "hold-down" : "answers");
	plane_arm(g);
}

/** 503: it rests for as long as it asks for, if that is allowed; else it is down like any other. */
static void refused503(struct plane_target *g, int64_t retry_s)
{
	int64_t most = conf_of(g)->failback.max_rest;

	if (retry_s > 0 && most > 0)
		go_rest(g, retry_s < most ? retry_s : most);
	else
		go_down(g, "503");
}

static void answered(struct plane_target *g, int status, int64_t retry_s, int64_t sent_ms)
{
	bool is_down = g->live->health == PEER_DOWN || g->live->health == PEER_RESTING;

	g->live->heard_ms = plane_now();
	if (status == 503)
		refused503(g, retry_s);
	else if (status == 500)
		failed500(g);
	else if (!is_down || sent_ms >= plane_now() - (base_wall_ms() - g->live->since_ms))
		well(g, status == 100); /* an answer to what was sent before it went down says nothing of now */
}

void peer_report(struct peer_plane *p, const struct peer_trunk *t, const struct peer_target *target, int status, bool own, int64_t retry_s, int64_t sent_ms)
{
	struct plane_trunk *pt = peer_plane_trunk(p, t);
	struct plane_target *g = pt ? peer_plane_target(pt, target) : NULL;

	if (!g)
		return;
	if (!own)
		answered(g, status, retry_s, sent_ms);
	else if (status == 408)
		silent(g);
	else
		go_down(g, "unreachable");
}

void peer_unanswered(struct peer_plane *p, const union base_addr *addr, int transport, int64_t since_ms)
{
	unsigned i, k;

	for (i = 0; i < p->ntrunks; i++)
		for (k = 0; k < p->trunk[i].ntargets; k++) {
			struct plane_target *g = p->trunk[i].target[k];

			if (g->pub.transport == transport && base_addr_eq(&g->pub.addr, addr) && g->live->heard_ms <= since_ms)
				silent(g);
		}
}
