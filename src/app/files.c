/* SPDX-License-Identifier: Apache-2.0 */
/*
 * app/files: a table says which options of which collections name files; everything here walks that table.
 * Files are the operator's, so a wrong one is an error at the option that names it, never a crash.
 */
#include "config.h"

#include "app/files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/pem.h"
#include "app/policies.h"
#include "postern/conf.h"
#include "postern/keys.h"
#include "postern/rule.h"

struct file_row {
	const struct conf_collection *col;
	size_t at;                         /* of the const char * with the name */
	const char *key;                   /* of the option */
	const char *kind;                  /* in the store */
	const char *folder;                /* in the state folder */
};

static const struct file_row rows[] = {
	{ &keys_schema_tls_profiles, offsetof(struct keys_tls_conf, certificate), "certificate", "certificate", "certificates" },
	{ &keys_schema_tls_profiles, offsetof(struct keys_tls_conf, key), "key", "key", "certificates" },
	{ &keys_schema_tls_profiles, offsetof(struct keys_tls_conf, ca), "ca", "certificate", "certificates" },
	{ &rule_schema_policies, offsetof(struct rule_policy_conf, file), "file", "policy", "policies" },
};

/* What a walk of the table gathers. */
struct gather {
	const struct conf_doc *doc;
	const struct app_places *at;
	const struct app_bundle *old;      /* read again; NULL: import */
	const struct app_bundle *known;    /* whose origins may be believed; NULL: those of old */
	bool keep;                         /* do not read those again that are there, and import none */
	struct conf_errors *errs;
	struct app_file *file;
	size_t n;
	char **name; size_t nnames;        /* of included files */
	bool failed;
};

static int read_all(int fd, struct slice *ret)
{
	struct stat st;
	size_t n = 0;
	char *p;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size > (off_t)APP_FILE_MAX)
		return ERR_RANGE;
	p = malloc((size_t)st.st_size + 1);
	if (!p)
		return -ENOMEM;
	while (n < (size_t)st.st_size) {
		ssize_t k = read(fd, p + n, (size_t)st.st_size - n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			break;
		n += (size_t)k;
	}
	p[n] = 0;
	*ret = (struct slice){ p, n };
	return 0;
}

int app_file_read(const char *path, struct slice *ret)
{
	/* O_NONBLOCK: a FIFO must not hold the start up. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int err;

	if (fd < 0)
		return -errno;
	err = read_all(fd, ret);
	close(fd);
	return err;
}

/* Folder and name, or -1 where that is too long or the name climbs out of the folder. */
static int join(char path[static PATH_MAX], const char *folder, const char *sub, const char *name)
{
	int n = snprintf(path, PATH_MAX, "%s%s%s/%s", folder, sub ? "/" : "", sub ? sub : "", name);

	return n < 0 || n >= PATH_MAX ? -1 : 0;
}

/* Open a path below dir, no link on the way: O_NOFOLLOW alone looks at the last part. Closes dir. */
static int open_below(int dir, const char *rel)
{
	const int way = O_PATH | O_DIRECTORY, end = O_RDONLY | O_NONBLOCK | O_NOCTTY;
	char part[NAME_MAX + 1];

	while (dir >= 0 && rel) {
		size_t n = strcspn(rel, "/");
		int fd = -1, err = ENAMETOOLONG;

		if (slice_copy(part, sizeof(part), (struct slice){ rel, n })) {
			fd = openat(dir, n ? part : ".", O_CLOEXEC | O_NOFOLLOW | (rel[n] ? way : end));
			err = errno;
		}
		close(dir);
		errno = err;
		dir = fd;
		rel = rel[n] ? rel + n + 1 : NULL;
	}
	return dir;
}

/* The state folder belongs to the unprivileged user: no links out of it, no names that climb. */
static int read_state(const struct file_row *row, const struct app_places *at, const char *name, char path[static PATH_MAX], struct slice *ret)
{
	int fd, err;

	if (!at->state || name[0] == '/' || strstr(name, "..") || join(path, at->state, row->folder, name) < 0)
		return -ENOENT;
	fd = open_below(open(at->state, O_PATH | O_DIRECTORY | O_CLOEXEC), path + strlen(at->state) + 1);
	if (fd < 0)
		return errno == ENOTDIR ? -ELOOP : -errno;
	err = read_all(fd, ret);
	close(fd);
	return err;
}

/* A process that is not this one may have made the bundle: where a file is read again is not its choice. */
static const char *origin_of(const struct gather *g, const struct app_file *f)
{
	const struct app_file *mine = g->known ? app_bundle_find(g->known, f->kind, f->name) : f;

	return mine && strcmp(mine->origin, f->origin) == 0 ? f->origin : "";
}

static int read_import(const struct file_row *row, const struct app_places *at, const char *name, char path[static PATH_MAX], struct slice *ret)
{
	int err = -ENOENT;

	if (name[0] == '/')
		return snprintf(path, PATH_MAX, "%s", name) < PATH_MAX ? app_file_read(path, ret) : -ENAMETOOLONG;
	if (at->beside && join(path, at->beside, NULL, name) == 0)
		err = app_file_read(path, ret);
	if (err == -ENOENT) {
		err = read_state(row, at, name, path, ret);
		if (err == 0)
			path[0] = 0; /* it was in the state all along: that is where it is read again */
	}
	return err;
}

static int copy_bytes(struct slice from, struct slice *ret)
{
	*ret = (struct slice){ malloc(from.n + 1), from.n };
	if (!ret->p)
		return -ENOMEM;
	memcpy((char *)ret->p, from.p, from.n);
	return 0;
}

/* Again: where it was imported from, else its copy in the state folder, else what the revision has. */
static int read_again(const struct file_row *row, const struct app_places *at, const struct app_file *old, char path[static PATH_MAX],
	struct slice *ret)
{
	int err = -ENOENT;
	char in_state[PATH_MAX];

	snprintf(path, PATH_MAX, "%s", old->origin);
	if (path[0])
		err = app_file_read(path, ret);
	if (err == -ENOENT)
		err = read_state(row, at, old->name, in_state, ret);
	if (err != -ENOENT)
		return err;
	return copy_bytes(old->bytes, ret);
}

static bool gathered(const struct gather *g, const char *kind, const char *name)
{
	for (size_t i = 0; i < g->n; i++)
		if (strcmp(g->file[i].kind, kind) == 0 && strcmp(g->file[i].name, name) == 0)
			return true;
	return false;
}

static const char *why_not(int err)
{
	if (err == -EINVAL)
		return "not a regular file";
	if (err == ERR_RANGE)
		return "larger than 1 MiB";
	return base_strerror(err);
}

static int read_one(const struct gather *g, const struct file_row *row, const char *name, const struct app_file *old, char path[static PATH_MAX],
	struct slice *ret)
{
	int err;

	if (g->keep && old) {
		snprintf(path, PATH_MAX, "%s", origin_of(g, old));
		return copy_bytes(old->bytes, ret);
	}
	if (g->keep) {
		err = read_state(row, g->at, name, path, ret);
		path[0] = 0;
		return err;
	}
	return old ? read_again(row, g->at, old, path, ret) : read_import(row, g->at, name, path, ret);
}

/* Certificates and keys may be there before a profile names them. Policies go with their object. */
static void gather_spare(struct gather *g)
{
	for (size_t i = 0; g->old && i < g->old->nfiles && g->n < APP_FILES_MAX; i++) {
		const struct app_file *f = &g->old->file[i];
		struct slice bytes;

		if (strcmp(f->kind, "policy") == 0 || gathered(g, f->kind, f->name) || copy_bytes(f->bytes, &bytes))
			continue;
		g->file[g->n++] = (struct app_file){ f->kind, f->name, strdup(origin_of(g, f)), bytes };
	}
}

/* What no file is there for the compiler tells, at the line that names it. */
static int read_included(const struct gather *g, const struct file_row *row, const char *name, const char *from, char path[static PATH_MAX], struct slice *ret)
{
	const struct app_file *old = g->old ? app_bundle_find(g->old, row->kind, name) : NULL;
	const char *slash = strrchr(from, '/');
	char dir[PATH_MAX];
	int err = -ENOENT;

	if (old)
		return read_one(g, row, name, old, path, ret);
	/* beside the file that names it, where that is the operator's; what came by the API reaches the state folder's policies alone */
	if (!g->keep && slash && slice_copy(dir, sizeof(dir), (struct slice){ from, (size_t)(slash - from) }) && join(path, dir, NULL, name) == 0)
		err = app_file_read(path, ret);
	if (err == -ENOENT) {
		err = read_state(row, g->at, name, path, ret);
		path[0] = 0;
	}
	return err;
}

static void gather_included(struct gather *g, const struct file_row *row, size_t from)
{
	struct slice rest = g->file[from].bytes, found, bytes;
	char path[PATH_MAX];
	char *name;

	while (g->n < APP_FILES_MAX && rule_include_next(&rest, &found)) {
		path[0] = 0;
		if (found.n >= NAME_MAX || found.p[0] == '/' || memmem(found.p, found.n, "..", 2) || !(name = base_dup(found)))
			continue;
		if (gathered(g, row->kind, name) || read_included(g, row, name, g->file[from].origin, path, &bytes)) {
			free(name);
			continue;
		}
		g->name[g->nnames++] = name;
		g->file[g->n++] = (struct app_file){ row->kind, name, strdup(path), bytes };
	}
}

static void gather_one(struct gather *g, const struct file_row *row, const void *obj)
{
	const char *name = *(const char *const *)((const char *)obj + row->at);
	const struct app_file *old = name && g->old ? app_bundle_find(g->old, row->kind, name) : NULL;
	char path[PATH_MAX] = "", pointer[160], buf[128];
	struct slice bytes;
	char *origin;
	int err;

	if (!name || gathered(g, row->kind, name))
		return;
	err = read_one(g, row, name, old, path, &bytes);
	if (err || g->n == APP_FILES_MAX) {
		snprintf(pointer, sizeof(pointer), "%s/%s", conf_pointer(g->doc, row->col, obj, buf), row->key);
		conf_error(g->errs, pointer, "%s: %s", path[0] ? path : name, err ? why_not(err) : "too many files");
		g->failed = true;
		if (!err)
			free((char *)bytes.p);
		return;
	}
	origin = path[0] == '/' ? strdup(path) : path[0] ? realpath(path, NULL) : strdup("");
	g->file[g->n++] = (struct app_file){ row->kind, name, origin ? origin : strdup(""), bytes };
}

static void gather_all(struct gather *g)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t n = 0;
		const void *const *obj = conf_objects(g->doc, rows[i].col, &n);

		for (size_t k = 0; k < n; k++)
			gather_one(g, &rows[i], obj[k]);
		for (size_t k = 0; rows[i].col == &rule_schema_policies && k < g->n; k++) /* more come while it goes */
			if (strcmp(g->file[k].kind, rows[i].kind) == 0)
				gather_included(g, &rows[i], k);
	}
}

static int gather_bundle(struct gather *g, struct slice text, struct app_bundle **ret)
{
	int err;

	g->file = calloc(APP_FILES_MAX, sizeof(*g->file));
	g->name = calloc(APP_FILES_MAX, sizeof(*g->name));
	if (!g->file || !g->name) {
		free(g->file);
		free(g->name);
		return -ENOMEM;
	}
	gather_all(g);
	gather_spare(g);
	err = g->failed ? ERR_CONFIG : app_bundle_new(0, text, g->file, g->n, ret);
	for (size_t i = 0; i < g->n; i++) {
		explicit_bzero((char *)g->file[i].bytes.p, g->file[i].bytes.n);
		free((char *)g->file[i].bytes.p);
		free((char *)g->file[i].origin);
	}
	for (size_t i = 0; i < g->nnames; i++)
		free(g->name[i]);
	free(g->name);
	free(g->file);
	return err;
}

int app_files_import(const struct conf_doc *doc, struct slice text, const struct app_places *at, struct conf_errors *errs,
	struct app_bundle **ret)
{
	struct gather g = { .doc = doc, .at = at, .errs = errs };

	return gather_bundle(&g, text, ret);
}

int app_files_again(const struct conf_doc *doc, const struct app_bundle *old, const struct app_places *at, struct conf_errors *errs,
	struct app_bundle **ret)
{
	struct gather g = { .doc = doc, .at = at, .old = old, .errs = errs };

	return gather_bundle(&g, old->document, ret);
}

int app_files_complete(const struct conf_doc *doc, const struct app_bundle *want, const struct app_bundle *known, const struct app_places *at,
	struct conf_errors *errs, struct app_bundle **ret)
{
	struct gather g = { .doc = doc, .at = at, .old = want, .known = known, .keep = true, .errs = errs };

	return gather_bundle(&g, want->document, ret);
}

static void check_tls(const struct conf_doc *doc, const struct app_bundle *b, struct conf_errors *errs)
{
	size_t n = 0;
	const void *const *obj = conf_objects(doc, &keys_schema_tls_profiles, &n);
	char why[256], pointer[128];

	for (size_t i = 0; i < n; i++) {
		struct keys_tls *tls = NULL;
		int err = app_pem_tls(obj[i], b, why, &tls);

		if (err == ERR_CONFIG)
			conf_error(errs, conf_pointer(doc, &keys_schema_tls_profiles, obj[i], pointer), "%s", why);
		else if (err)
			conf_error(errs, conf_pointer(doc, &keys_schema_tls_profiles, obj[i], pointer), "%s", base_strerror(err));
		base_unref(tls);
	}
}

/* Compiled and thrown away: what is wrong is told before anything starts. */
static void check_policies(const struct conf_doc *doc, const struct app_bundle *b, struct conf_errors *errs)
{
	struct app_policies *p = NULL;
	int err = app_policies_new(doc, b, errs, &p);

	if (err && err != ERR_CONFIG)
		conf_error(errs, "/policies", "%s", base_strerror(err));
	base_unref(p);
}

void app_files_check(const struct conf_doc *doc, const struct app_bundle *b, struct conf_errors *errs)
{
	check_tls(doc, b, errs);
	check_policies(doc, b, errs);
}
