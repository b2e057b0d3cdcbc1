/* SPDX-License-Identifier: Apache-2.0 */
/* media/worker: a thread that relays the packets of its slots, and when its wake-ups are gathered. */
#ifndef MEDIA_WORKER_H
#define MEDIA_WORKER_H

#include "media/io.h"
#include "media/wishes.h"

/* Gathering: sleep a little before each wait, while wake-ups are what costs. Pure. */
#define MEDIA_GATHER_US 250
struct media_gather {
	bool allowed, on;
	int64_t since_us;              /* begin of this look */
	uint32_t packets, wakeups;     /* of this look */
};
/**
 * A batch was done.
 * @return sleep before the next wait?
 */
bool media_gather_next(struct media_gather *g, int64_t now_us, unsigned packets, bool full);

struct media_worker;
struct media_worker_params {
	unsigned index, workers;
	struct media_flow *flows;
	struct media_slot *slots;
	const struct media_map_entry *map;
	uint32_t nslots;
	const int *fds;
	uint32_t shared_hosts;         /* as in media_proc_params */
	const struct media_own *own;
	const struct media_slot_keys *keys; /* NULL: none */
	struct media_wishes *wishes;
	bool gather;
	/** Digits were heard: media_worker_heard has them. Thread: the worker. */
	void (*heard)(void *arg);
	void *arg;
};
/** Make it and start its thread; open slots are listened to first. */
int media_worker_start(const struct media_worker_params *p, struct media_worker **ret);
/** Look at that slot's want now: there may be no packet that makes it do so. Lost where too many wait. Thread: any. */
void media_worker_poke(struct media_worker *w, uint32_t slot);
/** Take digits that were heard. @return how many, at most max. Thread: any */
unsigned media_worker_heard(struct media_worker *w, struct media_heard *ret, unsigned max);
/** Stop and free; the memory stays as it is. NULL is legal. */
void media_worker_stop(struct media_worker *w);

#endif
