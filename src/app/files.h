/* SPDX-License-Identifier: Apache-2.0 */
/*
 * app/files: the certificate, key and policy files that a document names: which, where they are, reading them, checking them.
 * Used by the supervisor alone: roles get bytes.
 */
#ifndef APP_FILES_H
#define APP_FILES_H

#include "app/bundle.h"

struct conf_doc;
struct conf_errors;

/** Where relative names are looked for. */
struct app_places {
	const char *beside;                /* folder of the configuration file, or NULL */
	const char *state;                 /* state folder: its certificates/ and policies/ */
};

/** Read a regular file of at most APP_FILE_MAX bytes; malloc'd, with a NUL after the end. -errno, ERR_RANGE. */
int app_file_read(const char *path, struct slice *ret);

/**
 * All files that the document names, read, with the document, as a bundle.
 * @param errs [inout] one error per file that cannot be read, at its pointer
 * @return 0, ERR_CONFIG where errs got errors, -ENOMEM
 */
int app_files_import(const struct conf_doc *doc, struct slice text, const struct app_places *at, struct conf_errors *errs,
	struct app_bundle **ret);

/** The same revision with each file read again: where it was imported from, else the copy in the state folder, else as it is. */
int app_files_again(const struct conf_doc *doc, const struct app_bundle *old, const struct app_places *at, struct conf_errors *errs,
	struct app_bundle **ret);

/**
 * The revision that the API wants: files that it has stay as they are, others are taken from the state folder alone.
 * @param known [in] the revision in force: a file keeps its place of origin only where this one says the same
 */
int app_files_complete(const struct conf_doc *doc, const struct app_bundle *want, const struct app_bundle *known, const struct app_places *at,
	struct conf_errors *errs, struct app_bundle **ret);

/** Certificates fit their keys, trust anchors parse, policies are text. Errors at the pointer of the object. */
void app_files_check(const struct conf_doc *doc, const struct app_bundle *b, struct conf_errors *errs);

#endif
