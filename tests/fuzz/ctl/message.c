/* SPDX-License-Identifier: Apache-2.0 */
/* Commands and replies between admin and engine: what parses prints back to the same bytes. */
#include "postern/ctl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t out[65536];
	struct slice body = { (const char *)data, size }, text;
	enum ctl_command_id id;
	size_t n;
	int status;

	if (size > sizeof out)
		return 0;
	if (!ctl_request_parse(body, &id, &text))
		must(!ctl_request_print(id, text, out, sizeof out, &n) && n == size && !memcmp(out, data, n));
	if (!ctl_reply_parse(body, &status, &text))
		must(!ctl_reply_print(status, text, out, sizeof out, &n) && n == size && !memcmp(out, data, n));
	return 0;
}
