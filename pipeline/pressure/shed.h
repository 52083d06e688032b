/* shed: how much is left out under pressure, as levels with hysteresis (pure; the caller measures).
 *   0 normal
 *   1 alerts go without enrichment
 *   2 nor are raw readings forwarded, nor results of series that have no alert
 *   3 nor are sources read at their own pace, the less the lower their priority
 *   4 nor are QoS 0 readings kept
 * Each cause of pressure has a threshold for each level that it may lead to. The next level is
 * entered when some cause has been over its threshold for `enter_ms`, and a level is left, one at a
 * time, when every cause has been under half of its own for `leave_ms`. So enrichment, which goes
 * first, comes back last. */
#ifndef PIPELINE_PRESSURE_SHED_H
#define PIPELINE_PRESSURE_SHED_H

#include <stdbool.h>
#include <stdint.h>

enum shed_level {
    SHED_NORMAL, SHED_ENRICHMENT, SHED_OPTIONAL, SHED_SOURCES, SHED_QOS0, SHED_LEVELS
};

enum shed_cause {
    SHED_LAG,        /* ms since the source that waits longest was last read to its end */
    SHED_COMMIT,     /* ms that a commit takes, the one under way included */
    SHED_OUTBOX,     /* percent of its share that the fullest lane takes */
    SHED_OUTBOX_AGE, /* ms since the oldest row that waits to leave was made */
    SHED_MEMORY,     /* percent of what may be taken that the process takes */
    SHED_LOOP,       /* ms that a turn of the loop takes */
    SHED_CAUSES
};

struct pressure { /* one measurement; nothing is negative */
    int64_t of[SHED_CAUSES];
};

struct shed_config {
    /* of each cause, ascending by level from 1 on; 0: it does not lead to that level */
    int64_t over[SHED_CAUSES][SHED_LEVELS];
    int64_t enter_ms, leave_ms;
};

struct shed {
    enum shed_level level;
    enum shed_cause cause;  /* of the last level entered: the one that called for most */
    int64_t over_since_ms;  /* t; INT64_MAX: nothing calls for more */
    int64_t under_since_ms; /* t; INT64_MAX: something holds the present level */
};

void shed_init(struct shed *s);
/* Take a measurement at t; true when the level changed, by one that is used. */
bool shed_update(struct shed *s, const struct shed_config *config, const struct pressure *pressure,
                 int64_t t_ms);

const char *shed_cause_name(enum shed_cause cause); /* "lag", "commit", ... */

#endif
