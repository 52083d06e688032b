#include "pipeline/detect/trend.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "pipeline/reading.h"

/* A line left to itself turns level over about so many readings. */
static const double SLOPE_KEPT = 0.98;

/* Of the level. */
static const double NEVER_MOVED_SPREAD = 0.2;

/* Residuals before the spread is believed and winsorising begins; readings before a series counts
 * as one that never moved. */
enum { STEPS_BELIEVED = 8 };

/* Repeats of one value from which on it says nothing more about the spread. */
enum { REPEATS_BELIEVED = 4 };

void trend_init(struct trend *t)
{
    memset(t, 0, sizeof *t);
}

static double clip(double value, double most)
{
    return value > most ? most : value < -most ? -most : value;
}

/* Variance of (next reading - line's forecast), over the variance of one reading: the forecast of a
 * least-squares line through n points is itself uncertain. */
static double forecast_factor(uint16_t age)
{
    double n = age < 2 ? 2 : age;
    return 1 + (4 * n + 2) / (n * (n - 1));
}

bool trend_knows(const struct trend *t, uint16_t readings)
{
    return t->steps >= readings || (t->quantum <= 0 && t->age >= readings);
}

static double spread_of(const struct trend *t)
{
    if (t->quantum <= 0)
        return t->age < STEPS_BELIEVED ? 0 : fabs(t->level) * NEVER_MOVED_SPREAD;
    if (t->steps < STEPS_BELIEVED)
        return 0;
    double floor = t->quantum / 2;
    double variance = t->variance > floor * floor ? t->variance : floor * floor;
    return sqrt(variance * forecast_factor(t->age));
}

struct deviation trend_judge(const struct trend *t, double value)
{
    assert(value >= -READING_NUMBER_MAX && value <= READING_NUMBER_MAX);
    struct deviation d = { .expected = t->level + t->slope, .spread = spread_of(t) };
    if (d.spread > 0)
        d.spreads = clip((value - d.expected) / d.spread, TREND_SPREADS_MAX);
    return d;
}

/* What two readings in a row say: the sensor's resolution, and whether it repeats itself. A step
 * beyond `most` (0: any counts) is a fault's, not the sensor's. */
static void learn_step(struct trend *t, struct trend_step step, double most)
{
    double by = fabs(step.value - step.previous);
    bool smallest = t->quantum <= 0 ? most <= 0 || by <= most : by < t->quantum;
    if (by > 0 && smallest)
        t->quantum = by;
    if (by > 0)
        t->repeats = 0;
    else if (t->repeats < UINT16_MAX)
        t->repeats++;
}

static void learn_line(struct trend *t, uint16_t memory, double residual)
{
    double kept = 1 - 1.0 / memory;
    double level_gain = 1 - kept * kept;
    double slope_gain = (1 - kept) * (1 - kept);
    double n = t->age;
    if (n < 4.0 * memory) { /* from there on the young gain is half the other at most */
        double young_level_gain = 2 * (2 * n - 1) / (n * (n + 1));
        if (young_level_gain > level_gain) {
            level_gain = young_level_gain;
            slope_gain = 6 / (n * (n + 1));
        }
    }
    t->level += t->slope + level_gain * residual;
    t->slope += slope_gain * residual;
}

static void learn_variance(struct trend *t, uint16_t memory, double residual)
{
    if (t->steps < memory)
        t->steps++;
    double square = residual * residual / forecast_factor((uint16_t)(t->age - 1));
    t->variance += (square - t->variance) / t->steps;
    assert(t->variance >= 0);
}

void trend_learn(struct trend *t, struct trend_memory memory, struct trend_step step,
                 const struct deviation *d)
{
    assert(memory.line >= 10 && memory.variance >= 10);
    if (t->age == 0 && t->steps == 0) {
        t->level = step.value;
        t->age = 1;
        return;
    }
    t->passed = 0;
    double residual = step.value - d->expected;
    if (d->spread > 0)
        residual = clip(residual, TREND_CLIP * d->spread);
    if (t->age < memory.line * 4)
        t->age++;
    learn_step(t, step, TREND_CLIP * d->spread);
    if (t->age > 2 && t->quantum > 0 && t->repeats <= REPEATS_BELIEVED)
        learn_variance(t, memory.variance, residual);
    learn_line(t, memory.line, residual);
}

void trend_pass(struct trend *t, struct trend_step step)
{
    t->level += t->slope;
    t->slope *= SLOPE_KEPT;
    if (t->passed < UINT16_MAX)
        t->passed++;
    learn_step(t, step, 0);
}

void trend_restart(struct trend *t, struct trend_step step)
{
    learn_step(t, step, 0);
    t->level = step.value;
    t->slope = 0;
    t->age = 1;
    t->passed = 0;
}

void trend_save(const struct trend *t, struct byte_writer *w)
{
    put_f64(w, t->level);
    put_f64(w, t->slope);
    put_f64(w, t->variance);
    put_f64(w, t->quantum);
    put_u16(w, t->age);
    put_u16(w, t->steps);
    put_u16(w, t->passed);
    put_u16(w, t->repeats);
}

void trend_load(struct trend *t, struct byte_reader *r)
{
    trend_init(t);
    t->level = get_finite(r);
    t->slope = get_finite(r);
    t->variance = get_finite(r);
    t->quantum = get_finite(r);
    t->age = get_u16(r);
    t->steps = get_u16(r);
    t->passed = get_u16(r);
    t->repeats = get_u16(r);
    if (t->variance < 0 || t->quantum < 0)
        r->failed = true;
}
