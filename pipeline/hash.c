#include "pipeline/hash.h"

#include <assert.h>

#include "pipeline/codec/word.h"

static uint64_t rotate(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

static inline void round_of(struct hash_state *h)
{
    h->v0 += h->v1;
    h->v1 = rotate(h->v1, 13) ^ h->v0;
    h->v0 = rotate(h->v0, 32);
    h->v2 += h->v3;
    h->v3 = rotate(h->v3, 16) ^ h->v2;
    h->v0 += h->v3;
    h->v3 = rotate(h->v3, 21) ^ h->v0;
    h->v2 += h->v1;
    h->v1 = rotate(h->v1, 17) ^ h->v2;
    h->v2 = rotate(h->v2, 32);
}

static inline void mix(struct hash_state *h, uint64_t word)
{
    h->v3 ^= word;
    round_of(h);
    round_of(h);
    h->v0 ^= word;
}

void hash_begin(struct hash_state *h, struct hash_key key, int wide)
{
    *h = (struct hash_state){
        .v0 = key.k0 ^ 0x736f6d6570736575u,
        .v1 = key.k1 ^ 0x646f72616e646f6du ^ (wide ? 0xeeu : 0u),
        .v2 = key.k0 ^ 0x6c7967656e657261u,
        .v3 = key.k1 ^ 0x7465646279746573u,
        .wide = wide,
    };
}

static void add_byte(struct hash_state *h, uint8_t byte)
{
    unsigned lane = (unsigned)(h->bytes % 8);
    h->tail |= (uint64_t)byte << (8 * lane);
    h->bytes++;
    if (lane == 7) {
        mix(h, h->tail);
        h->tail = 0;
    }
}

/* The last `left` of `bytes` bytes, which end at `end`, where fewer than eight are left. */
static inline uint64_t tail_at(const uint8_t *end, size_t left, size_t bytes)
{
    uint64_t tail = 0;
    if (bytes >= 8)
        return left > 0 ? word_at(end - 8) >> (8 * (8 - left)) : 0;
    for (size_t lane = 0; lane < left; lane++)
        tail |= (uint64_t)(end - left)[lane] << (8 * lane);
    return tail;
}

static const uint8_t nothing[1]; /* an empty text may point nowhere, where nothing can be added */

void hash_add(struct hash_state *h, const void *at, size_t bytes)
{
    const uint8_t *from = bytes > 0 ? at : nothing, *end = from + bytes;
    while (h->bytes % 8 != 0 && from < end)
        add_byte(h, *from++);
    if (from == end)
        return;
    struct hash_state s = *h; /* a copy stays in registers: `from` may point anywhere */
    s.bytes += (uint64_t)(end - from);
    for (; end - from >= 8; from += 8)
        mix(&s, word_at(from));
    s.tail = tail_at(end, (size_t)(end - from), bytes);
    *h = s;
}

static inline uint64_t finish(struct hash_state *h, uint64_t mark)
{
    h->v2 ^= mark;
    for (int i = 0; i < 4; i++)
        round_of(h);
    return h->v0 ^ h->v1 ^ h->v2 ^ h->v3;
}

uint64_t hash_end64(struct hash_state *h)
{
    assert(!h->wide);
    mix(h, h->tail | h->bytes << 56);
    return finish(h, 0xff);
}

struct hash128 hash_end128(struct hash_state *h)
{
    assert(h->wide);
    mix(h, h->tail | h->bytes << 56);
    struct hash128 result;
    result.low = finish(h, 0xee);
    h->v1 ^= 0xdd;
    result.high = finish(h, 0);
    return result;
}

uint64_t hash64(struct hash_key key, const void *at, size_t bytes)
{
    const uint8_t *from = bytes > 0 ? at : nothing, *end = from + bytes;
    struct hash_state h;
    hash_begin(&h, key, 0);
    for (; end - from >= 8; from += 8)
        mix(&h, word_at(from));
    mix(&h, tail_at(end, (size_t)(end - from), bytes) | (uint64_t)bytes << 56);
    return finish(&h, 0xff);
}
