/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON values of what state memory holds. Its text came from peers: it may be any bytes.
 */
#include <stdlib.h>

#include "ctl/ctl.h"

/** Length of the UTF-8 sequence at p (RFC 3629), 0 where there is none. */
static size_t utf8_len(const unsigned char *p, size_t n)
{
	static const struct { unsigned char first, last, low, high; size_t len; } form[] = {
		{ 0x00, 0x7f, 0, 0, 1 }, { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};
	size_t f = 0, i;

	while (f < ARRAY_LEN(form) && (p[0] < form[f].first || p[0] > form[f].last))
		f++;
	if (f == ARRAY_LEN(form) || form[f].len > n)
		return 0;
	if (form[f].len > 1 && (p[1] < form[f].low || p[1] > form[f].high))
		return 0;
	for (i = 2; i < form[f].len; i++)
		if (p[i] < 0x80 || p[i] > 0xbf)
			return 0;
	return form[f].len;
}

/** The slow way: every byte that fits no sequence becomes U+FFFD. */
static json_t *text_mended(struct slice s)
{
	const unsigned char *p = (const unsigned char *)s.p, *end = p + s.n;
	char *buf = malloc(3 * s.n + 1), *q = buf;
	json_t *v;
	size_t n;

	if (!buf)
		return NULL;
	while (p < end) {
		n = utf8_len(p, (size_t)(end - p));
		memcpy(q, n ? (const char *)p : "\xef\xbf\xbd", n ? n : 3);
		q += n ? n : 3;
		p += n ? n : 1;
	}
	v = json_stringn_nocheck(buf, (size_t)(q - buf));
	free(buf);
	return v;
}

json_t *ctl_text(struct slice s)
{
	json_t *v = json_stringn(s.p ? s.p : "", s.n);

	return v ? v : text_mended(s);
}

json_t *ctl_time(int64_t wall_ms)
{
	char buf[32];

	return wall_ms > 0 ? json_string(base_time_rfc3339(wall_ms, buf)) : json_null();
}

const void *ctl_region(const struct loop_shm *m, uint32_t id, size_t *ret_bytes)
{
	return m ? loop_shm_region(m, id, ret_bytes) : NULL;
}

json_t *ctl_page(json_t *items, const char *next)
{
	return json_pack("{s:o, s:o}", "items", items, "next", next ? json_string(next) : json_null());
}

struct slice ctl_bounded(const char *s, size_t size)
{
	return (struct slice){ s, strnlen(s, size) };
}
