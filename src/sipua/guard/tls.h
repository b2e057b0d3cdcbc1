/* SPDX-License-Identifier: Apache-2.0 */
/* TLS objects of Sofia's: what the TLS overrides share. */
#ifndef SIPUA_GUARD_TLS_H
#define SIPUA_GUARD_TLS_H

#include <openssl/ssl.h>

/** Index of the extra data that marks our SSL objects: descriptor + 1. */
int sipua_tls_index(void);

static inline int sipua_tls_fd(const SSL *s)
{
	return (int)(intptr_t)SSL_get_ex_data(s, sipua_tls_index()) - 1;
}

#endif
