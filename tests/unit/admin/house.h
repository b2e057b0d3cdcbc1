/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API in one process with its test: state memory made here, the engine's end of the channel held here, a client on loopback.
 */
#ifndef UNIT_ADMIN_HOUSE_H
#define UNIT_ADMIN_HOUSE_H

#include "postern/admin.h"
#include "postern/call.h"
#include "postern/loop.h"

#define HOUSE_TOKEN "a-token-of-the-test"

struct house {
	char dir[64], db[96], sock[96];
	struct loop *loop;
	struct store *store;
	struct loop_shm calls, admin_mem, records;
	struct call_store *cs;
	struct base_ring *ring;
	struct loop_chan *engine;          /* the engine's end */
	int reply_status;                  /* what the engine answers; > 0: nothing */
	char asked[128];                   /* the last command and its arguments */
	const char *health;
	struct admin *admin;
	int port;
};
struct answer { int status; char head[4096]; char body[1 << 20]; };

void house_open(struct house *h);
void house_close(struct house *h);
/** One request over TCP as raw text; the answer is read to its end. False where the connection ended without an answer. */
bool house_ask(struct house *h, const char *request, size_t n, struct answer *ret);
/** `METHOD PATH` with the token (NULL: none) and a JSON body (NULL: none). Returns the status. */
int house_do(struct house *h, const char *method, const char *path, const char *token, const char *body, struct answer *ret);
int house_connect(struct house *h);
void house_call(struct house *h, const char *id, const char *from, const char *to, enum call_state state);

#endif
