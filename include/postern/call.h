/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call: the B2BUA. Legs, offer/answer, the call record; the only place where sipua, media and peer meet.
 * The record store (call_store_*) needs base alone and is linked by admin too, which maps it read-only.
 */
#ifndef POSTERN_CALL_H
#define POSTERN_CALL_H

#include "postern/base.h"

struct loop;
struct loop_shm;
struct sipua;
struct media_client;
struct peer_set;
struct peer_live;
struct peer_plane;
struct peer_view;
struct keys_tls;
struct sipua_policy;
struct base_ring;

/* ---- options (tables in call/schema.c) ---- */
/* mode: 0 local 1 relay 2 off; method: 0 auto 1 update 2 invite; refresher: 0 auto 1 local 2 peer */
struct call_timer_conf { const char *id; int mode; int64_t expires, min_se; int method, refresher; bool add_if_missing; };
#define CALL_PURPOSES 10  /* refresh offerless hold address codec other add remove fax identity */
struct call_midcall_conf {
	const char *id;
	int64_t reinvite[CALL_PURPOSES], update[CALL_PURPOSES]; /* 0 consume, 1 relay, 2 consume-or-relay, 400-699 refuse; unnamed ones are as in media-change */
	bool shield;
	int64_t storm_requests, storm_seconds; /* requests 0: no guard */
	struct { const void *v; size_t n; } relay_if_changed;
};
extern const struct conf_collection call_schema_timers, call_schema_midcall;

/* ---- the call record: what a stranger needs to carry on (design.md section 11) ---- */
enum call_state { CALL_SETUP, CALL_EARLY, CALL_ANSWERED /* 2xx sent, no ACK yet */, CALL_UP, CALL_ENDING, CALL_STATES };
const char *call_state_name(enum call_state s);
#define CALL_STREAMS 8
struct call_record_stream { uint32_t slot, gen; uint8_t mux; };
struct call_record_leg {
	struct slice trunk, realm;         /* ids */
	struct slice call_id, local, remote, target, routes;   /* as struct sipua_dialog_state */
	struct slice sdp_in, sdp_out;      /* last from the peer, last to it; byte for byte */
	uint64_t sdp_id, sdp_version;      /* our o= */
	uint32_t cseq_local, cseq_remote;
	uint32_t allow;                    /* the peer's methods, bit set; 0 = none told */
	uint16_t listener; uint8_t transport, uas; /* uas: we answered its INVITE */
	uint8_t allow_seen, confirmed;
	struct slice tls_name, tls;        /* outgoing TLS: name to check, profile id */
	uint64_t sdp_shown;                /* mark of the description sent last */
	union base_addr source;            /* where its messages come from / go to */
	struct slice view, identity;       /* what the other leg was shown of the peer; hashes of its relay_if_changed headers, u32 each: seen, then shown */
	struct slice goal;                 /* `view` as it is to become, where a request of ours is open or waits for that */
	uint8_t offer_state, timer_flags;  /* offer_state: bit 0 sdp_in was an offer; 2, 3: Supported without, with `replaces`; from 4 on the requests of ours that are open or wait */
	uint32_t dirs;                     /* two bits a stream: lower half as the peer wants, upper half as it was shown */
	uint32_t goal_dirs;                /* the same of `goal`, and as the peer was when the call was answered */
	uint8_t timer_role; uint32_t timer_s; int64_t timer_deadline_ms;  /* session timer: 0 = none */
	uint8_t no_timer; uint32_t stripped, stripped_in; struct slice our_allow; /* what policies did, as struct sipua_dialog_state */
	struct slice sdp_sent;             /* what left in place of sdp_out, where that is another; else empty */
	uint8_t nstreams; struct call_record_stream stream[CALL_STREAMS];
};
struct call_record {
	char id[24];                       /* call id of the API */
	uint64_t serial;                   /* increasing with every call of this state memory */
	uint8_t state;
	struct slice from, to, route;      /* user parts or URIs as shown */
	int64_t start_ms, ringing_ms, answer_ms; /* wall clock; 0 = not yet */
	struct call_record_leg leg[2];     /* A (the caller's), B */
	struct slice vars;                 /* call variables, tags, rules that fired: call_note_next */
	struct slice decisions;            /* mid-call decisions, JSON array; empty: none */
	struct slice tried;                /* targets, oldest first: call_record_try_put */
	struct slice extra;                /* fields of a newer version: kept, not read */
	uint8_t over;                      /* CALL_ENDING: bit 0 leg A knows, bit 1 leg B; beside the record, not in it */
};
/* One of the things that policies noted; name: of the variable, the tag, the rule's policy. The last line: of a rule that fired. */
enum call_note_kind { CALL_NOTE_VAR = 1, CALL_NOTE_TAG, CALL_NOTE_FIRED };
struct call_note {
	uint8_t kind;
	struct slice name, value;
	bool send, out, request; uint32_t line, count; int64_t first_ms, last_ms;
};
/** Print one behind the others. */
void call_note_print(struct writer *w, const struct call_note *n);
/** Take the first one of rest; false at its end, or where it is torn. Slices borrow. */
bool call_note_next(struct slice *rest, struct call_note *ret);
/** A target that was tried: texts as shown in the CDR. */
struct call_record_try { int64_t start_ms; uint16_t status; union base_addr addr; struct slice uri, trunk, outcome, call_id; };
void call_record_try_put(struct writer *w, const struct call_record_try *y);
/** The next of `tried`; false at the end, or where it is damaged. */
bool call_record_try_next(struct reader *r, struct call_record_try *ret);
/** Print into memory; ERR_TRUNCATED. */
int call_record_print(const struct call_record *r, void *buf, size_t size, size_t *ret_len);
/** Parse; slices borrow buf. ERR_TORN on any inconsistency; bounded; a fuzz target. */
int call_record_parse(const void *buf, size_t n, struct call_record *ret);

/* ---- store of records in state memory (REGION_CALLS): copy on write, so that a kill leaves the old or the new ---- */
struct call_store;
#define CALL_RECORD_MAX 65536
/** Bytes of the region for so many calls. */
size_t call_store_bytes(unsigned max_calls);
/** Writer (engine): take up what is there; torn or foreign records are freed and counted in *ret_torn. */
int call_store_open(void *mem, size_t bytes, unsigned *ret_torn, struct call_store **ret);
void call_store_close(struct call_store *s);
/** From now on what is freed is overwritten: the store holds secrets. */
void call_store_secret(struct call_store *s);
/** New slot index, or ERR_FULL. */
int call_store_add(struct call_store *s, uint32_t *ret_slot);
int call_store_put(struct call_store *s, uint32_t slot, const struct call_record *r);
/** Bytes of the record that stands there, 0 where none does. */
size_t call_store_length(const struct call_store *s, uint32_t slot);
void call_store_del(struct call_store *s, uint32_t slot);
/** The call is being ended, and these legs (bits as in `over`) know: from now on its record reads as CALL_ENDING. One byte, no copy. */
void call_store_ending(struct call_store *s, uint32_t slot, uint8_t over);
/** The record is about to be carried on: false where three engines died of it, each in the midst of that. _tried: it went well. */
bool call_store_try(struct call_store *s, uint32_t slot);
void call_store_tried(struct call_store *s, uint32_t slot);
/** A call in set-up rings: from now on its record reads as CALL_EARLY. One byte, no copy. */
void call_store_ringing(struct call_store *s, uint32_t slot);
/** Give the memory of unused blocks back to the system; does nothing while there are calls. */
void call_store_trim(struct call_store *s);
/** Reader: a stable copy of the record into buf (CALL_RECORD_MAX), parsed. ERR_NOTFOUND empty slot, ERR_TORN. Any process, any thread. */
unsigned call_store_slots(const void *mem, size_t bytes);
int call_store_read(const void *mem, size_t bytes, uint32_t slot, uint8_t *buf, struct call_record *ret);

/* ---- CDRs: JSON text, one per ended call, put on the `records` ring by the engine ---- */

/* ---- the engine's calls ---- */
struct call_engine;
struct call_engine_params {
	struct loop *loop;
	struct media_client *media;
	const struct loop_shm *streams;    /* read-only map, for the figures of CDRs; NULL: none */
	struct peer_set *peers;            /* referenced */
	struct peer_live *live; size_t live_bytes; /* states of trunks: the engine makes the plane on them */
	void *store_mem; size_t store_bytes;
	void *secrets_mem; size_t secrets_bytes; /* a store that the engine alone maps: descriptions with their keys; NULL: none */
	struct base_ring *records, *events;/* may be NULL in tests */
	unsigned max_calls;                /* effective */
	/** TLS profile of that id (a trunk's `tls`), borrowed; NULL: none, the listener's own serves. May be NULL. */
	struct keys_tls *(*tls)(void *arg, const char *id);
	void *tls_arg;
	/** What messages of a trunk pass, by its id, borrowed; NULL: nothing. May be NULL. */
	struct sipua_policy *(*policy)(void *arg, const char *trunk);
	void *policy_arg;
};
int call_engine_new(const struct call_engine_params *p, struct call_engine **ret);
/** The agent is made with call_engine_handlers() and given back here; then records found in memory are taken up. Returns calls restored. */
struct sipua_handlers;
const struct sipua_handlers *call_engine_handlers(void);    /* arg: struct call_engine */
int call_engine_attach(struct call_engine *e, struct sipua *ua);
/** New revision: calls in progress keep the set they began with. */
void call_engine_set_peers(struct call_engine *e, struct peer_set *peers);
/** End a call with BYE (or CANCEL and a final status) on both sides; why goes to its CDR. ERR_NOTFOUND. */
int call_engine_end(struct call_engine *e, const char *id, const char *why);
/** From now on new calls get 503; done(arg) when no call is left or the time is over and the rest was ended. */
void call_engine_drain(struct call_engine *e, int64_t seconds, void (*done)(void *arg), void *arg);
/** Take new calls again. */
void call_engine_undrain(struct call_engine *e);
void call_engine_inactive(struct call_engine *e, uint32_t slot, uint32_t gen); /* media tells */
/** Media heard a telephone-event of that slot's peer, or that its peer is silent while the other side is heard. */
void call_engine_digit(struct call_engine *e, uint32_t slot, uint32_t gen, unsigned event, unsigned ms);
void call_engine_one_way(struct call_engine *e, uint32_t slot, uint32_t gen);
/** Trunks and targets as they live; borrowed. */
struct peer_plane *call_engine_plane(struct call_engine *e);
unsigned call_engine_count(const struct call_engine *e);
void call_engine_free(struct call_engine *e);

#endif
