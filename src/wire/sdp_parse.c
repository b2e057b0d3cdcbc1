/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SDP parser (RFC 8866; a=rtcp RFC 3605, a=rtcp-mux RFC 5761): slices into the text, all lines kept in their order.
 * Does not judge whether an answer fits its offer, and knows no codec.
 */
#include "wire/chars.h"
#include "wire/sdp.h"

struct parser {
	struct wire_sdp *s;
	struct wire_sdp_media *m;      /* the current one, NULL: session level */
	bool version, origin;          /* seen */
	bool conn;                     /* c= seen at this level */
	int dir;                       /* of the attribute at this level, -1 none */
};

static bool ip_family_fits(struct slice host, bool v6)
{
	union base_addr a;

	if (base_addr_parse(host, 0, &a))
		return true; /* a name */
	return (a.sa.sa_family == AF_INET6) == v6;
}

/* letters, digits, and what names, addresses and zones are made of */
static bool host_chars(struct slice h)
{
	for (size_t i = 0; i < h.n; i++) {
		char c = h.p[i];

		if (!wire_is_alnum(c) && (!c || !strchr(".-_:%", c)))
			return false;
	}
	return h.n > 0;
}

/* <nettype> <addrtype> <address>[/ttl[/count]]; a nettype that is not IN has no address for us */
static int parse_net(struct slice rest, struct slice *ret_host, bool *ret_v6)
{
	struct slice net = wire_sdp_token(&rest), type = wire_sdp_token(&rest), host = wire_sdp_token(&rest);
	const char *slash;

	*ret_host = (struct slice){ host.p, 0 };
	*ret_v6 = false;
	if (!host.n)
		return ERR_PROTO;
	if (!slice_eq_nocase(net, SLICE("IN")))
		return 0;
	*ret_v6 = slice_eq_nocase(type, SLICE("IP6"));
	if (!*ret_v6 && !slice_eq_nocase(type, SLICE("IP4")))
		return ERR_PROTO;
	slash = memchr(host.p, '/', host.n);
	if (slash)
		host.n = (size_t)(slash - host.p);
	if (!host_chars(host) || !ip_family_fits(host, *ret_v6))
		return ERR_PROTO;
	*ret_host = host;
	return 0;
}

static int parse_version(struct parser *p, struct slice v)
{
	if (p->version || !slice_eq(wire_sdp_token(&v), SLICE("0")))
		return ERR_PROTO;
	p->version = true;
	return 0;
}

/* The user name may hold spaces in the field, so the other five are taken from the end. */
static int parse_origin(struct parser *p, struct slice v)
{
	struct slice word[6], t, rest = v;
	size_t n = 0;

	if (p->m || p->origin)
		return ERR_PROTO;
	p->origin = true;
	for (t = wire_sdp_token(&rest); t.n; t = wire_sdp_token(&rest)) {
		if (n == ARRAY_LEN(word)) {
			memmove(word, word + 1, sizeof(word) - sizeof(word[0]));
			n--;
		}
		word[n++] = t;
	}
	if (n < ARRAY_LEN(word))
		return 0;
	p->s->o_user = (struct slice){ v.p, (size_t)(word[0].p + word[0].n - v.p) };
	p->s->o_id = word[1];
	p->s->o_version = word[2];
	p->s->o_addr = word[5];
	return 0;
}

/* Several c= at media level are layered multicast: the first counts. Two at session level say nothing certain. */
static int parse_conn(struct parser *p, struct slice v)
{
	struct slice host;
	bool v6;
	int err = parse_net(v, &host, &v6);

	if (err)
		return err;
	if (p->conn)
		return p->m ? 0 : ERR_PROTO;
	p->conn = true;
	*(p->m ? &p->m->conn : &p->s->conn) = host;
	*(p->m ? &p->m->conn6 : &p->s->conn6) = v6;
	return 0;
}

static bool is_rtp(struct slice proto)
{
	static const char *const profiles[] = {
		"RTP/AVP", "RTP/AVPF", "RTP/SAVP", "RTP/SAVPF", "UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF",
	};

	for (size_t i = 0; i < ARRAY_LEN(profiles); i++)
		if (slice_eq_nocase(proto, slice_str(profiles[i])))
			return true;
	return false;
}

static int parse_port(struct slice t, struct wire_sdp_media *m)
{
	const char *slash = t.n ? memchr(t.p, '/', t.n) : NULL;
	struct slice port = { t.p, slash ? (size_t)(slash - t.p) : t.n };
	uint64_t v, count = 1;

	if (slice_u64(port, 65535, &v))
		return ERR_PROTO;
	if (slash && (slice_u64((struct slice){ slash + 1, t.n - port.n - 1 }, 65535, &count) || !count))
		return ERR_PROTO;
	m->port = (uint16_t)v;
	m->nports = (uint32_t)count;
	return 0;
}

static int parse_media(struct parser *p, struct slice v)
{
	struct wire_sdp *s = p->s;
	struct wire_sdp_media *m;

	if (s->nmedia == WIRE_SDP_MEDIA)
		return ERR_FULL;
	m = &s->media[s->nmedia];
	*m = (struct wire_sdp_media){ .conn = s->conn, .conn6 = s->conn6, .dir = s->dir, .dir_given = s->dir_given, .first = s->nlines };
	m->kind = wire_sdp_token(&v);
	if (parse_port(wire_sdp_token(&v), m))
		return ERR_PROTO;
	m->proto = wire_sdp_token(&v);
	if (!m->proto.n)
		return ERR_PROTO;
	m->formats = wire_sdp_token(&v);
	if (v.n)
		m->formats.n = (size_t)(v.p + v.n - m->formats.p);
	m->rtp = is_rtp(m->proto);
	if (!s->nmedia)
		s->nsession = s->nlines;
	s->nmedia++;
	p->m = m;
	p->conn = false;
	p->dir = -1;
	return 0;
}

static int parse_dir(struct parser *p, int dir)
{
	if (p->dir >= 0 && p->dir != dir)
		return ERR_PROTO;
	p->dir = dir;
	*(p->m ? &p->m->dir : &p->s->dir) = (enum wire_dir)dir;
	*(p->m ? &p->m->dir_given : &p->s->dir_given) = true;
	return 0;
}

static int parse_rtcp(struct wire_sdp_media *m, struct slice v)
{
	uint64_t port;
	bool v6;

	if (slice_u64(wire_sdp_token(&v), 65535, &port))
		return ERR_PROTO;
	m->rtcp_port = (uint16_t)port;
	m->rtcp_addr = (struct slice){ v.p, 0 };
	return v.n ? parse_net(v, &m->rtcp_addr, &v6) : 0;
}

static int parse_attr(struct parser *p, struct slice v)
{
	struct slice name, value;
	int dir;

	wire_sdp_attr_split(v, &name, &value);
	dir = wire_sdp_dir_of(v);
	if (dir >= 0)
		return parse_dir(p, dir);
	if (p->m && slice_eq_nocase(name, SLICE("rtcp")))
		return parse_rtcp(p->m, value);
	if (p->m && slice_eq_nocase(v, SLICE("rtcp-mux")))
		p->m->rtcp_mux = true;
	return 0;
}

static int parse_line(struct parser *p, struct slice l)
{
	struct wire_sdp *s = p->s;
	struct slice v = { l.p + 2, l.n - 2 };

	if (!p->version && l.p[0] != 'v')
		return ERR_PROTO;
	if (l.p[0] == 'v')
		return parse_version(p, v);
	if (l.p[0] == 'm')
		return parse_media(p, v);
	if (s->nlines == WIRE_SDP_LINES)
		return ERR_FULL;
	s->line[s->nlines++] = (struct wire_sdp_line){ l.p[0], v };
	if (p->m)
		p->m->nlines++;
	switch (l.p[0]) {
	case 'o': return parse_origin(p, v);
	case 'c': return parse_conn(p, v);
	case 'a': return parse_attr(p, v);
	default: return 0;
	}
}

static struct slice cut_blanks(struct slice l)
{
	while (l.n && (l.p[l.n - 1] == ' ' || l.p[l.n - 1] == '\t'))
		l.n--;
	return l;
}

static bool is_line(struct slice l)
{
	return l.n >= 2 && l.p[1] == '=' && l.p[0] >= 'a' && l.p[0] <= 'z';
}

int wire_sdp_parse(struct slice text, struct wire_sdp *ret)
{
	struct parser p = { .s = ret, .dir = -1 };
	struct slice rest = text, l;
	int err;

	if (!text.n)
		return ERR_TRUNCATED;
	if (text.n > WIRE_SDP_BYTES)
		return ERR_FULL;
	if (memchr(text.p, 0, text.n))
		return ERR_PROTO;
	memset(ret, 0, offsetof(struct wire_sdp, media)); /* media and lines are written before they count */
	ret->text = text;
	ret->dir = WIRE_SENDRECV;
	while (wire_sdp_next_line(&rest, &l)) {
		l = cut_blanks(l);
		if (!l.n)
			continue;
		err = is_line(l) ? parse_line(&p, l) : ERR_PROTO;
		if (err)
			return err;
	}
	if (!p.version)
		return ERR_TRUNCATED;
	if (!ret->nmedia)
		ret->nsession = ret->nlines;
	return 0;
}
