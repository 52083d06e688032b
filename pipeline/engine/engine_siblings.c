/* What a metric's siblings, the other metrics of its device, read last; for detectors that ask. */
#include <assert.h>

#include "pipeline/engine/engine_state.h"

static const double INTERVALS_NEW = 3; /* an older reading says nothing of now */

void engine_siblings_enter(struct engine *e, uint32_t series)
{
    struct device *d = &e->devices[e->series[series].device];
    uint32_t newest = d->newest_series;
    e->series[series].sibling = newest == ENGINE_NONE ? series : e->series[newest].sibling;
    if (newest != ENGINE_NONE)
        e->series[newest].sibling = series;
    d->newest_series = series;
}

static bool is_sibling(const struct engine *e, uint32_t series, uint32_t other)
{
    return other < e->series_count && other != series &&
           e->series[other].device == e->series[series].device;
}

struct text engine_partner(const struct engine *e, const struct detector_config *rule,
                           const struct alert *alert)
{
    bool known = rule->kind == DETECTOR_SIBLINGS && alert->about < e->series_count;
    return known ? engine_name(e, e->series[alert->about].metric) : (struct text){ "", 0 };
}

static bool is_new(const struct statistics *of, int64_t now_ms)
{
    double age_ms = (double)(now_ms - of->last_ms), most_ms = INTERVALS_NEW * of->interval_ms;
    return of->count > 0 && age_ms <= most_ms && age_ms >= -most_ms;
}

static uint32_t next_of(const struct engine *e, uint32_t series, uint32_t candidate)
{
    uint32_t next = e->series[is_sibling(e, series, candidate) ? candidate : series].sibling;
    return next == series ? e->series[series].sibling : next;
}

void engine_siblings_tell(const struct engine *e, uint32_t series,
                          const struct detector_kind_ops *ops, void *state, int64_t now_ms)
{
    assert(ops->siblings_wanted != NULL && ops->on_siblings != NULL);
    struct detector_siblings met = { .series = ops->siblings_wanted(state),
                                     .any = e->series[series].sibling != series };
    if (!met.any)
        return;
    met.next = next_of(e, series, met.series.candidate);
    if (is_sibling(e, series, met.series.partner)) {
        const struct statistics *of = &e->series[met.series.partner].statistics;
        met.partner_here = is_new(of, now_ms);
        met.partner = of->last;
    }
    if (is_sibling(e, series, met.series.candidate)) {
        const struct statistics *of = &e->series[met.series.candidate].statistics;
        met.candidate_here = is_new(of, now_ms);
        met.candidate = of->last;
    }
    ops->on_siblings(state, &met);
}
