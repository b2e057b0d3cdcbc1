/* SPDX-License-Identifier: Apache-2.0 */
/* The errors of a file: where, what, the line, a caret, and what was probably meant. */
#include <stdio.h>
#include <stdlib.h>

#include "rule/rule.h"

#define MOST 200           /* a file of another kind would make an error of each line */
#define WORD_MOST 40

struct rule_errors { struct rule_error *v; char **file; size_t n, cap; };

static void errors_destroy(void *obj)
{
	struct rule_errors *e = obj;

	for (size_t i = 0; i < e->n; i++)
		free(e->file[i]);
	free(e->file);
	free(e->v);
}

struct rule_errors *rule_errors_new(void)
{
	return base_new(sizeof(struct rule_errors), errors_destroy);
}

size_t rule_errors_count(const struct rule_errors *e)
{
	return e->n;
}

const struct rule_error *rule_errors_get(const struct rule_errors *e, size_t i)
{
	return &e->v[i];
}

static bool errors_grow(struct rule_errors *e)
{
	size_t cap = e->cap ? e->cap * 2 : 8;
	struct rule_error *v;
	char **f;

	if (e->n < e->cap)
		return true;
	v = realloc(e->v, cap * sizeof *v);
	if (v)
		e->v = v;
	f = realloc(e->file, cap * sizeof *f);
	if (f)
		e->file = f;
	if (!v || !f)
		return false;
	e->cap = cap;
	return true;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/** Within a character of UTF-8. */
static bool is_inner(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

static struct slice line_find(const struct rule_source *src, unsigned line)
{
	const char *p = src->text.p + rule_lex_bom(src->text), *end = src->text.p + src->text.n, *nl = p;

	for (unsigned i = 0; i < line && nl; i++) {
		p = i ? nl + 1 : p;
		nl = memchr(p, '\n', (size_t)(end - p));
	}
	return (struct slice){ p, (size_t)((nl ? nl : end) - p) };
}

/** The line of a source around col, tabs as single spaces so that the caret stands right. @return bytes left out before it */
static unsigned line_get(const struct rule_source *src, unsigned line, unsigned col, char *buf, size_t size)
{
	struct slice s = line_find(src, line);
	size_t skip = 0, n;

	/* of a long line the part that has the error; no half of a character */
	if (col > size * 3 / 4)
		skip = least(col - size * 3 / 4, s.n);
	while (skip && skip < s.n && is_inner(s.p[skip]))
		skip++;
	n = least(s.n - skip, size - 1);
	while (skip + n < s.n && n && is_inner(s.p[skip + n]))
		n--;
	while (n && s.p[skip + n - 1] == '\r')
		n--;
	for (size_t i = 0; i < n; i++)
		buf[i] = (unsigned char)s.p[skip + i] < ' ' ? ' ' : s.p[skip + i];
	buf[n] = 0;
	return (unsigned)skip;
}

void rule_error_add(struct rule_errors *e, struct rule_pos at, const char *hint, const char *fmt, ...)
{
	struct rule_error *x;
	va_list ap;

	/* what an error brings about at the same place is no news */
	if (e->n && e->v[e->n - 1].line == at.line && e->v[e->n - 1].col == at.col && !strcmp(e->v[e->n - 1].file, at.src->name))
		return;
	if (e->n > MOST || !errors_grow(e))
		return;
	if (e->n == MOST) {
		hint = NULL;
		fmt = "and more errors than are told here";
	}
	x = &e->v[e->n];
	memset(x, 0, sizeof *x);
	e->file[e->n] = strdup(at.src->name);
	if (!e->file[e->n])
		return;
	x->file = e->file[e->n];
	x->line = at.line;
	x->col = at.col;
	x->len = at.len ? at.len : 1;
	va_start(ap, fmt);
	vsnprintf(x->message, sizeof x->message, fmt, ap);
	va_end(ap);
	slice_copy(x->hint, sizeof x->hint, slice_str(hint));
	x->skipped = line_get(at.src, at.line, at.col, x->text, sizeof x->text);
	e->n++;
}

void rule_error_print(const struct rule_error *e, struct text *out)
{
	unsigned room = (unsigned)strlen(e->text) + 1, len = e->len, col = e->col - e->skipped, before = 0;

	text_add(out, "%s:%u:%u: %s\n", e->file, e->line, e->col, e->message);
	if (col <= room) {
		if (col + len > room + 1)
			len = room + 1 - col;
		for (unsigned i = 0; i + 1 < col; i++) /* characters, not bytes */
			before += !is_inner(e->text[i]);
		text_add(out, "    %s%s\n    %*s^", e->skipped ? "..." : "", e->text, (int)before + (e->skipped ? 3 : 0), "");
		for (unsigned i = 1; i < len; i++)
			if (!is_inner(e->text[col - 1 + i]))
				text_add(out, "~");
		text_add(out, "\n");
	}
	if (e->hint[0])
		text_add(out, "    %s\n", e->hint);
}

/** Inserted, deleted, changed and swapped letters between two words. */
static size_t distance(struct slice a, struct slice b)
{
	size_t row[3][WORD_MOST + 1], i, j, d;

	for (j = 0; j <= b.n; j++)
		row[0][j] = j;
	for (i = 1; i <= a.n; i++) {
		size_t *now = row[i % 3], *up = row[(i + 2) % 3], *far = row[(i + 1) % 3];

		now[0] = i;
		for (j = 1; j <= b.n; j++) {
			d = least(least(now[j - 1], up[j]) + 1, up[j - 1] + ((a.p[i - 1] | 32) != (b.p[j - 1] | 32)));
			if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1])
				d = least(d, far[j - 2] + 1);
			now[j] = d;
		}
	}
	return row[a.n % 3][b.n];
}

const char *rule_nearest(const char *const *words, struct slice to)
{
	const char *best = NULL;
	size_t near = SIZE_MAX, d, most;

	if (!to.n || to.n > WORD_MOST)
		return NULL;
	for (; *words; words++) {
		struct slice w = slice_str(*words);

		if (w.n > WORD_MOST)
			continue;
		d = distance(to, w);
		most = (w.n > to.n ? w.n : to.n) / 3 + 1;
		if (d <= most && d < near) {
			near = d;
			best = *words;
		}
	}
	return best;
}
