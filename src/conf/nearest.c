/* SPDX-License-Identifier: Apache-2.0 */
/* What a misspelt word was meant to be: optimal string alignment distance (insert, delete, change, swap of neighbours). */
#include "conf/conf.h"

#define WORD_MOST 64

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t conf_distance(const char *a, const char *b)
{
	size_t row[3][WORD_MOST + 1], la = strlen(a), lb = strlen(b), i, j, d, most;

	if (la > WORD_MOST || lb > WORD_MOST)
		return SIZE_MAX;
	for (j = 0; j <= lb; j++)
		row[0][j] = j;
	for (i = 1; i <= la; i++) {
		size_t *now = row[i % 3], *up = row[(i + 2) % 3], *upup = row[(i + 1) % 3];

		now[0] = i;
		for (j = 1; j <= lb; j++) {
			d = least(least(now[j - 1], up[j]) + 1, up[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d = least(d, upup[j - 2] + 1);
			now[j] = d;
		}
	}
	d = row[la % 3][lb];
	most = (la > lb ? la : lb) / 3;
	most = most ? most : 1;
	if (d <= most)
		return d;
	/* `realm_id` for `realm`, `addr` for `address` */
	if (least(la, lb) >= 3 && !strncmp(a, b, least(la, lb)))
		return most + 1;
	return SIZE_MAX;
}

const char *conf_nearest_word(const char *const *words, const char *to)
{
	size_t best = SIZE_MAX, d;
	const char *ret = NULL;

	for (; *words; words++) {
		d = conf_distance(to, *words);
		if (d < best) {
			best = d;
			ret = *words;
		}
	}
	return ret;
}

const char *conf_nearest(const struct conf_row *rows, const char *key)
{
	size_t best = SIZE_MAX, d;
	const char *ret = NULL;

	for (; rows && rows->key; rows++) {
		d = conf_distance(key, rows->key);
		if (d < best) {
			best = d;
			ret = rows->key;
		}
	}
	return ret;
}
