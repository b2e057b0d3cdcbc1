/* SPDX-License-Identifier: Apache-2.0 */
/* app/pem: which bytes of a revision a TLS profile means. */
#include "app/pem.h"

#include "app/bundle.h"
#include "postern/keys.h"

static struct slice bytes_of(const struct app_bundle *b, const char *kind, const char *name)
{
	const struct app_file *f = name ? app_bundle_find(b, kind, name) : NULL;

	return f ? f->bytes : (struct slice){ "", 0 };
}

void app_pem_get(const struct keys_tls_conf *conf, const struct app_bundle *b, struct keys_pem *ret)
{
	*ret = (struct keys_pem){
		.certificate = bytes_of(b, "certificate", conf->certificate),
		.key = bytes_of(b, "key", conf->key),
		.ca = bytes_of(b, "certificate", conf->ca),
	};
}

int app_pem_tls(const struct keys_tls_conf *conf, const struct app_bundle *b, char why[static 256], struct keys_tls **ret)
{
	struct keys_pem pem;

	app_pem_get(conf, b, &pem);
	why[0] = 0;
	return keys_tls_new(conf, &pem, why, ret);
}
