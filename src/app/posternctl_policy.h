/* SPDX-License-Identifier: Apache-2.0 */
/* posternctl policy: the tools that need no daemon. Each returns an exit code of enum app_cli_exit and says on stderr what fails. */
#ifndef APP_POSTERNCTL_POLICY_H
#define APP_POSTERNCTL_POLICY_H

#include "app/posternctl.h"

/** Any command `policy ...`. */
int app_cli_policy(const struct app_cli_command *c, bool json);
/** Check files: errors with line, caret and hint, or one line on what is good. */
int app_cli_policy_check(const char *const *files, size_t n);
/** Canonical text, or the JSON twin. */
int app_cli_policy_print(const char *file, bool json);
/** Fields and actions. */
int app_cli_policy_fields(void);
/** A running-config's sip-profiles as policies. */
int app_cli_policy_import(const char *file);
/** Run a file on a message; what is NULL is taken as said in posternctl(1). */
struct app_cli_policy_test { const char *file, *message, *at, *direction, *trunk, *realm, *source, *transport, *rate; };
int app_cli_policy_test(const struct app_cli_policy_test *w);

/** Answers of the daemon: hits of rules and counters as a table; what a policy in shadow would have done, as diffs. posternctl_live.c */
void app_cli_policy_show(json_t *v);
void app_cli_policy_shadow(json_t *v);

#endif
