/* noise: seeded noise of about normal shape from sums alone, so that every processor makes the same bits. */
#ifndef TESTS_LIB_NOISE_H
#define TESTS_LIB_NOISE_H

#include "tests/lib/check.h"

/* Mean 0, deviation 1, within +-6: the sum of twelve uniform draws. */
static inline double rnd_normal(uint64_t *state)
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += rnd_unit(state);
    return sum;
}

#endif
