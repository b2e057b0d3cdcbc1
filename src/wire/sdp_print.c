/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SDP printer: the peer's description with our origin, addresses, ports and directions (RFC 8866 section 5 for the order).
 * What names a transport address or belongs to the peer's hop stays behind: ICE (RFC 8839), DTLS (RFC 8842), crypto (RFC 4568),
 * capability negotiation (RFC 3407, 5939), source filters (RFC 4570), bundles (RFC 9143), MSRP paths, and what media relays leave there.
 */
#include <arpa/inet.h>

#include "wire/chars.h"
#include "wire/sdp.h"

/* names that never cross, or (all) what begins so; asked for each attribute of each description, so no length is counted there */
struct hop { const char *name; uint8_t n; bool all; };
#define HOP(s) { s, sizeof(s) - 1, false }
#define HOP_ALL(s) { s, sizeof(s) - 1, true }
static const struct hop hop[] = {
	HOP("candidate"), HOP("remote-candidates"), HOP("end-of-candidates"), HOP_ALL("ice-"), HOP_ALL("candidate-"), HOP_ALL("x-candidate"),
	HOP("crypto"), HOP("fingerprint"), HOP("setup"), HOP("tls-id"), HOP("dtls-id"), HOP("connection"), HOP("key-mgmt"), HOP("3ge2ae"),
	HOP("rtcp"), HOP("rtcp-mux"), HOP("rtcp-mux-only"), HOP("bundle-only"), HOP("alt"), HOP("altc"), HOP_ALL("x-alt"), HOP("x-nat"),
	HOP("nortpproxy"), HOP_ALL("rtpengine"), HOP("direction"), HOP("source-filter"), HOP("path"), HOP("msrp-cema"), HOP("visited-realm"),
	HOP("secondary-realm"), HOP_ALL("omr-"), HOP("sqn"), HOP("cdsc"), HOP("cpar"), HOP("cparmin"), HOP("cparmax"), HOP("csup"), HOP("creq"),
	HOP("acap"), HOP("tcap"), HOP("pcfg"), HOP("acfg"), HOP("lcfg"), HOP("sescap"), HOP("mcap"), HOP("rmcap"), HOP("omcap"), HOP("mfcap"),
	HOP("mscap"), HOP("bcap"), HOP("ccap"), HOP("icap"), HOP("sdpcap"),
};

static bool is_hop(struct slice name)
{
	char first = name.n ? wire_lower(name.p[0]) : 0;

	for (size_t i = 0; i < ARRAY_LEN(hop); i++)
		if (hop[i].name[0] == first && (hop[i].all ? name.n >= hop[i].n : name.n == hop[i].n)
			&& slice_eq_nocase((struct slice){ name.p, hop[i].n }, (struct slice){ hop[i].name, hop[i].n }))
			return true;
	return false;
}

static bool in_address(char c)
{
	return wire_is_hex(c) || c == ':' || c == '.';
}

static bool literal(int family, const char *p, size_t n)
{
	char buf[INET6_ADDRSTRLEN];
	uint8_t bin[16];

	return n && slice_copy(buf, sizeof(buf), (struct slice){ p, n }) && inet_pton(family, buf, bin) == 1;
}

/* a run of address characters: is it IPv6 as a whole, or is one of its parts between colons IPv4? */
static bool run_has_address(const char *p, size_t n, bool whole)
{
	size_t start = 0, end;

	while (n && p[n - 1] == '.')
		n--;
	if (whole && (literal(AF_INET6, p, n) || (n && p[n - 1] == ':' && literal(AF_INET6, p, n - 1))))
		return true;
	for (end = 0; end <= n; end++) {
		if (end < n && p[end] != ':')
			continue;
		if (literal(AF_INET, p + start, end - start))
			return true;
		start = end + 1;
	}
	return false;
}

static bool has_address(struct slice v)
{
	size_t i = 0, start;

	while (i < v.n) {
		start = i;
		while (i < v.n && in_address(v.p[i]))
			i++;
		if (i - start >= 2 && run_has_address(v.p + start, i - start,
			(!start || !wire_is_alnum(v.p[start - 1])) && (i == v.n || !wire_is_alnum(v.p[i]))))
			return true;
		i += i == start;
	}
	return false;
}

bool wire_sdp_attr_crosses(int m, struct slice name, struct slice value)
{
	struct slice rest = value;

	(void)m;
	if (is_hop(name))
		return false;
	if (slice_eq_nocase(name, SLICE("group")) && slice_eq_nocase(wire_sdp_token(&rest), SLICE("BUNDLE")))
		return false;
	return !has_address(value);
}

static bool made_of(struct slice v, const char *chars)
{
	for (size_t i = 0; i < v.n; i++)
		if (!v.p[i] || !strchr(chars, v.p[i]))
			return false;
	return v.n > 0;
}

/* b=<type>:<number> */
static bool is_bandwidth(struct slice v)
{
	struct slice name, value;

	wire_sdp_attr_split(v, &name, &value);
	for (size_t i = 0; i < name.n; i++)
		if (!wire_is_alnum(name.p[i]) && name.p[i] != '-')
			return false;
	return name.n && made_of(value, "0123456789");
}

static void put_line(struct text *t, char type, struct slice v)
{
	text_add(t, "%c=", type);
	text_slice(t, v);
	text_add(t, "\r\n");
}

static void put_conn(struct text *t, const char *addr, bool v6)
{
	text_add(t, "c=IN %s %s\r\n", v6 ? "IP6" : "IP4", addr);
}

static void put_bandwidth(struct text *t, const struct wire_sdp *s, size_t first, size_t n)
{
	for (size_t i = first; i < first + n; i++)
		if (s->line[i].type == 'b' && is_bandwidth(s->line[i].value))
			put_line(t, 'b', s->line[i].value);
}

static void put_attrs(struct text *t, const struct wire_sdp *s, const struct wire_sdp_edit *e, int m, size_t first, size_t n)
{
	bool (*keep)(int, struct slice, struct slice) = e->keep ? e->keep : wire_sdp_attr_crosses;
	struct slice name, value;

	for (size_t i = first; i < first + n; i++) {
		if (s->line[i].type != 'a' || wire_sdp_dir_of(s->line[i].value) >= 0)
			continue;
		wire_sdp_attr_split(s->line[i].value, &name, &value);
		/* these two are ours to write, whatever the caller keeps */
		if (!e->around && (slice_eq_nocase(name, SLICE("rtcp")) || slice_eq_nocase(name, SLICE("rtcp-mux"))))
			continue;
		if (name.n && (e->around || keep(m, name, value)))
			put_line(t, 'a', s->line[i].value);
	}
}

/* t= with its r= and z= (RFC 8866 section 5.9 to 5.11); 0 0 where none is left */
static void put_times(struct text *t, const struct wire_sdp *s)
{
	bool any = false;

	for (size_t i = 0; i < s->nsession; i++) {
		const struct wire_sdp_line *l = &s->line[i];

		if (l->type == 't' && made_of(l->value, "0123456789 ")) {
			put_line(t, 't', l->value);
			any = true;
		} else if (any && (l->type == 'r' || l->type == 'z') && made_of(l->value, "0123456789 -dhms")) {
			put_line(t, l->type, l->value);
		}
	}
	if (!any)
		text_add(t, "t=0 0\r\n");
}

static void put_session(struct text *t, const struct wire_sdp *s, const struct wire_sdp_edit *e)
{
	const char *addr = e->o_addr;
	bool v6 = e->o_ipv6;

	for (unsigned i = 0; i < s->nmedia; i++) {
		if (e->place[i].addr) {
			addr = e->place[i].addr;
			v6 = e->place[i].ipv6;
			break;
		}
	}
	text_add(t, "v=0\r\no=%s %llu %llu IN %s %s\r\ns=-\r\n", e->o_user, (unsigned long long)e->o_id,
		(unsigned long long)e->o_version, e->o_ipv6 ? "IP6" : "IP4", e->o_addr);
	put_conn(t, addr, v6);
	put_bandwidth(t, s, 0, s->nsession);
	put_times(t, s);
	put_attrs(t, s, e, -1, 0, s->nsession);
}

static void put_m(struct text *t, const struct wire_sdp_media *m, unsigned port, struct slice proto)
{
	text_add(t, "m=");
	text_slice(t, m->kind);
	text_add(t, " %u ", port);
	text_slice(t, proto.n ? proto : m->proto);
	if (m->formats.n) {
		text_add(t, " ");
		text_slice(t, m->formats);
	}
	text_add(t, "\r\n");
}

static void put_media(struct text *t, const struct wire_sdp *s, const struct wire_sdp_edit *e, unsigned i)
{
	const struct wire_sdp_media *m = &s->media[i];
	const struct wire_sdp_place *p = &e->place[i];
	enum wire_dir dir = p->dir >= 0 ? (enum wire_dir)(p->dir & 3) : m->dir;

	if (!p->addr) {
		put_m(t, m, 0, p->proto); /* RFC 3264 section 6: refused */
		return;
	}
	put_m(t, m, p->port, p->proto);
	put_conn(t, p->addr, p->ipv6);
	put_bandwidth(t, s, m->first, m->nlines);
	put_attrs(t, s, e, (int)i, m->first, m->nlines);
	/* sendrecv is the default: said only where the peer speaks of directions */
	if (m->dir_given || dir != WIRE_SENDRECV)
		text_add(t, "a=%s\r\n", wire_dir_name(dir));
	if (p->rtcp_mux)
		text_add(t, "a=rtcp-mux\r\n");
	text_slice(t, p->attrs);
}

int wire_sdp_print(const struct wire_sdp *s, const struct wire_sdp_edit *e, char *buf, size_t size)
{
	struct text t;

	if (!size)
		return ERR_TRUNCATED;
	t = text_on(buf, size);
	put_session(&t, s, e);
	for (unsigned i = 0; i < s->nmedia; i++)
		put_media(&t, s, e, i);
	return t.cut ? ERR_TRUNCATED : (int)t.n;
}
