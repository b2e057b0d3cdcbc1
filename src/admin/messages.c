/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a call went as it went, and what was said on the wire: for live calls by their records, for ended ones by their CDRs.
 */
#include <stdlib.h>

#include "admin/admin.h"
#include "postern/store.h"

/** The CDR of the path, parsed; answered where there is none. */
static json_t *cdr_of(struct admin_request *rq)
{
	char *text = NULL;
	json_t *cdr = NULL;
	int err;

	admin_records_drain(rq->a);
	err = store_cdr_get(rq->a->p.store, rq->param[0], &text);
	if (!err)
		cdr = json_loads(text, 0, NULL);
	free(text);
	if (err == ERR_NOTFOUND)
		admin_problem(rq, 404, "no ended call has this id: live ones are in /calls");
	else if (!cdr)
		admin_problem(rq, 500, "the record of this call cannot be read: %s", base_strerror(err ? err : ERR_PROTO));
	return cdr;
}

void admin_get_decisions(struct admin_request *rq)
{
	struct ctl_maps m = admin_maps(rq->a, NULL);
	json_t *list = ctl_render_decisions(&m, rq->param[0]);

	if (list)
		admin_reply_json(rq, 200, list);
	else
		admin_problem(rq, 404, "no live call has this id: ended ones are in /cdrs");
}

void admin_get_cdr_decisions(struct admin_request *rq)
{
	json_t *cdr = cdr_of(rq);

	if (cdr)
		admin_reply_json(rq, 200, ctl_render_decisions_of_cdr(cdr));
	json_decref(cdr);
}

static void reply_list(struct admin_request *rq, const char *format, const struct ctl_message_list *l, const struct ctl_dialogs *d)
{
	size_t n = 0;
	char *bytes;

	if (!strcmp(format, "text")) {
		admin_reply_text(rq, 200, "text/plain; charset=utf-8", ctl_messages_ladder(l, d));
	} else if (!strcmp(format, "pcap")) {
		bytes = ctl_messages_pcap(l, &n);
		admin_reply_bytes(rq, 200, "application/vnd.tcpdump.pcap", bytes, n);
	} else {
		admin_reply_json(rq, 200, ctl_messages_json(l, d));
	}
}

static void reply_messages(struct admin_request *rq, const struct ctl_dialogs *d)
{
	struct ctl_maps m = admin_maps(rq->a, NULL);
	const char *format = admin_query(rq, "format");
	struct ctl_message_list *l = NULL;

	if (format && strcmp(format, "json") && strcmp(format, "text") && strcmp(format, "pcap"))
		admin_problem(rq, 400, "format=%.32s is none of json, text, pcap", format);
	else if (ctl_messages(&m, d, &l))
		admin_problem(rq, 500, "no memory");
	else
		reply_list(rq, format ? format : "json", l, d);
	ctl_messages_free(l);
}

void admin_get_messages(struct admin_request *rq)
{
	struct ctl_maps m = admin_maps(rq->a, NULL);
	struct ctl_dialogs d;
	void *buf;

	if (ctl_dialogs_of_call(&m, rq->param[0], &d, &buf)) {
		admin_problem(rq, 404, "no live call has this id: ended ones are in /cdrs");
		return;
	}
	reply_messages(rq, &d);
	free(buf);
}

void admin_get_cdr_messages(struct admin_request *rq)
{
	json_t *cdr = cdr_of(rq);
	struct ctl_dialogs d;

	if (cdr && ctl_dialogs_of_cdr(cdr, &d))
		admin_problem(rq, 500, "the record of this call names no dialog");
	else if (cdr)
		reply_messages(rq, &d);
	json_decref(cdr);
}
