#include "pipeline/packing.h"

#include <assert.h>
#include <string.h>

enum { ULPS_MAX = 15 };

/* Exact as doubles, so that whole / power is the double nearest to the decimal number. */
static const double powers[PACKED_DECIMAL_MAX + 1] = {
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15
};

/* Sixteen digits would fit any double of full precision, and cost more than its bits; so would
 * fourteen that may miss by some units. */
static const double exact_max = 1e15, inexact_max = 1e13;

static uint8_t *varint_at(uint8_t *at, uint64_t value)
{
    while (value >= 0x80) {
        *at++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    return at;
}

uint32_t packed_put(uint8_t at[PACKED_BYTES_MAX], uint64_t zeros, uint64_t code)
{
    uint8_t *end = at;
    assert(code != 0);
    assert(zeros <= UINT64_MAX >> 1);
    if (zeros > 0)
        end = varint_at(end, zeros << 1);
    if (code >> 62 == 0)
        end = varint_at(end, code << 1 | 1);
    else {
        *end++ = 1;
        for (int i = 0; i < 8; i++)
            *end++ = (uint8_t)(code >> (8 * i));
    }
    return (uint32_t)(end - at);
}

uint64_t packed_next(struct packed_column *column)
{
    assert(column->zeros == 0);
    if (column->in.used == column->in.bytes) {
        column->zeros = UINT64_MAX;
        return 0;
    }
    uint64_t token = get_varint(&column->in);
    uint64_t number = token == 1 ? get_u64(&column->in) : token >> 1;
    if (number == 0)
        column->in.failed = true;
    if (column->in.failed)
        return 0;
    if ((token & 1) != 0)
        return number;
    column->zeros = number - 1;
    return 0;
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

static double float_of(int64_t whole)
{
    uint32_t bits = (uint32_t)whole;
    float narrow;
    memcpy(&narrow, &bits, sizeof narrow);
    return (double)narrow;
}

int64_t packed_whole_near(double number, uint8_t scale)
{
    assert(scale < PACKED_SCALES);
    if (scale == PACKED_DOUBLE)
        return (int64_t)bits_of(number);
    if (scale == PACKED_FLOAT)
        return float_bits(number);
    double scaled = number * powers[scale];
    if (!(scaled > -exact_max && scaled < exact_max))
        return 0;
    return (int64_t)(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
}

double packed_number_value(struct packed_number packed)
{
    assert(packed.scale < PACKED_SCALES);
    double number = packed.scale == PACKED_DOUBLE  ? double_of((uint64_t)packed.whole)
                    : packed.scale == PACKED_FLOAT ? float_of(packed.whole)
                                                   : (double)packed.whole / powers[packed.scale];
    return packed.ulps == 0 ? number : double_of(bits_of(number) + (uint64_t)packed.ulps);
}

static bool decimal_fits(double number, uint8_t scale, struct packed_number *packed)
{
    int64_t whole = packed_whole_near(number, scale);
    double decimal = (double)whole / powers[scale];
    int64_t ulps = (int64_t)(bits_of(number) - bits_of(decimal));
    *packed = (struct packed_number){ .whole = whole, .ulps = ulps, .scale = scale };
    double magnitude = decimal < 0 ? -(double)whole : (double)whole;
    return ulps == 0 || (ulps >= -ULPS_MAX && ulps <= ULPS_MAX && magnitude < inexact_max);
}

struct packed_number packed_number_of(double number, uint8_t first, uint8_t last)
{
    struct packed_number packed;
    assert(last <= PACKED_DECIMAL_MAX);
    for (uint8_t scale = first; scale <= last; scale++)
        if (decimal_fits(number, scale, &packed))
            return packed;
    packed = (struct packed_number){ .whole = float_bits(number), .scale = PACKED_FLOAT };
    if (bits_of(float_of(packed.whole)) == bits_of(number))
        return packed;
    return (struct packed_number){ .whole = (int64_t)bits_of(number), .scale = PACKED_DOUBLE };
}
