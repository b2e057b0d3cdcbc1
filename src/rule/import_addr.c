/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of sip-profiles that modify addresses: what comes up again and again has a field of its own, see import_cube.c. */
#include <stdlib.h>

#include "rule/import_cube.h"

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
	rule_cube_when(&x->rules, s, when);
	rule_out_add(&x->rules, "set %s.%s ", field, part);
	rule_cube_quoted(&x->rules, value);
	rule_out_slice(&x->rules, SLICE("\n"));
}

/** `@.*>` by `@host>`: the host, whatever it was. */
static bool modify_host(struct import *x, const struct spec *s, const char *field)
{
	struct slice to = s->two;
	char host[128];

	if (s->one.n < 3 || s->one.p[0] != '@' || to.n < 2 || to.p[0] != '@')
		return false;
	if (!rule_cube_everything((struct slice){ "", 0 }, (struct slice){ s->one.p + 1, s->one.n - 2 }) || !strchr(">:;", s->one.p[s->one.n - 1]) || to.p[to.n - 1] != s->one.p[s->one.n - 1])
		return false;
	if (!host_like((struct slice){ to.p + 1, to.n - 2 }, host, sizeof host))
		return false;
	put_set(x, s, "", field, "host", slice_str(host));
	/* up to `>`, the port goes with it */
	if (s->one.p[s->one.n - 1] == '>' && strcmp(field, "contact")) {
		rule_cube_when(&x->rules, s, "");
		rule_out_add(&x->rules, "remove %s.port\n", field);
	}
	return true;
}

/** `<sip:.*@` by `<sip:user@`: the user, whatever it was. */
static bool modify_user(struct import *x, const struct spec *s, const char *field)
{
	struct slice from = s->one, to = s->two, user;
	size_t skip = rule_cube_starts(from, "<sip:") && rule_cube_starts(to, "<sip:") ? 5 : rule_cube_starts(from, "sip:") && rule_cube_starts(to, "sip:") ? 4 : 0;

	if (!skip || from.p[from.n - 1] != '@' || to.p[to.n - 1] != '@' || to.n < skip + 2)
		return false;
	user = (struct slice){ to.p + skip, to.n - skip - 1 };
	if (!rule_cube_everything((struct slice){ "", 0 }, (struct slice){ from.p + skip, from.n - skip - 1 }) || memchr(user.p, '\\', user.n))
		return false;
	put_set(x, s, "", field, "user", user);
	return true;
}

/** Of Cisco's request line ours is the URI alone: no method before it, no version behind it. */
static bool modify_ruri(struct import *x, const struct spec *s, struct slice line)
{
	struct slice from = s->one, to = s->two;
	bool class = false;

	for (size_t i = 0; i < from.n; i++) {
		class = from.p[i] == '[' || (class && from.p[i] != ']');
		if (from.p[i] == ' ' && !class)
			return rule_cube_lose(x, line, "an expression over method or version of the request line");
	}
	if (rule_cube_starts(from, ".*") && to.n > s->who.n && rule_cube_is((struct slice){ to.p, s->who.n }, "INVITE") && to.p[s->who.n] == ' ')
		to = (struct slice){ to.p + s->who.n + 1, to.n - s->who.n - 1 };
	return rule_cube_part(x, s, "ruri", line, from, to);
}

/** `sips:` by `sip:`, in the forms in which it is written. */
static bool modify_scheme(struct import *x, const struct spec *s, const char *field)
{
	struct slice from = s->one, to = s->two;
	char when[64];
	struct text t = text_on(when, sizeof when);
	bool angle = rule_cube_starts(from, "<");

	if (angle != rule_cube_starts(to, "<") || !strcmp(field, "contact"))
		return false;
	from = (struct slice){ from.p + angle, from.n - angle };
	to = (struct slice){ to.p + angle, to.n - angle };
	if (!(rule_cube_is(from, "sips:") && rule_cube_is(to, "sip:")) && !(rule_cube_is(from, "sips:(.*)") && rule_cube_is(to, "sip:\\1")))
		return false;
	text_add(&t, "%s.scheme == sips", field);
	rule_cube_when(&x->rules, s, when);
	rule_out_add(&x->rules, "set %s.scheme sip\n", field);
	return true;
}

/** `"\".*\""` by `"\"NAME\""`: the display name, where there is one. */
static bool modify_display(struct import *x, const struct spec *s, const char *field)
{
	struct slice to = s->two;
	char when[64];
	struct text t = text_on(when, sizeof when);

	if (!rule_cube_is(s->one, "\\\".*\\\"") || to.n < 5 || !rule_cube_starts(to, "\\\"") || to.p[to.n - 1] != '"' || memchr(to.p, '$', to.n))
		return false;
	to = (struct slice){ to.p + 2, to.n - 4 };
	if (memchr(to.p, '\\', to.n) || memchr(to.p, '"', to.n))
		return false;
	text_add(&t, "has %s.display", field);
	put_set(x, s, when, field, "display", to);
	return true;
}

/** `>` by `;name=value>`: a parameter of the URI. */
static bool modify_param(struct import *x, const struct spec *s, const char *field)
{
	struct slice to = s->two, name;
	const char *eq;

	if (!rule_cube_is(s->one, ">") || to.n < 3 || *to.p != ';' || to.p[to.n - 1] != '>')
		return false;
	to = (struct slice){ to.p + 1, to.n - 2 };
	eq = memchr(to.p, '=', to.n);
	name = (struct slice){ to.p, eq ? (size_t)(eq - to.p) : to.n };
	for (size_t i = 0; i < to.n; i++)
		if (strchr("\\$\";<>", to.p[i]))
			return false;
	rule_cube_when(&x->rules, s, "");
	rule_out_add(&x->rules, "set %s.params[\"%.*s\"] ", field, (int)name.n, name.p);
	rule_cube_quoted(&x->rules, eq ? (struct slice){ eq + 1, to.n - name.n - 1 } : (struct slice){ "", 0 });
	rule_out_slice(&x->rules, SLICE("\n"));
	return true;
}

/** `sip:PATTERN@` by `sip:TEXT@`: an expression over the user alone. */
static bool modify_user_by(struct import *x, const struct spec *s, const char *field)
{
	struct slice from = s->one, to = s->two;
	size_t skip = rule_cube_starts(from, "<sip:") && rule_cube_starts(to, "<sip:") ? 5 : rule_cube_starts(from, "sip:") && rule_cube_starts(to, "sip:") ? 4 : 0;
	struct rule_out text = { 0 }, when = { 0 }, expr = { 0 };
	char *w = NULL;

	if (!skip || from.n < skip + 2 || to.n < skip + 2 || from.p[from.n - 1] != '@' || to.p[to.n - 1] != '@' || memchr(from.p, '@', from.n - 1))
		return false;
	if (rule_cube_replacement(&text, (struct slice){ to.p + skip, to.n - skip - 1 })) {
		rule_out_add(&expr, "^%.*s$", (int)(from.n - skip - 1), from.p + skip);
		rule_out_add(&when, "%s.user ~ ", field);
		rule_print_string(&when, (struct slice){ expr.p ? expr.p : "", expr.n });
		w = rule_out_take(&when);
	}
	if (w) {
		rule_cube_when(&x->rules, s, w);
		rule_out_add(&x->rules, "set %s.user %.*s\n", field, (int)text.n, text.p);
	}
	free(w);
	rule_out_free(&text);
	rule_out_free(&expr);
	return w;
}

/** Both sides of an `@`: what is before it and behind it, without the sign that ends it. */
static bool halves(struct slice s, struct slice *ret_user, struct slice *ret_host)
{
	const char *at = memchr(s.p, '@', s.n);

	if (!at || s.p[s.n - 1] != '>')
		return false;
	*ret_user = (struct slice){ s.p, (size_t)(at - s.p) };
	*ret_host = (struct slice){ at + 1, s.n - ret_user->n - 2 };
	return true;
}

/** `<sip:(.*)@(.*)>` by `<sip:\1@host>`, and `(<.*:.*)(@.*>)` by `\1@host>`: the host, the user stays. */
static bool modify_host_by(struct import *x, const struct spec *s, const char *field)
{
	struct slice user, host, pattern_user, pattern_host;
	char name[128];
	bool kept;

	if (!halves(s->two, &user, &host) || !host_like(host, name, sizeof name))
		return false;
	kept = rule_cube_is(s->one, "(<.*:.*)(@.*>)") && rule_cube_is(user, "\\1");
	kept = kept || (halves(s->one, &pattern_user, &pattern_host) && (rule_cube_is(pattern_user, "<sip:(.*)") || rule_cube_is(pattern_user, "sip:(.*)")) && rule_cube_everything((struct slice){ "", 0 }, pattern_host) &&
		(rule_cube_is(user, "<sip:\\1") || rule_cube_is(user, "sip:\\1")));
	if (!kept)
		return false;
	put_set(x, s, "", field, "host", slice_str(name));
	return true;
}

/** What comes up again and again has a field of its own; the rest is an expression, where the whole value may be written. */
bool rule_cube_addr(struct import *x, const struct spec *s, const char *field, struct slice line)
{
	char from[128], to[128], when[192];
	struct text t = text_on(when, sizeof when);

	if (modify_scheme(x, s, field) || modify_display(x, s, field) || modify_param(x, s, field))
		return true;
	if (modify_host(x, s, field) || modify_user(x, s, field) || modify_host_by(x, s, field) || modify_user_by(x, s, field))
		return true;
	if (host_like(s->one, from, sizeof from) && host_like(s->two, to, sizeof to)) {
		text_add(&t, "%s.host == \"%s\"", field, from);
		put_set(x, s, when, field, "host", slice_str(to));
		return true;
	}
	if (!strcmp(field, "from") || !strcmp(field, "to") || !strcmp(field, "contact"))
		return rule_cube_lose(x, line, "an expression over the whole address; write it by .user, .host, .display or .params");
	if (!strcmp(field, "ruri"))
		return modify_ruri(x, s, line);
	return rule_cube_part(x, s, field, line, rule_cube_value(s->header, s->one), rule_cube_value(s->header, s->two));
}
