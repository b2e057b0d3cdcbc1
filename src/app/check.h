/* SPDX-License-Identifier: Apache-2.0 */
/* app/check: a configuration file from its name to a checked document with its files; used by --check and at every start. */
#ifndef APP_CHECK_H
#define APP_CHECK_H

#include "app/bundle.h"
#include "app/limits.h"

struct conf_doc;
struct conf_errors;

struct app_checked {
	struct app_bundle *bundle;
	struct conf_doc *doc;
	struct app_limits limits;
	struct conf_errors *notes;         /* warnings; NULL: told already */
	char *folder;                      /* that the file lies in; NULL for a document from the store */
};

/**
 * Read, parse and check a configuration file, the files that it names and the limits of this machine.
 * @param state [in] state folder for relative names
 * @return 0, ERR_CONFIG (errs tells), -errno where the file itself cannot be read
 */
int app_check_file(const char *path, const char *state, struct conf_errors *errs, struct app_checked *ret);
/** The same for a revision that is there already; takes a reference. */
int app_check_bundle(struct app_bundle *b, struct conf_errors *errs, struct app_checked *ret);
void app_checked_fini(struct app_checked *c);
/** The warnings as log lines, for a start that goes on. */
void app_check_log(const char *file, const struct conf_errors *errs);
/** `file: /json/pointer: message`, warnings marked, to stderr. */
void app_check_print(const char *file, const struct conf_errors *errs);

#endif
