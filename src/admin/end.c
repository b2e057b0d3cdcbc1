/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ending many calls by a filter: found in the mapped memory, told to the engine in portions.
 */
#include <stdlib.h>

#include "admin/admin.h"

#define PAGE  1000
#define MOST  20000
#define SHOWN 1000

static bool refuse(struct admin_request *rq, const char *pointer, const char *message)
{
	admin_problem_errors(rq, 422, "send {\"filter\": {number, trunk, state, age}, \"dry_run\": true or false}",
		json_pack("[{s:s, s:s}]", "pointer", pointer, "message", message), NULL);
	return false;
}

/** One key of the filter. */
static bool filter_key(struct admin_request *rq, const char *key, json_t *v, struct ctl_call_filter *f)
{
	const char *text = json_string_value(v);

	if (!strcmp(key, "age")) {
		f->min_age_s = json_integer_value(v);
		return (json_is_integer(v) && f->min_age_s >= 0) || refuse(rq, "/filter/age", "must be a number of seconds");
	}
	if (!text || !*text)
		return refuse(rq, "/filter", "values are text, age is a number");
	if (!strcmp(key, "number"))
		f->number = text;
	else if (!strcmp(key, "trunk"))
		f->trunk = text;
	else if (!strcmp(key, "state"))
		return admin_state_check(rq, text, 422) && (f->state = text);
	else
		return refuse(rq, "/filter", "has the keys number, trunk, state and age");
	return true;
}

static bool body_read(struct admin_request *rq, struct ctl_call_filter *f, bool *dry_run)
{
	json_t *filter = json_object_get(rq->json, "filter"), *dry = json_object_get(rq->json, "dry_run"), *v;
	const char *key;

	if (!json_is_object(filter) || !json_object_size(filter))
		return refuse(rq, "/filter", "must name at least one thing: ending all calls is for a drain");
	if (json_object_size(rq->json) != 1u + (dry != NULL) || (dry && !json_is_boolean(dry)))
		return refuse(rq, "/dry_run", "beside filter there is dry_run alone, true or false");
	json_object_foreach(filter, key, v)
		if (!filter_key(rq, key, v, f))
			return false;
	*dry_run = json_is_true(dry);
	return true;
}

/** Ids of all calls that fit. */
static json_t *ids_of(const struct admin *a, const struct ctl_call_filter *f)
{
	struct ctl_maps m = admin_maps(a, NULL);
	json_t *ids = json_array(), *page, *c;
	char *after = NULL;
	const char *next;
	size_t i;

	do {
		page = ctl_render_calls(&m, f, after, PAGE);
		json_array_foreach(json_object_get(page, "items"), i, c)
			json_array_append(ids, json_object_get(c, "id"));
		next = json_string_value(json_object_get(page, "next"));
		free(after);
		after = next ? base_dup(slice_str(next)) : NULL;
		json_decref(page);
	} while (after && json_array_size(ids) < MOST);
	free(after);
	return ids;
}

void admin_post_calls_end(struct admin_request *rq)
{
	struct ctl_call_filter f = { 0 };
	bool dry_run = false;
	json_t *ids, *items = json_array();
	size_t n;

	if (!body_read(rq, &f, &dry_run)) {
		json_decref(items);
		return;
	}
	ids = ids_of(rq->a, &f);
	n = json_array_size(ids);
	for (size_t i = 0; i < n && i < SHOWN; i++)
		json_array_append(items, json_array_get(ids, i));
	if (!dry_run && n)
		base_log(BASE_INFO, "admin", "calls are ended by the API calls=%zu", n);
	if (dry_run || admin_engine_end(rq->a, ids))
		admin_reply_json(rq, 200, json_pack("{s:I, s:O, s:b}", "count", (json_int_t)n, "items", items, "dry_run", dry_run));
	else
		admin_problem(rq, 503, "the engine cannot be told");
	json_decref(items);
	json_decref(ids);
}
