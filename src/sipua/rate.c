/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of each source address in the last second and minute, for `src.rate` of policies. Counted only where a rule in force asks. A fixed
 * table of sets of four: who was quiet longest makes room, so that many sources cost no more memory than few.
 */
#include "sipua/police.h"

#define SETS 2048u
#define WAYS 4u

struct window { int64_t at; uint32_t now, before; };   /* at: number of the window */
struct source { union base_addr addr; int64_t seen_ms; struct window second, minute; };

static struct source table[SETS][WAYS];

static struct source *find(const union base_addr *a)
{
	uint32_t h = a->sa.sa_family == AF_INET6 ? base_hash_bytes(&a->in6.sin6_addr, 16, sipua_hash_seed) : base_hash_bytes(&a->in.sin_addr, 4, sipua_hash_seed);
	struct source *set = table[h % SETS], *oldest = set;

	for (unsigned i = 0; i < WAYS; i++) {
		if (set[i].seen_ms && base_addr_same_host(&set[i].addr, a))
			return &set[i];
		if (set[i].seen_ms < oldest->seen_ms)
			oldest = &set[i];
	}
	*oldest = (struct source){ .addr = *a };
	return oldest;
}

static void turn(struct window *w, int64_t at)
{
	if (w->at == at)
		return;
	w->before = w->at + 1 == at ? w->now : 0;
	w->now = 0;
	w->at = at;
}

void sipua_rate_count(const union base_addr *a)
{
	int64_t ms = base_mono_now().us / 1000;
	struct source *s = find(a);

	s->seen_ms = ms ? ms : 1;
	turn(&s->second, ms / 1000);
	turn(&s->minute, ms / 60000);
	s->second.now++;
	s->minute.now++;
}

/* the window that slides: what of the last one still lies in it is taken as evenly spread */
static uint64_t slide(struct window *w, int64_t ms, int64_t length_ms)
{
	turn(w, ms / length_ms);
	return w->now + (uint64_t)w->before * (uint64_t)(length_ms - ms % length_ms) / (uint64_t)length_ms;
}

uint64_t sipua_rate_get(const union base_addr *a, unsigned window_s)
{
	int64_t ms = base_mono_now().us / 1000;
	struct source *s = find(a);

	return window_s == 1 ? slide(&s->second, ms, 1000) : slide(&s->minute, ms, 60000);
}
