/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postern-media: the role that relays RTP and RTCP. Everything that it serves lies in the `streams` memory and in the sockets,
 * which a spare has already: taking over is starting the workers.
 */
#include <fcntl.h>

#include "app/role.h"
#include "postern/conf.h"
#include "postern/keys.h"
#include "postern/media.h"
#include "postern/peer.h"

static struct media_proc *proc;
static int engine = -1;                /* channel, kept: each start of the workers takes a duplicate */

static int media_init(struct role *r)
{
	int err = keys_srtp_start();

	if (err) {
		base_log(BASE_ERROR, "media", "the SRTP library does not take our ciphers");
		return err;
	}
	return r->setup.shared_hosts || r->setup.sockets == 2 * r->nmap ? 0 : ERR_WRONGSTATE;
}

static int media_prepare(struct role *r, char why[static 256])
{
	return 0; /* what media needs of a revision comes with each wish of the engine */
}

static bool has_sockets(const struct role *r)
{
	return r->media_taken >= (r->setup.shared_hosts ? r->setup.sockets : 2 * r->nmap);
}

static struct shape { unsigned workers; bool gather; } shape; /* as they were started */

static struct shape shape_of(const struct role *r)
{
	size_t n = 0;
	const struct peer_system_conf *sys = conf_objects(r->now.doc, &peer_schema_system, &n)[0];
	const int64_t wanted = sys->media_process.workers;

	return (struct shape){ wanted > 0 ? (unsigned)wanted : r->setup.workers, sys->media_process.gather == 0 };
}

static int start(struct role *r)
{
	shape = shape_of(r);
	return media_proc_start(&(struct media_proc_params){
		.loop = r->loop, .chan_fd = fcntl(engine, F_DUPFD_CLOEXEC, 3), .streams = &r->streams, .keys = &r->keys, .wishes = &r->wishes, .map = r->map, .nmap = r->nmap,
		.fds = r->media, .shared_hosts = r->setup.shared_hosts, .workers = shape.workers, .gather = shape.gather,
	}, &proc);
}

/* Other ports, another number of workers: they end, and begin anew as after a death; what they know lies in the memories. */
static void media_commit(struct role *r)
{
	const struct shape next = shape_of(r);

	if (!proc || (!r->new_map && next.workers == shape.workers && next.gather == shape.gather))
		return;
	media_proc_stop(proc);
	proc = NULL;
	if (!has_sockets(r) || start(r)) {
		base_log(BASE_ERROR, "media", "the workers do not start anew");
		app_role_end(r, 70);
	}
}

static void media_abort(struct role *r)
{
}

static int media_go(struct role *r)
{
	if (!has_sockets(r))
		return ERR_WRONGSTATE;
	engine = app_role_take_chan(r, APP_FD_CHAN_ENGINE);
	return start(r);
}

static void media_message(struct role *r, struct loop_msg *m)
{
}

static void media_stop(struct role *r)
{
	media_proc_stop(proc);
	app_role_end(r, 0);
}

int main(int argc, char **argv)
{
	static const struct role_ops ops = {
		.id = APP_MEDIA, .init = media_init, .prepare = media_prepare, .commit = media_commit, .abort = media_abort,
		.go = media_go, .message = media_message, .stop = media_stop,
	};

	return app_role_main(&ops, argc, argv);
}
