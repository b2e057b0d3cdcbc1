/* SPDX-License-Identifier: Apache-2.0 */
/* app/check: everything that can be found wrong with a configuration before anything starts, all of it at once. */
#include "config.h"

#include "app/check.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/files.h"
#include "app/steer.h"
#include "postern/conf.h"
#include "postern/ctl.h"
#include "postern/peer.h"

#define LISTENERS_MAX 200              /* descriptors of one boot message */

void app_checked_fini(struct app_checked *c)
{
	base_unref(c->bundle);
	base_unref(c->doc);
	base_unref(c->notes);
	free(c->folder);
	*c = (struct app_checked){ 0 };
}

static void check_listeners(const struct conf_doc *doc, struct conf_errors *errs)
{
	size_t n = 0;

	conf_objects(doc, &peer_schema_listeners, &n);
	if (n > LISTENERS_MAX)
		conf_error(errs, "/listeners", "%zu listeners are more than %d", n, LISTENERS_MAX);
}

static void plan(const struct conf_doc *doc, struct conf_errors *errs, struct app_limits *ret)
{
	struct app_limits first;

	bool shared = app_steer_possible(doc);

	app_limits_plan(doc, UINT64_MAX, shared, NULL, &first);
	app_limits_plan(doc, app_limits_raise(first.wanted), shared, errs, ret);
}

/* A configuration may be larger than the other files. */
static int read_document(const char *path, char **ret, size_t *ret_n)
{
	FILE *f = fopen(path, "re");
	char *text = NULL;
	size_t n = 0, room = 0, k;
	int err = f ? 0 : -errno;

	do {
		if (err || (room - n < 65536 && (room += 262144) > CONF_BYTES_MAX + 524288)) {
			err = err ? err : ERR_RANGE;
			break;
		}
		text = realloc(text, room);
		must(text);
		k = fread(text + n, 1, room - n, f);
		n += k;
	} while (k > 0);
	if (!err && ferror(f))
		err = -EIO;
	if (f)
		fclose(f);
	if (err)
		free(text);
	else {
		*ret = text;
		*ret_n = n;
	}
	return err;
}

static char *folder_of(const char *path)
{
	char *real = realpath(path, NULL), *slash = real ? strrchr(real, '/') : NULL;

	if (slash)
		slash[slash == real ? 1 : 0] = 0;
	return real;
}

static int check_text(struct slice text, const char *state, struct conf_errors *errs, struct app_checked *c)
{
	struct app_places at = { c->folder, state };
	int err = conf_parse(text, ctl_schema, errs, &c->doc);

	if (err)
		return err;
	check_listeners(c->doc, errs);
	err = app_files_import(c->doc, text, &at, errs, &c->bundle);
	if (!err)
		app_files_check(c->doc, c->bundle, errs);
	plan(c->doc, errs, &c->limits);
	if (err && err != ERR_CONFIG)
		return err;
	return conf_errors_count(errs) ? ERR_CONFIG : 0;
}

int app_check_file(const char *path, const char *state, struct conf_errors *errs, struct app_checked *ret)
{
	struct app_checked c = { 0 };
	char *text;
	size_t n;
	int err = read_document(path, &text, &n);

	if (err)
		return err;
	c.folder = folder_of(path);
	err = check_text((struct slice){ text, n }, state, errs, &c);
	explicit_bzero(text, n);
	free(text);
	if (err)
		app_checked_fini(&c);
	else
		*ret = c;
	return err;
}

int app_check_bundle(struct app_bundle *b, struct conf_errors *errs, struct app_checked *ret)
{
	struct app_checked c = { 0 };
	int err = conf_parse(b->document, ctl_schema, errs, &c.doc);

	if (err)
		return err;
	c.bundle = base_ref(b);
	check_listeners(c.doc, errs);
	app_files_check(c.doc, b, errs);
	plan(c.doc, errs, &c.limits);
	if (conf_errors_count(errs)) {
		app_checked_fini(&c);
		return ERR_CONFIG;
	}
	*ret = c;
	return 0;
}

void app_check_print(const char *file, const struct conf_errors *errs)
{
	const struct conf_note *n;

	for (size_t i = 0; (n = conf_errors_at(errs, i)); i++)
		if (!n->warning || !conf_errors_count(errs)) /* what is right comes first */
			fprintf(stderr, "%s: %s: %s%s\n", file, n->pointer[0] ? n->pointer : "/", n->warning ? "warning: " : "", n->message);
}

void app_check_log(const char *file, const struct conf_errors *errs)
{
	const struct conf_note *n;

	for (size_t i = 0; (n = conf_errors_at(errs, i)); i++)
		if (n->warning)
			base_log(BASE_WARN, "config", "%s: %s: %s", file, n->pointer[0] ? n->pointer : "/", n->message);
}
