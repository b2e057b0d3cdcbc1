/* SPDX-License-Identifier: Apache-2.0 */
/* app/steer: do media ports share sockets here, or has each its own? Decided once, at the start. */
#ifndef APP_STEER_H
#define APP_STEER_H

#include "postern/media.h"

struct conf_doc;

/** Would app_steer_open share them? Tried once. */
bool app_steer_possible(const struct conf_doc *doc);
/**
 * Shared sockets as system.media_process.sockets asks for them, with a line in the log that says which way it is and why.
 * @param max_calls [in] sizes the queues
 * @return 0, *ret NULL where each port has sockets of its own; -errno where `shared` was asked for and is refused
 */
int app_steer_open(const struct conf_doc *doc, uint32_t max_calls, struct media_shared **ret);

#endif
