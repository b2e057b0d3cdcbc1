/* SPDX-License-Identifier: Apache-2.0 */
/* The board: what rules counted outlives revisions and engines, foreign memory is formatted, readers trust nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "postern/rule.h"

static const char invite[] = "INVITE sip:100@sbc.example SIP/2.0\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:100@sbc.example>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n\r\n";

static struct rule_set *load(const char *text, bool shadow)
{
	struct rule_load how = { .file = "t", .shadow = shadow };
	struct rule_errors *errs = rule_errors_new();
	struct rule_set *s = NULL;

	if (rule_set_load(slice_str(text), &how, errs, &s))
		fail_msg("%u:%u %s", rule_errors_get(errs, 0)->line, rule_errors_get(errs, 0)->col, rule_errors_get(errs, 0)->message);
	base_unref(errs);
	return s;
}

static void run(struct rule_set *s, unsigned times)
{
	struct rule_at at = { .hook = RULE_SEND, .dialog = RULE_INITIAL, .now_ms = 12345 };
	struct rule_text_msg *m = NULL;
	struct rule_chain *c = NULL;
	struct rule_result r;

	assert_int_equal(rule_chain_new(&s, 1, NULL, &c), 0);
	while (times-- > 0) {
		assert_int_equal(rule_text_parse(slice_str(invite), &m), 0);
		rule_chain_run(c, &at, &rule_text_ops, m, NULL, &r);
		rule_text_free(m);
	}
	base_unref(c);
}

static struct rule_board *board_on(void *mem)
{
	struct rule_board *b = NULL;

	assert_int_equal(rule_board_open(mem, rule_board_bytes(), &b), 0);
	return b;
}

static void board_bind(struct rule_board *b, const char *id, struct rule_set *s)
{
	assert_int_equal(rule_board_bind(b, &(struct rule_board_set){ id, s }, 1), 0);
}

/* hits of the rule or counter whose text begins so; -1: it is not there */
static int64_t hits(const void *mem, const char *text, int64_t *ret_last)
{
	struct rule_board_row row;

	for (size_t i = 0; rule_board_get(mem, rule_board_bytes(), i, &row); i++)
		if (!strncmp(row.text, text, strlen(text))) {
			if (ret_last)
				*ret_last = row.last_ms;
			return (int64_t)row.hits;
		}
	return -1;
}

#define ONE "set header[\"X-1\"] \"1\", count n"
#define TWO "set header[\"X-2\"] \"2\""
#define POLICY(body) "policy p on send request {\n " body "\n}\n"

static void counts_outlive_revisions_and_engines(void **state)
{
	void *mem = calloc(1, rule_board_bytes());
	struct rule_board *b = board_on(mem);
	struct rule_set *first = load(POLICY(ONE "\n " TWO), false), *next;
	int64_t last;

	(void)state;
	board_bind(b, "id", first);
	run(first, 3);
	assert_int_equal(hits(mem, "set header[\"X-1\"]", &last), 3);
	assert_int_equal(last, 12345);
	assert_int_equal(hits(mem, "n", NULL), 3);
	/* the engine dies, the next one loads the same text */
	base_unref(b);
	base_unref(first);
	b = board_on(mem);
	first = load(POLICY(ONE "\n " TWO), false);
	board_bind(b, "id", first);
	run(first, 1);
	assert_int_equal(hits(mem, "set header[\"X-2\"]", NULL), 4);
	/* another revision: what is the same goes on, wherever it stands now; what is new begins; what is gone is gone */
	next = load(POLICY("set header[\"X-3\"] \"3\"\n " TWO), false);
	rule_set_inherit(next, first);
	rule_set_unbind(first);
	run(first, 1); /* a message in flight under the former one counts nowhere else */
	board_bind(b, "id", next);
	assert_int_equal(hits(mem, "set header[\"X-1\"]", NULL), -1);
	assert_int_equal(hits(mem, "set header[\"X-2\"]", NULL), 4);
	assert_int_equal(hits(mem, "set header[\"X-3\"]", NULL), 0);
	/* the same text under another id is another rule */
	rule_set_unbind(next);
	board_bind(b, "other", next);
	assert_int_equal(hits(mem, "n", NULL), -1);
	rule_set_unbind(next);
	base_unref(next);
	base_unref(first);
	base_unref(b);
	free(mem);
}

static void foreign_memory(void **state)
{
	size_t bytes = rule_board_bytes();
	unsigned char *mem = malloc(bytes);
	struct rule_shadow_item *item = malloc(sizeof *item);
	struct rule_set *s = load(POLICY(ONE), false);
	struct rule_board_row row;
	struct rule_board *b = NULL;
	uint64_t count;

	(void)state;
	memset(mem, 0xa5, bytes);
	assert_false(rule_board_get(mem, bytes, 0, &row));
	assert_false(rule_board_get(NULL, 0, 0, &row));
	assert_false(rule_board_shadow_get(mem, bytes, "id", 0, &count, item));
	assert_int_equal(rule_board_open(mem, bytes - 1, &b), ERR_RANGE);
	b = board_on(mem);
	assert_false(rule_board_get(mem, bytes, 0, &row));
	board_bind(b, "id", s);
	run(s, 2);
	assert_int_equal(hits(mem, "set header", NULL), 2);
	assert_false(rule_board_get(mem, bytes - 1, 0, &row));
	/* a writer that died while rows were put in place: not read, and taken up by the next */
	*(uint32_t *)(void *)(mem + 8) |= 1;
	assert_false(rule_board_get(mem, bytes, 0, &row));
	rule_set_unbind(s);
	base_unref(b);
	b = board_on(mem);
	assert_true(rule_board_get(mem, bytes, 0, &row));
	/* an odd number of rows is none */
	*(uint32_t *)(void *)(mem + 12) = UINT32_MAX;
	base_unref(b);
	b = board_on(mem);
	assert_false(rule_board_get(mem, bytes, 0, &row));
	base_unref(b);
	base_unref(s);
	free(item);
	free(mem);
}

static void a_full_board_counts_on(void **state)
{
	size_t size = 400000, n = 0;
	char *text = malloc(size);
	void *mem = calloc(1, rule_board_bytes());
	struct rule_board *b = board_on(mem);
	struct rule_info info = { .hits = 0 };
	struct rule_board_row row;
	struct rule_set *s;
	size_t rows = 0;

	(void)state;
	n += (size_t)snprintf(text, size, "policy p on send request {\n");
	for (unsigned i = 0; i < 8200; i++)
		n += (size_t)snprintf(text + n, size - n, " set header[\"X-%u\"] \"1\"\n", i);
	snprintf(text + n, size - n, "}\n");
	s = load(text, false);
	assert_int_equal(rule_board_bind(b, &(struct rule_board_set){ "id", s }, 1), ERR_FULL);
	while (rule_board_get(mem, rule_board_bytes(), rows, &row))
		rows++;
	assert_int_equal(rows, 8192);
	run(s, 2);
	assert_true(rule_set_rule(s, 8199, &info));
	assert_int_equal(info.hits, 2);
	assert_true(rule_set_rule(s, 0, &info));
	assert_int_equal(info.hits, 2);
	rule_set_unbind(s);
	assert_true(rule_set_rule(s, 0, &info));
	assert_int_equal(info.hits, 2);
	base_unref(s);
	base_unref(b);
	free(mem);
	free(text);
}

static void shadows(void **state)
{
	size_t bytes = rule_board_bytes();
	void *mem = calloc(1, bytes);
	struct rule_board *b = board_on(mem);
	struct rule_set *s = load(POLICY(ONE), true), *again;
	struct rule_shadow_item *item = malloc(sizeof *item);
	static char large[RULE_SHADOW_TEXT + 10];
	char text[32];
	uint64_t count;

	(void)state;
	board_bind(b, "id", s);
	for (int i = 1; i <= 25; i++) {
		snprintf(text, sizeof text, "after %d", i);
		rule_board_shadow(s, i, SLICE("before"), slice_str(text), i == 25 ? "drop" : "");
	}
	assert_true(rule_board_shadow_get(mem, bytes, "id", 0, &count, item));
	assert_int_equal(count, 25);
	assert_true(item->time_ms == 25 && !item->cut);
	assert_string_equal(item->after, "after 25");
	assert_string_equal(item->verdict, "drop");
	assert_true(rule_board_shadow_get(mem, bytes, "id", 19, &count, item) && item->time_ms == 6);
	assert_false(rule_board_shadow_get(mem, bytes, "id", 20, &count, item));
	assert_false(rule_board_shadow_get(mem, bytes, "nobody", 0, &count, item));
	assert_false(rule_board_shadow_get(mem, bytes, "", 0, &count, item));
	memset(large, 'x', sizeof large - 1);
	rule_board_shadow(s, 26, slice_str(large), SLICE("short"), "");
	assert_true(rule_board_shadow_get(mem, bytes, "id", 0, &count, item) && item->cut);
	assert_int_equal(strlen(item->before), RULE_SHADOW_TEXT - 1);
	/* the next engine goes on in the same log */
	base_unref(s);
	base_unref(b);
	b = board_on(mem);
	again = load(POLICY(ONE), true);
	board_bind(b, "id", again);
	rule_board_shadow(again, 27, SLICE("b"), SLICE("a"), "");
	assert_true(rule_board_shadow_get(mem, bytes, "id", 1, &count, item) && item->time_ms == 26 && count == 27);
	/* one that was let go writes nowhere */
	rule_set_unbind(again);
	rule_board_shadow(again, 28, SLICE("b"), SLICE("a"), "");
	assert_true(rule_board_shadow_get(mem, bytes, "id", 0, &count, NULL) && count == 27);
	base_unref(again);
	base_unref(b);
	free(item);
	free(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_outlive_revisions_and_engines), cmocka_unit_test(foreign_memory), cmocka_unit_test(a_full_board_counts_on), cmocka_unit_test(shadows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
