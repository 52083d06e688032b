/* baseline: the series is not what it usually is at this hour, in one of the ways that reason.h
 * names; baseline.h does the work. Score: as it says, against its bar, which every alarm raises for
 * a while. Anomalous from the reading that raises the alarm until thirty in a row were quiet.
 *
 * It learns for 300 readings and a day at least: from the 200th reading to the 300th five in 1,000
 * are false alarms, later 0.4; and what it knows is what an hour of the day is like. */
#include <assert.h>
#include <stddef.h>

#include "pipeline/detect/baseline.h"
#include "pipeline/detect/detector_kinds.h"

DETECTOR_STATE_FITS(struct baseline);

/* In place: to copy a state of this size out and in would cost as much as to think. */
static struct verdict on_reading(const struct detector_config *config, void *state,
                                 const struct sample *sample, const struct statistics *before)
{
    const struct baseline_reading reading = {
        .time_ms = sample->event_time_ms,
        .gap_ms = before->count > 0 ? sample->event_time_ms - before->last_ms : 0,
        .value = sample->value,
    };
    struct baseline_finding f = baseline_take(state, config->sensitivity, &reading);
    return (struct verdict){
        .known = f.known,
        .anomalous = f.alarm,
        .reason = f.reason,
        .observed = sample->value,
        .low = (double)f.low,
        .high = (double)f.high,
        .score = (double)f.score,
        .threshold = (double)f.bar,
    };
}

static void save(const void *state, struct byte_writer *w)
{
    baseline_save(state, w);
}

static void load(void *state, struct byte_reader *r)
{
    baseline_load(state, r);
}

const struct detector_kind_ops detector_baseline = {
    .name = "baseline",
    .state_bytes = sizeof(struct baseline),
    .learns = true,
    .learning_readings = 300,
    .learning_ms = 86400000,
    .on_reading = on_reading,
    .save = save,
    .load = load,
};
