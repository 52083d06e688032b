/* detector_kinds: what the files of the kinds give to detector.c, and how they keep their state.
 * For detector*.c alone. */
#ifndef PIPELINE_DETECT_DETECTOR_KINDS_H
#define PIPELINE_DETECT_DETECTOR_KINDS_H

#include <string.h>

#include "pipeline/detect/detector.h"

extern const struct detector_kind_ops detector_limit;
extern const struct detector_kind_ops detector_shift;
extern const struct detector_kind_ops detector_spike;
extern const struct detector_kind_ops detector_rate;
extern const struct detector_kind_ops detector_stuck;
extern const struct detector_kind_ops detector_silent;
extern const struct detector_kind_ops detector_baseline;
extern const struct detector_kind_ops detector_missing;
extern const struct detector_kind_ops detector_range;
extern const struct detector_kind_ops detector_noise;
extern const struct detector_kind_ops detector_counter;
extern const struct detector_kind_ops detector_cycle;
extern const struct detector_kind_ops detector_siblings;

/* A kind's own struct lies in the state's bytes, and is used in place: to copy it out and in costs
 * more than to judge a reading. */
#define DETECTOR_STATE_FITS(type) \
    static_assert(sizeof(type) <= DETECTOR_STATE_BYTES, "a detector's state has a fixed size")

/* Whether the series was away for more than `intervals` of its own: what was expected of its next
 * reading is out of date. */
static inline bool detector_was_away(const struct statistics *before, const struct sample *sample,
                                     double intervals)
{
    return before->interval_ms > 0 && (double)(sample->event_time_ms - before->last_ms) >
                                          intervals * before->interval_ms;
}

/* What is kept in floats stays where its square is finite. */
#define DETECTOR_FLOAT_MAX 1e15

static inline float detector_float(double value)
{
    const double most = DETECTOR_FLOAT_MAX;
    return (float)(value > most ? most : value < -most ? -most : value);
}

static inline float detector_get_float(struct byte_reader *r)
{
    float value = get_f32(r);
    if (value >= -1e37f && value <= 1e37f)
        return value;
    r->failed = true; /* also of a NaN */
    return 0;
}

/* For kinds that keep nothing. */
static inline void detector_save_nothing(const void *state, struct byte_writer *w)
{
    (void)state;
    (void)w;
}

static inline void detector_load_nothing(void *state, struct byte_reader *r)
{
    (void)state;
    (void)r;
}

#endif
