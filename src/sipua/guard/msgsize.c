/* SPDX-License-Identifier: Apache-2.0 */
/*
 * su_getmsgsize. On a stream the library reads as much as waits and copies the rest anew for each message in it: a peer
 * that pipelines 7 MB of small messages made it 5 GB. 4096 bytes at a time keep it small and are faster.
 * On our UDP sockets it is the next datagram of the batch (udp.c), and saves the ioctl.
 */
#include "sipua/priv.h"
#include "sipua/guard/guard.h"

#include <sys/ioctl.h>

#define STREAM_READ_MAX 4096

issize_t su_getmsgsize(su_socket_t s)
{
	struct sipua_fd *f = sipua_fd_get(s);
	int n = -1;

	SIPUA_HIT(su_getmsgsize);
	if (f)
		sipua_now.reading = s;
	if (f && f->kind == SIPUA_FD_UDP) {
		sipua_now.udp_read = s;
		return sipua_udp_next(s);
	}
	if (ioctl(s, FIONREAD, &n) == -1)
		return -1;
	return f && n > STREAM_READ_MAX ? STREAM_READ_MAX : n;
}
