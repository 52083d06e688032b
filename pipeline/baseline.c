#include "pipeline/baseline.h"

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

void baseline_init(struct baseline *b)
{
    memset(b, 0, sizeof *b);
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

bool baseline_knows(const struct baseline *b, uint16_t readings)
{
    return b->steps >= readings || (b->quantum <= 0 && b->age >= readings);
}

static double spread_of(const struct baseline *b)
{
    if (b->quantum <= 0)
        return b->age < STEPS_BELIEVED ? 0 : fabs(b->level) * NEVER_MOVED_SPREAD;
    if (b->steps < STEPS_BELIEVED)
        return 0;
    double floor = b->quantum / 2;
    double variance = b->variance > floor * floor ? b->variance : floor * floor;
    return sqrt(variance * forecast_factor(b->age));
}

struct deviation baseline_judge(const struct baseline *b, double value)
{
    assert(value >= -READING_NUMBER_MAX && value <= READING_NUMBER_MAX);
    struct deviation d = { .expected = b->level + b->slope, .spread = spread_of(b) };
    if (d.spread > 0)
        d.spreads = clip((value - d.expected) / d.spread, BASELINE_SPREADS_MAX);
    return d;
}

/* What two readings in a row say: the sensor's resolution, and whether it repeats itself. A step
 * beyond `most` (0: any counts) is a fault's, not the sensor's. */
static void learn_step(struct baseline *b, struct baseline_step step, double most)
{
    double by = fabs(step.value - step.previous);
    bool smallest = b->quantum <= 0 ? most <= 0 || by <= most : by < b->quantum;
    if (by > 0 && smallest)
        b->quantum = by;
    if (by > 0)
        b->repeats = 0;
    else if (b->repeats < UINT16_MAX)
        b->repeats++;
}

static void learn_line(struct baseline *b, uint16_t memory, double residual)
{
    double kept = 1 - 1.0 / memory;
    double level_gain = 1 - kept * kept;
    double slope_gain = (1 - kept) * (1 - kept);
    double n = b->age;
    double young_level_gain = 2 * (2 * n - 1) / (n * (n + 1));
    double young_slope_gain = 6 / (n * (n + 1));
    if (young_level_gain > level_gain) {
        level_gain = young_level_gain;
        slope_gain = young_slope_gain;
    }
    b->level += b->slope + level_gain * residual;
    b->slope += slope_gain * residual;
}

static void learn_variance(struct baseline *b, uint16_t memory, double residual)
{
    if (b->steps < memory)
        b->steps++;
    double square = residual * residual / forecast_factor((uint16_t)(b->age - 1));
    b->variance += (square - b->variance) / b->steps;
    assert(b->variance >= 0);
}

void baseline_learn(struct baseline *b, struct baseline_memory memory, struct baseline_step step,
                    const struct deviation *d)
{
    assert(memory.line >= 10 && memory.variance >= 10);
    if (b->age == 0 && b->steps == 0) {
        b->level = step.value;
        b->age = 1;
        return;
    }
    b->passed = 0;
    double residual = step.value - d->expected;
    if (d->spread > 0)
        residual = clip(residual, BASELINE_CLIP * d->spread);
    if (b->age < memory.line * 4)
        b->age++;
    learn_step(b, step, BASELINE_CLIP * d->spread);
    if (b->age > 2 && b->quantum > 0 && b->repeats <= REPEATS_BELIEVED)
        learn_variance(b, memory.variance, residual);
    learn_line(b, memory.line, residual);
}

void baseline_pass(struct baseline *b, struct baseline_step step)
{
    b->level += b->slope;
    b->slope *= SLOPE_KEPT;
    if (b->passed < UINT16_MAX)
        b->passed++;
    learn_step(b, step, 0);
}

void baseline_restart(struct baseline *b, struct baseline_step step)
{
    learn_step(b, step, 0);
    b->level = step.value;
    b->slope = 0;
    b->age = 1;
    b->passed = 0;
}

void baseline_save(const struct baseline *b, struct byte_writer *w)
{
    put_f64(w, b->level);
    put_f64(w, b->slope);
    put_f64(w, b->variance);
    put_f64(w, b->quantum);
    put_u16(w, b->age);
    put_u16(w, b->steps);
    put_u16(w, b->passed);
    put_u16(w, b->repeats);
}

void baseline_load(struct baseline *b, struct byte_reader *r)
{
    baseline_init(b);
    b->level = get_finite(r);
    b->slope = get_finite(r);
    b->variance = get_finite(r);
    b->quantum = get_finite(r);
    b->age = get_u16(r);
    b->steps = get_u16(r);
    b->passed = get_u16(r);
    b->repeats = get_u16(r);
    if (b->variance < 0 || b->quantum < 0)
        r->failed = true;
}
