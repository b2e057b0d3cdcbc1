/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS answers as they come from the wire (RFC 1035 section 4, 2782, 3403, 2308): the records of one type at the name that was asked for, with the
 * TTL that Debian's c-ares does not tell. Builds no queries, checks no signatures.
 */
#include <strings.h>

#include "postern/wire.h"

#define HEADER     12
#define LABELS_MAX 128
#define CHAIN_MAX  8                   /* aliases in a row */
#define RECORDS_MAX 256                /* looked at in one section */
#define TTL_MAX    (7 * 86400u)

struct dns { const uint8_t *p; size_t n, at; };

static bool take(const struct dns *d, size_t n) { return d->at <= d->n && d->n - d->at >= n; }
static unsigned get16(const uint8_t *p) { return (unsigned)p[0] << 8 | p[1]; }
static uint32_t get32(const uint8_t *p) { return (uint32_t)get16(p) << 16 | get16(p + 2); }

static bool label_char(uint8_t c)
{
	return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '-' || c == '_';
}

static bool label_add(char name[static WIRE_DNS_NAME], size_t *len, const uint8_t *p, size_t n)
{
	size_t i;

	if (*len + n + 2 > WIRE_DNS_NAME)
		return false;
	if (*len)
		name[(*len)++] = '.';
	for (i = 0; i < n; i++) {
		if (!label_char(p[i]))
			return false;
		name[(*len)++] = (char)p[i];
	}
	name[*len] = 0;
	return true;
}

/** A name at d->at, which moves behind it; pointers lead backwards alone. ret NULL: skip it. A name that no host has is "" and *ok false. */
static int name_get(struct dns *d, char *ret, bool *ok)
{
	size_t at = d->at, limit = d->at, len = 0;
	unsigned labels = 0;
	bool jumped = false;

	*ok = true;
	if (ret)
		ret[0] = 0;
	for (;;) {
		unsigned c;

		if (at >= d->n || ++labels > LABELS_MAX)
			return ERR_PROTO;
		c = d->p[at];
		if (c >= 0xc0) {
			size_t to = at + 1 < d->n ? get16(d->p + at) & 0x3fff : d->n;

			if (!jumped)
				d->at = at + 2;
			if (to >= limit)
				return ERR_PROTO;
			jumped = true;
			at = limit = to;
			continue;
		}
		if (c > 63 || d->n - at - 1 < c)
			return ERR_PROTO;
		at++;
		if (!c)
			break;
		if (ret && *ok)
			*ok = label_add(ret, &len, d->p + at, c);
		at += c;
	}
	if (!jumped)
		d->at = at;
	return 0;
}

struct record { char owner[WIRE_DNS_NAME]; bool owner_ok; unsigned type, class; uint32_t ttl; size_t data, len; };

static int record_get(struct dns *d, struct record *r)
{
	int err = name_get(d, r->owner, &r->owner_ok);

	if (err)
		return err;
	if (!take(d, 10))
		return ERR_TRUNCATED;
	r->type = get16(d->p + d->at);
	r->class = get16(d->p + d->at + 2);
	r->ttl = get32(d->p + d->at + 4);
	r->len = get16(d->p + d->at + 8);
	r->data = d->at + 10;
	if (r->ttl > TTL_MAX)
		r->ttl = r->ttl >> 31 ? 0 : TTL_MAX; /* RFC 2181 section 8 */
	d->at = r->data;
	if (!take(d, r->len))
		return ERR_TRUNCATED;
	d->at = r->data + r->len;
	return 0;
}

/** A character string of RFC 1035 3.3; longer ones than room are no use to us. */
static bool string_get(struct dns *d, size_t end, char *buf, size_t size, size_t *ret_len)
{
	size_t n;

	if (d->at >= end)
		return false;
	n = d->p[d->at];
	if (n > end - d->at - 1)
		return false;
	slice_copy(buf, size, (struct slice){ (const char *)d->p + d->at + 1, n });
	d->at += 1 + n;
	*ret_len = n;
	return true;
}

static bool naptr_get(struct dns *d, const struct record *r, struct wire_dns_record *ret)
{
	size_t end = r->data + r->len, n;
	char regexp[2];
	bool ok;

	if (r->len < 7)
		return false;
	ret->order = (uint16_t)get16(d->p + r->data);
	ret->preference = (uint16_t)get16(d->p + r->data + 2);
	d->at = r->data + 4;
	if (!string_get(d, end, ret->flags, sizeof ret->flags, &n) || !string_get(d, end, ret->service, sizeof ret->service, &n) ||
	    !string_get(d, end, regexp, sizeof regexp, &n))
		return false;
	ret->regexp = n != 0;
	return !name_get(d, ret->name, &ok) && ok && d->at <= end;
}

static bool srv_get(struct dns *d, const struct record *r, struct wire_dns_record *ret)
{
	bool ok;

	if (r->len < 7)
		return false;
	ret->order = (uint16_t)get16(d->p + r->data);
	ret->preference = (uint16_t)get16(d->p + r->data + 2);
	ret->port = (uint16_t)get16(d->p + r->data + 4);
	d->at = r->data + 6;
	return !name_get(d, ret->name, &ok) && ok && d->at <= r->data + r->len;
}

static bool address_get(const struct dns *d, const struct record *r, struct wire_dns_record *ret)
{
	if (r->type == WIRE_DNS_A && r->len == 4) {
		ret->addr.in.sin_family = AF_INET;
		memcpy(&ret->addr.in.sin_addr, d->p + r->data, 4);
	} else if (r->type == WIRE_DNS_AAAA && r->len == 16) {
		ret->addr.in6.sin6_family = AF_INET6;
		memcpy(&ret->addr.in6.sin6_addr, d->p + r->data, 16);
	} else {
		return false;
	}
	return true;
}

/** The record's data; false: it says nothing that can be used. Where the reading stands does not change. */
static bool data_get(const struct dns *d, const struct record *r, struct wire_dns_record *ret)
{
	struct dns at = *d;

	memset(ret, 0, sizeof *ret);
	if (r->type == WIRE_DNS_SRV)
		return srv_get(&at, r, ret);
	if (r->type == WIRE_DNS_NAPTR)
		return naptr_get(&at, r, ret);
	return address_get(&at, r, ret);
}

static void ttl_lower(struct wire_dns_answer *a, uint32_t ttl)
{
	if (ttl < a->ttl)
		a->ttl = ttl;
}

/** One pass over the answer section for one name: its records, or the alias that it is (*ret_alias), at most one. */
static int answers(struct dns d, unsigned count, enum wire_dns_type type, const char *name, struct wire_dns_answer *a, char *ret_alias, bool *ret_has)
{
	struct record r;
	int err = 0;

	*ret_has = false;
	for (; count && !err; count--) {
		err = record_get(&d, &r);
		if (err || r.class != 1 || !r.owner_ok || strcasecmp(r.owner, name))
			continue;
		if (r.type == (unsigned)type && a->n < WIRE_DNS_RECORDS && data_get(&d, &r, &a->rr[a->n])) {
			a->n++;
			ttl_lower(a, r.ttl);
		} else if (r.type == WIRE_DNS_CNAME) {
			struct dns at = { d.p, d.n, r.data };
			bool ok;

			if (!name_get(&at, ret_alias, &ok) && ok) {
				*ret_has = true;
				ttl_lower(a, r.ttl);
			}
		}
	}
	return err;
}

/** How long it is known that there is nothing: the SOA of the authority section (RFC 2308 section 5). */
static uint32_t negative_ttl(struct dns d, unsigned answer, unsigned authority)
{
	struct record r;
	uint32_t least;

	for (; answer + authority; answer ? answer-- : authority--) {
		if (record_get(&d, &r))
			return 0;
		if (answer || r.type != WIRE_DNS_SOA || r.len < 22)
			continue;
		least = get32(d.p + r.data + r.len - 4);
		return least < r.ttl ? least : r.ttl;
	}
	return 0;
}

int wire_dns_parse(const void *msg, size_t n, enum wire_dns_type type, struct wire_dns_answer *ret)
{
	struct dns d = { msg, n, HEADER };
	char name[2][WIRE_DNS_NAME];
	unsigned count, authority, chain;
	bool ok, more = true;
	int err;

	ret->n = 0;
	ret->ttl = TTL_MAX;
	if (n < HEADER)
		return ERR_TRUNCATED;
	ret->rcode = d.p[3] & 15;
	ret->truncated = d.p[2] & 2;
	count = get16(d.p + 6);
	authority = get16(d.p + 8);
	if (!(d.p[2] & 0x80) || get16(d.p + 4) != 1 || count > RECORDS_MAX || authority > RECORDS_MAX)
		return ERR_PROTO;
	err = name_get(&d, name[0], &ok);
	if (err || !ok || !take(&d, 4))
		return err ? err : ERR_PROTO;
	d.at += 4;
	for (chain = 0; more && !ret->n && chain < CHAIN_MAX; chain++) {
		err = answers(d, count, type, name[chain & 1], ret, name[!(chain & 1)], &more);
		if (err)
			return err;
	}
	if (!ret->n)
		ret->ttl = negative_ttl(d, count, authority);
	return 0;
}
