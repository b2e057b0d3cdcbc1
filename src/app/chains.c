/* SPDX-License-Identifier: Apache-2.0 */
/* app/chains: line policies up and hand them to the SIP agent. */
#include "app/chains.h"

#include <errno.h>
#include <stdlib.h>

#include "postern/conf.h"
#include "postern/peer.h"
#include "postern/rule.h"
#include "postern/sipua.h"

#define SETS_MAX 192                   /* 64 each of system, realm and trunk */

void app_chains_fini(struct app_chains *c)
{
	for (size_t i = 0; i < c->n; i++)
		base_unref(c->chain[i]);
	free(c->chain);
	base_unref(c->policies);
	*c = (struct app_chains){ 0 };
}

static struct rule_set *find(const struct app_policies *p, const char *id)
{
	size_t n = 0;
	const void *const *conf = conf_objects(p->doc, &rule_schema_policies, &n);

	for (size_t i = 0; i < n; i++)
		if (strcmp(((const struct rule_policy_conf *)conf[i])->id, id) == 0)
			return p->set[i];
	return NULL;
}

static size_t add(const struct app_policies *p, const struct peer_common *c, struct rule_set **set, size_t n)
{
	const char *const *id = c->policies.v;

	for (size_t i = 0; i < c->policies.n && n < SETS_MAX; i++)
		if ((set[n] = find(p, id[i])))
			n++;
	return n;
}

static int line_up(const struct app_policies *p, const struct peer_set *peers, const struct peer_trunk *t, struct rule_chain **ret)
{
	const struct peer_realm_conf *realm = peer_realm_at(peers, t->realm);
	struct rule_set *set[SETS_MAX];
	size_t n = add(p, &peer_system(peers)->common, set, 0);

	if (realm)
		n = add(p, &realm->common, set, n);
	n = add(p, &t->conf->common, set, n);
	return rule_chain_new(set, n, p->builtin, ret);
}

int app_chains_init(struct app_chains *c, struct app_policies *policies, const struct peer_set *peers)
{
	unsigned n = peer_trunk_count(peers);
	int err = 0;

	*c = (struct app_chains){ .policies = policies, .chain = calloc(n ? n : 1, sizeof(*c->chain)) };
	if (!c->chain)
		err = -ENOMEM;
	for (unsigned i = 0; i < n && !err; i++) {
		err = line_up(policies, peers, peer_trunk_at(peers, i), &c->chain[i]);
		c->n = err ? c->n : i + 1;
	}
	if (err)
		app_chains_fini(c);
	return err;
}

/* ---- what dialogs hold ---- */

struct sipua_policy *app_policed_find(const struct app_policed *p, const char *trunk)
{
	for (size_t i = 0; i < p->n; i++)
		if (strcmp(p->v[i].id, trunk) == 0)
			return p->v[i].policy;
	return NULL;
}

static int policed_add(struct app_policed *p, const char *trunk)
{
	struct app_policed_trunk *v = realloc(p->v, (p->n + 1) * sizeof(*v));
	int err;

	if (!v)
		return -ENOMEM;
	p->v = v;
	v[p->n].id = base_dup(slice_str(trunk));
	err = v[p->n].id ? sipua_policy_new(trunk, &v[p->n].policy) : -ENOMEM;
	if (err)
		free(v[p->n].id);
	else
		p->n++;
	return err;
}

int app_policed_prepare(struct app_policed *p, const struct peer_set *next)
{
	int err = 0;

	for (unsigned i = 0; i < peer_trunk_count(next) && !err; i++) {
		const char *id = peer_trunk_at(next, i)->conf->id;

		if (!app_policed_find(p, id))
			err = policed_add(p, id);
	}
	return err;
}

static void inherit(const struct app_policies *was, const struct app_policies *now)
{
	size_t n = 0;
	const void *const *conf = conf_objects(now->doc, &rule_schema_policies, &n);

	for (size_t i = 0; i < n; i++) {
		struct rule_set *old = find(was, ((const struct rule_policy_conf *)conf[i])->id);

		if (old)
			rule_set_inherit(now->set[i], old);
	}
	rule_set_inherit(now->builtin, was->builtin);
}

void app_chains_unbind(const struct app_chains *c)
{
	for (size_t i = 0; c->policies && i < c->policies->n; i++)
		rule_set_unbind(c->policies->set[i]);
	if (c->policies)
		rule_set_unbind(c->policies->builtin);
}

int app_chains_bind(const struct app_chains *c, struct rule_board *b)
{
	size_t n = 0;
	const void *const *conf = conf_objects(c->policies->doc, &rule_schema_policies, &n);
	struct rule_board_set *sets = calloc(n + 1, sizeof(*sets));
	int err;

	if (!sets)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		sets[i] = (struct rule_board_set){ ((const struct rule_policy_conf *)conf[i])->id, c->policies->set[i] };
	sets[n] = (struct rule_board_set){ RULE_BUILTIN_ID, c->policies->builtin };
	err = rule_board_bind(b, sets, n + 1);
	free(sets);
	return err;
}

void app_policed_commit(struct app_policed *p, const struct app_chains *was, const struct app_chains *now, const struct peer_set *peers)
{
	if (was->policies)
		inherit(was->policies, now->policies);
	app_chains_unbind(was);
	for (size_t i = 0; i < p->n; i++) {
		const struct peer_trunk *t = peer_trunk_find(peers, p->v[i].id);

		/* calls of a trunk that is gone go on as they are, its policies too */
		if (t)
			sipua_policy_set(p->v[i].policy, t->conf->realm, now->chain[t->index]);
	}
}
