/* siblings: a metric of a device against another one of the same device: a pump that draws current
 * and moves no water.
 *
 * Of the device's other metrics one after the other is tried for 200 readings; the one that tells
 * most of this metric's variance in a straight line becomes its partner. Once it explains half of
 * it, what is left of each reading is compared with what that usually is (its mean over ten
 * readings, in deviations) and with its record. A metric has one partner and one candidate, however
 * many there are. O(1) a reading; add, subtract, multiply, divide and square root alone. */
#ifndef PIPELINE_DETECT_SIBLINGS_H
#define PIPELINE_DETECT_SIBLINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/bytes.h"

#define SIBLINGS_NONE UINT32_MAX

struct sibling_line { /* of this metric (y) over another (x), over 2000 readings */
    float mean_x, mean_y, variance_x, variance_y, covariance;
    uint16_t age; /* readings; stops */
};

struct siblings {
    uint32_t partner, candidate; /* series, as the engine numbers them; NONE */
    struct sibling_line line, trial;
    float left;                  /* of readings, |y - line|, over ten */
    float left_mean, left_variance; /* of `left`, over 4000 */
    float left_max, left_usual;  /* the record of single readings, leaking; their mean over 1000 */
    bool begun;
};

struct sibling { /* another metric's last reading */
    uint32_t series; /* NONE: there is none that is new enough */
    float value;
};

/* How unusual `value` is beside its partner, from 0 on; learns from it. `next`: the series that is
 * to be tried after this candidate. A new one is all zeros. */
float siblings_take(struct siblings *s, float value, const struct sibling *partner,
                    const struct sibling *candidate, uint32_t next);

/* Whether a partner is trusted. */
bool siblings_known(const struct siblings *s);

void siblings_save(const struct siblings *s, struct byte_writer *w);
void siblings_load(struct siblings *s, struct byte_reader *r);

#endif
