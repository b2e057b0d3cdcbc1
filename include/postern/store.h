/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store: durable state behind one interface: SQLite in STATE/postern.db, written by admin alone.
 * Configuration revisions (with the files that belong to them), CDRs, later users, audit, registrations.
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
/** Newest (number 0) or that one; document and files are malloc'd copies in one block, freed with store_revision_free. ERR_NOTFOUND. */
struct store_revision_full { struct store_revision rev; struct slice document; struct store_file *files; size_t nfiles; };
int store_revision_get(struct store *s, uint64_t number, struct store_revision_full **ret);
void store_revision_free(struct store_revision_full *r);

/* ---- CDRs ---- */
/** Insert JSON CDRs in one transaction; those whose id is there already are left alone. */
int store_cdrs_add(struct store *s, const struct slice *json, size_t n);
/** Newest first. before: exclusive cursor (0 = from the newest). cb returns false to stop. */
int store_cdrs_each(struct store *s, uint64_t before, size_t limit, bool (*cb)(void *arg, uint64_t cursor, struct slice json), void *arg);
/** malloc'd JSON; ERR_NOTFOUND. */
int store_cdr_get(struct store *s, const char *id, char **ret_json);

#endif
