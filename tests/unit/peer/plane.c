/* SPDX-License-Identifier: Apache-2.0 */
/* The plane on a clock of its own: what takes targets down and brings them back, orders of a group, limits, bounded work (design.md section 8). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "peer/plane.h"
#include "postern/conf.h"
#include "postern/ctl.h"

#define HEAD "{\"schema\":1,\"realms\":[{\"id\":\"core\",\"media\":{\"address\":\"127.0.0.1\",\"port_min\":20000,\"port_max\":24998}}]," \
	"\"listeners\":[{\"id\":\"u\",\"realm\":\"core\",\"transport\":\"udp\",\"address\":\"127.0.0.1\",\"port\":5060}],"
#define TRUNK(id, addr, more) "{\"id\":\"" id "\",\"realm\":\"core\",\"target\":\"sip:" addr ";transport=udp\"" more "}"

#define PARK ",\"failback\":{\"mode\":\"park\",\"max_rest\":1,\"hold_down\":0}"

static struct bed {
	struct peer_set *set;
	struct peer_plane *plane;
	struct peer_live *live;
	size_t bytes, before;
	struct peer_plan plan;
} b;

static struct peer_set *set_of(const char *rest)
{
	static char text[1 << 20];
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

static void plane_start(void)
{
	struct peer_plane_params p = { .live = b.live, .live_bytes = b.bytes, .peers = b.set };

	assert_int_equal(peer_plane_new(&p, &b.plane), 0);
}

static void begin(const char *rest)
{
	base_clock_fake(1000000000, 1700000000000);
	b.before = base_live();
	b.set = set_of(rest);
	b.bytes = peer_live_bytes(64);
	b.live = calloc(1, b.bytes);
	assert_non_null(b.live);
	plane_start();
}

static void end(void)
{
	peer_plane_free(b.plane);
	base_unref(b.set);
	free(b.live);
	assert_int_equal(base_live(), b.before);
}

static const struct peer_live_target *target(const char *trunk, unsigned k)
{
	return &b.live->trunk[peer_trunk_find(b.set, trunk)->index].target[k];
}

/** Trunks or ports in the order that a call from `from` would try. */
static const char *order(const char *from, bool ports)
{
	static char buf[2048];
	struct text t = text_on(buf, sizeof buf);
	struct peer_view v = { .method = SLICE("INVITE") };
	struct peer_dest d;
	unsigned i;

	if (peer_route(b.set, peer_trunk_find(b.set, from), &v, &d))
		return "404";
	peer_plan(b.plane, &d, &b.plan);
	for (i = 0; i < b.plan.n; i++)
		if (ports)
			text_add(&t, "%u ", base_addr_port(&b.plan.way[i].target.addr));
		else
			text_add(&t, "%s ", b.plan.way[i].trunk->conf->id);
	return buf;
}

static const struct peer_way *take(void)
{
	return peer_plan_next(b.plane, &b.plan);
}

static void report(unsigned way, int status, bool own, int retry)
{
	const struct peer_way *w = &b.plan.way[way];

	peer_report(b.plane, w->trunk, &w->target, status, own, retry, base_mono_now().us / 1000);
}

#define TWO "\"trunks\":[" TRUNK("in", "127.0.0.9:5060", "") ",{\"id\":\"t\",\"realm\":\"core\",\"targets\":[\"sip:127.0.0.2:5071\",\"sip:127.0.0.2:5072\"]%s}]," \
	"\"routes\":[{\"id\":\"r\",\"from\":[\"in\"],\"to\":\"t\"}]"

static void two(const char *more)
{
	char text[2048];

	snprintf(text, sizeof text, TWO, more);
	begin(text);
}

static void what_takes_down(void **state)
{
	two("");
	assert_string_equal(order("in", true), "5071 5072 ");
	report(0, 503, false, -1);
	assert_int_equal(target("t", 0)->state, PEER_DOWN);
	assert_string_equal(order("in", true), "5072 ");
	report(0, 408, true, -1);
	assert_int_equal(target("t", 1)->state, PEER_DOWN);    /* failover.down_after is 1 */
	assert_string_equal(order("in", true), "5071 5072 ");  /* all are down: tried anyway, best first */
	report(1, 200, false, -1);
	assert_int_equal(target("t", 1)->state, PEER_UP);
	report(1, 503, true, -1);
	assert_int_equal(target("t", 1)->state, PEER_DOWN);    /* not reached */
	end();
}

static void all_went_down_meanwhile(void **state)
{
	struct peer_dest d = { .route = "r" };

	two("");
	order("in", true);
	report(0, 503, false, -1);
	assert_string_equal(order("in", true), "5072 ");
	d.trunk = peer_trunk_find(b.set, "t");
	assert_int_equal(base_addr_port(&take()->target.addr), 5072);
	assert_false(peer_plan_more(b.plane, &d, &b.plan));    /* it may still answer */
	report(0, 503, true, -1);
	assert_true(peer_plan_more(b.plane, &d, &b.plan));
	assert_int_equal(base_addr_port(&take()->target.addr), 5071);
	assert_false(peer_plan_more(b.plane, &d, &b.plan));
	end();
}

static void one_500_is_one_bad_number(void **state)
{
	unsigned i;

	two("");
	order("in", true);
	for (i = 0; i < 10; i++) {
		report(0, 500, false, -1);
		assert_int_equal(target("t", 0)->state, PEER_SUSPECT);
		report(0, 500, false, -1);
		report(0, 486, false, -1);
		report(0, 404, false, -1);
	}
	for (i = 0; i < 3; i++)
		report(0, 500, false, -1);
	assert_int_equal(target("t", 0)->state, PEER_DOWN);
	end();
}

static void silence_is_counted(void **state)
{
	two(",\"failover\":{\"down_after\":3}");
	order("in", true);
	report(0, 408, true, -1);
	report(0, 408, true, -1);
	assert_int_equal(target("t", 0)->state, PEER_SUSPECT);
	report(0, 100, false, -1);
	report(0, 408, true, -1);
	report(0, 408, true, -1);
	assert_int_equal(target("t", 0)->state, PEER_SUSPECT);
	report(0, 408, true, -1);
	assert_int_equal(target("t", 0)->state, PEER_DOWN);
	end();
}

static void an_old_answer_wakes_nobody(void **state)
{
	int64_t sent;

	two("");
	order("in", true);
	sent = base_mono_now().us / 1000;
	base_clock_advance_ms(500);
	report(0, 503, false, -1);
	base_clock_advance_ms(500);
	peer_report(b.plane, b.plan.way[0].trunk, &b.plan.way[0].target, 180, false, -1, sent);
	assert_int_equal(target("t", 0)->state, PEER_DOWN);
	report(0, 180, false, -1);
	assert_int_equal(target("t", 0)->state, PEER_UP);
	end();
}

static void rest_and_hold(void **state)
{
	two(",\"failback\":{\"max_rest\":10,\"hold_down\":5}");
	order("in", true);
	report(0, 503, false, 3600);
	assert_int_equal(target("t", 0)->state, PEER_RESTING);
	base_clock_advance_ms(9900);
	assert_string_equal(order("in", true), "5072 ");
	base_clock_advance_ms(200);
	assert_string_equal(order("in", true), "5072 5071 ");  /* well again, but held */
	base_clock_advance_ms(5000);
	assert_string_equal(order("in", true), "5071 5072 ");
	end();
}

static void parked(void **state)
{
	two(",\"failback\":{\"mode\":\"park\",\"max_rest\":1,\"hold_down\":0}");
	order("in", true);
	report(0, 503, false, 1);
	base_clock_advance_ms(3600000);
	assert_string_equal(order("in", true), "5072 5071 ");
	report(0, 503, false, -1);                             /* the present one fails */
	assert_string_equal(order("in", true), "5071 ");
	report(0, 200, false, -1);
	report(0, 200, false, -1);
	assert_string_equal(order("in", true), "5071 ");
	end();
}

/** A probe of a target, good or not, as probe.c tells it. */
static void probed(const char *trunk, unsigned k, bool good)
{
	peer_health_probed(peer_plane_trunk(b.plane, peer_trunk_find(b.set, trunk))->target[k], good, false, good ? "answers" : "probe-unanswered");
}

static void probe_thresholds(void **state)
{
	unsigned i;

	two(",\"probe\":{\"enabled\":true,\"down_after\":3,\"up_after\":2},\"failback\":{\"hold_down\":0},\"failover\":{\"down_after\":3}");
	for (i = 0; i < 2; i++) {
		probed("t", 0, false);
		assert_int_equal(target("t", 0)->state, PEER_SUSPECT);
	}
	probed("t", 0, true);                                  /* not in a row */
	assert_int_equal(target("t", 0)->state, PEER_UP);
	for (i = 0; i < 3; i++)
		probed("t", 0, false);
	assert_int_equal(target("t", 0)->state, PEER_DOWN);
	probed("t", 0, true);
	probed("t", 0, false);
	probed("t", 0, true);
	assert_int_equal(target("t", 0)->state, PEER_DOWN);
	probed("t", 0, true);
	assert_int_equal(target("t", 0)->state, PEER_UP);
	/* one that did not answer a call is suspect until up_after probes are answered */
	order("in", true);
	report(0, 408, true, -1);
	probed("t", 0, true);
	assert_int_equal(target("t", 0)->state, PEER_SUSPECT);
	probed("t", 0, true);
	assert_int_equal(target("t", 0)->state, PEER_UP);
	/* while it rests nothing wakes it */
	report(0, 503, false, 60);
	probed("t", 0, true);
	probed("t", 0, true);
	assert_int_equal(target("t", 0)->state, PEER_RESTING);
	end();
}

static void unreachable_by_probe_is_down_at_once(void **state)
{
	two(",\"probe\":{\"enabled\":true,\"down_after\":9}");
	peer_health_probed(peer_plane_trunk(b.plane, peer_trunk_find(b.set, "t"))->target[0], false, true, "unreachable");
	assert_int_equal(target("t", 0)->state, PEER_DOWN);
	assert_string_equal(target("t", 0)->reason, "unreachable");
	end();
}

static void rest_is_no_longer_than_asked(void **state)
{
	two(",\"failback\":{\"max_rest\":10,\"hold_down\":0}");
	order("in", true);
	report(0, 503, false, 3);
	base_clock_advance_ms(2900);
	assert_string_equal(order("in", true), "5072 ");
	base_clock_advance_ms(200);
	assert_string_equal(order("in", true), "5071 5072 ");
	report(0, 503, false, 0);                              /* Retry-After: 0 says nothing */
	assert_int_equal(target("t", 0)->state, PEER_DOWN);
	report(0, 503, false, 5);                              /* tried although down: it says how long */
	assert_int_equal(target("t", 0)->state, PEER_RESTING);
	end();
}

static void flapping_holds_longer(void **state)
{
	unsigned i;

	two(",\"failback\":{\"max_rest\":1,\"hold_down\":10}");
	for (i = 0; i < 3; i++) {
		int64_t held = 10000 << i;

		order("in", true);
		peer_report(b.plane, peer_trunk_find(b.set, "t"), &peer_trunk_find(b.set, "t")->target[0], 503, false, 1, 0);
		base_clock_advance_ms(1000);
		assert_string_equal(order("in", true), "5072 5071 ");
		base_clock_advance_ms(held - 100);
		assert_string_equal(order("in", true), "5072 5071 ");
		base_clock_advance_ms(200);
		assert_string_equal(order("in", true), "5071 5072 ");
	}
	/* a long quiet time forgets it */
	base_clock_advance_ms(3600000);
	peer_report(b.plane, peer_trunk_find(b.set, "t"), &peer_trunk_find(b.set, "t")->target[0], 503, false, 1, 0);
	base_clock_advance_ms(1000);
	order("in", true);
	base_clock_advance_ms(10001);
	assert_string_equal(order("in", true), "5071 5072 ");
	end();
}

static void ramp_up_shares(void **state)
{
	unsigned i, step, first[3] = { 0 };

	two(",\"failback\":{\"max_rest\":1,\"hold_down\":0,\"ramp_up\":100}");
	order("in", true);
	report(0, 503, false, 1);
	base_clock_advance_ms(1000);
	order("in", true);
	for (step = 0; step < 3; step++) {
		for (i = 0; i < 1000; i++)
			first[step] += !strncmp(order("in", true), "5071", 4);
		base_clock_advance_ms(50000);
	}
	assert_true(first[0] < 50 && first[1] > 400 && first[1] < 600 && first[2] == 1000);
	end();
}

static void states_are_found_again(void **state)
{
	two("");
	order("in", true);
	report(0, 503, false, -1);
	b.live->trunk[1].drained = true;
	peer_plane_free(b.plane);
	plane_start();
	assert_int_equal(target("t", 0)->health, PEER_DOWN);
	assert_int_equal(target("t", 0)->state, PEER_DRAINING);
	assert_string_equal(order("in", true), "");
	assert_int_equal(peer_plane_drain(b.plane, "t", false), 0);
	assert_string_equal(order("in", true), "5072 ");
	assert_int_equal(peer_plane_drain(b.plane, "x", false), ERR_NOTFOUND);
	end();
}

static void a_revision_keeps_states(void **state)
{
	struct peer_set *next;

	two("");
	order("in", true);
	report(1, 503, false, -1);
	next = set_of("\"trunks\":[" TRUNK("new", "127.0.0.8:5060", "") "," TRUNK("in", "127.0.0.9:5060", "")
		",{\"id\":\"t\",\"realm\":\"core\",\"targets\":[\"sip:127.0.0.2:5072\",\"sip:127.0.0.2:5073\",\"sip:127.0.0.2:5071\"]}]");
	assert_int_equal(peer_plane_set_peers(b.plane, next), 0);
	base_unref(b.set);
	b.set = next;
	assert_int_equal(target("t", 0)->state, PEER_DOWN);
	assert_int_equal(target("t", 1)->state, PEER_UP);
	assert_int_equal(target("t", 2)->state, PEER_UP);
	assert_int_equal(target("new", 0)->state, PEER_UP);
	end();
}

#define THREE TRUNK("in", "127.0.0.9:5060", "") "," TRUNK("x", "127.0.0.2:5071", "") "," TRUNK("y", "127.0.0.2:5072", "") "," TRUNK("z", "127.0.0.2:5073", "")
#define GROUP(strategy, members, more) "\"trunks\":[" THREE "],\"trunk_groups\":[{\"id\":\"g\",\"strategy\":\"" strategy "\",\"members\":[" members "]" more "}]," \
	"\"routes\":[{\"id\":\"r\",\"from\":[\"in\"],\"to\":\"g\"}]"

static void group_round_robin(void **state)
{
	unsigned i, seen[3] = { 0 };

	begin(GROUP("round-robin", "{\"trunk\":\"x\"},{\"trunk\":\"y\"},{\"trunk\":\"z\"}", ""));
	for (i = 0; i < 30; i++) {
		order("in", false);
		seen[take()->trunk->conf->id[0] - 'x']++;
	}
	assert_true(seen[0] == 10 && seen[1] == 10 && seen[2] == 10);
	end();
}

static void group_least_calls(void **state)
{
	begin(GROUP("least-calls", "{\"trunk\":\"x\"},{\"trunk\":\"y\"},{\"trunk\":\"z\",\"priority\":99}", ""));
	peer_calls_add(b.plane, peer_trunk_find(b.set, "x"), NULL, 0, 2);
	assert_string_equal(order("in", false), "y x z ");
	peer_calls_add(b.plane, peer_trunk_find(b.set, "y"), NULL, 3, 0);
	assert_string_equal(order("in", false), "x y z ");
	end();
}

static void group_weighted(void **state)
{
	unsigned i, first = 0;

	begin(GROUP("weighted", "{\"trunk\":\"x\",\"weight\":75},{\"trunk\":\"y\",\"weight\":25},{\"trunk\":\"z\",\"weight\":0}", ""));
	for (i = 0; i < 2000; i++)
		first += order("in", false)[0] == 'x';
	assert_true(first > 1350 && first < 1650);
	end();
}

static void held_trunks_go_behind(void **state)
{
	begin(GROUP("priority", "{\"trunk\":\"x\",\"priority\":1},{\"trunk\":\"y\",\"priority\":2}", ""));
	order("in", false);
	report(0, 503, false, 5);
	assert_string_equal(order("in", false), "y ");
	base_clock_advance_ms(6000);
	assert_string_equal(order("in", false), "y x ");
	base_clock_advance_ms(30000);
	assert_string_equal(order("in", false), "x y ");
	end();
}

/** `park`: calls stay with the other trunk of the group until that one fails, whatever comes up meanwhile. */
static void parked_in_a_group(void **state)
{
	begin("\"trunks\":[" TRUNK("in", "127.0.0.9:5060", "") "," TRUNK("x", "127.0.0.2:5071", ",\"failback\":{\"mode\":\"park\",\"max_rest\":1,\"hold_down\":0}") ","
		TRUNK("y", "127.0.0.2:5072", ",\"failback\":{\"max_rest\":1,\"hold_down\":0}") "],"
		"\"trunk_groups\":[{\"id\":\"g\",\"members\":[{\"trunk\":\"x\",\"priority\":1},{\"trunk\":\"y\",\"priority\":2}]}],"
		"\"routes\":[{\"id\":\"r\",\"from\":[\"in\"],\"to\":\"g\"}]");
	order("in", false);
	report(0, 503, false, 1);
	base_clock_advance_ms(2000);
	assert_string_equal(order("in", false), "y x ");
	report(1, 200, false, -1);                             /* tried as the second way: that alone brings it not back */
	base_clock_advance_ms(3600000);
	assert_string_equal(order("in", false), "y x ");
	report(0, 503, false, 1);                              /* the present one fails */
	assert_string_equal(order("in", false), "x ");
	base_clock_advance_ms(2000);
	assert_string_equal(order("in", false), "x y ");       /* and the other is the present one */
	end();
}

static void parked_round_robin(void **state)
{
	unsigned i, seen[3] = { 0 };

	begin("\"trunks\":[" TRUNK("in", "127.0.0.9:5060", "") "," TRUNK("x", "127.0.0.2:5071", PARK) "," TRUNK("y", "127.0.0.2:5072", PARK) "],"
		"\"trunk_groups\":[{\"id\":\"g\",\"strategy\":\"round-robin\",\"members\":[{\"trunk\":\"x\"},{\"trunk\":\"y\"}]}],"
		"\"routes\":[{\"id\":\"r\",\"from\":[\"in\"],\"to\":\"g\"}]");
	order("in", false);
	report(0, 503, false, 1);
	report(1, 503, false, 1);
	base_clock_advance_ms(2000);
	for (i = 0; i < 10; i++) {                             /* both were down: none is the present one, both serve */
		order("in", false);
		seen[take()->trunk->conf->id[0] - 'x']++;
	}
	assert_true(seen[0] == 5 && seen[1] == 5);
	end();
}

/** The last way has no time limit of ours: it is the last also where those behind it are over their limits. */
static void the_last_with_room_is_the_last(void **state)
{
	begin("\"trunks\":[" TRUNK("in", "127.0.0.9:5060", "") "," TRUNK("x", "127.0.0.2:5071", "") "," TRUNK("y", "127.0.0.2:5072", ",\"limits\":{\"max_calls_out\":1}") "],"
		"\"trunk_groups\":[{\"id\":\"g\",\"members\":[{\"trunk\":\"x\"},{\"trunk\":\"y\"}]}],\"routes\":[{\"id\":\"r\",\"from\":[\"in\"],\"to\":\"g\"}]");
	order("in", false);
	assert_string_equal(take()->trunk->conf->id, "x");
	assert_false(peer_plan_last(b.plane, &b.plan));
	peer_calls_add(b.plane, peer_trunk_find(b.set, "y"), NULL, 1, 0);
	assert_false(peer_plan_last(b.plane, &b.plan));        /* a call in is none out */
	peer_calls_add(b.plane, peer_trunk_find(b.set, "y"), NULL, 0, 1);
	assert_true(peer_plan_last(b.plane, &b.plan));
	assert_null(take());
	end();
}

/** Both went down since the plan was made: the best of them is tried. */
static void down_since_planned(void **state)
{
	two("");
	order("in", true);
	report(0, 503, false, -1);
	assert_int_equal(base_addr_port(&take()->target.addr), 5072);
	peer_report(b.plane, peer_trunk_find(b.set, "t"), &peer_trunk_find(b.set, "t")->target[0], 200, false, -1, base_mono_now().us / 1000);
	assert_string_equal(order("in", true), "5071 5072 ");
	report(0, 503, false, -1);
	report(1, 503, false, -1);
	assert_int_equal(base_addr_port(&take()->target.addr), 5071);
	assert_int_equal(base_addr_port(&take()->target.addr), 5072);
	assert_null(take());
	end();
}

static void calls_a_second(void **state)
{
	unsigned i;

	two("");
	for (i = 0; i < 5; i++) {
		order("in", true);
		peer_calls_add(b.plane, peer_trunk_find(b.set, "t"), &take()->target, 0, 1);
	}
	base_clock_advance_ms(1000);
	assert_int_equal(peer_rate(&target("t", 0)->rate), 5);
	assert_int_equal(peer_rate(&b.live->trunk[1].rate), 5);
	base_clock_advance_ms(1000);
	assert_int_equal(peer_rate(&target("t", 0)->rate), 0);  /* also without a further call */
	assert_int_equal(peer_rate(&b.live->trunk[1].rate), 0);
	end();
}

static void least_calls_of_groups(void **state)
{
	begin("\"trunks\":[" THREE "],\"trunk_groups\":[{\"id\":\"g\",\"strategy\":\"least-calls\",\"members\":[{\"trunk\":\"h\"},{\"trunk\":\"z\"}]},"
		"{\"id\":\"h\",\"members\":[{\"trunk\":\"i\"}]},{\"id\":\"i\",\"members\":[{\"trunk\":\"x\"},{\"trunk\":\"y\"}]}],"
		"\"routes\":[{\"id\":\"r\",\"from\":[\"in\"],\"to\":\"g\"}]");
	peer_calls_add(b.plane, peer_trunk_find(b.set, "x"), NULL, 0, 1);
	peer_calls_add(b.plane, peer_trunk_find(b.set, "y"), NULL, 0, 1);
	peer_calls_add(b.plane, peer_trunk_find(b.set, "z"), NULL, 0, 1);
	assert_string_equal(order("in", false), "z x y ");     /* a group's calls are those of all its trunks */
	peer_calls_add(b.plane, peer_trunk_find(b.set, "z"), NULL, 0, 2);
	assert_string_equal(order("in", false), "x y z ");
	end();
}

/** However many trunks a group names, one call tries at most PEER_WAYS of them. */
static void a_hunt_is_bounded(void **state)
{
	static char text[32768];
	struct text t = text_on(text, sizeof text);
	unsigned i, n = 0;

	text_add(&t, "\"trunks\":[" TRUNK("in", "127.0.0.9:5060", ""));
	for (i = 0; i < 60; i++)
		text_add(&t, ",{\"id\":\"t%u\",\"realm\":\"core\",\"target\":\"sip:127.0.1.%u\"}", i, i + 1);
	text_add(&t, "],\"trunk_groups\":[{\"id\":\"g\",\"members\":[");
	for (i = 0; i < 60; i++)
		text_add(&t, "%s{\"trunk\":\"t%u\"}", i ? "," : "", i);
	text_add(&t, "]}],\"routes\":[{\"id\":\"r\",\"from\":[\"in\"],\"to\":\"g\"}]");
	begin(text);
	order("in", false);
	while (take())
		n++;
	assert_int_equal(n, PEER_WAYS);
	end();
}

static void no_listener(void **state)
{
	begin("\"trunks\":[" TRUNK("in", "127.0.0.9:5060", "") ",{\"id\":\"t\",\"realm\":\"core\",\"targets\":[\"sip:127.0.0.2:5071;transport=tcp\",\"sip:[::1]:5072\",\"sip:127.0.0.2:5073\"]}],"
		"\"routes\":[{\"id\":\"r\",\"from\":[\"in\"],\"to\":\"t\"}]");
	assert_int_equal(target("t", 0)->state, PEER_DOWN);
	assert_string_equal(target("t", 0)->reason, "no-listener");
	assert_int_equal(target("t", 1)->state, PEER_DOWN);
	assert_string_equal(order("in", true), "5073 ");
	report(0, 503, false, -1);
	assert_string_equal(order("in", true), "5073 ");       /* not tried although all are down: there is no way to */
	end();
}

/** RFC 5922: the certificate that is wanted is the proxy's where there is one, not the target's. */
static void name_in_certificate(void **state)
{
	struct sipua_dest dest;
	char name[256];
	const struct peer_trunk *t;

	begin("\"tls_profiles\":[{\"id\":\"p\",\"verify\":\"none\"}],\"trunks\":[{\"id\":\"a\",\"realm\":\"core\",\"tls\":\"p\",\"target\":\"sips:pbx.example\",\"outbound_proxy\":[\"sips:127.0.0.7:5071\"]},"
		"{\"id\":\"b\",\"realm\":\"core\",\"tls\":\"p\",\"target\":\"sips:[::1]:5061\"}]");
	t = peer_trunk_find(b.set, "a");
	peer_target_dest(b.plane, t, &t->target[0], name, &dest);
	assert_string_equal(dest.tls_name, "127.0.0.7");
	assert_string_equal(t->target[0].host, "pbx.example");
	t = peer_trunk_find(b.set, "b");
	peer_target_dest(b.plane, t, &t->target[0], name, &dest);
	assert_non_null(strstr(dest.tls_name, "::1"));
	end();
}

/** A CANCEL that nobody answers counts as a request does, but not against who answered others since. */
static void unanswered_cancel(void **state)
{
	union base_addr addr;
	int64_t sent;

	two("");
	order("in", true);
	addr = b.plan.way[0].target.addr;
	sent = base_mono_now().us / 1000;
	base_clock_advance_ms(1000);
	report(0, 180, false, -1);
	base_clock_advance_ms(31000);
	peer_unanswered(b.plane, &addr, 0, sent);
	assert_int_equal(target("t", 0)->state, PEER_UP);
	peer_unanswered(b.plane, &addr, 1, sent + 30000);
	assert_int_equal(target("t", 0)->state, PEER_UP);
	peer_unanswered(b.plane, &addr, 0, sent + 30000);
	assert_int_equal(target("t", 0)->state, PEER_DOWN);
	assert_int_equal(target("t", 1)->state, PEER_UP);
	end();
}

static void statuses(void **state)
{
	begin(GROUP("priority", "{\"trunk\":\"x\"}", ",\"stop_on\":[500]"));
	order("in", false);
	assert_true(peer_way_goes_on(&b.plan.way[0], 503));
	assert_false(peer_way_goes_on(&b.plan.way[0], 500));
	assert_false(peer_way_goes_on(&b.plan.way[0], 486));
	assert_false(peer_way_goes_on(&b.plan.way[0], 603));
	end();
}

static void limits(void **state)
{
	begin("\"trunks\":[" TRUNK("in", "127.0.0.9:5060", ",\"limits\":{\"max_calls_in\":1}") "," TRUNK("x", "127.0.0.2:5071", ",\"limits\":{\"max_cps\":2}") ","
		TRUNK("y", "127.0.0.2:5072", ",\"limits\":{\"max_calls\":1}") "],\"trunk_groups\":[{\"id\":\"g\",\"members\":[{\"trunk\":\"x\"},{\"trunk\":\"y\"}]}],"
		"\"routes\":[{\"id\":\"r\",\"from\":[\"in\"],\"to\":\"g\"}]");
	order("in", false);
	assert_string_equal(take()->trunk->conf->id, "x");
	order("in", false);
	assert_string_equal(take()->trunk->conf->id, "x");
	order("in", false);
	assert_string_equal(take()->trunk->conf->id, "y");     /* two a second */
	peer_calls_add(b.plane, peer_trunk_find(b.set, "y"), NULL, 1, 0);
	order("in", false);
	assert_null(take());
	base_clock_advance_ms(500);
	order("in", false);
	assert_string_equal(take()->trunk->conf->id, "x");
	assert_true(peer_admit(b.plane, peer_trunk_find(b.set, "in")));
	peer_calls_add(b.plane, peer_trunk_find(b.set, "in"), NULL, 1, 0);
	assert_false(peer_admit(b.plane, peer_trunk_find(b.set, "in")));
	end();
}

/** One that left the zone is shown as long as it has a call, and no longer. */
static void vanished_with_its_call(void **state)
{
	const struct peer_trunk *t;
	struct plane_trunk *pt;
	struct peer_target gone, left;

	two("");
	t = peer_trunk_find(b.set, "t");
	pt = peer_plane_trunk(b.plane, t);
	gone = pt->target[0]->pub;
	left = pt->target[1]->pub;
	peer_calls_add(b.plane, t, &gone, 0, 1);
	peer_calls_add(b.plane, t, &left, 0, 1);
	peer_targets_set(pt, &left, 1);
	assert_int_equal(pt->ntargets, 2);
	assert_int_equal(target("t", 1)->state, PEER_DRAINING);
	assert_string_equal(target("t", 1)->reason, "vanished");
	assert_string_equal(order("in", true), "5072 ");
	peer_calls_add(b.plane, t, &left, 0, -1);
	assert_int_equal(pt->ntargets, 2);
	peer_calls_add(b.plane, t, &gone, 0, -1);
	assert_int_equal(pt->ntargets, 1);
	assert_int_equal(b.live->trunk[t->index].ntargets, 1);
	assert_int_equal(target("t", 0)->port, 5072);
	end();
}

/** A call that goes on to the next target of its trunk is still one call: limits of one let it, and others wait. */
static void a_hunt_is_one_call(void **state)
{
	struct peer_plan first;

	two(",\"limits\":{\"max_calls_out\":1,\"max_cps\":1}");
	order("in", true);
	assert_string_equal(take()->target.uri, "sip:127.0.0.2:5071");
	peer_calls_add(b.plane, peer_trunk_find(b.set, "t"), NULL, 0, 1);
	assert_false(peer_plan_last(b.plane, &b.plan));
	first = b.plan;
	order("in", true);
	assert_true(peer_plan_last(b.plane, &b.plan));
	assert_null(take());
	b.plan = first;
	assert_string_equal(take()->target.uri, "sip:127.0.0.2:5072");
	assert_null(take());
	assert_int_equal(b.live->trunk[peer_trunk_find(b.set, "t")->index].rate.now, 1);
	end();
}

/** What a server says before each of its 500 does not end the row; another final does. */
static void a_100_before_each_500(void **state)
{
	unsigned i;

	two("");
	order("in", true);
	for (i = 0; i < 2; i++) {
		report(0, 100, false, -1);
		report(0, 500, false, -1);
		assert_int_equal(target("t", 0)->state, PEER_SUSPECT);
	}
	report(0, 486, false, -1);
	assert_int_equal(target("t", 0)->state, PEER_UP);
	for (i = 0; i < 3; i++) {
		assert_int_not_equal(target("t", 0)->state, PEER_DOWN);
		report(0, 100, false, -1);
		report(0, 500, false, -1);
	}
	assert_int_equal(target("t", 0)->state, PEER_DOWN);
	report(0, 100, false, -1);
	assert_int_equal(target("t", 0)->state, PEER_UP);      /* any answer makes it up */
	end();
}

/** Seven levels of eight groups, each of which holds all of the next level: two million ways to go, of which a call looks at few. */
static void deep_groups_are_bounded(void **state)
{
	static char text[65536];
	struct text t = text_on(text, sizeof text);
	unsigned g, k, m;

	text_add(&t, "\"trunks\":[%s],\"trunk_groups\":[{\"id\":\"top\",\"members\":[{\"trunk\":\"g0-0\"}]}", THREE);
	for (g = 0; g < 7; g++)
		for (k = 0; k < 8; k++) {
			text_add(&t, ",{\"id\":\"g%u-%u\",\"strategy\":\"weighted\",\"members\":[", g, k);
			for (m = 0; g < 6 && m < 8; m++)
				text_add(&t, "%s{\"trunk\":\"g%u-%u\"}", m ? "," : "", g + 1, m);
			text_add(&t, g < 6 ? "]}" : "{\"trunk\":\"x\"},{\"trunk\":\"y\"}]}");
		}
	text_add(&t, "],\"routes\":[{\"id\":\"r\",\"from\":[\"in\"],\"to\":\"top\"}]");
	assert_false(t.cut);
	begin(text);
	for (m = 0; m < 100; m++) {
		order("in", false);
		assert_int_equal(b.plan.n, 2);
	}
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_takes_down), cmocka_unit_test(all_went_down_meanwhile), cmocka_unit_test(one_500_is_one_bad_number), cmocka_unit_test(silence_is_counted),
		cmocka_unit_test(an_old_answer_wakes_nobody), cmocka_unit_test(rest_and_hold), cmocka_unit_test(parked),
		cmocka_unit_test(flapping_holds_longer), cmocka_unit_test(ramp_up_shares),
		cmocka_unit_test(states_are_found_again), cmocka_unit_test(a_revision_keeps_states), cmocka_unit_test(group_round_robin),
		cmocka_unit_test(group_least_calls), cmocka_unit_test(group_weighted), cmocka_unit_test(held_trunks_go_behind), cmocka_unit_test(statuses),
		cmocka_unit_test(probe_thresholds), cmocka_unit_test(unreachable_by_probe_is_down_at_once), cmocka_unit_test(rest_is_no_longer_than_asked),
		cmocka_unit_test(parked_in_a_group), cmocka_unit_test(parked_round_robin), cmocka_unit_test(the_last_with_room_is_the_last), cmocka_unit_test(down_since_planned),
		cmocka_unit_test(calls_a_second), cmocka_unit_test(least_calls_of_groups), cmocka_unit_test(a_hunt_is_bounded), cmocka_unit_test(no_listener), cmocka_unit_test(name_in_certificate), cmocka_unit_test(unanswered_cancel),
		cmocka_unit_test(limits), cmocka_unit_test(a_hunt_is_one_call), cmocka_unit_test(vanished_with_its_call), cmocka_unit_test(a_100_before_each_500),
		cmocka_unit_test(deep_groups_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
