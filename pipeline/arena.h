/* arena: carves the memory that one module was given at start, and tells beforehand how much that
 * is.
 *
 * A module has one `noun_init(noun, config, arena)`, which takes what it needs. Run on an arena
 * with no
 * memory (arena_measure) it only counts, so the budget that is printed and the memory that is
 * used come from the same lines. Nothing is ever given back. No time, no heap. */
#ifndef PIPELINE_ARENA_H
#define PIPELINE_ARENA_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

struct arena {
    uint8_t *at;  /* NULL: measuring only */
    size_t bytes; /* of memory behind `at` */
    size_t used;
};

enum { ARENA_ALIGN = 16 }; /* what is taken stands so far apart, at least as the heap aligns */

static inline struct arena arena_measure(void)
{
    return (struct arena){ 0 };
}

/* `at` is aligned as the heap's memory is (8 bytes on armhf), zeroed, and outlives every module
 * carved from it. */
static inline struct arena arena_over(void *at, size_t bytes)
{
    return (struct arena){ at, bytes, 0 };
}

/* Take room for `count` items of `item_bytes`, aligned for any type and zero. NULL when measuring;
 * a caller that got NULL initialises nothing. Running out is a bug of ours: the size was measured.
 * */
static inline void *arena_take(struct arena *arena, size_t count, size_t item_bytes)
{
    assert(item_bytes > 0 && count <= SIZE_MAX / 2 / item_bytes);
    size_t offset = arena->used;
    size_t bytes = (count * item_bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    arena->used += bytes;
    if (arena->at == NULL)
        return NULL;
    assert(arena->used <= arena->bytes);
    return arena->at + offset;
}

#endif
