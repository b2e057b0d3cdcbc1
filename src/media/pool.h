/* SPDX-License-Identifier: Apache-2.0 */
/*
 * media/pool: which ports are free. Per realm, address family and lane; chosen at random, so that ports cannot be guessed; freed ones rest
 * before they are used again, so that late packets of the old call do not meet a new one. Everything O(1) but changing the lanes. Pure.
 */
#ifndef MEDIA_POOL_H
#define MEDIA_POOL_H

#include "postern/media.h"

#define MEDIA_POOL_REST_MS 30000
#define MEDIA_POOL_REST_SHORT_MS 1000  /* where under 10 % are free */

struct media_pool;
int media_pool_new(const struct media_map_entry *map, uint32_t nmap, struct media_pool **ret);
/**
 * Another map of the same slots, and more: ports in use stay so, whatever the map says of them now. live: slots below it may be taken.
 * @return 0; ERR_RANGE: the map is shorter than the one before; -ENOMEM: the pool is as it was, or without its new ports
 */
int media_pool_remap(struct media_pool *p, const struct media_map_entry *map, uint32_t nmap, uint32_t live);
void media_pool_free(struct media_pool *p);
/** Number of lanes: a slot's lane is its index modulo that. */
int media_pool_lanes(struct media_pool *p, unsigned lanes);
/**
 * @param lane [in] -1: the one with the fewest ports in use; where that lane has none left, another
 * @return 0, ERR_NOPORT
 */
int media_pool_take(struct media_pool *p, unsigned realm, int family, int lane, struct mono now, uint32_t *ret_slot);
/** This one; ERR_EXISTS where it is in use, ERR_NOTFOUND where there is none. */
int media_pool_claim(struct media_pool *p, uint32_t slot);
void media_pool_give(struct media_pool *p, uint32_t slot, struct mono now);
bool media_pool_used(const struct media_pool *p, uint32_t slot);
/** Ports that could be taken: free and resting. */
unsigned media_pool_count(const struct media_pool *p, unsigned realm, int family);

#endif
