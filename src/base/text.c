/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text builder. It prints on the path of every call, so the plain conversions (%s %.*s %c %d %u %zu %lld %llu %x) are made here, in one
 * pass; from the first other one on, the rest of the format goes to vsnprintf.
 */
#include <stdio.h>

#include "postern/base.h"

static void put(struct text *t, const char *p, size_t n)
{
	if (n > t->size - t->n - 1) {
		n = t->size - t->n - 1;
		t->cut = true;
	}
	memcpy(t->p + t->n, p, n);
	t->n += n;
}

static void put_number(struct text *t, uint64_t v, bool minus, unsigned radix)
{
	char buf[24], *p = buf + sizeof buf;

	do
		*--p = "0123456789abcdef"[v % radix];
	while (v /= radix);
	if (minus)
		*--p = '-';
	put(t, p, (size_t)(buf + sizeof buf - p));
}

static void put_signed(struct text *t, int64_t v)
{
	put_number(t, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, v < 0, 10);
}

static void put_string(struct text *t, const char *s)
{
	put(t, s ? s : "(null)", s ? strlen(s) : 6);
}

/** The conversions of more than one letter. */
static size_t convert_long(struct text *t, const char *f, va_list *ap)
{
	const char *s;
	int n;

	if (!strncmp(f, "zu", 2)) {
		put_number(t, va_arg(*ap, size_t), false, 10);
		return 2;
	}
	if (!strncmp(f, ".*s", 3)) {
		n = va_arg(*ap, int);
		s = va_arg(*ap, const char *);
		put(t, s ? s : "", s && n > 0 ? strnlen(s, (size_t)n) : 0);
		return 3;
	}
	if (!strncmp(f, "lld", 3))
		put_signed(t, va_arg(*ap, long long));
	else if (!strncmp(f, "llu", 3))
		put_number(t, va_arg(*ap, unsigned long long), false, 10);
	else
		return 0;
	return 3;
}

/** One conversion, its letters behind the `%`. @return how many they are; 0: not one of ours, nothing was taken from ap */
static size_t convert(struct text *t, const char *f, va_list *ap)
{
	char c;

	switch (*f) {
	case 's':
		put_string(t, va_arg(*ap, const char *));
		return 1;
	case 'd':
		put_signed(t, va_arg(*ap, int));
		return 1;
	case 'u':
	case 'x':
		put_number(t, va_arg(*ap, unsigned), false, *f == 'x' ? 16 : 10);
		return 1;
	case 'c':
		c = (char)va_arg(*ap, int);
		put(t, &c, 1);
		return 1;
	default:
		return convert_long(t, f, ap);
	}
}

static void by_libc(struct text *t, const char *fmt, va_list ap)
{
	size_t room = t->size - t->n;
	int n = vsnprintf(t->p + t->n, room, fmt, ap);

	if (n >= 0 && (size_t)n < room) {
		t->n += (size_t)n;
		return;
	}
	t->cut = true;
	if (n >= 0 && room)
		t->n += room - 1;
}

void text_add(struct text *t, const char *fmt, ...)
{
	const char *f = fmt, *next;
	size_t n = 1;
	va_list ap;

	if (t->cut)
		return;
	va_start(ap, fmt);
	for (; !t->cut && n && (next = strchr(f, '%')); f = n ? next + 1 + n : next) {
		put(t, f, (size_t)(next - f));
		n = t->cut ? 1 : convert(t, next + 1, &ap);
	}
	if (!n)
		by_libc(t, f, ap);
	else if (!t->cut)
		put(t, f, strlen(f));
	va_end(ap);
	t->p[t->n] = 0;
}

void text_slice(struct text *t, struct slice s)
{
	if (t->cut || s.n == 0)
		return;
	put(t, s.p, s.n);
	t->p[t->n] = 0;
}
