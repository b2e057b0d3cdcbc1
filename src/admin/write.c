/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes to the configuration: the whole document, a single object (system), the objects of collections; PATCH is a merge patch (RFC 7396).
 */
#include <stdio.h>
#include <stdlib.h>

#include "admin/admin.h"
#include "postern/store.h"

static void answer_object(struct admin_request *rq)
{
	char where[300];

	if (rq->param[1][0])
		admin_get_object(rq);
	else
		admin_get_collection(rq);
	if (rq->a->change.status != 201)
		return;
	snprintf(where, sizeof where, "/api/v1/config/%s/%s", rq->param[0], rq->param[1]);
	admin_reply_header(rq, "Location", where);
}

void admin_put_config(struct admin_request *rq)
{
	struct admin_edit e;

	if (!admin_edit_begin(rq, &e))
		return;
	json_decref(e.root);
	e.root = json_incref(rq->json);
	admin_edit_commit(rq, &e);
}

/** RFC 7396 section 2. */
static void merge(json_t *target, json_t *patch)
{
	const char *key;
	json_t *v, *o;

	json_object_foreach(patch, key, v) {
		if (json_is_null(v)) {
			json_object_del(target, key);
			continue;
		}
		if (!json_is_object(v)) {
			json_object_set(target, key, v);
			continue;
		}
		o = json_object_get(target, key);
		if (!json_is_object(o)) {
			json_object_set_new(target, key, json_object());
			o = json_object_get(target, key);
		}
		merge(o, v);
	}
}

/** The collection of the path, of this kind; NULL: answered. */
static const struct conf_collection *collection_get(struct admin_request *rq, bool single)
{
	const struct conf_collection *c = admin_collection(rq->param[0]);

	if (!c) {
		admin_problem(rq, 404, "the configuration has no collection \"%.64s\"", rq->param[0]);
	} else if (c->single != single) {
		admin_problem(rq, 405, single ? "%s is a list: it takes POST, its objects PUT, PATCH and DELETE" : "%s is one object: it takes GET, PUT and PATCH", c->name);
		admin_reply_header(rq, "Allow", single ? "GET, HEAD, POST" : "GET, HEAD, PUT, PATCH");
		return NULL;
	}
	return c;
}

/* ---- system ---- */
void admin_put_single(struct admin_request *rq)
{
	const struct conf_collection *c = collection_get(rq, true);
	struct admin_edit e;

	if (!c || !admin_edit_begin(rq, &e))
		return;
	json_object_set(e.root, c->name, rq->json);
	e.answer = answer_object;
	admin_edit_commit(rq, &e);
}

void admin_patch_single(struct admin_request *rq)
{
	const struct conf_collection *c = collection_get(rq, true);
	struct admin_edit e;

	if (!c || !admin_edit_begin(rq, &e))
		return;
	if (!json_object_get(e.root, c->name))
		json_object_set_new(e.root, c->name, json_object());
	merge(json_object_get(e.root, c->name), rq->json);
	e.answer = answer_object;
	admin_edit_commit(rq, &e);
}

/* ---- objects ---- */
static json_t *list_get(struct admin_edit *e, const struct conf_collection *c)
{
	if (!json_object_get(e->root, c->name))
		json_object_set_new(e->root, c->name, json_array());
	return json_object_get(e->root, c->name);
}

void admin_post_object(struct admin_request *rq)
{
	const struct conf_collection *c = collection_get(rq, false);
	const char *id = json_string_value(json_object_get(rq->json, "id"));
	struct admin_edit e;

	if (!c || !admin_edit_begin(rq, &e))
		return;
	if (id && admin_edit_find(e.root, c, id, NULL)) {
		admin_problem(rq, 409, "%s has \"%.64s\" already", c->name, id);
		admin_edit_drop(&e);
		return;
	}
	slice_copy(rq->param[1], sizeof rq->param[1], slice_str(id));
	json_array_append(list_get(&e, c), rq->json);
	e.status = 201;
	e.answer = answer_object;
	admin_edit_commit(rq, &e);
}

/** The body may leave its id out, but not name another one. */
static bool id_check(struct admin_request *rq)
{
	const char *id = json_string_value(json_object_get(rq->json, "id"));

	if (!json_object_get(rq->json, "id") || (id && !strcmp(id, rq->param[1])))
		return true;
	admin_problem_errors(rq, 422, "an object keeps its id", json_pack("[{s:s, s:s}]", "pointer", "/id", "message", "is not the id of the path"), NULL);
	return false;
}

void admin_put_object(struct admin_request *rq)
{
	const struct conf_collection *c = collection_get(rq, false);
	struct admin_edit e;
	json_t *o;
	size_t at = 0;

	if (!c || !id_check(rq) || !admin_edit_begin(rq, &e))
		return;
	o = json_object();
	json_object_set_new(o, "id", json_string(rq->param[1])); /* in front, as people write it */
	json_object_update(o, rq->json);
	if (admin_edit_find(e.root, c, rq->param[1], &at)) {
		json_array_set_new(list_get(&e, c), at, o);
	} else {
		json_array_append_new(list_get(&e, c), o);
		e.status = 201;
	}
	e.answer = answer_object;
	admin_edit_commit(rq, &e);
}

void admin_patch_object(struct admin_request *rq)
{
	const struct conf_collection *c = collection_get(rq, false);
	struct admin_edit e;
	json_t *o;

	if (!c || !id_check(rq) || !admin_edit_begin(rq, &e))
		return;
	o = admin_edit_find(e.root, c, rq->param[1], NULL);
	if (!o) {
		admin_problem(rq, 404, "%s has no \"%.64s\" that could be changed", c->name, rq->param[1]);
		admin_edit_drop(&e);
		return;
	}
	merge(o, rq->json);
	e.answer = answer_object;
	admin_edit_commit(rq, &e);
}

void admin_delete_object(struct admin_request *rq)
{
	const struct conf_collection *c = collection_get(rq, false);
	struct admin_edit e;
	size_t at = 0;

	if (!c || !admin_edit_begin(rq, &e))
		return;
	if (!admin_edit_find(e.root, c, rq->param[1], &at)) {
		admin_problem(rq, 404, "%s has no \"%.64s\"", c->name, rq->param[1]);
		admin_edit_drop(&e);
		return;
	}
	json_array_remove(json_object_get(e.root, c->name), at);
	e.removal = true;
	e.status = 204;
	admin_edit_commit(rq, &e);
}
