/* SPDX-License-Identifier: Apache-2.0 */
/*
 * media/relay: what is done with one packet. Works on slots and flows; knows no sockets. A flow is the working copy of a slot that the
 * owning worker keeps; slots belong to workers by index modulo workers.
 */
#ifndef MEDIA_RELAY_H
#define MEDIA_RELAY_H

#include "media/digits.h"
#include "media/latch.h"
#include "media/slot.h"
#include "media/srtp.h"

struct media_own;                      /* set of our own ports */
int media_own_new(const struct media_map_entry *map, uint32_t nmap, struct media_own **ret);
void media_own_free(struct media_own *o);
/** Is it one of our RTP or RTCP ports? Thread: any. */
bool media_own_has(const struct media_own *o, const union base_addr *a);

struct media_flow {                    /* what each packet needs comes first */
	struct media_slot *s;
	uint32_t seen;                 /* version of the want that is loaded; 0: none yet */
	uint32_t gen;
	bool open, any_pt, rtcp_learned, rx_secure, tx_secure, renumber;
	bool edited;                   /* digits were sent into what it relays */
	uint32_t events;               /* bit n: payload type 96 + n is telephone-event */
	uint32_t flags;
	struct media_ref peer_ref;
	struct media_flow *peer;       /* NULL: none, or with another worker */
	uint32_t out_version;          /* of the peer's want that tx_secure was taken from; 0: none */
	uint32_t clock_hz, rate_pps;
	int64_t tokens;                /* millionths of a packet */
	union base_addr to[2];         /* where RTP and RTCP go; family 0: nowhere */
	int64_t bucket_us;
	uint64_t pts[2];
	uint32_t slot;
	uint32_t sr_ntp;               /* middle bits of the last SR that was passed to this side, and when */
	int64_t sr_us;
	int64_t rtcp_source_us;
	union base_addr remote_rtcp, rtcp_source;
	struct media_srtp *srtp;       /* sessions; NULL: none yet */
	struct media_digits *digits;   /* NULL: none yet */
	uint32_t rx_version, rx_loaded, out_loaded; /* wants whose keys are due, and that the sessions have */
	uint8_t pt_out[128];           /* payload types as the peer's side knows them, where `renumber` */
	struct media_latch latch;      /* its candidates come last */
} __attribute__((aligned(64)));

struct media_in { uint32_t slot; bool rtcp, made /* here: as the peer is to have it */; uint32_t n; uint8_t *p; union base_addr from; };
struct media_out { uint32_t slot; bool rtcp; uint32_t n; const uint8_t *p; const union base_addr *to; };

#define MEDIA_BATCH 64

/* A digit that was received. */
struct media_heard { struct media_ref ref; uint8_t event; uint16_t ms; };

struct media_relay {                   /* of one worker */
	struct media_flow *flows;      /* of all slots; those of other workers are never touched */
	struct media_slot *slots;
	const struct media_map_entry *map;
	uint32_t nslots;
	unsigned index, workers;
	/** A slot's RTP and RTCP are expected from there now (family 0: from nobody). */
	void (*expect)(void *arg, uint32_t slot, const union base_addr from[static 2]);
	void *expect_arg;
	const struct media_own *own;
	const struct media_slot_keys *keys; /* NULL: plain RTP alone */
	struct list_node secure;       /* flows with sessions */
	int64_t swept_us;
	int64_t now_us;                /* of this batch */
	uint64_t forwarded, idle, foul, latched, unsealed;
	struct list_node digits;       /* flows whose telephone-events have something due */
	struct media_heard heard[2 * MEDIA_BATCH];
	unsigned nheard;               /* its reader empties it */
	uint8_t made[MEDIA_BATCH][64] __attribute__((aligned(8))); /* packets of our own, with room for a trailer */
	union base_addr spare[MEDIA_BATCH]; /* destinations of slots of other workers, of this batch */
	unsigned nspare;
};

/** Storage of a worker's relay; `flows` is shared by all workers, zeroed, of nslots. */
void media_relay_init(struct media_relay *r);
/**
 * One datagram that came for a slot.
 * @param out [out] what to send, where true is returned; points into `in` and the relay, valid for this batch
 * Thread: the slot's worker. Blocks: never. Cost: constant
 */
bool media_relay_packet(struct media_relay *r, const struct media_in *in, struct media_out *out);
/** Load the slot's want now, without a packet of it. Thread: the slot's worker. */
void media_relay_touch(struct media_relay *r, uint32_t slot);
/** A packet of this flow that may pass goes to its peer: as media_relay_packet. Thread: the slot's worker. */
bool media_relay_pass(struct media_relay *r, struct media_flow *f, const struct media_in *in, struct media_out *out);
/** Before a batch: its time, and the room for its addresses. */
static inline void media_relay_batch(struct media_relay *r, int64_t now_us) { r->now_us = now_us; r->nspare = 0; }
/** Now and then: let go of the sessions of slots that were closed and get no packet any more. */
void media_relay_sweep(struct media_relay *r);
/** Let go of all sessions. */
void media_relay_fini(struct media_relay *r);
/** Is the slot open by memory? Thread: any. */
bool media_relay_is_open(const struct media_slot *s);

#endif
