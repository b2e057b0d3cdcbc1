/* SPDX-License-Identifier: Apache-2.0 */
/*
 * app/super: the supervisor at work, private to its files: super.c keeps the seats filled, feed.c hands a child what it needs,
 * revise.c changes the revision in all of them, ending.c drains and stops.
 */
#ifndef APP_SUPER_H
#define APP_SUPER_H

#include <sys/types.h>

#include "app/boot.h"
#include "app/bundle.h"
#include "app/files.h"
#include "app/limits.h"
#include "app/memory.h"
#include "app/numbers.h"
#include "app/ports.h"
#include "app/sockets.h"
#include "app/spawn.h"
#include "postern/loop.h"

struct conf_doc;
struct conf_errors;
struct super;

/** The listening socket of the API, and where it is. */
struct app_door { union base_addr addr; int fd; };

/** What the supervisor was started with, complete and checked. */
struct app_super_params {
	enum base_level level;
	struct app_user user;
	int state_fd;                      /* state folder */
	char token_hash[65];
	struct app_bundle *bundle;         /* revision in force */
	struct conf_doc *doc;
	struct app_places places;
	union base_addr api; int api_fd;   /* taken over */
	bool api_fixed;                    /* by --api: revisions do not move it */
	struct app_limits limits;
	uint64_t trace_bytes;              /* of the message ring as it was made */
	struct app_sockets sockets;
	struct app_memory memory;
	int exe[APP_ROLES];
};

/** Run until told to end. @return exit code. Signals that it handles must be blocked by the caller. */
int app_super_run(const struct app_super_params *p);

enum child_state {
	CHILD_FED,      /* SETUP and a revision are on their way */
	CHILD_SPARE,    /* waits for GO */
	CHILD_STARTING, /* GO sent */
	CHILD_SERVING
};

struct child {
	struct seat *seat;
	struct child *next_lost;           /* its channel is closed, its end not told yet */
	pid_t pid;
	struct loop_chan *chan;
	enum child_state state;
	struct mono born;
	uint32_t sockets, sockets_sent;    /* media */
	bool growing;                      /* media: gets those of the next revision before it is asked */
	struct loop_timer late;            /* to be a spare, to serve */
	uint32_t have;                     /* transaction of the revision that it committed; 0: none */
	uint32_t asked;                    /* PREPARE without an answer; 0: none */
	uint32_t voted;                    /* prepared this one and waits for COMMIT or ABORT; 0: none */
	uint8_t has[APP_LISTENERS];        /* engine: listeners that it was given */
	uint32_t taking;                   /* COMMIT of a change without its answer; 0: none */
};

struct seat {
	struct super *super;
	enum app_role role;
	struct child *serving, *spare;
	unsigned restarts;                 /* told in /health */
	unsigned step, spare_step;         /* into the table of delays */
	struct mono promoted;
	int64_t since_ms;                  /* wall clock */
	struct loop_timer promote, respawn;
};

enum super_phase { SUPER_STARTING, SUPER_RUNNING, SUPER_DRAINING, SUPER_STOP_ENGINE, SUPER_STOP_REST };

/** A change of revision in all roles, or in none. */
struct revise {
	enum { REVISE_IDLE, REVISE_PREPARING, REVISE_STORING, REVISE_UNSURE, REVISE_COMMITTING } phase;
	bool again;                        /* asked for while one was under way */
	uint32_t transaction, last;        /* numbers are never used twice: an answer may come late */
	struct app_bundle *next;
	struct conf_doc *next_doc;
	int full, bare;                    /* snapshots of next */
	struct app_layout layout;          /* of next */
	struct app_ports ports;            /* of next; blob -1: they stay */
	struct app_door door;              /* of next; fd -1: it stays */
	struct app_order *order;           /* of the API; NULL: SIGHUP */
	struct loop_timer timer;
};

struct super {
	const struct app_super_params *p;
	struct loop *loop;
	struct loop_fd *signals; int signal_fd;
	struct seat seat[APP_ROLES];
	struct child *lost;
	int em[2], ea[2];                  /* engine-media, engine-admin: both ends kept */
	enum super_phase phase;
	int exit_code;
	int64_t started_ms;
	bool engine_draining;              /* as the engine tells: also by the API */
	struct mono drain_end;
	struct loop_timer end_timer;
	uint32_t seq;                      /* transaction of the revision in force */
	struct app_numbers numbers;
	struct app_ports ports;
	struct app_door door;
	struct app_bundle *bundle;         /* in force */
	struct conf_doc *doc;              /* its document */
	struct app_order *waiting;         /* the API's next change, until its turn comes */
	struct loop_timer turn;
	int full, bare;                    /* its snapshots: whole; without secrets and files, for media */
	struct revise revise;
};

/* super.c */
bool app_super_ready(const struct super *s);               /* every seat is serving */
void app_super_fail(struct super *s, int exit_code);       /* at start: give up */
void app_super_health(struct super *s);                    /* tell admin and systemd */
void app_super_child_ready(struct child *c);               /* it has all that it needs */
void app_super_kill(struct child *c);
/** cb for every living child. */
void app_super_each(struct super *s, void (*cb)(struct child *c));

/* feed.c */
int app_feed_snapshots(const struct conf_doc *doc, const struct app_bundle *b, int *ret_full, int *ret_bare);
int app_feed_setup(struct child *c);                       /* SETUP, first sockets, first PREPARE */
int app_feed_sockets(struct child *c);                     /* the next of them, or done */
int app_feed_grow(struct child *c);                        /* media: sockets of the next revision, then its PREPARE */
int app_feed_prepare(struct child *c, uint32_t transaction, const struct app_layout *layout, int full, int bare);
int app_feed_commit(struct child *c, uint32_t transaction, uint64_t revision);
int app_feed_go(struct child *c);
int app_feed_plain(struct child *c, uint16_t type, uint32_t value);

/* revise.c */
void app_revise_hup(struct super *s);
void app_revise_prepared(struct child *c, uint32_t transaction, int status, struct slice reason);
void app_revise_stored(struct child *c, uint32_t transaction, int status, uint64_t number);
void app_revise_committed(struct child *c, uint32_t transaction);
/** What the database of a new admin has: tells whether one that died while storing had done it. */
void app_revise_newest(struct super *s, uint64_t number);
void app_revise_child_gone(struct child *c);
void app_revise_fini(struct super *s);
/** Prepare next in all, then store and commit; takes what is in it over. For order NULL (SIGHUP) nobody is answered. */
struct app_next { struct app_bundle *bundle; struct conf_doc *doc; struct app_layout layout; struct app_ports ports; struct app_door door; };
void app_revise_begin(struct super *s, const struct app_next *next, struct app_order *order);

/* apply.c */
struct loop_msg;
/** A change that the API asks for, with its terms as they go to admin again. */
struct app_order {
	uint32_t id;
	uint64_t base;
	bool dry_run;
	char user[64], comment[512];
	uint8_t step;
	uint64_t previous, deadline_ms;
	struct app_bundle *want;
	struct conf_errors *notes;
	struct mono since;
};
void app_apply_message(struct child *c, struct loop_msg *m);
/** Answer and free (NULL is legal). why: an error beside the notes, or NULL. */
void app_apply_answer(struct super *s, struct app_order *o, int status, const char *why);
void app_apply_fini(struct super *s);

/* ending.c */
void app_ending_signal(struct super *s);                   /* SIGTERM, SIGINT */
void app_ending_drained(struct super *s);
void app_ending_engine_serves(struct super *s);
void app_ending_child_gone(struct super *s, enum app_role role);

#endif
