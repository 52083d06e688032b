#include "pipeline/pressure/scale.h"

#include <assert.h>

static const double FEWER_MARGIN = 1.1;

uint32_t scale_need(double use, double capacity, uint32_t headroom_percent)
{
    assert(use >= 0 && capacity > 0);
    assert(headroom_percent < 100);
    double need = use / (capacity * (100 - headroom_percent) / 100);
    if (!(need < SCALE_MAX))
        return SCALE_MAX;
    uint32_t whole = (uint32_t)need;
    whole += (double)whole < need;
    return whole > 0 ? whole : 1;
}

static bool held_for(int64_t *since_ms, bool holds, int64_t for_ms, int64_t t_ms)
{
    if (!holds)
        *since_ms = INT64_MAX;
    else if (*since_ms == INT64_MAX)
        *since_ms = t_ms;
    return holds && t_ms - *since_ms >= for_ms;
}

void scale_init(struct scale *s)
{
    *s = (struct scale){ .wanted = 1, .more_since_ms = INT64_MAX, .fewer_since_ms = INT64_MAX };
}

bool scale_update(struct scale *s, const struct scale_config *config, double use, double capacity,
                  int64_t t_ms)
{
    uint32_t more = scale_need(use, capacity, config->headroom_percent);
    uint32_t fewer = scale_need(use * FEWER_MARGIN, capacity, config->headroom_percent);
    bool up = held_for(&s->more_since_ms, more > s->wanted, config->up_ms, t_ms);
    bool down = held_for(&s->fewer_since_ms, fewer < s->wanted, config->down_ms, t_ms);
    if (!up && !down)
        return false;
    s->wanted = up ? more : fewer;
    s->more_since_ms = s->fewer_since_ms = INT64_MAX;
    return true;
}
