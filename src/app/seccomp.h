/* SPDX-License-Identifier: Apache-2.0 */
/* app/seccomp: system calls that a role never needs are refused. */
#ifndef APP_SECCOMP_H
#define APP_SECCOMP_H

#include "app/boot.h"

/** Load the role's list. Where the kernel has no seccomp: 0 with a log line. -errno. Thread: before others are started. */
int app_seccomp_load(enum app_role role);

#endif
