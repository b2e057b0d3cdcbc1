/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens of the policy language. A line ends a rule except after `,` `and` `or` `then` and `{`. Comments are dropped.
 */
#include "rule/rule.h"

size_t rule_lex_bom(struct slice text)
{
	return text.n >= 3 && !memcmp(text.p, "\xef\xbb\xbf", 3) ? 3 : 0;
}

void rule_lex_start(struct rule_lex *l, struct rule_arena *mem, struct rule_errors *errs, const struct rule_source *src)
{
	size_t bom = rule_lex_bom(src->text);

	*l = (struct rule_lex){ mem, errs, src, src->text.p + bom, src->text.p + src->text.n, src->text.p + bom, 1, 0, true };
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

/** Over blanks, comments and, where the line goes on, line ends. False where a line end stands. */
static bool skip_space(struct rule_lex *l)
{
	const char *end = l->end;

	for (; l->p < end; l->p++) {
		if (*l->p == '#') {
			while (l->p + 1 < end && l->p[1] != '\n')
				l->p++;
		} else if (*l->p == '\n') {
			if (!l->joined)
				return false;
			l->line++;
			l->line_start = l->p + 1;
		} else if (*l->p != ' ' && *l->p != '\t' && *l->p != '\r') {
			return true;
		}
	}
	return true;
}

static bool is_escape(const char *p, const char *end)
{
	return *p == '\\' && p + 1 < end && (p[1] == '"' || p[1] == '\\');
}

/** Length of `${header["X-A"]}` at p: the quotes of a name in brackets need no escape there. 0: it is none. */
static size_t path_len(const char *p, const char *end)
{
	const char *q = p;

	if (end - p < 4 || memcmp(p, "${", 2))
		return 0;
	for (q += 2; q < end && (is_word(*q) || *q == '.'); q++)
		;
	if (end - q < 2 || memcmp(q, "[\"", 2))
		return 0;
	for (q += 2; q < end && !strchr("\"\\\n", *q); q++)
		;
	return end - q >= 3 && !memcmp(q, "\"]}", 3) ? (size_t)(q + 3 - p) : 0;
}

static size_t step(const char *p, const char *end)
{
	size_t n = is_escape(p, end) ? 2 : path_len(p, end);

	return n ? n : 1;
}

/** A string: `\"` and `\\` are escapes, any other backslash stands for itself. */
static void lex_string(struct rule_lex *l, struct rule_token *t)
{
	const char *end = l->end, *q = l->p + 1;
	char *to;
	size_t n = 0;

	while (q < end && *q != '"' && *q != '\n')
		q += step(q, end);
	t->kind = RULE_T_STRING;
	t->pos.len = (unsigned)(q - l->p) + 1;
	if (q >= end || *q != '"') {
		t->kind = RULE_T_BAD;
		rule_error_add(l->errs, t->pos, "a string ends in the line in which it begins", "this string does not end");
		l->p = q > end ? end : q;
		return;
	}
	to = rule_arena_alloc(l->mem, (size_t)(q - l->p));
	for (const char *p = l->p + 1; to && p < q; p++) {
		if (is_escape(p, end))
			p++;
		if (!*p)
			t->kind = RULE_T_BAD;
		to[n++] = *p;
	}
	t->text = (struct slice){ to ? to : "", n };
	l->p = q + 1;
	if (t->kind == RULE_T_BAD)
		rule_error_add(l->errs, t->pos, NULL, "a string may not hold a NUL byte");
}

/** A word, or a number where it is nothing but digits, or a rate where `/s` or `/m` follows that. */
static void lex_word(struct rule_lex *l, struct rule_token *t)
{
	const char *end = l->end, *p = l->p;
	bool number = true;
	uint64_t v = 0;

	for (; p < end && is_word(*p); p++)
		number = number && is_digit(*p);
	t->text = (struct slice){ l->p, (size_t)(p - l->p) };
	t->kind = number ? RULE_T_NUMBER : RULE_T_WORD;
	if (number && slice_u64(t->text, 4294967295u, &v)) {
		t->kind = RULE_T_BAD;
		t->pos.len = (unsigned)t->text.n;
		rule_error_add(l->errs, t->pos, "at most 4294967295; a telephone number is a string: \"...\"", "this number is too large");
	}
	t->num = (int64_t)v;
	if (number && p + 1 < end && p[0] == '/' && (p[1] == 's' || p[1] == 'm') && (p + 2 == end || !is_word(p[2]))) {
		t->kind = RULE_T_RATE;
		t->per_s = p[1] == 's' ? 1 : 60;
		p += 2;
	}
	t->pos.len = (unsigned)(p - l->p);
	l->p = p;
}

static void lex_name(struct rule_lex *l, struct rule_token *t)
{
	t->kind = *l->p == '@' ? RULE_T_SETNAME : RULE_T_MAPNAME;
	l->p++;
	t->text.p = l->p;
	while (l->p < l->end && is_word(*l->p))
		l->p++;
	t->text.n = (size_t)(l->p - t->text.p);
	t->pos.len = (unsigned)t->text.n + 1;
	if (!t->text.n) {
		rule_error_add(l->errs, t->pos, NULL, "a name follows %c at once", t->kind == RULE_T_SETNAME ? '@' : '%');
		t->kind = RULE_T_BAD;
	}
}

static const struct { const char *text; enum rule_tok kind; } signs[] = {
	{ "==", RULE_T_EQ }, { "!=", RULE_T_NE }, { "=>", RULE_T_ARROW }, { "<", RULE_T_LT }, { ">", RULE_T_GT }, { "~", RULE_T_MATCH },
	{ "{", RULE_T_OPEN }, { "}", RULE_T_CLOSE }, { "(", RULE_T_LPAREN }, { ")", RULE_T_RPAREN }, { "[", RULE_T_LBRACK }, { "]", RULE_T_RBRACK },
	{ ",", RULE_T_COMMA }, { ".", RULE_T_DOT },
};

static void lex_sign(struct rule_lex *l, struct rule_token *t)
{
	size_t left = (size_t)(l->end - l->p);

	t->kind = RULE_T_BAD;
	for (size_t i = 0; i < ARRAY_LEN(signs) && t->kind == RULE_T_BAD; i++) {
		size_t n = strlen(signs[i].text);

		if (n <= left && !memcmp(l->p, signs[i].text, n)) {
			t->kind = signs[i].kind;
			t->text = (struct slice){ l->p, n };
		}
	}
	if (t->kind == RULE_T_BAD) {
		rule_error_add(l->errs, t->pos, *l->p == '=' ? "to compare, write ==" : *l->p == '\'' ? "strings stand in double quotes" : NULL, "this character does not belong here");
		t->text = (struct slice){ l->p, 1 };
	}
	l->p += t->text.n;
	t->pos.len = (unsigned)t->text.n;
}

void rule_lex_next(struct rule_lex *l, struct rule_token *ret)
{
	struct rule_token t = { .kind = RULE_T_END };
	bool here = skip_space(l);

	t.pos = (struct rule_pos){ l->src, l->line, (unsigned)(l->p - l->line_start) + 1 + l->col0, 1 };
	if (!here) {
		t.kind = RULE_T_NL;
		t.text = (struct slice){ l->p, 1 };
		l->p++;
		l->line++;
		l->line_start = l->p;
	} else if (l->p < l->end) {
		if (*l->p == '"')
			lex_string(l, &t);
		else if (is_word(*l->p))
			lex_word(l, &t);
		else if (*l->p == '@' || *l->p == '%')
			lex_name(l, &t);
		else
			lex_sign(l, &t);
	}
	l->joined = t.kind == RULE_T_NL || t.kind == RULE_T_COMMA || t.kind == RULE_T_OPEN ||
		(t.kind == RULE_T_WORD && (slice_eq(t.text, SLICE("and")) || slice_eq(t.text, SLICE("or")) || slice_eq(t.text, SLICE("then"))));
	*ret = t;
}
