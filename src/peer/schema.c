/* SPDX-License-Identifier: Apache-2.0 */
/* Options of system, realms, listeners, trunk_groups and routes (design.md section 4). Needs conf alone; trunks are in schema_trunk.c. */
#include "peer/schema.h"
#include "postern/peer.h"

static const char *const transport_names[] = { "udp", "tcp", "tls", NULL };

/* ---- system ---- */
#define AT(member) offsetof(struct peer_system_conf, member)

static const char *const gather_names[] = { "auto", "off", NULL };
static const char *const sockets_names[] = { "auto", "ports", "shared", NULL };

static const struct conf_row api_rows[] = {
	{ .key = "address", .type = CONF_ADDRESS, .at = AT(api.address), .def = "\"127.0.0.1\"", .doc = "Where the API listens; other than loopback it needs `tls`." },
	{ .key = "port", .type = CONF_INT, .at = AT(api.port), .def = "8080", .min = 1, .max = 65535, .doc = "Its TCP port." },
	{ .key = "tls", .type = CONF_REF, .at = AT(api.tls), .flags = CONF_NULL, .ref = "tls_profiles", .doc = "TLS profile of the API; without it plain HTTP." },
	{ .key = "metrics_open", .type = CONF_BOOL, .at = AT(api.metrics_open), .def = "false", .doc = "/metrics without a token." },
	{ .key = NULL }
};

static const struct conf_row dns_rows[] = {
	{ .key = "servers", .type = CONF_LIST, .elem = CONF_SERVER, .at = AT(dns.servers), .flags = CONF_UNIQUE, .most = 8,
	  .doc = "DNS servers; none: those of the system's resolv.conf." },
	{ .key = "timeout", .type = CONF_INT, .at = AT(dns.timeout), .def = "2", .min = 1, .max = 60, .unit = "s", .doc = "For one server's answer." },
	{ .key = NULL }
};

static const struct conf_row trace_rows[] = {
	{ .key = "bytes", .type = CONF_INT, .at = AT(trace.bytes), .def = "67108864", .min = 0, .max = 4294967296.0, .unit = "bytes",
	  .doc = "Size of the ring that keeps the last SIP messages of calls; 0: none, under 8192 is taken as that. 0 turns it off at once; a size counts from the next start on." },
	{ .key = NULL }
};

static const struct conf_row cap_rows[] = {
	{ .key = "message_bytes", .type = CONF_INT, .at = AT(caps.message_bytes), .def = "65536", .min = 2048, .max = 1048576, .unit = "bytes",
	  .doc = "Largest SIP message; a larger one gets 413, or its connection is closed." },
	{ .key = "connections", .type = CONF_INT, .at = AT(caps.connections), .def = "4096", .min = 16, .max = 100000, .doc = "SIP connections at a time." },
	{ .key = "connections_per_source", .type = CONF_INT, .at = AT(caps.connections_per_source), .def = "256", .min = 1, .max = 100000, .doc = "Of these from one address." },
	{ .key = "handshake_seconds", .type = CONF_INT, .at = AT(caps.handshake_seconds), .def = "10", .min = 1, .max = 120, .unit = "s",
	  .doc = "Until a new connection's first whole message, its TLS handshake included." },
	{ .key = "idle_seconds", .type = CONF_INT, .at = AT(caps.idle_seconds), .def = "600", .min = 10, .max = 86400, .unit = "s",
	  .doc = "A connection without a message and without a call is closed." },
	{ .key = "source_rate", .type = CONF_INT, .at = AT(caps.source_rate), .def = "0", .min = 0, .max = 1000000, .unit = "1/s",
	  .doc = "Requests a second that are answered, from one address that belongs to no trunk; the others are dropped; 0: no limit." },
	{ .key = NULL }
};

static const struct conf_row process_rows[] = {
	{ .key = "workers", .type = CONF_INT, .at = AT(media_process.workers), .def = "0", .min = 0, .max = 64, .doc = "Threads that carry media; 0: as many as fit the machine." },
	{ .key = "gather", .type = CONF_ENUM, .at = AT(media_process.gather), .def = "\"auto\"", .names = gather_names,
	  .doc = "Take packets in batches by waiting a little where that saves work." },
	{ .key = "sockets", .type = CONF_ENUM, .at = AT(media_process.sockets), .def = "\"auto\"", .names = sockets_names,
	  .doc = "`shared`: a pair of sockets per thread for all ports (BPF sk_lookup; needs CAP_BPF, CAP_NET_ADMIN and CAP_NET_RAW at the start); `ports`: two sockets for each port pair; `auto`: shared where the machine allows it. It holds from the next start on." },
	{ .key = NULL }
};

static const struct conf_row system_rows[] = {
	{ .key = "name", .type = CONF_STRING, .at = AT(name), .def = "\"postern\"", .min = 1, .max = 64, .doc = "Name of this node." },
	{ .key = "user_agent", .type = CONF_STRING, .at = AT(user_agent), .def = "\"Postern\"", .min = 1, .max = 128, .doc = "User-Agent and Server of what we send." },
	{ .key = "max_calls", .type = CONF_INT, .at = AT(max_calls), .def = "4000", .min = 1, .max = 1000000, .doc = "Calls at a time; beyond it 503. More than at the start: from the next start on." },
	{ .key = "max_cps", .type = CONF_INT, .at = AT(max_cps), .def = "0", .min = 0, .max = 100000, .unit = "1/s", .doc = "New calls a second; beyond it 503; 0: no limit." },
	{ .key = "drain_seconds", .type = CONF_INT, .at = AT(drain_seconds), .def = "30", .min = 0, .max = 86400, .unit = "s",
	  .doc = "How long SIGTERM waits for calls to end before it ends them." },
	{ .key = "api", .type = CONF_OBJECT, .sub = api_rows, .doc = "The HTTP API." },
	{ .key = "dns", .type = CONF_OBJECT, .sub = dns_rows, .doc = "Resolving of names." },
	{ .key = "trace", .type = CONF_OBJECT, .sub = trace_rows, .doc = "The message ring." },
	{ .key = "caps", .type = CONF_OBJECT, .sub = cap_rows, .doc = "What one peer, or all of them, may take of us." },
	{ .key = "mask_dtmf", .type = CONF_BOOL, .at = AT(mask_dtmf), .def = "true",
	  .doc = "Events of digits say `*` in place of the digit." },
	{ .key = "media_process", .type = CONF_OBJECT, .sub = process_rows, .doc = "The process that carries media." },
	{ .key = "media", .type = CONF_REF, .at = AT(common.media), .flags = CONF_NULL, .def = "\"default\"", .ref = "media_profiles",
	  .doc = "Media profile of trunks where neither they nor their realm names one." },
	PEER_COMMON_ROWS(struct peer_system_conf, "\"default\"", "\"default\""),
	{ .key = NULL }
};

const struct conf_collection peer_schema_system = {
	.name = "system", .one = "system", .rows = system_rows, .size = sizeof(struct peer_system_conf), .single = true, .check = peer_schema_check_system,
	.doc = "What concerns the node as a whole.",
};

/* ---- realms ---- */
#undef AT
#define AT(member) offsetof(struct peer_realm_conf, member)

static const struct conf_row ports_rows[] = {
	{ .key = "address", .type = CONF_ADDRESS, .at = AT(ports.address), .flags = CONF_NULL, .doc = "IPv4 address that media is sent from and received at." },
	{ .key = "address6", .type = CONF_ADDRESS, .at = AT(ports.address6), .flags = CONF_NULL, .doc = "Likewise IPv6; one of the two at least." },
	{ .key = "advertise", .type = CONF_ADDRESS, .at = AT(ports.advertise), .flags = CONF_NULL, .doc = "IPv4 address that SDP names instead, where a NAT stands before us." },
	{ .key = "advertise6", .type = CONF_ADDRESS, .at = AT(ports.advertise6), .flags = CONF_NULL, .doc = "Likewise IPv6." },
	{ .key = "port_min", .type = CONF_INT, .at = AT(ports.port_min), .flags = CONF_REQUIRED, .min = 1024, .max = 65534, .doc = "First port, an even one." },
	{ .key = "port_max", .type = CONF_INT, .at = AT(ports.port_max), .flags = CONF_REQUIRED, .min = 1025, .max = 65535,
	  .doc = "Last port; a stream takes an even one and the odd one above." },
	{ .key = "profile", .type = CONF_REF, .at = AT(common.media), .flags = CONF_NULL, .ref = "media_profiles",
	  .doc = "Media profile of the realm's trunks (on a trunk and in the system this key is `media`)." },
	{ .key = NULL }
};

static const struct conf_row realm_rows[] = {
	{ .key = "id", .type = CONF_ID, .at = AT(id), .flags = CONF_REQUIRED, .doc = "Name of the realm." },
	{ .key = "media", .type = CONF_OBJECT, .sub = ports_rows, .flags = CONF_REQUIRED, .doc = "Addresses and ports of media." },
	PEER_COMMON_ROWS(struct peer_realm_conf, NULL, NULL),
	{ .key = NULL }
};

const struct conf_collection peer_schema_realms = {
	.name = "realms", .one = "realm", .rows = realm_rows, .size = sizeof(struct peer_realm_conf), .check = peer_schema_check_realms, .most = 1000,
	.doc = "Networks that we stand in: each has listeners, trunks and a range of media ports of its own.",
};

/* ---- listeners ---- */
#undef AT
#define AT(member) offsetof(struct peer_listener_conf, member)

static const struct conf_row listener_rows[] = {
	{ .key = "id", .type = CONF_ID, .at = AT(id), .flags = CONF_REQUIRED, .doc = "Name of the listener." },
	{ .key = "realm", .type = CONF_REF, .at = AT(realm), .flags = CONF_REQUIRED, .ref = "realms", .doc = "Realm that it belongs to." },
	{ .key = "transport", .type = CONF_ENUM, .at = AT(transport), .flags = CONF_REQUIRED, .names = transport_names, .doc = "SIP over UDP, TCP or TLS." },
	{ .key = "address", .type = CONF_ADDRESS, .at = AT(address), .flags = CONF_REQUIRED, .doc = "Address of this machine, IPv4 or IPv6." },
	{ .key = "port", .type = CONF_INT, .at = AT(port), .flags = CONF_REQUIRED, .min = 1, .max = 65535, .doc = "Port." },
	{ .key = "tls", .type = CONF_REF, .at = AT(tls), .flags = CONF_NULL, .ref = "tls_profiles", .doc = "TLS profile; with transport tls, and there it must be." },
	{ .key = "advertise", .type = CONF_HOST, .at = AT(advertise), .flags = CONF_NULL, .doc = "Host, with or without port, that Via, Contact and From name instead." },
	{ .key = NULL }
};

const struct conf_collection peer_schema_listeners = {
	.name = "listeners", .one = "listener", .rows = listener_rows, .size = sizeof(struct peer_listener_conf), .check = peer_schema_check_listeners, .most = 200,
	.doc = "Sockets that SIP comes in at, and that it leaves from.",
};

/* ---- groups ---- */
static const char *const strategy_names[] = { "priority", "round-robin", "weighted", "least-calls", NULL };

static const struct conf_row member_rows[] = {
	{ .key = "trunk", .type = CONF_REF, .at = offsetof(struct peer_member_conf, trunk), .flags = CONF_REQUIRED, .ref = "trunks|trunk_groups", .doc = "A trunk, or another group." },
	{ .key = "priority", .type = CONF_INT, .at = offsetof(struct peer_member_conf, priority), .def = "10", .min = 0, .max = 65535, .doc = "Lower ones first." },
	{ .key = "weight", .type = CONF_INT, .at = offsetof(struct peer_member_conf, weight), .def = "1", .min = 0, .max = 65535, .doc = "Share among equal priorities." },
	{ .key = NULL }
};

static const struct conf_row group_rows[] = {
	{ .key = "id", .type = CONF_ID, .at = offsetof(struct peer_group_conf, id), .flags = CONF_REQUIRED, .doc = "Name of the group; trunks and groups share one name space." },
	{ .key = "strategy", .type = CONF_ENUM, .at = offsetof(struct peer_group_conf, strategy), .def = "\"priority\"", .names = strategy_names,
	  .doc = "How the first member of a call is chosen." },
	{ .key = "members", .type = CONF_LIST, .elem = CONF_OBJECT, .at = offsetof(struct peer_group_conf, members), .flags = CONF_REQUIRED | CONF_FILLED, .sub = member_rows,
	  .elem_size = sizeof(struct peer_member_conf), .most = 64, .doc = "Its members." },
	{ .key = "stop_on", .type = CONF_LIST, .elem = CONF_INT, .at = offsetof(struct peer_group_conf, stop_on), .flags = CONF_UNIQUE, .min = 300, .max = 699, .most = 100,
	  .doc = "Answers that end the hunt, although the trunk's `on_status` would go on." },
	{ .key = NULL }
};

const struct conf_collection peer_schema_groups = {
	.name = "trunk_groups", .one = "trunk group", .rows = group_rows, .size = sizeof(struct peer_group_conf), .space = "trunks", .reserved = "registered",
	.check = peer_schema_check_groups, .doc = "Trunks that calls are spread over.",
};

/* ---- routes ---- */
#undef AT
#define AT(member) offsetof(struct peer_route_conf, member)

static const char *const day_names[] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL };

static const struct conf_row route_header_rows[] = {
	{ .key = "name", .type = CONF_TOKEN, .at = offsetof(struct peer_route_header_conf, name), .flags = CONF_REQUIRED, .doc = "Its name." },
	{ .key = "value", .type = CONF_REGEX, .at = offsetof(struct peer_route_header_conf, value), .flags = CONF_REQUIRED, .doc = "What its first value must be." },
	{ .key = NULL }
};

static const struct conf_row route_time_rows[] = {
	{ .key = "zone", .type = CONF_STRING, .at = AT(match.time.zone), .flags = CONF_NULL, .max = 64, .doc = "Zone of the system's database, as `Europe/Berlin`; without it UTC." },
	{ .key = "days", .type = CONF_LIST, .elem = CONF_ENUM, .at = AT(match.time.days), .flags = CONF_UNIQUE, .names = day_names, .most = 7,
	  .doc = "Days of the week; none named: all. A period past midnight belongs to the day that it begins on." },
	{ .key = "from", .type = CONF_STRING, .at = AT(match.time.from), .flags = CONF_NULL, .max = 5, .doc = "`HH:MM`, begin of the period; without it 00:00." },
	{ .key = "to", .type = CONF_STRING, .at = AT(match.time.to), .flags = CONF_NULL, .max = 5,
	  .doc = "`HH:MM`, end of the period, no part of it; without it 24:00. Before `from`: on the next day." },
	{ .key = NULL }
};

static const struct conf_row route_match_rows[] = {
	{ .key = "to_user", .type = CONF_REGEX, .at = AT(match.to_user), .flags = CONF_NULL, .doc = "User of the Request-URI." },
	{ .key = "to_host", .type = CONF_REGEX, .at = AT(match.to_host), .flags = CONF_NULL, .doc = "Host of the Request-URI." },
	{ .key = "from_user", .type = CONF_REGEX, .at = AT(match.from_user), .flags = CONF_NULL, .doc = "User of From." },
	{ .key = "from_host", .type = CONF_REGEX, .at = AT(match.from_host), .flags = CONF_NULL, .doc = "Host of From." },
	{ .key = "method", .type = CONF_REGEX, .at = AT(match.method), .flags = CONF_NULL, .doc = "Method of the request." },
	{ .key = "headers", .type = CONF_LIST, .elem = CONF_OBJECT, .at = AT(match.headers), .sub = route_header_rows, .elem_size = sizeof(struct peer_route_header_conf), .most = 8,
	  .doc = "Headers of the request, as the policies on receipt left them; one that is absent does not match." },
	{ .key = "time", .type = CONF_OBJECT, .sub = route_time_rows, .doc = "When the route is there." },
	{ .key = NULL }
};

static const struct conf_row route_rows[] = {
	{ .key = "id", .type = CONF_ID, .at = AT(id), .flags = CONF_REQUIRED, .doc = "Name of the route." },
	{ .key = "order", .type = CONF_INT, .at = AT(order), .def = "100", .min = 0, .max = 1000000, .doc = "Lowest first; of equal ones the first in the document." },
	{ .key = "from", .type = CONF_LIST, .elem = CONF_REF, .at = AT(from), .flags = CONF_UNIQUE, .ref = "trunks", .doc = "Trunks whose requests it takes; none named: all." },
	{ .key = "match", .type = CONF_OBJECT, .sub = route_match_rows, .doc = "Regular expressions (PCRE2) and a time of day, all of which must hold." },
	{ .key = "to", .type = CONF_REF, .at = AT(to), .flags = CONF_REQUIRED, .ref = "trunks|trunk_groups|=registered",
	  .doc = "A trunk, a group, or `registered`: who registered here." },
	{ .key = NULL }
};

const struct conf_collection peer_schema_routes = {
	.name = "routes", .one = "route", .rows = route_rows, .size = sizeof(struct peer_route_conf), .check = peer_schema_check_routes,
	.doc = "Which trunk a request goes to: lowest order that matches; none: 404.",
};
