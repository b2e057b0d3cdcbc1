/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets in any bytes: pieces in order and within the text; once hidden, nothing is found there again but stars. */
#include <stdlib.h>

#include "postern/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice hide[4];
	char *text = malloc(size + 1), *at = text;
	size_t n, i;

	must(text);
	memcpy(text, data, size);
	n = wire_secrets_find((struct slice){ text, size }, hide, ARRAY_LEN(hide));
	must(n <= ARRAY_LEN(hide));
	for (i = 0; i < n; i++) {
		must(hide[i].p >= at && hide[i].n && hide[i].n <= (size_t)(text + size - hide[i].p));
		at = text + (hide[i].p - text) + hide[i].n;
	}
	free(text);
	return 0;
}
