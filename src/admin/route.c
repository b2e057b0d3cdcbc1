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
	{ "/config", "PUT", ADMIN_ADMIN, admin_put_config, admin_query_write, ADMIN_JSON | ADMIN_LARGE, "Replace it" },
	{ "/config/confirm", "POST", ADMIN_ADMIN, admin_post_confirm, NULL, 0, "Keep what would go back by itself" },
	{ "/config/rollback", "POST", ADMIN_ADMIN, admin_post_rollback, NULL, ADMIN_JSON, "Put a former revision in force, as a new one" },
	{ "/config/revisions", "GET", ADMIN_VIEWER, admin_get_revisions, admin_query_list, 0, "Revisions, newest first" },
	{ "/config/revisions/{n}", "GET", ADMIN_VIEWER, admin_get_revision, NULL, 0, "A revision with its document and files" },
	{ "/config/revisions/{n}/diff", "GET", ADMIN_VIEWER, admin_get_diff, admin_query_diff, 0, "What changed, as a JSON Patch" },
	{ "/config/{collection}", "GET", ADMIN_VIEWER, admin_get_collection, admin_query_list, 0, "One collection of it, or the system object" },
	{ "/config/{collection}", "POST", ADMIN_ADMIN, admin_post_object, admin_query_write, ADMIN_JSON | ADMIN_LARGE, "Add an object" },
	{ "/config/{collection}", "PUT", ADMIN_ADMIN, admin_put_single, admin_query_write, ADMIN_JSON | ADMIN_LARGE, "Replace the system object" },
	{ "/config/{collection}", "PATCH", ADMIN_ADMIN, admin_patch_single, admin_query_write, ADMIN_MERGE | ADMIN_LARGE, "Change the system object" },
	{ "/config/{collection}/{id}", "GET", ADMIN_VIEWER, admin_get_object, NULL, 0, "One object of a collection" },
	{ "/config/{collection}/{id}", "PUT", ADMIN_ADMIN, admin_put_object, admin_query_write, ADMIN_JSON | ADMIN_LARGE, "Replace it, or add it" },
	{ "/config/{collection}/{id}", "PATCH", ADMIN_ADMIN, admin_patch_object, admin_query_write, ADMIN_MERGE | ADMIN_LARGE, "Change it" },
	{ "/config/{collection}/{id}", "DELETE", ADMIN_ADMIN, admin_delete_object, admin_query_write, 0, "Take it out; 409 lists who names it" },
	{ "/policies", "GET", ADMIN_VIEWER, admin_get_policies, admin_query_list, 0, "Policies with what their rules and counters have counted" },
	{ "/policies/{id}/shadow", "GET", ADMIN_VIEWER, admin_get_shadow, NULL, 0, "What a policy in shadow would have changed: how often, and the last 20 messages" },
	{ "/policies/{id}/test", "POST", ADMIN_VIEWER, admin_post_trial, NULL, ADMIN_JSON, "Run a policy on a message: rules that fired, before and after, verdict" },
	{ "/policies/{id}", "GET", ADMIN_VIEWER, admin_get_policy, NULL, 0, "Source of a policy" },
	{ "/policies/{id}", "PUT", ADMIN_ADMIN, admin_put_policy, admin_query_write, ADMIN_PLAIN | ADMIN_LARGE, "Replace the source of a policy, or add one" },
	{ "/policies/{id}", "DELETE", ADMIN_ADMIN, admin_delete_policy, admin_query_write, 0, "Take a policy out" },
	{ "/users/{id}/tokens", "GET", ADMIN_ADMIN, admin_get_tokens, admin_query_list, 0, "Tokens of a user, without themselves" },
	{ "/users/{id}/tokens", "POST", ADMIN_ADMIN, admin_post_token, NULL, 0, "Make a token: the answer alone shows it" },
	{ "/users/{id}/tokens/{token_id}", "DELETE", ADMIN_ADMIN, admin_delete_token, NULL, 0, "Take a token back" },
	{ "/audit", "GET", ADMIN_ADMIN, admin_get_audit, admin_query_list, 0, "Every write and login, newest first" },
	{ "/certificates", "GET", ADMIN_VIEWER, admin_get_certificates, admin_query_list, 0, "Certificates of the revision" },
	{ "/certificates/{name}", "GET", ADMIN_VIEWER, admin_get_certificate, NULL, 0, "What a certificate says: subject, names, expiry, fingerprint" },
	{ "/certificates/{name}", "PUT", ADMIN_ADMIN, admin_put_certificate, admin_query_write, ADMIN_JSON | ADMIN_LARGE, "Replace a certificate and its key, or add them" },
	{ "/certificates/{name}", "DELETE", ADMIN_ADMIN, admin_delete_certificate, admin_query_write, 0, "Take a certificate and its key out" },
	{ "/calls", "GET", ADMIN_VIEWER, admin_get_calls, admin_query_calls, 0, "Live calls" },
	{ "/calls/end", "POST", ADMIN_OPERATOR, admin_post_calls_end, NULL, ADMIN_JSON, "End the calls that a filter finds" },
	{ "/calls/{id}", "GET", ADMIN_VIEWER, admin_get_call, NULL, 0, "A live call: legs, SDP, timers, media" },
	{ "/calls/{id}/decisions", "GET", ADMIN_VIEWER, admin_get_decisions, NULL, 0, "Why it went as it went: trunk, route, targets tried, policies, mid-call requests" },
	{ "/calls/{id}/messages", "GET", ADMIN_VIEWER, admin_get_messages, admin_query_messages, 0, "Its SIP messages that the ring still holds, of both legs, in order" },
	{ "/calls/{id}", "DELETE", ADMIN_OPERATOR, admin_delete_call, NULL, 0, "End a call on both sides" },
	{ "/cdrs", "GET", ADMIN_VIEWER, admin_get_cdrs, admin_query_cdrs, 0, "Records of ended calls, newest first; with a filter a page may hold less than asked for while `next` goes on" },
	{ "/cdrs/{id}", "GET", ADMIN_VIEWER, admin_get_cdr, NULL, 0, "The record of an ended call" },
	{ "/cdrs/{id}/decisions", "GET", ADMIN_VIEWER, admin_get_cdr_decisions, NULL, 0, "Why it went as it went" },
	{ "/cdrs/{id}/messages", "GET", ADMIN_VIEWER, admin_get_cdr_messages, admin_query_messages, 0, "Its SIP messages that the ring still holds" },
	{ "/trunks", "GET", ADMIN_VIEWER, admin_get_trunks, admin_query_list, 0, "Trunks and their targets with state" },
	{ "/trunks/{id}", "GET", ADMIN_VIEWER, admin_get_trunk, NULL, 0, "A trunk and its targets" },
	{ "/trunks/{id}/probe", "POST", ADMIN_OPERATOR, admin_post_trunk_probe, NULL, 0, "Probe its targets now" },
	{ "/trunks/{id}/drain", "POST", ADMIN_OPERATOR, admin_post_trunk_drain, NULL, 0, "No new calls go there" },
	{ "/trunks/{id}/undrain", "POST", ADMIN_OPERATOR, admin_post_trunk_undrain, NULL, 0, "New calls go there again" },
	{ "/trunk-groups", "GET", ADMIN_VIEWER, admin_get_groups, admin_query_list, 0, "Trunk groups with the states of their members" },
	{ "/routes/preview", "POST", ADMIN_VIEWER, admin_post_preview, NULL, ADMIN_JSON, "Which way would a call go" },
	{ "/openapi.json", "GET", ADMIN_VIEWER, admin_get_openapi, NULL, 0, "This description" },
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
	char param[ADMIN_PARAMS][128] = { "" };
	const char *path = NULL; /* the first that fits counts: a word goes before a {segment} */

	for (const struct admin_route *r = routes; r->path; r++) {
		if ((path && strcmp(path, r->path)) || !route_fits(r, url, param))
			continue;
		path = r->path;
		text_add(allow, "%s%s", allow->n ? ", " : "", r->method);
		if (!strcmp(r->method, "GET"))
			text_add(allow, ", HEAD");
		if (method_fits(r, method)) {
			rq->route = r;
			memcpy(rq->param, param, sizeof param);
		}
	}
	return path != NULL;
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
	if (auth == ADMIN_AUTH_NET) {
		admin_problem(rq, 403, "the user %s may not come from your address", rq->user);
	} else if (auth == ADMIN_AUTH_LOCKED) {
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

	if (!admin_client_check(rq) || !admin_host_check(rq))
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
