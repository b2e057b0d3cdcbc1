/* SPDX-License-Identifier: Apache-2.0 */
/* rule, private: tokens, tree, tables and what the files of the folder offer each other. */
#ifndef RULE_RULE_H
#define RULE_RULE_H

#include <errno.h>

#include "postern/rule.h"
#include "postern/wire.h"

struct pcre2_real_code_8;

/* ---- memory of a set: one arena, freed at once ---- */
struct rule_arena { struct rule_chunk *first; bool failed; };
void *rule_arena_alloc(struct rule_arena *a, size_t n);              /* zeroed; NULL: failed is set */
struct slice rule_arena_copy(struct rule_arena *a, struct slice s);  /* terminated */
void rule_arena_free(struct rule_arena *a);
/** Text that grows with malloc. */
struct rule_out { char *p; size_t n, cap; bool failed; };
void rule_out_slice(struct rule_out *o, struct slice s);
void rule_out_add(struct rule_out *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *rule_out_take(struct rule_out *o);                             /* terminated, to free(); NULL where memory was short */
void rule_out_free(struct rule_out *o);

/* ---- where something stands ---- */
struct rule_source { const char *name; struct slice text; struct rule_source *next; };
struct rule_pos { const struct rule_source *src; unsigned line, col, len; };
void rule_error_add(struct rule_errors *e, struct rule_pos at, const char *hint, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/** Nearest of the words, NULL where none is near. words: NULL-terminated. */
const char *rule_nearest(const char *const *words, struct slice to);

/* ---- tokens ---- */
enum rule_tok {
	RULE_T_END, RULE_T_NL, RULE_T_WORD, RULE_T_NUMBER, RULE_T_RATE, RULE_T_STRING, RULE_T_SETNAME, RULE_T_MAPNAME,
	RULE_T_OPEN, RULE_T_CLOSE, RULE_T_LPAREN, RULE_T_RPAREN, RULE_T_LBRACK, RULE_T_RBRACK, RULE_T_COMMA, RULE_T_DOT, RULE_T_ARROW,
	RULE_T_EQ, RULE_T_NE, RULE_T_LT, RULE_T_GT, RULE_T_MATCH, RULE_T_BAD
};
struct rule_token {
	enum rule_tok kind;
	struct slice text;             /* as it stands; of a string: without quotes and escapes; of names: without @ and % */
	int64_t num;
	unsigned per_s;                /* rate: 1 or 60 */
	struct rule_pos pos;
};
struct rule_lex {
	struct rule_arena *mem; struct rule_errors *errs; const struct rule_source *src;
	const char *p, *end, *line_start;
	unsigned line, col0;           /* col0: added to columns, of text within a line */
	bool joined;                   /* the line goes on */
};
/** Bytes of the mark that some editors put before every text. */
size_t rule_lex_bom(struct slice text);
void rule_lex_start(struct rule_lex *l, struct rule_arena *mem, struct rule_errors *errs, const struct rule_source *src);
void rule_lex_next(struct rule_lex *l, struct rule_token *ret);

/* ---- tables ---- */
enum rule_type { RULE_STRING, RULE_TOKEN, RULE_INT, RULE_RATE, RULE_IP, RULE_NAME, RULE_ADDR, RULE_LIST, RULE_FLAG };
enum rule_kind {
	RULE_K_METHOD, RULE_K_STATUS, RULE_K_PHRASE, RULE_K_ADDR, RULE_K_LIST, RULE_K_NUMBER, RULE_K_PARAM, RULE_K_REASON_PROTOCOL, RULE_K_REASON,
	RULE_K_PLAIN, RULE_K_HEADER, RULE_K_NAMES, RULE_K_BODY_TYPE, RULE_K_BODY_SIZE, RULE_K_SDP, RULE_K_CODECS, RULE_K_PTIME, RULE_K_BANDWIDTH,
	RULE_K_DIRECTION, RULE_K_PORT, RULE_K_ATTRIBUTE, RULE_K_SRC_IP, RULE_K_SRC_PORT, RULE_K_AT, RULE_K_RATE, RULE_K_VAR, RULE_K_TAG
};
enum rule_part { RULE_WHOLE, RULE_DISPLAY, RULE_SCHEME, RULE_USER, RULE_HOST, RULE_URI_PORT, RULE_PARAMS, RULE_HEADERS };
enum rule_field_flag {
	RULE_WRITE = 1,        /* set, default */
	RULE_REMOVE = 2,
	RULE_ADD = 4,
	RULE_KEEP = 8,
	RULE_SUB = 16,         /* a name in brackets is needed */
	RULE_MEMBER = 32,      /* a name in brackets names one member */
	RULE_REQUEST = 64,     /* in requests alone */
	RULE_RESPONSE = 128,   /* in responses alone */
	RULE_HAS = 256,        /* has alone */
	RULE_SDP_EDIT = 512    /* writes the body */
};
struct rule_field {
	const char *name;
	enum rule_type type;
	enum rule_kind kind;
	const char *header;    /* long name of the header, or of what is looked up: media kind, key of rule_at */
	const char *param;     /* RULE_K_PARAM, RULE_K_REASON: its parameter */
	unsigned flags;
	const char *rfc, *doc;
};
extern const struct rule_field rule_fields[];
extern const size_t rule_fields_count;
struct rule_part_row { const char *name; enum rule_part part; enum rule_type type; unsigned flags; const char *doc; };
extern const struct rule_part_row rule_parts[];
extern const size_t rule_parts_count;
enum rule_verb {
	RULE_A_SET, RULE_A_ADD, RULE_A_DEFAULT, RULE_A_REMOVE, RULE_A_KEEP, RULE_A_ACCEPT, RULE_A_DROP, RULE_A_REJECT, RULE_A_REDIRECT, RULE_A_ROUTE,
	RULE_A_LOG, RULE_A_TAG, RULE_A_COUNT
};
enum rule_operand { RULE_O_NONE, RULE_O_PATH_VALUE, RULE_O_PATH, RULE_O_PATH_LIST, RULE_O_STATUS, RULE_O_VALUE, RULE_O_NAME, RULE_O_STRING };
struct rule_action_row { const char *name; enum rule_verb verb; enum rule_operand operand; unsigned need; bool verdict; const char *syntax, *doc; };
extern const struct rule_action_row rule_actions[];
extern const size_t rule_actions_count;
extern const char *const rule_set_types[];        /* of enum rule_elem, NULL-terminated */
/** Long name of a header, also given its compact form. */
struct slice rule_header_long(struct slice name);
/** May policies write header["name"]? Else why not, and what to write instead (either may be NULL). */
bool rule_header_writable(struct slice name, const char **ret_why, const char **ret_field);
/** Headers that globs and `keep header` leave alone. */
bool rule_header_guarded(struct slice name);
/** Attributes of SDP that are Postern's own. */
bool rule_attribute_writable(struct slice name);
const char *rule_phrase_of(int status);
/** What RULE_TYPE is called in messages. */
const char *rule_type_name(enum rule_type t);

/* ---- the tree ---- */
struct rule_path {
	struct rule_pos pos;
	const struct rule_field *field;
	const struct rule_part_row *part;  /* of an address; never NULL there */
	struct slice sub;                  /* name in brackets, p NULL: none */
	enum rule_type type;
	unsigned flags;
};
struct rule_piece { enum { RULE_P_TEXT, RULE_P_PATH, RULE_P_CAPTURE } kind; struct slice text; struct rule_path *path; unsigned capture; struct rule_piece *next; };
enum rule_elem { RULE_E_PEER, RULE_E_IP, RULE_E_GLOB, RULE_E_REGEX, RULE_E_INT, RULE_E_STRING };
struct rule_value {
	enum { RULE_V_TEXT, RULE_V_WORD, RULE_V_NUMBER, RULE_V_RATE, RULE_V_SET, RULE_V_MAP, RULE_V_LIST } kind;
	struct rule_pos pos;
	struct slice text;                 /* text, word; name of set or map */
	int64_t num; unsigned per_s;
	struct rule_piece *pieces;         /* text with ${} or $1; NULL: plain */
	struct rule_table *table;          /* set, map; list after `in` */
	struct rule_path *key;             /* map */
	struct rule_value *items, *next;   /* list */
	struct pcre2_real_code_8 *re;      /* element of a set of regex */
	union base_addr net; unsigned bits;/* element of a set of ip */
	struct rule_value *result;         /* element of a map */
};
/** A set or map, compiled: elements sorted where they can be. */
struct rule_table {
	struct slice name; bool map; enum rule_elem elem; struct rule_pos pos;
	struct rule_value *items;          /* as written */
	struct rule_value **sorted; size_t n;
	bool numeric;                      /* every result of a map is a number */
	bool shared;                       /* from an included file */
};
enum rule_cond_kind { RULE_C_AND, RULE_C_OR, RULE_C_NOT, RULE_C_HAS, RULE_C_CMP };
struct rule_cond {
	enum rule_cond_kind kind;
	struct rule_pos pos;
	struct rule_cond *first, *next;    /* and, or, not: terms */
	struct rule_path *path;
	enum rule_tok op; bool in;         /* in: op is not used */
	struct rule_value *value;
	struct pcre2_real_code_8 *re;
	unsigned captures;
};
struct rule_action {
	const struct rule_action_row *row;
	struct rule_pos pos;
	struct rule_path *path;
	struct rule_value *value;          /* also the reason of reject */
	int status;
	struct slice name;
	struct rule_counter *counter;
	struct rule_action *next;
};
struct rule_tally { uint64_t hits; int64_t last_ms; };
struct rule_rule {
	struct rule_pos pos;
	struct rule_cond *cond;            /* NULL: always */
	struct rule_action *actions;
	struct rule_policy *policy;
	unsigned index;
	const char *text;
	struct rule_tally own, *tally;     /* the only part of a set that changes: its own, or a row of the board */
	struct rule_rule *next;
};
enum { RULE_REQUESTS = 1, RULE_RESPONSES = 2 };
struct rule_policy {
	struct slice name; struct rule_pos pos;
	enum rule_hook hook; unsigned kinds;
	bool peered;                       /* from or to is given */
	struct slice peer; struct rule_table *peers;
	struct rule_rule *rules;
	bool shadow, shared;
	bool not_mid;                      /* no message of a dialog can fire one of its rules */
	struct rule_set *set;
	struct rule_policy *next_all;
};
struct rule_item { enum { RULE_I_INCLUDE, RULE_I_TABLE, RULE_I_POLICY } kind; struct slice include; struct rule_table *table; struct rule_policy *policy; bool shared; struct rule_item *next; };
struct rule_counter { struct slice name; struct rule_tally own, *tally; struct rule_counter *next; };
struct rule_shadow;
struct rule_set {
	struct rule_arena mem;
	struct rule_source *sources;
	struct rule_item *items, **items_end;
	struct rule_policy *policies, **policies_end; /* in the order of evaluation */
	struct rule_counter *counters, **counters_end;
	struct rule_re *regexes;           /* to free */
	struct rule_cost cost;
	struct rule_shadow *log;           /* on the board, where it is in shadow and found room */
	bool shadow, rates;                /* rates: a rule asks for src.rate */
};

/* ---- parsing ---- */
struct rule_parser {
	struct rule_set *set;
	const struct rule_load *how;
	struct rule_errors *errs;
	struct rule_lex lex;
	struct rule_token t;
	unsigned depth;                    /* of includes */
	unsigned nest;                     /* of conditions */
	const struct rule_policy *policy;
	bool bad;                          /* the rule or declaration at hand has an error */
};
void rule_parse_file(struct rule_parser *p);
bool rule_is_name(struct slice s);
/* parse_value.c */
struct rule_value *rule_parse_value(struct rule_parser *p);
struct rule_value *rule_parse_list(struct rule_parser *p);
struct rule_path *rule_parse_path(struct rule_parser *p);
void rule_parse_pieces(struct rule_parser *p, struct rule_value *v);
struct rule_table *rule_table_find(struct rule_parser *p, bool map, struct slice name);
/* parse.c, for parse_value.c and parse_rule.c */
void rule_next(struct rule_parser *p);
bool rule_word(const struct rule_parser *p, const char *w);
bool rule_expect(struct rule_parser *p, enum rule_tok kind, const char *what);
void rule_fail(struct rule_parser *p, struct rule_pos at, const char *hint, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void *rule_new(struct rule_parser *p, size_t n);
const char *rule_tok_name(const struct rule_token *t);
/* parse_rule.c */
struct rule_rule *rule_parse_rule(struct rule_parser *p);
/* table.c: compiling sets, maps and expressions */
void rule_table_compile(struct rule_parser *p, struct rule_table *t);
struct pcre2_real_code_8 *rule_regex(struct rule_parser *p, struct slice pattern, struct rule_pos at, unsigned *ret_captures);
void rule_regex_free(struct rule_set *s);
/* check.c */
void rule_check_rule(struct rule_parser *p, struct rule_rule *r);

/* ---- printing ---- */
void rule_print_path(struct rule_out *o, const struct rule_path *p);
void rule_print_rule(struct rule_out *o, const struct rule_rule *r);
void rule_print_string(struct rule_out *o, struct slice s);

/* ---- evaluation ---- */
struct rule_eval {
	const struct rule_at *at;
	const struct rule_msg_ops *ops;
	void *m;
	struct rule_result *res;
	const struct rule_policy *policy;
	bool request, shadow;
	bool captured;                     /* capture[] is of the rule at hand */
	struct slice capture[10];
	struct wire_sdp *sdp; const char *sdp_of; size_t sdp_n; int sdp_err; /* parsed body, of which text */
};
/** One value of a field: text, or a number where is_num. */
struct rule_got { bool there, is_num; struct slice s; int64_t num; };
/** The index-th value of a field; there is false behind the last. */
struct rule_got rule_get(struct rule_eval *e, const struct rule_path *p, unsigned index);
bool rule_test(struct rule_eval *e, const struct rule_cond *c);
bool rule_has(struct rule_eval *e, const struct rule_path *p);
/** Find a value in a set or map; NULL. nocase: of tokens. */
const struct rule_value *rule_table_lookup(struct rule_eval *e, const struct rule_table *t, const struct rule_got *g, bool nocase);
bool rule_glob(struct slice pattern, struct slice s, bool nocase);
/* captures: keep what its parentheses matched */
int rule_match(struct pcre2_real_code_8 *re, struct slice s, struct rule_eval *e, bool captures);
/** Text of a value with its pieces filled in; false: a map has no such key, or it does not fit. Result in out or borrowed. */
bool rule_expand(struct rule_eval *e, const struct rule_value *v, struct rule_out *tmp, struct slice *ret);
/* act.c: 1 changed, 0 nothing to change, negative: cannot be applied */
int rule_act(struct rule_eval *e, const struct rule_action *a);
/* addr.c */
struct rule_got rule_addr_get(struct rule_eval *e, const struct rule_path *p, unsigned index);
int rule_addr_set(struct rule_eval *e, const struct rule_path *p, struct slice value); /* value.p NULL: remove that part */
bool rule_addr_fits(const struct rule_path *p, struct slice value); /* could it ever be written there? */
/* list.c */
struct slice rule_list_member(struct slice list, char sep, unsigned index);
struct rule_got rule_list_get(struct rule_eval *e, const struct rule_path *p, unsigned index);
bool rule_list_has(struct rule_eval *e, const struct rule_path *p); /* the member in brackets, a name or glob */
int rule_list_add(struct rule_eval *e, const struct rule_path *p, struct slice member);
int rule_list_remove(struct rule_eval *e, const struct rule_path *p);
int rule_list_keep(struct rule_eval *e, const struct rule_path *p, const struct rule_value *list);
/* sdp.c */
struct rule_got rule_sdp_get(struct rule_eval *e, const struct rule_path *p, unsigned index);
int rule_sdp_set(struct rule_eval *e, const struct rule_path *p, struct slice value, bool add); /* value.p NULL: remove */
int rule_sdp_keep(struct rule_eval *e, const struct rule_path *p, const struct rule_value *list, struct slice but);

#endif
