/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policies on live messages (design.md section 9): a chain of rules sees a copy of what was received, and last what is sent. Here are Sofia's
 * messages behind struct rule_msg_ops, what a call's policies remember, and what of their edits the dialog itself must know: methods that
 * they took from Allow, the version of the description (RFC 3264 section 8), From and To of the request that makes the dialog.
 * Which chain a message passes is the user's to say.
 */
#include "sipua/priv.h"
#include "postern/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <sofia-sip/msg_mclass.h>

#define NOTES_MAX 64

struct sipua_policy { char *trunk, *realm; struct rule_chain *chain; };
struct note { char *name, *value; };
struct sipua_notes { struct note *var; char **tag; unsigned vars, tags; };  /* every call has one: arrays of NOTES_MAX, made when they are wanted */

/* a message in front of a chain */
struct pass {
	msg_t *msg;
	sip_t *sip;
	const sip_t *base;         /* of a response that is sent: the request; the agent copies the rest later */
	struct sipua_notes **notes;
	bool shared;               /* as it was received: the first edit makes a copy */
	bool parse;                /* new headers are parsed: somebody reads the message */
	char ruri[2048];
	struct wire_headers it;
};

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
	base_unref(old);
	if (name) {
		free(p->realm);
		p->realm = name;
	}
}

static void notes_destroy(void *obj)
{
	struct sipua_notes *n = obj;

	for (unsigned i = 0; i < n->vars; i++) {
		free(n->var[i].name);
		free(n->var[i].value);
	}
	for (unsigned i = 0; i < n->tags; i++)
		free(n->tag[i]);
	free(n->var);
	free(n->tag);
}

static struct sipua_notes *notes_of(struct pass *p)
{
	if (!*p->notes)
		*p->notes = base_new(sizeof(**p->notes), notes_destroy);
	return *p->notes;
}

/* ---- reading ---- */

static bool is_unknown(const msg_header_t *h)
{
	return h->sh_class->hc_hash == sip_unknown_class->hc_hash;
}

static bool is_line(const msg_header_t *h)
{
	return is_unknown(h) || (h->sh_class->hc_hash > 0 && h->sh_class->hc_name && h->sh_class->hc_len > 0);
}

static struct slice name_of(const msg_header_t *h)
{
	return slice_str(is_unknown(h) ? h->sh_unknown->un_name : h->sh_class->hc_name);
}

static msg_header_t *next_line(msg_header_t *h)
{
	while (h && !is_line(h))
		h = h->sh_succ;
	return h;
}

static msg_header_t *first_line(const sip_t *sip)
{
	return next_line(sip->sip_request ? (msg_header_t *)sip->sip_request : (msg_header_t *)sip->sip_status);
}

static msg_header_t *find(const sip_t *sip, struct slice name, unsigned index)
{
	for (msg_header_t *h = first_line(sip); h; h = next_line(h->sh_succ))
		if (slice_eq_nocase(name_of(h), name) && !index--)
			return h;
	return NULL;
}

static bool is_copied(struct slice name)
{
	return slice_eq_nocase(name, SLICE("From")) || slice_eq_nocase(name, SLICE("To")) || slice_eq_nocase(name, SLICE("Call-ID")) ||
		slice_eq_nocase(name, SLICE("CSeq"));
}

static struct slice m_method(void *m)
{
	const struct pass *p = m;

	return wire_sip_method_name(sipua_wire(p->base ? p->base : p->sip));
}

static int m_status(void *m) { return wire_sip_status(sipua_wire(((struct pass *)m)->sip)); }
static struct slice m_phrase(void *m) { return wire_sip_phrase(sipua_wire(((struct pass *)m)->sip)); }
static struct slice m_body(void *m) { return wire_sip_body(sipua_wire(((struct pass *)m)->sip)); }

static struct slice m_ruri(void *m)
{
	struct pass *p = m;
	const sip_t *sip = p->base ? p->base : p->sip;
	issize_t n = sip->sip_request ? url_e(p->ruri, sizeof(p->ruri), sip->sip_request->rq_url) : -1;

	return n < 0 || (size_t)n >= sizeof(p->ruri) ? (struct slice){ NULL, 0 } : (struct slice){ p->ruri, (size_t)n };
}

static struct slice m_header(void *m, struct slice name, unsigned index)
{
	struct pass *p = m;
	msg_header_t *h = find(p->sip, name, index);
	struct wire_header v;

	if (!h && p->base && is_copied(name))
		h = find(p->base, name, index);
	if (!h)
		return (struct slice){ NULL, 0 };
	p->it.next = h;
	wire_headers_next(&p->it, &v);
	return v.value;
}

static struct slice m_header_name(void *m, unsigned i)
{
	msg_header_t *h = first_line(((struct pass *)m)->sip);

	while (h && i--)
		h = next_line(h->sh_succ);
	return h ? name_of(h) : (struct slice){ NULL, 0 };
}

/* ---- edits ---- */

static int own(struct pass *p)
{
	msg_t *copy;

	if (!p->shared)
		return 0;
	copy = msg_copy(p->msg);
	if (!copy)
		return -ENOMEM;
	p->msg = copy;
	p->sip = sip_object(copy);
	p->shared = false;
	return 0;
}

static int m_set_status(void *m, int status, struct slice phrase)
{
	struct pass *p = m;
	sip_status_t *st;
	char *text;

	if (!p->sip->sip_status)
		return ERR_WRONGSTATE;
	if (own(p))
		return -ENOMEM;
	st = p->sip->sip_status;
	text = su_strndup(msg_home(p->msg), phrase.p ? phrase.p : "", (isize_t)phrase.n);
	if (!text)
		return -ENOMEM;
	st->st_status = status;
	st->st_phrase = text;
	msg_fragment_clear(st->st_common);
	return 0;
}

static int m_set_ruri(void *m, struct slice uri)
{
	struct pass *p = m;
	sip_request_t *rq;
	char *text;
	url_t *u;

	if (!p->sip->sip_request)
		return ERR_WRONGSTATE;
	if (own(p))
		return -ENOMEM;
	rq = p->sip->sip_request;
	text = su_strndup(msg_home(p->msg), uri.p, (isize_t)uri.n);
	u = text ? url_hdup(msg_home(p->msg), URL_STRING_MAKE(text)->us_url) : NULL;
	if (!u || !u->url_host || u->url_type == url_invalid)
		return ERR_PROTO;
	*rq->rq_url = *u;
	msg_fragment_clear(rq->rq_common);
	return 0;
}

static msg_header_t *make_unknown(su_home_t *home, struct slice name, struct slice value)
{
	sip_unknown_t *un = (sip_unknown_t *)msg_header_alloc(home, sip_unknown_class, (isize_t)(name.n + value.n + 2));
	char *text = un ? (char *)(un + 1) : NULL;

	if (!un)
		return NULL;
	memcpy(text, name.p, name.n);
	text[name.n] = 0;
	un->un_name = text;
	text += name.n + 1;
	memcpy(text, value.p ? value.p : "", value.n);
	text[value.n] = 0;
	un->un_value = text;
	return (msg_header_t *)un;
}

static bool is_one_line(struct slice v)
{
	for (size_t i = 0; i < v.n; i++)
		if (v.p[i] == '\r' || v.p[i] == '\n' || v.p[i] == 0)
			return false;
	return true;
}

/* hc NULL: as the name says */
static msg_header_t *make_header(struct pass *p, msg_hclass_t *hc, struct slice name, struct slice value)
{
	su_home_t *home = msg_home(p->msg);
	char *text, *key;

	if (!is_one_line(name) || !is_one_line(value))
		return NULL;
	key = su_strndup(home, name.p, (isize_t)name.n);
	if (!key)
		return NULL;
	if (!hc && p->parse)
		hc = msg_find_hclass(msg_mclass(p->msg), key, NULL)->hr_class;
	if (!hc || hc->hc_hash == sip_unknown_class->hc_hash)
		return make_unknown(home, name, value);
	text = su_strndup(home, value.p ? value.p : "", (isize_t)value.n);
	return text ? msg_header_make(home, hc, text) : NULL;
}

static int m_add_header(void *m, struct slice name, struct slice value)
{
	struct pass *p = m;
	msg_header_t *h;

	if (own(p))
		return -ENOMEM;
	h = make_header(p, NULL, name, value);
	if (!h)
		return ERR_PROTO;
	return msg_header_insert(p->msg, (msg_pub_t *)p->sip, h) < 0 ? -ENOMEM : 0;
}

static int m_set_header(void *m, struct slice name, unsigned index, struct slice value)
{
	struct pass *p = m;
	msg_header_t *old, *h;

	if (own(p))
		return -ENOMEM;
	old = find(p->sip, name, index);
	if (!old)
		return m_add_header(m, name, value);
	h = make_header(p, old->sh_class, name, value);
	if (!h)
		return ERR_PROTO;
	return msg_header_replace(p->msg, (msg_pub_t *)p->sip, old, h) < 0 ? -ENOMEM : 0;
}

static int m_remove_header(void *m, struct slice name, unsigned index)
{
	struct pass *p = m;
	msg_header_t *h;

	if (own(p))
		return -ENOMEM;
	h = find(p->sip, name, index);
	if (!h)
		return ERR_NOTFOUND;
	return msg_header_remove(p->msg, (msg_pub_t *)p->sip, h) < 0 ? ERR_WRONGSTATE : 0;
}

static int m_set_body(void *m, struct slice body)
{
	struct pass *p = m;
	sip_payload_t *pl, *now;

	if (own(p))
		return -ENOMEM;
	pl = p->sip->sip_payload;
	now = sip_payload_create(msg_home(p->msg), body.p, (isize_t)body.n);
	if (!pl || !now)
		return pl ? -ENOMEM : ERR_NOTFOUND;
	return msg_header_replace(p->msg, (msg_pub_t *)p->sip, (msg_header_t *)pl, (msg_header_t *)now) < 0 ? -ENOMEM : 0;
}

/* ---- the call's memory ---- */

static struct note *var_find(const struct pass *p, struct slice name)
{
	for (unsigned i = 0; *p->notes && i < (*p->notes)->vars; i++)
		if (slice_eq(slice_str((*p->notes)->var[i].name), name))
			return &(*p->notes)->var[i];
	return NULL;
}

static struct slice m_var(void *m, struct slice name)
{
	const struct note *v = var_find(m, name);

	return slice_str(v ? v->value : NULL);
}

static struct note *var_add(struct pass *p, struct slice name)
{
	struct sipua_notes *n = notes_of(p);
	char *copy;

	if (!n || n->vars == NOTES_MAX)
		return NULL;
	if (!n->var)
		n->var = calloc(NOTES_MAX, sizeof(*n->var));
	copy = n->var ? base_dup(name) : NULL;
	if (!copy)
		return NULL;
	n->var[n->vars].name = copy;
	return &n->var[n->vars++];
}

static int m_set_var(void *m, struct slice name, struct slice value)
{
	struct note *v = var_find(m, name);
	char *copy = NULL;

	if (!v && !value.p)
		return 0;
	if (!v)
		v = var_add(m, name);
	if (value.p)
		copy = base_dup(value);
	if (!v || (value.p && !copy)) {
		free(copy);
		return ERR_FULL;
	}
	free(v->value);
	v->value = copy;
	return 0;
}

static bool m_has_tag(void *m, struct slice name)
{
	const struct sipua_notes *n = *((struct pass *)m)->notes;

	for (unsigned i = 0; n && i < n->tags; i++)
		if (slice_eq(slice_str(n->tag[i]), name))
			return true;
	return false;
}

static int m_add_tag(void *m, struct slice name)
{
	struct sipua_notes *n = notes_of(m);

	if (m_has_tag(m, name))
		return 0;
	if (!n || n->tags == NOTES_MAX)
		return ERR_FULL;
	if (!n->tag)
		n->tag = calloc(NOTES_MAX, sizeof(*n->tag));
	if (!n->tag)
		return -ENOMEM;
	n->tag[n->tags] = base_dup(name);
	if (!n->tag[n->tags])
		return -ENOMEM;
	n->tags++;
	return 0;
}

static void m_log(void *m, const char *policy, struct slice text)
{
	base_log_limited(BASE_INFO, 10, "policy", "%s: %.*s", policy, (int)text.n, text.p);
}

static const struct rule_msg_ops ops = {
	.method = m_method, .status = m_status, .phrase = m_phrase, .ruri = m_ruri, .header = m_header, .header_name = m_header_name, .body = m_body,
	.set_status = m_set_status, .set_ruri = m_set_ruri, .set_header = m_set_header, .add_header = m_add_header,
	.remove_header = m_remove_header, .set_body = m_set_body,
	.var = m_var, .set_var = m_set_var, .has_tag = m_has_tag, .add_tag = m_add_tag, .log = m_log,
};

/* ---- running ---- */

static enum rule_dialog dialog_of(const sip_t *request)
{
	sip_method_t m = request->sip_request ? request->sip_request->rq_method : sip_method_unknown;

	if (request->sip_to && request->sip_to->a_tag)
		return RULE_MID;
	return m == sip_method_invite || m == sip_method_subscribe || m == sip_method_refer ? RULE_INITIAL : RULE_OUTSIDE;
}

static void run(const struct sipua_policy *p, struct pass *m, struct rule_at *at, struct rule_result *res)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	at->trunk = slice_str(p->trunk);
	at->realm = slice_str(p->realm);
	at->now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	if (at->hook == RULE_RECEIVE) {
		at->src_trunk = at->trunk;
		at->src_realm = at->realm;
	} else {
		at->dst_trunk = at->trunk;
		at->dst_realm = at->realm;
	}
	rule_chain_run(p->chain, at, &ops, m, NULL, res);
	/* what the rules could not do the engine counts in its result alone */
	for (unsigned i = 0; i < res->skipped; i++)
		base_count(COUNTER_RULE_SKIPPED);
	for (unsigned i = 0; i < res->limits; i++)
		base_count(COUNTER_REGEX_LIMIT);
}

static bool has(const struct sipua_policy *p, enum rule_hook hook, bool request)
{
	return p && p->chain && rule_chain_has(p->chain, hook, request, false);
}

/* ---- what follows from edits of what is sent ---- */

static uint32_t methods_in(struct pass *p, bool *ret_has)
{
	struct slice v = m_header(p, SLICE("Allow"), 0);

	*ret_has = v.p != NULL;
	return wire_methods_parse(v);
}

static void take_allow(struct sipua_dialog *d, struct pass *p, uint32_t before, bool had)
{
	static const uint32_t always = 1u << WIRE_INVITE | 1u << WIRE_ACK | 1u << WIRE_BYE | 1u << WIRE_CANCEL;
	bool left;
	uint32_t after = methods_in(p, &left);

	if (!had || !left)
		return;
	d->stripped = before & ~after & ~always;
	free(d->allow);
	d->allow = d->stripped ? base_dup(m_header(p, SLICE("Allow"), 0)) : NULL;
	if (d->stripped && d->ops && d->ua->handlers.stripped)
		d->ua->handlers.stripped(d->ua->arg, d, d->arg);
}

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

/* the peer must see a new version where, and only where, the description is another than the last (RFC 3264 section 8) */
static void take_sdp(struct sipua_dialog *d, struct pass *p)
{
	struct slice body = m_body(p), version = version_at(body);
	uint64_t v, mark;
	char *text;
	int n;

	if (slice_empty(version) || slice_u64(version, UINT64_MAX, &v))
		return;
	mark = mark_of(body, version);
	if (d->sdp_mark && d->sdp_mark != mark)
		d->sdp_version++;
	else if (!d->sdp_mark)
		d->sdp_version = v;
	d->sdp_mark = mark;
	if (d->sdp_version == v)
		return;
	text = malloc(body.n + 24);
	if (!text)
		return;
	n = snprintf(text, body.n + 24, "%.*s%llu%.*s", (int)(version.p - body.p), body.p, (unsigned long long)d->sdp_version,
		(int)(body.p + body.n - (version.p + version.n)), version.p + version.n);
	if (n > 0)
		m_set_body(p, (struct slice){ text, (size_t)n });
	free(text);
}

static void run_send(struct sipua_policy *policy, struct sipua_notes **notes, struct sipua_dialog *d, struct pass *p, struct rule_at *at, struct rule_result *res)
{
	uint32_t before;
	bool had;

	/* only now are the headers in one chain, in the order of the wire */
	if (msg_serialize(p->msg, (msg_pub_t *)p->sip) < 0) {
		memset(res, 0, sizeof(*res));
		base_count(COUNTER_RULE_SKIPPED);
		return;
	}
	before = methods_in(p, &had);
	p->notes = notes;
	run(policy, p, at, res);
	if (d)
		take_allow(d, p, before, had);
	if (d)
		take_sdp(d, p);
}

void sipua_police_request(struct sipua_dialog *d, struct sipua_msg *m)
{
	struct pass p = { .msg = m->msg, .sip = m->sip };
	struct rule_at at = { .hook = RULE_SEND, .out = !d->uas, .transport = slice_str(sipua_transport_name(d->dest.transport)) };
	struct rule_result res;

	if (!has(d->policy, RULE_SEND, true))
		return;
	at.dialog = dialog_of(m->sip);
	run_send(d->policy, &d->notes, d, &p, &at, &res);
	if (res.identity && at.dialog != RULE_MID)
		sipua_dialog_identity(d, m->sip);
}

void sipua_police_response(struct sipua_srv *s, struct sipua_msg *m)
{
	struct sipua_dialog *d = s->dialog && s->dialog->linked ? s->dialog : NULL;
	struct sipua_policy *policy = s->dialog && s->dialog->policy ? s->dialog->policy : s->policy;
	struct pass p = { .msg = m->msg, .sip = m->sip, .base = s->sip };
	struct rule_at at = { .hook = RULE_SEND, .dialog = dialog_of(s->sip), .out = d && !d->uas,
		.transport = slice_str(sipua_transport_name(s->path.transport)) };
	struct rule_result res;

	if (m->status <= 100 || !has(policy, RULE_SEND, false))
		return;
	run_send(policy, s->dialog ? &s->dialog->notes : &s->notes, d, &p, &at, &res);
	m->status = m->sip->sip_status->st_status;
}

int sipua_police_reply(struct sipua_in *in, msg_t *msg, sip_t *sip)
{
	struct pass p = { .msg = msg, .sip = sip, .base = in->sip };
	struct rule_at at = { .hook = RULE_SEND, .dialog = dialog_of(in->sip), .transport = slice_str(sipua_transport_name(in->path.transport)) };
	struct rule_result res;

	if (has(in->policy, RULE_SEND, false))
		run_send(in->policy, &in->notes, NULL, &p, &at, &res);
	return sip->sip_status->st_status;
}

/* ---- what is received ---- */

void sipua_police_received(struct sipua_policy *policy, struct sipua_notes **notes, const struct sipua_path *path, bool out, enum rule_dialog dialog,
	msg_t *msg, msg_t **ret_copy, struct rule_result *res)
{
	struct rule_at at = { .hook = RULE_RECEIVE, .dialog = dialog, .out = out, .src = path ? &path->source : NULL,
		.transport = path ? slice_str(sipua_transport_name(path->transport)) : (struct slice){ NULL, 0 } };
	const sip_t *sip = sip_object(msg);
	struct pass p = { .msg = msg, .sip = sip_object(msg), .notes = notes, .shared = true, .parse = true };

	res->verdict = RULE_PASS;
	*ret_copy = NULL;
	if (!has(policy, RULE_RECEIVE, sip->sip_request != NULL))
		return;
	run(policy, &p, &at, res);
	*ret_copy = p.shared ? NULL : p.msg;
}

static void redirect(struct sipua_in *in, const char *uri)
{
	char contact[520];
	struct text t = text_on(contact, sizeof(contact));

	text_add(&t, "<%s>", uri);
	sipua_in_reply(in, 302, NULL, (const struct sipua_text[]){ { "Contact", text_get(&t) }, { NULL, { NULL, 0 } } });
}

bool sipua_in_police(struct sipua_in *in, struct sipua_policy *policy)
{
	struct rule_result res;
	msg_t *copy;

	in->policy = policy;
	sipua_police_received(policy, &in->notes, &in->path, false, dialog_of(in->sip), in->msg, &copy, &res);
	in->copy = copy;
	switch (res.verdict) {
	case RULE_PASS:
		return true;
	case RULE_ROUTE:
		in->route = base_dup(slice_str(res.text));
		return true;
	case RULE_DROP:
		sipua_in_drop(in);
		return false;
	case RULE_REJECT:
		sipua_in_reply(in, res.status, res.text[0] ? res.text : NULL, NULL);
		return false;
	case RULE_REDIRECT:
		redirect(in, res.text);
		return false;
	}
	return true;
}

const char *sipua_in_route(const struct sipua_in *in) { return in->route; }

/* ---- dialogs ---- */

void sipua_dialog_police(struct sipua_dialog *d, struct sipua_policy *policy, struct sipua_dialog *with)
{
	struct sipua_policy *old = d->policy;

	d->policy = policy ? base_ref(policy) : NULL;
	base_unref(old);
	if (!with || with == d)
		return;
	if (!with->notes)
		with->notes = d->notes ? base_ref(d->notes) : base_new(sizeof(*d->notes), notes_destroy);
	if (with->notes && with->notes != d->notes) {
		base_unref(d->notes);
		d->notes = base_ref(with->notes);
	}
}

uint32_t sipua_dialog_stripped(const struct sipua_dialog *d) { return d->stripped; }

bool sipua_dialog_refuses(const struct sipua_dialog *d, const sip_t *request)
{
	enum wire_method m = wire_method_of(slice_str(request->sip_request->rq_method_name));

	return m != WIRE_UNKNOWN && (d->stripped & 1u << m);
}
