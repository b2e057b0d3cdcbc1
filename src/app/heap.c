/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's heap is jemalloc's: Sofia and we take and give some 300 pieces for a call, many above the 1 KB up to which glibc's are cheap.
 * One arena, the loop has one thread. On huge pages, for a page fault per 4 KB of a burst costs as much as parsing a message. Pages that are
 * free stay ours until the engine finds itself idle (base_heap_trim). Builds with sanitizers have theirs and take no notice.
 */
#include "postern/base.h"

extern const char *malloc_conf; /* jemalloc(3): read before main */
const char *malloc_conf = "narenas:1,thp:always,dirty_decay_ms:-1,muzzy_decay_ms:0";
