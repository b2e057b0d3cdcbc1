/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sofia's messages behind struct rule_msg_ops: what rules read of a message and write into it. A message as it was received is copied at the
 * first edit, so that the transaction layer keeps the original.
 */
#include "sipua/police.h"

#include <errno.h>
#include <stdio.h>

#include <sofia-sip/msg_mclass.h>

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
	return is_unknown(h) ? slice_str(h->sh_unknown->un_name) : (struct slice){ h->sh_class->hc_name, (size_t)h->sh_class->hc_len };
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
	for (msg_header_t *h = first_line(sip); h; h = next_line(h->sh_succ)) {
		struct slice have = name_of(h);

		/* nearly all differ in their length: that costs no call */
		if (have.n == name.n && slice_eq_nocase(have, name) && !index--)
			return h;
	}
	return NULL;
}

static bool is_copied(struct slice name)
{
	return slice_eq_nocase(name, SLICE("From")) || slice_eq_nocase(name, SLICE("To")) || slice_eq_nocase(name, SLICE("Call-ID")) ||
		slice_eq_nocase(name, SLICE("CSeq"));
}

static struct slice m_method(void *m)
{
	const struct sipua_pass *p = m;

	return wire_sip_method_name(sipua_wire(p->base ? p->base : p->sip));
}

static int m_status(void *m) { return wire_sip_status(sipua_wire(((struct sipua_pass *)m)->sip)); }
static struct slice m_phrase(void *m) { return wire_sip_phrase(sipua_wire(((struct sipua_pass *)m)->sip)); }
static struct slice m_body(void *m) { return wire_sip_body(sipua_wire(((struct sipua_pass *)m)->sip)); }

static struct slice m_ruri(void *m)
{
	struct sipua_pass *p = m;
	const sip_t *sip = p->base ? p->base : p->sip;
	issize_t n;

	if (!p->ruri_known) {
		n = sip->sip_request ? url_e(p->ruri_short, sizeof(p->ruri_short), sip->sip_request->rq_url) : -1;
		p->ruri = slice_str(n < 0 ? NULL : (size_t)n < sizeof(p->ruri_short) ? p->ruri_short : url_as_string(msg_home(p->msg), sip->sip_request->rq_url));
		p->ruri_known = true;
	}
	return p->ruri;
}

static struct slice m_header(void *m, struct slice name, unsigned index)
{
	struct sipua_pass *p = m;
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
	msg_header_t *h = first_line(((struct sipua_pass *)m)->sip);

	while (h && i--)
		h = next_line(h->sh_succ);
	return h ? name_of(h) : (struct slice){ NULL, 0 };
}

/* ---- edits ---- */

static int own(struct sipua_pass *p)
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
	struct sipua_pass *p = m;
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
	struct sipua_pass *p = m;
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
	p->ruri_known = false;
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
static msg_header_t *make_header(struct sipua_pass *p, msg_hclass_t *hc, struct slice name, struct slice value)
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
	struct sipua_pass *p = m;
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
	struct sipua_pass *p = m;
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
	struct sipua_pass *p = m;
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
	struct sipua_pass *p = m;
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

static struct sipua_notes *notes_of(struct sipua_pass *p)
{
	if (!*p->notes)
		*p->notes = sipua_notes_new();
	return *p->notes;
}

static struct slice m_var(void *m, struct slice name) { return sipua_notes_var(*((struct sipua_pass *)m)->notes, name); }

static int m_set_var(void *m, struct slice name, struct slice value)
{
	struct sipua_notes *n = notes_of(m);

	return n ? sipua_notes_set_var(n, name, value) : -ENOMEM;
}

static bool m_has_tag(void *m, struct slice name) { return sipua_notes_has_tag(*((struct sipua_pass *)m)->notes, name); }

static int m_add_tag(void *m, struct slice name)
{
	struct sipua_notes *n = notes_of(m);

	return n ? sipua_notes_add_tag(n, name) : -ENOMEM;
}

static uint64_t m_rate(void *m, unsigned window_s)
{
	const struct sipua_pass *p = m;

	return p->source ? sipua_rate_get(p->source, window_s) : 0;
}

static void m_log(void *m, const char *policy, struct slice text)
{
	base_log_limited(BASE_INFO, 10, "policy", "%s: %.*s", policy, (int)text.n, text.p);
}

const struct rule_msg_ops sipua_pass_ops = {
	.method = m_method, .status = m_status, .phrase = m_phrase, .ruri = m_ruri, .header = m_header, .header_name = m_header_name, .body = m_body,
	.set_status = m_set_status, .set_ruri = m_set_ruri, .set_header = m_set_header, .add_header = m_add_header,
	.remove_header = m_remove_header, .set_body = m_set_body,
	.var = m_var, .set_var = m_set_var, .has_tag = m_has_tag, .add_tag = m_add_tag, .log = m_log, .rate = m_rate,
};

/* ---- for those who run the chain ---- */

struct slice sipua_pass_header(struct sipua_pass *p, struct slice name, unsigned i) { return m_header(p, name, i); }
int sipua_pass_set(struct sipua_pass *p, struct slice name, unsigned i, struct slice value) { return m_set_header(p, name, i, value); }
int sipua_pass_remove(struct sipua_pass *p, struct slice name, unsigned i) { return m_remove_header(p, name, i); }
int sipua_pass_set_body(struct sipua_pass *p, struct slice body) { return m_set_body(p, body); }

#define MASKED_MAX 64

/* keys are nobody's to read, nor are answers to challenges */
static void print_masked(struct text *t, struct slice body)
{
	struct slice hide[MASKED_MAX];
	size_t n = wire_secrets_find(body, hide, ARRAY_LEN(hide));
	const char *p = body.p, *end = p + body.n;

	for (size_t i = 0; i < n; i++) {
		text_slice(t, (struct slice){ p, (size_t)(hide[i].p - p) });
		text_add(t, "***");
		p = hide[i].p + hide[i].n;
	}
	text_slice(t, (struct slice){ p, (size_t)(end - p) });
}

static void print_line(struct text *t, struct slice name, struct slice value)
{
	bool secret = slice_eq_nocase(name, SLICE("Authorization")) || slice_eq_nocase(name, SLICE("Proxy-Authorization"));

	text_slice(t, name);
	text_add(t, ": ");
	text_slice(t, secret ? SLICE("***") : value);
	text_add(t, "\r\n");
}

void sipua_pass_print(struct sipua_pass *p, struct text *t)
{
	int status = m_status(p);
	struct slice body = m_body(p);

	if (status) {
		text_add(t, "SIP/2.0 %d ", status);
		text_slice(t, m_phrase(p));
	} else {
		text_slice(t, m_method(p));
		text_add(t, " ");
		text_slice(t, m_ruri(p));
		text_add(t, " SIP/2.0");
	}
	text_add(t, "\r\n");
	for (msg_header_t *h = first_line(p->sip); h && !t->cut; h = next_line(h->sh_succ)) {
		struct wire_header v;

		p->it.next = h;
		wire_headers_next(&p->it, &v);
		print_line(t, name_of(h), v.value);
	}
	text_add(t, "\r\n");
	if (!slice_empty(body))
		print_masked(t, body);
}
