/* SPDX-License-Identifier: Apache-2.0 */
/* Options of tls_profiles (design.md section 4). Needs conf alone. */
#include "postern/conf.h"
#include "postern/keys.h"

static const char *const verify_names[] = { "none", "optional", "required", "auto", NULL };
static const char *const version_names[] = { "1.2", "1.3", NULL };

static const struct conf_row rows[] = {
	{ .key = "id", .type = CONF_ID, .at = offsetof(struct keys_tls_conf, id), .flags = CONF_REQUIRED, .doc = "Name of the profile." },
	{ .key = "certificate", .type = CONF_FILE, .at = offsetof(struct keys_tls_conf, certificate), .flags = CONF_NULL,
	  .doc = "Certificate chain in PEM, our own first; looked for beside the document, then in the state folder's certificates/." },
	{ .key = "key", .type = CONF_FILE, .at = offsetof(struct keys_tls_conf, key), .flags = CONF_NULL, .doc = "Private key of the certificate in PEM." },
	{ .key = "ca", .type = CONF_FILE, .at = offsetof(struct keys_tls_conf, ca), .flags = CONF_NULL,
	  .doc = "Trust anchors in PEM that certificates of peers are checked against; without it the system's." },
	{ .key = "verify", .type = CONF_ENUM, .at = offsetof(struct keys_tls_conf, verify), .def = "\"auto\"", .names = verify_names,
	  .doc = "Whether a peer must show a certificate that checks; `auto` is none on listeners and required towards trunks." },
	{ .key = "min_version", .type = CONF_ENUM, .at = offsetof(struct keys_tls_conf, min_version), .def = "\"1.2\"", .names = version_names,
	  .doc = "Oldest version of TLS that is spoken." },
	{ .key = NULL }
};

static void check(const struct conf_doc *doc, struct conf_errors *errs)
{
	char at[128], pointer[160];
	size_t n, i;
	const void *const *obj = conf_objects(doc, &keys_schema_tls_profiles, &n);

	for (i = 0; i < n; i++) {
		const struct keys_tls_conf *t = obj[i];
		struct text p = text_on(pointer, sizeof pointer);
		const char *missing = t->certificate && !t->key ? "key" : t->key && !t->certificate ? "certificate" : NULL;

		if (!missing)
			continue;
		text_add(&p, "%s/%s", conf_pointer(doc, &keys_schema_tls_profiles, t, at), missing);
		conf_error(errs, pointer, "is missing: certificate and key belong together");
	}
}

const struct conf_collection keys_schema_tls_profiles = {
	.name = "tls_profiles", .one = "TLS profile", .rows = rows, .size = sizeof(struct keys_tls_conf), .check = check, .most = 1000,
	.doc = "Certificates and checks for TLS: named by listeners, trunks and the API.",
};
