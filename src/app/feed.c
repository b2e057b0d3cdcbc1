/* SPDX-License-Identifier: Apache-2.0 */
/*
 * app/feed: what a child is handed, by role: descriptors by a table, media sockets in portions with acknowledgement (the
 * kernel bounds descriptors in flight: guide/media.md section 4), the revision, and with GO its channels.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/super.h"
#include "postern/conf.h"
#include "postern/peer.h"

#define PORTION LOOP_CHAN_FDS
#define SETUP_BYTES 8192

struct handout { int fd[APP_BOOT_FDS]; uint8_t tag[APP_BOOT_FDS], number[APP_BOOT_FDS]; uint32_t n; };

static void hand(struct handout *h, enum app_fd_tag tag, int fd)
{
	if (fd < 0)
		return;
	must(h->n < APP_BOOT_FDS);
	h->fd[h->n] = fd;
	h->tag[h->n] = (uint8_t)tag;
	h->n++;
}

static void gather(const struct super *s, enum app_role role, struct handout *h)
{
	const struct app_sockets *so = &s->p->sockets;

	h->n = 0;
	for (int tag = APP_FD_CALLS; tag < APP_FD_MEMORIES; tag++)
		hand(h, (enum app_fd_tag)tag, app_memory_fd(&s->p->memory, role, (enum app_fd_tag)tag));
	if (role != APP_ADMIN)
		hand(h, APP_FD_MAP, s->ports.blob);
	for (size_t i = 0; role == APP_ENGINE && i < s->numbers.nlisteners; i++) {
		if (s->numbers.listener[i].draining)
			continue;
		h->number[h->n] = (uint8_t)i;
		hand(h, APP_FD_LISTENER, s->numbers.listener[i].fd);
	}
	if (role == APP_ADMIN) {
		hand(h, APP_FD_HTTP, s->door.fd);
		hand(h, APP_FD_CONTROL, so->control);
	}
}

/* Length of media's table of sockets. */
static uint32_t sockets_of(const struct app_ports *p)
{
	uint32_t n;

	app_ports_fds(p, &n);
	return n;
}

/* Threads of media that fit the machine: a core is the engine's. */
static uint32_t workers(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	return cpus < 2 ? 1 : cpus > 9 ? 8 : (uint32_t)cpus - 1;
}

int app_feed_setup(struct child *c)
{
	const struct super *s = c->seat->super;
	enum app_role role = c->seat->role;
	struct handout h;
	struct app_setup setup = {
		.level = s->p->level, .max_calls = s->p->limits.max_calls, .connections = s->p->limits.connections,
		.sockets = role == APP_MEDIA ? sockets_of(&s->ports) : 0, .shared_hosts = s->ports.shared ? media_shared_hosts(s->ports.shared) : 0,
		.socket_room = role != APP_MEDIA ? 0 : s->ports.shared ? sockets_of(&s->ports) : 2 * s->ports.room, .workers = workers(),
		.token_hash = role == APP_ADMIN ? slice_str(s->p->token_hash) : SLICE(""),
	};
	uint8_t buf[SETUP_BYTES];
	int n, err;

	gather(s, role, &h);
	c->sockets = setup.sockets;
	setup.ntags = h.n;
	memcpy(setup.tag, h.tag, h.n);
	memcpy(setup.number, h.number, h.n);
	for (size_t i = 0; i < s->numbers.nlisteners; i++)
		c->has[i] = s->numbers.listener[i].fd >= 0 && !s->numbers.listener[i].draining;
	n = app_setup_print(&setup, buf, sizeof(buf));
	if (n < 0)
		return n;
	err = loop_chan_send(c->chan, APP_BOOT_SETUP, 0, (struct slice){ (char *)buf, (size_t)n }, h.fd, h.n);
	return err ? err : app_feed_sockets(c);
}

int app_feed_sockets(struct child *c)
{
	const struct super *s = c->seat->super;
	uint8_t body[4 + 4 * PORTION];
	struct writer w = writer_on(body, sizeof(body));
	uint32_t left, n, all;
	int err;

	if (c->seat->role == APP_MEDIA && !c->growing) /* there may be more by now than when it was born */
		c->sockets = sockets_of(&s->ports);
	left = c->sockets - c->sockets_sent;
	n = left < PORTION ? left : PORTION;
	if (n == 0 && c->growing) {
		c->growing = false;
		return app_feed_prepare(c, s->revise.transaction, &s->revise.layout, s->revise.full, s->revise.bare);
	}
	if (n == 0)
		return app_feed_prepare(c, s->seq, &s->numbers.now, s->full, s->bare);
	wr_u32(&w, n);
	for (uint32_t i = 0; i < n; i++)
		wr_u32(&w, c->sockets_sent + i);
	err = loop_chan_send(c->chan, APP_BOOT_SOCKETS, 0, (struct slice){ (char *)body, wr_len(&w) }, app_ports_fds(c->growing ? &s->revise.ports : &s->ports, &all) + c->sockets_sent, n);
	c->sockets_sent += n;
	return err;
}

int app_feed_grow(struct child *c)
{
	const struct super *s = c->seat->super;

	c->growing = true;
	c->asked = s->revise.transaction;
	c->sockets = sockets_of(&s->revise.ports);
	return app_feed_sockets(c);
}

/* The mark of a hidden secret is not a value that a document may have; media needs one that parses. */
static void unmark_secrets(char *text)
{
	for (char *p = text; (p = strstr(p, "\"***\"")); p += 5)
		memcpy(p + 1, "---", 3);
}

int app_feed_snapshots(const struct conf_doc *doc, const struct app_bundle *b, int *ret_full, int *ret_bare)
{
	struct app_bundle *bare = NULL;
	char *text = conf_print(doc, true);
	int err;

	if (text)
		unmark_secrets(text);
	err = text ? app_bundle_new(b->revision, slice_str(text), NULL, 0, &bare) : -ENOMEM;

	if (!err)
		err = app_bundle_seal(b, ret_full);
	if (!err) {
		err = app_bundle_seal(bare, ret_bare);
		if (err)
			close(*ret_full);
	}
	base_unref(bare);
	free(text);
	return err;
}

/* Listeners that were opened since it was born. */
static size_t fresh_ones(struct child *c, const struct app_layout *l, uint8_t *number, int *fd)
{
	const struct app_numbers *nb = &c->seat->super->numbers;
	size_t n = 0;

	for (size_t i = 0; c->seat->role == APP_ENGINE && i < l->nlisteners; i++) {
		uint8_t at = l->listener[i];

		if (c->has[at] || nb->listener[at].fd < 0)
			continue;
		c->has[at] = 1;
		number[n] = at;
		fd[n++] = nb->listener[at].fd;
	}
	return n;
}

/* What goes with each revision beside listeners: the port map, or the API's socket. */
static int one_more(const struct super *s, enum app_role role, bool next)
{
	if (role == APP_ADMIN)
		return next && s->revise.door.fd >= 0 ? s->revise.door.fd : s->door.fd;
	return next && s->revise.ports.blob >= 0 ? s->revise.ports.blob : s->ports.blob;
}

int app_feed_prepare(struct child *c, uint32_t transaction, const struct app_layout *l, int full, int bare)
{
	static uint8_t body[LOOP_CHAN_MAX - 64]; /* one thread */
	uint8_t number[APP_LISTENERS];
	int fd[APP_LISTENERS + 2] = { c->seat->role == APP_MEDIA ? bare : full };
	size_t n = fresh_ones(c, l, number, fd + 1);
	struct app_prepare p = { transaction, { (const char *)l->listener, l->nlisteners }, { (const char *)l->realm, l->nrealms * sizeof(*l->realm) },
		{ (const char *)number, n }, 1 };
	const struct super *s = c->seat->super;
	int bytes = app_prepare_print(&p, body, sizeof(body));

	fd[++n] = one_more(s, c->seat->role, transaction == s->revise.transaction);

	if (bytes < 0)
		return bytes;
	c->asked = transaction;
	return loop_chan_send(c->chan, APP_BOOT_PREPARE, 0, (struct slice){ (char *)body, (size_t)bytes }, fd, n + 1);
}

int app_feed_commit(struct child *c, uint32_t transaction, uint64_t revision)
{
	uint8_t body[12];
	struct writer w = writer_on(body, sizeof(body));

	wr_u32(&w, transaction);
	wr_u64(&w, revision);
	c->have = transaction;
	return loop_chan_send(c->chan, APP_BOOT_COMMIT, 0, (struct slice){ (char *)body, 12 }, NULL, 0);
}

int app_feed_go(struct child *c)
{
	const struct super *s = c->seat->super;
	struct app_go go = { .draining = s->engine_draining || s->phase == SUPER_DRAINING };
	int fd[2];
	uint8_t buf[64];
	int n;

	switch (c->seat->role) {
	case APP_ENGINE:
		go.ntags = 2;
		go.tag[0] = APP_FD_CHAN_MEDIA;
		fd[0] = s->em[0];
		go.tag[1] = APP_FD_CHAN_ADMIN;
		fd[1] = s->ea[0];
		break;
	case APP_MEDIA:
	default:
		go.ntags = 1;
		go.tag[0] = APP_FD_CHAN_ENGINE;
		fd[0] = c->seat->role == APP_MEDIA ? s->em[1] : s->ea[1];
	}
	n = app_go_print(&go, buf, sizeof(buf));
	must(n > 0);
	return loop_chan_send(c->chan, APP_BOOT_GO, 0, (struct slice){ (char *)buf, (size_t)n }, fd, go.ntags);
}

int app_feed_plain(struct child *c, uint16_t type, uint32_t value)
{
	uint8_t body[4];
	struct writer w = writer_on(body, sizeof(body));

	wr_u32(&w, value);
	return loop_chan_send(c->chan, type, 0, (struct slice){ (char *)body, 4 }, NULL, 0);
}
