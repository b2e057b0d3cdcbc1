/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store, private: the connection, its statements, and the helpers that its files share.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <sqlite3.h>

#include "postern/store.h"

/* every statement that the store ever runs; prepared on first use and kept */
enum store_stmt {
	STORE_BEGIN, STORE_COMMIT, STORE_ROLLBACK,
	STORE_SYNC_FULL, STORE_SYNC_NORMAL,
	STORE_REVISION_ADD, STORE_FILE_ADD, STORE_REVISION_GET, STORE_REVISION_NEWEST, STORE_FILES_GET,
	STORE_REVISIONS_EACH, STORE_PENDING_DEL, STORE_PENDING_ADD, STORE_PENDING_ONE,
	STORE_TOKEN_ADD, STORE_TOKEN_DEL, STORE_TOKEN_USED, STORE_TOKENS_EACH, STORE_TOKEN_GET,
	STORE_AUDIT_ADD, STORE_AUDIT_EACH, STORE_AUDIT_PRUNE, STORE_AUDIT_PRUNE_NOBODY,
	STORE_CDR_ADD, STORE_CDR_EACH, STORE_CDR_GET, STORE_CDR_SPAN, STORE_CDR_PRUNE,
	STORE_STMTS
};

struct store {
	sqlite3 *db;
	sqlite3_stmt *stmt[STORE_STMTS];
	bool pruned;               /* it was said once that old CDRs leave */
};

/** The statement, reset and ready to bind; NULL (logged) where SQLite cannot prepare it. */
sqlite3_stmt *store_stmt_get(struct store *s, enum store_stmt which);
/** Run a statement without rows. 0 or an error code as store_err. */
int store_stmt_run(struct store *s, enum store_stmt which);
/** SQLite's last error as one of ours; logged, at most five a second. */
int store_err(struct store *s, const char *what);
/** A transaction; end commits where err is 0, else rolls back, and returns the outcome. */
int store_begin(struct store *s);
int store_end(struct store *s, int err);
int store_bind_slice(sqlite3_stmt *st, int at, struct slice v);
/** Bind terminated text (NULL: empty). */
void store_bind_str(sqlite3_stmt *st, int at, const char *v);
/** Run what is bound, once, and forget the bindings. 0 or an error code as store_err. */
int store_step(struct store *s, sqlite3_stmt *st, const char *what);
/** A column as text or bytes; borrowed until the next step. */
struct slice store_column(sqlite3_stmt *st, int at);

#endif
