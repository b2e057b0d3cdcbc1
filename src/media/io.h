/* SPDX-License-Identifier: Apache-2.0 */
/*
 * media/io: packets in and out of the ports of one worker. All above works on slots; two back ends stand behind these calls: a socket per port
 * (io_ports.c), and a pair of sockets for all ports (io_shared.c) where kernel and rights allow it.
 */
#ifndef MEDIA_IO_H
#define MEDIA_IO_H

#include "media/relay.h"

#define MEDIA_PACKET_MAX 2048
#define MEDIA_PACKET_ROOM KEYS_SRTP_TRAILER /* behind each packet */

struct media_io;
/* strayed: came to a shared socket without a port of this worker; overflown: found a shared socket's queue full, main and guard */
struct media_io_counts { uint64_t received, sent, send_failed, oversize, strayed, overflown[2]; };

struct media_io_params {
	const int *fds;                    /* as in media_proc_params; borrowed */
	const struct media_map_entry *map; uint32_t nslots;
	uint32_t shared_hosts;             /* 0: a socket per port */
	unsigned index, workers;
};
int media_io_open(const struct media_io_params *p, struct media_io **ret);
void media_io_close(struct media_io *io);
/** Listen on a slot's ports from now on; again is harmless. */
int media_io_listen(struct media_io *io, uint32_t slot);
/** Packets of a slot's RTP and RTCP port are expected from there (family 0: from nobody): others may have to stand behind them. */
void media_io_expect(struct media_io *io, uint32_t slot, const union base_addr from[static 2]);
/**
 * Wait and receive; of strangers' packets no more than a part, so that a flooded port takes no more than its turn.
 * @param wait_ms [in] -1: until something comes
 * @param ret     [out] MEDIA_BATCH places; packets stay valid until the next call
 * @return packets; *ret_ready: as many as were ready, more or less: 0 nothing, MEDIA_BATCH: there is more
 */
int media_io_recv(struct media_io *io, int wait_ms, struct media_in *ret, int *ret_ready);
/** Send; what the socket does not take is dropped and counted: a relay never waits. */
void media_io_send(struct media_io *io, const struct media_out *out, int n);
/** End a wait that is on or comes. Thread: any. */
void media_io_wake(struct media_io *io);
struct media_io_counts *media_io_counts(struct media_io *io);

/* ---- for back ends ---- */
struct media_io_ops {
	void (*close)(struct media_io *io);
	int (*listen)(struct media_io *io, uint32_t slot);
	void (*expect)(struct media_io *io, uint32_t slot, const union base_addr from[static 2]);
	int (*recv)(struct media_io *io, int wait_ms, struct media_in *ret, int *ret_ready);
	void (*send)(struct media_io *io, const struct media_out *out, int n);
};
struct media_io {                      /* begins each back end's own */
	const struct media_io_ops *ops;
	int ep, wake;
	struct media_io_counts counts;
};
#define MEDIA_IO_WAKE UINT32_MAX       /* what the epoll set says of `wake` */
/** Epoll set and wake of a new one. -errno */
int media_io_init(struct media_io *io, const struct media_io_ops *ops);
/** Close these. */
void media_io_fini(struct media_io *io);
/** The wake was ready. */
void media_io_awake(struct media_io *io);
int media_io_ports_open(const struct media_io_params *p, struct media_io **ret);
int media_io_shared_open(const struct media_io_params *p, struct media_io **ret);

#endif
