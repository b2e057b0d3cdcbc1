/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Start and stop of the API: counters, channel to the engine, CDR ring, the two servers.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "admin/admin.h"
#include "postern/conf.h"

static void on_destroy(void *obj)
{
	struct admin *a = obj;

	base_unref(a->doc);
	free(a->tls_cert);
	if (a->tls_key)
		explicit_bzero(a->tls_key, strlen(a->tls_key));
	free(a->tls_key);
	free(a->tls_ca);
}

static bool is_loopback(int fd)
{
	union base_addr addr;
	socklen_t len = sizeof addr;

	if (fd < 0 || getsockname(fd, &addr.sa, &len) < 0)
		return false;
	if (addr.sa.sa_family == AF_INET)
		return ntohl(addr.in.sin_addr.s_addr) >> 24 == 127;
	return addr.sa.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&addr.in6.sin6_addr);
}

static int texts(struct admin *a)
{
	slice_copy(a->token_hash, sizeof a->token_hash, slice_str(a->p.token_hash));
	if (slice_empty(a->p.tls_cert))
		return 0;
	a->tls_cert = base_dup(a->p.tls_cert);
	a->tls_key = base_dup(a->p.tls_key);
	a->tls_ca = base_dup(a->p.tls_ca);
	return a->tls_cert && a->tls_key && a->tls_ca ? 0 : -ENOMEM;
}

static int begin(struct admin *a)
{
	int err = texts(a);

	if (err)
		return err;
	if (a->p.engine_fd >= 0) {
		err = loop_chan_open(a->p.loop, a->p.engine_fd, admin_engine_message, a, &a->engine);
		if (err)
			return err;
	}
	a->loopback = is_loopback(a->p.http_fd);
	err = admin_http_start(&a->tcp, a, a->p.http_fd, false);
	if (!err)
		err = admin_http_start(&a->local, a, a->p.ctl_fd, true);
	if (!err)
		admin_records_start(a);
	if (!err)
		admin_change_start(a);
	return err;
}

int admin_start(const struct admin_params *p, struct admin **ret)
{
	struct admin *a = base_new(sizeof *a, on_destroy);
	uint64_t *counters;
	size_t bytes = 0;
	int err;

	if (!a)
		return -ENOMEM;
	a->p = *p;
	base_random(&a->next_id, sizeof a->next_id);
	/* a client that goes away in the middle of an answer is an error of write(), not a signal */
	signal(SIGPIPE, SIG_IGN);
	counters = p->admin_mem ? loop_shm_region(p->admin_mem, REGION_COUNTERS, &bytes) : NULL;
	if (counters && bytes >= COUNTER_CELLS * sizeof *counters)
		base_counters_bind(counters);
	err = begin(a);
	if (err) {
		admin_stop(a);
		return err;
	}
	*ret = a;
	return 0;
}

void admin_stop(struct admin *a)
{
	if (!a)
		return;
	loop_timer_stop(&a->drain);
	admin_change_stop(a);
	admin_engine_cancel(a);
	admin_http_stop(&a->tcp);
	admin_http_stop(&a->local);
	if (a->engine)
		loop_chan_close(a->engine);
	admin_records_drain(a);
	base_unref(a);
}
