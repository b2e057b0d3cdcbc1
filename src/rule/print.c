/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The canonical form: one rule a line, one blank between words, names without quotes where they may be. It parses to the same tree.
 * Comments are not part of the tree and are not printed.
 */
#include "rule/rule.h"

void rule_print_string(struct rule_out *o, struct slice s)
{
	rule_out_slice(o, SLICE("\""));
	for (size_t i = 0; i < s.n; i++) {
		/* a backslash needs no other before it unless an escape would be read; printing all of them keeps one form */
		if (s.p[i] == '"' || (s.p[i] == '\\' && (i + 1 == s.n || s.p[i + 1] == '"' || s.p[i + 1] == '\\')))
			rule_out_slice(o, SLICE("\\"));
		rule_out_slice(o, (struct slice){ s.p + i, 1 });
	}
	rule_out_slice(o, SLICE("\""));
}

void rule_print_path(struct rule_out *o, const struct rule_path *p)
{
	rule_out_add(o, "%s%s%s", p->field->name, *p->part->name ? "." : "", p->part->name);
	if (p->sub.p) {
		rule_out_slice(o, SLICE("["));
		rule_print_string(o, p->sub);
		rule_out_slice(o, SLICE("]"));
	}
}

static void print_value(struct rule_out *o, const struct rule_value *v)
{
	switch (v->kind) {
	case RULE_V_TEXT: rule_print_string(o, v->text); break;
	case RULE_V_WORD: rule_out_slice(o, v->text); break;
	case RULE_V_NUMBER: rule_out_add(o, "%lld", (long long)v->num); break;
	case RULE_V_RATE: rule_out_add(o, "%lld/%c", (long long)v->num, v->per_s == 1 ? 's' : 'm'); break;
	case RULE_V_SET: rule_out_add(o, "@%.*s", (int)v->text.n, v->text.p); break;
	case RULE_V_MAP:
		rule_out_add(o, "%%%.*s[", (int)v->text.n, v->text.p);
		rule_print_path(o, v->key);
		rule_out_slice(o, SLICE("]"));
		break;
	case RULE_V_LIST:
		for (const struct rule_value *x = v->items; x; x = x->next) {
			rule_out_slice(o, x == v->items ? SLICE("{ ") : SLICE(", "));
			print_value(o, x);
		}
		rule_out_slice(o, SLICE(" }"));
		break;
	}
}

static const char *op_text(const struct rule_cond *c)
{
	if (c->in)
		return "in";
	switch (c->op) {
	case RULE_T_EQ: return "==";
	case RULE_T_NE: return "!=";
	case RULE_T_LT: return "<";
	case RULE_T_GT: return ">";
	default: return "~";
	}
}

static void print_cond(struct rule_out *o, const struct rule_cond *c, bool top)
{
	bool joint = c->kind == RULE_C_AND || c->kind == RULE_C_OR;

	if (joint && !top)
		rule_out_slice(o, SLICE("("));
	if (c->kind == RULE_C_NOT)
		rule_out_slice(o, SLICE("not "));
	if (c->kind == RULE_C_HAS)
		rule_out_slice(o, SLICE("has "));
	if (c->path)
		rule_print_path(o, c->path);
	if (c->kind == RULE_C_CMP) {
		rule_out_add(o, " %s ", op_text(c));
		print_value(o, c->value);
	}
	for (const struct rule_cond *x = c->first; x; x = joint ? x->next : NULL) {
		if (x != c->first)
			rule_out_add(o, c->kind == RULE_C_AND ? " and " : " or ");
		print_cond(o, x, false);
	}
	if (joint && !top)
		rule_out_slice(o, SLICE(")"));
}

static void print_action(struct rule_out *o, const struct rule_action *a)
{
	rule_out_add(o, "%s", a->row->name);
	if (a->path) {
		rule_out_slice(o, SLICE(" "));
		rule_print_path(o, a->path);
	}
	if (a->row->operand == RULE_O_STATUS)
		rule_out_add(o, " %d", a->status);
	if (a->name.p)
		rule_out_add(o, " %.*s", (int)a->name.n, a->name.p);
	if (a->value) {
		rule_out_slice(o, SLICE(" "));
		print_value(o, a->value);
	}
}

void rule_print_rule(struct rule_out *o, const struct rule_rule *r)
{
	if (r->cond) {
		rule_out_slice(o, SLICE("when "));
		print_cond(o, r->cond, true);
		rule_out_slice(o, SLICE(" then "));
	}
	for (const struct rule_action *a = r->actions; a; a = a->next) {
		if (a != r->actions)
			rule_out_slice(o, SLICE(", "));
		print_action(o, a);
	}
}

static void print_table(struct rule_out *o, const struct rule_table *t)
{
	rule_out_add(o, t->map ? "map %%%.*s %s { " : "set @%.*s %s { ", (int)t->name.n, t->name.p, rule_set_types[t->elem]);
	for (const struct rule_value *v = t->items; v; v = v->next) {
		if (v != t->items)
			rule_out_slice(o, SLICE(", "));
		print_value(o, v);
		if (t->map) {
			rule_out_slice(o, SLICE(" => "));
			print_value(o, v->result);
		}
	}
	rule_out_slice(o, SLICE(" }\n"));
}

static void print_policy(struct rule_out *o, const struct rule_policy *x)
{
	rule_out_add(o, "policy %.*s on %s %s", (int)x->name.n, x->name.p, x->hook == RULE_SEND ? "send" : "receive",
		     x->kinds == RULE_REQUESTS ? "request" : x->kinds == RULE_RESPONSES ? "response" : "any");
	if (x->peered)
		rule_out_add(o, " %s %s%.*s", x->hook == RULE_SEND ? "to" : "from", x->peers ? "@" : "", (int)x->peer.n, x->peer.p);
	rule_out_slice(o, SLICE(" {\n"));
	for (const struct rule_rule *r = x->rules; r; r = r->next) {
		rule_out_slice(o, SLICE("    "));
		rule_print_rule(o, r);
		rule_out_slice(o, SLICE("\n"));
	}
	rule_out_slice(o, SLICE("}\n"));
}

char *rule_set_print(const struct rule_set *s)
{
	struct rule_out o = { 0 };
	bool policy = false;

	for (const struct rule_item *i = s->items; i; i = i->next) {
		if (i->shared)
			continue;
		/* a blank line around policies */
		if (o.n && (i->kind == RULE_I_POLICY || policy))
			rule_out_slice(&o, SLICE("\n"));
		policy = i->kind == RULE_I_POLICY;
		if (i->kind == RULE_I_INCLUDE) {
			rule_out_slice(&o, SLICE("include "));
			rule_print_string(&o, i->include);
			rule_out_slice(&o, SLICE("\n"));
		} else if (i->kind == RULE_I_TABLE) {
			print_table(&o, i->table);
		} else {
			print_policy(&o, i->policy);
		}
	}
	return rule_out_take(&o);
}
