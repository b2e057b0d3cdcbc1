/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory of state memory: whatever it says, a region lies within the block.
 * First byte: bit 0 sets magic and size right, so that the entries are reached.
 */
#include "loop/shm.c"

#include <stdlib.h>

#define BLOCK 4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct loop_shm m = { .bytes = BLOCK, .fd = -1 };
	struct directory *dir;
	size_t n;

	if (size < 1)
		return 0;
	m.base = aligned_alloc(SHM_ALIGN, BLOCK);
	must(m.base);
	memset(m.base, 0, BLOCK);
	memcpy(m.base, data + 1, size - 1 < BLOCK ? size - 1 : BLOCK);
	dir = (void *)m.base;
	if (data[0] & 1) {
		dir->magic = SHM_MAGIC;
		dir->bytes = BLOCK;
	}
	loop_shm_check(&m);
	/* also what the check refused: the writer may damage it later */
	for (uint32_t id = 0; id < 10; id++) {
		uint8_t *p = loop_shm_region(&m, id, &n);

		must(!p || (p >= m.base + sizeof(*dir) && n > 0 && n <= BLOCK - (size_t)(p - m.base)));
	}
	free(m.base);
	return 0;
}
