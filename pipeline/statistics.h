/* statistics: what is usual for one series, running, in fixed size.
 *
 * Fed with the series' readings in order of event time (the engine's reorder ring sees to that).
 * Numbers only: a
 * boolean counts as 0 or 1, text is not fed.
 *   count, mean, variance   all readings, Welford 1962 (as in Knuth, TAOCP 2, 4.2.2)
 *   ew_mean, ew_variance    exponentially weighted by reading, weight STATISTICS_EW_WEIGHT
 *                           (Finch, "Incremental calculation of weighted mean and variance", 2009)
 *   min, max, last, rate    rate is the last change a second, 0 while unknown
 *   interval_ms             exponentially weighted event time between readings of different times
 */
#ifndef PIPELINE_STATISTICS_H
#define PIPELINE_STATISTICS_H

#include <stdint.h>

#include "pipeline/bytes.h"

#define STATISTICS_EW_WEIGHT 0.02

struct statistics {
    uint64_t count;
    double mean;
    double m2;           /* sum of squared deviations from the mean */
    double ew_mean;
    double ew_variance;
    double min, max;
    double last;
    double rate;         /* change a second between the last two readings of different event time */
    double interval_ms;  /* 0 until two readings came */
    int64_t last_ms;     /* event time of the last reading */
};

void statistics_init(struct statistics *s);

/* Take in one reading; event_time_ms is not before last_ms. O(1). */
void statistics_push(struct statistics *s, int64_t event_time_ms, double value);

/* Variance of all readings (n - 1 in the divisor); 0 while count < 2. */
double statistics_variance(const struct statistics *s);
double statistics_stddev(const struct statistics *s);
double statistics_ew_stddev(const struct statistics *s);

void statistics_save(const struct statistics *s, struct byte_writer *w);
void statistics_load(struct statistics *s, struct byte_reader *r);

#endif
