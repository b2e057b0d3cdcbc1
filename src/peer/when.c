/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What few routes ask for, beside their regular expressions: the time of day in a zone, and headers of the request. A period that goes past midnight
 * belongs to the day that it begins on.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "peer/peer.h"
#include "peer/schema.h"

#define DAY_MINUTES 1440
#define VALUE_MOST 2048                /* of a header; a longer one matches nothing */

int peer_minute_parse(const char *text, unsigned *ret)
{
	uint64_t h, m;

	if (strlen(text) != 5 || text[2] != ':' || slice_u64((struct slice){ text, 2 }, 24, &h) || slice_u64((struct slice){ text + 3, 2 }, 59, &m))
		return ERR_PROTO;
	if (h * 60 + m > DAY_MINUTES)
		return ERR_RANGE;
	*ret = (unsigned)(h * 60 + m);
	return 0;
}

/* ---- zones: one of each name in a set ---- */
static int zone_get(struct peer_set *s, const char *id, const struct peer_zone **ret)
{
	struct peer_zone_x *z;
	unsigned i;
	int err;

	for (i = 0; i < s->nzones; i++)
		if (!strcmp(s->zone[i].id, id)) {
			*ret = s->zone[i].zone;
			return 0;
		}
	z = realloc(s->zone, (s->nzones + 1) * sizeof *z);
	if (!z)
		return -ENOMEM;
	s->zone = z;
	err = peer_zone_load(id, &z[s->nzones].zone);
	if (err)
		return err;
	z[s->nzones].id = id;
	*ret = z[s->nzones++].zone;
	return 0;
}

void peer_zones_free(struct peer_set *s)
{
	while (s->nzones > 0)
		peer_zone_free(s->zone[--s->nzones].zone);
	free(s->zone);
}

static int time_set(struct peer_set *s, struct peer_more *m, const struct peer_route_conf *c)
{
	const int *day = c->match.time.days.v;
	unsigned from = 0, to = DAY_MINUTES;
	size_t i;

	if ((c->match.time.from && peer_minute_parse(c->match.time.from, &from)) || (c->match.time.to && peer_minute_parse(c->match.time.to, &to)))
		return ERR_CONFIG;
	m->from = (uint16_t)from;
	m->to = (uint16_t)to;
	for (i = 0; i < c->match.time.days.n; i++)
		m->days |= (uint8_t)(1u << day[i]);
	if (!m->days)
		m->days = 0x7f;
	return zone_get(s, c->match.time.zone ? c->match.time.zone : "UTC", &m->zone);
}

static int headers_set(struct peer_more *m, const struct peer_route_conf *c)
{
	const struct peer_route_header_conf *h = c->match.headers.v;
	size_t i;
	int err = c->match.headers.n > PEER_ROUTE_HEADERS ? ERR_CONFIG : 0;

	for (i = 0; !err && i < c->match.headers.n; i++) {
		m->name[i] = h[i].name;
		err = peer_cond_add(m->cond, &m->nheaders, h[i].value, 0);
	}
	return err;
}

int peer_more_build(struct peer_set *s, const struct peer_route_conf *c, struct peer_more **ret)
{
	bool timed = c->match.time.from || c->match.time.to || c->match.time.days.n;
	int err = 0;

	if (!timed && !c->match.headers.n)
		return 0;
	*ret = calloc(1, sizeof **ret); /* the route's from now on, also half done */
	if (!*ret)
		return -ENOMEM;
	if (timed)
		err = time_set(s, *ret, c);
	return err ? err : headers_set(*ret, c);
}

void peer_more_free(struct peer_more *m)
{
	if (!m)
		return;
	peer_conds_free(m->cond, m->nheaders);
	free(m);
}

static bool time_holds(const struct peer_more *m, int64_t now_s)
{
	unsigned day, minute;
	bool past_midnight;

	peer_zone_local(m->zone, now_s, &day, &minute);
	if (m->from < m->to)
		return minute >= m->from && minute < m->to && m->days & 1u << day;
	past_midnight = minute < m->to;
	if (!past_midnight && minute < m->from)
		return false;
	return m->days & 1u << (past_midnight ? (day + 6) % 7 : day);
}

const char *peer_more_misses(const struct peer_more *m, const struct peer_view *v)
{
	char buf[VALUE_MOST];
	unsigned i;

	if (m->zone && !time_holds(m, base_wall_ms() / 1000))
		return "time";
	for (i = 0; i < m->nheaders; i++) {
		struct peer_view one = { .method = v->header ? v->header(v->header_arg, m->name[i], buf, sizeof buf) : (struct slice){ NULL, 0 } };
		struct peer_cond c = { m->cond[i].re, offsetof(struct peer_view, method) };

		if (!one.method.p || !peer_conds_hold(&c, 1, &one))
			return "headers";
	}
	return NULL;
}

/* ---- checks of the document ---- */
static void check_zone(const struct conf_doc *doc, const struct peer_route_conf *r, const char **known, struct conf_errors *errs)
{
	const char *id = r->match.time.zone;
	struct peer_zone *z = NULL;
	char at[PEER_AT_MOST];

	if (!id || (*known && !strcmp(*known, id)))
		return;
	if (peer_zone_load(id, &z))
		conf_error(errs, peer_schema_at(doc, &peer_schema_routes, r, "match/time/zone", at), "\"%s\" is no time zone that this system knows", id);
	else
		*known = id;
	peer_zone_free(z);
}

/** False: it was reported. */
static bool check_minute(const struct conf_doc *doc, const struct peer_route_conf *r, const char *key, const char *text, unsigned *ret, struct conf_errors *errs)
{
	char at[PEER_AT_MOST];

	if (!text || !peer_minute_parse(text, ret))
		return true;
	conf_error(errs, peer_schema_at(doc, &peer_schema_routes, r, key, at), "must be a time of day from 00:00 to 24:00, not \"%s\"", text);
	return false;
}

void peer_schema_check_time(const struct conf_doc *doc, const struct peer_route_conf *r, const char **known, struct conf_errors *errs)
{
	unsigned from = 0, to = DAY_MINUTES;
	char at[PEER_AT_MOST];
	bool good = check_minute(doc, r, "match/time/from", r->match.time.from, &from, errs);

	good &= check_minute(doc, r, "match/time/to", r->match.time.to, &to, errs);
	if (good && from == DAY_MINUTES)
		conf_error(errs, peer_schema_at(doc, &peer_schema_routes, r, "match/time/from", at), "a period cannot begin at 24:00; that is 00:00 of the next day");
	else if (good && from == to)
		conf_error(errs, peer_schema_at(doc, &peer_schema_routes, r, "match/time/to", at), "is the same as from: the period is empty");
	check_zone(doc, r, known, errs);
}
