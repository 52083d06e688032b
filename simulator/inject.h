/* inject: a known fault put into a recorded series, so that a detector can be measured on it.
 *
 * Sizes are in robust standard deviations of the series (1.4826 median absolute deviations), so
 * that a series with wild hours does not get larger faults for it. Chance (the sign, the noise)
 * from the seed alone. */
#ifndef SIMULATOR_INJECT_H
#define SIMULATOR_INJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum inject_kind {
    INJECT_SPIKE, /* the first reading alone is off by the size */
    INJECT_SHIFT, /* all are */
    INJECT_DRIFT, /* more and more, up to the size */
    INJECT_NOISE, /* normal noise of the size on top */
    INJECT_DROP,  /* 0 */
    INJECT_GAIN,  /* the size is a factor */
    INJECT_HIGH,  /* held at the highest value of the series so far */
    INJECT_STUCK, /* held at the value before */
    INJECT_QUIET, /* within a twentieth of what they were from the value before */
    INJECT_CODE,  /* -127 */
    INJECT_KINDS
};

struct injection {
    enum inject_kind kind;
    size_t start, count; /* readings; start > 0 */
    double size;
    uint64_t seed;
};

const char *inject_name(enum inject_kind kind);

/* 1.4826 median absolute deviations of the values, or where that is 0 their standard deviation.
 * `scratch` has room for as many. */
double inject_deviation(const double *values, size_t count, double *scratch);

/* Change values[start .. start + count). */
void inject(double *values, const struct injection *injection, double deviation);

int inject_main(int argc, char **argv); /* weir-sim inject */

#endif
