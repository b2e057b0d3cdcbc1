/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `voice class sip-profiles` of a Cisco running-config into policies: each line above its rule as a comment, and at the head a list of
 * what could not be carried over. A line is carried over only where the rule means the same; else it is told, never guessed.
 * Source: Cisco, "SIP Profiles" of the CUBE configuration guide (commands request, response; sip-header, sdp-header; add, remove, modify, copy).
 */
#include <stdlib.h>

#include "rule/import_cube.h"

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

bool rule_cube_is(struct slice s, const char *word)
{
	return slice_eq_nocase(s, slice_str(word));
}

bool rule_cube_starts(struct slice s, const char *with)
{
	size_t n = strlen(with);

	return s.n >= n && slice_eq_nocase((struct slice){ s.p, n }, slice_str(with));
}

/** A line of the file as the end of a comment. */
static void put_comment(struct rule_out *o, struct slice line)
{
	for (size_t i = 0; i < line.n; i++)
		rule_out_add(o, "%c", (unsigned char)line.p[i] >= ' ' && line.p[i] != 127 ? line.p[i] : ' ');
	rule_out_slice(o, SLICE("\n"));
}

/* ---- what could not be carried over ---- */
bool rule_cube_lose(struct import *x, struct slice line, const char *why)
{
	rule_out_add(&x->lost, "# line %u: ", x->line);
	put_comment(&x->lost, line);
	rule_out_add(&x->lost, "#     %s\n", why);
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

/** `\u01`: what a copy put there. */
static bool is_variable(struct slice s, size_t i)
{
	return i + 3 < s.n && s.p[i] == '\\' && s.p[i + 1] == 'u' && s.p[i + 2] >= '0' && s.p[i + 2] <= '9' && s.p[i + 3] >= '0' && s.p[i + 3] <= '9';
}

void rule_cube_when(struct rule_out *o, const struct spec *s, const char *more)
{
	struct slice text = rule_cube_is(s->verb, "add") ? s->one : s->two;
	struct rule_out c = { 0 };

	if (s->number)
		rule_out_add(&c, "status == %.*s", (int)s->who.n, s->who.p);
	else if (rule_cube_is(s->who, "REINVITE"))
		rule_out_slice(&c, SLICE("method == INVITE and dialog == mid"));
	else if (!rule_cube_is(s->who, "ANY"))
		put_method(&c, s->who);
	if (s->method.n && !rule_cube_is(s->method, "ANY")) {
		rule_out_add(&c, c.n ? " and " : "");
		put_method(&c, s->method);
	}
	if (*more)
		rule_out_add(&c, "%s%s", c.n ? " and " : "", more);
	for (size_t i = 0; i < text.n; i++)
		if (is_variable(text, i)) /* one that nothing was copied into would leave a hole */
			rule_out_add(&c, "%shas call.var[\"%.3s\"]", c.n ? " and " : "", text.p + i + 1);
	rule_out_add(o, c.n ? "    when %.*s then " : "    ", (int)c.n, c.p);
	rule_out_free(&c);
}

/** A text of Cisco's as a string: \" is a quote, \ before another sign stands for itself. */
void rule_cube_quoted(struct rule_out *o, struct slice s)
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
		rule_cube_when(&x->rules, s, "");
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
struct slice rule_cube_value(struct slice header, struct slice text)
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

static bool is_group(struct slice s, size_t i)
{
	return i + 1 < s.n && s.p[i] == '\\' && s.p[i + 1] >= '1' && s.p[i + 1] <= '9';
}

/** `\1`: in an `add` there is no match that it could be of. */
static bool has_group(struct slice s)
{
	for (size_t i = 0; i + 1 < s.n; i++)
		if (is_group(s, i))
			return true;
	return false;
}

/** Signs that we do not have, or that mean something else here. */
static bool is_foreign(struct slice s, size_t i)
{
	return s.p[i] == '$' || s.p[i] == '&' || (s.p[i] == '\\' && i + 1 < s.n && strchr("ux0", s.p[i + 1]) && s.p[i + 1]);
}

/** Text of Cisco (\1 for a group, \u01 for a variable) as ours ($1); false where it holds what we do not have. */
bool rule_cube_replacement(struct rule_out *o, struct slice s)
{
	rule_out_slice(o, SLICE("\""));
	for (size_t i = 0; i < s.n; i++) {
		if (is_group(s, i)) {
			rule_out_add(o, "$%c", s.p[++i]);
		} else if (is_variable(s, i)) {
			rule_out_add(o, "${call.var[\\\"%.*s\\\"]}", 3, s.p + i + 1);
			i += 3;
		} else if (is_foreign(s, i)) {
			return false;
		} else if (s.p[i] == '\\' && i + 1 < s.n && s.p[i + 1] == '"') {
			rule_out_slice(o, (struct slice){ s.p + i++, 2 });
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
bool rule_cube_everything(struct slice header, struct slice pattern)
{
	struct slice p = rule_cube_value(header, pattern);

	return rule_cube_is(p, ".*") || rule_cube_is(p, ".+") || rule_cube_is(p, "(.*)") || rule_cube_is(p, "(.+)");
}

/* ---- verbs on SIP headers ---- */
/** Addresses of which there may be several. */
static const char *many_of(struct slice header)
{
	static const char *const names[] = { "p-asserted-identity", "p-preferred-identity", "diversion", "remote-party-id", "referred-by" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (rule_cube_is(header, names[i]))
			return names[i];
	return NULL;
}

static bool import_add(struct import *x, const struct spec *s, struct slice line)
{
	struct slice value = rule_cube_value(s->header, s->one);
	const char *many = many_of(s->header);
	struct rule_out text = { 0 };
	char field[96] = "";
	bool list = false;

	if (add_number(x, s, rule_cube_value(s->header, s->one)))
		return true;
	if (!many && !field_of(s->header, field, sizeof field, &list))
		return rule_cube_lose(x, line, "this header is Postern's own");
	if (!rule_cube_replacement(&text, value) || has_group(value)) {
		rule_out_free(&text);
		return rule_cube_lose(x, line, "a back-reference, a line break or a sign that has another meaning here");
	}
	rule_cube_when(&x->rules, s, "");
	rule_out_add(&x->rules, "%s %s ", many || list || field[0] == 'h' ? "add" : "default", many ? many : field);
	if (has_reference(value))
		rule_out_slice(&x->rules, (struct slice){ text.p, text.n });
	else
		rule_cube_quoted(&x->rules, value);
	rule_out_free(&text);
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
		if (rule_cube_is(rule_header_long(s->header), whole[i]))
			for (const char *p = whole[i]; *p; p++)
				text_add(&t, "%c", *p >= 'A' && *p <= 'Z' ? *p | 32 : *p);
	if (!*field && rule_cube_is(s->header, "Allow"))
		return rule_cube_lose(x, line, "Allow cannot be removed as a whole");
	if (!*field && !field_of(s->header, field, sizeof field, &list))
		return rule_cube_lose(x, line, "this header is Postern's own");
	rule_cube_when(&x->rules, s, "");
	rule_out_add(&x->rules, "remove %s\n", field);
	return true;
}

static bool replace_whole(struct import *x, const struct spec *s, const char *field, struct slice to)
{
	char when[128];
	struct text t = text_on(when, sizeof when);

	text_add(&t, "has %s", field);
	rule_cube_when(&x->rules, s, when);
	rule_out_add(&x->rules, "set %s ", field);
	rule_cube_quoted(&x->rules, to);
	rule_out_slice(&x->rules, SLICE("\n"));
	return true;
}

/** Another list in the place of the whole. */
static bool whole_list(struct import *x, const struct spec *s, const char *field, struct slice line)
{
	struct slice to = rule_cube_value(s->header, s->two);

	if (!to.n || !is_plain(to))
		return rule_cube_lose(x, line, "an expression over a list of tokens");
	return replace_whole(x, s, field, to);
}

/** Members that a plain pattern takes out of a list: `, UPDATE` by nothing. */
static bool modify_list(struct import *x, const struct spec *s, const char *field, struct slice line)
{
	struct slice m;
	struct slice from = rule_cube_value(s->header, s->one), to = rule_cube_value(s->header, s->two);
	bool some = false;

	if (!is_plain(from) || (to.n && !is_plain(to)))
		return rule_cube_lose(x, line, "an expression over a list of tokens");
	rule_cube_when(&x->rules, s, "");
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
unsigned rule_cube_groups(struct slice s)
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
bool rule_cube_part(struct import *x, const struct spec *s, const char *field, struct slice line, struct slice from, struct slice to)
{
	struct rule_out text = { 0 }, pattern = { 0 }, when = { 0 };
	bool start = from.n && from.p[0] == '^', end = from.n && from.p[from.n - 1] == '$' && (from.n < 2 || from.p[from.n - 2] != '\\');
	unsigned groups = rule_cube_groups(from);
	char *w = NULL;

	if (groups > 7 || !rule_cube_replacement(&text, to)) {
		rule_out_free(&text);
		return rule_cube_lose(x, line, groups > 7 ? "more than 7 groups" : "the whole match (\\0), a sign by its number (\\x) or one that has another meaning here");
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
		rule_cube_when(&x->rules, s, w);
		rule_out_add(&x->rules, "set %s \"$1%.*s$%u\"\n", field, (int)text.n - 2, text.p + 1, groups + 2);
	}
	free(w);
	rule_out_free(&text);
	rule_out_free(&pattern);
	return w;
}

static bool modify_text(struct import *x, const struct spec *s, const char *field, struct slice line)
{
	struct slice from = rule_cube_value(s->header, s->one), to = rule_cube_value(s->header, s->two);

	if (!rule_cube_everything(s->header, s->one) || memchr(to.p, '\\', to.n))
		return rule_cube_part(x, s, field, line, from, to);
	return replace_whole(x, s, field, to);
}

/** `1800;refresher=uac` in the place of whatever Session-Expires says. */
static bool modify_interval(struct import *x, const struct spec *s)
{
	struct slice to = rule_cube_value(s->header, s->two), digits = { to.p, 0 }, refresher;
	const char *field = rule_cube_is(s->header, "Min-SE") ? "min-se" : "session-expires";
	char when[64];
	struct text t = text_on(when, sizeof when);

	if ((!rule_cube_is(s->header, "Session-Expires") && !rule_cube_is(s->header, "Min-SE")) || !rule_cube_everything(s->header, s->one))
		return false;
	while (digits.n < to.n && to.p[digits.n] >= '0' && to.p[digits.n] <= '9')
		digits.n++;
	if (!digits.n || (digits.n < to.n && to.p[digits.n] != ';'))
		return false;
	text_add(&t, "has %s", field);
	rule_cube_when(&x->rules, s, when);
	rule_out_add(&x->rules, "set %s %.*s", field, (int)digits.n, digits.p);
	refresher = wire_param((struct slice){ to.p + digits.n, to.n - digits.n }, "refresher");
	if (rule_cube_is(refresher, "uac") || rule_cube_is(refresher, "uas"))
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
		if (!rule_cube_is(s->header, addr[i]))
			continue;
		if (!s->request && i < 2)
			return rule_cube_lose(x, line, "From and To of responses follow those of the request");
		return rule_cube_addr(x, s, names[i], line);
	}
	if (modify_interval(x, s))
		return true;
	if (!field_of(s->header, field, sizeof field, &list))
		return rule_cube_lose(x, line, "this header is Postern's own");
	if (list && rule_cube_everything(s->header, s->one))
		return whole_list(x, s, field, line);
	return list ? modify_list(x, s, field, line) : modify_text(x, s, field, line);
}

/** The status line of a response: `"SIP/2.0 183 .*" "SIP/2.0 180 Ringing"`. */
static bool import_status(struct import *x, const struct spec *s, struct slice line)
{
	struct slice to = s->two, w, code, phrase;
	uint64_t n;

	if (!rule_cube_is(s->verb, "modify") || !s->number)
		return rule_cube_lose(x, line, "a status line is modified for one status");
	if (!next_word(&to, &w) || !rule_cube_is(w, "SIP/2.0") || !next_word(&to, &code) || slice_u64(code, 699, &n) || memchr(to.p, '\\', to.n))
		return rule_cube_lose(x, line, "the new status line is no plain one");
	phrase = rule_cube_value((struct slice){ "", 0 }, to);
	rule_cube_when(&x->rules, s, "");
	rule_out_add(&x->rules, "set status %.*s", (int)code.n, code.p);
	if (phrase.n) {
		rule_out_slice(&x->rules, SLICE(", set status.reason "));
		rule_cube_quoted(&x->rules, phrase);
	}
	rule_out_slice(&x->rules, SLICE("\n"));
	return true;
}

/* ---- SDP ---- */
static bool import_ptime(struct import *x, const struct spec *s, struct slice line)
{
	struct slice to = rule_cube_value((struct slice){ "a=ptime", 7 }, rule_cube_is(s->verb, "add") ? s->one : s->two);
	struct slice from = s->one;
	char when[64];
	struct text t = text_on(when, sizeof when);
	uint64_t n, was;

	if (rule_cube_starts(to, "a=ptime:"))
		to = (struct slice){ to.p + 8, to.n - 8 };
	if (rule_cube_starts(from, "a=ptime:"))
		from = (struct slice){ from.p + 8, from.n - 8 };
	if (rule_cube_is(s->verb, "remove")) {
		rule_cube_when(&x->rules, s, "");
		rule_out_slice(&x->rules, SLICE("remove sdp.audio.ptime\n"));
		return true;
	}
	if (slice_u64(to, 500, &n))
		return rule_cube_lose(x, line, "the packet time is no plain number");
	if (rule_cube_is(s->verb, "modify") && !slice_u64(from, 500, &was))
		text_add(&t, "sdp.audio.ptime == %u", (unsigned)was);
	else if (rule_cube_is(s->verb, "modify"))
		text_add(&t, "has sdp.audio.ptime");
	rule_cube_when(&x->rules, s, when);
	rule_out_add(&x->rules, "set sdp.audio.ptime %u\n", (unsigned)n);
	return true;
}

static bool import_sdp(struct import *x, const struct spec *s, struct slice line)
{
	struct slice name = s->header;
	bool audio = false;

	if (rule_cube_is(name, "Audio-Attribute") || rule_cube_is(name, "Attribute"))
		audio = rule_cube_is(name, "Audio-Attribute");
	else if (rule_cube_is(name, "Audio-Bandwidth-Info"))
		return rule_cube_lose(x, line, "a bandwidth line; write it as set sdp.audio.bandwidth");
	else
		return rule_cube_lose(x, line, "a line of the session description that Postern writes itself");
	if (rule_cube_starts(s->one, "a=ptime") || rule_cube_starts(s->one, "ptime"))
		return import_ptime(x, s, line);
	if (rule_cube_is(s->verb, "remove") && !s->one.n)
		return rule_cube_lose(x, line, "all attributes of the stream");
	if (rule_cube_is(s->verb, "add") && rule_cube_starts(s->one, "a=")) {
		struct slice v = { s->one.p + 2, s->one.n - 2 };
		const char *colon = memchr(v.p, ':', v.n);
		struct slice key = { v.p, colon ? (size_t)(colon - v.p) : v.n };

		if (!rule_attribute_writable(key))
			return rule_cube_lose(x, line, "this attribute is Postern's own");
		rule_cube_when(&x->rules, s, "");
		rule_out_add(&x->rules, "add sdp.%sattribute[\"%.*s\"] ", audio ? "audio." : "", (int)key.n, key.p);
		rule_cube_quoted(&x->rules, colon ? (struct slice){ colon + 1, v.n - key.n - 1 } : (struct slice){ "", 0 });
		rule_out_slice(&x->rules, SLICE("\n"));
		return true;
	}
	return rule_cube_lose(x, line, "directions, formats and attributes of media follow offer and answer in Postern");
}

/* ---- lines ---- */
static bool spec_kind(struct slice *line, struct slice kind, struct spec *s)
{
	struct slice w;

	s->sdp = rule_cube_is(kind, "sdp-header");
	s->peer = rule_cube_is(kind, "peer-header");
	if (s->peer)
		return next_word(line, &w) && rule_cube_is(w, "sip");
	return s->sdp || rule_cube_is(kind, "sip-header");
}

/** `[method M] sip-header NAME VERB TEXT [TEXT]`, and `peer-header sip NAME copy TEXT VARIABLE`. */
static bool spec_header(struct slice line, struct spec *s)
{
	struct slice kind;

	if (!next_word(&line, &kind))
		return false;
	if (rule_cube_is(kind, "method") && (!next_word(&line, &s->method) || !next_word(&line, &kind)))
		return false;
	if (!spec_kind(&line, kind, s) || !next_word(&line, &s->header) || !next_word(&line, &s->verb))
		return false;
	/* Cisco's name of Allow */
	if (rule_cube_is(s->header, "Allow-Header"))
		s->header = SLICE("Allow");
	if (next_word(&line, &s->one))
		next_word(&line, &s->two);
	return !s->peer || rule_cube_is(s->verb, "copy");
}

static bool spec_parse(struct slice line, struct spec *s)
{
	struct slice w;
	uint64_t n;

	*s = (struct spec){ 0 };
	s->one = s->two = (struct slice){ "", 0 };
	if (next_word(&line, &w) && rule_cube_is(w, "rule") && (!next_word(&line, &w) || !next_word(&line, &w)))
		return false;
	if (!rule_cube_is(w, "request") && !rule_cube_is(w, "response"))
		return false;
	s->request = rule_cube_is(w, "request");
	if (!next_word(&line, &s->who))
		return false;
	s->number = !s->request && !slice_u64(s->who, 699, &n);
	return spec_header(line, s);
}

/** The field that an expression looks at. */
static bool read_field(struct slice header, char *buf, size_t size)
{
	struct text t = text_on(buf, size);
	struct slice name = rule_header_long(header);

	if (rule_cube_is(header, "SIP-Req-URI")) {
		text_add(&t, "ruri");
		return true;
	}
	for (size_t i = 0; i < rule_fields_count; i++) {
		const struct rule_field *f = &rule_fields[i];

		if (f->kind != RULE_K_ADDR && f->kind != RULE_K_PLAIN)
			continue;
		if (slice_eq_nocase(slice_str(f->header), name)) {
			text_add(&t, "%s", f->name);
			return true;
		}
	}
	text_add(&t, "header[\"%.*s\"]", (int)name.n, name.p);
	return !t.cut;
}

/** `copy "PATTERN" u01`: what the first group matches, kept for the call; of a peer-header where the other side's message comes in. */
static bool import_copy(struct import *x, const struct spec *s, struct slice line)
{
	struct slice pattern = rule_cube_value(s->header, s->one), var = s->two;
	struct rule_out when = { 0 }, expr = { 0 };
	char field[128], *w;
	bool group = rule_cube_groups(pattern) > 0;

	if (s->sdp || !s->request || var.n != 3 || *var.p != 'u' || !read_field(s->header, field, sizeof field))
		return rule_cube_lose(x, line, "a copy that is not one of a request's header into a variable");
	rule_out_add(&when, "%s ~ ", field);
	rule_out_add(&expr, group ? "%.*s" : "(%.*s)", (int)pattern.n, pattern.p);
	rule_print_string(&when, (struct slice){ expr.p ? expr.p : "", expr.n });
	rule_out_free(&expr);
	w = rule_out_take(&when);
	if (w) {
		rule_cube_when(&x->rules, s, w);
		rule_out_add(&x->rules, "set call.var[\"%.*s\"] \"$1\"\n", (int)var.n, var.p);
	}
	free(w);
	return w;
}

static bool import_line(struct import *x, struct slice line, bool *ret_request, bool *ret_peer)
{
	struct spec s;

	if (!spec_parse(line, &s))
		return rule_cube_lose(x, line, "this form is not known");
	*ret_request = s.request;
	*ret_peer = s.peer;
	if (rule_cube_is(s.verb, "copy"))
		return import_copy(x, &s, line);
	if (rule_cube_is(s.header, "SIP-Req-URI") && !rule_cube_is(s.verb, "modify"))
		return rule_cube_lose(x, line, "a Request-URI is neither added nor removed");
	if (rule_cube_is(s.header, "SIP-StatusLine"))
		return import_status(x, &s, line);
	if (s.sdp)
		return import_sdp(x, &s, line);
	if (rule_cube_is(s.verb, "add"))
		return import_add(x, &s, line);
	if (rule_cube_is(s.verb, "remove"))
		return import_remove(x, &s, line);
	if (rule_cube_is(s.verb, "modify"))
		return import_modify(x, &s, line);
	return rule_cube_lose(x, line, "this verb is not known");
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
		while (next_word(&line, &w) && !rule_cube_is(w, "sip-profiles"))
			;
		if (rule_cube_is(w, "sip-profiles") && next_word(&line, &number) && slice_eq(number, profile) && next_word(&line, &w) && rule_cube_is(w, "inbound"))
			return true;
	}
	return false;
}

/** The profile at hand as one policy for requests and one for responses. */
static void profile_end(struct import *x)
{
	const char *hook = x->profile.n && is_inbound(x, x->profile) ? "receive" : "send";
	struct rule_out name = { 0 };

	for (int request = 1; request >= 0 && x->profile.n; request--) {
		if (!x->side[request].n)
			continue;
		rule_cube_policy_name(x, request ? "requests" : "responses", &name);
		rule_out_add(&x->out, "\npolicy %.*s on %s %s {\n", (int)name.n, name.p, hook, request ? "request" : "response");
		rule_out_slice(&x->out, (struct slice){ x->side[request].p, x->side[request].n });
		rule_out_slice(&x->out, SLICE("}\n"));
	}
	if (x->profile.n && x->peer.n) {
		rule_cube_policy_name(x, "peer", &name);
		rule_out_add(&x->out, "\n# What is copied of the other side's message: name this policy at its trunk, or at the system.\n"
			"policy %.*s on receive request {\n", (int)name.n, name.p);
		rule_out_slice(&x->out, (struct slice){ x->peer.p, x->peer.n });
		rule_out_slice(&x->out, SLICE("}\n"));
	}
	rule_out_free(&name);
	rule_out_free(&x->side[0]);
	rule_out_free(&x->side[1]);
	rule_out_free(&x->peer);
	x->profile = (struct slice){ "", 0 };
}

static bool profile_begins(struct slice line, struct slice *ret)
{
	struct slice w;

	if (!next_word(&line, &w) || !rule_cube_is(w, "voice") || !next_word(&line, &w) || !rule_cube_is(w, "class") || !next_word(&line, &w) || !rule_cube_is(w, "sip-profiles"))
		return false;
	return next_word(&line, ret) && !next_word(&line, &w) && rule_is_name(*ret);
}

static void take_line(struct import *x, struct slice line)
{
	bool indented = line.n && (*line.p == ' ' || *line.p == '\t'), request = true, peer = false;
	struct rule_out *side;
	struct slice number, trimmed = skip_blanks(line);

	x->line++;
	if (!indented && profile_begins(line, &number)) {
		profile_end(x);
		x->profile = number;
		return;
	}
	if (!trimmed.n || *trimmed.p == '!' || !x->profile.n)
		return;
	/* pasted pieces often lose their indentation */
	if (!indented && !rule_cube_starts(trimmed, "request ") && !rule_cube_starts(trimmed, "response ") && !rule_cube_starts(trimmed, "rule ")) {
		profile_end(x);
		return;
	}
	import_line(x, trimmed, &request, &peer);
	if (!rule_cube_loads(x, request)) {
		rule_out_free(&x->rules);
		rule_cube_lose(x, trimmed, "a name or an expression in it is none of ours");
	}
	side = peer ? &x->peer : &x->side[request];
	rule_out_slice(side, SLICE("    # "));
	put_comment(side, trimmed);
	rule_out_slice(side, (struct slice){ x->rules.p, x->rules.n });
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
