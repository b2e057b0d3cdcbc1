/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as SDP: what parses prints, what is printed parses to the same streams and prints the same again. */
#include <stdio.h>
#include <stdlib.h>

#include "postern/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct wire_sdp sdp, again;
static char out[WIRE_SDP_BYTES], out2[WIRE_SDP_BYTES];

static void inside(struct slice s, const uint8_t *data, size_t size)
{
	const char *from = (const char *)data;

	if (s.n && (s.p < from || s.p + s.n > from + size))
		abort();
}

static void look(const uint8_t *data, size_t size)
{
	uint64_t pts[2];

	inside(sdp.o_user, data, size);
	inside(sdp.o_addr, data, size);
	inside(sdp.conn, data, size);
	for (unsigned i = 0; i < sdp.nmedia; i++) {
		const struct wire_sdp_media *m = &sdp.media[i];

		inside(m->formats, data, size);
		inside(m->conn, data, size);
		inside(m->rtcp_addr, data, size);
		inside(wire_sdp_attr(&sdp, (int)i, "rtpmap"), data, size);
		wire_sdp_pts(m, pts);
		if (wire_sdp_direction(&sdp, m) > WIRE_SENDRECV || m->first + m->nlines > sdp.nlines)
			abort();
	}
	wire_sdp_attr(&sdp, -1, "group");
}

static void print_twice(int dir)
{
	struct wire_sdp_place place[WIRE_SDP_MEDIA];
	const struct wire_sdp_edit e = { .o_user = "postern", .o_id = 1, .o_version = UINT64_MAX, .o_addr = "233.252.0.1", .place = place };
	int n, n2;

	for (unsigned i = 0; i < WIRE_SDP_MEDIA; i++)
		place[i] = (struct wire_sdp_place){ .addr = i % 3 == 2 ? NULL : "2001:db8::1", .ipv6 = true, .port = 65534, .rtcp_mux = i & 1, .dir = dir };
	n = wire_sdp_print(&sdp, &e, out, sizeof(out));
	if (n < 0)
		return;
	if (strlen(out) != (size_t)n)
		abort();
	n2 = wire_sdp_parse((struct slice){ out, (size_t)n }, &again);
	if (n2 == ERR_FULL)
		return; /* our own lines came on top of the cap */
	if (n2 || again.nmedia != sdp.nmedia)
		abort();
	n2 = wire_sdp_print(&again, &e, out2, sizeof(out2));
	if (n2 != n || memcmp(out, out2, (size_t)n) || !wire_sdp_same_session((struct slice){ out, (size_t)n }, (struct slice){ out2, (size_t)n2 }))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = { (const char *)data, size };

	wire_sdp_same_session(text, (struct slice){ (const char *)data, size / 2 });
	if (wire_sdp_parse(text, &sdp))
		return 0;
	look(data, size);
	for (int dir = -1; dir < 4; dir++)
		print_twice(dir);
	return 0;
}
