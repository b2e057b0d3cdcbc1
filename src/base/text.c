/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text builder. It prints on the path of every call, so the plain conversions (%s %.*s %c %d %u %zu %lld %llu %x) are made here;
 * a format with anything else goes to vsnprintf as a whole.
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

/** Length of a conversion that we print, 0 for others. */
static size_t plain(const char *f)
{
	static const char *const known[] = { "%s", "%d", "%u", "%c", "%x", "%.*s", "%zu", "%lld", "%llu" };
	size_t i, n;

	for (i = 0; i < sizeof known / sizeof *known; i++) {
		n = strlen(known[i]);
		if (!strncmp(f, known[i], n))
			return n;
	}
	return 0;
}

static bool all_plain(const char *f)
{
	size_t n;

	for (f = strchr(f, '%'); f; f = strchr(f + n, '%')) {
		n = plain(f);
		if (!n)
			return false;
	}
	return true;
}

static void put_signed(struct text *t, int64_t v)
{
	put_number(t, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, v < 0, 10);
}

static void put_string(struct text *t, const char *s)
{
	put(t, s ? s : "(null)", s ? strlen(s) : 6);
}

/** One conversion, its letters behind the `%`. */
static void convert(struct text *t, const char *f, va_list *ap)
{
	const char *s;
	char c;
	int n;

	switch (*f) {
	case 's':
		put_string(t, va_arg(*ap, const char *));
		break;
	case 'd':
		put_signed(t, va_arg(*ap, int));
		break;
	case 'u':
	case 'x':
		put_number(t, va_arg(*ap, unsigned), false, *f == 'x' ? 16 : 10);
		break;
	case 'c':
		c = (char)va_arg(*ap, int);
		put(t, &c, 1);
		break;
	case 'z':
		put_number(t, va_arg(*ap, size_t), false, 10);
		break;
	case '.':
		n = va_arg(*ap, int);
		s = va_arg(*ap, const char *);
		put(t, s ? s : "", s && n > 0 ? strnlen(s, (size_t)n) : 0);
		break;
	default: /* lld, llu */
		if (f[2] == 'd')
			put_signed(t, va_arg(*ap, long long));
		else
			put_number(t, va_arg(*ap, unsigned long long), false, 10);
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
	const char *f, *next;
	va_list ap;

	if (t->cut)
		return;
	va_start(ap, fmt);
	if (all_plain(fmt)) {
		for (f = fmt; !t->cut && (next = strchr(f, '%')); f = next + plain(next)) {
			put(t, f, (size_t)(next - f));
			convert(t, next + 1, &ap);
		}
		if (!t->cut)
			put(t, f, strlen(f));
	} else {
		by_libc(t, fmt, ap);
	}
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
