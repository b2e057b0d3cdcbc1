/* SPDX-License-Identifier: Apache-2.0 */
/*
 * media/seq: sequence, loss and jitter of a received stream (RFC 3550 A.1, A.3, A.8), and round trips. Pure.
 * Packets that come twice are counted apart, so that `lost` is the number of holes. A new SSRC, or a restart of the same, begins a new record; the sums stay. No RTCP is made here.
 */
#include "media/seq.h"

#define MAX_DROPOUT 3000
#define MAX_MISORDER 100
#define ROUND_TRIP_MAX_US 10000000

int64_t media_seq_lost(const struct media_seq *q)
{
	if (!q->received)
		return q->lost_before;
	return q->lost_before + (int64_t)(uint32_t)(q->max - q->base + 1) - (int64_t)q->received;
}

static void seq_begin(struct media_seq *q, uint32_t ssrc, uint16_t seq)
{
	MEDIA_SET(q->lost_before, media_seq_lost(q));
	MEDIA_SET(q->ssrc, ssrc);
	MEDIA_SET(q->base, seq);
	MEDIA_SET(q->max, seq);
	MEDIA_SET(q->received, 1);
	MEDIA_SET(q->window, 1);
	MEDIA_SET(q->bad, MEDIA_SEQ_NO_BAD);
	MEDIA_SET(q->has_transit, 0);
}

/* RFC 3550 A.8. A repeated timestamp (telephone-event, frames of video) says nothing about the path. */
static void jitter_feed(struct media_seq *q, uint32_t ts, uint32_t arrival_ts)
{
	uint32_t transit = arrival_ts - ts, j = q->jitter16;
	int32_t d;

	if (q->has_transit && ts == q->last_ts)
		return;
	if (q->has_transit) {
		d = (int32_t)(transit - q->transit);
		if (d < 0)
			d = -d;
		MEDIA_SET(q->jitter16, j + (uint32_t)d - ((j + 8) >> 4));
	}
	MEDIA_SET(q->transit, transit);
	MEDIA_SET(q->last_ts, ts);
	MEDIA_SET(q->has_transit, 1);
}

static void seq_late(struct media_seq *q, uint32_t behind)
{
	uint64_t bit = behind < 64 ? 1ull << behind : 0;

	if (q->window & bit) {
		MEDIA_ADD(q->duplicated, 1); /* it fills no hole: what is lost stays exact */
		return;
	}
	MEDIA_ADD(q->reordered, 1);
	if (behind > q->max - q->base) { /* of before the first that came */
		if (!bit)
			return; /* ... and of long before */
		MEDIA_SET(q->base, q->max - behind);
	}
	MEDIA_ADD(q->received, 1);
	MEDIA_SET(q->window, q->window | bit);
}

void media_seq_packet(struct media_seq *q, uint32_t ssrc, uint16_t seq, uint32_t ts, uint32_t arrival_ts)
{
	uint16_t delta = (uint16_t)(seq - (uint16_t)q->max);

	if (!q->received || ssrc != q->ssrc) {
		seq_begin(q, ssrc, seq);
	} else if (delta && delta < MAX_DROPOUT) {
		MEDIA_SET(q->max, q->max + delta);
		MEDIA_SET(q->window, delta < 64 ? q->window << delta | 1 : 1);
		MEDIA_ADD(q->received, 1);
	} else if (delta && delta <= 0x10000 - MAX_MISORDER) {
		if (seq != q->bad) { /* a far jump counts once its successor follows (A.1) */
			MEDIA_SET(q->bad, (uint16_t)(seq + 1));
			return;
		}
		seq_begin(q, ssrc, seq);
	} else {
		seq_late(q, (uint16_t)-delta);
		return; /* what overtook it was fed already */
	}
	jitter_feed(q, ts, arrival_ts);
}

int64_t media_round_trip_us(int64_t now_us, int64_t sent_us, uint32_t dlsr)
{
	int64_t rtt = now_us - sent_us - (int64_t)((uint64_t)dlsr * 1000000 >> 16);

	return sent_us && rtt >= 0 && rtt <= ROUND_TRIP_MAX_US ? rtt : ERR_RANGE;
}
