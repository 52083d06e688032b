/* stuck: the same value, exactly, for at least `stuck_readings` readings and for at least five
 * times the longest run that the series itself has shown. A coarse or slow sensor repeats itself by
 * nature, and so raises its own bar. Score: readings in the run; threshold: the bar.
 *
 * Nothing is said before RUNS_KNOWN runs have ended: a set point that changes twice a day must show
 * its habit first (the longest of 20 runs of random length is 3.6 mean runs; a further one of five
 * times that has a chance of 1.5e-8. Real runs are not random: with three times instead of five, 23
 * alarms in 658,000 readings of real series, with five 8, and of faults put into them 1.6 % fewer
 * are found). A series that never moved is not stuck. The run of an alarm
 * raises the bar by a quarter only, so that a fault does not hide the next one, while a habit that
 * was not known is learnt after a few; the bar fades by half in 700 runs. */
#include <assert.h>
#include <stddef.h>

#include "pipeline/detect/detector_kinds.h"

enum { RUNS_KNOWN = 20, HABIT_FACTOR = 5, RUN_MAX = 16000000 };

static const float BAR_KEPT = 0.999f; /* a run */

struct stuck {
    float bar;          /* the series' own, in readings: a run this long is anomalous */
    uint32_t run : 24;  /* readings of the last value in a row; stops at RUN_MAX */
    uint32_t runs : 8;  /* that ended; stops at RUNS_KNOWN */
};

DETECTOR_STATE_FITS(struct stuck);

static float bar_of(const struct detector_config *config, const struct stuck *stuck)
{
    float least = (float)config->stuck_readings;
    return stuck->bar > least ? stuck->bar : least;
}

static void end_run(const struct detector_config *config, struct stuck *stuck)
{
    float bar = bar_of(config, stuck), run = (float)stuck->run, own = HABIT_FACTOR * run;
    stuck->bar *= BAR_KEPT;
    if (stuck->runs == RUNS_KNOWN && run >= bar)
        stuck->bar = own < bar * 1.25f ? own : bar * 1.25f;
    else if (own > stuck->bar)
        stuck->bar = own;
    if (stuck->runs < RUNS_KNOWN)
        stuck->runs++;
}

static bool on_reading(const struct detector_input *in, void *state, struct verdict *verdict)
{
    const struct detector_config *config = in->config;
    double value = in->sample->value;
    struct stuck *stuck = state;
    if (in->before->count == 0 || stuck->run == 0) {
        stuck->run = 1;
    } else if (value == in->before->last) {
        if (stuck->run < RUN_MAX)
            stuck->run++;
    } else {
        end_run(config, stuck);
        stuck->run = 1;
    }
    float bar = bar_of(config, stuck);
    bool known = stuck->runs == RUNS_KNOWN, anomalous = known && (float)stuck->run >= bar;
    if (!anomalous && !in->asked)
        return false;
    *verdict = (struct verdict){
        .known = known,
        .anomalous = anomalous,
        .observed = value,
        .low = 1, /* no band */
        .score = stuck->run,
        .threshold = (double)bar,
    };
    return anomalous;
}

static void save(const void *state, struct byte_writer *w)
{
    struct stuck stuck;
    memcpy(&stuck, state, sizeof stuck);
    put_u32(w, stuck.run | (uint32_t)stuck.runs << 24);
    put_f32(w, stuck.bar);
}

static void load(void *state, struct byte_reader *r)
{
    struct stuck stuck;
    uint32_t runs = get_u32(r);
    stuck.run = runs & 0xffffff;
    stuck.runs = (uint8_t)(runs >> 24);
    stuck.bar = detector_get_float(r);
    if (stuck.run > RUN_MAX || stuck.runs > RUNS_KNOWN || stuck.bar < 0)
        r->failed = true;
    memcpy(state, &stuck, sizeof stuck);
}

const struct detector_kind_ops detector_stuck = {
    .name = "stuck",
    .state_bytes = sizeof(struct stuck),
    .learns = true,
    .on_reading = on_reading,
    .save = save,
    .load = load,
};
