/* SPDX-License-Identifier: Apache-2.0 */
/* Paths and values: fields are found in the table, strings are cut into their pieces. */
#include "rule/rule.h"

#define NAMES 256

/** All names that a path may have, for suggestions. */
static const char *const *all_names(struct rule_parser *p)
{
	const char **v = rule_new(p, NAMES * sizeof *v);
	size_t n = 0;

	for (size_t i = 0; v && i < rule_fields_count; i++) {
		if (n + 1 < NAMES)
			v[n++] = rule_fields[i].name;
		for (size_t k = 1; rule_fields[i].type == RULE_ADDR && k < rule_parts_count && n + 1 < NAMES; k++) {
			char name[64];
			struct text t = text_on(name, sizeof name);

			text_add(&t, "%s.%s", rule_fields[i].name, rule_parts[k].name);
			v[n++] = rule_arena_copy(&p->set->mem, text_get(&t)).p;
		}
	}
	return v;
}

static const struct rule_field *field_find(struct slice name)
{
	for (size_t i = 0; i < rule_fields_count; i++)
		if (slice_eq_nocase(slice_str(rule_fields[i].name), name))
			return &rule_fields[i];
	return NULL;
}

static const char *last_dot(struct slice s)
{
	while (s.n && s.p[s.n - 1] != '.')
		s.n--;
	return s.n ? s.p + s.n - 1 : NULL;
}

/** Field, or address and its part, of a name with dots. */
static bool path_resolve(struct rule_path *x, struct slice name)
{
	const char *dot = last_dot(name);

	x->field = field_find(name);
	x->part = &rule_parts[0];
	if (!x->field && dot) {
		struct slice before = { name.p, (size_t)(dot - name.p) }, after = { dot + 1, name.n - (size_t)(dot - name.p) - 1 };

		x->field = field_find(before);
		if (!x->field || x->field->type != RULE_ADDR)
			return false;
		x->part = NULL;
		for (size_t i = 1; i < rule_parts_count; i++)
			if (slice_eq_nocase(slice_str(rule_parts[i].name), after))
				x->part = &rule_parts[i];
	}
	return x->field && x->part;
}

/** What may be done with a part of an address: what the header allows and the part does. */
static unsigned part_flags(const struct rule_field *f, enum rule_part part, unsigned flags)
{
	bool contact = !strcmp(f->name, "contact");
	unsigned ret = (flags & RULE_SUB) | (f->flags & (RULE_REQUEST | RULE_RESPONSE));

	if (part == RULE_WHOLE) {
		ret |= f->flags & flags;
		if (contact || !strcmp(f->name, "from") || !strcmp(f->name, "to"))
			ret &= ~(unsigned)(RULE_WRITE | RULE_REMOVE);
		return ret;
	}
	if (contact && part != RULE_USER && part != RULE_HOST && part != RULE_PARAMS)
		return ret;
	if (!*f->header && part == RULE_DISPLAY)
		return ret;
	return ret | (f->flags & RULE_WRITE ? flags : 0);
}

static bool token_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("-.!%*_+`'~?/", c));
}

/** Name in brackets: where it is needed, allowed, and looks like a name. */
static void check_sub(struct rule_parser *p, struct rule_path *x)
{
	const char *name = x->field->name;

	if (!x->sub.p) {
		if (x->flags & RULE_SUB)
			rule_fail(p, x->pos, NULL, "%s%s%s needs a name in brackets: [\"...\"]", name, *x->part->name ? "." : "", x->part->name);
		return;
	}
	if (!(x->flags & (RULE_SUB | RULE_MEMBER))) {
		rule_fail(p, x->pos, NULL, "%s%s%s takes no name in brackets", name, *x->part->name ? "." : "", x->part->name);
		return;
	}
	for (size_t i = 0; i < x->sub.n; i++) {
		if (!token_char(x->sub.p[i])) {
			rule_fail(p, x->pos, NULL, "the name in brackets has a character that no name has");
			return;
		}
	}
	if (!x->sub.n)
		rule_fail(p, x->pos, NULL, "the name in brackets is empty");
	if (x->field->kind == RULE_K_HEADER)
		x->sub = rule_header_long(x->sub);
}

static void path_unknown(struct rule_parser *p, struct rule_path *x, struct slice name)
{
	const char *const *names = all_names(p);
	const char *near = names ? rule_nearest(names, name) : NULL;
	char hint[120];
	struct text t = text_on(hint, sizeof hint);

	if (near)
		text_add(&t, "did you mean %s?", near);
	else if (name.n > 2 && !memchr(name.p, '.', name.n))
		text_add(&t, "headers without a field of their own: header[\"%.*s\"]", (int)(name.n > 40 ? 40 : name.n), name.p);
	rule_fail(p, x->pos, hint, "there is no field %.*s", (int)(name.n > 60 ? 60 : name.n), name.p);
}

/** `word.word...` into one name. */
static bool path_name(struct rule_parser *p, struct rule_path *x, struct text *t)
{
	if (p->t.kind != RULE_T_WORD) {
		rule_fail(p, p->t.pos, NULL, "a field is expected here, not %s", rule_tok_name(&p->t));
		return false;
	}
	for (;;) {
		text_slice(t, p->t.text);
		x->pos.len = p->t.pos.col + p->t.pos.len - x->pos.col;
		rule_next(p);
		if (p->t.kind != RULE_T_DOT)
			return true;
		rule_next(p);
		if (p->t.kind != RULE_T_WORD) {
			rule_fail(p, p->t.pos, NULL, "a name is expected after the dot, not %s", rule_tok_name(&p->t));
			return false;
		}
		text_add(t, ".");
	}
}

struct rule_path *rule_parse_path(struct rule_parser *p)
{
	struct rule_path *x = rule_new(p, sizeof *x);
	char buf[96];
	struct text t = text_on(buf, sizeof buf);

	if (!x)
		return NULL;
	x->pos = p->t.pos;
	if (!path_name(p, x, &t))
		return NULL;
	if (t.cut || !path_resolve(x, text_get(&t))) {
		path_unknown(p, x, text_get(&t));
		return NULL;
	}
	if (p->t.kind == RULE_T_LBRACK) {
		rule_next(p);
		x->sub = p->t.text;
		if (!rule_expect(p, RULE_T_STRING, "a name in quotes") || !rule_expect(p, RULE_T_RBRACK, "]"))
			return NULL;
	}
	x->type = x->field->type == RULE_ADDR ? x->part->type : x->field->type;
	x->flags = x->field->type == RULE_ADDR ? part_flags(x->field, x->part->part, x->part->flags) : x->field->flags;
	check_sub(p, x);
	return p->bad ? NULL : x;
}

static struct rule_piece *piece_add(struct rule_parser *p, struct rule_piece ***end, int kind, struct slice text)
{
	struct rule_piece *x = rule_new(p, sizeof *x);

	if (!x)
		return NULL;
	x->kind = kind;
	x->text = text;
	**end = x;
	*end = &x->next;
	return x;
}

/** The path between `${` and `}` at `at` in a string that stands at v->pos. */
static struct rule_path *piece_path(struct rule_parser *p, const struct rule_value *v, struct slice text)
{
	struct rule_lex lex = p->lex;
	struct rule_token t = p->t;
	struct rule_path *x;

	p->lex.p = p->lex.line_start = text.p;
	p->lex.end = text.p + text.n;
	p->lex.line = v->pos.line;
	p->lex.col0 = v->pos.col + (unsigned)(text.p - v->text.p);
	p->lex.joined = false;
	rule_next(p);
	x = rule_parse_path(p);
	if (x && p->t.kind != RULE_T_END)
		rule_fail(p, p->t.pos, "${field}", "} is expected here, not %s", rule_tok_name(&p->t));
	p->lex = lex;
	p->t = t;
	return x;
}

/** Cut a text at ${path} and $1..$9; a text without them stays without pieces. */
void rule_parse_pieces(struct rule_parser *p, struct rule_value *v)
{
	const char *at = v->text.p, *end = at + v->text.n, *from = at, *close;
	struct rule_piece **last = &v->pieces, *x;

	for (; at + 1 < end; at++) {
		if (*at != '$' || (at[1] != '{' && (at[1] < '1' || at[1] > '9')))
			continue;
		if (at > from)
			piece_add(p, &last, RULE_P_TEXT, (struct slice){ from, (size_t)(at - from) });
		if (at[1] != '{') {
			x = piece_add(p, &last, RULE_P_CAPTURE, (struct slice){ at, 2 });
			if (x)
				x->capture = (unsigned)(at[1] - '0');
			from = ++at + 1;
			continue;
		}
		close = memchr(at, '}', (size_t)(end - at));
		if (!close) {
			rule_fail(p, v->pos, "${field}", "${ without } in this string");
			return;
		}
		x = piece_add(p, &last, RULE_P_PATH, (struct slice){ at + 2, (size_t)(close - at) - 2 });
		if (x)
			x->path = piece_path(p, v, x->text);
		at = close;
		from = at + 1;
	}
	if (v->pieces && from < end)
		piece_add(p, &last, RULE_P_TEXT, (struct slice){ from, (size_t)(end - from) });
}

static bool value_table(struct rule_parser *p, struct rule_value *v, bool map)
{
	v->table = rule_table_find(p, map, v->text);
	if (!v->table)
		rule_fail(p, v->pos, map ? "a map is declared above its first use: map %name int { 1 => 2 }" : "a set is declared above its first use: set @name string { \"...\" }",
			  "there is no %s of this name", map ? "map" : "set");
	rule_next(p);
	if (!map)
		return true;
	if (!rule_expect(p, RULE_T_LBRACK, "[ with the field to look up"))
		return false;
	v->key = rule_parse_path(p);
	return v->key && rule_expect(p, RULE_T_RBRACK, "]");
}

struct rule_value *rule_parse_value(struct rule_parser *p)
{
	struct rule_value *v;

	if (p->t.kind == RULE_T_OPEN)
		return rule_parse_list(p);
	v = rule_new(p, sizeof *v);
	if (!v)
		return NULL;
	v->pos = p->t.pos;
	v->text = p->t.text;
	v->num = p->t.num;
	v->per_s = p->t.per_s;
	switch (p->t.kind) {
	case RULE_T_STRING: v->kind = RULE_V_TEXT; break;
	case RULE_T_WORD: v->kind = RULE_V_WORD; break;
	case RULE_T_NUMBER: v->kind = RULE_V_NUMBER; break;
	case RULE_T_RATE: v->kind = RULE_V_RATE; break;
	case RULE_T_SETNAME: v->kind = RULE_V_SET; break;
	case RULE_T_MAPNAME: v->kind = RULE_V_MAP; break;
	default:
		rule_fail(p, p->t.pos, NULL, "a value is expected here, not %s", rule_tok_name(&p->t));
		return NULL;
	}
	if (v->kind == RULE_V_SET || v->kind == RULE_V_MAP)
		return value_table(p, v, v->kind == RULE_V_MAP) ? v : NULL;
	rule_next(p);
	return v;
}

struct rule_value *rule_parse_list(struct rule_parser *p)
{
	struct rule_value *v = rule_new(p, sizeof *v), **end, *x;

	if (!v)
		return NULL;
	v->kind = RULE_V_LIST;
	v->pos = p->t.pos;
	end = &v->items;
	if (!rule_expect(p, RULE_T_OPEN, "a list { ... }"))
		return NULL;
	do {
		if (v->items)
			rule_next(p);
		if (p->t.kind == RULE_T_OPEN) {
			rule_fail(p, p->t.pos, NULL, "a list has no lists in it");
			return NULL;
		}
		x = rule_parse_value(p);
		if (!x)
			return NULL;
		*end = x;
		end = &x->next;
		while (p->t.kind == RULE_T_NL)
			rule_next(p);
	} while (p->t.kind == RULE_T_COMMA);
	return rule_expect(p, RULE_T_CLOSE, "a comma or }") ? v : NULL;
}
