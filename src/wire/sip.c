/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Read-only views of a SIP message that Sofia parsed (RFC 3261): slices into the message, nothing allocated.
 * struct wire_sip is Sofia's sip_t. Does not parse and does not change messages.
 */
#include <sofia-sip/sip.h>

#include "postern/wire.h"

static const sip_t *sip_of(const struct wire_sip *m)
{
	return (const sip_t *)(const void *)m;
}

bool wire_sip_is_request(const struct wire_sip *m)
{
	return sip_of(m)->sip_request != NULL;
}

struct slice wire_sip_method_name(const struct wire_sip *m)
{
	const sip_t *s = sip_of(m);

	if (s->sip_request)
		return slice_str(s->sip_request->rq_method_name);
	return slice_str(s->sip_cseq ? s->sip_cseq->cs_method_name : NULL);
}

enum wire_method wire_sip_method(const struct wire_sip *m)
{
	return wire_method_of(wire_sip_method_name(m));
}

int wire_sip_status(const struct wire_sip *m)
{
	const sip_t *s = sip_of(m);

	return s->sip_status ? s->sip_status->st_status : 0;
}

struct slice wire_sip_phrase(const struct wire_sip *m)
{
	const sip_t *s = sip_of(m);

	return slice_str(s->sip_status ? s->sip_status->st_phrase : NULL);
}

uint32_t wire_sip_cseq(const struct wire_sip *m)
{
	const sip_t *s = sip_of(m);

	return s->sip_cseq ? s->sip_cseq->cs_seq : 0;
}

struct slice wire_sip_call_id(const struct wire_sip *m)
{
	const sip_t *s = sip_of(m);

	return slice_str(s->sip_call_id ? s->sip_call_id->i_id : NULL);
}

static void view_uri(const url_t *u, struct wire_uri *ret)
{
	*ret = (struct wire_uri){
		.scheme = slice_str(u->url_scheme), .user = slice_str(u->url_user), .password = slice_str(u->url_password),
		.host = slice_str(u->url_host), .port = slice_str(u->url_port), .params = slice_str(u->url_params),
		.headers = slice_str(u->url_headers),
	};
}

static struct slice view_display(const char *display)
{
	struct slice d = slice_str(display);

	if (d.n >= 2 && d.p[0] == '"' && d.p[d.n - 1] == '"')
		return (struct slice){ d.p + 1, d.n - 2 };
	return d;
}

static void view_addr(const sip_addr_t *a, struct wire_addr *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (!a)
		return;
	ret->display = view_display(a->a_display);
	ret->tag = slice_str(a->a_tag);
	view_uri(a->a_url, &ret->uri);
}

void wire_sip_ruri(const struct wire_sip *m, struct wire_uri *ret)
{
	const sip_t *s = sip_of(m);

	memset(ret, 0, sizeof(*ret));
	if (s->sip_request)
		view_uri(s->sip_request->rq_url, ret);
}

void wire_sip_from(const struct wire_sip *m, struct wire_addr *ret)
{
	view_addr(sip_of(m)->sip_from, ret);
}

void wire_sip_to(const struct wire_sip *m, struct wire_addr *ret)
{
	view_addr(sip_of(m)->sip_to, ret);
}

bool wire_sip_contact(const struct wire_sip *m, struct wire_addr *ret)
{
	const sip_contact_t *c = sip_of(m)->sip_contact;

	memset(ret, 0, sizeof(*ret));
	if (!c || c->m_url->url_type == url_any)
		return false;
	ret->display = view_display(c->m_display);
	view_uri(c->m_url, &ret->uri);
	return true;
}

struct slice wire_sip_body(const struct wire_sip *m)
{
	const sip_payload_t *p = sip_of(m)->sip_payload;

	return p && p->pl_data ? (struct slice){ p->pl_data, p->pl_len } : (struct slice){ NULL, 0 };
}

struct slice wire_sip_content_type(const struct wire_sip *m)
{
	const sip_content_type_t *c = sip_of(m)->sip_content_type;

	return slice_str(c ? c->c_type : NULL);
}

int wire_sip_max_forwards(const struct wire_sip *m)
{
	const sip_max_forwards_t *f = sip_of(m)->sip_max_forwards;

	if (!f)
		return -1;
	return f->mf_count > 255 ? 255 : (int)f->mf_count;
}

uint32_t wire_sip_allow(const struct wire_sip *m, bool *ret_has)
{
	const msg_list_t *a = (const msg_list_t *)sip_of(m)->sip_allow;
	uint32_t set = 0;

	*ret_has = a != NULL;
	for (; a; a = a->k_next)
		for (const msg_param_t *i = a->k_items; i && *i; i++)
			set |= wire_methods_parse(slice_str(*i));
	return set;
}

static bool list_has(const msg_list_t *l, struct slice tag)
{
	for (; l; l = l->k_next)
		for (const msg_param_t *i = l->k_items; i && *i; i++)
			if (slice_eq_nocase(slice_str(*i), tag))
				return true;
	return false;
}

bool wire_sip_supported(const struct wire_sip *m, const char *tag)
{
	const sip_t *s = sip_of(m);
	struct slice t = slice_str(tag);

	return list_has(s->sip_supported, t) || list_has(s->sip_require, t) || list_has(s->sip_proxy_require, t);
}

bool wire_sip_has_supported(const struct wire_sip *m)
{
	return sip_of(m)->sip_supported != NULL;
}

static bool known_tag(const char *tag, const char *const *known)
{
	for (; *known; known++)
		if (slice_eq_nocase(slice_str(tag), slice_str(*known)))
			return true;
	return false;
}

struct slice wire_sip_unknown_required(const struct wire_sip *m, const char *const *known, char *buf, size_t size)
{
	struct text t = text_on(buf, size);

	for (const msg_list_t *l = sip_of(m)->sip_require; l; l = l->k_next)
		for (const msg_param_t *i = l->k_items; i && *i; i++)
			if (!known_tag(*i, known))
				text_add(&t, "%s%s", t.n ? ", " : "", *i);
	return text_get(&t);
}
