/* counter: a series that only ever counts up (counter.h) began again: its device restarted, or was
 * exchanged, or the counter ran over. Anomalous for that one reading; `low` is the value before it,
 * which the next one should have reached. Score: by how much it fell; threshold 0. */
#include <assert.h>
#include <stddef.h>

#include "pipeline/detect/counter.h"
#include "pipeline/detect/detector_kinds.h"

DETECTOR_STATE_FITS(struct counter);

static bool on_reading(const struct detector_input *in, void *state, struct verdict *verdict)
{
    const struct sample *sample = in->sample;
    const struct statistics *before = in->before;
    struct counter *counter = state;
    enum counter_step step = COUNTER_NOT;
    if (before->count > 0)
        step = counter_take(counter, before->last, sample->value,
                            sample->event_time_ms - before->last_ms);
    bool reset = step == COUNTER_RESET;
    if (!reset && !in->asked)
        return false;
    *verdict = (struct verdict){
        .known = true,
        .anomalous = reset,
        .reason = reset ? REASON_RESET : REASON_NONE,
        .observed = sample->value,
        .low = reset ? before->last : 1,
        .high = reset ? READING_NUMBER_MAX : 0,
        .score = reset ? before->last - sample->value : 0,
    };
    return reset;
}

static void save(const void *state, struct byte_writer *w)
{
    struct counter counter;
    memcpy(&counter, state, sizeof counter);
    counter_save(&counter, w);
}

static void load(void *state, struct byte_reader *r)
{
    struct counter counter;
    counter_load(&counter, r);
    memcpy(state, &counter, sizeof counter);
}

const struct detector_kind_ops detector_counter = {
    .name = "counter",
    .state_bytes = sizeof(struct counter),
    .on_reading = on_reading,
    .save = save,
    .load = load,
};
