/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The samples as JSON: `{time, name: number}`, or `name: [{label: value, ..., "value": number}]` for families with labels.
 */
#include "ctl/ctl.h"

struct stats {
	struct ctl_sink sink;
	json_t *out;
};

static void stats_family(struct ctl_sink *s, const char *name, enum ctl_type type, const char *help)
{
}

/** One `key="value"` of a label text into o; the rest behind its comma. Our own texts: an odd one ends the walk. */
static const char *label_take(json_t *o, const char *p)
{
	char value[512];
	struct text t = text_on(value, sizeof value);
	const char *eq = strchr(p, '=');
	char key[64];
	json_t *v;

	if (!eq || eq[1] != '"' || !slice_copy(key, sizeof key, (struct slice){ p, (size_t)(eq - p) }))
		return "";
	for (const char *q = eq + 2; *q; q++) {
		if (*q == '"') {
			v = json_string(value);
			json_object_set_new(o, key, v ? v : json_null());
			return q[1] == ',' ? q + 2 : "";
		}
		if (*q == '\\' && q[1])
			q++;
		text_add(&t, "%c", *q);
	}
	return "";
}

static json_t *number(double v)
{
	return v == (double)(int64_t)v ? json_integer((json_int_t)v) : json_real(v);
}

static void stats_sample(struct ctl_sink *s, const char *name, const char *labels, double v)
{
	struct stats *st = container_of(s, struct stats, sink);
	json_t *list, *o;

	if (!*labels) {
		json_object_set_new(st->out, name, number(v));
		return;
	}
	list = json_object_get(st->out, name);
	if (!list) {
		json_object_set_new(st->out, name, json_array());
		list = json_object_get(st->out, name);
	}
	o = json_object();
	while (*labels)
		labels = label_take(o, labels);
	json_object_set_new(o, "value", number(v));
	json_array_append_new(list, o);
}

json_t *ctl_render_stats(const struct ctl_maps *m)
{
	struct stats s = { .sink = { stats_family, stats_sample }, .out = json_object() };

	if (!s.out)
		return NULL;
	json_object_set_new(s.out, "time", ctl_time(base_wall_ms()));
	ctl_samples(m, &s.sink);
	return s.out;
}
