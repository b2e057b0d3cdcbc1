/* SPDX-License-Identifier: Apache-2.0 */
/* peer, private: the plane, its trunks and targets. health.c turns states, probe.c sends, plan.c orders, resolve.c and names.c know DNS. */
#ifndef PEER_PLANE_H
#define PEER_PLANE_H

#include "peer/peer.h"
#include "postern/loop.h"
#include "postern/sipua.h"

struct peer_names;

struct plane_target {
	struct peer_target pub;
	struct plane_trunk *trunk;
	struct peer_live_target *live;
	struct loop_timer timer;       /* whatever comes next: probe, its end, end of rest or hold */
	int64_t probe_sent, sent_us;   /* when it left, ms and us */
	struct sipua_dialog *dialog;   /* of a probe that is under way */
	struct sipua_cli *cli;
};

struct plane_trunk {
	struct peer_plane *plane;
	const struct peer_trunk *pub;
	struct peer_live_trunk *live;
	struct peer_live_trunk *own;   /* where the state memory has no room */
	struct plane_target *target[PEER_TARGETS];
	unsigned ntargets;
	double tokens;                 /* of max_cps */
	int64_t tokens_ms;
	struct loop_timer resolve;
	bool waits;                    /* for an answer of DNS */
	bool names;                    /* some of its targets are names */
};

struct peer_plane {
	struct peer_plane_params p;
	struct peer_set *set;
	struct plane_trunk *trunk;
	unsigned ntrunks;
	struct sipua *ua;
	uint32_t **used;               /* when each member of each group was tried last */
	uint32_t tick;
	struct peer_sources sources;
	bool has_sources;
	struct loop_timer sources_timer;
	struct peer_names *names;      /* cache of DNS; NULL where nothing is a name */
	char servers[640];             /* that it asks */
	struct loop_timer batch;
};

static inline int64_t plane_now(void) { return base_mono_now().us / 1000; }

/* plane.c */
/** Trunk of the plane, also for one of an older set; NULL where a revision took it away. */
struct plane_trunk *peer_plane_trunk(const struct peer_plane *p, const struct peer_trunk *t);
struct plane_target *peer_plane_target(struct plane_trunk *t, const struct peer_target *g);
/** The trunk's targets are these from now on, best first; states stay with those that stay. */
void peer_targets_set(struct plane_trunk *t, const struct peer_target *want, unsigned n);
/** Addresses that names resolved to have changed: who is who is told anew. */
void peer_sources_changed(struct peer_plane *p);
/** Do the trunk's limits leave room for one more call out? */
bool peer_room_out(const struct plane_trunk *t);
/** The same, and it is begun. */
bool peer_room_take(struct plane_trunk *t);

/* health.c */
void peer_health_init(struct plane_target *g);
void peer_health_show(struct plane_target *g);
enum peer_class peer_health_grade(struct plane_target *g);
/** Is it up, and neither parked nor held? */
bool peer_health_serves(const struct plane_target *g);
void peer_health_unpark(struct plane_target *g);
/** A probe answered (or not); reason is a literal. */
void peer_health_probed(struct plane_target *g, bool good, bool unreachable, const char *reason);
/** What is due by time: end of rest, of hold. Returns when the next is due, 0: nothing. */
int64_t peer_health_due(struct plane_target *g);

/* probe.c and resolve.c, where the plane has them */
struct peer_works {
	void (*probe_arm)(struct plane_target *g);  /* look at what comes next for this target, and arm its timer */
	void (*probe_now)(struct plane_target *g);
	void (*probe_stop)(struct plane_target *g);
	int (*resolve_start)(struct peer_plane *p);
	void (*resolve_stop)(struct peer_plane *p); /* what is known stays */
	void (*resolve_end)(struct peer_plane *p);
};
void peer_probe_arm(struct plane_target *g);
void peer_probe_now(struct plane_target *g);
void peer_probe_stop(struct plane_target *g);
int peer_resolve_start(struct peer_plane *p);
void peer_resolve_stop(struct peer_plane *p);
void peer_resolve_end(struct peer_plane *p);

static inline void plane_arm(struct plane_target *g)
{
	if (g->trunk->plane->p.works)
		g->trunk->plane->p.works->probe_arm(g);
}

#endif
