#include "pipeline/streams/logarithm.h"

#include <assert.h>
#include <float.h>
#include <stdint.h>
#include <string.h>

enum { TERMS = 11, MANTISSA_BITS = 52, EXPONENT_BIAS = 1023 };

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
    /* ln 2 in two parts: the first has so few bits that its product with a power is exact. */
    const double ln2_high = 0x1.62e42feep-1, ln2_low = 0x1.a39ef35793c76p-33;
    return power * ln2_high + (2 * s + (2 * s * sum + power * ln2_low));
}
