/* SPDX-License-Identifier: Apache-2.0 */
/* Live figures of trunks in state memory: the engine writes, admin reads. Static targets are up, or down with `no-listener`. */
#include "peer/peer.h"

const char *peer_state_name(enum peer_state s)
{
	static const char *const names[] = { "up", "suspect", "down", "draining", "resting" };

	return (unsigned)s < ARRAY_LEN(names) ? names[s] : "?";
}

size_t peer_live_bytes(unsigned trunks)
{
	return sizeof(struct peer_live) + (size_t)trunks * sizeof(struct peer_live_trunk);
}

static void live_target(struct peer_live_target *l, const struct peer_target *t)
{
	char host[48];
	const char *reason = t->listener < 0 ? "no-listener" : !t->addr.sa.sa_family ? "not-resolved" : "static";

	memset(l, 0, sizeof *l);
	slice_copy(l->uri, sizeof l->uri, slice_str(t->uri));
	if (t->addr.sa.sa_family) {
		slice_copy(l->address, sizeof l->address, slice_str(base_addr_host(&t->addr, false, host)));
		l->port = base_addr_port(&t->addr);
	}
	l->transport = (uint8_t)t->transport;
	l->state = t->listener < 0 || !t->addr.sa.sa_family ? PEER_DOWN : PEER_UP;
	slice_copy(l->reason, sizeof l->reason, slice_str(reason));
	l->since_ms = base_wall_ms();
}

static void live_trunk(struct peer_live_trunk *l, const struct peer_trunk *t)
{
	unsigned i, n = t->ntargets < PEER_TARGETS ? t->ntargets : PEER_TARGETS;

	if (strcmp(l->id, t->conf->id)) {
		memset(l, 0, sizeof *l);
		slice_copy(l->id, sizeof l->id, slice_str(t->conf->id));
	}
	for (i = 0; i < n; i++)
		if (i >= l->ntargets || strcmp(l->target[i].uri, t->target[i].uri))
			live_target(&l->target[i], &t->target[i]);
	l->ntargets = n;
}

void peer_live_init(struct peer_live *live, size_t bytes, const struct peer_set *s)
{
	unsigned i, n = peer_trunk_count(s);

	live->cap = bytes > sizeof *live ? (uint32_t)((bytes - sizeof *live) / sizeof live->trunk[0]) : 0;
	if (n > live->cap) {
		base_log(BASE_WARN, "peer", "state memory has no room for all trunks trunks=%u room=%u", n, live->cap);
		n = live->cap;
	}
	for (i = 0; i < n; i++)
		live_trunk(&live->trunk[i], peer_trunk_at(s, i));
	live->n = n;
}

void peer_live_reset(struct peer_live *live)
{
	unsigned i, k;

	for (i = 0; i < live->n; i++) {
		live->trunk[i].calls_in = live->trunk[i].calls_out = 0;
		for (k = 0; k < live->trunk[i].ntargets && k < PEER_TARGETS; k++)
			live->trunk[i].target[k].calls = 0;
	}
}
