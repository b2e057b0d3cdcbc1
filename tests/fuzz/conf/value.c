/* SPDX-License-Identifier: Apache-2.0 */
/* Networks and URIs as a document writes them: what they point to lies within the text. */
#include <stdlib.h>

#include "postern/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void within(struct slice s, const char *text)
{
	must(!s.n || (s.p >= text && s.p + s.n <= text + strlen(text)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = base_dup((struct slice){ (const char *)data, size });
	const char *why = NULL;
	struct conf_net net;
	struct conf_uri uri;

	must(text);
	if (!conf_net_parse(text, &net))
		must(net.bits <= (net.addr.sa.sa_family == AF_INET6 ? 128u : 32u) && base_addr_in_net(&net.addr, &net.addr, net.bits));
	if (!conf_uri_parse(text, &uri, &why)) {
		within(uri.user, text);
		within(uri.host, text);
		must(uri.host.n > 0);
	} else {
		must(why);
	}
	free(text);
	return 0;
}
