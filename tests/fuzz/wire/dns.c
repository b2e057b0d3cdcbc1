/* SPDX-License-Identifier: Apache-2.0 */
/* DNS answers: first byte chooses the type that is asked for. What comes out must be bounded and terminated. */
#include <stdlib.h>
#include <string.h>

#include "postern/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum wire_dns_type types[] = { WIRE_DNS_A, WIRE_DNS_AAAA, WIRE_DNS_SRV, WIRE_DNS_NAPTR };
	static struct wire_dns_answer a;
	uint8_t *exact;
	unsigned i;

	if (!size)
		return 0;
	exact = malloc(size - 1 ? size - 1 : 1);
	if (!exact)
		return 0;
	memcpy(exact, data + 1, size - 1);
	if (!wire_dns_parse(exact, size - 1, types[data[0] % ARRAY_LEN(types)], &a)) {
		if (a.n > WIRE_DNS_RECORDS)
			abort();
		for (i = 0; i < a.n; i++)
			if (strlen(a.rr[i].name) >= WIRE_DNS_NAME || strlen(a.rr[i].service) >= sizeof a.rr[i].service)
				abort();
	}
	free(exact);
	return 0;
}
