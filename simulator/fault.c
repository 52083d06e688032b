#include "simulator/fault.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "simulator/chance.h"

/* What is drawn for each kind: how long in readings, how far in standard deviations. */
static const struct {
    const char *name;
    uint32_t readings_min, readings_max;
    double magnitude_min, magnitude_max;
} KIND[FAULT_KINDS] = {
    [FAULT_SPIKE] = { "spike", 1, 1, 10, 20 },
    [FAULT_SHIFT] = { "shift", 50, 80, 6, 9 },
    [FAULT_STUCK] = { "stuck", 60, 90, 0, 0 },
    [FAULT_DROPOUT] = { "dropout", 50, 100, 0, 0 },
    [FAULT_NOISE] = { "noise", 50, 100, 5, 8 },
    [FAULT_DRIFT] = { "drift", 100, 150, 8, 12 },
};

const char *fault_name(enum fault_kind kind)
{
    assert(kind < FAULT_KINDS);
    return KIND[kind].name;
}

uint32_t fault_kinds_of(const char *names)
{
    uint32_t kinds = 0;
    for (const char *at = names; *at != '\0';) {
        size_t bytes = strcspn(at, ",");
        uint32_t before = kinds;
        for (uint32_t k = 0; k < FAULT_KINDS; k++)
            if (strlen(KIND[k].name) == bytes && memcmp(KIND[k].name, at, bytes) == 0)
                kinds |= 1u << k;
        if (kinds == before)
            return 0;
        at += bytes;
        at += *at == ',';
    }
    return kinds;
}

/* Exponential waiting would bunch faults at the end of short runs; uniform keeps them spread. */
static int64_t wait_draw(struct fault_plan *p, const struct fault_config *config)
{
    return (int64_t)chance_between(&p->chance, 0, 2.0 * (double)config->every_ms);
}

void fault_plan_init(struct fault_plan *p, const struct fault_config *config, uint64_t seed)
{
    *p = (struct fault_plan){ .chance = seed, .next_ms = INT64_MAX };
    if (config->every_ms > 0 && config->kinds != 0)
        p->next_ms = config->clean_until_ms + wait_draw(p, config);
}

static enum fault_kind kind_draw(struct fault_plan *p, uint32_t kinds)
{
    assert(kinds != 0 && kinds < 1u << FAULT_KINDS);
    uint32_t skip = chance_below(&p->chance, (uint32_t)__builtin_popcount(kinds));
    for (; skip > 0; skip--)
        kinds &= kinds - 1;
    return (enum fault_kind)__builtin_ctz(kinds);
}

static void fault_begin(struct fault_plan *p, const struct fault_config *config, int64_t time_ms)
{
    enum fault_kind kind = kind_draw(p, config->kinds);
    uint32_t spread = KIND[kind].readings_max - KIND[kind].readings_min + 1;
    bool two_sided = kind != FAULT_NOISE;
    double sign = two_sided && chance_below(&p->chance, 2) == 0 ? -1 : 1;
    double magnitude_sd =
        chance_between(&p->chance, KIND[kind].magnitude_min, KIND[kind].magnitude_max);
    p->fault = (struct fault){ .kind = kind, .start_ms = time_ms };
    p->fault.magnitude_sd = sign * magnitude_sd;
    p->fault.readings = KIND[kind].readings_min + chance_below(&p->chance, spread);
    p->active = true;
    p->done = 0;
}

static double faulty_value(struct fault_plan *p, const struct signal *s, double value)
{
    double far = p->fault.magnitude_sd * s->noise_sd;
    switch (p->fault.kind) {
    case FAULT_SPIKE:
    case FAULT_SHIFT: return value + far;
    case FAULT_STUCK: return p->stuck_at;
    case FAULT_DROPOUT: return value;
    case FAULT_NOISE: return value + (fabs(p->fault.magnitude_sd) - 1) * s->noise;
    case FAULT_DRIFT: return value + far * (p->done + 1) / p->fault.readings;
    case FAULT_KINDS: break;
    }
    return value;
}

struct fault_effect fault_apply(struct fault_plan *p, const struct fault_config *config,
                                const struct signal *s, int64_t time_ms, double value)
{
    if (!p->active && time_ms >= p->next_ms && time_ms <= config->last_start_ms) {
        fault_begin(p, config, time_ms);
        p->stuck_at = value;
    }
    if (!p->active)
        return (struct fault_effect){ .value = signal_round(s, value) };
    struct fault_effect effect = { .faulty = true, .first = p->done == 0 };
    effect.value = signal_round(s, faulty_value(p, s, value));
    effect.withheld = p->fault.kind == FAULT_DROPOUT;
    p->fault.end_ms = time_ms;
    p->done++;
    assert(p->done <= p->fault.readings);
    effect.last = p->done == p->fault.readings;
    if (effect.last) {
        p->active = false;
        p->next_ms = time_ms + FAULT_REST_MS + wait_draw(p, config);
    }
    return effect;
}
