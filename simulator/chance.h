/* chance: the one source of chance in the simulator: splitmix64 (Steele, Lea, Flood 2014),
 * seeded, so that a run can be had again. The state is the caller's. */
#ifndef SIMULATOR_CHANCE_H
#define SIMULATOR_CHANCE_H

#include <stdint.h>

static inline uint64_t chance_next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* A state of its own for each of many, from one seed. */
static inline uint64_t chance_branch(uint64_t seed, uint64_t branch)
{
    uint64_t state = seed ^ (branch * 0xd1342543de82ef95u);
    return chance_next(&state);
}

static inline double chance_unit(uint64_t *state) /* [0, 1) */
{
    return (double)(chance_next(state) >> 11) * 0x1p-53;
}

static inline double chance_between(uint64_t *state, double low, double high)
{
    return low + (high - low) * chance_unit(state);
}

/* 0 .. count - 1; count > 0. The remainder is biased by less than count / 2^64. */
static inline uint32_t chance_below(uint64_t *state, uint32_t count)
{
    return (uint32_t)(chance_next(state) % count);
}

#endif
