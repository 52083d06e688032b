/* baseline: the series is not what it usually is at this hour, in one of the ways that reason.h
 * names; baseline.h does the work. Score: as it says, against its bar, which every alarm raises for
 * a while. Anomalous from the reading that raises the alarm until thirty in a row were quiet. Its
 * reason becomes `shift` or `noise up` when what follows shows that (manner.h).
 *
 * Of a counter (counter.h) it sees what is counted a second, and so are observed, low and high;
 * from the moment that it is known to be one it begins anew.
 *
 * It learns for 300 readings and a day at least: from the 200th reading to the 300th five in 1,000
 * are false alarms, later 0.4; and what it knows is what an hour of the day is like. */
#include <assert.h>
#include <stddef.h>

#include "pipeline/detect/baseline.h"
#include "pipeline/detect/counter.h"
#include "pipeline/detect/detector_kinds.h"
#include "pipeline/detect/manner.h"

struct watched {
    struct baseline baseline;
    struct counter counter;
    struct manner manner;
};

DETECTOR_STATE_FITS(struct watched);

/* What the baseline is to see of a reading; false: nothing. */
static bool choose(struct watched *w, const struct sample *sample, const struct statistics *before,
                   struct baseline_reading *reading)
{
    if (before->count == 0)
        return true;
    bool was_counter = w->counter.is_one;
    enum counter_step step =
        counter_take(&w->counter, before->last, sample->value, reading->gap_ms);
    if (w->counter.is_one != was_counter)
        memset(&w->baseline, 0, sizeof w->baseline);
    if (step == COUNTER_NOT)
        return true;
    if (step == COUNTER_RESET || reading->gap_ms == 0)
        return false;
    reading->value = (sample->value - before->last) * 1000 / (double)reading->gap_ms;
    return true;
}

static struct verdict verdict_of(const struct baseline_finding *f, double observed,
                                 enum reason reason)
{
    struct verdict verdict = {
        .known = f->known,
        .anomalous = f->alarm,
        .reason = reason,
        .observed = observed,
        .low = (double)f->low,
        .high = (double)f->high,
        .score = (double)f->score,
        .threshold = (double)f->bar,
    };
    if (f->alarm)
        memcpy(verdict.terms, f->terms, sizeof verdict.terms);
    return verdict;
}

/* In place: to copy a state of this size out and in would cost as much as to think. */
static bool on_reading(const struct detector_input *in, void *state, struct verdict *verdict)
{
    struct watched *w = state;
    const struct sample *sample = in->sample;
    const struct statistics *before = in->before;
    struct baseline_reading reading = {
        .time_ms = sample->event_time_ms,
        .gap_ms = before->count > 0 ? sample->event_time_ms - before->last_ms : 0,
        .value = sample->value,
    };
    if (!choose(w, sample, before, &reading)) {
        *verdict = (struct verdict){ .observed = sample->value, .low = 1 };
        return false;
    }
    const struct baseline_setting setting = { in->config->sensitivity, in->config->parts };
    struct baseline_finding f = baseline_take(&w->baseline, &setting, &reading);
    manner_take(&w->manner, detector_float(reading.value) - f.expected, w->baseline.error_mean);
    if (f.alarm || in->asked)
        *verdict = verdict_of(&f, reading.value, manner_reason(&w->manner, f.reason));
    return f.alarm;
}

static void save(const void *state, struct byte_writer *w)
{
    const struct watched *watched = state;
    baseline_save(&watched->baseline, w);
    counter_save(&watched->counter, w);
    manner_save(&watched->manner, w);
}

static void load(void *state, struct byte_reader *r)
{
    struct watched *watched = state;
    baseline_load(&watched->baseline, r);
    counter_load(&watched->counter, r);
    manner_load(&watched->manner, r);
}

const struct detector_kind_ops detector_baseline = {
    .name = "baseline",
    .state_bytes = sizeof(struct watched),
    .learns = true,
    .on_reading = on_reading,
    .save = save,
    .load = load,
};
