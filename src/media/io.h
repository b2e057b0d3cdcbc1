/* SPDX-License-Identifier: Apache-2.0 */
/*
 * media/io: packets in and out of the ports of one worker. One back end today: a socket per port (io_ports.c). All above works on slots,
 * so that one that shares sockets between ports fits behind the same calls.
 */
#ifndef MEDIA_IO_H
#define MEDIA_IO_H

#include "media/relay.h"

#define MEDIA_PACKET_MAX 2048
#define MEDIA_PACKET_ROOM KEYS_SRTP_TRAILER /* behind each packet */

struct media_io;
struct media_io_counts { uint64_t received, sent, send_failed, oversize; };

/** @param fds [in] as in media_proc_params; borrowed */
int media_io_open(const int *fds, uint32_t nslots, struct media_io **ret);
void media_io_close(struct media_io *io);
/** Listen on a slot's ports from now on; again is harmless. */
int media_io_listen(struct media_io *io, uint32_t slot);
/**
 * Wait and receive: at most one packet of each ready port, so that a flooded one takes no more than its turn.
 * @param wait_ms [in] -1: until something comes
 * @param ret     [out] MEDIA_BATCH places; packets stay valid until the next call
 * @return packets; *ret_ready: ports that were ready
 */
int media_io_recv(struct media_io *io, int wait_ms, struct media_in *ret, int *ret_ready);
/** Send; what the socket does not take is dropped and counted: a relay never waits. */
void media_io_send(struct media_io *io, const struct media_out *out, int n);
/** End a wait that is on or comes. Thread: any. */
void media_io_wake(struct media_io *io);
struct media_io_counts *media_io_counts(struct media_io *io);

#endif
