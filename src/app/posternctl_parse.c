/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of posternctl as a table of tokens: it parses, it says what may follow, and it is the help text.
 */
#include <stdio.h>
#include <stdlib.h>

#include "app/posternctl.h"

enum kind { LAST, END, WORD, ARG, OPTION, FLAG };  /* LAST ends a table; END, first in a table: the command may stop here; OPTION takes a value */

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
static const struct token t_format[] = { STOP, { OPTION, "--format", NULL, APP_CLI_NONE, "text (where it is not given), json or pcap" }, { 0 } };
static const struct token t_messages[] = { { ARG, "ID", t_format, APP_CLI_NONE, NULL }, { 0 } };
static const struct token t_call[] = {
	{ WORD, "list", t_call_list, APP_CLI_CALL_LIST, "live calls" },
	{ WORD, "show", t_id, APP_CLI_CALL_SHOW, "a live call: legs, SDP, timers, media" },
	{ WORD, "end", t_id, APP_CLI_CALL_END, "end a call on both sides" },
	{ WORD, "messages", t_messages, APP_CLI_CALL_MESSAGES, "its SIP messages as a ladder, and each in full" },
	{ WORD, "decisions", t_id, APP_CLI_CALL_DECISIONS, "why it went as it went" },
	{ 0 }
};
static const struct token t_cdr_list[] = {
	STOP,
	{ OPTION, "--since", NULL, APP_CLI_NONE, "calls that ended at or after this time (RFC 3339)" },
	{ OPTION, "--until", NULL, APP_CLI_NONE, "calls that ended before it" },
	{ OPTION, "--number", NULL, APP_CLI_NONE, "calls whose caller or callee holds this" },
	{ OPTION, "--trunk", NULL, APP_CLI_NONE, "calls from or to this trunk" },
	{ OPTION, "--status", NULL, APP_CLI_NONE, "calls with this final status" },
	{ OPTION, "--limit", NULL, APP_CLI_NONE, "so many at most; 100 where it is not given" },
	{ 0 }
};
static const struct token t_cdr[] = {
	{ WORD, "list", t_cdr_list, APP_CLI_CDR_LIST, "records of ended calls, newest first" },
	{ WORD, "show", t_id, APP_CLI_CDR_SHOW, "the record of an ended call" },
	{ WORD, "messages", t_messages, APP_CLI_CDR_MESSAGES, "its SIP messages that are still kept" },
	{ WORD, "decisions", t_id, APP_CLI_CDR_DECISIONS, "why it went as it went" },
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
#define WRITES \
	STOP, \
	{ FLAG, "--dry-run", NULL, APP_CLI_NONE, "check everything, change nothing" }, \
	{ OPTION, "--comment", NULL, APP_CLI_NONE, "why: it stands in the history" }
#define REVERTS { OPTION, "--confirm-within", NULL, APP_CLI_NONE, "go back by itself after so many seconds, unless `config confirm` comes" }
static const struct token t_apply_more[] = { WRITES, REVERTS, { 0 } };
static const struct token t_apply[] = { { ARG, "FILE", t_apply_more, APP_CLI_NONE, NULL }, { 0 } };
static const struct token t_written[] = { WRITES, { 0 } };
static const struct token t_set_value[] = { { ARG, "VALUE", t_written, APP_CLI_NONE, NULL }, { 0 } };
static const struct token t_set[] = { { ARG, "COLLECTION/ID/KEY", t_set_value, APP_CLI_NONE, NULL }, { 0 } };
static const struct token t_remove_id[] = { { ARG, "ID", t_written, APP_CLI_NONE, NULL }, { 0 } };
static const struct token t_remove[] = { { ARG, "COLLECTION", t_remove_id, APP_CLI_NONE, NULL }, { 0 } };
static const struct token t_history[] = { STOP, { OPTION, "--limit", NULL, APP_CLI_NONE, "so many at most; 20 where it is not given" }, { 0 } };
static const struct token t_diff_against[] = { STOP, { ARG, "REVISION", t_end, APP_CLI_NONE, NULL }, { 0 } };
static const struct token t_diff[] = { STOP, { ARG, "FILE|REVISION", t_diff_against, APP_CLI_NONE, NULL }, { 0 } };
static const struct token t_rollback[] = { { ARG, "REVISION", t_end, APP_CLI_NONE, NULL }, { 0 } };
static const struct token t_config[] = {
	{ WORD, "show", t_config_show, APP_CLI_CONFIG_SHOW, "the configuration in force, a collection or an object of it" },
	{ WORD, "get", t_config_show, APP_CLI_CONFIG_SHOW, "the same" },
	{ WORD, "set", t_set, APP_CLI_CONFIG_SET, "change one value (JSON or text, null takes it out): config set trunks/pbx/limits/max_calls 50" },
	{ WORD, "remove", t_remove, APP_CLI_CONFIG_REMOVE, "take an object out" },
	{ WORD, "apply", t_apply, APP_CLI_CONFIG_APPLY, "put a whole document in force; - is standard input" },
	{ WORD, "diff", t_diff, APP_CLI_CONFIG_DIFF, "what a file would change; what a revision changed, or two differ in; the newest" },
	{ WORD, "history", t_history, APP_CLI_CONFIG_HISTORY, "revisions, newest first" },
	{ WORD, "rollback", t_rollback, APP_CLI_CONFIG_ROLLBACK, "put a former revision in force, as a new one" },
	{ WORD, "confirm", t_end, APP_CLI_CONFIG_CONFIRM, "keep what would go back by itself" },
	{ 0 }
};
static const struct token t_user[] = { { ARG, "USER", t_end, APP_CLI_NONE, NULL }, { 0 } };
static const struct token t_token_more[] = { STOP, { OPTION, "--expires-in", NULL, APP_CLI_NONE, "good for so many seconds; for ever where it is not given" }, { 0 } };
static const struct token t_token_add[] = { { ARG, "USER", t_token_more, APP_CLI_NONE, NULL }, { 0 } };
static const struct token t_token_remove[] = { { ARG, "USER", t_id, APP_CLI_NONE, NULL }, { 0 } };
static const struct token t_token[] = {
	{ WORD, "list", t_user, APP_CLI_TOKEN_LIST, "tokens of a user, without themselves" },
	{ WORD, "add", t_token_add, APP_CLI_TOKEN_ADD, "make a token: it is shown once" },
	{ WORD, "remove", t_token_remove, APP_CLI_TOKEN_REMOVE, "take a token back" },
	{ 0 }
};
static const struct token t_name[] = { { ARG, "NAME", t_end, APP_CLI_NONE, NULL }, { 0 } };
static const struct token t_certificate_key[] = { WRITES, { ARG, "KEYFILE", t_written, APP_CLI_NONE, NULL }, { 0 } };
static const struct token t_certificate_file[] = { { ARG, "FILE", t_certificate_key, APP_CLI_NONE, NULL }, { 0 } };
static const struct token t_certificate_set[] = { { ARG, "NAME", t_certificate_file, APP_CLI_NONE, NULL }, { 0 } };
static const struct token t_name_written[] = { { ARG, "NAME", t_written, APP_CLI_NONE, NULL }, { 0 } };
static const struct token t_certificate[] = {
	{ WORD, "list", t_end, APP_CLI_CERTIFICATE_LIST, "certificates of the revision" },
	{ WORD, "show", t_name, APP_CLI_CERTIFICATE_SHOW, "subject, names, expiry, fingerprint" },
	{ WORD, "set", t_certificate_set, APP_CLI_CERTIFICATE_SET, "replace a certificate and its key, or add them" },
	{ WORD, "remove", t_name_written, APP_CLI_CERTIFICATE_REMOVE, "take a certificate and its key out" },
	{ 0 }
};
static const struct token t_policy_source[] = { { ARG, "FILE", t_written, APP_CLI_NONE, NULL }, { 0 } };
static const struct token t_policy_set[] = { { ARG, "ID", t_policy_source, APP_CLI_NONE, NULL }, { 0 } };
static const struct token t_policy_remove[] = { { ARG, "ID", t_written, APP_CLI_NONE, NULL }, { 0 } };
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
	{ WORD, "set", t_policy_set, APP_CLI_POLICY_SET, "put the source of a policy in force, or add one" },
	{ WORD, "remove", t_policy_remove, APP_CLI_POLICY_REMOVE, "take a policy out" },
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
	{ WORD, "token", t_token, APP_CLI_NONE, NULL },
	{ WORD, "certificate", t_certificate, APP_CLI_NONE, NULL },
	{ WORD, "audit", t_cdr_list, APP_CLI_AUDIT, "writes and logins, newest first" },
	{ WORD, "stats", t_end, APP_CLI_STATS, "all figures" },
	{ WORD, "drain", t_end, APP_CLI_DRAIN, "take no new calls; those in progress go on" },
	{ WORD, "undrain", t_end, APP_CLI_UNDRAIN, "take new calls again" },
	{ WORD, "completion", t_end, APP_CLI_COMPLETION, "a script for bash: source <(posternctl completion)" },
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
		if (t->kind != ARG && t->kind != END && !strcmp(t->text, arg))
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
		if (t->kind == OPTION || t->kind == FLAG) {
			err = option_add(&c, t->text, t->kind == FLAG ? "1" : argv[i + 1]);
			if (err)
				return err;
			i += t->kind == OPTION;
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
			if (o->kind == OPTION || o->kind == FLAG)
				text_add(&t, " [%s%s]", o->text, o->kind == FLAG ? "" : " X");
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

/* ---- for the shell ---- */
void app_cli_complete(int argc, char **argv)
{
	const struct token *table = t_top, *t;

	for (int i = 0; i < argc; i++) {
		t = token_find(table, argv[i]);
		if (!t)
			return;
		if (t->kind == OPTION)
			i++;
		else if (t->kind != FLAG)
			table = t->next;
	}
	for (t = table; t->kind != LAST; t++)
		if (t->kind == WORD || t->kind == OPTION || t->kind == FLAG)
			puts(t->text);
}

void app_cli_completion(void)
{
	puts("_posternctl()\n"
	     "{\n"
	     "\tlocal words=(\"${COMP_WORDS[@]:1:COMP_CWORD-1}\")\n"
	     "\tmapfile -t COMPREPLY < <(compgen -W \"$(posternctl --complete \"${words[@]}\")\" -- \"${COMP_WORDS[COMP_CWORD]}\")\n"
	     "}\n"
	     "complete -o default -F _posternctl posternctl");
}

void app_cli_help(void)
{
	puts("usage: posternctl [--state DIR | --api URL [--token T] [--ca FILE]] [--json] COMMAND\n");
	help_walk(t_top, "", NULL);
	puts("\nWords may be cut short (`posternctl ca li`). Environment: POSTERN_STATE, POSTERN_API, POSTERN_TOKEN, POSTERN_ADMIN_TOKEN.\n"
	     "Exit codes: 0 done, 1 usage, 2 the daemon is not reached, 3 the daemon refused.");
}
