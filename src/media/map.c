/* SPDX-License-Identifier: Apache-2.0 */
/*
 * media/map: the port map that the supervisor publishes, and the sockets of an entry. The blob is read on the machine that made it:
 * a header and the entries as they stand in memory.
 */
#include <errno.h>
#include <netinet/ip.h>
#include <stdlib.h>
#include <unistd.h>

#include "postern/media.h"

#define MAP_MAGIC 0x504d4150u
#define PORT_RCVBUF 32768   /* about 80 packets of speech: a queue that is longer is delay, not safety */
#define DSCP_EF 0xb8

struct map_header { uint32_t magic, entry_bytes, n, pad; };

int media_map_print(const struct media_map_entry *e, uint32_t n, struct slice *ret)
{
	struct map_header h = { MAP_MAGIC, sizeof(*e), n, 0 };
	size_t bytes = sizeof(h) + n * sizeof(*e);
	char *p = malloc(bytes);

	if (!p)
		return -ENOMEM;
	memcpy(p, &h, sizeof(h));
	if (n)
		memcpy(p + sizeof(h), e, n * sizeof(*e));
	*ret = (struct slice){ p, bytes };
	return 0;
}

int media_map_parse(struct slice blob, const struct media_map_entry **ret, uint32_t *ret_n)
{
	struct map_header h;
	const struct media_map_entry *e;

	if (blob.n < sizeof(h) || (uintptr_t)blob.p % _Alignof(struct map_header))
		return ERR_TRUNCATED;
	memcpy(&h, blob.p, sizeof(h));
	if (h.magic != MAP_MAGIC || h.entry_bytes != sizeof(*e))
		return ERR_PROTO;
	if ((blob.n - sizeof(h)) / sizeof(*e) < h.n)
		return ERR_TRUNCATED;
	e = (const void *)(blob.p + sizeof(h));
	for (uint32_t i = 0; i < h.n; i++)
		if (e[i].addr.sa.sa_family != AF_INET && e[i].addr.sa.sa_family != AF_INET6)
			return ERR_PROTO;
	*ret = e;
	*ret_n = h.n;
	return 0;
}

static int port_socket(const union base_addr *a)
{
	const int one = 1, rcvbuf = PORT_RCVBUF, tos = DSCP_EF;
	int err, fd = socket(a->sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
	if (a->sa.sa_family == AF_INET6) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
		setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof(tos));
	} else {
		setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
	}
	if (!bind(fd, &a->sa, base_addr_len(a)))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

int media_port_sockets(const union base_addr *rtp, int ret_fd[2])
{
	union base_addr rtcp = *rtp;
	int a, b;

	a = port_socket(rtp);
	if (a < 0)
		return a;
	base_addr_set_port(&rtcp, (uint16_t)(base_addr_port(rtp) + 1));
	b = port_socket(&rtcp);
	if (b < 0) {
		close(a);
		return b;
	}
	ret_fd[0] = a;
	ret_fd[1] = b;
	return 0;
}

int media_port_probe(const union base_addr *rtp)
{
	int fd[2], err = media_port_sockets(rtp, fd);

	if (err)
		return err;
	close(fd[0]);
	close(fd[1]);
	return 0;
}
