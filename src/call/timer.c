/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Session timers, each leg with its own (RFC 4028; design.md section 7): who refreshes, how often, and what happens when nobody does.
 * `relay` is `local` where the legs do not both say so; where they do the peers refresh each other by forward.c, and here is only what ends the call
 * when they stop. Requests are sent by own.c.
 */
#include <stdio.h>

#include "call/b2b.h"
#include "postern/conf.h"

#define SMALLEST 90u        /* RFC 4028 section 4 */
#define FLOOR_S  10u        /* least interval of a 2xx that we follow: no peer may say so little, none has us refresh without end */
#define AGAIN_MS 10000      /* a refresh that failed, without Retry-After */

enum { MODE_LOCAL, MODE_RELAY, MODE_OFF };
enum { METHOD_AUTO, METHOD_UPDATE, METHOD_INVITE };
enum { REFRESHER_AUTO, REFRESHER_LOCAL, REFRESHER_PEER };

struct expires { uint32_t s; int refresher; }; /* refresher: 0 none named, 1 uac, 2 uas */

static const struct call_timer_conf *profile(const struct peer_set *peers, const struct peer_trunk *t)
{
	const struct conf_doc *d = peer_set_doc(peers);
	const struct call_timer_conf *c = t->session_timer ? conf_find(d, &call_schema_timers, t->session_timer) : NULL;

	return c ? c : conf_find(d, &call_schema_timers, "default");
}

static const struct call_timer_conf *profile_of(const struct call_leg *l) { return profile(l->call->peers, l->trunk); }

bool call_timer_off(const struct peer_set *peers, const struct peer_trunk *t) { return profile(peers, t)->mode == MODE_OFF; }

bool call_timer_leg_off(const struct call_leg *leg) { return profile_of(leg)->mode == MODE_OFF || (leg->dialog && sipua_dialog_no_timer(leg->dialog)); }

bool call_timer_relayed(const struct call *c)
{
	return !c->apart && c->leg[0].trunk && c->leg[1].trunk && profile_of(&c->leg[0])->mode == MODE_RELAY && profile_of(&c->leg[1])->mode == MODE_RELAY;
}

/* ---- headers ---- */
static uint32_t seconds(struct slice v)
{
	uint64_t n;
	size_t i;

	for (i = 0; i < v.n && v.p[i] >= '0' && v.p[i] <= '9'; i++)
		;
	return slice_u64((struct slice){ v.p, i }, UINT32_MAX, &n) ? 0 : (uint32_t)n;
}

static struct expires expires_of(const struct wire_sip *sip)
{
	char buf[256];
	struct slice v = wire_sip_header(sip, "Session-Expires", buf, sizeof buf), who;
	const char *semi = v.p ? memchr(v.p, ';', v.n) : NULL;
	struct expires e = { v.p ? seconds(v) : 0, 0 };

	if (!semi)
		return e;
	who = wire_param((struct slice){ semi + 1, v.n - (size_t)(semi + 1 - v.p) }, "refresher");
	e.refresher = slice_eq_nocase(who, SLICE("uac")) ? 1 : slice_eq_nocase(who, SLICE("uas")) ? 2 : 0;
	return e;
}

static uint32_t min_se_of(const struct wire_sip *sip)
{
	char buf[64];
	struct slice v = wire_sip_header(sip, "Min-SE", buf, sizeof buf);

	return v.p ? seconds(v) : 0;
}

static int add_expires(struct sipua_msg *msg, uint32_t s, const char *refresher)
{
	char buf[64];
	struct text t = text_on(buf, sizeof buf);

	text_add(&t, "%u", s);
	if (refresher)
		text_add(&t, ";refresher=%s", refresher);
	return sipua_msg_add(msg, "Session-Expires", text_get(&t));
}

static int add_min_se(struct sipua_msg *msg, uint32_t s)
{
	char buf[16];

	if (s <= SMALLEST)
		return 0;
	snprintf(buf, sizeof buf, "%u", s);
	return sipua_msg_add(msg, "Min-SE", slice_str(buf));
}

/** A header as it came. */
static int carry(struct sipua_msg *msg, const struct wire_sip *sip, const char *name)
{
	char buf[256];
	struct slice v = wire_sip_header(sip, name, buf, sizeof buf);

	return v.p && v.n ? sipua_msg_add(msg, name, v) : 0;
}

void call_timer_carry_min(struct sipua_msg *msg, const struct wire_sip *response)
{
	if (carry(msg, response, "Min-SE"))
		base_count(COUNTER_HEADER_CUT);
}

bool call_timer_passes(const struct wire_sip *request, const struct call_leg *leg)
{
	return call_timer_relayed(leg->call) && expires_of(request).s;
}

/* ---- the clock of a leg ---- */
/** Before the end of the interval both sides are told, so much; where the peers refresh each other they are, not before it is over. */
static uint32_t slack(const struct call_timer *t) { return t->through ? 0 : t->s / 3 < 32 ? t->s / 3 : 32; }

static void expired(struct call_leg *leg)
{
	struct call *c = leg->call;

	base_count(COUNTER_TIMER_EXPIRED);
	c->bye_cause = 408;
	call_end(c, "session-timer", "postern", 408, NULL, NULL);
}

static void on_time(void *arg);

/** Wake at the refresh that is ours, or at the deadline. */
static void arm(struct call_leg *leg, bool refresh)
{
	struct call_timer *t = &leg->timer;
	int64_t left = t->deadline_ms - base_wall_ms(), at = left;

	if (t->role == CALL_TIMER_WE && refresh && !t->through)
		at = left - ((int64_t)t->s * 1000 - (int64_t)slack(t) * 1000 - (int64_t)t->s * 500);
	loop_timer_start(leg->call->eng->p.loop, &t->t, at > 0 ? at : 0, on_time, leg);
}

static void on_time(void *arg)
{
	struct call_leg *leg = arg;

	if (base_wall_ms() >= leg->timer.deadline_ms) {
		expired(leg);
		return;
	}
	arm(leg, false);
	call_own_add(leg, CALL_OWN_REFRESH);
}

static void start(struct call_leg *leg, enum call_timer_role role, uint32_t s)
{
	leg->timer.role = role;
	leg->timer.s = s;
	leg->timer.deadline_ms = base_wall_ms() + ((int64_t)s - slack(&leg->timer)) * 1000;
	leg->todo &= ~(1u << CALL_OWN_REFRESH);
	arm(leg, true);
}

void call_timer_stop(struct call_leg *leg)
{
	loop_timer_stop(&leg->timer.t);
	leg->timer.role = CALL_TIMER_NONE;
	leg->timer.s = 0;
	leg->todo &= ~(1u << CALL_OWN_REFRESH);
}

void call_timer_restore(struct call_leg *leg)
{
	if (leg->timer.role != CALL_TIMER_NONE)
		arm(leg, true);
}

/* ---- requests of the peer ---- */
uint32_t call_timer_small(const struct peer_set *peers, const struct peer_trunk *trunk, const struct wire_sip *sip)
{
	const struct call_timer_conf *p = profile(peers, trunk);
	struct expires e = expires_of(sip);

	return p->mode != MODE_OFF && e.s && e.s < p->min_se && wire_sip_supported(sip, "timer") ? (uint32_t)p->min_se : 0;
}

static enum call_timer_role role_of(const struct call_timer_conf *p, const struct expires *e, bool supports)
{
	if (e->refresher)
		return e->refresher == 1 ? CALL_TIMER_PEER : CALL_TIMER_WE;
	if (!supports)
		return CALL_TIMER_WE;
	return p->refresher == REFRESHER_LOCAL ? CALL_TIMER_WE : CALL_TIMER_PEER;
}

/** Interval of our 2xx: theirs, lowered to ours, never under what they or we allow. */
static uint32_t interval(const struct call_timer_conf *p, uint32_t asked, uint32_t min_se)
{
	uint32_t s = asked > p->expires ? (uint32_t)p->expires : asked;

	if (s < min_se)
		s = min_se;
	return s < p->min_se ? (uint32_t)p->min_se : s;
}

/** Into our 2xx: who refreshes, and how often. */
static int say(struct call_leg *to, struct sipua_msg *msg, enum call_timer_role role, uint32_t s)
{
	int err = add_expires(msg, s, role == CALL_TIMER_PEER ? "uac" : "uas");

	start(to, role, s);
	return err || role != CALL_TIMER_PEER ? err : sipua_msg_add(msg, "Require", SLICE("timer"));
}

/** Mode relay: as the other leg's peer has said; the refresher there is no refresher here, and the other way round. */
static int accept_through(struct call_leg *to, struct sipua_msg *msg)
{
	const struct call_timer *t = &call_other(to)->timer;

	to->timer.through = true;
	if (t->role != CALL_TIMER_NONE)
		return say(to, msg, t->role == CALL_TIMER_WE ? CALL_TIMER_PEER : CALL_TIMER_WE, t->s);
	call_timer_stop(to);
	return 0;
}

/** Does the peer list the option? */
static bool knows_timers(const struct wire_sip *sip)
{
	static const char *const none[] = { NULL };
	char buf[256];
	struct slice required = wire_sip_unknown_required(sip, none, buf, sizeof buf), one;
	const char *comma;

	if (wire_sip_supported(sip, "timer"))
		return true;
	for (; required.n; required = comma ? (struct slice){ comma + 1, required.n - one.n - 1 } : (struct slice){ NULL, 0 }) {
		comma = memchr(required.p, ',', required.n);
		one = comma ? (struct slice){ required.p, (size_t)(comma - required.p) } : required;
		if (slice_eq_nocase(call_text_trimmed(one), SLICE("timer")))
			return true;
	}
	return false;
}

int call_timer_accept(struct call_leg *to, struct sipua_msg *msg, const struct wire_sip *request)
{
	const struct call_timer_conf *p = profile_of(to);
	struct expires e = expires_of(request);
	enum call_timer_role role = to->timer.role;
	uint32_t s = to->timer.s;
	bool aware = knows_timers(request);

	if (call_timer_leg_off(to) || to->call->state < CALL_UP)
		return 0; /* an early dialog has no session to be refreshed yet */
	if (e.s && call_timer_relayed(to->call) && call_other(to)->timer.through) {
		to->answered_once = true;
		return accept_through(to, msg);
	}
	if (e.s || (role == CALL_TIMER_NONE && p->add_if_missing && !to->answered_once)) {
		role = role_of(p, &e, aware);
		s = interval(p, e.s ? e.s : (uint32_t)p->expires, min_se_of(request));
		to->timer.unaware = !aware;
		to->timer.through = false;
	}
	to->answered_once = true;
	return role == CALL_TIMER_NONE ? 0 : say(to, msg, role, s);
}

/* ---- requests of ours ---- */
/** Mode relay: as the other side says. */
static int pass(struct sipua_msg *msg, const struct wire_sip *from)
{
	int err = carry(msg, from, "Session-Expires");

	return err ? err : carry(msg, from, "Min-SE");
}

/** Session-Expires and Min-SE of our own. */
static int ask(const struct call_timer_conf *p, const struct call_timer *t, struct sipua_msg *msg, uint32_t s)
{
	uint32_t least = t->min_se > p->min_se ? t->min_se : (uint32_t)p->min_se;
	int err = add_expires(msg, s < least ? least : s, p->refresher == REFRESHER_LOCAL ? "uac" : p->refresher == REFRESHER_PEER ? "uas" : NULL);

	return err ? err : add_min_se(msg, least);
}

int call_timer_invite(struct call_leg *to, struct sipua_msg *msg, const struct wire_sip *from)
{
	const struct call_timer_conf *p = profile_of(to);
	struct expires e = expires_of(from);

	if (call_timer_leg_off(to))
		return 0;
	to->timer.through = e.s && call_timer_relayed(to->call);
	if (to->timer.through)
		return pass(msg, from);
	if (to->timer.none || (!e.s && !p->add_if_missing))
		return 0;
	return ask(p, &to->timer, msg, e.s && e.s < p->expires ? e.s : (uint32_t)p->expires);
}

bool call_timer_again(struct call_leg *to, const struct wire_sip *response)
{
	struct call_timer *t = &to->timer;
	uint32_t least = min_se_of(response);

	if (t->none || t->through)
		return false;
	if (least > t->min_se && t->small++ < 2)
		t->min_se = least;
	else
		t->none = true;
	return true;
}

int call_timer_request(struct call_leg *to, struct sipua_msg *msg)
{
	const struct call_timer_conf *p = profile_of(to);
	const struct call_timer *t = &to->timer;
	uint32_t s = t->s < t->min_se ? t->min_se : t->s;
	bool we = p->refresher == REFRESHER_AUTO || t->through ? t->role == CALL_TIMER_WE : p->refresher == REFRESHER_LOCAL;
	int err;

	if (call_timer_leg_off(to))
		return 0;
	if (t->role == CALL_TIMER_NONE || t->none || to->call->state < CALL_UP)
		return 0;
	err = add_expires(msg, s, we ? "uac" : "uas");
	return err ? err : add_min_se(msg, t->min_se > (uint32_t)p->min_se ? t->min_se : (uint32_t)p->min_se);
}

int call_timer_forward(struct call_leg *to, struct sipua_msg *msg, const struct wire_sip *from)
{
	if (to->call->state < CALL_UP || !expires_of(from).s || !call_timer_relayed(to->call))
		return call_timer_request(to, msg);
	to->timer.through = true;
	return pass(msg, from);
}

void call_timer_accepted(struct call_leg *leg, const struct wire_sip *response)
{
	struct expires e = expires_of(response);

	if (call_timer_leg_off(leg))
		return;
	leg->answered_once = true;
	leg->timer.small = 0;
	if (e.s)
		start(leg, e.refresher == 2 ? CALL_TIMER_PEER : CALL_TIMER_WE, e.s < FLOOR_S && !leg->timer.through ? FLOOR_S : e.s);
	else if (leg->timer.role == CALL_TIMER_WE && leg->timer.unaware && !leg->timer.none)
		start(leg, CALL_TIMER_WE, leg->timer.s); /* it never knew of the timer that we keep for it */
	else
		call_timer_stop(leg);
}

void call_timer_policed(struct call_leg *leg, const struct wire_sip *sent)
{
	struct expires e = expires_of(sent);

	if (!e.s)
		call_timer_stop(leg);
	else if (!call_timer_leg_off(leg))
		start(leg, e.refresher == 1 ? CALL_TIMER_PEER : e.refresher == 2 ? CALL_TIMER_WE : leg->timer.role == CALL_TIMER_NONE ? CALL_TIMER_PEER : leg->timer.role, e.s);
}

bool call_timer_by_invite(const struct call_leg *leg)
{
	const struct call_timer_conf *p = profile_of(leg);

	if (leg->update_refused || p->method == METHOD_INVITE)
		return true;
	return p->method == METHOD_AUTO && !(leg->allow & 1u << WIRE_UPDATE);
}

void call_timer_failed(struct call_leg *leg, int status, const struct wire_sip *sip)
{
	char buf[64];
	struct slice v = sip ? wire_sip_header(sip, "Retry-After", buf, sizeof buf) : (struct slice){ NULL, 0 };
	int64_t after = v.p && seconds(v) ? (int64_t)seconds(v) * 1000 : AGAIN_MS;

	if (status == 481 || status == 408) {
		leg->over = status == 481;
		leg->call->bye_cause = status;
		call_end(leg->call, "dialog-lost", "postern", status, NULL, NULL);
		return;
	}
	if (status == 422 && sip && min_se_of(sip) > leg->timer.min_se && leg->timer.small++ < 2) {
		leg->timer.min_se = min_se_of(sip);
		after = 0;
	}
	leg->todo |= 1u << CALL_OWN_REFRESH;
	call_own_kick(leg, after);
}
