/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log: what is a login, and that neither readers nor those who guess make it grow without bound. The clock is the test's.
 */
#include "config.h"

#include <stdio.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "admin/admin.h"
#include "postern/store.h"

static struct admin a;
static char path[64];
static struct { int logins, failed, writes, more; } seen;

static int setup(void **state)
{
	snprintf(path, sizeof path, "/tmp/postern-audit-%d.db", getpid());
	a = (struct admin){ 0 };
	return store_open(path, &a.p.store);
}

static int teardown(void **state)
{
	char other[80];

	store_close(a.p.store);
	unlink(path);
	snprintf(other, sizeof other, "%s-wal", path);
	unlink(other);
	snprintf(other, sizeof other, "%s-shm", path);
	unlink(other);
	return 0;
}

static bool line(void *arg, const struct store_audit *e)
{
	(*(size_t *)arg)++;
	if (!strcmp(e->action, "LOGIN") && strstr(e->detail, " more "))
		seen.more += (int)strtol(e->detail, NULL, 10);
	else if (!strcmp(e->action, "LOGIN"))
		seen.logins++;
	else if (!*e->user)
		seen.failed++;
	else
		seen.writes++;
	return true;
}

static size_t lines(void)
{
	size_t n = 0;

	memset(&seen, 0, sizeof seen);
	assert_int_equal(store_audit_each(a.p.store, 0, 200000, line, &n), 0);
	return n;
}

static struct mono at(int64_t seconds)
{
	return (struct mono){ .us = 1000000000 + seconds * 1000000 };
}

/** A request of token n from address n at this second. */
static void ask(unsigned n, const char *method, int64_t seconds)
{
	struct admin_request rq = { .a = &a, .user = "eve", .address = "192.0.2.1", .path = "/api/v1/stats", .status = 200 };
	uint8_t who[ADMIN_WHO] = { (uint8_t)n, (uint8_t)(n >> 8) };

	slice_copy(rq.method, sizeof rq.method, slice_str(method));
	if (admin_session_begins(&a, who, at(seconds)))
		rq.login = ADMIN_LOGIN_FIRST;
	admin_audit(&rq, at(seconds));
}

static void guess(int64_t seconds)
{
	struct admin_request rq = { .a = &a, .address = "192.0.2.1", .method = "GET", .path = "/api/v1/stats", .status = 401, .login = ADMIN_LOGIN_FAILED };

	admin_audit(&rq, at(seconds));
}

/* a thousand reads a second are one login; a quarter of an hour without one, and it is another */
static void a_login_is_a_session(void **state)
{
	for (int i = 0; i < 5000; i++)
		ask(1, "GET", i / 1000);
	assert_int_equal(lines(), 1);
	assert_int_equal(seen.logins, 1);
	for (int s = 5; s < 4000; s += 800)
		ask(1, "GET", s);
	assert_int_equal(lines(), 1);
	ask(2, "GET", 4000);
	assert_int_equal(lines(), 2);
	ask(1, "GET", 3205 + 900);
	assert_int_equal(lines(), 3);
	ask(3, "PUT", 4200); /* a write that is a login too */
	assert_int_equal(lines(), 5);
	assert_true(seen.logins == 4 && seen.writes == 1);
}

/* more tokens than are remembered: bounded by the minute, and what was left out is told */
static void logins_are_bounded(void **state)
{
	for (unsigned n = 0; n < 3 * ADMIN_SESSIONS; n++)
		ask(n, "GET", 0);
	assert_int_equal(lines(), 600);
	ask(1, "GET", 61);
	lines();
	assert_int_equal(seen.more, 3 * ADMIN_SESSIONS - 600);
}

static void failures_are_bounded(void **state)
{
	for (int i = 0; i < 1000; i++)
		guess(0);
	assert_int_equal(lines(), 120);
	ask(1, "PUT", 1); /* a write is never left out */
	lines();
	assert_int_equal(seen.writes, 1);
	guess(61);
	lines();
	assert_true(seen.more == 880 && seen.failed == 121);
}

/* who guesses for a day does not wash out what users did */
static void guesses_do_not_wash_it(void **state)
{
	ask(1, "PUT", 0);
	for (int64_t minute = 0; minute < 150; minute++)
		for (int i = 0; i < 120; i++)
			guess(minute * 61);
	lines();
	assert_int_equal(seen.writes, 1);
	assert_in_range(seen.failed, 9000, STORE_AUDIT_NOBODY_MOST + 256);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_login_is_a_session, setup, teardown),
		cmocka_unit_test_setup_teardown(logins_are_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(failures_are_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(guesses_do_not_wash_it, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
