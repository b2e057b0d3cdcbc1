/* SPDX-License-Identifier: Apache-2.0 */
/*
 * media/io with one socket per port: all of them stand in the worker's epoll for good, level-triggered, one receive per event (a port
 * holds one packet at a time: edges and recvmmsg gain nothing). Sockets stay unconnected: a connected one is deaf to a moved peer and
 * answers others by ICMP.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "media/io.h"

#define WAKE UINT32_MAX
#define ARENA (MEDIA_BATCH * (MEDIA_PACKET_MAX + 64))

struct media_io {
	int ep, wake;
	const int *fds;
	uint32_t nslots;
	struct media_io_counts counts;
	struct epoll_event ev[MEDIA_BATCH];
	uint8_t arena[ARENA] __attribute__((aligned(64))); /* packets close to each other: a batch of speech fits the first cache */
};

int media_io_open(const int *fds, uint32_t nslots, struct media_io **ret)
{
	struct media_io *io = base_alloc(sizeof(*io));
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = WAKE };
	int err;

	if (!io)
		return -ENOMEM;
	io->fds = fds;
	io->nslots = nslots;
	memset(&io->counts, 0, sizeof(io->counts));
	io->ep = epoll_create1(EPOLL_CLOEXEC);
	io->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (io->ep < 0 || io->wake < 0 || epoll_ctl(io->ep, EPOLL_CTL_ADD, io->wake, &ev)) {
		err = -errno;
		media_io_close(io);
		return err;
	}
	*ret = io;
	return 0;
}

void media_io_close(struct media_io *io)
{
	if (!io)
		return;
	if (io->ep >= 0)
		close(io->ep);
	if (io->wake >= 0)
		close(io->wake);
	free(io);
}

int media_io_listen(struct media_io *io, uint32_t slot)
{
	for (uint32_t k = 0; k < 2; k++) {
		struct epoll_event ev = { .events = EPOLLIN, .data.u32 = 2 * slot + k };

		if (io->fds[2 * slot + k] >= 0 && epoll_ctl(io->ep, EPOLL_CTL_ADD, io->fds[2 * slot + k], &ev) && errno != EEXIST)
			return -errno;
	}
	return 0;
}

int media_io_recv(struct media_io *io, int wait_ms, struct media_in *ret, int *ret_ready)
{
	uint8_t *at = io->arena;
	int got = 0, ready = epoll_wait(io->ep, io->ev, MEDIA_BATCH, wait_ms);

	for (int i = 0; i < ready; i++) {
		uint32_t key = io->ev[i].data.u32;
		struct media_in *in = &ret[got];
		socklen_t len = sizeof(in->from);
		uint64_t told;
		ssize_t n;

		if (__builtin_expect(key == WAKE, 0)) {
			if (read(io->wake, &told, sizeof(told)) < 0)
				continue;
			continue;
		}
		n = recvfrom(io->fds[key], at, MEDIA_PACKET_MAX, MSG_DONTWAIT | MSG_TRUNC, &in->from.sa, &len);
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

void media_io_send(struct media_io *io, const struct media_out *out, int n)
{
	for (int i = 0; i < n; i++) {
		const struct media_out *o = &out[i];

		if (sendto(io->fds[2 * o->slot + o->rtcp], o->p, o->n, MSG_DONTWAIT, &o->to->sa, base_addr_len(o->to)) < 0)
			io->counts.send_failed++;
		else
			io->counts.sent++;
	}
}

void media_io_wake(struct media_io *io)
{
	uint64_t one = 1;

	if (write(io->wake, &one, sizeof(one)) < 0)
		return; /* full: it is awake */
}

struct media_io_counts *media_io_counts(struct media_io *io)
{
	return &io->counts;
}
