/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages being built. Headers that we own are copied from parsed ones; what comes as text goes in as a generic
 * header, unparsed. RFC 3261 sections 8.1.1 and 8.2.6.
 */
#include "sipua/priv.h"
#include "postern/wire.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

static struct sipua_msg *make(struct sipua *ua)
{
	struct sipua_msg *m = base_alloc(sizeof(*m));

	if (!m)
		return NULL;
	memset(m, 0, sizeof(*m));
	m->ua = ua;
	m->msg = nta_msg_create(ua->nta, 0);
	if (!m->msg) {
		free(m);
		return NULL;
	}
	m->sip = sip_object(m->msg);
	return m;
}

void sipua_msg_free(struct sipua_msg *m)
{
	if (!m)
		return;
	if (m->msg)
		msg_destroy(m->msg);
	base_unref(m->dialog);
	free(m);
}

static int put(struct sipua_msg *m, void *header)
{
	return header && msg_header_insert(m->msg, (msg_pub_t *)m->sip, header) >= 0 ? 0 : -ENOMEM;
}

static int put_dup(struct sipua_msg *m, const void *header)
{
	return header ? put(m, msg_header_dup_one(msg_home(m->msg), header)) : 0;
}

struct sipua_msg *sipua_msg_dup(const struct sipua_msg *m)
{
	struct sipua_msg *copy = base_alloc(sizeof(*copy));

	if (!copy)
		return NULL;
	*copy = *m;
	if (copy->dialog)
		base_ref(copy->dialog);
	copy->msg = msg_dup(m->msg);
	copy->sip = copy->msg ? sip_object(copy->msg) : NULL;
	if (copy->sip)
		return copy;
	sipua_msg_free(copy);
	return NULL;
}

int sipua_msg_reliable(struct sipua_msg *m, uint32_t rseq)
{
	/* a parsed header: the library takes a response without one in its own hands where the request requires 100rel */
	int err = put(m, sip_rseq_format(msg_home(m->msg), "%u", rseq));

	return err ? err : sipua_msg_add(m, "Require", SLICE("100rel"));
}

void sipua_msg_repeats(struct sipua_msg *m) { m->repeat = true; }

const struct wire_sip *sipua_msg_sip(const struct sipua_msg *m)
{
	return sipua_wire(m->sip);
}

/* ---- requests ---- */

static sip_method_t method_code(struct slice name, const char **ret_name, su_home_t *home)
{
	char *copy = su_strndup(home, name.p, (isize_t)name.n);
	const char *p = copy;
	sip_method_t code;

	*ret_name = copy;
	if (!copy)
		return sip_method_invalid;
	code = sip_method_code(p);
	return code;
}

/* RFC 3261 12.2.1.1: a strict router wants itself as Request-URI and the target as last route */
static int put_routes(struct sipua_msg *m, struct sipua_dialog *d, const url_t **ruri)
{
	su_home_t *home = msg_home(m->msg);
	bool loose = !d->route || sip_route_is_loose(d->route);
	sip_route_t *route, **last;

	if (!d->route)
		return 0;
	route = sip_route_dup(home, loose ? d->route : d->route->r_next);
	if (!loose) {
		for (last = &route; *last; last = &(*last)->r_next)
			;
		*last = *ruri ? sip_route_create(home, *ruri, NULL) : NULL;
		*ruri = d->route->r_url;
	}
	return route ? put(m, route) : 0;
}

/* an INVITE that is tried again (422, 401) after an early dialog is outside of it: no To tag, no route set */
static bool is_initial(const struct sipua_dialog *d, sip_method_t code)
{
	return code == sip_method_invite && !d->confirmed && !d->uas;
}

/* a request that forms the dialog once more meets its policies once more: it is made of what they met first */
static int put_parties(struct sipua_msg *m, const struct sipua_dialog *d)
{
	bool initial = is_initial(d, m->sip->sip_request->rq_method), made = initial && d->local_made;
	sip_to_t *to = sip_to_dup(msg_home(m->msg), made ? d->remote_made : d->remote);
	int err;

	if (to && to->a_tag && initial)
		msg_header_remove_param(to->a_common, "tag");
	err = put_dup(m, made ? d->local_made : d->local);
	return err ? err : put(m, to);
}

static int put_request(struct sipua_msg *m, struct sipua_dialog *d, struct slice method, const char *ruri)
{
	su_home_t *home = msg_home(m->msg);
	const url_t *url = d->target ? d->target : d->remote->a_url;
	const char *name;
	sip_method_t code = method_code(method, &name, home);
	sip_request_t *rq;
	int err;

	if (code == sip_method_invalid || !name)
		return ERR_PROTO;
	if (ruri)
		url = url_hdup(home, URL_STRING_MAKE(ruri)->us_url);
	if (!url)
		return ERR_PROTO;
	err = is_initial(d, code) ? 0 : put_routes(m, d, &url);
	if (err)
		return err;
	rq = sip_request_create(home, code, name, (const url_string_t *)url, NULL);
	if (!rq)
		return ERR_PROTO;
	rq->rq_url->url_headers = NULL;
	if (rq->rq_url->url_params)
		rq->rq_url->url_params = url_strip_param_string((char *)(uintptr_t)rq->rq_url->url_params, "method");
	return put(m, rq);
}

int sipua_msg_request(struct sipua_dialog *d, struct slice method, const char *ruri, int max_forwards, struct sipua_msg **ret)
{
	struct sipua_msg *m = make(d->ua);
	sip_max_forwards_t mf[1];
	int err;

	if (!m)
		return -ENOMEM;
	m->dialog = base_ref(d);
	sip_max_forwards_init(mf);
	mf->mf_count = max_forwards >= 0 ? (unsigned long)max_forwards : 70;
	err = put_request(m, d, method, ruri);
	if (!err)
		err = put_dup(m, mf);
	if (!err)
		err = put_parties(m, d);
	if (!err)
		err = put_dup(m, d->call_id);
	if (!err)
		err = put_dup(m, d->ua->user_agent);
	if (err) {
		sipua_msg_free(m);
		return err;
	}
	*ret = m;
	return 0;
}

int sipua_msg_finish(struct sipua_msg *m, uint32_t cseq)
{
	sip_request_t *rq = m->sip->sip_request;

	return put(m, sip_cseq_create(msg_home(m->msg), cseq, rq->rq_method, rq->rq_method_name));
}

/* ---- responses ---- */

int sipua_msg_response(struct sipua_srv *s, int status, const char *phrase, struct sipua_msg **ret)
{
	struct sipua_msg *m;
	const char *text = phrase && *phrase ? phrase : sip_status_phrase(status);
	int err;

	if (status < 100 || status > 699)
		return ERR_RANGE;
	m = make(s->ua);
	if (!m)
		return -ENOMEM;
	m->srv = s;
	m->status = status;
	err = put(m, sip_status_create(msg_home(m->msg), (unsigned)status, su_strdup(msg_home(m->msg), text ? text : "Unknown"), NULL));
	if (!err)
		err = put_dup(m, s->ua->server);
	if (err) {
		sipua_msg_free(m);
		return err;
	}
	*ret = m;
	return 0;
}

/* ---- headers and body ---- */

static bool is_one_line(struct slice v)
{
	return !memchr(v.p ? v.p : "", '\r', v.n) && !memchr(v.p ? v.p : "", '\n', v.n) && !memchr(v.p ? v.p : "", 0, v.n);
}

static bool is_token(const char *name)
{
	const char *p = name;

	while (*p && (isalnum((unsigned char)*p) || strchr("-.!%*_+`'~", *p)))
		p++;
	return p != name && !*p;
}

int sipua_msg_add(struct sipua_msg *m, const char *name, struct slice value)
{
	su_home_t *home = msg_home(m->msg);
	sip_unknown_t *un;
	char *text;
	size_t n = strlen(name);

	if (!is_token(name) || !is_one_line(value))
		return ERR_PROTO;
	un = (sip_unknown_t *)msg_header_alloc(home, sip_unknown_class, (isize_t)(n + value.n + 2));
	if (!un)
		return -ENOMEM;
	text = (char *)(un + 1);
	memcpy(text, name, n + 1);
	un->un_name = text;
	text += n + 1;
	memcpy(text, value.p ? value.p : "", value.n);
	text[value.n] = 0;
	un->un_value = text;
	return put(m, un);
}

/* on one line: folds are legal (RFC 3261 7.3.1), and many peers cannot read them */
static int carry_unfolded(struct sipua_msg *m, const struct wire_header *h)
{
	char name[64];

	return slice_copy(name, sizeof(name), h->name) ? sipua_msg_add(m, name, h->value) : put_dup(m, h->opaque);
}

int sipua_msg_carry(struct sipua_msg *m, const struct wire_header *h)
{
	if (h->folded && h->value.p)
		return carry_unfolded(m, h);
	return h->opaque ? put_dup(m, h->opaque) : ERR_PROTO;
}

int sipua_msg_body(struct sipua_msg *m, struct slice content_type, struct slice body)
{
	su_home_t *home = msg_home(m->msg);
	sip_payload_t *pl;
	int err;

	if (!is_one_line(content_type))
		return ERR_PROTO;
	if (body.n == 0)
		return 0;
	err = sipua_msg_add(m, "Content-Type", content_type);
	if (err)
		return err;
	pl = sip_payload_create(home, body.p, (isize_t)body.n);
	return put(m, pl);
}
