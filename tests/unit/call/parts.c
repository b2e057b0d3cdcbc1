/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of multipart bodies: as RFC 2046 has them, as the field sends them, and broken ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "call/b2b.h"

static void is(struct slice s, const char *want)
{
	assert_int_equal(s.n, strlen(want));
	assert_memory_equal(s.p, want, s.n);
}

static void two_parts(void **state)
{
	static const char *const bodies[] = {
		"--b1\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n\r\n--b1\r\nContent-Disposition: x\r\ncontent-type : application/isup;base=itu\r\n\r\nI\r\n--b1--\r\n",
		"a preamble\n--b1\nContent-Type: application/sdp\n\nv=0\r\n\n--b1  \nContent-Type: application/isup;base=itu\n\nI\n--b1--\nan end",
		"--b1\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n\r\n--b1\r\nContent-Type: application/isup;base=itu\r\n\r\nI",
	};
	struct call_part part[CALL_PARTS];
	size_t i;

	for (i = 0; i < ARRAY_LEN(bodies); i++) {
		assert_int_equal(call_parts_parse(slice_str(bodies[i]), SLICE("b1"), part), 2);
		is(part[0].type, "application/sdp");
		is(part[0].body, "v=0\r\n");
		is(part[1].type, "application/isup;base=itu");
		is(part[1].body, "I");
	}
}

static void odd_ones(void **state)
{
	struct call_part part[CALL_PARTS];
	char many[4096];
	struct text t = text_on(many, sizeof many);
	unsigned i;

	assert_int_equal(call_parts_parse(SLICE(""), SLICE("b"), part), 0);
	assert_int_equal(call_parts_parse(SLICE("--b\r\n\r\nx\r\n--b--"), SLICE(""), part), 0);
	assert_int_equal(call_parts_parse(SLICE("--bb\r\n\r\nx\r\n--bb--"), SLICE("b"), part), 0);
	assert_int_equal(call_parts_parse(SLICE("--b\r\n\r\nx\r\n--b--"), SLICE("b"), part), 1);
	is(part[0].type, "text/plain");
	is(part[0].body, "x");
	assert_int_equal(call_parts_parse(SLICE("--b\r\n--b--"), SLICE("b"), part), 1);
	is(part[0].body, "");
	for (i = 0; i < CALL_PARTS + 5; i++)
		text_add(&t, "--b\r\n\r\n%u\r\n", i);
	assert_int_equal(call_parts_parse(text_get(&t), SLICE("b"), part), CALL_PARTS);
}

static void boundaries(void **state)
{
	is(call_parts_boundary(SLICE("multipart/mixed;boundary=b1")), "b1");
	is(call_parts_boundary(SLICE("multipart/mixed; type=x; Boundary=\"a b\"")), "a b");
	assert_int_equal(call_parts_boundary(SLICE("multipart/mixed")).n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(two_parts), cmocka_unit_test(odd_ones), cmocka_unit_test(boundaries) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
