/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams in batches: one recvmmsg takes what waits on a socket, one sendmmsg per socket lets go what a turn of the
 * loop has made (guide/sofia.md section 11: 139 -> 88 us per call). An error of sending, which the library would have
 * seen at once, is told to it from a timer: the requests to that peer fail like after an ICMP error. STUN keep-alives are answered here (stun.c).
 */
#include "sipua/priv.h"
#include "sipua/guard/guard.h"

#include <errno.h>
#include <stdlib.h>

#define RX_BATCH 64
#define RX_BYTES 65536
#define TX_BATCH 512
#define TX_BYTES (1024 * 1024)
#define ERRORS 32
#define STUN_PER_SECOND 2000     /* answers: the source may be forged */

extern void tport_error_report(tport_t *self, int errcode, const su_sockaddr_t *addr); /* exported, in no header */

/* ---- receiving ---- */

static struct {
	int fd;
	unsigned next, n;
	struct mmsghdr msg[RX_BATCH];
	struct iovec iov[RX_BATCH];
	struct sockaddr_in6 from[RX_BATCH];
	uint8_t *buf;
	struct slice taken;
} rx = { .fd = -1 };

static bool rx_init(void)
{
	if (rx.buf)
		return true;
	rx.buf = malloc((size_t)RX_BATCH * RX_BYTES);
	if (!rx.buf)
		return false;
	for (unsigned i = 0; i < RX_BATCH; i++) {
		rx.iov[i].iov_base = rx.buf + (size_t)i * RX_BYTES;
		rx.iov[i].iov_len = RX_BYTES;
		rx.msg[i].msg_hdr.msg_iov = &rx.iov[i];
		rx.msg[i].msg_hdr.msg_iovlen = 1;
		rx.msg[i].msg_hdr.msg_name = &rx.from[i];
		rx.msg[i].msg_hdr.msg_namelen = sizeof(rx.from[i]);
	}
	return true;
}

static bool stun_answered(unsigned i)
{
	static int64_t second;
	static unsigned count;
	const uint8_t *p = rx.iov[i].iov_base;
	uint8_t out[SIPUA_STUN_MAX];
	struct iovec iov = { .iov_base = out };
	union base_addr from = { .in6 = rx.from[i] };
	int64_t now;

	if (p[0] > 1) /* no SIP message begins so */
		return false;
	iov.iov_len = sipua_stun_answer(p, rx.msg[i].msg_len, &from, out);
	now = base_mono_now().us / 1000000;
	if (now != second)
		count = 0;
	second = now;
	if (iov.iov_len && count++ < STUN_PER_SECOND && sipua_udp_queue(rx.fd, &iov, 1, &from.sa, base_addr_len(&from)))
		base_count(COUNTER_SIP_STUN);
	return true;
}

/* empty datagrams are left out: the library would take them for an error of its own counting; so is STUN, which it may not see */
static void skip_empty(void)
{
	while (rx.next < rx.n && (rx.msg[rx.next].msg_len == 0 || stun_answered(rx.next)))
		rx.msg[rx.next++].msg_hdr.msg_namelen = sizeof(rx.from[0]);
}

bool sipua_udp_pending(int fd)
{
	return rx.fd == fd && rx.next < rx.n;
}

ssize_t sipua_udp_next(int fd)
{
	int n;

	if (sipua_udp_pending(fd))
		return rx.msg[rx.next].msg_len;
	if (!rx_init()) {
		errno = ENOMEM;
		return -1;
	}
	n = recvmmsg(fd, rx.msg, RX_BATCH, MSG_DONTWAIT, NULL);
	if (n < 0 && errno != EAGAIN && errno != EBADF) /* an ICMP error that is told by the error queue as well */
		n = recvmmsg(fd, rx.msg, RX_BATCH, MSG_DONTWAIT, NULL);
	rx.fd = fd;
	rx.next = 0;
	rx.n = n > 0 ? (unsigned)n : 0;
	skip_empty();
	if (rx.next < rx.n)
		return rx.msg[rx.next].msg_len;
	errno = EAGAIN;
	return -1;
}

struct slice sipua_udp_taken(void)
{
	return rx.taken;
}

ssize_t sipua_udp_take(const struct iovec *iov, size_t n, struct sockaddr *from, socklen_t *from_len)
{
	struct msghdr *h = &rx.msg[rx.next].msg_hdr;
	const uint8_t *p = rx.iov[rx.next].iov_base;
	size_t left = rx.msg[rx.next].msg_len, done = 0;

	rx.taken = (struct slice){ (const char *)p, left };
	for (size_t i = 0; i < n && left; i++) {
		size_t part = left < iov[i].iov_len ? left : iov[i].iov_len;
		memcpy(iov[i].iov_base, p + done, part);
		done += part;
		left -= part;
	}
	if (from && from_len) {
		socklen_t len = h->msg_namelen < *from_len ? h->msg_namelen : *from_len;
		memcpy(from, h->msg_name, len);
		*from_len = len;
	}
	h->msg_namelen = sizeof(rx.from[0]);
	rx.next++;
	skip_empty();
	return (ssize_t)done;
}

/* ---- sending ---- */

static struct {
	unsigned n;
	size_t used;
	bool turn_ended;
	int fd[TX_BATCH];
	struct mmsghdr msg[TX_BATCH];
	struct iovec iov[TX_BATCH];
	struct sockaddr_in6 to[TX_BATCH];
	uint8_t *buf;
} tx;

static struct {
	unsigned n;
	struct { int fd, err; union base_addr to; } e[ERRORS];
	struct loop_timer timer;
} errors;

bool sipua_udp_queue(int fd, const struct iovec *iov, size_t n, const struct sockaddr *to, socklen_t to_len)
{
	size_t total = 0;
	uint8_t *p;

	for (size_t i = 0; i < n; i++)
		total += iov[i].iov_len;
	if (!tx.buf)
		tx.buf = malloc(TX_BYTES);
	if (!tx.buf || total > RX_BYTES || to_len > sizeof(tx.to[0]))
		return false;
	if (tx.n == TX_BATCH || tx.used + total > TX_BYTES)
		sipua_udp_flush();
	p = tx.buf + tx.used;
	tx.iov[tx.n] = (struct iovec){ .iov_base = p, .iov_len = total };
	for (size_t i = 0; i < n; i++) {
		memcpy(p, iov[i].iov_base, iov[i].iov_len);
		p += iov[i].iov_len;
	}
	memcpy(&tx.to[tx.n], to, to_len);
	tx.msg[tx.n].msg_hdr = (struct msghdr){ .msg_name = &tx.to[tx.n], .msg_namelen = to_len, .msg_iov = &tx.iov[tx.n], .msg_iovlen = 1 };
	if (sipua_now.sent)
		*sipua_now.sent = (struct sipua_sent){ fd, (struct sockaddr *)&tx.to[tx.n], to_len, tx.iov[tx.n].iov_base, total };
	tx.fd[tx.n++] = fd;
	tx.used += total;
	return true;
}

/* in a callback of the loop: the library may answer the requests here, which it may not within its own wait */
static void report(void *unused)
{
	unsigned n = errors.n;

	(void)unused;
	errors.n = 0;
	for (unsigned i = 0; i < n; i++) {
		struct sipua_fd *f = sipua_fd_get(errors.e[i].fd);
		if (f && f->kind == SIPUA_FD_UDP && !f->ua->closing && f->ua->tp[f->listener].primary)
			tport_error_report(f->ua->tp[f->listener].primary, errors.e[i].err, (const su_sockaddr_t *)&errors.e[i].to);
	}
}

void sipua_udp_forget(void)
{
	errors.n = 0;
	loop_timer_stop(&errors.timer);
}

static void note_error(unsigned i, int err)
{
	struct sipua_fd *f = sipua_fd_get(tx.fd[i]);

	base_count(COUNTER_SIP_UDP_UNSENT);
	if (!f || err == EAGAIN || errors.n == ERRORS)
		return; /* a full buffer is a lost datagram: it is repeated */
	errors.e[errors.n].fd = tx.fd[i];
	errors.e[errors.n].err = err;
	memset(&errors.e[errors.n].to, 0, sizeof(errors.e[0].to));
	memcpy(&errors.e[errors.n].to, &tx.to[i], tx.msg[i].msg_hdr.msg_namelen);
	if (errors.n++ == 0)
		loop_timer_start(f->ua->loop, &errors.timer, 0, report, NULL);
}

static unsigned same_socket(unsigned from)
{
	unsigned n = 1;

	while (from + n < tx.n && tx.fd[from + n] == tx.fd[from])
		n++;
	return n;
}

bool sipua_udp_flush(void)
{
	unsigned i = 0, had = errors.n;
	bool again = false;

	tx.turn_ended = false;
	while (i < tx.n) {
		int n = sendmmsg(tx.fd[i], &tx.msg[i], same_socket(i), MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0) {
			i += (unsigned)n;
			again = false;
		} else if (errno == EINTR) {
			continue;
		} else if (errno != EAGAIN && !again) {
			again = true; /* the error of an earlier datagram: reading it has cleared it */
		} else {
			note_error(i++, errno);
			again = false;
		}
	}
	tx.n = 0;
	tx.used = 0;
	return errors.n > had;
}

void sipua_udp_turn_ended(void *unused)
{
	(void)unused;
	tx.turn_ended = true;
}

bool sipua_udp_before_wait(int timeout_ms)
{
	if (!tx.n || !sipua_loop_thread || (!tx.turn_ended && timeout_ms == 0))
		return false;
	return sipua_udp_flush();
}
