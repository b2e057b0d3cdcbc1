/* SPDX-License-Identifier: Apache-2.0 */
/*
 * app/revise: a new revision in two phases. Every child that has the revision in force prepares the next one; when all have,
 * admin makes it durable; then all commit. One that cannot: all abort, the old stays. A child that was still being fed
 * takes no part and is brought up to date afterwards. An admin that dies while storing leaves it open which revision is the
 * newest: all wait, prepared, for its successor, which looks into the database.
 * For SIGHUP (the same document, its files read again) and for what the API asks for (app/apply).
 */
#include <errno.h>
#include <unistd.h>

#include "app/notify.h"
#include "app/super.h"
#include "postern/conf.h"
#include "postern/peer.h"

#define PREPARE_MS 12000 /* a document of 10,000 rows is read in a second; a process that is starved of its core is not killed for that */
#define LATER_MS 200

static void close_snapshots(struct revise *v)
{
	if (v->full >= 0)
		close(v->full);
	if (v->bare >= 0)
		close(v->bare);
	v->full = v->bare = -1;
}

void app_revise_fini(struct super *s)
{
	close_snapshots(&s->revise);
	s->revise.next = base_unref(s->revise.next);
	s->revise.next_doc = base_unref(s->revise.next_doc);
	app_layout_fini(&s->revise.layout);
	app_ports_abort(&s->ports, &s->revise.ports);
	if (s->revise.door.fd >= 0)
		close(s->revise.door.fd);
	s->revise.door.fd = -1;
	loop_timer_stop(&s->revise.timer);
}

static void again(void *arg)
{
	struct super *s = arg;

	s->revise.again = false;
	app_revise_hup(s);
}

/* Back to idle; a wish that came meanwhile is looked at now. */
static void conclude(struct super *s, int status, const char *why)
{
	struct app_order *order = s->revise.order;

	app_revise_fini(s);
	s->revise.phase = REVISE_IDLE;
	s->revise.order = NULL;
	app_apply_answer(s, order, status, why);
	app_notify("READY=1");
	if (s->revise.again)
		loop_timer_start(s->loop, &s->revise.timer, 1, again, s);
}

static void abort_one(struct child *c)
{
	struct super *s = c->seat->super;

	if ((c->voted == s->revise.transaction || c->asked == s->revise.transaction) && app_feed_plain(c, APP_BOOT_ABORT, s->revise.transaction))
		app_super_kill(c);
	if (c->asked == s->revise.transaction)
		c->asked = 0;
	c->voted = 0;
	c->growing = false;
	if (!s->ports.shared && c->sockets > 2 * s->ports.nmap) /* those of the revision that is given up are closed there */
		c->sockets = c->sockets_sent = 2 * s->ports.nmap;
}

/* What it was given of listeners that are not in force is closed there. */
static void forget_listeners(struct child *c)
{
	const struct app_numbers *nb = &c->seat->super->numbers;

	for (size_t i = 0; i < APP_LISTENERS; i++)
		if (i >= nb->nlisteners || nb->listener[i].fd < 0 || !app_layout_has(&nb->now, i))
			c->has[i] = 0;
}

static void abort_all(struct super *s)
{
	app_super_each(s, abort_one);
	app_numbers_abort(&s->numbers, &s->revise.layout);
	app_super_each(s, forget_listeners);
}

static void give_up(struct super *s, int status, const char *why)
{
	base_log(BASE_ERROR, "revise", "the new revision is not taken, revision %llu stays in force error=\"%s\"", (unsigned long long)s->bundle->revision, why);
	abort_all(s);
	conclude(s, status, why);
}

static void kill_silent(struct child *c)
{
	const uint32_t transaction = c->seat->super->revise.transaction;

	if (c->asked == transaction || c->taking == transaction)
		app_super_kill(c);
}

static void timed_out(void *arg)
{
	struct super *s = arg;

	if (s->revise.phase == REVISE_STORING) {
		if (s->seat[APP_ADMIN].serving)
			app_super_kill(s->seat[APP_ADMIN].serving); /* its successor knows what is stored */
		return;
	}
	app_super_each(s, kill_silent);
	if (s->revise.phase == REVISE_COMMITTING)
		conclude(s, 0, NULL); /* their successors start with it */
	else
		give_up(s, -ETIMEDOUT, "a process did not answer in time");
}

/* Those that voted commit; those that came up meanwhile are brought up to date, once what they were asked before is answered. */
static void commit_one(struct child *c)
{
	struct super *s = c->seat->super;
	int err = 0;

	if (c->voted == s->seq) {
		c->taking = s->seq;
		err = app_feed_commit(c, s->seq, s->bundle->revision);
	} else if (c->have && !c->asked) {
		err = app_feed_sockets(c);
	}
	c->voted = 0;
	if (err)
		app_super_kill(c);
}

static bool is_taken(const struct super *s)
{
	for (size_t i = 0; i < APP_ROLES; i++) {
		const struct child *c[] = { s->seat[i].serving, s->seat[i].spare };

		for (size_t k = 0; k < ARRAY_LEN(c); k++)
			if (c[k] && c[k]->taking == s->revise.transaction)
				return false;
	}
	return true;
}

static void maybe_conclude(struct super *s)
{
	if (s->revise.phase == REVISE_COMMITTING && is_taken(s))
		conclude(s, 0, NULL);
}

static void door_commit(struct super *s)
{
	if (s->revise.door.fd < 0)
		return;
	close(s->door.fd);
	s->door = s->revise.door;
	s->revise.door.fd = -1;
}

static void commit(struct super *s)
{
	struct revise *v = &s->revise;

	s->seq = v->transaction;
	base_unref(s->bundle);
	s->bundle = base_ref(v->next);
	base_unref(s->doc);
	s->doc = base_ref(v->next_doc);
	close(s->full);
	close(s->bare);
	s->full = v->full;
	s->bare = v->bare;
	v->full = v->bare = -1;
	app_numbers_commit(&s->numbers, &v->layout);
	app_super_each(s, forget_listeners);
	app_ports_commit(&s->ports, &v->ports);
	door_commit(s);
	v->phase = REVISE_COMMITTING;
	loop_timer_start(s->loop, &v->timer, PREPARE_MS, timed_out, s);
	app_super_each(s, commit_one);
	base_log(BASE_INFO, "revise", "revision %llu is in force", (unsigned long long)s->bundle->revision);
	maybe_conclude(s);
}

/* ---- answers ---- */

static bool waits_for(const struct super *s)
{
	for (size_t i = 0; i < APP_ROLES; i++) {
		const struct child *c[] = { s->seat[i].serving, s->seat[i].spare };

		for (size_t k = 0; k < ARRAY_LEN(c); k++)
			if (c[k] && c[k]->asked == s->revise.transaction)
				return true;
	}
	return false;
}

static struct app_terms terms(const struct app_order *o)
{
	if (!o)
		return (struct app_terms){ .user = SLICE("sighup"), .comment = SLICE("certificates and policies read again") };
	return (struct app_terms){ slice_str(o->user), slice_str(o->comment), o->step, o->previous, o->deadline_ms };
}

static void store(struct super *s)
{
	struct child *admin = s->seat[APP_ADMIN].serving;
	const struct app_terms t = terms(s->revise.order);
	uint8_t body[1024];
	struct writer w = writer_on(body, sizeof(body));

	if (!admin || admin->state != CHILD_SERVING || admin->voted != s->revise.transaction) {
		give_up(s, -EBUSY, "admin is not there to store it");
		return;
	}
	wr_u32(&w, s->revise.transaction);
	app_terms_put(&w, &t);
	s->revise.phase = REVISE_STORING;
	if (loop_chan_send(admin->chan, APP_BOOT_STORE, 0, (struct slice){ (char *)body, wr_len(&w) }, NULL, 0))
		give_up(s, -EIO, "admin cannot be told to store it");
}

static void maybe_store(struct super *s)
{
	if (s->revise.phase != REVISE_PREPARING || waits_for(s))
		return;
	if (s->revise.order && s->revise.order->dry_run) {
		abort_all(s);
		conclude(s, 0, NULL);
	} else {
		store(s);
	}
}

/* A child on its way up: commit what it has, bring it up to date, and it is ready. */
static void feed_on(struct child *c, uint32_t transaction)
{
	struct super *s = c->seat->super;
	int err = app_feed_commit(c, transaction, s->bundle->revision);

	if (!err && transaction != s->seq)
		err = app_feed_sockets(c);
	else if (!err)
		app_super_child_ready(c);
	if (err)
		app_super_kill(c);
}

static void refused(struct child *c, uint32_t transaction, int status, struct slice reason)
{
	struct super *s = c->seat->super;

	base_log(BASE_ERROR, "revise", "%s cannot take the configuration error=\"%.*s\"", app_role_name(c->seat->role), (int)reason.n, reason.p);
	if (transaction == s->revise.transaction && s->revise.phase == REVISE_PREPARING) {
		char why[320];

		slice_copy(why, sizeof(why), reason);
		give_up(s, status, why);
		return;
	}
	app_super_kill(c);
	if (s->phase == SUPER_STARTING)
		app_super_fail(s, status == ERR_CONFIG ? 1 : 70);
}

void app_revise_prepared(struct child *c, uint32_t transaction, int status, struct slice reason)
{
	struct super *s = c->seat->super;

	if (c->asked != transaction)
		return; /* of a change that was given up */
	c->asked = 0;
	if (status) {
		refused(c, transaction, status, reason);
	} else if (s->revise.phase == REVISE_PREPARING && transaction == s->revise.transaction) {
		c->voted = transaction;
		maybe_store(s);
	} else {
		feed_on(c, transaction);
	}
}

void app_revise_stored(struct child *c, uint32_t transaction, int status, uint64_t number)
{
	struct super *s = c->seat->super;

	if (s->revise.phase != REVISE_STORING || transaction != s->revise.transaction)
		return;
	if (status) {
		give_up(s, status, base_strerror(status));
		return;
	}
	s->revise.next->revision = number;
	commit(s);
}

void app_revise_newest(struct super *s, uint64_t number)
{
	if (s->revise.phase != REVISE_UNSURE)
		return;
	if (number <= s->bundle->revision) {
		give_up(s, -EBUSY, "admin died before it was stored");
		return;
	}
	s->revise.next->revision = number;
	commit(s);
}

void app_revise_committed(struct child *c, uint32_t transaction)
{
	if (c->taking == transaction)
		c->taking = 0;
	maybe_conclude(c->seat->super);
}

void app_revise_child_gone(struct child *c)
{
	struct super *s = c->seat->super;

	c->asked = c->voted = c->have = c->taking = 0;
	if (s->revise.phase == REVISE_STORING && c == s->seat[APP_ADMIN].serving) {
		s->revise.phase = REVISE_UNSURE;
		loop_timer_stop(&s->revise.timer);
	}
	maybe_store(s);
	maybe_conclude(s);
}

/* ---- SIGHUP ---- */

static void log_notes(const struct conf_errors *errs)
{
	const struct conf_note *n;

	for (size_t i = 0; (n = conf_errors_at(errs, i)); i++)
		base_log(n->warning ? BASE_WARN : BASE_ERROR, "revise", "%s: %s", n->pointer, n->message);
}

static void ask_one(struct child *c)
{
	struct super *s = c->seat->super;
	int err;

	if (c->have != s->seq || c->asked)
		return;
	if (c->seat->role == APP_MEDIA && s->revise.ports.blob >= 0)
		err = app_feed_grow(c);
	else
		err = app_feed_prepare(c, s->revise.transaction, &s->revise.layout, s->revise.full, s->revise.bare);
	if (err)
		app_super_kill(c);
}

void app_revise_begin(struct super *s, const struct app_next *next, struct app_order *order)
{
	struct revise *v = &s->revise;
	int err = app_feed_snapshots(next->doc, next->bundle, &v->full, &v->bare);

	v->next = next->bundle;
	v->next_doc = next->doc;
	v->layout = next->layout;
	v->ports = next->ports;
	v->door = next->door;
	v->order = order;
	v->transaction = ++v->last;
	if (err) {
		give_up(s, err, base_strerror(err));
		return;
	}
	v->phase = REVISE_PREPARING;
	loop_timer_start(s->loop, &v->timer, PREPARE_MS, timed_out, s);
	app_super_each(s, ask_one);
	maybe_store(s);
}

static int read_again(struct super *s, struct app_bundle **ret)
{
	struct conf_errors *errs = NULL;
	struct app_bundle *next = NULL;
	int err = conf_errors_new(&errs);

	if (!err)
		err = app_files_again(s->doc, s->bundle, &s->p->places, errs, &next);
	if (!err) {
		app_files_check(s->doc, next, errs);
		err = conf_errors_count(errs) ? ERR_CONFIG : 0;
	}
	log_notes(errs);
	base_unref(errs);
	if (err)
		base_unref(next);
	else
		*ret = next;
	return err;
}

static void begin_hup(struct super *s, struct app_bundle *bundle)
{
	struct app_next next = { .bundle = bundle, .ports.blob = -1, .door.fd = -1 };
	int err = app_numbers_plan(&s->numbers, s->doc, NULL, &next.layout); /* all are open: nothing can be refused */

	if (err) {
		base_unref(bundle);
		return;
	}
	next.doc = base_ref(s->doc);
	app_revise_begin(s, &next, NULL);
}

void app_revise_hup(struct super *s)
{
	struct app_bundle *next = NULL;
	int err;

	if (s->phase >= SUPER_DRAINING)
		return;
	if (s->revise.phase != REVISE_IDLE || !app_super_ready(s)) {
		s->revise.again = true;
		if (s->revise.phase == REVISE_IDLE)
			loop_timer_start(s->loop, &s->revise.timer, LATER_MS, again, s);
		return;
	}
	err = read_again(s, &next);
	if (err) {
		base_log(BASE_ERROR, "revise", "files are not taken, revision %llu stays in force error=\"%s\"", (unsigned long long)s->bundle->revision,
			base_strerror(err));
	} else if (app_bundle_same(next, s->bundle)) {
		base_log(BASE_INFO, "revise", "no file has changed");
		base_unref(next);
	} else {
		begin_hup(s, next);
	}
}
