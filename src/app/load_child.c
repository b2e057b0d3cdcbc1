/* SPDX-License-Identifier: Apache-2.0 */
/*
 * app/load, in admin: opens the database as the unprivileged user, imports what was given as revision 1 where there is none.
 * The place where a file was imported from is kept beside it as a file of kind `origin`, for SIGHUP.
 */
#include "app/load.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/boot.h"
#include "postern/loop.h"
#include "postern/store.h"

#define ORIGIN "origin"

int app_load_store(struct store *s, const struct app_terms *terms, const struct app_bundle *b, uint64_t *ret_number)
{
	char user[64], comment[512];
	struct store_revision_new rev = { .user = user, .comment = comment, .document = b->document, .step = (enum store_pending_step)terms->step,
		.pending = { .previous = terms->previous, .deadline_ms = (int64_t)terms->deadline_ms } };
	struct store_file *f = calloc(2 * b->nfiles + 1, sizeof(*f));
	char (*name)[512] = calloc(b->nfiles + 1, sizeof(*name));
	size_t n = 0;
	int err = f && name ? 0 : -ENOMEM;

	for (size_t i = 0; i < b->nfiles && !err; i++) {
		const struct app_file *file = &b->file[i];
		struct text t = text_on(name[i], sizeof(name[i]));

		f[n++] = (struct store_file){ file->kind, file->name, file->bytes };
		text_add(&t, "%s:%s", file->kind, file->name);
		if (file->origin[0] && !t.cut)
			f[n++] = (struct store_file){ ORIGIN, name[i], slice_str(file->origin) };
	}
	slice_copy(user, sizeof(user), terms->user);
	slice_copy(comment, sizeof(comment), terms->comment);
	rev.files = f;
	rev.nfiles = n;
	if (!err)
		err = store_revision_put(s, &rev, ret_number);
	free(f);
	free(name);
	return err;
}

static const char *origin_of(const struct store_file *files, size_t n, const struct store_file *file)
{
	char key[512];
	struct text t = text_on(key, sizeof key);

	text_add(&t, "%s:%s", file->kind, file->name);
	for (size_t i = 0; i < n; i++)
		if (strcmp(files[i].kind, ORIGIN) == 0 && strcmp(files[i].name, key) == 0)
			return files[i].bytes.p; /* terminated: store_revision_get copies with a NUL */
	return "";
}

int app_load_bundle(uint64_t number, struct slice document, const struct store_file *files, size_t n, struct app_bundle **ret)
{
	struct app_file *f = calloc(n + 1, sizeof(*f));
	size_t count = 0;
	int err;

	if (!f)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (strcmp(files[i].kind, ORIGIN) != 0)
			f[count++] = (struct app_file){ files[i].kind, files[i].name, origin_of(files, n, &files[i]), files[i].bytes };
	err = app_bundle_new(number, document, f, count, ret);
	free(f);
	return err;
}

static int give_back(const struct app_bundle *b)
{
	struct slice wire = app_bundle_get(b);

	while (wire.n) {
		ssize_t n = write(APP_CHAN_FD + 1, wire.p, wire.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -errno;
		wire.p += n;
		wire.n -= (size_t)n;
	}
	return 0;
}

static int find_or_import(struct store *s, const struct app_bundle *given, struct app_bundle **ret)
{
	struct store_revision_full *r = NULL;
	uint64_t number;
	int err = store_revision_get(s, 0, &r);

	if (err == ERR_NOTFOUND && given) {
		err = app_load_store(s, &(struct app_terms){ .user = SLICE("import"), .comment = SLICE("imported from the configuration file") }, given, &number);
		if (!err)
			err = store_revision_get(s, number, &r);
	}
	if (!err)
		err = app_load_bundle(r->rev.number, r->document, r->files, r->nfiles, ret);
	if (r)
		store_revision_free(r);
	return err;
}

int app_load_main(void)
{
	struct app_bundle *given = NULL, *b = NULL;
	struct store *s = NULL;
	struct slice wire;
	int err = loop_blob_map(APP_CHAN_FD, &wire);

	app_spawn_settle();
	if (!err && wire.n)
		err = app_bundle_parse(wire, &given);
	if (!err)
		err = store_open(APP_LOAD_DATABASE, &s);
	if (!err)
		err = find_or_import(s, given, &b);
	if (!err)
		err = give_back(b);
	if (s)
		store_close(s);
	base_unref(b);
	base_unref(given);
	if (err && err != ERR_NOTFOUND)
		base_log(BASE_ERROR, "store", "the database cannot be used file=" APP_LOAD_DATABASE " error=\"%s\"", base_strerror(err));
	return err == 0 ? 0 : err == ERR_NOTFOUND ? APP_LOAD_NONE : 2;
}
