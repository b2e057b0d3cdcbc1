/* SPDX-License-Identifier: Apache-2.0 */
/* peer, private: time zones of the system's database. */
#ifndef PEER_ZONE_H
#define PEER_ZONE_H

#include "postern/base.h"

#define PEER_ZONE_NAME 64              /* characters of a zone's name */
#define PEER_ZONE_MOST 4096            /* transitions of a zone */

/** A yearly change: the week-th (5: last) such day of the month, seconds after its midnight. */
struct peer_zone_change { uint8_t month, week, day; int32_t seconds; };

struct peer_zone {
	unsigned n;
	int64_t *at;                   /* transitions, ascending, seconds since the epoch */
	int32_t *offset;               /* seconds east of UTC from then on */
	int32_t first;                 /* before all of them */
	bool has_rule, has_summer;     /* behind the last one */
	int32_t standard, summer;
	struct peer_zone_change begin, end; /* of summer time */
};

/**
 * Read a zone of the database; no system call is needed for it afterwards.
 * @param id  [in]  "Europe/Berlin"; "UTC" is known without a database
 * @param ret [out] the caller's, for peer_zone_free
 * @return 0; ERR_NOTFOUND (no such zone); ERR_PROTO (no file of a zone); -ENOMEM
 * Thread: any one.
 */
int peer_zone_load(const char *id, struct peer_zone **ret);
/** NULL is allowed. */
void peer_zone_free(struct peer_zone *z);
/** Fill z (zeroed; on an error too it may have memory) from a file's bytes (RFC 8536, version 2 or later). ERR_PROTO, -ENOMEM. */
int peer_zone_parse(const void *data, size_t n, struct peer_zone *z);
/** Seconds east of UTC at t, seconds since the epoch. Cost: O(log transitions), no system call. */
int32_t peer_zone_offset(const struct peer_zone *z, int64_t t);
/** What clocks of the zone show at t: day of the week, 0 Sunday, and minute of the day. */
void peer_zone_local(const struct peer_zone *z, int64_t t, unsigned *ret_weekday, unsigned *ret_minute);

#endif
