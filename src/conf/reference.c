/* SPDX-License-Identifier: Apache-2.0 */
/* The reference of the document, printed from the rows that check it: as Markdown, or as the manual page postern.json(5). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "conf/conf.h"

/* ---- text that grows; a failure is sticky ---- */
struct out { char *p; size_t n, cap; bool bad; enum conf_reference form; };

static void out_bytes(struct out *o, const char *s, size_t n)
{
	size_t cap = o->cap ? o->cap : 65536;
	char *p;

	while (cap < o->n + n + 1)
		cap *= 2;
	if (cap > o->cap) {
		p = o->bad ? NULL : base_alloc(cap);
		if (!p) {
			o->bad = true;
			return;
		}
		memcpy(p, o->p ? o->p : "", o->n);
		free(o->p);
		o->p = p;
		o->cap = cap;
	}
	memcpy(o->p + o->n, s, n);
	o->n += n;
	o->p[o->n] = 0;
}

static void out_raw(struct out *o, const char *s)
{
	out_bytes(o, s, strlen(s));
}

/** Text with `code` in it. */
static void out_text(struct out *o, const char *s)
{
	bool code = false;

	for (; *s; s++) {
		if (o->form == CONF_MAN && *s == '`') {
			code = !code;
			out_raw(o, code ? "\\fB" : "\\fR");
		} else if (o->form == CONF_MAN && (*s == '-' || *s == '\\' || (*s == '.' && (!o->n || o->p[o->n - 1] == '\n')))) {
			out_raw(o, *s == '\\' ? "\\e" : *s == '-' ? "\\-" : "\\&.");
		} else {
			if (o->form == CONF_MARKDOWN && *s == '|')
				out_raw(o, "\\");
			out_bytes(o, s, 1);
		}
	}
}

__attribute__((format(printf, 2, 3)))
static void out_fmt(struct out *o, const char *fmt, ...)
{
	char buf[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, sizeof buf, fmt, ap);
	va_end(ap);
	out_text(o, buf);
}

/* ---- what a row is, in words ---- */
static const char *const kinds[] = {
	[CONF_BOOL] = "true or false", [CONF_INT] = "whole number", [CONF_REAL] = "number", [CONF_STRING] = "string", [CONF_ENUM] = "", [CONF_CHOICE] = "",
	[CONF_WORD] = "", [CONF_ID] = "id", [CONF_ADDRESS] = "IPv4 or IPv6 address", [CONF_SERVER] = "address, with or without port",
	[CONF_CIDR] = "address or network, with or without port", [CONF_REGEX] = "regular expression (PCRE2)", [CONF_URI] = "sip: or sips: URI",
	[CONF_HOST] = "host, with or without port", [CONF_TOKEN] = "word", [CONF_REF] = "", [CONF_FILE] = "file name", [CONF_OBJECT] = "object", [CONF_LIST] = "list",
};

static void kind_names(const struct conf_row *row, struct text *t)
{
	const char *const *n;

	for (n = row->names; *n; n++)
		text_add(t, "%s`%s`", n == row->names ? "" : ", ", *n);
}

static void kind_ref(const struct conf_row *row, struct text *t)
{
	const char *p = row->ref;
	size_t n;

	text_add(t, "id in ");
	for (; *p; p += p[n] ? n + 1 : n) {
		n = strcspn(p, "|");
		text_add(t, "%s`%.*s`", p == row->ref ? "" : " or ", (int)(*p == '=' ? n - 1 : n), *p == '=' ? p + 1 : p);
	}
}

static void kind_scalar(const struct conf_row *row, enum conf_type type, struct text *t)
{
	if (type == CONF_REF)
		kind_ref(row, t);
	else if (type == CONF_ENUM || type == CONF_WORD || type == CONF_CHOICE)
		kind_names(row, t);
	else
		text_add(t, "%s", kinds[type]);
	if (type == CONF_CHOICE)
		text_add(t, ", or a status");
	if ((type == CONF_INT || type == CONF_REAL || type == CONF_CHOICE) && (row->min != 0 || row->max != 0))
		text_add(t, " %.10g to %.10g", row->min, row->max);
	else if (type == CONF_STRING && row->max > 0)
		text_add(t, " of at most %.10g characters", row->max);
	if (row->unit)
		text_add(t, " [%s]", row->unit);
}

static void kind_of(const struct conf_row *row, struct text *t)
{
	if (row->type != CONF_LIST) {
		kind_scalar(row, row->type, t);
		return;
	}
	if (!(row->flags & CONF_ALONE))
		text_add(t, "list of ");
	kind_scalar(row, row->elem, t);
	if (row->flags & CONF_BRIEF)
		text_add(t, ", or a string: its `%s`", row->sub->key);
}

static void out_default(struct out *o, const struct conf_row *row)
{
	if (row->flags & CONF_REQUIRED)
		out_text(o, "required");
	else if (row->def)
		out_fmt(o, "`%s`", row->def);
	else if (row->type == CONF_LIST && !(row->flags & CONF_ALONE))
		out_text(o, "`[]`");
	else if (row->type != CONF_OBJECT)
		out_text(o, "none");
}

static void out_row(struct out *o, const char *name, const struct conf_row *row)
{
	char kind[600];
	struct text t = text_on(kind, sizeof kind);

	kind_of(row, &t);
	out_raw(o, o->form == CONF_MAN ? ".TP\n\\fB" : "| `");
	out_text(o, name);
	out_raw(o, o->form == CONF_MAN ? "\\fR \\- " : "` | ");
	out_text(o, kind);
	out_raw(o, o->form == CONF_MAN ? "; default: " : " | ");
	out_default(o, row);
	out_raw(o, o->form == CONF_MAN ? "\n" : " | ");
	out_text(o, row->doc ? row->doc : "");
	if (row->flags & CONF_SECRET)
		out_text(o, " Write-only: reads give `\"***\"`.");
	if (row->flags & CONF_LATER)
		out_text(o, " (Not acted on yet: accepted with a warning.)");
	out_raw(o, o->form == CONF_MAN ? "\n" : " |\n");
}

static void out_rows(struct out *o, const char *prefix, const struct conf_row *rows)
{
	char name[128];

	for (; rows->key; rows++) {
		struct text t = text_on(name, sizeof name);

		text_add(&t, "%s%s", prefix, rows->key);
		if (rows->type != CONF_OBJECT)
			out_row(o, name, rows);
		text_add(&t, "%s.", rows->type == CONF_LIST ? "[]" : "");
		/* `target` and `targets` share a table: shown with the list */
		if (rows->sub && !(rows->flags & CONF_ALONE))
			out_rows(o, name, rows->sub);
	}
}

static void out_collection(struct out *o, const struct conf_collection *c)
{
	out_raw(o, o->form == CONF_MAN ? ".SH " : "\n## ");
	out_text(o, c->name);
	out_raw(o, o->form == CONF_MAN ? "\n" : "\n\n");
	out_text(o, c->doc);
	out_fmt(o, c->single ? " One object." : " A list of objects.");
	if (c->reserved)
		out_fmt(o, " The id `%s` is taken.", c->reserved);
	out_raw(o, "\n");
	if (o->form == CONF_MARKDOWN)
		out_raw(o, "\n| key | value | default | what |\n|---|---|---|---|\n");
	out_rows(o, "", c->rows);
}

static const char about[] =
	"The configuration is one JSON object: `schema`, which is 1, and the collections below. Keys that are not listed are errors, and so is a key that "
	"stands twice; each error is told with its JSON pointer. An id is 1 to 63 of a-z, 0-9 and -, and is unique in its collection. "
	"A key that is absent has its default. `posternd --config FILE --check` checks a document.";

char *conf_reference_print(const struct conf_collection *const *cols, enum conf_reference form)
{
	struct out o = { .form = form };

	if (form == CONF_MAN)
		out_raw(&o, ".\\\" Printed from the option tables by conf-reference; changes are made there.\n"
			".TH POSTERN.JSON 5 \"\" \"Postern\" \"File formats\"\n.SH NAME\npostern.json \\- configuration document of Postern\n.SH DESCRIPTION\n");
	else
		out_raw(&o, "<!-- Printed from the option tables by conf-reference; changes are made there. -->\n# Configuration reference\n\n");
	out_text(&o, about);
	out_raw(&o, "\n");
	for (; *cols; cols++)
		out_collection(&o, *cols);
	if (form == CONF_MAN)
		out_raw(&o, ".SH SEE ALSO\nposternd(8), posternctl(1), postern.policy(5)\n");
	if (o.bad) {
		free(o.p);
		return NULL;
	}
	return o.p;
}
