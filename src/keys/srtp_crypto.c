/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keys/srtp: cipher and authentication types for libsrtp on OpenSSL contexts that are reused. Debian's library is built on NSS, which
 * costs ten times as much per packet; its public interface takes other implementations and runs its test cases on them.
 * AES-CM: RFC 3711 4.1.1; AES-GCM: RFC 7714; HMAC-SHA1: RFC 2104 with both padded key blocks hashed once.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* SHA1_*: the only way to copy a half-done hash without an allocation */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <srtp2/auth.h>
#include <srtp2/cipher.h>
#include <srtp2/srtp.h>
#include <stdlib.h>

#include "keys/srtp.h"

#define CM_SALT 14
#define GCM_SALT 12

/* the library's own test cases */
extern const srtp_cipher_test_case_t srtp_aes_icm_128_test_case_0, srtp_aes_icm_256_test_case_0, srtp_aes_gcm_128_test_case_0, srtp_aes_gcm_256_test_case_0;
extern const srtp_auth_test_case_t srtp_hmac_test_case_0;

static const srtp_cipher_type_t cm128, cm256, gcm128, gcm256;
static const srtp_auth_type_t hmac_sha1;

/* fetched once: a fetch per context costs more than a packet */
static const EVP_CIPHER *aes_ctr_128, *aes_ctr_256, *aes_gcm_128, *aes_gcm_256;

struct crypto_state {
	EVP_CIPHER_CTX *ctx;
	const EVP_CIPHER *cipher;
	int key_len;
	int tag_len;
	uint8_t offset[16];            /* CM: salt, that each IV is added to */
};

static srtp_err_status_t status_of(int ok, srtp_err_status_t bad)
{
	return ok == 1 ? srtp_err_status_ok : bad;
}

static srtp_err_status_t state_new(srtp_cipher_pointer_t *ret, const srtp_cipher_type_t *type, const EVP_CIPHER *cipher, int len, int salt, int tag)
{
	srtp_cipher_t *c = calloc(1, sizeof(*c));
	struct crypto_state *s = calloc(1, sizeof(*s));

	if (s)
		s->ctx = EVP_CIPHER_CTX_new();
	if (!c || !s || !s->ctx) {
		free(s);
		free(c);
		return srtp_err_status_alloc_fail;
	}
	s->cipher = cipher;
	s->key_len = len - salt;
	s->tag_len = tag;
	c->state = s;
	c->type = type;
	c->key_len = len;
	c->algorithm = (int)type->id;
	*ret = c;
	return srtp_err_status_ok;
}

static srtp_err_status_t state_free(srtp_cipher_pointer_t c)
{
	struct crypto_state *s = c->state;

	EVP_CIPHER_CTX_free(s->ctx); /* wipes its key */
	OPENSSL_cleanse(s, sizeof(*s));
	free(s);
	free(c);
	return srtp_err_status_ok;
}

/* ---- counter mode ---- */

static srtp_err_status_t cm_alloc(srtp_cipher_pointer_t *ret, int len, int tag)
{
	if (len == 16 + CM_SALT)
		return state_new(ret, &cm128, aes_ctr_128, len, CM_SALT, tag);
	if (len == 32 + CM_SALT)
		return state_new(ret, &cm256, aes_ctr_256, len, CM_SALT, tag);
	return srtp_err_status_bad_param;
}

static srtp_err_status_t cm_init(void *state, const uint8_t *key)
{
	struct crypto_state *s = state;

	memset(s->offset, 0, sizeof(s->offset));
	memcpy(s->offset, key + s->key_len, CM_SALT);
	return status_of(EVP_EncryptInit_ex(s->ctx, s->cipher, NULL, key, NULL), srtp_err_status_init_fail);
}

static srtp_err_status_t cm_set_iv(void *state, uint8_t *iv, srtp_cipher_direction_t dir)
{
	struct crypto_state *s = state;
	uint8_t counter[16];

	(void)dir; /* both are the same in this mode */
	for (int i = 0; i < 16; i++)
		counter[i] = iv[i] ^ s->offset[i];
	return status_of(EVP_EncryptInit_ex(s->ctx, NULL, NULL, NULL, counter), srtp_err_status_cipher_fail);
}

static srtp_err_status_t cm_crypt(void *state, uint8_t *p, unsigned *n)
{
	struct crypto_state *s = state;
	int done;

	return status_of(EVP_EncryptUpdate(s->ctx, p, &done, p, (int)*n), srtp_err_status_cipher_fail);
}

/* ---- GCM ---- */

static srtp_err_status_t gcm_alloc(srtp_cipher_pointer_t *ret, int len, int tag)
{
	if (len == 16 + GCM_SALT)
		return state_new(ret, &gcm128, aes_gcm_128, len, GCM_SALT, tag);
	if (len == 32 + GCM_SALT)
		return state_new(ret, &gcm256, aes_gcm_256, len, GCM_SALT, tag);
	return srtp_err_status_bad_param;
}

static srtp_err_status_t gcm_init(void *state, const uint8_t *key)
{
	struct crypto_state *s = state;

	return status_of(EVP_CipherInit_ex(s->ctx, s->cipher, NULL, key, NULL, 1), srtp_err_status_init_fail);
}

static srtp_err_status_t gcm_set_iv(void *state, uint8_t *iv, srtp_cipher_direction_t dir)
{
	struct crypto_state *s = state;

	return status_of(EVP_CipherInit_ex(s->ctx, NULL, NULL, NULL, iv, dir == srtp_direction_encrypt), srtp_err_status_cipher_fail);
}

static srtp_err_status_t gcm_set_aad(void *state, const uint8_t *aad, uint32_t n)
{
	struct crypto_state *s = state;
	int done;

	return status_of(EVP_CipherUpdate(s->ctx, NULL, &done, aad, (int)n), srtp_err_status_algo_fail);
}

static srtp_err_status_t gcm_encrypt(void *state, uint8_t *p, unsigned *n)
{
	struct crypto_state *s = state;
	int done, rest;

	if (EVP_CipherUpdate(s->ctx, p, &done, p, (int)*n) != 1)
		return srtp_err_status_cipher_fail;
	return status_of(EVP_CipherFinal_ex(s->ctx, p + done, &rest), srtp_err_status_cipher_fail);
}

static srtp_err_status_t gcm_get_tag(void *state, uint8_t *tag, uint32_t *n)
{
	struct crypto_state *s = state;

	*n = (uint32_t)s->tag_len;
	return status_of(EVP_CIPHER_CTX_ctrl(s->ctx, EVP_CTRL_AEAD_GET_TAG, s->tag_len, tag), srtp_err_status_algo_fail);
}

/* ciphertext and tag in, plaintext out; nothing of it counts unless the end says so */
static srtp_err_status_t gcm_decrypt(void *state, uint8_t *p, unsigned *n)
{
	struct crypto_state *s = state;
	int done, rest, len = (int)*n - s->tag_len;

	if (len < 0)
		return srtp_err_status_bad_param;
	if (EVP_CIPHER_CTX_ctrl(s->ctx, EVP_CTRL_AEAD_SET_TAG, s->tag_len, p + len) != 1)
		return srtp_err_status_auth_fail;
	if (EVP_CipherUpdate(s->ctx, p, &done, p, len) != 1)
		return srtp_err_status_cipher_fail;
	if (EVP_CipherFinal_ex(s->ctx, p + done, &rest) != 1)
		return srtp_err_status_auth_fail;
	*n = (unsigned)len;
	return srtp_err_status_ok;
}

/* ---- HMAC-SHA1 ---- */

struct hmac_state { SHA_CTX inner, outer, run; };

static srtp_err_status_t hmac_alloc(srtp_auth_pointer_t *ret, int key_len, int out_len)
{
	srtp_auth_t *a;
	struct hmac_state *h;

	if (key_len > SHA_DIGEST_LENGTH || out_len > SHA_DIGEST_LENGTH)
		return srtp_err_status_bad_param;
	a = calloc(1, sizeof(*a));
	h = calloc(1, sizeof(*h));
	if (!a || !h) {
		free(a);
		free(h);
		return srtp_err_status_alloc_fail;
	}
	a->state = h;
	a->type = &hmac_sha1;
	a->out_len = out_len;
	a->key_len = key_len;
	*ret = a;
	return srtp_err_status_ok;
}

static srtp_err_status_t hmac_free(srtp_auth_pointer_t a)
{
	OPENSSL_cleanse(a->state, sizeof(struct hmac_state));
	free(a->state);
	free(a);
	return srtp_err_status_ok;
}

static void hmac_pad(SHA_CTX *c, const uint8_t *key, int len, uint8_t with)
{
	uint8_t block[SHA_CBLOCK];

	memset(block, with, sizeof(block));
	for (int i = 0; i < len; i++)
		block[i] ^= key[i];
	SHA1_Init(c);
	SHA1_Update(c, block, sizeof(block));
	OPENSSL_cleanse(block, sizeof(block));
}

static srtp_err_status_t hmac_init(void *state, const uint8_t *key, int len)
{
	struct hmac_state *h = state;

	hmac_pad(&h->inner, key, len, 0x36);
	hmac_pad(&h->outer, key, len, 0x5c);
	h->run = h->inner;
	return srtp_err_status_ok;
}

static srtp_err_status_t hmac_start(void *state)
{
	struct hmac_state *h = state;

	h->run = h->inner;
	return srtp_err_status_ok;
}

static srtp_err_status_t hmac_update(void *state, const uint8_t *p, int n)
{
	struct hmac_state *h = state;

	SHA1_Update(&h->run, p, (size_t)n);
	return srtp_err_status_ok;
}

static srtp_err_status_t hmac_compute(void *state, const uint8_t *p, int n, int tag_len, uint8_t *tag)
{
	struct hmac_state *h = state;
	uint8_t digest[SHA_DIGEST_LENGTH];
	SHA_CTX outer = h->outer;

	if (tag_len > SHA_DIGEST_LENGTH)
		return srtp_err_status_bad_param;
	SHA1_Update(&h->run, p, (size_t)n);
	SHA1_Final(digest, &h->run);
	SHA1_Update(&outer, digest, sizeof(digest));
	SHA1_Final(digest, &outer);
	memcpy(tag, digest, (size_t)tag_len);
	return srtp_err_status_ok;
}

static const srtp_cipher_type_t cm128 = { cm_alloc, state_free, cm_init, NULL, cm_crypt, cm_crypt, cm_set_iv, NULL,
	"AES-128 counter mode by OpenSSL", &srtp_aes_icm_128_test_case_0, SRTP_AES_ICM_128 };
static const srtp_cipher_type_t cm256 = { cm_alloc, state_free, cm_init, NULL, cm_crypt, cm_crypt, cm_set_iv, NULL,
	"AES-256 counter mode by OpenSSL", &srtp_aes_icm_256_test_case_0, SRTP_AES_ICM_256 };
static const srtp_cipher_type_t gcm128 = { gcm_alloc, state_free, gcm_init, gcm_set_aad, gcm_encrypt, gcm_decrypt, gcm_set_iv, gcm_get_tag,
	"AES-128 GCM by OpenSSL", &srtp_aes_gcm_128_test_case_0, SRTP_AES_GCM_128 };
static const srtp_cipher_type_t gcm256 = { gcm_alloc, state_free, gcm_init, gcm_set_aad, gcm_encrypt, gcm_decrypt, gcm_set_iv, gcm_get_tag,
	"AES-256 GCM by OpenSSL", &srtp_aes_gcm_256_test_case_0, SRTP_AES_GCM_256 };
static const srtp_auth_type_t hmac_sha1 = { hmac_alloc, hmac_free, hmac_init, hmac_compute, hmac_update, hmac_start,
	"HMAC-SHA1 by OpenSSL", &srtp_hmac_test_case_0, SRTP_HMAC_SHA1 };

int keys_srtp_crypto_start(void)
{
	static const srtp_cipher_type_t *const types[] = { &cm128, &cm256, &gcm128, &gcm256 };

	aes_ctr_128 = EVP_CIPHER_fetch(NULL, "AES-128-CTR", NULL);
	aes_ctr_256 = EVP_CIPHER_fetch(NULL, "AES-256-CTR", NULL);
	aes_gcm_128 = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
	aes_gcm_256 = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	if (!aes_ctr_128 || !aes_ctr_256 || !aes_gcm_128 || !aes_gcm_256)
		return ERR_UNSUPPORTED;
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (srtp_replace_cipher_type(types[i], types[i]->id))
			return ERR_UNSUPPORTED;
	return srtp_replace_auth_type(&hmac_sha1, SRTP_HMAC_SHA1) ? ERR_UNSUPPORTED : 0;
}
