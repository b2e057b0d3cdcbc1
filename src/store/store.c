/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The database: opening, upgrading its schema, and the statements, which are one table.
 *
 * SQLite in WAL mode. CDRs are committed with synchronous=NORMAL: they outlive the death of the process, the last batch may be lost
 * with the power. Revisions are committed with FULL: on the disk when the call returns. One writer, the admin process; a second one
 * (the loader at start) may overlap for an instant, which the busy timeout covers.
 * Does not know what a configuration or a CDR means.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store.h"

#define BUSY_MS 3000

/* entry n upgrades from user_version n to n + 1; never edit one that was released, add another */
static const char *const migration[] = {
	"CREATE TABLE revision (number INTEGER PRIMARY KEY AUTOINCREMENT, time_ms INTEGER NOT NULL, user TEXT NOT NULL, comment TEXT NOT NULL, document BLOB NOT NULL);"
	"CREATE TABLE file (revision INTEGER NOT NULL REFERENCES revision(number), kind TEXT NOT NULL, name TEXT NOT NULL, bytes BLOB NOT NULL,"
	" PRIMARY KEY (revision, kind, name)) WITHOUT ROWID;"
	"CREATE TABLE cdr (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, json TEXT NOT NULL);",
	"CREATE TABLE pending (one INTEGER PRIMARY KEY CHECK (one = 1), revision INTEGER NOT NULL REFERENCES revision(number),"
	" previous INTEGER NOT NULL REFERENCES revision(number), deadline_ms INTEGER NOT NULL);"
	"CREATE TABLE token (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, user TEXT NOT NULL, hash TEXT NOT NULL UNIQUE,"
	" created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL, used_ms INTEGER NOT NULL);"
	"CREATE TABLE audit (seq INTEGER PRIMARY KEY AUTOINCREMENT, time_ms INTEGER NOT NULL, user TEXT NOT NULL, address TEXT NOT NULL, action TEXT NOT NULL,"
	" detail TEXT NOT NULL, status INTEGER NOT NULL);",
};

static const char *const sql[STORE_STMTS] = {
	[STORE_BEGIN]           = "BEGIN IMMEDIATE",
	[STORE_COMMIT]          = "COMMIT",
	[STORE_ROLLBACK]        = "ROLLBACK",
	[STORE_SYNC_FULL]       = "PRAGMA synchronous=FULL",
	[STORE_SYNC_NORMAL]     = "PRAGMA synchronous=NORMAL",
	[STORE_REVISION_ADD]    = "INSERT INTO revision (time_ms, user, comment, document) VALUES (?1, ?2, ?3, ?4)",
	[STORE_FILE_ADD]        = "INSERT INTO file (revision, kind, name, bytes) VALUES (?1, ?2, ?3, ?4)",
	[STORE_REVISION_GET]    = "SELECT number, time_ms, user, comment, document FROM revision WHERE number = ?1",
	[STORE_REVISION_NEWEST] = "SELECT number, time_ms, user, comment, document FROM revision ORDER BY number DESC LIMIT 1",
	[STORE_FILES_GET]       = "SELECT kind, name, bytes FROM file WHERE revision = ?1 ORDER BY kind, name",
	[STORE_REVISIONS_EACH]  = "SELECT number, time_ms, user, comment FROM revision WHERE number < ?1 ORDER BY number DESC LIMIT ?2",
	[STORE_PENDING_DEL]     = "DELETE FROM pending",
	[STORE_PENDING_ADD]     = "INSERT INTO pending (one, revision, previous, deadline_ms) VALUES (1, ?1, ?2, ?3)",
	[STORE_PENDING_ONE]     = "SELECT revision, previous, deadline_ms FROM pending",
	[STORE_TOKEN_ADD]       = "INSERT INTO token (id, user, hash, created_ms, expires_ms, used_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	[STORE_TOKEN_DEL]       = "DELETE FROM token WHERE user = ?1 AND id = ?2",
	[STORE_TOKEN_USED]      = "UPDATE token SET used_ms = ?2 WHERE id = ?1",
	[STORE_TOKENS_EACH]     = "SELECT id, user, hash, created_ms, expires_ms, used_ms FROM token WHERE ?1 = '' OR user = ?1 ORDER BY seq",
	[STORE_TOKEN_GET]       = "SELECT id, user, expires_ms, used_ms FROM token WHERE hash = ?1",
	[STORE_AUDIT_ADD]       = "INSERT INTO audit (time_ms, user, address, action, detail, status) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	[STORE_AUDIT_EACH]      = "SELECT seq, time_ms, user, address, action, detail, status FROM audit WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2",
	[STORE_AUDIT_PRUNE]     = "DELETE FROM audit WHERE seq <= (SELECT max(seq) FROM audit) - ?1",
	[STORE_AUDIT_PRUNE_NOBODY] = "DELETE FROM audit WHERE user = '' AND seq <= (SELECT seq FROM audit WHERE user = '' ORDER BY seq DESC LIMIT 1 OFFSET ?1)",
	[STORE_CDR_ADD]         = "INSERT INTO cdr (id, json) VALUES (?1, ?2) ON CONFLICT (id) DO NOTHING",
	[STORE_CDR_EACH]        = "SELECT seq, json FROM cdr WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2",
	[STORE_CDR_GET]         = "SELECT json FROM cdr WHERE id = ?1",
	[STORE_CDR_SPAN]        = "SELECT (SELECT max(seq) FROM cdr) - (SELECT min(seq) FROM cdr) + 1",
	[STORE_CDR_PRUNE]       = "DELETE FROM cdr WHERE seq IN (SELECT seq FROM cdr ORDER BY seq LIMIT ?1)",
};

int store_err(struct store *s, const char *what)
{
	int code = s->db ? sqlite3_errcode(s->db) & 0xff : SQLITE_NOMEM;

	base_log_limited(BASE_ERROR, 5, "store", "%s: %s", what, s->db ? sqlite3_errmsg(s->db) : "no memory");
	switch (code) {
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return ERR_TORN;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_CONSTRAINT:
		return ERR_EXISTS;
	default:
		return -EIO;
	}
}

sqlite3_stmt *store_stmt_get(struct store *s, enum store_stmt which)
{
	sqlite3_stmt *st = s->stmt[which];

	if (st) {
		sqlite3_reset(st);
		return st;
	}
	if (sqlite3_prepare_v3(s->db, sql[which], -1, SQLITE_PREPARE_PERSISTENT, &s->stmt[which], NULL) != SQLITE_OK) {
		store_err(s, sql[which]);
		return NULL;
	}
	return s->stmt[which];
}

int store_stmt_run(struct store *s, enum store_stmt which)
{
	sqlite3_stmt *st = store_stmt_get(s, which);
	int rc;

	if (!st)
		return -EIO;
	rc = sqlite3_step(st);
	sqlite3_reset(st);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : store_err(s, sql[which]);
}

int store_begin(struct store *s)
{
	return store_stmt_run(s, STORE_BEGIN);
}

int store_end(struct store *s, int err)
{
	if (!err)
		err = store_stmt_run(s, STORE_COMMIT);
	/* a failed COMMIT may leave the transaction open; some errors have closed it already */
	if (err && !sqlite3_get_autocommit(s->db))
		store_stmt_run(s, STORE_ROLLBACK);
	return err;
}

int store_bind_slice(sqlite3_stmt *st, int at, struct slice v)
{
	return sqlite3_bind_text64(st, at, v.p ? v.p : "", v.n, SQLITE_STATIC, SQLITE_UTF8);
}

void store_bind_str(sqlite3_stmt *st, int at, const char *v)
{
	sqlite3_bind_text(st, at, v ? v : "", -1, SQLITE_STATIC);
}

int store_step(struct store *s, sqlite3_stmt *st, const char *what)
{
	int rc = sqlite3_step(st), err = rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : store_err(s, what);

	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return err;
}

struct slice store_column(sqlite3_stmt *st, int at)
{
	const void *p = sqlite3_column_blob(st, at);
	int n = sqlite3_column_bytes(st, at);

	return p && n > 0 ? (struct slice){ p, (size_t)n } : (struct slice){ "", 0 };
}

static int version_get(struct store *s, int *ret)
{
	sqlite3_stmt *st = NULL;
	int err = 0;

	if (sqlite3_prepare_v2(s->db, "PRAGMA user_version", -1, &st, NULL) != SQLITE_OK || sqlite3_step(st) != SQLITE_ROW)
		err = store_err(s, "reading the version of the database");
	else
		*ret = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	return err;
}

static int migrate_one(struct store *s, int from)
{
	char pragma[48];
	struct text t = text_on(pragma, sizeof pragma);
	int err = store_begin(s);

	if (err)
		return err;
	text_add(&t, "PRAGMA user_version=%d", from + 1);
	if (sqlite3_exec(s->db, migration[from], NULL, NULL, NULL) != SQLITE_OK || sqlite3_exec(s->db, pragma, NULL, NULL, NULL) != SQLITE_OK)
		err = store_err(s, "upgrading the database");
	return store_end(s, err);
}

static int migrate(struct store *s)
{
	int version = 0, err = version_get(s, &version);

	if (!err && version > (int)ARRAY_LEN(migration)) {
		base_log(BASE_ERROR, "store", "the database has version %d, this build knows up to %d: start the newer build or another --state", version, (int)ARRAY_LEN(migration));
		return ERR_UNSUPPORTED;
	}
	for (; !err && version < (int)ARRAY_LEN(migration); version++)
		err = migrate_one(s, version);
	return err;
}

/** SQLite gives its -wal and -shm the mode of the database file: so that one is made first, for the owner alone. */
static int file_make(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), err = 0;

	if (fd < 0) {
		err = -errno;
		base_log(BASE_ERROR, "store", "cannot open the database path=%s error=\"%s\"", path, base_strerror(err));
		return err;
	}
	if (fchmod(fd, 0600) < 0)
		err = -errno;
	close(fd);
	return err;
}

/**
 * The database lies in the working folder, and the way to it may be closed to this user: SQLite would make an absolute path of the name and follow
 * that. Its own layer above the system, but for names, which stay as they are.
 */
static int name_as_it_is(sqlite3_vfs *vfs, const char *name, int room, char *out)
{
	return slice_copy(out, (size_t)room, slice_str(name)) ? SQLITE_OK : SQLITE_CANTOPEN;
}

static const char *vfs_here(void)
{
	static sqlite3_vfs here; /* registered for the life of the process */
	const sqlite3_vfs *unix_vfs = sqlite3_vfs_find(NULL);

	if (!here.zName && unix_vfs) {
		here = *unix_vfs;
		here.pNext = NULL;
		here.zName = "postern";
		here.xFullPathname = name_as_it_is;
		sqlite3_vfs_register(&here, 0);
	}
	return here.zName;
}

static void store_destroy(void *obj)
{
	struct store *s = obj;

	for (size_t i = 0; i < STORE_STMTS; i++)
		sqlite3_finalize(s->stmt[i]);
	sqlite3_close(s->db);
}

int store_open(const char *path, struct store **ret)
{
	static const char setup[] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF; PRAGMA journal_size_limit=67108864; PRAGMA wal_autocheckpoint=4000; PRAGMA cache_size=-16384;";
	struct store *s;
	int err = file_make(path);

	if (err)
		return err;
	s = base_new(sizeof *s, store_destroy);
	if (!s)
		return -ENOMEM;
	if (sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, vfs_here()) != SQLITE_OK) {
		err = store_err(s, path);
		goto out;
	}
	sqlite3_busy_timeout(s->db, BUSY_MS);
	if (sqlite3_exec(s->db, setup, NULL, NULL, NULL) != SQLITE_OK) {
		err = store_err(s, path);
		goto out;
	}
	err = migrate(s);
out:
	if (err == ERR_TORN)
		base_log(BASE_ERROR, "store", "the database is damaged path=%s: put a backup in its place, or move it away to start anew", path);
	if (err) {
		base_unref(s);
		return err;
	}
	*ret = s;
	return 0;
}

void store_close(struct store *s)
{
	base_unref(s);
}
