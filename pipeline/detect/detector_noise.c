/* noise: a signal that has lost its noise: the deviation of its changes, reading by reading, is
 * under a tenth of what it usually is, for a hundred changes, and for three times as many as it
 * ever was before. So says a sensor whose membrane is fouled, whose cable is cut and picks up only
 * a little, or that a filter has been put in front of. (The attenuated signal test of the QARTOD
 * manuals, with a bar of the series' own.)
 *
 * Readings equal to the one before them are passed over: they are `stuck`'s. Score: changes in the
 * run; threshold: the bar. What is usual follows over 2,000 changes, so after some 1,400 the quiet
 * signal is usual. That noise has grown is the baseline's to tell. */
#include <assert.h>
#include <stddef.h>

#include "pipeline/detect/detector_kinds.h"

enum { CHANGES_KNOWN = 300, RUN_LEAST = 100, HABIT_FACTOR = 3, RUN_MAX = 30000, AGE_MAX = 2000 };

static const float SHORT_MEMORY = 10, SQUARES_MAX = 9; /* of the usual, of one change */
static const float QUIET = 0.01f;                      /* a tenth, squared */

struct noise {
    float now, usual;  /* mean squared change, over 10 and over 2,000 */
    uint16_t run;      /* changes in a row with `now` that small */
    uint16_t run_max;  /* the longest that ended */
    uint16_t age;      /* changes; stops at AGE_MAX */
};

DETECTOR_STATE_FITS(struct noise);

static void take_change(struct noise *noise, float change)
{
    float square = change * change, most = SQUARES_MAX * noise->usual;
    noise->age = (uint16_t)(noise->age + (noise->age < AGE_MAX));
    if (noise->age > CHANGES_KNOWN && square > most)
        square = most;
    float by = noise->age < SHORT_MEMORY ? 1 / (float)noise->age : 1 / SHORT_MEMORY;
    noise->now += by * (square - noise->now);
    noise->usual += (square - noise->usual) / (float)noise->age;
    if (noise->now < QUIET * noise->usual) {
        noise->run = (uint16_t)(noise->run + (noise->run < RUN_MAX));
        return;
    }
    noise->run_max = noise->run > noise->run_max ? noise->run : noise->run_max;
    noise->run = 0;
}

static bool on_reading(const struct detector_input *in, void *state, struct verdict *verdict)
{
    struct noise *noise = state;
    float change = in->before->count > 0 ? detector_float(in->sample->value - in->before->last) : 0;
    if (change > 0 || change < 0)
        take_change(noise, change);
    int habit = HABIT_FACTOR * noise->run_max;
    int bar = habit > RUN_LEAST ? habit : RUN_LEAST;
    bool known = noise->age >= CHANGES_KNOWN, quiet = known && noise->run >= bar;
    if (!quiet && !in->asked)
        return false;
    *verdict = (struct verdict){
        .known = known,
        .anomalous = quiet,
        .reason = quiet ? REASON_NOISE_DOWN : REASON_NONE,
        .observed = in->sample->value,
        .low = 1, /* no band */
        .score = noise->run,
        .threshold = bar,
    };
    return quiet;
}

static void save(const void *state, struct byte_writer *w)
{
    struct noise noise;
    memcpy(&noise, state, sizeof noise);
    put_f32(w, noise.now);
    put_f32(w, noise.usual);
    put_u16(w, noise.run);
    put_u16(w, noise.run_max);
    put_u16(w, noise.age);
}

static void load(void *state, struct byte_reader *r)
{
    struct noise noise;
    memset(&noise, 0, sizeof noise);
    noise.now = detector_get_float(r);
    noise.usual = detector_get_float(r);
    noise.run = get_u16(r);
    noise.run_max = get_u16(r);
    noise.age = get_u16(r);
    if (noise.now < 0 || noise.usual < 0 || noise.run > RUN_MAX || noise.run_max > RUN_MAX ||
        noise.age > AGE_MAX)
        r->failed = true;
    memcpy(state, &noise, sizeof noise);
}

const struct detector_kind_ops detector_noise = {
    .name = "noise",
    .state_bytes = sizeof(struct noise),
    .learns = true,
    .on_reading = on_reading,
    .save = save,
    .load = load,
};
