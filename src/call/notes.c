/* SPDX-License-Identifier: Apache-2.0 */
/* What policies noted of a call (variables, tags, rules that fired): into its record and back. Keeping it is sipua's. */
#include "call/b2b.h"
#include "call/police.h"

struct slice call_notes_print(const struct call *c, void *buf, size_t size)
{
	struct writer w = writer_on(buf, size);
	struct sipua_note n;

	for (unsigned i = 0; sipua_notes_get(c->notes, i, &n); i++)
		call_note_print(&w, &(struct call_note){ .kind = (uint8_t)n.kind, .name = n.name, .value = n.value, .send = n.send, .out = n.out,
			.request = n.request, .line = n.line, .count = n.count, .first_ms = n.first_ms, .last_ms = n.last_ms });
	return w.bad ? (struct slice){ "", 0 } : (struct slice){ buf, wr_len(&w) };
}

void call_notes_restore(struct call *c, struct slice text)
{
	struct call_note n;

	while (c->notes && call_note_next(&text, &n))
		sipua_notes_put(c->notes, &(struct sipua_note){ .kind = (enum sipua_note_kind)n.kind, .name = n.name, .value = n.value, .send = n.send, .out = n.out,
			.request = n.request, .line = n.line, .count = n.count, .first_ms = n.first_ms, .last_ms = n.last_ms });
}
