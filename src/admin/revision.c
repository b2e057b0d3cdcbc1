/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Revisions: the list, one with its document and files, what changed between two as a JSON Patch (RFC 6902); rollback and confirmation.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin/admin.h"
#include "postern/keys.h"
#include "postern/store.h"

static json_t *head_json(const struct admin *a, const struct store_revision *r)
{
	struct store_pending p;
	char time[32], until[32];
	json_t *o = json_pack("{s:I, s:s, s:s, s:s, s:b}", "number", (json_int_t)r->number, "time", base_time_rfc3339(r->time_ms, time), "user", r->user,
		"comment", r->comment, "in_force", r->number == a->revision);

	if (o && !store_pending_get(a->p.store, &p) && p.revision == r->number)
		json_object_set_new(o, "confirm_until", json_string(base_time_rfc3339(p.deadline_ms, until)));
	return o;
}

struct list { struct admin *a; json_t *items; unsigned limit; uint64_t last; bool more; };

static bool list_add(void *arg, const struct store_revision *r)
{
	struct list *l = arg;

	l->more = json_array_size(l->items) == l->limit;
	if (l->more)
		return false;
	json_array_append_new(l->items, json_pack("{s:I, s:I, s:s, s:s}", "number", (json_int_t)r->number, "time_ms", (json_int_t)r->time_ms, "user", r->user,
		"comment", r->comment));
	l->last = r->number;
	return true;
}

/** Texts of a row are borrowed while the statement runs: heads are made afterwards, since they read the database too. */
static void finish_heads(struct list *l)
{
	json_t *o;
	size_t i;

	json_array_foreach(l->items, i, o) {
		struct store_revision r = { (uint64_t)json_integer_value(json_object_get(o, "number")), json_integer_value(json_object_get(o, "time_ms")),
			json_string_value(json_object_get(o, "user")), json_string_value(json_object_get(o, "comment")) };

		json_array_set_new(l->items, i, head_json(l->a, &r));
	}
}

void admin_get_revisions(struct admin_request *rq)
{
	struct list l = { .a = rq->a };
	const char *after;
	uint64_t before;
	char next[24];
	int err;

	if (!admin_query_page(rq, &l.limit, &after) || !admin_query_number(rq, "after", INT64_MAX, &before))
		return;
	l.items = json_array();
	err = store_revisions_each(rq->a->p.store, before, l.limit + 1, list_add, &l);
	if (err) {
		json_decref(l.items);
		admin_problem(rq, 500, "the database cannot be read: %s", base_strerror(err));
		return;
	}
	finish_heads(&l);
	snprintf(next, sizeof next, "%llu", (unsigned long long)l.last);
	admin_reply_json(rq, 200, json_pack("{s:o, s:o}", "items", l.items, "next", l.more ? json_string(next) : json_null()));
}

/* ---- one ---- */
static bool number_of(struct admin_request *rq, const char *text, uint64_t *ret)
{
	if (text && !slice_u64(slice_str(text), INT64_MAX, ret) && *ret)
		return true;
	admin_problem(rq, 404, "there is no revision \"%.64s\"", text ? text : "");
	return false;
}

/** Read and parse; answers where that fails. What an older build took may not be right for this one: then there is no document. */
static bool revision_open(struct admin_request *rq, uint64_t number, struct store_revision_full **ret, struct conf_doc **ret_doc)
{
	struct conf_errors *errs = NULL;
	int err = store_revision_get(rq->a->p.store, number, ret);

	if (err) {
		admin_problem(rq, err == ERR_NOTFOUND ? 404 : 500, err == ERR_NOTFOUND ? "there is no revision %llu" : "revision %llu cannot be read",
			(unsigned long long)number);
		return false;
	}
	err = conf_errors_new(&errs);
	if (!err)
		err = conf_parse((*ret)->document, ctl_schema, errs, ret_doc);
	base_unref(errs);
	if (!err)
		return true;
	store_revision_free(*ret);
	admin_problem(rq, err == ERR_CONFIG ? 409 : 500, err == ERR_CONFIG ? "revision %llu is not a configuration of this build" : "revision %llu cannot be read",
		(unsigned long long)number);
	return false;
}

static json_t *files_json(const struct store_revision_full *r)
{
	json_t *list = json_array();
	char hex[65];

	for (size_t i = 0; i < r->nfiles; i++) {
		const struct store_file *f = &r->files[i];

		if (!strcmp(f->kind, "origin"))
			continue;
		keys_token_hash(f->bytes, hex);
		json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:s}", "kind", f->kind, "name", f->name, "bytes", (json_int_t)f->bytes.n, "sha256",
			strcmp(f->kind, "key") ? hex : "***"));
	}
	return list;
}

void admin_get_revision(struct admin_request *rq)
{
	struct store_revision_full *r = NULL;
	struct conf_doc *doc = NULL;
	uint64_t number;
	char *text;
	json_t *o;

	if (!number_of(rq, rq->param[0], &number) || !revision_open(rq, number, &r, &doc))
		return;
	text = conf_print(doc, true);
	o = head_json(rq->a, &r->rev);
	json_object_set_new(o, "files", files_json(r));
	json_object_set_new(o, "document", text ? json_loads(text, 0, NULL) : NULL);
	free(text);
	base_unref(doc);
	store_revision_free(r);
	admin_reply_json(rq, 200, o);
}

/* ---- what changed ---- */
/** Files are no part of the document, but of the revision: told as `test`-less rows of their own kind beside the patch. */
void admin_get_diff(struct admin_request *rq)
{
	struct store_revision_full *r = NULL, *q = NULL;
	struct conf_doc *doc = NULL, *old = NULL;
	const char *against = admin_query(rq, "against");
	uint64_t number, from = 0;
	char *text;

	if (!number_of(rq, rq->param[0], &number) || (against && !number_of(rq, against, &from)))
		return;
	if (!from)
		from = number > 1 ? number - 1 : number;
	if (!revision_open(rq, number, &r, &doc))
		return;
	if (revision_open(rq, from, &q, &old)) {
		text = conf_diff(old, doc);
		admin_reply_text(rq, 200, "application/json-patch+json", text);
		store_revision_free(q);
	}
	base_unref(old);
	base_unref(doc);
	store_revision_free(r);
}

/* ---- rollback, confirmation ---- */
void admin_post_rollback(struct admin_request *rq)
{
	json_t *v = json_object_get(rq->json, "revision");
	char comment[64];
	struct admin_edit e;

	if (!json_is_integer(v) || json_integer_value(v) < 1 || json_object_size(rq->json) != 1) {
		admin_problem_errors(rq, 422, "name the revision to go back to: {\"revision\": n}",
			json_pack("[{s:s, s:s}]", "pointer", "/revision", "message", "must be the number of a revision"), NULL);
		return;
	}
	if (!admin_edit_begin(rq, &e))
		return;
	admin_edit_drop(&e);
	snprintf(comment, sizeof comment, "rollback to revision %lld", (long long)json_integer_value(v));
	admin_roll_back(rq->a, rq, (uint64_t)json_integer_value(v), comment);
}

void admin_post_confirm(struct admin_request *rq)
{
	struct store_pending p;
	struct admin_edit e;
	int err;

	if (!admin_edit_begin(rq, &e)) /* in its turn: a change that sets or reverts may be under way */
		return;
	admin_edit_drop(&e);
	err = store_pending_get(rq->a->p.store, &p);
	if (!err)
		err = store_pending_clear(rq->a->p.store);
	if (err) {
		admin_problem(rq, err == ERR_NOTFOUND ? 409 : 500, err == ERR_NOTFOUND ? "no change waits for a confirmation" : "the confirmation cannot be stored: %s",
			base_strerror(err));
		return;
	}
	admin_revert_watch(rq->a);
	base_log(BASE_INFO, "admin", "revision %llu is confirmed user=%s", (unsigned long long)p.revision, rq->user);
	admin_reply_json(rq, 200, json_pack("{s:I}", "revision", (json_int_t)p.revision));
	admin_etag(rq);
}
