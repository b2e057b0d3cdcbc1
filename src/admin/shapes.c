/* SPDX-License-Identifier: Apache-2.0 */
/* admin/shapes: the tables, see the header. Rows have no place in a C struct: they describe. */
#include <string.h>

#include "admin/shapes.h"

#define TEXT(k, d)   { .key = k, .type = CONF_STRING, .flags = CONF_REQUIRED, .doc = d }
#define MAYBE(k, d)  { .key = k, .type = CONF_STRING, .flags = CONF_REQUIRED | CONF_NULL, .doc = d }
#define TIME(k, d)   { .key = k, .type = CONF_STRING, .flags = CONF_REQUIRED, .unit = "RFC 3339", .doc = d }
#define WHEN(k, d)   { .key = k, .type = CONF_STRING, .flags = CONF_REQUIRED | CONF_NULL, .unit = "RFC 3339", .doc = d }
#define COUNT(k, d)  { .key = k, .type = CONF_INT, .flags = CONF_REQUIRED, .min = 0, .max = 9007199254740991.0, .doc = d }
#define REAL(k, u, d) { .key = k, .type = CONF_REAL, .flags = CONF_REQUIRED | CONF_NULL, .unit = u, .doc = d }
#define YES(k, d)    { .key = k, .type = CONF_BOOL, .flags = CONF_REQUIRED, .doc = d }
#define OBJECT(k, r, d) { .key = k, .type = CONF_OBJECT, .flags = CONF_REQUIRED | CONF_NULL, .ref = r, .doc = d }
#define OBJECTS(k, r, d) { .key = k, .type = CONF_LIST, .elem = CONF_OBJECT, .flags = CONF_REQUIRED, .ref = r, .most = 65536, .doc = d }
#define TEXTS(k, d)  { .key = k, .type = CONF_LIST, .elem = CONF_STRING, .flags = CONF_REQUIRED, .most = 65536, .doc = d }
#define LAST         { 0 }

static const char *const health_names[] = { "ok", "degraded", "draining", NULL };
static const char *const call_states[] = { "setup", "early", "answered", "up", "ending", NULL };
static const char *const ways[] = { "in", "out", NULL };
static const char *const roles[] = { "supervisor", "engine", "media", "admin", NULL };
static const char *const file_kinds[] = { "certificate", "key", "policy", NULL };
static const char *const patch_ops[] = { "add", "remove", "replace", "move", "copy", "test", NULL };

/* ---- the daemon ---- */
static const struct conf_row process[] = {
	{ .key = "role", .type = CONF_WORD, .flags = CONF_REQUIRED, .names = roles, .doc = "Its part" },
	COUNT("pid", "Process number"), COUNT("restarts", "How often it was replaced since the start"), TIME("since", "Serves since then"), LAST
};
static const struct conf_row health[] = {
	{ .key = "status", .type = CONF_WORD, .flags = CONF_REQUIRED, .names = health_names, .doc = "ok and degraded take calls" },
	{ .key = "processes", .type = CONF_LIST, .elem = CONF_OBJECT, .ref = "process", .doc = "With a token alone" }, LAST
};

/* ---- configuration ---- */
static const struct conf_row note[] = { TEXT("pointer", "JSON pointer into the document"), TEXT("message", "What is wrong, or worth knowing"), LAST };
static const struct conf_row saved[] = { COUNT("revision", "Number of the new revision"), OBJECTS("warnings", "note", "What was taken, but is worth a look"), LAST };
static const struct conf_row valid[] = { YES("valid", "A dry run that would be taken"), OBJECTS("warnings", "note", "As of a write"), LAST };
static const struct conf_row number[] = { COUNT("revision", "Number of a revision"), LAST };
static const struct conf_row rollback[] = { { .key = "revision", .type = CONF_INT, .flags = CONF_REQUIRED, .min = 1, .max = 9007199254740991.0, .doc = "What to go back to" }, LAST };
#define REVISION \
	COUNT("number", "Its number"), TIME("time", "When it was made"), TEXT("user", "Who made it"), TEXT("comment", "X-Comment of the request"), \
	YES("in_force", "It is the one in force"), \
	{ .key = "confirm_until", .type = CONF_STRING, .unit = "RFC 3339", .doc = "It goes back by itself then, unless it is confirmed" }
static const struct conf_row revision[] = { REVISION, LAST };
static const struct conf_row file[] = {
	{ .key = "kind", .type = CONF_WORD, .flags = CONF_REQUIRED, .names = file_kinds, .doc = "What it is" }, TEXT("name", "As the document names it"),
	COUNT("bytes", "Its size"), TEXT("sha256", "Of its content; *** of a key"), LAST
};
static const struct conf_row revision_whole[] = { REVISION, OBJECTS("files", "file", "Certificates, keys and policies of the revision"), OBJECT("document", "configuration", "As it was written, without secrets"), LAST };
static const struct conf_row patch_op[] = {
	{ .key = "op", .type = CONF_WORD, .flags = CONF_REQUIRED, .names = patch_ops, .doc = "RFC 6902" }, TEXT("path", "JSON pointer; values beside it are the document's"), LAST
};
static const struct conf_row policy_saved[] = { TEXT("id", "The policy"), COUNT("revision", "Number of the new revision"), LAST };
static const struct conf_row policy_rule[] = {
	TEXT("policy", "Name of its policy in the file"), COUNT("line", "Where it stands"), COUNT("rule", "Its number in the policy, from 1"), TEXT("text", "The rule"),
	COUNT("hits", "Messages that it fired on"), WHEN("last_hit", "When it last did"), LAST
};
static const struct conf_row policy_live[] = {
	TEXT("id", "The configuration's policy; `builtin`: Postern's own"), TEXT("file", "Its file"), YES("shadow", "It changes nothing"), OBJECTS("rules", "policy_rule", "In the order of the file"),
	OBJECT("counters", NULL, "What its rules count, by name"), COUNT("shadow_count", "Messages that it would have changed or answered"), LAST
};
static const struct conf_row shadow_item[] = {
	TIME("time", "When"), TEXT("before", "The message as it went on"), TEXT("after", "As the policy would have left it"), MAYBE("verdict", "What it would have said"),
	YES("cut", "The texts were longer"), LAST
};
static const struct conf_row shadow[] = { COUNT("count", "Messages that it would have changed or answered"), OBJECTS("items", "shadow_item", "The last 20, newest first"), LAST };
static const struct conf_row trial[] = {
	{ .key = "message", .type = CONF_STRING, .flags = CONF_REQUIRED, .doc = "A whole SIP message" },
	{ .key = "direction", .type = CONF_STRING, .flags = CONF_NULL, .doc = "receive or send; send where it is not given" },
	{ .key = "trunk", .type = CONF_STRING, .flags = CONF_NULL, .doc = "Trunk of the leg" }, { .key = "realm", .type = CONF_STRING, .flags = CONF_NULL, .doc = "Realm of the leg, in place of the trunk's" },
	{ .key = "source", .type = CONF_STRING, .flags = CONF_NULL, .doc = "Address that it came from" }, { .key = "transport", .type = CONF_STRING, .flags = CONF_NULL, .doc = "udp, tcp or tls" }, LAST
};
static const struct conf_row trial_rule[] = {
	TEXT("policy", "Name of its policy"), TEXT("file", "Its file"), COUNT("line", "Where it stands"), COUNT("rule", "Its number in the policy, from 1"), TEXT("text", "The rule"), LAST
};
static const struct conf_row verdict[] = {
	TEXT("action", "pass, drop, reject, redirect or route"), { .key = "status", .type = CONF_INT, .flags = CONF_REQUIRED | CONF_NULL, .min = 300, .max = 699, .doc = "Of reject" },
	MAYBE("text", "Reason, URI or name"), LAST
};
static const struct conf_row trial_done[] = {
	OBJECTS("rules", "trial_rule", "Rules that fired, in order"), TEXT("before", "The message"), TEXT("after", "The message as the rules left it"), TEXT("diff", "Lines with - and +"),
	TEXT("notes", "Variables and tags that were set"), OBJECT("verdict", "verdict", "What becomes of it"), COUNT("skipped", "Actions that could not be applied"),
	COUNT("limits", "Expressions that hit their match limit"), LAST
};
static const struct conf_row certificate[] = {
	TEXT("name", "File name, as TLS profiles name it"),
	{ .key = "subject", .type = CONF_STRING, .doc = "Subject" }, { .key = "issuer", .type = CONF_STRING, .doc = "Issuer" },
	{ .key = "names", .type = CONF_LIST, .elem = CONF_STRING, .doc = "Subject alternative names" },
	{ .key = "not_before", .type = CONF_STRING, .unit = "RFC 3339", .doc = "Good from then on" }, { .key = "expires", .type = CONF_STRING, .unit = "RFC 3339", .doc = "Good until then" },
	{ .key = "fingerprint", .type = CONF_STRING, .doc = "SHA-256" }, { .key = "key_type", .type = CONF_STRING, .doc = "Algorithm and size" },
	{ .key = "key", .type = CONF_BOOL, .doc = "Its private key is there" }, { .key = "error", .type = CONF_STRING, .doc = "Why it cannot be read" },
	TEXTS("used_by", "TLS profiles that name it"), LAST
};
static const struct conf_row certificate_new[] = {
	{ .key = "certificate", .type = CONF_STRING, .flags = CONF_REQUIRED, .max = 1048576, .doc = "Certificate and chain, PEM" },
	{ .key = "key", .type = CONF_STRING, .max = 1048576, .doc = "Private key, PEM; a certificate alone is an anchor" }, LAST
};

/* ---- users ---- */
#define TOKEN TEXT("id", "To take it back"), TIME("created", "When it was made"), WHEN("expires", "Good until then; null: for ever"), WHEN("last_used", "To the minute")
static const struct conf_row token[] = { TOKEN, LAST };
static const struct conf_row token_shown[] = { TOKEN, TEXT("token", "The token itself, which is not shown again"), LAST };
static const struct conf_row token_new[] = {
	{ .key = "expires", .type = CONF_STRING, .flags = CONF_NULL, .unit = "RFC 3339", .doc = "A time to come, in UTC" },
	{ .key = "expires_in", .type = CONF_INT, .flags = CONF_NULL, .min = 1, .max = 315360000, .unit = "s", .doc = "In place of expires" }, LAST
};
static const struct conf_row audit[] = {
	TIME("time", "When"), TEXT("user", "Who; empty: a token of nobody's"), TEXT("address", "From where"),
	TEXT("method", "HTTP method of a write, or of a request whose login failed; LOGIN: the first request of a token from an address, or its first after 15 minutes"),
	TEXT("path", "What was asked"),
	COUNT("status", "What became of it"), LAST
};

/* ---- calls ---- */
static const struct conf_row timer[] = {
	COUNT("expires", "Interval of the session timer in seconds"), TEXT("refresher", "local, peer or none"), WHEN("deadline", "The session ends then, unless it is refreshed"), LAST
};
#define LEG \
	MAYBE("trunk", "Its trunk"), MAYBE("realm", "Its realm"), MAYBE("call_id", "Call-ID of its dialog"), \
	{ .key = "direction", .type = CONF_WORD, .flags = CONF_REQUIRED, .names = ways, .doc = "in: the caller's" }, MAYBE("target", "Where its requests go")
static const struct conf_row leg[] = { LEG, LAST };
static const struct conf_row leg_whole[] = {
	LEG, MAYBE("peer", "Address of its peer"), TEXT("transport", "udp, tcp or tls"), MAYBE("local_uri", "Our party"), MAYBE("remote_uri", "Its party"),
	MAYBE("sdp_in", "What the peer said last"), MAYBE("sdp_out", "What we said last"), OBJECT("timer", "timer", "Session timer"), OBJECTS("media", "stream", "Its streams"), LAST
};
static const struct conf_row stream[] = { MAYBE("kind", "audio, video, image"), MAYBE("local", "Our address"), MAYBE("remote", "The address that the peer named"), LAST };
#define CALL \
	TEXT("id", "Its id, also of its record"), { .key = "state", .type = CONF_WORD, .flags = CONF_REQUIRED, .names = call_states, .doc = "How far it is" }, \
	MAYBE("from", "Caller"), MAYBE("to", "Callee"), MAYBE("route", "Route that took it"), TIME("started", "When the INVITE came"), WHEN("answered", "When it was answered"), \
	TEXTS("tags", "Of policies")
static const struct conf_row call[] = { CALL, OBJECTS("legs", "leg", "Caller's and callee's leg"), LAST };
static const struct conf_row call_whole[] = { CALL, WHEN("ringing", "When it rang"), OBJECTS("legs", "leg_whole", "Caller's and callee's leg"), OBJECT("vars", NULL, "Variables of policies"), LAST };
static const struct conf_row filter[] = {
	{ .key = "number", .type = CONF_STRING, .doc = "Caller or callee holds this" }, { .key = "trunk", .type = CONF_STRING, .doc = "A leg is of this trunk" },
	{ .key = "state", .type = CONF_WORD, .names = call_states, .doc = "It is in this state" },
	{ .key = "age", .type = CONF_INT, .min = 0, .max = 4294967295.0, .unit = "s", .doc = "It began at least so long ago" }, LAST
};
static const struct conf_row calls_end[] = {
	{ .key = "filter", .type = CONF_OBJECT, .flags = CONF_REQUIRED, .ref = "filter", .doc = "Which calls; at least one key" },
	{ .key = "dry_run", .type = CONF_BOOL, .def = "false", .doc = "Tell which, end none" }, LAST
};
static const struct conf_row calls_ended[] = { COUNT("count", "So many calls fit"), TEXTS("items", "Their ids, the first 1000"), YES("dry_run", "None was ended"), LAST };
static const struct conf_row cdr[] = {
	TEXT("id", "The call's id"), MAYBE("call_id_a", "Call-ID of the caller's leg"), MAYBE("call_id_b", "Call-ID of the callee's leg"), MAYBE("from", "Caller"), MAYBE("to", "Callee"),
	MAYBE("trunk_in", "Trunk that it came from"), MAYBE("trunk_out", "Trunk that it went to"), MAYBE("route", "Route that took it"), TIME("start", "When the INVITE came"),
	WHEN("ringing", "When it rang"), WHEN("answer", "When it was answered"), TIME("end", "When it was over"), COUNT("status", "Final SIP status"), MAYBE("cause", "Why it ended"),
	MAYBE("ended_by", "Who ended it"), TEXTS("tags", "Of policies"), OBJECTS("targets", NULL, "Targets that were tried, in order"), OBJECTS("quality", NULL, "Figures of its streams"),
	OBJECTS("decisions", NULL, "Policies that fired and mid-call decisions"), LAST
};
static const char *const decision_kinds[] = { "trunk", "route", "target", "policy", "mid-call", NULL }, *const message_ways[] = { "in", "out", NULL };
static const struct conf_row decision[] = {
	{ .key = "kind", .type = CONF_WORD, .flags = CONF_REQUIRED, .names = decision_kinds, .doc = "What was decided; the other members are of this kind" }, WHEN("time", "When"),
	TEXT("leg", "a or b"), { .key = "trunk", .type = CONF_STRING, .flags = CONF_NULL, .doc = "trunk, target: its id" }, { .key = "route", .type = CONF_STRING, .flags = CONF_NULL, .doc = "route: its id" },
	{ .key = "outcome", .type = CONF_STRING, .flags = CONF_NULL, .doc = "target: answered, rejected, no-answer, unreachable, unsent, not-tried, pending" },
	{ .key = "status", .type = CONF_INT, .min = 0, .max = 699, .doc = "target, mid-call: SIP status; 0: none" },
	{ .key = "call_id", .type = CONF_STRING, .flags = CONF_NULL, .doc = "target: Call-ID of its dialog" },
	{ .key = "action", .type = CONF_STRING, .doc = "mid-call: consume, relay or refuse" }, { .key = "reason", .type = CONF_STRING, .doc = "mid-call: why" },
	{ .key = "policy", .type = CONF_STRING, .flags = CONF_NULL, .doc = "policy: its id" }, { .key = "line", .type = CONF_INT, .doc = "policy: of the rule" }, LAST
};
static const struct conf_row message[] = {
	TIME("time", "When it came or went"), COUNT("time_us", "The same in microseconds since 1970"), TEXT("leg", "a, b; b2 ...: further targets"),
	{ .key = "direction", .type = CONF_WORD, .flags = CONF_REQUIRED, .names = message_ways, .doc = "in: from the peer" }, TEXT("transport", "udp, tcp or tls"),
	TEXT("source", "Address and port"), TEXT("destination", "Address and port"), TEXT("call_id", "Of its dialog"), TEXT("start", "Its first line"), TEXT("cseq", "Its CSeq"),
	YES("queued", "It was given to a connection that was not open yet"), TEXT("text", "All of it; credentials and keys are stars"), LAST
};
static const struct conf_row messages[] = {
	OBJECTS("items", "message", "In the order of the wire"), MAYBE("next", "null"), YES("overwritten", "Some of the call are no longer in the ring"), LAST
};

/* ---- trunks ---- */
static const struct conf_row target[] = {
	MAYBE("uri", "As configured"), MAYBE("address", "Resolved"), COUNT("port", "Resolved"), TEXT("transport", "udp, tcp or tls"), COUNT("priority", "Lower is tried first"),
	COUNT("weight", "Share among equals"), TEXT("state", "up, suspect, down, draining or resting"), MAYBE("reason", "Of the state"), WHEN("since", "Of the state"),
	COUNT("calls", "In progress"), LAST
};
static const struct conf_row trunk_state[] = {
	TEXT("id", "The trunk"), TEXT("state", "As its best target"), COUNT("calls", "In progress"), COUNT("cps", "New ones in the last second"), OBJECTS("targets", "target", "Resolved, in order"), LAST
};
static const struct conf_row member[] = { TEXT("trunk", "Trunk or group"), COUNT("priority", "Lower is tried first"), COUNT("weight", "Share among equals"), LAST };
static const struct conf_row group[] = { TEXT("id", "The group"), TEXT("strategy", "How members are chosen"), OBJECTS("members", "member", "By priority"), LAST };
static const struct conf_row preview[] = {
	{ .key = "from_trunk", .type = CONF_STRING, .flags = CONF_REQUIRED, .doc = "Trunk that the call comes from" },
	{ .key = "to", .type = CONF_STRING, .flags = CONF_REQUIRED, .doc = "Number or sip: URI" }, { .key = "from", .type = CONF_STRING, .doc = "Number or sip: URI" },
	{ .key = "headers", .type = CONF_OBJECT, .doc = "Further headers by name, which routes may ask for" }, LAST
};
static const struct conf_row way[] = {
	TEXT("route", "The route that takes it"), TEXT("to", "Its trunk or group"),
	{ .key = "passed", .type = CONF_LIST, .elem = CONF_OBJECT, .doc = "Routes before it that lack the time or the headers alone" },
	{ .key = "rules", .type = CONF_LIST, .elem = CONF_OBJECT, .doc = "Rules that would fire" },
	OBJECTS("targets", NULL, "In the order in which they would be tried"), LAST
};
static const struct conf_row problem[] = {
	{ .key = "type", .type = CONF_STRING, .doc = "about:blank" }, TEXT("title", "Of the status"), COUNT("status", "HTTP status"), { .key = "detail", .type = CONF_STRING, .doc = "What is wrong, in words" },
	{ .key = "errors", .type = CONF_LIST, .elem = CONF_OBJECT, .ref = "note", .most = 65536, .doc = "Where a document is at fault: each error at its pointer" },
	{ .key = "users", .type = CONF_LIST, .elem = CONF_STRING, .most = 65536, .doc = "Of a 409: who names what was to be deleted" }, LAST
};

const struct admin_shape admin_shapes[] = {
	{ "problem", problem, false, "What went wrong (RFC 9457)" }, { "process", process, false, "A process of the daemon" }, { "health", health, false, "Can calls be taken" },
	{ "note", note, false, "An error or a warning at its place" }, { "saved", saved, false, "A write that is in force" }, { "valid", valid, false, "A dry run" },
	{ "number", number, false, "A revision's number" }, { "rollback", rollback, true, "Which revision to go back to" }, { "revision", revision, false, "A revision of the configuration" },
	{ "file", file, false, "A file of a revision" }, { "revision_whole", revision_whole, false, "A revision with document and files" }, { "patch_op", patch_op, false, "A step of a JSON Patch" },
	{ "policy_saved", policy_saved, false, "A policy that is in force" }, { "certificate", certificate, false, "What a certificate says" },
	{ "policy_rule", policy_rule, false, "A rule and what it counted" }, { "policy_live", policy_live, false, "A policy and what its rules counted" },
	{ "shadow_item", shadow_item, false, "A message that a policy in shadow would have changed" }, { "shadow", shadow, false, "What a policy in shadow would have done" },
	{ "trial", trial, true, "A message to run a policy on" }, { "trial_rule", trial_rule, false, "A rule that fired" }, { "verdict", verdict, false, "What becomes of a message" },
	{ "trial_done", trial_done, false, "What a policy did with a message" },
	{ "certificate_new", certificate_new, true, "A certificate and its key" }, { "token", token, false, "A token without itself" }, { "token_shown", token_shown, false, "A new token" },
	{ "token_new", token_new, true, "How long a token shall be good" }, { "audit", audit, false, "A write or a login" }, { "timer", timer, false, "A session timer (RFC 4028)" },
	{ "leg", leg, false, "One side of a call" }, { "leg_whole", leg_whole, false, "One side of a call, with what was said" }, { "stream", stream, false, "A stream and what media counts" },
	{ "call", call, false, "A live call" }, { "call_whole", call_whole, false, "A live call with all that is known" }, { "filter", filter, true, "Which calls" },
	{ "calls_end", calls_end, true, "Calls to end" }, { "calls_ended", calls_ended, false, "Calls that end" }, { "cdr", cdr, false, "Record of an ended call" },
	{ "target", target, false, "A resolved target of a trunk" }, { "trunk_state", trunk_state, false, "A trunk as it stands" }, { "member", member, false, "A member of a group" },
	{ "group", group, false, "A group as it stands" }, { "preview", preview, true, "A call that might come" }, { "way", way, false, "The way of a call" },
	{ "decision", decision, false, "Why a call went as it went" }, { "message", message, false, "A SIP message" }, { "messages", messages, false, "SIP messages of a call" },
	{ NULL, NULL, false, NULL }
};

#define WRITTEN "200 saved|valid"
#define ACTION  "200 , 204"

static const struct admin_exchange exchanges[] = {
	{ "GET", "/health", NULL, "200 health, 503 health" },
	{ "GET", "/config", NULL, "200 configuration" },
	{ "PUT", "/config", "configuration", WRITTEN },
	{ "POST", "/config/confirm", NULL, "200 number" },
	{ "POST", "/config/rollback", "rollback", WRITTEN },
	{ "GET", "/config/revisions", NULL, "200 [revision]" },
	{ "GET", "/config/revisions/{n}", NULL, "200 revision_whole" },
	{ "GET", "/config/revisions/{n}/diff", NULL, "200 patch" },
	{ "GET", "/config/{collection}", NULL, "200 [{one}]" },
	{ "POST", "/config/{collection}", "{one}", "200 valid, 201 {one}" },
	{ "PUT", "/config/{collection}", "{one}", "200 {one}|valid" },
	{ "PATCH", "/config/{collection}", NULL, "200 {one}|valid" },
	{ "GET", "/config/{collection}/{id}", NULL, "200 {one}" },
	{ "PUT", "/config/{collection}/{id}", "{one}", "200 {one}|valid, 201 {one}" },
	{ "PATCH", "/config/{collection}/{id}", NULL, "200 {one}|valid" },
	{ "DELETE", "/config/{collection}/{id}", NULL, "200 valid, 204" },
	{ "GET", "/policies", NULL, "200 [policy_live]" },
	{ "GET", "/policies/{id}/shadow", NULL, "200 shadow" },
	{ "POST", "/policies/{id}/test", "trial", "200 trial_done" },
	{ "GET", "/policies/{id}", NULL, "200 text" },
	{ "PUT", "/policies/{id}", NULL, "200 policy_saved|valid, 201 policy_saved" },
	{ "DELETE", "/policies/{id}", NULL, "200 valid, 204" },
	{ "GET", "/users/{id}/tokens", NULL, "200 [token]" },
	{ "POST", "/users/{id}/tokens", "token_new", "201 token_shown" },
	{ "DELETE", "/users/{id}/tokens/{token_id}", NULL, "204" },
	{ "GET", "/audit", NULL, "200 [audit]" },
	{ "GET", "/certificates", NULL, "200 [certificate]" },
	{ "GET", "/certificates/{name}", NULL, "200 certificate" },
	{ "PUT", "/certificates/{name}", "certificate_new", "200 certificate|valid, 201 certificate" },
	{ "DELETE", "/certificates/{name}", NULL, "200 valid, 204" },
	{ "GET", "/calls", NULL, "200 [call]" },
	{ "POST", "/calls/end", "calls_end", "200 calls_ended" },
	{ "GET", "/calls/{id}", NULL, "200 call_whole" },
	{ "DELETE", "/calls/{id}", NULL, ACTION },
	{ "GET", "/calls/{id}/decisions", NULL, "200 [decision]" },
	{ "GET", "/calls/{id}/messages", NULL, "200 messages|text|pcap" },
	{ "GET", "/cdrs/{id}/decisions", NULL, "200 [decision]" },
	{ "GET", "/cdrs/{id}/messages", NULL, "200 messages|text|pcap" },
	{ "GET", "/cdrs", NULL, "200 [cdr]" },
	{ "GET", "/cdrs/{id}", NULL, "200 cdr" },
	{ "GET", "/trunks", NULL, "200 [trunk_state]" },
	{ "GET", "/trunks/{id}", NULL, "200 trunk_state" },
	{ "POST", "/trunks/{id}/probe", NULL, ACTION },
	{ "POST", "/trunks/{id}/drain", NULL, ACTION },
	{ "POST", "/trunks/{id}/undrain", NULL, ACTION },
	{ "GET", "/trunk-groups", NULL, "200 [group]" },
	{ "POST", "/routes/preview", "preview", "200 way" },
	{ "GET", "/metrics", NULL, "200 text" },
	{ "POST", "/drain", NULL, ACTION },
	{ "POST", "/undrain", NULL, ACTION },
};

const struct admin_exchange *admin_exchange_of(const char *method, const char *path)
{
	static const struct admin_exchange any = { NULL, NULL, NULL, "2XX " };

	for (size_t i = 0; i < sizeof exchanges / sizeof exchanges[0]; i++)
		if (!strcmp(exchanges[i].method, method) && !strcmp(exchanges[i].path, path))
			return &exchanges[i];
	return &any;
}
