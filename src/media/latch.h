/* SPDX-License-Identifier: Apache-2.0 */
/* media/latch: which source owns a stream. Pure: state, packet and time in, verdict out. */
#ifndef MEDIA_LATCH_H
#define MEDIA_LATCH_H

#include "media/slot.h"

#define MEDIA_LATCH_PACKETS 3              /* consistent packets of an unsignalled source */
#define MEDIA_LATCH_CANDIDATES 24          /* unsignalled sources that are watched at once */
#define MEDIA_LATCH_SILENCE_US 2000000     /* before another source may take over */
#define MEDIA_LATCH_MOVED_SILENCE_US 200000 /* the same, shortly after a signalled change */
#define MEDIA_LATCH_PRIORITY_US 5000000    /* of a newly signalled address */
#define MEDIA_LATCH_RTCP_SILENCE_US 15000000

struct media_candidate {
	uint64_t key;                  /* of its address and port */
	uint32_t ssrc;
	uint16_t seq, count;
};

struct media_latch {
	enum media_latch_state state;
	bool strict;
	union base_addr signalled;     /* family 0: not known yet */
	union base_addr source;        /* of the states MOVED and above */
	int64_t last_us;               /* last packet of the source */
	int64_t moved_us;              /* when the signalled address changed last */
	/* sources that may become ours, the latest first: so many that a sprayer does not push out a phone between two of its packets */
	unsigned ncandidates;
	struct media_candidate candidate[MEDIA_LATCH_CANDIDATES];
};

/* What of a packet matters. `raw` has no sequence: any packet is consistent with its predecessor. */
struct media_probe { uint32_t ssrc; uint16_t seq; bool raw; bool proven; /* authentic, and ahead of all before */ };

enum media_verdict { MEDIA_REFUSE, MEDIA_ACCEPT, MEDIA_MOVED /* accepted, and the latch is new: aim anew */ };

/**
 * A plausible packet came from `from`.
 * @param own   [in] is that address one of our own ports? Asked before an unsignalled source is latched
 */
enum media_verdict media_latch_packet(struct media_latch *l, const union base_addr *from, struct media_probe pkt, int64_t now_us,
	bool (*own)(const void *arg, const union base_addr *a), const void *arg);

/** Signalling says (again): a change gives the new address priority; the former source is heard until somebody takes the latch. */
void media_latch_signal(struct media_latch *l, const union base_addr *remote, bool strict, int64_t now_us);

/** Where packets go to: the latched source, else the signalled address. family 0: nowhere. Borrowed. */
const union base_addr *media_latch_target(const struct media_latch *l);

/** Taken without a question: the latched source of a settled latch. Asked per packet. */
static inline bool media_latch_settled(const struct media_latch *l, const union base_addr *from)
{
	return l->state >= MEDIA_LATCH_SIGNALLED && media_addr_same(&l->source, from);
}

#endif
