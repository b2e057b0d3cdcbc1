/* SPDX-License-Identifier: Apache-2.0 */
/* The message ring: order, keys, wrapping, hiding, a writer that begins again, readers beside a writer. */
#include "config.h"
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "postern/base.h"

#define BYTES 65536u

static void *memory(size_t n)
{
	void *p = aligned_alloc(64, n);

	assert_non_null(p);
	memset(p, 0, n);
	return p;
}

static struct base_trace_head head(uint32_t key, int64_t time_us)
{
	struct base_trace_head h = { .time_us = time_us, .key = key, .transport = 1, .flags = BASE_TRACE_OUT };

	assert_int_equal(base_addr_parse(SLICE("192.0.2.1"), 5060, &h.local), 0);
	assert_int_equal(base_addr_parse(SLICE("2001:db8::1"), 5061, &h.peer), 0);
	h.local = h.peer;
	base_addr_set_port(&h.local, 5060);
	return h;
}

static void put(struct base_trace *t, uint32_t key, int64_t time_us, const char *text)
{
	struct base_trace_head h = head(key, time_us);

	base_trace_put(t, &h, slice_str(text), NULL, 0);
}

static void order_and_keys(void **state)
{
	void *mem = memory(BYTES);
	const uint32_t mine[] = { 7, 9 };
	char buf[BASE_TRACE_MESSAGE], at[56];
	struct base_trace_walk w;
	struct base_trace_head h;
	struct base_trace *t;
	struct slice s;

	assert_int_equal(base_trace_walk(mem, BYTES, &w), ERR_TORN);
	assert_int_equal(base_trace_open(mem, BYTES, &t), 0);
	put(t, 7, 1, "one");
	put(t, 8, 2, "not mine");
	put(t, 9, 3, "two");
	assert_int_equal(base_trace_walk(mem, BYTES, &w), 0);
	assert_true(base_trace_next(&w, mine, 2, buf, &h, &s));
	assert_true(slice_eq(s, SLICE("one")) && h.time_us == 1 && h.transport == 1 && h.flags == BASE_TRACE_OUT);
	assert_string_equal(base_addr_print(&h.peer, at), "[2001:db8::1]:5061");
	assert_string_equal(base_addr_print(&h.local, at), "[2001:db8::1]:5060");
	assert_true(base_trace_next(&w, mine, 2, buf, &h, &s));
	assert_true(slice_eq(s, SLICE("two")) && h.key == 9);
	assert_false(base_trace_next(&w, mine, 2, buf, &h, &s));
	base_trace_close(t);
	/* another writer goes on where the first ended */
	assert_int_equal(base_trace_open(mem, BYTES, &t), 0);
	put(t, 7, 4, "three");
	assert_int_equal(base_trace_walk(mem, BYTES, &w), 0);
	for (int i = 0; i < 4; i++)
		assert_true(base_trace_next(&w, NULL, 0, buf, &h, &s));
	assert_true(slice_eq(s, SLICE("three")));
	assert_false(base_trace_next(&w, NULL, 0, buf, &h, &s));
	base_trace_close(t);
	free(mem);
}

/* what is hidden never lies in the memory */
static void hidden(void **state)
{
	uint8_t *mem = memory(BYTES);
	const char *text = "key: SECRET-A, and SECRET-B";
	struct slice hide[] = { { text + 5, 8 }, { text + 19, 8 } }, s;
	char buf[BASE_TRACE_MESSAGE];
	struct base_trace_head h = head(1, 1);
	struct base_trace_walk w;
	struct base_trace *t;

	assert_int_equal(base_trace_open(mem, BYTES, &t), 0);
	base_trace_put(t, &h, slice_str(text), hide, 2);
	assert_int_equal(base_trace_walk(mem, BYTES, &w), 0);
	assert_true(base_trace_next(&w, NULL, 0, buf, &h, &s));
	assert_true(slice_eq(s, SLICE("key: ********, and ********")));
	assert_null(memmem(mem, BYTES, "SECRET", 6));
	base_trace_close(t);
	free(mem);
}

/* many times around: what is left is the newest, whole, in order, and the rest is counted */
static void wraps(void **state)
{
	void *mem = memory(BYTES);
	char text[2048], buf[BASE_TRACE_MESSAGE], want[16];
	uint64_t gone = base_counters[COUNTER_TRACE_OVERWRITTEN];
	struct base_trace_walk w;
	struct base_trace_head h;
	struct base_trace *t;
	struct slice s;
	int i, seen = 0, last = 0;

	assert_int_equal(base_trace_open(mem, BYTES, &t), 0);
	for (i = 1; i <= 5000; i++) {
		memset(text, 'a' + i % 26, sizeof text);
		text[100 + i * 37 % 1900] = 0;
		memcpy(text, want, (size_t)snprintf(want, sizeof want, "%08d", i));
		put(t, (uint32_t)i, i, text);
	}
	assert_int_equal(base_trace_walk(mem, BYTES, &w), 0);
	while (base_trace_next(&w, NULL, 0, buf, &h, &s)) {
		snprintf(want, sizeof want, "%08d", (int)h.key);
		assert_true(s.n >= 100 && !memcmp(s.p, want, 8) && (int)h.key > last);
		for (size_t k = 8; k < s.n; k++)
			assert_int_equal(s.p[k], 'a' + (int)h.key % 26);
		last = (int)h.key;
		seen++;
	}
	assert_int_equal(last, 5000);
	assert_true(seen > 20);
	assert_int_equal(base_counters[COUNTER_TRACE_OVERWRITTEN] - gone, 5000 - seen);
	base_trace_close(t);
	free(mem);
}

/* a reader that was lapped gets nothing newer in the place of what it asked for */
static void lapped(void **state)
{
	void *mem = memory(BYTES);
	char buf[BASE_TRACE_MESSAGE], text[16];
	struct base_trace_walk w;
	struct base_trace_head h;
	struct base_trace *t;
	struct slice s;

	assert_int_equal(base_trace_open(mem, BYTES, &t), 0);
	for (int i = 0; i < 3; i++)
		put(t, 7, i, "old");
	assert_int_equal(base_trace_walk(mem, BYTES, &w), 0);
	for (int i = 3; i < 150; i++) {
		snprintf(text, sizeof text, "new %d", i);
		put(t, 7, i, text);
	}
	assert_false(base_trace_next(&w, NULL, 0, buf, &h, &s));
	assert_int_equal(base_trace_walk(mem, BYTES, &w), 0);
	assert_true(base_trace_next(&w, NULL, 0, buf, &h, &s) && h.time_us > 3);
	base_trace_close(t);
	free(mem);
}

/* larger than half of the ring: cut */
static void large(void **state)
{
	void *mem = memory(BASE_TRACE_LEAST);
	char *text = malloc(BASE_TRACE_MESSAGE * 2), *buf = malloc(BASE_TRACE_MESSAGE);
	struct base_trace_walk w;
	struct base_trace_head h = head(1, 1);
	struct base_trace *t;
	struct slice s;

	memset(text, 'x', BASE_TRACE_MESSAGE * 2);
	assert_int_equal(base_trace_open(mem, BASE_TRACE_LEAST - 1, &t), -EINVAL);
	assert_int_equal(base_trace_open(mem, BASE_TRACE_LEAST, &t), 0);
	for (int i = 0; i < 5; i++)
		base_trace_put(t, &h, (struct slice){ text, BASE_TRACE_MESSAGE * 2 }, NULL, 0);
	assert_int_equal(base_trace_walk(mem, BASE_TRACE_LEAST, &w), 0);
	assert_true(base_trace_next(&w, NULL, 0, buf, &h, &s));
	assert_true(s.n > 1000 && s.n <= BASE_TRACE_LEAST / 2);
	base_trace_close(t);
	free(text);
	free(buf);
	free(mem);
}

/* a writer that fills each message with one letter, and a reader beside it: it never sees two in one */
static void *writer(void *mem)
{
	struct base_trace_head h = head(1, 1);
	char text[1500];
	struct base_trace *t;

	if (base_trace_open(mem, BYTES, &t))
		return NULL;
	for (unsigned i = 0; i < 200000; i++) {
		memset(text, 'a' + (int)(i % 26), sizeof text);
		base_trace_put(t, &h, (struct slice){ text, 200 + i % 1300 }, NULL, 0);
	}
	base_trace_close(t);
	return mem;
}

static void beside(void **state)
{
	void *mem = memory(BYTES), *done = NULL;
	char buf[BASE_TRACE_MESSAGE];
	struct base_trace_walk w;
	struct base_trace_head h;
	struct base_trace *t;
	unsigned long seen = 0;
	struct slice s;
	pthread_t id;

	assert_int_equal(base_trace_open(mem, BYTES, &t), 0);
	base_trace_close(t);
	assert_int_equal(pthread_create(&id, NULL, writer, mem), 0);
	for (int i = 0; i < 300 || !seen; i++) {
		assert_int_equal(base_trace_walk(mem, BYTES, &w), 0);
		for (; base_trace_next(&w, NULL, 0, buf, &h, &s); seen++)
			for (size_t k = 1; k < s.n; k++)
				assert_int_equal(s.p[k], s.p[0]);
	}
	pthread_join(id, &done);
	assert_ptr_equal(done, mem);
	free(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order_and_keys), cmocka_unit_test(hidden), cmocka_unit_test(wraps), cmocka_unit_test(lapped), cmocka_unit_test(large), cmocka_unit_test(beside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
