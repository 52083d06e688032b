#include "pipeline/detect/baseline.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* Memories, in readings. */
static const float LEVEL_MEMORY = 500, ERROR_WINDOW = 10, LONG_MEMORY = 4000;
static const float ERROR_MEMORY = 1000, VALUES_MEMORY = 2000;
static const float INTERVAL_MEMORY = 100;

/* An hour is replaced by what the same hour of another day shows so far in one visit, at any rate
 * of readings: its mean keeps 0.6 of itself. */
static const double HOUR_KEPT_LOG = -0.51082562376599068; /* log(0.6) */
static const float HOUR_S = 3600;
enum { VISITS_MAX = 65000, VISITS_BORROWED = 3 };

static const float GAP_INTERVALS_MAX = 4; /* an outage does not change the rhythm */
static const float GAP_S_MAX = 86400;

/* A reading further off than so many of the largest errors is not believed until the next one is
 * as far off, and then only as if it were so far. */
static const float FAR_ERRORS = 5;

static const float LEAK = 1e-5f; /* of the records, a reading, towards what is usual */

/* By how much of the distance between usual and record the record must be beaten, and what a beaten
 * record is worth. */
static const float SPIKE_MARGIN = 0.1f, HIGH_MARGIN = 0.05f, LOW_MARGIN = 0.02f;
static const float SPIKE_WORTH = 6, RANGE_WORTH = 4.5f;
static const float BEATEN_FLAT = 10; /* where there was no distance at all */

static const float PATTERN_MAX = 20, SCORE_MAX = 20;
static const float STEP_MAX = 20, STEP_FLAT = 10, STEP_ALLOWED = 0.5f; /* of the sums, deviations */
static const float DRIFT_MAX = 5, DRIFT_SHARE = 0.3f;

static const float QUIET_DEVIATIONS = 0.5f;
enum { QUIET_LEAST = 30, QUIET_FACTOR = 2 };

/* The series' own alarm budget: each alarm raises the bar by a fifth, which is forgotten again. */
static const float BUDGET_SHARE = 0.2f, BUDGET_MEMORY = 4000;

enum {
    AGE_MAX = 4000,    /* older, no weight changes any more */
    AGE_LEVEL = 50,    /* readings before `level` can stand in for an hour */
    AGE_SUMS = 20      /* before deviations are believed */
};

struct seen { /* a reading, and what the series made of it before learning from it */
    float value, expected;
    float off;      /* |value - expected| */
    float error;    /* the same, allowing for an hour that few readings have made */
    float doubt;    /* by how much: off / error */
    float believed; /* value and error as they are learnt */
    float error_believed;
    uint16_t visits; /* of the hour */
    bool weekend;
    bool is_code;
    uint8_t hour;
};

static float larger(float a, float b)
{
    return a > b ? a : b;
}

static float smaller(float a, float b)
{
    return a < b ? a : b;
}

static float clip(float value, float most)
{
    return value > most ? most : value < -most ? -most : value;
}

static float root(float value)
{
    return (float)sqrt((double)value);
}

/* Of a new reading in a mean that looks back so far; while young, each counts alike. */
static float weight(const struct baseline *b, float memory)
{
    return larger(1 / memory, 1 / (float)(b->age + 1));
}

static bool knows(const struct baseline *b)
{
    return b->age >= BASELINE_AGE_KNOWN;
}

static void spread_learn(struct baseline_spread *s, float by, float step)
{
    s->mean += by * step;
    s->variance = (1 - by) * (s->variance + by * step * step);
}

/* --- what is expected --- */

static void set_hour(struct seen *seen, int64_t time_ms)
{
    const int64_t hour_ms = 3600000, day_ms = 24 * hour_ms;
    int64_t day = (time_ms >= 0 ? time_ms : time_ms - day_ms + 1) / day_ms;
    int64_t weekday = ((day + 4) % 7 + 7) % 7; /* 1970 began on a Thursday; Sunday is 0 */
    seen->hour = (uint8_t)((time_ms - day * day_ms) / hour_ms);
    seen->weekend = weekday == 0 || weekday == 6;
}

/* The first Saturday is taken to be like a weekday until it shows otherwise, and the reverse. */
static void borrow_hour(struct baseline *b, const struct seen *at)
{
    uint16_t visits = b->visits[!at->weekend][at->hour];
    if (b->visits[at->weekend][at->hour] > 0 || visits == 0)
        return;
    b->usual[at->weekend][at->hour] = b->usual[!at->weekend][at->hour];
    b->visits[at->weekend][at->hour] = visits < VISITS_BORROWED ? visits : VISITS_BORROWED;
}

static struct seen see(struct baseline *b, const struct baseline_reading *reading)
{
    const double most = BASELINE_VALUE_MAX;
    double value = reading->value > most ? most : reading->value < -most ? -most : reading->value;
    struct seen seen = { .value = (float)value };
    if (b->age == 0)
        b->level = b->values.mean = b->highest = b->lowest = seen.value;
    set_hour(&seen, reading->time_ms);
    borrow_hour(b, &seen);
    seen.visits = b->visits[seen.weekend][seen.hour];
    seen.expected = seen.visits > 0 ? b->usual[seen.weekend][seen.hour] : b->level;
    seen.doubt = seen.visits > 0 ? root(1 + 1.0f / (float)seen.visits) : 1;
    seen.off = fabsf(seen.value - seen.expected);
    seen.error = seen.visits > 0 || b->age > AGE_LEVEL ? seen.off / seen.doubt : 0;
    seen.believed = seen.value;
    seen.error_believed = seen.error;
    return seen;
}
/* What sensors say that are broken or gone: -127 (DS18B20), -999 and -9999, 65535. Not 85, which
 * the DS18B20 says after power-up: a single one is not believed anyway, and many a series is at 85
 * in earnest. */
static bool is_error_code(float value)
{
    static const float codes[] = { -127, -999, -9999, 65535 };
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (value <= codes[i] && value >= codes[i])
            return true;
    return false;
}

/* Whether nothing is to be learnt from the reading: it is the first in a row that is too far off to
 * be believed, or an error code as far off. Others are believed as far as can be. */
static bool is_outlier(struct baseline *b, struct seen *seen)
{
    float most = FAR_ERRORS * b->error_max;
    bool far = knows(b) && b->error_max > 0 && seen->off > most;
    b->far = (uint8_t)(!far ? 0 : b->far < 2 ? b->far + 1 : 2);
    if (!far)
        return false;
    seen->believed = seen->expected + clip(seen->value - seen->expected, most);
    seen->error_believed = smaller(seen->error, most);
    seen->is_code = is_error_code(seen->value);
    return b->far == 1 || seen->is_code;
}

/* --- what one reading teaches, and how unusual each part of it is --- */

/* 1 - 0.6^part for 0 < part <= 1: the series of 1 - exp(x), x = part log(0.6), to 1e-12. */
static float replaced(double part)
{
    double x = part * HOUR_KEPT_LOG, sum = 1;
    for (int n = 12; n >= 2; n--)
        sum = 1 + x / n * sum;
    return (float)(-x * sum);
}

static void learn_interval(struct baseline *b, int64_t gap_ms)
{
    float gap_s = (float)gap_ms / 1000;
    float before_s = b->interval_s;
    if (b->age > 0 && gap_s > 0 && gap_s < GAP_S_MAX) {
        float step_s = smaller(gap_s, GAP_INTERVALS_MAX * before_s) - before_s;
        b->interval_s = before_s > 0 ? before_s + weight(b, INTERVAL_MEMORY) * step_s : gap_s;
    }
    bool changed = b->interval_s > before_s || b->interval_s < before_s;
    if (!changed && b->age > 0)
        return;
    float visit = b->interval_s > 0 ? larger(HOUR_S / b->interval_s, 1) : 1; /* readings */
    b->gain = replaced(1 / (double)visit);
}

static void learn_hour(struct baseline *b, const struct seen *seen)
{
    float *usual = &b->usual[seen->weekend][seen->hour];
    float by = larger(b->gain, 1 / ((float)seen->visits + 1));
    *usual += by * (seen->believed - *usual);
    if (seen->visits < VISITS_MAX)
        b->visits[seen->weekend][seen->hour]++;
    b->level += weight(b, LEVEL_MEMORY) * (seen->believed - b->level);
}

/* The mean of ten errors against what it usually is, in its own deviations. The step is not
 * clipped: that a noisy series widens the spread is what makes it less sensitive. */
static float pattern_term(struct baseline *b, const struct seen *seen)
{
    b->error += weight(b, ERROR_WINDOW) * (seen->error_believed - b->error);
    float step = b->error - b->errors.mean, deviation = root(b->errors.variance);
    float term = deviation > 0 ? step / deviation : step > 0 ? PATTERN_MAX : 0;
    spread_learn(&b->errors, weight(b, LONG_MEMORY), step);
    return smaller(larger(term, 0), PATTERN_MAX);
}

/* By how much the largest error so far is beaten, in its distance from the usual error. */
static float error_beaten(const struct baseline *b, const struct seen *seen)
{
    float distance = b->error_max - b->error_mean;
    if (seen->error <= b->error_max)
        return 0;
    return distance > 0 ? (seen->error - b->error_max) / distance : BEATEN_FLAT;
}

static float spike_term(struct baseline *b, const struct seen *seen)
{
    float beaten = error_beaten(b, seen), error = seen->error_believed;
    b->error_mean += weight(b, ERROR_MEMORY) * (error - b->error_mean);
    b->error_max = error > b->error_max ? error
                                        : b->error_max - LEAK * (b->error_max - b->error_mean);
    return beaten > SPIKE_MARGIN ? SPIKE_WORTH * (1 + beaten) : 0;
}

/* A record moves by no more than the whole range at once, so that one wild reading does not make
 * the series blind to the next. */
static void range_terms(struct baseline *b, const struct seen *seen, float terms[REASON_TERMS])
{
    float range = b->highest - b->lowest;
    float up = seen->value - b->highest, down = b->lowest - seen->value;
    float up_beaten = up <= 0 ? 0 : range > 0 ? up / range : BEATEN_FLAT;
    float down_beaten = down <= 0 ? 0 : range > 0 ? down / range : BEATEN_FLAT;
    bool bounded = range > 0 && knows(b);
    if (up > 0)
        b->highest = bounded && up > range ? b->highest + range : seen->value;
    else
        b->highest -= LEAK * (b->highest - b->values.mean);
    if (down > 0)
        b->lowest = bounded && down > range ? b->lowest - range : seen->value;
    else
        b->lowest += LEAK * (b->values.mean - b->lowest);
    terms[REASON_HIGH] = up_beaten > HIGH_MARGIN ? RANGE_WORTH * (1 + up_beaten) : 0;
    terms[REASON_LOW] = down_beaten > LOW_MARGIN ? RANGE_WORTH * (1 + down_beaten) : 0;
}

/* Deviations of a reading from the mean, for the sums; learns both. */
static float value_step(struct baseline *b, const struct seen *seen)
{
    float step = seen->value - b->values.mean, deviation = root(b->values.variance);
    float deviations = 0;
    if (b->age > AGE_SUMS && deviation > 0)
        deviations = clip(step / deviation, STEP_MAX);
    else if (b->age > AGE_SUMS)
        deviations = step > 0 ? STEP_FLAT : step < 0 ? -STEP_FLAT : 0;
    if (knows(b))
        step = clip(step, FAR_ERRORS * larger(b->error_max, deviation));
    spread_learn(&b->values, weight(b, VALUES_MEMORY), step);
    return deviations;
}

/* Two-sided cumulative sums, and how far the larger is beyond where it usually is. */
static float drift_term(struct baseline *b, const struct seen *seen)
{
    float deviations = value_step(b, seen);
    b->above = larger(0, b->above + deviations - STEP_ALLOWED);
    b->below = larger(0, b->below - deviations - STEP_ALLOWED);
    float step = larger(b->above, b->below) - b->sum.mean, deviation = root(b->sum.variance);
    float term = deviation > 0 ? step / deviation : 0;
    spread_learn(&b->sum, weight(b, LONG_MEMORY), step);
    return DRIFT_SHARE * smaller(larger(term, 0), DRIFT_MAX);
}

static float silence_term(struct baseline *b, const struct seen *seen)
{
    float reach = QUIET_DEVIATIONS * root(b->values.variance);
    if (fabsf(seen->value - b->values.mean) < reach) {
        if (b->quiet < UINT16_MAX)
            b->quiet++;
    } else {
        b->quiet_max = b->quiet > b->quiet_max ? b->quiet : b->quiet_max;
        b->quiet = 0;
    }
    bool silent = b->age > BASELINE_AGE_KNOWN && b->quiet > QUIET_LEAST && b->quiet_max > 0 &&
                  b->quiet >= QUIET_FACTOR * b->quiet_max;
    return silent ? RANGE_WORTH : 0;
}

static void learn(struct baseline *b, const struct baseline_reading *reading,
                  const struct seen *seen, float terms[REASON_TERMS])
{
    learn_interval(b, reading->gap_ms);
    learn_hour(b, seen);
    terms[REASON_PATTERN] = pattern_term(b, seen);
    terms[REASON_SPIKE] = spike_term(b, seen);
    range_terms(b, seen, terms);
    terms[REASON_DRIFT] = drift_term(b, seen);
    terms[REASON_SILENCE] = silence_term(b, seen);
}

/* --- score and alarm --- */

/* Where no single reading raises an alarm. The range leaks: it may end short of what is usual. */
static void set_band(const struct baseline *b, const struct seen *seen, struct baseline_finding *f)
{
    float range = b->highest - b->lowest;
    float reach = seen->doubt * (b->error_max + SPIKE_MARGIN * (b->error_max - b->error_mean));
    float high = smaller(seen->expected + reach, b->highest + HIGH_MARGIN * range);
    float low = larger(seen->expected - reach, b->lowest - LOW_MARGIN * range);
    f->expected = seen->expected;
    f->high = larger(high, seen->expected);
    f->low = smaller(low, seen->expected);
}

static enum reason largest(const float terms[REASON_TERMS])
{
    enum reason reason = REASON_PATTERN;
    for (int i = REASON_SPIKE; i < REASON_TERMS; i++)
        if (i != REASON_DRIFT && terms[i] > terms[reason])
            reason = (enum reason)i;
    return reason;
}

/* It is a drift where it would be nothing without the drift's share, and the sums have grown for so
 * long that this can grow no more. */
static enum reason reason_of(const struct baseline_finding *f)
{
    float drift = f->terms[REASON_DRIFT];
    bool drifts = drift >= DRIFT_SHARE * DRIFT_MAX && f->score - drift < f->bar;
    return drifts ? REASON_DRIFT : largest(f->terms);
}

static void judge(struct baseline *b, float bar, struct baseline_finding *f)
{
    f->score = smaller(f->terms[largest(f->terms)], SCORE_MAX) + f->terms[REASON_DRIFT];
    b->budget *= 1 - 1 / BUDGET_MEMORY;
    if (b->latch > 0)
        b->latch--;
    f->bar = bar + b->budget;
    f->raised = f->score >= f->bar && b->latch == 0;
    if (f->score >= f->bar)
        b->reason = (uint8_t)reason_of(f);
    if (f->raised)
        b->budget += BUDGET_SHARE * bar;
    if (f->score >= f->bar || (f->score >= bar && b->latch > 0))
        b->latch = BASELINE_LATCH + 1;
    f->alarm = b->latch > 0;
    f->reason = f->alarm ? (enum reason)b->reason : REASON_NONE;
}

float baseline_bar(enum sensitivity sensitivity)
{
    assert(sensitivity < SENSITIVITIES);
    return sensitivity == SENSITIVITY_HIGH  ? 3.0f
           : sensitivity == SENSITIVITY_LOW ? 4.5f
                                            : 3.6f;
}

struct baseline_finding baseline_take(struct baseline *b, enum sensitivity sensitivity,
                                      const struct baseline_reading *reading)
{
    float bar = baseline_bar(sensitivity);
    struct seen seen = see(b, reading);
    struct baseline_finding f = { .known = knows(b), .bar = bar };
    set_band(b, &seen, &f);
    if (is_outlier(b, &seen))
        f.terms[seen.is_code ? REASON_CODE : REASON_SPIKE] =
            SPIKE_WORTH * (1 + error_beaten(b, &seen));
    else
        learn(b, reading, &seen, f.terms);
    if (f.known)
        judge(b, bar, &f);
    else
        memset(f.terms, 0, sizeof f.terms);
    if (b->age < AGE_MAX)
        b->age++;
    assert(f.low <= f.expected && f.expected <= f.high);
    return f;
}

/* --- keeping --- */

/* Larger than what readings within BASELINE_VALUE_MAX lead to, and its square is finite. */
static const float FLOAT_MAX = 1e18f;

static float get_within(struct byte_reader *r, float least, float most)
{
    float value = get_f32(r);
    if (value >= least && value <= most)
        return value;
    r->failed = true; /* also of a NaN */
    return 0;
}

static void spread_save(const struct baseline_spread *s, struct byte_writer *w)
{
    put_f32(w, s->mean);
    put_f32(w, s->variance);
}

static void spread_load(struct baseline_spread *s, struct byte_reader *r)
{
    s->mean = get_within(r, -FLOAT_MAX, FLOAT_MAX);
    s->variance = get_within(r, 0, FLOAT_MAX * FLOAT_MAX);
}

void baseline_save(const struct baseline *b, struct byte_writer *w)
{
    for (int i = 0; i < 2 * BASELINE_HOURS; i++) {
        put_f32(w, b->usual[i / BASELINE_HOURS][i % BASELINE_HOURS]);
        put_u16(w, b->visits[i / BASELINE_HOURS][i % BASELINE_HOURS]);
    }
    const float single[] = { b->interval_s, b->gain,    b->level, b->error, b->error_max,
                             b->error_mean, b->highest, b->lowest, b->above, b->below, b->budget };
    for (size_t i = 0; i < sizeof single / sizeof single[0]; i++)
        put_f32(w, single[i]);
    spread_save(&b->errors, w);
    spread_save(&b->values, w);
    spread_save(&b->sum, w);
    put_u16(w, b->quiet);
    put_u16(w, b->quiet_max);
    put_u16(w, b->age);
    put_u8(w, b->latch);
    put_u8(w, b->far);
    put_u8(w, b->reason);
}

void baseline_load(struct baseline *b, struct byte_reader *r)
{
    for (int i = 0; i < 2 * BASELINE_HOURS; i++) {
        b->usual[i / BASELINE_HOURS][i % BASELINE_HOURS] = get_within(r, -FLOAT_MAX, FLOAT_MAX);
        b->visits[i / BASELINE_HOURS][i % BASELINE_HOURS] = get_u16(r);
    }
    float *single[] = { &b->interval_s, &b->gain,    &b->level, &b->error, &b->error_max,
                        &b->error_mean, &b->highest, &b->lowest, &b->above, &b->below, &b->budget };
    for (size_t i = 0; i < sizeof single / sizeof single[0]; i++)
        *single[i] = get_within(r, -FLOAT_MAX, FLOAT_MAX);
    spread_load(&b->errors, r);
    spread_load(&b->values, r);
    spread_load(&b->sum, r);
    b->quiet = get_u16(r);
    b->quiet_max = get_u16(r);
    b->age = get_u16(r);
    b->latch = get_u8(r);
    b->far = get_u8(r);
    b->reason = get_u8(r);
    if (b->interval_s < 0 || b->gain < 0 || b->gain > 1 || b->error_max < 0 || b->above < 0 ||
        b->below < 0 || b->budget < 0 || b->age > AGE_MAX || b->latch > BASELINE_LATCH + 1 ||
        b->far > 2 || b->reason >= REASON_TERMS)
        r->failed = true;
}
