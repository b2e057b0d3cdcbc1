/* SPDX-License-Identifier: Apache-2.0 */
/* app/policies: which bytes of a revision a policy means, and which names its rules may use. */
#include "app/policies.h"

#include <errno.h>
#include <stdlib.h>

#include "app/bundle.h"
#include "postern/conf.h"
#include "postern/peer.h"
#include "postern/rule.h"

struct source { const struct conf_doc *doc; const struct app_bundle *bundle; };

/* Included files are those of the revision: what is not imported with it is not there when it comes from the store. */
static int include(void *arg, const char *from, struct slice name, struct slice *ret_text, struct slice *ret_name)
{
	const struct source *s = arg;

	(void)from;
	for (size_t i = 0; i < s->bundle->nfiles; i++) {
		const struct app_file *f = &s->bundle->file[i];

		if (strcmp(f->kind, "policy") != 0 || !slice_eq(slice_str(f->name), name))
			continue;
		*ret_text = f->bytes;
		*ret_name = slice_str(f->name);
		return 0;
	}
	return ERR_NOTFOUND;
}

static bool is_named(const struct conf_doc *doc, const struct conf_collection *col, struct slice name)
{
	size_t n = 0;
	const void *const *obj = conf_objects(doc, col, &n);

	/* the id is the first member of all of them */
	for (size_t i = 0; i < n; i++)
		if (slice_eq(slice_str(*(const char *const *)obj[i]), name))
			return true;
	return false;
}

static bool is_peer(void *arg, struct slice name)
{
	const struct source *s = arg;

	return is_named(s->doc, &peer_schema_trunks, name) || is_named(s->doc, &peer_schema_realms, name) || is_named(s->doc, &peer_schema_groups, name);
}

static void tell(const struct conf_doc *doc, const void *obj, const struct rule_errors *why, struct conf_errors *errs)
{
	char buf[128];
	const char *at = conf_pointer(doc, &rule_schema_policies, obj, buf);

	for (size_t i = 0; i < rule_errors_count(why); i++) {
		const struct rule_error *e = rule_errors_get(why, i);

		conf_error(errs, at, "%s:%u:%u: %s%s%s", e->file, e->line, e->col, e->message, e->hint[0] ? "; " : "", e->hint);
	}
}

static int load_one(struct source *s, const struct rule_policy_conf *c, struct conf_errors *errs, struct rule_set **ret)
{
	const struct app_file *f = c->file ? app_bundle_find(s->bundle, "policy", c->file) : NULL;
	struct rule_load how = { .file = c->file, .shadow = c->shadow, .include = include, .is_peer = is_peer, .arg = s };
	struct rule_errors *why;
	int err;

	if (!f)
		return ERR_CONFIG; /* told where files are gathered */
	why = rule_errors_new();
	if (!why)
		return -ENOMEM;
	err = rule_set_load(f->bytes, &how, why, ret);
	tell(s->doc, c, why, errs);
	base_unref(why);
	return err;
}

static int load_builtin(struct app_policies *p)
{
	struct rule_load how = { .file = "builtin.policy" };
	struct rule_errors *why = rule_errors_new();
	int err = why ? rule_set_load(rule_builtin_text(), &how, why, &p->builtin) : -ENOMEM;

	base_unref(why);
	return err;
}

static void policies_destroy(void *obj)
{
	struct app_policies *p = obj;

	for (size_t i = 0; p->set && i < p->n; i++)
		base_unref(p->set[i]);
	free(p->set);
	base_unref(p->builtin);
	base_unref((void *)(uintptr_t)p->doc);
}

int app_policies_new(const struct conf_doc *doc, const struct app_bundle *b, struct conf_errors *errs, struct app_policies **ret)
{
	struct source s = { doc, b };
	struct app_policies *p = base_new(sizeof(*p), policies_destroy);
	const void *const *conf;
	int err, bad = 0;

	if (!p)
		return -ENOMEM;
	p->doc = base_ref((void *)(uintptr_t)doc);
	conf = conf_objects(doc, &rule_schema_policies, &p->n);
	p->set = calloc(p->n ? p->n : 1, sizeof(*p->set));
	bad = p->set ? load_builtin(p) : -ENOMEM;
	for (size_t i = 0; p->set && i < p->n; i++) {
		err = load_one(&s, conf[i], errs, &p->set[i]);
		bad = bad ? bad : err;
	}
	if (bad)
		base_unref(p);
	else
		*ret = p;
	return bad;
}
