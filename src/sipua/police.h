/* SPDX-License-Identifier: Apache-2.0 */
/* sipua, private: the hooks of policies, a message in front of a chain of rules, what a call's policies remember, and the counts of sources. */
#ifndef SIPUA_POLICE_H
#define SIPUA_POLICE_H

#include "sipua/priv.h"
#include "postern/wire.h"

struct sipua_policy { char *trunk, *realm; struct rule_chain *chain; bool rates; }; /* rates: a rule asks for src.rate */

struct sipua_pass {
	msg_t *msg;
	sip_t *sip;
	const sip_t *base;         /* of a response that is sent: the request; the agent copies the rest later */
	struct sipua_notes **notes;
	const union base_addr *source; /* NULL: unknown */
	bool shared;               /* as it was received: the first edit makes a copy */
	bool parse;                /* new headers are parsed: somebody reads the message */
	bool ruri_known;
	struct slice ruri;         /* in ruri_short, where there is room */
	char ruri_short[512];
	struct wire_headers it;
};

/* pass.c */
extern const struct rule_msg_ops sipua_pass_ops;
/** The i-th line of a header, as rules see it; p NULL: none. Valid until the next look at the message. */
struct slice sipua_pass_header(struct sipua_pass *p, struct slice name, unsigned i);
/** Put a value in its place; take it out. 0, or an error with the message as it was. */
int sipua_pass_set(struct sipua_pass *p, struct slice name, unsigned i, struct slice value);
int sipua_pass_remove(struct sipua_pass *p, struct slice name, unsigned i);
int sipua_pass_set_body(struct sipua_pass *p, struct slice body);
/** The message as text, cut at size; keys and credentials are masked. */
void sipua_pass_print(struct sipua_pass *p, struct text *out);

/* notes.c */
struct sipua_notes *sipua_notes_new(void);
/** A variable; p NULL: none. notes may be NULL. */
struct slice sipua_notes_var(const struct sipua_notes *n, struct slice name);
/** value.p NULL removes it. ERR_FULL, -ENOMEM */
int sipua_notes_set_var(struct sipua_notes *n, struct slice name, struct slice value);
bool sipua_notes_has_tag(const struct sipua_notes *n, struct slice name);
int sipua_notes_add_tag(struct sipua_notes *n, struct slice name);
/** A rule fired: counted where it did before. */
void sipua_notes_fired(struct sipua_notes *n, const struct sipua_note *what);
/** Was anything noted since the last question? */
bool sipua_notes_changed(struct sipua_notes *n);

/* rate.c */
/** A request of this source came. */
void sipua_rate_count(const union base_addr *source);
/** Requests of it in the last so many seconds, 1 or 60, with the one at hand. */
uint64_t sipua_rate_get(const union base_addr *source, unsigned window_s);

/* policy.c */
/** Policies of the dialog on a request that is about to be sent. @return false: they dropped it, it does not leave */
bool sipua_police_request(struct sipua_dialog *d, struct sipua_msg *m);
/** On a response of a transaction; its status may be another one then. @return false: a provisional one that they dropped */
bool sipua_police_response(struct sipua_srv *s, struct sipua_msg *m);
/** On one without; it has a status line. @return the status */
int sipua_police_reply(struct sipua_in *in, msg_t *msg, sip_t *sip);
/** Is there anything for them to look at? Cheap; policy may be NULL. */
bool sipua_police_hears(const struct sipua_policy *policy, bool request, enum rule_dialog dialog);
/** What a received message is to policies. */
struct sipua_heard { struct sipua_policy *policy; struct sipua_notes **notes; const struct sipua_path *path; bool out; enum rule_dialog dialog; };
/** On what was received; it is copied before it is changed. *ret_copy NULL: no rule changed anything; the verdict holds all the same. notes: made where rules need them. */
void sipua_police_received(const struct sipua_heard *w, msg_t *msg, msg_t **ret_copy, struct rule_result *res);
/** The dialog takes up what they changed of a message of its peer, and its owner is told. now NULL: nothing was changed. */
void sipua_police_heard(struct sipua_dialog *d, const sip_t *was, const sip_t *now);
/** Did policies take the method of this request from the dialog's Allow? */
bool sipua_dialog_refuses(const struct sipua_dialog *d, const sip_t *request);

#endif
