/* SPDX-License-Identifier: Apache-2.0 */
/*
 * media/client: the engine's end. Wishes are gathered and written into a ring at the turn's end, where media finds them with its next packet: no
 * system call, no wake-up. The last one of each slot is kept until media's memory says that it was applied, and is written again for a media
 * process that says HELLO. So nothing waits for media, and no queue grows: there is at most one unapplied wish per slot, because each tells the whole.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "media/cmd.h"
#include "media/pool.h"
#include "media/slot.h"
#include "media/wishes.h"
#include "postern/keys.h"
#include "postern/loop.h"

#define REMIND_MS 50           /* media without packets looks for wishes this late */
#define RETRY_MS 20            /* the ring or the channel was full */
#define FLUSH_BYTES 8192       /* of one record of the ring */
#define GEN_STEP 256

struct want_cell {
	struct list_node node;         /* in `unsent` or `sent`, by sequence; unlinked: applied */
	uint64_t seq;                  /* 0: not sent yet */
	uint32_t gen;                  /* of the call that has the slot, or had it last */
	bool taken, close;
	bool ours;                     /* the generation is one of this engine: none before us can surprise it any more */
	bool any;                      /* close whatever generation it has */
	struct media_want want;
	struct media_key key[2];       /* zeroed where there are none, or media has them */
};

struct media_client {
	struct loop *loop;
	struct loop_chan *chan;
	struct base_ring *ring;
	const struct media_map_entry *map;
	uint32_t nmap, room, live;     /* slots of the map, of the memory, of the media process that runs */
	struct media_header *header;   /* read-only */
	struct media_slot *slots;      /* read-only */
	struct media_pool *pool;
	struct want_cell *cell;
	struct list_node unsent, sent;
	uint64_t seq;
	bool hurry;                    /* something is to be written at the turn's end */
	struct loop_timer remind;
	void (*inactive)(void *arg, struct media_ref r);
	void (*one_way)(void *arg, struct media_ref r);
	void (*digit)(void *arg, struct media_ref r, unsigned event, unsigned ms);
	void *arg;
	uint8_t body[FLUSH_BYTES + MEDIA_CMD_MAX];
};

static void cell_unlink(struct want_cell *c)
{
	list_del(&c->node);
	if (c->want.suite[0] | c->want.suite[1])
		keys_wipe(c->key, sizeof(c->key));
}

static void drop_applied(struct media_client *c)
{
	uint64_t applied = __atomic_load_n(&c->header->applied, __ATOMIC_ACQUIRE);

	while (!list_empty(&c->sent)) {
		struct want_cell *w = container_of(c->sent.next, struct want_cell, node);

		if (w->seq > applied)
			break;
		cell_unlink(w);
	}
}

static void remind_due(void *arg);

static void remind_in(struct media_client *c, int64_t ms)
{
	if (!loop_timer_active(&c->remind))
		loop_timer_start(c->loop, &c->remind, ms, remind_due, c);
}

/* As many unsent wishes as fit into one record; they move to `sent`. */
static int flush_one(struct media_client *c)
{
	struct writer w = writer_on(c->body, sizeof(c->body));
	struct list_node *n;
	unsigned secret = 0;
	int err;

	for (n = c->unsent.next; n != &c->unsent && wr_len(&w) < FLUSH_BYTES - MEDIA_CMD_MAX; n = n->next) {
		struct want_cell *cell = container_of(n, struct want_cell, node);
		struct media_cmd cmd = { ++c->seq, cell->close ? MEDIA_OP_CLOSE : MEDIA_OP_WANT,
			{ (uint32_t)(cell - c->cell), cell->any ? 0 : cell->gen }, cell->want, { cell->key[0], cell->key[1] } };

		cell->seq = c->seq;
		media_cmd_print(&w, &cmd);
		keys_wipe(cmd.key, sizeof(cmd.key));
		secret |= cell->want.suite[0] | cell->want.suite[1];
	}
	must(!w.bad);
	err = base_ring_put(c->ring, c->body, wr_len(&w));
	if (secret)
		keys_wipe(c->body, wr_len(&w));
	if (err)
		return err; /* sequences that were not written are simply not used */
	while (c->unsent.next != n) {
		struct list_node *first = c->unsent.next;

		list_del(first);
		list_add_tail(&c->sent, first);
	}
	return 0;
}

static void flush(struct media_client *c)
{
	drop_applied(c);
	c->hurry = false;
	while (!list_empty(&c->unsent))
		if (flush_one(c)) {
			c->hurry = true; /* the ring is full: media looks now, and we come again */
			loop_timer_stop(&c->remind);
			remind_due(c);
			remind_in(c, RETRY_MS);
			return;
		}
	if (!list_empty(&c->sent))
		remind_in(c, REMIND_MS);
}

static void remind_due(void *arg)
{
	struct media_client *c = arg;

	if (c->chan && loop_chan_send(c->chan, MEDIA_MSG_WISHES, 0, (struct slice){ "", 0 }, NULL, 0))
		remind_in(c, RETRY_MS);
}

void media_client_flush(struct media_client *c)
{
	if (c->hurry)
		flush(c);
}

static void turn_end(void *arg)
{
	struct media_client *c = arg;

	if (c->hurry)
		flush(c);
	else if (!list_empty(&c->sent))
		drop_applied(c);
}

static void cell_push(struct media_client *c, uint32_t slot)
{
	list_del(&c->cell[slot].node);
	c->cell[slot].seq = 0;
	list_add_tail(&c->unsent, &c->cell[slot].node);
}

/* A media process began anew: what it had not applied may have died with its predecessor. */
static void resend(struct media_client *c)
{
	struct list_node *n;
	uint64_t count = 0;

	drop_applied(c);
	for (n = c->sent.next; n != &c->sent; n = n->next)
		count++;
	while (!list_empty(&c->unsent)) { /* behind those that were sent, in order */
		n = c->unsent.next;
		list_del(n);
		list_add_tail(&c->sent, n);
	}
	while (!list_empty(&c->sent)) {
		n = c->sent.next;
		list_del(n);
		list_add_tail(&c->unsent, n);
	}
	base_count_n(COUNTER_MEDIA_RESENT, count);
	flush(c);
}

static bool ref_known(const struct media_client *c, struct media_ref ref)
{
	return ref.slot < c->nmap && c->cell[ref.slot].taken && c->cell[ref.slot].gen == ref.gen;
}

static void client_silent(struct media_client *c, struct slice body, void (*tell)(void *arg, struct media_ref r))
{
	struct reader r = reader_on(body.p, body.n);

	while (r.p != r.end) {
		struct media_ref ref = { .slot = rd_u32(&r) };

		ref.gen = rd_u32(&r);
		if (r.bad)
			break;
		if (tell && ref_known(c, ref))
			tell(c->arg, ref);
	}
}

static void client_digits(struct media_client *c, struct slice body)
{
	struct reader r = reader_on(body.p, body.n);

	while (r.p != r.end) {
		struct media_ref ref = { .slot = rd_u32(&r) };
		unsigned event, ms;

		ref.gen = rd_u32(&r);
		event = rd_u8(&r);
		ms = rd_u16(&r);
		if (r.bad)
			break;
		if (c->digit && ref_known(c, ref))
			c->digit(c->arg, ref, event, ms);
	}
}

/* Slots that the media process has: all where none has run yet. */
static uint32_t live_slots(const struct media_client *c, uint32_t nmap)
{
	uint32_t n = MEDIA_GET(c->header->nslots);

	return n ? n : nmap;
}

static int pool_renew(struct media_client *c)
{
	return live_slots(c, c->nmap) == c->live ? 0 : media_pool_remap(c->pool, c->map, c->nmap, c->live = live_slots(c, c->nmap));
}

static void client_message(void *arg, struct loop_msg *m)
{
	struct media_client *c = arg;

	if (!m) {
		base_log(BASE_ERROR, "media", "channel to media is gone");
		loop_chan_close(c->chan);
		c->chan = NULL;
		return;
	}
	switch (m->type) {
	case MEDIA_MSG_HELLO:
		if (pool_renew(c))
			base_log(BASE_ERROR, "media", "no memory for the new ports");
		resend(c);
		break;
	case MEDIA_MSG_INACTIVE:
		client_silent(c, m->body, c->inactive);
		break;
	case MEDIA_MSG_ONE_WAY:
		client_silent(c, m->body, c->one_way);
		break;
	case MEDIA_MSG_DIGITS:
		client_digits(c, m->body);
		break;
	default:
		base_count(COUNTER_IPC_BAD);
	}
}

/* Sequences of an engine are above those of all engines before, also of those whose last words were not read yet. */
static uint64_t first_sequence(const struct media_client *c)
{
	uint64_t epoch = (MEDIA_GET(c->header->applied) >> 32) + 1, wall_s = (uint64_t)(base_wall_ms() / 1000);

	return (epoch > wall_s ? epoch : wall_s) << 32;
}

/* What the memory and the map say: ports, and the generations that were used last. */
static int client_memory(struct media_client *c, const struct media_client_params *p)
{
	struct media_slot_want w;
	uint32_t n = 0;
	int err = media_slots_find(p->streams, &c->header, &c->slots, &n);

	if (err || n < p->nmap)
		return ERR_TORN;
	c->room = n;
	c->cell = calloc(n + 1, sizeof(*c->cell)); /* as the memory has room: cells never move */
	if (!c->cell)
		return -ENOMEM;
	for (uint32_t i = 0; i < p->nmap; i++) {
		media_slot_take(&c->slots[i], &w);
		c->cell[i].gen = w.gen;
	}
	err = media_pool_new(p->map, p->nmap, &c->pool);
	return err ? err : pool_renew(c);
}

int media_client_remap(struct media_client *c, const struct media_map_entry *map, uint32_t nmap)
{
	const struct media_map_entry *was = c->map;
	int err;

	if (nmap < c->nmap || nmap > c->room)
		return ERR_RANGE;
	c->map = map;
	err = media_pool_remap(c->pool, map, nmap, live_slots(c, nmap));
	if (err)
		c->map = was;
	else
		c->nmap = nmap;
	return err;
}

int media_client_new(const struct media_client_params *p, struct media_client **ret)
{
	struct media_client *c = base_alloc(sizeof(*c));
	int err = -ENOMEM;

	if (!c)
		goto out;
	c->loop = p->loop;
	c->map = p->map;
	c->nmap = p->nmap;
	c->inactive = p->inactive;
	c->one_way = p->one_way;
	c->digit = p->digit;
	c->arg = p->arg;
	list_init(&c->unsent);
	list_init(&c->sent);
	err = media_wishes_ring(p->wishes, &c->ring);
	if (!err)
		err = client_memory(c, p);
	if (!err)
		err = loop_at_turn_end(p->loop, turn_end, c);
	if (!err)
		err = loop_chan_open(p->loop, p->chan_fd, client_message, c, &c->chan);
	if (err)
		goto out;
	c->seq = first_sequence(c);
	if (loop_chan_send(c->chan, MEDIA_MSG_ATTACH, 0, (struct slice){ "", 0 }, NULL, 0))
		base_log(BASE_WARN, "media", "media does not read its channel");
	*ret = c;
	return 0;
out:
	if (!c || !c->chan)
		close(p->chan_fd);
	media_client_free(c);
	return err;
}

void media_client_free(struct media_client *c)
{
	if (!c)
		return;
	loop_at_turn_end_del(c->loop, turn_end, c);
	loop_timer_stop(&c->remind);
	loop_chan_close(c->chan);
	base_ring_close(c->ring);
	media_pool_free(c->pool);
	if (c->cell)
		keys_wipe(c->cell, c->nmap * sizeof(*c->cell));
	free(c->cell);
	free(c);
}

/* Steps of random size: what an engine before us wished for a slot, and media has not read yet, hardly has our number. */
static uint32_t gen_next(uint32_t gen)
{
	gen += 1 + base_random_below(GEN_STEP);
	return gen ? gen : 1;
}

static void client_lanes(struct media_client *c)
{
	unsigned workers = MEDIA_GET(c->header->workers);

	if (workers)
		media_pool_lanes(c->pool, workers);
}

int media_port_take(struct media_client *c, unsigned realm, int family, int lane, struct media_ref *ret, union base_addr *ret_addr)
{
	struct want_cell *cell;
	struct media_slot_want w;
	uint32_t slot;
	int err;

	client_lanes(c);
	err = media_pool_take(c->pool, realm, family, lane, base_mono_now(), &slot);
	if (err) {
		base_count(COUNTER_MEDIA_NOPORT);
		return err;
	}
	cell = &c->cell[slot];
	if (!cell->ours) {
		media_slot_take(&c->slots[slot], &w);
		if ((int32_t)(w.gen - cell->gen) > 0)
			cell->gen = w.gen; /* a wish of an engine before us came late */
	}
	cell->ours = true;
	cell->gen = gen_next(cell->gen);
	cell->taken = true;
	cell->close = cell->any = false;
	/* a close that waits (or was not applied) becomes a wish of the new call, which has none yet */
	memset(&cell->want, 0, sizeof(cell->want));
	keys_wipe(cell->key, sizeof(cell->key));
	*ret = (struct media_ref){ slot, cell->gen };
	*ret_addr = c->map[slot].addr;
	return 0;
}

int media_port_lane(const struct media_client *c, struct media_ref r)
{
	unsigned workers = MEDIA_GET(c->header->workers);

	return (int)(r.slot % (workers ? workers : 1));
}

int media_port_adopt(struct media_client *c, struct media_ref r, union base_addr *ret_addr)
{
	struct media_slot_want w;
	int err;

	if (!media_ref_ok(r) || r.slot >= c->nmap)
		return ERR_TORN;
	media_slot_take(&c->slots[r.slot], &w);
	if ((int32_t)(w.gen - r.gen) > 0 || (w.gen == r.gen && !w.open))
		return ERR_TORN; /* a later call has it, or it was closed; an older one: the wish is still on its way */
	client_lanes(c);
	err = media_pool_claim(c->pool, r.slot);
	if (err)
		return ERR_TORN;
	c->cell[r.slot].gen = r.gen;
	c->cell[r.slot].taken = true;
	*ret_addr = c->map[r.slot].addr;
	return 0;
}

unsigned media_client_sweep(struct media_client *c)
{
	struct media_slot_want w;
	unsigned n = 0;

	for (uint32_t i = 0; i < c->nmap; i++) {
		struct want_cell *cell = &c->cell[i];

		if (cell->taken || !c->map[i].ok)
			continue;
		media_slot_take(&c->slots[i], &w);
		n += w.open != 0;
		/* also those that look closed: wishes of the engine before us may still stand in the channel */
		cell->close = cell->any = true;
		cell_push(c, i);
	}
	flush(c);
	return n;
}

static struct want_cell *cell_of(struct media_client *c, struct media_ref r)
{
	if (!media_ref_ok(r) || r.slot >= c->nmap || !c->cell[r.slot].taken || c->cell[r.slot].gen != r.gen)
		return NULL;
	return &c->cell[r.slot];
}

int media_want(struct media_client *c, struct media_ref r, const struct media_want *w)
{
	static const struct media_key none[2];

	return media_want_srtp(c, r, w, none);
}

int media_want_srtp(struct media_client *c, struct media_ref r, const struct media_want *w, const struct media_key key[static 2])
{
	struct want_cell *cell = cell_of(c, r);

	if (!cell)
		return ERR_NOTFOUND;
	cell->want = *w;
	memcpy(cell->key, key, sizeof(cell->key));
	cell_push(c, r.slot);
	c->hurry = true;
	return 0;
}

void media_port_close(struct media_client *c, struct media_ref r)
{
	struct want_cell *cell = cell_of(c, r);

	if (!cell)
		return;
	cell->taken = false;
	cell->close = true;
	keys_wipe(cell->key, sizeof(cell->key));
	media_pool_give(c->pool, r.slot, base_mono_now());
	cell_push(c, r.slot);
	c->hurry = true;
}

unsigned media_ports_free(const struct media_client *c, unsigned realm, int family)
{
	return media_pool_count(c->pool, realm, family);
}
