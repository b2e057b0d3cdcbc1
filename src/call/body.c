/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies: where the description stands in one (alone, or as a part of a multipart: RFC 2046 5.1, RFC 5621), and what of a body crosses to the other
 * leg: our description in the place of the peer's, the other parts as they came. Parts within parts are not looked into: they may hide a
 * description, so they stay here.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "call/b2b.h"

static bool type_is(struct slice type, const char *want)
{
	size_t n = strlen(want);

	if (type.n < n || !slice_eq_nocase((struct slice){ type.p, n }, slice_str(want)))
		return false;
	return type.n == n || strchr("; \t", type.p[n]) || want[n - 1] == '/';
}

/** A SIP message, or a part of one: it names hosts like the one that it stands in. */
static bool is_message(struct slice type)
{
	return type_is(type, "message/sipfrag") || type_is(type, "message/sip");
}

/* ---- of a message ---- */

bool call_body_is_multipart(const struct wire_sip *sip)
{
	return wire_sip_body(sip).n && type_is(wire_sip_content_type(sip), "multipart/");
}

static unsigned parts_of(const struct wire_sip *sip, struct call_part part[static CALL_PARTS])
{
	char buf[512];
	struct slice type = wire_sip_header(sip, "Content-Type", buf, sizeof buf);

	return type.p ? call_parts_parse(wire_sip_body(sip), call_parts_boundary(type), part) : 0;
}

struct slice call_body_sdp(const struct wire_sip *sip)
{
	struct call_part part[CALL_PARTS];
	unsigned i, n;

	if (type_is(wire_sip_content_type(sip), "application/sdp"))
		return wire_sip_body(sip);
	n = call_body_is_multipart(sip) ? parts_of(sip, part) : 0;
	for (i = 0; i < n; i++)
		if (type_is(part[i].type, "application/sdp"))
			return part[i].body;
	return (struct slice){ NULL, 0 };
}

bool call_body_is_sdp(const struct wire_sip *sip)
{
	return call_body_sdp(sip).n != 0;
}

/* ---- crossing ---- */

static void frag_line(struct text *t, struct slice line, struct slice host)
{
	const char *colon = memchr(line.p, ':', line.n);
	size_t mark = t->n;

	if (!colon)
		return;
	text_slice(t, (struct slice){ line.p, (size_t)(colon + 1 - line.p) });
	text_add(t, " ");
	if (call_headers_hide(t, call_text_trimmed((struct slice){ line.p, (size_t)(colon - line.p) }), call_text_trimmed((struct slice){ colon + 1, line.n - (size_t)(colon + 1 - line.p) }), host)) {
		text_add(t, "\r\n");
		return;
	}
	t->n = mark;
	t->p[mark] = 0;
}

/** First line of a fragment: a status line stands, of a request line the host of its URI becomes ours. */
static void frag_start(struct text *t, struct slice line, struct slice host)
{
	const char *a = memchr(line.p, ' ', line.n), *b = a ? memchr(a + 1, ' ', line.n - (size_t)(a + 1 - line.p)) : NULL;

	if (call_text_starts(line, SLICE("SIP/2.0 ")) || !b) {
		text_slice(t, line);
	} else {
		text_slice(t, (struct slice){ line.p, (size_t)(a + 1 - line.p) });
		call_headers_hide(t, SLICE("Refer-To"), (struct slice){ a + 1, (size_t)(b - a - 1) }, host);
		text_slice(t, (struct slice){ b, line.n - (size_t)(b - line.p) });
	}
	text_add(t, "\r\n");
}

/** message/sipfrag (RFC 3420) with our host where it names one of the inside. */
static void put_sipfrag(struct text *t, struct slice body, struct slice host)
{
	struct slice line = call_text_line(&body);
	const char *space = memchr(line.p, ' ', line.n), *colon = memchr(line.p, ':', line.n);

	if (colon && (!space || colon < space))
		frag_line(t, line, host);
	else
		frag_start(t, line, host);
	while (body.n) {
		line = call_text_line(&body);
		if (!line.n) {
			text_add(t, "\r\n");
			break; /* a body within it may hold a description */
		}
		frag_line(t, line, host);
	}
}

static bool part_crosses(const struct call_part *p)
{
	return !type_is(p->type, "application/sdp") && !type_is(p->type, "multipart/");
}

static void put_part(struct text *t, const struct call_part *p, struct slice host)
{
	if (!is_message(p->type)) {
		text_slice(t, p->whole);
		return;
	}
	text_slice(t, (struct slice){ p->whole.p, (size_t)(p->body.p - p->whole.p) });
	put_sipfrag(t, p->body, host);
}

/** Parts that cross, our description first or where the peer's stood. */
static int put_multipart(struct sipua_msg *msg, const struct wire_sip *sip, struct slice sdp, struct slice host)
{
	struct call_part part[CALL_PARTS];
	unsigned i, n = parts_of(sip, part), kept = 0;
	size_t size = wire_sip_body(sip).n * 2 + sdp.n + 8192;
	char boundary[25], type[160], name[64];
	struct text t;
	char *buf;
	int err;

	for (i = 0; i < n; i++)
		kept += part_crosses(&part[i]);
	if (kept < n - (unsigned)(call_body_sdp(sip).n != 0))
		base_count(COUNTER_HEADER_CUT);
	if (!kept)
		return sdp.n ? sipua_msg_body(msg, SLICE("application/sdp"), sdp) : 0;
	buf = base_alloc(size);
	if (!buf)
		return -ENOMEM;
	t = text_on(buf, size);
	base_random_token(boundary, sizeof boundary);
	if (sdp.n) {
		text_add(&t, "--%s\r\nContent-Type: application/sdp\r\n\r\n", boundary);
		text_slice(&t, sdp);
		text_add(&t, "\r\n");
	}
	for (i = 0; i < n; i++) {
		if (!part_crosses(&part[i]))
			continue;
		text_add(&t, "--%s\r\n", boundary);
		put_part(&t, &part[i], host);
		text_add(&t, "\r\n");
	}
	text_add(&t, "--%s--\r\n", boundary);
	slice_copy(name, sizeof name, wire_sip_content_type(sip));
	snprintf(type, sizeof type, "%s;boundary=%s", name, boundary);
	err = t.cut ? ERR_FULL : sipua_msg_body(msg, slice_str(type), text_get(&t));
	free(buf);
	return err;
}

static int put_frag_body(struct sipua_msg *msg, struct slice type, struct slice body, struct slice host)
{
	static char buf[16384];
	struct text t = text_on(buf, sizeof buf);

	put_sipfrag(&t, body, host);
	return t.cut ? ERR_FULL : sipua_msg_body(msg, type, text_get(&t));
}

int call_body_put(struct sipua_msg *msg, const struct wire_sip *sip, struct slice sdp, const struct call_leg *to)
{
	char buf[256];
	struct slice body = sip ? wire_sip_body(sip) : (struct slice){ NULL, 0 }, type = { NULL, 0 }, host = call_headers_host(to);
	int err;

	if (body.n)
		type = wire_sip_header(sip, "Content-Type", buf, sizeof buf);
	if (!type.n || type_is(type, "application/sdp"))
		return sdp.n ? sipua_msg_body(msg, SLICE("application/sdp"), sdp) : 0;
	err = call_headers_body(msg, sip);
	if (err)
		return err;
	if (type_is(type, "multipart/"))
		return put_multipart(msg, sip, sdp, host);
	if (sdp.n)
		return sipua_msg_body(msg, SLICE("application/sdp"), sdp);
	return is_message(type) ? put_frag_body(msg, type, body, host) : sipua_msg_body(msg, type, body);
}
