/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the secrets of a message stand: credentials (RFC 3261 sections 20.7 and 20.28), keys in SDP (RFC 4568, RFC 4567, k= of RFC 4566).
 * Goes from colon to colon and looks at the word before it, wherever lines begin and end: what a lax reader would take for a key is found too.
 */
#include <string.h>
#include <strings.h>

#include "postern/wire.h"

static bool is_blank(char c) { return c == ' ' || c == '\t'; }
static bool is_end(char c) { return c == '\r' || c == '\n'; }

static const char *line_end(const char *p, const char *end)
{
	while (p < end && !is_end(*p))
		p++;
	return p;
}

/** End of a header's value: a line that begins with a blank belongs to it. */
static const char *value_end(const char *p, const char *end)
{
	for (;;) {
		const char *q = p = line_end(p, end);

		if (q < end && *q == '\r')
			q++;
		if (q < end && *q == '\n')
			q++;
		if (q == p || q >= end || !is_blank(*q))
			return p;
		p = q;
	}
}

static const char *blank_skip(const char *p, const char *end)
{
	while (p < end && is_blank(*p))
		p++;
	return p;
}

static const char *token_skip(const char *p, const char *end)
{
	p = blank_skip(p, end);
	while (p < end && !is_blank(*p) && !is_end(*p))
		p++;
	return p;
}

static bool ends_with(const char *start, const char *p, const char *word, size_t n)
{
	return (size_t)(p - start) >= n && strncasecmp(p - n, word, n) == 0;
}

/** What follows the colon at p as a secret; empty where nothing does. Schemes, tags and suites stay to be read. */
static struct slice secret_at(const char *start, const char *colon, const char *end)
{
	const char *name = colon, *from = colon + 1, *to;

	while (name > start && is_blank(name[-1]))
		name--;
	/* most names end otherwise: authorization, crypto, key-mgmt */
	if (name == start || !strchr("nNoOtT", name[-1]))
		return (struct slice){ NULL, 0 };
	if (ends_with(start, name, "authorization", 13)) {
		to = value_end(from, end);
		if (blank_skip(token_skip(from, end), end) < to) /* a scheme, and more */
			from = blank_skip(token_skip(from, end), end);
	} else if (ends_with(start, name, "crypto", 6)) {
		from = blank_skip(token_skip(token_skip(from, end), end), end);
		if (end - from > 7 && strncasecmp(from, "inline:", 7) == 0)
			from += 7;
		to = line_end(from, end);
		if (from == to)
			from = colon + 1; /* something is missing: all of it */
	} else if (ends_with(start, name, "key-mgmt", 8)) {
		from = token_skip(from, end);
		to = line_end(from, end);
		if (blank_skip(from, end) == to)
			from = colon + 1;
	} else {
		return (struct slice){ NULL, 0 };
	}
	return (struct slice){ from, (size_t)(to - from) };
}

/** The value of the next line `k=`. */
static struct slice key_line(const char *start, const char *p, const char *end)
{
	while ((p = memchr(p, 'k', (size_t)(end - p)))) {
		if (p + 1 < end && p[1] == '=' && (p == start || is_end(p[-1]) || is_blank(p[-1])))
			return (struct slice){ p + 2, (size_t)(line_end(p + 2, end) - p - 2) };
		p++;
	}
	return (struct slice){ NULL, 0 };
}

size_t wire_secrets_find(struct slice text, struct slice *ret, size_t max)
{
	const char *start = text.p, *end = text.p + text.n, *p = text.p;
	struct slice k, s;
	size_t n = 0;

	if (!text.n)
		return 0;
	k = key_line(start, p, end);
	while ((p = memchr(p, ':', (size_t)(end - p))) || k.p) {
		s = p ? secret_at(start, p, end) : (struct slice){ NULL, 0 };
		if (k.p && (!p || k.p <= p)) { /* they come in the order in which they stand */
			s = k;
			p = k.p + k.n;
			k = key_line(start, p, end);
		} else {
			p = s.p ? s.p + s.n : p + 1;
		}
		if (s.n && n + 1 == max) {
			ret[n++] = (struct slice){ s.p, (size_t)(end - s.p) };
			return n;
		}
		if (s.n)
			ret[n++] = s;
		while (k.p && k.p < p)
			k = key_line(start, p, end);
	}
	return n;
}
