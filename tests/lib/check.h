/* check: what unit tests share: cmocka, a seeded source of chance, and how a seed is chosen and printed. */
#ifndef TESTS_LIB_CHECK_H
#define TESTS_LIB_CHECK_H

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* splitmix64 (Steele, Lea, Flood 2014): the only source of chance in tests. */
static inline uint64_t rnd(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline size_t rnd_below(uint64_t *state, size_t limit) /* [0, limit) */
{
    return (size_t)(rnd(state) % limit);
}

static inline double rnd_unit(uint64_t *state) /* [0, 1) */
{
    return (double)(rnd(state) >> 11) * 0x1p-53;
}

/* SEED=n in the environment repeats a run; printed, so that a failure can be. */
static inline uint64_t check_seed(void)
{
    const char *given = getenv("SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : 1;
    printf("# SEED=%" PRIu64 "\n", seed);
    return seed;
}

#endif
