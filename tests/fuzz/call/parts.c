/* SPDX-License-Identifier: Apache-2.0 */
/* Arbitrary bytes as a Content-Type, a line end, and a multipart body. Every slice must lie within the input. */
#include <stdlib.h>

#include "call/b2b.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void within(struct slice s, struct slice all)
{
	must(!s.n || (s.p >= all.p && s.p + s.n <= all.p + all.n) || s.n == sizeof "text/plain" - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct call_part part[CALL_PARTS];
	const char *text = (const char *)data, *nl = size ? memchr(text, '\n', size) : NULL;
	struct slice type, body;
	unsigned i, n;

	if (!nl)
		return 0;
	type = (struct slice){ text, (size_t)(nl - text) };
	body = (struct slice){ nl + 1, size - type.n - 1 };
	n = call_parts_parse(body, call_parts_boundary(type), part);
	must(n <= CALL_PARTS);
	for (i = 0; i < n; i++) {
		within(part[i].whole, body);
		within(part[i].type, body);
		within(part[i].body, part[i].whole);
	}
	return 0;
}
