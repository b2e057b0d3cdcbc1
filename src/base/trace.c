/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The message ring: the last messages as they were on the wire, one writer, readers that map it read-only.
 *
 * Layout: header, slots (what is known of a message, in order, reused round and round), data (the bytes, a ring of their own; positions count
 * bytes since the ring was formatted). The writer says first up to where data is about to be overwritten (`reserved`), then writes the bytes, then
 * the slot, whose `mark` is stored last and is another one with each use. A reader copies and looks again at both: a message that was overwritten
 * under its hands is left out. Nobody waits, nothing is trusted: a reader checks every place against the map, a writer that was
 * killed leaves a slot without mark.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "postern/base.h"

#define TRACE_MAGIC 0x3165636172747370ull /* "pstrace1" */
#define PER_MESSAGE 512u /* bytes of data a slot: less than messages of calls take, so that slots are not what runs out */

struct trace_shared {
	uint64_t magic;
	uint64_t slots, data;      /* number, bytes */
	uint64_t seed;             /* of keys */
	uint8_t pad0[32];
	uint64_t count;            /* messages written */
	uint64_t oldest;           /* the first of them that is not overwritten */
	uint64_t reserved;         /* data is written, or about to be, up to here */
	uint64_t mark;             /* given out last */
	uint8_t pad1[32];
};
_Static_assert(sizeof(struct trace_shared) == 128, "layout of the message ring");

struct trace_slot {
	uint64_t mark;             /* 0: being written */
	uint64_t pos;
	int64_t time_us;
	uint32_t len, key;
	uint16_t local_port, peer_port;
	uint8_t transport, flags, family, pad;
	uint8_t local[16], peer[16];
	uint64_t pad1;
};
_Static_assert(sizeof(struct trace_slot) == 80, "layout of the message ring");

struct trace_map {
	struct trace_shared *h;
	struct trace_slot *slot;
	uint8_t *data;
	uint64_t slots, bytes;
};

struct base_trace {
	struct trace_map m;
	uint64_t count, oldest, reserved, mark, seed; /* ours: the memory is told */
	size_t most;               /* of one message */
};

static void sizes(size_t bytes, uint64_t *ret_slots, uint64_t *ret_data)
{
	size_t room = bytes > sizeof(struct trace_shared) ? bytes - sizeof(struct trace_shared) : 0;

	*ret_slots = room / (PER_MESSAGE + sizeof(struct trace_slot));
	*ret_data = room - *ret_slots * sizeof(struct trace_slot);
}

/** Sizes follow from the map alone: what the header says must be the same. */
static int map_on(const void *mem, size_t bytes, struct trace_map *ret)
{
	struct trace_map m = { .h = (struct trace_shared *)(uintptr_t)mem };

	if (bytes < BASE_TRACE_LEAST)
		return -EINVAL;
	sizes(bytes, &m.slots, &m.bytes);
	m.slot = (struct trace_slot *)(void *)(m.h + 1);
	m.data = (uint8_t *)(m.slot + m.slots);
	*ret = m;
	return m.h->magic == TRACE_MAGIC && m.h->slots == m.slots && m.h->data == m.bytes ? 0 : ERR_TORN;
}

static void format(struct trace_map *m)
{
	uint64_t seed;

	base_random(&seed, sizeof seed);
	memset(m->h, 0, sizeof *m->h);
	memset(m->slot, 0, m->slots * sizeof *m->slot);
	m->h->slots = m->slots;
	m->h->data = m->bytes;
	m->h->seed = seed;
	__atomic_store_n(&m->h->magic, TRACE_MAGIC, __ATOMIC_RELEASE);
}

int base_trace_open(void *mem, size_t bytes, struct base_trace **ret)
{
	struct base_trace *t = base_new(sizeof *t, NULL);
	int err;

	if (!t)
		return -ENOMEM;
	err = map_on(mem, bytes, &t->m);
	if (err == ERR_TORN) {
		format(&t->m);
		err = 0;
	}
	if (err) {
		base_unref(t);
		return err;
	}
	t->count = t->m.h->count;
	t->oldest = t->m.h->oldest;
	t->reserved = t->m.h->reserved;
	t->mark = t->m.h->mark + 1; /* the one that a killed writer may have used */
	t->seed = t->m.h->seed;
	t->most = t->m.bytes / 2 < BASE_TRACE_MESSAGE ? t->m.bytes / 2 : BASE_TRACE_MESSAGE;
	if (t->oldest > t->count || t->count - t->oldest > t->m.slots)
		t->oldest = t->count;
	__atomic_store_n(&t->m.h->oldest, t->oldest, __ATOMIC_RELAXED);
	/* all of it is there from the start: a message costs no page fault. Older kernels know no such advice, and do without */
	madvise((void *)((uintptr_t)mem & ~(uintptr_t)4095), bytes, MADV_POPULATE_WRITE);
	*ret = t;
	return 0;
}

void base_trace_close(struct base_trace *t)
{
	base_unref(t);
}

/* ---- writing ---- */
uint32_t base_trace_key(uint64_t seed, struct slice id)
{
	uint64_t h = seed ^ id.n * 0x9e3779b97f4a7c15ull, v;
	const char *p = id.p;
	size_t n = id.n;

	for (; n >= 8; p += 8, n -= 8) {
		memcpy(&v, p, 8);
		h = (h ^ v) * 0xff51afd7ed558ccdull;
		h ^= h >> 32;
	}
	v = 0;
	memcpy(&v, n ? p : "", n);
	h = (h ^ v) * 0xc4ceb9fe1a85ec53ull;
	return (uint32_t)(h ^ h >> 32);
}

uint64_t base_trace_seed(const struct base_trace *t)
{
	return t->seed;
}

static uint8_t address_put(const union base_addr *a, uint8_t buf[static 16])
{
	if (a->sa.sa_family == AF_INET6)
		memcpy(buf, &a->in6.sin6_addr, 16);
	else if (a->sa.sa_family == AF_INET)
		memcpy(buf, &a->in.sin_addr, 4);
	return a->sa.sa_family == AF_INET6 ? 6 : 4;
}

/** Messages whose slot or bytes are about to be used anew are gone. */
static void make_room(struct base_trace *t, uint64_t end)
{
	uint64_t was = t->oldest;

	while (t->oldest < t->count && (t->count - t->oldest >= t->m.slots || t->m.slot[t->oldest % t->m.slots].pos + t->m.bytes < end))
		t->oldest++;
	if (t->oldest == was)
		return;
	base_count_n(COUNTER_TRACE_OVERWRITTEN, t->oldest - was);
	__atomic_store_n(&t->m.h->oldest, t->oldest, __ATOMIC_RELAXED);
}

static void data_put(struct base_trace *t, uint64_t pos, const char *p, size_t n)
{
	size_t at = pos % t->m.bytes, first = n < t->m.bytes - at ? n : t->m.bytes - at;

	if (p) {
		memcpy(t->m.data + at, p, first);
		memcpy(t->m.data, p + first, n - first);
	} else {
		memset(t->m.data + at, '*', first);
		memset(t->m.data, '*', n - first);
	}
}

/** The bytes, and stars in place of those that nobody may read: they are never in the ring. */
static void text_put(struct base_trace *t, uint64_t pos, struct slice bytes, const struct slice *hide, size_t nhide)
{
	const char *p = bytes.p, *end = bytes.p + bytes.n;

	for (size_t i = 0; i < nhide && p < end && hide[i].p < end; i++) {
		size_t n = hide[i].n < (size_t)(end - hide[i].p) ? hide[i].n : (size_t)(end - hide[i].p);

		data_put(t, pos, p, (size_t)(hide[i].p - p));
		pos += (size_t)(hide[i].p - p);
		data_put(t, pos, NULL, n);
		pos += n;
		p = hide[i].p + n;
	}
	data_put(t, pos, p, (size_t)(end - p));
}

void base_trace_put(struct base_trace *t, const struct base_trace_head *head, struct slice bytes, const struct slice *hide, size_t nhide)
{
	struct trace_slot *s = &t->m.slot[t->count % t->m.slots];
	struct trace_shared *h = t->m.h;
	uint64_t pos = t->reserved;

	if (bytes.n > t->most)
		bytes.n = t->most;
	make_room(t, pos + bytes.n);
	__atomic_store_n(&s->mark, 0, __ATOMIC_RELAXED);
	t->reserved = pos + bytes.n;
	__atomic_store_n(&h->reserved, t->reserved, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE); /* readers learn that it goes before it goes */
	text_put(t, pos, bytes, hide, nhide);
	s->pos = pos;
	s->time_us = head->time_us;
	s->len = (uint32_t)bytes.n;
	s->key = head->key;
	s->local_port = base_addr_port(&head->local);
	s->peer_port = base_addr_port(&head->peer);
	s->transport = head->transport;
	s->flags = head->flags;
	s->family = address_put(&head->local, s->local);
	address_put(&head->peer, s->peer);
	h->mark = ++t->mark;
	__atomic_store_n(&s->mark, t->mark, __ATOMIC_RELEASE);
	__atomic_store_n(&h->count, ++t->count, __ATOMIC_RELEASE);
	base_count(COUNTER_TRACE_WRITTEN);
}

/* ---- reading ---- */
int base_trace_walk(const void *mem, size_t bytes, struct base_trace_walk *ret)
{
	struct trace_map m;
	int err = map_on(mem, bytes, &m);

	if (err)
		return err;
	*ret = (struct base_trace_walk){ .mem = mem, .bytes = bytes, .seed = m.h->seed };
	ret->end = __atomic_load_n(&m.h->count, __ATOMIC_ACQUIRE);
	ret->next = __atomic_load_n(&m.h->oldest, __ATOMIC_RELAXED);
	if (ret->next > ret->end || ret->end - ret->next > m.slots)
		ret->next = ret->end > m.slots ? ret->end - m.slots : 0;
	return 0;
}

static void address_get(uint8_t family, const uint8_t *p, uint16_t port, union base_addr *ret)
{
	memset(ret, 0, sizeof *ret);
	if (family == 6) {
		ret->in6.sin6_family = AF_INET6;
		memcpy(&ret->in6.sin6_addr, p, 16);
	} else {
		ret->in.sin_family = AF_INET;
		memcpy(&ret->in.sin_addr, p, 4);
	}
	base_addr_set_port(ret, port);
}

static void data_get(const struct trace_map *m, uint64_t pos, char *buf, size_t n)
{
	size_t at = pos % m->bytes, first = n < m->bytes - at ? n : m->bytes - at;

	memcpy(buf, m->data + at, first);
	memcpy(buf + first, m->data, n - first);
}

static bool is_wanted(uint32_t key, const uint32_t *keys, size_t n)
{
	while (n-- > 0)
		if (keys[n] == key)
			return true;
	return !keys;
}

/** A copy of message `n` of the ring, if it is there and stays there while it is copied. */
static bool entry_get(const struct trace_map *m, uint64_t n, const uint32_t *keys, size_t nkeys, char *buf, struct base_trace_head *ret, struct slice *ret_bytes)
{
	const struct trace_slot *at = &m->slot[n % m->slots];
	uint64_t mark = __atomic_load_n(&at->mark, __ATOMIC_ACQUIRE);
	struct trace_slot s;

	if (!mark || !is_wanted(__atomic_load_n(&at->key, __ATOMIC_RELAXED), keys, nkeys))
		return false;
	s = *at;
	if (s.len > BASE_TRACE_MESSAGE || s.len > m->bytes)
		return false;
	data_get(m, s.pos, buf, s.len);
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (__atomic_load_n(&at->mark, __ATOMIC_RELAXED) != mark || (int64_t)(__atomic_load_n(&m->h->oldest, __ATOMIC_RELAXED) - n) > 0 || __atomic_load_n(&m->h->reserved, __ATOMIC_RELAXED) - s.pos > m->bytes)
		return false;
	*ret = (struct base_trace_head){ .time_us = s.time_us, .key = s.key, .transport = s.transport, .flags = s.flags };
	address_get(s.family, s.local, s.local_port, &ret->local);
	address_get(s.family, s.peer, s.peer_port, &ret->peer);
	*ret_bytes = (struct slice){ buf, s.len };
	return true;
}

bool base_trace_next(struct base_trace_walk *w, const uint32_t *keys, size_t nkeys, char *buf, struct base_trace_head *ret, struct slice *ret_bytes)
{
	struct trace_map m;

	if (map_on(w->mem, w->bytes, &m))
		return false;
	while (w->next < w->end)
		if (entry_get(&m, w->next++, keys, nkeys, buf, ret, ret_bytes))
			return true;
	return false;
}
