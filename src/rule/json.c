/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON twin of the tree. Strings that are no UTF-8 have their bytes above 0x7f as \u00XX: SIP texts are bytes. */
#include "rule/rule.h"

/** Length of the UTF-8 character at p, 0: none (RFC 3629 section 4: by the range of the first byte, that of the second). */
static size_t utf8_len(const unsigned char *p, size_t n)
{
	static const struct { unsigned char from, to, from2, to2; size_t len; } rows[] = {
		{ 0x00, 0x7f, 0, 0xff, 1 }, { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 },
		{ 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};
	size_t row = 0;

	while (row < ARRAY_LEN(rows) && (p[0] < rows[row].from || p[0] > rows[row].to))
		row++;
	if (row == ARRAY_LEN(rows) || rows[row].len > n || (rows[row].len > 1 && (p[1] < rows[row].from2 || p[1] > rows[row].to2)))
		return 0;
	for (size_t i = 2; i < rows[row].len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return rows[row].len;
}

static void j_string(struct rule_out *o, struct slice s)
{
	size_t n;

	rule_out_slice(o, SLICE("\""));
	for (size_t i = 0; i < s.n; i += n) {
		unsigned char c = (unsigned char)s.p[i];

		n = utf8_len((const unsigned char *)s.p + i, s.n - i);
		if (!n || c < ' ' || c == 0x7f) {
			rule_out_add(o, "\\u%04x", c);
			n = 1;
			continue;
		}
		if (c == '"' || c == '\\')
			rule_out_slice(o, SLICE("\\"));
		rule_out_slice(o, (struct slice){ s.p + i, n });
	}
	rule_out_slice(o, SLICE("\""));
}

static void j_key(struct rule_out *o, const char *key)
{
	rule_out_add(o, "%s\"%s\":", o->n && (o->p[o->n - 1] == '{') ? "" : ",", key);
}

static void j_text(struct rule_out *o, const char *key, struct slice s)
{
	j_key(o, key);
	j_string(o, s);
}

static void j_path(struct rule_out *o, const char *key, const struct rule_path *p)
{
	j_key(o, key);
	rule_out_add(o, "{\"field\":\"%s%s%s\"", p->field->name, *p->part->name ? "." : "", p->part->name);
	if (p->sub.p)
		j_text(o, "name", p->sub);
	rule_out_slice(o, SLICE("}"));
}

static void j_value(struct rule_out *o, const struct rule_value *v)
{
	static const char *const kinds[] = {
		[RULE_V_TEXT] = "string", [RULE_V_WORD] = "word", [RULE_V_SET] = "set",
	};

	switch (v->kind) {
	case RULE_V_TEXT:
	case RULE_V_WORD:
	case RULE_V_SET:
		rule_out_slice(o, SLICE("{"));
		j_text(o, kinds[v->kind], v->text);
		rule_out_slice(o, SLICE("}"));
		break;
	case RULE_V_NUMBER: rule_out_add(o, "%lld", (long long)v->num); break;
	case RULE_V_RATE: rule_out_add(o, "{\"rate\":%lld,\"seconds\":%u}", (long long)v->num, v->per_s); break;
	case RULE_V_MAP:
		rule_out_slice(o, SLICE("{"));
		j_text(o, "map", v->text);
		j_path(o, "key", v->key);
		rule_out_slice(o, SLICE("}"));
		break;
	case RULE_V_LIST:
		for (const struct rule_value *x = v->items; x; x = x->next) {
			rule_out_add(o, x == v->items ? "[" : ",");
			j_value(o, x);
		}
		rule_out_slice(o, SLICE("]"));
		break;
	}
}

static void j_cond(struct rule_out *o, const struct rule_cond *c)
{
	static const char *const kinds[] = { "and", "or", "not", "has" };
	static const char *const ops[] = { "==", "!=", "<", ">", "~" };

	rule_out_slice(o, SLICE("{"));
	if (c->kind == RULE_C_HAS) {
		j_path(o, "has", c->path);
	} else if (c->kind == RULE_C_CMP) {
		j_path(o, "path", c->path);
		j_text(o, "op", slice_str(c->in ? "in" : ops[c->op - RULE_T_EQ]));
		j_key(o, "value");
		j_value(o, c->value);
	} else {
		j_key(o, kinds[c->kind]);
		rule_out_slice(o, SLICE("["));
		for (const struct rule_cond *x = c->first; x; x = c->kind == RULE_C_NOT ? NULL : x->next) {
			if (x != c->first)
				rule_out_slice(o, SLICE(","));
			j_cond(o, x);
		}
		rule_out_slice(o, SLICE("]"));
	}
	rule_out_slice(o, SLICE("}"));
}

static void j_action(struct rule_out *o, const struct rule_action *a)
{
	rule_out_add(o, "{\"action\":\"%s\"", a->row->name);
	if (a->path)
		j_path(o, "path", a->path);
	if (a->row->operand == RULE_O_STATUS)
		rule_out_add(o, ",\"status\":%d", a->status);
	if (a->name.p)
		j_text(o, "name", a->name);
	if (a->value) {
		j_key(o, "value");
		j_value(o, a->value);
	}
	rule_out_slice(o, SLICE("}"));
}

static void j_table(struct rule_out *o, const struct rule_table *t)
{
	rule_out_slice(o, SLICE("{"));
	j_text(o, t->map ? "map" : "set", t->name);
	rule_out_add(o, ",\"type\":\"%s\",\"values\":[", rule_set_types[t->elem]);
	for (const struct rule_value *v = t->items; v; v = v->next) {
		if (v != t->items)
			rule_out_slice(o, SLICE(","));
		if (t->map)
			rule_out_slice(o, SLICE("["));
		j_value(o, v);
		if (t->map) {
			rule_out_slice(o, SLICE(","));
			j_value(o, v->result);
			rule_out_slice(o, SLICE("]"));
		}
	}
	rule_out_slice(o, SLICE("]}"));
}

static void j_rule(struct rule_out *o, const struct rule_rule *r)
{
	rule_out_slice(o, SLICE("{"));
	if (r->cond) {
		j_key(o, "when");
		j_cond(o, r->cond);
	}
	j_key(o, "then");
	for (const struct rule_action *a = r->actions; a; a = a->next) {
		rule_out_add(o, a == r->actions ? "[" : ",");
		j_action(o, a);
	}
	rule_out_slice(o, SLICE("]}"));
}

static void j_policy(struct rule_out *o, const struct rule_policy *x)
{
	rule_out_slice(o, SLICE("{"));
	j_text(o, "policy", x->name);
	rule_out_add(o, ",\"on\":\"%s\",\"messages\":\"%s\"", x->hook == RULE_SEND ? "send" : "receive",
		     x->kinds == RULE_REQUESTS ? "request" : x->kinds == RULE_RESPONSES ? "response" : "any");
	if (x->peered)
		j_text(o, x->peers ? "peers" : "peer", x->peer);
	rule_out_slice(o, SLICE(",\"rules\":["));
	for (const struct rule_rule *r = x->rules; r; r = r->next) {
		if (r != x->rules)
			rule_out_slice(o, SLICE(",\n  "));
		j_rule(o, r);
	}
	rule_out_slice(o, SLICE("]}"));
}

char *rule_set_print_json(const struct rule_set *s)
{
	struct rule_out o = { 0 };
	bool first = true;

	rule_out_slice(&o, SLICE("{\"items\":["));
	for (const struct rule_item *i = s->items; i; i = i->next) {
		if (i->shared)
			continue;
		rule_out_add(&o, first ? "\n " : ",\n ");
		first = false;
		if (i->kind == RULE_I_TABLE) {
			j_table(&o, i->table);
		} else if (i->kind == RULE_I_POLICY) {
			j_policy(&o, i->policy);
		} else {
			rule_out_slice(&o, SLICE("{"));
			j_text(&o, "include", i->include);
			rule_out_slice(&o, SLICE("}"));
		}
	}
	rule_out_slice(&o, SLICE("\n]}\n"));
	return rule_out_take(&o);
}
