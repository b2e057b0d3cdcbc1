/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks across the options of system, realms, listeners, trunks, groups and routes (design.md section 4).
 * They run on documents with errors too: what could not be parsed is NULL or 0 and is passed over.
 */
#include <stdlib.h>

#include "peer/schema.h"
#include "postern/keys.h"
#include "postern/peer.h"

const char *peer_schema_at(const struct conf_doc *doc, const struct conf_collection *c, const void *obj, const char *key, char buf[static PEER_AT_MOST])
{
	struct text t = text_on(buf, PEER_AT_MOST);
	char at[128];

	text_add(&t, "%s/%s", conf_pointer(doc, c, obj, at), key);
	return buf;
}

static bool same_text(const char *a, const char *b)
{
	return a && b && !strcmp(a, b);
}

static bool parse_address(const char *text, union base_addr *ret)
{
	return text && !base_addr_parse(slice_str(text), 0, ret);
}

static bool same_address(const char *a, const char *b)
{
	union base_addr x, y;

	return parse_address(a, &x) && parse_address(b, &y) && base_addr_same_host(&x, &y);
}

/** Unspecified, multicast or broadcast: no address of a host. */
static bool no_host(const char *text)
{
	union base_addr a;

	if (!parse_address(text, &a))
		return false;
	if (a.sa.sa_family == AF_INET6)
		return base_addr_is_any(&a) || IN6_IS_ADDR_MULTICAST(&a.in6.sin6_addr);
	return base_addr_is_any(&a) || ntohl(a.in.sin_addr.s_addr) >= 0xe0000000u;
}

/* ---- system ---- */
static bool is_loopback(const char *text)
{
	union base_addr a;

	if (!parse_address(text, &a))
		return true;
	if (a.sa.sa_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&a.in6.sin6_addr);
	return ntohl(a.in.sin_addr.s_addr) >> 24 == 127;
}

static bool has_certificate(const struct conf_doc *doc, const char *profile)
{
	const struct keys_tls_conf *t = conf_find(doc, &keys_schema_tls_profiles, profile);

	return !t || t->certificate;
}

void peer_schema_check_system(const struct conf_doc *doc, struct conf_errors *errs)
{
	size_t n;
	const struct peer_system_conf *s = conf_objects(doc, &peer_schema_system, &n)[0];

	if (!s->api.tls && !is_loopback(s->api.address))
		conf_error(errs, "/system/api/tls", "must name a TLS profile where the API's address is not a loopback one: %s", s->api.address);
	if (!has_certificate(doc, s->api.tls))
		conf_error(errs, "/system/api/tls", "names a TLS profile without certificate and key");
}

/* ---- realms ---- */
struct family { const char *key; size_t at; int family; };
static const struct family families[] = {
	{ "media/address", offsetof(struct peer_realm_conf, ports.address), AF_INET },
	{ "media/address6", offsetof(struct peer_realm_conf, ports.address6), AF_INET6 },
	{ "media/advertise", offsetof(struct peer_realm_conf, ports.advertise), AF_INET },
	{ "media/advertise6", offsetof(struct peer_realm_conf, ports.advertise6), AF_INET6 },
};

static const char *realm_address(const struct peer_realm_conf *r, const struct family *f)
{
	return *(const char *const *)(const void *)((const char *)r + f->at);
}

static void realm_addresses(const struct conf_doc *doc, const struct peer_realm_conf *r, struct conf_errors *errs)
{
	char at[PEER_AT_MOST];
	union base_addr a;
	size_t i;

	if (conf_given(doc, &peer_schema_realms, r, "media") && !conf_given(doc, &peer_schema_realms, r, "media/address") &&
	    !conf_given(doc, &peer_schema_realms, r, "media/address6"))
		conf_error(errs, peer_schema_at(doc, &peer_schema_realms, r, "media/address", at), "is missing: a realm needs address, address6 or both");
	for (i = 0; i < ARRAY_LEN(families); i++) {
		const char *text = realm_address(r, &families[i]);

		peer_schema_at(doc, &peer_schema_realms, r, families[i].key, at);
		if (parse_address(text, &a) && a.sa.sa_family != families[i].family)
			conf_error(errs, at, "must be an %s address", families[i].family == AF_INET ? "IPv4" : "IPv6");
		else if (no_host(text))
			conf_error(errs, at, "must be an address of one host; %s cannot stand in SDP", text);
	}
}

/* Whether they are enough, and free on this machine, is for the one that opens them to say. */
static void realm_ports(const struct conf_doc *doc, const struct peer_realm_conf *r, struct conf_errors *errs)
{
	char at[PEER_AT_MOST];

	if (!r->ports.port_min || !r->ports.port_max)
		return;
	if (r->ports.port_min % 2)
		conf_error(errs, peer_schema_at(doc, &peer_schema_realms, r, "media/port_min", at), "must be even: RTP takes even ports (RFC 3550 section 11)");
	if (r->ports.port_min >= r->ports.port_max)
		conf_error(errs, peer_schema_at(doc, &peer_schema_realms, r, "media/port_max", at), "must be greater than port_min, which is %lld", (long long)r->ports.port_min);
}

static bool ports_overlap(const struct peer_realm_conf *a, const struct peer_realm_conf *b)
{
	return a->ports.port_min && b->ports.port_min && a->ports.port_max && b->ports.port_max &&
		a->ports.port_min <= (b->ports.port_max | 1) && b->ports.port_min <= (a->ports.port_max | 1);
}

static void realm_overlaps(const struct conf_doc *doc, const void *const *obj, size_t i, struct conf_errors *errs)
{
	const struct peer_realm_conf *r = obj[i], *q;
	char at[PEER_AT_MOST];
	size_t k;

	for (k = 0; k < i; k++) {
		q = obj[k];
		if (!ports_overlap(r, q) || (!same_address(r->ports.address, q->ports.address) && !same_address(r->ports.address6, q->ports.address6)))
			continue;
		conf_error(errs, peer_schema_at(doc, &peer_schema_realms, r, "media/port_min", at), "the range %lld-%lld overlaps %lld-%lld of realm \"%s\" on the same address",
			(long long)r->ports.port_min, (long long)r->ports.port_max, (long long)q->ports.port_min, (long long)q->ports.port_max, q->id ? q->id : "?");
	}
}

void peer_schema_check_realms(const struct conf_doc *doc, struct conf_errors *errs)
{
	size_t n, i;
	const void *const *obj = conf_objects(doc, &peer_schema_realms, &n);

	for (i = 0; i < n; i++) {
		realm_addresses(doc, obj[i], errs);
		realm_ports(doc, obj[i], errs);
		realm_overlaps(doc, obj, i, errs);
	}
}

/* ---- listeners ---- */
static void listener_tls(const struct conf_doc *doc, const struct peer_listener_conf *l, struct conf_errors *errs)
{
	char at[PEER_AT_MOST];
	const struct keys_tls_conf *t = conf_find(doc, &keys_schema_tls_profiles, l->tls);

	if (!conf_given(doc, &peer_schema_listeners, l, "transport"))
		return;
	peer_schema_at(doc, &peer_schema_listeners, l, "tls", at);
	if (l->transport == CONF_TLS && !conf_given(doc, &peer_schema_listeners, l, "tls"))
		conf_error(errs, at, "is missing: a listener with transport tls needs a TLS profile");
	else if (l->transport != CONF_TLS && l->tls)
		conf_error(errs, at, "goes with transport tls alone");
	else if (t && !t->certificate)
		conf_error(errs, at, "names a TLS profile without certificate and key");
	else if (t && !t->ca && (t->verify == KEYS_VERIFY_OPTIONAL || t->verify == KEYS_VERIFY_REQUIRED))
		conf_warn(errs, at, "checks the peers' certificates against the system's trust anchors, since TLS profile \"%s\" names no ca", t->id ? t->id : "?");
}

/** One socket cannot be two listeners; TLS is TCP underneath. */
static bool same_socket(const struct peer_listener_conf *a, const struct peer_listener_conf *b)
{
	return a->port && a->port == b->port && (a->transport == CONF_UDP) == (b->transport == CONF_UDP) && same_address(a->address, b->address);
}

static void listener_media(const struct conf_doc *doc, const struct peer_listener_conf *l, const char *at, struct conf_errors *errs)
{
	size_t n, i;
	const void *const *realm = conf_objects(doc, &peer_schema_realms, &n);

	for (i = 0; i < n; i++) {
		const struct peer_realm_conf *r = realm[i];

		if (!l->port || l->port < r->ports.port_min || l->port > (r->ports.port_max | 1))
			continue;
		if (same_address(l->address, r->ports.address) || same_address(l->address, r->ports.address6))
			conf_warn(errs, at, "is within the media ports %lld-%lld of realm \"%s\" on the same address, which loses that port",
				(long long)r->ports.port_min, (long long)r->ports.port_max, r->id ? r->id : "?");
	}
}

static void listener_clashes(const struct conf_doc *doc, const void *const *obj, size_t i, struct conf_errors *errs)
{
	const struct peer_listener_conf *l = obj[i], *m;
	const struct peer_system_conf *s;
	char at[PEER_AT_MOST];
	size_t n, k;

	peer_schema_at(doc, &peer_schema_listeners, l, "port", at);
	for (k = 0; k < i; k++) {
		m = obj[k];
		if (same_socket(l, m))
			conf_error(errs, at, "%s port %lld of %s is taken by listener \"%s\"", l->transport == CONF_UDP ? "UDP" : "TCP", (long long)l->port, l->address, m->id ? m->id : "?");
	}
	if (l->transport == CONF_UDP) {
		listener_media(doc, l, at, errs);
		return;
	}
	s = conf_objects(doc, &peer_schema_system, &n)[0];
	if (l->port == s->api.port && same_address(l->address, s->api.address))
		conf_error(errs, at, "TCP port %lld of %s is taken by the API", (long long)l->port, l->address);
}

void peer_schema_check_listeners(const struct conf_doc *doc, struct conf_errors *errs)
{
	size_t n, i;
	const void *const *obj = conf_objects(doc, &peer_schema_listeners, &n);
	char at[PEER_AT_MOST];

	for (i = 0; i < n; i++) {
		const struct peer_listener_conf *l = obj[i];

		listener_tls(doc, l, errs);
		listener_clashes(doc, obj, i, errs);
		if (no_host(l->address))
			conf_error(errs, peer_schema_at(doc, &peer_schema_listeners, l, "address", at), "must be one address of this machine; %s cannot stand in Via and Contact", l->address);
	}
	if (!n)
		conf_warn(errs, "/listeners", "there is no listener: no call can come in");
}

/* ---- trunks ---- */
/** How requests to a URI go, as far as the document can tell; CONF_TRANSPORT_NONE: DNS decides. */
static enum conf_transport way_of(const struct conf_uri *u)
{
	if (u->transport != CONF_TRANSPORT_NONE)
		return u->sips ? CONF_TLS : u->transport;
	if (u->sips)
		return CONF_TLS;
	return u->addr.sa.sa_family || u->port ? CONF_UDP : CONF_TRANSPORT_NONE;
}

/** Whether requests to the URI can leave from the listener. */
static bool listener_fits(const struct peer_listener_conf *l, const struct conf_uri *u)
{
	enum conf_transport way = way_of(u);
	union base_addr a;

	if (way != CONF_TRANSPORT_NONE && (int)way != l->transport)
		return false;
	return !u->addr.sa.sa_family || !parse_address(l->address, &a) || a.sa.sa_family == u->addr.sa.sa_family;
}

static bool realm_fits(const struct conf_doc *doc, const struct peer_trunk_conf *t, const struct conf_uri *u)
{
	size_t n, i;
	const void *const *obj = conf_objects(doc, &peer_schema_listeners, &n);

	for (i = 0; i < n; i++) {
		const struct peer_listener_conf *l = obj[i];

		if ((!t->listener || same_text(t->listener, l->id)) && same_text(l->realm, t->realm) && listener_fits(l, u))
			return true;
	}
	return false;
}

/** The URIs that requests go to: the outbound proxies, else the targets. */
static const char *trunk_uri(const struct peer_trunk_conf *t, size_t i)
{
	if (t->outbound_proxy.n)
		return i < t->outbound_proxy.n ? ((const char *const *)t->outbound_proxy.v)[i] : NULL;
	return i < t->targets.n ? ((const struct peer_target_conf *)t->targets.v)[i].uri : NULL;
}

/** How many of the trunk's URIs no listener of it can reach. */
static size_t trunk_unreached(const struct conf_doc *doc, const struct peer_trunk_conf *t, size_t *ret_n)
{
	const char *text, *why;
	struct conf_uri u;
	size_t i, bad = 0;

	for (i = 0; (text = trunk_uri(t, i)); i++)
		bad += !conf_uri_parse(text, &u, &why) && !realm_fits(doc, t, &u);
	*ret_n = i;
	return bad;
}

static void trunk_listener(const struct conf_doc *doc, const struct peer_trunk_conf *t, struct conf_errors *errs)
{
	const struct peer_listener_conf *l = conf_find(doc, &peer_schema_listeners, t->listener);
	const char *key = t->outbound_proxy.n ? "outbound_proxy" : t->targets.n == 1 ? "target" : "targets";
	char at[PEER_AT_MOST];
	size_t n, bad;

	if (!t->realm || (t->listener && !l))
		return;
	peer_schema_at(doc, &peer_schema_trunks, t, "listener", at);
	if (l && l->realm && strcmp(l->realm, t->realm)) {
		conf_error(errs, at, "listener \"%s\" is of realm \"%s\", the trunk of \"%s\"", l->id, l->realm, t->realm);
		return;
	}
	bad = trunk_unreached(doc, t, &n);
	if (l && n && bad == n)
		conf_error(errs, at, "listener \"%s\" has another transport or address family than every target of the trunk", l->id);
	else if (bad)
		conf_warn(errs, peer_schema_at(doc, &peer_schema_trunks, t, key, at), "%zu of %zu cannot be reached: the trunk has no listener of the transport and address family", bad, n);
}

static void trunk_targets(const struct conf_doc *doc, const struct peer_trunk_conf *t, struct conf_errors *errs)
{
	bool one = conf_given(doc, &peer_schema_trunks, t, "target"), more = conf_given(doc, &peer_schema_trunks, t, "targets");
	char at[PEER_AT_MOST];

	if (one && more)
		conf_error(errs, peer_schema_at(doc, &peer_schema_trunks, t, "targets", at), "stands beside target; write one of the two");
	else if (!one && !more)
		conf_error(errs, peer_schema_at(doc, &peer_schema_trunks, t, "target", at), "is missing: a trunk needs target or targets");
}

static void trunk_secrets(const struct conf_doc *doc, const struct peer_trunk_conf *t, struct conf_errors *errs)
{
	bool user = conf_given(doc, &peer_schema_trunks, t, "auth/username"), password = conf_given(doc, &peer_schema_trunks, t, "auth/password");
	char at[PEER_AT_MOST];

	if (user != password)
		conf_error(errs, peer_schema_at(doc, &peer_schema_trunks, t, user ? "auth/password" : "auth/username", at), "is missing: username and password belong together");
	if (t->registration.enabled && !conf_given(doc, &peer_schema_trunks, t, "registration/aor"))
		conf_error(errs, peer_schema_at(doc, &peer_schema_trunks, t, "registration/aor", at), "is missing: it is what is registered");
	if (t->probe.enabled && conf_given(doc, &peer_schema_trunks, t, "probe/timeout") && t->probe.timeout > t->probe.interval)
		conf_warn(errs, peer_schema_at(doc, &peer_schema_trunks, t, "probe/timeout", at), "is greater than probe.interval: an answer is waited for until the next probe, for %lld s",
			(long long)t->probe.interval);
}

void peer_schema_check_trunks(const struct conf_doc *doc, struct conf_errors *errs)
{
	size_t n, i;
	const void *const *obj = conf_objects(doc, &peer_schema_trunks, &n);

	for (i = 0; i < n; i++) {
		trunk_targets(doc, obj[i], errs);
		trunk_listener(doc, obj[i], errs);
		trunk_secrets(doc, obj[i], errs);
	}
	peer_schema_check_alike(doc, errs);
}

/* ---- groups ---- */
#define GROUP_DEPTH 8 /* as deep as a hunt follows groups within groups */

/** One more round of levels: a group stands one above the highest of its members. What rises after GROUP_DEPTH rounds goes in a circle or is too deep. */
static bool group_rises(const struct conf_doc *doc, const void *const *obj, size_t i, unsigned *level)
{
	const struct peer_group_conf *g = obj[i];
	const struct peer_member_conf *m = g->members.v;
	unsigned was = level[i];
	char at[128];
	size_t k;

	for (k = 0; k < g->members.n; k++) {
		const void *sub = conf_find(doc, &peer_schema_groups, m[k].trunk);
		/* its place in the list is the end of its pointer */
		unsigned below = sub ? level[strtoul(strrchr(conf_pointer(doc, &peer_schema_groups, sub, at), '/') + 1, NULL, 10)] : 0;

		if (level[i] < below + 1 && below <= GROUP_DEPTH)
			level[i] = below + 1;
	}
	return level[i] != was;
}

static void group_circles(const struct conf_doc *doc, const void *const *obj, size_t n, struct conf_errors *errs)
{
	unsigned *level = calloc(n + 1, sizeof *level), round;
	char at[PEER_AT_MOST];
	size_t i;
	bool rises = true;

	for (round = 0; level && rises && round <= GROUP_DEPTH; round++)
		for (rises = false, i = 0; i < n; i++)
			rises |= group_rises(doc, obj, i, level);
	for (i = 0; level && i < n; i++)
		if (level[i] > GROUP_DEPTH)
			conf_error(errs, peer_schema_at(doc, &peer_schema_groups, obj[i], "members", at), "groups within groups go in a circle, or deeper than %d", GROUP_DEPTH);
	if (!level)
		conf_error(errs, "/trunk_groups", "there is no memory to check them");
	free(level);
}

static void group_members(const struct conf_doc *doc, const struct peer_group_conf *g, struct conf_errors *errs)
{
	const struct peer_member_conf *m = g->members.v;
	char at[PEER_AT_MOST], key[64];
	size_t i, k;

	for (i = 0; i < g->members.n; i++) {
		struct text t = text_on(key, sizeof key);

		for (k = 0; k < i && !same_text(m[k].trunk, m[i].trunk); k++)
			;
		text_add(&t, "members/%zu/trunk", i);
		if (k < i)
			conf_error(errs, peer_schema_at(doc, &peer_schema_groups, g, key, at), "\"%s\" is a member twice", m[i].trunk);
	}
}

void peer_schema_check_groups(const struct conf_doc *doc, struct conf_errors *errs)
{
	size_t n, i;
	const void *const *obj = conf_objects(doc, &peer_schema_groups, &n);

	for (i = 0; i < n; i++)
		group_members(doc, obj[i], errs);
	group_circles(doc, obj, n, errs);
}

/* ---- routes ---- */
void peer_schema_check_routes(const struct conf_doc *doc, struct conf_errors *errs)
{
	size_t n, i;
	const void *const *obj = conf_objects(doc, &peer_schema_routes, &n);
	const char *zone = NULL;
	char at[PEER_AT_MOST];

	for (i = 0; i < n; i++) {
		const struct peer_route_conf *r = obj[i];

		peer_schema_check_time(doc, r, &zone, errs);
		if (same_text(r->to, "registered"))
			conf_warn(errs, peer_schema_at(doc, &peer_schema_routes, r, "to", at), "\"registered\" is accepted, but this build does not act on it yet");
	}
}
