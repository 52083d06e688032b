/* trend: what a series' next reading is expected to be, learnt reading by reading so that the
 * very anomalies it is to reveal do not spoil it. `spike` and `shift` each keep one, with their own
 * memory.
 *
 *   level, slope  a line through the readings: least squares over all of them while young, later
 *                 with weights that fade by the factor 1 - 1/memory a reading (Morrison, 1969,
 *                 "expanding memory", then "fading memory" polynomial filter of degree 1). A line,
 *                 not a mean: a daily cycle or a slow drift then leaves no lasting error
 *   variance      of single readings about the line, exponentially weighted
 *
 * Robust by winsorising (Huber 1964): a residual counts as at most TREND_CLIP spreads when the
 * line learns and when the variance does. So one reading of 1e140 moves the line by as much as one
 * of three spreads, and raises the variance by 4 %. A median by stochastic approximation was
 * rejected: it needs a step size in the metric's unit, follows no slope, and costs the accuracy
 * (efficiency 64 %) that a threshold tight enough for shifts of 6 deviations needs.
 *
 * A value repeated for the fifth time and on teaches the line but not the variance: a stuck sensor
 * would otherwise make its spread 0 and its next honest reading an anomaly. The spread is never
 * under half of the smallest step that the series was seen to make (its resolution). Of a series
 * that never moved nobody knows the spread: a fifth of its level stands in, so that 20, 20, 20, 99
 * stands out and a status that goes from 1 to 0 does not; at level 0 nothing is known.
 * Values within READING_NUMBER_MAX. State holds no NaN. O(1), no time but the order of readings. */
#ifndef PIPELINE_DETECT_TREND_H
#define PIPELINE_DETECT_TREND_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/bytes.h"

#define TREND_CLIP 3.0 /* spreads */

struct trend {
    double level;    /* of the line at the last reading learnt, in the metric's unit */
    double slope;    /* a reading */
    double variance;
    double quantum;  /* smallest step between two readings in a row; 0: it never moved */
    uint16_t age;    /* readings that the line stands on; stops growing at the memory */
    uint16_t steps;  /* residuals that the variance stands on; likewise */
    uint16_t passed; /* readings let pass since the last one learnt; stops at UINT16_MAX */
    uint16_t repeats; /* of the last reading, in a row; stops at UINT16_MAX */
};

struct trend_memory { /* in readings, 10 to 10000 */
    uint16_t line;
    uint16_t variance;
};

struct trend_step { /* a reading, and the series' reading before it; 0: there was none */
    double value, previous;
};

struct deviation {
    double expected;
    double spread;   /* of a reading about `expected`; 0: not known yet */
    double spreads;  /* (value - expected) / spread, within +-TREND_SPREADS_MAX; 0: not known */
};

#define TREND_SPREADS_MAX 1e6

void trend_init(struct trend *t);

/* Whether it stands on at least so many readings that said something about the spread, or on a
 * series that never moved. */
bool trend_knows(const struct trend *t, uint16_t readings);

/* How far `value` is from what is expected. Changes nothing. */
struct deviation trend_judge(const struct trend *t, double value);

/* Learn a reading, which was judged `d` by this trend as it is. */
void trend_learn(struct trend *t, struct trend_memory memory, struct trend_step step,
                 const struct deviation *d);

/* Let a reading pass without learning from it: the line goes on, its slope fading. */
void trend_pass(struct trend *t, struct trend_step step);

/* Begin a new line at a reading; the variance is kept. */
void trend_restart(struct trend *t, struct trend_step step);

void trend_save(const struct trend *t, struct byte_writer *w);
void trend_load(struct trend *t, struct byte_reader *r);

#endif
