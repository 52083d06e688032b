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
    struct {                 /* for the next reading; not kept */
        struct detector_pair series;
        float partner, candidate;
        uint32_t next;
        bool any, partner_here, candidate_here;
    } met;
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
    struct kin *k = state;
    k->met.series = met->series;
    k->met.partner = detector_float(met->partner);
    k->met.candidate = detector_float(met->candidate);
    k->met.next = met->next;
    k->met.any = met->any;
    k->met.partner_here = met->partner_here;
    k->met.candidate_here = met->candidate_here;
}

static struct sibling of(uint32_t series, bool here, float value)
{
    return (struct sibling){ here ? series : SIBLINGS_NONE, value };
}

/* In place: it is large. */
static bool on_reading(const struct detector_input *in, void *state, struct verdict *verdict)
{
    struct kin *k = state;
    uint32_t partner_series = k->siblings.partner; /* as it was judged by */
    float score = 0;
    if (k->met.any) {
        struct sibling partner = of(k->met.series.partner, k->met.partner_here, k->met.partner);
        struct sibling candidate =
            of(k->met.series.candidate, k->met.candidate_here, k->met.candidate);
        score = siblings_take(&k->siblings, detector_float(in->sample->value), &partner, &candidate,
                              k->met.next);
    }
    memset(&k->met, 0, sizeof k->met);
    bool known = siblings_known(&k->siblings);
    float threshold = BAR_LEAST + k->bar.budget;
    bool anomalous = bar_take(&k->bar, score) && known;
    if (!anomalous && !in->asked)
        return false;
    *verdict = (struct verdict){
        .known = known,
        .anomalous = anomalous,
        .reason = anomalous ? REASON_SIBLINGS : REASON_NONE,
        .observed = in->sample->value,
        .low = 1, /* no band */
        .score = (double)score,
        .threshold = (double)threshold,
        .about = partner_series,
    };
    return anomalous;
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
    .on_reading = on_reading,
    .siblings_wanted = wanted,
    .on_siblings = on_siblings,
    .save = save,
    .load = load,
};
