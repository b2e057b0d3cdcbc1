/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounded cursors over bytes. Once a read or write does not fit, the cursor is bad
 * and stays so: parsers run straight through and look at `bad` at their end.
 */
#include "postern/base.h"

static bool rd_has(struct reader *r, size_t n)
{
	if (r->bad || (size_t)(r->end - r->p) < n) {
		r->bad = true;
		return false;
	}
	return true;
}

static uint64_t rd_uint(struct reader *r, unsigned n)
{
	uint64_t v = 0;

	if (!rd_has(r, n))
		return 0;
	for (unsigned i = 0; i < n; i++)
		v |= (uint64_t)r->p[i] << (8 * i);
	r->p += n;
	return v;
}

uint8_t rd_u8(struct reader *r)
{
	return (uint8_t)rd_uint(r, 1);
}

uint16_t rd_u16(struct reader *r)
{
	return (uint16_t)rd_uint(r, 2);
}

uint32_t rd_u32(struct reader *r)
{
	return (uint32_t)rd_uint(r, 4);
}

uint64_t rd_u64(struct reader *r)
{
	return rd_uint(r, 8);
}

struct slice rd_bytes(struct reader *r, size_t n)
{
	struct slice s = { (const char *)r->p, n };

	if (!rd_has(r, n))
		return (struct slice){ "", 0 };
	r->p += n;
	return s;
}

struct slice rd_slice(struct reader *r)
{
	uint32_t n = rd_u32(r);

	return rd_bytes(r, n);
}

static bool wr_has(struct writer *w, size_t n)
{
	if (w->bad || (size_t)(w->end - w->p) < n) {
		w->bad = true;
		return false;
	}
	return true;
}

static void wr_uint(struct writer *w, uint64_t v, unsigned n)
{
	if (!wr_has(w, n))
		return;
	for (unsigned i = 0; i < n; i++)
		*w->p++ = (uint8_t)(v >> (8 * i));
}

void wr_u8(struct writer *w, uint8_t v)
{
	wr_uint(w, v, 1);
}

void wr_u16(struct writer *w, uint16_t v)
{
	wr_uint(w, v, 2);
}

void wr_u32(struct writer *w, uint32_t v)
{
	wr_uint(w, v, 4);
}

void wr_u64(struct writer *w, uint64_t v)
{
	wr_uint(w, v, 8);
}

void wr_bytes(struct writer *w, const void *p, size_t n)
{
	if (!wr_has(w, n) || n == 0)
		return;
	memcpy(w->p, p, n);
	w->p += n;
}

void wr_slice(struct writer *w, struct slice s)
{
	if (s.n > UINT32_MAX)
		w->bad = true;
	wr_u32(w, (uint32_t)s.n);
	wr_bytes(w, s.p, s.n);
}
