/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keys/srtp: SRTP and SRTCP of one direction (RFC 3711, 6188, 7714), on libsrtp with our crypto types. The library keeps protocol and replay
 * windows; what it cannot restore after a restart stands beside it in state memory: extended indices, and the rules that none is used twice.
 *
 * A stream of the library is added at the first packet of an SSRC and brought to where the state stands: by its rollover counter for RTP, by
 * dummy packets for RTCP, whose index cannot be set. What is at or below the index of a restored line is refused: its window is not known.
 */
#include "keys/srtp.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <srtp2/srtp.h>
#include <stdlib.h>

#define INDEX_USED (1ull << 63)
#define INDEX_MAX ((1ull << 48) - 1)
#define WINDOW 1024
#define RTCP_STEP 16           /* SRTCP indices are stored ahead of use in steps */
#define RTCP_INDEX_MAX 0x7fffffffu
#define FAR_RUN 2              /* packets in a row that prove that a source began anew, where its sequence fell far behind */
#define NEAR_RUN 16            /* ... where a network may have repeated them */

static const struct suite {
	uint8_t rtcp_tag;              /* bytes behind the index word of SRTCP */
	void (*rtp)(srtp_crypto_policy_t *p), (*rtcp)(srtp_crypto_policy_t *p);
} suites[KEYS_SUITES] = {
	[KEYS_AEAD_AES_128_GCM] = { 0, srtp_crypto_policy_set_aes_gcm_128_16_auth, srtp_crypto_policy_set_aes_gcm_128_16_auth },
	[KEYS_AEAD_AES_256_GCM] = { 0, srtp_crypto_policy_set_aes_gcm_256_16_auth, srtp_crypto_policy_set_aes_gcm_256_16_auth },
	[KEYS_AES_CM_128_SHA1_80] = { 10, srtp_crypto_policy_set_rtp_default, srtp_crypto_policy_set_rtcp_default },
	/* the tag of SRTCP stays 80 bits (RFC 4568 section 6.2.2) */
	[KEYS_AES_CM_128_SHA1_32] = { 10, srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32, srtp_crypto_policy_set_rtcp_default },
	[KEYS_AES_256_CM_SHA1_80] = { 10, srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80, srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80 },
	[KEYS_AES_256_CM_SHA1_32] = { 10, srtp_crypto_policy_set_aes_cm_256_hmac_sha1_32, srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80 },
};

struct line {                          /* this process's view of a line of the state */
	bool added;                    /* the library has its stream */
	bool begun;                    /* ... and RTP of it came: its rollover counter is right */
	bool floored;                  /* at or below `floor`: used before this process */
	uint64_t floor;
	uint32_t rtcp_next;            /* sender: next index of the library's stream, which counts from 1 */
	uint32_t rtcp_floor;           /* receiver */
	uint16_t behind;               /* sequence that came last of a source that may have begun anew */
	uint8_t run;                   /* such packets in a row */
};

struct keys_srtp {
	srtp_t session;
	bool sender;
	enum keys_suite suite;
	struct keys_srtp_state *state;
	uint32_t clock;                /* order of use */
	struct line line[KEYS_SRTP_SSRCS];
	uint8_t key[KEYS_SRTP_MAX];
};

/* ---- sessions ---- */

static int self_test(enum keys_suite suite)
{
	static uint8_t key[KEYS_SRTP_MAX] = { 1, 2, 3 };
	struct keys_srtp_state tx = { 0 }, rx = { 0 };
	struct keys_srtp *a = NULL, *b = NULL;
	uint32_t word[16] = { 0 }, n = 28;
	uint8_t *p = (uint8_t *)word;
	bool newer;
	int err;

	p[0] = 0x80;
	p[20] = 7;
	err = keys_srtp_new(suite, key, true, &tx, &a);
	if (!err)
		err = keys_srtp_new(suite, key, false, &rx, &b);
	if (!err)
		err = keys_srtp_protect(a, p, &n);
	if (!err)
		err = keys_srtp_unprotect(b, p, &n, &newer);
	if (!err && (n != 28 || p[20] != 7))
		err = ERR_UNSUPPORTED;
	keys_srtp_free(a);
	keys_srtp_free(b);
	return err ? ERR_UNSUPPORTED : 0;
}

int keys_srtp_start(void)
{
	static bool started;
	int err = 0;

	if (started)
		return 0;
	if (srtp_init())
		return ERR_UNSUPPORTED;
	err = keys_srtp_crypto_start();
	for (int i = 1; i < KEYS_SUITES && !err; i++)
		err = self_test((enum keys_suite)i);
	started = !err;
	return err;
}

static void policy_set(const struct keys_srtp *s, uint32_t ssrc, srtp_policy_t *p)
{
	memset(p, 0, sizeof(*p));
	suites[s->suite].rtp(&p->rtp);
	suites[s->suite].rtcp(&p->rtcp);
	p->ssrc.type = ssrc_specific;
	p->ssrc.value = ssrc;
	p->key = (unsigned char *)(uintptr_t)s->key;
	p->window_size = WINDOW;
}

/* Every line that has an index was written before this session: by a dead process, or under the key before. */
static void lines_take_up(struct keys_srtp *s)
{
	for (unsigned i = 0; i < KEYS_SRTP_SSRCS; i++) {
		const struct keys_srtp_line *l = &s->state->line[i];

		if (l->used > s->clock)
			s->clock = l->used;
		s->line[i].floored = l->index & INDEX_USED;
		s->line[i].floor = l->index & INDEX_MAX;
		s->line[i].rtcp_floor = l->rtcp;
	}
}

int keys_srtp_new(enum keys_suite suite, const uint8_t *key, bool sender, struct keys_srtp_state *state, struct keys_srtp **ret)
{
	struct keys_srtp *s;

	if (!keys_suite_bytes(suite))
		return ERR_UNSUPPORTED;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->suite = suite;
	s->sender = sender;
	s->state = state;
	memcpy(s->key, key, keys_suite_bytes(suite));
	if (srtp_create(&s->session, NULL)) {
		keys_srtp_free(s);
		return -ENOMEM;
	}
	lines_take_up(s);
	*ret = s;
	return 0;
}

void keys_srtp_free(struct keys_srtp *s)
{
	if (!s)
		return;
	if (s->session)
		srtp_dealloc(s->session);
	OPENSSL_cleanse(s, sizeof(*s));
	free(s);
}

/* ---- lines ---- */

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put32(uint32_t *at, uint32_t v) { __atomic_store_n(at, v, __ATOMIC_RELAXED); }
static void put64(uint64_t *at, uint64_t v) { __atomic_store_n(at, v, __ATOMIC_RELEASE); }

static int line_find(const struct keys_srtp *s, uint32_t ssrc)
{
	for (int i = 0; i < KEYS_SRTP_SSRCS; i++)
		if (s->state->line[i].used && s->state->line[i].ssrc == ssrc)
			return i;
	return -1;
}

bool keys_srtp_knows(const struct keys_srtp *s, uint32_t ssrc)
{
	int i = line_find(s, ssrc);

	return i >= 0 && s->line[i].added;
}

static void line_touch(struct keys_srtp *s, int i)
{
	if (s->state->line[i].used != s->clock || !s->clock)
		put32(&s->state->line[i].used, ++s->clock);
}

/* The line of an SSRC that is not known: the one unused longest. A kill between these stores leaves a line without an index. */
static int line_new(struct keys_srtp *s, uint32_t ssrc)
{
	struct keys_srtp_line *l = s->state->line;
	int at = 0;

	for (int i = 1; i < KEYS_SRTP_SSRCS; i++)
		if (l[i].used < l[at].used)
			at = i;
	if (s->line[at].added)
		srtp_remove_stream(s->session, htonl(l[at].ssrc));
	memset(&s->line[at], 0, sizeof(s->line[at]));
	put64(&l[at].index, 0);
	put32(&l[at].used, 0);
	put32(&l[at].rtcp, 0);
	put32(&l[at].shift, 0);
	put32(&l[at].ssrc, ssrc);
	return at;
}

static void line_drop(struct keys_srtp *s, int at)
{
	if (s->line[at].added)
		srtp_remove_stream(s->session, htonl(s->state->line[at].ssrc));
	s->line[at].added = s->line[at].begun = false;
}

static int line_add(struct keys_srtp *s, int at)
{
	srtp_policy_t p;

	if (s->line[at].added)
		return 0;
	policy_set(s, s->state->line[at].ssrc, &p);
	if (srtp_add_stream(s->session, &p))
		return -ENOMEM;
	s->line[at].added = true;
	s->line[at].rtcp_next = 1;
	return 0;
}

static int err_of(srtp_err_status_t st)
{
	switch (st) {
	case srtp_err_status_ok:
		return 0;
	case srtp_err_status_replay_fail: case srtp_err_status_replay_old: case srtp_err_status_key_expired:
		return ERR_EXISTS;
	case srtp_err_status_bad_param: case srtp_err_status_parse_err:
		return ERR_PROTO;
	default:
		return ERR_REFUSED;
	}
}

/* ---- RTP ---- */

/* RFC 3711 appendix A: the index that a sequence number most likely has, near `high`. */
static uint64_t index_guess(uint64_t high, uint16_t seq)
{
	uint64_t roc = high >> 16;
	uint16_t top = (uint16_t)high;

	if (top < 32768 && seq - top > 32768 && roc)
		roc--;
	else if (top >= 32768 && top - 32768 > seq)
		roc++;
	return (roc << 16 | seq) & INDEX_MAX;
}

/* Make the library's stream continue near this index. */
static int stream_begin(struct keys_srtp *s, int at, uint64_t index)
{
	int err;

	if (s->line[at].begun)
		return 0;
	err = line_add(s, at);
	if (!err && index >> 16 && srtp_set_stream_roc(s->session, s->state->line[at].ssrc, (uint32_t)(index >> 16)))
		err = ERR_REFUSED;
	s->line[at].begun = !err;
	return err;
}

static bool below_floor(const struct line *l, uint64_t index)
{
	return l->floored && index <= l->floor;
}

static void seq_put(uint8_t *p, uint16_t seq)
{
	p[2] = (uint8_t)(seq >> 8);
	p[3] = (uint8_t)seq;
}

/* A packet that cannot be sent under its index: is it one of a row that a source which began anew sends? Then the row goes on behind the last. */
static bool begun_anew(struct keys_srtp *s, int at, uint16_t seq, unsigned need)
{
	struct keys_srtp_line *st = &s->state->line[at];
	struct line *l = &s->line[at];

	l->run = l->run && (uint16_t)(seq - l->behind) == 1 ? (uint8_t)(l->run + 1) : 1;
	l->behind = seq;
	if (l->run < need)
		return false;
	l->run = 0;
	put32(&st->shift, (uint16_t)((st->index & 0xffff) + 1 - seq));
	return true;
}

static int protect_known(struct keys_srtp *s, int at, uint8_t *p, int *n)
{
	struct keys_srtp_line *st = &s->state->line[at];
	struct line *l = &s->line[at];
	uint16_t seq = (uint16_t)(p[2] << 8 | p[3]), out;
	uint64_t high = st->index & INDEX_MAX, index;
	bool fresh = !(st->index & INDEX_USED);
	int err;

	for (int tries = 0; tries < 2; tries++) {
		out = (uint16_t)(seq + st->shift);
		index = fresh ? out : index_guess(high, out);
		if (!fresh && (index + WINDOW <= high || below_floor(l, index))) {
			if (!begun_anew(s, at, seq, index + WINDOW <= high ? FAR_RUN : NEAR_RUN))
				return ERR_EXISTS;
			continue;
		}
		break;
	}
	err = stream_begin(s, at, index);
	if (err)
		return err;
	if (fresh || index > high)
		put64(&st->index, index | INDEX_USED);
	seq_put(p, out);
	err = err_of(srtp_protect(s->session, p, n));
	if (err == ERR_EXISTS)
		begun_anew(s, at, seq, NEAR_RUN); /* from the next packet on */
	else
		l->run = 0;
	return err;
}

int keys_srtp_protect(struct keys_srtp *s, uint8_t *p, uint32_t *n)
{
	int len = (int)*n, at, err;

	if (*n < 12)
		return ERR_PROTO;
	at = line_find(s, be32(p + 8));
	if (at < 0)
		at = line_new(s, be32(p + 8));
	line_touch(s, at);
	err = protect_known(s, at, p, &len);
	if (!err)
		*n = (uint32_t)len;
	return err;
}

static int unprotect_at(struct keys_srtp *s, int at, uint64_t index, uint8_t *p, int *n)
{
	int err = stream_begin(s, at, index);

	return err ? err : err_of(srtp_unprotect(s->session, p, n));
}

/*
 * The first packet of an SSRC makes its line only where it authenticates: until then the line of another is not given away.
 * @return the new line, or an error
 */
static int unprotect_new(struct keys_srtp *s, uint32_t ssrc, srtp_err_status_t (*open)(srtp_t, void *, int *), uint8_t *p, int *n)
{
	srtp_policy_t policy;
	int err, at;

	policy_set(s, ssrc, &policy);
	if (srtp_add_stream(s->session, &policy))
		return -ENOMEM;
	err = err_of(open(s->session, p, n));
	if (err) {
		srtp_remove_stream(s->session, htonl(ssrc));
		return err;
	}
	at = line_new(s, ssrc);
	s->line[at].added = true;
	line_touch(s, at);
	return at;
}

static int unprotect_first(struct keys_srtp *s, uint8_t *p, uint32_t *n)
{
	int len = (int)*n, at = unprotect_new(s, be32(p + 8), srtp_unprotect, p, &len);

	if (at < 0)
		return at;
	s->line[at].begun = true;
	put64(&s->state->line[at].index, (uint64_t)(uint16_t)(p[2] << 8 | p[3]) | INDEX_USED);
	*n = (uint32_t)len;
	return 0;
}

int keys_srtp_unprotect(struct keys_srtp *s, uint8_t *p, uint32_t *n, bool *ret_newer)
{
	struct keys_srtp_line *st;
	uint64_t high, index;
	bool fresh;
	int len = (int)*n, at, err;

	*ret_newer = true;
	if (*n < 12)
		return ERR_PROTO;
	at = line_find(s, be32(p + 8));
	if (at < 0)
		return unprotect_first(s, p, n);
	st = &s->state->line[at];
	fresh = !(st->index & INDEX_USED);
	high = st->index & INDEX_MAX;
	index = fresh ? (uint16_t)(p[2] << 8 | p[3]) : index_guess(high, (uint16_t)(p[2] << 8 | p[3]));
	if (below_floor(&s->line[at], index))
		return ERR_EXISTS;
	fresh |= !s->line[at].begun;
	err = unprotect_at(s, at, index, p, &len);
	if (err) {
		if (fresh)
			line_drop(s, at);
		return err;
	}
	line_touch(s, at);
	*ret_newer = !(st->index & INDEX_USED) || index > high;
	if (*ret_newer)
		put64(&st->index, index | INDEX_USED);
	*n = (uint32_t)len;
	return 0;
}

/* ---- RTCP ---- */

/* The library counts SRTCP indices from 1 and cannot be told where to go on: it is run there. */
static int rtcp_run_up(struct keys_srtp *s, int at, uint32_t to)
{
	struct line *l = &s->line[at];

	for (; l->rtcp_next < to; l->rtcp_next++) {
		uint32_t word[16] = { htonl(0x80c90001u), htonl(s->state->line[at].ssrc) };
		int n = 8;

		if (srtp_protect_rtcp(s->session, word, &n))
			return ERR_REFUSED;
	}
	return 0;
}

int keys_srtp_protect_rtcp(struct keys_srtp *s, uint8_t *p, uint32_t *n)
{
	struct keys_srtp_line *st;
	int len = (int)*n, at, err;

	if (*n < 8)
		return ERR_PROTO;
	at = line_find(s, be32(p + 4));
	if (at < 0)
		at = line_new(s, be32(p + 4));
	st = &s->state->line[at];
	line_touch(s, at);
	err = line_add(s, at);
	if (!err && st->rtcp)
		err = rtcp_run_up(s, at, s->line[at].rtcp_floor);
	if (err)
		return err;
	if (s->line[at].rtcp_next >= RTCP_INDEX_MAX)
		return ERR_EXISTS;
	if (s->line[at].rtcp_next >= st->rtcp)
		put32(&st->rtcp, s->line[at].rtcp_next + RTCP_STEP);
	s->line[at].rtcp_next++;
	err = err_of(srtp_protect_rtcp(s->session, p, &len));
	if (!err)
		*n = (uint32_t)len;
	return err;
}

static int unprotect_rtcp_at(struct keys_srtp *s, int at, uint8_t *p, int *n)
{
	bool known = s->line[at].added;
	int err = line_add(s, at);

	if (!err)
		err = err_of(srtp_unprotect_rtcp(s->session, p, n));
	if (err && !known)
		line_drop(s, at);
	return err ? err : at;
}

int keys_srtp_unprotect_rtcp(struct keys_srtp *s, uint8_t *p, uint32_t *n)
{
	uint32_t tag = suites[s->suite].rtcp_tag, word;
	int len = (int)*n, at;

	if (*n < 12 + tag)
		return ERR_PROTO;
	word = be32(p + *n - tag - 4);
	if (!(word >> 31))
		return ERR_REFUSED; /* not encrypted */
	word &= RTCP_INDEX_MAX;
	at = line_find(s, be32(p + 4));
	if (at >= 0 && word < s->line[at].rtcp_floor)
		return ERR_EXISTS;
	at = at < 0 ? unprotect_new(s, be32(p + 4), srtp_unprotect_rtcp, p, &len) : unprotect_rtcp_at(s, at, p, &len);
	if (at < 0)
		return at;
	line_touch(s, at);
	if (word + 1 > s->state->line[at].rtcp)
		put32(&s->state->line[at].rtcp, word + 1);
	*n = (uint32_t)len;
	return 0;
}
