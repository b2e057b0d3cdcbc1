/* SPDX-License-Identifier: Apache-2.0 */
/* app/numbers: see the header. A listener that moves gets another number: the old one drains in the engine under its own. */
#include "app/numbers.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/sockets.h"
#include "postern/conf.h"
#include "postern/peer.h"

void app_layout_fini(struct app_layout *l)
{
	free(l->realm);
	*l = (struct app_layout){ 0 };
}

bool app_layout_has(const struct app_layout *l, size_t number)
{
	for (size_t i = 0; i < l->nlisteners; i++)
		if (l->listener[i] == number)
			return true;
	return false;
}

/* ---- realms ---- */

static int realm_number(struct app_numbers *nb, const char *id, uint16_t *ret)
{
	char (*more)[64];

	for (size_t i = 0; i < nb->nrealms; i++)
		if (strcmp(nb->realm[i], id) == 0) {
			*ret = (uint16_t)i;
			return 0;
		}
	if (nb->nrealms == UINT16_MAX)
		return ERR_FULL;
	more = realloc(nb->realm, (nb->nrealms + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	nb->realm = more;
	slice_copy(more[nb->nrealms], sizeof(*more), slice_str(id));
	*ret = (uint16_t)nb->nrealms++;
	return 0;
}

static int realms(struct app_numbers *nb, const struct conf_doc *doc, struct app_layout *l)
{
	size_t n = 0;
	const void *const *obj = conf_objects(doc, &peer_schema_realms, &n);
	int err = 0;

	l->realm = calloc(n + 1, sizeof(*l->realm));
	if (!l->realm)
		return -ENOMEM;
	l->nrealms = n;
	for (size_t i = 0; i < n && !err; i++)
		err = realm_number(nb, ((const struct peer_realm_conf *)obj[i])->id, &l->realm[i]);
	return err;
}

/* ---- listeners ---- */

static struct app_listener want(const struct peer_listener_conf *c)
{
	struct app_listener l = { .transport = (uint8_t)c->transport, .fd = -1 };

	base_addr_parse(slice_str(c->address), (uint16_t)c->port, &l.addr);
	return l;
}

/* One that is open already; TLS is TCP underneath, but another listener. */
static long find_open(const struct app_numbers *nb, const struct app_listener *w)
{
	for (size_t i = 0; i < nb->nlisteners; i++)
		if (nb->listener[i].fd >= 0 && nb->listener[i].transport == w->transport && base_addr_eq(&nb->listener[i].addr, &w->addr))
			return (long)i;
	return -1;
}

static bool fits(const struct app_listener *was, const struct app_listener *w, bool same)
{
	if (was->fd >= 0 || !was->free || was->transport != w->transport)
		return false;
	return same ? base_addr_eq(&was->addr, &w->addr) : was->addr.sa.sa_family == w->addr.sa.sa_family;
}

/* A number for one that is not open: its own of before, a new one, or one that is free again. -1: all are in use. */
static long find_number(struct app_numbers *nb, const struct app_listener *w)
{
	for (size_t i = 0; i < nb->nlisteners; i++)
		if (fits(&nb->listener[i], w, true))
			return (long)i;
	if (nb->nlisteners < APP_LISTENERS)
		return (long)nb->nlisteners++;
	for (size_t i = 0; i < nb->nlisteners; i++)
		if (fits(&nb->listener[i], w, false))
			return (long)i;
	return -1;
}

static void refuse(struct conf_errors *errs, const struct conf_doc *doc, const struct peer_listener_conf *c, const char *why)
{
	char buf[128];

	conf_error(errs, conf_pointer(doc, &peer_schema_listeners, c, buf), "cannot be opened at %s port %lld: %s", c->address, (long long)c->port, why);
}

static int listener_number(struct app_numbers *nb, const struct conf_doc *doc, const struct peer_listener_conf *c, struct conf_errors *errs, uint8_t *ret)
{
	struct app_listener w = want(c);
	long at = find_open(nb, &w);

	if (at < 0) {
		w.fd = app_sockets_listener(w.transport == 0, &w.addr);
		if (w.fd < 0) {
			refuse(errs, doc, c, base_strerror(w.fd));
			return ERR_CONFIG;
		}
		at = find_number(nb, &w);
		if (at < 0) {
			close(w.fd);
			refuse(errs, doc, c, "calls stand on too many listeners that were removed: try again when some have ended");
			return ERR_CONFIG;
		}
		w.lent = nb->listener[at].free;
		nb->listener[at] = w;
	}
	*ret = (uint8_t)at;
	return 0;
}

static int listeners(struct app_numbers *nb, const struct conf_doc *doc, struct conf_errors *errs, struct app_layout *l)
{
	size_t n = 0;
	const void *const *obj = conf_objects(doc, &peer_schema_listeners, &n);
	int err = 0;

	for (size_t i = 0; i < n && i < APP_LISTENERS; i++) { /* all of them, so that each error is told */
		int e = listener_number(nb, doc, obj[i], errs, &l->listener[i]);

		err = err ? err : e;
		l->nlisteners++;
	}
	return err;
}

static void close_one(struct app_listener *l)
{
	if (l->fd >= 0) {
		close(l->fd);
		l->free = l->lent; /* it was never in force: no call knows it */
	}
	l->fd = -1;
	l->draining = l->lent = false;
}

/* Close what the layout has no part in; what is draining stays. */
static void sweep(struct app_numbers *nb, const struct app_layout *keep)
{
	for (size_t i = 0; i < nb->nlisteners; i++)
		if (!nb->listener[i].draining && !app_layout_has(keep, i))
			close_one(&nb->listener[i]);
}

void app_numbers_closed(struct app_numbers *nb, size_t number, const struct app_layout *keep)
{
	if (number < nb->nlisteners && nb->listener[number].draining && !app_layout_has(keep, number))
		close_one(&nb->listener[number]);
}

void app_numbers_free(struct app_numbers *nb, size_t number)
{
	if (number < APP_LISTENERS && (number >= nb->nlisteners || nb->listener[number].fd < 0))
		nb->listener[number].free = true;
}

void app_numbers_drop(struct app_numbers *nb, const struct app_layout *keep)
{
	for (size_t i = 0; i < nb->nlisteners; i++)
		app_numbers_closed(nb, i, keep);
}

int app_numbers_init(struct app_numbers *nb, const struct conf_doc *doc, const int *fd)
{
	size_t n = 0;
	const void *const *obj = conf_objects(doc, &peer_schema_listeners, &n);

	for (size_t i = 0; i < n && i < APP_LISTENERS; i++) {
		nb->listener[i] = want(obj[i]);
		nb->listener[i].fd = fd[i];
		nb->now.listener[i] = (uint8_t)i;
		nb->nlisteners = nb->now.nlisteners = i + 1;
	}
	return realms(nb, doc, &nb->now);
}

int app_numbers_plan(struct app_numbers *nb, const struct conf_doc *doc, struct conf_errors *errs, struct app_layout *ret)
{
	struct app_layout l = { 0 };
	int err = realms(nb, doc, &l);

	if (!err)
		err = listeners(nb, doc, errs, &l);
	if (err) {
		app_numbers_abort(nb, &l);
		return err;
	}
	*ret = l;
	return 0;
}

void app_numbers_commit(struct app_numbers *nb, struct app_layout *next)
{
	for (size_t i = 0; i < nb->nlisteners; i++) {
		struct app_listener *l = &nb->listener[i];

		if (app_layout_has(next, i))
			l->lent = false;
		l->draining = l->fd >= 0 && !app_layout_has(next, i) && (l->draining || (l->transport == 0 && app_layout_has(&nb->now, i)));
	}
	sweep(nb, next);
	app_layout_fini(&nb->now);
	nb->now = *next;
	*next = (struct app_layout){ 0 };
}

void app_numbers_abort(struct app_numbers *nb, struct app_layout *next)
{
	sweep(nb, &nb->now);
	app_layout_fini(next);
}
