/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policies at work: what their rules counted, what those in shadow would have done, and a trial on a message that is given. The trial runs here,
 * on the text in force; the engine does not know of it.
 */
#include <errno.h>
#include <stdlib.h>

#include "admin/admin.h"
#include "postern/peer.h"
#include "postern/rule.h"
#include "postern/store.h"

static const struct rule_policy_conf *policy_of(struct admin_request *rq)
{
	const struct rule_policy_conf *c = rq->a->doc ? conf_find(rq->a->doc, &rule_schema_policies, rq->param[0]) : NULL;

	if (!c)
		admin_problem(rq, 404, "there is no policy \"%.64s\"", rq->param[0]);
	return c;
}

/* ---- the list ---- */
struct policies { struct ctl_maps maps; const void *const *conf; size_t n; };

/** Those of the configuration, and the built-in one. */
static json_t *item(void *arg, size_t at)
{
	const struct policies *p = arg;
	const struct rule_policy_conf *c = at < p->n ? p->conf[at] : NULL;
	const char *id = c ? c->id : RULE_BUILTIN_ID;
	json_t *o = json_pack("{s:s, s:s, s:b}", "id", id, "file", c ? c->file : "builtin.policy", "shadow", c && c->shadow);

	json_object_update_new(o, ctl_render_policy(&p->maps, id));
	return o;
}

void admin_get_policies(struct admin_request *rq)
{
	struct policies p = { .maps = admin_maps(rq->a, NULL) };

	p.conf = rq->a->doc ? conf_objects(rq->a->doc, &rule_schema_policies, &p.n) : NULL;
	admin_reply_list(rq, p.n + 1, item, &p);
}

void admin_get_shadow(struct admin_request *rq)
{
	struct ctl_maps m = admin_maps(rq->a, NULL);

	if (policy_of(rq))
		admin_reply_json(rq, 200, ctl_render_shadow(&m, rq->param[0]));
}

/* ---- a trial ---- */
struct trial {
	const char *message, *direction, *trunk, *realm, *source, *transport;
	struct rule_at at;
	union base_addr src;
	json_t *rules;
};

static bool bad(struct admin_request *rq, const char *pointer, const char *message)
{
	admin_problem_errors(rq, 422, "send {\"message\": SIP message, \"direction\": \"receive\" or \"send\", \"trunk\": id}",
		json_pack("[{s:s, s:s}]", "pointer", pointer, "message", message), NULL);
	return false;
}

/** Members of the body, all of them texts. */
static bool members_take(struct admin_request *rq, struct trial *t)
{
	const struct { const char *key; const char **to; } rows[] = {
		{ "message", &t->message }, { "direction", &t->direction }, { "trunk", &t->trunk }, { "realm", &t->realm }, { "source", &t->source }, { "transport", &t->transport },
	};
	const char *key;
	json_t *v;
	size_t i;

	json_object_foreach(rq->json, key, v) {
		char pointer[80] = "/";

		slice_copy(pointer + 1, sizeof pointer - 1, slice_str(key));
		for (i = 0; i < ARRAY_LEN(rows) && strcmp(rows[i].key, key); i++)
			;
		if (i == ARRAY_LEN(rows))
			return bad(rq, pointer, "is none of message, direction, trunk, realm, source, transport");
		if (!json_is_string(v) && !json_is_null(v))
			return bad(rq, pointer, "must be text");
		*rows[i].to = json_string_value(v);
	}
	return t->message || bad(rq, "/message", "is missing");
}

/** receive and send, or in and out, as call.direction says them. */
static bool hook_take(struct admin_request *rq, struct trial *t)
{
	const char *d = t->direction ? t->direction : "send";

	t->at.hook = !strcmp(d, "send") || !strcmp(d, "out") ? RULE_SEND : RULE_RECEIVE;
	if (t->at.hook == RULE_SEND || !strcmp(d, "receive") || !strcmp(d, "in"))
		return true;
	return bad(rq, "/direction", "must be \"receive\" or \"send\"");
}

static bool place_take(struct admin_request *rq, struct trial *t, struct rule_text_msg *m)
{
	const struct peer_trunk_conf *trunk = t->trunk ? conf_find(rq->a->doc, &peer_schema_trunks, t->trunk) : NULL;
	bool send;

	if (!hook_take(rq, t))
		return false;
	if (t->trunk && !trunk)
		return bad(rq, "/trunk", "is no trunk");
	if (t->source && base_addr_parse(slice_str(t->source), 5060, &t->src))
		return bad(rq, "/source", "must be an IP address");
	send = t->at.hook == RULE_SEND;
	t->at.dialog = rule_text_dialog(m);
	t->at.trunk = slice_str(t->trunk ? t->trunk : "");
	t->at.realm = slice_str(t->realm ? t->realm : trunk ? trunk->realm : "");
	t->at.src = t->source ? &t->src : NULL;
	t->at.transport = slice_str(t->transport ? t->transport : "udp");
	t->at.out = send == rule_text_is_request(m);
	t->at.now_ms = base_wall_ms();
	if (send) {
		t->at.dst_trunk = t->at.trunk;
		t->at.dst_realm = t->at.realm;
	} else {
		t->at.src_trunk = t->at.trunk;
		t->at.src_realm = t->at.realm;
	}
	return true;
}

static void fired(void *arg, const struct rule_info *r)
{
	struct trial *t = arg;

	json_array_append_new(t->rules, json_pack("{s:s, s:s, s:i, s:i, s:s}", "policy", r->policy, "file", r->file, "line", (int)r->line, "rule", (int)r->index + 1, "text", r->text));
}

static json_t *text_json(const char *s)
{
	return ctl_render_text(slice_str(s));
}

static json_t *verdict_json(const struct rule_result *r)
{
	static const char *const names[] = { "pass", "drop", "reject", "redirect", "route" };

	return json_pack("{s:s, s:o, s:o}", "action", names[r->verdict], "status", r->verdict == RULE_REJECT ? json_integer(r->status) : json_null(),
		"text", r->text[0] ? text_json(r->text) : json_null());
}

static json_t *run(struct trial *t, struct rule_set *s, struct rule_text_msg *m)
{
	const struct rule_watch watch = { .fired = fired, .arg = t };
	char *before = rule_text_print(m), *after = NULL, *diff = NULL;
	struct rule_chain *c = NULL;
	struct rule_result r;
	json_t *o = NULL;

	t->rules = json_array();
	if (before && !rule_chain_new(&s, 1, NULL, &c)) {
		rule_chain_run(c, &t->at, &rule_text_ops, m, &watch, &r);
		after = rule_text_print(m);
		diff = after ? rule_text_diff(before, after) : NULL;
	}
	if (diff)
		o = json_pack("{s:O, s:o, s:o, s:o, s:o, s:o, s:i, s:i}", "rules", t->rules, "before", text_json(before), "after", text_json(after), "diff", text_json(diff),
			"notes", text_json(rule_text_notes(m)), "verdict", verdict_json(&r), "skipped", (int)r.skipped, "limits", (int)r.limits);
	json_decref(t->rules);
	base_unref(c);
	free(before);
	free(after);
	free(diff);
	return o;
}

/* ---- the text in force ---- */
static const struct store_file *file_of(const struct store_revision_full *r, struct slice name)
{
	for (size_t i = 0; i < r->nfiles; i++)
		if (!strcmp(r->files[i].kind, "policy") && slice_eq(slice_str(r->files[i].name), name))
			return &r->files[i];
	return NULL;
}

static int include(void *arg, const char *from, struct slice name, struct slice *ret_text, struct slice *ret_name)
{
	const struct store_file *f = file_of(arg, name);

	(void)from;
	if (!f)
		return ERR_NOTFOUND;
	*ret_text = f->bytes;
	*ret_name = slice_str(f->name);
	return 0;
}

static int set_load(struct admin_request *rq, const char *file, struct rule_set **ret)
{
	struct store_revision_full *r = NULL;
	struct rule_errors *errs = rule_errors_new();
	int err = errs ? store_revision_get(rq->a->p.store, rq->a->revision, &r) : -ENOMEM;
	const struct store_file *f = err ? NULL : file_of(r, slice_str(file));
	struct rule_load how = { .file = file, .include = include, .arg = r };

	if (!err)
		err = f ? rule_set_load(f->bytes, &how, errs, ret) : ERR_NOTFOUND;
	base_unref(errs);
	store_revision_free(r);
	return err;
}

void admin_post_trial(struct admin_request *rq)
{
	const struct rule_policy_conf *c = policy_of(rq);
	struct trial t = { 0 };
	struct rule_text_msg *m = NULL;
	struct rule_set *s = NULL;
	json_t *o = NULL;
	int err;

	if (!c || !members_take(rq, &t))
		return;
	if (rule_text_parse(slice_str(t.message), &m)) {
		bad(rq, "/message", "is no SIP message");
		return;
	}
	if (place_take(rq, &t, m)) {
		err = set_load(rq, c->file, &s);
		if (!err)
			o = run(&t, s, m);
		if (o)
			admin_reply_json(rq, 200, o);
		else
			admin_problem(rq, 500, "the policy cannot be tried: %s", base_strerror(err ? err : -ENOMEM));
	}
	base_unref(s);
	rule_text_free(m);
}
