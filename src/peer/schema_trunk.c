/* SPDX-License-Identifier: Apache-2.0 */
/* Options of trunks (design.md sections 4 and 8). Needs conf alone; the checks across options are in schema_check.c. */
#include "peer/schema.h"
#include "postern/peer.h"

#define AT(member) offsetof(struct peer_trunk_conf, member)

static const char *const nat_names[] = { "auto", "off", NULL };
static const char *const redirect_names[] = { "pass", "follow", NULL };
static const char *const refer_names[] = { "relay", "reject", NULL };
static const char *const offer_names[] = { "as-is", "force", NULL };
static const char *const mode_names[] = { "return", "park", NULL };

static const struct conf_row target_rows[] = {
	{ .key = "uri", .type = CONF_URI, .at = offsetof(struct peer_target_conf, uri), .flags = CONF_REQUIRED, .doc = "sip: or sips: URI of the peer." },
	{ .key = "expires", .type = CONF_INT, .at = offsetof(struct peer_target_conf, expires), .flags = CONF_LATER, .def = "0", .min = 0, .max = 604800, .unit = "s",
	  .doc = "Interval of the registration at this target; 0: the registration's own." },
	{ .key = NULL }
};

static const struct conf_row match_rows[] = {
	{ .key = "to_host", .type = CONF_REGEX, .at = AT(match.to_host), .flags = CONF_NULL, .doc = "Host of the Request-URI." },
	{ .key = "from_host", .type = CONF_REGEX, .at = AT(match.from_host), .flags = CONF_NULL, .doc = "Host of From." },
	{ .key = "to_user", .type = CONF_REGEX, .at = AT(match.to_user), .flags = CONF_NULL, .doc = "User of the Request-URI." },
	{ .key = "tls_subject", .type = CONF_REGEX, .at = AT(match.tls_subject), .flags = CONF_NULL, .doc = "A name in the peer's verified certificate." },
	{ .key = NULL }
};

static const struct conf_row limit_rows[] = {
	{ .key = "max_calls", .type = CONF_INT, .at = AT(limits.max_calls), .def = "0", .min = 0, .max = 1000000, .doc = "Calls at a time; 0: no limit." },
	{ .key = "max_calls_in", .type = CONF_INT, .at = AT(limits.max_calls_in), .def = "0", .min = 0, .max = 1000000, .doc = "Calls from the trunk at a time." },
	{ .key = "max_calls_out", .type = CONF_INT, .at = AT(limits.max_calls_out), .def = "0", .min = 0, .max = 1000000, .doc = "Calls to the trunk at a time." },
	{ .key = "max_cps", .type = CONF_INT, .at = AT(limits.max_cps), .def = "0", .min = 0, .max = 100000, .unit = "1/s", .doc = "New calls a second." },
	{ .key = NULL }
};

static const struct conf_row user_rows[] = {
	{ .key = "username", .type = CONF_STRING, .at = offsetof(struct peer_auth_user_conf, username), .flags = CONF_REQUIRED, .min = 1, .max = 128, .doc = "User name in the digest." },
	{ .key = "password", .type = CONF_STRING, .at = offsetof(struct peer_auth_user_conf, password), .flags = CONF_REQUIRED | CONF_SECRET, .min = 1, .max = 256, .doc = "Its password." },
	{ .key = NULL }
};

static const struct conf_row inbound_rows[] = {
	{ .key = "users", .type = CONF_LIST, .elem = CONF_OBJECT, .at = AT(auth.inbound_users), .flags = CONF_LATER, .sub = user_rows,
	  .elem_size = sizeof(struct peer_auth_user_conf), .most = 256, .doc = "Who may call from this trunk by digest; none: no digest is asked for." },
	{ .key = NULL }
};

static const struct conf_row auth_rows[] = {
	{ .key = "username", .type = CONF_STRING, .at = AT(auth.username), .flags = CONF_NULL, .min = 1, .max = 128, .doc = "User name that challenges of the peer are answered with." },
	{ .key = "password", .type = CONF_STRING, .at = AT(auth.password), .flags = CONF_NULL | CONF_SECRET, .min = 1, .max = 256, .doc = "Its password." },
	{ .key = "realm", .type = CONF_STRING, .at = AT(auth.realm), .flags = CONF_NULL, .min = 1, .max = 256, .doc = "Answer challenges of this digest realm alone." },
	{ .key = "inbound", .type = CONF_OBJECT, .sub = inbound_rows, .doc = "Digest asked for from the peer." },
	{ .key = NULL }
};

static const struct conf_row registration_rows[] = {
	{ .key = "enabled", .type = CONF_BOOL, .at = AT(registration.enabled), .flags = CONF_LATER, .def = "false", .doc = "Register at the trunk's targets." },
	{ .key = "aor", .type = CONF_URI, .at = AT(registration.aor), .flags = CONF_NULL, .doc = "Address of record." },
	{ .key = "expires", .type = CONF_INT, .at = AT(registration.expires), .def = "3600", .min = 10, .max = 604800, .unit = "s", .doc = "Interval that is asked for." },
	{ .key = "tries", .type = CONF_INT, .at = AT(registration.tries), .def = "3", .min = 1, .max = 11, .doc = "Tries at a target before the next." },
	{ .key = "dual", .type = CONF_BOOL, .at = AT(registration.dual), .def = "false", .doc = "Stay registered at the two best targets." },
	{ .key = "failback_interval", .type = CONF_INT, .at = AT(registration.failback_interval), .def = "1800", .min = 1, .max = 604800, .unit = "s",
	  .doc = "How often a better target is tried again." },
	{ .key = NULL }
};

#define STATUS_LIST(key_, member, least, def_, doc_) \
	{ .key = key_, .type = CONF_LIST, .elem = CONF_INT, .at = AT(member), .flags = CONF_UNIQUE, .def = def_, .min = least, .max = 699, .most = 100, .doc = doc_ }

static const struct conf_row probe_rows[] = {
	{ .key = "enabled", .type = CONF_BOOL, .at = AT(probe.enabled), .def = "false", .doc = "Probe every target." },
	{ .key = "method", .type = CONF_TOKEN, .at = AT(probe.method), .def = "\"OPTIONS\"", .doc = "Method of the request that is sent." },
	{ .key = "interval", .type = CONF_INT, .at = AT(probe.interval), .def = "30", .min = 1, .max = 86400, .unit = "s", .doc = "From probe to probe." },
	{ .key = "timeout", .type = CONF_INT, .at = AT(probe.timeout), .def = "2", .min = 1, .max = 32, .unit = "s", .doc = "Without an answer for so long, or until the next, a probe failed." },
	{ .key = "down_after", .type = CONF_INT, .at = AT(probe.down_after), .def = "3", .min = 1, .max = 100, .doc = "Failures in a row until the target is down." },
	{ .key = "up_after", .type = CONF_INT, .at = AT(probe.up_after), .def = "2", .min = 1, .max = 100, .doc = "Successes in a row until it is up again." },
	STATUS_LIST("down_on", probe.down_on, 300, "[408, 500, 503]", "Answers that count as a failure."),
	{ .key = NULL }
};

static const struct conf_row failover_rows[] = {
	{ .key = "tries", .type = CONF_INT, .at = AT(failover.tries), .def = "3", .min = 1, .max = 11,
	  .doc = "tries x try_timeout is the time that a target has for its first response." },
	{ .key = "try_timeout", .type = CONF_REAL, .at = AT(failover.try_timeout), .def = "2.0", .min = 0.1, .max = 32, .unit = "s", .doc = "See tries." },
	STATUS_LIST("on_status", failover.on_status, 300, "[408, 500, 502, 503, 504]", "Answers after which the next target is tried."),
	{ .key = "down_after", .type = CONF_INT, .at = AT(failover.down_after), .def = "1", .min = 1, .max = 100,
	  .doc = "Requests unanswered until the target is down." },
	{ .key = NULL }
};

static const struct conf_row failback_rows[] = {
	{ .key = "mode", .type = CONF_ENUM, .at = AT(failback.mode), .def = "\"return\"", .names = mode_names,
	  .doc = "Whether new calls go back to a better target that is up again, or stay (`park`) until the present one fails." },
	{ .key = "interval", .type = CONF_INT, .at = AT(failback.interval), .def = "60", .min = 1, .max = 86400, .unit = "s",
	  .doc = "How often a down target is probed where `probe` is off." },
	{ .key = "hold_down", .type = CONF_INT, .at = AT(failback.hold_down), .def = "30", .min = 0, .max = 86400, .unit = "s",
	  .doc = "How long a target must be up before it takes calls again." },
	{ .key = "ramp_up", .type = CONF_INT, .at = AT(failback.ramp_up), .def = "0", .min = 0, .max = 86400, .unit = "s",
	  .doc = "Over how long it takes them over." },
	{ .key = "max_rest", .type = CONF_INT, .at = AT(failback.max_rest), .def = "300", .min = 0, .max = 86400, .unit = "s",
	  .doc = "Longest rest that a Retry-After may ask for." },
	{ .key = NULL }
};

static const struct conf_row rows[] = {
	{ .key = "id", .type = CONF_ID, .at = AT(id), .flags = CONF_REQUIRED, .doc = "Name of the trunk; trunks and groups share one name space." },
	{ .key = "realm", .type = CONF_REF, .at = AT(realm), .flags = CONF_REQUIRED, .ref = "realms", .doc = "Where the peer is." },
	{ .key = "listener", .type = CONF_REF, .at = AT(listener), .flags = CONF_NULL, .ref = "listeners",
	  .doc = "Listener that requests are sent from; without it the realm's first of the target's transport and family." },
	{ .key = "tls", .type = CONF_REF, .at = AT(tls), .flags = CONF_NULL, .ref = "tls_profiles", .doc = "Profile of TLS connections that we make to the peer." },
	{ .key = "target", .type = CONF_LIST, .elem = CONF_OBJECT, .at = AT(targets), .flags = CONF_ALONE | CONF_BRIEF, .sub = target_rows,
	  .elem_size = sizeof(struct peer_target_conf), .doc = "The peer, as `sip:host:port;transport=udp`: a list of one. Either this or `targets`." },
	{ .key = "targets", .type = CONF_LIST, .elem = CONF_OBJECT, .at = AT(targets), .flags = CONF_BRIEF | CONF_FILLED, .sub = target_rows,
	  .elem_size = sizeof(struct peer_target_conf), .most = 12, .doc = "The peer's addresses, best first." },
	{ .key = "outbound_proxy", .type = CONF_LIST, .elem = CONF_URI, .at = AT(outbound_proxy), .flags = CONF_UNIQUE, .most = 12,
	  .doc = "Where requests go instead; the Request-URI stays the target's." },
	{ .key = "sources", .type = CONF_LIST, .elem = CONF_CIDR, .at = AT(sources), .flags = CONF_UNIQUE, .most = 256,
	  .doc = "Networks that the peer's requests come from, beside its targets." },
	{ .key = "match", .type = CONF_OBJECT, .sub = match_rows, .doc = "Regular expressions (PCRE2) that narrow what belongs to the trunk." },
	{ .key = "trusted", .type = CONF_BOOL, .at = AT(trusted), .def = "false", .doc = "Within the domain of trust of RFC 3325." },
	{ .key = "nat", .type = CONF_ENUM, .at = AT(nat), .def = "\"auto\"", .names = nat_names, .doc = "Answer to where a request came from, whatever its Via and Contact say." },
	{ .key = "redirect", .type = CONF_ENUM, .at = AT(redirect), .def = "\"pass\"", .names = redirect_names, .doc = "Pass a 3xx on, or try its Contacts." },
	{ .key = "refer", .type = CONF_ENUM, .at = AT(refer), .def = "\"relay\"", .names = refer_names, .doc = "Pass REFER on, or refuse it." },
	{ .key = "early_offer", .type = CONF_ENUM, .at = AT(early_offer), .def = "\"as-is\"", .names = offer_names,
	  .doc = "`force` makes an offer of our own for an INVITE without one." },
	{ .key = "udp_max", .type = CONF_INT, .at = AT(udp_max), .def = "65535", .min = 512, .max = 65535, .unit = "bytes", .doc = "Largest request that is sent over UDP." },
	{ .key = "no_answer", .type = CONF_INT, .at = AT(no_answer), .def = "180", .min = 1, .max = 86400, .unit = "s",
	  .doc = "From the peer's first response to the end of ringing: then CANCEL, and 480 to the caller." },
	{ .key = "media", .type = CONF_REF, .at = AT(common.media), .flags = CONF_NULL, .ref = "media_profiles", .doc = "Media profile; without it the realm's, then the system's." },
	PEER_COMMON_ROWS(struct peer_trunk_conf, NULL, NULL),
	{ .key = "limits", .type = CONF_OBJECT, .sub = limit_rows, .doc = "Limits of the trunk; over one it is skipped." },
	{ .key = "auth", .type = CONF_OBJECT, .sub = auth_rows, .doc = "Digest (RFC 3261 section 22, RFC 8760)." },
	{ .key = "registration", .type = CONF_OBJECT, .sub = registration_rows, .doc = "Registration at the peer." },
	{ .key = "probe", .type = CONF_OBJECT, .sub = probe_rows, .doc = "Watching targets by requests of our own." },
	{ .key = "failover", .type = CONF_OBJECT, .sub = failover_rows, .doc = "When the next target is tried." },
	{ .key = "failback", .type = CONF_OBJECT, .sub = failback_rows, .doc = "When a target that was down is used again." },
	{ .key = NULL }
};

const struct conf_collection peer_schema_trunks = {
	.name = "trunks", .one = "trunk", .rows = rows, .size = sizeof(struct peer_trunk_conf), .space = "trunks", .reserved = "registered",
	.check = peer_schema_check_trunks, .doc = "Peers that calls come from and go to.",
};
