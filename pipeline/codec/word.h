/* word: eight bytes at once, for scanning text: which of them are zero, below a limit, above ASCII.
 * A mask has the high bit of each byte that is meant; the lowest of its bits is always right,
 * higher ones may be false (Mycroft 1987), so `word_first` and a comparison with 0 are exact. */
#ifndef PIPELINE_CODEC_WORD_H
#define PIPELINE_CODEC_WORD_H

#include <stdint.h>

#define WORD_EACH(byte) (UINT64_C(0x0101010101010101) * (byte))
#define WORD_HIGHS WORD_EACH(0x80)

/* Eight bytes, the first of them lowest; compilers make one load of it. */
static inline uint64_t word_at(const void *at)
{
    const uint8_t *from = at;
    return from[0] | (uint64_t)from[1] << 8 | (uint64_t)from[2] << 16 | (uint64_t)from[3] << 24 |
           (uint64_t)from[4] << 32 | (uint64_t)from[5] << 40 | (uint64_t)from[6] << 48 |
           (uint64_t)from[7] << 56;
}

static inline uint64_t word_below(uint64_t word, uint8_t limit) /* limit <= 0x80 */
{
    return (word - WORD_EACH(limit)) & ~word & WORD_HIGHS;
}

static inline uint64_t word_equal(uint64_t word, uint8_t byte)
{
    return word_below(word ^ WORD_EACH(byte), 1);
}

static inline uint64_t word_beyond_ascii(uint64_t word)
{
    return word & WORD_HIGHS;
}

static inline uint32_t word_first(uint64_t mask) /* index of the first byte meant; mask != 0 */
{
    return (uint32_t)__builtin_ctzll(mask) / 8;
}

#endif
