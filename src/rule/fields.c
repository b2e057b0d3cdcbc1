/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of the language: fields, parts of addresses, actions. Parser, checker, evaluator, printer, man page and posternctl read them.
 */
#include "rule/rule.h"

#define EDIT (RULE_WRITE | RULE_REMOVE)
#define TOKENS (EDIT | RULE_ADD | RULE_KEEP | RULE_MEMBER)
#define F(n, t, k, ...) { .name = (n), .type = (t), .kind = (k), __VA_ARGS__ }
#define ADDRESS(n, h, f, r, d) { .name = (n), .type = RULE_ADDR, .kind = RULE_K_ADDR, .header = (h), .flags = (f), .rfc = (r), .doc = (d) }
#define SDP(m, f, t, k, fl, r, d) { .name = "sdp." m f, .type = (t), .kind = (k), .header = (m), .flags = (fl), .rfc = (r), .doc = (d) }
#define MEDIA(m) \
	SDP(m, ".codecs", RULE_LIST, RULE_K_CODECS, RULE_KEEP | RULE_REMOVE | RULE_MEMBER | RULE_SDP_EDIT, "RFC 8866 6.6", \
	    "Names as in rtpmap; keep filters and orders them. Of all " m " streams; read from the first."), \
	SDP(m, ".ptime", RULE_INT, RULE_K_PTIME, EDIT | RULE_SDP_EDIT, "RFC 8866 6.4", "Packet time in ms."), \
	SDP(m, ".bandwidth", RULE_INT, RULE_K_BANDWIDTH, EDIT | RULE_SDP_EDIT, "RFC 8866 5.8", "b=AS in kbit/s."), \
	SDP(m, ".direction", RULE_TOKEN, RULE_K_DIRECTION, 0, "RFC 8866 6.7", "sendrecv, sendonly, recvonly or inactive."), \
	SDP(m, ".port", RULE_INT, RULE_K_PORT, 0, "RFC 8866 5.14", "Port of the stream; 0: refused."), \
	SDP(m, ".attribute", RULE_STRING, RULE_K_ATTRIBUTE, EDIT | RULE_ADD | RULE_SUB | RULE_SDP_EDIT, "RFC 8866 5.13", "An attribute of the stream.")

const struct rule_field rule_fields[] = {
	F("method", RULE_TOKEN, RULE_K_METHOD, .rfc = "RFC 3261 7.1", .doc = "Method of the request, or of the request that a response answers."),
	F("status", RULE_INT, RULE_K_STATUS, .flags = RULE_WRITE | RULE_RESPONSE, .rfc = "RFC 3261 7.2", .doc = "Status code; a new one is of the same class, or 300-699 for 300-699."),
	F("status.reason", RULE_STRING, RULE_K_PHRASE, .flags = RULE_WRITE | RULE_RESPONSE, .rfc = "RFC 3261 7.2", .doc = "Reason phrase; a new status brings its own."),
	ADDRESS("ruri", "", RULE_WRITE | RULE_REQUEST, "RFC 3261 8.1.1.1", "Request-URI; without display."),
	ADDRESS("from", "From", RULE_WRITE, "RFC 3261 20.20", "From; edited in the request that forms the dialog, mapped in all others."),
	ADDRESS("to", "To", RULE_WRITE, "RFC 3261 20.39", "To; edited in the request that forms the dialog, mapped in all others."),
	ADDRESS("contact", "Contact", RULE_WRITE, "RFC 3261 20.10", "Contact; user, host and params can be written."),
	ADDRESS("p-asserted-identity", "P-Asserted-Identity", EDIT | RULE_ADD, "RFC 3325 9.1", "Asserted identity of the caller or callee."),
	ADDRESS("p-preferred-identity", "P-Preferred-Identity", EDIT | RULE_ADD, "RFC 3325 9.2", "Identity that the sender asks for."),
	ADDRESS("remote-party-id", "Remote-Party-ID", EDIT | RULE_ADD, "draft-ietf-sip-privacy-04", "Identity in the old form."),
	ADDRESS("diversion", "Diversion", EDIT | RULE_ADD, "RFC 5806", "Who diverted the call; .params has reason and counter."),
	ADDRESS("referred-by", "Referred-By", EDIT | RULE_ADD, "RFC 3892", "Who referred."),
	ADDRESS("refer-to", "Refer-To", EDIT, "RFC 3515 2.1", "Where to refer to."),
	F("allow", RULE_LIST, RULE_K_LIST, .header = "Allow", .flags = TOKENS, .rfc = "RFC 3261 20.5", .doc = "Methods; INVITE, ACK, BYE and CANCEL cannot be taken out. Postern heeds what is left on this leg."),
	F("supported", RULE_LIST, RULE_K_LIST, .header = "Supported", .flags = TOKENS, .rfc = "RFC 3261 20.37", .doc = "Extensions; without timer there is none on this leg."),
	F("require", RULE_LIST, RULE_K_LIST, .header = "Require", .flags = TOKENS, .rfc = "RFC 3261 20.32", .doc = "Extensions that are asked for."),
	F("allow-events", RULE_LIST, RULE_K_LIST, .header = "Allow-Events", .flags = TOKENS, .rfc = "RFC 6665 8.2.2", .doc = "Event packages."),
	F("accept", RULE_LIST, RULE_K_LIST, .header = "Accept", .flags = TOKENS, .rfc = "RFC 3261 20.1", .doc = "Types of bodies."),
	F("privacy", RULE_LIST, RULE_K_LIST, .header = "Privacy", .flags = TOKENS, .rfc = "RFC 3323 4.2", .doc = "id, header, session, user, none, critical."),
	F("session-expires", RULE_INT, RULE_K_NUMBER, .header = "Session-Expires", .flags = EDIT, .rfc = "RFC 4028 4", .doc = "Session interval in seconds; an edit sets the timer of the leg."),
	F("session-expires.refresher", RULE_TOKEN, RULE_K_PARAM, .header = "Session-Expires", .param = "refresher", .flags = EDIT, .rfc = "RFC 4028 4", .doc = "uac or uas."),
	F("min-se", RULE_INT, RULE_K_NUMBER, .header = "Min-SE", .flags = EDIT, .rfc = "RFC 4028 5", .doc = "Smallest session interval in seconds."),
	F("reason", RULE_STRING, RULE_K_PLAIN, .header = "Reason", .flags = RULE_REMOVE, .rfc = "RFC 3326", .doc = "The whole Reason; written by its parts."),
	F("reason.protocol", RULE_TOKEN, RULE_K_REASON_PROTOCOL, .header = "Reason", .flags = EDIT, .rfc = "RFC 3326", .doc = "Q.850 or SIP; removing it removes the header."),
	F("reason.cause", RULE_INT, RULE_K_REASON, .header = "Reason", .param = "cause", .flags = EDIT, .rfc = "RFC 3326", .doc = "Cause."),
	F("reason.text", RULE_STRING, RULE_K_REASON, .header = "Reason", .param = "text", .flags = EDIT, .rfc = "RFC 3326", .doc = "Text of the cause."),
	F("retry-after", RULE_INT, RULE_K_NUMBER, .header = "Retry-After", .flags = EDIT, .rfc = "RFC 3261 20.33", .doc = "Seconds."),
	F("user-agent", RULE_STRING, RULE_K_PLAIN, .header = "User-Agent", .flags = EDIT, .rfc = "RFC 3261 20.41", .doc = "Software of a requester."),
	F("server", RULE_STRING, RULE_K_PLAIN, .header = "Server", .flags = EDIT, .rfc = "RFC 3261 20.35", .doc = "Software of an answerer."),
	F("subject", RULE_STRING, RULE_K_PLAIN, .header = "Subject", .flags = EDIT, .rfc = "RFC 3261 20.36", .doc = "Subject of the call."),
	F("date", RULE_STRING, RULE_K_PLAIN, .header = "Date", .flags = EDIT, .rfc = "RFC 3261 20.17", .doc = "Date of the message."),
	F("header", RULE_STRING, RULE_K_HEADER, .header = "", .flags = EDIT | RULE_ADD | RULE_SUB, .rfc = "RFC 3261 7.3", .doc = "Any other header; a glob in `remove` and `has`. A repeated header is a list: a test looks for one that holds."),
	F("headers", RULE_LIST, RULE_K_NAMES, .header = "", .flags = RULE_KEEP | RULE_MEMBER, .rfc = "RFC 3261 7.3", .doc = "Names of all headers; `keep headers { ... }` takes out what is not listed, names or globs, except what the message needs to work."),
	F("body.type", RULE_TOKEN, RULE_K_BODY_TYPE, .rfc = "RFC 3261 20.15", .doc = "type/subtype of the body."),
	F("body.size", RULE_INT, RULE_K_BODY_SIZE, .rfc = "RFC 3261 20.14", .doc = "Length of the body in bytes."),
	F("sdp", RULE_FLAG, RULE_K_SDP, .flags = RULE_HAS, .header = "", .rfc = "RFC 8866", .doc = "Is there a session description?"),
	MEDIA("audio"),
	MEDIA("video"),
	F("sdp.attribute", RULE_STRING, RULE_K_ATTRIBUTE, .header = "", .flags = EDIT | RULE_ADD | RULE_SUB | RULE_SDP_EDIT, .rfc = "RFC 8866 5.13", .doc = "An attribute of the session."),
	F("src.ip", RULE_IP, RULE_K_SRC_IP, .rfc = "", .doc = "Address from which the message came."),
	F("src.port", RULE_INT, RULE_K_SRC_PORT, .rfc = "", .doc = "Port from which it came."),
	F("src.transport", RULE_TOKEN, RULE_K_AT, .header = "src.transport", .rfc = "", .doc = "udp, tcp, tls, ws or wss."),
	F("src.trunk", RULE_NAME, RULE_K_AT, .header = "src.trunk", .rfc = "", .doc = "Trunk from which it came; at send that of the other leg."),
	F("src.realm", RULE_NAME, RULE_K_AT, .header = "src.realm", .rfc = "", .doc = "Realm from which it came; at send that of the other leg."),
	F("src.rate", RULE_RATE, RULE_K_RATE, .rfc = "", .doc = "Requests of this source address: N/s in the last second, N/m in the last minute."),
	F("dst.trunk", RULE_NAME, RULE_K_AT, .header = "dst.trunk", .rfc = "", .doc = "Trunk to which it goes."),
	F("dst.realm", RULE_NAME, RULE_K_AT, .header = "dst.realm", .rfc = "", .doc = "Realm to which it goes."),
	F("call.direction", RULE_TOKEN, RULE_K_AT, .header = "call.direction", .rfc = "", .doc = "in: the leg on which the call came; out: one that we made."),
	F("call.var", RULE_STRING, RULE_K_VAR, .flags = EDIT | RULE_SUB, .rfc = "", .doc = "A string for the life of the call, seen from both legs."),
	F("call.tag", RULE_FLAG, RULE_K_TAG, .flags = RULE_HAS | RULE_SUB, .rfc = "", .doc = "Was the call marked by `tag`?"),
	F("dialog", RULE_TOKEN, RULE_K_AT, .header = "dialog", .rfc = "RFC 3261 12", .doc = "initial: forms a dialog; mid: within one."),
};
const size_t rule_fields_count = ARRAY_LEN(rule_fields);

/* The first row is the whole value; `flags` are what a part allows where its header may be written at all. */
const struct rule_part_row rule_parts[] = {
	{ "", RULE_WHOLE, RULE_ADDR, EDIT | RULE_ADD, "The whole value." },
	{ "display", RULE_DISPLAY, RULE_STRING, EDIT, "Display name, without quotes." },
	{ "scheme", RULE_SCHEME, RULE_TOKEN, RULE_WRITE, "sip, sips or tel." },
	{ "user", RULE_USER, RULE_STRING, EDIT, "User part, or the number of a tel: URI." },
	{ "host", RULE_HOST, RULE_TOKEN, RULE_WRITE, "Host name or address." },
	{ "port", RULE_URI_PORT, RULE_INT, EDIT, "Port of the URI." },
	{ "params", RULE_PARAMS, RULE_STRING, EDIT | RULE_SUB, "A parameter of the URI, else of the header; a new one goes to the URI, of Diversion and Remote-Party-ID to the header." },
	{ "headers", RULE_HEADERS, RULE_STRING, EDIT | RULE_SUB, "A header within the URI." },
};
const size_t rule_parts_count = ARRAY_LEN(rule_parts);

const struct rule_action_row rule_actions[] = {
	{ "set", RULE_A_SET, RULE_O_PATH_VALUE, RULE_WRITE, false, "set PATH VALUE", "Replace the value, or create it." },
	{ "add", RULE_A_ADD, RULE_O_PATH_VALUE, RULE_ADD, false, "add PATH VALUE", "Add one more value; a member that is there already is not added again." },
	{ "default", RULE_A_DEFAULT, RULE_O_PATH_VALUE, RULE_WRITE, false, "default PATH VALUE", "Set only where it is missing." },
	{ "remove", RULE_A_REMOVE, RULE_O_PATH, RULE_REMOVE, false, "remove PATH", "Remove all that match." },
	{ "keep", RULE_A_KEEP, RULE_O_PATH_LIST, RULE_KEEP, false, "keep PATH { VALUE, ... }", "Keep only these members, in this order." },
	{ "accept", RULE_A_ACCEPT, RULE_O_NONE, 0, true, "accept", "End this policy; the next one goes on." },
	{ "drop", RULE_A_DROP, RULE_O_NONE, 0, true, "drop", "End the message without an answer, at send it does not leave; never BYE or a final response." },
	{ "reject", RULE_A_REJECT, RULE_O_STATUS, 0, true, "reject STATUS [STRING]", "Answer with 400-699; at receive, requests except ACK, BYE and CANCEL." },
	{ "redirect", RULE_A_REDIRECT, RULE_O_VALUE, 0, true, "redirect VALUE", "Answer 302 with this Contact; at receive, requests that begin a dialog or stand outside of one." },
	{ "route", RULE_A_ROUTE, RULE_O_NAME, 0, true, "route NAME", "Send to this trunk or group past the route table; as redirect." },
	{ "log", RULE_A_LOG, RULE_O_STRING, 0, false, "log STRING", "Write a line to the log." },
	{ "tag", RULE_A_TAG, RULE_O_NAME, 0, false, "tag NAME", "Mark the call: in the call list, the CDR and events." },
	{ "count", RULE_A_COUNT, RULE_O_NAME, 0, false, "count NAME", "Add one to a counter of this name." },
};
const size_t rule_actions_count = ARRAY_LEN(rule_actions);

const char *const rule_set_types[] = { "peer", "ip", "glob", "regex", "int", "string", NULL };

const char *rule_type_name(enum rule_type t)
{
	static const char *const names[] = {
		[RULE_STRING] = "string", [RULE_TOKEN] = "token", [RULE_INT] = "number", [RULE_RATE] = "rate", [RULE_IP] = "IP address", [RULE_NAME] = "name",
		[RULE_ADDR] = "address", [RULE_LIST] = "list", [RULE_FLAG] = "flag",
	};

	return names[t];
}
