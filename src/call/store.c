/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Call records in state memory, copy on write (docs/design/0001-house.md).
 *
 * Layout: header, heads[slots], mark[slots], next[blocks], data[blocks][512]. A head is one 64-bit word {generation 22, length 18, block+1 24}; 0 is an
 * empty slot. A record's bytes begin with a checksum over slot, head and content. The writer fills free blocks, then stores the head: whatever
 * instant kills it leaves the old record or the new one. The list of free blocks is private to the writer and rebuilt from the heads.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "postern/call.h"

#define STORE_MAGIC  0x31434552504e5450ull
#define BLOCK_BYTES  512u
#define BLOCKS_PER_CALL 12u
#define SUM_BYTES    8u
#define TRIES_SHIFT 4
#define TRIES_MOST 3u
#define RECORD_MAX   (CALL_RECORD_MAX + SUM_BYTES)

struct store_header {
	uint64_t magic;
	uint32_t slots, blocks;
	uint64_t pad[6];
};

enum {
	MARK_ENDING = 1,               /* it is being ended: its successor finishes that; `over` in the two bits above */
	MARK_RINGING = 8               /* of one in set-up; above it: tries to carry it on */
};

struct layout {
	struct store_header *h;
	uint64_t *head;
	uint8_t *mark;                 /* MARK_*: what became of the call since its record was written */
	uint32_t *next;
	uint8_t *data;
	uint32_t slots, blocks;
};

struct call_store {
	struct layout m;
	uint32_t *free_block, nfree_block;
	uint32_t *free_slot, nfree_slot;
	uint32_t used;
	uint32_t gen;
	bool secret;                   /* freed blocks are overwritten */
	uint8_t scratch[RECORD_MAX];
};

static uint32_t head_block(uint64_t h) { return (uint32_t)(h & 0xffffff) - 1; }
static uint32_t head_len(uint64_t h) { return (uint32_t)(h >> 24) & 0x3ffff; }
static uint64_t head_make(uint32_t block, uint32_t len, uint32_t gen)
{
	return (uint64_t)(block + 1) | (uint64_t)len << 24 | (uint64_t)(gen & 0x3fffff) << 42;
}

static uint64_t checksum(uint32_t slot, uint64_t head, const uint8_t *p, size_t n)
{
	uint64_t h = head * 0x9e3779b97f4a7c15ull ^ slot, v;

	for (; n >= 8; p += 8, n -= 8) {
		memcpy(&v, p, 8);
		h = (h ^ v) * 0xff51afd7ed558ccdull;
		h ^= h >> 32;
	}
	v = 0;
	memcpy(&v, p, n);
	h = (h ^ v ^ (uint64_t)n << 56) * 0xc4ceb9fe1a85ec53ull;
	return h ^ h >> 29;
}

static size_t layout_bytes(uint32_t slots, uint32_t blocks)
{
	return sizeof(struct store_header) + (size_t)slots * 8 + ((slots + 63) & ~63u) + (size_t)((blocks + 15) & ~15u) * 4 + (size_t)blocks * BLOCK_BYTES;
}

size_t call_store_bytes(unsigned max_calls)
{
	return layout_bytes(max_calls, max_calls * BLOCKS_PER_CALL + 256) + 4096;
}

static void layout_set(struct layout *m, void *mem, uint32_t slots, uint32_t blocks)
{
	uint8_t *p = mem;

	m->h = mem;
	m->slots = slots;
	m->blocks = blocks;
	m->head = (uint64_t *)(void *)(p + sizeof *m->h);
	m->mark = p + sizeof *m->h + (size_t)slots * 8;
	m->next = (uint32_t *)(void *)(m->mark + ((slots + 63) & ~63u));
	m->data = p + layout_bytes(slots, blocks) - (size_t)blocks * BLOCK_BYTES;
}

/** The layout that the header names, if it fits the memory. */
static int layout_on(struct layout *m, const void *mem, size_t bytes)
{
	const struct store_header *h = mem;
	uint32_t slots, blocks;

	if (bytes < sizeof *h || h->magic != STORE_MAGIC)
		return ERR_TORN;
	slots = h->slots;
	blocks = h->blocks;
	if (slots > bytes / 8 || blocks > bytes / BLOCK_BYTES || blocks > 0xfffffe || layout_bytes(slots, blocks) > bytes)
		return ERR_TORN;
	layout_set(m, (void *)(uintptr_t)mem, slots, blocks);
	return 0;
}

/** Copy a record out of its blocks and check it; out holds RECORD_MAX bytes. */
static int record_copy(const struct layout *m, uint32_t slot, uint64_t head, uint8_t *out)
{
	uint32_t left = head_len(head), b = head_block(head), n;
	uint8_t *p = out;
	uint64_t sum;

	if (left < SUM_BYTES || left > RECORD_MAX)
		return ERR_TORN;
	while (left) {
		if (b >= m->blocks)
			return ERR_TORN;
		n = left < BLOCK_BYTES ? left : BLOCK_BYTES;
		memcpy(p, m->data + (size_t)b * BLOCK_BYTES, n);
		p += n;
		left -= n;
		b = __atomic_load_n(&m->next[b], __ATOMIC_RELAXED);
	}
	memcpy(&sum, out, sizeof sum);
	return sum == checksum(slot, head, out + SUM_BYTES, head_len(head) - SUM_BYTES) ? 0 : ERR_TORN;
}

unsigned call_store_slots(const void *mem, size_t bytes)
{
	struct layout m;

	return layout_on(&m, mem, bytes) ? 0 : m.slots;
}

int call_store_read(const void *mem, size_t bytes, uint32_t slot, uint8_t *buf, struct call_record *ret)
{
	struct layout m;
	uint8_t copy[RECORD_MAX], mark;
	uint64_t head;
	int tries, err = layout_on(&m, mem, bytes);

	if (err)
		return err;
	if (slot >= m.slots)
		return ERR_NOTFOUND;
	/* the writer may move the record while we copy it: then the head differs, and a newer one is there */
	for (tries = 0; tries < 8; tries++) {
		head = __atomic_load_n(&m.head[slot], __ATOMIC_ACQUIRE);
		if (!head)
			return ERR_NOTFOUND;
		err = record_copy(&m, slot, head, copy);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (__atomic_load_n(&m.head[slot], __ATOMIC_RELAXED) != head)
			continue;
		if (err)
			return err;
		memcpy(buf, copy + SUM_BYTES, head_len(head) - SUM_BYTES);
		err = call_record_parse(buf, head_len(head) - SUM_BYTES, ret);
		mark = __atomic_load_n(&m.mark[slot], __ATOMIC_ACQUIRE);
		if (!err && mark & MARK_ENDING) {
			ret->state = CALL_ENDING;
			ret->over = mark >> 1 & 3;
		} else if (!err && mark & MARK_RINGING && ret->state == CALL_SETUP) {
			ret->state = CALL_EARLY;
		}
		return err;
	}
	return ERR_TORN;
}

/** Mark the blocks of a slot as used; ERR_TORN where the chain is wrong or a block has an owner already. */
static int chain_mark(struct call_store *s, uint64_t head, uint8_t *used)
{
	uint32_t left = (head_len(head) + BLOCK_BYTES - 1) / BLOCK_BYTES, b = head_block(head);

	for (; left; left--, b = s->m.next[b]) {
		if (b >= s->m.blocks || used[b])
			return ERR_TORN;
		used[b] = 1;
	}
	return 0;
}

/** Read all heads: sound records keep their blocks, others are freed and counted. */
static int take_up(struct call_store *s, unsigned *ret_torn)
{
	uint8_t *used = calloc(s->m.blocks, 1);
	struct call_record r;
	uint32_t i;

	if (!used)
		return -ENOMEM;
	*ret_torn = 0;
	for (i = s->m.slots; i-- > 0;) {
		uint64_t head = s->m.head[i];

		/* one that is whole but cannot be read (a foreign version) would hold its slot for ever */
		if (head && (record_copy(&s->m, i, head, s->scratch) || call_record_parse(s->scratch + SUM_BYTES, head_len(head) - SUM_BYTES, &r) ||
			chain_mark(s, head, used))) {
			s->m.head[i] = head = 0;
			(*ret_torn)++;
		}
		if (head)
			s->used++;
		else
			s->free_slot[s->nfree_slot++] = i;
	}
	for (i = s->m.blocks; i-- > 0;)
		if (!used[i])
			s->free_block[s->nfree_block++] = i;
	free(used);
	return 0;
}

static void format(void *mem, size_t bytes)
{
	struct store_header *h = mem;
	size_t per = 9 + BLOCKS_PER_CALL * (4 + BLOCK_BYTES);
	uint32_t slots = bytes > 4096 + 256 * (4 + BLOCK_BYTES) + sizeof *h ? (uint32_t)((bytes - 4096 - 256 * (4 + BLOCK_BYTES) - sizeof *h + per - 1) / per) + 1 : 0;

	while (slots && layout_bytes(slots, slots * BLOCKS_PER_CALL + 256) > bytes)
		slots--;
	memset(mem, 0, sizeof *h);
	h->slots = slots;
	h->blocks = slots * BLOCKS_PER_CALL + 256;
	memset((uint8_t *)mem + sizeof *h, 0, (size_t)slots * 9);
	__atomic_store_n(&h->magic, STORE_MAGIC, __ATOMIC_RELEASE);
}

static void store_destroy(void *obj)
{
	struct call_store *s = obj;

	free(s->free_block);
	free(s->free_slot);
}

int call_store_open(void *mem, size_t bytes, unsigned *ret_torn, struct call_store **ret)
{
	struct call_store *s = base_new(sizeof *s, store_destroy);
	uint32_t seed;
	int err;

	if (!s)
		return -ENOMEM;
	if (layout_on(&s->m, mem, bytes)) {
		format(mem, bytes);
		err = layout_on(&s->m, mem, bytes);
		if (err)
			goto out;
	}
	s->free_block = calloc(s->m.blocks, sizeof *s->free_block);
	s->free_slot = calloc(s->m.slots ? s->m.slots : 1, sizeof *s->free_slot);
	err = s->free_block && s->free_slot ? take_up(s, ret_torn) : -ENOMEM;
	if (err)
		goto out;
	base_random(&seed, sizeof seed);
	s->gen = seed;
	*ret = s;
	s = NULL;
out:
	base_unref(s);
	return err;
}

void call_store_secret(struct call_store *s)
{
	s->secret = true;
	for (uint32_t i = 0; i < s->nfree_block; i++) /* of an engine that was killed between two stores */
		if (s->m.data[(size_t)s->free_block[i] * BLOCK_BYTES + SUM_BYTES])
			explicit_bzero(s->m.data + (size_t)s->free_block[i] * BLOCK_BYTES, BLOCK_BYTES);
}

void call_store_close(struct call_store *s)
{
	base_unref(s);
}

int call_store_add(struct call_store *s, uint32_t *ret_slot)
{
	if (!s->nfree_slot)
		return ERR_FULL;
	*ret_slot = s->free_slot[--s->nfree_slot];
	s->m.mark[*ret_slot] = 0;
	s->used++;
	return 0;
}

static void chain_free(struct call_store *s, uint64_t head)
{
	uint32_t left = (head_len(head) + BLOCK_BYTES - 1) / BLOCK_BYTES, b = head_block(head);

	for (; head && left; left--) {
		uint32_t next = s->m.next[b];

		if (s->secret)
			explicit_bzero(s->m.data + (size_t)b * BLOCK_BYTES, BLOCK_BYTES);
		s->free_block[s->nfree_block++] = b;
		b = next;
	}
}

int call_store_put(struct call_store *s, uint32_t slot, const struct call_record *r)
{
	uint64_t head, old, sum;
	uint32_t nblocks, first, b, i, left, n;
	uint8_t *p = s->scratch;
	size_t len;
	int err = call_record_print(r, s->scratch + SUM_BYTES, sizeof s->scratch - SUM_BYTES, &len);

	if (err)
		return err;
	left = (uint32_t)len + SUM_BYTES;
	nblocks = (left + BLOCK_BYTES - 1) / BLOCK_BYTES;
	if (nblocks > s->nfree_block)
		return ERR_FULL;
	first = s->free_block[s->nfree_block - 1];
	head = head_make(first, left, ++s->gen);
	sum = checksum(slot, head, s->scratch + SUM_BYTES, len);
	memcpy(s->scratch, &sum, sizeof sum);
	for (i = 0; i < nblocks; i++, left -= n, p += n) {
		b = s->free_block[--s->nfree_block];
		n = left < BLOCK_BYTES ? left : BLOCK_BYTES;
		memcpy(s->m.data + (size_t)b * BLOCK_BYTES, p, n);
		__atomic_store_n(&s->m.next[b], i + 1 < nblocks ? s->free_block[s->nfree_block - 1] : 0, __ATOMIC_RELAXED);
	}
	if (s->secret)
		explicit_bzero(s->scratch, len + SUM_BYTES);
	old = s->m.head[slot];
	__atomic_store_n(&s->m.head[slot], head, __ATOMIC_RELEASE);
	chain_free(s, old);
	return 0;
}

size_t call_store_length(const struct call_store *s, uint32_t slot)
{
	uint64_t head = s->m.head[slot];

	return head ? head_len(head) : 0;
}

void call_store_del(struct call_store *s, uint32_t slot)
{
	uint64_t old = s->m.head[slot];

	__atomic_store_n(&s->m.head[slot], 0, __ATOMIC_RELEASE);
	chain_free(s, old);
	s->free_slot[s->nfree_slot++] = slot;
	s->used--;
}

void call_store_ending(struct call_store *s, uint32_t slot, uint8_t over)
{
	uint8_t tries = s->m.mark[slot] & (uint8_t)~((1u << TRIES_SHIFT) - 1);

	__atomic_store_n(&s->m.mark[slot], (uint8_t)(tries | over << 1 | MARK_ENDING), __ATOMIC_RELEASE);
}

void call_store_ringing(struct call_store *s, uint32_t slot)
{
	__atomic_store_n(&s->m.mark[slot], MARK_RINGING, __ATOMIC_RELEASE);
}

bool call_store_try(struct call_store *s, uint32_t slot)
{
	uint8_t v = s->m.mark[slot];

	if (v >> TRIES_SHIFT >= TRIES_MOST)
		return false;
	__atomic_store_n(&s->m.mark[slot], (uint8_t)(v + (1u << TRIES_SHIFT)), __ATOMIC_RELEASE);
	return true;
}

void call_store_tried(struct call_store *s, uint32_t slot)
{
	__atomic_store_n(&s->m.mark[slot], (uint8_t)(s->m.mark[slot] & ((1u << TRIES_SHIFT) - 1)), __ATOMIC_RELEASE);
}

void call_store_trim(struct call_store *s)
{
	uintptr_t from = ((uintptr_t)s->m.data + 4095) & ~(uintptr_t)4095, to = ((uintptr_t)s->m.data + (size_t)s->m.blocks * BLOCK_BYTES) & ~(uintptr_t)4095;

	if (!s->used && to > from)
		madvise((void *)from, to - from, MADV_REMOVE);
}
