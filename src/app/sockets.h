/* SPDX-License-Identifier: Apache-2.0 */
/* app/sockets: the sockets that the supervisor opens once and keeps: SIP listeners, media ports, the API, the control socket. */
#ifndef APP_SOCKETS_H
#define APP_SOCKETS_H

#include <sys/types.h>

#include "postern/base.h"
#include "postern/media.h"

struct conf_doc;
struct app_user;
struct peer_listener_conf;

struct app_sockets {
	int *listener; size_t nlisteners;  /* in the document's order */
	struct media_map_entry *map; uint32_t nmap;
	int *media;                        /* 2 * nmap, -1 where none; with shared sockets none at all */
	struct media_shared *shared;       /* NULL: a socket per port */
	int http, control;
};

void app_sockets_init(struct app_sockets *s);
void app_sockets_close(struct app_sockets *s);
/** SIP listeners; a cause is logged. -errno. */
int app_sockets_listeners(const struct conf_doc *doc, struct app_sockets *s);
/**
 * Pairs of media ports of all realms, led to s->shared where that is there already, at most `max`, spread evenly over the realms. A port in use is left out and counted in
 * a warning. -errno where a realm's address got none at all, but for ports in use: its calls are 503 then.
 */
int app_sockets_media(const struct conf_doc *doc, uint32_t max, struct app_sockets *s);
/** One listener's socket, without waiting. @return descriptor or -errno */
int app_sockets_listener(bool udp, const union base_addr *addr);
/** Listening socket of the API. */
int app_sockets_http(const union base_addr *addr, struct app_sockets *s);
/** File in the state folder that tells the control socket's name: `@NAME`, an abstract one. */
#define APP_SOCKETS_CONTROL "control"
/**
 * The control socket, its name told in STATE/control (0600, the user's).
 * @param state [in] descriptor of the folder
 * @return 0 or -errno (logged)
 */
int app_sockets_control(int state, const struct app_user *user, struct app_sockets *s);

#endif
