/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log: every write and every login. With bearer tokens every request brings its credentials, so a login is the first request of a token from
 * an address (IPv6: its /64), or its first after LOGIN_IDLE_MS without one: who reads a thousand times a second is one line. Of logins that fail each
 * is a line, up to what shuts their address out (admin/login). Both kinds are bounded per minute beyond that: what is left out is counted, and told by a
 * line of its own.
 */
#include <stdio.h>

#include "admin/admin.h"
#include "postern/store.h"

#define LOGIN_IDLE_MS   900000
#define MINUTE_MS       60000
#define FAILED_A_MINUTE 120           /* lines of failed logins from all addresses */
#define LOGINS_A_MINUTE 600           /* of logins: more than ADMIN_SESSIONS tokens and addresses in turn */

static void line_add(struct admin *a, const struct store_audit *e)
{
	if (a->p.store && store_audit_add(a->p.store, e))
		base_count(COUNTER_STORE_FAILED);
}

/** What did not become a line in the minute that is over. */
static void left_out_tell(struct admin *a, struct admin_minute *m, const char *what, int status, struct mono now)
{
	char text[64];

	if (m->since.us && mono_ms_since(now, m->since) < MINUTE_MS)
		return;
	if (m->left_out) {
		snprintf(text, sizeof text, "%u more %s", m->left_out, what);
		line_add(a, &(struct store_audit){ .time_ms = base_wall_ms(), .user = "", .address = "", .action = "LOGIN", .detail = text, .status = status });
	}
	*m = (struct admin_minute){ .since = now };
}

static void minutes_over(struct admin *a, struct mono now)
{
	left_out_tell(a, &a->logins_failed, "failed logins", 401, now);
	left_out_tell(a, &a->logins_good, "logins", 200, now);
}

static bool has_room(struct admin_minute *m, unsigned most)
{
	if (m->lines >= most) {
		m->left_out++;
		return false;
	}
	m->lines++;
	return true;
}

bool admin_session_begins(struct admin *a, const uint8_t who[static ADMIN_WHO], struct mono now)
{
	struct admin_session *oldest = &a->session[0];

	for (size_t i = 0; i < ADMIN_SESSIONS; i++) {
		struct admin_session *s = &a->session[i];

		if (s->used.us && !memcmp(s->who, who, ADMIN_WHO)) {
			bool idle = mono_ms_since(now, s->used) >= LOGIN_IDLE_MS;

			s->used = now;
			return idle;
		}
		if (s->used.us < oldest->used.us)
			oldest = s;
	}
	memcpy(oldest->who, who, ADMIN_WHO);
	oldest->used = now;
	return true;
}

void admin_audit(const struct admin_request *rq, struct mono now)
{
	bool write = strcmp(rq->method, "GET") && strcmp(rq->method, "HEAD") && strcmp(rq->method, "OPTIONS");
	struct store_audit e = { .time_ms = base_wall_ms(), .user = rq->user, .address = rq->address, .action = "LOGIN", .detail = rq->path, .status = (int)rq->status };

	minutes_over(rq->a, now);
	if (rq->login == ADMIN_LOGIN_FIRST && has_room(&rq->a->logins_good, LOGINS_A_MINUTE))
		line_add(rq->a, &e);
	if (rq->login == ADMIN_LOGIN_FAILED ? !has_room(&rq->a->logins_failed, FAILED_A_MINUTE) : !rq->user[0] || !write)
		return;
	e.action = rq->method;
	base_log_limited(BASE_INFO, 20, "audit", "user=%s address=%s method=%s path=%.128s status=%u", rq->user[0] ? rq->user : "-", rq->address, rq->method, rq->path,
		rq->status);
	line_add(rq->a, &e);
}

/* ---- reading it ---- */
struct list { json_t *items; unsigned limit; uint64_t last; bool more; };

static bool audit_add(void *arg, const struct store_audit *e)
{
	struct list *l = arg;
	char time[32];

	l->more = json_array_size(l->items) == l->limit;
	if (l->more)
		return false;
	json_array_append_new(l->items, json_pack("{s:o, s:s, s:s, s:s, s:s, s:i}", "time", json_string(base_time_rfc3339(e->time_ms, time)), "user", e->user, "address", e->address, "method",
		e->action, "path", e->detail, "status", e->status));
	l->last = e->seq;
	return true;
}

void admin_get_audit(struct admin_request *rq)
{
	struct list l = { 0 };
	const char *after;
	uint64_t before;
	int err;

	if (!admin_query_page(rq, &l.limit, &after) || !admin_query_number(rq, "after", INT64_MAX, &before))
		return;
	minutes_over(rq->a, base_mono_now());
	l.items = json_array();
	err = store_audit_each(rq->a->p.store, before, l.limit + 1, audit_add, &l);
	if (err) {
		json_decref(l.items);
		admin_problem(rq, 500, "the database cannot be read: %s", base_strerror(err));
		return;
	}
	admin_reply_json(rq, 200, json_pack("{s:o, s:o}", "items", l.items, "next", l.more ? json_sprintf("%llu", (unsigned long long)l.last) : json_null()));
}
