/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posternctl, private: what was asked for, the way to the daemon, and the printing of its answers.
 */
#ifndef APP_POSTERNCTL_H
#define APP_POSTERNCTL_H

#include <jansson.h>

#include "postern/base.h"

enum app_cli_exit { APP_CLI_OK = 0, APP_CLI_USAGE = 1, APP_CLI_UNREACHED = 2, APP_CLI_REFUSED = 3 };

/* ---- the command line: a table of tokens (posternctl_parse.c) ---- */
enum app_cli_action {
	APP_CLI_NONE, APP_CLI_STATUS, APP_CLI_CALL_LIST, APP_CLI_CALL_SHOW, APP_CLI_CALL_END, APP_CLI_CALL_MESSAGES, APP_CLI_CALL_DECISIONS,
	APP_CLI_CDR_LIST, APP_CLI_CDR_SHOW, APP_CLI_CDR_MESSAGES, APP_CLI_CDR_DECISIONS,
	APP_CLI_TRUNK_LIST, APP_CLI_TRUNK_SHOW, APP_CLI_TRUNK_PROBE, APP_CLI_TRUNK_DRAIN, APP_CLI_TRUNK_UNDRAIN, APP_CLI_ROUTE_PREVIEW, APP_CLI_CONFIG_SHOW,
	APP_CLI_CONFIG_HISTORY, APP_CLI_CONFIG_APPLY, APP_CLI_CONFIG_SET, APP_CLI_CONFIG_REMOVE, APP_CLI_CONFIG_DIFF, APP_CLI_CONFIG_ROLLBACK, APP_CLI_CONFIG_CONFIRM,
	APP_CLI_TOKEN_LIST, APP_CLI_TOKEN_ADD, APP_CLI_TOKEN_REMOVE, APP_CLI_CERTIFICATE_LIST, APP_CLI_CERTIFICATE_SHOW, APP_CLI_CERTIFICATE_SET,
	APP_CLI_CERTIFICATE_REMOVE, APP_CLI_AUDIT, APP_CLI_POLICY_SET, APP_CLI_POLICY_REMOVE, APP_CLI_COMPLETION, APP_CLI_POLICY_LIST, APP_CLI_POLICY_SHADOW, APP_CLI_STATS, APP_CLI_DRAIN, APP_CLI_UNDRAIN, APP_CLI_VERSION, APP_CLI_HELP,
	APP_CLI_POLICY_CHECK, APP_CLI_POLICY_PRINT, APP_CLI_POLICY_TEST, APP_CLI_POLICY_IMPORT, APP_CLI_POLICY_FIELDS, /* without a daemon: posternctl_policy.c */
	APP_CLI_ACTIONS
};
struct app_cli_command {
	enum app_cli_action action;
	const char *arg[64]; size_t nargs;      /* ids of the path; files */
	const char *key[8], *value[8]; size_t nkeys; /* query */
	long limit;                             /* items of a list; 0: all */
};
/** Parse the words of a command; says on stderr what would be right. 0 or ERR_PROTO. Strings are borrowed from argv. */
int app_cli_parse(int argc, char **argv, struct app_cli_command *ret);
/** Every command with its doc line, from the table. */
void app_cli_help(void);

/** Words that may follow these, one a line: for the shell. */
void app_cli_complete(int argc, char **argv);
/** The script that a shell reads: `posternctl completion`. */
void app_cli_completion(void);

/* ---- the daemon (posternctl_http.c) ---- */
struct app_cli_api;
struct app_cli_where { const char *state, *api, *token, *ca; };
/** Options first, then the environment, then the socket that STATE/control names, then 127.0.0.1:8080 with STATE/admin.token. Says on stderr what fails. */
int app_cli_api_new(const struct app_cli_where *w, struct app_cli_api **ret);
void app_cli_api_free(struct app_cli_api *api);
/** Escape a text for a path or query; free with free(). */
char *app_cli_escape(struct app_cli_api *api, const char *text);
/** Body of the next request, borrowed, its media type (NULL: JSON) and X-Comment (NULL: none); a POST without one sends `{}`. */
void app_cli_body(struct app_cli_api *api, const char *body, const char *type, const char *comment);
/** One request. ERR_GONE (told on stderr) where the daemon is not reached; else its status, and its JSON or NULL as a new reference. */
int app_cli_request(struct app_cli_api *api, const char *method, const char *path, long *ret_status, json_t **ret_json);

/** Body of the last answer as it came; good until the next request. */
struct slice app_cli_answer(const struct app_cli_api *api);

/* ---- commands that write (posternctl_write.c) ---- */
bool app_cli_is_write(const struct app_cli_command *cmd);
/** Run one; says what became of it. An exit code. */
int app_cli_write(const struct app_cli_command *cmd, struct app_cli_api *api, bool json);

/* ---- output for people (posternctl_print.c) ---- */
struct app_cli_column { const char *title, *path; }; /* title: `>` before it sets the column to the right; path: keys and indices with dots */
/** Rows of objects as aligned columns. */
void app_cli_table(const struct app_cli_column *cols, size_t ncols, json_t *rows);
/** An object as `key: value` lines, nested ones indented. */
void app_cli_object(json_t *o, int indent);
void app_cli_json(json_t *v);
/** A problem (RFC 9457) on stderr: each error at its pointer, and what to do. APP_CLI_REFUSED */
int app_cli_refused(long status, json_t *problem);

#endif
