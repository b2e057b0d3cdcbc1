/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rtpgen: a paced RTP generator and receiver for benchmarks. Every call of the flow file carries two streams of 50 packets/s, spread
 * evenly over the packet interval in random order. Prints one line of JSON. One thread, busy while it runs: give it a core of its own.
 *
 *   rtpgen -f FLOWS [-n calls] [-d seconds] [-w warm-up s] [-c cpu] [-P relay pid]
 *
 * Ends with keys send and open SRTP, with libsrtp on our ciphers; what does not verify, or came before, is counted. No RTCP, no jitter of its own.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/flows.h"

#define CALLS_MAX 10000
#define PORTS_MAX 64
#define BATCH 32
#define PTIME_NS 20000000
#define PAYLOAD 160
#define PACKET (12 + PAYLOAD)
#define DELAY_US_MAX 200000

struct payload { uint32_t run, stream; int64_t sent_ns; }; /* run: a random number, what a relay still held of another run is foreign */

struct stream {                        /* one direction of a call */
	int out, in;                   /* port it leaves from, port it must arrive at */
	const union base_addr *to, *from; /* relay's ports: where it is sent to, where it must come from */
	uint16_t seq, last_seq;
	bool begun;
	struct keys_srtp *seal, *open; /* NULL: plain */
	struct keys_srtp_state seal_state, open_state;
	int64_t last_ns, gap_ns;
	uint64_t sent, received;
};

struct port { union base_addr addr; int fd; };

static struct bench_flow flow[CALLS_MAX];
static struct stream stream[2 * CALLS_MAX];
static uint32_t order[2 * CALLS_MAX];
static struct port port[PORTS_MAX];
static int nports, nstreams;
static uint32_t run_id;
static uint32_t delay[DELAY_US_MAX + 1];
static int64_t measure_ns, end_ns, lag_ns;   /* the measured window; how late the generator was at worst */
static struct { uint64_t foreign, wrong_source, disorder, unsent, unverified; } bad;
static struct { const char *file; int calls, cpu, pid; double seconds, warm; } opt = { .calls = CALLS_MAX, .cpu = -1, .seconds = 10, .warm = 2 };

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void fail(const char *what)
{
	fprintf(stderr, "rtpgen: %s: %s\n", what, strerror(errno));
	exit(2);
}

static int port_open(const union base_addr *a)
{
	int i, bytes = 16 << 20;

	for (i = 0; i < nports; i++)
		if (base_addr_eq(&port[i].addr, a))
			return i;
	if (nports == PORTS_MAX) {
		errno = E2BIG;
		fail("ports");
	}
	port[i].addr = *a;
	port[i].fd = socket(a->sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	if (port[i].fd < 0 || bind(port[i].fd, &a->sa, base_addr_len(a)))
		fail("bind");
	if (setsockopt(port[i].fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)))
		setsockopt(port[i].fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	setsockopt(port[i].fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	return nports++;
}

static void session(const struct bench_key *k, bool seal, struct keys_srtp_state *state, struct keys_srtp **ret)
{
	if (k->suite && keys_srtp_new(k->suite, seal ? k->tx : k->rx, seal, state, ret))
		fail("SRTP");
}

static void streams_make(int calls)
{
	for (int i = 0; i < calls; i++)
		for (int side = 0; side < 2; side++) {
			struct stream *s = &stream[nstreams];

			s->out = port_open(&flow[i].end[side]);
			s->in = port_open(&flow[i].end[!side]);
			s->to = &flow[i].relay[side];
			s->from = &flow[i].relay[!side];
			s->seq = (uint16_t)base_random_below(32768);
			session(&flow[i].key[side], true, &s->seal_state, &s->seal);
			session(&flow[i].key[!side], false, &s->open_state, &s->open);
			order[nstreams] = (uint32_t)nstreams;
			nstreams++;
		}
	for (int i = nstreams - 1; i > 0; i--) {
		uint32_t j = base_random_below((uint32_t)i + 1), t = order[i];

		order[i] = order[j];
		order[j] = t;
	}
}

/* Returns its length. */
static uint32_t packet_fill(uint8_t *p, uint32_t id, int64_t t)
{
	uint32_t n = PACKET;
	struct stream *s = &stream[id];
	struct payload x = { run_id, id, t };
	uint32_t ts = htonl((uint32_t)(s->sent * PAYLOAD)), ssrc = htonl(run_id << 16 | id);
	uint16_t seq = htons(s->seq++);

	p[0] = 0x80;
	p[1] = 0;
	memcpy(p + 2, &seq, 2);
	memcpy(p + 4, &ts, 4);
	memcpy(p + 8, &ssrc, 4);
	memcpy(p + 12, &x, sizeof(x));
	if (s->seal && keys_srtp_protect(s->seal, p, &n))
		fail("protect");
	return n;
}

/* Packets due from *next on, of one port, at most a batch. */
static int send_due(uint64_t *next, int64_t start_ns)
{
	static uint8_t buf[BATCH][(PACKET + KEYS_SRTP_TRAILER + 7) & ~7] __attribute__((aligned(8)));
	struct mmsghdr m[BATCH];
	struct iovec iov[BATCH];
	int64_t t = now_ns();
	int n = 0, fd = -1, sent;

	for (; n < BATCH; n++, (*next)++) {
		int64_t due = start_ns + (int64_t)((double)*next * PTIME_NS / nstreams);
		uint32_t id = order[*next % (uint64_t)nstreams];
		struct stream *s = &stream[id];

		if (due > t || due >= end_ns || (fd >= 0 && fd != port[s->out].fd))
			break;
		if (due >= measure_ns && t - due > lag_ns)
			lag_ns = t - due;
		fd = port[s->out].fd;
		iov[n] = (struct iovec){ buf[n], packet_fill(buf[n], id, t) };
		if (t >= measure_ns)
			s->sent++;
		m[n] = (struct mmsghdr){ .msg_hdr = { .msg_name = (void *)(uintptr_t)s->to, .msg_namelen = base_addr_len(s->to),
			.msg_iov = &iov[n], .msg_iovlen = 1 } };
	}
	if (!n)
		return 0;
	sent = sendmmsg(fd, m, (unsigned)n, MSG_DONTWAIT);
	if (sent < n)
		bad.unsent += (uint64_t)(n - (sent < 0 ? 0 : sent));
	return n;
}

/* In place; the stream that its SSRC names has the key. */
static bool packet_open(uint8_t *p, uint32_t *n)
{
	uint32_t id = (uint32_t)p[10] << 8 | p[11];
	bool newer;

	if (*n < 12 || id >= (uint32_t)nstreams || !stream[id].open)
		return true;
	if (!keys_srtp_unprotect(stream[id].open, p, n, &newer))
		return true;
	bad.unverified++;
	return false;
}

static void packet_take(uint8_t *p, uint32_t n, int at, const union base_addr *from, int64_t t)
{
	struct payload x;
	struct stream *s;
	uint16_t seq;
	int64_t us;

	if (!packet_open(p, &n))
		return;
	memcpy(&x, p + 12, sizeof(x));
	if (n != PACKET || x.run != run_id || x.stream >= (uint32_t)nstreams || stream[x.stream].in != at) {
		bad.foreign++;
		return;
	}
	s = &stream[x.stream];
	if (!base_addr_eq(from, s->from))
		bad.wrong_source++;
	seq = (uint16_t)(p[2] << 8 | p[3]);
	if (s->begun && (int16_t)(seq - s->last_seq) <= 0)
		bad.disorder++;
	if (s->begun && t >= measure_ns && t - s->last_ns > s->gap_ns)
		s->gap_ns = t - s->last_ns;
	s->begun = true;
	s->last_seq = seq;
	s->last_ns = t;
	if (x.sent_ns < measure_ns)
		return;
	s->received++;
	us = (t - x.sent_ns) / 1000;
	delay[us > DELAY_US_MAX ? DELAY_US_MAX : us]++;
}

static int receive(int at)
{
	static uint8_t buf[BATCH][2048] __attribute__((aligned(8)));
	static union base_addr from[BATCH];
	struct mmsghdr m[BATCH];
	struct iovec iov[BATCH];
	int64_t t;
	int n;

	for (int i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){ buf[i], sizeof(buf[i]) };
		m[i] = (struct mmsghdr){ .msg_hdr = { .msg_name = &from[i], .msg_namelen = sizeof(from[i]), .msg_iov = &iov[i], .msg_iovlen = 1 } };
	}
	n = recvmmsg(port[at].fd, m, BATCH, MSG_DONTWAIT, NULL);
	t = now_ns();
	for (int i = 0; i < n; i++)
		packet_take(buf[i], m[i].msg_len, at, &from[i], t);
	return n;
}

/* CPU of all threads of the relay, from the scheduler's own account. */
static int64_t relay_cpu_ns(void)
{
	char path[320], text[128];
	int64_t sum = 0;
	struct dirent *e;
	DIR *d;

	if (!opt.pid)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/task", opt.pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		int fd;
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", opt.pid, e->d_name);
		fd = open(path, O_RDONLY);
		n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
		if (n > 0) {
			text[n] = 0;
			sum += strtoll(text, NULL, 10);
		}
		if (fd >= 0)
			close(fd);
	}
	if (d)
		closedir(d);
	return sum;
}

static double percentile(uint64_t total, double p)
{
	uint64_t sum = 0, want = (uint64_t)((double)total * p);

	for (int us = 0; us <= DELAY_US_MAX; us++) {
		sum += delay[us];
		if (sum > want)
			return us;
	}
	return DELAY_US_MAX;
}

static void report(int calls, int64_t cpu_ns)
{
	uint64_t sent = 0, received = 0;
	int64_t gap = 0;

	for (int i = 0; i < nstreams; i++) {
		sent += stream[i].sent;
		received += stream[i].received;
		if (stream[i].gap_ns > gap)
			gap = stream[i].gap_ns;
	}
	printf("{\"calls\":%d,\"pps\":%.0f,\"sent\":%llu,\"received\":%llu,\"loss_pct\":%.4f,\"p50_us\":%.0f,\"p99_us\":%.0f,\"p999_us\":%.0f,"
		"\"gap_max_ms\":%.1f,\"disorder\":%llu,\"wrong_source\":%llu,\"foreign\":%llu,\"unsent\":%llu,\"unverified\":%llu,\"gen_lag_us\":%.0f,\"cpu_us_per_packet\":%.3f}\n",
		calls, (double)sent / opt.seconds, (unsigned long long)sent, (unsigned long long)received,
		sent ? 100.0 * ((double)sent - (double)received) / (double)sent : 0, percentile(received, 0.5), percentile(received, 0.99),
		percentile(received, 0.999), (double)gap / 1e6, (unsigned long long)bad.disorder, (unsigned long long)bad.wrong_source,
		(unsigned long long)bad.foreign, (unsigned long long)bad.unsent, (unsigned long long)bad.unverified, (double)lag_ns / 1000, sent ? (double)cpu_ns / 1000 / (double)sent : 0);
}

static void run(int calls)
{
	int64_t start = now_ns() + 10000000, cpu = 0;
	uint64_t next = 0;
	bool measuring = false;

	measure_ns = start + (int64_t)(opt.warm * 1e9);
	end_ns = measure_ns + (int64_t)(opt.seconds * 1e9);
	for (int64_t t = now_ns(); t < end_ns; t = now_ns()) {
		if (!measuring && t >= measure_ns) {
			measuring = true;
			cpu = relay_cpu_ns();
		}
		while (send_due(&next, start) == BATCH)
			;
		for (int i = 0; i < nports; i++)
			receive(i);
	}
	cpu = relay_cpu_ns() - cpu;
	for (int64_t t = now_ns(); t < end_ns + 300000000; t = now_ns())
		for (int i = 0; i < nports; i++)
			receive(i);
	report(calls, cpu);
}

static double number(const char *s)
{
	return strtod(s, NULL);
}

int main(int argc, char **argv)
{
	int c, calls;

	while ((c = getopt(argc, argv, "f:n:d:w:c:P:")) != -1)
		switch (c) {
		case 'f': opt.file = optarg; break;
		case 'n': opt.calls = (int)number(optarg); break;
		case 'd': opt.seconds = number(optarg); break;
		case 'w': opt.warm = number(optarg); break;
		case 'c': opt.cpu = (int)number(optarg); break;
		case 'P': opt.pid = (int)number(optarg); break;
		default: return 1;
		}
	if (!opt.file || opt.calls < 1 || opt.calls > CALLS_MAX) {
		fprintf(stderr, "usage: rtpgen -f FLOWS [-n calls] [-d seconds] [-w warm-up] [-c cpu] [-P pid]\n");
		return 1;
	}
	if (opt.cpu >= 0) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET(opt.cpu, &set);
		if (sched_setaffinity(0, sizeof(set), &set))
			fail("cpu");
	}
	calls = bench_flows_read(opt.file, flow, opt.calls);
	if (calls < 1)
		fail(opt.file);
	base_random(&run_id, sizeof(run_id));
	if (keys_srtp_start())
		fail("SRTP");
	streams_make(calls);
	run(calls);
	return 0;
}
