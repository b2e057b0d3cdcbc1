/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dialogs named in requests: Refer-To (RFC 3515) and Replaces (RFC 3891). A peer names the dialogs that it has with us; the other side is told
 * of those that it has with us. A Refer-To leads to us, so that the call that it asks for comes this way.
 */
#include <stdio.h>

#include "call/b2b.h"

#define REPLACES_MAX 1024

static const char *tag_of(const struct sipua_dialog_state *st, bool local, struct slice *ret)
{
	struct wire_addr a;

	*ret = (struct slice){ NULL, 0 };
	if (!wire_addr_parse(local ? st->local : st->remote, &a))
		*ret = wire_param(a.params, "tag");
	return ret->p;
}

struct replaces { struct slice call_id, to_tag, from_tag; bool early; };

static int replaces_read(struct slice v, struct replaces *r)
{
	const char *semi = memchr(v.p, ';', v.n);
	struct slice params;

	if (!semi)
		return ERR_PROTO;
	r->call_id = (struct slice){ v.p, (size_t)(semi - v.p) };
	while (r->call_id.n && strchr(" \t", r->call_id.p[r->call_id.n - 1]))
		r->call_id.n--;
	params = (struct slice){ semi + 1, v.n - (size_t)(semi + 1 - v.p) };
	r->to_tag = wire_param(params, "to-tag");
	r->from_tag = wire_param(params, "from-tag");
	r->early = wire_param(params, "early-only").p != NULL;
	return r->call_id.n && r->to_tag.n && r->from_tag.n ? 0 : ERR_PROTO;
}

/** The same dialog as the peer of that leg would name it: what is local to it is remote to us. */
static bool replaces_print(struct text *t, const struct call_leg *leg, bool early)
{
	struct sipua_dialog_state st;
	struct slice local, remote;

	if (!leg->dialog)
		return false;
	sipua_dialog_get(leg->dialog, &st);
	if (!tag_of(&st, true, &local) || !tag_of(&st, false, &remote))
		return false;
	text_slice(t, st.call_id);
	text_add(t, ";to-tag=");
	text_slice(t, remote);
	text_add(t, ";from-tag=");
	text_slice(t, local);
	text_add(t, "%s", early ? ";early-only" : "");
	return !t->cut;
}

/** A Replaces for the other side. ERR_NOTFOUND: it names no dialog of ours. */
static int replaces_cross(struct call_engine *e, struct slice v, struct text *t)
{
	struct replaces r;
	struct call_leg *leg;
	int err = replaces_read(v, &r);

	if (err)
		return err;
	leg = sipua_dialog_owner(e->ua, &call_dialog_ops, r.call_id, r.to_tag, r.from_tag);
	if (leg)
		return replaces_print(t, call_other(leg), r.early) ? 0 : ERR_NOTFOUND;
	/* one that we have told of already: it is the other end's own */
	if (!sipua_dialog_owner(e->ua, &call_dialog_ops, r.call_id, r.from_tag, r.to_tag))
		return ERR_NOTFOUND;
	text_slice(t, v);
	return t->cut ? ERR_FULL : 0;
}

/** RFC 3891 section 3: one Replaces, and no Join beside it. */
static bool is_single(const struct wire_sip *sip, struct slice v)
{
	struct wire_headers it;
	struct wire_header h;
	unsigned n = 0;

	wire_sip_headers(sip, &it);
	while (wire_headers_next(&it, &h))
		n += slice_eq_nocase(h.name, SLICE("Replaces")) || slice_eq_nocase(h.name, SLICE("Join"));
	return n == 1 && !memchr(v.p, ',', v.n);
}

int call_transfer_aim(struct call_engine *e, const struct wire_sip *sip, struct call_aim *ret)
{
	char buf[REPLACES_MAX];
	struct slice v = wire_sip_header(sip, "Replaces", buf, sizeof buf);
	struct replaces r;

	*ret = (struct call_aim){ .leg = NULL };
	if (!v.p)
		return 0;
	if (!is_single(sip, v) || replaces_read(v, &r))
		return 400;
	ret->early_only = r.early;
	ret->leg = sipua_dialog_owner(e->ua, &call_dialog_ops, r.call_id, r.to_tag, r.from_tag);
	if (!ret->leg)
		ret->far = sipua_dialog_owner(e->ua, &call_dialog_ops, r.call_id, r.from_tag, r.to_tag);
	return ret->leg || ret->far ? 0 : 481;
}

bool call_transfer_passes(struct call_engine *e, const struct call_aim *aim, const struct peer_dest *dest)
{
	static struct peer_plan plan;
	const char *owner = aim->far->trunk->conf->id;
	unsigned i;

	if (aim->far->replaces == 1)
		return false; /* its owner says that it cannot */
	if (dest->trunk)
		return !strcmp(dest->trunk->conf->id, owner);
	peer_plan(e->plane, dest, &plan);
	for (i = 0; i < plan.n; i++)
		if (!strcmp(plan.way[i].trunk->conf->id, owner))
			return true;
	return false;
}

int call_transfer_replaces(struct sipua_msg *msg, const struct wire_sip *sip, const struct call_leg *to)
{
	char buf[REPLACES_MAX], out[REPLACES_MAX];
	struct text t = text_on(out, sizeof out);
	struct slice v = wire_sip_header(sip, "Replaces", buf, sizeof buf);

	if (!v.p)
		return 0;
	return replaces_cross(to->call->eng, v, &t) ? ERR_NOTFOUND : sipua_msg_add(msg, "Replaces", text_get(&t));
}

/* ---- Refer-To ---- */

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

static struct slice unescape(struct slice v, char *buf, size_t size)
{
	size_t i, n = 0;

	for (i = 0; i < v.n && n < size; i++) {
		int a = v.p[i] == '%' && i + 2 < v.n + 0 ? hex(v.p[i + 1]) : -1, b = a >= 0 ? hex(v.p[i + 2]) : -1;

		if (b >= 0) {
			buf[n++] = (char)(a << 4 | b);
			i += 2;
		} else {
			buf[n++] = v.p[i];
		}
	}
	return (struct slice){ buf, n };
}

static void add_escaped(struct text *t, struct slice v)
{
	size_t i;

	for (i = 0; i < v.n; i++) {
		unsigned char c = (unsigned char)v.p[i];

		if ((c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || strchr("-_.!~*'()", c))
			text_add(t, "%c", c);
		else
			text_add(t, "%%%02X", c);
	}
}

/** Headers of the URI: Replaces for the other side, the rest as it is. */
static void add_headers(struct text *t, struct slice headers, struct call_engine *e)
{
	char raw[REPLACES_MAX], out[REPLACES_MAX];
	bool first = true;
	size_t n;

	for (; headers.n; headers.p += n, headers.n -= n) {
		const char *amp = memchr(headers.p, '&', headers.n), *eq;
		struct slice one = { headers.p, amp ? (size_t)(amp - headers.p) : headers.n };
		struct text r = text_on(out, sizeof out);

		n = amp ? one.n + 1 : one.n;
		eq = memchr(one.p, '=', one.n);
		if (!eq)
			continue;
		if (slice_eq_nocase((struct slice){ one.p, (size_t)(eq - one.p) }, SLICE("Replaces"))) {
			struct slice v = unescape((struct slice){ eq + 1, one.n - (size_t)(eq + 1 - one.p) }, raw, sizeof raw);

			if (replaces_cross(e, v, &r))
				continue;
			text_add(t, "%sReplaces=", first ? "?" : "&");
			add_escaped(t, text_get(&r));
		} else {
			text_add(t, "%s", first ? "?" : "&");
			text_slice(t, one);
		}
		first = false;
	}
}

static bool is_sip(struct slice scheme)
{
	return slice_eq_nocase(scheme, SLICE("sip")) || slice_eq_nocase(scheme, SLICE("sips"));
}

int call_transfer_add(struct sipua_msg *msg, const struct wire_sip *sip, const struct call_leg *to)
{
	static char buf[CALL_HEADER_MAX], out[CALL_HEADER_MAX];
	struct call_engine *e = to->call->eng;
	struct slice v = wire_sip_header(sip, "Refer-To", buf, sizeof buf), p;
	struct text t = text_on(out, sizeof out);
	struct wire_addr a;

	if (!v.p)
		return 0;
	if (wire_addr_parse(v, &a) || !is_sip(a.uri.scheme))
		return sipua_msg_add(msg, "Refer-To", v);
	text_add(&t, "<");
	text_slice(&t, a.uri.scheme);
	text_add(&t, ":");
	if (a.uri.user.n) {
		text_slice(&t, a.uri.user);
		text_add(&t, "@");
	}
	text_add(&t, "%s", sipua_advertised(e->ua, to->listener));
	if (to->transport != SIPUA_UDP)
		text_add(&t, ";transport=%s", sipua_transport_name(to->transport));
	p = wire_param(a.uri.params, "method");
	if (p.n) {
		text_add(&t, ";method=");
		text_slice(&t, p);
	}
	if (slice_eq_nocase(wire_param(a.uri.params, "user"), SLICE("phone")))
		text_add(&t, ";user=phone");
	add_headers(&t, a.uri.headers, e);
	text_add(&t, ">");
	return t.cut ? ERR_FULL : sipua_msg_add(msg, "Refer-To", text_get(&t));
}
