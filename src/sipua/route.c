/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a request goes: RFC 3261 sections 8.1.2 and 12.2.1.1, numeric only. First the connection on which the peer
 * speaks, then the route set, the remote target, and last the dialog's own destination. Resolves nothing.
 */
#include "sipua/priv.h"
#include "sipua/guard/guard.h"

#include <stdio.h>
#include <stdlib.h>

#define TLS_DESTS_MAX 4096
#define CANON_SUFFIX ".tls.invalid"

/* ---- TLS destinations: name and context, as a host name that exists nowhere; it is what Sofia keeps connections by ---- */

static bool same_tls(const struct sipua_tls_dest *t, const struct keys_tls *tls, const char *name)
{
	return t->tls == tls && strcmp(t->name, name ? name : "") == 0;
}

static int tls_index(struct sipua *ua, struct keys_tls *tls, const char *name, size_t *ret)
{
	struct sipua_tls_dest *more;
	size_t i;

	for (i = 0; i < ua->ntls; i++)
		if (same_tls(&ua->tls[i], tls, name)) {
			*ret = i;
			return 0;
		}
	if (i >= TLS_DESTS_MAX)
		return ERR_FULL;
	more = realloc(ua->tls, (i + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	ua->tls = more;
	memset(&more[i], 0, sizeof(more[i]));
	if (!slice_copy(more[i].name, sizeof(more[i].name), slice_str(name ? name : "")))
		return ERR_RANGE;
	more[i].tls = base_ref(tls);
	ua->ntls++;
	*ret = i;
	return 0;
}

const struct sipua_tls_dest *sipua_tls_dest_by_canon(struct sipua *ua, const char *canon)
{
	unsigned long i;
	char *end;

	if (!canon || *canon != 't')
		return NULL;
	i = strtoul(canon + 1, &end, 10);
	return strcmp(end, CANON_SUFFIX) == 0 && i < ua->ntls ? &ua->tls[i] : NULL;
}

static struct keys_tls *tls_of(struct sipua *ua, const struct sipua_dest *dest)
{
	if (dest->tls)
		return dest->tls;
	if (ua->lst[dest->listener].tls)
		return ua->lst[dest->listener].tls;
	if (!ua->tls_default)
		keys_tls_default(&ua->tls_default);
	return ua->tls_default;
}

/* ---- a destination as nta takes it ---- */

static int way_to(struct sipua *ua, const struct sipua_dest *dest, struct sipua_way *w)
{
	static const char *const params[] = { "transport=udp", "transport=tcp", "transport=tls" };
	struct keys_tls *tls;
	char host[48];
	size_t i;
	int err;

	if (dest->listener >= ua->n || !ua->tp[dest->listener].primary || dest->addr.sa.sa_family != ua->lst[dest->listener].addr.sa.sa_family)
		return ERR_RANGE;
	memset(&w->url, 0, sizeof(w->url));
	w->conn = NULL;
	w->large = false;
	w->dest = *dest;
	w->ident = ua->tp[dest->listener].ident;
	w->url.url_type = url_sip;
	w->url.url_scheme = "sip";
	snprintf(w->port, sizeof(w->port), "%u", base_addr_port(&dest->addr));
	w->url.url_port = w->port;
	w->url.url_host = w->host;
	w->url.url_params = params[dest->transport];
	base_addr_host(&dest->addr, true, host);
	if (dest->transport != SIPUA_TLS) {
		snprintf(w->host, sizeof(w->host), "%s", host);
		return 0;
	}
	tls = tls_of(ua, dest);
	if (!tls)
		return ERR_CONFIG;
	err = tls_index(ua, tls, dest->tls_name, &i);
	if (err)
		return err;
	snprintf(w->host, sizeof(w->host), "t%zu" CANON_SUFFIX, i);
	snprintf(w->maddr, sizeof(w->maddr), "transport=tls;maddr=%s", host);
	w->url.url_params = w->maddr;
	return 0;
}

/* a listener of this transport and family: the dialog's own, else one on the same address */
static bool find_listener(struct sipua *ua, unsigned like, enum sipua_transport t, unsigned *ret)
{
	const struct sipua_listener *own = &ua->lst[like];

	if (own->transport == t) {
		*ret = like;
		return true;
	}
	for (unsigned i = 0; i < ua->n; i++)
		if (ua->tp[i].primary && !ua->tp[i].gone && ua->lst[i].transport == t && base_addr_same_host(&ua->lst[i].addr, &own->addr)) {
			*ret = i;
			return true;
		}
	return false;
}

static bool transport_of(const url_t *url, enum sipua_transport *ret)
{
	char value[8] = "";

	*ret = url->url_type == url_sips ? SIPUA_TLS : SIPUA_UDP;
	if (!url->url_params || !url_param(url->url_params, "transport=", value, sizeof(value)))
		return true;
	for (unsigned t = SIPUA_UDP; t <= SIPUA_TLS; t++)
		if (strcasecmp(value, sipua_transport_name(t)) == 0) {
			*ret = *ret == SIPUA_TLS ? SIPUA_TLS : t; /* sips over tcp is TLS */
			return true;
		}
	return false;
}

/* host and port as numbers; a maddr counts as the host (RFC 3263 section 4) */
static bool addr_of_url(const url_t *url, uint16_t port, union base_addr *ret)
{
	char maddr[64] = "";
	const char *host = url->url_host;
	uint64_t given = 0;

	if (url->url_params && url_param(url->url_params, "maddr=", maddr, sizeof(maddr)) > 1 && *maddr)
		host = maddr;
	if (url->url_port && *url->url_port && slice_u64(slice_str(url->url_port), 65535, &given))
		return false;
	return base_addr_parse(slice_str(host), given ? (uint16_t)given : port, ret) == 0 && !base_addr_is_any(ret);
}

static bool dest_of_url(struct sipua_dialog *d, const url_t *url, struct sipua_dest *ret)
{
	if (!url->url_host || (url->url_type != url_sip && url->url_type != url_sips) || !transport_of(url, &ret->transport))
		return false;
	if (!addr_of_url(url, ret->transport == SIPUA_TLS ? 5061 : 5060, &ret->addr))
		return false;
	if (!find_listener(d->ua, d->dest.listener, ret->transport, &ret->listener))
		return false;
	if (ret->addr.sa.sa_family != d->ua->lst[ret->listener].addr.sa.sa_family)
		return false;
	ret->tls = d->dest.tls;
	ret->tls_name = d->dest.tls_name;
	return true;
}

bool sipua_is_private(const char *host)
{
	union base_addr a;

	return host && !base_addr_parse(slice_str(host), 0, &a) && base_addr_is_private(&a);
}

/** A private Contact of a peer that speaks from another address: it is behind a NAT, and so is its Contact. */
static bool is_behind_nat(const struct sipua_dialog *d)
{
	union base_addr a;

	if (!d->nat || d->route || !d->target || !sipua_is_private(d->target->url_host))
		return false;
	return base_addr_parse(slice_str(d->target->url_host), 0, &a) || !base_addr_same_host(&a, &d->dest.addr);
}

int sipua_way_of(struct sipua_dialog *d, const struct sipua_dest *dest, struct sipua_way *ret)
{
	struct sipua_dest found = { 0 };
	const url_t *url = d->route ? d->route->r_url : d->target;

	if (dest)
		return way_to(d->ua, dest, ret);
	if (d->flow && tport_is_clear_to_send(d->flow)) {
		memset(&ret->url, 0, sizeof(ret->url));
		ret->conn = d->flow;
		ret->ident = NULL;
		ret->large = false;
		return 0;
	}
	if (!d->pinned && !is_behind_nat(d) && url && dest_of_url(d, url, &found))
		return way_to(d->ua, &found, ret);
	return way_to(d->ua, &d->dest, ret);
}

#define VIA_BYTES 160            /* that the library adds */

void sipua_way_for(struct sipua_dialog *d, msg_t *msg, struct sipua_way *w)
{
	struct sipua_dest tcp = w->dest;
	int size = -1;
	msg_t *copy;

	if (!d->udp_max || w->conn || w->dest.transport != SIPUA_UDP)
		return;
	copy = msg_dup(msg); /* the library prints its own later, with what it adds */
	if (copy && msg_serialize(copy, msg_object(copy)) >= 0)
		size = msg_prepare(copy);
	msg_destroy(copy);
	if (size < 0 || (size_t)size + VIA_BYTES <= d->udp_max || !find_listener(d->ua, tcp.listener, SIPUA_TCP, &tcp.listener))
		return;
	tcp.transport = SIPUA_TCP;
	w->large = way_to(d->ua, &tcp, w) == 0;
}
