/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of commands and the messages that carry them. What a command does is known by the role that runs it.
 */
#include <limits.h>

#include "postern/ctl.h"

static const struct ctl_command rows[CTL_COMMANDS] = {
	[CTL_CALL_END] = { CTL_CALL_END, "call.end", "engine", "{\"id\": string, \"why\": string}", "End a call on both sides" },
	[CTL_DRAIN]    = { CTL_DRAIN,    "drain",    "engine", "{}", "Take no new calls; calls in progress go on" },
	[CTL_TRUNK_PROBE]   = { CTL_TRUNK_PROBE,   "trunk.probe",   "engine", "{\"id\": string}", "Probe the trunk's targets now" },
	[CTL_TRUNK_DRAIN]   = { CTL_TRUNK_DRAIN,   "trunk.drain",   "engine", "{\"id\": string}", "No new calls go to the trunk; calls in progress go on" },
	[CTL_TRUNK_UNDRAIN] = { CTL_TRUNK_UNDRAIN, "trunk.undrain", "engine", "{\"id\": string}", "New calls go to the trunk again" },
	[CTL_UNDRAIN]  = { CTL_UNDRAIN,  "undrain",  "engine", "{}", "Take new calls again" },
};

const struct ctl_command *ctl_command_row(enum ctl_command_id id)
{
	return (unsigned)id < CTL_COMMANDS && rows[id].name ? &rows[id] : NULL;
}

static int print(struct writer *w, struct slice text, size_t *ret_len)
{
	wr_slice(w, text);
	if (w->bad)
		return ERR_TRUNCATED;
	*ret_len = wr_len(w);
	return 0;
}

int ctl_request_print(enum ctl_command_id id, struct slice args, void *buf, size_t size, size_t *ret_len)
{
	struct writer w = writer_on(buf, size);

	wr_u16(&w, (uint16_t)id);
	return print(&w, args, ret_len);
}

int ctl_request_parse(struct slice body, enum ctl_command_id *ret_id, struct slice *ret_args)
{
	struct reader r = reader_on(body.p, body.n);
	uint16_t id = rd_u16(&r);
	struct slice args = rd_slice(&r);

	if (r.bad || r.p != r.end || !ctl_command_row(id))
		return ERR_PROTO;
	*ret_id = id;
	*ret_args = args;
	return 0;
}

int ctl_reply_print(int status, struct slice json, void *buf, size_t size, size_t *ret_len)
{
	struct writer w = writer_on(buf, size);

	wr_u32(&w, (uint32_t)status);
	return print(&w, json, ret_len);
}

int ctl_reply_parse(struct slice body, int *ret_status, struct slice *ret_json)
{
	struct reader r = reader_on(body.p, body.n);
	uint32_t status = rd_u32(&r);
	struct slice json = rd_slice(&r);

	/* 0 or negative, as two's complement */
	if (r.bad || r.p != r.end || (status && status <= INT_MAX))
		return ERR_PROTO;
	*ret_status = (int)status;
	*ret_json = json;
	return 0;
}
