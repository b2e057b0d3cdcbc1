/* SPDX-License-Identifier: Apache-2.0 */
/* peer, private: what its option tables share. */
#ifndef PEER_SCHEMA_H
#define PEER_SCHEMA_H

#include "postern/conf.h"

struct peer_route_conf;

/* What stands on a trunk, a realm and the system alike; `media` is each one's own. */
#define PEER_COMMON_ROWS(type_, midcall_def, timer_def) \
	{ .key = "mid_call", .type = CONF_REF, .at = offsetof(type_, common.mid_call), .flags = CONF_NULL, .def = midcall_def, .ref = "mid_call", \
	  .now = "[\"default\", \"media-change\"]", .doc = "Mid-call profile; a trunk's goes before the realm's, that before the system's." }, \
	{ .key = "session_timer", .type = CONF_REF, .at = offsetof(type_, common.session_timer), .flags = CONF_NULL, .def = timer_def, \
	  .ref = "session_timers", .now = "[\"default\"]", .doc = "Session timer; a trunk's goes before the realm's, that before the system's." }, \
	{ .key = "policies", .type = CONF_LIST, .elem = CONF_REF, .at = offsetof(type_, common.policies), .flags = CONF_UNIQUE, .ref = "policies", \
	  .most = 64, .doc = "Policies in order; those of system, realm and trunk add up." }

/* an error or a warning at a key of an object */
#define PEER_AT_MOST 256
const char *peer_schema_at(const struct conf_doc *doc, const struct conf_collection *c, const void *obj, const char *key, char buf[static PEER_AT_MOST]);

void peer_schema_check_system(const struct conf_doc *doc, struct conf_errors *errs);
void peer_schema_check_realms(const struct conf_doc *doc, struct conf_errors *errs);
void peer_schema_check_listeners(const struct conf_doc *doc, struct conf_errors *errs);
void peer_schema_check_trunks(const struct conf_doc *doc, struct conf_errors *errs);
void peer_schema_check_groups(const struct conf_doc *doc, struct conf_errors *errs);
/** The time of day of a route. known: a zone that was found to be there, NULL: none yet. */
void peer_schema_check_time(const struct conf_doc *doc, const struct peer_route_conf *r, const char **known, struct conf_errors *errs);
void peer_schema_check_routes(const struct conf_doc *doc, struct conf_errors *errs);
/** Trunks of one realm that no request could be told apart by; here since it has a table of its own. */
void peer_schema_check_alike(const struct conf_doc *doc, struct conf_errors *errs);

#endif
