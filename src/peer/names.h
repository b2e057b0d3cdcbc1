/* SPDX-License-Identifier: Apache-2.0 */
/* peer, private: the cache of DNS answers. */
#ifndef PEER_NAMES_H
#define PEER_NAMES_H

#include "postern/base.h"
#include "postern/loop.h"
#include "postern/wire.h"

struct peer_names;

/** What is known of one name and type. */
struct peer_name {
	struct hash_node node;
	struct list_node link;
	struct peer_names *names;
	struct loop_dns_query *query;  /* open */
	enum wire_dns_type type;
	bool known;                    /* an answer came once; it serves on while no newer one comes (RFC 8767) */
	unsigned failures;             /* in a row */
	int64_t expires, retry;        /* monotonic ms; 0: now */
	uint32_t ttl;
	struct wire_dns_record *rr;
	unsigned n;                    /* 0: there is none */
	char name[WIRE_DNS_NAME];
};

/** servers, n, timeout as loop_dns_new. changed: some answer came (or failed). */
int peer_names_new(struct loop *l, const char *const *servers, size_t n, int timeout_ms, void (*changed)(void *arg), void *arg, struct peer_names **ret);
void peer_names_free(struct peer_names *s);
/** Is there room for names that no document has? They may take half of it. */
bool peer_names_has_room(struct peer_names *s);
/** What is known, and a query where that is nothing or old. NULL: too many names, or no memory. */
const struct peer_name *peer_names_get(struct peer_names *s, const char *name, enum wire_dns_type type);

#endif
