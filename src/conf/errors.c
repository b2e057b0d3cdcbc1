/* SPDX-License-Identifier: Apache-2.0 */
/* The notes about a document: errors and warnings with their JSON pointers (RFC 6901), and the building of such pointers. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "conf/conf.h"

#define NOTES_MOST 1000
#define KEY_MOST 64

struct conf_errors {
	struct conf_note *note;
	size_t n, cap;
	size_t errors;
};

static void errors_destroy(void *obj)
{
	struct conf_errors *e = obj;
	size_t i;

	for (i = 0; i < e->n; i++) {
		free((void *)(uintptr_t)e->note[i].pointer);
		free((void *)(uintptr_t)e->note[i].message);
	}
	free(e->note);
}

int conf_errors_new(struct conf_errors **ret)
{
	struct conf_errors *e = base_new(sizeof *e, errors_destroy);

	if (!e)
		return -ENOMEM;
	*ret = e;
	return 0;
}

static bool errors_room(struct conf_errors *e)
{
	size_t cap = e->cap ? e->cap * 2 : 16;
	struct conf_note *p;

	if (e->n >= NOTES_MOST)
		return false;
	if (e->n < e->cap)
		return true;
	p = base_alloc(cap * sizeof *p);
	if (!p)
		return false;
	if (e->n)
		memcpy(p, e->note, e->n * sizeof *p);
	free(e->note);
	e->note = p;
	e->cap = cap;
	return true;
}

static void errors_add(struct conf_errors *e, bool warning, const char *pointer, const char *fmt, va_list ap)
{
	char text[1024];
	struct conf_note note = { .warning = warning };

	if (!warning)
		e->errors++;
	if (!errors_room(e))
		return;
	vsnprintf(text, sizeof text, fmt, ap);
	note.pointer = base_dup(slice_str(pointer));
	note.message = base_dup(slice_str(text));
	if (!note.pointer || !note.message) {
		free((void *)(uintptr_t)note.pointer);
		free((void *)(uintptr_t)note.message);
		return;
	}
	e->note[e->n++] = note;
}

void conf_error(struct conf_errors *e, const char *pointer, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	errors_add(e, false, pointer, fmt, ap);
	va_end(ap);
}

void conf_warn(struct conf_errors *e, const char *pointer, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	errors_add(e, true, pointer, fmt, ap);
	va_end(ap);
}

size_t conf_errors_count(const struct conf_errors *e)
{
	return e->errors;
}

const struct conf_note *conf_errors_at(const struct conf_errors *e, size_t i)
{
	return i < e->n ? &e->note[i] : NULL;
}

static void path_char(struct conf_path *path, char c)
{
	if (path->n + 1 < sizeof path->p)
		path->p[path->n++] = c;
	path->p[path->n] = 0;
}

size_t conf_path_key(struct conf_path *path, const char *key)
{
	size_t was = path->n, i;

	path_char(path, '/');
	for (i = 0; key[i] && i < KEY_MOST; i++) {
		if (key[i] == '~' || key[i] == '/') {
			path_char(path, '~');
			path_char(path, key[i] == '~' ? '0' : '1');
		} else {
			path_char(path, (unsigned char)key[i] < 0x20 || key[i] == 0x7f ? '?' : key[i]);
		}
	}
	return was;
}

size_t conf_path_index(struct conf_path *path, size_t i)
{
	char buf[24];

	snprintf(buf, sizeof buf, "%zu", i);
	return conf_path_key(path, buf);
}

void conf_path_cut(struct conf_path *path, size_t n)
{
	path->n = n;
	path->p[n] = 0;
}
