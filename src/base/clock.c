/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clocks: monotonic and wall, and the fake ones that tests turn by hand.
 */
#include <time.h>

#include "postern/base.h"

static bool fake;
static int64_t fake_mono_us, fake_wall_ms;

struct mono base_mono_now(void)
{
	struct timespec ts;

	if (__builtin_expect(fake, 0))
		return (struct mono){ fake_mono_us };
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (struct mono){ (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000 };
}

int64_t base_wall_ms(void)
{
	struct timespec ts;

	if (__builtin_expect(fake, 0))
		return fake_wall_ms;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t base_wall_us(void)
{
	struct timespec ts;

	if (__builtin_expect(fake, 0))
		return fake_wall_ms * 1000;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void base_clock_fake(int64_t mono_us, int64_t wall_ms)
{
	fake = true;
	fake_mono_us = mono_us;
	fake_wall_ms = wall_ms;
}

void base_clock_advance_ms(int64_t ms)
{
	fake_mono_us += ms * 1000;
	fake_wall_ms += ms;
}

bool base_clock_is_fake(void)
{
	return fake;
}

static char *digits(char *p, unsigned v, unsigned n)
{
	for (unsigned i = n; i-- > 0; v /= 10)
		p[i] = (char)('0' + v % 10);
	return p + n;
}

/* Own arithmetic and not gmtime_r: that one takes libc's time zone lock. Days are counted from 0000-03-01, so that leap days end a year. */
const char *base_time_rfc3339(int64_t wall_ms, char buf[static 32])
{
	unsigned ms, s, era, doe, yoe, doy, mp, year, month;
	int64_t days;
	char *p = buf;

	*p = 0;
	if (wall_ms <= 0 || wall_ms >= 253402300800000) /* year 10000 */
		return buf;
	ms = (unsigned)(wall_ms % 86400000);
	days = wall_ms / 86400000 + 719468;
	era = (unsigned)(days / 146097);
	doe = (unsigned)(days % 146097);
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	mp = (5 * doy + 2) / 153;
	month = mp < 10 ? mp + 3 : mp - 9;
	year = yoe + era * 400 + (month <= 2);
	s = ms / 1000;
	p = digits(p, year, 4);
	*p++ = '-';
	p = digits(p, month, 2);
	*p++ = '-';
	p = digits(p, doy - (153 * mp + 2) / 5 + 1, 2);
	*p++ = 'T';
	p = digits(p, s / 3600, 2);
	*p++ = ':';
	p = digits(p, s / 60 % 60, 2);
	*p++ = ':';
	p = digits(p, s % 60, 2);
	*p++ = '.';
	p = digits(p, ms % 1000, 3);
	*p++ = 'Z';
	*p = 0;
	return buf;
}

/** As many digits as `n`; false: they are not there, or too much. */
static bool number(struct slice *s, size_t n, unsigned least, unsigned most, unsigned *ret)
{
	uint64_t v;

	if (s->n < n || slice_u64((struct slice){ s->p, n }, most, &v) || v < least)
		return false;
	*ret = (unsigned)v;
	s->p += n;
	s->n -= n;
	return true;
}

static bool mark(struct slice *s, const char *any)
{
	if (!s->n || !strchr(any, s->p[0]))
		return false;
	s->p++;
	s->n--;
	return true;
}

/** `.123456` as milliseconds. */
static unsigned fraction(struct slice *s)
{
	unsigned ms = 0, scale = 100;

	if (!mark(s, "."))
		return 0;
	for (; s->n && s->p[0] >= '0' && s->p[0] <= '9'; s->p++, s->n--, scale /= 10)
		ms += scale * (unsigned)(s->p[0] - '0');
	return ms;
}

/** `Z` or `+01:30` to the end, in minutes. */
static bool zone(struct slice *s, int *ret)
{
	bool west = s->n && s->p[0] == '-';
	unsigned h, m;

	*ret = 0;
	if (mark(s, "Zz"))
		return !s->n;
	if (!mark(s, "+- ") || !number(s, 2, 0, 23, &h) || !mark(s, ":") || !number(s, 2, 0, 59, &m))
		return false;
	*ret = (int)(h * 60 + m) * (west ? -1 : 1);
	return !s->n;
}

int64_t base_time_parse(struct slice s)
{
	unsigned year, month, day, hour, minute, second, ms, era_year, of_year;
	int64_t days;
	int off;

	if (!number(&s, 4, 1970, 9999, &year) || !mark(&s, "-") || !number(&s, 2, 1, 12, &month) || !mark(&s, "-") || !number(&s, 2, 1, 31, &day) || !mark(&s, "Tt ") ||
	    !number(&s, 2, 0, 23, &hour) || !mark(&s, ":") || !number(&s, 2, 0, 59, &minute) || !mark(&s, ":") || !number(&s, 2, 0, 60, &second))
		return 0;
	ms = fraction(&s);
	if (!zone(&s, &off))
		return 0;
	year -= month < 3;
	era_year = year % 400;
	of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
	days = (int64_t)(year / 400) * 146097 + era_year * 365 + era_year / 4 - era_year / 100 + of_year - 719468;
	return (((days * 24 + hour) * 60 + minute - off) * 60 + second) * 1000 + ms;
}
