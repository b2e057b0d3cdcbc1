/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random bytes from the kernel, fetched in blocks. Each thread has its own block; a
 * child of fork throws away what it inherited, and bytes are wiped once handed out.
 */
#include <errno.h>
#include <pthread.h>
#include <sys/random.h>

#include "postern/base.h"

#define BLOCK 1024

static unsigned forks; /* in this line of processes: a block of another count is stale */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Thread_local struct {
	unsigned forks;
	size_t left;
	uint8_t bytes[BLOCK];
} block;

static void forked(void)
{
	forks++;
}

static void watch_forks(void)
{
	must(pthread_atfork(NULL, NULL, forked) == 0);
}

/* without entropy there is no identity, no tag, no key: nothing to fall back to */
static void fetch(uint8_t *p, size_t n)
{
	while (n > 0) {
		ssize_t got = getrandom(p, n, 0);

		must(got > 0 || errno == EINTR);
		if (got > 0) {
			p += got;
			n -= (size_t)got;
		}
	}
}

void base_random(void *buf, size_t n)
{
	uint8_t *from;

	if (n > BLOCK / 4) {
		fetch(buf, n);
		return;
	}
	if (block.left < n || block.forks != forks) {
		pthread_once(&once, watch_forks);
		fetch(block.bytes, BLOCK);
		block.left = BLOCK;
		block.forks = forks;
	}
	block.left -= n;
	from = block.bytes + block.left;
	memcpy(buf, from, n);
	explicit_bzero(from, n);
}

uint32_t base_random_below(uint32_t limit)
{
	uint32_t v, low;
	uint64_t wide;

	must(limit > 0);
	/* 2^32 mod limit values would make the first results likelier: draw again */
	low = -limit % limit;
	do {
		base_random(&v, sizeof(v));
		wide = (uint64_t)v * limit;
	} while ((uint32_t)wide < low);
	return (uint32_t)(wide >> 32);
}

void base_random_token(char *buf, size_t n)
{
	uint8_t raw[32];
	size_t at = 0;

	must(n > 0);
	while (at + 1 < n) {
		size_t chars = n - 1 - at < 64 ? n - 1 - at : 64;

		base_random(raw, (chars + 1) / 2);
		for (size_t i = 0; i < chars; i++)
			buf[at++] = "0123456789abcdef"[raw[i / 2] >> (i % 2 * 4) & 15];
	}
	buf[at] = 0;
}
