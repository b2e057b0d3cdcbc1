/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire's own: what the SDP parser, printer and questions share.
 */
#ifndef WIRE_SDP_H
#define WIRE_SDP_H

#include "postern/wire.h"

/** Next word of a line, spaces and tabs between; empty at its end. */
struct slice wire_sdp_token(struct slice *rest);
/** Next line without its end (LF, CRLF, CR); false at the end of the text. */
bool wire_sdp_next_line(struct slice *rest, struct slice *ret);
/** `name:value` or `name`; value has p set in either case. */
void wire_sdp_attr_split(struct slice line, struct slice *ret_name, struct slice *ret_value);
/** enum wire_dir of an attribute's name, or -1. */
int wire_sdp_dir_of(struct slice name);

#endif
