/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libmicrohttpd in our loop: its epoll descriptor is one of ours, all runs in one thread. Collects a request's body, calls its handler once and
 * hands over the answer. Every phase of a connection has a deadline of its own, not refreshed by single bytes: a slow client is cut, so that
 * it holds a place for seconds only; where places run short, connections that ask nothing go first.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "admin/admin.h"
#include "postern/keys.h"

#define HEAD_MS    10000   /* from connecting to the end of a request's head */
#define IDLE_MS    30000   /* between requests, the next head included */
#define REQUEST_MS 20000   /* from the end of the head to the end of the body, and for the answer's way */
#define OURS_MS    120000  /* while the answer waits for other processes, who have deadlines of their own */
#define CROWDED_MS 2000    /* what is left of HEAD_MS and IDLE_MS where three quarters of the places are taken */
#define REAP_MS    500
#define MEMORY_MAX 32768   /* of a connection: bounds the head of a request */

/* ---- running the daemon ---- */
static void http_run(void *arg)
{
	struct admin_http *h = arg;
	unsigned before = h->nconns;
	MHD_UNSIGNED_LONG_LONG ms;

	MHD_run(h->daemon);
	/* where all places were taken the library listens again in its next run only, which nothing else would bring about */
	if (before >= h->max && h->nconns < before)
		loop_timer_start(h->a->p.loop, &h->run, 0, http_run, h);
	else if (MHD_get_timeout(h->daemon, &ms) == MHD_YES)
		loop_timer_start(h->a->p.loop, &h->run, ms < 1000 ? (int64_t)ms : 1000, http_run, h);
	else
		loop_timer_stop(&h->run);
}

/* ---- deadlines ---- */
static bool is_late(const struct admin_conn *c, struct mono now, bool crowded)
{
	static const int64_t limit_ms[] = { [ADMIN_CONNECTED] = HEAD_MS, [ADMIN_IN_REQUEST] = REQUEST_MS, [ADMIN_OURS] = OURS_MS, [ADMIN_IDLE] = IDLE_MS };

	return mono_ms_since(now, c->since) > (crowded && (c->phase == ADMIN_CONNECTED || c->phase == ADMIN_IDLE) ? CROWDED_MS : limit_ms[c->phase]);
}

static void reap(void *arg)
{
	struct admin_http *h = arg;
	struct mono now = base_mono_now();
	bool crowded = h->nconns > h->max - h->max / 4;

	for (struct list_node *n = h->conns.next; n != &h->conns; n = n->next) {
		struct admin_conn *c = container_of(n, struct admin_conn, node);

		if (c->cut || !is_late(c, now, crowded))
			continue;
		/* the library sees the end of the connection and lets go of it */
		c->cut = true;
		shutdown(c->fd, SHUT_RDWR);
		if (c->phase != ADMIN_IDLE)
			base_count(COUNTER_HTTP_SLOW);
	}
	if (!list_empty(&h->conns))
		loop_timer_start(h->a->p.loop, &h->reap, REAP_MS, reap, h);
}

static void phase_set(struct admin_conn *c, enum admin_phase phase)
{
	if (!c)
		return;
	c->phase = phase;
	c->since = base_mono_now();
}

/** The control socket asks no token, and anybody may connect to an abstract one: it is root's and our own user's. */
static bool is_ours(int fd)
{
	struct ucred who;
	socklen_t len = sizeof who;

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) && (who.uid == 0 || who.uid == geteuid());
}

static void on_connection(void *cls, struct MHD_Connection *conn, void **ctx, enum MHD_ConnectionNotificationCode code)
{
	struct admin_http *h = cls;
	struct admin_conn *c = *ctx;

	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (c) {
			list_del(&c->node);
			h->nconns--;
			free(c);
		}
		*ctx = NULL;
		return;
	}
	c = base_alloc(sizeof *c);
	if (!c)
		return; /* no request of it is taken */
	*c = (struct admin_conn){ .http = h, .fd = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd };
	phase_set(c, ADMIN_CONNECTED);
	list_add_tail(&h->conns, &c->node);
	h->nconns++;
	*ctx = c;
	if (h->trusted && !is_ours(c->fd)) {
		c->cut = true;
		shutdown(c->fd, SHUT_RDWR);
	}
	if (!loop_timer_active(&h->reap))
		loop_timer_start(h->a->p.loop, &h->reap, REAP_MS, reap, h);
}

/* ---- a request ---- */
static enum MHD_Result answer(struct admin_request *rq)
{
	enum MHD_Result r = MHD_queue_response(rq->conn, rq->status, rq->response);

	phase_set(rq->c, ADMIN_IN_REQUEST);
	MHD_destroy_response(rq->response);
	rq->response = NULL;
	admin_audit(rq, base_mono_now());
	base_count(rq->status >= 500 ? COUNTER_HTTP_5XX : rq->status >= 400 ? COUNTER_HTTP_4XX : COUNTER_HTTP_2XX);
	return r;
}

static enum MHD_Result count_length(void *arg, enum MHD_ValueKind kind, const char *key, const char *value)
{
	*(unsigned *)arg += slice_eq_nocase(slice_str(key), SLICE("Content-Length"));
	return MHD_YES;
}

/** Where a body ends must not be a matter of opinion (RFC 9112 section 6.3): refused, and the connection ends. */
static bool length_check(struct admin_request *rq)
{
	unsigned n = 0;

	MHD_get_connection_values(rq->conn, MHD_HEADER_KIND, count_length, &n);
	if (n + (MHD_lookup_connection_value(rq->conn, MHD_HEADER_KIND, "Transfer-Encoding") != NULL) <= 1)
		return true;
	admin_problem(rq, 400, "the request says more than once how long its body is");
	admin_reply_header(rq, "Connection", "close");
	return false;
}

static enum MHD_Result head(struct admin_http *h, struct MHD_Connection *conn, const char *url, const char *method, void **ctx)
{
	const char *length = MHD_lookup_connection_value(conn, MHD_HEADER_KIND, "Content-Length");
	struct admin_request *rq = base_alloc(sizeof *rq);
	uint64_t n = 0;

	if (!rq)
		return MHD_NO;
	*rq = (struct admin_request){ .a = h->a, .conn = conn, .trusted = h->trusted, .role = ADMIN_NOBODY };
	slice_copy(rq->method, sizeof rq->method, slice_str(method));
	slice_copy(rq->path, sizeof rq->path, slice_str(url));
	rq->c = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
	if (!rq->c || (h->trusted && rq->c->cut)) {
		free(rq);
		return MHD_NO;
	}
	*ctx = rq;
	phase_set(rq->c, ADMIN_IN_REQUEST);
	if (!length_check(rq))
		return answer(rq);
	if (length && slice_u64(slice_str(length), ADMIN_DISCARD_MAX, &n)) {
		admin_problem(rq, 413, "a request's body has at most %u bytes", ADMIN_DISCARD_MAX);
		return answer(rq);
	}
	admin_route_request(rq, url, method);
	/* who waits for 100 Continue hears the refusal instead; else the body is read first, so that the answer is not lost in a reset */
	if (rq->response && MHD_lookup_connection_value(conn, MHD_HEADER_KIND, "Expect"))
		return answer(rq);
	return MHD_YES;
}

static size_t body_max(const struct admin_request *rq)
{
	return rq->route && (rq->route->flags & ADMIN_LARGE) ? CONF_BYTES_MAX : ADMIN_BODY_MAX;
}

static enum MHD_Result body(struct admin_request *rq, const char *data, size_t *n)
{
	size_t room = rq->room ? rq->room : 4096;
	char *p;

	rq->seen += *n;
	if (rq->seen > ADMIN_DISCARD_MAX)
		return MHD_NO;
	if (rq->response || rq->nbody + *n > body_max(rq)) {
		rq->too_large = true;
		*n = 0;
		return MHD_YES;
	}
	while (room < rq->nbody + *n)
		room *= 2;
	if (room > rq->room) {
		p = realloc(rq->body, room);
		if (!p)
			return MHD_NO;
		rq->body = p;
		rq->room = room;
	}
	memcpy(rq->body + rq->nbody, data, *n);
	rq->nbody += *n;
	*n = 0;
	return MHD_YES;
}

/** The media type without its parameters. */
static struct slice body_type(const struct admin_request *rq)
{
	struct slice type = slice_str(MHD_lookup_connection_value(rq->conn, MHD_HEADER_KIND, "Content-Type"));
	const char *end = type.n ? memchr(type.p, ';', type.n) : NULL;

	if (end)
		type.n = (size_t)(end - type.p);
	while (type.n && type.p[type.n - 1] == ' ')
		type.n--;
	return type;
}

static bool type_check(struct admin_request *rq)
{
	const struct { unsigned flag; struct slice type; const char *header; } row[] = {
		{ ADMIN_MERGE, SLICE("application/merge-patch+json"), "Accept-Patch" },
		{ ADMIN_PLAIN, SLICE("text/plain"), "Accept" },
		{ 0, SLICE("application/json"), "Accept-Post" },
	};
	struct slice type = body_type(rq);
	size_t i = 0;

	while (row[i].flag && !(rq->route->flags & row[i].flag))
		i++;
	if (slice_eq_nocase(type, row[i].type) || (row[i].flag == ADMIN_MERGE && slice_eq_nocase(type, SLICE("application/json"))))
		return true;
	admin_problem(rq, 415, "this path takes %s", row[i].type.p);
	admin_reply_header(rq, row[i].header, row[i].type.p);
	return false;
}

static bool json_check(struct admin_request *rq)
{
	json_error_t why;

	rq->json = json_loadb(rq->body ? rq->body : "", rq->nbody, JSON_REJECT_DUPLICATES, &why);
	if (json_is_object(rq->json))
		return true;
	admin_problem(rq, 400, rq->json ? "the body is no JSON object" : "the body is no JSON: line %d column %d: %s", why.line, why.column, why.text);
	return false;
}

/** Actions take a JSON object or nothing; the rest as the route says. */
static bool body_check(struct admin_request *rq)
{
	const unsigned must_have = rq->route->flags & (ADMIN_JSON | ADMIN_MERGE | ADMIN_PLAIN);

	if (rq->too_large) {
		admin_problem(rq, 413, "this request's body has at most %zu bytes", body_max(rq));
		return false;
	}
	if (!must_have && (!rq->nbody || strcmp(rq->route->method, "POST")))
		return true;
	return type_check(rq) && ((rq->route->flags & ADMIN_PLAIN) || json_check(rq));
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *conn, const char *url, const char *method, const char *version, const char *data, size_t *n, void **ctx)
{
	struct admin_http *h = cls;
	struct admin_request *rq = *ctx;

	if (!rq)
		return head(h, conn, url, method, ctx);
	if (*n)
		return body(rq, data, n);
	if (!rq->response && !rq->started) {
		rq->started = true;
		if (body_check(rq))
			rq->route->handle(rq);
		base_log(BASE_DEBUG, "admin", "request method=%s path=%.128s status=%u", method, url, rq->waiting ? 0 : rq->status);
	}
	if (rq->waiting) {
		phase_set(rq->c, ADMIN_OURS);
		MHD_suspend_connection(conn);
		return MHD_YES;
	}
	return rq->response ? answer(rq) : MHD_NO;
}

static void on_completed(void *cls, struct MHD_Connection *conn, void **ctx, enum MHD_RequestTerminationCode how)
{
	struct admin_request *rq = *ctx;

	*ctx = NULL;
	if (!rq)
		return;
	admin_engine_forget(rq);
	admin_change_forget(rq);
	phase_set(rq->c, ADMIN_IDLE);
	if (rq->response)
		MHD_destroy_response(rq->response);
	json_decref(rq->json);
	if (rq->body)
		explicit_bzero(rq->body, rq->nbody); /* keys and passwords come this way */
	free(rq->body);
	free(rq);
}

void admin_http_resume(struct admin_request *rq)
{
	struct admin_http *h = rq->trusted ? &rq->a->local : &rq->a->tcp;

	rq->waiting = false;
	MHD_resume_connection(rq->conn);
	/* not at once: this may be the loop's call-back for something else, and several may follow */
	loop_timer_start(h->a->p.loop, &h->run, 0, http_run, h);
}

static void on_log(void *cls, const char *fmt, va_list ap)
{
	char line[256];

	vsnprintf(line, sizeof line, fmt, ap);
	line[strcspn(line, "\n")] = 0;
	base_log_limited(BASE_DEBUG, 5, "admin", "http: %s", line);
}

/* ---- start and stop ---- */
static struct MHD_Daemon *daemon_start(struct admin_http *h, int fd)
{
	const struct admin *a = h->a;
	const bool tls = !h->trusted && a->tls_cert;
	static char newest[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3", usual[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
	const bool ask = a->p.tls_verify == KEYS_VERIFY_OPTIONAL || a->p.tls_verify == KEYS_VERIFY_REQUIRED;
	const struct MHD_OptionItem with_tls[] = {
		{ MHD_OPTION_HTTPS_MEM_CERT, 0, a->tls_cert }, { MHD_OPTION_HTTPS_MEM_KEY, 0, a->tls_key },
		{ MHD_OPTION_HTTPS_PRIORITIES, 0, a->p.tls_13 ? newest : usual },
		{ ask && a->tls_ca && *a->tls_ca ? MHD_OPTION_HTTPS_MEM_TRUST : MHD_OPTION_END, 0, a->tls_ca }, { MHD_OPTION_END, 0, NULL }
	};
	const struct MHD_OptionItem plain[] = { { MHD_OPTION_END, 0, NULL } };

	return MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | (tls ? MHD_USE_TLS : 0), 0, NULL, NULL, on_request, h,
		MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
		MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_LIMIT, h->max,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY_MAX,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, h,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, h,
		MHD_OPTION_STRICT_FOR_CLIENT, 1,
		MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
		MHD_OPTION_ARRAY, tls ? with_tls : plain,
		MHD_OPTION_END);
}

int admin_http_start(struct admin_http *h, struct admin *a, int fd, bool trusted)
{
	int flags, err;

	*h = (struct admin_http){ .a = a, .trusted = trusted, .max = trusted ? 64 : 256 };
	list_init(&h->conns);
	if (fd < 0)
		return 0;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	h->daemon = daemon_start(h, fd);
	if (!h->daemon) {
		base_log(BASE_ERROR, "admin", "the HTTP server does not start: %s", a->tls_cert && !trusted ? "certificate and key of the API's TLS profile?" : "out of memory or descriptors");
		return -EIO;
	}
	err = loop_fd_add(a->p.loop, MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd, http_run, h, &h->fd);
	if (err) {
		MHD_stop_daemon(h->daemon);
		h->daemon = NULL;
	}
	return err;
}

void admin_http_stop(struct admin_http *h)
{
	if (!h->daemon)
		return;
	/* those resumed just now get their answers out */
	MHD_run(h->daemon);
	loop_fd_del(h->fd);
	MHD_stop_daemon(h->daemon);
	h->daemon = NULL;
	loop_timer_stop(&h->run);
	loop_timer_stop(&h->reap);
}
