/* SPDX-License-Identifier: Apache-2.0 */
/*
 * media/slot: the `streams` memory as seen by its writers and by readers in other processes.
 * It holds no logic of the relay.
 */
#include "media/slot.h"

#include "postern/loop.h"

typedef uint64_t word __attribute__((may_alias)); /* the structs are copied by words */

size_t media_header_bytes(void)
{
	return sizeof(struct media_header);
}

size_t media_keys_bytes(uint32_t nslots)
{
	return (nslots + 1) * sizeof(struct media_slot_keys);
}

size_t media_slots_bytes(uint32_t nslots)
{
	return nslots * sizeof(struct media_slot);
}

void media_words_load(void *to, const void *from, size_t n)
{
	const word *f = from;
	uint8_t *t = to;

	for (size_t i = 0; i < n / 8; i++) {
		uint64_t v = __atomic_load_n(&f[i], __ATOMIC_ACQUIRE);

		memcpy(t + 8 * i, &v, 8);
	}
}

void media_words_store(void *to, const void *from, size_t n)
{
	word *t = to;
	const uint8_t *f = from;

	for (size_t i = 0; i < n / 8; i++) {
		uint64_t v;

		memcpy(&v, f + 8 * i, 8);
		__atomic_store_n(&t[i], v, __ATOMIC_RELEASE);
	}
}

void media_slot_put(struct media_slot *s, const struct media_slot_want *w)
{
	uint32_t v = MEDIA_GET(s->version) + 1;

	media_words_store(&s->want[v & 1], w, sizeof(*w));
	__atomic_store_n(&s->version, v, __ATOMIC_RELEASE);
}

uint32_t media_slot_take(const struct media_slot *s, struct media_slot_want *ret)
{
	for (;;) {
		uint32_t v = __atomic_load_n(&s->version, __ATOMIC_ACQUIRE);

		media_words_load(ret, &s->want[v & 1], sizeof(*ret));
		if (MEDIA_GET(s->version) == v)
			return v;
	}
}

bool media_slot_key_take(const struct media_slot *s, const struct media_slot_keys *k, uint32_t version, int dir, struct media_slot_key *ret)
{
	memcpy(ret, &k->dir[version & 1][dir], sizeof(*ret));
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return MEDIA_GET(s->version) == version;
}

void media_slot_reset(struct media_slot *s, uint32_t gen)
{
	struct media_slot_addrs none;
	word *at = (word *)(void *)&s->last_rtp_us;

	__atomic_store_n(&s->gen, 0, __ATOMIC_RELEASE);
	while (at < (word *)(void *)&s->round_trip_us)
		__atomic_store_n(at++, 0, __ATOMIC_RELEASE);
	MEDIA_SET(s->round_trip_us, 0);
	MEDIA_SET(s->tx_packets, 0);
	MEDIA_SET(s->tx_bytes, 0);
	MEDIA_SET(s->rtcp_tx, 0);
	memset(&none, 0, sizeof(none));
	media_slot_aim(s, &none);
	__atomic_store_n(&s->gen, gen, __ATOMIC_RELEASE);
}

void media_slot_aim(struct media_slot *s, const struct media_slot_addrs *a)
{
	uint32_t v = MEDIA_GET(s->addrs_lock) | 1; /* a kill while it was odd left it odd */

	__atomic_store_n(&s->addrs_lock, v, __ATOMIC_RELEASE);
	media_words_store(&s->addrs, a, sizeof(*a));
	__atomic_store_n(&s->addrs_lock, v + 1, __ATOMIC_RELEASE);
}

bool media_slot_addrs_get(const struct media_slot *s, uint32_t gen, struct media_slot_addrs *ret)
{
	for (int tries = 0; tries < 1000; tries++) {
		uint32_t v = __atomic_load_n(&s->addrs_lock, __ATOMIC_ACQUIRE);

		if (__atomic_load_n(&s->gen, __ATOMIC_ACQUIRE) != gen)
			return false;
		if (v & 1)
			continue;
		media_words_load(ret, &s->addrs, sizeof(*ret));
		if (MEDIA_GET(s->addrs_lock) == v)
			return true;
	}
	return false; /* its writer died in the middle: whoever comes next aims anew */
}

int media_slots_find(const struct loop_shm *streams, struct media_header **ret_header, struct media_slot **ret_slots, uint32_t *ret_n)
{
	size_t nh = 0, ns = 0;
	struct media_header *h = loop_shm_region(streams, REGION_MEDIA, &nh);
	struct media_slot *s = loop_shm_region(streams, REGION_SLOTS, &ns);

	if (!h || !s || nh < sizeof(*h))
		return ERR_TORN;
	*ret_header = h;
	*ret_slots = s;
	*ret_n = (uint32_t)(ns / sizeof(*s));
	return 0;
}

bool media_shared_used(const struct loop_shm *streams)
{
	struct media_header *h;
	struct media_slot *slots;
	uint32_t n;

	return streams && !media_slots_find(streams, &h, &slots, &n) && MEDIA_GET(h->shared);
}

bool media_addr_usable(const union base_addr *a)
{
	if (a->sa.sa_family == AF_INET) {
		uint32_t ip = ntohl(a->in.sin_addr.s_addr);

		return a->in.sin_port && ip >> 24 && ip < 0xe0000000u; /* 0/8, multicast, reserved and broadcast */
	}
	return a->sa.sa_family == AF_INET6 && a->in6.sin6_port && !IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr)
		&& !IN6_IS_ADDR_MULTICAST(&a->in6.sin6_addr);
}

static void figures_read(const struct media_slot *s, struct media_figures *f)
{
	const struct media_seq *q = &s->seq;
	uint64_t received = MEDIA_GET(q->received);
	int64_t last = MEDIA_GET(s->last_rtp_us);

	f->rx_packets = MEDIA_GET(s->rx_packets);
	f->rx_bytes = MEDIA_GET(s->rx_bytes);
	f->tx_packets = MEDIA_GET(s->tx_packets);
	f->tx_bytes = MEDIA_GET(s->tx_bytes);
	f->rtcp_rx = MEDIA_GET(s->rtcp_rx);
	f->rtcp_tx = MEDIA_GET(s->rtcp_tx);
	f->dropped_source = MEDIA_GET(s->dropped_source);
	f->dropped_format = MEDIA_GET(s->dropped_format);
	f->dropped_direction = MEDIA_GET(s->dropped_direction);
	f->dropped_rate = MEDIA_GET(s->dropped_rate);
	f->dropped_auth = MEDIA_GET(s->dropped_auth);
	f->lost = MEDIA_GET(q->lost_before);
	if (received)
		f->lost += (int64_t)(uint32_t)(MEDIA_GET(q->max) - MEDIA_GET(q->base) + 1) - (int64_t)received;
	f->duplicated = MEDIA_GET(q->duplicated);
	f->reordered = MEDIA_GET(q->reordered);
	f->jitter_ts = MEDIA_GET(q->jitter16) >> 4;
	f->ssrc = MEDIA_GET(q->ssrc);
	f->round_trip_us = MEDIA_GET(s->round_trip_us);
	f->last_rx_ms = last ? (base_mono_now().us - last) / 1000 : -1;
}

int media_figures_get(const struct loop_shm *streams, struct media_ref r, struct media_figures *ret)
{
	struct media_figures f;
	struct media_header *h;
	struct media_slot *slots, *s;
	struct media_slot_want w;
	struct media_slot_addrs a;
	uint32_t n;

	if (!media_ref_ok(r) || media_slots_find(streams, &h, &slots, &n) || r.slot >= n || r.slot >= MEDIA_GET(h->nslots))
		return ERR_NOTFOUND;
	s = &slots[r.slot];
	media_slot_take(s, &w);
	if (w.gen != r.gen)
		return ERR_NOTFOUND;
	memset(&f, 0, sizeof(f));
	f.last_rx_ms = -1;
	if (__atomic_load_n(&s->gen, __ATOMIC_ACQUIRE) == r.gen) {
		figures_read(s, &f);
		if (media_slot_addrs_get(s, r.gen, &a) && a.state >= MEDIA_LATCH_SIGNALLED) {
			f.latched = true;
			f.source = a.source;
		}
	}
	f.srtp_rx = w.want.suite[0] != 0;
	f.srtp_tx = w.want.suite[1] != 0;
	f.clock_hz = w.want.clock_hz ? w.want.clock_hz : 8000;
	f.one_way = MEDIA_GET(s->one_way_gen) == r.gen;
	media_figures_rate(&f, w.want.pts[0] >> 18 & 1 && !(w.want.pts[0] & 0x101));
	*ret = f;
	return 0;
}
