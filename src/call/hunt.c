/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hunt: a call goes from target to target until one takes it (design.md section 8). Each is a new leg B with a dialog of its own; the caller sees
 * one 100 and no trace. What a target says is answer.c's, which ways there are and in what order is peer's.
 */
#include <errno.h>
#include <stdlib.h>

#include "call/b2b.h"
#include "postern/conf.h"

#define RESOLVE_POLL_MS 50

struct call_hunt {
	struct call_exchange *x;
	struct peer_dest dest;
	struct peer_plan plan;
	const struct peer_way *way;    /* that is tried now */
	struct loop_timer timer;       /* for its first response, or for names */
	int64_t began_ms, sent_ms;     /* monotonic */
	bool heard;
	int status;                    /* last final that a target sent, 0 none */
	char phrase[96];
};

static int64_t now_ms(void) { return base_mono_now().us / 1000; }

int call_hunt_new(struct call *c, const struct peer_dest *d)
{
	struct call_hunt *h = malloc(sizeof *h);

	if (!h)
		return -ENOMEM;
	c->hunt = h;
	h->x = NULL;
	h->dest = *d;
	h->way = NULL;
	h->timer = (struct loop_timer){ 0 };
	h->began_ms = now_ms();
	h->heard = false;
	h->status = 0;
	h->phrase[0] = 0;
	peer_plan(c->eng->plane, d, &h->plan);
	return 0;
}

bool call_hunt_can(const struct call *c)
{
	return c->hunt->plan.n || c->hunt->plan.resolving;
}

void call_hunt_end(struct call *c)
{
	if (!c->hunt)
		return;
	loop_timer_stop(&c->hunt->timer);
	free(c->hunt);
	c->hunt = NULL;
}

int call_hunt_tried(struct call *c, const struct peer_trunk *t, const struct peer_target *g, int64_t at_ms)
{
	struct call_try *more = realloc(c->tried, (c->ntried + 1) * sizeof *more);

	if (!more)
		return -ENOMEM;
	c->tried = more;
	more[c->ntried++] = (struct call_try){ .uri = g->uri, .trunk = t->conf->id, .start_ms = at_ms, .addr = g->addr };
	return 0;
}

void call_hunt_note(struct call *c, int status, const char *why)
{
	if (!c->ntried)
		return;
	c->tried[c->ntried - 1].status = status;
	c->tried[c->ntried - 1].why = why;
}

/* ---- those that were tried, for record and CDR ---- */
static void try_of(const struct call *c, unsigned i, struct call_record_try *ret)
{
	const struct call_try *y = &c->tried[i];
	const struct call_leg *b = &c->leg[1];

	*ret = (struct call_record_try){ .start_ms = y->start_ms, .status = (uint16_t)y->status, .addr = y->addr, .uri = slice_str(y->uri), .trunk = slice_str(y->trunk),
		.outcome = slice_str(y->why), .call_id = slice_str(y->call_id) };
	if (i + 1 == c->ntried)
		ret->call_id = b->dialog ? sipua_dialog_call_id(b->dialog) : b->call_id ? slice_str(b->call_id) : ret->call_id;
}

bool call_hunt_at(const struct call *c, unsigned n, struct call_record_try *ret)
{
	struct reader r = reader_on(c->before.p, c->before.n);

	while (call_record_try_next(&r, ret))
		if (!n--)
			return true;
	if (n >= c->ntried)
		return false;
	try_of(c, n, ret);
	return true;
}

struct slice call_hunt_print(const struct call *c, char *buf, size_t size)
{
	struct writer w = writer_on(buf, size);
	struct call_record_try y;
	size_t n = 0;

	wr_bytes(&w, c->before.p, c->before.n);
	for (unsigned i = 0; i < c->ntried; i++) {
		try_of(c, i, &y);
		n = wr_len(&w);
		call_record_try_put(&w, &y);
		if (w.bad) /* so many do not fit: the first are told */
			return (struct slice){ buf, n };
	}
	return (struct slice){ buf, wr_len(&w) };
}

int call_hunt_restore(struct call *c, const struct call_record *r)
{
	struct call_leg *b = &c->leg[1];
	struct reader rd = reader_on(r->tried.p, r->tried.n);
	const char *last = r->tried.p, *at = last;
	struct call_record_try y;
	bool known = b->trunk && peer_target_at(c->eng->plane, b->trunk, &b->source, b->transport, &b->target);

	while (call_record_try_next(&rd, &y)) {
		last = at;
		at = (const char *)rd.p;
	}
	/* one that is no target any more is told as the record has it */
	if (at && call_text_set(&c->before, (struct slice){ r->tried.p, (size_t)((known ? last : at) - r->tried.p) }))
		return ERR_FULL;
	return known ? call_hunt_tried(c, b->trunk, &b->target, r->start_ms) : 0;
}

/** What was open with the target before is nobody's: its late answer must not end the call of the next. */
static void open_end(struct call_leg *b)
{
	struct list_node *n, *next;

	call_digits_free(b);
	for (n = b->call->others.next; n != &b->call->others; n = next) {
		struct call_exchange *x = container_of(n, struct call_exchange, node);

		next = n->next;
		if (x->from != b && x->to != b)
			continue;
		if (x->srv)
			call_exchange_refuse(x, 500, NULL, NULL);
		call_exchange_free(x);
	}
}

/** Nothing of the target before is left on leg B; ports stay where they serve on. */
static void leg_fresh(struct call_leg *b, const struct peer_way *w, bool early_media)
{
	struct media_client *mc = b->call->eng->p.media;
	unsigned i;

	open_end(b);
	if (b->dialog && b->call->ntried)
		slice_copy(b->call->tried[b->call->ntried - 1].call_id, sizeof b->call->tried->call_id, sipua_dialog_call_id(b->dialog));
	sipua_dialog_free(b->dialog);
	b->dialog = NULL;
	call_figures_leg(b, -1);
	/* what the one before still sends must reach nobody */
	for (i = 0; i < b->nstreams && b->trunk && (early_media || w->trunk->realm != b->trunk->realm); i++) {
		if (media_ref_ok(b->stream[i].ref))
			media_port_close(mc, b->stream[i].ref);
		b->stream[i] = (struct call_stream){ .mux = false };
	}
	call_text_clear(&b->sdp_in);
	call_text_clear(&b->sdp_out);
	b->o_id = b->o_version = b->shown = 0;
	b->allow = 0;
	b->allow_seen = false;
	b->trunk = w->trunk;
	b->target = w->target;
	b->media = call_setup_media(b->call, w->trunk);
	b->listener = (unsigned)w->target.listener;
	b->transport = (uint8_t)w->target.transport;
	b->source = w->target.addr;
}

static void exchange_fresh(struct call_exchange *x)
{
	sipua_cli_free(x->cli);
	x->cli = NULL;
	x->answered = false;
	call_text_clear(&x->offer_out);
	call_text_clear(&x->answer_in);
	call_text_clear(&x->answer_out);
}

static void on_silence(void *arg);
static void try_next(struct call_hunt *h);

/** No way is left: what a target said last, else 503 and come again. The call is gone. */
static void give_up(struct call_hunt *h, int status)
{
	struct call_exchange *x = h->x;
	struct call *c = x->call;
	bool told = h->status != 0, silent = c->ntried && c->tried[c->ntried - 1].status == 408;
	const char *cause = told ? "rejected" : silent ? "timeout" : c->ntried ? "unreachable" : "no-target";

	call_exchange_refuse(x, status, told && h->phrase[0] ? h->phrase : NULL, NULL);
	call_finish(c, cause, told ? "callee" : "postern", status);
}

/** 0: the INVITE is under way; else as call_setup_invite. */
static int try_way(struct call_hunt *h, const struct peer_way *w)
{
	struct call_exchange *x = h->x;
	struct call *c = x->call;
	bool early = x->answered;
	int status;

	exchange_fresh(x);
	leg_fresh(x->to, w, early);
	h->way = w;
	h->heard = false;
	h->sent_ms = now_ms();
	loop_timer_stop(&c->no_answer);
	if (call_hunt_tried(c, w->trunk, &w->target, base_wall_ms()))
		return 500;
	call_figures_leg(x->to, 1);
	status = call_setup_invite(x);
	if (status < 0) {
		call_hunt_note(c, 503, "unsent");
		peer_report(c->eng->plane, w->trunk, &w->target, 503, true, -1, h->sent_ms);
	} else if (status) {
		call_hunt_note(c, status, "not-tried");
	} else if (!peer_plan_last(c->eng->plane, &h->plan)) {
		loop_timer_start(c->eng->p.loop, &h->timer, peer_try_ms(w->trunk), on_silence, h);
	}
	return status;
}

static void on_names(void *arg)
{
	struct call_hunt *h = arg;
	struct call *c = h->x->call;
	int64_t patience = peer_system(c->peers)->dns.timeout * 2000 + 1000;

	peer_plan(c->eng->plane, &h->dest, &h->plan);
	if (!h->plan.n && h->plan.resolving && now_ms() - h->began_ms < patience)
		loop_timer_start(c->eng->p.loop, &h->timer, RESOLVE_POLL_MS, on_names, h);
	else
		try_next(h);
}

/** Is there a way left? Where all went down in this very hunt, those that were down before are tried too; not after 64*T1 of silence. */
static bool has_more(struct call_hunt *h, bool silent)
{
	struct peer_plane *p = h->x->call->eng->plane;

	return !peer_plan_last(p, &h->plan) || (!silent && peer_plan_more(p, &h->dest, &h->plan));
}

static void on_contact(void *arg)
{
	try_next(arg);
}

/** A Contact of a 3xx comes first. NULL: there is none; or it has a name that is looked up, and is tried when that is known. */
static const struct peer_way *next_way(struct call_hunt *h, bool *ret_wait)
{
	struct call *c = h->x->call;
	const struct peer_way *w = call_redirect_next(c, ret_wait);

	if (*ret_wait)
		loop_timer_start(c->eng->p.loop, &h->timer, RESOLVE_POLL_MS, on_contact, h);
	return w || *ret_wait ? w : peer_plan_next(c->eng->plane, &h->plan);
}

static void try_next(struct call_hunt *h)
{
	struct call *c = h->x->call;
	const struct peer_way *w;
	bool wait;
	int status;

	loop_timer_stop(&h->timer);
	while ((w = next_way(h, &wait)) != NULL) {
		if (c->ntried)
			base_count(COUNTER_HUNT_NEXT);
		status = try_way(h, w);
		if (!status)
			return;
		if (status < 0) {
			has_more(h, false);
			continue;
		}
		base_count(status == 503 ? COUNTER_REJECT_PORTS : COUNTER_REJECT_SDP);
		h->status = 0;
		give_up(h, status);
		return;
	}
	if (wait)
		return;
	if (!c->ntried)
		base_count(COUNTER_REJECT_TARGETS);
	give_up(h, h->status ? h->status : 503);
}

static void on_silence(void *arg)
{
	struct call_hunt *h = arg;
	struct call *c = h->x->call;

	/* what was to come is over its limits by now: this one is the last, and has 64*T1 */
	if (peer_plan_last(c->eng->plane, &h->plan) && !call_redirect_more(c))
		return;
	call_hunt_note(c, 408, "no-answer");
	peer_report(c->eng->plane, h->way->trunk, &h->way->target, 408, true, -1, h->sent_ms);
	try_next(h);
}

void call_hunt_start(struct call_exchange *x)
{
	struct call *c = x->call;

	c->hunt->x = x;
	call_figures(c, 1);
	if (c->hunt->plan.n)
		try_next(c->hunt);
	else
		on_names(c->hunt);
}

bool call_hunt_heard(struct call_exchange *x, int status)
{
	struct call_hunt *h = x->call->hunt;

	if (!h || !h->way || (h->heard && status < 200))
		return false;
	loop_timer_stop(&h->timer);
	peer_report(x->call->eng->plane, h->way->trunk, &h->way->target, status, false, -1, h->sent_ms);
	if (h->heard)
		return false;
	h->heard = true;
	return true;
}

int64_t call_hunt_retry_after(const struct wire_sip *resp)
{
	char buf[64];
	struct slice v = wire_sip_header(resp, "Retry-After", buf, sizeof buf);
	uint64_t s;
	size_t n;

	for (n = 0; n < v.n && v.p[n] >= '0' && v.p[n] <= '9'; n++)
		;
	return n && !slice_u64((struct slice){ v.p, n }, 86400 * 365, &s) ? (int64_t)s : -1;
}

/** What the target's end of the hunt says of its health, and to the CDR. */
static void way_failed(struct call_hunt *h, int status, const struct wire_sip *resp)
{
	struct call *c = h->x->call;

	call_hunt_note(c, status, resp ? "rejected" : status == 408 ? "no-answer" : "unreachable");
	/* a target that had answered something and then said no final word is not dead */
	if (resp || !h->heard || status != 408)
		peer_report(c->eng->plane, h->way->trunk, &h->way->target, status, !resp, resp ? call_hunt_retry_after(resp) : -1, h->sent_ms);
	if (!resp)
		return;
	h->status = status;
	slice_copy(h->phrase, sizeof h->phrase, wire_sip_phrase(resp));
}

bool call_hunt_failed(struct call_exchange *x, int *status, const struct wire_sip *resp)
{
	struct call_hunt *h = x->call->hunt;
	bool more;

	if (!h || !h->way)
		return false;
	loop_timer_stop(&h->timer);
	way_failed(h, *status, resp);
	if ((resp && call_redirect_take(x->to, h->way, resp)) || (call_redirect_more(x->call) && *status < 600)) {
		try_next(h);
		return true;
	}
	if (resp && !peer_way_goes_on(h->way, *status))
		return false;
	more = has_more(h, !resp && *status == 408);
	if (!more && resp)
		return false;
	try_next(h);
	return true;
}

/* ---- requests inside a dialog ---- */

bool call_hunt_has_other(struct call_leg *leg)
{
	struct peer_target t;

	return peer_other_target(leg->call->eng->plane, leg->trunk, &leg->source, leg->transport, &t);
}

void call_hunt_said(struct call_leg *leg, int status, const struct wire_sip *resp)
{
	struct peer_plane *p = leg->call->eng->plane;
	struct peer_target own;

	/* that it answers within calls does not make a target well that takes no new ones */
	if ((status == 500 || status == 503) && peer_target_at(p, leg->trunk, &leg->source, leg->transport, &own))
		peer_report(p, leg->trunk, &own, status, false, call_hunt_retry_after(resp), now_ms());
}

bool call_hunt_elsewhere(struct call_leg *leg, char name[static 256], struct sipua_dest *ret)
{
	struct peer_plane *p = leg->call->eng->plane;
	struct peer_target other, own;

	if (peer_target_at(p, leg->trunk, &leg->source, leg->transport, &own))
		peer_report(p, leg->trunk, &own, 408, true, -1, now_ms());
	if (!peer_other_target(p, leg->trunk, &leg->source, leg->transport, &other))
		return false;
	peer_target_dest(p, leg->trunk, &other, name, ret);
	base_count(COUNTER_BYE_ELSEWHERE);
	return true;
}
