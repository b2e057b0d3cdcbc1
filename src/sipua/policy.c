/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policies on live messages (design.md section 9): a chain of rules sees a copy of what was received, and last what is sent. Here are the hooks, and
 * what of their edits the dialog itself must know: methods that they took from Allow, the session timer, the version of the description
 * (RFC 3264 section 8), From and To of the request that makes the dialog. Which chain a message passes is the user's to say.
 */
#include "sipua/police.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- the object ---- */

static void policy_destroy(void *obj)
{
	struct sipua_policy *p = obj;

	base_unref(p->chain);
	free(p->trunk);
	free(p->realm);
}

int sipua_policy_new(const char *trunk, struct sipua_policy **ret)
{
	struct sipua_policy *p = base_new(sizeof(*p), policy_destroy);

	if (!p)
		return -ENOMEM;
	p->trunk = base_dup(slice_str(trunk));
	if (!p->trunk) {
		base_unref(p);
		return -ENOMEM;
	}
	*ret = p;
	return 0;
}

void sipua_policy_set(struct sipua_policy *p, const char *realm, struct rule_chain *chain)
{
	struct rule_chain *old = p->chain;
	char *name = base_dup(slice_str(realm));

	p->chain = chain ? base_ref(chain) : NULL;
	p->rates = chain && rule_chain_rates(chain);
	base_unref(old);
	if (name) {
		free(p->realm);
		p->realm = name;
	}
}

/* ---- running ---- */

/* one message at one hook */
struct hook {
	struct sipua_policy *policy;
	struct sipua_dialog *d;    /* that it belongs to; NULL: none yet */
	struct rule_at at;
	struct rule_result res;
	struct sipua_pass pass;
};

static enum rule_dialog dialog_of(const sip_t *request)
{
	sip_method_t m = request->sip_request ? request->sip_request->rq_method : sip_method_unknown;

	if (request->sip_to && request->sip_to->a_tag)
		return RULE_MID;
	return m == sip_method_invite || m == sip_method_subscribe || m == sip_method_refer ? RULE_INITIAL : RULE_OUTSIDE;
}

static bool is_request(const struct hook *h) { return h->pass.sip->sip_request != NULL; }

static void on_fired(void *arg, const struct rule_info *r)
{
	struct hook *h = arg;
	struct sipua_notes **notes = h->pass.notes;

	if (!*notes)
		*notes = sipua_notes_new();
	if (*notes)
		sipua_notes_fired(*notes, &(struct sipua_note){ .name = slice_str(r->policy), .send = h->at.hook == RULE_SEND, .out = h->at.out,
			.request = is_request(h), .line = r->line, .count = 1, .first_ms = h->at.now_ms, .last_ms = h->at.now_ms });
}

static void verdict_print(const struct rule_result *r, char *buf, size_t size)
{
	static const char *const names[] = { "", "drop", "reject", "redirect", "route" };
	struct text t = text_on(buf, size);

	text_add(&t, "%s", names[r->verdict]);
	if (r->verdict == RULE_REJECT)
		text_add(&t, " %d", r->status);
	if (r->verdict != RULE_PASS && r->text[0])
		text_add(&t, " %s", r->text);
}

/* one policy in shadow: its first edit makes a copy of what goes on */
static void run_shadow(struct hook *h, size_t i)
{
	static char before[RULE_SHADOW_TEXT], after[RULE_SHADOW_TEXT];
	struct text was = text_on(before, sizeof(before)), now = text_on(after, sizeof(after));
	struct sipua_pass copy = h->pass;
	struct rule_result res;
	struct rule_set *set;
	char verdict[64];

	copy.shared = true;
	copy.parse = false;
	set = rule_chain_shadow(h->policy->chain, i, &h->at, &sipua_pass_ops, &copy, NULL, &res);
	if (set && (res.edits || res.verdict)) {
		base_count(COUNTER_RULE_SHADOW);
		sipua_pass_print(&h->pass, &was);
		sipua_pass_print(&copy, &now);
		verdict_print(&res, verdict, sizeof(verdict));
		rule_board_shadow(set, h->at.now_ms, text_get(&was), text_get(&now), verdict);
	}
	if (!copy.shared)
		msg_destroy(copy.msg);
}

/* shadows see what the others left, where that goes on */
static void run(struct hook *h)
{
	const struct rule_watch watch = { on_fired, h };
	const struct sipua_policy *p = h->policy;
	size_t shadows;

	if (!p || !p->chain)
		return; /* of a trunk that is gone: what the dialog itself knows still holds */
	h->at.now_ms = base_wall_ms();
	h->at.trunk = slice_str(p->trunk);
	h->at.realm = slice_str(p->realm);
	if (h->at.hook == RULE_RECEIVE) {
		h->at.src_trunk = h->at.trunk;
		h->at.src_realm = h->at.realm;
	} else {
		h->at.dst_trunk = h->at.trunk;
		h->at.dst_realm = h->at.realm;
		h->at.src_trunk = slice_str(h->d && h->d->other ? h->d->other->trunk : NULL);
		h->at.src_realm = slice_str(h->d && h->d->other ? h->d->other->realm : NULL);
	}
	rule_chain_run(p->chain, &h->at, &sipua_pass_ops, &h->pass, &watch, &h->res);
	shadows = h->res.verdict ? 0 : rule_chain_shadows(p->chain, h->at.hook, is_request(h));
	for (size_t i = 0; i < shadows; i++)
		run_shadow(h, i);
}

static bool has(const struct sipua_policy *p, enum rule_hook hook, bool request, enum rule_dialog dialog)
{
	return p && p->chain && (rule_chain_has(p->chain, hook, request, dialog) || rule_chain_shadows(p->chain, hook, request));
}

bool sipua_police_hears(const struct sipua_policy *p, bool request, enum rule_dialog dialog)
{
	return has(p, RULE_RECEIVE, request, dialog);
}

/* the dialog's owner acts on what policies did */
static void tell(struct sipua_dialog *d, unsigned what, const sip_t *sip)
{
	if (sipua_notes_changed(d->notes))
		what |= SIPUA_POLICED_NOTES;
	if (what && d->ops && d->ua->handlers.policed)
		d->ua->handlers.policed(d->ua->arg, d, d->arg, what, sipua_wire(sip));
}

/* ---- lists of tokens, on any number of lines ---- */

/* the token at *at of a list; *at moves behind it */
static bool next_token(struct slice list, size_t *at, struct slice *ret)
{
	size_t i = *at, n;

	while (i < list.n && strchr(" \t,", list.p[i]))
		i++;
	for (n = i; n < list.n && list.p[n] != ','; n++)
		;
	*at = n;
	*ret = (struct slice){ list.p + i, n - i };
	while (ret->n && strchr(" \t", ret->p[ret->n - 1]))
		ret->n--;
	return ret->n > 0;
}

static bool lists(struct sipua_pass *p, struct slice name, struct slice token)
{
	struct slice line, one;

	for (unsigned i = 0; (line = sipua_pass_header(p, name, i)).p; i++)
		for (size_t at = 0; next_token(line, &at, &one);)
			if (slice_eq_nocase(one, token))
				return true;
	return false;
}

/* take the tokens out that `out` names; a line without any goes */
static void take_out(struct sipua_pass *p, struct slice name, bool (*out)(struct slice token, const void *arg), const void *arg)
{
	struct slice line, one;
	char buf[1024];
	unsigned i = 0;

	while ((line = sipua_pass_header(p, name, i)).p) {
		struct text t = text_on(buf, sizeof(buf));
		bool any = false;

		for (size_t at = 0; next_token(line, &at, &one);) {
			if (out(one, arg))
				any = true;
			else
				text_add(&t, "%s%.*s", t.n ? ", " : "", (int)one.n, one.p);
		}
		if (!any || t.cut || (t.n ? sipua_pass_set(p, name, i, text_get(&t)) : sipua_pass_remove(p, name, i)) || t.n)
			i++;
	}
}

/* ---- Allow ---- */

static const uint32_t always = 1u << WIRE_INVITE | 1u << WIRE_ACK | 1u << WIRE_BYE | 1u << WIRE_CANCEL;

static uint32_t methods_in(struct sipua_pass *p, bool *ret_has)
{
	struct slice v = sipua_pass_header(p, SLICE("Allow"), 0);

	*ret_has = v.p != NULL;
	return wire_methods_parse(v);
}

static bool is_stripped(const struct slice token, const void *arg)
{
	enum wire_method m = wire_method_of(token);

	return m != WIRE_UNKNOWN && *(const uint32_t *)arg & 1u << m;
}

static bool is_100rel(struct slice token, const void *arg) { return slice_eq_nocase(token, SLICE("100rel")); }

static unsigned take_allow(struct sipua_dialog *d, struct sipua_pass *p, uint32_t before, bool had)
{
	uint32_t was = d->stripped, after;
	bool left;

	if (!had)
		return 0;
	if (d->stripped_in) /* what was taken from the peer's Allow is not in ours either */
		take_out(p, SLICE("Allow"), is_stripped, &d->stripped_in);
	after = methods_in(p, &left);
	if (!left)
		return 0;
	d->stripped = before & ~after & ~always;
	free(d->allow);
	d->allow = d->stripped ? base_dup(sipua_pass_header(p, SLICE("Allow"), 0)) : NULL;
	if (d->stripped & 1u << WIRE_PRACK) /* without PRACK there is nothing reliable (RFC 3262) */
		take_out(p, SLICE("Supported"), is_100rel, NULL);
	return d->stripped != was ? SIPUA_POLICED_ALLOW : 0;
}

/* ---- the session timer ---- */

static bool is_timer(struct slice token, const void *arg) { return slice_eq_nocase(token, SLICE("timer")); }

static void remove_all(struct sipua_pass *p, struct slice name)
{
	while (sipua_pass_header(p, name, 0).p && !sipua_pass_remove(p, name, 0))
		;
}

/* without `timer` in Supported there is none (RFC 4028 section 7.1): not in this message either */
static unsigned take_timer(struct sipua_dialog *d, struct sipua_pass *p, bool had, const struct rule_result *res)
{
	if (had && res->edits && !lists(p, SLICE("Supported"), SLICE("timer"))) {
		remove_all(p, SLICE("Session-Expires"));
		remove_all(p, SLICE("Min-SE"));
		take_out(p, SLICE("Require"), is_timer, NULL);
		d->no_timer = true;
		return SIPUA_POLICED_TIMER;
	}
	return res->timer && p->sip->sip_status && p->sip->sip_status->st_status / 100 == 2 ? SIPUA_POLICED_EXPIRES : 0;
}

/* ---- the session description ---- */

/* the version in an o= line: `o=user id version ...`; empty where there is none */
static struct slice version_at(struct slice body)
{
	const char *p = slice_empty(body) ? NULL : body.p, *end = body.p + body.n, *from;

	while (p && end - p >= 2 && memcmp(p, "o=", 2) != 0) {
		p = memchr(p, '\n', (size_t)(end - p));
		p = p ? p + 1 : NULL;
	}
	for (int i = 0; p && i < 2; i++) {
		p = memchr(p, ' ', (size_t)(end - p));
		p = p ? p + 1 : NULL;
	}
	for (from = p; p && p < end && *p >= '0' && *p <= '9'; p++)
		;
	return p ? (struct slice){ from, (size_t)(p - from) } : (struct slice){ NULL, 0 };
}

static uint64_t mark_of(struct slice body, struct slice version)
{
	const char *behind = version.p + version.n;
	uint32_t a = base_hash_bytes(body.p, (size_t)(version.p - body.p), sipua_hash_seed);
	size_t rest = (size_t)(body.p + body.n - behind);

	return (uint64_t)base_hash_bytes(behind, rest, a) << 32 | base_hash_bytes(behind, rest, ~a);
}

static int set_version(struct sipua_pass *p, struct slice body, struct slice version, uint64_t v)
{
	char *text = malloc(body.n + 24);
	int n, err = -ENOMEM;

	if (!text)
		return -ENOMEM;
	n = snprintf(text, body.n + 24, "%.*s%llu%.*s", (int)(version.p - body.p), body.p, (unsigned long long)v,
		(int)(body.p + body.n - (version.p + version.n)), version.p + version.n);
	if (n > 0)
		err = sipua_pass_set_body(p, (struct slice){ text, (size_t)n });
	free(text);
	return err;
}

static void keep_sdp(struct sipua_dialog *d, struct slice body)
{
	free(d->sdp_sent);
	d->sdp_sent = body.n ? base_dup(body) : NULL;
	d->sdp_sent_len = d->sdp_sent ? body.n : 0;
}

/*
 * The peer must see a new version where, and only where, the description is another than the last (RFC 3264 section 8). What left otherwise than
 * its maker knows it is kept: a refresh repeats it, and the next engine goes on from it.
 */
static unsigned take_sdp(struct sipua_dialog *d, struct sipua_pass *p, bool edited)
{
	struct slice body = p->sip->sip_payload ? (struct slice){ p->sip->sip_payload->pl_data, p->sip->sip_payload->pl_len } : (struct slice){ NULL, 0 };
	struct slice version = version_at(body);
	uint64_t v, mark;

	if (slice_empty(version) || slice_u64(version, UINT64_MAX, &v))
		return 0;
	mark = mark_of(body, version);
	if (d->sdp_mark && d->sdp_mark != mark)
		d->sdp_version++;
	else if (!d->sdp_mark)
		d->sdp_version = v;
	d->sdp_mark = mark;
	if (d->sdp_version != v && !set_version(p, body, version, d->sdp_version)) {
		edited = true;
		body = (struct slice){ p->sip->sip_payload->pl_data, p->sip->sip_payload->pl_len };
	}
	if (!edited && !d->sdp_sent)
		return 0;
	keep_sdp(d, edited ? body : (struct slice){ NULL, 0 });
	return SIPUA_POLICED_SDP;
}

/* ---- what is sent ---- */

/* a refresh repeats what left, byte for byte (design.md section 7) */
static bool repeat_sdp(struct hook *h)
{
	const struct sipua_dialog *d = h->d;

	h->at.no_sdp = d && d->sdp_sent && h->pass.sip->sip_payload;
	return h->at.no_sdp && !sipua_pass_set_body(&h->pass, (struct slice){ d->sdp_sent, d->sdp_sent_len });
}

static void run_send(struct hook *h, bool repeat)
{
	struct sipua_dialog *d = h->d;
	struct sipua_pass *p = &h->pass;
	uint32_t before;
	unsigned what;
	bool had, timer, repeated;

	/* only now are the headers in one chain, in the order of the wire */
	if (msg_serialize(p->msg, (msg_pub_t *)p->sip) < 0) {
		memset(&h->res, 0, sizeof(h->res));
		base_count(COUNTER_RULE_SKIPPED);
		return;
	}
	before = methods_in(p, &had);
	timer = lists(p, SLICE("Supported"), SLICE("timer"));
	repeated = repeat && repeat_sdp(h);
	run(h);
	base_count_n(COUNTER_RULE_DROP, h->res.verdict == RULE_DROP);
	if (d && h->res.verdict == RULE_DROP)
		tell(d, 0, p->sip);
	if (!d || h->res.verdict == RULE_DROP)
		return;
	what = take_allow(d, p, before, had) | take_timer(d, p, timer, &h->res);
	if (!repeated)
		what |= take_sdp(d, p, h->res.sdp);
	tell(d, what, p->sip);
}

bool sipua_police_request(struct sipua_dialog *d, struct sipua_msg *m)
{
	enum rule_dialog dialog = dialog_of(m->sip);
	struct hook h = { .policy = d->policy, .d = d, .pass = { .msg = m->msg, .sip = m->sip, .notes = &d->notes },
		.at = { .hook = RULE_SEND, .dialog = dialog, .out = !d->uas, .transport = slice_str(sipua_transport_name(d->dest.transport)) } };

	if (!has(d->policy, RULE_SEND, true, dialog) && !d->stripped_in)
		return true;
	run_send(&h, m->repeat);
	if ((h.res.identity || d->local_made) && dialog != RULE_MID)
		sipua_dialog_identity(d, m->sip);
	return h.res.verdict != RULE_DROP;
}

bool sipua_police_response(struct sipua_srv *s, struct sipua_msg *m)
{
	struct sipua_dialog *d = s->dialog && s->dialog->linked ? s->dialog : NULL;
	struct sipua_policy *policy = s->dialog && s->dialog->policy ? s->dialog->policy : s->policy;
	enum rule_dialog dialog = dialog_of(s->sip);
	struct hook h = { .policy = policy, .d = d, .pass = { .msg = m->msg, .sip = m->sip, .base = s->sip, .notes = s->dialog ? &s->dialog->notes : &s->notes },
		.at = { .hook = RULE_SEND, .dialog = dialog, .out = d && !d->uas, .transport = slice_str(sipua_transport_name(s->path.transport)) } };

	if (m->status <= 100 || (!has(policy, RULE_SEND, false, dialog) && !(d && d->stripped_in)))
		return true;
	run_send(&h, false);
	m->status = m->sip->sip_status->st_status;
	return h.res.verdict != RULE_DROP;
}

int sipua_police_reply(struct sipua_in *in, msg_t *msg, sip_t *sip)
{
	enum rule_dialog dialog = dialog_of(in->sip);
	struct hook h = { .policy = in->policy, .pass = { .msg = msg, .sip = sip, .base = in->sip, .notes = &in->notes },
		.at = { .hook = RULE_SEND, .dialog = dialog, .transport = slice_str(sipua_transport_name(in->path.transport)) } };

	if (has(in->policy, RULE_SEND, false, dialog))
		run_send(&h, false);
	return sip->sip_status->st_status;
}

/* ---- what is received ---- */

void sipua_police_received(const struct sipua_heard *w, msg_t *msg, msg_t **ret_copy, struct rule_result *res)
{
	sip_t *sip = sip_object(msg);
	struct hook h = { .policy = w->policy, .pass = { .msg = msg, .sip = sip, .notes = w->notes, .source = w->path ? &w->path->source : NULL, .shared = true, .parse = true },
		.at = { .hook = RULE_RECEIVE, .dialog = w->dialog, .out = w->out, .src = w->path ? &w->path->source : NULL,
			.transport = w->path ? slice_str(sipua_transport_name(w->path->transport)) : (struct slice){ NULL, 0 } } };

	res->verdict = RULE_PASS;
	*ret_copy = NULL;
	if (w->policy && w->policy->rates && sip->sip_request && h.pass.source)
		sipua_rate_count(h.pass.source);
	if (!has(w->policy, RULE_RECEIVE, sip->sip_request != NULL, w->dialog))
		return;
	run(&h);
	*res = h.res;
	*ret_copy = h.pass.shared ? NULL : h.pass.msg;
}

/* what they took from the peer's Allow is not sent to it, and not taken from it */
static unsigned heard_allow(struct sipua_dialog *d, const sip_t *was, const sip_t *now)
{
	uint32_t had, left, out;
	bool before, after;

	had = wire_sip_allow(sipua_wire(was), &before);
	left = wire_sip_allow(sipua_wire(now), &after);
	if (!before || !after)
		return 0;
	out = had & ~left & ~always;
	if (out == d->stripped_in)
		return 0;
	d->stripped_in = out;
	return SIPUA_POLICED_ALLOW;
}

static bool has_timer(const sip_t *sip) { return sip->sip_supported && wire_sip_supported(sipua_wire(sip), "timer"); }

void sipua_police_heard(struct sipua_dialog *d, const sip_t *was, const sip_t *now)
{
	unsigned what = now ? heard_allow(d, was, now) : 0;

	if (now && !d->no_timer && has_timer(was) && !has_timer(now)) {
		d->no_timer = true;
		what |= SIPUA_POLICED_TIMER;
	}
	tell(d, what, now ? now : was);
}

static void redirect(struct sipua_in *in, const char *to)
{
	char contact[520];
	struct text t = text_on(contact, sizeof(contact));

	text_add(&t, strchr(to, '<') ? "%s" : "<%s>", to);
	sipua_in_reply(in, 302, NULL, (const struct sipua_text[]){ { "Contact", text_get(&t) }, { NULL, { NULL, 0 } } });
}

bool sipua_in_police(struct sipua_in *in, struct sipua_policy *policy)
{
	struct sipua_heard w = { .policy = policy, .notes = &in->notes, .path = &in->path, .dialog = dialog_of(in->sip) };
	struct rule_result res;

	in->policy = policy;
	if (!policy)
		return true;
	sipua_police_received(&w, in->msg, &in->copy, &res);
	switch (res.verdict) {
	case RULE_PASS:
		return true;
	case RULE_ROUTE:
		base_count(COUNTER_RULE_ROUTE);
		in->route = base_dup(slice_str(res.text));
		return true;
	case RULE_DROP:
		base_count(COUNTER_RULE_DROP);
		sipua_in_drop(in);
		return false;
	case RULE_REJECT:
		base_count(COUNTER_RULE_REJECT);
		sipua_in_reply(in, res.status, res.text[0] ? res.text : NULL, NULL);
		return false;
	case RULE_REDIRECT:
		base_count(COUNTER_RULE_REDIRECT);
		redirect(in, res.text);
		return false;
	}
	return true;
}

const char *sipua_in_route(const struct sipua_in *in) { return in->route; }

/* ---- dialogs ---- */

static void other_set(struct sipua_dialog *d, struct sipua_policy *policy)
{
	struct sipua_policy *old = d->other;

	d->other = policy ? base_ref(policy) : NULL;
	base_unref(old);
}

void sipua_dialog_police(struct sipua_dialog *d, struct sipua_policy *policy, struct sipua_dialog *with)
{
	struct sipua_policy *old = d->policy;

	d->policy = policy ? base_ref(policy) : NULL;
	base_unref(old);
	if (!with || with == d)
		return;
	other_set(d, with->policy);
	other_set(with, policy);
	if (!with->notes)
		with->notes = d->notes ? base_ref(d->notes) : sipua_notes_new();
	if (with->notes && with->notes != d->notes) {
		base_unref(d->notes);
		d->notes = base_ref(with->notes);
	}
}

void sipua_dialog_sdp_sent_restore(struct sipua_dialog *d, struct slice sent, bool edited)
{
	struct slice version = version_at(sent);
	uint64_t v;

	if (slice_empty(version) || slice_u64(version, UINT64_MAX, &v))
		return;
	d->sdp_mark = mark_of(sent, version);
	d->sdp_version = v;
	if (edited)
		keep_sdp(d, sent);
}

struct sipua_notes *sipua_dialog_notes(const struct sipua_dialog *d) { return d->notes; }
struct slice sipua_dialog_sdp_sent(const struct sipua_dialog *d) { return (struct slice){ d->sdp_sent, d->sdp_sent_len }; }
bool sipua_dialog_no_timer(const struct sipua_dialog *d) { return d->no_timer; }
uint32_t sipua_dialog_stripped(const struct sipua_dialog *d) { return d->stripped | d->stripped_in; }

bool sipua_dialog_refuses(const struct sipua_dialog *d, const sip_t *request)
{
	enum wire_method m = wire_method_of(slice_str(request->sip_request->rq_method_name));

	return m != WIRE_UNKNOWN && (sipua_dialog_stripped(d) & 1u << m);
}
