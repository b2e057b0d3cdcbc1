/* SPDX-License-Identifier: Apache-2.0 */
/* The walk over the values that a document writes, row by row; and what needs no more than that: secrets, references. */
#include <errno.h>
#include <stdlib.h>

#include "conf/conf.h"

static void walk_list(struct conf_walk *w, const struct conf_row *row, json_t *list)
{
	json_t *e;
	size_t i, was;

	json_array_foreach(list, i, e) {
		was = conf_path_index(&w->path, i);
		if (json_is_object(e) && row->elem == CONF_OBJECT)
			conf_walk_object(w, row->sub, e);
		else if (row->elem != CONF_OBJECT)
			w->value(w, row, list, e);
		conf_path_cut(&w->path, was);
	}
}

void conf_walk_object(struct conf_walk *w, const struct conf_row *rows, json_t *obj)
{
	size_t was;
	json_t *v;

	for (; rows->key; rows++) {
		v = json_object_get(obj, rows->key);
		if (!v)
			continue;
		was = conf_path_key(&w->path, rows->key);
		if (rows->type == CONF_OBJECT && json_is_object(v))
			conf_walk_object(w, rows->sub, v);
		else if (rows->type == CONF_LIST && json_is_array(v))
			walk_list(w, rows, v);
		else if (rows->type != CONF_OBJECT && rows->type != CONF_LIST)
			w->value(w, rows, obj, v);
		conf_path_cut(&w->path, was);
	}
}

void conf_walk_root(struct conf_walk *w, const struct conf_doc *d, json_t *root)
{
	size_t i, k, was, one;
	json_t *v, *e;

	for (i = 0; i < d->nparts; i++) {
		const struct conf_collection *c = d->part[i].c;

		v = json_object_get(root, c->name);
		was = conf_path_key(&w->path, c->name);
		if (c->single && json_is_object(v))
			conf_walk_object(w, c->rows, v);
		json_array_foreach(c->single ? NULL : v, k, e) {
			one = conf_path_index(&w->path, k);
			if (json_is_object(e))
				conf_walk_object(w, c->rows, e);
			conf_path_cut(&w->path, one);
		}
		conf_path_cut(&w->path, was);
	}
}

/* ---- secrets ---- */
static void hide(struct conf_walk *w, const struct conf_row *row, json_t *parent, json_t *v)
{
	int *err = w->arg;

	if (row->flags & CONF_SECRET && json_is_string(v) && json_object_set_new(parent, row->key, json_string("***")))
		*err = -ENOMEM;
}

json_t *conf_hidden(const struct conf_doc *d, json_t *root)
{
	json_t *copy = json_deep_copy(root);
	int err = 0;
	struct conf_walk w = { .value = hide, .arg = &err };

	if (!copy)
		return NULL;
	conf_walk_root(&w, d, copy);
	if (err) {
		/* never half hidden */
		json_decref(copy);
		return NULL;
	}
	return copy;
}

/** The value at a JSON pointer of the old document, where its list elements have the same ids on the way. */
struct restore { const struct conf_doc *old; const json_t *root; int err; };

static const json_t *by_id(const json_t *list, const json_t *like)
{
	const char *id = json_string_value(json_object_get(like, "id")), *username = json_string_value(json_object_get(like, "username"));
	const char *key = id ? "id" : "username", *want = id ? id : username, *has;
	json_t *e;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)list, i, e) {
		has = json_string_value(json_object_get(e, key));
		if (want && has && !strcmp(want, has))
			return e;
	}
	return NULL;
}

/** Step by step down both trees; path is cut up. */
static const json_t *counterpart(const json_t *new_root, const json_t *old_root, const char *path)
{
	const json_t *n = new_root, *o = old_root;
	char step[80];
	size_t len;

	while (*path == '/' && o) {
		path++;
		len = strcspn(path, "/");
		slice_copy(step, sizeof step, (struct slice){ path, len });
		path += len;
		if (json_is_array(n)) {
			n = json_array_get(n, strtoul(step, NULL, 10));
			o = by_id(o, n);
		} else {
			n = json_object_get(n, step);
			o = json_object_get(o, step);
		}
	}
	return o;
}

static void restore(struct conf_walk *w, const struct conf_row *row, json_t *parent, json_t *v)
{
	struct restore *r = w->arg;
	const json_t *old;

	if (!(row->flags & CONF_SECRET) || !json_is_string(v) || strcmp(json_string_value(v), "***"))
		return;
	old = counterpart(r->root, r->old->root, w->path.p);
	if (json_is_string(old) && json_object_set(parent, row->key, (json_t *)(uintptr_t)old))
		r->err = -ENOMEM;
}

int conf_restore_secrets(struct slice text, const struct conf_doc *old, char **ret)
{
	json_t *root = text.n <= CONF_BYTES_MAX ? json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL) : NULL;
	struct restore r = { .old = old, .root = root };
	struct conf_walk w = { .value = restore, .arg = &r };
	char *out = NULL;

	if (!json_is_object(root)) {
		json_decref(root);
		return ERR_CONFIG;
	}
	conf_walk_root(&w, old, root);
	if (!r.err)
		out = conf_dump(root);
	json_decref(root);
	if (!out)
		return -ENOMEM;
	*ret = out;
	return 0;
}

/* ---- references ---- */
struct refs { const struct conf_doc *doc; struct conf_errors *errs; };

/** "trunks|trunk_groups|=registered": call fn for each name; '=' words too. */
static const char *ref_next(const char *ref, struct slice *ret)
{
	size_t n = strcspn(ref, "|");

	*ret = (struct slice){ ref, n };
	return ref[n] ? ref + n + 1 : ref + n;
}

static bool ref_ok(const struct conf_doc *d, const char *ref, const char *id)
{
	struct slice one;

	while (*ref) {
		const struct conf_part *p;

		ref = ref_next(ref, &one);
		if (one.n && one.p[0] == '=') {
			if (slice_eq((struct slice){ one.p + 1, one.n - 1 }, slice_str(id)))
				return true;
			continue;
		}
		p = conf_doc_named(d, one.p, one.n);
		if (p && conf_part_index(p, id) >= 0)
			return true;
	}
	return false;
}

static const char *ref_nearest(const struct conf_doc *d, const char *ref, const char *id)
{
	size_t best = SIZE_MAX, dist, i;
	const char *ret = NULL, *has;
	struct slice one;

	while (*ref) {
		const struct conf_part *p;

		ref = ref_next(ref, &one);
		p = conf_doc_named(d, one.p, one.n);
		for (i = 0; p && i < p->n; i++) {
			has = *(const char *const *)p->ptr[i];
			dist = has ? conf_distance(id, has) : SIZE_MAX;
			if (dist < best) {
				best = dist;
				ret = has;
			}
		}
	}
	return ret;
}

static void ref_kinds(const struct conf_doc *d, const char *ref, struct text *t)
{
	bool first = true;
	struct slice one;

	while (*ref) {
		const struct conf_part *p;

		ref = ref_next(ref, &one);
		p = conf_doc_named(d, one.p, one.n);
		if (!p)
			continue;
		text_add(t, "%s%s", first ? "" : " or ", p->c->one);
		first = false;
	}
}

static void ref_check(struct conf_walk *w, const struct conf_row *row, json_t *parent, json_t *v)
{
	enum conf_type type = row->type == CONF_LIST ? row->elem : row->type;
	const char *id = json_string_value(v), *near;
	struct refs *r = w->arg;
	char kinds[128];
	struct text t = text_on(kinds, sizeof kinds);

	if (type != CONF_REF || !id || conf_id_wrong(id) || ref_ok(r->doc, row->ref, id))
		return;
	ref_kinds(r->doc, row->ref, &t);
	near = ref_nearest(r->doc, row->ref, id);
	conf_error(r->errs, w->path.p, "there is no %s \"%s\"%s%s%s", kinds, id, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

void conf_doc_refs(struct conf_doc *d, struct conf_errors *errs)
{
	struct refs r = { d, errs };
	struct conf_walk w = { .value = ref_check, .arg = &r };

	conf_walk_root(&w, d, d->root);
}
