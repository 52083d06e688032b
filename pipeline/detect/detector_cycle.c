/* cycle: a series that repeats itself was out of form: cycle.h does the work. Score: how unusual
 * what is left of a reading is, beside those a period before; threshold: the bar (bar.h).
 *
 * Periods of 4 to 47 readings, once they have lasted 80 times, and shorter than half a day: longer
 * ones are what the baseline's hours are for. */
#include <assert.h>
#include <stddef.h>

#include "pipeline/detect/bar.h"
#include "pipeline/detect/cycle.h"
#include "pipeline/detect/detector_kinds.h"

struct repeating {
    struct cycle cycle;
    struct bar bar;
};

DETECTOR_STATE_FITS(struct repeating);

static const double INTERVAL_MS_MAX = 43200000.0 / CYCLE_PERIOD_MAX;

/* In place: it is large. */
static bool on_reading(const struct detector_input *in, void *state, struct verdict *verdict)
{
    struct repeating *s = state;
    float score = 0;
    if (in->before->interval_ms <= INTERVAL_MS_MAX)
        score = cycle_take(&s->cycle, detector_float(in->sample->value));
    bool known = s->cycle.period > 0;
    float threshold = BAR_LEAST + s->bar.budget;
    bool anomalous = bar_take(&s->bar, score) && known;
    if (!anomalous && !in->asked)
        return false;
    *verdict = (struct verdict){
        .known = known,
        .anomalous = anomalous,
        .reason = anomalous ? REASON_CYCLE : REASON_NONE,
        .observed = in->sample->value,
        .low = 1, /* no band */
        .score = (double)score,
        .threshold = (double)threshold,
        .about = s->cycle.period,
    };
    return anomalous;
}

static void save(const void *state, struct byte_writer *w)
{
    const struct repeating *s = state;
    cycle_save(&s->cycle, w);
    bar_save(&s->bar, w);
}

static void load(void *state, struct byte_reader *r)
{
    struct repeating *s = state;
    cycle_load(&s->cycle, r);
    bar_load(&s->bar, r);
}

const struct detector_kind_ops detector_cycle = {
    .name = "cycle",
    .state_bytes = sizeof(struct repeating),
    .learns = true,
    .on_reading = on_reading,
    .save = save,
    .load = load,
};
