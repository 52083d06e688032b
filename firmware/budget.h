/* budget: what this configuration costs in memory, a line for each module, measured by the very
 * calls that will carve it (pipeline/arena.h), and the measured ceilings of the libraries' own
 * heaps. `weir check` and the start of `weir run` print it. */
#ifndef FIRMWARE_BUDGET_H
#define FIRMWARE_BUDGET_H

#include "firmware/gateway/gateway.h"

enum { BUDGET_LINES_MAX = 24 };

struct budget {
    uint32_t count;
    struct budget_line lines[BUDGET_LINES_MAX];
    uint64_t total_bytes; /* ours and the libraries' */
    struct engine_cost device; /* with one metric; in the lines */
};

struct budget budget_of(const struct config *config);
void budget_print(const struct budget *budget, FILE *out);
/* What takes most of it, each stream by itself. */
struct config_costs budget_most(const struct budget *budget, const struct config *config);

#endif
