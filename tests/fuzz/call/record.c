/* SPDX-License-Identifier: Apache-2.0 */
/* Arbitrary bytes as a call record, and as the memory of a store. */
#include <stdlib.h>

#include "postern/call.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t buf[CALL_RECORD_MAX], again[CALL_RECORD_MAX];
	struct slice rest = { (const char *)data, size };
	struct call_note note;
	struct call_record r;
	struct call_store *s;
	unsigned torn, i;
	size_t n;
	uint8_t *mem;

	while (call_note_next(&rest, &note))
		must(note.name.n <= size && note.value.n <= size);
	if (!call_record_parse(data, size, &r) && !call_record_print(&r, again, sizeof again, &n) && n <= size)
		must(!call_record_parse(again, n, &r));
	mem = aligned_alloc(64, (size + 8192 + 63) & ~(size_t)63);
	if (!mem)
		return 0;
	memset(mem, 0, size + 8192);
	memcpy(mem, data, size);
	for (i = 0; i < call_store_slots(mem, size) && i < 100; i++)
		call_store_read(mem, size, i, buf, &r);
	if (!call_store_open(mem, size + 8192, &torn, &s))
		call_store_close(s);
	free(mem);
	return 0;
}
