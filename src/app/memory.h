/* SPDX-License-Identifier: Apache-2.0 */
/* app/memory: the state memory, made once by the supervisor, which reads none of it. */
#ifndef APP_MEMORY_H
#define APP_MEMORY_H

#include "app/boot.h"

struct app_memory {
	int rw[APP_FD_MEMORIES], ro[APP_FD_MEMORIES]; /* by tag; read-only where somebody reads */
	int map;                           /* port map */
};

struct app_sockets;

/** Make all memories for so many calls and trunks and this port map. -errno; the caller closes what is there. */
int app_memory_make(unsigned max_calls, unsigned trunks, size_t trace_bytes, const struct app_sockets *sockets, struct app_memory *ret);
void app_memory_close(struct app_memory *m);
/** The descriptor that a role gets of a memory, -1: none. */
int app_memory_fd(const struct app_memory *m, enum app_role role, enum app_fd_tag tag);

#endif
