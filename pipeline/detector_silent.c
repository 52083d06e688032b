/* silent: no reading for longer than max(silent_min_ms, silent_intervals * the series' own
 * interval). The engine keeps the timer, in pipeline time, and makes the anomalous verdict when it
 * fires; a reading only ever ends a silence. Score: time since the last reading over the time
 * allowed (threshold 1). The interval is that of the statistics: a mean in which a gap counts as at
 * most four intervals, so that an outage does not make the next one allowed. Keeps no state. */
#include <stddef.h>

#include "pipeline/detector_kinds.h"

/* Intervals that make a rhythm. */
enum { READINGS_KNOWN = 10 };

/* So that neither a huge multiple nor a slow device overflows: a year. */
static const double SILENCE_MAX_MS = 366.0 * 86400 * 1000;

static int64_t silence_ms(const struct detector_config *config, const struct statistics *statistics)
{
    if (statistics->count < READINGS_KNOWN || statistics->interval_ms <= 0)
        return 0;
    double own = config->silent_intervals * statistics->interval_ms;
    double least = (double)config->silent_min_ms;
    double allowed = own > least ? own : least;
    return (int64_t)(allowed < SILENCE_MAX_MS ? allowed : SILENCE_MAX_MS);
}

static struct verdict on_reading(const struct detector_config *config, struct detector_state *state,
                                 const struct sample *sample, const struct statistics *before)
{
    (void)state;
    int64_t allowed_ms = silence_ms(config, before);
    if (allowed_ms <= 0)
        return (struct verdict){ .low = 1, .threshold = 1 };
    double gap_ms = (double)(sample->event_time_ms - before->last_ms);
    return (struct verdict){
        .known = true,
        .observed = gap_ms,
        .high = (double)allowed_ms,
        .score = gap_ms / (double)allowed_ms,
        .threshold = 1,
    };
}

const struct detector_kind_ops detector_silent = {
    .name = "silent",
    .state_bytes = 1, /* keeps none */
    .learns = true,
    .init = detector_state_clear,
    .on_reading = on_reading,
    .silence_ms = silence_ms,
    .save = detector_save_nothing,
    .load = detector_load_nothing,
};
