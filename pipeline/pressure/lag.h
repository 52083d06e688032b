/* lag: whether the lag has grown for too long. It rises and falls with every burst, so what is
 * looked at is its least in each tenth of the span allowed: it grows as long as each is above the
 * one before, and is over when one is below half of what it had come to. Time comes from the
 * caller. */
#ifndef PIPELINE_PRESSURE_LAG_H
#define PIPELINE_PRESSURE_LAG_H

#include <stdbool.h>
#include <stdint.h>

enum { LAG_SLICES = 10, LAG_LEAST_MS = 1000 /* less is never too much */ };

struct lag {
    int64_t slice_from_ms; /* t */
    int64_t slice_least_ms, before_ms; /* the least of this slice, and of the one before */
    int64_t grows_from_ms; /* t; INT64_MAX: it does not */
};

enum lag_verdict { LAG_AS_IT_WAS, LAG_GROWS, LAG_IS_OVER };

void lag_init(struct lag *l, int64_t t_ms);
/* Take a measurement. `told_ms` is the lag as it was when GROWS was told last; 0: it is over, or
 * never was. GROWS comes when it has grown for `for_ms`, and again each time it has doubled. */
enum lag_verdict lag_update(struct lag *l, int64_t for_ms, int64_t lag_ms, int64_t told_ms,
                            int64_t t_ms);

#endif
