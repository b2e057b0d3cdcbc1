/* SPDX-License-Identifier: Apache-2.0 */
/* Options of session_timers and mid_call (design.md sections 4, 6 and 7). Needs conf alone. */
#include "postern/call.h"
#include "postern/conf.h"

/* ---- session timers ---- */
static const char *const mode_names[] = { "local", "relay", "off", NULL };
static const char *const method_names[] = { "auto", "update", "invite", NULL };
static const char *const refresher_names[] = { "auto", "local", "peer", NULL };

#define AT(member) offsetof(struct call_timer_conf, member)

static const struct conf_row timer_rows[] = {
	{ .key = "id", .type = CONF_ID, .at = AT(id), .flags = CONF_REQUIRED, .doc = "Name of the profile." },
	{ .key = "mode", .type = CONF_ENUM, .at = AT(mode), .def = "\"local\"", .names = mode_names,
	  .doc = "`local` ends the timer on the leg, `off` has none, `relay` passes it through where both legs say so (RFC 4028)." },
	{ .key = "expires", .type = CONF_INT, .at = AT(expires), .def = "1800", .min = 90, .max = 86400, .unit = "s",
	  .doc = "Session-Expires that is asked for; a longer one is lowered to it." },
	{ .key = "min_se", .type = CONF_INT, .at = AT(min_se), .def = "90", .min = 90, .max = 86400, .unit = "s",
	  .doc = "Min-SE: a shorter interval is answered with 422." },
	{ .key = "method", .type = CONF_ENUM, .at = AT(method), .def = "\"auto\"", .names = method_names,
	  .doc = "Refresh with UPDATE or re-INVITE; `auto`: UPDATE where the peer's latest Allow lists it." },
	{ .key = "refresher", .type = CONF_ENUM, .at = AT(refresher), .def = "\"auto\"", .names = refresher_names,
	  .doc = "Who refreshes, in requests of ours and where a request names nobody." },
	{ .key = "add_if_missing", .type = CONF_BOOL, .at = AT(add_if_missing), .def = "true",
	  .doc = "Put a timer on the leg where the other side gave none." },
	{ .key = NULL }
};

static void timer_check(const struct conf_doc *doc, struct conf_errors *errs)
{
	char at[128], pointer[160];
	size_t n, i;
	const void *const *obj = conf_objects(doc, &call_schema_timers, &n);

	for (i = 0; i < n; i++) {
		const struct call_timer_conf *t = obj[i];
		struct text p = text_on(pointer, sizeof pointer);

		if (t->expires >= t->min_se)
			continue;
		text_add(&p, "%s/expires", conf_pointer(doc, &call_schema_timers, t, at));
		conf_error(errs, pointer, "must not be less than min_se, which is %lld", (long long)t->min_se);
	}
}

const struct conf_collection call_schema_timers = {
	.name = "session_timers", .one = "session timer", .rows = timer_rows, .size = sizeof(struct call_timer_conf), .check = timer_check, .most = 1000,
	.builtin = "[{\"id\": \"default\"}]",
	.doc = "Session timers of a leg. `default` is built in, with the defaults of these options.",
};

/* ---- mid-call policy ---- */
#undef AT
#define AT(member) offsetof(struct call_midcall_conf, member)

static const char *const action_names[] = { "consume", "relay", "consume-or-relay", NULL };
enum purpose { REFRESH, OFFERLESS, HOLD, ADDRESS, CODEC, OTHER, ADD, REMOVE, FAX, IDENTITY, PURPOSES };
_Static_assert(PURPOSES == CALL_PURPOSES, "a row for every purpose");

/* the defaults are those of `media-change` */
#define ACTION(name, purpose, method, def_, doc_) \
	{ .key = name, .type = CONF_CHOICE, .at = AT(method[purpose]), .def = def_, .min = 400, .max = 699, .names = action_names, .doc = doc_ }
#define CONSUME "\"consume\""
#define RELAY "\"relay\""
#define ACTIONS(method) \
	ACTION("hold", HOLD, method, RELAY, "A direction attribute changed."), \
	ACTION("address", ADDRESS, method, CONSUME, "The peer's media address or port moved."), \
	ACTION("codec", CODEC, method, RELAY, "A format in use went, changed or another came first."), \
	ACTION("other", OTHER, method, RELAY, "Any other changed line that bears on media."), \
	ACTION("add", ADD, method, RELAY, "A stream came."), \
	ACTION("remove", REMOVE, method, RELAY, "A stream went."), \
	ACTION("fax", FAX, method, RELAY, "A T.38 stream came, went or changed."), \
	ACTION("identity", IDENTITY, method, RELAY, "A header of relay_if_changed has another value.")

static const struct conf_row reinvite_rows[] = {
	ACTION("refresh", REFRESH, reinvite, CONSUME, "Nothing changed."),
	ACTION("offerless", OFFERLESS, reinvite, CONSUME, "A re-INVITE without SDP."),
	ACTIONS(reinvite),
	{ .key = NULL }
};
static const struct conf_row update_rows[] = {
	ACTION("refresh", REFRESH, update, CONSUME, "Nothing changed, or no SDP."),
	ACTIONS(update),
	{ .key = NULL }
};

static const struct conf_row midcall_rows[] = {
	{ .key = "id", .type = CONF_ID, .at = AT(id), .flags = CONF_REQUIRED, .doc = "Name of the profile." },
	{ .key = "reinvite", .type = CONF_OBJECT, .sub = reinvite_rows,
	  .doc = "What becomes of a re-INVITE, by what it changes: answered here, relayed, or refused with a status." },
	{ .key = "update", .type = CONF_OBJECT, .sub = update_rows, .doc = "Likewise of an UPDATE." },
	{ .key = "shield", .type = CONF_BOOL, .at = AT(shield), .def = "false",
	  .doc = "Protect the leg: what `consume-all` consumes is not relayed to it, the rest is refused with 488." },
	{ .key = "storm_requests", .type = CONF_INT, .at = AT(storm_requests), .def = "10", .min = 0, .max = 100000,
	  .doc = "More re-INVITEs and UPDATEs of a peer than this without a change of media, in storm_seconds, are answered here whatever the profile says; 0: no limit." },
	{ .key = "storm_seconds", .type = CONF_INT, .at = AT(storm_seconds), .def = "10", .min = 1, .max = 3600, .unit = "s", .doc = "Time for storm_requests." },
	{ .key = "relay_if_changed", .type = CONF_LIST, .elem = CONF_TOKEN, .at = AT(relay_if_changed), .flags = CONF_UNIQUE, .most = 32,
	  .def = "[\"P-Asserted-Identity\", \"Remote-Party-ID\"]", .doc = "Headers whose change makes a request one of identity." },
	{ .key = NULL }
};

#define CONSUMED "\"refresh\": \"consume\", \"hold\": \"consume\", \"address\": \"consume\", \"other\": \"consume\", \"remove\": \"consume\", \"identity\": \"consume\", "
#define CONSUME_ALL CONSUMED "\"codec\": \"consume\", \"add\": \"consume\", \"fax\": 488"
#define CUBE CONSUMED "\"codec\": \"consume-or-relay\", \"add\": \"relay\", \"fax\": \"relay\""
#define RELAY_ALL "\"refresh\": \"relay\", \"hold\": \"relay\", \"address\": \"relay\", \"codec\": \"relay\", \"other\": \"relay\", \"add\": \"relay\", " \
	"\"remove\": \"relay\", \"fax\": \"relay\", \"identity\": \"relay\""

const struct conf_collection call_schema_midcall = {
	.name = "mid_call", .one = "mid-call profile", .rows = midcall_rows, .size = sizeof(struct call_midcall_conf), .most = 1000,
	.builtin = "[{\"id\": \"default\"}, {\"id\": \"media-change\"},"
		"{\"id\": \"consume-all\", \"reinvite\": {\"offerless\": \"consume\", " CONSUME_ALL "}, \"update\": {" CONSUME_ALL "}},"
		"{\"id\": \"cube\", \"reinvite\": {\"offerless\": \"consume\", " CUBE "}, \"update\": {" CUBE "}},"
		"{\"id\": \"relay-all\", \"reinvite\": {\"offerless\": \"relay\", " RELAY_ALL "}, \"update\": {" RELAY_ALL "}}]",
	.doc = "Consume or relay: what becomes of requests within a call. Built in are `media-change` (which `default` is too, and which unnamed purposes are as), "
		"`consume-all`, `cube` and `relay-all`.",
};
