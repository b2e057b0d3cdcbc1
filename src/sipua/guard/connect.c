/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connect: keep-alive and a limit of the kernel's own patience for connections that the library makes, and their entry
 * in the table of connections. Others' sockets (c-ares, hiredis) are passed through.
 */
#include "sipua/priv.h"
#include "sipua/guard/guard.h"

#include <netinet/tcp.h>

#define KEEPALIVE_IDLE_S 60
#define USER_TIMEOUT_MS 20000

SIPUA_REAL(int, connect, (int fd, const struct sockaddr *addr, socklen_t len))

static void enter(struct sipua_fd *f, int fd, const struct sockaddr *addr, socklen_t len)
{
	int one = 1, idle = KEEPALIVE_IDLE_S, timeout = USER_TIMEOUT_MS;
	union base_addr peer = { 0 };

	SIPUA_HIT(connect);
	memcpy(&peer, addr, len < sizeof(peer) ? len : sizeof(peer));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
	base_count(COUNTER_SIP_CONN_MADE);
	f->kind = SIPUA_FD_CONN;
	sipua_conn_new(f, fd, &peer, false);
	sipua_now.wrote = fd;
	sipua_now.opened = true;
}

int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct sipua_fd *f = sipua_fd_get(fd);

	if (f && f->kind == SIPUA_FD_NEW)
		enter(f, fd, addr, len);
	return real_connect(fd, addr, len);
}
