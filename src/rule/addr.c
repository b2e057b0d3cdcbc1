/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parts of addresses: Request-URI, From, To, Contact and headers like P-Asserted-Identity (RFC 3261 section 20.10).
 * Reads and writes the first value of a header; the others stay as they are.
 */
#include "rule/rule.h"

static bool is_ruri(const struct rule_path *p)
{
	return !*p->field->header;
}

/** First value of the header line at hand, and what follows it. */
static struct slice first_value(struct slice line)
{
	return rule_list_member(line, ',', 0);
}

static int addr_load(struct rule_eval *e, const struct rule_path *p, struct wire_addr *ret)
{
	struct slice name = slice_str(p->field->header), v;

	memset(ret, 0, sizeof *ret);
	if (is_ruri(p)) {
		v = e->ops->ruri(e->m);
		return v.p ? wire_uri_parse(v, &ret->uri) : ERR_NOTFOUND;
	}
	if (e->ops->addr)
		return e->ops->addr(e->m, name, ret);
	v = e->ops->header(e->m, name, 0);
	if (!v.p)
		return ERR_NOTFOUND;
	v = first_value(v);
	return v.p ? wire_addr_parse(v, ret) : ERR_PROTO;
}

static struct rule_got text_or_none(struct slice s)
{
	return (struct rule_got){ .there = s.n > 0, .s = s };
}

/** Value of `name` in `a=b&c=d`. */
static struct slice uri_header(struct slice h, struct slice name)
{
	struct slice m;

	for (unsigned i = 0; (m = rule_list_member(h, '&', i)).p; i++) {
		const char *eq = memchr(m.p, '=', m.n);

		if (eq && slice_eq_nocase((struct slice){ m.p, (size_t)(eq - m.p) }, name))
			return (struct slice){ eq + 1, m.n - (size_t)(eq + 1 - m.p) };
	}
	return (struct slice){ NULL, 0 };
}

static struct slice param_get(struct slice params, struct slice name)
{
	char key[64];
	struct slice v = { NULL, 0 };

	if (params.n && slice_copy(key, sizeof key, name))
		v = wire_param(params, key);
	if (v.n >= 2 && v.p[0] == '"')
		v = (struct slice){ v.p + 1, v.n - 2 };
	return v;
}

static struct rule_got got_port(struct slice port)
{
	struct rule_got g = { .is_num = true };
	uint64_t n;

	g.there = port.n && !slice_u64(port, 65535, &n);
	g.num = g.there ? (int64_t)n : 0;
	return g;
}

struct rule_got rule_addr_get(struct rule_eval *e, const struct rule_path *p, unsigned index)
{
	struct slice name = slice_str(p->field->header), v;
	struct wire_addr a;

	if (p->part->part == RULE_WHOLE && !is_ruri(p)) {
		v = e->ops->header(e->m, name, index);
		return (struct rule_got){ .there = v.p != NULL, .s = v };
	}
	if (index)
		return (struct rule_got){ 0 };
	if (p->part->part == RULE_WHOLE) {
		v = e->ops->ruri(e->m);
		return (struct rule_got){ .there = v.p != NULL, .s = v };
	}
	if (addr_load(e, p, &a))
		return (struct rule_got){ 0 };
	switch (p->part->part) {
	case RULE_DISPLAY: return text_or_none(a.display);
	case RULE_SCHEME: return text_or_none(a.uri.scheme);
	case RULE_USER: return text_or_none(a.uri.user);
	case RULE_HOST: return text_or_none(a.uri.host);
	case RULE_URI_PORT: return got_port(a.uri.port);
	case RULE_PARAMS:
		v = param_get(a.uri.params, p->sub);
		if (!v.p)
			v = param_get(a.params, p->sub);
		return (struct rule_got){ .there = v.p != NULL, .s = v };
	default:
		v = uri_header(a.uri.headers, p->sub);
		return (struct rule_got){ .there = v.p != NULL, .s = v };
	}
}

/* ---- writing ---- */
/** Does a value fit the place where it goes? Nothing from a message may end a URI, quote or line before its time. */
static bool value_fits(enum rule_part part, struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c < ' ' || c == 0x7f)
			return false;
		if (part == RULE_DISPLAY)
			continue;
		if (strchr(" <>\"@", c) || (part != RULE_USER && strchr(";?,", c)) || (part == RULE_HEADERS && c == '&'))
			return false;
	}
	return true;
}

/** `a;b=c` without one parameter, or with a new value of it where it stands. value.p NULL: removed; n 0: a flag. True: it was there. */
static bool params_edit(struct rule_out *o, struct slice params, char sep, struct slice name, struct slice value, bool drop)
{
	struct slice m;
	bool hit = false;
	size_t start = o->n;

	for (unsigned i = 0; (m = rule_list_member(params, sep, i)).p; i++) {
		const char *eq = memchr(m.p, '=', m.n);
		struct slice key = { m.p, eq ? (size_t)(eq - m.p) : m.n };

		while (key.n && key.p[key.n - 1] == ' ')
			key.n--;
		if (slice_eq_nocase(key, name)) {
			hit = true;
			if (drop)
				continue;
			m = key;
		}
		if (o->n > start)
			rule_out_add(o, "%c", sep);
		rule_out_slice(o, m);
		if (slice_eq_nocase(key, name) && value.n)
			rule_out_add(o, "=%.*s", (int)value.n, value.p);
	}
	return hit;
}

static void params_add(struct rule_out *o, char sep, struct slice name, struct slice value)
{
	if (o->n)
		rule_out_add(o, "%c", sep);
	rule_out_slice(o, name);
	if (value.n || sep == '&')
		rule_out_add(o, "=%.*s", (int)value.n, value.p);
}

/** New texts of the parameters, within the URI or behind it. */
static int edit_params(const struct rule_path *p, struct wire_addr *a, struct slice value, struct rule_out *uri, struct rule_out *hdr)
{
	bool drop = !value.p, in_uri, in_hdr, header_first;

	in_uri = params_edit(uri, a->uri.params, ';', p->sub, value, drop);
	in_hdr = !in_uri && params_edit(hdr, a->params, ';', p->sub, value, drop);
	if (in_uri)
		params_edit(hdr, a->params, ';', (struct slice){ "", 0 }, value, false);
	header_first = !strcmp(p->field->name, "diversion") || !strcmp(p->field->name, "remote-party-id");
	if (!in_uri && !in_hdr && drop)
		return 0;
	if (!in_uri && !in_hdr)
		params_add(header_first ? hdr : uri, ';', p->sub, value);
	a->uri.params = (struct slice){ uri->p ? uri->p : "", uri->n };
	a->params = (struct slice){ hdr->p ? hdr->p : "", hdr->n };
	return 1;
}

static int edit_headers(const struct rule_path *p, struct wire_addr *a, struct slice value, struct rule_out *uri)
{
	bool hit = params_edit(uri, a->uri.headers, '&', p->sub, value, !value.p);

	if (!hit && !value.p)
		return 0;
	if (!hit)
		params_add(uri, '&', p->sub, value);
	a->uri.headers = (struct slice){ uri->p ? uri->p : "", uri->n };
	return 1;
}

static int edit_slice(struct slice *at, struct slice value, bool nocase)
{
	if (nocase ? slice_eq_nocase(*at, value) : slice_eq(*at, value))
		return 0;
	*at = value.p ? value : (struct slice){ "", 0 };
	return 1;
}

static void print_display(struct rule_out *o, struct slice s)
{
	if (!s.n)
		return;
	rule_out_slice(o, SLICE("\""));
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\\' && i + 1 < s.n)
			rule_out_slice(o, (struct slice){ s.p + i++, 1 });
		else if (s.p[i] == '"' || s.p[i] == '\\')
			rule_out_slice(o, SLICE("\\"));
		rule_out_slice(o, (struct slice){ s.p + i, 1 });
	}
	rule_out_slice(o, SLICE("\" "));
}

static void print_uri(struct rule_out *o, const struct wire_uri *u)
{
	rule_out_slice(o, u->scheme);
	rule_out_slice(o, SLICE(":"));
	rule_out_slice(o, u->user);
	if (u->password.n)
		rule_out_add(o, ":%.*s", (int)u->password.n, u->password.p);
	if (u->user.n && u->host.n)
		rule_out_slice(o, SLICE("@"));
	rule_out_slice(o, u->host);
	if (u->port.n)
		rule_out_add(o, ":%.*s", (int)u->port.n, u->port.p);
	if (u->params.n)
		rule_out_add(o, ";%.*s", (int)u->params.n, u->params.p);
	if (u->headers.n)
		rule_out_add(o, "?%.*s", (int)u->headers.n, u->headers.p);
}

/** Put the edited value in the place of the first one. */
static int addr_store(struct rule_eval *e, const struct rule_path *p, const struct wire_addr *a)
{
	struct slice name = slice_str(p->field->header), line, first;
	struct rule_out o = { 0 };
	struct wire_addr again;
	int err;

	if (is_ruri(p)) {
		print_uri(&o, &a->uri);
		err = o.failed ? -ENOMEM : wire_uri_parse((struct slice){ o.p, o.n }, &again.uri);
		err = err ? err : e->ops->set_ruri(e->m, (struct slice){ o.p, o.n });
		rule_out_free(&o);
		return err ? err : 1;
	}
	print_display(&o, a->display);
	rule_out_slice(&o, SLICE("<"));
	print_uri(&o, &a->uri);
	rule_out_slice(&o, SLICE(">"));
	if (a->params.n)
		rule_out_add(&o, ";%.*s", (int)a->params.n, a->params.p);
	err = o.failed ? -ENOMEM : wire_addr_parse((struct slice){ o.p, o.n }, &again);
	line = e->ops->header(e->m, name, 0);
	first = line.p ? first_value(line) : line;
	if (first.p)
		rule_out_slice(&o, (struct slice){ first.p + first.n, line.n - (size_t)(first.p + first.n - line.p) });
	if (!err)
		err = line.p ? e->ops->set_header(e->m, name, 0, (struct slice){ o.p, o.n }) : e->ops->add_header(e->m, name, (struct slice){ o.p, o.n });
	rule_out_free(&o);
	return err ? err : 1;
}

/** An address that is not there yet begins as sip: and the host of From. */
static int addr_new(struct rule_eval *e, struct wire_addr *ret)
{
	struct slice v = e->ops->header(e->m, SLICE("From"), 0);
	struct wire_addr from;
	int err = v.p ? wire_addr_parse(v, &from) : ERR_NOTFOUND;

	if (err)
		return err;
	memset(ret, 0, sizeof *ret);
	ret->uri.scheme = SLICE("sip");
	ret->uri.host = from.uri.host.n ? from.uri.host : SLICE("anonymous.invalid");
	return 0;
}

static int set_whole(struct rule_eval *e, const struct rule_path *p, struct slice value)
{
	struct slice name = slice_str(p->field->header), have;
	struct wire_addr a;
	int err;

	if (is_ruri(p)) {
		err = wire_uri_parse(value, &a.uri);
		return err ? err : (err = e->ops->set_ruri(e->m, value)) ? err : 1;
	}
	err = wire_addr_parse(first_value(value).p ? first_value(value) : value, &a);
	if (err)
		return err;
	have = e->ops->header(e->m, name, 0);
	if (have.p && slice_eq(have, value))
		return 0;
	err = have.p ? e->ops->set_header(e->m, name, 0, value) : e->ops->add_header(e->m, name, value);
	return err ? err : 1;
}

/** tel: has no host, sip: needs one. */
static int edit_scheme(struct wire_addr *a, struct slice value)
{
	if (!slice_eq_nocase(value, SLICE("sip")) && !slice_eq_nocase(value, SLICE("sips")) && !slice_eq_nocase(value, SLICE("tel")))
		return ERR_PROTO;
	if (slice_eq_nocase(value, SLICE("tel"))) {
		if (!a->uri.user.n)
			return ERR_PROTO;
		a->uri.host = a->uri.port = a->uri.password = (struct slice){ "", 0 };
	}
	return edit_slice(&a->uri.scheme, value, true);
}

static int edit_part(const struct rule_path *p, struct wire_addr *a, struct slice value, struct rule_out *uri, struct rule_out *hdr)
{
	switch (p->part->part) {
	case RULE_DISPLAY: return edit_slice(&a->display, value, false);
	case RULE_SCHEME: return edit_scheme(a, value);
	case RULE_USER: return edit_slice(&a->uri.user, value, false);
	case RULE_HOST:
		if (!value.n)
			return ERR_PROTO;
		if (!a->uri.host.n) /* a tel: URI becomes sip: */
			a->uri.scheme = SLICE("sip");
		return edit_slice(&a->uri.host, value, true);
	case RULE_URI_PORT: return edit_slice(&a->uri.port, value, false);
	case RULE_PARAMS: return edit_params(p, a, value, uri, hdr);
	case RULE_HEADERS: return edit_headers(p, a, value, uri);
	default: return ERR_UNSUPPORTED;
	}
}

bool rule_addr_fits(const struct rule_path *p, struct slice value)
{
	struct rule_out o = { 0 };
	struct wire_addr a;
	struct wire_uri u;
	bool ok = true;

	if (p->part->part == RULE_WHOLE)
		return is_ruri(p) ? !wire_uri_parse(value, &u) : !wire_addr_parse(first_value(value).p ? first_value(value) : value, &a);
	if (p->part->part == RULE_HOST) {
		rule_out_add(&o, "sip:a@%.*s", (int)value.n, value.p);
		ok = value.n && !o.failed && !wire_uri_parse((struct slice){ o.p, o.n }, &u) && u.host.n == value.n;
		rule_out_free(&o);
	} else if (p->part->part == RULE_SCHEME) {
		ok = slice_eq_nocase(value, SLICE("sip")) || slice_eq_nocase(value, SLICE("sips")) || slice_eq_nocase(value, SLICE("tel"));
	}
	return ok && value_fits(p->part->part, value);
}

int rule_addr_set(struct rule_eval *e, const struct rule_path *p, struct slice value)
{
	bool identity = !strcmp(p->field->name, "from") || !strcmp(p->field->name, "to");
	struct rule_out uri = { 0 }, hdr = { 0 };
	struct wire_addr a;
	int did;

	if (p->part->part == RULE_WHOLE)
		return set_whole(e, p, value);
	/* the dialog's mapping has the word from the first request on (guide: dialog-safe) */
	if (identity && (!e->request || e->at->dialog == RULE_MID))
		return 0;
	if (value.p && !value_fits(p->part->part, value))
		return ERR_PROTO;
	did = addr_load(e, p, &a);
	if (did == ERR_NOTFOUND)
		did = value.p ? addr_new(e, &a) : 1;
	if (did)
		return did < 0 ? did : 0;
	did = edit_part(p, &a, value, &uri, &hdr);
	if (did > 0)
		did = addr_store(e, p, &a);
	if (did > 0 && identity)
		e->res->identity = true;
	rule_out_free(&uri);
	rule_out_free(&hdr);
	return did;
}
