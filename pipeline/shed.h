/* shed: how much is left out under pressure, as levels with hysteresis (pure; the caller measures).
 *   0 normal   1 enrichment is left out   (2 to 4: raw forwarding, sources, QoS 0)
 * A level is entered when the measured lag has been over its threshold for `enter_ms`, and left,
 * one at a time, when it has
 * been under half of the threshold for `leave_ms`. */
#ifndef PIPELINE_SHED_H
#define PIPELINE_SHED_H

#include <stdbool.h>
#include <stdint.h>

enum shed_level {
    SHED_NORMAL, SHED_ENRICHMENT, SHED_OPTIONAL, SHED_SOURCES, SHED_QOS0, SHED_LEVELS
};

struct shed_config {
    /* threshold of each level from 1 on; ascending; 0: level not used */
    int64_t lag_ms[SHED_LEVELS];
    int64_t enter_ms, leave_ms;
};

struct shed {
    enum shed_level level;
    int64_t over_since_ms;  /* t; INT64_MAX: not over the next threshold */
    int64_t under_since_ms; /* t; INT64_MAX: not under half of the present one */
    int64_t level_since_ms;
};

void shed_init(struct shed *s);
/* Take a measurement at t; true when the level changed. */
bool shed_update(struct shed *s, const struct shed_config *config, int64_t lag_ms, int64_t t_ms);

#endif
