/* SPDX-License-Identifier: Apache-2.0 */
/* app/state: the state folder, the children's user, the admin token. */
#ifndef APP_STATE_H
#define APP_STATE_H

#include "app/spawn.h"

/** Whom the children become: `name` or postern, else nobody with a warning; nobody's business where we are not root. ERR_CONFIG. */
int app_state_user(const char *name, struct app_user *ret);
/** Make the folder (0700, and its parents) and give it to the user. @param ret [out] absolute path, malloc'd. -errno. */
int app_state_folder(const char *path, const struct app_user *user, char **ret);
/** Hold the folder: one posternd at a time. @return a descriptor to keep, -errno (-EWOULDBLOCK: another one runs; logged). */
int app_state_lock(const char *state);
/** POSTERN_ADMIN_TOKEN, else STATE/admin.token, else a new one stored there; its hash. The variable leaves the environment. -errno. */
int app_state_token(const char *state, const struct app_user *user, char hash[static 65]);

#endif
