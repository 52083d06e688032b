#include "pipeline/detect/siblings.h"

#include <math.h>
#include <string.h>

static const float LINE_MEMORY = 2000, WINDOW = 10, LONG_MEMORY = 4000, USUAL_MEMORY = 1000;
static const float EXPLAINED = 0.5f, EXPLAINED_BETTER = 0.1f; /* parts of the variance */
static const float TERM_SHARE = 0.7f, TERM_MAX = 20, RECORD_MARGIN = 0.3f, RECORD_WORTH = 6;
static const float FAR = 5, LEAK = 1e-5f;

enum { TRIAL = 200, LINE_YOUNG = 300, LINE_KNOWN = 600, AGE_MAX = 60000 };

static float larger(float a, float b)
{
    return a > b ? a : b;
}

static float smaller(float a, float b)
{
    return a < b ? a : b;
}

static void line_take(struct sibling_line *l, float x, float y)
{
    float by = larger(1 / LINE_MEMORY, 1 / (float)(l->age + 1));
    if (l->age == 0) {
        l->mean_x = x;
        l->mean_y = y;
    }
    float step_x = x - l->mean_x, step_y = y - l->mean_y;
    l->mean_x += by * step_x;
    l->mean_y += by * step_y;
    l->variance_x = (1 - by) * (l->variance_x + by * step_x * step_x);
    l->variance_y = (1 - by) * (l->variance_y + by * step_y * step_y);
    l->covariance = (1 - by) * (l->covariance + by * step_x * step_y);
    if (l->age < AGE_MAX)
        l->age++;
}

/* Of y's variance by x, 0 to 1. */
static float explained(const struct sibling_line *l)
{
    if (!(l->variance_x > 0) || !(l->variance_y > 0))
        return 0;
    float slope = l->covariance / l->variance_x;
    return smaller(slope * (l->covariance / l->variance_y), 1);
}

bool siblings_known(const struct siblings *s)
{
    return s->line.age >= LINE_KNOWN && explained(&s->line) >= EXPLAINED;
}

static float weight(const struct siblings *s, float memory)
{
    return larger(1 / memory, 1 / (float)(s->line.age - LINE_YOUNG + 1));
}

static float judge(struct siblings *s, float off)
{
    float distance = s->left_max - s->left_usual, beyond = off - s->left_max;
    float record = beyond > RECORD_MARGIN * distance && distance > 0
                       ? RECORD_WORTH * (1 + beyond / distance) : 0;
    if (s->left_max > 0)
        off = smaller(off, FAR * s->left_max);
    s->left += weight(s, WINDOW) * (off - s->left);
    float step = s->left - s->left_mean, deviation = (float)sqrt((double)s->left_variance);
    float term = deviation > 0 ? TERM_SHARE * smaller(larger(step / deviation, 0), TERM_MAX) : 0;
    float by = weight(s, LONG_MEMORY);
    s->left_mean += by * step;
    s->left_variance = (1 - by) * (s->left_variance + by * step * step);
    s->left_usual += weight(s, USUAL_MEMORY) * (off - s->left_usual);
    s->left_max = off > s->left_max ? off : s->left_max - LEAK * distance;
    return smaller(larger(term, record), TERM_MAX);
}

static float beside_partner(struct siblings *s, float value, float partner)
{
    const struct sibling_line *l = &s->line;
    float term = 0;
    if (l->age >= LINE_YOUNG && explained(l) >= EXPLAINED) {
        float expected = l->mean_y + l->covariance / l->variance_x * (partner - l->mean_x);
        term = judge(s, fabsf(value - expected));
    }
    line_take(&s->line, partner, value);
    return siblings_known(s) ? term : 0;
}

/* The candidate takes the partner's place where it explains more. */
static void end_trial(struct siblings *s, uint32_t next)
{
    if (explained(&s->trial) > explained(&s->line) + EXPLAINED_BETTER &&
        s->candidate != s->partner) {
        s->partner = s->candidate;
        s->line = s->trial;
        s->left = s->left_mean = s->left_variance = s->left_max = s->left_usual = 0;
    }
    memset(&s->trial, 0, sizeof s->trial);
    s->candidate = next;
}

float siblings_take(struct siblings *s, float value, const struct sibling *partner,
                    const struct sibling *candidate, uint32_t next)
{
    float term = 0;
    if (!s->begun) {
        s->begun = true;
        s->partner = SIBLINGS_NONE;
        s->candidate = next;
        return 0;
    }
    if (partner->series != SIBLINGS_NONE && partner->series == s->partner)
        term = beside_partner(s, value, partner->value);
    bool here = candidate->series != SIBLINGS_NONE && candidate->series == s->candidate;
    if (here)
        line_take(&s->trial, candidate->value, value);
    if (!here || s->trial.age >= TRIAL)
        end_trial(s, next);
    return term;
}

/* --- keeping --- */

static void line_save(const struct sibling_line *l, struct byte_writer *w)
{
    put_f32(w, l->mean_x);
    put_f32(w, l->mean_y);
    put_f32(w, l->variance_x);
    put_f32(w, l->variance_y);
    put_f32(w, l->covariance);
    put_u16(w, l->age);
}

static void line_load(struct sibling_line *l, struct byte_reader *r)
{
    const float square = STATISTIC_MAX * STATISTIC_MAX;
    l->mean_x = get_f32_within(r, -STATISTIC_MAX, STATISTIC_MAX);
    l->mean_y = get_f32_within(r, -STATISTIC_MAX, STATISTIC_MAX);
    l->variance_x = get_f32_within(r, 0, square);
    l->variance_y = get_f32_within(r, 0, square);
    l->covariance = get_f32_within(r, -square, square);
    l->age = get_u16(r);
    if (l->age > AGE_MAX)
        r->failed = true;
}

void siblings_save(const struct siblings *s, struct byte_writer *w)
{
    put_u32(w, s->partner);
    put_u32(w, s->candidate);
    line_save(&s->line, w);
    line_save(&s->trial, w);
    put_f32(w, s->left);
    put_f32(w, s->left_mean);
    put_f32(w, s->left_variance);
    put_f32(w, s->left_max);
    put_f32(w, s->left_usual);
    put_bool(w, s->begun);
}

void siblings_load(struct siblings *s, struct byte_reader *r)
{
    s->partner = get_u32(r);
    s->candidate = get_u32(r);
    line_load(&s->line, r);
    line_load(&s->trial, r);
    s->left = get_f32_within(r, 0, STATISTIC_MAX);
    s->left_mean = get_f32_within(r, 0, STATISTIC_MAX);
    s->left_variance = get_f32_within(r, 0, STATISTIC_MAX * STATISTIC_MAX);
    s->left_max = get_f32_within(r, 0, STATISTIC_MAX);
    s->left_usual = get_f32_within(r, 0, STATISTIC_MAX);
    s->begun = get_bool(r);
}
