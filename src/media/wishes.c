/* SPDX-License-Identifier: Apache-2.0 */
/*
 * media/wishes: one consumer of the ring at a time, whichever thread it is. A process that dies between applying and consuming leaves the record to its
 * successor, for which it changes nothing (each wish tells the whole of its slot).
 */
#include "media/wishes.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "postern/loop.h"

struct media_wishes {
	struct base_ring *ring;
	struct media_table *table;
	pthread_mutex_t lock;
};

int media_wishes_ring(const struct loop_shm *memory, struct base_ring **ret)
{
	size_t n = 0;
	void *p = loop_shm_region(memory, REGION_RING, &n);
	int err = p ? base_ring_open(p, n, ret) : ERR_TORN;

	if (p && err == ERR_TORN) {
		base_log(BASE_WARN, "media", "the ring of wishes was damaged and is empty now"); /* those that count come again */
		err = 0;
	}
	return err;
}

int media_wishes_new(const struct loop_shm *memory, struct media_table *table, struct media_wishes **ret)
{
	struct media_wishes *w = base_alloc(sizeof(*w));
	int err;

	if (!w)
		return -ENOMEM;
	err = media_wishes_ring(memory, &w->ring);
	if (err) {
		free(w);
		return err;
	}
	w->table = table;
	pthread_mutex_init(&w->lock, NULL);
	*ret = w;
	return 0;
}

void media_wishes_free(struct media_wishes *w)
{
	if (!w)
		return;
	pthread_mutex_destroy(&w->lock);
	base_ring_close(w->ring);
	free(w);
}

bool media_wishes_waiting(const struct media_wishes *w)
{
	return base_ring_ready(w->ring);
}

void media_wishes_apply(struct media_wishes *w, int64_t now_us)
{
	struct slice s;
	uint64_t pos;

	pthread_mutex_lock(&w->lock);
	pos = base_ring_pos(w->ring);
	while (base_ring_peek(w->ring, &pos, &s)) {
		media_table_apply(w->table, s, now_us);
		base_ring_wipe(w->ring, s); /* there are keys in it */
		base_ring_consume(w->ring, pos);
	}
	base_ring_consume(w->ring, pos); /* past foreign bytes, where there were any */
	pthread_mutex_unlock(&w->lock);
}

void media_wishes_lock(struct media_wishes *w)
{
	pthread_mutex_lock(&w->lock);
}

void media_wishes_unlock(struct media_wishes *w)
{
	pthread_mutex_unlock(&w->lock);
}
