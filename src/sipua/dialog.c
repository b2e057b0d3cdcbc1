/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dialogs (RFC 3261 section 12): identifiers, CSeq, route set, remote target, the connection on which the peer speaks.
 * Knows no transaction and sends nothing.
 */
#include "sipua/police.h"

#include <stdio.h>
#include <stdlib.h>

#define CSEQ_FIRST_MAX 65536u
#define TAG_SIZE 33

static uint32_t callid_key(const char *id)
{
	return base_hash_bytes(id, strlen(id), sipua_hash_seed);
}

static bool tag_is(const char *tag, const char *other)
{
	return tag && other && strcasecmp(tag, other) == 0;
}

struct sipua_dialog *sipua_dialog_find(struct sipua *ua, const sip_t *sip)
{
	uint32_t key = callid_key(sip->sip_call_id->i_id);
	struct hash_node *n = base_hash_find(&ua->by_callid, key);

	for (; n; n = n->next) {
		struct sipua_dialog *d = container_of(n, struct sipua_dialog, by_callid);
		if (n->key != key || strcmp(d->call_id->i_id, sip->sip_call_id->i_id) || !tag_is(d->local->a_tag, sip->sip_to->a_tag))
			continue;
		/* a request may come before the first response that carries the peer's tag */
		if (!d->remote->a_tag || tag_is(d->remote->a_tag, sip->sip_from->a_tag) || (!d->confirmed && !d->uas))
			return d;
	}
	return NULL;
}

struct sipua_dialog *sipua_dialog_of_2xx(struct sipua *ua, const sip_t *sip)
{
	uint32_t key = callid_key(sip->sip_call_id->i_id);
	struct hash_node *n = base_hash_find(&ua->by_callid, key);

	for (; n; n = n->next) {
		struct sipua_dialog *d = container_of(n, struct sipua_dialog, by_callid);
		if (n->key == key && d->confirmed && !strcmp(d->call_id->i_id, sip->sip_call_id->i_id) &&
		    tag_is(d->local->a_tag, sip->sip_from->a_tag) && tag_is(d->remote->a_tag, sip->sip_to->a_tag))
			return d;
	}
	return NULL;
}

struct sipua_dialog *sipua_dialog_of_invite(struct sipua *ua, const sip_t *sip)
{
	uint32_t key = callid_key(sip->sip_call_id->i_id);
	struct hash_node *n = base_hash_find(&ua->by_callid, key);

	for (; n; n = n->next) {
		struct sipua_dialog *d = container_of(n, struct sipua_dialog, by_callid);
		if (n->key == key && d->uas && !strcmp(d->call_id->i_id, sip->sip_call_id->i_id) &&
		    tag_is(d->remote->a_tag, sip->sip_from->a_tag) && sip->sip_cseq->cs_seq <= d->cseq_remote)
			return d;
	}
	return NULL;
}

/* ---- life ---- */

static void forget_text(struct sipua_dialog *d)
{
	free(d->text);
	d->text = NULL;
}

static void unlink_dialog(struct sipua_dialog *d)
{
	if (!d->linked)
		return;
	base_hash_del(&d->ua->by_callid, &d->by_callid);
	list_del(&d->link);
	d->ua->figures.dialogs--;
	d->linked = false;
}

static void destroy(void *obj)
{
	struct sipua_dialog *d = obj;

	unlink_dialog(d);
	sipua_dialog_flow(d, NULL);
	base_unref(d->dest.tls);
	forget_text(d);
	free(d->ack_body);
	sipua_login_free(d->login);
	base_unref(d->policy);
	base_unref(d->other);
	base_unref(d->notes);
	free(d->allow);
	free(d->sdp_sent);
	su_home_deinit(d->home);
}

static struct sipua_dialog *make(struct sipua *ua, const struct sipua_dialog_ops *ops, void *arg)
{
	struct sipua_dialog *d = base_new(sizeof(*d), destroy);

	if (!d)
		return NULL;
	d->ua = ua;
	d->ops = ops;
	d->arg = arg;
	su_home_init(d->home);
	return d;
}

/* all identifiers are there: the peer's requests find it from now on */
static int enter(struct sipua_dialog *d, struct sipua_dialog **ret)
{
	if (!d->call_id || !d->local || !d->remote || !d->local->a_tag) {
		base_unref(d);
		return ERR_PROTO;
	}
	base_hash_add(&d->ua->by_callid, &d->by_callid, callid_key(d->call_id->i_id));
	list_add_tail(&d->ua->dialogs, &d->link);
	d->ua->figures.dialogs++;
	d->linked = true;
	*ret = d;
	return 0;
}

static void set_dest(struct sipua_dialog *d, const struct sipua_dest *dest)
{
	struct keys_tls *old = d->dest.tls;

	d->dest = *dest;
	if (d->dest.tls)
		base_ref(d->dest.tls);
	base_unref(old);
	d->dest.tls_name = NULL;
	if (dest->tls_name && slice_copy(d->dest_name, sizeof(d->dest_name), slice_str(dest->tls_name)))
		d->dest.tls_name = d->dest_name;
}

void sipua_dialog_flow(struct sipua_dialog *d, tport_t *conn)
{
	if (d->flow == conn)
		return;
	if (d->flow)
		tport_unref(d->flow);
	d->flow = conn ? tport_ref(conn) : NULL;
}

void sipua_dialog_free(struct sipua_dialog *d)
{
	if (!d)
		return;
	d->ops = NULL;
	unlink_dialog(d);
	base_unref(d);
}

/* ---- making one ---- */

static void set_routes(struct sipua_dialog *d, sip_route_t *route)
{
	if (d->route)
		msg_header_free_all(d->home, (msg_header_t *)d->route);
	d->route = route;
}

static void set_target(struct sipua_dialog *d, const url_t *url)
{
	url_t *copy = url_hdup(d->home, url);

	if (!copy)
		return;
	if (d->target)
		su_free(d->home, d->target);
	d->target = copy;
	d->target->url_headers = NULL;
	forget_text(d);
}

static const url_t *contact_of(const sip_t *sip)
{
	const sip_contact_t *m = sip->sip_contact;

	return m && m->m_url->url_type != url_any && m->m_url->url_host ? m->m_url : NULL;
}

int sipua_dialog_new_uas(struct sipua_srv *srv, const struct sipua_dialog_ops *ops, void *arg, struct sipua_dialog **ret)
{
	struct sipua_dialog *d = make(srv->ua, ops, arg);
	const sip_t *sip = srv->sip;
	struct sipua_dest dest = { .listener = srv->path.listener, .transport = srv->path.transport, .addr = srv->path.source };
	int err;

	if (!d)
		return -ENOMEM;
	d->uas = true;
	d->call_id = sip_call_id_dup(d->home, sip->sip_call_id);
	d->local = sip_from_dup(d->home, (const sip_from_t *)sip->sip_to);
	d->remote = sip_to_dup(d->home, (const sip_to_t *)sip->sip_from);
	if (d->local && !d->local->a_tag)
		sip_from_tag(d->home, d->local, srv->tag);
	set_routes(d, sip_route_fixdup(d->home, (const sip_route_t *)sip->sip_record_route));
	if (contact_of(sip))
		set_target(d, contact_of(sip));
	d->cseq_remote = sip->sip_cseq->cs_seq;
	d->cseq_local = base_random_below(CSEQ_FIRST_MAX);
	set_dest(d, &dest);
	sipua_dialog_flow(d, srv->flow);
	d->policy = srv->policy ? base_ref(srv->policy) : NULL;
	d->notes = srv->notes ? base_ref(srv->notes) : NULL;
	err = enter(d, ret);
	if (!err && d->policy && !srv->dialog)
		srv->dialog = base_ref(d);
	if (!err && srv->copy)
		sipua_police_heard(d, srv->sip, sip_object(srv->copy));
	return err;
}

void sipua_dialog_identity(struct sipua_dialog *d, const sip_t *sip)
{
	sip_from_t *from = sip_from_dup(d->home, sip->sip_from);
	sip_to_t *to = sip_to_dup(d->home, sip->sip_to);

	if (!from || !to || !from->a_tag || !d->local->a_tag || strcmp(from->a_tag, d->local->a_tag) != 0)
		return;
	if (!d->local_made) {
		d->local_made = d->local;
		d->remote_made = d->remote;
	}
	d->local = from;
	d->remote = to;
	forget_text(d);
}

static void set_call_id(struct sipua_dialog *d)
{
	char id[33];

	base_random_token(id, sizeof(id));
	d->call_id = sip_call_id_make(d->home, id);
}

int sipua_dialog_new_uac(struct sipua *ua, struct slice from, struct slice to, const struct sipua_dest *dest,
	const struct sipua_dialog_ops *ops, void *arg, struct sipua_dialog **ret)
{
	struct sipua_dialog *d = make(ua, ops, arg);
	char tag[TAG_SIZE];

	if (!d)
		return -ENOMEM;
	base_random_token(tag, sizeof(tag));
	set_call_id(d);
	d->local = sip_from_format(d->home, "%.*s;tag=%s", (int)from.n, from.p, tag);
	d->remote = sip_to_format(d->home, "%.*s", (int)to.n, to.p);
	d->cseq_local = base_random_below(CSEQ_FIRST_MAX);
	set_dest(d, dest);
	return enter(d, ret);
}

int sipua_dialog_restore(struct sipua *ua, const struct sipua_dialog_state *st, const struct sipua_dialog_ops *ops, void *arg,
	struct sipua_dialog **ret)
{
	struct sipua_dialog *d = make(ua, ops, arg);
	url_t *url;

	if (!d)
		return -ENOMEM;
	d->call_id = sip_call_id_format(d->home, "%.*s", (int)st->call_id.n, st->call_id.p);
	d->local = sip_from_format(d->home, "%.*s", (int)st->local.n, st->local.p);
	d->remote = sip_to_format(d->home, "%.*s", (int)st->remote.n, st->remote.p);
	if (!slice_empty(st->target)) {
		url = url_format(d->home, "%.*s", (int)st->target.n, st->target.p);
		if (url && url->url_host)
			set_target(d, url);
	}
	if (!slice_empty(st->routes))
		set_routes(d, sip_route_format(d->home, "%.*s", (int)st->routes.n, st->routes.p));
	d->cseq_local = st->cseq_local;
	d->cseq_remote = st->cseq_remote;
	d->confirmed = st->confirmed;
	d->uas = st->uas;
	d->no_timer = st->no_timer;
	d->stripped = st->stripped;
	d->stripped_in = st->stripped_in;
	d->allow = slice_empty(st->allow) ? NULL : base_dup(st->allow);
	set_dest(d, &st->dest);
	return enter(d, ret);
}

/* ---- change ---- */

int sipua_dialog_establish(struct sipua_dialog *d, const struct wire_sip *response)
{
	const sip_t *sip = sipua_sip(response);
	const char *tag = sip->sip_to->a_tag;
	bool final = sip->sip_status->st_status >= 200;

	if (!tag || !sip->sip_status)
		return ERR_PROTO;
	if (d->confirmed && !tag_is(d->remote->a_tag, tag))
		return ERR_WRONGSTATE;
	if (!tag_is(d->remote->a_tag, tag)) {
		msg_header_free(d->home, (msg_header_t *)d->remote);
		d->remote = sip_to_dup(d->home, sip->sip_to);
		if (!d->remote)
			return -ENOMEM;
	}
	set_routes(d, sip_route_reverse(d->home, (const sip_route_t *)sip->sip_record_route));
	if (contact_of(sip))
		set_target(d, contact_of(sip));
	d->confirmed |= final;
	forget_text(d);
	return 0;
}

void sipua_dialog_refresh_target(struct sipua_dialog *d, const struct wire_sip *sip)
{
	const url_t *url = contact_of(sipua_sip(sip));

	if (url)
		set_target(d, url);
}

void sipua_dialog_confirm(struct sipua_dialog *d)
{
	d->confirmed = true;
}

void sipua_dialog_pin(struct sipua_dialog *d, const struct sipua_dest *dest)
{
	d->pinned = dest != NULL;
	if (dest)
		set_dest(d, dest);
}

void sipua_dialog_set_nat(struct sipua_dialog *d, bool on)
{
	d->nat = on;
}

void sipua_dialog_set_udp_max(struct sipua_dialog *d, unsigned bytes)
{
	d->udp_max = bytes;
}

void sipua_dialog_bind(struct sipua_dialog *d, const struct sipua_dialog_ops *ops, void *arg)
{
	d->ops = ops;
	d->arg = arg;
}

bool sipua_dialog_is_uas(const struct sipua_dialog *d)
{
	return d->uas;
}

bool sipua_dialog_has_peer(const struct sipua_dialog *d)
{
	return d->remote->a_tag != NULL;
}

static bool tag_eq(const char *tag, struct slice other)
{
	return tag && slice_eq_nocase(slice_str(tag), other);
}

void *sipua_dialog_owner(const struct sipua *ua, const struct sipua_dialog_ops *ops, struct slice call_id, struct slice local_tag, struct slice remote_tag)
{
	uint32_t key = base_hash_bytes(call_id.p, call_id.n, sipua_hash_seed);
	struct hash_node *n = base_hash_find(&ua->by_callid, key);

	for (; n; n = n->next) {
		struct sipua_dialog *d = container_of(n, struct sipua_dialog, by_callid);
		if (n->key == key && d->ops == ops && slice_eq(slice_str(d->call_id->i_id), call_id) && tag_eq(d->local->a_tag, local_tag) &&
		    tag_eq(d->remote->a_tag, remote_tag))
			return d->arg;
	}
	return NULL;
}

/* the dialog that a 2xx has made, if nobody wants it: only to say ACK and BYE in it */
int sipua_dialog_of_response(struct sipua *ua, const sip_t *sip, const struct sipua_path *path, struct sipua_dialog **ret)
{
	struct sipua_dialog *d = make(ua, NULL, NULL);
	struct sipua_dest dest = { .listener = path->listener, .transport = path->transport, .addr = path->source };

	if (!d)
		return -ENOMEM;
	d->call_id = sip_call_id_dup(d->home, sip->sip_call_id);
	d->local = sip_from_dup(d->home, sip->sip_from);
	d->remote = sip_to_dup(d->home, sip->sip_to);
	set_routes(d, sip_route_reverse(d->home, (const sip_route_t *)sip->sip_record_route));
	if (contact_of(sip))
		set_target(d, contact_of(sip));
	d->cseq_local = sip->sip_cseq->cs_seq;
	d->confirmed = true;
	set_dest(d, &dest);
	return enter(d, ret);
}

/* ---- what a record needs ---- */

static void add_header(struct text *t, const void *header)
{
	char *s = sip_header_as_string(NULL, header);

	if (s)
		text_add(t, "%s", s);
	su_free(NULL, s);
}

static void print_text(struct sipua_dialog *d)
{
	enum { SIZE = 16384 };
	char buf[SIZE];
	struct text t = text_on(buf, sizeof(buf));
	size_t at[4];

	at[0] = t.n;
	add_header(&t, d->local);
	at[1] = t.n;
	add_header(&t, d->remote);
	at[2] = t.n;
	if (d->target) {
		char url[2048];
		url_e(url, sizeof(url), d->target);
		text_add(&t, "%s", url);
	}
	at[3] = t.n;
	for (const sip_route_t *r = d->route; r; r = r->r_next) {
		char url[2048];
		url_e(url, sizeof(url), r->r_url);
		text_add(&t, "%s<%s>", r == d->route ? "" : ", ", url);
	}
	d->text = base_dup(text_get(&t));
	if (!d->text)
		return;
	d->t_local = (struct slice){ d->text + at[0], at[1] - at[0] };
	d->t_remote = (struct slice){ d->text + at[1], at[2] - at[1] };
	d->t_target = (struct slice){ d->text + at[2], at[3] - at[2] };
	d->t_route = (struct slice){ d->text + at[3], t.n - at[3] };
}

void sipua_dialog_get(const struct sipua_dialog *cd, struct sipua_dialog_state *ret)
{
	struct sipua_dialog *d = (struct sipua_dialog *)(uintptr_t)cd; /* only what is cached changes */

	memset(ret, 0, sizeof(*ret));
	if (!d->text)
		print_text(d);
	ret->call_id = slice_str(d->call_id->i_id);
	if (d->text) {
		ret->local = d->t_local;
		ret->remote = d->t_remote;
		ret->target = d->t_target;
		ret->routes = d->t_route;
	}
	ret->cseq_local = d->cseq_local;
	ret->cseq_remote = d->cseq_remote;
	ret->dest = d->dest;
	ret->confirmed = d->confirmed;
	ret->uas = d->uas;
	ret->no_timer = d->no_timer;
	ret->stripped = d->stripped;
	ret->stripped_in = d->stripped_in;
	ret->allow = slice_str(d->allow);
}

struct slice sipua_dialog_call_id(const struct sipua_dialog *d)
{
	return slice_str(d->call_id->i_id);
}

uint32_t sipua_dialog_next_cseq(const struct sipua_dialog *d)
{
	return d->cseq_local + 1;
}
