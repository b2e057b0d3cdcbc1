/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keys: TLS contexts and certificates, tokens, SRTP sessions. DTLS and digest come with their issues.
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

/** What a certificate says of itself. */
struct keys_certificate {
	char subject[256], issuer[256];    /* RFC 2253 */
	char names[2048];                  /* of subjectAltName: `DNS:a.example, IP:192.0.2.1`; empty if none */
	char fingerprint[96];              /* SHA-256, AA:BB:... */
	char key[32];                      /* its key: "EC 256", "RSA 2048" */
	int64_t not_before_ms, not_after_ms;
};
/** The first certificate of PEM bytes; ERR_CONFIG where there is none, -ENOMEM. */
int keys_certificate_get(struct slice pem, struct keys_certificate *ret);

/** A new bearer token: 43 characters of base64url and NUL. */
void keys_token_new(char token[static 44]);
/** SHA-256 of a token as 64 hex digits and NUL: what is stored. */
void keys_token_hash(struct slice token, char hex[static 65]);
/** Compare in constant time. */
bool keys_token_eq(struct slice a, struct slice b);

/* ---- digest, the client's side (RFC 7616, 8760) ---- */
enum keys_qop { KEYS_QOP_NONE, KEYS_QOP_AUTH, KEYS_QOP_AUTH_INT };
/** A challenge; slices borrow its text, escapes kept. */
struct keys_digest {
	struct slice realm, nonce, opaque;
	unsigned algorithm;            /* row of a table of ours; a higher one is stronger */
	bool algorithm_given, stale;
	enum keys_qop qop;             /* that we choose: auth before auth-int */
};
struct keys_digest_request { struct slice username, password, method, uri, body; };
/** Read `Digest realm=...` (the scheme may be missing). ERR_PROTO, ERR_UNSUPPORTED (algorithm or qop). Bounded. */
int keys_digest_read(struct slice challenge, struct keys_digest *ret);
/** The response alone, as hex. */
int keys_digest_response(const struct keys_digest *ch, const struct keys_digest_request *rq, struct slice cnonce, uint32_t nc, char hex[static 65]);
/** Value of an (Proxy-)Authorization header, with a cnonce of its own. ERR_FULL. */
int keys_digest_print(const struct keys_digest *ch, const struct keys_digest_request *rq, uint32_t nc, char *buf, size_t size);

/* ---- SRTP (RFC 3711, 6188, 7714): suites of SDES (RFC 4568), sessions of one direction ---- */
enum keys_suite {
	KEYS_SUITE_NONE, KEYS_AEAD_AES_128_GCM, KEYS_AEAD_AES_256_GCM, KEYS_AES_CM_128_SHA1_80, KEYS_AES_CM_128_SHA1_32, KEYS_AES_256_CM_SHA1_80,
	KEYS_AES_256_CM_SHA1_32, KEYS_SUITES
};
#define KEYS_SRTP_MAX 46       /* bytes of master key and salt, of the longest */
#define KEYS_SRTP_TRAILER 32   /* room that must follow a packet that is protected */
/** By its name in a=crypto; KEYS_SUITE_NONE where it is not one of ours. */
enum keys_suite keys_suite_of(struct slice name);
/** NULL for none. */
const char *keys_suite_name(enum keys_suite s);
/** Bytes of master key and salt together; 0 for none. */
size_t keys_suite_bytes(enum keys_suite s);
/** A random master key and salt, keys_suite_bytes of them. */
void keys_srtp_random(enum keys_suite s, uint8_t key[static KEYS_SRTP_MAX]);
/** Forget secret bytes: never left out by the compiler. */
void keys_wipe(void *p, size_t n);

/**
 * What outlives the process, in state memory; one writer. Zeroed: nothing was sent or received yet. Four SSRCs at most, the one unused
 * longest makes room. An index stands here before its packet leaves, so that none is used twice whenever the process is killed.
 */
#define KEYS_SRTP_SSRCS 4
struct keys_srtp_line {
	uint64_t index;                /* bit 63: there is one; ROC << 16 | highest sequence */
	uint32_t ssrc;
	uint32_t rtcp;                 /* sender: indices below are used up; receiver: highest index + 1 */
	uint32_t shift;                /* sender: added to the sequence of a source that began anew with its SSRC */
	uint32_t used;                 /* place in the order of use */
};
struct keys_srtp_state { struct keys_srtp_line line[KEYS_SRTP_SSRCS]; };

/** Once per process, before threads: our ciphers take the place of the library's, which tests them. ERR_UNSUPPORTED where a test fails. */
int keys_srtp_start(void);
struct keys_srtp;                      /* one direction under one master key; belongs to one thread */
/** @param key [in] copied; @param state [in] borrowed for life. Indices go on where the state stands. -ENOMEM, ERR_UNSUPPORTED */
int keys_srtp_new(enum keys_suite suite, const uint8_t *key, bool sender, struct keys_srtp_state *state, struct keys_srtp **ret);
/** NULL is legal; key material is wiped. */
void keys_srtp_free(struct keys_srtp *s);
/**
 * In place, on 4-byte aligned memory; *n is the length before and after. Protecting needs KEYS_SRTP_TRAILER bytes of room and may change the
 * sequence number (see keys_srtp_line.shift). What fails leaves the packet's content unspecified.
 * @return 0, ERR_REFUSED (does not authenticate, is not encrypted), ERR_EXISTS (index used before, or too old), ERR_PROTO
 */
int keys_srtp_protect(struct keys_srtp *s, uint8_t *p, uint32_t *n);
/** *ret_newer: it is ahead of all that came before. */
int keys_srtp_unprotect(struct keys_srtp *s, uint8_t *p, uint32_t *n, bool *ret_newer);
int keys_srtp_protect_rtcp(struct keys_srtp *s, uint8_t *p, uint32_t *n);
int keys_srtp_unprotect_rtcp(struct keys_srtp *s, uint8_t *p, uint32_t *n);
/** Has this SSRC been heard (a new one costs a derivation of keys)? */
bool keys_srtp_knows(const struct keys_srtp *s, uint32_t ssrc);

#endif
