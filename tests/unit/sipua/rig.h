/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A rig for the agent: one agent of ours on loopback, raw sockets as its peers, everything in one thread.
 * The peers write SIP by hand: what they send and get is seen byte for byte.
 */
#ifndef TESTS_SIPUA_RIG_H
#define TESTS_SIPUA_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "postern/keys.h"
#include "postern/loop.h"
#include "postern/sipua.h"
#include "postern/wire.h"

#define RIG_LISTENERS 6
#define RIG_TEXT 70000

struct rig {
	struct loop *loop;
	struct sipua *ua;
	struct sipua_listener lst[RIG_LISTENERS];
	size_t n;
	size_t live;               /* objects before */

	/* what the handlers do with a request: */
	enum { RIG_ACCEPT, RIG_REPLY, RIG_DROP, RIG_IGNORE } mode;
	int reply;

	/* what came */
	unsigned requests, acks, acks_missing, cancels, dialog_requests, strays, responses, sendings;
	bool merged, take_strays, may_fail;
	struct sipua_srv *srv;     /* the last one of a request outside of a dialog */
	struct sipua_srv *dsrv;    /* the last one inside */
	char dialog_method[32];
	int status[64];            /* of responses, in order; 0 - status where made by the agent */
	char tag[64][64];
	char subjects[512];
	union base_addr source;
	struct sipua_dialog *establish; /* with each response above 100 that has a tag */
	bool free_on_final;
	struct sipua_policy *policy; /* what requests outside of a dialog pass; NULL: nothing */
	unsigned policed;          /* what it told of its edits, SIPUA_POLICED_* */
};

/* peers */
struct peer {
	int fd;                    /* datagram, or connected stream */
	int listen_fd;
	union base_addr addr;      /* of the peer */
	union base_addr ua;        /* of the agent's listener */
	bool stream;
	char got[RIG_TEXT];        /* last message */
	char rest[RIG_TEXT];       /* stream: what came behind it */
};

struct rig *rig_new(void);
/** Add a listener before rig_start. */
unsigned rig_listener(struct rig *r, enum sipua_transport t, const char *host, const char *advertise, struct keys_tls *tls);
int rig_start(struct rig *r, const struct sipua_caps *caps);
/** One agent on UDP at 127.0.0.1, the fake clock stands. */
struct rig *rig_udp(void);
/** Checks that nothing was left behind. */
void rig_free(struct rig *r);
void rig_turns(struct rig *r, int ms);
/** Fake clock: goes on in steps, with turns between. */
void rig_advance(struct rig *r, int64_t ms);
extern const struct sipua_srv_ops rig_srv_ops;
extern const struct sipua_dialog_ops rig_dialog_ops;
extern const struct sipua_cli_ops rig_cli_ops;

struct peer *peer_udp(struct rig *r, unsigned listener);
struct peer *peer_listen(struct rig *r, unsigned listener); /* TCP, waits to be connected */
struct peer *peer_connect(struct rig *r, unsigned listener);
void peer_accept(struct rig *r, struct peer *p);
void peer_free(struct peer *p);
void peer_send(struct rig *r, struct peer *p, const char *text, size_t n);
/** Wait for a message; false after ms. */
bool peer_recv(struct rig *r, struct peer *p, int ms);
/** Wait for one whose first line begins so. */
void peer_expect(struct rig *r, struct peer *p, const char *first);
void peer_expect_none(struct rig *r, struct peer *p, int ms);
/** Value of a header of p->got, into a static buffer; "" if absent. */
const char *peer_header(const struct peer *p, const char *name);
/** Request by hand: method, To tag ("" none), CSeq, branch, extra headers ("X: y\r\n"), body. */
void peer_request(struct rig *r, struct peer *p, const char *method, const char *call_id, const char *to_tag, unsigned cseq,
	const char *branch, const char *extra, const char *body);
/** Answer the request in p->got. */
void peer_answer(struct rig *r, struct peer *p, int status, const char *tag, const char *extra);
/** The same for a request kept by the test. */
void peer_answer_to(struct rig *r, struct peer *p, const char *request, int status, const char *tag, const char *extra);

/** A dialog and INVITE of ours to a peer. */
struct sipua_cli *rig_invite(struct rig *r, struct peer *p, unsigned listener, struct sipua_dialog **ret_d);
struct sipua_dest rig_dest(struct rig *r, struct peer *p, unsigned listener);

#endif
