/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Histograms of times as samples: what fell up to each bound, all, and the sum, in seconds, as Prometheus wants them.
 */
#include "ctl/ctl.h"

static void one(const struct ctl_maps *m, struct ctl_sink *sink, enum base_histogram id)
{
	const struct base_histogram_row *row = base_histogram_row(id);
	size_t at = COUNTER_COUNT + (size_t)id * HISTOGRAM_CELLS;
	uint64_t n = 0;
	char name[96], le[40];
	struct text t = text_on(name, sizeof name);
	unsigned i;

	sink->family(sink, row->name, CTL_HISTOGRAM, row->help);
	text_add(&t, "%s_bucket", row->name);
	for (i = 0; i < HISTOGRAM_BOUNDS && row->bound_ms[i]; i++) {
		n += ctl_cell(m, at + i);
		t = text_on(le, sizeof le);
		text_add(&t, "le=\"%g\"", row->bound_ms[i] / 1000.0);
		sink->sample(sink, name, le, (double)n);
	}
	n += ctl_cell(m, at + i);
	sink->sample(sink, name, "le=\"+Inf\"", (double)n);
	t = text_on(name, sizeof name);
	text_add(&t, "%s_sum", row->name);
	sink->sample(sink, name, "", (double)ctl_cell(m, at + HISTOGRAM_BOUNDS + 1) / 1000.0);
	t = text_on(name, sizeof name);
	text_add(&t, "%s_count", row->name);
	sink->sample(sink, name, "", (double)n);
}

void ctl_histograms(const struct ctl_maps *m, struct ctl_sink *sink)
{
	for (unsigned i = 0; i < HISTOGRAM_COUNT; i++)
		one(m, sink, (enum base_histogram)i);
}
