/* bar: when a score is an alarm, for kinds that have one: at 3.6 and what the alarms before have
 * added, a fifth of it each, forgotten over 4000 readings; until 30 readings in a row were below
 * 3.6. As the baseline's own (docs/detection.md). */
#ifndef PIPELINE_DETECT_BAR_H
#define PIPELINE_DETECT_BAR_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/bytes.h"

struct bar {
    float budget;  /* what past alarms have added */
    uint8_t latch; /* readings until the alarm is over; 0: there is none */
};

static const float BAR_LEAST = 3.6f;

enum { BAR_LATCH = 30 };

/* Whether an alarm is on at this reading. */
static inline bool bar_take(struct bar *b, float score)
{
    float bar = BAR_LEAST + b->budget;
    b->budget *= 1 - 1.0f / 4000;
    if (b->latch > 0)
        b->latch--;
    if (score >= bar && b->latch == 0)
        b->budget += 0.2f * BAR_LEAST;
    if (score >= bar || (score >= BAR_LEAST && b->latch > 0))
        b->latch = BAR_LATCH + 1;
    return b->latch > 0;
}

static inline void bar_save(const struct bar *b, struct byte_writer *w)
{
    put_f32(w, b->budget);
    put_u8(w, b->latch);
}

static inline void bar_load(struct bar *b, struct byte_reader *r)
{
    b->budget = get_f32(r);
    b->latch = get_u8(r);
    if (!(b->budget >= 0 && b->budget < 1e6f) || b->latch > BAR_LATCH + 1)
        r->failed = true; /* also of a NaN */
}

#endif
