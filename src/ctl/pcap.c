/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of a call as a capture file (pcap, link type RAW): IP and UDP or TCP around each, as they would have been on the wire. What went
 * by TLS is shown in the clear, in TCP. Sequence numbers are counted per direction of a connection, so that readers put streams together.
 */
#include <stdio.h>
#include <stdlib.h>

#include "ctl/ctl.h"
#include "ctl/messages.h"

#define SEGMENT   60000u       /* bytes of a packet's content: with its heads it fits IP */
#define FLOWS     256u
#define PROTO_TCP 6
#define PROTO_UDP 17
#define LINK_RAW  101

struct flow { union base_addr from, to; uint32_t seq; };
struct pcap {
	FILE *out;
	struct flow flow[FLOWS];
	size_t nflow;
};

static void u16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void u32(uint8_t *p, uint32_t v)
{
	u16(p, v >> 16);
	u16(p + 2, v & 0xffff);
}

/** RFC 1071 */
static uint32_t sum(uint32_t s, const void *data, size_t n)
{
	const uint8_t *p = data;

	for (; n > 1; p += 2, n -= 2)
		s += (uint32_t)(p[0] << 8 | p[1]);
	return n ? s + (uint32_t)(p[0] << 8) : s;
}

static unsigned fold(uint32_t s)
{
	s = (s >> 16) + (s & 0xffff);
	return ~(s + (s >> 16)) & 0xffff;
}

static size_t address(const union base_addr *a, uint8_t *p)
{
	if (a->sa.sa_family == AF_INET6) {
		memcpy(p, &a->in6.sin6_addr, 16);
		return 16;
	}
	memcpy(p, &a->in.sin_addr, 4);
	return 4;
}

/** IP head before `n` bytes of that protocol. @return its length */
static size_t ip_head(const union base_addr *from, const union base_addr *to, uint8_t proto, size_t n, uint8_t p[static 40])
{
	memset(p, 0, 40);
	if (from->sa.sa_family == AF_INET6) {
		p[0] = 0x60;
		u16(p + 4, (unsigned)n);
		p[6] = proto;
		p[7] = 64;
		address(to, p + 8 + address(from, p + 8));
		return 40;
	}
	p[0] = 0x45;
	u16(p + 2, (unsigned)n + 20);
	p[8] = 64;
	p[9] = proto;
	address(to, p + 12 + address(from, p + 12));
	u16(p + 10, fold(sum(0, p, 20)));
	return 20;
}

static void packet(struct pcap *c, int64_t time_us, const union base_addr *from, const union base_addr *to, uint8_t proto, uint8_t *head, size_t nhead, struct slice s)
{
	uint8_t ip[40], pseudo[40];
	size_t nip = ip_head(from, to, proto, nhead + s.n, ip), na = address(from, pseudo);
	uint32_t record[4] = { (uint32_t)(time_us / 1000000), (uint32_t)(time_us % 1000000), (uint32_t)(nip + nhead + s.n), (uint32_t)(nip + nhead + s.n) };
	uint32_t total;
	unsigned check;

	na += address(to, pseudo + na);
	total = sum(sum(sum((uint32_t)(proto + nhead + s.n), pseudo, na), head, nhead), s.p, s.n);
	check = fold(total);
	u16(head + (proto == PROTO_TCP ? 16 : 6), check ? check : 0xffff);
	fwrite(record, 1, sizeof record, c->out);
	fwrite(ip, 1, nip, c->out);
	fwrite(head, 1, nhead, c->out);
	fwrite(s.p, 1, s.n, c->out);
}

static struct flow *flow_of(struct pcap *c, const union base_addr *from, const union base_addr *to)
{
	struct flow *f = c->flow;

	for (; f < c->flow + c->nflow; f++)
		if (base_addr_eq(&f->from, from) && base_addr_eq(&f->to, to))
			return f;
	if (c->nflow == FLOWS) /* a call of so many connections: the last ones share their numbers */
		return f - 1;
	*f = (struct flow){ *from, *to, 1 };
	c->nflow++;
	return f;
}

static void tcp(struct pcap *c, int64_t time_us, const union base_addr *from, const union base_addr *to, struct slice s)
{
	struct flow *there = flow_of(c, from, to), *back = flow_of(c, to, from);
	uint8_t head[20];
	struct slice part;

	do {
		part = (struct slice){ s.p, s.n < SEGMENT ? s.n : SEGMENT };
		memset(head, 0, sizeof head);
		u16(head, base_addr_port(from));
		u16(head + 2, base_addr_port(to));
		u32(head + 4, there->seq);
		u32(head + 8, back->seq);
		u16(head + 12, 0x5018); /* 20 bytes of head; PSH, ACK */
		u16(head + 14, 65535);
		packet(c, time_us, from, to, PROTO_TCP, head, sizeof head, part);
		there->seq += (uint32_t)part.n;
		s = (struct slice){ s.p + part.n, s.n - part.n };
	} while (s.n);
}

static void udp(struct pcap *c, int64_t time_us, const union base_addr *from, const union base_addr *to, struct slice s)
{
	uint8_t head[8] = { 0 };

	if (s.n > 65535 - 48)
		s.n = 65535 - 48;
	u16(head, base_addr_port(from));
	u16(head + 2, base_addr_port(to));
	u16(head + 4, (unsigned)s.n + 8);
	packet(c, time_us, from, to, PROTO_UDP, head, sizeof head, s);
}

char *ctl_messages_pcap(const struct ctl_message_list *l, size_t *ret_n)
{
	static const struct { uint32_t magic; uint16_t major, minor; uint32_t zone, figures, snap, link; } file = { 0xa1b2c3d4, 2, 4, 0, 0, 262144, LINK_RAW };
	struct pcap *c = calloc(1, sizeof *c);
	char *bytes = NULL;
	bool bad = true;

	if (!c)
		return NULL;
	c->out = open_memstream(&bytes, ret_n);
	if (c->out) {
		fwrite(&file, 1, sizeof file, c->out);
		for (size_t i = 0; i < l->n; i++) {
			const struct base_trace_head *h = &l->v[i].head;
			bool out = ctl_message_is_out(&l->v[i]);

			(h->transport ? tcp : udp)(c, h->time_us, out ? &h->local : &h->peer, out ? &h->peer : &h->local, l->v[i].bytes);
		}
		bad = fclose(c->out) != 0;
	}
	free(c);
	if (bad) {
		free(bytes);
		bytes = NULL;
	}
	return bytes;
}
