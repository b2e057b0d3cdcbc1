/* SPDX-License-Identifier: Apache-2.0 */
/* Single values: is it of the row's type and range, and what is its C value. A table of types; messages say what to write instead. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <ctype.h>
#include <pcre2.h>
#include <stdio.h>

#include "conf/conf.h"

#define REGEX_MOST 1024
#define STRING_MOST 1024
#define ID_MOST 63

struct why { char *p; size_t size; };

__attribute__((format(printf, 2, 3)))
static bool no(struct why *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(w->p, w->size, fmt, ap);
	va_end(ap);
	return false;
}

const char *conf_id_wrong(const char *text)
{
	size_t i, n = strlen(text);

	for (i = 0; i < n; i++)
		if (!islower((unsigned char)text[i]) && !isdigit((unsigned char)text[i]) && (text[i] != '-' || !i))
			break;
	if (!n || n > ID_MOST || i < n)
		return "must be 1 to 63 of a-z, 0-9 and '-', and not begin with '-'";
	return NULL;
}

const char *conf_regex_wrong(const char *text, char *why, size_t size)
{
	pcre2_code *re;
	PCRE2_UCHAR msg[128];
	PCRE2_SIZE at = 0;
	int code = 0;

	re = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, PCRE2_NEVER_BACKSLASH_C, &code, &at, NULL);
	if (re) {
		pcre2_code_free(re);
		return NULL;
	}
	pcre2_get_error_message(code, msg, sizeof msg);
	snprintf(why, size, "is a regular expression that fails at offset %zu: %s", (size_t)at, (const char *)msg);
	return why;
}

static bool printable(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return false;
	return true;
}

/* ---- numbers and words ---- */
static bool store_bool(const struct conf_row *row, const json_t *v, void *at, struct why *w)
{
	if (!json_is_boolean(v))
		return no(w, "must be true or false");
	*(bool *)at = json_is_true(v);
	return true;
}

static bool limited(const struct conf_row *row)
{
	return row->min != 0 || row->max != 0;
}

static bool store_int(const struct conf_row *row, const json_t *v, void *at, struct why *w)
{
	int64_t n = json_integer_value(v);

	if (!json_is_integer(v)) {
		if (limited(row))
			return no(w, "must be a whole number between %.0f and %.0f", row->min, row->max);
		return no(w, "must be a whole number");
	}
	if (limited(row) && ((double)n < row->min || (double)n > row->max))
		return no(w, "must be between %.0f and %.0f", row->min, row->max);
	*(int64_t *)at = n;
	return true;
}

static bool store_real(const struct conf_row *row, const json_t *v, void *at, struct why *w)
{
	double n = json_number_value(v);

	if (!json_is_number(v))
		return no(w, "must be a number between %g and %g", row->min, row->max);
	if (limited(row) && !(n >= row->min && n <= row->max))
		return no(w, "must be between %g and %g", row->min, row->max);
	*(double *)at = n;
	return true;
}

static void names_print(const struct conf_row *row, struct text *t)
{
	const char *const *n;

	for (n = row->names; *n; n++)
		text_add(t, "%s\"%s\"", n == row->names ? "" : ", ", *n);
}

static int name_index(const struct conf_row *row, const json_t *v)
{
	const char *s = json_string_value(v);
	int i;

	for (i = 0; s && row->names[i]; i++)
		if (!strcmp(s, row->names[i]))
			return i;
	return -1;
}

static bool no_name(const struct conf_row *row, const json_t *v, struct why *w)
{
	const char *near = json_is_string(v) ? conf_nearest_word(row->names, json_string_value(v)) : NULL;
	struct text t = text_on(w->p, w->size);

	text_add(&t, "must be %s", row->names[1] ? "one of " : "");
	names_print(row, &t);
	if (row->type == CONF_CHOICE)
		text_add(&t, ", or a number between %.0f and %.0f", row->min, row->max);
	if (near)
		text_add(&t, "; did you mean \"%s\"?", near);
	return false;
}

static bool store_enum(const struct conf_row *row, const json_t *v, void *at, struct why *w)
{
	int i = name_index(row, v);

	if (i < 0)
		return no_name(row, v, w);
	*(int *)at = i;
	return true;
}

static bool store_choice(const struct conf_row *row, const json_t *v, void *at, struct why *w)
{
	int i = name_index(row, v);

	if (json_is_integer(v))
		return store_int(row, v, at, w);
	if (i < 0)
		return no_name(row, v, w);
	*(int64_t *)at = i;
	return true;
}

static bool store_word(const struct conf_row *row, const json_t *v, void *at, struct why *w)
{
	int i = name_index(row, v);

	if (i < 0)
		return no_name(row, v, w);
	*(const char **)at = row->names[i];
	return true;
}

/* ---- texts: the pointer goes into the document's own JSON ---- */
static bool take_text(const json_t *v, void *at, size_t most, struct why *w)
{
	const char *s = json_string_value(v);

	if (!s)
		return no(w, "must be a string");
	if (json_string_length(v) > most)
		return no(w, "must have at most %zu characters", most);
	if (!printable(s))
		return no(w, "must not have control characters");
	*(const char **)at = s;
	return true;
}

static bool store_string(const struct conf_row *row, const json_t *v, void *at, struct why *w)
{
	const char *s;

	if (!take_text(v, &s, row->max > 0 ? (size_t)row->max : STRING_MOST, w))
		return false;
	if ((double)strlen(s) < row->min)
		return no(w, "must not be empty");
	if (row->flags & CONF_SECRET && !strcmp(s, "***"))
		return no(w, "is \"***\", which stands for a secret already stored here, and there is none");
	*(const char **)at = s;
	return true;
}

static bool store_id(const struct conf_row *row, const json_t *v, void *at, struct why *w)
{
	const char *s;

	if (!take_text(v, &s, STRING_MOST, w))
		return false;
	if (conf_id_wrong(s))
		return no(w, "%s", conf_id_wrong(s));
	*(const char **)at = s;
	return true;
}

static bool store_address(const struct conf_row *row, const json_t *v, void *at, struct why *w)
{
	union base_addr addr;
	const char *s;

	if (!take_text(v, &s, STRING_MOST, w))
		return false;
	if (strchr(s, '[') || base_addr_parse(slice_str(s), 0, &addr))
		return no(w, "must be an IPv4 or IPv6 address");
	*(const char **)at = s;
	return true;
}

static bool store_net(const char *s, void *at, bool host, const char *form, struct why *w)
{
	struct conf_net net;

	if (conf_net_parse(s, &net) || (host && net.bits != (net.addr.sa.sa_family == AF_INET6 ? 128 : 32)))
		return no(w, "must be %s", form);
	*(const char **)at = s;
	return true;
}

static bool store_server(const struct conf_row *row, const json_t *v, void *at, struct why *w)
{
	const char *s;

	return take_text(v, &s, STRING_MOST, w) && store_net(s, at, true, "an address with or without port, as 192.0.2.1:53 or [2001:db8::1]:53", w);
}

static bool store_cidr(const struct conf_row *row, const json_t *v, void *at, struct why *w)
{
	const char *s;

	return take_text(v, &s, STRING_MOST, w) && store_net(s, at, false, "an address or network with or without port, as 192.0.2.0/24, 192.0.2.1:5060 or [2001:db8::/32]:5060", w);
}

static bool store_regex(const struct conf_row *row, const json_t *v, void *at, struct why *w)
{
	const char *s;

	if (!take_text(v, &s, REGEX_MOST, w))
		return false;
	if (conf_regex_wrong(s, w->p, w->size))
		return false;
	*(const char **)at = s;
	return true;
}

static bool store_uri(const struct conf_row *row, const json_t *v, void *at, struct why *w)
{
	struct conf_uri uri;
	const char *s, *wrong;

	if (!take_text(v, &s, STRING_MOST, w))
		return false;
	if (conf_uri_parse(s, &uri, &wrong))
		return no(w, "%s", wrong);
	*(const char **)at = s;
	return true;
}

static bool store_host(const struct conf_row *row, const json_t *v, void *at, struct why *w)
{
	const char *s, *colon, *wrong;
	struct conf_net net;
	struct slice host;
	uint64_t port;

	if (!take_text(v, &s, STRING_MOST, w))
		return false;
	*(const char **)at = s;
	if (!strchr(s, '/') && !conf_net_parse(s, &net))
		return true;
	host = slice_str(s);
	colon = strchr(s, ':');
	if (colon) {
		host.n = (size_t)(colon - s);
		if (slice_u64(slice_str(colon + 1), 65535, &port) || !port)
			return no(w, "has a port that is not between 1 and 65535");
	}
	wrong = conf_host_wrong(host);
	return wrong ? no(w, "%s", wrong) : true;
}

static bool store_token(const struct conf_row *row, const json_t *v, void *at, struct why *w)
{
	const char *s, *p;

	if (!take_text(v, &s, 64, w))
		return false;
	for (p = s; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("-.!%*_+`'~", *p))
			break;
	if (*p || !*s)
		return no(w, "must be a word of letters, digits and '-'");
	*(const char **)at = s;
	return true;
}

static bool store_ref(const struct conf_row *row, const json_t *v, void *at, struct why *w)
{
	const char *s;

	if (!take_text(v, &s, STRING_MOST, w))
		return false;
	if (conf_id_wrong(s))
		return no(w, "must be the id of an object: %s", conf_id_wrong(s));
	*(const char **)at = s;
	return true;
}

static bool store_file(const struct conf_row *row, const json_t *v, void *at, struct why *w)
{
	const char *s;

	if (!take_text(v, &s, STRING_MOST, w))
		return false;
	if (!*s || s[strlen(s) - 1] == '/')
		return no(w, "must be a file name");
	*(const char **)at = s;
	return true;
}

/* ---- the table of types ---- */
static const struct {
	bool (*store)(const struct conf_row *row, const json_t *v, void *at, struct why *w);
	size_t size;
} types[] = {
	[CONF_BOOL]    = { store_bool, sizeof(bool) },
	[CONF_INT]     = { store_int, sizeof(int64_t) },
	[CONF_REAL]    = { store_real, sizeof(double) },
	[CONF_STRING]  = { store_string, sizeof(char *) },
	[CONF_ENUM]    = { store_enum, sizeof(int) },
	[CONF_CHOICE]  = { store_choice, sizeof(int64_t) },
	[CONF_WORD]    = { store_word, sizeof(char *) },
	[CONF_ID]      = { store_id, sizeof(char *) },
	[CONF_ADDRESS] = { store_address, sizeof(char *) },
	[CONF_SERVER]  = { store_server, sizeof(char *) },
	[CONF_CIDR]    = { store_cidr, sizeof(char *) },
	[CONF_REGEX]   = { store_regex, sizeof(char *) },
	[CONF_URI]     = { store_uri, sizeof(char *) },
	[CONF_HOST]    = { store_host, sizeof(char *) },
	[CONF_TOKEN]   = { store_token, sizeof(char *) },
	[CONF_REF]     = { store_ref, sizeof(char *) },
	[CONF_FILE]    = { store_file, sizeof(char *) },
};

size_t conf_value_size(const struct conf_row *row)
{
	return row->elem == CONF_OBJECT ? row->elem_size : types[row->elem].size;
}

bool conf_value_store(const struct conf_row *row, enum conf_type type, const json_t *v, void *at, char *why, size_t size)
{
	struct why w = { why, size };

	must((size_t)type < ARRAY_LEN(types) && types[type].store);
	return types[type].store(row, v, at, &w);
}
