/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands to the engine. The request waits, suspended, for its reply; other requests go on. Ids begin anywhere, so that replies to an admin
 * that died are nobody's here.
 */
#include <stdlib.h>

#include "admin/admin.h"

#define PORTION 500                   /* ids of one message */
#define REQUEST_BYTES 60000

static void release(struct admin_pending *p)
{
	loop_timer_stop(&p->timer);
	p->rq = NULL;
	p->id = 0;
}

static struct admin_pending *pending_free(struct admin *a)
{
	for (size_t i = 0; i < ADMIN_PENDING; i++)
		if (!a->pending[i].rq)
			return &a->pending[i];
	return NULL;
}

static void late(void *arg)
{
	struct admin_pending *p = arg;
	struct admin_request *rq = p->rq;

	release(p);
	admin_problem(rq, 504, "the engine did not answer within %d ms: look at the outcome before asking again", ADMIN_REPLY_MS);
	admin_http_resume(rq);
}

static int send_command(struct admin *a, uint32_t id, enum ctl_command_id command, json_t *args)
{
	char *text = json_dumps(args, JSON_COMPACT);
	static uint8_t buf[REQUEST_BYTES]; /* one thread */
	size_t n;
	int err = text ? ctl_request_print(command, slice_str(text), buf, sizeof buf, &n) : ERR_PROTO;

	free(text);
	return err ? err : loop_chan_send(a->engine, CTL_MSG_REQUEST, id, (struct slice){ (const char *)buf, n }, NULL, 0);
}

void admin_engine_ask(struct admin_request *rq, enum ctl_command_id command, json_t *args)
{
	struct admin *a = rq->a;
	struct admin_pending *p = pending_free(a);
	int err;

	if (!p || !a->engine) {
		admin_problem(rq, 503, p ? "the engine is not connected" : "too many requests wait for the engine");
	} else {
		if (!++a->next_id)
			a->next_id = 1;
		err = send_command(a, a->next_id, command, args);
		if (err) {
			admin_problem(rq, 503, "the command cannot be sent to the engine: %s", base_strerror(err));
		} else {
			p->rq = rq;
			p->id = a->next_id;
			rq->waiting = true;
			loop_timer_start(a->p.loop, &p->timer, ADMIN_REPLY_MS, late, p);
		}
	}
	json_decref(args);
}

bool admin_engine_end(struct admin *a, json_t *ids)
{
	json_t *portion, *args;
	int err = a->engine ? 0 : ERR_GONE;

	for (size_t i = 0; !err && i < json_array_size(ids); i += PORTION) {
		portion = json_array();
		for (size_t k = i; k < i + PORTION && k < json_array_size(ids); k++)
			json_array_append(portion, json_array_get(ids, k));
		args = json_pack("{s:o, s:s}", "ids", portion, "why", "api");
		err = send_command(a, 0, CTL_CALL_END, args);
		json_decref(args);
	}
	return !err;
}

static void reply(struct admin_request *rq, int status, struct slice json)
{
	json_t *v;

	if (status == ERR_NOTFOUND) {
		admin_problem(rq, 404, "there is no such thing, or no longer");
	} else if (status) {
		admin_problem(rq, 500, "the engine refused: %s %.*s", base_strerror(status), (int)(json.n < 256 ? json.n : 256), json.p ? json.p : "");
	} else {
		v = slice_empty(json) ? NULL : json_loadb(json.p, json.n, 0, NULL);
		if (v && json_object_size(v))
			admin_reply_json(rq, 200, json_incref(v));
		else
			admin_reply_empty(rq, 204);
		json_decref(v);
	}
}

void admin_engine_message(void *arg, struct loop_msg *m)
{
	struct admin *a = arg;
	struct slice json;
	int status;

	if (!m) {
		base_log(BASE_ERROR, "admin", "the channel to the engine is gone");
		loop_chan_close(a->engine);
		a->engine = NULL;
		admin_engine_cancel(a);
		return;
	}
	if (m->type != CTL_MSG_REPLY || ctl_reply_parse(m->body, &status, &json)) {
		base_count(COUNTER_IPC_BAD);
		return;
	}
	for (size_t i = 0; m->id && i < ADMIN_PENDING; i++) {
		struct admin_request *rq = a->pending[i].rq;

		if (!rq || a->pending[i].id != m->id)
			continue;
		release(&a->pending[i]);
		reply(rq, status, json);
		admin_http_resume(rq);
		return;
	}
}

void admin_engine_cancel(struct admin *a)
{
	for (size_t i = 0; i < ADMIN_PENDING; i++) {
		struct admin_request *rq = a->pending[i].rq;

		if (!rq)
			continue;
		release(&a->pending[i]);
		admin_problem(rq, 503, "the engine is not connected any more");
		admin_http_resume(rq);
	}
}

void admin_engine_forget(struct admin_request *rq)
{
	for (size_t i = 0; i < ADMIN_PENDING; i++)
		if (rq->a->pending[i].rq == rq)
			release(&rq->a->pending[i]);
}
