/* SPDX-License-Identifier: Apache-2.0 */
/* posternctl policy list|shadow: what policies in force have counted, and what those in shadow would have done. */
#include <stdio.h>
#include <stdlib.h>

#include "app/posternctl.h"
#include "app/posternctl_policy.h"
#include "postern/rule.h"

/* one row for each rule and each counter, with the id of its policy */
static json_t *rows_of(json_t *policies)
{
	json_t *rows = json_array(), *p, *r, *value;
	const char *name;
	size_t i, k;

	json_array_foreach(policies, i, p) {
		json_array_foreach(json_object_get(p, "rules"), k, r) {
			json_object_set(r, "id", json_object_get(p, "id"));
			json_object_set(r, "shadow", json_object_get(p, "shadow"));
			json_array_append(rows, r);
		}
		json_object_foreach(json_object_get(p, "counters"), name, value)
			json_array_append_new(rows, json_pack("{s:O, s:s, s:O, s:O, s:s}", "id", json_object_get(p, "id"), "policy", "", "shadow", json_object_get(p, "shadow"),
				"hits", value, "text", name));
	}
	return rows;
}

void app_cli_policy_show(json_t *v)
{
	static const struct app_cli_column cols[] = {
		{ "ID", "id" }, { "POLICY", "policy" }, { ">LINE", "line" }, { "SHADOW", "shadow" }, { ">HITS", "hits" }, { "LAST HIT", "last_hit" }, { "RULE OR COUNTER", "text" }
	};
	json_t *rows = rows_of(v);

	app_cli_table(cols, ARRAY_LEN(cols), rows);
	json_decref(rows);
}

static void say(const char *s)
{
	for (; *s; s++)
		if (*s == '\n' || (unsigned char)*s >= 0x20)
			putchar(*s == 0x7f ? '?' : *s);
}

void app_cli_policy_shadow(json_t *v)
{
	json_t *one;
	size_t i;

	printf("would have changed or answered: %lld messages\n", (long long)json_integer_value(json_object_get(v, "count")));
	json_array_foreach(json_object_get(v, "items"), i, one) {
		const char *before = json_string_value(json_object_get(one, "before")), *after = json_string_value(json_object_get(one, "after"));
		const char *verdict = json_string_value(json_object_get(one, "verdict")), *end = before ? strpbrk(before, "\r\n") : NULL;
		char *diff = before && after ? rule_text_diff(before, after) : NULL;

		printf("\n%s  %.*s\n", json_string_value(json_object_get(one, "time")), end ? (int)(end - before) : 0, before ? before : "");
		say(diff ? diff : "");
		if (verdict)
			printf("verdict: %s\n", verdict);
		free(diff);
	}
}
