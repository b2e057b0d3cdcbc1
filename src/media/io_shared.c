/* SPDX-License-Identifier: Apache-2.0 */
/*
 * media/io with shared sockets (media/shared.c): received in batches, sent in batches through raw sockets with IP and UDP headers made here.
 * Strangers' packets come by the guard socket, of which at most a part of each batch is taken. What is expected of a port is written where
 * the kernel's program reads it; a half-written address sends a packet to the guard socket, where nothing is lost.
 */
#include "config.h"

#include <errno.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#include "media/io.h"
#include "media/shared.h"

#define GUARD_MAX 16                   /* of a batch, while the main socket has packets */
#define STRIDE (MEDIA_PACKET_MAX + 192) /* with room for a trailer; an odd number of cache lines, so that a batch's heads do not share one set */
_Static_assert(STRIDE >= MEDIA_PACKET_MAX + MEDIA_PACKET_ROOM && STRIDE / 64 % 2 == 1, "stride");
#define DSCP_EF 0xb8
#define TTL 64
#define HEAD_MAX (sizeof(struct ip6_hdr) + sizeof(struct udphdr))

struct head4 { struct iphdr ip; struct udphdr udp; };
struct head6 { struct ip6_hdr ip; struct udphdr udp; };

struct shared {
	struct media_io io;
	const struct media_map_entry *map;
	uint32_t nslots;
	unsigned index, workers;
	int raw[2], sock[2];           /* IPv4, IPv6; main, guard */
	struct media_steer *steer;     /* ports of all addresses */
	size_t steer_bytes;
	uint32_t *host;                /* per slot: the number of its address */
	struct media_hosts hosts;
	uint32_t last;                 /* host of the last packet: mostly the next one's too */
	uint32_t dropped[2];           /* as the sockets told last */
	bool drops_known[2];
	struct mmsghdr in[MEDIA_BATCH], out[2][MEDIA_BATCH];
	struct iovec in_part[MEDIA_BATCH], out_part[2][MEDIA_BATCH][2];
	union base_addr from[MEDIA_BATCH], to6[MEDIA_BATCH];
	struct { _Alignas(struct cmsghdr) uint8_t b[CMSG_SPACE(sizeof(struct sockaddr_in6)) + CMSG_SPACE(sizeof(uint32_t))]; } control[MEDIA_BATCH];
	_Alignas(8) uint8_t head[2][MEDIA_BATCH][HEAD_MAX];
	uint8_t arena[MEDIA_BATCH][STRIDE] __attribute__((aligned(64)));
};

static struct shared *shared_of(struct media_io *io)
{
	return container_of(io, struct shared, io);
}

/* ---- what is expected where ---- */

static struct media_steer *steer_of(const struct shared *s, uint32_t slot, unsigned rtcp)
{
	return &s->steer[s->host[slot] * MEDIA_STEER_PORTS + base_addr_port(&s->map[slot].addr) + rtcp];
}

static int shared_listen(struct media_io *io, uint32_t slot)
{
	struct shared *s = shared_of(io);

	for (unsigned k = 0; k < 2 && s->map[slot].ok; k++) {
		struct media_steer *e = steer_of(s, slot, k);

		if (e->open && e->slot == slot && e->worker == s->index)
			continue; /* as a process before left it, with whom it expects */
		e->slot = slot;
		e->worker = (uint8_t)s->index;
		__atomic_store_n(&e->open, 1, __ATOMIC_RELEASE);
	}
	return 0;
}

static void shared_expect(struct media_io *io, uint32_t slot, const union base_addr from[static 2])
{
	for (unsigned k = 0; k < 2; k++) {
		struct media_steer *e = steer_of(shared_of(io), slot, k);
		uint8_t ip[16] = { 0 };
		uint64_t half[2];

		if (from[k].sa.sa_family)
			media_steer_ip(&from[k], ip);
		memcpy(half, ip, sizeof(half));
		__atomic_store_n((uint64_t *)(void *)e->from, half[0], __ATOMIC_RELAXED);
		__atomic_store_n((uint64_t *)(void *)(e->from + 8), half[1], __ATOMIC_RELAXED);
		__atomic_store_n(&e->from_port, from[k].sa.sa_family ? htons(base_addr_port(&from[k])) : 0, __ATOMIC_RELAXED);
	}
}

/* ---- receiving ---- */

/* Number of the address of ours that a packet was sent to, or hosts.n. */
static uint32_t host_find(const struct shared *s, const uint8_t ip[static 16])
{
	for (uint32_t i = 0; i < s->hosts.n; i++)
		if (!memcmp(s->hosts.host[i].ip, ip, 16))
			return i;
	return s->hosts.n;
}

static bool port_of(struct shared *s, const union base_addr *sent_to, uint32_t *ret_slot, bool *ret_rtcp)
{
	const struct media_steer *e;
	uint8_t ip[16];
	uint16_t port = base_addr_port(sent_to);

	media_steer_ip(sent_to, ip);
	if (s->last >= s->hosts.n || memcmp(s->hosts.host[s->last].ip, ip, 16))
		s->last = host_find(s, ip);
	if (s->last >= s->hosts.n)
		return false;
	e = &s->steer[s->last * MEDIA_STEER_PORTS + port];
	/* after a start with another number of workers, packets of other ones wait here */
	if (!e->open || e->slot >= s->nslots || e->slot % s->workers != s->index)
		return false;
	*ret_slot = e->slot;
	*ret_rtcp = port != base_addr_port(&s->map[e->slot].addr);
	return true;
}

static void drops_count(struct shared *s, int which, uint32_t told)
{
	if (s->drops_known[which])
		s->io.counts.overflown[which] += told - s->dropped[which];
	s->drops_known[which] = true; /* the first number is of all processes before */
	s->dropped[which] = told;
}

/* Where was it sent to? family 0: not told. */
static void control_read(struct shared *s, int which, struct msghdr *h, union base_addr *ret_to)
{
	ret_to->sa.sa_family = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_ORIGDSTADDR) {
			memcpy(&ret_to->in, CMSG_DATA(c), sizeof(ret_to->in));
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_ORIGDSTADDR) {
			memcpy(&ret_to->in6, CMSG_DATA(c), sizeof(ret_to->in6));
		} else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
			uint32_t told;

			memcpy(&told, CMSG_DATA(c), sizeof(told));
			drops_count(s, which, told);
		}
	}
}

/* The dual-stack socket shows IPv4 sources as ::ffff: addresses. */
static void source_plain(union base_addr *a)
{
	struct sockaddr_in in = { .sin_family = AF_INET };

	if (a->sa.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr))
		return;
	in.sin_port = a->in6.sin6_port;
	memcpy(&in.sin_addr, a->in6.sin6_addr.s6_addr + 12, 4);
	memcpy(&a->in, &in, sizeof(in));
}

/* @return datagrams read; those of our ports are added to ret */
static int take(struct shared *s, int which, int first, int room, struct media_in *ret, int *got)
{
	int n = recvmmsg(s->sock[which], s->in + first, (unsigned)room, MSG_DONTWAIT | MSG_TRUNC, NULL);

	for (int i = first; i < first + n; i++) {
		struct msghdr *h = &s->in[i].msg_hdr;
		struct media_in *in = &ret[*got];
		union base_addr to;

		control_read(s, which, h, &to);
		h->msg_namelen = sizeof(s->from[i]);
		h->msg_controllen = sizeof(s->control[i].b);
		if (s->in[i].msg_len > MEDIA_PACKET_MAX) {
			s->io.counts.oversize++;
		} else if (!to.sa.sa_family || !port_of(s, &to, &in->slot, &in->rtcp)) {
			s->io.counts.strayed++;
		} else {
			in->from = s->from[i];
			source_plain(&in->from);
			in->p = s->arena[i];
			in->n = s->in[i].msg_len;
			(*got)++;
		}
	}
	if (n > 0)
		s->io.counts.received += (uint64_t)n;
	return n > 0 ? n : 0;
}

static int shared_recv(struct media_io *io, int wait_ms, struct media_in *ret, int *ret_ready)
{
	struct shared *s = shared_of(io);
	struct epoll_event ev[3];
	int events = epoll_wait(io->ep, ev, ARRAY_LEN(ev), wait_ms), got = 0, read[2] = { 0, 0 }, room = MEDIA_BATCH;
	bool ready[2] = { false, false };

	for (int i = 0; i < events; i++)
		if (ev[i].data.u32 == MEDIA_IO_WAKE)
			media_io_awake(io);
		else
			ready[ev[i].data.u32] = true;
	/* the guard first: what came there before its port expected it is older than what is on the main socket */
	if (ready[1]) {
		room = ready[0] ? GUARD_MAX : MEDIA_BATCH;
		read[1] = take(s, 1, 0, room, ret, &got);
	}
	if (ready[0])
		read[0] = take(s, 0, read[1], MEDIA_BATCH - read[1], ret, &got);
	*ret_ready = events > 0 ? events : 0;
	if (read[0] + read[1] > *ret_ready)
		*ret_ready = read[0] + read[1];
	if (read[1] == room)
		*ret_ready = MEDIA_BATCH;
	return got;
}

/* ---- sending ---- */

/* Sum of 16-bit words in the machine's order, which is that of the network once it is folded and stored (RFC 1071). */
static uint64_t sum_add(uint64_t sum, const void *data, size_t n)
{
	const uint8_t *p = data;
	uint64_t w64;
	uint16_t w16;

	for (; n >= 8; p += 8, n -= 8) {
		memcpy(&w64, p, 8);
		sum += w64 & 0xffffffff;
		sum += w64 >> 32;
	}
	for (; n >= 2; p += 2, n -= 2) {
		memcpy(&w16, p, 2);
		sum += w16;
	}
	if (n) {
		w16 = 0;
		memcpy(&w16, p, 1);
		sum += w16;
	}
	return sum;
}

static uint16_t sum_fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	sum = ~sum & 0xffff;
	return sum ? (uint16_t)sum : 0xffff; /* 0 would say that there is none (RFC 768) */
}

static void udp_make(struct udphdr *u, uint16_t port, const union base_addr *to, const struct media_out *o, uint64_t addresses)
{
	uint16_t len = (uint16_t)(sizeof(*u) + o->n);

	*u = (struct udphdr){ .source = htons(port), .dest = htons(base_addr_port(to)), .len = htons(len) };
	u->check = sum_fold(sum_add(sum_add(addresses + htons(IPPROTO_UDP) + htons(len), u, sizeof(*u)), o->p, o->n));
}

/* Length, identification where it is 0, and checksum of an IPv4 header are the kernel's. @return bytes */
static size_t head_make(uint8_t *head, const union base_addr *our, uint16_t port, const struct media_out *o)
{
	if (our->sa.sa_family == AF_INET) {
		struct head4 *h = (void *)head;

		h->ip = (struct iphdr){ .version = 4, .ihl = 5, .tos = DSCP_EF, .ttl = TTL, .frag_off = htons(IP_DF), .protocol = IPPROTO_UDP,
			.saddr = our->in.sin_addr.s_addr, .daddr = o->to->in.sin_addr.s_addr };
		udp_make(&h->udp, port, o->to, o, sum_add(0, &h->ip.saddr, 8));
		return sizeof(*h);
	}
	struct head6 *h = (void *)head;

	memset(&h->ip, 0, sizeof(h->ip));
	h->ip.ip6_flow = htonl(6u << 28 | DSCP_EF << 20);
	h->ip.ip6_plen = htons((uint16_t)(sizeof(h->udp) + o->n));
	h->ip.ip6_nxt = IPPROTO_UDP;
	h->ip.ip6_hlim = TTL;
	h->ip.ip6_src = our->in6.sin6_addr;
	h->ip.ip6_dst = o->to->in6.sin6_addr;
	udp_make(&h->udp, port, o->to, o, sum_add(0, &h->ip.ip6_src, 32));
	return sizeof(*h);
}

/* sendmmsg stops at the first that fails: go on behind it. */
static void send_all(struct shared *s, int which, int n)
{
	for (int at = 0; at < n; ) {
		int k = sendmmsg(s->raw[which], s->out[which] + at, (unsigned)(n - at), MSG_DONTWAIT);

		if (k <= 0) {
			s->io.counts.send_failed++;
			k = 1;
		} else {
			s->io.counts.sent += (uint64_t)k;
		}
		at += k;
	}
}

static void shared_send(struct media_io *io, const struct media_out *out, int n)
{
	struct shared *s = shared_of(io);
	int made[2] = { 0, 0 };

	for (int i = 0; i < n; i++) {
		const struct media_out *o = &out[i];
		const union base_addr *our = &s->map[o->slot].addr;
		int six = our->sa.sa_family == AF_INET6, k = made[six];
		struct msghdr *h = &s->out[six][k].msg_hdr;

		if (o->to->sa.sa_family != our->sa.sa_family) {
			io->counts.send_failed++;
			continue;
		}
		s->out_part[six][k][0] = (struct iovec){ s->head[six][k], head_make(s->head[six][k], our, (uint16_t)(base_addr_port(our) + o->rtcp), o) };
		s->out_part[six][k][1] = (struct iovec){ (void *)(uintptr_t)o->p, o->n };
		if (six) { /* the port of a raw IPv6 destination is a protocol */
			s->to6[k] = *o->to;
			s->to6[k].in6.sin6_port = 0;
			h->msg_name = &s->to6[k];
		} else {
			h->msg_name = (void *)(uintptr_t)o->to;
		}
		made[six]++;
	}
	for (int six = 0; six < 2; six++)
		if (made[six])
			send_all(s, six, made[six]);
}

/* ---- begin and end ---- */

static void shared_close(struct media_io *io)
{
	struct shared *s = shared_of(io);

	media_io_fini(io);
	if (s->steer)
		munmap(s->steer, s->steer_bytes);
	free(s->host);
	free(s);
}

static void messages_init(struct shared *s)
{
	for (int i = 0; i < MEDIA_BATCH; i++) {
		s->in_part[i] = (struct iovec){ s->arena[i], MEDIA_PACKET_MAX };
		s->in[i].msg_hdr = (struct msghdr){ .msg_name = &s->from[i], .msg_namelen = sizeof(s->from[i]), .msg_iov = &s->in_part[i], .msg_iovlen = 1,
			.msg_control = s->control[i].b, .msg_controllen = sizeof(s->control[i].b) };
		for (int six = 0; six < 2; six++)
			s->out[six][i].msg_hdr = (struct msghdr){ .msg_namelen = six ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in),
				.msg_iov = s->out_part[six][i], .msg_iovlen = 2 };
	}
}

static int hosts_init(struct shared *s, uint32_t room)
{
	int err = media_hosts_of(s->map, s->nslots, &s->hosts);

	if (err || s->hosts.n > room)
		return err ? err : ERR_FULL;
	s->host = base_alloc((s->nslots + 1) * sizeof(*s->host));
	if (!s->host)
		return -ENOMEM;
	for (uint32_t i = 0, last = 0; i < s->nslots; i++, last = s->host[i - 1]) {
		uint8_t ip[16];

		media_steer_ip(&s->map[i].addr, ip);
		s->host[i] = memcmp(s->hosts.host[last].ip, ip, 16) ? host_find(s, ip) : last;
	}
	return 0;
}

/* What waits at workers that are no more, since there were more of them, would come to others much later. */
static void drain_others(const struct media_io_params *p)
{
	char byte;

	for (unsigned k = 2 * p->workers; p->index == 0 && k < 2 * MEDIA_SHARED_WORKERS; k++)
		while (recv(p->fds[MEDIA_SHARED_SOCKETS + k], &byte, 1, MSG_DONTWAIT) >= 0)
			;
}

static int sockets_init(struct shared *s, const struct media_io_params *p)
{
	drain_others(p);
	for (uint32_t k = 0; k < 2; k++) {
		struct epoll_event ev = { .events = EPOLLIN, .data.u32 = k };

		s->raw[k] = p->fds[MEDIA_SHARED_RAW4 + k];
		s->sock[k] = p->fds[MEDIA_SHARED_SOCKETS + 2 * p->index + k];
		if (epoll_ctl(s->io.ep, EPOLL_CTL_ADD, s->sock[k], &ev))
			return -errno;
	}
	s->steer_bytes = (size_t)p->shared_hosts * MEDIA_STEER_PORTS * sizeof(*s->steer);
	s->steer = mmap(NULL, s->steer_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, p->fds[MEDIA_SHARED_PORTS], 0);
	if (s->steer == MAP_FAILED) {
		s->steer = NULL;
		return -errno;
	}
	return 0;
}

int media_io_shared_open(const struct media_io_params *p, struct media_io **ret)
{
	static const struct media_io_ops ops = { shared_close, shared_listen, shared_expect, shared_recv, shared_send };
	struct shared *s = base_alloc(sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	memset(s, 0, offsetof(struct shared, in));
	s->map = p->map;
	s->nslots = p->nslots;
	s->index = p->index;
	s->workers = p->workers;
	messages_init(s);
	err = media_io_init(&s->io, &ops);
	if (!err)
		err = hosts_init(s, p->shared_hosts);
	if (!err)
		err = sockets_init(s, p);
	if (err) {
		shared_close(&s->io);
		return err;
	}
	*ret = &s->io;
	return 0;
}
