/* SPDX-License-Identifier: Apache-2.0 */
/* SRTP suites by the names of RFC 4568, 6188 and 7714, and their keys. Apart from srtp.c, so that who negotiates does not need libsrtp. */
#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "postern/keys.h"

static const struct { const char *name; uint8_t bytes; } suites[KEYS_SUITES] = {
	[KEYS_AEAD_AES_128_GCM] = { "AEAD_AES_128_GCM", 28 },
	[KEYS_AEAD_AES_256_GCM] = { "AEAD_AES_256_GCM", 44 },
	[KEYS_AES_CM_128_SHA1_80] = { "AES_CM_128_HMAC_SHA1_80", 30 },
	[KEYS_AES_CM_128_SHA1_32] = { "AES_CM_128_HMAC_SHA1_32", 30 },
	[KEYS_AES_256_CM_SHA1_80] = { "AES_256_CM_HMAC_SHA1_80", 46 },
	[KEYS_AES_256_CM_SHA1_32] = { "AES_256_CM_HMAC_SHA1_32", 46 },
};

enum keys_suite keys_suite_of(struct slice name)
{
	for (int i = 1; i < KEYS_SUITES; i++)
		if (slice_eq_nocase(name, slice_str(suites[i].name)))
			return (enum keys_suite)i;
	return KEYS_SUITE_NONE;
}

const char *keys_suite_name(enum keys_suite s)
{
	return (unsigned)s < KEYS_SUITES ? suites[s].name : NULL;
}

size_t keys_suite_bytes(enum keys_suite s)
{
	return (unsigned)s < KEYS_SUITES ? suites[s].bytes : 0;
}

void keys_srtp_random(enum keys_suite s, uint8_t key[static KEYS_SRTP_MAX])
{
	memset(key, 0, KEYS_SRTP_MAX);
	must(RAND_priv_bytes(key, (int)keys_suite_bytes(s)) == 1);
}

void keys_wipe(void *p, size_t n)
{
	OPENSSL_cleanse(p, n);
}
