/* SPDX-License-Identifier: Apache-2.0 */
/*
 * app/spawn: fork, shed privileges, exec. The executable is opened before the privileges go and started by its descriptor:
 * a build tree under a closed home folder works, and nobody can swap the file in between.
 */
#include "config.h"

#include "app/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Variables that children do not get: ours (a token among them) and those that speak of the supervisor to its starter. */
static const char *const withheld[] = { "POSTERN_", "NOTIFY_SOCKET=", "WATCHDOG_", "LISTEN_", "CREDENTIALS_DIRECTORY=", "GLIBC_TUNABLES=" };
#define ENV_MAX 256

int app_exe_open(enum app_role role)
{
	char path[PATH_MAX], *slash;
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 64);
	int fd = -1;

	if (n > 0) {
		path[n] = 0;
		slash = strrchr(path, '/');
		if (slash) {
			snprintf(slash + 1, 63, "postern-%s", app_role_name(role));
			fd = open(path, O_PATH | O_CLOEXEC);
		}
	}
	if (fd < 0) {
		snprintf(path, sizeof(path), "%s/postern-%s", LIBEXECDIR, app_role_name(role));
		fd = open(path, O_PATH | O_CLOEXEC);
	}
	return fd < 0 ? -errno : fd;
}

static bool is_withheld(const char *var)
{
	for (size_t i = 0; i < ARRAY_LEN(withheld); i++)
		if (strncmp(var, withheld[i], strlen(withheld[i])) == 0)
			return true;
	return false;
}

static void shed(const struct app_user *user)
{
	struct rlimit no_core = { 0, 0 };

	if (user->drop && (setgroups(0, NULL) < 0 || setresgid(user->gid, user->gid, user->gid) < 0 || setresuid(user->uid, user->uid, user->uid) < 0))
		_exit(70);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); /* not root, but given capabilities: they end here */
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	setrlimit(RLIMIT_CORE, &no_core);
}

/* Move the given descriptors to 3, 4 ... by way of places above the last, so that none is overwritten before its turn. */
static int place(const int *fd, unsigned n)
{
	int high[APP_SPAWN_FDS];

	for (unsigned i = 0; i < n; i++) {
		high[i] = fcntl(fd[i], F_DUPFD_CLOEXEC, APP_CHAN_FD + APP_SPAWN_FDS);
		if (high[i] < 0)
			return -1;
	}
	for (unsigned i = 0; i < n; i++)
		if (dup2(high[i], APP_CHAN_FD + (int)i) < 0)
			return -1;
	return 0;
}

static void child(const struct app_spawn *s, char *const *env) __attribute__((noreturn));
static void child(const struct app_spawn *s, char *const *env)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), exe;
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	exe = fcntl(s->exe, F_DUPFD_CLOEXEC, APP_CHAN_FD + 2 * APP_SPAWN_FDS);
	if (null < 0 || exe < 0 || dup2(null, 0) < 0 || dup2(2, 1) < 0 || place(s->fd, s->nfds) < 0)
		_exit(70);
	if (s->folder && fchdir(*s->folder) < 0)
		_exit(70);
	if (s->nice)
		setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + s->nice);
	close_range((unsigned)APP_CHAN_FD + s->nfds, ~0u, CLOSE_RANGE_CLOEXEC);
	shed(s->user);
	syscall(SYS_execveat, exe, "", s->argv, env, 0x1000 /* AT_EMPTY_PATH */);
	_exit(70);
}

int app_spawn(const struct app_spawn *s, pid_t *ret_pid)
{
	char *env[ENV_MAX + 2];
	size_t n = 0;
	pid_t pid;

	must(s->nfds <= APP_SPAWN_FDS);
	for (char **e = environ; *e && n < ENV_MAX; e++)
		if (!is_withheld(*e))
			env[n++] = *e;
	env[n] = NULL;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		child(s, env);
	*ret_pid = pid;
	return 0;
}

void app_spawn_settle(void)
{
	/* Ctrl-C and SIGTERM to the whole group are the supervisor's business: it ends us in order. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	/* After the user changed: that clears it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* leak checkers attach to themselves */
#endif
}
