/* SPDX-License-Identifier: Apache-2.0 */
/* media/shared: what the supervisor, who makes the shared sockets, and a worker, who uses them, agree on. */
#ifndef MEDIA_SHARED_H
#define MEDIA_SHARED_H

#include "postern/media.h"

/*
 * One port as the program in the kernel sees it; array `ports`, place: number of its address * 65536 + port. Written by media, `open` last.
 * A multiple of 8 bytes: the stride of a mapped array is rounded up to that.
 */
struct media_steer {
	uint8_t from[16];              /* whose packets go to the main socket (IPv4 as ::ffff:), and its port in network order */
	uint16_t from_port;
	uint8_t open, worker;
	uint32_t slot;                 /* for media alone */
};
_Static_assert(sizeof(struct media_steer) == 24, "the program reads it");

#define MEDIA_STEER_PORTS 65536u

/* Descriptors as they are handed over. */
enum media_shared_fd { MEDIA_SHARED_PORTS, MEDIA_SHARED_RAW4, MEDIA_SHARED_RAW6, MEDIA_SHARED_SOCKETS /* main and guard of each worker */ };

/* Numbers of the addresses of a map: in the order in which they come, which other revisions of the map keep. */
struct media_hosts { uint32_t n; struct { uint8_t ip[16]; union base_addr addr; } host[MEDIA_SHARED_HOSTS]; };

/** An address as 16 bytes, IPv4 mapped. */
void media_steer_ip(const union base_addr *a, uint8_t ret[static 16]);
/** ERR_FULL where there are more than MEDIA_SHARED_HOSTS. */
int media_hosts_of(const struct media_map_entry *map, uint32_t nmap, struct media_hosts *ret);

#endif
