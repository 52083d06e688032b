#include "pipeline/detect/baseline.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* Memories, in readings. */
static const float LEVEL_MEMORY = 500, ERROR_WINDOW = 10, LONG_MEMORY = 4000;
static const float ERROR_MEMORY = 1000, VALUES_MEMORY = 2000;
static const float INTERVAL_MEMORY = 100;

static const float GAP_INTERVALS_MAX = 4; /* an outage does not change the rhythm */
static const float GAP_S_MAX = 86400, GAP_S_MAX_SLOW = 7 * 86400;

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

/* A pattern that is not the oddest of some 4000 readings counts less, once those are many. */
static const float HABIT_SHARE = 0.9f;
static const float JUMP_MARGIN = 0.3f;

/* Faster than once a second, long memories count seconds: a reading counts as many as lie between
 * two. Slower than once an hour, a series is known earlier, against a bar that is twice as high at
 * first. */
static const float SLOW_S = 3600, SLOW_BAR = 50;

enum {
    AGE_SLOW = 50,     /* readings before anything is said of a slow series */
    AGE_COMPARED = 100, /* before weekends can be like other days */
    AGE_HABIT = 1000,
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
    float young;    /* its weight in a mean of all readings so far */
    float by_error, by_long; /* in means over ERROR_MEMORY and LONG_MEMORY */
    float leak;     /* of records */
    bool is_code;
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
    return sqrtf(value);
}

/* Of a reading in a mean that looks back so far; while young, each counts alike. */
static float weight(const struct baseline *b, const struct seen *seen, float memory)
{
    return larger(1 / memory * b->counts, seen->young);
}

static bool knows(const struct baseline *b)
{
    return b->age >= b->age_known;
}

static void spread_learn(struct baseline_spread *s, float by, float step)
{
    s->mean += by * step;
    s->variance = (1 - by) * (s->variance + by * step * step);
}

/* --- what is expected --- */

static void begin(struct baseline *b, float value)
{
    b->level = b->values.mean = b->highest = b->lowest = b->last[0] = b->last[1] = value;
    b->counts = 1;
    b->age_known = BASELINE_AGE_KNOWN;
}

static void see(struct baseline *b, const struct baseline_parts *parts,
                const struct baseline_reading *reading, struct seen *seen)
{
    const double most = BASELINE_VALUE_MAX;
    double value = reading->value > most ? most : reading->value < -most ? -most : reading->value;
    seen->value = (float)value;
    seen->is_code = false;
    if (b->age == 0)
        begin(b, seen->value);
    bool learnt = parts->seasons && b->age >= AGE_COMPARED;
    struct season_view hour = season_at(&b->season, reading->time_ms, b->level, learnt);
    uint16_t visits = hour.visits;
    seen->expected = hour.expected;
    seen->young = 1 / (float)(b->age + 1);
    seen->doubt = visits > 0 ? root(1 + 1.0f / (float)visits) : 1;
    seen->off = fabsf(seen->value - seen->expected);
    seen->error = visits > 0 || b->age > AGE_LEVEL ? seen->off / seen->doubt : 0;
    seen->believed = seen->value;
    seen->error_believed = seen->error;
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

static void set_pace(struct baseline *b)
{
    float interval_s = b->interval_s;
    b->counts = interval_s > 0 ? smaller(1, larger(BASELINE_COUNTS_LEAST, interval_s)) : 1;
    b->age_known = interval_s > SLOW_S ? AGE_SLOW : BASELINE_AGE_KNOWN;
}

static void learn_interval(struct baseline *b, const struct baseline_parts *parts, int64_t gap_ms,
                           float young)
{
    float gap_s = (float)gap_ms / 1000, before_s = b->interval_s;
    float gap_s_max = parts->pace ? GAP_S_MAX_SLOW : GAP_S_MAX;
    if (b->age > 0 && gap_s > 0 && gap_s < gap_s_max) {
        float step_s = smaller(gap_s, GAP_INTERVALS_MAX * before_s) - before_s;
        float by = larger(1 / INTERVAL_MEMORY, young);
        b->interval_s = before_s > 0 ? before_s + by * step_s : gap_s;
    }
    bool changed = b->interval_s > before_s || b->interval_s < before_s;
    if (!changed && b->age > 0)
        return;
    season_interval(&b->season, b->interval_s);
    if (parts->pace)
        set_pace(b);
}

static void learn_hour(struct baseline *b, const struct baseline_parts *parts,
                       const struct seen *seen)
{
    const struct season_lesson lesson = {
        .value = seen->believed,
        .level = b->level,
        .weight = seen->by_error,
        .interval_s = b->interval_s,
        .known = parts->seasons && knows(b),
    };
    season_learn(&b->season, &lesson);
    b->level += weight(b, seen, LEVEL_MEMORY) * (seen->believed - b->level);
}

/* How odd the pattern is against the oddest of late. */
static float by_habit(struct baseline *b, float term)
{
    float share = b->age > AGE_HABIT && term < b->pattern_max ? HABIT_SHARE : 1;
    if (term > b->pattern_max)
        b->pattern_max = term;
    else
        b->pattern_max -= b->counts / LONG_MEMORY * b->pattern_max;
    return share * term;
}

/* The mean of ten errors against what it usually is, in its own deviations. The step is not
 * clipped: that a noisy series widens the spread is what makes it less sensitive. */
static float pattern_term(struct baseline *b, const struct baseline_parts *parts,
                          const struct seen *seen)
{
    float by = larger(1 / ERROR_WINDOW, seen->young);
    b->error += by * (seen->error_believed - b->error);
    float step = b->error - b->errors.mean, deviation = root(b->errors.variance);
    float term = deviation > 0 ? step / deviation : step > 0 ? PATTERN_MAX : 0;
    spread_learn(&b->errors, seen->by_long, step);
    term = smaller(larger(term, 0), PATTERN_MAX);
    return parts->habit && knows(b) ? by_habit(b, term) : term;
}

/* By how much a record is beaten, in its distance from what is usual. */
static float beaten(float error, float most, float mean)
{
    if (error <= most)
        return 0;
    return most > mean ? (error - most) / (most - mean) : BEATEN_FLAT;
}

static float spike_worth(const struct baseline *b, float error, float margin)
{
    float by = beaten(error, b->error_max, b->error_mean);
    return by > margin ? SPIKE_WORTH * (1 + by) : 0;
}

static float leaked(const struct seen *seen, float record, float usual)
{
    return record - seen->leak * (record - usual);
}

static float spike_term(struct baseline *b, const struct seen *seen)
{
    float term = spike_worth(b, seen->error, SPIKE_MARGIN), error = seen->error_believed;
    b->error_mean += seen->by_error * (error - b->error_mean);
    b->error_max = error > b->error_max ? error : leaked(seen, b->error_max, b->error_mean);
    return term;
}

/* The same of what is left where the reading is compared with the two before it too: a step within
 * what the hour has seen. */
static float jump_term(struct baseline *b, const struct seen *seen)
{
    float error = smaller(fabsf(seen->value - b->last[0]), fabsf(seen->value - b->last[1]));
    error = smaller(error, seen->error_believed);
    float by = beaten(error, b->jump_max, b->jump_mean);
    if (knows(b) && b->jump_max > 0)
        error = smaller(error, FAR_ERRORS * b->jump_max);
    b->jump_mean += seen->by_error * (error - b->jump_mean);
    b->jump_max = error > b->jump_max ? error : leaked(seen, b->jump_max, b->jump_mean);
    b->last[1] = b->last[0];
    b->last[0] = seen->value;
    return by > JUMP_MARGIN ? SPIKE_WORTH * (1 + by) : 0;
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
        b->highest = leaked(seen, b->highest, b->values.mean);
    if (down > 0)
        b->lowest = bounded && down > range ? b->lowest - range : seen->value;
    else
        b->lowest = leaked(seen, b->lowest, b->values.mean);
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
    spread_learn(&b->values, weight(b, seen, VALUES_MEMORY), step);
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
    spread_learn(&b->sum, seen->by_long, step);
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

static void learn(struct baseline *b, const struct baseline_parts *parts,
                  const struct baseline_reading *reading, struct seen *seen,
                  float terms[REASON_TERMS])
{
    learn_interval(b, parts, reading->gap_ms, seen->young);
    seen->by_error = weight(b, seen, ERROR_MEMORY);
    seen->by_long = weight(b, seen, LONG_MEMORY);
    seen->leak = LEAK * b->counts;
    learn_hour(b, parts, seen);
    terms[REASON_PATTERN] = pattern_term(b, parts, seen);
    terms[REASON_SPIKE] = spike_term(b, seen);
    if (parts->jump)
        terms[REASON_SPIKE] = larger(terms[REASON_SPIKE], jump_term(b, seen));
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
    b->budget *= 1 - b->counts / BUDGET_MEMORY;
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

struct baseline_setting baseline_setting(enum sensitivity sensitivity)
{
    return (struct baseline_setting){ sensitivity, { true, true, true, true } };
}

struct baseline_finding baseline_take(struct baseline *b, const struct baseline_setting *setting,
                                      const struct baseline_reading *reading)
{
    const struct baseline_parts *parts = &setting->parts;
    struct seen seen;
    see(b, parts, reading, &seen);
    float bar = baseline_bar(setting->sensitivity);
    if (b->age_known < BASELINE_AGE_KNOWN)
        bar *= 1 + SLOW_BAR / (float)(b->age + 1);
    struct baseline_finding f = { .known = knows(b), .bar = bar };
    set_band(b, &seen, &f);
    if (is_outlier(b, &seen))
        f.terms[seen.is_code ? REASON_CODE : REASON_SPIKE] =
            SPIKE_WORTH * (1 + beaten(seen.error, b->error_max, b->error_mean));
    else
        learn(b, parts, reading, &seen, f.terms);
    if (f.known)
        judge(b, bar, &f);
    else
        memset(f.terms, 0, sizeof f.terms);
    if (b->age < BASELINE_AGE_MAX)
        b->age++;
    assert(f.low <= f.expected && f.expected <= f.high);
    return f;
}
