/* spike: one reading far from the line that the series follows (trend.h, whose header says how
 * level and spread are estimated and why), and as far from the reading before it.
 *
 * Score: min(|value - expected|, 2 |value - previous|) in spreads; anomalous at `threshold`. The
 * second part tells a spike from the readings after a step, which `shift` reports: a reading that
 * stays out there is no new spike. LEVEL_READINGS readings in a row beyond half of the threshold
 * are no spike but a new level: the line begins again there. */
#include <assert.h>
#include <math.h>
#include <stddef.h>

#include "pipeline/detect/trend.h"
#include "pipeline/detect/detector_kinds.h"

/* The line follows within 40 readings; the variance of 200 is known to 5 %. */
static const struct trend_memory MEMORY = { .line = 40, .variance = 200 };

enum {
    READINGS_KNOWN = 30, /* residuals before anything is said */
    LEVEL_READINGS = 5,
    AWAY_INTERVALS = 160 /* four memories of the line */
};

struct spike {
    struct trend trend;
    uint32_t far; /* readings in a row beyond half of the threshold */
};

DETECTOR_STATE_FITS(struct spike);

static void learn(struct spike *spike, struct trend_step step, const struct deviation *d,
                  double threshold)
{
    bool far = trend_knows(&spike->trend, READINGS_KNOWN) &&
               fabs(d->spreads) >= threshold / 2;
    spike->far = far ? spike->far + 1 : 0;
    if (spike->far >= LEVEL_READINGS) {
        trend_restart(&spike->trend, step);
        spike->far = 0;
    } else {
        trend_learn(&spike->trend, MEMORY, step, d);
    }
}

static bool on_reading(const struct detector_input *in, void *state, struct verdict *verdict)
{
    const struct sample *sample = in->sample;
    const struct statistics *before = in->before;
    double threshold = in->config->threshold;
    const struct trend_step step = { sample->value, before->last };
    struct spike spike;
    memcpy(&spike, state, sizeof spike);
    if (detector_was_away(before, sample, AWAY_INTERVALS))
        trend_restart(&spike.trend, step);
    struct deviation d = trend_judge(&spike.trend, sample->value);
    *verdict = (struct verdict){
        .known = trend_knows(&spike.trend, READINGS_KNOWN) && d.spread > 0,
        .observed = sample->value,
        .low = 1,
        .threshold = threshold,
    };
    if (verdict->known) {
        double jump = 2 * fabs(sample->value - before->last) / d.spread;
        double distance = fabs(d.spreads);
        verdict->low = d.expected - threshold * d.spread;
        verdict->high = d.expected + threshold * d.spread;
        verdict->score = jump < distance ? jump : distance;
        verdict->anomalous = verdict->score >= threshold;
    }
    learn(&spike, step, &d, threshold);
    memcpy(state, &spike, sizeof spike);
    return verdict->anomalous;
}

static void save(const void *state, struct byte_writer *w)
{
    struct spike spike;
    memcpy(&spike, state, sizeof spike);
    trend_save(&spike.trend, w);
    put_u32(w, spike.far);
}

static void load(void *state, struct byte_reader *r)
{
    struct spike spike;
    memset(&spike, 0, sizeof spike);
    trend_load(&spike.trend, r);
    spike.far = get_u32(r);
    memcpy(state, &spike, sizeof spike);
}

const struct detector_kind_ops detector_spike = {
    .name = "spike",
    .state_bytes = sizeof(struct spike),
    .learns = true,
    .on_reading = on_reading,
    .save = save,
    .load = load,
};
