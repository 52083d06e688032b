/* rate: the value changes faster than `per_second_max`, up or down, between two readings in a row.
 * Score: |change| a second, in the metric's unit; threshold: per_second_max. Two readings of one
 * event time have no rate: nothing is said about the second. Keeps no state: the statistics hold
 * the reading before. */
#include <math.h>
#include <stddef.h>

#include "pipeline/detect/detector_kinds.h"

static struct verdict on_reading(const struct detector_config *config, void *state,
                                 const struct sample *sample, const struct statistics *before)
{
    (void)state;
    struct verdict verdict = { .observed = sample->value, .low = 1,
                               .threshold = config->per_second_max };
    if (before->count == 0 || sample->event_time_ms <= before->last_ms ||
        config->per_second_max <= 0)
        return verdict;
    double seconds = (double)(sample->event_time_ms - before->last_ms) / 1000;
    double reach = config->per_second_max * seconds;
    verdict.known = true;
    verdict.low = before->last - reach;
    verdict.high = before->last + reach;
    verdict.score = fabs(sample->value - before->last) / seconds;
    verdict.anomalous = verdict.score > config->per_second_max;
    return verdict;
}

const struct detector_kind_ops detector_rate = {
    .name = "rate",
    .on_reading = on_reading,
    .save = detector_save_nothing,
    .load = detector_load_nothing,
};
