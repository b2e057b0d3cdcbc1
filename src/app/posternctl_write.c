/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands that write to a running daemon: configuration, tokens, certificates, policies. Each is a row: what is sent, made of its words, and what
 * is said when it is done.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/posternctl.h"

#define FILE_BYTES (16u << 20)

struct job {
	const struct app_cli_command *cmd;
	struct app_cli_api *api;
	char path[1024];
	const char *type;          /* of the body */
	char *body; size_t nbody;
};

static const char *option(const struct app_cli_command *c, const char *name)
{
	for (size_t i = 0; i < c->nkeys; i++)
		if (!strcmp(c->key[i], name))
			return c->value[i];
	return NULL;
}

static int file_read(const char *path, char **ret, size_t *ret_n)
{
	FILE *f = strcmp(path, "-") ? fopen(path, "re") : stdin;
	char *buf = f ? malloc(FILE_BYTES + 1) : NULL;
	size_t n = buf ? fread(buf, 1, FILE_BYTES + 1, f) : 0;
	int err = !f ? -errno : !buf ? -ENOMEM : ferror(f) ? -EIO : n > FILE_BYTES ? -EFBIG : 0;

	if (f && f != stdin)
		fclose(f);
	if (err) {
		fprintf(stderr, "posternctl: %s cannot be read: %s\n", path, base_strerror(err));
		free(buf);
		return err;
	}
	buf[n] = 0;
	*ret = buf;
	*ret_n = n;
	return 0;
}

static json_t *file_json(const char *path)
{
	json_error_t why;
	char *text = NULL;
	size_t n = 0;
	json_t *v;

	if (file_read(path, &text, &n))
		return NULL;
	v = json_loadb(text, n, JSON_REJECT_DUPLICATES, &why);
	free(text);
	if (!v)
		fprintf(stderr, "posternctl: %s:%d:%d: %s\n", path, why.line, why.column, why.text);
	return v;
}

/** Takes the JSON over. */
static int body_json(struct job *j, json_t *v)
{
	j->body = v ? json_dumps(v, JSON_COMPACT) : NULL;
	j->nbody = j->body ? strlen(j->body) : 0;
	j->type = "application/json";
	json_decref(v);
	return j->body ? 0 : ERR_PROTO;
}

/** The path: %s are words of the command, escaped; what a write may be asked for besides stands behind it. */
static int path_print(struct job *j, const char *form)
{
	struct text t = text_on(j->path, sizeof j->path);
	const char *within = option(j->cmd, "confirm-within");
	size_t arg = 0;

	for (const char *p = form; *p; p++) {
		char *s;

		if (*p != '%') {
			text_add(&t, "%c", *p);
			continue;
		}
		p++;
		s = app_cli_escape(j->api, j->cmd->arg[arg++]);
		text_add(&t, "%s", s ? s : "");
		free(s);
	}
	if (option(j->cmd, "dry-run"))
		text_add(&t, "?dry_run=1");
	else if (within)
		text_add(&t, "?confirm_within=%s", within);
	return t.cut ? ERR_RANGE : 0;
}

/* ---- what is sent ---- */
static int make_apply(struct job *j)
{
	return body_json(j, file_json(j->cmd->arg[0]));
}

static int make_nothing(struct job *j)
{
	return body_json(j, json_object());
}

static int make_rollback(struct job *j)
{
	return body_json(j, json_pack("{s:I}", "revision", (json_int_t)strtoll(j->cmd->arg[0], NULL, 10)));
}

/** `limits/max_calls` and a value: {"limits": {"max_calls": value}}; takes the value over. */
static json_t *nested(char *keys, json_t *v)
{
	char *last;

	while (*keys && (last = strrchr(keys, '/'))) {
		v = json_pack("{s:o}", last + 1, v);
		*last = 0;
	}
	return *keys ? json_pack("{s:o}", keys, v) : v;
}

/** COLLECTION/ID/KEY... or system/KEY..., and a value: JSON, or else text. */
static int make_set(struct job *j)
{
	const char *words = j->cmd->arg[0], *rest = strchr(words, '/');
	json_t *v = json_loads(j->cmd->arg[1], JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
	char keys[512];
	size_t stem;
	int err;

	if (rest && strncmp(words, "system/", 7))
		rest = strchr(rest + 1, '/');
	stem = rest ? (size_t)(rest - words) : strlen(words);
	if ((!rest && !json_is_object(v)) || !slice_copy(keys, sizeof keys, slice_str(rest ? rest + 1 : ""))) {
		fputs("posternctl: write COLLECTION/ID/KEY VALUE or system/KEY VALUE; keys go on with further slashes\n", stderr);
		json_decref(v);
		return ERR_PROTO;
	}
	err = body_json(j, nested(keys, v ? v : json_string(j->cmd->arg[1])));
	j->type = "application/merge-patch+json";
	if (!err && snprintf(j->path, sizeof j->path, "/config/%.*s%s", (int)stem, words, option(j->cmd, "dry-run") ? "?dry_run=1" : "") >= (int)sizeof j->path)
		err = ERR_RANGE;
	return err;
}

static int make_token(struct job *j)
{
	const char *in = option(j->cmd, "expires-in");

	return body_json(j, in ? json_pack("{s:I}", "expires_in", (json_int_t)strtoll(in, NULL, 10)) : json_object());
}

static int make_certificate(struct job *j)
{
	char *cert = NULL, *key = NULL;
	size_t n = 0;
	json_t *o = NULL;
	int err = file_read(j->cmd->arg[1], &cert, &n);

	if (!err && j->cmd->nargs > 2)
		err = file_read(j->cmd->arg[2], &key, &n);
	if (!err)
		o = key ? json_pack("{s:s, s:s}", "certificate", cert, "key", key) : json_pack("{s:s}", "certificate", cert);
	free(cert);
	if (key)
		explicit_bzero(key, n);
	free(key);
	return err ? err : body_json(j, o);
}

static int make_policy(struct job *j)
{
	j->type = "text/plain";
	return file_read(j->cmd->arg[1], &j->body, &j->nbody);
}

struct write {
	const char *method, *path, *done;
	int (*make)(struct job *j);        /* the body (and the path, where it is NULL) */
};
static const struct write writes[APP_CLI_ACTIONS] = {
	[APP_CLI_CONFIG_APPLY]       = { "PUT", "/config", "in force", make_apply },
	[APP_CLI_CONFIG_SET]         = { "PATCH", NULL, "in force", make_set },
	[APP_CLI_CONFIG_ROLLBACK]    = { "POST", "/config/rollback", "in force", make_rollback },
	[APP_CLI_CONFIG_CONFIRM]     = { "POST", "/config/confirm", "confirmed", make_nothing },
	[APP_CLI_CONFIG_REMOVE]      = { "DELETE", "/config/%s/%s", "taken out", NULL },
	[APP_CLI_TOKEN_ADD]          = { "POST", "/users/%s/tokens", NULL, make_token },
	[APP_CLI_TOKEN_REMOVE]       = { "DELETE", "/users/%s/tokens/%s", "taken back", NULL },
	[APP_CLI_CERTIFICATE_SET]    = { "PUT", "/certificates/%s", "in force", make_certificate },
	[APP_CLI_CERTIFICATE_REMOVE] = { "DELETE", "/certificates/%s", "taken out", NULL },
	[APP_CLI_POLICY_SET]         = { "PUT", "/policies/%s", "in force", make_policy },
	[APP_CLI_POLICY_REMOVE]      = { "DELETE", "/policies/%s", "taken out", NULL },
};

/* ---- what a file would change ---- */
static void line_print(char sign, const char *at, json_t *v)
{
	char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);

	printf("%c %s: %s\n", sign, *at ? at : "/", text ? text : "?");
	free(text);
}

static json_t *by_id(json_t *list, const char *id)
{
	json_t *o;
	size_t i;

	json_array_foreach(list, i, o)
		if (id && json_is_string(json_object_get(o, "id")) && !strcmp(json_string_value(json_object_get(o, "id")), id))
			return o;
	return NULL;
}

static bool have_ids(json_t *list)
{
	return json_is_array(list) && json_array_size(list) && json_object_get(json_array_get(list, 0), "id");
}

static unsigned differ(const char *at, json_t *a, json_t *b, unsigned depth);

/** The same member in the other side. */
static json_t *counterpart(json_t *other, const char *key)
{
	return json_is_array(other) ? by_id(other, key) : json_object_get(other, key);
}

/** One member of a side: compared where it is `a`'s, told where only `b` has it. */
static unsigned member_differ(const char *at, const char *key, json_t *v, json_t *other, bool of_b, unsigned depth)
{
	json_t *o = counterpart(other, key);
	char below[512];

	if (of_b && o)
		return 0;
	snprintf(below, sizeof below, "%s/%s", at, key);
	return of_b ? differ(below, NULL, v, depth + 1) : differ(below, v, o, depth + 1);
}

/** Members of both, by key or by id; those of `a` first, then what `b` alone has. */
static unsigned members_differ(const char *at, json_t *a, json_t *b, unsigned depth)
{
	unsigned n = 0;
	const char *key;
	json_t *v;
	size_t i;

	for (int side = 0; side < 2; side++) {
		json_t *from = side ? b : a, *other = side ? a : b;

		json_array_foreach(from, i, v)
			if (json_is_string(json_object_get(v, "id")))
				n += member_differ(at, json_string_value(json_object_get(v, "id")), v, other, side, depth);
		json_object_foreach(from, key, v)
			n += member_differ(at, key, v, other, side, depth);
	}
	return n;
}

/** Differences from a to b, one line each; secrets that were not shown are left out. */
static unsigned differ(const char *at, json_t *a, json_t *b, unsigned depth)
{
	if (a && b && json_equal(a, b))
		return 0;
	if (json_is_string(a) && !strcmp(json_string_value(a), "***"))
		return 0;
	if (depth < 16 && a && b && ((json_is_object(a) && json_is_object(b)) || (have_ids(a) && have_ids(b))))
		return members_differ(at, a, b, depth);
	if (a)
		line_print('-', at, a);
	if (b)
		line_print('+', at, b);
	return 1;
}

static bool is_number(const char *s)
{
	return *s && !s[strspn(s, "0123456789")];
}

static void patch_print(json_t *steps)
{
	json_t *o;
	size_t i;

	json_array_foreach(steps, i, o) {
		char *value = json_dumps(json_object_get(o, "value"), JSON_ENCODE_ANY | JSON_COMPACT);

		printf("%s %s%s%s\n", json_string_value(json_object_get(o, "op")), json_string_value(json_object_get(o, "path")), value ? " " : "", value ? value : "");
		free(value);
	}
	if (!json_array_size(steps))
		puts("no difference");
}

/** Between two revisions; without numbers what the newest has changed. */
static int diff_revisions(struct job *j, bool json)
{
	json_t *v = NULL;
	long status = 0, number = j->cmd->nargs ? strtol(j->cmd->arg[0], NULL, 10) : 0;
	int rc = APP_CLI_OK;

	if (!number) {
		rc = app_cli_request(j->api, "GET", "/config/revisions?limit=1", &status, &v) ? APP_CLI_UNREACHED : status >= 400 ? app_cli_refused(status, v) : APP_CLI_OK;
		number = (long)json_integer_value(json_object_get(json_array_get(json_object_get(v, "items"), 0), "number"));
		json_decref(v);
		v = NULL;
	}
	snprintf(j->path, sizeof j->path, "/config/revisions/%ld/diff%s%s", number, j->cmd->nargs > 1 ? "?against=" : "", j->cmd->nargs > 1 ? j->cmd->arg[1] : "");
	if (!rc)
		rc = app_cli_request(j->api, "GET", j->path, &status, &v) ? APP_CLI_UNREACHED : status >= 400 ? app_cli_refused(status, v) : APP_CLI_OK;
	if (!rc && json)
		app_cli_json(v);
	else if (!rc)
		patch_print(v);
	json_decref(v);
	return rc;
}

static int diff(struct job *j, bool json)
{
	json_t *now = NULL, *file;
	long status = 0;
	int rc;

	if (!j->cmd->nargs || is_number(j->cmd->arg[0]))
		return diff_revisions(j, json);
	file = file_json(j->cmd->arg[0]);
	if (!file)
		return APP_CLI_USAGE;
	rc = app_cli_request(j->api, "GET", "/config", &status, &now) ? APP_CLI_UNREACHED : status >= 400 ? app_cli_refused(status, now) : APP_CLI_OK;
	if (!rc && !differ("", now, file, 0))
		puts("no difference");
	json_decref(now);
	json_decref(file);
	return rc;
}

/* ---- doing it ---- */
static void tell(const struct job *j, const struct write *w, json_t *answer, bool json)
{
	json_t *token = json_object_get(answer, "token"), *warnings = json_object_get(answer, "warnings"), *n;
	size_t i;

	if (json) {
		app_cli_json(answer ? answer : json_null());
		return;
	}
	json_array_foreach(warnings, i, n)
		fprintf(stderr, "warning: %s: %s\n", json_string_value(json_object_get(n, "pointer")), json_string_value(json_object_get(n, "message")));
	if (json_is_string(token))
		printf("%s\nThis is shown once. To take it back: posternctl token remove %s %s\n", json_string_value(token), j->cmd->arg[0], json_string_value(json_object_get(answer, "id")));
	else if (option(j->cmd, "dry-run"))
		puts("it would be taken");
	else if (json_is_integer(json_object_get(answer, "revision")))
		printf("revision %lld is %s\n", (long long)json_integer_value(json_object_get(answer, "revision")), w->done);
	else
		puts(w->done);
	if (option(j->cmd, "confirm-within"))
		printf("It goes back by itself in %s s, unless you say: posternctl config confirm\n", option(j->cmd, "confirm-within"));
}

bool app_cli_is_write(const struct app_cli_command *cmd)
{
	return cmd->action == APP_CLI_CONFIG_DIFF || writes[cmd->action].method;
}

int app_cli_write(const struct app_cli_command *cmd, struct app_cli_api *api, bool json)
{
	const struct write *w = &writes[cmd->action];
	struct job j = { .cmd = cmd, .api = api };
	json_t *answer = NULL;
	long status = 0;
	int rc = APP_CLI_USAGE;

	if (cmd->action == APP_CLI_CONFIG_DIFF)
		return diff(&j, json);
	if ((w->make && w->make(&j)) || (w->path && path_print(&j, w->path)))
		goto out;
	app_cli_body(api, j.body, j.type, option(cmd, "comment"));
	rc = app_cli_request(api, w->method, j.path, &status, &answer) ? APP_CLI_UNREACHED : APP_CLI_OK;
	if (!rc && status >= 400)
		rc = app_cli_refused(status, answer);
	else if (!rc)
		tell(&j, w, answer, json);
out:
	if (j.body)
		explicit_bzero(j.body, j.nbody);
	free(j.body);
	json_decref(answer);
	return rc;
}
