/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Payload types where the legs differ (RFC 3264 section 6.1): each side is sent a format under the number by which it listed it. A peer may
 * send by the numbers that we told it, or by its own; where one number means two formats, what we told it counts.
 */
#include "call/b2b.h"

#define PT_MAX 128

/* Is it the rtpmap of that payload type? Its encoding, clock and channels without a `/1` then. */
static bool rtpmap_of(struct slice line, unsigned pt, struct slice *ret)
{
	const char *sp;
	uint64_t n;

	if (line.n < 8 || !slice_eq_nocase((struct slice){ line.p, 7 }, SLICE("rtpmap:")))
		return false;
	line = (struct slice){ line.p + 7, line.n - 7 };
	sp = memchr(line.p, ' ', line.n);
	if (!sp || slice_u64((struct slice){ line.p, (size_t)(sp - line.p) }, PT_MAX - 1, &n) || n != pt)
		return false;
	*ret = (struct slice){ sp + 1, line.n - (size_t)(sp + 1 - line.p) };
	if (ret->n > 2 && ret->p[ret->n - 2] == '/' && ret->p[ret->n - 1] == '1')
		ret->n -= 2;
	return true;
}

static struct slice encoding(const struct wire_sdp *s, unsigned m, unsigned pt)
{
	const struct wire_sdp_media *media = &s->media[m];
	struct slice name = { NULL, 0 };

	for (unsigned i = media->first; i < (unsigned)media->first + media->nlines; i++)
		if (s->line[i].type == 'a' && rtpmap_of(s->line[i].value, pt, &name))
			break;
	return name;
}

static bool has(const uint64_t set[2], unsigned pt) { return set[pt >> 6] >> (pt & 63) & 1; }

/* Number under which `to` lists what `s` lists as pt; pt itself where it does not, or by the same number. */
static unsigned number_at(const struct wire_sdp *s, const struct wire_sdp *to, unsigned m, unsigned pt)
{
	struct slice name = encoding(s, m, pt);
	uint64_t set[2];
	unsigned i;

	wire_sdp_pts(&to->media[m], set);
	if (!name.n || (has(set, pt) && slice_eq_nocase(encoding(to, m, pt), name)))
		return pt;
	for (i = 0; i < PT_MAX; i++)
		if (has(set, i) && slice_eq_nocase(encoding(to, m, i), name))
			return i;
	return pt;
}

static void map(struct media_want *w, unsigned from, unsigned to)
{
	if (w->npt == MEDIA_PTS)
		return;
	w->pt[w->npt].from = (uint8_t)from;
	w->pt[w->npt].to = (uint8_t)to;
	w->npt++;
}

void call_renumber(const struct call_leg *l, const struct wire_sdp *in, const struct wire_sdp *other, unsigned m, struct media_want *w)
{
	static struct wire_sdp told;
	uint64_t own[2], said[2] = { 0, 0 };
	unsigned pt, to;
	bool differ = false;

	wire_sdp_pts(&in->media[m], own);
	for (pt = 96; pt < PT_MAX && !differ; pt++)
		differ = has(own, pt) && number_at(in, other, m, pt) != pt;
	if (!differ)
		return;
	if (!wire_sdp_parse((struct slice){ l->sdp_out.p, l->sdp_out.n }, &told) && m < told.nmedia)
		wire_sdp_pts(&told.media[m], said);
	for (pt = 0; pt < PT_MAX; pt++) {
		if (!has(said, pt) && !has(own, pt))
			continue;
		to = number_at(has(said, pt) ? &told : in, other, m, pt);
		if (to != pt)
			map(w, pt, to);
	}
}
