/* SPDX-License-Identifier: Apache-2.0 */
/*
 * admin: the HTTP API over ctl commands and renderers; drains the records ring into the store. No logic of its own.
 */
#ifndef POSTERN_ADMIN_H
#define POSTERN_ADMIN_H

#include "postern/base.h"

struct loop;
struct loop_shm;
struct loop_chan;
struct store;
struct base_ring;
struct store_file;

/* The options of users are ctl's (struct ctl_user_conf): the whole document stands there, and ctl is the lower folder. */

struct admin;
/** What the API shows of the processes: told by the supervisor. */
struct admin_process { const char *role; int pid; unsigned restarts; int64_t since_ms; };
/** A change of configuration, for all processes or none: put in force by the supervisor (app), made durable on the way. */
struct admin_apply {
	uint32_t id;                       /* for admin_applied */
	uint64_t base;                     /* the revision that it was made from */
	bool dry_run;                      /* prepared everywhere, taken by none */
	struct slice document;
	const struct store_file *files; size_t nfiles;
	const char *user, *comment;
	int step;                          /* enum store_pending_step */
	uint64_t previous; int64_t deadline_ms;
};
struct admin_note { struct slice pointer, message; bool warning; };
struct admin_params {
	struct loop *loop;
	struct store *store;
	int http_fd;                       /* listening TCP socket of the API; taken over, -1: none */
	int ctl_fd;                        /* listening UNIX socket that STATE/control names: the same API, no token asked; taken over, -1: none */
	struct slice tls_cert, tls_key;    /* PEM; empty: plain */
	struct slice tls_ca;               /* what certificates of clients are checked against; PEM; empty: the system's */
	int tls_verify;                    /* enum keys_verify: of clients; unset: none */
	bool tls_13;                       /* nothing older */
	const char *token_hash;            /* of the admin token: keys_token_hash */
	const struct loop_shm *calls, *streams, *admin_mem; /* read-only but admin_mem */
	struct base_ring *records, *events; /* events: NULL: none */
	int engine_fd;                     /* channel to the engine; taken over, -1: none */
	/** The supervisor's word: status of the house. */
	void (*health)(void *arg, const char **ret_status, const struct admin_process **ret, size_t *ret_n);
	/** Ask for a change; admin_applied answers once. The call copies. NULL: the configuration cannot be changed. @return 0 or why it cannot be asked */
	int (*apply)(void *arg, const struct admin_apply *w);
	void *arg;
};
/**
 * Serve the API in this loop: both servers, the drain of the CDR ring, commands to the engine. Counts into admin_mem from now on.
 *
 * @param p    [in]  copied; maps, store and ring are borrowed until admin_stop; texts are copied
 * @param ret  [out] for admin_stop; untouched on error
 * @return 0, -ENOMEM, -EIO (the HTTP server does not start: said in the log), what loop_* give; the process should end then
 * Thread  the loop's. Blocks: for the database alone
 */
int admin_start(const struct admin_params *p, struct admin **ret);
/** The OpenAPI 3.1 document, as /openapi.json gives it; malloc'd, NULL: no memory. */
char *admin_openapi_print(void);
/** The reference of the API (docs/reference-api.md), from the same tables; malloc'd, NULL: no memory. */
char *admin_reference_print(void);
/** The document in force (JSON of the revision) and its number: what /config shows from now on. ERR_CONFIG: the old one stays. */
int admin_set_revision(struct admin *a, uint64_t number, struct slice document);
/**
 * The answer to apply: 0 (in force in all processes; number is the new revision's), ERR_CONFIG (notes say why), ERR_GONE (another revision came first),
 * -EBUSY (processes are on their way up), -ENOSPC, other codes. Notes are borrowed; warnings may come with 0. An id that nobody waits for is ignored.
 */
void admin_applied(struct admin *a, uint32_t id, int status, uint64_t number, const struct admin_note *notes, size_t n);
/** Requests that wait are answered 503, connections closed, the ring drained once more. NULL is legal. Not from a call-back of the API. */
void admin_stop(struct admin *a);

#endif
