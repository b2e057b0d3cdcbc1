/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop: descriptors that delete each other, hooks, timers on the fake clock, Sofia's timers on it too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <sofia-sip/su_wait.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "postern/loop.h"

static struct loop *l;
static unsigned fired[16], nfired;

static int setup(void **state)
{
	base_clock_fake(1000000000, 1700000000000);
	nfired = 0;
	return loop_new(&l);
}

static int teardown(void **state)
{
	loop_free(l);
	return base_live() == 0 ? 0 : -1;
}

static void note(void *arg)
{
	fired[nfired++ % ARRAY_LEN(fired)] = *(unsigned *)arg;
}

static void timers_fire_in_order(void **state)
{
	static unsigned id[5] = { 0, 1, 2, 3, 4 };
	struct loop_timer t[5] = { 0 };

	loop_timer_start(l, &t[0], 30, note, &id[0]);
	loop_timer_start(l, &t[1], 10, note, &id[1]);
	loop_timer_start(l, &t[2], 20, note, &id[2]);
	loop_timer_start(l, &t[3], 10, note, &id[3]);
	loop_timer_start(l, &t[4], 5, note, &id[4]);
	loop_timer_stop(&t[4]);
	loop_timer_stop(&t[4]);
	assert_false(loop_timer_active(&t[4]));
	base_clock_advance_ms(9);
	loop_turn(l, 0);
	assert_int_equal(nfired, 0);
	base_clock_advance_ms(1);
	loop_turn(l, 0);
	assert_int_equal(nfired, 2);
	assert_int_equal(fired[0], 1);
	assert_int_equal(fired[1], 3);
	/* armed anew: once only, at the new time */
	loop_timer_start(l, &t[2], 50, note, &id[2]);
	base_clock_advance_ms(20);
	loop_turn(l, 0);
	assert_int_equal(nfired, 3);
	assert_int_equal(fired[2], 0);
	base_clock_advance_ms(30);
	loop_turn(l, 0);
	assert_int_equal(nfired, 4);
	assert_int_equal(fired[3], 2);
	loop_turn(l, 0);
	assert_int_equal(nfired, 4);
}

static struct loop_timer again, victim;
static unsigned laps;

static void rearm(void *arg)
{
	laps++;
	loop_timer_stop(&victim);
	loop_timer_start(l, &again, 0, rearm, NULL);
}

static void timer_of_zero_does_not_hold_the_turn(void **state)
{
	static unsigned id = 1;

	loop_timer_start(l, &again, 0, rearm, NULL);
	loop_timer_start(l, &victim, 0, note, &id);
	loop_turn(l, 0);
	assert_true(laps >= 1 && laps <= 2);
	assert_int_equal(nfired, 0);
	loop_timer_stop(&again);
}

static void heap_against_a_model(void **state)
{
	static struct loop_timer t[500];
	static int64_t due[500];
	static unsigned id;
	unsigned left = 0;

	for (unsigned i = 0; i < 3000; i++) {
		unsigned k = base_random_below(500), ms = 1 + base_random_below(1000);

		if (base_random_below(4) == 0) {
			loop_timer_stop(&t[k]);
			due[k] = 0;
		} else {
			loop_timer_start(l, &t[k], ms, note, &id);
			due[k] = ms;
		}
	}
	for (int64_t now = 0; now <= 1000; now += 50) {
		left = 0;
		for (unsigned k = 0; k < 500; k++) {
			assert_int_equal(loop_timer_active(&t[k]), due[k] > now);
			left += due[k] > now;
		}
		base_clock_advance_ms(50);
		loop_turn(l, 0);
	}
	assert_int_equal(left, 0);
}

static void many_timers_are_idle_after_free(void **state)
{
	static struct loop_timer t[1000];
	static unsigned id;

	for (unsigned i = 0; i < ARRAY_LEN(t); i++)
		loop_timer_start(l, &t[i], 1000 + i, note, &id);
	loop_free(l);
	for (unsigned i = 0; i < ARRAY_LEN(t); i++)
		assert_false(loop_timer_active(&t[i]));
	assert_int_equal(loop_new(&l), 0);
}

static struct loop_fd *watch[10];
static unsigned ready_calls;

/* the first that is called deletes all */
static void delete_all(void *arg)
{
	ready_calls++;
	for (unsigned i = 0; i < ARRAY_LEN(watch); i++) {
		loop_fd_del(watch[i]);
		watch[i] = NULL;
	}
}

static void count_ready(void *arg)
{
	uint64_t v;

	ready_calls++;
	assert_int_equal(read(*(int *)arg, &v, sizeof(v)), sizeof(v));
}

static void descriptors(void **state)
{
	int fd[10];

	ready_calls = 0;
	for (unsigned i = 0; i < ARRAY_LEN(fd); i++) {
		fd[i] = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
		assert_int_equal(loop_fd_add(l, fd[i], count_ready, &fd[i], &watch[i]), 0);
	}
	/* all that is ready in one turn, although the library takes 4 at a time */
	loop_turn(l, 0);
	assert_int_equal(ready_calls, ARRAY_LEN(fd));
	for (unsigned i = 0; i < ARRAY_LEN(fd); i++) {
		uint64_t one = 1;

		loop_fd_del(watch[i]);
		assert_int_equal(write(fd[i], &one, sizeof(one)), sizeof(one));
		assert_int_equal(loop_fd_add(l, fd[i], delete_all, NULL, &watch[i]), 0);
	}
	ready_calls = 0;
	loop_turn(l, 0);
	loop_turn(l, 0);
	assert_int_equal(ready_calls, 1);
	for (unsigned i = 0; i < ARRAY_LEN(fd); i++)
		close(fd[i]);
	assert_true(loop_fd_add(l, -1, delete_all, NULL, &watch[0]) < 0);
	assert_true(loop_fd_add(l, fd[0], delete_all, NULL, &watch[0]) < 0);
	loop_fd_del(NULL);
}

static unsigned gathered, flushed, flushes;

static void gather(void *arg)
{
	uint64_t v;

	assert_int_equal(read(*(int *)arg, &v, sizeof(v)), sizeof(v));
	gathered++;
}

static void flush_gathered(void *arg)
{
	flushed = gathered;
	flushes++;
	if (gathered)
		loop_stop(l);
}

static void nothing(void *arg)
{
}

static void hooks_run_before_the_wait(void **state)
{
	int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	struct loop_fd *w;

	assert_int_equal(loop_fd_add(l, fd, gather, &fd, &w), 0);
	assert_int_equal(loop_at_turn_end(l, flush_gathered, NULL), 0);
	assert_int_equal(loop_run(l), 0);
	assert_int_equal(flushed, 1);
	for (int i = 0; i < 7; i++)
		assert_int_equal(loop_at_turn_end(l, nothing, NULL), 0);
	assert_int_equal(loop_at_turn_end(l, nothing, NULL), ERR_FULL);
	loop_stop(l);
	gathered = 0;
	assert_int_equal(loop_run(l), 0);
	loop_at_turn_end_del(l, flush_gathered, NULL);
	loop_at_turn_end_del(l, flush_gathered, NULL);
	flushes = 0;
	loop_turn(l, 0);
	assert_int_equal(flushes, 0);
	assert_int_equal(loop_at_turn_end(l, nothing, NULL), 0);
	loop_fd_del(w);
	close(fd);
}

static unsigned su_fired, su_flushed;

static void su_note(su_root_magic_t *magic, su_timer_t *t, su_timer_arg_t *arg)
{
	su_fired++;
}

static void su_flush(void *arg)
{
	su_flushed = su_fired;
}

static void sofia_timers_run_on_our_clock(void **state)
{
	su_root_t *root = loop_su_root(l);
	su_timer_t *t = su_timer_create(su_root_task(root), 0);
	su_time_t a, b;

	su_time(&a);
	base_clock_advance_ms(1500);
	su_time(&b);
	assert_int_equal(su_duration(b, a), 1500);
	/* 1900 to 1970, and the wall clock of the fake */
	assert_int_equal(a.tv_sec, 1700000000 + 2208988800);
	assert_int_equal(loop_at_turn_end(l, su_flush, NULL), 0);
	su_timer_set_interval(t, su_note, NULL, 500);
	loop_turn(l, 0);
	base_clock_advance_ms(499);
	loop_turn(l, 0);
	assert_int_equal(su_fired, 0);
	base_clock_advance_ms(1);
	loop_turn(l, 0);
	assert_int_equal(su_fired, 1);
	assert_int_equal(su_flushed, 1);
	su_timer_destroy(t);
	assert_true(signal(SIGPIPE, SIG_IGN) == SIG_IGN);
}

static void add_one(void *arg)
{
	++*(unsigned *)arg;
}

/* in a child with the true clock: a wait of 30 ms is one wait, not a spin */
static void waits_do_not_spin(void **state)
{
	struct timespec a, b;
	unsigned turns = 0;
	int fd = eventfd(0, EFD_CLOEXEC);
	struct loop_fd *w;

	assert_int_equal(loop_at_turn_end(l, add_one, &turns), 0);
	assert_int_equal(loop_fd_add(l, fd, nothing, NULL, &w), 0);
	clock_gettime(CLOCK_MONOTONIC, &a);
	loop_turn(l, 30);
	clock_gettime(CLOCK_MONOTONIC, &b);
	assert_true((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 >= 29);
	assert_int_equal(turns, 2);
	loop_fd_del(w);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(timers_fire_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(timer_of_zero_does_not_hold_the_turn, setup, teardown),
		cmocka_unit_test_setup_teardown(heap_against_a_model, setup, teardown),
		cmocka_unit_test_setup_teardown(many_timers_are_idle_after_free, setup, teardown),
		cmocka_unit_test_setup_teardown(descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(hooks_run_before_the_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(sofia_timers_run_on_our_clock, setup, teardown),
		cmocka_unit_test_setup_teardown(waits_do_not_spin, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
