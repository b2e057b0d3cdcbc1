/* SPDX-License-Identifier: Apache-2.0 */
/*
 * media/io with one socket per port: all of them stand in the worker's epoll for good, level-triggered, one receive per event (a port
 * holds one packet at a time: edges and recvmmsg gain nothing). Sockets stay unconnected: a connected one is deaf to a moved peer and
 * answers others by ICMP.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "media/io.h"

#define ARENA (MEDIA_BATCH * (MEDIA_PACKET_MAX + 64))

struct ports {
	struct media_io io;
	const int *fds;
	struct epoll_event ev[MEDIA_BATCH];
	uint8_t arena[ARENA] __attribute__((aligned(64))); /* packets close to each other: a batch of speech fits the first cache */
};

static struct ports *ports_of(struct media_io *io)
{
	return container_of(io, struct ports, io);
}

static void ports_close(struct media_io *io)
{
	media_io_fini(io);
	free(ports_of(io));
}

static int ports_listen(struct media_io *io, uint32_t slot)
{
	const int *fds = ports_of(io)->fds;

	for (uint32_t k = 0; k < 2; k++) {
		struct epoll_event ev = { .events = EPOLLIN, .data.u32 = 2 * slot + k };

		if (fds[2 * slot + k] >= 0 && epoll_ctl(io->ep, EPOLL_CTL_ADD, fds[2 * slot + k], &ev) && errno != EEXIST)
			return -errno;
	}
	return 0;
}

static void ports_expect(struct media_io *io, uint32_t slot, const union base_addr from[static 2])
{
	/* a port holds its own packets alone */
}

static int ports_recv(struct media_io *io, int wait_ms, struct media_in *ret, int *ret_ready)
{
	struct ports *p = ports_of(io);
	uint8_t *at = p->arena;
	int got = 0, ready = epoll_wait(io->ep, p->ev, MEDIA_BATCH, wait_ms);

	for (int i = 0; i < ready; i++) {
		uint32_t key = p->ev[i].data.u32;
		struct media_in *in = &ret[got];
		socklen_t len = sizeof(in->from);
		ssize_t n;

		if (__builtin_expect(key == MEDIA_IO_WAKE, 0)) {
			media_io_awake(io);
			continue;
		}
		n = recvfrom(p->fds[key], at, MEDIA_PACKET_MAX, MSG_DONTWAIT | MSG_TRUNC, &in->from.sa, &len);
		if (n < 0)
			continue; /* an ICMP error, or another thread's: nothing to do about it */
		io->counts.received++;
		if (n > MEDIA_PACKET_MAX) {
			io->counts.oversize++;
			continue;
		}
		in->slot = key >> 1;
		in->rtcp = key & 1;
		in->p = at;
		in->n = (uint32_t)n;
		at += ((size_t)n + MEDIA_PACKET_ROOM + 63) & ~(size_t)63;
		got++;
	}
	*ret_ready = ready > 0 ? ready : 0;
	return got;
}

static void ports_send(struct media_io *io, const struct media_out *out, int n)
{
	const int *fds = ports_of(io)->fds;

	for (int i = 0; i < n; i++) {
		const struct media_out *o = &out[i];

		if (sendto(fds[2 * o->slot + o->rtcp], o->p, o->n, MSG_DONTWAIT, &o->to->sa, base_addr_len(o->to)) < 0)
			io->counts.send_failed++;
		else
			io->counts.sent++;
	}
}

int media_io_ports_open(const struct media_io_params *p, struct media_io **ret)
{
	static const struct media_io_ops ops = { ports_close, ports_listen, ports_expect, ports_recv, ports_send };
	struct ports *x = base_alloc(sizeof(*x));
	int err;

	if (!x)
		return -ENOMEM;
	x->fds = p->fds;
	err = media_io_init(&x->io, &ops);
	if (err) {
		ports_close(&x->io);
		return err;
	}
	*ret = &x->io;
	return 0;
}
