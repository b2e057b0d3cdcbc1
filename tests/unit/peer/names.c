/* SPDX-License-Identifier: Apache-2.0 */
/* Names asked of DNS: those that peers chose fill half of the room at most, and make room again when nobody asks for them any more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "peer/names.h"

#define HALF 4096

static void changed(void *arg) { }

static void names_of_peers_make_room(void **state)
{
	static const char *const server[] = { "127.0.0.1:9" };
	struct peer_names *s;
	struct loop *l;
	char name[32];

	(void)state;
	assert_int_equal(loop_new(&l), 0);
	assert_int_equal(peer_names_new(l, server, 1, 200, changed, NULL, &s), 0);
	for (unsigned i = 0; i < HALF; i++) {
		assert_true(peer_names_has_room(s));
		snprintf(name, sizeof name, "n%u.example", i);
		assert_non_null(peer_names_get(s, name, WIRE_DNS_A));
	}
	/* all but the few that are being asked were asked for by nobody for long: never, that is */
	assert_true(peer_names_has_room(s));
	assert_non_null(peer_names_get(s, "another.example", WIRE_DNS_A));
	peer_names_free(s);
	loop_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(names_of_peers_make_room) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
