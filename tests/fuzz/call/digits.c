/* SPDX-License-Identifier: Apache-2.0 */
/* Arbitrary bytes as the body of an INFO. */
#include "call/b2b.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned ms;
	int event = call_digits_parse((struct slice){ (const char *)data, size }, &ms);

	must(event >= -1 && event <= 16 && ms <= 60000);
	return 0;
}
