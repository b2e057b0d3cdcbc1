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
#include "postern/store.h"

static struct admin_role {
	struct store *store;
	struct admin *admin;
	struct base_ring *records;
	struct keys_pem tls;               /* of the API, as it was started; borrowed from r->now */
	int chan;                          /* to the engine, kept: admin_start takes duplicates */
	char status[16];
	struct admin_process process[APP_ROLES + 1];
	size_t nprocesses;
} ar = { .chan = -1, .status = "degraded" };

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

static bool api_pem(struct role *r, const struct app_revision *rev, struct keys_pem *ret)
{
	const struct keys_tls_conf *conf = r->api_tls[0] ? conf_find(rev->doc, &keys_schema_tls_profiles, r->api_tls) : NULL;

	*ret = (struct keys_pem){ { "", 0 }, { "", 0 }, { "", 0 } };
	if (conf)
		app_pem_get(conf, rev->bundle, ret);
	return conf || !r->api_tls[0];
}

static int admin_prepare(struct role *r, char why[static 256])
{
	struct keys_pem pem;

	if (api_pem(r, &r->next, &pem))
		return 0;
	snprintf(why, 256, "the API's TLS profile %s is not there", r->api_tls);
	return ERR_CONFIG;
}

static int start(struct role *r)
{
	int err;

	if (!api_pem(r, &r->now, &ar.tls))
		return ERR_CONFIG;
	err = admin_start(&(struct admin_params){
		.loop = r->loop, .store = ar.store,
		.http_fd = fcntl(r->http, F_DUPFD_CLOEXEC, 3), .ctl_fd = fcntl(r->control, F_DUPFD_CLOEXEC, 3),
		.tls_cert = ar.tls.certificate, .tls_key = ar.tls.key, .token_hash = r->token_hash,
		.calls = &r->calls, .streams = &r->streams, .admin_mem = &r->admin, .records = ar.records,
		.engine_fd = fcntl(ar.chan, F_DUPFD_CLOEXEC, 3), .health = health, .arg = r,
	}, &ar.admin);
	return err ? err : admin_set_revision(ar.admin, r->now.bundle->revision, r->now.bundle->document);
}

static void admin_commit(struct role *r)
{
	struct keys_pem pem;
	int err = 0;

	if (!ar.admin)
		return;
	api_pem(r, &r->now, &pem);
	if (slice_eq(pem.certificate, ar.tls.certificate) && slice_eq(pem.key, ar.tls.key)) {
		ar.tls = pem;
		err = admin_set_revision(ar.admin, r->now.bundle->revision, r->now.bundle->document);
	} else { /* a new certificate of the API: the HTTP server is made anew on the same sockets */
		admin_stop(ar.admin);
		ar.admin = NULL;
		err = start(r);
	}
	if (err) {
		base_log(BASE_ERROR, "admin", "the revision cannot be shown error=\"%s\"", base_strerror(err));
		app_role_end(r, 70);
	}
}

static void admin_abort(struct role *r)
{
}

/* ---- messages ---- */

static void on_store(struct role *r, struct loop_msg *m)
{
	struct reader rd = reader_on(m->body.p, m->body.n);
	uint32_t transaction = rd_u32(&rd);
	struct slice user = rd_slice(&rd), comment = rd_slice(&rd);
	uint64_t number = 0;
	char u[64], c[256];
	uint8_t body[16];
	struct writer w = writer_on(body, sizeof(body));
	int err = ERR_WRONGSTATE;

	slice_copy(u, sizeof(u), user);
	slice_copy(c, sizeof(c), comment);
	if (!rd.bad && transaction == r->transaction && ar.store)
		err = app_load_store(ar.store, u, c, r->next.bundle, &number);
	wr_u32(&w, transaction);
	wr_u32(&w, (uint32_t)err);
	wr_u64(&w, number);
	app_role_tell(r, APP_BOOT_STORED, (struct slice){ (char *)body, wr_len(&w) });
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
}

/* ---- serving ---- */

static int admin_go(struct role *r)
{
	char path[4096];
	size_t n;
	void *ring = app_role_region(&r->records, REGION_RING, &n);
	int err = base_ring_open(ring, n, &ar.records);

	if (err == ERR_TORN) {
		base_log(BASE_WARN, "admin", "the ring of records was damaged and is empty now");
		err = 0;
	}
	ar.chan = app_role_take_chan(r, APP_FD_CHAN_ENGINE);
	snprintf(path, sizeof(path), "%s/postern.db", r->state);
	if (!err)
		err = store_open(path, &ar.store);
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

	if (argc == 3 && strcmp(argv[1], "--load") == 0) {
		base_log_init("admin", BASE_INFO);
		return app_load_main(argv[2]);
	}
	return app_role_main(&ops, argc, argv);
}
