/* SPDX-License-Identifier: Apache-2.0 */
/*
 * app/ports: media ports over changes of realms. A port keeps its slot for the supervisor's life: new ones come behind the others, those in no
 * range any more are retired, which takes nothing from calls that have them.
 */
#ifndef APP_PORTS_H
#define APP_PORTS_H

#include "app/numbers.h"
#include "postern/media.h"

struct app_ports {
	struct media_map_entry *map;       /* malloc'd */
	uint32_t nmap, room;               /* room: slots that the memories have */
	int *media;                        /* 2 * nmap sockets, malloc'd; not used where they are shared */
	struct media_shared *shared;       /* borrowed; NULL: each port has its own */
	uint32_t most;                     /* pairs that the limit of open files allows */
	int blob;                          /* the map as roles get it */
};

/** Those of the start: map, sockets and blob are copied, the sockets stay the caller's. -ENOMEM, -errno */
struct app_sockets;
int app_ports_init(struct app_ports *p, const struct app_sockets *s, int blob);
/** The sockets that media needs for them, in order; ret_n: how many. Borrowed. */
const int *app_ports_fds(const struct app_ports *p, uint32_t *ret_n);
/** own: so many of the first sockets are not closed. */
void app_ports_fini(struct app_ports *p, uint32_t own);

/** Slots of the memories for a start with so many. */
uint32_t app_ports_room(uint32_t nmap);

/**
 * The ports that another document needs. What is not there yet is opened; where the map stays as it is ret->blob is -1.
 * @param was  [in]  the document in force
 * @param l    [in]  numbers of the realms of doc
 * @param errs [inout] an error at each realm that would have no port at all, or no room, or no descriptors; a warning where some ports are others'
 * @return 0, ERR_CONFIG, -ENOMEM: nothing is open then
 */
int app_ports_plan(const struct app_ports *p, const struct conf_doc *was, const struct conf_doc *doc, const struct app_layout *l, struct conf_errors *errs,
	struct app_ports *ret);
/** The planned ones are in force; takes next over. */
void app_ports_commit(struct app_ports *p, struct app_ports *next);
/** They are not: closes what was opened for them. */
void app_ports_abort(const struct app_ports *p, struct app_ports *next);

#endif
