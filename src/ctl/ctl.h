/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl, private: small JSON helpers and the samples behind /stats and /metrics.
 */
#ifndef CTL_CTL_H
#define CTL_CTL_H

#include <jansson.h>

#include "postern/ctl.h"
#include "postern/loop.h"

/** Text from the network as a JSON string: what is not UTF-8 becomes U+FFFD. New reference. */
json_t *ctl_text(struct slice s);
/** RFC 3339 time, null for 0. */
json_t *ctl_time(int64_t wall_ms);
/** A region of a map; NULL where map or region is not there. */
const void *ctl_region(const struct loop_shm *m, uint32_t id, size_t *ret_bytes);
/** `{items, next}`; steals items; next is null where there is none. */
json_t *ctl_page(json_t *items, const char *next);

struct call_record;
/** The record of a live call: its texts are in the malloc'd memory that is returned; NULL: there is no such call. */
uint8_t *ctl_call_read(const struct ctl_maps *m, const char *id, struct call_record *ret);

struct slice ctl_bounded(const char *s, size_t size);

/* calls by state, for the gauges */
struct ctl_census { uint64_t state[8], streams, slots; };
void ctl_census(const struct ctl_maps *m, struct ctl_census *ret);

/* one walk over every family and sample feeds each output */
enum ctl_type { CTL_COUNTER, CTL_GAUGE, CTL_HISTOGRAM };
struct ctl_sink {
	void (*family)(struct ctl_sink *s, const char *name, enum ctl_type type, const char *help);
	/** labels: `a="b",c="d"`, escaped as Prometheus wants, or "". */
	void (*sample)(struct ctl_sink *s, const char *name, const char *labels, double value);
};
void ctl_samples(const struct ctl_maps *m, struct ctl_sink *sink);
/** histograms.c: those of base, as samples. */
void ctl_histograms(const struct ctl_maps *m, struct ctl_sink *sink);
/** A cell of the blocks that processes count into: the sum of all of them. */
uint64_t ctl_cell(const struct ctl_maps *m, size_t i);

#endif
