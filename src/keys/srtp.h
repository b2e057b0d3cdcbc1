/* SPDX-License-Identifier: Apache-2.0 */
/* keys/srtp: what sessions and the library's crypto types share. */
#ifndef KEYS_SRTP_H
#define KEYS_SRTP_H

#include "postern/keys.h"

/** Put our types in the place of the library's; 0 or ERR_UNSUPPORTED. */
int keys_srtp_crypto_start(void);

#endif
