/* SPDX-License-Identifier: Apache-2.0 */
/* Bearer tokens: made, hashed (what is stored is the hash), compared in constant time. */
#include "postern/keys.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

void keys_token_new(char token[static 44])
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint8_t raw[43];

	base_random(raw, sizeof(raw));
	for (size_t i = 0; i < sizeof(raw); i++)
		token[i] = digits[raw[i] & 63];
	token[43] = 0;
}

void keys_token_hash(struct slice token, char hex[static 65])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char sum[SHA256_DIGEST_LENGTH];
	unsigned n = 0;

	must(EVP_Digest(token.p ? token.p : "", token.n, sum, &n, EVP_sha256(), NULL) == 1);
	for (size_t i = 0; i < sizeof(sum); i++) {
		hex[2 * i] = digits[sum[i] >> 4];
		hex[2 * i + 1] = digits[sum[i] & 15];
	}
	hex[64] = 0;
}

bool keys_token_eq(struct slice a, struct slice b)
{
	return a.n == b.n && CRYPTO_memcmp(a.p ? a.p : "", b.p ? b.p : "", a.n) == 0;
}
