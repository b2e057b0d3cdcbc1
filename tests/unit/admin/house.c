/* SPDX-License-Identifier: Apache-2.0 */
/* See house.h. */
#include "config.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "postern/ctl.h"
#include "postern/keys.h"
#include "postern/peer.h"
#include "postern/store.h"
#include "unit/admin/house.h"

static const char document[] =
	"{\"schema\":1,\"system\":{\"name\":\"edge-test\"},"
	"\"realms\":[{\"id\":\"core\",\"media\":{\"address\":\"127.0.0.1\",\"port_min\":20000,\"port_max\":20998}}],"
	"\"listeners\":[{\"id\":\"core-udp\",\"realm\":\"core\",\"transport\":\"udp\",\"address\":\"127.0.0.1\",\"port\":5060}],"
	"\"trunks\":[{\"id\":\"pbx\",\"realm\":\"core\",\"target\":\"sip:127.0.0.1:5070;transport=udp\",\"auth\":{\"username\":\"u\",\"password\":\"very-secret\"}},"
	"{\"id\":\"carrier\",\"realm\":\"core\",\"target\":\"sip:127.0.0.1:5071;transport=udp\"}]}";

static void on_health(void *arg, const char **ret_status, const struct admin_process **ret, size_t *ret_n)
{
	static struct admin_process p[] = { { "supervisor", 1, 0, 1000 }, { "engine", 1, 2, 2000 } };
	struct house *h = arg;

	p[0].pid = p[1].pid = getpid();
	*ret_status = h->health;
	*ret = p;
	*ret_n = ARRAY_LEN(p);
}

static void on_command(void *arg, struct loop_msg *m)
{
	struct house *h = arg;
	enum ctl_command_id id;
	struct slice args;
	uint8_t buf[256];
	size_t n;

	if (!m || m->type != CTL_MSG_REQUEST || ctl_request_parse(m->body, &id, &args))
		return;
	snprintf(h->asked, sizeof h->asked, "%s %.*s", ctl_command_row(id)->name, (int)args.n, args.p);
	if (h->reply_status > 0)
		return;
	assert_int_equal(ctl_reply_print(h->reply_status, h->reply_status ? SLICE("why not") : SLICE("{}"), buf, sizeof buf, &n), 0);
	/* a foreign reply first: nobody's */
	loop_chan_send(h->engine, CTL_MSG_REPLY, m->id + 7, (struct slice){ (const char *)buf, n }, NULL, 0);
	loop_chan_send(h->engine, CTL_MSG_REPLY, m->id, (struct slice){ (const char *)buf, n }, NULL, 0);
}

static void memory(const char *name, const struct loop_shm_spec *spec, size_t n, struct loop_shm *ret)
{
	int fd;

	assert_int_equal(loop_shm_create(name, spec, n, &fd), 0);
	assert_int_equal(loop_shm_map(fd, true, ret), 0);
	close(fd);
}

static int listen_tcp(int *ret_port)
{
	union base_addr a = { .in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, &a.sa, sizeof a.in), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, &a.sa, &len), 0);
	*ret_port = ntohs(a.in.sin_port);
	return fd;
}

static int listen_unix(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_true(slice_copy(sun.sun_path, sizeof sun.sun_path, slice_str(path)));
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof sun), 0);
	assert_int_equal(listen(fd, 16), 0);
	return fd;
}

static void live_fill(struct peer_live *live)
{
	live->n = 2;
	for (uint32_t i = 0; i < 2; i++) {
		struct peer_live_trunk *t = &live->trunk[i];

		slice_copy(t->id, sizeof t->id, slice_str(i ? "carrier" : "pbx"));
		t->calls_in = 3;
		t->ntargets = 1;
		slice_copy(t->target[0].uri, sizeof t->target[0].uri, SLICE("sip:127.0.0.1:5070;transport=udp"));
		slice_copy(t->target[0].address, sizeof t->target[0].address, SLICE("127.0.0.1"));
		t->target[0].port = 5070;
		t->target[0].priority = 1;
		t->target[0].state = i ? PEER_DOWN : PEER_UP;
	}
}

void house_open(struct house *h)
{
	const size_t call_bytes = call_store_bytes(1500), live_bytes = peer_live_bytes(4);
	const struct loop_shm_spec calls[] = { { REGION_COUNTERS, COUNTER_CELLS * 8 }, { REGION_CALLS, call_bytes }, { REGION_TARGETS, live_bytes } };
	const struct loop_shm_spec admin[] = { { REGION_COUNTERS, COUNTER_CELLS * 8 } };
	const struct loop_shm_spec ring[] = { { REGION_RING, 1 << 20 } };
	struct admin_params p = { .health = on_health, .arg = h };
	char hash[65];
	unsigned torn;
	size_t bytes;
	void *mem;
	int pair[2];

	memset(h, 0, sizeof *h);
	memcpy(h->dir, "api-test-XXXXXX", 16);
	assert_non_null(mkdtemp(h->dir));
	snprintf(h->db, sizeof h->db, "%s/postern.db", h->dir);
	snprintf(h->sock, sizeof h->sock, "%s/control.sock", h->dir);
	h->health = "ok";
	assert_int_equal(loop_new(&h->loop), 0);
	assert_int_equal(store_open(h->db, &h->store), 0);
	memory("calls", calls, ARRAY_LEN(calls), &h->calls);
	memory("admin", admin, ARRAY_LEN(admin), &h->admin_mem);
	memory("records", ring, ARRAY_LEN(ring), &h->records);
	mem = loop_shm_region(&h->calls, REGION_CALLS, &bytes);
	assert_int_equal(call_store_open(mem, bytes, &torn, &h->cs), 0);
	live_fill(loop_shm_region(&h->calls, REGION_TARGETS, &bytes));
	mem = loop_shm_region(&h->records, REGION_RING, &bytes);
	assert_int_equal(base_ring_open(mem, bytes, &h->ring), 0);
	assert_int_equal(loop_chan_pair(pair), 0);
	assert_int_equal(loop_chan_open(h->loop, pair[1], on_command, h, &h->engine), 0);
	keys_token_hash(slice_str(HOUSE_TOKEN), hash);
	p.loop = h->loop;
	p.store = h->store;
	p.http_fd = listen_tcp(&h->port);
	p.ctl_fd = listen_unix(h->sock);
	p.token_hash = hash;
	p.calls = &h->calls;
	p.admin_mem = &h->admin_mem;
	p.records = h->ring;
	p.engine_fd = pair[0];
	assert_int_equal(admin_start(&p, &h->admin), 0);
	assert_int_equal(admin_set_revision(h->admin, 7, slice_str(document)), 0);
}

void house_close(struct house *h)
{
	static const char *const tail[] = { "", "-wal", "-shm" };
	char name[128];

	admin_stop(h->admin);
	base_counters_bind(NULL);
	loop_chan_close(h->engine);
	base_ring_close(h->ring);
	call_store_close(h->cs);
	store_close(h->store);
	loop_shm_unmap(&h->calls);
	loop_shm_unmap(&h->admin_mem);
	loop_shm_unmap(&h->records);
	loop_free(h->loop);
	unlink(h->sock);
	for (size_t i = 0; i < ARRAY_LEN(tail); i++) {
		snprintf(name, sizeof name, "%s%s", h->db, tail[i]);
		unlink(name);
	}
	rmdir(h->dir);
}

int house_connect(struct house *h)
{
	union base_addr a = { .in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)h->port) } };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	connect(fd, &a.sa, sizeof a.in);
	return fd;
}

static bool is_whole(const char *text, size_t n, bool no_body, struct answer *ret)
{
	const char *end = memmem(text, n, "\r\n\r\n", 4), *len;
	size_t head;

	if (!end)
		return false;
	head = (size_t)(end - text) + 4;
	slice_copy(ret->head, sizeof ret->head, (struct slice){ text, head });
	ret->status = (int)strtol(text + 9, NULL, 10);
	len = strcasestr(ret->head, "content-length: ");
	if (!no_body && n - head < (len ? strtoul(len + 16, NULL, 10) : 0))
		return false;
	return slice_copy(ret->body, sizeof ret->body, (struct slice){ text + head, n - head });
}

bool house_ask(struct house *h, const char *request, size_t n, struct answer *ret)
{
	static char text[2 << 20];
	size_t sent = 0, got = 0;
	int fd = house_connect(h);
	bool ok = false, open = true;
	ssize_t k;

	for (int turns = 0; open && !ok && turns < 4000; turns++) {
		if (sent < n) {
			k = send(fd, request + sent, n - sent, MSG_NOSIGNAL);
			sent += k > 0 ? (size_t)k : 0;
		}
		loop_turn(h->loop, 2);
		k = recv(fd, text + got, sizeof text - got, 0);
		got += k > 0 ? (size_t)k : 0;
		open = k != 0;
		ok = is_whole(text, got, !strncmp(request, "HEAD", n < 4 ? n : 4), ret);
	}
	close(fd);
	loop_turn(h->loop, 0);
	return ok;
}

int house_do(struct house *h, const char *method, const char *path, const char *token, const char *body, struct answer *ret)
{
	char rq[4096], auth[256] = "", type[96] = "";

	if (token)
		snprintf(auth, sizeof auth, "Authorization: Bearer %s\r\n", token);
	if (body)
		snprintf(type, sizeof type, "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(body));
	snprintf(rq, sizeof rq, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s%s\r\n%s", method, path, h->port, auth, type, body ? body : "");
	return house_ask(h, rq, strlen(rq), ret) ? ret->status : 0;
}

void house_call(struct house *h, const char *id, const char *from, const char *to, enum call_state state)
{
	struct call_record r = { .serial = 1, .state = (uint8_t)state, .from = slice_str(from), .to = slice_str(to), .route = SLICE("out"), .start_ms = base_wall_ms() - 90000,
		.answer_ms = base_wall_ms() - 80000 };
	uint32_t slot;

	slice_copy(r.id, sizeof r.id, slice_str(id));
	r.leg[0] = (struct call_record_leg){ .trunk = SLICE("pbx"), .realm = SLICE("core"), .call_id = SLICE("A-side@x"), .local = SLICE("<sip:b@x>"), .remote = SLICE("<sip:a@x>"),
		.target = SLICE("sip:a@127.0.0.1:5070"), .uas = 1,
		.sdp_in = SLICE("v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"), .nstreams = 1, .stream = { { .slot = 3, .gen = 9 } } };
	r.leg[1] = (struct call_record_leg){ .trunk = SLICE("carrier"), .realm = SLICE("core"), .call_id = SLICE("B-side@x"), .target = SLICE("sip:b\xff@127.0.0.1:5071"),
		.timer_s = 1800, .timer_role = 1, .timer_deadline_ms = base_wall_ms() };
	assert_int_equal(call_store_add(h->cs, &slot), 0);
	assert_int_equal(call_store_put(h->cs, slot, &r), 0);
}
