/* SPDX-License-Identifier: Apache-2.0 */
/*
 * app/super: keeps three seats filled, each with a serving child and a spare. A child that dies is replaced by its spare at
 * once; between two starts of a role lie at least 0, 0.1, 0.2 ... 5 s when it dies again and again, 0 after 30 s of life.
 * Reads signals and messages of its children, never a byte from the network.
 */
#include "config.h"

#include "app/super.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/notify.h"

#define EXIT_INTERNAL 70
#define ADMIN_NICE 5                   /* a start of admin, or a client that asks all the time, takes no core from audio and calls */
#define LIFE_MS 30000
#define LATE_MS 30000                  /* for a start, on a machine that is busy */

static const int delay_ms[] = { 0, 100, 200, 400, 800, 1600, 3200, 5000 };

static void seat_fill(struct seat *seat);
static void seat_promote(void *arg);
static void child_lost(struct child *c);

/* ---- health ---- */

bool app_super_ready(const struct super *s)
{
	for (size_t i = 0; i < APP_ROLES; i++)
		if (!s->seat[i].serving || s->seat[i].serving->state != CHILD_SERVING)
			return false;
	return true;
}

static void health_rows(const struct super *s, struct app_health *h)
{
	h->row[h->n++] = (struct app_health_row){ SLICE("supervisor"), (uint32_t)getpid(), 0, (uint64_t)s->started_ms };
	for (size_t i = 0; i < APP_ROLES; i++) {
		const struct seat *seat = &s->seat[i];

		if (seat->serving)
			h->row[h->n++] = (struct app_health_row){ slice_str(app_role_name(seat->role)), (uint32_t)seat->serving->pid, seat->restarts,
				(uint64_t)seat->since_ms };
	}
}

void app_super_health(struct super *s)
{
	struct child *admin = s->seat[APP_ADMIN].serving;
	bool draining = s->engine_draining || s->phase >= SUPER_DRAINING;
	struct app_health h = { .status = draining ? SLICE("draining") : app_super_ready(s) ? SLICE("ok") :
		s->phase == SUPER_STARTING ? SLICE("starting") : SLICE("degraded") };
	uint8_t buf[1024];
	char status[64];
	int n;

	health_rows(s, &h);
	n = app_health_print(&h, buf, sizeof(buf));
	must(n > 0);
	if (admin && admin->state >= CHILD_STARTING)
		loop_chan_send(admin->chan, APP_BOOT_HEALTH, 0, (struct slice){ (char *)buf, (size_t)n }, NULL, 0);
	snprintf(status, sizeof(status), "STATUS=%.*s", (int)h.status.n, h.status.p);
	app_notify(status);
}

/* ---- children ---- */

void app_super_each(struct super *s, void (*cb)(struct child *c))
{
	for (size_t i = 0; i < APP_ROLES; i++) {
		if (s->seat[i].serving)
			cb(s->seat[i].serving);
		if (s->seat[i].spare)
			cb(s->seat[i].spare);
	}
}

void app_super_kill(struct child *c)
{
	kill(c->pid, SIGKILL);
}

void app_super_fail(struct super *s, int exit_code)
{
	if (!s->exit_code)
		s->exit_code = exit_code;
	loop_stop(s->loop);
}

static void on_taken(struct child *c, struct reader *r)
{
	struct super *s = c->seat->super;

	if (!c->growing && c->have == s->seq)
		return; /* of a change that was given up meanwhile */
	if (app_feed_sockets(c))
		app_super_kill(c);
}

static void on_prepared(struct child *c, struct reader *r)
{
	uint32_t transaction = rd_u32(r);
	int status = (int)rd_u32(r);
	struct slice reason = rd_slice(r);

	if (!r->bad)
		app_revise_prepared(c, transaction, status, reason);
}

static void on_serving(struct child *c, struct reader *r)
{
	struct super *s = c->seat->super;

	c->state = CHILD_SERVING;
	loop_timer_stop(&c->late);
	base_log(BASE_INFO, "super", "%s serves pid=%d", app_role_name(c->seat->role), c->pid);
	seat_fill(c->seat);
	if (c->seat->role == APP_ENGINE)
		app_ending_engine_serves(s);
	if (s->phase == SUPER_STARTING && app_super_ready(s)) {
		s->phase = SUPER_RUNNING;
		base_log(BASE_INFO, "super", "ready revision=%llu listeners=%zu port_pairs=%u max_calls=%u", (unsigned long long)s->bundle->revision,
			s->p->sockets.nlisteners, s->ports.nmap, s->p->limits.max_calls);
		app_notify("READY=1");
	}
	app_super_health(s);
}

static void on_draining(struct child *c, struct reader *r)
{
	c->seat->super->engine_draining = rd_u8(r) != 0;
	app_super_health(c->seat->super);
}

static void on_drained(struct child *c, struct reader *r)
{
	app_ending_drained(c->seat->super);
}

static void on_committed(struct child *c, struct reader *r)
{
	uint32_t transaction = rd_u32(r);

	if (!r->bad)
		app_revise_committed(c, transaction);
}

static void on_newest(struct child *c, struct reader *r)
{
	uint64_t number = rd_u64(r);

	if (!r->bad && c == c->seat->super->seat[APP_ADMIN].serving)
		app_revise_newest(c->seat->super, number);
}

static void on_stored(struct child *c, struct reader *r)
{
	uint32_t transaction = rd_u32(r);
	int status = (int)rd_u32(r);
	uint64_t number = rd_u64(r);

	if (!r->bad)
		app_revise_stored(c, transaction, status, number);
}

/* What a role may say. A child that says anything else is broken and goes. */
static void on_closed(struct child *c, struct reader *r)
{
	struct super *s = c->seat->super;

	app_numbers_closed(&s->numbers, rd_u8(r), &s->revise.layout);
}

static void on_freed(struct child *c, struct reader *r)
{
	while (r->p < r->end)
		app_numbers_free(&c->seat->super->numbers, rd_u8(r));
}

static void on_message(void *arg, struct loop_msg *m)
{
	static void (*const handler[])(struct child *, struct reader *) = {
		[APP_BOOT_TAKEN] = on_taken,       [APP_BOOT_PREPARED] = on_prepared, [APP_BOOT_SERVING] = on_serving,
		[APP_BOOT_DRAINING] = on_draining, [APP_BOOT_DRAINED] = on_drained,   [APP_BOOT_STORED] = on_stored,
		[APP_BOOT_COMMITTED] = on_committed, [APP_BOOT_NEWEST] = on_newest,     [APP_BOOT_CLOSED] = on_closed,
		[APP_BOOT_FREED] = on_freed,
	};
	struct child *c = arg;
	struct reader r;

	if (!m) {
		child_lost(c);
		return;
	}
	if (m->type == APP_BOOT_APPLY) {
		app_apply_message(c, m);
		return;
	}
	r = reader_on(m->body.p, m->body.n);
	if (m->type < ARRAY_LEN(handler) && handler[m->type])
		handler[m->type](c, &r);
	else
		r.bad = true;
	if (r.bad) {
		base_log(BASE_ERROR, "super", "%s sent an odd message type=%u pid=%d", app_role_name(c->seat->role), m->type, c->pid);
		app_super_kill(c);
	}
}

static void too_late(void *arg)
{
	struct child *c = arg;

	base_log(BASE_ERROR, "super", "%s does not start in time pid=%d", app_role_name(c->seat->role), c->pid);
	app_super_kill(c);
}

static int child_start(struct seat *seat, struct child *c)
{
	struct super *s = seat->super;
	char name[32], spare[] = "spare", *argv[] = { name, spare, NULL };
	int pair[2], err = loop_chan_pair(pair);

	if (err)
		return err;
	snprintf(name, sizeof(name), "postern-%s", app_role_name(seat->role));
	err = app_spawn(&(struct app_spawn){ .exe = s->p->exe[seat->role], .argv = argv, .fd = &pair[1], .nfds = 1, .user = &s->p->user,
		.nice = seat->role == APP_ADMIN ? ADMIN_NICE : 0, .folder = seat->role == APP_ADMIN ? &s->p->state_fd : NULL }, &c->pid);
	close(pair[1]);
	if (!err)
		err = loop_chan_open(s->loop, pair[0], on_message, c, &c->chan);
	if (err)
		close(pair[0]);
	return err;
}

static struct child *child_new(struct seat *seat)
{
	struct child *c = calloc(1, sizeof(*c));
	int err = c ? 0 : -ENOMEM;

	if (!err) {
		c->seat = seat;
		c->born = base_mono_now();
		err = child_start(seat, c);
	}
	if (!err) {
		base_log(BASE_DEBUG, "super", "%s started pid=%d", app_role_name(seat->role), c->pid);
		loop_timer_start(seat->super->loop, &c->late, LATE_MS, too_late, c);
		err = app_feed_setup(c);
		if (err) /* it will be reaped like any that died */
			app_super_kill(c);
		return c;
	}
	base_log(BASE_ERROR, "super", "%s cannot be started error=\"%s\"", app_role_name(seat->role), base_strerror(err));
	if (c && c->pid > 0)
		app_super_kill(c);
	free(c);
	return NULL;
}

static void child_free(struct child *c)
{
	loop_timer_stop(&c->late);
	loop_chan_close(c->chan);
	free(c);
}

/* ---- seats ---- */

static bool may_start(const struct super *s)
{
	return s->phase < SUPER_STOP_ENGINE;
}

static int64_t wait_ms(unsigned step, struct mono last)
{
	int64_t lived = mono_ms_since(base_mono_now(), last), delay = delay_ms[step < ARRAY_LEN(delay_ms) ? step : ARRAY_LEN(delay_ms) - 1];

	return lived >= delay ? 0 : delay - lived;
}

static void respawn(void *arg)
{
	seat_fill(arg);
}

static void seat_fill(struct seat *seat)
{
	if (seat->spare || !may_start(seat->super) || loop_timer_active(&seat->respawn))
		return;
	seat->spare = child_new(seat);
	if (!seat->spare) {
		seat->spare_step++;
		loop_timer_start(seat->super->loop, &seat->respawn, 1000, respawn, seat);
		if (seat->super->phase == SUPER_STARTING)
			app_super_fail(seat->super, EXIT_INTERNAL);
	}
}

/* Let the spare serve, if there is one that is ready and nobody serves. */
static void seat_promote(void *arg)
{
	struct seat *seat = arg;
	struct child *c = seat->spare;

	if (seat->serving || !c || c->state != CHILD_SPARE || !may_start(seat->super) || loop_timer_active(&seat->promote))
		return;
	seat->serving = c;
	seat->spare = NULL;
	seat->promoted = base_mono_now();
	seat->since_ms = base_wall_ms();
	c->state = CHILD_STARTING;
	loop_timer_start(seat->super->loop, &c->late, LATE_MS, too_late, c);
	if (app_feed_go(c))
		app_super_kill(c);
	app_super_health(seat->super);
}

void app_super_child_ready(struct child *c)
{
	if (c->state != CHILD_FED)
		return;
	c->state = CHILD_SPARE;
	loop_timer_stop(&c->late);
	c->seat->spare_step = 0;
	seat_promote(c->seat);
}

/* ---- deaths ---- */

static void tell_death(const struct child *c, int status)
{
	const char *what = c->state >= CHILD_STARTING ? "died" : "spare died";
	enum base_level level = c->seat->super->phase >= SUPER_STOP_ENGINE ? BASE_DEBUG : BASE_WARN;

	if (WIFSIGNALED(status))
		base_log(level, "super", "%s %s pid=%d signal=%d", app_role_name(c->seat->role), what, c->pid, WTERMSIG(status));
	else
		base_log(level, "super", "%s %s pid=%d exit=%d", app_role_name(c->seat->role), what, c->pid, WEXITSTATUS(status));
}

static void serving_died(struct seat *seat)
{
	struct super *s = seat->super;
	int64_t delay;

	seat->serving = NULL;
	if (!may_start(s))
		return;
	seat->restarts++;
	if (mono_ms_since(base_mono_now(), seat->promoted) >= LIFE_MS)
		seat->step = 0;
	delay = wait_ms(seat->step++, seat->promoted);
	if (delay > 0)
		loop_timer_start(s->loop, &seat->promote, delay, seat_promote, seat);
	else
		seat_promote(seat);
	app_super_health(s);
	seat_fill(seat);
}

static void spare_died(struct seat *seat, struct mono born)
{
	int64_t delay = wait_ms(++seat->spare_step, born);

	seat->spare = NULL;
	if (!may_start(seat->super))
		return;
	if (delay > 0)
		loop_timer_start(seat->super->loop, &seat->respawn, delay, respawn, seat);
	else
		seat_fill(seat);
}

/* The seat is free: by the end of the channel, or told by the kernel, whichever comes first. */
static void vacate(struct child *c)
{
	struct seat *seat = c->seat;

	app_revise_child_gone(c);
	if (seat->serving == c && seat->role == APP_ENGINE)
		app_numbers_drop(&seat->super->numbers, &seat->super->revise.layout);
	if (seat->serving == c)
		serving_died(seat);
	else if (seat->spare == c)
		spare_died(seat, c->born);
}

/*
 * The kernel closes a dying process's channel long before it tells its end, when the process holds thousands of sockets in an
 * epoll set (12,000: 60 ms). None of its threads runs code of ours any more, so its successor need not wait.
 */
static void child_lost(struct child *c)
{
	struct super *s = c->seat->super;

	app_super_kill(c);
	if (s->phase == SUPER_STARTING || s->phase >= SUPER_STOP_ENGINE)
		return; /* its exit status matters, or nothing hurries */
	c->next_lost = s->lost;
	s->lost = c;
	vacate(c);
}

static void forget_lost(struct super *s, const struct child *c)
{
	for (struct child **p = &s->lost; *p; p = &(*p)->next_lost)
		if (*p == c) {
			*p = c->next_lost;
			return;
		}
}

static void child_died(struct child *c, int status)
{
	struct seat *seat = c->seat;
	struct super *s = seat->super;

	tell_death(c, status);
	if (s->phase == SUPER_STARTING && c->state != CHILD_SERVING) {
		base_log(BASE_ERROR, "super", "%s cannot start", app_role_name(seat->role));
		app_super_fail(s, WIFEXITED(status) && WEXITSTATUS(status) <= 2 && WEXITSTATUS(status) > 0 ? WEXITSTATUS(status) : EXIT_INTERNAL);
	}
	forget_lost(s, c);
	vacate(c);
	child_free(c);
	app_ending_child_gone(s, seat->role);
}

static void reap(struct child *c)
{
	int status;

	if (waitpid(c->pid, &status, WNOHANG) == c->pid)
		child_died(c, status);
}

static void reap_lost(struct super *s)
{
	struct child *next;

	for (struct child *c = s->lost; c; c = next) {
		next = c->next_lost;
		reap(c);
	}
}

/* ---- signals ---- */

static void on_signal(void *arg)
{
	struct super *s = arg;
	struct signalfd_siginfo si;

	while (read(s->signal_fd, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		switch (si.ssi_signo) {
		case SIGCHLD:
			app_super_each(s, reap);
			reap_lost(s);
			break;
		case SIGHUP:
			app_revise_hup(s);
			break;
		default:
			app_ending_signal(s);
		}
	}
}

static int watch_signals(struct super *s)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signal_fd < 0)
		return -errno;
	return loop_fd_add(s->loop, s->signal_fd, on_signal, s, &s->signals);
}

/* ---- life ---- */

static void big_buffers(const int fd[2])
{
	int bytes = 1 << 20; /* what is sent to a dead role waits here for its successor */

	for (int i = 0; i < 2; i++)
		if (setsockopt(fd[i], SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) < 0)
			setsockopt(fd[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

static int super_init(struct super *s)
{
	int err = loop_new(&s->loop);

	if (!err)
		err = watch_signals(s);
	if (!err)
		err = loop_chan_pair(s->em);
	if (!err)
		err = loop_chan_pair(s->ea);
	if (!err)
		err = app_feed_snapshots(s->p->doc, s->p->bundle, &s->full, &s->bare);
	if (err)
		return err;
	big_buffers(s->em);
	big_buffers(s->ea);
	s->seq = s->revise.last = 1;
	s->started_ms = base_wall_ms();
	s->bundle = base_ref(s->p->bundle);
	s->doc = base_ref(s->p->doc);
	err = app_numbers_init(&s->numbers, s->doc, s->p->sockets.listener);
	if (!err)
		err = app_ports_init(&s->ports, &s->p->sockets, s->p->memory.map);
	if (err)
		return err;
	/* before the first child: they inherit it, and ports may be added while they run */
	s->ports.most = app_limits_pairs(app_limits_raise(s->p->limits.wanted + (s->ports.shared ? 0 : 2 * (uint64_t)(s->ports.room - s->ports.nmap))),
		s->p->sockets.nlisteners);
	for (size_t i = 0; i < APP_ROLES; i++) {
		s->seat[i].super = s;
		s->seat[i].role = (enum app_role)i;
		s->seat[i].promoted = base_mono_now();
	}
	return 0;
}

/* The rest dies with us, but a start that fails must leave nothing behind when it returns. */
static void bury(struct child *c)
{
	app_super_kill(c);
	waitpid(c->pid, NULL, 0);
	child_free(c);
}

static void super_fini(struct super *s)
{
	app_super_each(s, bury);
	while (s->lost) {
		struct child *c = s->lost;

		s->lost = c->next_lost;
		bury(c);
	}
	app_apply_fini(s);
	app_revise_fini(s);
	app_ports_fini(&s->ports, s->p->sockets.nmap);
	if (s->door.fd >= 0)
		close(s->door.fd);
	base_unref(s->bundle);
	base_unref(s->doc);
	app_layout_fini(&s->numbers.now);
	free(s->numbers.realm);
	if (s->signals)
		loop_fd_del(s->signals);
	if (s->loop)
		loop_free(s->loop);
}

int app_super_run(const struct app_super_params *p)
{
	struct super *s = calloc(1, sizeof(*s));
	int code = EXIT_INTERNAL, err;

	if (!s)
		return EXIT_INTERNAL;
	s->p = p;
	s->signal_fd = s->full = s->bare = s->em[0] = s->em[1] = s->ea[0] = s->ea[1] = -1;
	s->revise.full = s->revise.bare = s->revise.ports.blob = s->ports.blob = s->revise.door.fd = -1;
	s->door = (struct app_door){ p->api, p->api_fd };
	err = super_init(s);
	if (err) {
		base_log(BASE_ERROR, "super", "cannot start error=\"%s\"", base_strerror(err));
		goto out;
	}
	for (size_t i = 0; i < APP_ROLES && !s->exit_code; i++)
		seat_fill(&s->seat[i]);
	if (!s->exit_code)
		loop_run(s->loop);
	code = s->exit_code;
out:
	super_fini(s);
	free(s);
	return code;
}
