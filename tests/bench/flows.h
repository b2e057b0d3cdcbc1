/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flow files of the media benchmarks: one call per line, `A=ip:port RA=ip:port B=ip:port RB=ip:port`. A and B are the generator's ends,
 * RA and RB the relay's ports towards them. An end with SRTP has also `AK=SUITE,HEX,HEX` (`BK=`): its master key and salt, and the relay's.
 */
#ifndef BENCH_FLOWS_H
#define BENCH_FLOWS_H

#include <stdio.h>

#include "postern/base.h"
#include "postern/keys.h"

struct bench_key { enum keys_suite suite; uint8_t tx[KEYS_SRTP_MAX], rx[KEYS_SRTP_MAX]; };
struct bench_flow { union base_addr end[2], relay[2]; struct bench_key key[2]; };

static inline int bench_addr(struct slice text, union base_addr *ret)
{
	const char *colon = text.n ? memrchr(text.p, ':', text.n) : NULL;
	uint64_t port;

	if (!colon || slice_u64((struct slice){ colon + 1, (size_t)(text.p + text.n - colon - 1) }, 65535, &port))
		return ERR_PROTO;
	return base_addr_parse((struct slice){ text.p, (size_t)(colon - text.p) }, (uint16_t)port, ret);
}

static inline int bench_hex(struct slice s, uint8_t *ret, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	if (s.n != 2 * n)
		return ERR_PROTO;
	for (size_t i = 0; i < s.n; i++) {
		const char *at = s.p[i] ? strchr(digits, s.p[i]) : NULL;

		if (!at)
			return ERR_PROTO;
		ret[i / 2] = (uint8_t)(ret[i / 2] << 4 | (at - digits));
	}
	return 0;
}

/** SUITE,HEX,HEX */
static inline int bench_key_parse(struct slice s, struct bench_key *ret)
{
	const char *a = memchr(s.p, ',', s.n), *end = s.p + s.n, *b = a ? memchr(a + 1, ',', (size_t)(end - a - 1)) : NULL;
	size_t n;

	if (!b)
		return ERR_PROTO;
	ret->suite = keys_suite_of((struct slice){ s.p, (size_t)(a - s.p) });
	n = keys_suite_bytes(ret->suite);
	if (!n || bench_hex((struct slice){ a + 1, (size_t)(b - a - 1) }, ret->tx, n))
		return ERR_PROTO;
	return bench_hex((struct slice){ b + 1, (size_t)(end - b - 1) }, ret->rx, n);
}

/** One line; ERR_PROTO where an end is missing. */
static inline int bench_flow_parse(const char *line, struct bench_flow *ret)
{
	static const char *const key[] = { "A=", "B=", "RA=", "RB=" };
	union base_addr *at[] = { &ret->end[0], &ret->end[1], &ret->relay[0], &ret->relay[1] };
	unsigned seen = 0;

	memset(ret->key, 0, sizeof(ret->key));
	while (*line) {
		size_t n = strcspn(line, " \t\r\n");

		for (unsigned i = 0; i < ARRAY_LEN(key); i++)
			if (n > strlen(key[i]) && !strncmp(line, key[i], strlen(key[i]))
				&& !bench_addr((struct slice){ line + strlen(key[i]), n - strlen(key[i]) }, at[i]))
				seen |= 1u << i;
		for (unsigned i = 0; i < 2; i++)
			if (n > 3 && line[0] == "AB"[i] && line[1] == 'K' && line[2] == '=' && bench_key_parse((struct slice){ line + 3, n - 3 }, &ret->key[i]))
				return ERR_PROTO;
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
