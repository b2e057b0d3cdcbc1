/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front door: every request outside of a dialog, before any transaction exists. What is turned away here costs one stateless answer
 * and tells nothing of the inside (RFC 3261 8.2, 16.3; design.md sections 4 and 11).
 */
#include <stdio.h>

#include "call/b2b.h"
#include "call/police.h"
#include "call/policy.h"

const char *const call_known_options[] = { "100rel", "replaces", "timer", NULL };

static struct slice view_header(const void *arg, const char *name, char *buf, size_t size)
{
	return wire_sip_header(arg, name, buf, size);
}

void call_view_fill(struct peer_view *v, const struct wire_sip *sip, const struct sipua_path *path)
{
	struct wire_uri r;
	struct wire_addr f;

	wire_sip_ruri(sip, &r);
	wire_sip_from(sip, &f);
	v->method = wire_sip_method_name(sip);
	v->to_user = r.user;
	v->to_host = r.host;
	v->from_user = f.uri.user;
	v->from_host = f.uri.host;
	v->tls_subjects = path->tls_subjects;
	v->header = view_header;
	v->header_arg = sip;
}

static void refuse(struct sipua_in *in, int status, const char *phrase, enum base_counter why)
{
	base_count(why);
	sipua_in_reply(in, status, phrase, NULL);
}

static void refuse_busy(struct sipua_in *in, const char *retry_s, enum base_counter why)
{
	const struct sipua_text extra[] = { { "Retry-After", slice_str(retry_s) }, { NULL, { NULL, 0 } } };

	base_count(why);
	sipua_in_reply(in, 503, NULL, extra);
}

static void refuse_method(struct sipua_in *in, const struct peer_trunk *t)
{
	const struct sipua_text extra[] = { { "Allow", call_allow(t) }, { NULL, { NULL, 0 } } };

	base_count(COUNTER_REJECT_METHOD);
	sipua_in_reply(in, 405, NULL, extra);
}

static void answer_options(struct sipua_in *in, const struct peer_set *peers, const struct peer_trunk *t)
{
	const struct sipua_text extra[] = { { "Allow", call_allow(t) }, { "Supported", call_supported(!call_timer_off(peers, t), true) }, { "Accept", SLICE("application/sdp, multipart/mixed") },
		{ NULL, { NULL, 0 } } };

	sipua_in_reply(in, 200, NULL, extra);
}

/** Tokens fill with max_cps a second, and hold one second's worth. */
static bool cps_take(struct call_engine *e)
{
	double max = (double)peer_system(e->p.peers)->max_cps;
	struct mono now = base_mono_now();

	if (max <= 0)
		return true;
	e->cps_tokens += (double)(now.us - e->cps_at.us) * max / 1e6;
	e->cps_at = now;
	if (e->cps_tokens > max)
		e->cps_tokens = max;
	if (e->cps_tokens < 1)
		return false;
	e->cps_tokens -= 1;
	return true;
}

/** Too short an interval of the session timer: 422 (RFC 4028 section 9). */
static bool front_timer(struct call_engine *e, struct sipua_in *in, const struct peer_trunk *trunk)
{
	uint32_t least = call_timer_small(e->p.peers, trunk, sipua_in_sip(in));
	char s[16];
	const struct sipua_text extra[] = { { "Min-SE", { s, (size_t)snprintf(s, sizeof s, "%u", least) } }, { NULL, { NULL, 0 } } };

	if (!least)
		return false;
	base_count(COUNTER_TIMER_SMALL);
	sipua_in_reply(in, 422, NULL, extra);
	return true;
}

/** The leg that an INVITE with Replaces is to take, or NULL: it is a call like any other. */
static struct call_leg *leg_to_take(struct call_engine *e, const struct sipua_in *in, const struct peer_trunk *trunk, const struct call_aim *aim)
{
	struct peer_dest dest;
	struct peer_view v;

	if (!aim->far)
		return aim->leg;
	call_view_fill(&v, sipua_in_sip(in), sipua_in_path(in));
	return !call_front_route(e, in, trunk, &v, &dest) && call_transfer_passes(e, aim, &dest) ? NULL : call_other(aim->far);
}

static void front_invite(struct call_engine *e, struct sipua_in *in, const struct peer_trunk *trunk)
{
	struct call_aim aim;
	int status = call_transfer_aim(e, sipua_in_sip(in), &aim);
	struct call_leg *take = status ? NULL : leg_to_take(e, in, trunk, &aim);

	if (sipua_in_is_merged(in))
		refuse(in, 482, NULL, COUNTER_REJECT_MERGED);
	else if (take)
		call_replace(e, in, trunk, take, aim.early_only);
	else if (e->draining)
		refuse_busy(in, "30", COUNTER_REJECT_DRAIN);
	else if (e->ncalls >= e->p.max_calls)
		refuse_busy(in, "5", COUNTER_REJECT_CALLS);
	else if (status)
		refuse(in, status, NULL, COUNTER_REJECT_DIALOG);
	else if (front_timer(e, in, trunk))
		return;
	else if (!cps_take(e))
		refuse_busy(in, "1", COUNTER_REJECT_CPS);
	else if (!peer_admit(e->plane, trunk))
		refuse_busy(in, "5", COUNTER_REJECT_LIMIT);
	else
		call_setup(e, in, trunk);
}

static bool has_user(const struct wire_sip *sip)
{
	struct wire_uri r;

	wire_sip_ruri(sip, &r);
	return r.user.n != 0;
}

/** Methods that are no call and may stand outside of dialogs. */
static bool is_apart(enum wire_method m)
{
	static const uint32_t set = 1u << WIRE_OPTIONS | 1u << WIRE_MESSAGE | 1u << WIRE_SUBSCRIBE | 1u << WIRE_PUBLISH | 1u << WIRE_NOTIFY | 1u << WIRE_INFO | 1u << WIRE_REFER;

	return set & 1u << m;
}

static void front_apart(struct call_engine *e, struct sipua_in *in, const struct peer_trunk *trunk)
{
	if (sipua_in_is_merged(in))
		refuse(in, 482, NULL, COUNTER_REJECT_MERGED);
	else if (e->draining)
		refuse_busy(in, "30", COUNTER_REJECT_DRAIN);
	else if (e->naparts >= e->p.max_calls)
		refuse_busy(in, "5", COUNTER_REJECT_CALLS);
	else if (wire_sip_method(sipua_in_sip(in)) == WIRE_REFER && trunk->conf->refer)
		refuse(in, 603, NULL, COUNTER_REJECT_METHOD);
	else
		call_apart_request(e, in, trunk);
}

/** Require of what we do not understand: 420 (RFC 3261 8.2.2.3). */
static bool front_extension(struct sipua_in *in, const struct wire_sip *sip)
{
	char buf[256];
	struct slice bad = wire_sip_unknown_required(sip, call_known_options, buf, sizeof buf);
	const struct sipua_text extra[] = { { "Unsupported", bad }, { NULL, { NULL, 0 } } };

	if (!bad.n)
		return false;
	base_count(COUNTER_REJECT_EXTENSION);
	sipua_in_reply(in, 420, NULL, extra);
	return true;
}

static bool scheme_known(const struct wire_sip *sip)
{
	struct wire_uri r;

	wire_sip_ruri(sip, &r);
	return slice_eq_nocase(r.scheme, SLICE("sip")) || slice_eq_nocase(r.scheme, SLICE("sips")) || slice_eq_nocase(r.scheme, SLICE("tel"));
}

/* Strangers share buckets by a hash of their address (IPv6: of its /64), so that many of them cost no more memory than few. */
#define STRANGER_BUCKETS 4096u

static uint32_t stranger_hash(const union base_addr *a)
{
	static uint32_t seed;

	while (!seed)
		base_random(&seed, sizeof seed);
	return a->sa.sa_family == AF_INET6 ? base_hash_bytes(&a->in6.sin6_addr, 8, seed) : base_hash_bytes(&a->in.sin_addr, 4, seed);
}

/** One request more from an address that belongs to no trunk: is it answered? */
static bool stranger_take(const struct call_engine *e, const union base_addr *from)
{
	static struct { double tokens; struct mono at; } bucket[STRANGER_BUCKETS];
	double rate = (double)peer_system(e->p.peers)->caps.source_rate;
	uint32_t i = stranger_hash(from) % STRANGER_BUCKETS;
	struct mono now = base_mono_now();

	if (rate <= 0)
		return true;
	bucket[i].tokens += (double)(now.us - bucket[i].at.us) * rate / 1e6;
	bucket[i].at = now;
	if (bucket[i].tokens > rate)
		bucket[i].tokens = rate;
	if (bucket[i].tokens < 1)
		return false;
	bucket[i].tokens -= 1;
	return true;
}

static void refuse_stranger(const struct call_engine *e, struct sipua_in *in)
{
	if (stranger_take(e, &sipua_in_path(in)->source)) {
		refuse(in, 403, NULL, COUNTER_REJECT_SOURCE);
		return;
	}
	base_count(COUNTER_REJECT_RATE);
	sipua_in_drop(in);
}

int call_front_route(struct call_engine *e, const struct sipua_in *in, const struct peer_trunk *from, const struct peer_view *v, struct peer_dest *ret)
{
	const char *name = sipua_in_route(in);

	if (!name)
		return peer_route(e->p.peers, from, v, ret);
	*ret = (struct peer_dest){ .route = "policy", .trunk = peer_trunk_find(e->p.peers, name) };
	if (!ret->trunk)
		ret->group = peer_group_find(e->p.peers, name);
	return ret->trunk || ret->group ? 0 : ERR_NOTFOUND;
}

/* what stands outside of every dialog and has a trunk, as the policies of that leave it */
static void front_request(struct call_engine *e, struct sipua_in *in, const struct peer_trunk *trunk)
{
	const struct wire_sip *sip = sipua_in_sip(in);
	enum wire_method m = wire_sip_method(sip);

	if (wire_sip_max_forwards(sip) == 0 && m != WIRE_OPTIONS)
		refuse(in, 483, NULL, COUNTER_REJECT_HOPS);
	else if (!scheme_known(sip))
		refuse(in, 416, NULL, COUNTER_REJECT_SCHEME);
	else if (front_extension(in, sip))
		return;
	else if (m == WIRE_INVITE)
		front_invite(e, in, trunk);
	else if (m == WIRE_OPTIONS && (!has_user(sip) || wire_sip_max_forwards(sip) == 0))
		answer_options(in, e->p.peers, trunk);
	else if (is_apart(m))
		front_apart(e, in, trunk);
	else if (m == WIRE_BYE || m == WIRE_PRACK || m == WIRE_UPDATE)
		refuse(in, 481, NULL, COUNTER_REJECT_DIALOG); /* nothing outside of a dialog: RFC 3261 15.1.2, RFC 3262 3, RFC 3311 */
	else
		refuse_method(in, trunk);
}

void call_front_request(void *arg, struct sipua_in *in)
{
	struct call_engine *e = arg;
	const struct wire_sip *sip = sipua_in_sip(in);
	const struct sipua_path *path = sipua_in_path(in);
	enum wire_method m = wire_sip_method(sip);
	const struct peer_trunk *trunk;
	struct peer_view v;
	struct wire_addr to;

	if (m == WIRE_ACK) {
		sipua_in_drop(in);
		return;
	}
	call_view_fill(&v, sip, path);
	trunk = peer_plane_match(e->plane, path->listener, path->transport, &path->source, &v);
	wire_sip_to(sip, &to);
	if (!trunk)
		refuse_stranger(e, in);
	else if (to.tag.n || m == WIRE_CANCEL)
		refuse(in, 481, NULL, COUNTER_REJECT_DIALOG);
	else if (sipua_in_police(in, call_engine_policy(e, trunk)))
		front_request(e, in, trunk);
}
