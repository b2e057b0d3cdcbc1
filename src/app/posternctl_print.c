/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers for people: aligned columns and indented lines. Control characters of peers never reach the terminal.
 */
#include <stdio.h>
#include <stdlib.h>

#include "app/posternctl.h"

#define COLUMNS_MAX 12
#define CELL_MAX    96

static json_t *at_path(json_t *v, const char *path)
{
	char key[64];
	size_t n;

	while (v && *path) {
		n = strcspn(path, ".");
		if (!slice_copy(key, sizeof key, (struct slice){ path, n }))
			return NULL;
		v = json_is_array(v) ? json_array_get(v, strtoul(key, NULL, 10)) : json_object_get(v, key);
		path += n + (path[n] == '.');
	}
	return v;
}

/** A value as one cell; "-" for what is not there. */
static void cell_print(json_t *v, char buf[static CELL_MAX])
{
	struct text t = text_on(buf, CELL_MAX);
	const char *s;

	if (json_is_string(v)) {
		for (s = json_string_value(v); *s; s++)
			text_add(&t, "%c", (unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s);
		if (!t.n)
			text_add(&t, "-");
	} else if (json_is_integer(v)) {
		text_add(&t, "%lld", (long long)json_integer_value(v));
	} else if (json_is_real(v)) {
		text_add(&t, "%.3f", json_real_value(v));
	} else if (json_is_boolean(v)) {
		text_add(&t, "%s", json_is_true(v) ? "yes" : "no");
	} else if (json_is_array(v) || json_is_object(v)) {
		text_add(&t, "%zu", json_is_array(v) ? json_array_size(v) : json_object_size(v));
	} else {
		text_add(&t, "-");
	}
}

static void cell_put(const struct app_cli_column *col, bool last, int width, const char *text)
{
	bool right = col->title[0] == '>';

	if (right)
		printf("%*s", width, text);
	else
		printf("%-*s", last ? 0 : width, text);
	fputs(last ? "\n" : "  ", stdout);
}

void app_cli_table(const struct app_cli_column *cols, size_t ncols, json_t *rows)
{
	int width[COLUMNS_MAX];
	char cell[CELL_MAX];
	json_t *row;
	size_t i, c;

	ncols = ncols < COLUMNS_MAX ? ncols : COLUMNS_MAX;
	for (c = 0; c < ncols; c++) {
		width[c] = (int)strlen(cols[c].title) - (cols[c].title[0] == '>');
		json_array_foreach(rows, i, row) {
			cell_print(at_path(row, cols[c].path), cell);
			if ((int)strlen(cell) > width[c])
				width[c] = (int)strlen(cell);
		}
	}
	for (c = 0; c < ncols; c++)
		cell_put(&cols[c], c + 1 == ncols, width[c], cols[c].title + (cols[c].title[0] == '>'));
	json_array_foreach(rows, i, row) {
		for (c = 0; c < ncols; c++) {
			cell_print(at_path(row, cols[c].path), cell);
			cell_put(&cols[c], c + 1 == ncols, width[c], cell);
		}
	}
}

/** A text of several lines, such as SDP: each on its own, indented. */
static void lines_print(const char *s, int indent)
{
	putchar('\n');
	while (*s) {
		size_t n = strcspn(s, "\r\n");

		printf("%*s", indent, "");
		for (size_t i = 0; i < n; i++)
			putchar((unsigned char)s[i] < 0x20 || s[i] == 0x7f ? '?' : s[i]);
		putchar('\n');
		s += n;
		s += *s == '\r';
		s += *s == '\n';
	}
}

static void value_print(json_t *v, int indent)
{
	char cell[CELL_MAX];
	json_t *item;
	size_t i;

	if (json_is_object(v)) {
		putchar('\n');
		app_cli_object(v, indent + 2);
	} else if (json_is_array(v) && json_array_size(v) && json_is_object(json_array_get(v, 0))) {
		putchar('\n');
		json_array_foreach(v, i, item) {
			printf("%*s- %zu\n", indent + 2, "", i + 1);
			app_cli_object(item, indent + 4);
		}
	} else if (json_is_array(v)) {
		json_array_foreach(v, i, item) {
			cell_print(item, cell);
			printf("%s%s", i ? ", " : " ", cell);
		}
		puts(i ? "" : " -");
	} else if (json_is_string(v) && strchr(json_string_value(v), '\n')) {
		lines_print(json_string_value(v), indent + 2);
	} else {
		cell_print(v, cell);
		printf(" %s\n", cell);
	}
}

void app_cli_object(json_t *o, int indent)
{
	const char *key;
	json_t *v;

	if (indent > 32)
		return;
	json_object_foreach(o, key, v) {
		printf("%*s%s:", indent, "", key);
		value_print(v, indent);
	}
}

void app_cli_json(json_t *v)
{
	json_dumpf(v, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
	putchar('\n');
}

/* ---- problems ---- */
static const struct { long status; const char *hint; } hints[] = {
	{ 401, "Give the token with --token or POSTERN_TOKEN; the daemon keeps it in STATE/admin.token." },
	{ 403, "The user of this token may not do that: `posternctl config show users` tells roles and networks." },
	{ 404, "`list` of the same word tells what is there." },
	{ 409, "Take it out of those first." },
	{ 412, "Somebody was faster: look at `posternctl config diff`, then write again." },
	{ 422, "Nothing was changed. `--dry-run` checks without writing; postern.json(5) has every option." },
	{ 429, "Too many wrong tokens came from this address: wait a minute." },
	{ 503, "Try again in a moment; `posternctl status` tells the processes." },
	{ 507, "The disk of the state folder is full: the former revision stays in force." },
};

int app_cli_refused(long status, json_t *problem)
{
	const char *detail = json_string_value(json_object_get(problem, "detail"));
	json_t *e;
	size_t i;

	fprintf(stderr, "posternctl: refused with %ld: %s\n", status, detail ? detail : "no reason given");
	json_array_foreach(json_object_get(problem, "errors"), i, e) {
		const char *pointer = json_string_value(json_object_get(e, "pointer")), *message = json_string_value(json_object_get(e, "message"));

		fprintf(stderr, "  %s: %s\n", pointer && *pointer ? pointer : "/", message ? message : "?");
	}
	for (i = 0; i < ARRAY_LEN(hints); i++)
		if (hints[i].status == status && !(status == 409 && !json_object_get(problem, "users")))
			fprintf(stderr, "%s\n", hints[i].hint);
	return APP_CLI_REFUSED;
}
