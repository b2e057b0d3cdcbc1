/* SPDX-License-Identifier: Apache-2.0 */
/* Names of targets become addresses here; a trunk of names alone has no target until then. */
#include "peer/plane.h"

int peer_resolve_start(struct peer_plane *p)
{
	unsigned i;

	for (i = 0; i < p->ntrunks; i++)
		if (p->trunk[i].names && !p->trunk[i].ntargets)
			base_log(BASE_WARN, "peer", "no target is a numeric address trunk=%s", p->trunk[i].pub->conf->id);
	return 0;
}

void peer_resolve_stop(struct peer_plane *p)
{
	unsigned i;

	for (i = 0; i < p->ntrunks; i++)
		loop_timer_stop(&p->trunk[i].resolve);
}
