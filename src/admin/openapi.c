/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenAPI 3.1 of the API, from the table of routes and the schema tables of the configuration: what is checked is what is described.
 */
#include <stdio.h>
#include <stdlib.h>

#include "admin/admin.h"
#include "admin/shapes.h"

/* ---- options as JSON Schema ---- */
static json_t *rows_schema(const struct conf_row *rows);

static json_t *names_json(const char *const *names)
{
	json_t *list = json_array();

	for (; names && *names; names++)
		json_array_append_new(list, json_string(*names));
	return list;
}

static void limits_put(json_t *o, const struct conf_row *row, enum conf_type type)
{
	const bool low = row->min != 0 || row->max != 0, high = row->max > row->min;

	if (type == CONF_INT && low)
		json_object_set_new(o, "minimum", json_integer((json_int_t)row->min));
	if (type == CONF_INT && high)
		json_object_set_new(o, "maximum", json_integer((json_int_t)row->max));
	if (type == CONF_REAL && low)
		json_object_set_new(o, "minimum", json_real(row->min));
	if (type == CONF_REAL && high)
		json_object_set_new(o, "maximum", json_real(row->max));
	if (type == CONF_STRING && high)
		json_object_set_new(o, "maxLength", json_integer((json_int_t)row->max));
	if (type == CONF_STRING && row->unit && !strcmp(row->unit, "RFC 3339"))
		json_object_set_new(o, "format", json_string("date-time"));
}

static json_t *scalar_schema(const struct conf_row *row, enum conf_type type)
{
	static const char id[] = "^[a-z0-9][a-z0-9-]{0,62}$";
	json_t *o;

	switch (type) {
	case CONF_BOOL:
		return json_pack("{s:s}", "type", "boolean");
	case CONF_INT:
		o = json_pack("{s:s}", "type", "integer");
		break;
	case CONF_REAL:
		o = json_pack("{s:s}", "type", "number");
		break;
	case CONF_ENUM:
	case CONF_WORD:
		return json_pack("{s:s, s:o}", "type", "string", "enum", names_json(row->names));
	case CONF_CHOICE:
		return json_pack("{s:[{s:o}, {s:s, s:i, s:i}]}", "anyOf", "enum", names_json(row->names), "type", "integer", "minimum", (int)row->min, "maximum", (int)row->max);
	case CONF_ID:
		return json_pack("{s:s, s:s}", "type", "string", "pattern", id);
	case CONF_URI:
		return json_pack("{s:s, s:s}", "type", "string", "format", "uri");
	case CONF_REGEX:
		return json_pack("{s:s, s:s}", "type", "string", "format", "regex");
	default:
		o = json_pack("{s:s}", "type", "string");
	}
	limits_put(o, row, type);
	return o;
}

static json_t *ref_schema(const char *name)
{
	return json_pack("{s:o}", "$ref", json_sprintf("#/components/schemas/%s", name));
}

/** Rows of its own, a schema that it names, or any object. */
static json_t *object_schema(const struct conf_row *row)
{
	return row->sub ? rows_schema(row->sub) : row->ref ? ref_schema(row->ref) : json_pack("{s:s}", "type", "object");
}

static json_t *list_schema(const struct conf_row *row)
{
	json_t *item = row->elem == CONF_OBJECT ? object_schema(row) : scalar_schema(row, row->elem), *o;

	if (row->flags & CONF_BRIEF)
		item = json_pack("{s:[o, {s:s}]}", "anyOf", item, "type", "string");
	o = json_pack("{s:s, s:o, s:I}", "type", "array", "items", item, "maxItems", (json_int_t)(row->most ? row->most : CONF_LIST_MOST));
	if (row->flags & CONF_FILLED)
		json_object_set_new(o, "minItems", json_integer(1));
	if (row->flags & CONF_UNIQUE)
		json_object_set_new(o, "uniqueItems", json_true());
	return row->flags & CONF_ALONE ? json_pack("{s:[o, o]}", "anyOf", json_deep_copy(json_object_get(o, "items")), o) : o;
}

static json_t *row_schema(const struct conf_row *row)
{
	json_t *o = row->type == CONF_OBJECT ? object_schema(row) : row->type == CONF_LIST ? list_schema(row) : scalar_schema(row, row->type);

	if (row->flags & CONF_NULL)
		o = json_pack("{s:[o, {s:s}]}", "anyOf", o, "type", "null");
	if (row->doc)
		json_object_set_new(o, "description", json_string(row->doc));
	if (row->def)
		json_object_set_new(o, "default", json_loads(row->def, JSON_DECODE_ANY, NULL));
	if (row->unit)
		json_object_set_new(o, "x-unit", json_string(row->unit));
	if (row->type == CONF_REF || row->elem == CONF_REF)
		json_object_set_new(o, "x-names", json_string(row->ref));
	if (row->flags & CONF_SECRET)
		json_object_set_new(o, "x-secret", json_true());
	return o;
}

static json_t *rows_schema(const struct conf_row *rows)
{
	json_t *properties = json_object(), *required = json_array(), *o;

	for (; rows->key; rows++) {
		json_object_set_new(properties, rows->key, row_schema(rows));
		if (rows->flags & CONF_REQUIRED)
			json_array_append_new(required, json_string(rows->key));
	}
	o = json_pack("{s:s, s:o, s:b}", "type", "object", "properties", properties, "additionalProperties", 0);
	if (json_array_size(required))
		json_object_set(o, "required", required);
	json_decref(required);
	return o;
}

static json_t *schemas(void)
{
	json_t *all = json_object(), *whole = json_pack("{s:{s:s, s:i}}", "schema", "type", "integer", "const", 1), *o;

	for (size_t i = 0; ctl_schema[i]; i++) {
		const struct conf_collection *c = ctl_schema[i];

		o = rows_schema(c->rows);
		if (c->single) /* its id is the collection's name: it has none of its own */
			json_object_del(json_object_get(o, "properties"), "id");
		if (c->doc)
			json_object_set_new(o, "description", json_string(c->doc));
		json_object_set_new(all, c->one, o);
		o = json_pack("{s:o}", "$ref", json_sprintf("#/components/schemas/%s", c->one));
		json_object_set_new(whole, c->name, c->single ? o : json_pack("{s:s, s:o}", "type", "array", "items", o));
	}
	json_object_set_new(all, "configuration", json_pack("{s:s, s:o, s:b}", "type", "object", "properties", whole, "additionalProperties", 0));
	for (const struct admin_shape *sh = admin_shapes; sh->name; sh++) {
		o = rows_schema(sh->rows);
		if (!sh->closed)
			json_object_set_new(o, "additionalProperties", json_true());
		json_object_set_new(o, "description", json_string(sh->doc));
		json_object_set_new(all, sh->name, o);
	}
	return all;
}

/* ---- routes as operations ---- */
static void path_parameters(const char *path, json_t *list)
{
	while ((path = strchr(path, '{'))) {
		size_t n = strcspn(++path, "}");

		json_array_append_new(list, json_pack("{s:o, s:s, s:b, s:{s:s}}", "name", json_stringn(path, n), "in", "path", "required", 1, "schema", "type", "string"));
	}
}

static void query_parameters(const struct conf_row *rows, json_t *list)
{
	for (; rows && rows->key; rows++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:o}", "name", rows->key, "in", "query", "description", rows->doc ? rows->doc : "",
			"schema", scalar_schema(rows, rows->type)));
}

/** `one`: what {one} stands for; NULL: none. */
static json_t *named_schema(const char *name, const char *one)
{
	return ref_schema(strcmp(name, "{one}") || !one ? name : one);
}

/** An object that the path names already: its id may be left out. */
static json_t *put_schema(const char *one)
{
	json_t *o = NULL;
	size_t i = 0;

	while (ctl_schema[i] && strcmp(ctl_schema[i]->one, one))
		i++;
	if (!ctl_schema[i] || ctl_schema[i]->single)
		return ref_schema(one);
	o = rows_schema(ctl_schema[i]->rows);
	for (size_t k = 0; k < json_array_size(json_object_get(o, "required")); k++)
		if (!strcmp(json_string_value(json_array_get(json_object_get(o, "required"), k)), "id"))
			json_array_remove(json_object_get(o, "required"), k);
	return o;
}

static json_t *body_json(const struct admin_route *r, const struct admin_exchange *x, const char *one)
{
	json_t *s = one && !strcmp(r->method, "PUT") ? put_schema(one) : x->body ? named_schema(x->body, one) : json_pack("{s:s}", "type", r->flags & ADMIN_PLAIN ? "string" : "object"), *content = json_object();
	const char *type = r->flags & ADMIN_PLAIN ? "text/plain" : r->flags & ADMIN_MERGE ? "application/merge-patch+json" : "application/json";

	json_object_set_new(content, type, json_pack("{s:o}", "schema", s));
	return json_pack("{s:b, s:o}", "required", (r->flags & (ADMIN_JSON | ADMIN_MERGE | ADMIN_PLAIN)) != 0, "content", content);
}

/** One WHAT of an exchange as a schema; *ret_type: its media type. */
static json_t *what_schema(struct slice what, const char *one, const char **ret_type)
{
	char name[64];
	size_t n;

	slice_copy(name, sizeof name, what);
	n = strlen(name);
	*ret_type = "application/json";
	if (!strcmp(name, "text")) {
		*ret_type = "text/plain";
		return json_pack("{s:s}", "type", "string");
	}
	if (!strcmp(name, "pcap")) {
		*ret_type = "application/vnd.tcpdump.pcap";
		return json_pack("{s:s}", "contentMediaType", *ret_type);
	}
	if (!strcmp(name, "patch")) {
		*ret_type = "application/json-patch+json";
		return json_pack("{s:s, s:o}", "type", "array", "items", ref_schema("patch_op"));
	}
	if (!n || name[0] != '[')
		return n ? named_schema(name, one) : json_pack("{s:s}", "type", "object");
	name[n - 1] = 0;
	return json_pack("{s:s, s:[s, s], s:{s:{s:s, s:o}, s:{s:[s, s], s:s}}}", "type", "object", "required", "items", "next", "properties",
		"items", "type", "array", "items", named_schema(name + 1, one), "next", "type", "string", "null", "description", "Cursor of the next page; null: this is the last");
}

/** `WHAT|WHAT`: one of them; those of one media type are alternatives of its schema. */
static json_t *answer_content(struct slice whats, const char *one)
{
	json_t *content = json_object(), *any, *s;
	const char *type;

	while (whats.p) {
		const char *bar = whats.n ? memchr(whats.p, '|', whats.n) : NULL;
		size_t n = bar ? (size_t)(bar - whats.p) : whats.n;

		s = what_schema((struct slice){ whats.p, n }, one, &type);
		any = json_object_get(json_object_get(json_object_get(content, type), "schema"), "anyOf");
		if (any)
			json_array_append_new(any, s);
		else
			json_object_set_new(content, type, json_pack("{s:o}", "schema", json_object_get(content, type) ?
				json_pack("{s:[O, o]}", "anyOf", json_object_get(json_object_get(content, type), "schema"), s) : s));
		whats = bar ? (struct slice){ bar + 1, whats.n - n - 1 } : (struct slice){ NULL, 0 };
	}
	return content;
}

static json_t *responses(const struct admin_exchange *x, const char *one)
{
	json_t *all = json_pack("{s:{s:s}}", "default", "$ref", "#/components/responses/problem"), *o;

	for (const char *p = x->answers; *p; ) {
		size_t n = strcspn(p, ",");
		char status[4] = { p[0], p[1], p[2], 0 };

		o = json_pack("{s:s}", "description", status[0] == '2' ? "Done" : "Not now");
		if (n > 3 && (p[3] == ' '))
			json_object_set_new(o, "content", answer_content((struct slice){ p + 4, n - 4 }, one));
		json_object_set_new(all, status, o);
		p += n;
		p += strspn(p, ", ");
	}
	return all;
}

/** one: the schema of a collection's objects, or NULL. list: its path gives a page of them; else the object itself. */
static json_t *operation(const struct admin_route *r, const struct admin_exchange *x, const char *one)
{
	static const char *const roles[] = { "viewer", "operator", "admin" };
	json_t *parameters = json_array(), *o;

	path_parameters(r->path, parameters);
	query_parameters(r->query, parameters);
	o = json_pack("{s:s, s:o, s:o}", "summary", r->doc, "parameters", parameters, "responses", responses(x, one));
	if (r->role == ADMIN_NOBODY)
		json_object_set_new(o, "security", json_pack("[{}, {s:[]}]", "bearer"));
	else
		json_object_set_new(o, "x-role", json_string(roles[r->role]));
	if (strcmp(r->method, "GET") && strcmp(r->method, "DELETE"))
		json_object_set_new(o, "requestBody", body_json(r, x, one));
	return o;
}

static const char *lower(const char *method, char buf[static 16])
{
	slice_copy(buf, 16, slice_str(method));
	for (char *p = buf; *p; p++)
		*p = (char)(*p | 0x20);
	return buf;
}

static void path_put(json_t *paths, const char *path, const struct admin_route *r, const struct admin_exchange *x, const char *one)
{
	json_t *at = json_object_get(paths, path);
	char method[16];

	if (!at) {
		at = json_object();
		json_object_set_new(paths, path, at);
	}
	json_object_set_new(at, lower(r->method, method), operation(r, x, one));
}

/** `/config/{collection}...` becomes one path for each collection, with its own schema. */
static void collection_paths(json_t *paths, const struct admin_route *r, const struct admin_exchange *x)
{
	const char *rest = r->path + strlen("/config/{collection}");
	bool one_alone = !*rest && (!strcmp(r->method, "PUT") || !strcmp(r->method, "PATCH")), list_alone = *rest || !strcmp(r->method, "POST");
	const struct admin_exchange itself = { x->method, x->path, x->body, "200 {one}" };
	struct admin_route named = *r;
	char path[128];

	for (size_t i = 0; ctl_schema[i]; i++) {
		const struct conf_collection *c = ctl_schema[i];

		if (c->single ? list_alone : one_alone)
			continue;
		snprintf(path, sizeof path, "/config/%s%s", c->name, rest);
		named.path = path;
		path_put(paths, path, &named, c->single && !strcmp(r->method, "GET") ? &itself : x, c->one);
	}
}

static json_t *paths(void)
{
	json_t *all = json_object();

	for (const struct admin_route *r = admin_routes(); r->path; r++) {
		const struct admin_exchange *x = admin_exchange_of(r->method, r->path);

		if (!strncmp(r->path, "/config/{collection}", 20))
			collection_paths(all, r, x);
		else
			path_put(all, r->path, r, x, NULL);
	}
	return all;
}

static json_t *openapi(void)
{
	return json_pack("{s:s, s:{s:s, s:s, s:s}, s:[{s:s}], s:[{s:[]}], s:o, s:{s:{s:{s:s, s:s}}, s:{s:{s:s, s:{s:{s:{s:s}}}}}, s:o}}",
		"openapi", "3.1.0", "info", "title", "Postern", "version", "1", "description", "Administration of a Postern session border controller",
		"servers", "url", "/api/v1", "security", "bearer", "paths", paths(),
		"components", "securitySchemes", "bearer", "type", "http", "scheme", "bearer",
		"responses", "problem", "description", "What went wrong (RFC 9457)", "content", "application/problem+json", "schema", "$ref", "#/components/schemas/problem",
		"schemas", schemas());
}

char *admin_openapi_print(void)
{
	json_t *o = openapi();
	char *text = o ? json_dumps(o, JSON_INDENT(1)) : NULL;

	json_decref(o);
	return text;
}

void admin_get_openapi(struct admin_request *rq)
{
	admin_reply_json(rq, 200, openapi());
}
