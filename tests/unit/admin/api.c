/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API from outside, over real sockets: logins, routes and their refusals, lists and cursors, commands to the engine, CDRs, bad HTTP.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <jansson.h>

#include "postern/store.h"
#include "unit/admin/house.h"

static struct house h;
static struct answer a;

static int setup(void **state)
{
	house_open(&h);
	return 0;
}

static int teardown(void **state)
{
	house_close(&h);
	assert_int_equal(base_live(), 0);
	return 0;
}

static int get(const char *path)
{
	return house_do(&h, "GET", path, HOUSE_TOKEN, NULL, &a);
}

static bool says(const char *text)
{
	return strstr(a.body, text) != NULL;
}

static bool heads(const char *text)
{
	return strcasestr(a.head, text) != NULL;
}

static void health(void **state)
{
	assert_int_equal(house_do(&h, "GET", "/api/v1/health", NULL, NULL, &a), 200);
	assert_string_equal(a.body, "{\"status\":\"ok\"}");
	assert_int_equal(get("/api/v1/health"), 200);
	assert_true(says("\"role\":\"engine\"") && says("\"restarts\":2") && says("\"since\":\"1970-01-01T00:00:02.000Z\""));
	h.health = "degraded";
	assert_int_equal(get("/api/v1/health"), 200);
	h.health = "draining";
	assert_int_equal(house_do(&h, "GET", "/api/v1/health", NULL, NULL, &a), 503);
	assert_string_equal(a.body, "{\"status\":\"draining\"}");
	assert_int_equal(house_do(&h, "HEAD", "/api/v1/health", "wrong", NULL, &a), 503);
	assert_string_equal(a.body, "");
}

static void logins(void **state)
{
	assert_int_equal(house_do(&h, "GET", "/api/v1/calls", NULL, NULL, &a), 401);
	assert_true(heads("WWW-Authenticate: Bearer") && heads("application/problem+json"));
	assert_int_equal(house_do(&h, "GET", "/api/v1/nope", NULL, NULL, &a), 401);
	assert_int_equal(house_do(&h, "GET", "/metrics", "", NULL, &a), 401);
	assert_int_equal(house_do(&h, "PUT", "/api/v1/config", "wrong", "{}", &a), 401);
	assert_int_equal(get("/api/v1/calls"), 200);
	/* a known address stays in while somebody there tries tokens */
	for (int i = 0; i < 50; i++)
		house_do(&h, "GET", "/api/v1/calls", "guess", NULL, &a);
	assert_int_equal(a.status, 429);
	assert_true(heads("Retry-After"));
	assert_int_equal(get("/api/v1/calls"), 200);
}

static void guessing(void **state)
{
	for (int i = 0; i < 30; i++)
		assert_int_equal(house_do(&h, "GET", "/api/v1/calls", "guess", NULL, &a), 401);
	/* locked: even the right one is not told from a wrong one */
	assert_int_equal(get("/api/v1/calls"), 429);
	assert_int_equal(house_do(&h, "GET", "/api/v1/health", HOUSE_TOKEN, NULL, &a), 200);
	assert_false(says("processes"));
}

static void refusals(void **state)
{
	static const struct { const char *method, *path, *body; int status; const char *head; } t[] = {
		{ "GET", "/", NULL, 404, "problem+json" }, { "GET", "/api/v1/calls/", NULL, 404, "" }, { "GET", "/api/v1/calls/none", NULL, 404, "" },
		{ "GET", "/api/v1/cdrs/none", NULL, 404, "" }, { "GET", "/api/v1/trunks/none", NULL, 404, "" }, { "GET", "/api/v1/config/none", NULL, 404, "" },
		{ "GET", "/api/v1/config/trunks/none", NULL, 404, "" }, { "DELETE", "/api/v1/calls/none", NULL, 404, "" }, { "GET", "/api/v1/calls/%00", NULL, 404, "" },
		{ "DELETE", "/api/v1/stats", NULL, 405, "Allow: GET, HEAD" }, { "PUT", "/api/v1/calls", "{}", 405, "Allow: GET, HEAD" },
		{ "POST", "/api/v1/calls/x", "{}", 405, "Allow: GET, HEAD, DELETE" }, { "GET", "/api/v1/drain", NULL, 405, "Allow: POST" }, { "OPTIONS", "/api/v1/calls", NULL, 405, "" },
		{ "GET", "/api/v1/calls?limit=0", NULL, 400, "" }, { "GET", "/api/v1/calls?limit=-1", NULL, 400, "" }, { "GET", "/api/v1/calls?limit=x", NULL, 400, "" },
		{ "GET", "/api/v1/calls?limit=", NULL, 400, "" }, { "GET", "/api/v1/calls?limit", NULL, 400, "" }, { "GET", "/api/v1/calls?limit=1&limit=2", NULL, 400, "" },
		{ "GET", "/api/v1/calls?after=x", NULL, 400, "" }, { "GET", "/api/v1/calls?state=gone", NULL, 400, "" }, { "GET", "/api/v1/calls?age=1h", NULL, 400, "" },
		{ "GET", "/api/v1/cdrs?after=0", NULL, 400, "" }, { "GET", "/api/v1/stats?x=1", NULL, 400, "" },
		{ "POST", "/api/v1/drain", "[]", 400, "" }, { "POST", "/api/v1/drain", "{", 400, "" },
		{ "GET", "/api/v1/calls?limit=1000", NULL, 200, "" }, { "GET", "/api/v1/calls?limit=99999999999999999999999", NULL, 200, "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		int status = house_do(&h, t[i].method, t[i].path, HOUSE_TOKEN, t[i].body, &a);

		if (status != t[i].status || !heads(t[i].head))
			fail_msg("%s %s: %d, %s", t[i].method, t[i].path, status, a.head);
		if (status >= 400)
			assert_true(heads("application/problem+json") && says("\"title\"") && says("\"detail\""));
	}
	assert_int_equal(get("/api/v1/calls?limmit=5"), 400);
	assert_true(says("did you mean \\\"limit\\\""));
}

static bool raw(const char *text)
{
	return house_ask(&h, text, strlen(text), &a);
}

static void bad_http(void **state)
{
	static char big[70000];

	assert_true(raw("POST /api/v1/drain HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " HOUSE_TOKEN "\r\nContent-Type: text/xml\r\nContent-Length: 4\r\n\r\n<a/>"));
	assert_int_equal(a.status, 415);
	assert_true(raw("GET /api/v1/health HTTP/1.1\r\nHost: evil.example\r\n\r\n"));
	assert_int_equal(a.status, 421);
	assert_true(raw("GET /api/v1/health HTTP/1.1\r\nHost: edge-test:80\r\n\r\n"));
	assert_int_equal(a.status, 200);
	assert_true(raw("GET /api/v1/health HTTP/1.1\r\nHost: [::1]:80\r\nOrigin: http://evil.example\r\n\r\n"));
	assert_int_equal(a.status, 403);
	assert_true(raw("GET /api/v1/health HTTP/1.1\r\nHost: 127.0.0.1:80\r\nOrigin: http://127.0.0.1:80\r\n\r\n"));
	assert_int_equal(a.status, 200);
	assert_true(raw("POST /api/v1/drain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\nx"));
	assert_int_equal(a.status, 413);
	/* a body over the cap is read and refused; the answer is not lost in a reset */
	memset(big, ' ', sizeof big);
	snprintf(big, 400, "POST /api/v1/drain HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " HOUSE_TOKEN "\r\nContent-Type: application/json\r\nContent-Length: 69000\r\n\r\n");
	big[strlen(big)] = ' ';
	assert_true(house_ask(&h, big, sizeof big, &a));
	assert_int_equal(a.status, 413);
	/* a head over the cap, and no HTTP at all */
	memset(big, 'h', sizeof big);
	memcpy(big, "GET / HTTP/1.1\r\nX: ", 19);
	house_ask(&h, big, sizeof big, &a);
	raw("\x16\x03\x01 this is no HTTP\r\n\r\n");
	raw("GET\r\n\r\n");
	assert_int_equal(get("/api/v1/calls"), 200);
}

static void config(void **state)
{
	assert_int_equal(get("/api/v1/config"), 200);
	assert_true(heads("ETag: \"7\""));
	assert_true(says("\"pbx\"") && says("***") && !says("very-secret"));
	assert_int_equal(get("/api/v1/config/trunks?limit=1"), 200);
	assert_true(says("\"items\":[{") && says("\"pbx\"") && !says("\"carrier\"") && says("\"next\":\"1\"") && !says("very-secret"));
	assert_int_equal(get("/api/v1/config/trunks?after=1"), 200);
	assert_true(says("\"carrier\"") && !says("\"pbx\"") && says("\"next\":null"));
	assert_int_equal(get("/api/v1/config/trunks/pbx"), 200);
	assert_true(a.body[0] == '{' && says("\"id\"") && !says("very-secret"));
	assert_int_equal(get("/api/v1/config/system"), 200);
	assert_true(says("\"edge-test\""));
	assert_true(raw("GET /api/v1/config HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " HOUSE_TOKEN "\r\nIf-None-Match: \"7\"\r\n\r\n"));
	assert_int_equal(a.status, 304);
}

static void call_shown(void **state)
{
	json_t *o, *legs;

	house_call(&h, "c1", "49301", "1000", CALL_UP);
	assert_int_equal(get("/api/v1/calls/c1"), 200);
	o = json_loads(a.body, 0, NULL);
	assert_non_null(o);
	assert_string_equal(json_string_value(json_object_get(o, "state")), "up");
	legs = json_object_get(o, "legs");
	assert_int_equal(json_array_size(legs), 2);
	for (size_t i = 0; i < 2; i++) {
		static const char *const keys[] = { "trunk", "realm", "call_id", "direction", "target", "sdp_in", "sdp_out", "timer", "media" };

		for (size_t k = 0; k < ARRAY_LEN(keys); k++)
			assert_non_null(json_object_get(json_array_get(legs, i), keys[k]));
	}
	json_decref(o);
	assert_true(says("A-side@x") && says("B-side@x") && says("\"direction\":\"in\"") && says("192.0.2.7:4000") && says("\"refresher\":\"local\""));
	/* a byte that is no UTF-8 is shown, not an error */
	assert_true(says("sip:b\xef\xbf\xbd@127"));
}

static void call_list(void **state)
{
	char id[24], path[96] = "/api/v1/calls?limit=40", seen[105] = "";
	const char *next;
	int pages = 0;

	for (int i = 0; i < 105; i++) {
		snprintf(id, sizeof id, "call-%03d", i);
		house_call(&h, id, i % 5 ? "49301" : "49777", "1000", i % 2 ? CALL_UP : CALL_SETUP);
	}
	do {
		assert_int_equal(get(path), 200);
		for (const char *p = a.body; (p = strstr(p, "\"id\":\"call-")); p += 11)
			seen[strtol(p + 11, NULL, 10)]++;
		next = strstr(a.body, "\"next\":\"");
		if (next)
			snprintf(path, sizeof path, "/api/v1/calls?limit=40&after=%ld", strtol(next + 8, NULL, 10));
		pages++;
	} while (next);
	assert_int_equal(pages, 3);
	for (int i = 0; i < 105; i++)
		assert_int_equal(seen[i], 1);
	assert_int_equal(get("/api/v1/calls"), 200);
	assert_true(says("\"next\":\""));
	assert_int_equal(get("/api/v1/calls?number=49777&state=up&trunk=carrier&age=60"), 200);
	assert_true(says("\"call-005\"") && !says("\"call-001\"") && !says("\"call-010\"") && says("\"next\":null"));
	assert_int_equal(get("/api/v1/calls?age=3600"), 200);
	assert_true(says("\"items\":[]"));
	assert_int_equal(get("/api/v1/calls?trunk=nobody"), 200);
	assert_true(says("\"items\":[]"));
	assert_int_equal(get("/api/v1/calls?after=4000000000"), 200);
	assert_true(says("\"items\":[]"));
}

static void commands(void **state)
{
	house_call(&h, "c1", "49301", "1000", CALL_UP);
	assert_int_equal(house_do(&h, "DELETE", "/api/v1/calls/c1", HOUSE_TOKEN, NULL, &a), 204);
	assert_string_equal(h.asked, "call.end {\"id\":\"c1\",\"why\":\"api\"}");
	h.reply_status = ERR_NOTFOUND;
	assert_int_equal(house_do(&h, "DELETE", "/api/v1/calls/c1", HOUSE_TOKEN, NULL, &a), 404);
	h.reply_status = ERR_FULL;
	assert_int_equal(house_do(&h, "POST", "/api/v1/drain", HOUSE_TOKEN, "{}", &a), 500);
	assert_true(says("why not"));
	h.reply_status = 0;
	assert_int_equal(house_do(&h, "POST", "/api/v1/drain", HOUSE_TOKEN, NULL, &a), 204);
	assert_string_equal(h.asked, "drain {}");
	assert_int_equal(house_do(&h, "POST", "/api/v1/undrain", HOUSE_TOKEN, "{}", &a), 204);
	assert_string_equal(h.asked, "undrain {}");
}

/* no answer of the engine: 504 after five seconds; others are served meanwhile */
static void engine_silent(void **state)
{
	static const char rq[] = "POST /api/v1/drain HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " HOUSE_TOKEN "\r\n\r\n";
	int fd = house_connect(&h), gone = house_connect(&h);
	char buf[512];
	ssize_t n;

	h.reply_status = 1;
	for (int i = 0; i < 20; i++)
		loop_turn(h.loop, 1);
	assert_int_equal(send(fd, rq, sizeof rq - 1, 0), sizeof rq - 1);
	assert_int_equal(send(gone, rq, sizeof rq - 1, 0), sizeof rq - 1);
	for (int i = 0; i < 20; i++)
		loop_turn(h.loop, 1);
	close(gone);
	assert_int_equal(get("/api/v1/calls"), 200);
	base_clock_advance_ms(5001);
	for (int i = 0; i < 50; i++)
		loop_turn(h.loop, 1);
	n = recv(fd, buf, sizeof buf - 1, 0);
	assert_true(n > 0);
	buf[n] = 0;
	assert_non_null(strstr(buf, " 504 "));
	close(fd);
	/* one that waits when all ends is answered, not leaked */
	fd = house_connect(&h);
	for (int i = 0; i < 20; i++)
		loop_turn(h.loop, 1);
	assert_int_equal(send(fd, rq, sizeof rq - 1, 0), sizeof rq - 1);
	for (int i = 0; i < 20; i++)
		loop_turn(h.loop, 1);
	close(fd);
}

static void cdrs(void **state)
{
	char json[128];

	for (int i = 0; i < 600; i++) {
		snprintf(json, sizeof json, "{\"id\":\"r%d\",\"from\":\"49301\",\"status\":200}", i);
		assert_int_equal(base_ring_put(h.ring, json, strlen(json)), 0);
	}
	assert_int_equal(base_ring_put(h.ring, "rubbish", 7), 0);
	assert_int_equal(get("/api/v1/cdrs?limit=2"), 200);
	assert_true(says("{\"items\":[{\"id\":\"r599\",") && says("\"r598\"") && !says("\"r597\"") && says("\"next\":\"599\""));
	assert_int_equal(get("/api/v1/cdrs?limit=2&after=599"), 200);
	assert_true(says("\"r597\"") && says("\"r596\"") && !says("\"r598\""));
	assert_int_equal(get("/api/v1/cdrs?limit=1000&after=3"), 200);
	assert_true(says("\"r1\"") && says("\"r0\"") && says("\"next\":null"));
	assert_int_equal(get("/api/v1/cdrs/r0"), 200);
	assert_string_equal(a.body, "{\"id\":\"r0\",\"from\":\"49301\",\"status\":200}");
	/* also without a reader, at the next tick */
	assert_int_equal(base_ring_put(h.ring, "{\"id\":\"late\"}", 13), 0);
	base_clock_advance_ms(250);
	for (int i = 0; i < 5; i++)
		loop_turn(h.loop, 1);
	{
		char *text = NULL;

		assert_int_equal(store_cdr_get(h.store, "late", &text), 0);
		free(text);
	}
}

static void trunks(void **state)
{
	assert_int_equal(get("/api/v1/trunks"), 200);
	assert_true(says("\"id\":\"pbx\",\"state\":\"up\"") && says("\"id\":\"carrier\",\"state\":\"down\"") && says("\"calls_in\":3") && says("\"next\":null"));
	assert_int_equal(get("/api/v1/trunks?limit=1"), 200);
	assert_true(says("\"pbx\"") && !says("\"carrier\"") && says("\"next\":\"0\""));
	assert_int_equal(get("/api/v1/trunks?after=0"), 200);
	assert_true(!says("\"pbx\"") && says("\"carrier\""));
	assert_int_equal(get("/api/v1/trunks/carrier"), 200);
	assert_true(says("\"uri\":\"sip:127.0.0.1:5070;transport=udp\",\"address\":\"127.0.0.1\",\"port\":5070,\"transport\":\"udp\",\"priority\":1,\"weight\":0,\"state\":\"down\""));
}

static void figures(void **state)
{
	house_call(&h, "c1", "49301", "1000", CALL_UP);
	assert_int_equal(get("/metrics"), 200);
	assert_true(heads("text/plain; version=0.0.4"));
	assert_true(says("# TYPE postern_calls gauge\n") && says("postern_calls{state=\"up\"} 1\n") && says("postern_target_up{trunk=\"carrier\""));
	assert_true(says("postern_process_restarts_total{role=\"engine\"} 2\n") && says("postern_process_resident_memory_bytes{role=\"engine\"} "));
	assert_true(says("# TYPE postern_requests_rejected_total counter\n") && says("postern_requests_rejected_total{reason=\"max_cps\"} 0\n"));
	assert_int_equal(get("/api/v1/metrics"), 200);
	assert_int_equal(get("/api/v1/stats"), 200);
	assert_true(says("\"postern_calls\":[{\"state\":\"setup\",\"value\":0}"));
	assert_true(says("{\"class\":\"2xx\",\"value\":2}"));
	assert_int_equal(admin_set_revision(h.admin, 8, SLICE("{\"schema\":1,\"system\":{\"api\":{\"metrics_open\":true}}}")), 0);
	assert_int_equal(house_do(&h, "GET", "/metrics", NULL, NULL, &a), 200);
	assert_int_equal(house_do(&h, "GET", "/api/v1/stats", NULL, NULL, &a), 401);
	assert_true(admin_set_revision(h.admin, 9, SLICE("{")) < 0);
	assert_int_equal(get("/api/v1/config"), 200);
	assert_true(heads("ETag: \"8\""));
}

/* a client that sends a byte now and then is cut after its time, whatever it does */
static void slow(void **state)
{
	int fd[3];
	char buf[16];

	for (size_t i = 0; i < ARRAY_LEN(fd); i++) {
		fd[i] = house_connect(&h);
		loop_turn(h.loop, 1);
		assert_int_equal(send(fd[i], "G", 1, 0), 1);
	}
	for (int s = 0; s < 12; s++) {
		base_clock_advance_ms(1000);
		for (int i = 0; i < 6; i++)
			loop_turn(h.loop, 1);
		if (s < 8)
			assert_int_equal(send(fd[0], "x", 1, MSG_NOSIGNAL), 1);
	}
	for (size_t i = 0; i < ARRAY_LEN(fd); i++) {
		ssize_t n = recv(fd[i], buf, sizeof buf, 0);

		assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
		close(fd[i]);
	}
	assert_int_equal(get("/api/v1/calls"), 200);
}

/* all places taken by clients that say nothing: they go after two seconds, and who waits outside comes in */
static void crowded(void **state)
{
	static int fd[280];

	for (size_t i = 0; i < ARRAY_LEN(fd); i++) {
		fd[i] = house_connect(&h);
		loop_turn(h.loop, 0);
	}
	for (int i = 0; i < 30; i++) {
		base_clock_advance_ms(100);
		loop_turn(h.loop, 1);
	}
	assert_int_equal(get("/api/v1/calls"), 200);
	for (size_t i = 0; i < ARRAY_LEN(fd); i++)
		close(fd[i]);
}

/* the control socket asks no token: its mode guards it */
static void control_socket(void **state)
{
	static const char rq[] = "GET /api/v1/calls HTTP/1.1\r\nHost: localhost\r\n\r\n";
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	char buf[1024] = "";

	slice_copy(sun.sun_path, sizeof sun.sun_path, slice_str(h.sock));
	assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof sun), 0);
	assert_int_equal(send(fd, rq, sizeof rq - 1, 0), sizeof rq - 1);
	for (int i = 0; i < 50; i++)
		loop_turn(h.loop, 1);
	assert_true(recv(fd, buf, sizeof buf - 1, 0) > 0);
	assert_non_null(strstr(buf, " 200 "));
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(health, setup, teardown), cmocka_unit_test_setup_teardown(logins, setup, teardown),
		cmocka_unit_test_setup_teardown(guessing, setup, teardown), cmocka_unit_test_setup_teardown(refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_http, setup, teardown), cmocka_unit_test_setup_teardown(config, setup, teardown),
		cmocka_unit_test_setup_teardown(call_shown, setup, teardown), cmocka_unit_test_setup_teardown(call_list, setup, teardown),
		cmocka_unit_test_setup_teardown(commands, setup, teardown), cmocka_unit_test_setup_teardown(engine_silent, setup, teardown),
		cmocka_unit_test_setup_teardown(cdrs, setup, teardown), cmocka_unit_test_setup_teardown(trunks, setup, teardown),
		cmocka_unit_test_setup_teardown(figures, setup, teardown), cmocka_unit_test_setup_teardown(slow, setup, teardown),
		cmocka_unit_test_setup_teardown(control_socket, setup, teardown), cmocka_unit_test_setup_teardown(crowded, setup, teardown),
	};

	base_log_init("test", BASE_ERROR);
	base_clock_fake(1000000000, 1790000000000);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
