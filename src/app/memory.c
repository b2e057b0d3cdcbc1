/* SPDX-License-Identifier: Apache-2.0 */
/*
 * app/memory: sizes and rights of the state memories (docs/design/0001-house.md). Readers get descriptors that cannot be
 * mapped for writing.
 */
#include "app/memory.h"

#include <stdlib.h>
#include <unistd.h>

#include "app/ports.h"
#include "app/sockets.h"
#include "postern/call.h"
#include "postern/loop.h"
#include "postern/media.h"
#include "postern/peer.h"
#include "postern/rule.h"

#define RECORDS_BYTES (16u << 20)      /* CDRs of a minute and more without admin at 100 calls/s */
#define EVENTS_BYTES (4u << 20)
#define WISHES_BYTES (512u << 10)      /* some hundred calls; media reads it within 50 ms */
#define TRUNKS_LEAST 4096              /* that a later revision may have without a new memory; what is not used takes no page */
#define REGIONS 5

enum right { NONE, READ, WRITE };

static const uint8_t rights[APP_FD_MEMORIES][APP_ROLES] = {
	[APP_FD_CALLS] =   { [APP_ENGINE] = WRITE, [APP_ADMIN] = READ },
	[APP_FD_STREAMS] = { [APP_ENGINE] = READ, [APP_MEDIA] = WRITE, [APP_ADMIN] = READ },
	[APP_FD_ADMIN] =   { [APP_ADMIN] = WRITE },
	[APP_FD_RECORDS] = { [APP_ENGINE] = WRITE, [APP_ADMIN] = WRITE }, /* admin moves the tail */
	[APP_FD_EVENTS] =  { [APP_ENGINE] = WRITE, [APP_ADMIN] = WRITE },
	[APP_FD_KEYS] =    { [APP_MEDIA] = WRITE },
	[APP_FD_SECRETS] = { [APP_ENGINE] = WRITE },
	[APP_FD_WISHES] =  { [APP_ENGINE] = WRITE, [APP_MEDIA] = WRITE }, /* media moves the tail, and wipes the keys in it */
};

static int make_one(struct app_memory *m, enum app_fd_tag tag, const char *name, const struct loop_shm_spec *spec, size_t n)
{
	int err = loop_shm_create(name, spec, n, &m->rw[tag]);

	if (err)
		return err;
	m->ro[tag] = loop_shm_reopen_ro(m->rw[tag]);
	return m->ro[tag] < 0 ? m->ro[tag] : 0;
}

/* Formatted before anybody uses it: producer and consumer start at the same time. */
static int format_ring(int fd)
{
	struct loop_shm m;
	struct base_ring *ring = NULL;
	size_t n = 0;
	void *p;
	int err = loop_shm_map(fd, true, &m);

	if (err)
		return err;
	p = loop_shm_region(&m, REGION_RING, &n);
	must(p);
	err = base_ring_open(p, n, &ring);
	base_ring_close(ring);
	loop_shm_unmap(&m);
	return err;
}

static int make_map(const struct app_sockets *s, struct app_memory *m)
{
	struct slice blob;
	int err = media_map_print(s->map, s->nmap, &blob);

	if (err)
		return err;
	err = loop_blob_create("port-map", blob, &m->map);
	free((char *)blob.p);
	return err;
}

int app_memory_make(unsigned max_calls, unsigned trunks, size_t trace_bytes, const struct app_sockets *sockets, struct app_memory *ret)
{
	const uint32_t slots = app_ports_room(sockets->nmap);
	const struct loop_shm_spec counters = { REGION_COUNTERS, COUNTER_CELLS * sizeof(uint64_t) };
	const struct { const char *name; size_t n; struct loop_shm_spec spec[REGIONS]; } row[] = {
		[APP_FD_CALLS] = { "calls", trace_bytes ? 5 : 4, { counters, { REGION_CALLS, call_store_bytes(max_calls) },
			{ REGION_TARGETS, peer_live_bytes(trunks > TRUNKS_LEAST / 2 ? 2 * trunks : TRUNKS_LEAST) }, { REGION_POLICIES, rule_board_bytes() },
			{ REGION_TRACE, trace_bytes } } },
		[APP_FD_STREAMS] = { "streams", 3, { counters, { REGION_SLOTS, media_slots_bytes(slots) }, { REGION_MEDIA, media_header_bytes() } } },
		[APP_FD_ADMIN] = { "admin", 1, { counters } },
		[APP_FD_RECORDS] = { "records", 1, { { REGION_RING, RECORDS_BYTES } } },
		[APP_FD_EVENTS] = { "events", 1, { { REGION_RING, EVENTS_BYTES } } },
		[APP_FD_KEYS] = { "keys", 1, { { REGION_KEYS, media_keys_bytes(slots) } } },
		[APP_FD_SECRETS] = { "secrets", 1, { { REGION_SECRETS, call_store_bytes(2 * max_calls) } } },
		[APP_FD_WISHES] = { "wishes", 1, { { REGION_RING, WISHES_BYTES } } },
	};
	int err = 0;

	memset(ret, 0xff, sizeof(*ret));
	for (size_t i = 0; i < ARRAY_LEN(row) && !err; i++)
		err = make_one(ret, (enum app_fd_tag)i, row[i].name, row[i].spec, row[i].n);
	if (!err)
		err = format_ring(ret->rw[APP_FD_RECORDS]);
	if (!err)
		err = format_ring(ret->rw[APP_FD_EVENTS]);
	if (!err)
		err = format_ring(ret->rw[APP_FD_WISHES]);
	if (!err)
		err = make_map(sockets, ret);
	if (err)
		base_log(BASE_ERROR, "memory", "state memory cannot be made error=\"%s\"", base_strerror(err));
	return err;
}

void app_memory_close(struct app_memory *m)
{
	for (size_t i = 0; i < ARRAY_LEN(m->rw); i++) {
		if (m->rw[i] >= 0)
			close(m->rw[i]);
		if (m->ro[i] >= 0)
			close(m->ro[i]);
	}
	if (m->map >= 0)
		close(m->map);
	memset(m, 0xff, sizeof(*m));
}

int app_memory_fd(const struct app_memory *m, enum app_role role, enum app_fd_tag tag)
{
	switch (rights[tag][role]) {
	case WRITE:
		return m->rw[tag];
	case READ:
		return m->ro[tag];
	default:
		return -1;
	}
}
