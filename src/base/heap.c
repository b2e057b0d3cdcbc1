/* SPDX-License-Identifier: Apache-2.0 */
/* Free memory back to the system, whichever allocator the program has. */
#include <malloc.h>

#include "postern/base.h"

/* of jemalloc, in programs that have it */
extern int mallctl(const char *name, void *old, size_t *old_len, void *fresh, size_t fresh_len) __attribute__((weak));

void base_heap_trim(void)
{
	if (!mallctl) {
		malloc_trim(0);
		return;
	}
	mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
	mallctl("arena.0.purge", NULL, NULL, NULL, 0);
}
