/* SPDX-License-Identifier: Apache-2.0 */
/* app/pem: TLS profiles of a document with the files of its revision. */
#ifndef APP_PEM_H
#define APP_PEM_H

#include "postern/base.h"

struct app_bundle;
struct keys_tls;
struct keys_tls_conf;
struct keys_pem;

/** The PEM bytes of a profile; empty where the profile names no such file. Borrowed from the bundle. */
void app_pem_get(const struct keys_tls_conf *conf, const struct app_bundle *b, struct keys_pem *ret);
/** keys_tls_new with the files of the bundle. */
int app_pem_tls(const struct keys_tls_conf *conf, const struct app_bundle *b, char why[static 256], struct keys_tls **ret);

#endif
