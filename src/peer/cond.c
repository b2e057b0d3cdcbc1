/* SPDX-License-Identifier: Apache-2.0 */
/* Regular expressions of `match`: PCRE2 with limits; one that hits its limit is false and counted. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <errno.h>
#include <pcre2.h>

#include "peer/peer.h"

static pcre2_match_context *limits(void)
{
	static pcre2_match_context *ctx;

	if (!ctx) {
		ctx = pcre2_match_context_create(NULL);
		if (ctx) {
			pcre2_set_match_limit(ctx, 10000);
			pcre2_set_depth_limit(ctx, 250);
		}
	}
	return ctx;
}

static pcre2_match_data *match_data(void)
{
	static pcre2_match_data *md;

	if (!md)
		md = pcre2_match_data_create(1, NULL);
	return md;
}

int peer_cond_add(struct peer_cond *c, unsigned *n, const char *pattern, size_t part)
{
	PCRE2_SIZE at;
	int code;

	if (!pattern)
		return 0;
	c[*n].re = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_NEVER_BACKSLASH_C, &code, &at, NULL);
	if (!c[*n].re)
		return code == PCRE2_ERROR_NOMEMORY ? -ENOMEM : ERR_CONFIG;
	c[(*n)++].part = part;
	return 0;
}

void peer_conds_free(struct peer_cond *c, unsigned n)
{
	while (n-- > 0)
		pcre2_code_free(c[n].re);
}

bool peer_conds_hold(const struct peer_cond *c, unsigned n, const struct peer_view *v)
{
	for (; n; n--, c++) {
		const struct slice *s = (const struct slice *)(const void *)((const char *)v + c->part);
		int rc = pcre2_match(c->re, (PCRE2_SPTR)(s->p ? s->p : ""), s->n, 0, 0, match_data(), limits());

		if (rc == PCRE2_ERROR_MATCHLIMIT || rc == PCRE2_ERROR_DEPTHLIMIT)
			base_count(COUNTER_REGEX_LIMIT);
		if (rc < 0)
			return false;
	}
	return true;
}
