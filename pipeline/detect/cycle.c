#include "pipeline/detect/cycle.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { ROUND = 128, AGE_MAX = 64000, AGE_SETTLED = 100, PERIODS_SETTLED = 80, AGE_DOUBTED = 300 };

/* It is a period where a whole one is so much nearer than a half; another one must be nearer by a
 * fifth; it is none any more at 1.3 times that. */
static const float FIT = 0.4f, FIT_BETTER = 0.8f, FIT_LOST = 0.52f, FIT_WEAR = 1.05f;
static const float DOUBT_MEMORY = 256, LONG_MEMORY = 4000, USUAL_MEMORY = 1000, WINDOW = 0.5f;
static const float FAR_ERRORS = 5, LEAK = 2e-4f, RECORD_MARGIN = 0.3f, RECORD_WORTH = 6;
static const float TERM_MAX = 20;

static float larger(float a, float b)
{
    return a > b ? a : b;
}

static float smaller(float a, float b)
{
    return a < b ? a : b;
}

/* The nearest of the readings `ago`, and `reach` to both sides. */
static float nearest(const struct cycle *c, float value, int ago, int reach)
{
    float best = INFINITY;
    int first = ago - reach < 1 ? 1 : ago - reach;
    int last = ago + reach > CYCLE_READINGS ? CYCLE_READINGS : ago + reach;
    int at = c->at - first;
    at = at < 0 ? at + CYCLE_READINGS : at;
    for (int i = first; i <= last; i++) {
        best = smaller(best, fabsf(value - c->readings[at]));
        at = at == 0 ? CYCLE_READINGS - 1 : at - 1;
    }
    return best;
}

/* --- finding a period --- */

static void adopt(struct cycle *c, int period, float fit)
{
    int off = period - c->period;
    bool same = c->period > 0 && off >= -1 && off <= 1;
    c->period = (uint8_t)period;
    c->fit = fit;
    if (same)
        return;
    c->whole = c->half = c->error = c->error_mean = c->error_variance = 0;
    c->error_max = c->error_usual = 0;
    c->age = 0;
}

/* Two and three periods are no better period. */
static bool is_multiple(const struct cycle *c, int period)
{
    int rest = c->period > 0 ? period % c->period : period;
    return c->period > 0 && period > c->period + 2 && (rest <= 2 || rest >= c->period - 2);
}

static void end_round(struct cycle *c)
{
    for (int i = 0; i < CYCLE_TRIED; i++) {
        const struct cycle_trial *t = &c->trials[i];
        int period = c->tried + i;
        float other = smaller(t->half, t->more);
        bool fits = period <= CYCLE_PERIOD_MAX && t->whole < FIT * other;
        if (fits && !is_multiple(c, period) &&
            (c->period == 0 || t->whole < FIT_BETTER * c->fit * other))
            adopt(c, period, t->whole / other);
    }
    memset(c->trials, 0, sizeof c->trials);
    c->fit = smaller(c->fit * FIT_WEAR, FIT);
    c->round = 0;
    c->tried = (uint8_t)(c->tried + CYCLE_TRIED);
    if (c->tried > CYCLE_PERIOD_MAX)
        c->tried = CYCLE_PERIOD_MIN;
}

static void try_periods(struct cycle *c, float value)
{
    for (int i = 0; i < CYCLE_TRIED && c->tried + i <= CYCLE_PERIOD_MAX; i++) {
        int period = c->tried + i, half = period / 2, more = period + half;
        struct cycle_trial *t = &c->trials[i];
        float near_half = nearest(c, value, half, 1);
        t->whole += nearest(c, value, period, 1);
        t->half += near_half;
        t->more += more < CYCLE_READINGS ? nearest(c, value, more, 1) : near_half;
    }
    if (++c->round >= ROUND)
        end_round(c);
}

static void doubt(struct cycle *c, float value)
{
    c->whole += (nearest(c, value, c->period, 1) - c->whole) / DOUBT_MEMORY;
    c->half += (nearest(c, value, c->period / 2, 1) - c->half) / DOUBT_MEMORY;
    if (c->age > AGE_DOUBTED && c->whole > FIT_LOST * c->half)
        c->period = 0;
}

/* --- what breaks it --- */

static float weight(const struct cycle *c, float memory)
{
    return larger(1 / memory, 1 / (float)(c->age + 1));
}

static float judge(struct cycle *c)
{
    float step = c->error - c->error_mean;
    float deviation = (float)sqrt((double)c->error_variance);
    float term = deviation > 0 ? smaller(larger(step / deviation, 0), TERM_MAX) : 0;
    float distance = c->error_max - c->error_usual, beyond = c->error - c->error_max;
    if (beyond > RECORD_MARGIN * distance && distance > 0)
        term = larger(term, RECORD_WORTH * (1 + beyond / distance));
    float by = weight(c, LONG_MEMORY);
    c->error_mean += by * step;
    c->error_variance = (1 - by) * (c->error_variance + by * step * step);
    c->error_usual += weight(c, USUAL_MEMORY) * (c->error - c->error_usual);
    c->error_max = beyond > 0 ? c->error : c->error_max - LEAK * distance;
    return term;
}

static float compare(struct cycle *c, float value)
{
    bool settled = c->age >= PERIODS_SETTLED * c->period + AGE_SETTLED;
    float error = nearest(c, value, c->period, 1 + c->period / 24);
    if (settled && c->error_max > 0)
        error = smaller(error, FAR_ERRORS * c->error_max);
    c->error += weight(c, larger(1, WINDOW * (float)c->period)) * (error - c->error);
    float term = judge(c);
    if (c->age < AGE_MAX)
        c->age++;
    return settled ? smaller(term, TERM_MAX) : 0;
}

float cycle_take(struct cycle *c, float value)
{
    float term = 0;
    if (c->tried < CYCLE_PERIOD_MIN)
        c->tried = CYCLE_PERIOD_MIN;
    if (c->filled == CYCLE_READINGS) {
        try_periods(c, value);
        if (c->period > 0)
            doubt(c, value);
        if (c->period > 0)
            term = compare(c, value);
    } else {
        c->filled++;
    }
    c->readings[c->at] = value;
    c->at = c->at + 1 == CYCLE_READINGS ? 0 : (uint8_t)(c->at + 1);
    assert(c->period == 0 || c->period >= CYCLE_PERIOD_MIN);
    return term;
}

/* --- keeping --- */

void cycle_save(const struct cycle *c, struct byte_writer *w)
{
    for (int i = 0; i < CYCLE_READINGS; i++)
        put_f32(w, c->readings[i]);
    for (int i = 0; i < CYCLE_TRIED; i++) {
        put_f32(w, c->trials[i].whole);
        put_f32(w, c->trials[i].half);
        put_f32(w, c->trials[i].more);
    }
    const float singles[] = { c->whole, c->half, c->fit, c->error, c->error_mean,
                              c->error_variance, c->error_max, c->error_usual };
    for (size_t i = 0; i < sizeof singles / sizeof singles[0]; i++)
        put_f32(w, singles[i]);
    put_u16(w, c->age);
    put_u8(w, c->at);
    put_u8(w, c->filled);
    put_u8(w, c->period);
    put_u8(w, c->tried);
    put_u8(w, c->round);
}

static bool is_sound(const struct cycle *c)
{
    bool period = c->period == 0 ||
                  (c->period >= CYCLE_PERIOD_MIN && c->period <= CYCLE_PERIOD_MAX);
    bool tried = c->tried == 0 || (c->tried >= CYCLE_PERIOD_MIN && c->tried <= CYCLE_PERIOD_MAX);
    return period && tried && c->age <= AGE_MAX && c->at < CYCLE_READINGS &&
           c->filled <= CYCLE_READINGS && c->round < ROUND;
}

void cycle_load(struct cycle *c, struct byte_reader *r)
{
    for (int i = 0; i < CYCLE_READINGS; i++)
        c->readings[i] = get_f32_within(r, -STATISTIC_MAX, STATISTIC_MAX);
    for (int i = 0; i < CYCLE_TRIED; i++) {
        c->trials[i].whole = get_f32_within(r, 0, STATISTIC_MAX);
        c->trials[i].half = get_f32_within(r, 0, STATISTIC_MAX);
        c->trials[i].more = get_f32_within(r, 0, STATISTIC_MAX);
    }
    float *const singles[] = { &c->whole, &c->half, &c->fit, &c->error, &c->error_mean,
                               &c->error_variance, &c->error_max, &c->error_usual };
    for (size_t i = 0; i < sizeof singles / sizeof singles[0]; i++)
        *singles[i] = get_f32_within(
            r, 0, singles[i] == &c->error_variance ? STATISTIC_MAX * STATISTIC_MAX : STATISTIC_MAX);
    c->age = get_u16(r);
    c->at = get_u8(r);
    c->filled = get_u8(r);
    c->period = get_u8(r);
    c->tried = get_u8(r);
    c->round = get_u8(r);
    if (!is_sound(c))
        r->failed = true;
}
