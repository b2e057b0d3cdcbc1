/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a URI, an address, parameters and a list of methods: slices stay inside, what was taken is made of what was given. */
#include <stdlib.h>

#include "postern/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *from;
static size_t bytes;

static void inside(struct slice s)
{
	if (s.n && (s.p < from || s.p + s.n > from + bytes))
		abort();
}

static void check_uri(const struct wire_uri *u)
{
	inside(u->scheme);
	inside(u->user);
	inside(u->password);
	inside(u->host);
	inside(u->port);
	inside(u->params);
	inside(u->headers);
	inside(wire_param(u->params, "transport"));
	if (!u->scheme.n || (!u->host.n && !u->user.n))
		abort();
	for (size_t i = 0; i < u->host.n; i++)
		if ((unsigned char)u->host.p[i] <= ' ' || (unsigned char)u->host.p[i] >= 0x7f)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = { (const char *)data, size };
	struct wire_uri u;
	struct wire_addr a;

	from = text.p;
	bytes = size;
	if (wire_uri_parse(text, &u) == 0)
		check_uri(&u);
	if (wire_addr_parse(text, &a) == 0) {
		check_uri(&a.uri);
		inside(a.display);
		inside(a.tag);
		inside(a.params);
	}
	inside(wire_param(text, "tag"));
	if (wire_methods_parse(text) & 1u << WIRE_UNKNOWN)
		abort();
	return 0;
}
