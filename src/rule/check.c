/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The type checker: what a field is, what may be compared with it and written to it, where a verdict may stand, and what would break a
 * dialog. What cannot be applied is an error here where that can be known; else it is counted and logged when it happens.
 */
#include "rule/rule.h"

/* ---- words that a field can have ---- */
static const struct { const char *field; const char *words[6]; } known_words[] = {
	{ "dialog", { "initial", "mid" } },
	{ "call.direction", { "in", "out" } },
	{ "src.transport", { "udp", "tcp", "tls", "ws", "wss" } },
	{ "session-expires.refresher", { "uac", "uas" } },
	{ "sdp.audio.direction", { "sendrecv", "sendonly", "recvonly", "inactive" } },
	{ "sdp.video.direction", { "sendrecv", "sendonly", "recvonly", "inactive" } },
};

static const char *const basic[] = { "INVITE", "ACK", "BYE", "CANCEL" };

static void check_word(struct rule_parser *p, const struct rule_path *x, const struct rule_value *v)
{
	const char *near;

	for (size_t i = 0; i < ARRAY_LEN(known_words); i++) {
		const char *const *w = known_words[i].words;
		bool ok = false;

		if (strcmp(known_words[i].field, x->field->name))
			continue;
		for (; *w && !ok; w++)
			ok = slice_eq_nocase(slice_str(*w), v->text);
		near = rule_nearest(known_words[i].words, v->text);
		if (!ok)
			rule_fail(p, v->pos, near ? near : known_words[i].words[0], "%s is never %.*s", x->field->name, (int)v->text.n, v->text.p);
	}
}

static const char *path_text(const struct rule_path *x)
{
	static char buf[96];
	struct text t = text_on(buf, sizeof buf);

	text_add(&t, "%s%s%s", x->field->name, *x->part->name ? "." : "", x->part->name);
	if (x->sub.p)
		text_add(&t, "[\"%.*s\"]", (int)(x->sub.n > 40 ? 40 : x->sub.n), x->sub.p);
	return buf;
}

/* ---- reading ---- */
static bool is_glob(struct slice s)
{
	return s.p && (memchr(s.p, '*', s.n) || memchr(s.p, '?', s.n));
}

/** May the field be there at all in what this policy sees? */
static void check_place(struct rule_parser *p, const struct rule_path *x)
{
	if ((x->flags & RULE_RESPONSE) && p->policy->kinds == RULE_REQUESTS)
		rule_fail(p, x->pos, "policy NAME on ... response, or any", "requests have no %s", path_text(x));
	if ((x->flags & RULE_REQUEST) && p->policy->kinds == RULE_RESPONSES)
		rule_fail(p, x->pos, "policy NAME on ... request, or any", "responses have no %s", path_text(x));
}

static void check_read(struct rule_parser *p, const struct rule_path *x)
{
	char hint[96];
	struct text t = text_on(hint, sizeof hint);

	check_place(p, x);
	text_add(&t, "has %s", path_text(x));
	if ((x->flags & RULE_HAS) || ((x->flags & RULE_MEMBER) && x->sub.p))
		rule_fail(p, x->pos, hint, "%s is there or not; it has no value", path_text(x));
	if (x->field->kind == RULE_K_HEADER && is_glob(x->sub))
		rule_fail(p, x->pos, "has header[\"X-*\"], remove header[\"X-*\"]", "a glob of header names has no value");
}

static void check_pieces(struct rule_parser *p, const struct rule_value *v, unsigned captures)
{
	for (const struct rule_piece *x = v->pieces; x; x = x->next) {
		if (x->kind == RULE_P_PATH && x->path) {
			check_read(p, x->path);
			if (x->path->type == RULE_LIST || x->path->type == RULE_RATE)
				rule_fail(p, x->path->pos, NULL, "a %s cannot stand in a text", rule_type_name(x->path->type));
		}
		if (x->kind == RULE_P_CAPTURE && x->capture > captures)
			rule_fail(p, v->pos, captures ? "the number of parentheses in the expression counts" : "a capture needs a `~` before it in the same rule, not under `not`",
				  "there is no capture $%u", x->capture);
	}
}

static void check_key(struct rule_parser *p, const struct rule_value *v)
{
	const struct rule_table *t = v->table;
	enum rule_type want = v->key->type;

	check_read(p, v->key);
	if (t && (t->elem == RULE_E_INT) != (want == RULE_INT) && t->elem != RULE_E_REGEX && t->elem != RULE_E_GLOB)
		rule_fail(p, v->key->pos, NULL, "%%%.*s is a map of %s and %s is a %s", (int)t->name.n, t->name.p, rule_set_types[t->elem], path_text(v->key), rule_type_name(want));
}

static void check_plain(struct rule_parser *p, const struct rule_path *x, const struct rule_value *v, unsigned captures)
{
	bool text = v->kind == RULE_V_TEXT || v->kind == RULE_V_WORD;

	if (x->type == RULE_INT && v->kind != RULE_V_NUMBER && !(v->kind == RULE_V_TEXT && v->pieces))
		rule_fail(p, v->pos, "a number stands without quotes", "%s is a number", path_text(x));
	else if (x->type != RULE_INT && !text && v->kind != RULE_V_LIST)
		rule_fail(p, v->pos, "a text stands in quotes", "%s is a %s, not a number", path_text(x), rule_type_name(x->type));
	check_pieces(p, v, captures);
	if (text && !v->pieces)
		check_word(p, x, v);
}

/** A value for a field of this type, in tests and edits alike. */
static void check_value(struct rule_parser *p, const struct rule_path *x, const struct rule_value *v, unsigned captures)
{
	if (v->kind == RULE_V_MAP) {
		check_key(p, v);
		if (v->table && x->type == RULE_INT && !v->table->numeric)
			rule_fail(p, v->pos, NULL, "%%%.*s gives texts and %s is a number", (int)v->text.n, v->text.p, path_text(x));
		return;
	}
	if (v->kind == RULE_V_SET) {
		rule_fail(p, v->pos, "PATH in @set", "a set is asked with `in`");
		return;
	}
	if (v->kind == RULE_V_RATE || x->type == RULE_RATE) {
		if (v->kind != RULE_V_RATE || x->type != RULE_RATE)
			rule_fail(p, v->pos, "20/s, 300/m", x->type == RULE_RATE ? "%s is a rate" : "%s is no rate", path_text(x));
		return;
	}
	check_plain(p, x, v, captures);
}

/* ---- conditions ---- */
static void check_in(struct rule_parser *p, struct rule_cond *c)
{
	const struct rule_table *t = c->value->table;
	enum rule_type type = c->path->type;
	bool fits;

	if (c->value->kind == RULE_V_LIST) {
		for (const struct rule_value *v = c->value->items; v; v = v->next) {
			if (v->kind == RULE_V_SET || v->kind == RULE_V_MAP)
				rule_fail(p, v->pos, NULL, "a list holds plain values");
			else
				check_value(p, c->path, v, 0);
		}
		return;
	}
	if (c->value->kind != RULE_V_SET) {
		rule_fail(p, c->value->pos, "in @set, or in { a, b }", "a set or a list is expected after in");
		return;
	}
	if (!t)
		return;
	switch (t->elem) {
	case RULE_E_INT: fits = type == RULE_INT; break;
	case RULE_E_IP: fits = type == RULE_IP || type == RULE_STRING || type == RULE_TOKEN; break;
	case RULE_E_PEER: fits = type == RULE_NAME; break;
	default: fits = type != RULE_INT && type != RULE_RATE && type != RULE_FLAG; break;
	}
	if (!fits)
		rule_fail(p, c->value->pos, NULL, "@%.*s is a set of %s and %s is a %s", (int)t->name.n, t->name.p, rule_set_types[t->elem], path_text(c->path), rule_type_name(type));
}

static void check_match(struct rule_parser *p, struct rule_cond *c)
{
	enum rule_type type = c->path->type;

	if (type == RULE_INT || type == RULE_RATE) {
		rule_fail(p, c->pos, "== < >", "%s is a %s; an expression is for texts", path_text(c->path), rule_type_name(type));
		return;
	}
	if (c->value->kind != RULE_V_TEXT) {
		rule_fail(p, c->value->pos, "~ \"^expression$\"", "an expression stands in quotes");
		return;
	}
	c->re = rule_regex(p, c->value->text, c->value->pos, &c->captures);
}

static void check_compare(struct rule_parser *p, struct rule_cond *c, unsigned captures)
{
	enum rule_type type = c->path->type;
	char hint[96];
	struct text t = text_on(hint, sizeof hint);

	check_read(p, c->path);
	if (c->in) {
		check_in(p, c);
		return;
	}
	if (c->op == RULE_T_MATCH) {
		check_match(p, c);
		return;
	}
	if ((c->op == RULE_T_LT || c->op == RULE_T_GT) && type != RULE_INT && type != RULE_RATE) {
		rule_fail(p, c->pos, "==, !=, ~ or in", "%s is a %s; < and > are for numbers and rates", path_text(c->path), rule_type_name(type));
		return;
	}
	if (type == RULE_RATE && c->op != RULE_T_LT && c->op != RULE_T_GT) {
		rule_fail(p, c->pos, "< or >", "a rate is hardly ever equal");
		return;
	}
	if (type == RULE_LIST || c->value->kind == RULE_V_LIST) {
		text_add(&t, "has %s[\"...\"]", c->path->field->name);
		rule_fail(p, c->pos, type == RULE_LIST ? hint : "PATH in { a, b }", type == RULE_LIST ? "%s is a list" : "%s is compared with one value", path_text(c->path));
		return;
	}
	check_value(p, c->path, c->value, captures);
}

/** Check a condition and give the number of captures that it can fill. */
static unsigned check_cond(struct rule_parser *p, struct rule_cond *c, unsigned captures)
{
	unsigned most = captures, n;

	switch (c->kind) {
	case RULE_C_HAS:
		check_place(p, c->path);
		break;
	case RULE_C_CMP:
		check_compare(p, c, captures);
		if (c->re && c->captures > most)
			most = c->captures;
		break;
	case RULE_C_NOT:
		check_cond(p, c->first, captures);
		break;
	case RULE_C_AND:
	case RULE_C_OR:
		for (struct rule_cond *x = c->first; x; x = x->next) {
			n = check_cond(p, x, most);
			most = n > most ? n : most;
		}
		break;
	}
	return most;
}

/* ---- edits ---- */
static void check_header(struct rule_parser *p, const struct rule_action *a)
{
	const struct rule_path *x = a->path;
	const char *why = NULL, *field = NULL;

	if (is_glob(x->sub) && a->row->verb != RULE_A_REMOVE)
		rule_fail(p, x->pos, NULL, "a glob of header names is for remove and has");
	else if (!rule_header_writable(x->sub, &why, &field))
		rule_fail(p, x->pos, field, why ? "%.*s cannot be written: it %s" : "%.*s has a field of its own%s", (int)x->sub.n, x->sub.p, why ? why : "");
}

static void check_writable(struct rule_parser *p, const struct rule_action *a)
{
	const struct rule_path *x = a->path;

	check_place(p, x);
	if (x->field->kind == RULE_K_HEADER) {
		check_header(p, a);
	} else if (x->field->kind == RULE_K_CODECS && a->row->verb == RULE_A_REMOVE && !x->sub.p) {
		rule_fail(p, x->pos, "remove sdp.audio.codecs[\"G729\"]", "all codecs cannot be removed");
	} else if (x->field->kind == RULE_K_ATTRIBUTE && !rule_attribute_writable(x->sub)) {
		rule_fail(p, x->pos, slice_eq_nocase(x->sub, SLICE("ptime")) ? "sdp.audio.ptime" : NULL, "the attribute %.*s is Postern's own", (int)x->sub.n, x->sub.p);
	} else if (x->part->part == RULE_PARAMS && slice_eq_nocase(x->sub, SLICE("tag")) && (!strcmp(x->field->name, "from") || !strcmp(x->field->name, "to"))) {
		rule_fail(p, x->pos, NULL, "the tag identifies the dialog and cannot be written");
	}
}

static void check_need(struct rule_parser *p, const struct rule_action *a)
{
	const struct rule_path *x = a->path;
	unsigned need = a->row->need;
	const char *name = x->field->name;

	if (x->sub.p && (x->flags & RULE_MEMBER) && a->row->verb != RULE_A_REMOVE)
		rule_fail(p, x->pos, "add supported \"100rel\"", "keep and set take the whole list; one member is added as a value, and removed by its name in brackets");
	if (x->flags & need)
		return;
	if (!(x->flags & (RULE_WRITE | RULE_REMOVE | RULE_ADD | RULE_KEEP))) {
		bool whole = x->type == RULE_ADDR && (x->field->flags & RULE_WRITE);

		rule_fail(p, x->pos, !whole ? NULL : !strcmp(name, "contact") ? "write its user, host or params" : "write its user, host or display", "%s is read-only", path_text(x));
		return;
	}
	switch (a->row->verb) {
	case RULE_A_ADD: rule_fail(p, x->pos, x->flags & RULE_KEEP ? "keep" : "set", x->flags & RULE_KEEP ? "%s takes no new members" : "%s has one value; add is for lists and headers that repeat", path_text(x)); break;
	case RULE_A_KEEP: rule_fail(p, x->pos, NULL, "%s is no list", path_text(x)); break;
	case RULE_A_REMOVE: rule_fail(p, x->pos, NULL, "%s cannot be removed", path_text(x)); break;
	default: rule_fail(p, x->pos, x->flags & RULE_KEEP ? "keep" : NULL, "%s cannot be set", path_text(x)); break;
	}
}

static bool list_has(const struct rule_value *v, const char *name)
{
	for (const struct rule_value *x = v->items; x; x = x->next)
		if (slice_eq_nocase(x->text, slice_str(name)))
			return true;
	return false;
}

static bool text_has(struct slice text, const char *name)
{
	struct slice m;

	for (unsigned i = 0; (m = rule_list_member(text, ',', i)).p; i++)
		if (slice_eq_nocase(m, slice_str(name)))
			return true;
	return false;
}

/** INVITE, ACK, BYE and CANCEL stay in Allow. */
static void check_allow(struct rule_parser *p, const struct rule_action *a)
{
	const struct rule_value *v = a->value;

	if (strcmp(a->path->field->name, "allow") || a->row->verb == RULE_A_ADD)
		return;
	if (a->row->verb == RULE_A_REMOVE && !a->path->sub.p)
		rule_fail(p, a->path->pos, "keep allow { INVITE, ACK, BYE, CANCEL }", "Allow cannot be removed as a whole");
	if (v && (v->kind == RULE_V_MAP || v->pieces))
		rule_fail(p, v->pos, NULL, "Allow is set to plain words alone");
	for (size_t i = 0; i < ARRAY_LEN(basic); i++) {
		bool stripped = v ? v->kind == RULE_V_LIST ? !list_has(v, basic[i]) : !text_has(v->text, basic[i])
				  : a->path->sub.p && slice_eq_nocase(a->path->sub, slice_str(basic[i]));

		if (stripped)
			rule_fail(p, v ? v->pos : a->path->pos, NULL, "%s cannot be taken out of Allow", basic[i]);
	}
}

static void check_list(struct rule_parser *p, const struct rule_action *a)
{
	for (const struct rule_value *v = a->value->items; v; v = v->next)
		if (v->kind != RULE_V_WORD && v->kind != RULE_V_TEXT)
			rule_fail(p, v->pos, NULL, "a name is expected in this list");
}

static void check_status(struct rule_parser *p, const struct rule_action *a)
{
	int64_t n = a->value->num;

	if (a->path->field->kind == RULE_K_STATUS && a->value->kind == RULE_V_NUMBER && (n < 101 || n > 699))
		rule_fail(p, a->value->pos, NULL, "a status is 101 to 699");
	if (a->path->part->part == RULE_URI_PORT && a->value->kind == RULE_V_NUMBER && (n < 1 || n > 65535))
		rule_fail(p, a->value->pos, NULL, "a port is 1 to 65535");
}

/** A text without fields in it is known here. */
static void check_address(struct rule_parser *p, const struct rule_action *a)
{
	const struct rule_value *v = a->value;

	if (a->path->field->type != RULE_ADDR || (v->kind != RULE_V_TEXT && v->kind != RULE_V_WORD) || v->pieces || rule_addr_fits(a->path, v->text))
		return;
	rule_fail(p, v->pos, a->path->part->part != RULE_WHOLE ? NULL : *a->path->field->header ? "\"<sip:user@host>\"" : "\"sip:user@host\"", "%s cannot be this", path_text(a->path));
}

static void check_edit(struct rule_parser *p, const struct rule_action *a, unsigned captures)
{
	const char *name = a->path->field->name;

	check_need(p, a);
	check_writable(p, a);
	if (p->policy->kinds == RULE_RESPONSES && (!strcmp(name, "from") || !strcmp(name, "to")))
		rule_fail(p, a->path->pos, "policy NAME on ... request", "From and To are edited in the request that forms the dialog; responses follow it");
	if (a->value && a->value->kind == RULE_V_LIST) {
		if (a->path->type != RULE_LIST)
			rule_fail(p, a->value->pos, NULL, "%s is no list", path_text(a->path));
		check_list(p, a);
	} else if (a->value) {
		check_value(p, a->path, a->value, captures);
		check_status(p, a);
		check_address(p, a);
	}
	check_allow(p, a);
}

/* ---- verdicts ---- */
/** Is it certain that the rule holds for this method alone? */
static bool certain_method(const struct rule_cond *c, const char *method)
{
	if (!c)
		return false;
	if (c->kind == RULE_C_AND) {
		for (const struct rule_cond *x = c->first; x; x = x->next)
			if (certain_method(x, method))
				return true;
		return false;
	}
	return c->kind == RULE_C_CMP && !c->in && c->op == RULE_T_EQ && c->path->field->kind == RULE_K_METHOD && slice_eq_nocase(c->value->text, slice_str(method));
}

/** Is it certain that it holds for requests within a dialog alone? */
static bool certain_mid(const struct rule_cond *c)
{
	for (const struct rule_cond *x = c && c->kind == RULE_C_AND ? c->first : NULL; x; x = x->next)
		if (certain_mid(x))
			return true;
	return c && c->kind == RULE_C_CMP && !c->in && c->op == RULE_T_EQ && c->path->field->kind == RULE_K_AT && !strcmp(c->path->field->header, "dialog") && slice_eq_nocase(c->value->text, SLICE("mid"));
}

static bool certain_final(const struct rule_cond *c)
{
	if (!c)
		return false;
	if (c->kind == RULE_C_AND) {
		for (const struct rule_cond *x = c->first; x; x = x->next)
			if (certain_final(x))
				return true;
		return false;
	}
	if (c->kind != RULE_C_CMP || c->in || c->path->field->kind != RULE_K_STATUS)
		return false;
	return (c->op == RULE_T_EQ && c->value->num >= 200) || (c->op == RULE_T_GT && c->value->num >= 199);
}

static void check_verdict(struct rule_parser *p, const struct rule_rule *r, const struct rule_action *a)
{
	static const char *const unanswered[] = { "ACK", "BYE", "CANCEL" };
	const char *name = a->row->name;

	if (a->next)
		rule_fail(p, a->next->pos, NULL, "%s ends the policy: nothing follows it", name);
	if (a->row->verb == RULE_A_ACCEPT)
		return;
	if (a->row->verb == RULE_A_DROP) {
		if (certain_method(r->cond, "BYE") || certain_final(r->cond))
			rule_fail(p, a->pos, NULL, "neither BYE nor a final response can be dropped");
		return;
	}
	if (p->policy->hook == RULE_SEND)
		rule_fail(p, a->pos, "policy NAME on receive request", "%s has no place in a policy on send", name);
	else if (p->policy->kinds == RULE_RESPONSES)
		rule_fail(p, a->pos, "policy NAME on receive request", "%s is for requests", name);
	if (a->row->verb != RULE_A_REJECT && certain_mid(r->cond))
		rule_fail(p, a->pos, "when dialog == initial", "%s is for requests that begin a dialog or stand outside of one", name);
	for (size_t i = 0; i < ARRAY_LEN(unanswered); i++)
		if (certain_method(r->cond, unanswered[i]))
			rule_fail(p, a->pos, NULL, "%s cannot be applied to %s", name, unanswered[i]);
}

static void check_redirect(struct rule_parser *p, const struct rule_action *a)
{
	struct wire_uri u;
	struct wire_addr w;

	if (a->value->kind != RULE_V_TEXT && a->value->kind != RULE_V_MAP)
		rule_fail(p, a->value->pos, "redirect \"sip:user@host\"", "redirect takes an address in quotes, or a map");
	else if (a->value->kind == RULE_V_TEXT && !a->value->pieces && wire_uri_parse(a->value->text, &u) && wire_addr_parse(a->value->text, &w))
		rule_fail(p, a->value->pos, "redirect \"sip:user@host\"", "this is no address");
}

void rule_check_rule(struct rule_parser *p, struct rule_rule *r)
{
	unsigned captures = r->cond ? check_cond(p, r->cond, 0) : 0;

	for (struct rule_action *a = r->actions; a; a = a->next) {
		if (a->path)
			check_edit(p, a, captures);
		else if (a->value && a->value->kind == RULE_V_MAP)
			check_key(p, a->value);
		else if (a->value)
			check_pieces(p, a->value, captures);
		if (a->row->verb == RULE_A_REDIRECT)
			check_redirect(p, a);
		if (a->row->verdict)
			check_verdict(p, r, a);
	}
}
