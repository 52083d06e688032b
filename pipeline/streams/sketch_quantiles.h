/* sketch_quantiles: quantiles with a relative error, in fixed size: DDSketch (Masson, Rim and Lee,
 * "DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees", 2019).
 *
 * A quantile is within QUANTILES_ERROR of the true one, relative to it, whatever the numbers are,
 * in any order and merged in any way: as long as the greatest and the least magnitude of a sign
 * are not more than gamma^QUANTILES_BINS apart (a factor of about 28,000). Beyond that the bins of
 * the least magnitudes are one, and what falls into it is told too great in magnitude. Numbers
 * under QUANTILES_LEAST in magnitude count as 0. Bins go by the logarithm of logarithm.h, so they
 * are the same on every processor. */
#ifndef PIPELINE_STREAMS_SKETCH_QUANTILES_H
#define PIPELINE_STREAMS_SKETCH_QUANTILES_H

#include "pipeline/bytes.h"

#define QUANTILES_ERROR 0.01
#define QUANTILES_LEAST 1e-100

enum { QUANTILES_BINS = 512 }; /* of each sign */

struct quantile_bins {
    int32_t top;          /* number of the greatest magnitude's bin; meaningless while count is 0 */
    uint32_t unused;
    uint64_t count;
    /* bin `top - i` is bins[(top - i) mod QUANTILES_BINS] */
    uint32_t bins[QUANTILES_BINS];
};

struct quantiles_state { /* all zero: no number */
    uint64_t zeros;
    struct quantile_bins of[2]; /* positive, negative */
};

void quantiles_push(struct quantiles_state *s, double number);
void quantiles_merge(struct quantiles_state *into, const struct quantiles_state *from);
uint64_t quantiles_count(const struct quantiles_state *s);
/* The number at rank floor(q (count - 1)) of all in order, q in [0, 1]; count > 0. O(bins). */
double quantiles_value(const struct quantiles_state *s, double q);

enum { QUANTILES_SAVE_BYTES_MAX = 8 + 2 * (14 + QUANTILES_BINS * 7) };
void quantiles_save(const struct quantiles_state *s, struct byte_writer *w);
void quantiles_load(struct quantiles_state *s, struct byte_reader *r);

#endif
