/* SPDX-License-Identifier: Apache-2.0 */
/*
 * media/slot: the `streams` memory: one header and one slot per port pair. What the engine wants of a slot is written by the control
 * thread of the media process, what happens on it by the worker that owns it; others read. A want stands in two buffers of which
 * the version's lowest bit names the valid one, so that a kill at any instant leaves the old or the new want, whole.
 */
#ifndef MEDIA_SLOT_H
#define MEDIA_SLOT_H

#include "postern/keys.h"
#include "postern/media.h"

#define MEDIA_MAGIC 0x504d4434u   /* layout of header and slots: raise it with every change */

/* Fields with one writer and readers in other threads or processes. */
#define MEDIA_GET(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define MEDIA_SET(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELAXED)
#define MEDIA_ADD(x, v) MEDIA_SET(x, MEDIA_GET(x) + (v))

struct media_header {
	uint32_t magic, nslots, workers, starts;
	uint64_t applied;              /* sequence of the last command that was applied */
	uint32_t shared, pad;          /* the process that began last has shared sockets */
};

struct media_slot_want {               /* multiple of 8 bytes: copied by words */
	uint32_t gen;
	uint32_t open;
	int64_t since_us;              /* when the last want that changed it was applied */
	struct media_want want;
	uint32_t epoch, pad;           /* rises where the rollover counters of what is received begin anew */
};
_Static_assert(sizeof(struct media_slot_want) % 8 == 0, "copied by words");

enum media_latch_state { MEDIA_LATCH_NONE, MEDIA_LATCH_MOVED, MEDIA_LATCH_SIGNALLED, MEDIA_LATCH_LEARNED, MEDIA_LATCH_STATES };

/* Addresses of a slot, read by others as a group. */
struct media_slot_addrs {
	uint32_t state;                /* enum media_latch_state */
	union base_addr signalled;     /* that the latch was made for */
	union base_addr source;        /* latched */
	union base_addr rtcp_source;   /* learned RTCP source, or family 0 */
	union base_addr to[2];         /* where RTP and RTCP are sent to */
};
_Static_assert(sizeof(struct media_slot_addrs) % 8 == 0, "copied by words");

/* Reception record of one SSRC (RFC 3550 A.1, A.3, A.8), with the sums of those before it. */
struct media_seq {
	uint32_t ssrc;
	uint32_t max;                  /* cycles << 16 | highest sequence */
	uint32_t base;
	uint32_t bad;                  /* next sequence that proves a restart, or MEDIA_SEQ_NO_BAD */
	uint64_t received;             /* of this SSRC, none twice; 0: no record yet */
	uint64_t window;               /* bit n: max - n was seen */
	int64_t lost_before;           /* of the SSRCs before */
	uint64_t duplicated, reordered;
	uint32_t jitter16;             /* RFC 3550 A.8, scaled by 16 */
	uint32_t transit;
	uint32_t last_ts;
	uint32_t has_transit;
};
#define MEDIA_SEQ_NO_BAD 0x10000u

/* SRTP indices of one direction of a slot: of what is received by its owner, of what is sent by the owner of its peer */
struct media_slot_srtp {
	uint32_t gen, epoch;           /* that they belong to; gen 0: being made anew */
	struct keys_srtp_state state;
};

/* The `keys` memory: two buffers per slot, the lowest bit of the slot's version names the valid one. */
struct media_slot_key {
	uint32_t serial;               /* rises with each new key; 0: never had one */
	uint8_t suite, pad;
	struct media_key key;
};
struct media_slot_keys { struct media_slot_key dir[2][2]; }; /* [buffer][received, sent] */

struct media_slot {
	/* written by the control thread */
	uint32_t version;
	uint32_t one_way_gen;          /* generation that was found to hear nothing while its peer was heard */
	/* written by the worker */
	uint32_t gen;                  /* generation that all below belongs to */
	int64_t last_rtp_us, last_rtcp_us; /* monotonic; 0: never */
	uint64_t rx_packets, rx_bytes;
	struct media_seq seq;
	uint64_t rtcp_rx, dropped_source, dropped_format, dropped_direction, dropped_rate, dropped_auth;
	/* telephone-events that were sent into what is relayed from here: the last one begun, and how they moved the sequence */
	uint32_t digit_done, edit_ssrc, edit_shift, edit_packets;
	uint32_t round_trip_us, addrs_lock;
	struct media_slot_addrs addrs;
	struct media_slot_srtp srtp_rx;
	/* written by the worker that owns the peer */
	uint64_t tx_packets __attribute__((aligned(64)));
	uint64_t tx_bytes, rtcp_tx;
	struct media_slot_srtp srtp_tx;
	/* written by the control thread */
	struct media_slot_want want[2] __attribute__((aligned(64)));
} __attribute__((aligned(64)));
_Static_assert(offsetof(struct media_slot, addrs) % 8 == 0 && offsetof(struct media_slot, round_trip_us) % 8 == 0, "copied by words");

/** Copy by 8-byte words, loads (stores) ordered: the data of a seqlock. n is a multiple of 8. */
void media_words_load(void *to, const void *from, size_t n);
void media_words_store(void *to, const void *from, size_t n);

/** Publish a want: the buffer that is not valid now, then the version. Thread: control. */
void media_slot_put(struct media_slot *s, const struct media_slot_want *w);
/** Key of one direction as it goes with the want of that version; false: it is no more valid. Thread: any of the media process. */
bool media_slot_key_take(const struct media_slot *s, const struct media_slot_keys *k, uint32_t version, int dir, struct media_slot_key *ret);
/** A whole want and its version. Thread: any. */
uint32_t media_slot_take(const struct media_slot *s, struct media_slot_want *ret);
/** Begin anew for a generation. Thread: the owning worker. */
void media_slot_reset(struct media_slot *s, uint32_t gen);
/** Publish addresses. Thread: the owning worker. */
void media_slot_aim(struct media_slot *s, const struct media_slot_addrs *a);
/** A whole group of addresses; false where they are not this generation's. Thread: any. */
bool media_slot_addrs_get(const struct media_slot *s, uint32_t gen, struct media_slot_addrs *ret);

/** Header and slots of the memory; ERR_TORN where the regions are missing or too small for n slots. */
int media_slots_find(const struct loop_shm *streams, struct media_header **ret_header, struct media_slot **ret_slots, uint32_t *ret_n);

/** Can media be sent there: an address and port, not any, multicast or broadcast? */
bool media_addr_usable(const union base_addr *a);

/** Same address and port; both of one family. Inlined: it is asked per packet. */
static inline bool media_addr_same(const union base_addr *a, const union base_addr *b)
{
	uint64_t x, y;

	if (a->sa.sa_family == AF_INET) {
		memcpy(&x, a, 8); /* family, port, address */
		memcpy(&y, b, 8);
		return x == y;
	}
	return a->sa.sa_family == b->sa.sa_family && a->in6.sin6_port == b->in6.sin6_port && !memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, 16);
}

#endif
