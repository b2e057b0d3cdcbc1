/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listeners that come and go while calls stand. The library cannot let go of a transport: a listener that is closed keeps its number and its
 * place there, but its descriptor is made one that nothing arrives at, which frees address and port. Once nothing refers to the number any more, a
 * new listener of the same transport and family may take the place over: its socket goes where the old one was, and the library's notions of address
 * and Via are set to the new ones. So coming and going does not add up.
 */
#include "sipua/priv.h"
#include "sipua/guard/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define DEFER_ACCEPT_S 5

static bool is_number(const struct sipua *ua, unsigned number)
{
	return number < ua->n && ua->tp[number].primary;
}

/* The descriptor becomes a socket that is bound to nothing. */
static void silence(struct sipua *ua, unsigned number)
{
	const struct sipua_listener *l = &ua->lst[number];
	int fd = sipua_fd_of_listener(ua, number), none;
	const struct sipua_fd *f = sipua_fd_get(fd);

	if (fd < 0)
		return;
	if (l->transport == SIPUA_UDP)
		sipua_udp_flush();
	none = socket(l->addr.sa.sa_family, (l->transport == SIPUA_UDP ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (none < 0)
		return; /* tried again by the next look */
	if (f)
		epoll_ctl(f->ep, EPOLL_CTL_DEL, fd, NULL); /* others may hold the socket for a moment yet */
	if (dup3(none, fd, O_CLOEXEC) >= 0)
		ua->tp[number].closed = true;
	close(none);
}

/* ---- a number that is free again ---- */

/* What the library does to a socket that it has bound. */
static void prepare_socket(int fd, const struct sipua_listener *l)
{
	const bool six = l->addr.sa.sa_family == AF_INET6;
	int one = 1, defer = DEFER_ACCEPT_S, dont = six ? IPV6_PMTUDISC_DONT : IP_PMTUDISC_DONT, flags = fcntl(fd, F_GETFL);

	if (flags >= 0)
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	if (l->transport != SIPUA_UDP) {
		setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &defer, sizeof(defer));
		return;
	}
	setsockopt(fd, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_RECVERR : IP_RECVERR, &one, sizeof(one));
	setsockopt(fd, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER, &dont, sizeof(dont));
}

/* Address, name and Via of the transport in the library: it has no call for that, but hands out what it has. */
static void rename_transport(struct sipua *ua, unsigned number)
{
	struct sipua_tp *tp = &ua->tp[number];
	tp_name_t *name = (tp_name_t *)(uintptr_t)tport_name(tp->primary);
	const su_addrinfo_t *ai = tport_get_address(tp->primary);
	sip_via_t *via = (sip_via_t *)tport_magic(tp->primary);
	unsigned usual = ua->lst[number].transport == SIPUA_TLS ? 5061 : 5060;
	union base_addr addr = ua->lst[number].addr;

	base_addr_set_port(&addr, tp->advertised_port);
	memcpy(ai->ai_addr, &addr, ai->ai_addrlen < sizeof(addr) ? ai->ai_addrlen : sizeof(addr));
	snprintf(tp->port, sizeof(tp->port), "%u", tp->advertised_port);
	base_addr_host(&ua->lst[number].addr, true, tp->local);
	name->tpn_canon = tp->advertised_host;
	name->tpn_host = tp->local;
	name->tpn_port = tp->port;
	if (via) {
		via->v_host = tp->advertised_host;
		via->v_port = tp->advertised_port == usual ? NULL : tp->port;
	}
}

static int take_up(struct sipua *ua, unsigned number, const struct sipua_listener *l)
{
	const int fd = sipua_fd_of_listener(ua, number);
	const struct sipua_fd *f = sipua_fd_get(fd);
	struct epoll_event ev;
	int err;

	if (!f || l->transport != ua->lst[number].transport || l->addr.sa.sa_family != ua->lst[number].addr.sa.sa_family)
		return ERR_EXISTS;
	err = sipua_listener_change(ua, number, l);
	if (err)
		return err;
	ev = (struct epoll_event){ .events = f->events, .data.u64 = f->data };
	prepare_socket(l->fd, l);
	if (dup3(l->fd, fd, O_CLOEXEC) < 0)
		return -errno;
	rename_transport(ua, number);
	if (epoll_ctl(f->ep, EPOLL_CTL_ADD, fd, &ev) < 0) {
		err = -errno;
		silence(ua, number);
		return err;
	}
	ua->tp[number].gone = ua->tp[number].closed = false;
	return 0;
}

void sipua_listeners_used(const struct sipua *ua, bool ret[SIPUA_LISTENERS])
{
	for (unsigned i = 0; i < SIPUA_LISTENERS; i++)
		ret[i] = is_number(ua, i) && !ua->tp[i].closed;
	for (const struct list_node *n = ua->dialogs.next; n != &ua->dialogs; n = n->next)
		ret[container_of(n, struct sipua_dialog, link)->dest.listener] = true;
	for (const struct list_node *n = ua->srvs.next; n != &ua->srvs; n = n->next)
		ret[container_of(n, struct sipua_srv, link)->path.listener] = true;
	sipua_conns_used(ua, ret);
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
	} else if (!old.advertised || strcmp(old.advertised, ua->tp[number].advertised) != 0) {
		rename_transport(ua, number);
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
		if (!ua->tp[number].gone)
			return ERR_EXISTS;
		if (ua->tp[number].closed)
			return take_up(ua, number, l);
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
