/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring: order, wrap, full, damage, and ends that are killed at any instant.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "postern/base.h"

#define BYTES 4096u

static void *shared(void)
{
	void *p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

/* record i: its number, then as many bytes as the number says, all equal */
static size_t make(uint64_t i, uint8_t rec[static 300])
{
	size_t n = 8 + i * 7 % 250;

	memcpy(rec, &i, 8);
	memset(rec + 8, (int)(i & 0xff), n - 8);
	return n;
}

static uint64_t check(struct slice s)
{
	uint8_t rec[300];
	uint64_t i;

	assert_true(s.n >= 8);
	memcpy(&i, s.p, 8);
	assert_int_equal(s.n, make(i, rec));
	assert_memory_equal(s.p, rec, s.n);
	return i;
}

static void order_wrap_full(void **state)
{
	void *mem = shared();
	struct base_ring *r;
	struct slice s;
	uint8_t rec[300];
	uint64_t put = 0, got = 0, pos;

	assert_int_equal(base_ring_open(mem, BYTES, &r), 0);
	pos = base_ring_pos(r);
	assert_false(base_ring_peek(r, &pos, &s));
	for (int round = 0; round < 500; round++) {
		while (base_ring_put(r, rec, make(put, rec)) == 0)
			put++;
		assert_int_equal(base_ring_put(r, rec, make(put, rec)), ERR_FULL);
		pos = base_ring_pos(r);
		for (int i = 0; i < 1 + round % 20 && base_ring_peek(r, &pos, &s); i++)
			assert_int_equal(check(s), got++);
		base_ring_consume(r, pos);
	}
	assert_true(got > 4000);
	/* not consumed: seen again */
	pos = base_ring_pos(r);
	while (base_ring_peek(r, &pos, &s))
		;
	pos = base_ring_pos(r);
	assert_true(base_ring_peek(r, &pos, &s));
	assert_int_equal(check(s), got);
	base_ring_close(r);
	munmap(mem, BYTES);
}

static void sizes(void **state)
{
	static uint8_t big[BYTES];
	void *mem = shared();
	struct base_ring *r;
	struct slice s;
	uint64_t pos;

	assert_int_equal(base_ring_open(mem, 100, &r), -EINVAL);
	assert_int_equal(base_ring_open((char *)mem + 1, BYTES - 8, &r), -EINVAL);
	assert_int_equal(base_ring_open(mem, BYTES, &r), 0);
	assert_int_equal(base_ring_put(r, big, BYTES), ERR_RANGE);
	assert_int_equal(base_ring_put(r, NULL, 0), 0);
	/* the largest record always fits an empty ring, wherever it stands */
	for (int i = 0; i < 300; i++) {
		pos = base_ring_pos(r);
		while (base_ring_peek(r, &pos, &s))
			;
		base_ring_consume(r, pos);
		assert_int_equal(base_ring_put(r, big, (BYTES - 192) / 2 - 8 - (size_t)i % 3), 0);
		pos = base_ring_pos(r);
		assert_true(base_ring_peek(r, &pos, &s));
		base_ring_consume(r, pos);
		assert_int_equal(base_ring_put(r, big, (size_t)i), 0);
	}
	base_ring_close(r);
	munmap(mem, BYTES);
}

static void damage_is_found(void **state)
{
	uint8_t *mem = shared(), rec[300];
	static uint8_t copy[BYTES];
	struct base_ring *r;
	struct slice s;
	uint64_t pos;

	assert_int_equal(base_ring_open(mem, BYTES, &r), 0);
	for (uint64_t i = 0; i < 10; i++)
		assert_int_equal(base_ring_put(r, rec, make(i, rec)), 0);
	base_ring_close(r);
	memcpy(copy, mem, BYTES);
	/* magic, size, head, tail, head of the first record */
	for (unsigned i = 0; i < 5; i++) {
		static const unsigned at[] = { 0, 8, 64, 128, 192 };

		memcpy(mem, copy, BYTES);
		assert_int_equal(base_ring_open(mem, BYTES, &r), 0);
		base_ring_close(r);
		mem[at[i]] ^= 0x11;
		assert_int_equal(base_ring_open(mem, BYTES, &r), ERR_TORN);
		pos = base_ring_pos(r);
		assert_false(base_ring_peek(r, &pos, &s));
		assert_int_equal(base_ring_put(r, rec, make(77, rec)), 0);
		assert_true(base_ring_peek(r, &pos, &s));
		assert_int_equal(check(s), 77);
		base_ring_close(r);
	}
	/* foreign bytes under an open ring: skipped, then it works on */
	memcpy(mem, copy, BYTES);
	assert_int_equal(base_ring_open(mem, BYTES, &r), 0);
	memset(mem + 192, 0xee, 64);
	pos = base_ring_pos(r);
	assert_false(base_ring_peek(r, &pos, &s));
	base_ring_consume(r, pos);
	assert_int_equal(base_ring_put(r, rec, make(78, rec)), 0);
	assert_true(base_ring_peek(r, &pos, &s));
	assert_int_equal(check(s), 78);
	base_ring_close(r);
	munmap(mem, BYTES);
}

static void nap(long us)
{
	struct timespec ts = { 0, us * 1000 };

	nanosleep(&ts, NULL);
}

/* puts records from `next` on until it is killed */
static pid_t producer(void *mem, uint64_t next)
{
	pid_t pid = fork();
	struct base_ring *r;
	uint8_t rec[300];

	if (pid)
		return pid;
	if (base_ring_open(mem, BYTES, &r) != 0)
		_exit(3);
	for (;;) {
		if (base_ring_put(r, rec, make(next, rec)) == 0)
			next++;
	}
}

static void killed_producer(void **state)
{
	void *mem = shared();
	uint64_t next = 0, pos, rounds = 0;
	struct base_ring *r;
	struct slice s;

	assert_int_equal(base_ring_open(mem, BYTES, &r), 0);
	for (; rounds < 60; rounds++) {
		pid_t pid = producer(mem, next);
		uint64_t till = next + 40 + base_random_below(100);
		int status;

		while (next < till) {
			pos = base_ring_pos(r);
			while (base_ring_peek(r, &pos, &s))
				assert_int_equal(check(s), next++);
			base_ring_consume(r, pos);
		}
		nap(base_random_below(200));
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		pos = base_ring_pos(r);
		while (base_ring_peek(r, &pos, &s))
			assert_int_equal(check(s), next++);
		base_ring_consume(r, pos);
	}
	base_ring_close(r);
	munmap(mem, BYTES);
}

/* consumes until it is killed; tells the last record that it consumed in *done */
static pid_t consumer(void *mem, uint64_t *done)
{
	pid_t pid = fork();
	struct base_ring *r;
	struct slice s;
	uint64_t pos, i;

	if (pid)
		return pid;
	if (base_ring_open(mem, BYTES, &r) != 0)
		_exit(3);
	for (;;) {
		pos = base_ring_pos(r);
		if (!base_ring_peek(r, &pos, &s))
			continue;
		memcpy(&i, s.p, 8);
		/* at least once: a record may come again, none may be missed */
		if (i != *done && i != *done + 1)
			_exit(4);
		*done = i;
		base_ring_consume(r, pos);
	}
}

static void killed_consumer(void **state)
{
	uint64_t *done = shared(), put = 1;
	void *mem = shared();
	struct base_ring *r;
	uint8_t rec[300];

	assert_int_equal(base_ring_open(mem, BYTES, &r), 0);
	for (int round = 0; round < 40; round++) {
		pid_t pid = consumer(mem, done);
		uint64_t till = put + 50;
		int status;

		while (put < till && waitpid(pid, &status, WNOHANG) == 0) {
			if (base_ring_put(r, rec, make(put, rec)) == 0)
				put++;
		}
		nap(base_random_below(200));
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
	}
	assert_true(*done > 0 && *done < put);
	base_ring_close(r);
	munmap(mem, BYTES);
	munmap(done, BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order_wrap_full), cmocka_unit_test(sizes), cmocka_unit_test(damage_is_found),
		cmocka_unit_test(killed_producer), cmocka_unit_test(killed_consumer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
