/* SPDX-License-Identifier: Apache-2.0 */
/* Policies as JSON: what their rules counted, and what those in shadow would have done; read from the board without waking the engine. */
#include "ctl/ctl.h"
#include "postern/rule.h"

json_t *ctl_render_text(struct slice s) { return ctl_text(s); }

static const void *board(const struct ctl_maps *m, size_t *ret_bytes)
{
	*ret_bytes = 0;
	return ctl_region(m->calls, REGION_POLICIES, ret_bytes);
}

static json_t *rule_json(const struct rule_board_row *r)
{
	return json_pack("{s:o, s:i, s:i, s:o, s:I, s:o}", "policy", ctl_text(slice_str(r->policy)), "line", (int)r->line, "rule", (int)r->index + 1,
		"text", ctl_text(slice_str(r->text)), "hits", (json_int_t)r->hits, "last_hit", ctl_time(r->last_ms));
}

json_t *ctl_render_policy(const struct ctl_maps *m, const char *id)
{
	json_t *rules = json_array(), *counters = json_object();
	struct rule_board_row r;
	uint64_t shadow;
	size_t bytes;
	const void *mem = board(m, &bytes);

	for (size_t i = 0; rule_board_get(mem, bytes, i, &r); i++) {
		if (strcmp(r.id, id))
			continue;
		if (*r.policy)
			json_array_append_new(rules, rule_json(&r));
		else
			json_object_set_new(counters, r.text, json_integer((json_int_t)r.hits));
	}
	rule_board_shadow_get(mem, bytes, id, 0, &shadow, NULL);
	return json_pack("{s:o, s:o, s:I}", "rules", rules, "counters", counters, "shadow_count", (json_int_t)shadow);
}

json_t *ctl_render_shadow(const struct ctl_maps *m, const char *id)
{
	static struct rule_shadow_item it; /* one thread renders */
	json_t *items = json_array();
	uint64_t count = 0;
	size_t bytes;
	const void *mem = board(m, &bytes);

	for (size_t i = 0; rule_board_shadow_get(mem, bytes, id, i, &count, &it); i++)
		json_array_append_new(items, json_pack("{s:o, s:o, s:o, s:o, s:b}", "time", ctl_time(it.time_ms), "before", ctl_text(slice_str(it.before)),
			"after", ctl_text(slice_str(it.after)), "verdict", *it.verdict ? ctl_text(slice_str(it.verdict)) : json_null(), "cut", it.cut));
	return json_pack("{s:I, s:o}", "count", (json_int_t)count, "items", items);
}
