/* backoff: how long to wait before the next attempt: a random time up to a bound that doubles with
 * each failure (full jitter; Brooker, "Exponential Backoff And Jitter", 2015), so that a thousand
 * gateways do not come back to a broker in step. */
#ifndef FIRMWARE_BACKOFF_H
#define FIRMWARE_BACKOFF_H

#include <stdint.h>

struct backoff {
    int64_t min_ms, max_ms;
    uint64_t chance;   /* state of the generator; seeded from the hal's entropy */
    uint32_t failures; /* since the last success */
};

/* A failure: the wait before the next attempt, min_ms / 2 at least. */
int64_t backoff_fail(struct backoff *b);
void backoff_succeed(struct backoff *b);

#endif
