/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The board in state memory: what rules and counters in force have counted, and the last messages that policies in shadow would have changed.
 * One writer, the engine; readers copy, and look again where the generation moved meanwhile. Rules count into their row directly, so that a
 * reader sees each hit at once and the next engine goes on from there.
 */
#include <stdlib.h>

#include "rule/rule.h"

#define BOARD_MAGIC  UINT64_C(0x31647262656c7572)
#define BOARD_ROWS   8192u
#define SHADOWS      16u
#define SHADOW_ITEMS 20u

enum { FREE, RULE, COUNT };

struct row {
	struct rule_tally tally;
	uint32_t kind, hash, line, index; /* hash: of the whole text, which may be cut here */
	uint8_t shadow;
	char id[64], policy[64], text[232];
};
struct item { uint32_t seq, cut; int64_t time_ms; char verdict[64], before[RULE_SHADOW_TEXT], after[RULE_SHADOW_TEXT]; }; /* seq odd: being written */
struct rule_shadow { char id[64]; uint64_t count; struct item item[SHADOW_ITEMS]; };
struct board {
	uint64_t magic;
	uint32_t generation, rows;         /* generation odd: rows are being put in place */
	struct row row[BOARD_ROWS];
	struct rule_shadow shadow[SHADOWS];
};
struct rule_board { struct board *b; };

size_t rule_board_bytes(void) { return sizeof(struct board); }

int rule_board_open(void *mem, size_t bytes, struct rule_board **ret)
{
	struct rule_board *o;

	if (bytes < sizeof(struct board))
		return ERR_RANGE;
	o = base_new(sizeof *o, NULL);
	if (!o)
		return -ENOMEM;
	o->b = mem;
	if (o->b->magic != BOARD_MAGIC || o->b->rows > BOARD_ROWS) {
		o->b->rows = 0;
		o->b->magic = BOARD_MAGIC;
	}
	o->b->generation &= ~1u; /* the former writer may have been killed at it */
	*ret = o;
	return 0;
}

/* ---- binding ---- */
#define BUCKETS 4096u
struct bind { struct board *b; struct row *old; uint32_t nold, n, *next, first[BUCKETS]; bool full; }; /* first, next: old ones by hash, +1; 0: none */

/** The rows that were there, to look them up by their hash. */
static int old_take(struct bind *d)
{
	d->old = malloc((d->nold + 1) * (sizeof *d->old + sizeof *d->next));
	if (!d->old)
		return -ENOMEM;
	d->next = (uint32_t *)(d->old + d->nold + 1);
	memcpy(d->old, d->b->row, d->nold * sizeof *d->old);
	for (uint32_t i = d->nold; i-- > 0;) {
		uint32_t *at = &d->first[d->old[i].hash % BUCKETS];

		d->next[i] = *at;
		*at = i + 1;
	}
	return 0;
}

static void name_copy(char *to, size_t size, struct slice s)
{
	memset(to, 0, size);
	slice_copy(to, size, s);
}

static bool is_same(const struct row *a, const struct row *b)
{
	return a->kind == b->kind && a->hash == b->hash && a->shadow == b->shadow && !strncmp(a->id, b->id, sizeof a->id) && !strncmp(a->policy, b->policy, sizeof a->policy);
}

/** Where it stood before: the same text at the same place, else at another one. */
static const struct row *find_old(const struct bind *d, const struct row *r)
{
	const struct row *any = NULL;

	for (uint32_t i = d->first[r->hash % BUCKETS]; i; i = d->next[i - 1]) {
		const struct row *o = &d->old[i - 1];

		if (!is_same(o, r))
			continue;
		if (o->index == r->index)
			return o;
		any = any ? any : o;
	}
	return any;
}

/** The row that the tally lives in from now on; NULL: there is none left. */
static struct rule_tally *row_add(struct bind *d, struct row *r, struct slice text, const struct rule_tally *own)
{
	const struct row *old;
	struct row *at;

	if (d->n == BOARD_ROWS) {
		d->full = true;
		return NULL;
	}
	r->hash = base_hash_bytes(text.p, text.n, 0);
	name_copy(r->text, sizeof r->text, text);
	old = find_old(d, r);
	r->tally = old && old->tally.hits >= own->hits ? old->tally : *own;
	at = &d->b->row[d->n++];
	*at = *r;
	return &at->tally;
}

static void bind_rule(struct bind *d, const char *id, struct rule_rule *r)
{
	struct row row = { .kind = RULE, .line = r->pos.line, .index = r->index, .shadow = r->policy->shadow };
	struct rule_tally *t;

	name_copy(row.id, sizeof row.id, slice_str(id));
	name_copy(row.policy, sizeof row.policy, r->policy->name);
	t = row_add(d, &row, slice_str(r->text), &r->own);
	r->tally = t ? t : &r->own;
}

static void bind_counter(struct bind *d, const char *id, struct rule_counter *c)
{
	struct row row = { .kind = COUNT };
	struct rule_tally *t;

	name_copy(row.id, sizeof row.id, slice_str(id));
	t = row_add(d, &row, c->name, &c->own);
	c->tally = t ? t : &c->own;
}

static void bind_set(struct bind *d, const struct rule_board_set *x)
{
	for (struct rule_policy *p = x->set->policies; p; p = p->next_all)
		for (struct rule_rule *r = p->rules; r; r = r->next)
			bind_rule(d, x->id, r);
	for (struct rule_counter *c = x->set->counters; c; c = c->next)
		bind_counter(d, x->id, c);
}

/** The log of a policy in shadow: the one that it has, else one that nobody needs. */
static void bind_shadow(struct board *b, const struct rule_board_set *sets, size_t n, const struct rule_board_set *x)
{
	struct rule_shadow *free_log = NULL;

	for (unsigned i = 0; i < SHADOWS; i++) {
		struct rule_shadow *s = &b->shadow[i];
		bool wanted = false;

		if (!strncmp(s->id, x->id, sizeof s->id)) {
			x->set->log = s;
			return;
		}
		for (size_t k = 0; k < n; k++)
			wanted = wanted || (sets[k].set->shadow && !strncmp(s->id, sets[k].id, sizeof s->id));
		if (!wanted && !free_log)
			free_log = s;
	}
	if (!free_log)
		return;
	memset(free_log, 0, sizeof *free_log);
	name_copy(free_log->id, sizeof free_log->id, slice_str(x->id));
	x->set->log = free_log;
}

int rule_board_bind(struct rule_board *o, const struct rule_board_set *sets, size_t n)
{
	struct board *b = o->b;
	static struct bind d;          /* too large for a stack */
	bool full = false;

	memset(&d, 0, sizeof d);
	d.b = b;
	d.nold = b->rows;
	if (old_take(&d))
		return -ENOMEM;
	__atomic_store_n(&b->generation, b->generation + 1, __ATOMIC_SEQ_CST);
	for (size_t i = 0; i < n; i++)
		bind_set(&d, &sets[i]);
	b->rows = d.n;
	for (size_t i = 0; i < n; i++)
		if (sets[i].set->shadow) {
			bind_shadow(b, sets, n, &sets[i]);
			full = full || !sets[i].set->log;
		}
	__atomic_store_n(&b->generation, b->generation + 1, __ATOMIC_SEQ_CST);
	free(d.old);
	return d.full || full ? ERR_FULL : 0;
}

void rule_set_unbind(struct rule_set *s)
{
	for (struct rule_policy *p = s->policies; p; p = p->next_all)
		for (struct rule_rule *r = p->rules; r; r = r->next) {
			r->own = *r->tally;
			r->tally = &r->own;
		}
	for (struct rule_counter *c = s->counters; c; c = c->next) {
		c->own = *c->tally;
		c->tally = &c->own;
	}
	s->log = NULL;
}

/* ---- what shadows would have done ---- */
void rule_board_shadow(struct rule_set *s, int64_t now_ms, struct slice before, struct slice after, const char *verdict)
{
	struct item *it;

	if (!s->log)
		return;
	it = &s->log->item[s->log->count % SHADOW_ITEMS];
	__atomic_store_n(&it->seq, it->seq | 1, __ATOMIC_SEQ_CST);
	it->time_ms = now_ms;
	it->cut = !slice_copy(it->before, sizeof it->before, before);
	it->cut |= !slice_copy(it->after, sizeof it->after, after);
	slice_copy(it->verdict, sizeof it->verdict, slice_str(verdict));
	__atomic_store_n(&it->seq, (it->seq | 1) + 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&s->log->count, s->log->count + 1, __ATOMIC_RELEASE);
}

/* ---- readers ---- */
static const struct board *board_on(const void *mem, size_t bytes)
{
	const struct board *b = mem;

	return mem && bytes >= sizeof *b && b->magic == BOARD_MAGIC ? b : NULL;
}

static void row_fill(const struct row *from, struct rule_board_row *ret)
{
	bool rule = from->kind == RULE;

	memset(ret, 0, sizeof *ret);
	memcpy(ret->id, from->id, sizeof ret->id - 1);
	memcpy(ret->policy, from->policy, rule ? sizeof ret->policy - 1 : 0);
	memcpy(ret->text, from->text, sizeof ret->text - 1);
	ret->line = from->line;
	ret->index = from->index;
	ret->shadow = from->shadow;
	ret->hits = __atomic_load_n(&from->tally.hits, __ATOMIC_RELAXED);
	ret->last_ms = __atomic_load_n(&from->tally.last_ms, __ATOMIC_RELAXED);
}

bool rule_board_get(const void *mem, size_t bytes, size_t i, struct rule_board_row *ret)
{
	const struct board *b = board_on(mem, bytes);

	for (int tries = 0; b && tries < 64; tries++) {
		uint32_t gen = __atomic_load_n(&b->generation, __ATOMIC_ACQUIRE), rows = __atomic_load_n(&b->rows, __ATOMIC_RELAXED);

		if (i >= rows || i >= BOARD_ROWS)
			return false;
		row_fill(&b->row[i], ret);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (!(gen & 1) && __atomic_load_n(&b->generation, __ATOMIC_RELAXED) == gen)
			return true;
	}
	return false;
}

static bool item_read(const struct item *it, struct rule_shadow_item *ret)
{
	for (int tries = 0; tries < 64; tries++) {
		uint32_t seq = __atomic_load_n(&it->seq, __ATOMIC_ACQUIRE);

		ret->time_ms = it->time_ms;
		ret->cut = it->cut;
		memcpy(ret->verdict, it->verdict, sizeof ret->verdict);
		memcpy(ret->before, it->before, sizeof ret->before);
		memcpy(ret->after, it->after, sizeof ret->after);
		ret->verdict[sizeof ret->verdict - 1] = ret->before[sizeof ret->before - 1] = ret->after[sizeof ret->after - 1] = 0;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (!(seq & 1) && __atomic_load_n(&it->seq, __ATOMIC_RELAXED) == seq)
			return true;
	}
	return false;
}

bool rule_board_shadow_get(const void *mem, size_t bytes, const char *id, size_t i, uint64_t *ret_count, struct rule_shadow_item *ret)
{
	const struct board *b = board_on(mem, bytes);
	uint64_t count;

	*ret_count = 0;
	for (unsigned k = 0; b && k < SHADOWS; k++) {
		if (!*id || strncmp(b->shadow[k].id, id, sizeof b->shadow[k].id))
			continue;
		count = __atomic_load_n(&b->shadow[k].count, __ATOMIC_ACQUIRE);
		*ret_count = count;
		if (i >= SHADOW_ITEMS || i >= count)
			return false;
		return !ret || item_read(&b->shadow[k].item[(count - 1 - i) % SHADOW_ITEMS], ret);
	}
	return false;
}
