#include "pipeline/detect/detector.h"

#include <assert.h>

#include "pipeline/detect/detector_kinds.h"

const struct detector_kind_ops *detector_ops(enum detector_kind kind)
{
    switch (kind) {
    case DETECTOR_LIMIT:
        return &detector_limit;
    case DETECTOR_SHIFT:
        return &detector_shift;
    case DETECTOR_SPIKE:
        return &detector_spike;
    case DETECTOR_RATE:
        return &detector_rate;
    case DETECTOR_STUCK:
        return &detector_stuck;
    case DETECTOR_SILENT:
        return &detector_silent;
    case DETECTOR_BASELINE:
        return &detector_baseline;
    case DETECTOR_MISSING:
        return &detector_missing;
    case DETECTOR_RANGE:
        return &detector_range;
    case DETECTOR_NOISE:
        return &detector_noise;
    case DETECTOR_COUNTER:
        return &detector_counter;
    case DETECTOR_CYCLE:
        return &detector_cycle;
    case DETECTOR_SIBLINGS:
        return &detector_siblings;
    case DETECTOR_KINDS:
        break;
    }
    assert(kind < DETECTOR_KINDS);
    return NULL;
}

struct verdict detector_judge(const struct detector_config *config, void *state,
                              const struct sample *sample, const struct statistics *before)
{
    const struct detector_input in = { config, sample, before, .asked = true };
    struct verdict verdict;
    bool anomalous = detector_ops(config->kind)->on_reading(&in, state, &verdict);
    assert(anomalous == verdict.anomalous);
    return verdict;
}

struct detector_config detector_defaults(enum detector_kind kind)
{
    assert(kind < DETECTOR_KINDS);
    return (struct detector_config){
        .kind = kind,
        .device = "*",
        .metric = "*",
        .threshold = kind == DETECTOR_SHIFT ? 12 : kind == DETECTOR_SPIKE ? 7 : 0,
        .drift = 1,
        .stuck_readings = 30,
        .silent_min_ms = 180000,
        .silent_intervals = 3,
        .sensitivity = SENSITIVITY_NORMAL,
        .parts = baseline_setting(SENSITIVITY_NORMAL).parts,
        .severity = kind == DETECTOR_COUNTER ? SEVERITY_INFO : SEVERITY_WARNING,
        .for_readings = 1,
        .clear_after_ms = 5000,
        .clear_readings = 1,
        .escalate_after_ms = 3600000,
        .escalate_score = 3,
        .chatter = true,
        .keep_ms = 86400000,
    };
}

/* What streams' rules watch has a metric that no reading has, and no other rule looks at. */
static bool is_of_stream(struct text metric)
{
    return metric.bytes > 0 && memchr(metric.at, '/', metric.bytes) != NULL;
}

static bool is_about(const struct detector_config *rule, struct text device, struct text metric)
{
    return is_of_stream(metric) == is_of_stream(text_of(rule->metric)) &&
           text_matches(rule->device, device) && text_matches(rule->metric, metric);
}

bool detector_watches(const struct detector_config *rules, uint32_t count, uint32_t at,
                      struct text device, struct text metric)
{
    const struct detector_config *rule = &rules[at];
    assert(at < count);
    bool watches = is_about(rule, device, metric);
    for (uint32_t i = 0; i < count && watches; i++) {
        const struct detector_config *other = &rules[i];
        bool instead = other->off || (rule->usual && !other->usual);
        watches = other->kind != rule->kind || !instead || !is_about(other, device, metric);
    }
    return watches;
}
