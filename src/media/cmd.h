/* SPDX-License-Identifier: Apache-2.0 */
/* media/cmd: messages between the engine's client and the media process. Codec on memory only. */
#ifndef MEDIA_CMD_H
#define MEDIA_CMD_H

#include "postern/media.h"

enum media_msg_type {
	MEDIA_MSG_WISHES = 1,          /* engine -> media: look into the ring, should no packet have made you */
	MEDIA_MSG_ATTACH = 2,          /* engine -> media: a (new) client is there; silences are told anew */
	MEDIA_MSG_HELLO = 3,           /* media -> engine: started; u64 applied: send again what is above */
	MEDIA_MSG_INACTIVE = 4,        /* media -> engine: {u32 slot, u32 gen} ... */
	MEDIA_MSG_ONE_WAY = 5,         /* media -> engine: the same */
	MEDIA_MSG_DIGITS = 6           /* media -> engine: {u32 slot, u32 gen, u8 event, u16 ms} ... */
};
enum media_op { MEDIA_OP_WANT = 1, MEDIA_OP_CLOSE = 2 };
#define MEDIA_CMD_MAX 288              /* bytes of one record at most */

struct media_cmd {
	uint64_t seq;
	enum media_op op;
	struct media_ref ref;          /* CLOSE with gen 0: whatever generation it has */
	struct media_want want;
	struct media_key key[2];
};

void media_cmd_print(struct writer *w, const struct media_cmd *c);
/** Next record; false at the end. *bad where the rest cannot be read. Bytes between fields of the want are zero. */
bool media_cmd_next(struct reader *r, struct media_cmd *ret, bool *bad);

#endif
