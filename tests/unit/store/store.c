/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The database: revisions with files, CDRs in order and without doubles, damage, reopening.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <cmocka.h>

#include "postern/store.h"

static char dir[64], path[96];

static int setup(void **state)
{
	memcpy(dir, "store-test-XXXXXX", 18);
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof path, "%s/postern.db", dir);
	return 0;
}

static int teardown(void **state)
{
	static const char *const tail[] = { "", "-wal", "-shm" };
	char name[128];

	for (size_t i = 0; i < ARRAY_LEN(tail); i++) {
		snprintf(name, sizeof name, "%s%s", path, tail[i]);
		unlink(name);
	}
	return rmdir(dir);
}

static void revisions(void **state)
{
	struct store_file files[] = { { "key", "edge.key", SLICE("k\0ey") }, { "certificate", "edge.pem", SLICE("") } };
	struct store_revision_full *r = NULL;
	struct store *s;
	struct stat st;
	uint64_t n = 0;

	assert_int_equal(store_open(path, &s), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(store_revision_get(s, 0, &r), ERR_NOTFOUND);
	assert_int_equal(store_revision_add(s, "admin", "first", SLICE("{\"schema\":1}"), files, 2, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(store_revision_add(s, "sighup", NULL, SLICE("{}"), NULL, 0, &n), 0);
	assert_int_equal(n, 2);
	store_close(s);

	assert_int_equal(store_open(path, &s), 0);
	assert_int_equal(store_revision_get(s, 0, &r), 0);
	assert_int_equal(r->rev.number, 2);
	assert_string_equal(r->rev.user, "sighup");
	assert_int_equal(r->nfiles, 0);
	store_revision_free(r);
	assert_int_equal(store_revision_get(s, 1, &r), 0);
	assert_string_equal(r->rev.comment, "first");
	assert_true(slice_eq(r->document, SLICE("{\"schema\":1}")));
	assert_int_equal(r->nfiles, 2);
	assert_string_equal(r->files[0].kind, "certificate");
	assert_int_equal(r->files[0].bytes.n, 0);
	assert_true(slice_eq(r->files[1].bytes, SLICE("k\0ey")));
	store_revision_free(r);
	assert_int_equal(store_revision_get(s, 3, &r), ERR_NOTFOUND);
	store_close(s);
}

/* what waits for a confirmation is set, kept and cleared with the revision that makes it so */
static void pending(void **state)
{
	struct store_revision_new rev = { .user = "admin", .document = SLICE("{}"), .step = STORE_PENDING_SET };
	struct store_pending p;
	struct store *s;
	uint64_t n = 0;

	assert_int_equal(store_open(path, &s), 0);
	assert_int_equal(store_revision_newest(s, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(store_pending_get(s, &p), ERR_NOTFOUND);
	assert_int_equal(store_pending_clear(s), ERR_NOTFOUND);
	assert_int_equal(store_revision_add(s, "import", "", SLICE("{}"), NULL, 0, &n), 0);
	rev.pending = (struct store_pending){ .previous = 1, .deadline_ms = 1234 };
	assert_int_equal(store_revision_put(s, &rev, &n), 0);
	rev.step = STORE_PENDING_KEEP;
	assert_int_equal(store_revision_put(s, &rev, &n), 0);
	store_close(s);

	assert_int_equal(store_open(path, &s), 0);
	assert_int_equal(store_pending_get(s, &p), 0);
	assert_true(p.revision == 2 && p.previous == 1 && p.deadline_ms == 1234);
	rev.step = STORE_PENDING_CLEAR;
	assert_int_equal(store_revision_put(s, &rev, &n), 0);
	assert_int_equal(store_pending_get(s, &p), ERR_NOTFOUND);
	/* one that would go back to nothing is refused whole */
	rev.step = STORE_PENDING_SET;
	rev.pending.previous = 99;
	assert_int_not_equal(store_revision_put(s, &rev, &n), 0);
	assert_int_equal(store_revision_newest(s, &n), 0);
	assert_int_equal(n, 4);
	store_close(s);
}

static bool count_tokens(void *arg, const struct store_token *t)
{
	++*(int *)arg;
	return true;
}

static void tokens(void **state)
{
	struct store_token t = { .id = "a1", .user = "eve", .hash = "h1", .created_ms = 1, .expires_ms = 2 };
	struct store_token_known k;
	struct store *s;
	int n = 0;

	assert_int_equal(store_open(path, &s), 0);
	assert_int_equal(store_token_add(s, &t), 0);
	assert_int_equal(store_token_add(s, &t), ERR_EXISTS);
	assert_int_equal(store_token_get(s, "h2", &k), ERR_NOTFOUND);
	assert_int_equal(store_token_used(s, "a1", 77), 0);
	assert_int_equal(store_token_get(s, "h1", &k), 0);
	assert_string_equal(k.user, "eve");
	assert_true(k.expires_ms == 2 && k.used_ms == 77);
	assert_int_equal(store_tokens_each(s, "adam", count_tokens, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(store_tokens_each(s, NULL, count_tokens, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(store_token_del(s, "adam", "a1"), ERR_NOTFOUND);
	assert_int_equal(store_token_del(s, "eve", "a1"), 0);
	assert_int_equal(store_token_get(s, "h1", &k), ERR_NOTFOUND);
	store_close(s);
}

static bool last_audit(void *arg, const struct store_audit *e)
{
	*(int *)arg = e->status;
	return false;
}

static void audit(void **state)
{
	struct store_audit e = { .time_ms = 1, .user = "eve", .address = "127.0.0.1", .action = "PUT", .detail = "/config", .status = 200 };
	struct store *s;
	int status = 0;

	assert_int_equal(store_open(path, &s), 0);
	assert_int_equal(store_audit_add(s, &e), 0);
	e.status = 422;
	assert_int_equal(store_audit_add(s, &e), 0);
	assert_int_equal(store_audit_each(s, 0, 10, last_audit, &status), 0);
	assert_int_equal(status, 422);
	assert_int_equal(store_audit_each(s, 2, 10, last_audit, &status), 0);
	assert_int_equal(status, 200);
	store_close(s);
}

/* a revision with the same file twice is refused whole */
static void revision_is_whole(void **state)
{
	struct store_file files[] = { { "key", "a", SLICE("1") }, { "key", "a", SLICE("2") } };
	struct store_revision_full *r;
	struct store *s;
	uint64_t n = 99;

	assert_int_equal(store_open(path, &s), 0);
	assert_true(store_revision_add(s, "admin", "", SLICE("{}"), files, 2, &n) < 0);
	assert_int_equal(n, 99);
	assert_int_equal(store_revision_get(s, 0, &r), ERR_NOTFOUND);
	store_close(s);
}

struct seen { char text[512]; uint64_t last; size_t n, stop; };

static bool see(void *arg, uint64_t cursor, struct slice json)
{
	struct seen *v = arg;

	if (v->last)
		assert_true(cursor < v->last);
	v->last = cursor;
	snprintf(v->text + strlen(v->text), sizeof v->text - strlen(v->text), "%.*s;", (int)json.n, json.p);
	return ++v->n != v->stop;
}

static void cdrs(void **state)
{
	const struct slice batch[] = { SLICE("{\"id\":\"a\",\"x\":{\"id\":\"no\"}}"), SLICE("{\"n\":[1,{}],\"id\":\"b\"}"), SLICE(" {\"v\":\"id\",\"id\" : \"c\"} ") };
	const struct slice again[] = { batch[2], SLICE("{\"id\":\"d\"}"), batch[0] };
	struct seen v = { .stop = 100 };
	char *json = NULL;
	struct store *s;

	assert_int_equal(store_open(path, &s), 0);
	assert_int_equal(store_cdrs_add(s, batch, 3), 0);
	assert_int_equal(store_cdrs_add(s, again, 3), 0);
	assert_int_equal(store_cdrs_each(s, 0, 2, see, &v), 0);
	assert_int_equal(v.n, 2);
	assert_int_equal(store_cdrs_each(s, v.last, 100, see, &v), 0);
	assert_string_equal(v.text, "{\"id\":\"d\"}; {\"v\":\"id\",\"id\" : \"c\"} ;{\"n\":[1,{}],\"id\":\"b\"};{\"id\":\"a\",\"x\":{\"id\":\"no\"}};");
	v = (struct seen){ .stop = 1 };
	assert_int_equal(store_cdrs_each(s, 0, 100, see, &v), 0);
	assert_int_equal(v.n, 1);
	assert_int_equal(store_cdr_get(s, "b", &json), 0);
	assert_string_equal(json, "{\"n\":[1,{}],\"id\":\"b\"}");
	free(json);
	assert_int_equal(store_cdr_get(s, "no", &json), ERR_NOTFOUND);
	store_close(s);
}

static void cdrs_bad(void **state)
{
	const struct slice bad[] = { SLICE(""), SLICE("[]"), SLICE("{\"id\":1}"), SLICE("{\"id\":\"x\""), SLICE("{\"id\":\"x\"]"), SLICE("{\"id\":\"x\"} {}"),
		SLICE("{\"id\":\"x"), SLICE("{\"id\":\"x\\"), SLICE("{\"a\":{\"id\":\"x\"}}"), SLICE("{\"id\":\"x\",\"a\":\"\n\"}"), SLICE("}{") };
	uint64_t before = base_counters[COUNTER_CDR_BAD];
	struct seen v = { .stop = 100 };
	struct store *s;

	assert_int_equal(store_open(path, &s), 0);
	assert_int_equal(store_cdrs_add(s, bad, ARRAY_LEN(bad)), 0);
	assert_int_equal(base_counters[COUNTER_CDR_BAD] - before, ARRAY_LEN(bad));
	assert_int_equal(store_cdrs_each(s, 0, 100, see, &v), 0);
	assert_int_equal(v.n, 0);
	store_close(s);
}

static void damaged(void **state)
{
	struct store *s = NULL;
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	for (int i = 0; i < 400; i++)
		fputs("this is no database\n", f);
	fclose(f);
	assert_int_equal(store_open(path, &s), ERR_TORN);
	assert_null(s);
	assert_true(store_open("store-test-nowhere/x/postern.db", &s) < 0);
}

/* no objects of ours stay behind */
static void leaks(void **state)
{
	assert_int_equal(base_live(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(revisions, setup, teardown),
		cmocka_unit_test_setup_teardown(pending, setup, teardown),
		cmocka_unit_test_setup_teardown(tokens, setup, teardown),
		cmocka_unit_test_setup_teardown(audit, setup, teardown),
		cmocka_unit_test_setup_teardown(revision_is_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(cdrs, setup, teardown),
		cmocka_unit_test_setup_teardown(cdrs_bad, setup, teardown),
		cmocka_unit_test_setup_teardown(damaged, setup, teardown),
		cmocka_unit_test(leaks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
