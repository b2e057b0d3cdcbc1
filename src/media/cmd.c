/* SPDX-License-Identifier: Apache-2.0 */
/* media/cmd: messages between the engine's client and the media process. Codec on memory only. */
#include "media/cmd.h"

#include "postern/keys.h"

static void addr_print(struct writer *w, const union base_addr *a)
{
	switch (a->sa.sa_family) {
	case AF_INET:
		wr_u8(w, 4);
		wr_u16(w, base_addr_port(a));
		wr_bytes(w, &a->in.sin_addr, 4);
		break;
	case AF_INET6:
		wr_u8(w, 6);
		wr_u16(w, base_addr_port(a));
		wr_u32(w, a->in6.sin6_scope_id);
		wr_bytes(w, &a->in6.sin6_addr, 16);
		break;
	default:
		wr_u8(w, 0);
	}
}

static void addr_parse(struct reader *r, union base_addr *ret)
{
	struct slice s;
	uint16_t port;

	switch (rd_u8(r)) {
	case 0:
		break;
	case 4:
		port = rd_u16(r);
		s = rd_bytes(r, 4);
		if (r->bad)
			break;
		ret->in.sin_family = AF_INET;
		ret->in.sin_port = htons(port);
		memcpy(&ret->in.sin_addr, s.p, 4);
		break;
	case 6:
		port = rd_u16(r);
		ret->in6.sin6_scope_id = rd_u32(r);
		s = rd_bytes(r, 16);
		if (r->bad)
			break;
		ret->in6.sin6_family = AF_INET6;
		ret->in6.sin6_port = htons(port);
		memcpy(&ret->in6.sin6_addr, s.p, 16);
		break;
	default:
		r->bad = true;
	}
}

static void digit_print(struct writer *w, const struct media_want *want)
{
	wr_u32(w, want->events);
	wr_u32(w, want->digit_hz);
	wr_u8(w, want->digit_pt);
	wr_u32(w, want->digit.serial);
	wr_u16(w, want->digit.ms);
	wr_u8(w, want->digit.event);
}

static void digit_parse(struct reader *r, struct media_want *ret)
{
	ret->events = rd_u32(r);
	ret->digit_hz = rd_u32(r);
	ret->digit_pt = rd_u8(r) & 127;
	ret->digit.serial = rd_u32(r);
	ret->digit.ms = rd_u16(r);
	ret->digit.event = rd_u8(r);
}

void media_cmd_print(struct writer *w, const struct media_cmd *c)
{
	wr_u64(w, c->seq);
	wr_u8(w, (uint8_t)c->op);
	wr_u32(w, c->ref.slot);
	wr_u32(w, c->ref.gen);
	if (c->op != MEDIA_OP_WANT)
		return;
	wr_u32(w, c->want.peer.slot);
	wr_u32(w, c->want.peer.gen);
	addr_print(w, &c->want.remote);
	addr_print(w, &c->want.remote_rtcp);
	wr_u32(w, c->want.flags);
	wr_u32(w, c->want.inactivity_s);
	wr_u64(w, c->want.pts[0]);
	wr_u64(w, c->want.pts[1]);
	wr_u32(w, c->want.clock_hz);
	wr_u32(w, c->want.rate_pps);
	digit_print(w, &c->want);
	wr_u8(w, c->want.npt);
	for (int i = 0; i < c->want.npt; i++) {
		wr_u8(w, c->want.pt[i].from);
		wr_u8(w, c->want.pt[i].to);
	}
	for (int i = 0; i < 2; i++) {
		wr_u8(w, c->want.suite[i]);
		wr_bytes(w, c->key[i].key, keys_suite_bytes((enum keys_suite)c->want.suite[i]));
	}
}

static void srtp_parse(struct reader *r, struct media_cmd *c)
{
	c->want.npt = rd_u8(r);
	if (c->want.npt > MEDIA_PTS)
		r->bad = true;
	for (int i = 0; !r->bad && i < c->want.npt; i++) {
		c->want.pt[i].from = rd_u8(r) & 127;
		c->want.pt[i].to = rd_u8(r) & 127;
	}
	for (int i = 0; !r->bad && i < 2; i++) {
		struct slice key;

		c->want.suite[i] = rd_u8(r);
		key = rd_bytes(r, keys_suite_bytes((enum keys_suite)c->want.suite[i]));
		if (c->want.suite[i] >= KEYS_SUITES)
			r->bad = true;
		if (!r->bad && key.n)
			memcpy(c->key[i].key, key.p, key.n);
	}
}

bool media_cmd_next(struct reader *r, struct media_cmd *ret, bool *bad)
{
	*bad = false;
	if (r->p == r->end)
		return false;
	memset(ret, 0, sizeof(*ret));
	ret->seq = rd_u64(r);
	ret->op = (enum media_op)rd_u8(r);
	ret->ref.slot = rd_u32(r);
	ret->ref.gen = rd_u32(r);
	if (ret->op == MEDIA_OP_WANT) {
		ret->want.peer.slot = rd_u32(r);
		ret->want.peer.gen = rd_u32(r);
		addr_parse(r, &ret->want.remote);
		addr_parse(r, &ret->want.remote_rtcp);
		ret->want.flags = rd_u32(r);
		ret->want.inactivity_s = rd_u32(r);
		ret->want.pts[0] = rd_u64(r);
		ret->want.pts[1] = rd_u64(r);
		ret->want.clock_hz = rd_u32(r);
		ret->want.rate_pps = rd_u32(r);
		digit_parse(r, &ret->want);
		srtp_parse(r, ret);
	} else if (ret->op != MEDIA_OP_CLOSE) {
		r->bad = true;
	}
	*bad = r->bad;
	return !r->bad;
}
