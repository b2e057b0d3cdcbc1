/* SPDX-License-Identifier: Apache-2.0 */
/*
 * app/role: what the three roles have in common: the boot messages of app/boot.h as calls of a table. A role starts as a spare,
 * takes SETUP and a revision, and waits for GO.
 */
#ifndef APP_ROLE_H
#define APP_ROLE_H

#include "app/boot.h"
#include "app/bundle.h"
#include "app/numbers.h"
#include "postern/loop.h"

struct conf_doc;
struct media_map_entry;

/** A configuration revision as a role holds it. */
struct app_revision { struct app_bundle *bundle; struct conf_doc *doc; struct app_layout layout; };

struct role {
	const struct role_ops *ops;
	enum app_role id;
	struct loop *loop;
	struct loop_chan *super;
	char **argv;
	bool set_up, serving, stopping;
	int exit_code;

	/* from SETUP */
	struct app_setup setup;            /* slices: copies below */
	char *token_hash;
	struct loop_shm calls, streams, admin, records, events, keys, secrets, wishes;
	const struct media_map_entry *map; uint32_t nmap;
	struct slice map_blob, next_map;   /* mapped: in force; prepared, or empty */
	bool new_map, new_http;            /* during commit: ports, the API's socket are others now */
	int listener[APP_LISTENERS];       /* by number, -1: none */
	int http, next_http, control;      /* next_http: prepared, or -1 */
	int *media;                        /* 2 * nmap */
	uint32_t media_taken;

	/* from GO */
	bool draining;
	int chan[APP_FD_TAGS];             /* by tag, -1: none */

	struct app_revision now, next;     /* in force; prepared */
	uint32_t transaction;              /* of next; 0: none */
};

struct role_ops {
	enum app_role id;
	/** Start what needs no configuration (libraries, self-tests). */
	int (*init)(struct role *r);
	/** Build what this revision needs (r->next), so that commit cannot fail. ERR_CONFIG with words. */
	int (*prepare)(struct role *r, char why[static 256]);
	void (*commit)(struct role *r);    /* r->now is the new revision already */
	void (*abort)(struct role *r);
	int (*go)(struct role *r);         /* serve from now on */
	/** A message of the role's own; the body is checked by the callee. */
	void (*message)(struct role *r, struct loop_msg *m);
	/** Begin an orderly end; calls app_role_end when done. */
	void (*stop)(struct role *r);
};

/** main of a role; argv[1] is "spare". */
int app_role_main(const struct role_ops *ops, int argc, char **argv);
/** Leave the loop. */
void app_role_end(struct role *r, int exit_code);
/** To the supervisor. */
void app_role_tell(struct role *r, uint16_t type, struct slice body);
/** Region of a state memory; must be there (the supervisor made it). */
void *app_role_region(const struct loop_shm *m, enum loop_region id, size_t *ret_bytes);
/** Channel of a tag that GO brought; the caller's now. */
int app_role_take_chan(struct role *r, enum app_fd_tag tag);

#endif
