/* SPDX-License-Identifier: Apache-2.0 */
/*
 * media/worker: a thread that relays the packets of its slots: wait, receive, decide, send. It shares nothing with other workers and
 * wakes for packets alone: what is wanted of a slot is found in memory by the next packet that concerns it, not told by a message.
 */
#include "media/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#define LISTEN_CHUNK 128       /* idle ports taken up between two batches after a start */
#define LOOK_US 1000000        /* how long a decision over gathering holds */
#define PROBE_US 100000        /* how long wake-ups are watched without gathering */
#define GATHER_MIN_PPS 20000
#define POKES 256
#define HEARD 512              /* digits that wait for the control thread */

struct media_worker {
	struct media_relay relay;
	struct media_io *io;
	struct media_wishes *wishes;
	struct media_gather gather;
	uint32_t next_listen;
	bool stop;
	pthread_t thread;
	pthread_mutex_t mail;          /* of what follows: hardly ever wanted */
	uint32_t poke[POKES];
	unsigned npoke;
	struct media_heard heard[HEARD];
	unsigned nheard;
	void (*on_heard)(void *arg);
	void *arg;
	struct media_io_counts told;   /* what was added to the counters of the process */
	struct media_in in[MEDIA_BATCH];
	struct media_out out[MEDIA_BATCH];
};

bool media_gather_next(struct media_gather *g, int64_t now_us, unsigned packets, bool full)
{
	int64_t look_us = now_us - g->since_us;

	if (!g->allowed)
		return false;
	g->packets += packets;
	g->wakeups++;
	if (look_us >= (g->on ? LOOK_US : PROBE_US)) {
		/* gathering hides how packets come by themselves: it ends with each look and has to win again */
		g->on = !g->on && look_us < 2 * PROBE_US && (int64_t)g->packets * 1000000 > GATHER_MIN_PPS * look_us && g->packets < 4 * g->wakeups;
		g->since_us = now_us;
		g->packets = g->wakeups = 0;
	}
	return g->on && !full; /* never sleep on a full batch: the queue behind it would grow */
}

static void expect(void *arg, uint32_t slot, const union base_addr from[static 2])
{
	struct media_worker *w = arg;

	media_io_expect(w->io, slot, from);
}

static void worker_count(struct media_worker *w)
{
	struct media_io_counts *c = media_io_counts(w->io);
	struct media_relay *r = &w->relay;

	base_count_n(COUNTER_MEDIA_RX, c->received - w->told.received);
	base_count_n(COUNTER_MEDIA_TX, c->sent - w->told.sent);
	if (c->send_failed != w->told.send_failed)
		base_count_n(COUNTER_MEDIA_SEND_FAILED, c->send_failed - w->told.send_failed);
	if (c->oversize != w->told.oversize)
		base_count_n(COUNTER_MEDIA_OVERSIZE, c->oversize - w->told.oversize);
	for (int k = 0; k < 2; k++)
		if (c->overflown[k] != w->told.overflown[k])
			base_count_n(k ? COUNTER_MEDIA_OVERFLOWN_GUARD : COUNTER_MEDIA_OVERFLOWN, c->overflown[k] - w->told.overflown[k]);
	r->idle += c->strayed - w->told.strayed;
	w->told = *c;
	if (r->idle)
		base_count_n(COUNTER_MEDIA_IDLE, r->idle);
	if (r->latched)
		base_count_n(COUNTER_MEDIA_LATCHED, r->latched);
	r->idle = r->latched = 0;
}

/* Open ports first: they are what a listener waits for after a restart. */
static void listen_open(struct media_worker *w)
{
	for (uint32_t i = w->relay.index; i < w->relay.nslots; i += w->relay.workers)
		if (media_relay_is_open(&w->relay.slots[i]) && media_io_listen(w->io, i))
			base_log(BASE_ERROR, "media", "port cannot be watched slot=%u", i);
	w->next_listen = w->relay.index;
}

static bool listen_some(struct media_worker *w)
{
	for (int k = 0; k < LISTEN_CHUNK && w->next_listen < w->relay.nslots; k++, w->next_listen += w->relay.workers)
		if (media_io_listen(w->io, w->next_listen))
			base_log_limited(BASE_ERROR, 1, "media", "port cannot be watched slot=%u", w->next_listen);
	return w->next_listen < w->relay.nslots;
}

static void gather_sleep(void)
{
	struct timespec t = { 0, MEDIA_GATHER_US * 1000 };

	nanosleep(&t, NULL);
}

/* ---- digits, told and wanted: rare ---- */

static void worker_poked(struct media_worker *w)
{
	uint32_t slot[POKES];
	unsigned n;

	pthread_mutex_lock(&w->mail);
	n = w->npoke;
	memcpy(slot, w->poke, n * sizeof(slot[0]));
	MEDIA_SET(w->npoke, 0);
	pthread_mutex_unlock(&w->mail);
	media_relay_batch(&w->relay, base_mono_now().us);
	for (unsigned i = 0; i < n; i++)
		media_relay_touch(&w->relay, slot[i]);
}

static void worker_heard(struct media_worker *w)
{
	struct media_relay *r = &w->relay;
	unsigned n;

	pthread_mutex_lock(&w->mail);
	n = r->nheard < HEARD - w->nheard ? r->nheard : HEARD - w->nheard;
	memcpy(w->heard + w->nheard, r->heard, n * sizeof(r->heard[0]));
	w->nheard += n;
	pthread_mutex_unlock(&w->mail);
	if (n < r->nheard)
		base_count_n(COUNTER_MEDIA_DIGITS_CUT, r->nheard - n);
	r->nheard = 0;
	w->on_heard(w->arg);
}

static void worker_digits(struct media_worker *w)
{
	int n;

	do {
		media_relay_batch(&w->relay, base_mono_now().us);
		n = media_digits_due(&w->relay, w->out, MEDIA_BATCH);
		media_io_send(w->io, w->out, n);
	} while (n == MEDIA_BATCH);
}

static inline bool digits_on(const struct media_relay *r)
{
	return r->digits.next && !list_empty(&r->digits);
}

void media_worker_poke(struct media_worker *w, uint32_t slot)
{
	pthread_mutex_lock(&w->mail);
	if (w->npoke < POKES) {
		w->poke[w->npoke] = slot;
		MEDIA_SET(w->npoke, w->npoke + 1);
	}
	pthread_mutex_unlock(&w->mail);
	media_io_wake(w->io);
}

unsigned media_worker_heard(struct media_worker *w, struct media_heard *ret, unsigned max)
{
	unsigned n;

	pthread_mutex_lock(&w->mail);
	n = w->nheard < max ? w->nheard : max;
	memcpy(ret, w->heard, n * sizeof(*ret));
	w->nheard -= n;
	memmove(w->heard, w->heard + n, w->nheard * sizeof(*ret));
	pthread_mutex_unlock(&w->mail);
	return n;
}

/* ---- packets ---- */

static void worker_batch(struct media_worker *w, int n)
{
	int out = 0;

	media_relay_batch(&w->relay, base_mono_now().us);
	if (media_wishes_waiting(w->wishes))
		media_wishes_apply(w->wishes, w->relay.now_us);
	for (int i = 0; i < n; i++)
		if (media_relay_packet(&w->relay, &w->in[i], &w->out[out]))
			out++;
	media_io_send(w->io, w->out, out);
	media_relay_sweep(&w->relay);
	worker_count(w);
}

/* Until when the worker may sleep where no packet comes [ms], -1: for good. */
static int worker_wait_ms(const struct media_worker *w, bool more)
{
	if (more)
		return 0;
	return __builtin_expect(digits_on(&w->relay), 0) ? media_digits_wait_ms(&w->relay, base_mono_now().us) : -1;
}

static void *worker_run(void *arg)
{
	struct media_worker *w = arg;
	bool more = true, gather = false;

	prctl(PR_SET_TIMERSLACK, 1);
	listen_open(w);
	while (!MEDIA_GET(w->stop)) {
		int ready, n;

		if (more)
			more = listen_some(w);
		if (gather)
			gather_sleep();
		n = media_io_recv(w->io, worker_wait_ms(w, more), w->in, &ready);
		if (__builtin_expect(MEDIA_GET(w->npoke) != 0, 0))
			worker_poked(w);
		if (__builtin_expect(digits_on(&w->relay), 0))
			worker_digits(w);
		if (ready)
			worker_batch(w, n);
		if (__builtin_expect(w->relay.nheard != 0, 0))
			worker_heard(w);
		if (!ready)
			continue;
		gather = media_gather_next(&w->gather, w->relay.now_us, (unsigned)n, ready == MEDIA_BATCH);
	}
	return NULL;
}

int media_worker_start(const struct media_worker_params *p, struct media_worker **ret)
{
	struct media_worker *w = base_alloc(sizeof(*w));
	sigset_t all, old;
	int err;

	if (!w)
		return -ENOMEM;
	memset(w, 0, sizeof(*w));
	w->relay = (struct media_relay){ .flows = p->flows, .slots = p->slots, .map = p->map, .nslots = p->nslots, .index = p->index,
		.workers = p->workers, .own = p->own, .keys = p->keys, .expect = expect, .expect_arg = w };
	w->gather.allowed = p->gather;
	w->on_heard = p->heard;
	w->arg = p->arg;
	pthread_mutex_init(&w->mail, NULL);
	w->wishes = p->wishes;
	media_relay_init(&w->relay);
	err = media_io_open(&(struct media_io_params){ .fds = p->fds, .map = p->map, .nslots = p->nslots, .shared_hosts = p->shared_hosts, .index = p->index,
		.workers = p->workers }, &w->io);
	if (err)
		goto out;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are the control thread's */
	err = -pthread_create(&w->thread, NULL, worker_run, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!err) {
		*ret = w;
		return 0;
	}
out:
	media_io_close(w->io);
	free(w);
	return err;
}

void media_worker_stop(struct media_worker *w)
{
	if (!w)
		return;
	MEDIA_SET(w->stop, true);
	media_io_wake(w->io);
	pthread_join(w->thread, NULL);
	media_io_close(w->io);
	media_relay_fini(&w->relay);
	free(w);
}
