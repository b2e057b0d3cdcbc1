/* SPDX-License-Identifier: Apache-2.0 */
/* Which files a text includes, for those who fetch them before it is parsed. What is odd there the parser tells. */
#include "rule/rule.h"

static struct slice line_take(struct slice *rest)
{
	const char *end = memchr(rest->p, '\n', rest->n);
	struct slice line = { rest->p, end ? (size_t)(end - rest->p) : rest->n };
	size_t n = line.n + (end != NULL);

	*rest = (struct slice){ rest->p + n, rest->n - n };
	return line;
}

static struct slice skip_white(struct slice s)
{
	while (s.n && (*s.p == ' ' || *s.p == '\t'))
		s = (struct slice){ s.p + 1, s.n - 1 };
	return s;
}

bool rule_include_next(struct slice *rest, struct slice *ret_name)
{
	static const struct slice word = { "include", 7 };

	while (rest->n) {
		struct slice s = skip_white(line_take(rest));
		const char *end;

		if (s.n <= word.n || memcmp(s.p, word.p, word.n))
			continue;
		s = skip_white((struct slice){ s.p + word.n, s.n - word.n });
		if (s.n < 2 || *s.p != '"' || !(end = memchr(s.p + 1, '"', s.n - 1)))
			continue;
		*ret_name = (struct slice){ s.p + 1, (size_t)(end - s.p - 1) };
		if (ret_name->n)
			return true;
	}
	return false;
}
