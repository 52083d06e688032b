#include "pipeline/streams/logarithm.h"

#include <assert.h>
#include <float.h>
#include <stdint.h>
#include <string.h>

enum { TERMS = 11, EXPONENTIAL_TERMS = 14, MANTISSA_BITS = 52, EXPONENT_BIAS = 1023 };

/* ln 2 in two parts: the first has so few bits that its product with a power of two is exact. */
static const double LN2_HIGH = 0x1.62e42feep-1, LN2_LOW = 0x1.a39ef35793c76p-33;

double logarithm(double x)
{
    assert(x > 0 && x <= DBL_MAX);
    int power = 0;
    if (x < DBL_MIN) { /* a subnormal has no exponent of its own */
        x *= 0x1p54;
        power = -54;
    }
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    power += (int)(bits >> MANTISSA_BITS) - EXPONENT_BIAS;
    bits = (bits & (((uint64_t)1 << MANTISSA_BITS) - 1)) |
           (uint64_t)EXPONENT_BIAS << MANTISSA_BITS;
    double m;
    memcpy(&m, &bits, sizeof m);
    if (m > 1.4142135623730951) {
        m *= 0.5;
        power++;
    }
    double s = (m - 1) / (m + 1), square = s * s, sum = 0;
    for (int n = TERMS; n > 0; n--)
        sum = square * (1.0 / (2 * n + 1) + sum);
    return power * LN2_HIGH + (2 * s + (2 * s * sum + power * LN2_LOW));
}

double exponential(double x)
{
    assert(x >= -700 && x <= 700);
    double halves = x / (LN2_HIGH + LN2_LOW);
    int power = (int)(halves + (halves < 0 ? -0.5 : 0.5));
    double r = (x - power * LN2_HIGH) - power * LN2_LOW, sum = 1;
    for (int n = EXPONENTIAL_TERMS; n > 1; n--)
        sum = 1 + r / n * sum;
    uint64_t bits = (uint64_t)(power + EXPONENT_BIAS) << MANTISSA_BITS; /* 2^power: normal */
    double scale;
    memcpy(&scale, &bits, sizeof scale);
    return scale + scale * (r * sum);
}
