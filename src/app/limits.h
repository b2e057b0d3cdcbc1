/* SPDX-License-Identifier: Apache-2.0 */
/* app/limits: how many descriptors a document asks for, what the machine allows, and what follows for max_calls. */
#ifndef APP_LIMITS_H
#define APP_LIMITS_H

#include "postern/base.h"

struct conf_doc;
struct conf_errors;

struct app_limits {
	uint64_t allowed;                  /* RLIMIT_NOFILE of each process */
	uint64_t wanted;                   /* descriptors that the document asks for, in the process that needs most */
	uint32_t pairs_wanted, pairs;      /* media port pairs: of the document; that will be opened */
	uint32_t max_calls;                /* effective */
	uint32_t connections;              /* SIP connections that the engine has descriptors for; the cap of the revision may be less */
};

/**
 * Work out what a document needs under a limit. Pure.
 * @param allowed [in]    RLIMIT_NOFILE
 * @param shared  [in]    media ports share sockets: a port needs no descriptor
 * @param notes   [inout] warnings that say what is lowered and what to raise; NULL: none
 */
void app_limits_plan(const struct conf_doc *doc, uint64_t allowed, bool shared, struct conf_errors *notes, struct app_limits *ret);
/** So many pairs with two sockets each can be held by a process with that limit beside so many listeners. */
uint32_t app_limits_pairs(uint64_t allowed, size_t nlisteners);
struct peer_realm_conf;
/** Port pairs of a realm on one address, and the first RTP port of them. */
uint32_t app_limits_range(const struct peer_realm_conf *r, uint16_t *ret_first);
struct peer_system_conf;
/** Bytes of the message ring as it is made: 0, or at least what one needs. */
uint64_t app_limits_trace(const struct peer_system_conf *sys);
/** Raise RLIMIT_NOFILE as far as this process may, up to what is wanted (as root the hard limit too). @return what it is now. */
uint64_t app_limits_raise(uint64_t wanted);

#endif
