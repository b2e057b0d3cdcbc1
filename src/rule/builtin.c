/* SPDX-License-Identifier: Apache-2.0 */
/* policies/builtin.policy, compiled in: the defaults are there also where no file is. */
#include "rule/rule.h"

static const char text[] =
#include "rule/builtin.inc"
;

struct slice rule_builtin_text(void)
{
	return (struct slice){ text, sizeof text - 1 };
}
