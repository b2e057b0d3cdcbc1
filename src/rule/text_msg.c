/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A SIP message as text behind struct rule_msg_ops, for `posternctl policy test` and tests (RFC 3261 section 7). Lenient about line ends;
 * no checks but what it needs to find its headers. Live messages are Sofia's and never come here.
 */
#include <stdio.h>
#include <stdlib.h>

#include "rule/rule.h"

#define HEADERS_MOST 512
#define NOTES 4096

struct line { char *name, *value; };
struct rule_text_msg {
	bool request;
	char *method, *ruri, *phrase, *body;
	int status;
	size_t body_n;
	struct line line[HEADERS_MOST]; unsigned n;
	char *var[32][2]; unsigned vars;
	char *tag[32]; unsigned tags;
	char notes[NOTES]; size_t notes_n;
	uint64_t rate;
};

static void note(struct rule_text_msg *m, const char *kind, struct slice a, struct slice b)
{
	struct text t = { m->notes, sizeof m->notes, m->notes_n, false };

	text_add(&t, "%s %.*s", kind, (int)a.n, a.p);
	if (b.p)
		text_add(&t, " = %.*s", (int)b.n, b.p);
	text_add(&t, "\n");
	m->notes_n = t.n;
}

void rule_text_free(struct rule_text_msg *m)
{
	if (!m)
		return;
	for (unsigned i = 0; i < m->n; i++) {
		free(m->line[i].name);
		free(m->line[i].value);
	}
	for (unsigned i = 0; i < m->vars; i++) {
		free(m->var[i][0]);
		free(m->var[i][1]);
	}
	for (unsigned i = 0; i < m->tags; i++)
		free(m->tag[i]);
	free(m->method);
	free(m->ruri);
	free(m->phrase);
	free(m->body);
	free(m);
}

/* ---- parsing ---- */
static struct slice trim(struct slice s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t')) {
		s.p++;
		s.n--;
	}
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t' || s.p[s.n - 1] == '\r'))
		s.n--;
	return s;
}

static bool next_line(struct slice *rest, struct slice *ret)
{
	const char *nl = rest->n ? memchr(rest->p, '\n', rest->n) : NULL;
	size_t n = nl ? (size_t)(nl - rest->p) : rest->n;

	if (!rest->n)
		return false;
	*ret = (struct slice){ rest->p, n };
	if (ret->n && ret->p[ret->n - 1] == '\r')
		ret->n--;
	n += nl ? 1 : 0;
	rest->p += n;
	rest->n -= n;
	return true;
}

/** `SIP/2.0 200 OK` or `INVITE sip:... SIP/2.0`. */
static int parse_start(struct rule_text_msg *m, struct slice line)
{
	const char *a = memchr(line.p, ' ', line.n), *b;
	struct slice one, two, three = { "", 0 };
	uint64_t status;

	if (!a)
		return ERR_PROTO;
	one = (struct slice){ line.p, (size_t)(a - line.p) };
	two = (struct slice){ a + 1, line.n - one.n - 1 };
	b = memchr(two.p, ' ', two.n);
	if (b) {
		three = (struct slice){ b + 1, two.n - (size_t)(b + 1 - two.p) };
		two.n = (size_t)(b - two.p);
	}
	m->request = !slice_eq_nocase(one, SLICE("SIP/2.0"));
	if (m->request && (!slice_eq_nocase(trim(three), SLICE("SIP/2.0")) || !one.n || !two.n))
		return ERR_PROTO;
	if (m->request) {
		m->method = base_dup(one);
		m->ruri = base_dup(two);
		return m->method && m->ruri ? 0 : -ENOMEM;
	}
	if (slice_u64(two, 699, &status) || status < 100)
		return ERR_PROTO;
	m->status = (int)status;
	m->phrase = base_dup(trim(three));
	return m->phrase ? 0 : -ENOMEM;
}

static int line_add(struct rule_text_msg *m, unsigned at, struct slice name, struct slice value)
{
	struct line l;

	if (m->n == HEADERS_MOST)
		return ERR_FULL;
	l.name = base_dup(rule_header_long(name));
	l.value = base_dup(value);
	if (!l.name || !l.value) {
		free(l.name);
		free(l.value);
		return -ENOMEM;
	}
	memmove(&m->line[at + 1], &m->line[at], (m->n - at) * sizeof *m->line);
	m->line[at] = l;
	m->n++;
	return 0;
}

static int line_fold(struct rule_text_msg *m, struct slice more)
{
	struct rule_out o = { 0 };
	struct line *l = m->n ? &m->line[m->n - 1] : NULL;
	char *joined;

	if (!l)
		return ERR_PROTO;
	rule_out_add(&o, "%s ", l->value);
	rule_out_slice(&o, trim(more));
	joined = rule_out_take(&o);
	if (!joined)
		return -ENOMEM;
	free(l->value);
	l->value = joined;
	return 0;
}

static int parse_line(struct rule_text_msg *m, struct slice line)
{
	const char *colon = memchr(line.p, ':', line.n);

	if (line.p[0] == ' ' || line.p[0] == '\t')
		return line_fold(m, line);
	if (!colon || colon == line.p)
		return ERR_PROTO;
	return line_add(m, m->n, trim((struct slice){ line.p, (size_t)(colon - line.p) }), trim((struct slice){ colon + 1, line.n - (size_t)(colon + 1 - line.p) }));
}

static struct slice m_header(void *arg, struct slice name, unsigned index);

static int take_method(struct rule_text_msg *m)
{
	struct slice cseq = m_header(m, SLICE("CSeq"), 0);
	const char *space = cseq.n ? memchr(cseq.p, ' ', cseq.n) : NULL;

	if (m->method)
		return 0;
	m->method = base_dup(space ? trim((struct slice){ space, cseq.n - (size_t)(space - cseq.p) }) : SLICE(""));
	return m->method ? 0 : -ENOMEM;
}

int rule_text_parse(struct slice text, struct rule_text_msg **ret)
{
	struct rule_text_msg *m = base_alloc(sizeof *m);
	struct slice line = { "", 0 };
	int err;

	if (!m)
		return -ENOMEM;
	memset(m, 0, sizeof *m);
	/* texts are C strings from here on */
	if (text.n && memchr(text.p, 0, text.n))
		text.n = 0;
	while (next_line(&text, &line) && !line.n)
		;
	err = line.n ? parse_start(m, line) : ERR_PROTO;
	while (!err && next_line(&text, &line) && line.n)
		err = parse_line(m, line);
	if (!err)
		err = take_method(m);
	if (!err) {
		m->body = base_dup(text);
		m->body_n = text.n;
		err = m->body ? 0 : -ENOMEM;
	}
	if (err)
		rule_text_free(m);
	else
		*ret = m;
	return err;
}

/* ---- the interface ---- */
static struct line *line_find(struct rule_text_msg *m, struct slice name, unsigned index)
{
	/* the first letter tells most names apart: what a rule costs is what this search costs */
	for (unsigned i = 0; i < m->n; i++)
		if (name.n && (m->line[i].name[0] | 32) == (name.p[0] | 32) && slice_eq_nocase(slice_str(m->line[i].name), name) && !index--)
			return &m->line[i];
	return NULL;
}

static struct slice m_method(void *arg) { return slice_str(((struct rule_text_msg *)arg)->method); }
static int m_status(void *arg) { return ((struct rule_text_msg *)arg)->status; }
static struct slice m_phrase(void *arg) { return slice_str(((struct rule_text_msg *)arg)->phrase); }
static struct slice m_ruri(void *arg) { return slice_str(((struct rule_text_msg *)arg)->ruri); }

static struct slice m_header(void *arg, struct slice name, unsigned index)
{
	const struct line *l = line_find(arg, name, index);

	return slice_str(l ? l->value : NULL);
}

static struct slice m_header_name(void *arg, unsigned i)
{
	struct rule_text_msg *m = arg;

	return slice_str(i < m->n ? m->line[i].name : NULL);
}

static struct slice m_body(void *arg)
{
	struct rule_text_msg *m = arg;

	return (struct slice){ m->body, m->body_n };
}

static int swap_text(char **at, struct slice s)
{
	char *p = base_dup(s);

	if (!p)
		return -ENOMEM;
	free(*at);
	*at = p;
	return 0;
}

static int m_set_status(void *arg, int status, struct slice phrase)
{
	struct rule_text_msg *m = arg;
	int err = swap_text(&m->phrase, phrase);

	if (!err)
		m->status = status;
	return err;
}

static int m_set_ruri(void *arg, struct slice uri) { return swap_text(&((struct rule_text_msg *)arg)->ruri, uri); }

static int m_add_header(void *arg, struct slice name, struct slice value)
{
	struct rule_text_msg *m = arg;
	unsigned at = m->n;

	for (unsigned i = 0; i < m->n; i++)
		if (slice_eq_nocase(slice_str(m->line[i].name), name))
			at = i + 1;
	return line_add(m, at, name, value);
}

static int m_set_header(void *arg, struct slice name, unsigned index, struct slice value)
{
	struct line *l = line_find(arg, name, index);

	return l ? swap_text(&l->value, value) : m_add_header(arg, name, value);
}

static int m_remove_header(void *arg, struct slice name, unsigned index)
{
	struct rule_text_msg *m = arg;
	struct line *l = line_find(m, name, index);

	if (!l)
		return ERR_NOTFOUND;
	free(l->name);
	free(l->value);
	memmove(l, l + 1, (size_t)(&m->line[m->n] - (l + 1)) * sizeof *l);
	m->n--;
	return 0;
}

static int m_set_body(void *arg, struct slice body)
{
	struct rule_text_msg *m = arg;
	int err = swap_text(&m->body, body);

	if (!err)
		m->body_n = body.n;
	return err;
}

static struct slice m_var(void *arg, struct slice name)
{
	struct rule_text_msg *m = arg;

	for (unsigned i = 0; i < m->vars; i++)
		if (slice_eq(slice_str(m->var[i][0]), name))
			return slice_str(m->var[i][1]);
	return (struct slice){ NULL, 0 };
}

static int m_set_var(void *arg, struct slice name, struct slice value)
{
	struct rule_text_msg *m = arg;
	unsigned i = 0;

	note(m, value.p ? "var" : "no var", name, value);
	while (i < m->vars && !slice_eq(slice_str(m->var[i][0]), name))
		i++;
	if (i == m->vars && value.p) {
		if (i == ARRAY_LEN(m->var))
			return ERR_FULL;
		m->var[i][0] = base_dup(name);
		if (!m->var[i][0])
			return -ENOMEM;
		m->vars++;
	}
	if (value.p)
		return swap_text(&m->var[i][1], value);
	if (i < m->vars) {
		free(m->var[i][1]);
		m->var[i][1] = NULL;
	}
	return 0;
}

static bool m_has_tag(void *arg, struct slice name)
{
	struct rule_text_msg *m = arg;

	for (unsigned i = 0; i < m->tags; i++)
		if (slice_eq(slice_str(m->tag[i]), name))
			return true;
	return false;
}

static int m_add_tag(void *arg, struct slice name)
{
	struct rule_text_msg *m = arg;

	if (m->tags == ARRAY_LEN(m->tag))
		return ERR_FULL;
	m->tag[m->tags] = base_dup(name);
	if (!m->tag[m->tags])
		return -ENOMEM;
	m->tags++;
	note(m, "tag", name, (struct slice){ NULL, 0 });
	return 0;
}

static void m_log(void *arg, const char *policy, struct slice text)
{
	note(arg, "log", text, (struct slice){ NULL, 0 });
}

static uint64_t m_rate(void *arg, unsigned window_s) { return ((struct rule_text_msg *)arg)->rate; }

const struct rule_msg_ops rule_text_ops = {
	.method = m_method, .status = m_status, .phrase = m_phrase, .ruri = m_ruri, .header = m_header, .header_name = m_header_name, .body = m_body,
	.set_status = m_set_status, .set_ruri = m_set_ruri, .set_header = m_set_header, .add_header = m_add_header, .remove_header = m_remove_header,
	.set_body = m_set_body, .var = m_var, .set_var = m_set_var, .has_tag = m_has_tag, .add_tag = m_add_tag, .log = m_log, .rate = m_rate,
};

void rule_text_set_rate(struct rule_text_msg *m, uint64_t requests) { m->rate = requests; }
const char *rule_text_notes(const struct rule_text_msg *m) { return m->notes; }
bool rule_text_is_request(const struct rule_text_msg *m) { return m->request; }

enum rule_dialog rule_text_dialog(const struct rule_text_msg *m)
{
	struct slice to = m_header((void *)(uintptr_t)m, SLICE("To"), 0);
	const char *method = m->method;
	bool forms = !strcmp(method, "INVITE") || !strcmp(method, "SUBSCRIBE") || !strcmp(method, "REFER");
	struct wire_addr a;

	if (m->request && to.p && !wire_addr_parse(to, &a) && wire_param(a.params, "tag").p)
		return RULE_MID;
	return forms ? RULE_INITIAL : RULE_OUTSIDE;
}

/* ---- printing ---- */
char *rule_text_print(const struct rule_text_msg *m)
{
	struct rule_out o = { 0 };
	bool length = false;

	if (m->request)
		rule_out_add(&o, "%s %s SIP/2.0\r\n", m->method, m->ruri);
	else
		rule_out_add(&o, "SIP/2.0 %d %s\r\n", m->status, m->phrase);
	for (unsigned i = 0; i < m->n; i++) {
		if (!strcmp(m->line[i].name, "Content-Length")) {
			rule_out_add(&o, "Content-Length: %zu\r\n", m->body_n);
			length = true;
		} else {
			rule_out_add(&o, "%s: %s\r\n", m->line[i].name, m->line[i].value);
		}
	}
	if (m->body_n && !length)
		rule_out_add(&o, "Content-Length: %zu\r\n", m->body_n);
	rule_out_slice(&o, SLICE("\r\n"));
	rule_out_slice(&o, (struct slice){ m->body, m->body_n });
	return rule_out_take(&o);
}
