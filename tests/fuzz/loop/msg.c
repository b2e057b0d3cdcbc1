/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header of messages between processes.
 */
#include "postern/loop.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct loop_msg m;

	if (loop_msg_parse(data, size, &m) < 0)
		return 0;
	must(m.nfds <= LOOP_CHAN_FDS && m.fds == NULL);
	must(m.body.n < size && (const uint8_t *)m.body.p + m.body.n == data + size);
	return 0;
}
