/* SPDX-License-Identifier: Apache-2.0 */
/*
 * app/revise: a new revision in two phases. Every child that has the revision in force prepares the next one; when all have,
 * admin makes it durable; then all commit. One that cannot: all abort, the old stays. A child that was still being fed
 * takes no part and is brought up to date afterwards.
 * Today for SIGHUP: the same document, its files read again.
 */
#include <unistd.h>

#include "app/notify.h"
#include "app/super.h"
#include "postern/conf.h"

#define PREPARE_MS 5000
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
	loop_timer_stop(&s->revise.timer);
}

static void again(void *arg)
{
	struct super *s = arg;

	s->revise.again = false;
	app_revise_hup(s);
}

/* Back to idle; a wish that came meanwhile is looked at now. */
static void conclude(struct super *s)
{
	app_revise_fini(s);
	s->revise.phase = REVISE_IDLE;
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
}

static void give_up(struct super *s, const char *why)
{
	base_log(BASE_ERROR, "revise", "the new revision is not taken, revision %llu stays in force error=\"%s\"", (unsigned long long)s->bundle->revision, why);
	app_super_each(s, abort_one);
	conclude(s);
}

static void kill_silent(struct child *c)
{
	if (c->asked == c->seat->super->revise.transaction)
		app_super_kill(c);
}

static void timed_out(void *arg)
{
	app_super_each(arg, kill_silent);
	give_up(arg, "a process did not answer in time");
}

/* Those that voted commit; those that came up meanwhile are brought up to date, once what they were asked before is answered. */
static void commit_one(struct child *c)
{
	struct super *s = c->seat->super;
	int err = 0;

	if (c->voted == s->seq)
		err = app_feed_commit(c, s->seq, s->bundle->revision);
	else if (c->have && !c->asked)
		err = app_feed_prepare(c, s->seq, s->full, s->bare);
	c->voted = 0;
	if (err)
		app_super_kill(c);
}

static void commit(struct super *s)
{
	struct revise *v = &s->revise;

	s->seq = v->transaction;
	base_unref(s->bundle);
	s->bundle = base_ref(v->next);
	close(s->full);
	close(s->bare);
	s->full = v->full;
	s->bare = v->bare;
	v->full = v->bare = -1;
	app_super_each(s, commit_one);
	base_log(BASE_INFO, "revise", "revision %llu is in force", (unsigned long long)s->bundle->revision);
	conclude(s);
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

static void store(struct super *s)
{
	struct child *admin = s->seat[APP_ADMIN].serving;
	uint8_t body[128];
	struct writer w = writer_on(body, sizeof(body));

	if (!admin || admin->state != CHILD_SERVING || admin->voted != s->revise.transaction) {
		give_up(s, "admin is not there to store it");
		return;
	}
	wr_u32(&w, s->revise.transaction);
	wr_slice(&w, SLICE("sighup"));
	wr_slice(&w, SLICE("certificates and policies read again"));
	s->revise.phase = REVISE_STORING;
	if (loop_chan_send(admin->chan, APP_BOOT_STORE, 0, (struct slice){ (char *)body, wr_len(&w) }, NULL, 0))
		give_up(s, "admin cannot be told to store it");
}

static void maybe_store(struct super *s)
{
	if (s->revise.phase == REVISE_PREPARING && !waits_for(s))
		store(s);
}

/* A child on its way up: commit what it has, bring it up to date, and it is ready. */
static void feed_on(struct child *c, uint32_t transaction)
{
	struct super *s = c->seat->super;
	int err = app_feed_commit(c, transaction, s->bundle->revision);

	if (!err && transaction != s->seq)
		err = app_feed_prepare(c, s->seq, s->full, s->bare);
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
		give_up(s, "a process refused it");
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
		give_up(s, base_strerror(status));
		return;
	}
	s->revise.next->revision = number;
	commit(s);
}

void app_revise_child_gone(struct child *c)
{
	struct super *s = c->seat->super;

	c->asked = c->voted = c->have = 0;
	if (s->revise.phase == REVISE_STORING && c == s->seat[APP_ADMIN].serving)
		give_up(s, "admin died while storing it");
	else
		maybe_store(s);
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

	if (c->have == s->seq && !c->asked && app_feed_prepare(c, s->revise.transaction, s->revise.full, s->revise.bare))
		app_super_kill(c);
}

/* Takes next over. */
static void begin(struct super *s, struct app_bundle *next)
{
	struct revise *v = &s->revise;
	int err = app_feed_snapshots(s->p->doc, next, &v->full, &v->bare);

	v->next = next;
	v->transaction = ++v->last;
	if (err) {
		give_up(s, base_strerror(err));
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
		err = app_files_again(s->p->doc, s->bundle, &s->p->places, errs, &next);
	if (!err) {
		app_files_check(s->p->doc, next, errs);
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
		begin(s, next);
	}
}
