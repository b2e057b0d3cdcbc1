/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CDRs: their texts as the engine made them, put together; with filters. A request looks at most at SCAN records: where fewer than the limit were
 * found among them, `next` goes on behind the last one that was looked at, so that a rare thing costs several short requests and not one long one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin/admin.h"
#include "postern/store.h"

#define SCAN 5000u

struct cdr_filter {
	const char *number, *trunk;
	int64_t since_ms, until_ms;
	uint64_t status;
	bool any;                  /* of them is given */
};
struct page {
	FILE *out;
	struct cdr_filter f;
	unsigned limit, n, seen;
	uint64_t last;
	bool more;
};

static bool holds(const json_t *cdr, const char *key, const char *what)
{
	const char *v = json_string_value(json_object_get(cdr, key));

	return v && strstr(v, what);
}

static bool is(const json_t *cdr, const char *key, const char *what)
{
	const char *v = json_string_value(json_object_get(cdr, key));

	return v && !strcmp(v, what);
}

static bool in_time(const json_t *cdr, const struct cdr_filter *f)
{
	const char *end = json_string_value(json_object_get(cdr, "end"));
	int64_t at = end ? base_time_parse(slice_str(end)) : 0;

	return at >= f->since_ms && (!f->until_ms || at < f->until_ms);
}

static bool passes(const struct cdr_filter *f, struct slice text)
{
	json_t *cdr;
	bool ok;

	if (!f->any)
		return true;
	cdr = json_loadb(text.p, text.n, 0, NULL);
	ok = cdr && in_time(cdr, f) && (!f->number || holds(cdr, "from", f->number) || holds(cdr, "to", f->number)) &&
		(!f->trunk || is(cdr, "trunk_in", f->trunk) || is(cdr, "trunk_out", f->trunk)) &&
		(!f->status || (uint64_t)json_integer_value(json_object_get(cdr, "status")) == f->status);
	json_decref(cdr);
	return ok;
}

static bool page_add(void *arg, uint64_t cursor, struct slice json)
{
	struct page *p = arg;

	p->more = p->n == p->limit || (p->f.any && p->seen == SCAN);
	if (p->more)
		return false;
	p->seen++;
	p->last = cursor;
	if (!passes(&p->f, json))
		return true;
	if (p->n++)
		fputc(',', p->out);
	fwrite(json.p, 1, json.n, p->out);
	return true;
}

static bool time_query(struct admin_request *rq, const char *key, int64_t *ret)
{
	const char *v = admin_query(rq, key);

	*ret = v ? base_time_parse(slice_str(v)) : 0;
	if (!v || *ret)
		return true;
	admin_problem(rq, 400, "%s=%.64s is no time such as 2027-01-31T12:00:00Z", key, v);
	return false;
}

static bool filter_read(struct admin_request *rq, struct cdr_filter *f)
{
	f->number = admin_query(rq, "number");
	f->trunk = admin_query(rq, "trunk");
	if (!time_query(rq, "since", &f->since_ms) || !time_query(rq, "until", &f->until_ms) || !admin_query_number(rq, "status", 699, &f->status))
		return false;
	f->any = f->number || f->trunk || f->since_ms || f->until_ms || f->status;
	return true;
}

void admin_get_cdrs(struct admin_request *rq)
{
	struct page p = { 0 };
	const char *after;
	char *text = NULL;
	uint64_t before;
	size_t n = 0;
	int err;

	if (!admin_query_page(rq, &p.limit, &after) || !admin_query_number(rq, "after", INT64_MAX, &before) || !filter_read(rq, &p.f))
		return;
	if (after && !before) {
		admin_problem(rq, 400, "after=%.64s is no cursor of ours", after);
		return;
	}
	admin_records_drain(rq->a);
	p.out = open_memstream(&text, &n);
	if (!p.out) {
		admin_problem(rq, 500, "no memory");
		return;
	}
	fputs("{\"items\":[", p.out);
	err = store_cdrs_each(rq->a->p.store, before, p.f.any ? SCAN + 1 : p.limit + 1, page_add, &p);
	fprintf(p.out, p.more ? "],\"next\":\"%llu\"}" : "],\"next\":null}", (unsigned long long)p.last);
	if (fclose(p.out) || err) {
		free(text);
		admin_problem(rq, 500, "the database cannot be read: %s", base_strerror(err ? err : -ENOMEM));
		return;
	}
	admin_reply_text(rq, 200, "application/json", text);
}

void admin_get_cdr(struct admin_request *rq)
{
	char *json = NULL;
	int err;

	admin_records_drain(rq->a);
	err = store_cdr_get(rq->a->p.store, rq->param[0], &json);
	if (!err)
		admin_reply_text(rq, 200, "application/json", json);
	else if (err == ERR_NOTFOUND)
		admin_problem(rq, 404, "no ended call has this id: live ones are in /calls");
	else
		admin_problem(rq, 500, "the database cannot be read: %s", base_strerror(err));
}
