/* SPDX-License-Identifier: Apache-2.0 */
/* Printing, secrets and differences. A difference, applied to the old document, gives the new one (RFC 6902). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "postern/conf.h"

/* ---- a schema of the test's own ---- */
struct thing { const char *id; int64_t n; const char *secret; struct conf_list list, users; };
struct user { const char *username, *password; };

static const struct conf_row user_rows[] = {
	{ .key = "username", .type = CONF_STRING, .at = offsetof(struct user, username), .flags = CONF_REQUIRED },
	{ .key = "password", .type = CONF_STRING, .at = offsetof(struct user, password), .flags = CONF_SECRET },
	{ .key = NULL }
};
static const struct conf_row deep_rows[] = {
	{ .key = "secret", .type = CONF_STRING, .at = offsetof(struct thing, secret), .flags = CONF_SECRET | CONF_NULL },
	{ .key = "users", .type = CONF_LIST, .elem = CONF_OBJECT, .at = offsetof(struct thing, users), .sub = user_rows, .elem_size = sizeof(struct user) },
	{ .key = NULL }
};
static const struct conf_row rows[] = {
	{ .key = "id", .type = CONF_ID, .at = offsetof(struct thing, id), .flags = CONF_REQUIRED },
	{ .key = "n", .type = CONF_INT, .at = offsetof(struct thing, n), .min = 0, .max = 100 },
	{ .key = "list", .type = CONF_LIST, .elem = CONF_INT, .at = offsetof(struct thing, list) },
	{ .key = "deep", .type = CONF_OBJECT, .sub = deep_rows },
	{ .key = NULL }
};
static const struct conf_collection things = { .name = "things", .one = "thing", .rows = rows, .size = sizeof(struct thing) };
static const struct conf_collection top = { .name = "top", .one = "top", .rows = rows + 1, .size = sizeof(struct thing), .single = true };
static const struct conf_collection *const schema[] = { &top, &things, NULL };

static struct conf_doc *parse(const char *text, size_t errors)
{
	struct conf_doc *doc = NULL;
	struct conf_errors *errs;

	assert_int_equal(conf_errors_new(&errs), 0);
	conf_parse(slice_str(text), schema, errs, &doc);
	if (conf_errors_count(errs) != errors && conf_errors_at(errs, 0))
		print_error("%s: %s\n", conf_errors_at(errs, 0)->pointer, conf_errors_at(errs, 0)->message);
	assert_int_equal(conf_errors_count(errs), errors);
	base_unref(errs);
	return doc;
}

/* ---- as much of RFC 6902 as is needed ---- */
static json_t *step_down(json_t *v, const char *step)
{
	return json_is_array(v) ? json_array_get(v, strtoul(step, NULL, 10)) : json_object_get(v, step);
}

/** The container of a path's last step. */
static json_t *container(json_t *root, const char *path, char *last, size_t size)
{
	char step[64];
	size_t n;

	for (path++;; path += n + 1) {
		n = strcspn(path, "/");
		assert_true(slice_copy(step, sizeof step, (struct slice){ path, n }));
		if (!path[n])
			break;
		root = step_down(root, step);
		assert_non_null(root);
	}
	slice_copy(last, size, slice_str(step));
	return root;
}

static json_t *cut_out(json_t *root, const char *path)
{
	char last[64];
	json_t *c = container(root, path, last, sizeof last), *v = json_incref(step_down(c, last));

	assert_non_null(v);
	assert_int_equal(json_is_array(c) ? json_array_remove(c, strtoul(last, NULL, 10)) : json_object_del(c, last), 0);
	return v;
}

static void put_in(json_t *root, const char *path, json_t *v)
{
	char last[64];
	json_t *c = container(root, path, last, sizeof last);

	assert_int_equal(json_is_array(c) ? json_array_insert_new(c, strtoul(last, NULL, 10), v) : json_object_set_new(c, last, v), 0);
}

static void apply(json_t *root, const json_t *patch)
{
	json_t *o;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)patch, i, o) {
		const char *op = json_string_value(json_object_get(o, "op")), *path = json_string_value(json_object_get(o, "path"));
		const char *from = json_string_value(json_object_get(o, "from"));
		json_t *v = json_incref(json_object_get(o, "value"));

		if (!strcmp(op, "move"))
			v = cut_out(root, from);
		if (!strcmp(op, "remove") || !strcmp(op, "replace"))
			json_decref(cut_out(root, path));
		if (strcmp(op, "remove"))
			put_in(root, path, v);
		else
			json_decref(v);
	}
}

#define DOC(body) "{ \"schema\": 1, " body " }"

static void diff_applies(void **state)
{
	static const char *const docs[] = {
		DOC("\"things\": []"),
		DOC("\"top\": { \"n\": 1 }, \"things\": [ { \"id\": \"a\" }, { \"id\": \"b\", \"n\": 2, \"list\": [1, 2] }, { \"id\": \"c\" } ]"),
		DOC("\"top\": { \"n\": 2, \"list\": [] }, \"things\": [ { \"id\": \"c\" }, { \"id\": \"a\", \"n\": 5 } ]"),
		DOC("\"things\": [ { \"id\": \"d\" }, { \"id\": \"b\", \"list\": [2] }, { \"id\": \"e\" }, { \"id\": \"c\", \"deep\": { } }, { \"id\": \"a\" } ]"),
		DOC("\"top\": { \"deep\": { \"users\": [ { \"username\": \"u\" } ] } }"),
	};
	size_t i, k;

	for (i = 0; i < ARRAY_LEN(docs); i++) {
		for (k = 0; k < ARRAY_LEN(docs); k++) {
			struct conf_doc *a = parse(docs[i], 0), *b = parse(docs[k], 0);
			json_t *root = json_loads(docs[i], 0, NULL), *want = json_loads(docs[k], 0, NULL);
			char *diff = conf_diff(a, b);
			json_t *patch = json_loads(diff, 0, NULL);

			apply(root, patch);
			assert_true(json_equal(root, want));
			assert_int_equal(json_array_size(patch) == 0, i == k);
			json_decref(patch);
			json_decref(root);
			json_decref(want);
			free(diff);
			base_unref(a);
			base_unref(b);
		}
	}
}

static const char with_secrets[] = DOC("\"top\": { \"deep\": { \"secret\": \"one\" } }, \"things\": ["
	"{ \"id\": \"a\", \"deep\": { \"secret\": \"two\", \"users\": [ { \"username\": \"u\", \"password\": \"three\" }, { \"username\": \"v\", \"password\": \"four\" } ] } },"
	"{ \"id\": \"b\", \"deep\": { \"secret\": null } } ]");

static void secrets_are_hidden(void **state)
{
	static const char *const words[] = { "one", "two", "three", "four" };
	struct conf_doc *a = parse(with_secrets, 0), *b = parse(DOC("\"things\": []"), 0);
	char *text[] = { conf_print(a, true), conf_print_part(a, "things", NULL, true), conf_print_part(a, "things", "a", true), conf_diff(b, a), conf_diff(a, b) }, *open;
	size_t i, k;

	for (i = 0; i < ARRAY_LEN(text); i++) {
		for (k = 0; k < ARRAY_LEN(words); k++)
			assert_null(strstr(text[i], words[k]));
		assert_true(i == 4 || strstr(text[i], "\"***\""));
		free(text[i]);
	}
	open = conf_print(a, false);
	assert_non_null(strstr(open, "three"));
	free(open);
	base_unref(a);
	base_unref(b);
}

/** A secret that changed is a difference, and is not told. */
static void changed_secret(void **state)
{
	struct conf_doc *a = parse(DOC("\"top\": { \"deep\": { \"secret\": \"old\" } }"), 0), *b = parse(DOC("\"top\": { \"deep\": { \"secret\": \"new\" } }"), 0);
	char *diff = conf_diff(a, b);
	json_t *patch = json_loads(diff, 0, NULL);

	assert_int_equal(json_array_size(patch), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(patch, 0), "value")), "***");
	json_decref(patch);
	free(diff);
	base_unref(a);
	base_unref(b);
}

static void secrets_come_back(void **state)
{
	struct conf_doc *old = parse(with_secrets, 0), *again;
	char *shown = conf_print(old, true), *whole = NULL, *diff;

	assert_int_equal(conf_restore_secrets(slice_str(shown), old, &whole), 0);
	again = parse(whole, 0);
	diff = conf_diff(old, again);
	assert_string_equal(diff, "[]");
	free(diff);
	free(whole);
	base_unref(again);
	/* moved, renamed, new: by id and username alone */
	assert_int_equal(conf_restore_secrets(slice_str(DOC("\"things\": [ { \"id\": \"n\", \"deep\": { \"secret\": \"***\" } },"
		"{ \"id\": \"a\", \"deep\": { \"secret\": \"***\", \"users\": [ { \"username\": \"v\", \"password\": \"***\" }, { \"username\": \"w\", \"password\": \"***\" } ] } } ]")), old, &whole), 0);
	assert_non_null(strstr(whole, "two"));
	assert_non_null(strstr(whole, "four"));
	assert_null(strstr(whole, "three"));
	assert_null(parse(whole, 2));
	free(whole);
	whole = NULL;
	assert_int_equal(conf_restore_secrets(SLICE("[1]"), old, &whole), ERR_CONFIG);
	assert_int_equal(conf_restore_secrets(SLICE("{"), old, &whole), ERR_CONFIG);
	assert_null(whole);
	free(shown);
	base_unref(old);
}

static void parts(void **state)
{
	struct conf_doc *d = parse(DOC("\"things\": [ { \"id\": \"a\", \"n\": 1 } ]"), 0);
	char *a = conf_print_part(d, "things", "a", true), *t = conf_print_part(d, "top", NULL, true);

	assert_non_null(strstr(a, "\"n\": 1"));
	assert_string_equal(t, "{}");
	assert_null(conf_print_part(d, "things", "b", true));
	assert_null(conf_print_part(d, "nothing", NULL, true));
	free(a);
	free(t);
	base_unref(d);
}

static void strict_json(void **state)
{
	static const char *const bad[] = { "", "{", "{ \"schema\": 1 } x", "{ 'schema': 1 }", "{ \"schema\": 1, }", "{ \"schema\": 1, \"schema\": 1 }",
		"{ \"schema\": 1, \"top\": { \"n\": 1e400 } }", "{ \"schema\": 1, \"top\": { \"n\": 99999999999999999999 } }", "{ \"schema\": 1, \"top\": { \"n\": NaN } }",
		"{ \"schema\": 1, \"top\": { \"deep\": { \"secret\": \"\\u0000\" } } }", "{ \"schema\": 1, \"top\": { \"deep\": { \"secret\": \"\xff\" } } }", "{ \"schema\": 1.0 }" };
	size_t i;

	for (i = 0; i < ARRAY_LEN(bad); i++)
		assert_null(parse(bad[i], 1));
}

static void too_large(void **state)
{
	char *buf = calloc(1, CONF_BYTES_MAX + 2);

	memset(buf, ' ', CONF_BYTES_MAX + 1);
	assert_null(parse(buf, 1));
	free(buf);
}

/** Ten thousand errors: all counted, a thousand kept. */
static void many_errors(void **state)
{
	size_t size = 1 << 18, i;
	char *buf = calloc(1, size);
	struct text t = text_on(buf, size);
	struct conf_doc *doc = NULL;
	struct conf_errors *errs;

	text_add(&t, "{ \"schema\": 1, \"things\": [");
	for (i = 0; i < 10000; i++)
		text_add(&t, "%s7", i ? "," : "");
	text_add(&t, "] }");
	assert_int_equal(conf_errors_new(&errs), 0);
	assert_int_equal(conf_parse(slice_str(buf), schema, errs, &doc), ERR_CONFIG);
	assert_int_equal(conf_errors_count(errs), 10000);
	assert_non_null(conf_errors_at(errs, 999));
	assert_null(conf_errors_at(errs, 1000));
	base_unref(errs);
	free(buf);
}

static int no_leak(void **state)
{
	return base_live() ? -1 : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(diff_applies, no_leak), cmocka_unit_test_teardown(secrets_are_hidden, no_leak), cmocka_unit_test_teardown(changed_secret, no_leak),
		cmocka_unit_test_teardown(secrets_come_back, no_leak), cmocka_unit_test_teardown(parts, no_leak), cmocka_unit_test_teardown(strict_json, no_leak),
		cmocka_unit_test_teardown(too_large, no_leak), cmocka_unit_test_teardown(many_errors, no_leak),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
