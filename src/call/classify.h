/* SPDX-License-Identifier: Apache-2.0 */
/* call, private: what a request inside a dialog changes. Pure: descriptions in, purposes out (design.md section 6, the table). */
#ifndef CALL_CLASSIFY_H
#define CALL_CLASSIFY_H

#include "postern/wire.h"

/** In the order of the arrays of struct call_midcall_conf; keys has no action, it is handled on its own leg. */
enum call_purpose { CALL_REFRESH, CALL_OFFERLESS, CALL_HOLD, CALL_ADDRESS, CALL_CODEC, CALL_OTHER, CALL_ADD, CALL_REMOVE, CALL_FAX, CALL_IDENTITY,
	CALL_KEYS, CALL_ALL_PURPOSES };
const char *call_purpose_name(enum call_purpose p);

/** Bit sets of 1 << purpose; line: by m-line. Nothing changed: 0. preconditions (RFC 3312): among what is `other`. */
struct call_change { unsigned all, line[WIRE_SDP_MEDIA]; bool preconditions; };

/**
 * What `now` changes against the peer's SDP of the last completed offer/answer.
 * @param was       [in] that SDP
 * @param was_offer [in] it was an offer: its order of formats counts
 * @param ours      [in] ours of the same offer/answer: with `was` it tells what was agreed
 */
void call_classify(const struct wire_sdp *was, bool was_offer, const struct wire_sdp *ours, const struct wire_sdp *now, struct call_change *ret);
/** The same where `now` is an answer: the order of its formats says nothing. */
void call_classify_answer(const struct wire_sdp *was, bool was_offer, const struct wire_sdp *ours, const struct wire_sdp *now, struct call_change *ret);

/* ---- formats of a line ---- */
/** Next token of a format list; false at the end. */
bool call_format_next(struct slice *rest, struct slice *ret);
/** Is this format on line m, live? */
bool call_format_listed(const struct wire_sdp_media *m, struct slice format);
/** The same codec (name, clock, channels) under the same payload type on both lines? */
bool call_format_same(const struct wire_sdp *a, unsigned line_a, const struct wire_sdp *b, unsigned line_b, struct slice format);
/** The format of b's line with the encoding that `format` has on a's, under the same payload type where there is one; empty: none has it. */
struct slice call_format_find(const struct wire_sdp *a, unsigned line_a, struct slice format, const struct wire_sdp *b, unsigned line_b);
/** Payload type that an rtpmap, fmtp or rtcp-fb is about; empty where the attribute is none of them or names all. */
struct slice call_attr_format(struct slice name, struct slice value);
/** Attribute that goes with the codecs of its line: rtpmap, fmtp, ptime, rtcp-fb? */
bool call_attr_is_codec(struct slice name);

#endif
