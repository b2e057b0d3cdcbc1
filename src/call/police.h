/* SPDX-License-Identifier: Apache-2.0 */
/* call, private: where the files of policies (design.md section 9) touch a call. Running them is sipua's. */
#ifndef CALL_POLICE_H
#define CALL_POLICE_H

#include "postern/base.h"

struct call;
struct call_engine;
struct peer_dest;
struct peer_trunk;
struct peer_view;
struct sipua_in;
struct sipua_policy;

/** What messages of a trunk pass, or NULL: engine.c. */
struct sipua_policy *call_engine_policy(struct call_engine *e, const struct peer_trunk *t);
/** Where a request goes: as a policy said, else as the table of routes says; front.c. 0, ERR_NOTFOUND */
int call_front_route(struct call_engine *e, const struct sipua_in *in, const struct peer_trunk *from, const struct peer_view *v, struct peer_dest *ret);

/* notes.c */
#define CALL_NOTES_BYTES 16384
/** What policies noted, as the record has it; empty where buf is too small. */
struct slice call_notes_print(const struct call *c, void *buf, size_t size);
/** And back into the dialogs of a call. */
void call_notes_restore(struct call *c, struct slice text);

#endif
