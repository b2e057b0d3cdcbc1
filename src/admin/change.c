/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A change of configuration from a request to its answer. The new document is checked here; then the supervisor prepares it in all processes,
 * this one makes it durable, all take it, and the request is answered (docs/design/0003-api.md). Changes go one at a time, in the order in
 * which they came. What was taken until confirmed reverts by itself: the deadline stands in the database.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin/admin.h"
#include "postern/store.h"

#define ORIGIN     "origin"        /* kind of the note beside a file that says where it was imported from */
#define REVERT_MS  1000            /* between two tries to go back */
#define FILES_MORE 4

/* ---- the edit ---- */
const struct conf_collection *admin_collection(const char *name)
{
	for (size_t i = 0; ctl_schema[i]; i++)
		if (!strcmp(ctl_schema[i]->name, name))
			return ctl_schema[i];
	return NULL;
}

json_t *admin_edit_find(json_t *root, const struct conf_collection *c, const char *id, size_t *ret_at)
{
	json_t *all = json_object_get(root, c->name), *o;
	const char *have;
	size_t i;

	if (c->single)
		return all;
	json_array_foreach(all, i, o) {
		have = json_string_value(json_object_get(o, "id"));
		if (!have || strcmp(have, id))
			continue;
		if (ret_at)
			*ret_at = i;
		return o;
	}
	return NULL;
}

static struct store_file *file_find(const struct admin_edit *e, const char *kind, const char *name)
{
	for (size_t i = 0; i < e->nfiles; i++)
		if (!strcmp(e->file[i].kind, kind) && !strcmp(e->file[i].name, name))
			return &e->file[i];
	return NULL;
}

static void file_drop(struct admin_edit *e, struct store_file *f)
{
	if (f)
		*f = e->file[--e->nfiles];
}

/* What the API wrote has no place that it was imported from. */
static void origin_drop(struct admin_edit *e, const char *kind, const char *name)
{
	char key[512];
	struct text t = text_on(key, sizeof key);

	text_add(&t, "%s:%s", kind, name);
	file_drop(e, file_find(e, ORIGIN, key));
}

bool admin_edit_file(struct admin_edit *e, const char *kind, const char *name, struct slice bytes)
{
	struct store_file *f = file_find(e, kind, name);

	origin_drop(e, kind, name);
	f = file_find(e, kind, name); /* the last one may stand elsewhere now */
	if (!f && e->nfiles == e->room)
		return false;
	if (!f)
		f = &e->file[e->nfiles++];
	*f = (struct store_file){ kind, name, bytes };
	return true;
}

bool admin_edit_unfile(struct admin_edit *e, const char *kind, const char *name)
{
	if (!file_find(e, kind, name))
		return false;
	origin_drop(e, kind, name);
	file_drop(e, file_find(e, kind, name));
	return true;
}

void admin_edit_drop(struct admin_edit *e)
{
	json_decref(e->root);
	free(e->file);
	store_revision_free(e->base);
	*e = (struct admin_edit){ 0 };
}

static int edit_open(struct admin *a, uint64_t number, struct admin_edit *e)
{
	int err = store_revision_get(a->p.store, number, &e->base);

	if (err)
		return err;
	e->room = e->base->nfiles + FILES_MORE;
	e->file = base_alloc(e->room * sizeof *e->file);
	e->root = json_loadb(e->base->document.p, e->base->document.n, JSON_REJECT_DUPLICATES, NULL);
	if (!e->file || !e->root) {
		admin_edit_drop(e);
		return -ENOMEM;
	}
	memcpy(e->file, e->base->files, e->base->nfiles * sizeof *e->file);
	e->nfiles = e->base->nfiles;
	return 0;
}

/* ---- If-Match ---- */
void admin_etag(struct admin_request *rq)
{
	char tag[32];

	snprintf(tag, sizeof tag, "\"%llu\"", (unsigned long long)rq->a->revision);
	if (rq->response && !MHD_get_response_header(rq->response, "ETag"))
		admin_reply_header(rq, "ETag", tag);
}

/** Is our revision in a list of entity tags (RFC 9110 section 13.1.1)? Quotes may be left out. */
static bool tag_listed(const char *list, uint64_t revision)
{
	char have[32];
	size_t n;

	snprintf(have, sizeof have, "%llu", (unsigned long long)revision);
	while (*list) {
		list += strspn(list, " \t,\"");
		n = strcspn(list, " \t,\"");
		if (n && (slice_eq((struct slice){ list, n }, slice_str(have)) || slice_eq((struct slice){ list, n }, SLICE("*"))))
			return true;
		list += n;
	}
	return false;
}

static bool match_check(struct admin_request *rq)
{
	const char *want = MHD_lookup_connection_value(rq->conn, MHD_HEADER_KIND, "If-Match");

	if (!want || tag_listed(want, rq->a->revision))
		return true;
	admin_problem(rq, 412, "revision %llu is in force, not what If-Match names: read it again", (unsigned long long)rq->a->revision);
	admin_etag(rq);
	return false;
}

/* ---- turns ---- */
static bool turn_wait(struct admin_request *rq)
{
	struct admin_change *c = &rq->a->change;

	if (!c->busy)
		return false;
	if (c->nqueue == ADMIN_QUEUE) {
		admin_problem(rq, 503, "too many changes wait for their turn");
		admin_reply_header(rq, "Retry-After", "1");
		return true;
	}
	c->queue[c->nqueue++] = rq;
	rq->waiting = true;
	return true;
}

/** Let those that wait try, until one is under way. */
static void turn_next(struct admin *a)
{
	struct admin_change *c = &a->change;

	while (!c->busy && c->nqueue) {
		struct admin_request *rq = c->queue[0];

		memmove(c->queue, c->queue + 1, --c->nqueue * sizeof(struct admin_request *));
		rq->waiting = false;
		rq->route->handle(rq);
		if (!rq->waiting)
			admin_http_resume(rq);
	}
}

bool admin_edit_begin(struct admin_request *rq, struct admin_edit *e)
{
	struct admin *a = rq->a;
	int err;

	*e = (struct admin_edit){ .status = 200 };
	if (!a->doc || !a->p.apply) {
		admin_problem(rq, 503, a->doc ? "the configuration cannot be changed here" : "no configuration is in force yet");
		return false;
	}
	if (turn_wait(rq) || !match_check(rq))
		return false;
	err = edit_open(a, a->revision, e);
	if (!err)
		return true;
	admin_problem(rq, 500, "the revision in force cannot be read: %s", base_strerror(err));
	return false;
}

/* ---- checks of the new document ---- */
static json_t *note_new(struct slice pointer, struct slice message)
{
	json_t *p = json_stringn(pointer.p, pointer.n), *m = json_stringn(message.p, message.n);

	return json_pack("{s:o, s:o}", "pointer", p ? p : json_string(""), "message", m ? m : json_string("not UTF-8"));
}

static json_t *notes_of(const struct conf_errors *errs, bool warnings)
{
	json_t *list = json_array();
	const struct conf_note *n;

	for (size_t i = 0; (n = conf_errors_at(errs, i)); i++)
		if (n->warning == warnings)
			json_array_append_new(list, note_new(slice_str(n->pointer), slice_str(n->message)));
	return list;
}

/** "/trunks/3/realm" -> "trunks/carrier-a" */
static json_t *user_of(json_t *root, const char *pointer)
{
	char name[64] = "";
	unsigned at = 0;
	const char *id;

	if (sscanf(pointer, "/%63[^/]/%u", name, &at) < 1)
		return NULL;
	id = json_string_value(json_object_get(json_array_get(json_object_get(root, name), at), "id"));
	return id ? json_sprintf("%s/%s", name, id) : json_string(name);
}

static json_t *users_of(json_t *root, const struct conf_errors *errs)
{
	json_t *list = json_array(), *u, *have;
	const struct conf_note *n;
	size_t k;

	for (size_t i = 0; (n = conf_errors_at(errs, i)); i++) {
		u = n->warning ? NULL : user_of(root, n->pointer);
		json_array_foreach(list, k, have)
			if (u && json_equal(have, u)) {
				json_decref(u);
				u = NULL;
			}
		if (u)
			json_array_append_new(list, u);
	}
	return list;
}

static void refuse_removal(struct admin_request *rq, json_t *root, const struct conf_errors *errs)
{
	json_t *users = users_of(root, errs);
	char *text = json_dumps(users, JSON_COMPACT);

	admin_problem_errors(rq, 409, text ? text : "it is in use", notes_of(errs, false), json_pack("{s:o}", "users", users));
	free(text);
}

/** The document as text with the secrets of the one in force; NULL: answered. */
static char *document_text(struct admin_request *rq, struct admin_edit *e)
{
	char *plain = json_dumps(e->root, JSON_INDENT(2)), *text = NULL;
	int err = plain ? conf_restore_secrets(slice_str(plain), rq->a->doc, &text) : -ENOMEM;

	if (plain)
		explicit_bzero(plain, strlen(plain));
	free(plain);
	if (err)
		admin_problem(rq, err == ERR_CONFIG ? 422 : 500, "the document cannot be read: %s", base_strerror(err));
	return err ? NULL : text;
}

static bool document_check(struct admin_request *rq, struct admin_edit *e, const char *text)
{
	struct conf_errors *errs = NULL;
	struct conf_doc *doc = NULL;
	int err = conf_errors_new(&errs);

	if (!err)
		err = conf_parse(slice_str(text), ctl_schema, errs, &doc);
	if (err == ERR_CONFIG && e->removal)
		refuse_removal(rq, e->root, errs);
	else if (err == ERR_CONFIG)
		admin_problem_errors(rq, 422, "the configuration is not right", notes_of(errs, false), NULL);
	else if (err)
		admin_problem(rq, 500, "the document cannot be checked: %s", base_strerror(err));
	base_unref(doc);
	base_unref(errs);
	return !err;
}

/* ---- asking ---- */
static void change_end(struct admin *a)
{
	struct admin_change *c = &a->change;

	loop_timer_stop(&c->timer);
	c->busy = c->own = false;
	c->rq = NULL;
	admin_revert_watch(a);
}

static void late(void *arg)
{
	struct admin *a = arg;
	struct admin_request *rq = a->change.rq;

	base_log(BASE_ERROR, "admin", "a change of configuration was not answered in time");
	change_end(a);
	if (rq) {
		admin_problem(rq, 504, "the change was not answered in time: look at /config before asking again");
		admin_http_resume(rq);
	}
	turn_next(a);
}

static int ask(struct admin *a, struct admin_request *rq, struct admin_apply *w)
{
	struct admin_change *c = &a->change;
	int err;

	if (!++c->id)
		c->id = 1;
	w->id = c->id;
	w->base = a->revision;
	err = a->p.apply(a->p.arg, w);
	if (err)
		return err;
	c->busy = true;
	c->rq = rq;
	c->own = !rq;
	c->dry_run = w->dry_run;
	loop_timer_start(a->p.loop, &c->timer, ADMIN_APPLY_MS, late, a);
	return 0;
}

/** confirm_within: later than now, and what to go back to: what an earlier one that waits would go back to. */
static bool terms(struct admin_request *rq, const struct admin_edit *e, struct admin_apply *w)
{
	struct store_pending was;
	uint64_t within;

	if (!admin_query_bool(rq, "dry_run", &w->dry_run) || !admin_query_number(rq, "confirm_within", 86400, &within))
		return false;
	if (admin_query(rq, "confirm_within") && !within) {
		admin_problem(rq, 400, "confirm_within is a number of seconds from 1 to 86400");
		return false;
	}
	w->step = e->step;
	if (!within)
		return true;
	w->step = STORE_PENDING_SET;
	w->previous = store_pending_get(rq->a->p.store, &was) == 0 ? was.previous : rq->a->revision;
	w->deadline_ms = base_wall_ms() + (int64_t)within * 1000;
	return true;
}

void admin_edit_commit(struct admin_request *rq, struct admin_edit *e)
{
	const char *comment = MHD_lookup_connection_value(rq->conn, MHD_HEADER_KIND, "X-Comment");
	struct admin_apply w = { .files = e->file, .nfiles = e->nfiles, .user = rq->user, .comment = comment ? comment : e->comment ? e->comment : "" };
	char *text = terms(rq, e, &w) ? document_text(rq, e) : NULL;
	int err;

	if (text && document_check(rq, e, text)) {
		w.document = slice_str(text);
		err = ask(rq->a, rq, &w);
		if (err) {
			admin_problem(rq, 503, "the change cannot be asked for: %s", base_strerror(err));
		} else {
			rq->waiting = true;
			rq->a->change.status = e->status;
			rq->a->change.answer = e->answer;
		}
	}
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
	admin_edit_drop(e);
}

/* ---- the answer ---- */
static json_t *notes_json(const struct admin_note *n, size_t count, bool warnings)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		if (n[i].warning == warnings)
			json_array_append_new(list, note_new(n[i].pointer, n[i].message));
	return list;
}

static void answer_refusal(struct admin_request *rq, int status, const struct admin_note *notes, size_t n)
{
	switch (status) {
	case ERR_CONFIG:
		admin_problem_errors(rq, 422, "the change cannot be put in force; nothing has changed", notes_json(notes, n, false), NULL);
		break;
	case ERR_GONE:
		admin_problem(rq, 409, "another revision came first: read the configuration and try again");
		break;
	case -EBUSY:
		admin_problem(rq, 503, "processes are on their way up: try again");
		admin_reply_header(rq, "Retry-After", "1");
		break;
	case -ENOSPC:
		admin_problem(rq, 507, "the revision cannot be stored: the disk is full; the old one stays in force");
		break;
	default:
		admin_problem(rq, 500, "the change failed, the old revision stays in force: %s", n ? notes[0].message.p : base_strerror(status));
	}
}

#define WARNINGS_MOST 10

/** Where the body is the object that was written, warnings are headers: `X-Warning: /pointer: message`. */
static void warning_headers(struct admin_request *rq, const struct admin_note *n, size_t count)
{
	char line[400];
	unsigned given = 0;

	for (size_t i = 0; i < count && given < WARNINGS_MOST; i++) {
		if (!n[i].warning)
			continue;
		snprintf(line, sizeof line, "%.*s: %.*s", (int)n[i].pointer.n, n[i].pointer.p, (int)n[i].message.n, n[i].message.p);
		for (char *p = line; *p; p++)
			if (*p < ' ' || *p > '~')
				*p = '?';
		admin_reply_header(rq, "X-Warning", line);
		given++;
	}
}

static void answer_done(struct admin_request *rq, uint64_t number, const struct admin_note *notes, size_t n)
{
	struct admin_change *c = &rq->a->change;
	json_t *warnings = notes_json(notes, n, true);

	if (c->dry_run)
		admin_reply_json(rq, 200, json_pack("{s:b, s:O}", "valid", 1, "warnings", warnings));
	else if (c->answer)
		c->answer(rq);
	else if (c->status == 200)
		admin_reply_json(rq, 200, json_pack("{s:I, s:O}", "revision", (json_int_t)number, "warnings", warnings));
	else
		admin_reply_empty(rq, c->status);
	if (!c->dry_run && !c->answer && rq->status >= 300)
		base_log(BASE_WARN, "admin", "an answer to a change could not be made");
	else if (!c->dry_run && rq->status == 200)
		rq->status = c->status;
	if (!c->dry_run && (c->answer || c->status != 200))
		warning_headers(rq, notes, n);
	json_decref(warnings);
	admin_etag(rq);
}

void admin_applied(struct admin *a, uint32_t id, int status, uint64_t number, const struct admin_note *notes, size_t n)
{
	struct admin_change *c = &a->change;
	struct admin_request *rq = c->rq;

	if (!c->busy || id != c->id)
		return;
	if (c->own && status)
		base_log(BASE_ERROR, "admin", "the configuration that was not confirmed cannot be taken back yet error=\"%s\"", base_strerror(status));
	if (rq && status)
		answer_refusal(rq, status, notes, n);
	else if (rq)
		answer_done(rq, number, notes, n);
	change_end(a);
	if (rq)
		admin_http_resume(rq);
	turn_next(a);
}

void admin_change_forget(struct admin_request *rq)
{
	struct admin_change *c = &rq->a->change;

	if (c->rq == rq)
		c->rq = NULL;
	for (size_t i = 0; i < c->nqueue; i++)
		if (c->queue[i] == rq) {
			memmove(c->queue + i, c->queue + i + 1, (--c->nqueue - i) * sizeof(struct admin_request *));
			return;
		}
}

/* ---- going back ---- */
void admin_roll_back(struct admin *a, struct admin_request *rq, uint64_t number, const char *comment)
{
	struct store_revision_full *r = NULL;
	struct admin_apply w = { .user = rq ? rq->user : "postern", .comment = comment, .step = STORE_PENDING_CLEAR };
	int err = store_revision_get(a->p.store, number, &r);

	if (!err) {
		w.document = r->document;
		w.files = r->files;
		w.nfiles = r->nfiles;
		err = ask(a, rq, &w);
	}
	store_revision_free(r);
	if (rq && err) {
		admin_problem(rq, err == ERR_NOTFOUND ? 404 : 503, err == ERR_NOTFOUND ? "there is no revision %llu" : "revision %llu cannot be put back",
			(unsigned long long)number);
	} else if (rq) {
		rq->waiting = true;
		a->change.status = 200;
		a->change.answer = NULL;
	}
}

static void revert_tick(void *arg)
{
	struct admin *a = arg;
	struct store_pending p;

	if (a->change.busy || !a->doc || store_pending_get(a->p.store, &p)) {
		admin_revert_watch(a);
		return;
	}
	if (base_wall_ms() >= p.deadline_ms) {
		base_log(BASE_WARN, "admin", "revision %llu was not confirmed in time, going back to revision %llu", (unsigned long long)p.revision,
			(unsigned long long)p.previous);
		admin_roll_back(a, NULL, p.previous, "not confirmed in time");
	}
	if (!a->change.busy)
		admin_revert_watch(a);
}

void admin_revert_watch(struct admin *a)
{
	struct store_pending p;
	int64_t wait;

	if (!a->p.apply || store_pending_get(a->p.store, &p)) {
		loop_timer_stop(&a->change.revert);
		return;
	}
	wait = p.deadline_ms - base_wall_ms();
	/* a clock that is set, and tries that failed, are looked at each second */
	loop_timer_start(a->p.loop, &a->change.revert, wait > 0 && wait < REVERT_MS ? wait : REVERT_MS, revert_tick, a);
}

void admin_change_start(struct admin *a)
{
	base_random(&a->change.id, sizeof a->change.id);
	admin_revert_watch(a);
}

void admin_change_stop(struct admin *a)
{
	struct admin_change *c = &a->change;
	struct admin_request *rq;

	loop_timer_stop(&c->timer);
	loop_timer_stop(&c->revert);
	if (c->rq) {
		admin_problem(c->rq, 503, "the API ends: look at /config before asking again");
		admin_http_resume(c->rq);
		c->rq = NULL;
	}
	while (c->nqueue) {
		rq = c->queue[--c->nqueue];
		admin_problem(rq, 503, "the API ends");
		admin_http_resume(rq);
	}
}
