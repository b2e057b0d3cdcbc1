/* SPDX-License-Identifier: Apache-2.0 */
/*
 * app/apply: a change of configuration that the API asks for, in the supervisor: checked here once more, since sockets and files
 * are this process's business; then prepared in all roles (app/revise). The API sends one at a time. The answer tells what is
 * wrong, each error at its pointer.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "app/check.h"
#include "app/super.h"
#include "postern/conf.h"
#include "postern/ctl.h"
#include "postern/peer.h"

#define TURN_MS 30
#define PATIENCE_MS 10000              /* for processes on their way up */
#define ANSWER_BYTES 60000

static void order_free(struct app_order *o)
{
	base_unref(o->want);
	base_unref(o->notes);
	free(o);
}

/* ---- the answer ---- */

static void put_note(struct writer *w, uint32_t *n, const struct conf_note *note)
{
	struct slice pointer = slice_str(note->pointer), message = slice_str(note->message);

	if (*n == APP_NOTES_MAX || w->p + pointer.n + message.n + 16 > w->end)
		return;
	wr_u8(w, note->warning);
	wr_slice(w, pointer);
	wr_slice(w, message);
	(*n)++;
}

/* "/trunks/0: words", as a role says it */
static void put_why(struct writer *w, uint32_t *n, const char *why)
{
	const char *end = why[0] == '/' ? strstr(why, ": ") : NULL;
	char pointer[256] = "";

	if (end)
		slice_copy(pointer, sizeof(pointer), (struct slice){ why, (size_t)(end - why) });
	put_note(w, n, &(struct conf_note){ pointer, end ? end + 2 : why, false });
}

void app_apply_answer(struct super *s, struct app_order *o, int status, const char *why)
{
	struct child *admin = s->seat[APP_ADMIN].serving;
	uint8_t *body = o ? malloc(ANSWER_BYTES) : NULL, *count;
	struct writer w = writer_on(body, body ? ANSWER_BYTES : 0);
	const struct conf_note *note;
	uint32_t n = 0;

	if (!body) {
		if (o)
			order_free(o);
		return;
	}
	wr_u32(&w, o->id);
	wr_u32(&w, (uint32_t)status);
	wr_u64(&w, s->bundle->revision);
	count = w.p;
	wr_u32(&w, 0);
	if (status && why)
		put_why(&w, &n, why);
	for (size_t i = 0; o->notes && (note = conf_errors_at(o->notes, i)); i++) /* refused before it was looked at: none */
		put_note(&w, &n, note);
	wr_u32(&(struct writer){ count, count + 4, count, false }, n);
	if (admin && admin->state == CHILD_SERVING)
		loop_chan_send(admin->chan, APP_BOOT_APPLIED, 0, (struct slice){ (char *)body, wr_len(&w) }, NULL, 0);
	free(body);
	order_free(o);
}

/* ---- the order ---- */

/* What is fixed from the start until the next one, with a warning. */
static void tell_fixed(const struct super *s, const struct conf_doc *doc, struct conf_errors *notes)
{
	size_t n;
	const struct peer_system_conf *was = conf_objects(s->doc, &peer_schema_system, &n)[0], *sys = conf_objects(doc, &peer_schema_system, &n)[0];

	if (sys->max_calls > (int64_t)s->p->limits.max_calls)
		conf_warn(notes, "/system/max_calls", "memory was made for %u calls at the start: more of them at the next start", s->p->limits.max_calls);
	if (sys->caps.connections > (int64_t)s->p->limits.connections && sys->caps.connections != was->caps.connections)
		conf_warn(notes, "/system/caps/connections", "there are descriptors for %u connections: more of them at the next start, where the limit of open files allows", s->p->limits.connections);
	if (sys->trace.bytes && app_limits_trace(sys) != s->p->trace_bytes)
		conf_warn(notes, "/system/trace/bytes", "the ring keeps the %llu bytes that it had at the start: the new size counts from the next start on", (unsigned long long)s->p->trace_bytes);
	if (sys->media_process.sockets != was->media_process.sockets)
		conf_warn(notes, "/system/media_process/sockets", "media sockets are made anew at the next start");
}

/* The files that the document names: those that came with it, else the state folder's. */
static int complete(const struct super *s, const struct app_bundle *want, struct conf_errors *notes, struct app_bundle **ret)
{
	struct conf_doc *doc = NULL;
	int err = conf_parse(want->document, ctl_schema, notes, &doc);

	if (!err)
		err = app_files_complete(doc, want, s->bundle, &s->p->places, notes, ret);
	base_unref(doc);
	return err;
}

static bool is_loopback(const union base_addr *a)
{
	return a->sa.sa_family == AF_INET ? ntohl(a->in.sin_addr.s_addr) >> 24 == 127 : IN6_IS_ADDR_LOOPBACK(&a->in6.sin6_addr);
}

/* Where the API listens next; the same place keeps its socket. */
static int open_door(struct super *s, struct app_order *o, const struct conf_doc *doc, struct app_door *ret)
{
	size_t n;
	const struct peer_system_conf *sys = conf_objects(doc, &peer_schema_system, &n)[0], *was = conf_objects(s->doc, &peer_schema_system, &n)[0];
	bool moved = strcmp(sys->api.address, was->api.address) != 0 || sys->api.port != was->api.port;
	union base_addr addr = s->door.addr;

	if (moved && s->p->api_fixed)
		conf_warn(o->notes, "/system/api", "--api of the command line is over it: the API stays where it is");
	if (!s->p->api_fixed && base_addr_parse(slice_str(sys->api.address), (uint16_t)sys->api.port, &addr) < 0)
		return ERR_CONFIG;
	if (!sys->api.tls && !is_loopback(&addr)) {
		conf_error(o->notes, "/system/api/tls", "the API speaks plain HTTP on loopback addresses alone: name a TLS profile");
		return ERR_CONFIG;
	}
	if (base_addr_eq(&addr, &s->door.addr))
		return 0;
	ret->addr = addr;
	ret->fd = app_sockets_listener(false, &addr);
	if (ret->fd >= 0)
		return 0;
	conf_error(o->notes, "/system/api", "cannot be opened at %s port %lld: %s", sys->api.address, (long long)sys->api.port, base_strerror(ret->fd));
	ret->fd = -1;
	return ERR_CONFIG;
}

/* Sockets of the next document: listeners, media ports, the API's. */
static int open_all(struct super *s, struct app_order *o, const struct conf_doc *doc, struct app_next *ret)
{
	int err = app_numbers_plan(&s->numbers, doc, o->notes, &ret->layout);

	if (err)
		return err;
	err = app_ports_plan(&s->ports, s->doc, doc, &ret->layout, o->notes, &ret->ports);
	if (!err)
		err = open_door(s, o, doc, &ret->door);
	if (err)
		app_ports_abort(&s->ports, &ret->ports);
	if (err)
		app_numbers_abort(&s->numbers, &ret->layout);
	return err;
}

/* Check all; on success what is in ret is the caller's. */
static int check(struct super *s, struct app_order *o, struct app_next *ret)
{
	struct app_checked c = { 0 };
	struct app_bundle *full = NULL;
	int err = conf_errors_new(&o->notes);

	if (!err)
		err = complete(s, o->want, o->notes, &full);
	if (err)
		return err;
	base_unref(o->notes); /* the whole check says its warnings again */
	o->notes = NULL;
	err = conf_errors_new(&o->notes);
	if (!err)
		err = app_check_bundle(full, o->notes, &c);
	if (!err)
		err = open_all(s, o, c.doc, ret);
	if (!err) {
		tell_fixed(s, c.doc, o->notes);
		ret->bundle = base_ref(full);
		ret->doc = base_ref(c.doc);
	}
	app_checked_fini(&c);
	base_unref(full);
	return err;
}

static void begin(struct super *s, struct app_order *o)
{
	struct app_next next = { .ports.blob = -1, .door.fd = -1 };
	int err = o->base == s->bundle->revision ? check(s, o, &next) : ERR_GONE;

	if (err)
		app_apply_answer(s, o, err, err == ERR_CONFIG ? NULL : base_strerror(err));
	else
		app_revise_begin(s, &next, o);
}

static void turn(void *arg)
{
	struct super *s = arg;
	struct app_order *o = s->waiting;

	if (s->revise.phase == REVISE_IDLE && app_super_ready(s) && s->phase < SUPER_STOP_ENGINE) {
		s->waiting = NULL;
		begin(s, o);
	} else if (s->phase >= SUPER_STOP_ENGINE || mono_ms_since(base_mono_now(), o->since) > PATIENCE_MS) {
		s->waiting = NULL;
		app_apply_answer(s, o, -EBUSY, "processes are on their way up or down");
	} else {
		loop_timer_start(s->loop, &s->turn, TURN_MS, turn, s);
	}
}

static int take(struct loop_msg *m, struct app_order *o)
{
	struct app_apply a;
	struct slice wire;
	int err = app_apply_parse(m->body, &a);

	if (err || m->nfds != 1)
		return err ? err : ERR_PROTO;
	*o = (struct app_order){ .id = a.id, .base = a.base, .dry_run = a.dry_run != 0, .step = a.terms.step, .previous = a.terms.previous,
		.deadline_ms = a.terms.deadline_ms, .since = base_mono_now() };
	slice_copy(o->user, sizeof(o->user), a.terms.user);
	slice_copy(o->comment, sizeof(o->comment), a.terms.comment);
	err = loop_blob_map(m->fds[0], &wire);
	if (err)
		return err;
	err = app_bundle_parse(wire, &o->want);
	munmap((void *)wire.p, wire.n);
	return err;
}

void app_apply_message(struct child *c, struct loop_msg *m)
{
	struct super *s = c->seat->super;
	struct app_order *o = calloc(1, sizeof(*o));
	int err = o ? take(m, o) : -ENOMEM;

	if (err || c != s->seat[APP_ADMIN].serving) {
		base_log(BASE_ERROR, "apply", "a change cannot be read error=\"%s\"", base_strerror(err));
		if (o)
			order_free(o);
		app_super_kill(c);
		return;
	}
	loop_timer_stop(&s->turn);
	if (s->waiting) /* of an admin that is gone, or has given it up */
		order_free(s->waiting);
	s->waiting = o;
	turn(s);
}

void app_apply_fini(struct super *s)
{
	loop_timer_stop(&s->turn);
	if (s->waiting)
		order_free(s->waiting);
	if (s->revise.order)
		order_free(s->revise.order);
	s->waiting = s->revise.order = NULL;
}
