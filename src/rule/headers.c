/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of headers, attributes and status codes by name: RFC 3261 section 7.3.3 and 20, RFC 8866. */
#include "rule/rule.h"

struct slice rule_header_long(struct slice name)
{
	static const struct { char c; const char *name; } compact[] = {
		{ 'i', "Call-ID" }, { 'm', "Contact" }, { 'e', "Content-Encoding" }, { 'l', "Content-Length" }, { 'c', "Content-Type" }, { 'f', "From" },
		{ 's', "Subject" }, { 'k', "Supported" }, { 't', "To" }, { 'v', "Via" }, { 'o', "Event" }, { 'u', "Allow-Events" }, { 'r', "Refer-To" },
		{ 'b', "Referred-By" }, { 'x', "Session-Expires" }, { 'd', "Request-Disposition" }, { 'a', "Accept-Contact" }, { 'j', "Reject-Contact" },
		{ 'n', "Identity-Info" }, { 'y', "Identity" },
	};

	if (name.n == 1)
		for (size_t i = 0; i < ARRAY_LEN(compact); i++)
			if (compact[i].c == (name.p[0] | 32))
				return slice_str(compact[i].name);
	return name;
}

/* why: dialog or transaction; else the field that writes it */
static const struct { const char *name, *why, *field; } own[] = {
	{ "Via", "belongs to the transaction", NULL }, { "Call-ID", "identifies the dialog", NULL }, { "CSeq", "orders the dialog", NULL },
	{ "Route", "is the route set of the dialog", NULL }, { "Record-Route", "is the route set of the dialog", NULL },
	{ "Max-Forwards", "guards against loops", NULL }, { "Content-Length", "follows from the body", NULL },
	{ "RAck", "belongs to the transaction", NULL }, { "RSeq", "belongs to the transaction", NULL },
	{ "From", NULL, "from.user, from.host or from.display" }, { "To", NULL, "to.user, to.host or to.display" },
	{ "Contact", NULL, "contact.user, contact.host or contact.params[...]" }, { "Allow", NULL, "allow" }, { "Supported", NULL, "supported" },
	{ "Require", NULL, "require" }, { "Session-Expires", NULL, "session-expires" }, { "Min-SE", NULL, "min-se" },
	{ "Content-Type", "says what the body is", NULL }, { "Content-Encoding", "says what the body is", NULL },
};

bool rule_header_writable(struct slice name, const char **ret_why, const char **ret_field)
{
	for (size_t i = 0; i < ARRAY_LEN(own); i++) {
		if (slice_eq_nocase(slice_str(own[i].name), name)) {
			*ret_why = own[i].why;
			*ret_field = own[i].field;
			return false;
		}
	}
	return true;
}

bool rule_header_guarded(struct slice name)
{
	static const char *const also[] = {
		"Authorization", "Proxy-Authorization", "WWW-Authenticate", "Proxy-Authenticate", "Proxy-Require", "Unsupported", "Event", "Subscription-State",
		"Refer-To", "Replaces", "Expires", "Min-Expires", "Content-Disposition", "MIME-Version", "SIP-ETag", "SIP-If-Match", "Timestamp", "Retry-After",
	};
	const char *why, *field;

	if (!rule_header_writable(name, &why, &field))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(also); i++)
		if (slice_eq_nocase(slice_str(also[i]), name))
			return true;
	return false;
}

bool rule_attribute_writable(struct slice name)
{
	static const char *const ours[] = {
		"sendrecv", "sendonly", "recvonly", "inactive", "rtpmap", "crypto", "fingerprint", "setup", "tls-id", "ice-ufrag", "ice-pwd", "ice-options", "ice-lite",
		"candidate", "end-of-candidates", "rtcp", "rtcp-mux", "rtcp-mux-only", "mid", "group", "ptime",
	};

	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		if (slice_eq_nocase(slice_str(ours[i]), name))
			return false;
	return true;
}

const char *rule_phrase_of(int status)
{
	static const struct { int status; const char *phrase; } rows[] = {
		{ 180, "Ringing" }, { 181, "Call Is Being Forwarded" }, { 182, "Queued" }, { 183, "Session Progress" }, { 199, "Early Dialog Terminated" },
		{ 200, "OK" }, { 202, "Accepted" }, { 204, "No Notification" }, { 300, "Multiple Choices" }, { 301, "Moved Permanently" }, { 302, "Moved Temporarily" },
		{ 305, "Use Proxy" }, { 380, "Alternative Service" }, { 400, "Bad Request" }, { 401, "Unauthorized" }, { 402, "Payment Required" }, { 403, "Forbidden" },
		{ 404, "Not Found" }, { 405, "Method Not Allowed" }, { 406, "Not Acceptable" }, { 407, "Proxy Authentication Required" }, { 408, "Request Timeout" },
		{ 410, "Gone" }, { 412, "Conditional Request Failed" }, { 413, "Request Entity Too Large" }, { 414, "Request-URI Too Long" },
		{ 415, "Unsupported Media Type" }, { 416, "Unsupported URI Scheme" }, { 420, "Bad Extension" }, { 421, "Extension Required" },
		{ 422, "Session Interval Too Small" }, { 423, "Interval Too Brief" }, { 428, "Use Identity Header" }, { 429, "Provide Referrer Identity" },
		{ 430, "Flow Failed" }, { 433, "Anonymity Disallowed" }, { 436, "Bad Identity Info" }, { 437, "Unsupported Credential" }, { 438, "Invalid Identity Header" },
		{ 480, "Temporarily Unavailable" }, { 481, "Call/Transaction Does Not Exist" }, { 482, "Loop Detected" }, { 483, "Too Many Hops" },
		{ 484, "Address Incomplete" }, { 485, "Ambiguous" }, { 486, "Busy Here" }, { 487, "Request Terminated" }, { 488, "Not Acceptable Here" },
		{ 489, "Bad Event" }, { 491, "Request Pending" }, { 493, "Undecipherable" }, { 494, "Security Agreement Required" }, { 500, "Server Internal Error" },
		{ 501, "Not Implemented" }, { 502, "Bad Gateway" }, { 503, "Service Unavailable" }, { 504, "Server Time-out" }, { 505, "Version Not Supported" },
		{ 513, "Message Too Large" }, { 580, "Precondition Failure" }, { 600, "Busy Everywhere" }, { 603, "Decline" }, { 604, "Does Not Exist Anywhere" },
		{ 606, "Not Acceptable" }, { 607, "Unwanted" }, { 608, "Rejected" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].status == status)
			return rows[i].phrase;
	return "";
}
