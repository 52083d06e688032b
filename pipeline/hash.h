/* hash: SipHash-2-4 of byte strings. Keyed, so that nobody outside can choose device names that all
 * fall into one
 * slot of a table; with 128 bits it also names alerts, keyed by the store's id.
 * Jean-Philippe Aumasson and Daniel J. Bernstein, "SipHash: a fast short-input PRF", 2012. */
#ifndef PIPELINE_HASH_H
#define PIPELINE_HASH_H

#include <stddef.h>
#include <stdint.h>

struct hash_key {
    uint64_t k0, k1;
};

struct hash_state { /* one running hash; hash_begin .. hash_add .. hash_end64 or hash_end128 */
    uint64_t v0, v1, v2, v3;
    uint64_t tail;      /* bytes not yet mixed in, low first */
    uint64_t bytes;     /* added so far */
    int wide;
};

struct hash128 {
    uint64_t low, high;
};

uint64_t hash64(struct hash_key key, const void *at, size_t bytes);

/* In parts: the same as over the parts put together. `wide` chooses the 128 bit result. */
void hash_begin(struct hash_state *h, struct hash_key key, int wide);
void hash_add(struct hash_state *h, const void *at, size_t bytes);
uint64_t hash_end64(struct hash_state *h);
struct hash128 hash_end128(struct hash_state *h);

#endif
