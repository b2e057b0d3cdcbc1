/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of a call, taken out of the ring and printed as a ladder: what peers wrote obeys no terminal, fits no column, and is the newest of much. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "ctl/ctl.h"
#include "ctl/messages.h"

#define RING (8u << 20)
#define MANY 12000

static struct {
	struct loop_shm shm;
	struct base_trace *trace;
	struct ctl_maps maps;
} ring;

static int setup(void **state)
{
	const struct loop_shm_spec spec[] = { { REGION_TRACE, RING } };
	size_t n;
	void *mem;
	int fd;

	if (loop_shm_create("t", spec, ARRAY_LEN(spec), &fd) || loop_shm_map(fd, true, &ring.shm))
		return -1;
	close(fd);
	mem = loop_shm_region(&ring.shm, REGION_TRACE, &n);
	ring.maps.calls = &ring.shm;
	return base_trace_open(mem, n, &ring.trace);
}

static int teardown(void **state)
{
	base_trace_close(ring.trace);
	loop_shm_unmap(&ring.shm);
	return 0;
}

static void put(struct slice id, struct slice bytes, unsigned flags, int64_t time_us)
{
	struct base_trace_head h = { .time_us = time_us, .key = base_trace_key(base_trace_seed(ring.trace), id), .flags = (uint8_t)flags };

	assert_int_equal(base_addr_parse(SLICE("192.0.2.1"), 5060, &h.local), 0);
	assert_int_equal(base_addr_parse(SLICE("192.0.2.2"), 5060, &h.peer), 0);
	base_trace_put(ring.trace, &h, bytes, NULL, 0);
}

static struct ctl_message_list *take(const struct ctl_dialogs *d)
{
	struct ctl_message_list *l;

	assert_int_equal(ctl_messages(&ring.maps, d, &l), 0);
	return l;
}

static void odd_bytes(void **state)
{
	static const char text[] = "SIP/2.0 183 A\033[2J reason\001 that is far longer than any arrow\r\nCall-ID: one\r\nX: \033]0;title\007 a\0b\177\r\n\r\nm=audio\rx\n\nm=x\ty\n";
	const struct ctl_dialogs d = { .call_id = { SLICE("one") }, .n = 1, .start_ms = 1 };
	struct ctl_message_list *l;
	char *out;

	put(SLICE("one"), (struct slice){ text, sizeof text - 1 }, BASE_TRACE_OUT, 1000);
	l = take(&d);
	assert_int_equal(l->n, 1);
	out = ctl_messages_ladder(l, &d);
	assert_non_null(out);
	assert_true(strlen(out) < 2000);
	for (const char *p = out; *p; p++)
		assert_true(*p == '\n' || *p == '\t' || *p == '\r' || ((unsigned char)*p >= 0x20 && *p != 0x7f));
	assert_non_null(strstr(out, "183 A?[2J reason? that"));
	assert_non_null(strstr(out, "(SDP)"));
	assert_non_null(strstr(out, "X: ?]0;title? a?b?\r\n"));      /* a zero does not end it */
	assert_non_null(strstr(out, "m=audio?x\n\nm=x\ty\n"));   /* what is no end of a line is none */
	free(out);
	ctl_messages_free(l);
}

static void newest_of_many(void **state)
{
	const struct ctl_dialogs d = { .call_id = { SLICE("one"), SLICE("two") }, .n = 2, .start_ms = 1 };
	struct ctl_message_list *l;
	char text[128];

	for (int i = 1; i <= MANY; i++) {
		int n = snprintf(text, sizeof text, "INFO sip:%d SIP/2.0\r\nCall-ID: %s\r\n\r\n", i, i & 1 ? "two" : "one");

		put(i & 1 ? SLICE("two") : SLICE("one"), (struct slice){ text, (size_t)n }, 0, i);
	}
	l = take(&d);
	assert_true(l->overwritten && l->n >= 5000 && l->n <= 10000);
	for (size_t i = 0; i < l->n; i++) {
		assert_int_equal(l->v[i].head.time_us, MANY + 1 - (int64_t)(l->n - i));
		assert_int_equal(l->v[i].leg, l->v[i].head.time_us & 1);
	}
	ctl_messages_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(odd_bytes, setup, teardown), cmocka_unit_test_setup_teardown(newest_of_many, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
