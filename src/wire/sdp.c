/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SDP: questions to a parsed description (RFC 8866, 3264, 3551).
 */
#include "wire/sdp.h"

static const char *const dir_names[] = {
	[WIRE_INACTIVE] = "inactive", [WIRE_SENDONLY] = "sendonly", [WIRE_RECVONLY] = "recvonly", [WIRE_SENDRECV] = "sendrecv",
};

const char *wire_dir_name(enum wire_dir d)
{
	return dir_names[d & 3];
}

enum wire_dir wire_dir_reverse(enum wire_dir d)
{
	return (enum wire_dir)((d & 1) << 1 | (d & 2) >> 1);
}

int wire_sdp_dir_of(struct slice name)
{
	if (name.n != 8) /* as all four have */
		return -1;
	for (int i = 0; i < 4; i++)
		if (slice_eq_nocase(name, slice_str(dir_names[i])))
			return i;
	return -1;
}

struct slice wire_sdp_token(struct slice *rest)
{
	struct slice t;

	while (rest->n && (*rest->p == ' ' || *rest->p == '\t')) {
		rest->p++;
		rest->n--;
	}
	t = (struct slice){ rest->p, 0 };
	while (t.n < rest->n && t.p[t.n] != ' ' && t.p[t.n] != '\t')
		t.n++;
	rest->p += t.n;
	rest->n -= t.n;
	return t;
}

bool wire_sdp_next_line(struct slice *rest, struct slice *ret)
{
	size_t n = 0;

	if (!rest->n)
		return false;
	while (n < rest->n && rest->p[n] != '\n' && rest->p[n] != '\r')
		n++;
	*ret = (struct slice){ rest->p, n };
	if (n < rest->n)
		n += n + 1 < rest->n && rest->p[n] == '\r' && rest->p[n + 1] == '\n' ? 2 : 1;
	rest->p += n;
	rest->n -= n;
	return true;
}

void wire_sdp_attr_split(struct slice line, struct slice *ret_name, struct slice *ret_value)
{
	const char *colon = line.n ? memchr(line.p, ':', line.n) : NULL;
	size_t n = colon ? (size_t)(colon - line.p) : line.n;

	*ret_name = (struct slice){ line.p, n };
	*ret_value = (struct slice){ line.p + n + (colon ? 1 : 0), line.n - n - (colon ? 1 : 0) };
}

struct slice wire_sdp_attr(const struct wire_sdp *s, int m, const char *name)
{
	size_t first = 0, count = s->nsession;
	struct slice want = slice_str(name), key, value;

	if (m >= (int)s->nmedia)
		return (struct slice){ NULL, 0 };
	if (m >= 0) {
		first = s->media[m].first;
		count = s->media[m].nlines;
	}
	for (size_t i = first; i < first + count; i++) {
		if (s->line[i].type != 'a')
			continue;
		wire_sdp_attr_split(s->line[i].value, &key, &value);
		if (slice_eq_nocase(key, want))
			return value;
	}
	return (struct slice){ NULL, 0 };
}

void wire_sdp_pts(const struct wire_sdp_media *m, uint64_t ret_set[static 2])
{
	struct slice rest = m->formats, t;
	uint64_t pt;

	ret_set[0] = ret_set[1] = 0;
	if (!m->rtp)
		return;
	for (t = wire_sdp_token(&rest); t.n; t = wire_sdp_token(&rest))
		if (slice_u64(t, 127, &pt) == 0)
			ret_set[pt >> 6] |= (uint64_t)1 << (pt & 63);
}

static bool black_hole(struct slice host)
{
	static const char invalid[] = ".invalid";
	const size_t n = sizeof(invalid) - 1;
	union base_addr a;

	if (host.n > n && slice_eq_nocase((struct slice){ host.p + host.n - n, n }, slice_str(invalid)))
		return true;
	return host.n && base_addr_parse(host, 0, &a) == 0 && base_addr_is_any(&a);
}

/* RFC 3264 section 8.4: 0.0.0.0 (and a name under .invalid for IPv6) asks us not to send; the peer may. */
enum wire_dir wire_sdp_direction(const struct wire_sdp *s, const struct wire_sdp_media *m)
{
	(void)s;
	return black_hole(m->conn) ? (enum wire_dir)(m->dir & ~WIRE_RECVONLY) : m->dir;
}

static bool next_but_origin(struct slice *rest, struct slice *ret)
{
	while (wire_sdp_next_line(rest, ret))
		if (ret->n < 2 || ret->p[0] != 'o' || ret->p[1] != '=')
			return true;
	return false;
}

bool wire_sdp_same_session(struct slice a, struct slice b)
{
	struct slice la = { NULL, 0 }, lb = { NULL, 0 };
	bool more;

	do {
		more = next_but_origin(&a, &la);
		if (next_but_origin(&b, &lb) != more)
			return false;
	} while (more && slice_eq(la, lb));
	return !more;
}
