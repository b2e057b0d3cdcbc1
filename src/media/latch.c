/* SPDX-License-Identifier: Apache-2.0 */
/*
 * media/latch: which source owns a stream. The signalled address takes it with its first plausible packet at any time; else the first
 * source with three consistent packets does, and keeps it until it was silent for 2 s or signalling changed. Pure; knows no sockets.
 *
 *   NONE       nothing came yet                      packets go to the signalled address
 *   MOVED      signalling changed under a latch      packets go to the new address, the former source is still heard
 *   SIGNALLED  the signalled address sends           packets go to it
 *   LEARNED    another one sends (NAT)               packets go to it
 */
#include "media/latch.h"

static uint64_t candidate_key(const union base_addr *a)
{
	uint64_t key;

	if (a->sa.sa_family == AF_INET) {
		memcpy(&key, a, sizeof(key)); /* family, port, address: exact */
		return key;
	}
	/* two sources with one key would have to continue each other's sequence to gain anything */
	return (uint64_t)base_hash_bytes(&a->in6.sin6_addr, 16, 1) << 32 | base_hash_bytes(&a->in6.sin6_addr, 16, 2 + a->in6.sin6_port);
}

/* One more packet of this source: has it sent enough in a row? The source moves to the front, the one heard longest ago falls out. */
static bool candidate_counts(struct media_latch *l, const union base_addr *from, struct media_probe pkt)
{
	struct media_candidate c = { .key = candidate_key(from) }, *list = l->candidate;
	unsigned i = 0;
	uint16_t step;

	while (i < l->ncandidates && list[i].key != c.key)
		i++;
	if (i < l->ncandidates) {
		step = (uint16_t)(pkt.seq - list[i].seq);
		if (pkt.raw || (pkt.ssrc == list[i].ssrc && step >= 1 && step <= 3))
			c.count = list[i].count;
	} else if (l->ncandidates < MEDIA_LATCH_CANDIDATES) {
		l->ncandidates++;
	} else {
		i--;
	}
	c.ssrc = pkt.ssrc;
	c.seq = pkt.seq;
	c.count++;
	memmove(&list[1], &list[0], i * sizeof(list[0]));
	list[0] = c;
	return c.count >= MEDIA_LATCH_PACKETS;
}

static enum media_verdict latch_set(struct media_latch *l, enum media_latch_state state, const union base_addr *from, int64_t now_us)
{
	l->state = state;
	l->source = *from;
	l->last_us = now_us;
	l->ncandidates = 0;
	return MEDIA_MOVED;
}

/* A source that is neither signalled nor latched. */
static enum media_verdict latch_other(struct media_latch *l, const union base_addr *from, struct media_probe pkt, int64_t now_us)
{
	int64_t silence_us = 0;

	if (pkt.proven)
		return MEDIA_MOVED; /* whoever has the key is the peer, wherever it is now */
	if (l->state == MEDIA_LATCH_MOVED)
		silence_us = now_us - l->moved_us < MEDIA_LATCH_PRIORITY_US ? MEDIA_LATCH_MOVED_SILENCE_US : MEDIA_LATCH_SILENCE_US;
	else if (l->state != MEDIA_LATCH_NONE)
		silence_us = MEDIA_LATCH_SILENCE_US;
	if (now_us - l->last_us < silence_us) {
		l->ncandidates = 0; /* consistent after the silence, not before */
		return MEDIA_REFUSE;
	}
	return candidate_counts(l, from, pkt) ? MEDIA_MOVED : MEDIA_REFUSE;
}

enum media_verdict media_latch_packet(struct media_latch *l, const union base_addr *from, struct media_probe pkt, int64_t now_us,
	bool (*own)(const void *arg, const union base_addr *a), const void *arg)
{
	if (l->signalled.sa.sa_family == from->sa.sa_family && media_addr_same(&l->signalled, from)) {
		if (l->state != MEDIA_LATCH_SIGNALLED)
			return latch_set(l, MEDIA_LATCH_SIGNALLED, from, now_us);
		l->last_us = now_us;
		l->ncandidates = 0;
		return MEDIA_ACCEPT;
	}
	if (l->strict)
		return MEDIA_REFUSE;
	if (l->state >= MEDIA_LATCH_MOVED && media_addr_same(&l->source, from)) {
		l->ncandidates = 0;
		if (l->state == MEDIA_LATCH_MOVED && now_us - l->moved_us >= MEDIA_LATCH_PRIORITY_US)
			return latch_set(l, MEDIA_LATCH_LEARNED, from, now_us); /* the new address never came: it is still the old one */
		l->last_us = now_us;
		return MEDIA_ACCEPT;
	}
	if (latch_other(l, from, pkt, now_us) == MEDIA_REFUSE)
		return MEDIA_REFUSE;
	if (!media_addr_usable(from) || own(arg, from))
		return MEDIA_REFUSE;
	return latch_set(l, MEDIA_LATCH_LEARNED, from, now_us);
}

void media_latch_signal(struct media_latch *l, const union base_addr *remote, bool strict, int64_t now_us)
{
	bool same = l->signalled.sa.sa_family == remote->sa.sa_family
		&& (!remote->sa.sa_family || media_addr_same(&l->signalled, remote));

	l->strict = strict;
	if (!same) {
		l->signalled = *remote;
		l->moved_us = now_us;
		l->ncandidates = 0;
		if (l->state == MEDIA_LATCH_LEARNED && remote->sa.sa_family && media_addr_same(&l->source, remote))
			l->state = MEDIA_LATCH_SIGNALLED;
		else if (l->state != MEDIA_LATCH_NONE)
			l->state = MEDIA_LATCH_MOVED;
	}
	if (strict && l->state != MEDIA_LATCH_SIGNALLED)
		l->state = MEDIA_LATCH_NONE;
}

const union base_addr *media_latch_target(const struct media_latch *l)
{
	return l->state >= MEDIA_LATCH_SIGNALLED ? &l->source : &l->signalled;
}
