/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop: the event loop of a role (on Sofia's su_root), timers on the clock of base,
 * typed messages between processes, and state memory. No module's message types.
 */
#ifndef POSTERN_LOOP_H
#define POSTERN_LOOP_H

#include "postern/base.h"

struct loop;
struct loop_fd;
struct su_root_s;

/** @return 0 or negative; one per thread. SIGPIPE is ignored from now on, and Sofia's clock is base's. */
int loop_new(struct loop **ret);
/** Descriptors and channels are deleted and closed by their owners before; timers still armed become idle. */
void loop_free(struct loop *l);
/** Run until loop_stop. Thread: the one that made it. */
int loop_run(struct loop *l);
/** End loop_run after this turn; before loop_run: at once. Thread: the loop's. */
void loop_stop(struct loop *l);
/** One turn, waiting at most max_ms (0: never); for tests. */
void loop_turn(struct loop *l, int max_ms);
/** The su_root underneath, for sipua alone. */
struct su_root_s *loop_su_root(struct loop *l);

/** Call cb whenever fd is readable (or has an error). The descriptor stays the caller's. Delete before the fd is closed; callbacks may delete any. */
int loop_fd_add(struct loop *l, int fd, void (*cb)(void *arg), void *arg, struct loop_fd **ret);
/** From now on call cb also when fd is writable (or no longer). */
void loop_fd_want_write(struct loop_fd *f, bool on);
/** Stop watching (NULL is legal). */
void loop_fd_del(struct loop_fd *f);

/** Called at the end of every turn before the loop waits: flush what was gathered. At most 8 of them (ERR_FULL). */
int loop_at_turn_end(struct loop *l, void (*cb)(void *arg), void *arg);
/** Take such a callback back; one that was never there is legal. Not from inside a callback of this kind. */
void loop_at_turn_end_del(struct loop *l, void (*cb)(void *arg), void *arg);

/* ---- timers: storage is the caller's; a zeroed timer is idle. 1 ms grain, fire in order of time ---- */
struct loop_timer {
	struct loop *loop;
	size_t slot;               /* place in the heap + 1; 0 = idle */
	struct mono at;
	void (*cb)(void *arg);
	void *arg;
};
/** Arm, or arm anew. Cost O(log timers). */
void loop_timer_start(struct loop *l, struct loop_timer *t, int64_t after_ms, void (*cb)(void *arg), void *arg);
/** Disarm; an idle timer stays idle. */
void loop_timer_stop(struct loop_timer *t);
static inline bool loop_timer_active(const struct loop_timer *t) { return t->slot != 0; }

/* ---- DNS: raw answers, asynchronous (c-ares) ---- */
struct loop_dns;
struct loop_dns_query;
/** err ERR_GONE: no server gave an answer that counts. The message is borrowed. A query that calls back is done with. */
typedef void loop_dns_cb(void *arg, int err, const uint8_t *msg, size_t n);
/** servers: `address` or `address:port`, IPv6 in brackets; n 0: those of the system. timeout: of one server's answer. ERR_CONFIG: a server cannot be read. */
int loop_dns_new(struct loop *l, const char *const *servers, size_t n, int timeout_ms, struct loop_dns **ret);
/** Open queries are forgotten, their callbacks do not come (NULL is legal). */
void loop_dns_free(struct loop_dns *d);
/** Ask; cb comes once, maybe before this returns. */
int loop_dns_query(struct loop_dns *d, const char *name, uint16_t type, loop_dns_cb *cb, void *arg, struct loop_dns_query **ret);
/** The callback does not come any more (NULL is legal). */
void loop_dns_cancel(struct loop_dns_query *q);

/* ---- channels: typed datagrams (AF_UNIX SOCK_SEQPACKET) with descriptors ---- */
#define LOOP_CHAN_MAX 65536   /* bytes of one message, header included */
#define LOOP_CHAN_FDS 250     /* descriptors of one message */
struct loop_chan;
struct loop_msg {
	uint16_t type;
	uint32_t id;               /* request id, echoed in its reply; 0 = none */
	struct slice body;         /* borrowed during the callback */
	const int *fds;            /* the receiver owns what it takes; the others are closed after the callback */
	size_t nfds;
};
/**
 * Take over a socket (on error it stays the caller's; -EINVAL: not AF_UNIX SOCK_SEQPACKET). cb(arg, NULL) tells once that the other end is gone:
 * nothing is read or sent from then on, loop_chan_close is still due.
 * A message that does not parse is counted (COUNTER_IPC_BAD) and dropped.
 */
int loop_chan_open(struct loop *l, int fd, void (*cb)(void *arg, struct loop_msg *m), void *arg, struct loop_chan **ret);
/** Close and forget (NULL is legal), also from within its callback; what is queued is lost. */
void loop_chan_close(struct loop_chan *c);
/** Take a descriptor out of a message: it is the caller's now. */
int loop_msg_take_fd(struct loop_msg *m, size_t i);
/**
 * Send, or queue where the socket is full (bounded: ERR_FULL). Descriptors are duplicated by the kernel; the caller keeps its own
 * and must not close them before the queue is empty (loop_chan_idle).
 */
int loop_chan_send(struct loop_chan *c, uint16_t type, uint32_t id, struct slice body, const int *fds, size_t nfds);
/** Nothing is queued: all that was sent is with the kernel. */
bool loop_chan_idle(const struct loop_chan *c);
/** A pair of such sockets, close-on-exec. */
int loop_chan_pair(int ret_fd[2]);
/** Header of a message on memory: what loop_chan does per datagram; also the fuzz target. */
int loop_msg_parse(const void *p, size_t n, struct loop_msg *ret);

/* ---- state memory: a memfd with a directory of regions ---- */
struct loop_shm_spec { uint32_t id; size_t bytes; };
struct loop_shm { uint8_t *base; size_t bytes; int fd; };
/** Make, size and format a memfd (mode 0600, size sealed). */
int loop_shm_create(const char *name, const struct loop_shm_spec *spec, size_t n, int *ret_fd);
/** Map one that exists; checks the directory (ERR_TORN). The map keeps a copy of fd. */
int loop_shm_map(int fd, bool writable, struct loop_shm *ret);
/** Unmap and close the copy of fd; a zeroed block is legal. */
void loop_shm_unmap(struct loop_shm *m);
/** A region, 64-byte aligned; NULL where the directory has none of this id. */
void *loop_shm_region(const struct loop_shm *m, uint32_t id, size_t *ret_bytes);
/** Check the directory of a block (loop_shm_map did; base and bytes are enough): 0 or ERR_TORN. */
int loop_shm_check(const struct loop_shm *m);
/** A read-only descriptor of the same memory. */
int loop_shm_reopen_ro(int fd);
/** A sealed memfd that holds these bytes (snapshots). */
int loop_blob_create(const char *name, struct slice bytes, int *ret_fd);
/** Map a blob read-only; unmap with munmap(p, n). */
int loop_blob_map(int fd, struct slice *ret);

/* regions of the memory blocks; one name space for all blocks */
enum loop_region {
	REGION_COUNTERS = 1,  /* uint64_t[COUNTER_CELLS], in `calls`, `streams` and `admin` */
	REGION_CALLS = 2,     /* call/: records */
	REGION_TARGETS = 3,   /* peer/: states of trunks and targets */
	REGION_SLOTS = 4,     /* media/: slots */
	REGION_MEDIA = 5,     /* media/: header of the process: applied sequence, figures */
	REGION_RING = 6,      /* a base_ring, in `records` and `events` */
	REGION_ENGINE = 7,    /* app/: what the engine tells of itself: state, drain, started */
	REGION_TRACE = 8,     /* the message ring: base_trace, in `calls`; not there where it is off */
	REGION_KEYS = 9,      /* media/: SRTP keys, in `keys`, which media alone maps */
	REGION_SECRETS = 10,  /* call/: what records must not hold, in `secrets`, which the engine alone maps */
	REGION_POLICIES = 11  /* rule/: the board of rules and counters, in `calls` */
};

#endif
