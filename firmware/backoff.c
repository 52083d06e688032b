#include "firmware/backoff.h"

#include <assert.h>

static uint64_t next_chance(uint64_t *state) /* splitmix64 (Steele, Lea, Flood 2014) */
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

int64_t backoff_fail(struct backoff *b)
{
    assert(b->min_ms > 0 && b->max_ms >= b->min_ms);
    int64_t bound_ms = b->min_ms;
    for (uint32_t i = 0; i < b->failures && bound_ms < b->max_ms; i++)
        bound_ms = bound_ms <= b->max_ms / 2 ? bound_ms * 2 : b->max_ms;
    b->failures++;
    int64_t wait_ms = (int64_t)(next_chance(&b->chance) % ((uint64_t)bound_ms + 1));
    return wait_ms > b->min_ms / 2 ? wait_ms : b->min_ms / 2;
}

void backoff_succeed(struct backoff *b)
{
    b->failures = 0;
}
