#include "storage/block_columns.h"

#include <assert.h>
#include <string.h>

static_assert(sizeof(struct block_series) <= 80, "a block of many series stays small");

/* Exact as doubles, so that whole / power is the double nearest to the decimal number. */
static const double powers[SCALE_DECIMAL_MAX + 1] = {
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15
};

/* Sixteen digits would fit any double of full precision, and cost more than its bits; so would
 * fourteen that may miss by some units. */
static const double exact_max = 1e15, inexact_max = 1e13;

struct block_series block_series_begin(void)
{
    return (struct block_series){ .next = SERIES_NONE };
}

static uint64_t bits_of(double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits;
}

static double double_of(uint64_t bits)
{
    double number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

double block_number_ulps(double number, uint64_t ulps)
{
    return double_of(bits_of(number) + ulps);
}

static int64_t float_bits(double number)
{
    const double float_max = 0x1.fffffep127;
    if (!(number >= -float_max && number <= float_max))
        return 0;
    float narrow = (float)number;
    int32_t bits;
    memcpy(&bits, &narrow, sizeof bits);
    return bits;
}

int64_t block_whole_near(double number, uint8_t scale)
{
    if (scale == SCALE_DOUBLE)
        return (int64_t)bits_of(number);
    if (scale == SCALE_FLOAT)
        return float_bits(number);
    assert(scale <= SCALE_DECIMAL_MAX);
    double scaled = number * powers[scale];
    if (!(scaled > -exact_max && scaled < exact_max))
        return 0;
    return (int64_t)(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
}

double block_number_of(int64_t whole, uint8_t scale)
{
    if (scale == SCALE_DOUBLE)
        return double_of((uint64_t)whole);
    if (scale == SCALE_FLOAT) {
        uint32_t bits = (uint32_t)whole;
        float narrow;
        memcpy(&narrow, &bits, sizeof narrow);
        return (double)narrow;
    }
    assert(scale <= SCALE_DECIMAL_MAX);
    return (double)whole / powers[scale];
}

/* Whether `number` is a decimal of so many places, or within ULPS_MAX of one of few digits: what
 * somebody's arithmetic left of it (74.93588199999998). */
static bool scale_fits(double number, uint8_t scale, struct block_scaled *scaled)
{
    int64_t whole = block_whole_near(number, scale);
    double decimal = (double)whole / powers[scale];
    int64_t ulps = (int64_t)(bits_of(number) - bits_of(decimal));
    *scaled = (struct block_scaled){ .whole = whole, .ulps = ulps, .scale = scale };
    if (ulps == 0)
        return true;
    double magnitude = whole < 0 ? -(double)whole : (double)whole;
    return ulps >= -ULPS_MAX && ulps <= ULPS_MAX && magnitude < inexact_max;
}

/* The first scale that fits wins, from the one that fitted last upwards: exact at more places is
 * longer. A series whose numbers are no decimals is not searched again for each of them. */
struct block_scaled block_scaled_of(double number, const struct block_series *series)
{
    struct block_scaled scaled;
    uint8_t last = series->scale <= SCALE_DECIMAL_MAX ? SCALE_DECIMAL_MAX : series->decimals;
    for (uint8_t scale = series->decimals; scale <= last; scale++)
        if (scale_fits(number, scale, &scaled))
            return scaled;
    scaled = (struct block_scaled){ .whole = float_bits(number), .scale = SCALE_FLOAT };
    if (bits_of(block_number_of(scaled.whole, SCALE_FLOAT)) == bits_of(number))
        return scaled;
    return (struct block_scaled){ .whole = (int64_t)bits_of(number), .scale = SCALE_DOUBLE };
}
