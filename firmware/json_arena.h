/* json_arena: the fixed memory behind cJSON. Its allocator hooks carry no context, so this arena is
 * the one global of its kind in the process; whoever decodes gets `reset` and `exhausted` through
 * `struct json_memory`.
 *
 * Memory is given out by moving a mark and is taken back only by a reset, so a message costs at
 * most the region, and freeing costs nothing. One thread, one tree at a time. */
#ifndef FIRMWARE_JSON_ARENA_H
#define FIRMWARE_JSON_ARENA_H

#include <stdbool.h>
#include <stddef.h>

/* Install the hooks over `at`, aligned as the heap's memory is, which outlives every use of cJSON.
 * Called again it moves to the new region. */
void json_arena_start(void *at, size_t bytes);

/* Forget everything given out: every tree and string of cJSON's is gone with it. */
void json_arena_reset(void);

/* Whether anything was refused since the last reset. */
bool json_arena_exhausted(void);

#endif
