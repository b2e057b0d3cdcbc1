/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions about the configuration in force: which way would a call go, and what are the groups. Answered from the document and a copy of the states
 * in memory by what the engine itself plans calls with, without the engine.
 */
#include <errno.h>
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

struct groups { struct ctl_maps maps; const void *const *conf; size_t n; };

static json_t *group_json(void *arg, size_t at)
{
	static const char *const names[] = { "priority", "round-robin", "weighted", "least-calls" };
	const struct groups *all = arg;
	const struct peer_group_conf *g = all->conf[at];

	return json_pack("{s:s, s:s, s:o}", "id", g->id, "strategy", names[(unsigned)g->strategy % ARRAY_LEN(names)], "members", members_json(&all->maps, g));
}

void admin_get_groups(struct admin_request *rq)
{
	struct groups all = { .maps = admin_maps(rq->a, NULL) };

	all.conf = rq->a->doc ? conf_objects(rq->a->doc, &peer_schema_groups, &all.n) : NULL;
	admin_reply_list(rq, all.n, group_json, &all);
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

#define OUTLOOKS 256

/** The states as they stand: what is not in use of the engine's memory is not looked at. NULL: no memory. */
static struct peer_live *states_copy(const struct ctl_maps *m, size_t *ret_bytes)
{
	uint32_t n = 0, i, k;
	const struct peer_live *live = ctl_live(m, &n);
	struct peer_live *copy = calloc(1, peer_live_bytes(n));

	for (i = 0; copy && live && i < n; i++) {
		memcpy(&copy->trunk[i], &live->trunk[i], offsetof(struct peer_live_trunk, target));
		k = copy->trunk[i].ntargets < PEER_TARGETS ? copy->trunk[i].ntargets : PEER_TARGETS;
		memcpy(copy->trunk[i].target, live->trunk[i].target, k * sizeof copy->trunk[i].target[0]);
		copy->trunk[i].ntargets = k;
		while (k-- > 0) { /* they may be written meanwhile */
			struct peer_live_target *t = &copy->trunk[i].target[k];

			t->uri[sizeof t->uri - 1] = t->address[sizeof t->address - 1] = t->reason[sizeof t->reason - 1] = 0;
		}
	}
	if (copy)
		copy->n = copy->cap = n;
	*ret_bytes = peer_live_bytes(n);
	return copy;
}

static const char *route_to(const struct conf_doc *doc, const char *id)
{
	const struct peer_route_conf *r = conf_find(doc, &peer_schema_routes, id);

	return r ? r->to : "";
}

/** The target as GET /trunks shows it. */
static json_t *target_state(const struct ctl_maps *m, const struct peer_outlook *o, json_t **trunks)
{
	json_t *trunk = json_object_get(*trunks, o->trunk->conf->id), *v;
	char host[48];
	size_t i;

	if (!trunk) {
		trunk = ctl_render_trunk(m, o->trunk->conf->id);
		json_object_set_new(*trunks, o->trunk->conf->id, trunk ? trunk : json_object());
		trunk = json_object_get(*trunks, o->trunk->conf->id);
	}
	base_addr_host(&o->target.addr, false, host);
	json_array_foreach(json_object_get(trunk, "targets"), i, v) {
		const char *uri = json_string_value(json_object_get(v, "uri")), *address = json_string_value(json_object_get(v, "address"));

		if (o->target.uri && uri && address && !strcmp(uri, o->target.uri) && !strcmp(address, host) &&
		    json_integer_value(json_object_get(v, "port")) == base_addr_port(&o->target.addr))
			return json_copy(v);
	}
	return json_object();
}

static json_t *outlooks_json(const struct ctl_maps *m, const struct peer_outlook *o, unsigned n)
{
	json_t *list = json_array(), *trunks = json_object(), *v;
	unsigned i;

	for (i = 0; i < n; i++) {
		v = target_state(m, &o[i], &trunks);
		json_object_set_new(v, "trunk", json_string(o[i].trunk->conf->id));
		json_object_set_new(v, "tried", json_boolean(o[i].tried));
		json_object_set_new(v, "why", json_string(o[i].why));
		json_array_append_new(list, v);
	}
	json_decref(trunks);
	return list;
}

static void policies_add(json_t *list, const struct peer_common *c, const char *at, const struct peer_trunk *t, const char *from)
{
	const char *const *id = c->policies.v;
	size_t i;

	for (i = 0; i < c->policies.n; i++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "policy", id[i], "on", at, "trunk", t->conf->id, "of", from));
}

/** Policies that the request passes: as it comes in, and as it goes out to the first trunk that is tried; in the order of running. */
static json_t *rules_json(const struct peer_set *set, const struct peer_trunk *in, const struct peer_trunk *out)
{
	const struct { const char *at; const struct peer_trunk *t; } leg[] = { { "receive", in }, { "send", out } };
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < ARRAY_LEN(leg) && leg[i].t; i++) {
		policies_add(list, &peer_system(set)->common, leg[i].at, leg[i].t, "system");
		policies_add(list, &peer_realm_at(set, leg[i].t->realm)->common, leg[i].at, leg[i].t, "realm");
		policies_add(list, &leg[i].t->conf->common, leg[i].at, leg[i].t, "trunk");
	}
	return list;
}

#define PASSED 64

static void passed_add(void *arg, const char *route, const char *why)
{
	if (json_array_size(arg) < PASSED)
		json_array_append_new(arg, json_pack("{s:s, s:s}", "route", route, "why", why));
}

static void answer_route(struct admin_request *rq, struct peer_set *set, const struct peer_trunk *from, const struct peer_dest *d, json_t *passed)
{
	static struct peer_outlook o[OUTLOOKS]; /* one thread */
	struct ctl_maps m = admin_maps(rq->a, NULL);
	struct peer_plane *plane = NULL;
	size_t bytes = 0;
	struct peer_live *live = states_copy(&m, &bytes);
	const struct peer_trunk *first = NULL;
	unsigned n, i;
	int err = live ? peer_plane_new(&(struct peer_plane_params){ .live = live, .live_bytes = bytes, .peers = set }, &plane) : -ENOMEM;

	if (err) {
		admin_problem(rq, 503, "the states cannot be looked at: %s", base_strerror(err));
	} else {
		n = peer_preview(plane, d, o, OUTLOOKS);
		for (i = 0; i < n && !first; i++)
			first = o[i].tried ? o[i].trunk : NULL;
		admin_reply_json(rq, 200, json_pack("{s:s, s:s, s:O, s:o, s:o}", "route", d->route, "to", route_to(rq->a->doc, d->route), "passed", passed,
			"rules", rules_json(set, from, first), "targets", outlooks_json(&m, o, n)));
	}
	peer_plane_free(plane);
	free(live);
}

/** A header of the call that routes ask for. */
static struct slice header_of(const void *arg, const char *name, char *buf, size_t size)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)(uintptr_t)arg, key, v)
		if (slice_eq_nocase(slice_str(key), slice_str(name)))
			return slice_str(json_string_value(v));
	return (struct slice){ NULL, 0 };
}

/** Headers of the call: names and texts. Routes look at them; policies would too, but are not run here. */
static bool headers_fit(struct admin_request *rq)
{
	json_t *headers = json_object_get(rq->json, "headers"), *v;
	const char *name;
	bool fits = !headers || json_is_object(headers);

	json_object_foreach(headers, name, v)
		fits &= json_is_string(v);
	if (!fits)
		admin_problem_errors(rq, 422, "headers are names and texts", json_pack("[{s:s, s:s}]", "pointer", "/headers", "message", "must be an object of texts"), NULL);
	return fits;
}

void admin_post_preview(struct admin_request *rq)
{
	const char *from_trunk = text_of(rq, "from_trunk", true), *to = from_trunk ? text_of(rq, "to", true) : NULL, *from = to ? text_of(rq, "from", false) : NULL;
	struct peer_view view = { .method = SLICE("INVITE"), .header = header_of, .header_arg = json_object_get(rq->json, "headers") };
	const struct peer_trunk *trunk;
	struct peer_set *set = NULL;
	struct peer_dest dest = { 0 };
	json_t *passed;
	int err;

	if (rq->response || !headers_fit(rq))
		return;
	err = rq->a->doc ? peer_set_new(rq->a->doc, &set) : ERR_WRONGSTATE;
	if (err) {
		admin_problem(rq, 503, "the configuration cannot be looked at: %s", base_strerror(err));
		return;
	}
	passed = json_array();
	trunk = peer_trunk_find(set, from_trunk);
	if (!trunk)
		admin_problem_errors(rq, 422, "no such trunk", json_pack("[{s:s, s:s}]", "pointer", "/from_trunk", "message", "is no trunk"), NULL);
	else if (!party(to, slice_str(rq->a->name), &view.to_user, &view.to_host) || !party(from, SLICE("anonymous.invalid"), &view.from_user, &view.from_host))
		admin_problem_errors(rq, 422, "no such number", json_pack("[{s:s, s:s}]", "pointer", "/to", "message", "to and from are numbers or sip: URIs"), NULL);
	else if (peer_route_told(set, trunk, &view, passed_add, passed, &dest))
		admin_problem(rq, 404, "no route takes this call");
	else
		answer_route(rq, set, trunk, &dest, passed);
	json_decref(passed);
	base_unref(set);
}
