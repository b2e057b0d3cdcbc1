/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call, private: mid-call policy and session timers (design.md sections 6 and 7): what a leg keeps for them, and who does what.
 * midcall.c takes a request in -> classify.c -> decide.c -> (consume.c | midcall.c relays); own.c and timer.c send requests of ours.
 */
#ifndef CALL_POLICY_H
#define CALL_POLICY_H

#include "call/classify.h"
#include "postern/base.h"
#include "postern/call.h"
#include "postern/loop.h"

struct call;
struct call_exchange;
struct call_leg;
struct peer_set;
struct peer_trunk;
struct sipua_msg;
struct sipua_srv;

#define CALL_IDENTITIES 32       /* headers of relay_if_changed, at most */

/** Session timer of a leg (RFC 4028): timer.c. */
enum call_timer_role { CALL_TIMER_NONE, CALL_TIMER_WE, CALL_TIMER_PEER };
struct call_timer {
	enum call_timer_role role;     /* who refreshes */
	uint32_t s, min_se;            /* interval; the least that the peer's 422 asked for */
	unsigned small;                /* 422s to requests of ours */
	bool none;                     /* no interval pleased the peer: INVITE without one */
	bool unaware;                  /* the peer knows no timers: its 2xx name none, and we refresh all the same */
	bool through;                  /* mode relay: the peers refresh each other, we look on */
	int64_t deadline_ms;           /* wall clock: no refresh until then ends the call */
	struct loop_timer t;
};
/** Requests of our own on a leg, in the order in which they go out. */
enum call_own { CALL_OWN_UNDO /* what the peer was last agreed */, CALL_OWN_SHOW /* what the other peer wants now */, CALL_OWN_REFRESH, CALL_OWNS };

/** What became of a request inside the dialog, for whoever asks why. */
#define CALL_DECISIONS 16
#define CALL_DECISIONS_BYTES (2 * CALL_DECISIONS * 256) /* of their text, with those of former engines */
struct call_decision { int64_t at_ms; unsigned leg, purposes, relayed; enum wire_method method; int status; /* 0: went on */ const char *action, *reason; };

/* midcall.c */
/** A re-INVITE or UPDATE, or another request with an offer (m: as an UPDATE); srv is consumed. */
void call_mid_session(struct call_leg *leg, struct sipua_srv *srv, enum wire_method m);
/** Answer with a status, and Retry-After where the peer is to come again. */
void call_mid_refuse(struct sipua_srv *srv, int status);
/** The request of this leg's peer that waits for an ACK on the other goes on, or is given up. */
void call_mid_kick(struct call_leg *leg);
void call_mid_drop(struct call_leg *leg);
/** Requests of our own that wait go out, as soon as the leg is free. */
void call_own_kick(struct call_leg *leg, int64_t after_ms);
void call_own_add(struct call_leg *leg, enum call_own what);

/* own.c: what waits in `todo` */
void call_own_stop(struct call_leg *leg);
/** Those that wait and those that are not answered yet, 1 << enum call_own. */
unsigned call_own_open(const struct call_leg *leg);
/** The other leg was shown all that this one wants: a request of ours that waits for that is not needed. */
void call_own_shown(struct call_leg *leg);

struct call_verdict;
/* forward.c */
/** Carry a request to the other leg. now: its SDP, NULL: none; ch: what that changes. srv is consumed. */
void call_forward(struct call_leg *leg, struct sipua_srv *srv, enum wire_method m, const struct call_verdict *v, const struct wire_sdp *now,
	const struct call_change *ch);

/* answered.c: 0 or a SIP status */
/** answer_in of x->to becomes answer_out for x->from; to_view, to_want and to_shown are what the commit makes the leg's. */
int call_answered_carry(struct call_exchange *x);
/** The offer in the answer to an offerless request: offer_in becomes offer_out. */
int call_answered_offer(struct call_exchange *x);
/** The answer in its ACK, answer_in of x->from, becomes answer_out for x->to. */
int call_answered_ack(struct call_exchange *x);
/** An answer to an offer of ours that nobody waits for: taken, and shown to the other leg by a request of ours where the profile says so. */
int call_answered_here(struct call_leg *leg, enum wire_method m, struct slice answer, struct slice offer);

/* consume.c */
/** Answer an offer, an offerless re-INVITE or an UPDATE without SDP here. srv is consumed. */
void call_consume(struct call_leg *leg, struct sipua_srv *srv, enum wire_method m, const struct call_verdict *v);

/* decide.c */
struct call_verdict {
	int status;                    /* refuse with it; 0: go on */
	bool relay;
	unsigned purposes, relayed;
	const char *reason;
	uint8_t want_dir[CALL_STREAMS], shown_dir[CALL_STREAMS]; /* of the requester, once it is done */
};
/**
 * What becomes of a change: profile of the leg, shield of the other, storm guard (design.md section 6).
 * @param now    [in] the peer's new SDP, NULL: none
 */
void call_decide(struct call_leg *leg, enum wire_method m, const struct wire_sdp *now, struct call_change *ch, struct call_verdict *ret);
/** The same of an answer of the peer to our offer: what it asks for beside that. ret_ch: that; nothing: no purposes. Never a status. */
void call_decide_answer(struct call_leg *leg, enum wire_method m, const struct wire_sdp *answer, struct slice offer, struct call_change *ret_ch,
	struct call_verdict *ret);
/** The same of an offer in a response. */
void call_decide_offer(struct call_leg *leg, const struct wire_sdp *now, struct call_change *ret_ch, struct call_verdict *ret);
/** Does the leg's profile relay this, and the other leg let it? */
bool call_decide_relays(const struct call_leg *leg, enum wire_method m, enum call_purpose what);
/** Is a header of relay_if_changed another than before? */
bool call_identity_changed(const struct call_leg *leg, const struct wire_sip *sip);
/** They are seen now; shown: by the other leg too. */
void call_identity_take(struct call_leg *leg, const struct wire_sip *sip, bool shown);
/** Those of this message that the other leg must not see, a bit each; and is this header one of them? */
uint32_t call_identity_hidden(const struct call_leg *leg, const struct wire_sip *sip);
bool call_identity_is(const struct call_leg *leg, uint32_t set, struct slice header);
void call_decision_note(struct call_leg *leg, enum wire_method m, const struct call_verdict *v);
/** Decisions as JSON array, for record and CDR; empty: none. */
struct slice call_decisions_print(const struct call *c, char *buf, size_t size);

/* shown.c: texts lie in a scratch buffer until the next call; they go through call_sdp_make. 0 or a SIP status */
/** Peer `from` as the other leg is to be shown it: its view, with what of `now` is relayed. dirs: of its streams. */
int call_shown_offer(const struct call_leg *from, const struct wire_sdp *now, const struct call_change *ch, unsigned relayed, const uint8_t *dirs,
	struct slice *ret);
/** Answer of ours to this leg's offer: streams and formats as agreed. was: the peer's former SDP. */
int call_shown_answer(const struct call_leg *leg, const struct wire_sdp *was, const struct wire_sdp *now, struct slice *ret);
/** Answer of the other leg's peer, carried to the one that offered `now`. dirs: of the answering side. */
int call_shown_carry(const struct call_leg *from, struct slice answer, const struct wire_sdp *now, const uint8_t *dirs, struct slice *ret);
/** Offer of ours to a peer that sent none: what the other peer has, agreed formats first. */
int call_shown_invite(const struct call_leg *leg, struct slice *ret);
/** Directions that an offer says. */
void call_shown_wants(const struct wire_sdp *now, uint8_t *want);
/** The same of an answer: it changes only what our offer left open. */
void call_shown_answered(const struct wire_sdp *answer, struct slice offer, uint8_t *want);
/** The view becomes all that the peer's SDP says. */
int call_shown_all(struct call_leg *leg);
/** Both legs were shown all of each other. */
void call_shown_reset(struct call_leg *offerer, struct call_leg *answerer);
/** Can this change of formats be answered here: may the other side go on sending what it sends? */
bool call_shown_can_codec(const struct call_leg *leg, const struct wire_sdp *now, const struct call_change *ch);
/** The leg's descriptions are new: what its peer wants by them, all of it shown. */
int call_shown_settle(struct call_leg *leg, bool was_offer);
/** The other leg is to be shown this one's view: a request of ours, when it is free. */
void call_shown_other(struct call_leg *leg);
/** Somebody else speaks on this leg, and offers `now`: may the other leg go on as it is? shown: directions that it was shown of the one before. */
bool call_shown_fits(const struct call_leg *leg, const struct wire_sdp *now, const uint8_t *shown);
/** Offer of ours to that leg's peer: all that somebody else offers; lines of the session that he does not have stand with port 0. */
int call_shown_join(const struct call_leg *to, const struct wire_sdp *now, struct slice *ret);
/** Streams that came back, and that the other leg never lost, are no new ones. @return how many */
unsigned call_shown_rejoined(const struct call_leg *leg, const struct wire_sdp *now, struct call_change *ch);

/* timer.c: session timers (RFC 4028) */
/** Is there no timer with this trunk, as its profile says? */
bool call_timer_off(const struct peer_set *peers, const struct peer_trunk *t);
/** And none on this leg: its profile says so, or a policy took `timer` from Supported. */
bool call_timer_leg_off(const struct call_leg *leg);
/** Min-SE of a 422 that this request deserves; 0: none. */
uint32_t call_timer_small(const struct peer_set *peers, const struct peer_trunk *trunk, const struct wire_sip *sip);
/** Into an INVITE of ours that begins a dialog; from: the request that it follows. */
int call_timer_invite(struct call_leg *to, struct sipua_msg *msg, const struct wire_sip *from);
/** The peer's 422 to our first INVITE: is it to be sent again, with its Min-SE or at last without an interval? */
bool call_timer_again(struct call_leg *to, const struct wire_sip *response);
/** Into a request of ours inside the dialog that refreshes it. */
int call_timer_request(struct call_leg *to, struct sipua_msg *msg);
/** The same into one that follows a request of the other leg. */
int call_timer_forward(struct call_leg *to, struct sipua_msg *msg, const struct wire_sip *from);
/** Do both legs pass the timer through (mode relay)? */
bool call_timer_relayed(const struct call *c);
/** And does this request refresh it? */
bool call_timer_passes(const struct wire_sip *request, const struct call_leg *leg);
/** Min-SE of a 422 that is passed on. */
void call_timer_carry_min(struct sipua_msg *msg, const struct wire_sip *response);
/** Into our 2xx to that request; the timer starts with it. */
int call_timer_accept(struct call_leg *to, struct sipua_msg *msg, const struct wire_sip *request);
/** The peer's 2xx to an INVITE or UPDATE of ours. */
void call_timer_accepted(struct call_leg *leg, const struct wire_sip *response);
/** Policies wrote another Session-Expires into our 2xx: what the peer reads holds. */
void call_timer_policed(struct call_leg *leg, const struct wire_sip *sent);
/** A refresh of ours failed: end the call, or when to try again. sip NULL: nobody answered. */
void call_timer_failed(struct call_leg *leg, int status, const struct wire_sip *sip);
/** Is a refresh of ours to be a re-INVITE? */
bool call_timer_by_invite(const struct call_leg *leg);
/** From the record. */
void call_timer_restore(struct call_leg *leg);
void call_timer_stop(struct call_leg *leg);

#endif
