/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The message ring on foreign memory: a reader stays within it whatever lies there, and so does a writer that takes it up.
 * First byte: bit 0 sets what the header must say, so that slots are reached; bit 1: written to before it is damaged.
 */
#include "base/trace.c"

#define BYTES (BASE_TRACE_LEAST + 512u)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned walk(const void *mem)
{
	static char buf[BASE_TRACE_MESSAGE];
	struct base_trace_walk w;
	struct base_trace_head h;
	unsigned n = 0, sum = 0;
	struct slice s;

	if (base_trace_walk(mem, BYTES, &w))
		return 0;
	while (base_trace_next(&w, NULL, 0, buf, &h, &s)) {
		must(s.p == buf && s.n <= sizeof buf && ++n <= BYTES);
		for (size_t i = 0; i < s.n; i++)
			sum += (unsigned char)s.p[i];
	}
	return n + (sum & 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct base_trace_head h = { .key = 1 };
	struct trace_shared *head;
	struct base_trace *t;
	uint8_t *mem;
	size_t n;

	if (!size)
		return 0;
	mem = aligned_alloc(64, (BYTES + 63) & ~63u);
	must(mem);
	memset(mem, 0, BYTES);
	head = (struct trace_shared *)(void *)mem;
	if (data[0] & 2) {
		must(!base_trace_open(mem, BYTES, &t));
		base_trace_put(t, &h, (struct slice){ (const char *)data, size < 300 ? size : 300 }, NULL, 0);
		base_trace_close(t);
	}
	n = size - 1 < BYTES ? size - 1 : BYTES;
	memcpy(mem, data + 1, n);
	if (data[0] & 1) {
		head->magic = TRACE_MAGIC;
		sizes(BYTES, &head->slots, &head->data);
	}
	walk(mem);
	must(!base_trace_open(mem, BYTES, &t));
	for (unsigned i = 0; i < 40; i++)
		base_trace_put(t, &h, (struct slice){ (const char *)data, size < 900 ? size : 900 }, NULL, 0);
	must(walk(mem) > 0);
	base_trace_close(t);
	free(mem);
	return 0;
}
