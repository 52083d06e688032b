#include "pipeline/detect/baseline_season.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* An hour is replaced by what the same hour of another day shows so far in one visit, at any rate
 * of readings: its mean keeps 0.6 of itself. */
static const double HOUR_KEPT_LOG = -0.51082562376599068; /* log(0.6) */
static const float HOUR_S = 3600;
static const double PART_SMALL = 1.0 / 400; /* 9 s */
enum { VISITS_MAX = 65000, VISITS_BORROWED = 3 };
enum { WEEK_HOURS = 7 * SEASON_HOURS, HOUR_OF_1970 = 4 * SEASON_HOURS }; /* a Thursday */

/* All days are taken to be alike where that has been so much nearer to the readings. */
static const float ALIKE_BETTER = 0.95f;

/* A clock was put forward or back where an hour's shift would have halved the errors of six
 * hours; not before five days, nor so soon again. */
static const float SHIFT_BETTER = 0.5f, SHIFT_MEMORY_S = 6 * 3600, SHIFT_SETTLED_S = 5 * 86400;
static const float SHIFT_WEIGHT_MAX = 0.2f;
static const int64_t HOUR_MS = 3600000;

/* Of what is put away, in powers of two; bits of a distance from the base; of a count. */
enum { NO_SCALE = -80, SCALE_MAX = 40, BITS = 13, UNITS_MAX = INT16_MAX };
enum { COUNT_EXACT = 32, COUNT_BITS = 4 };

static bool is_weekend(int day)
{
    return day == 0 || day == 6;
}

/* --- what is put away --- */

static float power_of_two(int exponent) /* within +-126 */
{
    uint32_t bits = (uint32_t)(exponent + 127) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    return power;
}

/* The largest that fits below |value|, as its exponent; far below NO_SCALE for 0. */
static int exponent_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (int)(bits >> 23 & 255) - 127;
}

/* A whole number below 32 as it is, others as 16..31 times a power of two, the nearest. */
static uint8_t put_count(uint32_t count)
{
    uint32_t up = 0;
    while (count >> up >= COUNT_EXACT)
        up++;
    uint32_t steps = up > 0 ? (count + (1u << up >> 1)) >> up : count; /* 32: as 16, one up */
    return (uint8_t)(up == 0 ? steps : steps + (up << COUNT_BITS));
}

static uint16_t get_count(uint8_t put)
{
    if (put < COUNT_EXACT)
        return put;
    uint32_t up = (put >> COUNT_BITS) - 1u, steps = (put & 15u) + 16;
    return (uint16_t)(steps << up < VISITS_MAX ? steps << up : VISITS_MAX);
}

static float unpacked(const struct season *s, int16_t units)
{
    return s->base + (float)units * power_of_two(s->scale);
}

static int16_t packed(const struct season *s, float value)
{
    float units = (value - s->base) * power_of_two(-s->scale);
    assert(units > -UNITS_MAX && units < UNITS_MAX);
    return (int16_t)(units < 0 ? units - 0.5f : units + 0.5f);
}

static bool is_known(const struct season_row *row, int cell)
{
    return cell < 2 ? row->visits[cell] > 0 : row->visits[0] + row->visits[1] > 0;
}

static int16_t *cell_of(struct season_row *row, int cell)
{
    return cell < 2 ? &row->usual[cell] : &row->every_day;
}

/* Each one that is known by so many units less, and then in units of 2^scale. */
static void move(struct season *s, int less, int scale)
{
    float by = power_of_two(s->scale - scale);
    for (int i = 0; i < SEASON_HOURS * 3; i++) {
        int16_t *units = cell_of(&s->rows[i / 3], i % 3);
        float moved = (float)(*units - less) * by;
        bool known = is_known(&s->rows[i / 3], i % 3);
        assert(!known || (moved > -UNITS_MAX && moved < UNITS_MAX));
        *units = (int16_t)(!known ? 0 : moved < 0 ? moved - 0.5f : moved + 0.5f);
    }
    s->base += (float)less * power_of_two(s->scale);
    s->scale = (int8_t)scale;
}

struct reach { /* of what is put away, in units; least > most: nothing is */
    int least, most;
};

static void take_in(struct reach *reach, int units)
{
    reach->least = units < reach->least ? units : reach->least;
    reach->most = units > reach->most ? units : reach->most;
}

static struct reach reach_of(const struct season *s)
{
    struct reach reach = { UNITS_MAX, -UNITS_MAX };
    for (int i = 0; i < SEASON_HOURS; i++) {
        const struct season_row *row = &s->rows[i];
        if (row->visits[0] > 0)
            take_in(&reach, row->usual[0]);
        if (row->visits[1] > 0)
            take_in(&reach, row->usual[1]);
        if (row->visits[0] + row->visits[1] > 0)
            take_in(&reach, row->every_day);
    }
    return reach;
}

static float smaller(float a, float b)
{
    return a < b ? a : b;
}

static float larger(float a, float b)
{
    return a > b ? a : b;
}

/* Units as small as they can be for all that is known and these two; the base goes along with a
 * series that has moved away from it by more than four times as much as it ranges. */
static void make_fit(struct season *s, float usual, float every_day)
{
    float unit = power_of_two(s->scale), usual_by = usual - s->base, day_by = every_day - s->base;
    float lowest = smaller(usual_by, day_by), highest = larger(usual_by, day_by);
    struct reach known = reach_of(s);
    if (known.least <= known.most) {
        lowest = smaller(lowest, (float)known.least * unit);
        highest = larger(highest, (float)known.most * unit);
    }
    float largest = larger(highest, -lowest);
    int less = 0;
    if (4 * (highest - lowest) < largest) {
        float middle = (lowest + highest) / 2 / unit;
        less = middle < UNITS_MAX && middle > -UNITS_MAX ? (int)middle : 0;
    }
    float least = lowest - (float)less * unit, most = highest - (float)less * unit;
    int exponent = exponent_of(larger(most, -least)), scale = exponent - BITS;
    scale = scale < NO_SCALE ? NO_SCALE : scale > SCALE_MAX ? SCALE_MAX : scale;
    if (less != 0 || scale != s->scale)
        move(s, less, scale);
}

/* --- the hour at hand --- */

static void put_away(struct season *s)
{
    int hour = s->week_hour - 1, weekend = is_weekend(hour / SEASON_HOURS);
    struct season_row *row = &s->rows[hour % SEASON_HOURS];
    row->visits[weekend] = 0; /* what it said is not to be kept */
    make_fit(s, s->usual[SEASON_NOW], s->every_day);
    row->usual[weekend] = packed(s, s->usual[SEASON_NOW]);
    row->every_day = packed(s, s->every_day);
    row->visits[weekend] = put_count(s->visits[SEASON_NOW]);
}

/* The first Saturday is taken to be like a weekday until it shows otherwise, and the reverse. */
static void borrow(struct season *s, const struct season_row *row, int from)
{
    if (s->visits[SEASON_NOW] > 0 || s->visits_apart == 0)
        return;
    s->usual[SEASON_NOW] = unpacked(s, row->usual[from]);
    s->visits[SEASON_NOW] = s->visits_apart < VISITS_BORROWED ? s->visits_apart : VISITS_BORROWED;
}

static void turn_to(struct season *s, int hour, float level)
{
    if (s->week_hour == 0) {
        s->base = level;
        s->scale = NO_SCALE;
    } else if (s->visits[SEASON_NOW] > 0) {
        put_away(s);
    }
    for (int i = 0; i < SEASON_SHIFTS; i++) {
        int at = (hour + i + WEEK_HOURS - SEASON_NOW) % WEEK_HOURS;
        const struct season_row *row = &s->rows[at % SEASON_HOURS];
        bool weekend = is_weekend(at / SEASON_HOURS);
        s->usual[i] = unpacked(s, row->usual[weekend]);
        s->visits[i] = get_count(row->visits[weekend]);
    }
    const struct season_row *row = &s->rows[hour % SEASON_HOURS];
    bool weekend = is_weekend(hour / SEASON_HOURS);
    s->every_day = unpacked(s, row->every_day);
    s->visits_apart = get_count(row->visits[!weekend]);
    borrow(s, row, !weekend);
    s->week_hour = (uint8_t)(hour + 1);
}

static int week_hour_of(int64_t time_ms)
{
    int64_t hour = (time_ms >= 0 ? time_ms : time_ms - HOUR_MS + 1) / HOUR_MS;
    int of_week = (int)((hour + HOUR_OF_1970) % WEEK_HOURS);
    return of_week < 0 ? of_week + WEEK_HOURS : of_week;
}

static uint32_t visits_of_all(const struct season *s)
{
    return (uint32_t)s->visits[SEASON_NOW] + s->visits_apart;
}

struct season_view season_at(struct season *s, int64_t time_ms, float level, bool learnt)
{
    int hour = week_hour_of(time_ms + s->shift_hours * HOUR_MS);
    if (hour + 1 != s->week_hour)
        turn_to(s, hour, level);
    uint16_t visits = s->visits[SEASON_NOW];
    if (visits == 0)
        return (struct season_view){ level, 0 };
    if (!learnt || s->lead <= 0)
        return (struct season_view){ s->usual[SEASON_NOW], visits };
    uint32_t all = visits_of_all(s);
    return (struct season_view){ s->every_day, (uint16_t)(all < VISITS_MAX ? all : VISITS_MAX) };
}

/* 1 - 0.6^part for 0 < part <= 1: the series of 1 - exp(x), x = part log(0.6), to 1e-12 of it. The
 * interval is another one at nearly every reading, and each member is a division. */
static float replaced(double part)
{
    double x = part * HOUR_KEPT_LOG, sum = 1;
    for (int n = part < PART_SMALL ? 4 : 12; n >= 2; n--)
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
static bool shifted_errors(const struct season *s, const struct season_lesson *l,
                           float errors[SEASON_SHIFTS])
{
    float visit = l->interval_s < HOUR_S ? HOUR_S / l->interval_s : 1;
    bool seen = l->interval_s > 0;
    for (int i = 0; i < SEASON_SHIFTS; i++) {
        seen = seen && (float)s->visits[i] > visit;
        errors[i] = fabsf(l->value - s->usual[i]);
    }
    return seen;
}

static void learn_shift(struct season *s, const struct season_lesson *l)
{
    float errors[SEASON_SHIFTS];
    if (!shifted_errors(s, l, errors))
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

/* Of a reading in an hour's mean. No division where it would not matter. */
static float share(const struct season *s, uint32_t visits)
{
    float count = (float)visits + 1;
    if (count * s->gain > 2)
        return s->gain;
    return 1 / count > s->gain ? 1 / count : s->gain;
}

void season_learn(struct season *s, const struct season_lesson *l)
{
    float *usual = &s->usual[SEASON_NOW];
    uint16_t visits = s->visits[SEASON_NOW];
    uint32_t all = visits_of_all(s);
    float apart = fabsf(l->value - (visits > 0 ? *usual : l->level));
    float alike = fabsf(l->value - (all > 0 ? s->every_day : l->level));
    s->lead += l->weight * (ALIKE_BETTER * apart - alike - s->lead);
    if (l->known)
        learn_shift(s, l);
    *usual += share(s, visits) * (l->value - *usual);
    s->every_day += share(s, all) * (l->value - s->every_day);
    if (visits < VISITS_MAX)
        s->visits[SEASON_NOW]++;
}

/* --- keeping --- */

enum { SINGLES = 2 * SEASON_SHIFTS + 5 };

void season_save(const struct season *s, struct byte_writer *w)
{
    const float singles[SINGLES] = { s->usual[0], s->usual[1], s->usual[2], s->every_day, s->gain,
                                     s->lead, s->base, s->settled_s, s->shift_errors[0],
                                     s->shift_errors[1], s->shift_errors[2] };
    for (int i = 0; i < SINGLES; i++)
        put_f32(w, singles[i]);
    for (int i = 0; i < SEASON_SHIFTS; i++)
        put_u16(w, s->visits[i]);
    put_u16(w, s->visits_apart);
    put_u8(w, (uint8_t)(s->scale - NO_SCALE));
    put_u8(w, (uint8_t)(s->shift_hours + SEASON_HOURS));
    put_u8(w, s->week_hour);
    for (int i = 0; i < SEASON_HOURS; i++) {
        put_u16(w, (uint16_t)s->rows[i].usual[0]);
        put_u16(w, (uint16_t)s->rows[i].usual[1]);
        put_u16(w, (uint16_t)s->rows[i].every_day);
        put_u8(w, s->rows[i].visits[0]);
        put_u8(w, s->rows[i].visits[1]);
    }
}

static int16_t get_units(struct byte_reader *r)
{
    int units = get_u16(r);
    units -= units > INT16_MAX ? UINT16_MAX + 1 : 0;
    if (units <= -UNITS_MAX || units >= UNITS_MAX)
        r->failed = true;
    return r->failed ? 0 : (int16_t)units;
}

void season_load(struct season *s, struct byte_reader *r)
{
    float *const singles[SINGLES] = { &s->usual[0], &s->usual[1], &s->usual[2], &s->every_day,
                                      &s->gain, &s->lead, &s->base, &s->settled_s,
                                      &s->shift_errors[0], &s->shift_errors[1],
                                      &s->shift_errors[2] };
    for (int i = 0; i < SINGLES; i++)
        *singles[i] = get_f32_within(r, -STATISTIC_MAX, STATISTIC_MAX);
    for (int i = 0; i < SEASON_SHIFTS; i++)
        s->visits[i] = get_u16(r);
    s->visits_apart = get_u16(r);
    int scale = get_u8(r) + NO_SCALE, shift = get_u8(r) - SEASON_HOURS;
    s->week_hour = get_u8(r);
    for (int i = 0; i < SEASON_HOURS; i++) {
        s->rows[i].usual[0] = get_units(r);
        s->rows[i].usual[1] = get_units(r);
        s->rows[i].every_day = get_units(r);
        s->rows[i].visits[0] = get_u8(r);
        s->rows[i].visits[1] = get_u8(r);
    }
    if (s->gain < 0 || s->gain > 1 || s->settled_s < 0 || s->shift_errors[0] < 0 ||
        s->shift_errors[1] < 0 || s->shift_errors[2] < 0 || scale > SCALE_MAX ||
        shift <= -SEASON_HOURS || shift >= SEASON_HOURS || s->week_hour > WEEK_HOURS)
        r->failed = true;
    s->scale = r->failed ? 0 : (int8_t)scale;
    s->shift_hours = r->failed ? 0 : (int8_t)shift;
}
