/* SPDX-License-Identifier: Apache-2.0 */
/* Token lists (Allow, Supported, Privacy ...) over all header lines of the name, and lists of header names. */
#include "rule/rule.h"

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

/** Up to the separator, quotes and angle brackets respected. */
static size_t member_len(struct slice s, char sep)
{
	bool quoted = false, angled = false;
	size_t i;

	for (i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (quoted && c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (c == '<' || c == '>'))
			angled = c == '<';
		else if (!quoted && !angled && c == sep)
			return i;
	}
	return s.n;
}

struct slice rule_list_member(struct slice list, char sep, unsigned index)
{
	struct slice m;
	size_t n;

	while (list.n) {
		n = member_len(list, sep);
		m = trim((struct slice){ list.p, n });
		list = n < list.n ? (struct slice){ list.p + n + 1, list.n - n - 1 } : (struct slice){ list.p + list.n, 0 };
		if (!m.n)
			continue;
		if (!index--)
			return m;
	}
	return (struct slice){ NULL, 0 };
}

static char separator(const struct rule_path *p)
{
	return !strcmp(p->field->name, "privacy") ? ';' : ',';
}

static unsigned members(struct slice line, char sep)
{
	unsigned n = 0;

	while (rule_list_member(line, sep, n).p)
		n++;
	return n;
}

bool rule_list_has(struct rule_eval *e, const struct rule_path *p)
{
	struct slice name = slice_str(p->field->header), v, m;
	char sep = separator(p);

	for (unsigned line = 0; (v = e->ops->header(e->m, name, line)).p; line++)
		for (unsigned i = 0; (m = rule_list_member(v, sep, i)).p; i++)
			if (rule_glob(p->sub, m, true))
				return true;
	return false;
}

struct rule_got rule_list_get(struct rule_eval *e, const struct rule_path *p, unsigned index)
{
	struct slice name = slice_str(p->field->header), v, m;
	char sep = separator(p);

	for (unsigned line = 0; (v = e->ops->header(e->m, name, line)).p; line++) {
		m = rule_list_member(v, sep, index);
		if (m.p)
			return (struct rule_got){ .there = true, .s = m };
		index -= members(v, sep);
	}
	return (struct rule_got){ 0 };
}

/** All members of all lines in one text. */
static bool gather(struct rule_eval *e, const struct rule_path *p, struct rule_out *o, bool (*take)(void *arg, struct slice m), void *arg)
{
	struct rule_got g;
	const char *joint = separator(p) == ';' ? ";" : ", ";
	bool left_out = false;

	for (unsigned i = 0; (g = rule_list_get(e, p, i)).there; i++) {
		if (take && !take(arg, g.s)) {
			left_out = true;
			continue;
		}
		if (o->n)
			rule_out_add(o, "%s", joint);
		rule_out_slice(o, g.s);
	}
	return left_out;
}

/** In place of all lines of the header. */
static int replace(struct rule_eval *e, const struct rule_path *p, struct rule_out *o)
{
	struct slice name = slice_str(p->field->header);
	int err = 0;

	if (!o->failed && o->n)
		err = e->ops->set_header(e->m, name, 0, (struct slice){ o->p, o->n });
	if (!strcmp(p->field->name, "allow") && !err)
		e->res->allow = true;
	if (!strcmp(p->field->name, "supported") && !err)
		e->res->supported = true;
	while (!err && e->ops->header(e->m, name, o->n ? 1 : 0).p)
		err = e->ops->remove_header(e->m, name, o->n ? 1 : 0);
	rule_out_free(o);
	return err ? err : 1;
}

int rule_list_add(struct rule_eval *e, const struct rule_path *p, struct slice member)
{
	struct rule_out o = { 0 };
	struct rule_got g;

	for (unsigned i = 0; (g = rule_list_get(e, p, i)).there; i++)
		if (slice_eq_nocase(g.s, member))
			return 0;
	gather(e, p, &o, NULL, NULL);
	if (o.n)
		rule_out_add(&o, separator(p) == ';' ? ";" : ", ");
	rule_out_slice(&o, member);
	return o.failed ? (rule_out_free(&o), -ENOMEM) : replace(e, p, &o);
}

static bool other_than(void *arg, struct slice m)
{
	const struct slice *glob = arg;

	return !rule_glob(*glob, m, true);
}

static bool not_basic(const struct rule_path *p, struct slice m)
{
	static const char *const basic[] = { "INVITE", "ACK", "BYE", "CANCEL" };

	for (size_t i = 0; !strcmp(p->field->name, "allow") && i < ARRAY_LEN(basic); i++)
		if (slice_eq_nocase(m, slice_str(basic[i])))
			return false;
	return true;
}

struct removal { const struct rule_path *p; struct slice glob; };

static bool stays(void *arg, struct slice m)
{
	struct removal *r = arg;

	/* a glob never reaches what may not be stripped */
	return !not_basic(r->p, m) || other_than(&r->glob, m);
}

int rule_list_remove(struct rule_eval *e, const struct rule_path *p)
{
	struct removal r = { p, p->sub.p ? p->sub : SLICE("*") };
	struct rule_out o = { 0 };

	if (!p->sub.p && !e->ops->header(e->m, slice_str(p->field->header), 0).p)
		return 0;
	if (!gather(e, p, &o, stays, &r) && p->sub.p) {
		rule_out_free(&o);
		return 0;
	}
	return replace(e, p, &o);
}

static bool is_listed(const struct rule_value *list, struct slice name)
{
	for (const struct rule_value *v = list->items; v; v = v->next)
		if (rule_glob(v->text, name, true))
			return true;
	return false;
}

static int keep_headers(struct rule_eval *e, const struct rule_value *list)
{
	struct slice name;
	unsigned i = 0;
	int did = 0, err;

	while ((name = e->ops->header_name(e->m, i)).p) {
		if (rule_header_guarded(name) || is_listed(list, name)) {
			i++;
			continue;
		}
		/* all of that name: the first of them is at hand */
		err = e->ops->remove_header(e->m, name, 0);
		if (err)
			return err;
		did = 1;
	}
	return did;
}

static bool same_list(struct rule_eval *e, const struct rule_path *p, struct slice text)
{
	struct rule_got g;
	struct slice m;
	unsigned i;

	for (i = 0; (g = rule_list_get(e, p, i)).there; i++) {
		m = rule_list_member(text, separator(p), i);
		if (!m.p || !slice_eq(m, g.s))
			return false;
	}
	return !rule_list_member(text, separator(p), i).p;
}

int rule_list_keep(struct rule_eval *e, const struct rule_path *p, const struct rule_value *list)
{
	struct rule_out o = { 0 };
	struct rule_got g;

	if (p->field->kind == RULE_K_NAMES)
		return keep_headers(e, list);
	if (!e->ops->header(e->m, slice_str(p->field->header), 0).p)
		return 0;
	for (const struct rule_value *v = list->items; v; v = v->next) {
		for (unsigned i = 0; (g = rule_list_get(e, p, i)).there; i++) {
			if (!slice_eq_nocase(g.s, v->text))
				continue;
			if (o.n)
				rule_out_add(&o, separator(p) == ';' ? ";" : ", ");
			rule_out_slice(&o, g.s);
		}
	}
	if (same_list(e, p, (struct slice){ o.p, o.n })) {
		rule_out_free(&o);
		return 0;
	}
	return replace(e, p, &o);
}
