/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goldens of the policy language, the .cases of tests/policy: a policy, a message, what comes out of it. A case is
 *     === NAME HOOK MESSAGE [key=value ...]
 *     policy text (bare rules are put into a policy of the hook), or errors where MESSAGE is `-`
 *     ---
 *     notes, diff, verdict
 * With RULE_WRITE=1 in the environment the files are written anew with what came out; read the difference before it is committed.
 * Every policy here, and every file of policies/, is also printed, parsed again and printed again.
 */
#define _GNU_SOURCE /* nftw */
#include <dirent.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "postern/rule.h"

#define MOST 262144

static unsigned cases, failures;

static char *file_read(const char *path, size_t *ret_n)
{
	FILE *f = fopen(path, "rb");
	char *buf = calloc(1, MOST);

	if (!f || !buf)
		fail_msg("cannot read %s", path);
	*ret_n = fread(buf, 1, MOST - 1, f);
	fclose(f);
	return buf;
}

static int include(void *arg, const char *from, struct slice name, struct slice *ret_text, struct slice *ret_name)
{
	static char path[512], text[65536];
	FILE *f;

	snprintf(path, sizeof path, "%s/%.*s", (const char *)arg, (int)name.n, name.p);
	f = fopen(path, "rb");
	if (!f)
		return ERR_NOTFOUND;
	*ret_text = (struct slice){ text, fread(text, 1, sizeof text, f) };
	fclose(f);
	*ret_name = name;
	return 0;
}

static void errors_print(const struct rule_errors *e, struct text *out)
{
	for (size_t i = 0; i < rule_errors_count(e); i++)
		rule_error_print(rule_errors_get(e, i), out);
}

/* ---- printed form ---- */
static void same_again(const char *name, struct rule_set *s, const char *folder)
{
	char *one = rule_set_print(s), *json = rule_set_print_json(s), *two, *json2;
	struct rule_load how = { .file = name, .include = include, .arg = (void *)(uintptr_t)folder };
	struct rule_errors *errs = rule_errors_new();
	struct rule_set *again = NULL;
	char said[4096];
	struct text t = text_on(said, sizeof said);

	if (rule_set_load(slice_str(one), &how, errs, &again)) {
		errors_print(errs, &t);
		fail_msg("%s: the printed form does not parse:\n%s\n%s", name, one, said);
	}
	two = rule_set_print(again);
	json2 = rule_set_print_json(again);
	assert_string_equal(one, two);
	assert_string_equal(json, json2);
	free(one);
	free(two);
	free(json);
	free(json2);
	base_unref(errs);
	base_unref(again);
}

/* ---- one case ---- */
struct spec { char name[64], hook[16], message[64]; struct rule_at at; union base_addr src; uint64_t rate; char words[256]; };

static void spec_key(struct spec *c, char *word)
{
	char *eq = strchr(word, '=');

	if (!eq)
		fail_msg("case %s: %s?", c->name, word);
	*eq++ = 0;
	if (!strcmp(word, "trunk"))
		c->at.trunk = slice_str(eq);
	else if (!strcmp(word, "realm"))
		c->at.realm = slice_str(eq);
	else if (!strcmp(word, "transport"))
		c->at.transport = slice_str(eq);
	else if (!strcmp(word, "rate"))
		c->rate = strtoul(eq, NULL, 10);
	else if (!strcmp(word, "src") && !base_addr_parse(slice_str(eq), 5062, &c->src))
		c->at.src = &c->src;
	else
		fail_msg("case %s: %s?", c->name, word);
}

static void spec_parse(struct slice line, struct spec *c)
{
	char *save = NULL, *w;
	unsigned n = 0;

	memset(c, 0, sizeof *c);
	c->at.transport = SLICE("udp");
	slice_copy(c->words, sizeof c->words, line);
	for (w = strtok_r(c->words, " ", &save); w; w = strtok_r(NULL, " ", &save), n++) {
		if (n < 3)
			snprintf(n == 0 ? c->name : n == 1 ? c->hook : c->message, n == 1 ? sizeof c->hook : sizeof c->name, "%s", w);
		else
			spec_key(c, w);
	}
	if (n < 3)
		fail_msg("a case needs name, hook and message: %.*s", (int)line.n, line.p);
	c->at.hook = !strcmp(c->hook, "send") ? RULE_SEND : RULE_RECEIVE;
}

static struct rule_text_msg *message(const struct spec *c)
{
	struct rule_text_msg *m = NULL;
	char path[512];
	size_t n;
	char *text;

	snprintf(path, sizeof path, SOURCE_ROOT "/tests/policy/%s.sip", c->message);
	text = file_read(path, &n);
	if (rule_text_parse((struct slice){ text, n }, &m))
		fail_msg("%s does not parse", path);
	free(text);
	return m;
}

/** The text as a policy: bare rules get one around them. */
static char *wrap(const struct spec *c, struct slice text)
{
	char *buf = calloc(1, text.n + 128);
	static const char *const heads[] = { "policy ", "include ", "set @", "map %" };
	bool request = strcmp(c->message, "-") && c->message[0] >= 'a', whole = false;

	for (size_t i = 0; i < ARRAY_LEN(heads); i++)
		whole = whole || !strncmp(text.p, heads[i], strlen(heads[i]));
	if (whole)
		snprintf(buf, text.n + 128, "%.*s", (int)text.n, text.p);
	else
		snprintf(buf, text.n + 128, "policy p on %s %s {\n%.*s}\n", c->hook, request ? "request" : !strcmp(c->message, "-") ? "any" : "response", (int)text.n, text.p);
	return buf;
}

static void run_message(const struct spec *c, struct rule_set *s, struct text *out)
{
	static const char *const names[] = { "pass", "drop", "reject", "redirect", "route" };
	struct rule_text_msg *m = message(c);
	struct rule_at at = c->at;
	struct rule_chain *chain;
	struct rule_result r;
	char *before = rule_text_print(m), *after, *diff;

	at.dialog = rule_text_dialog(m);
	at.out = at.hook == (rule_text_is_request(m) ? RULE_SEND : RULE_RECEIVE);
	if (at.hook == RULE_RECEIVE)
		at.src_trunk = at.trunk, at.src_realm = at.realm;
	else
		at.dst_trunk = at.trunk, at.dst_realm = at.realm;
	rule_text_set_rate(m, c->rate);
	assert_int_equal(rule_chain_new(&s, 1, NULL, &chain), 0);
	rule_chain_run(chain, &at, &rule_text_ops, m, NULL, &r);
	after = rule_text_print(m);
	diff = rule_text_diff(before, after);
	text_add(out, "%s%s", rule_text_notes(m), diff);
	if (r.skipped || r.limits)
		text_add(out, "skipped %u, limits %u\n", r.skipped, r.limits);
	text_add(out, "fired %u, edits %u: %s", r.fired, r.edits, names[r.verdict]);
	if (r.verdict == RULE_REJECT)
		text_add(out, " %d", r.status);
	text_add(out, "%s%s\n", *r.text ? " " : "", r.text);
	/* what says that nothing was edited is right about it; edits may undo each other */
	assert_true(r.edits > 0 || !strcmp(before, after));
	free(before);
	free(after);
	free(diff);
	base_unref(chain);
	rule_text_free(m);
}

static void run_case(const struct spec *c, struct slice text, struct text *out)
{
	struct rule_load how = { .file = c->name, .include = include, .arg = (void *)(uintptr_t)(SOURCE_ROOT "/tests/policy") };
	struct rule_errors *errs = rule_errors_new();
	struct rule_set *s = NULL;
	char *policy = wrap(c, text);

	cases++;
	if (rule_set_load(slice_str(policy), &how, errs, &s)) {
		errors_print(errs, out);
	} else {
		same_again(c->name, s, SOURCE_ROOT "/tests/policy");
		if (strcmp(c->message, "-"))
			run_message(c, s, out);
		else
			text_add(out, "good\n");
	}
	base_unref(s);
	base_unref(errs);
	free(policy);
}

/* ---- a file of cases ---- */
static struct slice take_until(const char **at, const char *mark)
{
	struct slice s = { *at, 0 };
	const char *p = *at;

	while (*p && strncmp(p, mark, strlen(mark))) {
		const char *nl = strchr(p, '\n');

		p = nl ? nl + 1 : p + strlen(p);
	}
	s.n = (size_t)(p - *at);
	*at = p;
	return s;
}

static void run_file(const char *path)
{
	size_t n;
	char *text = file_read(path, &n), *made = malloc(MOST);
	struct text all = text_on(made, MOST), out;
	const char *at = text;
	static char said[32768];

	text_slice(&all, take_until(&at, "=== "));
	while (*at) {
		const char *nl = strchr(at, '\n');
		struct slice head = { at, nl ? (size_t)(nl + 1 - at) : strlen(at) }, policy, want;
		struct spec c;

		spec_parse((struct slice){ at + 4, head.n - 5 }, &c);
		at += head.n;
		policy = take_until(&at, "---\n");
		at += *at ? 4 : 0;
		want = take_until(&at, "=== ");
		out = text_on(said, sizeof said);
		run_case(&c, policy, &out);
		text_add(&out, "\n");
		text_slice(&all, head);
		text_slice(&all, policy);
		text_add(&all, "---\n%s", said);
		if (!slice_eq(want, text_get(&out))) {
			failures++;
			if (!getenv("RULE_WRITE"))
				print_error("%s: %s: expected\n%.*sgot\n%s", path, c.name, (int)want.n, want.p, said);
		}
	}
	assert_false(all.cut);
	if (getenv("RULE_WRITE")) {
		FILE *f = fopen(path, "wb");

		assert_non_null(f);
		fwrite(all.p, 1, all.n, f);
		fclose(f);
	}
	free(made);
	free(text);
}

static void test_cases(void **state)
{
	DIR *d = opendir(SOURCE_ROOT "/tests/policy");
	const struct dirent *e;
	char path[512];

	assert_non_null(d);
	while ((e = readdir(d))) {
		const char *dot = strrchr(e->d_name, '.');

		if (!dot || strcmp(dot, ".cases"))
			continue;
		snprintf(path, sizeof path, SOURCE_ROOT "/tests/policy/%s", e->d_name);
		run_file(path);
	}
	closedir(d);
	print_message("%u cases\n", cases);
	assert_true(cases > 150);
	if (!getenv("RULE_WRITE"))
		assert_int_equal(failures, 0);
}

/* ---- shipped files ---- */
static unsigned check_folder(const char *folder)
{
	DIR *d = opendir(folder);
	const struct dirent *e;
	char path[512], said[4096];
	unsigned files = 0;

	assert_non_null(d);
	while ((e = readdir(d))) {
		struct rule_load how = { .file = path, .include = include, .arg = (void *)(uintptr_t)folder };
		const char *dot = strrchr(e->d_name, '.');
		struct rule_errors *errs;
		struct rule_set *s = NULL;
		struct text t = text_on(said, sizeof said);
		char *text;
		size_t n;

		if (!dot || strcmp(dot, ".policy"))
			continue;
		snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
		text = file_read(path, &n);
		errs = rule_errors_new();
		if (rule_set_load((struct slice){ text, n }, &how, errs, &s)) {
			errors_print(errs, &t);
			fail_msg("%s", said);
		}
		same_again(path, s, folder);
		base_unref(s);
		base_unref(errs);
		free(text);
		files++;
	}
	closedir(d);
	return files;
}

static void test_shipped(void **state)
{
	assert_true(check_folder(SOURCE_ROOT "/policies") >= 1);
	assert_true(check_folder(SOURCE_ROOT "/policies/examples") >= 15);
}

/* ---- sip-profiles of Cisco ---- */
static unsigned import_one(const char *in, const char *out)
{
	size_t n, m;
	char *config = file_read(in, &n), *want, *got;
	struct rule_load how = { .file = in };
	struct rule_errors *errs = rule_errors_new();
	struct rule_set *s = NULL;
	char said[4096];
	struct text t = text_on(said, sizeof said);
	unsigned lost;

	got = rule_import_cube((struct slice){ config, n }, &lost);
	if (getenv("RULE_WRITE")) {
		FILE *f = fopen(out, "wb");

		assert_non_null(f);
		fputs(got, f);
		fclose(f);
	}
	want = file_read(out, &m);
	assert_string_equal(got, want);
	if (rule_set_load(slice_str(got), &how, errs, &s)) {
		errors_print(errs, &t);
		fail_msg("what was imported of %s has errors:\n%s", in, said);
	}
	same_again(in, s, SOURCE_ROOT);
	base_unref(s);
	base_unref(errs);
	free(config);
	free(got);
	free(want);
	return lost;
}

static void test_import(void **state)
{
	import_one(SOURCE_ROOT "/tests/policy/cube.config", SOURCE_ROOT "/tests/policy/cube.expect");
}

/* profiles in the forms that public configurations have, see SOURCES there */
static void test_import_many(void **state)
{
	static const char folder[] = SOURCE_ROOT "/tests/policy/cube";
	unsigned files = 0, whole = 0;
	char in[512], out[512];
	struct dirent *e;
	DIR *d = opendir(folder);

	assert_non_null(d);
	while ((e = readdir(d))) {
		const char *dot = strrchr(e->d_name, '.');

		if (!dot || strcmp(dot, ".config"))
			continue;
		snprintf(in, sizeof in, "%s/%s", folder, e->d_name);
		snprintf(out, sizeof out, "%s/%.*s.policy", folder, (int)(dot - e->d_name), e->d_name);
		whole += import_one(in, out) == 0;
		files++;
	}
	closedir(d);
	assert_true(files >= 30);
	assert_true(whole >= 22); /* the others say what they could not carry over */
}

/* ---- every message of the corpora passes a policy that looks everywhere ---- */
static struct rule_chain *everywhere;
static unsigned messages;

static int pass_file(const char *path, const struct stat *st, int type, struct FTW *at)
{
	struct rule_text_msg *m = NULL, *again = NULL;
	struct rule_at where = { .hook = RULE_SEND };
	struct rule_result r;
	char *text, *out;
	size_t n;

	if (type != FTW_F || st->st_size > MOST - 1)
		return 0;
	text = file_read(path, &n);
	if (!rule_text_parse((struct slice){ text, n }, &m)) {
		where.dialog = rule_text_dialog(m);
		rule_chain_run(everywhere, &where, &rule_text_ops, m, NULL, &r);
		out = rule_text_print(m);
		if (rule_text_parse(slice_str(out), &again))
			fail_msg("%s: what comes out is no message", path);
		free(out);
		messages++;
	}
	rule_text_free(m);
	rule_text_free(again);
	free(text);
	return 0;
}

static void test_corpora(void **state)
{
	static const char text[] = "policy p on send any {\n set from.user \"${to.user}\", set contact.host \"x.example\", add privacy \"id\", keep allow { INVITE, ACK, BYE, CANCEL }\n"
		" remove header[\"X-*\"]\n when has sdp then keep sdp.audio.codecs { PCMA, PCMU }, set sdp.audio.ptime 30\n when from.display ~ \"(.*)\" then set subject \"$1\"\n default user-agent \"u\"\n}\n";
	const char *folder = getenv("POSTERN_CORPORA");
	struct rule_load how = { .file = "c" };
	struct rule_errors *errs = rule_errors_new();
	struct rule_set *s = NULL;

	if (!folder || access(folder, R_OK) < 0) {
		base_unref(errs);
		skip();
	}
	assert_int_equal(rule_set_load(slice_str(text), &how, errs, &s), 0);
	assert_int_equal(rule_chain_new(&s, 1, NULL, &everywhere), 0);
	messages = 0;
	nftw(folder, pass_file, 16, FTW_PHYS);
	print_message("%u messages of the corpora\n", messages);
	assert_true(messages > 100);
	base_unref(everywhere);
	base_unref(s);
	base_unref(errs);
}

/* ---- the man page is of the tables ---- */
static void test_reference(void **state)
{
	size_t n;
	char *page = file_read(SOURCE_ROOT "/docs/man/postern.policy.5", &n), *want = rule_reference(true);

	assert_non_null(want);
	if (!strstr(page, want))
		fail_msg("docs/man/postern.policy.5 does not have the fields and actions of the tables");
	free(page);
	free(want);
}

static int leaks(void **state)
{
	assert_int_equal(base_live(), 0);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_cases, leaks), cmocka_unit_test_teardown(test_shipped, leaks), cmocka_unit_test_teardown(test_import, leaks), cmocka_unit_test_teardown(test_import_many, leaks), cmocka_unit_test_teardown(test_corpora, leaks),
		cmocka_unit_test(test_reference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
