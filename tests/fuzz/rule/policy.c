/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as a policy file: what parses prints, and the print parses to the same; then it runs on a message. */
#include <stdlib.h>

#include "postern/rule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char invite[] =
	"INVITE sip:+4930@sbc.example;x=1 SIP/2.0\r\nFrom: \"A\" <sip:0301@pbx.example>;tag=1\r\nTo: <sip:+4930@sbc.example>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n"
	"Contact: <sip:a@192.0.2.1>\r\nAllow: INVITE, ACK, BYE, CANCEL, UPDATE\r\nSupported: timer, 100rel\r\nSession-Expires: 90;refresher=uac\r\nPrivacy: id\r\n"
	"X-A: 1\r\nX-A: 2\r\nContent-Type: application/sdp\r\n\r\nv=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 8 101\r\n"
	"a=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\n";
static const char answer[] = "SIP/2.0 183 Progress\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCSeq: 1 INVITE\r\nCall-ID: c\r\nReason: Q.850;cause=16\r\n\r\n";

static struct rule_set *load(struct slice text)
{
	struct rule_load how = { .file = "fuzz" };
	struct rule_errors *errs = rule_errors_new();
	struct rule_set *s = NULL;
	char buf[512];

	(void)rule_set_load(text, &how, errs, &s);
	for (size_t i = 0; i < rule_errors_count(errs); i++) {
		struct text t = text_on(buf, sizeof buf);

		rule_error_print(rule_errors_get(errs, i), &t);
	}
	if (!s && !rule_errors_count(errs))
		abort();
	base_unref(errs);
	return s;
}

static void run(struct rule_set *s, const char *message, enum rule_hook hook)
{
	struct rule_at at = { .hook = hook, .dialog = RULE_INITIAL, .trunk = SLICE("a") };
	struct rule_text_msg *m = NULL;
	struct rule_chain *c = NULL;
	struct rule_result r;
	char *out;

	if (rule_text_parse(slice_str(message), &m) || rule_chain_new(&s, 1, NULL, &c))
		abort();
	rule_chain_run(c, &at, &rule_text_ops, m, NULL, &r);
	out = rule_text_print(m);
	free(out);
	base_unref(c);
	rule_text_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rule_set *s = load((struct slice){ (const char *)data, size }), *again;
	char *one, *two, *json;

	if (!s)
		return 0;
	one = rule_set_print(s);
	json = rule_set_print_json(s);
	again = load(slice_str(one));
	if (!again)
		abort();
	two = rule_set_print(again);
	if (strcmp(one, two))
		abort();
	for (int hook = RULE_RECEIVE; hook <= RULE_SEND; hook++) {
		run(s, invite, (enum rule_hook)hook);
		run(s, answer, (enum rule_hook)hook);
	}
	free(one);
	free(two);
	free(json);
	base_unref(s);
	base_unref(again);
	return 0;
}
