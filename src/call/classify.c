/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a re-INVITE or UPDATE changes, by comparing descriptions (design.md section 6; RFC 3264 section 8). Pure and bounded.
 * Decides nothing: actions are decide.c's. The order of attributes, o=, s=, t=, ssrc and what is not of media are no change.
 */
#include "call/classify.h"
#include "wire/sdp.h"

#define BIT(p) (1u << (p))

const char *call_purpose_name(enum call_purpose p)
{
	static const char *const names[CALL_ALL_PURPOSES] = { "refresh", "offerless", "hold", "address", "codec", "other", "add", "remove", "fax",
		"identity", "keys" };

	return (unsigned)p < CALL_ALL_PURPOSES ? names[p] : "?";
}

/* ---- formats ---- */
bool call_format_next(struct slice *rest, struct slice *ret)
{
	*ret = wire_sdp_token(rest);
	return ret->n != 0;
}

bool call_format_listed(const struct wire_sdp_media *m, struct slice format)
{
	struct slice rest = m->formats, f;

	if (!m->port)
		return false;
	while (call_format_next(&rest, &f))
		if (slice_eq(f, format))
			return true;
	return false;
}

struct slice call_attr_format(struct slice name, struct slice value)
{
	if (slice_eq_nocase(name, SLICE("rtpmap")) || slice_eq_nocase(name, SLICE("fmtp")) || slice_eq_nocase(name, SLICE("rtcp-fb"))) {
		struct slice f = wire_sdp_token(&value);

		if (!slice_eq(f, SLICE("*")))
			return f;
	}
	return (struct slice){ NULL, 0 };
}

bool call_attr_is_codec(struct slice name)
{
	return slice_eq_nocase(name, SLICE("rtpmap")) || slice_eq_nocase(name, SLICE("fmtp")) || slice_eq_nocase(name, SLICE("ptime")) ||
		slice_eq_nocase(name, SLICE("rtcp-fb"));
}

/** Value of rtpmap or fmtp for one format, blanks around cut; empty if none. */
static struct slice format_attr(const struct wire_sdp *s, unsigned line, const char *attr, struct slice format)
{
	const struct wire_sdp_media *m = &s->media[line];
	struct slice name, value;
	unsigned i;

	for (i = m->first; i < (unsigned)m->first + m->nlines; i++) {
		if (s->line[i].type != 'a')
			continue;
		wire_sdp_attr_split(s->line[i].value, &name, &value);
		if (!slice_eq_nocase(name, slice_str(attr)) || !slice_eq(wire_sdp_token(&value), format))
			continue;
		while (value.n && *value.p == ' ') {
			value.p++;
			value.n--;
		}
		return value;
	}
	return (struct slice){ NULL, 0 };
}

/** Encoding of a format: its rtpmap, or the one of RFC 3551 table 4; one channel is not said. */
static struct slice encoding_of(const struct wire_sdp *s, unsigned line, struct slice format)
{
	static const struct { const char *pt, *name; } fixed[] = { { "0", "PCMU/8000" }, { "3", "GSM/8000" }, { "4", "G723/8000" }, { "8", "PCMA/8000" },
		{ "9", "G722/8000" }, { "13", "CN/8000" }, { "15", "G728/8000" }, { "18", "G729/8000" } };
	struct slice v = format_attr(s, line, "rtpmap", format);
	size_t i;

	if (v.n > 2 && v.p[v.n - 2] == '/' && v.p[v.n - 1] == '1' && memchr(v.p, '/', v.n) != v.p + v.n - 2)
		v.n -= 2;
	for (i = 0; !v.n && i < ARRAY_LEN(fixed); i++)
		if (slice_eq(format, slice_str(fixed[i].pt)))
			return slice_str(fixed[i].name);
	return v;
}

bool call_format_same(const struct wire_sdp *a, unsigned line_a, const struct wire_sdp *b, unsigned line_b, struct slice format)
{
	return call_format_listed(&a->media[line_a], format) && call_format_listed(&b->media[line_b], format) &&
		slice_eq_nocase(encoding_of(a, line_a, format), encoding_of(b, line_b, format));
}

struct slice call_format_find(const struct wire_sdp *a, unsigned line_a, struct slice format, const struct wire_sdp *b, unsigned line_b)
{
	struct slice name = encoding_of(a, line_a, format), rest = b->media[line_b].formats, f;

	if (!name.n || call_format_same(a, line_a, b, line_b, format))
		return name.n || call_format_listed(&b->media[line_b], format) ? format : (struct slice){ NULL, 0 };
	while (b->media[line_b].port && call_format_next(&rest, &f))
		if (slice_eq_nocase(encoding_of(b, line_b, f), name))
			return f;
	return (struct slice){ NULL, 0 };
}

/** First format of the line that was agreed. */
static struct slice first_agreed(const struct wire_sdp_media *m, const struct wire_sdp_media *agreed)
{
	struct slice rest = m->formats, f;

	while (call_format_next(&rest, &f))
		if (call_format_listed(agreed, f))
			return f;
	return (struct slice){ NULL, 0 };
}

static struct slice ptime_of(const struct wire_sdp *s, unsigned i)
{
	struct slice v = wire_sdp_attr(s, (int)i, "ptime");

	return v.p ? v : wire_sdp_attr(s, -1, "ptime");
}

static bool codec_changed(const struct wire_sdp *was, bool order, const struct wire_sdp *agreed, const struct wire_sdp *now, unsigned i)
{
	const struct wire_sdp_media *w = &was->media[i], *a = &agreed->media[i], *n = &now->media[i];
	struct slice rest = a->formats, f;

	while (call_format_next(&rest, &f)) {
		if (!call_format_listed(w, f))
			continue;
		if (!call_format_same(was, i, now, i, f) || !slice_eq_nocase(format_attr(was, i, "fmtp", f), format_attr(now, i, "fmtp", f)))
			return true;
	}
	if (order && !slice_eq(first_agreed(w, a), first_agreed(n, a)))
		return true;
	return !slice_eq(ptime_of(was, i), ptime_of(now, i));
}

/* ---- lines of other kinds ---- */
enum kind { KIND_NONE /* no change, or seen to elsewhere */, KIND_KEYS, KIND_FAX, KIND_ADDRESS, KIND_PRECONDITION, KIND_OTHER };

static bool name_in(struct slice name, const char *const *list)
{
	for (; *list; list++)
		if (slice_eq_nocase(name, slice_str(*list)))
			return true;
	return false;
}

static enum kind kind_of(const struct wire_sdp_line *l, const struct wire_sdp_media *agreed)
{
	static const char *const keys[] = { "crypto", "fingerprint", "setup", "tls-id", "dtls-id", "connection", "ice-ufrag", "ice-pwd", "ice-lite",
		"ice-options", "candidate", "end-of-candidates", "remote-candidates", "key-mgmt", NULL };
	static const char *const quiet[] = { "rtpmap", "fmtp", "ptime", "ssrc", "ssrc-group", "msid", "label", NULL };
	static const char *const address[] = { "rtcp", "rtcp-mux", "rtcp-mux-only", NULL };
	static const char *const precondition[] = { "curr", "des", "conf", NULL };
	struct slice name, value, format;

	if (l->type == 'b')
		return KIND_OTHER;
	if (l->type != 'a' || wire_sdp_dir_of(l->value) >= 0)
		return KIND_NONE;
	wire_sdp_attr_split(l->value, &name, &value);
	if (name_in(name, quiet))
		return KIND_NONE;
	if (name_in(name, keys))
		return KIND_KEYS;
	if (name_in(name, address))
		return KIND_ADDRESS;
	if (name_in(name, precondition))
		return KIND_PRECONDITION;
	if (name.n >= 3 && slice_eq_nocase((struct slice){ name.p, 3 }, SLICE("T38")))
		return KIND_FAX;
	format = call_attr_format(name, value);
	return format.n && agreed && !call_format_listed(agreed, format) ? KIND_NONE : KIND_OTHER;
}

static unsigned count_line(const struct wire_sdp *s, unsigned first, unsigned n, const struct wire_sdp_line *l)
{
	unsigned i, count = 0;

	for (i = first; i < first + n; i++)
		count += s->line[i].type == l->type && slice_eq(s->line[i].value, l->value);
	return count;
}

struct block { const struct wire_sdp *s; unsigned first, n; };

/** Kinds of the lines that stand in one block more often than in the other: bits of 1 << kind. */
static unsigned lines_missing(struct block a, struct block b, const struct wire_sdp_media *agreed)
{
	unsigned i, kinds = 0;

	for (i = a.first; i < a.first + a.n; i++) {
		const struct wire_sdp_line *l = &a.s->line[i];
		enum kind k = kind_of(l, agreed);

		if (k != KIND_NONE && !(kinds & 1u << k) && count_line(a.s, a.first, a.n, l) > count_line(b.s, b.first, b.n, l))
			kinds |= 1u << k;
	}
	return kinds;
}

static unsigned kinds_changed(struct block a, struct block b, const struct wire_sdp_media *agreed)
{
	return lines_missing(a, b, agreed) | lines_missing(b, a, agreed);
}

static unsigned purposes_of(unsigned kinds)
{
	return (kinds & 1u << KIND_KEYS ? BIT(CALL_KEYS) : 0) | (kinds & 1u << KIND_FAX ? BIT(CALL_FAX) : 0) |
		(kinds & 1u << KIND_ADDRESS ? BIT(CALL_ADDRESS) : 0) | (kinds & (1u << KIND_OTHER | 1u << KIND_PRECONDITION) ? BIT(CALL_OTHER) : 0);
}

static struct block block_of(const struct wire_sdp *s, unsigned i)
{
	return (struct block){ s, s->media[i].first, s->media[i].nlines };
}

/* ---- a line ---- */
static bool is_image(const struct wire_sdp *s, unsigned i)
{
	return i < s->nmedia && slice_eq_nocase(s->media[i].kind, SLICE("image"));
}

/** No address of the peer: a hold of the old kind, or none at all. A host name is one. */
static bool no_address(const struct wire_sdp_media *m)
{
	static const char hold[] = ".invalid";
	size_t n = sizeof hold - 1;
	union base_addr a;

	if (m->conn.n && base_addr_parse(m->conn, 1, &a))
		return m->conn.n >= n && slice_eq_nocase((struct slice){ m->conn.p + m->conn.n - n, n }, slice_str(hold));
	return !m->conn.n || base_addr_is_any(&a);
}

static bool preconditions_changed(const struct wire_sdp *was, const struct wire_sdp *now)
{
	unsigned i, kinds = kinds_changed((struct block){ was, 0, was->nsession }, (struct block){ now, 0, now->nsession }, NULL);

	for (i = 0; i < was->nmedia && i < now->nmedia; i++)
		kinds |= kinds_changed(block_of(was, i), block_of(now, i), NULL);
	return kinds & 1u << KIND_PRECONDITION;
}

static unsigned live_changes(const struct wire_sdp *was, bool order, const struct wire_sdp *agreed, const struct wire_sdp *now, unsigned i)
{
	const struct wire_sdp_media *w = &was->media[i], *n = &now->media[i];
	unsigned set = purposes_of(kinds_changed(block_of(was, i), block_of(now, i), &agreed->media[i]));

	if (wire_sdp_direction(was, w) != wire_sdp_direction(now, n))
		set |= BIT(CALL_HOLD);
	if (w->port != n->port || (!no_address(w) && !no_address(n) && !slice_eq_nocase(w->conn, n->conn)))
		set |= BIT(CALL_ADDRESS);
	if (!slice_eq_nocase(w->proto, n->proto))
		set |= BIT(CALL_KEYS);
	if (is_image(now, i))
		return slice_eq(w->formats, n->formats) ? set : set | BIT(CALL_FAX);
	return codec_changed(was, order, agreed, now, i) ? set | BIT(CALL_CODEC) : set;
}

static bool is_live(const struct wire_sdp *s, unsigned i) { return i < s->nmedia && s->media[i].port; }

/** A line that came, went or became another. */
static unsigned whole_changes(const struct wire_sdp *was, const struct wire_sdp *now, unsigned i, bool refused)
{
	bool had = is_live(was, i), has = is_live(now, i);

	if ((had && is_image(was, i)) || (has && is_image(now, i)))
		return refused && !has ? 0 : BIT(CALL_FAX);
	return (has ? BIT(CALL_ADD) : 0) | (had && !refused ? BIT(CALL_REMOVE) : 0);
}

/* what the two sides last said */
struct last { const struct wire_sdp *was, *ours; bool was_offer, order; };

static unsigned line_changes(const struct last *l, const struct wire_sdp *now, unsigned i)
{
	const struct wire_sdp *was = l->was, *ours = l->ours;
	bool was_offer = l->was_offer;
	const struct wire_sdp *agreed = was_offer ? ours : was;
	bool had = is_live(was, i), has = is_live(now, i);
	/* the peer offered it, we refused: it may go on offering it */
	bool refused = had && was_offer && !is_live(ours, i);

	if (!had && !has)
		return 0;
	if (had != has || !slice_eq_nocase(was->media[i].kind, now->media[i].kind))
		return whole_changes(was, now, i, refused);
	return refused || i >= agreed->nmedia ? 0 : live_changes(was, l->order, agreed, now, i);
}

static void classify(const struct last *l, const struct wire_sdp *now, struct call_change *ret)
{
	const struct wire_sdp *was = l->was;
	unsigned i, n = was->nmedia > now->nmedia ? was->nmedia : now->nmedia, session;

	memset(ret, 0, sizeof *ret);
	for (i = 0; i < n; i++) {
		ret->line[i] = line_changes(l, now, i);
		ret->all |= ret->line[i];
	}
	ret->preconditions = preconditions_changed(was, now);
	session = kinds_changed((struct block){ was, 0, was->nsession }, (struct block){ now, 0, now->nsession }, NULL);
	ret->all |= purposes_of(session) & BIT(CALL_KEYS);
	/* of the session's lines a bandwidth alone bears on media: attributes that nobody knows do not */
	for (i = 0; i < was->nsession; i++)
		if (was->line[i].type == 'b' && !count_line(now, 0, now->nsession, &was->line[i]))
			ret->all |= BIT(CALL_OTHER);
	for (i = 0; i < now->nsession; i++)
		if (now->line[i].type == 'b' && !count_line(was, 0, was->nsession, &now->line[i]))
			ret->all |= BIT(CALL_OTHER);
}

void call_classify(const struct wire_sdp *was, bool was_offer, const struct wire_sdp *ours, const struct wire_sdp *now, struct call_change *ret)
{
	classify(&(struct last){ was, ours, was_offer, was_offer }, now, ret);
}

void call_classify_answer(const struct wire_sdp *was, bool was_offer, const struct wire_sdp *ours, const struct wire_sdp *now, struct call_change *ret)
{
	classify(&(struct last){ was, ours, was_offer, false }, now, ret);
}
