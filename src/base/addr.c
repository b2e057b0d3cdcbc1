/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses: numeric IPv4 and IPv6 with a port. No names, no DNS, no zones.
 * Padding and flow label of a parsed address are zero.
 */
#include <arpa/inet.h>

#include "postern/base.h"

/* four decimals without leading zeros, as inet_pton has it; by hand: it is asked some ten times for each call */
static bool dotted_quad(struct slice s, void *ret)
{
	uint8_t out[4];
	size_t i = 0;

	for (unsigned part = 0; part < 4; part++) {
		unsigned v = 0, digits = 0;

		for (; i < s.n && s.p[i] >= '0' && s.p[i] <= '9' && digits < 4; i++, digits++)
			v = 10 * v + (unsigned)(s.p[i] - '0');
		if (!digits || v > 255 || (digits > 1 && s.p[i - digits] == '0') || (part < 3 && (i == s.n || s.p[i++] != '.')))
			return false;
		out[part] = (uint8_t)v;
	}
	if (i != s.n)
		return false;
	memcpy(ret, out, sizeof(out));
	return true;
}

int base_addr_parse(struct slice host, uint16_t port, union base_addr *ret)
{
	char text[INET6_ADDRSTRLEN + 1];
	union base_addr a = { 0 };
	bool bracket = host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';

	if (bracket)
		host = (struct slice){ host.p + 1, host.n - 2 };
	if (!bracket && dotted_quad(host, &a.in.sin_addr)) {
		a.in.sin_family = AF_INET;
		a.in.sin_port = htons(port);
	} else if (host.n && memchr(host.p, ':', host.n) && !memchr(host.p, 0, host.n) && slice_copy(text, sizeof(text), host)
		&& inet_pton(AF_INET6, text, &a.in6.sin6_addr) == 1) {
		a.in6.sin6_family = AF_INET6;
		a.in6.sin6_port = htons(port);
	} else {
		return ERR_PROTO;
	}
	*ret = a;
	return 0;
}

/* bytes of the address in network order; family other than IP: none */
static size_t host_bytes(const union base_addr *a, const uint8_t **ret)
{
	switch (a->sa.sa_family) {
	case AF_INET:
		*ret = (const uint8_t *)&a->in.sin_addr;
		return 4;
	case AF_INET6:
		*ret = (const uint8_t *)&a->in6.sin6_addr;
		return 16;
	default:
		*ret = NULL;
		return 0;
	}
}

socklen_t base_addr_len(const union base_addr *a)
{
	return a->sa.sa_family == AF_INET6 ? sizeof(a->in6) : sizeof(a->in);
}

uint16_t base_addr_port(const union base_addr *a)
{
	switch (a->sa.sa_family) {
	case AF_INET:
		return ntohs(a->in.sin_port);
	case AF_INET6:
		return ntohs(a->in6.sin6_port);
	default:
		return 0;
	}
}

void base_addr_set_port(union base_addr *a, uint16_t port)
{
	if (a->sa.sa_family == AF_INET6)
		a->in6.sin6_port = htons(port);
	else
		a->in.sin_port = htons(port);
}

bool base_addr_same_host(const union base_addr *a, const union base_addr *b)
{
	const uint8_t *p, *q;
	size_t n = host_bytes(a, &p);

	return a->sa.sa_family == b->sa.sa_family && n == host_bytes(b, &q) && n > 0 && memcmp(p, q, n) == 0;
}

bool base_addr_eq(const union base_addr *a, const union base_addr *b)
{
	return base_addr_same_host(a, b) && base_addr_port(a) == base_addr_port(b);
}

bool base_addr_is_any(const union base_addr *a)
{
	const uint8_t *p;
	size_t n = host_bytes(a, &p);

	for (size_t i = 0; i < n; i++) {
		if (p[i])
			return false;
	}
	return true;
}

bool base_addr_is_private(const union base_addr *a)
{
	/* RFC 1918, 6598, 3927; 4193, 4291: the first two bytes decide */
	static const struct { uint8_t bytes, net[2], mask[2]; } nets[] = {
		{ 4, { 10, 0 }, { 255, 0 } }, { 4, { 172, 16 }, { 255, 240 } }, { 4, { 192, 168 }, { 255, 255 } }, { 4, { 100, 64 }, { 255, 192 } },
		{ 4, { 169, 254 }, { 255, 255 } }, { 16, { 0xfc, 0 }, { 0xfe, 0 } }, { 16, { 0xfe, 0x80 }, { 0xff, 0xc0 } },
	};
	const uint8_t *p;
	size_t n = host_bytes(a, &p);

	for (size_t i = 0; i < ARRAY_LEN(nets); i++)
		if (n == nets[i].bytes && (p[0] & nets[i].mask[0]) == nets[i].net[0] && (p[1] & nets[i].mask[1]) == nets[i].net[1])
			return true;
	return false;
}

bool base_addr_in_net(const union base_addr *a, const union base_addr *net, unsigned bits)
{
	const uint8_t *p, *q;
	size_t n = host_bytes(a, &p);
	unsigned rest = bits % 8;

	if (a->sa.sa_family != net->sa.sa_family || n == 0 || bits > n * 8)
		return false;
	host_bytes(net, &q);
	if (memcmp(p, q, bits / 8) != 0)
		return false;
	return rest == 0 || ((p[bits / 8] ^ q[bits / 8]) >> (8 - rest)) == 0;
}

static char *decimal(char *p, unsigned v)
{
	unsigned unit = 1;

	while (v / unit >= 10)
		unit *= 10;
	for (; unit; unit /= 10)
		*p++ = (char)('0' + v / unit % 10);
	return p;
}

/* by hand and not by inet_ntop: the SDP of each call prints some */
static char *print_host(const union base_addr *a, bool bracket, char *p)
{
	const uint8_t *b;
	size_t n = host_bytes(a, &b);

	if (n == 4) {
		for (size_t i = 0; i < n; i++) {
			if (i)
				*p++ = '.';
			p = decimal(p, b[i]);
		}
	} else if (n == 16) {
		if (bracket)
			*p++ = '[';
		inet_ntop(AF_INET6, b, p, INET6_ADDRSTRLEN);
		p += strlen(p);
		if (bracket)
			*p++ = ']';
	} else {
		*p++ = '-';
	}
	*p = 0;
	return p;
}

const char *base_addr_host(const union base_addr *a, bool bracket, char buf[static 48])
{
	print_host(a, bracket, buf);
	return buf;
}

const char *base_addr_print(const union base_addr *a, char buf[static 56])
{
	char *p = print_host(a, true, buf);

	*p++ = ':';
	p = decimal(p, base_addr_port(a));
	*p = 0;
	return buf;
}
