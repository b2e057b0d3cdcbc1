/* SPDX-License-Identifier: Apache-2.0 */
/* The document: its memory, its objects by id, printing it back. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "conf/conf.h"

#define BLOCK_BYTES 16384

struct conf_block { struct conf_block *next; size_t used, size; _Alignas(16) char mem[]; };
struct def { struct hash_node node; const struct conf_row *row; json_t *v; };

void *conf_doc_alloc(struct conf_doc *d, size_t size)
{
	struct conf_block *b = d->blocks;
	size_t room, n = (size + 15) & ~(size_t)15;
	void *p;

	if (!b || b->size - b->used < n) {
		room = n > BLOCK_BYTES ? n : BLOCK_BYTES;
		b = base_alloc(sizeof *b + room);
		if (!b)
			return NULL;
		*b = (struct conf_block){ .next = d->blocks, .size = room };
		d->blocks = b;
	}
	p = b->mem + b->used;
	b->used += n;
	return memset(p, 0, n);
}

json_t *conf_doc_default(struct conf_doc *d, const struct conf_row *row)
{
	uint32_t key = base_hash_bytes(&row, sizeof row, 0);
	struct hash_node *n;
	struct def *def;

	if (!row->def)
		return NULL;
	for (n = base_hash_find(&d->defaults, key); n; n = n->next) {
		def = container_of(n, struct def, node);
		if (def->row == row)
			return def->v;
	}
	def = conf_doc_alloc(d, sizeof *def);
	if (!def)
		return NULL;
	def->row = row;
	def->v = json_loads(row->def, JSON_DECODE_ANY, NULL);
	if (!def->v || json_array_append_new(d->keep, def->v))
		return NULL;
	base_hash_add(&d->defaults, &def->node, key);
	return def->v;
}

static void doc_destroy(void *obj)
{
	struct conf_doc *d = obj;
	size_t i;

	for (i = 0; i < d->nparts; i++)
		if (d->part[i].ids)
			base_hash_fini(&d->part[i].by_id);
	base_hash_fini(&d->defaults);
	json_decref(d->keep);
	json_decref(d->root);
	while (d->blocks) {
		struct conf_block *b = d->blocks;

		d->blocks = b->next;
		free(b);
	}
}

int conf_doc_new(const struct conf_collection *const *cols, struct conf_doc **ret)
{
	struct conf_doc *d = base_new(sizeof *d, doc_destroy);
	size_t i;

	if (!d)
		return -ENOMEM;
	for (d->nparts = 0; cols[d->nparts];)
		d->nparts++;
	d->keep = json_array();
	d->part = conf_doc_alloc(d, (d->nparts + 1) * sizeof *d->part);
	if (!d->part || !d->keep || base_hash_init(&d->defaults, 64)) {
		d->nparts = 0;
		base_unref(d);
		return -ENOMEM;
	}
	for (i = 0; i < d->nparts; i++)
		d->part[i].c = cols[i];
	*ret = d;
	return 0;
}

const struct conf_part *conf_doc_part(const struct conf_doc *d, const struct conf_collection *c)
{
	size_t i;

	for (i = 0; i < d->nparts; i++)
		if (d->part[i].c == c)
			return &d->part[i];
	return NULL;
}

const struct conf_part *conf_doc_named(const struct conf_doc *d, const char *name, size_t n)
{
	size_t i;

	for (i = 0; i < d->nparts; i++)
		if (slice_eq(slice_str(d->part[i].c->name), (struct slice){ name, n }))
			return &d->part[i];
	return NULL;
}

static const char *id_of(const struct conf_part *p, size_t i)
{
	return *(const char *const *)p->ptr[i];
}

long conf_part_index(const struct conf_part *p, const char *id)
{
	uint32_t key = base_hash_bytes(id, strlen(id), 0);
	struct hash_node *n;

	for (n = p->ids ? base_hash_find(&p->by_id, key) : NULL; n; n = n->next) {
		struct conf_id *e = container_of(n, struct conf_id, node);

		if (n->key == key && !strcmp(id_of(p, e->index), id))
			return (long)e->index;
	}
	return -1;
}

/** The collection of the same name space that has this id already, or NULL. */
static const struct conf_part *id_taken(const struct conf_doc *d, const struct conf_part *p, const char *id)
{
	size_t i;

	for (i = 0; i < d->nparts; i++) {
		const struct conf_part *q = &d->part[i];
		bool shared = q == p || (p->c->space && q->c->space && !strcmp(p->c->space, q->c->space));

		if (shared && conf_part_index(q, id) >= 0)
			return q;
	}
	return NULL;
}

static void id_add(struct conf_doc *d, struct conf_part *p, size_t i, struct conf_errors *errs)
{
	const char *id = id_of(p, i);
	const struct conf_part *taken = id ? id_taken(d, p, id) : NULL;
	char pointer[160];

	snprintf(pointer, sizeof pointer, "/%s/%zu/id", p->c->name, i);
	if (id && p->c->reserved && !strcmp(id, p->c->reserved))
		conf_error(errs, pointer, "\"%s\" is taken by Postern itself; choose another id", id);
	else if (taken && (size_t)conf_part_index(taken, id) >= taken->written)
		conf_error(errs, pointer, "\"%s\" is built in; choose another id", id);
	else if (taken)
		conf_error(errs, pointer, "\"%s\" is the id of /%s/%ld already", id, taken->c->name, conf_part_index(taken, id));
	if (!id || taken)
		return;
	p->ids[i].index = i;
	base_hash_add(&p->by_id, &p->ids[i].node, base_hash_bytes(id, strlen(id), 0));
}

int conf_doc_ids(struct conf_doc *d, struct conf_errors *errs)
{
	size_t i, k;

	for (i = 0; i < d->nparts; i++) {
		struct conf_part *p = &d->part[i];

		p->ids = conf_doc_alloc(d, (p->n + 1) * sizeof *p->ids);
		if (!p->ids || base_hash_init(&p->by_id, 16))
			return -ENOMEM;
		for (k = p->written; k < p->n; k++)
			id_add(d, p, k, errs);
		for (k = 0; k < p->written; k++)
			id_add(d, p, k, errs);
	}
	return 0;
}

const void *const *conf_objects(const struct conf_doc *d, const struct conf_collection *c, size_t *ret_n)
{
	const struct conf_part *p = conf_doc_part(d, c);

	*ret_n = p ? p->n : 0;
	return p ? p->ptr : NULL;
}

const void *conf_find(const struct conf_doc *d, const struct conf_collection *c, const char *id)
{
	const struct conf_part *p = conf_doc_part(d, c);
	long i = p && id ? conf_part_index(p, id) : -1;

	return i < 0 ? NULL : p->ptr[i];
}

static size_t part_at(const struct conf_part *p, const void *obj)
{
	return (size_t)((const char *)obj - p->objs) / p->c->size;
}

const char *conf_pointer(const struct conf_doc *d, const struct conf_collection *c, const void *obj, char buf[static 128])
{
	const struct conf_part *p = conf_doc_part(d, c);

	if (!p || c->single)
		snprintf(buf, 128, "/%s", c->name);
	else
		snprintf(buf, 128, "/%s/%zu", c->name, part_at(p, obj));
	return buf;
}

bool conf_given(const struct conf_doc *d, const struct conf_collection *c, const void *obj, const char *path)
{
	const struct conf_part *p = conf_doc_part(d, c);
	size_t i = p ? part_at(p, obj) : 0;
	const json_t *v = p && i < p->written ? p->json[i] : NULL;
	char step[80];

	while (v && *path) {
		size_t n = strcspn(path, "/");

		slice_copy(step, sizeof step, (struct slice){ path, n });
		v = json_object_get(v, step);
		path += path[n] ? n + 1 : n;
	}
	return v && !json_is_null(v);
}

char *conf_dump(const json_t *v)
{
	return json_dumps(v, JSON_INDENT(2) | JSON_REAL_PRECISION(15) | JSON_ENCODE_ANY);
}

char *conf_print(const struct conf_doc *d, bool hide_secrets)
{
	json_t *v = hide_secrets ? conf_hidden(d, d->root) : json_incref(d->root);
	char *ret = v ? conf_dump(v) : NULL;

	json_decref(v);
	return ret;
}

char *conf_print_part(const struct conf_doc *d, const char *collection, const char *id, bool hide_secrets)
{
	const struct conf_part *p = conf_doc_named(d, collection, strlen(collection));
	json_t *root = hide_secrets ? conf_hidden(d, d->root) : json_incref(d->root);
	json_t *v = json_object_get(root, collection), *none = NULL;
	long i = p && id ? conf_part_index(p, id) : -1;
	char *ret = NULL;

	if (p && !v)
		v = none = p->c->single ? json_object() : json_array();
	if (id)
		v = i >= 0 && (size_t)i < p->written ? json_array_get(v, (size_t)i) : NULL;
	if (p && v)
		ret = conf_dump(v);
	json_decref(none);
	json_decref(root);
	return ret;
}
