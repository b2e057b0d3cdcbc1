/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policies and certificates as resources: files that belong to the revision. A key is written, never read.
 */
#include <errno.h>
#include <stdlib.h>

#include "admin/admin.h"
#include "postern/keys.h"
#include "postern/store.h"

#define FILE_MAX 1048576

static bool name_check(struct admin_request *rq, const char *name)
{
	size_t ok = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

	if (name[0] != '.' && name[0] != '-' && !name[ok] && ok <= 100)
		return true;
	admin_problem(rq, 422, "\"%.64s\" is no file name: letters, digits, dot, dash and underscore, 100 at most", name);
	return false;
}

static const struct store_file *file_of(const struct store_revision_full *r, const char *kind, const char *name)
{
	for (size_t i = 0; name && i < r->nfiles; i++)
		if (!strcmp(r->files[i].kind, kind) && !strcmp(r->files[i].name, name))
			return &r->files[i];
	return NULL;
}

/** The revision in force, for reading; NULL: answered. */
static struct store_revision_full *revision_now(struct admin_request *rq)
{
	struct store_revision_full *r = NULL;
	int err = rq->a->doc ? store_revision_get(rq->a->p.store, rq->a->revision, &r) : ERR_WRONGSTATE;

	if (err)
		admin_problem(rq, err == ERR_WRONGSTATE ? 503 : 500, "the revision in force cannot be read: %s", base_strerror(err));
	return err ? NULL : r;
}

/* ---- policies ---- */
static void no_policy(struct admin_request *rq)
{
	admin_problem(rq, 404, "there is no policy \"%.64s\"", rq->param[0]);
}

static void answer_policy(struct admin_request *rq)
{
	admin_reply_json(rq, 200, json_pack("{s:s, s:I}", "id", rq->param[0], "revision", (json_int_t)rq->a->revision));
}

/** Name of the file that a policy's object names; NULL where there is no such object. */
static const char *policy_file(json_t *root, const char *id, size_t *ret_at)
{
	json_t *o = admin_edit_find(root, admin_collection("policies"), id, ret_at);

	return json_string_value(json_object_get(o, "file"));
}

void admin_get_policy(struct admin_request *rq)
{
	struct store_revision_full *r = revision_now(rq);
	json_t *root = r ? json_loadb(r->document.p, r->document.n, 0, NULL) : NULL;
	const struct store_file *f = r ? file_of(r, "policy", policy_file(root, rq->param[0], NULL)) : NULL;

	if (f) {
		admin_reply_text(rq, 200, "text/plain; charset=utf-8", base_dup(f->bytes));
		admin_etag(rq);
	} else if (r) {
		no_policy(rq);
	}
	json_decref(root);
	store_revision_free(r);
}

void admin_put_policy(struct admin_request *rq)
{
	struct slice source = { rq->body ? rq->body : "", rq->nbody };
	const char *file;
	char name[160];
	struct admin_edit e;
	struct text t = text_on(name, sizeof name);

	if (source.n > FILE_MAX) {
		admin_problem(rq, 413, "a policy has at most %d bytes", FILE_MAX);
		return;
	}
	if (!name_check(rq, rq->param[0]) || !admin_edit_begin(rq, &e))
		return;
	file = policy_file(e.root, rq->param[0], NULL);
	if (!file) {
		text_add(&t, "%s.policy", rq->param[0]);
		if (!json_object_get(e.root, "policies"))
			json_object_set_new(e.root, "policies", json_array());
		json_array_append_new(json_object_get(e.root, "policies"), json_pack("{s:s, s:s}", "id", rq->param[0], "file", name));
		file = policy_file(e.root, rq->param[0], NULL);
		e.status = 201;
	}
	if (!file || !admin_edit_file(&e, "policy", file, source)) {
		admin_problem(rq, 500, "no memory");
		admin_edit_drop(&e);
		return;
	}
	e.answer = answer_policy;
	admin_edit_commit(rq, &e);
}

void admin_delete_policy(struct admin_request *rq)
{
	struct admin_edit e;
	const char *file;
	size_t at = 0;

	if (!admin_edit_begin(rq, &e))
		return;
	file = policy_file(e.root, rq->param[0], &at);
	if (!file) {
		no_policy(rq);
		admin_edit_drop(&e);
		return;
	}
	/* the file itself goes with the object: what no policy names is left out of a revision */
	json_array_remove(json_object_get(e.root, "policies"), at);
	e.removal = true;
	e.status = 204;
	admin_edit_commit(rq, &e);
}

/* ---- certificates ---- */
/** Does a TLS profile name this certificate? Its key's file then, NULL where none says so. */
static const char *profile_key(json_t *root, const char *name)
{
	json_t *all = json_object_get(root, "tls_profiles"), *o;
	const char *c, *k;
	size_t i;

	json_array_foreach(all, i, o) {
		c = json_string_value(json_object_get(o, "certificate"));
		k = json_string_value(json_object_get(o, "key"));
		if (c && k && !strcmp(c, name))
			return k;
	}
	return NULL;
}

static json_t *users_of(json_t *root, const char *name)
{
	json_t *list = json_array(), *all = json_object_get(root, "tls_profiles"), *o;
	const char *c, *ca;
	size_t i;

	json_array_foreach(all, i, o) {
		c = json_string_value(json_object_get(o, "certificate"));
		ca = json_string_value(json_object_get(o, "ca"));
		if ((c && !strcmp(c, name)) || (ca && !strcmp(ca, name)))
			json_array_append_new(list, json_sprintf("tls_profiles/%s", json_string_value(json_object_get(o, "id"))));
	}
	return list;
}

static json_t *names_json(char *names)
{
	json_t *list = json_array();

	for (char *p = names, *end; *p; p = end) {
		end = strstr(p, ", ");
		if (end) {
			*end = 0;
			end += 2;
		} else {
			end = p + strlen(p);
		}
		json_array_append_new(list, json_string(strchr(p, ':') ? strchr(p, ':') + 1 : p));
	}
	return list;
}

static json_t *certificate_json(const struct store_revision_full *r, json_t *root, const struct store_file *f)
{
	const char *key = profile_key(root, f->name);
	struct keys_certificate c;
	char from[32], until[32];

	if (keys_certificate_get(f->bytes, &c))
		return json_pack("{s:s, s:s, s:o}", "name", f->name, "error", "no certificate in it", "used_by", users_of(root, f->name));
	return json_pack("{s:s, s:s, s:s, s:o, s:s, s:s, s:s, s:s, s:b, s:o}", "name", f->name, "subject", c.subject, "issuer", c.issuer, "names", names_json(c.names),
		"not_before", base_time_rfc3339(c.not_before_ms, from), "expires", base_time_rfc3339(c.not_after_ms, until), "fingerprint", c.fingerprint,
		"key_type", c.key, "key", file_of(r, "key", key ? key : f->name) != NULL, "used_by", users_of(root, f->name));
}

struct certificates { const struct store_revision_full *r; json_t *root; };

static json_t *nth_certificate(void *arg, size_t at)
{
	const struct certificates *c = arg;
	size_t i = 0;

	for (; i < c->r->nfiles; i++)
		if (!strcmp(c->r->files[i].kind, "certificate") && at-- == 0)
			break;
	return i < c->r->nfiles ? certificate_json(c->r, c->root, &c->r->files[i]) : NULL;
}

void admin_get_certificates(struct admin_request *rq)
{
	struct store_revision_full *r = revision_now(rq);
	struct certificates all = { r, r ? json_loadb(r->document.p, r->document.n, 0, NULL) : NULL };
	size_t n = 0;

	if (!r)
		return;
	for (size_t i = 0; i < r->nfiles; i++)
		n += !strcmp(r->files[i].kind, "certificate");
	if (admin_reply_list(rq, n, nth_certificate, &all))
		admin_etag(rq);
	json_decref(all.root);
	store_revision_free(r);
}

static void no_certificate(struct admin_request *rq)
{
	admin_problem(rq, 404, "there is no certificate \"%.64s\"", rq->param[0]);
}

void admin_get_certificate(struct admin_request *rq)
{
	struct store_revision_full *r = revision_now(rq);
	const struct store_file *f = r ? file_of(r, "certificate", rq->param[0]) : NULL;
	json_t *root = f ? json_loadb(r->document.p, r->document.n, 0, NULL) : NULL;

	if (f) {
		admin_reply_json(rq, 200, certificate_json(r, root, f));
		admin_etag(rq);
	} else if (r) {
		no_certificate(rq);
	}
	json_decref(root);
	store_revision_free(r);
}

/** A member of the body that is PEM text; `need`: it must be there. false: answered. */
static bool pem_of(struct admin_request *rq, const char *key, bool need, struct slice *ret)
{
	json_t *v = json_object_get(rq->json, key);

	*ret = (struct slice){ json_string_value(v), json_string_length(v) };
	if (json_is_string(v) && ret->n <= FILE_MAX && !memchr(ret->p, 0, ret->n))
		return true;
	if (!v && !need)
		return true;
	admin_problem_errors(rq, 422, "send {\"certificate\": PEM, \"key\": PEM}", json_pack("[{s:o, s:s}]", "pointer", json_sprintf("/%s", key),
		"message", "must be PEM text of at most 1 MiB"), NULL);
	return false;
}

static bool members_check(struct admin_request *rq)
{
	const char *key;
	json_t *v;

	json_object_foreach(rq->json, key, v) {
		if (!strcmp(key, "certificate") || !strcmp(key, "key"))
			continue;
		admin_problem_errors(rq, 422, "unknown member", json_pack("[{s:o, s:s}]", "pointer", json_sprintf("/%.64s", key), "message",
			"is neither certificate nor key"), NULL);
		return false;
	}
	return true;
}

/** Do certificate and key belong together? A certificate alone is an anchor (CA). */
static bool pair_check(struct admin_request *rq, struct slice cert, struct slice key)
{
	static const struct keys_tls_conf conf = { .id = "check", .certificate = "certificate", .key = "key", .verify = KEYS_VERIFY_NONE };
	const struct keys_pem pem = { cert, key, { "", 0 } };
	struct keys_certificate c;
	struct keys_tls *tls = NULL;
	char why[256] = "no certificate in it";
	int err = keys_certificate_get(cert, &c);

	if (!err && key.n)
		err = keys_tls_new(&conf, &pem, why, &tls);
	base_unref(tls);
	if (!err)
		return true;
	admin_problem_errors(rq, err == ERR_CONFIG ? 422 : 500, "the certificate cannot be used; nothing has changed",
		json_pack("[{s:s, s:s}]", "pointer", key.n && keys_certificate_get(cert, &c) == 0 ? "/key" : "/certificate", "message", why), NULL);
	return false;
}

static void answer_certificate(struct admin_request *rq)
{
	admin_get_certificate(rq);
}

void admin_put_certificate(struct admin_request *rq)
{
	struct slice cert, key;
	const char *key_name;
	struct admin_edit e;
	bool there;

	if (!name_check(rq, rq->param[0]) || !members_check(rq) || !pem_of(rq, "certificate", true, &cert) || !pem_of(rq, "key", false, &key) ||
	    !pair_check(rq, cert, key) || !admin_edit_begin(rq, &e))
		return;
	key_name = profile_key(e.root, rq->param[0]);
	there = file_of(e.base, "certificate", rq->param[0]) != NULL;
	if (!admin_edit_file(&e, "certificate", rq->param[0], cert) || (key.n && !admin_edit_file(&e, "key", key_name ? key_name : rq->param[0], key))) {
		admin_problem(rq, 500, "no memory");
		admin_edit_drop(&e);
		return;
	}
	e.status = there ? 200 : 201;
	e.answer = answer_certificate;
	admin_edit_commit(rq, &e);
}

void admin_delete_certificate(struct admin_request *rq)
{
	struct admin_edit e;
	json_t *users;

	if (!admin_edit_begin(rq, &e))
		return;
	if (!file_of(e.base, "certificate", rq->param[0])) {
		no_certificate(rq);
		admin_edit_drop(&e);
		return;
	}
	users = users_of(e.root, rq->param[0]);
	if (json_array_size(users)) {
		char *text = json_dumps(users, JSON_COMPACT);

		admin_problem_errors(rq, 409, text ? text : "in use", json_array(), json_pack("{s:O}", "users", users));
		free(text);
		admin_edit_drop(&e);
	} else {
		admin_edit_unfile(&e, "certificate", rq->param[0]);
		admin_edit_unfile(&e, "key", rq->param[0]);
		e.status = 204;
		admin_edit_commit(rq, &e);
	}
	json_decref(users);
}
