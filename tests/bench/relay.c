/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay: the media process with a static table of calls, without an engine, for benchmarks.
 *
 *   relay -n CALLS -o FLOWS [-b first port] [-w workers] [-g] [-s] [-c cpu]
 *
 * -s: shared sockets, not one per port.
 * Binds four ports per call on 127.0.0.1, writes the flow file for rtpgen, opens the ports and relays until SIGTERM.
 * SIGUSR1: the media process is dropped without a word, and another one begins on the same memory; rtpgen tells the gap.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/flows.h"
#include "postern/loop.h"
#include "postern/media.h"

static struct { int calls, base, workers, cpu; bool gather, shared; const char *out; } opt = { .calls = 100, .base = 20000, .workers = 1, .cpu = -1 };
static struct loop *loop;
static struct loop_timer tick;
static volatile sig_atomic_t ended, restart;
static int pair[2];
static struct loop_shm shm;
static struct media_proc *proc;
static struct media_proc_params params;

static void fail(const char *what, int err)
{
	fprintf(stderr, "relay: %s: %s\n", what, base_strerror(err));
	exit(2);
}

static void on_signal(int sig)
{
	if (sig == SIGUSR1)
		restart = 1;
	else
		ended = 1;
}

static void media_start(void)
{
	int err;

	params.chan_fd = dup(pair[1]);
	err = media_proc_start(&params, &proc);
	if (err)
		fail("start", err);
}

static void on_tick(void *arg)
{
	(void)arg;
	if (restart) {
		restart = 0;
		media_proc_stop(proc);
		media_start();
	}
	if (ended)
		loop_stop(loop);
	else
		loop_timer_start(loop, &tick, 500, on_tick, NULL);
}

static union base_addr local(const char *host, int port)
{
	union base_addr a;

	must(!base_addr_parse(slice_str(host), (uint16_t)port, &a));
	return a;
}

static void ports_open(struct media_map_entry *map, int *fds)
{
	int port = opt.base;

	for (int i = 0; i < 2 * opt.calls; port += 2) {
		if (port > 65534)
			fail("ports", ERR_NOPORT);
		map[i] = (struct media_map_entry){ .addr = local("127.0.0.1", port), .ok = 1 };
		if (opt.shared ? !media_port_probe(&map[i].addr) : !media_port_sockets(&map[i].addr, &fds[2 * i]))
			i++;
	}
}

/* The sockets that the supervisor would hand over. */
static void shared_open(const struct media_map_entry *map, uint32_t n)
{
	struct media_shared *shared;
	const char *step;
	int err = media_shared_open(1, 16 << 20, &shared, &step);
	uint32_t nfds;

	if (err || (err = media_shared_map(shared, map, n)))
		fail(step, err);
	params.fds = media_shared_fds(shared, &nfds);
	params.shared_hosts = media_shared_hosts(shared);
}

static void calls_open(struct media_client *c, FILE *f)
{
	char ra[56], rb[56];

	for (int i = 0; i < opt.calls; i++) {
		struct media_ref r[2];
		union base_addr a[2];
		struct media_want w = { .remote = local("127.0.0.2", 6000), .flags = MEDIA_RX | MEDIA_TX, .pts = { 1 }, .clock_hz = 8000 };

		if (media_port_take(c, 0, AF_INET, -1, &r[0], &a[0]) || media_port_take(c, 0, AF_INET, media_port_lane(c, r[0]), &r[1], &a[1]))
			fail("take", ERR_NOPORT);
		w.peer = r[1];
		media_want(c, r[0], &w);
		w.remote = local("127.0.0.3", 6000);
		w.peer = r[0];
		media_want(c, r[1], &w);
		fprintf(f, "A=127.0.0.2:6000 RA=%s B=127.0.0.3:6000 RB=%s\n", base_addr_print(&a[0], ra), base_addr_print(&a[1], rb));
	}
}

static void options(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "n:o:b:w:gsc:")) != -1)
		switch (c) {
		case 'n': opt.calls = (int)strtol(optarg, NULL, 10); break;
		case 'o': opt.out = optarg; break;
		case 'b': opt.base = (int)strtol(optarg, NULL, 10); break;
		case 'w': opt.workers = (int)strtol(optarg, NULL, 10); break;
		case 'g': opt.gather = true; break;
		case 's': opt.shared = true; break;
		case 'c': opt.cpu = (int)strtol(optarg, NULL, 10); break;
		default: exit(1);
		}
	if (!opt.out || opt.calls < 1) {
		fprintf(stderr, "usage: relay -n CALLS -o FLOWS [-b port] [-w workers] [-g] [-s] [-c cpu]\n");
		exit(1);
	}
}

static void machine_prepare(void)
{
	struct rlimit files;
	cpu_set_t set;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	if (opt.cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET(opt.cpu, &set);
		if (sched_setaffinity(0, sizeof(set), &set))
			fail("cpu", -errno);
	}
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	signal(SIGUSR1, on_signal);
}

int main(int argc, char **argv)
{
	uint32_t n;
	struct media_map_entry *map;
	struct media_client *client;
	int *fds, fd;
	FILE *f;

	options(argc, argv);
	machine_prepare();
	n = (uint32_t)(2 * opt.calls);
	map = calloc(n, sizeof(*map));
	fds = calloc(2 * (size_t)n, sizeof(*fds));
	must(map && fds);
	ports_open(map, fds);
	must(!loop_new(&loop) && !loop_chan_pair(pair));
	must(!loop_shm_create("streams", (struct loop_shm_spec[]){ { REGION_SLOTS, media_slots_bytes(n) }, { REGION_MEDIA, media_header_bytes() }, { REGION_RING, 1 << 20 } },
		3, &fd));
	must(!loop_shm_map(fd, true, &shm));
	params = (struct media_proc_params){ .loop = loop, .streams = &shm, .wishes = &shm, .map = map, .nmap = n, .fds = fds, .workers = (unsigned)opt.workers,
		.gather = opt.gather };
	if (opt.shared)
		shared_open(map, n);
	media_start();
	must(!media_client_new(&(struct media_client_params){ .loop = loop, .chan_fd = pair[0], .streams = &shm, .wishes = &shm, .map = map, .nmap = n }, &client));
	f = fopen(opt.out, "w");
	if (!f)
		fail(opt.out, -errno);
	calls_open(client, f);
	fclose(f);
	on_tick(NULL);
	loop_run(loop);
	media_client_free(client);
	media_proc_stop(proc);
	fprintf(stderr, "relay: received %llu sent %llu unsent %llu\n", (unsigned long long)base_counters[COUNTER_MEDIA_RX],
		(unsigned long long)base_counters[COUNTER_MEDIA_TX], (unsigned long long)base_counters[COUNTER_MEDIA_SEND_FAILED]);
	return 0;
}
