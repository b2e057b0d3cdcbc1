/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model of design.md section 6: what each peer wants, and what of it the other leg was shown. A description that goes to a leg is built here
 * line by line from what may cross; sdp.c then puts our addresses into it. Directions are kept apart: an answer changes only what our offer left open.
 */
#include "call/b2b.h"
#include "wire/sdp.h"

/* the engine is one thread: built text lives here until the next one */
static char built[WIRE_SDP_BYTES + 4096];
static struct wire_sdp doc_view, doc_base, doc_alt, doc_own;
static bool around;                      /* media goes past us: addresses and keys cross as they are */

static struct slice text_of(const struct call_text *t) { return (struct slice){ t->p ? t->p : "", t->n }; }

/** Parse a description that was taken before; an empty one where there is none. */
static const struct wire_sdp *parsed_of(const struct call_text *t, struct wire_sdp *into)
{
	if (!t->n || wire_sdp_parse(text_of(t), into)) {
		into->nmedia = 0;
		into->nsession = 0;
	}
	return into;
}

/* ---- building ---- */
struct line {                            /* how one m-line is put together */
	const struct wire_sdp *codecs, *rest; /* where its formats, and all else come from */
	const struct wire_sdp *only[2];      /* formats that these lack are left out; NULL: none is */
	const struct wire_sdp *first;        /* formats of this one come first */
	const struct wire_sdp *numbers;      /* payload types are of this one; NULL: of codecs */
	const struct wire_sdp *agreed_under; /* with numbers: a format that this one lists under another number keeps the one that it has */
	int dir;
};

/** Payload type under which a format is said: as `numbers` has it. Empty: it means another format there. */
static struct slice number_of(const struct line *l, unsigned i, struct slice f)
{
	struct slice n;

	if (!l->numbers || i >= l->numbers->nmedia || !l->numbers->media[i].port)
		return f;
	if (l->agreed_under && (i >= l->agreed_under->nmedia || !call_format_same(l->codecs, i, l->agreed_under, i, f)))
		return f;
	n = call_format_find(l->codecs, i, f, l->numbers, i);
	return n.n || call_format_listed(&l->numbers->media[i], f) ? n : f;
}

static bool format_kept(const struct line *l, unsigned i, struct slice f)
{
	unsigned k;

	for (k = 0; k < 2; k++)
		if (l->only[k] && (i >= l->only[k]->nmedia || !call_format_find(l->codecs, i, f, l->only[k], i).n))
			return false;
	return number_of(l, i, f).n != 0;
}

static bool format_first(const struct line *l, unsigned i, struct slice f)
{
	return l->first && i < l->first->nmedia && call_format_find(l->codecs, i, f, l->first, i).n;
}

static unsigned put_formats(struct text *t, const struct line *l, unsigned i)
{
	unsigned pass, n = 0;

	for (pass = l->first ? 0 : 1; pass < 2; pass++) {
		struct slice rest = l->codecs->media[i].formats, f;

		while (call_format_next(&rest, &f)) {
			if (!format_kept(l, i, f) || format_first(l, i, f) != (pass == 0))
				continue;
			text_add(t, " ");
			text_slice(t, number_of(l, i, f));
			n++;
		}
	}
	return n;
}

static void put_line(struct text *t, const struct wire_sdp_line *l)
{
	text_add(t, "%c=", l->type);
	text_slice(t, l->value);
	text_add(t, "\r\n");
}

/** An attribute of a format, under the number that this has in what is built. */
static void put_numbered(struct text *t, const struct wire_sdp_line *l, struct slice format, struct slice number)
{
	const char *end = l->value.p + l->value.n, *behind = format.p + format.n;

	text_add(t, "%c=", l->type);
	text_slice(t, (struct slice){ l->value.p, (size_t)(format.p - l->value.p) });
	text_slice(t, number);
	text_slice(t, (struct slice){ behind, (size_t)(end - behind) });
	text_add(t, "\r\n");
}

/** Attributes of a block: those of the codecs, the others, or both; never a direction, or what does not cross. */
static void put_attrs(struct text *t, const struct line *l, const struct wire_sdp *s, unsigned i, bool codec, bool other)
{
	const struct wire_sdp_media *m = &s->media[i];
	unsigned k;

	for (k = m->first; k < (unsigned)m->first + m->nlines; k++) {
		const struct wire_sdp_line *one = &s->line[k];
		struct slice name, value, format = { NULL, 0 };
		bool is_codec = false;

		if (one->type == 'c' || (one->type == 'a' && wire_sdp_dir_of(one->value) >= 0))
			continue;
		if (one->type == 'a') {
			wire_sdp_attr_split(one->value, &name, &value);
			if (!around && !wire_sdp_attr_crosses((int)i, name, value))
				continue;
			is_codec = call_attr_is_codec(name);
			format = call_attr_format(name, value);
			if (format.n && !format_kept(l, i, format))
				continue;
		}
		if (!(is_codec ? codec : other))
			continue;
		if (format.n)
			put_numbered(t, one, format, number_of(l, i, format));
		else
			put_line(t, one);
	}
}

/** A line that is not used: port 0. */
static void put_dead(struct text *t, const struct wire_sdp_media *m)
{
	text_add(t, "m=");
	text_slice(t, m->kind);
	text_add(t, " 0 ");
	text_slice(t, m->proto);
	text_add(t, " ");
	text_slice(t, m->formats);
	text_add(t, "\r\n");
}

/** False: no format is left, nothing was written. */
static bool put_media(struct text *t, const struct line *l, unsigned i)
{
	const struct wire_sdp_media *m = &l->rest->media[i];
	size_t before = t->n;

	if (!m->port || !l->codecs->media[i].port) {
		put_dead(t, m);
		return true;
	}
	text_add(t, "m=");
	text_slice(t, m->kind);
	text_add(t, " %u ", m->port);
	text_slice(t, m->proto);
	if (!put_formats(t, l, i)) {
		t->n = before;
		t->p[before] = 0;
		return false;
	}
	text_add(t, "\r\n");
	if (m->conn.n) {
		text_add(t, "c=IN %s ", m->conn6 ? "IP6" : "IP4");
		text_slice(t, m->conn);
		text_add(t, "\r\n");
	}
	if (l->codecs == l->rest) {
		put_attrs(t, l, l->rest, i, true, true);
	} else {
		put_attrs(t, l, l->codecs, i, true, false);
		put_attrs(t, l, l->rest, i, false, true);
	}
	if (m->dir_given || l->dir != WIRE_SENDRECV)
		text_add(t, "a=%s\r\n", wire_dir_name((enum wire_dir)l->dir));
	return true;
}

/** May that line of the session stand in what we build? */
static bool session_line(const struct wire_sdp_line *l)
{
	struct slice name, value;

	if (l->type != 'a')
		return l->type != 'c';
	wire_sdp_attr_split(l->value, &name, &value);
	return wire_sdp_dir_of(l->value) < 0 && (around || wire_sdp_attr_crosses(-1, name, value));
}

static struct text begin(const struct call_leg *leg, const struct wire_sdp *session)
{
	struct text t = text_on(built, sizeof built);
	unsigned i;

	around = call_sdp_around(leg->call);
	text_add(&t, "v=0\r\n");
	for (i = 0; i < session->nsession; i++)
		if (session_line(&session->line[i]))
			put_line(&t, &session->line[i]);
	return t;
}

static int end(const struct text *t, struct slice *ret)
{
	*ret = text_get(t);
	return t->cut ? 500 : 0;
}

static int dir_at(const uint8_t *dirs, unsigned i, enum wire_dir otherwise)
{
	return i < CALL_STREAMS ? dirs[i] : (int)otherwise;
}

/* what brings its other lines; where media goes past us, addresses and keys are among them */
#define REST (1u << CALL_OTHER | (around ? 1u << CALL_ADDRESS | 1u << CALL_KEYS : 0u))
#define WHOLE (1u << CALL_ADD | 1u << CALL_REMOVE | 1u << CALL_FAX)

int call_shown_offer(const struct call_leg *from, const struct wire_sdp *now, const struct call_change *ch, unsigned relayed, const uint8_t *dirs,
	struct slice *ret)
{
	const struct wire_sdp *view = parsed_of(from->goal.n ? &from->goal : &from->view, &doc_view);
	struct text t = begin(from, view->nmedia && !(relayed & 1u << CALL_KEYS) ? view : now);
	unsigned i, n = view->nmedia;

	for (i = n; i < now->nmedia; i++)
		if (ch->line[i] & relayed & WHOLE)
			n = i + 1;
	for (i = 0; i < n; i++) {
		unsigned m = ch->line[i] & relayed;
		struct line l = { .codecs = m & 1u << CALL_CODEC ? now : view, .rest = m & REST ? now : view };

		if (i >= view->nmedia && !(m & WHOLE)) {
			put_dead(&t, &now->media[i]); /* consumed: stands only to keep the order */
			continue;
		}
		if (m & WHOLE && i >= now->nmedia) {
			put_dead(&t, &view->media[i]);
			continue;
		}
		if (m & WHOLE)
			l.codecs = l.rest = now;
		l.dir = dir_at(dirs, i, l.rest->media[i].dir);
		if (!put_media(&t, &l, i))
			put_dead(&t, &l.rest->media[i]);
	}
	return end(&t, ret);
}

/* what an answer is made of */
struct answer {
	const struct wire_sdp *base;         /* what we said last */
	const struct wire_sdp *alt, *told;   /* the other side's last, and what that was told: its live lines; NULL: none */
	const struct wire_sdp *was;          /* the offerer's former SDP; NULL: payload types stay as they are */
	bool agreed;                         /* `was` was an answer: what it lacks is not agreed */
};

static bool live_as(const struct wire_sdp *s, const struct wire_sdp *now, unsigned i)
{
	return s && i < s->nmedia && s->media[i].port && slice_eq_nocase(s->media[i].kind, now->media[i].kind);
}

/** The base of line i for an answer: what we said last, else what the other side has, where that lives there; NULL: none has it. */
static const struct wire_sdp *answer_base(const struct answer *a, const struct wire_sdp *now, unsigned i)
{
	if (live_as(a->base, now, i))
		return a->base;
	return live_as(a->alt, now, i) && live_as(a->told, now, i) ? a->alt : NULL;
}

/** Lines of an answer. @return those that live */
static unsigned put_answer(struct text *t, const struct answer *a, const struct wire_sdp *now, const uint8_t *dirs)
{
	unsigned i, live = 0;

	for (i = 0; i < now->nmedia; i++) {
		const struct wire_sdp_media *n = &now->media[i];
		const struct wire_sdp *b = n->port ? answer_base(a, now, i) : NULL;
		bool limited = b == a->base && a->agreed && i < a->was->nmedia && a->was->media[i].port;
		struct line l = { .codecs = b, .rest = b, .only = { now, limited ? a->was : NULL }, .numbers = a->was ? now : NULL, .agreed_under = a->was };

		if (b)
			l.dir = (int)wire_dir_reverse(wire_sdp_direction(now, n)) & dir_at(dirs, i, WIRE_SENDRECV);
		if (b && put_media(t, &l, i))
			live++;
		else
			put_dead(t, n);
	}
	return live;
}

static unsigned live_lines(const struct wire_sdp *s)
{
	unsigned i, n = 0;

	for (i = 0; i < s->nmedia; i++)
		n += s->media[i].port != 0;
	return n;
}

int call_shown_answer(const struct call_leg *leg, const struct wire_sdp *was, const struct wire_sdp *now, struct slice *ret)
{
	const struct call_leg *other = call_other((struct call_leg *)(uintptr_t)leg);
	struct answer a = { parsed_of(&leg->sdp_out, &doc_base), parsed_of(&other->sdp_in, &doc_alt), parsed_of(&other->sdp_out, &doc_view), was, !leg->was_offer };
	struct text t = begin(leg, a.base->nmedia ? a.base : a.alt);
	unsigned live = put_answer(&t, &a, now, other->shown_dir);

	return live || !live_lines(now) ? end(&t, ret) : 488;
}

int call_shown_carry(const struct call_leg *from, struct slice answer, const struct wire_sdp *now, const uint8_t *dirs, struct slice *ret)
{
	static char copy[sizeof built];
	struct answer a = { .base = &doc_base };
	struct text t;

	if (answer.n >= sizeof copy)
		return 500;
	memcpy(copy, answer.p, answer.n); /* it may be what was built last */
	if (wire_sdp_parse((struct slice){ copy, answer.n }, &doc_base))
		return 502;
	t = begin(from, &doc_base);
	put_answer(&t, &a, now, dirs);
	return end(&t, ret);
}

int call_shown_invite(const struct call_leg *leg, struct slice *ret)
{
	const struct call_leg *other = call_other((struct call_leg *)(uintptr_t)leg);
	const struct wire_sdp *view = parsed_of(other->goal.n ? &other->goal : &other->view, &doc_view), *theirs = parsed_of(&other->sdp_in, &doc_alt);
	const struct wire_sdp *ours = parsed_of(&leg->sdp_out, &doc_base), *own = parsed_of(&leg->sdp_in, &doc_own);
	const uint8_t *dirs = other->goal.n ? other->goal_dir : other->shown_dir;
	struct text t = begin(leg, view);
	unsigned i;

	for (i = 0; i < view->nmedia; i++) {
		/* its formats are those of its last description, whatever of that is consumed; all else is what may be shown */
		struct line l = { .codecs = live_as(theirs, view, i) ? theirs : view, .rest = view, .first = leg->was_offer ? ours : own, .numbers = own,
			.dir = dir_at(dirs, i, view->media[i].dir) };

		if (!put_media(&t, &l, i))
			put_dead(&t, &view->media[i]);
	}
	for (; i < ours->nmedia; i++)
		put_dead(&t, &ours->media[i]);
	return view->nmedia ? end(&t, ret) : 488;
}

/* ---- what a peer wants ---- */
void call_shown_wants(const struct wire_sdp *now, uint8_t *want)
{
	unsigned i;

	for (i = 0; i < CALL_STREAMS; i++)
		want[i] = i < now->nmedia && now->media[i].port ? (uint8_t)wire_sdp_direction(now, &now->media[i]) : WIRE_SENDRECV;
}

void call_shown_answered(const struct wire_sdp *answer, struct slice offer, uint8_t *want)
{
	unsigned i;

	if (!offer.n || wire_sdp_parse(offer, &doc_alt))
		doc_alt.nmedia = 0;
	for (i = 0; i < CALL_STREAMS && i < answer->nmedia && i < doc_alt.nmedia; i++) {
		/* a direction that our offer closed says nothing of what the peer wants */
		unsigned open = wire_dir_reverse(doc_alt.media[i].dir), said = wire_sdp_direction(answer, &answer->media[i]);

		if (answer->media[i].port)
			want[i] = (uint8_t)((want[i] & ~open) | (said & open));
	}
}

int call_shown_all(struct call_leg *leg)
{
	const struct wire_sdp *in = parsed_of(&leg->sdp_in, &doc_view);
	struct text t = begin(leg, in);
	struct slice text;
	unsigned i;

	for (i = 0; i < in->nmedia; i++) {
		struct line l = { .codecs = in, .rest = in, .dir = (int)in->media[i].dir };

		if (!put_media(&t, &l, i))
			put_dead(&t, &in->media[i]);
	}
	if (!end(&t, &text) && !call_text_set(&leg->view, text))
		return 0;
	base_log_limited(BASE_ERROR, 1, "call", "what was shown could not be kept call=%s", leg->call->id);
	return ERR_FULL;
}

void call_shown_reset(struct call_leg *offerer, struct call_leg *answerer)
{
	parsed_of(&offerer->sdp_in, &doc_view);
	call_shown_wants(&doc_view, offerer->first_dir);
	call_shown_wants(parsed_of(&answerer->sdp_in, &doc_base), answerer->first_dir);
	call_shown_wants(&doc_view, offerer->want_dir);
	memset(answerer->want_dir, WIRE_SENDRECV, sizeof answerer->want_dir);
	parsed_of(&answerer->sdp_in, &doc_base);
	call_shown_answered(&doc_base, text_of(&answerer->sdp_out), answerer->want_dir);
	memcpy(offerer->shown_dir, offerer->want_dir, sizeof offerer->shown_dir);
	memcpy(answerer->shown_dir, answerer->want_dir, sizeof answerer->shown_dir);
	offerer->was_offer = true;
	answerer->was_offer = false;
	call_shown_all(offerer);
	call_shown_all(answerer);
}

/** May the other leg's peer go on sending all that it may send on line i? */
static bool formats_fit(const struct wire_sdp *in, const struct wire_sdp *out, const struct wire_sdp *now, unsigned i)
{
	struct slice rest = out->media[i].formats, f;

	while (call_format_next(&rest, &f))
		if (call_format_find(out, i, f, in, i).n && !call_format_find(out, i, f, now, i).n)
			return false;
	return true;
}

int call_shown_settle(struct call_leg *leg, bool was_offer)
{
	leg->was_offer = was_offer;
	memset(leg->want_dir, WIRE_SENDRECV, sizeof leg->want_dir);
	parsed_of(&leg->sdp_in, &doc_base);
	if (was_offer)
		call_shown_wants(&doc_base, leg->want_dir);
	else
		call_shown_answered(&doc_base, text_of(&leg->sdp_out), leg->want_dir);
	memcpy(leg->shown_dir, leg->want_dir, sizeof leg->shown_dir);
	return call_shown_all(leg);
}

void call_shown_other(struct call_leg *leg)
{
	if (call_text_set(&leg->goal, text_of(&leg->view)))
		return;
	memcpy(leg->goal_dir, leg->want_dir, sizeof leg->goal_dir);
	call_own_add(call_other(leg), CALL_OWN_SHOW);
}

bool call_shown_can_codec(const struct call_leg *leg, const struct wire_sdp *now, const struct call_change *ch)
{
	const struct call_leg *other = call_other((struct call_leg *)(uintptr_t)leg);
	const struct wire_sdp *in = parsed_of(&other->sdp_in, &doc_base), *out = parsed_of(&other->sdp_out, &doc_alt);
	unsigned i;

	for (i = 0; i < now->nmedia; i++)
		if (ch->line[i] & 1u << CALL_CODEC && i < in->nmedia && i < out->nmedia && !formats_fit(in, out, now, i))
			return false;
	return true;
}

bool call_shown_fits(const struct call_leg *leg, const struct wire_sdp *now, const uint8_t *shown)
{
	const struct call_leg *other = call_other((struct call_leg *)(uintptr_t)leg);
	const struct wire_sdp *in = parsed_of(&other->sdp_in, &doc_base), *out = parsed_of(&other->sdp_out, &doc_alt);
	unsigned i;

	if (call_sdp_around(leg->call))
		return false; /* it sends to another address from now on */
	for (i = 0; i < WIRE_SDP_MEDIA; i++) {
		bool live = i < in->nmedia && i < out->nmedia && in->media[i].port && out->media[i].port;

		if (live != (i < now->nmedia && now->media[i].port))
			return false;
		if (live && (!slice_eq_nocase(in->media[i].kind, now->media[i].kind) || dir_at(shown, i, WIRE_SENDRECV) != (int)wire_sdp_direction(now, &now->media[i]) ||
			!formats_fit(in, out, now, i)))
			return false;
	}
	return true;
}

int call_shown_join(const struct call_leg *to, const struct wire_sdp *now, struct slice *ret)
{
	const struct wire_sdp *ours = parsed_of(&to->sdp_out, &doc_base);
	struct text t = begin(to, now);
	unsigned i;

	for (i = 0; i < now->nmedia; i++) {
		struct line l = { .codecs = now, .rest = now, .dir = (int)wire_sdp_direction(now, &now->media[i]) };

		if (!put_media(&t, &l, i))
			put_dead(&t, &now->media[i]);
	}
	for (; i < ours->nmedia; i++)
		put_dead(&t, &ours->media[i]);
	return end(&t, ret);
}

unsigned call_shown_rejoined(const struct call_leg *leg, const struct wire_sdp *now, struct call_change *ch)
{
	const struct wire_sdp *view = parsed_of(&leg->view, &doc_view);
	unsigned i, n = 0;

	for (i = 0, ch->all &= ~(1u << CALL_ADD); i < WIRE_SDP_MEDIA; i++) {
		if (!(ch->line[i] & 1u << CALL_ADD))
			continue;
		if (i < view->nmedia && view->media[i].port && slice_eq_nocase(view->media[i].kind, now->media[i].kind)) {
			ch->line[i] &= ~(1u << CALL_ADD);
			n++;
		} else {
			ch->all |= 1u << CALL_ADD;
		}
	}
	return n;
}
