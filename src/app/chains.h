/* SPDX-License-Identifier: Apache-2.0 */
/* app/chains: for every trunk what its messages pass: the policies of system, realm and trunk, then the builtin ones. */
#ifndef APP_CHAINS_H
#define APP_CHAINS_H

#include "app/policies.h"

struct peer_set;
struct sipua_policy;
struct rule_chain;

/** Of one revision, prepared; trunk i of the set has chain i. */
struct app_chains { struct app_policies *policies; size_t n; struct rule_chain **chain; };
/** Takes the policies' reference over, also on error. */
int app_chains_init(struct app_chains *c, struct app_policies *policies, const struct peer_set *peers);
void app_chains_fini(struct app_chains *c);

/** What dialogs hold: one for each trunk there ever was. */
struct app_policed { size_t n; struct app_policed_trunk { char *id; struct sipua_policy *policy; } *v; };
/** Make room for the trunks of the next revision, so that commit cannot fail. -ENOMEM */
int app_policed_prepare(struct app_policed *p, const struct peer_set *next);
/** Exchange the chains; `was` is where counts are taken over from, or empty. */
void app_policed_commit(struct app_policed *p, const struct app_chains *was, const struct app_chains *now, const struct peer_set *peers);
struct sipua_policy *app_policed_find(const struct app_policed *p, const char *trunk);

struct rule_board;
/** Their rules count on the board; ERR_FULL, -ENOMEM: not all do. */
int app_chains_bind(const struct app_chains *c, struct rule_board *b);
/** They count by themselves again. */
void app_chains_unbind(const struct app_chains *c);

#endif
