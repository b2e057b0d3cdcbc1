/* SPDX-License-Identifier: Apache-2.0 */
/*
 * media/digits: telephone-events (RFC 4733 section 2.5). An event that is received is told once, when it ends: by its first packet with the
 * end bit, by the begin of another, or because nothing more of it came. An event that is sent takes the place of the stream's packets; what
 * follows is renumbered so that the receiver sees one sequence, and reports are put right (RFC 3550 section 6.4). Tones in the audio are not looked for.
 */
#include "media/digits.h"

#include <stdlib.h>

#include "media/relay.h"

#define VOLUME 10              /* -10 dBm0 */
#define EVENT_DIGITS 17        /* 0 to 9, *, #, A to D, flash */

static struct media_digits *digits_of(struct media_relay *r, struct media_flow *f)
{
	struct media_digits *d = f->digits;

	if (d)
		return d;
	d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	d->flow = f;
	base_random(&d->seq, sizeof(d->seq));
	base_random(&d->ssrc, sizeof(d->ssrc));
	base_random(&d->end_ts, sizeof(d->end_ts));
	if (!r->digits.next)
		list_init(&r->digits);
	f->digits = d;
	return d;
}

void media_digits_drop(struct media_flow *f)
{
	if (!f->digits)
		return;
	list_del(&f->digits->node);
	free(f->digits);
	f->digits = NULL;
	f->edited = false;
}

static void digits_wake(struct media_relay *r, struct media_digits *d, int64_t due_us)
{
	d->due_us = due_us;
	list_del(&d->node);
	list_add_tail(&r->digits, &d->node);
}

/* ---- received ---- */

static void digit_tell(struct media_relay *r, struct media_digits *d)
{
	uint64_t ms = (uint64_t)(d->before + d->duration) * 1000 / d->hz;
	struct media_heard *h = &r->heard[r->nheard];

	d->open = false;
	if (d->event >= EVENT_DIGITS)
		return; /* fax tones and the like are relayed, they are no digits */
	if (r->nheard == ARRAY_LEN(r->heard) || r->now_us - d->told_us < MEDIA_DIGIT_GAP_US) {
		base_count(COUNTER_MEDIA_DIGITS_CUT);
		return;
	}
	d->told_us = r->now_us;
	h->ref = (struct media_ref){ d->flow->slot, d->flow->gen };
	h->event = d->event;
	h->ms = (uint16_t)(ms > UINT16_MAX ? UINT16_MAX : ms);
	r->nheard++;
}

/* A segment of an event that is longer than its counter (section 2.5.1.3)? */
static bool goes_on(const struct media_digits *d, const struct wire_rtp *h, uint8_t event)
{
	return d->open && !h->marker && event == d->event && h->ts - d->ts == d->duration && d->duration >= 0xff00;
}

/* An event with this timestamp begins: what was open is over, unless this is its next segment. */
static void event_begin(struct media_relay *r, struct media_digits *d, const struct wire_rtp *h, uint8_t event)
{
	bool more = d->known && goes_on(d, h, event);

	if (d->open && !more)
		digit_tell(r, d);
	d->before = more ? d->before + d->duration : 0;
	d->known = d->open = true;
	d->event = event;
	d->ts = h->ts;
	d->duration = 0;
	d->hz = d->flow->clock_hz;
}

bool media_digits_take(struct media_relay *r, struct media_flow *f, const struct wire_rtp *h, const uint8_t *payload)
{
	struct media_digits *d = digits_of(r, f);
	uint32_t duration;
	bool relay = !(f->flags & MEDIA_EVENTS_END);

	if (!d || h->payload < 4)
		return relay;
	duration = (uint32_t)payload[2] << 8 | payload[3];
	if (h->ssrc != d->from)
		d->known = false;
	d->from = h->ssrc;
	if (d->known && (int32_t)(h->ts - d->ts) < 0)
		return relay; /* of an event that is over */
	if (!d->known || h->ts != d->ts)
		event_begin(r, d, h, payload[0]);
	if (duration > d->duration)
		d->duration = duration;
	d->heard_us = r->now_us;
	if (!d->open)
		return relay; /* repeats of its end */
	if (payload[1] & 0x80)
		digit_tell(r, d);
	else if (!d->sending)
		digits_wake(r, d, r->now_us + MEDIA_DIGIT_LOST_US);
	return relay;
}

/* ---- sent ---- */

static void edit_keep(struct media_digits *d)
{
	struct media_slot *s = d->flow->s;

	MEDIA_SET(s->edit_ssrc, d->ssrc);
	MEDIA_SET(s->edit_shift, d->shift);
	d->flow->edited = true;
}

void media_digits_restore(struct media_relay *r, struct media_flow *f)
{
	struct media_digits *d;

	if (!MEDIA_GET(f->s->edit_shift))
		return;
	d = digits_of(r, f);
	if (!d)
		return;
	d->ssrc = f->s->edit_ssrc;
	d->shift = (uint16_t)f->s->edit_shift;
	f->edited = true;
}

/* Where the stream stands that the event becomes a part of: the one that is relayed, or one of our own where there is none. */
static void stream_join(struct media_relay *r, struct media_digits *d)
{
	const struct media_seq *q = &d->flow->s->seq;
	uint32_t ts = d->end_ts;

	if (q->received) {
		uint16_t seq;

		if (q->ssrc != d->ssrc) {
			d->shift = 0;
			d->own_seq = false;
		}
		d->ssrc = q->ssrc;
		seq = (uint16_t)(q->max + d->shift);
		if (!d->own_seq || (int16_t)(seq - d->seq) > 0)
			d->seq = seq;
		ts = q->last_ts + (uint32_t)((uint64_t)(r->now_us - d->flow->s->last_rtp_us) * d->tx_hz / 1000000);
		if (d->own_seq && (int32_t)(ts - d->end_ts) < 0)
			ts = d->end_ts;
	}
	d->own_seq = true;
	d->tx_ts = ts;
}

void media_digits_start(struct media_relay *r, struct media_flow *f, const struct media_want *w)
{
	struct media_digits *d;

	if (!w->digit.serial || w->digit.serial == MEDIA_GET(f->s->digit_done))
		return;
	MEDIA_SET(f->s->digit_done, w->digit.serial); /* a restart in its middle cuts it, and never repeats it */
	d = w->digit_hz >= 1000 ? digits_of(r, f) : NULL; /* the peer's number: below 50 no step would ever end the event */
	if (!d)
		return;
	d->tx_event = w->digit.event;
	d->tx_pt = w->digit_pt & 127;
	d->tx_hz = w->digit_hz;
	d->tx_total = (uint32_t)((uint64_t)w->digit.ms * d->tx_hz / 1000);
	if (d->tx_total > UINT16_MAX)
		d->tx_total = UINT16_MAX;
	d->tx_done = 0;
	d->repeats = 0;
	stream_join(r, d);
	d->sending = true;
	edit_keep(d);
	digits_wake(r, d, r->now_us);
}

static void put16(uint8_t *p, uint32_t v) { p[0] = (uint8_t)(v >> 8); p[1] = (uint8_t)v; }
static void put32(uint8_t *p, uint32_t v) { put16(p, v >> 16); put16(p + 2, v); }
static uint32_t get32(const uint8_t *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]; }

/* The next packet of the event, 16 bytes. */
static void event_print(struct media_digits *d, uint8_t *p)
{
	bool first = !d->tx_done && !d->repeats, end;

	d->tx_done += (uint32_t)(MEDIA_DIGIT_STEP_US / 1000) * d->tx_hz / 1000;
	end = d->tx_done >= d->tx_total;
	if (end) {
		d->tx_done = d->tx_total;
		d->repeats++;
	}
	p[0] = 0x80;
	p[1] = (uint8_t)(d->tx_pt | (first ? 0x80 : 0));
	put16(p + 2, ++d->seq);
	put32(p + 4, d->tx_ts);
	put32(p + 8, d->ssrc);
	p[12] = d->tx_event;
	p[13] = (uint8_t)((end ? 0x80 : 0) | VOLUME);
	put16(p + 14, d->tx_done);
}

static bool event_send(struct media_relay *r, struct media_digits *d, uint8_t *room, struct media_out *out)
{
	struct media_in in = { .slot = d->flow->slot, .n = 16, .p = room, .made = true };

	event_print(d, room);
	if (d->repeats == MEDIA_DIGIT_REPEATS) {
		d->sending = false;
		d->realign = true;
		d->end_ts = d->tx_ts + d->tx_total;
		list_del(&d->node);
	} else {
		d->due_us += MEDIA_DIGIT_STEP_US;
	}
	MEDIA_ADD(d->flow->s->edit_packets, 1);
	return media_relay_pass(r, d->flow, &in, out);
}

int media_digits_due(struct media_relay *r, struct media_out *out, int max)
{
	struct list_node *n, *next;
	int made = 0;

	for (n = r->digits.next; n && n != &r->digits && made < max; n = next) {
		struct media_digits *d = container_of(n, struct media_digits, node);

		next = n->next;
		if (d->due_us > r->now_us)
			continue;
		if (d->sending) {
			made += event_send(r, d, r->made[made], &out[made]);
			next = r->digits.next; /* the peer was looked at: its digits may be gone */
			continue;
		}
		list_del(&d->node);
		if (d->open)
			digit_tell(r, d);
	}
	return made;
}

int media_digits_wait_ms(const struct media_relay *r, int64_t now_us)
{
	int64_t wait_us = -1;

	for (const struct list_node *n = r->digits.next; n && n != &r->digits; n = n->next) {
		const struct media_digits *d = container_of(n, struct media_digits, node);
		int64_t us = d->due_us > now_us ? d->due_us - now_us : 0;

		if (wait_us < 0 || us < wait_us)
			wait_us = us;
	}
	return wait_us < 0 ? -1 : (int)((wait_us + 999) / 1000);
}

/* ---- the stream around it ---- */

bool media_digits_edit(struct media_flow *f, const struct wire_rtp *h, uint8_t *p)
{
	struct media_digits *d = f->digits;

	if (d->sending) {
		MEDIA_ADD(f->s->edit_packets, -1);
		return false;
	}
	if (h->ssrc != d->ssrc)
		return true;
	if (d->realign) {
		d->shift = (uint16_t)(d->seq + 1 - h->seq);
		d->realign = false;
		edit_keep(d);
	}
	put16(p + 2, (uint16_t)(h->seq + d->shift));
	return true;
}

/* Blocks about the stream: its receiver counts with our numbers. */
static void blocks_edit(const struct media_digits *d, uint8_t *b, size_t n, unsigned count)
{
	for (; count && n >= 24; count--, b += 24, n -= 24)
		if (get32(b) == d->ssrc)
			put32(b + 8, get32(b + 8) - (uint32_t)(int16_t)d->shift);
}

void media_digits_report(struct media_flow *f, uint8_t *p, size_t n)
{
	const struct media_digits *own = f->edited ? f->digits : NULL, *peer = f->peer && f->peer->edited ? f->peer->digits : NULL;
	struct wire_rtcp c;
	size_t pos = 0;
	bool bad;

	while (wire_rtcp_next(p, n, &pos, &c, &bad)) {
		uint8_t *body = p + (c.body - p);

		if (own && c.type == 200 && c.len >= 20 && c.ssrc == own->ssrc)
			put32(body + 12, get32(body + 12) + (uint32_t)MEDIA_GET(f->s->edit_packets));
		if (peer && c.type == 200 && c.len >= 20)
			blocks_edit(peer, body + 20, c.len - 20, c.count);
		else if (peer && c.type == 201)
			blocks_edit(peer, body, c.len, c.count);
	}
}
