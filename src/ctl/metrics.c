/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The samples as Prometheus text (exposition format 0.0.4).
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctl/ctl.h"

struct metrics {
	struct ctl_sink sink;
	FILE *out;
};

static void metrics_family(struct ctl_sink *s, const char *name, enum ctl_type type, const char *help)
{
	struct metrics *m = container_of(s, struct metrics, sink);

	fprintf(m->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type == CTL_COUNTER ? "counter" : type == CTL_HISTOGRAM ? "histogram" : "gauge");
}

static void metrics_sample(struct ctl_sink *s, const char *name, const char *labels, double v)
{
	struct metrics *m = container_of(s, struct metrics, sink);

	fprintf(m->out, *labels ? "%s{%s} " : "%s%s ", name, labels);
	fprintf(m->out, v == (double)(int64_t)v ? "%.0f\n" : "%.6f\n", v);
}

char *ctl_render_metrics(const struct ctl_maps *maps)
{
	struct metrics m = { .sink = { metrics_family, metrics_sample } };
	char *text = NULL;
	size_t n = 0;

	m.out = open_memstream(&text, &n);
	if (!m.out)
		return NULL;
	ctl_samples(maps, &m.sink);
	if (fclose(m.out)) {
		free(text);
		return NULL;
	}
	return text;
}
