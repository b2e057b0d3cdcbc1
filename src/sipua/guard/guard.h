/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the overrides share: the table of Sofia's own descriptors, the connections, the gathered datagrams, and the
 * count of how often each override was called. The state lives in libsipua; the overrides are linked into executables alone.
 */
#ifndef SIPUA_GUARD_H
#define SIPUA_GUARD_H

#include "postern/sipua.h"

struct keys_tls;
struct msg_s;
struct tport_s;
struct ssl_st;

/* one row per override; `must_hit`: the canned exchange of the self-test calls it, the others must resolve to ours */
#define SIPUA_OVERRIDES(X) \
	X(su_root_yield, 0) X(su_duration, 1) X(su_getmsgsize, 1) X(su_getaddrinfo, 1) X(su_freeaddrinfo, 1) X(url_param, 1) \
	X(tport_base_deliver, 1) X(tport_magic, 1) X(tport_tsend, 1) X(tport_recv_event, 1) X(tport_bind_socket, 1) X(nta_msg_ackbye, 0) \
	X(su_socket, 1) X(su_close, 1) X(sendto, 1) X(su_soerror, 1) X(su_vsend, 1) X(su_vrecv, 1) X(epoll_wait, 1) \
	X(accept, 1) X(connect, 1) X(SSL_CTX_new, 1) X(SSL_CTX_use_certificate_file, 1) X(SSL_CTX_use_PrivateKey_file, 1) \
	X(SSL_CTX_check_private_key, 1) X(SSL_CTX_load_verify_locations, 1) X(SSL_new, 1) X(SSL_set_bio, 1) X(SSL_connect, 1) \
	X(epoll_ctl, 1) X(SSL_accept, 1) X(SSL_read, 1) X(SSL_write, 1) X(SSL_shutdown, 0) X(SSL_get1_peer_certificate, 1) X(BIO_new_socket, 1) \
	X(BIO_free, 0)

enum sipua_override {
#define X(name, must_hit) SIPUA_O_##name,
	SIPUA_OVERRIDES(X)
#undef X
	SIPUA_OVERRIDES_COUNT
};
extern unsigned long sipua_guard_hits[SIPUA_OVERRIDES_COUNT];
#define SIPUA_HIT(name) (sipua_guard_hits[SIPUA_O_##name]++)

/** The next definition of a symbol after ours: the library's. A missing one is fatal. Defines `real_NAME`. */
void *sipua_guard_real(const char *name);
#define SIPUA_REAL(ret, name, args) \
	static ret (*real_##name) args; \
	__attribute__((constructor(101))) static void resolve_##name(void) { real_##name = (ret (*) args)sipua_guard_real(#name); }

enum sipua_fd_kind {
	SIPUA_FD_NONE,             /* not Sofia's: overrides pass it through */
	SIPUA_FD_NEW,              /* a stream socket of Sofia's, not connected yet */
	SIPUA_FD_UDP,
	SIPUA_FD_LISTEN,
	SIPUA_FD_CONN
};
/* a TCP or TLS connection */
struct sipua_conn {
	int fd;
	struct sipua *ua;
	unsigned listener;
	bool incoming, tls, handshaken;
	bool amid, stuck, pong;    /* TLS: in a message as far as bytes tell; the last write waits to be repeated; so does a pong, before all else */
	uint8_t crlf;              /* bytes of the keep-alive so far */
	union base_addr peer;
	struct mono since, last;
	unsigned long messages;
	const struct tport_s *tport; /* known from the first message on */
	char subjects[512];        /* of the verified client certificate */
	union base_addr local;     /* our end, where the message ring asked for it */
	char *raw;                 /* for the message ring: what was read and is not a whole message yet */
	size_t nraw, raw_size;
	struct list_node link;
	struct hash_node by_source;
};
struct sipua_fd {
	uint8_t kind;
	struct sipua *ua;
	unsigned listener;
	struct sipua_conn *conn;
	int ep;                    /* of a listener: where the library waits for it, and for what */
	uint32_t events;
	uint64_t data;
};
/** Entry of a descriptor; NULL where it is not Sofia's. */
/** The descriptor that a listener's packets or connections come by; -1. */
int sipua_fd_of_listener(const struct sipua *ua, unsigned listener);
struct sipua_fd *sipua_fd_get(int fd);
/** Enter a descriptor; NULL where memory is short. */
struct sipua_fd *sipua_fd_set(int fd, enum sipua_fd_kind kind, struct sipua *ua, unsigned listener);
/** Bytes leave by it now: tell the agent's user, where it is a connection. */
void sipua_fd_sending(int fd);
/** Forget it, with its connection. */
void sipua_fd_clear(int fd);

/* connections: conn.c */
struct sipua_conn *sipua_conn_new(struct sipua_fd *f, int fd, const union base_addr *peer, bool incoming);
/** May one more come from there? Counts a refusal. */
bool sipua_conn_admit(struct sipua *ua, const union base_addr *source);
struct sipua_conn *sipua_conn_of_tport(const struct tport_s *tp);
void sipua_conn_watch(struct sipua *ua);
void sipua_conns_drop(struct sipua *ua);
void sipua_conns_used(const struct sipua *ua, bool ret[SIPUA_LISTENERS]);

/* the datagram that was queued last, where somebody asked for it */
struct sipua_sent {
	int fd;
	const struct sockaddr *to;
	socklen_t to_len;
	const uint8_t *bytes;
	size_t len;
};

/* what is going on in the library right now; it runs on one thread */
struct sipua_guard_now {
	struct sipua *ua;          /* adding a listener, or sending */
	unsigned listener;
	int fd;                    /* listener: descriptor handed in, -1 otherwise */
	const struct tport_s *deliver_tport;
	const struct msg_s *deliver_msg;
	int reading;               /* descriptor read last */
	int udp_read;              /* datagram socket of the present receive event */
	int bio_fd;                /* descriptor of the last BIO */
	const char *canon;         /* name of the destination of the message being sent */
	const char *host;          /* its numeric address */
	const struct tport_s *sending; /* transport that it was given to */
	struct sipua_sent *sent;   /* filled by the next datagram that is queued */
	int wrote;                 /* connection that took bytes of the message being sent, or was made for it; -1: none */
	bool opened;               /* it was made for it */
};
extern struct sipua_guard_now sipua_now;
extern _Thread_local bool sipua_loop_thread; /* the thread that made an agent: datagrams are gathered and sent there alone */
extern bool sipua_guard_passed; /* the self-test has passed */

/** The agent and listener that a transport of Sofia's belongs to. */
bool sipua_listener_of(const struct tport_s *tp, struct sipua **ret_ua, unsigned *ret_listener);
/** TLS for the connection that is being made: by the name that route.c chose. */
const struct sipua_tls_dest *sipua_tls_dest_by_canon(struct sipua *ua, const char *canon);
/** Server side of a listener. */
struct keys_tls *sipua_tls_of_listener(struct sipua *ua, unsigned listener);
/** Called by the ackbye override. */
void sipua_fork_2xx_of(void *agent_magic, struct msg_s *msg);

/* the message ring: trace.c. A message that comes waits until it is known whose it is: what strangers send is not kept */
/** A message is about to be delivered. */
void sipua_trace_arrived(struct tport_s *tp, struct msg_s *msg);
/** No transaction knew it. */
void sipua_trace_front(void);
/** It is a dialog's, or makes one: written now. */
void sipua_trace_take(void);
/** It was delivered: a transaction knew it, or it is forgotten. */
void sipua_trace_done(void);
/** A message was given to a transport; datagram: where it went as one (len 0: it did not). */
void sipua_trace_sent(struct tport_s *tp, struct msg_s *msg, const struct sipua_sent *datagram);
/** A connection is about to be forgotten. */
void sipua_trace_gone(const struct sipua_conn *c);
/** Bytes of a stream. */
void sipua_trace_feed(int fd, const struct iovec *iov, size_t n);

/* gathered datagrams: udp.c */
#define SIPUA_STUN_MAX 44          /* stun.c */
/** The answer to a Binding request that came from there; 0: it is none. */
size_t sipua_stun_answer(const uint8_t *p, size_t n, const union base_addr *from, uint8_t ret[static SIPUA_STUN_MAX]);

/** Queue a datagram; false where it does not fit even into an empty queue. */
bool sipua_udp_queue(int fd, const struct iovec *iov, size_t n, const struct sockaddr *to, socklen_t to_len);
/** The hooks of this turn have run (media commands are on their way): what was queued may leave. */
void sipua_udp_turn_ended(void *unused);
/** Called before each wait of a loop: flush where it is time. True where the wait must not last. */
bool sipua_udp_before_wait(int timeout_ms);
/** Send what was queued. True where an error must be told to the library (sipua_udp_report has been scheduled). */
bool sipua_udp_flush(void);
/** No agent is left that errors could be told to. */
void sipua_udp_forget(void);
/** Next datagram of a socket: its length, or -1 with errno. */
ssize_t sipua_udp_next(int fd);
bool sipua_udp_pending(int fd);
/** The one that was taken last, as it came; good until the next is asked for. */
struct slice sipua_udp_taken(void);
/** Copy it out and go on. */
ssize_t sipua_udp_take(const struct iovec *iov, size_t n, struct sockaddr *from, socklen_t *from_len);

#endif
