/* SPDX-License-Identifier: Apache-2.0 */
/* app/options: the command line of posternd. */
#ifndef APP_OPTIONS_H
#define APP_OPTIONS_H

#include "postern/base.h"

struct app_options {
	const char *state, *config, *user;
	bool api_given; union base_addr api;
	enum base_level level;
	bool check, help, version;
};

/** Parse; what is wrong is told on stderr. ERR_CONFIG. */
int app_options_parse(int argc, char **argv, struct app_options *ret);
/** To stdout. */
void app_options_help(void);

#endif
