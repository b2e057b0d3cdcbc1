/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trunks and their targets as JSON, from the live figures in the engine's memory.
 * They change while they are read: texts are bounded by their fields, numbers are of different instants.
 */
#include <stdio.h>

#include "ctl/ctl.h"
#include "postern/peer.h"

static const char *const transports[] = { "udp", "tcp", "tls" };

const struct peer_live *ctl_live(const struct ctl_maps *m, uint32_t *ret_n)
{
	size_t bytes = 0, room;
	const struct peer_live *live = ctl_region(m->calls, REGION_TARGETS, &bytes);

	if (!live || bytes < sizeof *live)
		return NULL;
	room = (bytes - sizeof *live) / sizeof live->trunk[0];
	*ret_n = live->n < room ? live->n : (uint32_t)room;
	return live;
}

static json_t *target_json(const struct peer_live_target *t, bool drained)
{
	const char *why = drained && t->state == PEER_DRAINING && !t->vanished ? "drained" : NULL; /* what it was before is kept beneath */
	json_t *j = json_pack("{s:o, s:o, s:i, s:s, s:i, s:i, s:s, s:o, s:o, s:I}",
		"uri", ctl_text(ctl_bounded(t->uri, sizeof t->uri)), "address", ctl_text(ctl_bounded(t->address, sizeof t->address)), "port", (int)t->port,
		"transport", t->transport < ARRAY_LEN(transports) ? transports[t->transport] : "?", "priority", (int)t->priority, "weight", (int)t->weight,
		"state", peer_state_name(t->state), "reason", why ? json_string(why) : ctl_text(ctl_bounded(t->reason, sizeof t->reason)), "since", ctl_time(t->since_ms), "calls", (json_int_t)t->calls);

	json_object_set_new(j, "cps", json_integer(peer_rate(&t->rate)));
	json_object_set_new(j, "source", json_string(t->dns ? "dns" : "static"));
	json_object_set_new(j, "ttl", t->dns ? json_integer(t->ttl) : json_null());
	json_object_set_new(j, "last_probe", ctl_time(t->probe_ms));
	json_object_set_new(j, "rtt_ms", t->rtt_us ? json_real(t->rtt_us / 1000.0) : json_null());
	json_object_set_new(j, "flaps", json_integer(t->flaps));
	return j;
}

/** A trunk is as good as its best target; without one it is down. */
static enum peer_state trunk_state(const struct peer_live_trunk *t, uint32_t n)
{
	static const uint8_t worse[] = { [PEER_UP] = 0, [PEER_SUSPECT] = 1, [PEER_RESTING] = 2, [PEER_DRAINING] = 3, [PEER_DOWN] = 4 };
	enum peer_state best = PEER_DOWN;

	for (uint32_t i = 0; i < n; i++) {
		unsigned state = t->target[i].state;

		if (state < ARRAY_LEN(worse) && worse[state] < worse[best])
			best = (enum peer_state)state;
	}
	return best;
}

static json_t *trunk_json(const struct peer_live_trunk *t)
{
	uint32_t n = t->ntargets < PEER_TARGETS ? t->ntargets : PEER_TARGETS;
	json_t *targets = json_array();

	for (uint32_t i = 0; i < n; i++)
		json_array_append_new(targets, target_json(&t->target[i], t->drained));
	return json_pack("{s:o, s:s, s:b, s:I, s:I, s:I, s:I, s:o}", "id", ctl_text(ctl_bounded(t->id, sizeof t->id)), "state", peer_state_name(t->drained ? PEER_DRAINING : trunk_state(t, n)), "drained", t->drained,
		"calls", (json_int_t)t->calls_in + t->calls_out, "calls_in", (json_int_t)t->calls_in, "calls_out", (json_int_t)t->calls_out, "cps", (json_int_t)peer_rate(&t->rate), "targets", targets);
}

json_t *ctl_render_trunks(const struct ctl_maps *m, const char *after, unsigned limit)
{
	const struct peer_live *live;
	uint64_t from = 0;
	char next[16];
	uint32_t n = 0, i;
	json_t *items;

	if (after && slice_u64(slice_str(after), UINT32_MAX, &from))
		return NULL;
	live = ctl_live(m, &n);
	items = json_array();
	for (i = after ? (uint32_t)from + 1 : 0; live && i < n && json_array_size(items) < limit; i++)
		json_array_append_new(items, trunk_json(&live->trunk[i]));
	snprintf(next, sizeof next, "%u", i - 1);
	return ctl_page(items, live && i < n ? next : NULL);
}

json_t *ctl_render_trunk(const struct ctl_maps *m, const char *id)
{
	const struct peer_live *live;
	uint32_t n = 0;

	live = ctl_live(m, &n);
	for (uint32_t i = 0; live && i < n; i++)
		if (slice_eq(ctl_bounded(live->trunk[i].id, sizeof live->trunk[i].id), slice_str(id)))
			return trunk_json(&live->trunk[i]);
	return NULL;
}
