/* SPDX-License-Identifier: Apache-2.0 */
/*
 * admin, private: the API's state, a request, a route, and what the handlers share.
 */
#ifndef ADMIN_ADMIN_H
#define ADMIN_ADMIN_H

#include <jansson.h>
#include <microhttpd.h>

#include "postern/admin.h"
#include "postern/conf.h"
#include "postern/ctl.h"
#include "postern/loop.h"

#define ADMIN_PENDING      64      /* requests that wait for the engine */
#define ADMIN_REPLY_MS     5000    /* so long at most */
#define ADMIN_BODY_MAX     65536   /* bytes of a request's body, but for configurations */
#define ADMIN_DISCARD_MAX  (16u << 20) /* so much of a refused body is read, so that the answer arrives */
#define ADMIN_LIST_DEFAULT 100
#define ADMIN_LIST_MAX     1000
#define ADMIN_LOGINS       256     /* addresses whose logins are remembered */
#define ADMIN_SESSIONS     1024    /* tokens and addresses that are known to be logged in */
#define ADMIN_WHO          32      /* bytes of a token's hash and of an address */
#define ADMIN_PARAMS       2
#define ADMIN_QUEUE        128     /* writes that wait for their turn */
#define ADMIN_APPLY_MS     30000   /* so long a change of configuration may take */

enum admin_role { ADMIN_NOBODY = -1, ADMIN_VIEWER, ADMIN_OPERATOR, ADMIN_ADMIN };

struct admin_request;

/* ---- routes: one table for dispatch, 405, roles, query keys and documentation ---- */
enum admin_route_flag {
	ADMIN_AT_ROOT = 1,             /* without /api/v1 too */
	ADMIN_METRICS = 2,             /* open to all where system.api.metrics_open is set */
	ADMIN_JSON = 4,                /* needs a JSON object */
	ADMIN_MERGE = 8,               /* needs a merge patch (RFC 7396): application/merge-patch+json or application/json */
	ADMIN_PLAIN = 16,              /* needs text/plain */
	ADMIN_LARGE = 32               /* a body as large as a configuration may be */
};
struct admin_route {
	const char *path;              /* below /api/v1; {name} is one segment */
	const char *method;            /* GET answers HEAD too */
	int role;                      /* the least; ADMIN_NOBODY: no token needed */
	void (*handle)(struct admin_request *rq);
	const struct conf_row *query;  /* keys that are known; NULL: none */
	unsigned flags;
	const char *doc;
};
/** The table, ending with path NULL. */
const struct admin_route *admin_routes(void);
/** Find, check and refuse: sets rq->route, or answers. Called once the head of a request is there. */
void admin_route_request(struct admin_request *rq, const char *url, const char *method);

/* ---- a connection and its request ---- */
struct admin_http;
enum admin_phase { ADMIN_CONNECTED, ADMIN_IN_REQUEST, ADMIN_OURS, ADMIN_IDLE };
struct admin_conn {
	struct list_node node;
	struct admin_http *http;
	int fd;
	enum admin_phase phase;
	struct mono since;             /* of this phase */
	bool cut;
	enum { ADMIN_CERT_UNSEEN, ADMIN_CERT_NONE, ADMIN_CERT_GOOD, ADMIN_CERT_BAD } cert; /* of the client */
};
struct admin_request {
	struct admin *a;
	struct MHD_Connection *conn;
	struct admin_conn *c;
	const struct admin_route *route;
	bool trusted;                  /* came over the control socket */
	int role;                      /* of who asks */
	char user[64];                 /* their id */
	enum { ADMIN_LOGIN_USUAL, ADMIN_LOGIN_FIRST, ADMIN_LOGIN_FAILED } login; /* for the audit log */
	char address[48];
	char method[16], path[160];    /* for the audit log */
	char param[ADMIN_PARAMS][128]; /* of the path */
	char *body; size_t nbody, seen, room;
	json_t *json;                  /* the body, parsed; NULL: none or no JSON */
	bool too_large;
	bool started, waiting;         /* handler was called; waits for the engine */
	struct MHD_Response *response; unsigned status;
};

/* ---- answers: each request gets one ---- */
/** Takes the JSON over (NULL: 500). */
void admin_reply_json(struct admin_request *rq, unsigned status, json_t *v);
/** Takes malloc'd text over (NULL: 500). */
void admin_reply_text(struct admin_request *rq, unsigned status, const char *type, char *text);
/** The same of any bytes. */
void admin_reply_bytes(struct admin_request *rq, unsigned status, const char *type, char *bytes, size_t n);
/** A page of a list of n objects, `after` being how many were seen; make gives the one at a place (a new reference). false: the query was answered 400. */
bool admin_reply_list(struct admin_request *rq, size_t n, json_t *(*make)(void *arg, size_t at), void *arg);
/** The same of an array (borrowed). */
bool admin_reply_array(struct admin_request *rq, json_t *all);
void admin_reply_empty(struct admin_request *rq, unsigned status);
/** RFC 9457. */
void admin_problem(struct admin_request *rq, unsigned status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void admin_reply_header(struct admin_request *rq, const char *name, const char *value);
/** RFC 9457 with `errors`; errors (array) and more (object of further members, NULL: none) are taken over. */
void admin_problem_errors(struct admin_request *rq, unsigned status, const char *detail, json_t *errors, json_t *more);

/* ---- queries ---- */
extern const struct conf_row admin_query_list[], admin_query_calls[], admin_query_write[], admin_query_diff[], admin_query_messages[], admin_query_cdrs[];
/** A value of the query; NULL where the key is not there. */
const char *admin_query(const struct admin_request *rq, const char *key);
/** Keys unknown, twice or without a value: answered 400, false. */
bool admin_query_check(struct admin_request *rq);
/** limit and after of a list; odd ones are answered 400, false. after is a number or NULL. */
bool admin_query_page(struct admin_request *rq, unsigned *ret_limit, const char **ret_after);
/** A switch of the query: 1, true, 0, false; an odd one is answered 400, false. */
bool admin_query_bool(struct admin_request *rq, const char *key, bool *ret);
/** A whole number of the query, 0 where it is not there; an odd one is answered 400, false. */
bool admin_query_number(struct admin_request *rq, const char *key, uint64_t max, uint64_t *ret);

/* ---- logins ---- */
struct admin_login { uint8_t key[16]; unsigned failed; struct mono since, used; bool known; };
enum admin_auth { ADMIN_AUTH_OK, ADMIN_AUTH_NONE, ADMIN_AUTH_BAD, ADMIN_AUTH_LOCKED, ADMIN_AUTH_NET };
/** Who asks: sets rq->role, user and address. */
enum admin_auth admin_login(struct admin_request *rq);
/** Does the client's certificate do (TLS profile of the API)? Else answered, false. */
bool admin_client_check(struct admin_request *rq);
/** Is Host ours, and Origin the same? Else answered, false. */
bool admin_host_check(struct admin_request *rq);

/* ---- commands to the engine ---- */
struct admin_pending { struct admin_request *rq; uint32_t id; struct loop_timer timer; };
/** Send, and answer rq when the reply is there (204 or what the engine says, 404, 500) or the time is over (504). Takes args over. */
void admin_engine_ask(struct admin_request *rq, enum ctl_command_id id, json_t *args);
/** Tell it to end these calls (array of ids), in portions; their end is seen in /calls. false: it cannot be told. */
bool admin_engine_end(struct admin *a, json_t *ids);
/** Is this a call's state? Else answered. */
bool admin_state_check(struct admin_request *rq, const char *state, unsigned status);
void admin_engine_message(void *arg, struct loop_msg *m);
/** All that wait are answered 503. */
void admin_engine_cancel(struct admin *a);
/** The request is gone: nobody waits for its reply. */
void admin_engine_forget(struct admin_request *rq);

/* ---- changes of configuration: one at a time, the others wait for their turn ---- */
struct store_revision_full;
struct admin_edit {                    /* a change on its way: the revision in force with what a request wants different */
	json_t *root;                  /* the document, secrets and all */
	struct store_revision_full *base;
	struct store_file *file; size_t nfiles, room;
	const char *comment;           /* NULL: X-Comment of the request */
	int step; uint64_t previous;   /* of a rollback: enum store_pending_step */
	bool removal;                  /* what the document lacks then is somebody's: 409 */
	unsigned status;               /* of success */
	void (*answer)(struct admin_request *rq); /* body of success, from the new revision; NULL: 204 */
};
struct admin_change {
	struct admin_request *rq;      /* NULL: nobody waits: it is our own, or who asked has gone */
	bool busy, dry_run, own;
	uint32_t id;
	unsigned status;
	void (*answer)(struct admin_request *rq);
	struct loop_timer timer;
	struct admin_request *queue[ADMIN_QUEUE]; size_t nqueue;
	struct loop_timer revert;
};
/**
 * Begin a change: false where the request is answered already (no configuration, If-Match, memory) or waits for its turn, when its handler
 * is called anew.
 */
bool admin_edit_begin(struct admin_request *rq, struct admin_edit *e);
/** Check it and ask for it; answers now or later. Ends the edit. */
void admin_edit_commit(struct admin_request *rq, struct admin_edit *e);
/** Give it up. */
void admin_edit_drop(struct admin_edit *e);
/** Add or replace a file; bytes are borrowed until the edit ends. Its origin is forgotten. false: no memory. */
bool admin_edit_file(struct admin_edit *e, const char *kind, const char *name, struct slice bytes);
/** Take a file out; false where there is none. */
bool admin_edit_unfile(struct admin_edit *e, const char *kind, const char *name);
/** The object of this id in a collection of root (a single one: id is ignored); NULL. *ret_at: its place. */
json_t *admin_edit_find(json_t *root, const struct conf_collection *c, const char *id, size_t *ret_at);
const struct conf_collection *admin_collection(const char *name);
/** ETag of the revision in force. */
void admin_etag(struct admin_request *rq);
void admin_change_start(struct admin *a);
void admin_change_stop(struct admin *a);
/** The request is gone: nobody waits. */
void admin_change_forget(struct admin_request *rq);
/** Look at what waits for a confirmation, and at the clock. */
void admin_revert_watch(struct admin *a);
/** Put a revision of the store back in force for a request, or for nobody (rq NULL). */
void admin_roll_back(struct admin *a, struct admin_request *rq, uint64_t number, const char *comment);

/* ---- the audit log ---- */
struct admin_session { uint8_t who[ADMIN_WHO]; struct mono used; };
struct admin_minute { struct mono since; unsigned lines, left_out; };
/** Is this the first request of a token from an address, or its first after a long while? Notes it. */
bool admin_session_begins(struct admin *a, const uint8_t who[static ADMIN_WHO], struct mono now);
/** Lines of it where the request was a write, a login, or a login that failed. */
void admin_audit(const struct admin_request *rq, struct mono now);

/* ---- CDRs: from the ring into the database ---- */
void admin_records_start(struct admin *a);
/** Take what is there now: a reader of calls or CDRs sees what ended before it asked. */
void admin_records_drain(struct admin *a);

/* ---- the server: one for TCP, one for the control socket ---- */
struct admin_http {
	struct admin *a;
	struct MHD_Daemon *daemon;
	struct loop_fd *fd;
	struct loop_timer run, reap;
	struct list_node conns;
	unsigned nconns, max;
	bool trusted;
};
int admin_http_start(struct admin_http *h, struct admin *a, int fd, bool trusted);
void admin_http_stop(struct admin_http *h);
/** A request that waited has its answer. */
void admin_http_resume(struct admin_request *rq);

struct admin {
	struct admin_params p;
	char token_hash[65];
	char *tls_cert, *tls_key, *tls_ca;
	struct admin_http tcp, local;
	struct loop_chan *engine;
	struct admin_pending pending[ADMIN_PENDING];
	uint32_t next_id;
	struct loop_timer drain;
	struct conf_doc *doc;
	uint64_t revision;
	bool metrics_open, loopback;
	char name[128];                /* system.name: a Host that is ours too */
	struct admin_login login[ADMIN_LOGINS];
	struct admin_session session[ADMIN_SESSIONS];
	struct admin_minute logins_good, logins_failed;
	struct admin_change change;
};
/** What the renderers look at; process holds at least ADMIN_PROCESSES. */
#define ADMIN_PROCESSES 8
struct ctl_maps admin_maps(const struct admin *a, struct ctl_process *process);

/* ---- handlers ---- */
void admin_get_health(struct admin_request *rq);
void admin_get_config(struct admin_request *rq);
void admin_get_collection(struct admin_request *rq);
void admin_get_object(struct admin_request *rq);
void admin_put_config(struct admin_request *rq);
void admin_post_object(struct admin_request *rq);
void admin_put_single(struct admin_request *rq);
void admin_patch_single(struct admin_request *rq);
void admin_put_object(struct admin_request *rq);
void admin_patch_object(struct admin_request *rq);
void admin_delete_object(struct admin_request *rq);
void admin_get_revisions(struct admin_request *rq);
void admin_get_revision(struct admin_request *rq);
void admin_get_diff(struct admin_request *rq);
void admin_post_confirm(struct admin_request *rq);
void admin_post_rollback(struct admin_request *rq);
void admin_get_policies(struct admin_request *rq);
void admin_get_shadow(struct admin_request *rq);
void admin_post_trial(struct admin_request *rq);
void admin_get_policy(struct admin_request *rq);
void admin_put_policy(struct admin_request *rq);
void admin_delete_policy(struct admin_request *rq);
void admin_get_certificates(struct admin_request *rq);
void admin_get_certificate(struct admin_request *rq);
void admin_put_certificate(struct admin_request *rq);
void admin_delete_certificate(struct admin_request *rq);
void admin_get_tokens(struct admin_request *rq);
void admin_post_token(struct admin_request *rq);
void admin_delete_token(struct admin_request *rq);
void admin_get_audit(struct admin_request *rq);
void admin_get_openapi(struct admin_request *rq);
void admin_post_calls_end(struct admin_request *rq);
void admin_get_groups(struct admin_request *rq);
void admin_post_preview(struct admin_request *rq);
void admin_get_calls(struct admin_request *rq);
void admin_get_call(struct admin_request *rq);
void admin_get_decisions(struct admin_request *rq);
void admin_get_cdr_decisions(struct admin_request *rq);
void admin_get_messages(struct admin_request *rq);
void admin_get_cdr_messages(struct admin_request *rq);
void admin_delete_call(struct admin_request *rq);
void admin_get_cdrs(struct admin_request *rq);
void admin_get_cdr(struct admin_request *rq);
void admin_get_trunks(struct admin_request *rq);
void admin_get_trunk(struct admin_request *rq);
void admin_get_stats(struct admin_request *rq);
void admin_get_metrics(struct admin_request *rq);
void admin_post_drain(struct admin_request *rq);
void admin_post_trunk_probe(struct admin_request *rq);
void admin_post_trunk_drain(struct admin_request *rq);
void admin_post_trunk_undrain(struct admin_request *rq);
void admin_post_undrain(struct admin_request *rq);

#endif
