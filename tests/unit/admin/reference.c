/* SPDX-License-Identifier: Apache-2.0 */
/* docs/reference-api.md is what the tables print; every route says what it takes and gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "admin/admin.h"
#include "admin/shapes.h"

static void page(void **state)
{
	FILE *f = fopen(SOURCE_ROOT "/docs/reference-api.md", "re");
	char *want = admin_reference_print(), *has = calloc(1, 1 << 20);

	assert_non_null(f);
	assert_true(want && has && fread(has, 1, (1 << 20) - 1, f) > 0);
	fclose(f);
	if (strcmp(want, has) != 0)
		fail_msg("docs/reference-api.md is old: print it with src/api-reference md");
	free(want);
	free(has);
}

static bool is_shape(const char *name, size_t n)
{
	static const char *const known[] = { "", "{one}", "text", "pcap", "patch", "configuration" };

	for (const struct admin_shape *s = admin_shapes; s->name; s++)
		if (strlen(s->name) == n && !strncmp(s->name, name, n))
			return true;
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strlen(known[i]) == n && !strncmp(known[i], name, n))
			return true;
	return false;
}

/** What the tables of exchanges name is there. */
static void names(void **state)
{
	for (const struct admin_route *r = admin_routes(); r->path; r++) {
		const struct admin_exchange *x = admin_exchange_of(r->method, r->path);

		assert_true(!x->body || is_shape(x->body, strlen(x->body)));
		for (const char *p = x->answers; *p; ) {
			size_t n = strcspn(p, " ,|[]");

			if (!is_shape(p, n) && n != 3)
				fail_msg("%s %s: no shape %.*s", r->method, r->path, (int)n, p);
			p += n;
			p += strspn(p, " ,|[]");
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(page), cmocka_unit_test(names) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
