/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses, networks, host names and sip: URIs as a configuration writes them (RFC 3261 section 25.1, RFC 1123 section 2.1).
 * Stricter than what is taken from the network: no headers, no password, no unknown transport.
 */
#include "conf/conf.h"

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static const char *label_wrong(struct slice label)
{
	size_t i;

	if (!label.n)
		return "has an empty part in its host name";
	if (label.n > 63)
		return "has a host name with a part of more than 63 characters";
	for (i = 0; i < label.n; i++)
		if (!is_alnum(label.p[i]) && label.p[i] != '-' && label.p[i] != '_')
			return "must be an address or a host name (letters, digits, '-' and '.')";
	return NULL;
}

/** Part by part; a dot at the end is the root's. The last part is no number, else it were an address. */
const char *conf_host_wrong(struct slice host)
{
	union base_addr addr;
	struct slice label = host;
	const char *wrong = NULL, *dot;
	uint64_t number;

	if (!base_addr_parse(host, 0, &addr))
		return NULL;
	if (!host.n || host.n > 253)
		return "must be an address or a host name of 1 to 253 characters";
	while (!wrong && host.n) {
		dot = memchr(host.p, '.', host.n);
		label = (struct slice){ host.p, dot ? (size_t)(dot - host.p) : host.n };
		wrong = label_wrong(label);
		host = (struct slice){ host.p + label.n + (dot ? 1 : 0), host.n - label.n - (dot ? 1 : 0) };
	}
	if (!wrong && slice_u64(label, UINT64_MAX, &number) != ERR_PROTO)
		wrong = "is neither an IPv4 address nor a host name";
	return wrong;
}

static void net_mask(struct conf_net *net)
{
	bool v6 = net->addr.sa.sa_family == AF_INET6;
	uint8_t *p = v6 ? net->addr.in6.sin6_addr.s6_addr : (uint8_t *)&net->addr.in.sin_addr;
	unsigned i, total = v6 ? 128 : 32;

	for (i = net->bits; i < total; i++)
		p[i / 8] = (uint8_t)(p[i / 8] & ~(0x80u >> i % 8));
}

/** Cut `:port` off the end: after a bracket, or the only colon. */
static int net_port(struct slice *s, uint16_t *ret)
{
	const char *close = memchr(s->p, ']', s->n), *colon;
	struct slice rest = *s;
	uint64_t port = 0;
	int err;

	if (close)
		rest = (struct slice){ close + 1, (size_t)(s->p + s->n - close - 1) };
	colon = rest.n ? memchr(rest.p, ':', rest.n) : NULL;
	if (!colon || (!close && memchr(colon + 1, ':', (size_t)(s->p + s->n - colon - 1))))
		return 0;
	err = slice_u64((struct slice){ colon + 1, (size_t)(s->p + s->n - colon - 1) }, 65535, &port);
	if (err || !port)
		return err ? err : ERR_RANGE;
	s->n = (size_t)(colon - s->p);
	*ret = (uint16_t)port;
	return 0;
}

int conf_net_parse(const char *text, struct conf_net *ret)
{
	struct conf_net net = { .bits = 0 };
	struct slice s = slice_str(text), host;
	const char *slash;
	uint64_t bits;
	int err = net_port(&s, &net.port);

	if (err)
		return err;
	if (s.n > 2 && s.p[0] == '[' && s.p[s.n - 1] == ']')
		s = (struct slice){ s.p + 1, s.n - 2 };
	host = s;
	slash = s.n ? memchr(s.p, '/', s.n) : NULL;
	if (slash)
		host.n = (size_t)(slash - s.p);
	err = base_addr_parse(host, 0, &net.addr);
	if (err)
		return err;
	bits = net.addr.sa.sa_family == AF_INET6 ? 128 : 32;
	if (slash)
		err = slice_u64((struct slice){ slash + 1, (size_t)(s.p + s.n - slash - 1) }, bits, &bits);
	if (err)
		return err;
	net.bits = (unsigned)bits;
	net_mask(&net);
	*ret = net;
	return 0;
}

static const char *uri_transport(struct slice value, struct conf_uri *u)
{
	static const struct slice names[] = { { "udp", 3 }, { "tcp", 3 }, { "tls", 3 } };
	unsigned i;

	if (u->transport != CONF_TRANSPORT_NONE)
		return "names the transport twice";
	for (i = 0; i < ARRAY_LEN(names); i++)
		if (slice_eq_nocase(value, names[i]))
			u->transport = (enum conf_transport)i;
	if (u->transport == CONF_TRANSPORT_NONE)
		return "must have transport=udp, tcp or tls";
	return u->sips && u->transport == CONF_UDP ? "is a sips: URI, which UDP cannot carry" : NULL;
}

/** `;name=value;flag`; s begins behind the first semicolon. */
static const char *uri_params(struct slice s, struct conf_uri *u)
{
	const char *wrong = NULL;

	while (!wrong) {
		const char *end = memchr(s.p, ';', s.n);
		struct slice one = { s.p, end ? (size_t)(end - s.p) : s.n };
		const char *eq = one.n ? memchr(one.p, '=', one.n) : NULL;
		struct slice name = { one.p, eq ? (size_t)(eq - one.p) : one.n };

		if (!name.n)
			return "has an empty URI parameter";
		if (slice_eq_nocase(name, SLICE("transport")))
			wrong = eq ? uri_transport((struct slice){ eq + 1, one.n - name.n - 1 }, u) : "has an empty transport parameter";
		if (!end)
			return wrong;
		s = (struct slice){ end + 1, (size_t)(s.p + s.n - end - 1) };
	}
	return wrong;
}

static const char *uri_hostport(struct slice s, struct conf_uri *u)
{
	const char *wrong;

	if (net_port(&s, &u->port))
		return "has a port that is not between 1 and 65535";
	if (s.n && s.p[0] == '[') {
		if (s.p[s.n - 1] != ']')
			return "has something wrong behind the bracket of its address";
		s = (struct slice){ s.p + 1, s.n - 2 };
		if (!s.n || !memchr(s.p, ':', s.n))
			return "has no IPv6 address within its brackets";
	} else if (s.n && memchr(s.p, ':', s.n)) {
		return "must have its IPv6 address in brackets, and a port that is a number";
	}
	u->host = s;
	wrong = conf_host_wrong(s);
	return wrong;
}

static const char *uri_user(struct slice user)
{
	size_t i;

	if (!user.n)
		return "has an empty user part";
	for (i = 0; i < user.n; i++) {
		if (user.p[i] == ':')
			return "must not carry a password";
		if (!is_alnum(user.p[i]) && !strchr("-_.!~*'()%&=+$,;?/#", user.p[i]))
			return "has a character in its user part that must be written as %hex";
	}
	return NULL;
}

/** Length of the scheme with its colon, 0: none of ours. */
static size_t uri_scheme(struct slice s)
{
	if (s.n > 4 && slice_eq_nocase((struct slice){ s.p, 4 }, SLICE("sip:")))
		return 4;
	return s.n > 5 && slice_eq_nocase((struct slice){ s.p, 5 }, SLICE("sips:")) ? 5 : 0;
}

static bool uri_chars(struct slice s)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] > '~' || strchr("<>\"", s.p[i]))
			return false;
	return true;
}

/** What stands before the first `c` goes to ret_before, which is empty where there is none; s is what stands behind. */
static bool uri_split(struct slice *s, char c, struct slice *ret_before)
{
	const char *at = s->n ? memchr(s->p, c, s->n) : NULL;

	if (!at)
		return false;
	*ret_before = (struct slice){ s->p, (size_t)(at - s->p) };
	*s = (struct slice){ at + 1, s->n - ret_before->n - 1 };
	return true;
}

static const char *uri_parse(struct slice s, struct conf_uri *u)
{
	struct slice hostport;
	const char *wrong = NULL;
	size_t skip = uri_scheme(s);

	if (!skip)
		return "must be a URI as sip:host:port;transport=udp";
	u->sips = skip == 5;
	s = (struct slice){ s.p + skip, s.n - skip };
	if (!uri_chars(s))
		return "has a character that no URI may have";
	if (uri_split(&s, '@', &u->user))
		wrong = uri_user(u->user);
	if (!wrong && s.n && memchr(s.p, '?', s.n))
		wrong = "must not carry headers ('?')";
	if (!uri_split(&s, ';', &hostport))
		hostport = s;
	else if (!wrong)
		wrong = uri_params(s, u);
	return wrong ? wrong : uri_hostport(hostport, u);
}

int conf_uri_parse(const char *text, struct conf_uri *ret, const char **ret_why)
{
	struct conf_uri u = { .transport = CONF_TRANSPORT_NONE };
	const char *wrong = uri_parse(slice_str(text), &u);
	uint16_t port;

	if (wrong) {
		*ret_why = wrong;
		return ERR_PROTO;
	}
	port = u.port ? u.port : u.sips || u.transport == CONF_TLS ? 5061 : 5060;
	if (base_addr_parse(u.host, port, &u.addr))
		u.addr.sa.sa_family = AF_UNSPEC;
	*ret = u;
	return 0;
}
