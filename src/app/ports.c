/* SPDX-License-Identifier: Apache-2.0 */
/* app/ports: see the header. */
#include "app/ports.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/limits.h"
#include "app/sockets.h"
#include "postern/conf.h"
#include "postern/loop.h"
#include "postern/peer.h"

#define MORE 8192                      /* pairs that later revisions may add, or as many as there are: untouched memory costs nothing */

uint32_t app_ports_room(uint32_t nmap)
{
	return nmap + (nmap > MORE ? nmap : MORE);
}

int app_ports_init(struct app_ports *p, const struct app_sockets *s, int blob)
{
	uint32_t nmap = s->nmap;

	*p = (struct app_ports){ .nmap = nmap, .room = app_ports_room(nmap), .shared = s->shared, .map = calloc(nmap + 1, sizeof(*p->map)),
		.media = calloc(2 * (size_t)nmap + 1, sizeof(*p->media)), .blob = fcntl(blob, F_DUPFD_CLOEXEC, 3) };
	if (p->blob < 0)
		return -errno;
	if (!p->map || !p->media)
		return -ENOMEM;
	if (nmap) {
		memcpy(p->map, s->map, nmap * sizeof(*s->map));
		memcpy(p->media, s->media, 2 * (size_t)nmap * sizeof(*s->media));
	}
	return 0;
}

void app_ports_fini(struct app_ports *p, uint32_t own)
{
	for (uint32_t i = 2 * own; p->media && !p->shared && i < 2 * p->nmap; i++)
		close(p->media[i]);
	free(p->map);
	free(p->media);
	if (p->blob >= 0)
		close(p->blob);
}

const int *app_ports_fds(const struct app_ports *p, uint32_t *ret_n)
{
	if (p->shared)
		return media_shared_fds(p->shared, ret_n);
	*ret_n = 2 * p->nmap;
	return p->media;
}

/* ---- where is a port: a table by address ---- */

struct index { uint32_t mask, *cell; };  /* slot + 1; 0: empty */

static uint32_t place_of(const union base_addr *a)
{
	uint32_t port = base_addr_port(a);

	return a->sa.sa_family == AF_INET ? base_hash_bytes(&a->in.sin_addr, 4, port) : base_hash_bytes(&a->in6.sin6_addr, 16, port);
}

static int index_make(const struct app_ports *p, struct index *x)
{
	uint32_t size = 64;

	while (size < 2 * p->room)
		size *= 2;
	*x = (struct index){ size - 1, calloc(size, sizeof(*x->cell)) };
	if (!x->cell)
		return -ENOMEM;
	for (uint32_t i = 0; i < p->nmap; i++) {
		uint32_t at = place_of(&p->map[i].addr) & x->mask;

		while (x->cell[at])
			at = (at + 1) & x->mask;
		x->cell[at] = i + 1;
	}
	return 0;
}

static struct media_map_entry *index_find(const struct index *x, struct app_ports *p, const union base_addr *a)
{
	for (uint32_t at = place_of(a) & x->mask; x->cell[at]; at = (at + 1) & x->mask)
		if (base_addr_eq(&p->map[x->cell[at] - 1].addr, a))
			return &p->map[x->cell[at] - 1];
	return NULL;
}

/* ---- did anything change ---- */

static bool same_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

static bool realm_same(const struct peer_realm_conf *a, const struct peer_realm_conf *b)
{
	return a && same_text(a->ports.address, b->ports.address) && same_text(a->ports.address6, b->ports.address6) &&
		a->ports.port_min == b->ports.port_min && a->ports.port_max == b->ports.port_max;
}

static bool realms_same(const struct conf_doc *was, const struct conf_doc *doc)
{
	size_t n = 0, nwas = 0;
	const void *const *obj = conf_objects(doc, &peer_schema_realms, &n);

	conf_objects(was, &peer_schema_realms, &nwas);
	for (size_t i = 0; i < n; i++) {
		const struct peer_realm_conf *r = obj[i];

		if (!realm_same(conf_find(was, &peer_schema_realms, r->id), r))
			return false;
	}
	return n == nwas;
}

/* ---- the plan ---- */

struct plan {
	const struct conf_doc *doc;
	struct app_ports *next;
	struct index index;
	struct conf_errors *errs;
	bool full;                         /* told already */
};

/* One port of a realm: known, opened now, or left out. 0, or why it is left out. */
static int port_add(struct plan *p, const struct peer_realm_conf *r, const union base_addr *a, uint16_t number)
{
	struct app_ports *n = p->next;
	struct media_map_entry *e = index_find(&p->index, n, a);
	char buf[128];
	int err;

	if (e) {
		e->realm = number;
		e->ok = 1;
		return 0;
	}
	if (n->nmap == n->room) {
		if (!p->full)
			conf_error(p->errs, conf_pointer(p->doc, &peer_schema_realms, r, buf), "the memory made at the start has room for %u port pairs, retired ones included: restart for more", n->room);
		p->full = true;
		return ERR_FULL;
	}
	if (!n->shared && n->nmap >= n->most) { /* media would die of it */
		if (!p->full)
			conf_error(p->errs, conf_pointer(p->doc, &peer_schema_realms, r, buf), "the limit of open files allows %u port pairs, retired ones included: "
				"raise it (LimitNOFILE=, ulimit -Hn) and restart", n->most);
		p->full = true;
		return ERR_FULL;
	}
	err = n->shared ? media_port_probe(a) : media_port_sockets(a, &n->media[2 * n->nmap]);
	if (err)
		return err;
	n->map[n->nmap++] = (struct media_map_entry){ .addr = *a, .realm = number, .ok = 1 };
	return 0;
}

static void pool_add(struct plan *p, const struct peer_realm_conf *r, const char *address, uint16_t number)
{
	union base_addr a;
	uint16_t first;
	uint32_t count = app_limits_range(r, &first), missing = 0;
	char buf[128];
	int why = 0;

	if (!address || base_addr_parse(slice_str(address), 0, &a) < 0)
		return;
	for (uint32_t i = 0; i < count && !p->full; i++) {
		int err;

		base_addr_set_port(&a, (uint16_t)(first + 2 * i));
		err = port_add(p, r, &a, number);
		missing += err != 0;
		why = err ? err : why;
	}
	if (p->full || !missing)
		return;
	if (missing == count)
		conf_error(p->errs, conf_pointer(p->doc, &peer_schema_realms, r, buf), "none of its media ports can be opened at %s: %s", address, base_strerror(why));
	else
		conf_warn(p->errs, conf_pointer(p->doc, &peer_schema_realms, r, buf), "%u of %u port pairs at %s are left out: %s", missing, count, address, base_strerror(why));
}

static int copy(const struct app_ports *p, struct app_ports *ret)
{
	*ret = (struct app_ports){ .nmap = p->nmap, .room = p->room, .shared = p->shared, .most = p->most, .blob = -1, .map = calloc(p->room + 1, sizeof(*ret->map)),
		.media = malloc((2 * (size_t)p->room + 2) * sizeof(*ret->media)) };
	if (!ret->map || !ret->media)
		return -ENOMEM;
	memcpy(ret->map, p->map, p->nmap * sizeof(*p->map));
	memcpy(ret->media, p->media, 2 * (size_t)p->nmap * sizeof(*p->media));
	for (uint32_t i = 0; i < ret->nmap; i++)
		ret->map[i].ok = MEDIA_MAP_RETIRED;
	return 0;
}

static int blob_make(struct app_ports *n)
{
	struct slice text;
	int err = media_map_print(n->map, n->nmap, &text);

	if (err)
		return err;
	err = loop_blob_create("port-map", text, &n->blob);
	free((char *)(uintptr_t)text.p);
	return err;
}

/* Ports that the change, should it be given up, never brings into force stay led to us: nobody listens to them. */
static int steer(struct plan *p)
{
	int err = media_shared_map(p->next->shared, p->next->map, p->next->nmap);

	if (err == ERR_FULL)
		conf_error(p->errs, "/realms", "the shared media sockets were made for %u addresses, former ones included: restart for more", media_shared_hosts(p->next->shared));
	return err == ERR_FULL ? 0 : err;
}

static int build(struct plan *p, const struct app_ports *from, const struct app_layout *l)
{
	size_t n = 0;
	const void *const *obj = conf_objects(p->doc, &peer_schema_realms, &n);
	int err = copy(from, p->next);

	if (!err)
		err = index_make(p->next, &p->index);
	for (size_t i = 0; i < n && !err; i++) {
		const struct peer_realm_conf *r = obj[i];

		pool_add(p, r, r->ports.address, l->realm[i]);
		pool_add(p, r, r->ports.address6, l->realm[i]);
	}
	free(p->index.cell);
	if (!err && p->next->shared)
		err = steer(p);
	if (!err && p->errs && conf_errors_count(p->errs))
		err = ERR_CONFIG;
	return err ? err : blob_make(p->next);
}

int app_ports_plan(const struct app_ports *p, const struct conf_doc *was, const struct conf_doc *doc, const struct app_layout *l, struct conf_errors *errs,
	struct app_ports *ret)
{
	struct plan plan = { .doc = doc, .next = ret, .errs = errs };
	int err;

	*ret = (struct app_ports){ .blob = -1 };
	if (realms_same(was, doc))
		return 0;
	err = build(&plan, p, l);
	if (err)
		app_ports_abort(p, ret);
	return err;
}

void app_ports_commit(struct app_ports *p, struct app_ports *next)
{
	if (next->blob < 0)
		return;
	free(p->map);
	free(p->media);
	close(p->blob);
	*p = *next;
	*next = (struct app_ports){ .blob = -1 };
}

void app_ports_abort(const struct app_ports *p, struct app_ports *next)
{
	for (uint32_t i = 2 * p->nmap; next->map && next->media && !next->shared && i < 2 * next->nmap; i++)
		close(next->media[i]);
	free(next->map);
	free(next->media);
	if (next->blob >= 0)
		close(next->blob);
	*next = (struct app_ports){ .blob = -1 };
}
