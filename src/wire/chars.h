/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire's own: classes of characters, without locale (RFC 5234 appendix B.1), and trimming.
 */
#ifndef WIRE_CHARS_H
#define WIRE_CHARS_H

#include "postern/base.h"

static inline bool wire_is_digit(char c) { return c >= '0' && c <= '9'; }
static inline bool wire_is_alnum(char c) { return wire_is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
static inline bool wire_is_hex(char c) { return wire_is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
static inline char wire_lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c; }
/** Blank, or a line end inside a folded header. */
static inline bool wire_is_white(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/** Without white space at both ends; p stays inside the text. */
static inline struct slice wire_trim(struct slice s)
{
	while (s.n && wire_is_white(s.p[0])) {
		s.p++;
		s.n--;
	}
	while (s.n && wire_is_white(s.p[s.n - 1]))
		s.n--;
	return s;
}

#endif
