/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The media process and its client in one process, with real sockets on loopback: relay, restart of either side, inactivity, ports. All of it
 * with a socket per port, and again with shared ones where this machine lets us have them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "media/cmd.h"
#include "media/slot.h"
#include "postern/loop.h"
#include "postern/media.h"

#define SLOTS 8

static struct bed {
	struct loop *loop;
	struct media_map_entry map[SLOTS];
	int fds[2 * SLOTS];
	const int *io;                 /* these, or the shared ones */
	uint32_t hosts;
	struct media_shared *shared;
	int pair[2];                   /* as the supervisor keeps them */
	int memory;
	struct loop_shm shm;
	struct media_proc *proc;
	struct media_client *client;
	unsigned inactive;
	struct media_ref inactive_ref;
	size_t live;
} bed;

static bool on_shared;                 /* this round */

struct peer { int fd[2]; union base_addr addr; };  /* RTP and RTCP of a phone */

static void on_inactive(void *arg, struct media_ref r)
{
	(void)arg;
	bed.inactive++;
	bed.inactive_ref = r;
}

static void turns(int ms)
{
	struct mono end = mono_add_ms(base_mono_now(), ms);

	while (base_mono_now().us < end.us)
		loop_turn(bed.loop, 5);
}

static void proc_up(unsigned workers)
{
	assert_int_equal(media_proc_start(&(struct media_proc_params){ .loop = bed.loop, .chan_fd = dup(bed.pair[1]), .streams = &bed.shm, .wishes = &bed.shm,
		.map = bed.map, .nmap = SLOTS, .fds = bed.io, .shared_hosts = bed.hosts, .workers = workers }, &bed.proc), 0);
}

static void client_up(void)
{
	assert_int_equal(media_client_new(&(struct media_client_params){ .loop = bed.loop, .chan_fd = dup(bed.pair[0]), .streams = &bed.shm, .wishes = &bed.shm,
		.map = bed.map, .nmap = SLOTS, .inactive = on_inactive }, &bed.client), 0);
}

static int setup(void **state)
{
	int n = 0, port = 21000 + 2 * (int)base_random_below(5000);

	(void)state;
	memset(&bed, 0, sizeof(bed));
	bed.live = base_live();
	for (; n < SLOTS; port += 2) {
		bed.map[n].ok = 1;
		assert_int_equal(base_addr_parse(SLICE("127.0.0.1"), (uint16_t)port, &bed.map[n].addr), 0);
		n += !media_port_sockets(&bed.map[n].addr, &bed.fds[2 * n]);
	}
	bed.io = bed.fds;
	if (on_shared) {
		const char *step;
		uint32_t nfds;

		for (int i = 0; i < 2 * SLOTS; i++) {
			close(bed.fds[i]);
			bed.fds[i] = -1;
		}
		assert_int_equal(media_shared_open(2, 1 << 20, &bed.shared, &step), 0);
		assert_int_equal(media_shared_map(bed.shared, bed.map, SLOTS), 0);
		bed.io = media_shared_fds(bed.shared, &nfds);
		bed.hosts = media_shared_hosts(bed.shared);
	}
	assert_int_equal(loop_new(&bed.loop), 0);
	assert_int_equal(loop_chan_pair(bed.pair), 0);
	assert_int_equal(loop_shm_create("streams", (struct loop_shm_spec[]){ { REGION_SLOTS, media_slots_bytes(SLOTS) },
		{ REGION_MEDIA, media_header_bytes() }, { REGION_RING, 1 << 18 } }, 3, &bed.memory), 0);
	assert_int_equal(loop_shm_map(bed.memory, true, &bed.shm), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	media_client_free(bed.client);
	media_proc_stop(bed.proc);
	loop_free(bed.loop);
	loop_shm_unmap(&bed.shm);
	close(bed.memory);
	for (int i = 0; i < 2 * SLOTS; i++)
		if (bed.fds[i] >= 0)
			close(bed.fds[i]);
	media_shared_close(bed.shared);
	close(bed.pair[0]);
	close(bed.pair[1]);
	assert_int_equal(base_live(), bed.live);
	return 0;
}

static void peer_up(struct peer *p)
{
	do {
		assert_int_equal(base_addr_parse(SLICE("127.0.0.2"), (uint16_t)(22000 + 2 * base_random_below(4000)), &p->addr), 0);
	} while (media_port_sockets(&p->addr, p->fd));
}

static void peer_down(struct peer *p)
{
	close(p->fd[0]);
	close(p->fd[1]);
}

static void send_rtp(const struct peer *p, const union base_addr *to, uint16_t seq)
{
	uint8_t b[172] = { 0x80, 0, (uint8_t)(seq >> 8), (uint8_t)seq };

	assert_int_equal(sendto(p->fd[0], b, sizeof(b), 0, &to->sa, base_addr_len(to)), sizeof(b));
}

/* Sequence of the next packet, or -1 after ms. */
static int recv_rtp(const struct peer *p, int ms)
{
	struct pollfd f = { .fd = p->fd[0], .events = POLLIN };
	uint8_t b[2048];

	if (poll(&f, 1, ms) != 1 || recv(p->fd[0], b, sizeof(b), 0) != 172)
		return -1;
	return b[2] << 8 | b[3];
}

struct call { struct media_ref ref[2]; union base_addr at[2]; struct peer peer[2]; };

static void call_want(struct call *c, int side, uint32_t flags, uint32_t inactivity_s)
{
	struct media_want w = { .peer = c->ref[!side], .remote = c->peer[side].addr, .remote_rtcp = c->peer[side].addr, .flags = flags,
		.inactivity_s = inactivity_s };

	base_addr_set_port(&w.remote_rtcp, (uint16_t)(base_addr_port(&w.remote) + 1));
	assert_int_equal(media_want(bed.client, c->ref[side], &w), 0);
}

static void call_up(struct call *c, uint32_t inactivity_s)
{
	for (int i = 0; i < 2; i++) {
		assert_int_equal(media_port_take(bed.client, 0, AF_INET, i ? media_port_lane(bed.client, c->ref[0]) : -1, &c->ref[i], &c->at[i]), 0);
		peer_up(&c->peer[i]);
	}
	for (int i = 0; i < 2; i++)
		call_want(c, i, MEDIA_RX | MEDIA_TX | (inactivity_s && i ? MEDIA_WATCH : 0), inactivity_s);
}

static void call_check(struct call *c, uint16_t seq)
{
	for (int i = 0; i < 2; i++) {
		send_rtp(&c->peer[i], &c->at[i], seq);
		assert_int_equal(recv_rtp(&c->peer[!i], 2000), seq);
	}
}

static void call_down(struct call *c)
{
	for (int i = 0; i < 2; i++) {
		if (bed.client)
			media_port_close(bed.client, c->ref[i]);
		peer_down(&c->peer[i]);
	}
}

static void relays(void **state)
{
	struct call c;
	struct media_figures f;
	uint8_t rr[8] = { 0x80, 201, 0, 1 };
	union base_addr to;
	struct pollfd p;

	(void)state;
	proc_up(2);
	client_up();
	call_up(&c, 0);
	assert_int_equal(media_port_lane(bed.client, c.ref[0]), media_port_lane(bed.client, c.ref[1]));
	turns(30);
	for (uint16_t i = 0; i < 20; i++)
		call_check(&c, i);
	to = c.at[0];
	base_addr_set_port(&to, (uint16_t)(base_addr_port(&to) + 1));
	assert_int_equal(sendto(c.peer[0].fd[1], rr, 8, 0, &to.sa, base_addr_len(&to)), 8);
	p = (struct pollfd){ .fd = c.peer[1].fd[1], .events = POLLIN };
	assert_int_equal(poll(&p, 1, 2000), 1);
	assert_int_equal(media_figures_get(&bed.shm, c.ref[0], &f), 0);
	assert_true(f.rx_packets == 20 && f.tx_packets == 20 && f.rtcp_rx == 1 && f.latched && base_addr_eq(&f.source, &c.peer[0].addr));
	assert_true(f.last_rx_ms >= 0 && f.last_rx_ms < 5000 && f.lost == 0 && f.clock_hz == 8000);
	/* the direction */
	call_want(&c, 0, MEDIA_TX, 0);
	turns(30);
	send_rtp(&c.peer[0], &c.at[0], 20);
	assert_int_equal(recv_rtp(&c.peer[1], 100), -1);
	/* closed: nothing passes, the figures stay until the slot's next call */
	call_down(&c);
	turns(120);
	assert_int_equal(media_figures_get(&bed.shm, c.ref[0], &f), 0);
	assert_int_equal(f.rx_packets, 20);
	c.ref[0].gen++;
	assert_int_equal(media_figures_get(&bed.shm, c.ref[0], &f), ERR_NOTFOUND);
	assert_int_equal(media_ports_free(bed.client, 0, AF_INET), SLOTS);
}

static void media_restarts(void **state)
{
	struct call c, d;
	struct media_figures f;
	int64_t t;

	(void)state;
	proc_up(1);
	client_up();
	call_up(&c, 0);
	turns(30);
	call_check(&c, 1);
	media_proc_stop(bed.proc);
	bed.proc = NULL;
	/* wishes while it is away wait for its successor */
	call_up(&d, 0);
	turns(30);
	send_rtp(&c.peer[0], &c.at[0], 2);
	t = base_mono_now().us;
	proc_up(1);
	assert_int_equal(recv_rtp(&c.peer[1], 2000), 2); /* before any turn of the loop: memory is enough */
	print_message("first packet %lld us after start\n", (long long)(base_mono_now().us - t));
	turns(50);
	call_check(&d, 7);
	call_check(&c, 3);
	assert_int_equal(media_figures_get(&bed.shm, c.ref[0], &f), 0);
	assert_true(f.rx_packets == 3 && f.lost == 0);
	call_down(&c);
	call_down(&d);
}

/* What the dead one had read and not applied is sent again. */
static void lost_commands(void **state)
{
	uint8_t buf[65536];
	struct call c;
	struct base_ring *ring = NULL;
	struct slice rec;
	uint64_t pos, resent = base_counters[COUNTER_MEDIA_RESENT];
	unsigned taken = 0;
	size_t n = 0;
	void *p;

	(void)state;
	client_up();
	call_up(&c, 0);
	turns(20);
	while (recv(bed.pair[1], buf, sizeof(buf), MSG_DONTWAIT) > 0)
		; /* read by one that died before it did anything */
	p = loop_shm_region(&bed.shm, REGION_RING, &n);
	assert_int_equal(base_ring_open(p, n, &ring), 0);
	pos = base_ring_pos(ring);
	while (base_ring_peek(ring, &pos, &rec))
		taken++;
	base_ring_consume(ring, pos);
	base_ring_close(ring);
	assert_true(taken > 0);
	proc_up(1);
	turns(50);
	call_check(&c, 1); /* what it had taken with it was said again */
	assert_true(base_counters[COUNTER_MEDIA_RESENT] - resent >= 2);
	call_down(&c);
}

/* The legs of a call at different workers, as where a lane has no port left: what is sent to one that has not spoken yet is counted, and stays so. */
static void between_workers(void **state)
{
	struct call c;
	struct media_figures f;

	(void)state;
	proc_up(2);
	client_up();
	for (int i = 0; i < 2; i++) {
		assert_int_equal(media_port_take(bed.client, 0, AF_INET, i, &c.ref[i], &c.at[i]), 0);
		peer_up(&c.peer[i]);
	}
	assert_true(c.ref[0].slot % 2 != c.ref[1].slot % 2);
	for (int i = 0; i < 2; i++)
		call_want(&c, i, MEDIA_RX | MEDIA_TX, 0);
	turns(100);
	for (uint16_t seq = 1; seq <= 5; seq++) {
		send_rtp(&c.peer[0], &c.at[0], seq);
		assert_int_equal(recv_rtp(&c.peer[1], 2000), seq);
	}
	assert_int_equal(media_figures_get(&bed.shm, c.ref[1], &f), 0);
	assert_int_equal(f.tx_packets, 5);
	send_rtp(&c.peer[1], &c.at[1], 1);
	assert_int_equal(recv_rtp(&c.peer[0], 2000), 1);
	assert_int_equal(media_figures_get(&bed.shm, c.ref[1], &f), 0);
	assert_true(f.tx_packets == 5 && f.rx_packets == 1);
	call_down(&c);
}

static void engine_restarts(void **state)
{
	struct call kept, lost;
	union base_addr at;
	struct media_ref r;

	(void)state;
	proc_up(1);
	client_up();
	call_up(&kept, 1);
	call_up(&lost, 0);
	turns(30);
	call_check(&kept, 1);
	media_client_free(bed.client);
	client_up();
	for (int i = 0; i < 2; i++) {
		assert_int_equal(media_port_adopt(bed.client, kept.ref[i], &at), 0);
		assert_true(base_addr_eq(&at, &kept.at[i]));
	}
	assert_int_equal(media_port_adopt(bed.client, kept.ref[0], &at), ERR_TORN);
	r = lost.ref[0];
	r.gen--;
	assert_int_equal(media_port_adopt(bed.client, r, &at), ERR_TORN);
	assert_int_equal(media_client_sweep(bed.client), 2);
	turns(30);
	call_check(&kept, 2);
	send_rtp(&lost.peer[0], &lost.at[0], 1);
	assert_int_equal(recv_rtp(&lost.peer[1], 100), -1);
	assert_int_equal(media_ports_free(bed.client, 0, AF_INET), SLOTS - 2);
	/* slots of the lost call can be used again, and silences reach the new engine */
	for (int i = 0; i < SLOTS - 2; i++)
		assert_int_equal(media_port_take(bed.client, 0, AF_INET, -1, &r, &at), 0);
	assert_int_equal(media_port_take(bed.client, 0, AF_INET, -1, &r, &at), ERR_NOPORT);
	turns(1600);
	assert_int_equal(bed.inactive, 1);
	assert_int_equal(bed.inactive_ref.slot, kept.ref[1].slot);
	call_down(&kept);
	peer_down(&lost.peer[0]);
	peer_down(&lost.peer[1]);
}

/* No port is left but one that was given back this moment: what its last call wanted of it is not said again in the name of the next. */
static void taken_at_once(void **state)
{
	struct media_want want = { .flags = MEDIA_RX | MEDIA_TX }, nothing = { 0 };
	struct media_ref ref[SLOTS];
	struct media_header *header;
	struct media_slot *slots;
	struct media_slot_want w;
	union base_addr at;
	uint32_t n, slot;

	(void)state;
	proc_up(1);
	client_up();
	turns(20);
	for (int i = 0; i < SLOTS; i++)
		assert_int_equal(media_port_take(bed.client, 0, AF_INET, -1, &ref[i], &at), 0);
	slot = ref[0].slot;
	assert_int_equal(base_addr_parse(SLICE("127.0.0.9"), 4000, &want.remote), 0);
	assert_int_equal(media_want(bed.client, ref[0], &want), 0);
	turns(20);
	media_port_close(bed.client, ref[0]);
	assert_int_equal(media_port_take(bed.client, 0, AF_INET, -1, &ref[0], &at), 0);
	assert_int_equal(ref[0].slot, slot);
	assert_int_equal(media_want(bed.client, ref[1], &nothing), 0); /* of another call: all that waits is sent with it */
	turns(90); /* no packet comes: the engine reminds media */
	assert_int_equal(media_slots_find(&bed.shm, &header, &slots, &n), 0);
	media_slot_take(&slots[slot], &w);
	assert_true(w.gen == ref[0].gen);
	assert_int_equal(w.want.flags, 0);
	assert_int_equal(w.want.remote.sa.sa_family, 0);
}

static void inactivity(void **state)
{
	struct call c;

	(void)state;
	proc_up(1);
	client_up();
	call_up(&c, 1);
	for (int i = 0; i < 15; i++) {
		send_rtp(&c.peer[1], &c.at[1], (uint16_t)i);
		turns(100);
	}
	assert_int_equal(bed.inactive, 0);
	turns(1600);
	assert_int_equal(bed.inactive, 1);     /* once per silence */
	assert_int_equal(bed.inactive_ref.slot, c.ref[1].slot);
	send_rtp(&c.peer[1], &c.at[1], 20);
	turns(1500);
	assert_int_equal(bed.inactive, 2);
	call_want(&c, 1, MEDIA_RX | MEDIA_TX, 1); /* held: not watched */
	turns(1500);
	assert_int_equal(bed.inactive, 2);
	call_down(&c);
}

static void odd_memory(void **state)
{
	const uint64_t bad = base_counters[COUNTER_MEDIA_CMD_BAD];
	struct loop_shm small = bed.shm;
	struct base_ring *ring;
	struct media_proc *p = NULL;
	size_t n = 0;
	void *ring_mem = loop_shm_region(&bed.shm, REGION_RING, &n);
	int fd;

	(void)state;
	assert_int_equal(loop_shm_create("small", (struct loop_shm_spec[]){ { REGION_SLOTS, media_slots_bytes(2) },
		{ REGION_MEDIA, media_header_bytes() } }, 2, &fd), 0);
	assert_int_equal(loop_shm_map(fd, true, &small), 0);
	assert_int_equal(media_proc_start(&(struct media_proc_params){ .loop = bed.loop, .chan_fd = dup(bed.pair[1]), .streams = &small, .wishes = &bed.shm,
		.map = bed.map, .nmap = SLOTS, .fds = bed.io, .shared_hosts = bed.hosts, .workers = 1 }, &p), ERR_TORN);
	loop_shm_unmap(&small);
	close(fd);
	/* wishes and messages that make no sense are counted */
	proc_up(1);
	assert_int_equal(base_ring_open(ring_mem, n, &ring), 0);
	assert_int_equal(base_ring_put(ring, "abc", 3), 0);
	base_ring_close(ring);
	assert_int_equal(send(bed.pair[0], "\1\0\0\0\0\0\0\0\0\0\0\0", 12, 0), 12);
	turns(30);
	assert_int_equal(base_counters[COUNTER_MEDIA_CMD_BAD], bad + 1);
	assert_int_equal(send(bed.pair[0], "\77\0\0\0\0\0\0\0\3\0\0\0abc", 15, 0), 15);
	turns(30);
	assert_int_equal(base_counters[COUNTER_MEDIA_CMD_BAD], bad + 2);
}

/* Wishes change and figures are read while packets flow, between two workers: for the thread sanitizer above all. */
static void under_way(void **state)
{
	struct call c, d;
	struct media_figures f;
	int got = 0;

	(void)state;
	proc_up(2);
	client_up();
	for (int i = 0; i < 2; i++) {
		assert_int_equal(media_port_take(bed.client, 0, AF_INET, i, &c.ref[i], &c.at[i]), 0);
		assert_int_equal(media_port_lane(bed.client, c.ref[i]), i);
		peer_up(&c.peer[i]);
	}
	call_up(&d, 0);
	for (uint16_t i = 0; i < 150; i++) {
		call_want(&c, i & 1, MEDIA_RX | MEDIA_TX | (i & 2 ? MEDIA_WATCH : 0), 60);
		call_want(&d, 0, MEDIA_RX | MEDIA_TX, i);
		for (int k = 0; k < 2; k++) {
			send_rtp(&c.peer[k], &c.at[k], i);
			send_rtp(&d.peer[k], &d.at[k], i);
		}
		loop_turn(bed.loop, 1);
		for (int k = 0; k < 2; k++) {
			got += recv_rtp(&c.peer[k], 1) >= 0;
			got += recv_rtp(&d.peer[k], 1) >= 0;
			media_figures_get(&bed.shm, c.ref[k], &f);
		}
	}
	assert_true(got > 300);
	call_down(&c);
	call_down(&d);
}

/* Every allocation fails once: an error, nothing leaks, nothing runs on. */
static void out_of_memory(void **state)
{
	int err = -1;

	(void)state;
	for (long n = 1; err && n < 100; n++) {
		struct media_proc_params p = { .loop = bed.loop, .chan_fd = dup(bed.pair[1]), .streams = &bed.shm, .wishes = &bed.shm, .map = bed.map, .nmap = SLOTS,
			.fds = bed.io, .shared_hosts = bed.hosts, .workers = 2 };

		base_alloc_fail_after(n);
		err = media_proc_start(&p, &bed.proc);
		base_alloc_fail_after(0);
		if (err)
			assert_int_equal(err, -ENOMEM);
	}
	assert_int_equal(err, 0);
	err = -1;
	for (long n = 1; err && n < 100; n++) {
		struct media_client_params p = { .loop = bed.loop, .chan_fd = dup(bed.pair[0]), .streams = &bed.shm, .wishes = &bed.shm, .map = bed.map, .nmap = SLOTS };

		base_alloc_fail_after(n);
		err = media_client_new(&p, &bed.client);
		base_alloc_fail_after(0);
		if (err)
			assert_int_equal(err, -ENOMEM);
	}
	assert_int_equal(err, 0);
	turns(20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(relays, setup, teardown), cmocka_unit_test_setup_teardown(media_restarts, setup, teardown),
		cmocka_unit_test_setup_teardown(lost_commands, setup, teardown), cmocka_unit_test_setup_teardown(between_workers, setup, teardown),
		cmocka_unit_test_setup_teardown(engine_restarts, setup, teardown),
		cmocka_unit_test_setup_teardown(inactivity, setup, teardown), cmocka_unit_test_setup_teardown(taken_at_once, setup, teardown), cmocka_unit_test_setup_teardown(odd_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(out_of_memory, setup, teardown), cmocka_unit_test_setup_teardown(under_way, setup, teardown),
	};

	struct media_shared *probe;
	const char *step;
	int failed = cmocka_run_group_tests_name("a socket per port", tests, NULL, NULL), err = media_shared_open(2, 1 << 16, &probe, &step);

	if (err) {
		print_message("shared sockets are not tested here: %s: %s\n", step, base_strerror(err));
		return failed;
	}
	media_shared_close(probe);
	on_shared = true;
	return failed + cmocka_run_group_tests_name("shared sockets", tests, NULL, NULL);
}
