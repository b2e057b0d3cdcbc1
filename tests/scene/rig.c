/* SPDX-License-Identifier: Apache-2.0 */
/* The stage: see rig.h. */
#define _GNU_SOURCE
#include "scene/rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "postern/call.h"
#include "postern/conf.h"
#include "postern/ctl.h"
#include "postern/loop.h"
#include "postern/media.h"
#include "postern/peer.h"
#include "postern/sipua.h"

#define PARTIES 3
#define PORTS 16
#define MAX_CALLS 16
#define STEP_MS 50
#define WAIT_MS 400

struct rig {
	struct loop *loop;
	struct sipua *ua;
	struct call_engine *calls;
	struct media_client *media;
	struct peer_set *peers;
	struct peer_live *live;
	struct loop_shm streams;
	struct media_map_entry map[2 * PORTS];
	struct sipua_listener listener[2];
	void *store, *secrets;
	size_t store_bytes, secrets_bytes, live_bytes;
	int chan[2];
	struct party party[PARTIES];
};

static int udp_open(union base_addr *ret)
{
	socklen_t len = sizeof(*ret);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	if (base_addr_parse(SLICE("127.0.0.1"), 0, ret) || bind(fd, &ret->sa, base_addr_len(ret)) || getsockname(fd, &ret->sa, &len)) {
		close(fd);
		return -1;
	}
	return fd;
}

static unsigned port_of(const union base_addr *a)
{
	return ntohs(a->in.sin_port);
}

static int peers_new(struct rig *r, const struct rig_options *o)
{
	static char text[8192];
	char second[64] = "";
	struct conf_errors *errs = NULL;
	struct conf_doc *doc = NULL;
	int n = o->targets > 1 ? snprintf(second, sizeof(second), ",\"sip:127.0.0.1:%u\"", port_of(&r->party[2].addr)) : 0, err;

	n = snprintf(text, sizeof(text),
		"{\"schema\":1,\"system\":{\"max_calls\":%d,\"mid_call\":\"relay-all\"},"
		"\"realms\":[{\"id\":\"core\",\"media\":{\"address\":\"127.0.0.1\",\"port_min\":20000,\"port_max\":%d}},"
		"{\"id\":\"peering\",\"media\":{\"address\":\"127.0.0.1\",\"port_min\":21000,\"port_max\":%d}}],"
		"\"listeners\":[{\"id\":\"a-udp\",\"realm\":\"core\",\"transport\":\"udp\",\"address\":\"127.0.0.1\",\"port\":%u},"
		"{\"id\":\"b-udp\",\"realm\":\"peering\",\"transport\":\"udp\",\"address\":\"127.0.0.1\",\"port\":%u}],"
		"\"trunks\":[{\"id\":\"a\",\"realm\":\"core\",\"target\":\"sip:127.0.0.1:%u\"%s},{\"id\":\"b\",\"realm\":\"peering\",\"targets\":[\"sip:127.0.0.1:%u\"%s]%s}],"
		"\"routes\":[{\"id\":\"a-b\",\"order\":1,\"from\":[\"a\"],\"to\":\"b\"},{\"id\":\"b-a\",\"order\":2,\"from\":[\"b\"],\"to\":\"a\"}]%s}",
		MAX_CALLS, 20000 + 2 * PORTS - 2, 21000 + 2 * PORTS - 2, port_of(&r->listener[0].addr), port_of(&r->listener[1].addr),
		port_of(&r->party[0].addr), o->a, port_of(&r->party[1].addr), second, o->b, o->doc);
	err = conf_errors_new(&errs);

	if (!err)
		err = conf_parse((struct slice){ text, (size_t)n }, ctl_schema, errs, &doc);
	for (size_t i = 0; err == ERR_CONFIG && conf_errors_at(errs, i); i++)
		fprintf(stderr, "scene: %s: %s\n", conf_errors_at(errs, i)->pointer, conf_errors_at(errs, i)->message);
	if (!err)
		err = peer_set_new(doc, &r->peers);
	base_unref(doc);
	base_unref(errs);
	return err;
}

static int memory_new(struct rig *r)
{
	struct loop_shm_spec spec[] = { { REGION_SLOTS, media_slots_bytes(2 * PORTS) }, { REGION_MEDIA, media_header_bytes() }, { REGION_RING, 1 << 18 } };
	int fd, err;

	for (unsigned i = 0; i < 2 * PORTS; i++) {
		base_addr_parse(SLICE("127.0.0.1"), (uint16_t)((i < PORTS ? 20000 : 21000 - 2 * PORTS) + 2 * i), &r->map[i].addr);
		r->map[i].realm = i >= PORTS;
		r->map[i].ok = 1;
	}
	err = loop_shm_create("scene", spec, ARRAY_LEN(spec), &fd);
	if (!err) {
		err = loop_shm_map(fd, true, &r->streams);
		close(fd);
	}
	r->store_bytes = call_store_bytes(MAX_CALLS);
	r->secrets_bytes = call_store_bytes(2 * MAX_CALLS);
	r->live_bytes = peer_live_bytes(2);
	r->store = aligned_alloc(4096, (r->store_bytes + 4095) & ~4095ul);
	r->secrets = aligned_alloc(4096, (r->secrets_bytes + 4095) & ~4095ul);
	r->live = aligned_alloc(64, (r->live_bytes + 63) & ~63ul);
	if (!r->store || !r->secrets || !r->live)
		return -ENOMEM;
	memset(r->store, 0, r->store_bytes);
	memset(r->secrets, 0, r->secrets_bytes);
	memset(r->live, 0, r->live_bytes);
	return err;
}

static int engine_start(struct rig *r)
{
	static const struct sipua_caps caps = { .message_bytes = 65536, .connections = 16, .handshake_s = 5, .idle_s = 300 };
	size_t bad;
	int err = loop_new(&r->loop);

	if (!err)
		err = loop_chan_pair(r->chan);
	if (!err)
		err = media_client_new(&(struct media_client_params){ .loop = r->loop, .chan_fd = r->chan[0], .streams = &r->streams, .wishes = &r->streams, .map = r->map, .nmap = 2 * PORTS }, &r->media);
	if (err)
		return err;
	err = call_engine_new(&(struct call_engine_params){ .loop = r->loop, .media = r->media, .streams = &r->streams, .peers = r->peers, .live = r->live, .live_bytes = r->live_bytes,
		.store_mem = r->store, .store_bytes = r->store_bytes, .secrets_mem = r->secrets, .secrets_bytes = r->secrets_bytes, .max_calls = MAX_CALLS }, &r->calls);
	if (!err)
		err = sipua_new(r->loop, r->listener, 2, "Scene", &caps, call_engine_handlers(), r->calls, &bad, &r->ua);
	if (err)
		return err;
	err = call_engine_attach(r->calls, r->ua);
	return err < 0 ? err : 0;
}

static void engine_stop(struct rig *r)
{
	call_engine_free(r->calls);
	sipua_free(r->ua);
	media_client_free(r->media);
	close(r->chan[1]);
	loop_free(r->loop);
}

struct rig *rig_new(const struct rig_options *o)
{
	struct rig *r = calloc(1, sizeof(*r));
	int err;

	base_clock_fake(1000000000, 1800000000000);
	for (int i = 0; i < 2; i++) {
		r->listener[i] = (struct sipua_listener){ .id = i ? "b-udp" : "a-udp", .transport = SIPUA_UDP };
		r->listener[i].fd = udp_open(&r->listener[i].addr);
	}
	for (int i = 0; i < PARTIES; i++) {
		r->party[i].fd = udp_open(&r->party[i].addr);
		r->party[i].peer = r->listener[i > 0].addr;
		r->party[i].name = "ABC"[i];
	}
	err = peers_new(r, o);
	if (!err)
		err = memory_new(r);
	if (!err)
		err = engine_start(r);
	if (!err)
		return r;
	fprintf(stderr, "scene: the stage cannot be set up: %s\n", base_strerror(err));
	return NULL;
}

void rig_free(struct rig *r)
{
	engine_stop(r);
	base_unref(r->peers);
	loop_shm_unmap(&r->streams);
	free(r->store);
	free(r->secrets);
	free(r->live);
	for (int i = 0; i < 2; i++)
		close(r->listener[i].fd);
	for (int i = 0; i < PARTIES; i++)
		close(r->party[i].fd);
	free(r);
}

/* What a dead process leaves: its memory as it stood, copied before an orderly end could change it. */
bool rig_restart(struct rig *r)
{
	char *left = malloc(r->store_bytes + r->secrets_bytes);
	bool ok;

	if (!left)
		return false;
	memcpy(left, r->store, r->store_bytes);
	memcpy(left + r->store_bytes, r->secrets, r->secrets_bytes);
	engine_stop(r);
	memcpy(r->store, left, r->store_bytes);
	memcpy(r->secrets, left + r->store_bytes, r->secrets_bytes);
	free(left);
	for (int i = 0; i < PARTIES; i++)
		while (party_read(&r->party[i]))
			;
	ok = engine_start(r) == 0;
	rig_advance(r, STEP_MS);
	return ok;
}

struct party *rig_party(struct rig *r, char name)
{
	return name >= 'A' && name < 'A' + PARTIES ? &r->party[name - 'A'] : NULL;
}

const char *rig_target(const struct rig *r, unsigned k)
{
	const struct peer_live_trunk *b = &r->live->trunk[1];

	return k < b->ntargets ? peer_state_name(b->target[k].state) : "none";
}

unsigned rig_calls(const struct rig *r)
{
	return call_engine_count(r->calls);
}

void rig_advance(struct rig *r, int64_t ms)
{
	while (ms > 0) {
		int64_t step = ms < STEP_MS ? ms : STEP_MS;

		base_clock_advance_ms(step);
		loop_turn(r->loop, 0);
		loop_turn(r->loop, 0);
		ms -= step;
	}
	for (int i = 0; i < 5; i++)
		loop_turn(r->loop, 1);
}

bool rig_has(const struct party *p)
{
	char c;

	return recv(p->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
}

bool rig_wait(struct rig *r, struct party *p)
{
	for (int i = 0; i < WAIT_MS; i++) {
		if (rig_has(p))
			return true;
		loop_turn(r->loop, 1);
	}
	return false;
}
