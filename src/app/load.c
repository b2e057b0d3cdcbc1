/* SPDX-License-Identifier: Apache-2.0 */
/* app/load, in the supervisor: run the one-shot that opens the database as the unprivileged user, and read what it found. */
#include "config.h"

#include "app/load.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "postern/loop.h"

static int run(int exe, int state, const struct app_user *user, int in, int out)
{
	char name[] = "postern-admin", load[] = "--load", *argv[] = { name, load, NULL };
	const int fd[] = { in, out };
	pid_t pid;
	int status, err;

	err = app_spawn(&(struct app_spawn){ .exe = exe, .argv = argv, .fd = fd, .nfds = 2, .user = user, .folder = &state }, &pid);
	if (err)
		return err;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (WIFEXITED(status) && WEXITSTATUS(status) == APP_LOAD_NONE)
		return ERR_NOTFOUND;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

int app_load_run(int exe, int state, const struct app_user *user, const struct app_bundle *given, struct app_bundle **ret)
{
	int in = -1, out = -1, err;

	err = loop_blob_create("given", given ? app_bundle_get(given) : SLICE(""), &in);
	if (err)
		return err;
	out = memfd_create("revision", MFD_CLOEXEC);
	err = out < 0 ? -errno : run(exe, state, user, in, out);
	if (!err)
		err = app_bundle_load(out, ret);
	close(in);
	if (out >= 0)
		close(out);
	return err;
}
