/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postern-engine: the role that speaks SIP and decides on calls. This file wires sipua, media, peer and call together;
 * it knows nothing of SIP itself.
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#include "app/chains.h"
#include "app/pem.h"
#include "app/role.h"
#include "postern/call.h"
#include "postern/conf.h"
#include "postern/ctl.h"
#include "postern/keys.h"
#include "postern/media.h"
#include "postern/peer.h"
#include "postern/rule.h"
#include "postern/sipua.h"

#define QUIET_MS 20
#define QUIET_TRIES 50                 /* a second for the last transactions */
#define FOREVER_S (10 * 365 * 86400LL)
#define REPLY_BYTES 1024

struct engine_tls { size_t n; struct keys_tls **v; };  /* in the order of tls_profiles */

static struct engine {
	struct engine_tls tls, next_tls;
	struct app_chains chains, next_chains;
	struct app_policed policed;
	struct rule_board *board;
	struct peer_set *peers, *next_peers;
	struct media_client *media;
	struct call_engine *calls;
	struct sipua *ua;
	struct base_ring *records, *events;
	struct base_trace *trace;
	struct loop_chan *admin;
	struct role *role;
	struct loop_timer quiet, closed, freed;
	bool told[APP_LISTENERS];          /* the supervisor knows that it is closed */
	bool told_free[APP_LISTENERS];     /* and that the number is free */
	unsigned tries;
} engine;

static int engine_init(struct role *r)
{
	char why[256] = "";
	int err = sipua_guard_selftest(why);

	engine.role = r;
	if (err)
		base_log(BASE_ERROR, "engine", "the self-test of the SIP library's guard failed: %s", why);
	return err;
}

/* ---- revisions ---- */

static void tls_fini(struct engine_tls *t)
{
	for (size_t i = 0; i < t->n; i++)
		base_unref(t->v[i]);
	free(t->v);
	*t = (struct engine_tls){ 0 };
}

static int tls_init(const struct app_revision *rev, char why[static 256], struct engine_tls *t)
{
	size_t n = 0;
	const void *const *conf = conf_objects(rev->doc, &keys_schema_tls_profiles, &n);
	int err = 0;

	t->v = calloc(n ? n : 1, sizeof(*t->v));
	if (!t->v)
		return -ENOMEM;
	for (size_t i = 0; i < n && !err; i++) {
		err = app_pem_tls(conf[i], rev->bundle, why, &t->v[i]);
		t->n++;
	}
	if (err)
		tls_fini(t);
	return err;
}

static void listener_of(const struct role *r, const struct app_revision *rev, const struct engine_tls *tls, size_t i, struct sipua_listener *ret)
{
	size_t n = 0, ntls = 0;
	const struct peer_listener_conf *c = conf_objects(rev->doc, &peer_schema_listeners, &n)[i];
	const void *const *profile = conf_objects(rev->doc, &keys_schema_tls_profiles, &ntls);

	*ret = (struct sipua_listener){ .id = c->id, .transport = (enum sipua_transport)c->transport, .fd = r->listener[rev->layout.listener[i]], .advertise = c->advertise };
	base_addr_parse(slice_str(c->address), (uint16_t)c->port, &ret->addr);
	for (size_t k = 0; c->tls && k < ntls; k++)
		if (strcmp(((const struct keys_tls_conf *)profile[k])->id, c->tls) == 0)
			ret->tls = tls->v[k];
}

/* Listeners of the next revision that are not open yet. Until it is in force nobody has a trunk there. */
static int listeners_open(struct role *r, char why[static 256])
{
	struct sipua_listener l;
	int err;

	for (size_t i = 0; i < r->next.layout.nlisteners; i++) {
		if (app_layout_has(&r->now.layout, r->next.layout.listener[i]))
			continue;
		listener_of(r, &r->next, &engine.next_tls, i, &l);
		err = sipua_listener_add(engine.ua, r->next.layout.listener[i], &l);
		if (err) {
			snprintf(why, 256, "/listeners/%zu: the SIP agent cannot take it over: %s", i, base_strerror(err));
			return ERR_CONFIG;
		}
	}
	return 0;
}

/* Back to those of the revision in force. */
static void listeners_shut(const struct app_layout *keep)
{
	for (unsigned i = 0; i < APP_LISTENERS; i++)
		if (!app_layout_has(keep, i))
			sipua_listener_remove(engine.ua, i);
}

#define CLOSED_MS 200
#define FREED_MS 2000

/* Numbers that no call refers to any more can be those of other listeners. Some may be a dead engine's: its calls are ours. */
static void tell_freed(void *arg)
{
	struct role *r = arg;
	bool used[SIPUA_LISTENERS], more = false;
	uint8_t freed[APP_LISTENERS];
	size_t n = 0;

	sipua_listeners_used(engine.ua, used);
	for (unsigned i = 0; i < APP_LISTENERS; i++) {
		if (app_layout_has(&r->now.layout, i)) {
			engine.told_free[i] = false;
			continue;
		}
		more |= used[i];
		if (used[i] || engine.told_free[i])
			continue;
		engine.told_free[i] = true;
		freed[n++] = (uint8_t)i;
	}
	if (n)
		app_role_tell(r, APP_BOOT_FREED, (struct slice){ (const char *)freed, n });
	if (more)
		loop_timer_start(r->loop, &engine.freed, FREED_MS, tell_freed, r);
}

/* Listeners that were removed drain; the supervisor keeps their addresses for us until then. */
static void tell_closed(void *arg)
{
	struct role *r = arg;
	bool more = false;

	for (unsigned i = 0; i < APP_LISTENERS; i++) {
		uint8_t number = (uint8_t)i;

		if (app_layout_has(&r->now.layout, i) || engine.told[i])
			continue;
		engine.told[i] = sipua_listener_closed(engine.ua, i);
		if (engine.told[i])
			app_role_tell(r, APP_BOOT_CLOSED, (struct slice){ (char *)&number, 1 });
		more |= sipua_listener_draining(engine.ua, i);
	}
	if (more)
		loop_timer_start(r->loop, &engine.closed, CLOSED_MS, tell_closed, r);
}

static void listeners_commit(struct role *r)
{
	struct sipua_listener l;

	for (size_t i = 0; i < r->now.layout.nlisteners; i++) {
		listener_of(r, &r->now, &engine.tls, i, &l);
		if (sipua_listener_change(engine.ua, r->now.layout.listener[i], &l))
			base_log(BASE_ERROR, "engine", "listener %s keeps its former name", l.id);
	}
	listeners_shut(&r->now.layout);
	for (size_t i = 0; i < r->now.layout.nlisteners; i++)
		engine.told[r->now.layout.listener[i]] = engine.told_free[r->now.layout.listener[i]] = false;
	tell_closed(r);
	loop_timer_start(r->loop, &engine.freed, CLOSED_MS, tell_freed, r);
}

static void engine_abort(struct role *r)
{
	if (engine.ua)
		listeners_shut(&r->now.layout);
	tls_fini(&engine.next_tls);
	app_chains_fini(&engine.next_chains);
	engine.next_peers = base_unref(engine.next_peers);
}

static int chains_init(const struct app_revision *rev, char why[static 256])
{
	struct conf_errors *errs;
	struct app_policies *p = NULL;
	const struct conf_note *first;
	int err = conf_errors_new(&errs);

	if (err)
		return err;
	err = app_policies_new(rev->doc, rev->bundle, errs, &p);
	first = conf_errors_at(errs, 0);

	if (first)
		snprintf(why, 256, "%s: %s", first->pointer, first->message);
	base_unref(errs);
	if (!err)
		err = app_chains_init(&engine.next_chains, p, engine.next_peers);
	return err ? err : app_policed_prepare(&engine.policed, engine.next_peers);
}

static int engine_prepare(struct role *r, char why[static 256])
{
	int err = tls_init(&r->next, why, &engine.next_tls);

	if (!err)
		err = peer_set_new_numbered(r->next.doc, &(struct peer_numbers){ r->next.layout.listener, r->next.layout.realm }, &engine.next_peers);
	if (!err)
		err = chains_init(&r->next, why);
	if (!err && engine.ua)
		err = listeners_open(r, why);
	if (err)
		engine_abort(r);
	return err;
}

/* Profiles that stay keep their object and get the new contexts: listeners and trunks hold on to it. Both documents are alive. */
static void keep_objects(struct role *r)
{
	size_t n = 0;
	const void *const *conf = conf_objects(r->now.doc, &keys_schema_tls_profiles, &n);
	size_t nold = 0;
	const void *const *old = engine.peers ? conf_objects(peer_set_doc(engine.peers), &keys_schema_tls_profiles, &nold) : NULL;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < nold; k++) {
			struct keys_tls *was = engine.tls.v[k];

			if (strcmp(((const struct keys_tls_conf *)conf[i])->id, ((const struct keys_tls_conf *)old[k])->id) != 0)
				continue;
			keys_tls_swap(was, engine.next_tls.v[i]);
			engine.tls.v[k] = engine.next_tls.v[i];
			engine.next_tls.v[i] = was;
		}
}

/* Rules count where admin reads. A spare that waits has no board yet: the one at work writes there. */
static void bind_rules(void)
{
	int err = engine.board && engine.chains.policies ? app_chains_bind(&engine.chains, engine.board) : 0;

	if (err)
		base_log(BASE_WARN, "engine", "some rules and policies in shadow are counted, but not shown: error=\"%s\"", base_strerror(err));
}

/* Off where trace.bytes is 0 in the revision in force; its memory is of the start. */
static void trace_switch(void)
{
	sipua_trace(peer_system(engine.peers)->trace.bytes ? engine.trace : NULL);
}

/* Room for descriptors is of the start, the cap of the revision. */
static struct sipua_caps caps_of(const struct role *r, const struct peer_system_conf *sys)
{
	unsigned room = r->setup.connections, cap = (unsigned)sys->caps.connections;

	return (struct sipua_caps){
		.message_bytes = (unsigned)sys->caps.message_bytes, .connections = cap < room ? cap : room,
		.connections_per_source = (unsigned)sys->caps.connections_per_source, .handshake_s = (unsigned)sys->caps.handshake_seconds,
		.idle_s = (unsigned)sys->caps.idle_seconds,
	};
}

static void settings_commit(const struct role *r)
{
	const struct peer_system_conf *sys = peer_system(engine.peers);
	const struct sipua_caps caps = caps_of(r, sys);

	if (sipua_settings(engine.ua, sys->user_agent, &caps))
		base_log(BASE_ERROR, "engine", "system.user_agent and caps stay as they were: no memory");
	trace_switch();
}

static void engine_commit(struct role *r)
{
	keep_objects(r);
	tls_fini(&engine.tls);
	engine.tls = engine.next_tls;
	engine.next_tls = (struct engine_tls){ 0 };
	base_unref(engine.peers);
	engine.peers = engine.next_peers;
	engine.next_peers = NULL;
	app_policed_commit(&engine.policed, &engine.chains, &engine.next_chains, engine.peers);
	app_chains_fini(&engine.chains);
	engine.chains = engine.next_chains;
	engine.next_chains = (struct app_chains){ 0 };
	bind_rules();
	if (engine.calls)
		call_engine_set_peers(engine.calls, engine.peers);
	if (engine.ua) {
		listeners_commit(r);
		settings_commit(r);
	}
	if (engine.media && r->new_map && media_client_remap(engine.media, r->map, r->nmap)) {
		base_log(BASE_ERROR, "engine", "the new media ports cannot be taken");
		app_role_end(r, 70); /* the former map goes with this commit */
	}
}

static struct keys_tls *tls_find(void *arg, const char *id)
{
	size_t n = 0;
	const void *const *conf = conf_objects(engine.role->now.doc, &keys_schema_tls_profiles, &n);

	for (size_t i = 0; i < n; i++)
		if (strcmp(((const struct keys_tls_conf *)conf[i])->id, id) == 0)
			return engine.tls.v[i];
	return NULL;
}

static struct sipua_policy *policy_find(void *arg, const char *trunk)
{
	return app_policed_find(arg, trunk);
}

/* ---- serving ---- */

static void on_inactive(void *arg, struct media_ref ref)
{
	if (engine.calls)
		call_engine_inactive(engine.calls, ref.slot, ref.gen);
}

static void on_digit(void *arg, struct media_ref ref, unsigned event, unsigned ms)
{
	if (engine.calls)
		call_engine_digit(engine.calls, ref.slot, ref.gen, event, ms);
}

static void on_one_way(void *arg, struct media_ref ref)
{
	if (engine.calls)
		call_engine_one_way(engine.calls, ref.slot, ref.gen);
}

static int start_media(struct role *r)
{
	return media_client_new(&(struct media_client_params){
		.loop = r->loop, .chan_fd = app_role_take_chan(r, APP_FD_CHAN_MEDIA), .wishes = &r->wishes, .streams = &r->streams, .map = r->map, .nmap = r->nmap,
		.inactive = on_inactive, .digit = on_digit, .one_way = on_one_way,
	}, &engine.media);
}

static int open_ring(struct loop_shm *m, struct base_ring **ret)
{
	size_t n;
	void *p = app_role_region(m, REGION_RING, &n);
	int err = base_ring_open(p, n, ret);

	if (err == ERR_TORN)
		base_log(BASE_WARN, "engine", "a ring was damaged and is empty now");
	return err == ERR_TORN ? 0 : err;
}

static int start_calls(struct role *r)
{
	size_t store_bytes, live_bytes, secrets_bytes;
	void *store = app_role_region(&r->calls, REGION_CALLS, &store_bytes);
	struct peer_live *live = app_role_region(&r->calls, REGION_TARGETS, &live_bytes);
	int err = open_ring(&r->records, &engine.records);

	if (!err)
		err = open_ring(&r->events, &engine.events);
	if (err)
		return err;
	return call_engine_new(&(struct call_engine_params){
		.loop = r->loop, .media = engine.media, .streams = &r->streams, .peers = engine.peers, .live = live, .live_bytes = live_bytes, .store_mem = store, .store_bytes = store_bytes,
		.secrets_mem = app_role_region(&r->secrets, REGION_SECRETS, &secrets_bytes), .secrets_bytes = secrets_bytes,
		.records = engine.records, .events = engine.events, .max_calls = r->setup.max_calls, .tls = tls_find,
		.policy = policy_find, .policy_arg = &engine.policed,
	}, &engine.calls);
}

/* The message ring: without it calls go on. */
static void start_trace(struct role *r)
{
	size_t bytes = 0;
	void *p = loop_shm_region(&r->calls, REGION_TRACE, &bytes);
	int err = p ? base_trace_open(p, bytes, &engine.trace) : 0;

	if (err)
		base_log(BASE_ERROR, "engine", "no message is kept: the ring cannot be opened error=\"%s\"", base_strerror(err));
	trace_switch();
}

static int start_agent(struct role *r)
{
	const struct peer_system_conf *sys = peer_system(engine.peers);
	struct sipua_caps caps = caps_of(r, sys);
	size_t n = peer_listener_count(engine.peers), bad = 0;
	struct sipua_listener *l;
	int err;

	l = calloc(n ? n : 1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		l[i].fd = -1;
	for (size_t i = 0; i < r->now.layout.nlisteners; i++)
		listener_of(r, &r->now, &engine.tls, i, &l[r->now.layout.listener[i]]);
	err = sipua_new(r->loop, l, n, sys->user_agent, &caps, call_engine_handlers(), engine.calls, &bad, &engine.ua);
	if (!err)
		start_trace(r);
	if (err)
		base_log(BASE_ERROR, "engine", "listener %s cannot be taken over error=\"%s\"", bad < n ? l[bad].id : "?", base_strerror(err));
	free(l);
	return err;
}

/* ---- commands of admin ---- */

static void drained_by_api(void *arg)
{
}

static void tell_draining(struct role *r, bool on)
{
	app_role_tell(r, APP_BOOT_DRAINING, (struct slice){ on ? "\1" : "\0", 1 });
}

static int end_call(struct slice args)
{
	json_t *j = json_loadb(args.p, args.n, 0, NULL);
	const char *id = json_string_value(json_object_get(j, "id")), *why = json_string_value(json_object_get(j, "why"));
	json_t *ids = json_object_get(j, "ids"), *one;
	int err = id ? call_engine_end(engine.calls, id, why ? why : "api") : json_is_array(ids) ? 0 : ERR_PROTO;
	size_t i;

	json_array_foreach(ids, i, one) /* of many some are over by now */
		if (json_is_string(one))
			call_engine_end(engine.calls, json_string_value(one), why ? why : "api");

	json_decref(j);
	return err;
}

static int trunk_command(enum ctl_command_id id, struct slice args)
{
	struct peer_plane *plane = call_engine_plane(engine.calls);
	json_t *j = json_loadb(args.p, args.n, 0, NULL);
	const char *trunk = json_string_value(json_object_get(j, "id"));
	int err = !trunk ? ERR_PROTO : id == CTL_TRUNK_PROBE ? peer_plane_probe(plane, trunk) : peer_plane_drain(plane, trunk, id == CTL_TRUNK_DRAIN);

	json_decref(j);
	return err;
}

static int run_command(struct role *r, enum ctl_command_id id, struct slice args)
{
	switch (id) {
	case CTL_CALL_END:
		return end_call(args);
	case CTL_DRAIN:
		call_engine_drain(engine.calls, FOREVER_S, drained_by_api, NULL);
		tell_draining(r, true);
		return 0;
	case CTL_UNDRAIN:
		call_engine_undrain(engine.calls);
		tell_draining(r, false);
		return 0;
	case CTL_TRUNK_PROBE:
	case CTL_TRUNK_DRAIN:
	case CTL_TRUNK_UNDRAIN:
		return trunk_command(id, args);
	default:
		return ERR_UNSUPPORTED;
	}
}

static void on_admin(void *arg, struct loop_msg *m)
{
	enum ctl_command_id id;
	struct slice args;
	uint8_t buf[REPLY_BYTES];
	size_t n;
	int err;

	if (!m || m->type != CTL_MSG_REQUEST)
		return;
	err = ctl_request_parse(m->body, &id, &args);
	if (!err)
		err = run_command(arg, id, args);
	if (ctl_reply_print(err, err ? slice_str(base_strerror(err)) : SLICE("{}"), buf, sizeof(buf), &n) == 0)
		loop_chan_send(engine.admin, CTL_MSG_REPLY, m->id, (struct slice){ (char *)buf, n }, NULL, 0);
}

static int engine_go(struct role *r)
{
	size_t board_bytes = 0;
	void *board = app_role_region(&r->calls, REGION_POLICIES, &board_bytes);
	int restored, err = start_media(r);

	if (!err)
		err = rule_board_open(board, board_bytes, &engine.board);
	if (!err)
		err = start_calls(r);
	if (!err)
		err = start_agent(r);
	if (err)
		return err;
	bind_rules();
	restored = call_engine_attach(engine.calls, engine.ua);
	if (restored < 0)
		return restored;
	if (restored)
		base_log(BASE_INFO, "engine", "carried on calls=%d", restored);
	loop_timer_start(r->loop, &engine.freed, FREED_MS, tell_freed, r);
	if (r->draining)
		call_engine_drain(engine.calls, FOREVER_S, drained_by_api, NULL);
	return loop_chan_open(r->loop, app_role_take_chan(r, APP_FD_CHAN_ADMIN), on_admin, r, &engine.admin);
}

/* ---- the end ---- */

static void drained(void *arg)
{
	app_role_tell(arg, APP_BOOT_DRAINED, SLICE(""));
}

static void engine_message(struct role *r, struct loop_msg *m)
{
	struct reader rd = reader_on(m->body.p, m->body.n);

	if (m->type == APP_BOOT_DRAIN)
		call_engine_drain(engine.calls, rd_u32(&rd), drained, r);
}

/* Transactions that are still open (a BYE that is repeated) get a moment. */
static void wait_quiet(void *arg)
{
	struct role *r = arg;
	struct sipua_figures f;

	sipua_figures(engine.ua, &f);
	if (engine.tries++ < QUIET_TRIES && (call_engine_count(engine.calls) || f.cli))
		loop_timer_start(r->loop, &engine.quiet, QUIET_MS, wait_quiet, r);
	else
		app_role_end(r, 0);
}

static void engine_stop(struct role *r)
{
	wait_quiet(r);
}

int main(int argc, char **argv)
{
	static const struct role_ops ops = {
		.id = APP_ENGINE, .init = engine_init, .prepare = engine_prepare, .commit = engine_commit, .abort = engine_abort,
		.go = engine_go, .message = engine_message, .stop = engine_stop,
	};

	return app_role_main(&ops, argc, argv);
}
