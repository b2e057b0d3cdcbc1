/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of a message crosses to the other leg (design.md section 4, 'What goes out'): a table of headers, all others are carried.
 * Nothing of one side's addresses reaches the other: URIs in identity headers keep their user and get our host.
 */
#include "call/b2b.h"

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
	{ "Allow", DROP }, { "Allow-Events", DROP }, { "Call-ID", DROP }, { "Call-Info", HIDE_URI }, { "Contact", HIDE_CONTACT },
	{ "Content-Disposition", BODY }, { "Content-Encoding", BODY }, { "Content-Language", BODY }, { "Content-Length", DROP },
	{ "Content-Type", BODY }, { "CSeq", DROP }, { "Diversion", HIDE }, { "Error-Info", HIDE_URI }, { "Expires", CARRY }, { "From", DROP },
	{ "History-Info", HIDE }, { "Join", DROP }, { "Max-Forwards", DROP }, { "MIME-Version", BODY }, { "Min-SE", DROP }, { "P-Asserted-Identity", HIDE_TRUST },
	{ "P-Preferred-Identity", HIDE }, { "Path", DROP }, { "Proxy-Require", DROP }, { "RAck", DROP }, { "Record-Route", DROP },
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

/** A host that hides by itself stays (RFC 3261 8.1.1.3, RFC 3323). */
static bool host_is_invalid(struct slice host)
{
	static const char tail[] = ".invalid";

	return host.n >= sizeof tail - 1 && slice_eq_nocase((struct slice){ host.p + host.n - (sizeof tail - 1), sizeof tail - 1 }, SLICE(".invalid"));
}

/** One address with its host replaced; parameters behind stay. A tel: or unreadable one stays as it is, unless it names a host. */
static void hide_address(struct text *out, struct slice one, struct slice host)
{
	struct wire_addr a = { .display = { NULL, 0 } };
	const char *end = one.p + one.n, *rest;

	if (wire_addr_parse(one, &a) || !a.uri.host.n) {
		if (slice_eq_nocase(a.uri.scheme, SLICE("tel")))
			text_slice(out, one);
		return;
	}
	text_slice(out, (struct slice){ one.p, (size_t)(a.uri.scheme.p - one.p) });
	text_slice(out, a.uri.scheme);
	text_add(out, ":");
	if (a.uri.user.n) {
		text_slice(out, a.uri.user);
		text_add(out, "@");
	}
	text_slice(out, host_is_invalid(a.uri.host) ? a.uri.host : host);
	if (slice_eq_nocase(wire_param(a.uri.params, "user"), SLICE("phone")))
		text_add(out, ";user=phone");
	/* what stands behind the URI: `>` and the header's own parameters */
	rest = memchr(a.uri.host.p, '>', (size_t)(end - a.uri.host.p));
	if (rest)
		text_slice(out, (struct slice){ rest, (size_t)(end - rest) });
}

/** Length of the first element of a comma list, quotes and angle brackets kept together. */
static size_t element_length(struct slice s)
{
	bool quote = false, angle = false;
	size_t i;

	for (i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == ',' && !quote && !angle)
			break;
		if (quote && c == '\\')
			i++;
		else if (c == '"' && !angle)
			quote = !quote;
		else if ((c == '<' || c == '>') && !quote)
			angle = c == '<';
	}
	return i < s.n ? i : s.n;
}

static bool next_element(struct slice *s, struct slice *ret)
{
	while (s->n && strchr(" ,\t", *s->p)) {
		s->p++;
		s->n--;
	}
	ret->p = s->p;
	ret->n = element_length(*s);
	s->p += ret->n;
	s->n -= ret->n;
	return ret->n != 0;
}

/** A comma list of addresses, each with our host; one that cannot be read is left out. */
static void hide_list(struct text *t, struct slice list, struct slice host)
{
	struct slice one;

	while (next_element(&list, &one)) {
		size_t before = t->n, mark;

		if (t->n)
			text_add(t, ", ");
		mark = t->n;
		hide_address(t, one, host);
		if (t->n == mark)
			t->n = before;
		t->p[t->n] = 0;
	}
}

/** The same for text with URIs in angle brackets (Call-Info, Error-Info): of whatever scheme, authority replaced. */
static void hide_uris(struct text *t, struct slice v, struct slice host)
{
	size_t i, end, at;

	for (i = 0; i < v.n;) {
		const char *lt = memchr(v.p + i, '<', v.n - i), *gt = lt ? memchr(lt, '>', v.n - (size_t)(lt - v.p)) : NULL;

		if (!gt) {
			text_slice(t, (struct slice){ v.p + i, v.n - i });
			return;
		}
		end = (size_t)(gt - v.p);
		text_slice(t, (struct slice){ v.p + i, (size_t)(lt - v.p) + 1 - i });
		for (at = (size_t)(lt - v.p) + 1; at < end && v.p[at] != ':'; at++)
			text_slice(t, (struct slice){ v.p + at, 1 });
		text_add(t, ":%s", at + 2 < end && v.p[at + 1] == '/' && v.p[at + 2] == '/' ? "//" : "");
		text_slice(t, host);
		text_add(t, ">");
		i = end + 1;
	}
}

/** Warning: `code agent "text"`, comma list; the agent is a host of the inside. */
static void hide_agents(struct text *t, struct slice list, struct slice host)
{
	struct slice one;

	while (next_element(&list, &one)) {
		const char *a = memchr(one.p, ' ', one.n), *b = a ? memchr(a + 1, ' ', one.n - (size_t)(a + 1 - one.p)) : NULL;

		if (!b)
			continue;
		if (t->n)
			text_add(t, ", ");
		text_slice(t, (struct slice){ one.p, (size_t)(a + 1 - one.p) });
		text_slice(t, host);
		text_slice(t, (struct slice){ b, one.n - (size_t)(b - one.p) });
	}
}

static int add_hidden(struct sipua_msg *msg, const struct row *row, struct slice value, struct slice host)
{
	static char buf[CALL_HEADER_MAX];
	struct text t = text_on(buf, sizeof buf);

	if (row->rule == HIDE_URI)
		hide_uris(&t, value, host);
	else if (row->rule == HIDE_AGENT)
		hide_agents(&t, value, host);
	else
		hide_list(&t, value, host);
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
	while (!err && wire_headers_next(&it, &h)) {
		const struct row *row = row_of(h.name);

		if (hidden && call_identity_is(call_other((struct call_leg *)(uintptr_t)to), hidden, h.name))
			continue;
		if (row->rule == CARRY)
			err = sipua_msg_carry(msg, &h);
		else if (row->rule != DROP && row->rule != BODY && h.value.p && may_show(row->rule, sip, to))
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
		hide_uris(t, value, host);
	else if (row.rule == HIDE_AGENT)
		hide_agents(t, value, host);
	else if (row.rule != DROP)
		hide_address(t, value, host);
	return t->n != mark;
}

struct slice call_allow(const struct peer_trunk *t)
{
	static const char refer[] = ", REFER", all[] = "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO, NOTIFY, SUBSCRIBE, MESSAGE, REFER";

	return (struct slice){ all, sizeof all - (t->conf->refer ? sizeof refer : 1) };
}

int call_headers_ours(struct sipua_msg *msg, const struct call_leg *leg)
{
	int err = sipua_msg_add(msg, "Allow", call_allow(leg->trunk));

	return err ? err : sipua_msg_add(msg, "Supported", leg->no_reliable ? SLICE("replaces") : SLICE(CALL_SUPPORTED));
}

int call_headers_contact(struct sipua_msg *msg, const struct call_leg *leg)
{
	return sipua_msg_add(msg, "Contact", slice_str(sipua_contact(leg->call->eng->ua, leg->listener)));
}
