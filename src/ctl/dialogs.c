/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Call-IDs that belong to a call: those of its legs, and of the targets that were tried before. From its record or its CDR.
 */
#include "ctl/ctl.h"
#include "postern/call.h"

static void add(struct ctl_dialogs *d, struct slice id)
{
	if (!id.n || d->n == CTL_DIALOGS)
		return;
	for (unsigned i = 0; i < d->n; i++)
		if (slice_eq(d->call_id[i], id))
			return;
	d->call_id[d->n++] = id;
}

int ctl_dialogs_of_call(const struct ctl_maps *m, const char *id, struct ctl_dialogs *ret, void **ret_buf)
{
	struct call_record_try y;
	struct call_record r;
	struct reader t;

	*ret_buf = ctl_call_read(m, id, &r);
	if (!*ret_buf)
		return ERR_NOTFOUND;
	memset(ret, 0, sizeof *ret);
	ret->start_ms = r.start_ms;
	add(ret, r.leg[0].call_id);
	for (t = reader_on(r.tried.p, r.tried.n); call_record_try_next(&t, &y);)
		add(ret, y.call_id);
	add(ret, r.leg[1].call_id);
	return 0;
}

static struct slice text_of(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return (struct slice){ json_string_value(v), json_string_length(v) };
}

int ctl_dialogs_of_cdr(const json_t *cdr, struct ctl_dialogs *ret)
{
	json_t *one;
	size_t i;

	memset(ret, 0, sizeof *ret);
	ret->start_ms = base_time_parse(text_of(cdr, "start"));
	add(ret, text_of(cdr, "call_id_a"));
	json_array_foreach(json_object_get(cdr, "targets"), i, one)
		add(ret, text_of(one, "call_id"));
	add(ret, text_of(cdr, "call_id_b"));
	return ret->n ? 0 : ERR_PROTO;
}
