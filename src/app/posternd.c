/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posternd: the supervisor's start. Options, configuration, state folder, sockets, memories, in this order; whatever fails ends
 * it before anything half-configured runs. Then app/super takes over.
 * Exit codes: 0 clean, 1 usage or configuration, 2 a socket or file could not be opened, 70 internal.
 */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/check.h"
#include "app/load.h"
#include "app/notify.h"
#include "app/options.h"
#include "app/state.h"
#include "app/steer.h"
#include "app/super.h"
#include "postern/conf.h"
#include "postern/peer.h"

enum exit_code { EXIT_CLEAN = 0, EXIT_USAGE = 1, EXIT_OPEN = 2, EXIT_INTERNAL = 70 };

/* What is gathered on the way; fini releases whatever is there. */
struct start {
	struct app_options opt;
	struct app_super_params p;
	struct app_checked given, now;     /* --config; in force */
	bool import;                       /* `given` becomes revision 1 */
	int given_code;                    /* what is wrong with --config, as an exit code */
	char *state;
	int lock;                          /* on the state folder */
	union base_addr api;
};

static int check_only(const struct app_options *opt)
{
	struct conf_errors *errs = NULL;
	struct app_checked c;
	int err = conf_errors_new(&errs);

	if (!err)
		err = app_check_file(opt->config, opt->state, errs, &c);
	app_check_print(opt->config, errs);
	if (!err) {
		printf("%s: ok\n", opt->config);
		app_checked_fini(&c);
	} else if (err != ERR_CONFIG) {
		fprintf(stderr, "posternd: %s: %s\n", opt->config, base_strerror(err));
	}
	base_unref(errs);
	return err == 0 ? EXIT_CLEAN : err == ERR_CONFIG ? EXIT_USAGE : err == -ENOMEM ? EXIT_INTERNAL : EXIT_OPEN;
}

/* ---- the revision in force ---- */

static bool state_has_database(const char *state)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/postern.db", state);
	return access(path, F_OK) == 0;
}

/* A file that is wrong ends the start, unless the state has a revision already: that one is in force whatever the file says. */
static int take_given(struct start *st)
{
	struct conf_errors *errs = NULL;
	int err;

	if (!st->opt.config)
		return 0;
	err = conf_errors_new(&errs);
	if (!err)
		err = app_check_file(st->opt.config, st->opt.state, errs, &st->given);
	if (!err)
		st->given.notes = base_ref(errs);
	if (err == ERR_CONFIG)
		app_check_print(st->opt.config, errs);
	else if (err)
		base_log(BASE_ERROR, "start", "the configuration cannot be read path=%s error=\"%s\"", st->opt.config, base_strerror(err));
	base_unref(errs);
	st->given_code = err == 0 ? EXIT_CLEAN : err == ERR_CONFIG ? EXIT_USAGE : err == -ENOMEM ? EXIT_INTERNAL : EXIT_OPEN;
	return state_has_database(st->opt.state) ? 0 : st->given_code;
}

static void tell_difference(const struct start *st)
{
	if (st->given_code)
		base_log(BASE_WARN, "start", "%s is not right; revision %llu of the state is in force", st->opt.config,
			(unsigned long long)st->now.bundle->revision);
	if (st->given.bundle && !app_bundle_same(st->given.bundle, st->now.bundle))
		base_log(BASE_WARN, "start", "%s differs from revision %llu of the state, which is in force", st->opt.config,
			(unsigned long long)st->now.bundle->revision);
}

static int check_revision(struct start *st, struct app_bundle *b)
{
	struct conf_errors *errs = NULL;
	char name[64];
	int err = conf_errors_new(&errs);

	snprintf(name, sizeof(name), "revision %llu", (unsigned long long)b->revision);
	if (!err)
		err = app_check_bundle(b, errs, &st->now);
	if (err)
		app_check_print(name, errs);
	else
		app_check_log(name, errs);
	base_unref(errs);
	return err == 0 ? EXIT_CLEAN : err == ERR_CONFIG ? EXIT_USAGE : EXIT_INTERNAL;
}

/* The state has none: the file is what will be in force, if the start gets that far. */
static int use_given(struct start *st)
{
	if (st->given_code)
		return st->given_code;
	if (!st->given.bundle) {
		base_log(BASE_ERROR, "start", "the state has no configuration yet: give one with --config FILE");
		return EXIT_USAGE;
	}
	st->now = (struct app_checked){ base_ref(st->given.bundle), base_ref(st->given.doc), st->given.limits, NULL, NULL };
	app_check_log(st->opt.config, st->given.notes);
	st->import = true;
	return 0;
}

static int load(struct start *st, const struct app_bundle *given, struct app_bundle **ret)
{
	int err = app_load_run(st->p.exe[APP_ADMIN], st->lock, &st->p.user, given, ret);

	if (err && err != ERR_NOTFOUND)
		base_log(BASE_ERROR, "start", "the configuration of the state cannot be read path=%s/postern.db error=\"%s\"", st->state, base_strerror(err));
	return err;
}

static int find_revision(struct start *st)
{
	struct app_bundle *b = NULL;
	int code, err = load(st, NULL, &b);

	if (err == ERR_NOTFOUND)
		return use_given(st);
	if (err)
		return EXIT_OPEN;
	code = check_revision(st, b);
	if (!code)
		tell_difference(st);
	base_unref(b);
	return code;
}

/* Only now: a start that failed before, say for an address that is not here, must not leave a revision that wins over the mended file. */
static int step_import(struct start *st)
{
	struct app_bundle *b = NULL;

	if (!st->import)
		return 0;
	if (load(st, st->given.bundle, &b))
		return EXIT_OPEN;
	base_unref(st->now.bundle);
	st->now.bundle = b;
	return 0;
}

/* ---- steps, in order; each an exit code ---- */

static int step_executables(struct start *st)
{
	for (int i = 0; i < APP_ROLES; i++) {
		st->p.exe[i] = app_exe_open((enum app_role)i);
		if (st->p.exe[i] < 0) {
			base_log(BASE_ERROR, "start", "postern-%s is neither beside posternd nor in " LIBEXECDIR, app_role_name((enum app_role)i));
			return EXIT_OPEN;
		}
	}
	return 0;
}

static int step_state(struct start *st)
{
	if (app_state_user(st->opt.user, &st->p.user))
		return EXIT_USAGE;
	if (app_state_folder(st->opt.state, &st->p.user, &st->state))
		return EXIT_OPEN;
	st->lock = app_state_lock(st->state);
	if (st->lock < 0 || app_state_token(st->state, &st->p.user, st->p.token_hash))
		return EXIT_OPEN;
	return 0;
}

static int step_api(struct start *st)
{
	size_t n = 0;
	const struct peer_system_conf *sys = conf_objects(st->now.doc, &peer_schema_system, &n)[0];
	char text[56];
	bool loopback;

	st->api = st->opt.api;
	if (!st->opt.api_given && base_addr_parse(slice_str(sys->api.address), (uint16_t)sys->api.port, &st->api) < 0)
		return EXIT_INTERNAL;
	st->p.api = st->api;
	st->p.api_fixed = st->opt.api_given;
	loopback = st->api.sa.sa_family == AF_INET ? (ntohl(st->api.in.sin_addr.s_addr) >> 24) == 127 : IN6_IS_ADDR_LOOPBACK(&st->api.in6.sin6_addr);
	if (!loopback && !sys->api.tls) {
		base_log(BASE_ERROR, "start", "the API speaks plain HTTP on loopback addresses alone: name a TLS profile in system.api.tls address=%s",
			base_addr_print(&st->api, text));
		return EXIT_USAGE;
	}
	return 0;
}

static int step_sockets(struct start *st)
{
	struct app_sockets *s = &st->p.sockets;

	if (app_sockets_listeners(st->now.doc, s) || app_sockets_http(&st->api, s) ||
	    app_steer_open(st->now.doc, st->now.limits.max_calls, &s->shared) || app_sockets_media(st->now.doc, st->now.limits.pairs, s) ||
	    app_sockets_control(st->lock, &st->p.user, s))
		return EXIT_OPEN;
	return 0;
}

static int step_memory(struct start *st)
{
	size_t trunks = 0, n;

	st->p.trace_bytes = app_limits_trace(conf_objects(st->now.doc, &peer_schema_system, &n)[0]);
	conf_objects(st->now.doc, &peer_schema_trunks, &trunks);
	return app_memory_make(st->now.limits.max_calls, (unsigned)trunks, (size_t)st->p.trace_bytes, &st->p.sockets, &st->p.memory) ? EXIT_INTERNAL : 0;
}

static int step_run(struct start *st)
{
	st->p.level = st->opt.level;
	st->p.state_fd = st->lock;
	st->p.bundle = st->now.bundle;
	st->p.doc = st->now.doc;
	st->p.limits = st->now.limits;
	st->p.api_fd = st->p.sockets.http;
	st->p.sockets.http = -1;
	/* a configuration that was imported now is beside FILE; one of the store has its origins */
	st->p.places = (struct app_places){ st->given.folder, st->state };
	return app_super_run(&st->p);
}

static void start_fini(struct start *st)
{
	app_sockets_close(&st->p.sockets);
	app_memory_close(&st->p.memory);
	for (int i = 0; i < APP_ROLES; i++)
		if (st->p.exe[i] >= 0)
			close(st->p.exe[i]);
	if (st->lock >= 0)
		close(st->lock);
	app_checked_fini(&st->given);
	app_checked_fini(&st->now);
	free(st->state);
}

static void block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static int serve(const struct app_options *opt)
{
	static int (*const step[])(struct start *) = {
		step_executables, take_given, step_state, find_revision, step_api, step_sockets, step_memory,
		step_import, step_run,
	};
	struct start st = { .opt = *opt, .lock = -1 };
	int code = 0;

	memset(st.p.exe, 0xff, sizeof(st.p.exe));
	memset(&st.p.memory, 0xff, sizeof(st.p.memory));
	app_sockets_init(&st.p.sockets);
	block_signals();
	app_notify_init();
	for (size_t i = 0; i < ARRAY_LEN(step) && !code; i++)
		code = step[i](&st);
	start_fini(&st);
	return code;
}

int main(int argc, char **argv)
{
	struct app_options opt;

	base_log_init("supervisor", BASE_INFO);
	if (app_options_parse(argc, argv, &opt))
		return EXIT_USAGE;
	base_log_init("supervisor", opt.level);
	if (opt.help) {
		app_options_help();
		return EXIT_CLEAN;
	}
	if (opt.version) {
		printf("posternd " PACKAGE_VERSION "\nLicence Apache-2.0. There is no warranty.\n");
		return EXIT_CLEAN;
	}
	return opt.check ? check_only(&opt) : serve(&opt);
}
