/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of loop/ share: the loop itself and its heap of timers.
 */
#ifndef LOOP_PRIVATE_H
#define LOOP_PRIVATE_H

#include "postern/loop.h"

#define LOOP_HOOKS 8

/* `at` is kept beside the pointer: sifting does not touch the timers */
struct timer_entry {
	int64_t at_us;
	uint64_t seq;
	struct loop_timer *timer;
};

struct timer_heap {
	struct timer_entry *v;
	size_t n, size;
	uint64_t seq; /* of the next start: equal times fire in the order of their starts */
};

struct loop {
	struct su_root_s *root;
	struct timer_heap timers;
	struct list_node fds;
	struct { void (*cb)(void *arg); void *arg; } hook[LOOP_HOOKS];
	unsigned hooks;
	struct mono mark; /* start of the last step that did not wait */
	bool stop;
};

/** Fire what is due; timers started meanwhile wait for the next turn. */
void loop_timers_fire(struct loop *l);
/** Milliseconds until the next timer, rounded up; -1 without one. */
int64_t loop_timers_wait_ms(const struct loop *l);
/** Idle all timers, free the heap. */
void loop_timers_fini(struct loop *l);

/** Let Sofia's clock run on ours. */
void loop_sofia_time_init(void);
/** The next look of Sofia at the clock, in this thread, shows this time. */
void loop_sofia_time_once(struct mono t);

/** loop_dns_new, with another file than the system's resolv.conf, which must outlive it (tests). */
int loop_dns_open(struct loop *l, const char *file, const char *const *servers, size_t n, int timeout_ms, struct loop_dns **ret);

#endif
