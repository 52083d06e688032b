#include "pipeline/pressure/shed.h"

#include <assert.h>

const char *shed_cause_name(enum shed_cause cause)
{
    static const char *const names[SHED_CAUSES] = { "lag",        "commit", "outbox",
                                                    "outbox_age", "memory", "loop" };
    assert(cause < SHED_CAUSES);
    return names[cause];
}

static bool is_used(const struct shed_config *config, enum shed_level level)
{
    for (int cause = 0; cause < SHED_CAUSES; cause++)
        if (config->over[cause][level] > 0)
            return true;
    return false;
}

/* SHED_LEVELS: none above is used. */
static enum shed_level next_up(const struct shed_config *config, enum shed_level level)
{
    enum shed_level up = level + 1;
    while (up < SHED_LEVELS && !is_used(config, up))
        up++;
    return up;
}

static enum shed_level next_down(const struct shed_config *config, enum shed_level level)
{
    enum shed_level down = level - 1;
    while (down > SHED_NORMAL && !is_used(config, down))
        down--;
    return down;
}

/* The highest level whose threshold the value is over. */
static enum shed_level called_for(const int64_t over[SHED_LEVELS], int64_t value)
{
    enum shed_level level = SHED_LEVELS - 1;
    while (level > SHED_NORMAL && (over[level] == 0 || value <= over[level]))
        level--;
    return level;
}

/* The highest level whose threshold the value is at least half of. */
static enum shed_level held(const int64_t over[SHED_LEVELS], int64_t value)
{
    enum shed_level level = SHED_LEVELS - 1;
    while (level > SHED_NORMAL && (over[level] == 0 || value < over[level] / 2))
        level--;
    return level;
}

static void set_level(struct shed *s, enum shed_level level)
{
    assert(level < SHED_LEVELS);
    assert(level != s->level);
    s->level = level;
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
bool shed_update(struct shed *s, const struct shed_config *config, const struct pressure *pressure,
                 int64_t t_ms)
{
    enum shed_level wanted = SHED_NORMAL, needed = SHED_NORMAL;
    enum shed_cause cause = SHED_LAG;
    for (enum shed_cause c = SHED_LAG; c < SHED_CAUSES; c++) {
        assert(pressure->of[c] >= 0);
        enum shed_level calls = called_for(config->over[c], pressure->of[c]);
        enum shed_level holds = held(config->over[c], pressure->of[c]);
        cause = calls > wanted ? c : cause;
        wanted = calls > wanted ? calls : wanted;
        needed = holds > needed ? holds : needed;
    }
    if (held_for(&s->over_since_ms, wanted > s->level, config->enter_ms, t_ms)) {
        set_level(s, next_up(config, s->level));
        s->cause = cause;
        return true;
    }
    if (held_for(&s->under_since_ms, needed < s->level, config->leave_ms, t_ms)) {
        set_level(s, next_down(config, s->level));
        return true;
    }
    return false;
}
