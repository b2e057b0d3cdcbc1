/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ring on foreign memory: open, walk, put and consume must stay within it.
 * First byte: bit 0 sets magic and size right, so that the walk is reached; bit 1 damages after the open.
 */
#include "base/ring.c"

#define DATA 512u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* what a consumer does; returns the records seen */
static unsigned walk(struct base_ring *r)
{
	const uint8_t *low = r->mem->data, *high = low + r->size;
	uint64_t pos = base_ring_pos(r);
	struct slice rec;
	unsigned n = 0, sum = 0;

	while (n < 2 * DATA / RING_HEAD && base_ring_peek(r, &pos, &rec)) {
		must((const uint8_t *)rec.p >= low && (const uint8_t *)rec.p + rec.n <= high);
		for (size_t i = 0; i < rec.n; i++)
			sum += (unsigned char)rec.p[i];
		n++;
	}
	base_ring_consume(r, pos);
	return n + (sum & 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t bytes = sizeof(struct shared) + DATA, n;
	struct base_ring *r;
	uint8_t *mem;
	int err;

	if (size < 1)
		return 0;
	mem = calloc(1, bytes);
	must(mem);
	n = size - 1 < bytes ? size - 1 : bytes;
	memcpy(mem, data + 1, n);
	if (data[0] & 1) {
		((struct shared *)(void *)mem)->magic = RING_MAGIC;
		((struct shared *)(void *)mem)->size = DATA;
	}
	err = base_ring_open(mem, bytes, &r);
	must(err == 0 || err == ERR_TORN);
	if (data[0] & 2)
		memcpy(mem, data + 1, n);
	walk(r);
	if (base_ring_put(r, "one", 3) == 0 && !(data[0] & 2)) {
		must(walk(r) == 1);
		must(walk(r) == 0);
	}
	for (unsigned i = 0; i < 40; i++)
		base_ring_put(r, data, size < 200 ? size : 200);
	walk(r);
	base_ring_close(r);
	free(mem);
	return 0;
}
