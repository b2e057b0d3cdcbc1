/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks: bearer tokens (RFC 6750 section 2.1), compared as hashes in constant time; failed logins limited per address (IPv6: /64).
 * An address that failed LOGIN_TRIES times within LOGIN_MS gets 429 until then, for good tokens too, unless one was seen from there before:
 * a script with an old token must not shut out its host, and guessing must not pay. Also the checks of Host and Origin, against pages of
 * other sites that a browser on this machine has open.
 */
#include <arpa/inet.h>
#include <stdio.h>

#include "admin/admin.h"
#include "postern/keys.h"

#define LOGIN_TRIES 30
#define LOGIN_MS    60000

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

static bool is_token(const struct admin_request *rq, struct slice token)
{
	char hex[65];

	keys_token_hash(token, hex);
	return keys_token_eq(slice_str(hex), slice_str(rq->a->token_hash));
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

enum admin_auth admin_login(struct admin_request *rq)
{
	struct mono now = base_mono_now();
	struct slice token = bearer(rq);
	struct admin_login *l;

	rq->role = rq->trusted ? ADMIN_ADMIN : ADMIN_NOBODY;
	if (rq->trusted)
		return ADMIN_AUTH_OK;
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
	if (is_token(rq, token)) {
		l->known = true;
		rq->role = ADMIN_ADMIN;
		return ADMIN_AUTH_OK;
	}
	base_count(COUNTER_HTTP_AUTH);
	if (l->failed >= LOGIN_TRIES)
		return ADMIN_AUTH_LOCKED;
	if (++l->failed == LOGIN_TRIES)
		base_log_limited(BASE_WARN, 1, "admin", "an address tries tokens that are none of ours: shut out for a minute");
	return ADMIN_AUTH_BAD;
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
