#include "pipeline/detect/baseline_season.h"

#include <assert.h>
#include <math.h>

/* An hour is replaced by what the same hour of another day shows so far in one visit, at any rate
 * of readings: its mean keeps 0.6 of itself. */
static const double HOUR_KEPT_LOG = -0.51082562376599068; /* log(0.6) */
static const float HOUR_S = 3600;
enum { VISITS_MAX = 65000, VISITS_BORROWED = 3 };

/* All days are taken to be alike where that has been so much nearer to the readings. */
static const float ALIKE_BETTER = 0.95f;

/* A clock was put forward or back where an hour's shift would have halved the errors of six
 * hours; not before five days, nor so soon again. */
static const float SHIFT_BETTER = 0.5f, SHIFT_MEMORY_S = 6 * 3600, SHIFT_SETTLED_S = 5 * 86400;
static const float SHIFT_WEIGHT_MAX = 0.2f;
static const int64_t HOUR_MS = 3600000;

static bool is_weekend(int weekday)
{
    return weekday == 0 || weekday == 6;
}

static void set_hour(struct season_view *view, int64_t time_ms)
{
    const int64_t day_ms = 24 * HOUR_MS;
    int64_t day = (time_ms >= 0 ? time_ms : time_ms - day_ms + 1) / day_ms;
    view->weekday = (uint8_t)(((day + 4) % 7 + 7) % 7); /* 1970 began on a Thursday */
    view->hour = (uint8_t)((time_ms - day * day_ms) / HOUR_MS);
    view->weekend = is_weekend(view->weekday);
}

/* The first Saturday is taken to be like a weekday until it shows otherwise, and the reverse. */
static void borrow_hour(struct season *s, const struct season_view *at)
{
    uint16_t visits = s->visits[!at->weekend][at->hour];
    if (s->visits[at->weekend][at->hour] > 0 || visits == 0)
        return;
    s->usual[at->weekend][at->hour] = s->usual[!at->weekend][at->hour];
    s->visits[at->weekend][at->hour] = visits < VISITS_BORROWED ? visits : VISITS_BORROWED;
}

static uint32_t visits_of_all(const struct season *s, uint8_t hour)
{
    return (uint32_t)s->visits[0][hour] + s->visits[1][hour];
}

void season_at(struct season *s, int64_t time_ms, float level, bool learnt,
               struct season_view *view)
{
    set_hour(view, time_ms + s->shift_hours * HOUR_MS);
    borrow_hour(s, view);
    view->visits = s->visits[view->weekend][view->hour];
    view->expected = view->visits > 0 ? s->usual[view->weekend][view->hour] : level;
    if (learnt && view->visits > 0 && s->lead > 0) {
        uint32_t all = visits_of_all(s, view->hour);
        view->visits = (uint16_t)(all < VISITS_MAX ? all : VISITS_MAX);
        view->expected = s->every_day[view->hour];
    }
}

/* 1 - 0.6^part for 0 < part <= 1: the series of 1 - exp(x), x = part log(0.6), to 1e-12. */
static float replaced(double part)
{
    double x = part * HOUR_KEPT_LOG, sum = 1;
    for (int n = 12; n >= 2; n--)
        sum = 1 + x / n * sum;
    return (float)(-x * sum);
}

void season_interval(struct season *s, float interval_s)
{
    float visit = interval_s > 0 && interval_s < HOUR_S ? HOUR_S / interval_s : 1; /* readings */
    s->gain = replaced(1 / (double)visit);
}

/* |value - mean| as the tables stand, and read an hour back and on; false where not all three hours
 * have been seen on two days. */
static bool shifted_errors(const struct season *s, const struct season_view *at,
                           const struct season_lesson *l, float errors[SEASON_SHIFTS])
{
    float visit = l->interval_s < HOUR_S ? HOUR_S / l->interval_s : 1;
    bool seen = l->interval_s > 0;
    for (int i = 0; i < SEASON_SHIFTS; i++) {
        int hour = at->hour + i - 1, weekday = at->weekday;
        if (hour < 0 || hour >= SEASON_HOURS) {
            weekday = (weekday + (hour < 0 ? 6 : 1)) % 7;
            hour = hour < 0 ? SEASON_HOURS - 1 : 0;
        }
        bool weekend = is_weekend(weekday);
        seen = seen && (float)s->visits[weekend][hour] > visit;
        errors[i] = fabsf(l->value - s->usual[weekend][hour]);
    }
    return seen;
}

static void learn_shift(struct season *s, const struct season_view *at,
                        const struct season_lesson *l)
{
    float errors[SEASON_SHIFTS];
    if (!shifted_errors(s, at, l, errors))
        return;
    float by = l->interval_s / SHIFT_MEMORY_S;
    by = by > SHIFT_WEIGHT_MAX ? SHIFT_WEIGHT_MAX : by;
    for (int i = 0; i < SEASON_SHIFTS; i++)
        s->shift_errors[i] += by * (errors[i] - s->shift_errors[i]);
    if (s->settled_s < SHIFT_SETTLED_S)
        s->settled_s += l->interval_s;
    int nearer = s->shift_errors[0] < s->shift_errors[2] ? 0 : 2;
    if (s->settled_s < SHIFT_SETTLED_S ||
        s->shift_errors[nearer] >= SHIFT_BETTER * s->shift_errors[1])
        return;
    s->shift_hours = (int8_t)((s->shift_hours + nearer - 1) % SEASON_HOURS);
    s->shift_errors[0] = s->shift_errors[1] = s->shift_errors[2] = s->shift_errors[nearer];
    s->settled_s = 0;
}

void season_learn(struct season *s, const struct season_view *at, const struct season_lesson *l)
{
    float *usual = &s->usual[at->weekend][at->hour], *every_day = &s->every_day[at->hour];
    uint16_t visits = s->visits[at->weekend][at->hour];
    uint32_t all = visits_of_all(s, at->hour);
    float apart = fabsf(l->value - (visits > 0 ? *usual : l->level));
    float alike = fabsf(l->value - (all > 0 ? *every_day : l->level));
    s->lead += l->weight * (ALIKE_BETTER * apart - alike - s->lead);
    if (l->known)
        learn_shift(s, at, l);
    float by = 1 / ((float)visits + 1);
    *usual += (by > s->gain ? by : s->gain) * (l->value - *usual);
    by = 1 / ((float)all + 1);
    *every_day += (by > s->gain ? by : s->gain) * (l->value - *every_day);
    if (visits < VISITS_MAX)
        s->visits[at->weekend][at->hour]++;
}

/* --- keeping --- */

/* Larger than what readings lead to, and its square is finite. */
static const float FLOAT_MAX = 1e18f;

static float get_within(struct byte_reader *r, float least)
{
    float value = get_f32(r);
    if (value >= least && value <= FLOAT_MAX)
        return value;
    r->failed = true; /* also of a NaN */
    return 0;
}

void season_save(const struct season *s, struct byte_writer *w)
{
    for (int i = 0; i < 2 * SEASON_HOURS; i++) {
        put_f32(w, s->usual[i / SEASON_HOURS][i % SEASON_HOURS]);
        put_u16(w, s->visits[i / SEASON_HOURS][i % SEASON_HOURS]);
    }
    for (int i = 0; i < SEASON_HOURS; i++)
        put_f32(w, s->every_day[i]);
    put_f32(w, s->gain);
    put_f32(w, s->lead);
    for (int i = 0; i < SEASON_SHIFTS; i++)
        put_f32(w, s->shift_errors[i]);
    put_f32(w, s->settled_s);
    put_u8(w, (uint8_t)(s->shift_hours + SEASON_HOURS));
}

void season_load(struct season *s, struct byte_reader *r)
{
    for (int i = 0; i < 2 * SEASON_HOURS; i++) {
        s->usual[i / SEASON_HOURS][i % SEASON_HOURS] = get_within(r, -FLOAT_MAX);
        s->visits[i / SEASON_HOURS][i % SEASON_HOURS] = get_u16(r);
    }
    for (int i = 0; i < SEASON_HOURS; i++)
        s->every_day[i] = get_within(r, -FLOAT_MAX);
    s->gain = get_within(r, 0);
    s->lead = get_within(r, -FLOAT_MAX);
    for (int i = 0; i < SEASON_SHIFTS; i++)
        s->shift_errors[i] = get_within(r, 0);
    s->settled_s = get_within(r, 0);
    int shift = get_u8(r) - SEASON_HOURS;
    if (s->gain > 1 || shift <= -SEASON_HOURS || shift >= SEASON_HOURS)
        r->failed = true;
    else
        s->shift_hours = (int8_t)shift;
}
