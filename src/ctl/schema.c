/* SPDX-License-Identifier: Apache-2.0 */
/* The whole configuration document: every folder's tables in the order in which they are checked and shown; and the options of users. */
#include "postern/call.h"
#include "postern/conf.h"
#include "postern/ctl.h"
#include "postern/keys.h"
#include "postern/media.h"
#include "postern/peer.h"
#include "postern/rule.h"

static const char *const role_names[] = { "viewer", "operator", "admin", NULL };

static const struct conf_row user_rows[] = {
	{ .key = "id", .type = CONF_ID, .at = offsetof(struct ctl_user_conf, id), .flags = CONF_REQUIRED, .doc = "Name of the user." },
	{ .key = "role", .type = CONF_ENUM, .at = offsetof(struct ctl_user_conf, role), .def = "\"viewer\"", .names = role_names,
	  .doc = "`viewer` reads, `operator` also ends calls, drains and probes, `admin` may all." },
	{ .key = "allow", .type = CONF_LIST, .elem = CONF_CIDR, .at = offsetof(struct ctl_user_conf, allow), .flags = CONF_UNIQUE, .most = 256,
	  .doc = "Addresses and networks that the user's tokens are taken from; none named: any." },
	{ .key = "deny", .type = CONF_LIST, .elem = CONF_CIDR, .at = offsetof(struct ctl_user_conf, deny), .flags = CONF_UNIQUE, .most = 256,
	  .doc = "Addresses and networks that they are not taken from; goes before allow." },
	{ .key = NULL }
};

static void check_nets(struct conf_errors *errs, const char *at, const char *key, const void *v, size_t n)
{
	const char *const *text = v;
	struct conf_net net;
	char pointer[192];
	size_t i;

	for (i = 0; i < n; i++) {
		struct text p = text_on(pointer, sizeof pointer);

		text_add(&p, "%s/%s/%zu", at, key, i);
		if (!conf_net_parse(text[i], &net) && net.port)
			conf_error(errs, pointer, "must not name a port");
	}
}

static void check_users(const struct conf_doc *doc, struct conf_errors *errs)
{
	size_t n, i;
	const void *const *obj = conf_objects(doc, &ctl_schema_users, &n);
	char at[128], pointer[160];

	for (i = 0; i < n; i++) {
		const struct ctl_user_conf *u = obj[i];
		struct text p = text_on(pointer, sizeof pointer);

		if (!u->id)
			continue;
		conf_pointer(doc, &ctl_schema_users, u, at);
		text_add(&p, "%s/role", at);
		if (!strcmp(u->id, "admin") && u->role != 2)
			conf_error(errs, pointer, "must be \"admin\": the user admin is the one that cannot be locked out");
		check_nets(errs, at, "allow", u->allow.v, u->allow.n);
		check_nets(errs, at, "deny", u->deny.v, u->deny.n);
	}
}

const struct conf_collection ctl_schema_users = {
	.name = "users", .one = "user", .rows = user_rows, .size = sizeof(struct ctl_user_conf), .check = check_users, .most = 1000,
	.builtin = "[{\"id\": \"admin\", \"role\": \"admin\"}]", .builtin_open = true,
	.doc = "Users of the API; their tokens are made by the API and not part of the document. `admin` always exists.",
};

const struct conf_collection *const ctl_schema[] = {
	&peer_schema_system, &peer_schema_realms, &keys_schema_tls_profiles, &peer_schema_listeners, &peer_schema_trunks, &peer_schema_groups,
	&peer_schema_routes, &call_schema_timers, &call_schema_midcall, &media_schema_profiles, &rule_schema_policies, &ctl_schema_users, NULL
};
