/* SPDX-License-Identifier: Apache-2.0 */
/* Rules: conditions, which mix `and` with `or` in parentheses alone, and actions by their table. */
#include "rule/rule.h"

#define NEST_MOST 16

static struct rule_cond *parse_cond(struct rule_parser *p);

static struct rule_cond *cond_new(struct rule_parser *p, enum rule_cond_kind kind)
{
	struct rule_cond *c = rule_new(p, sizeof *c);

	if (c) {
		c->kind = kind;
		c->pos = p->t.pos;
	}
	return c;
}

static bool parse_op(struct rule_parser *p, struct rule_cond *c)
{
	c->op = p->t.kind;
	c->in = rule_word(p, "in");
	if (!c->in && (c->op < RULE_T_EQ || c->op > RULE_T_MATCH)) {
		rule_fail(p, p->t.pos, c->path->type == RULE_LIST || c->path->type == RULE_FLAG ? "to ask whether it is there: has PATH" : "to ask whether it is there: has PATH",
			  "one of == != < > ~ in is expected here, not %s", rule_tok_name(&p->t));
		return false;
	}
	rule_next(p);
	return true;
}

static struct rule_cond *parse_compare(struct rule_parser *p)
{
	struct rule_cond *c = cond_new(p, RULE_C_CMP);

	if (!c)
		return NULL;
	c->path = rule_parse_path(p);
	if (!c->path || !parse_op(p, c))
		return NULL;
	c->value = rule_parse_value(p);
	if (c->value && c->value->kind == RULE_V_TEXT && (c->in || c->op != RULE_T_MATCH))
		rule_parse_pieces(p, c->value);
	return c->value ? c : NULL;
}

static struct rule_cond *parse_paren(struct rule_parser *p)
{
	struct rule_cond *c;

	rule_next(p);
	c = parse_cond(p);
	return c && rule_expect(p, RULE_T_RPAREN, ")") ? c : NULL;
}

static struct rule_cond *parse_term(struct rule_parser *p)
{
	struct rule_cond *c = NULL;

	if (p->nest >= NEST_MOST) {
		rule_fail(p, p->t.pos, NULL, "conditions are nested more than %d deep", NEST_MOST);
		return NULL;
	}
	p->nest++;
	if (rule_word(p, "not")) {
		c = cond_new(p, RULE_C_NOT);
		rule_next(p);
		if (c)
			c->first = parse_term(p);
		c = c && c->first ? c : NULL;
	} else if (p->t.kind == RULE_T_LPAREN) {
		c = parse_paren(p);
	} else if (rule_word(p, "has")) {
		c = cond_new(p, RULE_C_HAS);
		rule_next(p);
		if (c)
			c->path = rule_parse_path(p);
		c = c && c->path ? c : NULL;
	} else {
		c = parse_compare(p);
	}
	p->nest--;
	return c;
}

static struct rule_cond *parse_cond(struct rule_parser *p)
{
	struct rule_cond *first = parse_term(p), *all, **end;
	const char *joint = rule_word(p, "or") ? "or" : "and";

	if (!first || (!rule_word(p, "and") && !rule_word(p, "or")))
		return first;
	all = cond_new(p, *joint == 'o' ? RULE_C_OR : RULE_C_AND);
	if (!all)
		return NULL;
	all->first = first;
	/* `(a and b) and c`: the term in parentheses has no next yet, it is new */
	end = &first->next;
	while (rule_word(p, joint)) {
		rule_next(p);
		*end = parse_term(p);
		if (!*end)
			return NULL;
		end = &(*end)->next;
	}
	if (rule_word(p, "and") || rule_word(p, "or")) {
		rule_fail(p, p->t.pos, "put one of the two in parentheses: a and (b or c)", "and is mixed with or");
		return NULL;
	}
	return all;
}

/* ---- actions ---- */
static const char *const *action_names(void)
{
	static const char *names[32];

	for (size_t i = 0; !names[0] && i < rule_actions_count && i + 1 < ARRAY_LEN(names); i++)
		names[rule_actions_count - 1 - i] = rule_actions[rule_actions_count - 1 - i].name;
	return names;
}

static const struct rule_action_row *action_find(struct rule_parser *p)
{
	const char *near;
	size_t i;

	for (i = 0; i < rule_actions_count && p->t.kind == RULE_T_WORD; i++)
		if (rule_word(p, rule_actions[i].name))
			return &rule_actions[i];
	near = p->t.kind == RULE_T_WORD ? rule_nearest(action_names(), p->t.text) : NULL;
	if (!near && rule_word(p, "if"))
		near = "when";
	rule_fail(p, p->t.pos, near, "an action is expected here, not %s", rule_tok_name(&p->t));
	return NULL;
}

static bool parse_status(struct rule_parser *p, struct rule_action *a)
{
	struct rule_pos at = p->t.pos;

	a->status = (int)p->t.num;
	if (!rule_expect(p, RULE_T_NUMBER, "a status"))
		return false;
	if (a->status < 400 || a->status > 699)
		rule_fail(p, at, a->status >= 300 && a->status < 400 ? "redirect \"sip:...\"" : NULL, "reject takes a status from 400 to 699");
	if (p->t.kind != RULE_T_STRING)
		return true;
	a->value = rule_parse_value(p);
	if (a->value)
		rule_parse_pieces(p, a->value);
	return a->value != NULL;
}

static bool parse_action_name(struct rule_parser *p, struct rule_action *a)
{
	bool route = a->row->verb == RULE_A_ROUTE;

	a->name = p->t.text;
	if (p->t.kind != RULE_T_WORD && p->t.kind != RULE_T_STRING && p->t.kind != RULE_T_NUMBER) {
		rule_fail(p, p->t.pos, NULL, "a name is expected here, not %s", rule_tok_name(&p->t));
		return false;
	}
	if (!rule_is_name(a->name))
		rule_fail(p, p->t.pos, "a name is 1 to 63 of a-z, 0-9 and -, and begins with a letter or digit", "this is no name");
	else if (route && p->how->is_peer && !p->how->is_peer(p->how->arg, a->name))
		rule_fail(p, p->t.pos, NULL, "there is no trunk or group of this name");
	rule_next(p);
	return true;
}

static bool parse_text(struct rule_parser *p, struct rule_action *a, bool only_string)
{
	if (only_string && p->t.kind != RULE_T_STRING) {
		rule_fail(p, p->t.pos, "a text in quotes", "a string is expected here, not %s", rule_tok_name(&p->t));
		return false;
	}
	a->value = rule_parse_value(p);
	if (a->value && a->value->kind == RULE_V_TEXT)
		rule_parse_pieces(p, a->value);
	return a->value != NULL;
}

static bool parse_operand(struct rule_parser *p, struct rule_action *a)
{
	switch (a->row->operand) {
	case RULE_O_NONE:
		return true;
	case RULE_O_PATH:
	case RULE_O_PATH_VALUE:
	case RULE_O_PATH_LIST:
		a->path = rule_parse_path(p);
		if (!a->path || a->row->operand == RULE_O_PATH)
			return a->path;
		if (a->row->operand == RULE_O_PATH_VALUE)
			return parse_text(p, a, false);
		a->value = rule_parse_list(p);
		return a->value;
	case RULE_O_STATUS:
		return parse_status(p, a);
	case RULE_O_NAME:
		return parse_action_name(p, a);
	case RULE_O_VALUE:
	case RULE_O_STRING:
		return parse_text(p, a, a->row->operand == RULE_O_STRING);
	}
	return false;
}

static struct rule_action *parse_action(struct rule_parser *p)
{
	struct rule_action *a = rule_new(p, sizeof *a);

	if (!a)
		return NULL;
	a->pos = p->t.pos;
	a->row = action_find(p);
	if (!a->row)
		return NULL;
	rule_next(p);
	return parse_operand(p, a) ? a : NULL;
}

struct rule_rule *rule_parse_rule(struct rule_parser *p)
{
	struct rule_rule *r = rule_new(p, sizeof *r);
	struct rule_action **end;

	if (!r)
		return NULL;
	r->pos = p->t.pos;
	p->nest = 0;
	if (rule_word(p, "when")) {
		rule_next(p);
		r->cond = parse_cond(p);
		if (!r->cond)
			return NULL;
		if (!rule_word(p, "then")) {
			rule_fail(p, p->t.pos, "when CONDITION then ACTION", "then is expected here, not %s", rule_tok_name(&p->t));
			return NULL;
		}
		rule_next(p);
	}
	for (end = &r->actions; ; end = &(*end)->next) {
		*end = parse_action(p);
		if (!*end)
			return NULL;
		if (p->t.kind != RULE_T_COMMA)
			return r;
		rule_next(p);
	}
}
