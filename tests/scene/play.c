/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plays scenes: `play FILE...`, without arguments all of tests/scene. What a line can say:
 *
 *   with , "no_answer": 2       further keys of trunk b (before anything else)
 *   with-a , ... | doc , ...    of trunk a, of the document
 *   targets 2                   trunk b has two, B and C (before anything else)
 *   A INVITE 2001 sdp           A calls 2001; without `sdp` no body
 *   A REINVITE sdp | A BYE | A CANCEL | A ACK
 *   B < INVITE | A < 180        the next message that the party gets
 *   B within 30 OPTIONS         the same, after at most that many seconds, during which time goes on
 *   B > 200 [INVITE] [sdp]      the party answers its last request, or its last INVITE
 *   A none | A skip             nothing has come; whatever has come is passed over
 *   A says Supported: timer | Session-Expires: 90     headers of all that it sends from now on; nothing: none
 *   A hold sendonly             direction of its descriptions from now on; nothing: none is said
 *   A fax                       its descriptions are of T.38 from now on
 *   A repeats                   the message that it got last has the same body as the one with a body before
 *   A has Min-SE: 90 | A lacks Min-SE | A shows a=sendonly | A hides a=sendonly
 *                               of the message that it got last: header and value, no such header, a line of its body, no such line
 *   A again                     its last request once more
 *   after 31.5                  time goes on by that many seconds
 *   calls 0                     so many calls are there
 *   target 0 down               state of a target of trunk b
 *   restart                     the engine dies, a new one takes over its memory
 *   # text                      a remark; the first one names the scene
 */
#define _GNU_SOURCE
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "postern/sipua.h"
#include "scene/rig.h"

struct scene { struct rig *rig; const char *file; int line; struct rig_options options; };

static bool no(struct scene *s, const char *want, const char *got)
{
	fprintf(stderr, "%s:%d: expected %s, got %.*s\n", s->file, s->line, want, (int)strcspn(got, "\r\n"), got);
	return false;
}

static bool expect(struct scene *s, struct party *p, const char *what)
{
	const char *at;

	if (!rig_wait(s->rig, p) || !party_read(p))
		return no(s, what, "nothing");
	at = strncmp(p->last, "SIP/2.0 ", 8) ? p->last : p->last + 8;
	return strncmp(at, what, strlen(what)) == 0 && at[strlen(what)] == ' ' ? true : no(s, what, p->last);
}

static bool reply(struct party *p, char **save)
{
	const char *status = strtok_r(NULL, " ", save), *word;
	bool sdp = false, invite = !p->request[0];

	while ((word = strtok_r(NULL, " ", save))) {
		sdp |= !strcmp(word, "sdp");
		invite |= !strcmp(word, "INVITE");
	}
	party_reply(p, invite ? p->invite : p->request, (int)strtol(status ? status : "200", NULL, 10), sdp);
	if (!invite)
		p->request[0] = 0;
	return true;
}

static bool request(struct party *p, const char *method, char **save)
{
	const char *word;
	bool sdp = false, again = !strcmp(method, "REINVITE");

	while ((word = strtok_r(NULL, " ", save))) {
		if (!strcmp(word, "sdp"))
			sdp = true;
		else
			snprintf(p->number, sizeof(p->number), "%s", word);
	}
	party_request(p, again ? "INVITE" : method, sdp);
	return true;
}

/** Time goes on in small steps until the party has something. */
static bool within(struct scene *s, struct party *p, char **save)
{
	const char *seconds = strtok_r(NULL, " ", save), *what = strtok_r(NULL, " ", save);
	long ms = seconds ? (long)(strtod(seconds, NULL) * 1000) : 0;

	for (; what && ms > 0 && !rig_has(p); ms -= 50)
		rig_advance(s->rig, 50);
	return what && expect(s, p, what);
}

/* What a party says from now on: headers, with | between them. */
static void says(struct party *p, const char *rest)
{
	size_t n = 0;

	p->says[0] = 0;
	while (*(rest += strspn(rest, " |"))) {
		size_t len = strcspn(rest, "|"), end = len;

		while (end && rest[end - 1] == ' ')
			end--;
		n += (size_t)snprintf(p->says + n, sizeof(p->says) - n, "%.*s\r\n", (int)end, rest);
		rest += len;
	}
}

static bool has(struct scene *s, const struct party *p, const char *rest)
{
	char name[64];
	const char *value = strchr(rest, ':'), *got;

	snprintf(name, sizeof(name), "%.*s", value ? (int)(value - rest) : 0, rest);
	got = text_header(p->last, name);
	return value && !strcmp(got, value + 1 + strspn(value + 1, " ")) ? true : no(s, rest, got);
}

static bool shows(struct scene *s, const struct party *p, const char *what, bool want)
{
	char line[256];

	snprintf(line, sizeof(line), "\n%s\r\n", what);
	return !strstr(p->last, line) != want ? true : no(s, what, strstr(p->last, "\r\n\r\n") ? strstr(p->last, "\r\n\r\n") : "no body");
}

/* What needs no time, and takes the whole line. False: it is none of these. */
static bool look(struct scene *s, struct party *p, const char *word, const char *rest, bool *ret)
{
	*ret = true;
	if (!strcmp(word, "says"))
		says(p, rest);
	else if (!strcmp(word, "hold"))
		snprintf(p->dir, sizeof(p->dir), "%s", rest);
	else if (!strcmp(word, "fax"))
		p->fax = true;
	else if (!strcmp(word, "repeats"))
		*ret = *p->shown && !strcmp(p->shown, p->before) ? true : no(s, "the same description", p->last);
	else if (!strcmp(word, "again"))
		party_again(p);
	else if (!strcmp(word, "has"))
		*ret = has(s, p, rest);
	else if (!strcmp(word, "lacks"))
		*ret = *text_header(p->last, rest) ? no(s, "no such header", text_header(p->last, rest)) : true;
	else if (!strcmp(word, "shows") || !strcmp(word, "hides"))
		*ret = shows(s, p, rest, !strcmp(word, "shows"));
	else
		return false;
	return true;
}

static bool act(struct scene *s, struct party *p, char **save)
{
	bool ok;

	const char *word = strtok_r(NULL, " ", save);

	if (!word)
		return no(s, "an action", "none");
	if (look(s, p, word, *save ? *save : "", &ok))
		return ok;
	if (!strcmp(word, "<")) {
		word = strtok_r(NULL, " ", save);
		return word && expect(s, p, word);
	}
	if (!strcmp(word, "within"))
		return within(s, p, save);
	if (!strcmp(word, ">"))
		return reply(p, save);
	rig_advance(s->rig, 1);
	if (!strcmp(word, "none"))
		return party_read(p) ? no(s, "nothing", p->last) : true;
	if (!strcmp(word, "skip")) {
		while (party_read(p))
			;
		return true;
	}
	return request(p, word, save);
}

/* Settling of single words that need the stage but no party. */
static bool direct(struct scene *s, const char *word, const char *rest)
{
	if (!strcmp(word, "after"))
		rig_advance(s->rig, (int64_t)(strtod(rest, NULL) * 1000));
	else if (!strcmp(word, "calls"))
		return rig_calls(s->rig) == strtoul(rest, NULL, 10) ? true : no(s, rest, "another number of calls");
	else if (!strcmp(word, "target"))
		return !strcmp(rig_target(s->rig, (unsigned)strtoul(rest, NULL, 10)), rest + strcspn(rest, " ") + 1) ? true : no(s, rest, rig_target(s->rig, (unsigned)strtoul(rest, NULL, 10)));
	else if (!strcmp(word, "restart"))
		return rig_restart(s->rig) ? true : no(s, "an engine", "none");
	else
		return no(s, "a word that is known", word);
	return true;
}

static bool option(const char *line, const char *word, char *to, size_t size)
{
	size_t n = strlen(word);

	if (strncmp(line, word, n) != 0)
		return false;
	snprintf(to, size, "%s", line + n);
	return true;
}

static bool play_line(struct scene *s, char *line)
{
	char *save = NULL, *word;

	line[strcspn(line, "\r\n")] = 0;
	if (!line[0] || line[0] == '#')
		return true;
	if (option(line, "with ", s->options.b, sizeof(s->options.b)) || option(line, "with-a ", s->options.a, sizeof(s->options.a)) ||
		option(line, "doc ", s->options.doc, sizeof(s->options.doc)))
		return true;
	if (!strncmp(line, "targets ", 8)) {
		s->options.targets = (unsigned)strtoul(line + 8, NULL, 10);
		return true;
	}
	if (!s->rig)
		s->rig = rig_new(&s->options);
	if (!s->rig)
		return false;
	word = strtok_r(line, " ", &save);
	if (!word[1] && rig_party(s->rig, word[0]))
		return act(s, rig_party(s->rig, word[0]), &save);
	return direct(s, word, save ? save : "");
}

static bool play(const char *file)
{
	struct scene s = { .file = file };
	char line[512];
	bool ok = true;
	size_t live = base_live();
	FILE *f = fopen(file, "r");

	if (!f) {
		perror(file);
		return false;
	}
	while (ok && fgets(line, sizeof(line), f)) {
		s.line++;
		ok = play_line(&s, line);
	}
	fclose(f);
	if (s.rig)
		rig_free(s.rig);
	if (ok && base_live() != live)
		ok = no(&s, "no object left", "objects left behind");
	printf("%s %s\n", ok ? "ok  " : "FAIL", file);
	return ok;
}

int main(int argc, char **argv)
{
	char why[256];
	glob_t g = { 0 };
	int failed = 0;

	if (sipua_guard_selftest(why)) {
		fprintf(stderr, "scene: %s\n", why);
		return 1;
	}
	if (argc < 2 && glob(SCENES "/*.scene", 0, NULL, &g)) {
		fprintf(stderr, "scene: no scenes in %s\n", SCENES);
		return 1;
	}
	for (int i = 1; i < argc; i++)
		failed += !play(argv[i]);
	for (size_t i = 0; i < g.gl_pathc; i++)
		failed += !play(g.gl_pathv[i]);
	globfree(&g);
	return failed != 0;
}
