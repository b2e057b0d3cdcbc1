/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SIP method names (RFC 3261, 3262, 3311, 3428, 3515, 3903, 6086, 6665). Case matters in method names.
 */
#include "postern/wire.h"
#include "wire/chars.h"

static const char *const names[WIRE_METHODS] = {
	[WIRE_UNKNOWN] = "",
	[WIRE_INVITE] = "INVITE", [WIRE_ACK] = "ACK", [WIRE_CANCEL] = "CANCEL", [WIRE_BYE] = "BYE",
	[WIRE_OPTIONS] = "OPTIONS", [WIRE_REGISTER] = "REGISTER", [WIRE_INFO] = "INFO", [WIRE_PRACK] = "PRACK",
	[WIRE_UPDATE] = "UPDATE", [WIRE_MESSAGE] = "MESSAGE", [WIRE_SUBSCRIBE] = "SUBSCRIBE", [WIRE_NOTIFY] = "NOTIFY",
	[WIRE_REFER] = "REFER", [WIRE_PUBLISH] = "PUBLISH",
};

const char *wire_method_name(enum wire_method m)
{
	return (unsigned)m < WIRE_METHODS ? names[m] : "";
}

enum wire_method wire_method_of(struct slice name)
{
	for (unsigned i = WIRE_UNKNOWN + 1; i < WIRE_METHODS; i++)
		if (slice_eq(name, slice_str(names[i])))
			return (enum wire_method)i;
	return WIRE_UNKNOWN;
}

static bool sep(char c)
{
	return c == ',' || wire_is_white(c);
}

uint32_t wire_methods_parse(struct slice list)
{
	uint32_t set = 0;
	size_t i = 0, start;

	while (i < list.n) {
		while (i < list.n && sep(list.p[i]))
			i++;
		start = i;
		while (i < list.n && !sep(list.p[i]))
			i++;
		set |= 1u << wire_method_of((struct slice){ list.p + start, i - start });
	}
	return set & ~(1u << WIRE_UNKNOWN);
}
