/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An INVITE without SDP whose callee's leg has its offer/answer by itself, agreed with the caller afterwards (RFC 3264, RFC 6337 section 4; design.md
 * section 10): `early_offer: force` sends an offer of ours; the offer in a callee's reliable response is answered by us where the caller knows no PRACK.
 * The caller gets what the callee has as an offer, in a reliable response or the 2xx; what he takes of it is shown to the callee where that differs.
 */
#include "call/b2b.h"
#include "postern/conf.h"

static struct wire_sdp now;

static struct slice text_of(const struct call_text *t) { return (struct slice){ t->p ? t->p : "", t->n }; }

/* what most of the world speaks: addresses and ports are put in by sdp.c */
static const char offer[] =
	"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0 8 9 18 101\r\n"
	"a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:9 G722/8000\r\na=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\n"
	"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n";

bool call_ours_wanted(const struct call_exchange *x)
{
	/* where media goes past us there is no address to offer */
	return !x->has_offer && x->to->trunk->conf->early_offer == 1 && !call_sdp_around(x->call);
}

int call_ours_offer(struct call_exchange *x)
{
	struct slice text;
	int status = call_sdp_make(x->to, slice_str(offer), false, &text);

	if (!status && call_text_set(&x->to->sdp_out, text))
		status = 500;
	x->ours = !status;
	return status;
}

int call_ours_answer(struct call_exchange *x, const struct wire_sip *resp)
{
	static const uint8_t all[CALL_STREAMS] = { WIRE_SENDRECV, WIRE_SENDRECV, WIRE_SENDRECV, WIRE_SENDRECV, WIRE_SENDRECV, WIRE_SENDRECV, WIRE_SENDRECV, WIRE_SENDRECV };
	struct slice text, body = call_body_sdp(resp);
	int status = call_sdp_around(x->call) ? 488 : call_sdp_check(body);

	if (!status)
		status = call_sdp_secure(x->to, body, false);
	if (!status && (call_text_set(&x->offer_in, body) || call_text_set(&x->to->sdp_in, body) || wire_sdp_parse(text_of(&x->offer_in), &now)))
		status = 500;
	/* all that it offers: the caller, who may take less, is asked later */
	if (!status)
		status = call_shown_carry(x->to, text_of(&x->offer_in), &now, all, &text);
	if (!status)
		status = call_exchange_make(x, x->to, text, true, &x->to->sdp_out);
	if (status)
		return status;
	x->to->was_offer = true;
	x->ours = true;
	return 0;
}

int call_ours_heard(struct call_exchange *x, const struct wire_sip *resp)
{
	struct slice body = call_body_sdp(resp);
	int status;

	if (!body.n || x->to->was_offer) /* repeated, or none: what was agreed stays */
		return x->to->sdp_in.n ? 0 : 488;
	status = call_sdp_check(body);
	if (!status)
		status = call_sdp_secure(x->to, body, true);
	if (!status && call_text_set(&x->to->sdp_in, body))
		status = 500;
	return status;
}

int call_ours_present(struct call_exchange *x)
{
	struct slice text;
	int status;

	if (x->presented)
		return 0;
	status = call_sdp_for(x->from, text_of(&x->to->sdp_in), false, &text);
	if (!status && (call_text_set(&x->offer_out, text) || call_text_set(&x->from->sdp_out, text)))
		status = 500;
	return status;
}

static unsigned live_lines(const struct wire_sdp *s)
{
	unsigned i, n = 0;

	for (i = 0; i < s->nmedia; i++)
		n += s->media[i].port != 0;
	return n;
}

int call_ours_agree(struct call_exchange *x, struct slice answer)
{
	struct call_leg *from = x->from, *to = x->to;
	int status = answer.n ? call_sdp_secure(from, answer, true) : 488;

	if (!status && call_text_set(&from->sdp_in, answer))
		status = 500;
	if (!status && (wire_sdp_parse(text_of(&from->sdp_in), &now) || !live_lines(&now)))
		status = 488;
	if (!status && (call_shown_settle(from, false) || call_shown_settle(to, to->was_offer)))
		status = 500;
	if (status)
		return status;
	x->answered = true;
	call_media_apply(x->call);
	memset(from->shown_dir, WIRE_SENDRECV, sizeof from->shown_dir); /* so was our description */
	if (!call_shown_fits(from, &now, from->shown_dir))
		call_shown_other(from);
	return 0;
}
