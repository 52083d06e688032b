/* survey: how far event time is behind, over all series: the median and the worst. Pure.
 *
 * The delay of a series is wall time minus its watermark, 0 where the watermark is ahead. Only
 * those count that were heard within `idle_ms` of pipeline time: a device that is gone is silent,
 * not late. With 100,000 series nobody can look at all of them at once, so it walks them a slice at
 * a time; figures are those of the last whole walk. The median is that of a histogram whose spans
 * are at most a sixteenth of their values wide, so it is within 3.2 % (exact below 32 ms); the
 * worst is exact. */
#ifndef PIPELINE_PRESSURE_SURVEY_H
#define PIPELINE_PRESSURE_SURVEY_H

#include "pipeline/engine/engine.h"

enum {
    SURVEY_SUB_BITS = 4,      /* spans in a power of two: 16 */
    SURVEY_BITS = 42,         /* greater delays (139 years) count as that */
    SURVEY_SPANS = (SURVEY_BITS - SURVEY_SUB_BITS + 1) << SURVEY_SUB_BITS
};

struct survey_figures {
    uint32_t active;  /* series that counted; 0: the others say nothing */
    int64_t median_ms, worst_ms;
    uint32_t worst;   /* index of that series */
};

struct survey { /* zero at first; only survey.c writes it */
    struct survey_figures last; /* of the last whole walk */
    struct survey_figures walk; /* of the one under way */
    uint32_t next;              /* series */
    uint32_t counts[SURVEY_SPANS];
};

struct survey_now {
    int64_t t_ms, wall_ms;
    int64_t idle_ms; /* series heard longer ago do not count */
};

/* Look at the next `max` series, at most; O(max). */
void survey_slice(struct survey *s, const struct engine *engine, const struct survey_now *now,
                  uint32_t max);

#endif
