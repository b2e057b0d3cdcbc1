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
	CONF_STRING,    /* const char *; max = longest; no control characters */
	CONF_ENUM,      /* int: index into names */
	CONF_CHOICE,    /* int64_t: index into names, or a number min..max */
	CONF_WORD,      /* const char *: one of names */
	CONF_ID,        /* const char *: [a-z0-9][a-z0-9-]{0,62} */
	CONF_ADDRESS,   /* const char *: IPv4 or IPv6 */
	CONF_SERVER,    /* const char *: address[:port], [v6]:port */
	CONF_CIDR,      /* const char *: address[/bits][:port]; [v6]:port */
	CONF_REGEX,     /* const char *: PCRE2, known to compile */
	CONF_URI,       /* const char *: sip: or sips: URI */
	CONF_HOST,      /* const char *: host name or address, optionally with port */
	CONF_TOKEN,     /* const char *: token of RFC 3261 (a method, a header's name) */
	CONF_REF,       /* const char *: id in collection `ref` (several: "trunks|trunk_groups"; "=word" allows that word) */
	CONF_FILE,      /* const char *: file name */
	CONF_OBJECT,    /* rows in `sub`, whose offsets count from the same struct as this row's */
	CONF_LIST       /* struct conf_list of `elem` (CONF_OBJECT: structs of elem_size filled by `sub`) */
};

enum conf_flag {
	CONF_REQUIRED = 1,   /* must be there */
	CONF_NULL     = 2,   /* null is allowed and means the default */
	CONF_SECRET   = 4,   /* read back as "***" */
	CONF_LATER    = 8,   /* accepted, not acted on yet: a warning names it where it differs from the default and from `now` */
	CONF_BRIEF    = 16,  /* list of objects: a string stands for an object's first row */
	CONF_ALONE    = 32,  /* list written as one element, without brackets */
	CONF_UNIQUE   = 64,  /* list: no element twice */
	CONF_FILLED   = 128  /* list: not empty */
};

struct conf_list { const void *v; size_t n; }; /* array of the element's C type, back to back */

struct conf_row {
	const char *key;                  /* "" for the row of a list's elements in messages; NULL ends a table */
	enum conf_type type;
	size_t at;                        /* offset in the C struct */
	unsigned flags;
	const char *def;                  /* JSON text; NULL: zero, no pointer, no element */
	double min, max;                  /* both 0: no limit */
	const char *const *names;         /* CONF_ENUM, CONF_CHOICE, CONF_WORD; NULL-terminated */
	const char *ref;                  /* CONF_REF: collection id(s) */
	const struct conf_row *sub;       /* CONF_OBJECT, CONF_LIST of objects; ends with key NULL */
	size_t elem_size;                 /* CONF_LIST of objects */
	enum conf_type elem;              /* CONF_LIST: type of an element; min, max, names, ref are the element's */
	size_t most;                      /* CONF_LIST: longest; 0: CONF_LIST_MOST */
	const char *now;                  /* CONF_LATER: JSON array of values that are acted on already, beside the default */
	const char *unit;                 /* "s", "bytes", "1/s" or NULL */
	const char *doc;                  /* one line */
};
#define CONF_LIST_MOST 1024
#define CONF_BYTES_MAX 16777216
#define CONF_DEPTH_MAX 16

struct conf_doc;
struct conf_errors;

struct conf_collection {
	const char *name;                 /* "trunks" */
	const char *one;                  /* "trunk" */
	const struct conf_row *rows;      /* of a list: `id` is the first row */
	size_t size;                      /* of the C struct, whose first member is const char *id */
	bool single;                      /* an object instead of a list ("system"); its id is the collection's name */
	const char *space;                /* collections of one name space: the same string */
	const char *reserved;             /* an id that is taken, or NULL */
	const char *builtin;              /* JSON array of objects that always exist, or NULL */
	bool builtin_open;                /* a document may write a built-in object anew; else its id is taken */
	size_t most;                      /* objects; 0: CONF_OBJECTS_MOST */
	/** Checks across objects and options, after all rows were parsed (what failed there is its default); may be NULL. */
	void (*check)(const struct conf_doc *doc, struct conf_errors *errs);
	const char *doc;
};
#define CONF_OBJECTS_MOST 20000

/* ---- errors: all of a document, each with its JSON pointer ---- */
/** New and empty; ref-counted by base. -ENOMEM. */
int conf_errors_new(struct conf_errors **ret);
/** Add an error. What cannot be stored is still counted; over 1,000 notes are counted alone. */
void conf_error(struct conf_errors *e, const char *pointer, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/** Add a warning: the document is taken nevertheless. */
void conf_warn(struct conf_errors *e, const char *pointer, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/** How many errors there are, warnings not counted. */
size_t conf_errors_count(const struct conf_errors *e);
struct conf_note { const char *pointer, *message; bool warning; };
/** The i-th note, borrowed; NULL past the end. */
const struct conf_note *conf_errors_at(const struct conf_errors *e, size_t i);

/* ---- documents: ref-counted, immutable ---- */
/**
 * Parse JSON text (strict: no duplicate keys, no control characters) against the collections.
 * @param text  [in]  JSON, at most CONF_BYTES_MAX, nested at most CONF_DEPTH_MAX
 * @param cols  [in]  NULL-terminated table of collections, borrowed for the document's life
 * @param errs  [inout] gets every error and warning; pointers as /trunks/0/target
 * @param ret   [out] new reference; untouched on error
 * @return 0; ERR_CONFIG where errs has errors; -ENOMEM
 * Thread: any one. Cost: O(document).
 */
int conf_parse(struct slice text, const struct conf_collection *const *cols, struct conf_errors *errs, struct conf_doc **ret);
/** The typed objects of a collection, in document order, built-in ones last. Borrowed; NULL and 0 where there is no such collection. */
const void *const *conf_objects(const struct conf_doc *d, const struct conf_collection *c, size_t *ret_n);
/** By id; NULL if none. Cost: a hash look-up. */
const void *conf_find(const struct conf_doc *d, const struct conf_collection *c, const char *id);
/** JSON pointer of an object of this document, for errors found later ("/trunks/3"); into buf. */
const char *conf_pointer(const struct conf_doc *d, const struct conf_collection *c, const void *obj, char buf[static 128]);
/** True where the document itself writes this key of the object; `path` as "probe/interval". False for built-in objects. */
bool conf_given(const struct conf_doc *d, const struct conf_collection *c, const void *obj, const char *path);
/** The document with defaults left as they were written; secrets as "***" where hide. malloc'd text, caller frees; NULL: no memory. */
char *conf_print(const struct conf_doc *d, bool hide_secrets);
/** One collection or object of it likewise (id NULL: all of it). NULL where there is none. */
char *conf_print_part(const struct conf_doc *d, const char *collection, const char *id, bool hide_secrets);
/** RFC 6902 patch from a to b, secrets hidden. malloc'd; NULL: no memory. Both were parsed with the same collections. */
char *conf_diff(const struct conf_doc *a, const struct conf_doc *b);
/**
 * What was read is written back: "***" stands for the secret that the object of the same id has in `old`.
 * @param text [in] the new document; its errors are left to conf_parse
 * @param ret  [out] malloc'd text; "***" stays where `old` has no secret, which conf_parse then refuses
 * @return 0; ERR_CONFIG (no JSON object); -ENOMEM
 */
int conf_restore_secrets(struct slice text, const struct conf_doc *old, char **ret);
/** Nearest key of the rows to a misspelt one, or NULL. */
const char *conf_nearest(const struct conf_row *rows, const char *key);

/* ---- values, for checks that look into them ---- */
struct conf_net { union base_addr addr; unsigned bits; uint16_t port; }; /* host bits are zero; port 0: any */
/** `address[/bits][:port]`; IPv6 with a port in brackets, `[2001:db8::/32]:5060` or `[2001:db8::1]:5060`. ERR_PROTO, ERR_RANGE. */
int conf_net_parse(const char *text, struct conf_net *ret);
enum conf_transport { CONF_UDP, CONF_TCP, CONF_TLS, CONF_TRANSPORT_NONE };
struct conf_uri {
	bool sips;
	struct slice user, host;          /* host without brackets; borrowed */
	uint16_t port;                    /* 0: none written */
	enum conf_transport transport;    /* as written */
	union base_addr addr;             /* family 0: the host is a name; else with the port or the transport's own */
};
/** What a sip: or sips: URI of a document may be: no headers, no password; why in words (static text) on ERR_PROTO. */
int conf_uri_parse(const char *text, struct conf_uri *ret, const char **ret_why);

/* ---- the reference, from the same rows ---- */
enum conf_reference { CONF_MARKDOWN, CONF_MAN };
/** Print docs/reference-config.md or postern.json(5); malloc'd; NULL: no memory. */
char *conf_reference_print(const struct conf_collection *const *cols, enum conf_reference form);

#endif
