/* SPDX-License-Identifier: Apache-2.0 */
/* DNS queries: the servers are those that resolv.conf names now, not those that it named at the start. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop/private.h"

static char file[] = "/tmp/postern-resolv-XXXXXX";
static unsigned answers, failures;

/** A server at port 53 of a loopback address; -1: this user may not. */
static int server(const char *ip)
{
	union base_addr a;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	assert_int_equal(base_addr_parse(slice_str(ip), 53, &a), 0);
	if (bind(fd, &a.sa, base_addr_len(&a)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void names(const char *ip)
{
	char next[80];
	FILE *f;

	snprintf(next, sizeof next, "%s.next", file);
	f = fopen(next, "w");
	assert_non_null(f);
	fprintf(f, "nameserver %s\n", ip);
	fclose(f);
	assert_int_equal(rename(next, file), 0);
}

static void on_answer(void *arg, int err, const uint8_t *msg, size_t n)
{
	answers += err == 0;
	failures += err != 0;
}

/** NXDOMAIN to whatever is asked here; how many. */
static unsigned serve(int fd)
{
	union base_addr from;
	socklen_t len = sizeof from;
	uint8_t q[512];
	unsigned asked = 0;
	ssize_t n;

	for (; (n = recvfrom(fd, q, sizeof q, 0, &from.sa, &len)) > 12; asked++) {
		q[2] |= 0x80;
		q[3] = 0x83;
		assert_int_equal(sendto(fd, q, (size_t)n, 0, &from.sa, len), n);
	}
	return asked;
}

static void turns(struct loop *l, int a, int b, unsigned *asked_a, unsigned *asked_b)
{
	unsigned i;

	for (i = 0; i < 40; i++) {
		loop_turn(l, 5);
		*asked_a += serve(a);
		*asked_b += serve(b);
	}
}

static void changes_are_noticed(void **state)
{
	int a = server("127.83.1.1"), b = server("127.83.1.2"), fd = mkstemp(file);
	unsigned asked_a = 0, asked_b = 0;
	struct loop_dns_query *q;
	struct loop_dns *d;
	struct loop *l;

	assert_true(fd >= 0);
	close(fd);
	if (a < 0 || b < 0)
		skip();
	names("127.83.1.1");
	assert_int_equal(loop_new(&l), 0);
	assert_int_equal(loop_dns_open(l, file, NULL, 0, 1000, &d), 0);
	assert_int_equal(loop_dns_query(d, "a.test", 1, on_answer, NULL, &q), 0);
	turns(l, a, b, &asked_a, &asked_b);
	assert_true(asked_a && !asked_b && answers == 1);
	names("127.83.1.2");
	usleep(2100000);
	assert_int_equal(loop_dns_query(d, "b.test", 1, on_answer, NULL, &q), 0);
	turns(l, a, b, &asked_a, &asked_b);
	assert_int_equal(answers, 2);
	assert_true(asked_b > 0);
	asked_a = 0;
	assert_int_equal(loop_dns_query(d, "c.test", 28, on_answer, NULL, &q), 0);
	turns(l, a, b, &asked_a, &asked_b);
	assert_int_equal(answers, 3);
	assert_int_equal(asked_a, 0);
	/* what is open while the file changes fails, and does no harm */
	assert_int_equal(loop_dns_query(d, "d.test", 1, on_answer, NULL, &q), 0);
	usleep(2100000);
	names("127.83.1.1");
	assert_int_equal(loop_dns_query(d, "e.test", 1, on_answer, NULL, &q), 0);
	assert_int_equal(failures, 1);
	turns(l, a, b, &asked_a, &asked_b);
	assert_int_equal(answers, 4);
	assert_true(asked_a > 0);
	/* a file that is away for a moment changes nothing */
	assert_int_equal(unlink(file), 0);
	usleep(2100000);
	assert_int_equal(loop_dns_query(d, "f.test", 1, on_answer, NULL, &q), 0);
	turns(l, a, b, &asked_a, &asked_b);
	assert_int_equal(answers, 5);
	loop_dns_free(d);
	loop_free(l);
	close(a);
	close(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(changes_are_noticed) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
