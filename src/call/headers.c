/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of a message crosses to the other leg (design.md section 4, 'What goes out'): a table of headers, all others are carried.
 * Nothing of one side's addresses reaches the other: URIs in identity headers keep their user and get our host.
 */
#include "call/b2b.h"
#include "call/policy.h"

enum rule {
	CARRY,         /* as it is */
	DROP,          /* hop by hop, or each leg's own */
	HIDE,          /* list of addresses: hosts become ours */
	HIDE_TRUST,    /* the same, and only where Privacy lets it (RFC 3325) */
	HIDE_CONTACT,  /* redirection: user kept, host ours */
	HIDE_URI,      /* text with <uri> in it: hosts become ours */
	HIDE_AGENT,    /* Warning: the agent becomes ours */
	BODY           /* goes with the body */
};

struct row { const char *name; enum rule rule; };

/* long names: wire gives compact forms theirs */
static const struct row rows[] = {
	{ "Alert-Info", HIDE_URI }, { "Allow", DROP }, { "Allow-Events", DROP }, { "Call-ID", DROP }, { "Call-Info", HIDE_URI }, { "Contact", HIDE_CONTACT },
	{ "Content-Disposition", BODY }, { "Content-Encoding", BODY }, { "Content-Language", BODY }, { "Content-Length", DROP },
	{ "Content-Type", BODY }, { "CSeq", DROP }, { "Diversion", HIDE }, { "Error-Info", HIDE_URI }, { "Expires", CARRY }, { "From", DROP },
	{ "History-Info", HIDE }, { "In-Reply-To", DROP }, { "Join", DROP }, { "Max-Forwards", DROP }, { "MIME-Version", BODY }, { "Min-SE", DROP }, { "P-Asserted-Identity", HIDE_TRUST },
	{ "P-Called-Party-ID", HIDE }, { "P-Preferred-Identity", HIDE }, { "P-Served-User", HIDE }, { "Path", DROP }, { "Proxy-Require", DROP }, { "RAck", DROP }, { "Record-Route", DROP },
	{ "Refer-To", DROP }, { "Referred-By", HIDE }, { "Remote-Party-ID", HIDE }, { "Replaces", DROP }, { "Reply-To", HIDE }, { "Require", DROP }, { "Route", DROP }, { "RSeq", DROP },
	{ "Server", DROP }, { "Service-Route", DROP }, { "Session-Expires", DROP }, { "Supported", DROP }, { "Target-Dialog", DROP }, { "To", DROP }, { "Unsupported", DROP },
	{ "User-Agent", DROP }, { "Via", DROP }, { "Warning", HIDE_AGENT },
};

#define BUCKETS 128u
#define DEPTH   8u
static const struct row *bucket[BUCKETS][DEPTH];

static unsigned name_hash(struct slice n)
{
	unsigned h = (unsigned)n.n * 7;

	if (n.n)
		h += (unsigned)(n.p[0] | 32) * 31 + (unsigned)(n.p[n.n - 1] | 32) * 3 + (unsigned)(n.p[n.n / 2] | 32) * 17;
	return h % BUCKETS;
}

static void table_init(void)
{
	size_t i, k;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row **b = bucket[name_hash(slice_str(rows[i].name))];

		for (k = 0; b[k]; k++)
			must(k + 1 < DEPTH);
		b[k] = &rows[i];
	}
}

static const struct row *row_of(struct slice name)
{
	static const struct row carry = { NULL, CARRY };
	static bool ready;
	const struct row **b;
	size_t k;

	if (!ready) {
		table_init();
		ready = true;
	}
	b = bucket[name_hash(name)];
	for (k = 0; k < DEPTH && b[k]; k++)
		if (slice_eq_nocase(slice_str(b[k]->name), name))
			return b[k];
	return &carry;
}

struct slice call_headers_host(const struct call_leg *to)
{
	struct slice s = slice_str(sipua_advertised(to->call->eng->ua, to->listener));
	const char *colon = s.p + s.n;

	while (colon > s.p && colon[-1] >= '0' && colon[-1] <= '9')
		colon--;
	if (colon > s.p + 1 && colon[-1] == ':' && (s.p[0] == '[' ? colon[-2] == ']' : true))
		s.n = (size_t)(colon - 1 - s.p);
	return s;
}

static int add_hidden(struct sipua_msg *msg, const struct row *row, struct slice value, struct slice host)
{
	static char buf[CALL_HEADER_MAX];
	struct text t = text_on(buf, sizeof buf);

	if (row->rule == HIDE_URI)
		call_hide_uris(&t, value, host);
	else if (row->rule == HIDE_AGENT)
		call_hide_agents(&t, value, host);
	else
		call_hide_list(&t, value, host);
	if (t.cut) {
		base_count(COUNTER_HEADER_CUT);
		return 0;
	}
	return t.n ? sipua_msg_add(msg, row->name, text_get(&t)) : 0;
}

static bool privacy_id(const struct wire_sip *sip)
{
	char buf[256];
	struct slice v = wire_sip_header(sip, "Privacy", buf, sizeof buf);
	size_t i, n;

	for (i = 0; v.p && i < v.n; i += n + 1) {
		const char *semi = memchr(v.p + i, ';', v.n - i);
		struct slice one;

		n = semi ? (size_t)(semi - v.p) - i : v.n - i;
		one = (struct slice){ v.p + i, n };
		while (one.n && *one.p == ' ') {
			one.p++;
			one.n--;
		}
		while (one.n && one.p[one.n - 1] == ' ')
			one.n--;
		if (slice_eq_nocase(one, SLICE("id")))
			return true;
	}
	return false;
}

/** May a header of this rule be shown to that leg at all? */
static bool may_show(enum rule rule, const struct wire_sip *sip, const struct call_leg *to)
{
	int status = wire_sip_is_request(sip) ? 0 : wire_sip_status(sip);

	if (rule == HIDE_CONTACT)
		return status >= 300 && status < 400;
	return rule != HIDE_TRUST || to->trunk->conf->trusted || !privacy_id(sip);
}

/** Headers of the other leg's relay_if_changed that its profile keeps from this one. */
static uint32_t hidden_from(const struct call_leg *to, const struct wire_sip *sip)
{
	enum wire_method m = wire_sip_method(sip);

	if (to->call->apart || to->call->state != CALL_UP || (m != WIRE_INVITE && m != WIRE_UPDATE))
		return 0;
	return call_identity_hidden(call_other((struct call_leg *)(uintptr_t)to), sip);
}

int call_headers_cross(struct sipua_msg *msg, const struct wire_sip *sip, const struct call_leg *to)
{
	struct wire_headers it;
	struct wire_header h;
	struct slice host = call_headers_host(to);
	uint32_t hidden = hidden_from(to, sip);
	int err = 0;

	wire_sip_headers(sip, &it);
	while (!err && wire_headers_step(&it, &h)) {
		const struct row *row = row_of(h.name);

		if (row->rule == DROP || row->rule == BODY)
			continue;
		wire_headers_value(&it, &h); /* of these alone: Via, CSeq and the like would be printed for nothing */
		if (hidden && call_identity_is(call_other((struct call_leg *)(uintptr_t)to), hidden, h.name))
			continue;
		if (row->rule == CARRY)
			err = sipua_msg_carry(msg, &h);
		else if (h.value.p && may_show(row->rule, sip, to))
			err = add_hidden(msg, row, h.value, host);
	}
	return err;
}

int call_headers_fill(struct sipua_msg *msg, const struct wire_sip *sip, const struct call_leg *to, bool target, struct slice sdp)
{
	int err = call_headers_cross(msg, sip, to);

	if (!err && target)
		err = call_headers_contact(msg, to);
	if (!err && target)
		err = call_headers_ours(msg, to);
	return err ? err : call_body_put(msg, sip, sdp, to);
}

int call_headers_body(struct sipua_msg *msg, const struct wire_sip *sip)
{
	struct wire_headers it;
	struct wire_header h;
	int err = 0;

	wire_sip_headers(sip, &it);
	while (!err && wire_headers_next(&it, &h))
		if (row_of(h.name)->rule == BODY && !slice_eq_nocase(h.name, SLICE("Content-Type")))
			err = sipua_msg_carry(msg, &h);
	return err;
}

bool call_headers_hide(struct text *t, struct slice name, struct slice value, struct slice host)
{
	static const char *const addresses[] = { "From", "To", "Contact", "Refer-To" };
	struct row row = *row_of(name);
	size_t i, mark = t->n;

	for (i = 0; i < ARRAY_LEN(addresses); i++)
		if (slice_eq_nocase(slice_str(addresses[i]), name))
			row.rule = HIDE;
	if (row.rule == CARRY || row.rule == BODY)
		text_slice(t, value);
	else if (row.rule == HIDE_URI)
		call_hide_uris(t, value, host);
	else if (row.rule == HIDE_AGENT)
		call_hide_agents(t, value, host);
	else if (row.rule != DROP)
		call_hide_address(t, value, host);
	return t->n != mark;
}

struct slice call_allow(const struct peer_trunk *t)
{
	static const char refer[] = ", REFER", all[] = "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO, NOTIFY, SUBSCRIBE, MESSAGE, REFER";

	return (struct slice){ all, sizeof all - (t->conf->refer ? sizeof refer : 1) };
}

/* one line: linphone 5.1 reads the first Supported alone, and had no timer where that stood in a second */
struct slice call_supported(bool timer, bool reliable)
{
	if (timer)
		return reliable ? SLICE("timer, 100rel, replaces") : SLICE("timer, replaces");
	return reliable ? SLICE("100rel, replaces") : SLICE("replaces");
}

int call_headers_ours(struct sipua_msg *msg, const struct call_leg *leg)
{
	int err = sipua_msg_add(msg, "Allow", call_allow(leg->trunk));

	return err ? err : sipua_msg_add(msg, "Supported", call_supported(!call_timer_leg_off(leg), !leg->no_reliable));
}

int call_headers_contact(struct sipua_msg *msg, const struct call_leg *leg)
{
	const char *contact = sipua_contact(leg->call->eng->ua, leg->listener);
	char buf[CALL_HEADER_MAX];
	struct text t = text_on(buf, sizeof buf);

	if (!leg->sips && !leg->target.sips)
		return sipua_msg_add(msg, "Contact", slice_str(contact));
	/* RFC 3261 8.1.1.8, 12.1.1: a dialog made by a SIPS URI has such Contacts; `<sip:host:port;transport=tls>` is what it is made of */
	text_add(&t, "<sips:%.*s>", (int)strcspn(contact + 5, ";>"), contact + 5);
	return sipua_msg_add(msg, "Contact", text_get(&t));
}
