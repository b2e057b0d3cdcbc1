/* SPDX-License-Identifier: Apache-2.0 */
/*
 * media/table: the control thread's view of the slots: commands are applied here, and silences found (design.md section 10).
 * No sockets, no threads; time is a parameter.
 */
#include "media/table.h"

#include <errno.h>
#include <stdlib.h>

#define ONE_WAY_US 5000000
#define ONE_WAY_FLOWS_US 1000000

struct table_cell {
	uint32_t place;                /* in watched[] + 1; 0: not watched */
	int64_t told_us;               /* the silence that was told began then; 0: none told */
};

struct media_table {
	struct media_header *h;
	struct media_slot *slots;
	struct media_slot_keys *keys;
	uint32_t n, nwatched;
	uint32_t *watched;
	struct table_cell *cell;
	void (*on_digit)(void *arg, uint32_t slot);
	void *arg;
};

static void table_watch(struct media_table *t, uint32_t slot, bool on)
{
	struct table_cell *c = &t->cell[slot];
	uint32_t last;

	c->told_us = 0;
	if (on == (c->place != 0))
		return;
	if (on) {
		t->watched[t->nwatched++] = slot;
		c->place = t->nwatched;
		return;
	}
	last = t->watched[--t->nwatched];
	t->watched[c->place - 1] = last;
	t->cell[last].place = c->place;
	c->place = 0;
}

static bool want_watched(const struct media_slot_want *w)
{
	return w->open && w->want.flags & MEDIA_WATCH && w->want.inactivity_s;
}

int media_table_new(struct media_header *h, struct media_slot *slots, uint32_t nslots, struct media_table **ret)
{
	struct media_table *t = base_alloc(sizeof(*t));
	struct media_slot_want w;

	if (!t)
		return -ENOMEM;
	t->h = h;
	t->slots = slots;
	t->n = nslots;
	t->watched = base_alloc(nslots * sizeof(*t->watched));
	t->cell = base_alloc(nslots * sizeof(*t->cell));
	if (!t->watched || !t->cell) {
		media_table_free(t);
		return -ENOMEM;
	}
	if (h->magic != MEDIA_MAGIC) {
		memset(h, 0, sizeof(*h));
		memset(slots, 0, nslots * sizeof(*slots));
		h->nslots = nslots;
		__atomic_store_n(&h->magic, MEDIA_MAGIC, __ATOMIC_RELEASE);
	} else if (h->nslots < nslots) { /* ports of a new revision behind the others */
		memset(&slots[h->nslots], 0, (nslots - h->nslots) * sizeof(*slots));
		MEDIA_SET(h->nslots, nslots);
	}
	for (uint32_t i = 0; i < nslots; i++) {
		media_slot_take(&slots[i], &w);
		if (want_watched(&w))
			table_watch(t, i, true);
	}
	*ret = t;
	return 0;
}

void media_table_on_digit(struct media_table *t, void (*cb)(void *arg, uint32_t slot), void *arg)
{
	t->on_digit = cb;
	t->arg = arg;
}

void media_table_free(struct media_table *t)
{
	if (!t)
		return;
	free(t->watched);
	free(t->cell);
	free(t);
}

/* A late command never hits the slot's next call: older generations, and a closed one, are refused. */
static bool cmd_stale(const struct media_slot_want *now, const struct media_cmd *c)
{
	if (c->op == MEDIA_OP_CLOSE)
		return c->ref.gen && c->ref.gen != now->gen;
	if (!c->ref.gen)
		return true;
	if (!now->gen)
		return false;
	return c->ref.gen == now->gen ? !now->open : (int32_t)(c->ref.gen - now->gen) < 0;
}

void media_table_keys(struct media_table *t, struct media_slot_keys *keys)
{
	t->keys = keys;
}

/*
 * Keys of the next want into the buffer that its version will name. A key that is the same keeps its serial, and so its session.
 * @return bit 0: another one for what is received, bit 1: for what is sent
 */
static unsigned keys_next(struct media_table *t, const struct media_cmd *c, uint32_t version)
{
	const struct media_slot_key *now = t->keys[c->ref.slot].dir[version & 1];
	struct media_slot_key *next = t->keys[c->ref.slot].dir[(version + 1) & 1];
	unsigned changed = 0;

	for (int d = 0; d < 2; d++) {
		next[d] = now[d];
		if (c->want.suite[d] == now[d].suite && !memcmp(&c->key[d], &now[d].key, sizeof(now[d].key)))
			continue;
		changed |= 1u << d;
		next[d].serial = now[d].serial + 1 ? now[d].serial + 1 : 1;
		next[d].suite = c->want.suite[d];
		next[d].key = c->key[d];
	}
	return changed;
}

/* The buffer that the want before named is of no more use; readers look at the version again after they copied. */
static void keys_forget(struct media_table *t, uint32_t slot, uint32_t version, bool all)
{
	struct media_slot_key *k = t->keys[slot].dir[(version + 1) & 1];

	for (int d = 0; d < 2; d++)
		keys_wipe(&k[d].key, sizeof(k[d].key));
	for (int d = 0; all && d < 2; d++) {
		k = &t->keys[slot].dir[version & 1][d];
		keys_wipe(&k->key, sizeof(k->key));
		k->suite = 0;
	}
}

static bool same_but_digit(const struct media_slot_want *a, const struct media_slot_want *b)
{
	struct media_slot_want x = *a;

	x.want.digit = b->want.digit;
	return !memcmp(&x, b, sizeof(x));
}

/* Its peer belongs to another worker, which counts what it sends here: this one's owner begins the count now, not at a packet of its own. */
static bool foreign_begins(const struct media_table *t, uint32_t slot, const struct media_slot_want *now, const struct media_slot_want *next)
{
	struct media_ref peer = next->want.peer, was = now->want.peer;
	uint32_t workers = MEDIA_GET(t->h->workers);

	return media_ref_ok(peer) && workers > 1 && peer.slot % workers != slot % workers && (next->gen != now->gen || peer.slot != was.slot || peer.gen != was.gen);
}

static void digit_tell(const struct media_table *t, uint32_t slot, const struct media_slot_want *now, const struct media_slot_want *next)
{
	uint32_t serial = next->want.digit.serial;

	if (next->open && t->on_digit && ((serial && serial != now->want.digit.serial) || foreign_begins(t, slot, now, next)))
		t->on_digit(t->arg, slot);
}

static void table_put(struct media_table *t, const struct media_cmd *c, const struct media_slot_want *now, uint32_t version, int64_t now_us)
{
	struct media_slot_want next = *now;
	unsigned changed = 0;

	if (c->op == MEDIA_OP_WANT) {
		next.gen = c->ref.gen;
		next.open = 1;
		next.want = c->want;
		if (t->keys)
			changed = keys_next(t, c, version);
		/* another key from another address: another sender, whose counter begins at 0 (RFC 3711 section 3.3.1) */
		if (changed & 1 && memcmp(&next.want.remote, &now->want.remote, sizeof(now->want.remote)))
			next.epoch++;
	} else {
		next.open = 0;
		if (t->keys)
			memcpy(t->keys[c->ref.slot].dir[(version + 1) & 1], t->keys[c->ref.slot].dir[version & 1], sizeof(t->keys->dir[0]));
	}
	if (!changed && !memcmp(&next, now, sizeof(next))) {
		if (t->keys && c->op == MEDIA_OP_WANT)
			keys_forget(t, c->ref.slot, version, false);
		return;
	}
	if (changed || !same_but_digit(&next, now))
		next.since_us = now_us; /* a digit is no change: silence goes on */
	media_slot_put(&t->slots[c->ref.slot], &next);
	if (t->keys)
		keys_forget(t, c->ref.slot, version + 1, !next.open);
	table_watch(t, c->ref.slot, want_watched(&next));
	digit_tell(t, c->ref.slot, now, &next);
}

static void table_command(struct media_table *t, const struct media_cmd *c, int64_t now_us)
{
	struct media_slot_want now;
	uint32_t version;

	if (c->ref.slot >= t->n || (!t->keys && (c->want.suite[0] | c->want.suite[1]))) {
		base_count(COUNTER_MEDIA_CMD_BAD);
		return;
	}
	version = media_slot_take(&t->slots[c->ref.slot], &now);
	if (cmd_stale(&now, c)) {
		base_count(COUNTER_MEDIA_CMD_STALE);
		return;
	}
	base_count(COUNTER_MEDIA_CMD_APPLIED);
	table_put(t, c, &now, version, now_us);
}

void media_table_apply(struct media_table *t, struct slice body, int64_t now_us)
{
	struct reader r = reader_on(body.p, body.n);
	struct media_cmd c;
	bool bad;

	while (media_cmd_next(&r, &c, &bad)) {
		table_command(t, &c, now_us);
		if (c.seq > t->h->applied)
			__atomic_store_n(&t->h->applied, c.seq, __ATOMIC_RELEASE);
		keys_wipe(c.key, sizeof(c.key));
	}
	if (bad)
		base_count(COUNTER_MEDIA_CMD_BAD);
}

uint32_t media_table_watched(const struct media_table *t)
{
	return t->nwatched;
}

/* When the slot's present silence began. */
static int64_t silent_since_us(const struct media_slot *s, const struct media_slot_want *w)
{
	int64_t at = w->since_us, rtp, rtcp;

	if (__atomic_load_n(&s->gen, __ATOMIC_ACQUIRE) != w->gen)
		return at; /* nothing came for this generation */
	rtp = MEDIA_GET(s->last_rtp_us);
	rtcp = MEDIA_GET(s->last_rtcp_us);
	if (rtp > at)
		at = rtp;
	return rtcp > at ? rtcp : at;
}

uint32_t media_table_silent(const struct media_table *t, int64_t now_us, struct media_ref *ret, uint32_t max)
{
	struct media_slot_want w;
	uint32_t n = 0;

	for (uint32_t i = 0; i < t->nwatched && n < max; i++) {
		uint32_t slot = t->watched[i];
		int64_t since;

		media_slot_take(&t->slots[slot], &w);
		since = silent_since_us(&t->slots[slot], &w);
		if (now_us - since >= (int64_t)w.want.inactivity_s * 1000000 && t->cell[slot].told_us != since)
			ret[n++] = (struct media_ref){ slot, w.gen };
	}
	return n;
}

/* Silent for long enough, though it may send, while its peer's packets came just now. */
static bool is_one_way(const struct media_table *t, const struct media_slot *s, const struct media_slot_want *w, int64_t now_us)
{
	const struct media_slot *peer;
	int64_t at = w->since_us, rtp = 0;

	if (!media_ref_ok(w->want.peer) || w->want.peer.slot >= t->n)
		return false;
	peer = &t->slots[w->want.peer.slot];
	if (__atomic_load_n(&s->gen, __ATOMIC_ACQUIRE) == w->gen)
		rtp = MEDIA_GET(s->last_rtp_us);
	if (rtp > at)
		at = rtp;
	return now_us - at >= ONE_WAY_US && __atomic_load_n(&peer->gen, __ATOMIC_ACQUIRE) == w->want.peer.gen
		&& now_us - MEDIA_GET(peer->last_rtp_us) < ONE_WAY_FLOWS_US;
}

uint32_t media_table_one_way(struct media_table *t, int64_t now_us, struct media_ref *ret, uint32_t max)
{
	struct media_slot_want w;
	uint32_t n = 0;

	for (uint32_t i = 0; i < t->nwatched && n < max; i++) {
		struct media_slot *s = &t->slots[t->watched[i]];

		media_slot_take(s, &w);
		if (MEDIA_GET(s->one_way_gen) == w.gen || !is_one_way(t, s, &w, now_us))
			continue;
		MEDIA_SET(s->one_way_gen, w.gen);
		ret[n++] = (struct media_ref){ t->watched[i], w.gen };
	}
	return n;
}

void media_table_told(struct media_table *t, struct media_ref r)
{
	struct media_slot_want w;

	media_slot_take(&t->slots[r.slot], &w);
	t->cell[r.slot].told_us = silent_since_us(&t->slots[r.slot], &w);
}

void media_table_forget_told(struct media_table *t)
{
	for (uint32_t i = 0; i < t->nwatched; i++)
		t->cell[t->watched[i]].told_us = 0;
}
