/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a call went as it went, as a list in the order of things: the trunk that its request was matched to, the route, the targets that were tried with
 * their outcome, then what was decided within it. From the live record, or the same from the CDR.
 */
#include <stdlib.h>

#include "ctl/ctl.h"
#include "postern/call.h"

static void time_shown(json_t *o, const char *from, const char *to)
{
	json_t *ms = json_object_get(o, from);

	if (!ms)
		return;
	json_object_set_new(o, to, ctl_time(json_integer_value(ms)));
	json_object_del(o, from);
}

/** What the engine noted, with its times as ours are. Steals a. */
static void notes_add(json_t *items, json_t *a)
{
	json_t *one;
	size_t i;

	json_array_foreach(a, i, one) {
		time_shown(one, "time_ms", "time");
		time_shown(one, "last_ms", "last");
		json_array_append(items, one);
	}
	json_decref(a);
}

static void begin(json_t *items, json_t *time, json_t *trunk, json_t *source, json_t *route)
{
	json_array_append_new(items, json_pack("{s:s, s:O, s:s, s:o, s:o}", "kind", "trunk", "time", time, "leg", "a", "trunk", trunk, "source", source));
	json_array_append_new(items, json_pack("{s:s, s:o, s:s, s:o}", "kind", "route", "time", time, "leg", "a", "route", route));
}

static json_t *target(const struct call_record_try *y)
{
	char at[56];

	return json_pack("{s:s, s:o, s:s, s:o, s:o, s:o, s:o, s:i, s:o}", "kind", "target", "time", ctl_time(y->start_ms), "leg", "b", "trunk", ctl_text(y->trunk), "uri", ctl_text(y->uri),
		"address", y->addr.sa.sa_family ? json_string(base_addr_print(&y->addr, at)) : json_null(), "outcome", y->outcome.n ? ctl_text(y->outcome) : json_string("pending"),
		"status", (int)y->status, "call_id", ctl_text(y->call_id));
}

/** Rules that fired, among the rest by time. */
static void fired_add(json_t *items, const struct call_record *r)
{
	struct slice rest = r->vars;
	struct call_note n;
	json_t *one;
	size_t i;

	while (call_note_next(&rest, &n)) {
		if (n.kind != CALL_NOTE_FIRED)
			continue;
		one = json_pack("{s:s, s:o, s:s, s:s, s:s, s:s, s:o, s:I, s:I, s:o}", "kind", "policy", "time", ctl_time(n.first_ms), "leg", n.out ? "b" : "a", "action", "policy",
			"hook", n.send ? "send" : "receive", "message", n.request ? "request" : "response", "policy", ctl_text(n.name), "line", (json_int_t)n.line,
			"count", (json_int_t)n.count, "last", ctl_time(n.last_ms));
		for (i = json_array_size(items); i > 0; i--) {
			const char *before = json_string_value(json_object_get(json_array_get(items, i - 1), "time")), *mine = json_string_value(json_object_get(one, "time"));

			if (!before || !mine || strcmp(before, mine) <= 0)
				break;
		}
		json_array_insert_new(items, i, one);
	}
}

json_t *ctl_render_decisions(const struct ctl_maps *m, const char *id)
{
	struct call_record_try y;
	struct call_record r;
	uint8_t *buf = ctl_call_read(m, id, &r);
	struct reader t;
	json_t *items;
	char at[56];

	if (!buf)
		return NULL;
	items = json_array();
	begin(items, ctl_time(r.start_ms), ctl_text(r.leg[0].trunk), r.leg[0].source.sa.sa_family ? json_string(base_addr_print(&r.leg[0].source, at)) : json_null(), ctl_text(r.route));
	for (t = reader_on(r.tried.p, r.tried.n); call_record_try_next(&t, &y);)
		json_array_append_new(items, target(&y));
	if (r.decisions.n)
		notes_add(items, json_loadb(r.decisions.p, r.decisions.n, 0, NULL));
	fired_add(items, &r);
	free(buf);
	return ctl_page(items, NULL);
}

/** A member as it is, null where it is not there. New reference. */
static json_t *member(const json_t *o, const char *key)
{
	json_t *v = json_object_get(o, key);

	return v ? json_incref(v) : json_null();
}

json_t *ctl_render_decisions_of_cdr(const json_t *cdr)
{
	json_t *items = json_array(), *one, *o;
	size_t i;

	begin(items, member(cdr, "start"), member(cdr, "trunk_in"), member(cdr, "source"), member(cdr, "route"));
	json_array_foreach(json_object_get(cdr, "targets"), i, one) {
		o = json_pack("{s:s, s:o, s:s}", "kind", "target", "time", member(one, "at"), "leg", "b");
		json_object_update_missing(o, one);
		json_object_del(o, "at");
		json_array_append_new(items, o);
	}
	notes_add(items, json_deep_copy(json_object_get(cdr, "decisions")));
	return ctl_page(items, NULL);
}
