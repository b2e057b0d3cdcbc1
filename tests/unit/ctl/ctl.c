/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands as messages, texts of any bytes as JSON, renderers on memory that is missing, foreign or damaged.
 */
#include <stdlib.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "ctl/ctl.h"
#include "postern/call.h"
#include "postern/peer.h"

static void messages(void **state)
{
	enum ctl_command_id id = 0;
	struct slice args, json;
	uint8_t buf[64];
	size_t n = 0;
	int status = 1;

	assert_int_equal(ctl_request_print(CTL_CALL_END, SLICE("{\"id\":\"x\"}"), buf, sizeof buf, &n), 0);
	assert_int_equal(ctl_request_parse((struct slice){ (char *)buf, n }, &id, &args), 0);
	assert_int_equal(id, CTL_CALL_END);
	assert_true(slice_eq(args, SLICE("{\"id\":\"x\"}")));
	for (size_t i = 0; i < n; i++)
		assert_int_equal(ctl_request_parse((struct slice){ (char *)buf, i }, &id, &args), ERR_PROTO);
	assert_int_equal(ctl_request_parse((struct slice){ (char *)buf, n + 1 }, &id, &args), ERR_PROTO);
	buf[0] = 99;
	assert_int_equal(ctl_request_parse((struct slice){ (char *)buf, n }, &id, &args), ERR_PROTO);
	assert_int_equal(ctl_request_print(CTL_DRAIN, SLICE("0123456789"), buf, 15, &n), ERR_TRUNCATED);

	assert_int_equal(ctl_reply_print(ERR_NOTFOUND, SLICE("no"), buf, sizeof buf, &n), 0);
	assert_int_equal(ctl_reply_parse((struct slice){ (char *)buf, n }, &status, &json), 0);
	assert_int_equal(status, ERR_NOTFOUND);
	assert_true(slice_eq(json, SLICE("no")));
	for (size_t i = 0; i < n; i++)
		assert_int_equal(ctl_reply_parse((struct slice){ (char *)buf, i }, &status, &json), ERR_PROTO);
	/* a status above 0 is none of ours */
	memcpy(buf, "\1\0\0", 4);
	assert_int_equal(ctl_reply_parse((struct slice){ (char *)buf, n }, &status, &json), ERR_PROTO);
}

static void command_rows(void **state)
{
	for (enum ctl_command_id i = CTL_CALL_END; i < CTL_COMMANDS; i++) {
		assert_non_null(ctl_command_row(i));
		assert_int_equal(ctl_command_row(i)->id, i);
		assert_non_null(ctl_command_row(i)->doc);
	}
	assert_null(ctl_command_row(0));
	assert_null(ctl_command_row(CTL_COMMANDS));
}

static void texts(void **state)
{
	static const struct { struct slice in; const char *out; } t[] = {
		{ { "abc", 3 }, "abc" }, { { NULL, 0 }, "" }, { { "gr\xc3\xbc\xc3\x9f", 6 }, "gr\xc3\xbc\xc3\x9f" }, { { "\xf0\x9f\x98\x80", 4 }, "\xf0\x9f\x98\x80" },
		{ { "a\xff" "b", 3 }, "a\xef\xbf\xbd" "b" }, { { "\xc3", 1 }, "\xef\xbf\xbd" }, { { "\xc0\xaf", 2 }, "\xef\xbf\xbd\xef\xbf\xbd" },
		{ { "\xed\xa0\x80", 3 }, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" }, { { "\xf4\x90\x80\x80", 4 }, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		json_t *v = ctl_text(t[i].in);

		assert_string_equal(json_string_value(v), t[i].out);
		json_decref(v);
	}
	/* every pair of bytes gives a text that prints and parses again */
	for (unsigned i = 0; i < 65536; i++) {
		char two[2] = { (char)(i >> 8), (char)i }, *text;
		json_t *v = json_pack("[o]", ctl_text((struct slice){ two, 2 })), *again;

		text = json_dumps(v, 0);
		assert_non_null(text);
		again = json_loads(text, JSON_ALLOW_NUL, NULL);
		assert_true(json_equal(v, again));
		free(text);
		json_decref(v);
		json_decref(again);
	}
}

static void nothing_there(void **state)
{
	struct ctl_maps m = { 0 };
	json_t *v = ctl_render_calls(&m, NULL, NULL, 10);
	char *text;

	assert_int_equal(json_array_size(json_object_get(v, "items")), 0);
	json_decref(v);
	v = ctl_render_trunks(&m, NULL, 10);
	assert_int_equal(json_array_size(json_object_get(v, "items")), 0);
	json_decref(v);
	assert_null(ctl_render_call(&m, "x"));
	assert_null(ctl_render_trunk(&m, "x"));
	assert_null(ctl_render_calls(&m, NULL, "odd", 10));
	assert_false(ctl_has_call(&m, "x"));
	v = ctl_render_stats(&m);
	assert_non_null(json_object_get(v, "postern_calls"));
	json_decref(v);
	text = ctl_render_metrics(&m);
	assert_non_null(text);
	free(text);
}

/* whatever lies in the memory, rendering reads within it and gives JSON */
static void rubbish(void **state)
{
	const struct loop_shm_spec spec[] = { { REGION_COUNTERS, 64 }, { REGION_CALLS, call_store_bytes(20) }, { REGION_TARGETS, peer_live_bytes(2) } };
	struct call_record r = { .id = "c", .state = CALL_UP };
	struct ctl_maps m = { 0 };
	struct call_store *s;
	struct loop_shm shm;
	unsigned torn;
	uint32_t slot;
	size_t n[2];
	uint8_t *mem[2];
	int fd;

	assert_int_equal(loop_shm_create("t", spec, ARRAY_LEN(spec), &fd), 0);
	assert_int_equal(loop_shm_map(fd, true, &shm), 0);
	close(fd);
	m.calls = &shm;
	mem[0] = loop_shm_region(&shm, REGION_CALLS, &n[0]);
	mem[1] = loop_shm_region(&shm, REGION_TARGETS, &n[1]);
	assert_int_equal(call_store_open(mem[0], n[0], &torn, &s), 0);
	for (int i = 0; i < 20; i++)
		assert_true(!call_store_add(s, &slot) && !call_store_put(s, slot, &r));
	srandom(1);
	for (int i = 0; i < 300; i++) {
		char *text;

		for (int k = 0; k < 20; k++)
			mem[k & 1][(size_t)random() % (k & 2 ? n[k & 1] : 512)] = (uint8_t)random();
		json_decref(ctl_render_calls(&m, NULL, NULL, 100));
		json_decref(ctl_render_trunks(&m, NULL, 100));
		json_decref(ctl_render_call(&m, "c"));
		text = ctl_render_metrics(&m);
		assert_non_null(text);
		free(text);
	}
	call_store_close(s);
	loop_shm_unmap(&shm);
	assert_int_equal(base_live(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages), cmocka_unit_test(command_rows), cmocka_unit_test(texts), cmocka_unit_test(nothing_there), cmocka_unit_test(rubbish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
