/* scale: how many gateways the present load wants: what is used over what one may be loaded with,
 * which is its capacity less the headroom. Said again only when it has been another number for a
 * while, and fewer only when they would do for a tenth more. Pure; time comes from the caller. */
#ifndef PIPELINE_PRESSURE_SCALE_H
#define PIPELINE_PRESSURE_SCALE_H

#include <stdbool.h>
#include <stdint.h>

enum { SCALE_MAX = 1000000 };

struct scale_config {
    uint32_t headroom_percent; /* of a gateway's capacity, left unused; < 100 */
    int64_t up_ms, down_ms;    /* that more, or fewer, must be wanted */
};

struct scale {
    uint32_t wanted;           /* gateways; 1 at first */
    int64_t more_since_ms, fewer_since_ms; /* t; INT64_MAX: not so */
};

/* At least 1, at most SCALE_MAX. `use` >= 0 and `capacity` > 0 in the same unit. */
uint32_t scale_need(double use, double capacity, uint32_t headroom_percent);

void scale_init(struct scale *s);
/* True when `wanted` has changed. */
bool scale_update(struct scale *s, const struct scale_config *config, double use, double capacity,
                  int64_t t_ms);

#endif
