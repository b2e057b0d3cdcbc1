/* SPDX-License-Identifier: Apache-2.0 */
/* Reading fields and testing conditions. Nothing here allocates; texts are borrowed from the message, as long as its interface says. */
#include <stdio.h>

#include "rule/rule.h"

static struct rule_got got_text(struct slice s)
{
	return (struct rule_got){ .there = s.p != NULL, .s = s };
}

static struct rule_got got_number(int64_t n)
{
	return (struct rule_got){ .there = true, .is_num = true, .num = n };
}

static const struct rule_got none;

/** Leading number of a value such as `1800;refresher=uac`. */
static struct rule_got leading_number(struct slice s)
{
	uint64_t v;
	size_t n = 0;

	while (s.n && (*s.p == ' ' || *s.p == '\t')) {
		s.p++;
		s.n--;
	}
	while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
		n++;
	return slice_u64((struct slice){ s.p, n }, UINT32_MAX, &v) ? none : got_number((int64_t)v);
}

static struct slice params_of(struct slice s)
{
	const char *at = s.n ? memchr(s.p, ';', s.n) : NULL;

	return at ? (struct slice){ at + 1, s.n - (size_t)(at + 1 - s.p) } : (struct slice){ s.p, 0 };
}

static struct slice unquote(struct slice s)
{
	if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"')
		return (struct slice){ s.p + 1, s.n - 2 };
	return s;
}

static struct slice trim(struct slice s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t')) {
		s.p++;
		s.n--;
	}
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

static struct rule_got param_of(struct slice value, const struct rule_field *f)
{
	struct slice v = wire_param(params_of(value), f->param);

	if (!v.p || f->type != RULE_INT)
		return got_text(unquote(v));
	return leading_number(unquote(v));
}

static struct rule_got get_param(struct rule_eval *e, const struct rule_field *f)
{
	struct slice v = e->ops->header(e->m, slice_str(f->header), 0);

	return v.p ? param_of(v, f) : none;
}

/** Of a Reason there are several values, on one line or more (RFC 3326 section 2): the index-th that has it. */
static struct rule_got get_reason(struct rule_eval *e, const struct rule_field *f, unsigned index)
{
	struct slice line, m;

	for (unsigned n = 0; (line = e->ops->header(e->m, slice_str(f->header), n)).p; n++)
		for (unsigned i = 0; (m = rule_list_member(line, ',', i)).p; i++) {
			struct rule_got g = f->kind == RULE_K_REASON_PROTOCOL ? got_text(rule_list_member(m, ';', 0)) : param_of(m, f);

			if (g.there && !index--)
				return g;
		}
	return none;
}

/** Value of a header by name; a glob finds the index-th header whose name fits. */
static struct rule_got get_header(struct rule_eval *e, const struct rule_path *p, unsigned index)
{
	struct slice name;

	if (!memchr(p->sub.p, '*', p->sub.n) && !memchr(p->sub.p, '?', p->sub.n))
		return got_text(e->ops->header(e->m, p->sub, index));
	for (unsigned i = 0; (name = e->ops->header_name(e->m, i)).p; i++)
		if (rule_glob(p->sub, name, true) && !index--)
			return got_text(name);
	return none;
}

static struct slice at_text(struct rule_eval *e, const char *key)
{
	static const char *const dialogs[] = { NULL, "initial", "mid" };
	const struct { const char *key; struct slice s; } rows[] = {
		{ "src.trunk", e->at->src_trunk }, { "src.realm", e->at->src_realm }, { "dst.trunk", e->at->dst_trunk }, { "dst.realm", e->at->dst_realm },
		{ "src.transport", e->at->transport }, { "call.direction", slice_str(e->at->out ? "out" : "in") }, { "dialog", slice_str(dialogs[e->at->dialog]) },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (!strcmp(rows[i].key, key))
			return rows[i].s.n ? rows[i].s : (struct slice){ NULL, 0 };
	return (struct slice){ NULL, 0 };
}

static struct rule_got get_body_type(struct rule_eval *e)
{
	struct slice v = e->ops->header(e->m, SLICE("Content-Type"), 0);
	const char *semi = v.n ? memchr(v.p, ';', v.n) : NULL;

	if (!v.p)
		return none;
	if (semi)
		v.n = (size_t)(semi - v.p);
	return got_text(trim(v));
}

static struct rule_got get_source(struct rule_eval *e, bool port)
{
	static char host[48];

	if (!e->at->src)
		return none;
	if (port)
		return got_number(base_addr_port(e->at->src));
	return got_text(slice_str(base_addr_host(e->at->src, false, host)));
}

/** Fields that are not within address, list or SDP. */
static struct rule_got get_plain(struct rule_eval *e, const struct rule_path *p, unsigned index)
{
	const struct rule_field *f = p->field;
	struct slice v;

	switch (f->kind) {
	case RULE_K_METHOD: return got_text(e->ops->method(e->m));
	case RULE_K_STATUS: return e->request ? none : got_number(e->ops->status(e->m));
	case RULE_K_PHRASE: return e->request ? none : got_text(e->ops->phrase(e->m));
	case RULE_K_NUMBER:
		v = e->ops->header(e->m, slice_str(f->header), 0);
		return v.p ? leading_number(v) : none;
	case RULE_K_PARAM: return get_param(e, f);
	case RULE_K_REASON:
	case RULE_K_REASON_PROTOCOL: return get_reason(e, f, index);
	case RULE_K_PLAIN: return got_text(e->ops->header(e->m, slice_str(f->header), index));
	case RULE_K_HEADER: return get_header(e, p, index);
	case RULE_K_NAMES: return got_text(e->ops->header_name(e->m, index));
	case RULE_K_BODY_TYPE: return get_body_type(e);
	case RULE_K_BODY_SIZE: return got_number((int64_t)e->ops->body(e->m).n);
	case RULE_K_SRC_IP:
	case RULE_K_SRC_PORT: return get_source(e, f->kind == RULE_K_SRC_PORT);
	case RULE_K_AT: return got_text(at_text(e, f->header));
	case RULE_K_VAR: return got_text(e->ops->var(e->m, p->sub));
	case RULE_K_TAG: return (struct rule_got){ .there = e->ops->has_tag(e->m, p->sub) };
	default: return none;
	}
}

struct rule_got rule_get(struct rule_eval *e, const struct rule_path *p, unsigned index)
{
	bool many;

	switch (p->field->kind) {
	case RULE_K_ADDR: return rule_addr_get(e, p, index);
	case RULE_K_LIST: return rule_list_get(e, p, index);
	case RULE_K_SDP: case RULE_K_CODECS: case RULE_K_PTIME: case RULE_K_BANDWIDTH: case RULE_K_DIRECTION: case RULE_K_PORT: case RULE_K_ATTRIBUTE:
		return rule_sdp_get(e, p, index);
	default:
		many = p->field->kind == RULE_K_HEADER || p->field->kind == RULE_K_NAMES || p->field->kind == RULE_K_PLAIN || p->field->kind == RULE_K_REASON ||
			p->field->kind == RULE_K_REASON_PROTOCOL;
		return index && !many ? none : get_plain(e, p, index);
	}
}

bool rule_has(struct rule_eval *e, const struct rule_path *p)
{
	struct rule_got g;

	/* Allow: with no method in it is there all the same */
	if (p->field->kind == RULE_K_LIST && !p->sub.p)
		return e->ops->header(e->m, slice_str(p->field->header), 0).p;
	if (p->field->kind == RULE_K_LIST)
		return rule_list_has(e, p);
	if (!(p->flags & RULE_MEMBER) || !p->sub.p)
		return rule_get(e, p, 0).there;
	for (unsigned i = 0; (g = rule_get(e, p, i)).there; i++)
		if (rule_glob(p->sub, g.s, true))
			return true;
	return false;
}

/* ---- values ---- */
static bool piece_add(struct rule_eval *e, const struct rule_piece *x, struct rule_out *tmp)
{
	struct rule_got g;

	switch (x->kind) {
	case RULE_P_TEXT:
		rule_out_slice(tmp, x->text);
		break;
	case RULE_P_CAPTURE:
		if (e->captured)
			rule_out_slice(tmp, e->capture[x->capture]);
		break;
	case RULE_P_PATH:
		g = rule_get(e, x->path, 0);
		if (g.is_num)
			rule_out_add(tmp, "%lld", (long long)g.num);
		else if (g.there)
			rule_out_slice(tmp, g.s);
		break;
	}
	return !tmp->failed;
}

static bool expand_map(struct rule_eval *e, const struct rule_value *v, struct slice *ret)
{
	struct rule_got g = rule_get(e, v->key, 0);
	const struct rule_value *hit = g.there ? rule_table_lookup(e, v->table, &g, v->key->type == RULE_TOKEN) : NULL;

	if (hit)
		*ret = hit->result->text;
	return hit;
}

bool rule_expand(struct rule_eval *e, const struct rule_value *v, struct rule_out *tmp, struct slice *ret)
{
	if (v->kind == RULE_V_MAP)
		return expand_map(e, v, ret);
	if (!v->pieces) {
		*ret = v->text;
		return true;
	}
	tmp->n = 0;
	for (const struct rule_piece *x = v->pieces; x; x = x->next)
		if (!piece_add(e, x, tmp))
			return false;
	*ret = (struct slice){ tmp->p ? tmp->p : "", tmp->n };
	return true;
}

/* ---- conditions ---- */
static bool is_nocase(const struct rule_path *p)
{
	return p->type == RULE_TOKEN || p->type == RULE_LIST || p->type == RULE_NAME || p->field->kind == RULE_K_NAMES;
}

static bool same_text(const struct rule_path *p, struct slice a, struct slice b)
{
	union base_addr x, y;

	if (p->type == RULE_IP && !base_addr_parse(a, 0, &x) && !base_addr_parse(b, 0, &y))
		return base_addr_same_host(&x, &y);
	return is_nocase(p) ? slice_eq_nocase(a, b) : slice_eq(a, b);
}

static bool value_number(struct rule_eval *e, const struct rule_value *v, int64_t *ret)
{
	struct rule_out tmp = { 0 };
	struct slice s;
	uint64_t n;
	bool ok;

	if (v->kind == RULE_V_NUMBER) {
		*ret = v->num;
		return true;
	}
	ok = rule_expand(e, v, &tmp, &s) && !slice_u64(s, UINT32_MAX, &n);
	if (ok)
		*ret = (int64_t)n;
	rule_out_free(&tmp);
	return ok;
}

static bool compare_number(struct rule_eval *e, const struct rule_cond *c, int64_t have)
{
	int64_t want;

	if (!value_number(e, c->value, &want))
		return false;
	return c->op == RULE_T_LT ? have < want : c->op == RULE_T_GT ? have > want : have == want;
}

/** Equal to a text that has to be put together: what is borrowed from the message is copied before. */
static bool compare_template(struct rule_eval *e, const struct rule_cond *c, unsigned index)
{
	struct rule_out tmp = { 0 };
	struct rule_got g;
	struct slice want;
	bool ok = rule_expand(e, c->value, &tmp, &want);

	g = rule_get(e, c->path, index);
	ok = ok && g.there && same_text(c->path, g.s, want);
	rule_out_free(&tmp);
	return ok;
}

static bool in_list(struct rule_eval *e, const struct rule_cond *c, const struct rule_got *g)
{
	for (const struct rule_value *v = c->value->items; v; v = v->next)
		if (g->is_num ? v->kind == RULE_V_NUMBER && v->num == g->num : same_text(c->path, g->s, v->text))
			return true;
	return false;
}

static bool compare_one(struct rule_eval *e, const struct rule_cond *c, const struct rule_got *g, unsigned index)
{
	if (c->in)
		return c->value->kind == RULE_V_LIST ? in_list(e, c, g) : rule_table_lookup(e, c->value->table, g, is_nocase(c->path)) != NULL;
	if (c->op == RULE_T_MATCH)
		return rule_match(c->re, g->s, e, c->captures > 0);
	if (g->is_num)
		return compare_number(e, c, g->num);
	if (c->value->pieces || c->value->kind == RULE_V_MAP)
		return compare_template(e, c, index);
	return same_text(c->path, g->s, c->value->text);
}

static bool compare_rate(struct rule_eval *e, const struct rule_cond *c)
{
	uint64_t have = e->ops->rate ? e->ops->rate(e->m, c->value->per_s) : 0;

	return c->op == RULE_T_GT ? have > (uint64_t)c->value->num : have < (uint64_t)c->value->num;
}

/** Any value of the field; != is exactly the opposite of ==. */
static bool compare(struct rule_eval *e, const struct rule_cond *c)
{
	bool not_equal = !c->in && c->op == RULE_T_NE, hit = false;
	struct rule_got g;

	if (c->path->type == RULE_RATE)
		return compare_rate(e, c);
	for (unsigned i = 0; !hit && (g = rule_get(e, c->path, i)).there; i++)
		hit = compare_one(e, c, &g, i);
	return hit != not_equal;
}

bool rule_test(struct rule_eval *e, const struct rule_cond *c)
{
	const struct rule_cond *x;

	switch (c->kind) {
	case RULE_C_AND:
		for (x = c->first; x && rule_test(e, x); x = x->next)
			;
		return !x;
	case RULE_C_OR:
		for (x = c->first; x && !rule_test(e, x); x = x->next)
			;
		return x;
	case RULE_C_NOT: return !rule_test(e, c->first);
	case RULE_C_HAS: return rule_has(e, c->path);
	case RULE_C_CMP: return compare(e, c);
	}
	return false;
}
