/* SPDX-License-Identifier: Apache-2.0 */
/* What posternd does before it starts anything: options, limits, files that a document names, the state folder and its token. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/check.h"
#include "app/files.h"
#include "app/options.h"
#include "app/spawn.h"
#include "app/state.h"
#include "postern/conf.h"
#include "postern/ctl.h"

static char dir[64];

static int make_dir(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/postern-unit-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char cmd[96];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

static const char *in_dir(const char *name)
{
	static char path[4][256];
	static unsigned turn;
	char *p = path[turn++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
	return p;
}

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* ---- options ---- */

static int parse(struct app_options *o, const char *const *argv)
{
	int n = 0;

	while (argv[n])
		n++;
	return app_options_parse(n, (char **)(uintptr_t)argv, o);
}
#define PARSE(o, ...) parse((o), (const char *const[]){ "posternd", __VA_ARGS__, NULL })

static void options_taken(void **state)
{
	struct app_options o;

	assert_int_equal(PARSE(&o, "--state", "/s", "--config=/c.json", "--api", "127.0.0.1:8081", "--user", "u", "--log-level", "warn"), 0);
	assert_string_equal(o.state, "/s");
	assert_string_equal(o.config, "/c.json");
	assert_string_equal(o.user, "u");
	assert_int_equal(base_addr_port(&o.api), 8081);
	assert_int_equal(o.level, BASE_WARN);
	assert_int_equal(PARSE(&o, "--api", "[::1]:80"), 0);
	assert_int_equal(o.api.sa.sa_family, AF_INET6);
	assert_int_equal(PARSE(&o, "--check", "--config", "x"), 0);
	assert_true(o.check);
}

static void options_refused(void **state)
{
	struct app_options o;

	assert_int_equal(PARSE(&o, "--no-such-option"), ERR_CONFIG);
	assert_int_equal(PARSE(&o, "--state"), ERR_CONFIG);
	assert_int_equal(PARSE(&o, "--state="), ERR_CONFIG);
	assert_int_equal(PARSE(&o, "state"), ERR_CONFIG);
	assert_int_equal(PARSE(&o, "--check=1", "--config", "x"), ERR_CONFIG);
	assert_int_equal(PARSE(&o, "--check"), ERR_CONFIG);
	assert_int_equal(PARSE(&o, "--log-level", "loud"), ERR_CONFIG);
	for (size_t i = 0; i < 5; i++) {
		static const char *const bad[] = { "127.0.0.1", "::1:80", "host:80", "127.0.0.1:0", "127.0.0.1:70000" };

		assert_int_equal(PARSE(&o, "--api", bad[i]), ERR_CONFIG);
	}
}

/* ---- limits ---- */

#define REALM(id, min, max) "{\"id\":\"" id "\",\"media\":{\"address\":\"127.0.0.1\",\"port_min\":" #min ",\"port_max\":" #max "}}"
#define DOC(max_calls, realms) "{\"schema\":1,\"system\":{\"max_calls\":" #max_calls "},\"realms\":[" realms "]}"

static struct conf_doc *doc_of(const char *text)
{
	struct conf_errors *errs = NULL;
	struct conf_doc *doc = NULL;

	assert_int_equal(conf_errors_new(&errs), 0);
	assert_int_equal(conf_parse(slice_str(text), ctl_schema, errs, &doc), 0);
	base_unref(errs);
	return doc;
}

static size_t plan(const char *text, uint64_t allowed, struct app_limits *ret)
{
	struct conf_doc *doc = doc_of(text);
	struct conf_errors *notes = NULL;
	size_t n = 0;

	assert_int_equal(conf_errors_new(&notes), 0);
	app_limits_plan(doc, allowed, false, notes, ret);
	while (conf_errors_at(notes, n))
		n++;
	assert_int_equal(conf_errors_count(notes), 0); /* warnings alone */
	base_unref(notes);
	base_unref(doc);
	return n;
}

static void limits_enough(void **state)
{
	struct app_limits l;

	assert_int_equal(plan(DOC(500, REALM("a", 20000, 21998) "," REALM("b", 22000, 23998)), 100000, &l), 0);
	assert_int_equal(l.pairs_wanted, 2000);
	assert_int_equal(l.pairs, 2000);
	assert_int_equal(l.max_calls, 500);
	assert_true(l.wanted > 4000 && l.wanted < 4500);
}

static void limits_lower_calls(void **state)
{
	struct app_limits l;

	assert_int_equal(plan(DOC(900, REALM("a", 20000, 21998) "," REALM("b", 22000, 23998)), 1024, &l), 1);
	assert_true(l.pairs < 512 && l.pairs > 300);
	assert_int_equal(l.max_calls, l.pairs / 2);
}

static void limits_small_range(void **state)
{
	struct app_limits l;

	assert_int_equal(plan(DOC(500, REALM("a", 20000, 20998)), 100000, &l), 0);
	assert_int_equal(plan(DOC(501, REALM("a", 20000, 20998)), 100000, &l), 1);
	assert_int_equal(l.max_calls, 501); /* a warning, and a 503 when they are used up */
}

/* ---- files ---- */

#define POLICIES "{\"schema\":1,\"policies\":[{\"id\":\"p\",\"file\":\"p.policy\"}]}"

static int import(const char *state, const char *beside, size_t *ret_errors, struct app_bundle **ret)
{
	struct conf_doc *doc = doc_of(POLICIES);
	struct conf_errors *errs = NULL;
	struct app_places at = { beside, state };
	int err;

	assert_int_equal(conf_errors_new(&errs), 0);
	err = app_files_import(doc, SLICE(POLICIES), &at, errs, ret);
	*ret_errors = conf_errors_count(errs);
	base_unref(errs);
	base_unref(doc);
	return err;
}

static void files_places(void **state)
{
	struct app_bundle *b = NULL;
	size_t errors;

	mkdir(in_dir("state"), 0700);
	mkdir(in_dir("state/policies"), 0700);
	assert_int_equal(import(in_dir("state"), dir, &errors, &b), ERR_CONFIG);
	assert_int_equal(errors, 1);
	put(in_dir("state/policies/p.policy"), "in the state");
	assert_int_equal(import(in_dir("state"), dir, &errors, &b), 0);
	assert_true(slice_eq(b->file[0].bytes, SLICE("in the state")));
	assert_string_equal(b->file[0].origin, "");
	base_unref(b);
	put(in_dir("p.policy"), "beside");
	assert_int_equal(import(in_dir("state"), dir, &errors, &b), 0);
	assert_true(slice_eq(b->file[0].bytes, SLICE("beside")));
	assert_string_equal(b->file[0].origin, in_dir("p.policy"));
	base_unref(b);
}

static void again(struct app_bundle *old, const char *expect)
{
	struct conf_doc *doc = doc_of(POLICIES);
	struct conf_errors *errs = NULL;
	struct app_places at = { NULL, in_dir("state") };
	struct app_bundle *b = NULL;

	assert_int_equal(conf_errors_new(&errs), 0);
	if (expect) {
		assert_int_equal(app_files_again(doc, old, &at, errs, &b), 0);
		assert_true(slice_eq(b->file[0].bytes, slice_str(expect)));
		base_unref(b);
	} else {
		assert_int_equal(app_files_again(doc, old, &at, errs, &b), ERR_CONFIG);
	}
	base_unref(errs);
	base_unref(doc);
}

static void files_again(void **state)
{
	struct app_bundle *b = NULL;
	size_t errors;

	mkdir(in_dir("state"), 0700);
	mkdir(in_dir("state/policies"), 0700);
	put(in_dir("p.policy"), "first");
	assert_int_equal(import(in_dir("state"), dir, &errors, &b), 0);
	put(in_dir("p.policy"), "second");
	again(b, "second");
	unlink(in_dir("p.policy"));
	again(b, "first"); /* gone, no copy in the folder: as the revision has it */
	put(in_dir("state/policies/p.policy"), "third");
	again(b, "third");
	mkdir(in_dir("p.policy"), 0700);
	again(b, NULL); /* no file: an error, the old stays */
	base_unref(b);
}

static void files_no_links_in_state(void **state)
{
	struct app_bundle *b = NULL;
	size_t errors;

	mkdir(in_dir("state"), 0700);
	mkdir(in_dir("state/policies"), 0700);
	put(in_dir("secret"), "of root");
	assert_int_equal(symlink(in_dir("secret"), in_dir("state/policies/p.policy")), 0);
	assert_int_equal(import(in_dir("state"), NULL, &errors, &b), ERR_CONFIG);
	/* nor by way of the folder */
	mkdir(in_dir("elsewhere"), 0700);
	put(in_dir("elsewhere/p.policy"), "of root");
	unlink(in_dir("state/policies/p.policy"));
	rmdir(in_dir("state/policies"));
	assert_int_equal(symlink(in_dir("elsewhere"), in_dir("state/policies")), 0);
	assert_int_equal(import(in_dir("state"), NULL, &errors, &b), ERR_CONFIG);
}

/* What admin says of a file's origin is believed only where it was known: else SIGHUP would read for it what root may read. */
static void files_origins_of_others(void **state)
{
	static const char *const origin[] = { "/etc/shadow", "/srv/p.policy" };
	struct conf_doc *doc = doc_of(POLICIES);
	struct app_places at = { NULL, in_dir("state") };
	struct app_file f = { "policy", "p.policy", origin[1], SLICE("text") };
	struct app_bundle *known = NULL, *want = NULL, *b = NULL;
	struct conf_errors *errs = NULL;

	assert_int_equal(app_bundle_new(1, SLICE(POLICIES), &f, 1, &known), 0);
	assert_int_equal(conf_errors_new(&errs), 0);
	for (size_t i = 0; i < ARRAY_LEN(origin); i++) {
		f.origin = origin[i];
		assert_int_equal(app_bundle_new(0, SLICE(POLICIES), &f, 1, &want), 0);
		assert_int_equal(app_files_complete(doc, want, known, &at, errs, &b), 0);
		assert_string_equal(b->file[0].origin, i ? origin[i] : "");
		base_unref(b);
		base_unref(want);
	}
	base_unref(known);
	base_unref(errs);
	base_unref(doc);
}

static void check_lists(void **state)
{
	size_t live = base_live();
	struct conf_errors *errs = NULL;
	struct app_checked c;

	put(in_dir("c.json"), "{\"schema\":1,\"sistem\":{},\"tls_profiles\":[{\"id\":\"e\",\"certificate\":\"no.pem\",\"key\":\"no.key\"}]}");
	assert_int_equal(conf_errors_new(&errs), 0);
	assert_int_equal(app_check_file(in_dir("c.json"), dir, errs, &c), ERR_CONFIG);
	assert_true(conf_errors_count(errs) >= 1);
	base_unref(errs);
	assert_int_equal(conf_errors_new(&errs), 0);
	assert_int_equal(app_check_file(in_dir("none.json"), dir, errs, &c), -ENOENT);
	base_unref(errs);
	put(in_dir("c.json"), DOC(500, REALM("a", 20000, 20998)));
	assert_int_equal(conf_errors_new(&errs), 0);
	assert_int_equal(app_check_file(in_dir("c.json"), dir, errs, &c), 0);
	app_checked_fini(&c);
	base_unref(errs);
	assert_int_equal(base_live(), live);
}

/* ---- state ---- */

static void state_and_token(void **state)
{
	struct app_user me = { .drop = false, .uid = getuid(), .gid = getgid() };
	char first[65], second[65], *path = NULL;
	struct stat st;

	unsetenv("POSTERN_ADMIN_TOKEN");
	assert_int_equal(app_state_folder(in_dir("a/b/state"), &me, &path), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(app_state_token(path, &me, first), 0);
	assert_int_equal(app_state_token(path, &me, second), 0);
	assert_string_equal(first, second);
	assert_int_equal(stat(in_dir("a/b/state/admin.token"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	setenv("POSTERN_ADMIN_TOKEN", "given-by-the-environment", 1);
	assert_int_equal(app_state_token(path, &me, second), 0);
	assert_string_not_equal(first, second);
	assert_null(getenv("POSTERN_ADMIN_TOKEN"));
	free(path);
}

/* ---- spawn ---- */

/* The child lists its descriptors on the one that it was given. */
static void spawn_descriptors(void **state)
{
	char sh[] = "sh", flag[] = "-c", script[] = "ls /proc/self/fd | tr '\\n' ' ' >&3; env >&3", *argv[] = { sh, flag, script, NULL };
	struct app_user me = { .drop = false };
	int exe = open("/bin/sh", O_PATH | O_CLOEXEC), leak = open("/dev/null", O_RDONLY), p[2], status;
	char buf[4096];
	ssize_t n = 0, k;
	pid_t pid;

	setenv("POSTERN_ADMIN_TOKEN", "never-in-a-child", 1);
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	assert_int_equal(app_spawn(&(struct app_spawn){ .exe = exe, .argv = argv, .fd = &p[1], .nfds = 1, .user = &me }, &pid), 0);
	close(p[1]);
	while ((k = read(p[0], buf + n, sizeof(buf) - 1 - (size_t)n)) > 0)
		n += k;
	buf[n] = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(strncmp(buf, "0 1 2 3 4 ", 10), 0); /* 4: ls reads the folder */
	assert_null(strstr(buf, " 5 "));
	assert_null(strstr(buf, "never-in-a-child"));
	unsetenv("POSTERN_ADMIN_TOKEN");
	close(p[0]);
	close(exe);
	close(leak);
}

#define IN_DIR(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_taken), cmocka_unit_test(options_refused), cmocka_unit_test(limits_enough), cmocka_unit_test(limits_lower_calls),
		cmocka_unit_test(limits_small_range), IN_DIR(files_places), IN_DIR(files_again), IN_DIR(files_no_links_in_state),
		IN_DIR(files_origins_of_others), IN_DIR(check_lists),
		IN_DIR(state_and_token), cmocka_unit_test(spawn_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
