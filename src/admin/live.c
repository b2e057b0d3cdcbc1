/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handlers of what lives: health, calls, CDRs, trunks, figures, drain.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin/admin.h"
#include "postern/call.h"
#include "postern/store.h"

static size_t processes(const struct admin *a, const char **ret_status, struct ctl_process *ret)
{
	const struct admin_process *p = NULL;
	size_t n = 0, i;

	*ret_status = "ok";
	if (a->p.health)
		a->p.health(a->p.arg, ret_status, &p, &n);
	for (i = 0; i < n && i < ADMIN_PROCESSES; i++)
		ret[i] = (struct ctl_process){ p[i].role, p[i].pid, p[i].restarts, p[i].since_ms };
	return i;
}

struct ctl_maps admin_maps(const struct admin *a, struct ctl_process *process)
{
	struct ctl_maps m = { .calls = a->p.calls, .streams = a->p.streams, .admin = a->p.admin_mem, .process = process };
	const char *status;

	if (process)
		m.nprocess = processes(a, &status, process);
	return m;
}

void admin_get_health(struct admin_request *rq)
{
	struct ctl_process p[ADMIN_PROCESSES];
	const char *status;
	size_t n = processes(rq->a, &status, p);
	/* nothing takes calls before all roles have come up once: that is told as 503, in the words of the contract */
	bool starting = !strcmp(status, "starting"), takes = !strcmp(status, "ok") || !strcmp(status, "degraded");
	json_t *o = json_pack("{s:s}", "status", starting ? "degraded" : status), *list;
	char since[32];

	if (rq->role >= ADMIN_VIEWER) {
		list = json_array();
		for (size_t i = 0; i < n; i++)
			json_array_append_new(list, json_pack("{s:s, s:i, s:i, s:s}", "role", p[i].role, "pid", p[i].pid, "restarts", (int)p[i].restarts,
				"since", base_time_rfc3339(p[i].since_ms, since)));
		json_object_set_new(o, "processes", list);
	}
	admin_reply_json(rq, takes ? 200 : 503, o);
}

/* ---- calls ---- */
bool admin_state_check(struct admin_request *rq, const char *state, unsigned status)
{
	if (!state)
		return true;
	for (unsigned i = 0; i < CALL_STATES; i++)
		if (!strcmp(state, call_state_name(i)))
			return true;
	admin_problem(rq, status, "state=%.32s is none of setup, early, answered, up, ending", state);
	return false;
}

void admin_get_calls(struct admin_request *rq)
{
	struct ctl_maps m = admin_maps(rq->a, NULL);
	struct ctl_call_filter f = { .number = admin_query(rq, "number"), .trunk = admin_query(rq, "trunk"), .state = admin_query(rq, "state") };
	const char *after;
	unsigned limit;
	uint64_t age;

	if (!admin_query_page(rq, &limit, &after) || !admin_state_check(rq, f.state, 400) || !admin_query_number(rq, "age", UINT32_MAX, &age))
		return;
	f.min_age_s = (int64_t)age;
	admin_records_drain(rq->a);
	admin_reply_json(rq, 200, ctl_render_calls(&m, &f, after, limit));
}

void admin_get_call(struct admin_request *rq)
{
	struct ctl_maps m = admin_maps(rq->a, NULL);
	json_t *call = ctl_render_call(&m, rq->param[0]);

	if (call)
		admin_reply_json(rq, 200, call);
	else
		admin_problem(rq, 404, "no live call has this id: ended ones are in /cdrs");
}

void admin_delete_call(struct admin_request *rq)
{
	struct ctl_maps m = admin_maps(rq->a, NULL);

	if (!ctl_has_call(&m, rq->param[0])) {
		admin_problem(rq, 404, "no live call has this id");
		return;
	}
	base_log(BASE_INFO, "admin", "a call is ended by the API call=%s", rq->param[0]);
	admin_engine_ask(rq, CTL_CALL_END, json_pack("{s:s, s:s}", "id", rq->param[0], "why", "api"));
}

/* ---- trunks, figures ---- */
void admin_get_trunks(struct admin_request *rq)
{
	struct ctl_maps m = admin_maps(rq->a, NULL);
	const char *after;
	unsigned limit;

	if (admin_query_page(rq, &limit, &after))
		admin_reply_json(rq, 200, ctl_render_trunks(&m, after, limit));
}

void admin_get_trunk(struct admin_request *rq)
{
	struct ctl_maps m = admin_maps(rq->a, NULL);
	json_t *trunk = ctl_render_trunk(&m, rq->param[0]);

	if (trunk)
		admin_reply_json(rq, 200, trunk);
	else
		admin_problem(rq, 404, "no trunk has this id");
}

void admin_get_stats(struct admin_request *rq)
{
	struct ctl_process p[ADMIN_PROCESSES];
	struct ctl_maps m = admin_maps(rq->a, p);

	admin_reply_json(rq, 200, ctl_render_stats(&m));
}

void admin_get_metrics(struct admin_request *rq)
{
	struct ctl_process p[ADMIN_PROCESSES];
	struct ctl_maps m = admin_maps(rq->a, p);

	admin_reply_text(rq, 200, "text/plain; version=0.0.4; charset=utf-8", ctl_render_metrics(&m));
}

void admin_post_drain(struct admin_request *rq)
{
	base_log(BASE_INFO, "admin", "the API asks for a drain");
	admin_engine_ask(rq, CTL_DRAIN, json_object());
}

static void trunk_ask(struct admin_request *rq, enum ctl_command_id id)
{
	base_log(BASE_INFO, "admin", "the API asks for %s trunk=%.64s", ctl_command_row(id)->name, rq->param[0]);
	admin_engine_ask(rq, id, json_pack("{s:s}", "id", rq->param[0]));
}

void admin_post_trunk_probe(struct admin_request *rq) { trunk_ask(rq, CTL_TRUNK_PROBE); }
void admin_post_trunk_drain(struct admin_request *rq) { trunk_ask(rq, CTL_TRUNK_DRAIN); }
void admin_post_trunk_undrain(struct admin_request *rq) { trunk_ask(rq, CTL_TRUNK_UNDRAIN); }

void admin_post_undrain(struct admin_request *rq)
{
	base_log(BASE_INFO, "admin", "the API takes the drain back");
	admin_engine_ask(rq, CTL_UNDRAIN, json_object());
}
