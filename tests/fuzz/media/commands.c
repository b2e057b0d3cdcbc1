/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz: command datagrams of the engine into the control thread's table, and the port map. */
#include <stdlib.h>

#include "media/table.h"

#define SLOTS 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct media_slot *slots;
	struct media_header h = { 0 };
	struct media_table *t;
	struct media_ref silent[SLOTS];
	const struct media_map_entry *map;
	uint32_t n;

	if (!slots)
		slots = aligned_alloc(64, SLOTS * sizeof(*slots));
	must(!media_table_new(&h, slots, SLOTS, &t));
	media_table_apply(t, (struct slice){ (const char *)data, size }, 1000000);
	must(media_table_watched(t) <= SLOTS);
	n = media_table_silent(t, INT64_C(1) << 60, silent, SLOTS);
	must(n <= media_table_watched(t));
	for (uint32_t i = 0; i < n; i++)
		media_table_told(t, silent[i]);
	must(!media_table_silent(t, INT64_C(1) << 60, silent, SLOTS));
	media_table_free(t);
	if (!media_map_parse((struct slice){ (const char *)data, size }, &map, &n))
		for (uint32_t i = 0; i < n; i++)
			must(base_addr_port(&map[i].addr) <= 65535);
	return 0;
}
