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

struct media_worker {
	struct media_relay relay;
	struct media_io *io;
	struct media_gather gather;
	uint32_t next_listen;
	bool stop;
	pthread_t thread;
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

static void *worker_run(void *arg)
{
	struct media_worker *w = arg;
	bool more = true, gather = false;

	prctl(PR_SET_TIMERSLACK, 1);
	listen_open(w);
	while (!MEDIA_GET(w->stop)) {
		int ready, n, out = 0;

		if (more)
			more = listen_some(w);
		if (gather)
			gather_sleep();
		n = media_io_recv(w->io, more ? 0 : -1, w->in, &ready);
		if (!ready)
			continue;
		media_relay_batch(&w->relay, base_mono_now().us);
		for (int i = 0; i < n; i++)
			if (media_relay_packet(&w->relay, &w->in[i], &w->out[out]))
				out++;
		media_io_send(w->io, w->out, out);
		media_relay_sweep(&w->relay);
		worker_count(w);
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
		.workers = p->workers, .own = p->own, .keys = p->keys };
	w->gather.allowed = p->gather;
	media_relay_init(&w->relay);
	err = media_io_open(p->fds, p->nslots, &w->io);
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
