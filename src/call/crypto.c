/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SDES (RFC 4568): which transport and which keys a leg offers, answers and has agreed. Everything is read from the leg's two descriptions in
 * force, so that there is no second truth: our key of a line is kept by taking it over from what we said last, and changes with our address, our
 * port or the suite alone. A line with an MKI, several keys, or parameters that change how packets are protected is not taken.
 * What the descriptions hold never reaches the record: call_crypto_mask.
 */
#define _GNU_SOURCE /* memmem */
#include "call/b2b.h"
#include "postern/keys.h"

#define LINES 16               /* a=crypto of one m-line that are looked at */
#define TAG_MAX 999999999u

struct crypto_line {
	uint32_t tag;
	enum keys_suite suite;
	struct media_key key;
};

/* ours of before, while a new description is made; the engine is one thread */
static struct wire_sdp before;

/* ---- a=crypto ---- */

static int base64_value(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* Exactly `want` bytes; padding may be missing. */
static bool base64_read(struct slice s, uint8_t *ret, size_t want)
{
	uint32_t acc = 0;
	unsigned bits = 0;
	size_t n = 0;

	while (s.n && s.p[s.n - 1] == '=')
		s.n--;
	for (size_t i = 0; i < s.n; i++) {
		int v = base64_value(s.p[i]);

		if (v < 0)
			return false;
		acc = acc << 6 | (uint32_t)v;
		bits += 6;
		if (bits < 8)
			continue;
		bits -= 8;
		if (n == want)
			return false;
		ret[n++] = (uint8_t)(acc >> bits);
	}
	return n == want && bits < 6;
}

static void base64_add(struct text *t, const uint8_t *p, size_t n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char out[4];

	for (size_t i = 0; i < n; i += 3) {
		uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0);

		out[0] = digits[v >> 18];
		out[1] = digits[v >> 12 & 63];
		out[2] = i + 1 < n ? digits[v >> 6 & 63] : '=';
		out[3] = i + 2 < n ? digits[v & 63] : '=';
		text_slice(t, (struct slice){ out, 4 });
	}
}

static struct slice word(struct slice *rest)
{
	struct slice w;

	while (rest->n && (*rest->p == ' ' || *rest->p == '\t')) {
		rest->p++;
		rest->n--;
	}
	w = (struct slice){ rest->p, 0 };
	while (w.n < rest->n && w.p[w.n] != ' ' && w.p[w.n] != '\t')
		w.n++;
	rest->p += w.n;
	rest->n -= w.n;
	return w;
}

/* inline:KEY[|LIFETIME] ; a colon in what follows the key is an MKI, a semicolon a second key */
static bool key_read(struct slice v, enum keys_suite suite, struct media_key *ret)
{
	const char *bar;

	if (v.n < 7 || !slice_eq_nocase((struct slice){ v.p, 7 }, SLICE("inline:")))
		return false;
	v = (struct slice){ v.p + 7, v.n - 7 };
	bar = memchr(v.p, '|', v.n);
	if (memchr(v.p, ';', v.n) || memchr(v.p, ':', v.n))
		return false;
	memset(ret, 0, sizeof(*ret));
	return base64_read((struct slice){ v.p, bar ? (size_t)(bar - v.p) : v.n }, ret->key, keys_suite_bytes(suite));
}

/* Session parameters: a window hint is one; what starts with `-` may be ignored (RFC 4568 section 6.3.7). */
static bool params_harmless(struct slice rest)
{
	struct slice w;

	for (w = word(&rest); w.n; w = word(&rest))
		if (w.p[0] != '-' && !(w.n > 4 && slice_eq_nocase((struct slice){ w.p, 4 }, SLICE("WSH="))))
			return false;
	return true;
}

static bool line_read(struct slice v, struct crypto_line *ret)
{
	uint64_t tag;

	if (slice_u64(word(&v), TAG_MAX, &tag))
		return false;
	ret->tag = (uint32_t)tag;
	ret->suite = keys_suite_of(word(&v));
	return ret->suite && key_read(word(&v), ret->suite, &ret->key) && params_harmless(v);
}

/* The lines of an m-line that we can take, in their order; *ret_any: there are lines at all. */
static unsigned lines_read(const struct wire_sdp *s, unsigned m, struct crypto_line *ret, bool *ret_any)
{
	const struct wire_sdp_media *media = &s->media[m];
	unsigned n = 0;

	*ret_any = false;
	for (unsigned i = media->first; i < (unsigned)media->first + media->nlines && n < LINES; i++) {
		struct slice v = s->line[i].value;

		if (s->line[i].type != 'a' || v.n < 7 || !slice_eq_nocase((struct slice){ v.p, 7 }, SLICE("crypto:")))
			continue;
		*ret_any = true;
		n += line_read((struct slice){ v.p + 7, v.n - 7 }, &ret[n]);
	}
	return n;
}

static void line_add(struct text *t, const struct crypto_line *l)
{
	text_add(t, "a=crypto:%u %s inline:", (unsigned)l->tag, keys_suite_name(l->suite));
	base64_add(t, l->key.key, keys_suite_bytes(l->suite));
	text_add(t, "\r\n");
}

/* ---- transports ---- */

static bool ends_with(struct slice s, const char *end)
{
	struct slice e = slice_str(end);

	return s.n >= e.n && slice_eq_nocase((struct slice){ s.p + s.n - e.n, e.n }, e);
}

static bool is_secure(const struct wire_sdp_media *m) { return slice_eq_nocase(m->proto, SLICE("RTP/SAVP")) || slice_eq_nocase(m->proto, SLICE("RTP/SAVPF")); }
static bool is_feedback(const struct wire_sdp_media *m) { return ends_with(m->proto, "AVPF"); }

static enum media_transport transport_of(const struct call_leg *l)
{
	return (enum media_transport)l->media->transport;
}

bool call_crypto_leg(const struct call_leg *l)
{
	return transport_of(l) == MEDIA_SDES || transport_of(l) == MEDIA_SDES_OPTIONAL;
}

/* The suite of ours that comes first in the profile and stands in these lines. */
static const struct crypto_line *line_choose(const struct call_leg *l, const struct crypto_line *line, unsigned n)
{
	const char *const *suite = l->media->suites.v;

	for (size_t k = 0; k < l->media->suites.n; k++)
		for (unsigned i = 0; i < n; i++)
			if (line[i].suite == keys_suite_of(slice_str(suite[k])))
				return &line[i];
	return NULL;
}

/**
 * a=rtcp-mux of the peer that said s: 488 where the profile requires what it does not do. What it answered to our offer of it is noted;
 * what it offers is answered in its own answer.
 */
static int mux_check(const struct call_leg *from, const struct wire_sdp *s, unsigned m, bool answer)
{
	struct call_stream *stream = &((struct call_leg *)(uintptr_t)from)->stream[m];
	bool require = from->media->rtcp_mux == 1;

	if (require && !s->media[m].rtcp_mux)
		return 488;
	if (answer)
		stream->mux = s->media[m].rtcp_mux && (require || stream->mux);
	return 0;
}

int call_crypto_check(const struct call_leg *from, const struct wire_sdp *offer, unsigned m)
{
	struct crypto_line line[LINES];
	bool any, secure = is_secure(&offer->media[m]), ok;
	unsigned n;

	switch (transport_of(from)) {
	case MEDIA_RTP: case MEDIA_DTLS_OPTIONAL:
		ok = !secure;
		break;
	case MEDIA_SDES: case MEDIA_SDES_OPTIONAL:
		n = lines_read(offer, m, line, &any);
		ok = secure ? line_choose(from, line, n) != NULL : transport_of(from) == MEDIA_SDES_OPTIONAL;
		keys_wipe(line, sizeof(line));
		break;
	default:
		ok = false; /* DTLS alone: never plain instead */
	}
	if (ok && !mux_check(from, offer, m, false))
		return 0;
	base_count(COUNTER_REJECT_TRANSPORT);
	return 488;
}

/* ---- what was agreed ---- */

/* A description that answers has one line; its tag and suite name the one of the other (RFC 4568 section 5.1.3). */
static bool pair_find(const struct crypto_line *in, unsigned nin, const struct crypto_line *out, unsigned nout, unsigned *ret_in, unsigned *ret_out)
{
	if (nin != 1 && nout != 1)
		return false;
	for (*ret_in = 0; *ret_in < nin; ++*ret_in)
		for (*ret_out = 0; *ret_out < nout; ++*ret_out)
			if (in[*ret_in].tag == out[*ret_out].tag && in[*ret_in].suite == out[*ret_out].suite)
				return true;
	return false;
}

/**
 * @param key [out] of what is received and what is sent; NULL: not wanted
 * @return suite, KEYS_SUITE_NONE for a plain stream, or ERR_REFUSED where what they say does not go together
 */
static int agreed(const struct wire_sdp *in, const struct wire_sdp *out, unsigned m, struct media_key *key)
{
	struct crypto_line a[LINES], b[LINES];
	bool any_in, any_out;
	unsigned na = lines_read(in, m, a, &any_in), nb = lines_read(out, m, b, &any_out), i, k;
	int ret = ERR_REFUSED;

	if (any_in && any_out && pair_find(a, na, b, nb, &i, &k)) {
		ret = (int)a[i].suite;
		if (key) {
			key[0] = a[i].key;
			key[1] = b[k].key;
		}
	} else if (!is_secure(&in->media[m]) && !is_secure(&out->media[m]) && !(any_in && any_out)) {
		ret = KEYS_SUITE_NONE;
	}
	keys_wipe(a, sizeof(a));
	keys_wipe(b, sizeof(b));
	return ret;
}

int call_crypto_answer_check(const struct call_leg *from, const struct wire_sdp *answer, unsigned m)
{
	const struct call_exchange *x = from->call->x;
	const struct call_text *ours = x && x->offer_out.n ? &x->offer_out : &from->sdp_out;
	int suite;

	if (!call_crypto_leg(from))
		return is_secure(&answer->media[m]) ? 488 : mux_check(from, answer, m, true);
	if (!ours->n || wire_sdp_parse((struct slice){ ours->p, ours->n }, &before) || m >= before.nmedia)
		return 488;
	suite = agreed(answer, &before, m, NULL);
	return suite < 0 || (suite == KEYS_SUITE_NONE && transport_of(from) == MEDIA_SDES) ? 488 : mux_check(from, answer, m, true);
}

bool call_crypto_keys(const struct call_leg *l, const struct wire_sdp *in, unsigned m, uint8_t suite[static 2], struct media_key key[static 2])
{
	int s;

	if (!call_crypto_leg(l))
		return true;
	if (!l->sdp_out.n || wire_sdp_parse((struct slice){ l->sdp_out.p, l->sdp_out.n }, &before) || m >= before.nmedia)
		return false;
	s = agreed(in, &before, m, key);
	if (s < 0 || (s == KEYS_SUITE_NONE && transport_of(l) == MEDIA_SDES))
		return false;
	suite[0] = suite[1] = (uint8_t)s;
	return true;
}

/* ---- what we say ---- */

/* Our key of that suite as we said it last, where it may stay; else a new one. */
static void own_key(const struct crypto_line *old, unsigned nold, enum keys_suite suite, struct media_key *ret)
{
	for (unsigned i = 0; i < nold; i++)
		if (old[i].suite == suite) {
			*ret = old[i].key;
			return;
		}
	keys_srtp_random(suite, ret->key);
}

static void say_answer(struct call_leg *to, const struct wire_sdp *offer, unsigned m, const struct crypto_line *old, unsigned nold, struct text *t)
{
	struct crypto_line line[LINES], own = { 0 };
	const struct crypto_line *chosen;
	bool any;

	chosen = line_choose(to, line, lines_read(offer, m, line, &any));
	if (chosen) {
		own.tag = chosen->tag;
		own.suite = chosen->suite;
		own_key(old, nold, own.suite, &own.key);
		line_add(t, &own);
	}
	keys_wipe(line, sizeof(line));
	keys_wipe(&own, sizeof(own));
}

/* The profile's suites in its order; what stood in our last description of the same port is said again as it was. */
static void say_offer(struct call_leg *to, const struct crypto_line *old, unsigned nold, struct text *t)
{
	const char *const *suite = to->media->suites.v;
	struct crypto_line own = { 0 };

	for (unsigned i = 0; i < nold; i++)
		line_add(t, &old[i]);
	for (size_t k = 0; !nold && k < to->media->suites.n; k++) {
		own.suite = keys_suite_of(slice_str(suite[k]));
		if (!own.suite)
			continue;
		own.tag++;
		keys_srtp_random(own.suite, own.key.key);
		line_add(t, &own);
	}
	keys_wipe(&own, sizeof(own));
}

static struct slice proto_name(bool secure, bool feedback)
{
	if (secure)
		return feedback ? SLICE("RTP/SAVPF") : SLICE("RTP/SAVP");
	return feedback ? SLICE("RTP/AVPF") : SLICE("RTP/AVP");
}

/* What we said last about this line, where our address and port are still the same; NULL: nothing that binds us. */
static const struct wire_sdp_media *said_before(const struct call_leg *to, unsigned m, const struct wire_sdp_place *p)
{
	const struct wire_sdp_media *old;

	if (!to->sdp_out.n || wire_sdp_parse((struct slice){ to->sdp_out.p, to->sdp_out.n }, &before) || m >= before.nmedia)
		return NULL;
	old = &before.media[m];
	return old->port == p->port && slice_eq(old->conn, slice_str(p->addr)) && old->rtp ? old : NULL;
}

void call_crypto_place(struct call_leg *to, const struct wire_sdp_media *source, const struct wire_sdp *offer, unsigned m, struct wire_sdp_place *p,
	char *buf, size_t size)
{
	struct crypto_line old[LINES];
	const struct wire_sdp_media *last;
	struct text t = text_on(buf, size);
	unsigned nold = 0;
	bool any = false, secure;

	if (!call_crypto_leg(to)) {
		p->proto = offer ? offer->media[m].proto : proto_name(false, is_feedback(source));
		return;
	}
	last = said_before(to, m, p);
	if (last)
		nold = lines_read(&before, m, old, &any);
	if (offer) {
		p->proto = offer->media[m].proto; /* RFC 3264 section 6: the answer's is the offer's */
		say_answer(to, offer, m, old, nold, &t);
	} else {
		secure = transport_of(to) == MEDIA_SDES || (last && is_secure(last));
		p->proto = proto_name(secure, is_feedback(source));
		if (!last || nold || secure)
			say_offer(to, old, nold, &t);
	}
	p->attrs = text_get(&t);
	keys_wipe(old, sizeof(old));
}

/* ---- what others may see ---- */

static bool starts(struct slice s, size_t at, const char *word_)
{
	struct slice w = slice_str(word_);

	return s.n - at >= w.n && slice_eq_nocase((struct slice){ s.p + at, w.n }, w);
}

/* Bytes at the front of a line that may be shown, where the rest is secret; 0: all of it. */
static size_t line_open(struct slice l)
{
	if (l.n < 2 || l.p[1] != '=' || !memchr("aAkK", l.p[0], 4))
		return 0;
	if (starts(l, 0, "k="))
		return 2;
	if (starts(l, 0, "a=key-mgmt:"))
		return 11;
	if (!starts(l, 0, "a=crypto:"))
		return 0;
	for (size_t i = 9; i < l.n; i++)
		if (starts(l, i, "inline:"))
			return i + 7;
	return 9;
}

bool call_crypto_secret(struct slice sdp)
{
	for (const char *end; sdp.n; sdp.n -= (size_t)(end - sdp.p), sdp.p = end) {
		end = memchr(sdp.p, '\n', sdp.n);
		end = end ? end + 1 : sdp.p + sdp.n;
		if (line_open((struct slice){ sdp.p, (size_t)(end - sdp.p) }))
			return true;
	}
	return false;
}

struct slice call_crypto_mask(struct slice sdp, char *buf, size_t size)
{
	struct text t = text_on(buf, size);

	while (sdp.n) {
		const char *end = memchr(sdp.p, '\n', sdp.n);
		struct slice l = { sdp.p, end ? (size_t)(end - sdp.p) + 1 : sdp.n };
		size_t shown = line_open(l);

		if (shown) {
			text_slice(&t, (struct slice){ l.p, shown });
			text_add(&t, "***\r\n");
		} else {
			text_slice(&t, l);
		}
		sdp.p += l.n;
		sdp.n -= l.n;
	}
	return text_get(&t);
}
