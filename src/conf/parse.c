/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parse a document: JSON (RFC 8259, strictly: no key twice), then every collection's rows, then ids and references, then the checks across objects.
 * All errors are told; what failed keeps its default, so that one error does not bring up others.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "conf/conf.h"

struct parse {
	struct conf_doc *doc;
	struct conf_errors *errs;
	struct conf_path path;
	bool absent;                   /* within an object that the document does not write: nothing is missing there */
	bool builtin;                  /* nothing to warn of */
	int err;
};

static void parse_rows(struct parse *p, const struct conf_row *rows, json_t *obj, char *at);

/* ---- later: options that are accepted but not acted on ---- */
static bool listed(const json_t *list, const json_t *v)
{
	json_t *e;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)list, i, e)
		if (json_equal(e, (json_t *)(uintptr_t)v))
			return true;
	return false;
}

static bool same(const json_t *a, const json_t *b)
{
	if (json_is_number(a) && json_is_number(b))
		return json_number_value(a) == json_number_value(b);
	return json_equal((json_t *)(uintptr_t)a, (json_t *)(uintptr_t)b);
}

/** The option's name as people say it: `probe.enabled` of /trunks/3/probe/enabled. */
static void option_name(const struct parse *p, char *buf, size_t size)
{
	const char *s = p->path.p, *key;
	struct text t = text_on(buf, size);
	size_t n, skip;

	for (skip = 0; (key = strchr(s, '/')); s = key + n + 1, skip++) {
		n = strcspn(key + 1, "/");
		if (skip < 1 || (key[1] >= '0' && key[1] <= '9'))
			continue;
		text_add(&t, "%s", t.n ? "." : "");
		text_slice(&t, (struct slice){ key + 1, n });
	}
}

static void warn_later(struct parse *p, const struct conf_row *row, const json_t *v)
{
	json_t *def = conf_doc_default(p->doc, row), *now = row->now ? json_loads(row->now, 0, NULL) : NULL;
	bool zero = !row->def && ((json_is_array(v) && !json_array_size(v)) || json_is_false(v) || (json_is_integer(v) && !json_integer_value(v)));
	char name[128];

	option_name(p, name, sizeof name);
	if (!p->builtin && !zero && !(def && same(def, v)) && !listed(now, v))
		conf_warn(p->errs, p->path.p, "option %s is accepted, but this build does not act on it yet", name);
	json_decref(now);
}

/* ---- values ---- */
static bool parse_scalar(struct parse *p, const struct conf_row *row, enum conf_type type, json_t *v, void *at)
{
	char why[512] = "";

	if (conf_value_store(row, type, v, at, why, sizeof why))
		return true;
	conf_error(p->errs, p->path.p, "%s", why);
	return false;
}

/** An element of a list; a string may stand for an object's first row. */
static bool parse_element(struct parse *p, const struct conf_row *row, json_t *v, char *at)
{
	json_t *brief;

	if (row->elem != CONF_OBJECT)
		return parse_scalar(p, row, row->elem, v, at);
	if (json_is_object(v)) {
		parse_rows(p, row->sub, v, at);
		return true;
	}
	if (!(row->flags & CONF_BRIEF) || !json_is_string(v)) {
		conf_error(p->errs, p->path.p, row->flags & CONF_BRIEF ? "must be a string or an object" : "must be an object");
		return false;
	}
	brief = json_object();
	/* kept, since strings are borrowed */
	if (!brief || json_object_set(brief, row->sub->key, v) || json_array_append_new(p->doc->keep, brief)) {
		p->err = -ENOMEM;
		return false;
	}
	if (!parse_scalar(p, row->sub, row->sub->type, v, at + row->sub->at))
		return false;
	p->absent = true;
	parse_rows(p, row->sub + 1, brief, at);
	p->absent = false;
	return true;
}

static bool twice(struct parse *p, const json_t *list, size_t i)
{
	size_t k;

	for (k = 0; k < i; k++)
		if (json_equal(json_array_get(list, k), json_array_get(list, i)))
			break;
	if (k < i)
		conf_error(p->errs, p->path.p, "stands in the list twice");
	return k < i;
}

static void parse_list(struct parse *p, const struct conf_row *row, json_t *v, char *at)
{
	struct conf_list *list = (struct conf_list *)(void *)(at + row->at);
	size_t size = conf_value_size(row), n = json_array_size(v), most = row->most ? row->most : CONF_LIST_MOST, i, was;
	char *mem;

	if (!json_is_array(v) || n > most || (!n && row->flags & CONF_FILLED)) {
		conf_error(p->errs, p->path.p, "must be a list of %s%zu elements", row->flags & CONF_FILLED ? "1 to " : "at most ", most);
		return;
	}
	mem = conf_doc_alloc(p->doc, (n + 1) * size);
	if (!mem) {
		p->err = -ENOMEM;
		return;
	}
	list->v = mem;
	for (i = 0; i < n; i++) {
		was = conf_path_index(&p->path, i);
		if (!(row->flags & CONF_UNIQUE && twice(p, v, i)) && parse_element(p, row, json_array_get(v, i), mem + list->n * size))
			list->n++;
		else
			memset(mem + list->n * size, 0, size);
		conf_path_cut(&p->path, was);
	}
}

/** A list that is written as its one element. */
static void parse_alone(struct parse *p, const struct conf_row *row, json_t *v, char *at)
{
	struct conf_list *list = (struct conf_list *)(void *)(at + row->at);
	char *mem = conf_doc_alloc(p->doc, conf_value_size(row));

	if (!mem) {
		p->err = -ENOMEM;
	} else if (parse_element(p, row, v, mem)) {
		list->v = mem;
		list->n = 1;
	}
}

static void parse_object(struct parse *p, const struct conf_row *row, json_t *v, char *at)
{
	bool was = p->absent;

	if (v && !json_is_object(v))
		conf_error(p->errs, p->path.p, "must be an object");
	if (!json_is_object(v)) {
		v = NULL;
		p->absent = true;
	}
	parse_rows(p, row->sub, v, at);
	p->absent = was;
}

static void parse_default(struct parse *p, const struct conf_row *row, char *at)
{
	json_t *def = conf_doc_default(p->doc, row);
	bool builtin = p->builtin;

	if (!def) {
		p->err = row->def ? -ENOMEM : p->err;
		return;
	}
	p->builtin = true;
	if (row->type == CONF_LIST)
		parse_list(p, row, def, at);
	else
		must(parse_scalar(p, row, row->type, def, at + row->at));
	p->builtin = builtin;
}

static void parse_row(struct parse *p, const struct conf_row *row, json_t *v, char *at)
{
	size_t errors;

	if (json_is_null(v)) {
		if (!(row->flags & CONF_NULL))
			conf_error(p->errs, p->path.p, "must not be null; leave the key out for its default");
		v = NULL;
	} else if (!v && row->flags & CONF_REQUIRED && !p->absent) {
		conf_error(p->errs, p->path.p, "is missing");
	}
	if (row->type == CONF_OBJECT) {
		parse_object(p, row, v, at);
		return;
	}
	if (!v) {
		parse_default(p, row, at);
		return;
	}
	errors = conf_errors_count(p->errs);
	if (row->flags & CONF_ALONE)
		parse_alone(p, row, v, at);
	else if (row->type == CONF_LIST)
		parse_list(p, row, v, at);
	else if (!parse_scalar(p, row, row->type, v, at + row->at))
		parse_default(p, row, at);
	if (row->flags & CONF_LATER && errors == conf_errors_count(p->errs))
		warn_later(p, row, v);
}

static void unknown_key(struct parse *p, const char *key, const char *near, const char *known)
{
	size_t was = conf_path_key(&p->path, key);
	const char *shown = strrchr(p->path.p, '/') + 1;

	if (near)
		conf_error(p->errs, p->path.p, "unknown key \"%s\"; did you mean \"%s\"?", shown, near);
	else
		conf_error(p->errs, p->path.p, "unknown key \"%s\"; known are %s", shown, known);
	conf_path_cut(&p->path, was);
}

static void unknown_row(struct parse *p, const struct conf_row *rows, const char *key)
{
	const struct conf_row *row;
	char known[400];
	struct text t = text_on(known, sizeof known);

	for (row = rows; row->key; row++)
		text_add(&t, "%s%s", row == rows ? "" : ", ", row->key);
	unknown_key(p, key, conf_nearest(rows, key), known);
}

static void parse_rows(struct parse *p, const struct conf_row *rows, json_t *obj, char *at)
{
	const struct conf_row *row;
	const char *key;
	json_t *v;
	size_t was;

	json_object_foreach(obj, key, v) {
		for (row = rows; row->key && strcmp(row->key, key); row++)
			;
		if (!row->key && !p->absent)
			unknown_row(p, rows, key);
	}
	for (row = rows; row->key; row++) {
		was = conf_path_key(&p->path, row->key);
		parse_row(p, row, json_object_get(obj, row->key), at);
		conf_path_cut(&p->path, was);
	}
}

/* ---- collections ---- */
static int part_room(struct parse *p, struct conf_part *part, size_t n)
{
	size_t i;

	part->objs = conf_doc_alloc(p->doc, (n + 1) * part->c->size);
	part->ptr = conf_doc_alloc(p->doc, (n + 1) * sizeof *part->ptr);
	part->json = conf_doc_alloc(p->doc, (n + 1) * sizeof *part->json);
	if (!part->objs || !part->ptr || !part->json)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		part->ptr[i] = part->objs + i * part->c->size;
	part->n = n;
	return 0;
}

/** Built-in objects that the document does not write anew, as a list that the document keeps. */
static json_t *builtins(struct parse *p, const struct conf_collection *c, const json_t *written)
{
	json_t *all = c->builtin ? json_loads(c->builtin, 0, NULL) : json_array(), *e, *w;
	size_t i, k;

	if (!all || json_array_append_new(p->doc->keep, all))
		return NULL;
	for (i = json_array_size(all); c->builtin_open && i-- > 0;) {
		e = json_object_get(json_array_get(all, i), "id");
		json_array_foreach((json_t *)(uintptr_t)written, k, w) {
			if (json_equal(e, json_object_get(w, "id"))) {
				json_array_remove(all, i);
				break;
			}
		}
	}
	return all;
}

static void part_single(struct parse *p, struct conf_part *part, json_t *v)
{
	p->err = part_room(p, part, 1);
	if (p->err)
		return;
	if (v && !json_is_object(v)) {
		conf_error(p->errs, p->path.p, "must be an object");
		v = NULL;
	}
	part->json[0] = v;
	part->written = v ? 1 : 0;
	p->absent = !v;
	parse_rows(p, part->c->rows, v, part->objs);
	p->absent = false;
	*(const char **)(void *)part->objs = part->c->name;
}

static void part_one(struct parse *p, struct conf_part *part, size_t i, json_t *v)
{
	size_t was = conf_path_index(&p->path, i);

	part->json[i] = v;
	if (json_is_object(v))
		parse_rows(p, part->c->rows, v, part->objs + i * part->c->size);
	else
		conf_error(p->errs, p->path.p, "must be an object");
	conf_path_cut(&p->path, was);
}

static void part_list(struct parse *p, struct conf_part *part, json_t *v)
{
	size_t most = part->c->most ? part->c->most : CONF_OBJECTS_MOST, n, i;
	json_t *extra;

	if (v && (!json_is_array(v) || json_array_size(v) > most)) {
		conf_error(p->errs, p->path.p, "must be a list of at most %zu objects", most);
		v = NULL;
	}
	extra = builtins(p, part->c, v);
	n = json_array_size(v);
	p->err = extra ? part_room(p, part, n + json_array_size(extra)) : -ENOMEM;
	if (p->err)
		return;
	part->written = n;
	for (i = 0; i < n; i++)
		part_one(p, part, i, json_array_get(v, i));
	p->builtin = true;
	for (; i < part->n; i++)
		part_one(p, part, i, json_array_get(extra, i - n));
	p->builtin = false;
}

static void part_parse(struct parse *p, struct conf_part *part)
{
	json_t *v = json_object_get(p->doc->root, part->c->name);
	size_t was = conf_path_key(&p->path, part->c->name);

	if (part->c->single)
		part_single(p, part, v);
	else
		part_list(p, part, v);
	conf_path_cut(&p->path, was);
}

/* ---- the root ---- */
static void root_keys(struct parse *p)
{
	json_t *schema = json_object_get(p->doc->root, "schema"), *v;
	const char *words[65], *key;
	char known[400];
	struct text t = text_on(known, sizeof known);
	size_t i, n = p->doc->nparts;

	must(n + 2 <= ARRAY_LEN(words));
	words[0] = "schema";
	text_add(&t, "schema");
	for (i = 0; i < n; i++) {
		words[i + 1] = p->doc->part[i].c->name;
		text_add(&t, ", %s", words[i + 1]);
	}
	words[n + 1] = NULL;
	json_object_foreach(p->doc->root, key, v)
		if (strcmp(key, "schema") && !conf_doc_named(p->doc, key, strlen(key)))
			unknown_key(p, key, conf_nearest_word(words, key), known);
	if (!schema)
		conf_error(p->errs, "/schema", "is missing; this build knows 1");
	else if (!json_is_integer(schema) || json_integer_value(schema) != 1)
		conf_error(p->errs, "/schema", "must be 1, which this build knows");
}

/** Depth of the text, so that no recursion of anybody follows a hostile document down. */
static bool too_deep(struct slice text)
{
	size_t i, depth = 0;
	bool quoted = false;

	for (i = 0; i < text.n; i++) {
		char c = text.p[i];

		if (quoted && c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (c == '{' || c == '['))
			depth++;
		else if (!quoted && (c == '}' || c == ']') && depth)
			depth--;
		if (depth > CONF_DEPTH_MAX)
			return true;
	}
	return false;
}

static json_t *root_load(struct slice text, struct conf_errors *errs)
{
	json_error_t why;
	json_t *root;
	char *near;

	if (text.n > CONF_BYTES_MAX) {
		conf_error(errs, "", "the document is larger than %d bytes", CONF_BYTES_MAX);
		return NULL;
	}
	if (too_deep(text)) {
		conf_error(errs, "", "the document is nested deeper than %d levels", CONF_DEPTH_MAX);
		return NULL;
	}
	root = json_loadb(text.p ? text.p : "", text.n, JSON_REJECT_DUPLICATES, &why);
	if (!root) {
		/* what stands near may be a secret; the name of a key that stands twice is not */
		near = strstr(why.text, " near ");
		if (near && strncmp(why.text, "duplicate", 9))
			*near = 0;
		conf_error(errs, "", "line %d, column %d: %s", why.line, why.column, why.text);
	} else if (!json_is_object(root)) {
		conf_error(errs, "", "the document must be a JSON object");
	}
	return root;
}

static int doc_check(struct parse *p)
{
	size_t i;

	root_keys(p);
	for (i = 0; !p->err && i < p->doc->nparts; i++)
		part_parse(p, &p->doc->part[i]);
	if (!p->err)
		p->err = conf_doc_ids(p->doc, p->errs);
	if (p->err)
		return p->err;
	conf_doc_refs(p->doc, p->errs);
	for (i = 0; i < p->doc->nparts; i++)
		if (p->doc->part[i].c->check)
			p->doc->part[i].c->check(p->doc, p->errs);
	return conf_errors_count(p->errs) ? ERR_CONFIG : 0;
}

int conf_parse(struct slice text, const struct conf_collection *const *cols, struct conf_errors *errs, struct conf_doc **ret)
{
	struct parse p = { .errs = errs };
	int err = conf_doc_new(cols, &p.doc);

	if (err)
		return err;
	p.doc->root = root_load(text, errs);
	err = json_is_object(p.doc->root) ? doc_check(&p) : ERR_CONFIG;
	if (err)
		base_unref(p.doc);
	else
		*ret = p.doc;
	return err;
}
