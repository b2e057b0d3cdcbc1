/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time zones: the system's TZif files (RFC 8536), read whole with the document, so that a look-up makes no system call and the process' own zone
 * stays what it is. What no transition of the file covers is reckoned by the rule in its footer (POSIX TZ, extended as RFC 8536 section 3.3.1).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer/zone.h"

#define ZONES "/usr/share/zoneinfo/"
#define FILE_MOST 65536
#define DAY 86400

/* ---- the calendar: days since 1970-01-01, a Thursday ---- */
static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }
static int64_t leaps_before(int64_t year) { return floor_div(year - 1, 4) - floor_div(year - 1, 100) + floor_div(year - 1, 400); }
static int64_t year_start(int64_t year) { return 365 * (year - 1970) + leaps_before(year) - leaps_before(1970); }

static int64_t year_of(int64_t day)
{
	int64_t year = 1970 + floor_div(day, day < 0 ? 365 : 366); /* not after it */

	while (year_start(year + 1) <= day)
		year++;
	return year;
}

static unsigned weekday(int64_t day) { return (unsigned)(day + 4 - 7 * floor_div(day + 4, 7)); }

/** First day of a month 1..13 of the year. */
static int64_t month_start(int64_t year, unsigned month)
{
	static const uint16_t before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365 };
	bool leap = leaps_before(year + 1) != leaps_before(year);

	return year_start(year) + before[month - 1] + (leap && month > 2);
}

/** Seconds since 1970, as the zone's clocks show it, at which the year's change is. */
static int64_t change_at(const struct peer_zone_change *c, int64_t year)
{
	int64_t first = month_start(year, c->month), day = first + (c->day + 7 - weekday(first)) % 7 + 7 * (c->week - 1);

	if (day >= month_start(year, c->month + 1u)) /* week 5 is the last one */
		day -= 7;
	return day * DAY + c->seconds;
}

static int32_t rule_offset(const struct peer_zone *z, int64_t t)
{
	int64_t year, begin, end;

	if (!z->has_summer)
		return z->standard;
	year = year_of(floor_div(t + z->standard, DAY));
	begin = change_at(&z->begin, year) - z->standard;
	end = change_at(&z->end, year) - z->summer;
	if (begin < end)
		return t >= begin && t < end ? z->summer : z->standard;
	return t >= end && t < begin ? z->standard : z->summer;
}

/* ---- the rule: std offset [dst [offset] ,Mm.w.d[/time],Mm.w.d[/time]] ---- */
struct scan { const char *p, *end; };

static bool take(struct scan *s, char c)
{
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

static bool number(struct scan *s, unsigned most, unsigned *ret)
{
	const char *first = s->p;

	for (*ret = 0; s->p < s->end && *s->p >= '0' && *s->p <= '9'; s->p++) {
		*ret = *ret * 10 + (unsigned)(*s->p - '0');
		if (*ret > most)
			return false;
	}
	return s->p > first;
}

/** An abbreviation: letters, or anything in <>. */
static bool name(struct scan *s)
{
	const char *first = s->p;

	if (take(s, '<')) {
		while (s->p < s->end && *s->p != '>')
			s->p++;
		return take(s, '>');
	}
	while (s->p < s->end && ((*s->p | 32) >= 'a' && (*s->p | 32) <= 'z'))
		s->p++;
	return s->p > first;
}

/** [+-]h[:m[:s]]; up to a week, as RFC 8536 has it. */
static bool clock_time(struct scan *s, int32_t *ret)
{
	unsigned h, m = 0, sec = 0;
	bool minus = take(s, '-');

	if (!minus)
		(void)take(s, '+');
	if (!number(s, 167, &h))
		return false;
	if (take(s, ':') && (!number(s, 59, &m) || (take(s, ':') && !number(s, 59, &sec))))
		return false;
	*ret = (int32_t)(h * 3600 + m * 60 + sec) * (minus ? -1 : 1);
	return true;
}

/** ,Mmonth.week.day[/time]; no zone of the database has the other forms. */
static bool change(struct scan *s, struct peer_zone_change *ret)
{
	unsigned month, week, day;

	if (!take(s, ',') || !take(s, 'M') || !number(s, 12, &month) || !take(s, '.') || !number(s, 5, &week) || !take(s, '.') || !number(s, 6, &day))
		return false;
	if (!month || !week)
		return false;
	*ret = (struct peer_zone_change){ (uint8_t)month, (uint8_t)week, (uint8_t)day, 7200 };
	return !take(s, '/') || clock_time(s, &ret->seconds);
}

static bool rule(struct scan *s, struct peer_zone *z)
{
	int32_t west;

	if (!name(s) || !clock_time(s, &west))
		return false;
	z->standard = -west; /* POSIX counts westwards */
	if (s->p == s->end)
		return true;
	if (!name(s))
		return false;
	z->has_summer = true;
	z->summer = z->standard + 3600;
	if (s->p < s->end && *s->p != ',') {
		if (!clock_time(s, &west))
			return false;
		z->summer = -west;
	}
	return change(s, &z->begin) && change(s, &z->end) && s->p == s->end;
}

/* ---- the file ---- */
static uint32_t be32(const unsigned char *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]; }
static int64_t be64(const unsigned char *p) { return (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4)); }

struct counts { uint32_t isut, isstd, leap, time, type, chars; };
#define HEADER 44

static bool header(const unsigned char *p, size_t n, struct counts *c)
{
	if (n < HEADER || memcmp(p, "TZif", 4) || p[4] < '2') /* version 1 has 32 bits alone and no rule */
		return false;
	*c = (struct counts){ be32(p + 20), be32(p + 24), be32(p + 28), be32(p + 32), be32(p + 36), be32(p + 40) };
	return c->isut <= 256 && c->isstd <= 256 && c->leap <= 1024 && c->time <= PEER_ZONE_MOST && c->type >= 1 && c->type <= 256 && c->chars <= 4096;
}

/** Bytes behind the header; wide: of a time. */
static size_t body(const struct counts *c, size_t wide)
{
	return c->time * (wide + 1) + c->type * 6 + c->chars + c->leap * (wide + 4) + c->isstd + c->isut;
}

static int transitions(struct peer_zone *z, const struct counts *c, const unsigned char *p)
{
	const unsigned char *index = p + 8 * (size_t)c->time, *type = index + c->time;
	uint32_t i;

	z->first = (int32_t)be32(type);
	z->at = calloc(c->time + 1, sizeof *z->at);
	z->offset = calloc(c->time + 1, sizeof *z->offset);
	if (!z->at || !z->offset)
		return -ENOMEM;
	for (i = 0; i < c->time; i++) {
		if (index[i] >= c->type)
			return ERR_PROTO;
		z->at[i] = be64(p + 8 * (size_t)i);
		z->offset[i] = (int32_t)be32(type + 6 * (size_t)index[i]);
		if (i && z->at[i] <= z->at[i - 1])
			return ERR_PROTO;
	}
	z->n = c->time;
	return 0;
}

/** Between two newlines at the end; empty: there is no rule. */
static int footer(struct peer_zone *z, const unsigned char *p, size_t n)
{
	const char *text = (const char *)p, *end;
	struct scan s;

	if (n < 2 || text[0] != '\n')
		return ERR_PROTO;
	end = memchr(text + 1, '\n', n - 1);
	if (!end)
		return ERR_PROTO;
	s = (struct scan){ text + 1, end };
	z->has_rule = s.p < s.end;
	return !z->has_rule || rule(&s, z) ? 0 : ERR_PROTO;
}

int peer_zone_parse(const void *data, size_t n, struct peer_zone *z)
{
	const unsigned char *p = data;
	struct counts c;
	size_t skip;
	int err;

	if (!header(p, n, &c))
		return ERR_PROTO;
	skip = HEADER + body(&c, 4); /* the part for readers of 32 bits */
	if (skip > n || !header(p + skip, n - skip, &c) || c.leap) /* with leap seconds it is no zone of POSIX time */
		return ERR_PROTO;
	p += skip + HEADER;
	n -= skip + HEADER;
	if (body(&c, 8) > n)
		return ERR_PROTO;
	err = transitions(z, &c, p);
	return err ? err : footer(z, p + body(&c, 8), n - body(&c, 8));
}

/** Area/Place as in the database: nothing that leads out of its folder. */
static bool name_fits(const char *id)
{
	size_t i;

	for (i = 0; id[i]; i++) {
		char c = id[i];

		if (c == '/' ? !i || id[i - 1] == '/' : !((c | 32) >= 'a' && (c | 32) <= 'z') && !(c >= '0' && c <= '9') && !strchr("_+-", c))
			return false;
	}
	return i && i <= PEER_ZONE_NAME && id[i - 1] != '/';
}

static int load(const char *id, struct peer_zone *z)
{
	char path[sizeof ZONES + PEER_ZONE_NAME];
	struct text t = text_on(path, sizeof path);
	unsigned char *data;
	size_t n;
	FILE *f;
	int err;

	text_add(&t, ZONES "%s", id);
	f = fopen(path, "re");
	if (!f)
		return ERR_NOTFOUND;
	data = malloc(FILE_MOST);
	n = data ? fread(data, 1, FILE_MOST, f) : 0;
	err = data ? peer_zone_parse(data, n, z) : -ENOMEM;
	free(data);
	(void)fclose(f);
	return err;
}

int peer_zone_load(const char *id, struct peer_zone **ret)
{
	struct peer_zone *z;
	int err;

	if (!name_fits(id))
		return ERR_NOTFOUND;
	z = calloc(1, sizeof *z);
	if (!z)
		return -ENOMEM;
	err = strcmp(id, "UTC") ? load(id, z) : 0; /* also where there is no database */
	if (err)
		peer_zone_free(z);
	else
		*ret = z;
	return err;
}

void peer_zone_free(struct peer_zone *z)
{
	if (!z)
		return;
	free(z->at);
	free(z->offset);
	free(z);
}

int32_t peer_zone_offset(const struct peer_zone *z, int64_t t)
{
	unsigned low = 0, high = z->n; /* transitions before low are not after t */

	while (low < high) {
		unsigned mid = low + (high - low) / 2;

		if (z->at[mid] <= t)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == z->n && z->has_rule)
		return rule_offset(z, t);
	return low ? z->offset[low - 1] : z->first;
}

void peer_zone_local(const struct peer_zone *z, int64_t t, unsigned *ret_weekday, unsigned *ret_minute)
{
	int64_t local = t + peer_zone_offset(z, t), day = floor_div(local, DAY);

	*ret_weekday = weekday(day);
	*ret_minute = (unsigned)((local - day * DAY) / 60);
}
