/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keys: TLS contexts and certificates, tokens. SRTP sessions, DTLS and digest come with their issues.
 * Secrets never reach the log. OpenSSL stays behind these types.
 */
#ifndef POSTERN_KEYS_H
#define POSTERN_KEYS_H

#include "postern/base.h"

/** A row of tls_profiles as configured; schema in keys/schema.c. */
struct keys_tls_conf {
	const char *id, *certificate, *key, *ca;
	int verify;                    /* enum keys_verify */
	int min_version;               /* 0: 1.2, 1: 1.3 */
};
enum keys_verify { KEYS_VERIFY_NONE, KEYS_VERIFY_OPTIONAL, KEYS_VERIFY_REQUIRED, KEYS_VERIFY_UNSET };
extern const struct conf_collection keys_schema_tls_profiles;

/** Certificate (chain), key and trust anchors as PEM bytes: what the supervisor read for a profile. */
struct keys_pem { struct slice certificate, key, ca; };

struct ssl_ctx_st;
struct keys_tls;                       /* ref-counted: one server and one client SSL_CTX of a profile */
/**
 * @param conf [in] verify and min_version; names only for messages
 * @param pem  [in] borrowed during the call
 * @param why  [out] buffer of 256 bytes: what is wrong, in words, never key material
 * @return 0, ERR_CONFIG (bad PEM, key does not fit the certificate, expired), -ENOMEM
 */
int keys_tls_new(const struct keys_tls_conf *conf, const struct keys_pem *pem, char why[static 256], struct keys_tls **ret);
/** Contexts, borrowed: for the guard's SSL_new. Client verification is required unless the profile says otherwise. */
struct ssl_ctx_st *keys_tls_server(struct keys_tls *t);
struct ssl_ctx_st *keys_tls_client(struct keys_tls *t);
/** Exchange the contexts of two profiles: whoever holds `t` makes new connections with what `other` had. For certificates that were read again. */
void keys_tls_swap(struct keys_tls *t, struct keys_tls *other);
/** Context of an outgoing connection whose trunk names no profile: system trust anchors, verification required. */
int keys_tls_default(struct keys_tls **ret);

/** A new bearer token: 43 characters of base64url and NUL. */
void keys_token_new(char token[static 44]);
/** SHA-256 of a token as 64 hex digits and NUL: what is stored. */
void keys_token_hash(struct slice token, char hex[static 65]);
/** Compare in constant time. */
bool keys_token_eq(struct slice a, struct slice b);

#endif
