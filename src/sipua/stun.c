/* SPDX-License-Identifier: Apache-2.0 */
/*
 * STUN as a keep-alive at a SIP port (RFC 5626 4.4.2, RFC 8489): a Binding request gets the address that it came from. No other method, no
 * attribute of the request is read, nothing is kept. The answer is twelve bytes longer than the shortest request: no amplifier to speak of.
 */
#include "sipua/priv.h"
#include "sipua/guard/guard.h"

#define HEAD 20
#define MAGIC "\x21\x12\xa4\x42"

static bool is_binding(const uint8_t *p, size_t n)
{
	return n >= HEAD && p[0] == 0 && p[1] == 1 && memcmp(p + 4, MAGIC, 4) == 0 && ((size_t)p[2] << 8 | p[3]) == n - HEAD && n % 4 == 0;
}

size_t sipua_stun_answer(const uint8_t *p, size_t n, const union base_addr *from, uint8_t ret[static SIPUA_STUN_MAX])
{
	bool six = from->sa.sa_family == AF_INET6;
	size_t i, len = six ? 16 : 4;
	const uint8_t *ip = six ? (const uint8_t *)&from->in6.sin6_addr : (const uint8_t *)&from->in.sin_addr;
	uint16_t port = base_addr_port(from);

	if (!is_binding(p, n))
		return 0;
	memcpy(ret, p, HEAD);
	ret[0] = 1; /* success */
	ret[2] = 0;
	ret[3] = (uint8_t)(8 + len);
	memcpy(ret + HEAD, six ? "\0\x20\0\x14\0\2" : "\0\x20\0\x08\0\1", 6); /* XOR-MAPPED-ADDRESS */
	ret[26] = (uint8_t)(port >> 8 ^ p[4]);
	ret[27] = (uint8_t)((port & 255) ^ p[5]);
	for (i = 0; i < len; i++)
		ret[28 + i] = ip[i] ^ p[4 + i];
	return 28 + len;
}
