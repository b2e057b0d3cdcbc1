/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of posternctl as a table of tokens: it parses, it says what may follow, and it is the help text.
 */
#include <stdio.h>
#include <stdlib.h>

#include "app/posternctl.h"

enum kind { LAST, END, WORD, ARG, OPTION };  /* LAST ends a table; END, first in a table: the command may stop here */

struct token {
	enum kind kind;
	const char *text;          /* the word; what an ARG stands for; `--option` */
	const struct token *next;  /* OPTION: NULL, the same table goes on */
	enum app_cli_action action;/* of the command that goes through here, NONE: as before */
	const char *doc;
};

#define STOP { END, NULL, NULL, APP_CLI_NONE, NULL }

static const struct token t_end[] = { STOP, { 0 } };
static const struct token t_id[] = { { ARG, "ID", t_end, APP_CLI_NONE, NULL }, { 0 } };
static const struct token t_call_list[] = {
	STOP,
	{ OPTION, "--number", NULL, APP_CLI_NONE, "calls whose caller or callee holds this" },
	{ OPTION, "--trunk", NULL, APP_CLI_NONE, "calls with a leg of this trunk" },
	{ OPTION, "--state", NULL, APP_CLI_NONE, "setup, early, answered, up or ending" },
	{ OPTION, "--age", NULL, APP_CLI_NONE, "calls older than so many seconds" },
	{ OPTION, "--limit", NULL, APP_CLI_NONE, "so many at most; all where it is not given" },
	{ 0 }
};
static const struct token t_call[] = {
	{ WORD, "list", t_call_list, APP_CLI_CALL_LIST, "live calls" },
	{ WORD, "show", t_id, APP_CLI_CALL_SHOW, "a live call: legs, SDP, timers, media" },
	{ WORD, "end", t_id, APP_CLI_CALL_END, "end a call on both sides" },
	{ 0 }
};
static const struct token t_cdr_list[] = { STOP, { OPTION, "--limit", NULL, APP_CLI_NONE, "so many at most; 100 where it is not given" }, { 0 } };
static const struct token t_cdr[] = {
	{ WORD, "list", t_cdr_list, APP_CLI_CDR_LIST, "records of ended calls, newest first" },
	{ WORD, "show", t_id, APP_CLI_CDR_SHOW, "the record of an ended call" },
	{ 0 }
};
static const struct token t_trunk[] = {
	{ WORD, "list", t_end, APP_CLI_TRUNK_LIST, "trunks and their targets" },
	{ WORD, "show", t_id, APP_CLI_TRUNK_SHOW, "a trunk and its targets" },
	{ WORD, "probe", t_id, APP_CLI_TRUNK_PROBE, "probe its targets now" },
	{ WORD, "drain", t_id, APP_CLI_TRUNK_DRAIN, "no new calls go there; those in progress go on" },
	{ WORD, "undrain", t_id, APP_CLI_TRUNK_UNDRAIN, "new calls go there again" },
	{ 0 }
};
static const struct token t_preview_from[] = { STOP, { ARG, "FROM", t_end, APP_CLI_NONE, NULL }, { 0 } };
static const struct token t_preview_to[] = { { ARG, "TO", t_preview_from, APP_CLI_NONE, NULL }, { 0 } };
static const struct token t_preview[] = { { ARG, "TRUNK", t_preview_to, APP_CLI_NONE, NULL }, { 0 } };
static const struct token t_route[] = { { WORD, "preview", t_preview, APP_CLI_ROUTE_PREVIEW, "which way would a call from the trunk to this number or URI go, and why" }, { 0 } };
static const struct token t_config_id[] = { STOP, { ARG, "ID", t_end, APP_CLI_NONE, NULL }, { 0 } };
static const struct token t_config_show[] = { STOP, { ARG, "COLLECTION", t_config_id, APP_CLI_NONE, NULL }, { 0 } };
static const struct token t_config[] = { { WORD, "show", t_config_show, APP_CLI_CONFIG_SHOW, "the configuration in force, a collection or an object of it" }, { 0 } };
static const struct token t_policy_more[3] = { STOP, { ARG, "FILE", t_policy_more, APP_CLI_NONE, NULL }, { 0 } };
static const struct token t_policy_files[] = { { ARG, "FILE", t_policy_more, APP_CLI_NONE, NULL }, { 0 } };
static const struct token t_policy_file[] = { { ARG, "FILE", t_end, APP_CLI_NONE, NULL }, { 0 } };
#define TRIAL \
	STOP, \
	{ OPTION, "--message", NULL, APP_CLI_NONE, "the file with the SIP message, in place of the second name" }, \
	{ OPTION, "--at", NULL, APP_CLI_NONE, "where: \"send request to TRUNK\", \"receive response from TRUNK\"" }, \
	{ OPTION, "--direction", NULL, APP_CLI_NONE, "receive or send (default)" }, \
	{ OPTION, "--trunk", NULL, APP_CLI_NONE, "trunk of the leg" }, \
	{ OPTION, "--realm", NULL, APP_CLI_NONE, "realm of the leg" }, \
	{ OPTION, "--source", NULL, APP_CLI_NONE, "address from which it came" }, \
	{ OPTION, "--transport", NULL, APP_CLI_NONE, "udp (default), tcp, tls, ws or wss" }, \
	{ OPTION, "--rate", NULL, APP_CLI_NONE, "requests that src.rate counts" }
static const struct token t_policy_trial[] = { TRIAL, { 0 } };
static const struct token t_policy_message[] = { TRIAL, { ARG, "MESSAGE", t_policy_trial, APP_CLI_NONE, NULL }, { 0 } };
static const struct token t_policy_test[] = { { ARG, "FILE", t_policy_message, APP_CLI_NONE, NULL }, { 0 } };
static const struct token t_policy_list[] = { STOP, { OPTION, "--limit", NULL, APP_CLI_NONE, "so many policies at most; all where it is not given" }, { 0 } };
static const struct token t_policy[] = {
	{ WORD, "list", t_policy_list, APP_CLI_POLICY_LIST, "policies in force: hits and last hit of every rule, counters" },
	{ WORD, "shadow", t_id, APP_CLI_POLICY_SHADOW, "what a policy in shadow would have changed: how often, and the last 20 messages" },
	{ WORD, "check", t_policy_files, APP_CLI_POLICY_CHECK, "check policy files: all errors, or what they cost" },
	{ WORD, "print", t_policy_file, APP_CLI_POLICY_PRINT, "a policy file in its canonical form; --json: as a tree" },
	{ WORD, "test", t_policy_test, APP_CLI_POLICY_TEST, "run a policy file on a SIP message: rules that fired, a diff, the verdict" },
	{ WORD, "import-cube", t_policy_file, APP_CLI_POLICY_IMPORT, "sip-profiles of a Cisco running-config as policies" },
	{ WORD, "fields", t_end, APP_CLI_POLICY_FIELDS, "fields and actions of the policy language" },
	{ 0 }
};
static const struct token t_top[] = {
	{ WORD, "status", t_end, APP_CLI_STATUS, "can calls be taken, and the processes (exit code 3: no calls)" },
	{ WORD, "call", t_call, APP_CLI_NONE, NULL },
	{ WORD, "cdr", t_cdr, APP_CLI_NONE, NULL },
	{ WORD, "trunk", t_trunk, APP_CLI_NONE, NULL },
	{ WORD, "route", t_route, APP_CLI_NONE, NULL },
	{ WORD, "config", t_config, APP_CLI_NONE, NULL },
	{ WORD, "policy", t_policy, APP_CLI_NONE, NULL },
	{ WORD, "stats", t_end, APP_CLI_STATS, "all figures" },
	{ WORD, "drain", t_end, APP_CLI_DRAIN, "take no new calls; those in progress go on" },
	{ WORD, "undrain", t_end, APP_CLI_UNDRAIN, "take new calls again" },
	{ WORD, "version", t_end, APP_CLI_VERSION, "version of this build" },
	{ WORD, "help", t_end, APP_CLI_HELP, "this text" },
	{ 0 }
};

static bool may_stop(const struct token *table)
{
	return table->kind == END;
}

/** The token that an argument fits: whole words, unique beginnings of words, options, else the ARG. */
static const struct token *token_find(const struct token *table, const char *arg)
{
	const struct token *near = NULL, *t;
	size_t len = strlen(arg), hits = 0;

	for (t = table; t->kind != LAST; t++) {
		if ((t->kind == WORD || t->kind == OPTION) && !strcmp(t->text, arg))
			return t;
		if (t->kind == WORD && len && !strncmp(t->text, arg, len)) {
			near = t;
			hits++;
		}
	}
	for (t = table; !hits && arg[0] != '-' && t->kind != LAST; t++)
		if (t->kind == ARG)
			return t;
	return hits == 1 ? near : NULL;
}

static void say_choices(const struct token *table)
{
	fputs("posternctl: here may follow:\n", stderr);
	for (const struct token *t = table; t->kind != LAST; t++) {
		if (t->kind == END)
			fputs("  nothing more\n", stderr);
		else
			fprintf(stderr, "  %-12s %s\n", t->text, t->doc ? t->doc : "");
	}
}

static bool is_number(const char *s, long *ret)
{
	char *end;

	*ret = strtol(s, &end, 10);
	return *s >= '0' && *s <= '9' && !*end && *ret >= 0 && *ret < 1000000000;
}

static int option_add(struct app_cli_command *c, const char *name, const char *value)
{
	if (!value) {
		fprintf(stderr, "posternctl: %s needs a value\n", name);
		return ERR_PROTO;
	}
	if (!strcmp(name, "--limit")) {
		if (is_number(value, &c->limit) && c->limit)
			return 0;
		fprintf(stderr, "posternctl: --limit takes a whole number above 0, not \"%s\"\n", value);
		return ERR_PROTO;
	}
	if (c->nkeys == ARRAY_LEN(c->key))
		return ERR_PROTO;
	c->key[c->nkeys] = name + 2;
	c->value[c->nkeys++] = value;
	return 0;
}

int app_cli_parse(int argc, char **argv, struct app_cli_command *ret)
{
	const struct token *table = t_top, *t;
	struct app_cli_command c = { 0 };
	int err;

	for (int i = 0; i < argc; i++) {
		t = token_find(table, argv[i]);
		if (!t) {
			fprintf(stderr, "posternctl: \"%s\" does not fit\n", argv[i]);
			say_choices(table);
			return ERR_PROTO;
		}
		if (t->action != APP_CLI_NONE)
			c.action = t->action;
		if (t->kind == ARG && c.nargs < ARRAY_LEN(c.arg))
			c.arg[c.nargs++] = argv[i];
		if (t->kind == OPTION) {
			err = option_add(&c, t->text, argv[i + 1]);
			if (err)
				return err;
			i++;
		} else {
			table = t->next;
		}
	}
	if (!may_stop(table) || c.action == APP_CLI_NONE) {
		fputs("posternctl: the command is not complete\n", stderr);
		say_choices(table);
		return ERR_PROTO;
	}
	*ret = c;
	return 0;
}

/** One line for each way through the table. */
static void help_walk(const struct token *table, const char *before, const char *doc)
{
	char line[128];

	if (may_stop(table)) {
		struct text t = text_on(line, sizeof line);

		text_add(&t, "%s", before);
		for (const struct token *o = table; o->kind != LAST; o++)
			if (o->kind == OPTION)
				text_add(&t, " [%s X]", o->text);
		if (strlen(line) <= 40) {
			printf("  %-40s %s\n", line, doc ? doc : "");
		} else {
			printf("  %s\n", line);
			printf("  %-40s %s\n", "", doc ? doc : "");
		}
	}
	for (const struct token *t = table; t->kind != LAST; t++) {
		struct text s = text_on(line, sizeof line);

		if ((t->kind != WORD && t->kind != ARG) || t->next == table)
			continue;
		text_add(&s, "%s%s%s", before, *before ? " " : "", t->text);
		help_walk(t->next, line, t->doc ? t->doc : doc);
	}
}

void app_cli_help(void)
{
	puts("usage: posternctl [--state DIR | --api URL [--token T] [--ca FILE]] [--json] COMMAND\n");
	help_walk(t_top, "", NULL);
	puts("\nWords may be cut short (`posternctl ca li`). Environment: POSTERN_STATE, POSTERN_API, POSTERN_TOKEN, POSTERN_ADMIN_TOKEN.\n"
	     "Exit codes: 0 done, 1 usage, 2 the daemon is not reached, 3 the daemon refused.");
}
