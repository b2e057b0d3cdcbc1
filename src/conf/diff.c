/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What changes from one document to another, as a JSON Patch (RFC 6902). Elements with an id are followed where they go;
 * other lists are replaced whole. Values are compared as they are and shown with secrets hidden.
 */
#include <errno.h>
#include <stdlib.h>

#include "conf/conf.h"

struct diff { json_t *ops; struct conf_path path; int err; };

static void op_add(struct diff *d, const char *op, const char *from, json_t *value)
{
	json_t *o = json_object();
	int bad = !o || json_object_set_new(o, "op", json_string(op));

	if (!bad && from)
		bad = json_object_set_new(o, "from", json_string(from));
	if (!bad)
		bad = json_object_set_new(o, "path", json_string(d->path.p));
	if (!bad && value)
		bad = json_object_set(o, "value", value);
	if (!bad)
		bad = json_array_append(d->ops, o);
	json_decref(o);
	if (bad)
		d->err = -ENOMEM;
}

static void diff_value(struct diff *d, json_t *a, json_t *b, json_t *shown);

static void diff_object(struct diff *d, json_t *a, json_t *b, json_t *shown)
{
	const char *key;
	json_t *v, *w;
	size_t was;

	json_object_foreach(a, key, v) {
		was = conf_path_key(&d->path, key);
		if (!json_object_get(b, key))
			op_add(d, "remove", NULL, NULL);
		conf_path_cut(&d->path, was);
	}
	json_object_foreach(b, key, v) {
		was = conf_path_key(&d->path, key);
		w = json_object_get(a, key);
		if (w)
			diff_value(d, w, v, json_object_get(shown, key));
		else
			op_add(d, "add", NULL, json_object_get(shown, key));
		conf_path_cut(&d->path, was);
	}
}

static json_t *id_at(const json_t *list, size_t i)
{
	return json_object_get(json_array_get(list, i), "id");
}

static bool has_ids(const json_t *list)
{
	size_t i;

	for (i = 0; i < json_array_size(list); i++)
		if (!json_is_string(id_at(list, i)))
			return false;
	return true;
}

static size_t id_from(const json_t *list, size_t i, const json_t *id)
{
	for (; i < json_array_size(list); i++)
		if (json_equal(id_at(list, i), (json_t *)(uintptr_t)id))
			break;
	return i;
}

/** Element i of the working copy becomes that of b: it is there, comes from further down, or is new. */
static void list_step(struct diff *d, json_t *work, size_t i, json_t *b, json_t *shown)
{
	size_t at = id_from(work, i, id_at(b, i)), was;
	struct conf_path from = d->path;
	json_t *e;

	if (at >= json_array_size(work)) {
		was = conf_path_index(&d->path, i);
		op_add(d, "add", NULL, json_array_get(shown, i));
		if (json_array_insert(work, i, json_array_get(b, i)))
			d->err = -ENOMEM;
		conf_path_cut(&d->path, was);
		return;
	}
	conf_path_index(&from, at);
	was = conf_path_index(&d->path, i);
	if (at != i) {
		op_add(d, "move", from.p, NULL);
		e = json_incref(json_array_get(work, at));
		if (json_array_remove(work, at) || json_array_insert_new(work, i, e))
			d->err = -ENOMEM;
	}
	diff_value(d, json_array_get(work, i), json_array_get(b, i), json_array_get(shown, i));
	conf_path_cut(&d->path, was);
}

static void diff_list(struct diff *d, json_t *a, json_t *b, json_t *shown)
{
	json_t *work = json_copy(a);
	size_t i, was;

	if (!work) {
		d->err = -ENOMEM;
		return;
	}
	for (i = json_array_size(work); i-- > 0;) {
		if (id_from(b, 0, id_at(work, i)) < json_array_size(b))
			continue;
		was = conf_path_index(&d->path, i);
		op_add(d, "remove", NULL, NULL);
		conf_path_cut(&d->path, was);
		json_array_remove(work, i);
	}
	for (i = 0; !d->err && i < json_array_size(b); i++)
		list_step(d, work, i, b, shown);
	json_decref(work);
}

static void diff_value(struct diff *d, json_t *a, json_t *b, json_t *shown)
{
	if (d->err || json_equal(a, b))
		return;
	if (json_is_object(a) && json_is_object(b))
		diff_object(d, a, b, shown);
	else if (json_is_array(a) && json_is_array(b) && has_ids(a) && has_ids(b))
		diff_list(d, a, b, shown);
	else
		op_add(d, "replace", NULL, shown);
}

char *conf_diff(const struct conf_doc *a, const struct conf_doc *b)
{
	struct diff d = { .ops = json_array() };
	json_t *shown = conf_hidden(b, b->root);
	char *ret = NULL;

	if (!d.ops || !shown)
		d.err = -ENOMEM;
	diff_value(&d, a->root, b->root, shown);
	if (!d.err)
		ret = conf_dump(d.ops);
	json_decref(d.ops);
	json_decref(shown);
	return ret;
}
