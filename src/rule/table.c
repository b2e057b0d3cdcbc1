/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets, maps and expressions: compiled at load, looked up without allocation. Expressions are PCRE2, JIT where there is one, with a
 * match and a depth limit: one that hits its limit is false, counted and logged.
 */
#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "rule/rule.h"

#define MATCH_LIMIT 10000
#define DEPTH_LIMIT 250
#define PATTERN_MOST 4096

struct rule_re { struct rule_re *next; pcre2_code *code; };

static pcre2_match_context *limits(void)
{
	static pcre2_match_context *ctx;

	if (!ctx) {
		ctx = pcre2_match_context_create(NULL);
		if (ctx) {
			pcre2_set_match_limit(ctx, MATCH_LIMIT);
			pcre2_set_depth_limit(ctx, DEPTH_LIMIT);
		}
	}
	return ctx;
}

struct pcre2_real_code_8 *rule_regex(struct rule_parser *p, struct slice pattern, struct rule_pos at, unsigned *ret_captures)
{
	struct rule_re *keep = rule_new(p, sizeof *keep);
	PCRE2_UCHAR why[160];
	PCRE2_SIZE where;
	uint32_t n = 0;
	int code;

	if (!keep)
		return NULL;
	if (pattern.n > PATTERN_MOST) {
		rule_fail(p, at, NULL, "this expression is longer than %d", PATTERN_MOST);
		return NULL;
	}
	keep->code = pcre2_compile((PCRE2_SPTR)pattern.p, pattern.n, PCRE2_NEVER_BACKSLASH_C, &code, &where, NULL);
	if (!keep->code) {
		pcre2_get_error_message(code, why, sizeof why);
		at.col += (unsigned)where + 1;
		at.len = 1;
		rule_fail(p, at, NULL, "this is no regular expression: %s", (const char *)why);
		return NULL;
	}
	(void)pcre2_jit_compile(keep->code, PCRE2_JIT_COMPLETE);
	keep->next = p->set->regexes;
	p->set->regexes = keep;
	p->set->cost.expressions++;
	pcre2_pattern_info(keep->code, PCRE2_INFO_CAPTURECOUNT, &n);
	if (ret_captures)
		*ret_captures = n;
	return keep->code;
}

void rule_regex_free(struct rule_set *s)
{
	for (struct rule_re *r = s->regexes; r; r = r->next)
		pcre2_code_free(r->code);
	s->regexes = NULL;
}

/** Captures of a match: of a copy, the text may be gone when they are used. Those of a longer text than a message can have are empty. */
static void captures_take(struct rule_eval *e, struct slice s, pcre2_match_data *md, int rc)
{
	static char copy[65536];
	const PCRE2_SIZE *o = pcre2_get_ovector_pointer(md);

	e->captured = true;
	if (s.n > sizeof copy) {
		e->res->limits++;
		base_count(COUNTER_REGEX_LIMIT);
		rc = 0;
	} else if (s.n) {
		memcpy(copy, s.p, s.n);
	}
	for (int i = 0; i < (int)ARRAY_LEN(e->capture); i++) {
		bool set = i && i < rc && o[2 * i] != PCRE2_UNSET && o[2 * i + 1] >= o[2 * i];

		e->capture[i] = set ? (struct slice){ copy + o[2 * i], o[2 * i + 1] - o[2 * i] } : (struct slice){ copy, 0 };
	}
}

int rule_match(struct pcre2_real_code_8 *re, struct slice s, struct rule_eval *e, bool captures)
{
	static pcre2_match_data *md;
	int rc;

	if (!md)
		md = pcre2_match_data_create(10, NULL);
	if (!md || !re)
		return 0;
	rc = pcre2_match(re, (PCRE2_SPTR)(s.p ? s.p : ""), s.n, 0, 0, md, limits());
	if (rc == PCRE2_ERROR_MATCHLIMIT || rc == PCRE2_ERROR_DEPTHLIMIT || rc == PCRE2_ERROR_JIT_STACKLIMIT || rc == PCRE2_ERROR_HEAPLIMIT) {
		e->res->limits++;
		base_count(COUNTER_REGEX_LIMIT);
		base_log_limited(BASE_WARN, 1, "rule", "an expression hit its match limit and was taken as false policy=%.*s", e->policy ? (int)e->policy->name.n : 0,
				 e->policy ? e->policy->name.p : "");
		return 0;
	}
	if (rc < 0)
		return 0;
	if (captures)
		captures_take(e, s, md, rc ? rc : 10);
	return 1;
}

/* ---- compiling ---- */
static int order_nocase(struct slice a, struct slice b)
{
	size_t n = a.n < b.n ? a.n : b.n;

	for (size_t i = 0; i < n; i++) {
		int x = (unsigned char)a.p[i], y = (unsigned char)b.p[i];

		x = x >= 'A' && x <= 'Z' ? x | 32 : x;
		y = y >= 'A' && y <= 'Z' ? y | 32 : y;
		if (x != y)
			return x - y;
	}
	return a.n < b.n ? -1 : a.n > b.n;
}

static int by_text(const void *a, const void *b)
{
	const struct rule_value *const *x = a, *const *y = b;

	return order_nocase((*x)->text, (*y)->text);
}

static int by_number(const void *a, const void *b)
{
	const struct rule_value *const *x = a, *const *y = b;

	return ((*x)->num > (*y)->num) - ((*x)->num < (*y)->num);
}

static void compile_net(struct rule_parser *p, struct rule_value *v)
{
	struct slice host = v->text;
	const char *slash = memchr(host.p, '/', host.n);
	uint64_t bits;
	int err = 0;

	if (slash)
		host.n = (size_t)(slash - host.p);
	if (base_addr_parse(host, 0, &v->net)) {
		rule_fail(p, v->pos, "\"192.0.2.0/24\", \"2001:db8::/32\"", "this is no IP address or network");
		return;
	}
	v->bits = v->net.sa.sa_family == AF_INET6 ? 128 : 32;
	if (slash)
		err = slice_u64((struct slice){ slash + 1, v->text.n - host.n - 1 }, v->bits, &bits);
	if (err)
		rule_fail(p, v->pos, NULL, "a prefix is 0 to %u bits long", v->bits);
	else if (slash)
		v->bits = (unsigned)bits;
}

static void compile_element(struct rule_parser *p, struct rule_table *t, struct rule_value *v)
{
	if (t->elem == RULE_E_INT) {
		if (v->kind != RULE_V_NUMBER)
			rule_fail(p, v->pos, NULL, "a number is expected here");
		return;
	}
	if (v->kind == RULE_V_NUMBER && t->elem != RULE_E_PEER) {
		rule_fail(p, v->pos, "texts stand in quotes", "a value of type %s is expected here, not a number", rule_set_types[t->elem]);
		return;
	}
	switch (t->elem) {
	case RULE_E_IP: compile_net(p, v); break;
	case RULE_E_REGEX: v->re = rule_regex(p, v->text, v->pos, NULL); break;
	case RULE_E_PEER:
		/* 007 is a name, not the number 7 */
		v->kind = RULE_V_WORD;
		if (!rule_is_name(v->text))
			rule_fail(p, v->pos, "a name is 1 to 63 of a-z, 0-9 and -", "this is no name of a trunk or realm");
		else if (p->how->is_peer && !p->how->is_peer(p->how->arg, v->text))
			rule_fail(p, v->pos, NULL, "there is no trunk or realm of this name");
		break;
	default: break;
	}
}

static void compile_results(struct rule_table *t)
{
	t->numeric = true;
	for (struct rule_value *v = t->items; v && t->map; v = v->next)
		if (v->result->kind != RULE_V_NUMBER)
			t->numeric = false;
}

void rule_table_compile(struct rule_parser *p, struct rule_table *t)
{
	bool sortable = t->elem == RULE_E_INT || t->elem == RULE_E_STRING || t->elem == RULE_E_PEER;
	size_t i = 0;

	for (struct rule_value *v = t->items; v; v = v->next)
		compile_element(p, t, v);
	compile_results(t);
	p->set->cost.values += (unsigned)t->n;
	t->sorted = rule_new(p, (t->n + 1) * sizeof *t->sorted);
	if (!t->sorted)
		return;
	for (struct rule_value *v = t->items; v; v = v->next)
		t->sorted[i++] = v;
	if (sortable)
		qsort(t->sorted, t->n, sizeof *t->sorted, t->elem == RULE_E_INT ? by_number : by_text);
	for (i = 1; sortable && i < t->n; i++) {
		struct rule_value *a = t->sorted[i - 1], *b = t->sorted[i];

		if (t->elem == RULE_E_INT ? a->num == b->num : slice_eq(a->text, b->text))
			rule_fail(p, a->pos.line > b->pos.line || (a->pos.line == b->pos.line && a->pos.col > b->pos.col) ? a->pos : b->pos, NULL, "this value is there already");
	}
}

/* ---- lookup ---- */
static inline unsigned char fold(char c, bool nocase)
{
	return nocase && c >= 'A' && c <= 'Z' ? (unsigned char)(c | 32) : (unsigned char)c;
}

bool rule_glob(struct slice pattern, struct slice s, bool nocase)
{
	size_t i = 0, k = 0, star = SIZE_MAX, from = 0;

	while (k < s.n) {
		if (i < pattern.n && pattern.p[i] == '*') {
			star = i++;
			from = k;
		} else if (i < pattern.n && (pattern.p[i] == '?' || fold(pattern.p[i], nocase) == fold(s.p[k], nocase))) {
			i++;
			k++;
		} else if (star != SIZE_MAX) {
			i = star + 1;
			k = ++from;
		} else {
			return false;
		}
	}
	while (i < pattern.n && pattern.p[i] == '*')
		i++;
	return i == pattern.n;
}

static const struct rule_value *find_text(const struct rule_table *t, struct slice s, bool nocase)
{
	size_t lo = 0, hi = t->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (order_nocase(t->sorted[mid]->text, s) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < t->n && slice_eq_nocase(t->sorted[lo]->text, s); lo++)
		if (nocase || slice_eq(t->sorted[lo]->text, s))
			return t->sorted[lo];
	return NULL;
}

static const struct rule_value *find_number(const struct rule_table *t, int64_t num)
{
	size_t lo = 0, hi = t->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (t->sorted[mid]->num < num)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < t->n && t->sorted[lo]->num == num ? t->sorted[lo] : NULL;
}

/** Most specific network. */
static const struct rule_value *find_net(const struct rule_table *t, struct slice s)
{
	const struct rule_value *best = NULL;
	union base_addr a;

	if (base_addr_parse(s, 0, &a))
		return NULL;
	for (const struct rule_value *v = t->items; v; v = v->next)
		if ((!best || v->bits > best->bits) && base_addr_in_net(&a, &v->net, v->bits))
			best = v;
	return best;
}

const struct rule_value *rule_table_lookup(struct rule_eval *e, const struct rule_table *t, const struct rule_got *g, bool nocase)
{
	uint64_t num;

	switch (t->elem) {
	case RULE_E_INT:
		if (g->is_num)
			return find_number(t, g->num);
		return slice_u64(g->s, INT32_MAX, &num) ? NULL : find_number(t, (int64_t)num);
	case RULE_E_STRING: return find_text(t, g->s, nocase);
	case RULE_E_PEER: return find_text(t, g->s, true);
	case RULE_E_IP: return find_net(t, g->s);
	case RULE_E_GLOB:
		for (const struct rule_value *v = t->items; v; v = v->next)
			if (rule_glob(v->text, g->s, nocase))
				return v;
		return NULL;
	case RULE_E_REGEX:
		for (const struct rule_value *v = t->items; v; v = v->next)
			if (rule_match(v->re, g->s, e, false))
				return v;
		return NULL;
	}
	return NULL;
}
