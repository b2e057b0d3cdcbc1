/* SPDX-License-Identifier: Apache-2.0 */
/* Rule sets and chains: loading, what they count, what a message of a leg has to pass. */
#include <stdlib.h>

#include "rule/rule.h"

static void set_destroy(void *obj)
{
	struct rule_set *s = obj;

	rule_regex_free(s);
	rule_arena_free(&s->mem);
}

/** A counter of the set, made where it is not there. */
static uint64_t *counter_get(struct rule_set *s, struct slice name)
{
	struct rule_counter *c;

	for (c = s->counters; c; c = c->next)
		if (slice_eq(c->name, name))
			return &c->value;
	c = rule_arena_alloc(&s->mem, sizeof *c);
	if (!c)
		return NULL;
	c->name = rule_arena_copy(&s->mem, name);
	*s->counters_end = c;
	s->counters_end = &c->next;
	return &c->value;
}

static void link_rule(struct rule_set *s, struct rule_rule *r)
{
	for (struct rule_action *a = r->actions; a; a = a->next)
		if (a->row->verb == RULE_A_COUNT)
			a->counter = counter_get(s, a->name);
}

static void link_counters(struct rule_set *s)
{
	for (struct rule_policy *x = s->policies; x; x = x->next_all)
		for (struct rule_rule *r = x->rules; r; r = r->next)
			link_rule(s, r);
}

int rule_set_load(struct slice text, const struct rule_load *how, struct rule_errors *errs, struct rule_set **ret)
{
	struct rule_set *s = base_new(sizeof *s, set_destroy);
	size_t before = rule_errors_count(errs);
	struct rule_parser p = { .set = s, .how = how, .errs = errs };
	struct rule_source *src;

	if (!s)
		return -ENOMEM;
	s->items_end = &s->items;
	s->policies_end = &s->policies;
	s->counters_end = &s->counters;
	s->shadow = how->shadow;
	src = rule_arena_alloc(&s->mem, sizeof *src);
	if (src) {
		src->name = rule_arena_copy(&s->mem, slice_str(how->file ? how->file : "-")).p;
		src->text = rule_arena_copy(&s->mem, text);
		s->sources = src;
		rule_lex_start(&p.lex, &s->mem, errs, src);
		rule_parse_file(&p);
		for (struct rule_policy *x = s->policies; x; x = x->next_all)
			x->shadow = s->shadow;
		link_counters(s);
	}
	if (s->mem.failed || rule_errors_count(errs) > before) {
		int err = s->mem.failed ? -ENOMEM : ERR_CONFIG;

		base_unref(s);
		return err;
	}
	*ret = s;
	return 0;
}

void rule_set_cost(const struct rule_set *s, struct rule_cost *ret)
{
	*ret = s->cost;
}

bool rule_set_has_policy(const struct rule_set *s, const char *name)
{
	for (const struct rule_policy *x = s->policies; x; x = x->next_all)
		if (slice_eq(x->name, slice_str(name)))
			return true;
	return false;
}

static void info_fill(const struct rule_rule *r, struct rule_info *ret)
{
	*ret = (struct rule_info){ .policy = r->policy->name.p, .file = r->pos.src->name, .line = r->pos.line, .index = r->index, .text = r->text,
		.hits = r->hits, .last_ms = r->last_ms, .shadow = r->policy->shadow };
}

bool rule_set_rule(const struct rule_set *s, size_t i, struct rule_info *ret)
{
	for (const struct rule_policy *x = s->policies; x; x = x->next_all) {
		for (const struct rule_rule *r = x->rules; r; r = r->next) {
			if (i--)
				continue;
			info_fill(r, ret);
			return true;
		}
	}
	return false;
}

bool rule_set_counter(const struct rule_set *s, size_t i, const char **ret_name, uint64_t *ret_value)
{
	for (const struct rule_counter *c = s->counters; c; c = c->next) {
		if (i--)
			continue;
		*ret_name = c->name.p;
		*ret_value = c->value;
		return true;
	}
	return false;
}

static void inherit_policy(struct rule_policy *to, const struct rule_policy *from)
{
	for (struct rule_rule *r = to->rules; r; r = r->next) {
		for (const struct rule_rule *o = from->rules; o; o = o->next) {
			if (strcmp(r->text, o->text) || (r->index != o->index && r->last_ms))
				continue;
			r->hits = o->hits;
			r->last_ms = o->last_ms;
			if (r->index == o->index)
				break;
		}
	}
}

void rule_set_inherit(struct rule_set *s, const struct rule_set *from)
{
	for (struct rule_policy *x = s->policies; x; x = x->next_all)
		for (const struct rule_policy *o = from->policies; o; o = o->next_all)
			if (slice_eq(x->name, o->name))
				inherit_policy(x, o);
	for (struct rule_counter *c = s->counters; c; c = c->next)
		for (const struct rule_counter *o = from->counters; o; o = o->next)
			if (slice_eq(c->name, o->name))
				c->value = o->value;
}

/* ---- chains ---- */
struct lane { struct rule_policy **v; size_t n; };
struct rule_chain {
	struct rule_set **sets; size_t nsets;
	struct lane lane[2][2][2];         /* hook, request, shadow */
	struct rule_policy *store[];
};

static void chain_destroy(void *obj)
{
	struct rule_chain *c = obj;

	for (size_t i = 0; i < c->nsets; i++)
		base_unref(c->sets[i]);
	free(c->sets);
}

static bool replaced(const struct rule_chain *c, size_t user_sets, const struct rule_policy *x)
{
	for (size_t i = 0; i < user_sets; i++)
		if (rule_set_has_policy(c->sets[i], x->name.p))
			return true;
	return false;
}

static size_t lane_fill(struct rule_chain *c, size_t user_sets, size_t at, enum rule_hook hook, bool request, bool shadow)
{
	struct lane *l = &c->lane[hook][request][shadow];

	l->v = c->store + at;
	for (size_t i = 0; i < c->nsets; i++) {
		for (struct rule_policy *x = c->sets[i]->policies; x; x = x->next_all) {
			if (x->hook != hook || x->shadow != shadow || !(x->kinds & (request ? RULE_REQUESTS : RULE_RESPONSES)))
				continue;
			if (i >= user_sets && replaced(c, user_sets, x))
				continue;
			l->v[l->n++] = x;
		}
	}
	return at + l->n;
}

int rule_chain_new(struct rule_set *const *sets, size_t n, struct rule_set *builtin, struct rule_chain **ret)
{
	struct rule_set **all = base_alloc((n + 1) * sizeof *all);
	struct rule_chain *c = NULL;
	size_t policies = 0, nsets = 0, users, at = 0;

	for (size_t i = 0; all && i < n + (builtin != NULL); i++) {
		struct rule_set *s = i < n ? sets[i] : builtin;
		size_t k = 0;

		while (k < nsets && all[k] != s)
			k++;
		if (k < nsets)
			continue;
		all[nsets++] = s;
		policies += s->cost.policies;
	}
	if (all)
		c = base_new(sizeof *c + 2 * policies * sizeof *c->store, chain_destroy);
	if (!c) {
		free(all);
		return -ENOMEM;
	}
	c->sets = all;
	c->nsets = nsets;
	users = builtin && nsets && all[nsets - 1] == builtin ? nsets - 1 : nsets;
	for (size_t i = 0; i < nsets; i++)
		base_ref(all[i]);
	for (unsigned i = 0; i < 8; i++)
		at = lane_fill(c, users, at, i & 1 ? RULE_SEND : RULE_RECEIVE, i >> 1 & 1, i >> 2 & 1);
	*ret = c;
	return 0;
}

bool rule_chain_has(const struct rule_chain *c, enum rule_hook hook, bool request, bool shadow)
{
	return c->lane[hook][request][shadow].n > 0;
}

/* ---- running ---- */
static bool peer_fits(struct rule_eval *e, const struct rule_policy *x)
{
	struct rule_got trunk = { .there = true, .s = e->at->trunk }, realm = { .there = true, .s = e->at->realm };

	if (!x->peered)
		return true;
	if (x->peers)
		return (trunk.s.n && rule_table_lookup(e, x->peers, &trunk, true)) || (realm.s.n && rule_table_lookup(e, x->peers, &realm, true));
	return slice_eq(x->peer, trunk.s) || slice_eq(x->peer, realm.s);
}

static void verdict_text(struct rule_eval *e, const struct rule_action *a)
{
	struct rule_out tmp = { 0 };
	struct slice s = a->name;

	if (a->value && !rule_expand(e, a->value, &tmp, &s))
		s = (struct slice){ "", 0 };
	slice_copy(e->res->text, sizeof e->res->text, s);
	/* what came out of a message goes into a start line or header: no line ends */
	for (char *p = e->res->text; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
	rule_out_free(&tmp);
}

/** May a verdict be applied to this message? */
static bool verdict_fits(struct rule_eval *e, enum rule_verb verb)
{
	int status = e->ops->status(e->m);
	struct slice method = e->ops->method(e->m);

	if (verb == RULE_A_DROP)
		return status < 200 && !(e->request && slice_eq_nocase(method, SLICE("BYE")));
	if (!e->request || e->at->hook != RULE_RECEIVE || slice_eq_nocase(method, SLICE("ACK")))
		return false;
	if (slice_eq_nocase(method, SLICE("BYE")) || slice_eq_nocase(method, SLICE("CANCEL")))
		return false;
	return verb == RULE_A_REJECT || e->at->dialog != RULE_MID;
}

static void skipped(struct rule_eval *e, const struct rule_action *a)
{
	e->res->skipped++;
	base_count(COUNTER_RULE_SKIPPED);
	base_log_limited(BASE_WARN, 1, "rule", "an action could not be applied policy=%s line=%u action=%s", e->policy->name.p, a->pos.line, a->row->name);
}

/** Actions of a rule that holds. True: the policy ends; res has the verdict, if any. */
static bool run_actions(struct rule_eval *e, const struct rule_rule *r)
{
	static const enum rule_verdict verdicts[] = {
		[RULE_A_DROP] = RULE_DROP, [RULE_A_REJECT] = RULE_REJECT, [RULE_A_REDIRECT] = RULE_REDIRECT, [RULE_A_ROUTE] = RULE_ROUTE,
	};
	int did;

	for (const struct rule_action *a = r->actions; a; a = a->next) {
		if (a->row->verb == RULE_A_ACCEPT)
			return true;
		if (a->row->verdict) {
			if (!verdict_fits(e, a->row->verb)) {
				skipped(e, a);
				return false;
			}
			verdict_text(e, a);
			e->res->verdict = verdicts[a->row->verb];
			e->res->status = a->status;
			return true;
		}
		did = rule_act(e, a);
		if (did > 0)
			e->res->edits++;
		else if (did < 0)
			skipped(e, a);
	}
	return false;
}

static void run_policy(struct rule_eval *e, const struct rule_policy *x, const struct rule_watch *watch)
{
	struct rule_info info;

	e->policy = x;
	for (struct rule_rule *r = x->rules; r; r = r->next) {
		e->captured = false;
		if (r->cond && !rule_test(e, r->cond))
			continue;
		r->hits++;
		r->last_ms = e->at->now_ms;
		e->res->fired++;
		if (watch && watch->fired) {
			info_fill(r, &info);
			watch->fired(watch->arg, &info);
		}
		if (run_actions(e, r))
			return;
	}
}

static void chain_eval(const struct rule_chain *c, const struct rule_at *at, const struct rule_msg_ops *ops, void *m, const struct rule_watch *watch, struct rule_result *ret, bool shadow)
{
	bool request = !ops->status(m);
	const struct lane *l = &c->lane[at->hook][request][shadow];
	struct rule_eval e;

	memset(ret, 0, offsetof(struct rule_result, text) + 1);
	memset(&ret->fired, 0, sizeof *ret - offsetof(struct rule_result, fired));
	if (!l->n)
		return;
	/* the buffers stay as they are: clearing them would be most of the cost */
	e.at = at;
	e.ops = ops;
	e.m = m;
	e.res = ret;
	e.request = request;
	e.shadow = shadow;
	e.used = 0;
	e.sdp = NULL;
	e.sdp_of = NULL;
	for (size_t i = 0; i < l->n && !ret->verdict; i++)
		if (peer_fits(&e, l->v[i]))
			run_policy(&e, l->v[i], watch);
}

void rule_chain_run(const struct rule_chain *c, const struct rule_at *at, const struct rule_msg_ops *ops, void *m, const struct rule_watch *watch, struct rule_result *ret)
{
	chain_eval(c, at, ops, m, watch, ret, false);
}

void rule_chain_shadow(const struct rule_chain *c, const struct rule_at *at, const struct rule_msg_ops *ops, void *m, const struct rule_watch *watch, struct rule_result *ret)
{
	chain_eval(c, at, ops, m, watch, ret, true);
}
