#include "pipeline/streams/sketch_quantiles.h"

#include <assert.h>

#include "pipeline/streams/logarithm.h"

enum { NUMBER_MAX = 40000 }; /* of a bin: 1e+-140 are within 17,000 */

#define COUNT_MAX ((uint64_t)1 << 53)

static const double LN_GAMMA = 0.020000666706669436; /* of 1.01 / 0.99 */

/* Bin n holds the magnitudes in (gamma^(n-1), gamma^n]. */
static int32_t bin_of(double magnitude)
{
    double exact = logarithm(magnitude) / LN_GAMMA;
    int32_t n = (int32_t)exact;
    return n < exact ? n + 1 : n;
}

static uint32_t place_of(int32_t bin)
{
    return (uint32_t)(bin + NUMBER_MAX) % QUANTILES_BINS;
}

/* Make `bin` the top: the bins that fall out at the lower end go into the lowest one left. */
static void raise(struct quantile_bins *b, int32_t bin)
{
    int32_t rise = bin - b->top;
    uint64_t lowest = 0;
    for (int32_t i = 1; i <= rise && i <= QUANTILES_BINS; i++) {
        uint32_t *at = &b->bins[place_of(b->top + i)];
        lowest += *at;
        *at = 0;
    }
    b->top = bin;
    uint32_t *at = &b->bins[place_of(bin - QUANTILES_BINS + 1)];
    uint64_t sum = lowest + *at;
    *at = sum < UINT32_MAX ? (uint32_t)sum : UINT32_MAX;
}

static void add(struct quantile_bins *b, int32_t bin, uint32_t count)
{
    if (b->count == 0)
        b->top = bin;
    if (bin > b->top)
        raise(b, bin);
    if (bin <= b->top - QUANTILES_BINS)
        bin = b->top - QUANTILES_BINS + 1;
    uint32_t *at = &b->bins[place_of(bin)];
    count = count < UINT32_MAX - *at ? count : UINT32_MAX - *at; /* full: counted no more */
    *at += count;
    b->count += count;
}

void quantiles_push(struct quantiles_state *s, double number)
{
    double magnitude = number < 0 ? -number : number;
    if (magnitude < QUANTILES_LEAST)
        s->zeros++;
    else
        add(&s->of[number < 0], bin_of(magnitude), 1);
}

static void add_run(uint32_t *restrict to, const uint32_t *restrict of, uint32_t first,
                    uint32_t behind)
{
    for (uint32_t i = first; i < behind; i++)
        to[i] += of[i];
}

/* A bin that both have stands at the same place in both. Those below, and all where a bin might
 * become full, go one by one. */
static void merge_bins(struct quantile_bins *into, const struct quantile_bins *from)
{
    if (from->count == 0)
        return;
    if (into->count == 0)
        into->top = from->top;
    if (from->top > into->top)
        raise(into, from->top);
    uint64_t count = into->count + from->count;
    int32_t below = into->top - from->top;
    int32_t shared = count <= UINT32_MAX && below < QUANTILES_BINS ? QUANTILES_BINS - below : 0;
    for (int32_t i = shared; i < QUANTILES_BINS; i++) {
        uint32_t alone = from->bins[place_of(from->top - i)];
        if (alone > 0)
            add(into, from->top - i, alone);
    }
    uint32_t first = place_of(from->top - shared + 1), behind = first + (uint32_t)shared;
    bool around = behind > QUANTILES_BINS;
    add_run(into->bins, from->bins, first, around ? QUANTILES_BINS : behind);
    add_run(into->bins, from->bins, 0, around ? behind - QUANTILES_BINS : 0);
    if (count <= UINT32_MAX)
        into->count = count;
}

void quantiles_merge(struct quantiles_state *into, const struct quantiles_state *from)
{
    into->zeros += from->zeros;
    for (int sign = 0; sign < 2; sign++)
        merge_bins(&into->of[sign], &from->of[sign]);
}

uint64_t quantiles_count(const struct quantiles_state *s)
{
    return s->zeros + s->of[0].count + s->of[1].count;
}

/* 2 gamma^n / (gamma + 1): no more than the error away from all in the bin. */
static double middle_of(int32_t bin)
{
    return exponential(bin * LN_GAMMA) * (1 - QUANTILES_ERROR);
}

/* The bin that holds rank `rank` from its least magnitude on, or from its greatest. */
static int32_t bin_at(const struct quantile_bins *b, uint64_t rank, bool from_greatest)
{
    uint64_t before = 0;
    for (int32_t i = 0; i < QUANTILES_BINS; i++) {
        int32_t bin = from_greatest ? b->top - i : b->top - QUANTILES_BINS + 1 + i;
        before += b->bins[place_of(bin)];
        if (before > rank)
            return bin;
    }
    return b->top;
}

double quantiles_value(const struct quantiles_state *s, double q)
{
    assert(quantiles_count(s) > 0 && q >= 0 && q <= 1);
    uint64_t rank = (uint64_t)(q * (double)(quantiles_count(s) - 1));
    const struct quantile_bins *positive = &s->of[0], *negative = &s->of[1];
    if (rank < negative->count)
        return -middle_of(bin_at(negative, rank, true));
    rank -= negative->count;
    if (rank < s->zeros)
        return 0;
    return middle_of(bin_at(positive, rank - s->zeros, false));
}

/* --- keeping --- */

/* From the top down, each bin that holds something: how many below the last, and how many in it. */
void quantiles_save(const struct quantiles_state *s, struct byte_writer *w)
{
    put_u64(w, s->zeros);
    for (int sign = 0; sign < 2; sign++) {
        const struct quantile_bins *b = &s->of[sign];
        uint32_t held = 0;
        for (int32_t i = 0; b->count > 0 && i < QUANTILES_BINS; i++)
            held += b->bins[place_of(b->top - i)] > 0;
        put_u16(w, (uint16_t)held);
        put_u32(w, (uint32_t)b->top);
        for (int32_t i = 0; held > 0 && i < QUANTILES_BINS; i++) {
            uint32_t count = b->bins[place_of(b->top - i)];
            if (count == 0)
                continue;
            put_u16(w, (uint16_t)i);
            put_varint(w, count);
        }
    }
}

static void load_bins(struct quantile_bins *b, struct byte_reader *r)
{
    uint32_t held = get_u16(r);
    int32_t top = (int32_t)get_u32(r);
    if (held > QUANTILES_BINS || top > NUMBER_MAX / 2 || top < -NUMBER_MAX / 2)
        r->failed = true;
    b->top = r->failed ? 0 : top;
    for (uint32_t n = 0; n < held && !r->failed; n++) {
        uint32_t below = get_u16(r);
        uint64_t count = get_varint(r);
        uint32_t *at = &b->bins[place_of(b->top - (int32_t)(below % QUANTILES_BINS))];
        if (below >= QUANTILES_BINS || count == 0 || count > UINT32_MAX || *at != 0) {
            r->failed = true;
            return;
        }
        *at = (uint32_t)count;
        b->count += count;
    }
}

void quantiles_load(struct quantiles_state *s, struct byte_reader *r)
{
    s->zeros = get_u64(r);
    if (s->zeros > COUNT_MAX)
        r->failed = true;
    load_bins(&s->of[0], r);
    load_bins(&s->of[1], r);
}
