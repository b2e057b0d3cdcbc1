/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls as JSON, read from the engine's memory without waking it. A list goes by slot, so that the cursor of a page is a slot index and
 * a call that stays is never missed while others come and go. A torn record is passed over.
 */
#include "config.h"
#include <stdlib.h>
#include <stdio.h>

#include "ctl/ctl.h"
#include "postern/call.h"
#include "postern/media.h"
#include "postern/wire.h"

struct walk {
	const void *mem;
	size_t bytes;
	uint32_t slots, slot;      /* slot: the next one */
	uint8_t *buf;              /* of the record last read */
};

static bool walk_open(struct walk *w, const struct ctl_maps *m)
{
	memset(w, 0, sizeof *w);
	w->mem = ctl_region(m->calls, REGION_CALLS, &w->bytes);
	if (!w->mem)
		return true;
	w->slots = call_store_slots(w->mem, w->bytes);
	w->buf = malloc(CALL_RECORD_MAX);
	return w->buf != NULL;
}

/* where a call was last seen, by its id: a guess that saves the walk, checked at its use. Slot + 1 */
#define SEEN 32768u
static uint32_t seen[SEEN];

static uint32_t *seen_at(const char *id)
{
	return &seen[base_hash_bytes(id, strlen(id), 0) % SEEN];
}

static bool walk_next(struct walk *w, struct call_record *ret)
{
	while (w->slot < w->slots) {
		if (call_store_read(w->mem, w->bytes, w->slot++, w->buf, ret))
			continue;
		*seen_at(ret->id) = w->slot;
		return true;
	}
	return false;
}

static void walk_close(struct walk *w)
{
	free(w->buf);
}

/* ---- a call ---- */
/** What policies noted: the tags of a call, and with them its variables. */
static json_t *tags_json(const struct call_record *r)
{
	json_t *list = json_array();
	struct slice rest = r->vars;
	struct call_note n;

	while (call_note_next(&rest, &n))
		if (n.kind == CALL_NOTE_TAG)
			json_array_append_new(list, ctl_text(n.name));
	return list;
}

static json_t *vars_json(const struct call_record *r)
{
	json_t *o = json_object();
	struct slice rest = r->vars;
	struct call_note n;

	while (call_note_next(&rest, &n)) {
		char name[256];

		if (n.kind == CALL_NOTE_VAR && slice_copy(name, sizeof name, n.name))
			json_object_set_new(o, name, ctl_text(n.value));
	}
	return o;
}

static json_t *leg_head(const struct call_record_leg *l)
{
	return json_pack("{s:o, s:o, s:o, s:s, s:o}", "trunk", ctl_text(l->trunk), "realm", ctl_text(l->realm), "call_id", ctl_text(l->call_id),
		"direction", l->uas ? "in" : "out", "target", ctl_text(l->target));
}

static json_t *call_head(const struct call_record *r)
{
	return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "id", r->id, "state", call_state_name(r->state), "from", ctl_text(r->from), "to", ctl_text(r->to),
		"route", ctl_text(r->route), "started", ctl_time(r->start_ms), "answered", ctl_time(r->answer_ms),
		"tags", tags_json(r));
}

static json_t *timer_json(const struct call_record_leg *l)
{
	static const char *const role[] = { "none", "local", "peer" };

	if (!l->timer_s)
		return json_null();
	return json_pack("{s:I, s:s, s:o}", "expires", (json_int_t)l->timer_s, "refresher", l->timer_role < ARRAY_LEN(role) ? role[l->timer_role] : "none",
		"deadline", ctl_time(l->timer_deadline_ms));
}

static json_t *address_json(const struct wire_sdp *sdp, unsigned i)
{
	char buf[320];
	struct text t = text_on(buf, sizeof buf);
	const struct wire_sdp_media *m;

	if (i >= sdp->nmedia || !sdp->media[i].port || slice_empty(sdp->media[i].conn))
		return json_null();
	m = &sdp->media[i];
	text_add(&t, m->conn6 ? "[%.*s]:%u" : "%.*s:%u", (int)m->conn.n, m->conn.p, m->port);
	return ctl_text(text_get(&t));
}

static double jitter_ms(const struct media_figures *f)
{
	return f->clock_hz ? (double)f->jitter_ts * 1000.0 / f->clock_hz : 0.0;
}

static int figures_add(json_t *o, const struct media_figures *f)
{
	char buf[56];
	int64_t lost = f->lost > 0 ? f->lost : 0;

	return json_object_update_new(o, json_pack(
		"{s:o, s:{s:I, s:I, s:I, s:I, s:I, s:f, s:o, s:b, s:b, s:I, s:{s:I, s:I, s:I, s:I, s:I}}, s:{s:I, s:I, s:I, s:b}, s:o}",
		"source", f->latched ? json_string(base_addr_print(&f->source, buf)) : json_null(),
		"rx", "packets", (json_int_t)f->rx_packets, "bytes", (json_int_t)f->rx_bytes, "lost", (json_int_t)lost, "duplicated", (json_int_t)f->duplicated,
		"reordered", (json_int_t)f->reordered, "jitter_ms", jitter_ms(f),
		"mos", f->mos > 0.0 ? json_real(f->mos) : json_null(), "one_way", f->one_way, "srtp", f->srtp_rx, "rtcp", (json_int_t)f->rtcp_rx,
		"dropped", "source", (json_int_t)f->dropped_source, "format", (json_int_t)f->dropped_format, "direction", (json_int_t)f->dropped_direction, "rate", (json_int_t)f->dropped_rate,
		"authentication", (json_int_t)f->dropped_auth,
		"tx", "packets", (json_int_t)f->tx_packets, "bytes", (json_int_t)f->tx_bytes, "rtcp", (json_int_t)f->rtcp_tx, "srtp", f->srtp_tx,
		"round_trip_ms", f->round_trip_us ? json_real(f->round_trip_us / 1000.0) : json_null()));
}

/** One stream of a leg: what was signalled, and what media counts at its slot (nulls where the slot is no longer the call's). */
static json_t *stream_json(const struct ctl_maps *m, const struct call_record_leg *l, unsigned i, const struct wire_sdp *in, const struct wire_sdp *out)
{
	struct media_ref ref = { l->stream[i].slot, l->stream[i].gen };
	const struct wire_sdp *named = i < in->nmedia ? in : out;
	struct slice kind = i < named->nmedia ? named->media[i].kind : SLICE("");
	struct media_figures f;
	json_t *o;

	o = json_pack("{s:o, s:o, s:o}", "kind", ctl_text(kind), "local", address_json(out, i), "remote", address_json(in, i));
	if (!o || !m->streams || !media_ref_ok(ref) || media_figures_get(m->streams, ref, &f))
		return o;
	figures_add(o, &f);
	return o;
}

static void sdp_read(struct slice text, struct wire_sdp *ret)
{
	if (slice_empty(text) || wire_sdp_parse(text, ret))
		ret->nmedia = 0;
}

static json_t *media_json(const struct ctl_maps *m, const struct call_record_leg *l)
{
	struct wire_sdp *sdp = calloc(2, sizeof *sdp);
	json_t *list = json_array();

	if (sdp) {
		sdp_read(l->sdp_in, &sdp[0]);
		sdp_read(l->sdp_out, &sdp[1]);
		for (unsigned i = 0; i < l->nstreams; i++)
			json_array_append_new(list, stream_json(m, l, i, &sdp[0], &sdp[1]));
	}
	free(sdp);
	return list;
}

static json_t *leg_json(const struct ctl_maps *m, const struct call_record_leg *l)
{
	static const char *const transport[] = { "udp", "tcp", "tls" };
	json_t *o = leg_head(l);
	char buf[56];

	if (!o)
		return NULL;
	json_object_update_new(o, json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o}",
		"peer", l->source.sa.sa_family ? json_string(base_addr_print(&l->source, buf)) : json_null(),
		"transport", l->transport < ARRAY_LEN(transport) ? transport[l->transport] : "?",
		"local_uri", ctl_text(l->local), "remote_uri", ctl_text(l->remote), "sdp_in", ctl_text(l->sdp_in), "sdp_out", ctl_text(l->sdp_sent.n ? l->sdp_sent : l->sdp_out),
		"timer", timer_json(l), "media", media_json(m, l)));
	return o;
}

static bool call_find(struct walk *w, const char *id, struct call_record *ret)
{
	uint32_t guess = *seen_at(id);

	if (guess && guess <= w->slots && !call_store_read(w->mem, w->bytes, guess - 1, w->buf, ret) && !strcmp(ret->id, id))
		return true;
	while (walk_next(w, ret))
		if (!strcmp(ret->id, id))
			return true;
	return false;
}

bool ctl_has_call(const struct ctl_maps *m, const char *id)
{
	struct call_record r;
	struct walk w;
	bool found = walk_open(&w, m) && call_find(&w, id, &r);

	walk_close(&w);
	return found;
}

json_t *ctl_render_call(const struct ctl_maps *m, const char *id)
{
	struct call_record r;
	json_t *o = NULL, *legs;
	struct walk w;

	if (walk_open(&w, m) && call_find(&w, id, &r)) {
		o = call_head(&r);
		legs = json_array();
		for (unsigned i = 0; i < 2; i++)
			json_array_append_new(legs, leg_json(m, &r.leg[i]));
		json_object_set_new(o, "ringing", ctl_time(r.ringing_ms));
		json_object_set_new(o, "legs", legs);
		json_object_set_new(o, "vars", vars_json(&r));
	}
	walk_close(&w);
	return o;
}

/** The record of a live call in memory of the caller's; NULL: there is no such call. */
uint8_t *ctl_call_read(const struct ctl_maps *m, const char *id, struct call_record *ret)
{
	uint8_t *buf = NULL;
	struct walk w;

	if (walk_open(&w, m) && call_find(&w, id, ret)) {
		buf = w.buf;
		w.buf = NULL;
	}
	walk_close(&w);
	return buf;
}

/* ---- the list ---- */
static bool contains(struct slice in, const char *what)
{
	size_t n = strlen(what);

	return n == 0 || (in.p && memmem(in.p, in.n, what, n));
}

static bool call_passes(const struct call_record *r, const struct ctl_call_filter *f, int64_t now_ms)
{
	if (f->number && !contains(r->from, f->number) && !contains(r->to, f->number))
		return false;
	if (f->trunk && !slice_eq(r->leg[0].trunk, slice_str(f->trunk)) && !slice_eq(r->leg[1].trunk, slice_str(f->trunk)))
		return false;
	if (f->state && strcmp(call_state_name(r->state), f->state))
		return false;
	return f->min_age_s <= 0 || now_ms - r->start_ms >= f->min_age_s * 1000;
}

static json_t *call_item(const struct call_record *r)
{
	json_t *o = call_head(r);

	if (o)
		json_object_set_new(o, "legs", json_pack("[o, o]", leg_head(&r->leg[0]), leg_head(&r->leg[1])));
	return o;
}

json_t *ctl_render_calls(const struct ctl_maps *m, const struct ctl_call_filter *f, const char *after, unsigned limit)
{
	static const struct ctl_call_filter all;
	int64_t now_ms = base_wall_ms();
	char next[16] = "";
	struct call_record r;
	json_t *items;
	struct walk w;
	uint64_t from = 0;
	bool more = false;

	if (after && slice_u64(slice_str(after), UINT32_MAX, &from))
		return NULL;
	items = json_array();
	if (!walk_open(&w, m)) {
		json_decref(items);
		return NULL;
	}
	w.slot = after ? (uint32_t)from + 1 : 0;
	while (!more && walk_next(&w, &r)) {
		if (!call_passes(&r, f ? f : &all, now_ms))
			continue;
		more = json_array_size(items) >= limit;
		if (more)
			break;
		json_array_append_new(items, call_item(&r));
		snprintf(next, sizeof next, "%u", w.slot - 1);
	}
	walk_close(&w);
	return ctl_page(items, more ? next : NULL);
}

void ctl_census(const struct ctl_maps *m, struct ctl_census *ret)
{
	struct call_record r;
	struct walk w;

	memset(ret, 0, sizeof *ret);
	if (walk_open(&w, m)) {
		ret->slots = w.slots;
		while (walk_next(&w, &r)) {
			if (r.state < ARRAY_LEN(ret->state))
				ret->state[r.state]++;
			ret->streams += r.leg[0].nstreams + r.leg[1].nstreams;
		}
	}
	walk_close(&w);
}
