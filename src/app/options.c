/* SPDX-License-Identifier: Apache-2.0 */
/* app/options: rows of options; --help prints the same rows. `--name value` and `--name=value`. */
#include "app/options.h"

#include <stdio.h>

enum option_id { OPT_STATE, OPT_CONFIG, OPT_API, OPT_USER, OPT_LOG_LEVEL, OPT_CHECK, OPT_HELP, OPT_VERSION };

static const struct { const char *name, *value, *doc; enum option_id id; } rows[] = {
	{ "state", "DIR", "state folder, made with mode 0700 (default " STATEDIR ")", OPT_STATE },
	{ "config", "FILE", "configuration document, imported where the state has no revision yet", OPT_CONFIG },
	{ "api", "ADDR:PORT", "where the REST API listens (default: the document's system.api)", OPT_API },
	{ "user", "NAME", "as root: the user of the child processes (default postern)", OPT_USER },
	{ "log-level", "LEVEL", "error, warn, info (default) or debug", OPT_LOG_LEVEL },
	{ "check", NULL, "check the document of --config and the files that it names, then exit", OPT_CHECK },
	{ "help", NULL, "this text", OPT_HELP },
	{ "version", NULL, "version and licence", OPT_VERSION },
};

void app_options_help(void)
{
	printf("usage: posternd [options]\n\n");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char left[64];

		snprintf(left, sizeof(left), "--%s%s%s", rows[i].name, rows[i].value ? " " : "", rows[i].value ? rows[i].value : "");
		printf("  %-22s %s\n", left, rows[i].doc);
	}
	printf("\nexit status: 0 clean, 1 usage or configuration, 2 a socket or file could not be opened, 70 internal\n"
		"signals: SIGTERM drains and ends, SIGHUP reads certificates and policies again\nsee posternd(8)\n");
}

static int complain(const char *what, const char *arg)
{
	fprintf(stderr, "posternd: %s: %s (posternd --help tells)\n", arg, what);
	return ERR_CONFIG;
}

/* ADDR:PORT, [ADDR6]:PORT */
static int parse_api(const char *text, struct app_options *ret)
{
	const char *colon = strrchr(text, ':');
	struct slice host;
	uint64_t port;

	if (!colon || slice_u64(slice_str(colon + 1), 65535, &port) < 0 || port == 0)
		return complain("--api takes ADDR:PORT", text);
	host = (struct slice){ text, (size_t)(colon - text) };
	if (memchr(host.p, ':', host.n) && host.p[0] != '[')
		return complain("--api takes IPv6 addresses in brackets", text);
	if (base_addr_parse(host, (uint16_t)port, &ret->api) < 0)
		return complain("--api takes an IPv4 or IPv6 address", text);
	ret->api_given = true;
	return 0;
}

static int apply(enum option_id id, const char *value, struct app_options *ret)
{
	switch (id) {
	case OPT_STATE:
		ret->state = value;
		return 0;
	case OPT_CONFIG:
		ret->config = value;
		return 0;
	case OPT_API:
		return parse_api(value, ret);
	case OPT_USER:
		ret->user = value;
		return 0;
	case OPT_LOG_LEVEL:
		return base_log_level_parse(slice_str(value), &ret->level) < 0 ? complain("no such log level", value) : 0;
	case OPT_CHECK:
		ret->check = true;
		return 0;
	case OPT_HELP:
		ret->help = true;
		return 0;
	case OPT_VERSION:
		ret->version = true;
		return 0;
	}
	return ERR_CONFIG;
}

/* One option at argv[*i]; advances over its value. */
static int one(int argc, char **argv, int *i, struct app_options *ret)
{
	const char *arg = argv[*i], *equals = strchr(arg, '=');
	size_t n = equals ? (size_t)(equals - arg) : strlen(arg);

	for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
		const char *value = equals ? equals + 1 : NULL;

		if (n != strlen(rows[k].name) + 2 || strncmp(arg, "--", 2) != 0 || strncmp(arg + 2, rows[k].name, n - 2) != 0)
			continue;
		if (!rows[k].value && equals)
			return complain("takes no value", arg);
		if (rows[k].value && !equals) {
			if (*i + 1 >= argc)
				return complain("needs a value", arg);
			value = argv[++*i];
		}
		if (rows[k].value && !value[0])
			return complain("needs a value", arg);
		return apply(rows[k].id, value, ret);
	}
	return complain("unknown option", arg);
}

int app_options_parse(int argc, char **argv, struct app_options *ret)
{
	struct app_options o = { .state = STATEDIR, .level = BASE_INFO };

	for (int i = 1; i < argc; i++) {
		int err = one(argc, argv, &i, &o);

		if (err)
			return err;
	}
	if (o.check && !o.config)
		return complain("--check needs --config FILE", "--check");
	*ret = o;
	return 0;
}
