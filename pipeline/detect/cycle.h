/* cycle: the period of a series that repeats itself, learnt, and readings that break it: a
 * heartbeat with a beat upside down, a compressor that skips one.
 *
 * Keeps the last readings and tries one period after the other, four at a time: it is one where
 * readings are far nearer to those a period ago than to those a half and one and a half ago (the
 * average magnitude difference function, M. Ross and others, 1974). Once there is one, each reading
 * is compared with those about a period ago, and the mean over half a period of what is left with
 * what that usually is, and with its record. Periods of 4 to 47 readings. O(1) a reading, add,
 * subtract, multiply, divide and square root alone. */
#ifndef PIPELINE_DETECT_CYCLE_H
#define PIPELINE_DETECT_CYCLE_H

#include <stdint.h>

#include "pipeline/bytes.h"

enum {
    CYCLE_READINGS = 48,
    CYCLE_PERIOD_MIN = 4,
    CYCLE_PERIOD_MAX = CYCLE_READINGS - 1,
    CYCLE_TRIED = 4 /* at once */
};

struct cycle_trial { /* sums of |reading - another|, in this round */
    float whole, half, more; /* the other one, half and one and a half periods ago */
};

struct cycle {
    float readings[CYCLE_READINGS];        /* a ring */
    struct cycle_trial trials[CYCLE_TRIED];
    float whole, half;                     /* of the period, means over 256 readings */
    float fit;                             /* whole / half when it was found, worn since */
    float error;                           /* what is left, over half a period */
    float error_mean, error_variance;      /* of `error`, over 4000 */
    float error_max, error_usual;          /* its record, leaking; its mean over 1000 */
    uint16_t age;                          /* of the period, readings; stops */
    uint8_t at;                            /* where the next reading goes */
    uint8_t filled;                        /* readings in the ring */
    uint8_t period;                        /* 0: none */
    uint8_t tried;                         /* the first of the periods on trial */
    uint8_t round;                         /* readings of the trial */
};

/* How unusual the reading is, from 0 on; learns from it. A new one is all zeros. */
float cycle_take(struct cycle *c, float value);

void cycle_save(const struct cycle *c, struct byte_writer *w);
void cycle_load(struct cycle *c, struct byte_reader *r);

#endif
