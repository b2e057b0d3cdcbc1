/* SPDX-License-Identifier: Apache-2.0 */
/* Events: the table of events.def. Who writes them, and where to, is not known here. */
#include "postern/base.h"

static const struct base_event_row rows[EVENT_COUNT] = {
#define EVENT(id, class_, type_, text_) [EVENT_##id] = { class_, type_, text_ },
#include "postern/events.def"
#undef EVENT
};

const struct base_event_row *base_event_row(enum base_event id)
{
	return (unsigned)id < EVENT_COUNT ? &rows[id] : NULL;
}
