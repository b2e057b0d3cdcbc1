/* SPDX-License-Identifier: Apache-2.0 */
/*
 * su_getaddrinfo, su_freeaddrinfo: numeric addresses alone. The library would look up any name in a Via's maddr with the
 * C library, in the loop: one packet stops the engine for as long as the attacker's name server likes.
 */
#include "sipua/priv.h"
#include "sipua/guard/guard.h"

#include <stdlib.h>
#include <sofia-sip/su_addrinfo.h>

struct answer {
	su_addrinfo_t ai;
	union base_addr addr;
};

int su_getaddrinfo(const char *node, const char *service, const su_addrinfo_t *hints, su_addrinfo_t **res)
{
	struct answer *a;
	uint64_t port = 0;

	SIPUA_HIT(su_getaddrinfo);
	if (service && *service && slice_u64(slice_str(service), 65535, &port))
		return EAI_SERVICE;
	a = calloc(1, sizeof(*a));
	if (!a)
		return EAI_MEMORY;
	if (!node || base_addr_parse(slice_str(node), (uint16_t)port, &a->addr)) {
		base_count(COUNTER_SIP_NAME_REFUSED);
		free(a);
		return EAI_NONAME;
	}
	if (hints) {
		a->ai.ai_flags = hints->ai_flags;
		a->ai.ai_socktype = hints->ai_socktype;
		a->ai.ai_protocol = hints->ai_protocol;
	}
	a->ai.ai_family = a->addr.sa.sa_family;
	a->ai.ai_addrlen = base_addr_len(&a->addr);
	a->ai.ai_addr = &a->addr.sa;
	*res = &a->ai;
	return 0;
}

void su_freeaddrinfo(su_addrinfo_t *res)
{
	SIPUA_HIT(su_freeaddrinfo);
	if (res)
		free(container_of(res, struct answer, ai));
}
