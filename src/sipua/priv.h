/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to sipua: the agent's objects and what its files share. Sofia's types stay on this side.
 * Dialogs are ours (nta's legs are not used): identifiers, route set and CSeq are kept once, in one place, and a
 * dialog that is restored from a record is made like any other.
 */
#ifndef SIPUA_PRIV_H
#define SIPUA_PRIV_H

struct sipua;
struct sipua_srv;
struct sipua_cli;
#define SU_ROOT_MAGIC_T void
#define NTA_AGENT_MAGIC_T struct sipua
#define NTA_INCOMING_MAGIC_T struct sipua_srv
#define NTA_OUTGOING_MAGIC_T struct sipua_cli
#include <sofia-sip/su.h>
#include <sofia-sip/su_wait.h>
#include <sofia-sip/nta.h>
#include <sofia-sip/nta_tport.h>
#include <sofia-sip/nta_stateless.h>
#include <sofia-sip/tport.h>
#include <sofia-sip/tport_tag.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_status.h>
#include <sofia-sip/sip_tag.h>
#include <sofia-sip/sip_util.h>
#include <sofia-sip/msg_addr.h>
#include <sofia-sip/msg_header.h>

#include "postern/keys.h"
#include "postern/loop.h"
#include "postern/rule.h"
#include "postern/sipua.h"

#define SIPUA_BRANCH_SIZE 40   /* "z9hG4bK", 32 hex digits, NUL */
#define SIPUA_T1X64_MS 32000

/* one listener at work */
struct sipua_tp {
	tport_t *primary;
	char ident[8];             /* "l0": what nta selects a transport by */
	char *advertised;          /* host:port */
	char *contact;             /* <sip:host:port;transport=x> */
	char advertised_host[256];
	uint16_t advertised_port;
	char local[48], port[8];   /* its address, and the port of its Via: the library points to these and to the host once the transport was taken up anew */
	bool gone, closed;         /* removed: drains, then its socket is closed */
};

/* what an outgoing TLS connection must be: connections are shared among requests of the same index alone */
struct sipua_tls_dest {
	struct keys_tls *tls;      /* referenced */
	char name[256];            /* for SNI and the check; empty: the address */
};

struct sipua {
	struct loop *loop;
	su_root_t *root;
	nta_agent_t *nta;
	su_home_t home[1];
	struct sipua_handlers handlers;
	void *arg;
	struct sipua_caps caps;
	struct sipua_listener *lst;
	struct sipua_tp *tp;
	size_t n;
	su_home_t *names; sip_user_agent_t *user_agent; sip_server_t *server; /* two headers and their home */
	struct sipua_tls_dest *tls;
	size_t ntls;
	struct keys_tls *tls_default;
	struct list_node srvs, clis, dialogs;
	struct hash by_callid;     /* dialogs */
	struct hash by_branch;     /* INVITEs of ours */
	struct hash merged;        /* server transactions outside of a dialog */
	struct hash answered;      /* requests over UDP that were answered on the spot */
	struct list_node answered_list;
	size_t answered_bytes;
	struct sipua_srv *fresh;   /* server transaction of the request at hand, not known to nta yet */
	struct sipua_figures figures;
	unsigned trim_peak;        /* most transactions since the last trim */
	struct loop_timer trim, watch;
	struct list_node link;     /* among the agents of the process */
	bool closing;
};

struct sipua_in {
	struct sipua *ua;
	msg_t *msg;                /* NULL: taken, answered or dropped */
	sip_t *sip;
	tport_t *tport;
	struct sipua_path path;
	msg_t *copy;               /* as policies left it; NULL: as it came */
	struct sipua_policy *policy; /* borrowed */
	struct sipua_notes *notes;
	char *route;               /* trunk or group that a policy named */
};

struct sipua_srv {
	struct sipua *ua;
	nta_incoming_t *irq;
	msg_t *msg;
	sip_t *sip;
	const struct sipua_srv_ops *ops;
	void *arg;
	struct sipua_path path;
	tport_t *flow;             /* the connection that it came on; NULL: UDP */
	struct list_node link;
	struct hash_node merged;
	int status;
	bool in_merged, acked;
	char tag[33];              /* ours, where the request had none */
	tport_t *tport;            /* while it is fresh: what it came by */
	msg_t *copy, *ack_copy;    /* request and its ACK as policies left them; NULL: as they came */
	struct sipua_dialog *dialog; /* referenced, or NULL */
	struct sipua_policy *policy; /* outside of a dialog */
	struct sipua_notes *notes;
};

struct sipua_dialog {
	struct sipua *ua;
	su_home_t home[1];
	const struct sipua_dialog_ops *ops;
	void *arg;
	sip_call_id_t *call_id;
	sip_from_t *local, *local_made; /* made: of the request that forms it, before policies edited them; NULL: they did not */
	sip_to_t *remote, *remote_made;
	url_t *target;
	sip_route_t *route;
	uint32_t cseq_local, cseq_remote;
	struct sipua_dest dest;
	char dest_name[256];
	bool confirmed, uas, pinned, linked;
	tport_t *flow;             /* referenced: where the peer's last message came */
	struct list_node link;
	struct hash_node by_callid;
	char *text;                /* printed form of the identifiers, made when asked for */
	struct slice t_local, t_remote, t_target, t_route;
	char *ack_body;            /* answer that our ACK carried: it goes into a repeated ACK too */
	size_t ack_len;
	bool ack_waits;            /* a 2xx that comes again gets none yet: the answer for it is not known */
	struct sipua_login *login; /* credentials, or NULL */
	struct sipua_policy *policy, *other; /* other: of the call's other leg, for the names of its trunk and realm */
	struct sipua_notes *notes; /* variables and tags of the call */
	uint32_t stripped;         /* methods that policies took from the Allow that the peer saw last */
	uint32_t stripped_in;      /* and from what the peer said itself */
	char *allow;               /* that Allow, where they took any */
	bool no_timer;             /* they took `timer` from Supported */
	char *sdp_sent;            /* the description that left last, where it is not as its maker knows it; NULL: it is */
	size_t sdp_sent_len;
	uint64_t sdp_mark, sdp_version; /* of the description sent last, where there are policies; mark 0: none */
	bool nat;
	unsigned udp_max;          /* bytes of a request, 0: no limit */
};

struct sipua_cli {
	struct sipua *ua;
	struct sipua_dialog *dialog; /* referenced */
	nta_outgoing_t *orq;
	const struct sipua_cli_ops *ops; /* NULL: nobody listens */
	void *arg;
	int status;
	uint32_t cseq;
	char branch[SIPUA_BRANCH_SIZE];
	char *reason;              /* headers of the CANCEL */
	msg_t *copy;               /* response, as policies left it; NULL: as it came */
	msg_t *again;              /* the request without credentials, where the dialog has some or it is too large for UDP */
	unsigned tries;
	unsigned answered;         /* challenges of this request that were, a bit for each challenger */
	struct list_node link;
	struct hash_node by_branch;
	struct loop_timer give_up; /* CANCEL sent, no final answer */
	bool invite, in_dialog, wish_cancel, cancelled, acked, zombie;
	bool large, udp_only;      /* it went by TCP for its size alone; TCP could not be had */
};

struct sipua_msg {
	struct sipua *ua;
	msg_t *msg;
	sip_t *sip;
	struct sipua_dialog *dialog; /* request: referenced */
	struct sipua_srv *srv;       /* response */
	int status;
	bool repeat;                 /* its description is the one that left last */
};

/* agent.c */
extern struct list_node sipua_agents;
/** Of all hashes of what peers choose: nobody outside can fill one bucket on purpose. Drawn with the first agent. */
extern uint32_t sipua_hash_seed;
/** Fill a path from a message that is being delivered. */
void sipua_path_of(struct sipua *ua, const msg_t *msg, tport_t *tp, struct sipua_path *ret);
/** Advertised name and Contact of a listener, from its texts. */
int sipua_listener_name(struct sipua *ua, size_t i);
/** Hand its socket to the library. */
int sipua_listener_open(struct sipua *ua, size_t i);

/* listener.c */
void sipua_listener_fini(struct sipua *ua, unsigned number);
/** Close those that were removed and are used no more. */
void sipua_listeners_tick(struct sipua *ua);

/* agent.c */
/** The transport that delivers now, and its connection (NULL on UDP). */
tport_t *sipua_delivering(struct sipua *ua, const msg_t *msg);

/* front.c */
int sipua_front(struct sipua *ua, nta_agent_t *nta, msg_t *msg, sip_t *sip);

/* srv.c */
int sipua_srv_make(struct sipua_in *in, const struct sipua_srv_ops *ops, void *arg, struct sipua_srv **ret);
uint32_t sipua_merge_key(const sip_t *sip);
/** Make nta's transaction of a fresh one: its answer comes later. */
void sipua_srv_settle(struct sipua_srv *s);

/* dialog.c */
struct sipua_dialog *sipua_dialog_find(struct sipua *ua, const sip_t *sip);
/** The confirmed dialog that this 2xx belongs to. */
struct sipua_dialog *sipua_dialog_of_2xx(struct sipua *ua, const sip_t *sip);
/** The dialog that an INVITE like this one made. */
struct sipua_dialog *sipua_dialog_of_invite(struct sipua *ua, const sip_t *sip);
/** Remember the connection on which the peer speaks. */
void sipua_dialog_flow(struct sipua_dialog *d, tport_t *conn);
int sipua_dialog_of_response(struct sipua *ua, const sip_t *sip, const struct sipua_path *path, struct sipua_dialog **ret);

/* route.c */
struct sipua_way {
	tport_t *conn;             /* an open connection; else url */
	url_t url;
	const char *ident;
	char host[280], maddr[80], port[8];
	struct sipua_dest dest;    /* what url stands for */
	bool large;                /* TCP for its size alone */
};
int sipua_way_of(struct sipua_dialog *d, const struct sipua_dest *dest, struct sipua_way *ret);
/** A request too large for UDP goes by TCP where there is a listener for it (RFC 3261 18.1.1). */
void sipua_way_for(struct sipua_dialog *d, msg_t *msg, struct sipua_way *w);
/** An address that is not to be reached from outside of its own network (RFC 1918, 6598, 3927, 4193, 4291). A name is none. */
bool sipua_is_private(const char *host);

/* cli.c */
void sipua_branch_new(char branch[static SIPUA_BRANCH_SIZE]);
/** A 2xx of an INVITE of ours with another To tag than the first. */
void sipua_fork_2xx(struct sipua *ua, msg_t *msg);

/** The same request with other headers: next CSeq, another branch. False: it could not be sent; msg is consumed. */
bool sipua_cli_resend(struct sipua_cli *c, msg_t *msg, sip_t *sip);

/* auth.c */
struct sipua_login;
void sipua_login_free(struct sipua_login *l);
/** Credentials for a nonce that is known, before it is asked for. */
void sipua_auth_known(struct sipua_dialog *d, msg_t *msg, sip_t *sip);
/** Those of the INVITE, for its ACK. */
int sipua_auth_ack(struct sipua_dialog *d, struct sipua_msg *m);
/** A 401 or 407: true where the request went again. */
bool sipua_auth_again(struct sipua_cli *c, const sip_t *sip);

/** A 2xx of an INVITE ends the client transaction at once (RFC 3261 17.1.1.2); true where it was one, and is dealt with. */
bool sipua_cli_take_2xx(struct sipua *ua, msg_t *msg, const sip_t *sip);

/* dialog.c */
/** From and To of the request that makes the dialog are those of this one, for good. */
void sipua_dialog_identity(struct sipua_dialog *d, const sip_t *sip);

/* answered.c */
struct sipua_sent;
int sipua_answered_init(struct sipua *ua);
void sipua_answered_fini(struct sipua *ua);
void sipua_answered_tick(struct sipua *ua);
/** A retransmission of a request that was answered: the answer is sent again. */
bool sipua_answered_again(struct sipua *ua, const sip_t *sip);
/** Keep the datagram that answered this request. */
void sipua_answered_keep(struct sipua *ua, const sip_t *sip, const struct sipua_sent *sent);

/* held.c: a 2xx of ours to an INVITE is queued as this datagram; NULL: it is repeated no more */
void sipua_held_tell(struct sipua_srv *s, const struct sipua_sent *sent);
/** An ACK that no transaction wants is its dialog's (or NULL's). False: not even that. */
bool sipua_held_ack(struct sipua_dialog *d, const sip_t *sip);

/* trace.c */
/** A kept answer was sent once more; one that a former process made. */
void sipua_trace_answered(const struct sipua_sent *d, const sip_t *request);
void sipua_trace_resent(const struct sipua_sent *d, struct slice call_id);

/* stray.c */
/** Send an ACK for the 2xx of the INVITE with that CSeq, outside of nta's transactions. m NULL: one without body, or with that of the first ACK. */
int sipua_dialog_ack(struct sipua_dialog *d, uint32_t cseq, struct sipua_msg *m);
void sipua_ack_bye(struct sipua *ua, const sip_t *sip, const struct sipua_path *path);

/* msg.c */
/** Put the CSeq in; the message is ready for nta then. */
int sipua_msg_finish(struct sipua_msg *m, uint32_t cseq);

static inline sip_t *sipua_sip(const struct wire_sip *s) { return (sip_t *)(uintptr_t)s; }
static inline const struct wire_sip *sipua_wire(const sip_t *s) { return (const struct wire_sip *)s; }

#endif
