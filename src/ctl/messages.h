/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl, private: the messages of one call, taken out of the ring; ladder.c and pcap.c print them.
 */
#ifndef CTL_MESSAGES_H
#define CTL_MESSAGES_H

#include <jansson.h>

#include "postern/ctl.h"

struct ctl_message {
	struct base_trace_head head;
	unsigned leg;              /* index of its Call-ID: 0 is the caller's */
	struct slice bytes;        /* of its own */
};
struct ctl_message_list {
	struct ctl_message *v;
	size_t n;
	bool overwritten;          /* some of the call are missing */
};

/** Its first line; empty where there is none. */
struct slice ctl_message_start(struct slice bytes);
static inline bool ctl_message_is_out(const struct ctl_message *m) { return m->head.flags & BASE_TRACE_OUT; }

#endif
