#include "pipeline/pressure/histogram.h"

#include <assert.h>

const int64_t histogram_bounds_us[HISTOGRAM_BOUNDS] = { 500,    1000,   2500,    5000,    10000,
                                                        25000,  50000,  100000,  250000,  500000,
                                                        1000000, 2500000, 5000000, 10000000 };

void histogram_add(struct histogram *h, int64_t took_us)
{
    uint32_t i = 0;
    assert(took_us >= 0);
    while (i < HISTOGRAM_BOUNDS && took_us > histogram_bounds_us[i])
        i++;
    h->counts[i]++;
    h->sum_us += (uint64_t)took_us;
}

int64_t histogram_at(const struct histogram *h, uint32_t percent)
{
    uint64_t all = 0, within = 0;
    assert(percent <= 100);
    for (uint32_t i = 0; i <= HISTOGRAM_BOUNDS; i++)
        all += h->counts[i];
    for (uint32_t i = 0; i < HISTOGRAM_BOUNDS && all > 0; i++) {
        within += h->counts[i];
        if (within * 100 >= all * percent)
            return histogram_bounds_us[i];
    }
    return all > 0 ? INT64_MAX : 0;
}
