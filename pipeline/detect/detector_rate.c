/* rate: the value changes faster than `per_second_max`, up or down, between two readings in a row.
 * Score: |change| a second, in the metric's unit; threshold: per_second_max. Two readings of one
 * event time have no rate: nothing is said about the second. Keeps no state: the statistics hold
 * the reading before. */
#include <math.h>
#include <stddef.h>

#include "pipeline/detect/detector_kinds.h"

static bool on_reading(const struct detector_input *in, void *state, struct verdict *verdict)
{
    (void)state;
    const struct sample *sample = in->sample;
    const struct statistics *before = in->before;
    double most = in->config->per_second_max;
    *verdict = (struct verdict){ .observed = sample->value, .low = 1, .threshold = most };
    if (before->count == 0 || sample->event_time_ms <= before->last_ms || most <= 0)
        return false;
    double seconds = (double)(sample->event_time_ms - before->last_ms) / 1000;
    double reach = most * seconds;
    verdict->known = true;
    verdict->low = before->last - reach;
    verdict->high = before->last + reach;
    verdict->score = fabs(sample->value - before->last) / seconds;
    verdict->anomalous = verdict->score > most;
    return verdict->anomalous;
}

const struct detector_kind_ops detector_rate = {
    .name = "rate",
    .on_reading = on_reading,
    .save = detector_save_nothing,
    .load = detector_load_nothing,
};
