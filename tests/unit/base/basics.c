/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base: errors, slices, objects, hash, clocks, random, log, cursors, text, addresses, counters.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "postern/base.h"

static void errors_have_texts(void **state)
{
	for (int e = ERR_PROTO; e > ERR_LAST; e--) {
		assert_string_not_equal(base_strerror(e), "unknown error");
		for (int f = ERR_PROTO; f > e; f--)
			assert_string_not_equal(base_strerror(e), base_strerror(f));
	}
	assert_string_equal(base_strerror(0), "success");
	assert_string_equal(base_strerror(-ENOENT), "No such file or directory");
	assert_string_equal(base_strerror(ERR_LAST), "unknown error");
	assert_string_equal(base_strerror(-900), "unknown error");
}

static void slices(void **state)
{
	char buf[4];
	uint64_t v = 1;

	assert_true(slice_eq(SLICE("ab"), slice_str("ab")));
	assert_false(slice_eq(SLICE("ab"), SLICE("aB")));
	assert_true(slice_eq_nocase(SLICE("INVITE[@"), SLICE("invite[@")));
	assert_false(slice_eq_nocase(SLICE("["), SLICE("{")));
	assert_true(slice_eq((struct slice){ NULL, 0 }, SLICE("")));
	assert_true(slice_copy(buf, sizeof(buf), SLICE("abc")));
	assert_false(slice_copy(buf, sizeof(buf), SLICE("abcd")));
	assert_string_equal(buf, "abc");
	assert_int_equal(slice_u64(SLICE("65535"), 65535, &v), 0);
	assert_int_equal(v, 65535);
	assert_int_equal(slice_u64(SLICE("65536"), 65535, &v), ERR_RANGE);
	assert_int_equal(slice_u64(SLICE("18446744073709551615"), UINT64_MAX, &v), 0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(slice_u64(SLICE("18446744073709551616"), UINT64_MAX, &v), ERR_RANGE);
	assert_int_equal(slice_u64(SLICE("99999999999999999999x"), UINT64_MAX, &v), ERR_PROTO);
	assert_int_equal(slice_u64(SLICE(""), 9, &v), ERR_PROTO);
	assert_int_equal(slice_u64(SLICE("-1"), 9, &v), ERR_PROTO);
}

static int destroyed;

static void destroy(void *obj)
{
	base_ref(obj);
	base_unref(obj);
	destroyed++;
}

static void objects(void **state)
{
	size_t live = base_live();
	char *o = base_new(100, destroy);

	assert_non_null(o);
	assert_int_equal((uintptr_t)o % 16, 0);
	assert_int_equal(o[99], 0);
	assert_int_equal(base_live(), live + 1);
	assert_ptr_equal(base_ref(o), o);
	assert_null(base_unref(o));
	assert_int_equal(destroyed, 0);
	assert_null(base_unref(o));
	assert_int_equal(destroyed, 1);
	assert_int_equal(base_live(), live);
	assert_null(base_unref(NULL));
	base_alloc_fail_after(2);
	o = base_dup(SLICE("x"));
	assert_string_equal(o, "x");
	assert_null(base_alloc(1));
	free(o);
	base_alloc_fail_after(1);
	assert_null(base_new(1, NULL));
	base_alloc_fail_after(0);
	assert_int_equal(base_live(), live);
}

static void broken_invariant_exits(void **state)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		close(2);
		must(1 + 1 == 3);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 70);
}

struct item { struct hash_node node; unsigned v; };

static void hash_grows_and_finds(void **state)
{
	static struct item item[5000];
	struct hash h;
	struct hash_node *n;

	assert_int_equal(base_hash_init(&h, 3), 0);
	for (unsigned i = 0; i < ARRAY_LEN(item); i++) {
		item[i].v = i;
		base_hash_add(&h, &item[i].node, i / 2);
	}
	assert_int_equal(h.count, ARRAY_LEN(item));
	assert_true(h.size >= 4096);
	for (unsigned i = 0; i < ARRAY_LEN(item) / 2; i++) {
		unsigned seen = 0;

		for (n = base_hash_find(&h, i); n; n = n->next)
			seen += n->key == i;
		assert_int_equal(seen, 2);
	}
	for (unsigned i = 0; i < ARRAY_LEN(item); i++)
		base_hash_del(&h, &item[i].node);
	base_hash_del(&h, &item[0].node);
	assert_int_equal(h.count, 0);
	assert_null(base_hash_find(&h, 1));
	base_alloc_fail_after(1);
	for (unsigned i = 0; i < 100; i++)
		base_hash_add(&h, &item[i].node, i);
	base_alloc_fail_after(0);
	assert_non_null(base_hash_find(&h, 99));
	base_hash_fini(&h);
	assert_null(base_hash_find(&h, 99));
	base_alloc_fail_after(1);
	assert_int_equal(base_hash_init(&h, 3), -ENOMEM);
}

static void hash_of_bytes(void **state)
{
	char a[32] = "call-id@example";
	uint32_t first = base_hash_bytes(a, sizeof(a), 1);

	assert_int_equal(base_hash_bytes(a, sizeof(a), 1), first);
	assert_int_not_equal(base_hash_bytes(a, sizeof(a), 2), first);
	assert_int_not_equal(base_hash_bytes(a, sizeof(a) - 1, 1), first);
	for (unsigned i = 0; i < sizeof(a); i++) {
		a[i] ^= 1;
		assert_int_not_equal(base_hash_bytes(a, sizeof(a), 1), first);
		a[i] ^= 1;
	}
	base_hash_bytes(NULL, 0, 0);
}

static void times_print(void **state)
{
	char buf[32];

	assert_string_equal(base_time_rfc3339(0, buf), "");
	assert_string_equal(base_time_rfc3339(1, buf), "1970-01-01T00:00:00.001Z");
	assert_string_equal(base_time_rfc3339(951782400000 - 1, buf), "2000-02-28T23:59:59.999Z");
	assert_string_equal(base_time_rfc3339(951782400000, buf), "2000-02-29T00:00:00.000Z");
	assert_string_equal(base_time_rfc3339(1795276799123, buf), "2026-11-21T15:59:59.123Z");
	assert_string_equal(base_time_rfc3339(4107542400000, buf), "2100-03-01T00:00:00.000Z");
	assert_string_equal(base_time_rfc3339(253402300799999, buf), "9999-12-31T23:59:59.999Z");
	assert_string_equal(base_time_rfc3339(253402300800000, buf), "");
}

static void random_is_not_shared_after_fork(void **state)
{
	uint8_t mine[16], theirs[16], first[16];
	int fd[2], status;
	pid_t pid;
	char token[34];

	base_random(first, sizeof(first));
	assert_int_equal(pipe(fd), 0);
	pid = fork();
	if (pid == 0) {
		base_random(mine, sizeof(mine));
		_exit(write(fd[1], mine, sizeof(mine)) == sizeof(mine) ? 0 : 1);
	}
	base_random(mine, sizeof(mine));
	assert_int_equal(read(fd[0], theirs, sizeof(theirs)), sizeof(theirs));
	waitpid(pid, &status, 0);
	assert_memory_not_equal(mine, theirs, sizeof(mine));
	assert_memory_not_equal(mine, first, sizeof(mine));
	close(fd[0]);
	close(fd[1]);
	base_random_token(token, sizeof(token));
	assert_int_equal(strlen(token), sizeof(token) - 1);
	assert_int_equal(strspn(token, "0123456789abcdef"), sizeof(token) - 1);
	base_random_token(token, 1);
	assert_string_equal(token, "");
}

static void random_below_covers_all(void **state)
{
	unsigned seen[10] = { 0 };

	for (int i = 0; i < 2000; i++) {
		uint32_t v = base_random_below(10);

		assert_true(v < 10);
		seen[v]++;
	}
	for (int i = 0; i < 10; i++)
		assert_true(seen[i] > 100);
	assert_int_equal(base_random_below(1), 0);
}

/* what f writes to stderr */
static size_t captured(void (*f)(void), char *buf, size_t size)
{
	int fd[2], keep = dup(2);
	ssize_t n;

	assert_int_equal(pipe(fd), 0);
	dup2(fd[1], 2);
	f();
	dup2(keep, 2);
	close(keep);
	close(fd[1]);
	n = read(fd[0], buf, size - 1);
	close(fd[0]);
	assert_true(n >= 0);
	buf[n] = 0;
	return (size_t)n;
}

static void log_hostile(void)
{
	base_log(BASE_WARN, "sipua", "from=%s", "a\r\nerror engine x forged\x1b[0m\xc3\xa4");
	base_log(BASE_DEBUG, "sipua", "not on");
}

static void log_long(void)
{
	static char big[5000];

	memset(big, 'x', sizeof(big) - 1);
	base_log(BASE_INFO, "sipua", "%s", big);
	memset(big, '\n', sizeof(big) - 1);
	base_log(BASE_INFO, "sipua", "%s", big);
}

static void log_gate(void)
{
	for (int i = 0; i < 10; i++) {
		if (i == 7)
			base_clock_advance_ms(1000);
		base_log_limited(BASE_INFO, 2, "sipua", "n=%d", i);
	}
}

static void log_lines(void **state)
{
	char buf[8192];
	enum base_level level;

	base_log_init("engine", BASE_INFO);
	captured(log_hostile, buf, sizeof(buf));
	assert_string_equal(buf, "warn engine sipua from=a\\x0d\\x0aerror engine x forged\\x1b[0m\\xc3\\xa4\n");
	assert_true(captured(log_long, buf, sizeof(buf)) < sizeof(buf) - 1);
	assert_ptr_equal(strchr(strchr(buf, '\n') + 1, '\n'), buf + strlen(buf) - 1);
	base_clock_fake(5000000, 1000);
	captured(log_gate, buf, sizeof(buf));
	assert_string_equal(buf, "info engine sipua n=0\ninfo engine sipua n=1\ninfo engine sipua held back 5 lines like the next\n"
				 "info engine sipua n=7\ninfo engine sipua n=8\n");
	assert_int_equal(base_log_level_parse(SLICE("debug"), &level), 0);
	assert_int_equal(level, BASE_DEBUG);
	assert_int_equal(base_log_level_parse(SLICE("loud"), &level), ERR_PROTO);
	assert_false(base_log_on(BASE_DEBUG));
}

static void cursors_are_sticky(void **state)
{
	uint8_t buf[32];
	struct writer w = writer_on(buf, sizeof(buf));
	struct reader r;

	wr_u8(&w, 1);
	wr_u16(&w, 0x0203);
	wr_u32(&w, 0x04050607);
	wr_u64(&w, 0x08090a0b0c0d0e0f);
	wr_slice(&w, SLICE("abc"));
	assert_false(w.bad);
	assert_int_equal(wr_len(&w), 22);
	assert_int_equal(buf[1], 3);
	r = reader_on(buf, wr_len(&w));
	assert_int_equal(rd_u8(&r), 1);
	assert_int_equal(rd_u16(&r), 0x0203);
	assert_int_equal(rd_u32(&r), 0x04050607);
	assert_true(rd_u64(&r) == 0x08090a0b0c0d0e0f);
	assert_true(slice_eq(rd_slice(&r), SLICE("abc")));
	assert_false(r.bad);
	assert_int_equal(rd_u8(&r), 0);
	assert_true(r.bad);
	r = reader_on("\xff\xff\xff\xff" "abc", 7);
	assert_int_equal(rd_slice(&r).n, 0);
	assert_true(r.bad);
	wr_u64(&w, 0);
	wr_u64(&w, 0);
	assert_true(w.bad);
	assert_int_equal(wr_len(&w), 30);
	wr_u8(&w, 0);
	assert_int_equal(wr_len(&w), 30);
}

/* what we print ourselves is what libc prints */
#define SAME(...) do { struct text t_ = text_on(ours, sizeof ours); text_add(&t_, __VA_ARGS__); \
	snprintf(libc, sizeof libc, __VA_ARGS__); assert_string_equal(ours, libc); assert_int_equal(t_.n, strlen(libc)); } while (0)
static void text_prints(void **state)
{
	char ours[200], libc[200];

	(void)state;
	SAME("plain");
	SAME("%s|%d|%d|%u|%c|%x", "abc", -7, 0, 4000000000u, 'z', 0xbeefu);
	SAME("%.*s-%zu-%lld-%llu", 3, "abcdef", (size_t)12, -9223372036854775807ll - 1, 18446744073709551615ull);
	SAME("%.1f %5d %s %%", 2.55, 12, "rest");
	SAME("%d", -2147483647 - 1);
}

static void text_cuts(void **state)
{
	char buf[8];
	struct text t = text_on(buf, sizeof(buf));

	text_add(&t, "%d", 123);
	text_slice(&t, SLICE("456"));
	assert_false(t.cut);
	text_add(&t, "%s", "789");
	assert_true(t.cut);
	text_slice(&t, SLICE("x"));
	assert_string_equal(buf, "1234567");
	assert_int_equal(text_get(&t).n, 7);
}

static void addresses(void **state)
{
	static const struct { const char *in, *out; } row[] = {
		{ "192.0.2.1", "192.0.2.1:5060" }, { "0.0.0.0", "0.0.0.0:5060" }, { "::1", "[::1]:5060" }, { "[2001:db8::A]", "[2001:db8::a]:5060" },
		{ "192.0.2", NULL }, { "[192.0.2.1]", NULL }, { "[::1", NULL }, { "", NULL }, { "[]", NULL }, { "fe80::1%eth0", NULL },
		{ "example.com", NULL }, { "1.2.3.4.5", NULL }, { "1.2.3.256", NULL },
		{ "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000", NULL },
	};
	static const char *const odd[] = { "1.2.3.", "1..2.3", ".1.2.3", "01.2.3.4", "1.2.3.04", "1.2.3.4 ", " 1.2.3.4", "1.2.3.-4", "1.2.3.4444444444", "1,2,3,4", ":", "1.2.3.4:5" };
	static const struct { const char *in; bool is_private; } nets[] = {
		{ "10.255.0.1", true }, { "11.0.0.1", false }, { "172.15.9.9", false }, { "172.16.0.1", true }, { "172.31.255.255", true }, { "172.32.0.1", false },
		{ "192.168.1.1", true }, { "192.169.1.1", false }, { "100.64.0.1", true }, { "100.127.0.1", true }, { "100.128.0.1", false }, { "169.254.3.4", true },
		{ "fc00::1", true }, { "fdff::1", true }, { "fe80::1", true }, { "febf::1", true }, { "fec0::1", false }, { "2001:db8::1", false }, { "127.0.0.1", false },
	};
	union base_addr a, b, net;
	unsigned i;
	char buf[56];

	for (i = 0; i < ARRAY_LEN(row); i++) {
		int err = base_addr_parse(slice_str(row[i].in), 5060, &a);

		assert_int_equal(err, row[i].out ? 0 : ERR_PROTO);
		if (row[i].out)
			assert_string_equal(base_addr_print(&a, buf), row[i].out);
	}
	assert_int_equal(base_addr_parse((struct slice){ "1.2.3.4\0x", 9 }, 1, &a), ERR_PROTO);
	for (i = 0; i < ARRAY_LEN(odd); i++)
		assert_int_equal(base_addr_parse(slice_str(odd[i]), 1, &a), ERR_PROTO);
	for (i = 0; i < ARRAY_LEN(nets); i++) {
		assert_int_equal(base_addr_parse(slice_str(nets[i].in), 1, &a), 0);
		assert_int_equal(base_addr_is_private(&a), nets[i].is_private);
	}
	base_addr_parse(SLICE("10.1.2.3"), 5060, &a);
	base_addr_parse(SLICE("10.1.2.3"), 5061, &b);
	assert_true(base_addr_same_host(&a, &b));
	assert_false(base_addr_eq(&a, &b));
	base_addr_set_port(&b, 5060);
	assert_true(base_addr_eq(&a, &b));
	base_addr_parse(SLICE("10.1.3.0"), 0, &net);
	assert_true(base_addr_in_net(&a, &net, 23));
	assert_false(base_addr_in_net(&a, &net, 24));
	assert_true(base_addr_in_net(&a, &net, 0));
	assert_false(base_addr_in_net(&a, &net, 33));
	base_addr_parse(SLICE("::"), 1, &b);
	assert_true(base_addr_is_any(&b));
	assert_false(base_addr_is_any(&a));
	assert_false(base_addr_in_net(&b, &net, 0));
	assert_string_equal(base_addr_host(&b, false, buf), "::");
	assert_string_equal(base_addr_host(&b, true, buf), "[::]");
	assert_int_equal(base_addr_len(&b), sizeof(struct sockaddr_in6));
}

static void counters_move(void **state)
{
	static uint64_t block[COUNTER_CELLS];

	base_count(COUNTER_IPC_BAD);
	base_count_n(COUNTER_IPC_BAD, 2);
	block[COUNTER_IPC_BAD] = 10;
	base_counters_bind(block);
	assert_int_equal(block[COUNTER_IPC_BAD], 13);
	base_count(COUNTER_IPC_BAD);
	assert_int_equal(block[COUNTER_IPC_BAD], 14);
	base_counters_bind(NULL);
	assert_int_equal(base_counters[COUNTER_IPC_BAD], 0);
	assert_null(base_counter_row(COUNTER_COUNT));
	for (unsigned i = 0; i < COUNTER_COUNT; i++) {
		const struct base_counter_row *a = base_counter_row((enum base_counter)i);

		assert_memory_equal(a->name, "postern_", 8);
		for (unsigned j = 0; j < i; j++) {
			const struct base_counter_row *b = base_counter_row((enum base_counter)j);

			assert_false(strcmp(a->name, b->name) == 0 && strcmp(a->labels, b->labels) == 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_have_texts), cmocka_unit_test(slices), cmocka_unit_test(objects),
		cmocka_unit_test(broken_invariant_exits), cmocka_unit_test(hash_grows_and_finds), cmocka_unit_test(hash_of_bytes),
		cmocka_unit_test(times_print), cmocka_unit_test(random_is_not_shared_after_fork), cmocka_unit_test(random_below_covers_all),
		cmocka_unit_test(log_lines), cmocka_unit_test(cursors_are_sticky), cmocka_unit_test(text_prints), cmocka_unit_test(text_cuts),
		cmocka_unit_test(addresses), cmocka_unit_test(counters_move),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
