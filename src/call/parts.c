/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parts of a multipart body (RFC 2046 5.1), on memory only: bounded, and lenient where the field is: bare line ends, a last boundary that is missing.
 * Parts within parts are not opened.
 */
#include "call/b2b.h"

#define BOUNDARY_MAX 70          /* RFC 2046 5.1.1 */

bool call_text_starts(struct slice s, struct slice head)
{
	return s.n >= head.n && !memcmp(s.p, head.p, head.n);
}

struct slice call_text_trimmed(struct slice s)
{
	while (s.n && strchr(" \t\r\n", *s.p)) {
		s.p++;
		s.n--;
	}
	while (s.n && strchr(" \t\r\n", s.p[s.n - 1]))
		s.n--;
	return s;
}

/** First line of s, its end taken off; s moves behind it. */
struct slice call_text_line(struct slice *s)
{
	const char *nl = memchr(s->p, '\n', s->n);
	struct slice line = { s->p, nl ? (size_t)(nl - s->p) : s->n };
	size_t used = nl ? line.n + 1 : line.n;

	s->p += used;
	s->n -= used;
	if (line.n && line.p[line.n - 1] == '\r')
		line.n--;
	return line;
}

/** 0: some line; 1: a boundary; 2: the last one. */
static int boundary_of(struct slice line, struct slice boundary)
{
	struct slice rest;

	if (!call_text_starts(line, SLICE("--")))
		return 0;
	rest = (struct slice){ line.p + 2, line.n - 2 };
	if (!call_text_starts(rest, boundary))
		return 0;
	rest.p += boundary.n;
	rest.n -= boundary.n;
	if (call_text_starts(rest, SLICE("--")))
		return 2;
	return call_text_trimmed(rest).n ? 0 : 1;
}

/** Headers of a part: its type; what is left of `whole` is its body. */
static void part_read(struct call_part *p)
{
	struct slice rest = p->whole;

	p->type = SLICE("text/plain");
	while (rest.n) {
		struct slice line = call_text_line(&rest);
		const char *colon;

		if (!line.n)
			break;
		colon = memchr(line.p, ':', line.n);
		if (colon && slice_eq_nocase(call_text_trimmed((struct slice){ line.p, (size_t)(colon - line.p) }), SLICE("Content-Type")))
			p->type = call_text_trimmed((struct slice){ colon + 1, line.n - (size_t)(colon + 1 - line.p) });
	}
	p->body = rest;
}

/** The line end before a boundary belongs to it. */
static size_t without_end(const char *start, const char *end)
{
	if (end > start && end[-1] == '\n')
		end--;
	if (end > start && end[-1] == '\r')
		end--;
	return (size_t)(end - start);
}

unsigned call_parts_parse(struct slice body, struct slice boundary, struct call_part part[static CALL_PARTS])
{
	const char *start = NULL;
	unsigned n = 0;

	if (!boundary.n || boundary.n > BOUNDARY_MAX)
		return 0;
	while (body.n) {
		const char *at = body.p;
		int kind = boundary_of(call_text_line(&body), boundary);

		if (!kind)
			continue;
		if (start) {
			part[n].whole = (struct slice){ start, without_end(start, at) };
			part_read(&part[n]);
			n++;
		}
		if (kind == 2 || n == CALL_PARTS)
			return n;
		start = body.p;
	}
	/* the last boundary is missing: what stands there is taken all the same */
	if (start && n < CALL_PARTS) {
		part[n].whole = (struct slice){ start, (size_t)(body.p - start) };
		part_read(&part[n]);
		n++;
	}
	return n;
}

struct slice call_parts_boundary(struct slice type)
{
	const char *semi = memchr(type.p, ';', type.n);
	struct slice v = { NULL, 0 };

	if (semi)
		v = wire_param((struct slice){ semi + 1, type.n - (size_t)(semi + 1 - type.p) }, "boundary");
	if (v.n >= 2 && *v.p == '"' && v.p[v.n - 1] == '"') {
		v.p++;
		v.n -= 2;
	}
	return v;
}
