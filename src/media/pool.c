/* SPDX-License-Identifier: Apache-2.0 */
/*
 * media/pool: which ports are free. Free ones of a group (realm, family, lane) stand in an array, from which one is drawn at random;
 * resting ones in a queue by time. No memory is allocated after the start.
 */
#include "media/pool.h"

#include <errno.h>
#include <stdlib.h>

#define NONE UINT32_MAX

enum port_state { PORT_NONE, PORT_FREE, PORT_RESTING, PORT_USED, PORT_RETIRED }; /* retired: in no realm's range any more, but calls may have it */

struct port {
	enum port_state state;
	uint32_t place;                /* in the group's free list, or the next in its queue */
	struct mono freed;
};

struct group {
	uint32_t start, size;          /* its part of list[] */
	uint32_t nfree, nresting;
	uint32_t head, tail;           /* resting, oldest first */
};

struct media_pool {
	const struct media_map_entry *map;
	uint32_t n;
	unsigned realms, lanes;
	struct port *port;
	uint32_t *list;
	struct group *group;           /* [realm][family][lane] */
	uint32_t *used;                /* per lane */
};

static struct group *pool_group(const struct media_pool *p, unsigned realm, int family, unsigned lane)
{
	return &p->group[(realm * 2 + (family == AF_INET6)) * p->lanes + lane];
}

static struct group *pool_group_of(const struct media_pool *p, uint32_t slot)
{
	return pool_group(p, p->map[slot].realm, p->map[slot].addr.sa.sa_family, slot % p->lanes);
}

static void free_add(struct media_pool *p, struct group *g, uint32_t slot)
{
	p->port[slot].state = PORT_FREE;
	p->port[slot].place = g->nfree;
	p->list[g->start + g->nfree++] = slot;
}

static void free_del(struct media_pool *p, struct group *g, uint32_t slot)
{
	uint32_t last = p->list[g->start + --g->nfree];

	p->list[g->start + p->port[slot].place] = last;
	p->port[last].place = p->port[slot].place;
	p->port[slot].state = PORT_USED;
}

static uint32_t rest_pop(struct media_pool *p, struct group *g)
{
	uint32_t slot = g->head;

	g->head = p->port[slot].place;
	if (g->head == NONE)
		g->tail = NONE;
	g->nresting--;
	return slot;
}

static void rest_push(struct media_pool *p, struct group *g, uint32_t slot, struct mono now)
{
	p->port[slot] = (struct port){ PORT_RESTING, NONE, now };
	if (g->tail == NONE)
		g->head = slot;
	else
		p->port[g->tail].place = slot;
	g->tail = slot;
	g->nresting++;
}

static bool is_listed(const struct media_pool *p, uint32_t slot)
{
	return p->port[slot].state == PORT_FREE || p->port[slot].state == PORT_RESTING;
}

/* Groups and lists anew, from the states: rests are forgotten. */
static int regroup(struct media_pool *p, unsigned realms, unsigned lanes)
{
	size_t ngroups = (size_t)realms * 2 * lanes;
	struct group *group = base_alloc((ngroups + 1) * sizeof(*group));
	uint32_t *used = base_alloc(lanes * sizeof(*used)), at = 0;

	if (!group || !used) {
		free(group);
		free(used);
		return -ENOMEM;
	}
	free(p->group);
	free(p->used);
	p->group = group;
	p->used = used;
	p->realms = realms;
	p->lanes = lanes;
	for (uint32_t i = 0; i < p->n; i++)
		if (p->port[i].state != PORT_NONE)
			pool_group_of(p, i)->size++;
	for (size_t i = 0; i < ngroups; i++) {
		group[i].start = at;
		group[i].head = group[i].tail = NONE;
		at += group[i].size;
	}
	for (uint32_t i = 0; i < p->n; i++) {
		if (p->port[i].state == PORT_USED)
			used[i % lanes]++;
		else if (is_listed(p, i))
			free_add(p, pool_group_of(p, i), i);
	}
	return 0;
}

int media_pool_lanes(struct media_pool *p, unsigned lanes)
{
	return lanes == p->lanes ? 0 : regroup(p, p->realms, lanes);
}

static enum port_state state_of(const struct media_map_entry *e, bool live)
{
	return e->ok == MEDIA_MAP_RETIRED ? PORT_RETIRED : e->ok && live ? PORT_FREE : PORT_NONE;
}

int media_pool_remap(struct media_pool *p, const struct media_map_entry *map, uint32_t nmap, uint32_t live)
{
	struct port *port = realloc(p->port, (nmap + 1) * sizeof(*port));
	uint32_t *list = realloc(p->list, (nmap + 1) * sizeof(*list));
	unsigned realms = 0;

	p->port = port ? port : p->port;
	p->list = list ? list : p->list;
	if (!port || !list || nmap < p->n)
		return nmap < p->n ? ERR_RANGE : -ENOMEM;
	for (uint32_t i = 0; i < nmap; i++) {
		if (i >= p->n || port[i].state != PORT_USED)
			port[i] = (struct port){ .state = state_of(&map[i], i < live) };
		if (map[i].realm >= realms)
			realms = map[i].realm + 1u;
	}
	p->map = map;
	p->n = nmap;
	return regroup(p, realms, p->lanes);
}

int media_pool_new(const struct media_map_entry *map, uint32_t nmap, struct media_pool **ret)
{
	struct media_pool *p = base_alloc(sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	p->lanes = 1;
	err = media_pool_remap(p, map, nmap, nmap);
	if (err) {
		media_pool_free(p);
		return err;
	}
	*ret = p;
	return 0;
}

void media_pool_free(struct media_pool *p)
{
	if (!p)
		return;
	free(p->port);
	free(p->list);
	free(p->group);
	free(p->used);
	free(p);
}

/* Rested ports become free. Two at most: each call frees one, so the queue cannot grow by that. */
static void rest_end(struct media_pool *p, struct group *g, struct mono now)
{
	int64_t rest_ms = g->nfree * 10 < g->size ? MEDIA_POOL_REST_SHORT_MS : MEDIA_POOL_REST_MS;

	for (int k = 0; k < 2 && g->nresting && mono_ms_since(now, p->port[g->head].freed) >= rest_ms; k++)
		free_add(p, g, rest_pop(p, g));
}

static int group_take(struct media_pool *p, struct group *g, struct mono now, uint32_t *ret_slot)
{
	rest_end(p, g, now);
	if (g->nfree) {
		*ret_slot = p->list[g->start + base_random_below(g->nfree)];
		free_del(p, g, *ret_slot);
	} else if (g->nresting) { /* better a port with late packets than no call */
		*ret_slot = rest_pop(p, g);
		p->port[*ret_slot].state = PORT_USED;
	} else {
		return ERR_NOPORT;
	}
	p->used[*ret_slot % p->lanes]++;
	return 0;
}

int media_pool_take(struct media_pool *p, unsigned realm, int family, int lane, struct mono now, uint32_t *ret_slot)
{
	unsigned first = 0;

	if (realm >= p->realms)
		return ERR_NOPORT;
	if (lane >= 0)
		first = (unsigned)lane % p->lanes;
	else
		for (unsigned i = 1; i < p->lanes; i++)
			if (p->used[i] < p->used[first])
				first = i;
	for (unsigned i = 0; i < p->lanes; i++)
		if (!group_take(p, pool_group(p, realm, family, (first + i) % p->lanes), now, ret_slot))
			return 0;
	return ERR_NOPORT;
}

int media_pool_claim(struct media_pool *p, uint32_t slot)
{
	struct group *g;

	if (slot >= p->n || p->port[slot].state == PORT_NONE)
		return ERR_NOTFOUND;
	if (p->port[slot].state != PORT_FREE && p->port[slot].state != PORT_RETIRED)
		return ERR_EXISTS;
	g = pool_group_of(p, slot);
	if (p->port[slot].state == PORT_FREE)
		free_del(p, g, slot);
	p->port[slot].state = PORT_USED;
	p->used[slot % p->lanes]++;
	return 0;
}

void media_pool_give(struct media_pool *p, uint32_t slot, struct mono now)
{
	must(media_pool_used(p, slot));
	p->used[slot % p->lanes]--;
	if (p->map[slot].ok == MEDIA_MAP_RETIRED) {
		p->port[slot].state = PORT_RETIRED;
		return;
	}
	rest_push(p, pool_group_of(p, slot), slot, now);
}

bool media_pool_used(const struct media_pool *p, uint32_t slot)
{
	return slot < p->n && p->port[slot].state == PORT_USED;
}

unsigned media_pool_count(const struct media_pool *p, unsigned realm, int family)
{
	unsigned n = 0;

	if (realm >= p->realms)
		return 0;
	for (unsigned i = 0; i < p->lanes; i++)
		n += pool_group(p, realm, family, i)->nfree + pool_group(p, realm, family, i)->nresting;
	return n;
}
