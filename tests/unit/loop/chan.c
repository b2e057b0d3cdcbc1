/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Channels: descriptors that come and are not taken, queues, ends that go away, bad datagrams.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "postern/loop.h"

static struct loop *l;
static struct loop_chan *a, *b;
static struct {
	unsigned msgs, gone, order_broken;
	uint16_t type;
	uint32_t id;
	size_t bytes, nfds;
	int take, taken[LOOP_CHAN_FDS];
	bool close_on_first, cloexec;
} got;

static unsigned open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void on_msg(void *arg, struct loop_msg *m)
{
	if (!m) {
		got.gone++;
		return;
	}
	if (m->id != got.id + 1)
		got.order_broken++;
	got.msgs++;
	got.type = m->type;
	got.id = m->id;
	got.bytes = m->body.n;
	got.nfds = m->nfds;
	got.cloexec = m->nfds > 0 && (fcntl(m->fds[0], F_GETFD) & FD_CLOEXEC);
	for (int i = 0; i < got.take; i++) {
		got.taken[i] = loop_msg_take_fd(m, (size_t)i);
		assert_true(got.taken[i] >= 0);
		assert_true(loop_msg_take_fd(m, (size_t)i) < 0);
	}
	assert_int_equal(loop_msg_take_fd(m, m->nfds), ERR_NOTFOUND);
	if (got.close_on_first) {
		loop_chan_close(b);
		b = NULL;
	}
}

static unsigned fds_before;

static int setup(void **state)
{
	int fd[2];

	fds_before = open_fds();
	memset(&got, 0, sizeof(got));
	assert_int_equal(loop_new(&l), 0);
	assert_int_equal(loop_chan_pair(fd), 0);
	assert_int_equal(loop_chan_open(l, fd[0], on_msg, NULL, &a), 0);
	assert_int_equal(loop_chan_open(l, fd[1], on_msg, NULL, &b), 0);
	return 0;
}

static int teardown(void **state)
{
	loop_chan_close(a);
	loop_chan_close(b);
	loop_free(l);
	assert_int_equal(base_live(), 0);
	assert_int_equal(open_fds(), fds_before);
	return 0;
}

static void bodies(void **state)
{
	static char big[LOOP_CHAN_MAX];

	assert_int_equal(loop_chan_send(a, 7, 1, SLICE("hello"), NULL, 0), 0);
	loop_turn(l, 0);
	assert_int_equal(got.msgs, 1);
	assert_int_equal(got.type, 7);
	assert_int_equal(got.id, 1);
	assert_int_equal(got.bytes, 5);
	assert_int_equal(loop_chan_send(a, 8, 2, (struct slice){ big, LOOP_CHAN_MAX - 12 }, NULL, 0), 0);
	assert_int_equal(loop_chan_send(a, 8, 3, (struct slice){ big, LOOP_CHAN_MAX - 11 }, NULL, 0), ERR_RANGE);
	assert_int_equal(loop_chan_send(a, 9, 3, (struct slice){ NULL, 0 }, NULL, 0), 0);
	loop_turn(l, 0);
	assert_int_equal(got.msgs, 3);
	assert_int_equal(got.bytes, 0);
	assert_int_equal(got.order_broken, 0);
}

static void descriptors_250(void **state)
{
	int fds[LOOP_CHAN_FDS + 1], nul = open("/dev/null", O_RDONLY | O_CLOEXEC);
	unsigned before = open_fds();

	for (unsigned i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = nul;
	got.take = 3;
	assert_int_equal(loop_chan_send(a, 1, 1, SLICE("x"), fds, LOOP_CHAN_FDS), 0);
	assert_int_equal(loop_chan_send(a, 1, 1, SLICE("x"), fds, LOOP_CHAN_FDS + 1), ERR_RANGE);
	loop_turn(l, 0);
	assert_int_equal(got.msgs, 1);
	assert_int_equal(got.nfds, LOOP_CHAN_FDS);
	assert_true(got.cloexec);
	assert_int_equal(open_fds(), before + 3);
	for (int i = 0; i < got.take; i++)
		close(got.taken[i]);
	close(nul);
}

static void raw(int fd, const void *p, size_t n, const int *fds, size_t nfds)
{
	union { struct cmsghdr h; char bytes[CMSG_SPACE(253 * sizeof(int))]; } control;
	struct iovec iov = { (void *)(uintptr_t)p, n };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nfds) {
		memset(&control, 0, sizeof(control));
		mh.msg_control = &control;
		mh.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		control.h.cmsg_level = SOL_SOCKET;
		control.h.cmsg_type = SCM_RIGHTS;
		control.h.cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(&control.h), fds, nfds * sizeof(int));
	}
	assert_int_equal(sendmsg(fd, &mh, 0), n);
}

static void bad_datagrams_are_dropped(void **state)
{
	static char big[LOOP_CHAN_MAX + 100];
	uint64_t bad = base_counters[COUNTER_IPC_BAD];
	int pair[2], nul = open("/dev/null", O_RDONLY | O_CLOEXEC), fds[253];
	struct loop_chan *c;
	unsigned before;

	for (unsigned i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = nul;
	assert_int_equal(loop_chan_pair(pair), 0);
	assert_int_equal(loop_chan_open(l, pair[0], on_msg, NULL, &c), 0);
	before = open_fds();
	raw(pair[1], "x", 1, NULL, 0);
	raw(pair[1], "\1\0\0\0\1\0\0\0\5\0\0\0abcd", 16, NULL, 0);           /* body shorter than said */
	raw(pair[1], "\1\0\0\0\1\0\0\0\3\0\0\0abcd", 16, NULL, 0);           /* and longer */
	raw(pair[1], "\1\0\1\0\1\0\0\0\4\0\0\0abcd", 16, NULL, 0);           /* a descriptor said, none there */
	raw(pair[1], "\1\0\0\0\1\0\0\0\4\0\0\0abcd", 16, fds, 2);            /* descriptors there, none said */
	raw(pair[1], "\1\0\375\0\1\0\0\0\4\0\0\0abcd", 16, fds, 253);        /* more than allowed */
	raw(pair[1], big, sizeof(big), fds, 1);
	loop_turn(l, 0);
	assert_int_equal(got.msgs, 0);
	assert_int_equal(base_counters[COUNTER_IPC_BAD] - bad, 7);
	assert_int_equal(open_fds(), before);
	/* and it still works */
	raw(pair[1], "\1\0\0\0\1\0\0\0\4\0\0\0abcd", 16, NULL, 0);
	loop_turn(l, 0);
	assert_int_equal(got.msgs, 1);
	loop_chan_close(c);
	close(pair[1]);
	close(nul);
}

/* descriptors that do not fit our limit: control data is cut, nothing leaks */
static void truncated_control(void **state)
{
	struct rlimit keep, low;
	int fds[20], nul = open("/dev/null", O_RDONLY | O_CLOEXEC);
	uint64_t bad = base_counters[COUNTER_IPC_BAD];
	unsigned before = open_fds();

	for (unsigned i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = nul;
	assert_int_equal(loop_chan_send(a, 1, 1, SLICE("x"), fds, ARRAY_LEN(fds)), 0);
	getrlimit(RLIMIT_NOFILE, &keep);
	low = keep;
	low.rlim_cur = (rlim_t)nul + 6;
	setrlimit(RLIMIT_NOFILE, &low);
	loop_turn(l, 0);
	setrlimit(RLIMIT_NOFILE, &keep);
	assert_int_equal(got.msgs, 0);
	assert_int_equal(base_counters[COUNTER_IPC_BAD] - bad, 1);
	assert_int_equal(open_fds(), before);
	close(nul);
}

static void queue_keeps_order_and_is_bounded(void **state)
{
	static char body[20000];
	uint32_t sent = 0;
	int err, nul = open("/dev/null", O_RDONLY | O_CLOEXEC);

	for (;;) {
		err = loop_chan_send(a, 1, sent + 1, (struct slice){ body, sizeof(body) }, &nul, 1);
		if (err)
			break;
		sent++;
	}
	assert_int_equal(err, ERR_FULL);
	assert_false(loop_chan_idle(a));
	assert_true(sent > 100);
	for (int i = 0; i < 1000 && got.msgs < sent; i++)
		loop_turn(l, 0);
	assert_int_equal(got.msgs, sent);
	assert_int_equal(got.order_broken, 0);
	assert_true(loop_chan_idle(a));
	loop_turn(l, 0);
	assert_int_equal(loop_chan_send(a, 1, sent + 1, SLICE(""), NULL, 0), 0);
	loop_turn(l, 0);
	assert_int_equal(got.msgs, sent + 1);
	close(nul);
}

static void the_other_end_goes(void **state)
{
	int nul = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_int_equal(loop_chan_send(b, 1, 1, SLICE("last words"), &nul, 1), 0);
	loop_chan_close(b);
	b = NULL;
	assert_int_equal(loop_chan_send(a, 1, 1, SLICE("too late"), NULL, 0), ERR_GONE);
	loop_turn(l, 0);
	assert_int_equal(got.msgs, 1);
	assert_int_equal(got.gone, 1);
	loop_turn(l, 0);
	assert_int_equal(got.gone, 1);
	assert_int_equal(loop_chan_send(a, 1, 1, SLICE("x"), NULL, 0), ERR_GONE);
	close(nul);
}

static void closed_in_its_callback(void **state)
{
	int nul = open("/dev/null", O_RDONLY | O_CLOEXEC);

	got.close_on_first = true;
	assert_int_equal(loop_chan_send(a, 1, 1, SLICE("x"), &nul, 1), 0);
	assert_int_equal(loop_chan_send(a, 1, 2, SLICE("x"), &nul, 1), 0);
	loop_turn(l, 0);
	assert_int_equal(got.msgs, 1);
	close(nul);
}

static void close_with_a_full_queue(void **state)
{
	static char body[60000];

	while (loop_chan_send(a, 1, 1, (struct slice){ body, sizeof(body) }, NULL, 0) == 0)
		;
	assert_false(loop_chan_idle(a));
}

static void other_sockets_are_refused(void **state)
{
	struct loop_chan *c;
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	assert_int_equal(loop_chan_open(l, fd[0], on_msg, NULL, &c), -EINVAL);
	close(fd[0]);
	close(fd[1]);
	assert_int_equal(loop_chan_pair(fd), 0);
	for (long n = 1; n < 4; n++) {
		base_alloc_fail_after(n);
		assert_int_equal(loop_chan_open(l, fd[0], on_msg, NULL, &c), -ENOMEM);
	}
	base_alloc_fail_after(0);
	close(fd[0]);
	close(fd[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(bodies, setup, teardown),
		cmocka_unit_test_setup_teardown(descriptors_250, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_datagrams_are_dropped, setup, teardown),
		cmocka_unit_test_setup_teardown(truncated_control, setup, teardown),
		cmocka_unit_test_setup_teardown(queue_keeps_order_and_is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(the_other_end_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(closed_in_its_callback, setup, teardown),
		cmocka_unit_test_setup_teardown(close_with_a_full_queue, setup, teardown),
		cmocka_unit_test_setup_teardown(other_sockets_are_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
