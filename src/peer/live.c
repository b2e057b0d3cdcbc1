/* SPDX-License-Identifier: Apache-2.0 */
/* Live figures of trunks in state memory: the engine writes, admin reads. What is written there is the plane's. */
#include "peer/peer.h"

const char *peer_state_name(enum peer_state s)
{
	static const char *const names[] = { "up", "suspect", "down", "draining", "resting" };

	return (unsigned)s < ARRAY_LEN(names) ? names[s] : "?";
}

uint32_t peer_rate(const struct peer_live_rate *r)
{
	int64_t second = base_mono_now().us / 1000000;

	return r->second == second ? r->before : r->second == second - 1 ? r->now : 0;
}

size_t peer_live_bytes(unsigned trunks)
{
	return sizeof(struct peer_live) + (size_t)trunks * sizeof(struct peer_live_trunk);
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
