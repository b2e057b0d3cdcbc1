/* SPDX-License-Identifier: Apache-2.0 */
/* Edits: set, add, default, remove and keep on every kind of field; log, tag and count. */
#include <stdio.h>

#include "rule/rule.h"

#define VALUE_MOST 65536       /* of one value that a rule writes: a message is no longer */

/** Nothing that goes into a header may end its line. */
static bool is_clean(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (((unsigned char)s.p[i] < ' ' && s.p[i] != '\t') || s.p[i] == 0x7f)
			return false;
	return s.n <= VALUE_MOST;
}

static void note(struct rule_eval *e, const char *header)
{
	if (!strcmp(header, "Session-Expires") || !strcmp(header, "Min-SE"))
		e->res->timer = true;
}

/** Put a whole value in the place of all of that header. */
static int header_put(struct rule_eval *e, struct slice name, struct slice value)
{
	struct slice have = e->ops->header(e->m, name, 0);
	int err;

	if (have.p && slice_eq(have, value) && !e->ops->header(e->m, name, 1).p)
		return 0;
	have = e->ops->header(e->m, name, 0);
	err = have.p ? e->ops->set_header(e->m, name, 0, value) : e->ops->add_header(e->m, name, value);
	while (!err && have.p && e->ops->header(e->m, name, 1).p)
		err = e->ops->remove_header(e->m, name, 1);
	return err ? err : 1;
}

/** All lines of a header, or of all that a glob names. */
static int header_remove(struct rule_eval *e, struct slice name)
{
	bool glob = memchr(name.p, '*', name.n) || memchr(name.p, '?', name.n);
	struct slice have;
	unsigned i = 0;
	int did = 0, err;

	while (!glob && e->ops->header(e->m, name, 0).p) {
		err = e->ops->remove_header(e->m, name, 0);
		if (err)
			return err;
		did = 1;
	}
	while (glob && (have = e->ops->header_name(e->m, i)).p) {
		if (!rule_glob(name, have, true) || rule_header_guarded(have)) {
			i++;
			continue;
		}
		err = e->ops->remove_header(e->m, have, 0);
		if (err)
			return err;
		did = 1;
	}
	return did;
}

/** A number at the head of a value, its parameters kept. */
static int number_set(struct rule_eval *e, const struct rule_path *p, struct slice value)
{
	struct slice name = slice_str(p->field->header), have = e->ops->header(e->m, name, 0);
	const char *semi = have.n ? memchr(have.p, ';', have.n) : NULL;
	struct rule_out o = { 0 };
	int did;

	note(e, p->field->header);
	if (!value.p)
		return header_remove(e, name);
	rule_out_slice(&o, value);
	if (semi)
		rule_out_slice(&o, (struct slice){ semi, have.n - (size_t)(semi - have.p) });
	did = o.failed ? -ENOMEM : header_put(e, name, (struct slice){ o.p, o.n });
	rule_out_free(&o);
	return did;
}

/** The value with one of its parameters set or, value.p NULL, taken out. */
static void param_print(struct rule_out *o, struct slice have, struct slice name, struct slice value, bool quote)
{
	struct slice m;
	bool done = !value.p;

	for (unsigned i = 0; (m = rule_list_member(have, ';', i)).p; i++) {
		const char *eq = memchr(m.p, '=', m.n);
		bool hit = i && slice_eq_nocase((struct slice){ m.p, eq ? (size_t)(eq - m.p) : m.n }, name);

		if (hit && done)
			continue;
		if (i)
			rule_out_slice(o, SLICE(";"));
		if (hit) {
			rule_out_add(o, "%.*s=%s%.*s%s", (int)name.n, name.p, quote ? "\"" : "", (int)value.n, value.p, quote ? "\"" : "");
			done = true;
		} else {
			rule_out_slice(o, m);
		}
	}
	if (!done)
		rule_out_add(o, ";%.*s=%s%.*s%s", (int)name.n, name.p, quote ? "\"" : "", (int)value.n, value.p, quote ? "\"" : "");
}

/** The first value of a Reason anew, the others as they are. */
static int reason_put(struct rule_eval *e, struct slice name, struct rule_out *o)
{
	struct slice have = e->ops->header(e->m, name, 0), first = have.p ? rule_list_member(have, ',', 0) : have;
	int err;

	if (first.p)
		rule_out_slice(o, (struct slice){ first.p + first.n, have.n - (size_t)(first.p + first.n - have.p) });
	if (o->failed)
		return -ENOMEM;
	if (have.p && slice_eq(have, (struct slice){ o->p, o->n }))
		return 0;
	err = have.p ? e->ops->set_header(e->m, name, 0, (struct slice){ o->p, o->n }) : e->ops->add_header(e->m, name, (struct slice){ o->p, o->n });
	return err ? err : 1;
}

static int param_set(struct rule_eval *e, const struct rule_path *p, struct slice value)
{
	struct slice name = slice_str(p->field->header), have = e->ops->header(e->m, name, 0);
	bool reason = p->field->kind == RULE_K_REASON;
	struct rule_out o = { 0 };
	int did;

	/* a Session-Expires is there or not; a Reason without protocol is one of Q.850 */
	if (!have.p && (!value.p || !reason))
		return value.p ? ERR_NOTFOUND : 0;
	if (reason)
		have = have.p ? rule_list_member(have, ',', 0) : SLICE("Q.850");
	for (size_t i = 0; i < value.n; i++)
		if (strchr(p->field->type == RULE_STRING ? "\"\\" : "\"\\;, ", value.p[i]))
			return ERR_PROTO;
	note(e, p->field->header);
	param_print(&o, have, slice_str(p->field->param), value, p->field->type == RULE_STRING);
	did = reason ? reason_put(e, name, &o) : o.failed ? -ENOMEM : header_put(e, name, (struct slice){ o.p, o.n });
	rule_out_free(&o);
	return did;
}

static int protocol_set(struct rule_eval *e, const struct rule_path *p, struct slice value)
{
	struct slice name = slice_str(p->field->header), have, first;
	struct rule_out o = { 0 };
	int did;

	if (!value.p)
		return header_remove(e, name);
	have = e->ops->header(e->m, name, 0);
	have = have.p ? rule_list_member(have, ',', 0) : have;
	first = have.p ? rule_list_member(have, ';', 0) : have;
	rule_out_slice(&o, value);
	if (first.p)
		rule_out_slice(&o, (struct slice){ first.p + first.n, have.n - (size_t)(first.p + first.n - have.p) });
	did = reason_put(e, name, &o);
	rule_out_free(&o);
	return did;
}

static int status_set(struct rule_eval *e, struct slice value)
{
	int was = e->ops->status(e->m);
	uint64_t to;
	int err;

	if (!was || slice_u64(value, 699, &to) || to < 101)
		return ERR_RANGE;
	if ((int)to == was)
		return 0;
	/* the same class, or one failure for another: what the transaction layer and offer/answer count on */
	if ((int)to / 100 != was / 100 && (was < 300 || to < 300))
		return ERR_REFUSED;
	err = e->ops->set_status(e->m, (int)to, slice_str(rule_phrase_of((int)to)));
	return err ? err : 1;
}

static int phrase_set(struct rule_eval *e, struct slice value)
{
	int status = e->ops->status(e->m), err;

	if (!status)
		return ERR_WRONGSTATE;
	if (slice_eq(e->ops->phrase(e->m), value))
		return 0;
	err = e->ops->set_status(e->m, status, value);
	return err ? err : 1;
}

static int var_set(struct rule_eval *e, const struct rule_path *p, struct slice value)
{
	struct slice have = e->ops->var(e->m, p->sub);
	int err;

	if (e->shadow || (!value.p && !have.p) || (value.p && have.p && slice_eq(have, value)))
		return 0;
	err = e->ops->set_var(e->m, p->sub, value);
	return err ? err : 0;
}

static int list_set(struct rule_eval *e, const struct rule_path *p, const struct rule_value *v, struct slice text)
{
	const char *joint = !strcmp(p->field->name, "privacy") ? ";" : ", ";
	struct rule_out o = { 0 };
	int did;

	for (const struct rule_value *x = v->kind == RULE_V_LIST ? v->items : NULL; x; x = x->next) {
		if (o.n)
			rule_out_add(&o, "%s", joint);
		rule_out_slice(&o, x->text);
	}
	if (v->kind != RULE_V_LIST)
		rule_out_slice(&o, text);
	did = o.failed ? -ENOMEM : header_put(e, slice_str(p->field->header), (struct slice){ o.p ? o.p : "", o.n });
	rule_out_free(&o);
	if (did > 0 && !strcmp(p->field->name, "allow"))
		e->res->allow = true;
	if (did > 0 && !strcmp(p->field->name, "supported"))
		e->res->supported = true;
	return did;
}

/** Write one value; value.p NULL removes. */
static int field_put(struct rule_eval *e, const struct rule_path *p, struct slice value)
{
	switch (p->field->kind) {
	case RULE_K_STATUS: return status_set(e, value);
	case RULE_K_PHRASE: return phrase_set(e, value);
	case RULE_K_ADDR:
		if (!value.p && p->part->part == RULE_WHOLE)
			return header_remove(e, slice_str(p->field->header));
		return rule_addr_set(e, p, value);
	case RULE_K_NUMBER: return number_set(e, p, value);
	case RULE_K_PARAM:
	case RULE_K_REASON: return param_set(e, p, value);
	case RULE_K_REASON_PROTOCOL: return protocol_set(e, p, value);
	case RULE_K_PLAIN: return value.p ? header_put(e, slice_str(p->field->header), value) : header_remove(e, slice_str(p->field->header));
	case RULE_K_HEADER: return value.p ? header_put(e, p->sub, value) : header_remove(e, p->sub);
	case RULE_K_VAR: return var_set(e, p, value);
	case RULE_K_PTIME:
	case RULE_K_BANDWIDTH:
	case RULE_K_ATTRIBUTE: return rule_sdp_set(e, p, value, false);
	default: return ERR_UNSUPPORTED;
	}
}

static int field_add(struct rule_eval *e, const struct rule_path *p, struct slice value)
{
	struct wire_addr a;
	int err;

	if (p->field->kind == RULE_K_LIST)
		return rule_list_add(e, p, value);
	if (p->field->kind == RULE_K_ATTRIBUTE)
		return rule_sdp_set(e, p, value, true);
	if (p->field->kind == RULE_K_ADDR) {
		err = wire_addr_parse(value, &a);
		err = err ? err : e->ops->add_header(e->m, slice_str(p->field->header), value);
		return err ? err : 1;
	}
	err = e->ops->add_header(e->m, p->sub, value);
	return err ? err : 1;
}

/** The text to write; numbers of maps and texts are checked against the field. 1: it is there, 0: a map has no such key. */
static int value_text(struct rule_eval *e, const struct rule_action *a, struct rule_out *tmp, char num[static 24], struct slice *ret)
{
	const struct rule_value *v = a->value;
	uint64_t n;

	if (v->kind == RULE_V_NUMBER) {
		snprintf(num, 24, "%lld", (long long)v->num);
		*ret = slice_str(num);
		return 1;
	}
	if (!rule_expand(e, v, tmp, ret))
		return tmp->failed ? -ENOMEM : 0;
	if (a->path->type == RULE_INT && slice_u64(*ret, UINT32_MAX, &n))
		return ERR_PROTO;
	if (!ret->p)
		ret->p = "";
	return is_clean(*ret) ? 1 : ERR_PROTO;
}

static int write_value(struct rule_eval *e, const struct rule_action *a)
{
	const struct rule_path *p = a->path;
	struct rule_out tmp = { 0 };
	struct slice text = { "", 0 };
	char num[24];
	int did;

	if (a->row->verb == RULE_A_DEFAULT && rule_has(e, p))
		return 0;
	did = a->value->kind == RULE_V_LIST ? 1 : value_text(e, a, &tmp, num, &text);
	if (did > 0 && a->row->verb == RULE_A_ADD && a->value->kind == RULE_V_LIST) {
		did = 0;
		for (const struct rule_value *v = a->value->items; v && did >= 0; v = v->next)
			did |= field_add(e, p, v->text);
	} else if (did > 0 && a->row->verb == RULE_A_ADD) {
		did = field_add(e, p, text);
	} else if (did > 0) {
		did = p->field->kind == RULE_K_LIST ? list_set(e, p, a->value, text) : field_put(e, p, text);
	}
	rule_out_free(&tmp);
	return did;
}

static int remove_value(struct rule_eval *e, const struct rule_path *p)
{
	if (p->field->kind == RULE_K_LIST)
		return rule_list_remove(e, p);
	if (p->field->kind == RULE_K_CODECS)
		return p->sub.p ? rule_sdp_keep(e, p, NULL, p->sub) : ERR_UNSUPPORTED;
	return field_put(e, p, (struct slice){ NULL, 0 });
}

static int keep_values(struct rule_eval *e, const struct rule_action *a)
{
	if (a->path->field->kind == RULE_K_CODECS)
		return rule_sdp_keep(e, a->path, a->value->items, (struct slice){ NULL, 0 });
	return rule_list_keep(e, a->path, a->value);
}

static int write_log(struct rule_eval *e, const struct rule_action *a)
{
	struct rule_out tmp = { 0 };
	struct slice s;

	if (!e->shadow && e->ops->log && rule_expand(e, a->value, &tmp, &s))
		e->ops->log(e->m, e->policy->name.p, s);
	rule_out_free(&tmp);
	return 0;
}

int rule_act(struct rule_eval *e, const struct rule_action *a)
{
	int err;

	if (e->at->no_sdp && a->path && a->path->field->flags & RULE_SDP_EDIT)
		return 0;
	switch (a->row->verb) {
	case RULE_A_SET:
	case RULE_A_DEFAULT:
	case RULE_A_ADD: return write_value(e, a);
	case RULE_A_REMOVE: return remove_value(e, a->path);
	case RULE_A_KEEP: return keep_values(e, a);
	case RULE_A_LOG: return write_log(e, a);
	case RULE_A_TAG:
		err = e->shadow || e->ops->has_tag(e->m, a->name) ? 0 : e->ops->add_tag(e->m, a->name);
		return err < 0 ? err : 0;
	case RULE_A_COUNT:
		if (!e->shadow && a->counter)
			a->counter->tally->hits++;
		return 0;
	default: return ERR_UNSUPPORTED;
	}
}
