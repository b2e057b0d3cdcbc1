/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call, private: the call, its two legs, the exchange between them. Who calls whom: front -> setup -> hunt -> (answer | midcall) -> ending;
 * all of them use sdp (offer/answer text and media), headers (what crosses), persist (record, restore) and cdr.
 */
#ifndef CALL_B2B_H
#define CALL_B2B_H

#include "call/exchange.h"
#include "call/policy.h"
#include "postern/base.h"
#include "postern/call.h"
#include "postern/loop.h"
#include "postern/media.h"
#include "postern/peer.h"
#include "postern/sipua.h"
#include "postern/wire.h"

struct call;

#define CALL_ALLOW_OTHER 8

struct call_stream {
	struct media_ref ref;
	union base_addr addr;          /* our RTP address on this leg */
	bool mux;                      /* RTCP on the RTP port, agreed */
	struct { uint32_t serial; uint16_t ms; uint8_t event; } digit; /* that its peer sent, as the other side hears it */
};

struct call_leg {
	struct call *call;
	struct sipua_dialog *dialog;   /* NULL: never was one, or done with */
	char *call_id;                 /* of a dialog that a former engine had and we do not; else NULL */
	const struct peer_trunk *trunk;
	struct call_ghost *ghost;      /* the trunk of a restored call whose row is gone; owned */
	struct peer_target target;     /* that the call went to; uri NULL: the peer called us */
	const struct media_profile_conf *media;
	unsigned listener;
	uint8_t transport;
	union base_addr source;        /* of the peer's requests, or where ours go */
	struct call_text sdp_in, sdp_out; /* last in force: from the peer, to it */
	uint64_t o_id, o_version;      /* of our o= on this leg; version 0: none sent yet */
	struct call_text view;         /* of what this peer wants: what the other leg was shown, before addresses (shown.c) */
	uint8_t want_dir[CALL_STREAMS], shown_dir[CALL_STREAMS]; /* enum wire_dir of its streams: as it wants, as the other leg was shown */
	uint8_t first_dir[CALL_STREAMS]; /* of its peer's description when the call was answered */
	bool was_offer;                /* sdp_in was an offer */
	uint32_t identity[2][CALL_IDENTITIES]; /* hash of each header of relay_if_changed: its last value, and the one that the other leg was shown; 0: none */
	struct call_timer timer;
	struct call_digits *digits;    /* that wait; NULL: never any */
	bool answered_once;            /* an INVITE of this dialog was answered: a timer is not begun by a later request that names none */
	bool update_refused;           /* 405, 501 or 504 to an UPDATE of ours */
	struct call_text goal;         /* `view` as it is to become, and its directions: a request of ours on the other leg is on its way, or waits; else empty */
	uint8_t goal_dir[CALL_STREAMS];
	unsigned todo;                 /* requests of ours that wait, 1 << enum call_own */
	unsigned tries;                /* of the one at the head, after a 491 */
	struct loop_timer todo_timer;
	struct sipua_srv *later;       /* a request of the peer that waits for the ACK of the other one; NULL: none */
	struct loop_timer later_timer;
	int64_t storm_at_ms;           /* when the window of the storm guard began */
	unsigned storm;                /* requests in it */
	uint64_t shown;                /* call_sdp_mark of the description that was sent last, whatever became of it */
	uint32_t allow;                /* methods of the peer's latest Allow */
	bool allow_seen;
	uint32_t allow_other[CALL_ALLOW_OTHER]; /* hashes of methods in it that we do not know; 0: none */
	uint8_t replaces;              /* the peer's latest Supported: 0 none came, 1 without `replaces`, 2 with it */
	uint32_t rack_rseq, rack_cseq; /* a reliable response that a 2xx overtook: its PRACK is good */
	const char *redirect_user;     /* user of the Request-URI, as a 3xx said; NULL: as it came */
	bool redirect_phone;           /* user=phone, as the same said */
	bool sips;                     /* the peer's INVITE named a SIPS URI */
	bool no_reliable;              /* our request must not ask for reliable responses */
	struct sipua_cli *bye;         /* our BYE, unanswered */
	struct loop_timer bye_timer;   /* then it goes through another target */
	bool bye_again;                /* it did */
	bool confirmed;                /* a 2xx made the dialog: BYE ends it */
	bool counted;                  /* in the figures of trunk and target (leg B) */
	bool over;                     /* this side knows that the call is ended */
	uint32_t answer_slot;          /* of our 2xx that waits for its ACK, in `secrets`; CALL_NO_SLOT */
	struct call_again *again;      /* a former engine sent one, and it was not acknowledged; else NULL */
	uint8_t nstreams;
	struct call_stream stream[CALL_STREAMS];
};

/** A target that was tried, for the CDR. */
struct call_try { const char *uri, *trunk; int status; int64_t start_ms; const char *why; union base_addr addr; char call_id[48]; /* once it is no longer leg B's */ };
struct call_hunt;
struct call_replace;

struct call {
	struct call_engine *eng;
	struct peer_set *peers;        /* the set that it began with */
	struct list_node node;         /* in engine->calls */
	char id[24];
	uint64_t serial;
	enum call_state state;
	struct call_leg leg[2];
	struct call_exchange *x;       /* the offer/answer in progress, or NULL */
	struct call_replace *replace;  /* another party takes a leg's place and waits for the other leg's answer, or NULL */
	struct list_node others;       /* exchanges without offer/answer */
	unsigned nothers;
	char *from, *to, *route;       /* as shown */
	int64_t start_ms, ringing_ms, answer_ms, end_ms;
	uint32_t slot;                 /* of its record; CALL_NO_SLOT */
	uint32_t secret_slot;          /* of the descriptions with their keys, where there are any; CALL_NO_SLOT */
	struct loop_timer no_answer;
	struct call_try *tried;
	unsigned ntried;
	struct call_text before;       /* those that a former engine tried, as in the record */
	struct call_hunt *hunt;        /* until it is answered */
	struct call_redirect *redirect;/* Contacts of 3xx, or NULL */
	struct call_decision decision[CALL_DECISIONS]; /* the latest, a ring */
	unsigned ndecisions;
	struct call_text decided;      /* those of former engines, as text */
	struct sipua_notes *notes;     /* what policies noted, shared with the dialogs; NULL: none yet */
	int bye_cause;                 /* Reason of our BYEs; 0: as the status says */
	int status;                    /* final status of the call towards the caller */
	const char *cause, *ended_by;  /* for the CDR, literals; NULL until it ends */
	char why[64];
	bool counted;                  /* in the live figures of its trunks */
	bool apart;                    /* no call: apart.c */
	bool cdr_done;
};
#define CALL_NO_SLOT UINT32_MAX

struct call_engine {
	struct call_engine_params p;
	struct sipua *ua;
	struct call_store *store;
	struct call_store *secrets;    /* NULL: none */
	struct peer_plane *plane;
	struct list_node calls;
	unsigned ncalls;
	struct list_node leavers;      /* dialogs whose place another took: their BYE is open */
	struct list_node aparts;       /* requests and subscriptions outside of calls */
	unsigned naparts;
	uint64_t serial;
	/* admission */
	unsigned room;                 /* calls that memory was made for; p.max_calls is what the revision allows of them */
	double cps_tokens;
	struct mono cps_at;
	bool draining;
	void (*drain_done)(void *arg);
	void *drain_arg;
	struct loop_timer drain_timer, tick;
	struct mono quiet_since;
	bool trimmed;
};

/* front.c */
void call_front_request(void *arg, struct sipua_in *in);
void call_view_fill(struct peer_view *v, const struct wire_sip *sip, const struct sipua_path *path);
/** Option tags that we understand in Require today. */
extern const char *const call_known_options[];

/* apart.c */
/** A request outside of dialogs that is no call: to where its route says. */
void call_apart_request(struct call_engine *e, struct sipua_in *in, const struct peer_trunk *from);
/** A final answer inside a dialog that such a request made. */
void call_apart_heard(struct call *c, enum wire_method method, int status, const struct wire_sip *sip);
/** All of them. */
void call_apart_end(struct call_engine *e);

/* redirect.c */
/** A 3xx of that way: true where its Contacts are to be tried. */
bool call_redirect_take(struct call_leg *leg, const struct peer_way *from, const struct wire_sip *resp);
/** The next of them, best first, NULL: none, or its name is not known yet (*ret_wait); leg B's Request-URI is set for it. */
const struct peer_way *call_redirect_next(struct call *c, bool *ret_wait);
bool call_redirect_more(const struct call *c);
void call_redirect_free(struct call *c);

/* hide.c: onto t, without the hosts of where it came from; `host` is ours */
/** One address: user, display name and what says why stay. A tel: stays as it is, an unreadable one is left out. */
void call_hide_address(struct text *t, struct slice one, struct slice host);
/** A comma list of them. */
void call_hide_list(struct text *t, struct slice list, struct slice host);
/** Text with URIs of whatever scheme in angle brackets (Call-Info, Error-Info, Alert-Info). */
void call_hide_uris(struct text *t, struct slice v, struct slice host);
/** Warning: `code agent "text"`, comma list. */
void call_hide_agents(struct text *t, struct slice list, struct slice host);

/* setup.c */
#define CALL_ADDRESS_MAX 2048
struct call_addresses { char from[CALL_ADDRESS_MAX], to[CALL_ADDRESS_MAX], ruri[CALL_ADDRESS_MAX]; };
/** From, To and Request-URI of what goes to that target (design.md section 4, 'What goes out'). ERR_FULL */
int call_setup_addresses(const struct call_leg *b, const struct peer_target *t, const struct wire_sip *sip, struct call_addresses *ret);
/** What the trunk says of its dialogs: credentials, NAT. */
void call_setup_dialog(struct call_leg *leg);
void call_setup(struct call_engine *e, struct sipua_in *in, const struct peer_trunk *from);
extern const struct sipua_srv_ops call_invite_srv_ops;
extern const struct sipua_cli_ops call_invite_cli_ops;

/** The INVITE to leg B's target. 0, a status that refuses the call whatever the target, or -1: not this target. */
int call_setup_invite(struct call_exchange *x);
int call_setup_again(struct call_exchange *x); /* the same to the same target, in the same dialog with the next CSeq: its 422 was understood */
const struct media_profile_conf *call_setup_media(const struct call *c, const struct peer_trunk *t);

/* answer.c */
/** The call is up: the caller's 2xx, with what of resp (NULL: nothing) may cross. It is sent by call_reliable_final when the record is written. NULL: no memory. */
struct sipua_msg *call_answer_make(struct call_exchange *x, int status, const struct wire_sip *resp);

/* hunt.c */
int call_hunt_new(struct call *c, const struct peer_dest *d);
/** Is there any way at all, or may there be one in a moment? */
bool call_hunt_can(const struct call *c);
/** Try the first way, or wait for names; what fails at once is answered to the caller, and the call may be gone. */
void call_hunt_start(struct call_exchange *x);
/** The target's first response of any kind, and a later final one. True for the first. */
bool call_hunt_heard(struct call_exchange *x, int status);
/** A final failure came. True: taken care of, the call goes on elsewhere (or is gone); false: it is the caller's, *status as he gets it. */
bool call_hunt_failed(struct call_exchange *x, int *status, const struct wire_sip *resp);
/** The caller's answer is known: no more targets. */
void call_hunt_end(struct call *c);
/** What became of the target tried last. */
void call_hunt_note(struct call *c, int status, const char *why);
int call_hunt_tried(struct call *c, const struct peer_trunk *t, const struct peer_target *g, int64_t at_ms);

/** Seconds of a response's Retry-After, -1: none. */
int64_t call_hunt_retry_after(const struct wire_sip *resp);
/** The leg's target refused a request of ours inside the dialog: 500 and 503 speak of its health (field fact F3). */
void call_hunt_said(struct call_leg *leg, int status, const struct wire_sip *resp);
/** All of them for the record, into buf; and back: the last one is the leg's own. */
struct slice call_hunt_print(const struct call *c, char *buf, size_t size);
int call_hunt_restore(struct call *c, const struct call_record *r);
/** The n-th of them, as the record has it; false: there are no more. */
bool call_hunt_at(const struct call *c, unsigned n, struct call_record_try *ret);

/**
 * The call's target did not answer a request inside the dialog: the next target of its trunk (design.md section 8), and that it was silent.
 * False: there is none. name: storage for ret.
 */
bool call_hunt_elsewhere(struct call_leg *leg, char name[static 256], struct sipua_dest *ret);
/** Is there another target of this leg's trunk? */
bool call_hunt_has_other(struct call_leg *leg);

/* midcall.c */
extern const struct sipua_dialog_ops call_dialog_ops;

#include "call/bodies.h"

/* engine.c */
struct call *call_new(struct call_engine *e, struct peer_set *peers);
void call_free(struct call *c);
void call_leg_allow(struct call_leg *l, const struct wire_sip *sip);
/** Did the peer's latest Allow list this method, known or not? */
bool call_leg_allows(const struct call_leg *l, struct slice method);
struct keys_tls;
/** TLS profile by id, as given by the engine's owner; NULL: the listener's own. */
struct keys_tls *call_engine_tls(struct call_engine *e, const char *id);
/** As a leg begins: of this call, with nothing on it. */
void call_leg_init(struct call_leg *l, struct call *c);
struct call_leg *call_other(struct call_leg *l);
void call_figures(struct call *c, int delta);
/** Leg B alone: a hunt goes from target to target. */
void call_figures_leg(struct call_leg *b, int delta);

/* persist.c */
/**
 * Write the record; what it makes true may be sent only when this returned 0. Of an established call that is not asked: what could make
 * its record too large was refused before (call_persist_room), and one that finds no room in the store is written without its decisions;
 * where even that fails it is counted, the former record stays, and the next event writes the whole again.
 */
int call_persist(struct call *c);
/** Is there room in the record for this description of the leg's peer, and for what the other leg is to be shown of it? */
bool call_persist_room(const struct call_leg *leg, struct slice sdp);
unsigned call_restore_all(struct call_engine *e);

/** Forget what the call has in `secrets`. */
void call_secrets_drop(struct call *c);

/* again.c */
/** In struct sipua_dialog_ops: our 2xx leaves and is kept, is done with; an ACK of one that a former engine sent. */
void call_again_answered(void *arg, uint32_t cseq, struct slice datagram, const struct sipua_dest *to);
bool call_again_ack(void *arg, uint32_t cseq, const struct wire_sip *sip);
/** Repeat what the record in that slot of `secrets` holds until its ACK comes. */
void call_again_start(struct call_leg *leg, uint32_t slot);
/** Not any more. */
void call_again_stop(struct call_leg *leg);

/* ending.c */
/** End whatever state it is in: BYE or CANCEL where a side does not know yet, final status to the caller. cause and by are literals. */
void call_end(struct call *c, const char *cause, const char *by, int status, const struct call_leg *told, const struct wire_sip *why);
/** A failed set-up was answered to the caller: nothing is open any more. */
void call_finish(struct call *c, const char *cause, const char *by, int status);

/* cdr.c */
void call_cdr(struct call *c);
/** Of a call that cannot be taken up. */
void call_cdr_of_record(struct call_engine *e, const struct call_record *r);

#endif
