/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All headers of a message that Sofia parsed, as text, in message order (RFC 3261 section 7.3).
 *
 * Where the text comes from: a header that Sofia parses as one string is that string. Of the others the raw bytes are used where
 * Sofia has them (it does when it parsed a copy, MSG_DO_EXTRACT_COPY) and they hold this value alone; otherwise the class's own
 * printer writes the value, which may differ from what came in form, never in meaning. Folded lines are unfolded.
 */
#include <sofia-sip/msg_header.h>
#include <sofia-sip/msg_parser.h>
#include <sofia-sip/msg_protos.h>
#include <sofia-sip/sip.h>
#include <sofia-sip/sip_header.h>

#include "postern/wire.h"
#include "wire/chars.h"

/* compact forms that Sofia has no class for (RFC 8224, RFC 4474) */
static const struct { char compact; const char *name; } compact[] = {
	{ 'y', "Identity" }, { 'n', "Identity-Info" },
};

static struct slice long_name(struct slice name)
{
	if (name.n != 1)
		return name;
	for (size_t i = 0; i < ARRAY_LEN(compact); i++)
		if ((name.p[0] | 0x20) == compact[i].compact)
			return slice_str(compact[i].name);
	return name;
}

static bool is_unknown(const msg_header_t *h)
{
	return h->sh_class->hc_hash == sip_unknown_class->hc_hash;
}

/* lines of headers, not the start line, the separator, the body or what could not be parsed */
static bool is_header(const msg_header_t *h)
{
	return is_unknown(h) || (h->sh_class->hc_hash > 0 && h->sh_class->hc_name && h->sh_class->hc_len > 0);
}

static struct slice header_name(const msg_header_t *h)
{
	return is_unknown(h) ? long_name(slice_str(h->sh_unknown->un_name)) : slice_str(h->sh_class->hc_name);
}

/* The value's raw bytes, p NULL where Sofia did not keep them or they hold further values, or a NUL. */
static struct slice raw_value(const msg_header_t *h)
{
	const struct slice none = { NULL, 0 };
	const char *line = h->sh_data, *colon;
	const msg_header_t *next = h->sh_succ;

	if (!line || !h->sh_len || memchr(line, 0, h->sh_len))
		return none;
	if (next && next->sh_class == h->sh_class && next->sh_data == line + h->sh_len && !next->sh_len)
		return none;
	colon = memchr(line, ':', h->sh_len);
	if (!colon)
		return none;
	return wire_trim((struct slice){ colon + 1, (size_t)(line + h->sh_len - colon - 1) });
}

/* the value as one string of Sofia's or as raw bytes, p NULL where there is neither */
static struct slice direct_value(const msg_header_t *h)
{
	if (is_unknown(h))
		return wire_trim(slice_str(h->sh_unknown->un_value));
	if (h->sh_class->hc_print == msg_generic_e)
		return wire_trim(slice_str(h->sh_generic->g_string));
	return raw_value(h);
}

/* works in place, too: it never writes ahead of where it reads */
struct slice wire_unfold(struct slice v, char *buf, size_t size)
{
	size_t n = 0;

	if (!v.n || (!memchr(v.p, '\r', v.n) && !memchr(v.p, '\n', v.n)))
		return v;
	for (size_t i = 0; i < v.n; i++) {
		bool fold = v.p[i] == '\r' || v.p[i] == '\n';

		if (n == size)
			return (struct slice){ NULL, 0 };
		buf[n++] = fold ? ' ' : v.p[i];
		while (fold && i + 1 < v.n && wire_is_white(v.p[i + 1]))
			i++;
	}
	return (struct slice){ buf, n };
}

static struct slice value_text(const msg_header_t *h, char *buf, size_t size, bool *ret_folded)
{
	struct slice v = direct_value(h);
	issize_t n;

	if (!v.p) {
		n = msg_header_field_e(buf, size, h, 0);
		if (n < 0 || (size_t)n >= size)
			return (struct slice){ NULL, 0 };
		v = (struct slice){ buf, (size_t)n };
	}
	*ret_folded = v.n && memchr(v.p, '\n', v.n); /* also what a class printed may hold a fold */
	return wire_unfold(v, buf, size);
}

/* The chain of a parsed message begins with its start line. */
static const msg_header_t *first_fragment(const struct wire_sip *m)
{
	const sip_t *s = (const sip_t *)(const void *)m;

	if (s->sip_request)
		return (const msg_header_t *)s->sip_request;
	return (const msg_header_t *)s->sip_status;
}

static const msg_header_t *next_header(const msg_header_t *h)
{
	while (h && !is_header(h))
		h = h->sh_succ;
	return h;
}

void wire_sip_headers(const struct wire_sip *m, struct wire_headers *it)
{
	it->next = next_header(first_fragment(m));
}

bool wire_headers_step(struct wire_headers *it, struct wire_header *ret)
{
	const msg_header_t *h = it->next;

	if (!h)
		return false;
	ret->name = header_name(h);
	ret->folded = false;
	ret->value = (struct slice){ NULL, 0 };
	ret->opaque = h;
	it->next = next_header(h->sh_succ);
	return true;
}

void wire_headers_value(struct wire_headers *it, struct wire_header *h)
{
	h->value = value_text(h->opaque, it->buf, sizeof(it->buf), &h->folded);
}

bool wire_headers_next(struct wire_headers *it, struct wire_header *ret)
{
	if (!wire_headers_step(it, ret))
		return false;
	wire_headers_value(it, ret);
	return true;
}

static bool named(const msg_header_t *h, struct slice name)
{
	const msg_hclass_t *c = h->sh_class;

	if (!is_unknown(h) && name.n == 1 && c->hc_short[0])
		return (name.p[0] | 0x20) == c->hc_short[0];
	return slice_eq_nocase(header_name(h), name);
}

struct slice wire_sip_header(const struct wire_sip *m, const char *name, char *buf, size_t size)
{
	struct slice want = long_name(slice_str(name));
	const msg_header_t *h;
	bool folded;

	for (h = next_header(first_fragment(m)); h; h = next_header(h->sh_succ))
		if (named(h, want))
			return value_text(h, buf, size, &folded);
	return (struct slice){ NULL, 0 };
}
