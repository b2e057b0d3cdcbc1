/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of a call as a ladder for people: the caller's side, Postern, the side that was called; then each message in full, by its number.
 */
#include "config.h"
#include <stdio.h>
#include <stdlib.h>

#include "ctl/ctl.h"
#include "ctl/messages.h"

#define WIDTH 34               /* characters between two rails */

/** What a line says of a message: its method or status, and whether it describes media. */
static struct slice label(const struct ctl_message *m, char buf[static WIDTH])
{
	struct slice l = ctl_message_start(m->bytes);
	struct text t = text_on(buf, WIDTH - 8);
	const char *space = l.n ? memchr(l.p, ' ', l.n) : NULL;
	bool response = l.n > 8 && !memcmp(l.p, "SIP/2.0 ", 8);
	struct slice what = response ? (struct slice){ l.p + 8, l.n - 8 } : (struct slice){ l.p, space ? (size_t)(space - l.p) : l.n };

	for (size_t i = 0; i < what.n; i++)
		text_add(&t, "%c", what.p[i] >= ' ' && what.p[i] <= '~' ? what.p[i] : '?');
	t.cut = false;
	t.size = WIDTH;
	if (m->bytes.n > 4 && memmem(m->bytes.p, m->bytes.n, "\nm=", 3))
		text_add(&t, " (SDP)");
	return text_get(&t);
}

/* As people may see it: a terminal obeys control characters, and a zero would end the text. */
static void plain(FILE *out, struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		bool ends = c == '\r' && i + 1 < s.n && s.p[i + 1] == '\n';

		fputc(c == '\n' || c == '\t' || ends || (c >= 0x20 && c != 0x7f) ? c : '?', out);
	}
}

/** One arrow, WIDTH wide, or longer where the text is. */
static void arrow(FILE *out, struct slice text, bool right)
{
	size_t dashes = text.n < WIDTH - 4 ? WIDTH - 4 - text.n : 0;

	fputs(right ? " " : "<", out);
	for (size_t i = 0; i < dashes / 2; i++)
		fputc('-', out);
	fprintf(out, " %.*s ", (int)text.n, text.p);
	for (size_t i = 0; i < dashes - dashes / 2; i++)
		fputc('-', out);
	fputs(right ? ">" : " ", out);
}

static void line(FILE *out, size_t number, const struct ctl_message *m)
{
	char buf[WIDTH], time[32], peer[56];
	bool to_right = m->leg ? ctl_message_is_out(m) : !ctl_message_is_out(m);
	struct slice text = label(m, buf);

	base_time_rfc3339(m->head.time_us / 1000, time);
	fprintf(out, "%4zu  %.12s%03d  |", number, time + 11, (int)(m->head.time_us % 1000));
	if (m->leg)
		fprintf(out, "%*s|", WIDTH, "");
	arrow(out, text, to_right);
	fputc('|', out);
	if (!m->leg)
		fprintf(out, "%*s|", WIDTH, "");
	fprintf(out, "  %s\n", base_addr_print(&m->head.peer, peer));
}

char *ctl_messages_ladder(const struct ctl_message_list *l, const struct ctl_dialogs *d)
{
	char *text = NULL, time[32];
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);

	if (!out)
		return NULL;
	fprintf(out, "%s\n", base_time_rfc3339(d->start_ms, time));
	if (l->overwritten)
		fputs("The ring does not hold all messages of this call any more: what came before is missing.\n", out);
	fprintf(out, "%*s%-*s%-*scalled\n", 22, "", WIDTH - 2, "caller", WIDTH, "postern");
	for (size_t i = 0; i < l->n; i++)
		line(out, i + 1, &l->v[i]);
	for (size_t i = 0; i < l->n; i++) {
		fprintf(out, "\n---- %zu ----\n", i + 1);
		plain(out, l->v[i].bytes);
	}
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}
