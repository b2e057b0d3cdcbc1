/* SPDX-License-Identifier: Apache-2.0 */
/* The look over a CDR's text, by including its file: it stays within the text, and the id that it finds lies in it. */
#include "store/cdr.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice json = { (const char *)data, size }, id;

	if (cdr_scan(json, &id) && id.n)
		must(id.p > json.p && id.p + id.n < json.p + json.n && id.p[-1] == '"' && id.p[id.n] == '"');
	return 0;
}
