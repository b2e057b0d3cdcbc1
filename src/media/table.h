/* SPDX-License-Identifier: Apache-2.0 */
/* media/table: the control thread's view of the slots: commands are applied here, and silences found. No sockets, no threads. */
#ifndef MEDIA_TABLE_H
#define MEDIA_TABLE_H

#include "media/cmd.h"
#include "media/slot.h"

struct media_table;

/** Take up the slots as memory has them; memory of another layout or size is begun anew. */
int media_table_new(struct media_header *h, struct media_slot *slots, uint32_t nslots, struct media_table **ret);
/** Where keys are kept; without it wishes for SRTP are refused. Borrowed. */
void media_table_keys(struct media_table *t, struct media_slot_keys *keys);
/** Who is told of a want that its worker should look at without a packet: another digit to be sent, a peer of another worker. */
void media_table_on_digit(struct media_table *t, void (*cb)(void *arg, uint32_t slot), void *arg);
void media_table_free(struct media_table *t);
/** Apply the records of one message; what cannot be read ends it. Idempotent. */
void media_table_apply(struct media_table *t, struct slice body, int64_t now_us);
/** Slots that are watched for inactivity now. */
uint32_t media_table_watched(const struct media_table *t);
/**
 * Slots that have been silent for too long and were not told yet: at most max are written.
 * A slot counts as told only after media_table_told.
 */
uint32_t media_table_silent(const struct media_table *t, int64_t now_us, struct media_ref *ret, uint32_t max);
/** Find streams of which one side is silent while the other is heard; each is marked once. @return how many are new, at most max, in ret */
uint32_t media_table_one_way(struct media_table *t, int64_t now_us, struct media_ref *ret, uint32_t max);
void media_table_told(struct media_table *t, struct media_ref r);
/** A new listener: silences that go on are told again. */
void media_table_forget_told(struct media_table *t);

#endif
