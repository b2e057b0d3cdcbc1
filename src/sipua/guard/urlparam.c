/* SPDX-License-Identifier: Apache-2.0 */
/*
 * url_param. The library reads past the end of the text where the last parameter begins with the name that is looked
 * for and goes on: Record-Route: <sip:x;lrfoo>. This one stays within.
 */
#include "sipua/priv.h"
#include "sipua/guard/guard.h"

isize_t url_param(const char *params, const char *tag, char value[], isize_t vlen)
{
	size_t n, tlen = strlen(tag);

	SIPUA_HIT(url_param);
	if (!params)
		return 0;
	if (tlen && tag[tlen - 1] == '=')
		tlen--;
	for (const char *p = params; *p; p += n + (p[n] == ';')) {
		n = strcspn(p, ";");
		if (n < tlen || strncasecmp(p, tag, tlen))
			continue;
		if (n == tlen) {
			if (vlen > 0 && value)
				value[0] = 0;
			return 1;
		}
		if (p[tlen] != '=')
			continue;
		n -= tlen + 1;
		if (value && n < (size_t)vlen) {
			memcpy(value, p + tlen + 1, n);
			value[n] = 0;
		}
		return n + 1;
	}
	return 0;
}
