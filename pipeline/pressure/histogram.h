/* histogram: how long something took, counted in spans of fixed bounds, from half a millisecond to
 * ten seconds, for those who watch from outside. */
#ifndef PIPELINE_PRESSURE_HISTOGRAM_H
#define PIPELINE_PRESSURE_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_BOUNDS = 14 };

extern const int64_t histogram_bounds_us[HISTOGRAM_BOUNDS]; /* each inclusive, ascending */

struct histogram {
    uint64_t counts[HISTOGRAM_BOUNDS + 1]; /* up to each bound from the one before; then the rest */
    uint64_t sum_us;
};

void histogram_add(struct histogram *h, int64_t took_us);
/* The bound that so many percent stay within; INT64_MAX: they took longer than any. 0: of none. */
int64_t histogram_at(const struct histogram *h, uint32_t percent);

#endif
