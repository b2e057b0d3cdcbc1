/* SPDX-License-Identifier: Apache-2.0 */
/* Events of calls on the ring to admin (events.def). One that finds it full is lost and counted: no call waits for a reader. */
#include "call/b2b.h"

void call_event(const struct call_leg *l, enum base_event id, const char *more)
{
	const struct base_event_row *row = base_event_row(id);
	struct base_ring *ring = l->call->eng->p.events;
	char buf[1024];
	struct text t = text_on(buf, sizeof buf);

	if (!ring)
		return;
	text_add(&t, "{\"time_ms\":%lld,\"class\":\"%s\",\"type\":\"%s\",\"call\":\"%s\",\"leg\":\"%s\"", (long long)base_wall_ms(), row->class_name, row->type,
		l->call->id, l == &l->call->leg[1] ? "b" : "a");
	if (more)
		text_add(&t, ",%s", more);
	text_add(&t, "}");
	if (t.cut || base_ring_put(ring, buf, t.n))
		base_count(COUNTER_EVENTS_LOST);
	else
		base_count(COUNTER_EVENTS);
}
