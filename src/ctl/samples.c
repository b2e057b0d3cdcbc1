/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every figure that Postern tells, once: families in a table, a collector each. The sinks in stats.c and metrics.c print them.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config.h"
#include "ctl/ctl.h"
#include "postern/call.h"
#include "postern/media.h"
#include "postern/peer.h"
#include "postern/rule.h"

struct scene {                 /* what the collectors look at */
	const struct ctl_maps *m;
	struct ctl_sink *sink;
	struct ctl_census census;
	const struct peer_live *live;
	uint32_t ntrunks;
	int64_t now_ms;
};

struct family {
	const char *name;
	enum ctl_type type;
	const char *help;
	void (*collect)(const struct scene *s, const struct family *f);
};

static void emit(const struct scene *s, const struct family *f, const char *labels, double v)
{
	s->sink->sample(s->sink, f->name, labels, v);
}

/** `key="value"` with the escapes of the Prometheus text format. */
static void label_add(struct text *t, const char *key, struct slice v)
{
	text_add(t, "%s%s=\"", t->n ? "," : "", key);
	for (size_t i = 0; i < v.n; i++) {
		unsigned char c = (unsigned char)v.p[i];

		if (c == '\\' || c == '"')
			text_add(t, "\\%c", c);
		else
			text_add(t, "%c", c < 0x20 || c >= 0x7f ? '?' : c);
	}
	text_add(t, "\"");
}

/* ---- calls ---- */
static void calls_by_state(const struct scene *s, const struct family *f)
{
	char buf[64];

	for (unsigned i = 0; i < CALL_STATES; i++) {
		struct text t = text_on(buf, sizeof buf);

		label_add(&t, "state", slice_str(call_state_name(i)));
		emit(s, f, buf, (double)s->census.state[i]);
	}
}

static void calls_room(const struct scene *s, const struct family *f)
{
	emit(s, f, "", (double)s->census.slots);
}

static void streams_held(const struct scene *s, const struct family *f)
{
	emit(s, f, "", (double)s->census.streams);
}

static void sockets_shared(const struct scene *s, const struct family *f)
{
	emit(s, f, "", media_shared_used(s->m->streams));
}

/* ---- trunks ---- */
static void trunk_calls(const struct scene *s, const struct family *f)
{
	char buf[160];

	for (uint32_t i = 0; i < s->ntrunks; i++) {
		const struct peer_live_trunk *tr = &s->live->trunk[i];

		for (int out = 0; out < 2; out++) {
			struct text t = text_on(buf, sizeof buf);

			label_add(&t, "trunk", ctl_bounded(tr->id, sizeof tr->id));
			label_add(&t, "direction", slice_str(out ? "out" : "in"));
			emit(s, f, buf, out ? tr->calls_out : tr->calls_in);
		}
	}
}

static void target_up(const struct scene *s, const struct family *f)
{
	char buf[640];

	for (uint32_t i = 0; i < s->ntrunks; i++) {
		const struct peer_live_trunk *tr = &s->live->trunk[i];

		for (uint32_t k = 0; k < tr->ntargets && k < PEER_TARGETS; k++) {
			struct text t = text_on(buf, sizeof buf);

			label_add(&t, "trunk", ctl_bounded(tr->id, sizeof tr->id));
			label_add(&t, "target", ctl_bounded(tr->target[k].uri, sizeof tr->target[k].uri));
			/* one URI may have several addresses: the place makes each sample one of its own */
			text_add(&t, ",place=\"%u\"", k + 1);
			emit(s, f, buf, tr->target[k].state == PEER_UP);
		}
	}
}

/* ---- policies: id is the configuration's, policy the name in its file ---- */
static void each_row(const struct scene *s, const struct family *f, bool counters, bool last)
{
	struct rule_board_row r;
	char buf[512];
	size_t bytes = 0;
	const void *mem = ctl_region(s->m->calls, REGION_POLICIES, &bytes);

	for (size_t i = 0; rule_board_get(mem, bytes, i, &r); i++) {
		struct text t = text_on(buf, sizeof buf);

		if (counters == (*r.policy != 0) || (last && !r.last_ms))
			continue;
		label_add(&t, "id", slice_str(r.id));
		if (counters)
			label_add(&t, "counter", slice_str(r.text));
		else
			label_add(&t, "policy", slice_str(r.policy));
		if (!counters)
			text_add(&t, ",rule=\"%u\",line=\"%u\"", r.index + 1, r.line);
		emit(s, f, buf, last ? (double)r.last_ms / 1000.0 : (double)r.hits);
	}
}

static void rule_hits(const struct scene *s, const struct family *f) { each_row(s, f, false, false); }
static void rule_last(const struct scene *s, const struct family *f) { each_row(s, f, false, true); }
static void rule_counters(const struct scene *s, const struct family *f) { each_row(s, f, true, false); }

/** How many targets are in each state. */
static void targets_by_state(const struct scene *s, const struct family *f)
{
	unsigned n[PEER_RESTING + 1] = { 0 };
	char buf[64];

	for (uint32_t i = 0; i < s->ntrunks; i++) {
		const struct peer_live_trunk *tr = &s->live->trunk[i];

		for (uint32_t k = 0; k < tr->ntargets && k < PEER_TARGETS; k++)
			if (tr->target[k].state < ARRAY_LEN(n))
				n[tr->target[k].state]++;
	}
	for (unsigned i = 0; i < ARRAY_LEN(n); i++) {
		struct text t = text_on(buf, sizeof buf);

		label_add(&t, "state", slice_str(peer_state_name((enum peer_state)i)));
		emit(s, f, buf, n[i]);
	}
}

/* ---- processes: what /proc tells; a process that is gone is left out ---- */
static bool proc_read(int pid, const char *file, char *buf, size_t size)
{
	char path[48];
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, buf, size - 1);
	close(fd);
	buf[n > 0 ? n : 0] = 0;
	return n > 0;
}

static bool memory_of(const struct ctl_process *p, const struct scene *s, double *ret)
{
	unsigned long pages;
	char buf[128];

	if (!proc_read(p->pid, "statm", buf, sizeof buf) || sscanf(buf, "%*s %lu", &pages) != 1)
		return false;
	*ret = (double)pages * (double)sysconf(_SC_PAGESIZE);
	return true;
}

static bool cpu_of(const struct ctl_process *p, const struct scene *s, double *ret)
{
	unsigned long user, sys;
	char buf[1024], *at;

	/* the name in brackets may hold anything: the fields are counted from the last bracket */
	if (!proc_read(p->pid, "stat", buf, sizeof buf) || !(at = strrchr(buf, ')')) ||
	    sscanf(at + 1, " %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %lu %lu", &user, &sys) != 2)
		return false;
	*ret = (double)(user + sys) / (double)sysconf(_SC_CLK_TCK);
	return true;
}

static bool restarts_of(const struct ctl_process *p, const struct scene *s, double *ret)
{
	*ret = p->restarts;
	return true;
}

static bool uptime_of(const struct ctl_process *p, const struct scene *s, double *ret)
{
	*ret = s->now_ms > p->since_ms ? (double)(s->now_ms - p->since_ms) / 1000.0 : 0.0;
	return p->since_ms > 0;
}

static void each_process(const struct scene *s, const struct family *f, bool (*get)(const struct ctl_process *p, const struct scene *s, double *ret))
{
	char buf[64];
	double v;

	for (size_t i = 0; i < s->m->nprocess; i++) {
		const struct ctl_process *p = &s->m->process[i];
		struct text t = text_on(buf, sizeof buf);

		label_add(&t, "role", slice_str(p->role));
		if (p->pid > 0 && get(p, s, &v))
			emit(s, f, buf, v);
	}
}

static void process_restarts(const struct scene *s, const struct family *f) { each_process(s, f, restarts_of); }
static void process_uptime(const struct scene *s, const struct family *f) { each_process(s, f, uptime_of); }
static void process_memory(const struct scene *s, const struct family *f) { each_process(s, f, memory_of); }
static void process_cpu(const struct scene *s, const struct family *f) { each_process(s, f, cpu_of); }

static void build_info(const struct scene *s, const struct family *f)
{
	emit(s, f, "version=\"" PACKAGE_VERSION "\"", 1);
}

static const struct family families[] = {
	{ "postern_build_info", CTL_GAUGE, "Version of this build", build_info },
	{ "postern_calls", CTL_GAUGE, "Calls now, by state", calls_by_state },
	{ "postern_calls_room", CTL_GAUGE, "Calls that the state memory has room for", calls_room },
	{ "postern_media_shared_sockets", CTL_GAUGE, "1 where media ports share sockets, 0 where each pair has two of its own", sockets_shared },
	{ "postern_media_streams", CTL_GAUGE, "Media port pairs held by calls now", streams_held },
	{ "postern_trunk_calls", CTL_GAUGE, "Calls of a trunk now", trunk_calls },
	{ "postern_target_up", CTL_GAUGE, "1 where the target takes calls", target_up },
	{ "postern_targets", CTL_GAUGE, "Targets by state", targets_by_state },
	{ "postern_policy_rule_hits_total", CTL_COUNTER, "Messages that a rule fired on", rule_hits },
	{ "postern_policy_rule_last_hit_seconds", CTL_GAUGE, "When it last did, seconds since the epoch", rule_last },
	{ "postern_policy_count_total", CTL_COUNTER, "What rules count by name", rule_counters },
	{ "postern_process_restarts_total", CTL_COUNTER, "Restarts of a process after it died", process_restarts },
	{ "postern_process_uptime_seconds", CTL_GAUGE, "Time since the process took over its role", process_uptime },
	{ "postern_process_resident_memory_bytes", CTL_GAUGE, "Resident memory of a process", process_memory },
	{ "postern_process_cpu_seconds_total", CTL_COUNTER, "CPU time of a process, user and system", process_cpu },
};

/* ---- counters: the same table in each role's block; a row's value is their sum ---- */
uint64_t ctl_cell(const struct ctl_maps *m, size_t n)
{
	const struct loop_shm *const maps[] = { m->calls, m->streams, m->admin };
	uint64_t sum = 0;

	for (size_t i = 0; i < ARRAY_LEN(maps); i++) {
		size_t bytes = 0;
		const uint64_t *block = ctl_region(maps[i], REGION_COUNTERS, &bytes);

		if (block && bytes >= (n + 1) * sizeof *block)
			sum += __atomic_load_n(&block[n], __ATOMIC_RELAXED);
	}
	return sum;
}

static bool is_first_of_name(enum base_counter id)
{
	for (enum base_counter i = 0; i < id; i++)
		if (!strcmp(base_counter_row(i)->name, base_counter_row(id)->name))
			return false;
	return true;
}

static bool is_total(const char *name)
{
	size_t n = strlen(name);

	return n > 6 && !strcmp(name + n - 6, "_total");
}

/** What counts microseconds is told in seconds, the unit that its name says. */
static double told(const struct ctl_maps *m, enum base_counter id)
{
	const char *name = base_counter_row(id)->name;
	size_t n = strlen(name);
	double v = (double)ctl_cell(m, id);

	return n > 14 && !strcmp(name + n - 14, "_seconds_total") ? v / 1e6 : v;
}

/** All rows of one name follow its family line, wherever they stand in the table: the text format wants them together. */
static void counters(const struct ctl_maps *m, struct ctl_sink *sink)
{
	for (enum base_counter i = 0; i < COUNTER_COUNT; i++) {
		const struct base_counter_row *row = base_counter_row(i);

		if (!is_first_of_name(i))
			continue;
		sink->family(sink, row->name, is_total(row->name) ? CTL_COUNTER : CTL_GAUGE, row->help);
		for (enum base_counter k = i; k < COUNTER_COUNT; k++)
			if (!strcmp(base_counter_row(k)->name, row->name))
				sink->sample(sink, row->name, base_counter_row(k)->labels, told(m, k));
	}
}

void ctl_samples(const struct ctl_maps *m, struct ctl_sink *sink)
{
	struct scene s = { .m = m, .sink = sink, .now_ms = base_wall_ms() };

	ctl_census(m, &s.census);
	s.live = ctl_live(m, &s.ntrunks);
	if (!s.live)
		s.ntrunks = 0;
	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		sink->family(sink, families[i].name, families[i].type, families[i].help);
		families[i].collect(&s, &families[i]);
	}
	counters(m, sink);
	ctl_histograms(m, sink);
}
