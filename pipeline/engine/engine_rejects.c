/* How many readings were refused in the last minute, and the gateway's own alert about it. The
 * count moves in slots of ten seconds of pipeline time, so it looks back 50 to 60 s. While the
 * alert is open a timer looks at the end of each slot, and clears it when the count has fallen to
 * half. */
#include <assert.h>

#include "pipeline/engine/engine_state.h"

static uint32_t *count_of(struct rejects *r, int64_t slot)
{
    return &r->counts[slot % ENGINE_REJECT_SLOTS];
}

static void roll_to(struct rejects *r, int64_t t_ms)
{
    int64_t slot = t_ms / ENGINE_REJECT_SLOT_MS;
    assert(t_ms >= 0 && slot >= r->slot);
    if (slot - r->slot > ENGINE_REJECT_SLOTS)
        r->slot = slot - ENGINE_REJECT_SLOTS;
    while (r->slot < slot)
        *count_of(r, ++r->slot) = 0;
}

static double last_minute(const struct rejects *r)
{
    double sum = 0;
    for (int i = 0; i < ENGINE_REJECT_SLOTS; i++)
        sum += r->counts[i];
    return sum;
}

int64_t engine_rejects_deadline(const struct engine *e)
{
    return e->own[ENGINE_OWN_REJECTS].open ? (e->rejects.slot + 1) * ENGINE_REJECT_SLOT_MS
                                           : INT64_MAX;
}

void engine_count_reject(struct engine *e)
{
    struct rejects *r = &e->rejects;
    double max = e->config->rejects_per_minute_max;
    roll_to(r, e->t_ms);
    uint32_t *count = count_of(r, r->slot);
    *count += *count < UINT32_MAX;
    if (max > 0 && last_minute(r) > max)
        (void)engine_on_own(e, ENGINE_OWN_REJECTS, last_minute(r), max, true);
    engine_arm_own(e);
}

void engine_fire_rejects(struct engine *e)
{
    struct rejects *r = &e->rejects;
    double max = e->config->rejects_per_minute_max;
    roll_to(r, e->t_ms);
    if (last_minute(r) <= max / 2)
        (void)engine_on_own(e, ENGINE_OWN_REJECTS, last_minute(r), max, false);
}
