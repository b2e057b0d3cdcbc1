/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz: packets into the worker's decision. Input: a byte of flags for the slots, whose two highest bits make a slot SRTP, then packets
 * {u8 slot and source, u8 length, bytes}. Whatever comes: what goes out is what came in (or protected), goes to an open slot, never to an address
 * that is not usable, and nothing of an SRTP slot's that is not authentic.
 */
#include <stdlib.h>

#include "media/relay.h"
#include "postern/keys.h"

#define SLOTS 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct media_map_entry map[SLOTS];
static struct media_slot *slots;
static struct media_flow *flows;
static struct media_slot_keys keys[SLOTS];
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
	must(!keys_srtp_start());
	for (int i = 0; i < SLOTS; i++)
		for (int d = 0; d < 2; d++)
			for (int b = 0; b < 2; b++)
				keys[i].dir[b][d] = (struct media_slot_key){ .serial = 1, .suite = (uint8_t)(1 + 2 * i), .key = { { 1, (uint8_t)i } } };
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

/* What goes on is whole, to a party, and only as the keys of its side allow. */
static void one_packet(struct media_relay *relay, struct reader *r, uint8_t flags, int64_t t)
{
	uint8_t head = rd_u8(r), n = rd_u8(r);
	struct slice s = rd_bytes(r, n);
	uint8_t packet[256 + KEYS_SRTP_TRAILER] __attribute__((aligned(8)));
	struct media_in in = { .slot = head & 1, .rtcp = head >> 1 & 1, .p = packet, .n = (uint32_t)s.n, .from = source(head >> 2 & 7) };
	struct media_out out;

	if (s.n)
		memcpy(packet, s.p, s.n);
	media_relay_batch(relay, t);
	if (media_relay_packet(relay, &in, &out))
		must(out.p == packet && (flags >> 6 || out.n == in.n) && out.n <= sizeof(packet) && out.slot == !in.slot && media_addr_usable(out.to)
			&& !media_own_has(own, out.to) && (flags & 32 || !(flags >> (6 + in.slot) & 1)));
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
	relay = (struct media_relay){ .flows = flows, .slots = slots, .map = map, .nslots = SLOTS, .workers = 1, .own = own, .keys = keys };
	media_relay_init(&relay);
	flags = rd_u8(&r);
	for (uint32_t i = 0; i < 2; i++) {
		struct media_slot_want w = { .gen = 7, .open = 1, .want = { .peer = { !i, 7 }, .flags = (flags ^ i) & 63, .remote = source(0),
			.remote_rtcp = source(1) } };

		if (flags >> (6 + i) & 1)
			w.want.suite[0] = w.want.suite[1] = (uint8_t)(1 + 2 * i);
		media_slot_put(&slots[i], &w);
	}
	for (int64_t t = 1000000; !r.bad && r.p < r.end; t += 300000)
		one_packet(&relay, &r, flags, t);
	media_relay_fini(&relay);
	return 0;
}
