/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SIP, SIPS and tel URIs, and name-addr (RFC 3261 section 19.1, 20.10 and 25.1; RFC 3966), from text into slices of it.
 * Escapes are checked and kept. Does not compare URIs and does not look into other schemes.
 */
#include "postern/wire.h"
#include "wire/chars.h"

/* Cut `s` before the first of `c`; what follows it, or an empty slice. False where it is not there. */
static bool cut(struct slice *s, char c, struct slice *ret_rest)
{
	const char *at = s->n ? memchr(s->p, c, s->n) : NULL;

	*ret_rest = (struct slice){ s->p + s->n, 0 };
	if (!at)
		return false;
	*ret_rest = (struct slice){ at + 1, (size_t)(s->p + s->n - at - 1) };
	s->n = (size_t)(at - s->p);
	return true;
}

/* no spaces, controls, quotes or angle brackets; `%` only before two hex digits */
static bool uri_chars(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c <= ' ' || c == 0x7f || c == '"' || c == '<' || c == '>')
			return false;
		if (c == '%' && (i + 2 >= s.n || !wire_is_hex(s.p[i + 1]) || !wire_is_hex(s.p[i + 2])))
			return false;
	}
	return true;
}

static int parse_host(struct slice h)
{
	struct slice in;
	union base_addr a;

	if (!h.n)
		return ERR_PROTO;
	if (h.p[0] == '[') {
		in = (struct slice){ h.p + 1, h.n - 1 };
		if (!in.n || in.p[in.n - 1] != ']')
			return ERR_PROTO;
		in.n--;
		return base_addr_parse(in, 0, &a) || a.sa.sa_family != AF_INET6 ? ERR_PROTO : 0;
	}
	for (size_t i = 0; i < h.n; i++)
		if (!wire_is_alnum(h.p[i]) && h.p[i] != '.' && h.p[i] != '-' && h.p[i] != '_')
			return ERR_PROTO;
	return 0;
}

static int parse_hostport(struct slice s, struct wire_uri *u)
{
	const char *close = s.n && s.p[0] == '[' ? memchr(s.p, ']', s.n) : NULL;
	size_t skip = close ? (size_t)(close - s.p) + 1 : 0;
	struct slice tail = { s.p + skip, s.n - skip };
	uint64_t port;

	if (cut(&tail, ':', &u->port) && (slice_u64(u->port, 65535, &port) || !port))
		return ERR_PROTO;
	u->host = (struct slice){ s.p, skip + tail.n };
	return parse_host(u->host);
}

/* [user[:password]@]host[:port][;params][?headers]; the user may hold ; ? and / (RFC 3261 section 25.1) */
static int parse_sip(struct slice s, struct wire_uri *u)
{
	struct slice rest;

	if (cut(&s, '@', &rest)) {
		u->user = s;
		cut(&u->user, ':', &u->password);
		if (!u->user.n)
			return ERR_PROTO;
		s = rest;
		if (s.n && memchr(s.p, '@', s.n))
			return ERR_PROTO;
	}
	cut(&s, '?', &u->headers);
	cut(&s, ';', &u->params);
	return parse_hostport(s, u);
}

static int parse_opaque(struct slice s, struct wire_uri *u)
{
	cut(&s, '?', &u->headers);
	cut(&s, ';', &u->params);
	u->user = s;
	return s.n ? 0 : ERR_PROTO;
}

static bool is_scheme(struct slice s)
{
	if (!s.n || !wire_is_alnum(s.p[0]) || wire_is_digit(s.p[0]))
		return false;
	for (size_t i = 1; i < s.n; i++)
		if (!wire_is_alnum(s.p[i]) && s.p[i] != '+' && s.p[i] != '-' && s.p[i] != '.')
			return false;
	return true;
}

int wire_uri_parse(struct slice text, struct wire_uri *ret)
{
	struct slice none = { text.p + text.n, 0 };
	struct wire_uri u = { .user = none, .password = none, .host = none, .port = none, .params = none, .headers = none };
	struct slice rest;
	int err;

	u.scheme = text;
	if (!cut(&u.scheme, ':', &rest) || !is_scheme(u.scheme) || !uri_chars(rest))
		return ERR_PROTO;
	if (slice_eq_nocase(u.scheme, SLICE("sip")) || slice_eq_nocase(u.scheme, SLICE("sips")))
		err = parse_sip(rest, &u);
	else
		err = parse_opaque(rest, &u);
	if (!err)
		*ret = u;
	return err;
}

/* The text after a quoted string that begins at s, or 0 where it does not end. */
static size_t quoted_len(struct slice s)
{
	for (size_t i = 1; i < s.n; i++) {
		if (s.p[i] == '\\')
			i++;
		else if (s.p[i] == '"')
			return i + 1;
	}
	return 0;
}

/* One `;name[=value]` off the front; quoted values may hold `;`. False at the end or where a quoted value does not end. */
static bool next_param(struct slice *rest, struct slice *ret_name, struct slice *ret_value)
{
	size_t i = 0, q;
	struct slice whole;

	while (rest->n && (rest->p[0] == ';' || wire_is_white(rest->p[0]))) {
		rest->p++;
		rest->n--;
	}
	if (!rest->n)
		return false;
	while (i < rest->n && rest->p[i] != ';') {
		q = rest->p[i] == '"' ? quoted_len((struct slice){ rest->p + i, rest->n - i }) : 1;
		if (!q)
			return false;
		i += q;
	}
	whole = (struct slice){ rest->p, i };
	rest->p += i;
	rest->n -= i;
	cut(&whole, '=', ret_value);
	*ret_name = wire_trim(whole);
	*ret_value = wire_trim(*ret_value);
	return true;
}

struct slice wire_param(struct slice params, const char *name)
{
	struct slice key, value, want = slice_str(name);

	while (next_param(&params, &key, &value))
		if (slice_eq_nocase(key, want))
			return value;
	return (struct slice){ NULL, 0 };
}

/* display name: quoted string, or tokens before `<` */
static int parse_display(struct slice *rest, struct slice *ret_display)
{
	size_t q;
	const char *open;

	if (rest->n && rest->p[0] == '"') {
		q = quoted_len(*rest);
		if (!q)
			return ERR_PROTO;
		*ret_display = (struct slice){ rest->p + 1, q - 2 };
		*rest = wire_trim((struct slice){ rest->p + q, rest->n - q });
		return rest->n && rest->p[0] == '<' ? 0 : ERR_PROTO;
	}
	open = memchr(rest->p, '<', rest->n);
	if (!open)
		return 0;
	*ret_display = wire_trim((struct slice){ rest->p, (size_t)(open - rest->p) });
	*rest = (struct slice){ open, (size_t)(rest->p + rest->n - open) };
	return ret_display->n && (memchr(ret_display->p, '"', ret_display->n) || memchr(ret_display->p, '\\', ret_display->n)) ? ERR_PROTO : 0;
}

/* Every parameter must be readable: an open quote would hide what follows. */
static int check_params(struct slice params)
{
	struct slice key, value;

	while (next_param(&params, &key, &value))
		if (!key.n)
			return ERR_PROTO;
	return params.n ? ERR_PROTO : 0;
}

int wire_addr_parse(struct slice text, struct wire_addr *ret)
{
	struct wire_addr a = { .display = { text.p, 0 } };
	struct slice rest = wire_trim(text), uri, tail;
	int err;

	if (!rest.n)
		return ERR_PROTO;
	err = parse_display(&rest, &a.display);
	if (err)
		return err;
	if (rest.n && rest.p[0] == '<') {
		uri = (struct slice){ rest.p + 1, rest.n - 1 };
		if (!cut(&uri, '>', &tail))
			return ERR_PROTO;
		tail = wire_trim(tail);
		if (tail.n && tail.p[0] != ';')
			return ERR_PROTO;
		a.params = tail.n ? (struct slice){ tail.p + 1, tail.n - 1 } : tail;
	} else {
		uri = rest; /* parameters belong to the header here */
		cut(&uri, ';', &a.params);
		if (memchr(uri.p, '?', uri.n))
			return ERR_PROTO;
	}
	err = wire_uri_parse(wire_trim(uri), &a.uri);
	if (!err)
		err = check_params(a.params);
	if (err)
		return err;
	a.tag = wire_param(a.params, "tag");
	*ret = a;
	return 0;
}
