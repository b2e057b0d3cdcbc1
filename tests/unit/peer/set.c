/* SPDX-License-Identifier: Apache-2.0 */
/* Matching of requests to trunks and of calls to routes, as design.md section 4 says, on documents as a user writes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "peer/peer.h"
#include "postern/conf.h"
#include "postern/ctl.h"

#define HEAD "{\"schema\":1,\"realms\":[{\"id\":\"core\",\"media\":{\"address\":\"127.0.0.1\",\"port_min\":20000,\"port_max\":24998}}," \
	"{\"id\":\"peering\",\"media\":{\"address\":\"127.0.0.2\",\"address6\":\"::1\",\"port_min\":25000,\"port_max\":29998}}]," \
	"\"listeners\":[{\"id\":\"cu\",\"realm\":\"core\",\"transport\":\"udp\",\"address\":\"127.0.0.1\",\"port\":5060}," \
	"{\"id\":\"ct\",\"realm\":\"core\",\"transport\":\"tcp\",\"address\":\"127.0.0.1\",\"port\":5060}," \
	"{\"id\":\"pu\",\"realm\":\"peering\",\"transport\":\"udp\",\"address\":\"127.0.0.2\",\"port\":5060}," \
	"{\"id\":\"p6\",\"realm\":\"peering\",\"transport\":\"udp\",\"address\":\"::1\",\"port\":5060}],"

enum { CORE_UDP, CORE_TCP, PEER_UDP, PEER_UDP6 };

static struct peer_set *set_of(const char *rest)
{
	static char text[4 << 20];
	struct conf_errors *errs;
	struct conf_doc *doc;
	struct peer_set *s;
	size_t i;

	snprintf(text, sizeof text, HEAD "%s}", rest);
	assert_int_equal(conf_errors_new(&errs), 0);
	if (conf_parse(slice_str(text), ctl_schema, errs, &doc)) {
		for (i = 0; conf_errors_at(errs, i); i++)
			fprintf(stderr, "%s: %s\n", conf_errors_at(errs, i)->pointer, conf_errors_at(errs, i)->message);
		fail();
	}
	assert_int_equal(peer_set_new(doc, &s), 0);
	base_unref(doc);
	base_unref(errs);
	return s;
}

static const char *match(const struct peer_set *s, unsigned listener, int transport, const char *ip, uint16_t port, struct peer_view v)
{
	const struct peer_trunk *t;
	union base_addr a;

	assert_int_equal(base_addr_parse(slice_str(ip), port, &a), 0);
	t = peer_match(s, listener, transport, &a, &v);
	return t ? t->conf->id : "none";
}

static void sources_and_targets(void **state)
{
	size_t live = base_live();
	struct peer_view v = { .to_user = SLICE("1"), .to_host = SLICE("h") };
	struct peer_set *s = set_of("\"trunks\":["
		"{\"id\":\"a\",\"realm\":\"core\",\"target\":\"sip:127.0.0.10:5070;transport=udp\"},"
		"{\"id\":\"two-1\",\"realm\":\"core\",\"target\":\"sip:127.0.0.11:5070;transport=udp\"},"
		"{\"id\":\"two-2\",\"realm\":\"core\",\"target\":\"sip:127.0.0.11:5071;transport=udp\"},"
		"{\"id\":\"wide\",\"realm\":\"core\",\"target\":\"sip:127.0.0.99\",\"sources\":[\"127.9.0.0/16\"]},"
		"{\"id\":\"narrow\",\"realm\":\"core\",\"target\":\"sip:127.0.0.98\",\"sources\":[\"127.9.8.0/24\"]},"
		"{\"id\":\"port\",\"realm\":\"core\",\"target\":\"sip:127.0.0.97\",\"sources\":[\"127.9.8.0/24:6060\"]},"
		"{\"id\":\"other\",\"realm\":\"peering\",\"target\":\"sip:127.0.0.10:5070\"},"
		"{\"id\":\"six\",\"realm\":\"peering\",\"target\":\"sip:[::1]:5090\"}]");

	assert_string_equal(match(s, CORE_UDP, 0, "127.0.0.10", 5070, v), "a");
	assert_string_equal(match(s, CORE_UDP, 0, "127.0.0.10", 9999, v), "a");     /* alone with its address */
	assert_string_equal(match(s, CORE_TCP, 1, "127.0.0.10", 40000, v), "a");
	assert_string_equal(match(s, PEER_UDP, 0, "127.0.0.10", 5070, v), "other"); /* the listener's realm decides */
	assert_string_equal(match(s, CORE_UDP, 0, "127.0.0.11", 5071, v), "two-2");
	assert_string_equal(match(s, CORE_UDP, 0, "127.0.0.11", 5070, v), "two-1");
	assert_string_equal(match(s, CORE_UDP, 0, "127.0.0.11", 5072, v), "none");
	assert_string_equal(match(s, CORE_UDP, 0, "127.9.1.1", 1, v), "wide");
	assert_string_equal(match(s, CORE_UDP, 0, "127.9.8.1", 1, v), "narrow");
	assert_string_equal(match(s, CORE_UDP, 0, "127.9.8.1", 6060, v), "port");
	assert_string_equal(match(s, CORE_UDP, 0, "127.8.8.1", 6060, v), "none");
	assert_string_equal(match(s, PEER_UDP6, 0, "::1", 5090, v), "six");
	base_unref(s);
	assert_int_equal(base_live(), live);
}

static void narrowed_by_match(void **state)
{
	size_t live = base_live();
	struct peer_set *s = set_of("\"trunks\":["
		"{\"id\":\"any\",\"realm\":\"core\",\"target\":\"sip:127.0.0.20\",\"sources\":[\"127.7.0.0/16\"]},"
		"{\"id\":\"tenant\",\"realm\":\"core\",\"target\":\"sip:127.0.0.21\",\"sources\":[\"127.7.0.0/16\"],\"match\":{\"to_host\":\"^tenant\\\\.example$\"}}]");
	struct peer_view v = { .to_host = SLICE("tenant.example") };

	assert_string_equal(match(s, CORE_UDP, 0, "127.7.0.1", 5060, v), "tenant");
	v.to_host = SLICE("other.example");
	assert_string_equal(match(s, CORE_UDP, 0, "127.7.0.1", 5060, v), "any");
	base_unref(s);
	assert_int_equal(base_live(), live);
}

static const char *route(const struct peer_set *s, const char *from, struct peer_view v, unsigned *ret_n)
{
	struct peer_plane_params params = { .peers = (struct peer_set *)(uintptr_t)s };
	static struct peer_plan plan;
	struct peer_plane *plane;
	struct peer_dest d;

	if (peer_route(s, peer_trunk_find(s, from), &v, &d))
		return "404";
	assert_int_equal(peer_plane_new(&params, &plane), 0);
	peer_plan(plane, &d, &plan);
	peer_plane_free(plane);
	if (ret_n)
		*ret_n = plan.n;
	return plan.n ? plan.way[0].trunk->conf->id : "none";
}

static void routes_and_groups(void **state)
{
	size_t live = base_live();
	unsigned n = 0;
	struct peer_view v = { .method = SLICE("INVITE"), .to_user = SLICE("+491"), .to_host = SLICE("h"), .from_user = SLICE("7"), .from_host = SLICE("f") };
	struct peer_set *s = set_of("\"trunks\":["
		"{\"id\":\"pbx\",\"realm\":\"core\",\"target\":\"sip:127.0.0.30\"},{\"id\":\"x\",\"realm\":\"peering\",\"target\":\"sip:127.0.0.31\"},"
		"{\"id\":\"y\",\"realm\":\"peering\",\"target\":\"sip:127.0.0.32\"},{\"id\":\"z\",\"realm\":\"peering\",\"target\":\"sip:127.0.0.33\"}],"
		"\"trunk_groups\":[{\"id\":\"g\",\"members\":[{\"trunk\":\"y\",\"priority\":20,\"weight\":1},{\"trunk\":\"x\",\"priority\":10,\"weight\":1},{\"trunk\":\"inner\",\"priority\":30}]},"
		"{\"id\":\"inner\",\"members\":[{\"trunk\":\"z\"}]}],"
		"\"routes\":[{\"id\":\"late\",\"order\":50,\"from\":[\"pbx\"],\"to\":\"z\"},{\"id\":\"plus\",\"order\":10,\"from\":[\"pbx\"],\"match\":{\"to_user\":\"^\\\\+\"},\"to\":\"g\"},"
		"{\"id\":\"same\",\"order\":10,\"from\":[\"pbx\"],\"match\":{\"to_user\":\"^\\\\+\"},\"to\":\"z\"},{\"id\":\"meth\",\"order\":5,\"match\":{\"method\":\"^MESSAGE$\"},\"to\":\"y\"}]");

	assert_string_equal(route(s, "pbx", v, &n), "x");      /* lowest order, then first in the document; group by priority */
	assert_int_equal(n, 3);
	v.to_user = SLICE("110");
	assert_string_equal(route(s, "pbx", v, NULL), "z");
	assert_string_equal(route(s, "x", v, NULL), "404");
	v.method = SLICE("MESSAGE");
	assert_string_equal(route(s, "x", v, NULL), "y");
	base_unref(s);
	assert_int_equal(base_live(), live);
}

static void literal_prefixes(void **state)
{
	static const struct { const char *re, *prefix; } rows[] = {
		{ "^\\+49", "+49" }, { "^\\+49.*$", "+49" }, { "^\\+4?9", "+" }, { "^0049+", "0049" }, { "^12{2}", "1" }, { "^12*", "1" }, { "^110$", "110" }, { "^(11|12)", "" },
		{ "^11|^12", "" }, { "^1(1|2)3", "1" }, { "^1[|]2", "1" }, { "^1[]|]", "1" }, { "^1[^]|]", "1" }, { "^1[\\]|]2", "1" }, { "^1[\\]]|2", "" }, { "^1\\|2", "1|2" },
		{ "^\\d+", "" }, { "^1\\d", "1" }, { "1", "" }, { "", "" }, { "^", "" }, { "(?i)^ab", "" }, { "^ab(?i)c", "ab" }, { "^\\Qa|b\\E", "" }, { "^a.", "a" },
		{ "^12345678901234567890", "1234567890123456" },
	};
	char buf[PEER_PREFIX];
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		unsigned n = peer_route_prefix(rows[i].re, buf);

		if (n != strlen(rows[i].prefix) || memcmp(buf, rows[i].prefix, n))
			fail_msg("%s: %.*s", rows[i].re, (int)n, buf);
	}
	assert_int_equal(peer_route_prefix(NULL, buf), 0);
}

/** As the contract says it: every route in order. */
static const char *first_of_all(const struct peer_set *s, const struct peer_trunk *from, const struct peer_view *v)
{
	unsigned i, k;

	for (i = 0; i < s->nroutes; i++) {
		const struct peer_route_x *r = &s->route[i];

		for (k = 0; k < r->nfrom && r->from[k] != from; k++)
			;
		if ((k < r->nfrom || !r->conf->from.n) && peer_conds_hold(r->cond, r->nconds, v))
			return r->conf->id;
	}
	return "none";
}

#define MANY 2000

static void many_routes(void **state)
{
	static char text[1 << 20];
	static const char *const shape[] = { "^\\\\+%u", "^%u$", "^%u", "^0%u|^1%u", "%u$", "^[0-3]%u", "^\\\\+?%u" };
	struct text t = text_on(text, sizeof text);
	size_t live = base_live();
	struct peer_set *s;
	char user[32];
	unsigned i;

	text_add(&t, "\"trunks\":[{\"id\":\"a\",\"realm\":\"core\",\"target\":\"sip:127.0.0.30\"},{\"id\":\"b\",\"realm\":\"core\",\"target\":\"sip:127.0.0.31\"}],\"routes\":[");
	for (i = 0; i < MANY; i++) {
		char re[64];
		unsigned number = i * 7919 % 700;

		snprintf(re, sizeof re, shape[i % ARRAY_LEN(shape)], number, number);
		text_add(&t, "%s{\"id\":\"r%u\",\"order\":%u,\"from\":[%s],\"match\":{\"to_user\":\"%s\"},\"to\":\"a\"}", i ? "," : "", i, i * 31 % 97,
			i % 5 == 0 ? "\"a\"" : i % 5 == 1 ? "\"b\"" : i % 5 == 2 ? "\"a\",\"b\"" : i % 5 == 3 ? "\"b\",\"a\"" : "", re);
	}
	text_add(&t, "]");
	assert_false(t.cut);
	s = set_of(text);
	assert_int_equal(s->nroutes, MANY);
	for (i = 0; i < 4 * MANY; i++) {
		const struct peer_trunk *from = peer_trunk_find(s, i % 3 ? "a" : "b");
		struct peer_view v = { .method = SLICE("INVITE"), .to_user = slice_str(user) };
		struct peer_dest d = { .route = "none" };

		snprintf(user, sizeof user, i % 4 ? "%s%u" : "%s%u9", i % 5 == 1 ? "+" : i % 5 == 2 ? "0" : "", i * 104729 % 1200);
		v.to_user = slice_str(user);
		peer_route(s, from, &v, &d);
		assert_string_equal(d.route, first_of_all(s, from, &v));
	}
	base_unref(s);
	assert_int_equal(base_live(), live);
}

static void targets_find_their_listener(void **state)
{
	size_t live = base_live();
	struct peer_set *s = set_of("\"trunks\":["
		"{\"id\":\"u\",\"realm\":\"core\",\"target\":\"sip:127.0.0.40\"},{\"id\":\"t\",\"realm\":\"core\",\"target\":\"sip:127.0.0.41:5061;transport=tcp\"},"
		"{\"id\":\"six\",\"realm\":\"peering\",\"target\":\"sip:[::1]:5070\"},{\"id\":\"none\",\"realm\":\"peering\",\"target\":\"sip:127.0.0.42;transport=tcp\"},"
		"{\"id\":\"name\",\"realm\":\"core\",\"target\":\"sip:pbx.example\"},"
		"{\"id\":\"via\",\"realm\":\"core\",\"target\":\"sip:pbx2.example\",\"outbound_proxy\":[\"sip:127.0.0.43:5080\"]}]");
	const struct peer_target *g;

	assert_int_equal(peer_trunk_find(s, "u")->target[0].listener, CORE_UDP);
	assert_int_equal(base_addr_port(&peer_trunk_find(s, "u")->target[0].addr), 5060);
	assert_int_equal(peer_trunk_find(s, "t")->target[0].listener, CORE_TCP);
	assert_int_equal(peer_trunk_find(s, "six")->target[0].listener, PEER_UDP6);
	assert_int_equal(peer_trunk_find(s, "none")->target[0].listener, -1);
	assert_int_equal(peer_trunk_find(s, "name")->target[0].addr.sa.sa_family, AF_UNSPEC);
	g = &peer_trunk_find(s, "via")->target[0];
	assert_string_equal(g->host, "pbx2.example");          /* the Request-URI stays */
	assert_int_equal(base_addr_port(&g->addr), 5080);
	base_unref(s);
	assert_int_equal(base_live(), live);
}

struct given { const char *name, *value; };

static struct slice given_header(const void *arg, const char *name, char *buf, size_t size)
{
	const struct given *g;

	for (g = arg; g->name; g++)
		if (!strcmp(g->name, name))
			return slice_str(g->value);
	return (struct slice){ NULL, 0 };
}

#define TWO_TRUNKS "\"trunks\":[{\"id\":\"a\",\"realm\":\"core\",\"target\":\"sip:127.0.0.30\"},{\"id\":\"b\",\"realm\":\"core\",\"target\":\"sip:127.0.0.31\"}],"

static void routes_by_headers(void **state)
{
	static const struct { struct given given[3]; const char *route; } rows[] = {
		{ { { "X-Class", "gold" }, { "X-Site", "7" } }, "both" }, { { { "X-Class", "gold" }, { "X-Site", "" } }, "class" }, { { { "X-Class", "gold" } }, "class" },
		{ { { "X-Class", "marigold" }, { "X-Site", "7" } }, "rest" }, { { { "X-Class", "" } }, "empty" }, { { { NULL, NULL } }, "rest" },
	};
	size_t live = base_live(), i;
	struct peer_set *s = set_of(TWO_TRUNKS "\"routes\":["
		"{\"id\":\"both\",\"match\":{\"headers\":[{\"name\":\"X-Class\",\"value\":\"^gold$\"},{\"name\":\"X-Site\",\"value\":\"^[0-9]+$\"}]},\"to\":\"b\"},"
		"{\"id\":\"class\",\"match\":{\"to_user\":\"^1\",\"headers\":[{\"name\":\"X-Class\",\"value\":\"^gold$\"}]},\"to\":\"b\"},"
		"{\"id\":\"empty\",\"match\":{\"headers\":[{\"name\":\"X-Class\",\"value\":\"^$\"}]},\"to\":\"b\"},{\"id\":\"rest\",\"to\":\"b\"}]");
	const struct peer_trunk *from = peer_trunk_find(s, "a");
	struct peer_view v = { .method = SLICE("INVITE"), .to_user = SLICE("1"), .header = given_header };
	struct peer_dest d;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		v.header_arg = rows[i].given;
		assert_int_equal(peer_route(s, from, &v, &d), 0);
		assert_string_equal(d.route, rows[i].route);
	}
	v.header = NULL;
	assert_int_equal(peer_route(s, from, &v, &d), 0);
	assert_string_equal(d.route, "rest");
	v.header = given_header;
	v.header_arg = rows[2].given;
	v.to_user = SLICE("2");                                /* the other conditions hold as well */
	assert_int_equal(peer_route(s, from, &v, &d), 0);
	assert_string_equal(d.route, "rest");
	assert_null(s->route[3].more);                         /* what asks for neither has nothing of it */
	base_unref(s);
	assert_int_equal(base_live(), live);
}

static int64_t utc_ms(int year, int month, int day, int hour, int minute)
{
	struct tm tm = { .tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = hour, .tm_min = minute };

	return (int64_t)timegm(&tm) * 1000;
}

static void routes_by_time(void **state)
{
	static const struct { int month, day, hour, minute; const char *route; } rows[] = { /* of 2026, UTC; 20 November is a Friday */
		{ 11, 20, 6, 59, "rest" }, { 11, 20, 7, 0, "office" }, { 11, 20, 16, 59, "office" }, { 11, 20, 17, 0, "rest" }, /* winter: an hour before Berlin */
		{ 7, 3, 5, 59, "rest" }, { 7, 3, 6, 0, "office" }, { 7, 3, 15, 59, "office" }, { 7, 3, 16, 0, "rest" },         /* summer: two */
		{ 3, 27, 7, 0, "office" }, { 3, 30, 6, 0, "office" }, { 3, 30, 5, 59, "rest" },                                 /* the change lies between */
		{ 11, 21, 10, 0, "rest" },                                                                                      /* Saturday */
		{ 11, 20, 21, 29, "rest" }, { 11, 20, 21, 30, "night" }, { 11, 20, 23, 30, "night" }, { 11, 21, 4, 59, "night" }, { 11, 21, 5, 0, "rest" }, /* of Friday */
		{ 11, 21, 21, 30, "rest" }, { 11, 20, 4, 59, "rest" },                                                         /* of Saturday, of Thursday */
		{ 11, 22, 0, 0, "sunday" }, { 11, 22, 23, 59, "sunday" }, { 11, 23, 0, 0, "rest" },
	};
	size_t live = base_live(), i;
	struct peer_set *s = set_of(TWO_TRUNKS "\"routes\":["
		"{\"id\":\"office\",\"match\":{\"time\":{\"zone\":\"Europe/Berlin\",\"days\":[\"mon\",\"tue\",\"wed\",\"thu\",\"fri\"],\"from\":\"08:00\",\"to\":\"18:00\"}},\"to\":\"b\"},"
		"{\"id\":\"night\",\"match\":{\"time\":{\"zone\":\"Europe/Berlin\",\"days\":[\"fri\"],\"from\":\"22:30\",\"to\":\"06:00\"}},\"to\":\"b\"},"
		"{\"id\":\"sunday\",\"match\":{\"time\":{\"days\":[\"sun\"]}},\"to\":\"b\"},{\"id\":\"rest\",\"to\":\"b\"}]");
	struct peer_view v = { .method = SLICE("INVITE"), .to_user = SLICE("1") };
	struct peer_dest d;

	assert_int_equal(s->nzones, 2);                        /* a zone is read once */
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		base_clock_fake(1, utc_ms(2026, rows[i].month, rows[i].day, rows[i].hour, rows[i].minute));
		assert_int_equal(peer_route(s, peer_trunk_find(s, "a"), &v, &d), 0);
		if (strcmp(d.route, rows[i].route))
			fail_msg("2026-%d-%d %d:%02d: %s, not %s", rows[i].month, rows[i].day, rows[i].hour, rows[i].minute, d.route, rows[i].route);
	}
	base_unref(s);
	assert_int_equal(base_live(), live);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sources_and_targets), cmocka_unit_test(narrowed_by_match),
		cmocka_unit_test(routes_and_groups), cmocka_unit_test(literal_prefixes), cmocka_unit_test(many_routes), cmocka_unit_test(targets_find_their_listener),
		cmocka_unit_test(routes_by_headers), cmocka_unit_test(routes_by_time), /* last: the clock is a fake one from then on */
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
