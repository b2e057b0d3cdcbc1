/* SPDX-License-Identifier: Apache-2.0 */
/* Events of calls on the ring to admin (events.def). One that finds it full is lost and counted: no call waits for a reader. */
#include "call/b2b.h"

#define TAGS_ROOM 2560             /* 32 names of 63 letters */

/** Tags that policies gave the call, where it has any. */
static void add_tags(struct text *t, const struct call *c)
{
	struct sipua_note n;
	bool any = false;

	for (unsigned i = 0; sipua_notes_get(c->notes, i, &n); i++) {
		if (n.kind != SIPUA_NOTE_TAG)
			continue;
		text_add(t, "%s\"%.*s\"", any ? "," : ",\"tags\":[", (int)n.name.n, n.name.p); /* a-z, 0-9 and - alone */
		any = true;
	}
	if (any)
		text_add(t, "]");
}

void call_event(const struct call_leg *l, enum base_event id, const char *more)
{
	const struct base_event_row *row = base_event_row(id);
	struct base_ring *ring = l->call->eng->p.events;
	char buf[1024 + TAGS_ROOM];
	struct text t = text_on(buf, sizeof buf);

	if (!ring)
		return;
	text_add(&t, "{\"time_ms\":%lld,\"class\":\"%s\",\"type\":\"%s\",\"call\":\"%s\",\"leg\":\"%s\"", (long long)base_wall_ms(), row->class_name, row->type,
		l->call->id, l == &l->call->leg[1] ? "b" : "a");
	if (more)
		text_add(&t, ",%s", more);
	add_tags(&t, l->call);
	text_add(&t, "}");
	if (t.cut || base_ring_put(ring, buf, t.n))
		base_count(COUNTER_EVENTS_LOST);
	else
		base_count(COUNTER_EVENTS);
}
