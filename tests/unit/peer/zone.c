/* SPDX-License-Identifier: Apache-2.0 */
/* Time zones: what our reader of TZif files says is what the C library says, before and after the last transition of a file; broken files are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "peer/peer.h"
#include "peer/zone.h"

static int32_t library_offset(int64_t t)
{
	time_t at = (time_t)t;
	struct tm tm;

	assert_non_null(localtime_r(&at, &tm));
	return (int32_t)tm.tm_gmtoff;
}

static void same_at(const struct peer_zone *z, const char *id, int64_t t)
{
	if (peer_zone_offset(z, t) != library_offset(t))
		fail_msg("%s at %lld: %d, not %d", id, (long long)t, (int)peer_zone_offset(z, t), (int)library_offset(t));
}

/* Summer time forwards and back, of half an hour, negative, over new year, in the other hemisphere, changes at hours beyond the day, and none at all. */
static void as_the_library(void **state)
{
	static const char *const ids[] = { "UTC", "Europe/Berlin", "Europe/Dublin", "America/New_York", "America/Nuuk", "America/Sao_Paulo", "America/Santiago",
		"Asia/Kolkata", "Asia/Gaza", "Asia/Kathmandu", "Australia/Lord_Howe", "Australia/Sydney", "Africa/Casablanca", "Africa/Cairo", "Antarctica/Troll",
		"Pacific/Apia", "Pacific/Chatham", "Etc/GMT+5" };
	size_t live = base_live(), i;
	unsigned k;
	int64_t t;

	for (i = 0; i < ARRAY_LEN(ids); i++) {
		struct peer_zone *z;

		assert_int_equal(peer_zone_load(ids[i], &z), 0);
		assert_int_equal(setenv("TZ", ids[i], 1), 0);
		tzset();
		for (t = 631152000; t < 2871763200; t += 11 * 3600 + 7) /* 1990 to 2061 */
			same_at(z, ids[i], t);
		for (k = 0; k < z->n; k++) {
			if (z->at[k] < 631152000)
				continue;
			same_at(z, ids[i], z->at[k] - 1);
			same_at(z, ids[i], z->at[k]);
		}
		peer_zone_free(z);
	}
	assert_int_equal(base_live(), live);
}

/* The very second of a change that no transition of the file covers. */
static void by_the_rule(void **state)
{
	static const struct { int64_t t; int32_t offset; } rows[] = {
		{ 2216249999, 3600 }, { 2216250000, 7200 }, /* 2040-03-25 01:00 UTC */
		{ 2234998799, 7200 }, { 2234998800, 3600 }, /* 2040-10-28 01:00 UTC */
	};
	struct peer_zone *z;
	size_t i;

	assert_int_equal(peer_zone_load("Europe/Berlin", &z), 0);
	assert_true(z->has_rule && z->has_summer);
	for (i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(peer_zone_offset(z, rows[i].t), rows[i].offset);
	peer_zone_free(z);
}

static void no_zones(void **state)
{
	static const char *const ids[] = { "", "/", "Europe", "Europe/", "/Europe/Berlin", "Europe//Berlin", "Europe/Nowhere", "../zoneinfo/Europe/Berlin", "./UTC", "CEST", "tzdata.zi",
		"leapseconds", "right/Europe/Berlin", "Europe/Berlin ", "+02:00", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };
	struct peer_zone *z = NULL;
	size_t i;

	for (i = 0; i < ARRAY_LEN(ids); i++)
		if (!peer_zone_load(ids[i], &z))
			fail_msg("\"%s\" is a zone", ids[i]);
	assert_null(z);
}

static int parsed(const unsigned char *data, size_t n)
{
	struct peer_zone *z = calloc(1, sizeof *z);
	unsigned char *exact = malloc(n ? n : 1); /* a byte beyond its end is a finding */
	int err;

	assert_non_null(z);
	assert_non_null(exact);
	memcpy(exact, data, n);
	err = peer_zone_parse(exact, n, z);
	if (!err)
		(void)peer_zone_offset(z, 4102444800);
	free(exact);
	peer_zone_free(z);
	return err;
}

static void broken_files(void **state)
{
	unsigned char data[8192];
	FILE *f = fopen("/usr/share/zoneinfo/Europe/Berlin", "re");
	size_t n, i;

	assert_non_null(f);
	n = fread(data, 1, sizeof data, f);
	(void)fclose(f);
	assert_in_range(n, 100, sizeof data - 1);
	assert_int_equal(parsed(data, n), 0);
	for (i = 0; i < n; i++)
		assert_int_not_equal(parsed(data, i), 0);
	for (i = 0; i < n; i++) {
		unsigned char was = data[i];

		data[i] = 0xff;
		(void)parsed(data, n);
		data[i] = (unsigned char)(was ^ 1);
		(void)parsed(data, n);
		data[i] = was;
	}
	data[4] = 0; /* version 1 */
	assert_int_equal(parsed(data, n), ERR_PROTO);
}

static void minutes(void **state)
{
	static const struct { const char *text; int minute; } rows[] = { { "00:00", 0 }, { "08:30", 510 }, { "23:59", 1439 }, { "24:00", 1440 }, { "24:01", -1 }, { "25:00", -1 },
		{ "8:30", -1 }, { "08:60", -1 }, { "08.30", -1 }, { "", -1 }, { "-1:00", -1 }, { "08:3x", -1 }, { "08:300", -1 } };
	unsigned minute;
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		int err = peer_minute_parse(rows[i].text, &minute);

		if (rows[i].minute < 0 ? !err : err || minute != (unsigned)rows[i].minute)
			fail_msg("\"%s\"", rows[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_the_library), cmocka_unit_test(by_the_rule), cmocka_unit_test(no_zones), cmocka_unit_test(broken_files), cmocka_unit_test(minutes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
