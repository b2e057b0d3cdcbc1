/* SPDX-License-Identifier: Apache-2.0 */
/*
 * app/ending: SIGTERM drains (no new calls, wait for the others at most system.drain_seconds, end the rest with BYE), then engine,
 * then media and admin are stopped, admin last of all to write what the ring holds. A second SIGTERM ends the calls at once, a third one
 * everything.
 */
#include "app/notify.h"
#include "app/super.h"
#include "postern/conf.h"
#include "postern/peer.h"

#define GRACE_MS 3000

static void stop_rest(struct super *s);

static void stop_child(struct child *c)
{
	if (loop_chan_send(c->chan, APP_BOOT_STOP, 0, SLICE(""), NULL, 0))
		app_super_kill(c);
}

static void kill_serving(struct super *s, bool engine)
{
	for (size_t i = 0; i < APP_ROLES; i++)
		if ((i == APP_ENGINE) == engine && s->seat[i].serving)
			app_super_kill(s->seat[i].serving);
}

static void engine_late(void *arg)
{
	kill_serving(arg, true);
}

static void rest_late(void *arg)
{
	kill_serving(arg, false);
}

static void stop_engine(struct super *s)
{
	s->phase = SUPER_STOP_ENGINE;
	app_notify("STOPPING=1");
	for (size_t i = 0; i < APP_ROLES; i++)
		if (s->seat[i].spare)
			app_super_kill(s->seat[i].spare);
	if (!s->seat[APP_ENGINE].serving) {
		stop_rest(s);
		return;
	}
	loop_timer_start(s->loop, &s->end_timer, GRACE_MS, engine_late, s);
	stop_child(s->seat[APP_ENGINE].serving);
}

static void stop_rest(struct super *s)
{
	bool any = false;

	s->phase = SUPER_STOP_REST;
	loop_timer_start(s->loop, &s->end_timer, GRACE_MS, rest_late, s);
	for (size_t i = 0; i < APP_ROLES; i++)
		if (i != APP_ENGINE && s->seat[i].serving) {
			stop_child(s->seat[i].serving);
			any = true;
		}
	if (!any)
		loop_stop(s->loop);
}

static void drain_late(void *arg)
{
	base_log(BASE_WARN, "super", "the engine did not finish draining");
	stop_engine(arg);
}

/* Once more, with less time: the engine ends with BYE what is left when it is over. */
static void drain_engine(struct super *s, uint32_t seconds)
{
	struct child *engine = s->seat[APP_ENGINE].serving;

	s->drain_end = mono_add_ms(base_mono_now(), (int64_t)seconds * 1000);
	loop_timer_start(s->loop, &s->end_timer, (int64_t)seconds * 1000 + 2 * GRACE_MS, drain_late, s);
	if (engine && engine->state == CHILD_SERVING && app_feed_plain(engine, APP_BOOT_DRAIN, seconds))
		app_super_kill(engine);
}

static void drain(struct super *s)
{
	size_t n = 0;
	const struct peer_system_conf *sys = conf_objects(s->doc, &peer_schema_system, &n)[0];

	s->phase = SUPER_DRAINING;
	base_log(BASE_INFO, "super", "draining for at most %lld s", (long long)sys->drain_seconds);
	app_notify("STOPPING=1");
	app_super_health(s);
	drain_engine(s, (uint32_t)sys->drain_seconds);
}

void app_ending_signal(struct super *s)
{
	switch (s->phase) {
	case SUPER_STARTING:
		loop_stop(s->loop);
		break;
	case SUPER_RUNNING:
		drain(s);
		break;
	case SUPER_DRAINING:
		drain_engine(s, 0);
		break;
	default:
		kill_serving(s, true);
		kill_serving(s, false);
	}
}

void app_ending_drained(struct super *s)
{
	if (s->phase == SUPER_DRAINING)
		stop_engine(s);
}

void app_ending_engine_serves(struct super *s)
{
	int64_t left = -mono_ms_since(base_mono_now(), s->drain_end);

	/* the one that was draining died: its successor goes on with what is left of the time */
	if (s->phase == SUPER_DRAINING)
		drain_engine(s, left > 0 ? (uint32_t)((left + 999) / 1000) : 0);
}

void app_ending_child_gone(struct super *s, enum app_role role)
{
	if (s->phase == SUPER_STOP_ENGINE && role == APP_ENGINE && !s->seat[APP_ENGINE].serving)
		stop_rest(s);
	else if (s->phase == SUPER_STOP_REST && !s->seat[APP_MEDIA].serving && !s->seat[APP_ADMIN].serving)
		loop_stop(s->loop);
}
