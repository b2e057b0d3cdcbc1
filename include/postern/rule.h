/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rule: the policy language (postern.policy(5), design.md section 9). Text is parsed, checked and compiled into an immutable set;
 * a set is evaluated on any message that offers struct rule_msg_ops. No I/O, no clock, no Sofia: messages, includes and time are the caller's.
 */
#ifndef POSTERN_RULE_H
#define POSTERN_RULE_H

#include "postern/base.h"

struct conf_collection;
struct wire_addr;

struct rule_policy_conf { const char *id, *file; bool shadow; };
extern const struct conf_collection rule_schema_policies;

/* ---- errors: all of a file ---- */
struct rule_errors;
struct rule_error {
	const char *file;              /* as it was named by the caller or the include callback */
	unsigned line, col, len;       /* col counts bytes from 1; len: of what is wrong, at least 1 */
	char message[224];
	char hint[128];                /* what to write instead; empty if nothing is known */
	char text[240];                /* the line, cut; tabs are spaces */
	unsigned skipped;              /* bytes of the line before text */
};
/** @return empty list, base_unref frees it; NULL without memory */
struct rule_errors *rule_errors_new(void);
/** How many there are, in the order of the text. */
size_t rule_errors_count(const struct rule_errors *e);
/** The i-th, below the count; borrowed. */
const struct rule_error *rule_errors_get(const struct rule_errors *e, size_t i);
/** `file:line:col: message`, the line, a caret, the hint: lines that end in a newline. */
void rule_error_print(const struct rule_error *e, struct text *out);

/* ---- sets: one for each configuration id, compiled ---- */
struct rule_set;
struct rule_load {
	const char *file;              /* name for messages */
	bool shadow;                   /* evaluate by rule_chain_shadow alone */
	/** Text of an included file, borrowed until the next call; NULL callback: include is an error. ret_name: its name for messages, likewise. */
	int (*include)(void *arg, const char *from, struct slice name, struct slice *ret_text, struct slice *ret_name);
	/** Is there a trunk or realm of this name? NULL: every name is taken. */
	bool (*is_peer)(void *arg, struct slice name);
	void *arg;
};
/**
 * Parse, check and compile a file.
 * @param errs [inout] every error is added here
 * @param ret  [out]   new reference (base_unref); untouched on error
 * @return 0, ERR_CONFIG (errs says why), -ENOMEM
 */
int rule_set_load(struct slice text, const struct rule_load *how, struct rule_errors *errs, struct rule_set **ret);
/** The next file that a text includes; *rest moves behind it. False: no more. */
bool rule_include_next(struct slice *rest, struct slice *ret_name);
/** Canonical text, which parses to the same tree; includes stay includes. Grows with malloc; free() it; NULL without memory. */
char *rule_set_print(const struct rule_set *s);
/** The JSON twin of the tree, in the same way. */
char *rule_set_print_json(const struct rule_set *s);
/** What the checker says of cost: rules, expressions, values in sets. */
struct rule_cost { unsigned policies, rules, expressions, values; };
void rule_set_cost(const struct rule_set *s, struct rule_cost *ret);

/** A rule as it is counted and reported. */
struct rule_info {
	const char *policy;            /* name of its policy */
	const char *file; unsigned line;
	unsigned index;                /* within the policy, from 0 */
	const char *text;              /* canonical, one line */
	uint64_t hits;
	int64_t last_ms;               /* wall clock of the last hit, 0: never */
	bool shadow;
};
/** i-th rule of the set in file order, included files where they are named; false behind the last. Strings live as long as the set. */
bool rule_set_rule(const struct rule_set *s, size_t i, struct rule_info *ret);
/** i-th named counter of `count NAME`; false behind the last. */
bool rule_set_counter(const struct rule_set *s, size_t i, const char **ret_name, uint64_t *ret_value);
/** Take hits, last hits and counters of equal policies and rules over from the set that `s` replaces. */
void rule_set_inherit(struct rule_set *s, const struct rule_set *from);

/* ---- the board: what rules and counters in force have counted, and what policies in shadow would have done; in state memory, of one writer ---- */
struct rule_board;
size_t rule_board_bytes(void);
/** Writer: take up what is there, or format it. Borrows mem for its life; base_unref ends it. -ENOMEM, ERR_RANGE (too small). */
int rule_board_open(void *mem, size_t bytes, struct rule_board **ret);
struct rule_board_set { const char *id; struct rule_set *set; };
#define RULE_BUILTIN_ID "builtin"  /* of the board's rows of Postern's own defaults */
/**
 * From now on these sets count on the board, each rule and counter from where one of its id, policy and text stood; those bound before must be
 * let go first (rule_set_unbind). What finds no room counts on in its set, and is in no list.
 * @return 0, ERR_FULL (some found no room), -ENOMEM (all as it was)
 */
int rule_board_bind(struct rule_board *b, const struct rule_board_set *sets, size_t n);
/** The set counts by itself again. */
void rule_set_unbind(struct rule_set *s);
/** A policy in shadow would have changed this message, or answered it (verdict: what it said, else ""). Texts are cut where they are too long. */
void rule_board_shadow(struct rule_set *s, int64_t now_ms, struct slice before, struct slice after, const char *verdict);

/* Readers: any process that maps the memory. */
struct rule_board_row {
	char id[64], policy[64], text[232]; /* policy: its name; empty: a counter of `count`, whose name is text */
	unsigned line, index;
	bool shadow;
	uint64_t hits;
	int64_t last_ms;
};
/** The i-th row of the board; false behind the last. */
bool rule_board_get(const void *mem, size_t bytes, size_t i, struct rule_board_row *ret);
#define RULE_SHADOW_TEXT 8192
struct rule_shadow_item { int64_t time_ms; bool cut; char verdict[64], before[RULE_SHADOW_TEXT], after[RULE_SHADOW_TEXT]; };
/** The i-th newest message that the policy of this id would have changed: false behind the last. *ret_count: of all of them. ret may be NULL. */
bool rule_board_shadow_get(const void *mem, size_t bytes, const char *id, size_t i, uint64_t *ret_count, struct rule_shadow_item *ret);
/** Has it a policy of this name? */
bool rule_set_has_policy(const struct rule_set *s, const char *name);
/** Postern's own defaults, policies/builtin.policy as it was compiled in: text of the file. */
struct slice rule_builtin_text(void);

/* ---- messages ---- */
/*
 * What a message offers. Slices are borrowed until the next call of any of these on the same message; p NULL: absent.
 * Header names are long ones; comparing is without case. index counts header lines (or values, where the message keeps them apart) of one name from 0.
 * Edits return 0 or an error, after which the message is as it was; the engine counts it and goes on.
 */
struct rule_msg_ops {
	struct slice (*method)(void *m);                                     /* of the request, or of the CSeq */
	int (*status)(void *m);                                              /* 0: a request */
	struct slice (*phrase)(void *m);
	struct slice (*ruri)(void *m);                                       /* text of the Request-URI */
	struct slice (*header)(void *m, struct slice name, unsigned index);
	struct slice (*header_name)(void *m, unsigned i);                    /* of the i-th header of all */
	int (*addr)(void *m, struct slice name, struct wire_addr *ret);      /* first value parsed, or an error; NULL: header() is parsed */
	struct slice (*body)(void *m);
	int (*set_status)(void *m, int status, struct slice phrase);
	int (*set_ruri)(void *m, struct slice uri);
	int (*set_header)(void *m, struct slice name, unsigned index, struct slice value);
	int (*add_header)(void *m, struct slice name, struct slice value);   /* behind those of the name */
	int (*remove_header)(void *m, struct slice name, unsigned index);
	int (*set_body)(void *m, struct slice body);                         /* of the same Content-Type; Content-Length is the message's */
	/* the call */
	struct slice (*var)(void *m, struct slice name);
	int (*set_var)(void *m, struct slice name, struct slice value);      /* value.p NULL removes it */
	bool (*has_tag)(void *m, struct slice name);
	int (*add_tag)(void *m, struct slice name);
	void (*log)(void *m, const char *policy, struct slice text);
	uint64_t (*rate)(void *m, unsigned window_s);                        /* requests of the source address in the last 1 or 60 s */
};

enum rule_hook { RULE_RECEIVE, RULE_SEND };
enum rule_dialog { RULE_OUTSIDE, RULE_INITIAL, RULE_MID };
/** Where a message is, beside what it says itself. */
struct rule_at {
	enum rule_hook hook;
	enum rule_dialog dialog;       /* INITIAL: a request that forms a dialog, and its responses */
	struct slice trunk, realm;     /* of the leg at hand: `from`, `to` */
	struct slice src_trunk, src_realm, dst_trunk, dst_realm; /* empty: unknown */
	const union base_addr *src;    /* NULL: unknown */
	struct slice transport;        /* udp tcp tls ws wss */
	bool out;                      /* call.direction: a leg that we made */
	bool no_sdp;                   /* actions on SDP are not run: a description that is sent again */
	int64_t now_ms;                /* wall clock, for last hits */
};

enum rule_verdict { RULE_PASS, RULE_DROP, RULE_REJECT, RULE_REDIRECT, RULE_ROUTE };
/** What an evaluation did. */
struct rule_result {
	enum rule_verdict verdict;
	int status;                    /* RULE_REJECT */
	char text[512];                /* RULE_REJECT: reason phrase, may be empty; RULE_REDIRECT: URI; RULE_ROUTE: name of trunk or group */
	unsigned fired;                /* rules whose condition held */
	unsigned edits;                /* actions that changed the message */
	unsigned skipped;              /* actions that could not be applied */
	unsigned limits;               /* expressions that hit their limit */
	bool allow, supported, timer, sdp, identity; /* of what was edited: Allow, Supported, Session-Expires or Min-SE, the body, From or To */
};
/** Told of each rule that fires, in order. */
struct rule_watch { void (*fired)(void *arg, const struct rule_info *rule); void *arg; };

/* ---- chains: the sets of a leg in order ---- */
struct rule_chain;
/**
 * Line up sets (system's, realm's, trunk's) with the builtin one last, of which policies are left out whose name one of the others has.
 * @param sets    [in] n of them, referenced by the chain; a set that comes twice runs once, at its first place
 * @param builtin [in] referenced, or NULL
 * @return 0, -ENOMEM
 */
int rule_chain_new(struct rule_set *const *sets, size_t n, struct rule_set *builtin, struct rule_chain **ret);
/** Is there anything to run that is not in shadow, for requests or responses of that kind? Cheap; ask before anything is prepared. */
bool rule_chain_has(const struct rule_chain *c, enum rule_hook hook, bool request, enum rule_dialog dialog);
/**
 * Evaluate all policies that fit, in order, on a message; edits are made at once.
 * Allocates nothing as long as nothing is edited. Thread: one at a time for a chain's sets.
 * @param watch [in] NULL: nobody is told
 */
void rule_chain_run(const struct rule_chain *c, const struct rule_at *at, const struct rule_msg_ops *ops, void *m, const struct rule_watch *watch, struct rule_result *ret);
/** How many sets in shadow have something to run here. */
size_t rule_chain_shadows(const struct rule_chain *c, enum rule_hook hook, bool request);
/**
 * The same for the i-th of these, on a copy of the message that the caller made: variables, tags, counters and logs stay untouched.
 * ret->edits or a verdict: it would have changed something.
 * @return the set, borrowed; NULL: there is no such
 */
struct rule_set *rule_chain_shadow(const struct rule_chain *c, size_t i, const struct rule_at *at, const struct rule_msg_ops *ops, void *m, const struct rule_watch *watch, struct rule_result *ret);
/** Does any of its rules ask for src.rate? */
bool rule_chain_rates(const struct rule_chain *c);

/* ---- messages as text, for tools and tests ---- */
struct rule_text_msg;
extern const struct rule_msg_ops rule_text_ops;
/** Parse a whole SIP message; folded lines are joined, bare LF is taken. ERR_PROTO, -ENOMEM. free: rule_text_free. */
int rule_text_parse(struct slice text, struct rule_text_msg **ret);
void rule_text_free(struct rule_text_msg *m);
/** As text, with the Content-Length of its body. free() it; NULL without memory. */
char *rule_text_print(const struct rule_text_msg *m);
/** A line-wise diff: `-` and `+` lines, nothing where they are equal. free() it; NULL without memory. */
char *rule_text_diff(const char *before, const char *after);
/** Call variables and tags that rules set, `name=value` and `name` lines; borrowed. */
const char *rule_text_notes(const struct rule_text_msg *m);
/** What src.rate answers. */
void rule_text_set_rate(struct rule_text_msg *m, uint64_t requests);
/** Is it a request; of which dialog state by its To tag? */
bool rule_text_is_request(const struct rule_text_msg *m);
enum rule_dialog rule_text_dialog(const struct rule_text_msg *m);

/* ---- tables and tools ---- */
/** Fields and actions as the man page has them (troff), or as plain columns. free() it; NULL without memory. */
char *rule_reference(bool troff);
/**
 * `voice class sip-profiles` of a Cisco running-config as policies: each with its original line as a comment, and what could not be carried over.
 * @param ret_lost [out] number of lines that were not carried over
 * @return text to free(), or NULL without memory
 */
char *rule_import_cube(struct slice config, unsigned *ret_lost);

#endif
