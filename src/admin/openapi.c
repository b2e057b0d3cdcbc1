/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenAPI 3.1 of the API, from the table of routes and the schema tables of the configuration: what is checked is what is described.
 */
#include <stdio.h>
#include <stdlib.h>

#include "admin/admin.h"

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
	if (row->min == 0 && row->max == 0)
		return;
	if (type == CONF_INT) {
		json_object_set_new(o, "minimum", json_integer((json_int_t)row->min));
		json_object_set_new(o, "maximum", json_integer((json_int_t)row->max));
	} else if (type == CONF_REAL) {
		json_object_set_new(o, "minimum", json_real(row->min));
		json_object_set_new(o, "maximum", json_real(row->max));
	} else if (type == CONF_STRING) {
		json_object_set_new(o, "maxLength", json_integer((json_int_t)row->max));
	}
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

static json_t *list_schema(const struct conf_row *row)
{
	json_t *item = row->elem == CONF_OBJECT ? rows_schema(row->sub) : scalar_schema(row, row->elem), *o;

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
	json_t *o = row->type == CONF_OBJECT ? rows_schema(row->sub) : row->type == CONF_LIST ? list_schema(row) : scalar_schema(row, row->type);

	if (row->flags & CONF_NULL)
		o = json_pack("{s:[o, {s:s}]}", "anyOf", o, "type", "null");
	if (row->doc)
		json_object_set_new(o, "description", json_string(row->doc));
	if (row->def)
		json_object_set_new(o, "default", json_loads(row->def, JSON_DECODE_ANY, NULL));
	if (row->unit)
		json_object_set_new(o, "x-unit", json_string(row->unit));
	if (row->ref)
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
	json_object_set_new(all, "problem", json_pack("{s:s, s:{s:{s:s}, s:{s:s}, s:{s:s}, s:{s:s}, s:{s:s, s:{s:s, s:[s, s], s:{s:{s:s}, s:{s:s}}}}}, s:[s, s]}",
		"type", "object", "properties", "type", "type", "string", "title", "type", "string", "status", "type", "integer", "detail", "type", "string",
		"errors", "type", "array", "items", "type", "object", "required", "pointer", "message", "properties", "pointer", "type", "string", "message", "type", "string",
		"required", "title", "status"));
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

/** schema: name of the body's schema, or NULL: any object. */
static json_t *body_json(const struct admin_route *r, const char *schema)
{
	json_t *s = schema && !(r->flags & ADMIN_MERGE) ? json_pack("{s:o}", "$ref", json_sprintf("#/components/schemas/%s", schema)) : json_pack("{s:s}", "type", "object");
	json_t *content = json_object();

	if (r->flags & ADMIN_PLAIN) {
		json_object_set_new(content, "text/plain", json_pack("{s:{s:s}}", "schema", "type", "string"));
		json_decref(s);
	} else {
		json_object_set_new(content, r->flags & ADMIN_MERGE ? "application/merge-patch+json" : "application/json", json_pack("{s:o}", "schema", s));
	}
	return json_pack("{s:b, s:o}", "required", (r->flags & (ADMIN_JSON | ADMIN_MERGE | ADMIN_PLAIN)) != 0, "content", content);
}

static json_t *operation(const struct admin_route *r, const char *schema)
{
	static const char *const roles[] = { "viewer", "operator", "admin" };
	json_t *parameters = json_array(), *o;

	path_parameters(r->path, parameters);
	query_parameters(r->query, parameters);
	o = json_pack("{s:s, s:o, s:{s:{s:s}, s:{s:s}}}", "summary", r->doc, "parameters", parameters, "responses", "2XX", "description", "Done",
		"default", "$ref", "#/components/responses/problem");
	if (r->role == ADMIN_NOBODY)
		json_object_set_new(o, "security", json_pack("[{}, {s:[]}]", "bearer"));
	else
		json_object_set_new(o, "x-role", json_string(roles[r->role]));
	if (strcmp(r->method, "GET") && strcmp(r->method, "DELETE"))
		json_object_set_new(o, "requestBody", body_json(r, schema));
	return o;
}

static void path_put(json_t *paths, const char *path, const struct admin_route *r, const char *schema)
{
	char method[16];
	json_t *at = json_object_get(paths, path);

	if (!at) {
		at = json_object();
		json_object_set_new(paths, path, at);
	}
	slice_copy(method, sizeof method, slice_str(r->method));
	for (char *p = method; *p; p++)
		*p = (char)(*p | 0x20);
	json_object_set_new(at, method, operation(r, schema));
}

/** `/config/{collection}...` becomes one path for each collection, with its own schema. */
static void collection_paths(json_t *paths, const struct admin_route *r)
{
	const char *rest = r->path + strlen("/config/{collection}");
	bool one_alone = !*rest && (!strcmp(r->method, "PUT") || !strcmp(r->method, "PATCH")), list_alone = *rest || !strcmp(r->method, "POST");
	struct admin_route named = *r;
	char path[128];

	for (size_t i = 0; ctl_schema[i]; i++) {
		const struct conf_collection *c = ctl_schema[i];

		if (c->single ? list_alone : one_alone)
			continue;
		snprintf(path, sizeof path, "/config/%s%s", c->name, rest);
		named.path = path;
		path_put(paths, path, &named, c->one);
	}
}

static json_t *paths(void)
{
	json_t *all = json_object();

	for (const struct admin_route *r = admin_routes(); r->path; r++) {
		if (!strncmp(r->path, "/config/{collection}", 20))
			collection_paths(all, r);
		else
			path_put(all, r->path, r, strcmp(r->path, "/config") ? NULL : "configuration");
	}
	return all;
}

void admin_get_openapi(struct admin_request *rq)
{
	json_t *o = json_pack("{s:s, s:{s:s, s:s, s:s}, s:[{s:s}], s:[{s:[]}], s:o, s:{s:{s:{s:s, s:s}}, s:{s:{s:s, s:{s:{s:{s:s}}}}}, s:o}}",
		"openapi", "3.1.0", "info", "title", "Postern", "version", "1", "description", "Administration of a Postern session border controller",
		"servers", "url", "/api/v1", "security", "bearer", "paths", paths(),
		"components", "securitySchemes", "bearer", "type", "http", "scheme", "bearer",
		"responses", "problem", "description", "What went wrong (RFC 9457)", "content", "application/problem+json", "schema", "$ref", "#/components/schemas/problem",
		"schemas", schemas());

	admin_reply_json(rq, 200, o);
}
