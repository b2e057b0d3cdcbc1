/* SPDX-License-Identifier: Apache-2.0 */
/*
 * app/boot: the messages between the supervisor and its roles. A role is born as a spare: SETUP hands it what never changes,
 * SOCKETS the media ports, PREPARE and COMMIT a revision; GO makes it serve. See docs/design/0001-house.md.
 */
#ifndef APP_BOOT_H
#define APP_BOOT_H

#include "postern/base.h"

enum app_role { APP_ENGINE, APP_MEDIA, APP_ADMIN, APP_ROLES };
/** "engine", "media", "admin": the name in logs, in /health and of the executable. */
const char *app_role_name(enum app_role role);

/** The descriptor on which a role finds its channel to the supervisor. */
#define APP_CHAN_FD 3

enum app_boot_msg {
	/* supervisor -> role */
	APP_BOOT_SETUP = 1,  /* struct app_setup, descriptors as its tags say */
	APP_BOOT_SOCKETS,    /* u32 count, u32 place[]; one descriptor each: media sockets by their place in the map */
	APP_BOOT_PREPARE,    /* struct app_prepare; snapshot, listeners that the role has not got yet */
	APP_BOOT_COMMIT,     /* u32 transaction, u64 revision */
	APP_BOOT_ABORT,      /* u32 transaction */
	APP_BOOT_GO,         /* struct app_go; channels to other roles */
	APP_BOOT_STORE,      /* u32 transaction, struct app_terms: admin makes what it prepared a revision */
	APP_BOOT_HEALTH,     /* struct app_health, to admin */
	APP_BOOT_DRAIN,      /* u32 seconds, to the engine */
	APP_BOOT_STOP,       /* end in an orderly way */
	APP_BOOT_APPLIED,    /* to admin: u32 id, i32 status, u64 revision, u32 count, notes: u8 warning, slice pointer, slice message */
	/* role -> supervisor */
	APP_BOOT_TAKEN,      /* SOCKETS taken: the next may come */
	APP_BOOT_PREPARED,   /* u32 transaction, i32 status, slice reason */
	APP_BOOT_SERVING,
	APP_BOOT_DRAINING,   /* u8 on: the engine takes no new calls, or does so again */
	APP_BOOT_DRAINED,    /* no call is left */
	APP_BOOT_STORED,     /* u32 transaction, i32 status, u64 revision */
	APP_BOOT_COMMITTED,  /* u32 transaction */
	APP_BOOT_NEWEST,     /* admin, before SERVING: u64 number of the newest revision in the database */
	APP_BOOT_APPLY,      /* admin: struct app_apply; the bundle as a sealed blob */
	APP_BOOT_CLOSED,     /* engine: u8 number of a listener that was removed, and is closed now that nothing uses it */
	APP_BOOT_FREED       /* engine: numbers (u8 each) of listeners that nothing in it refers to */
};

/** What a descriptor of SETUP or GO is. */
#define APP_FD_MEMORIES (APP_FD_WISHES + 1)
enum app_fd_tag {
	APP_FD_CALLS, APP_FD_STREAMS, APP_FD_ADMIN, APP_FD_RECORDS, APP_FD_EVENTS, APP_FD_KEYS, APP_FD_SECRETS, APP_FD_WISHES,  /* state memory */
	APP_FD_MAP,          /* port map (blob) */
	APP_FD_LISTENER,     /* SIP listeners by their number, the empty ones left out */
	APP_FD_HTTP, APP_FD_CONTROL,
	APP_FD_CHAN_MEDIA,   /* engine's end */
	APP_FD_CHAN_ADMIN,   /* engine's end */
	APP_FD_CHAN_ENGINE,  /* media's or admin's end */
	APP_FD_TAGS
};

#define APP_NOTES_MAX 100     /* of an APPLIED */
#define APP_BOOT_FDS 240      /* descriptors of one SETUP */

struct app_setup {
	enum base_level level;
	uint32_t max_calls;                /* effective */
	uint32_t connections;              /* SIP connections that the descriptors allow */
	uint32_t sockets;                  /* media: length of the socket table */
	uint32_t socket_room;              /* media: the longest that later revisions may make it */
	uint32_t shared_hosts;             /* media: its sockets are shared by the ports of so many addresses; 0: two per pair */
	uint32_t workers;                  /* media: threads that fit the machine */
	struct slice token_hash;           /* admin */
	uint32_t ntags;
	uint8_t tag[APP_BOOT_FDS];         /* of the message's descriptors, in order */
	uint8_t number[APP_BOOT_FDS];      /* of those that are listeners */
};

/** A revision on its way into a role. */
struct app_prepare {
	uint32_t transaction;
	struct slice listener;             /* number of each listener of the document: bytes */
	struct slice realm;                /* number of each realm: u16, as they stand in memory */
	struct slice fresh;                /* numbers of the listeners that come with this message */
	uint8_t more;                      /* one comes last: the port map, the API's socket for admin */
};

struct app_go {
	uint8_t draining;                  /* engine: take no new calls */
	uint32_t ntags;
	uint8_t tag[APP_FD_TAGS];
};

/** How a revision is made: who, why, and what it does to a change that waits for its confirmation. */
struct app_terms {
	struct slice user, comment;
	uint8_t step;                      /* enum store_pending_step */
	uint64_t previous, deadline_ms;
};
/** A change that the API asks for. */
struct app_apply {
	uint32_t id;
	uint64_t base;                     /* the revision that it was made from */
	uint8_t dry_run;
	struct app_terms terms;
};

struct app_health_row { struct slice role; uint32_t pid, restarts; uint64_t since_ms; };
struct app_health {
	struct slice status;               /* ok, degraded, draining */
	uint32_t n;
	struct app_health_row row[APP_ROLES + 1];
};

/** Print into buf; @return bytes, or ERR_TRUNCATED. */
int app_setup_print(const struct app_setup *s, void *buf, size_t size);
int app_go_print(const struct app_go *g, void *buf, size_t size);
int app_health_print(const struct app_health *h, void *buf, size_t size);
int app_prepare_print(const struct app_prepare *p, void *buf, size_t size);
int app_apply_print(const struct app_apply *a, void *buf, size_t size);
void app_terms_put(struct writer *w, const struct app_terms *t);
/** Parse; slices borrow the body. ERR_PROTO. */
int app_setup_parse(struct slice body, struct app_setup *ret);
int app_go_parse(struct slice body, struct app_go *ret);
int app_health_parse(struct slice body, struct app_health *ret);
int app_prepare_parse(struct slice body, struct app_prepare *ret);
int app_apply_parse(struct slice body, struct app_apply *ret);
void app_terms_take(struct reader *r, struct app_terms *ret);

#endif
