/* SPDX-License-Identifier: Apache-2.0 */
/* media/io: which back end, and what both have: an epoll set and what ends a wait in it. */
#include "media/io.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

int media_io_open(const struct media_io_params *p, struct media_io **ret)
{
	return p->shared_hosts ? media_io_shared_open(p, ret) : media_io_ports_open(p, ret);
}

int media_io_init(struct media_io *io, const struct media_io_ops *ops)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = MEDIA_IO_WAKE };

	io->ops = ops;
	memset(&io->counts, 0, sizeof(io->counts));
	io->ep = epoll_create1(EPOLL_CLOEXEC);
	io->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (io->ep < 0 || io->wake < 0 || epoll_ctl(io->ep, EPOLL_CTL_ADD, io->wake, &ev))
		return -errno;
	return 0;
}

void media_io_fini(struct media_io *io)
{
	if (io->ep >= 0)
		close(io->ep);
	if (io->wake >= 0)
		close(io->wake);
}

void media_io_awake(struct media_io *io)
{
	uint64_t told;

	if (read(io->wake, &told, sizeof(told)) < 0)
		return; /* another turn took it */
}

void media_io_close(struct media_io *io)
{
	if (io)
		io->ops->close(io);
}

int media_io_listen(struct media_io *io, uint32_t slot)
{
	return io->ops->listen(io, slot);
}

void media_io_expect(struct media_io *io, uint32_t slot, const union base_addr from[static 2])
{
	io->ops->expect(io, slot, from);
}

int media_io_recv(struct media_io *io, int wait_ms, struct media_in *ret, int *ret_ready)
{
	return io->ops->recv(io, wait_ms, ret, ret_ready);
}

void media_io_send(struct media_io *io, const struct media_out *out, int n)
{
	io->ops->send(io, out, n);
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
