/* SPDX-License-Identifier: Apache-2.0 */
/*
 * media/srtp: the SRTP sessions of a flow. Keys stand in the `keys` memory, indices in `streams`: a process that starts makes the sessions
 * of a call with its first packets and goes on behind the indices that its predecessor stored before it sent.
 */
#include "media/srtp.h"

#include <stdlib.h>

#include "media/relay.h"

static struct media_srtp *srtp_of(struct media_relay *r, struct media_flow *f)
{
	struct media_srtp *s = f->srtp;

	if (s)
		return s;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->flow = f;
	if (!r->secure.next)
		list_init(&r->secure);
	list_add_tail(&r->secure, &s->node);
	f->srtp = s;
	return s;
}

void media_srtp_drop(struct media_flow *f)
{
	struct media_srtp *s = f->srtp;

	if (!s)
		return;
	keys_srtp_free(s->rx);
	keys_srtp_free(s->old);
	keys_srtp_free(s->tx);
	list_del(&s->node);
	free(s);
	f->srtp = NULL;
	f->rx_secure = f->tx_secure = false;
}

/* Indices that belong to another call or another sender begin anew. */
static void indices_claim(struct media_slot_srtp *x, uint32_t gen, uint32_t epoch)
{
	if (x->gen == gen && x->epoch == epoch)
		return;
	__atomic_store_n(&x->gen, 0, __ATOMIC_RELEASE);
	memset(&x->state, 0, sizeof(x->state));
	x->epoch = epoch;
	__atomic_store_n(&x->gen, gen, __ATOMIC_RELEASE);
}

void media_srtp_load(struct media_relay *r, struct media_flow *f, const struct media_slot_want *w, uint32_t version)
{
	struct media_slot_srtp *x = &f->s->srtp_rx;
	struct media_srtp *s = f->srtp;
	bool other = x->gen != w->gen || x->epoch != w->epoch;

	f->rx_secure = w->want.suite[0] != 0;
	f->rx_version = version;
	if (!f->rx_secure || other) {
		if (s) {
			keys_srtp_free(s->rx);
			keys_srtp_free(s->old);
			s->rx = s->old = NULL;
			s->rx_serial = 0;
		}
		if (!f->rx_secure)
			return;
	}
	indices_claim(x, w->gen, w->epoch);
}

void media_srtp_load_out(struct media_relay *r, struct media_flow *f, const struct media_slot_want *w, uint32_t version)
{
	struct media_srtp *s = f->srtp;
	struct media_slot *peer = &r->slots[f->peer_ref.slot];

	f->out_version = version;
	f->tx_secure = w->open && w->gen == f->peer_ref.gen && w->want.suite[1] != 0;
	if (s && (!f->tx_secure || s->tx_gen != w->gen)) {
		keys_srtp_free(s->tx);
		s->tx = NULL;
		s->tx_serial = 0;
	}
	if (!f->tx_secure)
		return;
	indices_claim(&peer->srtp_tx, w->gen, 0);
}

/* ---- sessions ---- */

/* A key is read with the version of its want; where that moved on, the next packet finds the new one. */
static bool key_take(struct media_relay *r, uint32_t slot, uint32_t version, int dir, struct media_slot_key *ret)
{
	return r->keys && media_slot_key_take(&r->slots[slot], &r->keys[slot], version, dir, ret) && ret->serial && ret->suite;
}

static bool rx_make(struct media_relay *r, struct media_flow *f)
{
	struct media_slot_key k;
	struct media_srtp *s = srtp_of(r, f);
	struct keys_srtp *fresh = NULL;

	if (!s || !key_take(r, f->slot, f->rx_version, 0, &k))
		return false;
	f->rx_loaded = f->rx_version;
	if (s->rx_serial == k.serial)
		return s->rx != NULL;
	if (!keys_srtp_new((enum keys_suite)k.suite, k.key.key, false, &f->s->srtp_rx.state, &fresh)) {
		keys_srtp_free(s->old);
		s->old = s->rx;
		s->old_until_us = r->now_us + MEDIA_REKEY_US;
		s->rx = fresh;
		s->rx_serial = k.serial;
	}
	keys_wipe(&k, sizeof(k));
	return s->rx != NULL;
}

static bool tx_make(struct media_relay *r, struct media_flow *f)
{
	struct media_slot_key k;
	struct media_srtp *s = srtp_of(r, f);
	struct keys_srtp *fresh = NULL;

	if (!s || !key_take(r, f->peer_ref.slot, f->out_version, 1, &k))
		return false;
	f->out_loaded = f->out_version;
	if (s->tx_serial == k.serial && s->tx)
		return true;
	keys_srtp_free(s->tx);
	s->tx = NULL;
	if (!keys_srtp_new((enum keys_suite)k.suite, k.key.key, true, &r->slots[f->peer_ref.slot].srtp_tx.state, &fresh)) {
		s->tx = fresh;
		s->tx_serial = k.serial;
		s->tx_gen = f->peer_ref.gen;
	}
	keys_wipe(&k, sizeof(k));
	return s->tx != NULL;
}

/* ---- packets ---- */

static bool guard_ok(struct media_srtp *s, int64_t now_us, unsigned cost)
{
	int64_t gap = now_us - s->guard_us, full = (int64_t)MEDIA_GUARD_PPS * 1000000;

	s->guard_tokens = gap >= 1000000 ? full : s->guard_tokens + gap * MEDIA_GUARD_PPS;
	if (s->guard_tokens > full)
		s->guard_tokens = full;
	s->guard_us = now_us;
	if (s->guard_tokens < (int64_t)cost * 1000000)
		return false;
	s->guard_tokens -= (int64_t)cost * 1000000;
	return true;
}

static int open_with(struct keys_srtp *k, uint8_t *p, uint32_t *n, bool rtcp, bool *ret_newer)
{
	*ret_newer = false;
	return rtcp ? keys_srtp_unprotect_rtcp(k, p, n) : keys_srtp_unprotect(k, p, n, ret_newer);
}

/* Two keys are possible: the packet is kept, because what fails is not as it was. */
static bool open_either(struct media_srtp *s, uint8_t *p, uint32_t *n, bool rtcp, bool *ret_newer)
{
	uint8_t copy[2048] __attribute__((aligned(8)));
	uint32_t len = *n;
	int err;

	if (len > sizeof(copy))
		return false;
	memcpy(copy, p, len);
	err = open_with(s->rx, p, n, rtcp, ret_newer);
	if (!err) {
		keys_srtp_free(s->old); /* the first packet under the new key ends the former */
		s->old = NULL;
		return true;
	}
	memcpy(p, copy, len);
	*n = len;
	return !open_with(s->old, p, n, rtcp, ret_newer);
}

bool media_srtp_open(struct media_relay *r, struct media_flow *f, uint8_t *p, uint32_t *n, bool rtcp, bool trusted, bool *ret_newer)
{
	uint32_t at = rtcp ? 4 : 8, ssrc;
	struct media_srtp *s;
	bool known;

	if ((f->rx_loaded != f->rx_version || !f->srtp || !f->srtp->rx) && !rx_make(r, f))
		return false;
	s = f->srtp;
	if (*n < 12)
		return false;
	ssrc = (uint32_t)p[at] << 24 | (uint32_t)p[at + 1] << 16 | (uint32_t)p[at + 2] << 8 | p[at + 3];
	known = keys_srtp_knows(s->rx, ssrc);
	if ((!trusted || !known) && !guard_ok(s, r->now_us, known ? 1 : MEDIA_GUARD_NEW))
		return false;
	if (__builtin_expect(s->old != NULL, 0)) {
		if (r->now_us < s->old_until_us)
			return open_either(s, p, n, rtcp, ret_newer);
		keys_srtp_free(s->old);
		s->old = NULL;
	}
	return !open_with(s->rx, p, n, rtcp, ret_newer);
}

bool media_srtp_seal(struct media_relay *r, struct media_flow *f, uint8_t *p, uint32_t *n, bool rtcp)
{
	if ((f->out_loaded != f->out_version || !f->srtp || !f->srtp->tx) && !tx_make(r, f))
		return false;
	return !(rtcp ? keys_srtp_protect_rtcp(f->srtp->tx, p, n) : keys_srtp_protect(f->srtp->tx, p, n));
}
