/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl: what can be asked and told. Commands are rows of a table, each runs in the role that owns the thing; REST and posternctl
 * are clients. Renderers turn state memory and counters into JSON and Prometheus text, the same rows for every output.
 */
#ifndef POSTERN_CTL_H
#define POSTERN_CTL_H

#include "postern/base.h"

struct json_t;
struct loop_shm;
struct conf_collection;

/* ---- the whole document: every folder's tables in one ---- */
extern const struct conf_collection *const ctl_schema[];   /* NULL-terminated */
/* who may use the API; role: 0 viewer 1 operator 2 admin; allow, deny: conf_list of const char * (CIDR); the user `admin` always exists */
struct ctl_user_conf { const char *id; int role; struct { const void *v; size_t n; } allow, deny; };
extern const struct conf_collection ctl_schema_users;

/* ---- renderers; what is not there is NULL or skipped. Thread: the one that maps; cost O(slots) without system calls, but for /proc ---- */
struct ctl_process { const char *role; int pid; unsigned restarts; int64_t since_ms; };
struct ctl_maps {                       /* read-only maps */
	const struct loop_shm *calls, *streams, *admin;
	const struct ctl_process *process; size_t nprocess;    /* for metrics: borrowed during the call */
};
/** GET /calls: `{items, next}`. filter keys may be NULL. after: cursor or NULL. New reference; NULL where memory is short or the cursor is none of ours. */
struct ctl_call_filter { const char *number, *trunk, *state; int64_t min_age_s; };
struct json_t *ctl_render_calls(const struct ctl_maps *m, const struct ctl_call_filter *f, const char *after, unsigned limit);
/** GET /calls/{id}, with SDP, timer, media; NULL: no such call. */
struct json_t *ctl_render_call(const struct ctl_maps *m, const char *id);
/**
 * GET /calls/{id}/decisions: `{items}`, each with its `kind`: the trunk matched, the route, the targets tried and their outcome, what became of
 * mid-call requests and why. NULL: no such call. _of_cdr: the same from the record of an ended one.
 */
struct json_t *ctl_render_decisions(const struct ctl_maps *m, const char *id);
struct json_t *ctl_render_decisions_of_cdr(const struct json_t *cdr);
/** Text of peers as a JSON string: what is no UTF-8 becomes U+FFFD. New reference. */
struct json_t *ctl_render_text(struct slice s);
/** What the rules of a configuration's policy (or `builtin`) counted: `{rules, counters, shadow_count}`. New reference or NULL. */
struct json_t *ctl_render_policy(const struct ctl_maps *m, const char *id);
/** GET /policies/{id}/shadow: `{count, items}`, newest first. */
struct json_t *ctl_render_shadow(const struct ctl_maps *m, const char *id);

/* ---- the messages of a call, from the ring ---- */
#define CTL_DIALOGS 32                  /* Call-IDs of a call that are looked for */
struct ctl_dialogs {                    /* leg A's first, then those of the targets that were tried; start: of the call */
	struct slice call_id[CTL_DIALOGS];
	unsigned n;
	int64_t start_ms;
};
struct ctl_message_list;
/** Those of a live call, from its record; texts are in *ret_buf, which the caller frees. ERR_NOTFOUND. */
int ctl_dialogs_of_call(const struct ctl_maps *m, const char *id, struct ctl_dialogs *ret, void **ret_buf);
/** Those of an ended one; texts are the CDR's. ERR_PROTO: it has none. */
int ctl_dialogs_of_cdr(const struct json_t *cdr, struct ctl_dialogs *ret);
/** All of them that the ring still holds. -ENOMEM. Cost: one look at the ring. */
int ctl_messages(const struct ctl_maps *m, const struct ctl_dialogs *d, struct ctl_message_list **ret);
void ctl_messages_free(struct ctl_message_list *l);
/** `{items, next, overwritten}`; a ladder; a capture file of *ret_n bytes. New reference, malloc'd, NULL where memory is short. */
struct json_t *ctl_messages_json(const struct ctl_message_list *l, const struct ctl_dialogs *d);
char *ctl_messages_ladder(const struct ctl_message_list *l, const struct ctl_dialogs *d);
char *ctl_messages_pcap(const struct ctl_message_list *l, size_t *ret_n);

/** Is there a call of this id? Without rendering it. */
bool ctl_has_call(const struct ctl_maps *m, const char *id);
struct peer_live;
/** The trunks' live figures; NULL where there are none or the region does not fit. n is bounded. */
const struct peer_live *ctl_live(const struct ctl_maps *m, uint32_t *ret_n);
/** GET /trunks: `{items, next}`; after: cursor or NULL. New reference, NULL as above. */
struct json_t *ctl_render_trunks(const struct ctl_maps *m, const char *after, unsigned limit);
/** GET /trunks/{id}; NULL: no such trunk. */
struct json_t *ctl_render_trunk(const struct ctl_maps *m, const char *id);
/** GET /stats: the rows of the metrics by name. New reference or NULL. */
struct json_t *ctl_render_stats(const struct ctl_maps *m);
/** Prometheus text; malloc'd, NULL where memory is short. */
char *ctl_render_metrics(const struct ctl_maps *m);

/* ---- commands to the engine: over the admin-engine channel, JSON arguments, asynchronous ---- */
enum ctl_command_id { CTL_CALL_END = 1, CTL_DRAIN, CTL_UNDRAIN, CTL_TRUNK_PROBE, CTL_TRUNK_DRAIN, CTL_TRUNK_UNDRAIN, CTL_COMMANDS };
struct ctl_command { enum ctl_command_id id; const char *name; const char *role; const char *args; const char *doc; };
/** The row, NULL for an unknown number. */
const struct ctl_command *ctl_command_row(enum ctl_command_id id);
#define CTL_MSG_REQUEST 100             /* loop_msg types of this channel */
#define CTL_MSG_REPLY   101
/**
 * Request body: u16 command, slice json. Reply body: i32 status (0 or ERR_*), slice json or text of the error.
 * Printers give ERR_TRUNCATED where buf is too small; parsers ERR_PROTO, and slices borrow body.
 */
int ctl_request_print(enum ctl_command_id id, struct slice args, void *buf, size_t size, size_t *ret_len);
int ctl_request_parse(struct slice body, enum ctl_command_id *ret_id, struct slice *ret_args);
int ctl_reply_print(int status, struct slice json, void *buf, size_t size, size_t *ret_len);
int ctl_reply_parse(struct slice body, int *ret_status, struct slice *ret_json);

#endif
