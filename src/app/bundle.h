/* SPDX-License-Identifier: Apache-2.0 */
/*
 * app/bundle: a configuration revision on its way between processes: the document and the certificate, key and policy
 * files that belong to it, each with the place where it was imported from. Pure: memory only.
 */
#ifndef APP_BUNDLE_H
#define APP_BUNDLE_H

#include "postern/base.h"

#define APP_FILE_MAX (1u << 20)       /* bytes of one file */
#define APP_FILES_MAX 4096

struct app_file {
	const char *kind;                  /* certificate, key, policy: as in the store */
	const char *name;                  /* as the document writes it */
	const char *origin;                /* absolute path; "": written by the API */
	struct slice bytes;
};

struct app_bundle {                        /* ref-counted; wiped when it goes: it holds keys */
	uint64_t revision;                 /* 0: not stored yet */
	struct slice document;
	struct app_file *file;
	size_t nfiles;
	char *text; size_t text_bytes;     /* what all of the above points into */
};

/** A bundle with a copy of all that is given. -ENOMEM, ERR_RANGE (too many or too big files). */
int app_bundle_new(uint64_t revision, struct slice document, const struct app_file *file, size_t n, struct app_bundle **ret);
/** Its wire form: borrowed from the bundle. */
struct slice app_bundle_get(const struct app_bundle *b);
/** Parse a copy of the wire form. ERR_PROTO, -ENOMEM. */
int app_bundle_parse(struct slice wire, struct app_bundle **ret);
/** NULL where it has no such file. */
const struct app_file *app_bundle_find(const struct app_bundle *b, const char *kind, const char *name);
/** The same document and files, bytes and all? Origins and numbers may differ. */
bool app_bundle_same(const struct app_bundle *a, const struct app_bundle *b);
/** From a memfd (any descriptor that can be mapped, from offset 0), which stays the caller's. */
int app_bundle_load(int fd, struct app_bundle **ret);
/** As a sealed memfd. */
int app_bundle_seal(const struct app_bundle *b, int *ret_fd);

#endif
