/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/conf/NAME.json against the notes in NAME.expect; what parses is printed, parsed again and has no difference.
 * Every document in examples/ checks. With POSTERN_GOLDEN=write the .expect files are written anew, to be read before they are committed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

#include "postern/conf.h"
#include "postern/ctl.h"

static char *load(const char *path, size_t *ret_n)
{
	FILE *f = fopen(path, "re");
	char *buf = calloc(1, 1 << 20);

	assert_non_null(buf);
	*ret_n = f ? fread(buf, 1, (1 << 20) - 1, f) : 0;
	if (f)
		fclose(f);
	return buf;
}

static void notes_print(const struct conf_errors *errs, struct text *t)
{
	const struct conf_note *n;
	size_t i;

	for (i = 0; (n = conf_errors_at(errs, i)); i++)
		text_add(t, "%s: %s%s\n", n->pointer, n->warning ? "warning: " : "", n->message);
}

/** Printed, parsed and printed again: nothing changed. */
static void round_trip(const struct conf_doc *doc)
{
	char *text = conf_print(doc, false), *diff;
	struct conf_doc *again = NULL;
	struct conf_errors *errs;

	assert_non_null(text);
	assert_int_equal(conf_errors_new(&errs), 0);
	assert_int_equal(conf_parse(slice_str(text), ctl_schema, errs, &again), 0);
	diff = conf_diff(doc, again);
	assert_string_equal(diff, "[]");
	free(diff);
	free(text);
	base_unref(again);
	base_unref(errs);
}

static void compare(const char *json, const char *got)
{
	char path[512];
	size_t n;
	char *want;
	FILE *f;

	assert_true(slice_copy(path, sizeof path, (struct slice){ json, strlen(json) - 5 }));
	assert_true(strlen(path) + 8 < sizeof path);
	memcpy(path + strlen(path), ".expect", 8);
	if (getenv("POSTERN_GOLDEN")) {
		f = fopen(path, "we");
		assert_non_null(f);
		fputs(got, f);
		fclose(f);
		return;
	}
	want = load(path, &n);
	if (strcmp(want, got))
		print_error("%s: expected\n%sgot\n%s", path, want, got);
	assert_string_equal(got, want);
	free(want);
}

static void one(const char *path, bool golden)
{
	static char got[65536];
	struct text t = text_on(got, sizeof got);
	struct conf_doc *doc = NULL;
	struct conf_errors *errs;
	size_t n, live = base_live();
	char *text = load(path, &n);
	int err;

	assert_int_equal(conf_errors_new(&errs), 0);
	err = conf_parse((struct slice){ text, n }, ctl_schema, errs, &doc);
	assert_true(err == (conf_errors_count(errs) ? ERR_CONFIG : 0));
	assert_true(!doc == !!err);
	notes_print(errs, &t);
	if (golden)
		compare(path, got);
	else
		assert_string_equal(got, "");
	if (doc)
		round_trip(doc);
	free(text);
	base_unref(doc);
	base_unref(errs);
	assert_int_equal(base_live(), live);
}

static void all(const char *pattern, bool golden)
{
	glob_t g;
	size_t i;

	assert_int_equal(glob(pattern, 0, NULL, &g), 0);
	for (i = 0; i < g.gl_pathc; i++)
		one(g.gl_pathv[i], golden);
	globfree(&g);
}

static void goldens(void **state) { all(SOURCE_ROOT "/tests/conf/*.json", true); }
static void examples(void **state) { all(SOURCE_ROOT "/examples/*.json", false); }

/** Memory may run out at any point: no crash, no leak, no document. */
static void out_of_memory(void **state)
{
	size_t n, live = base_live();
	char *text = load(SOURCE_ROOT "/tests/conf/complete.json", &n);
	long i;
	int err = -1;

	for (i = 1; err && i < 5000; i++) {
		struct conf_doc *doc = NULL;
		struct conf_errors *errs = NULL;

		base_alloc_fail_after(i);
		err = conf_errors_new(&errs);
		if (!err)
			err = conf_parse((struct slice){ text, n }, ctl_schema, errs, &doc);
		base_alloc_fail_after(0);
		assert_true(!doc == !!err);
		base_unref(doc);
		base_unref(errs);
		assert_int_equal(base_live(), live);
	}
	free(text);
}

static void reference(void **state)
{
	static const struct { enum conf_reference form; const char *path; } pages[] = {
		{ CONF_MARKDOWN, SOURCE_ROOT "/docs/reference-config.md" }, { CONF_MAN, SOURCE_ROOT "/docs/man/postern.json.5" },
	};
	size_t i, n;

	for (i = 0; i < ARRAY_LEN(pages); i++) {
		char *want = conf_reference_print(ctl_schema, pages[i].form), *has = load(pages[i].path, &n);

		if (strcmp(want, has))
			print_error("%s is old: print it with src/conf-reference\n", pages[i].path);
		assert_string_equal(has, want);
		free(want);
		free(has);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(goldens), cmocka_unit_test(examples), cmocka_unit_test(out_of_memory), cmocka_unit_test(reference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
