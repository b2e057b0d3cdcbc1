/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of headers without the hosts of the side that they came from (design.md section 4, 'What goes out'): users stay, hosts become ours.
 * Which header is of which kind is headers.c's. Text in, text out; what cannot be read is left out.
 */
#include "call/b2b.h"

/** A host that hides by itself stays (RFC 3261 8.1.1.3, RFC 3323). */
static bool host_is_invalid(struct slice host)
{
	static const char tail[] = ".invalid";

	return host.n >= sizeof tail - 1 && slice_eq_nocase((struct slice){ host.p + host.n - (sizeof tail - 1), sizeof tail - 1 }, SLICE(".invalid"));
}

static bool starts(struct slice s, struct slice head)
{
	return s.n >= head.n && slice_eq_nocase((struct slice){ s.p, head.n }, head);
}

/** The next piece of a list up to `stop`, quotes kept together; the list goes on behind it. False: that was all. */
static bool next_piece(struct slice *s, char stop, struct slice *ret)
{
	bool quote = false;
	size_t i;

	if (!s->n)
		return false;
	for (i = 0; i < s->n && (quote || s->p[i] != stop); i++) {
		if (quote && s->p[i] == '\\' && i + 1 < s->n)
			i++;
		else if (s->p[i] == '"')
			quote = !quote;
	}
	*ret = (struct slice){ s->p, i };
	i += i < s->n;
	s->p += i;
	s->n -= i;
	return true;
}

static struct slice without_port(struct slice agent)
{
	const char *end = agent.n && *agent.p == '[' ? memchr(agent.p, ']', agent.n) : NULL, *colon;

	if (end)
		return (struct slice){ agent.p, (size_t)(end + 1 - agent.p) };
	colon = memchr(agent.p, ':', agent.n);
	return colon ? (struct slice){ agent.p, (size_t)(colon - agent.p) } : agent;
}

/** Does a parameter hold an address by itself (`cid` of Referred-By, `maddr` of a URI without brackets)? */
static bool names_a_host(struct slice param)
{
	const char *eq = memchr(param.p, '=', param.n);
	union base_addr a;
	struct slice v;

	if (memchr(param.p, '@', param.n) || starts(param, SLICE("maddr")) || starts(param, SLICE("received")))
		return true;
	if (!eq)
		return false;
	v = call_text_trimmed((struct slice){ eq + 1, param.n - (size_t)(eq + 1 - param.p) });
	if (v.n > 1 && *v.p == '"')
		v = (struct slice){ v.p + 1, v.n - 2 };
	return !base_addr_parse(without_port(v), 0, &a);
}

/** Parameters behind an address: all but those that hold an address. */
static void header_params(struct text *t, struct slice rest)
{
	struct slice one;

	while (next_piece(&rest, ';', &one)) {
		one = call_text_trimmed(one);
		if (!one.n || names_a_host(one))
			continue;
		text_add(t, ";");
		text_slice(t, one);
	}
}

/** What says why the call came there, and names nobody: user=phone, cause (RFC 4458), ?Reason and ?Privacy (RFC 7044). */
static void uri_extras(struct text *t, const struct wire_uri *u)
{
	struct slice cause = wire_param(u->params, "cause"), rest = u->headers, one;
	bool first = true;

	if (slice_eq_nocase(wire_param(u->params, "user"), SLICE("phone")))
		text_add(t, ";user=phone");
	if (cause.n) {
		text_add(t, ";cause=");
		text_slice(t, cause);
	}
	while (next_piece(&rest, '&', &one)) {
		if (!starts(one, SLICE("Reason=")) && !starts(one, SLICE("Privacy=")))
			continue;
		text_add(t, first ? "?" : "&");
		text_slice(t, one);
		first = false;
	}
}

void call_hide_address(struct text *out, struct slice one, struct slice host)
{
	struct wire_addr a = { .display = { NULL, 0 } };

	if (wire_addr_parse(one, &a) || !a.uri.host.n) {
		if (slice_eq_nocase(a.uri.scheme, SLICE("tel")))
			text_slice(out, one);
		return;
	}
	text_slice(out, (struct slice){ one.p, (size_t)(a.uri.scheme.p - one.p) });
	text_slice(out, a.uri.scheme);
	text_add(out, ":");
	if (a.uri.user.n) {
		text_slice(out, a.uri.user);
		text_add(out, "@");
	}
	text_slice(out, host_is_invalid(a.uri.host) ? a.uri.host : host);
	uri_extras(out, &a.uri);
	if (memchr(a.uri.host.p, '>', (size_t)(one.p + one.n - a.uri.host.p)))
		text_add(out, ">");
	header_params(out, a.params);
}

/** Length of the first element of a comma list, quotes and angle brackets kept together. */
static size_t element_length(struct slice s)
{
	bool quote = false, angle = false;
	size_t i;

	for (i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == ',' && !quote && !angle)
			break;
		if (quote && c == '\\')
			i++;
		else if (c == '"' && !angle)
			quote = !quote;
		else if ((c == '<' || c == '>') && !quote)
			angle = c == '<';
	}
	return i < s.n ? i : s.n;
}

static bool next_element(struct slice *s, struct slice *ret)
{
	while (s->n && strchr(" ,\t", *s->p)) {
		s->p++;
		s->n--;
	}
	ret->p = s->p;
	ret->n = element_length(*s);
	s->p += ret->n;
	s->n -= ret->n;
	return ret->n != 0;
}

void call_hide_list(struct text *t, struct slice list, struct slice host)
{
	struct slice one;

	while (next_element(&list, &one)) {
		size_t before = t->n, mark;

		if (t->n)
			text_add(t, ", ");
		mark = t->n;
		call_hide_address(t, one, host);
		if (t->n == mark)
			t->n = before;
		t->p[t->n] = 0;
	}
}

/** scheme:rest of any kind: sip keeps its user, another with an authority keeps nothing but the scheme, one without (urn, cid, data) names no host. */
static void hide_uri(struct text *t, struct slice uri, struct slice host)
{
	const char *colon = memchr(uri.p, ':', uri.n);
	struct slice rest;

	if (!colon)
		return;
	rest = (struct slice){ colon + 1, uri.n - (size_t)(colon + 1 - uri.p) };
	if (starts(uri, SLICE("sip:")) || starts(uri, SLICE("sips:"))) {
		call_hide_address(t, uri, host);
	} else if (rest.n > 1 && rest.p[0] == '/' && rest.p[1] == '/') {
		text_slice(t, (struct slice){ uri.p, (size_t)(colon - uri.p) });
		text_add(t, "://");
		text_slice(t, host);
	} else {
		text_slice(t, uri);
	}
}

void call_hide_uris(struct text *t, struct slice v, struct slice host)
{
	size_t i;

	for (i = 0; i < v.n;) {
		const char *lt = memchr(v.p + i, '<', v.n - i), *gt = lt ? memchr(lt, '>', v.n - (size_t)(lt - v.p)) : NULL;

		if (!gt) {
			text_slice(t, (struct slice){ v.p + i, v.n - i });
			return;
		}
		text_slice(t, (struct slice){ v.p + i, (size_t)(lt - v.p) + 1 - i });
		hide_uri(t, (struct slice){ lt + 1, (size_t)(gt - lt - 1) }, host);
		text_add(t, ">");
		i = (size_t)(gt - v.p) + 1;
	}
}

/** Text with every mention of a host replaced. */
static void replace_all(struct text *t, struct slice in, struct slice what, struct slice with)
{
	size_t i;

	for (i = 0; what.n && i + what.n <= in.n;) {
		if (memcmp(in.p + i, what.p, what.n)) {
			i++;
			continue;
		}
		text_slice(t, (struct slice){ in.p, i });
		text_slice(t, with);
		in.p += i + what.n;
		in.n -= i + what.n;
		i = 0;
	}
	text_slice(t, in);
}

void call_hide_agents(struct text *t, struct slice list, struct slice host)
{
	struct slice one;

	while (next_element(&list, &one)) {
		const char *a = memchr(one.p, ' ', one.n), *b = a ? memchr(a + 1, ' ', one.n - (size_t)(a + 1 - one.p)) : NULL;

		if (!b)
			continue;
		if (t->n)
			text_add(t, ", ");
		text_slice(t, (struct slice){ one.p, (size_t)(a + 1 - one.p) });
		text_slice(t, host);
		replace_all(t, (struct slice){ b, one.n - (size_t)(b - one.p) }, without_port((struct slice){ a + 1, (size_t)(b - a - 1) }), host);
	}
}
