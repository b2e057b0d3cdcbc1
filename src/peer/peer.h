/* SPDX-License-Identifier: Apache-2.0 */
/* peer, private: the compiled set. */
#ifndef PEER_PRIVATE_H
#define PEER_PRIVATE_H

#include "postern/base.h"
#include "postern/peer.h"
#include "peer/zone.h"

struct pcre2_real_code_8;

#define PEER_CONDS 4
#define PEER_PREFIX 16                 /* characters of a number that routes are indexed by */

/** One regular expression of a `match`, and which part of the view it looks at. */
struct peer_cond {
	struct pcre2_real_code_8 *re;
	size_t part;                   /* offset of the slice in struct peer_view */
};

struct peer_trunk_x {                  /* a trunk with what only this folder sees */
	struct peer_trunk pub;
	struct hash_node id;
	struct peer_target *targets;
	struct peer_cond cond[PEER_CONDS];
	unsigned nconds;
};

/** A place that a trunk's requests come from. */
struct peer_source {
	struct hash_node node;         /* by address, whole addresses alone */
	union base_addr net;
	unsigned bits;
	uint16_t port;                 /* 0 any */
	int transport;                 /* of the target it was made from, -1: from `sources` */
	bool alone;                    /* no other trunk of the realm has this address */
	unsigned realm;
	const struct peer_trunk_x *trunk;
};

/** All places of a set; nets are few, whole addresses are in the hash. */
struct peer_sources { struct peer_source *v; unsigned n, cap; struct hash by_host; };

struct peer_member { const struct peer_trunk *trunk; const struct peer_group *group; unsigned priority, weight; };
struct peer_group {
	const struct peer_group_conf *conf;
	struct hash_node id;
	unsigned index;
	struct peer_member *member;    /* by priority; equal ones by weight, then as in the document */
	unsigned nmembers;
};

#define PEER_ROUTE_HEADERS 8
/** What few routes have (when.c). */
struct peer_more {
	const char *name[PEER_ROUTE_HEADERS];
	struct peer_cond cond[PEER_ROUTE_HEADERS]; /* of the header's value */
	unsigned nheaders;
	const struct peer_zone *zone;  /* NULL: at any time */
	uint16_t from, to;             /* minutes of the day; from > to: past midnight */
	uint8_t days;                  /* bits, Sunday lowest */
};
struct peer_zone_x { const char *id; struct peer_zone *zone; };

struct peer_route_x {
	const struct peer_route_conf *conf;
	struct peer_cond cond[5];
	unsigned nconds;
	struct peer_more *more;        /* NULL with most */
	const struct peer_trunk **from;
	unsigned nfrom;
	char prefix[PEER_PREFIX];      /* that the number must begin with, as far as to_user says */
	unsigned nprefix;
	struct peer_dest dest;
};

/** Routes by trunk and prefix (route_index.c). */
struct peer_route_key;
struct peer_route_index {
	struct hash hash;
	struct peer_route_key *key;
	unsigned nkeys;
	unsigned *list;                /* runs of route numbers, ascending */
	uint32_t lengths;              /* bits: prefixes of this length are there */
};
/** The routes that a call may take, in order of evaluation. */
struct peer_route_walk { const unsigned *at[2 * (PEER_PREFIX + 1)], *end[2 * (PEER_PREFIX + 1)]; unsigned n; };

struct peer_set {
	const struct conf_doc *doc;
	const struct peer_system_conf *system;
	const struct peer_realm_conf *const *realm;
	size_t nrealms;
	const struct peer_listener_conf *const *listener;
	size_t nlisteners;
	unsigned *listener_realm;
	struct peer_trunk_x *trunk;
	unsigned ntrunks;
	struct peer_sources sources;   /* without what names resolve to */
	struct peer_group *group;
	unsigned ngroups;
	struct peer_route_x *route;    /* in order of evaluation */
	unsigned nroutes;
	struct peer_route_index route_index;
	struct peer_zone_x *zone;      /* that routes name */
	unsigned nzones;
	struct hash trunk_ids, group_ids; /* of struct peer_trunk_x, struct peer_group */
};

uint32_t peer_id_key(const char *id);
int peer_cond_add(struct peer_cond *c, unsigned *n, const char *pattern, size_t part);
void peer_conds_free(struct peer_cond *c, unsigned n);
bool peer_conds_hold(const struct peer_cond *c, unsigned n, const struct peer_view *v);
uint32_t peer_host_key(const union base_addr *a, unsigned realm);
/** More targets of a trunk than its document's; ends with false. */
typedef bool peer_targets_fn(const void *arg, const struct peer_trunk *t, unsigned i, const struct peer_target **ret);
int peer_sources_build(const struct peer_set *s, peer_targets_fn *more, const void *arg, struct peer_sources *ret);
void peer_sources_free(struct peer_sources *src);
const struct peer_trunk *peer_sources_match(const struct peer_set *s, const struct peer_sources *src, unsigned listener, int transport,
	const union base_addr *source, const struct peer_view *v);
int peer_groups_build(struct peer_set *s);
void peer_groups_free(struct peer_set *s);
/** Listener that a target is sent from, by its transport and family; -1 none. */
int peer_target_listener(const struct peer_set *s, const struct peer_trunk *t, const struct peer_target *g);
/** `HH:MM`, to 24:00. ERR_PROTO, ERR_RANGE. */
int peer_minute_parse(const char *text, unsigned *ret);
/** Headers and time of a route; *ret stays where it has none. To be freed after an error too. */
int peer_more_build(struct peer_set *s, const struct peer_route_conf *c, struct peer_more **ret);
void peer_more_free(struct peer_more *m);
/** What of it does not hold, "time" or "headers"; NULL: all does. */
const char *peer_more_misses(const struct peer_more *m, const struct peer_view *v);
void peer_zones_free(struct peer_set *s);
int peer_routes_build(struct peer_set *s);
void peer_routes_free(struct peer_set *s);
/** Literal text that whatever the expression matches begins with; 0: not known. */
unsigned peer_route_prefix(const char *re, char buf[static PEER_PREFIX]);
int peer_route_index_build(struct peer_set *s);
void peer_route_index_free(struct peer_set *s);
void peer_route_walk(const struct peer_set *s, const struct peer_trunk *from, struct slice user, struct peer_route_walk *ret);
bool peer_route_walk_next(struct peer_route_walk *w, unsigned *ret);

#endif
