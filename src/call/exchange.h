/* SPDX-License-Identifier: Apache-2.0 */
/* call, private: what goes from one leg to the other: requests, their offer/answer, reliable responses, dialogs named in them. Included by b2b.h. */
#ifndef CALL_EXCHANGE_H
#define CALL_EXCHANGE_H

#include "call/policy.h"
#include "postern/base.h"
#include "postern/call.h"
#include "postern/loop.h"
#include "postern/wire.h"

struct call_engine;
struct call_leg;
struct call;
struct call_reliable;
struct peer_dest;
struct peer_trunk;
struct sipua_in;
struct sipua_msg;
struct sipua_srv;
struct sipua_cli;

/** A description that was sent or received: text of our own, with its media refs beside. */
struct call_text { char *p; size_t n; enum { CALL_TEXT_UNSEEN, CALL_TEXT_OPEN, CALL_TEXT_SECRET } keys; }; /* keys: call_crypto_secret of it, once asked */

/** A request of one leg that is carried to the other, with its offer/answer. One with SDP (or an INVITE) at a time per call; others beside it. */
enum call_xstate { CALL_X_SENT /* waits for the final of `to` */, CALL_X_ACK /* offer went back in 2xx, waits for ACK with answer */, CALL_X_DONE };
struct call_exchange {
	struct call *call;
	struct call_leg *from, *to;
	struct sipua_srv *srv;         /* request of `from`, NULL once done with */
	struct sipua_cli *cli;         /* ours to `to` */
	enum wire_method method;       /* as it came */
	bool initial;                  /* the INVITE that made the call */
	bool as_invite;                /* an UPDATE that goes on as re-INVITE */
	bool has_offer;                /* the request carries the offer */
	bool local_answer;             /* UPDATE without SDP as re-INVITE: the answer stays on `to` */
	bool ours;                     /* the callee's offer/answer is between it and us (ours.c) */
	bool presented;                /* and the caller got its outcome as an offer in a reliable response */
	bool answered;                 /* an answer went to `from` (in 18x or 2xx) */
	bool updated;                  /* and an UPDATE has changed the session since: what the INVITE's responses repeat of it counts no more */
	bool canceled;
	bool consumed;                 /* answered here: `to` knows nothing of it */
	bool beside;                   /* in call->others, and counted */
	bool offers;                   /* with offer/answer on `to`; beside the INVITE that makes the call an UPDATE alone is */
	bool changed, srv_changed;     /* a reliable 1xx has made the answer effective on `to`; on `from` too */
	unsigned relayed;              /* purposes that enter what `to` is shown */
	unsigned line[WIRE_SDP_MEDIA]; /* the same by m-line */
	struct call_text view;         /* `from` as `to` is shown it with this */
	uint8_t want_dir[CALL_STREAMS], shown_dir[CALL_STREAMS]; /* of `from`, once it is done */
	struct call_text to_view;      /* `to` as `from` is shown it by its answer */
	uint8_t to_want[CALL_STREAMS], to_shown[CALL_STREAMS];
	uint32_t identity_before[CALL_IDENTITIES], identity_was[CALL_IDENTITIES]; /* of `from`: as shown, as last seen */
	enum call_own own;             /* srv NULL: the request of ours that it is */
	enum call_xstate state;
	struct call_text offer_in, offer_out, answer_in, answer_out; /* in: from a peer; out: ours */
	struct loop_timer timer;       /* 20 s of an UPDATE as re-INVITE; a newcomer waits (replace.c) */
	const struct peer_trunk *trunk;/* of a newcomer */
	unsigned waited;
	struct loop_timer silent;      /* then the request goes through another target, once */
	bool elsewhere;                /* it did */
	struct list_node node;         /* in call->others */
	struct call_reliable *reliable;/* of an INVITE, or NULL */
};

/* relay.c */
/** A request inside a dialog without offer or answer: to the other leg, or refused. srv is consumed. */
void call_relay_request(struct call_leg *leg, struct sipua_srv *srv);
/** All that crosses of such a request or its answer. */
int call_relay_fill(struct sipua_msg *msg, const struct wire_sip *sip, const struct call_leg *to);

/* reliable.c */
/** May this caller be sent reliable responses? */
bool call_reliable_can(const struct wire_sip *invite);
/** Is this 1xx to be sent to the caller reliably? */
bool call_reliable_wished(const struct call_exchange *x, const struct wire_sip *resp);
/** PRACK for the callee's offer that call_reliable_heard told of. 0 or a status. */
int call_reliable_settle(struct call_exchange *x, struct slice answer);
/** A 1xx of the callee: acknowledged if it asks for it. False: a repeat, or out of order. *ret_offer: it holds an offer, PRACK waits for the answer. */
bool call_reliable_heard(struct call_exchange *x, const struct wire_sip *resp, bool *ret_offer);
/** 1xx and 2xx for the caller: consumed, sent now or in their order. */
void call_reliable_provisional(struct call_exchange *x, struct sipua_msg *msg, const struct wire_sip *resp);
void call_reliable_final(struct call_exchange *x, struct sipua_msg *msg);
/** PRACK of a leg; srv is consumed. */
void call_reliable_prack(struct call_leg *leg, struct sipua_srv *srv);
/** Another target: nothing of the last one's early dialogs is left. */
void call_reliable_restart(struct call_exchange *x);
void call_reliable_free(struct call_reliable *r);

/* transfer.c */
/** What the Replaces of an INVITE names: a leg of ours, or a dialog that a leg's peer has with us; both NULL: there is none. */
struct call_aim { struct call_leg *leg, *far; bool early_only; };
/** 0, or the status that refuses it (RFC 3891 section 3). */
int call_transfer_aim(struct call_engine *e, const struct wire_sip *sip, struct call_aim *ret);
/** Is it a dialog of the far end that is left to it, as this INVITE goes there and its owner can do it? Else its leg is to be taken here. */
bool call_transfer_passes(struct call_engine *e, const struct call_aim *aim, const struct peer_dest *dest);
/** Replaces and Refer-To as that leg's peer must read them. */
int call_transfer_replaces(struct sipua_msg *msg, const struct wire_sip *sip, const struct call_leg *to);
int call_transfer_add(struct sipua_msg *msg, const struct wire_sip *sip, const struct call_leg *to);

/* ours.c; int: 0 or a SIP status */
/** Does the callee of this INVITE without SDP get an offer of ours? */
bool call_ours_wanted(const struct call_exchange *x);
/** Our offer, in x->to->sdp_out. */
int call_ours_offer(struct call_exchange *x);
/** Our answer to the offer in this response, for a caller who cannot be asked now; in x->to->sdp_out. */
int call_ours_answer(struct call_exchange *x, const struct wire_sip *resp);
/** What the callee's response says to our offer. 488: nothing so far. */
int call_ours_heard(struct call_exchange *x, const struct wire_sip *resp);
/** The offer for the caller, in x->offer_out. */
int call_ours_present(struct call_exchange *x);
/** The caller's answer to it, in PRACK or ACK: media flows. */
int call_ours_agree(struct call_exchange *x, struct slice answer);

/* replace.c */
/** An INVITE with Replaces that names this leg, from that trunk: its sender takes the place of the leg's peer, or is refused. in is consumed. */
void call_replace(struct call_engine *e, struct sipua_in *in, const struct peer_trunk *from, struct call_leg *leg, bool early_only);
/** The call ends while one waits: it is refused with this status, and who sat there before has his place again. */
void call_replace_abort(struct call *c, int status);
/** Memory alone. */
void call_replace_drop(struct call *c);
void call_replace_end(struct call_engine *e);

/* exchange.c */
/** Does an exchange keep this leg from another offer? 0; 491 ours is pending; 500 its own is; 1: only from one of ours, an ACK or answer is due. */
int call_exchange_busy(const struct call_leg *leg);
/** The same for a re-INVITE: while the INVITE that makes the dialog is open no other may be (RFC 3261 sections 14.1 and 14.2). */
int call_exchange_busy_invite(const struct call_leg *leg);
/** An UPDATE within the INVITE that makes the call was agreed on: its 2xx is to say what is in force now (RFC 3311 section 5.1). */
void call_exchange_updated(struct call *c);
/** Is an INVITE of the other leg's peer answered, and nothing but its ACK due? */
bool call_exchange_acks(const struct call_leg *leg);
struct call_exchange *call_exchange_new(struct call_leg *from, struct call_leg *to, struct sipua_srv *srv, enum wire_method method);
/** Take it off its call and release all it holds; transactions that are open are ended by sipua. */
void call_exchange_free(struct call_exchange *x);
/** Put it among call->others; false: there are too many, the request is to be refused. */
bool call_exchange_beside(struct call_exchange *x);
#define CALL_OTHERS_MAX 16
/** From there to call->x. */
void call_exchange_front(struct call_exchange *x);
/** The same for call_sdp_secure of an answer. */
int call_exchange_secure(struct call_exchange *x, struct call_leg *from, struct slice answer);
/** call_sdp_make for a leg of an exchange that need not be the call's x. 0 or a status. */
int call_exchange_make(struct call_exchange *x, struct call_leg *to, struct slice body, bool answer, struct call_text *out);
/** ACK (sip NULL: it never came) of the 2xx to an INVITE that went to the other leg: the answer in it goes on in ours. In struct sipua_srv_ops. */
void call_exchange_ack(void *arg, struct sipua_srv *s, const struct wire_sip *sip);
/** Offer and answer are known: they become the legs' own, media follows, the record is written. */
int call_exchange_commit(struct call_exchange *x);
/** Answer the request of `from` (once) with this status and what of resp may cross. */
void call_exchange_refuse(struct call_exchange *x, int status, const char *phrase, const struct wire_sip *resp);

#endif
