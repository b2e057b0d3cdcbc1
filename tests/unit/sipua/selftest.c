/* SPDX-License-Identifier: Apache-2.0 */
/* The guard's self-test passes in a program that has the guard, and leaves nothing behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>

#include "postern/sipua.h"

static void passes(void **state)
{
	size_t before = base_live();
	char why[256];
	int err = sipua_guard_selftest(why);

	(void)state;
	if (err)
		print_message("%s\n", why);
	assert_int_equal(err, 0);
	assert_int_equal(base_live(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(passes), cmocka_unit_test(passes) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
