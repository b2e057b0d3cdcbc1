/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log: one line per call to stderr, written by one write(2), so that lines of
 * processes and threads never mix. No time stamps: the journal has them. Bytes that
 * are not printable ASCII come out as \xNN: what a peer sent cannot forge a line.
 */
#include <stdio.h>
#include <unistd.h>

#include "postern/base.h"

#define LINE_MAX_BYTES 2048

static const char *const names[] = {
	[BASE_ERROR] = "error", [BASE_WARN] = "warn", [BASE_INFO] = "info", [BASE_DEBUG] = "debug",
};
static char log_role[24] = "postern";
static enum base_level log_level = BASE_INFO;

void base_log_init(const char *role, enum base_level level)
{
	slice_copy(log_role, sizeof(log_role), slice_str(role));
	log_level = level;
}

bool base_log_on(enum base_level level)
{
	return level <= log_level;
}

int base_log_level_parse(struct slice s, enum base_level *ret)
{
	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		if (slice_eq(s, slice_str(names[i]))) {
			*ret = (enum base_level)i;
			return 0;
		}
	}
	return ERR_PROTO;
}

/* message text into out, escaped; returns the bytes written, never more than room */
static size_t escape(char *out, size_t room, const char *in, size_t n)
{
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)in[i];

		if (c >= 0x20 && c < 0x7f) {
			if (at + 1 > room)
				break;
			out[at++] = (char)c;
			continue;
		}
		if (at + 4 > room)
			break;
		out[at++] = '\\';
		out[at++] = 'x';
		out[at++] = "0123456789abcdef"[c >> 4];
		out[at++] = "0123456789abcdef"[c & 15];
	}
	return at;
}

void base_log(enum base_level level, const char *component, const char *fmt, ...)
{
	char raw[LINE_MAX_BYTES], line[LINE_MAX_BYTES + 64];
	ssize_t done;
	va_list ap;
	size_t n;
	int len;

	if (!base_log_on(level) || (unsigned)level >= ARRAY_LEN(names))
		return;
	len = snprintf(line, 64, "%s %s %.20s ", names[level], log_role, component);
	n = len < 0 ? 0 : (size_t)len;
	va_start(ap, fmt);
	len = vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	if (len < 0)
		return;
	if ((size_t)len >= sizeof(raw))
		len = sizeof(raw) - 1;
	n += escape(line + n, sizeof(line) - 1 - n, raw, (size_t)len);
	line[n++] = '\n';
	/* a log that nobody reads must not stop a call: what cannot be written is lost */
	done = write(STDERR_FILENO, line, n);
	(void)done;
}

bool base_log_pass(struct base_log_gate *g, enum base_level level, unsigned per_s, const char *component)
{
	int64_t second;
	unsigned held;

	if (!base_log_on(level))
		return false;
	second = base_mono_now().us / 1000000 + 1; /* never 0: a gate at rest holds 0 */
	if (__atomic_load_n(&g->second, __ATOMIC_RELAXED) != second) {
		__atomic_store_n(&g->second, second, __ATOMIC_RELAXED);
		__atomic_store_n(&g->sent, 0, __ATOMIC_RELAXED);
	}
	if (__atomic_fetch_add(&g->sent, 1, __ATOMIC_RELAXED) >= per_s) {
		__atomic_fetch_add(&g->held, 1, __ATOMIC_RELAXED);
		return false;
	}
	held = __atomic_exchange_n(&g->held, 0, __ATOMIC_RELAXED);
	if (held)
		base_log(level, component, "held back %u lines like the next", held);
	return true;
}
