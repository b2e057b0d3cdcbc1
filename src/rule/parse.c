/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recursive descent over a file: includes, sets, maps, policies. After an error the parser goes on with the next line, so that all of
 * a file are told. One token of look-ahead. The grammar stands in postern.policy(5).
 */
#include <stdio.h>

#include "rule/rule.h"

#define INCLUDE_DEPTH 8
#define SOURCES_MOST 64

void rule_next(struct rule_parser *p)
{
	rule_lex_next(&p->lex, &p->t);
}

bool rule_word(const struct rule_parser *p, const char *w)
{
	return p->t.kind == RULE_T_WORD && slice_eq(p->t.text, slice_str(w));
}

void *rule_new(struct rule_parser *p, size_t n)
{
	return rule_arena_alloc(&p->set->mem, n);
}

void rule_fail(struct rule_parser *p, struct rule_pos at, const char *hint, const char *fmt, ...)
{
	char message[224];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(message, sizeof message, fmt, ap);
	va_end(ap);
	p->bad = true;
	rule_error_add(p->errs, at, hint, "%s", message);
}

const char *rule_tok_name(const struct rule_token *t)
{
	static char name[80];
	struct text x = text_on(name, sizeof name);

	if (t->kind == RULE_T_END)
		return "the end of the file";
	if (t->kind == RULE_T_NL)
		return "the end of the line";
	text_add(&x, t->kind == RULE_T_STRING ? "the string \"%.*s\"" : t->kind == RULE_T_SETNAME ? "@%.*s" : t->kind == RULE_T_MAPNAME ? "%%%.*s" : "%.*s",
		 (int)(t->text.n > 40 ? 40 : t->text.n), t->text.p);
	return name;
}

bool rule_expect(struct rule_parser *p, enum rule_tok kind, const char *what)
{
	if (p->t.kind != kind) {
		rule_fail(p, p->t.pos, NULL, "%s is expected here, not %s", what, rule_tok_name(&p->t));
		return false;
	}
	rule_next(p);
	return true;
}

bool rule_is_name(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && (c != '-' || !i))
			return false;
	}
	return s.n > 0 && s.n <= 63;
}

/** To the end of the line at hand, over what is in braces that open there where `whole`. */
static void skip_line(struct rule_parser *p, bool whole)
{
	unsigned open = 0;

	for (; p->t.kind != RULE_T_END; rule_next(p)) {
		if (p->t.kind == RULE_T_OPEN)
			open++;
		else if (p->t.kind == RULE_T_CLOSE && !open)
			break;
		else if (p->t.kind == RULE_T_CLOSE)
			open--;
		else if (p->t.kind == RULE_T_NL && (!open || !whole))
			break;
	}
}

static bool parse_name(struct rule_parser *p, const char *what, struct slice *ret)
{
	if (p->t.kind != RULE_T_WORD && p->t.kind != RULE_T_STRING && p->t.kind != RULE_T_NUMBER) {
		rule_fail(p, p->t.pos, NULL, "%s is expected here, not %s", what, rule_tok_name(&p->t));
		return false;
	}
	if (!rule_is_name(p->t.text)) {
		rule_fail(p, p->t.pos, "a name is 1 to 63 of a-z, 0-9 and -, and begins with a letter or digit", "this is no name of %s", what);
		return false;
	}
	*ret = rule_arena_copy(&p->set->mem, p->t.text);
	rule_next(p);
	return true;
}

/* ---- sets and maps ---- */
struct rule_table *rule_table_find(struct rule_parser *p, bool map, struct slice name)
{
	for (struct rule_item *i = p->set->items; i; i = i->next)
		if (i->kind == RULE_I_TABLE && i->table->map == map && slice_eq(i->table->name, name))
			return i->table;
	return NULL;
}

static struct rule_item *item_add(struct rule_parser *p, int kind)
{
	struct rule_item *i = rule_new(p, sizeof *i);

	if (!i)
		return NULL;
	i->kind = kind;
	i->shared = p->depth > 0;
	*p->set->items_end = i;
	p->set->items_end = &i->next;
	return i;
}

static bool parse_elem(struct rule_parser *p, struct rule_table *t)
{
	size_t i = 0;

	while (rule_set_types[i] && !rule_word(p, rule_set_types[i]))
		i++;
	if (!rule_set_types[i]) {
		const char *near = rule_nearest(rule_set_types, p->t.text);

		rule_fail(p, p->t.pos, near ? near : "one of peer, ip, glob, regex, int, string", "the type of its values is expected here, not %s", rule_tok_name(&p->t));
		return false;
	}
	t->elem = (enum rule_elem)i;
	rule_next(p);
	return true;
}

static void skip_nl(struct rule_parser *p)
{
	while (p->t.kind == RULE_T_NL)
		rule_next(p);
}

static struct rule_value *parse_constant(struct rule_parser *p)
{
	struct rule_value *v;

	if (p->t.kind != RULE_T_STRING && p->t.kind != RULE_T_WORD && p->t.kind != RULE_T_NUMBER) {
		rule_fail(p, p->t.pos, p->t.kind == RULE_T_CLOSE ? "after the last value there is no comma" : NULL, "a value is expected here, not %s", rule_tok_name(&p->t));
		return NULL;
	}
	v = rule_new(p, sizeof *v);
	if (!v)
		return NULL;
	v->kind = p->t.kind == RULE_T_STRING ? RULE_V_TEXT : p->t.kind == RULE_T_WORD ? RULE_V_WORD : RULE_V_NUMBER;
	v->pos = p->t.pos;
	v->text = p->t.text;
	v->num = p->t.num;
	rule_next(p);
	return v;
}

static bool parse_elements(struct rule_parser *p, struct rule_table *t)
{
	struct rule_value **end = &t->items, *v;

	if (!rule_expect(p, RULE_T_OPEN, "{"))
		return false;
	for (;;) {
		skip_nl(p);
		v = parse_constant(p);
		if (!v)
			return false;
		if (t->map) {
			if (!rule_expect(p, RULE_T_ARROW, "=>"))
				return false;
			v->result = parse_constant(p);
			if (!v->result)
				return false;
		}
		*end = v;
		end = &v->next;
		t->n++;
		skip_nl(p);
		if (p->t.kind != RULE_T_COMMA)
			break;
		rule_next(p);
	}
	return rule_expect(p, RULE_T_CLOSE, "a comma or }");
}

static void parse_table(struct rule_parser *p, bool map)
{
	struct rule_table *t = rule_new(p, sizeof *t), *before;
	struct rule_item *i;

	rule_next(p);
	if (!t)
		return;
	t->pos = p->t.pos;
	t->map = map;
	t->shared = p->depth > 0;
	t->name = p->t.text;
	if (!rule_expect(p, map ? RULE_T_MAPNAME : RULE_T_SETNAME, map ? "the map's name, such as %numbers," : "the set's name, such as @carriers,"))
		return;
	if (!parse_elem(p, t) || !parse_elements(p, t))
		return;
	before = rule_table_find(p, map, t->name);
	if (before) {
		rule_fail(p, t->pos, NULL, "there is a %s of this name in %s:%u", map ? "map" : "set", before->pos.src->name, before->pos.line);
		return;
	}
	rule_table_compile(p, t);
	/* also where it has an error: rules that name it shall not be told as well */
	i = item_add(p, RULE_I_TABLE);
	if (i)
		i->table = t;
}

/* ---- policies ---- */
static bool parse_hook(struct rule_parser *p, struct rule_policy *x)
{
	static const char *const kinds[] = { "request", "response", "any", NULL };
	const char *near;

	if (!rule_word(p, "receive") && !rule_word(p, "send")) {
		rule_fail(p, p->t.pos, "policy NAME on receive|send request|response|any", "receive or send is expected here, not %s", rule_tok_name(&p->t));
		return false;
	}
	x->hook = rule_word(p, "send") ? RULE_SEND : RULE_RECEIVE;
	rule_next(p);
	x->kinds = rule_word(p, "request") ? RULE_REQUESTS : rule_word(p, "response") ? RULE_RESPONSES : rule_word(p, "any") ? RULE_REQUESTS | RULE_RESPONSES : 0;
	if (!x->kinds) {
		near = rule_nearest(kinds, p->t.text);
		rule_fail(p, p->t.pos, near ? near : "policy NAME on receive|send request|response|any", "request, response or any is expected here, not %s", rule_tok_name(&p->t));
		return false;
	}
	rule_next(p);
	return true;
}

static bool parse_peer(struct rule_parser *p, struct rule_policy *x)
{
	bool to = rule_word(p, "to");
	struct rule_pos at = p->t.pos;

	if (!to && !rule_word(p, "from"))
		return true;
	if (to != (x->hook == RULE_SEND)) {
		rule_fail(p, at, to ? "from" : "to", "at %s a policy names its peer with %s", to ? "receive" : "send", to ? "from" : "to");
		return false;
	}
	rule_next(p);
	x->peered = true;
	at = p->t.pos;
	if (p->t.kind != RULE_T_SETNAME) {
		if (!parse_name(p, "a trunk or realm", &x->peer))
			return false;
		if (p->how->is_peer && !p->how->is_peer(p->how->arg, x->peer))
			rule_fail(p, at, NULL, "there is no trunk or realm of this name");
		return true;
	}
	x->peer = p->t.text;
	x->peers = rule_table_find(p, false, x->peer);
	if (!x->peers)
		rule_fail(p, at, "a set is declared above its first use: set @name peer { ... }", "there is no set of this name");
	else if (x->peers->elem != RULE_E_PEER)
		rule_fail(p, at, NULL, "@%.*s is a set of %s; a set of peer is expected here", (int)x->peer.n, x->peer.p, rule_set_types[x->peers->elem]);
	rule_next(p);
	return true;
}

static bool parse_head(struct rule_parser *p, struct rule_policy *x)
{
	x->pos = p->t.pos;
	if (!parse_name(p, "the policy", &x->name))
		return false;
	for (struct rule_policy *o = p->set->policies; o; o = o->next_all) {
		if (slice_eq(o->name, x->name)) {
			rule_fail(p, x->pos, NULL, "there is a policy of this name in %s:%u", o->pos.src->name, o->pos.line);
			break;
		}
	}
	if (!rule_word(p, "on")) {
		rule_fail(p, p->t.pos, "policy NAME on receive|send request|response|any", "on is expected here, not %s", rule_tok_name(&p->t));
		return false;
	}
	rule_next(p);
	return parse_hook(p, x) && parse_peer(p, x) && (p->t.kind == RULE_T_OPEN || rule_expect(p, RULE_T_OPEN, x->peered ? "{" : x->hook == RULE_SEND ? "to or {" : "from or {"));
}

static void rule_link(struct rule_parser *p, struct rule_policy *x, struct rule_rule ***end, unsigned index)
{
	struct rule_rule *r = rule_parse_rule(p);
	struct rule_out o = { 0 };

	if (!r || p->bad) {
		skip_line(p, true);
		return;
	}
	r->policy = x;
	r->index = index;
	rule_check_rule(p, r);
	rule_print_rule(&o, r);
	r->text = rule_arena_copy(&p->set->mem, (struct slice){ o.p ? o.p : "", o.n }).p;
	rule_out_free(&o);
	**end = r;
	*end = &r->next;
	p->set->cost.rules++;
}

static void parse_rules(struct rule_parser *p, struct rule_policy *x)
{
	struct rule_rule **end = &x->rules;
	unsigned index = 0;

	rule_next(p);
	for (;;) {
		skip_nl(p);
		if (p->t.kind == RULE_T_CLOSE || p->t.kind == RULE_T_END)
			break;
		p->bad = false;
		rule_link(p, x, &end, index++);
		if (p->t.kind != RULE_T_NL && p->t.kind != RULE_T_CLOSE && p->t.kind != RULE_T_END) {
			rule_fail(p, p->t.pos, "a comma joins actions; `and`, `or` and `then` stand at the end of a line that goes on", "the rule should end here, not go on with %s", rule_tok_name(&p->t));
			skip_line(p, true);
		}
	}
	if (p->t.kind == RULE_T_END)
		rule_fail(p, x->pos, "}", "this policy does not end");
	else
		rule_next(p);
}

static void parse_policy(struct rule_parser *p)
{
	struct rule_policy *x = rule_new(p, sizeof *x);
	struct rule_item *i;

	rule_next(p);
	if (!x)
		return;
	p->policy = x;
	x->kinds = RULE_REQUESTS | RULE_RESPONSES;
	x->shared = p->depth > 0;
	if (!parse_head(p, x)) {
		while (p->t.kind != RULE_T_OPEN && p->t.kind != RULE_T_NL && p->t.kind != RULE_T_END)
			rule_next(p);
		if (p->t.kind != RULE_T_OPEN)
			return;
	}
	i = item_add(p, RULE_I_POLICY);
	if (i)
		i->policy = x;
	*p->set->policies_end = x;
	p->set->policies_end = &x->next_all;
	p->set->cost.policies++;
	parse_rules(p, x);
	p->policy = NULL;
}

/* ---- files ---- */
static struct rule_source *source_add(struct rule_parser *p, struct slice name, struct slice text)
{
	struct rule_source *s = rule_new(p, sizeof *s);

	if (!s)
		return NULL;
	s->name = rule_arena_copy(&p->set->mem, name).p;
	s->text = rule_arena_copy(&p->set->mem, text);
	s->next = p->set->sources;
	p->set->sources = s;
	return s;
}

static void include_file(struct rule_parser *p, struct rule_pos at, struct slice name)
{
	struct rule_source *s;
	struct rule_lex lex = p->lex;
	struct rule_token t = p->t;
	struct slice text, file = name;
	unsigned n = 0;

	if (!p->how->include || p->how->include(p->how->arg, at.src->name, name, &text, &file)) {
		rule_fail(p, at, NULL, "this file cannot be read");
		return;
	}
	for (s = p->set->sources; s; s = s->next, n++) {
		if (slice_eq(slice_str(s->name), file) || n + 1 == SOURCES_MOST) {
			rule_fail(p, at, NULL, n + 1 == SOURCES_MOST ? "too many files are included" : "this file is included already");
			return;
		}
	}
	s = source_add(p, file, text);
	if (!s)
		return;
	p->depth++;
	rule_lex_start(&p->lex, &p->set->mem, p->errs, s);
	rule_parse_file(p);
	p->depth--;
	p->lex = lex;
	p->t = t;
}

static void parse_include(struct rule_parser *p)
{
	struct rule_pos at;
	struct rule_item *i;
	struct slice name;

	rule_next(p);
	at = p->t.pos;
	name = p->t.text;
	if (!rule_expect(p, RULE_T_STRING, "the name of a file, in quotes,"))
		return;
	i = item_add(p, RULE_I_INCLUDE);
	if (i)
		i->include = name;
	if (p->depth >= INCLUDE_DEPTH)
		rule_fail(p, at, NULL, "files are included more than %d deep", INCLUDE_DEPTH);
	else if (p->t.kind == RULE_T_NL || p->t.kind == RULE_T_END)
		include_file(p, at, name);
}

static void parse_item(struct rule_parser *p)
{
	static const char *const words[] = { "include", "set", "map", "policy", NULL };
	const char *near;

	if (rule_word(p, "include")) {
		parse_include(p);
	} else if (rule_word(p, "set") || rule_word(p, "map")) {
		parse_table(p, rule_word(p, "map"));
	} else if (rule_word(p, "policy")) {
		parse_policy(p);
	} else {
		near = p->t.kind == RULE_T_WORD ? rule_nearest(words, p->t.text) : NULL;
		rule_fail(p, p->t.pos, near, "include, set, map or policy is expected here, not %s", rule_tok_name(&p->t));
	}
}

void rule_parse_file(struct rule_parser *p)
{
	rule_next(p);
	for (;;) {
		skip_nl(p);
		if (p->t.kind == RULE_T_END)
			return;
		p->bad = false;
		parse_item(p);
		if (p->t.kind == RULE_T_NL || p->t.kind == RULE_T_END)
			continue;
		rule_fail(p, p->t.pos, NULL, "a new line is expected here, not %s", rule_tok_name(&p->t));
		skip_line(p, true);
		if (p->t.kind == RULE_T_CLOSE)
			rule_next(p);
	}
}
