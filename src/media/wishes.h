/* SPDX-License-Identifier: Apache-2.0 */
/*
 * media/wishes: the media process's end of the ring in which the engine writes what it wants. Nobody is woken for a wish: who has a packet in hand
 * looks first, so the packet meets what was wanted before it came; the control thread looks when the engine reminds it, 50 ms later at most.
 */
#ifndef MEDIA_WISHES_H
#define MEDIA_WISHES_H

#include "media/table.h"

struct media_wishes;
/** The ring in the memory, emptied where what was in it is foreign. ERR_TORN where there is none. */
int media_wishes_ring(const struct loop_shm *memory, struct base_ring **ret);
/** The memory and the table are borrowed. ERR_TORN, -ENOMEM. */
int media_wishes_new(const struct loop_shm *memory, struct media_table *table, struct media_wishes **ret);
void media_wishes_free(struct media_wishes *w);
/** Is one waiting? Two loads. Thread: any of the media process. */
bool media_wishes_waiting(const struct media_wishes *w);
/** Apply all that wait, oldest first, each once. Thread: any of the media process. */
void media_wishes_apply(struct media_wishes *w, int64_t now_us);
/** The table is the caller's between these. Thread: control. */
void media_wishes_lock(struct media_wishes *w);
void media_wishes_unlock(struct media_wishes *w);

#endif
