/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Revisions of the configuration: the document as it was written and the files that belong to it. They are only ever added.
 */
#include <errno.h>
#include <stdlib.h>

#include "store/store.h"

static int file_add(struct store *s, sqlite3_int64 number, const struct store_file *f)
{
	sqlite3_stmt *st = store_stmt_get(s, STORE_FILE_ADD);
	int rc;

	if (!st)
		return -EIO;
	sqlite3_bind_int64(st, 1, number);
	sqlite3_bind_text(st, 2, f->kind, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 3, f->name, -1, SQLITE_STATIC);
	sqlite3_bind_blob64(st, 4, f->bytes.p ? f->bytes.p : "", f->bytes.n, SQLITE_STATIC);
	rc = sqlite3_step(st);
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return rc == SQLITE_DONE ? 0 : store_err(s, "adding a file of a revision");
}

static int revision_insert(struct store *s, const char *user, const char *comment, struct slice document, sqlite3_int64 *ret)
{
	sqlite3_stmt *st = store_stmt_get(s, STORE_REVISION_ADD);
	int rc;

	if (!st)
		return -EIO;
	sqlite3_bind_int64(st, 1, base_wall_ms());
	sqlite3_bind_text(st, 2, user ? user : "", -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 3, comment ? comment : "", -1, SQLITE_STATIC);
	sqlite3_bind_blob64(st, 4, document.p ? document.p : "", document.n, SQLITE_STATIC);
	rc = sqlite3_step(st);
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	if (rc != SQLITE_DONE)
		return store_err(s, "adding a revision");
	*ret = sqlite3_last_insert_rowid(s->db);
	return 0;
}

/* ---- what reverts by itself ---- */
static int pending_step(struct store *s, const struct store_revision_new *n, sqlite3_int64 number)
{
	sqlite3_stmt *st;
	int err;

	if (n->step == STORE_PENDING_KEEP)
		return 0;
	err = store_stmt_run(s, STORE_PENDING_DEL);
	if (err || n->step == STORE_PENDING_CLEAR)
		return err;
	st = store_stmt_get(s, STORE_PENDING_ADD);
	if (!st)
		return -EIO;
	sqlite3_bind_int64(st, 1, number);
	sqlite3_bind_int64(st, 2, (sqlite3_int64)n->pending.previous);
	sqlite3_bind_int64(st, 3, n->pending.deadline_ms);
	return store_step(s, st, "adding what waits for a confirmation");
}

int store_pending_get(struct store *s, struct store_pending *ret)
{
	sqlite3_stmt *st = store_stmt_get(s, STORE_PENDING_ONE);
	int rc, err = 0;

	if (!st)
		return -EIO;
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*ret = (struct store_pending){ (uint64_t)sqlite3_column_int64(st, 0), (uint64_t)sqlite3_column_int64(st, 1), sqlite3_column_int64(st, 2) };
	else
		err = rc == SQLITE_DONE ? ERR_NOTFOUND : store_err(s, "reading what waits for a confirmation");
	sqlite3_reset(st);
	return err;
}

int store_pending_clear(struct store *s)
{
	int err = store_stmt_run(s, STORE_SYNC_FULL);

	if (!err)
		err = store_stmt_run(s, STORE_PENDING_DEL);
	if (!err && !sqlite3_changes(s->db))
		err = ERR_NOTFOUND;
	store_stmt_run(s, STORE_SYNC_NORMAL);
	return err;
}

int store_revision_put(struct store *s, const struct store_revision_new *n, uint64_t *ret_number)
{
	sqlite3_int64 number = 0;
	int err = store_stmt_run(s, STORE_SYNC_FULL);

	if (err)
		return err;
	err = store_begin(s);
	if (!err) {
		err = revision_insert(s, n->user, n->comment, n->document, &number);
		for (size_t i = 0; !err && i < n->nfiles; i++)
			err = file_add(s, number, &n->files[i]);
		if (!err)
			err = pending_step(s, n, number);
		err = store_end(s, err);
	}
	store_stmt_run(s, STORE_SYNC_NORMAL);
	if (!err)
		*ret_number = (uint64_t)number;
	return err;
}

int store_revision_add(struct store *s, const char *user, const char *comment, struct slice document, const struct store_file *files, size_t nfiles, uint64_t *ret_number)
{
	return store_revision_put(s, &(struct store_revision_new){ .user = user, .comment = comment, .document = document, .files = files, .nfiles = nfiles }, ret_number);
}

/* ---- the list ---- */
int store_revisions_each(struct store *s, uint64_t before, size_t limit, bool (*cb)(void *arg, const struct store_revision *r), void *arg)
{
	sqlite3_stmt *st = store_stmt_get(s, STORE_REVISIONS_EACH);
	int rc;

	if (!st)
		return -EIO;
	sqlite3_bind_int64(st, 1, before && before < INT64_MAX ? (sqlite3_int64)before : INT64_MAX);
	sqlite3_bind_int64(st, 2, (sqlite3_int64)limit);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct store_revision r = { (uint64_t)sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1),
			(const char *)sqlite3_column_text(st, 2), (const char *)sqlite3_column_text(st, 3) };

		if (!cb(arg, &r))
			break;
	}
	sqlite3_reset(st);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : store_err(s, "reading revisions");
}

static bool newest(void *arg, const struct store_revision *r)
{
	*(uint64_t *)arg = r->number;
	return false;
}

int store_revision_newest(struct store *s, uint64_t *ret)
{
	*ret = 0;
	return store_revisions_each(s, 0, 1, newest, ret);
}

/* ---- reading: everything goes into one block, counted first, then filled ---- */
struct block {
	char *p;               /* NULL while counting */
	size_t n;
};

static const char *block_put(struct block *b, struct slice v)
{
	char *at = b->p ? b->p + b->n : NULL;

	if (at) {
		memcpy(at, v.p, v.n);
		at[v.n] = 0;
	}
	b->n += v.n + 1;
	return at;
}

static void block_head(struct block *b, sqlite3_stmt *st, struct store_revision_full *r)
{
	struct slice doc = store_column(st, 4);

	r->rev.number = (uint64_t)sqlite3_column_int64(st, 0);
	r->rev.time_ms = sqlite3_column_int64(st, 1);
	r->rev.user = block_put(b, store_column(st, 2));
	r->rev.comment = block_put(b, store_column(st, 3));
	r->document = (struct slice){ block_put(b, doc), doc.n };
}

static int block_files(struct store *s, struct block *b, struct store_revision_full *r, size_t room)
{
	sqlite3_stmt *st = store_stmt_get(s, STORE_FILES_GET);
	size_t n = 0;
	int rc;

	if (!st)
		return -EIO;
	sqlite3_bind_int64(st, 1, (sqlite3_int64)r->rev.number);
	for (; (rc = sqlite3_step(st)) == SQLITE_ROW; n++) {
		struct slice bytes = store_column(st, 2);
		struct store_file f = { .kind = block_put(b, store_column(st, 0)), .name = block_put(b, store_column(st, 1)), .bytes = { block_put(b, bytes), bytes.n } };

		if (b->p && n < room)
			r->files[n] = f;
	}
	sqlite3_reset(st);
	r->nfiles = n;
	return rc == SQLITE_DONE ? 0 : store_err(s, "reading the files of a revision");
}

static int revision_read(struct store *s, sqlite3_stmt *st, struct store_revision_full **ret)
{
	struct store_revision_full count = { 0 }, *r;
	struct block b = { 0 };
	size_t head, nfiles;
	int err;

	block_head(&b, st, &count);
	err = block_files(s, &b, &count, 0);
	if (err)
		return err;
	nfiles = count.nfiles;
	head = sizeof *r + nfiles * sizeof *r->files;
	r = malloc(head + b.n);
	if (!r)
		return -ENOMEM;
	*r = (struct store_revision_full){ .files = (struct store_file *)(void *)(r + 1) };
	b = (struct block){ (char *)r + head, 0 };
	block_head(&b, st, r);
	err = block_files(s, &b, r, nfiles);
	if (err) {
		free(r);
		return err;
	}
	*ret = r;
	return 0;
}

int store_revision_get(struct store *s, uint64_t number, struct store_revision_full **ret)
{
	sqlite3_stmt *st = store_stmt_get(s, number ? STORE_REVISION_GET : STORE_REVISION_NEWEST);
	int rc, err;

	if (!st)
		return -EIO;
	if (number > INT64_MAX)
		return ERR_NOTFOUND;
	if (number)
		sqlite3_bind_int64(st, 1, (sqlite3_int64)number);
	/* one read transaction around both statements: what was counted is what is copied */
	rc = sqlite3_step(st);
	err = rc == SQLITE_ROW ? revision_read(s, st, ret) : rc == SQLITE_DONE ? ERR_NOTFOUND : store_err(s, "reading a revision");
	sqlite3_reset(st);
	return err;
}

void store_revision_free(struct store_revision_full *r)
{
	free(r);
}
