/* SPDX-License-Identifier: Apache-2.0 */
/*
 * telephone-event (RFC 4733) in descriptions. A leg whose profile says `dtmf: info` is never shown it; its other side is offered and answered it
 * even where this one has none, because its digits cross as INFO. What media is to hear and to send of it: call_telephone_want.
 */
#include "call/b2b.h"

enum { DTMF_AUTO, DTMF_RFC4733, DTMF_INFO };

#define FIRST 96
#define USUAL 101

bool call_telephone_by_info(const struct call_leg *l) { return l->media->dtmf == DTMF_INFO; }

/* `rtpmap:101 telephone-event/8000`: its payload type and clock. */
static bool is_event(const struct wire_sdp_line *l, unsigned *ret_pt, uint32_t *ret_hz)
{
	static const char name[] = "telephone-event/";
	struct slice v = l->value;
	const char *sp;
	uint64_t pt, hz;
	size_t n;

	if (l->type != 'a' || v.n < 7 || !slice_eq_nocase((struct slice){ v.p, 7 }, SLICE("rtpmap:")))
		return false;
	v = (struct slice){ v.p + 7, v.n - 7 };
	sp = memchr(v.p, ' ', v.n);
	if (!sp || slice_u64((struct slice){ v.p, (size_t)(sp - v.p) }, 127, &pt) || pt < FIRST)
		return false;
	v = (struct slice){ sp + 1, v.n - (size_t)(sp + 1 - v.p) };
	if (v.n <= sizeof name - 1 || !slice_eq_nocase((struct slice){ v.p, sizeof name - 1 }, slice_str(name)))
		return false;
	v = (struct slice){ v.p + sizeof name - 1, v.n - (sizeof name - 1) };
	for (n = 0; n < v.n && v.p[n] >= '0' && v.p[n] <= '9'; n++)
		;
	if (slice_u64((struct slice){ v.p, n }, 384000, &hz) || !hz)
		return false;
	*ret_pt = (unsigned)pt;
	*ret_hz = (uint32_t)hz;
	return true;
}

/* Payload types of line m that are telephone-event, bit n: 96 + n; those that its m-line does not list are none. */
static uint32_t events_of(const struct wire_sdp *s, unsigned m)
{
	const struct wire_sdp_media *media = &s->media[m];
	uint64_t listed[2];
	uint32_t set = 0, hz;
	unsigned pt;

	wire_sdp_pts(media, listed);
	for (unsigned i = media->first; i < (unsigned)media->first + media->nlines; i++)
		if (is_event(&s->line[i], &pt, &hz))
			set |= 1u << (pt - FIRST);
	return set & (uint32_t)(listed[1] >> 32);
}

int call_telephone_pt(const struct wire_sdp *s, unsigned m, uint32_t clock_hz, uint32_t *ret_hz)
{
	const struct wire_sdp_media *media = &s->media[m];
	uint32_t set = events_of(s, m), hz;
	unsigned pt;
	int found = -1;

	for (unsigned i = media->first; set && i < (unsigned)media->first + media->nlines; i++) {
		if (!is_event(&s->line[i], &pt, &hz) || !(set >> (pt - FIRST) & 1))
			continue;
		if (found >= 0 && hz != clock_hz)
			continue;
		found = (int)pt;
		*ret_hz = hz;
		if (hz == clock_hz)
			break;
	}
	return found;
}

/* ---- what a leg is shown ---- */

/* Is it an attribute of one of these payload types: rtpmap, fmtp, rtcp-fb? */
static bool attr_of(const struct wire_sdp_line *l, uint32_t set)
{
	static const char *const names[] = { "rtpmap:", "fmtp:", "rtcp-fb:" };
	uint64_t pt;

	for (size_t k = 0; l->type == 'a' && k < ARRAY_LEN(names); k++) {
		struct slice head = slice_str(names[k]), v = l->value;
		size_t n;

		if (v.n <= head.n || !slice_eq_nocase((struct slice){ v.p, head.n }, head))
			continue;
		v = (struct slice){ v.p + head.n, v.n - head.n };
		for (n = 0; n < v.n && v.p[n] >= '0' && v.p[n] <= '9'; n++)
			;
		return !slice_u64((struct slice){ v.p, n }, 127, &pt) && pt >= FIRST && set >> (pt - FIRST) & 1;
	}
	return false;
}

static void hide(struct wire_sdp *s, unsigned m, struct text *room)
{
	struct wire_sdp_media *media = &s->media[m];
	uint32_t set = events_of(s, m);
	struct slice rest = media->formats, f;
	size_t start = room->n;
	uint64_t pt;

	while (set && call_format_next(&rest, &f))
		if (slice_u64(f, 127, &pt) || pt < FIRST || !(set >> (pt - FIRST) & 1)) {
			text_add(room, room->n > start ? " " : "");
			text_slice(room, f);
		}
	if (!set || room->cut || room->n == start)
		return; /* nothing, or nothing else, stands there */
	media->formats = (struct slice){ room->p + start, room->n - start };
	for (unsigned i = media->first; i < (unsigned)media->first + media->nlines; i++)
		if (attr_of(&s->line[i], set))
			s->line[i].type = '-'; /* not printed */
}

/* A payload type that the line does not use: `wanted`, else the usual one, else any. */
static int free_pt(const struct wire_sdp_media *media, int wanted)
{
	uint64_t set[2];

	wire_sdp_pts(media, set);
	if (wanted >= FIRST)
		return set[1] >> (wanted - 64) & 1 ? -1 : wanted;
	if (!(set[1] >> (USUAL - 64) & 1))
		return USUAL;
	for (int pt = FIRST; pt < 128; pt++)
		if (!(set[1] >> (pt - 64) & 1))
			return pt;
	return -1;
}

static struct slice lead(struct wire_sdp_media *media, int pt, uint32_t hz, struct text *room, struct text *attrs)
{
	size_t start = room->n;

	text_slice(room, media->formats);
	text_add(room, " %d", pt);
	text_add(attrs, "a=rtpmap:%d telephone-event/%u\r\na=fmtp:%d 0-16\r\n", pt, (unsigned)hz, pt);
	return (struct slice){ room->p + start, room->n - start };
}

/* ours of before, while a new description is made; the engine is one thread */
static struct wire_sdp before;

void call_telephone_place(struct call_leg *to, struct wire_sdp *s, unsigned m, const struct wire_sdp *offer, uint32_t clock_hz, struct text *room,
	struct text *attrs)
{
	struct wire_sdp_media *media = &s->media[m];
	uint32_t hz = clock_hz;
	int pt = -1;

	if (!slice_eq_nocase(media->kind, SLICE("audio")))
		return;
	if (call_telephone_by_info(to)) {
		hide(s, m, room);
		return;
	}
	if (!call_telephone_by_info(call_other(to)) || events_of(s, m))
		return;
	if (offer) {
		pt = call_telephone_pt(offer, m, clock_hz, &hz);
		if (pt < 0)
			return;
	} else if (to->sdp_out.n && !wire_sdp_parse((struct slice){ to->sdp_out.p, to->sdp_out.n }, &before) && m < before.nmedia) {
		pt = call_telephone_pt(&before, m, clock_hz, &hz); /* a number keeps its meaning (RFC 3264 section 8.3.2) */
	}
	pt = free_pt(media, pt);
	if (pt >= 0)
		media->formats = lead(media, pt, hz, room, attrs);
}

/* ---- what media is to do ---- */

void call_telephone_want(const struct call_leg *l, const struct wire_sdp *in, const struct wire_sdp *other, unsigned m, struct media_want *w)
{
	const struct call_leg *o = call_other((struct call_leg *)(uintptr_t)l);
	uint32_t events = events_of(in, m), more, hz = 0;
	uint64_t listed[2];
	int pt;

	if (!slice_eq_nocase(in->media[m].kind, SLICE("audio")))
		return;
	wire_sdp_pts(&in->media[m], listed);
	more = events_of(other, m) & ~(uint32_t)(listed[1] >> 32);
	if (call_telephone_by_info(o) && !call_telephone_by_info(l) && l->sdp_out.n
		&& !wire_sdp_parse((struct slice){ l->sdp_out.p, l->sdp_out.n }, &before) && m < before.nmedia)
		more |= events_of(&before, m); /* a peer may use the number that we told it */
	events |= more;
	if (call_telephone_by_info(l)) {
		w->pts[1] &= ~((uint64_t)events << 32);
	} else {
		w->pts[1] |= (uint64_t)events << 32;
		w->events = events;
		w->flags |= call_telephone_by_info(o) ? MEDIA_EVENTS_END : 0u;
	}
	pt = call_telephone_by_info(o) ? -1 : call_telephone_pt(other, m, w->clock_hz, &hz);
	if (pt >= 0) {
		w->digit_pt = (uint8_t)pt;
		w->digit_hz = hz;
		w->digit.serial = l->stream[m].digit.serial;
		w->digit.ms = l->stream[m].digit.ms;
		w->digit.event = l->stream[m].digit.event;
	}
}
