/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as RTP and as RTCP: lengths stay inside the datagram, the walk ends. */
#include <stdlib.h>

#include "postern/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire_rtp rtp;
	struct wire_rtcp rtcp;
	size_t pos = 0, last = 0;
	unsigned sum = 0;
	bool bad;

	if (wire_rtp_parse(data, size, &rtp) == 0 && (rtp.header < 12 || rtp.header + rtp.payload > size))
		abort();
	if (!wire_is_rtcp(data, size))
		return 0;
	while (wire_rtcp_next(data, size, &pos, &rtcp, &bad)) {
		if (pos <= last || pos > size || rtcp.body < data || rtcp.body + rtcp.len > data + size)
			abort();
		for (size_t i = 0; i < rtcp.len; i++)
			sum += rtcp.body[i];
		last = pos;
	}
	return sum == 1 && pos > size; /* never; keeps the reads */
}
