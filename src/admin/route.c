/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of routes and the way of a request through it: host, path, login, method, role, query. The order tells nothing to who has no token:
 * unknown paths are 401 for him too (RFC 9110 sections 15.5.2, 15.5.5, 15.5.6).
 */
#include "admin/admin.h"

#define BASE_PATH "/api/v1"

static const struct admin_route routes[] = {
	{ "/health", "GET", ADMIN_NOBODY, admin_get_health, NULL, 0, "Can calls be taken; with a token also the processes" },
	{ "/config", "GET", ADMIN_VIEWER, admin_get_config, NULL, 0, "The configuration in force; ETag is its revision" },
	{ "/config/{collection}", "GET", ADMIN_VIEWER, admin_get_collection, admin_query_list, 0, "One collection of it, or the system object" },
	{ "/config/{collection}/{id}", "GET", ADMIN_VIEWER, admin_get_object, NULL, 0, "One object of a collection" },
	{ "/calls", "GET", ADMIN_VIEWER, admin_get_calls, admin_query_calls, 0, "Live calls" },
	{ "/calls/{id}", "GET", ADMIN_VIEWER, admin_get_call, NULL, 0, "A live call: legs, SDP, timers, media" },
	{ "/calls/{id}", "DELETE", ADMIN_OPERATOR, admin_delete_call, NULL, 0, "End a call on both sides" },
	{ "/cdrs", "GET", ADMIN_VIEWER, admin_get_cdrs, admin_query_list, 0, "Records of ended calls, newest first" },
	{ "/cdrs/{id}", "GET", ADMIN_VIEWER, admin_get_cdr, NULL, 0, "The record of an ended call" },
	{ "/trunks", "GET", ADMIN_VIEWER, admin_get_trunks, admin_query_list, 0, "Trunks and their targets with state" },
	{ "/trunks/{id}", "GET", ADMIN_VIEWER, admin_get_trunk, NULL, 0, "A trunk and its targets" },
	{ "/stats", "GET", ADMIN_VIEWER, admin_get_stats, NULL, 0, "All figures as JSON" },
	{ "/metrics", "GET", ADMIN_VIEWER, admin_get_metrics, NULL, ADMIN_AT_ROOT | ADMIN_METRICS, "All figures as Prometheus text" },
	{ "/drain", "POST", ADMIN_OPERATOR, admin_post_drain, NULL, 0, "Take no new calls" },
	{ "/undrain", "POST", ADMIN_OPERATOR, admin_post_undrain, NULL, 0, "Take new calls again" },
	{ 0 }
};

const struct admin_route *admin_routes(void)
{
	return routes;
}

/** Does the path fit the template? Its {segments} go to param. */
static bool path_fits(const char *template, const char *path, char param[ADMIN_PARAMS][128])
{
	size_t n = 0, len;

	while (*template && *path) {
		if (*template != '{') {
			if (*template++ != *path++)
				return false;
			continue;
		}
		len = strcspn(path, "/");
		if (!len || n == ADMIN_PARAMS || !slice_copy(param[n++], sizeof param[0], (struct slice){ path, len }))
			return false;
		path += len;
		template += strcspn(template, "}") + 1;
	}
	return !*template && !*path;
}

static bool route_fits(const struct admin_route *r, const char *url, char param[ADMIN_PARAMS][128])
{
	static const size_t n = sizeof BASE_PATH - 1;

	if (!strncmp(url, BASE_PATH, n) && path_fits(r->path, url + n, param))
		return true;
	return (r->flags & ADMIN_AT_ROOT) && path_fits(r->path, url, param);
}

static bool method_fits(const struct admin_route *r, const char *method)
{
	return !strcmp(r->method, method) || (!strcmp(method, "HEAD") && !strcmp(r->method, "GET"));
}

/** What is there at this path: the route of this method, and all methods for Allow. True where the path exists. */
static bool route_find(struct admin_request *rq, const char *url, const char *method, struct text *allow)
{
	char param[ADMIN_PARAMS][128];
	bool found = false;

	for (const struct admin_route *r = routes; r->path; r++) {
		if (!route_fits(r, url, param))
			continue;
		found = true;
		text_add(allow, "%s%s", allow->n ? ", " : "", r->method);
		if (!strcmp(r->method, "GET"))
			text_add(allow, ", HEAD");
		if (method_fits(r, method)) {
			rq->route = r;
			memcpy(rq->param, param, sizeof param);
		}
	}
	return found;
}

static bool is_open(const struct admin_request *rq)
{
	const struct admin_route *r = rq->route;

	return r && (r->role == ADMIN_NOBODY || ((r->flags & ADMIN_METRICS) && rq->a->metrics_open));
}

static bool login_check(struct admin_request *rq)
{
	enum admin_auth auth = admin_login(rq);

	if (auth == ADMIN_AUTH_OK || is_open(rq))
		return true;
	if (auth == ADMIN_AUTH_LOCKED) {
		admin_problem(rq, 429, "too many tokens that are none of ours came from your address: try again in a minute");
		admin_reply_header(rq, "Retry-After", "60");
	} else {
		admin_problem(rq, 401, "%s", auth == ADMIN_AUTH_BAD ? "this token is none of ours" : "send Authorization: Bearer TOKEN");
		admin_reply_header(rq, "WWW-Authenticate", auth == ADMIN_AUTH_BAD ? "Bearer realm=\"postern\", error=\"invalid_token\"" : "Bearer realm=\"postern\"");
	}
	return false;
}

void admin_route_request(struct admin_request *rq, const char *url, const char *method)
{
	static const char *const names[] = { "viewer", "operator", "admin" };
	char buf[96];
	struct text allow = text_on(buf, sizeof buf);
	bool found;

	if (!admin_host_check(rq))
		return;
	found = route_find(rq, url, method, &allow);
	if (!login_check(rq))
		return;
	if (!found) {
		admin_problem(rq, 404, "nothing is at this path: the API is below " BASE_PATH);
	} else if (!rq->route) {
		admin_problem(rq, 405, "this path takes %s", buf);
		admin_reply_header(rq, "Allow", buf);
	} else if (rq->role < rq->route->role && !is_open(rq)) {
		admin_problem(rq, 403, "this needs the role %s", names[rq->route->role]);
	} else {
		admin_query_check(rq);
	}
}
