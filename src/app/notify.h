/* SPDX-License-Identifier: Apache-2.0 */
/* app/notify: tell systemd (sd_notify's datagram; no library). */
#ifndef APP_NOTIFY_H
#define APP_NOTIFY_H

/** Take NOTIFY_SOCKET from the environment, which children do not see. */
void app_notify_init(void);
/** "READY=1\nSTATUS=..."; silent where nobody listens. */
void app_notify(const char *text);

#endif
