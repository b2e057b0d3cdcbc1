/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions about the configuration in force: which way would a call go, and what are the groups. Answered from the document and the states
 * in memory, without the engine; hunting is by the document's order, states stand beside.
 */
#include <stdio.h>
#include <stdlib.h>

#include "admin/admin.h"
#include "postern/peer.h"
#include "postern/wire.h"

/* ---- trunk groups ---- */
static json_t *member_json(const struct ctl_maps *m, const struct peer_member_conf *c)
{
	json_t *t = ctl_render_trunk(m, c->trunk), *o = json_pack("{s:s, s:I, s:I}", "trunk", c->trunk, "priority", (json_int_t)c->priority, "weight", (json_int_t)c->weight);

	if (json_object_get(t, "state"))
		json_object_set(o, "state", json_object_get(t, "state"));
	json_decref(t);
	return o;
}

static int by_priority(const void *a, const void *b)
{
	const struct peer_member_conf *const *x = a, *const *y = b;

	if ((*x)->priority != (*y)->priority)
		return (*x)->priority < (*y)->priority ? -1 : 1;
	return *x < *y ? -1 : 1;
}

static json_t *members_json(const struct ctl_maps *m, const struct peer_group_conf *g)
{
	const struct peer_member_conf *c = g->members.v, **sorted = calloc(g->members.n + 1, sizeof *sorted);
	json_t *list = json_array();

	for (size_t i = 0; sorted && i < g->members.n; i++)
		sorted[i] = &c[i];
	if (sorted)
		qsort(sorted, g->members.n, sizeof *sorted, by_priority);
	for (size_t i = 0; sorted && i < g->members.n; i++)
		json_array_append_new(list, member_json(m, sorted[i]));
	free(sorted);
	return list;
}

static json_t *group_json(const struct ctl_maps *m, const struct peer_group_conf *g)
{
	static const char *const names[] = { "priority", "round-robin", "weighted", "least-calls" };

	return json_pack("{s:s, s:s, s:o}", "id", g->id, "strategy", names[(unsigned)g->strategy % ARRAY_LEN(names)], "members", members_json(m, g));
}

void admin_get_groups(struct admin_request *rq)
{
	struct ctl_maps m = admin_maps(rq->a, NULL);
	const void *const *obj;
	const char *after;
	json_t *items;
	uint64_t from;
	unsigned limit;
	size_t n = 0, i;

	if (!admin_query_page(rq, &limit, &after) || !admin_query_number(rq, "after", INT32_MAX, &from))
		return;
	obj = rq->a->doc ? conf_objects(rq->a->doc, &peer_schema_groups, &n) : NULL;
	items = json_array();
	for (i = (size_t)from; i < n && json_array_size(items) < limit; i++)
		json_array_append_new(items, group_json(&m, obj[i]));
	admin_reply_json(rq, 200, json_pack("{s:o, s:o}", "items", items, "next", i < n ? json_sprintf("%zu", i) : json_null()));
}

/* ---- preview ---- */
/** A member of the body as text; `need`: it must be there. NULL: not there, or answered. */
static const char *text_of(struct admin_request *rq, const char *key, bool need)
{
	json_t *v = json_object_get(rq->json, key);

	if (json_is_string(v) || (!v && !need))
		return json_string_value(v);
	admin_problem_errors(rq, 422, "send {\"from_trunk\": id, \"to\": number or URI, \"from\": number or URI}",
		json_pack("[{s:o, s:s}]", "pointer", json_sprintf("/%s", key), "message", v ? "must be text" : "is missing"), NULL);
	return NULL;
}

/** User and host of a number or a sip: URI. */
static bool party(const char *text, struct slice host, struct slice *ret_user, struct slice *ret_host)
{
	struct wire_uri u;

	*ret_user = slice_str(text);
	*ret_host = host;
	if (!text || (strncmp(text, "sip:", 4) && strncmp(text, "sips:", 5)))
		return true;
	if (wire_uri_parse(slice_str(text), &u))
		return false;
	*ret_user = u.user;
	*ret_host = u.host;
	return true;
}

/** A trunk with its targets as they stand, or a group's trunks in order. */
static void expand(const struct ctl_maps *m, const struct conf_doc *doc, const char *id, json_t *list, unsigned depth)
{
	const struct peer_group_conf *g = conf_find(doc, &peer_schema_groups, id);
	json_t *t, *targets, *v, *members;
	size_t i;

	if (g) {
		members = depth < PEER_DEPTH ? members_json(m, g) : json_array();
		json_array_foreach(members, i, v)
			expand(m, doc, json_string_value(json_object_get(v, "trunk")), list, depth + 1);
		json_decref(members);
		return;
	}
	t = ctl_render_trunk(m, id);
	targets = json_object_get(t, "targets");
	json_array_foreach(targets, i, v) {
		json_object_set_new(v, "trunk", json_string(id));
		json_array_append(list, v);
	}
	json_decref(t);
}

static const char *route_to(const struct conf_doc *doc, const char *id)
{
	const struct peer_route_conf *r = conf_find(doc, &peer_schema_routes, id);

	return r ? r->to : "";
}

static void answer_route(struct admin_request *rq, const struct peer_dest *d)
{
	struct ctl_maps m = admin_maps(rq->a, NULL);
	const char *to = route_to(rq->a->doc, d->route);
	json_t *targets = json_array();

	expand(&m, rq->a->doc, to, targets, 0);
	admin_reply_json(rq, 200, json_pack("{s:s, s:s, s:[], s:o}", "route", d->route, "to", to, "rules", "targets", targets));
}

void admin_post_preview(struct admin_request *rq)
{
	const char *from_trunk = text_of(rq, "from_trunk", true), *to = from_trunk ? text_of(rq, "to", true) : NULL, *from = to ? text_of(rq, "from", false) : NULL;
	struct peer_view view = { .method = SLICE("INVITE") };
	const struct peer_trunk *trunk;
	struct peer_set *set = NULL;
	struct peer_dest dest = { 0 };
	int err;

	if (rq->response)
		return;
	err = rq->a->doc ? peer_set_new(rq->a->doc, &set) : ERR_WRONGSTATE;
	if (err) {
		admin_problem(rq, 503, "the configuration cannot be looked at: %s", base_strerror(err));
		return;
	}
	trunk = peer_trunk_find(set, from_trunk);
	if (!trunk)
		admin_problem_errors(rq, 422, "no such trunk", json_pack("[{s:s, s:s}]", "pointer", "/from_trunk", "message", "is no trunk"), NULL);
	else if (!party(to, slice_str(rq->a->name), &view.to_user, &view.to_host) || !party(from, SLICE("anonymous.invalid"), &view.from_user, &view.from_host))
		admin_problem_errors(rq, 422, "no such number", json_pack("[{s:s, s:s}]", "pointer", "/to", "message", "to and from are numbers or sip: URIs"), NULL);
	else if (peer_route(set, trunk, &view, &dest))
		admin_problem(rq, 404, "no route takes this call");
	else
		answer_route(rq, &dest);
	base_unref(set);
}
