/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Channels: typed datagrams between our processes over AF_UNIX SOCK_SEQPACKET, with descriptors.
 * A datagram: type u16, descriptors u16, id u32, length of the body u32, body. Little-endian.
 * No message types here, no retries, no authentication: who holds the other end was decided by who made the pair.
 */
#define _GNU_SOURCE /* recvmsg flags */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "postern/loop.h"

#define HEADER_BYTES     12u
#define FDS_KERNEL       253u /* SCM_MAX_FD: what a foreign sender may attach */
#define QUEUE_MSGS       1024u
#define QUEUE_BYTES      (8u << 20)
#define READS_PER_TURN   64
#define RETRY_MS         10

struct queued {
	struct list_node node;
	size_t n, nfds;
	int *fds;       /* after the bytes of the message */
	uint8_t bytes[];
};

struct loop_chan {
	struct loop *loop;
	int fd;
	struct loop_fd *watch;
	void (*cb)(void *arg, struct loop_msg *m);
	void *arg;
	struct list_node queue;
	size_t queue_n, queue_bytes;
	struct loop_timer retry;
	uint8_t *in;
	bool closed, gone;
};

union control {
	struct cmsghdr align;
	uint8_t bytes[CMSG_SPACE(FDS_KERNEL * sizeof(int))];
};

/* descriptors that came with one datagram */
struct received {
	int fd[FDS_KERNEL];
	size_t n;
};

int loop_msg_parse(const void *p, size_t n, struct loop_msg *ret)
{
	struct reader r = reader_on(p, n);
	struct loop_msg m = { 0 };

	m.type = rd_u16(&r);
	m.nfds = rd_u16(&r);
	m.id = rd_u32(&r);
	m.body = rd_slice(&r);
	if (r.bad)
		return ERR_TRUNCATED;
	if (r.p != r.end)
		return ERR_PROTO;
	if (m.nfds > LOOP_CHAN_FDS)
		return ERR_RANGE;
	*ret = m;
	return 0;
}

int loop_msg_take_fd(struct loop_msg *m, size_t i)
{
	int *at, fd;

	if (i >= m->nfds)
		return ERR_NOTFOUND;
	at = (int *)(uintptr_t)&m->fds[i]; /* const is for the callback: the array is the channel's */
	fd = *at;
	if (fd < 0)
		return ERR_NOTFOUND;
	*at = -1;
	return fd;
}

/* all descriptors of the control data, whatever it claims to be: what is not closed here leaks */
static void collect(struct msghdr *mh, struct received *ret)
{
	struct cmsghdr *c;

	ret->n = 0;
	for (c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || c->cmsg_len < CMSG_LEN(0))
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		if (n > ARRAY_LEN(ret->fd) - ret->n)
			n = ARRAY_LEN(ret->fd) - ret->n;
		memcpy(ret->fd + ret->n, CMSG_DATA(c), n * sizeof(int));
		ret->n += n;
	}
}

static void close_rest(struct received *r)
{
	for (size_t i = 0; i < r->n; i++) {
		if (r->fd[i] >= 0)
			close(r->fd[i]);
	}
}

static void chan_gone(struct loop_chan *c)
{
	if (c->gone)
		return;
	c->gone = true;
	loop_fd_del(c->watch);
	c->watch = NULL;
	loop_timer_stop(&c->retry);
	c->cb(c->arg, NULL);
}

static void deliver(struct loop_chan *c, size_t n, int flags, struct received *r)
{
	struct loop_msg m;
	int err = flags & (MSG_TRUNC | MSG_CTRUNC) ? ERR_TRUNCATED : loop_msg_parse(c->in, n, &m);

	if (err == 0 && m.nfds != r->n)
		err = ERR_PROTO;
	if (err == 0) {
		m.fds = r->fd;
		c->cb(c->arg, &m);
	} else {
		base_count(COUNTER_IPC_BAD);
		base_log_limited(BASE_WARN, 1, "loop", "message dropped bytes=%zu descriptors=%zu reason=\"%s\"", n, r->n, base_strerror(err));
	}
	close_rest(r);
}

/* one datagram; false where there is nothing more to read now */
static bool receive(struct loop_chan *c)
{
	union control control;
	struct received r;
	struct iovec iov = { c->in, LOOP_CHAN_MAX };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(c->fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0) {
		if (errno == EINTR)
			return true;
		if (errno != EAGAIN && errno != ENOMEM && errno != ENOBUFS)
			chan_gone(c);
		return false;
	}
	collect(&mh, &r);
	if (n == 0) {
		close_rest(&r);
		chan_gone(c);
		return false;
	}
	deliver(c, (size_t)n, mh.msg_flags, &r);
	return true;
}

static void unqueue(struct loop_chan *c, struct queued *q)
{
	list_del(&q->node);
	c->queue_n--;
	c->queue_bytes -= q->n;
	free(q);
}

/* header and body apart: a body is never copied unless it must wait */
static int transmit(int fd, struct slice head, struct slice body, const int *fds, size_t nfds)
{
	union control control;
	struct iovec iov[2] = { { (void *)(uintptr_t)head.p, head.n }, { (void *)(uintptr_t)body.p, body.n } };
	struct msghdr mh = { .msg_iov = iov, .msg_iovlen = body.n ? 2 : 1 };
	ssize_t done;

	if (nfds) {
		struct cmsghdr *c = &control.align;

		memset(&control, 0, CMSG_SPACE(nfds * sizeof(int)));
		mh.msg_control = &control;
		mh.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
	}
	do
		done = sendmsg(fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (done < 0 && errno == EINTR);
	if (done >= 0)
		return 0;
	return errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN ? ERR_GONE : -errno;
}

/* full for now: the message can be sent later */
static bool must_wait(int err)
{
	return err == -EAGAIN || err == -ENOBUFS || err == -ENOMEM || err == -ETOOMANYREFS;
}

static void flush(void *arg)
{
	struct loop_chan *c = arg;
	int err = 0;

	while (!list_empty(&c->queue)) {
		struct queued *q = container_of(c->queue.next, struct queued, node);

		err = transmit(c->fd, (struct slice){ (const char *)q->bytes, q->n }, SLICE(""), q->fds, q->nfds);
		if (must_wait(err) || err == ERR_GONE)
			break;
		if (err < 0)
			base_log(BASE_ERROR, "loop", "queued message lost type=%u reason=\"%s\"", q->bytes[0] | q->bytes[1] << 8, base_strerror(err));
		unqueue(c, q);
	}
	if (!c->watch)
		return;
	/* a socket that is short of memory counts as writable: look again after a while, do not spin */
	if (must_wait(err) && err != -EAGAIN)
		loop_timer_start(c->loop, &c->retry, RETRY_MS, flush, c);
	loop_fd_want_write(c->watch, err == -EAGAIN);
}

static void on_ready(void *arg)
{
	struct loop_chan *c = base_ref(arg);

	if (!list_empty(&c->queue) && !loop_timer_active(&c->retry))
		flush(c);
	for (int i = 0; i < READS_PER_TURN && !c->closed && !c->gone; i++) {
		if (!receive(c))
			break;
	}
	base_unref(c);
}

static void chan_destroy(void *obj)
{
	struct loop_chan *c = obj;

	while (!list_empty(&c->queue))
		unqueue(c, container_of(c->queue.next, struct queued, node));
	free(c->in);
}

static bool is_our_kind(int fd)
{
	int type = 0, domain = 0;
	socklen_t n = sizeof(type), m = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_SEQPACKET &&
	       getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &m) == 0 && domain == AF_UNIX;
}

int loop_chan_open(struct loop *l, int fd, void (*cb)(void *arg, struct loop_msg *m), void *arg, struct loop_chan **ret)
{
	struct loop_chan *c;
	int err = -ENOMEM;

	if (!is_our_kind(fd))
		return -EINVAL;
	c = base_new(sizeof(*c), chan_destroy);
	if (!c)
		return -ENOMEM;
	c->loop = l;
	c->fd = fd;
	c->cb = cb;
	c->arg = arg;
	list_init(&c->queue);
	c->in = base_alloc(LOOP_CHAN_MAX);
	if (c->in)
		err = loop_fd_add(l, fd, on_ready, c, &c->watch);
	if (err < 0) {
		base_unref(c);
		return err;
	}
	*ret = c;
	return 0;
}

void loop_chan_close(struct loop_chan *c)
{
	if (!c)
		return;
	must(!c->closed);
	c->closed = true;
	loop_fd_del(c->watch);
	c->watch = NULL;
	loop_timer_stop(&c->retry);
	close(c->fd);
	c->fd = -1;
	base_unref(c);
}

static int enqueue(struct loop_chan *c, struct slice head, struct slice body, const int *fds, size_t nfds)
{
	size_t n = head.n + body.n, at = (n + sizeof(int) - 1) / sizeof(int) * sizeof(int);
	struct queued *q;

	if (c->queue_n >= QUEUE_MSGS || c->queue_bytes + n > QUEUE_BYTES)
		return ERR_FULL;
	q = base_alloc(sizeof(*q) + at + nfds * sizeof(int));
	if (!q)
		return -ENOMEM;
	q->n = n;
	q->nfds = nfds;
	q->fds = (int *)(void *)(q->bytes + at);
	memcpy(q->bytes, head.p, head.n);
	if (body.n)
		memcpy(q->bytes + head.n, body.p, body.n);
	if (nfds)
		memcpy(q->fds, fds, nfds * sizeof(int));
	list_add_tail(&c->queue, &q->node);
	c->queue_n++;
	c->queue_bytes += n;
	return 0;
}

int loop_chan_send(struct loop_chan *c, uint16_t type, uint32_t id, struct slice body, const int *fds, size_t nfds)
{
	uint8_t header[HEADER_BYTES];
	struct writer w = writer_on(header, sizeof(header));
	struct slice head = { (const char *)header, HEADER_BYTES };
	int err;

	if (c->gone || c->closed)
		return ERR_GONE;
	if (nfds > LOOP_CHAN_FDS || body.n > LOOP_CHAN_MAX - HEADER_BYTES)
		return ERR_RANGE;
	wr_u16(&w, type);
	wr_u16(&w, (uint16_t)nfds);
	wr_u32(&w, id);
	wr_u32(&w, (uint32_t)body.n);
	if (!list_empty(&c->queue))
		return enqueue(c, head, body, fds, nfds);
	err = transmit(c->fd, head, body, fds, nfds);
	if (!must_wait(err))
		return err;
	if (err == -EAGAIN)
		loop_fd_want_write(c->watch, true);
	else
		loop_timer_start(c->loop, &c->retry, RETRY_MS, flush, c);
	return enqueue(c, head, body, fds, nfds);
}

bool loop_chan_idle(const struct loop_chan *c)
{
	return list_empty(&c->queue);
}

int loop_chan_pair(int ret_fd[2])
{
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd) < 0)
		return -errno;
	ret_fd[0] = fd[0];
	ret_fd[1] = fd[1];
	return 0;
}
