/* SPDX-License-Identifier: Apache-2.0 */
/* One CDR per call, as JSON text on the ring to admin (design.md section 5 names the fields). Written once, when the call begins to end. */
#include "call/b2b.h"

/* What peers choose is cut, and the list of targets ends early: a text that does not fit would cost the whole CDR. */
#define CDR_MAX     32768
#define TEXT_MAX    512                    /* bytes of a text, each of which may take 6 */
#define TRY_ROOM    4096                   /* one target at most */
#define STREAM_ROOM 384                    /* figures of one stream at most */
#define TAIL_ROOM   (2 * CALL_STREAMS * STREAM_ROOM + CALL_DECISIONS_BYTES + 64)
#define FIRED_ROOM  1024                   /* one rule that fired at most */

static void js(struct text *t, struct slice s)
{
	size_t i, run = 0; /* bytes before i that stand for themselves */

	if (s.n > TEXT_MAX)
		s.n = TEXT_MAX;
	text_add(t, "\"");
	for (i = 0; i < s.n; i++) {
		unsigned char ch = (unsigned char)s.p[i];

		if (ch >= 0x20 && ch < 0x7f && ch != '"' && ch != '\\') {
			run++;
			continue;
		}
		text_slice(t, (struct slice){ s.p + i - run, run });
		run = 0;
		if (ch == '"' || ch == '\\')
			text_add(t, "\\%c", ch);
		else
			text_add(t, "\\u%04x", ch); /* bytes that are not ASCII: as Latin-1, always valid JSON */
	}
	text_slice(t, (struct slice){ s.p + i - run, run });
	text_add(t, "\"");
}

static void field(struct text *t, const char *name, struct slice v)
{
	text_add(t, ",\"%s\":", name);
	if (v.n)
		js(t, v);
	else
		text_add(t, "null");
}

static void time_field(struct text *t, const char *name, int64_t ms)
{
	char buf[32];

	field(t, name, ms ? slice_str(base_time_rfc3339(ms, buf)) : (struct slice){ NULL, 0 });
}

static struct slice call_id_of(const struct call_leg *l)
{
	const struct call_exchange *x = l->call->x;

	if (!l->dialog && !l->call_id && x && x->from == l && x->srv)
		return wire_sip_call_id(sipua_srv_sip(x->srv)); /* no target was tried */
	return l->dialog ? sipua_dialog_call_id(l->dialog) : slice_str(l->call_id);
}

static struct slice trunk_id(const struct call_leg *l)
{
	return slice_str(l->trunk ? l->trunk->conf->id : NULL);
}

/** Tags that policies gave the call. */
static void add_tags(struct text *t, const struct call *c)
{
	struct sipua_note n;
	const char *sep = "";

	text_add(t, ",\"tags\":[");
	for (unsigned i = 0; sipua_notes_get(c->notes, i, &n); i++) {
		if (n.kind != SIPUA_NOTE_TAG)
			continue;
		text_add(t, "%s", sep);
		js(t, n.name);
		sep = ",";
	}
	text_add(t, "]");
}

static void add_targets(struct text *t, const struct call *c)
{
	struct call_record_try y;
	char at[56], buf[32];
	unsigned i;

	text_add(t, ",\"targets\":[");
	for (i = 0; t->size - t->n > TRY_ROOM + TAIL_ROOM && call_hunt_at(c, i, &y); i++) {
		text_add(t, "%s{\"uri\":", i ? "," : "");
		js(t, y.uri);
		if (y.addr.sa.sa_family)
			field(t, "address", slice_str(base_addr_print(&y.addr, at)));
		field(t, "trunk", y.trunk);
		field(t, "outcome", y.outcome);
		field(t, "call_id", y.call_id);
		text_add(t, ",\"status\":%d,\"at\":\"%s\"}", y.status, base_time_rfc3339(y.start_ms, buf));
	}
	text_add(t, "]");
}

/** Rules that fired. */
static void add_fired(struct text *t, const struct call *c)
{
	struct sipua_note n;

	for (unsigned i = 0; sipua_notes_get(c->notes, i, &n) && t->size - t->n > FIRED_ROOM; i++) {
		if (n.kind != SIPUA_NOTE_FIRED)
			continue;
		text_add(t, "%s{\"kind\":\"policy\",\"time_ms\":%lld,\"last_ms\":%lld,\"leg\":\"%s\",\"action\":\"policy\",\"hook\":\"%s\",\"message\":\"%s\",\"line\":%u,\"count\":%u",
			t->p[t->n - 1] == '[' ? "" : ",", (long long)n.first_ms, (long long)n.last_ms, n.out ? "b" : "a", n.send ? "send" : "receive", n.request ? "request" : "response", n.line, n.count);
		field(t, "policy", n.name);
		text_add(t, "}");
	}
}

/** What was decided within the call, as in its record. */
static void add_decisions(struct text *t, const struct call *c)
{
	char buf[CALL_DECISIONS_BYTES];
	struct slice s = call_decisions_print(c, buf, sizeof buf);

	text_add(t, ",\"decisions\":[");
	if (s.n > 2 && t->size - t->n > s.n + FIRED_ROOM)
		text_slice(t, (struct slice){ s.p + 1, s.n - 2 });
	add_fired(t, c);
	text_add(t, "]");
}

static void put(struct call_engine *e, const struct text *t, const char *id)
{
	if (!e->p.records || (!t->cut && !base_ring_put(e->p.records, t->p, t->n)))
		return;
	base_count(COUNTER_CDR_LOST);
	base_log_limited(BASE_ERROR, 1, "call", "CDR lost: the ring to admin is full call=%s", id);
}

void call_cdr(struct call *c)
{
	static char buf[CDR_MAX];
	struct text t = text_on(buf, sizeof buf);

	if (c->cdr_done)
		return;
	c->cdr_done = true;
	if (c->answer_ms)
		base_observe_ms(HISTOGRAM_DURATION, c->end_ms - c->answer_ms);
	text_add(&t, "{\"id\":\"%s\"", c->id);
	field(&t, "call_id_a", call_id_of(&c->leg[0]));
	field(&t, "call_id_b", call_id_of(&c->leg[1]));
	field(&t, "from", slice_str(c->from));
	field(&t, "to", slice_str(c->to));
	field(&t, "trunk_in", trunk_id(&c->leg[0]));
	field(&t, "trunk_out", trunk_id(&c->leg[1]));
	field(&t, "route", slice_str(c->route));
	time_field(&t, "start", c->start_ms);
	time_field(&t, "ringing", c->ringing_ms);
	time_field(&t, "answer", c->answer_ms);
	time_field(&t, "end", c->end_ms);
	text_add(&t, ",\"status\":%d", c->status);
	field(&t, "cause", slice_str(c->cause));
	field(&t, "ended_by", slice_str(c->ended_by));
	if (c->why[0])
		field(&t, "note", slice_str(c->why));
	add_tags(&t, c);
	add_targets(&t, c);
	call_quality_end(c, &t);
	add_decisions(&t, c);
	text_add(&t, "}");
	put(c->eng, &t, c->id);
}

void call_cdr_of_record(struct call_engine *e, const struct call_record *r)
{
	static char buf[CDR_MAX];
	struct text t = text_on(buf, sizeof buf);

	text_add(&t, "{\"id\":\"%s\"", r->id);
	field(&t, "call_id_a", r->leg[0].call_id);
	field(&t, "call_id_b", r->leg[1].call_id);
	field(&t, "from", r->from);
	field(&t, "to", r->to);
	field(&t, "trunk_in", r->leg[0].trunk);
	field(&t, "trunk_out", r->leg[1].trunk);
	field(&t, "route", r->route);
	time_field(&t, "start", r->start_ms);
	time_field(&t, "ringing", r->ringing_ms);
	time_field(&t, "answer", r->answer_ms);
	time_field(&t, "end", base_wall_ms());
	text_add(&t, ",\"status\":%d,\"cause\":\"engine-restart\",\"ended_by\":\"postern\",\"tags\":[],\"targets\":[],\"quality\":[],\"decisions\":[]}", r->answer_ms ? 200 : 503);
	put(e, &t, r->id);
}
