/* SPDX-License-Identifier: Apache-2.0 */
/* rule, private: a sip-profile on its way, and what the files that carry it over share. */
#ifndef RULE_IMPORT_CUBE_H
#define RULE_IMPORT_CUBE_H

#include "rule/rule.h"

struct import {
	struct slice config;
	struct rule_out out, lost, rules, side[2], peer; /* rules: of the line at hand; side: of the profile at hand, responses and requests; peer: of the other side */
	unsigned nlost, line;
	struct slice profile;              /* number of the profile at hand, empty: none */
};
/** A line of a profile, in its parts. */
struct spec {
	bool request, sdp, number, peer;   /* peer: of the other side's message */
	struct slice who, method;          /* method, status, ANY, REINVITE; method of a response */
	struct slice header, verb, one, two; /* texts of the verb, without quotes */
};

/** Compare without case. */
bool rule_cube_is(struct slice s, const char *word);
bool rule_cube_starts(struct slice s, const char *with);
/** Tell that this line is lost, and why; false. */
bool rule_cube_lose(struct import *x, struct slice line, const char *why);
/** `when METHOD and MORE then `, or an indent alone. */
void rule_cube_when(struct rule_out *o, const struct spec *s, const char *more);
/** A text of Cisco's as a string of ours; with back-references and variables; false where it holds what we do not have. */
void rule_cube_quoted(struct rule_out *o, struct slice s);
bool rule_cube_replacement(struct rule_out *o, struct slice s);
/** `Name: value` where the header itself is written again, else the text. */
struct slice rule_cube_value(struct slice header, struct slice text);
/** Is the pattern `.*`, the whole value, whatever it is? */
bool rule_cube_everything(struct slice header, struct slice pattern);
/** Groups of an expression that capture. */
unsigned rule_cube_groups(struct slice s);
/** An expression over a part of a value. */
bool rule_cube_part(struct import *x, const struct spec *s, const char *field, struct slice line, struct slice from, struct slice to);
/* import_check.c */
/** Name of the policy of the profile at hand for `requests`, `responses` or `peer`: a profile that stands in the file twice has two. */
void rule_cube_policy_name(const struct import *x, const char *side, struct rule_out *ret);
/** Is what the line became a rule that we take ourselves? Odd names and expressions end here. */
bool rule_cube_loads(const struct import *x, bool request);
/* import_addr.c */
/** A line that modifies an address. */
bool rule_cube_addr(struct import *x, const struct spec *s, const char *field, struct slice line);

#endif
