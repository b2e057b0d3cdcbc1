/* SPDX-License-Identifier: Apache-2.0 */
/* What import-cube writes is a policy file, whatever it was given: names that are free, and rules that we take ourselves. */
#include "config.h"
#include <stdlib.h>

#include "rule/import_cube.h"

void rule_cube_policy_name(const struct import *x, const char *side, struct rule_out *ret)
{
	struct rule_out begins = { 0 };

	for (unsigned n = 1; n == 1 || (x->out.n && memmem(x->out.p, x->out.n, begins.p, begins.n)); n++) {
		rule_out_free(ret);
		rule_out_free(&begins);
		rule_out_add(ret, "sip-profile-%.*s-%s", (int)x->profile.n, x->profile.p, side);
		if (n > 1)
			rule_out_add(ret, "-%u", n);
		rule_out_add(&begins, "\npolicy %.*s on ", (int)ret->n, ret->p);
		if (!begins.p)
			break;
	}
	rule_out_free(&begins);
}

bool rule_cube_loads(const struct import *x, bool request)
{
	const struct rule_load how = { .file = "profile" };
	struct rule_errors *errs = rule_errors_new();
	struct rule_out o = { 0 };
	struct rule_set *s = NULL;
	bool ok;

	rule_out_add(&o, "policy p on send %s {\n", request ? "request" : "response");
	rule_out_slice(&o, (struct slice){ x->rules.p, x->rules.n });
	rule_out_slice(&o, SLICE("}\n"));
	ok = errs && o.p && !rule_set_load((struct slice){ o.p, o.n }, &how, errs, &s);
	rule_out_free(&o);
	base_unref(s);
	base_unref(errs);
	return ok;
}
