/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The query part of a URL against the keys that a route knows. An unknown key is an error that names the nearest: a misspelt filter must
 * not end in a longer list.
 */
#include "admin/admin.h"
#include "postern/conf.h"

#define LIST_KEYS \
	{ .key = "limit", .type = CONF_INT, .min = 1, .doc = "Items of a page; 100 where it is not given, more than 1000 is taken as 1000" }, \
	{ .key = "after", .type = CONF_STRING, .doc = "Cursor: `next` of the page before" }

const struct conf_row admin_query_list[] = { LIST_KEYS, { 0 } };

const struct conf_row admin_query_calls[] = {
	LIST_KEYS,
	{ .key = "number", .type = CONF_STRING, .doc = "Calls whose caller or callee holds this" },
	{ .key = "trunk", .type = CONF_STRING, .doc = "Calls with a leg of this trunk" },
	{ .key = "state", .type = CONF_STRING, .doc = "Calls in this state" },
	{ .key = "age", .type = CONF_INT, .max = UINT32_MAX, .unit = "s", .doc = "Calls that began at least so long ago" },
	{ 0 }
};

const struct conf_row admin_query_cdrs[] = {
	LIST_KEYS,
	{ .key = "since", .type = CONF_STRING, .unit = "RFC 3339", .doc = "Calls that ended at or after this time" },
	{ .key = "until", .type = CONF_STRING, .unit = "RFC 3339", .doc = "Calls that ended before this time" },
	{ .key = "number", .type = CONF_STRING, .doc = "Calls whose caller or callee holds this" },
	{ .key = "trunk", .type = CONF_STRING, .doc = "Calls from or to this trunk" },
	{ .key = "status", .type = CONF_INT, .min = 1, .max = 699, .doc = "Calls with this final status" },
	{ 0 }
};

const struct conf_row admin_query_write[] = {
	{ .key = "dry_run", .type = CONF_BOOL, .doc = "Check everything, change nothing" },
	{ .key = "confirm_within", .type = CONF_INT, .min = 1, .max = 86400, .unit = "s", .doc = "Go back by itself unless POST /config/confirm comes within this time" },
	{ 0 }
};

const struct conf_row admin_query_diff[] = {
	{ .key = "against", .type = CONF_INT, .min = 1, .max = 9007199254740991.0, .doc = "The revision that the patch begins at; the one before where it is not given" },
	{ 0 }
};

static const char *const formats[] = { "json", "text", "pcap", NULL };

const struct conf_row admin_query_messages[] = {
	{ .key = "format", .type = CONF_ENUM, .names = formats, .doc = "json (with every message in full), text (a ladder) or pcap; json where it is not given" },
	{ 0 }
};

const char *admin_query(const struct admin_request *rq, const char *key)
{
	return MHD_lookup_connection_value(rq->conn, MHD_GET_ARGUMENT_KIND, key);
}

struct check {
	struct admin_request *rq;
	unsigned seen;             /* bit set of the rows */
	bool bad;
};

static enum MHD_Result check_key(void *arg, enum MHD_ValueKind kind, const char *key, const char *value)
{
	static const struct conf_row none[] = { { 0 } };
	struct check *c = arg;
	const struct conf_row *rows = c->rq->route->query ? c->rq->route->query : none;
	const char *near;
	unsigned i = 0;

	while (rows[i].key && strcmp(rows[i].key, key))
		i++;
	c->bad = true;
	if (!rows[i].key) {
		near = rows[0].key ? conf_nearest(rows, key) : NULL;
		admin_problem(c->rq, 400, near ? "unknown query key \"%.64s\": did you mean \"%s\"?" : "unknown query key \"%.64s\"", key, near);
	} else if (c->seen & 1u << i) {
		admin_problem(c->rq, 400, "the query key \"%s\" stands there twice", key);
	} else if (!value) {
		admin_problem(c->rq, 400, "the query key \"%s\" has no value", key);
	} else {
		c->bad = false;
		c->seen |= 1u << i;
	}
	return c->bad ? MHD_NO : MHD_YES;
}

bool admin_query_check(struct admin_request *rq)
{
	struct check c = { .rq = rq };

	MHD_get_connection_values(rq->conn, MHD_GET_ARGUMENT_KIND, check_key, &c);
	return !c.bad;
}

bool admin_query_bool(struct admin_request *rq, const char *key, bool *ret)
{
	const char *v = admin_query(rq, key);

	*ret = v && (!strcmp(v, "1") || !strcmp(v, "true"));
	if (!v || *ret || !strcmp(v, "0") || !strcmp(v, "false"))
		return true;
	admin_problem(rq, 400, "%s=%.64s is neither 1 nor 0", key, v);
	return false;
}

bool admin_query_number(struct admin_request *rq, const char *key, uint64_t max, uint64_t *ret)
{
	const char *v = admin_query(rq, key);

	*ret = 0;
	if (!v || !slice_u64(slice_str(v), max, ret))
		return true;
	admin_problem(rq, 400, "%s=%.64s is no whole number in its range", key, v);
	return false;
}

bool admin_query_page(struct admin_request *rq, unsigned *ret_limit, const char **ret_after)
{
	const char *limit = admin_query(rq, "limit");
	uint64_t n = ADMIN_LIST_DEFAULT, cursor;
	int err = limit ? slice_u64(slice_str(limit), UINT64_MAX, &n) : 0;

	if (err == ERR_RANGE)
		n = ADMIN_LIST_MAX;
	if ((err && err != ERR_RANGE) || !n) {
		admin_problem(rq, 400, "limit=%.64s is no whole number above 0", limit);
		return false;
	}
	if (!admin_query_number(rq, "after", INT64_MAX, &cursor))
		return false;
	*ret_limit = n < ADMIN_LIST_MAX ? (unsigned)n : ADMIN_LIST_MAX;
	*ret_after = admin_query(rq, "after");
	return true;
}
