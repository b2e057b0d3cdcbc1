/* SPDX-License-Identifier: Apache-2.0 */
/* Nanoseconds of a route look-up: routes of several shapes, from several trunks, numbers that match the last of them or none. `routes COUNT` prints JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "postern/conf.h"
#include "postern/ctl.h"
#include "postern/peer.h"

#define TRUNKS 100
#define ASKED 20000

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/** Every route one prefix: of one trunk's (from 1), of all trunks' in turn (from TRUNKS), of none in particular (from 0). */
static struct peer_set *set_new(unsigned count, unsigned from)
{
	size_t size = 200u * count + 200u * TRUNKS + 1000;
	char *text = malloc(size);
	struct conf_errors *errs;
	struct conf_doc *doc;
	struct peer_set *s;
	struct text t;
	unsigned i;

	if (!text || conf_errors_new(&errs))
		exit(1);
	t = text_on(text, size);
	text_add(&t, "{\"schema\":1,\"realms\":[{\"id\":\"r\",\"media\":{\"address\":\"127.0.0.1\",\"port_min\":20000,\"port_max\":20998}}],\"trunks\":[");
	for (i = 0; i < TRUNKS; i++)
		text_add(&t, "%s{\"id\":\"t%u\",\"realm\":\"r\",\"target\":\"sip:127.0.1.%u\"}", i ? "," : "", i, i + 1);
	text_add(&t, "],\"routes\":[");
	for (i = 0; i < count; i++) {
		text_add(&t, "%s{\"id\":\"r%u\",\"order\":%u,", i ? "," : "", i, i);
		if (from)
			text_add(&t, "\"from\":[\"t%u\"],", i % from);
		text_add(&t, "\"match\":{\"to_user\":\"^\\\\+49%05u\"},\"to\":\"t1\"}", i);
	}
	text_add(&t, "]}");
	if (t.cut || conf_parse(text_get(&t), ctl_schema, errs, &doc) || peer_set_new(doc, &s))
		exit(1);
	base_unref(doc);
	base_unref(errs);
	free(text);
	return s;
}

/** Mean of looking up numbers of the routes, or of none. */
static double lookup_ns(const struct peer_set *s, unsigned count, unsigned from, bool miss)
{
	struct peer_view v = { .method = SLICE("INVITE"), .to_host = SLICE("host.example"), .from_user = SLICE("100"), .from_host = SLICE("host.example") };
	struct peer_dest d;
	unsigned i, found = 0;
	char user[32];
	double start = 0;

	for (i = 0; i < 2 * ASKED; i++) {
		unsigned k = i * 7919u % count;

		if (i == ASKED) {
			start = now_ns(); /* the first half warms up */
			found = 0;
		}
		snprintf(user, sizeof user, miss ? "+43%05u1234" : "+49%05u1234", k);
		v.to_user = slice_str(user);
		found += peer_route(s, peer_trunk_at(s, from ? k % from : 0), &v, &d) == 0;
	}
	if (found != (miss ? 0 : ASKED))
		exit(1);
	return (now_ns() - start) / ASKED;
}

int main(int argc, char **argv)
{
	static const struct { const char *name; unsigned from; bool miss; } rows[] = {
		{ "of one trunk", 1, false }, { "of 100 trunks", TRUNKS, false }, { "of any trunk", 0, false }, { "none matches", 1, true },
	};
	unsigned count = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 10000;
	size_t i;

	printf("{");
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct peer_set *s = set_new(count, rows[i].from);

		printf("%s\"%s\": %.0f", i ? ", " : "", rows[i].name, lookup_ns(s, count, rows[i].from, rows[i].miss));
		base_unref(s);
	}
	printf("}\n");
	return 0;
}
