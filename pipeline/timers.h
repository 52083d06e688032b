/* timers: the earliest of many deadlines: a binary heap over dense keys 0..keys_max-1.
 *
 * Each key has one deadline or none. Equal deadlines come in order of key, so that the order of
 * firing depends on the deadlines alone, never on how the heap came to hold them. */
#ifndef PIPELINE_TIMERS_H
#define PIPELINE_TIMERS_H

#include "pipeline/arena.h"

struct timers {
    uint32_t *heap;        /* [keys_max], the first `count` in use: keys */
    uint32_t *places;      /* [keys_max]: where each key stands in the heap, plus 1; 0: nowhere */
    int64_t *deadlines_ms; /* [keys_max], by key */
    uint32_t count;
    uint32_t keys_max;
};

/* NULL while the arena only measures. */
struct timers *timers_init(uint32_t keys_max, struct arena *arena);

/* Give the key this deadline, or none with INT64_MAX. O(log count). */
void timers_set(struct timers *t, uint32_t key, int64_t deadline_ms);

/* Into the cache, for timers_get. */
static inline void timers_fetch(const struct timers *t, uint32_t key)
{
    __builtin_prefetch(&t->places[key]);
    __builtin_prefetch(&t->deadlines_ms[key]);
}

/* The key's deadline; INT64_MAX: none. */
int64_t timers_get(const struct timers *t, uint32_t key);

/* The earliest deadline, and whose it is in *key; INT64_MAX and *key untouched: there is none. */
int64_t timers_next(const struct timers *t, uint32_t *key);

#endif
