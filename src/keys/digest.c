/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Digest access authentication, the client's side (RFC 2617, 7616, 8760; RFC 3261 22.4): MD5 and SHA-256, their -sess forms, qop auth and auth-int.
 * Challenges come from the network: bounded, nothing is kept.
 */
#include <openssl/evp.h>
#include <stdio.h>

#include "postern/keys.h"

#define HEX_MAX 65

static struct slice trimmed(struct slice s)
{
	while (s.n && strchr(" \t\r\n,", *s.p)) {
		s.p++;
		s.n--;
	}
	while (s.n && strchr(" \t\r\n", s.p[s.n - 1]))
		s.n--;
	return s;
}

/** Next `name=value` of the list; a quoted value is given without its quotes. */
static bool next_param(struct slice *s, struct slice *name, struct slice *value)
{
	const char *eq;
	size_t i;

	*s = trimmed(*s);
	eq = memchr(s->p, '=', s->n);
	if (!s->n || !eq)
		return false;
	*name = trimmed((struct slice){ s->p, (size_t)(eq - s->p) });
	s->n -= (size_t)(eq + 1 - s->p);
	s->p = eq + 1;
	*s = trimmed(*s);
	if (s->n && *s->p == '"') {
		for (i = 1; i < s->n && s->p[i] != '"'; i++)
			i += s->p[i] == '\\';
		if (i >= s->n)
			return false;
		*value = (struct slice){ s->p + 1, i - 1 };
		i++;
	} else {
		for (i = 0; i < s->n && s->p[i] != ','; i++)
			;
		*value = trimmed((struct slice){ s->p, i });
	}
	s->p += i;
	s->n -= i;
	return true;
}

static bool list_has(struct slice list, const char *word)
{
	size_t i, n;

	for (i = 0; i < list.n; i += n + 1) {
		for (n = 0; i + n < list.n && list.p[i + n] != ','; n++)
			;
		if (slice_eq_nocase(trimmed((struct slice){ list.p + i, n }), slice_str(word)))
			return true;
	}
	return false;
}

static const struct { const char *name; bool sha, sess; } algorithms[] = {
	{ "MD5", false, false }, { "MD5-sess", false, true }, { "SHA-256", true, false }, { "SHA-256-sess", true, true },
};

static int algorithm_read(struct slice v, struct keys_digest *ret)
{
	unsigned i;

	for (i = 0; i < ARRAY_LEN(algorithms); i++)
		if (slice_eq_nocase(v, slice_str(algorithms[i].name))) {
			ret->algorithm = i;
			return 0;
		}
	return ERR_UNSUPPORTED;
}

static int qop_read(struct slice v, struct keys_digest *ret)
{
	ret->qop = list_has(v, "auth") ? KEYS_QOP_AUTH : list_has(v, "auth-int") ? KEYS_QOP_AUTH_INT : KEYS_QOP_NONE;
	return ret->qop == KEYS_QOP_NONE ? ERR_UNSUPPORTED : 0;
}

static int param_read(struct slice name, struct slice value, struct keys_digest *ret)
{
	const struct { const char *name; struct slice *at; } texts[] = { { "realm", &ret->realm }, { "nonce", &ret->nonce }, { "opaque", &ret->opaque } };
	size_t i;

	for (i = 0; i < ARRAY_LEN(texts); i++)
		if (slice_eq_nocase(name, slice_str(texts[i].name)))
			*texts[i].at = value;
	if (slice_eq_nocase(name, SLICE("stale")))
		ret->stale = slice_eq_nocase(value, SLICE("true"));
	ret->algorithm_given |= slice_eq_nocase(name, SLICE("algorithm"));
	if (slice_eq_nocase(name, SLICE("algorithm")))
		return algorithm_read(value, ret);
	return slice_eq_nocase(name, SLICE("qop")) ? qop_read(value, ret) : 0;
}

int keys_digest_read(struct slice challenge, struct keys_digest *ret)
{
	struct slice name, value, s = trimmed(challenge);
	int err = 0;

	*ret = (struct keys_digest){ .qop = KEYS_QOP_NONE };
	if (s.n > 7 && slice_eq_nocase((struct slice){ s.p, 7 }, SLICE("Digest "))) {
		s.p += 7;
		s.n -= 7;
	}
	while (!err && next_param(&s, &name, &value))
		err = param_read(name, value, ret);
	return err ? err : ret->nonce.n ? 0 : ERR_PROTO;
}

/** Hash of the pieces with colons between. */
static int hash(bool sha, const struct slice *piece, size_t n, char hex[static HEX_MAX])
{
	unsigned char md[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned len = 0, i;
	int ok = ctx && EVP_DigestInit_ex(ctx, sha ? EVP_sha256() : EVP_md5(), NULL);

	for (i = 0; ok && i < n; i++)
		ok = (!i || EVP_DigestUpdate(ctx, ":", 1)) && EVP_DigestUpdate(ctx, piece[i].p ? piece[i].p : "", piece[i].n);
	ok = ok && EVP_DigestFinal_ex(ctx, md, &len);
	EVP_MD_CTX_free(ctx);
	if (!ok || len * 2 + 1 > HEX_MAX)
		return ERR_UNSUPPORTED;
	for (i = 0; i < len; i++)
		snprintf(hex + 2 * i, 3, "%02x", md[i]);
	return 0;
}

static const char *qop_name(enum keys_qop q) { return q == KEYS_QOP_AUTH ? "auth" : "auth-int"; }

int keys_digest_response(const struct keys_digest *ch, const struct keys_digest_request *rq, struct slice cnonce, uint32_t nc, char hex[static 65])
{
	bool sha = algorithms[ch->algorithm].sha;
	char ha1[HEX_MAX], ha2[HEX_MAX], body[HEX_MAX], count[9];
	struct slice a1[] = { rq->username, ch->realm, rq->password }, a2[] = { rq->method, rq->uri, { body, 0 } };
	int err = hash(sha, a1, 3, ha1);

	snprintf(count, sizeof count, "%08x", nc);
	if (!err && algorithms[ch->algorithm].sess) {
		char session[HEX_MAX];
		struct slice s[] = { slice_str(ha1), ch->nonce, cnonce };

		err = hash(sha, s, 3, session);
		memcpy(ha1, session, sizeof ha1);
	}
	if (!err && ch->qop == KEYS_QOP_AUTH_INT) {
		err = hash(sha, &rq->body, 1, body);
		a2[2] = slice_str(err ? "" : body);
	}
	if (!err)
		err = hash(sha, a2, ch->qop == KEYS_QOP_AUTH_INT ? 3 : 2, ha2);
	if (err)
		return err;
	if (ch->qop == KEYS_QOP_NONE) {
		struct slice all[] = { slice_str(ha1), ch->nonce, slice_str(ha2) };

		return hash(sha, all, 3, hex);
	}
	return hash(sha, (struct slice[]){ slice_str(ha1), ch->nonce, slice_str(count), cnonce, slice_str(qop_name(ch->qop)), slice_str(ha2) }, 6, hex);
}

static void add_quoted(struct text *t, const char *name, struct slice v)
{
	size_t i;

	text_add(t, "%s=\"", name);
	for (i = 0; i < v.n; i++) {
		if (v.p[i] == '"' || v.p[i] == '\\')
			text_add(t, "\\");
		text_slice(t, (struct slice){ v.p + i, 1 });
	}
	text_add(t, "\"");
}

static void add_raw(struct text *t, const char *name, struct slice v)
{
	text_add(t, ", %s=\"", name);
	text_slice(t, v);
	text_add(t, "\"");
}

int keys_digest_print(const struct keys_digest *ch, const struct keys_digest_request *rq, uint32_t nc, char *buf, size_t size)
{
	struct text t = text_on(buf, size);
	char hex[HEX_MAX], cnonce[17];
	int err;

	base_random_token(cnonce, sizeof cnonce);
	err = keys_digest_response(ch, rq, slice_str(cnonce), nc, hex);
	if (err)
		return err;
	text_add(&t, "Digest ");
	add_quoted(&t, "username", rq->username);
	add_raw(&t, "realm", ch->realm);
	add_raw(&t, "nonce", ch->nonce);
	add_raw(&t, "uri", rq->uri);
	add_raw(&t, "response", slice_str(hex));
	if (ch->algorithm_given)
		text_add(&t, ", algorithm=%s", algorithms[ch->algorithm].name);
	if (ch->qop != KEYS_QOP_NONE || algorithms[ch->algorithm].sess)
		add_raw(&t, "cnonce", slice_str(cnonce));
	if (ch->qop != KEYS_QOP_NONE)
		text_add(&t, ", qop=%s, nc=%08x", qop_name(ch->qop), nc);
	if (ch->opaque.p)
		add_raw(&t, "opaque", ch->opaque);
	return t.cut ? ERR_FULL : 0;
}
