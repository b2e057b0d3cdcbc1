/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small parsers of base: numbers, addresses (what is printed parses again), log levels, cursors, text.
 */
#include "postern/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void address(struct slice s)
{
	union base_addr a, b;
	char text[56];

	if (base_addr_parse(s, 5060, &a) < 0)
		return;
	base_addr_host(&a, true, text);
	must(base_addr_parse(slice_str(text), 5060, &b) == 0 && base_addr_eq(&a, &b));
	base_addr_print(&a, text);
	must(base_addr_in_net(&a, &b, a.sa.sa_family == AF_INET ? 32 : 128));
}

static void cursor(const uint8_t *data, size_t size)
{
	struct reader r = reader_on(data, size);
	uint8_t out[64];
	struct writer w = writer_on(out, sizeof(out));

	while (!r.bad && r.p < r.end)
		wr_slice(&w, rd_slice(&r));
	must(wr_len(&w) <= sizeof(out));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice s = { (const char *)data, size };
	struct text t;
	enum base_level level;
	char buf[40];
	uint64_t v;

	if (slice_u64(s, 65535, &v) == 0)
		must(v <= 65535);
	address(s);
	base_log_level_parse(s, &level);
	cursor(data, size);
	t = text_on(buf, sizeof(buf));
	text_slice(&t, s);
	text_add(&t, "%.*s", (int)(size < 100 ? size : 100), (const char *)data);
	must(t.n < sizeof(buf) && buf[t.n] == 0);
	return 0;
}
