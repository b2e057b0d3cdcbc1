/* SPDX-License-Identifier: Apache-2.0 */
/* Boot messages and revision bundles: what is printed parses again, what is cut or bent is refused, nothing is left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "app/boot.h"
#include "app/bundle.h"
#include "postern/loop.h"

static void setup_round(void **state)
{
	struct app_setup s = { .level = BASE_DEBUG, .max_calls = 4000, .connections = 77, .sockets = 8, .socket_room = 16, .workers = 2,
		.token_hash = SLICE("abc"), .ntags = 3, .tag = { APP_FD_CALLS, APP_FD_MAP, APP_FD_LISTENER } }, r;
	uint8_t buf[512];
	int n = app_setup_print(&s, buf, sizeof(buf));

	assert_true(n > 0);
	assert_int_equal(app_setup_parse((struct slice){ (char *)buf, (size_t)n }, &r), 0);
	assert_int_equal(r.level, BASE_DEBUG);
	assert_int_equal(r.max_calls, 4000);
	assert_int_equal(r.connections, 77);
	assert_int_equal(r.workers, 2);
	assert_int_equal(r.ntags, 3);
	assert_int_equal(r.tag[2], APP_FD_LISTENER);
	for (int cut = 0; cut < n; cut++)
		assert_int_equal(app_setup_parse((struct slice){ (char *)buf, (size_t)cut }, &r), ERR_PROTO);
	assert_int_equal(app_setup_print(&s, buf, 20), ERR_TRUNCATED);
}

static void odd_tag(void **state)
{
	struct app_go g = { .draining = 1, .ntags = 1, .tag = { APP_FD_TAGS } }, r;
	uint8_t buf[64];
	int n = app_go_print(&g, buf, sizeof(buf));

	assert_int_equal(app_go_parse((struct slice){ (char *)buf, (size_t)n }, &r), ERR_PROTO);
	g.tag[0] = APP_FD_CHAN_ADMIN;
	n = app_go_print(&g, buf, sizeof(buf));
	assert_int_equal(app_go_parse((struct slice){ (char *)buf, (size_t)n }, &r), 0);
	assert_int_equal(r.draining, 1);
	assert_int_equal(r.tag[0], APP_FD_CHAN_ADMIN);
}

static void health_round(void **state)
{
	struct app_health h = { .status = SLICE("degraded"), .n = 2, .row = { { SLICE("supervisor"), 10, 0, 1 }, { SLICE("engine"), 11, 3, 1700000000000 } } }, r;
	uint8_t buf[256];
	int n = app_health_print(&h, buf, sizeof(buf));

	assert_int_equal(app_health_parse((struct slice){ (char *)buf, (size_t)n }, &r), 0);
	assert_true(slice_eq(r.status, h.status));
	assert_int_equal(r.row[1].pid, 11);
	assert_int_equal(r.row[1].restarts, 3);
	assert_true(r.row[1].since_ms == 1700000000000);
	buf[4 + 8] = 200; /* more rows than there can be */
	assert_int_equal(app_health_parse((struct slice){ (char *)buf, (size_t)n }, &r), ERR_PROTO);
}

static const struct app_file files[] = {
	{ "certificate", "edge.pem", "/etc/postern/edge.pem", SLICE("CERT") },
	{ "key", "edge.key", "", SLICE("KEY") },
	{ "policy", "a.policy", "", SLICE("") },
};

static void bundle_round(void **state)
{
	size_t live = base_live();
	struct app_bundle *b = NULL, *c = NULL;
	const struct app_file *f;

	assert_int_equal(app_bundle_new(7, SLICE("{\"schema\":1}"), files, ARRAY_LEN(files), &b), 0);
	assert_int_equal(app_bundle_parse(app_bundle_get(b), &c), 0);
	assert_true(c->revision == 7);
	assert_true(slice_eq(c->document, SLICE("{\"schema\":1}")));
	f = app_bundle_find(c, "certificate", "edge.pem");
	assert_non_null(f);
	assert_string_equal(f->origin, "/etc/postern/edge.pem");
	assert_true(slice_eq(f->bytes, SLICE("CERT")));
	assert_null(app_bundle_find(c, "key", "edge.pem"));
	assert_true(app_bundle_same(b, c));
	base_unref(b);
	base_unref(c);
	assert_int_equal(base_live(), live);
}

static void bundle_differs(void **state)
{
	struct app_file changed[ARRAY_LEN(files)];
	struct app_bundle *b = NULL, *c = NULL;

	memcpy(changed, files, sizeof(files));
	changed[1].bytes = SLICE("KEX");
	assert_int_equal(app_bundle_new(1, SLICE("{}"), files, ARRAY_LEN(files), &b), 0);
	assert_int_equal(app_bundle_new(2, SLICE("{}"), changed, ARRAY_LEN(files), &c), 0);
	assert_false(app_bundle_same(b, c));
	base_unref(c);
	assert_int_equal(app_bundle_new(2, SLICE("{ }"), files, ARRAY_LEN(files), &c), 0);
	assert_false(app_bundle_same(b, c));
	base_unref(b);
	base_unref(c);
}

static void bundle_bent(void **state)
{
	size_t live = base_live();
	struct app_bundle *b = NULL, *c;
	struct slice wire;
	char *copy;

	assert_int_equal(app_bundle_new(7, SLICE("{}"), files, ARRAY_LEN(files), &b), 0);
	wire = app_bundle_get(b);
	for (size_t cut = 0; cut < wire.n; cut++)
		assert_int_equal(app_bundle_parse((struct slice){ wire.p, cut }, &c), ERR_PROTO);
	copy = malloc(wire.n);
	assert_non_null(copy);
	for (size_t i = 0; i < wire.n; i++) {
		memcpy(copy, wire.p, wire.n);
		copy[i] = (char)0xff;
		c = NULL;
		if (app_bundle_parse((struct slice){ copy, wire.n }, &c) == 0)
			base_unref(c); /* a byte of a name or of content: a valid bundle */
	}
	free(copy);
	base_unref(b);
	assert_int_equal(base_live(), live);
}

static void bundle_through_memfd(void **state)
{
	struct app_bundle *b = NULL, *c = NULL;
	struct slice map;
	int fd = -1;

	assert_int_equal(app_bundle_new(7, SLICE("{}"), files, ARRAY_LEN(files), &b), 0);
	assert_int_equal(app_bundle_seal(b, &fd), 0);
	assert_int_equal(loop_blob_map(fd, &map), 0);
	assert_int_equal(app_bundle_parse(map, &c), 0);
	assert_true(app_bundle_same(b, c));
	munmap((void *)(uintptr_t)map.p, map.n);
	base_unref(c);
	assert_int_equal(app_bundle_load(fd, &c), 0);
	assert_true(app_bundle_same(b, c));
	base_unref(c);
	base_unref(b);
	close(fd);
}

static void bundle_without_memory(void **state)
{
	size_t live = base_live();
	struct app_bundle *b = NULL;

	base_alloc_fail_after(1);
	assert_int_equal(app_bundle_new(1, SLICE("{}"), files, ARRAY_LEN(files), &b), -ENOMEM);
	base_alloc_fail_after(0);
	assert_null(b);
	assert_int_equal(base_live(), live);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(setup_round), cmocka_unit_test(odd_tag), cmocka_unit_test(health_round), cmocka_unit_test(bundle_round),
		cmocka_unit_test(bundle_differs), cmocka_unit_test(bundle_bent), cmocka_unit_test(bundle_through_memfd), cmocka_unit_test(bundle_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
