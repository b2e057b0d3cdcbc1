/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a call's policies remember (design.md section 9): variables, tags, and which rules fired. Both legs share it; it goes into the call's record.
 * Bounded in number and bytes: what finds no room is an action that could not be applied.
 */
#include "sipua/police.h"

#include <errno.h>
#include <stdlib.h>

#define VARS_MAX  64
#define TAGS_MAX  32
#define FIRED_MAX 32
#define BYTES_MAX 8192             /* of all names and values */

struct var { char *name, *value; };
struct fired { char *policy; struct sipua_note note; };
struct sipua_notes {                   /* every call has one: its arrays are made when they are wanted */
	struct var *var;
	char **tag;
	struct fired *fired;
	unsigned vars, tags, nfired;
	size_t bytes;
	bool changed;
};

static void notes_destroy(void *obj)
{
	struct sipua_notes *n = obj;

	for (unsigned i = 0; i < n->vars; i++) {
		free(n->var[i].name);
		free(n->var[i].value);
	}
	for (unsigned i = 0; i < n->tags; i++)
		free(n->tag[i]);
	for (unsigned i = 0; i < n->nfired; i++)
		free(n->fired[i].policy);
	free(n->var);
	free(n->tag);
	free(n->fired);
}

struct sipua_notes *sipua_notes_new(void) { return base_new(sizeof(struct sipua_notes), notes_destroy); }

bool sipua_notes_changed(struct sipua_notes *n)
{
	bool was = n && n->changed;

	if (was)
		n->changed = false;
	return was;
}

static bool room(struct sipua_notes *n, void **array, size_t most, size_t size, unsigned have)
{
	if (!*array)
		*array = calloc(most, size);
	return *array && have < most;
}

/* ---- variables ---- */
static struct var *var_find(const struct sipua_notes *n, struct slice name)
{
	for (unsigned i = 0; n && i < n->vars; i++)
		if (slice_eq(slice_str(n->var[i].name), name))
			return &n->var[i];
	return NULL;
}

struct slice sipua_notes_var(const struct sipua_notes *n, struct slice name)
{
	const struct var *v = var_find(n, name);

	return slice_str(v ? v->value : NULL);
}

static void var_remove(struct sipua_notes *n, struct var *v)
{
	n->bytes -= strlen(v->name) + strlen(v->value);
	free(v->name);
	free(v->value);
	*v = n->var[--n->vars];
	n->changed = true;
}

static int var_add(struct sipua_notes *n, struct slice name, struct slice value)
{
	struct var v;

	if (n->bytes + name.n + value.n > BYTES_MAX || !room(n, (void **)&n->var, VARS_MAX, sizeof(*n->var), n->vars))
		return ERR_FULL;
	v = (struct var){ base_dup(name), base_dup(value) };
	if (!v.name || !v.value) {
		free(v.name);
		free(v.value);
		return -ENOMEM;
	}
	n->var[n->vars++] = v;
	n->bytes += name.n + value.n;
	n->changed = true;
	return 0;
}

int sipua_notes_set_var(struct sipua_notes *n, struct slice name, struct slice value)
{
	struct var *v = var_find(n, name);
	size_t old = v ? strlen(v->value) : 0;
	char *copy;

	if (!value.p) {
		if (v)
			var_remove(n, v);
		return 0;
	}
	if (!v)
		return var_add(n, name, value);
	if (n->bytes - old + value.n > BYTES_MAX)
		return ERR_FULL;
	copy = base_dup(value);
	if (!copy)
		return -ENOMEM;
	free(v->value);
	v->value = copy;
	n->bytes = n->bytes - old + value.n;
	n->changed = true;
	return 0;
}

/* ---- tags ---- */
bool sipua_notes_has_tag(const struct sipua_notes *n, struct slice name)
{
	for (unsigned i = 0; n && i < n->tags; i++)
		if (slice_eq(slice_str(n->tag[i]), name))
			return true;
	return false;
}

int sipua_notes_add_tag(struct sipua_notes *n, struct slice name)
{
	if (sipua_notes_has_tag(n, name))
		return 0;
	if (n->bytes + name.n > BYTES_MAX || !room(n, (void **)&n->tag, TAGS_MAX, sizeof(*n->tag), n->tags))
		return ERR_FULL;
	n->tag[n->tags] = base_dup(name);
	if (!n->tag[n->tags])
		return -ENOMEM;
	n->tags++;
	n->bytes += name.n;
	n->changed = true;
	return 0;
}

/* ---- what fired ---- */
static bool is_same(const struct fired *f, const struct sipua_note *w)
{
	return f->note.line == w->line && f->note.send == w->send && f->note.out == w->out && f->note.request == w->request && slice_eq(f->note.name, w->name);
}

void sipua_notes_fired(struct sipua_notes *n, const struct sipua_note *w)
{
	struct fired *f;

	for (unsigned i = 0; i < n->nfired; i++)
		if (is_same(&n->fired[i], w)) {
			n->fired[i].note.count += w->count;
			n->fired[i].note.last_ms = w->last_ms;
			return;
		}
	if (!room(n, (void **)&n->fired, FIRED_MAX, sizeof(*n->fired), n->nfired))
		return; /* the first ones tell the story; the rules' own counters have the rest */
	f = &n->fired[n->nfired];
	f->policy = base_dup(w->name);
	if (!f->policy)
		return;
	f->note = *w;
	f->note.kind = SIPUA_NOTE_FIRED;
	f->note.name = slice_str(f->policy);
	n->nfired++;
	n->changed = true;
}

/* ---- for the record ---- */
bool sipua_notes_get(const struct sipua_notes *n, unsigned i, struct sipua_note *ret)
{
	*ret = (struct sipua_note){ 0 };
	if (!n)
		return false;
	if (i < n->vars) {
		ret->kind = SIPUA_NOTE_VAR;
		ret->name = slice_str(n->var[i].name);
		ret->value = slice_str(n->var[i].value);
		return true;
	}
	i -= n->vars;
	if (i < n->tags) {
		ret->kind = SIPUA_NOTE_TAG;
		ret->name = slice_str(n->tag[i]);
		return true;
	}
	i -= n->tags;
	if (i < n->nfired)
		*ret = n->fired[i].note;
	return i < n->nfired;
}

int sipua_notes_put(struct sipua_notes *n, const struct sipua_note *w)
{
	switch (w->kind) {
	case SIPUA_NOTE_VAR: return sipua_notes_set_var(n, w->name, w->value);
	case SIPUA_NOTE_TAG: return sipua_notes_add_tag(n, w->name);
	case SIPUA_NOTE_FIRED: sipua_notes_fired(n, w); return 0;
	}
	return ERR_UNSUPPORTED;
}
