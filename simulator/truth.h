/* truth: what the fleet did, written as JSON Lines for the report: one `fleet` record at the
 * start (seed, sizes, proportions), `clock` for each device whose clock is wrong, `fault` for
 * each fault when it ends, `end` with totals. Every call does nothing when the file was not
 * asked for. */
#ifndef SIMULATOR_TRUTH_H
#define SIMULATOR_TRUTH_H

#include <stdio.h>

#include "simulator/fault.h"

struct fleet_totals {
    uint64_t published;  /* readings put on their way, each once */
    uint64_t withheld;   /* by drop-outs */
    uint64_t late, reordered, repeated, malformed; /* messages */
    uint64_t faults[FAULT_KINDS];
};

void truth_fleet(FILE *to, uint64_t seed, uint64_t devices, const char *proportions_json);
void truth_clock(FILE *to, const char *device, int64_t offset_ms);
/* `metric` and the device's clock offset make event times the device's own. */
void truth_fault(FILE *to, const char *device, const char *metric, const struct fault *fault,
                 int64_t clock_offset_ms);
void truth_end(FILE *to, const struct fleet_totals *totals);

#endif
