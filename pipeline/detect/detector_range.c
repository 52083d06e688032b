/* range: what is no measurement. Such a reading is bad: no other detector sees it, nor do the
 * statistics.
 *
 * Error codes: -127, -999, -9999, 85 (a DS18B20 after power-up) and 65535, which sensors say that
 * are gone or broken; but only far from what the series shows: beyond its range so far by half of
 * it. So an oven that is at 85 in earnest, or on its way there, is left alone. Before ten good
 * readings 85 and 65535 are taken at their word and the others are codes; later, thirty in a row of
 * those two are a value after all.
 *
 * And what the unit does not allow, such as less than absolute zero: until it is inside again by 2
 * % of the range, or of the one limit. Score: how far beyond, in the metric's unit; threshold 0. */
#include <assert.h>
#include <stddef.h>

#include "pipeline/detect/detector_kinds.h"

enum { GOOD_KNOWN = 10, BELIEVED_IN_ROW = 30 };

static const float REACH = 0.5f;   /* of the range so far */
static const float LEAK = 1e-4f;   /* of it, a reading */
static const double HYSTERESIS = 0.02;

struct range {
    float least, most;     /* of good readings */
    uint8_t good;          /* of them; stops at GOOD_KNOWN */
    uint8_t in_row;        /* error codes that may be values; stops at BELIEVED_IN_ROW */
    uint8_t unit;          /* in UNITS, 0: none that says anything */
    bool outside;          /* of what the unit allows, hysteresis included */
};

DETECTOR_STATE_FITS(struct range);

/* High 0: without end. */
static const struct {
    const char *name;
    double low, high;
} UNITS[] = {
    { "", 0, 0 },
    { "Cel", -273.15, 0 },
    { "C", -273.15, 0 },
    { "\xc2\xb0" "C", -273.15, 0 },
    { "degC", -273.15, 0 },
    { "K", 0, 0 },
    { "F", -459.67, 0 },
    { "\xc2\xb0" "F", -459.67, 0 },
    { "%RH", 0, 100 },
    { "%rH", 0, 100 },
    { "pH", 0, 14 },
    { "lx", 0, 0 },
    { "lux", 0, 0 },
    { "ppm", 0, 0 },
    { "ppb", 0, 0 },
};

enum { UNIT_COUNT = sizeof UNITS / sizeof UNITS[0] };

static void on_unit(void *state, struct text unit)
{
    struct range *range = state;
    range->unit = 0;
    for (uint8_t i = 1; i < UNIT_COUNT; i++)
        if (text_equal(text_of(UNITS[i].name), unit))
            range->unit = i;
}

static bool is_far(const struct range *range, double value)
{
    float reach = REACH * (range->most - range->least);
    float least_reach = REACH * (range->most > 0 ? range->most : -range->most);
    reach = reach > 0 ? reach : least_reach; /* it never moved */
    return value > (double)(range->most + reach) || value < (double)(range->least - reach);
}

static bool is_equal(double a, double b)
{
    return a >= b && a <= b;
}

static bool is_code(struct range *range, double value)
{
    bool known = range->good == GOOD_KNOWN;
    bool never_value = value <= -127 && (is_equal(value, -127) || is_equal(value, -999) ||
                                         is_equal(value, -9999));
    if (never_value)
        return !known || is_far(range, value);
    if (!is_equal(value, 85) && !is_equal(value, 65535)) {
        range->in_row = 0;
        return false;
    }
    bool code = known && is_far(range, value) && range->in_row < BELIEVED_IN_ROW;
    range->in_row = (uint8_t)(range->in_row + (code ? 1 : 0));
    return code;
}

/* A wild reading widens the range by itself at most. */
static void learn(struct range *range, float value)
{
    float width = range->most - range->least;
    bool bounded = range->good == GOOD_KNOWN && width > 0;
    if (range->good == 0)
        range->least = range->most = value;
    range->most -= LEAK * width;
    range->least += LEAK * width;
    if (value > range->most)
        range->most = bounded && value > range->most + width ? range->most + width : value;
    if (value < range->least)
        range->least = bounded && value < range->least - width ? range->least - width : value;
    if (range->good < GOOD_KNOWN)
        range->good++;
}

/* How far beyond what the unit allows; below 0: inside, by so much. */
static double beyond(const struct range *range, double value)
{
    double below = UNITS[range->unit].low - value, above = value - UNITS[range->unit].high;
    return UNITS[range->unit].high > 0 && above > below ? above : below;
}

static double hysteresis(const struct range *range)
{
    double low = UNITS[range->unit].low, high = UNITS[range->unit].high;
    return HYSTERESIS * (high > 0 ? high - low : -low);
}

static struct verdict verdict_of(const struct range *range, double value, double by, bool code)
{
    struct verdict verdict = {
        .known = true,
        .anomalous = range->outside || code,
        .bad = by > 0 || code,
        .reason = code ? REASON_CODE : range->outside ? REASON_RANGE : REASON_NONE,
        .observed = value,
        .low = 1, /* no band */
    };
    if (range->unit > 0) {
        verdict.score = by > 0 ? by : 0;
        verdict.low = UNITS[range->unit].low;
        verdict.high = UNITS[range->unit].high > 0 ? UNITS[range->unit].high : READING_NUMBER_MAX;
    }
    return verdict;
}

static bool on_reading(const struct detector_input *in, void *state, struct verdict *verdict)
{
    struct range *range = state;
    double value = in->sample->value, by = 0;
    if (range->unit > 0) {
        by = beyond(range, value);
        range->outside = by > 0 || (range->outside && by > -hysteresis(range));
    }
    bool code = is_code(range, value), anomalous = range->outside || code;
    if (by <= 0 && !code)
        learn(range, detector_float(value));
    if (anomalous || in->asked)
        *verdict = verdict_of(range, value, by, code);
    return anomalous;
}

static void save(const void *state, struct byte_writer *w)
{
    struct range range;
    memcpy(&range, state, sizeof range);
    put_f32(w, range.least);
    put_f32(w, range.most);
    put_u8(w, range.good);
    put_u8(w, range.in_row);
    put_u8(w, range.unit);
    put_bool(w, range.outside);
}

static void load(void *state, struct byte_reader *r)
{
    struct range range;
    memset(&range, 0, sizeof range);
    range.least = detector_get_float(r);
    range.most = detector_get_float(r);
    range.good = get_u8(r);
    range.in_row = get_u8(r);
    range.unit = get_u8(r);
    range.outside = get_bool(r);
    if (range.least > range.most || range.good > GOOD_KNOWN || range.in_row > BELIEVED_IN_ROW ||
        range.unit >= UNIT_COUNT)
        r->failed = true;
    memcpy(state, &range, sizeof range);
}

const struct detector_kind_ops detector_range = {
    .name = "range",
    .state_bytes = sizeof(struct range),
    .on_reading = on_reading,
    .on_unit = on_unit,
    .save = save,
    .load = load,
};
