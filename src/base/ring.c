/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring of records between one producer and one consumer, each a process of its own.
 *
 * Layout: a header with two positions on cache lines of their own, then the data. Positions
 * count bytes since the ring was formatted and never wrap; position modulo size is the place.
 * A record is 8 bytes of head (length, check) and its bytes, padded to 8, always in one piece: where
 * it does not fit before the end of the data, a skip mark fills the rest. The release store
 * of `head` publishes mark and record together: a producer killed before it has written nothing,
 * one killed after it has written all. A consumer killed before base_ring_consume sees its records again.
 *
 * Neither end trusts the memory: sizes come from the mapping, and each length is checked before use.
 */
#include <errno.h>
#include <stdlib.h>

#include "postern/base.h"

#define RING_MAGIC 0x31676e6972747370u /* "pstring1" */
#define RING_SKIP  UINT32_MAX
#define RING_CHECK 0x5ec04d3fu
#define RING_HEAD  8u /* bytes before a record */
#define RING_MIN   64u

struct shared {
	uint64_t magic;
	uint64_t size; /* bytes of data */
	uint8_t pad0[48];
	uint64_t head; /* written by the producer */
	uint8_t pad1[56];
	uint64_t tail; /* written by the consumer */
	uint8_t pad2[56];
	uint8_t data[];
};
_Static_assert(sizeof(struct shared) == 192, "layout of the ring");

struct base_ring {
	struct shared *mem;
	uint64_t size; /* ours: the one in the memory can be foreign */
};

static uint64_t load(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

/* a stretch of the ring that positions name can be right at all */
static bool sane(const struct base_ring *r, uint64_t tail, uint64_t head)
{
	return head - tail <= r->size && head % 8 == 0 && tail % 8 == 0;
}

static uint64_t span_of(uint64_t n)
{
	return RING_HEAD + ((n + 7) & ~UINT64_C(7));
}

/*
 * What lies at pos: its length and the bytes that it takes; ERR_TORN where it is no record.
 * head bounds it. The length is read once: whoever changes it meanwhile changes nothing here.
 */
static int look(const struct base_ring *r, uint64_t pos, uint64_t head, uint32_t *ret_len, uint64_t *ret_span)
{
	uint64_t at = pos % r->size, till_end = r->size - at, span;
	uint32_t word[2];

	memcpy(word, r->mem->data + at, sizeof(word));
	if ((word[0] ^ word[1]) != RING_CHECK)
		return ERR_TORN;
	span = word[0] == RING_SKIP ? till_end : span_of(word[0]);
	if (span > till_end || span > head - pos)
		return ERR_TORN;
	*ret_len = word[0];
	*ret_span = span;
	return 0;
}

static bool whole(const struct base_ring *r)
{
	/* head first: the end that opens owns one of the two, and either order of moves of the other stays sane */
	uint64_t head = load(&r->mem->head), pos = load(&r->mem->tail), span;
	uint32_t len;

	if (r->mem->magic != RING_MAGIC || r->mem->size != r->size || !sane(r, pos, head))
		return false;
	for (; pos != head; pos += span) {
		if (look(r, pos, head, &len, &span) < 0)
			return false;
	}
	return true;
}

static void format(struct base_ring *r)
{
	struct shared *m = r->mem;

	__atomic_store_n(&m->magic, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&m->head, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&m->tail, 0, __ATOMIC_RELEASE);
	m->size = r->size;
	__atomic_store_n(&m->magic, RING_MAGIC, __ATOMIC_RELEASE);
}

int base_ring_open(void *mem, size_t bytes, struct base_ring **ret)
{
	struct base_ring *r;
	int err = 0;

	if (!mem || (uintptr_t)mem % 8 || bytes < sizeof(struct shared) + RING_MIN)
		return -EINVAL;
	r = base_alloc(sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->mem = mem;
	r->size = (bytes - sizeof(struct shared)) & ~UINT64_C(7);
	if (load(&r->mem->magic) == 0 && load(&r->mem->head) == 0 && load(&r->mem->tail) == 0) {
		/* fresh memory is an empty ring already: both ends may do this at once */
		r->mem->size = r->size;
		__atomic_store_n(&r->mem->magic, RING_MAGIC, __ATOMIC_RELEASE);
	} else if (!whole(r)) {
		format(r);
		err = ERR_TORN;
	}
	*ret = r;
	return err;
}

void base_ring_close(struct base_ring *r)
{
	free(r);
}

static void put_head(struct base_ring *r, uint64_t at, uint32_t len)
{
	uint32_t word[2] = { len, len ^ RING_CHECK };

	memcpy(r->mem->data + at, word, sizeof(word));
}

int base_ring_put(struct base_ring *r, const void *rec, size_t n)
{
	uint64_t head = load(&r->mem->head), tail = load(&r->mem->tail);
	uint64_t at = head % r->size, span, skip = 0;

	/* half the ring: a record of this size fits an empty ring wherever head stands */
	if (n > r->size / 2 - RING_HEAD || n >= RING_SKIP)
		return ERR_RANGE;
	if (!sane(r, tail, head))
		return ERR_FULL;
	span = span_of(n);
	if (span > r->size - at) {
		skip = r->size - at;
		at = 0;
	}
	if (skip + span > r->size - (head - tail))
		return ERR_FULL;
	if (skip)
		put_head(r, head % r->size, RING_SKIP);
	put_head(r, at, (uint32_t)n);
	if (n)
		memcpy(r->mem->data + at + RING_HEAD, rec, n);
	__atomic_store_n(&r->mem->head, head + skip + span, __ATOMIC_RELEASE);
	return 0;
}

uint64_t base_ring_used(const struct base_ring *r)
{
	uint64_t n = load(&r->mem->head) - load(&r->mem->tail);

	return n <= r->size ? n : r->size;
}

uint64_t base_ring_pos(const struct base_ring *r)
{
	return load(&r->mem->tail);
}

bool base_ring_peek(const struct base_ring *r, uint64_t *pos, struct slice *ret)
{
	uint64_t head = load(&r->mem->head), at = *pos, span;
	uint32_t len;

	while (at != head) {
		if (!sane(r, at, head) || look(r, at, head, &len, &span) < 0) {
			/* foreign bytes: nothing before head can be trusted, go on with what comes after it */
			*pos = head & ~UINT64_C(7);
			return false;
		}
		*pos = at + span;
		if (len != RING_SKIP) {
			*ret = (struct slice){ (const char *)r->mem->data + at % r->size + RING_HEAD, len };
			return true;
		}
		at = *pos;
	}
	return false;
}

bool base_ring_ready(const struct base_ring *r)
{
	return load(&r->mem->tail) != load(&r->mem->head);
}

void base_ring_wipe(struct base_ring *r, struct slice rec)
{
	uint64_t at = (uint64_t)((const uint8_t *)rec.p - r->mem->data);

	must(at <= r->size && rec.n <= r->size - at);
	explicit_bzero(r->mem->data + at, rec.n);
}

void base_ring_consume(struct base_ring *r, uint64_t pos)
{
	__atomic_store_n(&r->mem->tail, pos, __ATOMIC_RELEASE);
}
