/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens of users: made here, shown once, kept as hashes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "admin/admin.h"
#include "postern/keys.h"
#include "postern/store.h"

#define TOKENS_MOST 100               /* of a user */

/* ---- tokens ---- */
static bool user_check(struct admin_request *rq)
{
	if (rq->a->doc && conf_find(rq->a->doc, &ctl_schema_users, rq->param[0]))
		return true;
	admin_problem(rq, 404, "there is no user \"%.64s\"", rq->param[0]);
	return false;
}

static json_t *time_json(int64_t ms)
{
	char buf[32];

	return ms ? json_string(base_time_rfc3339(ms, buf)) : json_null();
}

static bool token_add(void *arg, const struct store_token *t)
{
	json_array_append_new(arg, json_pack("{s:s, s:o, s:o, s:o}", "id", t->id, "created", time_json(t->created_ms), "expires", time_json(t->expires_ms),
		"last_used", time_json(t->used_ms)));
	return true;
}

void admin_get_tokens(struct admin_request *rq)
{
	json_t *all;
	int err;

	if (!user_check(rq))
		return;
	all = json_array();
	err = store_tokens_each(rq->a->p.store, rq->param[0], token_add, all);
	if (err)
		admin_problem(rq, 500, "the database cannot be read: %s", base_strerror(err));
	else
		admin_reply_array(rq, all);
	json_decref(all);
}

static bool is_given(json_t *v)
{
	return v && !json_is_null(v);
}

static const char *unknown_key(json_t *body)
{
	const char *key;
	json_t *v;

	json_object_foreach(body, key, v)
		if (strcmp(key, "expires") && strcmp(key, "expires_in"))
			return key;
	return NULL;
}

/** `expires` (a time) or `expires_in` (seconds) of the body; 0: never. false: answered. */
static bool expiry(struct admin_request *rq, int64_t now, int64_t *ret)
{
	json_t *at = json_object_get(rq->json, "expires"), *in = json_object_get(rq->json, "expires_in");
	const char *odd = unknown_key(rq->json);

	*ret = 0;
	if (json_is_string(at))
		*ret = base_time_parse(slice_str(json_string_value(at)));
	else if (json_is_integer(in) && json_integer_value(in) <= 3650LL * 86400)
		*ret = now + json_integer_value(in) * 1000;
	if (!odd && (is_given(at) + is_given(in) == 0 || (is_given(at) + is_given(in) == 1 && *ret > now)))
		return true;
	admin_problem_errors(rq, 422, "a token takes \"expires\" (a time to come, RFC 3339 in UTC) or \"expires_in\" (seconds)",
		json_pack("[{s:o, s:s}]", "pointer", json_sprintf("/%.64s", odd ? odd : is_given(at) ? "expires" : "expires_in"), "message",
			odd ? "is unknown" : "is no time to come"), NULL);
	return false;
}

static bool count(void *arg, const struct store_token *t)
{
	++*(unsigned *)arg;
	return true;
}

void admin_post_token(struct admin_request *rq)
{
	char id[17], token[44], hash[65];
	struct store_token t = { .id = id, .user = rq->param[0], .hash = hash, .created_ms = base_wall_ms() };
	unsigned n = 0;
	int err;

	if (!user_check(rq) || !expiry(rq, t.created_ms, &t.expires_ms))
		return;
	store_tokens_each(rq->a->p.store, t.user, count, &n);
	if (n >= TOKENS_MOST) {
		admin_problem(rq, 409, "a user has at most %d tokens: remove one first", TOKENS_MOST);
		return;
	}
	base_random_token(id, sizeof id);
	keys_token_new(token);
	keys_token_hash(slice_str(token), hash);
	err = store_token_add(rq->a->p.store, &t);
	if (err)
		admin_problem(rq, err == -ENOSPC ? 507 : 500, "the token cannot be stored: %s", base_strerror(err));
	else
		admin_reply_json(rq, 201, json_pack("{s:s, s:s, s:o, s:o, s:n}", "id", id, "token", token, "created", time_json(t.created_ms), "expires",
			time_json(t.expires_ms), "last_used"));
	explicit_bzero(token, sizeof token);
}

void admin_delete_token(struct admin_request *rq)
{
	int err = store_token_del(rq->a->p.store, rq->param[0], rq->param[1]);

	if (!err)
		admin_reply_empty(rq, 204);
	else
		admin_problem(rq, err == ERR_NOTFOUND ? 404 : 500, err == ERR_NOTFOUND ? "the user has no such token" : "the token cannot be removed");
}
