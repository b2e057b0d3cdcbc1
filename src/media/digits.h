/* SPDX-License-Identifier: Apache-2.0 */
/*
 * media/digits: telephone-events (RFC 4733) of a flow. Those that are received are told as digits; those that the engine wants are sent to
 * the peer within the stream that is relayed to it: its packets step back while an event is sent, and go on behind it in one sequence.
 */
#ifndef MEDIA_DIGITS_H
#define MEDIA_DIGITS_H

#include "media/slot.h"
#include "postern/wire.h"

#define MEDIA_DIGIT_STEP_US 20000      /* between packets of an event */
#define MEDIA_DIGIT_REPEATS 3          /* of its last packet (RFC 4733 section 2.5.1.4) */
#define MEDIA_DIGIT_LOST_US 200000     /* an event whose end did not come by then is over */
#define MEDIA_DIGIT_GAP_US 40000       /* events of one stream are told at most so often */

struct media_flow;
struct media_relay;
struct media_in;
struct media_out;

struct media_digits {
	struct list_node node;         /* in the relay's list while something is due */
	struct media_flow *flow;
	int64_t due_us;
	/* received */
	bool open;                     /* an event is on that was not told yet */
	uint8_t event;
	bool known;                    /* ts is that of the last event */
	uint32_t from;                 /* their SSRC */
	uint32_t ts, duration, before; /* in its clock; before: segments of a long one */
	uint32_t hz;
	int64_t heard_us, told_us;
	/* sent */
	bool sending, realign;
	uint8_t tx_event, tx_pt, repeats;
	uint32_t tx_hz, tx_ts, tx_total, tx_done, ssrc, end_ts;
	uint16_t seq, shift;           /* last sequence that was sent, and what is added to those that are relayed */
	bool own_seq;                  /* seq counts */
};

/** A telephone-event came. @return it is to be relayed too */
bool media_digits_take(struct media_relay *r, struct media_flow *f, const struct wire_rtp *h, const uint8_t *payload);
/** The want asks for a digit that was not sent yet. */
void media_digits_start(struct media_relay *r, struct media_flow *f, const struct media_want *w);
/** A packet of a stream into which digits were sent: its place in the sequence. False: an event has its place. */
bool media_digits_edit(struct media_flow *f, const struct wire_rtp *h, uint8_t *p);
/** Reports of such a stream: what the sender counts, and what the receiver saw, as the other side knows it. */
void media_digits_report(struct media_flow *f, uint8_t *p, size_t n);
/** Send and tell what is due. @return packets, at most max; they are valid until the next call */
int media_digits_due(struct media_relay *r, struct media_out *out, int max);
/** Until something is due [ms], -1: nothing is on. */
int media_digits_wait_ms(const struct media_relay *r, int64_t now_us);
/** After a start of the process: go on with the sequence that memory knows. */
void media_digits_restore(struct media_relay *r, struct media_flow *f);
/** Let go. NULL inside is legal. */
void media_digits_drop(struct media_flow *f);

#endif
