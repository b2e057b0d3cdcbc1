/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One digit: as a telephone-event (RFC 4733 section 3.2), as a character, and in the bodies application/dtmf-relay and application/dtmf, which no
 * RFC defines: `Signal=5` and `Duration=160` in lines, or the digit alone. Pure; a fuzz target.
 */
#include "call/b2b.h"

#define DEFAULT_MS 160

static const char chars[] = "0123456789*#ABCD!"; /* by the event; ! is a flash */

char call_digit_char(unsigned event)
{
	return event < sizeof chars - 1 ? chars[event] : 0;
}

/* One digit, or its event's number. */
static int digit_read(struct slice v)
{
	uint64_t n;

	if (v.n == 1 && v.p[0] && !slice_u64(v, 9, &n))
		return (int)n;
	if (v.n == 2 && !slice_u64(v, 16, &n))
		return (int)n;
	for (unsigned i = 10; v.n == 1 && i < sizeof chars - 1; i++)
		if (v.p[0] == chars[i] || (v.p[0] | 0x20) == (chars[i] | 0x20))
			return (int)i;
	return -1;
}

static bool field_of(struct slice line, const char *name, struct slice *ret)
{
	struct slice head = slice_str(name);

	if (line.n < head.n || !slice_eq_nocase((struct slice){ line.p, head.n }, head))
		return false;
	line = call_text_trimmed((struct slice){ line.p + head.n, line.n - head.n });
	if (!line.n || (line.p[0] != '=' && line.p[0] != ':'))
		return false;
	*ret = call_text_trimmed((struct slice){ line.p + 1, line.n - 1 });
	return true;
}

int call_digits_parse(struct slice body, unsigned *ret_ms)
{
	struct slice v;
	uint64_t ms;
	int event = -1;

	*ret_ms = DEFAULT_MS;
	while (body.n) {
		struct slice line = call_text_trimmed(call_text_line(&body));

		if (!line.n)
			continue;
		if (field_of(line, "Duration", &v))
			*ret_ms = slice_u64(v, 60000, &ms) ? DEFAULT_MS : (unsigned)ms;
		else if (event < 0)
			event = digit_read(field_of(line, "Signal", &v) ? v : line);
	}
	return event;
}
