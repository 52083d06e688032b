#include "simulator/signal.h"

#include <assert.h>
#include <math.h>

#include "simulator/chance.h"

#define TWO_PI 6.283185307179586

const struct signal_metric SIGNAL_METRIC[SIGNAL_METRICS] = {
    { "temperature", "C", 40, 80, 0.4, 2 },
    { "pressure", "kPa", 300, 600, 2.0, 1 },
    { "vibration", "mm/s", 2, 5, 0.08, 3 },
    { "current", "A", 8, 20, 0.15, 3 },
};

void signal_init(struct signal *s, uint32_t metric, uint64_t seed, int64_t start_ms)
{
    assert(metric < SIGNAL_METRICS);
    const struct signal_metric *m = &SIGNAL_METRIC[metric];
    uint64_t chance = seed;
    *s = (struct signal){ .metric = m, .start_ms = start_ms };
    s->base = chance_between(&chance, m->base_low, m->base_high);
    s->noise_sd = m->noise_sd * chance_between(&chance, 0.5, 2);
    s->daily = s->noise_sd * chance_between(&chance, 3, 8);
    s->daily_phase = chance_between(&chance, 0, TWO_PI);
    s->drift_per_ms = s->noise_sd * chance_between(&chance, -2, 2) / 8.64e7;
    s->noise = s->noise_sd * signal_normal(&chance);
    s->chance = chance;
}

double signal_normal(uint64_t *chance)
{
    double u = 1 - chance_unit(chance); /* (0, 1]: its logarithm is finite */
    double angle = TWO_PI * chance_unit(chance);
    return sqrt(-2 * log(u)) * cos(angle);
}

double signal_next(struct signal *s, int64_t time_ms)
{
    /* The innovation is scaled so that the noise keeps the deviation noise_sd. */
    double innovation = s->noise_sd * sqrt(1 - SIGNAL_MEMORY * SIGNAL_MEMORY);
    s->noise = SIGNAL_MEMORY * s->noise + innovation * signal_normal(&s->chance);
    double day = (double)(time_ms % 86400000) / 8.64e7;
    double cycle = s->daily * sin(TWO_PI * day + s->daily_phase);
    double drift = s->drift_per_ms * (double)(time_ms - s->start_ms);
    return s->base + cycle + drift + s->noise;
}

double signal_round(const struct signal *s, double value)
{
    double scale = pow(10, s->metric->digits);
    return round(value * scale) / scale;
}
