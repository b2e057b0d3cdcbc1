/* SPDX-License-Identifier: Apache-2.0 */
/* call, private: what messages carry: descriptions and their keys, other bodies, headers. Included by b2b.h, whose structs it names. */
#ifndef CALL_BODIES_H
#define CALL_BODIES_H

#include "postern/base.h"
#include "postern/media.h"
#include "postern/wire.h"

struct call;
struct call_exchange;
struct call_leg;
struct call_text;
struct peer_trunk;
struct sipua_msg;
struct sipua_srv;

/* sdp.c: results of *_for lie in a scratch buffer until the next call of this file */
int call_sdp_check(struct slice body);  /* 0, or a SIP status that refuses it */
/** Text of the peer's description for the other leg; makes ports where streams need them. @return 0 or a SIP status */
int call_sdp_for(struct call_leg *to, struct slice body, bool answer, struct slice *ret);
/** The same for a text that shown.c built: nothing in it is a peer's to be checked. */
int call_sdp_make(struct call_leg *to, struct slice body, bool answer, struct slice *ret);
/** Transports of a peer's description, by its media profile. 0 or a SIP status */
int call_sdp_secure(const struct call_leg *from, struct slice body, bool answer);
/** Does the media of this call go past us: both legs say `anchor: false`? */
bool call_sdp_around(const struct call *c);
/** Has the realm every family that the description wants media at? 0 or 488. */
int call_sdp_family(const struct call_leg *from, struct slice body);
/** Our last description in force on that leg once more; another version where a later one was sent and refused. 0 or a status. */
int call_sdp_again(struct call_leg *l, struct slice *ret);
/** Hash of a description apart from its o= line. */
uint64_t call_sdp_mark(struct slice text);
/** Streams, directions and addresses of both legs as their descriptions say: tell media. */
void call_media_apply(struct call *c);
void call_media_release(struct call *c);
int call_text_set(struct call_text *t, struct slice s);
void call_text_clear(struct call_text *t);

/* parts.c */
bool call_text_starts(struct slice s, struct slice head);
/** Without blanks and line ends at both sides. */
struct slice call_text_trimmed(struct slice s);
/** The first line without its end; s moves behind it. */
struct slice call_text_line(struct slice *s);
#define CALL_PARTS 16            /* parts of a body that are looked at; more are left out */
struct call_part { struct slice whole, type, body; };
/** Parts of a multipart body; slices borrow it. Bounded; a fuzz target. */
unsigned call_parts_parse(struct slice body, struct slice boundary, struct call_part part[static CALL_PARTS]);
/** Boundary that a Content-Type names, without quotes; empty if none. */
struct slice call_parts_boundary(struct slice type);

/* body.c */
/** The description in a message, as its body or as a part of it; empty: none. */
struct slice call_body_sdp(const struct wire_sip *sip);
bool call_body_is_sdp(const struct wire_sip *sip);
bool call_body_is_multipart(const struct wire_sip *sip);
/** Body of what is sent to that leg: our description (empty: none), and what of sip's body crosses (NULL: nothing). */
int call_body_put(struct sipua_msg *msg, const struct wire_sip *sip, struct slice sdp, const struct call_leg *to);

/* crypto.c: SDES (RFC 4568) */
/** Does the leg's profile have SDES? Others are plain. */
bool call_crypto_leg(const struct call_leg *l);
/** May that line of an offer of this leg's peer be carried as it says? 0 or 488. */
int call_crypto_check(const struct call_leg *from, const struct wire_sdp *offer, unsigned m);
/** Does that line of an answer of this leg's peer go with what we offered? 0 or 488. */
int call_crypto_answer_check(const struct call_leg *from, const struct wire_sdp *answer, unsigned m);
/** Transport and keys that we tell this leg on line m: p->proto and p->attrs (in buf). offer: what its peer offered, NULL: we offer. p has our address. */
void call_crypto_place(struct call_leg *to, const struct wire_sdp_media *source, const struct wire_sdp *offer, unsigned m, struct wire_sdp_place *p,
	char *buf, size_t size);
/** Suites and keys (received, sent) of line m as both descriptions in force agree; `in` is the parsed sdp_in. False: nothing may flow. */
bool call_crypto_keys(const struct call_leg *l, const struct wire_sdp *in, unsigned m, uint8_t suite[static 2], struct media_key key[static 2]);
/** Has the text key material? */
bool call_crypto_secret(struct slice sdp);
/** The text with *** in place of key material, in buf. */
struct slice call_crypto_mask(struct slice sdp, char *buf, size_t size);

/* renumber.c */
/** Payload types of line m that this leg's peer sends under other numbers than the other peer lists them by: w->pt. in, other: both sdp_in, parsed. */
void call_renumber(const struct call_leg *l, const struct wire_sdp *in, const struct wire_sdp *other, unsigned m, struct media_want *w);

/* headers.c */
#define CALL_HEADER_MAX 8192     /* longest value that we rewrite; a longer one is left out and counted */
/** Host that we show on this leg: advertised address without port. */
struct slice call_headers_host(const struct call_leg *to);
/** Copy to msg what of sip may cross to that leg, by the table; what is rebuilt there is added by the caller. */
int call_headers_cross(struct sipua_msg *msg, const struct wire_sip *sip, const struct call_leg *to);
/** All of it: what crosses, Contact and Allow of ours where the message refreshes the target, SDP where there is one, else the body. */
int call_headers_fill(struct sipua_msg *msg, const struct wire_sip *sip, const struct call_leg *to, bool target, struct slice sdp);
/** Allow and Supported of ours. */
int call_headers_ours(struct sipua_msg *msg, const struct call_leg *leg);
/** Methods that we take from a trunk, as in Allow. */
struct slice call_allow(const struct peer_trunk *t);
/** Options that we support, as in Supported: session timers where the leg has them, reliable answers but where a message must ask for none. */
struct slice call_supported(bool timer, bool reliable);
int call_headers_contact(struct sipua_msg *msg, const struct call_leg *leg);
/** The headers that go with a body, but its type. */
int call_headers_body(struct sipua_msg *msg, const struct wire_sip *sip);
/** Value of one header with our host in it, by the table; false: it does not cross. For fragments of messages. */
bool call_headers_hide(struct text *t, struct slice name, struct slice value, struct slice host);

/* telephone.c: telephone-event in descriptions */
bool call_telephone_by_info(const struct call_leg *l);
/** Its payload type on line m, that of this clock first; -1: none. */
int call_telephone_pt(const struct wire_sdp *s, unsigned m, uint32_t clock_hz, uint32_t *ret_hz);
/** Hide it from, or add it to what leg `to` is shown on line m of s. offer: what its peer offered, NULL: we offer. room: for formats, attrs: lines of ours. */
void call_telephone_place(struct call_leg *to, struct wire_sdp *s, unsigned m, const struct wire_sdp *offer, uint32_t clock_hz, struct text *room,
	struct text *attrs);
/** What of it the leg's slot hears, and the digit that it sends. in, other: both sdp_in, parsed. */
void call_telephone_want(const struct call_leg *l, const struct wire_sdp *in, const struct wire_sdp *other, unsigned m, struct media_want *w);

/* digit.c */
/** Digit of a body of application/dtmf-relay or application/dtmf as its event, and how long it lasts. -1: none can be read. Pure. */
int call_digits_parse(struct slice body, unsigned *ret_ms);
/** The character of an event, 0: it is no digit. */
char call_digit_char(unsigned event);

/* digits.c */
/** An INFO with a digit that ends here: true, srv is consumed. False: it crosses as it is. */
bool call_digits_info(struct call_leg *leg, struct sipua_srv *srv);
/** This leg's peer sent a telephone-event. */
void call_digits_heard(struct call_leg *leg, unsigned event, unsigned ms);
/** Forget those that wait. */
void call_digits_free(struct call_leg *leg);

/* events.c */
/** A row of events.def about this leg; more: its own fields as JSON without braces, or NULL. */
void call_event(const struct call_leg *l, enum base_event id, const char *more);

/* quality.c */
/** The call ends: figures of its streams go into the CDR (`,"quality":[...]`), the events and the metrics. Once. */
void call_quality_end(const struct call *c, struct text *cdr);

#endif
