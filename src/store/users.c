/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens of users, as hashes, and the audit log. Who may do what is not known here.
 */
#include <errno.h>

#include "store/store.h"

/* ---- tokens ---- */
static int durable(struct store *s, sqlite3_stmt *st, const char *what)
{
	int err = store_step(s, st, what);

	store_stmt_run(s, STORE_SYNC_NORMAL);
	return err;
}

int store_token_add(struct store *s, const struct store_token *t)
{
	int err = store_stmt_run(s, STORE_SYNC_FULL);
	sqlite3_stmt *st = err ? NULL : store_stmt_get(s, STORE_TOKEN_ADD);

	if (!st)
		return err ? err : -EIO;
	store_bind_str(st, 1, t->id);
	store_bind_str(st, 2, t->user);
	store_bind_str(st, 3, t->hash);
	sqlite3_bind_int64(st, 4, t->created_ms);
	sqlite3_bind_int64(st, 5, t->expires_ms);
	sqlite3_bind_int64(st, 6, t->used_ms);
	return durable(s, st, "adding a token");
}

int store_token_del(struct store *s, const char *user, const char *id)
{
	int err = store_stmt_run(s, STORE_SYNC_FULL);
	sqlite3_stmt *st = err ? NULL : store_stmt_get(s, STORE_TOKEN_DEL);

	if (!st)
		return err ? err : -EIO;
	store_bind_str(st, 1, user);
	store_bind_str(st, 2, id);
	err = durable(s, st, "removing a token");
	return err ? err : sqlite3_changes(s->db) ? 0 : ERR_NOTFOUND;
}

int store_token_used(struct store *s, const char *id, int64_t at_ms)
{
	sqlite3_stmt *st = store_stmt_get(s, STORE_TOKEN_USED);

	if (!st)
		return -EIO;
	store_bind_str(st, 1, id);
	sqlite3_bind_int64(st, 2, at_ms);
	return store_step(s, st, "noting the use of a token");
}

static const char *str(sqlite3_stmt *st, int at)
{
	const char *v = (const char *)sqlite3_column_text(st, at);

	return v ? v : "";
}

int store_token_get(struct store *s, const char *hash, struct store_token_known *ret)
{
	sqlite3_stmt *st = store_stmt_get(s, STORE_TOKEN_GET);
	int rc, err = 0;

	if (!st)
		return -EIO;
	store_bind_str(st, 1, hash);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		slice_copy(ret->id, sizeof ret->id, slice_str(str(st, 0)));
		slice_copy(ret->user, sizeof ret->user, slice_str(str(st, 1)));
		ret->expires_ms = sqlite3_column_int64(st, 2);
		ret->used_ms = sqlite3_column_int64(st, 3);
	} else {
		err = rc == SQLITE_DONE ? ERR_NOTFOUND : store_err(s, "looking for a token");
	}
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return err;
}

int store_tokens_each(struct store *s, const char *user, bool (*cb)(void *arg, const struct store_token *t), void *arg)
{
	sqlite3_stmt *st = store_stmt_get(s, STORE_TOKENS_EACH);
	int rc;

	if (!st)
		return -EIO;
	store_bind_str(st, 1, user);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct store_token t = { str(st, 0), str(st, 1), str(st, 2), sqlite3_column_int64(st, 3), sqlite3_column_int64(st, 4), sqlite3_column_int64(st, 5) };

		if (!cb(arg, &t))
			break;
	}
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : store_err(s, "reading tokens");
}

/* ---- audit ---- */
static int prune(struct store *s, enum store_stmt which, int64_t most)
{
	sqlite3_stmt *st = store_stmt_get(s, which);

	if (!st)
		return -EIO;
	sqlite3_bind_int64(st, 1, most);
	return store_step(s, st, "shortening the audit log");
}

int store_audit_add(struct store *s, const struct store_audit *e)
{
	sqlite3_stmt *st = store_stmt_get(s, STORE_AUDIT_ADD);
	int err;

	if (!st)
		return -EIO;
	sqlite3_bind_int64(st, 1, e->time_ms);
	store_bind_str(st, 2, e->user);
	store_bind_str(st, 3, e->address);
	store_bind_str(st, 4, e->action);
	store_bind_str(st, 5, e->detail);
	sqlite3_bind_int(st, 6, e->status);
	err = store_step(s, st, "adding to the audit log");
	if (err || sqlite3_last_insert_rowid(s->db) % 256)
		return err;
	err = prune(s, STORE_AUDIT_PRUNE_NOBODY, STORE_AUDIT_NOBODY_MOST);
	return err ? err : prune(s, STORE_AUDIT_PRUNE, STORE_AUDIT_MOST);
}

int store_audit_each(struct store *s, uint64_t before, size_t limit, bool (*cb)(void *arg, const struct store_audit *e), void *arg)
{
	sqlite3_stmt *st = store_stmt_get(s, STORE_AUDIT_EACH);
	int rc;

	if (!st)
		return -EIO;
	sqlite3_bind_int64(st, 1, before && before < INT64_MAX ? (sqlite3_int64)before : INT64_MAX);
	sqlite3_bind_int64(st, 2, (sqlite3_int64)limit);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct store_audit e = { (uint64_t)sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1), str(st, 2), str(st, 3), str(st, 4), str(st, 5), sqlite3_column_int(st, 6) };

		if (!cb(arg, &e))
			break;
	}
	sqlite3_reset(st);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : store_err(s, "reading the audit log");
}
