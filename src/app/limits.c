/* SPDX-License-Identifier: Apache-2.0 */
/*
 * app/limits: descriptors. The supervisor and media hold every socket of every port pair where these share none, the engine a descriptor per
 * connection; each has a limit of its own, so the largest of them counts.
 */
#include "app/limits.h"

#include <stdio.h>
#include <sys/resource.h>

#include "postern/conf.h"
#include "postern/media.h"
#include "postern/peer.h"

#define RESERVE 192            /* loop, memories, channels, libraries, database: generous */
#define FDS_PER_PAIR 2

uint32_t app_limits_range(const struct peer_realm_conf *r, uint16_t *ret_first)
{
	int64_t first = (r->ports.port_min + 1) & ~(int64_t)1; /* RTP on the even port, RTCP on the odd one above */

	*ret_first = (uint16_t)first;
	return r->ports.port_max >= first ? (uint32_t)((r->ports.port_max - first) / 2 + 1) : 0;
}

static uint32_t pairs_of(const struct peer_realm_conf *r)
{
	uint16_t first;

	return app_limits_range(r, &first) * (uint32_t)(!!r->ports.address + !!r->ports.address6);
}

/* Does one range of net.ipv4.ip_local_reserved_ports ("20000-29999,40000") hold all of low..high? */
static bool is_reserved(int64_t low, int64_t high)
{
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_reserved_ports", "re");
	int from, to;
	bool found = false;

	if (!f)
		return false;
	while (!found && fscanf(f, "%d", &from) == 1) {
		if (fscanf(f, "-%d", &to) != 1)
			to = from;
		found = from <= low && high <= to;
		(void)!fscanf(f, ",");
	}
	fclose(f);
	return found;
}

/* Ports of the machine's range for outgoing connections may be taken by any program. */
static void warn_ephemeral(const struct conf_doc *doc, const struct peer_realm_conf *r, struct conf_errors *notes)
{
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	char at[128];
	int low = 0, high = 0;

	if (!f)
		return;
	if (fscanf(f, "%d %d", &low, &high) == 2 && r->ports.port_min <= high && r->ports.port_max >= low &&
	    !is_reserved(r->ports.port_min > low ? r->ports.port_min : low, r->ports.port_max < high ? r->ports.port_max : high))
		conf_warn(notes, conf_pointer(doc, &peer_schema_realms, r, at),
			"ports %lld-%lld lie in the machine's range for outgoing connections (%d-%d): reserve them in net.ipv4.ip_local_reserved_ports",
			(long long)r->ports.port_min, (long long)r->ports.port_max, low, high);
	fclose(f);
}

static void plan_realms(const struct conf_doc *doc, struct conf_errors *notes, struct app_limits *p, int64_t max_calls)
{
	size_t n = 0;
	const void *const *realm = conf_objects(doc, &peer_schema_realms, &n);
	char at[128];

	for (size_t i = 0; i < n; i++) {
		const struct peer_realm_conf *r = realm[i];
		uint32_t pairs = pairs_of(r);

		p->pairs_wanted += pairs;
		if (!notes)
			continue;
		if (pairs < max_calls)
			conf_warn(notes, conf_pointer(doc, &peer_schema_realms, r, at),
				"%u port pairs are too few for system.max_calls %lld: 503 when they are used up", pairs, (long long)max_calls);
		warn_ephemeral(doc, r, notes);
	}
}

/* Every call stands on two pairs: half as many calls as pairs, where pairs had to be left out. */
static void lower_calls(struct app_limits *p, struct conf_errors *notes)
{
	uint32_t calls = p->pairs / 2 ? p->pairs / 2 : 1;

	if (p->pairs == p->pairs_wanted)
		return;
	if (notes)
		conf_warn(notes, "/system/max_calls", "%u descriptors are needed and %llu allowed: max_calls is %u instead of %u, %u of %u port pairs are opened; "
			"raise the limit of open files (LimitNOFILE=, ulimit -Hn) to %llu", (unsigned)p->wanted, (unsigned long long)p->allowed,
			calls < p->max_calls ? calls : p->max_calls, p->max_calls, p->pairs, p->pairs_wanted, (unsigned long long)p->wanted);
	if (calls < p->max_calls)
		p->max_calls = calls;
}

uint32_t app_limits_pairs(uint64_t allowed, size_t nlisteners)
{
	uint64_t fixed = RESERVE + 3 * nlisteners, pairs = allowed > fixed ? (allowed - fixed) / FDS_PER_PAIR : 0;

	return pairs < UINT32_MAX ? (uint32_t)pairs : UINT32_MAX;
}

void app_limits_plan(const struct conf_doc *doc, uint64_t allowed, bool shared, struct conf_errors *notes, struct app_limits *ret)
{
	struct app_limits p = { .allowed = allowed };
	const struct peer_system_conf *sys;
	size_t nlisten = 0, one = 0;
	uint64_t fixed, room;

	sys = conf_objects(doc, &peer_schema_system, &one)[0];
	conf_objects(doc, &peer_schema_listeners, &nlisten);
	plan_realms(doc, notes, &p, sys->max_calls);
	p.max_calls = sys->max_calls > 0 ? (uint32_t)sys->max_calls : p.pairs_wanted / 2 + 1;
	fixed = RESERVE + 3 * nlisten;
	p.wanted = fixed + (shared ? 2 * MEDIA_SHARED_WORKERS : (uint64_t)FDS_PER_PAIR * p.pairs_wanted);
	room = allowed > fixed ? allowed - fixed : 0;
	p.pairs = p.pairs_wanted;
	if (!shared && p.pairs > app_limits_pairs(allowed, nlisten))
		p.pairs = app_limits_pairs(allowed, nlisten);
	lower_calls(&p, notes);
	p.connections = (uint32_t)(room < UINT32_MAX ? room : UINT32_MAX);
	*ret = p;
}

uint64_t app_limits_trace(const struct peer_system_conf *sys)
{
	return sys->trace.bytes && sys->trace.bytes < BASE_TRACE_LEAST ? BASE_TRACE_LEAST : (uint64_t)sys->trace.bytes;
}

uint64_t app_limits_raise(uint64_t wanted)
{
	struct rlimit now, more;

	if (getrlimit(RLIMIT_NOFILE, &now) < 0)
		return 1024;
	if (now.rlim_cur >= wanted)
		return now.rlim_cur;
	more = (struct rlimit){ wanted, now.rlim_max > wanted ? now.rlim_max : wanted };
	if (setrlimit(RLIMIT_NOFILE, &more) < 0) {
		more = (struct rlimit){ now.rlim_max < wanted ? now.rlim_max : wanted, now.rlim_max };
		if (setrlimit(RLIMIT_NOFILE, &more) < 0)
			return now.rlim_cur;
	}
	return more.rlim_cur;
}
