/* SPDX-License-Identifier: Apache-2.0 */
/* app/steer: see the header. */
#include "app/steer.h"

#include "postern/conf.h"
#include "postern/peer.h"

#define MORE_HOSTS 2                   /* addresses that later revisions may add: 1.5 MB each */
#define QUEUE_PER_CALL 8192            /* 100 ms of its 100 packets/s, as the kernel counts them */
#define QUEUE_LEAST (1 << 20)
#define QUEUE_MOST (16 << 20)          /* a longer queue is delay, not safety */

enum mode { AUTO, PORTS, SHARED };

static const struct peer_system_conf *system_of(const struct conf_doc *doc)
{
	size_t n = 0;

	return conf_objects(doc, &peer_schema_system, &n)[0];
}

static unsigned hosts_of(const struct conf_doc *doc)
{
	size_t nrealm = 0;
	const void *const *realm = conf_objects(doc, &peer_schema_realms, &nrealm);
	unsigned n = 0;

	for (size_t i = 0; i < nrealm; i++) {
		const struct peer_realm_conf *r = realm[i];

		n += (unsigned)!!r->ports.address + (unsigned)!!r->ports.address6;
	}
	return n;
}

bool app_steer_possible(const struct conf_doc *doc)
{
	static enum { UNKNOWN, YES, NO } tried;
	int mode = system_of(doc)->media_process.sockets;
	struct media_shared *s;
	const char *step;

	if (mode == PORTS || hosts_of(doc) > MEDIA_SHARED_HOSTS)
		return false;
	if (tried == UNKNOWN) {
		tried = media_shared_open(1, QUEUE_LEAST / 16, &s, &step) ? NO : YES;
		if (tried == YES)
			media_shared_close(s);
	}
	return tried == YES;
}

int app_steer_open(const struct conf_doc *doc, uint32_t max_calls, struct media_shared **ret)
{
	int mode = system_of(doc)->media_process.sockets, err;
	unsigned hosts = hosts_of(doc);
	int64_t queue = (int64_t)max_calls * QUEUE_PER_CALL;
	const char *step = "addresses";

	*ret = NULL;
	if (mode == PORTS) {
		base_log(BASE_INFO, "media", "two sockets for each port pair, as configured");
		return 0;
	}
	queue = queue < QUEUE_LEAST ? QUEUE_LEAST : queue > QUEUE_MOST ? QUEUE_MOST : queue;
	err = hosts > MEDIA_SHARED_HOSTS ? ERR_FULL : media_shared_open(hosts + MORE_HOSTS, (int)queue, ret, &step);
	if (!err) {
		base_log(BASE_INFO, "media", "ports share sockets queue=%d", (int)queue);
		return 0;
	}
	if (mode == SHARED) {
		base_log(BASE_ERROR, "media", "ports cannot share sockets step=\"%s\" error=\"%s\"", step, base_strerror(err));
		return err;
	}
	base_log(BASE_INFO, "media", "two sockets for each port pair, as ports cannot share them here step=\"%s\" error=\"%s\"", step, base_strerror(err));
	return 0;
}
