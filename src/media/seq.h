/* SPDX-License-Identifier: Apache-2.0 */
/* media/seq: sequence, loss and jitter of a received stream (RFC 3550 A.1, A.3, A.8), and round trips. Pure. */
#ifndef MEDIA_SEQ_H
#define MEDIA_SEQ_H

#include "media/slot.h"

/**
 * A packet was received.
 * @param arrival_ts  [in] arrival time in units of the stream's clock, any origin
 */
void media_seq_packet(struct media_seq *q, uint32_t ssrc, uint16_t seq, uint32_t ts, uint32_t arrival_ts);

/** Expected minus received of all SSRCs so far; negative where duplicates came. */
int64_t media_seq_lost(const struct media_seq *q);

/**
 * Round trip from a report block (RFC 3550 6.4.1).
 * @param sent_us [in] when the SR that `lsr` names was passed on
 * @return microseconds, or ERR_RANGE: none, negative or over 10 s
 */
int64_t media_round_trip_us(int64_t now_us, int64_t sent_us, uint32_t dlsr);

#endif
