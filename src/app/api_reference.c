/* SPDX-License-Identifier: Apache-2.0 */
/* api-reference: prints docs/reference-api.md (`md`) or the OpenAPI document (`openapi`) from the API's tables. Not installed. */
#include <stdio.h>
#include <stdlib.h>

#include "postern/admin.h"

int main(int argc, char **argv)
{
	bool md = argc == 2 && !strcmp(argv[1], "md");
	char *text;

	if (argc != 2 || (!md && strcmp(argv[1], "openapi"))) {
		fprintf(stderr, "usage: api-reference md|openapi\n");
		return 1;
	}
	text = md ? admin_reference_print() : admin_openapi_print();
	if (!text || fputs(text, stdout) < 0 || fflush(stdout)) {
		fprintf(stderr, "api-reference: the reference could not be printed\n");
		free(text);
		return 70;
	}
	free(text);
	return 0;
}
