/* SPDX-License-Identifier: Apache-2.0 */
/* Options of policies (design.md sections 4 and 9). Needs conf alone. */
#include "postern/conf.h"
#include "postern/rule.h"

static const struct conf_row rows[] = {
	{ .key = "id", .type = CONF_ID, .at = offsetof(struct rule_policy_conf, id), .flags = CONF_REQUIRED, .doc = "Name of the policy file." },
	{ .key = "file", .type = CONF_FILE, .at = offsetof(struct rule_policy_conf, file), .flags = CONF_REQUIRED,
	  .doc = "The file; looked for beside the document, then in the state folder's policies/." },
	{ .key = "shadow", .type = CONF_BOOL, .at = offsetof(struct rule_policy_conf, shadow), .def = "false",
	  .doc = "Evaluate and report only, change nothing." },
	{ .key = NULL }
};

const struct conf_collection rule_schema_policies = {
	.name = "policies", .one = "policy", .rows = rows, .size = sizeof(struct rule_policy_conf), .most = 1000,
	.doc = "Policy files: rewriting of SIP messages, see postern.policy(5).",
};
