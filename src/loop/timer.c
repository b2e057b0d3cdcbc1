/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers: a binary heap on base_mono_now. Storage of the timers is the callers'.
 */
#include <stdlib.h>

#include "loop/private.h"

#define HEAP_FIRST 256u

static bool before(const struct timer_entry *a, const struct timer_entry *b)
{
	return a->at_us != b->at_us ? a->at_us < b->at_us : a->seq < b->seq;
}

static void place(struct timer_heap *h, size_t i, struct timer_entry e)
{
	h->v[i] = e;
	e.timer->slot = i + 1;
}

static void sift_up(struct timer_heap *h, size_t i, struct timer_entry e)
{
	while (i > 0 && before(&e, &h->v[(i - 1) / 2])) {
		place(h, i, h->v[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	place(h, i, e);
}

static void sift_down(struct timer_heap *h, size_t i, struct timer_entry e)
{
	for (;;) {
		size_t child = 2 * i + 1;

		if (child + 1 < h->n && before(&h->v[child + 1], &h->v[child]))
			child++;
		if (child >= h->n || !before(&h->v[child], &e))
			break;
		place(h, i, h->v[child]);
		i = child;
	}
	place(h, i, e);
}

/* put e where slot i was left empty */
static void settle(struct timer_heap *h, size_t i, struct timer_entry e)
{
	if (i > 0 && before(&e, &h->v[(i - 1) / 2]))
		sift_up(h, i, e);
	else
		sift_down(h, i, e);
}

static void heap_remove(struct timer_heap *h, size_t i)
{
	h->v[i].timer->slot = 0;
	h->n--;
	if (i < h->n)
		settle(h, i, h->v[h->n]);
}

static void heap_room(struct timer_heap *h)
{
	size_t size = h->size ? h->size * 2 : HEAP_FIRST;
	struct timer_entry *v;

	if (h->n < h->size)
		return;
	v = realloc(h->v, size * sizeof(*v));
	/* a call without its timers would live for ever: better end this process, whose calls its successor carries on */
	must(v);
	h->v = v;
	h->size = size;
}

void loop_timer_start(struct loop *l, struct loop_timer *t, int64_t after_ms, void (*cb)(void *arg), void *arg)
{
	struct timer_heap *h = &l->timers;
	struct timer_entry e;
	size_t at;

	must(t->slot == 0 || t->loop == l);
	t->loop = l;
	t->at = mono_add_ms(base_mono_now(), after_ms > 0 ? after_ms : 0);
	t->cb = cb;
	t->arg = arg;
	e = (struct timer_entry){ t->at.us, h->seq++, t };
	if (t->slot) {
		at = t->slot - 1;
		settle(h, at, e);
		return;
	}
	heap_room(h);
	sift_up(h, h->n++, e);
}

void loop_timer_stop(struct loop_timer *t)
{
	if (t->slot)
		heap_remove(&t->loop->timers, t->slot - 1);
}

void loop_timers_fire(struct loop *l)
{
	struct timer_heap *h = &l->timers;
	uint64_t till = h->seq;
	int64_t now_us;

	if (h->n == 0)
		return;
	now_us = base_mono_now().us;
	while (h->n > 0 && h->v[0].at_us <= now_us && h->v[0].seq < till) {
		struct loop_timer *t = h->v[0].timer;

		heap_remove(h, 0);
		t->cb(t->arg);
	}
}

int64_t loop_timers_wait_ms(const struct loop *l)
{
	int64_t us;

	if (l->timers.n == 0)
		return -1;
	us = l->timers.v[0].at_us - base_mono_now().us;
	return us > 0 ? (us + 999) / 1000 : 0;
}

void loop_timers_fini(struct loop *l)
{
	for (size_t i = 0; i < l->timers.n; i++)
		l->timers.v[i].timer->slot = 0;
	free(l->timers.v);
	l->timers = (struct timer_heap){ 0 };
}
