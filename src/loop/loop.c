/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop: an outer loop around Sofia's su_root.
 *
 * One turn: our timers that are due, the hooks, one su_root_step that waits, and steps that do not
 * wait until nothing is ready any more. The library gives at most 4 descriptors per step (su_epoll_port.c),
 * so without the latter a busy turn would be cut into slivers and the hooks would flush slivers.
 *
 * Sofia's timers fire inside a step, before and after its wait. What they do before the wait would be flushed by
 * the hooks only after it. So the waiting step is shown, as its first look at the clock, the time
 * at which the step before it began: whatever was due by then has fired, what came due since ends the wait at once.
 */
#include <errno.h>
#include <signal.h>
#include <sofia-sip/su.h>
#include <sofia-sip/su_wait.h>

#include "loop/private.h"

#define STEPS_MAX   16          /* of one turn: timers must not starve */
#define MARK_OLD_US 1000
#define WAIT_MAX_MS (600 * 1000)

struct loop_fd {
	struct list_node node;
	struct loop *loop;
	int fd, index; /* of the registration with Sofia */
	void (*cb)(void *arg);
	void *arg;
};

static void loop_destroy(void *obj)
{
	struct loop *l = obj;

	while (!list_empty(&l->fds))
		loop_fd_del(container_of(l->fds.next, struct loop_fd, node));
	loop_timers_fini(l);
	if (l->root) {
		su_root_destroy(l->root);
		su_deinit();
	}
}

int loop_new(struct loop **ret)
{
	struct loop *l = base_new(sizeof(*l), loop_destroy);

	if (!l)
		return -ENOMEM;
	list_init(&l->fds);
	signal(SIGPIPE, SIG_IGN);
	loop_sofia_time_init();
	if (su_init() < 0) {
		base_unref(l);
		return -ENOMEM;
	}
	l->root = su_root_create(NULL);
	if (!l->root) {
		int err = errno ? -errno : -ENOMEM;

		su_deinit();
		base_unref(l);
		return err;
	}
	l->mark = base_mono_now();
	*ret = l;
	return 0;
}

void loop_free(struct loop *l)
{
	base_unref(l);
}

struct su_root_s *loop_su_root(struct loop *l)
{
	return l->root;
}

static void run_hooks(struct loop *l)
{
	for (unsigned i = 0; i < l->hooks; i++)
		l->hook[i].cb(l->hook[i].arg);
}

/* take what is ready, without waiting */
static void drain(struct loop *l)
{
	int steps = 0;

	do {
		l->mark = base_mono_now();
	} while (su_root_step(l->root, 0) == 0 && ++steps < STEPS_MAX);
}

/* fire, flush, wait, take what is ready; max_ms < 0: no limit */
static void turn(struct loop *l, int64_t max_ms)
{
	int64_t wait_ms;

	loop_timers_fire(l);
	/* Sofia's wait is reckoned from the mark: an old one would make it too long */
	if (base_mono_now().us - l->mark.us > MARK_OLD_US)
		drain(l);
	run_hooks(l);
	wait_ms = loop_timers_wait_ms(l);
	if (wait_ms < 0 || (max_ms >= 0 && max_ms < wait_ms))
		wait_ms = max_ms;
	if (wait_ms < 0 || wait_ms > WAIT_MAX_MS)
		wait_ms = WAIT_MAX_MS;
	if (l->stop)
		wait_ms = 0;
	loop_sofia_time_once(l->mark);
	su_root_step(l->root, wait_ms);
	drain(l);
}

int loop_run(struct loop *l)
{
	while (!l->stop)
		turn(l, -1);
	run_hooks(l);
	l->stop = false;
	return 0;
}

void loop_stop(struct loop *l)
{
	l->stop = true;
}

void loop_turn(struct loop *l, int max_ms)
{
	turn(l, max_ms > 0 ? max_ms : 0);
	loop_timers_fire(l);
	run_hooks(l);
}

int loop_at_turn_end(struct loop *l, void (*cb)(void *arg), void *arg)
{
	if (l->hooks == LOOP_HOOKS)
		return ERR_FULL;
	l->hook[l->hooks].cb = cb;
	l->hook[l->hooks].arg = arg;
	l->hooks++;
	return 0;
}

void loop_at_turn_end_del(struct loop *l, void (*cb)(void *arg), void *arg)
{
	for (unsigned i = 0; i < l->hooks; i++)
		if (l->hook[i].cb == cb && l->hook[i].arg == arg) {
			l->hooks--;
			memmove(&l->hook[i], &l->hook[i + 1], (l->hooks - i) * sizeof(l->hook[0]));
			return;
		}
}

/* nothing of f is touched after the callback: it may have deleted it */
static int ready(su_root_magic_t *magic, su_wait_t *wait, su_wakeup_arg_t *arg)
{
	struct loop_fd *f = (struct loop_fd *)(void *)arg;

	f->cb(f->arg);
	return 0;
}

static void fd_destroy(void *obj)
{
	struct loop_fd *f = obj;

	if (f->index > 0)
		su_root_deregister(f->loop->root, f->index);
	list_del(&f->node);
}

int loop_fd_add(struct loop *l, int fd, void (*cb)(void *arg), void *arg, struct loop_fd **ret)
{
	struct loop_fd *f;
	su_wait_t wait[1] = { SU_WAIT_INIT };

	if (fd < 0)
		return -EBADF;
	f = base_new(sizeof(*f), fd_destroy);
	if (!f)
		return -ENOMEM;
	f->loop = l;
	f->fd = fd;
	f->cb = cb;
	f->arg = arg;
	errno = 0;
	if (su_wait_create(wait, fd, SU_WAIT_IN) == 0)
		f->index = su_root_register(l->root, wait, ready, (su_wakeup_arg_t *)(void *)f, 0);
	if (f->index <= 0) {
		int err = errno ? -errno : -ENOMEM;

		base_unref(f);
		return err;
	}
	list_add_tail(&l->fds, &f->node);
	*ret = f;
	return 0;
}

void loop_fd_want_write(struct loop_fd *f, bool on)
{
	su_root_eventmask(f->loop->root, f->index, f->fd, on ? SU_WAIT_IN | SU_WAIT_OUT : SU_WAIT_IN);
}

void loop_fd_del(struct loop_fd *f)
{
	base_unref(f);
}
