/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way to the daemon: the socket that STATE/control names, or the REST API over TCP with a token (libcurl). No logic of the commands.
 */
#include "config.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include "app/posternctl.h"

#define ANSWER_MAX (256u << 20)

struct app_cli_api {
	CURL *curl;
	struct curl_slist *headers;
	char base[512], where[512], tried[512]; /* tried: names a control socket that did not answer */
	char *body; size_t nbody;
	const char *send;                    /* body of the next request, borrowed */
	bool typed;
};

static const char *first_of(const char *a, const char *b, const char *c)
{
	return a && *a ? a : b && *b ? b : c;
}

/** Abstract names have a leading zero byte in place of the file's `@`. */
static bool socket_answers(const char *name)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	size_t n = strlen(name);
	int fd, rc;

	if (!n || n >= sizeof sun.sun_path)
		return false;
	memcpy(sun.sun_path + 1, name, n);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	rc = fd < 0 ? -1 : connect(fd, (struct sockaddr *)&sun, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n));
	if (fd >= 0)
		close(fd);
	return rc == 0;
}

/** First word of a file of the state folder; empty where it cannot be read. */
static void word_read(const char *state, const char *file, char *buf, size_t size)
{
	char path[512];
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "%s/%s", state, file);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	n = fd < 0 ? 0 : read(fd, buf, size - 1);
	if (fd >= 0)
		close(fd);
	buf[n > 0 ? n : 0] = 0;
	buf[strcspn(buf, "\r\n \t")] = 0;
}

static size_t on_data(char *p, size_t size, size_t n, void *arg)
{
	struct app_cli_api *api = arg;
	char *grown;

	n *= size;
	if (n > ANSWER_MAX - api->nbody)
		return 0;
	grown = realloc(api->body, api->nbody + n + 1);
	if (!grown)
		return 0;
	memcpy(grown + api->nbody, p, n);
	api->body = grown;
	api->nbody += n;
	return n;
}

/** What the daemon took, but is worth a look. */
static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	static const struct slice name = { "X-Warning: ", 11 };

	n *= size;
	if (n > name.n && slice_eq_nocase((struct slice){ p, name.n }, name))
		fprintf(stderr, "warning: %.*s\n", (int)strcspn(p + name.n, "\r\n"), p + name.n);
	return n;
}

static int header_add(struct app_cli_api *api, const char *line)
{
	struct curl_slist *l = curl_slist_append(api->headers, line);

	if (!l)
		return -ENOMEM;
	api->headers = l;
	return 0;
}

static int curl_set(struct app_cli_api *api, const char *ca)
{
	curl_easy_setopt(api->curl, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(api->curl, CURLOPT_WRITEDATA, api);
	curl_easy_setopt(api->curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(api->curl, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(api->curl, CURLOPT_CONNECTTIMEOUT, 5L);
	curl_easy_setopt(api->curl, CURLOPT_TIMEOUT, 60L);
	curl_easy_setopt(api->curl, CURLOPT_NOSIGNAL, 1L);
	if (ca)
		curl_easy_setopt(api->curl, CURLOPT_CAINFO, ca);
	return 0;
}

static int by_socket(struct app_cli_api *api, const char *name, const char *state)
{
	slice_copy(api->base, sizeof api->base, SLICE("http://localhost"));
	snprintf(api->where, sizeof api->where, "%s/control", state);
	return curl_easy_setopt(api->curl, CURLOPT_ABSTRACT_UNIX_SOCKET, name) == CURLE_OK ? 0 : -ENOMEM;
}

static int by_tcp(struct app_cli_api *api, const struct app_cli_where *w, const char *url, const char *state)
{
	char line[600], token[512] = "";
	const char *given = first_of(w->token, getenv("POSTERN_TOKEN"), getenv("POSTERN_ADMIN_TOKEN"));
	size_t n;

	snprintf(api->base, sizeof api->base, strstr(url, "://") ? "%s" : "http://%s", url);
	n = strlen(api->base);
	while (n && api->base[n - 1] == '/')
		api->base[--n] = 0;
	slice_copy(api->where, sizeof api->where, slice_str(api->base));
	if (strncmp(api->base, "http://", 7) && strncmp(api->base, "https://", 8)) {
		fprintf(stderr, "posternctl: \"%s\" is no URL of an API: write --api http://ADDRESS:PORT\n", url);
		return ERR_PROTO;
	}
	if (given)
		slice_copy(token, sizeof token, slice_str(given));
	else
		word_read(state, "admin.token", token, sizeof token);
	snprintf(line, sizeof line, "Authorization: Bearer %s", token);
	return *token ? header_add(api, line) : 0;
}

int app_cli_api_new(const struct app_cli_where *w, struct app_cli_api **ret)
{
	const char *state = first_of(w->state, getenv("POSTERN_STATE"), STATEDIR);
	const char *url = first_of(w->api, w->state ? NULL : getenv("POSTERN_API"), NULL);
	struct app_cli_api *api = calloc(1, sizeof *api);
	char name[112];
	int err;

	if (!api)
		return -ENOMEM;
	api->curl = curl_easy_init();
	err = api->curl ? curl_set(api, w->ca) : -ENOMEM;
	word_read(state, "control", name, sizeof name);
	if (!err && !url && name[0] == '@' && socket_answers(name + 1)) {
		err = by_socket(api, name + 1, state);
	} else if (!err) {
		if (!url)
			snprintf(api->tried, sizeof api->tried, "%s/control", state);
		err = by_tcp(api, w, url ? url : "127.0.0.1:8080", state);
	}
	if (!err)
		curl_easy_setopt(api->curl, CURLOPT_HTTPHEADER, api->headers);
	if (err) {
		app_cli_api_free(api);
		return err;
	}
	*ret = api;
	return 0;
}

void app_cli_api_free(struct app_cli_api *api)
{
	if (!api)
		return;
	curl_easy_cleanup(api->curl);
	curl_slist_free_all(api->headers);
	free(api->body);
	free(api);
}

char *app_cli_escape(struct app_cli_api *api, const char *text)
{
	char *curls = curl_easy_escape(api->curl, text, 0), *s = curls ? strdup(curls) : NULL;

	curl_free(curls);
	return s;
}

static int unreached(struct app_cli_api *api, const char *why)
{
	fprintf(stderr, "posternctl: no daemon at %s: %s\n", api->where, why);
	fprintf(stderr, *api->tried ? "Nor does the socket that %s names. " : "%s", api->tried);
	fputs("Is posternd running? Name its state folder with --state DIR, or its API with --api URL.\n", stderr);
	return ERR_GONE;
}

void app_cli_body(struct app_cli_api *api, const char *body, const char *type, const char *comment)
{
	char line[640];

	api->send = body;
	api->typed = true;
	snprintf(line, sizeof line, "Content-Type: %s", type ? type : "application/json");
	header_add(api, line);
	snprintf(line, sizeof line, "X-Comment: %s", comment ? comment : "");
	if (comment)
		header_add(api, line);
	curl_easy_setopt(api->curl, CURLOPT_HTTPHEADER, api->headers);
}

struct slice app_cli_answer(const struct app_cli_api *api)
{
	return (struct slice){ api->body, api->nbody };
}

int app_cli_request(struct app_cli_api *api, const char *method, const char *path, long *ret_status, json_t **ret_json)
{
	char url[2048], why[CURL_ERROR_SIZE] = "";
	CURLcode rc;

	if (snprintf(url, sizeof url, "%s/api/v1%s", api->base, path) >= (int)sizeof url)
		return ERR_RANGE;
	api->nbody = 0;
	if (!api->typed && !strcmp(method, "POST"))
		app_cli_body(api, NULL, NULL, NULL);
	curl_easy_setopt(api->curl, CURLOPT_ERRORBUFFER, why);
	curl_easy_setopt(api->curl, CURLOPT_URL, url);
	if (api->send || !strcmp(method, "POST"))
		curl_easy_setopt(api->curl, CURLOPT_POSTFIELDS, api->send ? api->send : "{}");
	else
		curl_easy_setopt(api->curl, CURLOPT_HTTPGET, 1L);
	curl_easy_setopt(api->curl, CURLOPT_CUSTOMREQUEST, method);
	rc = curl_easy_perform(api->curl);
	curl_easy_setopt(api->curl, CURLOPT_ERRORBUFFER, NULL);
	if (rc != CURLE_OK)
		return unreached(api, *why ? why : curl_easy_strerror(rc));
	curl_easy_getinfo(api->curl, CURLINFO_RESPONSE_CODE, ret_status);
	*ret_json = api->nbody ? json_loadb(api->body, api->nbody, JSON_DECODE_ANY, NULL) : NULL;
	return 0;
}
