/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tport_bind_socket, su_socket, su_close, sendto: sockets handed in. The supervisor has bound them, with its
 * privileges; the library's own socket is replaced by a duplicate, and nothing is lost between two engines.
 * The library's test of MSG_TRUNC (it sends itself a datagram and reads one) would eat a peer's message: left out.
 */
#include "sipua/priv.h"
#include "sipua/guard/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sofia-sip/su_addrinfo.h>
#include <unistd.h>

#define DEFER_ACCEPT_S 5

extern int tport_bind_socket(int s, su_addrinfo_t *ai, const char **return_culprit);
SIPUA_REAL(int, tport_bind_socket, (int s, su_addrinfo_t *ai, const char **return_culprit))
SIPUA_REAL(su_socket_t, su_socket, (int af, int type, int proto))
SIPUA_REAL(int, su_close, (su_socket_t s))
SIPUA_REAL(ssize_t, sendto, (int s, const void *buf, size_t n, int flags, const struct sockaddr *to, socklen_t to_len))

/* a stream socket that the library makes while it sends is a connection to be: its fd is marked before connect */
su_socket_t su_socket(int af, int type, int proto)
{
	su_socket_t s = real_su_socket(af, type, proto);
	struct sipua *ua;
	unsigned listener;

	SIPUA_HIT(su_socket);
	if (s >= 0)
		fcntl(s, F_SETFD, FD_CLOEXEC);
	if (s >= 0 && type == SOCK_STREAM && (af == AF_INET || af == AF_INET6) && sipua_listener_of(sipua_now.sending, &ua, &listener))
		sipua_fd_set(s, SIPUA_FD_NEW, ua, listener);
	return s;
}

int su_close(su_socket_t s)
{
	struct sipua_fd *f = sipua_fd_get(s);

	SIPUA_HIT(su_close);
	if (f && f->kind == SIPUA_FD_UDP)
		sipua_udp_flush(); /* nothing may leave by another socket that gets this number */
	sipua_fd_clear(s);
	return real_su_close(s);
}

ssize_t sendto(int s, const void *buf, size_t n, int flags, const struct sockaddr *to, socklen_t to_len)
{
	if (sipua_now.fd < 0 || !sipua_fd_get(s))
		return real_sendto(s, buf, n, flags, to, to_len);
	SIPUA_HIT(sendto);
	errno = EAGAIN;
	return -1;
}

/* the name of the transport takes its port from here: the advertised one goes into Via */
static void show_advertised_port(su_addrinfo_t *ai, uint16_t port)
{
	base_addr_set_port((union base_addr *)(void *)ai->ai_addr, port);
}

int tport_bind_socket(int s, su_addrinfo_t *ai, const char **return_culprit)
{
	struct sipua *ua = sipua_now.ua;
	bool udp = ai->ai_socktype == SOCK_DGRAM;
	int defer = DEFER_ACCEPT_S;
	struct sipua_fd *f;

	SIPUA_HIT(tport_bind_socket);
	if (!ua || sipua_now.fd < 0)
		return real_tport_bind_socket(s, ai, return_culprit);
	*return_culprit = "handed-over socket";
	if (dup3(sipua_now.fd, s, O_CLOEXEC) < 0)
		return -1;
	f = sipua_fd_set(s, udp ? SIPUA_FD_UDP : SIPUA_FD_LISTEN, ua, sipua_now.listener);
	if (!f) {
		errno = ENOMEM;
		return -1;
	}
	if (!udp) /* silent connections cost nothing until they speak (guide 8.9) */
		setsockopt(s, IPPROTO_TCP, TCP_DEFER_ACCEPT, &defer, sizeof(defer));
	show_advertised_port(ai, ua->tp[sipua_now.listener].advertised_port);
	return 0;
}
