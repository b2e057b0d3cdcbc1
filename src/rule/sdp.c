/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Session descriptions as fields (RFC 8866): codecs, ptime, bandwidth, attributes. An edit writes the description anew from its lines;
 * o= stays as it is: its version is set by Postern afterwards. Bodies of other types, and multipart ones, are not looked into.
 */
#include "rule/rule.h"

#define FORMATS 64

/** The parsed body of the message at hand; NULL where there is none. */
static const struct wire_sdp *sdp_load(struct rule_eval *e)
{
	static struct wire_sdp parsed;       /* 20 KB: one for the engine's thread */
	struct slice body = e->ops->body(e->m), type;

	if (!body.n)
		return NULL;
	if (e->sdp_of == body.p && e->sdp_n == body.n)
		return e->sdp;
	e->sdp_of = body.p;
	e->sdp_n = body.n;
	e->sdp = NULL;
	type = e->ops->header(e->m, SLICE("Content-Type"), 0);
	if (type.n >= 15 && slice_eq_nocase((struct slice){ type.p, 15 }, SLICE("application/sdp")) && !wire_sdp_parse(body, &parsed))
		e->sdp = &parsed;
	return e->sdp;
}

static int find_media(const struct wire_sdp *s, const char *kind)
{
	for (int i = 0; i < s->nmedia; i++)
		if (slice_eq(s->media[i].kind, slice_str(kind)))
			return i;
	return -1;
}

/** The next blank-separated word. */
static bool next_word(struct slice *rest, struct slice *ret)
{
	size_t n = 0;

	while (rest->n && *rest->p == ' ') {
		rest->p++;
		rest->n--;
	}
	while (n < rest->n && rest->p[n] != ' ')
		n++;
	*ret = (struct slice){ rest->p, n };
	rest->p += n;
	rest->n -= n;
	return n > 0;
}

static bool attr_split(struct slice line, struct slice *ret_name, struct slice *ret_value)
{
	const char *colon = line.n ? memchr(line.p, ':', line.n) : NULL;

	*ret_name = (struct slice){ line.p, colon ? (size_t)(colon - line.p) : line.n };
	*ret_value = colon ? (struct slice){ colon + 1, line.n - ret_name->n - 1 } : (struct slice){ line.p + line.n, 0 };
	return ret_name->n > 0;
}

/** Encoding name of a format, with the clock rate behind it where it was given: `opus/48000/2`; of a static one its name. */
static struct slice format_name(const struct wire_sdp *s, const struct wire_sdp_media *m, struct slice pt)
{
	static const struct { const char *pt, *name; } fixed[] = {
		{ "0", "PCMU/8000" }, { "3", "GSM/8000" }, { "4", "G723/8000" }, { "5", "DVI4/8000" }, { "6", "DVI4/16000" }, { "7", "LPC/8000" }, { "8", "PCMA/8000" },
		{ "9", "G722/8000" }, { "10", "L16/44100/2" }, { "11", "L16/44100" }, { "12", "QCELP/8000" }, { "13", "CN/8000" }, { "14", "MPA/90000" },
		{ "15", "G728/8000" }, { "18", "G729/8000" }, { "26", "JPEG/90000" }, { "31", "H261/90000" }, { "32", "MPV/90000" }, { "33", "MP2T/90000" }, { "34", "H263/90000" },
	};
	struct slice name, value, word;

	for (unsigned i = m->first; i < (unsigned)m->first + m->nlines; i++) {
		if (s->line[i].type != 'a' || !attr_split(s->line[i].value, &name, &value) || !slice_eq_nocase(name, SLICE("rtpmap")))
			continue;
		if (next_word(&value, &word) && slice_eq(word, pt) && next_word(&value, &word))
			return word;
	}
	for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
		if (slice_eq(slice_str(fixed[i].pt), pt))
			return slice_str(fixed[i].name);
	return pt;
}

static struct slice before_slash(struct slice s)
{
	const char *slash = s.n ? memchr(s.p, '/', s.n) : NULL;

	return slash ? (struct slice){ s.p, (size_t)(slash - s.p) } : s;
}

/** `G722`, or `G722/8000` where the clock matters. */
static bool format_is(struct slice have, struct slice want)
{
	if (memchr(want.p, '/', want.n))
		return slice_eq_nocase(have, want) || (have.n > want.n && have.p[want.n] == '/' && slice_eq_nocase((struct slice){ have.p, want.n }, want));
	return rule_glob(want, before_slash(have), true);
}

static struct rule_got get_codec(const struct wire_sdp *s, const struct wire_sdp_media *m, unsigned index)
{
	struct slice rest = m->formats, pt;

	while (next_word(&rest, &pt))
		if (!index--)
			return (struct rule_got){ .there = true, .s = before_slash(format_name(s, m, pt)) };
	return (struct rule_got){ 0 };
}

static struct rule_got number_of(struct slice s)
{
	struct rule_got g = { .is_num = true };
	struct slice word;
	uint64_t n;

	if (s.p && next_word(&s, &word) && !slice_u64(word, UINT32_MAX, &n)) {
		g.there = true;
		g.num = (int64_t)n;
	}
	return g;
}

static bool is_as(const struct wire_sdp_line *l)
{
	return l->type == 'b' && l->value.n > 3 && slice_eq_nocase((struct slice){ l->value.p, 3 }, SLICE("AS:"));
}

static struct rule_got get_bandwidth(const struct wire_sdp *s, const struct wire_sdp_media *m)
{
	for (unsigned i = m->first; i < (unsigned)m->first + m->nlines; i++)
		if (is_as(&s->line[i]))
			return number_of((struct slice){ s->line[i].value.p + 3, s->line[i].value.n - 3 });
	return (struct rule_got){ 0 };
}

static struct rule_got get_attribute(const struct wire_sdp *s, int m, struct slice want, unsigned index)
{
	unsigned from = m < 0 ? 0 : s->media[m].first, to = m < 0 ? s->nsession : from + s->media[m].nlines;
	struct slice name, value;

	for (unsigned i = from; i < to; i++)
		if (s->line[i].type == 'a' && attr_split(s->line[i].value, &name, &value) && rule_glob(want, name, true) && !index--)
			return (struct rule_got){ .there = true, .s = value };
	return (struct rule_got){ 0 };
}

struct rule_got rule_sdp_get(struct rule_eval *e, const struct rule_path *p, unsigned index)
{
	const struct wire_sdp *s = sdp_load(e);
	const struct rule_field *f = p->field;
	int m = s && *f->header ? find_media(s, f->header) : -1;

	if (!s || (*f->header && m < 0) || (index && f->kind != RULE_K_CODECS && f->kind != RULE_K_ATTRIBUTE))
		return (struct rule_got){ 0 };
	switch (f->kind) {
	case RULE_K_SDP: return (struct rule_got){ .there = true };
	case RULE_K_CODECS: return get_codec(s, &s->media[m], index);
	case RULE_K_PTIME: return number_of(wire_sdp_attr(s, m, "ptime"));
	case RULE_K_BANDWIDTH: return get_bandwidth(s, &s->media[m]);
	case RULE_K_DIRECTION: return (struct rule_got){ .there = true, .s = slice_str(wire_dir_name(s->media[m].dir)) };
	case RULE_K_PORT: return (struct rule_got){ .there = true, .is_num = true, .num = s->media[m].port };
	default: return get_attribute(s, m, p->sub, index);
	}
}

/* ---- writing ---- */
struct edit {
	const struct rule_path *p;
	struct slice value;                /* p NULL: remove */
	bool add, done, changed;
	const struct rule_value *list;     /* of codecs: keep these ... */
	struct slice but;                  /* ... or all but this */
	struct slice pt[FORMATS]; unsigned npt;
	struct rule_out out;
};

static void emit(struct edit *x, char type, struct slice value)
{
	rule_out_add(&x->out, "%c=", type);
	rule_out_slice(&x->out, value);
	rule_out_slice(&x->out, SLICE("\r\n"));
}

static void emit_attr(struct edit *x, struct slice name, struct slice value)
{
	rule_out_slice(&x->out, SLICE("a="));
	rule_out_slice(&x->out, name);
	if (value.n) {
		rule_out_slice(&x->out, SLICE(":"));
		rule_out_slice(&x->out, value);
	}
	rule_out_slice(&x->out, SLICE("\r\n"));
	x->done = x->changed = true;
}

static bool format_kept(const struct edit *x, struct slice pt)
{
	for (unsigned i = 0; i < x->npt; i++)
		if (slice_eq(x->pt[i], pt))
			return true;
	return false;
}

/** Choose the formats of an m-line; an error where no codec is left. */
static int choose_formats(struct edit *x, const struct wire_sdp *s, const struct wire_sdp_media *m)
{
	const struct rule_value *v = x->list;
	bool codec = false;
	struct slice rest, pt;

	x->npt = 0;
	do {
		rest = m->formats;
		while (next_word(&rest, &pt)) {
			struct slice name = format_name(s, m, pt);

			if (format_kept(x, pt) || (v ? !format_is(name, v->text) : format_is(name, x->but)))
				continue;
			if (x->npt == FORMATS)
				return ERR_FULL;
			x->pt[x->npt++] = pt;
			codec = codec || !(format_is(name, SLICE("telephone-event")) || format_is(name, SLICE("CN")) || format_is(name, SLICE("rtx")));
		}
		v = v ? v->next : NULL;
	} while (v);
	return codec ? 0 : ERR_REFUSED;
}

static bool formats_differ(const struct edit *x, struct slice formats)
{
	struct slice pt;
	unsigned i = 0;

	while (next_word(&formats, &pt))
		if (i >= x->npt || !slice_eq(pt, x->pt[i++]))
			return true;
	return i != x->npt;
}

/** A line about a format that is gone: rtpmap, fmtp, rtcp-fb. */
static bool of_gone_format(const struct edit *x, const struct wire_sdp_line *l)
{
	struct slice name, value, pt;

	if (l->type != 'a' || !attr_split(l->value, &name, &value))
		return false;
	if (!slice_eq_nocase(name, SLICE("rtpmap")) && !slice_eq_nocase(name, SLICE("fmtp")) && !slice_eq_nocase(name, SLICE("rtcp-fb")))
		return false;
	return next_word(&value, &pt) && !slice_eq(pt, SLICE("*")) && !format_kept(x, pt);
}

static void edit_codec_line(struct edit *x, const struct wire_sdp_line *l)
{
	if (of_gone_format(x, l))
		x->changed = true;
	else
		emit(x, l->type, l->value);
}

static void edit_bandwidth_line(struct edit *x, const struct wire_sdp_line *l)
{
	/* b= stands before k= and a= */
	if (x->value.p && !x->done && (is_as(l) || l->type == 'a' || l->type == 'k')) {
		rule_out_add(&x->out, "b=AS:%.*s\r\n", (int)x->value.n, x->value.p);
		x->done = x->changed = true;
	}
	if (is_as(l))
		x->changed = true;
	else
		emit(x, l->type, l->value);
}

static void edit_attribute_line(struct edit *x, const struct wire_sdp_line *l)
{
	bool ptime = x->p->field->kind == RULE_K_PTIME, hit;
	struct slice name, value, want = ptime ? SLICE("ptime") : x->p->sub;

	hit = l->type == 'a' && attr_split(l->value, &name, &value) && rule_glob(want, name, true) && (ptime || rule_attribute_writable(name));
	if (!hit || x->add) {
		emit(x, l->type, l->value);
	} else if (x->value.p && !x->done) {
		bool same = slice_eq(value, x->value);
		bool before = x->changed;

		emit_attr(x, name, x->value);
		x->changed = before || !same;
	} else {
		x->changed = true;
	}
}

/** A line of the part that is edited: as it is, edited, or not at all. */
static void edit_line(struct edit *x, const struct wire_sdp_line *l)
{
	switch (x->p->field->kind) {
	case RULE_K_CODECS: edit_codec_line(x, l); break;
	case RULE_K_BANDWIDTH: edit_bandwidth_line(x, l); break;
	default: edit_attribute_line(x, l); break;
	}
}

static void edit_end(struct edit *x)
{
	if (x->done || !x->value.p)
		return;
	if (x->p->field->kind == RULE_K_BANDWIDTH) {
		rule_out_add(&x->out, "b=AS:%.*s\r\n", (int)x->value.n, x->value.p);
		x->done = x->changed = true;
	} else if (x->p->field->kind != RULE_K_CODECS) {
		emit_attr(x, x->p->field->kind == RULE_K_PTIME ? SLICE("ptime") : x->p->sub, x->value);
	}
}

static void emit_m(struct edit *x, const struct wire_sdp_media *m, bool chosen)
{
	rule_out_add(&x->out, "m=%.*s %u", (int)m->kind.n, m->kind.p, m->port);
	if (m->nports > 1)
		rule_out_add(&x->out, "/%u", m->nports);
	rule_out_add(&x->out, " %.*s", (int)m->proto.n, m->proto.p);
	if (!chosen)
		rule_out_add(&x->out, " %.*s", (int)m->formats.n, m->formats.p);
	for (unsigned i = 0; chosen && i < x->npt; i++)
		rule_out_add(&x->out, " %.*s", (int)x->pt[i].n, x->pt[i].p);
	rule_out_slice(&x->out, SLICE("\r\n"));
}

static int emit_media(struct edit *x, const struct wire_sdp *s, const struct wire_sdp_media *m)
{
	bool mine = *x->p->field->header && slice_eq(m->kind, slice_str(x->p->field->header));
	bool codecs = mine && x->p->field->kind == RULE_K_CODECS && m->port && m->rtp;
	int err = 0;

	if (x->p->field->kind == RULE_K_CODECS)
		mine = codecs;
	if (codecs)
		err = choose_formats(x, s, m);
	if (err)
		return err;
	if (codecs && formats_differ(x, m->formats))
		x->changed = true;
	emit_m(x, m, codecs);
	x->done = false;
	for (unsigned i = m->first; i < (unsigned)m->first + m->nlines; i++) {
		if (mine)
			edit_line(x, &s->line[i]);
		else
			emit(x, s->line[i].type, s->line[i].value);
	}
	if (mine)
		edit_end(x);
	return 0;
}

static int run_edit(struct rule_eval *e, struct edit *x)
{
	const struct wire_sdp *s = sdp_load(e);
	bool session = !*x->p->field->header;
	int err = 0;

	if (!s)
		return 0;
	emit(x, 'v', SLICE("0"));
	for (unsigned i = 0; i < s->nsession; i++) {
		if (session)
			edit_line(x, &s->line[i]);
		else
			emit(x, s->line[i].type, s->line[i].value);
	}
	if (session)
		edit_end(x);
	for (unsigned i = 0; !err && i < s->nmedia; i++)
		err = emit_media(x, s, &s->media[i]);
	if (!err && x->out.failed)
		err = -ENOMEM;
	/* lines in the place of the same ones */
	x->changed = x->changed && !slice_eq(s->text, (struct slice){ x->out.p, x->out.n });
	if (!err && x->changed)
		err = e->ops->set_body(e->m, (struct slice){ x->out.p, x->out.n });
	if (!err && x->changed) {
		e->sdp_of = NULL;
		e->res->sdp = true;
	}
	rule_out_free(&x->out);
	return err ? err : x->changed;
}

int rule_sdp_set(struct rule_eval *e, const struct rule_path *p, struct slice value, bool add)
{
	struct edit x = { .p = p, .value = value, .add = add };

	for (size_t i = 0; i < value.n; i++)
		if ((unsigned char)value.p[i] < ' ')
			return ERR_PROTO;
	return run_edit(e, &x);
}

int rule_sdp_keep(struct rule_eval *e, const struct rule_path *p, const struct rule_value *list, struct slice but)
{
	struct edit x = { .p = p, .list = list, .but = but };

	return run_edit(e, &x);
}
