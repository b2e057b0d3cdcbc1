/* SPDX-License-Identifier: Apache-2.0 */
/* A line-wise diff of two small texts: what a policy did to a message. */
#include <stdlib.h>

#include "rule/rule.h"

#define LINES 600

static unsigned split(const char *s, struct slice *ret)
{
	unsigned n = 0;
	const char *nl;

	for (; *s && n < LINES; s = nl + 1) {
		nl = strchr(s, '\n');
		ret[n] = (struct slice){ s, nl ? (size_t)(nl - s) : strlen(s) };
		if (ret[n].n && ret[n].p[ret[n].n - 1] == '\r')
			ret[n].n--;
		n++;
		if (!nl)
			break;
	}
	return n;
}

static void say(struct rule_out *o, char sign, struct slice line)
{
	rule_out_add(o, "%c ", sign);
	rule_out_slice(o, line);
	rule_out_slice(o, SLICE("\n"));
}

/** Longest common lines behind each pair of places. */
static void fill(unsigned short *t, const struct slice *a, unsigned na, const struct slice *b, unsigned nb)
{
	for (unsigned i = na; i-- > 0;) {
		for (unsigned k = nb; k-- > 0;) {
			unsigned short *at = &t[i * (LINES + 1) + k];

			if (slice_eq(a[i], b[k]))
				*at = (unsigned short)(at[LINES + 2] + 1);
			else
				*at = at[LINES + 1] > at[1] ? at[LINES + 1] : at[1];
		}
	}
}

char *rule_text_diff(const char *before, const char *after)
{
	struct slice *a = calloc(2 * LINES, sizeof *a), *b = a ? a + LINES : NULL;
	unsigned short *t = calloc((size_t)(LINES + 1) * (LINES + 1), sizeof *t);
	struct rule_out o = { 0 };
	unsigned na, nb, i = 0, k = 0;

	if (a && t) {
		na = split(before, a);
		nb = split(after, b);
		fill(t, a, na, b, nb);
		while (i < na || k < nb) {
			if (i < na && k < nb && slice_eq(a[i], b[k])) {
				i++;
				k++;
			} else if (i < na && (k == nb || t[(i + 1) * (LINES + 1) + k] >= t[i * (LINES + 1) + k + 1])) {
				say(&o, '-', a[i++]);
			} else {
				say(&o, '+', b[k++]);
			}
		}
	}
	o.failed = o.failed || !a || !t;
	free(a);
	free(t);
	return rule_out_take(&o);
}
