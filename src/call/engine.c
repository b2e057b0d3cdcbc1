/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of an engine: their making and unmaking, ending from outside, draining, and the idle tick. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "call/b2b.h"
#include "call/police.h"
#include "postern/conf.h"

#define TICK_MS 1000

struct call_leg *call_other(struct call_leg *l)
{
	return &l->call->leg[l == &l->call->leg[0]];
}

/** Methods that have no bit are remembered by a hash. */
static void allow_others(struct call_leg *l, const struct wire_sip *sip)
{
	char buf[512];
	struct slice v = wire_sip_header(sip, "Allow", buf, sizeof buf);
	unsigned k = 0;
	size_t i, n;

	memset(l->allow_other, 0, sizeof l->allow_other);
	for (i = 0; v.p && i < v.n && k < CALL_ALLOW_OTHER; i += n + 1) {
		for (n = 0; i + n < v.n && !strchr(", \t", v.p[i + n]); n++)
			;
		if (n && wire_method_of((struct slice){ v.p + i, n }) == WIRE_UNKNOWN)
			l->allow_other[k++] = base_hash_bytes(v.p + i, n, 0) | 1;
	}
}

/* RFC 3261 20.5 the other way round: what we do not take from a peer any more, as policies will, we do not send it either */
static void strip(struct call_leg *l)
{
	if (l->dialog)
		l->allow &= ~sipua_dialog_stripped(l->dialog);
}

/* the record is written before the message leaves that makes it true */
static void on_policed(void *arg, struct sipua_dialog *d, void *dialog_arg, unsigned what, const struct wire_sip *sip)
{
	struct call_leg *l = dialog_arg;
	struct call *c = l->call;

	if (l->dialog != d)
		return;
	if (c->apart)
		what &= SIPUA_POLICED_ALLOW; /* it has no session */
	if (what & SIPUA_POLICED_ALLOW)
		strip(l);
	if (what & SIPUA_POLICED_TIMER)
		call_timer_stop(l);
	if (what & SIPUA_POLICED_EXPIRES)
		call_timer_policed(l, sip);
	if (!c->apart && c->slot != CALL_NO_SLOT && c->state != CALL_ENDING)
		call_persist(c);
}

void call_leg_allow(struct call_leg *l, const struct wire_sip *sip)
{
	bool has;
	uint32_t set = wire_sip_allow(sip, &has);

	if (has) {
		l->allow = set;
		l->allow_seen = true;
		strip(l);
		allow_others(l, sip);
	}
	if (wire_sip_supported(sip, "replaces"))
		l->replaces = 2;
	else if (wire_sip_has_supported(sip) || (has && !l->replaces))
		l->replaces = 1; /* who says what it allows and no extension has none: phones without any leave Supported out */
}

bool call_leg_allows(const struct call_leg *l, struct slice method)
{
	enum wire_method m = wire_method_of(method);
	unsigned i;

	if (m != WIRE_UNKNOWN)
		return l->allow & 1u << m;
	for (i = 0; i < CALL_ALLOW_OTHER && l->allow_other[i]; i++)
		if (l->allow_other[i] == (base_hash_bytes(method.p, method.n, 0) | 1))
			return true;
	return false;
}

struct keys_tls *call_engine_tls(struct call_engine *e, const char *id)
{
	return id && e->p.tls ? e->p.tls(e->p.tls_arg, id) : NULL;
}

struct sipua_policy *call_engine_policy(struct call_engine *e, const struct peer_trunk *t)
{
	return e->p.policy && t->conf->id ? e->p.policy(e->p.policy_arg, t->conf->id) : NULL;
}

void call_figures(struct call *c, int delta)
{
	struct call_leg *b = &c->leg[1];

	if ((delta > 0) == c->counted)
		return;
	c->counted = delta > 0;
	if (c->leg[0].trunk)
		peer_calls_add(c->eng->plane, c->leg[0].trunk, NULL, delta, 0);
	if (b->counted || (delta > 0 && b->trunk))
		call_figures_leg(b, delta);
}

void call_figures_leg(struct call_leg *b, int delta)
{
	if ((delta > 0) == b->counted)
		return;
	b->counted = delta > 0;
	peer_calls_add(b->call->eng->plane, b->trunk, b->target.uri ? &b->target : NULL, 0, delta);
}

static void call_destroy(void *obj)
{
	struct call *c = obj;
	struct list_node *n;
	unsigned i;

	loop_timer_stop(&c->no_answer);
	call_hunt_end(c);
	call_replace_drop(c);
	call_exchange_free(c->x);
	while ((n = c->others.next) != &c->others)
		call_exchange_free(container_of(n, struct call_exchange, node));
	for (i = 0; i < 2; i++) {
		loop_timer_stop(&c->leg[i].bye_timer);
		call_again_stop(&c->leg[i]);
		call_own_stop(&c->leg[i]);
		call_mid_drop(&c->leg[i]);
		call_timer_stop(&c->leg[i]);
		call_digits_free(&c->leg[i]);
		call_text_clear(&c->leg[i].view);
		call_text_clear(&c->leg[i].goal);
		sipua_cli_free(c->leg[i].bye);
		sipua_dialog_free(c->leg[i].dialog);
		free(c->leg[i].call_id);
		call_text_clear(&c->leg[i].sdp_in);
		call_text_clear(&c->leg[i].sdp_out);
	}
	call_media_release(c);
	call_figures(c, -1);
	if (c->slot != CALL_NO_SLOT)
		call_store_del(c->eng->store, c->slot);
	call_secrets_drop(c);
	list_del(&c->node);
	c->eng->ncalls--;
	free(c->from);
	free(c->to);
	free(c->route);
	free(c->tried);
	call_text_clear(&c->before);
	call_text_clear(&c->decided);
	call_redirect_free(c);
	free(c->leg[0].ghost);
	free(c->leg[1].ghost);
	base_unref(c->notes);
	base_unref(c->peers);
}

void call_leg_init(struct call_leg *l, struct call *c)
{
	*l = (struct call_leg){ .call = c, .answer_slot = CALL_NO_SLOT };
}

struct call *call_new(struct call_engine *e, struct peer_set *peers)
{
	struct call *c = base_new(sizeof *c, call_destroy);
	unsigned i;

	if (!c)
		return NULL;
	c->eng = e;
	c->peers = base_ref(peers);
	c->slot = c->secret_slot = CALL_NO_SLOT;
	for (i = 0; i < 2; i++)
		call_leg_init(&c->leg[i], c);
	list_init(&c->others);
	list_add_tail(&e->calls, &c->node);
	e->ncalls++;
	return c;
}

static void drain_check(struct call_engine *e)
{
	void (*done)(void *) = e->drain_done;

	if (!done || e->ncalls)
		return;
	e->drain_done = NULL;
	loop_timer_stop(&e->drain_timer);
	done(e->drain_arg);
}

void call_free(struct call *c)
{
	struct call_engine *e = c->eng;

	base_unref(c);
	drain_check(e);
}

static void end_all(void *arg)
{
	struct call_engine *e = arg;
	struct list_node *n, *next;

	for (n = e->calls.next; n != &e->calls; n = next) {
		next = n->next;
		call_end(container_of(n, struct call, node), "shutdown", "postern", 503, NULL, NULL);
	}
	drain_check(e);
}

void call_engine_drain(struct call_engine *e, int64_t seconds, void (*done)(void *arg), void *arg)
{
	e->draining = true;
	e->drain_done = done;
	e->drain_arg = arg;
	loop_timer_start(e->p.loop, &e->drain_timer, seconds * 1000, end_all, e);
	drain_check(e);
}

void call_engine_undrain(struct call_engine *e)
{
	e->draining = false;
	e->drain_done = NULL;
	loop_timer_stop(&e->drain_timer);
}

/** Once a second: give memory back when the last call has been gone for a while. */
static void tick(void *arg)
{
	struct call_engine *e = arg;
	struct mono now = base_mono_now();

	loop_timer_start(e->p.loop, &e->tick, TICK_MS, tick, e);
	if (e->ncalls) {
		e->quiet_since = now;
		e->trimmed = false;
	} else if (!e->trimmed && mono_ms_since(now, e->quiet_since) > 2000) {
		call_store_trim(e->store);
		e->trimmed = true;
	}
}

/** A dialog is reached by the listeners of its realm alone (design.md section 4); by any, where its own has left the configuration. */
static bool same_realm(void *arg, unsigned listener, unsigned by)
{
	const struct call_engine *e = arg;

	return !peer_listener_at(e->p.peers, listener) || peer_listener_realm(e->p.peers, listener) == peer_listener_realm(e->p.peers, by);
}

/** TCP and TLS wait for no turn's end: media is told first, or it would drop the first packets of a peer that answers fast. */
static void wishes_first(void *arg)
{
	const struct call_engine *e = arg;

	media_client_flush(e->p.media);
}

/** F3: a CANCEL that is not answered says of the target what an INVITE would. */
static void cancel_unanswered(void *arg, const struct sipua_dest *dest, int64_t since_ms)
{
	const struct call_engine *e = arg;

	peer_unanswered(e->plane, &dest->addr, dest->transport, since_ms);
}

const struct sipua_handlers *call_engine_handlers(void)
{
	static const struct sipua_handlers h = { .request = call_front_request, .reaches = same_realm, .sending = wishes_first, .cancel_unanswered = cancel_unanswered,
		.policed = on_policed };

	return &h;
}

static void engine_destroy(void *obj)
{
	struct call_engine *e = obj;
	struct list_node *n;

	loop_timer_stop(&e->tick);
	loop_timer_stop(&e->drain_timer);
	e->drain_done = NULL;
	while (e->calls.next && (n = e->calls.next) != &e->calls)
		call_free(container_of(n, struct call, node));
	call_apart_end(e);
	call_replace_end(e);
	call_store_close(e->store);
	call_store_close(e->secrets);
	peer_plane_free(e->plane);
	base_unref(e->p.peers);
}

static void set_max_calls(struct call_engine *e)
{
	int64_t wanted = peer_system(e->p.peers)->max_calls;

	e->p.max_calls = wanted < e->room ? (unsigned)wanted : e->room;
}

int call_engine_new(const struct call_engine_params *p, struct call_engine **ret)
{
	struct call_engine *e = base_new(sizeof *e, engine_destroy);
	unsigned torn = 0, lost = 0;
	int err;

	if (!e)
		return -ENOMEM;
	e->p = *p;
	e->p.peers = base_ref(p->peers);
	e->room = p->max_calls;
	set_max_calls(e); /* a revision since the start may allow less */
	list_init(&e->calls);
	list_init(&e->aparts);
	list_init(&e->leavers);
	e->cps_at = e->quiet_since = base_mono_now();
	e->cps_tokens = (double)peer_system(p->peers)->max_cps;
	err = peer_plane_new(&(struct peer_plane_params){ .works = &peer_works, .loop = p->loop, .live = p->live, .live_bytes = p->live_bytes, .peers = p->peers,
		.tls = p->tls, .tls_arg = p->tls_arg,
		.policy = p->policy, .policy_arg = p->policy_arg }, &e->plane);
	if (!err)
		err = call_store_open(p->store_mem, p->store_bytes, &torn, &e->store);
	if (!err && p->secrets_mem)
		err = call_store_open(p->secrets_mem, p->secrets_bytes, &lost, &e->secrets);
	if (!err && e->secrets)
		call_store_secret(e->secrets);
	if (err) {
		base_unref(e);
		return err;
	}
	if (torn) {
		base_count_n(COUNTER_CALLS_TORN, torn);
		base_log(BASE_ERROR, "call", "call records were torn and dropped count=%u", torn);
	}
	*ret = e;
	return 0;
}

int call_engine_attach(struct call_engine *e, struct sipua *ua)
{
	unsigned n;

	e->ua = ua;
	if (e->p.live)
		peer_live_reset(e->p.live);
	peer_plane_attach(e->plane, ua);
	n = call_restore_all(e);
	media_client_sweep(e->p.media);
	tick(e);
	return (int)n;
}

void call_engine_set_peers(struct call_engine *e, struct peer_set *peers)
{
	base_ref(peers);
	base_unref(e->p.peers);
	e->p.peers = peers;
	set_max_calls(e);
	if (peer_plane_set_peers(e->plane, peers))
		base_log(BASE_ERROR, "call", "no memory for the new revision's trunks: the old ones serve on");
}

int call_engine_end(struct call_engine *e, const char *id, const char *why)
{
	struct list_node *n;

	for (n = e->calls.next; n != &e->calls; n = n->next) {
		struct call *c = container_of(n, struct call, node);

		if (strcmp(c->id, id) || c->state == CALL_ENDING)
			continue;
		slice_copy(c->why, sizeof c->why, slice_str(why));
		call_end(c, "admin", "admin", 480, NULL, NULL);
		return 0;
	}
	return ERR_NOTFOUND;
}

static bool has_slot(const struct call_leg *l, uint32_t slot, uint32_t gen)
{
	unsigned i;

	for (i = 0; i < l->nstreams; i++)
		if (l->stream[i].ref.slot == slot && l->stream[i].ref.gen == gen)
			return true;
	return false;
}

/* The leg of a live call that has this slot, NULL: none. Silences and digits are rare: calls are looked through. */
static struct call_leg *leg_at(struct call_engine *e, uint32_t slot, uint32_t gen)
{
	struct list_node *n;
	unsigned k;

	for (n = e->calls.next; n != &e->calls; n = n->next) {
		struct call *c = container_of(n, struct call, node);

		for (k = 0; c->state != CALL_ENDING && k < 2; k++)
			if (has_slot(&c->leg[k], slot, gen))
				return &c->leg[k];
	}
	return NULL;
}

void call_engine_inactive(struct call_engine *e, uint32_t slot, uint32_t gen)
{
	struct call_leg *l = leg_at(e, slot, gen);

	if (l)
		call_end(l->call, "inactivity", "postern", 408, NULL, NULL);
}

void call_engine_digit(struct call_engine *e, uint32_t slot, uint32_t gen, unsigned event, unsigned ms)
{
	struct call_leg *l = leg_at(e, slot, gen);

	if (l)
		call_digits_heard(l, event, ms);
}

void call_engine_one_way(struct call_engine *e, uint32_t slot, uint32_t gen)
{
	struct call_leg *l = leg_at(e, slot, gen);

	if (l)
		call_event(l, EVENT_ONE_WAY, NULL);
}

struct peer_plane *call_engine_plane(struct call_engine *e) { return e->plane; }
unsigned call_engine_count(const struct call_engine *e) { return e->ncalls; }
void call_engine_free(struct call_engine *e) { base_unref(e); }
