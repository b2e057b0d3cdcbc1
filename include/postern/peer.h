/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer: who is on the other side: realms, listeners, trunks, targets, groups, routes. Compiled from a configuration
 * document into an immutable set; live states of targets lie in state memory. Decides, sends nothing.
 */
#ifndef POSTERN_PEER_H
#define POSTERN_PEER_H

#include "postern/base.h"

struct conf_doc;
struct conf_collection;
struct loop_shm;

/* ---- options (tables in peer/schema*.c); strings live as long as the document ---- */
struct peer_list { const void *v; size_t n; };                 /* = struct conf_list */
struct peer_common { const char *media, *mid_call, *session_timer; struct peer_list policies; }; /* profiles, NULL = inherit */
struct peer_system_conf {
	const char *id;                                            /* always "system" */
	const char *name, *user_agent;
	int64_t max_calls, max_cps, drain_seconds;
	struct { const char *address; int64_t port; const char *tls; bool metrics_open; } api;
	struct { struct peer_list servers; int64_t timeout; } dns;
	struct { int64_t bytes; } trace;
	struct { int64_t message_bytes, connections, connections_per_source, handshake_seconds, idle_seconds, source_rate; } caps;
	struct { int64_t workers; int gather; } media_process;     /* gather: 0 auto, 1 off */
	struct peer_common common;
};
struct peer_realm_conf {
	const char *id;
	struct { const char *address, *address6, *advertise, *advertise6; int64_t port_min, port_max; } ports; /* key "media" as object */
	struct peer_common common;                                 /* in a realm the media profile is named by `media.profile` */
};
struct peer_listener_conf { const char *id, *realm; int transport; const char *address; int64_t port; const char *tls, *advertise; };
struct peer_target_conf { const char *uri; int64_t expires; }; /* string or object in the document; expires 0: the registration's */
struct peer_auth_user_conf { const char *username, *password; };
struct peer_trunk_conf {
	const char *id, *realm, *listener, *tls;
	struct peer_list targets;                                  /* of struct peer_target_conf; `target` is a list of one */
	struct peer_list outbound_proxy, sources;                  /* of const char * */
	struct { const char *to_host, *from_host, *to_user, *tls_subject; } match;
	bool trusted;
	int nat;                                                   /* 0 auto 1 off */
	int redirect;                                              /* 0 pass 1 follow */
	int refer;                                                 /* 0 relay 1 reject */
	int early_offer;                                           /* 0 as-is 1 force */
	int64_t udp_max, no_answer;
	struct peer_common common;
	struct { int64_t max_calls, max_calls_in, max_calls_out, max_cps; } limits;
	struct { const char *username, *password, *realm; struct peer_list inbound_users; } auth; /* of struct peer_auth_user_conf */
	struct { bool enabled; const char *aor; int64_t expires, tries; bool dual; int64_t failback_interval; } registration;
	struct { bool enabled; const char *method; int64_t interval, timeout, down_after, up_after; struct peer_list down_on; } probe; /* down_on: int64_t */
	struct { int64_t tries; double try_timeout; struct peer_list on_status; int64_t down_after; } failover;
	struct { int mode; int64_t interval, hold_down, ramp_up, max_rest; } failback;
};
struct peer_member_conf { const char *trunk; int64_t priority, weight; };
struct peer_group_conf { const char *id; int strategy; struct peer_list members; struct peer_list stop_on; };
struct peer_route_conf {
	const char *id; int64_t order; struct peer_list from;
	struct { const char *to_user, *to_host, *from_user, *from_host, *method; } match;
	const char *to;
};
extern const struct conf_collection peer_schema_system, peer_schema_realms, peer_schema_listeners, peer_schema_trunks,
	peer_schema_groups, peer_schema_routes;

/* ---- the compiled set: ref-counted, immutable, holds the document ---- */
struct peer_set;
struct peer_target {                   /* one address that a trunk's calls may go to */
	const char *uri;                   /* as configured */
	const char *host;                  /* host[:port] as configured: Request-URI and To of calls */
	union base_addr addr;              /* numeric; family 0: not resolved (DNS comes with trunks) */
	int transport;                     /* enum sipua_transport by value: 0 udp 1 tcp 2 tls */
	bool sips;
	int listener;                      /* index, -1: no-listener */
};
struct peer_trunk {
	const struct peer_trunk_conf *conf;
	unsigned index, realm;
	const struct peer_target *target; unsigned ntargets;
	const char *media, *mid_call, *session_timer;   /* effective profile ids */
};
int peer_set_new(const struct conf_doc *doc, struct peer_set **ret);
const struct conf_doc *peer_set_doc(const struct peer_set *s);
const struct peer_system_conf *peer_system(const struct peer_set *s);
unsigned peer_trunk_count(const struct peer_set *s);
const struct peer_trunk *peer_trunk_at(const struct peer_set *s, unsigned i);
const struct peer_trunk *peer_trunk_find(const struct peer_set *s, const char *id);
unsigned peer_realm_count(const struct peer_set *s);
const struct peer_realm_conf *peer_realm_at(const struct peer_set *s, unsigned i);
unsigned peer_listener_count(const struct peer_set *s);
const struct peer_listener_conf *peer_listener_at(const struct peer_set *s, unsigned i);
unsigned peer_listener_realm(const struct peer_set *s, unsigned listener);

/* what matching and routing look at */
struct peer_view {
	struct slice method, to_user, to_host, from_user, from_host, tls_subjects;  /* to_*: the Request-URI */
};
/** The trunk that a request belongs to, or NULL (403). Cost: O(trunks of the realm) worst, a hash look-up for plain addresses. design.md section 4. */
const struct peer_trunk *peer_match(const struct peer_set *s, unsigned listener, int transport, const union base_addr *source, const struct peer_view *v);
/** A route's destination: the members in the order they would be tried (static today: each trunk's targets in order). */
struct peer_hunt { const char *route; const struct peer_trunk *trunk[16]; unsigned n; };
/** @return 0, ERR_NOTFOUND (404) */
int peer_route(const struct peer_set *s, const struct peer_trunk *from, const struct peer_view *v, struct peer_hunt *ret);

/* ---- live figures in state memory (region REGION_TARGETS), written by the engine ---- */
enum peer_state { PEER_UP, PEER_SUSPECT, PEER_DOWN, PEER_DRAINING, PEER_RESTING };
const char *peer_state_name(enum peer_state s);
#define PEER_TARGETS 12
struct peer_live_target { char uri[128]; char address[48]; uint16_t port; uint8_t transport, state; char reason[32]; int64_t since_ms; uint32_t calls; };
struct peer_live_trunk { char id[64]; uint32_t calls_in, calls_out, cps; uint32_t ntargets; struct peer_live_target target[PEER_TARGETS]; };
struct peer_live { uint32_t n, cap; uint32_t pad[14]; struct peer_live_trunk trunk[]; };
size_t peer_live_bytes(unsigned trunks);
/** Fill the region for this set, keeping counts of trunks that stay. */
void peer_live_init(struct peer_live *live, size_t bytes, const struct peer_set *s);
/** No calls: a restarted engine counts those anew that it carries on. */
void peer_live_reset(struct peer_live *live);

#endif
