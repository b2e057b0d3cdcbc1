/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posternctl policy check|print|test|import-cube|fields: tools that need no daemon. Files are read here; src/rule knows none.
 */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/posternctl_policy.h"
#include "postern/rule.h"

#define FILE_MOST 4194304

/** What is left of a stream; NULL: too much, no memory, or *ret_err. */
static char *stream_read(FILE *f, size_t *ret_n, int *ret_err)
{
	char *buf = NULL, *more;
	size_t n = 0, cap = 0, got;

	do {
		if (n + 4096 > cap) {
			cap = cap ? cap * 2 : 16384;
			more = cap <= FILE_MOST * 2 ? realloc(buf, cap) : NULL;
			if (!more)
				break;
			buf = more;
		}
		got = fread(buf + n, 1, cap - n - 1, f);
		n += got;
	} while (got);
	*ret_err = ferror(f) ? errno : 0; /* a folder can be opened, not read */
	if (*ret_err || !buf || n > FILE_MOST) {
		free(buf);
		return NULL;
	}
	buf[n] = 0;
	*ret_n = n;
	return buf;
}

/** A whole file, `-` is stdin. NULL: told on stderr, unless quiet. */
static char *file_read(const char *name, bool quiet, size_t *ret_n)
{
	FILE *f = strcmp(name, "-") ? fopen(name, "rb") : stdin;
	int err = f ? 0 : errno;
	char *buf = f ? stream_read(f, ret_n, &err) : NULL;

	if (f && f != stdin)
		fclose(f);
	if (!buf && !quiet)
		fprintf(stderr, "posternctl: %s: %s\n", name, err ? base_strerror(-err) : "too large");
	return buf;
}

/* ---- loading ---- */
struct includes { char *text, *name; };

/** An included file stands beside the one that names it. */
static int include(void *arg, const char *from, struct slice name, struct slice *ret_text, struct slice *ret_name)
{
	struct includes *inc = arg;
	char path[PATH_MAX], dir[PATH_MAX];
	size_t n;

	free(inc->text);
	free(inc->name);
	slice_copy(dir, sizeof dir, slice_str(from));
	if (name.n && name.p[0] == '/')
		snprintf(path, sizeof path, "%.*s", (int)name.n, name.p);
	else
		snprintf(path, sizeof path, "%.*s/%.*s", PATH_MAX / 2, dirname(dir), (int)(name.n > 1024 ? 1024 : name.n), name.p);
	inc->name = strdup(path);
	inc->text = inc->name ? file_read(path, true, &n) : NULL;
	if (!inc->text)
		return ERR_NOTFOUND;
	*ret_text = (struct slice){ inc->text, n };
	*ret_name = slice_str(inc->name);
	return 0;
}

static void errors_tell(const struct rule_errors *errs)
{
	char buf[1024];
	struct text t;

	for (size_t i = 0; i < rule_errors_count(errs); i++) {
		t = text_on(buf, sizeof buf);
		rule_error_print(rule_errors_get(errs, i), &t);
		fputs(buf, stdout);
	}
}

/** A file as a set; its errors are told. */
static struct rule_set *load(const char *file)
{
	struct includes inc = { 0 };
	struct rule_load how = { .file = file, .include = include, .arg = &inc };
	struct rule_errors *errs = rule_errors_new();
	struct rule_set *s = NULL;
	size_t n;
	char *text = file_read(file, false, &n);

	if (text && errs && rule_set_load((struct slice){ text, n }, &how, errs, &s) == -ENOMEM)
		fputs("posternctl: out of memory\n", stderr);
	if (errs)
		errors_tell(errs);
	base_unref(errs);
	free(text);
	free(inc.text);
	free(inc.name);
	return s;
}

/* ---- check, print ---- */
int app_cli_policy_check(const char *const *files, size_t n)
{
	int rc = APP_CLI_OK;

	for (size_t i = 0; i < n; i++) {
		struct rule_set *s = load(files[i]);
		struct rule_cost c;

		if (!s) {
			rc = APP_CLI_USAGE;
			continue;
		}
		rule_set_cost(s, &c);
		printf("%s: good: %u policies, %u rules, %u expressions, %u values in sets and maps\n", files[i], c.policies, c.rules, c.expressions, c.values);
		base_unref(s);
	}
	return rc;
}

static int put(char *text)
{
	if (!text)
		return APP_CLI_USAGE;
	fputs(text, stdout);
	free(text);
	return APP_CLI_OK;
}

int app_cli_policy_print(const char *file, bool json)
{
	struct rule_set *s = load(file);
	int rc = s ? put(json ? rule_set_print_json(s) : rule_set_print(s)) : APP_CLI_USAGE;

	base_unref(s);
	return rc;
}

int app_cli_policy_fields(void)
{
	return put(rule_reference(false));
}

int app_cli_policy_import(const char *file)
{
	size_t n;
	char *config = file_read(file, false, &n);
	unsigned lost = 0;
	int rc = config ? put(rule_import_cube((struct slice){ config, n }, &lost)) : APP_CLI_USAGE;

	if (config && lost)
		fprintf(stderr, "posternctl: %u lines were not carried over; the head of the output lists them\n", lost);
	free(config);
	return rc;
}

/* ---- test ---- */
struct trial {
	struct rule_at at;
	union base_addr src;
	const char *kind;                  /* request, response or any, as --at said; NULL: as the message is */
};

static void fired(void *arg, const struct rule_info *r)
{
	printf("%s:%u: policy %s: %s\n", r->file, r->line, r->policy, r->text);
}

/** `send request to carrier-x` in words: a missing kind is the message's. */
static int at_parse(const char *at, struct trial *t)
{
	static char words[256];
	char *save = NULL, *w;
	bool peer = false, ok = slice_copy(words, sizeof words, slice_str(at));

	for (w = strtok_r(words, " ", &save); ok && w; w = strtok_r(NULL, " ", &save)) {
		if (peer) {
			t->at.trunk = slice_str(w);
			peer = false;
		} else if (!strcmp(w, "send") || !strcmp(w, "receive")) {
			t->at.hook = *w == 's' ? RULE_SEND : RULE_RECEIVE;
		} else if (!strcmp(w, "request") || !strcmp(w, "response") || !strcmp(w, "any")) {
			t->kind = w;
		} else if (!strcmp(w, "to") || !strcmp(w, "from")) {
			peer = true;
		} else {
			ok = false;
		}
	}
	if (ok && !peer)
		return 0;
	fprintf(stderr, "posternctl: --at takes \"receive|send [request|response] [from|to TRUNK]\", not \"%s\"\n", at);
	return ERR_PROTO;
}

static int direction_parse(const char *direction, struct trial *t)
{
	if (!direction)
		return 0;
	t->at.hook = *direction == 's' ? RULE_SEND : RULE_RECEIVE;
	if (!strcmp(direction, "receive") || !strcmp(direction, "send"))
		return 0;
	fprintf(stderr, "posternctl: --direction is receive or send, not \"%s\"\n", direction);
	return ERR_PROTO;
}

/** The leg is the one to or from which the message goes. */
static void leg_set(const struct app_cli_policy_test *w, bool request, struct trial *t)
{
	if (w->trunk)
		t->at.trunk = slice_str(w->trunk);
	t->at.realm = slice_str(w->realm ? w->realm : "");
	t->at.out = t->at.hook == (request ? RULE_SEND : RULE_RECEIVE);
	if (t->at.hook == RULE_RECEIVE) {
		t->at.src_trunk = t->at.trunk;
		t->at.src_realm = t->at.realm;
	} else {
		t->at.dst_trunk = t->at.trunk;
		t->at.dst_realm = t->at.realm;
	}
}

static int trial_parse(const struct app_cli_policy_test *w, struct rule_text_msg *m, struct trial *t)
{
	bool request = rule_text_is_request(m);

	t->at = (struct rule_at){ .hook = RULE_SEND, .dialog = rule_text_dialog(m), .transport = slice_str(w->transport ? w->transport : "udp"), .now_ms = base_wall_ms() };
	if ((w->at && at_parse(w->at, t)) || direction_parse(w->direction, t))
		return ERR_PROTO;
	leg_set(w, request, t);
	if (w->source && base_addr_parse(slice_str(w->source), 5060, &t->src)) {
		fprintf(stderr, "posternctl: --source is an IP address, not \"%s\"\n", w->source);
		return ERR_PROTO;
	}
	t->at.src = w->source ? &t->src : NULL;
	if (t->kind && strcmp(t->kind, "any") && (t->kind[3] == 'u') != request) {
		fprintf(stderr, "posternctl: the message is a %s, --at says %s\n", request ? "request" : "response", t->kind);
		return ERR_PROTO;
	}
	return 0;
}

static void say_result(const struct rule_result *r, const char *notes, const char *diff)
{
	static const char *const names[] = { "pass", "drop", "reject", "redirect", "route" };

	fputs(notes, stdout);
	fputs(diff, stdout);
	if (r->skipped)
		printf("skipped: %u actions could not be applied\n", r->skipped);
	if (r->limits)
		printf("limits: %u expressions hit their limit\n", r->limits);
	if (r->verdict == RULE_REJECT)
		printf("verdict: reject %d%s%s\n", r->status, *r->text ? " " : "", r->text);
	else
		printf("verdict: %s%s%s\n", names[r->verdict], *r->text ? " " : "", r->text);
}

static int run_trial(struct rule_set *s, struct rule_text_msg *m, const struct trial *t)
{
	const struct rule_watch watch = { .fired = fired };
	char *before = rule_text_print(m), *after = NULL, *diff = NULL;
	struct rule_chain *c = NULL;
	struct rule_result r;

	if (before && !rule_chain_new(&s, 1, NULL, &c)) {
		rule_chain_run(c, &t->at, &rule_text_ops, m, &watch, &r);
		after = rule_text_print(m);
		diff = after ? rule_text_diff(before, after) : NULL;
	}
	if (diff)
		say_result(&r, rule_text_notes(m), diff);
	base_unref(c);
	free(before);
	free(after);
	free(diff);
	return diff ? APP_CLI_OK : APP_CLI_USAGE;
}

int app_cli_policy_test(const struct app_cli_policy_test *w)
{
	struct rule_text_msg *m = NULL;
	struct rule_set *s = load(w->file);
	struct trial t = { 0 };
	size_t n;
	char *text = s ? file_read(w->message, false, &n) : NULL;
	int rc = APP_CLI_USAGE;

	if (text && rule_text_parse((struct slice){ text, n }, &m))
		fprintf(stderr, "posternctl: %s: this is no SIP message\n", w->message);
	else if (text && !trial_parse(w, m, &t)) {
		if (w->rate)
			rule_text_set_rate(m, strtoul(w->rate, NULL, 10));
		rc = run_trial(s, m, &t);
	}
	rule_text_free(m);
	free(text);
	base_unref(s);
	return rc;
}

int app_cli_policy(const struct app_cli_command *c, bool json)
{
	struct app_cli_policy_test w = { .file = c->arg[0], .message = c->arg[1] };
	const struct { const char *key; const char **to; } keys[] = {
		{ "message", &w.message }, { "at", &w.at }, { "direction", &w.direction }, { "trunk", &w.trunk }, { "realm", &w.realm }, { "source", &w.source },
		{ "transport", &w.transport }, { "rate", &w.rate },
	};

	for (size_t i = 0; i < c->nkeys; i++)
		for (size_t k = 0; k < ARRAY_LEN(keys); k++)
			if (!strcmp(keys[k].key, c->key[i]))
				*keys[k].to = c->value[i];
	switch (c->action) {
	case APP_CLI_POLICY_CHECK: return app_cli_policy_check(c->arg, c->nargs);
	case APP_CLI_POLICY_PRINT: return app_cli_policy_print(c->arg[0], json);
	case APP_CLI_POLICY_IMPORT: return app_cli_policy_import(c->arg[0]);
	case APP_CLI_POLICY_FIELDS: return app_cli_policy_fields();
	default: break;
	}
	if (w.message)
		return app_cli_policy_test(&w);
	fputs("posternctl: policy test needs a file with a SIP message: policy test FILE MESSAGE\n", stderr);
	return APP_CLI_USAGE;
}
