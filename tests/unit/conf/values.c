/* SPDX-License-Identifier: Apache-2.0 */
/* The C values that documents become: defaults of design.md section 4, built-in profiles, networks, URIs, nearest words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "postern/call.h"
#include "postern/conf.h"
#include "postern/ctl.h"
#include "postern/keys.h"
#include "postern/media.h"
#include "postern/peer.h"
#include "postern/rule.h"

static const char small[] =
	"{ \"schema\": 1, \"realms\": [ { \"id\": \"core\", \"media\": { \"address\": \"127.0.0.1\", \"port_min\": 20000, \"port_max\": 20998, \"profile\": \"m\" } } ],"
	"\"listeners\": [ { \"id\": \"l\", \"realm\": \"core\", \"transport\": \"tcp\", \"address\": \"127.0.0.1\", \"port\": 5060 } ],"
	"\"tls_profiles\": [ { \"id\": \"edge\", \"ca\": \"ca.pem\" } ],"
	"\"media_profiles\": [ { \"id\": \"m\", \"inactivity\": 4 } ], \"mid_call\": [ { \"id\": \"own\", \"reinvite\": { \"hold\": \"consume\", \"codec\": 603 }, \"update\": { \"address\": \"consume-or-relay\" } } ],"
	"\"trunks\": [ { \"id\": \"a\", \"realm\": \"core\", \"target\": \"sip:127.0.0.1:5070;transport=tcp\" },"
	"{ \"id\": \"b\", \"realm\": \"core\", \"targets\": [ { \"uri\": \"sip:b.example\", \"expires\": 60 }, \"sip:c.example\" ], \"probe\": { \"interval\": 1 }, \"failover\": { \"try_timeout\": 1 }, \"auth\": { \"inbound\": { \"users\": [ { \"username\": \"u\", \"password\": \"p\" } ] } } } ],"
	"\"routes\": [ { \"id\": \"r\", \"from\": [\"a\"], \"to\": \"b\" } ] }";

static struct conf_doc *parse(const char *text)
{
	struct conf_doc *doc = NULL;
	struct conf_errors *errs;
	const struct conf_note *n;
	size_t i;

	assert_int_equal(conf_errors_new(&errs), 0);
	if (conf_parse(slice_str(text), ctl_schema, errs, &doc))
		for (i = 0; (n = conf_errors_at(errs, i)); i++)
			print_error("%s: %s\n", n->pointer, n->message);
	base_unref(errs);
	assert_non_null(doc);
	return doc;
}

static void system_defaults(void **state)
{
	struct conf_doc *doc = parse("{ \"schema\": 1 }");
	const struct peer_system_conf *s = conf_find(doc, &peer_schema_system, "system");
	size_t n;

	if (!s)
		s = conf_objects(doc, &peer_schema_system, &n)[0];
	assert_string_equal(s->id, "system");
	assert_string_equal(s->user_agent, "Postern");
	assert_int_equal(s->max_calls, 4000);
	assert_int_equal(s->max_cps, 0);
	assert_int_equal(s->drain_seconds, 30);
	assert_string_equal(s->api.address, "127.0.0.1");
	assert_int_equal(s->api.port, 8080);
	assert_null(s->api.tls);
	assert_int_equal(s->dns.servers.n, 0);
	assert_int_equal(s->dns.timeout, 2);
	assert_int_equal(s->trace.bytes, 67108864);
	assert_int_equal(s->caps.message_bytes, 65536);
	assert_string_equal(s->common.media, "default");
	assert_string_equal(s->common.mid_call, "default");
	assert_string_equal(s->common.session_timer, "default");
	base_unref(doc);
}

static void trunk_defaults(void **state)
{
	static const int64_t on_status[] = { 408, 500, 502, 503, 504 }, down_on[] = { 408, 500, 503 };
	struct conf_doc *doc = parse(small);
	const struct peer_trunk_conf *t = conf_find(doc, &peer_schema_trunks, "a");

	assert_int_equal(t->targets.n, 1);
	assert_string_equal(((const struct peer_target_conf *)t->targets.v)->uri, "sip:127.0.0.1:5070;transport=tcp");
	assert_null(t->listener);
	assert_null(t->common.media);
	assert_null(t->match.to_host);
	assert_false(t->trusted);
	assert_int_equal(t->nat + t->redirect + t->refer + t->early_offer, 0);
	assert_int_equal(t->udp_max, 65535);
	assert_int_equal(t->no_answer, 180);
	assert_int_equal(t->limits.max_calls + t->limits.max_calls_in + t->limits.max_calls_out + t->limits.max_cps, 0);
	assert_false(t->registration.enabled);
	assert_false(t->probe.enabled);
	assert_string_equal(t->probe.method, "OPTIONS");
	assert_int_equal(t->probe.interval, 30);
	assert_int_equal(t->probe.down_after, 3);
	assert_int_equal(t->probe.up_after, 2);
	assert_int_equal(t->probe.down_on.n, 3);
	assert_memory_equal(t->probe.down_on.v, down_on, sizeof down_on);
	assert_int_equal(t->failover.tries, 3);
	assert_true(t->failover.try_timeout == 2.0);
	assert_int_equal(t->failover.on_status.n, 5);
	assert_memory_equal(t->failover.on_status.v, on_status, sizeof on_status);
	assert_int_equal(t->failover.down_after, 1);
	assert_int_equal(t->failback.mode, 0);
	assert_int_equal(t->failback.interval, 60);
	assert_int_equal(t->failback.hold_down, 30);
	assert_int_equal(t->failback.ramp_up, 0);
	assert_int_equal(t->failback.max_rest, 300);
	base_unref(doc);
}

static void lists(void **state)
{
	struct conf_doc *doc = parse(small);
	const struct peer_trunk_conf *t = conf_find(doc, &peer_schema_trunks, "b");
	const struct peer_target_conf *target = t->targets.v;
	const struct peer_auth_user_conf *user = t->auth.inbound_users.v;
	const struct peer_route_conf *r = conf_find(doc, &peer_schema_routes, "r");

	assert_int_equal(t->targets.n, 2);
	assert_string_equal(target[0].uri, "sip:b.example");
	assert_int_equal(target[0].expires, 60);
	assert_string_equal(target[1].uri, "sip:c.example");
	assert_int_equal(target[1].expires, 0);
	assert_true(t->failover.try_timeout == 1.0);
	assert_int_equal(t->auth.inbound_users.n, 1);
	assert_string_equal(user->password, "p");
	assert_int_equal(r->from.n, 1);
	assert_string_equal(((const char *const *)r->from.v)[0], "a");
	assert_string_equal(r->to, "b");
	base_unref(doc);
}

static void profiles(void **state)
{
	struct conf_doc *doc = parse(small);
	const struct media_profile_conf *m = conf_find(doc, &media_schema_profiles, "default"), *own = conf_find(doc, &media_schema_profiles, "m");
	const struct call_timer_conf *t = conf_find(doc, &call_schema_timers, "default");
	const struct keys_tls_conf *k = conf_find(doc, &keys_schema_tls_profiles, "edge");
	const struct peer_realm_conf *r = conf_find(doc, &peer_schema_realms, "core");
	const struct ctl_user_conf *u = conf_find(doc, &ctl_schema_users, "admin");

	assert_int_equal(m->transport, MEDIA_RTP);
	assert_int_equal(m->inactivity, 300);
	assert_true(m->anchor);
	assert_int_equal(m->suites.n, 2);
	assert_string_equal(((const char *const *)m->suites.v)[0], "AEAD_AES_128_GCM");
	assert_int_equal(own->inactivity, 4);
	assert_int_equal(t->expires, 1800);
	assert_int_equal(t->min_se, 90);
	assert_true(t->add_if_missing);
	assert_int_equal(t->mode + t->method + t->refresher, 0);
	assert_int_equal(k->verify, KEYS_VERIFY_UNSET);
	assert_int_equal(k->min_version, 0);
	assert_string_equal(r->common.media, "m");
	assert_int_equal(u->role, 2);
	base_unref(doc);
}

/** The table of design.md section 6: refresh offerless hold address codec other add remove fax identity. */
static void mid_call(void **state)
{
	static const struct { const char *id; int64_t reinvite[CALL_PURPOSES]; } rows[] = {
		{ "default", { 0, 0, 1, 0, 1, 1, 1, 1, 1, 1 } }, { "media-change", { 0, 0, 1, 0, 1, 1, 1, 1, 1, 1 } },
		{ "consume-all", { 0, 0, 0, 0, 0, 0, 0, 0, 488, 0 } }, { "cube", { 0, 0, 0, 0, 2, 0, 1, 0, 1, 0 } },
		{ "relay-all", { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 } }, { "own", { 0, 0, 0, 0, 603, 1, 1, 1, 1, 1 } },
	};
	struct conf_doc *doc = parse(small);
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		const struct call_midcall_conf *c = conf_find(doc, &call_schema_midcall, rows[i].id);

		assert_non_null(c);
		assert_memory_equal(c->reinvite, rows[i].reinvite, sizeof c->reinvite);
		assert_false(c->shield);
		assert_int_equal(c->relay_if_changed.n, 2);
		assert_int_equal(c->update[3], i == 5 ? 2 : rows[i].reinvite[3]);
		if (i < 4) /* no `offerless` there */
			assert_memory_equal(c->update, c->reinvite, sizeof c->update);
	}
	base_unref(doc);
}

static void networks(void **state)
{
	static const struct { const char *text, *host; unsigned bits, port; } good[] = {
		{ "192.0.2.7", "192.0.2.7", 32, 0 }, { "192.0.2.7/24", "192.0.2.0", 24, 0 }, { "192.0.2.7/24:5060", "192.0.2.0", 24, 5060 },
		{ "192.0.2.7:5060", "192.0.2.7", 32, 5060 }, { "0.0.0.0/0", "0.0.0.0", 0, 0 }, { "2001:db8::1", "2001:db8::1", 128, 0 },
		{ "2001:db8::1/32", "2001:db8::", 32, 0 }, { "[2001:db8::1]:5060", "2001:db8::1", 128, 5060 }, { "[2001:db8::1/33]:5060", "2001:db8::", 33, 5060 },
		{ "[2001:db8::1]", "2001:db8::1", 128, 0 },
	};
	static const char *const bad[] = { "", "/24", "192.0.2", "192.0.2.1/", "192.0.2.1/33", "192.0.2.1/+8", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:65536", "192.0.2.1:5 ", "host",
		"[2001:db8::1", "2001:db8::1]", "2001:db8::1/129", "192.0.2.1/24/24", "[192.0.2.1" };
	struct conf_net net;
	char buf[48];
	size_t i;

	for (i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(conf_net_parse(good[i].text, &net), 0);
		assert_string_equal(base_addr_host(&net.addr, false, buf), good[i].host);
		assert_int_equal(net.bits, good[i].bits);
		assert_int_equal(net.port, good[i].port);
	}
	for (i = 0; i < ARRAY_LEN(bad); i++)
		assert_true(conf_net_parse(bad[i], &net) < 0);
}

static void uris(void **state)
{
	struct conf_uri u;
	const char *why = NULL;

	assert_int_equal(conf_uri_parse("sip:carrier.example", &u, &why), 0);
	assert_int_equal(u.transport, CONF_TRANSPORT_NONE);
	assert_int_equal(u.addr.sa.sa_family, AF_UNSPEC);
	assert_int_equal(u.port, 0);
	assert_int_equal(conf_uri_parse("SIPS:+49%2030;x=y@[2001:db8::1]:5081;TRANSPORT=TCP;lr", &u, &why), 0);
	assert_true(u.sips);
	assert_true(slice_eq(u.user, SLICE("+49%2030;x=y")));
	assert_true(slice_eq(u.host, SLICE("2001:db8::1")));
	assert_int_equal(u.transport, CONF_TCP);
	assert_int_equal(base_addr_port(&u.addr), 5081);
	assert_int_equal(conf_uri_parse("sip:192.0.2.1;transport=tls", &u, &why), 0);
	assert_int_equal(base_addr_port(&u.addr), 5061);
	assert_int_equal(conf_uri_parse("sip:a:b@c", &u, &why), ERR_PROTO);
	assert_string_equal(why, "must not carry a password");
}

static void nearest(void **state)
{
	assert_string_equal(conf_nearest(peer_schema_trunks.rows, "taget"), "target");
	assert_string_equal(conf_nearest(peer_schema_trunks.rows, "outboundproxy"), "outbound_proxy");
	assert_string_equal(conf_nearest(peer_schema_trunks.rows, "soruces"), "sources");
	assert_null(conf_nearest(peer_schema_trunks.rows, "zzzzzz"));
	assert_null(conf_nearest(peer_schema_trunks.rows, ""));
	assert_null(conf_nearest(peer_schema_trunks.rows, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
}

static void given(void **state)
{
	struct conf_doc *doc = parse(small);
	const void *b = conf_find(doc, &peer_schema_trunks, "b");
	char buf[128];

	assert_true(conf_given(doc, &peer_schema_trunks, b, "probe/interval"));
	assert_false(conf_given(doc, &peer_schema_trunks, b, "probe/method"));
	assert_false(conf_given(doc, &peer_schema_trunks, b, "target"));
	assert_false(conf_given(doc, &call_schema_midcall, conf_find(doc, &call_schema_midcall, "cube"), "reinvite"));
	assert_string_equal(conf_pointer(doc, &peer_schema_trunks, b, buf), "/trunks/1");
	assert_null(conf_find(doc, &peer_schema_trunks, "c"));
	assert_null(conf_find(doc, &peer_schema_trunks, NULL));
	base_unref(doc);
}

/** 20,000 trunks are no work for a second. */
static void many(void **state)
{
	size_t size = 4 << 20, i;
	char *buf = calloc(1, size);
	struct text t = text_on(buf, size);
	struct conf_doc *doc;
	struct mono start = base_mono_now();

	text_add(&t, "{ \"schema\": 1, \"realms\": [ { \"id\": \"r\", \"media\": { \"address\": \"127.0.0.1\", \"port_min\": 20000, \"port_max\": 20998 } } ],"
		"\"listeners\": [ { \"id\": \"l\", \"realm\": \"r\", \"transport\": \"udp\", \"address\": \"127.0.0.1\", \"port\": 5060 } ], \"trunks\": [");
	for (i = 0; i < 20000; i++)
		text_add(&t, "%s{ \"id\": \"t%zu\", \"realm\": \"r\", \"target\": \"sip:10.0.%zu.%zu\", \"sources\": [\"10.1.%zu.%zu\"] }", i ? "," : "", i, i / 250, i % 250, i / 250, i % 250);
	text_add(&t, "] }");
	assert_false(t.cut);
	doc = parse(buf);
	print_message("20,000 trunks: %lld ms\n", (long long)mono_ms_since(base_mono_now(), start));
	base_unref(doc);
	free(buf);
}

static int no_leak(void **state)
{
	return base_live() ? -1 : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(system_defaults, no_leak), cmocka_unit_test_teardown(trunk_defaults, no_leak), cmocka_unit_test_teardown(lists, no_leak),
		cmocka_unit_test_teardown(profiles, no_leak), cmocka_unit_test_teardown(mid_call, no_leak), cmocka_unit_test_teardown(networks, no_leak),
		cmocka_unit_test_teardown(uris, no_leak), cmocka_unit_test_teardown(nearest, no_leak), cmocka_unit_test_teardown(given, no_leak),
		cmocka_unit_test_teardown(many, no_leak),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
