/* SPDX-License-Identifier: Apache-2.0 */
/*
 * media/shared: a pair of sockets per worker for all media ports. A program at the kernel's socket lookup (BPF sk_lookup, Linux 5.9) sends
 * each packet of a port of ours to the main socket of its worker where it comes from whom the port expects, to the guard socket where it
 * does not: a flood from elsewhere fills the guard's small queue alone. Packets leave through raw sockets, with headers of our own.
 * The supervisor makes and keeps all of this; the program is gone with the last descriptor of its link, which only the supervisor has.
 * The program is written here by hand: 40 instructions need neither a compiler nor a loader at run time.
 */
#include "media/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define GUARD_RCVBUF (256 << 10)
#define SNDBUF (4 << 20)
#define RAWBUF 4096                    /* nothing is ever received there */

struct media_shared {
	int hosts_map, socks_map, prog, link;
	uint32_t room, known;          /* addresses that fit, that the program knows */
	uint8_t host[MEDIA_SHARED_HOSTS][16];
	int fd[MEDIA_SHARED_SOCKETS + 2 * MEDIA_SHARED_WORKERS];
};

/* ---- addresses ---- */

void media_steer_ip(const union base_addr *a, uint8_t ret[static 16])
{
	if (a->sa.sa_family == AF_INET6) {
		memcpy(ret, &a->in6.sin6_addr, 16);
		return;
	}
	memset(ret, 0, 10);
	ret[10] = ret[11] = 0xff;
	memcpy(ret + 12, &a->in.sin_addr, 4);
}

int media_hosts_of(const struct media_map_entry *map, uint32_t nmap, struct media_hosts *ret)
{
	uint32_t last = 0;

	ret->n = 0;
	for (uint32_t i = 0; i < nmap; i++) {
		uint8_t ip[16];
		uint32_t k = last;

		media_steer_ip(&map[i].addr, ip);
		if (k >= ret->n || memcmp(ret->host[k].ip, ip, 16))
			for (k = 0; k < ret->n && memcmp(ret->host[k].ip, ip, 16); )
				k++;
		if (k == MEDIA_SHARED_HOSTS)
			return ERR_FULL;
		if (k == ret->n) {
			memcpy(ret->host[k].ip, ip, 16);
			ret->host[k].addr = map[i].addr;
			ret->n++;
		}
		last = k;
	}
	return 0;
}

/* ---- bpf(2) ---- */

static int bpf_call(int cmd, union bpf_attr *a)
{
	long r = syscall(SYS_bpf, cmd, a, sizeof(*a));

	return r < 0 ? -errno : (int)r;
}

static int map_new(uint32_t type, uint32_t key, uint32_t value, uint32_t n, uint32_t flags, const char *name)
{
	union bpf_attr a;

	memset(&a, 0, sizeof(a));
	a.map_type = type;
	a.key_size = key;
	a.value_size = value;
	a.max_entries = n;
	a.map_flags = flags;
	slice_copy(a.map_name, sizeof(a.map_name), slice_str(name));
	return bpf_call(BPF_MAP_CREATE, &a);
}

static int map_put(int map, const void *key, const void *value)
{
	union bpf_attr a;

	memset(&a, 0, sizeof(a));
	a.map_fd = (uint32_t)map;
	a.key = (uint64_t)(uintptr_t)key;
	a.value = (uint64_t)(uintptr_t)value;
	return bpf_call(BPF_MAP_UPDATE_ELEM, &a);
}

static void map_del(int map, const void *key)
{
	union bpf_attr a;

	memset(&a, 0, sizeof(a));
	a.map_fd = (uint32_t)map;
	a.key = (uint64_t)(uintptr_t)key;
	bpf_call(BPF_MAP_DELETE_ELEM, &a);
}

/* ---- the program ---- */

#define R0 0
#define R1 1
#define R2 2
#define R3 3
#define R6 6
#define R7 7
#define R8 8
#define FP 10
#define LOAD(size, d, s, o)   { BPF_LDX | BPF_MEM | (size), (d), (s), (o), 0 }
#define STORE(size, d, o, s)  { BPF_STX | BPF_MEM | (size), (d), (s), (o), 0 }
#define STORE_IMM(d, o, v)    { BPF_ST | BPF_MEM | BPF_W, (d), 0, (o), (v) }
#define MOV(d, s)             { BPF_ALU64 | BPF_MOV | BPF_X, (d), (s), 0, 0 }
#define MOV_IMM(d, v)         { BPF_ALU64 | BPF_MOV | BPF_K, (d), 0, 0, (v) }
#define ALU(op, d, s)         { BPF_ALU64 | (op) | BPF_X, (d), (s), 0, 0 }
#define ALU_IMM(op, d, v)     { BPF_ALU64 | (op) | BPF_K, (d), 0, 0, (v) }
#define JUMP(op, d, s, to)    { BPF_JMP | (op) | BPF_X, (d), (s), (to), 0 }
#define JUMP_IMM(op, d, v, to) { BPF_JMP | (op) | BPF_K, (d), 0, (to), (v) }
#define CALL(f)               { BPF_JMP | BPF_CALL, 0, 0, 0, (f) }
#define MAP(d, fd)            { BPF_LD | BPF_DW | BPF_IMM, (d), BPF_PSEUDO_MAP_FD, 0, (fd) }, { 0, 0, 0, 0, 0 }
#define CTX(field)            ((int16_t)offsetof(struct bpf_sk_lookup, field))
#define LOCAL (-16)                    /* on the stack: our address, theirs, a key */
#define REMOTE (-32)
#define KEY (-40)
/* jumps to these are corrected before the program is loaded: their distance is nobody's to count */
#define TO_PASS 0x7001
#define TO_IP6 0x7002
#define TO_FIND 0x7003
#define TO_GUARD 0x7004
#define TO_GIVE 0x7005
#define LABEL(which)          { 0, 0, 0, (which), 0 }

/* Labels become distances, and go. @return instructions */
static uint32_t assemble(struct bpf_insn *p, uint32_t n)
{
	uint32_t at[8] = { 0 }, k = 0;

	for (uint32_t i = 0; i < n; i++) {
		bool second = k && p[k - 1].code == (BPF_LD | BPF_DW | BPF_IMM); /* of a MAP */

		if (p[i].code || second)
			p[k++] = p[i];
		else
			at[p[i].off & 7] = k;
	}
	for (uint32_t i = 0; i < k; i++)
		if ((p[i].code & 7) == BPF_JMP && p[i].off > 0x7000)
			p[i].off = (int16_t)(at[p[i].off & 7] - i - 1);
	return k;
}

static int program_load(struct media_shared *s)
{
	struct bpf_insn p[] = {
		MOV(R6, R1),
		LOAD(BPF_W, R2, R6, CTX(protocol)),
		JUMP_IMM(BPF_JNE, R2, IPPROTO_UDP, TO_PASS),
		LOAD(BPF_W, R2, R6, CTX(family)),
		JUMP_IMM(BPF_JNE, R2, AF_INET, TO_IP6),
		STORE_IMM(FP, LOCAL, 0), STORE_IMM(FP, LOCAL + 4, 0), STORE_IMM(FP, LOCAL + 8, (int32_t)htonl(0xffff)),
		LOAD(BPF_W, R2, R6, CTX(local_ip4)), STORE(BPF_W, FP, LOCAL + 12, R2),
		STORE_IMM(FP, REMOTE, 0), STORE_IMM(FP, REMOTE + 4, 0), STORE_IMM(FP, REMOTE + 8, (int32_t)htonl(0xffff)),
		LOAD(BPF_W, R2, R6, CTX(remote_ip4)), STORE(BPF_W, FP, REMOTE + 12, R2),
		JUMP_IMM(BPF_JA, 0, 0, TO_FIND),
		LABEL(TO_IP6),
		LOAD(BPF_W, R2, R6, CTX(local_ip6)), STORE(BPF_W, FP, LOCAL, R2),
		LOAD(BPF_W, R2, R6, CTX(local_ip6) + 4), STORE(BPF_W, FP, LOCAL + 4, R2),
		LOAD(BPF_W, R2, R6, CTX(local_ip6) + 8), STORE(BPF_W, FP, LOCAL + 8, R2),
		LOAD(BPF_W, R2, R6, CTX(local_ip6) + 12), STORE(BPF_W, FP, LOCAL + 12, R2),
		LOAD(BPF_W, R2, R6, CTX(remote_ip6)), STORE(BPF_W, FP, REMOTE, R2),
		LOAD(BPF_W, R2, R6, CTX(remote_ip6) + 4), STORE(BPF_W, FP, REMOTE + 4, R2),
		LOAD(BPF_W, R2, R6, CTX(remote_ip6) + 8), STORE(BPF_W, FP, REMOTE + 8, R2),
		LOAD(BPF_W, R2, R6, CTX(remote_ip6) + 12), STORE(BPF_W, FP, REMOTE + 12, R2),
		LABEL(TO_FIND),                /* our address, then the port of it */
		MAP(R1, s->hosts_map), MOV(R2, FP), ALU_IMM(BPF_ADD, R2, LOCAL), CALL(BPF_FUNC_map_lookup_elem),
		JUMP_IMM(BPF_JEQ, R0, 0, TO_PASS),
		LOAD(BPF_W, R7, R0, 0), LOAD(BPF_W, R2, R6, CTX(local_port)), ALU(BPF_ADD, R7, R2), STORE(BPF_W, FP, KEY, R7),
		MAP(R1, s->fd[MEDIA_SHARED_PORTS]), MOV(R2, FP), ALU_IMM(BPF_ADD, R2, KEY), CALL(BPF_FUNC_map_lookup_elem),
		JUMP_IMM(BPF_JEQ, R0, 0, TO_PASS),
		MOV(R8, R0),
		LOAD(BPF_B, R2, R8, offsetof(struct media_steer, open)),
		JUMP_IMM(BPF_JEQ, R2, 0, TO_PASS),
		LOAD(BPF_B, R7, R8, offsetof(struct media_steer, worker)), ALU_IMM(BPF_LSH, R7, 1),
		LOAD(BPF_DW, R2, R8, 0), LOAD(BPF_DW, R3, FP, REMOTE), JUMP(BPF_JNE, R2, R3, TO_GUARD),
		LOAD(BPF_DW, R2, R8, 8), LOAD(BPF_DW, R3, FP, REMOTE + 8), JUMP(BPF_JNE, R2, R3, TO_GUARD),
		LOAD(BPF_H, R2, R8, offsetof(struct media_steer, from_port)), LOAD(BPF_H, R3, R6, CTX(remote_port)), JUMP(BPF_JEQ, R2, R3, TO_GIVE),
		LABEL(TO_GUARD),
		ALU_IMM(BPF_OR, R7, 1),
		LABEL(TO_GIVE),
		STORE(BPF_W, FP, KEY, R7),
		MAP(R1, s->socks_map), MOV(R2, FP), ALU_IMM(BPF_ADD, R2, KEY), CALL(BPF_FUNC_map_lookup_elem),
		JUMP_IMM(BPF_JEQ, R0, 0, TO_PASS),
		MOV(R7, R0),
		MOV(R1, R6), MOV(R2, R7), MOV_IMM(R3, BPF_SK_LOOKUP_F_NO_REUSEPORT), CALL(BPF_FUNC_sk_assign),
		MOV(R1, R7), CALL(BPF_FUNC_sk_release),
		LABEL(TO_PASS),
		MOV_IMM(R0, SK_PASS),
		{ BPF_JMP | BPF_EXIT, 0, 0, 0, 0 },
	};
	union bpf_attr a;

	memset(&a, 0, sizeof(a));
	a.insn_cnt = assemble(p, ARRAY_LEN(p));
	a.prog_type = BPF_PROG_TYPE_SK_LOOKUP;
	a.expected_attach_type = BPF_SK_LOOKUP;
	a.insns = (uint64_t)(uintptr_t)p;
	a.license = (uint64_t)(uintptr_t)"Apache-2.0";
	slice_copy(a.prog_name, sizeof(a.prog_name), SLICE("postern_media"));
	s->prog = bpf_call(BPF_PROG_LOAD, &a);
	return s->prog < 0 ? s->prog : 0;
}

static int program_attach(struct media_shared *s)
{
	union bpf_attr a;
	int net = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	if (net < 0)
		return -errno;
	memset(&a, 0, sizeof(a));
	a.link_create.prog_fd = (uint32_t)s->prog;
	a.link_create.target_fd = (uint32_t)net;
	a.link_create.attach_type = BPF_SK_LOOKUP;
	s->link = bpf_call(BPF_LINK_CREATE, &a);
	close(net);
	return s->link < 0 ? s->link : 0;
}

/* ---- sockets ---- */

/* As root beyond net.core.rmem_max. @return what it became */
static int buffer_set(int fd, int force, int plain, int bytes)
{
	int is = 0;
	socklen_t n = sizeof(is);

	if (setsockopt(fd, SOL_SOCKET, force, &bytes, sizeof(bytes)))
		setsockopt(fd, SOL_SOCKET, plain, &bytes, sizeof(bytes));
	getsockopt(fd, SOL_SOCKET, plain, &is, &n);
	return is / 2; /* the kernel counts its own share in */
}

static bool has_ipv6(void)
{
	const struct sockaddr_in6 lo = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool has = fd >= 0 && !bind(fd, (const struct sockaddr *)&lo, sizeof(lo));

	if (fd >= 0)
		close(fd);
	return has;
}

/* It must be bound to be given packets: to a port of the loopback, where nobody else can send to. Both families, where there are both. */
static int shared_socket(bool six, int rcvbuf, int *ret_fd)
{
	const int one = 1, zero = 0;
	union base_addr at;
	int fd = socket(six ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	memset(&at, 0, sizeof(at));
	if (six) {
		at.in6.sin6_family = AF_INET6;
		at.in6.sin6_addr = (struct in6_addr){ .s6_addr = { [10] = 0xff, 0xff, 127, 0, 0, 1 } }; /* bound to ::1 it would take no IPv4 */
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, &one, sizeof(one));
	} else {
		at.in.sin_family = AF_INET;
		at.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	}
	setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &one, sizeof(one));
	if (setsockopt(fd, IPPROTO_IP, IP_RECVORIGDSTADDR, &one, sizeof(one)) || bind(fd, &at.sa, base_addr_len(&at))) {
		int err = -errno;

		close(fd);
		return err;
	}
	if (buffer_set(fd, SO_RCVBUFFORCE, SO_RCVBUF, rcvbuf) < rcvbuf)
		base_log(BASE_WARN, "media", "the buffer of a shared media socket is smaller than %d bytes: raise net.core.rmem_max", rcvbuf);
	*ret_fd = fd;
	return 0;
}

static int raw_socket(int family, int *ret_fd)
{
	int fd = socket(family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_RAW), least = RAWBUF;

	if (fd < 0)
		return -errno;
	buffer_set(fd, SO_SNDBUFFORCE, SO_SNDBUF, SNDBUF);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof(least));
	*ret_fd = fd;
	return 0;
}

static int sockets_open(struct media_shared *s, int rcvbuf)
{
	bool six = has_ipv6();
	int err = raw_socket(AF_INET, &s->fd[MEDIA_SHARED_RAW4]);

	if (!err)
		err = raw_socket(six ? AF_INET6 : AF_INET, &s->fd[MEDIA_SHARED_RAW6]); /* without IPv6 never used: a place that is filled */
	for (uint32_t i = 0; i < 2 * MEDIA_SHARED_WORKERS && !err; i++) {
		int *fd = &s->fd[MEDIA_SHARED_SOCKETS + i];
		uint64_t value;

		err = shared_socket(six, i & 1 ? GUARD_RCVBUF : rcvbuf, fd);
		value = (uint64_t)*fd;
		if (!err)
			err = map_put(s->socks_map, &i, &value);
	}
	return err;
}

/* ---- all of it ---- */

static int maps_open(struct media_shared *s)
{
	s->hosts_map = map_new(BPF_MAP_TYPE_HASH, 16, 4, s->room, 0, "postern_hosts");
	if (s->hosts_map < 0)
		return s->hosts_map;
	s->socks_map = map_new(BPF_MAP_TYPE_SOCKMAP, 4, 8, 2 * MEDIA_SHARED_WORKERS, 0, "postern_socks");
	if (s->socks_map < 0)
		return s->socks_map;
	s->fd[MEDIA_SHARED_PORTS] = map_new(BPF_MAP_TYPE_ARRAY, 4, sizeof(struct media_steer), s->room * MEDIA_STEER_PORTS, BPF_F_MMAPABLE, "postern_ports");
	return s->fd[MEDIA_SHARED_PORTS] < 0 ? s->fd[MEDIA_SHARED_PORTS] : 0;
}

int media_shared_open(unsigned hosts, int rcvbuf, struct media_shared **ret, const char **ret_step)
{
	struct media_shared *s = base_alloc(sizeof(*s));
	int err;

	*ret_step = "memory";
	if (!s)
		return -ENOMEM;
	memset(s, 0, sizeof(*s));
	memset(s->fd, 0xff, sizeof(s->fd));
	s->hosts_map = s->socks_map = s->prog = s->link = -1;
	s->room = hosts < 1 ? 1 : hosts > MEDIA_SHARED_HOSTS ? MEDIA_SHARED_HOSTS : hosts;
	*ret_step = "bpf maps";
	err = maps_open(s);
	if (!err) {
		*ret_step = "sk_lookup program";
		err = program_load(s);
	}
	if (!err) {
		*ret_step = "sockets";
		err = sockets_open(s, rcvbuf);
	}
	if (!err) {
		*ret_step = "bpf link";
		err = program_attach(s);
	}
	if (err) {
		media_shared_close(s);
		return err;
	}
	*ret = s;
	return 0;
}

static void close_one(int fd)
{
	if (fd >= 0)
		close(fd);
}

void media_shared_close(struct media_shared *s)
{
	if (!s)
		return;
	close_one(s->link);
	close_one(s->prog);
	close_one(s->hosts_map);
	close_one(s->socks_map);
	for (uint32_t i = 0; i < ARRAY_LEN(s->fd); i++)
		close_one(s->fd[i]);
	free(s);
}

const int *media_shared_fds(const struct media_shared *s, uint32_t *ret_n)
{
	*ret_n = ARRAY_LEN(s->fd);
	return s->fd;
}

uint32_t media_shared_hosts(const struct media_shared *s)
{
	return s->room;
}

int media_shared_map(struct media_shared *s, const struct media_map_entry *map, uint32_t nmap)
{
	struct media_hosts *h = base_alloc(sizeof(*h));
	int err = h ? media_hosts_of(map, nmap, h) : -ENOMEM;

	if (!err && h->n > s->room)
		err = ERR_FULL;
	for (uint32_t i = 0; !err && i < s->known; i++) /* of a map that never came into force */
		if (i >= h->n || memcmp(s->host[i], h->host[i].ip, 16)) {
			map_del(s->hosts_map, s->host[i]);
			memset(s->host[i], 0, 16);
		}
	for (uint32_t i = 0; !err && i < h->n; i++) {
		uint32_t base = i * MEDIA_STEER_PORTS;

		if (i < s->known && !memcmp(s->host[i], h->host[i].ip, 16))
			continue;
		err = map_put(s->hosts_map, h->host[i].ip, &base);
		memcpy(s->host[i], h->host[i].ip, 16);
	}
	s->known = err ? s->known : h->n;
	free(h);
	return err;
}
