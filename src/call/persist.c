/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the call to its record and back (design.md section 11). Written whole before the message that makes it true; read by the next engine, which
 * carries established calls on without a message, finishes those that were being ended, and closes the books of those that were not established.
 */
#include <stdlib.h>

#include "call/b2b.h"
#include "call/police.h"
#include "postern/conf.h"
#include "postern/keys.h"

/* requests of ours that a dead engine may have sent after its last record: CSeq may leap (RFC 3261 12.2.1.1), never fall */
#define CSEQ_LEAP 1000
#define TRIED_MAX 8192

static struct slice text_of(const struct call_text *t) { return (struct slice){ t->p ? t->p : "", t->n }; }

static bool is_secret(struct call_text *t)
{
	if (t->keys == CALL_TEXT_UNSEEN)
		t->keys = call_crypto_secret(text_of(t)) ? CALL_TEXT_SECRET : CALL_TEXT_OPEN;
	return t->keys == CALL_TEXT_SECRET;
}

/** The text as the record has it: key material is not for those who map it. which: 0 in, 1 out, 2 sent, 3 view, 4 goal */
static struct slice masked(const struct call_leg *l, unsigned which, struct slice t, bool secret)
{
	static char room[2][5][WIRE_SDP_BYTES + 4096];
	unsigned k = l == &l->call->leg[1];

	return secret ? call_crypto_mask(t, room[k][which], sizeof room[k][which]) : t;
}

static struct slice shown(const struct call_leg *l, unsigned which, struct call_text *t)
{
	return masked(l, which, text_of(t), is_secret(t));
}

/** What left in place of sdp_out: the same, unless policies edited it. */
static struct slice sent_of(const struct call_leg *l)
{
	return l->dialog ? sipua_dialog_sdp_sent(l->dialog) : (struct slice){ "", 0 };
}

static bool is_sent_secret(struct call_leg *l)
{
	struct slice sent = sent_of(l);

	return slice_eq(sent, text_of(&l->sdp_out)) ? is_secret(&l->sdp_out) : call_crypto_secret(sent);
}

void call_secrets_drop(struct call *c)
{
	if (c->secret_slot != CALL_NO_SLOT)
		call_store_del(c->eng->secrets, c->secret_slot);
	c->secret_slot = CALL_NO_SLOT;
}

/** The descriptions whole, where the record must not have them so; before the record, which needs them. */
static int secrets_put(struct call *c)
{
	struct call_record r = { .serial = c->serial };
	bool any = false;
	int err = 0;

	for (unsigned i = 0; i < 2; i++) {
		r.leg[i].sdp_in = text_of(&c->leg[i].sdp_in);
		r.leg[i].sdp_out = text_of(&c->leg[i].sdp_out);
		r.leg[i].sdp_sent = sent_of(&c->leg[i]);
		r.leg[i].view = text_of(&c->leg[i].view);
		r.leg[i].goal = text_of(&c->leg[i].goal);
		any |= is_secret(&c->leg[i].sdp_in) || is_secret(&c->leg[i].sdp_out) || is_secret(&c->leg[i].view) || is_secret(&c->leg[i].goal) ||
			is_sent_secret(&c->leg[i]);
	}
	if (!any || !c->eng->secrets)
		return 0;
	memcpy(r.id, c->id, sizeof r.id);
	if (c->secret_slot == CALL_NO_SLOT)
		err = call_store_add(c->eng->secrets, &c->secret_slot);
	return err ? err : call_store_put(c->eng->secrets, c->secret_slot, &r);
}

#define TIMER_UNAWARE 1u
#define TIMER_THROUGH 2u

/** Mid-call state: what is wanted, what was shown, who refreshes. */
static void policy_print(struct call_leg *l, struct call_record_leg *r)
{
	unsigned i;

	r->view = shown(l, 3, &l->view);
	r->identity = (struct slice){ (const char *)l->identity, sizeof l->identity };
	r->goal = shown(l, 4, &l->goal);
	r->offer_state = (uint8_t)(l->was_offer | l->replaces << 2 | call_own_open(l) << 4);
	for (i = 0; i < CALL_STREAMS; i++)
		r->dirs |= (uint32_t)(l->want_dir[i] & 3) << (2 * i) | (uint32_t)(l->shown_dir[i] & 3) << (2 * i + 16);
	for (i = 0; i < CALL_STREAMS; i++)
		r->goal_dirs |= (uint32_t)(l->goal_dir[i] & 3) << (2 * i) | (uint32_t)(l->first_dir[i] & 3) << (2 * i + 16);
	r->timer_role = (uint8_t)l->timer.role;
	r->timer_flags = (uint8_t)((l->timer.unaware ? TIMER_UNAWARE : 0) | (l->timer.through ? TIMER_THROUGH : 0));
	r->timer_s = l->timer.s;
	r->timer_deadline_ms = l->timer.deadline_ms;
}

static int policy_restore(struct call_leg *l, const struct call_record_leg *r)
{
	unsigned i;

	if (r->identity.n == sizeof l->identity)
		memcpy(l->identity, r->identity.p, sizeof l->identity);
	l->was_offer = r->offer_state & 1;
	l->replaces = r->offer_state >> 2 & 3;
	l->todo = r->offer_state >> 4 & (1u << CALL_OWN_UNDO | 1u << CALL_OWN_SHOW);
	for (i = 0; i < CALL_STREAMS; i++) {
		l->want_dir[i] = r->dirs >> (2 * i) & 3;
		l->shown_dir[i] = r->dirs >> (2 * i + 16) & 3;
		l->goal_dir[i] = r->goal_dirs >> (2 * i) & 3;
		l->first_dir[i] = r->goal_dirs >> (2 * i + 16) & 3;
	}
	l->answered_once = true;
	l->timer.role = r->timer_role <= CALL_TIMER_PEER ? (enum call_timer_role)r->timer_role : CALL_TIMER_NONE;
	l->timer.unaware = r->timer_flags & TIMER_UNAWARE;
	l->timer.through = r->timer_flags & TIMER_THROUGH;
	l->timer.s = r->timer_s;
	l->timer.deadline_ms = r->timer_deadline_ms;
	return call_text_set(&l->view, r->view) || call_text_set(&l->goal, r->goal) ? ERR_FULL : 0;
}

static void leg_print(struct call_leg *l, struct call_record_leg *r)
{
	struct sipua_dialog_state d = { 0 };
	unsigned i;

	if (l->dialog)
		sipua_dialog_get(l->dialog, &d);
	r->trunk = slice_str(l->trunk->conf->id);
	r->realm = slice_str(l->trunk->conf->realm);
	r->call_id = d.call_id;
	r->local = d.local;
	r->remote = d.remote;
	r->target = d.target;
	r->routes = d.routes;
	r->cseq_local = d.cseq_local;
	r->cseq_remote = d.cseq_remote;
	r->sdp_in = shown(l, 0, &l->sdp_in);
	r->sdp_out = shown(l, 1, &l->sdp_out);
	r->sdp_sent = masked(l, 2, sent_of(l), is_sent_secret(l));
	r->no_timer = d.no_timer;
	r->stripped = d.stripped;
	r->stripped_in = d.stripped_in;
	r->our_allow = d.allow;
	r->sdp_id = l->o_id;
	r->sdp_version = l->o_version;
	r->sdp_shown = l->shown;
	policy_print(l, r);
	r->allow = l->allow;
	r->allow_seen = l->allow_seen;
	r->confirmed = l->confirmed;
	r->listener = (uint16_t)l->listener;
	r->transport = l->transport;
	r->uas = l->dialog ? sipua_dialog_is_uas(l->dialog) : l == &l->call->leg[0];
	r->source = d.dest.addr.sa.sa_family ? d.dest.addr : l->source;
	r->tls_name = slice_str(d.dest.tls_name);
	r->tls = slice_str(d.dest.tls ? l->trunk->conf->tls : NULL);
	r->nstreams = l->nstreams;
	for (i = 0; i < l->nstreams; i++)
		r->stream[i] = (struct call_record_stream){ l->stream[i].ref.slot, l->stream[i].ref.gen, l->stream[i].mux };
}

int call_persist(struct call *c)
{
	struct call_record r = { .serial = c->serial, .state = (uint8_t)c->state, .from = slice_str(c->from), .to = slice_str(c->to),
		.route = slice_str(c->route), .start_ms = c->start_ms, .ringing_ms = c->ringing_ms, .answer_ms = c->answer_ms };
	static char decisions[CALL_DECISIONS_BYTES], tried[TRIED_MAX], notes[CALL_NOTES_BYTES];
	unsigned i;
	int err = 0;

	if (c->replace)
		return 0; /* until it is settled who sits there the record says what was */
	memcpy(r.id, c->id, sizeof r.id);
	r.decisions = call_decisions_print(c, decisions, sizeof decisions);
	r.vars = call_notes_print(c, notes, sizeof notes);
	r.tried = call_hunt_print(c, tried, sizeof tried);
	for (i = 0; i < 2; i++)
		leg_print(&c->leg[i], &r.leg[i]);
	if (c->slot == CALL_NO_SLOT)
		err = call_store_add(c->eng->store, &c->slot);
	if (!err)
		err = secrets_put(c);
	if (!err)
		err = call_store_put(c->eng->store, c->slot, &r);
	if (err && c->state == CALL_UP && c->slot != CALL_NO_SLOT) {
		r.decisions = r.tried = (struct slice){ NULL, 0 };
		err = call_store_put(c->eng->store, c->slot, &r);
	}
	if (err) {
		base_count(COUNTER_RECORD_FAILED);
		base_log_limited(BASE_ERROR, 1, "call", "record could not be written call=%s error=\"%s\"", c->id, base_strerror(err));
	}
	return err;
}

bool call_persist_room(const struct call_leg *leg, struct slice sdp)
{
	const struct call *c = leg->call;
	size_t more = sdp.n > leg->sdp_in.n ? sdp.n - leg->sdp_in.n : 0;

	/* it stands in the record as it came, as the other side is to see it, as we said it there and as that left the policies, and once more while a request waits */
	return c->state != CALL_UP || c->slot == CALL_NO_SLOT || call_store_length(c->eng->store, c->slot) + sdp.n + 4 * more + 2048 <= CALL_RECORD_MAX;
}

/* ---- back ---- */
/** A trunk whose row was removed while the call lived: what the record and its realm know of it, for the rest of the call. */
struct call_ghost { struct peer_trunk pub; struct peer_trunk_conf conf; char id[80], realm[80], tls[80]; };

static const char *terminated(struct slice s, char *buf, size_t size)
{
	slice_copy(buf, size, s);
	return buf;
}

static const char *profile_of(const struct peer_set *s, const struct peer_realm_conf *r)
{
	const char *sys = peer_system(s)->common.media;

	return r->common.media ? r->common.media : sys ? sys : "default";
}

static int ghost_make(struct call_leg *l, const struct call_record_leg *r)
{
	const struct peer_set *s = l->call->peers;
	struct call_ghost *g = base_alloc(sizeof *g);
	const struct peer_realm_conf *realm;

	if (!g)
		return ERR_FULL;
	l->ghost = g;
	terminated(r->trunk, g->id, sizeof g->id);
	terminated(r->realm, g->realm, sizeof g->realm);
	terminated(r->tls, g->tls, sizeof g->tls);
	g->conf.id = g->id;
	g->conf.tls = g->tls[0] ? g->tls : NULL;
	g->conf.realm = g->realm;
	g->pub = (struct peer_trunk){ .conf = &g->conf, .index = UINT32_MAX };
	while ((realm = peer_realm_at(s, g->pub.realm)) && strcmp(realm->id, g->realm))
		g->pub.realm++;
	if (!realm)
		return ERR_NOTFOUND;
	g->pub.media = profile_of(s, realm);
	l->trunk = &g->pub;
	return 0;
}

static int trunk_restore(struct call_leg *l, const struct call_record_leg *r)
{
	char id[80];

	l->trunk = peer_trunk_find(l->call->peers, terminated(r->trunk, id, sizeof id));
	return l->trunk ? 0 : ghost_make(l, r);
}

/** The ports of a call that was being ended are closed by now, or will be: only their figures are of use. */
static int leg_media(struct call_leg *l, const struct call_record_leg *r, bool ending)
{
	unsigned i;

	for (i = 0; i < r->nstreams; i++) {
		l->stream[i].ref = (struct media_ref){ r->stream[i].slot, r->stream[i].gen };
		l->stream[i].mux = r->stream[i].mux;
		if (!ending && media_ref_ok(l->stream[i].ref) && media_port_adopt(l->call->eng->p.media, l->stream[i].ref, &l->stream[i].addr))
			return ERR_TORN;
		l->nstreams = (uint8_t)(i + 1);
	}
	return 0;
}

/** The next description's version follows on what left last. */
static void sent_restore(struct call_leg *l, const struct call_record_leg *r)
{
	if (l->dialog && (r->sdp_sent.n || r->sdp_out.n))
		sipua_dialog_sdp_sent_restore(l->dialog, r->sdp_sent.n ? r->sdp_sent : r->sdp_out, r->sdp_sent.n > 0);
}

static int leg_restore(struct call_leg *l, const struct call_record_leg *r, bool ending)
{
	struct call_engine *e = l->call->eng;
	char id[80], name[256];
	struct sipua_dialog_state d = { .call_id = r->call_id, .local = r->local, .remote = r->remote, .target = r->target, .routes = r->routes,
		.cseq_local = r->cseq_local + CSEQ_LEAP, .cseq_remote = r->cseq_remote, .confirmed = r->confirmed, .uas = r->uas,
		.no_timer = r->no_timer, .stripped = r->stripped, .stripped_in = r->stripped_in, .allow = r->our_allow,
		.dest = { .listener = r->listener, .transport = r->transport, .addr = r->source } };
	int err = r->listener < peer_listener_count(l->call->peers) ? trunk_restore(l, r) : ERR_NOTFOUND;

	if (err)
		return err;
	l->media = conf_find(peer_set_doc(l->call->peers), &media_schema_profiles, l->trunk->media);
	l->listener = r->listener;
	l->transport = r->transport;
	l->source = r->source;
	l->o_id = r->sdp_id;
	l->o_version = r->sdp_version;
	l->shown = r->sdp_shown;
	l->allow = r->allow;
	l->allow_seen = r->allow_seen;
	l->confirmed = r->confirmed;
	if (r->tls_name.n)
		d.dest.tls_name = terminated(r->tls_name, name, sizeof name);
	if (r->tls.n)
		d.dest.tls = call_engine_tls(e, terminated(r->tls, id, sizeof id));
	/* the dialog first: what else fails, BYE can be sent on it */
	if (r->confirmed)
		err = sipua_dialog_restore(e->ua, &d, &call_dialog_ops, l, &l->dialog);
	else
		l->call_id = base_dup(r->call_id);
	call_setup_dialog(l);
	sent_restore(l, r);
	if (err || (!r->confirmed && !l->call_id) || call_text_set(&l->sdp_in, r->sdp_in) || call_text_set(&l->sdp_out, r->sdp_out))
		return err ? err : ERR_FULL;
	if (policy_restore(l, r))
		return ERR_FULL;
	return leg_media(l, r, ending);
}

/** Both legs as far as they go: a call that cannot be carried on has its BYEs and its CDR all the same. */
static int legs_restore(struct call *c, const struct call_record *r)
{
	bool ending = r->state == CALL_ENDING;
	int a = leg_restore(&c->leg[0], &r->leg[0], ending), b = leg_restore(&c->leg[1], &r->leg[1], ending);

	if (!a && !b && c->from && c->to && c->route)
		return 0;
	base_log(BASE_ERROR, "call", "call could not be carried on call=%s error=\"%s\"", c->id, base_strerror(a ? a : b ? b : ERR_FULL));
	return a ? a : b ? b : ERR_FULL;
}

/* ---- which secrets belong to which record: by serial, from one look at all of them ---- */
/* kind: 0 descriptions, 1 the 2xx that leg A's peer has not acknowledged, 2 leg B's */
struct secret { struct hash_node node; uint64_t serial; uint32_t slot; uint8_t kind; bool taken; };
struct secrets { struct hash by_serial; struct secret *v; uint32_t n; };

static int secrets_look(struct call_engine *e, struct secrets *s)
{
	static uint8_t buf[CALL_RECORD_MAX];
	uint32_t slots = e->secrets ? call_store_slots(e->p.secrets_mem, e->p.secrets_bytes) : 0;
	struct call_record r;

	memset(s, 0, sizeof *s);
	s->v = calloc(slots + 1, sizeof *s->v);
	if (!s->v || base_hash_init(&s->by_serial, 64))
		return ERR_FULL;
	for (uint32_t i = 0; i < slots; i++)
		if (!call_store_read(e->p.secrets_mem, e->p.secrets_bytes, i, buf, &r)) {
			s->v[s->n] = (struct secret){ .serial = r.serial, .slot = i, .kind = r.state != CALL_ANSWERED ? 0 : r.leg[1].sdp_sent.n ? 2 : 1 };
			base_hash_add(&s->by_serial, &s->v[s->n].node, (uint32_t)r.serial);
			s->n++;
		}
	keys_wipe(buf, sizeof buf);
	return 0;
}

static struct secret *secret_of(struct secrets *s, uint64_t serial, uint8_t kind)
{
	struct hash_node *n = s->n ? base_hash_find(&s->by_serial, (uint32_t)serial) : NULL;

	for (; n; n = n->next) {
		struct secret *one = container_of(n, struct secret, node);

		if (n->key == (uint32_t)serial && one->serial == serial && one->kind == kind)
			return one;
	}
	return NULL;
}

/** Secrets without a call: it was never recorded, or is ended. */
static void secrets_done(struct call_engine *e, struct secrets *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (!s->v[i].taken)
			call_store_del(e->secrets, s->v[i].slot);
	base_hash_fini(&s->by_serial);
	free(s->v);
}

/** Descriptions in the record as they were said: with their keys. */
static void secret_join(struct call_engine *e, struct secret *s, struct call_record *r)
{
	static uint8_t buf[CALL_RECORD_MAX];
	struct call_record whole;

	if (!s || call_store_read(e->p.secrets_mem, e->p.secrets_bytes, s->slot, buf, &whole))
		return;
	for (unsigned i = 0; i < 2; i++) {
		r->leg[i].sdp_in = whole.leg[i].sdp_in;
		r->leg[i].sdp_out = whole.leg[i].sdp_out;
		r->leg[i].sdp_sent = whole.leg[i].sdp_sent;
		r->leg[i].view = whole.leg[i].view;
		r->leg[i].goal = whole.leg[i].goal;
	}
}

/** 2xx that peers have not acknowledged are repeated. */
static void answers_restore(struct call *c, struct secrets *secrets)
{
	unsigned k;

	for (k = 0; k < 2; k++) {
		struct secret *s = secret_of(secrets, c->serial, (uint8_t)(1 + k));

		if (!s)
			continue;
		s->taken = true;
		call_again_start(&c->leg[k], s->slot);
	}
}

static int restore(struct call_engine *e, uint32_t slot, const struct call_record *r, struct secrets *secrets)
{
	struct secret *s = secret_of(secrets, r->serial, 0);
	struct call *c = call_new(e, e->p.peers);
	int err;

	if (!c)
		return ERR_FULL;
	memcpy(c->id, r->id, sizeof c->id);
	c->serial = r->serial;
	c->slot = slot;
	if (s) {
		c->secret_slot = s->slot;
		s->taken = true;
	}
	c->state = CALL_UP;
	c->status = r->answer_ms ? 200 : 0;
	c->start_ms = r->start_ms;
	c->ringing_ms = r->ringing_ms;
	c->answer_ms = r->answer_ms;
	c->from = base_dup(r->from);
	c->to = base_dup(r->to);
	c->route = base_dup(r->route);
	if (call_text_set(&c->decided, r->decisions))
		base_log_limited(BASE_WARN, 1, "call", "decisions are forgotten call=%s", c->id);
	err = legs_restore(c, r);
	call_notes_restore(c, r->vars);
	c->leg[0].over = r->over & 1;
	c->leg[1].over = r->over & 2;
	if (call_hunt_restore(c, r))
		base_log(BASE_WARN, "call", "what was tried before is forgotten call=%s", c->id);
	call_hunt_note(c, c->status, r->answer_ms ? "answered" : "engine-restart");
	call_figures(c, 1);
	if (r->state == CALL_UP && !err) {
		answers_restore(c, secrets);
		call_timer_restore(&c->leg[0]);
		call_timer_restore(&c->leg[1]);
		call_own_kick(&c->leg[0], 0);
		call_own_kick(&c->leg[1], 0);
		call_media_apply(c); /* a wish may have died with the former engine; saying it again changes nothing */
		return 0;
	}
	/* being ended, or not established when the engine died: both sides are told as far as they can be */
	c->status = r->answer_ms ? 200 : 503;
	if (r->state != CALL_ENDING)
		base_count(COUNTER_CALLS_RESTART_ENDED);
	call_end(c, "engine-restart", "postern", c->status, NULL, NULL);
	return ERR_GONE;
}

/** A record that engines die of, again and again: without it the other calls go on. Its CDR is made from what it says. */
static void give_up(struct call_engine *e, uint32_t slot, const struct call_record *r)
{
	base_count(COUNTER_CALLS_GIVEN_UP);
	base_log(BASE_ERROR, "call", "three engines died while they took up this call: it is given up call=%s", r->id);
	call_cdr_of_record(e, r);
	call_store_del(e->store, slot);
}

unsigned call_restore_all(struct call_engine *e)
{
	static uint8_t buf[CALL_RECORD_MAX];
	unsigned i, n = call_store_slots(e->p.store_mem, e->p.store_bytes), kept = 0;
	struct secrets secrets;
	struct call_record r;

	if (secrets_look(e, &secrets))
		base_log(BASE_ERROR, "call", "keys of calls could not be read");
	for (i = 0; i < n; i++) {
		if (call_store_read(e->p.store_mem, e->p.store_bytes, i, buf, &r))
			continue;
		if (r.serial > e->serial)
			e->serial = r.serial;
		if (!call_store_try(e->store, i)) {
			give_up(e, i, &r);
			continue;
		}
		secret_join(e, secret_of(&secrets, r.serial, 0), &r);
		kept += restore(e, i, &r, &secrets) == 0;
		call_store_tried(e->store, i);
	}
	secrets_done(e, &secrets);
	base_count_n(COUNTER_CALLS_RESTORED, kept);
	if (kept)
		base_log(BASE_INFO, "call", "calls carried on from state memory count=%u", kept);
	return kept;
}
