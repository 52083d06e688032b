/* counter: whether a series only ever counts up (energy, packets, hours of running), and when it
 * began again.
 *
 * A counter is what has risen a hundred times in five hundred readings and a day, and never fallen.
 * It is one until it falls to half or more of what it was: that is no reset, and no counter. A day,
 * because a tank that fills, and an oven that heats, only rise for a while too. O(1). */
#ifndef PIPELINE_DETECT_COUNTER_H
#define PIPELINE_DETECT_COUNTER_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/bytes.h"

enum counter_step {
    COUNTER_NOT,     /* it is none, or not known to be one */
    COUNTER_GOES_ON,
    COUNTER_RESET    /* it began again */
};

struct counter {
    uint32_t span_s;   /* since it fell last; stops at a day */
    uint16_t readings; /* likewise; stop at what is needed */
    uint8_t rises;
    bool is_one;
};

/* The next reading, gap_ms >= 0 after `previous`. */
enum counter_step counter_take(struct counter *c, double previous, double value, int64_t gap_ms);

void counter_save(const struct counter *c, struct byte_writer *w);
void counter_load(struct counter *c, struct byte_reader *r);

#endif
