/* SPDX-License-Identifier: Apache-2.0 */
/*
 * app/sockets: open, bind, listen; nothing is ever read here. All are close-on-exec and non-blocking: children get copies by
 * messages, and the file status is shared with them.
 */
#include "config.h"

#include "app/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include "app/limits.h"
#include "app/spawn.h"
#include "postern/conf.h"
#include "postern/peer.h"

#define UDP_BUFFER_BYTES (4 << 20)
#define BACKLOG 4096
#define RETRIES 20                     /* of a port in use: children of a predecessor that was killed are on their way out */
#define RETRY_MS 50

void app_sockets_init(struct app_sockets *s)
{
	*s = (struct app_sockets){ .http = -1, .control = -1 };
}

static void close_one(int fd)
{
	if (fd >= 0)
		close(fd);
}

void app_sockets_close(struct app_sockets *s)
{
	for (size_t i = 0; i < s->nlisteners; i++)
		close_one(s->listener[i]);
	for (uint32_t i = 0; !s->shared && i < 2 * s->nmap; i++)
		close_one(s->media[i]);
	media_shared_close(s->shared);
	close_one(s->http);
	close_one(s->control);
	free(s->listener);
	free(s->map);
	free(s->media);
	app_sockets_init(s);
}

/* As root beyond net.core.rmem_max. */
static void set_buffer(int fd, int force, int plain, int bytes)
{
	if (setsockopt(fd, SOL_SOCKET, force, &bytes, sizeof(bytes)) < 0)
		setsockopt(fd, SOL_SOCKET, plain, &bytes, sizeof(bytes));
}

static int bound_socket(const union base_addr *addr, int type, bool reuse)
{
	int fd = socket(addr->sa.sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1, err;

	if (fd < 0)
		return -errno;
	if (addr->sa.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (reuse)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, &addr->sa, base_addr_len(addr)) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static int stream_socket(const union base_addr *addr)
{
	int fd = bound_socket(addr, SOCK_STREAM, true), err;

	if (fd >= 0 && listen(fd, BACKLOG) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static int udp_socket(const union base_addr *addr)
{
	int fd = bound_socket(addr, SOCK_DGRAM, false);

	if (fd >= 0) {
		set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, UDP_BUFFER_BYTES);
		set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, UDP_BUFFER_BYTES);
	}
	return fd;
}

static int patient(int (*make)(const union base_addr *), const union base_addr *addr)
{
	int fd = make(addr);

	for (int i = 0; fd == -EADDRINUSE && i < RETRIES; i++) {
		poll(NULL, 0, RETRY_MS);
		fd = make(addr);
	}
	return fd;
}

int app_sockets_listeners(const struct conf_doc *doc, struct app_sockets *s)
{
	size_t n = 0;
	const void *const *obj = conf_objects(doc, &peer_schema_listeners, &n);

	s->listener = calloc(n ? n : 1, sizeof(int));
	if (!s->listener)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct peer_listener_conf *l = obj[i];
		union base_addr addr;
		char text[56];
		int fd = base_addr_parse(slice_str(l->address), (uint16_t)l->port, &addr);

		if (fd == 0)
			fd = patient(l->transport == 0 ? udp_socket : stream_socket, &addr);
		if (fd < 0) {
			base_log(BASE_ERROR, "sockets", "listener %s cannot be opened address=%s transport=%s error=\"%s\"", l->id,
				base_addr_print(&addr, text), l->transport == 0 ? "udp" : l->transport == 1 ? "tcp" : "tls", base_strerror(fd));
			return fd;
		}
		s->listener[s->nlisteners++] = fd;
	}
	return 0;
}

int app_sockets_listener(bool udp, const union base_addr *addr)
{
	return udp ? udp_socket(addr) : stream_socket(addr);
}

int app_sockets_http(const union base_addr *addr, struct app_sockets *s)
{
	int fd = patient(stream_socket, addr);
	char text[56];

	if (fd < 0) {
		base_log(BASE_ERROR, "sockets", "the API cannot be opened address=%s error=\"%s\"", base_addr_print(addr, text), base_strerror(fd));
		return fd;
	}
	s->http = fd;
	return 0;
}

/*
 * An abstract socket of a name that nobody can guess, told in a file that the owner alone reads. Nothing of it lies in the folder, which is the
 * unprivileged user's: no link that is put in its place can make root change what it points to. Names are seen in /proc/net/unix, so admin asks
 * for the credentials of who connects.
 */
static int control_socket(char name[static 64])
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	char random[33];
	size_t n;
	int fd, err = 0;

	base_random_token(random, sizeof(random));
	n = (size_t)snprintf(name, 64, "postern-%s", random);
	memcpy(un.sun_path + 1, name, n);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&un, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n)) < 0 || listen(fd, 64) < 0)
		err = -errno;
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

static int control_file(int state, const struct app_user *user, const char *name)
{
	int fd, err = 0;

	unlinkat(state, APP_SOCKETS_CONTROL, 0);
	fd = openat(state, APP_SOCKETS_CONTROL, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (dprintf(fd, "@%s\n", name) < 0 || (user->drop && fchown(fd, user->uid, user->gid) < 0))
		err = -errno;
	close(fd);
	return err;
}

int app_sockets_control(int state, const struct app_user *user, struct app_sockets *s)
{
	char name[64];
	int fd = control_socket(name), err = fd < 0 ? fd : control_file(state, user, name);

	if (err) {
		if (fd >= 0)
			close(fd);
		base_log(BASE_ERROR, "sockets", "the control socket cannot be opened file=" APP_SOCKETS_CONTROL " error=\"%s\"", base_strerror(err));
		return err;
	}
	s->control = fd;
	return 0;
}

/* ---- media ports ---- */

struct pool {                              /* one address of one realm */
	const struct peer_realm_conf *realm;
	uint16_t index;
	union base_addr addr;
	uint32_t first, count, max;        /* RTP ports first, first+2 ...; at most max of count */
	uint32_t opened, busy;
	int err;                           /* the last cause of a port left out */
};

/* The first ports in use may be those of a predecessor that was killed and is on its way out: wait, but not for each of them. */
static int open_pair(const struct app_sockets *s, const union base_addr *rtp, int *patience, int ret_fd[2])
{
	/* a port that others have is none of ours, also where it needs no socket of its own */
	int err = s->shared ? media_port_probe(rtp) : media_port_sockets(rtp, ret_fd);

	while (err == -EADDRINUSE && *patience > 0) {
		(*patience)--;
		poll(NULL, 0, RETRY_MS);
		err = s->shared ? media_port_probe(rtp) : media_port_sockets(rtp, ret_fd);
	}
	return err;
}

static void open_pool(struct pool *p, int *patience, struct app_sockets *s)
{
	for (uint32_t i = 0; i < p->count && p->opened < p->max; i++) {
		struct media_map_entry *e = &s->map[s->nmap];
		int err;

		e->addr = p->addr;
		base_addr_set_port(&e->addr, (uint16_t)(p->first + 2 * i));
		err = open_pair(s, &e->addr, patience, &s->media[2 * s->nmap]);
		if (err) {
			p->busy++;
			p->err = err;
			continue;
		}
		e->realm = p->index;
		e->ok = 1;
		s->nmap++;
		p->opened++;
	}
}

static int pool_tell(const struct pool *p)
{
	char host[48];

	base_addr_host(&p->addr, true, host);
	if (p->count == 0 || p->opened) {
		if (p->busy)
			base_log(BASE_WARN, "sockets", "%u of %u port pairs of realm %s are left out address=%s error=\"%s\"", p->busy, p->count,
				p->realm->id, host, base_strerror(p->err));
		return 0;
	}
	base_log(BASE_ERROR, "sockets", "no media port of realm %s can be opened address=%s ports=%lld-%lld error=\"%s\"", p->realm->id, host,
		(long long)p->realm->ports.port_min, (long long)p->realm->ports.port_max, base_strerror(p->err));
	/* ports that others hold now may be free for the next start; an address that is not here is a mistake */
	return p->err == -EADDRINUSE ? 0 : p->err ? p->err : -EMFILE;
}

static void pool_add(struct pool *pool, size_t *n, const struct peer_realm_conf *r, size_t index, const char *address)
{
	struct pool *p = &pool[*n];
	uint16_t first;

	if (!address || base_addr_parse(slice_str(address), 0, &p->addr) < 0)
		return;
	p->realm = r;
	p->index = (uint16_t)index;
	p->count = app_limits_range(r, &first);
	p->first = first;
	(*n)++;
}

static struct pool *pools_of(const struct conf_doc *doc, size_t *ret_n, uint32_t *ret_total)
{
	size_t nrealm = 0, n = 0;
	const void *const *realm = conf_objects(doc, &peer_schema_realms, &nrealm);
	struct pool *pool = calloc(2 * nrealm + 1, sizeof(*pool));

	if (!pool)
		return NULL;
	for (size_t i = 0; i < nrealm; i++) {
		const struct peer_realm_conf *r = realm[i];

		pool_add(pool, &n, r, i, r->ports.address);
		pool_add(pool, &n, r, i, r->ports.address6);
	}
	*ret_n = n;
	*ret_total = 0;
	for (size_t i = 0; i < n; i++)
		*ret_total += pool[i].count;
	return pool;
}

int app_sockets_media(const struct conf_doc *doc, uint32_t max, struct app_sockets *s)
{
	size_t n;
	uint32_t total;
	struct pool *pool = pools_of(doc, &n, &total);
	int err = 0, patience = RETRIES / 2;

	if (!pool)
		return -ENOMEM;
	s->map = calloc(total + 1, sizeof(*s->map));
	s->media = malloc((2 * (size_t)total + 2) * sizeof(int));
	if (!s->map || !s->media)
		err = -ENOMEM;
	for (size_t i = 0; i < n && !err; i++) {
		pool[i].max = max >= total ? pool[i].count : (uint32_t)((uint64_t)pool[i].count * max / total);
		open_pool(&pool[i], &patience, s);
		err = pool_tell(&pool[i]);
	}
	free(pool);
	if (!err && s->shared) {
		err = media_shared_map(s->shared, s->map, s->nmap);
		if (err)
			base_log(BASE_ERROR, "sockets", "shared media sockets cannot serve the ports error=\"%s\"", base_strerror(err));
	}
	return err;
}
