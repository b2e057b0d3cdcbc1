/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf: the schema-table engine. A document is one JSON object of collections; every option is a row of a table.
 * Parses, checks, prints back and diffs; knows no module's options: each folder offers tables in its schema.c,
 * a file that needs conf alone, so that every role and tool can link it.
 */
#ifndef POSTERN_CONF_H
#define POSTERN_CONF_H

#include "postern/base.h"

struct json_t;

enum conf_type {
	CONF_BOOL,      /* bool */
	CONF_INT,       /* int64_t, min..max */
	CONF_REAL,      /* double, min..max */
	CONF_STRING,    /* const char *; max = longest */
	CONF_ENUM,      /* int: index into names */
	CONF_ADDRESS,   /* const char *: IPv4 or IPv6 */
	CONF_PORT,      /* int64_t 1..65535 (min 0 allowed by the row) */
	CONF_CIDR,      /* const char *: address[/bits][:port]; [v6]:port */
	CONF_REGEX,     /* const char *: PCRE2; compiled once by the check hook */
	CONF_URI,       /* const char *: sip: or sips: URI */
	CONF_HOST,      /* const char *: host name or address, optionally with port */
	CONF_REF,       /* const char *: id in collection `ref` (or names several, "trunks|trunk_groups") */
	CONF_FILE,      /* const char *: file name */
	CONF_OBJECT,    /* struct inline, rows in `sub` */
	CONF_LIST,      /* struct conf_list: elements of `elem` type (or objects by `sub`) */
	CONF_TARGET     /* reserved to peer: string or object; see row->parse */
};

enum conf_flag {
	CONF_REQUIRED = 1,   /* must be there */
	CONF_NULL     = 2,   /* null is allowed: NULL pointer, or `def` */
	CONF_SECRET   = 4,   /* read back as "***" */
	CONF_LATER    = 8    /* accepted, not acted on yet: a warning that names it */
};

struct conf_list { const void *v; size_t n; }; /* array of the element's C type, back to back */

struct conf_row {
	const char *key;
	enum conf_type type;
	size_t at;                        /* offset in the C struct */
	unsigned flags;
	const char *def;                  /* JSON text; NULL: zero */
	double min, max;                  /* both 0: no limit */
	const char *const *names;         /* CONF_ENUM, NULL-terminated */
	const char *ref;                  /* CONF_REF: collection id(s) */
	const struct conf_row *sub;       /* CONF_OBJECT, CONF_LIST of objects; ends with key NULL */
	size_t elem_size;                 /* CONF_LIST */
	enum conf_type elem;              /* CONF_LIST: type of an element (CONF_OBJECT: sub) */
	const char *unit;                 /* "s", "ms", "bytes" or NULL */
	const char *doc;                  /* one line */
};

struct conf_doc;
struct conf_errors;

struct conf_collection {
	const char *name;                 /* "trunks" */
	const char *one;                  /* "trunk" */
	const struct conf_row *rows;      /* `id` is the first row */
	size_t size;                      /* of the C struct, whose first member is const char *id */
	bool single;                      /* an object instead of a list ("system") */
	const char *space;                /* collections of one name space: the same string */
	const char *builtin;              /* JSON text of objects that always exist, or NULL */
	/** Checks across objects and options, after all rows were parsed; may be NULL. */
	void (*check)(const struct conf_doc *doc, struct conf_errors *errs);
	const char *doc;
};

/* ---- errors: all of a document, each with its JSON pointer ---- */
int conf_errors_new(struct conf_errors **ret); /* ref-counted by base */
void conf_error(struct conf_errors *e, const char *pointer, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void conf_warn(struct conf_errors *e, const char *pointer, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
size_t conf_errors_count(const struct conf_errors *e);     /* errors alone */
struct conf_note { const char *pointer, *message; bool warning; };
const struct conf_note *conf_errors_at(const struct conf_errors *e, size_t i); /* NULL past the end */

/* ---- documents: ref-counted, immutable ---- */
/**
 * Parse JSON text (strict: no duplicate keys) against the collections.
 * @param text  [in]  JSON
 * @param cols  [in]  NULL-terminated table of collections, borrowed for the document's life
 * @param errs  [inout] gets every error and warning; pointers as /trunks/0/target
 * @param ret   [out] new reference; untouched on error
 * @return 0; ERR_CONFIG where errs has errors; -ENOMEM
 * Thread: any one. Cost: O(document).
 */
int conf_parse(struct slice text, const struct conf_collection *const *cols, struct conf_errors *errs, struct conf_doc **ret);
/** The typed objects of a collection, in document order, built-in ones last. */
const void *const *conf_objects(const struct conf_doc *d, const struct conf_collection *c, size_t *ret_n);
/** By id; NULL if none. */
const void *conf_find(const struct conf_doc *d, const struct conf_collection *c, const char *id);
/** JSON pointer of an object of this document, for errors found later ("/trunks/3"); into buf. */
const char *conf_pointer(const struct conf_doc *d, const struct conf_collection *c, const void *obj, char buf[static 128]);
/** The document with defaults left as they were written; secrets as "***" where hide. malloc'd text, caller frees. */
char *conf_print(const struct conf_doc *d, bool hide_secrets);
/** One collection or object of it likewise (id NULL: all of it). NULL where there is none. */
char *conf_print_part(const struct conf_doc *d, const char *collection, const char *id, bool hide_secrets);
/** RFC 6902 patch from a to b, secrets hidden. malloc'd. */
char *conf_diff(const struct conf_doc *a, const struct conf_doc *b);
/** Nearest key of the rows to a misspelt one, or NULL. */
const char *conf_nearest(const struct conf_row *rows, const char *key);

#endif
