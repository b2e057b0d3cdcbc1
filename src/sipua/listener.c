/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listeners that come and go while calls stand. The library cannot let go of a transport: a listener that is closed keeps its number and its
 * place there, but its descriptor is made one that nothing arrives at, which frees address and port.
 */
#include "sipua/priv.h"
#include "sipua/guard/guard.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static bool is_number(const struct sipua *ua, unsigned number)
{
	return number < ua->n && ua->tp[number].primary;
}

/* The descriptor becomes a socket that is bound to nothing; epoll forgets the old one by itself. */
static void silence(struct sipua *ua, unsigned number)
{
	const struct sipua_listener *l = &ua->lst[number];
	int fd = sipua_fd_of_listener(ua, number), none;

	if (fd < 0)
		return;
	if (l->transport == SIPUA_UDP)
		sipua_udp_flush();
	none = socket(l->addr.sa.sa_family, (l->transport == SIPUA_UDP ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (none < 0)
		return; /* tried again by the next look */
	if (dup3(none, fd, O_CLOEXEC) >= 0)
		ua->tp[number].closed = true;
	close(none);
}

static bool in_use(const struct sipua *ua, unsigned number)
{
	for (const struct list_node *n = ua->dialogs.next; n != &ua->dialogs; n = n->next)
		if (container_of(n, struct sipua_dialog, link)->dest.listener == number)
			return true;
	for (const struct list_node *n = ua->srvs.next; n != &ua->srvs; n = n->next)
		if (container_of(n, struct sipua_srv, link)->path.listener == number)
			return true;
	return false;
}

void sipua_listeners_tick(struct sipua *ua)
{
	for (unsigned i = 0; i < ua->n; i++)
		if (ua->tp[i].gone && !ua->tp[i].closed && (ua->lst[i].transport != SIPUA_UDP || !in_use(ua, i)))
			silence(ua, i);
}

static int texts_copy(struct sipua_listener *to, const struct sipua_listener *from)
{
	char *id = base_dup(slice_str(from->id)), *advertise = from->advertise ? base_dup(slice_str(from->advertise)) : NULL;

	if (!id || (from->advertise && !advertise)) {
		free(id);
		free(advertise);
		return -ENOMEM;
	}
	*to = *from;
	to->id = id;
	to->advertise = advertise;
	if (to->tls)
		base_ref(to->tls);
	return 0;
}

void sipua_listener_fini(struct sipua *ua, unsigned number)
{
	struct sipua_listener *l = &ua->lst[number];

	free((char *)(uintptr_t)l->id);
	free((char *)(uintptr_t)l->advertise);
	base_unref(l->tls);
	free(ua->tp[number].advertised);
	free(ua->tp[number].contact);
	*l = (struct sipua_listener){ .fd = -1 };
	ua->tp[number] = (struct sipua_tp){ 0 };
}

int sipua_listener_change(struct sipua *ua, unsigned number, const struct sipua_listener *l)
{
	struct sipua_listener was, next;
	struct sipua_tp old;
	int err;

	if (!is_number(ua, number))
		return ERR_NOTFOUND;
	err = texts_copy(&next, l);
	if (err)
		return err;
	was = ua->lst[number];
	old = ua->tp[number];
	next.fd = was.fd;
	ua->lst[number] = next;
	ua->tp[number].advertised = ua->tp[number].contact = NULL;
	err = sipua_listener_name(ua, number);
	if (err) { /* all as it was */
		struct sipua_tp bad = ua->tp[number];

		ua->lst[number] = was;
		ua->tp[number] = old;
		free(bad.advertised);
		free(bad.contact);
		was = next;
		old.advertised = old.contact = NULL;
	}
	free((char *)(uintptr_t)was.id);
	free((char *)(uintptr_t)was.advertise);
	base_unref(was.tls);
	free(old.advertised);
	free(old.contact);
	return err;
}

int sipua_listener_add(struct sipua *ua, unsigned number, const struct sipua_listener *l)
{
	int err;

	if (number >= SIPUA_LISTENERS)
		return ERR_RANGE;
	if (is_number(ua, number)) {
		if (!ua->tp[number].gone || ua->tp[number].closed)
			return ERR_EXISTS;
		err = sipua_listener_change(ua, number, l);
		if (!err)
			ua->tp[number].gone = false;
		return err;
	}
	err = texts_copy(&ua->lst[number], l);
	if (err)
		return err;
	if (number >= ua->n)
		ua->n = number + 1;
	err = sipua_listener_open(ua, number);
	if (err)
		sipua_listener_fini(ua, number);
	return err;
}

void sipua_listener_remove(struct sipua *ua, unsigned number)
{
	if (!is_number(ua, number) || ua->tp[number].gone)
		return;
	ua->tp[number].gone = true;
	sipua_listeners_tick(ua);
}

bool sipua_listener_closed(const struct sipua *ua, unsigned number)
{
	return is_number(ua, number) && ua->tp[number].closed;
}

bool sipua_listener_draining(const struct sipua *ua, unsigned number)
{
	return is_number(ua, number) && ua->tp[number].gone && !ua->tp[number].closed;
}
