/* SPDX-License-Identifier: Apache-2.0 */
/* The engine around the language: chains and their order, the builtin set, shadow, counters, running out of memory, and what a miss costs. */
#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "postern/rule.h"

static const char invite[] =
	"INVITE sip:100@sbc.example SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1\r\nFrom: \"A\" <sip:alice@pbx.example>;tag=1\r\nTo: <sip:100@sbc.example>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n"
	"Contact: <sip:alice@192.0.2.1>\r\nAllow: INVITE, ACK, BYE, CANCEL, UPDATE\r\nSupported: timer\r\nUser-Agent: Phone/1\r\nX-Evil: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!\r\n\r\n";

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

static struct rule_text_msg *message(void)
{
	struct rule_text_msg *m = NULL;

	assert_int_equal(rule_text_parse(slice_str(invite), &m), 0);
	return m;
}

static struct rule_result run(struct rule_chain *c, struct rule_text_msg *m, bool shadow)
{
	struct rule_at at = { .hook = RULE_SEND, .dialog = RULE_INITIAL, .now_ms = 12345, .trunk = SLICE("pbx") };
	struct rule_result r;

	if (shadow)
		rule_chain_shadow(c, 0, &at, &rule_text_ops, m, NULL, &r);
	else
		rule_chain_run(c, &at, &rule_text_ops, m, NULL, &r);
	return r;
}

static void order_text(char *buf, size_t size, const char *name, const char *before, const char *after)
{
	snprintf(buf, size, "policy %s on send request {\n    when %s then set header[\"X-Order\"] \"%s\"\n}\n", name, before, after);
}

static void test_order(void **state)
{
	char text[4][256];
	struct rule_set *s[3], *builtin, *twice[4];
	struct rule_chain *c;
	struct rule_text_msg *m = message();

	order_text(text[0], 256, "system", "not has header[\"X-Order\"]", "s");
	order_text(text[1], 256, "realm", "header[\"X-Order\"] == \"s\"", "sr");
	order_text(text[2], 256, "trunk", "header[\"X-Order\"] == \"sr\"", "srt");
	order_text(text[3], 256, "last", "header[\"X-Order\"] == \"srt\"", "srtb");
	for (int i = 0; i < 3; i++)
		s[i] = load(text[i], false);
	builtin = load(text[3], false);
	memcpy(twice, s, sizeof s);
	twice[3] = s[0]; /* named by the trunk as well: it does not run twice */
	assert_int_equal(rule_chain_new(twice, 4, builtin, &c), 0);
	assert_true(rule_chain_has(c, RULE_SEND, true, RULE_INITIAL));
	assert_false(rule_chain_has(c, RULE_SEND, false, RULE_INITIAL));
	assert_false(rule_chain_has(c, RULE_RECEIVE, true, RULE_INITIAL));
	assert_int_equal(run(c, m, false).edits, 4);
	assert_true(slice_eq(rule_text_ops.header(m, SLICE("X-Order"), 0), SLICE("srtb")));
	for (int i = 0; i < 3; i++)
		base_unref(s[i]);
	base_unref(builtin);
	base_unref(c);
	rule_text_free(m);
}

static void test_builtin_replaced(void **state)
{
	struct rule_set *own = load("policy defaults on send any {\n    set subject \"own\"\n}\n", false);
	struct rule_set *builtin = load("policy defaults on send any {\n    set date \"builtin\"\n}\npolicy more on send any {\n    set server \"builtin\"\n}\n", false);
	struct rule_chain *c;
	struct rule_text_msg *m = message();

	assert_int_equal(rule_chain_new(&own, 1, builtin, &c), 0);
	assert_int_equal(run(c, m, false).edits, 2);
	assert_null(rule_text_ops.header(m, SLICE("Date"), 0).p);
	assert_non_null(rule_text_ops.header(m, SLICE("Server"), 0).p);
	base_unref(own);
	base_unref(builtin);
	base_unref(c);
	rule_text_free(m);
}

static void test_builtin_loads(void **state)
{
	struct rule_load how = { .file = "builtin" };
	struct rule_errors *errs = rule_errors_new();
	struct rule_set *s = NULL;

	assert_int_equal(rule_set_load(rule_builtin_text(), &how, errs, &s), 0);
	assert_true(rule_set_has_policy(s, "builtin-scanners"));
	base_unref(s);
	base_unref(errs);
}

static void test_shadow(void **state)
{
	struct rule_set *s = load("policy p on send request {\n    set subject \"x\", tag t, count c, set call.var[\"v\"] \"1\", log \"l\"\n    drop\n}\n", true);
	struct rule_text_msg *live = message(), *copy = message();
	struct rule_chain *c;
	struct rule_result r;
	struct rule_info info;
	const char *name;
	uint64_t value;

	assert_int_equal(rule_chain_new(&s, 1, NULL, &c), 0);
	assert_false(rule_chain_has(c, RULE_SEND, true, RULE_INITIAL));
	assert_int_equal(rule_chain_shadows(c, RULE_SEND, true), 1);
	r = run(c, live, false);
	assert_int_equal(r.fired + r.edits + r.verdict, 0);
	r = run(c, copy, true);
	assert_int_equal(r.verdict, RULE_DROP);
	assert_int_equal(r.edits, 1);
	assert_string_equal(rule_text_notes(copy), "");
	assert_true(rule_set_counter(s, 0, &name, &value));
	assert_int_equal(value, 0);
	assert_true(rule_set_rule(s, 0, &info));
	assert_true(info.shadow);
	assert_int_equal(info.hits, 1);
	base_unref(s);
	base_unref(c);
	rule_text_free(live);
	rule_text_free(copy);
}

static void test_hits_inherited(void **state)
{
	struct rule_set *old = load("policy p on send request {\n    count a\n    when method == BYE then count b\n}\n", false), *new;
	struct rule_text_msg *m = message();
	struct rule_chain *c;
	struct rule_info info;
	const char *name;
	uint64_t value;

	assert_int_equal(rule_chain_new(&old, 1, NULL, &c), 0);
	run(c, m, false);
	run(c, m, false);
	new = load("policy p on send request {\n    when method == BYE then count b\n    count a\n    count z\n}\n", false);
	rule_set_inherit(new, old);
	assert_true(rule_set_rule(new, 0, &info));
	assert_int_equal(info.hits, 0);
	assert_true(rule_set_rule(new, 1, &info));
	assert_int_equal(info.hits, 2);
	assert_int_equal(info.last_ms, 12345);
	assert_string_equal(info.text, "count a");
	assert_int_equal(info.line, 3);
	for (size_t i = 0; rule_set_counter(new, i, &name, &value); i++)
		assert_int_equal(value, *name == 'a' ? 2 : 0);
	assert_false(rule_set_rule(new, 3, &info));
	base_unref(old);
	base_unref(new);
	base_unref(c);
	rule_text_free(m);
}


static void test_no_memory(void **state)
{
	static const char text[] = "set @p peer { pbx }\nset @s regex { \"a\", \"b\" }\nmap %m glob { \"a*\" => \"x\" }\n"
		"policy p on send any to @p {\n    when from.user ~ \"(a)\" and not from.user in @s then set subject \"$1 ${to.user}\", keep allow { INVITE, ACK, BYE, CANCEL }\n"
		"    set p-asserted-identity.user %m[from.user]\n    count c\n}\n";
	struct rule_load how = { .file = "t" };
	bool good = false;

	for (long n = 1; n < 60 && !good; n++) {
		struct rule_errors *errs = rule_errors_new();
		struct rule_set *s = NULL;
		int err;

		base_alloc_fail_after(n);
		err = rule_set_load(slice_str(text), &how, errs, &s);
		base_alloc_fail_after(0);
		if (err)
			assert_int_equal(err, -ENOMEM);
		good = !err;
		base_unref(s);
		base_unref(errs);
	}
	assert_true(good);
}

/** Rules that look into the message and do not match, over and over: the heap stays as it is. */
static void test_cost(void **state)
{
	static const char *const rules[] = {
		"when from.user ~ \"^00([1-9][0-9]{6,14})$\" then set from.user \"x\"", "when has allow[\"PUBLISH\"] then remove allow[\"PUBLISH\"]",
		"when user-agent in @scanners then drop", "when method == BYE and has reason then tag x", "when ruri.user == \"999\" then set ruri.user \"1\"",
		"when has header[\"X-None\"] then remove header[\"X-None\"]", "when to.host == \"other.example\" then set subject \"x\"", "when src.transport == tls then tag t",
		"when not has from.user then tag n", "when has sdp then tag s",
	};
	static const unsigned sizes[] = { 10, 100, 1000 };

	for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
		size_t n = 0, room = 160 * sizes[k] + 256;
		char *text = malloc(room);
		struct rule_text_msg *m = message();
		struct rule_set *s;
		struct rule_chain *c;
		struct mallinfo2 before, after;
		clock_t t;
		unsigned rounds = 200000 / sizes[k];

		n += (size_t)snprintf(text + n, room - n, "set @scanners glob { \"sipcli*\", \"friendly*\", \"sipvicious*\" }\npolicy p on send any {\n");
		for (unsigned i = 0; i < sizes[k]; i++)
			n += (size_t)snprintf(text + n, room - n, "    %s\n", rules[i % ARRAY_LEN(rules)]);
		snprintf(text + n, room - n, "}\n");
		s = load(text, false);
		assert_int_equal(rule_chain_new(&s, 1, NULL, &c), 0);
		run(c, m, false);
		before = mallinfo2();
		t = clock();
		for (unsigned i = 0; i < rounds; i++)
			assert_int_equal(run(c, m, false).fired, 0);
		print_message("%u rules that do not match: %.2f us of CPU a message\n", sizes[k], (double)(clock() - t) * 1e6 / CLOCKS_PER_SEC / rounds);
		after = mallinfo2();
		assert_int_equal(before.uordblks, after.uordblks);
		base_unref(s);
		base_unref(c);
		rule_text_free(m);
		free(text);
	}
}

/** A hostile expression on a hostile header costs no more than its limit, and is false. */
static void test_limit(void **state)
{
	struct rule_set *s = load("policy p on send any {\n    when header[\"X-Evil\"] ~ \"^(a+)+$\" then set subject \"x\"\n    when header[\"X-Evil\"] ~ \"(*NO_JIT)^(a|a?)+$\" then set subject \"x\"\n}\n", false);
	struct rule_text_msg *m = message();
	struct rule_chain *c;
	struct rule_result r;
	struct mono t = base_mono_now();
	int64_t us;

	assert_int_equal(rule_chain_new(&s, 1, NULL, &c), 0);
	for (int i = 0; i < 10; i++)
		r = run(c, m, false);
	us = base_mono_now().us - t.us;
	assert_int_equal(r.limits, 2);
	assert_int_equal(r.fired, 0);
	print_message("two expressions that hit their limit: %lld us a message\n", (long long)us / 10);
	assert_true(us / 10 < 200000);
	base_unref(s);
	base_unref(c);
	rule_text_free(m);
}

static bool knows(void *arg, struct slice name)
{
	return slice_eq(name, SLICE("pbx"));
}

/** What editors put before a text is none of it; a file of another kind has no end of errors, of which some are told. */
static void test_odd_files(void **state)
{
	struct rule_load how = { .file = "t" };
	struct rule_errors *errs = rule_errors_new();
	struct rule_set *s = load("\xef\xbb\xbfpolicy p on send any {\r\n    drop\r\n}", false);
	char many[4096];
	struct text t = text_on(many, sizeof many);

	assert_true(rule_set_has_policy(s, "p"));
	base_unref(s);
	s = NULL;
	text_add(&t, "\xef\xbb\xbfpolicy p on send any {\n");
	while (t.n < 4000)
		text_add(&t, "oops\n");
	assert_int_equal(rule_set_load(text_get(&t), &how, errs, &s), ERR_CONFIG);
	assert_int_equal(rule_errors_count(errs), 201);
	assert_string_equal(rule_errors_get(errs, 0)->text, "oops");
	assert_non_null(strstr(rule_errors_get(errs, 200)->message, "more errors"));
	base_unref(errs);
}

static void test_peers_known(void **state)
{
	static const char text[] = "set @p peer { pbx, nobody }\npolicy a on receive request from nobody {\n    route nobody\n    route pbx\n}\n";
	struct rule_load how = { .file = "t", .is_peer = knows };
	struct rule_errors *errs = rule_errors_new();
	struct rule_set *s = NULL;

	assert_int_equal(rule_set_load(slice_str(text), &how, errs, &s), ERR_CONFIG);
	assert_int_equal(rule_errors_count(errs), 3);
	assert_int_equal(rule_errors_get(errs, 0)->line, 1);
	assert_int_equal(rule_errors_get(errs, 0)->col, 20);
	assert_int_equal(rule_errors_get(errs, 1)->line, 2);
	assert_int_equal(rule_errors_get(errs, 1)->col, 34);
	assert_int_equal(rule_errors_get(errs, 2)->line, 3);
	assert_int_equal(rule_errors_get(errs, 2)->col, 11);
	base_unref(errs);
}

static int leaks(void **state)
{
	assert_int_equal(base_live(), 0);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_order, leaks), cmocka_unit_test_teardown(test_builtin_replaced, leaks), cmocka_unit_test_teardown(test_builtin_loads, leaks),
		cmocka_unit_test_teardown(test_shadow, leaks), cmocka_unit_test_teardown(test_hits_inherited, leaks), cmocka_unit_test_teardown(test_no_memory, leaks),
		cmocka_unit_test_teardown(test_cost, leaks), cmocka_unit_test_teardown(test_limit, leaks), cmocka_unit_test_teardown(test_peers_known, leaks), cmocka_unit_test_teardown(test_odd_files, leaks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
