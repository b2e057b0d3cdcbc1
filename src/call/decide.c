/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of a change: the profile of the leg that it came on, the shield of the other, the storm guard (design.md section 6).
 * Changes nothing but the memory of headers and decisions; consume.c and midcall.c act.
 */
#include "call/b2b.h"
#include "postern/conf.h"

#define BIT(p) (1u << (p))
/* these are sent on although the session shown does not differ */
#define ANYWAY (BIT(CALL_REFRESH) | BIT(CALL_OFFERLESS) | BIT(CALL_ADDRESS) | BIT(CALL_IDENTITY) | BIT(CALL_KEYS))
#define STORM_MS 10000
#define STORM_MOST 10

enum { CONSUME, RELAY, CONSUME_OR_RELAY };

static const struct call_midcall_conf *profile(const struct call_leg *leg)
{
	const struct conf_doc *d = peer_set_doc(leg->call->peers);
	const struct call_midcall_conf *m = leg->trunk->mid_call ? conf_find(d, &call_schema_midcall, leg->trunk->mid_call) : NULL;

	return m ? m : conf_find(d, &call_schema_midcall, "default");
}

static int64_t action_of(const struct call_midcall_conf *p, enum wire_method m, enum call_purpose what)
{
	return m == WIRE_UPDATE ? p->update[what] : p->reinvite[what];
}

/** Can a change of this kind be answered here at all? */
static bool can_consume(const struct call_leg *leg, enum call_purpose what, const struct wire_sdp *now, const struct call_change *ch)
{
	return what == CALL_CODEC ? call_shown_can_codec(leg, now, ch) : what != CALL_FAX;
}

/** Action for one purpose: CONSUME, RELAY or a status. */
static int act(const struct call_leg *leg, enum wire_method m, enum call_purpose what, const struct wire_sdp *now, const struct call_change *ch)
{
	const struct call_midcall_conf *other = profile(call_other((struct call_leg *)(uintptr_t)leg));
	int64_t a = action_of(profile(leg), m, what);
	bool can = a >= 400 || can_consume(leg, what, now, ch);

	if (a == CONSUME_OR_RELAY)
		a = can ? CONSUME : RELAY;
	if (a == RELAY && other->shield)
		a = CONSUME; /* the shield takes what consume-all would consume */
	return a == CONSUME && !can ? 488 : (int)a;
}

/** More mid-call requests than a peer has reason to send? */
static bool storm(struct call_leg *leg)
{
	int64_t now = base_wall_ms();

	if (now - leg->storm_at_ms >= STORM_MS || now < leg->storm_at_ms) {
		leg->storm_at_ms = now;
		leg->storm = 0;
	}
	return ++leg->storm > STORM_MOST;
}

/** Directions of the peer as the other leg is to be shown them. */
static void directions(struct call_leg *leg, const struct call_change *ch, struct call_verdict *v)
{
	unsigned i;

	memcpy(v->shown_dir, leg->shown_dir, sizeof v->shown_dir);
	for (i = 0; i < CALL_STREAMS; i++) {
		if (ch->line[i] & v->relayed & (BIT(CALL_HOLD) | BIT(CALL_ADD) | BIT(CALL_FAX)))
			v->shown_dir[i] = v->want_dir[i];
		else if (ch->line[i] & BIT(CALL_HOLD))
			v->shown_dir[i] |= v->want_dir[i]; /* a hold that was shown is taken back when it ends */
	}
}

/** Does the session that the other leg was shown differ from what it is to be shown? */
static bool differs(const struct call_leg *leg, const struct wire_sdp *now, const struct call_change *ch, const struct call_verdict *v)
{
	static const struct call_change none;
	struct slice text;
	uint64_t mark;

	if (memcmp(v->shown_dir, leg->shown_dir, sizeof v->shown_dir))
		return true;
	if (call_shown_offer(leg, now, &none, 0, leg->shown_dir, &text))
		return true;
	mark = call_sdp_mark(text);
	return call_shown_offer(leg, now, ch, v->relayed, v->shown_dir, &text) || call_sdp_mark(text) != mark;
}

/** An answer's directions: a line changed where the peer wants another one than before. */
static void answer_holds(struct call_leg *leg, struct call_change *ch, const uint8_t *want)
{
	unsigned i;

	ch->all &= ~BIT(CALL_HOLD);
	for (i = 0; i < WIRE_SDP_MEDIA; i++) {
		ch->line[i] &= ~BIT(CALL_HOLD);
		if (i < CALL_STREAMS && want[i] != leg->want_dir[i])
			ch->line[i] |= BIT(CALL_HOLD);
		ch->all |= ch->line[i] & BIT(CALL_HOLD);
	}
}

static void wants(struct call_leg *leg, const struct wire_sdp *now, bool answer, struct call_change *ch, struct call_verdict *v)
{
	memcpy(v->want_dir, leg->want_dir, sizeof v->want_dir);
	if (now && answer) {
		call_shown_answered(now, (struct slice){ leg->sdp_out.p, leg->sdp_out.n }, v->want_dir);
		answer_holds(leg, ch, v->want_dir);
	} else if (now) {
		call_shown_wants(now, v->want_dir);
	}
}

static void actions(struct call_leg *leg, enum wire_method m, const struct wire_sdp *now, const struct call_change *ch, struct call_verdict *v)
{
	unsigned p;

	for (p = 0; p < CALL_KEYS; p++) {
		int a = v->purposes & BIT(p) ? act(leg, m, (enum call_purpose)p, now, ch) : CONSUME;

		if (p == CALL_ADDRESS && v->purposes & BIT(p) && call_sdp_around(leg->call))
			a = RELAY; /* nobody but the other side can follow it */
		if (a == RELAY)
			v->relayed |= BIT(p);
		else if (a >= 400 && !v->status)
			v->status = a;
	}
	if (v->purposes & BIT(CALL_KEYS) && call_sdp_around(leg->call))
		v->relayed |= BIT(CALL_KEYS);
}

void call_decide(struct call_leg *leg, enum wire_method m, const struct wire_sdp *now, bool answer, struct call_change *ch, struct call_verdict *v)
{
	*v = (struct call_verdict){ .reason = "profile" };
	wants(leg, now, answer, ch, v);
	if (now && ch->all & BIT(CALL_ADD) && call_shown_rejoined(leg, now, ch))
		v->reason = "rejoined";
	v->purposes = ch->all ? ch->all : BIT(CALL_REFRESH);
	actions(leg, m, now, ch, v);
	if (v->status)
		return;
	if (storm(leg) && !(v->relayed & ~ANYWAY)) {
		base_count(COUNTER_MIDCALL_STORM);
		v->reason = "storm";
		v->relayed = 0;
	}
	directions(leg, ch, v);
	v->relay = v->relayed & ANYWAY || (now && differs(leg, now, ch, v));
	if (v->relayed && !v->relay)
		v->reason = "shown-already";
	else if (v->relay && !v->relayed)
		v->reason = "hold-taken-back";
}

void call_decide_answer(struct call_leg *leg, enum wire_method m, const struct wire_sdp *answer, struct slice offer)
{
	uint8_t want[CALL_STREAMS];
	bool relay = action_of(profile(leg), m, CALL_HOLD) == RELAY && !profile(call_other(leg))->shield;
	unsigned i;

	memcpy(want, leg->want_dir, sizeof want);
	call_shown_answered(answer, offer, want);
	for (i = 0; i < CALL_STREAMS; i++)
		if (want[i] != leg->want_dir[i])
			leg->shown_dir[i] = relay ? want[i] : (uint8_t)(leg->shown_dir[i] | want[i]);
	memcpy(leg->want_dir, want, sizeof want);
}

/** A value that section 4 would not send on is no change: P-Asserted-Identity under `Privacy: id` (RFC 3325). */
static bool may_cross(const char *name, const struct wire_sip *sip, const struct call_leg *to)
{
	char buf[256];
	struct slice v, one;
	bool before = true; /* at the beginning of a word */

	if (!to->trunk || to->trunk->conf->trusted || !slice_eq_nocase(slice_str(name), SLICE("P-Asserted-Identity")))
		return true;
	v = wire_sip_header(sip, "Privacy", buf, sizeof buf);
	for (; v.n; before = strchr("; ,", *v.p) != NULL, v.p++, v.n--) {
		one = (struct slice){ v.p, 2 };
		if (v.n >= 2 && slice_eq_nocase(one, SLICE("id")) && (v.n == 2 || strchr("; ,", v.p[2])) && before)
			return false;
	}
	return true;
}

bool call_identity_changed(struct call_leg *leg, const struct wire_sip *sip)
{
	const struct call_midcall_conf *p = profile(leg);
	const char *const *name = p->relay_if_changed.v;
	bool changed = false;
	char buf[1024];
	size_t i;

	for (i = 0; i < p->relay_if_changed.n && i < CALL_IDENTITIES; i++) {
		struct slice v = wire_sip_header(sip, name[i], buf, sizeof buf);
		uint32_t h = v.p ? base_hash_bytes(v.p, v.n, 7) | 1u : 0;

		if (!h || h == leg->identity[i])
			continue; /* absent: no change */
		leg->identity[i] = h;
		changed = changed || may_cross(name[i], sip, call_other(leg));
	}
	return changed;
}

/* ---- decisions ---- */
void call_decision_note(struct call_leg *leg, enum wire_method m, const struct call_verdict *v)
{
	struct call *c = leg->call;

	base_count(v->status ? COUNTER_MIDCALL_REFUSED : v->relay ? COUNTER_MIDCALL_RELAYED : COUNTER_MIDCALL_CONSUMED);
	c->decision[c->ndecisions++ % CALL_DECISIONS] = (struct call_decision){ .at_ms = base_wall_ms(), .leg = leg == &c->leg[1], .purposes = v->purposes,
		.relayed = v->relayed, .method = m, .status = v->status, .action = v->status ? "refuse" : v->relay ? "relay" : "consume",
		.reason = v->reason };
}

static void print_one(struct text *t, const struct call_decision *d)
{
	const char *sep = "";
	unsigned p;

	text_add(t, "{\"time_ms\": %lld, \"leg\": \"%s\", \"method\": \"%s\", \"purposes\": [", (long long)d->at_ms, d->leg ? "b" : "a",
		wire_method_name(d->method));
	for (p = 0; p < CALL_ALL_PURPOSES; p++)
		if (d->purposes & BIT(p)) {
			text_add(t, "%s\"%s\"", sep, call_purpose_name((enum call_purpose)p));
			sep = ", ";
		}
	text_add(t, "], \"action\": \"%s\", \"status\": %d, \"reason\": \"%s\"}", d->action, d->status, d->reason);
}

struct slice call_decisions_print(const struct call *c, char *buf, size_t size)
{
	struct text t = text_on(buf, size);
	unsigned i = c->ndecisions > CALL_DECISIONS ? c->ndecisions - CALL_DECISIONS : 0;

	if (!c->ndecisions)
		return (struct slice){ "", 0 };
	text_add(&t, "[");
	for (; i < c->ndecisions; i++) {
		print_one(&t, &c->decision[i % CALL_DECISIONS]);
		text_add(&t, i + 1 < c->ndecisions ? ", " : "]");
	}
	return t.cut ? (struct slice){ "", 0 } : text_get(&t);
}
