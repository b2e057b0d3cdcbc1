/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as a running-config: what import-cube makes of it is a policy that loads, and prints to the same. */
#include <stdio.h>
#include <stdlib.h>

#include "postern/rule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rule_load how = { .file = "fuzz" };
	struct rule_errors *errs = rule_errors_new();
	struct rule_set *s = NULL;
	unsigned lost;
	char *text = rule_import_cube((struct slice){ (const char *)data, size }, &lost), *one, *two;

	if (!errs || !text)
		abort();
	if (rule_set_load(slice_str(text), &how, errs, &s)) {
		fprintf(stderr, "line %u: %s\n%s", rule_errors_get(errs, 0)->line, rule_errors_get(errs, 0)->message, text);
		abort();
	}
	one = rule_set_print(s);
	base_unref(s);
	if (rule_set_load(slice_str(one), &how, errs, &s))
		abort();
	two = rule_set_print(s);
	if (strcmp(one, two))
		abort();
	base_unref(s);
	base_unref(errs);
	free(one);
	free(two);
	free(text);
	return 0;
}
