/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of DNS, kept for their TTL, negative ones too (RFC 2308; hardly, where no SOA says for how long). An answer that is too old serves on until a
 * newer one comes: a dead server takes nothing away. What failed is asked again after 1 s, 2 s, 4 s, 5 s, 5 s ...
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "peer/names.h"

#define NAMES_MAX     8192
#define IDLE_MS       60000            /* a trunk asks again long before that */
#define QUERIES_MAX   64               /* at a time */
#define TTL_LEAST_MS  1000
#define NEGATIVE_S    5                /* where no SOA says it */
#define NEGATIVE_MAX_S 300
#define RETRY_MS      1000
#define RETRY_MAX_MS  5000

struct peer_names {
	struct loop_dns *dns;
	struct hash by_name;
	struct list_node all;
	unsigned count, open;
	void (*changed)(void *arg);
	void *arg;
};

static int64_t now_ms(void) { return base_mono_now().us / 1000; }

static uint32_t key_of(const char *name, enum wire_dns_type type)
{
	return base_hash_bytes(name, strlen(name), (uint32_t)type);
}

static void name_free(struct peer_name *e)
{
	loop_dns_cancel(e->query);
	base_hash_del(&e->names->by_name, &e->node);
	list_del(&e->link);
	e->names->count--;
	free(e->rr);
	free(e);
}

static struct peer_name *name_new(struct peer_names *s, const char *name, enum wire_dns_type type)
{
	struct peer_name *e = s->count < NAMES_MAX ? base_alloc(sizeof *e) : NULL;

	if (!e)
		return NULL;
	memset(e, 0, sizeof *e);
	e->names = s;
	e->type = type;
	slice_copy(e->name, sizeof e->name, slice_str(name));
	base_hash_add(&s->by_name, &e->node, key_of(name, type));
	list_add_tail(&s->all, &e->link);
	s->count++;
	return e;
}

static struct peer_name *name_find(struct peer_names *s, const char *name, enum wire_dns_type type)
{
	uint32_t key = key_of(name, type);
	struct hash_node *n;

	for (n = base_hash_find(&s->by_name, key); n; n = n->next) {
		struct peer_name *e = container_of(n, struct peer_name, node);

		if (n->key == key && e->type == type && !strcmp(e->name, name))
			return e;
	}
	return NULL;
}

static int take_answer(struct peer_name *e, const uint8_t *msg, size_t n)
{
	static struct wire_dns_answer a;
	struct wire_dns_record *rr;
	int64_t ttl;

	if (wire_dns_parse(msg, n, e->type, &a) || (a.rcode != 0 && a.rcode != 3))
		return ERR_PROTO;
	rr = malloc((a.n + 1) * sizeof *rr);
	if (!rr)
		return -ENOMEM;
	memcpy(rr, a.rr, a.n * sizeof *rr);
	free(e->rr);
	e->rr = rr;
	e->n = a.n;
	if (!a.n && (!a.ttl || a.ttl > NEGATIVE_MAX_S))
		a.ttl = a.ttl ? NEGATIVE_MAX_S : NEGATIVE_S;
	e->ttl = a.ttl;
	ttl = (int64_t)a.ttl * 1000;
	e->expires = now_ms() + (ttl < TTL_LEAST_MS ? TTL_LEAST_MS : ttl);
	e->known = true;
	return 0;
}

static void on_answer(void *arg, int err, const uint8_t *msg, size_t n)
{
	struct peer_name *e = arg;

	e->query = NULL;
	e->names->open--;
	if (!err)
		err = take_answer(e, msg, n);
	if (err) {
		base_count(COUNTER_DNS_FAILED);
		e->retry = now_ms() + (e->failures < 3 ? RETRY_MS << e->failures : RETRY_MAX_MS);
		e->failures++;
		base_log_limited(BASE_WARN, 2, "peer", "no answer of DNS name=%s type=%d known=%s", e->name, (int)e->type, e->known ? "before" : "never");
	} else {
		e->failures = 0;
		e->retry = 0;
	}
	e->names->changed(e->names->arg);
}

bool peer_names_has_room(struct peer_names *s)
{
	for (struct list_node *i = s->all.next; s->count >= NAMES_MAX / 2 && i != &s->all;) {
		struct peer_name *e = container_of(i, struct peer_name, link);
		int64_t last = e->expires > e->retry ? e->expires : e->retry;

		i = i->next;
		if (!e->query && (!e->known || !e->failures) && now_ms() > last + IDLE_MS)
			name_free(e); /* nobody asked again: no trunk's */
	}
	return s->count < NAMES_MAX / 2;
}

const struct peer_name *peer_names_get(struct peer_names *s, const char *name, enum wire_dns_type type)
{
	char lower[WIRE_DNS_NAME];
	struct peer_name *e;
	size_t i;

	for (i = 0; name[i] && i + 1 < sizeof lower; i++)
		lower[i] = (char)tolower((unsigned char)name[i]);
	lower[i] = 0;
	e = name_find(s, lower, type);
	if (!e)
		e = name_new(s, lower, type);
	if (!e || e->query || s->open >= QUERIES_MAX || (e->known && now_ms() < e->expires) || now_ms() < e->retry)
		return e;
	s->open++;
	base_count(COUNTER_DNS_QUERIES);
	if (loop_dns_query(s->dns, lower, (uint16_t)type, on_answer, e, &e->query))
		s->open--;
	return e;
}

int peer_names_new(struct loop *l, const char *const *servers, size_t n, int timeout_ms, void (*changed)(void *arg), void *arg, struct peer_names **ret)
{
	struct peer_names *s = base_alloc(sizeof *s);
	int err;

	if (!s)
		return -ENOMEM;
	memset(s, 0, sizeof *s);
	list_init(&s->all);
	s->changed = changed;
	s->arg = arg;
	err = base_hash_init(&s->by_name, 256);
	if (!err)
		err = loop_dns_new(l, servers, n, timeout_ms, &s->dns);
	if (err)
		peer_names_free(s);
	else
		*ret = s;
	return err;
}

void peer_names_free(struct peer_names *s)
{
	if (!s)
		return;
	while (!list_empty(&s->all))
		name_free(container_of(s->all.next, struct peer_name, link));
	loop_dns_free(s->dns);
	if (s->by_name.bucket)
		base_hash_fini(&s->by_name);
	free(s);
}
