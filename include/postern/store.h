/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store: durable state behind one interface: SQLite in STATE/postern.db, written by admin alone.
 * Configuration revisions (with the files that belong to them), tokens of users, the audit log, CDRs; later registrations.
 */
#ifndef POSTERN_STORE_H
#define POSTERN_STORE_H

#include "postern/base.h"

struct store;
/** Open or make; upgrades the schema; 0600. ERR_TORN where the database is damaged, with words in the log. */
int store_open(const char *path, struct store **ret);
void store_close(struct store *s);

/* ---- revisions: number, time, user, comment, the document and its files ---- */
struct store_file { const char *kind, *name; struct slice bytes; }; /* kind: certificate, key, policy */
struct store_revision { uint64_t number; int64_t time_ms; const char *user, *comment; };
/** Durable when it returns. */
int store_revision_add(struct store *s, const char *user, const char *comment, struct slice document, const struct store_file *files, size_t nfiles, uint64_t *ret_number);
/**
 * A change that reverts by itself unless it is confirmed: one at a time, `previous` is what it goes back to.
 * It is set, kept or cleared in the transaction of the revision that makes it so.
 */
enum store_pending_step { STORE_PENDING_KEEP, STORE_PENDING_SET, STORE_PENDING_CLEAR };
struct store_pending { uint64_t revision, previous; int64_t deadline_ms; };
struct store_revision_new {
	const char *user, *comment;
	struct slice document;
	const struct store_file *files; size_t nfiles;
	enum store_pending_step step;
	struct store_pending pending;      /* STORE_PENDING_SET: previous and deadline_ms; the revision is this one */
};
/** As store_revision_add, which keeps what is pending. */
int store_revision_put(struct store *s, const struct store_revision_new *n, uint64_t *ret_number);
/** ERR_NOTFOUND where nothing is pending. */
int store_pending_get(struct store *s, struct store_pending *ret);
/** Durable when it returns. ERR_NOTFOUND where nothing was pending. */
int store_pending_clear(struct store *s);
/** Number of the newest; 0: none. */
int store_revision_newest(struct store *s, uint64_t *ret);
/** Newest first, without documents. before: exclusive (0 = from the newest). cb returns false to stop; texts are borrowed during it. */
int store_revisions_each(struct store *s, uint64_t before, size_t limit, bool (*cb)(void *arg, const struct store_revision *r), void *arg);
/** Newest (number 0) or that one; document and files are malloc'd copies in one block, freed with store_revision_free. ERR_NOTFOUND. */
struct store_revision_full { struct store_revision rev; struct slice document; struct store_file *files; size_t nfiles; };
int store_revision_get(struct store *s, uint64_t number, struct store_revision_full **ret);
void store_revision_free(struct store_revision_full *r);

/* ---- tokens of users: hashes alone ---- */
struct store_token { const char *id, *user, *hash; int64_t created_ms, expires_ms, used_ms; }; /* expires 0: never; used 0: never */
/** ERR_EXISTS where id or hash is there. Durable when it returns. */
int store_token_add(struct store *s, const struct store_token *t);
/** ERR_NOTFOUND. Durable when it returns. */
int store_token_del(struct store *s, const char *user, const char *id);
/** By its hash. ERR_NOTFOUND. */
struct store_token_known { char id[33], user[64]; int64_t expires_ms, used_ms; };
int store_token_get(struct store *s, const char *hash, struct store_token_known *ret);
/** Note the time of its last use. */
int store_token_used(struct store *s, const char *id, int64_t at_ms);
/** All of a user (NULL: of all users), oldest first; cb returns false to stop, texts are borrowed during it. */
int store_tokens_each(struct store *s, const char *user, bool (*cb)(void *arg, const struct store_token *t), void *arg);

/* ---- the audit log: writes and logins; the oldest leave where there are more than STORE_AUDIT_MOST, of those of nobody (failed logins) before ---- */
#define STORE_AUDIT_MOST 100000
#define STORE_AUDIT_NOBODY_MOST 10000  /* so that guessing does not wash out what users did */
struct store_audit { uint64_t seq; int64_t time_ms; const char *user, *address, *action, *detail; int status; };
/** Texts are copied; seq is the database's. */
int store_audit_add(struct store *s, const struct store_audit *e);
/** Newest first; before and cb as in store_revisions_each. */
int store_audit_each(struct store *s, uint64_t before, size_t limit, bool (*cb)(void *arg, const struct store_audit *e), void *arg);

/* ---- CDRs ---- */
/** Insert JSON CDRs in one transaction; those whose id is there already are left alone. */
int store_cdrs_add(struct store *s, const struct slice *json, size_t n);
/** Newest first. before: exclusive cursor (0 = from the newest). cb returns false to stop. */
int store_cdrs_each(struct store *s, uint64_t before, size_t limit, bool (*cb)(void *arg, uint64_t cursor, struct slice json), void *arg);
/** malloc'd JSON; ERR_NOTFOUND. */
int store_cdr_get(struct store *s, const char *id, char **ret_json);

#endif
