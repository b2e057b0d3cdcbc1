/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz: packets into the worker's decision. Input: a byte of flags for the slots, then packets {u8 slot and source, u8 length, bytes}.
 * Whatever comes: what goes out is what came in, goes to an open slot, and never to an address that is not usable.
 */
#include <stdlib.h>

#include "media/relay.h"

#define SLOTS 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct media_map_entry map[SLOTS];
static struct media_slot *slots;
static struct media_flow *flows;
static struct media_own *own;

static union base_addr addr(const char *host, uint16_t port)
{
	union base_addr a;

	must(!base_addr_parse(slice_str(host), port, &a));
	return a;
}

static void prepare(void)
{
	for (int i = 0; i < SLOTS; i++)
		map[i] = (struct media_map_entry){ .addr = addr("127.0.0.1", (uint16_t)(20000 + 2 * i)), .ok = 1 };
	slots = aligned_alloc(64, SLOTS * sizeof(*slots));
	flows = aligned_alloc(64, SLOTS * sizeof(*flows));
	must(slots && flows && !media_own_new(map, SLOTS, &own));
}

static union base_addr source(unsigned which)
{
	switch (which) {
	case 0: return addr("192.0.2.1", 4000);
	case 1: return addr("192.0.2.1", 4001);
	case 2: return addr("127.0.0.1", 20004);
	case 3: return addr("0.0.0.0", 5000);
	default: return addr("203.0.113.1", (uint16_t)(1000 + which));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_on(data, size);
	struct media_relay relay;
	uint8_t flags;

	if (!slots)
		prepare();
	memset(slots, 0, SLOTS * sizeof(*slots));
	memset(flows, 0, SLOTS * sizeof(*flows));
	relay = (struct media_relay){ .flows = flows, .slots = slots, .map = map, .nslots = SLOTS, .workers = 1, .own = own };
	media_relay_init(&relay);
	flags = rd_u8(&r);
	for (uint32_t i = 0; i < 2; i++) {
		struct media_slot_want w = { .gen = 7, .open = 1, .want = { .peer = { !i, 7 }, .flags = (flags ^ i) & 63, .remote = source(0),
			.remote_rtcp = source(1) } };

		media_slot_put(&slots[i], &w);
	}
	for (int64_t t = 1000000; !r.bad && r.p < r.end; t += 300000) {
		uint8_t head = rd_u8(&r), n = rd_u8(&r);
		struct slice s = rd_bytes(&r, n);
		uint8_t packet[256];
		struct media_in in = { .slot = head & 1, .rtcp = head >> 1 & 1, .p = packet, .n = (uint32_t)s.n, .from = source(head >> 2 & 7) };
		struct media_out out;

		if (s.n)
			memcpy(packet, s.p, s.n);
		media_relay_batch(&relay, t);
		if (media_relay_packet(&relay, &in, &out))
			must(out.p == packet && out.n == in.n && out.slot == !in.slot && media_addr_usable(out.to) && !media_own_has(own, out.to));
	}
	return 0;
}
