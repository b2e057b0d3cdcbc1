/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes through Sofia's parser, in both of its ways, into our views: all of them readable, no line end in a header's text. */
#include <stdlib.h>

#include <sofia-sip/msg_addr.h>
#include <sofia-sip/sip.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_parser.h>

#include "postern/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned sum;

static void touch(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		sum += (unsigned char)s.p[i];
}

static void touch_addr(const struct wire_addr *a)
{
	touch(a->display);
	touch(a->tag);
	touch(a->uri.user);
	touch(a->uri.host);
	touch(a->uri.params);
}

static void headers(const struct wire_sip *m)
{
	struct wire_headers it;
	struct wire_header h;
	char small[16];

	wire_sip_headers(m, &it);
	while (wire_headers_next(&it, &h)) {
		touch(h.name);
		touch(h.value);
		if (!h.opaque || (h.value.n && (memchr(h.value.p, '\r', h.value.n) || memchr(h.value.p, '\n', h.value.n))))
			abort();
	}
	touch(wire_sip_header(m, "Contact", small, sizeof(small)));
	touch(wire_sip_header(m, "x", small, sizeof(small)));
}

static void views(const struct wire_sip *m)
{
	static const char *const known[] = { "timer", NULL };
	struct wire_addr a;
	struct wire_uri u;
	char small[16];
	bool has;

	wire_sip_ruri(m, &u);
	touch(u.host);
	wire_sip_from(m, &a);
	touch_addr(&a);
	wire_sip_to(m, &a);
	touch_addr(&a);
	if (wire_sip_contact(m, &a))
		touch_addr(&a);
	touch(wire_sip_method_name(m));
	touch(wire_sip_phrase(m));
	touch(wire_sip_call_id(m));
	touch(wire_sip_body(m));
	touch(wire_sip_content_type(m));
	touch(wire_sip_unknown_required(m, known, small, sizeof(small)));
	sum += wire_sip_allow(m, &has) + wire_sip_cseq(m) + (unsigned)wire_sip_status(m) + (unsigned)wire_sip_max_forwards(m);
	sum += wire_sip_supported(m, "100rel");
	headers(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int modes[] = { 0, MSG_DO_EXTRACT_COPY };

	for (size_t i = 0; i < ARRAY_LEN(modes) && size; i++) {
		msg_t *m = msg_make(sip_default_mclass(), modes[i], data, (ssize_t)size);
		sip_t *s = m ? sip_object(m) : NULL;

		if (s)
			views((const struct wire_sip *)(const void *)s);
		msg_destroy(m);
	}
	return 0;
}
