/* SPDX-License-Identifier: Apache-2.0 */
/* Any message under a policy that reads and writes every field: what comes out is a message again, and no line of it is new by itself. */
#include <stdlib.h>

#include "postern/rule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char policy[] =
	"set @a string { \"x\", \"y\" }\nset @n ip { \"10.0.0.0/8\" }\nmap %m glob { \"a*\" => \"b\" }\n"
	"policy p on receive any {\n"
	" when from.user ~ \"^(.)(.*)$\" then set header[\"X-1\"] \"$2$1\", set subject \"${from.display} ${to.user}\"\n"
	" when contact.host in @n or from.user in @a or has contact.params[\"transport\"] then set contact.user \"c\", set contact.params[\"x\"] \"y\"\n"
	" default p-asserted-identity.user \"${from.user}\"\n set p-asserted-identity.display \"${from.display}\"\n set p-asserted-identity.params[\"p\"] \"${from.user}\"\n"
	" set diversion.params[\"reason\"] \"x\"\n set refer-to.headers[\"Replaces\"] \"1\"\n add privacy \"id\"\n remove privacy[\"user\"]\n"
	" remove allow[\"UPDATE\"]\n keep supported { timer, replaces }\n add require \"x\"\n set session-expires 100, set session-expires.refresher uas\n"
	" set reason.cause 5, set reason.text \"t\"\n remove header[\"X-*\"]\n set user-agent %m[user-agent]\n"
	" keep sdp.audio.codecs { PCMA, opus, telephone-event }\n remove sdp.audio.codecs[\"PCMU\"]\n set sdp.audio.ptime 30\n set sdp.audio.bandwidth 64\n"
	" set sdp.attribute[\"tool\"] \"x\"\n remove sdp.video.attribute[\"rtcp-fb\"]\n when sdp.audio.port > 5 and sdp.video.direction == sendrecv then tag x\n"
	" when has header[\"*a*\"] and body.size > 10 then set call.var[\"v\"] \"${body.type}\"\n keep headers { \"S*\", \"X-1\" }\n"
	"}\n"
	"policy q on receive request {\n set from.user \"${to.user}\", set to.display \"${from.display}\", set ruri.user \"${from.user}\", set ruri.params[\"a\"] \"\"\n"
	" when from.user == \"${to.user}\" then redirect \"sip:${from.user}@x\"\n}\n"
	"policy r on receive response {\n when status > 299 then set status 603, set status.reason \"${reason.text}\"\n}\n";

static struct rule_chain *chain(void)
{
	static struct rule_chain *c;
	struct rule_load how = { .file = "fuzz" };
	struct rule_errors *errs;
	struct rule_set *s = NULL;

	if (c)
		return c;
	errs = rule_errors_new();
	if (rule_set_load(slice_str(policy), &how, errs, &s) || rule_chain_new(&s, 1, NULL, &c))
		abort();
	base_unref(s);
	base_unref(errs);
	return c;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rule_at at = { .hook = RULE_RECEIVE };
	struct rule_text_msg *m = NULL, *again = NULL;
	struct rule_result r;
	char *out;

	if (rule_text_parse((struct slice){ (const char *)data, size }, &m))
		return 0;
	at.dialog = rule_text_dialog(m);
	rule_chain_run(chain(), &at, &rule_text_ops, m, NULL, &r);
	out = rule_text_print(m);
	if (rule_text_parse(slice_str(out), &again) || rule_text_is_request(again) != rule_text_is_request(m))
		abort();
	free(out);
	rule_text_free(m);
	rule_text_free(again);
	return 0;
}
