/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slices (borrowed text) and the text builder on a fixed buffer.
 * ASCII only: nothing here looks at the locale.
 */
#include <stdio.h>

#include "postern/base.h"

static unsigned char lower(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : c;
}

bool slice_eq(struct slice a, struct slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool slice_eq_nocase(struct slice a, struct slice b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++) {
		if (lower((unsigned char)a.p[i]) != lower((unsigned char)b.p[i]))
			return false;
	}
	return true;
}

bool slice_copy(char *buf, size_t size, struct slice s)
{
	size_t n = s.n;

	if (size == 0)
		return false;
	if (n > size - 1)
		n = size - 1;
	if (n)
		memcpy(buf, s.p, n);
	buf[n] = 0;
	return n == s.n;
}

int slice_u64(struct slice s, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;
	bool above = false;

	if (s.n == 0)
		return ERR_PROTO;
	for (size_t i = 0; i < s.n; i++) {
		unsigned d = (unsigned)(unsigned char)s.p[i] - '0';

		if (d > 9)
			return ERR_PROTO;
		/* go on after an overflow: a letter further on makes it ERR_PROTO */
		above = above || __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, d, &v);
	}
	if (above || v > max)
		return ERR_RANGE;
	*ret = v;
	return 0;
}
