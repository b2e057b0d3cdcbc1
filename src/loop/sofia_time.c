/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sofia's clock. The library takes the wall clock for its timers, so each step of NTP would move all
 * SIP timers; its hook `_su_time` puts the monotonic clock (or the fake one) in that place, plus the
 * distance to the wall clock at start.
 */
#include <sofia-sip/su_time.h>

#include "loop/private.h"

#define NTP_EPOCH_S 2208988800L /* 1900 to 1970 */

extern void (*_su_time)(su_time_t *tv); /* exported by the library, in no header of it */

static int64_t offset_us;
static _Thread_local struct { struct mono at; bool armed; } once;

static void now_for_sofia(su_time_t *tv)
{
	int64_t us;

	if (!tv)
		return;
	us = offset_us + (once.armed ? once.at.us : base_mono_now().us);
	once.armed = false;
	tv->tv_sec = (unsigned long)(us / 1000000);
	tv->tv_usec = (unsigned long)(us % 1000000);
}

void loop_sofia_time_init(void)
{
	static bool was_fake;

	/* once: a second loop must not move the timers of the first. A test that turns to the fake clock begins anew. */
	if (_su_time == now_for_sofia && was_fake == base_clock_is_fake() && !was_fake)
		return;
	was_fake = base_clock_is_fake();
	offset_us = base_wall_ms() * 1000 - base_mono_now().us + NTP_EPOCH_S * 1000000;
	_su_time = now_for_sofia;
}

void loop_sofia_time_once(struct mono t)
{
	once.at = t;
	once.armed = true;
}
