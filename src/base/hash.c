/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intrusive chained hash table, and the hash of bytes (SipHash-1-3: keys come from
 * the network, and whoever sends them must not be able to choose one bucket for all).
 */
#include <errno.h>
#include <stdlib.h>

#include "postern/base.h"

#define HASH_MIN 8u
#define HASH_MAX (1u << 28)

/* keys of callers may be small numbers in a row: spread them (Fibonacci hashing) */
static uint32_t bucket_of(const struct hash *h, uint32_t key)
{
	return (key * 2654435769u) >> (32 - (unsigned)__builtin_ctz(h->size));
}

int base_hash_init(struct hash *h, uint32_t size)
{
	uint32_t n = HASH_MIN;

	while (n < size && n < HASH_MAX)
		n *= 2;
	h->bucket = base_alloc(n * sizeof(*h->bucket));
	h->size = h->bucket ? n : 0;
	h->count = 0;
	return h->bucket ? 0 : -ENOMEM;
}

void base_hash_fini(struct hash *h)
{
	free(h->bucket);
	*h = (struct hash){ 0 };
}

/* twice the buckets; where there is no memory the chains just grow longer */
static void grow(struct hash *h)
{
	struct hash wide = { .size = h->size * 2, .count = h->count };

	wide.bucket = base_alloc(wide.size * sizeof(*wide.bucket));
	if (!wide.bucket)
		return;
	for (uint32_t i = 0; i < h->size; i++) {
		struct hash_node *n = h->bucket[i], *next;

		for (; n; n = next) {
			uint32_t b = bucket_of(&wide, n->key);

			next = n->next;
			n->next = wide.bucket[b];
			wide.bucket[b] = n;
		}
	}
	free(h->bucket);
	*h = wide;
}

void base_hash_add(struct hash *h, struct hash_node *n, uint32_t key)
{
	uint32_t b;

	must(h->bucket);
	if (h->count >= h->size && h->size < HASH_MAX)
		grow(h);
	b = bucket_of(h, key);
	n->key = key;
	n->next = h->bucket[b];
	h->bucket[b] = n;
	h->count++;
}

void base_hash_del(struct hash *h, struct hash_node *n)
{
	struct hash_node **at;

	if (!h->bucket)
		return;
	at = &h->bucket[bucket_of(h, n->key)];
	while (*at && *at != n)
		at = &(*at)->next;
	if (!*at)
		return;
	*at = n->next;
	n->next = NULL;
	h->count--;
}

struct hash_node *base_hash_find(const struct hash *h, uint32_t key)
{
	struct hash_node *n;

	if (!h->bucket)
		return NULL;
	for (n = h->bucket[bucket_of(h, key)]; n; n = n->next) {
		if (n->key == key)
			return n;
	}
	return NULL;
}

static uint64_t rotl(uint64_t v, unsigned by)
{
	return v << by | v >> (64 - by);
}

static void sip_round(uint64_t v[static 4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

uint32_t base_hash_bytes(const void *p, size_t n, uint32_t seed)
{
	/* the constants are SipHash's, the key is the seed spread over 128 bits */
	uint64_t k0 = seed * 0x9e3779b97f4a7c15u, k1 = ~rotl(k0, 32) * 0xff51afd7ed558ccdu;
	uint64_t v[4] = { k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du, k0 ^ 0x6c7967656e657261u, k1 ^ 0x7465646279746573u };
	uint64_t last = (uint64_t)n << 56, word;
	const uint8_t *b = p;
	size_t rest = n;

	for (; rest >= 8; rest -= 8, b += 8) {
		memcpy(&word, b, 8);
		v[3] ^= word;
		sip_round(v);
		v[0] ^= word;
	}
	word = 0;
	if (rest)
		memcpy(&word, b, rest);
	last |= word;
	v[3] ^= last;
	sip_round(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(v);
	last = v[0] ^ v[1] ^ v[2] ^ v[3];
	return (uint32_t)(last ^ last >> 32);
}
