/* SPDX-License-Identifier: Apache-2.0 */
/* app/load: `postern-admin --load`, the one-shot that finds or makes the revision in force, and how the supervisor runs it. */
#ifndef APP_LOAD_H
#define APP_LOAD_H

#include "app/bundle.h"
#include "app/spawn.h"

struct app_terms;
struct store;
struct store_file;

#define APP_LOAD_DATABASE "postern.db" /* in the state folder, which is the working folder of admin */
#define APP_LOAD_NONE 3               /* exit code: neither a revision nor a document to import */

/** The child's side: what came is on APP_CHAN_FD, what goes is written to APP_CHAN_FD + 1. @return exit code */
int app_load_main(void);
/** Make a revision of a bundle: what --load imports, what SIGHUP has read again, what the API wrote. */
int app_load_store(struct store *s, const struct app_terms *terms, const struct app_bundle *b, uint64_t *ret_number);
/** A bundle of what the store has: files of kind `origin` become origins. */
int app_load_bundle(uint64_t number, struct slice document, const struct store_file *files, size_t n, struct app_bundle **ret);

/**
 * The supervisor's side. Blocks until it is done.
 * @param state [in]  descriptor of the state folder
 * @param given [in]  what --config says, or NULL
 * @param ret   [out] the revision in force
 * @return 0; ERR_NOTFOUND: no revision and none given; ERR_TORN or -EIO: the database cannot be used (logged)
 */
int app_load_run(int exe, int state, const struct app_user *user, const struct app_bundle *given, struct app_bundle **ret);

#endif
