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
static struct rule_counter *counter_get(struct rule_set *s, struct slice name)
{
	struct rule_counter *c;

	for (c = s->counters; c; c = c->next)
		if (slice_eq(c->name, name))
			return c;
	c = rule_arena_alloc(&s->mem, sizeof *c);
	if (!c)
		return NULL;
	c->name = rule_arena_copy(&s->mem, name);
	c->tally = &c->own;
	*s->counters_end = c;
	s->counters_end = &c->next;
	return c;
}

static void link_rule(struct rule_set *s, struct rule_rule *r)
{
	for (struct rule_action *a = r->actions; a; a = a->next)
		if (a->row->verb == RULE_A_COUNT)
			a->counter = counter_get(s, a->name);
}

static bool asks_rate(const struct rule_cond *c)
{
	if (!c)
		return false;
	for (const struct rule_cond *x = c->first; x; x = x->next)
		if (asks_rate(x))
			return true;
	return c->path && c->path->type == RULE_RATE;
}

/** Does the condition hold in no message of a dialog? */
static bool excludes_mid(const struct rule_cond *c)
{
	if (!c || c->kind == RULE_C_OR || c->kind == RULE_C_NOT || c->kind == RULE_C_HAS)
		return false;
	for (const struct rule_cond *x = c->kind == RULE_C_AND ? c->first : NULL; x; x = x->next)
		if (excludes_mid(x))
			return true;
	if (c->kind == RULE_C_AND || c->in || c->path->field->kind != RULE_K_AT || strcmp(c->path->field->header, "dialog") || c->value->pieces)
		return false;
	return c->op == (slice_eq_nocase(c->value->text, SLICE("mid")) ? RULE_T_NE : RULE_T_EQ);
}

static void link_policy(struct rule_set *s, struct rule_policy *x)
{
	x->set = s;
	x->shadow = s->shadow;
	x->not_mid = true;
	for (const struct rule_rule *r = x->rules; r; r = r->next)
		x->not_mid = x->not_mid && excludes_mid(r->cond);
}

static void link_counters(struct rule_set *s)
{
	for (struct rule_policy *x = s->policies; x; link_policy(s, x), x = x->next_all)
		for (struct rule_rule *r = x->rules; r; r = r->next) {
			r->tally = &r->own;
			s->rates = s->rates || asks_rate(r->cond);
			link_rule(s, r);
		}
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
		.hits = r->tally->hits, .last_ms = r->tally->last_ms, .shadow = r->policy->shadow };
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
		*ret_value = c->tally->hits;
		return true;
	}
	return false;
}

static void inherit_policy(struct rule_policy *to, const struct rule_policy *from)
{
	for (struct rule_rule *r = to->rules; r; r = r->next) {
		for (const struct rule_rule *o = from->rules; o; o = o->next) {
			if (strcmp(r->text, o->text) || (r->index != o->index && r->own.last_ms))
				continue;
			r->own = *o->tally;
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
				c->own = *o->tally;
}

/* ---- chains ---- */
/* What a message of a dialog cannot fire is not in the lane of those: most requests are such, and most rules look at calls that begin. */
struct lane { struct rule_policy **v; size_t n; };
struct rule_chain {
	struct rule_set **sets; size_t nsets;
	struct lane lane[2][2][2][2];      /* hook, request, shadow, mid-dialog */
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
		if (!c->sets[i]->shadow && rule_set_has_policy(c->sets[i], x->name.p))
			return true;
	return false;
}

static bool runs_at(const struct rule_policy *x, unsigned lane)
{
	if (x->hook != (lane & 1 ? RULE_SEND : RULE_RECEIVE) || x->shadow != (lane >> 2 & 1))
		return false;
	return x->kinds & (lane >> 1 & 1 ? RULE_REQUESTS : RULE_RESPONSES) && !(lane >> 3 && x->not_mid);
}

/** lane: bit 0 hook, 1 request, 2 shadow, 3 mid-dialog. */
static size_t lane_fill(struct rule_chain *c, size_t user_sets, size_t at, unsigned lane)
{
	struct lane *l = &c->lane[lane & 1][lane >> 1 & 1][lane >> 2 & 1][lane >> 3];

	l->v = c->store + at;
	for (size_t i = 0; i < c->nsets; i++)
		for (struct rule_policy *x = c->sets[i]->policies; x; x = x->next_all)
			if (runs_at(x, lane) && (i < user_sets || !replaced(c, user_sets, x)))
				l->v[l->n++] = x;
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
		c = base_new(sizeof *c + 4 * policies * sizeof *c->store, chain_destroy); /* requests and responses, mid-dialog or not */
	if (!c) {
		free(all);
		return -ENOMEM;
	}
	c->sets = all;
	c->nsets = nsets;
	users = builtin && nsets && all[nsets - 1] == builtin ? nsets - 1 : nsets;
	for (size_t i = 0; i < nsets; i++)
		base_ref(all[i]);
	for (unsigned i = 0; i < 16; i++)
		at = lane_fill(c, users, at, i);
	*ret = c;
	return 0;
}

bool rule_chain_has(const struct rule_chain *c, enum rule_hook hook, bool request, enum rule_dialog dialog)
{
	return c->lane[hook][request][false][dialog == RULE_MID].n > 0;
}

bool rule_chain_rates(const struct rule_chain *c)
{
	for (size_t i = 0; i < c->nsets; i++)
		if (c->sets[i]->rates)
			return true;
	return false;
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

/** `sip:new@host`, or an address with a name or parameters of the header around it. `sip:@host` is what a missing field leaves. */
static bool is_contact(struct slice s)
{
	struct wire_addr w;
	struct wire_uri u;

	if (s.n && memchr(s.p, '<', s.n))
		return !wire_addr_parse(s, &w);
	return !wire_uri_parse(s, &u) && !memchr(s.p, '>', s.n) && (u.user.n || u.host.p == s.p + u.scheme.n + 1);
}

/** What the verdict says; false: it is no address, or longer than there is room. */
static bool verdict_text(struct rule_eval *e, const struct rule_action *a)
{
	struct text t = text_on(e->res->text, sizeof e->res->text);
	struct rule_out tmp = { 0 };
	struct slice s = a->name;
	bool ok;

	if (a->value && !rule_expand(e, a->value, &tmp, &s))
		s = (struct slice){ "", 0 };
	ok = a->row->verb != RULE_A_REDIRECT || is_contact(s);
	text_slice(&t, s);
	/* what came out of a message goes into a start line or header: no line ends */
	for (char *p = e->res->text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = ' ';
	rule_out_free(&tmp);
	return ok && (!t.cut || a->row->verb == RULE_A_REJECT);
}

/** May a verdict be applied to this message? */
static bool verdict_fits(struct rule_eval *e, enum rule_verb verb)
{
	int status = e->ops->status(e->m);
	struct slice method = e->ops->method(e->m);

	/* a reliable response that we made waits for its PRACK (RFC 3262 section 3) */
	if (verb == RULE_A_DROP && e->at->hook == RULE_SEND && status && e->ops->header(e->m, SLICE("RSeq"), 0).p)
		return false;
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
			if (!verdict_fits(e, a->row->verb) || !verdict_text(e, a)) {
				e->res->text[0] = 0;
				skipped(e, a);
				return false;
			}
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
		r->tally->hits++;
		r->tally->last_ms = e->at->now_ms;
		e->res->fired++;
		if (watch && watch->fired) {
			info_fill(r, &info);
			watch->fired(watch->arg, &info);
		}
		if (run_actions(e, r))
			return;
	}
}

/** Policies of a lane, all or those of one set. */
static void lane_eval(const struct lane *l, const struct rule_set *only, const struct rule_at *at, const struct rule_msg_ops *ops, void *m, const struct rule_watch *watch, struct rule_result *ret)
{
	struct rule_eval e;

	memset(ret, 0, offsetof(struct rule_result, text) + 1);
	memset(&ret->fired, 0, sizeof *ret - offsetof(struct rule_result, fired));
	/* the buffers stay as they are: clearing them would be most of the cost */
	e.at = at;
	e.ops = ops;
	e.m = m;
	e.res = ret;
	e.request = !ops->status(m);
	e.shadow = only != NULL;
	e.sdp = NULL;
	e.sdp_of = NULL;
	for (size_t i = 0; i < l->n && !ret->verdict; i++)
		if ((!only || l->v[i]->set == only) && peer_fits(&e, l->v[i]))
			run_policy(&e, l->v[i], watch);
}

void rule_chain_run(const struct rule_chain *c, const struct rule_at *at, const struct rule_msg_ops *ops, void *m, const struct rule_watch *watch, struct rule_result *ret)
{
	lane_eval(&c->lane[at->hook][!ops->status(m)][false][at->dialog == RULE_MID], NULL, at, ops, m, watch, ret);
}

/* Lanes hold the policies of a set one behind the other; those in shadow are not split by dialog. */
static struct rule_set *nth_set(const struct lane *l, size_t i, size_t *ret_n)
{
	struct rule_set *last = NULL;
	size_t n = 0;

	for (size_t k = 0; k < l->n; k++) {
		if (l->v[k]->set == last)
			continue;
		last = l->v[k]->set;
		if (n++ == i)
			return last;
	}
	*ret_n = n;
	return NULL;
}

size_t rule_chain_shadows(const struct rule_chain *c, enum rule_hook hook, bool request)
{
	size_t n = 0;

	nth_set(&c->lane[hook][request][true][false], SIZE_MAX, &n);
	return n;
}

struct rule_set *rule_chain_shadow(const struct rule_chain *c, size_t i, const struct rule_at *at, const struct rule_msg_ops *ops, void *m, const struct rule_watch *watch, struct rule_result *ret)
{
	const struct lane *l = &c->lane[at->hook][!ops->status(m)][true][false];
	size_t n;
	struct rule_set *s = nth_set(l, i, &n);

	if (s)
		lane_eval(l, s, at, ops, m, watch, ret);
	return s;
}
