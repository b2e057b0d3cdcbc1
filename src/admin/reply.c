/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers: JSON, text, and problems (RFC 9457). An answer is kept on the request; http.c hands it to libmicrohttpd when it may be sent.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin/admin.h"

static const struct { unsigned status; const char *title; } titles[] = {
	{ 400, "Bad Request" }, { 401, "Unauthorized" }, { 403, "Forbidden" }, { 404, "Not Found" }, { 405, "Method Not Allowed" }, { 409, "Conflict" }, { 412, "Precondition Failed" }, { 413, "Content Too Large" },
	{ 415, "Unsupported Media Type" }, { 421, "Misdirected Request" }, { 422, "Unprocessable Content" }, { 429, "Too Many Requests" }, { 500, "Internal Server Error" },
	{ 503, "Service Unavailable" }, { 504, "Gateway Timeout" }, { 507, "Insufficient Storage" },
};

static const char *title_of(unsigned status)
{
	for (size_t i = 0; i < ARRAY_LEN(titles); i++)
		if (titles[i].status == status)
			return titles[i].title;
	return "Error";
}

/** The last resort: a fixed text that needs no memory of ours. */
static struct MHD_Response *response_short_of_memory(void)
{
	static char text[] = "{\"title\":\"Internal Server Error\",\"status\":500}";

	return MHD_create_response_from_buffer(sizeof text - 1, text, MHD_RESPMEM_PERSISTENT);
}

static void set(struct admin_request *rq, unsigned status, const char *type, char *text, size_t n)
{
	struct MHD_Response *r = text ? MHD_create_response_from_buffer(n, text, MHD_RESPMEM_MUST_FREE) : NULL;

	if (!r) {
		free(text);
		r = response_short_of_memory();
		status = 500;
		type = "application/problem+json";
	}
	if (rq->response)
		MHD_destroy_response(rq->response);
	rq->response = r;
	rq->status = status;
	if (type)
		admin_reply_header(rq, "Content-Type", type);
	admin_reply_header(rq, "Cache-Control", "no-store");
	admin_reply_header(rq, "X-Content-Type-Options", "nosniff");
}

void admin_reply_header(struct admin_request *rq, const char *name, const char *value)
{
	if (rq->response)
		MHD_add_response_header(rq->response, name, value);
}

static void set_json(struct admin_request *rq, unsigned status, const char *type, json_t *v)
{
	char *text = v ? json_dumps(v, JSON_COMPACT) : NULL;

	json_decref(v);
	set(rq, status, type, text, text ? strlen(text) : 0);
}

void admin_reply_json(struct admin_request *rq, unsigned status, json_t *v)
{
	set_json(rq, status, "application/json", v);
}

void admin_reply_text(struct admin_request *rq, unsigned status, const char *type, char *text)
{
	set(rq, status, type, text, text ? strlen(text) : 0);
}

void admin_reply_bytes(struct admin_request *rq, unsigned status, const char *type, char *bytes, size_t n)
{
	set(rq, status, type, bytes, n);
}

bool admin_reply_list(struct admin_request *rq, size_t n, json_t *(*make)(void *arg, size_t at), void *arg)
{
	const char *after;
	json_t *items;
	unsigned limit;
	uint64_t at;

	if (!admin_query_page(rq, &limit, &after) || !admin_query_number(rq, "after", INT32_MAX, &at))
		return false;
	items = json_array();
	for (; at < n && json_array_size(items) < limit; at++)
		json_array_append_new(items, make(arg, (size_t)at));
	admin_reply_json(rq, 200, json_pack("{s:o, s:o}", "items", items, "next", at < n ? json_sprintf("%llu", (unsigned long long)at) : json_null()));
	return true;
}

static json_t *nth(void *arg, size_t at)
{
	return json_incref(json_array_get(arg, at));
}

bool admin_reply_array(struct admin_request *rq, json_t *all)
{
	return admin_reply_list(rq, json_array_size(all), nth, all);
}

void admin_reply_empty(struct admin_request *rq, unsigned status)
{
	set(rq, status, NULL, calloc(1, 1), 0);
}

void admin_problem(struct admin_request *rq, unsigned status, const char *fmt, ...)
{
	char detail[512];
	json_t *text;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof detail, fmt, ap);
	va_end(ap);
	text = json_string(detail);
	if (!text)
		text = json_string("part of the request is no UTF-8");
	set_json(rq, status, "application/problem+json", json_pack("{s:s, s:s, s:i, s:o}", "type", "about:blank", "title", title_of(status), "status", (int)status, "detail", text));
}

void admin_problem_errors(struct admin_request *rq, unsigned status, const char *detail, json_t *errors, json_t *more)
{
	json_t *o = json_pack("{s:s, s:s, s:i, s:s, s:o}", "type", "about:blank", "title", title_of(status), "status", (int)status, "detail", detail, "errors", errors);

	if (o && more)
		json_object_update(o, more);
	json_decref(more);
	set_json(rq, status, "application/problem+json", o);
}
