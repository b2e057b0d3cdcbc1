/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Histograms: the table of counters.def. Cells lie behind the counters, in the same block: what falls between two bounds, one for what is above the
 * last, and the sum; so that they outlive a process like these.
 */
#include "postern/base.h"

static const struct base_histogram_row rows[HISTOGRAM_COUNT] = {
#define HISTOGRAM(id, metric, text, ...) [HISTOGRAM_##id] = { metric, text, { __VA_ARGS__ } },
#define COUNTER(...)
#include "postern/counters.def"
#undef COUNTER
};

const struct base_histogram_row *base_histogram_row(enum base_histogram id)
{
	return (unsigned)id < HISTOGRAM_COUNT ? &rows[id] : NULL;
}

void base_observe_ms(enum base_histogram id, int64_t ms)
{
	uint64_t *cell = base_counters + COUNTER_COUNT + id * HISTOGRAM_CELLS;
	const uint32_t *bound = rows[id].bound_ms;
	unsigned i = 0;

	if (ms < 0)
		ms = 0;
	while (i < HISTOGRAM_BOUNDS && bound[i] && ms > bound[i])
		i++;
	__atomic_fetch_add(&cell[i], 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&cell[HISTOGRAM_BOUNDS + 1], (uint64_t)ms, __ATOMIC_RELAXED);
}
