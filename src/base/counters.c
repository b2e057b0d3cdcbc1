/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters: the table of counters.def and the block that a process counts into.
 */
#include "postern/base.h"

static const struct base_counter_row rows[COUNTER_COUNT] = {
#define COUNTER(id, metric, label, text) [COUNTER_##id] = { metric, label, text },
#include "postern/counters.def"
#undef COUNTER
};

static uint64_t own[COUNTER_CELLS];
uint64_t *base_counters = own;

const struct base_counter_row *base_counter_row(enum base_counter id)
{
	return (unsigned)id < COUNTER_COUNT ? &rows[id] : NULL;
}

void base_counters_bind(uint64_t *block)
{
	base_counters = block ? block : own;
	if (!block)
		return;
	/* what was counted before the state memory was there */
	for (unsigned i = 0; i < COUNTER_CELLS; i++) {
		uint64_t n = __atomic_exchange_n(&own[i], 0, __ATOMIC_RELAXED);

		if (n)
			base_count_n((enum base_counter)i, n);
	}
}
