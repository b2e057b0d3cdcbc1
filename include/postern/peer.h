/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer: who is on the other side: realms, listeners, trunks, targets, groups, routes. Compiled from a configuration
 * document into an immutable set; what lives (resolved targets, their health, limits, drains) is the plane's, its states lie in
 * state memory. Sends probes and DNS queries, no call.
 */
#ifndef POSTERN_PEER_H
#define POSTERN_PEER_H

#include "postern/base.h"

struct conf_doc;
struct conf_collection;
struct loop;
struct loop_shm;
struct sipua;
struct keys_tls;
struct sipua_policy;

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
	bool mask_dtmf;
	struct { int64_t message_bytes, connections, connections_per_source, handshake_seconds, idle_seconds, source_rate; } caps;
	struct { int64_t workers; int gather, sockets; } media_process; /* gather: 0 auto, 1 off; sockets: 0 auto, 1 ports, 2 shared */
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
struct peer_route_header_conf { const char *name, *value; };
struct peer_route_conf {
	const char *id; int64_t order; struct peer_list from;
	struct {
		const char *to_user, *to_host, *from_user, *from_host, *method;
		struct peer_list headers;                          /* of struct peer_route_header_conf */
		struct { const char *zone; struct peer_list days; const char *from, *to; } time; /* days: int, 0 Sunday */
	} match;
	const char *to;
};
extern const struct conf_collection peer_schema_system, peer_schema_realms, peer_schema_listeners, peer_schema_trunks,
	peer_schema_groups, peer_schema_routes;

/* ---- the compiled set: ref-counted, immutable, holds the document ---- */
struct peer_set;
struct peer_group;
struct peer_target {                   /* one address that a trunk's calls may go to */
	const char *uri;                   /* as configured */
	const char *host;                  /* host[:port] as configured: Request-URI and To of calls */
	union base_addr addr;              /* numeric; family 0: a name, its addresses are the plane's */
	int transport;                     /* enum sipua_transport by value: 0 udp 1 tcp 2 tls; -1: DNS says */
	bool sips;
	int listener;                      /* index, -1: no-listener */
	const char *via;                   /* URI whose host is sent to: uri, or an outbound proxy */
	uint16_t rank, weight;             /* lower ranks first; among equal ones by weight (RFC 2782) */
	uint16_t priority;                 /* as DNS or the document says, to be shown */
	uint32_t ttl;                      /* of the DNS records; 0: none of DNS */
};
struct peer_trunk {
	const struct peer_trunk_conf *conf;
	unsigned index, realm;
	const struct peer_target *target; unsigned ntargets;
	const char *media, *mid_call, *session_timer;   /* effective profile ids */
};
/**
 * Listeners and realms have numbers that outlive a revision: calls, sockets and media ports hold on to them. By default the place in the document;
 * else listener[i] and realm[i] are those of its i-th. Numbers that no object has stay empty: peer_listener_at and peer_realm_at give NULL.
 */
struct peer_numbers { const uint8_t *listener; const uint16_t *realm; };
int peer_set_new(const struct conf_doc *doc, struct peer_set **ret);
int peer_set_new_numbered(const struct conf_doc *doc, const struct peer_numbers *numbers, struct peer_set **ret);
const struct conf_doc *peer_set_doc(const struct peer_set *s);
const struct peer_system_conf *peer_system(const struct peer_set *s);
unsigned peer_trunk_count(const struct peer_set *s);
const struct peer_trunk *peer_trunk_at(const struct peer_set *s, unsigned i);
const struct peer_trunk *peer_trunk_find(const struct peer_set *s, const char *id);
/** NULL: there is no such group. */
const struct peer_group *peer_group_find(const struct peer_set *s, const char *id);
unsigned peer_realm_count(const struct peer_set *s);
const struct peer_realm_conf *peer_realm_at(const struct peer_set *s, unsigned i);
unsigned peer_listener_count(const struct peer_set *s);
const struct peer_listener_conf *peer_listener_at(const struct peer_set *s, unsigned i);
unsigned peer_listener_realm(const struct peer_set *s, unsigned listener);

/* what matching and routing look at */
/** First value of a header, p NULL: absent; may live in buf. Asked for by routes that match headers, once their other conditions hold. */
typedef struct slice peer_header_fn(const void *arg, const char *name, char *buf, size_t size);
struct peer_view {
	struct slice method, to_user, to_host, from_user, from_host, tls_subjects;  /* to_*: the Request-URI */
	peer_header_fn *header;            /* NULL: there are none */
	const void *header_arg;
};
/** The trunk that a request belongs to, or NULL (403). Cost: O(trunks of the realm) worst, a hash look-up for plain addresses. design.md section 4. */
const struct peer_trunk *peer_match(const struct peer_set *s, unsigned listener, int transport, const union base_addr *source, const struct peer_view *v);
/** Where a request goes: a route and the trunk or group that it names. */
struct peer_group;
struct peer_dest { const char *route; const struct peer_trunk *trunk; const struct peer_group *group; };
/** By the wall clock where a route matches the time of day. @return 0, ERR_NOTFOUND (404) */
int peer_route(const struct peer_set *s, const struct peer_trunk *from, const struct peer_view *v, struct peer_dest *ret);
/** Told of a route that was passed over: all that it asks for holds but `why`, "time" or "headers" (static text). */
typedef void peer_passed_fn(void *arg, const char *route, const char *why);
/** peer_route, with what was passed over on the way, in order. */
int peer_route_told(const struct peer_set *s, const struct peer_trunk *from, const struct peer_view *v, peer_passed_fn *passed, void *arg, struct peer_dest *ret);

/* ---- live figures in state memory (region REGION_TARGETS), written by the engine ---- */
enum peer_state { PEER_UP, PEER_SUSPECT, PEER_DOWN, PEER_DRAINING, PEER_RESTING };
const char *peer_state_name(enum peer_state s);
#define PEER_TARGETS 24
/** Calls begun in the second `second` of the monotonic clock so far, and in the whole one before it. */
struct peer_live_rate { int64_t second; uint32_t now, before; };
/** Calls begun in the last whole second. */
uint32_t peer_rate(const struct peer_live_rate *r);
struct peer_live_target {
	char uri[128]; char address[48]; uint16_t port; uint8_t transport;
	uint8_t state;                     /* as shown */
	char reason[32]; int64_t since_ms; uint32_t calls;
	uint8_t health;                    /* beneath a drain: up, suspect, down, resting */
	uint8_t dns, vanished, parked;
	uint16_t priority, weight, rank;
	uint16_t silent, failed500, probe_bad, probe_good, flaps;
	uint32_t ttl, rtt_us;
	struct peer_live_rate rate;
	int64_t probe_ms, next_ms;         /* last probe; the next, 0 none */
	int64_t rest_ms, held_ms, ramp_ms, up_ms, heard_ms; /* until when it rests, is held, ramps; when it came up, was heard last */
};
struct peer_live_trunk {
	char id[64]; struct peer_live_rate rate; uint32_t calls_in, calls_out; uint32_t ntargets; uint8_t drained; uint8_t resolving;
	struct peer_live_target target[PEER_TARGETS];
};
struct peer_live { uint32_t n, cap; uint32_t pad[14]; struct peer_live_trunk trunk[]; };
/** Size of the region for so many trunks. */
size_t peer_live_bytes(unsigned trunks);
/** No calls: a restarted engine counts those anew that it carries on. */
void peer_live_reset(struct peer_live *live);

/* ---- the plane: what lives. Thread of all of it: the engine loop ---- */
struct peer_plane;
/** What makes a plane send and ask. By pointer, so that who only looks at one needs no SIP agent and no resolver. */
struct peer_works;
extern const struct peer_works peer_works;
struct peer_plane_params {
	const struct peer_works *works;    /* &peer_works; NULL: no probes, no DNS, and what turns is neither counted nor logged */
	struct loop *loop;                 /* with works */
	struct peer_live *live; size_t live_bytes;
	struct peer_set *peers;            /* referenced */
	/** TLS profile of that id, borrowed; may be NULL. */
	struct keys_tls *(*tls)(void *arg, const char *id);
	void *tls_arg;
	/** What messages of a trunk pass, by its id, borrowed: probes pass it too. May be NULL. */
	struct sipua_policy *(*policy)(void *arg, const char *trunk);
	void *policy_arg;
};
/** States found in the memory are kept, by trunk id and the target's uri, address, port and transport. */
int peer_plane_new(const struct peer_plane_params *p, struct peer_plane **ret);
void peer_plane_free(struct peer_plane *p);
/** From now on probes leave by this agent. */
void peer_plane_attach(struct peer_plane *p, struct sipua *ua);
/** New revision; states are kept as above. */
int peer_plane_set_peers(struct peer_plane *p, struct peer_set *peers);
/** peer_match, with the addresses that names resolved to. */
const struct peer_trunk *peer_plane_match(const struct peer_plane *p, unsigned listener, int transport, const union base_addr *source, const struct peer_view *v);

/* one way that a call may go; texts live as long as the set */
#define PEER_WAYS 32
#define PEER_DEPTH 8                   /* groups in groups */
enum peer_class { PEER_CLASS_GOOD, PEER_CLASS_HELD /* well again, but must wait */, PEER_CLASS_DOWN, PEER_CLASS_NEVER };
struct peer_way {
	const struct peer_trunk *trunk;
	struct peer_target target;
	enum peer_class grade;
	const struct peer_group *group[PEER_DEPTH]; /* that it was found through, outermost first */
	unsigned ngroups;
};
struct peer_plan {
	struct peer_way way[PEER_WAYS];
	unsigned n;
	unsigned at;                       /* the next to be tried */
	const struct peer_trunk *holds;    /* whose limits the call counts for: that of the way taken last */
	bool resolving;                    /* a name has no answer yet: ask again in a moment */
};
/** The ways of a new call, best first (design.md section 8); down targets alone where there is nothing else. Bounded work. */
void peer_plan(struct peer_plane *p, const struct peer_dest *d, struct peer_plan *ret);
/** The next way that no limit or drain forbids: counted as begun, once for targets of one trunk in a row. NULL: none is left. */
const struct peer_way *peer_plan_next(struct peer_plane *p, struct peer_plan *plan);
/** Is none left after the one taken last that has room for a call? */
bool peer_plan_last(const struct peer_plane *p, const struct peer_plan *plan);
/** Would peer_plan_next take this way, as far as drains and limits go? */
bool peer_plan_room(const struct peer_plane *p, const struct peer_way *w);
/** What a call would do with each target that it may come to: those that it tries in their order, then those that it leaves out, each with the reason. */
struct peer_outlook { const struct peer_trunk *trunk; struct peer_target target; bool tried; const char *why; }; /* target.uri NULL: the trunk has none */
/** For a plane without works. @return how many of `most` were filled in */
unsigned peer_preview(struct peer_plane *p, const struct peer_dest *d, struct peer_outlook *ret, unsigned most);
/** All that was tried went down meanwhile: those that were left out as down are appended, since then all are. False: there are none. */
bool peer_plan_more(struct peer_plane *p, const struct peer_dest *d, struct peer_plan *plan);
/** Does this final status send a call on to the next way? */
bool peer_way_goes_on(const struct peer_way *w, int status);
/**
 * What came of a request to a target: a status, `own` where it was made here (408 silent, 503 not reached). retry_s: of Retry-After, -1 none.
 * sent_ms: monotonic clock; an answer to what was sent before a target went down does not make it well.
 */
void peer_report(struct peer_plane *p, const struct peer_trunk *t, const struct peer_target *target, int status, bool own, int64_t retry_s, int64_t sent_ms);
/** A request that was sent to this address at since_ms (monotonic) was never answered; not held against a target that has answered others since. */
void peer_unanswered(struct peer_plane *p, const union base_addr *addr, int transport, int64_t since_ms);
/** Milliseconds that a target of this trunk has for its first response. */
int64_t peer_try_ms(const struct peer_trunk *t);
/** May a call come in from this trunk? Counts it for max_cps. */
bool peer_admit(struct peer_plane *p, const struct peer_trunk *t);
/** Calls in progress, in the figures. target may be NULL. */
void peer_calls_add(struct peer_plane *p, const struct peer_trunk *t, const struct peer_target *target, int in, int out);
/** Another target of the trunk than this one that is not known to be down, for requests inside a dialog; false: none. */
bool peer_other_target(struct peer_plane *p, const struct peer_trunk *t, const union base_addr *addr, int transport, struct peer_target *ret);
/** Where requests to a target go; name is for TLS, and borrowed by ret. */
struct sipua_dest;
void peer_target_dest(const struct peer_plane *p, const struct peer_trunk *t, const struct peer_target *g, char name[static 256], struct sipua_dest *ret);
/**
 * Addresses of a name that is no target of the trunk (RFC 3263), best first, those alone that its listeners reach. conf: `via`, transport (-1: DNS says)
 * and sips are read, its texts stand in ret. From a cache; asks DNS where that has none.
 * @return how many, -1: not known yet, ask again in a moment
 */
int peer_look_up(struct peer_plane *p, const struct peer_trunk *t, const struct peer_target *conf, struct peer_target *ret, unsigned max);
/** The trunk's target of this address; false: it has none (any more). */
bool peer_target_at(struct peer_plane *p, const struct peer_trunk *t, const union base_addr *addr, int transport, struct peer_target *ret);
/** Commands of the API. ERR_NOTFOUND: no such trunk. */
int peer_plane_drain(struct peer_plane *p, const char *trunk, bool on);
int peer_plane_probe(struct peer_plane *p, const char *trunk);

#endif
