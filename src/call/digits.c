/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Digits between INFO and telephone-event (design.md section 10; RFC 6086, RFC 4733): an INFO with one is answered here and played to the other side where
 * that agreed to telephone-event and does not say `dtmf: info`; else it crosses as it came, as one of an Info-Package does. A telephone-event
 * that media hears goes as INFO to a leg that says `info`. One at a time each way, in their order; whatever their way, they are events.
 */
#include <stdlib.h>

#include "call/b2b.h"

#define QUEUE 32
#define MIN_MS 40
#define MAX_MS 5000
#define PAUSE_MS 100           /* repeats of the end, and the least pause between two digits (Q.24) */

struct call_digits {
	struct call_leg *leg;          /* that the digits came from, or are sent to by INFO */
	struct { uint8_t event; uint16_t ms; } queue[QUEUE];
	unsigned first, n;
	uint32_t serial;
	struct loop_timer timer;       /* a digit is being played */
	struct sipua_cli *info;        /* or sent */
};

static struct wire_sdp theirs;     /* the engine is one thread */

static struct call_digits *digits_of(struct call_leg *leg)
{
	struct call_digits *d = leg->digits;

	if (d)
		return d;
	d = base_alloc(sizeof *d);
	if (!d)
		return NULL;
	memset(d, 0, sizeof *d);
	d->leg = leg;
	d->serial = (uint32_t)base_mono_now().us; /* another one than a former engine used last */
	leg->digits = d;
	return d;
}

void call_digits_free(struct call_leg *leg)
{
	if (!leg->digits)
		return;
	loop_timer_stop(&leg->digits->timer);
	sipua_cli_free(leg->digits->info);
	free(leg->digits);
	leg->digits = NULL;
}

static bool queue_put(struct call_digits *d, unsigned event, unsigned ms)
{
	unsigned at = (d->first + d->n) % QUEUE;

	if (d->n == QUEUE) {
		base_count(COUNTER_DIGITS_CUT);
		return false;
	}
	d->queue[at].event = (uint8_t)event;
	d->queue[at].ms = (uint16_t)(ms < MIN_MS ? MIN_MS : ms > MAX_MS ? MAX_MS : ms);
	d->n++;
	return true;
}

static void tell(const struct call_leg *leg, unsigned event)
{
	const struct peer_system_conf *sys = peer_system(leg->call->peers);
	char more[32];
	struct text t = text_on(more, sizeof more);

	text_add(&t, "\"digit\":\"%c\"", sys->mask_dtmf ? '*' : call_digit_char(event));
	call_event(leg, EVENT_DTMF, more);
}

/* ---- INFO -> telephone-event ---- */

/* The stream that this leg's digits are played into: the other side takes telephone-event there. -1: none */
static int stream_of(const struct call_leg *leg)
{
	const struct call_leg *to = call_other((struct call_leg *)(uintptr_t)leg);
	uint32_t hz;
	unsigned i;

	if (!to->sdp_in.n || wire_sdp_parse((struct slice){ to->sdp_in.p, to->sdp_in.n }, &theirs))
		return -1;
	for (i = 0; i < leg->nstreams && i < theirs.nmedia; i++)
		if (media_ref_ok(leg->stream[i].ref) && theirs.media[i].port && call_telephone_pt(&theirs, i, 8000, &hz) >= 0)
			return (int)i;
	return -1;
}

static void play(void *arg)
{
	struct call_digits *d = arg;
	struct call_leg *leg = d->leg;
	struct call_stream *s;
	int i = stream_of(leg);

	if (!d->n || leg->call->state == CALL_ENDING)
		return;
	if (i < 0) {
		d->n = 0; /* that side takes them no more */
		return;
	}
	s = &leg->stream[i];
	if (!++d->serial)
		d->serial++;
	s->digit.serial = d->serial;
	s->digit.event = d->queue[d->first].event;
	s->digit.ms = d->queue[d->first].ms;
	d->first = (d->first + 1) % QUEUE;
	d->n--;
	call_media_apply(leg->call);
	loop_timer_start(leg->call->eng->p.loop, &d->timer, s->digit.ms + PAUSE_MS, play, d);
}

static bool is_dtmf(const struct wire_sip *sip)
{
	struct slice type = wire_sip_content_type(sip);
	char package[64];

	return wire_sip_method(sip) == WIRE_INFO && !wire_sip_header(sip, "Info-Package", package, sizeof package).p && (slice_eq_nocase(type, SLICE("application/dtmf-relay")) || slice_eq_nocase(type, SLICE("application/dtmf")));
}

bool call_digits_info(struct call_leg *leg, struct sipua_srv *srv)
{
	const struct wire_sip *sip = sipua_srv_sip(srv);
	const struct call_leg *to = call_other(leg);
	struct call_digits *d;
	unsigned ms;
	int event;

	if (leg->call->apart || !is_dtmf(sip))
		return false;
	event = call_digits_parse(wire_sip_body(sip), &ms);
	if (event >= 0)
		tell(leg, (unsigned)event);
	if (call_telephone_by_info(to) || stream_of(leg) < 0)
		return false;
	d = event >= 0 ? digits_of(leg) : NULL;
	if (d && queue_put(d, (unsigned)event, ms) && !loop_timer_active(&d->timer))
		play(d);
	sipua_srv_reply(srv, event < 0 ? 400 : d ? 200 : 500, NULL);
	sipua_srv_free(srv);
	return true;
}

/* ---- telephone-event -> INFO ---- */

static void info_send(struct call_digits *d);

static void info_response(void *arg, struct sipua_cli *cli, int status, const struct wire_sip *sip)
{
	struct call_digits *d = arg;
	struct call_leg *leg = d->leg;

	if (status < 200)
		return;
	sipua_cli_free(d->info);
	d->info = NULL;
	if (status == 481 || (!sip && status == 408)) { /* RFC 5057: its dialog is gone */
		leg->over = true;
		call_end(leg->call, "dialog-lost", "postern", status, leg, NULL);
		return;
	}
	info_send(d);
}

static const struct sipua_cli_ops info_ops = { .response = info_response };

static int info_fill(struct call_digits *d, struct sipua_msg *msg)
{
	char buf[64];
	struct text t = text_on(buf, sizeof buf);

	text_add(&t, "Signal=%c\r\nDuration=%u\r\n", call_digit_char(d->queue[d->first].event), d->queue[d->first].ms);
	d->first = (d->first + 1) % QUEUE;
	d->n--;
	return sipua_msg_body(msg, SLICE("application/dtmf-relay"), text_get(&t));
}

static void info_send(struct call_digits *d)
{
	struct call_leg *leg = d->leg;
	struct sipua_msg *msg;

	if (!d->n || d->info || leg->call->state == CALL_ENDING || !leg->dialog || !sipua_dialog_has_peer(leg->dialog))
		return;
	if (sipua_dialog_stripped(leg->dialog) & 1u << WIRE_INFO) { /* policies took it from Allow: it is not sent there */
		base_count_n(COUNTER_DIGITS_CUT, d->n);
		d->n = 0;
		return;
	}
	if (sipua_msg_request(leg->dialog, SLICE("INFO"), NULL, 70, &msg)) {
		base_count(COUNTER_DIGITS_CUT);
		return;
	}
	if (info_fill(d, msg)) {
		sipua_msg_free(msg);
		base_count(COUNTER_DIGITS_CUT);
	} else if (sipua_cli_send(leg->dialog, msg, NULL, &info_ops, d, &d->info)) {
		base_count(COUNTER_DIGITS_CUT);
	}
}

void call_digits_heard(struct call_leg *leg, unsigned event, unsigned ms)
{
	struct call_leg *to = call_other(leg);
	struct call_digits *d;

	if (!call_digit_char(event))
		return;
	tell(leg, event);
	if (leg->call->replace || !call_telephone_by_info(to) || call_telephone_by_info(leg))
		return; /* (a newcomer has no dialog yet) */
	d = digits_of(to);
	if (d && queue_put(d, event, ms))
		info_send(d);
}
