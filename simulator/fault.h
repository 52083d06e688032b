/* fault: what goes wrong with a sensor, planned from the seed, with its truth.
 *
 * A plan belongs to one series. It is healthy until `clean_until_ms`, then has a fault now and
 * then: kinds and times are drawn; faults of one series keep REST apart, so that each has its
 * own place in time. Magnitudes are in standard deviations of the series' own noise: spikes >=
 * 10, shifts >= 6 for >= 50 readings, stuck >= 60 readings. */
#ifndef SIMULATOR_FAULT_H
#define SIMULATOR_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "simulator/signal.h"

enum fault_kind {
    FAULT_SPIKE,   /* one reading far away */
    FAULT_SHIFT,   /* the level moves and comes back */
    FAULT_STUCK,   /* the same value again and again */
    FAULT_DROPOUT, /* nothing is sent */
    FAULT_NOISE,   /* the noise grows */
    FAULT_DRIFT,   /* the level creeps away and jumps back */
    FAULT_KINDS
};

enum { FAULT_REST_MS = 15000 }; /* between the end of one fault and the start of the next */

struct fault_config {
    int64_t clean_until_ms; /* no fault begins before */
    int64_t last_start_ms;  /* nor after: a fault cut off by the end has no fair truth */
    int64_t every_ms;       /* mean wait between a series' faults, beyond the rest; 0: none */
    uint32_t kinds;         /* bit for each kind that may be drawn */
};

struct fault { /* the truth of one */
    enum fault_kind kind;
    uint32_t readings;     /* that it lasts */
    double magnitude_sd;   /* signed; stuck, dropout: 0; noise: a factor; drift: at its end */
    int64_t start_ms, end_ms; /* time of its first reading, and of its last so far */
    int64_t published_ms;  /* wall time at which its first reading was published; the caller's */
};

struct fault_plan {
    uint64_t chance;
    int64_t next_ms;       /* when the next one begins */
    bool active;
    uint32_t done;         /* readings of the active fault so far */
    double stuck_at;
    struct fault fault;    /* the active one, else the last */
};

struct fault_effect {
    bool faulty;           /* this reading belongs to a fault */
    bool first, last;      /* and begins it, ends it (both for a spike) */
    bool withheld;         /* it is never sent */
    double value;          /* rounded */
};

const char *fault_name(enum fault_kind kind);
/* "spike,shift" as bits; 0 when a name is unknown. */
uint32_t fault_kinds_of(const char *names);

void fault_plan_init(struct fault_plan *p, const struct fault_config *config, uint64_t seed);

/* What becomes of the healthy `value` of the series' next reading. */
struct fault_effect fault_apply(struct fault_plan *p, const struct fault_config *config,
                                const struct signal *s, int64_t time_ms, double value);

#endif
