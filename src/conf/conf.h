/* SPDX-License-Identifier: Apache-2.0 */
/* conf, private: the document's insides, the walk over its written values, the checks of single values. */
#ifndef CONF_PRIVATE_H
#define CONF_PRIVATE_H

#include <jansson.h>

#include "postern/base.h"
#include "postern/conf.h"

/* ---- JSON pointers, built while walking down ---- */
struct conf_path { char p[512]; size_t n; };
/** Add a step; returns the length to give back to conf_path_cut. Control characters become '?', long keys are cut. */
size_t conf_path_key(struct conf_path *path, const char *key);
size_t conf_path_index(struct conf_path *path, size_t i);
void conf_path_cut(struct conf_path *path, size_t n);

/* ---- the document ---- */
struct conf_id { struct hash_node node; size_t index; };

struct conf_part {                     /* one collection of a document */
	const struct conf_collection *c;
	size_t n, written;             /* objects; the first `written` stand in the document */
	char *objs;                    /* n structs of c->size */
	const void **ptr;              /* their addresses */
	json_t **json;                 /* their JSON, borrowed */
	struct conf_id *ids;
	struct hash by_id;
};

struct conf_block;
struct conf_doc {
	json_t *root;
	json_t *keep;                  /* array: what defaults and built-in objects are borrowed from */
	size_t nparts;
	struct conf_part *part;
	struct conf_block *blocks;
	struct hash defaults;
};

/** Empty, with the parts of these collections; -ENOMEM. */
int conf_doc_new(const struct conf_collection *const *cols, struct conf_doc **ret);
/** Zeroed memory of the document's life; NULL. */
void *conf_doc_alloc(struct conf_doc *d, size_t size);
/** The row's default as JSON, borrowed; NULL where it has none or there is no memory. */
json_t *conf_doc_default(struct conf_doc *d, const struct conf_row *row);
const struct conf_part *conf_doc_part(const struct conf_doc *d, const struct conf_collection *c);
const struct conf_part *conf_doc_named(const struct conf_doc *d, const char *name, size_t n);
/** Index of an id, -1. */
long conf_part_index(const struct conf_part *p, const char *id);
/** Fill index `by_id` from the objects; what is wrong with ids goes to errs. */
int conf_doc_ids(struct conf_doc *d, struct conf_errors *errs);
/** References that point nowhere. */
void conf_doc_refs(struct conf_doc *d, struct conf_errors *errs);

/* ---- the walk: every written value that a row describes, objects first ---- */
struct conf_walk {
	struct conf_path path;
	/** parent: object (then row->key) or list (then at index). Called for scalars alone. */
	void (*value)(struct conf_walk *w, const struct conf_row *row, json_t *parent, json_t *v);
	void *arg;
};
void conf_walk_object(struct conf_walk *w, const struct conf_row *rows, json_t *obj);
/** All collections of a root object. */
void conf_walk_root(struct conf_walk *w, const struct conf_doc *d, json_t *root);

/* ---- values ---- */
/** The C size of a list's element. */
size_t conf_value_size(const struct conf_row *row);
/**
 * Check a scalar and store it at `at`.
 * @return true, or false with the reason in why
 */
bool conf_value_store(const struct conf_row *row, enum conf_type type, const json_t *v, void *at, char *why, size_t size);
/** NULL where text is an id, else what is wrong. */
const char *conf_id_wrong(const char *text);
/** NULL where text is a host name or an address, else what is wrong. */
const char *conf_host_wrong(struct slice host);
const char *conf_regex_wrong(const char *text, char *why, size_t size);
/** Nearest of the words, or NULL. */
const char *conf_nearest_word(const char *const *words, const char *to);
/** Smaller is nearer; SIZE_MAX: too far to be a slip of the pen. */
size_t conf_distance(const char *a, const char *b);

/** Put "***" in the place of every secret of a copy of `root`; new reference. */
json_t *conf_hidden(const struct conf_doc *d, json_t *root);
/** As it leaves the house: indented, order kept. */
char *conf_dump(const json_t *v);

#endif
