/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postern-admin: the role of the API and of all durable state. Also, with --load, the one-shot at start that finds the
 * revision in force.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "app/load.h"
#include "app/pem.h"
#include "app/role.h"
#include "postern/admin.h"
#include "postern/conf.h"
#include "postern/keys.h"
#include "postern/peer.h"
#include "postern/store.h"

#define RESTART_MS 300
#define COMMENT_MAX 500

static struct admin_role {
	struct store *store;
	struct admin *admin;
	struct base_ring *records, *events;
	struct keys_pem tls;               /* of the API, as it was started; borrowed from r->now */
	const struct keys_tls_conf *profile;
	struct loop_timer restart;
	int sent;                          /* blob that may still be in the queue to the supervisor */
	int chan;                          /* to the engine, kept: admin_start takes duplicates */
	char status[16];
	struct admin_process process[APP_ROLES + 1];
	size_t nprocesses;
} ar = { .chan = -1, .sent = -1, .status = "starting" };

static int admin_init(struct role *r)
{
	return 0;
}

static void health(void *arg, const char **ret_status, const struct admin_process **ret, size_t *ret_n)
{
	*ret_status = ar.status;
	*ret = ar.process;
	*ret_n = ar.nprocesses;
}

/* ---- revisions ---- */

/* The profile of the API in a revision, with what it needs; NULL: plain HTTP. */
static const struct keys_tls_conf *api_tls(const struct app_revision *rev, struct keys_pem *ret)
{
	const struct peer_system_conf *sys = conf_find(rev->doc, &peer_schema_system, "system");
	const struct keys_tls_conf *conf = sys->api.tls ? conf_find(rev->doc, &keys_schema_tls_profiles, sys->api.tls) : NULL;

	*ret = (struct keys_pem){ { "", 0 }, { "", 0 }, { "", 0 } };
	if (conf)
		app_pem_get(conf, rev->bundle, ret);
	return conf;
}

static int admin_prepare(struct role *r, char why[static 256])
{
	struct keys_pem pem;
	const struct keys_tls_conf *conf = api_tls(&r->next, &pem);

	const bool asks = conf && (conf->verify == KEYS_VERIFY_OPTIONAL || conf->verify == KEYS_VERIFY_REQUIRED);

	if (!conf || (pem.certificate.n && (!asks || pem.ca.n)))
		return 0;
	snprintf(why, 256, "/system/api/tls: the profile %s has no %s", conf->id, pem.certificate.n ? "ca that certificates of clients could be checked against" : "certificate of its own");
	return ERR_CONFIG;
}

static int apply(void *arg, const struct admin_apply *want);

static int start(struct role *r)
{
	int err;

	ar.profile = api_tls(&r->now, &ar.tls);
	err = admin_start(&(struct admin_params){
		.loop = r->loop, .store = ar.store,
		.http_fd = fcntl(r->http, F_DUPFD_CLOEXEC, 3), .ctl_fd = fcntl(r->control, F_DUPFD_CLOEXEC, 3),
		.tls_cert = ar.tls.certificate, .tls_key = ar.tls.key, .tls_ca = ar.tls.ca,
		.tls_verify = ar.profile ? ar.profile->verify : 0, .tls_13 = ar.profile && ar.profile->min_version, .token_hash = r->token_hash,
		.calls = &r->calls, .streams = &r->streams, .admin_mem = &r->admin, .records = ar.records, .events = ar.events,
		.engine_fd = fcntl(ar.chan, F_DUPFD_CLOEXEC, 3), .health = health, .apply = apply, .arg = r,
	}, &ar.admin);
	return err ? err : admin_set_revision(ar.admin, r->now.bundle->revision, r->now.bundle->document);
}

static void shown(struct role *r, int err)
{
	if (!err)
		return;
	base_log(BASE_ERROR, "admin", "the revision cannot be shown error=\"%s\"", base_strerror(err));
	app_role_end(r, 70);
}

/* The HTTP server is made anew on the same sockets. */
static void restart(void *arg)
{
	struct role *r = arg;

	admin_stop(ar.admin);
	ar.admin = NULL;
	shown(r, start(r));
}

static void admin_commit(struct role *r)
{
	struct keys_pem pem;
	const struct keys_tls_conf *conf;
	bool changed;

	if (!ar.admin)
		return;
	conf = api_tls(&r->now, &pem);
	changed = r->new_http || !slice_eq(pem.certificate, ar.tls.certificate) || !slice_eq(pem.key, ar.tls.key) || !slice_eq(pem.ca, ar.tls.ca) ||
		(conf && ar.profile && (conf->verify != ar.profile->verify || conf->min_version != ar.profile->min_version));
	if (changed) /* once who changed it has the answer */
		loop_timer_start(r->loop, &ar.restart, RESTART_MS, restart, r);
	ar.tls = pem;
	ar.profile = conf;
	shown(r, admin_set_revision(ar.admin, r->now.bundle->revision, r->now.bundle->document));
}

static void admin_abort(struct role *r)
{
}

/* ---- messages ---- */

static void on_store(struct role *r, struct loop_msg *m)
{
	struct reader rd = reader_on(m->body.p, m->body.n);
	uint32_t transaction = rd_u32(&rd);
	struct app_terms terms;
	uint64_t number = 0;
	uint8_t body[16];
	struct writer w = writer_on(body, sizeof(body));
	int err = ERR_WRONGSTATE;

	app_terms_take(&rd, &terms);
	if (!rd.bad && transaction == r->transaction && ar.store)
		err = app_load_store(ar.store, &terms, r->next.bundle, &number);
	wr_u32(&w, transaction);
	wr_u32(&w, (uint32_t)err);
	wr_u64(&w, number);
	app_role_tell(r, APP_BOOT_STORED, (struct slice){ (char *)body, wr_len(&w) });
}

static void on_applied(struct loop_msg *m)
{
	struct reader rd = reader_on(m->body.p, m->body.n);
	struct admin_note note[APP_NOTES_MAX];
	uint32_t id = rd_u32(&rd);
	int status = (int)rd_u32(&rd);
	uint64_t number = rd_u64(&rd);
	uint32_t n = rd_u32(&rd);

	if (n > APP_NOTES_MAX)
		return;
	for (uint32_t i = 0; i < n; i++) {
		note[i].warning = rd_u8(&rd) != 0;
		note[i].pointer = rd_slice(&rd);
		note[i].message = rd_slice(&rd);
	}
	if (!rd.bad && ar.admin)
		admin_applied(ar.admin, id, status, number, note, n);
}

/* The API wants a change: to the supervisor with it. */
static int apply(void *arg, const struct admin_apply *want)
{
	struct role *r = arg;
	struct app_apply a = { .id = want->id, .base = want->base, .dry_run = want->dry_run, .terms = { .user = slice_str(want->user),
		.comment = slice_str(want->comment), .step = (uint8_t)want->step, .previous = want->previous, .deadline_ms = (uint64_t)want->deadline_ms } };
	struct app_bundle *b = NULL;
	uint8_t body[1024];
	int n, fd = -1, err = app_load_bundle(0, want->document, want->files, want->nfiles, &b);

	if (ar.sent >= 0)
		close(ar.sent);
	ar.sent = -1;
	if (a.terms.comment.n > COMMENT_MAX)
		a.terms.comment.n = COMMENT_MAX;
	n = app_apply_print(&a, body, sizeof(body));
	if (!err)
		err = n < 0 ? n : app_bundle_seal(b, &fd);
	base_unref(b);
	if (err)
		return err;
	err = loop_chan_send(r->super, APP_BOOT_APPLY, 0, (struct slice){ (char *)body, (size_t)n }, &fd, 1);
	if (!err && !loop_chan_idle(r->super))
		ar.sent = fd; /* it waits in the channel's queue: closed with the next one */
	else
		close(fd);
	return err;
}

static void on_health(struct loop_msg *m)
{
	static char names[APP_ROLES + 1][16];
	struct app_health h;

	if (app_health_parse(m->body, &h))
		return;
	slice_copy(ar.status, sizeof(ar.status), h.status);
	for (uint32_t i = 0; i < h.n; i++) {
		slice_copy(names[i], sizeof(names[i]), h.row[i].role);
		ar.process[i] = (struct admin_process){ names[i], (int)h.row[i].pid, h.row[i].restarts, (int64_t)h.row[i].since_ms };
	}
	ar.nprocesses = h.n;
}

static void admin_message(struct role *r, struct loop_msg *m)
{
	if (m->type == APP_BOOT_STORE)
		on_store(r, m);
	else if (m->type == APP_BOOT_HEALTH)
		on_health(m);
	else if (m->type == APP_BOOT_APPLIED)
		on_applied(m);
}

/* ---- serving ---- */

/* A predecessor may have died between storing a revision and saying so. */
static int tell_newest(struct role *r)
{
	uint8_t body[8];
	struct writer w = writer_on(body, sizeof(body));
	uint64_t number;
	int err = store_revision_newest(ar.store, &number);

	if (err)
		return err;
	wr_u64(&w, number);
	app_role_tell(r, APP_BOOT_NEWEST, (struct slice){ (char *)body, sizeof(body) });
	return 0;
}

static int take_ring(struct loop_shm *m, const char *name, struct base_ring **ret)
{
	size_t n;
	void *ring = app_role_region(m, REGION_RING, &n);
	int err = base_ring_open(ring, n, ret);

	if (err == ERR_TORN)
		base_log(BASE_WARN, "admin", "the ring of %s was damaged and is empty now", name);
	return err == ERR_TORN ? 0 : err;
}

static int admin_go(struct role *r)
{
	int err = take_ring(&r->records, "records", &ar.records);

	if (!err)
		err = take_ring(&r->events, "events", &ar.events);
	ar.chan = app_role_take_chan(r, APP_FD_CHAN_ENGINE);
	if (!err)
		err = store_open(APP_LOAD_DATABASE, &ar.store);
	if (!err)
		err = tell_newest(r);
	return err ? err : start(r);
}

static void admin_role_stop(struct role *r)
{
	admin_stop(ar.admin); /* drains the ring */
	store_close(ar.store);
	app_role_end(r, 0);
}

int main(int argc, char **argv)
{
	static const struct role_ops ops = {
		.id = APP_ADMIN, .init = admin_init, .prepare = admin_prepare, .commit = admin_commit, .abort = admin_abort,
		.go = admin_go, .message = admin_message, .stop = admin_role_stop,
	};

	if (argc == 2 && strcmp(argv[1], "--load") == 0) {
		base_log_init("admin", BASE_INFO);
		return app_load_main();
	}
	return app_role_main(&ops, argc, argv);
}
