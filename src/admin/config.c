/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration in force: whole, by collection, by object; its revision is the ETag (RFC 9110 section 8.8.3). Secrets leave as "***".
 */
#include <stdio.h>
#include <stdlib.h>

#include "admin/admin.h"
#include "postern/conf.h"
#include "postern/peer.h"

int admin_set_revision(struct admin *a, uint64_t number, struct slice document)
{
	const struct peer_system_conf *sys;
	struct conf_errors *errs;
	struct conf_doc *doc;
	int err = conf_errors_new(&errs);

	if (err)
		return err;
	err = conf_parse(document, ctl_schema, errs, &doc);
	base_unref(errs);
	if (err) {
		base_log(BASE_ERROR, "admin", "the revision in force does not parse revision=%llu", (unsigned long long)number);
		return err;
	}
	base_unref(a->doc);
	a->doc = doc;
	a->revision = number;
	sys = conf_find(doc, &peer_schema_system, "system");
	a->metrics_open = sys && sys->api.metrics_open;
	slice_copy(a->name, sizeof a->name, slice_str(sys ? sys->name : NULL));
	return 0;
}

static bool doc_check(struct admin_request *rq)
{
	if (!rq->a->doc)
		admin_problem(rq, 503, "no configuration is in force yet");
	return rq->a->doc != NULL;
}

/** The tag; answers 304 and false where the client has it. */
static bool etag(struct admin_request *rq, char buf[static 32])
{
	const char *have = MHD_lookup_connection_value(rq->conn, MHD_HEADER_KIND, "If-None-Match");

	snprintf(buf, 32, "\"%llu\"", (unsigned long long)rq->a->revision);
	if (!have || strcmp(have, buf))
		return true;
	admin_reply_empty(rq, 304);
	admin_reply_header(rq, "ETag", buf);
	return false;
}

static void reply(struct admin_request *rq, json_t *v, char *text, const char *tag)
{
	if (v)
		admin_reply_json(rq, 200, v);
	else
		admin_reply_text(rq, 200, "application/json", text);
	admin_reply_header(rq, "ETag", tag);
}

void admin_get_config(struct admin_request *rq)
{
	char tag[32];

	if (doc_check(rq) && etag(rq, tag))
		reply(rq, NULL, conf_print(rq->a->doc, true), tag);
}

void admin_get_collection(struct admin_request *rq)
{
	const struct conf_collection *c = admin_collection(rq->param[0]);
	char tag[32], *text;
	json_t *all;

	if (!c) {
		admin_problem(rq, 404, "the configuration has no collection \"%.64s\"", rq->param[0]);
		return;
	}
	if (!doc_check(rq) || !etag(rq, tag))
		return;
	text = conf_print_part(rq->a->doc, c->name, NULL, true);
	all = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
	free(text);
	if (c->single) {
		reply(rq, all ? all : json_object(), NULL, tag);
		return;
	}
	if (admin_reply_array(rq, all))
		admin_reply_header(rq, "ETag", tag);
	json_decref(all);
}

void admin_get_object(struct admin_request *rq)
{
	const struct conf_collection *c = admin_collection(rq->param[0]);
	char tag[32], *text;

	if (!doc_check(rq) || !etag(rq, tag))
		return;
	text = c && !c->single ? conf_print_part(rq->a->doc, c->name, rq->param[1], true) : NULL;
	if (text)
		reply(rq, NULL, text, tag);
	else
		admin_problem(rq, 404, "%s has no \"%.64s\"", c ? c->name : "the configuration", rq->param[c && !c->single]);
}
