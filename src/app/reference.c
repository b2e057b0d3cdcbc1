/* SPDX-License-Identifier: Apache-2.0 */
/* conf-reference: prints docs/reference-config.md (`md`) or docs/man/postern.json.5 (`man`) from the option tables. Not installed. */
#include <stdio.h>
#include <stdlib.h>

#include "postern/conf.h"
#include "postern/ctl.h"

int main(int argc, char **argv)
{
	bool man = argc == 2 && !strcmp(argv[1], "man");
	char *text;

	if (argc != 2 || (!man && strcmp(argv[1], "md"))) {
		fprintf(stderr, "usage: conf-reference md|man\n");
		return 1;
	}
	text = conf_reference_print(ctl_schema, man ? CONF_MAN : CONF_MARKDOWN);
	if (!text || fputs(text, stdout) < 0 || fflush(stdout)) {
		fprintf(stderr, "conf-reference: the reference could not be printed\n");
		free(text);
		return 70;
	}
	free(text);
	return 0;
}
