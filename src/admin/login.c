/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks: bearer tokens (RFC 6750 section 2.1), compared as hashes in constant time; failed logins limited per address (IPv6: /64).
 * An address that failed LOGIN_TRIES times within LOGIN_MS gets 429 until then, for good tokens too, unless one was seen from there before:
 * a script with an old token must not shut out its host, and guessing must not pay. Also the checks of Host and Origin, against pages of
 * other sites that a browser on this machine has open.
 */
#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <stdio.h>

#include "admin/admin.h"
#include "postern/keys.h"
#include "postern/store.h"

#define LOGIN_TRIES 30
#define LOGIN_MS    60000
#define USED_MS     60000             /* the time of a token's last use is noted so often */

static void key_of(const struct sockaddr *sa, uint8_t key[static 16])
{
	memset(key, 0, 16);
	if (!sa)
		return;
	if (sa->sa_family == AF_INET)
		memcpy(key + 12, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
	else if (sa->sa_family == AF_INET6)
		memcpy(key, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 8);
}

/** The entry of this address; the one longest unused makes room. */
static struct admin_login *entry_get(struct admin_request *rq, struct mono now)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(rq->conn, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	struct admin_login *oldest = &rq->a->login[0];
	uint8_t key[16];

	key_of(info ? info->client_addr : NULL, key);
	for (size_t i = 0; i < ADMIN_LOGINS; i++) {
		struct admin_login *l = &rq->a->login[i];

		if (l->used.us && !memcmp(l->key, key, sizeof key))
			return l;
		if (l->used.us < oldest->used.us)
			oldest = l;
	}
	*oldest = (struct admin_login){ .since = now };
	memcpy(oldest->key, key, sizeof key);
	return oldest;
}

/** A token of the database that is still good. */
static bool stored_token(struct admin_request *rq, const char *hash)
{
	struct store_token_known t;
	int64_t now = base_wall_ms();

	if (!rq->a->p.store || store_token_get(rq->a->p.store, hash, &t) || (t.expires_ms && t.expires_ms <= now))
		return false;
	slice_copy(rq->user, sizeof rq->user, slice_str(t.user));
	if (now - t.used_ms >= USED_MS)
		store_token_used(rq->a->p.store, t.id, now);
	return true;
}

/** Whose token is it? Sets rq->user; hex is its hash. */
static bool is_token(struct admin_request *rq, struct slice token, char hex[static 65])
{
	keys_token_hash(token, hex);
	if (!keys_token_eq(slice_str(hex), slice_str(rq->a->token_hash)))
		return stored_token(rq, hex);
	slice_copy(rq->user, sizeof rq->user, SLICE("admin"));
	return true;
}

static bool net_listed(const void *list, size_t n, const union base_addr *from)
{
	const char *const *text = list;
	struct conf_net net;

	for (size_t i = 0; i < n; i++)
		if (!conf_net_parse(text[i], &net) && base_addr_in_net(from, &net.addr, net.bits))
			return true;
	return false;
}

/** Role and networks of rq->user as configured; before a configuration is in force there is the admin alone. */
static enum admin_auth user_check(struct admin_request *rq, const struct sockaddr *from)
{
	const struct ctl_user_conf *u = rq->a->doc ? conf_find(rq->a->doc, &ctl_schema_users, rq->user) : NULL;
	union base_addr addr = { 0 };

	if (!u && (rq->a->doc || strcmp(rq->user, "admin")))
		return ADMIN_AUTH_BAD;
	if (u && from) {
		memcpy(&addr, from, from->sa_family == AF_INET6 ? sizeof addr.in6 : sizeof addr.in);
		if (net_listed(u->deny.v, u->deny.n, &addr) || (u->allow.n && !net_listed(u->allow.v, u->allow.n, &addr)))
			return ADMIN_AUTH_NET;
	}
	rq->role = u ? u->role : ADMIN_ADMIN;
	return ADMIN_AUTH_OK;
}

static const struct sockaddr *client(struct admin_request *rq)
{
	const union MHD_ConnectionInfo *info = rq->trusted ? NULL : MHD_get_connection_info(rq->conn, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *sa = info ? info->client_addr : NULL;

	if (sa && (sa->sa_family == AF_INET || sa->sa_family == AF_INET6))
		base_addr_host((const union base_addr *)(const void *)sa, false, rq->address);
	else
		slice_copy(rq->address, sizeof rq->address, SLICE("local"));
	return sa;
}

static struct slice bearer(const struct admin_request *rq)
{
	const char *v = MHD_lookup_connection_value(rq->conn, MHD_HEADER_KIND, "Authorization");
	struct slice s = slice_str(v);

	if (s.n < 7 || !slice_eq_nocase((struct slice){ s.p, 7 }, SLICE("Bearer ")))
		return (struct slice){ "", 0 };
	for (s.p += 7, s.n -= 7; s.n && *s.p == ' '; s.n--)
		s.p++;
	return s;
}

/** It was none, or may not come from there: counted, and its address shut out where that happens too often. */
static enum admin_auth failed(struct admin_request *rq, struct admin_login *l, enum admin_auth auth)
{
	base_count(COUNTER_HTTP_AUTH);
	if (l->failed >= LOGIN_TRIES) { /* the audit log need not grow by it */
		rq->user[0] = 0;
		return ADMIN_AUTH_LOCKED;
	}
	rq->login = ADMIN_LOGIN_FAILED;
	if (++l->failed == LOGIN_TRIES)
		base_log_limited(BASE_WARN, 1, "admin", "an address tries tokens that are no good there: shut out for a minute address=%s", rq->address);
	return auth;
}

/** A token's hash and the address that it came from, half of each kept: enough to tell them apart. */
static void note_session(struct admin_request *rq, const char *hex, const uint8_t address[static 16], struct mono now)
{
	uint8_t who[ADMIN_WHO] = { 0 };

	memcpy(who, hex, strnlen(hex, ADMIN_WHO - 16));
	memcpy(who + ADMIN_WHO - 16, address, 16);
	if (admin_session_begins(rq->a, who, now))
		rq->login = ADMIN_LOGIN_FIRST;
}

enum admin_auth admin_login(struct admin_request *rq)
{
	static const uint8_t nowhere[16];
	const struct sockaddr *from = client(rq);
	struct mono now = base_mono_now();
	struct slice token = bearer(rq);
	struct admin_login *l;
	enum admin_auth auth = ADMIN_AUTH_BAD;
	char hex[65];

	rq->role = rq->trusted ? ADMIN_ADMIN : ADMIN_NOBODY;
	if (rq->trusted) {
		slice_copy(rq->user, sizeof rq->user, SLICE("admin"));
		note_session(rq, "control socket", nowhere, now);
		return ADMIN_AUTH_OK;
	}
	if (slice_empty(token))
		return ADMIN_AUTH_NONE;
	l = entry_get(rq, now);
	l->used = now;
	if (mono_ms_since(now, l->since) >= LOGIN_MS) {
		l->failed = 0;
		l->since = now;
	}
	if (l->failed >= LOGIN_TRIES && !l->known)
		return ADMIN_AUTH_LOCKED;
	if (is_token(rq, token, hex))
		auth = user_check(rq, from);
	if (auth == ADMIN_AUTH_BAD)
		rq->user[0] = 0;
	if (auth != ADMIN_AUTH_OK)
		return failed(rq, l, auth);
	l->known = true;
	note_session(rq, hex, l->key, now);
	return auth;
}

/* ---- certificates of clients: the library asks for them, and leaves it to us what they are worth ---- */
static int client_cert(const struct admin_request *rq)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(rq->conn, MHD_CONNECTION_INFO_GNUTLS_SESSION);
	unsigned status = 0, n = 0;

	if (!info || !info->tls_session || !gnutls_certificate_get_peers(info->tls_session, &n) || !n)
		return ADMIN_CERT_NONE;
	return gnutls_certificate_verify_peers2(info->tls_session, &status) == GNUTLS_E_SUCCESS && !status ? ADMIN_CERT_GOOD : ADMIN_CERT_BAD;
}

bool admin_client_check(struct admin_request *rq)
{
	const int verify = rq->a->p.tls_verify;

	if (rq->trusted || !rq->a->tls_cert || (verify != KEYS_VERIFY_OPTIONAL && verify != KEYS_VERIFY_REQUIRED))
		return true;
	if (rq->c->cert == ADMIN_CERT_UNSEEN)
		rq->c->cert = client_cert(rq);
	if (rq->c->cert == ADMIN_CERT_GOOD || (rq->c->cert == ADMIN_CERT_NONE && verify == KEYS_VERIFY_OPTIONAL))
		return true;
	client(rq);
	rq->login = ADMIN_LOGIN_FAILED;
	base_count(COUNTER_HTTP_AUTH);
	admin_problem(rq, 403, rq->c->cert == ADMIN_CERT_NONE ? "a client certificate is needed here" : "your client certificate is none of those that this API trusts");
	return false;
}

/** The host of `host[:port]`, `[v6]:port`. */
static struct slice host_of(struct slice authority)
{
	const char *end = authority.n && authority.p[0] == '[' ? memchr(authority.p, ']', authority.n) : NULL;
	const char *colon;

	if (end)
		return (struct slice){ authority.p + 1, (size_t)(end - authority.p) - 1 };
	colon = authority.n ? memchr(authority.p, ':', authority.n) : NULL;
	return colon ? (struct slice){ authority.p, (size_t)(colon - authority.p) } : authority;
}

static bool host_is_ours(const struct admin *a, struct slice host)
{
	static const struct slice local = { ".localhost", 10 };
	union base_addr addr;

	if (!base_addr_parse(host, 0, &addr) || slice_eq_nocase(host, SLICE("localhost")) || slice_eq_nocase(host, slice_str(a->name)))
		return true;
	return host.n > local.n && slice_eq_nocase((struct slice){ host.p + host.n - local.n, local.n }, local);
}

bool admin_host_check(struct admin_request *rq)
{
	struct slice host = slice_str(MHD_lookup_connection_value(rq->conn, MHD_HEADER_KIND, "Host"));
	struct slice origin = slice_str(MHD_lookup_connection_value(rq->conn, MHD_HEADER_KIND, "Origin"));
	const char *at;

	if (rq->trusted)
		return true;
	/* a name that a foreign page made point to this machine (DNS rebinding); beyond loopback names are the administrator's business */
	if (rq->a->loopback && host.p && !host_is_ours(rq->a, host_of(host))) {
		admin_problem(rq, 421, "Host \"%.128s\" is not this API's: use its address or localhost, or name it in system.name", host.p);
		return false;
	}
	if (!origin.p)
		return true;
	at = strstr(origin.p, "://");
	if (at && host.p && slice_eq_nocase(slice_str(at + 3), host))
		return true;
	admin_problem(rq, 403, "requests from pages of another origin are refused");
	return false;
}
