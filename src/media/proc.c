/* SPDX-License-Identifier: Apache-2.0 */
/*
 * media/proc: the media process: workers, and the control thread's end of the channel to the engine. The memory is the state: a process
 * that starts finds every open slot there and relays at once; what the dead one had not applied is asked for by HELLO.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "media/table.h"
#include "media/wishes.h"
#include "media/worker.h"
#include "postern/loop.h"

#define SCAN_MS 250            /* silences */
#define TELL_MAX 512           /* silences in one message */
#define WORKERS_MAX 64

struct media_proc {
	struct loop *loop;
	struct loop_chan *chan;
	struct loop_timer scan;
	int heard_fd;                  /* a worker has digits */
	struct loop_fd *heard;
	struct media_table *table;
	struct media_wishes *wishes;
	struct media_header *header;
	struct media_flow *flows;
	struct media_slot_keys *keys;
	struct media_own *own;
	unsigned nworkers;
	struct media_worker *worker[WORKERS_MAX];
};

static void proc_scan(void *arg);

/* Idle means idle: no timer where nothing is watched. */
static void proc_scan_arm(struct media_proc *m)
{
	uint32_t watched;

	media_wishes_lock(m->wishes);
	watched = media_table_watched(m->table);
	media_wishes_unlock(m->wishes);
	if (!watched)
		loop_timer_stop(&m->scan);
	else if (!loop_timer_active(&m->scan))
		loop_timer_start(m->loop, &m->scan, SCAN_MS, proc_scan, m);
}

/* True: the engine has it, or will. */
static bool proc_tell(struct media_proc *m, enum media_msg_type type, const struct media_ref *ref, uint32_t n)
{
	uint8_t body[TELL_MAX * 8];
	struct writer w = writer_on(body, sizeof(body));

	for (uint32_t i = 0; i < n; i++) {
		wr_u32(&w, ref[i].slot);
		wr_u32(&w, ref[i].gen);
	}
	return n && m->chan && !loop_chan_send(m->chan, type, 0, (struct slice){ (char *)body, wr_len(&w) }, NULL, 0);
}

static void proc_scan(void *arg)
{
	struct media_proc *m = arg;
	struct media_ref silent[TELL_MAX];
	int64_t now_us = base_mono_now().us;
	uint32_t n;

	media_wishes_apply(m->wishes, now_us);
	media_wishes_lock(m->wishes);
	n = media_table_one_way(m->table, now_us, silent, TELL_MAX);
	base_count_n(COUNTER_MEDIA_ONE_WAY, n);
	proc_tell(m, MEDIA_MSG_ONE_WAY, silent, n);
	n = media_table_silent(m->table, now_us, silent, TELL_MAX);
	if (proc_tell(m, MEDIA_MSG_INACTIVE, silent, n)) {
		for (uint32_t i = 0; i < n; i++)
			media_table_told(m->table, silent[i]);
		base_count_n(COUNTER_MEDIA_INACTIVE, n);
	}
	media_wishes_unlock(m->wishes);
	proc_scan_arm(m);
}

/* ---- digits ---- */

/* Thread: a worker. */
static void proc_heard(void *arg)
{
	struct media_proc *m = arg;
	uint64_t one = 1;

	if (write(m->heard_fd, &one, sizeof(one)) < 0)
		return; /* full: it is awake */
}

static void proc_digits(void *arg)
{
	struct media_proc *m = arg;
	struct media_heard heard[TELL_MAX];
	uint8_t body[TELL_MAX * 11];
	uint64_t told;

	if (read(m->heard_fd, &told, sizeof(told)) < 0)
		return;
	for (unsigned k = 0; k < m->nworkers; k++) {
		struct writer w = writer_on(body, sizeof(body));
		unsigned n = media_worker_heard(m->worker[k], heard, TELL_MAX);

		for (unsigned i = 0; i < n; i++) {
			wr_u32(&w, heard[i].ref.slot);
			wr_u32(&w, heard[i].ref.gen);
			wr_u8(&w, heard[i].event);
			wr_u16(&w, heard[i].ms);
		}
		base_count_n(COUNTER_MEDIA_DIGITS, n);
		if (n && (!m->chan || loop_chan_send(m->chan, MEDIA_MSG_DIGITS, 0, (struct slice){ (char *)body, wr_len(&w) }, NULL, 0)))
			base_count_n(COUNTER_MEDIA_DIGITS_CUT, n);
	}
}

static void proc_digit_wanted(void *arg, uint32_t slot)
{
	struct media_proc *m = arg;

	media_worker_poke(m->worker[slot % m->nworkers], slot);
}

static void proc_message(void *arg, struct loop_msg *msg)
{
	struct media_proc *m = arg;

	if (!msg) {
		base_log(BASE_ERROR, "media", "channel to the engine is gone");
		loop_chan_close(m->chan);
		m->chan = NULL;
		return;
	}
	switch (msg->type) {
	case MEDIA_MSG_WISHES:
		media_wishes_apply(m->wishes, base_mono_now().us);
		break;
	case MEDIA_MSG_ATTACH:
		media_wishes_lock(m->wishes);
		media_table_forget_told(m->table);
		media_wishes_unlock(m->wishes);
		break;
	default:
		base_count(COUNTER_MEDIA_CMD_BAD);
	}
	proc_scan_arm(m);
}

static int proc_memory(struct media_proc *m, const struct media_proc_params *p)
{
	struct media_slot *slots;
	size_t nkeys = 0;
	uint32_t n;
	int err = media_slots_find(p->streams, &m->header, &slots, &n);

	if (err || n < p->nmap)
		return ERR_TORN;
	err = media_table_new(m->header, slots, p->nmap, &m->table);
	if (err)
		return err;
	media_table_on_digit(m->table, proc_digit_wanted, m);
	MEDIA_SET(m->header->workers, m->nworkers);
	MEDIA_SET(m->header->shared, p->shared_hosts != 0);
	MEDIA_ADD(m->header->starts, 1);
	if (p->keys) {
		m->keys = loop_shm_region(p->keys, REGION_KEYS, &nkeys);
		if (!m->keys || nkeys < media_keys_bytes(p->nmap))
			return ERR_TORN;
		media_table_keys(m->table, m->keys);
	}
	m->flows = aligned_alloc(64, (p->nmap + 1) * sizeof(*m->flows));
	if (!m->flows)
		return -ENOMEM;
	memset(m->flows, 0, p->nmap * sizeof(*m->flows));
	return media_own_new(p->map, p->nmap, &m->own);
}

static int proc_workers(struct media_proc *m, const struct media_proc_params *p)
{
	struct media_worker_params wp = { .workers = m->nworkers, .flows = m->flows, .map = p->map, .nslots = p->nmap, .fds = p->fds, .shared_hosts = p->shared_hosts,
		.own = m->own, .keys = m->keys, .wishes = m->wishes, .gather = p->gather, .heard = proc_heard, .arg = m };
	struct media_header *h;
	uint32_t n;
	int err = media_slots_find(p->streams, &h, &wp.slots, &n);

	for (wp.index = 0; !err && wp.index < m->nworkers; wp.index++)
		err = media_worker_start(&wp, &m->worker[wp.index]);
	return err;
}

int media_proc_start(const struct media_proc_params *p, struct media_proc **ret)
{
	struct media_proc *m = base_alloc(sizeof(*m));
	uint8_t body[8];
	struct writer w = writer_on(body, sizeof(body));
	int err = -ENOMEM;

	if (!m)
		goto out;
	m->loop = p->loop;
	m->nworkers = p->workers < 1 ? 1 : p->workers > WORKERS_MAX ? WORKERS_MAX : p->workers;
	m->heard_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	err = m->heard_fd < 0 ? -errno : proc_memory(m, p);
	if (!err)
		err = loop_fd_add(p->loop, m->heard_fd, proc_digits, m, &m->heard);
	if (!err)
		err = media_wishes_new(p->wishes, m->table, &m->wishes);
	if (!err) {
		media_wishes_lock(m->wishes); /* who applies one may poke any worker */
		err = proc_workers(m, p);
		if (err)
			media_table_on_digit(m->table, NULL, NULL);
		media_wishes_unlock(m->wishes);
	}
	if (!err)
		err = loop_chan_open(p->loop, p->chan_fd, proc_message, m, &m->chan);
	if (err)
		goto out;
	media_wishes_apply(m->wishes, base_mono_now().us); /* what a dead one left */
	wr_u64(&w, m->header->applied);
	err = loop_chan_send(m->chan, MEDIA_MSG_HELLO, 0, (struct slice){ (char *)body, sizeof(body) }, NULL, 0);
	if (err) /* the engine does not read: it will attach anew */
		base_log(BASE_WARN, "media", "engine was not greeted error=\"%s\"", base_strerror(err));
	proc_scan_arm(m);
	*ret = m;
	return 0;
out:
	if (!m || !m->chan)
		close(p->chan_fd);
	media_proc_stop(m);
	return err;
}

void media_proc_stop(struct media_proc *m)
{
	if (!m)
		return;
	loop_timer_stop(&m->scan);
	if (m->wishes) { /* pokes happen under this lock: from here on none is under way */
		media_wishes_lock(m->wishes);
		media_table_on_digit(m->table, NULL, NULL);
		media_wishes_unlock(m->wishes);
	}
	for (unsigned i = 0; i < m->nworkers; i++)
		media_worker_stop(m->worker[i]);
	loop_fd_del(m->heard);
	if (m->heard_fd >= 0)
		close(m->heard_fd);
	loop_chan_close(m->chan);
	media_wishes_free(m->wishes);
	media_table_free(m->table);
	media_own_free(m->own);
	free(m->flows);
	free(m);
}
