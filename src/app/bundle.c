/* SPDX-License-Identifier: Apache-2.0 */
/*
 * app/bundle: print, parse, compare a revision with its files. Wire form: magic, revision, document, count, then per file
 * kind, name and origin with their NUL, and the bytes; so that parsed names can be used in place.
 */
#include "app/bundle.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "postern/loop.h"

#define MAGIC 0x31424e50u /* "PNB1" */

static void bundle_destroy(void *obj)
{
	struct app_bundle *b = obj;

	if (b->text)
		explicit_bzero(b->text, b->text_bytes);
	free(b->text);
	free(b->file);
}

static void print_str(struct writer *w, const char *s)
{
	wr_slice(w, (struct slice){ s, strlen(s) + 1 });
}

static size_t wire_bytes(struct slice document, const struct app_file *file, size_t n)
{
	size_t sum = 4 + 8 + 4 + document.n + 4;

	for (size_t i = 0; i < n; i++)
		sum += 16 + strlen(file[i].kind) + strlen(file[i].name) + strlen(file[i].origin) + 3 + file[i].bytes.n;
	return sum;
}

/* A string that is terminated within its slice, for use in place. */
static const char *parse_str(struct reader *r)
{
	struct slice s = rd_slice(r);

	if (r->bad || s.n == 0 || memchr(s.p, 0, s.n) != s.p + s.n - 1) {
		r->bad = true;
		return "";
	}
	return s.p;
}

/* Takes b->text apart. */
static int take_apart(struct app_bundle *b)
{
	struct reader r = reader_on(b->text, b->text_bytes);
	uint32_t n;

	if (rd_u32(&r) != MAGIC)
		return ERR_PROTO;
	b->revision = rd_u64(&r);
	b->document = rd_slice(&r);
	n = rd_u32(&r);
	if (r.bad || n > APP_FILES_MAX)
		return ERR_PROTO;
	b->file = calloc(n ? n : 1, sizeof(*b->file));
	if (!b->file)
		return -ENOMEM;
	b->nfiles = n;
	for (uint32_t i = 0; i < n && !r.bad; i++) {
		b->file[i].kind = parse_str(&r);
		b->file[i].name = parse_str(&r);
		b->file[i].origin = parse_str(&r);
		b->file[i].bytes = rd_slice(&r);
	}
	return r.bad || r.p != r.end ? ERR_PROTO : 0;
}

/* Takes text over, also on error. */
static int adopt(char *text, size_t n, struct app_bundle **ret)
{
	struct app_bundle *b = base_new(sizeof(*b), bundle_destroy);
	int err;

	if (!b) {
		free(text);
		return -ENOMEM;
	}
	b->text = text;
	b->text_bytes = n;
	err = take_apart(b);
	if (err) {
		base_unref(b);
		return err;
	}
	*ret = b;
	return 0;
}

int app_bundle_new(uint64_t revision, struct slice document, const struct app_file *file, size_t n, struct app_bundle **ret)
{
	size_t bytes = wire_bytes(document, file, n);
	struct writer w;
	char *text;

	if (n > APP_FILES_MAX)
		return ERR_RANGE;
	text = malloc(bytes);
	if (!text)
		return -ENOMEM;
	w = writer_on(text, bytes);
	wr_u32(&w, MAGIC);
	wr_u64(&w, revision);
	wr_slice(&w, document);
	wr_u32(&w, (uint32_t)n);
	for (size_t i = 0; i < n; i++) {
		print_str(&w, file[i].kind);
		print_str(&w, file[i].name);
		print_str(&w, file[i].origin);
		wr_slice(&w, file[i].bytes);
	}
	must(!w.bad && wr_len(&w) == bytes);
	return adopt(text, bytes, ret);
}

struct slice app_bundle_get(const struct app_bundle *b)
{
	return (struct slice){ b->text, b->text_bytes };
}

int app_bundle_parse(struct slice wire, struct app_bundle **ret)
{
	char *text = malloc(wire.n ? wire.n : 1);

	if (!text)
		return -ENOMEM;
	memcpy(text, wire.p, wire.n);
	return adopt(text, wire.n, ret);
}

const struct app_file *app_bundle_find(const struct app_bundle *b, const char *kind, const char *name)
{
	for (size_t i = 0; i < b->nfiles; i++)
		if (strcmp(b->file[i].name, name) == 0 && strcmp(b->file[i].kind, kind) == 0)
			return &b->file[i];
	return NULL;
}

bool app_bundle_same(const struct app_bundle *a, const struct app_bundle *b)
{
	if (!slice_eq(a->document, b->document) || a->nfiles != b->nfiles)
		return false;
	for (size_t i = 0; i < a->nfiles; i++) {
		const struct app_file *f = app_bundle_find(b, a->file[i].kind, a->file[i].name);

		if (!f || !slice_eq(f->bytes, a->file[i].bytes))
			return false;
	}
	return true;
}

int app_bundle_load(int fd, struct app_bundle **ret)
{
	off_t n = lseek(fd, 0, SEEK_END);
	void *p;
	int err;

	if (n <= 0)
		return n < 0 ? -errno : ERR_TRUNCATED;
	p = mmap(NULL, (size_t)n, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	err = app_bundle_parse((struct slice){ p, (size_t)n }, ret);
	munmap(p, (size_t)n);
	return err;
}

int app_bundle_seal(const struct app_bundle *b, int *ret_fd)
{
	return loop_blob_create("revision", app_bundle_get(b), ret_fd);
}
