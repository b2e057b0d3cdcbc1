/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CDRs: JSON texts in the order in which the engine ended the calls. The text is stored as it came; only its `id` is looked for, so that a
 * batch that is inserted twice has no effect, and its nesting is checked, so that one bad text cannot spoil a list. At most CDRS_MAX are
 * kept: then the oldest leave, which is said once. Does not know the other fields.
 */
#include <errno.h>
#include <stdlib.h>

#include "store/store.h"

#define CDRS_MAX   4000000
#define PRUNE_STEP 4096

/* ---- a look over the text: strings and nesting, the value of the outermost `id` ---- */
struct scan { const char *p, *end; };

/** The string whose opening quote is at p: its raw content; false where it does not end or holds a control character. */
static bool scan_string(struct scan *s, struct slice *ret)
{
	const char *from = ++s->p;

	for (; s->p < s->end && *s->p != '"'; s->p++) {
		if ((unsigned char)*s->p < 0x20)
			return false;
		if (*s->p == '\\' && ++s->p == s->end)
			return false;
	}
	if (s->p >= s->end)
		return false;
	*ret = (struct slice){ from, (size_t)(s->p++ - from) };
	return true;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static char next_char(struct scan *s)
{
	while (s->p < s->end && is_space(*s->p))
		s->p++;
	return s->p < s->end ? *s->p : 0;
}

struct look {
	struct scan s;
	char open[64];             /* the brackets that are to come */
	size_t depth;
	struct slice key, id;
};

/** A string: a key of the outermost object, or its `id`. */
static bool look_string(struct look *l)
{
	struct slice text;

	if (!scan_string(&l->s, &text))
		return false;
	if (l->depth == 1 && next_char(&l->s) == ':')
		l->key = text;
	else if (l->depth == 1 && slice_eq(l->key, SLICE("id")) && slice_empty(l->id))
		l->id = text;
	return true;
}

static bool look_bracket(struct look *l, char c)
{
	if (c == '{' || c == '[') {
		if (l->depth == sizeof l->open)
			return false;
		l->open[l->depth++] = c == '{' ? '}' : ']';
	} else if (c == '}' || c == ']') {
		return l->depth && l->open[--l->depth] == c;
	}
	return true;
}

/** One object from start to end, brackets balanced; ret_id stays empty where the outermost object has no string `id`. */
static bool cdr_scan(struct slice json, struct slice *ret_id)
{
	struct look l = { .s = { json.p, json.p + json.n }, .key = { "", 0 }, .id = { "", 0 } };

	if (next_char(&l.s) != '{')
		return false;
	while (l.s.p < l.s.end) {
		if (*l.s.p == '"') {
			if (!look_string(&l))
				return false;
			continue;
		}
		if (!look_bracket(&l, *l.s.p++))
			return false;
		if (l.depth)
			continue;
		*ret_id = l.id;
		return !next_char(&l.s);
	}
	return false;
}

/** Old ones leave in steps, more of them than come in. */
static int prune(struct store *s)
{
	sqlite3_stmt *st = store_stmt_get(s, STORE_CDR_SPAN);
	sqlite3_int64 span;
	int rc;

	if (!st)
		return -EIO;
	rc = sqlite3_step(st);
	span = rc == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
	sqlite3_reset(st);
	if (rc != SQLITE_ROW)
		return store_err(s, "counting the CDRs");
	if (span <= CDRS_MAX)
		return 0;
	if (!s->pruned)
		base_log(BASE_WARN, "store", "more than %d CDRs: from now on the oldest leave", CDRS_MAX);
	s->pruned = true;
	st = store_stmt_get(s, STORE_CDR_PRUNE);
	if (!st)
		return -EIO;
	sqlite3_bind_int64(st, 1, span - CDRS_MAX < PRUNE_STEP ? span - CDRS_MAX : PRUNE_STEP);
	rc = sqlite3_step(st);
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? 0 : store_err(s, "removing the oldest CDRs");
}

int store_cdrs_add(struct store *s, const struct slice *json, size_t n)
{
	sqlite3_stmt *st;
	struct slice id;
	int err;

	if (!n)
		return 0;
	st = store_stmt_get(s, STORE_CDR_ADD);
	if (!st)
		return -EIO;
	err = store_begin(s);
	if (err)
		return err;
	for (size_t i = 0; !err && i < n; i++) {
		if (!cdr_scan(json[i], &id) || slice_empty(id)) {
			base_count(COUNTER_CDR_BAD);
			base_log_limited(BASE_WARN, 1, "store", "a CDR that is no JSON object with an id was dropped bytes=%zu", json[i].n);
			continue;
		}
		store_bind_slice(st, 1, id);
		store_bind_slice(st, 2, json[i]);
		if (sqlite3_step(st) != SQLITE_DONE)
			err = store_err(s, "adding CDRs");
		sqlite3_reset(st);
	}
	sqlite3_clear_bindings(st);
	if (!err)
		err = prune(s);
	return store_end(s, err);
}

int store_cdrs_each(struct store *s, uint64_t before, size_t limit, bool (*cb)(void *arg, uint64_t cursor, struct slice json), void *arg)
{
	sqlite3_stmt *st = store_stmt_get(s, STORE_CDR_EACH);
	int rc;

	if (!st)
		return -EIO;
	sqlite3_bind_int64(st, 1, before && before <= INT64_MAX ? (sqlite3_int64)before : INT64_MAX);
	sqlite3_bind_int64(st, 2, limit <= INT64_MAX ? (sqlite3_int64)limit : INT64_MAX);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW)
		if (!cb(arg, (uint64_t)sqlite3_column_int64(st, 0), store_column(st, 1)))
			break;
	sqlite3_reset(st);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : store_err(s, "reading CDRs");
}

int store_cdr_get(struct store *s, const char *id, char **ret_json)
{
	sqlite3_stmt *st = store_stmt_get(s, STORE_CDR_GET);
	struct slice v;
	int rc, err = 0;

	if (!st)
		return -EIO;
	sqlite3_bind_text(st, 1, id, -1, SQLITE_STATIC);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		v = store_column(st, 0);
		*ret_json = malloc(v.n + 1);
		if (*ret_json) {
			memcpy(*ret_json, v.p, v.n);
			(*ret_json)[v.n] = 0;
		} else {
			err = -ENOMEM;
		}
	} else {
		err = rc == SQLITE_DONE ? ERR_NOTFOUND : store_err(s, "reading a CDR");
	}
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return err;
}
