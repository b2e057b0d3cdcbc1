/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sipua: the Sofia adapter. Transports, transactions and dialogs as our events and commands; knows no media and no trunk.
 * One agent per engine, on its loop. Sofia's homes and types never cross this border (message views are wire's).
 * Thread of everything here: the engine loop. Nothing blocks.
 */
#ifndef POSTERN_SIPUA_H
#define POSTERN_SIPUA_H

#include "postern/base.h"

struct loop;
struct keys_tls;
struct wire_sip;
struct wire_header;
struct rule_chain;

struct sipua;           /* the agent */
struct sipua_in;        /* a request outside of any dialog, at the front door: no transaction yet */
struct sipua_srv;       /* server transaction (UAS) */
struct sipua_cli;       /* client transaction (UAC) */
struct sipua_dialog;    /* a dialog, early or confirmed */
struct sipua_msg;       /* a message being built; sending consumes it */

enum sipua_transport { SIPUA_UDP, SIPUA_TCP, SIPUA_TLS };
const char *sipua_transport_name(enum sipua_transport t);  /* "udp" ... */

struct sipua_listener {
	const char *id;                /* copied */
	enum sipua_transport transport;
	union base_addr addr;
	int fd;                        /* -1: this number is nobody's; bound (UDP) or listening socket handed over; the agent works on a duplicate */
	const char *advertise;         /* host or host:port for Via and Contact, NULL = the address */
	struct keys_tls *tls;          /* TLS: server side, and outgoing connections that name none; referenced */
};

/** Caps; each is a configuration row, 0 = none. What is cut off by one is counted. */
struct sipua_caps {
	unsigned message_bytes;        /* largest SIP message: 65536 */
	unsigned connections, connections_per_source;
	unsigned handshake_s;          /* TCP: until the first whole message; TLS: until the handshake is done and a message came */
	unsigned idle_s;               /* connection without a message; one that a dialog uses is kept */
};

/** Where a message came from. */
struct sipua_path {
	unsigned listener;             /* index as given to sipua_new */
	enum sipua_transport transport;
	union base_addr source;
	struct slice tls_subjects;     /* names of the verified client certificate, comma-joined; empty if none */
};

/** Where a request goes: always numeric. */
struct sipua_dest {
	unsigned listener;             /* sends from it */
	enum sipua_transport transport;
	union base_addr addr;
	const char *tls_name;          /* TLS: name for SNI and the certificate check; NULL: the address */
	struct keys_tls *tls;          /* TLS: profile of the trunk; NULL: the listener's */
};

/* what policies changed */
enum sipua_policed {
	SIPUA_POLICED_ALLOW = 1,       /* methods were taken from an Allow: sipua_dialog_stripped */
	SIPUA_POLICED_TIMER = 2,       /* `timer` was taken from a Supported: sipua_dialog_no_timer */
	SIPUA_POLICED_EXPIRES = 4,     /* Session-Expires of a 2xx that is sent */
	SIPUA_POLICED_SDP = 8,         /* the description that is sent: sipua_dialog_sdp_sent */
	SIPUA_POLICED_NOTES = 16       /* variables, tags, rules that fired: sipua_dialog_notes */
};

struct sipua_handlers {
	/** A request outside of any known dialog (one with a To tag of none too: the handler says 481), never ACK or CANCEL. Take, reply or drop it, else it is dropped. */
	void (*request)(void *arg, struct sipua_in *in);
	/** A 2xx to an INVITE that no client transaction wants (late fork, restart): true if taken, else the agent sends ACK and BYE. */
	bool (*stray_2xx)(void *arg, const struct wire_sip *sip, const struct sipua_path *path);
	/** May requests of a dialog on that listener come by this one? NULL: by any. Where not, they are of no known dialog. */
	bool (*reaches)(void *arg, unsigned listener, unsigned by);
	/** Bytes are about to leave by a connection, now and not at the turn's end: what must be known elsewhere before is said now. May be NULL. */
	void (*sending)(void *arg);
	/** Policies changed what the dialog's owner acts on: SIPUA_POLICED_*. sip: the message, as they left it. Before it leaves. NULL: nobody asks. */
	void (*policed)(void *arg, struct sipua_dialog *d, void *dialog_arg, unsigned what, const struct wire_sip *sip);
	/** An INVITE that was cancelled and left by its user had no final answer for 64*T1 (RFC 3261 9.1) since since_ms of the monotonic clock. May be NULL. */
	void (*cancel_unanswered)(void *arg, const struct sipua_dest *dest, int64_t since_ms);
};

/** Make the agent on the given listeners. The guard's self-test must have passed (sipua_guard_selftest).
 * @return 0, ERR_WRONGSTATE (the self-test was not run), -errno of a listener that could not be taken over (*ret_bad its index) */
int sipua_new(struct loop *l, const struct sipua_listener *lst, size_t n, const char *user_agent, const struct sipua_caps *caps,
	const struct sipua_handlers *h, void *arg, size_t *ret_bad, struct sipua **ret);
void sipua_free(struct sipua *ua);
#define SIPUA_LISTENERS 256
/** User-Agent, Server and caps from now on; what is there goes on, a smaller cap counts for the next. @return 0; -ENOMEM: all is as it was */
int sipua_settings(struct sipua *ua, const char *user_agent, const struct sipua_caps *caps);
/** Open a listener under a number that none has yet or that is free again (of the same transport and family then), or take one up that was removed and is
 * not closed (fd is left alone then). Until then, and after sipua_listener_remove, requests outside of a dialog are dropped. `id` and all texts are copied. */
int sipua_listener_add(struct sipua *ua, unsigned number, const struct sipua_listener *l);
/** Other texts or TLS profile for one that stays. */
int sipua_listener_change(struct sipua *ua, unsigned number, const struct sipua_listener *l);
/** No new dialogs by it. TCP and TLS take no new connections, those that are there go on; UDP is closed when no dialog and no transaction uses it. */
void sipua_listener_remove(struct sipua *ua, unsigned number);
/** Was it removed, and its socket closed since nothing uses it any more? Or not closed yet? */
bool sipua_listener_closed(const struct sipua *ua, unsigned number);
bool sipua_listener_draining(const struct sipua *ua, unsigned number);
/** Which numbers are in use: of open listeners, of dialogs, transactions and connections of those that were removed. Cost: O(all of these). */
void sipua_listeners_used(const struct sipua *ua, bool ret[SIPUA_LISTENERS]);
/** Runs a canned exchange over loopback and checks that every override was hit; ERR_WRONGSTATE with `why` where one was not. */
int sipua_guard_selftest(char why[static 256]);
/** "host:port" that we advertise for a listener (Via, Contact, From). Borrowed. */
const char *sipua_advertised(const struct sipua *ua, unsigned listener);
const struct sipua_listener *sipua_listener_at(const struct sipua *ua, unsigned listener);
/** Contact of ours on a listener: `<sip:host:port;transport=x>`. Borrowed. */
const char *sipua_contact(const struct sipua *ua, unsigned listener);
/** Live transactions and connections; for /stats and for tests of leaks. */
struct sipua_figures { unsigned srv, cli, dialogs, connections; };
void sipua_figures(const struct sipua *ua, struct sipua_figures *ret);

struct base_trace;
/** Every message of dialogs, and of what makes them, goes to that ring (NULL: none) under the key of its Call-ID, its secrets as stars; borrowed. */
void sipua_trace(struct base_trace *t);

/* ---- front door ---- */
const struct wire_sip *sipua_in_sip(const struct sipua_in *in);
const struct sipua_path *sipua_in_path(const struct sipua_in *in);
struct sipua_text { const char *name; struct slice value; };   /* a header to add */
/** Answer without a transaction and be done with it. extra: ends with name NULL, or NULL. */
void sipua_in_reply(struct sipua_in *in, int status, const char *phrase, const struct sipua_text *extra);
void sipua_in_drop(struct sipua_in *in);
/** The same From tag, Call-ID and CSeq in a live server transaction with another branch (RFC 3261 8.2.2.2)? */
bool sipua_in_is_merged(const struct sipua_in *in);

struct sipua_srv_ops {
	/** INVITE answered 2xx: ACK came (sip), or never came within 64*T1 (sip NULL). At most once. */
	void (*ack)(void *arg, struct sipua_srv *s, const struct wire_sip *sip);
	/** CANCEL of an INVITE not answered finally. The agent has answered the CANCEL; the INVITE is ours to answer (487). */
	void (*cancel)(void *arg, struct sipua_srv *s, const struct wire_sip *sip);
};
/** Make a server transaction. `in` is consumed. An INVITE sends 100 at once. */
int sipua_in_accept(struct sipua_in *in, const struct sipua_srv_ops *ops, void *arg, struct sipua_srv **ret);

/* ---- server transactions ---- */
const struct wire_sip *sipua_srv_sip(const struct sipua_srv *s);       /* the request, valid until sipua_srv_free */
const struct sipua_path *sipua_srv_path(const struct sipua_srv *s);
void sipua_srv_bind(struct sipua_srv *s, const struct sipua_srv_ops *ops, void *arg);
int sipua_srv_status(const struct sipua_srv *s);                       /* last status sent, 0 none */
/** Send; consumes msg also on error. A response after a final one is ERR_WRONGSTATE and is not sent. 2xx to INVITE is repeated until ACK. */
int sipua_srv_send(struct sipua_srv *s, struct sipua_msg *msg);
/** Short form without body. */
int sipua_srv_reply(struct sipua_srv *s, int status, const char *phrase);
/** Done with it (NULL is legal). Not yet answered finally: 500 is sent. An answered INVITE that waits for ACK stops to repeat: free it after ops.ack alone. */
void sipua_srv_free(struct sipua_srv *s);

/* ---- dialogs ---- */
struct sipua_dialog_ops {
	/** A request inside the dialog; the handler owns srv. ACK to a 2xx does not come here. CSeq order is checked already. */
	void (*request)(void *arg, struct sipua_dialog *d, struct sipua_srv *srv);
	/** Our 2xx to the peer's INVITE of that CSeq leaves at the turn's end as this UDP datagram, for sipua_resend after a restart; empty: its ACK came, or will not. May be NULL. */
	void (*answered)(void *arg, uint32_t cseq, struct slice datagram, const struct sipua_dest *to);
	/** An ACK of such a one, of a former process: true if it was waited for. May be NULL. */
	bool (*ack)(void *arg, uint32_t cseq, const struct wire_sip *sip);
};
/** All that is needed to carry a dialog on after a restart; texts as they stand on the wire. */
struct sipua_dialog_state {
	struct slice call_id;
	struct slice local, remote;    /* From/To values of our requests, with tags */
	struct slice target;           /* remote target URI */
	struct slice routes;           /* route set, `<uri>, <uri>`, in the order of our requests; empty if none */
	uint32_t cseq_local, cseq_remote;  /* remote: 0 = none seen */
	struct sipua_dest dest;        /* where requests go if neither route nor target is numeric, and the flow's connection */
	bool confirmed;
	bool uas;                      /* the peer made it: dest follows where its requests come from */
	bool no_timer;                 /* what policies did: sipua_dialog_no_timer, */
	uint32_t stripped, stripped_in;/* sipua_dialog_stripped, of our Allow and of the peer's, */
	struct slice allow;            /* and our Allow then; empty: as it was made */
};
/** Dialog of an INVITE that we answer; makes our tag. */
int sipua_dialog_new_uas(struct sipua_srv *srv, const struct sipua_dialog_ops *ops, void *arg, struct sipua_dialog **ret);
/** Dialog of an INVITE that we send: own Call-ID and tag; from/to without tags: `"Ann" <sip:ann@host>`. */
int sipua_dialog_new_uac(struct sipua *ua, struct slice from, struct slice to, const struct sipua_dest *dest,
	const struct sipua_dialog_ops *ops, void *arg, struct sipua_dialog **ret);
int sipua_dialog_restore(struct sipua *ua, const struct sipua_dialog_state *st, const struct sipua_dialog_ops *ops, void *arg, struct sipua_dialog **ret);
/** Borrowed until the dialog changes. */
void sipua_dialog_get(const struct sipua_dialog *d, struct sipua_dialog_state *ret);
/** UAC: take remote tag, route set and target from an 18x (early) or 2xx (final) of our INVITE. A 2xx of another tag replaces an early one. */
int sipua_dialog_establish(struct sipua_dialog *d, const struct wire_sip *response);
/** Target refresh: a 2xx that we got, or a request of the peer that we answered 2xx. */
void sipua_dialog_refresh_target(struct sipua_dialog *d, const struct wire_sip *sip);
/** UAS: we answered 2xx. Until then, and for a UAC until establish with a 2xx, requests with other remote tags (forks) are let in. */
void sipua_dialog_confirm(struct sipua_dialog *d);
/** Requests of this dialog go to dest whatever route set and target say (peer behind a NAT); NULL: as usual again. An open connection of the peer still comes first. */
void sipua_dialog_pin(struct sipua_dialog *d, const struct sipua_dest *dest);
/** Its requests go to another user from now on; ops are compared by sipua_dialog_owner. */
void sipua_dialog_bind(struct sipua_dialog *d, const struct sipua_dialog_ops *ops, void *arg);
/** Did the peer's INVITE make it? */
bool sipua_dialog_is_uas(const struct sipua_dialog *d);
/** Is the peer's tag known, so that requests may be sent in the dialog? */
bool sipua_dialog_has_peer(const struct sipua_dialog *d);
/** The arg of the dialog with these identifiers and ops; NULL: there is none. */
void *sipua_dialog_owner(const struct sipua *ua, const struct sipua_dialog_ops *ops, struct slice call_id, struct slice local_tag, struct slice remote_tag);
/** Where the peer's Contact is a private address, without routes, requests go where the peer's came from. */
void sipua_dialog_set_nat(struct sipua_dialog *d, bool on);
/** Larger requests of this dialog go by TCP instead of UDP, to the same address and port, where there is a listener for it. */
void sipua_dialog_set_udp_max(struct sipua_dialog *d, unsigned bytes);
/** Challenges to requests of this dialog are answered (copied); their sender sees what comes after. realm NULL: any. */
struct sipua_auth { const char *username, *password, *realm; };
int sipua_dialog_set_auth(struct sipua_dialog *d, const struct sipua_auth *a);
struct slice sipua_dialog_call_id(const struct sipua_dialog *d);
/** CSeq that the next request of ours will have. */
uint32_t sipua_dialog_next_cseq(const struct sipua_dialog *d);
void sipua_dialog_free(struct sipua_dialog *d);
/** A datagram that a former process has sent, once more; call_id: of its dialog. */
void sipua_resend(struct sipua *ua, const struct sipua_dest *to, struct slice call_id, struct slice datagram);
/** A 2xx of the peer that comes again gets no ACK until the answer that it has to carry is given. -ENOMEM */
void sipua_dialog_ack_waits(struct sipua_dialog *d);
int sipua_dialog_ack_give(struct sipua_dialog *d, struct slice body);

/* ---- policies ---- */
/*
 * What the messages of one trunk pass (design.md section 9): `receive` before anybody here acts on a copy of them, `send` last. Ref-counted; the
 * chain in it may be exchanged at any time, messages that follow pass the new one.
 */
struct sipua_policy;
int sipua_policy_new(const char *trunk, struct sipua_policy **ret);
/** chain NULL: none. Referenced; realm is copied. */
void sipua_policy_set(struct sipua_policy *p, const char *realm, struct rule_chain *chain);
/** Messages of the dialog pass these. with: a dialog of the same call, whose variables and tags are this one's too; or NULL. */
void sipua_dialog_police(struct sipua_dialog *d, struct sipua_policy *policy, struct sipua_dialog *with);
/** Methods (bit set of enum wire_method) that policies took from the Allow that the peer saw or said last: not taken from it, and not to be sent to it. */
uint32_t sipua_dialog_stripped(const struct sipua_dialog *d);
/** Policies ended the session timer of this dialog. */
bool sipua_dialog_no_timer(const struct sipua_dialog *d);
/** The description that left last, where policies or the count of its versions made it another than its maker knows; else empty. Borrowed. */
struct slice sipua_dialog_sdp_sent(const struct sipua_dialog *d);
/** From a record: what left last, and whether it is such a one. */
void sipua_dialog_sdp_sent_restore(struct sipua_dialog *d, struct slice sent, bool edited);
/** What policies keep for a call: variables, tags, rules that fired. Ref-counted, shared by its dialogs; NULL: none. Borrowed. */
struct sipua_notes;
struct sipua_notes *sipua_dialog_notes(const struct sipua_dialog *d);
enum sipua_note_kind { SIPUA_NOTE_VAR = 1, SIPUA_NOTE_TAG, SIPUA_NOTE_FIRED };
/* name: of the variable, the tag, the rule's policy; the rest is of a rule that fired, at `send` or `receive`, on a leg that we made (out) or not */
struct sipua_note { enum sipua_note_kind kind; struct slice name, value; bool send, out, request; uint32_t line, count; int64_t first_ms, last_ms; };
/** The i-th of them; texts are borrowed. False behind the last; n may be NULL. */
bool sipua_notes_get(const struct sipua_notes *n, unsigned i, struct sipua_note *ret);
/** Put one back. ERR_FULL, ERR_UNSUPPORTED, -ENOMEM */
int sipua_notes_put(struct sipua_notes *n, const struct sipua_note *w);
/**
 * Run `receive` on a request outside of dialogs; sipua_in_sip is what it left then, and what is made of the request passes the policy too.
 * @return false: answered or dropped
 */
bool sipua_in_police(struct sipua_in *in, struct sipua_policy *policy);
/** Trunk or group that a policy routes it to, or NULL. Borrowed from in. */
const char *sipua_in_route(const struct sipua_in *in);

/* ---- building messages ---- */
/** Request on a dialog (From, To, Call-ID, CSeq, Route are the agent's). ruri NULL: the dialog's target. Max-Forwards as given. */
int sipua_msg_request(struct sipua_dialog *d, struct slice method, const char *ruri, int max_forwards, struct sipua_msg **ret);
/** Response (Via, From, To with our tag, Call-ID, CSeq, Record-Route are the agent's). phrase NULL: the standard one. */
int sipua_msg_response(struct sipua_srv *s, int status, const char *phrase, struct sipua_msg **ret);
/** A refresh of ours: its description repeats what left last, and policies' actions on descriptions are not run again. */
void sipua_msg_repeats(struct sipua_msg *m);
/** Add a header as text; the value must be one line without CR and LF (ERR_PROTO). */
int sipua_msg_add(struct sipua_msg *m, const char *name, struct slice value);
/** Copy a header of a received message as it is, folds apart. */
int sipua_msg_carry(struct sipua_msg *m, const struct wire_header *h);
/** The message as it stands (a request has no CSeq and Via yet, a response none of what the agent copies). */
const struct wire_sip *sipua_msg_sip(const struct sipua_msg *m);
int sipua_msg_body(struct sipua_msg *m, struct slice content_type, struct slice body);
/** A reliable provisional response (RFC 3262): RSeq and Require. */
int sipua_msg_reliable(struct sipua_msg *m, uint32_t rseq);
/** A second one like it, for the same transaction. NULL: no memory. */
struct sipua_msg *sipua_msg_dup(const struct sipua_msg *m);
void sipua_msg_free(struct sipua_msg *m);

/* ---- client transactions ---- */
struct sipua_cli_ops {
	/**
	 * Provisional and final responses. sip NULL: made here: 408 no answer (64*T1), 503 could not be sent or the connection failed.
	 * After a final one nothing more comes: further 2xx of an INVITE by other forks are ended by the agent with ACK and BYE.
	 * c may be freed in here.
	 */
	void (*response)(void *arg, struct sipua_cli *c, int status, const struct wire_sip *sip);
};
/** Send on the dialog; dest NULL: the dialog's own way (connection, route, target, else its dest). Consumes msg also on error. */
int sipua_cli_send(struct sipua_dialog *d, struct sipua_msg *msg, const struct sipua_dest *dest, const struct sipua_cli_ops *ops, void *arg, struct sipua_cli **ret);
/** CANCEL an INVITE: at once where a 1xx was seen, else with the first one. Further responses still come. extra: Reason, or NULL. */
int sipua_cli_cancel(struct sipua_cli *c, const struct sipua_text *extra);
uint32_t sipua_cli_cseq(const struct sipua_cli *c);
int sipua_cli_status(const struct sipua_cli *c);                       /* last status got, 0 none */
/**
 * ACK for the 2xx of this INVITE, body may be NULL; repeated by the agent whenever the 2xx comes again, for 64*T1.
 * Then the INVITE may be freed.
 */
int sipua_cli_ack(struct sipua_cli *c, struct sipua_msg *msg_or_null);
/**
 * Nothing more is wanted (NULL is legal). An INVITE without a final answer is cancelled and its late 2xx gets ACK and BYE,
 * one within a dialog (re-INVITE) the ACK alone. So does a 2xx that was not ACKed.
 */
void sipua_cli_free(struct sipua_cli *c);

#endif
