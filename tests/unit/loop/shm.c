/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State memory and blobs: seals, rights, and directories that are torn.
 */
#define _GNU_SOURCE /* memfd_create, seals */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "postern/loop.h"

static const struct loop_shm_spec spec[] = { { REGION_COUNTERS, COUNTER_COUNT * 8 }, { REGION_RING, 100001 }, { REGION_CALLS, 64 } };

static int block(void)
{
	int fd;

	assert_int_equal(loop_shm_create("test", spec, ARRAY_LEN(spec), &fd), 0);
	return fd;
}

static void regions(void **state)
{
	int fd = block(), ro = loop_shm_reopen_ro(fd);
	struct loop_shm m, r;
	struct stat st;
	uint8_t *p, *q;
	size_t n;

	assert_true(ro >= 0);
	assert_int_equal(loop_shm_map(fd, true, &m), 0);
	assert_int_equal(loop_shm_map(ro, false, &r), 0);
	assert_int_equal(loop_shm_map(ro, true, &r), -EACCES);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	for (unsigned i = 0; i < ARRAY_LEN(spec); i++) {
		p = loop_shm_region(&m, spec[i].id, &n);
		q = loop_shm_region(&r, spec[i].id, NULL);
		assert_non_null(p);
		assert_int_equal((uintptr_t)p % 64, 0);
		assert_int_equal(n, spec[i].bytes);
		memset(p, (int)i + 1, n);
		assert_int_equal(q[n - 1], i + 1);
	}
	p = loop_shm_region(&m, REGION_COUNTERS, NULL);
	assert_int_equal(p[spec[0].bytes - 1], 1);
	assert_null(loop_shm_region(&m, REGION_SLOTS, &n));
	assert_int_equal(loop_shm_check(&m), 0);
	/* the size stays, and nobody can lock the writer out */
	assert_true(ftruncate(fd, 10) < 0);
	assert_true(ftruncate(fd, 1 << 20) < 0);
	assert_true(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) < 0);
	assert_true(fcntl(m.fd, F_GETFD) & FD_CLOEXEC);
	loop_shm_unmap(&r);
	loop_shm_unmap(&m);
	loop_shm_unmap(&m);
	assert_null(loop_shm_region(&m, REGION_RING, NULL));
	close(ro);
	close(fd);
}

static void bad_specs(void **state)
{
	const struct loop_shm_spec twice[] = { { 1, 8 }, { 1, 8 } }, none[] = { { 1, 0 } }, huge[] = { { 1, SIZE_MAX } };
	int fd = -1;

	assert_int_equal(loop_shm_create("x", twice, 2, &fd), ERR_EXISTS);
	assert_int_equal(loop_shm_create("x", none, 1, &fd), ERR_RANGE);
	assert_int_equal(loop_shm_create("x", huge, 1, &fd), ERR_RANGE);
	assert_int_equal(loop_shm_create("x", twice, 0, &fd), ERR_RANGE);
	assert_int_equal(fd, -1);
}

/* each 32-bit word of the directory in turn, replaced by wild values: refused, or a region within the block */
static void torn_directories(void **state)
{
	static const uint32_t wild[] = { 0, 1, 0x7fffffff, 0x80000000, 0xffffffff };
	int fd = block();
	struct loop_shm m, again;
	unsigned refused = 0;
	uint32_t *word, keep;
	size_t n;

	assert_int_equal(loop_shm_map(fd, true, &m), 0);
	word = (uint32_t *)(void *)m.base;
	for (unsigned i = 0; i < 6 + 3 * 6; i++) {
		keep = word[i];
		for (unsigned v = 0; v < ARRAY_LEN(wild); v++) {
			word[i] = wild[v];
			if (loop_shm_map(fd, false, &again) == 0)
				loop_shm_unmap(&again);
			else
				refused++;
			for (unsigned id = 0; id < 10; id++) {
				uint8_t *p = loop_shm_region(&m, id, &n);

				assert_true(!p || (p > m.base && n <= m.bytes - (size_t)(p - m.base)));
			}
		}
		word[i] = keep;
	}
	assert_true(refused > 40);
	assert_int_equal(loop_shm_map(fd, false, &again), 0);
	loop_shm_unmap(&again);
	loop_shm_unmap(&m);
	close(fd);
}

static void foreign_memory(void **state)
{
	struct loop_shm m;
	struct slice s;
	int fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING), fds[2];

	assert_int_equal(ftruncate(fd, 65536), 0);
	assert_int_equal(loop_shm_map(fd, false, &m), ERR_TORN); /* could be cut under us */
	assert_int_equal(loop_blob_map(fd, &s), ERR_TORN);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
	assert_int_equal(loop_shm_map(fd, false, &m), ERR_TORN);
	close(fd);
	assert_int_equal(loop_shm_map(fd, false, &m), -EBADF);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(loop_shm_map(fds[0], false, &m), ERR_TORN);
	close(fds[0]);
	close(fds[1]);
}

static void blobs(void **state)
{
	struct slice s;
	int fd;

	assert_int_equal(loop_blob_create("conf", SLICE("{\"a\":1}"), &fd), 0);
	assert_int_equal(loop_blob_map(fd, &s), 0);
	assert_true(slice_eq(s, SLICE("{\"a\":1}")));
	assert_true(write(fd, "x", 1) < 0);
	assert_true(ftruncate(fd, 0) < 0);
	munmap((void *)(uintptr_t)s.p, s.n);
	close(fd);
	assert_int_equal(loop_blob_create("conf", SLICE(""), &fd), 0);
	assert_int_equal(loop_blob_map(fd, &s), 0);
	assert_int_equal(s.n, 0);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(regions), cmocka_unit_test(bad_specs), cmocka_unit_test(torn_directories),
		cmocka_unit_test(foreign_memory), cmocka_unit_test(blobs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
