/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Error codes and their texts; the end of a process whose invariant broke.
 */
#define _GNU_SOURCE /* strerrordesc_np */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "postern/base.h"

#define EXIT_BROKEN 70 /* EX_SOFTWARE of sysexits.h */

/* row i tells of ERR_PROTO - i */
static const char *const texts[] = {
	[ERR_PROTO - ERR_PROTO]       = "input breaks its protocol",
	[ERR_PROTO - ERR_TRUNCATED]   = "truncated",
	[ERR_PROTO - ERR_RANGE]       = "value out of range",
	[ERR_PROTO - ERR_FULL]        = "full",
	[ERR_PROTO - ERR_NOPORT]      = "no free media port",
	[ERR_PROTO - ERR_NOTFOUND]    = "not found",
	[ERR_PROTO - ERR_CONFIG]      = "configuration at fault",
	[ERR_PROTO - ERR_TORN]        = "torn or foreign record",
	[ERR_PROTO - ERR_WRONGSTATE]       = "not in this state",
	[ERR_PROTO - ERR_REFUSED]     = "refused",
	[ERR_PROTO - ERR_EXISTS]      = "exists already",
	[ERR_PROTO - ERR_UNSUPPORTED] = "not supported",
	[ERR_PROTO - ERR_GONE]        = "the other end is gone",
};

const char *base_strerror(int err)
{
	const char *s;

	if (err >= 0)
		return "success";
	if (err <= ERR_PROTO)
		return ERR_PROTO - err < (int)ARRAY_LEN(texts) ? texts[ERR_PROTO - err] : "unknown error";
	s = strerrordesc_np(-err);
	return s ? s : "unknown error";
}

void base_must_failed(const char *file, int line, const char *expr)
{
	base_log(BASE_ERROR, "base", "broken invariant at=%s:%d must=\"%s\"", file, line, expr);
	_exit(EXIT_BROKEN);
}
