/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posternctl: the command line of a running daemon, a client of its API. Each command is a row: what is asked, how the answer is shown.
 */
#include "config.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/posternctl.h"
#include "app/posternctl_policy.h"

#define PAGE 1000

struct cli {
	struct app_cli_command cmd;
	struct app_cli_api *api;
	bool json;
};

static void show_object(json_t *v) { app_cli_object(v, 0); }
static void show_json(json_t *v) { app_cli_json(v); }

static void show_status(json_t *v)
{
	static const struct app_cli_column cols[] = { { "ROLE", "role" }, { ">PID", "pid" }, { ">RESTARTS", "restarts" }, { "SINCE", "since" } };

	printf("status: %s\n", json_string_value(json_object_get(v, "status")));
	app_cli_table(cols, ARRAY_LEN(cols), json_object_get(v, "processes"));
}

static void show_calls(json_t *v)
{
	static const struct app_cli_column cols[] = {
		{ "ID", "id" }, { "STATE", "state" }, { "FROM", "from" }, { "TO", "to" }, { "IN", "legs.0.trunk" }, { "OUT", "legs.1.trunk" }, { "STARTED", "started" }, { "ANSWERED", "answered" }
	};

	app_cli_table(cols, ARRAY_LEN(cols), v);
}

static void show_cdrs(json_t *v)
{
	static const struct app_cli_column cols[] = {
		{ "ID", "id" }, { "START", "start" }, { "ANSWER", "answer" }, { "END", "end" }, { "FROM", "from" }, { "TO", "to" }, { "IN", "trunk_in" }, { "OUT", "trunk_out" },
		{ ">STATUS", "status" }, { "ENDED BY", "ended_by" }, { "CAUSE", "cause" }
	};

	app_cli_table(cols, ARRAY_LEN(cols), v);
}

static void show_trunks(json_t *v)
{
	static const struct app_cli_column cols[] = {
		{ "ID", "id" }, { "STATE", "state" }, { ">IN", "calls_in" }, { ">OUT", "calls_out" }, { ">CPS", "cps" }, { ">TARGETS", "targets" },
		{ "FIRST TARGET", "targets.0.uri" }, { "REASON", "targets.0.reason" }
	};

	app_cli_table(cols, ARRAY_LEN(cols), v);
}

static void show_preview(json_t *v)
{
	static const struct app_cli_column passed[] = { { "PASSED OVER", "route" }, { "WHY", "why" } };
	static const struct app_cli_column rules[] = { { "POLICY", "policy" }, { "ON", "on" }, { "TRUNK", "trunk" }, { "OF", "of" } };
	static const struct app_cli_column targets[] = {
		{ "TRIED", "tried" }, { "TRUNK", "trunk" }, { "URI", "uri" }, { "ADDRESS", "address" }, { ">PORT", "port" }, { "TRANSPORT", "transport" }, { "STATE", "state" }, { "WHY", "why" }
	};

	printf("route: %s\nto: %s\n", json_string_value(json_object_get(v, "route")), json_string_value(json_object_get(v, "to")));
	if (json_array_size(json_object_get(v, "passed")))
		app_cli_table(passed, ARRAY_LEN(passed), json_object_get(v, "passed"));
	if (json_array_size(json_object_get(v, "rules")))
		app_cli_table(rules, ARRAY_LEN(rules), json_object_get(v, "rules"));
	app_cli_table(targets, ARRAY_LEN(targets), json_object_get(v, "targets"));
}

static void show_history(json_t *v)
{
	static const struct app_cli_column cols[] = {
		{ ">REVISION", "number" }, { "IN FORCE", "in_force" }, { "TIME", "time" }, { "USER", "user" }, { "CONFIRM UNTIL", "confirm_until" }, { "COMMENT", "comment" }
	};

	app_cli_table(cols, ARRAY_LEN(cols), v);
}

static void show_tokens(json_t *v)
{
	static const struct app_cli_column cols[] = { { "ID", "id" }, { "CREATED", "created" }, { "EXPIRES", "expires" }, { "LAST USED", "last_used" } };

	app_cli_table(cols, ARRAY_LEN(cols), v);
}

static void show_certificates(json_t *v)
{
	static const struct app_cli_column cols[] = {
		{ "NAME", "name" }, { "SUBJECT", "subject" }, { "EXPIRES", "expires" }, { "KEY", "key" }, { ">USED BY", "used_by" }, { "FINGERPRINT", "fingerprint" }
	};

	app_cli_table(cols, ARRAY_LEN(cols), v);
}

static void show_audit(json_t *v)
{
	static const struct app_cli_column cols[] = {
		{ "TIME", "time" }, { "USER", "user" }, { "ADDRESS", "address" }, { "METHOD", "method" }, { "PATH", "path" }, { ">STATUS", "status" }
	};

	app_cli_table(cols, ARRAY_LEN(cols), v);
}

static void show_decisions(json_t *v)
{
	static const struct app_cli_column cols[] = {
		{ "TIME", "time" }, { "KIND", "kind" }, { "LEG", "leg" }, { "TRUNK", "trunk" }, { "ROUTE", "route" }, { "TARGET", "uri" }, { "OUTCOME", "outcome" }, { ">STATUS", "status" },
		{ "POLICY", "policy" }, { ">LINE", "line" }, { "ACTION", "action" }, { "REASON", "reason" }
	};

	app_cli_table(cols, ARRAY_LEN(cols), json_object_get(v, "items"));
}

static void show_stats(json_t *v)
{
	const char *name, *key;
	json_t *value, *one, *label;
	size_t i;

	json_object_foreach(v, name, value) {
		if (json_is_integer(value))
			printf("%s %lld\n", name, (long long)json_integer_value(value));
		json_array_foreach(value, i, one) {
			printf("%s", name);
			json_object_foreach(one, key, label)
				if (json_is_string(label))
					printf(" %s=%s", key, json_string_value(label));
			printf(" %.*f\n", json_is_real(json_object_get(one, "value")) ? 3 : 0, json_number_value(json_object_get(one, "value")));
		}
	}
}

/* %s of a path: the command's arguments, escaped */
struct verb {
	const char *method, *path, *done;     /* done: what to say where the answer is empty */
	void (*show)(json_t *v);              /* NULL: as it comes */
	bool list;
	long limit;                           /* of a list where --limit is not given, 0: all */
};

static const struct verb verbs[APP_CLI_ACTIONS] = {
	[APP_CLI_STATUS]      = { "GET", "/health", NULL, show_status, false, 0 },
	[APP_CLI_CALL_LIST]   = { "GET", "/calls", NULL, show_calls, true, 0 },
	[APP_CLI_CALL_SHOW]   = { "GET", "/calls/%s", NULL, show_object, false, 0 },
	[APP_CLI_CALL_END]    = { "DELETE", "/calls/%s", "the call ends", show_object, false, 0 },
	[APP_CLI_CALL_MESSAGES] = { "GET", "/calls/%s/messages", NULL, NULL, false, 0 },
	[APP_CLI_CALL_DECISIONS] = { "GET", "/calls/%s/decisions", NULL, show_decisions, false, 0 },
	[APP_CLI_CDR_MESSAGES] = { "GET", "/cdrs/%s/messages", NULL, NULL, false, 0 },
	[APP_CLI_CDR_DECISIONS] = { "GET", "/cdrs/%s/decisions", NULL, show_decisions, false, 0 },
	[APP_CLI_CDR_LIST]    = { "GET", "/cdrs", NULL, show_cdrs, true, 100 },
	[APP_CLI_CDR_SHOW]    = { "GET", "/cdrs/%s", NULL, show_object, false, 0 },
	[APP_CLI_TRUNK_LIST]  = { "GET", "/trunks", NULL, show_trunks, true, 0 },
	[APP_CLI_TRUNK_SHOW]  = { "GET", "/trunks/%s", NULL, show_object, false, 0 },
	[APP_CLI_TRUNK_PROBE] = { "POST", "/trunks/%s/probe", "its targets are probed", show_object, false, 0 },
	[APP_CLI_TRUNK_DRAIN] = { "POST", "/trunks/%s/drain", "no new calls go there", show_object, false, 0 },
	[APP_CLI_ROUTE_PREVIEW] = { "POST", "/routes/preview", NULL, show_preview, false, 0 },
	[APP_CLI_TRUNK_UNDRAIN] = { "POST", "/trunks/%s/undrain", "new calls go there again", show_object, false, 0 },
	[APP_CLI_CONFIG_SHOW] = { "GET", "/config%s%s", NULL, show_json, false, 0 },
	[APP_CLI_CONFIG_HISTORY] = { "GET", "/config/revisions", NULL, show_history, true, 20 },
	[APP_CLI_TOKEN_LIST]  = { "GET", "/users/%s/tokens", NULL, show_tokens, true, 0 },
	[APP_CLI_CERTIFICATE_LIST] = { "GET", "/certificates", NULL, show_certificates, true, 0 },
	[APP_CLI_CERTIFICATE_SHOW] = { "GET", "/certificates/%s", NULL, show_object, false, 0 },
	[APP_CLI_AUDIT]       = { "GET", "/audit", NULL, show_audit, true, 100 },
	[APP_CLI_POLICY_LIST] = { "GET", "/policies", NULL, app_cli_policy_show, true, 0 },
	[APP_CLI_POLICY_SHADOW] = { "GET", "/policies/%s/shadow", NULL, app_cli_policy_shadow, false, 0 },
	[APP_CLI_STATS]       = { "GET", "/stats", NULL, show_stats, false, 0 },
	[APP_CLI_DRAIN]       = { "POST", "/drain", "no new calls are taken", show_object, false, 0 },
	[APP_CLI_UNDRAIN]     = { "POST", "/undrain", "new calls are taken", show_object, false, 0 },
};

static void arg_add(struct cli *c, struct text *t, const char *before, const char *value)
{
	char *s = value ? app_cli_escape(c->api, value) : NULL;

	if (s)
		text_add(t, "%s%s", before, s);
	free(s);
}

/** The path of a command, with its arguments in the places of %s, and its filters. */
static int path_print(struct cli *c, const struct verb *v, char *buf, size_t size)
{
	struct text t = text_on(buf, size);
	size_t stem = strcspn(v->path, "%");

	text_slice(&t, (struct slice){ v->path, stem });
	for (size_t i = 0; i < c->cmd.nargs; i++)
		arg_add(c, &t, i || v->path[stem - 1] != '/' ? "/" : "", c->cmd.arg[i]);
	if (v->path[stem]) /* what stands behind the places of arguments */
		text_add(&t, "%s", v->path + stem + strspn(v->path + stem, "%s"));
	for (size_t i = 0; i < c->cmd.nkeys; i++) {
		text_add(&t, "%c%s=", i ? '&' : '?', c->cmd.key[i]);
		arg_add(c, &t, "", c->cmd.value[i]);
	}
	return t.cut ? ERR_RANGE : 0;
}

static int ask(struct cli *c, const char *method, const char *path, long *ret_status, json_t **ret)
{
	*ret = NULL;
	return app_cli_request(c->api, method, path, ret_status, ret) ? APP_CLI_UNREACHED : APP_CLI_OK;
}

static void show_raw(const struct cli *c)
{
	struct slice s = app_cli_answer(c->api);

	fwrite(s.p, 1, s.n, stdout);
}

/** Messages of a call: people want the ladder. */
static void format_default(struct cli *c, const struct verb *v)
{
	if (!v->method || v->show || c->cmd.nkeys)
		return;
	c->cmd.key[0] = "format";
	c->cmd.value[0] = c->json ? "json" : "text";
	c->cmd.nkeys = 1;
}

static int run_one(struct cli *c, const struct verb *v, const char *path)
{
	bool status_only = c->cmd.action == APP_CLI_STATUS;
	json_t *answer;
	long status = 0;
	int rc = ask(c, v->method, path, &status, &answer);

	if (rc)
		return rc;
	if (status >= 400 && !(status_only && json_object_get(answer, "status") && json_is_string(json_object_get(answer, "status"))))
		rc = app_cli_refused(status, answer);
	else if (!v->show)
		show_raw(c);
	else if (c->json)
		app_cli_json(answer ? answer : json_null());
	else if (answer)
		v->show(answer);
	else
		puts(v->done ? v->done : "");
	if (!rc && status >= 400)
		rc = APP_CLI_REFUSED;
	json_decref(answer);
	return rc;
}

/** A page of a list into all; next becomes the cursor of the one behind it, or empty. */
static int page_get(struct cli *c, const char *path, size_t limit, char next[static 64], json_t *all)
{
	json_t *answer, *cursor;
	char url[1200];
	long status = 0;
	int rc;

	snprintf(url, sizeof url, "%s%climit=%zu%s%s", path, strchr(path, '?') ? '&' : '?', limit, *next ? "&after=" : "", next);
	rc = ask(c, "GET", url, &status, &answer);
	if (!rc && status >= 400)
		rc = app_cli_refused(status, answer);
	next[0] = 0;
	if (!rc) {
		json_array_extend(all, json_object_get(answer, "items"));
		cursor = json_object_get(answer, "next");
		slice_copy(next, 64, slice_str(json_is_string(cursor) ? json_string_value(cursor) : ""));
	}
	json_decref(answer);
	return rc;
}

/** All pages of a list, up to the limit. */
static int run_list(struct cli *c, const struct verb *v, const char *path)
{
	const size_t limit = (size_t)(c->cmd.limit ? c->cmd.limit : v->limit ? v->limit : LONG_MAX);
	json_t *all = json_array();
	char next[64] = "";
	size_t left;
	int rc;

	do {
		left = limit - json_array_size(all);
		rc = page_get(c, path, left < PAGE ? left : PAGE, next, all);
	} while (!rc && *next && json_array_size(all) < limit);
	if (!rc && c->json)
		app_cli_json(all);
	else if (!rc)
		v->show(all);
	json_decref(all);
	return rc;
}

/** The question as a document; its words are no part of the path. */
static int run_preview(struct cli *c, const struct verb *v)
{
	json_t *q = json_pack("{s:s, s:s}", "from_trunk", c->cmd.arg[0], "to", c->cmd.arg[1]);
	char *body;
	int rc;

	if (c->cmd.nargs > 2)
		json_object_set_new(q, "from", json_string(c->cmd.arg[2]));
	body = q ? json_dumps(q, JSON_COMPACT) : NULL;
	json_decref(q);
	if (!body) {
		fputs("posternctl: what was asked for is no text in UTF-8\n", stderr);
		return APP_CLI_USAGE;
	}
	app_cli_body(c->api, body, NULL, NULL);
	rc = run_one(c, v, v->path);
	free(body);
	return rc;
}

static int run(struct cli *c, const struct app_cli_where *w)
{
	const struct verb *v = &verbs[c->cmd.action];
	char path[1024];
	int err, rc;

	if (c->cmd.action == APP_CLI_HELP) {
		app_cli_help();
		return APP_CLI_OK;
	}
	if (c->cmd.action == APP_CLI_COMPLETION) {
		app_cli_completion();
		return APP_CLI_OK;
	}
	if (c->cmd.action == APP_CLI_VERSION) {
		puts("posternctl " PACKAGE_VERSION);
		return APP_CLI_OK;
	}
	if (c->cmd.action >= APP_CLI_POLICY_CHECK && c->cmd.action <= APP_CLI_POLICY_FIELDS)
		return app_cli_policy(&c->cmd, c->json);
	err = app_cli_api_new(w, &c->api);
	if (err)
		return err == ERR_PROTO ? APP_CLI_USAGE : APP_CLI_UNREACHED;
	format_default(c, v);
	if (app_cli_is_write(&c->cmd)) {
		rc = app_cli_write(&c->cmd, c->api, c->json);
	} else if (c->cmd.action == APP_CLI_ROUTE_PREVIEW) {
		rc = run_preview(c, v);
	} else if (path_print(c, v, path, sizeof path)) {
		fputs("posternctl: an argument is too long\n", stderr);
		rc = APP_CLI_USAGE;
	} else {
		rc = v->list ? run_list(c, v, path) : run_one(c, v, path);
	}
	app_cli_api_free(c->api);
	return rc;
}

/** `--name value` or `--name=value`; moves *i over what it took. */
static bool option_take(const char *name, int argc, char **argv, int *i, const char **ret)
{
	size_t n = strlen(name);

	if (!strncmp(argv[*i], name, n) && argv[*i][n] == '=') {
		*ret = argv[*i] + n + 1;
		return true;
	}
	if (strcmp(argv[*i], name) || *i + 1 >= argc)
		return false;
	*ret = argv[++*i];
	return true;
}

int main(int argc, char **argv)
{
	struct app_cli_where w = { 0 };
	struct cli c = { 0 };
	bool help = false;
	int n = 0, i;

	if (argc > 1 && !strcmp(argv[1], "--complete")) {
		app_cli_complete(argc - 2, argv + 2);
		return APP_CLI_OK;
	}
	/* our own options may stand anywhere; what is left is the command */
	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json"))
			c.json = true;
		else if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			help = true;
		else if (!option_take("--state", argc, argv, &i, &w.state) && !option_take("--api", argc, argv, &i, &w.api) &&
			 !option_take("--token", argc, argv, &i, &w.token) && !option_take("--ca", argc, argv, &i, &w.ca))
			argv[n++] = argv[i];
	}
	argv[n] = NULL;
	if (!n || help) {
		app_cli_help();
		return help ? APP_CLI_OK : APP_CLI_USAGE;
	}
	return app_cli_parse(n, argv, &c.cmd) ? APP_CLI_USAGE : run(&c, &w);
}
