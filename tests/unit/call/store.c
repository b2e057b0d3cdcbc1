/* SPDX-License-Identifier: Apache-2.0 */
/* Records and their store: what is printed parses again; torn and foreign memory is found; a kill leaves the old record or the new one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "postern/call.h"

static uint8_t buf[CALL_RECORD_MAX];

static struct call_record sample(const char *id, struct slice sdp, uint64_t serial)
{
	struct call_record r = { .serial = serial, .state = CALL_UP, .from = SLICE("4930123"), .to = SLICE("+49301"), .route = SLICE("out"),
		.start_ms = 1, .ringing_ms = 2, .answer_ms = 3 };
	unsigned i;

	snprintf(r.id, sizeof r.id, "%s", id);
	for (i = 0; i < 2; i++) {
		struct call_record_leg *l = &r.leg[i];

		l->trunk = SLICE("pbx");
		l->call_id = i ? SLICE("b-id") : SLICE("a-id");
		l->local = SLICE("<sip:a@h>;tag=1");
		l->remote = SLICE("<sip:b@h>;tag=2");
		l->sdp_in = l->sdp_out = sdp;
		l->cseq_local = 7;
		l->nstreams = 1;
		l->stream[0] = (struct call_record_stream){ 5 + i, 9, 1 };
		assert_int_equal(base_addr_parse(i ? SLICE("::1") : SLICE("127.0.0.1"), 5060, &l->source), 0);
	}
	return r;
}

static void *memory(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static void record_round_trip(void **state)
{
	struct call_record r = sample("id1", SLICE("v=0\r\n"), 1), q;
	size_t n, i;

	assert_int_equal(call_record_print(&r, buf, sizeof buf, &n), 0);
	assert_int_equal(call_record_parse(buf, n, &q), 0);
	assert_string_equal(q.id, "id1");
	assert_true(slice_eq(q.leg[1].call_id, SLICE("b-id")));
	assert_true(base_addr_eq(&q.leg[1].source, &r.leg[1].source));
	assert_int_equal(q.leg[0].stream[0].slot, 5);
	assert_int_equal(q.leg[0].stream[0].mux, 1);
	/* every truncation is found */
	for (i = 0; i < n; i++)
		assert_int_equal(call_record_parse(buf, i, &q), ERR_TORN);
}

static void store_keeps_and_gives_back(void **state)
{
	size_t bytes = call_store_bytes(50), live = base_live();
	uint8_t *mem = memory(bytes);
	char big[20000];
	struct call_store *s;
	struct call_record r, q;
	unsigned torn, i;
	uint32_t slot[50], more;

	memset(big, 'x', sizeof big);
	assert_int_equal(call_store_open(mem, bytes, &torn, &s), 0);
	assert_true(call_store_slots(mem, bytes) >= 50);
	for (i = 0; i < 50; i++) {
		r = sample("c", (struct slice){ big, 100 + i * 10 }, i);
		assert_int_equal(call_store_add(s, &slot[i]), 0);
		assert_int_equal(call_store_put(s, slot[i], &r), 0);
		r.state = CALL_EARLY;
		assert_int_equal(call_store_put(s, slot[i], &r), 0);
	}
	for (i = call_store_slots(mem, bytes); i > 50; i--)
		assert_int_equal(call_store_add(s, &more), 0);
	assert_int_equal(call_store_add(s, &more), ERR_FULL);
	for (i = 0; i < 50; i++) {
		assert_int_equal(call_store_read(mem, bytes, slot[i], buf, &q), 0);
		assert_int_equal(q.serial, i);
		assert_int_equal(q.state, CALL_EARLY);
		assert_int_equal(q.leg[0].sdp_in.n, 100 + i * 10);
	}
	/* too large for what is left: the old record stays */
	r = sample("c", (struct slice){ big, sizeof big }, 99);
	for (i = 0; i < 50 && !call_store_put(s, slot[i], &r); i++)
		;
	assert_true(i < 50);
	assert_int_equal(call_store_read(mem, bytes, slot[i], buf, &q), 0);
	assert_int_equal(q.serial, i);
	call_store_ending(s, slot[i], 2);
	call_store_close(s);
	/* the next engine finds them all */
	assert_int_equal(call_store_open(mem, bytes, &torn, &s), 0);
	assert_int_equal(torn, 0);
	assert_int_equal(call_store_read(mem, bytes, slot[i], buf, &q), 0);
	assert_int_equal(q.state, CALL_ENDING);
	assert_int_equal(q.over, 2);
	for (i = 0; i < 50; i++)
		call_store_del(s, slot[i]);
	for (i = 0; i < 50; i++)
		assert_int_equal(call_store_read(mem, bytes, slot[i], buf, &q), ERR_NOTFOUND);
	call_store_close(s);
	assert_int_equal(base_live(), live);
	munmap(mem, bytes);
}

static void marks_stand_beside_records(void **state)
{
	size_t bytes = call_store_bytes(4);
	uint8_t *mem = memory(bytes);
	struct call_record r = sample("m", SLICE("v=0"), 1), q;
	struct call_store *s;
	unsigned torn;
	uint32_t slot;

	(void)state;
	assert_int_equal(call_store_open(mem, bytes, &torn, &s), 0);
	assert_int_equal(call_store_add(s, &slot), 0);
	r.state = CALL_SETUP;
	assert_int_equal(call_store_put(s, slot, &r), 0);
	call_store_ringing(s, slot);
	assert_int_equal(call_store_read(mem, bytes, slot, buf, &q), 0);
	assert_int_equal(q.state, CALL_EARLY);
	r.state = CALL_UP; /* what is written later counts */
	assert_int_equal(call_store_put(s, slot, &r), 0);
	assert_int_equal(call_store_read(mem, bytes, slot, buf, &q), 0);
	assert_int_equal(q.state, CALL_UP);
	call_store_ending(s, slot, 3);
	assert_int_equal(call_store_read(mem, bytes, slot, buf, &q), 0);
	assert_int_equal(q.state, CALL_ENDING);
	assert_int_equal(q.over, 3);
	call_store_del(s, slot);
	assert_int_equal(call_store_add(s, &slot), 0); /* the next call begins without them */
	r.state = CALL_SETUP;
	assert_int_equal(call_store_put(s, slot, &r), 0);
	assert_int_equal(call_store_read(mem, bytes, slot, buf, &q), 0);
	assert_int_equal(q.state, CALL_SETUP);
	call_store_close(s);
	munmap(mem, bytes);
}

static void torn_records_are_dropped(void **state)
{
	size_t bytes = call_store_bytes(20), at;
	uint8_t *mem = memory(bytes), *copy = malloc(bytes);
	unsigned torn, i, k, found = 0;
	struct call_store *s;
	struct call_record r, q;
	uint32_t slot;

	assert_int_equal(call_store_open(mem, bytes, &torn, &s), 0);
	for (i = 0; i < 20; i++) {
		r = sample("c", SLICE("v=0\r\ns=-\r\n"), i);
		assert_int_equal(call_store_add(s, &slot), 0);
		assert_int_equal(call_store_put(s, slot, &r), 0);
	}
	call_store_close(s);
	memcpy(copy, mem, bytes);
	for (k = 0; k < 300; k++) {
		memcpy(mem, copy, bytes);
		for (i = 0; i < 40; i++) {
			at = 64 + base_random_below((uint32_t)(bytes - 64));
			mem[at] ^= (uint8_t)(1 + base_random_below(255));
		}
		assert_int_equal(call_store_open(mem, bytes, &torn, &s), 0);
		found += torn;
		for (i = 0; i < call_store_slots(mem, bytes); i++)
			if (!call_store_read(mem, bytes, i, buf, &q))
				assert_true(q.serial < 20); /* never a guess */
		call_store_close(s);
	}
	assert_true(found > 0);
	free(copy);
	munmap(mem, bytes);
}

/** Whole, but not to be understood: dropped, counted, and its slot serves again. */
static void unreadable_records_free_their_slot(void **state)
{
	size_t bytes = call_store_bytes(4);
	uint8_t *mem = memory(bytes);
	unsigned torn, i, n;
	struct call_store *s;
	struct call_record r = sample("odd", SLICE("v=0\r\n"), 1), q;
	uint32_t slot;

	r.state = CALL_STATES;
	assert_int_equal(call_store_open(mem, bytes, &torn, &s), 0);
	assert_int_equal(call_store_add(s, &slot), 0);
	assert_int_equal(call_store_put(s, slot, &r), 0);
	call_store_close(s);
	assert_int_equal(call_store_open(mem, bytes, &torn, &s), 0);
	assert_int_equal(torn, 1);
	assert_int_equal(call_store_read(mem, bytes, slot, buf, &q), ERR_NOTFOUND);
	n = call_store_slots(mem, bytes);
	for (i = 0; i < n; i++)
		assert_int_equal(call_store_add(s, &slot), 0);
	call_store_close(s);
	munmap(mem, bytes);
}

#define TEXT_MAX 3000u

/** A writer that changes a record for ever. */
static void write_for_ever(void *mem, size_t bytes, uint32_t slot)
{
	static char text[TEXT_MAX];
	struct call_record r;
	struct call_store *s;
	unsigned torn;
	uint64_t v;

	if (call_store_open(mem, bytes, &torn, &s))
		_exit(1);
	memset(text, 'a', sizeof text);
	for (v = 1;; v++) {
		r = sample("k", (struct slice){ text, v % TEXT_MAX }, v);
		if (call_store_put(s, slot, &r))
			_exit(2);
	}
}

/** Every kill leaves one of its versions, whole. */
static void kill_leaves_old_or_new(void **state)
{
	size_t bytes = call_store_bytes(4);
	uint8_t *mem = memory(bytes);
	unsigned torn, k;
	struct call_store *s;
	struct call_record r, q;
	uint32_t slot;

	assert_int_equal(call_store_open(mem, bytes, &torn, &s), 0);
	assert_int_equal(call_store_add(s, &slot), 0);
	r = sample("k", SLICE("x"), 1);
	assert_int_equal(call_store_put(s, slot, &r), 0);
	call_store_close(s);
	for (k = 0; k < 60; k++) {
		pid_t pid = fork();

		if (!pid)
			write_for_ever(mem, bytes, slot);
		usleep(1000 + base_random_below(3000));
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		assert_int_equal(call_store_read(mem, bytes, slot, buf, &q), 0);
		assert_int_equal(q.leg[0].sdp_in.n, q.serial % TEXT_MAX);
	}
	munmap(mem, bytes);
}

/* an engine that dies while it takes up a call tries it three times; one that is ended reads so meanwhile, and nothing of it stays */
static void tries(void **state)
{
	size_t bytes = call_store_bytes(4);
	void *mem = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
	struct call_record r = { .id = "tried", .serial = 1, .state = CALL_UP }, q;
	struct call_store *s;
	unsigned torn;
	uint32_t slot;

	memset(mem, 0, bytes);
	assert_int_equal(call_store_open(mem, bytes, &torn, &s), 0);
	assert_int_equal(call_store_add(s, &slot), 0);
	assert_int_equal(call_store_put(s, slot, &r), 0);
	for (int i = 0; i < 3; i++) {
		assert_true(call_store_try(s, slot));
		call_store_close(s); /* and dies */
		assert_int_equal(call_store_open(mem, bytes, &torn, &s), 0);
		assert_int_equal(call_store_read(mem, bytes, slot, buf, &q), 0);
		assert_int_equal(q.state, CALL_UP);
	}
	assert_false(call_store_try(s, slot));
	call_store_tried(s, slot);
	assert_true(call_store_try(s, slot));
	call_store_ending(s, slot, 2);
	assert_int_equal(call_store_read(mem, bytes, slot, buf, &q), 0);
	assert_true(q.state == CALL_ENDING && q.over == 2);
	/* taking it up means ending it: engines that die of that are counted too */
	for (int i = 1; i < 3; i++) {
		assert_true(call_store_try(s, slot));
		call_store_ending(s, slot, 2);
		call_store_close(s);
		assert_int_equal(call_store_open(mem, bytes, &torn, &s), 0);
	}
	assert_false(call_store_try(s, slot));
	call_store_close(s);
	free(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tries), cmocka_unit_test(record_round_trip), cmocka_unit_test(store_keeps_and_gives_back),
		cmocka_unit_test(marks_stand_beside_records), cmocka_unit_test(torn_records_are_dropped), cmocka_unit_test(unreadable_records_free_their_slot), cmocka_unit_test(kill_leaves_old_or_new),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
