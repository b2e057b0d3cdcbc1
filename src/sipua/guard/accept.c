/* SPDX-License-Identifier: Apache-2.0 */
/*
 * accept: caps on connections, in all and per source; keep-alive by the kernel; and where no descriptor is left the
 * connection is taken with a spare one and closed: level-triggered, the library would else try for ever at 100 % CPU.
 */
#include "sipua/priv.h"
#include "sipua/guard/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <unistd.h>

#define KEEPALIVE_IDLE_S 60
#define USER_TIMEOUT_MS 20000

SIPUA_REAL(int, accept, (int fd, struct sockaddr *addr, socklen_t *len))

static int spare = -1;

static void refuse_one(int fd)
{
	int s;

	base_count(COUNTER_SIP_CONN_FILES);
	if (spare >= 0)
		close(spare);
	s = real_accept(fd, NULL, NULL);
	if (s >= 0)
		close(s);
	spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void set_options(int s)
{
	int one = 1, idle = KEEPALIVE_IDLE_S, timeout = USER_TIMEOUT_MS;

	fcntl(s, F_SETFD, FD_CLOEXEC);
	setsockopt(s, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	setsockopt(s, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(s, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
}

int accept(int fd, struct sockaddr *addr, socklen_t *len)
{
	struct sipua_fd *f = sipua_fd_get(fd), *n;
	union base_addr peer = { 0 };
	socklen_t peer_len = sizeof(peer);
	struct sipua *ua;
	unsigned listener;
	int s;

	if (!f || f->kind != SIPUA_FD_LISTEN)
		return real_accept(fd, addr, len);
	SIPUA_HIT(accept);
	ua = f->ua;
	listener = f->listener;
	if (spare < 0)
		spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	s = real_accept(fd, &peer.sa, &peer_len);
	if (s < 0) {
		if (errno == EMFILE || errno == ENFILE)
			refuse_one(fd);
		errno = EAGAIN;
		return -1;
	}
	n = sipua_conn_admit(ua, &peer) ? sipua_fd_set(s, SIPUA_FD_CONN, ua, listener) : NULL; /* f is stale from here on */
	if (!n || !sipua_conn_new(n, s, &peer, true)) {
		sipua_fd_clear(s);
		close(s);
		errno = EAGAIN;
		return -1;
	}
	base_count(COUNTER_SIP_CONN_ACCEPTED);
	set_options(s);
	if (addr && len) {
		memcpy(addr, &peer, peer_len < *len ? peer_len : *len);
		*len = peer_len;
	}
	return s;
}
