/* SPDX-License-Identifier: Apache-2.0 */
/*
 * app/state: the folder belongs to the unprivileged user, so whatever root does in it follows no links.
 */
#include "config.h"

#include "app/state.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "postern/keys.h"

#define DEFAULT_USER "postern"
#define TOKEN_VAR "POSTERN_ADMIN_TOKEN"
#define TOKEN_MIN 16

int app_state_user(const char *name, struct app_user *ret)
{
	const struct passwd *pw;

	*ret = (struct app_user){ .drop = geteuid() == 0, .uid = geteuid(), .gid = getegid() };
	if (!ret->drop) {
		if (name)
			base_log(BASE_WARN, "state", "--user is for root: the children stay this user");
		return 0;
	}
	pw = getpwnam(name ? name : DEFAULT_USER);
	if (!pw && !name) {
		base_log(BASE_WARN, "state", "there is no user " DEFAULT_USER ": the children become nobody");
		pw = getpwnam("nobody");
	}
	if (!pw) {
		base_log(BASE_ERROR, "state", "there is no user %s", name ? name : "nobody");
		return ERR_CONFIG;
	}
	ret->uid = pw->pw_uid;
	ret->gid = pw->pw_gid;
	if (pw->pw_uid == 0) {
		base_log(BASE_WARN, "state", "the children stay root");
		ret->drop = false;
	}
	return 0;
}

static int make_parents(const char *path)
{
	char part[PATH_MAX];

	for (size_t i = 1; path[i]; i++) {
		if (path[i] != '/' || i >= sizeof(part))
			continue;
		memcpy(part, path, i);
		part[i] = 0;
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return -errno;
	}
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static int own(const char *path, const struct app_user *user)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || (user->drop && st.st_uid != user->uid && fchown(fd, user->uid, user->gid) < 0) ||
	    ((st.st_mode & 0777) != 0700 && fchmod(fd, 0700) < 0))
		err = -errno;
	close(fd);
	return err;
}

/* A folder in the state that belongs to its user; made where missing. */
static int subfolder(const char *state, const char *name, const struct app_user *user)
{
	int dir = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;

	if (dir < 0)
		return -errno;
	if (mkdirat(dir, name, 0700) == 0) {
		if (user->drop && fchownat(dir, name, user->uid, user->gid, AT_SYMLINK_NOFOLLOW) < 0)
			err = -errno;
	} else if (errno != EEXIST) {
		err = -errno;
	}
	close(dir);
	return err;
}

int app_state_folder(const char *path, const struct app_user *user, char **ret)
{
	int err = make_parents(path);
	char *real;

	if (!err)
		err = own(path, user);
	if (!err)
		err = subfolder(path, "certificates", user);
	if (!err)
		err = subfolder(path, "policies", user);
	real = err ? NULL : realpath(path, NULL);
	if (!err && !real)
		err = -errno;
	if (err)
		base_log(BASE_ERROR, "state", "the state folder cannot be used path=%s error=\"%s\"", path, base_strerror(err));
	else
		*ret = real;
	return err;
}

int app_state_lock(const char *state)
{
	int fd = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	err = -errno;
	if (fd >= 0)
		close(fd);
	base_log(BASE_ERROR, "state", "the state folder cannot be taken path=%s error=\"%s\"", state,
		err == -EWOULDBLOCK ? "another posternd works in it" : base_strerror(err));
	return err;
}

/* Reads the stored token into token; ERR_NOTFOUND where there is none. */
static int token_read(int dir, char *token, size_t size)
{
	int fd = openat(dir, "admin.token", O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return errno == ENOENT ? ERR_NOTFOUND : -errno;
	n = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? read(fd, token, size - 1) : -1;
	close(fd);
	if (n < 0)
		return -EIO;
	token[n] = 0;
	token[strcspn(token, "\r\n")] = 0;
	return strlen(token) < TOKEN_MIN ? ERR_RANGE : 0;
}

static int token_make(int dir, const struct app_user *user, char token[static 44])
{
	int fd = openat(dir, "admin.token", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600), err = 0;

	if (fd < 0)
		return -errno;
	keys_token_new(token);
	if (dprintf(fd, "%s\n", token) < 0 || (user->drop && fchown(fd, user->uid, user->gid) < 0) || fsync(fd) < 0)
		err = -errno;
	close(fd);
	if (err)
		unlinkat(dir, "admin.token", 0);
	return err;
}

static int token_file(const char *state, const struct app_user *user, char *token, size_t size)
{
	int dir = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;

	if (dir < 0)
		return -errno;
	err = token_read(dir, token, size);
	if (err == ERR_NOTFOUND) {
		err = token_make(dir, user, token);
		if (!err)
			base_log(BASE_INFO, "state", "a new admin token is in %s/admin.token", state);
	}
	close(dir);
	return err;
}

int app_state_token(const char *state, const struct app_user *user, char hash[static 65])
{
	char token[256];
	char *given = getenv(TOKEN_VAR);
	int err = 0;

	if (given && given[0]) {
		keys_token_hash(slice_str(given), hash);
		explicit_bzero(given, strlen(given)); /* /proc/PID/environ */
		unsetenv(TOKEN_VAR);
		return 0;
	}
	err = token_file(state, user, token, sizeof(token));
	if (err)
		base_log(BASE_ERROR, "state", "the admin token cannot be %s path=%s/admin.token error=\"%s\"", err == ERR_RANGE ? "used" : "read or stored", state,
			err == ERR_RANGE ? "too short" : base_strerror(err));
	else
		keys_token_hash(slice_str(token), hash);
	explicit_bzero(token, sizeof(token));
	return err;
}
