/* SPDX-License-Identifier: Apache-2.0 */
/* Groups of a set: members found by name and sorted once. Which of them a call tries, and in what order, is plan.c's. */
#include <errno.h>
#include <stdlib.h>

#include "peer/peer.h"
#include "postern/conf.h"

const struct peer_group *peer_group_find(const struct peer_set *s, const char *id)
{
	uint32_t key = peer_id_key(id);
	struct hash_node *n;

	for (n = base_hash_find(&s->group_ids, key); n; n = n->next) {
		const struct peer_group *g = container_of(n, struct peer_group, id);

		if (n->key == key && !strcmp(g->conf->id, id))
			return g;
	}
	return NULL;
}

/** Is a before b? Lower priority, then more weight; equal ones stay as in the document. */
static bool goes_before(const struct peer_member *a, const struct peer_member *b)
{
	return a->priority != b->priority ? a->priority < b->priority : a->weight > b->weight;
}

static int group_fill(const struct peer_set *s, struct peer_group *g)
{
	const struct peer_member_conf *c = g->conf->members.v;
	size_t i, j;

	g->member = calloc(g->conf->members.n + 1, sizeof *g->member);
	if (!g->member)
		return -ENOMEM;
	for (i = 0; i < g->conf->members.n; i++) {
		struct peer_member m = { .trunk = peer_trunk_find(s, c[i].trunk), .group = peer_group_find(s, c[i].trunk),
			.priority = (unsigned)c[i].priority, .weight = (unsigned)c[i].weight };

		if (!m.trunk && !m.group)
			continue;
		for (j = g->nmembers; j > 0 && goes_before(&m, &g->member[j - 1]); j--)
			g->member[j] = g->member[j - 1];
		g->member[j] = m;
		g->nmembers++;
	}
	return 0;
}

int peer_groups_build(struct peer_set *s)
{
	size_t n, i;
	const void *const *obj = conf_objects(s->doc, &peer_schema_groups, &n);
	int err = base_hash_init(&s->group_ids, 64);

	s->group = calloc(n + 1, sizeof *s->group);
	if (err || !s->group)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		s->group[i] = (struct peer_group){ .conf = obj[i], .index = (unsigned)i };
		base_hash_add(&s->group_ids, &s->group[i].id, peer_id_key(s->group[i].conf->id));
	}
	s->ngroups = (unsigned)n;
	for (i = 0; !err && i < n; i++)
		err = group_fill(s, &s->group[i]);
	return err;
}

void peer_groups_free(struct peer_set *s)
{
	unsigned i;

	for (i = 0; s->group && i < s->ngroups; i++)
		free(s->group[i].member);
	free(s->group);
	if (s->group_ids.bucket)
		base_hash_fini(&s->group_ids);
}
