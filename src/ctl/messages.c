/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of one call: found in the mapped ring by the keys of its Call-IDs, without waking the engine. A key is a hash: each message is
 * looked into before it is taken for the call's. The newest MOST of a call are shown.
 */
#include <errno.h>
#include <stdlib.h>

#include "ctl/ctl.h"
#include "ctl/messages.h"

#define MOST 10000u
#define MOST_BYTES (64u << 20)

static bool line_next(struct slice *rest, struct slice *ret)
{
	const char *end;

	if (!rest->n)
		return false;
	end = memchr(rest->p, '\n', rest->n);
	*ret = (struct slice){ rest->p, end ? (size_t)(end - rest->p) : rest->n };
	rest->n -= end ? ret->n + 1 : ret->n;
	rest->p += end ? ret->n + 1 : ret->n;
	if (ret->n && ret->p[ret->n - 1] == '\r')
		ret->n--;
	return true;
}

struct slice ctl_message_start(struct slice bytes)
{
	struct slice l = { "", 0 };

	while (line_next(&bytes, &l) && !l.n)
		;
	return l;
}

static struct slice trim(struct slice s)
{
	for (; s.n && (s.p[0] == ' ' || s.p[0] == '\t'); s.p++)
		s.n--;
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

/** The value of a header line of that name, long or short (0: it has no short one). */
static bool header_value(struct slice l, struct slice name, char brief, struct slice *ret)
{
	const char *colon = l.n ? memchr(l.p, ':', l.n) : NULL;
	struct slice is = colon ? trim((struct slice){ l.p, (size_t)(colon - l.p) }) : (struct slice){ NULL, 0 };

	if (!slice_eq_nocase(is, name) && !(brief && slice_eq_nocase(is, (struct slice){ &brief, 1 })))
		return false;
	*ret = trim((struct slice){ colon + 1, (size_t)(l.p + l.n - colon - 1) });
	return true;
}

static struct slice header_of(struct slice bytes, struct slice name, char brief)
{
	struct slice l, v = { "", 0 };

	while (line_next(&bytes, &l))
		if (header_value(l, name, brief, &v))
			break;
	return v;
}

/** Whose it is among the Call-IDs; n: nobody's. A folded Call-ID reads as empty: the key alone counts then. */
static unsigned leg_of(const struct ctl_dialogs *d, struct slice bytes, uint32_t key, const uint32_t *keys)
{
	struct slice id = header_of(bytes, SLICE("call-id"), 'i');
	unsigned i;

	for (i = 0; i < d->n; i++)
		if (keys[i] == key && (!id.n || slice_eq(id, d->call_id[i])))
			break;
	return i;
}

static bool keep(struct ctl_message_list *l, size_t *room, const struct base_trace_head *h, unsigned leg, struct slice bytes)
{
	char *text = malloc(bytes.n ? bytes.n : 1);
	struct ctl_message *more;

	if (text && l->n == *room) {
		more = realloc(l->v, 2 * *room * sizeof *more);
		if (more) {
			l->v = more;
			*room *= 2;
		}
	}
	if (!text || l->n == *room) {
		free(text);
		return false;
	}
	memcpy(text, bytes.p, bytes.n);
	l->v[l->n++] = (struct ctl_message){ .head = *h, .leg = leg, .bytes = { text, bytes.n } };
	return true;
}

/* A quarter at once: one by one, each would move all others. @return their bytes */
static size_t drop_oldest(struct ctl_message_list *l)
{
	size_t k = l->n / 4 + 1, bytes = 0;

	for (size_t i = 0; i < k; i++) {
		bytes += l->v[i].bytes.n;
		free((char *)(uintptr_t)l->v[i].bytes.p);
	}
	l->n -= k;
	memmove(l->v, l->v + k, l->n * sizeof *l->v);
	l->overwritten = true;
	return bytes;
}

static int collect(struct base_trace_walk *w, const struct ctl_dialogs *d, char *buf, struct ctl_message_list *l)
{
	uint32_t keys[CTL_DIALOGS];
	struct base_trace_head h;
	size_t room = 64, total = 0;
	struct slice bytes;
	unsigned leg;

	for (unsigned i = 0; i < d->n; i++)
		keys[i] = base_trace_key(w->seed, d->call_id[i]);
	l->v = malloc(room * sizeof *l->v);
	if (!l->v)
		return -ENOMEM;
	while (base_trace_next(w, keys, d->n, buf, &h, &bytes)) {
		leg = leg_of(d, bytes, h.key, keys);
		if (leg == d->n)
			continue;
		for (total += bytes.n; l->n && (l->n >= MOST || total > MOST_BYTES);)
			total -= drop_oldest(l);
		if (!keep(l, &room, &h, leg, bytes))
			return -ENOMEM;
	}
	return 0;
}

int ctl_messages(const struct ctl_maps *m, const struct ctl_dialogs *d, struct ctl_message_list **ret)
{
	struct ctl_message_list *l = calloc(1, sizeof *l);
	char *buf = malloc(BASE_TRACE_MESSAGE);
	struct base_trace_walk w;
	size_t bytes = 0;
	const void *mem = ctl_region(m->calls, REGION_TRACE, &bytes);
	int err = l && buf ? 0 : -ENOMEM;

	if (!err && mem && d->n && !base_trace_walk(mem, bytes, &w))
		err = collect(&w, d, buf, l);
	free(buf);
	if (err) {
		ctl_messages_free(l);
		return err;
	}
	/* the INVITE that the call began with came before the call was there */
	if (!l->n || l->v[0].head.time_us / 1000 > d->start_ms)
		l->overwritten = true;
	*ret = l;
	return 0;
}

void ctl_messages_free(struct ctl_message_list *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->n; i++)
		free((char *)(uintptr_t)l->v[i].bytes.p);
	free(l->v);
	free(l);
}

static json_t *item(const struct ctl_message *m, const struct ctl_dialogs *d)
{
	static const char *const transport[] = { "udp", "tcp", "tls" };
	bool out = ctl_message_is_out(m);
	char local[56], peer[56], leg[16];
	struct text t = text_on(leg, sizeof leg);

	text_add(&t, m->leg > 1 ? "b%u" : m->leg ? "b" : "a", m->leg);
	base_addr_print(&m->head.local, local);
	base_addr_print(&m->head.peer, peer);
	return json_pack("{s:o, s:I, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:b, s:o}", "time", ctl_time(m->head.time_us / 1000), "time_us", (json_int_t)m->head.time_us,
		"leg", leg, "direction", out ? "out" : "in", "transport", m->head.transport < ARRAY_LEN(transport) ? transport[m->head.transport] : "?",
		"source", out ? local : peer, "destination", out ? peer : local, "call_id", ctl_text(d->call_id[m->leg]),
		"start", ctl_text(ctl_message_start(m->bytes)), "cseq", ctl_text(header_of(m->bytes, SLICE("cseq"), 0)), "queued", (m->head.flags & BASE_TRACE_QUEUED) != 0,
		"text", ctl_text(m->bytes));
}

json_t *ctl_messages_json(const struct ctl_message_list *l, const struct ctl_dialogs *d)
{
	json_t *items = json_array(), *o;

	for (size_t i = 0; i < l->n; i++)
		json_array_append_new(items, item(&l->v[i], d));
	o = ctl_page(items, NULL);
	if (o)
		json_object_set_new(o, "overwritten", json_boolean(l->overwritten));
	return o;
}
