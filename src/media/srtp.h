/* SPDX-License-Identifier: Apache-2.0 */
/*
 * media/srtp: the SRTP sessions of a flow: of what its slot receives, and of what leaves through its peer's slot, which the same worker
 * sends. Sessions are made at the first packet that needs them; all that must outlive the process stands in the slots.
 */
#ifndef MEDIA_SRTP_H
#define MEDIA_SRTP_H

#include "media/slot.h"

#define MEDIA_REKEY_US 2000000         /* the former key is accepted at most so long beside the new one */
#define MEDIA_GUARD_PPS 1000           /* packets/s of sources that are not the stream's own that are tried */
#define MEDIA_GUARD_NEW 8              /* an SSRC not heard before counts as so many: its keys have to be derived */

struct media_flow;
struct media_relay;

struct media_srtp {
	struct list_node node;         /* in the relay's list of flows with sessions */
	struct media_flow *flow;
	struct keys_srtp *rx, *old, *tx;
	uint32_t rx_serial, tx_serial; /* of the keys that they have */
	int64_t old_until_us;
	uint32_t tx_gen;               /* generation of the peer's slot that tx was made for */
	int64_t guard_tokens, guard_us; /* millionths of a packet */
};

/** The want of the flow was loaded: note what it says of SRTP; sessions that serve on stay. */
void media_srtp_load(struct media_relay *r, struct media_flow *f, const struct media_slot_want *w, uint32_t version);
/** The peer's want was loaded, or is another. */
void media_srtp_load_out(struct media_relay *r, struct media_flow *f, const struct media_slot_want *w, uint32_t version);
/** Let go of the sessions. NULL inside is legal. */
void media_srtp_drop(struct media_flow *f);
/**
 * Open a packet in place.
 * @param trusted   [in] it comes from the stream's own source: no guard
 * @param ret_newer [out] it is ahead of all before
 * @return it is authentic and was not seen before
 */
bool media_srtp_open(struct media_relay *r, struct media_flow *f, uint8_t *p, uint32_t *n, bool rtcp, bool trusted, bool *ret_newer);
/** Close a packet in place for the peer's slot; MEDIA_PACKET_ROOM follows it. False: it must not be sent. */
bool media_srtp_seal(struct media_relay *r, struct media_flow *f, uint8_t *p, uint32_t *n, bool rtcp);

#endif
