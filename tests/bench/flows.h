/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flow files of the media benchmarks: one call per line, `A=ip:port RA=ip:port B=ip:port RB=ip:port`. A and B are the generator's ends,
 * RA and RB the relay's ports towards them.
 */
#ifndef BENCH_FLOWS_H
#define BENCH_FLOWS_H

#include <stdio.h>

#include "postern/base.h"

struct bench_flow { union base_addr end[2], relay[2]; };

static inline int bench_addr(struct slice text, union base_addr *ret)
{
	const char *colon = text.n ? memrchr(text.p, ':', text.n) : NULL;
	uint64_t port;

	if (!colon || slice_u64((struct slice){ colon + 1, (size_t)(text.p + text.n - colon - 1) }, 65535, &port))
		return ERR_PROTO;
	return base_addr_parse((struct slice){ text.p, (size_t)(colon - text.p) }, (uint16_t)port, ret);
}

/** One line; ERR_PROTO where an end is missing. */
static inline int bench_flow_parse(const char *line, struct bench_flow *ret)
{
	static const char *const key[] = { "A=", "B=", "RA=", "RB=" };
	union base_addr *at[] = { &ret->end[0], &ret->end[1], &ret->relay[0], &ret->relay[1] };
	unsigned seen = 0;

	while (*line) {
		size_t n = strcspn(line, " \t\r\n");

		for (unsigned i = 0; i < ARRAY_LEN(key); i++)
			if (n > strlen(key[i]) && !strncmp(line, key[i], strlen(key[i]))
				&& !bench_addr((struct slice){ line + strlen(key[i]), n - strlen(key[i]) }, at[i]))
				seen |= 1u << i;
		line += n + strspn(line + n, " \t\r\n");
	}
	return seen == 15 ? 0 : ERR_PROTO;
}

/** All lines of a file that are calls, at most max. Returns how many, or -1. */
static inline int bench_flows_read(const char *path, struct bench_flow *ret, int max)
{
	char line[512];
	int n = 0;
	FILE *f = fopen(path, "r");

	if (!f)
		return -1;
	while (n < max && fgets(line, sizeof(line), f))
		if (!bench_flow_parse(line, &ret[n]))
			n++;
	fclose(f);
	return n;
}

#endif
