#include "pipeline/statistics.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "pipeline/reading.h"

/* A gap counts as at most so many intervals, so that an outage does not change the rhythm. */
static const double GAP_INTERVALS_MAX = 4;

static double weight_of(uint64_t count)
{
    /* While young, the plain mean: each of the first 50 readings counts alike. */
    double even = 1.0 / (double)count;
    return even > STATISTICS_EW_WEIGHT ? even : STATISTICS_EW_WEIGHT;
}

void statistics_init(struct statistics *s)
{
    memset(s, 0, sizeof *s);
}

static void learn_interval(struct statistics *s, double interval_ms)
{
    if (interval_ms <= 0)
        return; /* readings of one message: they say nothing about the rhythm */
    if (s->interval_ms <= 0) {
        s->interval_ms = interval_ms;
        return;
    }
    double longest = GAP_INTERVALS_MAX * s->interval_ms;
    double clipped = interval_ms < longest ? interval_ms : longest;
    s->interval_ms += weight_of(s->count) * (clipped - s->interval_ms);
}

static void learn_value(struct statistics *s, double value)
{
    double from_mean = value - s->mean;
    s->mean += from_mean / (double)s->count;
    s->m2 += from_mean * (value - s->mean);
    double weight = weight_of(s->count);
    double from_ew_mean = value - s->ew_mean;
    s->ew_mean += weight * from_ew_mean;
    s->ew_variance = (1 - weight) * (s->ew_variance + weight * from_ew_mean * from_ew_mean);
    s->min = s->count == 1 || value < s->min ? value : s->min;
    s->max = s->count == 1 || value > s->max ? value : s->max;
}

void statistics_push(struct statistics *s, int64_t event_time_ms, double value)
{
    assert(value >= -READING_NUMBER_MAX && value <= READING_NUMBER_MAX);
    assert(s->count == 0 || event_time_ms >= s->last_ms);
    s->count++;
    if (s->count > 1) {
        double interval_ms = (double)(event_time_ms - s->last_ms);
        if (interval_ms > 0)
            s->rate = (value - s->last) / (interval_ms / 1000);
        learn_interval(s, interval_ms);
    }
    learn_value(s, value);
    s->last = value;
    s->last_ms = event_time_ms;
}

double statistics_variance(const struct statistics *s)
{
    return s->count < 2 ? 0 : s->m2 / (double)(s->count - 1);
}

double statistics_stddev(const struct statistics *s)
{
    return sqrt(statistics_variance(s));
}

double statistics_ew_stddev(const struct statistics *s)
{
    return sqrt(s->ew_variance);
}

void statistics_save(const struct statistics *s, struct byte_writer *w)
{
    put_u64(w, s->count);
    put_f64(w, s->mean);
    put_f64(w, s->m2);
    put_f64(w, s->ew_mean);
    put_f64(w, s->ew_variance);
    put_f64(w, s->min);
    put_f64(w, s->max);
    put_f64(w, s->last);
    put_f64(w, s->rate);
    put_f64(w, s->interval_ms);
    put_i64(w, s->last_ms);
}

void statistics_load(struct statistics *s, struct byte_reader *r)
{
    statistics_init(s);
    s->count = get_u64(r);
    s->mean = get_finite(r);
    s->m2 = get_finite(r);
    s->ew_mean = get_finite(r);
    s->ew_variance = get_finite(r);
    s->min = get_finite(r);
    s->max = get_finite(r);
    s->last = get_finite(r);
    s->rate = get_finite(r);
    s->interval_ms = get_finite(r);
    s->last_ms = get_i64(r);
    if (s->m2 < 0 || s->ew_variance < 0 || s->interval_ms < 0)
        r->failed = true;
}
