/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stage of a scene: the call engine and its SIP agent on loopback sockets, a media memory with nobody behind it, three parties that
 * speak text, and a clock that stands until the scene lets it go on. One thread, no other process.
 */
#ifndef TESTS_SCENE_RIG_H
#define TESTS_SCENE_RIG_H

#include "postern/base.h"

#define RIG_TEXT 20000

/** A party: what it knows of its dialog, and the last messages that it got. */
struct party {
	int fd;
	union base_addr addr, peer;         /* its own; the listener that it talks to */
	char name;
	char last[RIG_TEXT];                /* last message, whatever it was */
	char invite[RIG_TEXT];              /* last INVITE that came */
	char request[RIG_TEXT];             /* last other request, ACK not counted */
	char number[64], call_id[256], tag[64], remote[320], target[256], branch[64];
	unsigned cseq, invite_cseq, branches;
	bool caller;
	char says[512], dir[32];            /* headers of all that it sends, lines with their ends; direction of its descriptions */
	bool fax;                           /* they are of T.38 */
	char shown[RIG_TEXT], before[RIG_TEXT]; /* the last description that it got, and the one before */
	char sent[RIG_TEXT];                /* its last request */
};

struct rig;
/**
 * b, a, doc: further keys of trunk b, trunk a and the document, JSON text that begins with a comma, or "". targets: of trunk b, parties B and, of two, C.
 * NULL: could not be set up (said on stderr).
 */
struct rig_options { char b[512], a[512], doc[512]; unsigned targets; };
struct rig *rig_new(const struct rig_options *o);
void rig_free(struct rig *r);
struct party *rig_party(struct rig *r, char name);
/** Let the clock go on, the engine at work all the time. */
void rig_advance(struct rig *r, int64_t ms);
/** Engine at work, clock standing, until a party has something to read or some real milliseconds are over. */
bool rig_wait(struct rig *r, struct party *p);
/** Has the party something to read? */
bool rig_has(const struct party *p);
unsigned rig_calls(const struct rig *r);
/** State of a target of trunk b, as GET /trunks shows it. */
const char *rig_target(const struct rig *r, unsigned k);
/** The engine's process dies and another one takes its memory over. */
bool rig_restart(struct rig *r);

/** Text of a header's first line, "" where there is none; static buffer. */
const char *text_header(const char *msg, const char *name);
/** The last request once more. */
void party_again(struct party *p);
void party_request(struct party *p, const char *method, bool sdp);
void party_reply(struct party *p, const char *request, int status, bool sdp);
/** Next message into p->last; false: there is none. */
bool party_read(struct party *p);

#endif
