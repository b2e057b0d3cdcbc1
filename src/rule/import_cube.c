/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `voice class sip-profiles` of a Cisco running-config into policies: each line above its rule as a comment, and at the head a list of
 * what could not be carried over. A line is carried over only where the rule means the same; else it is told, never guessed.
 * Source: Cisco, "SIP Profiles" of the CUBE configuration guide (commands request, response; sip-header, sdp-header; add, remove, modify, copy).
 */
#include <stdlib.h>

#include "rule/rule.h"

#define WORDS 12

struct import {
	struct slice config;
	struct rule_out out, lost, rules, side[2]; /* rules: of the line at hand; side: of the profile at hand, responses and requests */
	unsigned nlost, line;
	struct slice profile;              /* number of the profile at hand, empty: none */
};
/** A line of a profile, in its parts. */
struct spec {
	bool request, sdp, number;
	struct slice who, method;          /* method, status, ANY, REINVITE; method of a response */
	struct slice header, verb, one, two; /* texts of the verb, without quotes */
};

/* ---- words ---- */
static struct slice skip_blanks(struct slice s)
{
	while (s.n && (*s.p == ' ' || *s.p == '\t')) {
		s.p++;
		s.n--;
	}
	return s;
}

static bool word_ends(struct slice s, size_t at, bool quoted)
{
	if (quoted)
		return s.p[at] == '"' && (at + 1 == s.n || s.p[at + 1] == ' ');
	return s.p[at] == ' ' || s.p[at] == '\t';
}

/** The next word, or what stands in quotes; false at the end. */
static bool next_word(struct slice *rest, struct slice *ret)
{
	size_t n = 0;
	bool quoted;

	*rest = skip_blanks(*rest);
	quoted = rest->n && *rest->p == '"';
	if (quoted) {
		rest->p++;
		rest->n--;
	}
	/* a quote within a text is written \" or stands bare: the closing one is followed by a blank or the end */
	while (n < rest->n && !word_ends(*rest, n, quoted))
		n += rest->p[n] == '\\' && n + 1 < rest->n ? 2 : 1;
	*ret = (struct slice){ rest->p, n };
	if (quoted && n < rest->n)
		n++;
	rest->p += n;
	rest->n -= n;
	return ret->n || quoted;
}

static bool is(struct slice s, const char *word)
{
	return slice_eq_nocase(s, slice_str(word));
}

static bool starts(struct slice s, const char *with)
{
	size_t n = strlen(with);

	return s.n >= n && slice_eq_nocase((struct slice){ s.p, n }, slice_str(with));
}

/* ---- what could not be carried over ---- */
static bool lose(struct import *x, struct slice line, const char *why)
{
	rule_out_add(&x->lost, "# line %u: %.*s\n#     %s\n", x->line, (int)line.n, line.p, why);
	rule_out_add(&x->rules, "    # not carried over: %s\n", why);
	x->nlost++;
	return false;
}

/* ---- conditions ---- */
static void put_method(struct rule_out *o, struct slice m)
{
	rule_out_slice(o, SLICE("method == "));
	for (size_t i = 0; i < m.n; i++)
		rule_out_add(o, "%c", m.p[i] >= 'a' && m.p[i] <= 'z' ? m.p[i] - 32 : m.p[i]);
}

static void put_when(struct rule_out *o, const struct spec *s, const char *more)
{
	struct rule_out c = { 0 };

	if (s->number)
		rule_out_add(&c, "status == %.*s", (int)s->who.n, s->who.p);
	else if (is(s->who, "REINVITE"))
		rule_out_slice(&c, SLICE("method == INVITE and dialog == mid"));
	else if (!is(s->who, "ANY"))
		put_method(&c, s->who);
	if (s->method.n && !is(s->method, "ANY")) {
		rule_out_add(&c, c.n ? " and " : "");
		put_method(&c, s->method);
	}
	if (*more)
		rule_out_add(&c, "%s%s", c.n ? " and " : "", more);
	rule_out_add(o, c.n ? "    when %.*s then " : "    ", (int)c.n, c.p);
	rule_out_free(&c);
}

/** A text of Cisco's as a string: \" is a quote, \ before another sign stands for itself. */
static void quoted(struct rule_out *o, struct slice s)
{
	struct rule_out t = { 0 };

	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] != '\\' || i + 1 == s.n || s.p[i + 1] != '"')
			rule_out_slice(&t, (struct slice){ s.p + i, 1 });
	rule_print_string(o, (struct slice){ t.p ? t.p : "", t.n });
	rule_out_free(&t);
}

/** Is there a back-reference, a variable, or a sign that begins a piece of ours? */
static bool has_reference(struct slice s)
{
	for (size_t i = 0; i + 1 < s.n; i++)
		if ((s.p[i] == '\\' && s.p[i + 1] != '"') || s.p[i] == '$')
			return true;
	return false;
}

/** `Retry-After: 5`: headers that are numbers. */
static bool add_number(struct import *x, const struct spec *s, struct slice value)
{
	uint64_t n;

	for (size_t i = 0; i < rule_fields_count; i++) {
		const struct rule_field *f = &rule_fields[i];

		if (f->kind != RULE_K_NUMBER || !slice_eq_nocase(slice_str(f->header), rule_header_long(s->header)) || slice_u64(value, UINT32_MAX, &n))
			continue;
		put_when(&x->rules, s, "");
		rule_out_add(&x->rules, "default %s %u\n", f->name, (unsigned)n);
		return true;
	}
	return false;
}

/** Name of the field that a header is written by: `subject`, `header["X"]`, `allow`. */
static bool field_of(struct slice header, char *buf, size_t size, bool *ret_list)
{
	struct text t = text_on(buf, size);
	const char *why, *field;
	struct slice name = rule_header_long(header);

	*ret_list = false;
	for (size_t i = 0; i < rule_fields_count; i++) {
		const struct rule_field *f = &rule_fields[i];

		if (!f->header || !slice_eq_nocase(slice_str(f->header), name) || f->kind == RULE_K_PARAM || f->kind == RULE_K_REASON || f->kind == RULE_K_REASON_PROTOCOL)
			continue;
		*ret_list = f->kind == RULE_K_LIST;
		if (f->type == RULE_INT || f->kind == RULE_K_ADDR)
			return false;
		text_add(&t, "%s", f->name);
		return (f->flags & RULE_WRITE) != 0;
	}
	if (!rule_header_writable(name, &why, &field))
		return false;
	text_add(&t, "header[\"%.*s\"]", (int)name.n, name.p);
	return !t.cut;
}

/** `Name: value` where the header itself is written again, else the text. */
static struct slice value_of(struct slice header, struct slice text)
{
	if (text.n > header.n && slice_eq_nocase((struct slice){ text.p, header.n }, header) && text.p[header.n] == ':') {
		text.p += header.n + 1;
		text.n -= header.n + 1;
	}
	while (text.n && *text.p == ' ') {
		text.p++;
		text.n--;
	}
	return text;
}

/** Text of Cisco (\1 for a group) as ours ($1); false where it holds what we do not have. */
static bool replacement(struct rule_out *o, struct slice s)
{
	rule_out_slice(o, SLICE("\""));
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\\' && i + 1 < s.n && s.p[i + 1] >= '1' && s.p[i + 1] <= '9') {
			rule_out_add(o, "$%c", s.p[++i]);
		} else if (s.p[i] == '\\' && i + 1 < s.n && (s.p[i + 1] == 'u' || s.p[i + 1] == '0')) {
			return false;
		} else if (s.p[i] == '$' || s.p[i] == '&') {
			return false;
		} else {
			if (s.p[i] == '"' || (s.p[i] == '\\' && i + 1 == s.n))
				rule_out_slice(o, SLICE("\\"));
			rule_out_slice(o, (struct slice){ s.p + i, 1 });
		}
	}
	rule_out_slice(o, SLICE("\""));
	return true;
}

static bool is_plain(struct slice pattern)
{
	for (size_t i = 0; i < pattern.n; i++)
		if (strchr("\\.*+?()[]{}^$|", pattern.p[i]))
			return false;
	return true;
}

/** `.*`, `.+`: the whole value, whatever it is. */
static bool is_everything(struct slice header, struct slice pattern)
{
	struct slice p = value_of(header, pattern);

	return is(p, ".*") || is(p, ".+") || is(p, "(.*)") || is(p, "(.+)");
}

/* ---- verbs on SIP headers ---- */
static bool import_add(struct import *x, const struct spec *s, struct slice line)
{
	struct slice value = value_of(s->header, s->one);
	char field[96] = "";
	bool list;

	if (add_number(x, s, value_of(s->header, s->one)))
		return true;
	if (!field_of(s->header, field, sizeof field, &list) && !starts(s->header, "P-Asserted") && !starts(s->header, "Diversion") && !starts(s->header, "Remote-Party"))
		return lose(x, line, "this header is Postern's own");
	if (has_reference(value))
		return lose(x, line, "a back-reference or variable in add");
	put_when(&x->rules, s, "");
	if (starts(s->header, "P-Asserted") || starts(s->header, "Diversion") || starts(s->header, "Remote-Party"))
		rule_out_add(&x->rules, "add %s ", starts(s->header, "P-") ? "p-asserted-identity" : starts(s->header, "D") ? "diversion" : "remote-party-id");
	else
		rule_out_add(&x->rules, "%s %s ", list || field[0] == 'h' ? "add" : "default", field);
	quoted(&x->rules, value);
	rule_out_slice(&x->rules, SLICE("\n"));
	return true;
}

static bool import_remove(struct import *x, const struct spec *s, struct slice line)
{
	static const char *const whole[] = { "P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID", "Diversion", "Referred-By", "Refer-To", "Session-Expires", "Min-SE", "Retry-After", "Reason", NULL };
	char field[96] = "";
	struct text t = text_on(field, sizeof field);
	bool list = false;

	for (size_t i = 0; whole[i]; i++)
		if (is(rule_header_long(s->header), whole[i]))
			for (const char *p = whole[i]; *p; p++)
				text_add(&t, "%c", *p >= 'A' && *p <= 'Z' ? *p | 32 : *p);
	if (!*field && is(s->header, "Allow"))
		return lose(x, line, "Allow cannot be removed as a whole");
	if (!*field && !field_of(s->header, field, sizeof field, &list))
		return lose(x, line, "this header is Postern's own");
	put_when(&x->rules, s, "");
	rule_out_add(&x->rules, "remove %s\n", field);
	return true;
}

/** Members that a plain pattern takes out of a list: `, UPDATE` by nothing. */
static bool modify_list(struct import *x, const struct spec *s, const char *field, struct slice line)
{
	struct slice m;
	struct slice from = value_of(s->header, s->one), to = value_of(s->header, s->two);
	bool some = false;

	if (!is_plain(from) || (to.n && !is_plain(to)))
		return lose(x, line, "an expression over a list of tokens");
	put_when(&x->rules, s, "");
	for (unsigned i = 0; (m = rule_list_member(from, ',', i)).p; i++) {
		bool stays = false;
		struct slice k;

		for (unsigned n = 0; (k = rule_list_member(to, ',', n)).p; n++)
			stays = stays || slice_eq_nocase(k, m);
		if (stays)
			continue;
		rule_out_add(&x->rules, "%sremove %s[\"%.*s\"]", some ? ", " : "", field, (int)m.n, m.p);
		some = true;
	}
	for (unsigned n = 0; (m = rule_list_member(to, ',', n)).p; n++) {
		bool was = false;
		struct slice k;

		for (unsigned i = 0; (k = rule_list_member(from, ',', i)).p; i++)
			was = was || slice_eq_nocase(k, m);
		if (was)
			continue;
		rule_out_add(&x->rules, "%sadd %s \"%.*s\"", some ? ", " : "", field, (int)m.n, m.p);
		some = true;
	}
	rule_out_slice(&x->rules, some ? SLICE("\n") : SLICE("accept\n"));
	return true;
}

/** Groups of an expression that capture. */
static unsigned groups_of(struct slice s)
{
	unsigned n = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\\')
			i++;
		else if (s.p[i] == '(' && (i + 1 == s.n || s.p[i + 1] != '?'))
			n++;
	}
	return n;
}

/**
 * An expression over a part of a header: what stands before and behind the match is kept by two groups more, and groups of the
 * expression count one further.
 */
static bool modify_part(struct import *x, const struct spec *s, const char *field, struct slice line, struct slice from, struct slice to)
{
	struct rule_out text = { 0 }, pattern = { 0 }, when = { 0 };
	bool start = from.n && from.p[0] == '^', end = from.n && from.p[from.n - 1] == '$' && (from.n < 2 || from.p[from.n - 2] != '\\');
	unsigned groups = groups_of(from);
	char *w = NULL;

	if (groups > 7 || !replacement(&text, to)) {
		rule_out_free(&text);
		return lose(x, line, groups > 7 ? "more than 7 groups" : "a variable (\\u), the whole match (\\0) or a sign that has another meaning here");
	}
	for (size_t i = 0; i + 1 < text.n; i++)
		if (text.p[i] == '$' && text.p[i + 1] >= '1' && text.p[i + 1] <= '7')
			text.p[i + 1]++;
	rule_out_slice(&pattern, start ? SLICE("^()") : SLICE("^(.*?)"));
	rule_out_slice(&pattern, (struct slice){ from.p + start, from.n - start - end });
	rule_out_slice(&pattern, end ? SLICE("()$") : SLICE("(.*)$"));
	rule_out_add(&when, "%s ~ ", field);
	rule_print_string(&when, (struct slice){ pattern.p, pattern.n });
	w = rule_out_take(&when);
	if (w) {
		put_when(&x->rules, s, w);
		rule_out_add(&x->rules, "set %s \"$1%.*s$%u\"\n", field, (int)text.n - 2, text.p + 1, groups + 2);
	}
	free(w);
	rule_out_free(&text);
	rule_out_free(&pattern);
	return w;
}

static bool modify_text(struct import *x, const struct spec *s, const char *field, struct slice line)
{
	struct slice from = value_of(s->header, s->one), to = value_of(s->header, s->two);
	char when[128];
	struct text t = text_on(when, sizeof when);

	if (!is_everything(s->header, s->one) || memchr(to.p, '\\', to.n))
		return modify_part(x, s, field, line, from, to);
	text_add(&t, "has %s", field);
	put_when(&x->rules, s, when);
	rule_out_add(&x->rules, "set %s ", field);
	quoted(&x->rules, to);
	rule_out_slice(&x->rules, SLICE("\n"));
	return true;
}

/** A host name or address with a dot in it, dots escaped or not. */
static bool host_like(struct slice s, char *buf, size_t size)
{
	struct text t = text_on(buf, size);
	bool dot = false;

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == '\\' && i + 1 < s.n && s.p[i + 1] == '.')
			continue;
		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && c != '.' && c != '-')
			return false;
		dot = dot || c == '.';
		text_add(&t, "%c", c);
	}
	return dot && !t.cut;
}

static void put_set(struct import *x, const struct spec *s, const char *when, const char *field, const char *part, struct slice value)
{
	put_when(&x->rules, s, when);
	rule_out_add(&x->rules, "set %s.%s ", field, part);
	quoted(&x->rules, value);
	rule_out_slice(&x->rules, SLICE("\n"));
}

/** `@.*>` by `@host>`: the host, whatever it was. */
static bool modify_host(struct import *x, const struct spec *s, const char *field)
{
	struct slice to = s->two;
	char host[128];

	if (s->one.n < 3 || s->one.p[0] != '@' || to.n < 2 || to.p[0] != '@')
		return false;
	if (!is_everything((struct slice){ "", 0 }, (struct slice){ s->one.p + 1, s->one.n - 2 }) || !strchr(">:;", s->one.p[s->one.n - 1]) || to.p[to.n - 1] != s->one.p[s->one.n - 1])
		return false;
	if (!host_like((struct slice){ to.p + 1, to.n - 2 }, host, sizeof host))
		return false;
	put_set(x, s, "", field, "host", slice_str(host));
	/* up to `>`, the port goes with it */
	if (s->one.p[s->one.n - 1] == '>' && strcmp(field, "contact")) {
		put_when(&x->rules, s, "");
		rule_out_add(&x->rules, "remove %s.port\n", field);
	}
	return true;
}

/** `<sip:.*@` by `<sip:user@`: the user, whatever it was. */
static bool modify_user(struct import *x, const struct spec *s, const char *field)
{
	struct slice from = s->one, to = s->two, user;
	size_t skip = starts(from, "<sip:") && starts(to, "<sip:") ? 5 : starts(from, "sip:") && starts(to, "sip:") ? 4 : 0;

	if (!skip || from.p[from.n - 1] != '@' || to.p[to.n - 1] != '@' || to.n < skip + 2)
		return false;
	user = (struct slice){ to.p + skip, to.n - skip - 1 };
	if (!is_everything((struct slice){ "", 0 }, (struct slice){ from.p + skip, from.n - skip - 1 }) || memchr(user.p, '\\', user.n))
		return false;
	put_set(x, s, "", field, "user", user);
	return true;
}

/** What comes up again and again has a field of its own; the rest is an expression, where the whole value may be written. */
static bool modify_addr(struct import *x, const struct spec *s, const char *field, struct slice line)
{
	char from[128], to[128], when[192];
	struct text t = text_on(when, sizeof when);

	if (modify_host(x, s, field) || modify_user(x, s, field))
		return true;
	if (host_like(s->one, from, sizeof from) && host_like(s->two, to, sizeof to)) {
		text_add(&t, "%s.host == \"%s\"", field, from);
		put_set(x, s, when, field, "host", slice_str(to));
		return true;
	}
	if (!strcmp(field, "from") || !strcmp(field, "to") || !strcmp(field, "contact"))
		return lose(x, line, "an expression over the whole address; write it by .user, .host, .display or .params");
	for (size_t i = 0; i + 3 <= s->one.n && !strcmp(field, "ruri"); i++)
		if (starts((struct slice){ s->one.p + i, s->one.n - i }, " SIP/"))
			return lose(x, line, "an expression over the version of the request line");
	return modify_part(x, s, field, line, value_of(s->header, s->one), value_of(s->header, s->two));
}

/** `1800;refresher=uac` in the place of whatever Session-Expires says. */
static bool modify_interval(struct import *x, const struct spec *s)
{
	struct slice to = value_of(s->header, s->two), digits = { to.p, 0 }, refresher;
	const char *field = is(s->header, "Min-SE") ? "min-se" : "session-expires";
	char when[64];
	struct text t = text_on(when, sizeof when);

	if ((!is(s->header, "Session-Expires") && !is(s->header, "Min-SE")) || !is_everything(s->header, s->one))
		return false;
	while (digits.n < to.n && to.p[digits.n] >= '0' && to.p[digits.n] <= '9')
		digits.n++;
	if (!digits.n || (digits.n < to.n && to.p[digits.n] != ';'))
		return false;
	text_add(&t, "has %s", field);
	put_when(&x->rules, s, when);
	rule_out_add(&x->rules, "set %s %.*s", field, (int)digits.n, digits.p);
	refresher = wire_param((struct slice){ to.p + digits.n, to.n - digits.n }, "refresher");
	if (is(refresher, "uac") || is(refresher, "uas"))
		rule_out_add(&x->rules, ", set session-expires.refresher %.*s", (int)refresher.n, refresher.p);
	rule_out_slice(&x->rules, SLICE("\n"));
	return true;
}

static bool import_modify(struct import *x, const struct spec *s, struct slice line)
{
	static const char *const addr[] = { "From", "To", "Contact", "P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID", "Diversion", "Referred-By", "Refer-To", "SIP-Req-URI", NULL };
	static const char *const names[] = { "from", "to", "contact", "p-asserted-identity", "p-preferred-identity", "remote-party-id", "diversion", "referred-by", "refer-to", "ruri" };
	char field[96];
	bool list;

	for (size_t i = 0; addr[i]; i++) {
		if (!is(s->header, addr[i]))
			continue;
		if (!s->request && i < 2)
			return lose(x, line, "From and To of responses follow those of the request");
		return modify_addr(x, s, names[i], line);
	}
	if (modify_interval(x, s))
		return true;
	if (!field_of(s->header, field, sizeof field, &list))
		return lose(x, line, "this header is Postern's own");
	return list ? modify_list(x, s, field, line) : modify_text(x, s, field, line);
}

/** The status line of a response: `"SIP/2.0 183 .*" "SIP/2.0 180 Ringing"`. */
static bool import_status(struct import *x, const struct spec *s, struct slice line)
{
	struct slice to = s->two, w, code, phrase;
	uint64_t n;

	if (!is(s->verb, "modify") || !s->number)
		return lose(x, line, "a status line is modified for one status");
	if (!next_word(&to, &w) || !is(w, "SIP/2.0") || !next_word(&to, &code) || slice_u64(code, 699, &n) || memchr(to.p, '\\', to.n))
		return lose(x, line, "the new status line is no plain one");
	phrase = value_of((struct slice){ "", 0 }, to);
	put_when(&x->rules, s, "");
	rule_out_add(&x->rules, "set status %.*s", (int)code.n, code.p);
	if (phrase.n) {
		rule_out_slice(&x->rules, SLICE(", set status.reason "));
		quoted(&x->rules, phrase);
	}
	rule_out_slice(&x->rules, SLICE("\n"));
	return true;
}

/* ---- SDP ---- */
static bool import_ptime(struct import *x, const struct spec *s, struct slice line)
{
	struct slice to = value_of((struct slice){ "a=ptime", 7 }, is(s->verb, "add") ? s->one : s->two);
	uint64_t n;

	if (starts(to, "a=ptime:"))
		to = (struct slice){ to.p + 8, to.n - 8 };
	if (is(s->verb, "remove")) {
		put_when(&x->rules, s, "");
		rule_out_slice(&x->rules, SLICE("remove sdp.audio.ptime\n"));
		return true;
	}
	if (slice_u64(to, 500, &n))
		return lose(x, line, "the packet time is no plain number");
	put_when(&x->rules, s, is(s->verb, "modify") ? "has sdp.audio.ptime" : "");
	rule_out_add(&x->rules, "set sdp.audio.ptime %u\n", (unsigned)n);
	return true;
}

static bool import_sdp(struct import *x, const struct spec *s, struct slice line)
{
	struct slice name = s->header;
	bool audio = false;

	if (is(name, "Audio-Attribute") || is(name, "Attribute"))
		audio = is(name, "Audio-Attribute");
	else if (is(name, "Audio-Bandwidth-Info"))
		return lose(x, line, "a bandwidth line; write it as set sdp.audio.bandwidth");
	else
		return lose(x, line, "a line of the session description that Postern writes itself");
	if (starts(s->one, "a=ptime") || starts(s->one, "ptime"))
		return import_ptime(x, s, line);
	if (is(s->verb, "remove") && !s->one.n)
		return lose(x, line, "all attributes of the stream");
	if (is(s->verb, "add") && starts(s->one, "a=")) {
		struct slice v = { s->one.p + 2, s->one.n - 2 };
		const char *colon = memchr(v.p, ':', v.n);
		struct slice key = { v.p, colon ? (size_t)(colon - v.p) : v.n };

		if (!rule_attribute_writable(key))
			return lose(x, line, "this attribute is Postern's own");
		put_when(&x->rules, s, "");
		rule_out_add(&x->rules, "add sdp.%sattribute[\"%.*s\"] ", audio ? "audio." : "", (int)key.n, key.p);
		quoted(&x->rules, colon ? (struct slice){ colon + 1, v.n - key.n - 1 } : (struct slice){ "", 0 });
		rule_out_slice(&x->rules, SLICE("\n"));
		return true;
	}
	return lose(x, line, "directions, formats and attributes of media follow offer and answer in Postern");
}

/* ---- lines ---- */
/** `[method M] sip-header NAME VERB TEXT [TEXT]`; some versions have `peer-header sip NAME copy ...`, which is told as lost. */
static bool spec_header(struct slice line, struct spec *s)
{
	struct slice kind;

	if (!next_word(&line, &kind))
		return false;
	if (is(kind, "method") && (!next_word(&line, &s->method) || !next_word(&line, &kind)))
		return false;
	s->sdp = is(kind, "sdp-header");
	if ((!s->sdp && !is(kind, "sip-header")) || !next_word(&line, &s->header) || !next_word(&line, &s->verb))
		return false;
	/* Cisco's name of Allow */
	if (is(s->header, "Allow-Header"))
		s->header = SLICE("Allow");
	if (next_word(&line, &s->one))
		next_word(&line, &s->two);
	return true;
}

static bool spec_parse(struct slice line, struct spec *s)
{
	struct slice w;
	uint64_t n;

	*s = (struct spec){ 0 };
	s->one = s->two = (struct slice){ "", 0 };
	if (next_word(&line, &w) && is(w, "rule") && (!next_word(&line, &w) || !next_word(&line, &w)))
		return false;
	if (!is(w, "request") && !is(w, "response"))
		return false;
	s->request = is(w, "request");
	if (!next_word(&line, &s->who))
		return false;
	s->number = !s->request && !slice_u64(s->who, 699, &n);
	return spec_header(line, s);
}

static bool import_line(struct import *x, struct slice line, bool *ret_request)
{
	struct spec s;

	if (!spec_parse(line, &s))
		return lose(x, line, "this form is not known");
	*ret_request = s.request;
	if (is(s.verb, "copy"))
		return lose(x, line, "copy into a variable; write it as call.var[\"name\"] or as ${field}");
	if (is(s.header, "SIP-Req-URI") && !is(s.verb, "modify"))
		return lose(x, line, "a Request-URI is neither added nor removed");
	if (is(s.header, "SIP-StatusLine"))
		return import_status(x, &s, line);
	if (s.sdp)
		return import_sdp(x, &s, line);
	if (is(s.verb, "add"))
		return import_add(x, &s, line);
	if (is(s.verb, "remove"))
		return import_remove(x, &s, line);
	if (is(s.verb, "modify"))
		return import_modify(x, &s, line);
	return lose(x, line, "this verb is not known");
}

/* ---- the file ---- */
static bool next_line(struct slice *rest, struct slice *ret)
{
	const char *nl = rest->n ? memchr(rest->p, '\n', rest->n) : NULL;
	size_t n = nl ? (size_t)(nl - rest->p) : rest->n;

	if (!rest->n)
		return false;
	*ret = (struct slice){ rest->p, n };
	while (ret->n && ((unsigned char)ret->p[ret->n - 1] <= ' '))
		ret->n--;
	n += nl ? 1 : 0;
	rest->p += n;
	rest->n -= n;
	return true;
}

/** Is it used by `sip-profiles N inbound`? */
static bool is_inbound(const struct import *x, struct slice profile)
{
	struct slice rest = x->config, line, w, number;

	while (next_line(&rest, &line)) {
		while (next_word(&line, &w) && !is(w, "sip-profiles"))
			;
		if (is(w, "sip-profiles") && next_word(&line, &number) && slice_eq(number, profile) && next_word(&line, &w) && is(w, "inbound"))
			return true;
	}
	return false;
}

/** The profile at hand as one policy for requests and one for responses. */
static void profile_end(struct import *x)
{
	const char *hook = x->profile.n && is_inbound(x, x->profile) ? "receive" : "send";

	for (int request = 1; request >= 0 && x->profile.n; request--) {
		if (!x->side[request].n)
			continue;
		rule_out_add(&x->out, "\npolicy sip-profile-%.*s-%s on %s %s {\n", (int)x->profile.n, x->profile.p, request ? "requests" : "responses", hook, request ? "request" : "response");
		rule_out_slice(&x->out, (struct slice){ x->side[request].p, x->side[request].n });
		rule_out_slice(&x->out, SLICE("}\n"));
	}
	rule_out_free(&x->side[0]);
	rule_out_free(&x->side[1]);
	x->profile = (struct slice){ "", 0 };
}

static bool profile_begins(struct slice line, struct slice *ret)
{
	struct slice w;

	if (!next_word(&line, &w) || !is(w, "voice") || !next_word(&line, &w) || !is(w, "class") || !next_word(&line, &w) || !is(w, "sip-profiles"))
		return false;
	return next_word(&line, ret) && !next_word(&line, &w) && rule_is_name(*ret);
}

static void take_line(struct import *x, struct slice line)
{
	bool indented = line.n && (*line.p == ' ' || *line.p == '\t'), request = true;
	struct slice number, trimmed = line;

	x->line++;
	while (trimmed.n && (*trimmed.p == ' ' || *trimmed.p == '\t')) {
		trimmed.p++;
		trimmed.n--;
	}
	if (!indented && profile_begins(line, &number)) {
		profile_end(x);
		x->profile = number;
		return;
	}
	if (!trimmed.n || *trimmed.p == '!' || !x->profile.n)
		return;
	/* pasted pieces often lose their indentation */
	if (!indented && !starts(trimmed, "request ") && !starts(trimmed, "response ") && !starts(trimmed, "rule ")) {
		profile_end(x);
		return;
	}
	import_line(x, trimmed, &request);
	rule_out_add(&x->side[request], "    # %.*s\n", (int)trimmed.n, trimmed.p);
	rule_out_slice(&x->side[request], (struct slice){ x->rules.p, x->rules.n });
	rule_out_free(&x->rules);
}

char *rule_import_cube(struct slice config, unsigned *ret_lost)
{
	struct import x = { .config = config, .profile = { "", 0 } };
	struct rule_out o = { 0 };
	struct slice rest = config, line;

	while (next_line(&rest, &line))
		take_line(&x, line);
	profile_end(&x);
	rule_out_slice(&o, SLICE("# From `voice class sip-profiles` of a Cisco running-config. Name the policies at the trunk that had the profile.\n"));
	if (x.nlost) {
		rule_out_add(&o, "#\n# Not carried over, %u lines:\n", x.nlost);
		rule_out_slice(&o, (struct slice){ x.lost.p, x.lost.n });
	}
	rule_out_slice(&o, (struct slice){ x.out.p, x.out.n });
	*ret_lost = x.nlost;
	rule_out_free(&x.out);
	rule_out_free(&x.lost);
	return rule_out_take(&o);
}
