/* SPDX-License-Identifier: Apache-2.0 */
/* rule: the policy language. Today its options alone; the engine comes with 'The policy engine'. */
#ifndef POSTERN_RULE_H
#define POSTERN_RULE_H

#include "postern/base.h"

struct rule_policy_conf { const char *id, *file; bool shadow; };
extern const struct conf_collection rule_schema_policies;

#endif
