/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of targets become addresses: RFC 3263 section 4 (NAPTR, SRV, A and AAAA) over the cache of names.c. A trunk is worked out anew whenever something
 * it asked for was answered, and when the first of its answers is too old; nothing is remembered in between. All NAPTR orders count, so that calls
 * fail over from transport to transport (field fact F1), where RFC 3263 would stop at the first.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "peer/names.h"
#include "peer/plane.h"

#define NAPTRS      6
#define SRVS        12
#define BATCH_MS    5                  /* answers that come together are taken together */
#define AGAIN_MS    200                /* not more often than this */
#define FULL_MS     5000
#define NAPTR_TRIES 2                  /* some resolvers never answer for a type that they do not know */

struct work {
	struct peer_plane *plane;
	struct plane_trunk *trunk;
	const struct peer_target *conf;
	struct peer_target v[PEER_TARGETS];
	unsigned n;
	uint16_t rank;
	uint32_t ttl;                  /* lowest on the way to what is added now */
	int64_t next;                  /* when to look again */
	bool asked;                    /* an answer is still to come */
	bool missing;                  /* something never had an answer */
	bool failed;                   /* and its query failed already */
};

static void look_again(struct work *w, int64_t at)
{
	if (!w->next || at < w->next)
		w->next = at;
}

/** The answer, as far as it is known; NULL: not yet. */
static const struct peer_name *ask(struct work *w, const char *name, enum wire_dns_type type)
{
	const struct peer_name *e = peer_names_get(w->plane->names, name, type);

	if (!e) { /* too many names, or no memory */
		w->missing = true;
		look_again(w, plane_now() + FULL_MS);
		return NULL;
	}
	w->asked |= e->query != NULL;
	if (e->known) {
		look_again(w, e->query ? plane_now() + 1000 : e->expires > plane_now() ? e->expires : e->retry);
		return e;
	}
	w->missing = true;
	w->failed |= e->failures > 0;
	look_again(w, e->retry > plane_now() ? e->retry : plane_now() + AGAIN_MS);
	return NULL;
}

/** Does the trunk have a listener for this transport and family (0: any)? */
static bool can(const struct work *w, int transport, int family)
{
	struct peer_target t = { .transport = transport };

	t.addr.sa.sa_family = (sa_family_t)family;
	return peer_target_listener(w->plane->set, w->trunk->pub, &t) >= 0;
}

static void add(struct work *w, const union base_addr *addr, uint16_t port, int transport, uint16_t priority, uint16_t weight)
{
	struct peer_target *t = &w->v[w->n];
	unsigned i;

	if (w->n == PEER_TARGETS)
		return;
	*t = *w->conf;
	t->addr = *addr;
	base_addr_set_port(&t->addr, port);
	t->transport = transport;
	t->rank = w->rank;
	t->priority = priority;
	t->weight = weight;
	t->ttl = w->ttl ? w->ttl : 1;
	t->listener = peer_target_listener(w->plane->set, w->trunk->pub, t);
	for (i = 0; i < w->n; i++)
		if (w->v[i].uri == t->uri && w->v[i].transport == transport && base_addr_eq(&w->v[i].addr, &t->addr))
			return;
	w->n++;
}

/** What a host is looked up for. */
struct place { const char *host; uint16_t port, priority, weight; int transport; };

/** Addresses of one family. False: there is none, and that is known. */
static bool add_family(struct work *w, const struct place *p, enum wire_dns_type type)
{
	const struct peer_name *e = ask(w, p->host, type);
	uint32_t ttl = w->ttl;
	unsigned k;

	if (!e)
		return true;
	w->ttl = e->ttl < ttl ? e->ttl : ttl;
	for (k = 0; k < e->n; k++)
		add(w, &e->rr[k].addr, p->port, p->transport, p->priority, p->weight);
	w->ttl = ttl;
	return e->n > 0;
}

/** Addresses of a host; all of them are targets of one rank. Where none can be reached from here, the others are shown as what they are: no-listener. */
static void add_host(struct work *w, const struct place *p)
{
	bool v4 = can(w, p->transport, AF_INET), v6 = can(w, p->transport, AF_INET6), some = false;

	if (v4)
		some |= add_family(w, p, WIRE_DNS_A);
	if (v6)
		some |= add_family(w, p, WIRE_DNS_AAAA);
	if (!some && !v4)
		add_family(w, p, WIRE_DNS_A);
	if (!some && !v6)
		add_family(w, p, WIRE_DNS_AAAA);
}

static int by_order(const void *a, const void *b)
{
	const struct wire_dns_record *x = a, *y = b;

	return x->order != y->order ? (int)x->order - (int)y->order : 0;
}

static int by_preference(const void *a, const void *b)
{
	const struct wire_dns_record *x = a, *y = b;

	return x->order != y->order ? (int)x->order - (int)y->order : (int)x->preference - (int)y->preference;
}

/** Copy at most `most` of the records, best first. */
static unsigned sorted(const struct peer_name *e, struct wire_dns_record *ret, unsigned most, int (*cmp)(const void *, const void *))
{
	struct wire_dns_record all[WIRE_DNS_RECORDS];
	unsigned n = e->n < WIRE_DNS_RECORDS ? e->n : WIRE_DNS_RECORDS;

	memcpy(all, e->rr, n * sizeof all[0]);
	qsort(all, n, sizeof all[0], cmp);
	n = n < most ? n : most;
	memcpy(ret, all, n * sizeof all[0]);
	return n;
}

/** Targets of an SRV name. @return 1 there are records, 0 there are none, -1 not known */
static int add_srv(struct work *w, const char *name, int transport)
{
	const struct peer_name *e = ask(w, name, WIRE_DNS_SRV);
	struct wire_dns_record rr[SRVS];
	uint32_t ttl = w->ttl;
	unsigned i, n;

	if (!e)
		return -1;
	n = sorted(e, rr, SRVS, by_order);
	w->ttl = n && e->ttl < ttl ? e->ttl : ttl;
	for (i = 0; i < n; i++) {
		if (i && rr[i].order != rr[i - 1].order)
			w->rank++;
		if (rr[i].name[0] && rr[i].port) /* "." says that the service is not there */
			add_host(w, &(struct place){ rr[i].name, rr[i].port, rr[i].order, rr[i].preference, transport });
	}
	w->rank++;
	w->ttl = ttl;
	return n > 0;
}

static int srv_of(struct work *w, const char *host, int transport)
{
	static const char *const prefix[] = { "_sip._udp", "_sip._tcp", "_sips._tcp" };
	char name[WIRE_DNS_NAME + 16];

	snprintf(name, sizeof name, "%s.%s", prefix[transport], host);
	return strlen(name) < WIRE_DNS_NAME ? add_srv(w, name, transport) : 0;
}

static uint16_t port_of(int transport) { return transport == 2 ? 5061 : 5060; }

/** Transport of a NAPTR that is of use here; -1: of none. */
static int naptr_transport(const struct work *w, const struct wire_dns_record *r)
{
	static const char *const service[] = { "SIP+D2U", "SIP+D2T", "SIPS+D2T" };
	int t;

	for (t = 0; t < 3 && strcasecmp(r->service, service[t]); t++)
		;
	if (t == 3 || r->regexp || !r->name[0] || (w->conf->sips && t != 2) || !can(w, t, 0))
		return -1;
	return !strcasecmp(r->flags, "s") || !strcasecmp(r->flags, "a") ? t : -1;
}

/** As add_srv. */
static int add_naptr(struct work *w, const char *host)
{
	const struct peer_name *e = ask(w, host, WIRE_DNS_NAPTR);
	struct wire_dns_record rr[NAPTRS];
	uint32_t ttl = w->ttl;
	unsigned i, n;
	int t, any = 0;

	if (!e) {
		e = peer_names_get(w->plane->names, host, WIRE_DNS_NAPTR);
		return e && e->failures >= NAPTR_TRIES ? 0 : -1;
	}
	n = sorted(e, rr, NAPTRS, by_preference);
	w->ttl = n && e->ttl < ttl ? e->ttl : ttl;
	for (i = 0; i < n; i++) {
		t = naptr_transport(w, &rr[i]);
		if (t < 0)
			continue;
		any = 1;
		if (tolower((unsigned char)rr[i].flags[0]) == 's')
			add_srv(w, rr[i].name, t);
		else
			add_host(w, &(struct place){ rr[i].name, port_of(t), rr[i].preference, 0, t });
		w->rank++;
	}
	w->ttl = ttl;
	return any;
}

/** No NAPTR: whatever transport has SRV records, else the host itself. */
static void add_by_srv(struct work *w, const char *host, int transport)
{
	int t, found = 0, unknown = 0, last = transport >= 0 ? transport : w->conf->sips ? 2 : 0;

	for (t = 0; t < 3; t++) {
		int rc;

		if ((transport >= 0 && t != transport) || (w->conf->sips && t != 2) || (transport < 0 && !can(w, t, 0)))
			continue;
		rc = srv_of(w, host, t);
		found += rc > 0;
		unknown += rc < 0;
	}
	if (!found && (!unknown || w->failed))
		add_host(w, &(struct place){ host, port_of(last), w->conf->priority, 0, last });
}

static void add_name(struct work *w)
{
	char host[WIRE_DNS_NAME];
	struct wire_uri u;
	uint64_t port = 0;
	int rc;

	if (wire_uri_parse(slice_str(w->conf->via), &u) || !slice_copy(host, sizeof host, u.host))
		return;
	w->ttl = UINT32_MAX;
	if (u.port.n && !slice_u64(u.port, 65535, &port)) {
		add_host(w, &(struct place){ host, (uint16_t)port, w->conf->priority, 0, w->conf->transport < 0 ? 0 : w->conf->transport });
		return;
	}
	rc = w->conf->transport >= 0 ? 0 : add_naptr(w, host);
	if (rc == 0)
		add_by_srv(w, host, w->conf->transport);
}

static void on_due(void *arg);

static bool changed(const struct plane_trunk *t, const struct work *w)
{
	unsigned i;

	if (t->ntargets != w->n)
		return true;
	for (i = 0; i < w->n; i++) {
		const struct peer_target *a = &t->target[i]->pub, *b = &w->v[i];

		if (strcmp(a->uri, b->uri) || a->transport != b->transport || !base_addr_eq(&a->addr, &b->addr) || t->target[i]->live->vanished)
			return true;
	}
	return false;
}

/** What was found becomes the trunk's targets; what never had an answer takes nothing away that is known. */
static void take(struct plane_trunk *t, const struct work *w)
{
	bool enough = w->n && (!w->missing || w->failed || !t->ntargets || w->n > t->ntargets), none = !w->n && !w->missing && t->ntargets;
	bool other = enough ? changed(t, w) : none;

	if (enough || none)
		peer_targets_set(t, w->v, w->n);
	if (other)
		peer_sources_changed(t->plane);
}

static void work_out(struct plane_trunk *t)
{
	static struct work w; /* one thread; too large for the stack of a callback */
	struct peer_plane *p = t->plane;
	unsigned i;

	memset(&w, 0, sizeof w);
	w.plane = p;
	w.trunk = t;
	for (i = 0; i < t->pub->ntargets; i++) {
		w.conf = &t->pub->target[i];
		if (w.conf->addr.sa.sa_family && w.n < PEER_TARGETS) {
			w.v[w.n] = *w.conf;
			w.v[w.n++].rank = w.rank;
		} else {
			add_name(&w);
		}
		w.rank++;
	}
	t->waits = w.asked;
	take(t, &w);
	t->live->resolving = w.missing && !w.failed && !t->ntargets;
	if (w.next)
		loop_timer_start(p->p.loop, &t->resolve, w.next - plane_now() > AGAIN_MS ? w.next - plane_now() : AGAIN_MS, on_due, t);
}

static void on_due(void *arg)
{
	work_out(arg);
}

static void on_batch(void *arg)
{
	struct peer_plane *p = arg;
	unsigned i;

	for (i = 0; i < p->ntrunks; i++)
		if (p->trunk[i].waits)
			work_out(&p->trunk[i]);
}

static void on_changed(void *arg)
{
	struct peer_plane *p = arg;

	if (!loop_timer_active(&p->batch))
		loop_timer_start(p->p.loop, &p->batch, BATCH_MS, on_batch, p);
}

/** The servers and the time-out in one line: do they differ from those that the cache asks? */
static void servers_print(const struct peer_plane *p, char *buf, size_t size)
{
	const struct peer_system_conf *s = p->set->system;
	const char *const *v = s->dns.servers.v;
	struct text t = text_on(buf, size);
	size_t i;

	text_add(&t, "%d", (int)s->dns.timeout);
	for (i = 0; i < s->dns.servers.n; i++)
		text_add(&t, " %s", v[i]);
}

static int names_open(struct peer_plane *p)
{
	const struct peer_system_conf *s = p->set->system;
	int err;

	if (p->names)
		return 0;
	err = peer_names_new(p->p.loop, s->dns.servers.v, s->dns.servers.n, (int)s->dns.timeout * 1000, on_changed, p, &p->names);
	if (err)
		base_log(BASE_ERROR, "peer", "DNS cannot be asked error=\"%s\"", base_strerror(err));
	return err;
}

int peer_look_up(struct peer_plane *p, const struct peer_trunk *t, const struct peer_target *conf, struct peer_target *ret, unsigned max)
{
	static struct work w; /* as in work_out */
	unsigned i, n = 0;

	memset(&w, 0, sizeof w);
	w.plane = p;
	w.trunk = peer_plane_trunk(p, t);
	w.conf = conf;
	if (!w.trunk || !p->p.loop || names_open(p) || !peer_names_has_room(p->names))
		return 0;
	add_name(&w);
	if (!w.n && w.missing && !w.failed)
		return -1;
	for (i = 0; i < w.n && n < max; i++)
		if (w.v[i].listener >= 0)
			ret[n++] = w.v[i];
	return (int)n;
}

int peer_resolve_start(struct peer_plane *p)
{
	char now[sizeof p->servers];
	unsigned i, names = 0;
	int err;

	for (i = 0; i < p->ntrunks; i++)
		names += p->trunk[i].names;
	servers_print(p, now, sizeof now);
	if (!names || strcmp(now, p->servers)) {
		peer_names_free(p->names);
		p->names = NULL;
	}
	memcpy(p->servers, now, sizeof now);
	err = names ? names_open(p) : 0;
	if (err)
		return err;
	for (i = 0; i < p->ntrunks; i++)
		if (p->trunk[i].names)
			work_out(&p->trunk[i]);
	return 0;
}

void peer_resolve_stop(struct peer_plane *p)
{
	unsigned i;

	loop_timer_stop(&p->batch);
	for (i = 0; i < p->ntrunks; i++)
		loop_timer_stop(&p->trunk[i].resolve);
}

void peer_resolve_end(struct peer_plane *p)
{
	peer_resolve_stop(p);
	peer_names_free(p->names);
	p->names = NULL;
}

const struct peer_works peer_works = {
	.probe_arm = peer_probe_arm, .probe_now = peer_probe_now, .probe_stop = peer_probe_stop,
	.resolve_start = peer_resolve_start, .resolve_stop = peer_resolve_stop, .resolve_end = peer_resolve_end,
};
