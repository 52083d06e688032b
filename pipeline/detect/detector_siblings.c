/* siblings: a metric that no longer goes with another one of its device: siblings.h does the work;
 * the engine says what the others' last readings are, before each reading. Score: how unusual what
 * is left of the reading is; threshold: the bar (bar.h). */
#include <assert.h>
#include <stddef.h>

#include "pipeline/detect/bar.h"
#include "pipeline/detect/detector_kinds.h"
#include "pipeline/detect/siblings.h"

struct kin {
    struct siblings siblings;
    struct bar bar;
    struct detector_siblings met; /* for the next reading; not kept */
};

DETECTOR_STATE_FITS(struct kin);

static struct detector_pair wanted(const void *state)
{
    const struct kin *k = state;
    bool begun = k->siblings.begun;
    return (struct detector_pair){ begun ? k->siblings.partner : SIBLINGS_NONE,
                                   begun ? k->siblings.candidate : SIBLINGS_NONE };
}

static void on_siblings(void *state, const struct detector_siblings *met)
{
    ((struct kin *)state)->met = *met;
}

static struct sibling of(uint32_t series, bool here, double value)
{
    return (struct sibling){ here ? series : SIBLINGS_NONE, detector_float(value) };
}

/* In place: it is large. */
static struct verdict on_reading(const struct detector_config *config, void *state,
                                 const struct sample *sample, const struct statistics *before)
{
    (void)config;
    (void)before;
    struct kin *k = state;
    const struct detector_siblings *met = &k->met;
    float score = 0;
    if (met->any) {
        struct sibling partner = of(met->series.partner, met->partner_here, met->partner);
        struct sibling candidate =
            of(met->series.candidate, met->candidate_here, met->candidate);
        score = siblings_take(&k->siblings, detector_float(sample->value), &partner, &candidate,
                              met->next);
    }
    memset(&k->met, 0, sizeof k->met);
    bool known = siblings_known(&k->siblings);
    float threshold = BAR_LEAST + k->bar.budget;
    bool anomalous = bar_take(&k->bar, score) && known;
    return (struct verdict){
        .known = known,
        .anomalous = anomalous,
        .reason = anomalous ? REASON_SIBLINGS : REASON_NONE,
        .observed = sample->value,
        .low = 1, /* no band */
        .score = (double)score,
        .threshold = (double)threshold,
    };
}

static void save(const void *state, struct byte_writer *w)
{
    const struct kin *k = state;
    siblings_save(&k->siblings, w);
    bar_save(&k->bar, w);
}

static void load(void *state, struct byte_reader *r)
{
    struct kin *k = state;
    memset(k, 0, sizeof *k);
    siblings_load(&k->siblings, r);
    bar_load(&k->bar, r);
}

const struct detector_kind_ops detector_siblings = {
    .name = "siblings",
    .state_bytes = sizeof(struct kin),
    .learns = true,
    .learning_readings = 300,
    .learning_ms = 86400000,
    .on_reading = on_reading,
    .siblings_wanted = wanted,
    .on_siblings = on_siblings,
    .save = save,
    .load = load,
};
