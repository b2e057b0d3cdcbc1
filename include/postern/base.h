/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base: what every folder stands on: error codes, slices, reference counts,
 * lists, hash tables, clocks, log, random, cursors, counters and rings.
 * Needs libc alone. No I/O but the log.
 */
#ifndef POSTERN_BASE_H
#define POSTERN_BASE_H

#include <netinet/in.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

/* ---- errors: 0 is success, -errno a system cause, ERR_* (below -1000) ours ---- */
enum base_err {
	ERR_PROTO     = -1001, /* input breaks its protocol */
	ERR_TRUNCATED = -1002, /* input or output ends too early */
	ERR_RANGE     = -1003, /* a value is out of its range */
	ERR_FULL      = -1004, /* a bounded table, queue or ring is full */
	ERR_NOPORT    = -1005, /* no free media port */
	ERR_NOTFOUND  = -1006, /* no such thing */
	ERR_CONFIG    = -1007, /* the configuration is at fault */
	ERR_TORN      = -1008, /* a record in state memory is torn or foreign */
	ERR_WRONGSTATE     = -1009, /* not in this state */
	ERR_REFUSED   = -1010, /* forbidden */
	ERR_EXISTS    = -1011, /* there already */
	ERR_UNSUPPORTED = -1012, /* valid, but not supported */
	ERR_GONE      = -1013, /* the peer or process at the other end went away */
	ERR_LAST      = -1014
};

/** Text of an error code; never NULL. Thread: any. */
const char *base_strerror(int err);

/** A broken invariant: logs file, line and expression and exits with 70. Always compiled in. */
#define must(x) ((x) ? (void)0 : base_must_failed(__FILE__, __LINE__, #x))
/** What must() calls. */
void base_must_failed(const char *file, int line, const char *expr) __attribute__((noreturn, cold));

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

/* ---- slices: borrowed text, not terminated ---- */
struct slice {
	const char *p;
	size_t n;
};
#define SLICE(lit) ((struct slice){ "" lit, sizeof(lit) - 1 })
static inline struct slice slice_str(const char *s) { return (struct slice){ s, s ? strlen(s) : 0 }; }
static inline bool slice_empty(struct slice s) { return s.n == 0; }
/** Byte by byte; _nocase: ASCII letters of either case are equal. */
bool slice_eq(struct slice a, struct slice b);
bool slice_eq_nocase(struct slice a, struct slice b);
/** Copy to a terminated buffer, cut at size-1; returns false where it was cut. */
bool slice_copy(char *buf, size_t size, struct slice s);
/** Unsigned decimal, all of the slice; ERR_PROTO or ERR_RANGE (above max). */
int slice_u64(struct slice s, uint64_t max, uint64_t *ret);

/* ---- reference-counted objects: one destructor, which does not free the object itself ---- */
/** @return zeroed object with one reference, or NULL. Thread: the count is not atomic; an object belongs to one thread. */
void *base_new(size_t size, void (*destroy)(void *obj));
void *base_ref(void *obj);
/** Drop a reference (NULL is legal); always returns NULL. */
void *base_unref(void *obj);
/** Objects alive now: tests compare it before and after. */
size_t base_live(void);
/** Fail the n-th allocation from now on (0 = never); for tests. Honoured by base_new, base_alloc, base_dup. */
void base_alloc_fail_after(long n);
void *base_alloc(size_t size);
char *base_dup(struct slice s);

/* ---- intrusive lists ---- */
struct list_node { struct list_node *prev, *next; };
static inline void list_init(struct list_node *h) { h->prev = h->next = h; }
static inline bool list_empty(const struct list_node *h) { return h->next == h; }
static inline void list_add_tail(struct list_node *h, struct list_node *n)
{
	n->prev = h->prev; n->next = h; h->prev->next = n; h->prev = n;
}
static inline void list_del(struct list_node *n)
{
	if (!n->next)
		return;
	n->prev->next = n->next; n->next->prev = n->prev; n->prev = n->next = NULL;
}

/* ---- intrusive hash table: power-of-two buckets, grows, chained ---- */
struct hash_node { struct hash_node *next; uint32_t key; };
struct hash { struct hash_node **bucket; uint32_t size, count; };
int base_hash_init(struct hash *h, uint32_t size);
void base_hash_fini(struct hash *h);
void base_hash_add(struct hash *h, struct hash_node *n, uint32_t key);
void base_hash_del(struct hash *h, struct hash_node *n);
/** First node with this key (walk n->next, comparing ->key, for more); NULL if none. */
struct hash_node *base_hash_find(const struct hash *h, uint32_t key);
uint32_t base_hash_bytes(const void *p, size_t n, uint32_t seed);

/* ---- clocks ---- */
struct mono { int64_t us; }; /* monotonic time */
struct mono base_mono_now(void);
int64_t base_wall_ms(void); /* since the epoch */
int64_t base_wall_us(void);
static inline struct mono mono_add_ms(struct mono t, int64_t ms) { t.us += ms * 1000; return t; }
static inline int64_t mono_ms_since(struct mono now, struct mono then) { return (now.us - then.us) / 1000; }
/** Tests: from now on the clocks stand at these values and move by base_clock_advance_ms alone. */
void base_clock_fake(int64_t mono_us, int64_t wall_ms);
void base_clock_advance_ms(int64_t ms);
bool base_clock_is_fake(void);
/** RFC 3339 with milliseconds, UTC; buf of at least 32 bytes; "" for 0. */
const char *base_time_rfc3339(int64_t wall_ms, char buf[static 32]);
/** RFC 3339 back to milliseconds since the epoch, with any zone; 0: no such time. (A blank stands for a plus: queries lose it.) */
int64_t base_time_parse(struct slice s);

/* ---- random (getrandom, buffered) ---- */
void base_random(void *buf, size_t n);
uint32_t base_random_below(uint32_t limit);
/** n-1 random characters of [0-9a-f] and NUL. */
void base_random_token(char *buf, size_t n);

/* ---- log: one line `level role component message key=value...` to stderr; bytes outside printable ASCII are escaped ---- */
enum base_level { BASE_ERROR, BASE_WARN, BASE_INFO, BASE_DEBUG };
void base_log_init(const char *role, enum base_level level);
void base_log(enum base_level level, const char *component, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
bool base_log_on(enum base_level level);
/** At most `per_s` lines a second from this place; what was kept back is told with the next one. For input from the network. */
#define base_log_limited(level, per_s, component, ...) do { \
	static struct base_log_gate gate_; \
	if (base_log_pass(&gate_, (level), (per_s), (component))) base_log((level), (component), __VA_ARGS__); } while (0)
struct base_log_gate { int64_t second; unsigned sent, held; };
/** What base_log_limited calls: may this line be logged? Thread: any. */
bool base_log_pass(struct base_log_gate *g, enum base_level level, unsigned per_s, const char *component);
/** "error", "warn", "info" or "debug"; ERR_PROTO otherwise. */
int base_log_level_parse(struct slice s, enum base_level *ret);

/* ---- cursors: bounded, with a sticky error; little-endian, lengths are u32 ---- */
struct reader { const uint8_t *p, *end; bool bad; };
struct writer { uint8_t *p, *end, *start; bool bad; };
static inline struct reader reader_on(const void *p, size_t n) { return (struct reader){ p, (const uint8_t *)p + n, false }; }
static inline struct writer writer_on(void *p, size_t n) { return (struct writer){ p, (uint8_t *)p + n, p, false }; }
uint8_t rd_u8(struct reader *r);
uint16_t rd_u16(struct reader *r);
uint32_t rd_u32(struct reader *r);
uint64_t rd_u64(struct reader *r);
/** Borrowed bytes; empty and bad where they are not there. */
struct slice rd_bytes(struct reader *r, size_t n);
struct slice rd_slice(struct reader *r); /* u32 length, bytes */
void wr_u8(struct writer *w, uint8_t v);
void wr_u16(struct writer *w, uint16_t v);
void wr_u32(struct writer *w, uint32_t v);
void wr_u64(struct writer *w, uint64_t v);
void wr_bytes(struct writer *w, const void *p, size_t n);
void wr_slice(struct writer *w, struct slice s);
static inline size_t wr_len(const struct writer *w) { return (size_t)(w->p - w->start); }

/* ---- text builder on a fixed buffer: cut is sticky, always terminated ---- */
struct text { char *p; size_t size, n; bool cut; };
static inline struct text text_on(char *buf, size_t size) { buf[0] = 0; return (struct text){ buf, size, 0, false }; }
void text_add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void text_slice(struct text *t, struct slice s);
static inline struct slice text_get(const struct text *t) { return (struct slice){ t->p, t->n }; }

/* ---- addresses: IPv4 or IPv6 with port ---- */
union base_addr { struct sockaddr sa; struct sockaddr_in in; struct sockaddr_in6 in6; };
/** "192.0.2.1", "::1" or "[::1]"; ERR_PROTO otherwise. */
int base_addr_parse(struct slice host, uint16_t port, union base_addr *ret);
socklen_t base_addr_len(const union base_addr *a);
uint16_t base_addr_port(const union base_addr *a);
void base_addr_set_port(union base_addr *a, uint16_t port);
bool base_addr_eq(const union base_addr *a, const union base_addr *b);      /* address and port */
bool base_addr_same_host(const union base_addr *a, const union base_addr *b);
bool base_addr_is_any(const union base_addr *a);
/** Not to be reached from outside of its own network (RFC 1918, 6598, 3927, 4193, 4291). */
bool base_addr_is_private(const union base_addr *a);
bool base_addr_in_net(const union base_addr *a, const union base_addr *net, unsigned bits);
/** Host alone, IPv6 in brackets where `bracket`. buf of at least 48 bytes. */
const char *base_addr_host(const union base_addr *a, bool bracket, char buf[static 48]);
/** host:port, IPv6 in brackets. buf of at least 56 bytes. */
const char *base_addr_print(const union base_addr *a, char buf[static 56]);

/* ---- counters: rows in counters.def, one block per role in state memory, single writer per role (or relaxed atomics) ---- */
enum base_counter {
#define COUNTER(id, name, labels, help) COUNTER_##id,
#include "postern/counters.def"
#undef COUNTER
	COUNTER_COUNT
};
struct base_counter_row { const char *name, *labels, *help; }; /* labels: `reason="x"` or "" */
const struct base_counter_row *base_counter_row(enum base_counter id);
/** Count into this block from now on (NULL: a static block of the process). Adds what was counted before. */
void base_counters_bind(uint64_t *block); /* of COUNTER_CELLS */
extern uint64_t *base_counters;
static inline void base_count_n(enum base_counter id, uint64_t n) { __atomic_fetch_add(&base_counters[id], n, __ATOMIC_RELAXED); }
/** Of rows that are no totals: how it is now. */
static inline void base_gauge(enum base_counter id, uint64_t v) { __atomic_store_n(&base_counters[id], v, __ATOMIC_RELAXED); }
static inline void base_count(enum base_counter id) { base_count_n(id, 1); }

/* ---- events: rows in events.def ---- */
enum base_event {
#define EVENT(id, class_, type_, text_) EVENT_##id,
#include "postern/events.def"
#undef EVENT
	EVENT_COUNT
};
struct base_event_row { const char *class_name, *type, *text; };
const struct base_event_row *base_event_row(enum base_event id);

/* ---- histograms of times: rows in counters.def, behind the counters in the same blocks ---- */
#define HISTOGRAM_BOUNDS 15
#define HISTOGRAM_CELLS  (HISTOGRAM_BOUNDS + 2)  /* one between two bounds, one above the last, the sum */
enum base_histogram {
#define HISTOGRAM(id, name, help, ...) HISTOGRAM_##id,
#define COUNTER(...)
#include "postern/counters.def"
#undef COUNTER
	HISTOGRAM_COUNT
};
enum { COUNTER_CELLS = COUNTER_COUNT + HISTOGRAM_COUNT * HISTOGRAM_CELLS };
struct base_histogram_row { const char *name, *help; uint32_t bound_ms[HISTOGRAM_BOUNDS]; }; /* 0: no more bounds */
const struct base_histogram_row *base_histogram_row(enum base_histogram id);
/** Two additions. */
void base_observe_ms(enum base_histogram id, int64_t ms);

/** Give memory that is free back to the system: walks the heap, for idle moments. */
void base_heap_trim(void);

/* ---- ring: records of any length from one producer to one consumer, in memory that both map ---- */
struct base_ring;
/**
 * Format memory of `bytes` (zeroed, 8-byte aligned, at least 256) as an empty ring, or take up the one that is there.
 * ERR_TORN where that one is damaged: it was formatted anew and *ret is set all the same. -EINVAL, -ENOMEM.
 */
int base_ring_open(void *mem, size_t bytes, struct base_ring **ret);
/** Let go of the handle (NULL is legal); the ring in memory stays as it is. */
void base_ring_close(struct base_ring *r);
/** ERR_FULL where there is no room (the caller counts it), ERR_RANGE above half of the ring. A record is seen whole or not at all, also after kill -9. */
int base_ring_put(struct base_ring *r, const void *rec, size_t n);
/** Oldest record not yet consumed after `*pos` (start with base_ring_pos); advances *pos; false where none is left. The slice points into the ring. */
uint64_t base_ring_pos(const struct base_ring *r);
bool base_ring_peek(const struct base_ring *r, uint64_t *pos, struct slice *ret);
/** Is there a record that was not consumed? Two loads. */
bool base_ring_ready(const struct base_ring *r);
/** Overwrite the bytes of a record that was peeked at, before it is consumed: for those that hold secrets. Thread: the consumer. */
void base_ring_wipe(struct base_ring *r, struct slice rec);
/** Bytes that are not consumed yet. */
uint64_t base_ring_used(const struct base_ring *r);
/** All before pos is consumed. */
void base_ring_consume(struct base_ring *r, uint64_t pos);

/* ---- the message ring: messages as they were on the wire; one writer, readers in any process that maps it ---- */
#define BASE_TRACE_LEAST   8192     /* bytes of the smallest */
#define BASE_TRACE_MESSAGE 65536    /* bytes of a message that are kept, and at most half of the ring */
struct base_trace;
enum base_trace_flag { BASE_TRACE_OUT = 1 /* we sent it */, BASE_TRACE_QUEUED = 2 /* to a connection that was not open yet */ };
struct base_trace_head { int64_t time_us; uint32_t key; uint8_t transport, flags; union base_addr local, peer; }; /* time: since the epoch; key: of whom it is */
/** Writer: take up the ring in this memory, or format it anew where it is none of its size. -EINVAL too small, -ENOMEM. */
int base_trace_open(void *mem, size_t bytes, struct base_trace **ret);
void base_trace_close(struct base_trace *t);
uint64_t base_trace_seed(const struct base_trace *t);
uint32_t base_trace_key(uint64_t seed, struct slice id);
/** One copy into the ring; hide: parts of bytes, in order, that become stars. Cost: the copy. */
void base_trace_put(struct base_trace *t, const struct base_trace_head *head, struct slice bytes, const struct slice *hide, size_t nhide);
/** Reader: all that is there now, oldest first. ERR_TORN: this is no such ring (yet), -EINVAL. */
struct base_trace_walk { const void *mem; size_t bytes; uint64_t next, end, seed; };
int base_trace_walk(const void *mem, size_t bytes, struct base_trace_walk *ret);
/** The next one whose key is among these (NULL: any), copied to buf (BASE_TRACE_MESSAGE); what is overwritten meanwhile is left out. */
bool base_trace_next(struct base_trace_walk *w, const uint32_t *keys, size_t nkeys, char *buf, struct base_trace_head *ret, struct slice *ret_bytes);

#endif
