/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of a change: the profile of the leg that it came on, the shield of the other, the storm guard (design.md section 6).
 * Changes nothing but the memory of headers and decisions; consume.c and midcall.c act.
 */
#include <stdio.h>

#include "call/b2b.h"
#include "postern/conf.h"

#define BIT(p) (1u << (p))
/* these are sent on although the session shown does not differ */
#define ANYWAY (BIT(CALL_REFRESH) | BIT(CALL_OFFERLESS) | BIT(CALL_ADDRESS) | BIT(CALL_IDENTITY) | BIT(CALL_KEYS))
/* of no media: what a storm is made of */
#define QUIET (BIT(CALL_REFRESH) | BIT(CALL_OFFERLESS) | BIT(CALL_IDENTITY))

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

bool call_decide_relays(const struct call_leg *leg, enum wire_method m, enum call_purpose what)
{
	return action_of(profile(leg), m, what) == RELAY && !profile(call_other((struct call_leg *)(uintptr_t)leg))->shield;
}

/** More requests without a change of media than a peer has reason to send? */
static bool storm(struct call_leg *leg)
{
	const struct call_midcall_conf *p = profile(leg);
	int64_t now = base_wall_ms();

	if (now - leg->storm_at_ms >= p->storm_seconds * 1000 || now < leg->storm_at_ms) {
		leg->storm_at_ms = now;
		leg->storm = 0;
	}
	return ++leg->storm > p->storm_requests && p->storm_requests;
}

/** Counted each, reported once in each window. */
static void storm_tell(const struct call_leg *leg)
{
	char more[64];

	base_count(COUNTER_MIDCALL_STORM);
	if (leg->storm != profile(leg)->storm_requests + 1)
		return;
	snprintf(more, sizeof more, "\"requests\":%u", leg->storm);
	call_event(leg, EVENT_STORM, more);
}

/** As the other leg was shown them, or is to be by a request of ours that waits. */
static const uint8_t *dirs_of(const struct call_leg *leg) { return leg->goal.n ? leg->goal_dir : leg->shown_dir; }

/** Directions of the peer as the other leg is to be shown them. */
static void directions(struct call_leg *leg, const struct call_change *ch, struct call_verdict *v)
{
	unsigned i;

	memcpy(v->shown_dir, dirs_of(leg), sizeof v->shown_dir);
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

	if (memcmp(v->shown_dir, dirs_of(leg), sizeof v->shown_dir))
		return true;
	if (call_shown_offer(leg, now, &none, 0, dirs_of(leg), &text))
		return true;
	mark = call_sdp_mark(text);
	return call_shown_offer(leg, now, ch, v->relayed, v->shown_dir, &text) || call_sdp_mark(text) != mark;
}

static void actions(struct call_leg *leg, enum wire_method m, const struct wire_sdp *now, const struct call_change *ch, struct call_verdict *v)
{
	unsigned p;

	for (p = 0; p < CALL_KEYS; p++) {
		int a = v->purposes & BIT(p) ? act(leg, m, (enum call_purpose)p, now, ch) : CONSUME;

		if (p == CALL_ADDRESS && v->purposes & BIT(p) && call_sdp_around(leg->call))
			a = RELAY; /* nobody but the other side can follow it */
		if (p == CALL_OTHER && ch->preconditions)
			a = RELAY; /* RFC 3312: both ends wait for each other */
		if (a == RELAY)
			v->relayed |= BIT(p);
		else if (a >= 400 && !v->status)
			v->status = a;
	}
	if (v->purposes & BIT(CALL_KEYS) && call_sdp_around(leg->call))
		v->relayed |= BIT(CALL_KEYS);
	/* RFC 4028: where both legs pass the timer through, whoever refreshes one refreshes the other */
	if (call_timer_relayed(leg->call) && !(v->purposes & BIT(CALL_OFFERLESS)))
		v->relayed |= BIT(CALL_REFRESH);
}

void call_decide(struct call_leg *leg, enum wire_method m, const struct wire_sdp *now, struct call_change *ch, struct call_verdict *v)
{
	*v = (struct call_verdict){ .reason = "profile" };
	memcpy(v->want_dir, leg->want_dir, sizeof v->want_dir);
	if (now)
		call_shown_wants(now, v->want_dir);
	if (now && ch->all & BIT(CALL_ADD) && call_shown_rejoined(leg, now, ch))
		v->reason = "rejoined";
	v->purposes = ch->all ? ch->all : BIT(CALL_REFRESH);
	actions(leg, m, now, ch, v);
	if (v->status)
		return;
	if (!(v->purposes & ~QUIET) && storm(leg)) {
		storm_tell(leg);
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

/* ---- answers ---- */

/** What our offer itself asked for by these lines is no change of the peer's, nor is the order of its formats. */
static void answer_asks(const struct wire_sdp *answer, const struct call_leg *leg, struct slice offer, struct call_change *ch)
{
	static struct wire_sdp was, ours, offered;
	struct call_change asked;
	unsigned i;

	memset(ch, 0, sizeof *ch);
	if (!leg->sdp_in.n || wire_sdp_parse((struct slice){ leg->sdp_in.p, leg->sdp_in.n }, &was) || !leg->sdp_out.n ||
		wire_sdp_parse((struct slice){ leg->sdp_out.p, leg->sdp_out.n }, &ours) || !offer.n || wire_sdp_parse(offer, &offered))
		return;
	call_classify_answer(&was, leg->was_offer, &ours, answer, ch);
	call_classify(&ours, true, &ours, &offered, &asked);
	for (i = 0; i < WIRE_SDP_MEDIA; i++) {
		if (asked.line[i] & (BIT(CALL_CODEC) | BIT(CALL_OTHER) | BIT(CALL_ADD) | BIT(CALL_REMOVE) | BIT(CALL_FAX)))
			ch->line[i] &= BIT(CALL_HOLD) | BIT(CALL_ADDRESS) | BIT(CALL_KEYS);
		ch->line[i] &= ~BIT(CALL_ADD); /* an answer adds nothing */
		if (i >= offered.nmedia || !offered.media[i].port)
			ch->line[i] = 0;
	}
}

/** A line is held where the peer wants another direction than before, as far as our offer left it open. */
static void answer_holds(struct call_leg *leg, struct call_change *ch, const uint8_t *want)
{
	unsigned i;

	ch->all = 0;
	for (i = 0; i < WIRE_SDP_MEDIA; i++) {
		ch->line[i] &= ~BIT(CALL_HOLD);
		if (i < CALL_STREAMS && want[i] != leg->want_dir[i])
			ch->line[i] |= BIT(CALL_HOLD);
		ch->all |= ch->line[i];
	}
}

void call_decide_answer(struct call_leg *leg, enum wire_method m, const struct wire_sdp *answer, struct slice offer, struct call_change *ch,
	struct call_verdict *v)
{
	*v = (struct call_verdict){ .reason = "answer" };
	answer_asks(answer, leg, offer, ch);
	memcpy(v->want_dir, leg->want_dir, sizeof v->want_dir);
	call_shown_answered(answer, offer, v->want_dir);
	answer_holds(leg, ch, v->want_dir);
	v->purposes = ch->all;
	actions(leg, m, answer, ch, v);
	v->relayed &= v->purposes;
	if (v->purposes & BIT(CALL_CODEC) && !can_consume(leg, CALL_CODEC, answer, ch))
		v->relayed |= BIT(CALL_CODEC); /* an answer cannot be refused, and the other side would send what is not taken */
	v->status = 0;
	directions(leg, ch, v);
	v->relay = v->relayed & ANYWAY || differs(leg, answer, ch, v);
}

void call_decide_offer(struct call_leg *leg, const struct wire_sdp *now, struct call_change *ch, struct call_verdict *v)
{
	static struct wire_sdp was, ours;

	*v = (struct call_verdict){ .reason = "answer" };
	if (leg->sdp_in.n && !wire_sdp_parse((struct slice){ leg->sdp_in.p, leg->sdp_in.n }, &was) && leg->sdp_out.n &&
		!wire_sdp_parse((struct slice){ leg->sdp_out.p, leg->sdp_out.n }, &ours))
		call_classify(&was, leg->was_offer, &ours, now, ch);
	call_shown_wants(now, v->want_dir);
	v->purposes = ch->all;
	actions(leg, WIRE_INVITE, now, ch, v);
	v->status = 0;
	directions(leg, ch, v);
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

/** Hash of the header as it stands there; 0: it does not, or would not be sent on. */
static uint32_t identity_of(const char *name, const struct wire_sip *sip, const struct call_leg *to)
{
	char buf[1024];
	struct slice v = wire_sip_header(sip, name, buf, sizeof buf);

	return v.p && may_cross(name, sip, to) ? base_hash_bytes(v.p, v.n, 7) | 1u : 0;
}

bool call_identity_changed(const struct call_leg *leg, const struct wire_sip *sip)
{
	const struct call_midcall_conf *p = profile(leg);
	const char *const *name = p->relay_if_changed.v;
	size_t i;

	for (i = 0; i < p->relay_if_changed.n && i < CALL_IDENTITIES; i++) {
		uint32_t h = identity_of(name[i], sip, call_other((struct call_leg *)(uintptr_t)leg));

		if (h && h != leg->identity[0][i])
			return true; /* absent: no change */
	}
	return false;
}

void call_identity_take(struct call_leg *leg, const struct wire_sip *sip, bool shown)
{
	const struct call_midcall_conf *p = profile(leg);
	const char *const *name = p->relay_if_changed.v;
	size_t i;

	for (i = 0; i < p->relay_if_changed.n && i < CALL_IDENTITIES; i++) {
		uint32_t h = identity_of(name[i], sip, call_other(leg));

		if (h)
			leg->identity[0][i] = h;
		if (h && shown)
			leg->identity[1][i] = h;
	}
}

uint32_t call_identity_hidden(const struct call_leg *leg, const struct wire_sip *sip)
{
	const struct call_midcall_conf *p = profile(leg);
	const char *const *name = p->relay_if_changed.v;
	uint32_t set = 0;
	size_t i;

	for (i = 0; i < p->relay_if_changed.n && i < CALL_IDENTITIES; i++) {
		uint32_t h = identity_of(name[i], sip, call_other((struct call_leg *)(uintptr_t)leg));

		set |= h && h != leg->identity[1][i] ? 1u << i : 0;
	}
	return set;
}

bool call_identity_is(const struct call_leg *leg, uint32_t set, struct slice header)
{
	const struct call_midcall_conf *p = profile(leg);
	const char *const *name = p->relay_if_changed.v;
	size_t i;

	for (i = 0; i < p->relay_if_changed.n && i < CALL_IDENTITIES; i++)
		if (set & 1u << i && slice_eq_nocase(slice_str(name[i]), header))
			return true;
	return false;
}

/* ---- decisions ---- */
/** A counter for each purpose and what became of it: rows in the order of the enum, three each. */
static void count_purposes(const struct call_verdict *v)
{
	unsigned p, what;

	for (p = 0; p < CALL_ALL_PURPOSES; p++) {
		if (!(v->purposes & BIT(p)))
			continue;
		what = v->status ? 2 : v->relayed & BIT(p) ? 1 : 0;
		base_count((enum base_counter)(COUNTER_PURPOSE_REFRESH_CONSUME + 3 * p + what));
	}
}

void call_decision_note(struct call_leg *leg, enum wire_method m, const struct call_verdict *v)
{
	struct call *c = leg->call;

	count_purposes(v);
	base_count(v->status ? COUNTER_MIDCALL_REFUSED : v->relay ? COUNTER_MIDCALL_RELAYED : COUNTER_MIDCALL_CONSUMED);
	c->decision[c->ndecisions++ % CALL_DECISIONS] = (struct call_decision){ .at_ms = base_wall_ms(), .leg = leg == &c->leg[1], .purposes = v->purposes,
		.relayed = v->relayed, .method = m, .status = v->status, .action = v->status ? "refuse" : v->relay ? "relay" : "consume",
		.reason = v->reason };
}

static void print_one(struct text *t, const struct call_decision *d)
{
	const char *sep = "";
	unsigned p;

	text_add(t, "{\"kind\": \"mid-call\", \"time_ms\": %lld, \"leg\": \"%s\", \"method\": \"%s\", \"purposes\": [", (long long)d->at_ms, d->leg ? "b" : "a",
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
		return (struct slice){ c->decided.p ? c->decided.p : "", c->decided.n };
	/* what a former engine noted goes before, as long as there is room */
	if (c->decided.n > 2 && !i && c->decided.n < size / 2) {
		text_slice(&t, (struct slice){ c->decided.p, c->decided.n - 1 });
	} else {
		text_add(&t, "[");
	}
	for (; i < c->ndecisions; i++) {
		if (t.n > 1)
			text_add(&t, ", ");
		print_one(&t, &c->decision[i % CALL_DECISIONS]);
	}
	text_add(&t, "]");
	return t.cut ? (struct slice){ "", 0 } : text_get(&t);
}
