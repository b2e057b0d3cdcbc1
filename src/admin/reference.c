/* SPDX-License-Identifier: Apache-2.0 */
/* The reference of the API as Markdown, from the tables that route and describe it. */
#include <stdio.h>
#include <stdlib.h>

#include "admin/admin.h"
#include "admin/shapes.h"

static const char head[] =
	"<!-- Printed by `api-reference md` from the tables of src/admin: do not edit. -->\n"
	"# The REST API\n\n"
	"Base `/api/v1`, JSON, `Authorization: Bearer TOKEN`. `GET /openapi.json` is all of this, and every option of the configuration, as OpenAPI 3.1; the options themselves are in\n"
	"[reference-config.md](reference-config.md).\n\n"
	"- Roles, each with what those before it may: `viewer` (reads), `operator` (calls, drains, probes), `admin` (all).\n"
	"- Errors are `application/problem+json` (RFC 9457); where a document is at fault with `errors: [{pointer, message}]`.\n"
	"- Lists give `{\"items\": [...], \"next\": cursor or null}` and take `limit` and `after`.\n"
	"- Answers of `/config` and below carry the revision as `ETag`; `If-Match` guards a write (412), `X-Comment` goes into the revision. What was taken but is worth a look, or acts only at the\n"
	"  next start, stands in `warnings` of the body, and where that is the object written, in headers `X-Warning: /pointer: message`.\n"
	"- A write is durable and in force in all processes when it is answered; what cannot be put in force is 422 (409 where others name what was to be deleted), 507 where the disk is\n"
	"  full, and changes nothing. `?dry_run=1` checks it all; `?confirm_within=SECONDS` goes back by itself unless `POST /config/confirm` comes.\n"
	"- PATCH is a merge patch (RFC 7396). Secrets read as `\"***\"`; written back as that they stay as they are.\n"
	"- 30 wrong tokens of an address within a minute shut it out for the rest of it (429), but for addresses that a good one came from.\n";

static const char *const kinds[] = {
	[CONF_BOOL] = "true or false", [CONF_INT] = "whole number", [CONF_REAL] = "number", [CONF_STRING] = "text", [CONF_OBJECT] = "object", [CONF_LIST] = "list",
};

static void words_put(FILE *f, const char *const *names)
{
	for (size_t i = 0; names[i]; i++)
		fprintf(f, "%s`%s`", i ? ", " : "", names[i]);
}

static void list_put(FILE *f, const struct conf_row *row)
{
	if (row->ref)
		fprintf(f, "list of [%s](#%s)", row->ref, row->ref);
	else
		fprintf(f, "list of %s", row->elem == CONF_OBJECT ? "objects" : "texts");
}

static void range_put(FILE *f, const struct conf_row *row)
{
	if (row->type != CONF_INT || row->min <= 0)
		return;
	if (row->max < 9e15 && row->max > row->min)
		fprintf(f, ", %.10g to %.10g", row->min, row->max);
	else
		fprintf(f, ", from %.10g", row->min);
}

static void kind_put(FILE *f, const struct conf_row *row)
{
	if (row->type == CONF_WORD)
		words_put(f, row->names);
	else if (row->type == CONF_LIST)
		list_put(f, row);
	else if (row->type == CONF_OBJECT && row->ref)
		fprintf(f, "[%s](#%s)", row->ref, row->ref);
	else
		fputs(kinds[row->type], f);
	if (row->unit)
		fprintf(f, " [%s]", row->unit);
	range_put(f, row);
	if (row->flags & CONF_NULL)
		fputs(" or null", f);
}

static void rows_put(FILE *f, const struct conf_row *rows)
{
	fputs("\n| member | what it is | |\n|---|---|---|\n", f);
	for (; rows->key; rows++) {
		fprintf(f, "| `%s`%s | ", rows->key, rows->flags & CONF_REQUIRED ? "" : " (may be absent)");
		kind_put(f, rows);
		fprintf(f, " | %s |\n", rows->doc ? rows->doc : "");
	}
}

static void routes_put(FILE *f)
{
	static const char *const roles[] = { "viewer", "operator", "admin" };

	fputs("\n## Paths\n\nThe third column is the least role; *what comes* names the objects below: of a list in brackets, `{one}` the collection's own object.\n\n"
	      "| path | method | role | what it does | body | what comes | query |\n|---|---|---|---|---|---|---|\n", f);
	for (const struct admin_route *r = admin_routes(); r->path; r++) {
		const struct admin_exchange *x = admin_exchange_of(r->method, r->path);

		fprintf(f, "| `%s` | %s | %s | %s | %s | ", r->path, r->method, r->role == ADMIN_NOBODY ? "none" : roles[r->role], r->doc,
			x->body ? x->body : r->flags & ADMIN_PLAIN ? "text/plain" : r->flags & ADMIN_MERGE ? "merge patch" : "");
		for (const char *p = x->answers; *p; p++)
			fputs(*p == '|' ? " or " : (char[]){ *p, 0 }, f);
		fputs(" |", f);
		for (const struct conf_row *q = r->query; q && q->key; q++)
			fprintf(f, " `%s`", q->key);
		fputs(" |\n", f);
	}
}

static void queries_put(FILE *f)
{
	static const struct conf_row *const all[] = { admin_query_calls, admin_query_write, admin_query_diff };

	fputs("\n## Query keys\n\n| key | what it is | |\n|---|---|---|\n", f);
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		for (const struct conf_row *q = all[i]; q->key; q++) {
			fprintf(f, "| `%s` | ", q->key);
			kind_put(f, q);
			fprintf(f, " | %s |\n", q->doc);
		}
}

char *admin_reference_print(void)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);
	bool bad;

	if (!f)
		return NULL;
	fputs(head, f);
	routes_put(f);
	queries_put(f);
	fputs("\n## Objects\n", f);
	for (const struct admin_shape *s = admin_shapes; s->name; s++) {
		fprintf(f, "\n### %s\n\n%s.%s\n", s->name, s->doc, s->closed ? " Other members are refused." : "");
		rows_put(f, s->rows);
	}
	bad = ferror(f) != 0;
	if (fclose(f) || bad) {
		free(text);
		return NULL;
	}
	return text;
}
