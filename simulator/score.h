/* score: the arithmetic of the report: which faults were detected, which alarms were false, how
 * long alerts took, what was lost. Plain arrays in, plain numbers out. Names are hashes made by
 * the caller.
 *
 * A fault counts as detected by an alert of its series, by any rule, that is not marked learning
 * and whose event time lies within the fault or shortly after its end (SCORE_SPIKE_MARGIN_MS,
 * SCORE_MARGIN_MS: a run is known by its length). An alert of a device that lies near none of
 * the device's faults is a false alarm; after a fault's end the step back is still the fault's
 * own (SCORE_AFTERMATH_MS). */
#ifndef SIMULATOR_SCORE_H
#define SIMULATOR_SCORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "simulator/fault.h"

enum { SCORE_SPIKE_MARGIN_MS = 5000, SCORE_MARGIN_MS = 10000, SCORE_AFTERMATH_MS = 30000 };

struct score_fault {
    uint64_t device, series;
    enum fault_kind kind;
    int64_t start_ms, end_ms;   /* event time */
    int64_t published_ms;       /* wall time */
    bool detected;              /* out, with the rest: */
    int64_t arrived_ms;         /* of the alert that detected it and arrived first */
};

struct score_alert {
    uint64_t device, series;
    bool learning;
    int64_t event_ms;
    int64_t arrived_ms;         /* wall time, in the cloud */
    bool false_alarm;           /* out */
};

struct score_outage { /* wall time; when it ended everything was connected again */
    int64_t start_ms, end_ms;
};

void score_match(struct score_fault *faults, size_t fault_count, struct score_alert *alerts,
                 size_t alert_count);

/* From publication to arrival. Where an outage lies between, from its end: nothing can arrive
 * sooner. Not below 0. */
int64_t score_delay_ms(const struct score_fault *fault, const struct score_outage *outages,
                       size_t outage_count);

/* The nearest-rank percentile of `count` values, which are sorted in place; 0 of none. */
int64_t score_percentile(int64_t *values, size_t count, unsigned percent);

struct score_loss {
    uint64_t lost;       /* acknowledged, and not in the journal */
    uint64_t duplicates; /* in the journal a second time */
    uint64_t unknown;    /* in the journal, never published */
};

struct score_key { /* of one reading, hashed from device, metric and sequence */
    uint64_t hash;
    bool must;           /* acknowledged, and to be stored */
};

/* Both arrays are sorted in place. `published` holds each reading once, `journal` each entry. */
struct score_loss score_compare(struct score_key *published, size_t published_count,
                                struct score_key *journal, size_t journal_count);

#endif
