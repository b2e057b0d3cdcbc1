/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration document: parse; what parses is printed, hidden, compared, and its secrets come back. */
#include <stdlib.h>

#include "postern/conf.h"
#include "postern/ctl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void changes(const struct conf_doc *doc)
{
	char *shown = conf_print(doc, true), *whole = NULL, *diff;
	struct conf_doc *again = NULL;
	struct conf_errors *errs;

	must(shown && !conf_errors_new(&errs));
	must(!conf_restore_secrets(slice_str(shown), doc, &whole));
	/* two users of one name have one secret: no more than that may differ */
	if (!conf_parse(slice_str(whole), ctl_schema, errs, &again)) {
		diff = conf_diff(doc, again);
		must(diff);
		free(diff);
	}
	free(whole);
	free(shown);
	base_unref(again);
	base_unref(errs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf_doc *doc = NULL;
	struct conf_errors *errs;
	const struct conf_note *n;
	size_t i;

	must(!conf_errors_new(&errs));
	if (!conf_parse((struct slice){ (const char *)data, size }, ctl_schema, errs, &doc))
		changes(doc);
	else
		must(conf_errors_count(errs) > 0);
	for (i = 0; (n = conf_errors_at(errs, i)); i++)
		must(n->pointer && n->message && n->message[0] && (!n->pointer[0] || n->pointer[0] == '/'));
	base_unref(doc);
	base_unref(errs);
	must(base_live() == 0);
	return 0;
}
