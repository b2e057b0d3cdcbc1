/* SPDX-License-Identifier: Apache-2.0 */
/* Fields and actions for people: as the sections of postern.policy(5), or as columns. From the tables, so that nothing is told twice. */
#include "rule/rule.h"

/** Text in troff: backslashes, dashes and leading dots. */
static void roff(struct rule_out *o, const char *s)
{
	for (; *s; s++) {
		if (*s == '\\')
			rule_out_slice(o, SLICE("\\e"));
		else if (*s == '-')
			rule_out_slice(o, SLICE("\\-"));
		else
			rule_out_slice(o, (struct slice){ s, 1 });
	}
}

static const char *rights(unsigned flags)
{
	static char buf[64];
	struct text t = text_on(buf, sizeof buf);
	static const struct { unsigned flag; const char *word; } rows[] = {
		{ RULE_WRITE, "set" }, { RULE_ADD, "add" }, { RULE_REMOVE, "remove" }, { RULE_KEEP, "keep" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (flags & rows[i].flag)
			text_add(&t, "%s%s", t.n ? ", " : "", rows[i].word);
	return t.n ? buf : "read-only";
}

static const char *sub_text(unsigned flags)
{
	return flags & (RULE_SUB | RULE_MEMBER) ? "[\"NAME\"]" : "";
}

static void entry(struct rule_out *o, bool troff, const char *name, const char *sub, const char *about, const char *doc)
{
	if (!troff) {
		rule_out_add(o, "  %-34s %-36s %s\n", name, about, doc);
		return;
	}
	rule_out_slice(o, SLICE(".TP\n\\fB"));
	roff(o, name);
	rule_out_slice(o, SLICE("\\fR"));
	roff(o, sub);
	rule_out_slice(o, SLICE(" ("));
	roff(o, about);
	rule_out_slice(o, SLICE(")\n"));
	roff(o, doc);
	rule_out_slice(o, SLICE("\n"));
}

static void about_field(struct text *t, enum rule_type type, unsigned flags, const char *rfc)
{
	text_add(t, "%s, %s", rule_type_name(type), flags & RULE_HAS ? "has" : rights(flags));
	if (flags & RULE_REQUEST)
		text_add(t, ", requests");
	if (flags & RULE_RESPONSE)
		text_add(t, ", responses");
	if (*rfc)
		text_add(t, "; %s", rfc);
}

char *rule_reference(bool troff)
{
	struct rule_out o = { 0 };
	char about[128];
	struct text t;

	rule_out_add(&o, troff ? ".SH FIELDS\n" : "fields\n");
	for (size_t i = 0; i < rule_fields_count; i++) {
		const struct rule_field *f = &rule_fields[i];

		t = text_on(about, sizeof about);
		about_field(&t, f->type, f->flags, f->rfc);
		entry(&o, troff, f->name, sub_text(f->flags), about, f->doc);
	}
	rule_out_add(&o, troff ? ".SS Parts of an address\n" : "\nparts of an address\n");
	for (size_t i = 1; i < rule_parts_count; i++) {
		char name[32];
		struct text n = text_on(name, sizeof name);

		text_add(&n, ".%s", rule_parts[i].name);
		t = text_on(about, sizeof about);
		about_field(&t, rule_parts[i].type, rule_parts[i].flags, "");
		entry(&o, troff, name, sub_text(rule_parts[i].flags), about, rule_parts[i].doc);
	}
	rule_out_add(&o, troff ? ".SH ACTIONS\n" : "\nactions\n");
	for (size_t i = 0; i < rule_actions_count; i++)
		entry(&o, troff, rule_actions[i].syntax, "", rule_actions[i].verdict ? "verdict" : "edit", rule_actions[i].doc);
	return rule_out_take(&o);
}
