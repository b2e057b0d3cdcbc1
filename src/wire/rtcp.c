/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RTCP: walk the packets of a compound datagram (RFC 3550 section 6.1, 6.4.1). Reduced-size RTCP (RFC 5506) passes.
 * Does not read report blocks.
 */
#include "postern/wire.h"

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

bool wire_rtcp_next(const uint8_t *p, size_t n, size_t *pos, struct wire_rtcp *ret, bool *bad)
{
	size_t left, len, pad = 0;

	*bad = false;
	if (*pos >= n)
		return false;
	left = n - *pos;
	p += *pos;
	*bad = true;
	if (left < 4 || (p[0] & 0xc0) != 0x80)
		return false;
	len = 4 * (((size_t)p[2] << 8 | p[3]) + 1);
	if (len > left)
		return false;
	if (p[0] & 0x20) {
		/* only the last packet may be padded, in whole words */
		pad = p[len - 1];
		if (len != left || !pad || pad % 4 || pad > len - 4)
			return false;
	}
	*bad = false;
	*pos += len;
	len -= pad;
	ret->count = p[0] & 0x1f;
	ret->type = p[1];
	ret->ssrc = len >= 8 ? be32(p + 4) : 0;
	ret->body = p + (len >= 8 ? 8 : 4);
	ret->len = len >= 8 ? len - 8 : 0;
	return true;
}
