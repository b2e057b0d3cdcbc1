/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of a set, an arena that is freed at once; and text that grows. */
#include <stdio.h>
#include <stdlib.h>

#include "rule/rule.h"

#define CHUNK 8192

struct rule_chunk { struct rule_chunk *next; size_t used, size; _Alignas(16) char bytes[]; };

void *rule_arena_alloc(struct rule_arena *a, size_t n)
{
	struct rule_chunk *c = a->first;
	size_t size;

	n = (n + 15) & ~(size_t)15;
	if (!c || c->size - c->used < n) {
		size = n > CHUNK / 2 ? n : CHUNK;
		c = base_alloc(sizeof *c + size);
		if (!c) {
			a->failed = true;
			return NULL;
		}
		memset(c, 0, sizeof *c + size);
		c->size = size;
		c->next = a->first;
		a->first = c;
	}
	c->used += n;
	return c->bytes + c->used - n;
}

struct slice rule_arena_copy(struct rule_arena *a, struct slice s)
{
	char *p = rule_arena_alloc(a, s.n + 1);

	if (!p)
		return (struct slice){ "", 0 };
	if (s.n)
		memcpy(p, s.p, s.n);
	return (struct slice){ p, s.n };
}

void rule_arena_free(struct rule_arena *a)
{
	struct rule_chunk *c, *next;

	for (c = a->first; c; c = next) {
		next = c->next;
		free(c);
	}
	a->first = NULL;
}

static bool out_room(struct rule_out *o, size_t n)
{
	size_t cap = o->cap ? o->cap : 256;
	char *p;

	if (o->failed)
		return false;
	while (cap - o->n <= n)
		cap *= 2;
	if (cap == o->cap)
		return true;
	p = realloc(o->p, cap);
	if (!p) {
		o->failed = true;
		return false;
	}
	o->p = p;
	o->cap = cap;
	return true;
}

void rule_out_slice(struct rule_out *o, struct slice s)
{
	if (!s.n || !out_room(o, s.n))
		return;
	memcpy(o->p + o->n, s.p, s.n);
	o->n += s.n;
}

void rule_out_add(struct rule_out *o, const char *fmt, ...)
{
	va_list ap, again;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	if (n >= 0 && out_room(o, (size_t)n + 1)) {
		vsnprintf(o->p + o->n, (size_t)n + 1, fmt, again);
		o->n += (size_t)n;
	}
	va_end(again);
	va_end(ap);
}

char *rule_out_take(struct rule_out *o)
{
	char *p;

	if (!out_room(o, 1)) {
		rule_out_free(o);
		return NULL;
	}
	o->p[o->n] = 0;
	p = o->p;
	*o = (struct rule_out){ 0 };
	return p;
}

void rule_out_free(struct rule_out *o)
{
	free(o->p);
	*o = (struct rule_out){ 0 };
}
