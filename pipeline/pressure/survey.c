#include "pipeline/pressure/survey.h"

#include <assert.h>

static uint32_t span_of(int64_t delay_ms)
{
    uint64_t delay = (uint64_t)delay_ms;
    uint32_t shift = 0;
    if (delay >> SURVEY_BITS != 0)
        return SURVEY_SPANS - 1;
    while (delay >> shift >> (SURVEY_SUB_BITS + 1) != 0)
        shift++;
    return (shift << SURVEY_SUB_BITS) + (uint32_t)(delay >> shift);
}

/* The middle of a span. */
static int64_t delay_of(uint32_t span)
{
    uint32_t sub = 1u << SURVEY_SUB_BITS;
    if (span < 2 * sub)
        return span;
    uint32_t shift = (span >> SURVEY_SUB_BITS) - 1;
    int64_t low = (int64_t)(sub + (span & (sub - 1))) << shift;
    return low + ((int64_t)1 << shift >> 1);
}

static int64_t median_of(const struct survey *s)
{
    uint32_t span = 0;
    uint64_t below = 0;
    while (below + s->counts[span] < (s->walk.active + 1u) / 2)
        below += s->counts[span++];
    assert(span < SURVEY_SPANS);
    int64_t middle_ms = delay_of(span);
    return middle_ms < s->walk.worst_ms ? middle_ms : s->walk.worst_ms;
}

static void end_walk(struct survey *s)
{
    if (s->walk.active > 0)
        s->walk.median_ms = median_of(s);
    *s = (struct survey){ .last = s->walk };
}

void survey_slice(struct survey *s, const struct engine *engine, const struct survey_now *now,
                  uint32_t max)
{
    int64_t watermark_ms, last_t_ms;
    for (uint32_t i = 0; i < max; i++) {
        if (!engine_watermark(engine, s->next, &watermark_ms, &last_t_ms)) {
            end_walk(s);
            return;
        }
        uint32_t series = s->next++;
        if (watermark_ms == INT64_MIN || now->t_ms - last_t_ms > now->idle_ms)
            continue;
        int64_t delay_ms = now->wall_ms > watermark_ms ? now->wall_ms - watermark_ms : 0;
        s->counts[span_of(delay_ms)]++;
        if (s->walk.active++ == 0 || delay_ms > s->walk.worst_ms) {
            s->walk.worst_ms = delay_ms;
            s->walk.worst = series;
        }
    }
}
