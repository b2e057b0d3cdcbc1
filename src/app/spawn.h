/* SPDX-License-Identifier: Apache-2.0 */
/* app/spawn: start an executable of ours with the descriptors meant for it and nothing else, as the unprivileged user. */
#ifndef APP_SPAWN_H
#define APP_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

#include "app/boot.h"

#define APP_SPAWN_FDS 4

struct app_user {
	bool drop;                         /* started as root: children become this user */
	uid_t uid;
	gid_t gid;
};

struct app_spawn {
	int exe;                           /* O_PATH descriptor of the executable */
	char *const *argv;
	const int *fd; unsigned nfds;      /* become APP_CHAN_FD, APP_CHAN_FD + 1 ... */
	const struct app_user *user;
	int nice;                          /* how much it stands back behind the supervisor's own share of a core */
	const int *folder;                 /* becomes its working folder, by descriptor: the way to it may be closed to the user; NULL: stays */
};

/** Path descriptor of a role's executable: beside our own in a build tree, else in libexecdir. -errno. */
int app_exe_open(enum app_role role);
/** fork and exec. The child gets stdin /dev/null, stdout and stderr ours. -errno. */
int app_spawn(const struct app_spawn *s, pid_t *ret_pid);
/** What every child does first: dies with its parent, cannot be traced by its like, leaves signals of the terminal to the supervisor. */
void app_spawn_settle(void);

#endif
