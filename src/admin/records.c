/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CDRs from the ring into the database: looked for every DRAIN_MS, one transaction a batch, consumed after its commit (docs/design/0001-house.md).
 * Where the database fails they stay in the ring and are tried again. Events are drained beside them and logged.
 */
#include "admin/admin.h"
#include "postern/store.h"

#define DRAIN_MS 200
#define BATCH    1024
#define BATCHES  8      /* of one go: bounds how long requests wait */

/** True where there may be more. */
static bool batch(struct admin *a)
{
	struct slice json[BATCH];
	uint64_t from = base_ring_pos(a->p.records), pos = from;
	size_t n = 0;
	int err;

	while (n < BATCH && base_ring_peek(a->p.records, &pos, &json[n]))
		n++;
	if (n) {
		err = store_cdrs_add(a->p.store, json, n);
		if (err) {
			base_count(COUNTER_STORE_FAILED);
			base_log_limited(BASE_ERROR, 1, "admin", "CDRs cannot be stored, they wait in memory error=\"%s\"", base_strerror(err));
			return false;
		}
		base_count_n(COUNTER_CDR_STORED, n);
	}
	if (pos != from)
		base_ring_consume(a->p.records, pos);
	return n == BATCH;
}

void admin_records_drain(struct admin *a)
{
	int n = 0;

	if (!a->p.records || !a->p.store)
		return;
	while (n++ < BATCHES && batch(a))
		;
}

static void events_drain(struct admin *a)
{
	struct slice json;
	uint64_t pos;

	if (!a->p.events)
		return;
	pos = base_ring_pos(a->p.events);
	for (int n = 0; n < BATCH && base_ring_peek(a->p.events, &pos, &json); n++)
		base_log(BASE_INFO, "event", "%.*s", (int)json.n, json.p);
	base_ring_consume(a->p.events, pos);
}

static void tick(void *arg)
{
	struct admin *a = arg;

	if (a->p.records)
		base_gauge(COUNTER_CDR_WAIT, base_ring_used(a->p.records));
	base_gauge(COUNTER_API_WRITES_WAIT, a->change.nqueue);
	admin_records_drain(a);
	events_drain(a);
	loop_timer_start(a->p.loop, &a->drain, DRAIN_MS, tick, a);
}

void admin_records_start(struct admin *a)
{
	tick(a);
}
