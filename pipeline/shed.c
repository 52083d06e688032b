#include "pipeline/shed.h"

#include <assert.h>

/* The level that pressure would enter next; SHED_LEVELS: none above is used. */
static enum shed_level next_up(const struct shed_config *config, enum shed_level level)
{
    enum shed_level up = level + 1;
    while (up < SHED_LEVELS && config->lag_ms[up] == 0)
        up++;
    return up;
}

static enum shed_level next_down(const struct shed_config *config, enum shed_level level)
{
    enum shed_level down = level - 1;
    while (down > SHED_NORMAL && config->lag_ms[down] == 0)
        down--;
    return down;
}

static void set_level(struct shed *s, enum shed_level level, int64_t t_ms)
{
    assert(level < SHED_LEVELS);
    assert(level != s->level);
    s->level = level;
    s->level_since_ms = t_ms;
    s->over_since_ms = INT64_MAX;
    s->under_since_ms = INT64_MAX;
}

/* Remember since when the condition holds; whether that is at least for_ms ago. */
static bool held_for(int64_t *since_ms, bool holds, int64_t for_ms, int64_t t_ms)
{
    if (!holds)
        *since_ms = INT64_MAX;
    else if (*since_ms == INT64_MAX)
        *since_ms = t_ms;
    return holds && t_ms - *since_ms >= for_ms;
}

void shed_init(struct shed *s)
{
    *s = (struct shed){ .over_since_ms = INT64_MAX, .under_since_ms = INT64_MAX };
}

/* A new level starts its own two clocks, so pressure climbs one level each enter_ms at most. */
bool shed_update(struct shed *s, const struct shed_config *config, int64_t lag_ms, int64_t t_ms)
{
    assert(lag_ms >= 0);
    enum shed_level up = next_up(config, s->level);
    bool over = up < SHED_LEVELS && lag_ms > config->lag_ms[up];
    if (held_for(&s->over_since_ms, over, config->enter_ms, t_ms)) {
        set_level(s, up, t_ms);
        return true;
    }
    bool under = s->level > SHED_NORMAL && lag_ms < config->lag_ms[s->level] / 2;
    if (held_for(&s->under_since_ms, under, config->leave_ms, t_ms)) {
        set_level(s, next_down(config, s->level), t_ms);
        return true;
    }
    return false;
}
